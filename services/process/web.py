"""Serves an ASGI application on one listener: who says nothing is let go, strange names are refused."""

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Collection, Iterator
from typing import Any

import h11
import uvicorn
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Requests under way at once; more are told to come again. Connections beyond twice as many are closed at once.
REQUESTS_MAX = 256
#: Seconds in which a request must have come whole, body and all, and in which a quiet connection is kept.
WHOLE_WITHIN, QUIET = 10.0, 5


class Protocol(H11Protocol):
    """A connection that is closed unless a whole request comes in time: nobody holds a descriptor by saying nothing."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request; beyond the bound the connection is closed."""
        super().connection_made(transport)
        if len(self.connections) > 2 * REQUESTS_MAX:
            transport.abort()
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on, and wait no longer once the request is whole."""
        if self._due is None:
            self._wait()
        super().data_received(data)
        if self.conn.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._due = self.loop.call_later(WHOLE_WITHIN, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop when told so, and have done so: uvicorn would raise the signal again and die of it."""
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until told to stop."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=REQUESTS_MAX,
        timeout_keep_alive=QUIET,
        timeout_graceful_shutdown=5,
    )
    _Server(config).run(sockets=[listener])


class Named:
    """Passes on only what asks for this server by a name of its own, so that no page of another name reads it.

    A browser that was led here by a name in somebody else's hands (DNS rebinding) says that name; an address is
    nobody's.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self.app = app
        self.names = {"localhost", *(name.lower().rstrip(".") for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 421."""
        if scope["type"] == ScopeType.HTTP and not self.known(header(scope, b"host")):
            body = "421: this server goes by another name; start it with --name NAME. / 请以--name指定域名。\n".encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 421, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        await self.app(scope, receive, send)

    def known(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = bare(host)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return True


def bare(host: str) -> str:
    """The name of a Host header or an Origin: lower case, without scheme, port, brackets and last dot."""
    name = host.rpartition("//")[2].lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def header(scope: Any, name: bytes) -> str:
    """A header of a request, empty where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def own_page(scope: Any) -> bool:
    """Whether a request comes from a page of this server, or from no page: a page of another says its origin."""
    origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
    if origin:
        return origin.rpartition("//")[2].lower() == header(scope, b"host").lower()
    return site in ("", "same-origin", "none")
