"""How long the proof of a year takes: leaf hashes, root, units' commitments, one inclusion proof and its verification.

Usage: python bench/proof.py [-n COUNT]
"""

import argparse
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.events import UNITS, lines
from services.proof import merkle, note


def main() -> None:
    """Print the seconds of each step and the ratio of them all to one bare SHA-256 over the same bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--count", type=int, default=1_000_000)
    count = parser.parse_args().count
    raws = [line.rstrip("\n").encode() for line in lines(count)]
    subjects = [raw[(at := raw.index(b'"subject":"') + 11) : raw.index(b'"', at)].decode() for raw in raws]
    total = 0.0

    def timed(name: str, step: Callable[[], Any]) -> Any:
        nonlocal total
        start = time.perf_counter()
        found = step()
        seconds = time.perf_counter() - start
        total += seconds
        print(f"{name:<32} {seconds:8.3f} s")
        return found

    def bare() -> bytes:
        whole = sha256()
        for raw in raws:
            whole.update(raw)
        return whole.digest()

    print(f"{count} events, {sum(map(len, raws)) / 1e6:.0f} MB")
    timed("bare SHA-256", bare)
    base, total = total, 0.0
    leaves = timed("leaf hashes", lambda: [merkle.leaf_hash(raw) for raw in raws])
    root = timed("root", lambda: merkle.root(leaves))
    commit = lambda: note.unit_commitments(zip(subjects, leaves, strict=True), [*UNITS, "assessment"])  # noqa: E731
    timed("units' commitments", lambda: commit().root)
    tree = timed("tree, for proofs", lambda: merkle.Tree(leaves))
    at = count // 3
    proof = timed(f"inclusion proof of leaf {at}", lambda: tree.inclusion(at))
    holds = timed("its verification", lambda: merkle.included(merkle.leaf_hash(raws[at]), at, count, proof, root))
    print(f"{'all of the proof':<32} {total:8.3f} s, {total / base:.1f} x the bare hash")
    if not holds:
        sys.exit("the proof does not verify")


if __name__ == "__main__":
    main()
