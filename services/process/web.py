"""Serves an ASGI application on one listener: who says nothing is let go, strange names are refused."""

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any
from urllib.parse import quote

import h11
import structlog
import uvicorn
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from schemas.words import Text, _
from services.process.ending import Exit, Stop

#: Requests under way at once; more are told to come again. Connections beyond twice as many are closed at once.
REQUESTS_MAX = 256
#: Seconds in which a request must have come whole, body and all, and in which a quiet connection is kept.
WHOLE_WITHIN, QUIET = 10.0, 5
#: Bytes of a body beyond which it may take longer, and how long then: a workbook over a slow line.
LONG, LONG_WITHIN = 64 * 1024, 60.0
#: Bytes of a request's line and headers.
HEAD_MAX = 16 * 1024


class Protocol(H11Protocol):
    """A connection that is closed unless a whole request comes in time: nobody holds a descriptor by saying nothing."""

    _due: asyncio.TimerHandle | None = None
    _long = False

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
        if self.conn.their_state is h11.SEND_BODY and not self._long and self._announced() > LONG:
            self._stop_waiting()
            self._wait(LONG_WITHIN)
            self._long = True
        if self.conn.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _announced(self) -> int:
        """The bytes that the request under way says it has; 0 where it says nothing."""
        text = header(self.scope, b"content-length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0

    def _wait(self, seconds: float | None = None) -> None:
        self._due = self.loop.call_later(WHOLE_WITHIN if seconds is None else seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        self._long = False
        if self._due is not None:
            self._due.cancel()
            self._due = None


class Server(uvicorn.Server):
    """A server that ends with 0 when it is told to; `told` then says so to answers that would go on for ever."""

    told = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        Server.told = True
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop when told so, and have done so: uvicorn would raise the signal again and die of it."""
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def listen(host: str, port: int) -> socket.socket:
    """A listener; raises Stop where there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = f"{host}:{port}: {error}"
        raise Stop(Exit.FAILED, _("{reason}. Choose another --host or --port.", reason=reason)) from None


def config(app: ASGIApp, **tls: Any) -> uvicorn.Config:
    """How every server of ours listens: few at once, nothing without end, no word about itself."""
    return uvicorn.Config(
        Bounded(app),
        http=Protocol,
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_MAX,
        limit_concurrency=REQUESTS_MAX,
        timeout_keep_alive=QUIET,
        timeout_graceful_shutdown=5,
        lifespan="on",
        **tls,
    )


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until told to stop."""
    Server(config(app)).run(sockets=[listener])


class Bounded:
    """Passes on only what has no more headers than HEAD_MAX: those that come in one piece the parser lets pass."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 431."""
        size = sum(len(name) + len(value) for name, value in scope.get("headers", ()))
        if scope["type"] == ScopeType.HTTP and size + len(scope["query_string"]) > HEAD_MAX:
            await _say(send, 431, _("at most {most} bytes of headers and address.", most=HEAD_MAX))
            return
        await self.app(scope, receive, send)


async def _say(send: Send, status: int, said: Text) -> None:
    """A plain answer in both languages, after which the connection ends."""
    text = f"{status}: {said.say('en')} / {said.say('zh')}\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode(), "more_body": False})


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
            await _say(send, 421, _("this server goes by another name; start it with --name NAME."))
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


#: The key of a request's scope that says under which path the application stands.
ROOT = "wuxing.root"
LOOK_SECONDS = 2.0
Made = Mapping[str, Callable[[], Litestar]]
Front = Callable[[Collection[str], Scope], tuple[str, bytes]]


def root(scope: Any) -> str:
    """The path under which the application of a request stands, empty where it is the whole server."""
    return str(scope.get(ROOT, ""))


class Several:
    """One server for the applications of several assessments: each under `/<code>/`, and one alone at `/` too.

    What is listed later is taken on; what cannot begin costs the others nothing. `front` answers what names none of
    them: its media type and what it says to these codes.
    """

    def __init__(self, listed: Callable[[], Made], front: Front) -> None:
        self.listed, self.front = listed, front
        self.apps: dict[str, Litestar] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on to whom its path names."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        code, slash, rest = scope["path"].removeprefix("/").partition("/")
        alone = next(iter(self.apps.values())) if len(self.apps) == 1 else None
        own = alone and any(route.path.split("/")[1] == code for route in alone.routes)
        if code in self.apps and not own:
            if not slash:
                await _said(send, 307, "text/plain", b"", [(b"location", f"/{code}/".encode())])
                return
            path = f"/{rest}"
            scope = {**scope, "path": path, "raw_path": quote(path).encode(), ROOT: f"/{code}"}
            await self.apps[code](scope, receive, send)
        elif alone:
            await alone(scope, receive, send)
        else:
            kind, body = self.front(sorted(self.apps), scope)
            await _said(send, 200 if scope["path"] in {"/", "/healthz"} else 404, kind, body)

    async def _live(self, receive: Any, send: Any) -> None:
        """Begin and end the applications, all in one task, as long as the server runs."""
        await receive()
        async with contextlib.AsyncExitStack() as stack:
            await self.take_on(stack)
            await send({"type": "lifespan.startup.complete"})
            ending = asyncio.ensure_future(receive())
            while not ending.done():
                await asyncio.wait([ending], timeout=LOOK_SECONDS)
                await self.take_on(stack)
        await send({"type": "lifespan.shutdown.complete"})

    async def take_on(self, stack: contextlib.AsyncExitStack) -> None:
        """Begin what is listed and was not begun."""
        listed = await asyncio.to_thread(self.listed)
        for code in listed.keys() - self.apps.keys():
            try:
                app = await asyncio.to_thread(listed[code])
                await stack.enter_async_context(app.lifespan())
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on, and the next look tries again
                structlog.get_logger(__name__).warning("assessment.closed", assessment=code, error=str(error))
            else:
                self.apps[code] = app


async def _said(send: Send, status: int, kind: str, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()) -> None:
    headers = [(b"content-type", kind.encode()), (b"cache-control", b"no-cache"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
