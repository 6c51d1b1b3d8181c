"""One process of each service for 100 assessments, on three nodes, in two sets of which the first is killed midway.

Usage: python -m bench many, or python -m bench.many -n COUNT for another number of them, --keep for their folder.

As many are run as the processors carry while nobody sends anything, and it is said where those are fewer: one costs
some 0.019 cores on three nodes in two sets, and 90 MiB.

Everything is what the commands make: `configure --node`, `provision --replicas 3`, the services with
`WUXING_ASSESSMENT=*`. What was acknowledged must stand in each ledger in its order, once, or be refused by name; and
each ranking's digest must be that of its ledger scored offline. Three nodes on one machine tell what it costs, not
what three machines would do.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from infra.client import connected, jetstream, read_stream
from infra.server import _die_with_parent, find_binary
from infra.streams import stream
from schemas import roster, soundness, subjects
from schemas.receipts import Ranking
from schemas.rulebook import RULEBOOKS
from services.process import settings
from services.ranker import announced
from services.site import synthetic
from tests.faults.nodes import NODES, address, certified, moved
from tests.product import folded, joined, scored

COUNT, EVENTS, UNITS = 100, 1000, 6
CORES_EACH, BYTES_EACH = 0.019, 90 * 1024**2
"""What one assessment costs while nobody sends anything, all processes together."""
BOOK = "safety-standardisation"
SERVICES = ("ingest", "scorer", "ranker")
IDLE = 20
"""Seconds for which all are looked at while nobody sends anything."""
PATIENCE = 3600.0
"""Seconds that one step may take before it counts as failed."""
WINDOW = 50
"""Events of one assessment on their way at once."""
AT_ONCE = 16
"""Assessments whose events are sent at once."""


class Sent(NamedTuple):
    """The lines of an assessment as they are sent, each with its party, and what its ledger must hold of them."""

    lines: list[tuple[str, bytes]]
    ledger: list[bytes]


def tell(words: str) -> None:
    """Progress, on stderr."""
    print(words, file=sys.stderr, flush=True)


class Cluster:
    """Three nodes and two sets of services; all of them end with it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.site, self.other = folder / "site", folder / "other"
        self.names = [f"a{n:03d}" for n in range(1, count + 1)]
        self.running: list[subprocess.Popen[bytes]] = []
        self.url = ""
        book = soundness.load(RULEBOOKS / BOOK / "rulebook.toml")
        self.roster = roster.load(RULEBOOKS / BOOK / "roster.csv", book)[:UNITS]
        self.book = book

    def sent(self, name: str) -> Sent:
        """A made-up year of an assessment, by its name; what intake refuses of it is not for the ledger."""
        lines = list(synthetic.year(self.book, self.roster, name, int(name[1:]), EVENTS))
        with folded(joined(raw for _, raw in lines), []) as found:
            refused = {one["line"] for one in scored(found)["refused"] if one["reason"] != "conflict"}
        return Sent(lines, [raw for n, (_, raw) in enumerate(lines, 1) if n not in refused])

    def environment(self, site: Path) -> dict[str, str]:
        return {
            **os.environ, "WUXING_DATA": str(site), "WUXING_ASSESSMENT": "*", "NATS_URL": self.url,
            "WUXING_LOG": "json", "WUXING_GUARDED": "1", "WUXING_RANK_SECONDS": "5",
        }  # fmt: skip

    def known(self, site: Path, name: str) -> settings.Settings:
        return settings.read(self.environment(site) | {"WUXING_ASSESSMENT": name})

    def command(self, *arguments: str) -> None:
        """One of the commands of the site; it must succeed."""
        env = self.environment(self.site) | {"NATS_URL": self.url or "nats://127.0.0.1:1"}
        done = subprocess.run(
            [sys.executable, "-m", "services", *arguments, "--lang=en"], env=env, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"wuxing {' '.join(arguments)}: {done.stderr.decode()[-3000:]}")

    def make(self, years: dict[str, Sent]) -> None:
        """Folders with their openings, then keys, rights and the nodes' files, as `configure` writes them."""
        for name, year in years.items():
            data = self.site / "assessments" / name
            data.mkdir(parents=True)
            (data / settings.OPENING).write_bytes(year.lines[0][1])
        certified(self.site)
        self.command("configure", *(f"--node={node}" for node in NODES))
        moved([self.site / f"{node}.conf" for node in NODES])

    def start(self, command: list[Any], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=out, env={**os.environ, **environment},
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 - one system call, and no threads yet
            )  # fmt: skip
        self.running.append(process)
        return process

    def serve(self, site: Path) -> dict[str, subprocess.Popen[bytes]]:
        """One process of each service for all assessments of a folder; the brokers go before them, as with systemd."""
        run = ["nice", "-n", "10", sys.executable, "-m", "services"]
        return {name: self.start([*run, name], site / f"{name}.log", self.environment(site)) for name in SERVICES}

    def begin(self, years: dict[str, Sent], *, again: bool) -> float:
        """Three nodes with all streams; the seconds that those took, none where they were there already."""
        tell("configured")
        begun = time.monotonic()
        if not again:
            self.make(years)
        files = [self.site / node / f"{node}.conf" for node in NODES]
        self.url = address(files)
        for path in files:
            self.start([find_binary(), "-c", path, "-l", path.with_suffix(".log")], path.parent / "out.log", {})
        tell(f"  {time.monotonic() - begun:.0f} s; provisioned on three nodes")
        begun = time.monotonic()
        self.command("provision", "--replicas=3")
        took = time.monotonic() - begun
        tell(f"  {took:.0f} s, {self.memory()}")
        return took

    def first(self, years: dict[str, Sent]) -> dict[str, subprocess.Popen[bytes]]:
        """The first set, once all of it has ranked the openings."""
        tell("the first set")
        new = {name: year.lines[:1] for name, year in years.items() if not asyncio.run(self.begun(name))}
        found = self.serve(self.site)
        asyncio.run(self.publish_all(new, lambda: None))
        for name, event in (
            ("ingest", "ingest.started"),
            ("scorer", "scorer.started"),
            ("ranker", "ranking.published"),
        ):
            self.until_said(self.site, name, event)
        return found

    def second(self) -> None:
        """The second set, once all of it waits."""
        tell("the second set")
        self.beside()
        self.serve(self.other)
        for name in SERVICES:
            self.until_said(self.other, name, "standby.waiting")

    def until_said(self, site: Path, name: str, event: str) -> float:
        """Wait until a service has said something of every assessment; when it said it last."""
        log = site / f"{name}.log"
        self.until(f"{name} of {site.name}: {event}", lambda: len(said(log, event)), len(self.names))
        return max(said(log, event).values())

    def beside(self) -> None:
        """A folder for the second set, with keys and openings, as on another machine."""
        for name in (".", *(f"assessments/{name}" for name in self.names)):
            for part in ("keys", "tls", "parties.json", settings.OPENING):
                source, target = self.site / name / part, self.other / name / part
                target.parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, target)
                elif source.exists():
                    shutil.copy2(source, target)

    def until(self, what: str, look: Callable[[], int], wanted: int) -> None:
        """Look until so many are seen; a process that ended by itself, or nothing new for long, ends it all."""
        begun = moved_ = time.monotonic()
        seen = -1
        while seen < wanted:
            if ended := [one.args for one in self.running if one.poll() is not None]:
                sys.exit(f"waiting for {what}: ended: {ended}")
            if (now := look()) != seen:
                seen, moved_ = now, time.monotonic()
                tell(f"  {what}: {seen}/{wanted}, {moved_ - begun:.0f} s, {self.memory()}")
            elif time.monotonic() - moved_ > PATIENCE:
                sys.exit(f"{what}: {seen}/{wanted}, and nothing more in {PATIENCE:.0f} s")
            time.sleep(1)  # between two looks at other processes

    def busy(self) -> dict[str, float]:
        """Processor cores that what runs takes while nobody sends anything: the nodes together, and each service."""

        def spent() -> Counter[str]:
            found: Counter[str] = Counter()
            for one in self.running:
                times = Path(f"/proc/{one.pid}/stat").read_text("utf-8").rpartition(")")[2].split()[11:13]
                found[self.called(one)] += sum(map(int, times))
            return found

        before = spent()
        time.sleep(IDLE)  # what is measured
        hertz = os.sysconf("SC_CLK_TCK")
        return {name: (ticks - before[name]) / hertz / IDLE for name, ticks in spent().items()}

    def quiet(self) -> dict[str, float]:
        """The same once it falls no further: who waits has first to fold what there is."""
        found, before = self.busy(), float("inf")
        while sum(found.values()) < 0.9 * before:
            found, before = self.busy(), sum(found.values())
        return found

    @staticmethod
    def called(one: subprocess.Popen[bytes]) -> str:
        """What a process is: a service, or one of the nodes."""
        words = one.args if isinstance(one.args, list) else []
        return "nodes" if "-c" in words else str(words[-1])

    def memory(self) -> str:
        """Resident memory of what runs, in MiB: the nodes together, and each service."""
        found: Counter[str] = Counter()
        for one in self.running:
            if one.poll() is None:
                status = Path(f"/proc/{one.pid}/status").read_text("utf-8")
                rss = re.search(r"VmRSS:\s+(\d+)", status)
                found[self.called(one)] += int(rss[1]) // 1024 if rss else 0
        return ", ".join(f"{name} {mib:,} MiB" for name, mib in found.items())

    # What is sent, and what is there

    async def publish(self, name: str, lines: list[tuple[str, bytes]]) -> None:
        """Send through the gateway's connection, in order; every one must be acknowledged."""
        known = self.known(self.site, name)
        async with connected(self.url, "gateway", known.data, forever=True) as client:
            js = jetstream(client)
            for n in range(0, len(lines), WINDOW):
                waiting = [
                    await js.publish_async(subject(name, party, raw), raw) for party, raw in lines[n : n + WINDOW]
                ]
                await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)

    async def publish_all(self, parts: dict[str, list[tuple[str, bytes]]], half: Callable[[], None]) -> None:
        """Send the parts, some assessments at a time; `half` is called once half of all is sent."""
        gate, done = asyncio.Semaphore(AT_ONCE), 0

        async def one(name: str) -> None:
            nonlocal done
            async with gate:
                await self.publish(name, parts[name])
            done += 1
            if done == (len(parts) + 1) // 2:
                half()

        await asyncio.gather(*map(one, parts))

    async def begun(self, name: str) -> int:
        """How many messages an assessment's intake ever had."""
        async with connected(self.url, "audit", self.known(self.site, name).data, forever=True) as client:
            return (await jetstream(client).stream_info(stream("INTAKE", name))).state.last_seq

    async def ranking(self, name: str) -> Ranking | None:
        """What is ranked."""
        async with connected(self.url, "audit", self.known(self.site, name).data, forever=True) as client:
            return await announced.last(client, name)

    async def wrong(self, name: str, year: Sent) -> str:
        """What is not in order; empty where the ledger is what was sent, and scores to what is ranked."""
        async with connected(self.url, "audit", self.known(self.site, name).data, forever=True) as client:
            ledger = [entry.data async for entry in read_stream(client, "LEDGER", name)]
            ranking = await announced.last(client, name)
        with folded(joined(ledger), []) as again:
            digest = scored(again)["digest"]
        if ledger == year.ledger and ranking and ranking.digest == digest:
            return ""
        lost, over = Counter(year.ledger) - Counter(ledger), Counter(ledger) - Counter(year.ledger)
        return f"{name}: {lost.total()} lost, {over.total()} too many, digest {digest[:12]}, {ranking}"

    def end(self) -> None:
        for one in reversed(self.running):
            one.kill()
            one.wait()


def subject(assessment: str, party: str, raw: bytes) -> str:
    """Where a party publishes a line; what cannot be read goes where nothing is expected."""
    try:
        event = json.loads(raw)
        return subjects.intake(assessment, party, event["type"], event["subject"])
    except (ValueError, KeyError, TypeError):
        return subjects.intake(assessment, party, "unreadable", "assessment")


def said(log: Path, event: str) -> dict[str, float]:
    """The assessments of which a service said something, with the time of the last."""
    found = {}
    for line in log.read_text("utf-8", errors="replace").splitlines():
        if f'"{event}"' in line:
            words = json.loads(line)
            found[words["assessment"]] = datetime.fromisoformat(words["timestamp"]).timestamp()
    return found


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[Cluster]:
    """A cluster whose processes end whatever ends the block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    made = Cluster(folder, count)
    try:
        yield made
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        made.end()


def measure(of: Cluster, *, again: bool) -> bool:
    """Live through it, and print what was seen; whether all was in order."""
    count = len(of.names)
    tell(f"{count} assessments, {EVENTS} events each: made up and checked")
    years = {name: of.sent(name) for name in of.names}
    provisioned = of.begin(years, again=again)
    first = of.first(years)
    of.second()
    idle = of.quiet()
    tell(f"  waiting: {idle}")
    killed = 0.0

    def half() -> None:
        nonlocal killed
        tell(f"  half is sent, {of.memory()}; the first set is killed")
        for one in first.values():
            of.running.remove(one)
            one.kill()
            one.wait()
        killed = time.time()

    tell("sending")
    sending = time.monotonic()
    asyncio.run(of.publish_all({name: year.lines[1:] for name, year in years.items()}, half))
    sent = time.monotonic() - sending
    took = {name: of.until_said(of.other, name, "standby.took_over") - killed for name in SERVICES}

    missing = set(of.names)

    def ranked() -> int:
        found = {name: asyncio.run(of.ranking(name)) for name in sorted(missing)[:AT_ONCE]}
        missing.difference_update(
            name for name, one in found.items() if one and one.sequence == len(years[name].ledger)
        )
        return count - len(missing)

    of.until("ranked", ranked, count)
    whole, memory = time.monotonic() - sending, of.memory()
    tell("checked")
    wrong = [said for name, year in years.items() if (said := asyncio.run(of.wrong(name, year)))]
    lines = sum(len(year.lines) for year in years.values())
    kept = sum(len(year.ledger) for year in years.values())
    each = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
    print(f"many, {count} assessments, {lines:,} events acknowledged, {kept:,} in the ledgers, the others refused:")
    print(f"  provisioned on three nodes  {provisioned:6.0f} s")
    print(f"  sent                        {sent:6.0f} s  {lines / sent:6.0f} events a second")
    print(
        f"  sent, folded, ranked        {whole:6.0f} s  {lines / whole:6.0f} events a second, one set killed meanwhile"
    )
    print(f"  all taken over              {max(took.values()):6.0f} s  {each}")
    print(
        f"  cores while nobody sends    {sum(idle.values()):8.1f}  {', '.join(f'{k} {v:.2f}' for k, v in idle.items())}"
    )
    print(f"  memory at the end           {memory}")
    print(f"  not in order                {len(wrong)}")
    for one in wrong:
        print(f"    {one}")
    return not wrong


def fits(count: int) -> int:
    """So many of them as this machine's processors carry, and two thirds of its memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    most = max(2, min(int((os.cpu_count() or 1) / CORES_EACH), int(memory * 2 / 3 / BYTES_EACH)))
    if most < count:
        tell(f"{most} of {count} assessments: {count} take {count * CORES_EACH:.1f} cores while nobody sends anything")
    return min(most, count)


def main() -> None:
    """Run it in a folder of its own, which goes with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--count", type=int, help="so many, whatever this machine has")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--on", type=Path, help="a folder that --keep left, with all its streams")
    options = parser.parse_args()
    folder = options.on or Path(tempfile.mkdtemp(prefix="wuxing-bench-"))
    try:
        with cluster(folder, options.count or fits(COUNT)) as of:
            good = measure(of, again=bool(options.on))
    finally:
        if options.keep or options.on:
            tell(str(folder))
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if not good:
        sys.exit("not in order")


if __name__ == "__main__":
    main()
