"""What a service tells its keeper: the numbers, alive, ready, and the trace of an event."""

import asyncio
import contextvars
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.process import metrics, tracing
from services.process.ending import Stop
from tests.broker import ASSESSMENT, Site

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_checks", {})


def value(name: str, **labels: str) -> float:
    found = (metrics.REGISTRY.get_sample_value(name, one) for one in (labels, labels | {"assessment": ""}))
    return next(filter(None, found), 0.0)


def asked(port: int, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_every_number_is_the_one_that_was_told(tmp_path: Path) -> None:
    made = tmp_path / "s.duckdb"
    made.touch()
    os.utime(made, (0, 0))
    refused, moved = value("wuxing_refusals_total", reason="unknown_unit"), value("wuxing_places_changed_total")
    batches = value("wuxing_batch_seconds_count", service="scorer")
    metrics.ledger(17)
    metrics.folded(12)
    metrics.refused("unknown_unit")
    metrics.ranked(12, 3, made)
    with metrics.batch("scorer", 12):
        pass
    assert value("wuxing_ledger_sequence") == 17
    assert value("wuxing_fold_sequence") == 12
    assert value("wuxing_fold_lag_messages") == 5
    assert value("wuxing_refusals_total", reason="unknown_unit") == refused + 1
    assert value("wuxing_places_changed_total") == moved + 3
    assert value("wuxing_snapshot_sequence") == 12
    assert value("wuxing_snapshot_age_seconds") > 1e9
    assert value("wuxing_batch_seconds_count", service="scorer") == batches + 1


def test_a_batch_that_fails_is_not_timed() -> None:
    before = value("wuxing_batch_seconds_count", service="ingest")
    with pytest.raises(RuntimeError, match="x"), metrics.batch("ingest"):
        raise RuntimeError("x")
    assert value("wuxing_batch_seconds_count", service="ingest") == before


def test_the_fold_may_know_more_than_the_last_look_at_the_ledger() -> None:
    metrics.ledger(5)
    metrics.folded(7)
    assert value("wuxing_fold_lag_messages") == 0


def test_who_knows_the_ledger_alone_tells_of_no_lag() -> None:
    def lag() -> float | None:
        return metrics.REGISTRY.get_sample_value("wuxing_fold_lag_messages", {"assessment": "of-ingest"})

    here = contextvars.copy_context()
    here.run(metrics.assessment.set, "of-ingest")
    here.run(metrics.ledger, 5000)
    assert lag() is None
    here.run(metrics.folded, 4000)
    assert lag() == 1000


def test_the_scorer_is_ready_when_it_has_started_and_is_at_most_a_batch_behind() -> None:
    metrics.expect("scorer")
    assert metrics.readiness() == {"scorer": "it has not started"}
    metrics.folded(0)
    metrics.ledger(metrics.LAG_MOST + 1)
    metrics.started("scorer")
    assert metrics.readiness() == {"scorer": "1001 messages of the ledger are not folded yet"}
    metrics.folded(1)
    assert metrics.readiness() == {"scorer": None}
    assert value("wuxing_ready", service="scorer") == 1


def test_the_ranker_is_ready_as_long_as_it_comes_round(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.started("ranker")
    assert metrics.readiness() == {"ranker": None}
    monkeypatch.setattr(metrics, "ROUND_WITHIN", -1.0)
    assert "no round for" in str(metrics.readiness()["ranker"])
    monkeypatch.setattr(metrics, "ROUND_WITHIN", 60.0)
    metrics.round_done()
    monkeypatch.setattr("time.time", lambda: 4e9)  # a clock that is set makes nobody silent
    assert metrics.readiness() == {"ranker": None}


def test_the_pages_say_alive_ready_and_every_number() -> None:
    with metrics.serve_metrics(["ingest", "console"], 0) or pytest.fail("not served") as served:
        assert asked(served.port, "/healthz") == (200, '{"alive":true}')
        metrics.started("ingest")
        status, found = asked(served.port, "/readyz")
        assert (status, found["services"]) == (503, {"console": "it has not started", "ingest": None})
        assert asked(served.port, "/readyz/ingest")[0] == 200
        assert asked(served.port, "/readyz/nobody")[0] == asked(served.port, "/")[0] == 404
        metrics.started("console")
        assert asked(served.port, "/readyz")[0] == 200
        status, text = asked(served.port, "/metrics")
        names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE wuxing_")}
        assert status == 200
        assert {"wuxing_fold_sequence", "wuxing_refusals_total", "wuxing_batch_seconds"} <= names


def test_nothing_is_served_without_the_variable_and_a_port_that_is_none_or_taken_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(metrics.VARIABLE, raising=False)
    assert metrics.serve_metrics(["ingest"]) is None
    for text in ("x", "70000", "-1", "8081 "):
        with pytest.raises(Stop, match=metrics.VARIABLE):
            metrics.port({metrics.VARIABLE: text})
    served = metrics.serve_metrics([], 0)
    assert served
    with served, pytest.raises(Stop, match=str(served.port)):
        metrics.serve_metrics([], served.port)


def test_the_ledger_s_end_is_looked_at_while_the_scorer_waits(nats_site: Site) -> None:
    async def story() -> None:
        async with nats_site.as_("scorer") as scorer, nats_site.provisioner() as js:
            metrics.ledger(10**9)
            last = (await js.stream_info(f"LEDGER-{ASSESSMENT}")).state.last_seq
            async with metrics.watching(scorer, ASSESSMENT):
                while value("wuxing_ledger_sequence") == 10**9:
                    await js.account_info()
            assert value("wuxing_ledger_sequence") == last
            waiting = metrics._waits["scorer", metrics.STALL_SECONDS][0]  # noqa: SLF001 - what /readyz goes by
            assert waiting == (value("wuxing_fold_sequence") + 1 if last > value("wuxing_fold_sequence") else None)

    asyncio.run(story())


# Traces ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = trace.get_tracer_provider
    trace.get_tracer_provider = lambda: provider
    yield exporter
    trace.get_tracer_provider = before


def test_a_message_s_parent_is_its_header_or_its_event_s_attribute() -> None:
    raw = json.dumps({"traceparent": PARENT}).encode()
    assert tracing.parent(raw) == PARENT
    assert tracing.parent(raw, {"traceparent": OTHER}) == OTHER
    assert tracing.parent(b"{}") is None
    assert tracing.parent(b'{"traceparent": "x"}', {"traceparent": "junk"}) is None
    assert tracing.carried({"traceparent": PARENT, "x": "y"}) == {"traceparent": PARENT}
    for junk in ("", "x", "a" * 65_000, PARENT.upper(), f"{PARENT} ", f"{PARENT}\n", PARENT[:-1]):
        assert tracing.carried({"traceparent": junk}) == {}
    assert tracing.carried({}) == {}


def test_without_a_provider_a_span_is_nothing() -> None:
    with tracing.span("ingest.take", [(b"", {"traceparent": PARENT})]) as made:
        assert made is None


def test_a_batch_is_the_child_of_its_one_parent_and_linked_to_many(spans: InMemorySpanExporter) -> None:
    with tracing.span("scorer.fold", [(b"", {"traceparent": PARENT}), (b"{}", {})], sequence=3):
        pass
    with tracing.span("ranker.rank", [(b"", {"traceparent": PARENT}), (b"", {"traceparent": OTHER})]):
        pass
    child, linked = spans.get_finished_spans()
    assert child.parent is not None
    assert format(child.context.trace_id, "032x") == PARENT[3:35]
    assert dict(child.attributes or {}) == {"sequence": 3}
    assert [format(link.context.trace_id, "032x") for link in linked.links] == [PARENT[3:35], OTHER[3:35]]


def test_spans_are_sent_only_where_an_endpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[Any] = []
    monkeypatch.setattr(trace, "set_tracer_provider", set_to.append)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    tracing.configure("ingest")
    assert set_to == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    tracing.configure("ingest")
    assert [provider.resource.attributes["service.name"] for provider in set_to] == ["wuxing-ingest"]
    set_to[0].shutdown()


def test_of_several_assessments_each_has_its_own_numbers_and_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_checks", {})
    metrics.expect("scorer")
    for name, last in (("a", 5000), ("b", 5)):
        with_name = contextvars.copy_context()
        with_name.run(metrics.assessment.set, name)
        with_name.run(metrics.folded, 5)
        with_name.run(metrics.ledger, last)
        with_name.run(metrics.started, "scorer")
    found = metrics.readiness()
    assert {*found} == {"scorer a", "scorer b"}
    assert found["scorer b"] is None
    assert "4995" in str(found["scorer a"])
    assert value("wuxing_ready", service="scorer") == 0
    assert [value("wuxing_ledger_sequence", assessment=name) for name in ("a", "b")] == [5000, 5]
