"""What a service tells its keeper: Prometheus metrics, whether it lives, and whether it is ready for work.

Every number is told by the service that knows it, through one of the functions below, and costs next to nothing when
nobody asks. Served on loopback, and only where `WUXING_METRICS_PORT` names a port: they know no rights.
"""

import asyncio
import contextlib
import os
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from infra.client import end, jetstream
from infra.streams import stream
from schemas.words import _
from services.process.ending import Exit, Stop

VARIABLE = "WUXING_METRICS_PORT"
LAG_MOST = 1000
"""Messages: one batch may always be on its way, and more means that the fold has not caught up."""
ROUND_WITHIN = 180.0
"""Seconds: a ranker that has not come round for longer (a cut may take 120) is not ready."""
WATCH_EVERY = 5.0
STALL_SECONDS = 30.0
"""What waits for a service in its own stream for longer, without any of it being taken, makes it not ready."""
LEAVE_SECONDS = 90.0
"""What was taken leaves INTAKE when it is acknowledged, after a redelivery at the latest."""
clock = time.monotonic

assessment: ContextVar[str] = ContextVar("assessment", default="")
"""Whose numbers are told: the assessment that the running task serves, empty where the process serves but one."""

REGISTRY = CollectorRegistry()
_OF = ["assessment"]
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_ledger = Gauge(
    "wuxing_ledger_sequence", "Last sequence of the ledger, as this process knows it.", _OF, registry=REGISTRY
)
_fold = Gauge("wuxing_fold_sequence", "Last ledger sequence that the scorer has folded.", _OF, registry=REGISTRY)
_lag = Gauge("wuxing_fold_lag_messages", "Messages of the ledger that are not folded yet.", _OF, registry=REGISTRY)
_refusals = Counter("wuxing_refusals", "Events refused, by the name of the refusal.", ["reason"], registry=REGISTRY)
_messages = Counter("wuxing_messages", "Messages taken, by service.", ["service"], registry=REGISTRY)
_seconds = Histogram(
    "wuxing_batch_seconds", "Seconds a batch took: taken, folded, ranked.", ["service"], buckets=_BUCKETS,
    registry=REGISTRY,
)  # fmt: skip
_snapshot = Gauge("wuxing_snapshot_sequence", "Ledger sequence of the newest snapshot.", _OF, registry=REGISTRY)
_age = Gauge("wuxing_snapshot_age_seconds", "Seconds since the newest snapshot was made.", _OF, registry=REGISTRY)
_passed = Counter("wuxing_passed_over", "Stored messages that do not decode, by stream.", ["stream"], registry=REGISTRY)
_lost = Counter("wuxing_intake_lost", "Messages of INTAKE that are gone and were never judged.", registry=REGISTRY)
_moved = Counter("wuxing_places_changed", "Units whose place or award a ranking changed.", registry=REGISTRY)
_round = Gauge("wuxing_ranker_round_timestamp_seconds", "When the ranker last came round, changed or not.",
               _OF, registry=REGISTRY)  # fmt: skip
_requests = Counter("wuxing_gateway_answers", "Answers of the gateway, one an event.", ["status"], registry=REGISTRY)
_waiting = Gauge("wuxing_gateway_in_flight", "Events that the gateway waits for.", registry=REGISTRY)
_ready = Gauge("wuxing_ready", "1 where the service is caught up and fresh, or a standby that waits.", ["service"],
               registry=REGISTRY)  # fmt: skip
_stands_by = Gauge("wuxing_standby", "1 where the process waits until another's turn is over.", ["service"],
                   registry=REGISTRY)  # fmt: skip

#: Service, of one of several with its assessment -> why it is not ready, null when it is. Only those of this process.
_checks: dict[str, Callable[[], str | None]] = {}
#: Service -> whose end this process waits for. Such a one is as ready as it can be.
_standby: dict[str, str] = {}
#: Assessment -> when its ranker came round last, by a clock that nobody sets.
_came_round: dict[str, float] = {}
#: Service and patience -> where what waits for it begins, since when that is so, and when it was looked at last.
_waits: dict[tuple[str, float], tuple[int | None, float, float]] = {}


# What services tell --------------------------------------------------------------------------------------------------


def expect(service: str, why: str = "it has not started") -> None:
    """Count a service of this process as not ready, for a reason, until it says otherwise."""
    _checks[_named(service)] = lambda: why


def started(service: str, check: Callable[[], str | None] = lambda: None) -> None:
    """A service has read where it stands and takes work, as long as `check` names nothing against it.

    The scorer must also keep up, and the ranker come round.
    """
    whose = assessment.get()
    special = {"scorer": lambda: _behind(whose), "ranker": lambda: _silent(whose)}
    if service == "ranker":
        round_done()
    if whose:
        _checks.pop(service, None)
    _checks[_named(service)] = special.get(service, check)


def begun(of: str) -> bool:
    """Whether a service of this process has started on an assessment, or waits for its turn at it."""
    return any(one.endswith(f" {of}") for one in (*_checks, *_standby))


def _named(service: str) -> str:
    return f"{service} {assessment.get()}".rstrip()


def _own(gauge: Gauge) -> Gauge:
    """The series of the assessment that the running task serves."""
    return gauge.labels(assessment.get())


def standby(service: str, why: str | None) -> None:
    """A service waits until another process's turn is over; null when its own has come."""
    _stands_by.labels(service).set(why is not None)
    if why is None:
        _standby.pop(_named(service), None)
    else:
        _standby[_named(service)] = why


@contextlib.contextmanager
def batch(service: str, messages: int = 0) -> Iterator[None]:
    """Time a batch; one that fails counts nothing."""
    begun = time.perf_counter()
    yield
    _seconds.labels(service).observe(time.perf_counter() - begun)
    _messages.labels(service).inc(messages)


def ledger(sequence: int) -> None:
    """The ledger ends at this sequence."""
    _own(_ledger).set(sequence)
    _behind_by()


def waits(service: str, first: int | None, within: float = STALL_SECONDS) -> None:
    """What waits for a service in its own stream begins with this message; null where nothing waits.

    Where it is the same message for longer than `within` seconds, the service is not ready.
    """
    now, key = clock(), (_named(service), within)
    before, since, __ = _waits.get(key, (None, now, now))
    _waits[key] = first, since if before == first else now, now


def passed_over(kind: str, sequence: int, why: str) -> None:
    """A stored message was passed over, because it does not decode: whoever wrote it had a key that it should not."""
    _passed.labels(kind).inc()
    structlog.get_logger(__name__).error("entry.passed_over", stream=kind, sequence=sequence, why=why)


def lost(messages: int) -> None:
    """So many messages of INTAKE are gone that were acknowledged to their parties and never judged."""
    _lost.inc(messages)


def folded(sequence: int) -> None:
    """The scorer has folded up to this sequence."""
    _own(_fold).set(sequence)
    _behind_by()


def refused(reason: str) -> None:
    """An event was refused: by ingest, by the gateway, or by the fold as a conflict."""
    _refusals.labels(reason).inc()


def round_done() -> None:
    """The ranker came round, whether or not there was anything to rank."""
    _own(_round).set_to_current_time()
    _came_round[assessment.get()] = clock()


def ranked(sequence: int, moved: int, made: Path) -> None:
    """A snapshot of this sequence was published in the file `made`, and moved so many units that had a place before."""
    _moved.inc(moved)
    shown(sequence, made)
    round_done()


def shown(sequence: int, made: Path) -> None:
    """The snapshot that is the newest here; its age is that of its file. Seconds, which Prometheus has as floats."""
    _own(_snapshot).set(sequence)
    _own(_age).set_function(lambda: max(0.0, time.time() - made.stat().st_mtime) if made.exists() else float("nan"))


def answered(status: int) -> None:
    """The gateway answered for an event."""
    _requests.labels(str(status)).inc()


def in_flight(events: int) -> None:
    """So many events wait at the gateway."""
    _waiting.set(events)


@contextlib.asynccontextmanager
async def watching(client: Client, assessment: str, every: float = WATCH_EVERY) -> AsyncIterator[None]:
    """Look at the ledger's end every few seconds, as long as this lasts: a lag must show in silence too."""
    task = asyncio.create_task(_watch(client, assessment, every))
    try:
        yield
    finally:
        await end(task)


async def _watch(client: Client, assessment: str, every: float) -> None:
    while True:
        try:
            last = (await jetstream(client).stream_info(stream("LEDGER", assessment))).state.last_seq
            ledger(last)
            waits("scorer", fold + 1 if (fold := int(_value(_fold))) < last else None)
        except (NatsError, TimeoutError) as error:
            structlog.get_logger(__name__).warning("ledger.unseen", error=str(error) or type(error).__name__)
        await asyncio.sleep(every)


def _behind_by() -> None:
    """Tell the lag where the fold is this process's: to who knows the ledger alone all would seem unfolded."""
    if (assessment.get(),) in {tuple(one.labels.values()) for metric in _fold.collect() for one in metric.samples}:
        _own(_lag).set(max(0.0, _value(_ledger) - _value(_fold)))


def _behind(whose: str) -> str | None:
    lag = int(_value(_lag, whose))
    return None if lag <= LAG_MOST else f"{lag} messages of the ledger are not folded yet"


def _silent(whose: str) -> str | None:
    silent = clock() - _came_round[whose]
    return None if silent <= ROUND_WITHIN else f"no round for {silent:.0f} seconds"


def _stalled(service: str) -> str | None:
    now = clock()
    for (name, within), (first, since, looked) in _waits.items():
        if name == service and now - looked > STALL_SECONDS:
            return f"its stream could not be looked at for {now - looked:.0f} seconds"
        if name == service and first is not None and now - since > within:
            return f"message {first} of its stream waits for {now - since:.0f} seconds"
    return None


def _value(gauge: Gauge, whose: str | None = None) -> float:
    of = assessment.get() if whose is None else whose
    found = (one.value for metric in gauge.collect() for one in metric.samples if one.labels["assessment"] == of)
    return next(found, 0.0)


# What the keeper asks ------------------------------------------------------------------------------------------------


def readiness() -> dict[str, str | None]:
    """Every service of this process, with why it is not ready or null."""
    found = {
        service: None if service in _standby else check() or _stalled(service)
        for service, check in sorted(_checks.items())
    }
    for service in {one.partition(" ")[0] for one in found}:
        _ready.labels(service).set(not any(why for one, why in found.items() if one.partition(" ")[0] == service))
    return found


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing: whoever looks every few seconds is no event."""


class Served(AbstractContextManager["Served"]):
    """The running server of metrics and health; closed at the end."""

    def __init__(self, server: WSGIServer) -> None:
        self.port = server.server_port
        self._server = server
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def port(environment: dict[str, str] | None = None) -> int | None:
    """The port that WUXING_METRICS_PORT names, null without one; raises Stop with the variable's name."""
    text = (os.environ if environment is None else environment).get(VARIABLE)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        said = _("{variable}: expected a port of 0 to 65535, found {text}.", variable=VARIABLE, text=repr(text))
        raise Stop(Exit.USE, said)
    return int(text)


def serve_metrics(services: Sequence[str], at: int | None = None) -> Served | None:
    """Serve /metrics, /healthz and /readyz for the services of this process, on loopback; null without a port.

    Raises Stop where the port cannot be used.
    """
    for service in services:
        expect(service)
    if (number := port() if at is None else at) is None:
        return None
    try:
        return Served(make_server("127.0.0.1", number, application(), _Server, _Quiet))
    except OSError as error:
        raise Stop(
            Exit.FAILED,
            _(
                "Port {port} of {variable} cannot be used: {error}. Give each process its own.",
                port=number,
                variable=VARIABLE,
                error=error.strerror,
            ),
        ) from None


def application() -> WSGIApplication:
    """The WSGI application: /healthz it lives, /readyz[/service] it is caught up, /metrics for Prometheus."""
    scrape = make_wsgi_app(REGISTRY)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        found = readiness()
        if path == "/metrics":
            return scrape(environ, start)  # type: ignore[no-any-return]
        if path == "/healthz":
            return _json(start, "200 OK", {"alive": True})
        service = path.removeprefix("/readyz").removeprefix("/")
        asked = {one: why for one, why in found.items() if service in ("", one, one.partition(" ")[0])}
        if not path.startswith("/readyz") or (service and not asked):
            return _json(start, "404 Not Found", {"paths": ["/metrics", "/healthz", "/readyz", "/readyz/{service}"]})
        ready = not any(asked.values())
        waiting = {name: why for name, why in _standby.items() if name in asked}
        told = {"ready": ready, "services": asked} | ({"standby": waiting} if waiting else {})
        return _json(start, "200 OK" if ready else "503 Service Unavailable", told)

    return answer


def _json(start: StartResponse, status: str, body: dict[str, Any]) -> list[bytes]:
    start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [msgspec.json.encode(body)]


def names() -> frozenset[str]:
    """Every series that Prometheus can ask for; dashboards and alerts may name no other."""
    found: set[str] = set()
    for metric in REGISTRY.collect():
        own = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(metric.type, [""])
        found |= {metric.name + suffix for suffix in own}
    return frozenset(found)
