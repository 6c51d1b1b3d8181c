"""The command `export`: the ledger as a file, raw events in sequence, from the broker or from a snapshot.

A .jsonl has one event a line, so that the line number is the sequence. JSON lets white space be a line feed, a line may
not hold one: it becomes a space, as does a carriage return at the end, and stderr names the sequences. Content and all
digests stay; only a .parquet keeps those bytes. A sequence of a snapshot that was a refused line is an empty line.

Texts out of line are in no ledger: their file lies beside it, a line a token, so that the events stay those that are
proved. It is taken from a snapshot, since nobody but ingest and the ranker reads them at the broker.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from nats.errors import Error as NatsError

from infra.client import connected, jetstream, read_stream
from infra.folders import parties
from infra.streams import stream
from schemas.words import Language, _, _n
from services.command.options import Lang
from services.command.progress import Bar
from services.process import settings
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.process.settings import Settings, language
from services.snapshot import point
from services.snapshot import texts as shelf

BATCH = 10_000
#: The columns of a .parquet export; recorded time is the broker's, null where a file was folded.
SCHEMA = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("recorded_at", pa.timestamp("us", tz="UTC")),
        pa.field("raw", pa.binary(), nullable=False),
    ]
)


class Stored(NamedTuple):
    """One event as the ledger holds it; recorded time in microseconds since 1970 UTC."""

    sequence: int
    recorded_at: int | None
    raw: bytes


Take = Callable[[Sequence[Stored]], None]
Progress = Callable[[int, int], None]


def export(file: Path, *, snapshot: Path | None = None, texts: Path | None = None, lang: Lang = None) -> int:
    """Write the ledger to a file: raw events, one a line in sequence, or a .parquet with recorded times.

    Example: wuxing export ledger.jsonl

    Parameters
    ----------
    file
        FILE.jsonl or FILE.parquet; it appears when it is whole, or not at all.
    snapshot
        Take the events of this snapshot instead of the broker's ledger.
    texts
        Also write the texts that stand out of line, as this or the newest snapshot has them, into this .jsonl file.
        No order to erase reaches it: delete it when one comes.
    """
    chosen = language(lang)
    if file.suffix not in (".jsonl", ".parquet"):
        raise Stop(Exit.USE, _("{file}: expected FILE.jsonl or FILE.parquet", file=file))
    known = settings.read()
    if texts is not None:
        _beside(snapshot, texts, chosen)
    with Bar(chosen, _("exporting")) as bar, replacing(file) as draft:
        writer = Parquet(draft) if file.suffix == ".parquet" else Lines(draft)
        if snapshot:
            with point.snapshot(snapshot) as con:
                of_snapshot(con, writer.write, bar.step)
                writer.pad(point.last(con))
                apart = shelf.there(con)
        else:
            of_broker(known, writer.write, bar.step)
            apart = (held := parties(known.data)) is not None and held.texts
        writer.close()
    _say(writer, file, chosen)
    if apart and texts is None:
        said = _("Texts out of line are not in it, only their tokens: --texts FILE writes them into a file beside.")
        print(said.say(chosen), file=sys.stderr)
    return Exit.DONE


def _beside(snapshot: Path | None, file: Path, lang: Language) -> None:
    """Write the texts out of line of a snapshot, and say which those are."""
    with point.snapshot(snapshot) as con:
        if not shelf.there(con):
            raise Stop(Exit.NO, _("--texts: this year has no texts out of line, all are in its events"))
        lines, last = shelf.beside(con, point.year(con).rulebook.out_of_line), point.last(con)
    with replacing(file) as draft:
        draft.write_bytes(b"".join(lines))
    said = _n(
        "{n} text out of line, as of sequence {last}, written to {file}: no order to erase reaches that file",
        "{n} texts out of line, as of sequence {last}, written to {file}: no order to erase reaches that file",
        len(lines),
        last=last,
        file=file,
    )
    print(said.say(lang), file=sys.stderr)


class Lines:
    """A .jsonl: the line number is the sequence."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb")
        self.line = self.events = 0
        self.spaced: list[int] = []

    def write(self, batch: Sequence[Stored]) -> None:
        """Append events in sequence, empty lines where there are none."""
        for sequence, __, raw in batch:
            self.pad(sequence - 1)
            line = one_line(raw)
            if line != raw:
                self.spaced.append(sequence)
            self._file.write(line + b"\n")
            self.line, self.events = sequence, self.events + 1

    def pad(self, sequence: int) -> None:
        """Empty lines up to a sequence: lines that were refused, whose bytes a snapshot does not keep."""
        self._file.write(b"\n" * (sequence - self.line))
        self.line = max(sequence, self.line)

    def close(self) -> None:
        """Make the file safe on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


class Parquet:
    """A .parquet: sequence, recorded time, raw bytes."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self.events = self.line = 0
        self.spaced: list[int] = []

    def write(self, batch: Sequence[Stored]) -> None:
        """Append events in sequence."""
        columns = zip(*batch, strict=True) if batch else [()] * 3
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        self.events += len(batch)

    def pad(self, sequence: int) -> None:
        """Sequences stand beside the events: nothing needs filling."""
        self.line = sequence

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def one_line(raw: bytes) -> bytes:
    """An event that is one line of a file: line feeds, and a carriage return at the end, are white space of JSON."""
    line = raw.replace(b"\n", b" ")
    return line[:-1] + b" " if line.endswith(b"\r") else line


def of_snapshot(con: duckdb.DuckDBPyConnection, take: Take, progress: Progress) -> None:
    """Hand over the events of a snapshot in batches, in sequence."""
    total = point.last(con)
    found = con.execute("SELECT seq, epoch_us(recorded_at), raw FROM event ORDER BY seq")
    while rows := found.fetchmany(BATCH):
        take([Stored(*row) for row in rows])
        progress(rows[-1][0], total)


def of_broker(known: Settings, take: Take, progress: Progress, upto: int | None = None) -> None:
    """Hand over the ledger's events in batches, as the party `audit`: up to a sequence, or to its present end.

    Ends the command when the broker cannot be asked, or when the ledger has a hole, which its rights do not allow.
    """
    try:
        asyncio.run(_of_broker(known, take, progress, upto))
    except (NatsError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise Stop(
            Exit.FAILED,
            _(
                "the ledger of {assessment} cannot be read from {nats_url}: {reason}",
                assessment=known.assessment,
                nats_url=known.nats_url,
                reason=reason,
            ),
        ) from None


async def _of_broker(known: Settings, take: Take, progress: Progress, upto: int | None) -> None:
    async with connected(known.nats_url, "audit", known.data) as client:
        info = await jetstream(client).stream_info(stream("LEDGER", known.assessment))
        end = info.state.last_seq if upto is None else min(upto, info.state.last_seq)
        batch: list[Stored] = []
        done = 0
        if end:
            async for entry in read_stream(client, "LEDGER", known.assessment, 1, end):
                _check_next(done, entry.sequence)
                done = entry.sequence
                batch.append(Stored(entry.sequence, entry.recorded_at, entry.data))
                if len(batch) == BATCH:
                    take(batch)
                    progress(done, end)
                    batch = []
        _check_next(done, end + 1)
        take(batch)
        progress(end, end)


def _check_next(done: int, sequence: int) -> None:
    if sequence != done + 1:
        raise Stop(
            Exit.FAILED,
            _(
                "the ledger has a hole: after sequence {done} comes {sequence}; find out who changed the stream",
                done=done,
                sequence=sequence,
            ),
        )


def _say(writer: Lines | Parquet, file: Path, lang: Language) -> None:
    """What was written, on stderr, and where a line is not the bytes as sent."""
    done = _n("{n} event written to {file}", "{n} events written to {file}", writer.events, file=file).say(lang)
    print(done, file=sys.stderr)
    if empty := max(writer.line - writer.events, 0) if isinstance(writer, Lines) else 0:
        print(
            _n(
                "{n} line is empty: a snapshot does not keep lines that were refused",
                "{n} lines are empty: a snapshot does not keep lines that were refused",
                empty,
            ).say(lang),
            file=sys.stderr,
        )
    if writer.spaced:
        some = ", ".join(map(str, writer.spaced[:20])) + (" …" if len(writer.spaced) > 20 else "")
        print(
            _(
                "line feeds became spaces in sequence {some}: the content is the same; a .parquet keeps the bytes",
                some=some,
            ).say(lang),
            file=sys.stderr,
        )
