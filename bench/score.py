"""`wuxing score` on a million events as a whole process, beside DuckDB's bare scan-and-group of the same file."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.events import lines

COUNT = 1_000_000
ROUNDS = 5
BARE = """
import duckdb, sys
duckdb.execute('''
  SELECT subject, data.item, count(*), sum(TRY_CAST(coalesce(data.points, data.value) AS DECIMAL(18,6)))
  FROM read_json(?, format = 'newline_delimited',
                 columns = {subject: 'VARCHAR', data: 'STRUCT(item VARCHAR, points VARCHAR, value VARCHAR)'})
  GROUP BY ALL''', [sys.argv[1]]).fetchall()
"""


def timed(command: list[str]) -> tuple[float, float, int]:
    """Wall seconds, processor seconds and peak memory in MiB (of the largest process) of a command."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def main() -> None:
    """Print the median of some rounds of both, taken in turn, and their ratio."""
    with tempfile.TemporaryDirectory(prefix="wuxing-bench-") as folder:
        file = Path(folder) / "events.jsonl"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(lines(COUNT, 2013))
        wuxing = str(Path(sys.executable).with_name("wuxing"))
        score, bare = [], []
        for _ in range(ROUNDS):
            score.append(timed([wuxing, "score", str(file), "--format", "table"]))
            bare.append(timed([sys.executable, "-c", BARE, str(file)]))
        size = file.stat().st_size // 2**20
    wall, cpu, memory = (statistics.median(column) for column in zip(*score, strict=True))
    base = statistics.median(seconds for seconds, _, _ in bare)
    ratio = statistics.median(a[0] / b[0] for a, b in zip(score, bare, strict=True))
    print(f"score, {COUNT:,} events ({size} MiB), {os.cpu_count()} cores, median of {ROUNDS}:")
    print(f"  wuxing score --format table   {wall:6.1f} s wall  {cpu:6.1f} s processor  {memory:,.0f} MiB")
    print(f"  DuckDB bare scan-and-group    {base:6.1f} s wall")
    print(f"  ratio                         {ratio:6.1f}")
