"""Lines that are open at one end only, brokers that end, one address of many: what is noticed, and goes on."""

# ruff: noqa: SLF001 - a service's connection is looked at from outside

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra import connection
from infra.client import broker, connect, connected, embedded, end, jetstream, read_stream
from infra.connection import PING_SECONDS, PINGS
from schemas.words import Both
from services import cli
from services.proof.checkpoint import LogRewritten
from services.site import stack
from tests.faults.nodes import free_ports, written
from tests.test_infra import INFRA

A = "year-2013"
SUBJECT = f"intake.{A}.ducha.deduction-recorded-v1.U001"


class Proxy:
    """A line to a server that can go dead: what is under way stays open and carries nothing any more."""

    def __init__(self, to: int) -> None:
        self.to, self.port = to, 0
        self.pumps: list[asyncio.Task[None]] = []
        self.writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.go_dead()
            for writer in self.writers:
                writer.close()
            server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        self.writers += [writer, back]
        self.pumps += [asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))]

    def go_dead(self) -> None:
        for one in self.pumps:
            one.cancel()
        self.pumps = []


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()


async def lost(client: Client, before: int) -> None:
    """Wait until the connection was made again."""
    async with asyncio.timeout(60):
        while client.stats["reconnects"] == before or not client.is_connected:
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0))])


def test_both_ends_find_out_within_fifteen_seconds_that_the_other_is_gone() -> None:
    """The pings after which a silent end counts as gone, and the one that finds it: of clients and of the server."""
    assert PING_SECONDS * (PINGS + 1) < 15
    for file in ("nats/server.conf", "helm/values-nats.yaml"):
        text = (INFRA / file).read_text("utf-8")
        found = [re.search(rf'{name}: "?(\d+)s?\b', text) for name in ("ping_interval", "ping_max")]
        interval, most = (int(one[1]) for one in found if one)
        assert interval * (most + 1) < 15, file


@pytest.mark.parametrize("how", ["client", "service"])
def test_a_line_that_is_open_at_one_end_only_is_given_up_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(connection, "PING_SECONDS", 0.1)

    async def steps() -> None:
        async with (
            embedded(tmp_path, A, ("ducha", "chuangjian"), ("U001",)) as server,
            Proxy(server.port).serving() as proxy,
        ):
            url = f"nats://127.0.0.1:{proxy.port}"
            if how == "client":
                async with connected(url, "ducha", tmp_path, forever=True, hear=lambda _: None) as client:
                    proxy.go_dead()
                    await lost(client, 0)
                    assert (await jetstream(client).publish(SUBJECT, b"{}")).seq == 1
                return
            service = broker(url, "ingest", tmp_path)
            await service.start()
            assert service._connection
            proxy.go_dead()
            await lost(service._connection, 0)
            await service.stop()

    asyncio.run(steps())


def test_a_handshake_that_fails_is_tried_again(tmp_path: Path) -> None:
    """A node that restarts ends connections in their first breath; who begins then must not wait for ever."""
    written(tmp_path)
    tries = asyncio.Semaphore(0)

    async def drops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1,"tls_required":true}\r\n')
        await reader.read(100)
        writer.transport.abort()
        tries.release()

    async def live() -> None:
        server = await asyncio.start_server(drops, "127.0.0.1", 0)
        url = f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        begins = asyncio.create_task(connect(url, "ingest", tmp_path, forever=True))
        async with asyncio.timeout(60):
            for _ in range(3):
                await tries.acquire()
        await end(begins)
        server.close()

    asyncio.run(live())


def test_of_several_addresses_one_that_answers_will_do(tmp_path: Path) -> None:
    async def steps() -> None:
        async with embedded(tmp_path, A, ("ducha", "chuangjian"), ("U001",)) as server:
            url = f"nats://127.0.0.1:{free_ports(1)[0]}, {server.url}"
            async with connected(url, "ducha", tmp_path) as client:
                assert (await jetstream(client).publish(SUBJECT, b"{}")).seq == 1
            service = broker(url, "ingest", tmp_path)
            await service.start()
            await service.stop()

    asyncio.run(steps())


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_up_starts_a_broker_again_that_ended_or_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: signal.Signals
) -> None:
    monkeypatch.setattr(stack, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(stack, "UNWELL_LOOKS", 1)
    monkeypatch.setattr("infra.server.ASKED_WITHIN", 1.0)

    async def steps() -> None:
        async with embedded(tmp_path, A, ("ducha", "chuangjian"), ("U001",)) as server:
            keeper = asyncio.create_task(stack.keep_server(server))
            async with connected(server.url, "ducha", tmp_path, forever=True, hear=lambda _: None) as client:
                assert (await jetstream(client).publish(SUBJECT, b"{}")).seq == 1
                before = server.pid
                assert before
                os.kill(before, what)
                async with asyncio.timeout(60):
                    while server.pid in (before, None) or not await asyncio.to_thread(lambda: server.healthy):
                        await asyncio.wait([keeper], timeout=0.05)
                await lost(client, 0)
                assert (await jetstream(client).publish(SUBJECT, b"{}")).seq == 2
            keeper.cancel()

    asyncio.run(steps())


def test_a_broker_that_cannot_be_started_again_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "LOOK_SECONDS", 0.05)

    async def steps() -> None:
        async with embedded(tmp_path, A, ("ducha", "chuangjian"), ("U001",)) as server:
            assert server.pid
            config = tmp_path / "nats.conf"
            keeper = asyncio.create_task(stack.keep_server(server))
            await asyncio.sleep(0)  # it has read the configuration, with which the broker runs
            config.rename(tmp_path / "away")
            os.kill(server.pid, signal.SIGKILL)
            async with asyncio.timeout(60):
                while server.pid:
                    await asyncio.wait([keeper], timeout=0.05)
                (tmp_path / "away").rename(config)
                while not server.running:
                    await asyncio.wait([keeper], timeout=0.05)
            assert not keeper.done()
            keeper.cancel()

    asyncio.run(steps())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_the_broker_or_the_log_says_no_to_is_said_in_words_and_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lang: str
) -> None:
    """`status` of an assessment that has keys and no streams; and a log that does not continue what was published."""
    monkeypatch.setattr("infra.client.ANSWER_WITHIN", 0.5)

    async def steps() -> None:
        async with embedded(tmp_path, A, ("ducha", "chuangjian"), ("U001",)) as server:
            monkeypatch.setenv("NATS_URL", server.url)
            monkeypatch.setenv("WUXING_DATA", str(tmp_path))
            monkeypatch.setenv("WUXING_ASSESSMENT", "another")
            shutil.copytree(tmp_path / "keys", tmp_path / "assessments" / "another" / "keys")
            assert await asyncio.to_thread(cli.run, ["status", "--lang", lang]) == 3

    asyncio.run(steps())
    said = capsys.readouterr().err
    assert {"en": "wuxing provision", "zh": "请确认其已运行"}[lang] in said
    assert "Traceback" not in said
    assert LogRewritten(Both("x", "y")).say("zh") == "y"


def test_a_broker_that_falls_silent_while_the_ledger_is_read_is_an_error_with_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by `make faults`: a broker killed at that moment ended ingest in a traceback."""
    monkeypatch.setattr("infra.client.ANSWER_WITHIN", 0.5)

    async def steps() -> None:
        async with (
            embedded(tmp_path, A, ("ducha", "chuangjian"), ("U001",)) as server,
            connected(server.url, "ingest", tmp_path) as client,
        ):
            assert server.pid
            os.kill(server.pid, signal.SIGSTOP)
            # on a busy machine it may answer once more until it stands still
            await asyncio.to_thread(os.waitpid, server.pid, os.WUNTRACED)
            with pytest.raises(NatsError, match="timeout"):
                [entry async for entry in read_stream(client, "LEDGER", A)]
            os.kill(server.pid, signal.SIGCONT)

    asyncio.run(steps())
