"""Connects parties and services to the broker with their own keys, appends to the ledger in batches, reads it in bulk.

FastStream for ingest and scorer, as their rights demand: the API prefix `JSC.API` in `js_options`; the inbox prefix on
the broker AND on the subscriber (the broker's does not reach pull subscribers: such a service starts happily and hears
nothing for ever); `declare=False` (else FastStream tries to change the stream); the provisioner's durable by name;
`batch=True` (single pulls lose the order); manual acks (the default terminates an event at any exception); handlers
that take `NatsMessage` and decode each `raw_message` themselves (a typed batch dies whole on one bad message, and so
does an untyped one without a decoder that does nothing).
`broker` and `durable_subscriber` below are made so:

    nats = broker(url, "ingest", data)

    @durable_subscriber(nats, "ingest", assessment)
    async def take(batch: NatsMessage) -> None:
        for message in batch.raw_message: ...
        await batch.ack()
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import structlog
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.security import NatsNKey
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import Header, PubAck

from infra.connection import Broker, Connection, addresses, before, pings, tls
from infra.folders import COLLECTOR, Parties, parties, site
from infra.rights import API, PROVISIONER, Connections, configure_all, inbox, key_file, tls_folder
from infra.server import EmbeddedServer
from infra.streams import DURABLES, provision, stream
from schemas.told import Told
from schemas.words import _

BATCH = 1000
"""The most messages that the server takes in one atomic batch."""
ANSWER_WITHIN = 30.0
"""Seconds to wait for the broker's answer before its outcome counts as unknown."""

Hearer = Callable[[str], None]
"""Told what the broker or the connection complains of."""

WRONG_LAST_SEQUENCE = 10071
"""The broker's code for a stream or subject that does not end where the writer thought."""

_READ_BYTES = 16 * 1024 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_SEALED = 10109
_TOO_LARGE = frozenset({10054, 10097})
"""The message, or its headers: all that a message can be refused for. Whatever else the broker says is its own trouble:
no quorum, no room, and a full disk has many names (a batch that it could not lay down it calls incomplete)."""
_ADDED = ("Nats-Stream", "Nats-Sequence", "Nats-Subject", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence")


class BrokerUnreachable(Told):
    """No connection: no key for the name, no server at the address, or the server does not know the key."""


class WrongLastSequence(Told):
    """The stream does not end where the writer thought: another wrote, or a batch of unknown outcome did land."""


class AppendRefused(Told):
    """The broker refused the batch: nothing of it was stored.

    `too_large`: one message or more can never be taken; `sealed`: nor can any, since the stream is archived. Without
    either it is the broker that can take nothing just now.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.too_large, self.sealed = code in _TOO_LARGE, code == _SEALED


class AppendUnknown(Told):
    """No answer came: the batch is in the stream whole or not at all, and only the stream's tail can tell."""


class Message(NamedTuple):
    """One message to append."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = {}


class Entry(NamedTuple):
    """One stored message. `recorded_at` is the broker's time in microseconds since 1970 UTC, cut off, not rounded."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    recorded_at: int
    data: bytes


async def connect(url: str, role: str, data: Path, *, forever: bool = False, hear: Hearer | None = None) -> Client:
    """Connect as a party (its code) or service, with its key in `data`/keys.

    Raises BrokerUnreachable at once, but with `forever`, as services are run, waits for the server without end.
    A connection that was made and lost is made again: within a minute, or with `forever` without end.
    What the broker does not permit it drops without an answer: only `hear` is told, by default the log.
    """
    log = structlog.get_logger(__name__).bind(role=role)
    reasons: list[str] = []
    made = forever

    async def complained(error: Exception) -> None:
        said = str(error) or type(error).__name__
        if not made:
            reasons.append(said)
        elif hear:
            hear(said)
        else:
            log.warning("broker.complained", error=said)

    client = Connection()
    try:
        await client.connect(
            addresses(url),
            name=role,
            **pings(lasting=forever),
            **_secured(url, data),
            nkeys_seed=str(_seed(data, role)),
            inbox_prefix=inbox(role),
            error_cb=complained,
            allow_reconnect=forever,
            max_reconnect_attempts=-1 if forever else 1,
            reconnect_time_wait=1 if forever else 0,
        )
    except (NatsError, OSError, TimeoutError) as error:
        reason = next(iter(reasons), str(error) or type(error).__name__)
        raise BrokerUnreachable(
            _("Cannot connect to {url} as {role}: {reason}", url=url, role=role, reason=reason)
        ) from None
    made = True
    patience = {"allow_reconnect": True, "reconnect_time_wait": 1, "max_reconnect_attempts": -1 if forever else 60}
    client.options.update(patience)
    return client


@contextlib.asynccontextmanager
async def connected(
    url: str, role: str, data: Path, *, forever: bool = False, hear: Hearer | None = None
) -> AsyncIterator[Client]:
    """As `connect`, and closed at the end."""
    client = await connect(url, role, data, forever=forever, hear=hear)
    try:
        yield client
    finally:
        with contextlib.suppress(ConnectionError):  # what the broker has closed is closed
            await client.close()


@contextlib.asynccontextmanager
async def embedded(  # noqa: PLR0913 - the plain values of the rulebook
    data: Path,
    assessment: str,
    offices: Sequence[str],
    units: Sequence[str],
    *,
    collector: str = COLLECTOR,
    port: int = -1,
    limits: Connections = Connections(),  # noqa: B008 - frozen
) -> AsyncIterator[EmbeddedServer]:
    """A server of our own on the site of `data`, with keys, rights and streams made; ended at the end."""
    mine = Parties(assessment, tuple(offices), tuple(units), collector)
    async with embedded_site({data: mine}, port=port, limits=limits) as server:
        yield server


@contextlib.asynccontextmanager
async def embedded_site(
    everybody: Mapping[Path, Parties],
    *,
    port: int = -1,
    limits: Connections = Connections(),  # noqa: B008 - frozen
) -> AsyncIterator[EmbeddedServer]:
    """The same for several assessments of one site, by their data folders."""
    server = EmbeddedServer(site(next(iter(everybody))), port).claim()
    try:
        configure_all(everybody, limits)
        async with server:
            async with connected(server.url, PROVISIONER, next(iter(everybody))) as client:
                for data, one in everybody.items():
                    found = parties(data) or one
                    await provision(client, found.assessment, found.offices, found.units, texts=found.texts)
            yield server
    finally:
        server.stop()


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it ends: a wait that is over just as it is cancelled swallows that, and its loop goes on."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.1)


def jetstream(client: Client) -> JetStreamContext:
    """JetStream as everybody but the provisioner sees it."""
    return client.jetstream(prefix=API, timeout=ANSWER_WITHIN)


async def pull(client: Client, kind: str, assessment: str, durable: str) -> JetStreamContext.PullSubscription:
    """Read on where the durable stands: a party's own in RECEIPT and REFUSED, a service's in its stream."""
    return await jetstream(client).pull_subscribe_bind(consumer=durable, stream=stream(kind, assessment))


async def publish_batch(
    client: Client,
    messages: Sequence[Message],
    expected_last_sequence: int | None = None,
    timeout: float = ANSWER_WITHIN,  # noqa: ASYNC109 - the broker's answer is what is waited for
) -> PubAck:
    """Append up to 1,000 messages whole or not at all, fenced by the stream's last sequence.

    The answer's `seq` is the last message's. Raises WrongLastSequence, AppendRefused or AppendUnknown.
    The server fsyncs once a batch: 55,000 events a second where single messages come to 4,000.
    """
    assert 0 < len(messages) <= BATCH, f"a batch has 1 to {BATCH} messages, not {len(messages)}"
    batch, last = uuid4().hex, len(messages)
    for number, message in enumerate(messages, 1):
        headers = {**message.headers, Header.BATCH_ID.value: batch, Header.BATCH_SEQUENCE.value: str(number)}
        if number == 1 and expected_last_sequence is not None:
            headers[Header.EXPECTED_LAST_SEQUENCE.value] = str(expected_last_sequence)
        if number < last:
            await client.publish(message.subject, message.data, headers=headers)
            continue
        headers[Header.BATCH_COMMIT.value] = "1"
        try:
            answer = await client.request(message.subject, message.data, timeout, headers=headers)
        except (NatsError, TimeoutError) as error:
            raise AppendUnknown(
                _(
                    "no answer to a batch of {last} for {subject}: {name}",
                    last=last,
                    subject=message.subject,
                    name=type(error).__name__,
                )
            ) from error
    return _accepted(json.loads(answer.data), last)


def _accepted(answer: dict[str, Any], size: int) -> PubAck:
    if error := answer.get("error"):
        code = error.get("err_code")
        said = f"{error.get('description')} (batch of {size}, {code})"
        raise WrongLastSequence(said) if code == WRONG_LAST_SEQUENCE else AppendRefused(said, code)
    return PubAck.from_response(answer)


async def read_stream(  # noqa: PLR0913 - which stream, from where to where, and what of it
    client: Client,
    kind: str,
    assessment: str,
    start: int = 1,
    end: int | None = None,
    *,
    subject: str | None = None,
) -> AsyncIterator[Entry]:
    """The entries of a stream, as LEDGER or INTAKE, from `start` to `end` inclusive (without one its present end).

    With `subject` only those on subjects that it matches. By batch direct get, which moves no durable; the next batch
    is on its way while one is handed out.
    Raises TimeoutError when the broker falls silent.
    """
    ahead: asyncio.Task[list[Entry]] | None = None
    try:
        while start:
            count = BATCH if end is None else min(BATCH, end - start + 1)
            entries = await (ahead or _read_batch(client, stream(kind, assessment), start, count, subject))
            start = entries[-1].sequence + 1 if entries and entries[-1].sequence != end else 0
            if start:
                count = BATCH if end is None else min(BATCH, end - start + 1)
                ahead = asyncio.create_task(_read_batch(client, stream(kind, assessment), start, count, subject))
            for entry in entries:
                if end is not None and entry.sequence > end:
                    return
                yield entry
    finally:
        if ahead:
            ahead.cancel()


class Arrival(NamedTuple):
    """What INTAKE stored: where that stands in ARRIVED, its intake sequence, and when, in microseconds since 1970."""

    at: int
    intake: int
    recorded_at: int


async def read_arrived(client: Client, assessment: str, start: int) -> AsyncIterator[Arrival]:
    """What the broker wrote down beside INTAKE about each message that it stored there, to the present end."""
    async for entry in read_stream(client, "ARRIVED", assessment, start):
        sequence, recorded = (entry.headers.get(before(name), "") for name in ("Nats-Sequence", "Nats-Time-Stamp"))
        if sequence and recorded:  # else it is not the broker's word
            yield Arrival(entry.sequence, int(sequence), _microseconds(recorded))


async def last_entry(client: Client, kind: str, assessment: str, before: int | None = None) -> Entry | None:
    """The newest message of LEDGER, NOTICE, RANKING or CHECKPOINT, or the one before a sequence; null without."""
    subject = f"{kind.lower()}.{assessment}" + ("" if kind in {"RANKING", "CHECKPOINT"} else ".>")
    asked = {"last_by_subj": subject} if before is None else {"seq": before - 1}
    if before == 1:
        return None
    request = json.dumps(asked).encode()
    answer = await client.request(f"{API}.DIRECT.GET.{stream(kind, assessment)}", request, ANSWER_WITHIN)
    return None if _status(answer) else _direct_entry(answer)


def pulled_entry(message: Msg) -> Entry:
    """What a durable delivered, as `read_stream` gives it; nats-py's own metadata rounds the time through a float."""
    sequence, __, nanoseconds = (
        message.reply.split(".")[5:8] if message.reply.count(".") == 8 else message.reply.split(".")[7:10]
    )
    return Entry(int(sequence), message.subject, message.headers or {}, int(nanoseconds) // 1000, message.data)


def broker(url: str, role: str, data: Path) -> NatsBroker:
    """The FastStream broker of a service; it reconnects for ever."""
    return Broker(
        addresses(url),
        **pings(),
        security=NatsNKey.from_file(str(_seed(data, role)), ssl_context=_secured(url, data).get("tls")),
        inbox_prefix=inbox(role),
        js_options={"prefix": API, "timeout": ANSWER_WITHIN},
        max_reconnect_attempts=-1,
        logger=None,
        name=role,
    )


def durable_subscriber(nats: NatsBroker, role: str, assessment: str, size: int = BATCH, timeout: float = 0.2) -> Any:
    """The subscriber of ingest or scorer on its durable: up to `size` messages, or what came in `timeout` seconds.

    Acks are the handler's.
    """
    kind = DURABLES[role]
    return nats.subscriber(
        f"{kind.lower()}.{assessment}.>",
        stream=JStream(stream(kind, assessment), declare=False),
        durable=role,
        pull_sub=PullSub(batch_size=size, timeout=timeout, batch=True),
        ack_policy=AckPolicy.MANUAL,
        decoder=_undecoded,
        inbox_prefix=f"{inbox(role)}.".encode(),
    )


def _secured(url: str, data: Path) -> dict[str, Any]:
    """The options of TLS; raises BrokerUnreachable where the site's authority is not known, and it is needed."""
    ca = tls_folder(data) / "ca.crt"
    try:
        return tls(url, ca)
    except OSError:
        raise BrokerUnreachable(
            _(
                "{url} is beyond this machine, so it must show a certificate: put the one of its authority to {ca}.",
                url=url,
                ca=ca,
            )
        ) from None


async def _undecoded(_: Any) -> None:
    """FastStream reads JSON before the handler runs, by a header of the sender's: one such message kills its batch."""


def _seed(data: Path, role: str) -> Path:
    path = key_file(data, role)
    if not path.is_file():
        raise BrokerUnreachable(_("No key for {role}: expected {path}, made at the first start.", role=role, path=path))
    return path


def _status(message: Msg) -> str | None:
    return (message.headers or {}).get("Status")


async def _read_batch(client: Client, name: str, start: int, count: int, subject: str | None) -> list[Entry]:
    entries: list[Entry] = []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def take(message: Msg) -> None:
        if not _status(message):
            entries.append(_direct_entry(message))
        elif not done.done():
            done.set_result(None)

    reply = client.new_inbox()
    subscription = await client.subscribe(reply, cb=take, pending_bytes_limit=8 * _READ_BYTES)
    try:
        wanted = {"seq": start, "batch": count, "max_bytes": _READ_BYTES}
        request = json.dumps(wanted | ({"next_by_subj": subject} if subject else {})).encode()
        await client.publish(f"{API}.DIRECT.GET.{name}", request, reply=reply)
        await asyncio.wait_for(done, ANSWER_WITHIN)
    except TimeoutError:  # asyncio's own has no words, and a command that ended with it ended in a traceback
        raise NatsTimeout from None
    finally:
        await subscription.unsubscribe()
    return entries


def _direct_entry(message: Msg) -> Entry:
    """A direct get's answer, without the headers that the server added to the stored ones."""
    headers = dict(message.headers or {})
    sequence, subject, recorded = headers["Nats-Sequence"], headers["Nats-Subject"], headers["Nats-Time-Stamp"]
    for added in _ADDED:
        headers.pop(added, None)
    return Entry(int(sequence), subject, headers, _microseconds(recorded), message.data)


def _microseconds(told: str) -> int:
    return (datetime.fromisoformat(told) - EPOCH) // MICROSECOND
