"""Faults that strike while all publish: kills, stops, the network, disks, clocks, two of everything, poison, floods."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from nats.errors import Error as NatsError

from infra.client import connected
from services.site.stack import keep_server
from tests.faults import clocks
from tests.faults.life import Kept, Life, Row, logs
from tests.faults.nursery import Nursery
from tests.faults.proxy import Mood, proxied
from tests.faults.works import ASSESSMENT, SERVICES, Works, good, year

Nemesis = Callable[[Life], Awaitable[None]]
POINTS = (
    ("ingest", "services.ingest.app:Ingest.take", "before"),
    ("ingest", "services.ingest.app:Ingest.take", "after"),
    ("ingest", "services.ingest.app:Ingest._append", "before"),
    ("ingest", "services.ingest.app:Ingest._append", "half"),
    ("ingest", "services.ingest.app:Ingest._append", "after"),
    ("ingest", "services.ingest.app:Ingest._tell", "before"),
    ("ingest", "services.ingest.app:Ingest._tell", "after"),
    ("ingest", "services.ingest.place:write", "before"),
    ("ingest", "services.ingest.place:write", "after"),
    ("scorer", "services.scorer.app:Scorer._fold", "before"),
    ("scorer", "services.scorer.app:Scorer._write", "before"),
    ("scorer", "services.scorer.app:Scorer._project", "before"),
    ("scorer", "services.scorer.app:Scorer._project", "after"),
    ("scorer", "services.scorer.app:Scorer._write", "after"),
    ("scorer", "services.scorer.app:Scorer.settle", "before"),
    ("scorer", "services.scorer.app:Scorer._fold", "after"),
    ("scorer", "services.scorer.app:Scorer.cut", "before"),
    ("scorer", "services.scorer.app:Scorer.cut", "after"),
    ("ranker", "services.ranker.app:_rank", "before"),
    ("ranker", "services.snapshot.make:complete", "after"),
    ("ranker", "services.snapshot.make:publish", "before"),
    ("ranker", "services.snapshot.make:publish", "half"),
    ("ranker", "services.ranker.app:_rank", "after"),
    ("ranker", "services.ranker.announced:announce", "after"),
)
"""Service, function, and whether it dies before it, half way through, or after it."""


async def _server_again(life: Life) -> None:
    await asyncio.to_thread(life.works.server.kill)
    await asyncio.sleep(life.rng.random())
    await asyncio.to_thread(life.works.server.start)


def kills(rounds: int) -> Nemesis:
    """Kill -9 of ingest, scorer, ranker and broker, at any moment: also while they start."""

    async def nemesis(life: Life) -> None:
        while life.done < rounds:
            await asyncio.sleep(life.rng.choice((0.05, 0.3, 1, 3)) * life.rng.random())
            one = life.rng.choice([*life.kept, None])
            if one is None:
                await _server_again(life)
            elif one.pid and life.nursery.ended(one.pid) is None:
                life.kill(one)
                await asyncio.to_thread(life.nursery.wait, one.pid)
            else:
                continue
            life.done += 1

    return nemesis


def points(rounds: int) -> Nemesis:
    """Each service dies at a named point of its work, the next time that it comes there."""

    async def nemesis(life: Life) -> None:
        chosen = [POINTS[n % len(POINTS)] for n in range(rounds)]
        life.rng.shuffle(chosen)
        queues = {one.name: [point for point in chosen if point[0] == one.name] for one in life.kept}

        async def of(one: Kept) -> None:
            for _, place, how in queues[one.name]:
                one.fault = (place, how, str(life.rng.randint(1, 2)))
                life.kill(one)  # what runs without the fault
                starts = one.starts
                while one.starts == starts:  # noqa: ASYNC110 - what is looked at has no event
                    await asyncio.sleep(0.05)
                pid = one.pid
                while life.nursery.ended(pid) is None:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.05)
                life.done += life.nursery.ended(pid) == -signal.SIGKILL
            one.fault = ()

        await asyncio.gather(*map(of, life.kept))

    return nemesis


def stops(rounds: int) -> Nemesis:
    """A process is held up (SIGSTOP) for up to twelve seconds, and goes on as if nothing had been."""

    async def nemesis(life: Life) -> None:
        while life.done < rounds:
            await asyncio.sleep(life.rng.random())
            pid = life.rng.choice([*(one.pid for one in life.kept), life.works.server.pid or 0])
            if not pid:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(life.rng.choice((0.2, 1, 4, 12)) * life.rng.random())
                os.kill(pid, signal.SIGCONT)
                life.done += 1

    return nemesis


def network(rounds: int) -> Nemesis:
    """Between each service and the broker stands a proxy that cuts, delays and half-opens."""

    async def nemesis(life: Life) -> None:
        async with contextlib.AsyncExitStack() as stack:
            proxies = [await stack.enter_async_context(proxied(life.works.server.port)) for _ in life.kept]
            for one, proxy in zip(life.kept, proxies, strict=True):
                one.environment["NATS_URL"] = f"nats://127.0.0.1:{proxy.port}"
                life.kill(one)
            while life.done < rounds:
                await asyncio.sleep(2 * life.rng.random())
                proxy = life.rng.choice(proxies)
                moods: tuple[Mood | None, ...] = (None, "slow", "deaf")
                if (mood := life.rng.choice(moods)) is None:
                    proxy.cut()
                else:
                    proxy.mood, proxy.delay = mood, life.rng.random()
                    await asyncio.sleep(life.rng.choice((0.5, 3, 16)) * life.rng.random())
                    proxy.mood = "open"
                life.done += 1
            for one in life.kept:
                one.environment.clear()
                life.kill(one)

    return nemesis


class Beside(Works):
    """The same broker, and services with a folder of their own, as on another machine."""

    def __init__(self, first: Works, data: Path) -> None:
        super().__init__(data, first.year)
        self.server = first.server
        shutil.copytree(first.data / "keys", data / "keys", dirs_exist_ok=True)


def two(rounds: int) -> Nemesis:
    """Two sets of services, a folder each, and a third that shares the first's; whoever works is killed or held up."""

    async def nemesis(life: Life) -> None:
        keys = life.works.data / "keys"
        while not {"log.key", "receipt.key"} <= {path.name for path in keys.iterdir()}:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        beside = Beside(life.works, life.works.data.with_name(f"{life.works.data.name}-beside"))
        life.kept += [Kept(name, works) for works in (beside, life.works) for name in SERVICES]
        while life.done < rounds:
            await asyncio.sleep(6 * life.rng.random())
            one = life.rng.choice(life.kept)
            if not one.pid:
                continue
            with contextlib.suppress(ProcessLookupError):
                if life.rng.random() < 0.3:
                    os.kill(one.pid, signal.SIGSTOP)
                    await asyncio.sleep(15 * life.rng.random())
                    os.kill(one.pid, signal.SIGCONT)
                else:
                    life.kill(one)
                life.done += 1

    return nemesis


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Any:
    """A file system of its own for a folder; raises PermissionError where none may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "wuxing", folder], check=False).returncode:
        raise PermissionError
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def disk(rounds: int) -> Nemesis:
    """The disk is filled to the last byte, for some seconds, and has room again; `up` watches the broker."""

    async def nemesis(life: Life) -> None:
        server = life.works.server
        watch = asyncio.create_task(keep_server(server))
        ballast = life.works.data / "jetstream" / "ballast"
        try:
            while life.done < rounds:
                await asyncio.sleep(2 + life.rng.random())
                with contextlib.suppress(OSError), ballast.open("wb") as file:
                    while True:
                        file.write(b"\0" * 4096)
                        file.flush()
                await asyncio.sleep(3 + 12 * life.rng.random())
                ballast.unlink()
                before = sum(outcome == "acked" for outcome in life.outcomes.values())
                async with asyncio.timeout(180):
                    while sum(outcome == "acked" for outcome in life.outcomes.values()) == before:  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
                life.done += 1
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    return nemesis


SLOW_CALLS = "fsync,fdatasync"


@cache
def no_slow_disk() -> str:
    """Why no disk can be made slow here; empty where one can."""
    if not (strace := shutil.which("strace")):
        return "no disk is slow here: strace is not installed"
    asked = [strace, "-qq", "-f", "-e", f"trace={SLOW_CALLS}", "-e", f"inject={SLOW_CALLS}:delay_enter=1", "true"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return f"no disk is slow here: {done.stderr.strip()}" if done.returncode else ""


def slow(rounds: int) -> Nemesis:
    """What a process writes is on the disk 0.05 to 3 seconds later, for some seconds: the broker, or a service."""

    async def nemesis(life: Life) -> None:
        while life.done < rounds:
            await asyncio.sleep(life.rng.random())
            pid = life.rng.choice([*(one.pid for one in life.kept), life.works.server.pid, life.works.server.pid]) or 0
            delay = int(1e6 * 0.05 * 60 ** life.rng.random())
            asked = ["-qq", "-f", "-p", str(pid), "-o", os.devnull, "-e", f"trace={SLOW_CALLS}"]
            strace = await asyncio.create_subprocess_exec(
                "strace", *asked, "-e", f"inject={SLOW_CALLS}:delay_enter={delay}", stderr=subprocess.DEVNULL
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(strace.wait(), 1 + 7 * life.rng.random())
            if strace.returncode is None:
                strace.terminate()
                await strace.wait()
                life.done += 1

    return nemesis


SERVICE_AWAY = (2, 3600, 30 * 3600, 400 * 86_400, 20 * 365 * 86_400)
BROKER_AWAY = (2, 600, 5 * 3600, 30 * 3600, 9 * 86_400)
"""Seconds by which a clock is ahead or behind: of a broker by less than what is kept for 90 days."""


def clock(rounds: int) -> Nemesis:
    """Clocks of services and broker jump ahead and back; a second set stands by, and nobody is killed."""

    async def nemesis(life: Life) -> None:
        while logs(life.works.data).count('.started"') < 2 or "ranking.published" not in logs(life.works.data):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        beside = Beside(life.works, life.works.data.with_name(f"{life.works.data.name}-beside"))
        life.beside = beside.data
        life.kept += [Kept(name, beside) for name in SERVICES]
        while life.done < rounds:
            await asyncio.sleep(2 * life.rng.random())
            server = life.works.server.pid
            pid = life.rng.choice([*(one.pid for one in life.kept), server, server]) or 0
            away = life.rng.choice(BROKER_AWAY if pid == server else SERVICE_AWAY) * life.rng.choice((1, -1, 0))
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                await asyncio.to_thread(clocks.move, pid, away)
                life.done += 1
        # What was delivered and not acknowledged before its clock went back the broker delivers again when that has
        # come there, days later. Services read the stream and need it not; here its time comes at once.
        await asyncio.to_thread(clocks.move, life.works.server.pid or 0, 2 * max(BROKER_AWAY))

    return nemesis


HEADERS: tuple[dict[str, str], ...] = (
    {}, {"Status": "404"}, {"Status": "100 Idle"}, {"traceparent": "0" * 60_000}, {"content-type": "application/json"},
    {"Nats-Required-Api-Level": "99"}, {"Nats-Marker-Reason": "Purge"}, {"Wuxing-Intake-Sequence": "1"},
)  # fmt: skip
PAYLOADS = (b"", b"\xff\xfe\0", b'{"id":', b"[" * 5000, b'{"id": 1e999}', b'{"id":"' + b"9" * 5000 + b'"}', b"null")
TOKENS = ("U001", "U!042", "assessment", "x" * 200, "é", "=cmd")


def poison(rounds: int) -> Nemesis:
    """Whatever a party can store in INTAKE, and whatever a stolen service's key can write where others read."""

    async def nemesis(life: Life) -> None:
        rng = life.rng
        async with contextlib.AsyncExitStack() as stack:
            keys = {role: await stack.enter_async_context(connected(life.works.server.url, role, life.works.data,
                    forever=True, hear=lambda _: None)) for role in ("ducha", "ranker", "scorer")}  # fmt: skip
            while life.done < rounds:
                raw = rng.choice((*PAYLOADS, good(f"poison-{life.done}")))
                role, subject = rng.choice((
                    ("ducha", f"intake.{ASSESSMENT}.ducha.{rng.choice(TOKENS)}.{rng.choice(TOKENS)}"),
                    ("ranker", f"ranking.{ASSESSMENT}"),
                    ("scorer", f"receipt.{ASSESSMENT}.ducha"),
                ))  # fmt: skip
                with contextlib.suppress(NatsError):
                    await keys[role].publish(subject, raw, headers=rng.choice(HEADERS) or None)
                    await keys[role].flush()
                life.done += 1
                await asyncio.sleep(0.05 * rng.random())

    return nemesis


def flood(rounds: int) -> Nemesis:
    """One unit sends hundreds of appeals a second, far over its quota, while the offices go on."""

    async def nemesis(life: Life) -> None:
        unit = life.works.year.units[0]
        subject = f"intake.{ASSESSMENT}.{unit}.appeal-filed-v1.{unit}"
        async with connected(life.works.server.url, unit, life.works.data, forever=True, hear=lambda _: None) as client:
            while life.done < rounds:
                for _ in range(100):
                    await client.publish(subject, b'{"id":"flood"}')
                    life.done += 1
                with contextlib.suppress(NatsError):
                    await client.flush()
                await asyncio.sleep(0.1)

    return nemesis


KINDS: dict[str, Callable[[int], Nemesis]] = {
    "kill": kills, "point": points, "stop": stops, "network": network, "two": two, "disk": disk, "poison": poison,
    "flood": flood, "slow": slow, "clock": clock,
}  # fmt: skip


def play(kind: str, rounds: int, seed: int, data: Path, nursery: Nursery) -> Iterator[Row]:
    """Live through so many faults of a kind, on works of its own in a folder; the one row of the table.

    What cannot be played here is a row of none, which says why.
    """
    if why := {"slow": no_slow_disk, "clock": clocks.why_not}.get(kind, str)():
        yield Row(kind, 0, note=f"NOT PLAYED: {why}")
        return
    with contextlib.ExitStack() as stack:
        if kind == "disk":
            stack.enter_context(small_disk(data / "jetstream", 48 * 1024 * 1024))
        works = stack.enter_context(Works(data, year()))
        life = Life(works, nursery, Random(f"{seed}-{kind}"), kind)
        stack.callback(life.stop_all)
        yield life.go_through(KINDS[kind](rounds))
