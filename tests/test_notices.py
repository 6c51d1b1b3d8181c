"""Notices: a unit is told of every published change that concerns it, once, by the ranker and on its own subject."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest
from litestar.testing import TestClient

from infra.client import jetstream, pull
from infra.streams import stream
from schemas import subjects
from schemas.receipts import Notice
from services.console.app import create_app
from services.proof.note import Signer
from services.ranker import announced, notices
from services.ranker.notices import Teller, made
from services.scorer import rules
from services.snapshot.moves import Side, side
from tests.broker import ASSESSMENT, Site
from tests.product import BOOK_JSON
from tests.test_appeals import Pages, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIELDS = ("disposition_before", "disposition_after", "counted_before", "counted_after")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """U1 is marked down twice for one matter, appeals, and the larger is cancelled; U3 is rated; a stage is reached."""
    pages = Pages()
    pages.add("chuangjian", "reading.adopted", "assessment", reading="appeal_days", value="10", reason="r")
    first = pages.deduct("ducha", "1.1", "M1", "criticised")
    pages.deduct("ducha", "1.1", "M1", "no_feedback")
    pages.decide(pages.appeal("ducha", first), "cancelled")
    pages.rate("2.3", "80", "U3")
    pages.add("chuangjian", "stage.reached", "assessment", stage="daily_closed")
    return written(pages, tmp_path_factory.mktemp("notices"))


@pytest.fixture(scope="module")
def ledger(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(file), read_only=True) as con:
        yield con


def publish(teller: Teller, con: duckdb.DuckDBPyConnection, sequence: int) -> None:
    """What the ranker does with a snapshot: it looks while all is computed, then makes the notices."""
    with rules.compute(con, as_of=sequence):
        teller.look(con, sequence)
    teller.make(con, sequence)


@cache
def at(con: duckdb.DuckDBPyConnection, sequence: int) -> Side:
    """A point of the ledger, which many tests tell of, computed once."""
    return side(con, sequence)


def told(con: duckdb.DuckDBPyConnection, since: int, sequence: int) -> dict[str, Notice]:
    return {one.unit: one for one in made(con, "y", at(con, since), at(con, sequence))}


def events(notice: Notice) -> dict[int, tuple[Any, ...]]:
    return {one.seq: tuple(getattr(one, name) for name in FIELDS) for one in notice.events}


def test_a_deduction_is_told_with_old_and_new_why_and_until_when_an_appeal_is_in_time(
    ledger: duckdb.DuckDBPyConnection,
) -> None:
    found = told(ledger, 1, 3)
    assert {*found} == {"U1"}, "the others keep place and final"
    one = found["U1"]
    assert (one.since, one.sequence, one.place_before, one.place_after) == (1, 3, 1, 3)
    assert (one.final_before, one.final_after) == ("2.80000000", "2.59000000")
    assert events(one) == {2: (None, "counted", None, "3.000000"), 3: (None, "no_effect", None, "0.000000")}
    assert one.overtaken_by == ("U2", "U3")


def test_what_a_decision_changes_in_earlier_events_is_told_by_the_event_that_did_it(
    ledger: duckdb.DuckDBPyConnection,
) -> None:
    one = told(ledger, 3, 5)["U1"]
    assert events(one) == {
        2: ("counted", "revoked", "3.000000", "0.000000"),
        3: ("no_effect", "counted", "0.000000", "1.000000"),
        4: (None, "counted", None, None),
        5: (None, "counted", None, None),
    }
    by_seq = {event.seq: event for event in one.events}
    assert by_seq[2].why_en.startswith("Cancelled on appeal by sequence 5")
    assert (by_seq[2].appeal_until, by_seq[3].appeal_until) == (None, "2013-05-16T01:30:00Z")


def test_no_day_for_an_appeal_is_told_where_nobody_takes_one(tmp_path: Path) -> None:
    """Days for an appeal may be adopted in any year."""
    pages = Pages()
    pages.add("chuangjian", "reading.adopted", "assessment", reading="appeal_days", value="10", reason="r")
    pages.deduct("ducha", "1.1", "M1", "criticised")
    roles = {name: office for name, office in BOOK_JSON["roles"].items() if name != "appeals"}
    with duckdb.connect(str(written(pages, tmp_path, BOOK_JSON | {"roles": roles})), read_only=True) as con:
        (one,) = made(con, "y", side(con, 1), side(con, 2))
    assert [(event.seq, event.appeal_until) for event in one.events] == [(2, None)]


def test_nobody_is_told_what_does_not_concern_it_and_everybody_of_a_stage(ledger: duckdb.DuckDBPyConnection) -> None:
    assert told(ledger, 5, 5) == {}
    assert [(unit, len(one.events)) for unit, one in told(ledger, 5, 6).items()] == [("U2", 0), ("U3", 1)], (
        "U3 went past U2"
    )
    found = told(ledger, 6, 7)
    assert {(one.state_before, one.state_after) for one in found.values()} == {("running", "daily_closed")}
    assert {*found} == {"U1", "U2", "U3"}


def test_many_events_are_told_in_several_notices(
    ledger: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "EVENTS_MAX", 1)
    found = made(ledger, "y", at(ledger, 1), at(ledger, 3))
    assert [(one.unit, one.number, one.of, len(one.events)) for one in found] == [("U1", 1, 2, 1), ("U1", 2, 2, 1)]


@pytest.mark.parametrize(("lang", "words"), [
    ("zh", ("通知", "经申诉由序号5取消", "被超过：", "申诉截止 2013-05-16")),
    ("en", ("Notices", "Cancelled on appeal by sequence 5", "overtaken by U2, U3", "appeal until 2013-05-16")),
])  # fmt: skip
def test_the_page_of_a_unit_lists_its_notices_up_to_the_sequence_it_shows(
    file: Path, ledger: duckdb.DuckDBPyConnection, lang: str, words: tuple[str, ...]
) -> None:
    teller = Teller("wenzhou-2013", file.parent)
    for end in (3, 5, 7):
        notices._lay(teller.folder, made(ledger, "wenzhou-2013", at(ledger, end - 2), at(ledger, end)))  # noqa: SLF001
    with TestClient(create_app(file)) as client:
        page = client.get(f"/unit/U1?lang={lang}").text
        assert [one for one in words if one not in re.sub(r"<[^>]+>|\s+", lambda m: " "[m[0][0] == "<" :], page)] == []
        earlier = client.get(f"/unit/U1?lang={lang}&as_of=4").text
        assert ("1–3" in earlier, "3–5" in earlier, "3–5" in page) == (True, False, True)


def test_a_unit_reads_its_own_notices_and_a_ranker_begins_where_the_last_one_ended(
    ledger: duckdb.DuckDBPyConnection, nats_site: Site, tmp_path: Path
) -> None:
    signer = Signer.generate(tmp_path / "key", "wuxing/test")

    async def session() -> None:
        async with nats_site.as_("ranker") as ranker, nats_site.as_("U001") as unit, nats_site.as_("ducha") as office:
            teller = Teller(ASSESSMENT, tmp_path)
            await teller.begin(ranker, None)
            for sequence in (3, 5):
                await asyncio.to_thread(publish, teller, ledger, sequence)
                teller.ready = [msgspec.structs.replace(one, unit=one.unit.replace("U", "U00")) for one in teller.ready]
                assert await teller.tell(ranker, sequence, signer) is None
            durable = await pull(unit, "NOTICE", ASSESSMENT, "U001")
            messages = await durable.fetch(10, timeout=10)
            found = [msgspec.json.decode(one.data, type=Notice) for one in messages]
            assert [(one.unit, one.since, one.sequence) for one in found] == [("U001", 1, 3), ("U001", 3, 5)]
            assert announced.SIGNATURE in (messages[0].headers or {})
            laid = [one.sequence for one in notices.read(tmp_path / f"{ASSESSMENT}-notices" / "U1.jsonl")]
            assert laid == [3, 5]
            await office.publish(subjects.notice(ASSESSMENT, "U001"), b"{}")
            assert "permissions violation" in (await nats_site.complaint("ducha")).lower()
            await unit.publish(f"JSC.API.CONSUMER.MSG.NEXT.{stream('NOTICE', ASSESSMENT)}.U002", b"1", reply="x")
            assert "permissions violation" in (await nats_site.complaint("U001")).lower()

            again = Teller(ASSESSMENT, tmp_path)
            await again.begin(ranker, None)
            await asyncio.to_thread(publish, again, ledger, 5)
            assert again.ready == [], "told already"
            await asyncio.to_thread(publish, again, ledger, 6)
            assert {(one.since, one.sequence) for one in again.ready} == {(5, 6)}
            half = msgspec.structs.replace(found[1], unit="U002", since=5, sequence=6, number=1, of=2)
            await jetstream(ranker).publish(subjects.notice(ASSESSMENT, "U002"), msgspec.json.encode(half))
            last = Teller(ASSESSMENT, tmp_path)
            await last.begin(ranker, None)
            await asyncio.to_thread(publish, last, ledger, 7)
            assert {one.since for one in last.ready} == {5}, "of a publication that was told in part all is told again"

    asyncio.run(session())
