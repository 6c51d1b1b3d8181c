"""A real nats-server for the tests: one a session with a small assessment provisioned, and connections to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from infra.client import connected
from infra.rights import PROVISIONER, configure
from infra.server import EmbeddedServer
from infra.streams import KINDS, provision, stream

ASSESSMENT = "year-2013"
OFFICES = ("ducha", "kaoji", "chuangjian", "gongwei")
UNITS = ("U001", "U002", "U003")


@dataclass(frozen=True)
class Site:
    """A running server with its data folder; `complaints` is what the broker told the connections, by role."""

    server: EmbeddedServer
    data: Path
    complaints: dict[str, asyncio.Queue[str]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def as_(self, role: str) -> AsyncIterator[Client]:
        heard = self.complaints[role] = asyncio.Queue()
        async with connected(self.server.url, role, self.data, hear=heard.put_nowait) as client:
            yield client

    @contextlib.asynccontextmanager
    async def provisioner(self) -> AsyncIterator[JetStreamContext]:
        async with self.as_(PROVISIONER) as client:
            yield client.jetstream()

    async def complaint(self, role: str) -> str:
        """The next complaint, in the order of what was done."""
        return await asyncio.wait_for(self.complaints[role].get(), 10)


async def state(js: JetStreamContext) -> dict[str, tuple[int, int]]:
    """Messages and last sequence of every stream but ARRIVED, which follows INTAKE: no refused action changes it."""
    infos = {kind: await js.stream_info(stream(kind, ASSESSMENT)) for kind in KINDS if kind != "ARRIVED"}
    return {kind: (info.state.messages, info.state.last_seq) for kind, info in infos.items()}


async def _provision(site: Site) -> None:
    async with site.as_(PROVISIONER) as client:
        await provision(client, ASSESSMENT, OFFICES, UNITS)


@pytest.fixture(scope="session")
def nats_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The session's server with the streams and durables of ASSESSMENT; tests share it and so count what they added."""
    data = tmp_path_factory.mktemp("nats")
    configure(data, ASSESSMENT, OFFICES, UNITS)
    with EmbeddedServer(data) as server:
        site = Site(server, data)
        asyncio.run(_provision(site))
        yield site
