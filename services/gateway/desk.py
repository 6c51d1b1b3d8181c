"""The desk where events are handed in over HTTP: it publishes them to INTAKE for their office and waits for receipts.

One road: an event goes out byte for byte on the subject of the office whose key was shown, and ingest judges it. Only
what has no subject of its own, or no source and id to answer to, is refused here, by the same checks and words.

Receipts come live, and the durable `gateway` brings those that were written while nobody listened; both carry their
place in RECEIPT, so that none is heard twice. What is kept to be asked for is the newest receipt of each of the last
`KEPT` pairs of source and id, since this process began and for as long before as it was down; the whole of 90 days is
in RECEIPT, for the office to read over NATS.
"""

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path  # noqa: TC003 - imports are one way everywhere
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec
import structlog
from nats.aio.client import Client  # noqa: TC002 - imports are one way everywhere
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import PubAck  # noqa: TC002 - as above
from nats.js.errors import APIError

from infra.client import connected, end, jetstream, pull, pulled_entry
from schemas import subjects
from schemas.events import TEXT_MAX
from schemas.receipts import Receipt
from schemas.refusals import Refusal
from schemas.texts import digests
from schemas.words import Language, Text, _
from services.ingest import texts
from services.ingest.check import Checker
from services.ingest.line import Wire, read
from services.process import metrics, tracing
from services.process.settings import Settings

PATIENCE = 2.0
"""Seconds that an answer waits for the receipt."""
STORED_WITHIN = 10.0
"""Seconds more that the broker may take to store it, where its disk is busy."""
MOST = 4000
"""Events that may wait at once; more is back-pressure."""
KEPT = 100_000
"""Receipts kept to be asked for: some 100 MB at the very most, far less as a rule."""
QUOTA_AGAIN = 60
"""Seconds for which an office whose day's quota is spent is told so before the broker is asked again."""
RETRY = 2
"""Seconds after which who was told to try again may do so."""
_FETCH = 500
_LISTEN = 5.0
_STATUS = {
    "not_json": 400,
    "too_large": 413,
    "conflict": 409,
    "over_quota": 429,
    "message_id": 422,
    "not_judged": 500,
    "not_appended": 500,
}
"""HTTP status of a refusal; of all others 422."""
TOO_MANY = 429
_DAY = 86_400

Pair = tuple[str, str, str]
"""The party whose key was shown, and the event's source and id."""


class Pending(msgspec.Struct, frozen=True):
    """The event is stored, and no receipt of it has come yet; ask for it at the path `ask`."""

    source: str
    id: str
    ask: str
    outcome: Literal["pending"] = "pending"


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a request, not with an event: RFC 9457, `title` is its name.

    `detail` is in the language that the request asks for (Accept-Language), in both where it asks for neither.
    """

    title: str
    status: int
    detail: str
    type: str = "about:blank"


class Answer(NamedTuple):
    """What is said of one event, with the HTTP status that says the same."""

    status: int
    body: Receipt | Pending | Problem
    retry: int | None = None


class Busy(RuntimeError):  # noqa: N818 - house style: a refusal has a name of its own
    """The gateway can take nothing now: no broker, or too many events wait already."""


class TooMany(Busy):
    """A party asks for more than its share: of the places here (`too_many`), or of its day (`quota_spent`)."""

    def __init__(self, name: str, retry: int) -> None:
        super().__init__()
        self.name = name
        self.retry = retry


class Kept(msgspec.Struct, frozen=True):
    """A receipt with its place among all receipts, by which a list goes on."""

    place: int
    receipt: Receipt


class Listed(msgspec.Struct, frozen=True):
    """Receipts of a party, oldest first; `next` is where the list goes on, null at its end."""

    receipts: list[Kept]
    next: str | None


class Waiter:
    """An event that was published: its answer, and what tells it from another of the same source and id."""

    def __init__(self, pair: Pair, raw: bytes, *, again: bool) -> None:
        self.pair = pair
        self.sha256 = digests(raw)
        self.again = again
        self.accepted: Receipt | None = None
        self.stored: asyncio.Future[PubAck] | None = None
        self.receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

    def hear(self, receipt: Receipt) -> None:
        """Answer with a receipt, unless nobody waits any more."""
        if not self.receipt.done():
            self.receipt.set_result(receipt)


class Desk:
    """Takes events of parties, remembers receipts. `checker` speaks where an event cannot reach ingest.

    `service` is whose readiness hangs on the broker; null where its process has other work, as the page does.
    """

    def __init__(  # noqa: PLR0913 - what bounds a desk
        self,
        assessment: str,
        checker: Checker,
        *,
        most: int = MOST,
        kept: int = KEPT,
        share: int = MOST // 4,
        service: str | None = "gateway",
    ) -> None:
        self._service = service
        self.assessment = assessment
        self.checker = checker
        self.most = most
        self.kept = kept
        self.share = share
        self.client: Client | None = None
        self.data: Path | None = None
        self.in_flight = 0
        self._of_office: Counter[str] = Counter()
        self._over: dict[str, float] = {}
        self._js: JetStreamContext | None = None
        self._memory: OrderedDict[Pair, tuple[int, Receipt]] = OrderedDict()
        self._waiting: dict[Pair, deque[Waiter]] = {}
        self._settling: dict[int, Waiter] = {}
        self._log = structlog.get_logger(__name__)

    # The broker's side

    @contextlib.asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[None]:
        """Stay connected in the background: without a broker the gateway answers too, that it can take nothing."""
        self.data = settings.data
        task = asyncio.create_task(self._serve(settings))
        try:
            yield
        finally:
            await end(task)

    async def _serve(self, settings: Settings) -> None:
        """Hear receipts for ever: live ones at once, and by the durable what was missed; what fails is tried again."""
        while True:
            try:
                async with connected(settings.nats_url, "gateway", settings.data, forever=True) as client:
                    await client.subscribe(subjects.receipt(self.assessment, "x")[:-1] + "*", cb=self._live)
                    receipts = await pull(client, "RECEIPT", self.assessment, "gateway")
                    self.client, self._js = client, jetstream(client)
                    if self._service:
                        metrics.started(self._service, lambda: None if client.is_connected else "the broker is gone")
                    while True:
                        await self._catch_up(receipts)
            except Exception as error:  # noqa: BLE001 - whatever it is, the gateway goes on saying that it is closed
                self._log.warning("broker.lost", error=str(error) or type(error).__name__)
                self.client = self._js = None
                if self._service:
                    metrics.expect(self._service, "it has no connection to the broker")
                await asyncio.sleep(1)

    async def _catch_up(self, receipts: JetStreamContext.PullSubscription) -> None:
        """Take what the durable has, until it falls silent for a while."""
        with contextlib.suppress(TimeoutError):
            while messages := await receipts.fetch(_FETCH, timeout=_LISTEN):
                for message in messages:
                    entry = pulled_entry(message)
                    self._heard(entry.sequence, entry.subject, entry.data)
                    await message.ack()

    async def _live(self, message: Msg) -> None:
        self._heard(int((message.headers or {}).get("Nats-Sequence", 0)), message.subject, message.data)

    @property
    def connected(self) -> bool:
        """Whether there is a broker to hand events on to; nothing is buffered for one that is not there."""
        return self.client is not None and self.client.is_connected

    # Receipts

    def _heard(self, place: int, subject: str, data: bytes) -> None:
        """Take a receipt at its place in RECEIPT: keep it, and answer who waits for it."""
        try:
            told = msgspec.json.decode(data, type=Receipt)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            metrics.passed_over("RECEIPT", place, str(error))
            return
        party = subject.rpartition(".")[2]
        if told.reason == "over_quota":
            self._over[party] = time.monotonic() + QUOTA_AGAIN
        if told.source is None or told.id is None:
            return
        pair = (party, told.source, told.id)
        before, newest = self._memory.get(pair, (0, told))
        if place and place <= before:
            return
        overtaken = newest.outcome == "settled" and told.outcome == "accepted" and newest.sequence == told.sequence
        receipt = newest if overtaken else told  # the fold may be faster than ingest's receipt
        self._memory[pair] = place, receipt
        self._memory.move_to_end(pair)
        if len(self._memory) > self.kept:
            self._memory.popitem(last=False)
        if told.outcome == "settled":
            if waiter := self._settling.pop(told.sequence or 0, None):
                waiter.hear(told)
        elif waiter := self._of(pair, told):
            self._tell(waiter, receipt)

    def _of(self, pair: Pair, receipt: Receipt) -> Waiter | None:
        """The first that was published with this source and id; of an accepted event the SHA-256 must agree too."""
        line = self._waiting.get(pair, deque())
        for waiter in line:
            if receipt.outcome == "refused" or receipt.sha256 in waiter.sha256:
                self._forget(waiter)
                return waiter
        return None

    def _tell(self, waiter: Waiter, receipt: Receipt) -> None:
        """Answer with a receipt; one of an event that came before is settled by the fold, and that is waited for."""
        if waiter.again and receipt.outcome == "accepted" and receipt.sequence and not waiter.receipt.done():
            waiter.accepted = receipt
            self._settling[receipt.sequence] = waiter
        else:
            waiter.hear(receipt)

    def _forget(self, waiter: Waiter) -> None:
        line = self._waiting.get(waiter.pair)
        if line and waiter in line:
            line.remove(waiter)
            if not line:
                del self._waiting[waiter.pair]

    def ask(self, party: str, source: str, identifier: str) -> Answer | None:
        """The newest receipt of an event, or that it is pending; null when the gateway knows nothing of it."""
        pair = (party, source, identifier)
        if pair in self._waiting:
            return Answer(202, Pending(source, identifier, place(source, identifier)), 1)
        kept = self._memory.get(pair)
        return Answer(200, kept[1]) if kept else None

    def listed(self, party: str, after: int, limit: int, outcome: str | None) -> Listed:
        """The receipts kept of a party, by their place, those after one."""
        kept = (
            Kept(place, receipt)
            for (owner, __, __), (place, receipt) in self._memory.items()
            if owner == party and place > after and outcome in (None, receipt.outcome)
        )
        found = sorted(kept, key=lambda one: one.place)
        shown, more = found[:limit], {"outcome": outcome} if outcome else {}
        query = urlencode({"after": shown[-1].place, "limit": limit, **more}) if len(found) > limit else None
        return Listed(shown, f"/v1/receipts?{query}" if query else None)

    # Events

    async def take(
        self, party: str, raws: Sequence[bytes], parent: str | None = None, lang: Language = "en"
    ) -> list[Answer]:
        """Publish events in their order, wait for their receipts, say of each what became of it. Raises Busy.

        `parent` is the traceparent of the request: it goes with the messages and not into the events.
        """
        with self._places(party, len(raws)):
            deadline = asyncio.get_running_loop().time() + PATIENCE
            headers = {tracing.HEADER: parent} if parent else None
            handed = [await self._publish(party, raw, headers, lang) for raw in raws]
            answers = [one if isinstance(one, Answer) else await self._answer(one, deadline) for one in handed]
        for answer in answers:
            metrics.answered(answer.status)
        return answers

    @contextlib.contextmanager
    def _places(self, party: str, events: int) -> Iterator[None]:
        """Places for events of an office while it waits: none has more than its share, nor goes on over its quota."""
        if time.monotonic() < self._over.get(party, 0):
            raise TooMany("quota_spent", QUOTA_AGAIN)
        if events > self.most or not self.connected:
            raise Busy
        if self._of_office[party] and self._of_office[party] + events > self.share:  # a batch alone may be larger
            raise TooMany("too_many", RETRY)
        if self.in_flight + events > self.most:
            raise Busy
        self.in_flight += events
        self._of_office[party] += events
        metrics.in_flight(self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= events
            self._of_office[party] -= events
            metrics.in_flight(self.in_flight)

    def apart(self, party: str, wire: Any, raw: bytes) -> bytes:
        """An event of the party's own with its texts out of line, where the rulebook asks for it and it did not."""
        book = self.checker.rulebook
        if self.data is None or book is None or not book.out_of_line or not isinstance(wire, Wire):
            return raw
        if wire.source.__class__ is not str or subjects.party_of(wire.source) != party:
            return raw
        return texts.sealed_line(raw, book.out_of_line, partial(texts.secret, self.data))

    async def _publish(
        self, party: str, raw: bytes, headers: dict[str, str] | None, lang: Language = "en"
    ) -> Answer | Waiter:
        """Hand an event on to INTAKE, or refuse it where it has no subject there."""
        wire = read(raw)
        subject = self._subject(party, wire)
        raw = self.apart(party, wire, raw)
        if subject is None:
            self.checker.lang = lang
            found = self.checker.check(raw)
            assert isinstance(found, Refusal), "an event without a subject is refused by the same checks"
            metrics.refused(found.reason)
            return refusal(found)
        pair = (party, wire.source, wire.id)
        before = self._memory.get(pair)
        again = pair in self._waiting or (before is not None and before[1].outcome != "refused")
        waiter = Waiter(pair, raw, again=again)
        self._waiting.setdefault(pair, deque()).append(waiter)
        try:
            if self._js:
                waiter.stored = await self._js.publish_async(subject, raw, headers=headers)
                return waiter
        except NatsError as error:
            self._log.warning("event.unsent", error=str(error) or type(error).__name__)
        self._forget(waiter)
        return closed()

    def _subject(self, party: str, wire: object) -> str | None:
        """Where in INTAKE an event goes; null where its tokens are none, or no answer could be given to it."""
        if not isinstance(wire, Wire):
            return None
        named = all(text.__class__ is str and 0 < len(text) <= TEXT_MAX for text in (wire.source, wire.id))
        if not named or wire.type.__class__ is not str or wire.subject.__class__ is not str:
            return None
        try:
            return subjects.intake(self.assessment, party, wire.type, wire.subject)
        except ValueError:
            return None

    async def _answer(self, waiter: Waiter, deadline: float) -> Answer:
        """What became of a published event by the deadline: its receipt, or that it is stored, or that nobody knows."""
        assert waiter.stored
        try:
            async with asyncio.timeout_at(deadline + STORED_WITHIN):
                await waiter.stored
        except (APIError, NatsError, TimeoutError) as error:  # INTAKE is full, or the connection went
            self._forget(waiter)
            self._log.warning("event.unstored", error=str(error) or type(error).__name__)
            return said(waiter.receipt.result()) if waiter.receipt.done() else closed()
        try:
            async with asyncio.timeout_at(deadline):
                return said(await waiter.receipt)
        except TimeoutError:
            if waiter.accepted:
                self._settling.pop(waiter.accepted.sequence or 0, None)
                return said(waiter.accepted)
            __, source, identifier = waiter.pair
            return Answer(202, Pending(source, identifier, place(source, identifier)), 1)


def place(source: str, identifier: str) -> str:
    """Where the receipt can be asked for; a query, because a source has slashes and an id may have anything."""
    return f"/v1/events?{urlencode({'source': source, 'id': identifier})}"


def said(receipt: Receipt) -> Answer:
    """The status of a receipt: 201 accepted, 200 known before, and the refusals'."""
    if receipt.reason:
        status = _STATUS.get(receipt.reason, 422)
        return Answer(status, receipt, _DAY - int(time.time()) % _DAY if status == TOO_MANY else None)
    return Answer(201 if receipt.outcome == "accepted" else 200, receipt)


def refusal(found: Refusal) -> Answer:
    """A refusal as the receipt that ingest would send."""
    return said(Receipt(found.source, found.id, "refused", reason=found.reason, path=found.path, message=found.message))


#: Requests that are wrong, by name: status, words.
PROBLEMS: dict[str, tuple[int, Text]] = {
    "bad_query": (400, _("Give source and id, each once.")),
    "bad_list": (
        400, _("Take after (a place), limit (1 to 1000) and outcome (accepted, refused, settled), each "
"at most once."),
    ),
    "bad_request": (400, _("The request cannot be read; see /docs.")),
    "no_key": (401, _("Show the party's key as a bearer token.")),
    "reads_only": (403, _("This key reads and sends nothing.")),
    "not_found": (404, _("There is nothing at this path; see /docs.")),
    "no_receipt": (
        404, _("No receipt of this event is kept here. Sending it again is safe: an event counts once."),
    ),
    "wrong_method": (405, _("This path has no such method; see /docs.")),
    "too_slow": (408, _("The body did not arrive in time.")),
    "wrong_media_type": (
        415, _("Send one of the media types of the header Accept, in UTF-8, uncompressed; with ce- "
"headers JSON."),
    ),
    "too_many": (
        429, _("At most {limit} events of one party wait here at once: try again after Retry-After."),
    ),
    "quota_spent": (
        429, _("The party has spent its day's quota, {events} events or {bytes} bytes (UTC): send again "
"after it."),
    ),
    "our_fault": (500, _("Something failed here; it was noted.")),
    "try_again": (
        503, _("Nothing can be taken just now, or it is not known whether it was. Send the same again: "
"it counts once."),
    ),
}  # fmt: skip


def problem(name: str, lang: Language | None = None, **gaps: int) -> Answer:
    """What is wrong with a request, by its name, in a language or both; `gaps` are the limits that it names."""
    status, said = PROBLEMS[name]
    said = said.of(**gaps)
    text = said.say(lang) if lang else f"{said.say('zh')} / {said.say('en')}"
    return Answer(status, Problem(name, status, text), RETRY if status in (TOO_MANY, 503) else None)


def closed(lang: Language | None = None) -> Answer:
    """Back-pressure: nothing is lost by sending the same again, for an event counts once."""
    return problem("try_again", lang)
