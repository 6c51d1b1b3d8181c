"""Three brokers that keep each event thrice: one after another, often the leader, is killed or held up meanwhile."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from infra.client import (
    AppendRefused,
    AppendUnknown,
    Message,
    WrongLastSequence,
    connected,
    jetstream,
    publish_batch,
    read_stream,
)
from infra.rights import PROVISIONER, configure, configure_nodes
from infra.server import find_binary
from infra.streams import provision, stream
from tests.faults.life import Row

NODES = ("n1", "n2", "n3")
CERTIFICATES = Path(__file__).parents[2] / "infra" / "nats" / "certificates.sh"
WHOLE_WITHIN = 120
"""Seconds in which all replicas must be current after the last fault."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def certified(folder: Path) -> None:
    """The certificates of the site, as the script makes them."""
    subprocess.run([CERTIFICATES, folder / "tls", *NODES], check=True, capture_output=True)


def written(folder: Path, *, here: bool = False) -> list[Path]:
    """The three nodes' files as they are configured; `here` puts all of them on this machine, each with its store."""
    certified(folder)
    configure(folder, "y", ["ducha", "chuangjian"], ["U1"])
    made = configure_nodes(folder, NODES)
    return moved(made) if here else made


def moved(made: list[Path]) -> list[Path]:
    """The nodes' files on this machine: each with a folder, a store and ports of its own."""
    ports = free_ports(6)
    routes = dict(zip(NODES, ports[:3], strict=True))
    found = []
    for number, path in enumerate(made):
        folder, home = path.parent, path.parent / path.stem
        home.mkdir()
        for name in ("nats.conf", path.name):
            text = (folder / name).read_text("utf-8").replace(f"{folder}/jetstream", f"{home}/jetstream")
            text = text.replace("0.0.0.0:4222", f"127.0.0.1:{ports[3 + number]}").replace("8222", "-1")
            text = text.replace("0.0.0.0:6222", f"127.0.0.1:{routes[path.stem]}")
            text = re.sub(r"@(n\d):6222", lambda of: f"@127.0.0.1:{routes[of[1]]}", text)
            (home / name).write_text(text, "utf-8")
        found.append(home / path.name)
    return found


def address(files: list[Path]) -> str:
    """NATS_URL of nodes by their files."""
    found = (re.search(r'^listen: "(\S+)"', path.read_text("utf-8"), re.MULTILINE) for path in files)
    return ",".join(f"tls://{one[1]}" for one in found if one)


@dataclass
class Cluster:
    """The three servers, and what was appended through them."""

    data: Path
    files: list[Path]
    rng: Random
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    acked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    done: int = 0
    over: bool = False

    @property
    def url(self) -> str:
        return address(self.files)

    def start(self, node: str) -> None:
        """Start a server of the cluster."""
        path = next(path for path in self.files if path.stem == node)
        self.running[node] = subprocess.Popen([find_binary(), "-c", path, "-l", path.with_suffix(".log")])

    def kill(self, node: str) -> None:
        """Kill -9."""
        if server := self.running.pop(node, None):
            server.kill()
            server.wait()

    async def append(self, client: Client) -> None:
        """Batch after batch behind its fence, and the stream's own end where the outcome is unknown."""
        last, n = 0, 0
        while not self.over:
            names = [f"{n}-{part}" for part in range(self.rng.randint(1, 5))]
            n += 1
            messages = [Message("ledger.y.ducha.U1", name.encode()) for name in names]
            try:
                last = (await publish_batch(client, messages, last, 5)).seq
                self.acked += names
                await asyncio.sleep(0.02)
            except AppendUnknown:
                self.unknown += names
                last = await self._end(client, last)
            except (WrongLastSequence, AppendRefused):
                last = await self._end(client, last)

    async def _end(self, client: Client, last: int) -> int:
        while not self.over:
            with contextlib.suppress(NatsError, TimeoutError):
                return (await jetstream(client).stream_info(stream("LEDGER", "y"))).state.last_seq
            await asyncio.sleep(0.2)
        return last

    async def strike(self, client: Client, rounds: int) -> None:
        """One node after another dies or is held up, and is back some seconds later."""
        js = client.jetstream(timeout=5)
        while self.done < rounds:
            node = self.rng.choice(NODES)
            with contextlib.suppress(NatsError, TimeoutError, APIError):
                found = (await js.stream_info(stream("LEDGER", "y"))).cluster
                node = found.leader if found and found.leader and self.rng.random() < 0.5 else node
            if self.rng.random() < 0.3:
                pid = self.running[node].pid
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(8 * self.rng.random())
                os.kill(pid, signal.SIGCONT)
            else:
                await asyncio.to_thread(self.kill, node)
                await asyncio.sleep(3 * self.rng.random())
                self.start(node)
            self.done += 1
            before = len(self.acked)
            async with asyncio.timeout(WHOLE_WITHIN):
                while len(self.acked) == before:  # noqa: ASYNC110 - what is looked at has no event
                    await asyncio.sleep(0.1)

    async def current(self, client: Client) -> bool:
        """Whether all replicas have come to the end, within some time."""
        deadline = time.monotonic() + WHOLE_WITHIN
        while time.monotonic() < deadline:
            with contextlib.suppress(NatsError, TimeoutError, APIError):
                found = (await client.jetstream(timeout=5).stream_info(stream("LEDGER", "y"))).cluster
                replicas = found.replicas or [] if found else []
                if len(replicas) == 2 and all(one.current and not one.lag for one in replicas):
                    return True
            await asyncio.sleep(0.2)
        return False

    async def story(self, rounds: int) -> Row:
        """Append through all faults, and read back what stands there."""
        begun = time.monotonic()
        quiet = {"forever": True, "hear": lambda _: None}
        async with connected(self.url, PROVISIONER, self.data, **quiet) as provisioner:  # type: ignore[arg-type]
            await provision(provisioner, "y", ["ducha", "chuangjian"], ["U1"], replicas=3)
            async with connected(self.url, "ingest", self.data, **quiet) as ingest:  # type: ignore[arg-type]
                appending = asyncio.create_task(self.append(ingest))
                try:
                    await self.strike(provisioner, rounds)
                finally:
                    self.over = True
                    await appending
                whole = await self.current(provisioner)
                stands = Counter([entry.data.decode() async for entry in read_stream(ingest, "LEDGER", "y")])
        return Row(
            "nodes", self.done, len(self.acked), 0, len(self.unknown), sum(not stands[name] for name in self.acked),
            sum(count > 1 for count in stands.values()), int(not whole), round(time.monotonic() - begun),
        )  # fmt: skip


def play(rounds: int, seed: int, folder: Path) -> Iterator[Row]:
    """Three nodes on this machine, and so many faults."""
    folder.mkdir(parents=True)
    cluster = Cluster(folder, written(folder, here=True), Random(f"{seed}-nodes"))
    try:
        for node in NODES:
            cluster.start(node)
        yield asyncio.run(cluster.story(rounds))
    finally:
        for node in NODES:
            cluster.kill(node)
