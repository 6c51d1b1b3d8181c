"""The command `score`: folds a file of events without a server and prints the results."""

import errno
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from schemas.events import OPENED
from schemas.refusals import Refusal
from schemas.rulebook import Rulebook
from schemas.subjects import CODE
from schemas.texts import Text
from schemas.words import Language, _, _n
from schemas.year import given
from services.command import tables
from services.command.progress import Bar
from services.process.ending import Exit, Stop
from services.rulebook import rehearsal
from services.scorer import file, rules
from services.scorer.file import Folded
from services.snapshot import make as snapshots
from services.snapshot import results
from services.snapshot import texts as shelf
from services.snapshot.point import facts_words, moment


def run(  # noqa: PLR0913 - each is an option of the command
    path: Path,
    *,
    rulebook: Path | None,
    roster: Path | None,
    assessment: str | None,
    readings: list[str],
    as_of: str | None,
    facts_until: str | None,
    form: Literal["json", "table"],
    snapshot: Path | None,
    texts: Path | None,
    show_digest: bool,
    strict: bool,
    lang: Language,
) -> int:
    """Fold, rank and print; see `wuxing score --help`."""
    options = {"rulebook": rulebook, "roster": roster, "assessment": assessment}
    if assessment is not None and not CODE.fullmatch(assessment):
        raise Stop(
            Exit.USE,
            _(
                "--assessment: expected 1 to 64 letters, digits, _ or -, found {assessment}",
                assessment=repr(assessment),
            ),
        )
    if texts is not None and snapshot is None:
        raise Stop(Exit.USE, _("--texts: goes into the file of --snapshot, which is not asked for"))
    given_texts = shelf.read(texts) if texts is not None else None
    year = given(assessment, rulebook, roster, rehearsal.load)
    over = [name for name, option in options.items() if option is not None] + ["synthetic"] * (roster is not None)
    time = as_of if as_of is not None and not (as_of.isascii() and as_of.isdigit()) else None
    at = moment(time, "--as-of") if time is not None else None
    until = moment(facts_until, "--facts-until") if facts_until is not None else None
    limit = int(as_of) if as_of is not None and time is None else None
    with tempfile.TemporaryDirectory(prefix="wuxing-") as folder, Bar(lang) as bar:
        made = Path(folder) / "snapshot.duckdb" if snapshot else None

        def fold(upto: int | None, until: str | None = None) -> Folded:
            found = file.fold(
                source,
                year,
                over=over,
                accept=rehearsal.accept,
                target=made,
                limit=upto,
                until=until,
                keep_raw=snapshot is not None,
                lang=lang,
                progress=bar.step,
            )
            rules.bound_memory(found.con, Path(folder))
            return found

        try:
            source = _source(path, Path(folder))
            folded = fold(limit)
            cut = _cut(folded, at)
            if until or _opened_later(folded, cut):
                folded.con.close()
                if made:
                    made.unlink()
                folded = fold(cut, until)
        except OSError as error:
            if _full(error):
                raise _no_room() from None
            raise Stop(Exit.FAILED, _("{path}: cannot be read: {error}", path=path, error=error.strerror)) from None
        rules.set_options(folded.con, _options(readings, folded.year.rulebook))
        refused = [one for one in folded.refused if (one.line or 0) <= cut]
        _warn(source, folded, form, lang)
        said_no = strict and bool(refused or _conflicts(folded, cut))
        try:
            if form == "table":
                print("".join(f"{line}\n" for line in facts_words(facts_until, lang)), end="")
            _print(folded, refused, cut, form, show_digest=show_digest, lang=lang)
            sys.stdout.flush()
        except OSError as error:
            raise _no_room() if _full(error) else error from None
        finally:  # also when who reads along has seen enough and went away
            _write_snapshot(folded, cut, facts_until, made, snapshot, given_texts, lang)
    return Exit.NO if said_no else Exit.DONE


def _full(error: OSError) -> bool:
    return error.errno == errno.ENOSPC or "No space left" in str(error)


def _no_room() -> Stop:
    """A disk is full: that of the output, or that on which a large year waits until its digest is known."""
    place = tempfile.gettempdir()
    return Stop(
        Exit.FAILED,
        _(
            "no space left on the disk of the output or of {place}: make room, or name another folder in TMPDIR",
            place=place,
        ),
    )


def _source(path: Path, folder: Path) -> Path:
    """The file itself; what can be read only once (a pipe) is kept, for it is read more than once."""
    if path.is_file():
        return path
    kept = folder / "events.jsonl"
    with path.open("rb") as stream, kept.open("wb") as out:
        shutil.copyfileobj(stream, out)
    return kept


def _warn(source: Path, folded: Folded, form: str, lang: Language) -> None:
    """Say on stderr what a reader of the numbers must know and the contract's object does not say."""
    with source.open("rb") as file:
        marked = file.read(3) == b"\xef\xbb\xbf"
    if marked:
        print(_MARKED.say(lang), file=sys.stderr)
    if folded.year.synthetic and form == "json":  # the tables say so themselves
        print(tables.words("synthetic", lang), file=sys.stderr)


_MARKED = _(
    "Line 1 begins with a byte order mark and is refused: an opening there opens nothing. Save the file without it."
)


def _options(readings: list[str], book: Rulebook) -> dict[str, str]:
    """The readings of `name=value`; an unknown name or value is wrong use."""
    known, found = book.readings, {}
    for text in readings:
        name, __, value = text.partition("=")
        if value not in known.get(name, ()):
            expected = f"one of {', '.join(known[name])}" if name in known else f"name=value of {', '.join(known)}"
            raise Stop(Exit.USE, _("--reading {text}: expected {expected}", text=text, expected=expected))
        found[name] = value
    return found


def _cut(folded: Folded, at: str | None) -> int:
    """The last line of the state asked for: before the first accepted event that occurred later than an instant."""
    if at is None:
        return folded.lines
    row = folded.con.execute(
        "SELECT min(seq) - 1 FROM event WHERE admission <> 'conflict' AND occurred > ?", [at]
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else folded.lines


def _opened_later(folded: Folded, cut: int) -> bool:
    """Whether the year folded was opened after the cut: then nothing up to the cut knows of it."""
    found = folded.con.execute(
        "SELECT 1 FROM event WHERE type = ? AND admission = 'admitted' AND seq > ?", [OPENED, cut]
    ).fetchall()
    return bool(found)


def _conflicts(folded: Folded, cut: int) -> bool:
    found = folded.con.execute(
        "SELECT 1 FROM event WHERE admission = 'conflict' AND seq <= ? LIMIT 1", [cut]
    ).fetchall()
    return bool(found)


def _print(  # noqa: PLR0913 - what is printed, and how
    folded: Folded, refused: list[Refusal], cut: int, form: str, *, show_digest: bool, lang: Language
) -> None:
    brief = form == "table" and not show_digest
    with rules.compute(folded.con, as_of=cut, upto="assessment_state" if brief else None):
        if brief:
            tables.ranking(folded.con, folded.year, refused, lang)
            return
        given: dict[str, Any] = {
            "assessment": folded.year.assessment, "rulebook": folded.year.rulebook.id, "as_of": cut,
            "refused": refused, "lang": lang,
        }  # fmt: skip
        if form == "json":
            results.write(folded.con, sys.stdout.buffer, **given)
        else:
            tables.ranking(folded.con, folded.year, refused, lang)
            print(f"digest {results.computed(folded.con, **given).digest}")


def _write_snapshot(  # noqa: PLR0913, PLR0917 - what a snapshot is made of
    folded: Folded,
    cut: int,
    facts_until: str | None,
    made: Path | None,
    target: Path | None,
    texts: Mapping[str, Text] | None,
    lang: Language,
) -> None:
    """Write the snapshot that was asked for beside its name and rename it, so that a file of that name is whole."""
    if made is None or target is None:
        return
    con = folded.con
    con.execute("DELETE FROM event WHERE seq > ?", [cut])
    snapshots.complete(con, folded.year, cut)
    if texts is not None and (names := folded.year.rulebook.out_of_line):
        shelf.fill(con, names, texts)
        [(lack,)] = con.execute("SELECT count(*) FROM text WHERE text IS NULL AND erased_by IS NULL").fetchall()
        if lack:
            said = _n("--texts has not the text of {n} token", "--texts has not the texts of {n} tokens", lack)
            print(said.say(lang), file=sys.stderr)
    if facts_until is not None:
        con.execute("INSERT INTO meta VALUES ('facts_until', ?)", [facts_until])
    con.execute("CHECKPOINT")
    con.close()
    try:
        snapshots.publish_as(made, target)
    except OSError as error:
        raise Stop(
            Exit.FAILED, _("{target}: cannot be written: {error}", target=target, error=error.strerror)
        ) from None
