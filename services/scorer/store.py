"""The DuckDB file of one assessment: how it is made, opened, and given events."""

import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from operator import attrgetter
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from schemas.events import CHANGES, Event
from schemas.refusals import Refusal
from services.ingest.check import Checker, Known
from services.scorer import comments, purposes, rules
from services.scorer.admission import admit

#: Readable by DuckDB 1.4 and later, while this library's own newest storage is not.
STORAGE = "v1.4.0"
_MAKING = threading.Lock()
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


def fresh(path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """An assessment in which nothing has happened: in memory its tables, in a new file its readers' views too."""
    if path is None:
        con = connect()
        rules.create_tables(con)
        return con
    draft = path.with_name(f"{path.name}.new")
    with _MAKING:  # several assessments of one process may begin at once
        draft.write_bytes(_blank())
    draft.rename(path)
    return connect(path)


def bare(path: Path) -> duckdb.DuckDBPyConnection:
    """The same in a new file without its readers' views, which nobody but readers asks: they take 45 MiB of memory."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with connect(draft) as con:
        rules.create_tables(con)
    # What a file that is gone has left would be taken for this one's.
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    draft.rename(path)
    return connect(path)


#: Where the blank files of an installation are kept; beside its Python, so that it goes when that goes.
KEPT = Path(sys.prefix) / "wuxing-blank"
ROOT = Path(__file__).parents[2]


@cache
def _blank() -> bytes:
    """A file with every table and view and no row. To make it takes seconds of binding views, so it is kept."""
    return kept("blank", _made)


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """A file that only this program's own text decides, made once an installation.

    It is taken from where it is kept only when nobody but the installation's owner could have written it.
    """
    place = KEPT / f"{name}-{_made_of()}.duckdb"
    with suppress(OSError):
        if all(_is_ours(one) for one in (KEPT, place)):
            return place.read_bytes()
    made = make()
    with suppress(OSError):  # an installation that is another user's is not written to
        KEPT.mkdir(mode=0o755, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=KEPT, delete=False) as draft:
            draft.write(made)
        Path(draft.name).chmod(0o644)
        Path(draft.name).replace(place)
        for old in set(KEPT.glob(f"{name}-*")) - {place}:
            old.unlink(missing_ok=True)
    return made


def _is_ours(path: Path) -> bool:
    """Whether a file or folder is this user's or the system's, and nobody else may write it."""
    found = path.lstat()
    return found.st_uid in (os.geteuid(), 0) and not found.st_mode & 0o022 and not path.is_symlink()


@cache
def _made_of() -> str:
    """The digest of all that such a file is made by: this program's text, and the engine's version."""
    made = hashlib.sha256(f"{duckdb.__version__} {STORAGE}".encode())
    for folder in ("schemas", "services"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".py", ".sql", ".toml", ".csv"):
                made.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return made.hexdigest()[:16]


def _made() -> bytes:
    with tempfile.TemporaryDirectory(prefix="wuxing-") as folder:
        path = Path(folder) / "blank.duckdb"
        with connect(path) as con:
            rules.create_tables(con)
            rules.create_views(con)
            comments.write(con)
            purposes.write(con)
        return path.read_bytes()


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
        _nulls(len(events), kind)
        if name in without
        else pa.array(given[name] if name in given else list(map(_FIELDS[name], events)), kind)
        for name, kind in COLUMNS.items()
    ]
    return pa.Table.from_arrays(arrays, names=list(COLUMNS))


#: The columns of known lines that hang on their kind, and the attributes of a line and of its data that the others are.
_OF_KIND = ("source", "type", "item", "ground", "node", "rater_group", "measure", "period")
_OF_LINE = {"id": "id", "unit": "subject", "time": "time"}
_OF_DATA = {name: name for name in ("matter", "points", "rater", "value", "reason")} | {"case_name": "case"}

_GIVEN = frozenset({*_OF_KIND, *_OF_LINE, *_OF_DATA, "seq", "raw", "occurred"})
_nulls = lru_cache(256)(pa.nulls)


def known_table(
    sequences: Sequence[int],
    known: Sequence[Known],
    raws: Sequence[bytes],
    kinds: Sequence[Event],
    without: Collection[str] = (),
) -> pa.Table:
    """Lines of known kinds as the same table; `kinds` are the checker's."""
    of_kind = pa.array([kind for kind, _, _ in known], pa.int32())
    lines = [line for _, line, _ in known]
    data = [line.data for line in lines]
    given = {"seq": sequences, "raw": raws, "occurred": [occurred for _, _, occurred in known]}

    def column(name: str, kind: pa.DataType) -> pa.Array:
        if name in without or name not in _GIVEN:
            return _nulls(len(known), kind)
        if name in _OF_KIND:
            return pa.array([_FIELDS[name](one) for one in kinds], kind).take(of_kind)
        if name in _OF_LINE:
            return pa.array(list(map(attrgetter(_OF_LINE[name]), lines)), kind)
        if name in _OF_DATA:
            return pa.array(list(map(attrgetter(_OF_DATA[name]), data)), kind)
        return pa.array(given[name], kind)

    return pa.Table.from_arrays([column(*one) for one in COLUMNS.items()], names=list(COLUMNS))


_OF_CHANGE = [column for column in _FIELDS if column != "units"]


def changes(con: duckdb.DuckDBPyConnection, after: int = 0) -> tuple[Event, ...]:
    """The admitted changes of units, items' offices and keys after a sequence: what follows them is checked by them."""
    found = con.execute(
        f"SELECT {', '.join(_OF_CHANGE)} FROM event"
        " WHERE type IN ? AND seq > ? AND admission = 'admitted' ORDER BY seq",
        [CHANGES, after],
    ).fetchall()
    names = [field for field in Event.__struct_fields__ if field != "units"]
    return tuple(Event(**dict(zip(names, row, strict=True))) for row in found)


def take(
    con: duckdb.DuckDBPyConnection, checker: Checker, entries: Iterable[tuple[int, int | None, bytes]]
) -> tuple[list[Event], list[Refusal]]:
    """Check what a ledger holds (sequence, recorded microseconds, raw), judge and append it, in its order.

    A change that is admitted takes effect on what follows it, here as at intake. Returns the events that passed, and
    the refusals with their sequence as line.
    """
    passed: list[Event] = []
    refused: list[Refusal] = []
    waiting: list[tuple[int, int | None, bytes, Event]] = []

    def admit_waiting() -> None:
        if waiting:
            sequences, recorded, raws, events = zip(*waiting, strict=True)
            admit(con, table(sequences, recorded, events, raws))
            passed.extend(events)
            waiting.clear()

    for sequence, recorded_at, raw in entries:
        found = checker.check(raw)
        if isinstance(found, Refusal):
            refused.append(msgspec.structs.replace(found, line=sequence))
            continue
        waiting.append((sequence, recorded_at, raw, found))
        if found.type in CHANGES:
            admit_waiting()
            for change in changes(con, sequence - 1):
                checker.apply(change)
    admit_waiting()
    return passed, refused


def append(con: duckdb.DuckDBPyConnection, events: pa.Table) -> None:
    """Judge events and append them, in ledger order, in the caller's transaction."""
    admit(con, events)
