"""The HTTP gateway: events come in as CloudEvents, one or a batch, and leave as NATS messages of their party.

It decides nothing about events: the bearer key names the party, ingest judges, and the status code repeats in the
web's words what the receipt says.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection
from functools import partial
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
import structlog
from litestar import HttpMethod, Litestar, MediaType, Request, Response, get, post, route
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from infra.client import BrokerUnreachable
from infra.rights import KeyUnsafe, key_file, tls_folder
from schemas.events import OPENED_SIZE_MAX
from schemas.receipts import Receipt
from schemas.refusals import Reason, message
from schemas.words import Language, _
from schemas.year import Year
from services.gateway import openapi
from services.gateway.desk import Answer, Busy, Desk, Listed, Pending, Problem, TooMany, problem, said
from services.gateway.keys import AUDITOR, Keys, file
from services.ingest.check import Checker
from services.ingest.opening import expected
from services.process import log as logs
from services.process import metrics, tracing, web
from services.process.ending import Exit, Stop
from services.process.settings import Settings, several

BATCH_EVENTS = 1000
BATCH_BYTES = 8 * 1024 * 1024
BODY_WITHIN = 30.0
"""Seconds for a body to arrive."""
SINGLE = ("application/cloudevents+json", "application/json")
BATCH = "application/cloudevents-batch+json"
BINARY = "binary"
LISTED_MAX = 1000
OUTCOMES = ("accepted", "refused", "settled")

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
    """A request that is answered before any event is looked at: an answer, or a problem with the limits it names."""

    def __init__(self, answer: Answer | str, headers: dict[str, str] | None = None, **gaps: int) -> None:
        super().__init__(str(answer))
        self.answer = answer
        self.headers = headers or {}
        self.gaps = gaps

    def said(self, lang: Language | None) -> Answer:
        """The answer in the caller's language."""
        return problem(self.answer, lang, **self.gaps) if isinstance(self.answer, str) else self.answer


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
        party, lang = _party(keys, request), _language(request)
        if party == AUDITOR:
            raise Refused("reads_only")
        kind = _content_type(request)
        body = await _body(request, BATCH_BYTES if kind == BATCH else OPENED_SIZE_MAX)
        parent = tracing.parent(b"", {tracing.HEADER: request.headers.get(tracing.HEADER, "")})
        try:
            if kind != BATCH:
                raw = _structured(request, body) if kind == BINARY else body
                return _response(_under(request, (await at.take(party, [raw], parent, lang or "en"))[0]))
            told = await at.take(party, _events(request, body), parent, lang or "en")
            answers = [_under(request, one) for one in told]
        except TooMany as error:
            most = settings.limits
            gaps = {"limit": at.share, "events": most.office_events, "bytes": most.office_bytes}
            raise Refused(problem(error.name, lang, **gaps)._replace(retry=error.retry)) from None
        except Busy:
            raise Refused("try_again") from None
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
        days are in the broker, for the party's own key.
        """
        party = _party(keys, request)
        source, identifier = _pair(request)
        answer = at.ask(party, source, identifier)
        if answer is None:
            raise Refused("no_receipt")
        return _response(_under(request, answer))

    @get(
        "/v1/receipts", responses=openapi.LIST, security=openapi.SECURITY, operation_id="list",
        summary="List one's own receipts",
    )  # fmt: skip
    async def listed(request: _Request) -> Listed:
        """List the receipts that are kept of one's own events, oldest first, a page at a time; `next` leads on."""
        return at.listed(_party(keys, request), *_page_asked(request))

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        document = openapi.document(app.openapi_schema.to_schema())
        app.state.document, app.state.page = msgspec.json.encode(document), openapi.page(document)
        async with at.open(settings):
            yield

    return Litestar(
        [_methods, send, ask, listed, _document, _docs, _healthz, _readyz],
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
async def _docs(state: State) -> Response[str]:
    return Response(state.page, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"})


@get("/healthz", include_in_schema=False)
async def _healthz() -> dict[str, bool]:
    return {"alive": True}


@get("/readyz", include_in_schema=False)
async def _readyz(state: State) -> Response[dict[str, bool]]:
    ready: bool = state.desk.connected
    return Response({"ready": ready}, status_code=200 if ready else 503)


# Reading a request ---------------------------------------------------------------------------------------------------


def _language(request: _Request) -> Language | None:
    """The first of our languages that the caller asks for (Accept-Language); null where it asks for neither."""
    asked = [part.strip().lower()[:2] for part in request.headers.get("accept-language", "").split(",")]
    found = next((part for part in asked if part in ("zh", "en")), None)
    return None if found is None else "zh" if found == "zh" else "en"


def _party(keys: Keys, request: _Request) -> str:
    """The party whose key was shown."""
    scheme, __, key = request.headers.get("authorization", "").partition(" ")
    try:
        party = keys.party(key.strip()) if scheme.lower() == "bearer" and key.strip() else None
    except KeyUnsafe as error:
        structlog.get_logger(__name__).error("keys.unsafe", error=str(error))
        raise Refused("try_again") from None
    if party is None:
        raise Refused("no_key", {"WWW-Authenticate": 'Bearer realm="wuxing"'})
    return party


def _pair(request: _Request) -> tuple[str, str]:
    """The source and id that are asked for."""
    asked = [request.query_params.getall(name, []) for name in ("source", "id")]
    if {*request.query_params} != {"source", "id"} or not all(len(one) == 1 and one[0] for one in asked):
        raise Refused("bad_query")
    return asked[0][0], asked[1][0]


def _page_asked(request: _Request) -> tuple[int, int, str | None]:
    """After which place, how many and of which outcome receipts are asked for."""
    query = request.query_params
    after, limit, outcome = query.get("after", "0"), query.get("limit", "100"), query.get("outcome")
    whole = all(one.isascii() and one.isdigit() and len(one) < 18 for one in (after, limit))
    once = {*query} <= {"after", "limit", "outcome"} and len(list(query.multi_items())) == len({*query})
    if not (whole and once and 1 <= int(limit) <= LISTED_MAX and outcome in (None, *OUTCOMES)):
        raise Refused("bad_list")
    return int(after), int(limit), outcome


def _content_type(request: _Request) -> str:
    """The media type of a body, or BINARY where its event stands in the headers and the body is the data alone."""
    kind, __, rest = request.headers.get("content-type", "").lower().partition(";")
    charset = rest.replace(" ", "").replace('"', "")
    plain = request.headers.get("content-encoding", "identity").lower() == "identity"
    binary = "ce-specversion" in request.headers and "cloudevents" not in kind
    if kind.strip() in (SINGLE if not binary else SINGLE[1:]) + (BATCH,) and charset in ("", "charset=utf-8") and plain:
        return BINARY if binary else kind.strip()
    raise Refused("wrong_media_type", {"Accept": ", ".join((*SINGLE, BATCH))})


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
        raise Refused("too_slow") from None
    if length > most:
        raise Refused(_unread(request, Reason.TOO_LARGE, ("bytes", most), ("value", f"{length} or more")))
    return b"".join(parts)


def _structured(request: _Request, data: bytes) -> bytes:
    """The event of the binary mode of CloudEvents over HTTP as structured JSON: attributes of headers, then the data.

    Values are percent-decoded; a header that is there twice is a key that is there twice, which ingest refuses.
    """
    try:
        msgspec.json.decode(data)
        named = [(name[3:], unquote(value.decode(), errors="strict"))
                 for name, value in ((name.decode("latin-1"), value) for name, value in request.scope["headers"])
                 if name.startswith("ce-")]  # fmt: skip
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        expected = ("value", "JSON data, and ce- headers in percent-encoded UTF-8")
        raise Refused(_unread(request, Reason.NOT_JSON, expected, ("value", "none"))) from None
    attributes = ", ".join(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in named)
    return f"{{{attributes}, ".encode() + b'"data": ' + data.strip() + b"}"


def _events(request: _Request, body: bytes) -> list[bytes]:
    """The bytes of each event of a batch, exactly as they were sent."""
    try:
        events = [bytes(raw) for raw in _list(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        expected = ("value", "a JSON array of events")
        raise Refused(_unread(request, Reason.NOT_JSON, expected, ("value", "none"))) from None
    if len(events) > BATCH_EVENTS:
        seen = ("value", str(len(events)))
        raise Refused(_unread(request, Reason.TOO_LARGE, ("value", f"at most {BATCH_EVENTS} events a batch"), seen))
    return events


def _unread(request: _Request, reason: Reason, expected: tuple[Any, ...], seen: tuple[Any, ...]) -> Answer:
    words = message(reason, None, expected, seen, _language(request) or "en")
    return said(Receipt(None, None, "refused", reason=reason, message=words))


# Answering -----------------------------------------------------------------------------------------------------------


def _under(request: _Request, answer: Answer) -> Answer:
    """An answer whose path leads on from outside, where this gateway is one of several on a server."""
    if not isinstance(answer.body, Pending):
        return answer
    ask = web.root(request.scope) + answer.body.ask
    return answer._replace(body=msgspec.structs.replace(answer.body, ask=ask))


def _response(answer: Answer, headers: dict[str, str] | None = None) -> Response[Any]:
    more = {"Retry-After": str(answer.retry)} if answer.retry else {}
    if isinstance(answer.body, Pending):
        more["Location"] = answer.body.ask
    media = "application/problem+json" if isinstance(answer.body, Problem) else MediaType.JSON
    return Response(answer.body, status_code=answer.status, headers={**(headers or {}), **more}, media_type=media)


def _refused(request: _Request, error: Refused) -> Response[Any]:
    return _response(error.said(_language(request)), error.headers)


def _http_error(request: _Request, error: HTTPException) -> Response[Any]:
    """What the framework refuses: a path or method that is not there."""
    name = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request")
    return _response(problem(name, _language(request)), dict(error.headers or {}))


def _bug(request: _Request, error: Exception) -> Response[Any]:
    """Our own fault: the log has it whole, the answer nothing of it."""
    structlog.get_logger(__name__).error("gateway.failed", exc_info=error)
    return _response(problem("our_fault", _language(request)))


def _certificate(settings: Settings, host: str) -> dict[str, Any]:
    """What a listener beyond loopback must have: keys travel on it. Raises Stop where there is none."""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return {}
    files = [tls_folder(settings.data) / name for name in ("tls.crt", "tls.key")]
    if missing := [str(path) for path in files if not path.is_file()]:
        listed = ", ".join(missing)
        raise Stop(
            Exit.FAILED,
            _(
                "{host} is beyond this machine, and keys travel there: put a certificate to {listed}, or use a proxy.",
                host=host,
                listed=listed,
            ),
        )
    return {"ssl_certfile": files[0], "ssl_keyfile": files[1]}


# The command ---------------------------------------------------------------------------------------------------------


async def serve(
    settings: Settings | list[Settings], host: str, port: int, log: structlog.typing.FilteringBoundLogger
) -> None:
    """Serve one assessment or several until told to stop; raises Stop or BrokerUnreachable where it cannot begin."""
    known = settings if isinstance(settings, list) else [settings]
    for one in known:
        _check(one)
    tls = _certificate(known[0], host)
    listening = web.listen(host, port)
    log.info("gateway.started", url=f"http{'s' if tls else ''}://{host}:{listening.getsockname()[1]}/docs")

    def listed() -> web.Made:
        every = several() if isinstance(settings, list) else known
        return {one.assessment: partial(made, one) for one in every}

    with listening:
        await web.Server(web.config(web.Several(listed, front), **tls)).serve([listening])


def _check(settings: Settings) -> Year:
    year = expected(settings)
    if not (seed := key_file(settings.data, "gateway")).is_file():
        raise BrokerUnreachable(_("No key for gateway: expected {seed}.", seed=seed))
    Keys(file(settings.data)).check()
    return year


def made(settings: Settings) -> Litestar:
    """The gateway of an assessment, once it can begin."""
    return create_app(settings, _check(settings))


def front(codes: Collection[str], _: Any) -> tuple[str, bytes]:
    """Where the gateway of each assessment stands."""
    return "application/json", msgspec.json.encode({"assessments": {code: f"/{code}/docs" for code in codes}})


def gateway(*, host: str = "127.0.0.1", port: int = 8081, lang: Literal["zh", "en"] | None = None) -> int:
    """Take events over HTTP for parties that do not speak NATS; docs at /docs, OpenAPI at /openapi.json.

    Of several assessments each stands under its code, as /CODE/docs.

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
    del lang  # answers are in the caller's
    settings = several()
    log = logs.configure(settings[0], "gateway")
    tracing.configure("gateway")
    with metrics.serve_metrics(["gateway"]) or contextlib.nullcontext():
        asyncio.run(serve(settings, host, port, log))
    return Exit.DONE
