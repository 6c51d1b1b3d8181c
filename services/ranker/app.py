"""The ranker: asks for a consistent cut, ranks all units, publishes the snapshot and the ranking; keeps no state."""

import asyncio
from pathlib import Path

import duckdb
import msgspec
import structlog
from faststream import FastStream
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.client import broker, connected, jetstream, last_entry
from schemas import subjects
from schemas.receipts import Cut, Moved, Place, Ranking
from schemas.results import Results
from services.process import metrics, run_loop, tracing
from services.process.settings import Settings
from services.proof import checkpoint
from services.proof.checkpoint import Earlier
from services.proof.note import Signer
from services.ranker import announced
from services.scorer import store
from services.snapshot import finals, make
from services.snapshot.point import stored

CUT_WITHIN = 30.0
"""Seconds to wait for a cut: a scorer that ends while it makes one never answers."""


async def run(settings: Settings, log: structlog.typing.FilteringBoundLogger) -> None:
    """Rank whenever the ledger has grown, until told to stop."""
    async with connected(settings.nats_url, "ranker", settings.data, forever=True) as client:
        begun = await last_entry(client, "RANKING", settings.assessment) is not None
        checkpoint.log_key(settings.data, settings.assessment, begun=begun)
        app = FastStream(broker(settings.nats_url, "ranker", settings.data), logger=None)
        failed: list[Exception] = []

        async def periodically() -> None:
            metrics.started("ranker")
            try:
                while True:
                    try:
                        await once(client, settings, log)
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


async def once(client: Client, settings: Settings, log: structlog.typing.FilteringBoundLogger) -> Ranking | None:
    """Publish a ranking when the ledger has grown since the last one; null when nothing has changed or no cut came."""
    signer = checkpoint.log_key(settings.data, settings.assessment, begun=False)
    before = await announced.last(client, settings.assessment, signer.verifier)
    held = before if before and (settings.snapshots / before.snapshot).exists() else None
    request = msgspec.json.encode(held.sequence if held else 0)
    try:
        answer = await client.request(subjects.cut(settings.assessment), request, CUT_WITHIN)
        cut = msgspec.json.decode(answer.data, type=Cut)
    except (NatsError, TimeoutError, msgspec.MsgspecError) as error:
        # The scorer is not there yet, or busy, or says what is no answer; the next round asks again.
        log.warning("cut.missing", error=str(error) or type(error).__name__)
        return None
    if cut.path is None:
        return None
    fold = [(b"", {tracing.HEADER: cut.traceparent})] if cut.traceparent else []
    with metrics.batch("ranker"), tracing.span("ranker.rank", fold, sequence=cut.sequence):
        ranking = await asyncio.to_thread(_rank, cut, settings, before, signer)
    payload = msgspec.json.encode(ranking)
    headers = announced.signed(payload, signer)
    await jetstream(client).publish(subjects.ranking(settings.assessment), payload, headers=headers)
    moved = sum(one.place_before is not None for one in ranking.moved)
    metrics.ranked(ranking.sequence, moved, settings.snapshots / ranking.snapshot)
    log.info("ranking.published", sequence=ranking.sequence, digest=ranking.digest, moved=len(ranking.moved))
    try:
        for path in make.prune(settings.snapshots, settings.assessment, settings.keep):
            log.info("snapshot.pruned", file=path.name)
    except OSError as error:  # the ranking is published all the same
        log.warning("snapshot.unpruned", error=str(error))
    return ranking


def _rank(cut: Cut, settings: Settings, before: Ranking | None, signer: Signer) -> Ranking:
    """Make the snapshot of a cut; the copy itself becomes it."""
    assert cut.path is not None
    path = Path(cut.path)
    con = store.connect(path)
    try:
        year = stored(con)
        assert year is not None, "a scorer makes no cut before the opening"
        found = make.complete(con, year, cut.sequence, signer, _earlier(con, settings, before))
        finals.publish(con, settings.snapshots, settings.assessment, synthetic=year.synthetic)
        root, signed = _meta(con, "root"), checkpoint.held(con)
        con.execute("CHECKPOINT")
    finally:
        con.close()
    name = f"{settings.assessment}-{cut.sequence}.duckdb"
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
