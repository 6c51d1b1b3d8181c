"""The checkpoint of a snapshot: what it commits to, who signs it, and whether the log only grew since the last one.

A snapshot carries it in four tables: `checkpoint` with the note (the text alone where nobody signs, as `score` leaves
it), `leaf` with the hash of every event, so that an event that was changed can be named, and `rulebook_json` and
`roster_json` with the two as their digests are of.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from schemas import roster as rosters
from schemas import rulebook, soundness
from schemas.events import OPENED
from schemas.raw import read as read_raw
from schemas.results import canonical
from schemas.roster import Unit
from schemas.rulebook import Rulebook
from schemas.subjects import ASSESSMENT
from schemas.words import _
from schemas.year import Year
from services.proof import merkle, note, shown
from services.proof.note import Checkpoint, NoteError, Signer

BATCH = 10_000
#: The code's version, on which a checkpoint says that its results rest.
VERSION = version("wuxing")
NAME, KEY_NAME = "checkpoint.txt", "log.vkey"
NOTE_MAX = 2**16  # bytes; 100 signatures and a text of nine lines are some 20,000


class LogRewritten(NoteError):  # noqa: N818 - house style: a refusal has a name of its own
    """The log is not a continuation of what was published: nothing is signed or published on top of it."""


@dataclass(frozen=True)
class Leaves:
    """The leaves of the log, in ledger order: sequence, subject and leaf hash of every event, conflicts included."""

    sequences: list[int]
    subjects: list[str]
    hashes: list[bytes]

    @property
    def size(self) -> int:
        """Number of events."""
        return len(self.hashes)

    def root(self, size: int | None = None) -> bytes:
        """Root over the first `size` leaves, over all of them without it."""
        return merkle.root(self.hashes[:size])

    def units(self, codes: Iterable[str]) -> note.Commitments:
        """The commitment to each unit's list of events, of units without one too, and to that of the year's."""
        return note.unit_commitments(zip(self.subjects, self.hashes, strict=True), [*codes, ASSESSMENT])


@dataclass(frozen=True)
class Earlier:
    """What was published before: the number of events and the root over them."""

    size: int
    root: bytes


def leaves(con: duckdb.DuckDBPyConnection) -> Leaves:
    """Hash sequence, recorded time and raw bytes of every event."""
    found = Leaves([], [], [])
    rows = con.execute("SELECT seq, unit, epoch_us(recorded_at), raw FROM event ORDER BY seq")
    while batch := rows.fetchmany(BATCH):
        for sequence, unit, recorded, raw in batch:
            found.hashes.append(merkle.event_leaf(sequence, recorded, raw))
            found.sequences.append(sequence)
            found.subjects.append(unit)
    return found


def origin(assessment: str) -> str:
    """The name of the log of an assessment, and of its key."""
    return f"wuxing/{assessment}"


def document(con: duckdb.DuckDBPyConnection, book: Rulebook) -> dict[str, Any]:
    """The rulebook as a JSON object: as it stands in the event that opened the year, else the one given."""
    row = con.execute("SELECT raw FROM event WHERE type = ? AND admission = 'admitted' LIMIT 1", [OPENED]).fetchone()
    found: dict[str, Any] = read_raw(row[0])["data"]["rulebook"] if row else {}
    return found if row and soundness.read(found) == book else rulebook.plain(book)


def listed(con: duckdb.DuckDBPyConnection, units: Sequence[Unit]) -> list[Any]:
    """The roster as a JSON list: as it stands in the event that opened the year, else the one given."""
    row = con.execute("SELECT raw FROM event WHERE type = ? AND admission = 'admitted' LIMIT 1", [OPENED]).fetchone()
    found: list[Any] = read_raw(row[0])["data"]["roster"] if row else []
    return found if row and rosters.read(found) == tuple(units) else rosters.plain(units)


def digest(value: Any) -> str:
    """SHA-256 of a rulebook's or roster's JSON in the form of RFC 8785."""
    return sha256(canonical(value)).hexdigest()


def commit(  # noqa: PLR0913, PLR0917 - what a checkpoint names
    con: duckdb.DuckDBPyConnection,
    year: Year,
    results: str,
    published: Sequence[str],
    version: str,
    signer: Signer | None,
    earlier: Sequence[Earlier],
) -> Checkpoint:
    """Write the checkpoint of a file of events and what was published of it into it, signed where there is a key.

    Raises LogRewritten unless the log is a continuation of everything published before.
    """
    found, book, roster = leaves(con), document(con, year.rulebook), listed(con, year.roster)
    codes = [unit.unit for unit in year.roster]
    for one in earlier:
        check_grown(found, one)
    made = Checkpoint(
        origin(year.assessment),
        found.size,
        found.root(),
        found.units(codes).root,
        shown.root(con, published, codes),
        results,
        digest(book),
        digest(roster),
        version,
    )
    text = note.sign(made.text(), signer) if signer else made.text()
    con.execute("CREATE OR REPLACE TABLE checkpoint AS SELECT ?::VARCHAR AS note", [text])
    for name, made_of in (("rulebook_json", book), ("roster_json", roster)):
        con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT ?::VARCHAR AS json", [canonical(made_of).decode()])
    table = pa.table({"seq": pa.array(found.sequences, pa.int64()), "hash": pa.array(found.hashes, pa.binary())})
    con.register("hashed", table)
    con.execute("CREATE OR REPLACE TABLE leaf AS FROM hashed ORDER BY seq")
    con.unregister("hashed")
    return made


def check_grown(found: Leaves, earlier: Earlier) -> None:
    """Raise LogRewritten unless what was published is a beginning of this log."""
    if found.size < earlier.size:
        raise LogRewritten(
            _(
                "The log has {size} events, but a checkpoint of {published} was published: some were cut "
                "off. Nothing is published until they are back (`wuxing repair`, docs/operations.md).",
                size=found.size,
                published=earlier.size,
            )
        )
    if (root := found.root(earlier.size)) != earlier.root:
        raise LogRewritten(
            _(
                "The first {size} events are not what was published: expected the root {expected}, found "
                "{found}. Nothing is published; `wuxing replay` against an earlier snapshot names the "
                "first event that differs.",
                size=earlier.size,
                expected=earlier.root.hex(),
                found=root.hex(),
            )
        )


def log_key(data: Path, assessment: str, *, begun: bool) -> Signer:
    """The key that signs a log's checkpoints, made at first use; only its owner can read the file.

    It is never made again: where something of it was published, here or, as `begun` says, elsewhere, its loss is named.
    """
    path = data / "keys" / "log.key"
    if not path.exists() and (begun or (data / "snapshots" / KEY_NAME).exists()):
        raise NoteError(
            _(
                "The log's key {path} is missing, and something signed with it was published. Restore it "
                "from the backup of the keys: with another key nothing that was published could be gone "
                "on from.",
                path=path,
            )
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return key(path, origin(assessment))


def key(path: Path, name: str, kind: int = note.ED25519) -> Signer:
    """The key of a file, made when there is none; it signs under this name."""
    if not path.exists():
        return Signer.generate(path, name, kind)
    signer = Signer.load(path)
    if signer.kind != kind:
        raise NoteError(
            _(
                "key file {path}: it holds a key of type {kind}, expected {expected}",
                path=path,
                kind=signer.kind,
                expected=kind,
            )
        )
    return replace(signer, name=name)


def published(folder: Path) -> list[Earlier]:
    """The checkpoint published last in a folder of snapshots; none at first."""
    path = folder / NAME
    if not path.exists():
        return []
    made = parsed(read(path), path)
    return [Earlier(made.size, made.root)]


def publish(text: str, signer: Signer, folder: Path) -> None:
    """Write the signed note and the key that verifies it beside the snapshots, each whole or not at all."""
    for name, content in ((KEY_NAME, f"{signer.verifier}\n"), (NAME, text)):
        draft = folder / f"{name}.new"
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / name)


def read(path: Path) -> str:
    """The text of a note's file; raises NoteError with its name."""
    try:
        with path.open("rb") as file:
            data = file.read(NOTE_MAX + 1)
        if len(data) > NOTE_MAX:
            raise NoteError(_("{path}: over {note_max} bytes: no note", path=path, note_max=NOTE_MAX))
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise NoteError(
            _("{path}: cannot be read: {error}", path=path, error=getattr(error, "strerror", None) or error)
        ) from None


def body(text: str) -> str:
    """The signed text of a note; of one that nobody signed the whole."""
    return note.split(text)[0] if "\n\n" in text else text


def parsed(text: str, where: Path | str) -> Checkpoint:
    """The checkpoint of a note, signed or not; nothing is verified. Raises NoteError with where it was found."""
    try:
        return Checkpoint.parse(body(text))
    except NoteError as error:
        raise NoteError(_("{where}: {error}", where=where, error=error)) from None


def held(con: duckdb.DuckDBPyConnection, table: str = "checkpoint") -> str | None:
    """The one text of a snapshot's table `checkpoint`, `rulebook_json` or `roster_json`; null in a file without it."""
    if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall():
        return None
    row = con.execute(f"FROM {table}").fetchone()
    return str(row[0]) if row else None


def merged(text: str, other: str) -> str:
    """A note with the signatures that another note over the same text has beyond its own."""
    lines = other[len(body(other)) + 1 :].splitlines(keepends=True)
    return text + "".join(line for line in lines if line not in text)
