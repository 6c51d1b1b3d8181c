"""The command `emit`: publishes the rows of a file that pass the checks ingest makes, and tells what became of each."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
import pyarrow as pa
from rich import box
from rich.table import Table

from infra.rights import key_file
from schemas import subjects
from schemas.events import OPENED, Event
from schemas.receipts import Receipt
from schemas.refusals import Language, Reason, Refusal, message
from schemas.year import Year, given
from services.command import tables
from services.command.options import Lang
from services.command.progress import Bar
from services.ingest.check import Checker, opened
from services.office import dry_run as trials
from services.office import sheet
from services.office.send import Letter, send
from services.process.ending import Exit, Stop
from services.process.settings import Settings, language, read
from services.snapshot import point
from services.snapshot.make import latest


class Line(msgspec.Struct, omit_defaults=True):
    """What became of a row: its receipt, or with outcome `ready` (dry run) or `pending` (no receipt yet) none."""

    row: int
    sheet: str | None
    source: str | None
    id: str | None
    outcome: Literal["accepted", "refused", "settled", "ready", "pending"]
    sequence: int | None = None
    leaf: str | None = None
    reason: str | None = None
    path: str | None = None
    message: str | None = None
    disposition: str | None = None
    why: str | None = None


class Judged(msgspec.Struct):
    """A row as the checks leave it: its event and the bytes that are it, or its refusal."""

    row: int
    sheet: str | None
    raw: bytes
    found: Event | Refusal


def emit(  # noqa: PLR0913 - each is an option of the command
    file: Path,
    *,
    office: str | None = None,
    dry_run: bool = False,
    format: Literal["json", "table"] = "json",  # noqa: A002 - the word of `wuxing score`
    wait: float = 30,
    lang: Lang = None,
) -> int:
    """Publish a file's rows that pass the checks of ingest; a receipt or refusal a row. Run it again: nothing doubles.

    Example: wuxing emit deductions.xlsx --office ducha --dry-run

    Parameters
    ----------
    file
        Events as .jsonl, or rows as .csv (UTF-8 or GB18030), .xlsx, .xls, .ods or WPS .et, by their bytes.
    office
        The party that sends, an office's or a unit's code; a .jsonl without it goes out for all whose keys are here.
    dry_run
        Send nothing: show which rows would be refused, what the others would count, and which units would move.
    format
        JSON, one object a line, or tables to read.
    wait
        Seconds of silence after which a receipt is no longer waited for.
    """
    known, chosen = read(), language(lang)
    newest = latest(known.snapshots)
    with point.snapshot(newest) if newest else contextlib.nullcontext() as found:
        con = found if found and point.meta(found).get("assessment") == known.assessment else None
        year = point.year(con) if con else given(known.assessment, known.rulebook, known.roster)
        year, judged = _judged(known, year, file, office, chosen, begun=con is not None)
        good = [(one.found, one.raw) for one in judged if isinstance(one.found, Event)]
        changes: list[trials.Change] | None = None
        if dry_run:
            if con is None:
                print(TEXT["no_snapshot"][chosen].format(folder=known.snapshots), file=sys.stderr)
            fates, changes = trials.trial(con, year, good, chosen)
            lines = list(_foreseen(judged, fates))
        else:
            letters = list(_letters(known, office, good, _held(con, [event for event, _ in good])))
            with Bar(chosen, "receipts", "回执") as bar:
                receipts = asyncio.run(send(known, letters, patience=wait, told=bar.step))
            lines = list(_told(judged, receipts, chosen))
    _print(lines, changes, format, chosen)
    return _outcome(lines, wait, chosen)


def _judged(  # noqa: PLR0913 - what a row is judged by
    known: Settings, year: Year, file: Path, office: str | None, lang: Language, *, begun: bool
) -> tuple[Year, list[Judged]]:
    """Every row with its event or refusal; an opening in a file for an empty ledger sets the year of what follows."""
    _check_party(year, office)
    checker, judged = Checker(year.rulebook, year.roster, lang), []
    for number, name, raw in _raws(file, office, year, lang):
        found = raw if isinstance(raw, Refusal) else _checked(known, checker, raw, office)
        line = b"" if isinstance(raw, Refusal) else raw
        if isinstance(found, Event) and not begun:
            begun = True
            if found.type == OPENED:
                year = Year(*opened(line))
                checker = Checker(year.rulebook, year.roster, lang)
        judged.append(Judged(number, name, line, found))
    return year, judged


def _check_party(year: Year, office: str | None) -> None:
    offices = [one.code for one in year.rulebook.office]
    if office is not None and office not in offices and office not in {unit.unit for unit in year.roster}:
        listed = ", ".join(offices)
        raise Stop(
            Exit.USE,
            f"--office {office}: no such office or unit; offices are {listed}",
            f"--office {office}：没有这个责任单位或考核对象；责任单位：{listed}",
        )


def _raws(
    file: Path, office: str | None, year: Year, lang: Language
) -> Iterator[tuple[int, str | None, bytes | Refusal]]:
    """Number, sheet and event of every row, or why it is none; in a .jsonl every line counts, blank ones too."""
    try:
        with file.open("rb") as opening:
            head = opening.read(4096)
    except OSError as error:
        raise Stop(
            Exit.FAILED, f"{file}: cannot be read: {error.strerror}", f"{file}：无法读取：{error.strerror}"
        ) from None
    if _is_lines(file, head):
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield number, None, line[:-1].removesuffix(b"\r") if line.endswith(b"\n") else line
        return
    if office is None:
        raise Stop(
            Exit.USE,
            f"{file}: a table is one office's; name it with --office CODE",
            f"{file}：一份表格只属于一家单位；请用--office指定其代码",
        )
    units = frozenset(unit.unit for unit in year.roster)
    for row in sheet.rows(file):
        yield row.number, row.sheet, sheet.event(row, office, units, lang)


def _is_lines(file: Path, head: bytes) -> bool:
    """Whether a file holds JSON lines: never with a workbook's bytes; then its name says, then its first character."""
    if sheet.is_workbook(head):
        return False
    named = {".jsonl": True, ".ndjson": True, ".csv": False}.get(file.suffix.lower())
    return head.lstrip().startswith(b"{") if named is None else named


def _checked(known: Settings, checker: Checker, raw: bytes, office: str | None) -> Event | Refusal:
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


def _held(con: duckdb.DuckDBPyConnection | None, events: Sequence[Event]) -> set[tuple[str, str]]:
    """The pairs of source and id that the latest snapshot has already."""
    if con is None or not events:
        return set()
    pairs = pa.table({"source": [event.source for event in events], "id": [event.id for event in events]})
    cursor = con.cursor()
    cursor.register("sent", pairs)
    return set(cursor.execute("SELECT source, id FROM event SEMI JOIN sent USING (source, id)").fetchall())


def _letters(
    known: Settings, office: str | None, good: Sequence[tuple[Event, bytes]], held: set[tuple[str, str]]
) -> Iterator[Letter]:
    """Events on their way; one whose source and id came before, there or in this file, the scorer will settle."""
    before = set(held)
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
        message=refusal.message,
    )


def _told(judged: Sequence[Judged], receipts: Sequence[Receipt | None], lang: Language) -> Iterator[Line]:
    """Rows with their receipts."""
    left = iter(receipts)
    for one in judged:
        if isinstance(one.found, Refusal):
            yield _refused(one, one.found)
        elif (receipt := next(left)) is None:
            yield Line(one.row, one.sheet, one.found.source, one.found.id, "pending", message=TEXT["pending"][lang])
        else:
            yield Line(one.row, one.sheet, **msgspec.structs.asdict(receipt))


def _foreseen(judged: Sequence[Judged], fates: Sequence[trials.Fate]) -> Iterator[Line]:
    """Rows with what the fold would make of them."""
    left = iter(fates)
    for one in judged:
        if isinstance(one.found, Refusal):
            yield _refused(one, one.found)
            continue
        disposition, why, refusal = next(left)
        if refusal:
            yield _refused(one, refusal)
        else:
            yield Line(one.row, one.sheet, one.found.source, one.found.id, "ready", disposition=disposition, why=why)


TEXT: dict[str, dict[Language, str]] = {
    "pending": {
        "en": "Stored by the broker, no receipt yet. Nothing is lost: run the same command again.",
        "zh": "消息服务器已存入，尚无回执。数据未丢失：重新执行同一命令即可。",
    },
    "silent": {
        "en": "{pending} events are sent but no receipt came for {wait:g} seconds: is ingest running? `wuxing status`"
        " tells. Nothing is lost; run the same command again.",
        "zh": "已发送{pending}条，{wait:g}秒内没有回执：ingest是否在运行？可用`wuxing status`查看。"
        "数据未丢失，重新执行同一命令即可，同一事件只计一次。",
    },
    "no_snapshot": {
        "en": "{folder} holds no snapshot of this assessment (WUXING_DATA): tried on an empty ledger.",
        "zh": "{folder}中没有本次考核的快照（WUXING_DATA）：以空账本试算。",
    },
    "sum": {
        "en": "{rows} rows: {accepted} accepted, {settled} there before or void, {ready} ready, {refused} refused,"
        " {pending} without receipt.",
        "zh": "共{rows}行：受理{accepted}，重复或无效{settled}，可发送{ready}，拒收{refused}，待回执{pending}。",
    },
    "change": {"en": "Units that would change", "zh": "将发生变动的单位"},
    "rows": {"en": "Rows", "zh": "各行结果"},
}


def _print(lines: Sequence[Line], changes: Sequence[trials.Change] | None, form: str, lang: Language) -> None:
    if form == "json":
        out = sys.stdout.buffer
        for one in (*lines, *(changes or ())):
            out.write(msgspec.json.encode(one) + b"\n")
        out.flush()
        return
    table = Table(title=TEXT["rows"][lang], box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("row", "sheet", "id", "outcome", "sequence", "reason", "path", "disposition", "message"):
        table.add_column(name, overflow="fold")
    for line in lines:
        cells = (line.row, line.sheet, line.id, line.outcome, line.sequence, line.reason, line.path, line.disposition)
        table.add_row(*("" if cell is None else str(cell) for cell in (*cells, line.message or line.why)))
    tables.console().print(table)
    if changes is not None:
        tables.console().print(_changes(changes, lang))


def _changes(changes: Sequence[trials.Change], lang: Language) -> Table:
    table = Table(title=f"{TEXT['change'][lang]} ({len(changes)})", box=box.SIMPLE_HEAD, title_justify="left")
    columns = ("final", "place", "passed", "award", "undecided")
    for name in ("unit", *columns):
        table.add_column(tables.words(name, lang))
    for change in changes:
        pairs = ((getattr(change, f"{name}_before"), getattr(change, f"{name}_after")) for name in columns)
        table.add_row(change.unit, *(_shown(a) if a == b else f"{_shown(a)} → {_shown(b)}" for a, b in pairs))
    return table


def _shown(value: object) -> str:
    marks = {True: "✓", False: "✗", None: "–"}
    if isinstance(value, bool) or value is None:
        return marks[value]
    return " ".join(value) or "–" if isinstance(value, list) else str(value)


def _outcome(lines: Sequence[Line], wait: float, lang: Language) -> int:
    """Talk on stderr, and the exit code: a receipt that did not come is worse than a refusal that did."""
    counts = {key: sum(line.outcome == key for line in lines) for key in ("accepted", "settled", "ready", "pending")}
    refused = sum(line.outcome == "refused" or line.reason is not None for line in lines)
    counts["settled"] -= sum(line.outcome == "settled" and line.reason is not None for line in lines)
    print(TEXT["sum"][lang].format(rows=len(lines), refused=refused, **counts), file=sys.stderr)
    if counts["pending"]:
        print(TEXT["silent"][lang].format(pending=counts["pending"], wait=wait), file=sys.stderr)
        return Exit.FAILED
    return Exit.NO if refused else Exit.DONE
