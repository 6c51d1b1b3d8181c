"""The command `emit`: publishes the rows of a file that pass the checks ingest makes, and tells what became of each."""

import asyncio
import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
from rich import box
from rich.table import Table

from infra.rights import key_file
from schemas import subjects
from schemas.events import OPENED, Event, instant
from schemas.raw import read as read_raw
from schemas.receipts import Receipt
from schemas.refusals import Reason, Refusal, conflict, message
from schemas.roster import Unit
from schemas.texts import joined, stripped
from schemas.words import Language, Text, _, _n, _p
from schemas.year import Year, given
from services.command import tables
from services.command.options import Lang
from services.command.progress import Bar
from services.ingest import signatures, texts
from services.ingest.check import Checker, opened
from services.ingest.opening import year_of_folder
from services.office import answer, sheet, workbook
from services.office import dry_run as trials
from services.office.earlier import Earlier, Found, renamed, revocation
from services.office.send import Letter, send
from services.process.ending import Exit, Stop
from services.process.settings import Settings, language, read
from services.reports.diff import standing_cells
from services.scorer import store
from services.snapshot import point
from services.snapshot.make import latest

Note = Callable[[str], None]
"""Takes a sentence on a file that refuses nothing: what is hidden, left alone, or dated oddly."""
Outcome = Literal["accepted", "refused", "settled", "ready", "pending", "there", "correction", "gone"]


class Line(msgspec.Struct, omit_defaults=True):
    """What became of a row: its receipt, or with an outcome of our own none.

    `ready` (dry run), `pending` (no receipt yet), `there` (the ledger has it, as `sequence`), `correction` (it differs
    from what stands as `sequence`; nothing was sent), `gone` (the ledger has it as `sequence`, but counts it no more;
    nothing was sent). `cell` is the address of what a refusal is about.
    """

    row: int
    sheet: str | None
    source: str | None
    id: str | None
    outcome: Outcome
    sequence: int | None = None
    sha256: str | None = None
    reason: str | None = None
    path: str | None = None
    cell: str | None = None
    message: str | None = None
    disposition: str | None = None
    why: str | None = None
    signature: str | None = None


class Judged(msgspec.Struct):
    """A row as the checks leave it: its event and its bytes, or its refusal; and how it stands to earlier ones.

    `first` are the bytes of the revocation that goes out before it, where it replaces an earlier event.
    """

    row: int
    sheet: str | None
    raw: bytes
    found: Event | Refusal
    cells: dict[str, str] = {}
    earlier: Found | None = None
    first: tuple[Event, bytes] | None = None

    @property
    def sends(self) -> list[tuple[Event, bytes]]:
        """The events that go out for the row, in order."""
        if isinstance(self.found, Refusal) or self.earlier is not None:
            return []
        return [*([self.first] if self.first else []), (self.found, self.raw)]


def emit(  # noqa: PLR0913 - each is an option of the command
    file: Path,
    *,
    office: str | None = None,
    dry_run: bool = False,
    replace: bool = False,
    as_new: bool = False,
    out: Path | None = None,
    encoding: Literal["utf-8", "gb18030"] | None = None,
    format: Literal["json", "table"] = "json",  # noqa: A002 - the word of `wuxing score`
    wait: float = 30,
    lang: Lang = None,
) -> int:
    """Publish a file's rows that pass the checks of ingest; a receipt or refusal a row. Run it again: nothing doubles.

    A row that the ledger has is not sent; one that differs from a standing event about the same thing is sent only with
    --replace or --as-new.

    Example: wuxing emit deductions.xlsx --office ducha --dry-run

    Parameters
    ----------
    file
        Events as .jsonl, or rows as .csv (UTF-8 or GB18030), .xlsx, .xls, .ods or WPS .et, by their bytes.
    office
        The party that sends, an office's or a unit's code; a .jsonl without it goes out for all whose keys are here.
    dry_run
        Send nothing: show which rows would be refused, what the others would count, and which units would move.
    replace
        Where a row corrects an earlier event: revoke that one and send the row.
    as_new
        Where a row is about the same thing as an earlier event: send it too; both count.
    out
        Write the workbook back with the outcome, sequence, id and message of each row.
    encoding
        The encoding of a .csv that could be read in two.
    format
        JSON, one object a line, or tables to read.
    wait
        Seconds of silence after which a receipt is no longer waited for.
    """
    known, chosen = read(), language(lang)
    newest = latest(known.snapshots)
    with point.snapshot(newest) if newest else contextlib.nullcontext() as found:
        con = found if found and point.meta(found).get("assessment") == known.assessment else None
        year = (
            point.year(con) if con else year_of_folder(known) or given(known.assessment, known.rulebook, known.roster)
        )
        since = store.changes(con) if con else ()
        year, judged = judge(known, year, file, office, chosen, begun=con is not None, encoding=encoding, since=since)
        compare(con, judged, chosen, partial(signed, known, year), replace=replace, as_new=as_new)
        changes: list[trials.Change] | None = None
        if dry_run:
            if con is None:
                print(TEXT["no_snapshot"].of(folder=known.snapshots).say(chosen), file=sys.stderr)
            fates, changes = trials.trial(con, year, [one for row in judged for one in row.sends], chosen)
            lines = list(foreseen(judged, fates, chosen))
        else:
            lines = deliver(known, judged, office, wait, chosen)
    show(lines, changes, format, chosen)
    if out is not None:
        _write_back(file, out, lines, chosen)
    return outcome(lines, wait, chosen)


def deliver(known: Settings, judged: Sequence[Judged], office: str | None, wait: float, lang: Language) -> list[Line]:
    """Send what goes out for rows, each event with its party's own key, and tell what became of every row."""
    letters = list(_letters(known, office, [one for row in judged for one in row.sends]))
    with Bar(lang, _("receipts")) as bar:
        receipts = asyncio.run(send(known, letters, patience=wait, told=bar.step))
    return list(told(judged, receipts, lang))


def judge(  # noqa: PLR0913 - what a row is judged by
    known: Settings,
    year: Year,
    file: Path,
    office: str | None,
    lang: Language,
    *,
    begun: bool,
    encoding: str | None,
    since: Sequence[Event] = (),
    note: Note = lambda said: print(said, file=sys.stderr),
) -> tuple[Year, list[Judged]]:
    """Every row with its event or refusal; an opening in a file for an empty ledger sets the year of what follows.

    `since` are the changes of units, items' offices and keys that the ledger has admitted since the opening.
    """
    checker, judged = Checker(year.rulebook, year.roster, lang, keys=year.keys), []
    for change in since:
        checker.apply(change)
    named = [one for one in since if one.change in ("joined", "renamed")]
    units = (Unit(one.subject, one.name or "", one.category or "", one.unit_group or "") for one in named)
    year = dataclasses.replace(year, roster=(*year.roster, *units))
    _check_party(year, office)
    for number, name, raw, cells in _raws(known, file, office, year, lang, encoding, note):
        found = raw if isinstance(raw, Refusal) else checked(known, checker, raw, office)
        line = b"" if isinstance(raw, Refusal) else raw
        if isinstance(found, Event) and not begun:
            begun = True
            if found.type == OPENED:
                year = Year(*opened(line))
                checker = Checker(year.rulebook, year.roster, lang, keys=year.keys)
        judged.append(Judged(number, name, line, found, cells))
    return year, judged


def compare(  # noqa: PLR0913 - what rows are laid beside, and what is asked
    con: duckdb.DuckDBPyConnection | None,
    judged: Sequence[Judged],
    lang: Language,
    sign: Callable[[str, bytes], bytes],
    *,
    replace: bool,
    as_new: bool,
    note: Note = lambda said: print(said, file=sys.stderr),
) -> None:
    """Lay each row beside what the ledger holds of its source: it is new, there already, or a correction."""
    events = [one.found for one in judged if isinstance(one.found, Event)]
    ledger, first = Earlier(con, events, lang), min((event.time for event in events), default="")
    for one in judged:
        if not isinstance(one.found, Event):
            continue
        one.earlier = earlier = ledger.look(one.found, one.raw, one.row)
        if earlier is None or earlier.how in ("there", "conflict"):
            continue
        if replace and earlier.how == "correction" and earlier.id is not None:
            why = TEXT["replaced"].of(id=earlier.anew or one.found.id).say(lang)
            taken, raw = revocation(one.found, earlier.id, why)
            raw = sign(subjects.party_of(taken.source) or "", raw)
            one.first = _sent(taken, raw), raw
        elif not as_new or (earlier.how == "gone" and earlier.anew is None):
            continue
        if earlier.anew is not None:
            one.found, raw = renamed(one.found, one.raw, earlier.anew)
            raw = joined(raw, texts.carried(one.raw))
            one.raw = sign(subjects.party_of(one.found.source) or "", raw)
        one.earlier = None
    _warn(judged, first, lang, note)


def _sent(event: Event, raw: bytes) -> Event:
    """An event as it goes out: with its texts out of line it has another id and reason than in the clear."""
    if not texts.carried(raw):
        return event
    made = read_raw(raw)
    return msgspec.structs.replace(event, id=made["id"], reason=made["data"].get("reason"))


def _warn(judged: Sequence[Judged], first: str, lang: Language, note: Note) -> None:
    """Say which rows occurred in the future, or more than a year before most of the file did."""
    now = instant(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")) or first
    events = [(one, one.found) for one in judged if isinstance(one.found, Event)]
    years = sorted(event.occurred for __, event in events)
    usual = int(years[len(years) // 2][:4]) if years and years[0][0] != "-" else 0
    for one, event in events:
        if event.occurred > now or (usual and abs(int(event.occurred[:4] or 0) - usual) > 1):
            note(TEXT["odd_time"].of(row=one.row, time=event.time).say(lang))


def _check_party(year: Year, office: str | None) -> None:
    offices = [one.code for one in year.rulebook.office]
    if office is not None and office not in offices and office not in {unit.unit for unit in year.roster}:
        listed = ", ".join(offices)
        raise Stop(
            Exit.USE, _("--office {office}: no such office or unit; offices are {listed}", office=office, listed=listed)
        )


def _raws(  # noqa: PLR0913, PLR0917 - what a row is read by
    known: Settings, file: Path, office: str | None, year: Year, lang: Language, encoding: str | None, note: Note
) -> Iterator[tuple[int, str | None, bytes | Refusal, dict[str, str]]]:
    """Number, sheet, event (or why it is none) and cells' addresses of every row; in a .jsonl every line counts."""
    try:
        with file.open("rb") as opening:
            head = opening.read(4096)
    except OSError as error:
        raise Stop(Exit.FAILED, _("{file}: cannot be read: {error}", file=file, error=error.strerror)) from None
    if _is_lines(file, head):
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield (
                    number,
                    None,
                    apart(known, year, line[:-1].removesuffix(b"\r") if line.endswith(b"\n") else line),
                    {},
                )
        return
    if office is None:
        raise Stop(Exit.USE, _("{file}: a table is one office's; name it with --office CODE", file=file))
    units, names = frozenset(unit.unit for unit in year.roster), sheet.Names(year)
    left: list[sheet.Unread] = []
    for row in sheet.rows(file, encoding, left=left):
        if row.hidden:
            note(TEXT["hidden_row"].of(row=row.number, sheet=row.sheet).say(lang))
        cells = {sheet.PATHS.get(column, ""): cell.address for column, cell in row.cells.items()}
        made = sheet.event(row, office, names, units, lang)
        yield row.number, row.sheet, made if isinstance(made, Refusal) else signed(known, year, office, made), cells
    for one in left:
        key = "untouched" if one.lines else "hidden_sheet" if one.column is None else "left_alone"
        note(TEXT[key].of(sheet=one.sheet or file.name, column=one.column, n=one.lines).say(lang))


def signed(known: Settings, year: Year, party: str, raw: bytes) -> bytes:
    """An event with its party's signature where the rulebook asks for one and the key lies here."""
    key = key_file(known.data, party)
    raw = apart(known, year, raw)
    if year.rulebook.signatures != "required" or not key.is_file():
        return raw
    if not year.rulebook.out_of_line:
        return signatures.signed(json.loads(raw), key.read_bytes())
    return joined(signatures.signed(json.loads(stripped(raw)), key.read_bytes()), texts.carried(raw))


def apart(known: Settings, year: Year, raw: bytes) -> bytes:
    """An event with its texts out of line, where the rulebook asks for it and it has any in the clear."""
    names = year.rulebook.out_of_line
    return texts.sealed_line(raw, names, partial(texts.secret, known.data), sheet.identifier) if names else raw


def _is_lines(file: Path, head: bytes) -> bool:
    """Whether a file holds JSON lines: never with a workbook's bytes; then its name says, then its first character."""
    if workbook.is_workbook(head):
        return False
    named = {".jsonl": True, ".ndjson": True, ".csv": False}.get(file.suffix.lower())
    return head.lstrip().startswith(b"{") if named is None else named


def checked(known: Settings, checker: Checker, raw: bytes, office: str | None) -> Event | Refusal:
    """What ingest would say, and whether there is a key to send it with."""
    found = checker.check(raw)
    if not isinstance(found, Event):
        return found
    party = subjects.party_of(found.source) or ""
    if office is not None and party != office:
        return checker.check(raw, subjects.intake(known.assessment, office, found.type, found.subject))
    key = key_file(known.data, party)
    if office is None and not key.is_file():
        reason = Reason.SOURCE_NOT_AUTHORISED
        words = message(reason, "source", ("value", f"a key at {key}"), ("nothing",), checker.lang)
        return Refusal(None, found.source, found.id, reason, "source", words)
    return found


# Sending ------------------------------------------------------------------------------------------------------------


def _letters(known: Settings, office: str | None, good: Sequence[tuple[Event, bytes]]) -> Iterator[Letter]:
    """Events on their way; one whose source and id came before in this file, the scorer will settle."""
    before: set[tuple[str, str]] = set()
    for event, raw in good:
        party = office or subjects.party_of(event.source) or ""
        pair = (event.source, event.id)
        subject = subjects.intake(known.assessment, party, event.type, event.subject)
        unit = event.source.startswith(subjects.UNITS)
        yield Letter(party, unit, event.type, subject, event.source, event.id, raw, pair in before)
        before.add(pair)


# Telling ------------------------------------------------------------------------------------------------------------


def _refused(one: Judged, refusal: Refusal) -> Line:
    return Line(
        one.row,
        one.sheet,
        refusal.source,
        refusal.id,
        "refused",
        reason=refusal.reason,
        path=refusal.path,
        cell=one.cells.get(refusal.path or ""),
        message=refusal.message,
    )


def _unsent(one: Judged, lang: Language) -> Line | None:
    """The line of a row for which nothing goes out: refused, there already, or a correction that waits for a word."""
    if isinstance(one.found, Refusal):
        return _refused(one, one.found)
    event, earlier = one.found, one.earlier
    if earlier is None:
        return None
    if earlier.how == "conflict":
        return _refused(one, conflict(None, event.source, event.id, lang))
    key: str = earlier.how
    if key == "correction" and earlier.sequence is None:
        key = "same_row"
    elif key == "gone" and earlier.anew is None:
        key = "used_up"
    words = TEXT[key].of(sequence=earlier.sequence, row=earlier.row, why=earlier.why).say(lang)
    id_ = event.id if earlier.how == "correction" else earlier.id
    seq, why = earlier.sequence, earlier.why
    return Line(one.row, one.sheet, event.source, id_, earlier.how, sequence=seq, message=words, why=why)


def told(judged: Sequence[Judged], receipts: Sequence[Receipt | None], lang: Language) -> Iterator[Line]:
    """Rows with their receipts; of a row that replaces an event, the revocation's where that was not accepted."""
    left = iter(receipts)
    for one in judged:
        if line := _unsent(one, lang):
            yield line
            continue
        mine = [next(left) for __ in one.sends]
        receipt = next((one for one in mine if one is None or one.outcome != "accepted"), mine[-1])
        source, id_ = (one.found.source, one.found.id)
        if receipt is None:
            yield Line(one.row, one.sheet, source, id_, "pending", message=TEXT["pending"].say(lang))
        else:
            line = Line(one.row, one.sheet, **msgspec.structs.asdict(receipt))
            line.cell = one.cells.get(line.path or "")
            yield line


def foreseen(judged: Sequence[Judged], fates: Sequence[trials.Fate], lang: Language) -> Iterator[Line]:
    """Rows with what the fold would make of them."""
    left = iter(fates)
    for one in judged:
        if line := _unsent(one, lang):
            yield line
            continue
        disposition, why, refusal = [next(left) for __ in one.sends][-1]
        if refusal:
            yield _refused(one, refusal)
        else:
            source, id_ = (one.found.source, one.found.id)
            yield Line(one.row, one.sheet, source, id_, "ready", disposition=disposition, why=why)


def _write_back(file: Path, out: Path, lines: Sequence[Line], lang: Language) -> None:
    try:
        answer.write(file, out, lines, lang)
    except OSError as error:
        raise Stop(Exit.FAILED, _("{out}: cannot be written: {error}", out=out, error=error.strerror)) from None


TEXT: dict[str, Text] = {
    "pending": _("Stored by the broker, no receipt yet. Nothing is lost: run the same command again."),
    "silent": _n(
        "{n} event is sent but no receipt came for {wait} seconds: is ingest running? "
        "`wuxing status` tells. Nothing is lost; run the same command again.",
        "{n} events are sent but no receipt came for {wait} seconds: is ingest running? "
        "`wuxing status` tells. Nothing is lost; run the same command again.",
    ),
    "no_snapshot": _("{folder} holds no snapshot of this assessment (WUXING_DATA): tried on an empty ledger."),
    "sum": _(
        "Rows {rows}: {accepted} accepted, {there} there already, {settled} duplicate or void, "
        "{ready} ready, {correction} waiting as corrections, {gone} counted no more, {refused} "
        "refused, {pending} without receipt."
    ),
    "there": _("There already, sequence {sequence}; not sent."),
    "correction": _(
        "A correction of sequence {sequence}? Nothing was sent: --replace revokes that one and "
        "sends this, --as-new counts both."
    ),
    "same_row": _(
        "About the same thing as row {row}, with other content. Nothing was sent: take one out, or --as-new."
    ),
    "gone": _(
        "The ledger has it as sequence {sequence}, but counts it no more: {why}. Nothing was "
        "sent: --as-new sends it once more, or take the row out."
    ),
    "used_up": _(
        "The ledger has this id as sequence {sequence}, but counts it no more: {why}. Nothing "
        "was sent: to send it once more give it another id."
    ),
    "replaced": _("Corrected: replaced by {id}"),
    "odd_time": _("row {row}: {time} is in the future or far from the rest: is the date right?"),
    "hidden_row": _("{sheet} row {row} is hidden, and read."),
    "hidden_sheet": _("the sheet {sheet} is hidden, and read."),
    "untouched": _n(
        "{sheet}: {n} prepared line is not filled in and not sent.",
        "{sheet}: {n} prepared lines are not filled in and not sent.",
    ),
    "left_alone": _("{sheet}: the column {column} is none of the form's and is left alone."),
    "change": _("Units that would change"),
    "rows": _("Rows"),
}


#: Titles of the table of rows.
COLUMN_TITLES = {
    "row": _("Row"), "sheet": _("Sheet"), "id": _("Id"), "outcome": _("Outcome"),
    "sequence": _("Sequence"), "reason": _p("refusal", "Reason"), "where": _("Where"),
    "disposition": _("Disposition"), "message": _("Message"),
}  # fmt: skip


def show(lines: Sequence[Line], changes: Sequence[trials.Change] | None, form: str, lang: Language) -> None:
    """Print what became of rows, and in a dry run which units would change: JSON lines, or tables."""
    if form == "json":
        out = sys.stdout.buffer
        for one in (*lines, *(changes or ())):
            out.write(msgspec.json.encode(one) + b"\n")
        out.flush()
        return
    table = Table(title=TEXT["rows"].say(lang), box=box.SIMPLE_HEAD, title_justify="left")
    for titles in COLUMN_TITLES.values():
        table.add_column(titles.say(lang), overflow="fold")
    for line in lines:
        where = line.cell or line.path
        cells = (line.row, line.sheet, line.id, line.outcome, line.sequence, line.reason, where, line.disposition)
        table.add_row(*("" if cell is None else str(cell) for cell in (*cells, line.message or line.why)))
    tables.console().print(table)
    if changes is not None:
        tables.console().print(_changes(changes, lang))


def _changes(changes: Sequence[trials.Change], lang: Language) -> Table:
    table = Table(title=f"{TEXT['change'].say(lang)} ({len(changes)})", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("unit", "final", "place", "grades"):
        table.add_column(tables.words(name, lang))
    for change in changes:
        table.add_row(change.unit, *standing_cells(change.before, change.after, {}))
    return table


def outcome(lines: Sequence[Line], wait: float, lang: Language) -> int:
    """Talk on stderr, and the exit code: a receipt that did not come is worse than a refusal or void that did."""
    kinds = ("accepted", "settled", "ready", "pending", "there", "correction", "gone")
    counts = {key: sum(line.outcome == key for line in lines) for key in kinds}
    refused = sum(line.outcome == "refused" or line.reason is not None for line in lines)
    counts["settled"] -= sum(line.outcome == "settled" and line.reason is not None for line in lines)
    print(TEXT["sum"].of(rows=len(lines), refused=refused, **counts).say(lang), file=sys.stderr)
    if counts["pending"]:
        print(TEXT["silent"].of(n=counts["pending"], wait=f"{wait:g}").say(lang), file=sys.stderr)
        return Exit.FAILED
    void = any(line.disposition == "void" for line in lines)
    return Exit.NO if refused or void or counts["correction"] or counts["gone"] else Exit.DONE
