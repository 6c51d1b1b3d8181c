"""The services as processes of their own on a real nats-server: a whole year, and then real kills at chosen points.

The ledger must be the accepted lines, each once and in order, whatever died; and the digest the oracle's of that.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from infra.client import connected, last_entry
from schemas import subjects
from schemas.receipts import Notice, Ranking
from services import cli
from services.ingest import place as places
from services.proof import checkpoint
from services.ranker import app as ranker
from services.snapshot.make import PUBLISHED
from tests.faults.works import (
    ASSESSMENT,
    BAD,
    SERVICES,
    Line,
    Works,
    Year,
    copied,
    good,
    of,
    processes,
    until,
    year,
)  # fmt: skip
from tests.product import BOOK_FILE

SMALL = ("services.ingest.app:BATCH=50", "services.scorer.app:CATCH_UP=50")
"""Every day ingest alone dies at chosen points, and `test_faults` kills what it likes."""
Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a year of which the first half was published, scored and ranked; nothing runs on it."""
    data = tmp_path_factory.mktemp("halfway")
    with Works(data, year()) as works:
        lines = works.year.lines[: len(works.year.lines) // 2]
        for name in SERVICES:
            works.start(name)
        asyncio.run(works.publish(lines))
        works.until_ranked(sum(line.refusal is None for line in lines))
        assert {service.name: service.end() for service in works.services} == dict.fromkeys(SERVICES, 0)
    return data


@pytest.fixture(scope="module")
def works(halfway: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    """The other half published too, by the same services started again; they run on."""
    with Works(copied(halfway, tmp_path_factory.mktemp("works")), year()) as works:
        for name in SERVICES:
            works.start(name)
        asyncio.run(works.publish(works.year.lines[len(works.year.lines) // 2 :]))
        works.until_ranked(len(works.year.accepted))
        yield works


@pytest.fixture(scope="module")
def finished(works: Works, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished year's folder, taken while nobody has anything to do and the broker stands still."""
    broker = works.server.pid
    assert broker is not None
    os.kill(broker, signal.SIGSTOP)
    try:
        return copied(works.data, tmp_path_factory.mktemp("finished"))
    finally:
        os.kill(broker, signal.SIGCONT)


# A year without trouble


def test_the_ledger_is_the_accepted_lines_each_once_and_in_order(works: Works) -> None:
    assert works.ledger() == works.year.accepted


def told(works: Works) -> tuple[Counter[Any], Counter[Any], Counter[Any]]:
    """What parties were told: accepted, refused, settled."""
    found: dict[str, Counter[Any]] = {outcome: Counter() for outcome in ("accepted", "refused", "settled")}
    hashes = [hashlib.sha256(raw).hexdigest() for raw in works.year.accepted]
    for party, one in works.receipts():
        assert one.source is None or one.outcome == "refused" or one.source.endswith(f"/{party}")
        assert one.outcome == "refused" or one.sha256 == hashes[(one.sequence or 0) - 1]
        assert bool(one.message or one.why) == (one.outcome != "accepted")
        key: dict[str, Any] = {
            "accepted": one.sequence, "refused": (party, one.reason, one.path),
            "settled": (one.sequence, one.disposition, one.reason),
        }  # fmt: skip
        found[one.outcome][key[one.outcome]] += 1
    return found["accepted"], found["refused"], found["settled"]


def expected(year: Year) -> tuple[Counter[Any], Counter[Any], Counter[Any]]:
    refused = Counter((line.party, *line.refusal) for line in year.lines if line.refusal)
    settled = Counter((sequence, *how) for sequence, how in year.settled().items())
    return Counter(range(1, len(year.accepted) + 1)), refused, settled


def test_every_line_has_one_receipt_and_what_the_fold_alone_knows_has_another(works: Works) -> None:
    assert told(works) == expected(works.year)
    assert {how for how, _ in works.year.settled().values()} == {"duplicate", "void", None}


def test_every_unit_was_told_of_each_stretch_of_the_year_once_and_up_to_its_last_final(works: Works) -> None:
    found: dict[str, list[Notice]] = {}
    for entry in works.stored("NOTICE"):
        one = msgspec.json.decode(entry.data, type=Notice)
        assert entry.subject == subjects.notice(ASSESSMENT, one.unit)
        found.setdefault(one.unit, []).append(one)
    finals = {unit["unit"]: unit["final"] for unit in works.year.result["units"]}
    assert {unit: told[-1].final_after for unit, told in found.items()} == finals
    for told in found.values():
        assert all(one.sequence <= two.since for one, two in pairwise(told))
        assert all(one.final_after == two.final_before for one, two in pairwise(told))


class Traced(Works):
    """Services that send their spans to a collector of the test's own."""

    collector = ""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector}


@contextlib.contextmanager
def collecting() -> Iterator[tuple[str, list[Span]]]:
    """An OTLP collector on loopback: its address, and the spans that it has been sent."""
    spans: list[Span] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            spans.extend(span for one in sent.resource_spans for scope in one.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()


@pytest.mark.long
def test_an_event_is_one_trace_from_intake_to_ranking(halfway: Path, tmp_path: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    raw = good("traced").replace(b'"id":', b'"traceparent": "00-%s-00f067aa0ba902b7-01", "id":' % trace.encode(), 1)
    subject = subjects.intake(ASSESSMENT, "ducha", "deduction.recorded.v1", "U001")
    with collecting() as (url, spans), Traced(copied(halfway, tmp_path), year()) as works:
        works.collector = url
        started = [works.start(name) for name in SERVICES]
        before = works.seen().last["LEDGER"]
        asyncio.run(works.publish([Line("ducha", subject, raw, None)]))
        works.until_ranked(before + 1)
        assert [service.end() for service in started] == [0, 0, 0]  # what they have still to tell they tell at the end
    names = sorted(span.name for span in spans if span.trace_id.hex() == trace)
    assert names == ["ingest.take", "ranker.rank", "scorer.fold"]


def test_what_intake_refused_is_kept_with_its_reason_and_path(works: Works) -> None:
    found = [(one.subject.rpartition(".")[2], json.loads(one.data)) for one in works.stored("REFUSED")]
    assert Counter((party, one["reason"], one["path"]) for party, one in found) == expected(works.year)[1]


def test_one_bad_message_never_costs_a_good_one(works: Works) -> None:
    """Not JSON, 100 KB, invalid UTF-8, each between two good ones of one office."""
    raws = [line.raw for line in works.year.lines]
    first = raws.index(BAD[0]) - 1
    assert [raw in works.ledger() for raw in raws[first : first + 7]] == [True, False] * 3 + [True]
    assert [line.refusal and line.refusal[0] for line in works.year.lines[first + 1 : first + 7 : 2]] == [
        "not_json", "too_large", "not_json",
    ]  # fmt: skip


def test_services_score_and_oracle_come_to_one_digest(
    works: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for name, value in works.environment.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "ledger.jsonl"
    assert cli.run(["export", str(file)]) == 0
    assert tuple(file.read_bytes().split(b"\n")[:-1]) == works.year.accepted
    capfdbinary.readouterr()
    assert cli.run(["score", str(file)]) == 0
    scored = json.loads(capfdbinary.readouterr().out)
    ranking = works.ranking()
    assert ranking.digest == scored["digest"] == works.year.result["digest"]
    assert [(one.unit, one.place, one.final, one.grades) for one in ranking.units] == [
        (one["unit"], one["place"], one["final"], one["grades"]) for one in works.year.result["units"]
    ]


def differences(con: duckdb.DuckDBPyConnection, one: str, other: str) -> Rows:
    both = f"(FROM {one} EXCEPT ALL FROM {other}) UNION ALL (FROM {other} EXCEPT ALL FROM {one})"
    return con.execute(both).fetchall()


@pytest.mark.long
def test_the_snapshot_recomputes_to_what_it_published(works: Works) -> None:
    """Row for row; what the scorer had put together batch by batch the ranker held against it before it signed."""
    with duckdb.connect(works.settings.snapshots / works.ranking().snapshot, read_only=True) as con:
        for table, view in PUBLISHED.items():
            filled = table not in {"published_attribute", "published_measure"}  # no unit of the shipped roster has any
            assert con.execute(f"SELECT count(*) > 0 FROM {table}").fetchone() == (filled,), table
            assert differences(con, table, view) == [], table


def test_every_checkpoint_that_is_published_is_read_by_the_parties(works: Works) -> None:
    async def read(party: str) -> bytes | None:
        async with connected(works.server.url, party, works.data) as client:
            newest = await last_entry(client, "CHECKPOINT", ASSESSMENT)
            return newest and newest.data

    note = (works.settings.snapshots / checkpoint.NAME).read_bytes()
    assert [asyncio.run(read(party)) for party in ("ducha", works.year.units[0])] == [note, note]


async def ranked(works: Works) -> Ranking | None:
    """What one more round of the ranker publishes."""
    async with connected(works.server.url, "ranker", works.data) as client:
        return await ranker.once(client, works.settings, structlog.get_logger())


def test_nothing_changed_nothing_published(works: Works) -> None:
    before = works.seen()
    assert asyncio.run(ranked(works)) is None
    assert works.seen() == before


def test_a_party_hears_its_receipts_with_its_own_key(works: Works) -> None:
    found = asyncio.run(works.heard("ducha"))
    assert found == [one for party, one in works.receipts() if party == "ducha"]
    assert {one.outcome for one in found} == {"accepted", "refused", "settled"}


# Kills


def agree(works: Works) -> None:
    """Nothing lost, nothing doubled: ledger, digest and what parties were told, which may be told twice."""
    works.until_ranked(len(works.year.accepted))
    assert works.ledger() == works.year.accepted
    assert works.ranking().digest == works.year.result["digest"]
    assert [set(one) for one in told(works)] == [set(one) for one in expected(works.year)]


def survive(works: Works, name: str, faults: list[tuple[str, ...]]) -> None:
    """A part of the year is published for each fault, of which the service dies; and the last part to one without."""
    lines = works.year.lines
    size = len(lines) // (len(faults) + 1) + 1
    for n, fault in enumerate(faults):
        service = works.start(name, *fault, *SMALL)
        if not n:  # nothing was published yet: this one dies of what its durable brings, the next of what it reads
            works.until_started(service)
        assert asyncio.run(works.flight(lines[n * size : (n + 1) * size])) == len(lines[n * size : (n + 1) * size])
        assert service.code() == -signal.SIGKILL, service.words()
        ledger = works.ledger()
        assert ledger == works.year.accepted[: len(ledger)]
    works.start(name)
    asyncio.run(works.flight(lines[len(faults) * size :]))


@pytest.mark.long
def test_ingest_may_die_between_append_and_ack(tmp_path: Path) -> None:
    with Works(tmp_path, year()) as works:
        works.start("scorer")
        works.start("ranker")
        survive(works, "ingest", [
            ("services.ingest.app:Ingest.take", "after", "1"),  # told, and not acknowledged
            ("services.ingest.app:Ingest._append", "half", "1"),  # all of a batch but its commit
            ("services.ingest.app:Ingest._tell", "before", "2"),  # appended, and nobody was told
        ])  # fmt: skip
        agree(works)


@pytest.mark.long
def test_the_scorer_may_die_between_batches_and_inside_a_transaction(tmp_path: Path) -> None:
    with Works(tmp_path, year()) as works:
        works.start("ingest")
        survive(works, "scorer", [
            ("services.scorer.app:Scorer._project", "before", "1"),  # events are in, points are not
            ("services.scorer.app:Scorer._project", "after", "2"),  # all is in but the commit
            ("services.scorer.app:Scorer.settle", "before", "3"),  # committed, and nobody was told
            ("services.scorer.app:Scorer._fold", "after", "1"),  # between batches
        ])  # fmt: skip
        works.start("ranker")
        agree(works)


@pytest.mark.long
def test_the_ranker_may_die_between_snapshot_and_publication(halfway: Path, tmp_path: Path) -> None:
    with Works(copied(halfway, tmp_path), year()) as works:
        works.start("ingest")
        works.start("scorer")
        asyncio.run(works.flight(works.year.lines[len(works.year.lines) // 2 :]))
        before = works.seen().last["RANKING"]
        for place, how in (
            ("services.snapshot.make:complete", "after"),  # the cut's write-ahead log is full of results
            ("services.snapshot.make:publish", "half"),  # in its place, and `latest` still the old one
            ("services.ranker.app:_rank", "after"),  # all of it done, and not published
        ):
            assert works.start("ranker", place, how, "1").code() == -signal.SIGKILL
        assert works.seen().last["RANKING"] == before
        works.start("ranker")
        agree(works)
        assert (works.settings.snapshots / "latest.duckdb").resolve().name == works.ranking().snapshot


@pytest.mark.long
def test_the_server_may_die_while_all_publish(tmp_path: Path) -> None:
    with Works(tmp_path, year()) as works:
        for name in SERVICES:
            works.start(name).kept = True
        lines, done = works.year.lines, 0
        for upto in (len(lines) // 4, len(lines) // 2, len(lines) * 3 // 4):
            confirmed = asyncio.run(works.flight(lines[done:upto], told=works.server.kill))
            works.server.start()
            stored = works.seen().last["INTAKE"]
            assert done + confirmed <= stored <= upto, "what was confirmed is stored"
            done = stored
        assert asyncio.run(works.flight(lines[done:])) == len(lines) - done
        agree(works)


# The scorer's file and the log


def again(works: Works) -> None:
    """The snapshots are gone: the ranker makes the last one anew, of what the scorer has."""
    shutil.rmtree(works.settings.snapshots)
    before = works.seen().last["RANKING"]
    works.start("scorer")
    works.start("ranker")
    works.until("a new ranking", lambda seen: seen.last["RANKING"] > before)
    assert works.ranking().sequence == len(works.year.accepted)
    assert works.ranking().digest == works.year.result["digest"]


@pytest.mark.long
def test_a_deleted_scorer_file_is_rebuilt_to_the_same_digest(finished: Path, tmp_path: Path) -> None:
    with Works(copied(finished, tmp_path), year()) as works:
        shutil.rmtree(works.data / "scorer")
        again(works)


def test_a_scorer_file_of_another_version_is_folded_anew_and_goes(finished: Path, tmp_path: Path) -> None:
    """And one that was judged otherwise stays, and stops the scorer."""
    with Works(copied(finished, tmp_path), year()) as works:
        path = works.data / "scorer" / f"{ASSESSMENT}.duckdb"
        with duckdb.connect(str(path)) as con:
            con.execute("UPDATE meta SET value = 'older' WHERE key = 'schema'")
        again(works)
        assert '"file.rebuilt"' in works.services[-2].words()
        assert not path.with_name(f"{ASSESSMENT}.before.duckdb").exists()
        works.services[-2].end()
        with duckdb.connect(str(path)) as con:
            con.execute("UPDATE meta SET value = 'older' WHERE key = 'schema'")
            con.execute("UPDATE event SET admission = 'void' WHERE seq = 2")
        refuses(works, works.start("scorer"), "sequence 2 of the ledger")


@pytest.mark.long
def test_an_old_copy_of_the_scorer_file_catches_up(halfway: Path, finished: Path, tmp_path: Path) -> None:
    with Works(copied(finished, tmp_path), year()) as works:
        shutil.rmtree(works.data / "scorer")
        shutil.copytree(halfway / "scorer", works.data / "scorer")
        again(works)


def swapped(data: Path, store: Path) -> None:
    """Another store in the place of the folder's own."""
    shutil.rmtree(data / "jetstream")
    shutil.copytree(store / "jetstream", data / "jetstream")


def refuses(works: Works, scorer: Any, words: str) -> None:
    """The scorer ends as one that could not, says why, and no ranking is published."""
    assert scorer.code() == 3, scorer.words()
    assert words in scorer.words()
    assert "Traceback" not in scorer.words()
    before = works.seen()
    assert asyncio.run(ranked(works)) is None
    assert works.seen() == before


def test_a_ledger_that_was_rewound_stops_the_scorer(halfway: Path, finished: Path, tmp_path: Path) -> None:
    data = copied(finished, tmp_path)
    swapped(data, halfway)
    with Works(data, year()) as works:
        refuses(works, works.start("scorer"), "its store was damaged or replaced")


@pytest.mark.long
def test_a_ledger_that_is_rewound_while_the_scorer_runs_stops_it(halfway: Path, finished: Path, tmp_path: Path) -> None:
    with Works(copied(finished, tmp_path), year()) as works:
        scorer = works.start("scorer")
        works.until_started(scorer)
        works.server.kill()
        swapped(works.data, halfway)
        works.server.start()
        refuses(works, scorer, "its store was damaged or replaced")


def test_a_ledger_that_was_changed_stops_the_scorer(halfway: Path, finished: Path, tmp_path: Path) -> None:
    """As long as what was folded, and longer, but with another second half."""
    data = copied(finished, tmp_path)
    swapped(data, halfway)
    with Works(data, year()) as works:
        place = places.file(works.data, ASSESSMENT)
        ingest = works.start("ingest")
        assert ingest.code() == 3, ingest.words()
        assert f"move {place} away" in ingest.words()
        assert "Traceback" not in ingest.words()
        place.unlink()
        works.start("ingest")
        folded = len(works.year.accepted)
        others = of([works.year.lines[0].raw, *(good(f"other-{n}") for n in range(folded))])
        asyncio.run(works.flight(others.lines[1:]))
        works.until("a longer ledger", lambda seen: seen.last["LEDGER"] > folded)
        refuses(works, works.start("scorer"), "is not what was folded")


# The end


@pytest.mark.every(3)
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_ends_in_good_order_even_without_a_server(name: str, finished: Path, tmp_path: Path) -> None:
    with Works(copied(finished, tmp_path), year()) as works:
        for server_lives in (True, False):
            service = works.start(name)
            works.until_started(service)
            if not server_lives:
                works.server.kill()
            assert (service.end(), "leaked" in service.words()) == (0, False), service.words()


@pytest.mark.every(2)
@pytest.mark.parametrize(("command", "more"), [
    (["up", "--port=-1", "--page-port=0", "--gateway-port=0"], {"console", "gateway"}), (["demo"], set()),
])  # fmt: skip
def test_kill_9_of_the_parent_leaves_nobody(command: list[str], more: set[str], tmp_path: Path) -> None:
    environment = {**os.environ, "WUXING_DATA": str(tmp_path), "WUXING_RULEBOOK": str(BOOK_FILE)}
    with (tmp_path / "said").open("wb") as said:
        parent = subprocess.Popen([sys.executable, "-m", "services", *command], env=environment, stderr=said)
    try:
        until("all services", lambda: processes(tmp_path), lambda found: {*SERVICES, "nats-server", *more} <= found)
    finally:
        parent.kill()
        parent.wait()
    until("nobody", lambda: processes(tmp_path), lambda found: not found)
