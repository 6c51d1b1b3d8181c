"""Product and oracle side by side on random years: `python -m tests.compare --seeds 0:500`.

Every year goes through `wuxing score --format json` and through the oracle; the first difference is printed by its
JSON path with the seed, and the file is made small: lines are dropped while that difference stays.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.random_years import RandomYear, draw_year

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
Run = Callable[[list[str]], tuple[int, bytes, str]]  # of a command line: exit code, stdout, stderr
FREE = ("why", "message")  # not contract


# --- TOML and CSV, as a user would give them --------------------------------------------------------------------------


def inline(value: Any) -> str:
    """A TOML value on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def toml(book: Json) -> str:
    """A rulebook as TOML: its own keys, its tables, its lists of tables."""
    lines = [f"{key} = {inline(value)}" for key, value in book.items() if not isinstance(value, (dict, list))]
    for key, value in book.items():
        rows = (
            [("[{}]", value)]
            if isinstance(value, dict)
            else [("[[{}]]", row) for row in value]
            if isinstance(value, list)
            else []
        )
        for head, row in rows:
            lines += ["", head.format(key), *(f"{name} = {inline(one)}" for name, one in row.items())]
    return "\n".join(lines) + "\n"


def roster_csv(year: RandomYear) -> str:
    codes = [row["code"] for row in year.rulebook.get("attribute", [])]
    own = ["unit", "name", "category", "group"]
    rows = [[row[key] for key in own] + [row["attributes"].get(code, "") for code in codes] for row in year.roster]
    return "".join(",".join(row) + "\n" for row in [own + codes, *rows])


# --- Running the product ----------------------------------------------------------------------------------------------


def arguments(year: RandomYear, folder: Path) -> list[str]:
    """The command line of one year, whose files are written into the folder."""
    events = folder / "events.jsonl"
    events.write_bytes(year.data)
    found = ["score", str(events)]
    if not year.opened:
        (folder / "rulebook.toml").write_text(toml(year.rulebook), encoding="utf-8")
        (folder / "roster.csv").write_text(roster_csv(year), encoding="utf-8")
        found += ["--rulebook", str(folder / "rulebook.toml"), "--roster", str(folder / "roster.csv")]
    for name, value in year.readings.items():
        found += ["--reading", f"{name}={value}"]
    if year.as_of is not None:
        found += ["--as-of", str(year.as_of)]
    return [*found, "--format", "json", "--lang", "en"]


def outside(command: str) -> Run:
    """The command as a process of its own."""

    def run(words: list[str]) -> tuple[int, bytes, str]:
        done = subprocess.run([command, *words], capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    return run


def inside(words: list[str]) -> tuple[int, bytes, str]:
    """The same command in this process, which is quicker for thousands of years."""
    from services import cli

    out, talk = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(talk):
        try:
            cli.main(words)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        except Exception as fault:  # noqa: BLE001 - a traceback is a difference to report, not the end of the comparison
            return -1, b"", f"{type(fault).__name__}: {fault}"
        else:
            code = 0
    out.flush()
    return code, out.buffer.getvalue(), talk.getvalue()


# --- Comparing --------------------------------------------------------------------------------------------------------


def bare(value: Any) -> Any:
    """Without the free text, wherever it stands."""
    if isinstance(value, dict):
        return {key: bare(one) for key, one in value.items() if key not in FREE}
    return [bare(one) for one in value] if isinstance(value, list) else value


def name_of(row: Any, n: int) -> str:
    """How a row of a list is called in a path: by what identifies it, else by its place."""
    if isinstance(row, dict):
        for key in ("unit", "seq", "line", "scheme", "grade"):
            if key in row and (key != "unit" or "final" in row):
                return f"[{key}={row[key]}{'/' + row['pool'] if 'pool' in row else ''}]"
    return f"[{n}]"


def differences(expected: Any, found: Any, path: str = "$") -> Iterator[str]:
    """Every difference, by its path, with what the oracle (expected) and the product (found) say."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys(), key=lambda key: (key == "digest", key)):
            here = path + (key if key.startswith("[") else f".{key}")
            if key not in expected or key not in found:
                yield f"{here}: only the {'oracle' if key in expected else 'product'} has it"
            else:
                yield from differences(expected[key], found[key], here)
    elif (
        isinstance(expected, list)
        and isinstance(found, list)
        and any(isinstance(one, dict) for one in expected + found)
    ):
        own = {name_of(row, n): row for n, row in enumerate(expected)}
        other = {name_of(row, n): row for n, row in enumerate(found)}
        yield from differences(own, other, path)
        if own.keys() == other.keys() and list(own) != list(other):
            yield f"{path}: in another order"
    elif expected != found or type(expected) is not type(found):
        yield f"{path}: oracle {expected!r}, product {found!r}"


def shape(difference: str) -> str:
    """A difference without its numbers, by which two are one of a kind."""
    path = difference.partition(": ")[0]
    if path == "$exit":
        path = difference.splitlines()[-1]
    return re.sub(r"\[[^\]]*\]|\b[IP][0-9]+\b", "[]", path)


class Comparison:
    """One way of running the product."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def first(self, year: RandomYear) -> str | None:
        """The first difference of a year, or None."""
        with tempfile.TemporaryDirectory() as folder:
            code, out, talk = self.run(arguments(year, Path(folder)))
        if code != 0:
            return f"$exit: oracle 0, product {code}: {talk.strip()[-600:]}"
        return next(differences(year.expected(), bare(json.loads(out))), None)

    def smaller(self, year: RandomYear, kind: str) -> RandomYear:
        """Drop lines, many at once and then single ones, while a difference of the kind stays."""
        size = max(1, len(year.lines) // 2)
        while True:
            at = 0
            while at < len(year.lines):
                less = replace(year, lines=year.lines[:at] + year.lines[at + size :])
                now = self.first(less)
                if now is not None and shape(now) == kind:
                    year = less
                else:
                    at += size
            if size == 1:
                return year
            size //= 2


def keep(year: RandomYear, seed: int, folder: Path) -> str:
    """Write the made-small year down, with the command that shows the difference."""
    here = folder / f"seed-{seed}"
    here.mkdir(parents=True, exist_ok=True)
    words = arguments(year, here)
    (here / "rulebook.json").write_text(json.dumps(year.rulebook, ensure_ascii=False, indent=1), encoding="utf-8")
    (here / "expected.json").write_text(json.dumps(year.expected(), ensure_ascii=False, indent=1), encoding="utf-8")
    return shlex.join(["wuxing", *words])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:100", help="FROM:TO, as a slice")
    parser.add_argument(
        "--wuxing", help="start this command for each year, and not the one of this checkout in-process"
    )
    parser.add_argument("--stop", type=int, default=1, help="stop after so many kinds of differences")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "wuxing-compare")
    parser.add_argument("--whole", action="store_true", help="do not make the file small")
    given = parser.parse_args()
    low, high = (int(part) for part in given.seeds.split(":"))
    comparison, kinds, differing = Comparison(outside(given.wuxing) if given.wuxing else inside), set(), 0
    for seed in range(low, high):
        year = draw_year(Random(seed))
        difference = comparison.first(year)
        if difference is None:
            continue
        differing += 1
        kind = shape(difference)
        if kind in kinds:
            continue
        kinds.add(kind)
        print(f"seed {seed}: {difference}")
        small = year if given.whole else comparison.smaller(year, kind)
        print(f"  {len(small.lines)} lines: {comparison.first(small)}\n  {keep(small, seed, given.out)}", flush=True)
        if len(kinds) >= given.stop:
            print(f"stopped at seed {seed}: {differing} of {seed - low + 1} years differ")
            return 1
    print(f"{differing} of {high - low} years differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
