"""Traces from intake to ranking, for who installs `wuxing[otel]` and sets OTEL_EXPORTER_OTLP_ENDPOINT; else nothing.

The context travels as the CloudEvents extension attribute `traceparent`, or as a header of the message: the event
itself is never changed. A batch is one span: the child of its only parent, or linked to the first `LINKS` of many.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

try:
    from opentelemetry import trace
    from opentelemetry.trace import Link
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # the extra is not installed
    trace = None  # type: ignore[assignment]

HEADER = "traceparent"
LINKS = 32
_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_ATTRIBUTE = re.compile(rb'"traceparent"\s*:\s*"([0-9a-f-]{55})"')


def configure(service: str) -> None:
    """Send spans where OTEL_EXPORTER_OTLP_ENDPOINT says; without it, or without the extra, none is made."""
    if trace is None or not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"wuxing-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def parent(data: bytes, headers: Mapping[str, str] | None = None) -> str | None:
    """The traceparent that a message came with: its header's, else its event's attribute; null where it has none."""
    text = (headers or {}).get(HEADER)
    if text is None and b'"traceparent"' in data and (found := _ATTRIBUTE.search(data)):
        text = found[1].decode()
    return text if text and _PARENT.fullmatch(text) else None


def carried(headers: Mapping[str, str]) -> dict[str, str]:
    """The header to hand on with what is made of a message: a traceparent and nothing else, no longer than one is."""
    text = headers.get(HEADER, "")
    return {HEADER: text} if _PARENT.fullmatch(text) else {}


def current() -> str | None:
    """The traceparent of the span that is open here, for another service to go on from; null where none is."""
    carrier: dict[str, str] = {}
    if trace is not None:
        TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER)


def span(
    name: str, messages: Iterable[tuple[bytes, Mapping[str, str]]] = (), **facts: int | str
) -> AbstractContextManager[Any]:
    """Make a span around a batch of messages (payload, headers); nothing where tracing is off."""
    if trace is None or not _on():
        return contextlib.nullcontext()
    return _span(name, {text: None for data, headers in messages if (text := parent(data, headers))}, facts)


def _on() -> bool:
    return type(trace.get_tracer_provider()).__name__ == "TracerProvider"


@contextlib.contextmanager
def _span(name: str, parents: Mapping[str, None], facts: Mapping[str, int | str]) -> Iterator[Any]:
    contexts = [TraceContextTextMapPropagator().extract({HEADER: text}) for text in [*parents][:LINKS]]
    only = contexts[0] if len(contexts) == 1 else None
    links = [] if only else [Link(trace.get_current_span(context).get_span_context()) for context in contexts]
    tracer = trace.get_tracer("wuxing")
    with tracer.start_as_current_span(name, context=only, links=links, attributes=dict(facts)) as made:
        yield made
