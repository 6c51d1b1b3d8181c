"""Ingest: takes what parties published, in intake order, appends what passes to the ledger, and tells each party.

The ledger's tail carries the intake sequence it came from, so a kill between append and ack appends nothing twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.client import BATCH, Entry, Message, broker, connected, jetstream, publish_batch, read_stream
from infra.streams import Difference, StreamDiffers, check_ledger, stream
from schemas import subjects
from schemas.events import OPENED, Event
from schemas.receipts import Receipt
from schemas.refusals import Refusal
from services import metrics, tracing
from services.audit.merkle import leaf_hash
from services.ingest.check import Checker, opened
from services.serve import serve
from services.settings import Settings
from services.year import Year, given, opened_year

#: The header of a ledger message that names the intake message it came from.
INTAKE_SEQUENCE = "Wuxing-Intake-Sequence"


@dataclass
class Ingest:
    """What ingest knows: all of it read from the streams at start."""

    client: Client
    assessment: str
    checker: Checker
    log: structlog.typing.FilteringBoundLogger
    begun: bool = False
    ledger_last: int = 0
    intake_next: int = 1
    intake_appended: int = 0
    appended: dict[int, int] = field(default_factory=dict)

    async def take(self, entries: Sequence[Entry]) -> None:
        """Take intake messages that follow in order: append, then receipts and refusals; pass over what was taken."""
        new = [entry for entry in entries if entry.sequence >= self.intake_next]
        if not new:
            return
        with tracing.span("ingest.take", [(entry.data, entry.headers) for entry in new], taken=len(new)):
            fresh = await self._take(new)
        self.log.info(
            "batch.taken", messages=len(new), appended=fresh, ledger=self.ledger_last, intake=self.intake_next - 1
        )

    async def _take(self, new: Sequence[Entry]) -> int:
        """Check, append and tell; returns how many were appended."""
        judged = [(entry, self._judge(entry)) for entry in new]
        fresh = [(e, event) for e, event in judged if isinstance(event, Event) and e.sequence > self.intake_appended]
        if fresh:
            await self._append(fresh)
        await self._tell(judged)
        for entry in new:
            self.appended.pop(entry.sequence, None)
        self.intake_next = new[-1].sequence + 1
        metrics.ledger(self.ledger_last)
        return len(fresh)

    def _judge(self, entry: Entry) -> Event | Refusal:
        """Check a message; the first event of an empty ledger may open the assessment with its own rules."""
        found = self.checker.check(entry.data, entry.subject)
        if not self.begun and isinstance(found, Event):
            self.begun = True
            if found.type == OPENED:
                year = opened(entry.data)
                self.checker = Checker(year.rulebook, year.roster, keys=year.keys)
        return found

    async def _append(self, fresh: Sequence[tuple[Entry, Event]]) -> None:
        """Append events as one atomic batch, fenced by the ledger's last sequence."""
        messages = [
            Message(
                subjects.ledger(self.assessment, subjects.party_of(event.source) or "", event.subject),
                entry.data,
                {INTAKE_SEQUENCE: str(entry.sequence), **tracing.carried(entry.headers)},
            )
            for entry, event in fresh
        ]
        answer = await publish_batch(self.client, messages, self.ledger_last)
        first = answer.seq - len(messages) + 1
        assert first == self.ledger_last + 1, "the ledger's sequences are contiguous"
        self.appended.update((entry.sequence, first + n) for n, (entry, _) in enumerate(fresh))
        self.ledger_last, self.intake_appended = answer.seq, fresh[-1][0].sequence

    async def _tell(self, judged: Sequence[tuple[Entry, Event | Refusal]]) -> None:
        """Send each party its receipt, and each refusal with its reason."""
        receipts, refusals = [], []
        for entry, found in judged:
            tokens = subjects.read_intake(entry.subject)
            assert tokens is not None
            to = subjects.receipt(self.assessment, tokens.party)
            if isinstance(found, Event):
                receipt = Receipt(
                    found.source,
                    found.id,
                    "accepted",
                    sequence=self.appended.get(entry.sequence),
                    leaf=leaf_hash(entry.data).hex(),
                )
            else:
                metrics.refused(found.reason)
                receipt = Receipt(
                    found.source, found.id, "refused", reason=found.reason, path=found.path, message=found.message
                )
                refusals.append(Message(subjects.refused(self.assessment, tokens.party), msgspec.json.encode(found)))
            receipts.append(Message(to, msgspec.json.encode(receipt)))
        for batch in (refusals, receipts):
            if batch:
                await publish_batch(self.client, batch)


async def start(client: Client, year: Year, log: structlog.typing.FilteringBoundLogger) -> Ingest:
    """Read from the streams where ingest stands, and take what was delivered before but never acknowledged."""
    info = await jetstream(client).stream_info(stream("LEDGER", year.assessment))
    check_ledger(info, year.assessment)
    intake = await jetstream(client).stream_info(stream("INTAKE", year.assessment))
    ingest = Ingest(client, year.assessment, Checker(year.rulebook, year.roster), log, ledger_last=info.state.last_seq)
    ingest.begun = ingest.ledger_last > 0
    if ingest.begun:
        async for entry in read_stream(client, "LEDGER", year.assessment, 1, 1):
            if checked := opened_year(entry.data):
                ingest.checker = checked.checker()
        # What intake still holds may have been appended: if so, as the last of the ledger.
        tail = max(1, ingest.ledger_last - intake.state.messages)
        async for entry in read_stream(client, "LEDGER", year.assessment, tail):
            ingest.appended[int(entry.headers[INTAKE_SEQUENCE])] = entry.sequence
        ingest.intake_appended = max(ingest.appended)
    if intake.state.last_seq < ingest.intake_appended:  # else what comes now would pass for appended
        expected = f"at least {ingest.intake_appended}, which is in the ledger"
        name = stream("INTAKE", year.assessment)
        raise StreamDiffers(name, [Difference("state.last_seq", expected, intake.state.last_seq)])
    ingest.intake_next = max(1, intake.state.first_seq)
    if intake.state.messages:
        await _catch_up(ingest, intake.state.last_seq)
    metrics.started("ingest")
    log.info("ingest.started", ledger=ingest.ledger_last, intake=ingest.intake_next)
    return ingest


async def _catch_up(ingest: Ingest, upto: int) -> None:
    """Take messages by reading the stream itself: they were delivered to a process that is no more."""
    batch: list[Entry] = []
    async for entry in read_stream(ingest.client, "INTAKE", ingest.assessment, ingest.intake_next, upto):
        batch.append(entry)
        if len(batch) == BATCH:
            await ingest.take(batch)
            batch = []
    await ingest.take(batch)


async def run(settings: Settings, log: structlog.typing.FilteringBoundLogger) -> None:
    """Serve until told to stop."""
    year = given(settings.assessment, settings.rulebook, settings.roster)
    async with connected(settings.nats_url, "ingest", settings.data, forever=True) as client:
        ingest = await start(client, year, log)

        async def take(entries: Sequence[Entry]) -> None:
            last = entries[-1].sequence
            if last - ingest.intake_next >= sum(entry.sequence >= ingest.intake_next for entry in entries):
                await _catch_up(ingest, last)
            await ingest.take(entries)

        async def heal() -> None:
            try:
                intake = await jetstream(client).stream_info(stream("INTAKE", settings.assessment))
            except (NatsError, TimeoutError):
                log.warning("broker.silent")  # it restarts, or is gone: the next second asks again
                return
            if intake.state.messages and intake.state.last_seq >= ingest.intake_next:
                await _catch_up(ingest, intake.state.last_seq)

        nats = broker(settings.nats_url, "ingest", settings.data)
        await serve(nats, "ingest", settings.assessment, take, heal, log)
