"""A small year, and the works that take it: a real nats-server and the services as processes of their own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig

from infra.client import connected, jetstream, pull
from infra.rights import PROVISIONER, configure
from infra.server import EmbeddedServer
from infra.streams import DURABLES, KINDS, provision, stream
from schemas import subjects
from schemas.receipts import Ranking, Receipt
from services.process.settings import Settings, read
from services.proof.merkle import leaf_hash
from tests import oracle
from tests.product import BOOK, BOOK_JSON, SHIPPED, small

ASSESSMENT = "small"
SERVICES = ("ingest", "scorer", "ranker")
OFFICES = tuple(office.code for office in BOOK.office)
PATIENCE = 300.0
FLIGHT = 64
REDELIVERY = 2
"""Seconds until what a dead service had not acknowledged is delivered again; half a minute as provisioned."""


class Line(NamedTuple):
    """A line of the year: who publishes it on which subject, and as what ingest must refuse it."""

    party: str
    subject: str
    raw: bytes
    refusal: tuple[str, str | None] | None


@dataclass(frozen=True)
class Year:
    """Lines as they are published, and what the oracle makes of the accepted ones, which are the ledger."""

    units: list[str]
    lines: tuple[Line, ...]
    accepted: tuple[bytes, ...]
    result: dict[str, Any]

    @property
    def leaves(self) -> list[str]:
        return [leaf_hash(raw).hex() for raw in self.accepted]

    def settled(self) -> dict[int, tuple[str | None, str | None]]:
        """Sequence -> disposition and reason of the receipts that only the fold can send."""
        rows = [*self.result["entries"], *self.result["events"]]
        void = {row["seq"]: (row["disposition"], None) for row in rows if row["disposition"] in ("duplicate", "void")}
        return {**void, **{row["line"]: (None, row["reason"]) for row in self.result["refused"]}}


BAD = (b'{"specversion":"1.0","id":"x1"', b'{"ext":"' + b"x" * 100_000 + b'"}', b'{"id":"\xff\xfe"}')
"""Not JSON, too large, invalid UTF-8: put between good lines of one office."""


@cache
def year() -> Year:
    """A finalised year of nine units: appeals, corrections, exemptions, repetitions, mistakes."""
    raws = list(small(4, 9, 300, settled=True))
    raws[100:100] = [line for bad in BAD for line in (good(f"good-{len(bad)}"), bad)] + [good("good-last")]
    return of(raws)


def of(raws: list[bytes]) -> Year:
    """What intake refuses of lines that begin with an opening, and what the others come to."""
    units = [row["unit"] for row in json.loads(raws[0])["data"]["roster"]]
    told = oracle.score(raws, shipped=(BOOK_JSON, SHIPPED))["refused"]
    refused = {row["line"]: (row["reason"], row["path"]) for row in told if row["reason"] != "conflict"}
    lines = tuple(line(raw, units, refused.get(n)) for n, raw in enumerate(raws, 1))
    accepted = [one.raw for one in lines if one.refusal is None]
    return Year(units, lines, tuple(accepted), oracle.score(accepted, shipped=(BOOK_JSON, SHIPPED)))


def good(name: str, unit: str = "U001", item: str = "1.1", ground: str = "no_feedback") -> bytes:
    data = {"item": item, "matter": name, "ground": ground, "reason": "逾期"}
    return json.dumps({
        "specversion": "1.0", "id": name, "source": "/offices/ducha", "type": "deduction.recorded.v1", "subject": unit,
        "time": "2013-05-06T09:30:00+08:00", "data": data,
    }).encode()  # fmt: skip


def line(raw: bytes, units: list[str], refusal: tuple[str, str | None] | None) -> Line:
    """Who may publish a line where: the party of its source on the tokens that it names, else an office."""
    party = "ducha"
    try:
        event = json.loads(raw)
        named = subjects.party_of(event["source"]) or ""
        own = named == event["subject"] and event["type"] in ("appeal.filed.v1", "event.revoked.v1")
        if named in OFFICES or (named in units and own):
            party = named
        return Line(party, subjects.intake(ASSESSMENT, party, event["type"], event["subject"]), raw, refusal)
    except (ValueError, KeyError, TypeError, AttributeError):
        assert refusal, "what passes has a subject"
        return Line(party, subjects.intake(ASSESSMENT, party, "unreadable", "assessment"), raw, refusal)


def until(
    what: str, look: Callable[[], Any], good: Callable[[Any], bool], words: Callable[[], str] = str,
    patience: float = PATIENCE,
) -> Any:  # fmt: skip
    """Look until it is good, and give what was seen; fail with that, and with `words`, when it never is."""
    deadline = time.monotonic() + patience
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"waited in vain for {what}: {seen}\n{words()}"
        time.sleep(0.1)  # between two looks at what other processes do; the deadline is what fails
    return seen


def copied(data: Path, to: Path) -> Path:
    """A data folder at another place, where another server and other services may run on it."""
    theirs = shutil.ignore_patterns("nats-server_*.ports", "nats.lock", "logs")
    return Path(shutil.copytree(data, to, symlinks=True, dirs_exist_ok=True, ignore=theirs))


def processes(data: Path) -> set[str]:
    """What runs on a data folder, by the last word of its command line that is no option: services, nats-server."""
    proc = Path("/proc")
    if not (proc / "self" / "environ").exists():  # not Linux
        listed = subprocess.run(["ps", "axeww", "-o", "command="], capture_output=True, text=True, check=True).stdout
        lines = [one for one in listed.splitlines() if f"WUXING_DATA={data}" in one]
        return {name for name in (*SERVICES, "nats-server") for one in lines if name in one.partition("WUXING_DATA")[0]}
    found = set()
    for one in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"WUXING_DATA={data}".encode() in (one / "environ").read_bytes():
                words = (one / "cmdline").read_bytes().decode().split("\0")[:-1]
                named = [word for word in words if not word.startswith("-")]
                found |= {"nats-server" if named[0].endswith("nats-server") else named[-1]} if named else set()
    return found


class Seen(NamedTuple):
    """What can be seen of the works from outside: streams, durables, and the ledger sequence that is ranked."""

    messages: dict[str, int]
    last: dict[str, int]
    waiting: dict[str, int]
    ranked: int


class Stored(NamedTuple):
    """One message of a stream; recorded in nanoseconds since 1970."""

    sequence: int
    subject: str
    data: bytes
    recorded: int


class Works:
    """A server on a data folder, and services that are started, killed and waited for; all end with it."""

    def __init__(self, data: Path, of: Year) -> None:
        self.data, self.year = data, of
        self.server = EmbeddedServer(data)
        self.services: list[Service] = []
        (data / "logs").mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        if not (self.data / "keys").exists():
            self.make()
        else:  # a copy: the place of the store is in the configuration
            configure(self.data, ASSESSMENT, OFFICES, self.year.units)
            self.server.start()
        return self

    def make(self) -> None:
        """Keys, rights, streams; and redelivery within seconds."""
        configure(self.data, ASSESSMENT, OFFICES, self.year.units)
        self.server.start()
        asyncio.run(self._provision())

    async def _provision(self) -> None:
        async with connected(self.server.url, PROVISIONER, self.data) as client:
            await provision(client, ASSESSMENT, OFFICES, self.year.units)
            for durable, kind in DURABLES.items():
                info = await client.jetstream().consumer_info(stream(kind, ASSESSMENT), durable)
                info.config.ack_wait = REDELIVERY
                await client.jetstream().add_consumer(stream(kind, ASSESSMENT), info.config)

    def __exit__(self, *_: object) -> None:
        for service in self.services:
            service.kill()
        self.server.stop()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "NATS_URL": self.server.url, "WUXING_DATA": str(self.data), "WUXING_ASSESSMENT": ASSESSMENT,
            "WUXING_RANK_SECONDS": "1", "WUXING_LOG": "json",
        }  # fmt: skip

    @property
    def settings(self) -> Settings:
        return read(self.environment)

    def start(self, name: str, *fault: str) -> "Service":
        """A service as the command line runs it, or one that dies of a fault: see `die`."""
        module = ["tests.faults.die", name, *fault] if fault else ["services", name]
        service = Service(name, module, self.data / "logs" / f"{name}.log", self.environment)
        self.services.append(service)
        return service

    # Publishing

    async def publish(self, lines: Sequence[Line]) -> None:
        """Each line by its own party with its own key, in order: all before another party speaks is stored."""
        async with contextlib.AsyncExitStack() as stack:
            clients: dict[str, Any] = {}
            waiting: list[asyncio.Future[Any]] = []
            for before, one in zip([None, *lines], lines, strict=False):
                if before and before.party != one.party:
                    await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
                    waiting = []
                if one.party not in clients:
                    clients[one.party] = jetstream(
                        await stack.enter_async_context(connected(self.server.url, one.party, self.data))
                    )
                waiting.append(await clients[one.party].publish_async(one.subject, one.raw))
            await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)

    async def flight(self, lines: Sequence[Line], *, told: Callable[[], None] = lambda: None) -> int:
        """Many lines at once over the gateway's connection, which may end at any time; how many were confirmed.

        `told` is called after the first confirmation, while the others are on their way. What was not confirmed may be
        stored or not, and is never sent again from here.
        """
        async with connected(self.server.url, "gateway", self.data) as client:
            client.options["allow_reconnect"] = False
            js = jetstream(client)
            confirmed = 0
            with contextlib.suppress(NatsError):
                futures = [await js.publish_async(one.subject, one.raw) for one in lines]
                deadline = time.monotonic() + PATIENCE
                for future in futures:
                    while client.is_connected and not future.done():
                        assert time.monotonic() < deadline, f"{confirmed} of {len(lines)} lines were confirmed"
                        await asyncio.wait([future], timeout=0.1)
                    if not future.done() or future.exception():
                        break
                    confirmed += 1
                    if confirmed == 1:
                        told()
            return confirmed

    # Looking

    async def _seen(self) -> Seen:
        async with connected(self.server.url, PROVISIONER, self.data) as client:
            js = client.jetstream()
            states = {kind: (await js.stream_info(stream(kind, ASSESSMENT))).state for kind in KINDS}
            waiting = {}
            for durable, kind in DURABLES.items():
                info = await js.consumer_info(stream(kind, ASSESSMENT), durable)
                waiting[durable] = (info.num_pending or 0) + (info.num_ack_pending or 0)
            ranked, at = 0, states["RANKING"].last_seq
            while at >= states["RANKING"].first_seq and at and not ranked:  # what is none lies over it
                raw = await js.get_msg(stream("RANKING", ASSESSMENT), at)
                at -= 1
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                    ranked = msgspec.json.decode(raw.data or b"", type=Ranking).sequence
            counts = {kind: state.messages for kind, state in states.items()}
            return Seen(counts, {kind: state.last_seq for kind, state in states.items()}, waiting, ranked)

    def seen(self) -> Seen:
        return asyncio.run(self._seen())

    def until(self, what: str, good: Callable[[Seen], bool]) -> Seen:
        """Wait for something to be seen; fail with what was seen when it never is, or when a service has ended."""

        def look() -> Seen:
            for one in [one for one in self.services if not one.killed and one.ended]:
                assert one.kept, f"waiting for {what}: {one.words()}"
                one.killed = True
                self.start(one.name).kept = True
            return self.seen()

        found: Seen = until(what, look, good, lambda: "\n".join(one.words() for one in self.services))
        return found

    def until_started(self, service: "Service") -> None:
        """It has caught up, and hears what comes now; the ranker asks for cuts in vain."""
        said = (f'"{service.name}.started"', '"cut.missing"', '"ranking.published"')
        until("its start", service.words, lambda words: service.ended or any(one in words for one in said))
        assert not service.ended, service.words()

    def until_ranked(self, sequence: int) -> Seen:
        """All is taken, folded, told and ranked: the ledger ends at the sequence, and nobody has anything to do."""
        return self.until(
            f"the ranking of {sequence}",
            lambda seen: (
                (seen.last["LEDGER"], seen.messages["INTAKE"], seen.waiting, seen.ranked)
                == (sequence, 0, {"ingest": 0, "scorer": 0}, sequence)
            ),
        )

    async def _stored(self, kind: str) -> list[Stored]:
        found: list[Stored] = []
        async with connected(self.server.url, PROVISIONER, self.data) as client:
            js = client.jetstream()
            count = (await js.stream_info(stream(kind, ASSESSMENT))).state.messages
            config = ConsumerConfig(ack_policy=AckPolicy.NONE)
            subject = subjects.ranking(ASSESSMENT) if kind == "RANKING" else f"{kind.lower()}.{ASSESSMENT}.>"
            everything = await js.pull_subscribe(subject, stream=stream(kind, ASSESSMENT), config=config)
            while len(found) < count:
                found += [
                    Stored(one.metadata.sequence.stream, one.subject, one.data, int(one.reply.split(".")[-2]))
                    for one in await everything.fetch(1000, timeout=10)
                ]
        return found

    def stored(self, kind: str) -> list[Stored]:
        """All messages of a stream; not of INTAKE, which only ingest may read."""
        return asyncio.run(self._stored(kind))

    def ledger(self) -> tuple[bytes, ...]:
        """The payloads of the ledger, in order."""
        return tuple(one.data for one in self.stored("LEDGER"))

    def receipts(self) -> list[tuple[str, Receipt]]:
        """Every receipt with the party it was sent to."""
        stored = self.stored("RECEIPT")
        return [(one.subject.rpartition(".")[2], msgspec.json.decode(one.data, type=Receipt)) for one in stored]

    def ranking(self) -> Ranking:
        """The ranking that was published last; what is none is passed over."""
        for one in reversed(self.stored("RANKING")):
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                return msgspec.json.decode(one.data, type=Ranking)
        raise AssertionError("no ranking")

    async def heard(self, party: str) -> list[Receipt]:
        """The receipts of a party, read with its own key and durable."""
        found: list[Receipt] = []
        async with connected(self.server.url, party, self.data) as client:
            durable = await pull(client, "RECEIPT", ASSESSMENT, party)
            while (await durable.consumer_info()).num_pending:
                for one in await durable.fetch(100, timeout=10):
                    found.append(msgspec.json.decode(one.data, type=Receipt))
                    await one.ack()
        return found


class Service:
    """One service as a process of its own; it ends with the test, whatever becomes of the test."""

    def __init__(self, name: str, module: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.name, self.log, self.killed = name, log, False
        self.kept = False  # started again when it ends, as a service manager does
        self.said = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module], stdin=subprocess.PIPE, stdout=out, stderr=out,
                env={**os.environ, **environment, "WUXING_GUARDED": "1"},
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def words(self) -> str:
        """How it stands and what it said last."""
        with self.log.open("rb") as log:
            log.seek(self.said)
            return f"{self.name} [{self.process.poll()}]: {log.read()[-3000:].decode(errors='replace')}"

    def code(self) -> int:
        """Wait for its own end, and give the exit code; the signal's number, negative, where one ended it."""
        self.killed = True
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"waited in vain for the end of {self.words()}") from None

    def end(self) -> int:
        """Ask it to end, as a service manager does."""
        self.process.send_signal(signal.SIGTERM)
        return self.code()

    def kill(self) -> None:
        self.killed = True
        self.process.kill()
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
