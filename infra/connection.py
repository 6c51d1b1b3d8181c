"""A connection that reads whatever others stored, byte for byte, and never takes it for the broker's own word.

nats-py takes a stored header `Status` for the broker's, so that such a message is never handed on and fills the
durable's window; of a repeated header it believes the first, and the broker's stand last; and its reading loop falls
over a subject that is not UTF-8. What a party may publish must not do that to a service.
"""

import asyncio
import contextlib
import ipaddress
import logging
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from faststream.nats import NatsBroker
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import Header

PING_SECONDS = 4
"""A connection that is open at one end only is noticed after the third ping without an answer: in 12 seconds."""
PINGS = 2
CONNECT_SECONDS = 5
"""For each step of a connection that is to last: on a busy machine TLS takes longer than the library's two seconds."""

CLOSED_WITHIN = 1.0
"""Seconds in which a connection that is given up says goodbye; then it is cut."""
QUIET_SECONDS = 5.0
"""How long a pull stands while nothing comes. A broker that restarts forgets it, and only then is it asked again."""

_VERSION = b"NATS/1.0"
_STORED = "Nats-Stream"
_ACK = b"$JS.ACK."
_TOLD = frozenset({"Nats-Sequence", "Nats-Time-Stamp"})


class _Transport(TcpTransport):
    """Waits for its end for a second, and not for ever.

    None comes after a handshake that failed, nor from a peer that takes no bytes any more (nats.py 382, 671), and who
    waits for it never connects again.
    """

    async def wait_closed(self) -> None:
        try:
            await asyncio.wait_for(super().wait_closed(), CLOSED_WITHIN)  # type: ignore[no-untyped-call]
        except TimeoutError:
            for writer in (self._io_writer, self._bare_io_writer):
                if writer:
                    writer.transport.abort()


class Connection(Client):
    """nats-py's client, hardened: overrides how headers are read, messages are made, and connections are ended."""

    async def _connect_to_server(self, s: Srv) -> None:
        await super()._connect_to_server(s)
        if type(self._transport) is TcpTransport:
            self._transport.__class__ = _Transport

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        if self.options.get("tls") and not self._server_info.get("tls_required"):
            raise NatsError("the server offers no TLS")

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return read_headers(bytes(headers)) if headers else None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        if headers and (reply.startswith(_ACK) or _STORED in headers):  # a stored message has no status of its own
            headers.pop(Header.STATUS.value, None)
        return self.msg_class(
            subject=bytes(subject).decode(errors="replace"),
            reply=bytes(reply).decode(errors="replace"),
            data=data,
            headers=headers or None,
            _client=self,
            _sid=sid,
        )


class _Pull(JetStreamContext.PullSubscription):
    """Waits for the first message, and collects what follows it for as long as it is told.

    The library's own asks anew each time that it has collected nothing, and FastStream lets it collect for 0.2 s: of a
    hundred quiet assessments that is a thousand questions a second.
    """

    async def fetch(
        self,
        batch: int = 1,
        timeout: float | None = 5,  # noqa: ASYNC109 - the library's
        heartbeat: float | None = None,
    ) -> list[Msg]:
        found = await super().fetch(1, QUIET_SECONDS, heartbeat)
        if batch > 1:
            with contextlib.suppress(NatsTimeout):
                found += await super().fetch(batch - 1, timeout, heartbeat)
        return found


class _JetStream(JetStreamContext):
    async def pull_subscribe_bind(self, *arguments: Any, **named: Any) -> JetStreamContext.PullSubscription:
        found = await super().pull_subscribe_bind(*arguments, **named)
        found.__class__ = _Pull
        return found


class _Waiting(Connection):
    """The connection of a service, whose pulls wait."""

    def jetstream(self, **options: Any) -> JetStreamContext:
        return _JetStream(self, **options)


class Broker(NatsBroker):
    """FastStream's broker on a hardened connection."""

    async def _connect(self) -> Client:
        connection = _Waiting()
        await connection.connect(**self._connection_kwargs)
        self.config.connect(connection)
        return connection


def read_headers(block: bytes) -> dict[str, str]:
    """Every line that has a name and a value, the last of each name; the status line as nats-py names it.

    The broker's own lines stand last. Where it tells of a message that told of another, the value before is kept too,
    under `before(name)`: whatever a sender wrote there stands earlier still.
    """
    first, *lines = block.split(b"\r\n")
    found: dict[str, str] = {}
    status, _, words = first.removeprefix(_VERSION).strip().partition(b" ")
    if status[:3].isdigit():
        found[Header.STATUS.value] = status[:3].decode()
        found[Header.DESCRIPTION.value] = words.decode(errors="replace")
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            called = name.strip().decode(errors="replace")
            if called in _TOLD and called in found:
                found[before(called)] = found[called]
            found[called] = value.strip().decode(errors="replace")
    return found


def before(name: str) -> str:
    """Where `read_headers` keeps what stood in a header of the broker's before its last line."""
    return f"{name}, before"


def addresses(url: str) -> list[str]:
    """The servers of NATS_URL, which may name several with commas between."""
    return [one.strip() for one in url.split(",") if one.strip()]


def tls(url: str, ca: Path) -> dict[str, Any]:
    """How a connection makes sure whom it talks to: by the site's own authority, wherever it leaves this machine."""
    if all(_here(one) for one in addresses(url)):
        return {}
    logging.getLogger("asyncio").addFilter(_worth_saying)
    return {"tls": ssl.create_default_context(cafile=str(ca))}


def _worth_saying(record: logging.LogRecord) -> bool:
    """Python 3.11 warns at the end of every connection with TLS that was opened without; nobody can do anything."""
    return "eof_received() has no effect" not in record.getMessage()


def _here(address: str) -> bool:
    found = urlsplit(address if "//" in address else f"nats://{address}")
    host = found.hostname or ""
    with contextlib.suppress(ValueError):
        return found.scheme != "tls" and ipaddress.ip_address(host).is_loopback
    return found.scheme != "tls" and host == "localhost"


def pings(*, lasting: bool = True) -> dict[str, Any]:
    """How every connection finds out that the other end is gone, and how long one that is to last may take to begin."""
    patience = {"connect_timeout": CONNECT_SECONDS} if lasting else {}
    return {"ping_interval": PING_SECONDS, "max_outstanding_pings": PINGS, **patience}
