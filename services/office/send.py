"""Sends events to INTAKE, each with its party's own key and in the order given, and hears the receipts of ingest.

Nothing is lost: an event counts as stored when the broker has said so, else the same bytes are sent again. Nothing is
doubled: an event sent twice has one source and id, and counts once for ever (the fold). An office hears its receipts
live, from before the first event goes out; a unit has no live subject and reads on with its durable.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import PubAck

from infra.client import ANSWER_WITHIN, connect, end, jetstream, pull
from schemas import subjects
from schemas.receipts import Receipt
from schemas.texts import digests
from schemas.words import _
from services.process.ending import Exit, Stop
from services.process.settings import Settings

FLIGHT = 256
"""Events under way at once; with a flush to disk for each flight this is as fast as the broker gets."""
TRIES = 5
SETTLED_WITHIN = 5.0
"""Seconds to wait for the scorer's word on an event that came before; ingest's receipt is enough without it."""
GRACE = 1.5
"""Seconds of silence to wait for what the scorer says of other events: that they are duplicates, conflicts or void."""
#: Types whose meaning does not hang on what the same flight holds; all others go out alone.
_PLAIN = ("deduction.recorded.v1", "rating.recorded.v1", "submission.recorded.v1")
_FETCH = 100


class Letter(NamedTuple):
    """An event that passed the checks. `again`: it was sent before, so the scorer will settle it as a duplicate."""

    party: str
    unit: bool
    type: str
    subject: str
    source: str
    id: str
    raw: bytes
    again: bool = False


Told = Callable[[int, int], None]
"""Told how many letters have their receipt, of how many."""


async def send(
    settings: Settings, letters: Sequence[Letter], *, patience: float, told: Told = lambda _done, _total: None
) -> list[Receipt | None]:
    """Send letters and return the receipt of each, null where none came while all was silent for `patience` seconds.

    The receipt is ingest's, or the scorer's where it had more to say while this listened.
    Raises BrokerUnreachable where a party's key or the broker is missing, Stop when the broker stored nothing more.
    """
    desk = _Desk(letters, told)
    async with contextlib.AsyncExitStack() as stack:
        boxes: dict[str, _Box] = {}
        for letter in letters:
            if letter.party not in boxes:
                boxes[letter.party] = await _Box.open(settings, letter, desk)
                stack.push_async_callback(boxes[letter.party].close)
        sent = 0
        for flight in _flights(letters):
            await boxes[flight[0].party].publish(flight, sent)
            sent += len(flight)
        await desk.wait(desk.missing, patience)
        await desk.wait(desk.unsettled, min(SETTLED_WITHIN, patience))
        if not desk.missing and letters:
            await desk.wait(desk.accepted, min(GRACE, patience))
    return desk.receipts


def _flights(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    """Letters of one party that may be under way together, in order; whoever refers to others goes alone."""
    for (__, plain), group in groupby(letters, lambda one: (one.party, one.type in _PLAIN)):
        flight = list(group)
        size = FLIGHT if plain else 1
        yield from (flight[n : n + size] for n in range(0, len(flight), size))


class _Desk:
    """Lays receipts beside the letters they are of: by source and id, in order; the settled by their sequence."""

    def __init__(self, letters: Sequence[Letter], told: Told) -> None:
        self.letters = letters
        self.receipts: list[Receipt | None] = [None] * len(letters)
        self.missing = set(range(len(letters)))
        self.accepted: set[int] = set()
        self.unsettled: set[int] = set()
        self._told = told
        self._open: dict[tuple[str, str], deque[int]] = {}
        self._by_sequence: dict[int, int] = {}
        self._early: dict[int, Receipt] = {}
        self._news = asyncio.Event()
        for n, letter in enumerate(letters):
            self._open.setdefault((letter.source, letter.id), deque()).append(n)

    def hear(self, receipt: Receipt) -> bool:
        """Take a receipt; whether it is of one of the letters."""
        if receipt.outcome == "settled":
            return self._settle(receipt)
        line = self._open.get((receipt.source or "", receipt.id or ""), deque())
        mine = next(
            (n for n in line if receipt.outcome == "refused" or receipt.sha256 in digests(self.letters[n].raw)), None
        )
        if mine is None:
            return False
        line.remove(mine)
        self.missing.discard(mine)
        self.receipts[mine] = receipt
        if receipt.outcome == "accepted" and receipt.sequence is not None:
            self._by_sequence[receipt.sequence] = mine
            self.accepted.add(mine)
            if self.letters[mine].again:
                self.unsettled.add(mine)
            if early := self._early.pop(receipt.sequence, None):
                self._settle(early)
        self._told(len(self.letters) - len(self.missing), len(self.letters))
        self._news.set()
        return True

    def _settle(self, receipt: Receipt) -> bool:
        """The scorer may be faster than ingest's receipt."""
        if (receipt.source or "", receipt.id or "") not in self._open or receipt.sequence is None:
            return False
        mine = self._by_sequence.get(receipt.sequence)
        if mine is None:
            self._early[receipt.sequence] = receipt
        else:
            self.receipts[mine] = receipt
            self.unsettled.discard(mine)
            self.accepted.discard(mine)
            self._news.set()
        return True

    async def wait(self, which: set[int], patience: float) -> None:
        """Until none is left, or nothing was heard for so long."""
        while which:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), patience)
            except TimeoutError:
                return


class _Box:
    """The connection of one party."""

    def __init__(self, client: Client, party: str, desk: _Desk, complaints: list[str]) -> None:
        self._client, self._party, self._desk, self._complaints = client, party, desk, complaints
        self._js = jetstream(client)
        self._reading: asyncio.Task[None] | None = None
        self._others: list[Msg] = []

    @classmethod
    async def open(cls, settings: Settings, letter: Letter, desk: _Desk) -> "_Box":
        """Connect, and hear receipts from now on; what a unit's durable holds from before is passed over."""
        complaints: list[str] = []
        client = await connect(settings.nats_url, letter.party, settings.data, hear=complaints.append)
        box = cls(client, letter.party, desk, complaints)
        try:
            if letter.unit:
                await box._read(settings.assessment)
            else:
                await client.subscribe(subjects.receipt(settings.assessment, letter.party), cb=box._live)
                await client.flush()
        except (NatsError, TimeoutError) as error:
            await client.close()
            raise box._silent(0, error) from None
        return box

    async def _live(self, message: Msg) -> None:
        self._hear(message.data)

    def _hear(self, data: bytes) -> bool:
        """Take a receipt; what is none, somebody wrote who has a service's key, and it is nobody's answer."""
        try:
            receipt = msgspec.json.decode(data, type=Receipt)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        return self._desk.hear(receipt)

    async def _read(self, assessment: str) -> None:
        """Pass over what the durable holds, and read on in the background."""
        durable = await pull(self._client, "RECEIPT", assessment, self._party)
        while (await durable.consumer_info()).num_pending:
            self._others += await durable.fetch(_FETCH, timeout=ANSWER_WITHIN)

        async def on() -> None:
            while True:
                with contextlib.suppress(NatsError, TimeoutError):
                    for message in await durable.fetch(_FETCH, timeout=1):
                        mine = self._hear(message.data)
                        await message.ack() if mine else self._others.append(message)

        self._reading = asyncio.create_task(on())

    async def publish(self, letters: Sequence[Letter], sent: int) -> None:
        """Return when the broker has stored all of them; what it did not confirm goes out again, the same bytes."""
        left, failed = list(letters), None
        for attempt in range(TRIES):
            try:
                futures = [await self._js.publish_async(letter.subject, letter.raw) for letter in left]
                answers = await asyncio.gather(*map(self._answer, futures))
            except NatsError as error:
                answers = [error] * len(left)
            failed = next((answer for answer in answers if isinstance(answer, Exception)), None)
            if failed is None:
                return
            left = [one for one, answer in zip(left, answers, strict=True) if isinstance(answer, Exception)]
            if self._forbidden:
                break
            await asyncio.sleep(0.25 * 2**attempt)
        assert failed is not None
        raise self._silent(sent + len(letters) - len(left), failed)

    async def _answer(self, stored: "asyncio.Future[PubAck]") -> PubAck | Exception:
        """What the broker said of one letter; what it does not permit it drops without a word."""
        until = asyncio.get_running_loop().time() + ANSWER_WITHIN
        while not (stored.done() or self._forbidden or asyncio.get_running_loop().time() > until):
            await asyncio.wait([stored], timeout=0.5)
        if not stored.done():
            stored.cancel()
            return TimeoutError("no answer")
        return stored.exception() or stored.result()  # type: ignore[return-value]  # a NatsError or the answer

    @property
    def _forbidden(self) -> bool:
        return any("permissions" in complaint.lower() for complaint in self._complaints)

    def _silent(self, sent: int, error: Exception) -> Stop:
        reason = next(iter(self._complaints), str(error) or type(error).__name__)
        return Stop(
            Exit.FAILED,
            _(
                "{party}: the broker stores nothing more, {sent} events are stored: {reason}. Nothing is "
                "lost: run the same command again when it is repaired; an event counts once.",
                party=self._party,
                sent=sent,
                reason=reason,
            ),
        )

    async def close(self) -> None:
        """Give back what was read and is not ours, and close."""
        if self._reading:
            await end(self._reading)
        with contextlib.suppress(NatsError):
            for message in self._others:
                await message.nak()
            await self._client.flush()
        await self._client.close()
