"""A new final (定稿) is published with its difference to the last: who moved since, and by which events."""

from itertools import pairwise
from pathlib import Path

import duckdb
import msgspec

from services.process.files import replacing
from services.snapshot.moves import difference, finals, side


def publish(con: duckdb.DuckDBPyConnection, folder: Path, assessment: str, *, synthetic: bool) -> None:
    """Write the difference of every final but the first beside the snapshots, once, whole or not at all."""
    for last, new in pairwise(finals(con)):
        path = folder / f"{assessment}-final-{new}.json"
        if not path.exists():
            found = difference(side(con, last), side(con, new), synthetic=synthetic)
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as draft:
                draft.write_bytes(msgspec.json.encode(found) + b"\n")
