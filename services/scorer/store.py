"""The DuckDB file of one assessment: how it is made, opened, and given events."""

from collections.abc import Collection, Sequence
from operator import attrgetter
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.events import Event
from services import rules
from services.scorer.admission import admit

#: Readable by DuckDB 1.4 and later, while this library's own newest storage is not.
STORAGE = "v1.4.0"
_ARROW = {
    "BIGINT": pa.int64(),
    "TIMESTAMP": pa.timestamp("us"),
    "BLOB": pa.binary(),
    "VARCHAR[]": pa.list_(pa.string()),
}
COLUMNS = {
    name: _ARROW.get(kind, pa.string())
    for name, kind in rules.EVENT_COLUMNS.items()
    if name not in rules.JUDGED_COLUMNS
}
_FIELDS = {
    column: attrgetter(field) for column, field in zip(list(COLUMNS)[2:-1], Event.__struct_fields__, strict=True)
}


def connect(path: Path | None = None, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a file, or memory when there is none, without extensions from elsewhere and with few checkpoints."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    if not read_only:
        settings |= {"storage_compatibility_version": STORAGE, "checkpoint_threshold": "256MB"}
    return duckdb.connect(str(path or ":memory:"), read_only=read_only, config=settings)


def table(
    sequences: Sequence[int],
    recorded: Sequence[int | None],
    events: Sequence[Event],
    raws: Sequence[bytes],
    without: Collection[str] = (),
) -> pa.Table:
    """Checked events as an Arrow table with the columns of the event table but for those that admission judges.

    The columns named in `without` are left null.
    """
    given = {"seq": sequences, "recorded_at": recorded, "raw": raws}
    arrays = [
        pa.nulls(len(events), kind)
        if name in without
        else pa.array(given[name] if name in given else list(map(_FIELDS[name], events)), kind)
        for name, kind in COLUMNS.items()
    ]
    return pa.Table.from_arrays(arrays, names=list(COLUMNS))


def append(con: duckdb.DuckDBPyConnection, events: pa.Table) -> None:
    """Judge events and append them, in ledger order, in the caller's transaction."""
    admit(con, events)
