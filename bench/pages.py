"""Milliseconds of the pages over a year of 105 units and one of 5,000: first made, then made again, then kept."""

import statistics
import tempfile
import time
from pathlib import Path

from litestar.testing import TestClient

from schemas.roster import Unit
from schemas.year import Year, given
from services.console.app import create_app
from services.scorer import file
from services.site.synthetic import year
from services.snapshot import make

PATHS = ("/", "/?category=B&page=2", "/unit/U001", "/audit", "/progress")
ROUNDS = 9


def published(folder: Path, units: int, events: int) -> Path:
    """A snapshot of a synthetic year with so many units."""
    shipped = given("wenzhou-2013", None, None)
    base = shipped.roster
    names = [base[n % len(base)] for n in range(units)]
    all_units = tuple(
        Unit(f"U{n:03d}", f"单位{n}(合成)", one.category, one.group, one.attributes) for n, one in enumerate(names, 1)
    )
    lines = year(shipped.rulebook, all_units, shipped.assessment, events=events)
    (folder / "year.jsonl").write_bytes(b"".join(line + b"\n" for _, line in lines))
    under = Year(shipped.assessment, shipped.rulebook, all_units)
    folded = file.fold(folder / "year.jsonl", under, target=folder / "draft.duckdb")
    make.complete(folded.con, folded.year, folded.lines)
    folded.con.close()
    make.publish(folder / "draft.duckdb", folder / "snapshots", "year.duckdb")
    return folder / "snapshots"


def main() -> None:
    """Print, for each page, the first answer, the median of answers made anew, and of answers that were kept."""
    for units, events in ((105, 4_900), (5_000, 100_000)):
        with tempfile.TemporaryDirectory(prefix="wuxing-bench-") as name:
            measure(published(Path(name), units, events), units)


def measure(snapshots: Path, units: int) -> None:
    """Print the table of one snapshot."""
    with TestClient(create_app(snapshots)) as client:
        held = client.app.state.snapshots.current()
        print(f"pages, {units:,} units, {held.sequence:,} events, median of {ROUNDS}, milliseconds:")
        print(f"  {'':<24}{'first':>9}{'made':>9}{'kept':>9}")

        def timed(path: str) -> float:
            start = time.perf_counter()
            assert client.get(path).status_code == 200, path
            return (time.perf_counter() - start) * 1000

        for path in PATHS:
            first, made = timed(path), []
            for _ in range(ROUNDS):
                held._pages.clear()  # noqa: SLF001 - as if nobody had asked before
                made.append(timed(path))
            kept = statistics.median(timed(path) for _ in range(ROUNDS))
            print(f"  {path:<24}{first:9.1f}{statistics.median(made):9.1f}{kept:9.1f}")
