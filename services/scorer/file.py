"""Folds a file of events without a server: the line number is the sequence, the code path that of the services."""

import errno
import gc
import multiprocessing
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from schemas import soundness
from schemas.events import CHANGES, OPENED, Event
from schemas.refusals import Refusal
from schemas.roster import Unit
from schemas.words import Language
from schemas.year import Year
from services.ingest.check import Accept, Checker, opened
from services.ingest.line import Wire, read
from services.scorer import rules, store
from services.scorer.admission import admit

CHUNK = 4 * 1024 * 1024
SLICE = 1000
"""Lines made into columns at once: few enough to be in the processor's cache still."""
#: Columns that no number depends on.
UNSEEN = frozenset({"raw", "time", "reason"})
Progress = Callable[[int, int], None]
Checked = tuple[pa.Table, list[Refusal], int]
"""Lines that were checked: the events, the refusals, the number of lines."""


@dataclass(frozen=True)
class Folded:
    """A file folded into a DuckDB connection."""

    con: duckdb.DuckDBPyConnection
    year: Year
    lines: int
    refused: list[Refusal]


def fold(  # noqa: PLR0913 - each is an option of the command
    path: Path,
    given: Year,
    *,
    over: Collection[str] = (),
    accept: Accept = soundness.read,
    target: Path | None = None,
    limit: int | None = None,
    until: str | None = None,
    keep_raw: bool = True,
    lang: Language = "en",
    progress: Progress = lambda _done, _total: None,
) -> Folded:
    """Check and fold the lines of a file up to `limit`; an `assessment.opened` as first event sets the year.

    What of the year given is named in `over` (its fields) wins over the event's. With `until`, an instant, only what
    had occurred by then is folded, by the rulebook and roster of the whole file. Raises OSError when the file cannot be
    read.
    """
    file = _File(path, _stamp(path), 2**62 if limit is None else limit, frozenset() if keep_raw else UNSEEN)
    head = _head(file, Checker(given.rulebook, given.roster, lang, accept=accept, began=False))
    year = given
    if head.event is not None and head.event.type == OPENED:
        year = replace(Year(*opened(head.raw)), **{name: getattr(given, name) for name in over})
    with _checking(_Rule(year, accept, lang), file.size) as (check, no_more):
        con = store.fresh(target)
        con.execute("SET preserve_insertion_order = false")
        rules.load_rulebook(con, year.rulebook, year.roster)
        folding = _Folding(con, file, head, until)
        folding.admit()
        for chunk in _chunks(file, head):
            folding.waiting.append(check(chunk, folding.changes))
            if chunk.changes:
                folding.admit()
            progress(chunk.end, file.size)
        no_more()
        folding.admit()
    return Folded(con, year, folding.lines, folding.refused)


@dataclass(frozen=True)
class _File:
    """A file as it is read: its size and time when it was first looked at, how many lines count, what is left out."""

    path: Path
    stamp: tuple[int, int]
    limit: int
    without: frozenset[str]

    @property
    def size(self) -> int:
        return self.stamp[0]

    def again(self, wanted: set[int]) -> dict[int, bytes]:
        """Read lines again, by their numbers; raises OSError when it is not the file that was read before."""
        if _stamp(self.path) != self.stamp:
            raise OSError(errno.ESTALE, "it was written to meanwhile; score it when it is finished")
        if not wanted:
            return {}
        with self.path.open("rb") as file:
            return {line: _stripped(raw) for line, raw in enumerate(file, 1) if line in wanted}


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written to."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True)
class _Head:
    """The lines of a file up to its first event, which may open the year; `end` is where they end."""

    lines: int
    end: int
    raw: bytes
    event: Event | None
    refused: list[Refusal]


def _head(file: _File, checker: Checker) -> _Head:
    """Check lines up to the first accepted event: they are checked by the option's or the shipped pair."""
    refused: list[Refusal] = []
    line = end = 0
    with file.path.open("rb") as stream:
        for line, raw in enumerate(stream, 1):
            if line > file.limit:
                return _Head(line - 1, end, b"", None, refused)
            end += len(raw)
            event = checker.full(_stripped(raw))
            if isinstance(event, Event):
                return _Head(line, end, _stripped(raw), event, refused)
            refused.append(msgspec.structs.replace(event, line=line))
    return _Head(line, end, b"", None, refused)


def _stripped(raw: bytes) -> bytes:
    """A line without its end: LF, or CR LF."""
    if not raw.endswith(b"\n"):
        return raw
    return raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]


@dataclass
class _Folding:
    """What has been folded so far, and what is being checked; `changes` are those that were admitted."""

    con: duckdb.DuckDBPyConnection
    file: _File
    head: _Head
    until: str | None
    lines: int = 0
    refused: list[Refusal] = field(default_factory=list)
    changes: tuple[Event, ...] = ()
    waiting: list[Callable[[], Checked]] = field(default_factory=list)

    def __post_init__(self) -> None:
        head, without = self.head, {"recorded_at", *self.file.without}
        rows = [(head.lines, head.event, head.raw)] if head.event is not None else []
        table = store.table(
            [n for n, _, _ in rows], [None for _ in rows], [e for _, e, _ in rows], [r for *_, r in rows], without
        )
        self.waiting.append(lambda: (table, head.refused, head.lines))

    def admit(self) -> None:
        """Admit all that is checked, in its order; what it changes takes effect on what follows."""
        if not self.waiting:
            return
        tables = []
        for checked in self.waiting:
            part, refused, lines = checked()
            tables.append(part if self.until is None else _occurred_by(part, self.until))
            self.refused += refused
            self.lines += lines
        self.waiting.clear()
        self.file.again(set())
        admit(self.con, pa.concat_tables(tables), self.file.again if "raw" in self.file.without else None)
        self.changes = store.changes(self.con)


def _occurred_by(events: pa.Table, until: str) -> pa.Table:
    import pyarrow.compute as pc  # not by each of the processes that only check

    return events.filter(pc.less_equal(events["occurred"], until))


@dataclass(frozen=True)
class _Chunk:
    """Whole lines of a file, by their bytes; `line` is the number of the first.

    `changes`: the last of them may change by what the lines after it are checked.
    """

    file: _File
    start: int
    end: int
    line: int
    changes: bool


#: What a line that changes what follows has in it, spelled out or with escapes.
_SUSPECT = re.compile(rb"changed|transferred|\\u00[2-7]")
_CLUES = (b".changed.v1", b".transferred.v1", b"\\")


def _chunks(file: _File, head: _Head) -> Iterator[_Chunk]:
    """Cut what follows the head at line ends into pieces that are checked side by side, and after every change."""
    line, start = head.lines + 1, head.end
    with file.path.open("rb") as stream:
        stream.seek(start)
        while start < file.size and line <= file.limit and (data := stream.read(CHUNK)):
            data += stream.readline()
            for piece, changes in _pieces(data):
                if line > file.limit:
                    return
                yield _Chunk(file, start, start + len(piece), line, changes)
                line += piece.count(b"\n")
                start += len(piece)


def _pieces(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Cut lines after each that may change what follows."""
    start = end = 0
    for match in _SUSPECT.finditer(data) if any(clue in data for clue in _CLUES) else ():
        if match.start() < end:
            continue
        end = (data.find(b"\n", match.end()) + 1) or len(data)
        found = read(_stripped(data[data.rfind(b"\n", 0, match.start()) + 1 : end]))
        if isinstance(found, Wire) and found.type in CHANGES:
            yield data[start:end], True
            start = end
    if start < len(data):
        yield data[start:], False


Check = Callable[[_Chunk, tuple[Event, ...]], Callable[[], Checked]]


@contextmanager
def _checking(rule: "_Rule", size: int) -> Iterator[tuple[Check, Callable[[], None]]]:
    """How chunks are checked after changes, and what says that no more will come.

    A small file's are checked here, when asked for; a large one's on all cores, at once, by processes that start now.
    Tables come from the workers as files that are mapped: through a pipe they would be copied four times. The roster
    goes to them as a file: pickled, one of 300,000 units takes seconds for each.
    """
    if size <= CHUNK:
        yield lambda chunk, changes: partial(rule.check, chunk, changes), lambda: None
        return
    context, bare = multiprocessing.get_context("spawn"), replace(rule, year=replace(rule.year, roster=()))
    with (
        tempfile.TemporaryDirectory(prefix="wuxing-") as folder,
        ProcessPoolExecutor(mp_context=context, initializer=_start, initargs=(bare, folder)) as pool,
    ):
        Path(folder, _ROSTER).write_bytes(msgspec.msgpack.encode(rule.year.roster))

        def check(chunk: _Chunk, changes: tuple[Event, ...]) -> Callable[[], Checked]:
            checked = pool.submit(_check_in_worker, chunk, changes)
            return lambda: _mapped(*checked.result())

        for _ in range(os.cpu_count() or 1):
            pool.submit(int)
        yield check, partial(pool.shutdown, wait=False)


def _mapped(name: str, refused: list[Refusal], lines: int) -> Checked:
    return pa.ipc.open_file(pa.memory_map(name)).read_all(), refused, lines


_ROSTER = "roster.msgpack"
_worker: "list[tuple[_Rule, str]]" = []


def _start(bare: "_Rule", folder: str) -> None:
    roster = msgspec.msgpack.decode(Path(folder, _ROSTER).read_bytes(), type=tuple[Unit, ...])
    _worker[:] = [(replace(bare, year=replace(bare.year, roster=roster)), folder)]


def _check_in_worker(chunk: _Chunk, changes: tuple[Event, ...]) -> tuple[str, list[Refusal], int]:
    rule, folder = _worker[0]
    table, refused, lines = rule.check(chunk, changes)
    name = f"{folder}/{chunk.line}.arrow"
    with pa.OSFile(name, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return name, refused, lines


@dataclass
class _Rule:
    """What lines after the first event are checked by: the year, and the changes that have taken effect in it."""

    year: Year
    accept: Accept
    lang: Language
    applied: int = 0
    checker: Checker | None = None

    def after(self, changes: tuple[Event, ...]) -> Checker:
        """The checker after changes; those of one file come in order, so that only the new ones are applied."""
        if self.checker is None:
            year = self.year
            self.checker = Checker(year.rulebook, year.roster, self.lang, keys=year.keys, accept=self.accept)
        for change in changes[self.applied :]:
            self.checker.apply(change)
        self.applied = len(changes)
        return self.checker

    def check(self, chunk: _Chunk, changes: tuple[Event, ...]) -> Checked:
        """Check the lines of a chunk: the events as a table, the refusals, the number of lines."""
        checker, without = self.after(changes), {"recorded_at", *chunk.file.without}
        tables: list[pa.Table] = []
        others: list[tuple[int, Event]] = []
        refused: list[Refusal] = []
        lines = _lines(chunk)
        gc.disable()  # nothing here is cyclic, and a collection walks all of the chunk
        for start, end in pairwise([*range(0, len(lines), SLICE), len(lines)]):
            found = list(map(checker.known, lines[start:end]))
            known = [n for n, one in enumerate(found, start) if one is not None]
            for n in (n for n, one in enumerate(found, start) if one is None):
                checked = checker.full(lines[n])
                if isinstance(checked, Event):
                    others.append((n, checked))
                else:
                    refused.append(msgspec.structs.replace(checked, line=chunk.line + n))
            numbers, raws = [chunk.line + n for n in known], [lines[n] for n in known]
            passed = [one for one in found if one is not None]
            tables.append(store.known_table(numbers, passed, raws, checker.kinds, without))
        numbers, raws = [chunk.line + n for n, _ in others], [lines[n] for n, _ in others]
        events = [event for _, event in others]
        tables.append(store.table(numbers, [None] * len(events), events, raws, without))
        gc.enable()
        return pa.concat_tables(tables).combine_chunks(), refused, len(lines)


def _lines(chunk: _Chunk) -> list[bytes]:
    """The lines of a chunk up to the limit; a last line end makes no line, CR before LF is dropped."""
    with chunk.file.path.open("rb") as file:
        file.seek(chunk.start)
        data = file.read(chunk.end - chunk.start)
    lines = data.split(b"\n")
    last = lines.pop()
    if b"\r\n" in data:
        lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
    return (lines + ([last] if last else []))[: chunk.file.limit - chunk.line + 1]
