"""Whose turn it is: of two processes of one service one works and the other says that it waits, and takes over."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from nats.errors import TimeoutError as NatsTimeout

from infra import lease
from infra.lease import Word
from services.process import metrics, settings
from services.process.settings import Settings
from services.process.standby import Turn, TurnLost, turn
from tests.broker import ASSESSMENT, Site
from tests.faults.works import SERVICES, Works, until, year

LOG = structlog.get_logger()


@pytest.fixture
def of(nats_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Settings]]:
    """The settings of a folder by its name, each with the keys; and seconds that are hundredths."""
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.02)

    def folder(name: str) -> Settings:
        shutil.copytree(nats_site.data / "keys", tmp_path / name / "keys", dirs_exist_ok=True)
        return settings.read({"WUXING_DATA": str(tmp_path / name), "WUXING_ASSESSMENT": ASSESSMENT})

    yield folder
    for service in SERVICES:
        metrics.standby(service, None)


def other(at: Settings) -> Word:
    """A word of a process that lives elsewhere."""
    return Word(f"/elsewhere#{uuid4()}", uuid4().hex, "elsewhere, process 7", told=12)


async def come(good: Callable[[], bool]) -> None:
    """Wait for what other tasks of this loop do."""
    async with asyncio.timeout(60):
        while not good():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(0)


async def waiting(service: str) -> str:
    """What a standby says of itself, once it says it."""
    said = metrics._standby  # noqa: SLF001 - what /readyz shows
    await come(lambda: service in said)
    return said[service]


def test_a_second_process_of_a_folder_waits_says_so_and_takes_over_at_the_end_of_the_first(
    nats_site: Site, of: Callable[[str], Settings]
) -> None:
    async def story() -> None:
        async with nats_site.as_("ranker") as client:
            metrics.expect("ranker")
            async with turn(client, of("a"), "ranker", LOG) as first:
                second = asyncio.create_task(turn(client, of("a"), "ranker", LOG).__aenter__())
                assert "another ranker runs on" in await waiting("ranker")
                assert metrics.readiness()["ranker"] is None
                assert metrics.REGISTRY.get_sample_value("wuxing_standby", {"service": "ranker"}) == 1
                assert not second.done()
            took = await asyncio.wait_for(second, 30)
            assert took.before
            assert (took.before.process, took.before.over, took.ours) == (first.process, True, True)
            assert metrics.REGISTRY.get_sample_value("wuxing_standby", {"service": "ranker"}) == 0
            took.close()

    asyncio.run(story())


def test_who_starts_on_the_folder_of_the_dead_need_not_wait_and_on_a_copy_of_it_must(
    nats_site: Site, of: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead is who holds the folder's lock no more, and never let go of the lease."""

    async def story() -> None:
        async with nats_site.as_("ingest") as client:
            died = Turn(client, of("a"), "ingest", LOG)
            await died.reach(None)
            died.close()
            known = of("a")
            copy = of("b")
            shutil.copytree(known.data / "turns", copy.data / "turns")
            monkeypatch.setattr(lease, "LOOKS", 10**9)
            waits = asyncio.create_task(Turn(client, copy, "ingest", LOG).reach(None))
            assert "ingest is run by" in await waiting("ingest")
            again = Turn(client, known, "ingest", LOG)
            await again.reach(None)
            assert (again.before and again.before.process, again.ours) == (died.process, True)
            waits.cancel()
            again.close()

    asyncio.run(story())


def test_a_lease_that_nobody_renews_is_taken_and_who_was_held_up_ends(
    nats_site: Site, of: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with nats_site.as_("scorer") as client:
            beats: list[int] = []

            async def fold() -> None:
                beats.append(1)

            async def silent(*_: object) -> None:
                raise TimeoutError

            with pytest.raises(TurnLost, match="has taken over as scorer"):  # noqa: PT012 - it ends wherever it is
                async with turn(client, of("a"), "scorer", LOG) as first:
                    first.told, said = 12, first._say  # noqa: SLF001 - what it would say were it not held up
                    renews = first.sequence
                    await come(lambda: first.sequence >= renews + 3)
                    second = Turn(client, of("b"), "scorer", LOG)
                    reach = asyncio.create_task(second.reach(fold))
                    await waiting("scorer")
                    monkeypatch.setattr(first, "_say", silent)  # held up
                    await reach
                    assert (second.told, second.ours, len(beats) >= lease.LOOKS) == (12, False, True)
                    monkeypatch.setattr(first, "_say", said)
                    await asyncio.sleep(60)
            second.close()
            first.close()

    asyncio.run(story())


def test_what_is_no_word_holds_nobody_up_and_of_two_one_is_quicker(
    nats_site: Site, of: Callable[[str], Settings]
) -> None:
    async def story() -> None:
        async with nats_site.as_("ranker") as client:
            await client.request(f"lease.{ASSESSMENT}.ranker", b"junk", 5)
            held = await lease.look(client, ASSESSMENT, "ranker")
            assert held.word is None
            words = [other(of("a")), other(of("b"))]
            took = await asyncio.gather(
                *(lease.say(client, ASSESSMENT, "ranker", word, held.sequence) for word in words)
            )
            assert sorted(one is None for one in took) == [False, True]
            assert await lease.say(client, ASSESSMENT, "ranker", words[0], held.sequence) is None

    asyncio.run(story())


def test_who_hears_nothing_of_the_lease_is_not_ready_and_says_so_once_until_it_is_answered(
    nats_site: Site, of: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, look, ready = 0, lease.look, set[str | None]()

    async def silent(*of_what: Any) -> lease.Held:
        nonlocal asked
        asked += 1
        if asked <= 5:  # as of a stream whose block is damaged where its server cannot go on
            ready.add(metrics.readiness()["ranker"])
            raise NatsTimeout
        return await look(*of_what)

    async def story() -> None:
        async with (
            nats_site.as_("ranker") as client,
            turn(client, of("lease-silent"), "ranker", structlog.get_logger()),
        ):
            assert asked > 5

    monkeypatch.setattr(lease, "look", silent)
    metrics.expect("ranker")
    with structlog.testing.capture_logs() as said:
        asyncio.run(story())
    assert [one["event"] for one in said if one["log_level"] == "error"] == ["lease.silent"]
    assert ready == {"it has not started"}


class Other(Works):
    """The same broker, and services with a folder of their own, as on another machine."""

    def __init__(self, first: Works, data: Path) -> None:
        super().__init__(data, first.year)
        self.server = first.server
        shutil.copytree(first.data / "keys", data / "keys")
        (data / "keys" / "other").touch()


@pytest.mark.long  # six processes through a whole year
def test_two_of_everything_and_the_first_set_is_killed_while_all_publish(tmp_path: Path) -> None:
    """The scorer's cut is a file, so a ranker of the same set asks the scorer of the same set."""
    lines, third = year().lines, len(year().lines) // 3
    with Works(tmp_path / "a", year()) as works:
        first = [works.start(name) for name in SERVICES]
        for one in first:
            works.until_started(one)
        other = Other(works, tmp_path / "b")
        second = [other.start(name) for name in SERVICES]

        def die() -> None:
            for one in first:
                one.kill()

        try:
            for one in second:
                until("its waiting", one.words, lambda words: '"standby.waiting"' in words)
            asyncio.run(works.flight(lines[:third]))
            asyncio.run(works.flight(lines[third : 2 * third], told=die))
            asyncio.run(works.flight(lines[2 * third :]))
            other.until_ranked(len(year().accepted))
            assert other.ledger() == year().accepted
            assert other.ranking().digest == year().result["digest"]
            said = [one.log.read_text("utf-8") for one in second]
            assert ['"standby.took_over"' in words for words in said] == [True] * 3
            assert ['"intake.lost"' in words for words in said] == [False] * 3
            told = Counter((one.outcome, one.sequence, one.sha256) for _, one in other.receipts())
            assert len(told) == len(lines) + len(year().settled())
            assert [json.loads(one.data)["sequence"] for one in other.stored("RANKING")] == sorted(
                json.loads(one.data)["sequence"] for one in other.stored("RANKING")
            )
        finally:
            for one in second:
                one.kill()
