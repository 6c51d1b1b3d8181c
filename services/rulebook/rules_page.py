"""Writes docs/rules.md: each clause of the regulation with its words, its rules, the views that hold them, its cases.

A test keeps the page current. What leads from a rule to a view are the words of the language: a rule uses them as keys
and values, a view cites them in its comment.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from schemas import clauses, soundness
from schemas.lines import lines
from schemas.rulebook import SHIPPED, Rulebook
from services.rulebook.sentences import sentences
from services.scorer import rules

ROOT = Path(__file__).parents[2]
BOOK = SHIPPED / "rulebook.toml"
#: The sections of the language that say what a table of the rulebook does; entries of other tables never meet them.
SECTIONS = {
    "final": ("1", "7"), "category": ("7",), "part": ("1",), "item": ("3", "4", "5"), "scheme": ("7",), "veto": ("7",),
    "roles": ("10",), "stage": ("8", "10"), "parameter": ("8", "10"),
}  # fmt: skip
#: Keys whose values are a rulebook's own words, not the language's.
OWN = ("code", "name", "words", "why", "clause", "source", "question", "values", "offices", "scoring", "in")
HEAD = """# From a clause to its rule

Every clause of 温委办发(2013)36号 in its order: the text's own words, the entry of the rulebook that holds it (with its
line), what that entry says, the SQL views that compute it, and the cases worked out by hand. What the text leaves open
is a reading; how each is read is argued in [the regulation, read as rules](spec/regulation.md). What a word of the
rulebook means stands in [the rulebook language](spec/language.md), by the section that each view cites.

```
wuxing rulebook show wenzhou-2013     # this page without views and cases, of any rulebook, as a table, HTML or PDF
wuxing rulebook test wenzhou-2013     # computes the cases again
wuxing sql "FROM band_points"         # asks a view of the latest snapshot
```

This page is generated: `python -m services.rulebook.rules_page > docs/rules.md`.
"""


class Entry(NamedTuple):
    """A table of the rulebook: its kind, what it is known by, its line, itself."""

    kind: str
    code: str
    line: int
    table: dict[str, Any]

    def known(self) -> str:
        """What its sentences are known by."""
        return f"{self.kind} {self.code}".strip()


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def entries(path: Path = BOOK) -> list[Entry]:
    """Every table of a rulebook that a clause may stand in, in the order of the file."""
    text = path.read_text(encoding="utf-8")
    at, found = lines(text), []
    for kind, value in tomllib.loads(text).items():
        for n, table in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(table, dict):
                where = at[kind, n] if isinstance(value, list) else at[kind,]
                found.append(Entry(kind, table.get("code") or table.get("name") or "", where, table))
    return sorted(found, key=lambda entry: entry.line)


def words(entry: Entry, book: Rulebook) -> set[str]:
    """The words of the language that an entry uses, those that stand where nothing is written included."""
    found = {entry.kind, entry.code if entry.kind == "parameter" else "", *_written(entry.table, book)}
    if entry.kind == "item" and "ratings" in found and "method" not in found:
        found.add("direct" if "formula" in found else "scale")
    return found | ({"ranked"} if entry.table.get("ranked", entry.kind == "category") else set())


def _written(value: Any, book: Rulebook) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in OWN:
                yield from _written(inner, book)
    elif isinstance(value, list):
        for inner in value:
            yield from _written(inner, book)
    elif isinstance(value, str):
        yield from book.possible(value)


def cited(view: rules.Definition) -> tuple[str, str, set[str]]:
    """The page and section that a view cites, and the words of the language that lead to it."""
    said, _, listed = view.cites.partition(": ")
    book, _, section = re.sub(r' ".*"', "", said).partition(" ")
    return book, section, set(listed.split(", ")) - {""} if book != "no" else set()


def views(entry: Entry, book: Rulebook) -> list[rules.Definition]:
    """The views that hold an entry, in the order in which they build on one another."""
    used = words(entry, book) - {"item"}
    found = []
    for one in rules.definitions():
        page_of, section, needs = cited(one) if one.kind == "VIEW" else ("", "", set())
        if page_of == "language" and section in SECTIONS.get(entry.kind, ()) and needs & used:
            found.append(one)
    return found


def cases(text: dict[str, str]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Every page of cases with the clauses that it begins with and the names of its cases."""
    for path in sorted((SHIPPED / "cases").glob("*.toml")):
        raw = path.read_text(encoding="utf-8")
        begin = re.match(r"# ((?:[^\s,:]+(?:, |: | |$))*)", raw.splitlines()[0])
        named = re.findall(r"[^\s,:]+", begin[1]) if begin else []
        yield path, [name for name in named if name in text], [case["name"] for case in tomllib.loads(raw)["case"]]


@cache
def _place(view: str) -> str:
    """The file of a view."""
    for folder in rules.FOLDERS:
        for file in sorted(folder.glob("*.sql")):
            if re.search(rf"^CREATE VIEW {view}\b", file.read_text(encoding="utf-8"), re.MULTILINE):
                return file.relative_to(ROOT).as_posix()
    raise LookupError(view)


def _link(name: str, place: str) -> str:
    return f"[{name}](../{place})"


def _anchor(clause: str) -> str:
    """The anchor that the heading of a clause has."""
    return "".join(sign for sign in clause if sign.isalnum()).lower()


def _first(text: str) -> str:
    """A clause's first words."""
    return re.split(r"[。：:;；,，]", text.partition("\n")[0])[0][:30]


def _rulebook(entry: Entry) -> str:
    """The link to the line of an entry."""
    return _link(entry.known(), f"{BOOK.relative_to(ROOT).as_posix()}#L{entry.line}")


def _lines() -> Iterator[str]:
    book, text = soundness.load(BOOK), clauses.clauses()
    held, pages = entries(), [*cases(text)]
    excused = {one.clause: one.why for one in book.excused}
    ruled = [clause for clause in text if not clause.startswith((*excused,))]
    said = [*zip(sentences(book, "zh"), sentences(book, "en"), strict=True)]
    every = [one for one in rules.definitions() if one.kind == "VIEW"]
    shown = {one.name for entry in held if "clause" in entry.table for one in views(entry, book)}
    yield HEAD
    yield "## Clauses with rules\n"
    yield from (f"- [{clause} {_first(text[clause])}](#{_anchor(clause)})" for clause in ruled)
    for clause in ruled:
        yield f"\n## {clause}\n"
        yield from (f"> {line}" for line in text[clause].splitlines())
        own = [entry for entry in held if entry.table.get("clause") == clause]
        for entry in own:
            yield f"\n**{_rulebook(entry)}**\n"
            yield from (f"- {zh.text}<br>{en.text}" for zh, en in said if f"{en.key} ".startswith(f"{entry.known()} "))
        names = {one.name for entry in own for one in views(entry, book)}
        yield from _views([one for one in every if one.name in names])
        yield from () if own else ["\nA heading: its rules stand under the clauses below it."]
        yield from _cases([(path, names) for path, named, names in pages if clause in named])
    yield "\n## What every item goes through"
    yield from _views([one for one in every if "item" in cited(one)[2]])
    yield "\n## Beyond the text\n"
    yield "What an assessment needs beside its text: an assumption of the rulebook, or a rule of the language.\n"
    yield from (
        f"- {_rulebook(one)}" for one in held if "clause" not in one.table and one.kind in ("stage", "parameter")
    )
    yield from _views([one for one in every if one.name not in shown and "item" not in cited(one)[2]])
    yield from _cases([(path, names) for path, named, names in pages if not named])
    yield "\n## Clauses without a rule\n\n| clause | why |\n|---|---|"
    yield from (f"| {clause} | {why} |" for clause, why in excused.items())


def _views(held: list[rules.Definition]) -> Iterator[str]:
    yield from ["\n| view | what it says | by |\n|---|---|---|"] if held else ()
    for one in held:
        says = re.sub(r" One row.*", "", one.comment).replace("|", "&#124;")
        by = one.cites.removeprefix("no clause: ").partition(":")[0]
        yield f"| {_link(one.name, _place(one.name))} | {says} | {by} |"


def _cases(found: list[tuple[Path, list[str]]]) -> Iterator[str]:
    for path, names in found:
        yield f"\nCases, {_link(path.name, path.relative_to(ROOT).as_posix())}: {' · '.join(names)}"


if __name__ == "__main__":
    sys.stdout.write(page())
