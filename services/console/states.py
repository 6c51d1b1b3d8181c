"""What the pages read: the newest snapshot, and in it the state of any sequence under any readings."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event, Lock, RLock, Thread, get_ident
from typing import Any, TypeVar

import duckdb

from schemas.rulebook import Reading, Rulebook
from schemas.told import Told
from services.process.ending import Stop
from services.scorer import rules
from services.snapshot import held, point
from services.snapshot.make import PUBLISHED, latest
from services.snapshot.point import stored

#: Kept of one snapshot, and snapshots kept open: a page that is under way ends on the one it began with.
STATES_KEPT, SNAPSHOTS_KEPT, PAGES_KEPT = 12, 2, 128
#: The engine's threads and memory; the pages are for many, and the machine is not theirs alone.
ENGINE = {"threads": "2", "memory_limit": "2GB"}
Row = dict[str, Any]
T = TypeVar("T")
Readings = tuple[tuple[str, str], ...]


class NoSnapshot(Exception):  # noqa: N818 - house style: a refusal has a name of its own
    """There is nothing to show yet, or the file is no snapshot; `why` says why it is none."""

    def __init__(self, place: str, why: Told | None = None) -> None:
        super().__init__(place)
        self.why = why


class State:
    """The results at one sequence under some readings: one connection on which the rules' views can be read.

    The published tables answer for the newest state as it was published; all else is computed once, on first need.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, as_of: int | None, readings: Readings, *, published: bool = False
    ) -> None:
        self.as_of, self.readings = as_of, readings
        self.con, self._lock, self._ready, self._published = con, RLock(), False, published
        self._asked: dict[tuple[str, tuple[Any, ...]], list[Row]] = {}
        self._open = ExitStack()
        self._viewed: set[str] = set()
        self.thread: int | None = None

    @cached_property
    def _computed(self) -> "State":
        return State(self.con.cursor(), self.as_of, self.readings)

    def whole(self) -> "State":
        """The state with every view computed, where this one has only the published tables."""
        return self._computed if self._published else self

    def _prepare(self, sql: str) -> None:
        if self._published:
            self._view(sql)
        if self._ready:
            return
        if self.readings:
            names, values = zip(*self.readings, strict=True)
            self.con.execute("SET VARIABLE readings = MAP(?::VARCHAR[], ?::VARCHAR[])", [list(names), list(values)])
        if self._published:
            for table, view in PUBLISHED.items():
                self.con.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS FROM {table}")
        else:
            self._open.enter_context(rules.compute(self.con, as_of=self.as_of))
        self._ready = True

    def _view(self, sql: str) -> None:
        """Make the views that a query mentions and that were not published."""
        words = {*re.findall(r"\w+", sql)} - self._viewed
        for one in rules.definitions():
            if one.kind == "VIEW" and one.name in words and one.name not in PUBLISHED.values():
                self.con.execute(one.view().replace("CREATE VIEW", "CREATE OR REPLACE TEMP VIEW", 1))
        self._viewed |= words

    def interrupt(self, thread: int) -> None:
        """Stop what a thread asks of the engine just now."""
        for one in (self, self.__dict__.get("_computed")):
            if one is not None and one.thread == thread:
                one.con.interrupt()

    def rows(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """The rows of a query, by column."""
        with self._lock:
            self.thread = get_ident()
            try:
                self._prepare(sql)
                found = self.con.execute(sql, values if isinstance(values, dict) else list(values))
                names = [column[0] for column in found.description or ()]
                return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            finally:
                self.thread = None

    def read(self, reader: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """What a reader makes of the computed views."""
        with self._lock:
            self.thread = get_ident()
            try:
                self._prepare("")
                return reader(self.con)
            finally:
                self.thread = None

    def once(self, sql: str, *values: Any) -> list[Row]:
        """The rows of a query that many pages ask and that never answers otherwise: asked once a state."""
        with self._lock:
            if (sql, values) not in self._asked:
                self._asked[sql, values] = self.rows(sql, values)
            return self._asked[sql, values]

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, null when there is none."""
        return next(iter(self.rows(sql, values)), None)


@dataclass
class Snapshot:
    """One open snapshot file, with its facts and the states that were asked for."""

    path: Path
    con: duckdb.DuckDBPyConnection
    meta: dict[str, str]
    kept: dict[Any, Any] = field(default_factory=dict)
    _states: OrderedDict[tuple[int | None, Readings], State] = field(default_factory=OrderedDict)
    _pages: OrderedDict[Any, str] = field(default_factory=OrderedDict)
    workers: list[Thread] = field(default_factory=list)
    stopping: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    @property
    def sequence(self) -> int:
        """The last sequence it holds."""
        return int(self.meta["sequence"])

    @property
    def synthetic(self) -> bool:
        """Whether its units are made up; every page says so then."""
        return self.meta.get("synthetic") == "true"

    def state(self, as_of: int | None = None, readings: Readings = ()) -> State:
        """The state at a sequence (null: the last) under readings put over those in force."""
        key = (None if as_of is None or as_of >= self.sequence else as_of, readings)
        with self._lock:
            found = self._states.get(key)
            if found is None:
                found = self._states[key] = State(self.con.cursor(), *key, published=key == (None, ()))
            self._states.move_to_end(key)
            while len(self._states) > STATES_KEPT:
                self._states.popitem(last=False)
        return found

    def page(self, key: Any) -> str | None:
        """A page made before: it depends on nothing but the snapshot and its address, language and theme."""
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
            return self._pages.get(key)

    def keep(self, key: Any, text: str) -> None:
        """Keep a page for the next who asks for it."""
        with self._lock:
            self._pages[key] = text
            while len(self._pages) > PAGES_KEPT:
                self._pages.popitem(last=False)

    def interrupt(self, thread: int) -> None:
        """Stop what a thread asks of the engine just now, in whatever state."""
        for state in list(self._states.values()):
            state.interrupt(thread)

    def begin(self, work: Callable[[], None]) -> None:
        """Do something slow beside the pages; it looks at `stopping` between its steps."""
        self.workers = [one for one in self.workers if one.is_alive()]
        thread = Thread(target=work, name="console-worker")
        self.workers.append(thread)
        thread.start()

    def stop(self) -> None:
        """End what goes on beside the pages."""
        self.stopping.set()
        for thread in self.workers:
            thread.join()

    @cached_property
    def sha256(self) -> str:
        """The file's SHA-256, as the ranking published it."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def rulebook(self) -> Rulebook | None:
        """The rulebook that the ledger opened with, or the shipped one: the one that this snapshot is scored by."""
        year = stored(self.con.cursor())
        return year.rulebook if year else None

    @property
    def choices(self) -> tuple[Reading, ...]:
        """The readings that can be chosen, each with its values; none where the rulebook is not at hand."""
        return self.rulebook.reading if self.rulebook else ()


class Snapshots:
    """The folder of published snapshots (or one file): a new one appears by itself."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._open: OrderedDict[Path, Snapshot] = OrderedDict()
        self._lock = Lock()

    def current(self) -> Snapshot:
        """The newest snapshot; raises NoSnapshot."""
        path = self.place.resolve() if self.place.is_file() else latest(self.place)
        if path is None:
            raise NoSnapshot(str(self.place))
        with self._lock:
            if path not in self._open:
                self._open[path] = opened(path)
            while len(self._open) > SNAPSHOTS_KEPT:
                self._open.popitem(last=False)[1].stopping.set()
            return self._open[path]

    def interrupt(self, thread: int) -> None:
        """Stop what a thread asks of the engine just now, in whatever snapshot."""
        for snapshot in list(self._open.values()):
            snapshot.interrupt(thread)

    def stop(self) -> None:
        """End what goes on beside the pages, when the server ends."""
        for snapshot in list(self._open.values()):
            snapshot.stop()


def opened(path: Path) -> Snapshot:
    """Open a snapshot, read-only; raises NoSnapshot when the file is none."""
    try:
        con = held.opened(path, **ENGINE)
        point.check(con, path)
    except (held.Unopened, Stop) as error:
        raise NoSnapshot(str(path), error) from None
    return Snapshot(path, con, point.meta(con))
