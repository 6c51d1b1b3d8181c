"""Declares the streams of an assessment and their durables once, makes them, and refuses to run on others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from schemas.told import Told
from schemas.words import SEMICOLON, _, several

T = TypeVar("T")
KINDS = ("ARRIVED", "INTAKE", "LEDGER", "RECEIPT", "REFUSED", "NOTICE", "RANKING", "CHECKPOINT")
TEXTS = "TEXTS"
"""The stream of texts out of line, of an assessment whose rulebook asks for it; the one from which messages go."""
LEASE = "LEASE"
"""The stream of whose turn it is at a service: the last word of each, and nothing of the assessment (`infra.lease`)."""
MAX_MESSAGE = 1536 * 1024
"""Bytes: an assessment.opened of 1 MiB with its headers."""
MAX_LEASE = 4096
MAX_TEXT = 16 * 1024
"""Bytes of a text out of line: 2,000 characters with their salt and headers."""
MAX_INTAKE = 256 * 1024 * 1024
"""Bytes that may wait for ingest; more is refused (503), so that a flood cannot fill the store under the ledger."""
MAX_ARRIVED = 1_000_000
"""Messages of intake that are remembered by number and time: more than may wait there."""
RECEIPT_DAYS = 90
RANKINGS = 1000
CHECKPOINTS = 10_000
MAX_NOTE = 16 * 1024
"""Bytes of a signed checkpoint, which all parties may read."""
KEPT_BYTES = {
    "ARRIVED": 256 * 1024**2, "RECEIPT": 512 * 1024**2, "REFUSED": 256 * 1024**2, "NOTICE": 256 * 1024**2,
    "RANKING": 256 * 1024**2,
}  # fmt: skip
"""Bytes that may be kept of what can be made again; the oldest goes, and the ledger has the rest of the store."""
WHOLE, LEAST = 128, 8
"""Parties of an assessment that has all these bytes; one of fewer has its share of them, as if it had the least.

The server sets a stream's bytes aside when it is made, and no more than its store has: else nine small years filled it.
"""
KEPT_EACH = {"RECEIPT": 400_000, "REFUSED": 100_000, "NOTICE": 20_000}
"""Receipts, refusals and notices of one party, so that nobody's flood takes another's away."""
LEAST_WINDOW = 0.1
"""Seconds, the server's least. A message id is the stream's and not the office's, so an office could have another's
event dropped as its own duplicate; and what the broker drops gets no receipt. The fold knows duplicates for ever."""
MAX_ACK_PENDING = 10_000
ACK_WAIT = 30
DURABLES = {"ingest": "INTAKE", "scorer": "LEDGER"}
"""Service -> the kind of stream that its durable reads."""

LEADER_WITHIN = 120.0
"""Seconds that a cluster may take to find its leader."""
_AT_ONCE = 32
_PAGE = 256


@dataclass(frozen=True)
class Difference:
    """One setting of a stream or consumer that is not as declared."""

    field: str
    expected: object
    found: object


class StreamDiffers(Told):
    """A stream or consumer is not what was declared; nothing was changed and nothing may run on it."""

    def __init__(self, name: str, differences: Sequence[Difference]) -> None:
        self.name = name
        self.differences = tuple(differences)
        listed = (
            _(
                "{field}: expected {expected}, found {found}",
                field=d.field,
                expected=repr(d.expected),
                found=repr(d.found),
            )
            for d in differences
        )
        super().__init__(
            _(
                "{name} is not as declared: {listed}. Nothing runs on it. If it was changed by hand, find out by whom"
                " and change it back with the provisioner's key; if the log itself was damaged or replaced, stop"
                " everything and run `wuxing repair` (docs/operations.md).",
                name=name,
                listed=several(listed, SEMICOLON),
            )
        )


class NoLeader(Told):
    """A cluster without a leader can make no stream."""


class StoreFull(Told):
    """The store has no room to set aside for another stream."""


def stream(kind: str, assessment: str) -> str:
    """The name of a stream: its kind and the assessment, as in LEDGER-wenzhou-2013."""
    assert kind in {*KINDS, TEXTS, LEASE}
    return f"{kind}-{assessment}"


def lease_subject(assessment: str, service: str) -> str:
    """Where the process whose turn it is at a service says so."""
    return f"lease.{assessment}.{service}"


def live(kind: str, assessment: str, party: str) -> str:
    """Where CORE repeats a stored receipt or refusal for the party that listens.

    The server hands on to other accounts what it says itself, and not what came in from another account.
    """
    return f"live.{kind.lower()}.{assessment}.{party}"


def declared_streams(
    assessment: str, replicas: int = 1, parties: int = WHOLE, *, texts: bool = False
) -> tuple[StreamConfig, ...]:
    """The streams of an assessment (subjects: wire.md). Everything not named here is the server's default and off.

    How many bytes those have that are bounded goes by how many parties there are.
    """

    def share(size: int) -> int:
        return size * min(WHOLE, max(LEAST, parties)) // WHOLE

    def log(kind: str, subject: str, **settings: Any) -> StreamConfig:
        common: dict[str, Any] = {
            "name": stream(kind, assessment),
            "subjects": [f"{kind.lower()}.{assessment}{subject}"],
            "storage": StorageType.FILE,
            "num_replicas": replicas,
            "retention": RetentionPolicy.LIMITS,
            "discard": DiscardPolicy.NEW,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "max_msgs_per_subject": -1,
            "max_msg_size": MAX_MESSAGE,
            "deny_delete": True,
            "deny_purge": True,
            "allow_direct": True,
        }
        return StreamConfig(**{**common, **settings})

    def kept(kind: str, *, said: RePublish | None = None) -> StreamConfig:
        most = {"max_bytes": share(KEPT_BYTES[kind]), "max_msgs_per_subject": KEPT_EACH[kind]}
        days = {"max_age": RECEIPT_DAYS * 86_400, "discard": DiscardPolicy.OLD}
        return log(kind, ".*", allow_atomic=True, republish=said, **most, **days)

    def heard(kind: str) -> StreamConfig:
        said = RePublish(src=f"{kind.lower()}.{assessment}.*", dest=live(kind, assessment, "{{wildcard(1)}}"))
        return kept(kind, said=said)

    apart = log(
        TEXTS,
        ".*.*",
        max_msgs_per_subject=1,
        discard_new_per_subject=True,
        max_msg_size=MAX_TEXT,
        deny_delete=False,
        duplicate_window=LEAST_WINDOW,
    )
    return (
        *((apart,) if texts else ()),
        log(
            "ARRIVED",
            ".*",
            max_msgs=MAX_ARRIVED,
            max_bytes=share(KEPT_BYTES["ARRIVED"]),
            discard=DiscardPolicy.OLD,
            duplicate_window=LEAST_WINDOW,
        ),
        log(
            "INTAKE",
            ".*.*.*",
            republish=RePublish(
                src=f"intake.{assessment}.*.*.*", dest=f"arrived.{assessment}.{{{{wildcard(1)}}}}", headers_only=True
            ),
            retention=RetentionPolicy.WORK_QUEUE,
            max_bytes=share(MAX_INTAKE),
            deny_delete=False,
            deny_purge=False,
            duplicate_window=LEAST_WINDOW,
        ),
        log("LEDGER", ".>", allow_atomic=True),
        heard("RECEIPT"),
        heard("REFUSED"),
        kept("NOTICE"),
        log("RANKING", "", max_msgs=RANKINGS, max_bytes=share(KEPT_BYTES["RANKING"]), discard=DiscardPolicy.OLD),
        log("CHECKPOINT", "", max_msgs=CHECKPOINTS, max_msg_size=MAX_NOTE, discard=DiscardPolicy.OLD),
        log(LEASE, ".*", max_msgs_per_subject=1, max_msg_size=MAX_LEASE, discard=DiscardPolicy.OLD),
    )


def set_aside(parties: int) -> int:
    """Bytes of the store that the streams of an assessment with so many parties have for themselves."""
    return sum(max(0, one.max_bytes or 0) for one in declared_streams("any", parties=parties))


def declared_durables(
    assessment: str, offices: Sequence[str], units: Sequence[str] = ()
) -> Iterator[tuple[str, ConsumerConfig]]:
    """Every durable with its stream: the two services', what is said to each party, the gateway's for all.

    Only the provisioner makes consumers: whoever can make one can aim it at any subject of the account.
    """

    def durable(kind: str, name: str, subject: str) -> tuple[str, ConsumerConfig]:
        return stream(kind, assessment), ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=f"{kind.lower()}.{assessment}.{subject}",
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT,
            max_deliver=-1,
            max_ack_pending=MAX_ACK_PENDING,
        )

    yield durable("INTAKE", "ingest", "*.*.*")
    yield durable("LEDGER", "scorer", ">")
    for kind in ("RECEIPT", "REFUSED"):
        yield durable(kind, "gateway", "*")
        for party in (*offices, *units):
            yield durable(kind, party, party)
    for unit in units:
        yield durable("NOTICE", unit, unit)


async def provision(  # noqa: PLR0913 - what an assessment is made of
    nc: Client, assessment: str, offices: Sequence[str], units: Sequence[str], replicas: int = 1, *, texts: bool = False
) -> None:
    """Make what is missing, as the provisioner; raise StreamDiffers at what is otherwise. For every start.

    A cluster that has no leader yet is waited for; raises NoLeader.
    """
    js = nc.jetstream(timeout=30)
    for wanted in declared_streams(assessment, replicas, len(offices) + len(units), texts=texts):
        await _patiently(partial(_settle_stream, js, wanted))
    found = [await _patiently(partial(_consumers, js, stream(kind, assessment))) for kind in KINDS]
    there = {(c.stream_name, c.name): c for listed in found for c in listed}
    gate = asyncio.Semaphore(_AT_ONCE)

    async def settle(on: str, wanted: ConsumerConfig) -> None:
        if held := there.get((on, wanted.name or "")):
            _refuse_differences(f"{on} > {wanted.name}", wanted, held.config)
            return
        async with gate:
            await _patiently(partial(js.add_consumer, on, wanted))

    await asyncio.gather(*(settle(on, wanted) for on, wanted in declared_durables(assessment, offices, units)))


async def seal(nc: Client, assessment: str) -> None:
    """End a ledger for ever, as the provisioner: the server takes nothing more, and nobody can take that back."""
    js, name = nc.jetstream(timeout=30), stream("LEDGER", assessment)
    found = (await js.stream_info(name)).config
    if not found.sealed:
        await js.update_stream(found.evolve(sealed=True))


async def _settle_stream(js: JetStreamContext, wanted: StreamConfig) -> None:
    """Make a stream that is missing; one that was made before it had bounds, or a second record, gets them.

    So does one of an assessment that more parties have joined; what has more bytes than it need have keeps them.
    """
    name = wanted.name or ""
    try:
        found = (await js.stream_info(name)).config
    except NotFoundError:
        await js.add_stream(wanted)
        return
    later: dict[str, Any] = {}
    if wanted.discard == DiscardPolicy.OLD:
        later = {name: getattr(wanted, name) for name in _BOUNDS if getattr(found, name) == -1 != getattr(wanted, name)}
    elif wanted.republish and not found.republish:
        later = {"republish": wanted.republish}
    has, needs = found.max_bytes or -1, wanted.max_bytes or -1
    if 0 < needs < has:
        wanted = wanted.evolve(max_bytes=has)
    elif 0 < has < needs:
        later["max_bytes"] = needs
    if later:
        _refuse_differences(name, wanted, found.evolve(**later))
        await js.update_stream(wanted)
        return
    _refuse_differences(name, wanted, found)


_BOUNDS = ("max_bytes", "max_msgs_per_subject")
_NO_LEADER = frozenset({10005, 10008, 10009})
"""No peers yet, no system yet, no leader yet."""
_NO_ROOM = "insufficient storage"
_ROOM_WITHIN = 10.0
"""Seconds in which nodes that have only just met know of each other's room."""


async def _patiently(step: Callable[[], Awaitable[T]]) -> T:
    """Do a step of the provisioner's, as often as it takes a cluster to find its leader."""
    begun = asyncio.get_running_loop().time()
    while True:
        try:
            return await step()
        except (APIError, NoRespondersError, NatsTimeout, NoStreamResponseError) as error:
            waits = not isinstance(error, APIError) or error.err_code in _NO_LEADER
            full = isinstance(error, APIError) and _NO_ROOM in (error.description or "")
            waited = asyncio.get_running_loop().time() - begun
            if full and (not waits or waited > _ROOM_WITHIN):
                raise StoreFull(
                    _(
                        "The brokers' store has no room to set aside for another assessment: {error}. `wuxing"
                        " configure` gives it more, where the disk has it, and a restart of the brokers takes that on.",
                        error=error,
                    )
                ) from None
            if not waits:
                raise
            if waited > LEADER_WITHIN:
                raise NoLeader(
                    _(
                        "No leader among the brokers in {leader_within} s: {error}. More than half of them must "
                        "run and reach each other. Of a single broker: it cannot read a stream's store; see its "
                        "log.",
                        leader_within=f"{LEADER_WITHIN:.0f}",
                        error=error,
                    )
                ) from None
            await asyncio.sleep(0.5)


async def _consumers(js: JetStreamContext, name: str) -> list[ConsumerInfo]:
    found: list[ConsumerInfo] = []
    while True:
        page = await js.consumers_info(name, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found


def check_ledger(info: StreamInfo, assessment: str, replicas: int | None = None) -> None:
    """Raise StreamDiffers unless this ledger is as declared, from sequence 1 and without holes.

    `replicas` None takes any number: how many servers there are is the provisioner's affair.
    """
    name = stream("LEDGER", assessment)
    declared = declared_streams(assessment, replicas or info.config.num_replicas or 1)
    _refuse_differences(name, next(config for config in declared if config.name == name), info.config)
    state = info.state
    holes = [
        Difference("state.first_seq", 1, state.first_seq) if state.last_seq and state.first_seq != 1 else None,
        Difference("state.num_deleted", 0, state.num_deleted) if state.num_deleted else None,
        Difference("state.messages", state.last_seq, state.messages) if state.messages != state.last_seq else None,
        Difference("state.lost", None, state.lost) if state.lost else None,
    ]
    if found := [hole for hole in holes if hole]:
        raise StreamDiffers(name, found)


_SERVERS_OWN = frozenset({"metadata", "consumer_limits", "max_waiting", "placement", "sealed"})


def _refuse_differences(name: str, wanted: StreamConfig | ConsumerConfig, found: StreamConfig | ConsumerConfig) -> None:
    """Compare every setting that nats-py knows: a transform, a mirror or async persistence must be absent too.

    A stream that was sealed is as declared: it can only have been a ledger that was archived.
    """
    pairs = (
        (field, getattr(wanted, field), getattr(found, field)) for field in vars(wanted) if field not in _SERVERS_OWN
    )
    differences = [
        Difference(field, a, b) for field, a, b in pairs if (a or None) != (b or None) and not _default(field, a, b)
    ]
    if differences:
        raise StreamDiffers(name, differences)


def _default(field: str, wanted: object, found: object) -> bool:
    """The server spells out some defaults of settings that were left unset."""
    spelled = {"max_consumers": -1, "compression": "none", "replay_policy": "instant", "duplicate_window": 120}
    return not wanted and field in spelled and found == spelled[field]
