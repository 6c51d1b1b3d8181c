"""The product as the tests use it: from the bytes of a file to the object of the contract, by the road of `score`."""

from __future__ import annotations

import io
import json
import sys
import tempfile
import tomllib
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from schemas import roster, rulebook, soundness
from schemas.roster import Unit
from schemas.year import Year
from services import cli
from services.scorer import file, rules
from services.snapshot.results import results

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from services.scorer.file import Folded

Json = dict[str, Any]
Roster = list[dict[str, str]]

BOOK_FILE = rulebook.SHIPPED / "rulebook.toml"
BOOK = soundness.load(BOOK_FILE)
BOOK_JSON: Json = tomllib.loads(BOOK_FILE.read_text(encoding="utf-8"))
SHIPPED: Roster = [msgspec.to_builtins(unit) for unit in roster.shipped()]


def year(units: Roster) -> Year:
    """The shipped rulebook with a roster."""
    return Year("wenzhou-2013", BOOK, tuple(Unit(u["unit"], u["name"], u["category"], u["group"]) for u in units))


@contextmanager
def folded(data: bytes, units: Roster, *, limit: int | None = None, until: str | None = None) -> Iterator[Folded]:
    """The bytes folded in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(data)
        found = file.fold(path, year(units), limit=limit, until=until)
        yield found
        found.con.close()


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
