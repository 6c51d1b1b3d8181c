"""The commands `wuxing rulebook check|new|show|test|diff`: for whoever turns a regulation into a rulebook."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from schemas import cases, roster
from schemas.clauses import clauses
from schemas.faults import described
from schemas.rulebook import RULEBOOKS, Rulebook, plain
from schemas.warnings import warnings
from schemas.words import Language, _
from schemas.year import Year
from services.process.ending import Exit, Stop
from services.process.settings import language
from services.rulebook import differences, page, rehearsal
from services.rulebook.sentences import sentences
from services.scorer import file, rules
from services.snapshot.results import results

Lang = Literal["zh", "en"]


def check(rulebook: Path, *, lang: Lang | None = None) -> int:
    """Check a rulebook, compute its made-up years, and print its rules back as sentences to be proof-read.

    Example: wuxing rulebook check rulebook.toml --lang zh

    Parameters
    ----------
    rulebook
        A rulebook.toml, its folder, or the name of one that ships.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    words = language(lang)
    path = found(rulebook)
    book = rehearsal.load(path)
    print(page.plain(sentences(book, words)), end="")
    source = path.read_text(encoding="utf-8-sig")
    for line in described(warnings(book, text_beside(path)), str(path), source, words):
        print(_("warning: {fault}", fault=line).say(words), file=sys.stderr)
    return Exit.DONE


def text_beside(rulebook: Path) -> dict[str, str]:
    """The regulation's text by clause, where text.zh.txt lies beside a rulebook. Raises RulebookError."""
    text = rulebook.parent / "text.zh.txt"
    return clauses(text) if text.exists() else {}


def new(file: Path | None = None, *, lang: Lang | None = None) -> int:
    """Write a small whole rulebook that runs, with comments, to begin from; with a file also its roster and cases.

    Example: wuxing rulebook new mine/rulebook.toml

    Parameters
    ----------
    file
        Where to write it; without it, to stdout.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    start = RULEBOOKS / "new"
    if file is None:
        print((start / "rulebook.toml").read_text(encoding="utf-8"), end="")
        return Exit.DONE
    beside = [source for source in sorted(start.rglob("*")) if source.is_file()]
    targets = {
        source: file if source.name == "rulebook.toml" else file.parent / source.relative_to(start) for source in beside
    }
    for target in targets.values():
        if target.exists():
            raise Stop(Exit.USE, _("{target}: is there already; choose another name", target=target))
    try:
        for source, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        raise Stop(Exit.FAILED, _("{file}: cannot be written: {error}", file=file, error=error.strerror)) from None
    written = " ".join(map(str, targets.values()))
    print(_("written: {written}", written=written).say(language(lang)), file=sys.stderr)
    return Exit.DONE


def show(
    rulebook: Path,
    *,
    format: Literal["table", "md", "html", "pdf"] = "table",  # noqa: A002 - as of the other commands
    out: Path | None = None,
    lang: Lang | None = None,
) -> int:
    """Show a rulebook beside the regulation's text, clause by clause; clauses that no rule claims stand in red.

    Example: wuxing rulebook show burial-reform-2013 --format html --out page.html

    Parameters
    ----------
    rulebook
        A rulebook.toml, its folder, or the name of one that ships; the text is text.zh.txt beside it.
    format
        A table for the terminal, Markdown, HTML, or PDF.
    out
        A file to write to; a PDF needs one.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    words = language(lang)
    path = found(rulebook)
    book = rehearsal.load(path)
    rows = page.rows(book, text_beside(path), words)
    if format == "pdf" and out is None:
        raise Stop(Exit.USE, _("--format pdf needs --out FILE"))
    made = page.made(book, rows, format, words)
    if out is None:
        sys.stdout.buffer.write(made)
        return Exit.DONE
    try:
        out.write_bytes(made)
    except OSError as error:
        raise Stop(Exit.FAILED, _("{out}: cannot be written: {error}", out=out, error=error.strerror)) from None
    return Exit.DONE


def run_cases(rulebook: Path, *, lang: Lang | None = None) -> int:
    """Compute the cases beside a rulebook (cases/*.toml) and compare; exit 1 where one does not come as it says.

    Example: wuxing rulebook test wenzhou-2013

    Parameters
    ----------
    rulebook
        A rulebook.toml, its folder, or the name of one that ships.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    words = language(lang)
    path = found(rulebook)
    book = rehearsal.load(path)
    pages = sorted((path.parent / "cases").glob("*.toml"))
    if not pages:
        raise Stop(
            Exit.USE, _("{parent}: has no cases; write cases/*.toml beside the rulebook", parent=path.parent / "cases")
        )
    wrong = told = 0
    for one in pages:
        for case, faults in _compared(one, book, words):
            told += 1
            wrong += bool(faults)
            print(f"{'✗' if faults else '✓'} {one.stem}: {case}")
            print("".join(f"    {fault}\n" for fault in faults), end="")
    summary = _("{told} cases, {wrong} differ", told=told, wrong=wrong).say(words)
    print(summary, file=sys.stderr)
    return Exit.NO if wrong else Exit.DONE


def diff(
    before: Path, after: Path, *, ledger: Path | None = None, roster: Path | None = None, lang: Lang | None = None
) -> int:
    """Say in words how two rulebooks differ; with a ledger also which places and grades move on it.

    Example: wuxing rulebook diff wenzhou-2013 next/rulebook.toml --ledger year.jsonl

    Parameters
    ----------
    before
        A rulebook.toml, its folder, or the name of one that ships.
    after
        The same, to compare with.
    ledger
        A file of events, folded under each of the two.
    roster
        The roster of the ledger where it opens with none.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    words = language(lang)
    one, other = (rehearsal.load(found(path)) for path in (before, after))
    print(differences.words(one, other, words), end="")
    if ledger is not None:
        print(differences.moved(one, other, ledger, roster, words), end="")
    return Exit.DONE


def found(rulebook: Path) -> Path:
    """The file of a rulebook: as given, in the folder given, or of that name among those that ship."""
    for path in (rulebook, rulebook / "rulebook.toml", RULEBOOKS / rulebook / "rulebook.toml"):
        if path.is_file():
            return path
    ship = ", ".join(sorted(path.parent.name for path in RULEBOOKS.glob("*/rulebook.toml")))
    raise Stop(Exit.USE, _("{rulebook}: is no file, and no rulebook that ships ({ship})", rulebook=rulebook, ship=ship))


def _compared(page_: Path, book: Rulebook, lang: Language) -> Iterator[tuple[str, list[str]]]:
    """Every case of a page with what did not come as it says."""
    for year in cases.read(page_, plain(book)):
        result, void = _come_to(year, book, lang)
        differ = list(cases.check(year, result, void))
        for case in year.cases:
            yield case.name, [_differs(one, lang) for one in differ if one.case == case.name]


def _differs(one: cases.Fault, lang: Language) -> str:
    """What did not come as a case says, and what came."""
    about = f"{one.about} ({one.readings})" if one.readings else one.about
    said = _("{about}: expected {expected}, found {found}", about=about, expected=one.expected, found=one.found)
    return said.say(lang)


def _come_to(year: cases.Year, book: Rulebook, lang: Language) -> tuple[dict[str, Any], dict[int, str]]:
    """What the engine makes of the events of cases under each set of readings, and why it made events void."""
    wrong = "".join(fault.words for fault in roster.faults(list(year.roster), book, lang))
    if wrong:
        raise Stop(Exit.USE, wrong)
    book = differences.in_line(book)
    given = Year(book.id, book, roster.read(year.roster))
    with tempfile.TemporaryDirectory(prefix="wuxing-") as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(year.lines)
        folded = file.fold(path, given)
    come = {}
    with folded.con as con:
        for readings in year.readings:
            rules.set_options(con, cases.options(readings))
            found_ = results(
                con,
                assessment=given.assessment,
                rulebook=book.id,
                as_of=folded.lines,
                refused=folded.refused,
                lang=lang,
            )
            come[readings] = msgspec.to_builtins(found_)
        void = dict(con.execute("SELECT seq, void_reason FROM event WHERE admission = 'void'").fetchall())
    return come, void
