"""Folds a file of events without a server: the line number is the sequence, the code path that of the services."""

import errno
import gc
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.events import Event
from schemas.refusals import Refusal
from schemas.roster import Unit
from schemas.rulebook import Rulebook
from schemas.year import Year
from services.ingest.check import Checker, opened
from services.scorer import rules, store
from services.scorer.admission import admit

CHUNK = 4 * 1024 * 1024
SLICE = 1000
"""Lines made into columns at once: few enough to be in the processor's cache still."""
#: Columns that no number depends on.
UNSEEN = frozenset({"raw", "time", "reason"})
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Folded:
    """A file folded into a DuckDB connection."""

    con: duckdb.DuckDBPyConnection
    year: Year
    lines: int
    refused: list[Refusal]


@dataclass(frozen=True)
class _Chunk:
    """Whole lines of a file, by their bytes; `line` is the number of the first."""

    path: Path
    start: int
    end: int
    line: int
    limit: int
    without: frozenset[str]


def fold(  # noqa: PLR0913 - each is an option of the command
    path: Path,
    shipped: Year,
    *,
    rulebook: Rulebook | None = None,
    roster: tuple[Unit, ...] | None = None,
    target: Path | None = None,
    limit: int | None = None,
    until: str | None = None,
    keep_raw: bool = True,
    progress: Progress = lambda _done, _total: None,
) -> Folded:
    """Check and fold the lines of a file up to `limit`; an `assessment.opened` as first event sets the year.

    A rulebook or roster given wins over the event's. With `until`, an instant, only what had occurred by then is
    folded, by the rulebook and roster of the whole file. Raises OSError when the file cannot be read.
    """
    year = Year(shipped.assessment, rulebook or shipped.rulebook, roster or shipped.roster)
    first = _first_event(path, Checker(year.rulebook, year.roster), limit)
    if first and first.opened:
        assessment, its_rulebook, its_roster = first.opened
        year = Year(assessment, rulebook or its_rulebook, roster or its_roster)
    before = Year(year.assessment, rulebook or shipped.rulebook, roster or shipped.roster)
    rule = _Rule(before, year, first.line if first else 0)
    size, _ = stamp = _stamp(path)
    read = partial(_read, path, stamp)
    chunks = _chunks(path, size, limit, without=frozenset() if keep_raw else UNSEEN)
    checked = _in_workers(chunks, rule) if size > CHUNK else map(rule.check, chunks)
    tables, refused, lines = [], [], 0
    for done, (part, refusals, count) in enumerate(checked, 1):
        tables.append(part if until is None else part.filter(pc.less_equal(part["occurred"], until)))
        refused += refusals
        lines += count
        progress(done, -(-size // CHUNK))
    con = store.fresh(target)
    con.execute("SET preserve_insertion_order = false")
    rules.load_rulebook(con, year.rulebook, year.roster)
    if tables:
        read(set())
        admit(con, pa.concat_tables(tables), None if keep_raw else read)
    return Folded(con, year, lines, refused)


@dataclass(frozen=True)
class _First:
    line: int
    opened: tuple[str, Rulebook, tuple[Unit, ...]] | None


def _first_event(path: Path, checker: Checker, limit: int | None) -> _First | None:
    """The first accepted event: lines before it are checked by the option's or the shipped pair."""
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            if limit is not None and line > limit:
                break
            event = checker.check(_stripped(raw))
            if isinstance(event, Event):
                return _First(line, opened(_stripped(raw)) if event.type == "assessment.opened.v1" else None)
    return None


def _stripped(raw: bytes) -> bytes:
    """A line without its end: LF, or CR LF."""
    if not raw.endswith(b"\n"):
        return raw
    return raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]


def _chunks(path: Path, size: int, limit: int | None, without: frozenset[str]) -> Iterator[_Chunk]:
    """Cut the first `size` bytes of a file at line ends into pieces that are checked side by side."""
    line, start = 1, 0
    with path.open("rb") as file:
        while start < size and (data := file.read(CHUNK)):
            data += file.readline()
            if limit is not None and line > limit:
                return
            yield _Chunk(path, start, start + len(data), line, limit or 2**62, without)
            line += data.count(b"\n")
            start += len(data)


Checked = tuple[pa.Table, list[Refusal], int]


def _in_workers(chunks: Iterator[_Chunk], rule: "_Rule") -> Iterator[Checked]:
    """Check chunks on all cores, in their order; workers start while the file is still being cut.

    Tables come from the workers as files that are mapped: through a pipe they would be copied four times.
    """
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="wuxing-") as folder,
        ProcessPoolExecutor(mp_context=context, initializer=_start, initargs=(rule, folder)) as pool,
    ):
        for name, refused, lines in pool.map(_check_in_worker, chunks):
            yield pa.ipc.open_file(pa.memory_map(name)).read_all(), refused, lines


_worker: "list[tuple[_Rule, str]]" = []


def _start(rule: "_Rule", folder: str) -> None:
    _worker[:] = [(rule, folder)]


def _check_in_worker(chunk: _Chunk) -> tuple[str, list[Refusal], int]:
    rule, folder = _worker[0]
    table, refused, lines = rule.check(chunk)
    name = f"{folder}/{chunk.line}.arrow"
    with pa.OSFile(name, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return name, refused, lines


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written to."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _read(path: Path, stamp: tuple[int, int], wanted: set[int]) -> dict[int, bytes]:
    """Read lines of the file again, by their numbers; raises OSError when it is not the file that was read before."""
    if _stamp(path) != stamp:
        raise OSError(errno.ESTALE, "it was written to meanwhile; score it when it is finished")
    if not wanted:
        return {}
    with path.open("rb") as file:
        return {line: _stripped(raw) for line, raw in enumerate(file, 1) if line in wanted}


@dataclass(frozen=True)
class _Rule:
    """What lines are checked by: up to the first event the year given, after it the year that it opened."""

    before: Year
    year: Year
    first: int

    @cached_property
    def checkers(self) -> tuple[Checker, Checker]:
        return Checker(self.before.rulebook, self.before.roster), Checker(self.year.rulebook, self.year.roster)

    def check(self, chunk: _Chunk) -> Checked:
        """Check the lines of a chunk: the events as a table, the refusals, the number of lines."""
        without = {"recorded_at", *chunk.without}
        tables: list[pa.Table] = []
        refused: list[Refusal] = []
        lines = _lines(chunk)
        early = min(len(lines), max(0, self.first + 1 - chunk.line))
        gc.disable()  # nothing here is cyclic, and a collection walks all of the chunk
        for start, end in pairwise([0, *range(early, len(lines), SLICE), len(lines)]):
            checker = self.checkers[start >= early]
            found = list(map(checker.known, lines[start:end]))
            known = [n for n, one in enumerate(found, start) if one is not None]
            others: list[int] = []
            events: list[Event] = []
            for n in (n for n, one in enumerate(found, start) if one is None):
                checked = checker.full(lines[n])
                if isinstance(checked, Event):
                    others.append(n)
                    events.append(checked)
                else:
                    refused.append(msgspec.structs.replace(checked, line=chunk.line + n))
            (numbers, raws), (other_numbers, other_raws) = (
                ([chunk.line + n for n in those], [lines[n] for n in those]) for those in (known, others)
            )
            passed = [one for one in found if one is not None]
            tables += [
                store.known_table(numbers, passed, raws, checker.kinds, without),
                store.table(other_numbers, [None] * len(others), events, other_raws, without),
            ]
        gc.enable()
        return pa.concat_tables(tables).combine_chunks(), refused, len(lines)


def _lines(chunk: _Chunk) -> list[bytes]:
    """The lines of a chunk up to the limit; a last line end makes no line, CR before LF is dropped."""
    with chunk.path.open("rb") as file:
        file.seek(chunk.start)
        data = file.read(chunk.end - chunk.start)
    lines = data.split(b"\n")
    last = lines.pop()
    if b"\r\n" in data:
        lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
    return (lines + ([last] if last else []))[: chunk.limit - chunk.line + 1]
