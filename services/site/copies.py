"""Opens copies of a ledger, from whatever keeps its events with their recorded times: all are read the same way.

A backup and the store of another broker have each event as the broker keeps it, with subject and headers. An export, a
snapshot and the scorer's file have sequence, recorded time and bytes, which is all that a leaf covers; the subject
follows from the event, and the headers are gone. A .jsonl has no recorded times and so proves nothing.
"""

import asyncio
import contextlib
import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from infra import blocks, snapshots
from infra.blocks import Record
from infra.client import connected
from infra.rights import PROVISIONER, configure
from infra.server import EmbeddedServer
from infra.streams import stream
from schemas import subjects
from schemas.raw import read as read_raw
from schemas.words import _
from services.audit.export import Stored
from services.audit.replay import rows_of
from services.command.progress import Bar
from services.process.ending import Exit, Stop
from services.proof import merkle
from services.scorer import store
from services.site.backup import STREAMS, content, listed
from services.snapshot import held

BATCH = 10_000
SPOOL = "spool"


@dataclass
class Copy:
    """The events of a ledger in files: where each lies, and its leaf. `notes` are checkpoints that came with them.

    `headed`: with the headers that ingest gave them. `spoiled`: files with bytes that are no whole record.
    """

    name: str
    headed: bool = True
    places: dict[int, tuple[Path, int, int]] = field(default_factory=dict)
    leaves: dict[int, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    spoiled: list[Path] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The last sequence that is there; 0 of none."""
        return max(self.leaves, default=0)

    def add(self, record: Record, file: Path, offset: int, length: int) -> None:
        """Take a record; one whose sequence is there as another event makes both unreadable: nothing says which is."""
        leaf = merkle.event_leaf(record.sequence, record.recorded_at, record.data)
        if self.leaves.setdefault(record.sequence, leaf) != leaf:
            self.spoiled.append(file)
            del self.leaves[record.sequence]
        else:
            self.places[record.sequence] = file, offset, length

    def record(self, sequence: int) -> Record:
        """An event as it lies in its file."""
        file, offset, length = self.places[sequence]
        with file.open("rb") as opened:
            opened.seek(offset)
            return blocks.decoded(opened.read(length))


def opened(path: Path, assessment: str, scratch: Path, bar: Bar) -> Copy:
    """The copy in a file or folder, by what it is; `scratch` is an empty folder for what must be laid out to be read.

    Raises Stop for what is none.
    """
    try:
        if path.is_dir():
            return of_folder(path, assessment, bar)
        if path.suffix == ".parquet":
            return _of_rows(path, rows_of(path), assessment, scratch)
        if path.suffix == ".duckdb":
            return _of_rows(path, _rows(path, scratch), assessment, scratch)
        if path.suffix == ".jsonl":
            raise Stop(
                Exit.USE,
                _(
                    "{path}: a .jsonl has no recorded times, which the log's proof covers, so nothing of it "
                    "can be put back. Take a backup, an export as .parquet, or a snapshot.",
                    path=path,
                ),
            )
        with tarfile.open(path, "r:") as tar:
            return _of_backup(path, tar, assessment, scratch, bar)
    except (OSError, tarfile.TarError, pa.ArrowException, KeyError, held.Unopened, duckdb.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
        raise Stop(Exit.FAILED, _("{path}: cannot be read: {reason}", path=path, reason=reason)) from None


def of_folder(path: Path, assessment: str, bar: Bar) -> Copy:
    """The ledger in a data folder, in a stream's folder, or in a mirror's, which may have another name."""
    name = stream("LEDGER", assessment)
    folder = path if (path / "msgs").is_dir() else path / blocks.STORE / name
    if not (folder / "msgs").is_dir():
        raise Stop(
            Exit.FAILED,
            _(
                "{path}: neither a stream's folder nor a data folder with {store}.",
                path=path,
                store=blocks.STORE / name,
            ),
        )
    if (path / "nats.lock").exists() and EmbeddedServer(path).taken:
        raise Stop(Exit.FAILED, _("{path}: a broker runs on it. Stop it, or take a backup of it.", path=path))
    return of_store(folder, str(path), assessment, bar)


def of_store(folder: Path, shown: str, assessment: str, bar: Bar) -> Copy:
    """What is whole of the ledger in a stream's folder; empty where there is none."""
    copy, name = Copy(shown), stream("LEDGER", assessment)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        own = str(json.loads((folder / "meta.inf").read_bytes())["name"])
        name = own if blocks.settings(folder, own) else name  # a damaged one is called as it must be
    for one in blocks.read(folder, name, f"ledger.{assessment}.".encode(), bar.step, copy.spoiled):
        copy.add(*one)
    return copy


def notes(folder: Path, assessment: str) -> list[str]:
    """The texts of what lies whole in the CHECKPOINT stream of a store; nothing is verified."""
    name, subject = stream("CHECKPOINT", assessment), subjects.checkpoint(assessment).encode()
    found = blocks.read(folder / name, name, subject)
    return [one.record.data.decode(errors="replace") for one in found if one.record.subject == subject]


def workshop(folder: Path, assessment: str) -> EmbeddedServer:
    """A server of nobody but us on an empty folder, for the streams of an assessment; not started."""
    configure(folder, assessment, ("workshop",), (), collector="workshop")
    return EmbeddedServer(folder)


def _of_backup(path: Path, tar: tarfile.TarFile, assessment: str, scratch: Path, bar: Bar) -> Copy:
    """The ledger of a backup, given back to a server of our own, which checks it, and read from its files."""
    manifest = listed(tar, path)
    names = [stream(kind, assessment) for kind in ("LEDGER", "CHECKPOINT")]
    if missing := [name for name in names if name not in manifest["streams"]]:
        raise Stop(
            Exit.NO, _("{path}: a backup without {missing}.", path=path, missing=missing[0])
        )  # fmt: skip

    async def loaded() -> None:
        async with server, connected(server.url, PROVISIONER, scratch) as client:
            for name in names:
                member = tar.getmember(f"{STREAMS}/{name}")
                await snapshots.load(client, name, manifest["streams"][name], content(tar, member))

    server = workshop(scratch, assessment)
    asyncio.run(loaded())
    copy = of_store(scratch / blocks.STORE / names[0], str(path), assessment, bar)
    copy.notes = notes(scratch / blocks.STORE, assessment)
    return copy


def _rows(path: Path, scratch: Path) -> Iterator[Sequence[Stored]]:
    """The events of a snapshot, or of the scorer's file."""
    with contextlib.closing(laid_out(path, scratch)) as con:
        found = con.execute("SELECT seq, epoch_us(recorded_at), raw FROM event ORDER BY seq")
        while rows := found.fetchmany(BATCH):
            yield [Stored(*row) for row in rows]


def laid_out(path: Path, scratch: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB file opened walled off, from a copy with what its write-ahead log holds; the file stays as it is."""
    scratch.mkdir(parents=True, exist_ok=True)
    copied = scratch / path.name
    shutil.copyfile(path, copied)
    log = path.with_name(f"{path.name}.wal")
    if log.exists():
        shutil.copyfile(log, scratch / log.name)
        with store.connect(copied) as con:
            con.execute("CHECKPOINT")
    return held.opened(copied)


def _of_rows(path: Path, batches: Iterable[Sequence[Stored]], assessment: str, scratch: Path) -> Copy:
    """Events without subject and headers, written as records to a file of our own."""
    copy, spool = Copy(str(path), headed=False), scratch / SPOOL
    scratch.mkdir(parents=True, exist_ok=True)
    with spool.open("wb") as out:
        for batch in batches:
            for sequence, recorded, raw in batch:
                subject = _subject(raw, assessment)
                if recorded is None or subject is None:
                    continue
                record = Record(sequence, recorded * 1000, subject, b"", raw)
                offset = out.tell()
                copy.add(record, spool, offset, out.write(blocks.encoded(record, None)))
    return copy


def _subject(raw: bytes, assessment: str) -> bytes | None:
    """Where ingest appends such an event; null for what is none."""
    try:
        event = read_raw(raw)
        party = subjects.party_of(event["source"])
        return subjects.ledger(assessment, party or "", event["subject"]).encode()
    except (ValueError, KeyError, TypeError):
        return None
