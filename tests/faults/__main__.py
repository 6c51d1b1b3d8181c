"""Plays faults by the hundred, and prints what was lost, doubled or unseen.

python -m tests.faults --seed 1 --rounds 800
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults import damage, live, nodes
from tests.faults.life import Row
from tests.faults.nursery import Nursery

#: Of a hundred rounds so many are of each kind.
SHARES = {
    "kill": 60, "point": 24, "stop": 6, "network": 6, "two": 6, "disk": 1, "poison": 200, "flood": 2000, "nodes": 6,
    "slow": 6, "clock": 6, "damage": 40,
}  # fmt: skip


def line(row: Row | None) -> str:
    """A line of the table, in Markdown; without a row its head."""
    names = Row._fields
    if row is None:
        return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"
    return f"| {' | '.join(map(str, row))} |"


def rows(kind: str, rounds: int, seed: int, folder: Path, nursery: Nursery) -> Iterator[Row]:
    """What came of so many faults of a kind."""
    if kind == "nodes":
        return nodes.play(rounds, seed, folder)
    if kind == "damage":
        return damage.play(rounds, seed, folder, nursery)
    return live.play(kind, rounds, seed, folder, nursery)


def main() -> int:
    """Exit 0 where nothing was lost, doubled or unseen, else 1."""
    asked = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    asked.add_argument("--seed", type=int, default=int(time.time()))
    asked.add_argument("--rounds", type=int, default=100)
    asked.add_argument("--kind", action="append", choices=SHARES)
    asked.add_argument("--keep", action="store_true", help="leave the folders of kinds that failed")
    given = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="wuxing-faults-"))
    print(f"seed {given.seed}, rounds {given.rounds}\n{line(None)}", flush=True)
    all_good = True
    with Nursery() as nursery:
        for kind in given.kind or SHARES:
            rounds = max(1, SHARES[kind] * given.rounds // 100)
            for row in rows(kind, rounds, given.seed, folder / kind, nursery):
                print(line(row), flush=True)
                all_good &= row.good
            if all_good or not given.keep:
                for left in folder.glob(f"{kind}*"):  # and beside it that of a second set
                    shutil.rmtree(left, ignore_errors=True)
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
