"""What `wuxing emit` sends and says, against a real broker with the real ingest and scorer."""

# ruff: noqa: SLF001 - answers of the broker are lost on purpose

import asyncio
import contextlib
import hashlib
import json
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from anyio.from_thread import start_blocking_portal

from infra.client import connected, jetstream, pulled_entry, read_stream
from infra.folders import COLLECTOR
from infra.rights import configure
from infra.server import EmbeddedServer
from infra.streams import stream
from schemas import subjects
from schemas.year import given
from services import cli
from services.ingest import app as ingest
from services.ingest import place as places
from services.office import send as sending
from services.process.settings import read
from services.scorer import app as scorer
from services.scorer import file as files
from services.snapshot import make as snapshots
from services.snapshot import point
from tests.broker import ASSESSMENT, OFFICES, UNITS, Site, _provision
from tests.product import BOOK_JSON, SHIPPED

YEAR = given(ASSESSMENT, None, None)
LOG = structlog.get_logger()
HEADER = "type,unit,item,matter,ground,reason,evidence,time\n"
LATE = "deduction.recorded.v1,{},1.1,{},no_feedback,逾期未反馈,督查通报2013-5;附件,2013-05-06T09:30:00+08:00\n"


def event(identifier: str, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": identifier, "source": "/offices/ducha", "type": "deduction.recorded.v1",
        "subject": "U001", "time": "2013-05-06T09:30:00+08:00",
        "data": {"item": "1.1", "matter": identifier, "ground": "no_feedback", "reason": "逾期未反馈"}, **changes,
    }  # fmt: skip


OPENING = event(
    "open", source=f"/offices/{COLLECTOR}", type="assessment.opened.v1", subject="assessment",
    data={"assessment": ASSESSMENT, "rulebook": BOOK_JSON, "roster": SHIPPED},
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of this module's own: its ledger holds the opening, and else only what was emitted."""
    data = tmp_path_factory.mktemp("emit")
    configure(data, ASSESSMENT, OFFICES, UNITS)
    with EmbeddedServer(data) as server:
        site = Site(server, data)
        asyncio.run(_provision(site))
        asyncio.run(_open(site))
        yield site


async def _open(site: Site) -> None:
    async with site.as_(COLLECTOR) as client:
        subject = subjects.intake(ASSESSMENT, COLLECTOR, OPENING["type"], subjects.ASSESSMENT)
        await jetstream(client).publish(subject, json.dumps(OPENING).encode())
    async with served(site, settles=False):  # it takes what waits as it starts
        pass


@contextlib.asynccontextmanager
async def served(site: Site, *, settles: bool) -> AsyncIterator[None]:
    """Ingest, and where it is asked for the scorer, each on its durable."""
    async with contextlib.AsyncExitStack() as stack:
        done = asyncio.Event()

        async def serve(role: str, kind: str, at: Any) -> None:
            durable = await jetstream(at.client).pull_subscribe_bind(consumer=role, stream=stream(kind, ASSESSMENT))
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    messages = await durable.fetch(1000, timeout=0.3)
                    await at.take([pulled_entry(message) for message in messages])
                    for message in messages:
                        await message.ack()

        client = await stack.enter_async_context(connected(site.server.url, "ingest", site.data))
        judging = await ingest.start(client, settings(site), LOG, places.file(site.data, ASSESSMENT))
        tasks = [asyncio.create_task(serve("ingest", "INTAKE", judging))]
        if settles:
            client = await stack.enter_async_context(connected(site.server.url, "scorer", site.data))
            folding = await scorer.start(client, settings(site), LOG)
            stack.callback(folding.close)
            tasks.append(asyncio.create_task(serve("scorer", "LEDGER", folding)))
        try:
            yield
        finally:
            done.set()
            await asyncio.gather(*tasks)


def environment(site: Site) -> dict[str, str]:
    return {"NATS_URL": site.server.url, "WUXING_DATA": str(site.data), "WUXING_ASSESSMENT": ASSESSMENT}


def settings(site: Site) -> Any:
    return read(environment(site))


@contextmanager
def services(site: Site, *, settles: bool = True) -> Iterator[None]:
    """Both services in a thread of their own, as the command runs in this one."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(served(site, settles=settles)):
        yield


@pytest.fixture(autouse=True)
def grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here waits for what the scorer may have to say; where it is known that it will, however long it takes."""
    monkeypatch.setattr(sending, "GRACE", 0.01)
    monkeypatch.setattr(sending, "SETTLED_WITHIN", 60.0)


class Office:
    """Someone at a command line."""

    def __init__(self, site: Site, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.site, self.folder, self.capsys = site, folder, capsys
        self.out = self.said = ""

    def emit(self, name: str, content: bytes | list[Any], *options: str) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and lines of `wuxing emit` of a file."""
        if isinstance(content, list):
            lines = (one if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode() for one in content)
            content = b"".join(line + b"\n" for line in lines)
        path = self.folder / name
        path.write_bytes(content)
        self.capsys.readouterr()
        code = cli.run(["emit", str(path), "--lang", "en", *options])
        out, self.said = self.capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def run(self, *arguments: str) -> int:
        """Exit code of a command; what it wrote is in `out` and `said`."""
        self.capsys.readouterr()
        code = cli.run([*arguments, "--lang", "en"])
        self.out, self.said = self.capsys.readouterr()
        return code

    def ledger(self) -> list[bytes]:
        async def look() -> list[bytes]:
            async with self.site.as_("audit") as client:
                return [entry.data async for entry in read_stream(client, "LEDGER", ASSESSMENT)]

        return asyncio.run(look())

    def intake(self) -> int:
        async def look() -> int:
            async with self.site.as_("audit") as client:
                return int((await jetstream(client).stream_info(stream("INTAKE", ASSESSMENT))).state.last_seq)

        return asyncio.run(look())


@pytest.fixture
def office(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Office:
    for name, value in environment(site).items():
        monkeypatch.setenv(name, value)
    return Office(site, tmp_path, capsys)


def test_each_row_of_a_jsonl_gets_its_receipt_or_its_refusal_and_refused_rows_are_never_sent(office: Office) -> None:
    good, wrong = event("first"), event("second", subject="U999")
    with services(office.site):
        before = office.intake()
        code, lines = office.emit("year.jsonl", [good, wrong, b"", b"{"])
        stored = office.ledger()[-1]
    assert code == 1
    assert json.loads(stored) == good
    accepted, *refused = lines
    assert (accepted["row"], accepted["id"], accepted["outcome"]) == (1, "first", "accepted")
    assert accepted["sha256"] == hashlib.sha256(stored).hexdigest()
    assert [(one["row"], one["reason"], one.get("path")) for one in refused] == [
        (2, "unknown_unit", "subject"), (3, "not_json", None), (4, "not_json", None),
    ]  # fmt: skip
    assert "expected a unit of the roster" in refused[0]["message"]
    assert office.intake() - before == 1
    assert "1 accepted" in office.said
    assert "3 refused" in office.said


def test_a_csv_in_utf8_and_the_same_in_gb18030_are_the_same_events_and_count_once(office: Office) -> None:
    text = HEADER + LATE.format("U001", "批示-017") + LATE.format("U002", "批示-018")
    content = {
        "type": "deduction.recorded.v1", "subject": "U001", "time": "2013-05-06T09:30:00+08:00", "data": {
            "item": "1.1", "matter": "批示-017", "ground": "no_feedback", "reason": "逾期未反馈",
            "evidence": ["督查通报2013-5", "附件"],
        },
    }  # fmt: skip
    plain = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    with services(office.site):
        code, first = office.emit("a.csv", text.encode(), "--office", "ducha")
        assert code == 0
        assert [one["outcome"] for one in first] == ["accepted", "accepted"]
        assert first[0]["id"] == hashlib.sha256(plain).hexdigest()[:32]
        _publish_snapshot(office)
        before = office.intake()
        code, second = office.emit("b.csv", text.encode("gb18030"), "--office", "ducha")
    assert code == 0
    assert [one["id"] for one in second] == [one["id"] for one in first]
    assert [(one["outcome"], one["sequence"]) for one in second] == [("there", one["sequence"]) for one in first]
    assert office.intake() == before  # what the ledger has is not sent again


def test_one_file_of_many_parties_goes_out_in_its_order_each_with_its_own_key(office: Office) -> None:
    deduction = event("appealed")
    appeal = event("appeal-1", source="/units/U001", type="appeal.filed.v1")
    appeal["data"] = {"target": {"source": "/offices/ducha", "id": "appealed"}, "statement": "已按期反馈"}
    decision = event("decision-1", source="/offices/gongwei", type="appeal.decided.v1")
    decision["data"] = {"appeal": {"source": "/units/U001", "id": "appeal-1"}, "outcome": "upheld", "reason": "维持"}
    with services(office.site):
        code, lines = office.emit("year.jsonl", [deduction, appeal, decision])
        stored = [json.loads(raw)["id"] for raw in office.ledger()]
        again, _ = office.emit("year.jsonl", [appeal])
    assert (code, again) == (0, 0)
    assert stored[-3:] == ["appealed", "appeal-1", "decision-1"]
    assert [one["sequence"] for one in lines] == list(range(len(stored) - 2, len(stored) + 1))


def test_junk_among_the_receipts_is_nobody_s_answer(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """An office hears receipts live, a unit by its durable; a thief of a service's key writes before each of them."""
    tell = ingest.Ingest._tell

    async def junk_first(self: ingest.Ingest, judged: Any) -> None:
        for one in judged:
            for body in (b"", b"x", b"\xff\xfe", b"[]", b'{"source":1}'):
                await self.client.request(f"receipt.{ASSESSMENT}.{one.party}", body, 10)
        await tell(self, judged)

    monkeypatch.setattr(ingest.Ingest, "_tell", junk_first)
    appeal = event("appeal-junk", source="/units/U001", type="appeal.filed.v1")
    appeal["data"] = {"target": {"source": "/offices/ducha", "id": "among junk"}, "statement": "已按期反馈"}
    with services(office.site, settles=False):
        code, lines = office.emit("junk.jsonl", [event("among junk"), appeal])
    assert (code, [one["outcome"] for one in lines]) == (0, ["accepted", "accepted"])


def test_rows_of_others_are_refused_by_name_with_the_office_and_without_a_key(office: Office) -> None:
    before = office.intake()
    code, lines = office.emit("year.jsonl", [event("x"), event("y", source="/offices/renda")], "--office", "kaoji")
    assert code == 1
    assert [(one["reason"], one["path"]) for one in lines] == [("source_not_authorised", "source")] * 2
    survey = event("z", source="/offices/tongji", type="rating.recorded.v1")
    survey["data"] = {"item": "2.3", "value": "86", "rater": "民意调查中心"}
    code, lines = office.emit("year.jsonl", [survey])
    assert (code, lines[0]["reason"]) == (1, "source_not_authorised")
    assert "tongji.nk" in lines[0]["message"]
    assert office.intake() == before


def test_an_event_too_large_is_said_by_emit_itself(office: Office) -> None:
    large = event("large", data={**event("large")["data"], "evidence": ["通报全文" * 20000]})
    before = office.intake()
    code, lines = office.emit("year.jsonl", [large])
    assert (code, lines[0]["reason"], office.intake() - before) == (1, "too_large", 0)


def test_without_ingest_the_events_wait_and_the_same_command_later_doubles_nothing(office: Office) -> None:
    rows = [event(f"waits-{n}") for n in range(3)]
    code, lines = office.emit("year.jsonl", rows, "--wait", "0.2")
    assert (code, {one["outcome"] for one in lines}) == (3, {"pending"})
    assert "Nothing is lost" in office.said
    with services(office.site):
        code, lines = office.emit("year.jsonl", rows)
        assert (code, {one["outcome"] for one in lines}) == (0, {"accepted"})
        _publish_snapshot(office)
        code, lines = office.emit("year.jsonl", rows)
    assert (code, {one["outcome"] for one in lines}) == (0, {"there"})


def test_what_the_broker_stored_without_saying_so_is_sent_again_and_counts_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, lost = sending._Box._answer, ["once"]

    async def lose(box: Any, stored: Any) -> Any:
        found = await answer(box, stored)
        return TimeoutError("lost") if lost and lost.pop() else found

    monkeypatch.setattr(sending._Box, "_answer", lose)
    with services(office.site):
        code, lines = office.emit("year.jsonl", [event("twice")])
        ids = [json.loads(raw)["id"] for raw in office.ledger()]
        _publish_snapshot(office)
    assert (code, lines[0]["outcome"]) == (0, "accepted")
    assert ids.count("twice") == 2
    with snapshots_opened(office) as con:
        found = con.execute("SELECT admission FROM event WHERE id = 'twice' ORDER BY seq").fetchall()
    assert found == [("admitted",), ("duplicate",)]


def test_a_file_sent_again_at_once_is_told_that_it_counts_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    with services(office.site):
        assert office.emit("year.jsonl", [event("at-once")])[0] == 0
        monkeypatch.setattr(sending, "GRACE", 60.0)
        code, lines = office.emit("year.jsonl", [event("at-once")])
    assert (code, [(one["outcome"], one["disposition"]) for one in lines]) == (0, [("settled", "duplicate")])


def test_the_same_id_with_other_content_is_settled_as_a_conflict(office: Office) -> None:
    with services(office.site):
        code, lines = office.emit("year.jsonl", [event("held"), event("held", subject="U002")])
    assert code == 1
    assert [(one["outcome"], one.get("reason")) for one in lines] == [("accepted", None), ("settled", "conflict")]


@pytest.mark.long
def test_a_dry_run_sends_nothing_and_foretells_what_the_fold_then_finds(office: Office) -> None:
    for gone in (office.site.data / "snapshots").glob("latest*"):
        gone.unlink()
    rows = [
        event("dry-1", subject="U050"), event("dry-2", subject="U050", data={**event("x")["data"], "matter": "dry-1"}),
        event("dry-3", subject="U051", data={"item": "1.9"}),
    ]  # fmt: skip
    stored = office.intake()
    code, lines = office.emit("year.jsonl", rows, "--dry-run")
    assert [one["outcome"] for one in lines if "row" in one] == ["ready", "correction", "refused"]
    code, lines = office.emit("year.jsonl", rows, "--dry-run", "--as-new")
    assert (code, office.intake()) == (1, stored)
    fates = [(one["outcome"], one.get("disposition")) for one in lines if "row" in one]
    assert fates == [("ready", "counted"), ("ready", "no_effect"), ("refused", None)]
    moved = {one["unit"]: one for one in lines if "unit" in one}
    before, after = moved["U050"]["before"], moved["U050"]["after"]
    assert (before["place"], after["place"]) == (1, 72)
    assert Decimal(before["final"]) - Decimal(after["final"]) == Decimal("0.07")
    with services(office.site):
        assert office.emit("year.jsonl", rows[:2], "--as-new")[0] == 0
        _publish_snapshot(office)
    with snapshots_opened(office) as con:
        row = con.execute("SELECT final::VARCHAR FROM published_unit WHERE unit = 'U050'").fetchone()
    assert row == (after["final"],)
    code, lines = office.emit("year.jsonl", rows[:2], "--dry-run", "--format", "table")
    assert (code, lines) == (0, [])


def test_a_corrected_row_is_sent_when_it_says_so_and_takes_the_earlier_one_s_place(office: Office) -> None:
    typed, better = (LATE.format("U003", "批示-030").replace("逾期未反馈", reason) for reason in ("逾其未反馈", "逾期"))
    with services(office.site):
        assert office.emit("a.csv", (HEADER + typed).encode(), "--office", "ducha")[0] == 0
        _publish_snapshot(office)
        before = office.intake()
        code, (line,) = office.emit("a.csv", (HEADER + better).encode(), "--office", "ducha")
        assert (code, line["outcome"], office.intake()) == (1, "correction", before)
        code, (line,) = office.emit("a.csv", (HEADER + better).encode(), "--office", "ducha", "--replace")
        assert (code, line["outcome"], office.intake()) == (0, "accepted", before + 2)
        _publish_snapshot(office)
        # and back: the ledger takes an id once, so that this time it is another
        code, (line,) = office.emit("a.csv", (HEADER + typed).encode(), "--office", "ducha")
        assert (code, line["outcome"]) == (1, "correction")
        code, (line,) = office.emit("a.csv", (HEADER + typed).encode(), "--office", "ducha", "--replace")
        assert (code, line["outcome"], line["id"][32:]) == (0, "accepted", "-2")
        _publish_snapshot(office)
        code, (line,) = office.emit("a.csv", (HEADER + typed).encode(), "--office", "ducha")
        assert (code, line["outcome"], line["id"][32:]) == (0, "there", "-2")
    with snapshots_opened(office) as con:
        rows = con.execute("SELECT disposition FROM published_entry WHERE unit = 'U003' ORDER BY seq").fetchall()
    assert rows == [("revoked",)] * 2 + [("counted",)]


def test_a_row_that_counts_no_more_is_not_there_and_goes_out_once_more_when_told_so(office: Office) -> None:
    table = b"type,item,time\nitem.closed.v1,1.2,2013-11-30\n"
    with services(office.site):
        code, (first,) = office.emit("close.csv", table, "--office", "ducha")
        assert (code, first["outcome"]) == (0, "accepted"), first
        target = {"source": "/offices/ducha", "id": first["id"]}
        back = event(
            "back", type="event.revoked.v1", subject="assessment", data={"target": target, "reason": "一项漏报"}
        )
        assert office.emit("back.jsonl", [back])[0] == 0
        # an id that a system gave is its own
        given = event("given", subject="U004", data={**event("x")["data"], "matter": "given"})
        void = {**event("gone", type="event.revoked.v1", subject="U004"), "data": {"reason": "-", "target": {
            "source": "/offices/ducha", "id": "given"}}}  # fmt: skip
        assert office.emit("given.jsonl", [given, void])[0] == 0
        _publish_snapshot(office)
        code, (line,) = office.emit("close.csv", table, "--office", "ducha", "--replace")
        assert (code, line["outcome"], line["sequence"]) == (1, "gone", first["sequence"])
        assert f"Revoked by sequence {first['sequence'] + 1}" in line["message"]
        code, (line,) = office.emit("close.csv", table, "--office", "ducha", "--as-new")
        assert (code, line["outcome"], line["id"]) == (0, "accepted", f"{first['id']}-2")
        _publish_snapshot(office)
        code, (line,) = office.emit("close.csv", table, "--office", "ducha", "--as-new")
        assert (code, line["outcome"], line["id"]) == (0, "there", f"{first['id']}-2")
        code, (line,) = office.emit("given.jsonl", [given], "--as-new")
        assert (code, line["outcome"]) == (1, "gone")
        assert "give it another id" in line["message"]


@pytest.mark.long
def test_a_unit_appeals_by_the_command_that_its_statement_names(office: Office) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [event("fresh", subject="U002", time=now), event("old", subject="U002"), event("other", subject="U003")]
    with services(office.site):
        assert office.emit("year.jsonl", rows, "--as-new")[0] == 0
        _publish_snapshot(office)
        fresh, old, other = (next(n for n, one in enumerate(office.ledger(), 1) if id_.encode() in one)
                             for id_ in ('"fresh"', '"old"', '"other"'))  # fmt: skip
        assert office.run("explain", "U002", "--format", "json") == 0
        (named,) = (line["appeal"] for line in _statement_lines(json.loads(office.out)) if line["id"] == "fresh")
        assert named == f"wuxing appeal U002 --target {fresh} --statement TEXT"
        before = office.intake()
        for unit, target, more, code, reason, words in (
            ("U002", other, (), 1, "other_subject", "another unit"),
            ("U002", old, (), 1, "late", "ended on 2013-05-16 01:30"),
            ("U002", 1, (), 1, "other_subject", "another unit"),
            ("U002", fresh, ("--statement", "s" * 2001), 1, "bad_field", "statement"),
            ("U002", 10**9, (), 1, None, "no event of sequence"),
            ("U999", fresh, (), 2, None, "no such unit"),
            ("U105", fresh, (), 1, "source_not_authorised", "U105.nk is not there"),
        ):
            options = ("--target", str(target), *(more or ("--statement", "已按时反馈")))
            assert office.run("appeal", unit, *options) == code
            assert json.loads(office.out or "{}").get("reason") == reason
            assert words in office.out + office.said
        assert office.intake() == before
        assert office.run(*shlex.split(named)[1:-1], "已按时反馈") == 0
        assert office.run("appeal", "U002", "--target", str(old), "--statement", "迟了", "--late") == 0
        _publish_snapshot(office)
        assert office.run("appeal", "U002", "--target", str(fresh), "--statement", "再次") == 1
        assert "has an appeal already" in json.loads(office.out)["message"]
    appeals = [one for one in map(json.loads, office.ledger()) if one["type"] == "appeal.filed.v1"]
    assert [(one["source"], one["data"]["target"]["id"]) for one in appeals[-2:]] == [
        ("/units/U002", "fresh"), ("/units/U002", "old"),
    ]  # fmt: skip
    assert office.run("explain", "U002", "--format", "json") == 0
    assert [
        one for one in _statement_lines(json.loads(office.out)) if one["id"] in ("fresh", "old") and one["appeal"]
    ] == []


def _statement_lines(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [line for part in found["parts"] for item in part["items"] for line in item["lines"]]


def test_every_way_it_can_go_wrong_is_said_and_has_its_exit_code(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content, options, expected, words in (
        ("a.csv", HEADER.encode(), (), 2, "--office"),
        ("a.csv", HEADER.encode(), ("--office", "nobody"), 2, "offices are ducha"),
        ("a.csv", b"unit,remark\nU001,x\n", ("--office", "ducha"), 2, '"remark"'),
        ("a.csv", b"unit,unit\nU001,x\n", ("--office", "ducha"), 2, "there twice"),
        ("a.csv", "逾期未反馈".encode() + b"\xff\xff", ("--office", "ducha"), 3, "neither UTF-8 (byte 16"),
        ("a.xlsx", b"PK\x03\x04nothing", ("--office", "ducha"), 3, "cannot be read as a workbook"),
    ):
        code, lines = office.emit(name, content, *options)
        assert (code, lines) == (expected, [])
        assert words in office.said
    assert cli.run(["emit", str(office.folder / "none.jsonl")]) == 3
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:1")
    code, _ = office.emit("year.jsonl", [event("nowhere")])
    assert code == 3
    assert "Cannot connect" in office.said


def _publish_snapshot(office: Office) -> None:
    """Publish what the ledger holds, by the same fold, as the ranker would."""
    lines = office.folder / "ledger.jsonl"
    lines.write_bytes(b"".join(raw + b"\n" for raw in office.ledger()))
    made = office.folder / "made.duckdb"
    made.unlink(missing_ok=True)
    folded = files.fold(lines, YEAR, target=made)
    snapshots.complete(folded.con, YEAR, folded.lines)
    folded.con.execute("CHECKPOINT")
    folded.con.close()
    snapshots.publish(made, settings(office.site).snapshots, f"{ASSESSMENT}-{folded.lines}.duckdb")


@contextmanager
def snapshots_opened(office: Office) -> Iterator[Any]:
    with point.snapshot(snapshots.latest(settings(office.site).snapshots)) as con:
        yield con
