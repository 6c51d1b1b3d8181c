"""The HTTP gateway against a real broker and the real ingest: what goes in, and what is said of it."""

# ruff: noqa: SLF001 - the desk is told receipts by hand, and must forget who has been answered

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import httpx
import msgspec
import pytest
import structlog
import uvicorn
from nats.js.errors import APIError

from infra.client import Entry, connected, end, jetstream, pulled_entry, read_stream
from infra.folders import COLLECTOR
from infra.rights import KeyUnsafe, configure
from infra.server import EmbeddedServer
from infra.streams import stream
from schemas import subjects
from schemas.receipts import Receipt
from schemas.refusals import Reason
from schemas.year import given
from services.gateway import desk as desks
from services.gateway import keys
from services.gateway.app import BATCH_EVENTS, create_app, serve
from services.gateway.desk import Desk
from services.ingest import app as ingest
from services.ingest import place as places
from services.ingest.check import Checker
from services.process.ending import Stop
from services.process.settings import Limits, Settings, read
from services.proof.receipts import holds, site_key
from tests.broker import ASSESSMENT, OFFICES, UNITS, Site, _provision
from tests.product import BOOK_JSON, SHIPPED

YEAR = given(ASSESSMENT, None, None)
LOG = structlog.get_logger()
EVENT: dict[str, Any] = {
    "specversion": "1.0", "id": "d1", "source": "/offices/ducha", "type": "deduction.recorded.v1", "subject": "U001",
    "time": "2013-05-06T09:30:00+08:00",
    "data": {"item": "1.1", "matter": "m1", "ground": "no_feedback", "reason": "逾期未反馈"},
}  # fmt: skip
ONE, MANY = "application/cloudevents+json", "application/cloudevents-batch+json"


def event(identifier: str, **changes: Any) -> bytes:
    return json.dumps({**EVENT, "id": identifier, **changes}, ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of this module's own: its ledger holds only what came through the gateway."""
    data = tmp_path_factory.mktemp("gateway")
    configure(data, ASSESSMENT, OFFICES, UNITS)
    with EmbeddedServer(data) as server:
        site = Site(server, data)
        asyncio.run(_provision(site))
        asyncio.run(_open(site))
        yield site


OPENING = event(
    "open", source=f"/offices/{COLLECTOR}", type="assessment.opened.v1", subject="assessment",
    data={"assessment": ASSESSMENT, "rulebook": BOOK_JSON, "roster": SHIPPED},
)  # fmt: skip


async def _open(site: Site) -> None:
    (site.data / "opening.json").write_bytes(OPENING)  # the folder as `wuxing open` leaves it
    async with site.as_(COLLECTOR) as client:
        subject = subjects.intake(ASSESSMENT, COLLECTOR, "assessment.opened.v1", subjects.ASSESSMENT)
        await jetstream(client).publish(subject, OPENING)
    async with ingesting(site):  # it takes what waits as it starts
        pass


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer here hangs on how busy the machine is; who wants a 202 asks for less."""
    monkeypatch.setattr(desks, "PATIENCE", 20.0)


class Gateway:
    """A client of a running gateway, with the office's key."""

    def __init__(self, http: httpx.AsyncClient, desk: Desk, site: Site) -> None:
        self.http, self.desk, self.site = http, desk, site
        self.keys = {office: keys.make(keys.file(site.data), office) for office in ("ducha", "kaoji")}

    async def post(self, body: bytes, kind: str = ONE, office: str = "ducha", **headers: str) -> httpx.Response:
        shown = {"Authorization": f"Bearer {self.keys[office]}", "Content-Type": kind, **headers}
        return await self.http.post("/v1/events", content=body, headers=shown)

    async def ask(self, source: str, identifier: str, office: str = "ducha") -> httpx.Response:
        shown = {"Authorization": f"Bearer {self.keys[office]}"}
        return await self.http.get("/v1/events", params={"source": source, "id": identifier}, headers=shown)


def settings(site: Site, **most: int) -> Settings:
    said = {"NATS_URL": site.server.url, "WUXING_DATA": os.fspath(site.data), "WUXING_ASSESSMENT": ASSESSMENT}
    return msgspec.structs.replace(read(said), limits=Limits(**most))


@contextlib.asynccontextmanager
async def gateway(site: Site, *, wait: bool = True, **limits: int) -> AsyncIterator[Gateway]:
    """The gateway on a free port of loopback."""
    desk = Desk(ASSESSMENT, Checker(YEAR.rulebook, YEAR.roster), **limits)  # type: ignore[arg-type]
    config = uvicorn.Config(create_app(settings(site), YEAR, desk=desk), log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve([listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            while wait and (await http.get("/readyz")).status_code != 200:
                await asyncio.wait([task], timeout=0.02)
            yield Gateway(http, desk, site)
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def ingesting(site: Site, **most: int) -> AsyncIterator[None]:
    """Ingest as it runs, in this process: what waits at its start and what comes after."""
    async with connected(site.server.url, "ingest", site.data) as client:
        durable = await jetstream(client).pull_subscribe_bind(consumer="ingest", stream=stream("INTAKE", ASSESSMENT))
        at = await ingest.start(client, settings(site, **most), LOG, places.file(site.data, ASSESSMENT))

        async def forever() -> None:
            while True:
                with contextlib.suppress(TimeoutError):
                    messages = await durable.fetch(100, timeout=1)
                    await at.take([pulled_entry(message) for message in messages])
                    for message in messages:
                        await message.ack()

        task = asyncio.create_task(forever())
        try:
            yield
        finally:
            await end(task)


async def ledger(site: Site) -> list[Entry]:
    async with site.as_("audit") as client:
        return [entry async for entry in read_stream(client, "LEDGER", ASSESSMENT)]


def drive(site: Site, story: Callable[[Gateway], Coroutine[Any, Any, None]], *, judged: bool = True) -> None:
    async def told() -> None:
        async with ingesting(site) if judged else contextlib.AsyncExitStack(), gateway(site) as web:
            await story(web)

    asyncio.run(told())


def test_an_accepted_event_answers_201_with_the_receipt_of_the_bytes_as_sent(site: Site) -> None:
    raw = b'{ "traceparent":"x",\n' + event("as-sent")[1:] + b"  "

    async def story(web: Gateway) -> None:
        answer = await web.post(raw)
        stored = (await ledger(site))[-1]
        assert answer.status_code == 201
        assert holds(answer.json(), [site_key(site.data, ASSESSMENT).verifier])
        receipt = msgspec.structs.replace(msgspec.json.decode(answer.content, type=Receipt), signature=None)
        expected = Receipt("/offices/ducha", "as-sent", "accepted", stored.sequence, hashlib.sha256(raw).hexdigest())
        assert expected == receipt
        assert stored.data == raw
        assert subjects.ledger(ASSESSMENT, "ducha", "U001") == stored.subject
        assert (await web.ask("/offices/ducha", "as-sent")).json() == answer.json()

    drive(site, story)


def test_a_refusal_of_ingest_answers_422_with_its_name_and_leaves_the_ledger_alone(site: Site) -> None:
    async def story(web: Gateway) -> None:
        before = len(await ledger(site))
        answer = await web.post(event("nobody", subject="U999"))
        assert answer.status_code == 422
        assert (answer.json()["outcome"], answer.json()["reason"], answer.json()["path"]) == (
            "refused", "unknown_unit", "subject",
        )  # fmt: skip
        assert len(await ledger(site)) == before

    drive(site, story)


def test_another_s_source_goes_out_under_the_key_s_own_party_and_ingest_refuses_it(site: Site) -> None:
    async def story(web: Gateway) -> None:
        answer = await web.post(event("stolen"), office="kaoji")
        assert (answer.status_code, answer.json()["reason"]) == (422, "source_not_authorised")

    drive(site, story)


@pytest.mark.parametrize(
    ("raw", "status", "reason", "path"),
    [
        (b"{", 400, "not_json", None),
        (b"", 400, "not_json", None),
        (b'\xef\xbb\xbf{"id":1}', 400, "not_json", None),
        (event("twice")[:-1] + b',"id":"twice"}', 400, "not_json", None),
        (b"[]", 422, "not_cloudevent", None),
        (event("v", specversion="0.3", id=7), 422, "not_cloudevent", "specversion"),
        (event("v", id=""), 422, "not_cloudevent", "id"),
        (event("v", source=None), 422, "not_cloudevent", "source"),
        (event("v", type="a b"), 422, "unknown_type", "type"),
        (event("v", type="nothing.v9"), 422, "unknown_type", "type"),
        (event("v", subject=["U001"]), 422, "bad_field", "subject"),
        (event("v", subject="U 001"), 422, "bad_field", "subject"),
        (event("v", subject="U.>"), 422, "bad_field", "subject"),
        (event("v", more="x" * 70_000), 413, "too_large", None),
        (b'"' + b"x" * 1_100_000 + b'"', 413, "too_large", None),
    ],
)
def test_what_has_no_subject_is_refused_with_the_name_that_ingest_would_give(
    site: Site, raw: bytes, status: int, reason: str, path: str | None
) -> None:
    async def story(web: Gateway) -> None:
        answer = await web.post(raw)
        assert (status, "refused", reason, path) == (
            answer.status_code, answer.json()["outcome"], answer.json()["reason"], answer.json()["path"],
        )  # fmt: skip

    drive(site, story)


BINARY = {
    "ce-specversion": "1.0", "ce-source": "/offices/ducha", "ce-type": EVENT["type"], "ce-subject": "U001",
    "ce-time": EVENT["time"], "ce-note": "%E4%B8%80%20%22x%22",
}  # fmt: skip


def test_an_event_in_the_binary_mode_of_cloudevents_is_the_same_event(site: Site) -> None:
    async def story(web: Gateway) -> None:
        data = json.dumps(EVENT["data"]).encode()
        answer = await web.post(data, "application/json", **BINARY, **{"ce-id": "binary"})
        stored = json.loads((await ledger(site))[-1].data)
        assert (answer.status_code, stored) == (201, {**EVENT, "id": "binary", "note": '一 "x"'})
        for body, more, status, reason in (
            (b'1, "id": "x"', {}, 400, "not_json"),
            (b"", {}, 400, "not_json"),
            (data, {"ce-note": "%ff"}, 400, "not_json"),
            (data, {"ce-data": "x"}, 400, "not_json"),
            (data, {"ce-specversion": "0.3"}, 422, "not_cloudevent"),
        ):
            answer = await web.post(body, "application/json", **{**BINARY, "ce-id": "other", **more})
            assert (answer.status_code, answer.json()["reason"]) == (status, reason)
        assert (await web.post(data, "text/plain", **BINARY)).status_code == 415

    drive(site, story)


def test_receipts_are_listed_a_page_at_a_time_each_party_its_own(site: Site) -> None:
    async def story(web: Gateway) -> None:
        shown = {"Authorization": f"Bearer {web.keys['ducha']}"}
        batch = b"[" + b",".join(event(f"listed-{n}", subject="U001" if n else "U999") for n in range(5)) + b"]"
        assert (await web.post(batch, MANY)).status_code == 207
        found: list[dict[str, Any]] = []
        place = "/v1/receipts?limit=2"
        while place:
            page = (await web.http.get(place, headers=shown)).json()
            assert len(page["receipts"]) <= 2
            found, place = [*found, *page["receipts"]], page["next"]
        assert [one["place"] for one in found] == sorted({one["place"] for one in found})
        assert {f"listed-{n}" for n in range(5)} <= {one["receipt"]["id"] for one in found}
        refused = (await web.http.get("/v1/receipts?outcome=refused&limit=1000", headers=shown)).json()["receipts"]
        assert {one["receipt"]["outcome"] for one in refused} == {"refused"}
        other = await web.http.get("/v1/receipts", headers={"Authorization": f"Bearer {web.keys['kaoji']}"})
        assert [one for one in other.json()["receipts"] if one["receipt"]["id"].startswith("listed")] == []
        for query in ("limit=0", "limit=1001", "after=x", "after=1&after=2", "outcome=lost", "page=2"):
            answer = await web.http.get(f"/v1/receipts?{query}", headers=shown)
            assert (answer.status_code, answer.json()["title"]) == (400, "bad_list")

    drive(site, story)


def test_a_problem_is_told_in_the_language_of_the_caller_with_the_limit_that_holds(site: Site) -> None:
    async def story(web: Gateway) -> None:
        for asked, text in (("zh-CN,en", "密钥"), ("en-GB", "bearer token"), ("fr", " / ")):
            answer = await web.http.get("/v1/receipts", headers={"Accept-Language": asked})
            assert text in answer.json()["detail"]
        assert " / " not in (await web.http.get("/v1/receipts", headers={"Accept-Language": "zh"})).json()["detail"]
        for body, kind, limit in (
            (b"[" + b" " * 8_400_000 + b"]", MANY, 8_388_608),
            (b" " * 1_100_000, ONE, 1_048_576),
        ):
            answer = await web.post(body, kind, **{"Accept-Language": "zh"})
            assert (answer.status_code, f"至多{limit}字节" in answer.json()["message"]) == (413, True)

    drive(site, story, judged=False)


def test_a_unit_s_key_sends_its_appeals_and_an_auditor_s_sends_nothing(site: Site) -> None:
    async def story(web: Gateway) -> None:
        web.keys |= {party: keys.make(keys.file(site.data), party) for party in ("U001", "audit")}
        assert (await web.post(event("appealed"))).status_code == 201
        data = {"target": {"source": "/offices/ducha", "id": "appealed"}, "statement": "已反馈"}
        appeal = event("a1", source="/units/U001", type="appeal.filed.v1", data=data)
        assert (await web.post(appeal, office="U001")).status_code == 201
        answer = await web.post(event("audited"), office="audit")
        assert (answer.status_code, answer.json()["title"]) == (403, "reads_only")

    drive(site, story)


def test_the_same_post_again_is_accepted_once_and_told_as_a_duplicate(site: Site) -> None:
    async def story(web: Gateway) -> None:
        first = await web.post(event("again"))
        assert first.status_code == 201
        later = asyncio.create_task(web.post(event("again")))
        sequence = first.json()["sequence"] + 1
        async with site.as_("scorer") as scorer:  # what the scorer says of it
            settled = Receipt("/offices/ducha", "again", "settled", sequence, disposition="duplicate", why="w")
            while len(await ledger(site)) < sequence:
                await asyncio.wait([later], timeout=0.02)
            await jetstream(scorer).publish(subjects.receipt(ASSESSMENT, "ducha"), msgspec.json.encode(settled))
        again = await later
        assert (200, "settled", "duplicate", sequence) == (
            again.status_code, again.json()["outcome"], again.json()["disposition"], again.json()["sequence"],
        )  # fmt: skip

    drive(site, story)


class Silent:
    """A broker that stores everything and says no more."""

    is_connected = True

    async def publish_async(self, *_: Any, **__: Any) -> asyncio.Future[Any]:
        stored: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        stored.set_result(None)
        return stored


def alone(**limits: int) -> Desk:
    """A desk without a broker, to which receipts are told by hand."""
    desk = Desk(ASSESSMENT, Checker(YEAR.rulebook, YEAR.roster), **limits)  # type: ignore[arg-type]
    desk.client = desk._js = Silent()  # type: ignore[assignment]
    return desk


def tell(desk: Desk, place: int, receipt: Receipt) -> None:
    desk._heard(place, subjects.receipt(ASSESSMENT, "ducha"), msgspec.json.encode(receipt))


def receipts(raw: bytes, sequence: int, identifier: str = "d1") -> tuple[Receipt, Receipt]:
    """What ingest says of an event, and what the scorer says of its repeat."""
    leaf = hashlib.sha256(raw).hexdigest()
    accepted = Receipt("/offices/ducha", identifier, "accepted", sequence, leaf)
    return accepted, msgspec.structs.replace(accepted, outcome="settled", disposition="duplicate", why="counts once")


def hand_in(desk: Desk, raw: bytes, *told: tuple[int, Receipt], within: float = 10) -> desks.Answer:
    """The answer to an event of which these receipts come while it waits, and then none for `within` seconds."""

    async def story() -> desks.Answer:
        waiter = await desk._publish("ducha", raw, None)
        assert isinstance(waiter, desks.Waiter)
        for place, receipt in told:
            tell(desk, place, receipt)
        return await desk._answer(waiter, asyncio.get_running_loop().time() + within)

    return asyncio.run(story())


def test_a_repeat_is_told_as_the_fold_settled_it_whichever_receipt_comes_first() -> None:
    raw, desk = event("d1"), alone()
    assert hand_in(desk, raw, (1, receipts(raw, 1)[0])).status == 201
    accepted, settled = receipts(raw, 2)
    assert hand_in(desk, raw, (2, accepted), (3, settled)) == (200, settled, None)
    accepted, settled = receipts(raw, 3)
    assert hand_in(desk, raw, (4, settled), (5, accepted)) == (200, settled, None)
    assert (desk._waiting, desk._settling) == ({}, {})


def test_a_repeat_that_the_fold_does_not_settle_in_time_gives_its_own_acceptance() -> None:
    raw, desk = event("d1"), alone()
    hand_in(desk, raw, (1, receipts(raw, 1)[0]))
    accepted = receipts(raw, 2)[0]
    assert hand_in(desk, raw, (2, accepted), within=0) == (201, accepted, None)
    assert desk._settling == {}


def test_a_receipt_heard_twice_answers_once() -> None:
    raw, desk = event("d1"), alone()
    refused = Receipt("/offices/ducha", "d1", "refused", reason="unknown_unit", path="subject", message="…")
    assert hand_in(desk, event("d1", subject="U999"), (1, refused)).status == 422
    accepted = receipts(raw, 1)[0]
    assert hand_in(desk, raw, (1, refused), (2, accepted)) == (201, accepted, None)


def test_the_receipt_of_another_event_of_the_same_name_is_not_taken_for_one_s_own() -> None:
    raw, other, desk = event("d1"), event("d1", subject="U002"), alone()
    own = receipts(raw, 2)[0]
    assert hand_in(desk, raw, (1, receipts(other, 1)[0]), (2, own)) == (201, own, None)


def test_no_more_receipts_are_kept_than_may_be() -> None:
    desk = alone(kept=2)
    for n in range(5):
        tell(desk, n + 1, receipts(b"", n + 1, f"k{n}")[0])
    assert [desk.ask("ducha", "/offices/ducha", f"k{n}") is not None for n in range(5)] == [False] * 3 + [True] * 2


def test_a_conflict_that_the_fold_finds_answers_409() -> None:
    told = desks.said(Receipt("/offices/ducha", "x", "settled", 3, "0" * 64, "conflict", "id", "…"))
    assert told.status == 409


def test_without_ingest_the_answer_is_202_with_a_place_that_later_has_the_receipt(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "PATIENCE", 0.3)
    source_id = "late/../?&=%2F 事"

    async def story() -> None:
        async with gateway(site) as web:
            answer = await web.post(event(source_id))
            assert (answer.status_code, answer.json()["outcome"]) == (202, "pending")
            assert answer.headers["location"] == answer.json()["ask"]
            shown = {"Authorization": f"Bearer {web.keys['ducha']}"}
            assert (await web.http.get(answer.headers["location"], headers=shown)).status_code == 202
            async with ingesting(site):
                while (later := await web.http.get(answer.headers["location"], headers=shown)).status_code == 202:
                    await ledger(site)
            assert (200, "accepted", source_id) == (later.status_code, later.json()["outcome"], later.json()["id"])
            other = await web.ask("/offices/ducha", source_id, office="kaoji")
            assert (other.status_code, other.json()["title"]) == (404, "no_receipt")

    asyncio.run(story())


def test_receipts_of_the_time_when_the_gateway_was_down_are_there_when_it_is_back(site: Site) -> None:
    async def story() -> None:
        async with ingesting(site):
            async with site.as_("ducha") as office:
                subject = subjects.intake(ASSESSMENT, "ducha", EVENT["type"], "U001")
                await jetstream(office).publish(subject, event("while-down"))
            while not any(b"while-down" in entry.data for entry in await ledger(site)):
                await ledger(site)
            async with gateway(site) as web:
                while (answer := await web.ask("/offices/ducha", "while-down")).status_code == 404:
                    await ledger(site)
                assert (answer.status_code, answer.json()["outcome"]) == (200, "accepted")

    asyncio.run(story())


def test_a_batch_has_a_result_an_event_in_order_and_each_event_s_own_bytes(site: Site) -> None:
    spaced = event("b1").replace(b": ", b" :  ")
    batch = b"[ " + b" ,\n".join([spaced, b"7", event("b2", subject="U999"), event("b3")]) + b" ]"

    async def story(web: Gateway) -> None:
        answer = await web.post(batch, MANY)
        found = [(one["status"], one["body"]["outcome"], one["body"]["reason"]) for one in answer.json()["results"]]
        assert answer.status_code == 207
        assert found == [
            (201, "accepted", None), (422, "refused", "not_cloudevent"), (422, "refused", "unknown_unit"),
            (201, "accepted", None),
        ]  # fmt: skip
        assert [entry.data for entry in await ledger(site)][-2:] == [spaced, event("b3")]
        every = await web.post(b"[" + event("b4") + b"]", MANY)
        assert (every.status_code, [one["status"] for one in every.json()["results"]]) == (200, [201])
        assert (await web.post(b"[]", MANY)).json() == {"results": []}

    drive(site, story)


def test_a_batch_of_three_hundred_is_answered_whole_and_in_order(site: Site) -> None:
    async def story(web: Gateway) -> None:
        batch = b"[" + b",".join(event(f"n{n}") for n in range(300)) + b"]"
        answer = await web.post(batch, MANY)
        assert answer.status_code == 200
        assert [one["body"]["id"] for one in answer.json()["results"]] == [f"n{n}" for n in range(300)]
        sequences = [one["body"]["sequence"] for one in answer.json()["results"]]
        assert sequences == [*range(sequences[0], sequences[0] + 300)]
        assert (web.desk.in_flight, web.desk._waiting) == (0, {})

    drive(site, story)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{}", 400, "not_json"),
        (b"[", 400, "not_json"),
        (b"\xff", 400, "not_json"),
        (b"[" + b",".join([b"1"] * (BATCH_EVENTS + 1)) + b"]", 413, "too_large"),
        (b"[" + b" " * (8 * 1024 * 1024) + b"]", 413, "too_large"),
    ],
)
def test_a_batch_that_is_none_is_refused_whole(site: Site, body: bytes, status: int, reason: str) -> None:
    async def story(web: Gateway) -> None:
        answer = await web.post(body, MANY)
        assert (status, reason) == (answer.status_code, answer.json()["reason"])

    drive(site, story, judged=False)


def test_a_key_is_asked_for_before_anything_else(site: Site) -> None:
    async def story(web: Gateway) -> None:
        for shown in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {web.keys['ducha']}"}):
            for answer in (
                await web.http.post("/v1/events", content=b"{", headers=shown),
                await web.http.get("/v1/events?source=a&id=b", headers=shown),
            ):
                assert (answer.status_code, answer.json()["title"]) == (401, "no_key")
                assert answer.headers["www-authenticate"].startswith("Bearer")

    drive(site, story, judged=False)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json; charset=gb18030", "application/cloudevents+xml"])
def test_other_media_types_are_415_and_say_which_are_taken(site: Site, kind: str) -> None:
    async def story(web: Gateway) -> None:
        answer = await web.post(event("x"), kind)
        assert (answer.status_code, answer.json()["title"]) == (415, "wrong_media_type")
        assert ONE in answer.headers["accept"]
        packed = await web.post(event("x"), ONE, **{"Content-Encoding": "gzip"})
        assert packed.status_code == 415

    drive(site, story, judged=False)


@pytest.mark.parametrize("query", ["", "?source=a", "?source=a&id=", "?source=a&id=b&id=c", "?source=a&id=b&x=1"])
def test_a_question_names_source_and_id_once(site: Site, query: str) -> None:
    async def story(web: Gateway) -> None:
        shown = {"Authorization": f"Bearer {web.keys['ducha']}"}
        answer = await web.http.get(f"/v1/events{query}", headers=shown)
        assert (answer.status_code, answer.json()["title"]) == (400, "bad_query")

    drive(site, story, judged=False)


def test_more_than_may_wait_is_503_with_retry_after_and_nothing_is_stored(site: Site) -> None:
    async def story() -> None:
        async with gateway(site, most=2) as web:
            before = len(await ledger(site))
            answer = await web.post(b"[" + b",".join(event(f"f{n}") for n in range(3)) + b"]", MANY)
            assert (answer.status_code, answer.json()["title"]) == (503, "try_again")
            assert int(answer.headers["retry-after"]) > 0
            assert (len(await ledger(site)), web.desk.in_flight) == (before, 0)

    asyncio.run(story())


def test_an_office_has_its_share_of_the_places_and_leaves_the_others_theirs(site: Site) -> None:
    async def story() -> None:
        async with gateway(site, share=1) as web:

            async def waiting(*posted: asyncio.Task[Any]) -> None:
                while web.desk.in_flight < len(posted):
                    await asyncio.wait(posted, timeout=0.02)

            first = asyncio.create_task(web.post(event("share-1")))
            await waiting(first)
            answer = await web.post(event("share-2"))
            assert (answer.status_code, answer.json()["title"]) == (429, "too_many")
            assert int(answer.headers["retry-after"]) > 0
            other = event("share-3", source="/offices/kaoji")
            second = asyncio.create_task(web.post(other, office="kaoji"))
            await waiting(first, second)
            async with ingesting(site):
                assert [(await one).status_code for one in (first, second)] == [201, 422]
                many = b"[" + b",".join(event(f"share-{n}") for n in range(4, 9)) + b"]"
                assert (await web.post(many, MANY)).status_code == 200

    asyncio.run(story())


def test_a_day_s_quota_that_is_spent_answers_429_and_asks_the_broker_no_more(site: Site) -> None:
    async def story() -> None:
        async with gateway(site) as web, ingesting(site, office_events=0):
            answer = await web.post(event("quota-1"))
            assert (answer.status_code, answer.json()["reason"]) == (429, "over_quota")
            assert 0 < int(answer.headers["retry-after"]) <= 86_400
            before = len(await ledger(site))
            answer = await web.post(event("quota-2"))
            assert (answer.status_code, answer.json()["title"]) == (429, "quota_spent")
            assert "200000" in answer.json()["detail"]
            assert (await web.ask("/offices/ducha", "quota-2")).status_code == 404
            assert len(await ledger(site)) == before

    asyncio.run(story())


def test_junk_among_the_receipts_is_passed_over(site: Site) -> None:
    async def story(web: Gateway) -> None:
        async with site.as_("ingest") as thief:
            for body in (b"", b"x", b"\xff\xfe", b"[]", b'{"source":1}', b"[" * 5000):
                for headers in (None, {"Status": "404"}, {"Nats-Sequence": "x"}):
                    await thief.request(f"receipt.{ASSESSMENT}.ducha", body, 10, headers=headers)
        answer = await web.post(event("after junk"))
        assert answer.status_code == 201
        assert (await web.ask("/offices/ducha", "after junk")).json() == answer.json()
        async with site.provisioner() as js:
            while (await js.consumer_info(f"RECEIPT-{ASSESSMENT}", "gateway")).num_pending:
                await asyncio.wait([asyncio.create_task(web.http.get("/healthz"))])

    drive(site, story)


def test_without_a_broker_it_is_503_and_ready_says_so_and_it_comes_back(tmp_path: Any) -> None:
    configure(tmp_path, ASSESSMENT, OFFICES, UNITS)
    server = EmbeddedServer(tmp_path).claim()
    site = Site(server, tmp_path)

    async def story() -> None:
        with server:
            async with gateway(site) as web, ingesting(site):
                assert (await web.post(event("here"))).status_code == 201
                server.kill()
                while (await web.http.get("/readyz")).status_code == 200:
                    await asyncio.wait([asyncio.create_task(web.http.get("/healthz"))])
                answer = await web.post(event("gone"))
                assert (answer.status_code, answer.json()["title"]) == (503, "try_again")
                assert (await web.http.get("/healthz")).status_code == 200
                assert (await web.ask("/offices/ducha", "here")).json()["outcome"] == "accepted"
                server.start()
                while (await web.http.get("/readyz")).status_code != 200:
                    await asyncio.wait([asyncio.create_task(web.http.get("/healthz"))])
                again = await web.post(event("gone"))
                assert again.status_code in (201, 202)

    with server:
        asyncio.run(_provision(site))
        asyncio.run(_open(site))
    server.claim()
    asyncio.run(story())


def test_a_full_intake_is_503_and_nothing_waits_for_ever(site: Site) -> None:
    async def story(web: Gateway) -> None:
        assert web.desk._js

        async def full(*_: Any, **__: Any) -> asyncio.Future[Any]:
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            answer.set_exception(APIError(code=400, err_code=10077, description="maximum bytes exceeded"))
            return answer

        web.desk._js.publish_async = full  # type: ignore[method-assign]
        answer = await web.post(event("full"))
        assert (answer.status_code, web.desk._waiting) == (503, {})
        assert b"maximum bytes" not in answer.content

    drive(site, story, judged=False)


def test_a_task_ends_though_its_wait_was_over_as_it_was_cancelled() -> None:
    async def deaf(swallowed: int) -> None:
        while swallowed:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            swallowed -= 1

    async def story() -> None:
        for swallowed in (0, 1, 2):
            task = asyncio.create_task(deaf(swallowed))
            await asyncio.sleep(0)
            await asyncio.wait_for(end(task), 5)
            assert task.done()

    asyncio.run(story())


def test_a_fault_of_ours_says_nothing_of_itself(site: Site) -> None:
    async def story(web: Gateway) -> None:
        web.desk.take = None  # type: ignore[method-assign,assignment]
        answer = await web.post(event("x"))
        assert (answer.status_code, answer.json()["title"]) == (500, "our_fault")
        assert b"NoneType" not in answer.content

    drive(site, story, judged=False)


def test_paths_and_methods_that_are_not_there_are_named(site: Site) -> None:
    async def story(web: Gateway) -> None:
        nowhere, wrong = await web.http.get("/nowhere"), await web.http.delete("/v1/events")
        assert (nowhere.status_code, nowhere.json()["title"]) == (404, "not_found")
        assert (wrong.status_code, wrong.json()["title"]) == (405, "wrong_method")
        assert "POST" in wrong.headers["allow"]

    drive(site, story, judged=False)


def test_the_docs_need_nothing_from_elsewhere_and_name_every_status_and_refusal(site: Site) -> None:
    async def story(web: Gateway) -> None:
        page, document = await web.http.get("/docs"), (await web.http.get("/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        assert "src=" not in page.text
        assert "<script" not in page.text
        assert not [part for part in page.text.split('href="')[1:] if not part.startswith("/")]
        for operation in document["paths"]["/v1/events"].values():
            for status in operation["responses"]:
                assert f"<code>{status}</code>" in page.text
        assert all(f"<code>{reason}</code>" in page.text for reason in Reason)
        problems = {name for name in desks.PROBLEMS if name not in ("bad_request", "not_found", "wrong_method")}
        assert {name for name in problems if name not in page.text} == set()

    drive(site, story, judged=False)


def test_no_page_of_the_gateway_brings_a_script(site: Site) -> None:
    async def story(web: Gateway) -> None:
        tried = ("", "/", "/openapi.json", "/openapi.yaml", "/redoc", "/swagger", "/elements", "/rapidoc", "/scalar")
        for path in ("/docs", "/", *(f"/schema{one}" for one in tried)):
            answer = await web.http.get(path)
            page = answer.headers["content-type"].startswith("text/html")
            assert not page or (b"<script" not in answer.content and b"src=" not in answer.content), path

    drive(site, story, judged=False)


def test_the_command_ends_with_0_when_it_is_told_to(site: Site) -> None:
    port = free_port()
    environment = {"NATS_URL": site.server.url, "WUXING_DATA": str(site.data), "WUXING_ASSESSMENT": ASSESSMENT}
    for told in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-m", "services", "gateway", "--port", str(port)],
            env={**os.environ, **environment}, stderr=subprocess.PIPE,
        )  # fmt: skip
        while not answers(port):
            assert process.poll() is None, process.communicate()
        long = httpx.get(f"http://127.0.0.1:{port}/healthz", headers={"x": "x" * 20_000})
        assert long.status_code == 431
        process.send_signal(told)
        assert (process.wait(60), b"Traceback" in process.communicate()[1]) == (0, False)


def test_beyond_this_machine_the_command_has_a_certificate_or_does_not_listen(tmp_path: Any) -> None:
    configure(tmp_path, ASSESSMENT, OFFICES, UNITS)
    (tmp_path / "opening.json").write_bytes(OPENING)
    settings = read({"WUXING_DATA": os.fspath(tmp_path)})
    for host in ("0.0.0.0", "192.0.2.1", "::", "example.org"):
        with pytest.raises(Stop, match="beyond this machine"):
            asyncio.run(serve(settings, host, 0, structlog.get_logger()))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        found: int = one.getsockname()[1]
        return found


def answers(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=1).status_code == 200
    return False


# Keys ----------------------------------------------------------------------------------------------------


def test_a_key_is_kept_as_its_hash_alone_and_a_new_one_ends_the_old(tmp_path: Any) -> None:
    path = keys.file(tmp_path)
    first, other = keys.make(path, "ducha"), keys.make(path, "kaoji")
    known = keys.Keys(path)
    assert (known.party(first), known.party(other), known.party("x")) == ("ducha", "kaoji", None)
    assert first not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    second = keys.make(path, "ducha")
    assert (known.party(first), known.party(second)) == (None, "ducha")


def test_a_rotated_key_goes_on_opening_for_as_long_as_was_said(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, now = keys.file(tmp_path), [1000.0]
    monkeypatch.setattr("services.gateway.keys.time.time", lambda: now[0])
    first, known = keys.make(path, "ducha"), keys.Keys(path)
    second = keys.make(path, "ducha", overlap=60)
    third = keys.make(path, "ducha", overlap=60)
    assert [known.party(one) for one in (first, second, third)] == [None, "ducha", "ducha"]
    assert [known.holds("ducha", keys.mark(one)) for one in (first, second, third)] == [False, True, True]
    now[0] += 60
    assert [known.party(one) for one in (second, third)] == [None, "ducha"]
    assert [known.holds("ducha", keys.mark(one)) for one in (second, third)] == [False, True]


def test_no_file_is_no_key(tmp_path: Any) -> None:
    assert keys.Keys(keys.file(tmp_path)).party("anything") is None


def test_a_file_that_others_can_read_or_that_is_none_opens_nothing(tmp_path: Any) -> None:
    path = keys.file(tmp_path)
    shown = keys.make(path, "ducha")
    path.chmod(0o640)
    with pytest.raises(KeyUnsafe, match="chmod 600"):
        keys.Keys(path).party(shown)
    for text in ("", "[]", '{"ducha": 1}', '{"ducha": "short"}'):
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(KeyUnsafe, match="no file of keys"):
            keys.Keys(path).party(shown)


def test_the_command_prints_a_key_once_and_refuses_an_unknown_office(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WUXING_DATA", os.fspath(tmp_path))
    with pytest.raises(Stop, match="wuxing open"):
        keys.gateway_key("ducha")
    (tmp_path / "opening.json").write_bytes(OPENING)
    assert keys.gateway_key("ducha", lang="en") == 0
    printed = capsys.readouterr()
    assert keys.Keys(keys.file(tmp_path)).party(printed.out.strip()) == "ducha"
    assert "this once" in printed.err
    with pytest.raises(Stop) as stop:
        keys.gateway_key("nobody")
    assert (stop.value.code, "ducha" in stop.value.say("zh")) == (2, True)


# The whole OpenAPI, at random --------------------------------------------------------------------------------

if os.environ.get("WUXING_TEST") == "long":

    def test_schemathesis_finds_nothing() -> None:
        command = [sys.executable, "-m", "tests.fuzz_gateway"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout[-2000:] * bool(found.returncode)) == (0, "")
