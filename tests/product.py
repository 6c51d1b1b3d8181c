"""The product as the tests use it: from the bytes of a file to the object of the contract, by the road of `score`."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import tomllib
from contextlib import contextmanager, redirect_stderr
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from schemas import roster, rulebook, soundness
from schemas.year import Year
from services import cli
from services.scorer import file, rules
from services.site import synthetic
from services.snapshot.results import results

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

    from services.scorer.file import Folded
    from tests.random_years import RandomYear

Json = dict[str, Any]
Roster = list[dict[str, Any]]

BOOK_FILE = rulebook.SHIPPED / "rulebook.toml"
BOOK = soundness.load(BOOK_FILE)
BOOK_JSON: Json = tomllib.loads(BOOK_FILE.read_text(encoding="utf-8"))
SHIPPED: Roster = [msgspec.to_builtins(unit) for unit in roster.load(rulebook.SHIPPED / "roster.csv", BOOK)]


def year(units: Roster, book: Json | None = None) -> Year:
    """A rulebook, the shipped one without it, with a roster."""
    read = soundness.read(book) if book else BOOK
    return Year(read.id, read, roster.read(units))


@cache
def small(seed: int = 7, units: int = 6, events: int = 150, *, settled: bool = False) -> tuple[bytes, ...]:
    """The lines of a synthetic year of few units of the shipped rulebook, opened by its first."""
    step = len(SHIPPED) // units
    lines = synthetic.year(BOOK, roster.read(SHIPPED[::step][:units]), "small", seed, events, settled=settled)
    return tuple(raw for _, raw in lines)


def joined(lines: Iterable[bytes]) -> bytes:
    """The bytes of a file of lines."""
    return b"".join(line + b"\n" for line in lines)


@contextmanager
def folded(
    data: bytes, given: Roster | RandomYear, *, book: Json | None = None, over: tuple[str, ...] = (),
    limit: int | None = None, until: str | None = None,
) -> Iterator[Folded]:  # fmt: skip
    """The bytes folded in memory: by a rulebook and a roster, or as a random year has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(data)
        if isinstance(given, list):
            found = file.fold(path, year(given, book), over=over, limit=limit, until=until)
        else:
            over = () if given.opened else ("rulebook", "roster")
            found = file.fold(path, year(given.roster, given.rulebook), over=over, limit=limit, until=until)
        yield found
        found.con.close()


@contextmanager
def year_folded(
    drawn: RandomYear, lines: Iterable[bytes] | None = None, *, limit: int | None = None, until: str | None = None
) -> Iterator[Folded]:
    """A random year folded in memory, or other lines under its rulebook and roster."""
    over = () if drawn.opened else ("assessment", "rulebook", "roster")
    data = drawn.data if lines is None else joined(lines)
    with folded(data, drawn.roster, book=drawn.rulebook, over=over, limit=limit, until=until) as found:
        yield found


def scored(found: Folded, readings: dict[str, str] | None = None, as_of: int | None = None) -> Json:
    """The contract's object of what was folded, under readings and at a sequence."""
    rules.set_options(found.con, readings or {})
    cut = found.lines if as_of is None else as_of
    result = results(
        found.con, assessment=found.year.assessment, rulebook=found.year.rulebook.id, as_of=cut,
        refused=[one for one in found.refused if (one.line or 0) <= cut], lang="en",
    )  # fmt: skip
    return plain(msgspec.json.encode(result))


def ledger(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """The event table as it was judged, in ledger order."""
    return con.execute("SELECT * FROM event ORDER BY seq").fetchall()


def plain(encoded: bytes) -> Json:
    """The object as JSON values, without the words that are not contract."""
    found: Json = json.loads(encoded)
    for row in (*found["entries"], *found["events"]):
        row.pop("why")
    for row in found["refused"]:
        row.pop("message")
    return found


def command(*arguments: str | Path) -> tuple[int, bytes, str]:
    """Run one command in this process: exit code, what it wrote to stdout, what it wrote to stderr."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    before = sys.stdout
    sys.stdout = out
    try:
        with redirect_stderr(err):
            code = cli.run([str(argument) for argument in arguments])
    finally:
        sys.stdout = before
    out.flush()
    return code, out.buffer.getvalue(), err.getvalue()
