"""What the pages read: the newest snapshot, and in it the state of any sequence under any readings."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Event, Lock, RLock, Thread
from typing import Any

import duckdb

from schemas.rulebook import SHIPPED, Reading, Rulebook
from schemas.rulebook import load as load_rulebook
from services.scorer import rules
from services.snapshot.make import PUBLISHED, latest
from services.snapshot.point import stored

#: Kept of one snapshot, and snapshots kept open: a page that is under way ends on the one it began with.
STATES_KEPT, SNAPSHOTS_KEPT, PAGES_KEPT = 12, 2, 128
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}
Row = dict[str, Any]
Readings = tuple[tuple[str, str], ...]


class NoSnapshot(Exception):  # noqa: N818 - house style: a refusal has a name of its own
    """There is nothing to show yet, or the file is no snapshot."""


class State:
    """The results at one sequence under some readings: one connection on which the rules' views can be read.

    The published tables answer for the newest state as it was published; all else is computed once, on first need.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, as_of: int | None, readings: Readings) -> None:
        self.as_of, self.readings = as_of, readings
        self._con, self._lock, self._computed = con, RLock(), False
        self._asked: dict[tuple[str, tuple[Any, ...]], list[Row]] = {}
        self._open = ExitStack()
        if readings:
            names, values = zip(*readings, strict=True)
            con.execute("SET VARIABLE readings = MAP(?::VARCHAR[], ?::VARCHAR[])", [list(names), list(values)])
        if as_of is None and not readings:
            for table, view in PUBLISHED.items():
                con.execute(f"CREATE TEMP VIEW {view} AS FROM {table}")
        else:
            self.whole()

    def whole(self) -> "State":
        """Compute every view of the state, where only the published tables were there."""
        with self._lock:
            if not self._computed:
                if self.as_of is None and not self.readings:
                    for view in PUBLISHED.values():
                        self._con.execute(f"DROP VIEW temp.{view}")
                self._open.enter_context(rules.compute(self._con, as_of=self.as_of))
                self._computed = True
        return self

    def rows(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """The rows of a query, by column."""
        with self._lock:
            found = self._con.execute(sql, values if isinstance(values, dict) else list(values))
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

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
                found = self._states[key] = State(self.con.cursor(), *key)
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

    def begin(self, work: Callable[[], None]) -> None:
        """Do something slow beside the pages; it looks at `stopping` between its steps."""
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
        books = [*([year.rulebook] if year else []), load_rulebook(SHIPPED / "rulebook.toml")]
        return next((book for book in books if book.id == self.meta["rulebook"]), None)

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

    def stop(self) -> None:
        """End what goes on beside the pages, when the server ends."""
        for snapshot in list(self._open.values()):
            snapshot.stop()


def opened(path: Path) -> Snapshot:
    """Open a snapshot, read-only; raises NoSnapshot when the file is none."""
    try:
        con = duckdb.connect(str(path), read_only=True, config=CONFIG)
        meta = dict(con.execute("SELECT key, value FROM meta").fetchall())
    except duckdb.Error:
        raise NoSnapshot(str(path)) from None
    return Snapshot(path, con, meta)
