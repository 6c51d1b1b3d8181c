"""The HTTP gateway: events come in as CloudEvents JSON, one or a batch, and leave as NATS messages of their office.

It decides nothing about events: the bearer key names the party, ingest judges, and the status code repeats in the
web's words what the receipt says.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import msgspec
import structlog
import uvicorn
from litestar import HttpMethod, Litestar, MediaType, Request, Response, get, post, route
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from infra.client import BrokerUnreachable
from infra.rights import KeyUnsafe, key_file, tls_folder
from schemas.events import OPENED_SIZE_MAX, SIZE_MAX
from schemas.receipts import Receipt
from schemas.refusals import Reason, message
from schemas.year import Year
from services.gateway import openapi
from services.gateway.desk import Answer, Busy, Desk, Pending, Problem, TooMany, closed, problem, said
from services.gateway.keys import Keys, file
from services.ingest.check import Checker
from services.ingest.opening import expected
from services.process import log as logs
from services.process import metrics, tracing
from services.process.ending import Exit, Stop
from services.process.settings import Settings, read

BATCH_EVENTS = 1000
BATCH_BYTES = 8 * 1024 * 1024
BODY_WITHIN = 30.0
"""Seconds for a body to arrive."""
SINGLE = ("application/cloudevents+json", "application/json")
BATCH = "application/cloudevents-batch+json"

_Request = Request[Any, Any, State]
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Result(msgspec.Struct, frozen=True):
    """What became of one event of a batch, in its place; `status` is what it would have got alone."""

    status: int
    body: Receipt | Pending | Problem


class Results(msgspec.Struct, frozen=True):
    """One result an event, in the order of the batch."""

    results: list[Result]


class Refused(Exception):  # noqa: N818 - it is an answer
    """A request that is answered before any event is looked at."""

    def __init__(self, answer: Answer, headers: dict[str, str] | None = None) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.headers = headers or {}


def create_app(settings: Settings, year: Year, *, desk: Desk | None = None) -> Litestar:
    """Make the ASGI application: it connects to the broker at its start-up and stays connected."""
    keys = Keys(file(settings.data))
    at = desk or Desk(year.assessment, Checker(year.rulebook, year.roster), share=settings.limits.office_places)

    @post(
        "/v1/events", status_code=201, responses=openapi.POST, security=openapi.SECURITY, request_max_body_size=None,
        operation_id="send", summary="Send one event or a batch",
    )  # fmt: skip
    async def send(request: _Request) -> Response[Any]:
        """Send one CloudEvent as it is, or an array of them; each gets a receipt or a refusal with its name.

        Sending the same again is safe: an event counts once for ever, and the answer says that it was known. 202 and
        503 are no refusals: ask, or send again.
        """
        party = _party(keys, request)
        kind = _content_type(request)
        body = await _body(request, BATCH_BYTES if kind == BATCH else OPENED_SIZE_MAX)
        parent = tracing.parent(b"", {tracing.HEADER: request.headers.get(tracing.HEADER, "")})
        try:
            if kind != BATCH:
                return _response((await at.take(party, [body], parent))[0])
            answers = await at.take(party, _events(body), parent)
        except TooMany as error:
            raise Refused(problem("too_many")._replace(retry=error.retry)) from None
        except Busy:
            raise Refused(closed()) from None
        found = Results([Result(answer.status, answer.body) for answer in answers])
        every = all(answer.status in (200, 201) for answer in answers)
        return Response(found, status_code=200 if every else 207)

    @get(
        "/v1/events", responses=openapi.GET, security=openapi.SECURITY, operation_id="ask",
        summary="Ask for the receipt of an event",
    )  # fmt: skip
    async def ask(request: _Request) -> Response[Any]:
        """Ask for the newest receipt of an event of one's own, by its source and id.

        Kept are the newest 100,000 receipts since the gateway began, and those that came while it was down. All of 90
        days are in the broker, for the office's own key.
        """
        party = _party(keys, request)
        asked = [request.query_params.getall(name, []) for name in ("source", "id")]
        if {*request.query_params} != {"source", "id"} or not all(len(one) == 1 and one[0] for one in asked):
            raise Refused(problem("bad_query"))
        answer = at.ask(party, asked[0][0], asked[1][0])
        if answer is None:
            raise Refused(problem("no_receipt"))
        return _response(answer)

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        document = openapi.document(app.openapi_schema.to_schema())
        app.state.document, app.state.page = msgspec.json.encode(document), openapi.page(document)
        async with at.open(settings):
            yield

    return Litestar(
        [_methods, send, ask, _document, _page, _healthz, _readyz],
        lifespan=[lifespan],
        openapi_config=OpenAPIConfig(title="wuxing", version="1", path="/schema", render_plugins=[JsonRenderPlugin()]),
        exception_handlers={Refused: _refused, HTTPException: _http_error, Exception: _bug},
        state=State({"desk": at}),
        logging_config=None,
    )


# Pages of the machine -----------------------------------------------------------------------------------------------


@route("/v1/events", http_method=[HttpMethod.OPTIONS], status_code=204, include_in_schema=False)
async def _methods() -> Response[None]:
    return Response(None, status_code=204, headers={"Allow": "GET, OPTIONS, POST"})


@get("/openapi.json", include_in_schema=False)
async def _document(state: State) -> Response[bytes]:
    return Response(state.document, media_type=MediaType.JSON)


@get("/docs", include_in_schema=False, media_type=MediaType.HTML)
async def _page(state: State) -> Response[str]:
    return Response(state.page, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})


@get("/healthz", include_in_schema=False)
async def _healthz() -> dict[str, bool]:
    return {"alive": True}


@get("/readyz", include_in_schema=False)
async def _readyz(state: State) -> Response[dict[str, bool]]:
    ready: bool = state.desk.connected
    return Response({"ready": ready}, status_code=200 if ready else 503)


# Reading a request ---------------------------------------------------------------------------------------------------


def _party(keys: Keys, request: _Request) -> str:
    """The office whose key was shown."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    try:
        office = keys.office(key.strip()) if scheme.lower() == "bearer" and key.strip() else None
    except KeyUnsafe as error:
        structlog.get_logger(__name__).error("keys.unsafe", error=str(error))
        raise Refused(closed()) from None
    if office is None:
        raise Refused(problem("no_key"), {"WWW-Authenticate": 'Bearer realm="wuxing"'})
    return office


def _content_type(request: _Request) -> str:
    kind, _, rest = request.headers.get("content-type", "").lower().partition(";")
    charset = rest.replace(" ", "").replace('"', "")
    plain = request.headers.get("content-encoding", "identity").lower() == "identity"
    if kind.strip() in (*SINGLE, BATCH) and charset in ("", "charset=utf-8") and plain:
        return kind.strip()
    raise Refused(problem("wrong_media_type"), {"Accept": ", ".join((*SINGLE, BATCH))})


async def _body(request: _Request, most: int) -> bytes:
    """The bytes of a request, read no further than they may be many."""
    size = request.headers.get("content-length", "")
    parts, length = [], int(size) if size.isascii() and size.isdigit() and len(size) < 20 else 0
    try:
        async with asyncio.timeout(BODY_WITHIN):
            if length <= most:
                length = 0
                async for part in request.stream():
                    parts.append(part)
                    if (length := length + len(part)) > most:
                        break
    except TimeoutError:
        raise Refused(problem("too_slow")) from None
    if length > most:
        raise Refused(_unread(Reason.TOO_LARGE, ("bytes", SIZE_MAX), ("value", "more")))
    return b"".join(parts)


def _events(body: bytes) -> list[bytes]:
    """The bytes of each event of a batch, exactly as they were sent."""
    try:
        events = [bytes(raw) for raw in _list(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(_unread(Reason.NOT_JSON, ("value", "a JSON array of events"), ("value", "none"))) from None
    if len(events) > BATCH_EVENTS:
        seen = ("value", str(len(events)))
        raise Refused(_unread(Reason.TOO_LARGE, ("value", f"at most {BATCH_EVENTS} events a batch"), seen))
    return events


def _unread(reason: Reason, expected: tuple[Any, ...], seen: tuple[Any, ...]) -> Answer:
    words = message(reason, None, expected, seen)
    return said(Receipt(None, None, "refused", reason=reason, message=words))


# Answering -----------------------------------------------------------------------------------------------------------


def _response(answer: Answer, headers: dict[str, str] | None = None) -> Response[Any]:
    more = {"Retry-After": str(answer.retry)} if answer.retry else {}
    if isinstance(answer.body, Pending):
        more["Location"] = answer.body.ask
    media = "application/problem+json" if isinstance(answer.body, Problem) else MediaType.JSON
    return Response(answer.body, status_code=answer.status, headers={**(headers or {}), **more}, media_type=media)


def _refused(_: _Request, error: Refused) -> Response[Any]:
    return _response(error.answer, error.headers)


def _http_error(_: _Request, error: HTTPException) -> Response[Any]:
    """What the framework refuses: a path or method that is not there."""
    name = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request")
    return _response(problem(name), dict(error.headers or {}))


def _bug(_: _Request, error: Exception) -> Response[Any]:
    """Our own fault: the log has it whole, the answer nothing of it."""
    structlog.get_logger(__name__).error("gateway.failed", exc_info=error)
    return _response(problem("our_fault"))


def _certificate(settings: Settings, host: str) -> dict[str, Any]:
    """What a listener beyond loopback must have: keys travel on it. Raises Stop where there is none."""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return {}
    files = [tls_folder(settings.data) / name for name in ("tls.crt", "tls.key")]
    if missing := [str(path) for path in files if not path.is_file()]:
        listed = ", ".join(missing)
        raise Stop(
            Exit.FAILED,
            f"{host} is beyond this machine, and keys travel there: put a certificate to {listed}, or use a proxy.",
            f"{host}不限于本机，密钥会在网络上传输：请提供证书{listed}，或在其前设置TLS代理。",
        )
    return {"ssl_certfile": files[0], "ssl_keyfile": files[1]}


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in good order when told to: uvicorn would raise the signal again, and end by it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


# The command ---------------------------------------------------------------------------------------------------------


async def serve(settings: Settings, host: str, port: int, log: structlog.typing.FilteringBoundLogger) -> None:
    """Serve until told to stop; raises Stop or BrokerUnreachable where it cannot begin."""
    year = expected(settings)
    if not (seed := key_file(settings.data, "gateway")).is_file():
        raise BrokerUnreachable(f"No key for gateway: expected {seed}.", f"没有gateway的密钥：应在{seed}。")
    Keys(file(settings.data)).check()
    config = uvicorn.Config(
        create_app(settings, year), host, port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=5, timeout_keep_alive=15, lifespan="on", **_certificate(settings, host),
    )  # fmt: skip
    try:
        listening = config.bind_socket()
    except SystemExit:
        raise Stop(
            Exit.FAILED, f"{host}:{port} cannot be used: choose another --port.", f"{host}:{port}不可用，请换--port。"
        ) from None
    log.info("gateway.started", url=f"http{'s' if config.ssl_certfile else ''}://{host}:{port}/docs")
    with listening:
        await _Server(config).serve([listening])


def gateway(*, host: str = "127.0.0.1", port: int = 8081, lang: Literal["zh", "en"] | None = None) -> int:
    """Take events over HTTP for offices that do not speak NATS; docs at /docs, OpenAPI at /openapi.json.

    Example: wuxing gateway --port 8081

    Parameters
    ----------
    host
        The address to listen on; beyond loopback with tls/tls.crt and tls/tls.key of WUXING_DATA, for keys travel.
    port
        The port to listen on.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    del lang  # answers are in both languages
    settings = read()
    log = logs.configure(settings, "gateway")
    tracing.configure("gateway")
    with metrics.serve_metrics(["gateway"]) or contextlib.nullcontext():
        asyncio.run(serve(settings, host, port, log))
    return Exit.DONE
