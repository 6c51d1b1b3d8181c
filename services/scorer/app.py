"""The scorer: folds the ledger into one DuckDB file, in order, and hands out consistent copies of it.

Events, dispositions, the dirty units' points and the sequence are one transaction a batch. It starts after the last
sequence in the file and trusts no acknowledgement: what the durable has passed is read from the stream itself.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import duckdb
import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.client import BATCH, Entry, Message, broker, connected, jetstream, publish_batch, read_stream
from infra.streams import check_ledger, stream
from schemas import subjects
from schemas.events import CHANGES, ERASED, OPENED, Event
from schemas.receipts import Cut, Disposition, Receipt
from schemas.refusals import Reason, message
from schemas.told import Told
from schemas.words import _
from schemas.year import Year
from services.ingest.check import Checker, opened, opened_year
from services.ingest.opening import agree
from services.process import metrics, tracing
from services.process.run_loop import serve
from services.process.settings import Settings
from services.process.standby import Turn, turn
from services.proof import checkpoint, merkle
from services.proof.receipts import encoded, site_key
from services.scorer import rules, store

CATCH_UP = 10_000
"""Events in one transaction while what lies in the stream is read: each ends with the points of all that it touched."""
COMPARED = 500
"""Events of the log that are compared with the fold every second; the whole log is, at start and once a day."""
DAY = 86_400.0
#: The projection: each unit's own points, as the view own_points gives them.
UNIT_ITEM = "unit VARCHAR, item VARCHAR, run VARCHAR, points DECIMAL(18,6)"
DIRTY_ALL = ("reading.adopted.v1", "assessment.opened.v1")


class HistoryChanged(Told):
    """The log is not the one that was folded: nothing is folded on top of it, and no ranking is published."""


class OtherJudgement(Told):
    """What another version of this program has folded is not what this one comes to: nothing is switched."""


class ScorerRuns(Told):
    """Another scorer has the file."""


@dataclass
class Scorer:
    """The fold and its file."""

    client: Client
    con: duckdb.DuckDBPyConnection
    year: Year | None
    settings: Settings
    log: structlog.typing.FilteringBoundLogger
    last: int = 0
    lock: IO[bytes] | None = None
    #: How far others have told the parties; null where it is not this one's turn: a standby folds, and tells nobody.
    told: int | None = 0
    traceparent: str | None = None
    compared: int = 0
    compared_since: float = 0.0
    #: When what was folded last was recorded, in microseconds since 1970; null before the first.
    recorded: int | None = None

    def __post_init__(self) -> None:
        row = self.con.execute("SELECT epoch_us(recorded_at) FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        self.recorded = row[0] if row else None
        self.leaves = merkle.Frontier()
        for leaf in checkpoint.leaves(self.con).hashes:
            self.leaves.append(leaf)
        self.key = site_key(self.settings.data, self.settings.assessment)
        self.checker = Checker(None, (), assessment=self.settings.assessment)
        if self.year:
            self.open(self.year)
            for change in store.changes(self.con):
                self.checker.apply(change)

    def open(self, year: Year) -> None:
        """From here on it is this year, with its rulebook, roster and keys."""
        agree(self.settings, year)
        self.year, self.checker = year, Checker(year.rulebook, year.roster, keys=year.keys)

    def close(self) -> None:
        """Close the file and let go of its lock."""
        self.con.close()
        if self.lock:
            self.lock.close()

    async def take(self, entries: Sequence[Entry]) -> None:
        """Fold entries that follow on; pass over what was folded before, read what is missing from the stream."""
        new = [entry for entry in entries if entry.sequence > self.last]
        if new and new[-1].sequence - self.last > len(new):
            await self.catch_up(new[-1].sequence)
        elif new:
            await self._fold(new)

    async def catch_up(self, upto: int) -> None:
        """Fold what the stream holds after the last folded sequence, by reading it directly."""
        batch: list[Entry] = []
        async for entry in read_stream(self.client, "LEDGER", self.settings.assessment, self.last + 1, upto):
            batch.append(entry)
            if len(batch) == CATCH_UP:
                await self._fold(batch)
                batch = []
        if batch:
            await self._fold(batch)

    async def compare(self, log_last: int, sequences: Collection[int]) -> None:
        """Raise HistoryChanged unless the log still reaches as far as was folded and holds these events as folded."""
        if log_last < self.last:
            raise HistoryChanged(
                _(
                    "The ledger ends at {log_last}, but was folded to {last}: its store was damaged or "
                    "replaced. Stop everything and run `wuxing repair` (docs/operations.md); nothing is "
                    "folded before.",
                    log_last=log_last,
                    last=self.last,
                )
            )
        for seq in sorted({*sequences} - {0}):
            row = self.con.execute("SELECT raw FROM event WHERE seq = ?", [seq]).fetchone()
            found = [
                entry.data async for entry in read_stream(self.client, "LEDGER", self.settings.assessment, seq, seq)
            ]
            if row and found != [row[0]]:
                raise _changed(seq)

    async def compare_range(self, start: int, end: int) -> None:
        """Raise HistoryChanged unless the log holds each of these events as it was folded, bytes and recorded time."""
        sql = "SELECT seq, epoch_us(recorded_at), raw FROM event WHERE seq BETWEEN ? AND ?"
        found = self.con.execute(sql, [start, end]).fetchall()
        folded = {seq: (recorded, raw) for seq, recorded, raw in found}
        lines = self.con.execute("SELECT line FROM refused WHERE line BETWEEN ? AND ?", [start, end]).fetchall()
        there = {seq for (seq,) in lines}
        async for entry in read_stream(self.client, "LEDGER", self.settings.assessment, start, end):
            if folded.get(entry.sequence, (0, b"")) != (entry.recorded_at, entry.data) and entry.sequence not in there:
                raise _changed(entry.sequence)
            there.add(entry.sequence)
        if missing := sorted({*folded, *range(start, end + 1)} - there):
            raise _changed(missing[0])

    async def compare_part(self) -> None:
        """Compare the next part of the log with the fold; the whole of it once a day."""
        if self.compared >= self.last:
            if time.monotonic() - self.compared_since < DAY:
                return
            self.compared, self.compared_since = 0, time.monotonic()
        end = min(self.compared + COMPARED, self.last)
        await self.compare_range(self.compared + 1, end)
        self.compared = end

    async def cut(self, after: int) -> Cut:
        """Copy the file as it stands, in a child: opening the live file here would drop DuckDB's lock on it."""
        if self.last <= after or self.year is None:
            return Cut(self.last)
        folder = self.settings.data / "cuts"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():  # with its write-ahead log, which would be taken for the new copy's
            old.unlink()
        path = folder / f"{self.settings.assessment}-{self.last}.duckdb"
        await asyncio.to_thread(self.con.execute, "CHECKPOINT")
        command: list[str | Path] = [sys.executable, "-c", _COPY, _file(self.settings), path]
        await asyncio.to_thread(lambda: subprocess.run(command, check=True))
        with path.open("rb") as copied:
            digest = hashlib.file_digest(copied, "sha256").hexdigest()
        return Cut(self.last, str(path.resolve()), digest, self.leaves.root().hex(), self.traceparent)

    async def _fold(self, entries: Sequence[Entry]) -> None:
        """Fold a batch in one transaction, then tell the parties what only the fold knows."""
        expected = list(range(self.last + 1, self.last + 1 + len(entries)))
        if [entry.sequence for entry in entries] != expected:
            raise HistoryChanged(
                _(
                    "The ledger has a hole after {last}. Stop, and find out who changed the stream; a "
                    "deleted scorer file is rebuilt from the ledger.",
                    last=self.last,
                )
            )
        await self.compare(self.last, {self.last})
        with tracing.span("scorer.fold", [(entry.data, entry.headers) for entry in entries], events=len(entries)):
            await asyncio.to_thread(self._write, entries)
            self.traceparent = tracing.current()
        self.last = entries[-1].sequence
        self._say_times(entries)
        metrics.folded(self.last)
        if self.told is not None:
            await self.settle(entries[0].sequence)
        self.log.info("batch.folded", events=len(entries), sequence=self.last)

    def _say_times(self, entries: Sequence[Entry]) -> None:
        """Say of each event that was recorded before the one before it: what goes by sequence does not mind."""
        for entry in entries:
            if self.recorded is not None and entry.recorded_at < self.recorded:
                self.log.warning(
                    "recorded.went_back",
                    sequence=entry.sequence,
                    seconds=(self.recorded - entry.recorded_at) / 1e6,
                    tell="The broker's clock was set back, or its leader is another whose clock is behind: have it"
                    " kept by NTP. Order and points go by the sequence; a point in time is to be named by one too.",
                )
            self.recorded = entry.recorded_at

    def _write(self, entries: Sequence[Entry]) -> None:
        """Judge and admit in ledger order: an opening and every admitted change take effect on what follows."""
        passed: list[Event] = []
        with transaction(self.con):
            for n, entry in enumerate(entries):
                if self.year is None and (found := opened_year(entry.data, self.settings.assessment)):
                    passed += self._take(entries[:n])
                    self._begin(found)
                    entries = entries[n:]
                    break
            passed += self._take(entries)
            if passed:
                self._project(passed)

    def _begin(self, year: Year) -> None:
        """Open the year: its rulebook and roster become tables."""
        self.open(year)
        rules.load_rulebook(self.con, year.rulebook, year.roster)
        self.con.execute("DELETE FROM meta WHERE key <> 'schema'")
        self.con.execute(
            "INSERT INTO meta VALUES ('assessment', ?), ('rulebook', ?)", [year.assessment, year.rulebook.id]
        )

    def _take(self, entries: Sequence[Entry]) -> list[Event]:
        """Append what passes the checks, and what does not to the refused; returns what passed."""
        lines = ((entry.sequence, entry.recorded_at, entry.data) for entry in entries)
        passed, refused = store.take(self.con, self.checker, lines)
        for refusal in refused:
            self.con.execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)", [*msgspec.structs.astuple(refusal)])
        apart = {refusal.line for refusal in refused}
        for entry in entries:
            if entry.sequence not in apart:
                self.leaves.append(merkle.event_leaf(entry.sequence, entry.recorded_at, entry.data))
        return passed

    def changes(self, upto: int) -> list[int] | None:
        """The sequences of changes and orders to erase that were admitted up to one; null where it isn't folded yet."""
        if self.last < upto:
            return None
        rows = self.con.execute(f"{_ADMITTED} AND seq <= ? ORDER BY seq", [upto]).fetchall()
        return [seq for (seq,) in rows]

    def _project(self, events: Sequence[Event]) -> None:
        """Recompute the own points of the units that the batch touches; of all when a reading may have changed."""
        everything = any(event.type in DIRTY_ALL or event.subject == "assessment" for event in events)
        dirty = None if everything else sorted({event.subject for event in events})
        self.con.execute("DELETE FROM unit_item WHERE coalesce(list_contains(?::VARCHAR[], unit), true)", [dirty])
        with rules.compute(self.con, scope=dirty, upto="own_points"):
            self.con.execute("INSERT INTO unit_item FROM own_points")

    async def settle(self, start: int) -> None:
        """Send `settled` for every duplicate, conflict and void from a sequence on."""
        rows = self.con.execute(
            "SELECT seq, source, id, admission, refers_to, void_en(void_reason, void_detail), raw FROM event"
            " WHERE seq >= ? AND admission <> 'admitted' ORDER BY seq",
            [start],
        ).fetchall()
        told = [
            Message(
                subjects.receipt(self.settings.assessment, subjects.party_of(source) or ""),
                encoded(_settled(seq, source, identifier, admission, first, why, raw), self.key),
            )
            for seq, source, identifier, admission, first, why, raw in rows
        ]
        for n in range(0, len(told), BATCH):
            await publish_batch(self.client, told[n : n + BATCH])
        if self.last:
            self.con.execute("DELETE FROM meta WHERE key = 'settled'")
            self.con.execute("INSERT INTO meta VALUES ('settled', ?)", [str(self.last)])

    async def settle_rest(self) -> None:
        """Send what was folded and perhaps never told: neither from this file nor by others."""
        row = self.con.execute("SELECT value::BIGINT FROM meta WHERE key = 'settled'").fetchone()
        if self.last and self.told is not None:
            await self.settle(max(row[0] if row else 0, self.told) + 1)


_ADMITTED = f"SELECT seq FROM event WHERE type IN {(*sorted(CHANGES), ERASED)} AND admission = 'admitted'"


def _changed(sequence: int) -> HistoryChanged:
    return HistoryChanged(
        _(
            "Sequence {sequence} of the ledger is not what was folded, or is gone: `wuxing replay` "
            "against an export or a snapshot names what differs. Stop everything and run `wuxing "
            "repair` (docs/operations.md); nothing is folded before.",
            sequence=sequence,
        )
    )


_COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"


def _settled(  # noqa: PLR0913, PLR0917 - the columns of a row
    seq: int, source: str, identifier: str, admission: str, first: int | None, why: str | None, raw: bytes
) -> Receipt:
    sha256 = hashlib.sha256(raw).hexdigest()
    if admission == "conflict":
        metrics.refused(Reason.CONFLICT)
        text = message(Reason.CONFLICT, "id", ("first",), ("other",))
        return Receipt(source, identifier, "settled", seq, sha256, Reason.CONFLICT, "id", text)
    if admission == "duplicate":
        why = f"The same event as sequence {first}; it counts once"
    disposition: Disposition = "duplicate" if admission == "duplicate" else "void"
    return Receipt(source, identifier, "settled", seq, sha256, disposition=disposition, why=why)


def _file(settings: Settings) -> Path:
    return settings.data / "scorer" / f"{settings.assessment}.duckdb"


def _locked(path: Path) -> IO[bytes]:
    """The lock of a file that may not be there yet, held until it is closed; raises ScorerRuns."""
    file = path.with_name(f"{path.name}.lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ScorerRuns(
            _("Another scorer has {path}: stop it first, or wait until it has ended.", path=path)
        ) from None
    return file


def _before(path: Path) -> Path:
    """Where a file of another version waits until this version has folded what it holds, to the same."""
    return path.with_name(f"{path.stem}.before.duckdb")


def _set_aside(path: Path) -> None:
    """Put a file of another version beside its place; a second one was never switched to, and goes."""
    with store.connect(path) as con:
        if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall():
            return  # ended before it was made
        if con.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall() == [(rules.SCHEMA,)]:
            return
        con.execute("CHECKPOINT")
    if _before(path).exists():
        path.unlink()
    else:
        path.rename(_before(path))


_FOLDED = "SELECT seq, epoch_us(recorded_at) AS at, raw, admission, refers_to FROM {}.event"


def hold_against_before(con: duckdb.DuckDBPyConnection, path: Path) -> int | None:
    """Delete the file of before, once this one holds all its events with the same judgement; how far it had come.

    Null where there is none. Raises OtherJudgement.
    """
    before = _before(path)
    if not before.exists():
        return None
    here = con.execute("SELECT current_database()").fetchall()[0][0]
    place = str(before).replace("'", "''")
    con.execute(f"ATTACH '{place}' AS before (READ_ONLY)")
    try:
        theirs, ours = _FOLDED.format("before.main"), _FOLDED.format(f'"{here}".main')
        last = con.execute("SELECT coalesce(max(seq), 0) FROM before.main.event").fetchall()[0][0]
        both = f"({theirs} EXCEPT {ours}) UNION ALL ({ours} WHERE seq <= {last:d} EXCEPT {theirs})"
        differs = con.execute(f"SELECT min(seq) FROM ({both})").fetchall()[0][0]
    except duckdb.Error as error:
        raise OtherJudgement(
            _("{path} was folded by another version, and cannot be compared: {error}", path=before, error=error)
        ) from None
    finally:
        con.execute("DETACH before")
    if differs is not None:
        raise OtherJudgement(
            _(
                "{path} was folded by another version of this program, and sequence {sequence} of the ledger is "
                "another event in it, or was judged otherwise. Nothing is switched: run the version of before; or keep "
                "that file elsewhere as evidence, and start again to go by this version.",
                path=before,
                sequence=differs,
            )
        )
    before.unlink()
    return int(last)


def open_file(settings: Settings) -> tuple[duckdb.DuckDBPyConnection, int, IO[bytes]]:
    """Open the scorer's file, or make it, behind a lock; the last sequence folded is in it."""
    path = _file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _locked(path)
    try:
        return (*_opened(path), lock)
    except BaseException:
        lock.close()
        raise


def _opened(path: Path) -> tuple[duckdb.DuckDBPyConnection, int]:
    if path.exists():
        _set_aside(path)
    con = store.connect(path) if path.exists() else store.bare(path)
    if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall():
        with transaction(con):
            con.execute(f"CREATE TABLE unit_item ({UNIT_ITEM})")
            con.execute("CREATE TABLE meta (key VARCHAR, value VARCHAR)")
            con.execute("INSERT INTO meta VALUES ('schema', ?)", [rules.SCHEMA])
        con.execute("CHECKPOINT")
    row = con.execute("SELECT greatest((SELECT max(seq) FROM event), (SELECT max(line) FROM refused), 0)").fetchone()
    assert row is not None
    return con, int(row[0])


async def start(
    client: Client, settings: Settings, log: structlog.typing.FilteringBoundLogger, told: int | None = 0
) -> Scorer:
    """Open the file, hold it against the log, and fold what is new in the log."""
    info = await jetstream(client).stream_info(stream("LEDGER", settings.assessment))
    check_ledger(info, settings.assessment)
    con, last, lock = await asyncio.to_thread(open_file, settings)  # a loop that is held up loses its connection
    try:
        scorer = await asyncio.to_thread(lambda: Scorer(client, con, _year(con), settings, log, last, lock, told))
    except BaseException:
        con.close()
        lock.close()
        raise
    try:
        await _resume(scorer, info.state.last_seq)
        was = await asyncio.to_thread(hold_against_before, con, _file(settings))
        if was is not None:
            log.info("file.rebuilt", sequence=was)
    except BaseException:
        scorer.close()
        raise
    metrics.folded(scorer.last)
    return scorer


def _year(con: duckdb.DuckDBPyConnection) -> Year | None:
    """The year that the file's first event opened; null where none did."""
    row = con.execute("SELECT raw FROM event WHERE type = ? AND admission = 'admitted'", [OPENED]).fetchone()
    return Year(*opened(row[0])) if row else None


async def _resume(scorer: Scorer, log_last: int) -> None:
    await scorer.compare(log_last, {scorer.last})
    for start in range(1, scorer.last + 1, CATCH_UP):
        await scorer.compare_range(start, min(start + CATCH_UP - 1, scorer.last))
    scorer.compared, scorer.compared_since = scorer.last, time.monotonic()
    await scorer.settle_rest()
    if log_last > scorer.last:
        await scorer.catch_up(log_last)


class transaction:  # noqa: N801 - reads as a word of the language
    """One transaction: committed at the end, rolled back when anything is raised."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con

    def __enter__(self) -> None:
        self.con.begin()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.con.commit()
        else:
            self.con.rollback()


async def run(settings: Settings, log: structlog.typing.FilteringBoundLogger) -> None:
    """Serve until told to stop; a standby with a folder of its own folds until it is its turn."""
    ahead: list[Scorer] = []

    async def fold() -> None:
        with contextlib.suppress(NatsError, TimeoutError):  # it restarts, or is gone: the next second asks again
            if not ahead:
                ahead.append(await start(client, settings, log, told=None))
            info = await jetstream(client).stream_info(stream("LEDGER", settings.assessment))
            await ahead[0].catch_up(info.state.last_seq)

    try:
        async with (
            connected(settings.nats_url, "scorer", settings.data, forever=True) as client,
            turn(client, settings, "scorer", log, fold) as mine,
        ):
            scorer = ahead[0] if ahead else await start(client, settings, log, mine.told)
            with contextlib.closing(scorer):
                await _serve(scorer, mine)
    finally:
        for one in ahead:
            one.close()


async def _serve(scorer: Scorer, mine: Turn) -> None:
    """Fold, and answer who asks for a cut or for changes."""
    client, settings, log = scorer.client, scorer.settings, scorer.log
    if scorer.told is None:
        scorer.told = mine.told
        await scorer.settle_rest()
    nats = broker(settings.nats_url, "scorer", settings.data)
    busy = asyncio.Lock()

    async def take(entries: Sequence[Entry]) -> None:
        async with busy:
            await scorer.take(entries)
            mine.told = scorer.last

    async def heal() -> None:
        async with busy:
            try:
                info = await jetstream(client).stream_info(stream("LEDGER", settings.assessment))
                await scorer.compare(info.state.last_seq, {scorer.last})
                await scorer.compare_part()
            except (NatsError, TimeoutError):
                log.warning("broker.silent")  # it restarts, or is gone: the next second asks again
                return
            if info.state.last_seq > scorer.last:
                await scorer.catch_up(info.state.last_seq)
            mine.told = scorer.last

    @nats.subscriber(subjects.cut(settings.assessment))
    async def cut(after: int) -> bytes:
        async with busy:
            return msgspec.json.encode(await scorer.cut(after))

    @nats.subscriber(subjects.changes(settings.assessment))
    async def changes(upto: int) -> bytes:
        async with busy:
            return msgspec.json.encode(scorer.changes(upto))

    async with metrics.watching(client, settings.assessment):
        await serve(nats, "scorer", settings.assessment, take, heal, log, sequence=scorer.last)
