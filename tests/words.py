"""`make words`: what the code says, put into the catalogue, and what is made of the catalogue. Needs Babel."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from schemas.words import CATALOGUE, MADE
from services.cli import application
from services.command import helping
from services.scorer import rules

ROOT = Path(__file__).parent.parent
#: The marks of the one idiom, and which of their arguments are words.
KEYWORDS: dict[str, Any] = {"_": None, "_p": ((1, "c"), 2), "_n": (1, 2)}
#: The rooms in which words are said, from the ground up, as the catalogue has them.
ROOMS = ("schemas", "infra", "services")
HEADER = """\
wuxing的全部中文词句。每条msgid为程序中的英文，其下msgstr为中文，可在此直接更正。
花括号中的名称或数字（如{path}、{0}）由程序填入，须以同样的写法保留在中文里。
同一英文有两种中文时，msgctxt写明是哪一种。“#:”为所在文件，“#.”为命令行说明所属的命令。
更正后请运行make words。
The Chinese of wuxing: under each English text (msgid) stands the Chinese (msgstr). A name or
number in braces is a gap that the program fills, under the same name. After a change: make words."""


def sources() -> Iterator[tuple[Path, str]]:
    """Every file with words, and how Babel reads it."""
    for room in ROOMS:
        yield from ((path, "python") for path in sorted((ROOT / room).rglob("*.py")))
        yield from ((path, "jinja2") for path in sorted((ROOT / room).rglob("templates/*.html")))


def said() -> Catalog:
    """What the code says, in the order of its files: a catalogue without Chinese."""
    found = Catalog(locale="zh", fuzzy=False)
    for path, method in sources():
        name = str(path.relative_to(ROOT))
        options = {"trimmed": "true"} if method == "jinja2" else {}
        with path.open("rb") as file, redirect_stderr(io.StringIO()):  # that f-strings fill gaps is meant
            lines = list(extract(method, file, KEYWORDS, (), options))
        for _line, message, _comments, context in lines:
            found.add(message, locations=[(name, 0)], context=context)
    for path in sorted(path for folder in rules.FOLDERS for path in folder.glob("*.sql")):
        for context, words in rules.SENTENCE.findall(path.read_text(encoding="utf-8")):
            found.add(words.replace("''", "'"), locations=[(str(path.relative_to(ROOT)), 0)], context=context or None)
    for command, one in helping.words(application(overview=False)):
        found.add(one.english, locations=[("--help", 0)], auto_comments=[f"wuxing {command}"])
    return found


def catalogue() -> Catalog:
    """The catalogue as it is written."""
    with CATALOGUE.open("rb") as file:
        found = read_po(file, locale="zh")
    found.creation_date = found.revision_date = datetime(2026, 1, 1, tzinfo=UTC)  # what is made of it tells no time
    return found


def merged(new: Catalog, old: Catalog) -> Catalog:
    """What the code says with the Chinese that the catalogue has of it."""
    found = Catalog(
        locale="zh",
        project="wuxing",
        header_comment="\n".join(f"# {line}" for line in HEADER.splitlines()),
        fuzzy=False,
    )
    for message in new:
        if message.id:
            known = old.get(message.id, message.context) if message.context else old.get(message.id)
            one = found.add(
                message.id,
                known.string if known else None,
                locations=list(dict.fromkeys(message.locations)),
                context=message.context,
                auto_comments=message.auto_comments[:3],
                user_comments=known.user_comments if known else (),
            )
            one.flags.discard("python-brace-format")  # braces that are no gap stay as they are
    return found


def text(of: Catalog) -> bytes:
    """A catalogue as its file: files named without lines, which move; no date, so that it changes with words only."""
    out = io.BytesIO()
    write_po(out, of, width=120, include_lineno=False, no_location=False)
    dated = re.sub(
        rb'^"(POT-Creation-Date|PO-Revision-Date|Generated-By|Last-Translator|Language-Team):.*\n',
        b"",
        out.getvalue(),
        flags=re.MULTILINE,
    )
    return re.sub(rb'^"(Report-Msgid-Bugs-To|Project-Id-Version):.*\n', b"", dated, flags=re.MULTILINE)


def made(of: Catalog) -> bytes:
    """What the programs read of a catalogue."""
    out = io.BytesIO()
    write_mo(out, of)
    return out.getvalue()


def lacking(of: Catalog) -> list[Message]:
    """The messages without Chinese."""
    return [one for one in of if one.id and (one.fuzzy or not one.string or not all(one.string))]


def main() -> int:
    """Write the catalogue and what is made of it; 1 where words lack Chinese, which are named."""
    CATALOGUE.write_bytes(text(merged(said(), catalogue())))
    MADE.write_bytes(made(catalogue()))
    wanting = lacking(catalogue())
    for one in wanting:
        print(f"{CATALOGUE.relative_to(ROOT)}: no Chinese for {one.id!r}", file=sys.stderr)
    return int(bool(wanting))


if __name__ == "__main__":
    sys.exit(main())
