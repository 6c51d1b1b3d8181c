"""What a party has laid on the desk: a workbook or a form's rows, tried, sent through the gateway's road, and followed.

A form is a workbook of few rows, so that everything goes one way: read, judged by ingest's own checks, laid beside what
the ledger holds, folded on trial, shown; and sent only when its party says so. A tray lives in this process for hours.
What was sent does not hang on it: the same rows again are the same events.
"""

import asyncio
import csv
import io
import re
import secrets
import tempfile
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal

import duckdb

from schemas.events import ERASED, Event
from schemas.receipts import Receipt
from schemas.words import Language, _
from services.console.door import Door
from services.gateway.desk import Busy, Desk, Problem, TooMany, problem
from services.office import answer, emit, erasing
from services.office.dry_run import Change, trial
from services.office.sheet import TITLES
from services.scorer import store
from services.snapshot import point

KEPT, BYTES = 64, 128 * 1024 * 1024
"""Trays, and bytes of their files, that are kept at once; the oldest go."""
LASTS = 6 * 3600
CHUNK, TRIES = 200, 30
"""Events that are handed in at once, and how often a place is asked for."""
Mode = Literal["ask", "replace", "as_new"]


@dataclass
class Tray:
    """A file on the desk: whose, its rows as they were judged, what became of them, and the units that would move.

    `goes` are the texts that its orders would erase; they are shown until these are sent.
    """

    party: str
    name: str
    raw: bytes
    lang: Language
    encoding: Literal["utf-8", "gb18030"] | None = None
    mode: Mode = "ask"
    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    begun: float = field(default_factory=time.monotonic)
    judged: list[emit.Judged] = field(default_factory=list)
    lines: list[emit.Line] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    goes: list[str] = field(default_factory=list)
    state: Literal["tried", "sending", "sent"] = "tried"
    tried: list[emit.Line] = field(default_factory=list)
    receipts: list[Receipt | None] = field(default_factory=list)
    handed: int = 0
    trouble: str | None = None

    def __post_init__(self) -> None:
        """Keep of a name what a file may be called."""
        self.name = re.sub(r"[^\w.() -]", "_", self.name)[-100:].lstrip(".") or "file"

    @property
    def sends(self) -> list[tuple[Event, bytes]]:
        """The events that go out for it, in order."""
        return [one for row in self.judged for one in row.sends]

    @property
    def counts(self) -> Counter[str]:
        """How many rows have which outcome."""
        return Counter(line.outcome for line in self.lines)

    @property
    def form(self) -> bool:
        """Whether its rows were typed into a form."""
        return self.name == FORM


FORM = "form.csv"


class Trays:
    """The trays that there are, by their ids; nobody but its party sees one."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Tray] = OrderedDict()
        self._lock = Lock()

    def put(self, tray: Tray) -> None:
        """Keep a tray; those that are old, or too many or too large together, go."""
        with self._lock:
            self._held[tray.id] = tray
            while (
                len(self._held) > KEPT
                or sum(len(one.raw) for one in self._held.values()) > BYTES
                or time.monotonic() - next(iter(self._held.values())).begun > LASTS
            ):
                self._held.popitem(last=False)

    def of(self, party: str, id_: str) -> Tray | None:
        """A tray of a party; null where it has none of that id."""
        found = self._held.get(id_)
        return found if found is not None and found.party == party else None

    def listed(self, party: str) -> list[Tray]:
        """The trays of a party, the newest first."""
        return [one for one in reversed(list(self._held.values())) if one.party == party]

    def drop(self, tray: Tray) -> None:
        """Take a tray away."""
        with self._lock:
            self._held.pop(tray.id, None)


def rows(cells: Iterable[Mapping[str, str]]) -> bytes:
    """The rows of a form as a file that `emit` takes."""
    listed = [{name: text for name, text in one.items() if text} for one in cells]
    names = [name for name in TITLES if any(name in one for one in listed)]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="")
    writer.writeheader()
    writer.writerows(listed)
    return out.getvalue().encode()


def try_(tray: Tray, at: Door, con: duckdb.DuckDBPyConnection | None) -> None:
    """Judge the rows, lay them beside the ledger, and fold them on trial. Raises Stop for the file."""
    if con is not None:
        year = point.year(con)
    else:
        assert at.year is not None, "who has a desk has a year"
        year = at.year
    with tempfile.TemporaryDirectory(prefix="wuxing-tray-") as folder:
        path = Path(folder) / tray.name
        path.write_bytes(tray.raw)
        year, tray.judged = emit.judge(
            at.settings, year, path, tray.party, tray.lang,
            begun=con is not None, encoding=tray.encoding, since=store.changes(con) if con else (),
            note=tray.notes.append,
        )  # fmt: skip
    emit.compare(
        con, tray.judged, tray.lang, partial(emit.signed, at.settings, year),
        replace=tray.mode == "replace", as_new=tray.mode == "as_new", note=tray.notes.append,
    )  # fmt: skip
    fates, tray.changes = trial(con, year, tray.sends, tray.lang)
    tray.lines = tray.tried = list(emit.foreseen(tray.judged, fates, tray.lang))
    orders = [(one.target_source or "", one.target_id or "") for one, __ in tray.sends if one.type == ERASED]
    names = year.rulebook.out_of_line
    tray.goes = [line for order in orders if con for line in erasing.told(con, names, *order, tray.lang)]


async def send(tray: Tray, at: Door) -> None:
    """Hand the events of a tray in, some at a time and in order, each under its party's authority."""
    assert at.desk is not None, "nothing is sent without a desk"
    events = tray.sends
    tray.state, tray.receipts, tray.handed, tray.trouble = "sending", [None] * len(events), 0, None
    tray.goes = []
    try:
        for first in range(0, len(events), CHUNK):
            chunk = [raw for __, raw in events[first : first + CHUNK]]
            heard = await _handed_in(tray, at, at.desk, chunk)
            if heard is None:
                break
            tray.receipts[first : first + len(chunk)] = heard
            tray.handed = first + len(chunk)
            tray.lines = _lines(tray)
    finally:
        tray.state, tray.lines = "sent", _lines(tray)


async def _handed_in(tray: Tray, at: Door, desk: Desk, raws: Sequence[bytes]) -> list[Receipt | None] | None:
    """The receipts of some events, null where one is still to come; null alone where nothing more can be sent."""
    name = "try_again"
    for __ in range(TRIES):
        try:
            answers = await desk.take(tray.party, raws, lang=tray.lang)
        except TooMany as error:
            name = error.name
            if name == "quota_spent":
                break
            await asyncio.sleep(error.retry)
        except Busy:
            break
        else:
            unsent = [one.body.detail for one in answers if isinstance(one.body, Problem)]
            tray.trouble = unsent[0] if unsent else tray.trouble
            return [one.body if isinstance(one.body, Receipt) else None for one in answers]
    most = at.settings.limits
    gaps = {"limit": desk.share, "events": most.office_events, "bytes": most.office_bytes}
    said = problem(name, tray.lang, **gaps).body
    tray.trouble = said.detail if isinstance(said, Problem) else None
    return None


def follow(tray: Tray, desk: Desk) -> None:
    """Look for the newest receipt of each event that was sent: the one that was missed, or the fold's later word."""
    if tray.state != "sent":
        return
    for n, (event, __) in enumerate(tray.sends[: tray.handed]):
        kept = desk.ask(tray.party, event.source, event.id)
        if kept is not None and isinstance(kept.body, Receipt):
            tray.receipts[n] = kept.body
    tray.lines = _lines(tray)


def _lines(tray: Tray) -> list[emit.Line]:
    """What became of each row; a row that was not handed in is as it was tried."""
    lines, after = list(emit.told(tray.judged, tray.receipts, tray.lang)), 0
    for n, row in enumerate(tray.judged):
        after += len(row.sends)
        if row.sends and after > tray.handed:
            lines[n] = tray.tried[n]
    return lines


def with_outcomes(tray: Tray) -> tuple[str, bytes]:
    """The workbook of a tray with the outcome of each row beside it, and its name; of a CSV a workbook too."""
    name = Path(tray.name)
    with tempfile.TemporaryDirectory(prefix="wuxing-tray-") as folder:
        path, out = Path(folder) / tray.name, Path(folder) / "outcomes.xlsx"
        path.write_bytes(tray.raw)
        answer.write(path, out, tray.lines, tray.lang)
        return _("{stem}-outcomes.xlsx", stem=name.stem).say(tray.lang), out.read_bytes()
