"""Ingest: takes what parties published, in intake order, appends what passes to the ledger, and tells each party.

Whatever is stored is judged, or refused by name with its intake sequence; nothing that one party sends may cost another
anything. Each ledger message carries the intake sequence it came from, and ingest's own place is kept beside the
streams (see `place`): so a kill at any point appends nothing twice, and a stream that went back is noticed.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StreamState

from infra.client import (
    BATCH,
    AppendRefused,
    Arrival,
    Entry,
    Message,
    broker,
    connected,
    jetstream,
    publish_batch,
    read_arrived,
    read_stream,
)
from infra.streams import check_ledger, stream
from schemas import soundness, subjects
from schemas.events import CHANGES, ERASED, OPENED, Event
from schemas.receipts import Receipt
from schemas.refusals import SHA256
from schemas.texts import Text
from schemas.words import _
from schemas.year import Year
from services.ingest import place as places
from services.ingest import texts
from services.ingest.arrivals import Arrivals, runs
from services.ingest.check import Accept, Checker, opened, opened_year
from services.ingest.limits import (
    TOLD_EACH,
    Refused,
    SetAside,
    archived,
    message_id,
    not_appended,
    not_judged,
    over_quota,
)
from services.ingest.line import Fault
from services.ingest.opening import agree
from services.ingest.place import HistoryWentBack, Place
from services.ingest.shelf import Shelf
from services.process import metrics, tracing
from services.process.run_loop import serve
from services.process.settings import Limits, Settings
from services.process.standby import turn
from services.proof.note import Signer
from services.proof.receipts import encoded, site_key

#: The header of a ledger message, a receipt and a refusal that names the intake message it came from.
INTAKE_SEQUENCE = "Wuxing-Intake-Sequence"
#: Seconds to wait for an answer about changes, and until it is asked again.
CHANGES_WITHIN, CHANGES_AGAIN = 5.0, 0.1
SURE_LOOKS, LOOK_SECONDS = 20, 0.5
"""Looks before a stream that is shorter than it was counts as such: brokers in a cluster come up one after another."""
NOBODY = "_"
"""The token that stands for one that is no code: no party, unit or type is called so."""


class Judged(NamedTuple):
    """A message of intake, whose it is, and what it was found to be; `loud` where it is far over its party's quota.

    `apart` are its texts that stand out of line, and the event without them, which is what the ledger gets.
    """

    entry: Entry
    party: str
    found: Event | Refused
    loud: bool = False
    apart: texts.Apart | None = None

    @property
    def data(self) -> bytes:
        """The bytes that the ledger gets."""
        return self.apart.raw if self.apart else self.entry.data


@dataclass
class Ingest:
    """What ingest knows: its place, and what it read from the streams at start."""

    client: Client
    assessment: str
    settings: Settings
    log: structlog.typing.FilteringBoundLogger
    at: Path
    limits: Limits
    accept: Accept = soundness.read
    checker: Checker = field(init=False)
    key: Signer = field(init=False)
    place: Place = field(default_factory=Place)
    arrivals: Arrivals = field(default_factory=Arrivals)
    ledger_last: int = 0
    #: Intake sequence -> ledger sequence and SHA-256 of what was appended and perhaps never told.
    appended: dict[int, tuple[int, str]] = field(default_factory=dict)
    offices: frozenset[str] = frozenset()
    sealed: bool = False
    #: The texts out of line, and the tokens of those that orders have erased.
    shelf: Shelf = field(init=False)

    def __post_init__(self) -> None:
        self.key = site_key(self.settings.data, self.assessment, publish=True)
        self.shelf = Shelf(self.client, self.assessment)
        self.go_by(Checker(None, (), assessment=self.assessment, accept=self.accept))

    def open(self, raw: bytes) -> None:
        """From here on it is the year that this event opened."""
        year = Year(*opened(raw))
        agree(self.settings, year)
        self.go_by(Checker(year.rulebook, year.roster, keys=year.keys, accept=self.accept, assessment=self.assessment))

    def go_by(self, checker: Checker) -> None:
        """From here on these are the rulebook and the roster."""
        self.checker = checker
        book = checker.rulebook
        self.offices = frozenset(office.code for office in book.office) if book else frozenset()

    @property
    def intake_next(self) -> int:
        """The intake message that is taken next."""
        return self.place.intake + 1

    def took(self, sequence: int, recorded_at: int) -> bool:
        """Whether a message was taken before: a stream that was made again gives the same sequences, but later."""
        return sequence <= self.place.intake and recorded_at <= self.place.recorded

    async def look(self) -> None:
        """Read on in what arrived, and name what must be gone from INTAKE: before what has its numbers now is taken."""
        self.note([one async for one in read_arrived(self.client, self.assessment, self.arrivals.at + 1)])

    def note(self, arrived: Iterable[Arrival]) -> None:
        """Know what arrived; where a number was given anew, the message that had it before is gone, and those after."""
        for one in arrived:
            self.gone(self.arrivals.arrived(one, self.took))

    def gone(self, sequences: Iterable[int]) -> None:
        """Name what arrived and is not in INTAKE any more; what the ledger has already is not lost."""
        for first, last in runs(one for one in sequences if one not in self.appended):
            self.missing(first, last)

    async def take(self, entries: Sequence[Entry], *, whole: bool = False) -> bool:
        """Take intake messages that follow on: append, then receipts and refusals; pass over what was taken.

        Only who has read the stream itself, `whole`, knows that what is missing is gone, and it is named. Else what
        does not follow on is left for later, and the answer is False.
        """
        await self.look()
        new = [entry for entry in entries if not self.took(entry.sequence, entry.recorded_at)]
        if new and new[0].sequence <= self.place.intake:
            self.went_back(new[0].sequence)
        follow = [entry for n, entry in enumerate(new) if whole or entry.sequence == self.intake_next + n]
        later, new = len(follow) < len(new), follow
        for start in range(0, len(new), BATCH):  # a pull may bring more than it asked for
            part = new[start : start + BATCH]
            while part:  # after each change in it, what is left is taken by what has changed
                with tracing.span("ingest.take", [(entry.data, entry.headers) for entry in part], taken=len(part)):
                    fresh = await self._take(part)
                left = [entry for entry in part if entry.sequence > self.place.intake]
                self.log.info(
                    "batch.taken",
                    messages=len(part) - len(left),
                    appended=fresh,
                    ledger=self.ledger_last,
                    intake=self.place.intake,
                )
                part = left
        return not later

    async def _take(self, new: Sequence[Entry]) -> int:
        """Check, append and tell, up to the first change; returns how many were appended, the place safely written."""
        for entry, before in zip(new, [self.place.intake, *(one.sequence for one in new)], strict=False):
            self.missing(before + 1, entry.sequence - 1)
        judged: list[Judged] = []
        for n, entry in enumerate(new):
            slow = self.checker.rulebook is None or OPENED.encode() in entry.data
            judged.append(await asyncio.to_thread(self._judge, entry) if slow else self._judge(entry))
            if isinstance(found := judged[-1].found, Event) and found.type in (*CHANGES, ERASED):
                new = new[: n + 1]  # what follows is checked by it, once the fold has admitted it
                break
        stored: dict[tuple[str, str], int] = {}
        if self.checker.rulebook is not None and self.checker.rulebook.out_of_line:
            judged = [await self._with_text(one) for one in judged]
            stored = await self.shelf.store(_texts(judged))
        fresh = [one for one in judged if not self._has(one) and isinstance(one.found, Event)]
        aside = await self._append(fresh) if fresh else {}
        judged = [one._replace(found=aside.get(one.entry.sequence, one.found)) for one in judged]
        for pair in stored.keys() - {pair[:2] for pair in _texts(judged)}:  # what is set aside leaves no text behind
            await self.shelf.drop(stored[pair])
        await self._tell(judged)
        for entry in new:
            if held := self.appended.pop(entry.sequence, None):
                self.place.ledger, self.place.sha256 = held
        self.place.intake = new[-1].sequence
        self.place.recorded = max(self.place.recorded, *(one.recorded_at for one in new))  # a clock may go back
        self.place.arrived = self.arrivals.settled(self.took)
        await asyncio.to_thread(places.write, self.at, self.place)
        metrics.ledger(self.ledger_last)
        if changed := [one for one in judged if isinstance(one.found, Event) and one.found.type in CHANGES]:
            await self._apply(changed[-1], self.place.ledger)
        if orders := [one.found for one in judged if isinstance(one.found, Event) and one.found.type == ERASED]:
            await self.erase({self.place.ledger: orders[-1]})
        return len(fresh) - len(aside)

    async def _apply(self, change: Judged, sequence: int) -> None:
        """Wait until the fold has judged a change, and let it take effect if it was admitted."""
        assert isinstance(change.found, Event)
        if sequence in await admitted_changes(self.client, self.assessment, sequence, self.log):
            self.checker.apply(change.found)

    async def _with_text(self, one: Judged) -> Judged:
        """The same, or refused: a token comes with its text, unless that is held from its party, or erased."""
        if not isinstance(one.found, Event) or one.apart is None or self._has(one):
            return one
        for path, token in one.apart.tokens.items():
            if token not in one.apart.texts and not await self.shelf.knows(one.party, token):
                return one._replace(found=self.checker.refusal(texts.untold(path), one.found.source, one.found.id))
        return one

    async def erase(self, orders: Mapping[int, Event]) -> None:
        """Erase the texts that orders of the ledger name, by their sequences, once the fold has admitted them."""
        done = await admitted_changes(self.client, self.assessment, max(orders), self.log)
        orders = {sequence: order for sequence, order in orders.items() if sequence in done}
        book = self.checker.rulebook
        if orders and book and (gone := await self.shelf.erase(orders, book.out_of_line)):
            self.log.info("texts.erased", orders=len(orders), texts=gone)

    def _has(self, one: Judged) -> bool:
        """Whether the ledger has this message already, and not another that says so."""
        entry = one.entry
        if not (held := self.appended.get(entry.sequence)):
            return False
        if held[1] == _sha256(one.data):
            return True
        self.passed_over("LEDGER", held[0], f"it is not the intake message {entry.sequence} that it names")
        del self.appended[entry.sequence]
        return False

    def _judge(self, entry: Entry) -> Judged:
        """Judge a message; the first event of an empty ledger may open the assessment with its own rules."""
        party, subject = _topic(entry.subject)
        if self.sealed:
            return Judged(entry, party, archived(entry, self.assessment))
        if full := over_quota(entry, party, party in self.offices, self.limits, self.place):
            return Judged(entry, party, full, self._loud(party))
        if marked := message_id(entry):
            return Judged(entry, party, marked)
        try:
            one = self._beside(Judged(entry, party, self.checker.check(entry.data, subject)))
        except Exception as error:
            self.log.exception("message.not_judged", intake=entry.sequence, party=party)
            return Judged(entry, party, not_judged(entry, error))
        if self.checker.rulebook is None and isinstance(one.found, Event) and one.found.type == OPENED:
            self.open(entry.data)
        return one

    def _beside(self, one: Judged) -> Judged:
        """The same with its texts apart where the rulebook has them out of line, or refused for them."""
        found, book = one.found, self.checker.rulebook
        if not isinstance(found, Event) or not (book and book.out_of_line) or found.type == OPENED:
            return one
        apart = texts.taken(one.entry.data, book.out_of_line)
        if isinstance(apart, Fault):
            return one._replace(found=self.checker.refusal(apart, found.source, found.id))
        return one._replace(apart=apart)

    async def _append(self, fresh: Sequence[Judged]) -> dict[int, SetAside]:
        """Append events as one batch, fenced by the ledger's last sequence; what cannot be is set aside alone."""
        messages = [
            Message(
                subjects.ledger(self.assessment, subjects.party_of(event.source) or "", event.subject),
                one.data,
                {INTAKE_SEQUENCE: str(one.entry.sequence), **tracing.carried(one.entry.headers)},
            )
            for one in fresh
            if isinstance(event := one.found, Event)
        ]
        try:
            answer = await publish_batch(self.client, messages, self.ledger_last)
        except AppendRefused as error:
            return await self._apart(fresh, error)
        first = answer.seq - len(messages) + 1
        assert first == self.ledger_last + 1, "the ledger's sequences are contiguous"
        self.appended.update((one.entry.sequence, (first + n, _sha256(one.data))) for n, one in enumerate(fresh))
        self.ledger_last = answer.seq
        return {}

    async def _apart(self, fresh: Sequence[Judged], error: AppendRefused) -> dict[int, SetAside]:
        """Append what a refused batch is made of in halves, until the one that is refused stands alone.

        Only what a message itself is refused for sets it aside: acknowledged events outlast any trouble of the broker.
        """
        if error.sealed:
            self.sealed = True
            return {one.entry.sequence: archived(one.entry, self.assessment) for one in fresh}
        if not error.too_large:
            raise error
        if len(fresh) > 1:
            half = len(fresh) // 2
            return {**await self._append(fresh[:half]), **await self._append(fresh[half:])}
        [(entry, party, event, *__)] = fresh
        self.log.error("event.not_appended", intake=entry.sequence, party=party, error=str(error))
        return {entry.sequence: not_appended(entry, event.source or "", event.id or "", str(error))}

    async def _tell(self, judged: Sequence[Judged]) -> None:
        """Send each party its receipt, and each refusal with its reason and its intake sequence."""
        receipts, refusals = [], []
        for one in self._summed(judged):
            entry, party, found, *__ = one
            headers = {INTAKE_SEQUENCE: str(entry.sequence)}
            if held := self.appended.get(entry.sequence):
                receipt = Receipt(found.source, found.id, "accepted", held[0], _sha256(one.data))
            else:
                assert not isinstance(found, Event), "what passed is in the ledger or was set aside"
                metrics.refused(found.reason)
                named = msgspec.structs.replace(found, line=entry.sequence)
                told = {**headers, SHA256: _sha256(entry.data)}
                refusals.append(Message(subjects.refused(self.assessment, party), msgspec.json.encode(named), told))
                receipt = Receipt(
                    found.source, found.id, "refused", sha256=_sha256(entry.data),
                    reason=found.reason, path=found.path, message=found.message,
                )  # fmt: skip
            receipts.append(Message(subjects.receipt(self.assessment, party), encoded(receipt, self.key), headers))
        for batch in (refusals, receipts):
            if batch:
                await publish_batch(self.client, batch)

    def _summed(self, judged: Sequence[Judged]) -> list[Judged]:
        """All but what is far over a quota: of that the last of each party stands for the batch, with the number."""
        told: list[Judged] = []
        many: dict[str, list[Judged]] = {}
        for one in judged:
            if one.loud:
                many.setdefault(one.party, []).append(one)
            else:
                told.append(one)
        for same in many.values():
            first, last = same[0].entry.sequence, same[-1]
            assert isinstance(last.found, SetAside)
            words = f"{len(same)} messages from intake sequence {first} to {last.entry.sequence}: {last.found.message}"
            told.append(last._replace(found=msgspec.structs.replace(last.found, message=words)))
        return told

    def _loud(self, party: str) -> bool:
        most = self.limits.office_events if party in self.offices else self.limits.unit_events
        return self.place.spent.get(party, (0, 0))[0] > most + TOLD_EACH

    def went_back(self, first: int) -> None:
        """INTAKE was made again, or lost its end: what was acknowledged and not taken by then is gone."""
        self.log.error(
            "intake.went_back",
            taken=self.place.intake,
            begins=first,
            tell="Messages that the broker acknowledged may be lost: all parties send again what has no receipt.",
        )
        self.place.lost = [*self.place.lost, (self.place.intake + 1, 0)][-places.SHOWN_LOSSES :]
        metrics.lost(1)
        self.place.intake = first - 1
        self.appended.clear()

    def missing(self, first: int, last: int) -> None:
        """Name messages that INTAKE does not have any more, though nobody took them."""
        if first > last:
            return
        self.log.error(
            "intake.lost",
            first=first,
            last=last,
            tell="The broker acknowledged these messages and lost them: all parties send again what has no receipt.",
        )
        self.place.lost = [*self.place.lost, (first, last)][-places.SHOWN_LOSSES :]
        metrics.lost(last - first + 1)

    def passed_over(self, kind: str, sequence: int, why: str) -> None:
        """A stored message is nothing that ingest wrote or can read: an alarm, and on to the next."""
        self.place.passed_over += 1
        metrics.passed_over(kind, sequence, why)


async def admitted_changes(
    client: Client, assessment: str, upto: int, log: structlog.typing.FilteringBoundLogger
) -> list[int]:
    """Ask the scorer which changes up to a sequence were admitted, for as long as it takes it to fold so far."""
    wait = CHANGES_AGAIN
    while True:
        try:
            answer = await client.request(subjects.changes(assessment), str(upto).encode(), CHANGES_WITHIN)
            found = msgspec.json.decode(answer.data, type=list[int] | None)
        except (NatsError, TimeoutError, msgspec.MsgspecError):
            log.warning("changes.waiting", sequence=upto, tell="The scorer does not answer: is it running?")
            found = None
        if found is not None:
            return found
        await asyncio.sleep(wait)
        wait = min(CHANGES_WITHIN, wait * 2)


def _topic(subject: str) -> tuple[str, str]:
    """The party of an intake subject, and the subject as it is checked: a token that is no code is `NOBODY`'s."""
    kind, assessment, *tokens = subject.split(".")
    safe = [token if subjects.CODE.fullmatch(token) else NOBODY for token in tokens]
    return safe[0], ".".join((kind, assessment, *safe))


def _texts(judged: Iterable[Judged]) -> list[tuple[str, str, Text]]:
    """The texts of what passed: party, token, text."""
    passed = [(one.party, one.apart.texts) for one in judged if isinstance(one.found, Event) and one.apart]
    return [(party, token, text) for party, held in passed for token, text in held.items()]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _intake_of(entry: Entry) -> int | None:
    """The intake sequence that a ledger message names; null where it names none."""
    text = entry.headers.get(INTAKE_SEQUENCE, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


async def start(  # noqa: PLR0913 - what ingest is made of
    client: Client,
    settings: Settings,
    log: structlog.typing.FilteringBoundLogger,
    at: Path,
    accept: Accept = soundness.read,
    *,
    ours: bool = True,
) -> Ingest:
    """Read from the streams where ingest stands, and take what was delivered before but never acknowledged.

    Where another's place has gone on since this folder's was written, not `ours`, only the streams say where.
    """
    assessment = settings.assessment
    info = await jetstream(client).stream_info(stream("LEDGER", assessment))
    check_ledger(info, assessment)
    held = places.read(at)
    known = held is not None and ours
    ingest = Ingest(client, assessment, settings, log, at, settings.limits, accept, ledger_last=info.state.last_seq)
    ingest.sealed = bool(info.config.sealed)
    if held:
        await _same_history(ingest, held)
        ingest.place = held
    elif ingest.ledger_last:
        log.warning("place.missing", file=str(at))
    arrived = await _arrived(ingest, known=known)
    top = max((one.intake for one in arrived), default=0)
    intake = await _intake(client, assessment, max(held.intake if held else 0, top if known else 0))
    await _read_year(ingest)
    # What INTAKE still holds may have been appended, as the last of the ledger.
    waiting = range(max(1, intake.first_seq), intake.last_seq + 1)
    if not known:
        ingest.place.intake = 0
        ingest.place.ledger = max(0, ingest.ledger_last - len(waiting))
        ingest.place.sha256 = next(iter(await _ledger_at(ingest, ingest.place.ledger)), "")
    async for entry in _tail(ingest):
        came_from = _intake_of(entry)
        if came_from is None or not ingest.place.intake < came_from <= max(intake.last_seq, top):
            ingest.passed_over("LEDGER", entry.sequence, "it names no message of intake that was not yet taken")
        else:
            ingest.appended[came_from] = entry.sequence, _sha256(entry.data)
    ingest.note(one for one in arrived if known or one.intake >= waiting.start)
    ingest.gone(ingest.arrivals.beyond(intake.last_seq))
    _hold_against(ingest, waiting, known=known)
    if waiting:
        await _catch_up(ingest, waiting[0], waiting[-1])
    await asyncio.to_thread(places.write, at, ingest.place)
    return ingest


async def _read_year(ingest: Ingest) -> None:
    """Open the year that the ledger's first event opened, and apply the changes that the fold has admitted since."""
    async for entry in read_stream(ingest.client, "LEDGER", ingest.assessment, 1, 1):
        if opened_year(entry.data, ingest.assessment):
            await asyncio.to_thread(ingest.open, entry.data)
    if ingest.checker.rulebook is None:
        return
    collector = ingest.checker.rulebook.roles.collector
    kept = f"ledger.{ingest.assessment}.{collector}.*"  # whatever it is about
    orders: dict[int, Event] = {}
    async for entry in read_stream(ingest.client, "LEDGER", ingest.assessment, 1, ingest.ledger_last, subject=kept):
        found = ingest.checker.check(entry.data)
        if isinstance(found, Event) and found.type in CHANGES:
            done = await admitted_changes(ingest.client, ingest.assessment, entry.sequence, ingest.log)
            if entry.sequence in done:
                ingest.checker.apply(found)
        elif isinstance(found, Event) and found.type == ERASED:
            orders[entry.sequence] = found
    if orders:  # again at each start: a store that was restored has what was erased since
        await ingest.erase(orders)


async def _intake(client: Client, assessment: str, least: int) -> StreamState:
    """The state of INTAKE; a new leader may not have come up to `least` yet, and is asked again before that counts."""
    for __ in range(SURE_LOOKS):
        state = (await jetstream(client).stream_info(stream("INTAKE", assessment))).state
        if state.last_seq >= least:
            break
        await asyncio.sleep(LOOK_SECONDS)
    return state


async def _arrived(ingest: Ingest, *, known: bool) -> list[Arrival]:
    """What arrived since all before it was taken; a record that was cut or made again is read from its end."""
    end = (await jetstream(ingest.client).stream_info(stream("ARRIVED", ingest.assessment))).state.last_seq
    ingest.arrivals = Arrivals(min(ingest.place.arrived, end) if known else 0)
    if ingest.place.arrived > end:
        ingest.log.warning("arrived.went_back", read=ingest.place.arrived, ends=end)
    return [one async for one in read_arrived(ingest.client, ingest.assessment, ingest.arrivals.at + 1)]


async def _tail(ingest: Ingest) -> AsyncIterator[Entry]:
    """The ledger after the place, to its very end: a replica that lags is asked again."""
    following = ingest.place.ledger + 1
    for __ in range(SURE_LOOKS):
        async for entry in read_stream(ingest.client, "LEDGER", ingest.assessment, following):
            following = entry.sequence + 1
            yield entry
        if following > ingest.ledger_last:
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise HistoryWentBack(
        _(
            "The ledger should end at {ledger_last}, and can be read up to {following} only: a store "
            "is damaged, or its brokers have not met yet. Start ingest again.",
            ledger_last=ingest.ledger_last,
            following=following - 1,
        )
    )


async def _ledger_at(ingest: Ingest, sequence: int) -> list[str]:
    """The SHA-256 of the ledger's payload at a sequence, none where there is none."""
    read = read_stream(ingest.client, "LEDGER", ingest.assessment, sequence, sequence)
    return [_sha256(entry.data) async for entry in read]


async def _same_history(ingest: Ingest, held: Place) -> None:
    """Raise HistoryWentBack unless the ledger still has what was appended last, where it was."""
    for __ in range(SURE_LOOKS):
        found = await _ledger_at(ingest, held.ledger) if held.ledger else [held.sha256]
        if found == [held.sha256]:
            return
        if found or ingest.ledger_last < held.ledger:
            break
        await asyncio.sleep(LOOK_SECONDS)  # a replica lags
    raise HistoryWentBack(
        _(
            "The ledger ends at {ledger_last}, and ingest had appended {ledger}, or that is another "
            "event now: its store was damaged or replaced. Stop everything and run `wuxing repair` "
            "(docs/operations.md). Where an older copy was restored on purpose, move {at} away: "
            "sequences after it will then be given a second time.",
            ledger_last=ingest.ledger_last,
            ledger=held.ledger,
            at=ingest.at,
        )
    )


def _hold_against(ingest: Ingest, waiting: range, *, known: bool) -> None:
    """Hold the place against what INTAKE has, and name what was acknowledged and is not there any more."""
    if not known:
        ingest.place.intake = waiting.start - 1
    elif waiting.stop - 1 < ingest.place.intake:
        ingest.went_back(waiting.start)
    elif not waiting:
        ingest.missing(ingest.intake_next, waiting.stop - 1)
        ingest.place.intake = waiting.stop - 1


async def _catch_up(ingest: Ingest, start: int, upto: int) -> None:
    """Take messages by reading the stream itself: they were delivered to a process that is no more."""
    batch: list[Entry] = []
    async for entry in read_stream(ingest.client, "INTAKE", ingest.assessment, start, upto):
        batch.append(entry)
        if len(batch) == BATCH:
            await ingest.take(batch, whole=True)
            batch = []
    await ingest.take(batch, whole=True)


async def run(settings: Settings, log: structlog.typing.FilteringBoundLogger, accept: Accept = soundness.read) -> None:
    """Serve until told to stop; `accept` reads the rulebook of an opening and says what is wrong with it."""
    async with (
        connected(settings.nats_url, "ingest", settings.data, forever=True) as client,
        turn(client, settings, "ingest", log) as mine,
    ):
        at = places.file(settings.data, settings.assessment)
        held = places.read(at)
        ours = mine.ours and (held is None or mine.told <= held.intake)
        ingest = await start(client, settings, log, at, accept, ours=ours)

        async def take(entries: Sequence[Entry]) -> bool:
            if not await ingest.take(entries):
                await _catch_up(ingest, ingest.intake_next, entries[-1].sequence)
            done = await ingest.take(entries)
            mine.told = ingest.place.intake
            return done

        shorter = 0

        async def heal() -> None:
            nonlocal shorter
            try:
                await ingest.look()
                intake = (await jetstream(client).stream_info(stream("INTAKE", settings.assessment))).state
            except (NatsError, TimeoutError):
                log.warning("broker.silent")  # it restarts, or is gone: the next second asks again
                return
            shorter = shorter + 1 if intake.last_seq < max(ingest.place.intake, ingest.arrivals.last) else 0
            if shorter == SURE_LOOKS:  # seconds: a new leader comes up to its streams sooner
                ingest.gone(ingest.arrivals.beyond(intake.last_seq))
                if intake.last_seq < ingest.place.intake:
                    ingest.went_back(max(1, intake.first_seq))
            untaken = bool(intake.messages) and intake.last_seq >= ingest.intake_next
            metrics.waits("ingest", max(intake.first_seq, ingest.intake_next) if untaken else None)
            metrics.waits("ingest", intake.first_seq if intake.messages else None, metrics.LEAVE_SECONDS)
            if untaken:
                await _catch_up(ingest, ingest.intake_next, intake.last_seq)
            mine.told = ingest.place.intake

        nats = broker(settings.nats_url, "ingest", settings.data)
        place = {"ledger": ingest.ledger_last, "intake": ingest.intake_next}
        await serve(nats, "ingest", settings.assessment, take, heal, log, **place)
