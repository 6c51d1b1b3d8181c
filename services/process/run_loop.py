"""Runs a service on its durable until it is told to stop or something fails; what fails ends the process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from faststream import FastStream
from faststream.nats import NatsBroker, NatsMessage
from nats.errors import Error as NatsError

from infra.client import BrokerUnreachable, Entry, durable_subscriber, pulled_entry
from schemas.words import _
from services.process import metrics

Take = Callable[[Sequence[Entry]], Awaitable[bool | None]]
"""Takes a batch; False where not all of it could be taken yet, and it is to be delivered again."""
Heal = Callable[[], Awaitable[None]]
HEAL_SECONDS = 1.0
HEALS = 20
"""A process that serves more assessments than this looks at each more seldom, at so many a second."""
_serving: set[str] = set()


async def run(app: FastStream) -> None:
    """Run until told to stop; that the broker is away by then is no failure."""
    ending = False

    @app.on_shutdown
    def end() -> None:
        nonlocal ending
        ending = True

    try:
        await app.run()
    except (NatsError, ConnectionError) as error:  # a connection that broke in this moment is asyncio's to tell
        if ending:
            return
        if isinstance(error, NatsError):
            raise
        raise BrokerUnreachable(
            _("The connection to the broker broke while the service started ({error}). Start it again.", error=error)
        ) from None


async def serve(  # noqa: PLR0913, PLR0917 - what a service is made of
    nats: NatsBroker,
    role: str,
    assessment: str,
    take: Take,
    heal: Heal,
    log: structlog.typing.FilteringBoundLogger,
    **place: int,
) -> None:
    """Hand batches in stream order to `take` and acknowledge them after it; the first failure is raised at the end.

    Started it is, and says so with the place from which it goes on, once its durable is followed.

    A pull that ends while its messages are on their way loses them until the broker delivers them again, half a minute
    later. So `heal` is asked every second to take what the stream has and the durable has not brought; a process of
    many assessments takes that many seconds to come round (`HEALS`).

    After a failed write a DuckDB process must not go on, so a service never retries inside: it exits and starts anew.
    """
    app = FastStream(nats, logger=None)
    failed: list[Exception] = []
    busy = asyncio.Lock()

    @durable_subscriber(nats, role, assessment)  # type: ignore[untyped-decorator]
    async def handle(batch: NatsMessage) -> None:
        async with busy:
            if failed:
                return
            raw: Any = batch.raw_message
            try:
                entries = {entry.sequence: entry for entry in map(pulled_entry, raw)}
                with metrics.batch(role, len(entries)):
                    done = await take([entries[sequence] for sequence in sorted(entries)])
                if done is not False:
                    await batch.ack()
            except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with it
                failed.append(error)
                app.exit()

    async def watch() -> None:
        while not failed:
            await asyncio.sleep(HEAL_SECONDS * max(1.0, len(_serving) / HEALS))
            async with busy:
                try:
                    await heal()
                except Exception as error:  # noqa: BLE001 - as above
                    failed.append(error)
                    app.exit()

    @app.after_startup
    def follows() -> None:
        metrics.started(role)
        event = f"{role}.started"
        log.info(event, **place)

    _serving.add(assessment)
    watching = asyncio.create_task(watch())
    try:
        await run(app)
    finally:
        watching.cancel()
        _serving.discard(assessment)
    if failed:
        log.error("service.failed", error=str(failed[0]) or type(failed[0]).__name__)
        raise failed[0]
