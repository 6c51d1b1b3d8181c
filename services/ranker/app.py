"""The ranker: asks for a consistent cut, ranks all units, publishes the snapshot and the ranking; keeps no state."""

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb
import msgspec
import structlog
from faststream import FastStream
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.client import broker, connected, jetstream
from schemas import subjects
from schemas.receipts import Cut, Moved, Place, Ranking
from schemas.results import Results
from schemas.words import _
from services.process import metrics, run_loop, tracing
from services.process.settings import Settings
from services.process.standby import turn
from services.proof import checkpoint
from services.proof.checkpoint import Earlier
from services.proof.note import Signer
from services.ranker import announced
from services.ranker.notices import Teller
from services.ranker.refusals import Refusals
from services.ranker.texts import Texts
from services.snapshot import finals, held, make
from services.snapshot.again import Again, FileDiffers

CUT_WITHIN = 30.0
"""Seconds to wait for a cut: a scorer that ends while it makes one never answers."""
AT_ONCE = asyncio.Semaphore(os.cpu_count() or 1)
"""Rounds of one process at once: more of them wait for the processor until their cuts are too late to be taken."""
READ_AGAIN = 3600
"""Seconds after which the newest snapshot is read again, whole."""


async def run(settings: Settings, log: structlog.typing.FilteringBoundLogger) -> None:
    """Rank whenever the ledger has grown, until told to stop."""
    async with (
        connected(settings.nats_url, "ranker", settings.data, forever=True) as client,
        turn(client, settings, "ranker", log),
    ):
        begun = await announced.last(client, settings.assessment) is not None  # what is no ranking is no sign of one
        checkpoint.log_key(settings.data, settings.assessment, begun=begun)
        app = FastStream(broker(settings.nats_url, "ranker", settings.data), logger=None)
        failed: list[Exception] = []
        state = State()

        async def periodically() -> None:
            metrics.started("ranker")
            try:
                while True:
                    try:
                        async with AT_ONCE:
                            await once(client, settings, log, state)
                        metrics.round_done()
                    except (NatsError, TimeoutError):
                        log.warning("broker.silent")  # it restarts, or is gone: the next round asks again
                    await asyncio.sleep(settings.rank_seconds)
            except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with it
                failed.append(error)
                app.exit()

        task = asyncio.create_task(periodically())
        await run_loop.run(app)
        task.cancel()
        if failed:
            log.error("service.failed", error=str(failed[0]) or type(failed[0]).__name__)
            raise failed[0]


@dataclass
class State:
    """What a ranker knows of earlier rounds, to do less in the next; it may begin without it at any time."""

    again: Again | None = None
    refused: Refusals | None = None
    texts: Texts | None = None
    teller: Teller | None = None
    seen: dict[tuple[object, ...], bool] = field(default_factory=dict)


async def once(
    client: Client, settings: Settings, log: structlog.typing.FilteringBoundLogger, state: State | None = None
) -> Ranking | None:
    """Publish a ranking when the ledger has grown since the last one; null when nothing has changed or no cut came."""
    state = state or State()
    signer = checkpoint.log_key(settings.data, settings.assessment, begun=False)
    before = await announced.last(client, settings.assessment, signer.verifier)
    intact = await asyncio.to_thread(_whole, settings, before, state.seen)
    if before and not intact:
        log.warning("snapshot.damaged", file=before.snapshot)  # or gone, or no longer the latest: made anew at once
    request = msgspec.json.encode(before.sequence if before and intact else 0)
    try:
        answer = await client.request(subjects.cut(settings.assessment), request, CUT_WITHIN)
        cut = msgspec.json.decode(answer.data, type=Cut)
    except (NatsError, TimeoutError, msgspec.MsgspecError) as error:
        # The scorer is not there yet, or busy, or says what is no answer; the next round asks again.
        log.warning("cut.missing", error=str(error) or type(error).__name__)
        return None
    if cut.path is None:
        return None
    state.refused = state.refused or Refusals(settings.assessment)
    try:
        await state.refused.follow(client)
    except (NatsError, TimeoutError):
        log.warning("refused.unread")  # the ranking does not wait for what no result rests on
    fold = [(b"", {tracing.HEADER: cut.traceparent})] if cut.traceparent else []
    texts = state.texts = state.texts or Texts(settings.assessment, settings.data)
    await texts.follow(client)
    with metrics.batch("ranker"), tracing.span("ranker.rank", fold, sequence=cut.sequence):
        state.again = state.again or Again(settings.assessment)
        teller = state.teller = state.teller or Teller(settings.assessment, settings.snapshots)
        await teller.begin(client, before)
        ranking = await asyncio.to_thread(
            _rank, cut, settings, before, signer, state.again, teller, state.refused, texts
        )
    if unsaid := await teller.tell(client, ranking.sequence, signer):
        log.warning("notices.unpublished", error=unsaid)  # the next publication tells them too
    note = checkpoint.read(settings.snapshots / checkpoint.NAME)
    try:
        await jetstream(client).publish(subjects.checkpoint(settings.assessment), note.encode())
    except (NatsError, TimeoutError) as error:  # the next publication's covers this one's
        log.error("checkpoint.unpublished", error=str(error) or type(error).__name__)  # noqa: TRY400 - it is the broker's
    payload = msgspec.json.encode(ranking)
    if not await announced.announce(client, settings.assessment, payload, signer, before):
        log.warning("ranking.overtaken", sequence=ranking.sequence)  # another ranker worked while this one was held up
        return None
    moved = sum(one.place_before is not None for one in ranking.moved)
    metrics.ranked(ranking.sequence, moved, settings.snapshots / ranking.snapshot)
    log.info("ranking.published", sequence=ranking.sequence, digest=ranking.digest, moved=len(ranking.moved))
    await asyncio.to_thread(_cleared, settings, ranking, texts, log)
    return ranking


def _cleared(settings: Settings, ranking: Ranking, texts: Texts, log: structlog.typing.FilteringBoundLogger) -> None:
    """Delete the snapshots that are no longer needed, and those that hold a text which an order has erased since."""
    try:
        for path in make.prune(settings.snapshots, settings.assessment, settings.keep):
            log.info("snapshot.pruned", file=path.name)
        for path in texts.clear(settings.snapshots, ranking.snapshot):
            log.info("snapshot.erased", file=path.name)
    except OSError as error:  # the ranking is published all the same
        log.warning("snapshot.unpruned", error=str(error))


def _rank(  # noqa: PLR0913, PLR0917 - what a round knows
    cut: Cut,
    settings: Settings,
    before: Ranking | None,
    signer: Signer,
    again: Again | None = None,
    teller: Teller | None = None,
    refused: Refusals | None = None,
    texts: Texts | None = None,
) -> Ranking:
    """Make the snapshot of a cut from its raw bytes, once the cut is what the scorer said and what they come to."""
    assert cut.path is not None
    again = again or Again(settings.assessment)
    name = f"{settings.assessment}-{cut.sequence}.duckdb"
    path, source = _draft(settings.snapshots, name), _opened(cut)
    try:
        again.check(source, cut.sequence, cut.root)
        con = again.snapshot(source, path)
    finally:
        source.close()
    try:
        assert again.year is not None, "a scorer makes no cut before the opening"
        year = again.year
        look = partial(teller.look, sequence=cut.sequence) if teller else lambda _: None
        found = make.complete(con, year, cut.sequence, signer, _earlier(con, settings, before), look)
        if refused:
            refused.write(con)
        if texts and year.rulebook.out_of_line:
            texts.write(con, year)
        finals.publish(con, settings.snapshots, settings.assessment, synthetic=year.synthetic)
        if teller:
            teller.make(con, cut.sequence)
        root, signed = _meta(con, "root"), checkpoint.held(con)
        con.execute("CHECKPOINT")
    finally:
        con.close()
    assert signed is not None
    sha256 = make.publish(path, settings.snapshots, name)
    checkpoint.publish(signed, signer, settings.snapshots)
    return Ranking(
        assessment=settings.assessment,
        sequence=cut.sequence,
        digest=found.digest,
        snapshot=name,
        sha256=sha256,
        root=root,
        state=found.assessment_state,
        units=tuple(Place(u.unit, u.category, u.place, u.final, u.grades) for u in found.units),
        moved=tuple(_moved(found, before)),
    )


def _draft(folder: Path, name: str) -> Path:
    """Where a snapshot is made: beside the others, for the scorer's folder is not the ranker's to write in."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.duckdb.new*"):  # by a ranker that was killed
        left.unlink()
    return folder / f"{name}.new"


def _opened(cut: Cut) -> duckdb.DuckDBPyConnection:
    """The scorer's copy, read-only, once its bytes are those that the scorer named; raises FileDiffers."""
    path = Path(str(cut.path))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != cut.sha256:
        raise FileDiffers(
            _(
                "The copy {path} of the scorer's file has the SHA-256 {digest}, the scorer said "
                "{sha256}: somebody else wrote it. Nothing is signed.",
                path=path.name,
                digest=digest,
                sha256=cut.sha256,
            )
        )
    try:
        return held.opened(path)
    except held.Unopened as error:
        raise FileDiffers(_("{path}: {error}", path=path.name, error=error)) from None


def _whole(settings: Settings, before: Ranking | None, seen: dict[tuple[object, ...], bool]) -> bool:
    """Whether the newest snapshot lies there as it was published, and is what `latest` names.

    A file is read again when it was written to, and once an hour: bits fall over without a date.
    """
    if before is None or make.latest(settings.snapshots) != (settings.snapshots / before.snapshot).resolve():
        return False
    path = settings.snapshots / before.snapshot
    try:
        stat = path.stat()
        key = (stat.st_ino, stat.st_size, stat.st_mtime_ns, before.sha256, int(time.monotonic() // READ_AGAIN))
        if key not in seen:
            with path.open("rb") as file:
                intact = hashlib.file_digest(file, "sha256").hexdigest() == before.sha256
            seen.clear()
            seen[key] = intact
        return seen[key]
    except OSError:
        return False


def _earlier(con: duckdb.DuckDBPyConnection, settings: Settings, before: Ranking | None) -> list[Earlier]:
    """What was published before, in the folder of snapshots and by the broker: the log must continue both."""
    found = checkpoint.published(settings.snapshots)
    if before:
        events = con.execute("SELECT count(*) FROM event WHERE seq <= ?", [before.sequence]).fetchall()[0][0]
        found.append(Earlier(events, bytes.fromhex(before.root)))
    return found


def _meta(con: duckdb.DuckDBPyConnection, key: str) -> str:
    row = con.execute("SELECT value FROM meta WHERE key = ?", [key]).fetchone()
    assert row is not None
    return str(row[0])


def _moved(found: Results, before: Ranking | None) -> list[Moved]:
    """Units whose place or grades differ from the ranking before."""
    old = {place.unit: place for place in before.units} if before else {}
    pairs = [(unit, old.get(unit.unit)) for unit in found.units]
    return [
        Moved(
            unit.unit,
            unit.category,
            was.place if was else None,
            unit.place,
            was.final if was else None,
            unit.final,
            was.grades if was else None,
            unit.grades,
        )
        for unit, was in pairs
        if was is None or (was.place, was.grades) != (unit.place, unit.grades)
    ]
