"""Ingest on a real broker, step by step in this process: what it sets aside, what it remembers, what it counts."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import structlog
from nats.js import JetStreamContext

from infra.client import AppendRefused, Entry, connected, embedded, jetstream, pull, read_stream
from infra.rights import PROVISIONER
from infra.server import EmbeddedServer
from infra.streams import declared_streams, stream
from schemas import subjects
from schemas.receipts import Receipt
from services.ingest import app, limits
from services.ingest import place as places
from services.ingest.check import Checker
from services.process import metrics
from services.process.settings import Limits, Settings, read
from services.site import provision
from tests.faults.damage import WAYS, cut, zero
from tests.faults.works import OFFICES, good
from tests.product import BOOK, BOOK_JSON, SHIPPED

A = "wenzhou-2013"
UNITS = ("U001", "U002", "U003")
COLLECTOR = BOOK.roles.collector
LEDGER, INTAKE = stream("LEDGER", A), stream("INTAKE", A)
LOG = structlog.get_logger()


@dataclass
class Desk:
    """A broker with an empty assessment, and ingest on it whenever it is asked for."""

    server: EmbeddedServer
    data: Path
    js: JetStreamContext
    settings: Settings

    @property
    def at(self) -> Path:
        return places.file(self.data, A)

    async def send(self, *raws: bytes, office: str = "ducha") -> None:
        async with connected(self.server.url, office, self.data) as client:
            for raw in raws:
                subject = f"intake.{A}.{office}.deduction-recorded-v1.{UNITS[0]}"
                with contextlib.suppress(ValueError):  # what is no JSON goes where the others go
                    said = json.loads(raw)
                    subject = subjects.intake(A, office, said["type"], said["subject"])
                await jetstream(client).publish(subject, raw)

    @contextlib.asynccontextmanager
    async def ingest(self, **most: int) -> AsyncIterator[app.Ingest]:
        """Ingest as it starts, which takes all that lies in INTAKE and acknowledges nothing."""
        async with connected(self.server.url, "ingest", self.data) as client:
            settings = msgspec.structs.replace(self.settings, limits=Limits(**most))
            yield await app.start(client, settings, LOG, self.at)

    async def taken(self, *raws: bytes, **most: int) -> None:
        """Send, and let an ingest of its own take it."""
        await self.send(*raws)
        async with self.ingest(**most):
            pass

    async def acknowledged(self) -> None:
        """What was delivered is done with, as far as the broker knows."""
        async with connected(self.server.url, "ingest", self.data) as client:
            durable = await pull(client, "INTAKE", A, "ingest")
            while (await self.js.stream_info(INTAKE)).state.messages:
                for message in await durable.fetch(100, timeout=10):
                    await message.ack_sync()

    async def stored(self, kind: str) -> list[tuple[bytes, dict[str, str]]]:
        info = await self.js.stream_info(stream(kind, A))
        found = [await self.js.get_msg(stream(kind, A), seq) for seq in range(1, info.state.last_seq + 1)]
        return [(one.data or b"", dict(one.headers or {})) for one in found]

    async def ledger(self) -> list[bytes]:
        """What follows the opening."""
        return [data for data, _ in await self.stored("LEDGER")][1:]

    async def receipts(self) -> list[Receipt]:
        return [msgspec.json.decode(data, type=Receipt) for data, _ in await self.stored("RECEIPT")][1:]

    async def refused(self) -> list[tuple[int, str]]:
        found = [json.loads(data) for data, _ in await self.stored("REFUSED")]
        return [(one["line"], one["reason"]) for one in found]

    async def held(self) -> list[Entry]:
        async with connected(self.server.url, "ingest", self.data) as client:
            return [entry async for entry in read_stream(client, "INTAKE", A)]


def story(tmp_path: Path, steps: Callable[[Desk], Coroutine[Any, Any, None]], *, opened: bool = True) -> None:
    """Steps on a broker whose ledger, where it is `opened`, has the opening as sequence 1, which was 1 in INTAKE."""

    async def told() -> None:
        async with (
            embedded(tmp_path, A, OFFICES, UNITS) as server,
            connected(server.url, PROVISIONER, tmp_path) as client,
        ):
            desk = Desk(
                server, tmp_path, client.jetstream(), read({"WUXING_DATA": str(tmp_path), "WUXING_ASSESSMENT": A})
            )
            if opened:
                await desk.send(OPENING, office=COLLECTOR)
                async with desk.ingest():
                    pass
                await desk.acknowledged()
            await steps(desk)

    asyncio.run(told())


def event(name: str) -> bytes:
    return good(name, UNITS[0])


def of_year(kind: str, name: str, subject: str = "assessment", office: str = COLLECTOR, /, **data: Any) -> bytes:
    return json.dumps({
        "specversion": "1.0", "id": name, "source": f"/offices/{office}", "type": f"{kind}.v1", "subject": subject,
        "time": "2013-05-06T09:30:00+08:00", "data": data,
    }).encode()  # fmt: skip


OPENING = of_year("assessment.opened", "open", assessment=A, rulebook=BOOK_JSON, roster=SHIPPED[:3])


def large(name: str) -> bytes:
    return good(name, UNITS[0]).replace(b"\\u903e\\u671f", b"x" * 1900)


# The year


def test_nothing_is_taken_before_the_opening_and_no_opening_of_another_assessment(tmp_path: Path) -> None:
    async def steps(desk: Desk) -> None:
        other = of_year("assessment.opened", "other", assessment="other", rulebook=BOOK_JSON, roster=SHIPPED[:3])
        broken = of_year("assessment.opened", "none", assessment=A, rulebook={"id": "x"}, roster=SHIPPED[:3])
        await desk.taken(event("early"))
        await desk.send(other, broken, OPENING, office=COLLECTOR)
        await desk.taken(event("early"))  # sent again once it is open
        assert [data for data, _ in await desk.stored("LEDGER")] == [OPENING, event("early")]
        told = [json.loads(data) for data, _ in await desk.stored("REFUSED")]
        assert [(one["line"], one["reason"], one["path"]) for one in told] == [
            (1, "not_open", "type"), (2, "bad_field", "data.assessment"), (3, "bad_field", "data.rulebook"),
        ]  # fmt: skip

    story(tmp_path, steps, opened=False)


@contextlib.asynccontextmanager
async def folding(desk: Desk, *void: int) -> AsyncIterator[list[int]]:
    """Somebody who answers as the scorer does: every change is admitted but some; what was asked is noted."""
    asked: list[int] = []
    async with connected(desk.server.url, "scorer", desk.data) as client:

        async def answer(message: Any) -> None:
            asked.append(int(message.data))
            admitted = [seq for seq in range(1, asked[-1] + 1) if seq not in void]
            await message.respond(json.dumps(admitted if len(asked) % 2 else None).encode())  # not folded yet, at times

        await client.subscribe(f"changes.{A}", cb=answer)
        await client.flush()
        yield asked


def test_a_change_takes_effect_on_what_follows_once_the_fold_has_admitted_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch with four changes nothing is lost, each is waited for, and the next ingest reads them in it."""
    monkeypatch.setattr(app, "CHANGES_AGAIN", 0)

    def joined(name: str, unit: str) -> bytes:
        data = {"name": unit, "category": "B", "group": "B1", "attributes": {}}
        return of_year("unit.changed", name, unit, change="joined", reason="r", **data)

    def moved(name: str, holder: str, heir: str) -> bytes:
        return of_year("item.transferred", name, item="1.1", **{"from": holder, "to": heir}, reason="r")

    def deducted(name: str, unit: str, office: str = "ducha") -> bytes:
        return good(name, unit).replace(b"/offices/ducha", f"/offices/{office}".encode())

    async def steps(desk: Desk) -> None:
        await desk.send(deducted("a", "NEW"))
        await desk.send(joined("j1", "NEW"), office=COLLECTOR)
        await desk.send(deducted("b", "NEW"))
        await desk.send(joined("j2", "VOID"), joined("j3", "LATE"), office=COLLECTOR)
        await desk.send(deducted("c", "VOID"), deducted("d", "LATE"))
        await desk.send(moved("t", "ducha", "kaoji"), office=COLLECTOR)
        await desk.send(deducted("e", UNITS[0]))
        await desk.send(deducted("f", UNITS[0], "kaoji"), office="kaoji")
        async with folding(desk, 4) as asked, desk.ingest():
            pass
        assert sorted({*asked}) == [2, 4, 5, 7]
        assert [json.loads(raw)["id"] for raw in await desk.ledger()] == ["j1", "b", "j2", "j3", "d", "t", "f"]
        assert [reason for _, reason in await desk.refused()] == [
            "unknown_unit", "unknown_unit", "source_not_authorised"]  # fmt: skip
        await desk.acknowledged()
        await desk.send(deducted("g", "NEW"), deducted("h", "VOID"))
        async with folding(desk, 4), desk.ingest():
            pass
        assert [json.loads(raw)["id"] for raw in await desk.ledger()][7:] == []
        assert [reason for _, reason in await desk.refused()][3:] == ["source_not_authorised", "unknown_unit"]
        await desk.send(deducted("i", "NEW", "kaoji"), deducted("k", "VOID", "kaoji"), office="kaoji")
        async with folding(desk, 4), desk.ingest():
            pass
        assert [json.loads(raw)["id"] for raw in await desk.ledger()][7:] == ["i"]

    story(tmp_path, steps)


# Setting aside


def test_what_the_broker_will_not_append_is_set_aside_alone(tmp_path: Path) -> None:
    async def steps(desk: Desk) -> None:
        declared = next(one for one in declared_streams(A) if one.name == LEDGER)
        async with desk.ingest() as ingest:
            await desk.js.update_stream(declared.evolve(max_msg_size=1500))
            raws = [event("a"), large("b"), event("c"), event("d"), large("e")]
            await desk.send(*raws)
            await ingest.take(await desk.held())
        assert await desk.ledger() == [raws[0], raws[2], raws[3]]
        assert await desk.refused() == [(3, "not_appended"), (6, "not_appended")]
        told = [(one.id, one.outcome, one.sequence) for one in await desk.receipts()]
        assert told == [
            ("a", "accepted", 2), ("b", "refused", None), ("c", "accepted", 3), ("d", "accepted", 4),
            ("e", "refused", None),
        ]  # fmt: skip

    story(tmp_path, steps)


def test_a_ledger_without_room_stops_ingest_and_costs_no_event(tmp_path: Path) -> None:
    async def steps(desk: Desk) -> None:
        declared = next(one for one in declared_streams(A) if one.name == LEDGER)
        async with desk.ingest() as ingest:
            await desk.js.update_stream(declared.evolve(max_bytes=100))
            await desk.send(event("a"), event("b"))
            with pytest.raises(AppendRefused):
                await ingest.take(await desk.held())
        assert await desk.refused() == []
        await desk.js.update_stream(declared)
        await desk.taken(event("c"))
        assert await desk.ledger() == [event("a"), event("b"), event("c")]

    story(tmp_path, steps)


@pytest.mark.parametrize("code", [10176, 10047, 10077, 10008, 99999])
def test_trouble_of_the_broker_by_whatever_name_costs_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A broker whose disk is full calls a batch of one incomplete (10176): seen with a real one."""

    async def refuses(*_: Any) -> Any:
        raise AppendRefused("-", code)

    async def steps(desk: Desk) -> None:
        async with desk.ingest() as ingest:
            await desk.send(event("a"), event("b"))
            held = await desk.held()
            monkeypatch.setattr("services.ingest.app.publish_batch", refuses)
            with pytest.raises(AppendRefused):
                await ingest.take(held)
            monkeypatch.undo()
        assert await desk.refused() == []
        await desk.taken(event("c"))
        assert await desk.ledger() == [event("a"), event("b"), event("c")]

    story(tmp_path, steps)


def test_a_check_that_falls_over_costs_its_own_message_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Checker.check

    def falls(self: Any, raw: bytes, subject: str | None = None) -> Any:
        if b'"id": "b"' in raw:
            raise RecursionError
        return check(self, raw, subject)

    monkeypatch.setattr(Checker, "check", falls)

    async def steps(desk: Desk) -> None:
        await desk.taken(event("a"), event("b"), event("c"))
        assert await desk.ledger() == [event("a"), event("c")]
        assert await desk.refused() == [(3, "not_judged")]

    story(tmp_path, steps)


# Quotas


def test_what_is_over_a_party_s_quota_is_refused_by_name_and_no_other_party_feels_it(tmp_path: Path) -> None:
    async def steps(desk: Desk) -> None:
        most = {"office_events": 3}
        await desk.taken(*(event(f"d{n}") for n in range(5)), **most)
        await desk.acknowledged()
        assert await desk.ledger() == [event(f"d{n}") for n in range(3)]
        assert await desk.refused() == [(5, "over_quota"), (6, "over_quota")]
        await desk.send(event("k").replace(b"ducha", b"kaoji").replace(b"1.1", b"9.9"), office="kaoji")
        await desk.taken(event("d5"), **most)  # another process goes on with the same account
        assert (await desk.refused())[2:] == [(7, "unknown_item"), (8, "over_quota")]

    story(tmp_path, steps)


def test_a_flood_over_the_quota_gets_one_refusal_a_batch_that_names_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "TOLD_EACH", 2)

    async def steps(desk: Desk) -> None:
        await desk.taken(*(event(f"d{n}") for n in range(20)), office_events=3)
        assert [line for line, _ in await desk.refused()] == [5, 6, 21]
        assert "15 messages from intake sequence 7 to 21" in ((await desk.receipts())[-1].message or "")

    story(tmp_path, steps)


def test_a_quota_is_a_day_s_by_the_broker_s_clock_and_bytes_count_too() -> None:
    place, most = places.Place(), Limits(unit_events=2, unit_bytes=10)

    def over(day: int, party: str, data: bytes, *, office: bool = False) -> bool:
        entry = Entry(1, "", {}, day * limits.DAY, data)
        return limits.over_quota(entry, party, office, most, place) is not None

    assert [over(1, "U1", b"") for _ in range(3)] == [False, False, True]
    assert [over(1, "U2", b"123456"), over(1, "U2", b"123456")] == [False, True]
    assert not over(1, "ducha", b"123456" * 9, office=True)
    assert [over(2, "U1", b"") for _ in range(3)] == [False, False, True]
    assert place.spent == {"U1": (3, 0)}


def test_a_party_s_pace_is_a_second_s_by_the_broker_s_clock_and_no_other_s() -> None:
    place, most = places.Place(), Limits(unit_second=2, office_second=3)

    def refused(second: int, party: str, *, office: bool = False) -> bool:
        entry = Entry(1, "", {}, second * limits.SECOND + 17, b"")
        found = limits.over_quota(entry, party, office, most, place)
        assert found is None or ("a second" in found.message and found.reason == "over_quota")
        return found is not None

    assert [refused(1, "U1") for _ in range(3)] == [False, False, True]
    assert [refused(1, "ducha", office=True) for _ in range(4)] == [False, False, False, True]
    assert [refused(1, "U2"), refused(2, "U1")] == [False, False]


def test_limits_are_set_by_name_and_others_are_refused() -> None:
    assert read({"WUXING_LIMITS": "unit_events=7, office_bytes=1"}).limits == Limits(unit_events=7, office_bytes=1)
    for text in ("unit_events=0", "unit_events", "events=1", "unit_events=-1"):
        with pytest.raises(Exception, match="WUXING_LIMITS"):
            read({"WUXING_LIMITS": text})


# Its place


def test_what_was_told_is_not_told_again_and_what_was_not_has_its_sequence(tmp_path: Path) -> None:
    """Nothing was acknowledged: with its place ingest tells nothing twice, without it all again, and never null."""

    async def steps(desk: Desk) -> None:
        raws = [raw for n in range(20) for raw in (event(f"d{n}"), b"x")]
        await desk.taken(*raws)
        await desk.taken()
        accepted = [one.sequence for one in await desk.receipts() if one.outcome == "accepted"]
        assert accepted == list(range(2, 22))
        desk.at.unlink()
        await desk.taken()
        accepted = [one.sequence for one in await desk.receipts() if one.outcome == "accepted"]
        assert accepted == [*range(2, 22), *range(2, 22)]
        assert len(await desk.ledger()) == 20

    story(tmp_path, steps)


def test_ingest_stops_on_a_ledger_that_is_not_the_one_it_wrote(tmp_path: Path) -> None:
    async def steps(desk: Desk) -> None:
        await desk.taken(event("a"), event("b"))
        place = places.read(desk.at)
        assert place
        assert (place.ledger, place.intake) == (3, 3)
        for change in ({"ledger": 4}, {"sha256": "0" * 64}):
            places.write(desk.at, msgspec.structs.replace(place, **change))
            with pytest.raises(places.HistoryWentBack, match="ledger ends at 3"):
                await desk.taken()
        desk.at.write_text("{")
        with pytest.raises(places.PlaceUnreadable, match="cannot be read"):
            await desk.taken()
        desk.at.unlink()
        await desk.taken()
        assert places.read(desk.at) is not None

    story(tmp_path, steps)


async def made_again(desk: Desk) -> None:
    """INTAKE without its store: the same stream, from 1."""
    declared = next(one for one in declared_streams(A) if one.name == INTAKE)
    info = await desk.js.consumer_info(INTAKE, "ingest")
    await desk.js.delete_stream(INTAKE)
    await desk.js.add_stream(declared)
    await desk.js.add_consumer(INTAKE, info.config)


@pytest.mark.parametrize(
    ("name", "lost"),
    [("the first", [(5, 6)]), ("the middle", [(6, 6)]), ("all", [(5, 7)]), ("its store", [(5, 7), (5, 0)])],
)
def test_what_intake_lost_is_named_and_what_comes_next_is_taken(
    tmp_path: Path, name: str, lost: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0)

    async def steps(desk: Desk) -> None:
        await desk.taken(event("a"), event("b"), event("c"))
        await desk.acknowledged()
        await desk.send(event("d"), event("e"), event("f"))
        match name:
            case "the first":
                await desk.js.purge_stream(INTAKE, seq=7)
            case "the middle":
                await desk.js.delete_msg(INTAKE, 6)
            case "all":
                await desk.js.purge_stream(INTAKE)
            case _:
                await made_again(desk)
        await desk.taken(event("g"))
        place = places.read(desk.at)
        assert place
        assert place.lost == lost
        ids = [json.loads(raw)["id"] for raw in await desk.ledger()]
        assert ids == ["a", "b", "c", *{"the first": "f", "the middle": "df"}.get(name, ""), "g"]

    story(tmp_path, steps)


@pytest.mark.parametrize(("way", "later"), [*((way, 1) for way in WAYS), (cut, 0), (zero, 5)])
def test_what_a_damaged_block_of_intake_had_is_named_whatever_has_its_numbers_now(
    tmp_path: Path, way: Callable[[Path, Random], None], later: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0)

    async def before(desk: Desk) -> None:
        await desk.taken(event("a"), event("b"), event("c"))
        await desk.acknowledged()
        await desk.send(event("d"), event("e"), event("f"))
        arrived = 0
        async with asyncio.timeout(30):  # the second record follows the first by a moment
            while arrived < 7:
                arrived = (await desk.js.stream_info(stream("ARRIVED", A))).state.last_seq
        desk.server.kill()

    async def after(desk: Desk) -> None:
        await desk.send(*(event(f"later-{n}") for n in range(later)))
        await desk.taken(event("g"))
        place = places.read(desk.at)
        assert place
        lost = {n for first, last in place.lost for n in range(first, last + 1)}
        ids = [json.loads(raw)["id"] for raw in await desk.ledger()]
        kept = [name for name in ids if name in ("d", "e", "f")]
        assert lost == set(range(5 + len(kept), 8))
        assert ids == ["a", "b", "c", *kept, *(f"later-{n}" for n in range(later)), "g"]
        assert len(kept) < 3, "nothing was damaged"
        await desk.taken(event("h"))
        again = places.read(desk.at)
        assert again
        assert again.lost == place.lost, "it is named once"

    story(tmp_path, before)
    block = max((tmp_path / "jetstream").glob(f"jetstream/CORE/streams/{INTAKE}/msgs/*.blk"), key=lambda one: one.name)
    way(block, Random(later))
    story(tmp_path, after, opened=False)


def test_what_was_taken_and_lies_in_intake_still_is_let_go(tmp_path: Path) -> None:
    """What a broker whose disk was full forgets to have removed, and remembers to have been acknowledged."""
    blocks = tmp_path / "jetstream/jetstream/CORE/streams" / INTAKE / "msgs"

    async def taken(desk: Desk) -> None:
        await desk.taken(event("a"), event("b"))

    async def acknowledged(desk: Desk) -> None:
        await desk.acknowledged()

    async def let_go(desk: Desk) -> None:
        assert [entry.sequence for entry in await desk.held()] == [2, 3]
        await desk.send(event("c"))
        async with connected(desk.server.url, PROVISIONER, desk.data) as client:
            place = places.read(desk.at)
            assert place
            places.write(desk.at, msgspec.structs.replace(place, recorded=0))  # others have these numbers now
            assert await provision.let_go(client, desk.data, A) == 0
            places.write(desk.at, place)
            assert await provision.let_go(client, desk.data, A) == 2
            assert [entry.sequence for entry in await desk.held()] == [4]
            assert await provision.let_go(client, desk.data, A) == 0
        await desk.taken(event("d"))
        assert [json.loads(raw)["id"] for raw in await desk.ledger()] == ["a", "b", "c", "d"]

    story(tmp_path, taken)
    shutil.copytree(blocks, tmp_path / "before")
    story(tmp_path, acknowledged, opened=False)
    shutil.rmtree(blocks)
    shutil.copytree(tmp_path / "before", blocks)
    story(tmp_path, let_go, opened=False)


def test_a_stream_that_was_made_again_while_ingest_runs_is_noticed(tmp_path: Path) -> None:
    async def steps(desk: Desk) -> None:
        await desk.send(event("a"), event("b"))
        async with desk.ingest() as ingest:
            before = await desk.held()
            await made_again(desk)
            await desk.send(event("c"))
            assert await ingest.take(before)  # delivered again: it was taken
            assert await ingest.take(await desk.held())
            assert ingest.place.lost == [(4, 0)]
        assert [json.loads(raw)["id"] for raw in await desk.ledger()] == ["a", "b", "c"]

    story(tmp_path, steps)


def test_what_was_taken_while_the_broker_s_clock_was_set_back_is_not_taken_again(tmp_path: Path) -> None:
    """The batch's last was recorded before its others: redelivered, those looked like a stream that was made again."""

    async def steps(desk: Desk) -> None:
        async with desk.ingest() as ingest:
            await desk.send(event("a"), event("b"), event("c"))
            one, two, three = await desk.held()
            two = two._replace(recorded_at=two.recorded_at + 3_600_000_000)
            for _ in range(2):
                assert await ingest.take([one, two, three])
            assert ingest.place.lost == []
        assert [json.loads(raw)["id"] for raw in await desk.ledger()] == ["a", "b", "c"]

    story(tmp_path, steps)


def test_what_does_not_follow_on_waits_until_the_stream_itself_was_read(tmp_path: Path) -> None:
    async def steps(desk: Desk) -> None:
        async with desk.ingest() as ingest:
            await desk.send(event("a"), event("b"), event("c"))
            one, two, three = await desk.held()
            assert not await ingest.take([three])
            assert not await ingest.take([one, three])
            assert await ingest.take([one, two, three])
            assert ingest.place.lost == []
        assert [json.loads(raw)["id"] for raw in await desk.ledger()] == ["a", "b", "c"]

    story(tmp_path, steps)


# Readiness


def test_a_service_whose_stream_has_what_it_does_not_take_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(metrics, "clock", lambda: now)
    monkeypatch.setattr(metrics, "_checks", {"ingest": lambda: None})
    monkeypatch.setattr(metrics, "_waits", {})
    for at, first, ready in (
        (0, None, True), (31, 5, True), (61, 5, True), (61.5, 5, False), (62, 6, True), (92, 6, True), (93, 6, False),
        (94, None, True), (130, None, True),
    ):  # fmt: skip
        now = at
        metrics.waits("ingest", first)
        assert (metrics.readiness()["ingest"] is None) is ready, at
    now = 161
    assert "could not be looked at for 31 seconds" in (metrics.readiness()["ingest"] or "")
