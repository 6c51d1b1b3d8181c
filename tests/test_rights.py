"""Who may say and read what, tried on a real server: whatever is refused leaves every stream as it was."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from infra.client import BrokerUnreachable, Message, embedded, jetstream, last_entry, publish_batch, pull, read_stream
from infra.folders import PartyRefused
from infra.rights import API, SERVICES, Connections, KeyUnsafe, configure, key_file
from infra.streams import check_ledger, stream
from tests.broker import ASSESSMENT, OFFICES, UNITS, Site, state

A = ASSESSMENT
DEDUCTION = "deduction-recorded-v1"
ARRIVED, INTAKE, LEDGER, RECEIPT, REFUSED, NOTICE, RANKING = (
    stream(k, A) for k in ("ARRIVED", "INTAKE", "LEDGER", "RECEIPT", "REFUSED", "NOTICE", "RANKING")
)
EVERYBODY = ("ducha", "chuangjian", "U001", *SERVICES)

NOBODYS_CALLS = [
    *(
        f"STREAM.{verb}.{name}"
        for name in (ARRIVED, INTAKE, LEDGER, RECEIPT)
        for verb in (
            "UPDATE",
            "DELETE",
            "PURGE",
            "RESTORE",
            "SNAPSHOT",
            "CREATE",
            "MSG.DELETE",
            "MSG.GET",
            "PEER.REMOVE",
            "LEADER.STEPDOWN",
        )
    ),
    *(f"CONSUMER.{verb}.{name}" for name in (ARRIVED, INTAKE, LEDGER, RECEIPT) for verb in ("LIST", "NAMES", "CREATE")),
    *(
        f"CONSUMER.{verb}.{LEDGER}.scorer"
        for verb in ("CREATE", "DURABLE.CREATE", "DELETE", "PAUSE", "LEADER.STEPDOWN", "RESET")
    ),
    f"CONSUMER.CREATE.{LEDGER}.scorer.ledger.{A}.>",
    f"CONSUMER.RESET.{INTAKE}.ingest",
    f"CONSUMER.DELETE.{RECEIPT}.kaoji",
    f"CONSUMER.MSG.NEXT.{RECEIPT}.kaoji",
    f"CONSUMER.INFO.{RECEIPT}.kaoji",
    f"CONSUMER.RESET.{RECEIPT}.kaoji",
    f"CONSUMER.MSG.NEXT.{REFUSED}.U002",
    f"CONSUMER.INFO.{REFUSED}.U002",
    f"CONSUMER.RESET.{REFUSED}.U002",
    f"CONSUMER.MSG.NEXT.{NOTICE}.U002",
    f"CONSUMER.INFO.{NOTICE}.U002",
    f"CONSUMER.RESET.{NOTICE}.U002",
    f"DIRECT.GET.{RECEIPT}",
    f"DIRECT.GET.{RECEIPT}.receipt.{A}.kaoji",
    f"DIRECT.GET.{REFUSED}",
    "INFO",
    "STREAM.LIST",
    "STREAM.NAMES",
    "SERVER.REMOVE",
    "ACCOUNT.PURGE.CORE",
    "META.LEADER.STEPDOWN",
]
NOBODYS_SUBJECTS = [
    f"arrived.{A}.ducha",
    f"arrived.{A}.U001",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.CORE.CONNZ",
    f"$JS.ACK.{LEDGER}.nobody.1.1.1.1.0",
    f"$JS.ACK.{RECEIPT}.kaoji.1.1.1.1.0",
    f"live.receipt.{A}.kaoji",
    f"live.receipt.{A}.ducha",
    "_R_.x",
    "_INBOX_kaoji.x",
    "ledger.other.ducha.U001",
    "anything",
]


def on(site: Site, *roles: str) -> Callable[[Callable[..., Coroutine[None, None, None]]], None]:
    """Run a test's steps at once with a connection for each role, and last the provisioner's JetStream."""

    def run(steps: Callable[..., Coroutine[None, None, None]]) -> None:
        async def session() -> None:
            async with contextlib.AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(site.as_(role)) for role in roles]
                await steps(*clients, await stack.enter_async_context(site.provisioner()))

        asyncio.run(session())

    return run


async def refused(site: Site, role: str, client: Client, subjects: list[str]) -> None:
    """The server complains of each publication, in order, and of nothing else."""
    for subject in subjects:
        await client.publish(subject, b"{}", reply=client.new_inbox())
    for subject in subjects:
        assert f'publish to "{subject.lower()}"' in await site.complaint(role)
    await client.flush()
    assert site.complaints[role].empty()


def test_an_office_publishes_on_its_own_subjects_and_gets_the_stream_s_acknowledgement(nats_site: Site) -> None:
    @on(nats_site, "ducha")
    async def _(ducha: Client, js: JetStreamContext) -> None:
        before = (await state(js))["INTAKE"][1]
        ack = await jetstream(ducha).publish(f"intake.{A}.ducha.{DEDUCTION}.U001", b"{}")
        assert (ack.stream, ack.seq) == (INTAKE, before + 1)


def test_an_office_cannot_publish_on_another_s_subject(nats_site: Site) -> None:
    @on(nats_site, "ducha")
    async def _(ducha: Client, js: JetStreamContext) -> None:
        before = await state(js)
        await refused(
            nats_site,
            "ducha",
            ducha,
            [
                f"intake.{A}.kaoji.{DEDUCTION}.U001",
                f"intake.{A}.U001.appeal-filed-v1.U001",
                f"intake.another-year.ducha.{DEDUCTION}.U001",
                f"intake.{A}.ducha.{DEDUCTION}",
                f"intake.{A}.ducha.{DEDUCTION}.U001.more",
                f"ledger.{A}.ducha.U001",
                f"receipt.{A}.ducha",
                f"refused.{A}.ducha",
                f"ranking.{A}",
                f"cut.{A}",
            ],
        )
        assert await state(js) == before


def test_a_unit_can_file_an_appeal_and_take_it_back_and_nothing_else(nats_site: Site) -> None:
    @on(nats_site, "U001")
    async def _(unit: Client, js: JetStreamContext) -> None:
        before = await state(js)
        await refused(
            nats_site,
            "U001",
            unit,
            [
                f"intake.{A}.U001.{DEDUCTION}.U001",
                f"intake.{A}.U001.rating-recorded-v1.U001",
                f"intake.{A}.U001.appeal-decided-v1.U001",
                f"intake.{A}.U001.appeal-filed-v1.U002",
                f"intake.{A}.U001.event-revoked-v1.assessment",
                f"intake.{A}.U002.appeal-filed-v1.U002",
                f"intake.{A}.U002.appeal-filed-v1.U001",
                f"intake.{A}.ducha.{DEDUCTION}.U001",
                f"intake.{A}.ducha.appeal-filed-v1.U001",
                f"ledger.{A}.U001.U001",
                f"receipt.{A}.U002",
                f"refused.{A}.U002",
                f"ranking.{A}",
                f"cut.{A}",
            ],
        )
        assert await state(js) == before
        for kind in ("appeal-filed-v1", "event-revoked-v1"):
            assert (await jetstream(unit).publish(f"intake.{A}.U001.{kind}.U001", b"{}")).stream == INTAKE


@pytest.mark.parametrize("role", EVERYBODY)
def test_nobody_running_reaches_the_api_beyond_what_is_granted(nats_site: Site, role: str) -> None:
    @on(nats_site, role)
    async def _(client: Client, js: JetStreamContext) -> None:
        before = await state(js)
        own = {f"{API}.DIRECT.GET.{REFUSED}"} if role == "ranker" else set()  # it tells parties of their refusals
        calls = [f"{prefix}.{call}" for prefix in ("$JS.API", API) for call in NOBODYS_CALLS]
        calls = [call for call in calls if call not in own]
        granted = [
            f"$JS.API.STREAM.INFO.{LEDGER}",
            f"$JS.API.DIRECT.GET.{LEDGER}",
            f"$JS.API.CONSUMER.MSG.NEXT.{LEDGER}.scorer",
        ]
        another_s = [] if role == "ingest" else [f"{API}.DIRECT.GET.{INTAKE}"]  # ingest reads again what was on its way
        await refused(nats_site, role, client, [*calls, *granted, *another_s, *NOBODYS_SUBJECTS])
        assert await state(js) == before


@pytest.mark.parametrize(
    ("role", "calls"),
    [
        (
            "ducha",
            [
                f"STREAM.INFO.{RECEIPT}",
                f"DIRECT.GET.{LEDGER}",
                f"CONSUMER.MSG.NEXT.{LEDGER}.scorer",
                f"CONSUMER.MSG.NEXT.{INTAKE}.ingest",
            ],
        ),
        (
            "U001",
            [
                f"STREAM.INFO.{RECEIPT}",
                f"DIRECT.GET.{LEDGER}",
                f"CONSUMER.MSG.NEXT.{RECEIPT}.U002",
                f"CONSUMER.RESET.{RECEIPT}.U002",
            ],
        ),
        ("scorer", [f"CONSUMER.MSG.NEXT.{INTAKE}.ingest", f"DIRECT.GET.{RANKING}", f"STREAM.INFO.{INTAKE}"]),
        ("ingest", [f"CONSUMER.MSG.NEXT.{LEDGER}.scorer", f"DIRECT.GET.{RANKING}"]),
        ("ranker", [f"DIRECT.GET.{LEDGER}", f"CONSUMER.MSG.NEXT.{LEDGER}.scorer"]),
        ("gateway", [f"DIRECT.GET.{LEDGER}", f"STREAM.INFO.{INTAKE}", f"CONSUMER.MSG.NEXT.{INTAKE}.ingest"]),
        ("audit", [f"CONSUMER.MSG.NEXT.{LEDGER}.scorer", f"CONSUMER.MSG.NEXT.{INTAKE}.ingest", f"DIRECT.GET.{INTAKE}"]),
    ],
)
def test_a_role_does_not_have_another_role_s_reading(nats_site: Site, role: str, calls: list[str]) -> None:
    @on(nats_site, role)
    async def _(client: Client, _js: JetStreamContext) -> None:
        await refused(nats_site, role, client, [f"{API}.{call}" for call in calls])


@pytest.mark.parametrize(
    ("role", "subjects"),
    [
        (
            "scorer",
            [f"ledger.{A}.ducha.U001", f"refused.{A}.ducha", f"intake.{A}.ducha.{DEDUCTION}.U001", f"ranking.{A}"],
        ),
        ("ingest", [f"intake.{A}.ducha.{DEDUCTION}.U001", f"ranking.{A}", f"cut.{A}"]),
        ("ranker", [f"ledger.{A}.ducha.U001", f"receipt.{A}.ducha", f"intake.{A}.ducha.{DEDUCTION}.U001"]),
        ("gateway", [f"ledger.{A}.ducha.U001", f"receipt.{A}.ducha", f"ranking.{A}", f"cut.{A}"]),
        (
            "audit",
            [f"ledger.{A}.a.b", f"receipt.{A}.a", f"refused.{A}.a", f"intake.{A}.a.b.c", f"ranking.{A}", f"cut.{A}"],
        ),
    ],
)
def test_a_service_publishes_only_what_is_its_own(nats_site: Site, role: str, subjects: list[str]) -> None:
    @on(nats_site, role)
    async def _(client: Client, js: JetStreamContext) -> None:
        before = await state(js)
        await refused(nats_site, role, client, subjects)
        assert await state(js) == before


OTHERS_LISTENING = [
    ">",
    "*",
    f"receipt.{A}.kaoji",
    f"receipt.{A}.*",
    "receipt.>",
    f"refused.{A}.kaoji",
    f"live.receipt.{A}.kaoji",
    "live.>",
    f"ledger.{A}.>",
    f"intake.{A}.>",
    f"ranking.{A}",
    f"cut.{A}",
    "_INBOX_kaoji.>",
    "_R_.>",
    "$JS.>",
    "$SYS.>",
]


@pytest.mark.parametrize("role", ["ducha", "U001"])
def test_a_party_cannot_listen_to_what_is_another_s(nats_site: Site, role: str) -> None:
    @on(nats_site, role)
    async def _(client: Client, _js: JetStreamContext) -> None:
        for subject in OTHERS_LISTENING:
            await client.subscribe(subject)
            assert f'subscription to "{subject.lower()}"' in await nats_site.complaint(role)


def test_a_unit_hears_nothing_live_because_another_unit_could_speak_there(nats_site: Site) -> None:
    @on(nats_site, "U001")
    async def _(unit: Client, _js: JetStreamContext) -> None:
        for subject in (f"receipt.{A}.U001", f"refused.{A}.U001"):
            await unit.subscribe(subject)
            assert f'subscription to "{subject.lower()}"' in await nats_site.complaint("U001")


def test_an_office_hears_its_own_receipts_and_refusals_live_and_no_other_s(nats_site: Site) -> None:
    @on(nats_site, "ducha", "gateway", "ingest")
    async def _(ducha: Client, gateway: Client, ingest: Client, _js: JetStreamContext) -> None:
        own = [await ducha.subscribe(f"{kind}.{A}.ducha") for kind in ("receipt", "refused")]
        every = await gateway.subscribe(f"receipt.{A}.*")
        await ducha.flush()
        await gateway.flush()
        for subject in (f"receipt.{A}.kaoji", f"receipt.{A}.ducha", f"refused.{A}.kaoji", f"refused.{A}.ducha"):
            await jetstream(ingest).publish(subject, subject.encode())
        heard = [(await listening.next_msg(10)).data.decode() for listening in own]
        assert heard == [f"receipt.{A}.ducha", f"refused.{A}.ducha"]
        assert [(await every.next_msg(10)).subject for _ in range(2)] == [f"receipt.{A}.kaoji", f"receipt.{A}.ducha"]
        assert sum(listening.pending_msgs for listening in own) == 0


def test_every_party_reads_every_checkpoint_and_the_ranker_alone_publishes_one(nats_site: Site) -> None:
    """From the stream, with a key of its own: nobody need be listening when it is published."""

    @on(nats_site, "ranker", "ducha", "U001", "scorer")
    async def _(ranker: Client, ducha: Client, unit: Client, scorer: Client, _js: JetStreamContext) -> None:
        for note in (b"one", b"two"):
            await jetstream(ranker).publish(f"checkpoint.{A}", note)
        for party in (ducha, unit):
            newest = await last_entry(party, "CHECKPOINT", A)
            assert newest
            assert newest.data == b"two"
            before = await last_entry(party, "CHECKPOINT", A, newest.sequence)
            assert before
            assert before.data == b"one"
        for role, client in (("ducha", ducha), ("U001", unit), ("scorer", scorer)):
            await refused(nats_site, role, client, [f"checkpoint.{A}"])


@pytest.mark.parametrize("party", ["gongwei", "U003"])
def test_a_party_that_was_offline_finds_its_receipts_and_can_read_them_again(nats_site: Site, party: str) -> None:
    @on(nats_site, party, "ingest")
    async def _(client: Client, ingest: Client, js: JetStreamContext) -> None:
        for to in ("kaoji", party, "U002", party):
            ack = await jetstream(ingest).publish(f"receipt.{A}.{to}", to.encode())
        mine = await pull(client, "RECEIPT", A, party)
        messages = await mine.fetch(2, timeout=10)
        assert [m.data.decode() for m in messages] == [party, party]
        for message in messages:
            await message.ack_sync()
        assert (await js.consumer_info(RECEIPT, party)).ack_floor.stream_seq == ack.seq
        await jetstream(client).reset_consumer(RECEIPT, party, 1)
        assert [m.data.decode() for m in await mine.fetch(2, timeout=10)] == [party, party]


def test_an_answer_aimed_at_the_api_by_an_office_does_nothing(nats_site: Site) -> None:
    """Fact 4: a PubAck has the form of a purge request."""

    @on(nats_site, "ducha")
    async def _(ducha: Client, js: JetStreamContext) -> None:
        before = await state(js)
        aims = [
            f"{p}.STREAM.{verb}.{name}"
            for p in ("$JS.API", API)
            for verb in ("PURGE", "DELETE")
            for name in (INTAKE, LEDGER)
        ]
        aims += [f"intake.{A}.kaoji.{DEDUCTION}.U001", f"ledger.{A}.ducha.U001", f"receipt.{A}.kaoji"]
        for aim in aims:
            await ducha.publish(f"intake.{A}.ducha.{DEDUCTION}.U001", b"{}", reply=aim)
        last = await jetstream(ducha).publish(f"intake.{A}.ducha.{DEDUCTION}.U001", b"{}")
        messages, sequence = before["INTAKE"]
        assert last.seq == sequence + len(aims) + 1
        assert await state(js) == before | {"INTAKE": (messages + len(aims) + 1, last.seq)}


def test_a_stored_payload_aimed_at_the_api_by_a_reader_does_nothing(nats_site: Site) -> None:
    """Fact 4b: for a reader inside CORE, an empty event fetched with the API for its reply deletes the log."""

    @on(nats_site, "ingest", "scorer", "audit")
    async def _(ingest: Client, scorer: Client, audit: Client, js: JetStreamContext) -> None:
        shrunk = json.dumps({"name": LEDGER, "subjects": [f"ledger.{A}.>"], "max_msgs": 1, "discard": "old"}).encode()
        payloads = [b"", shrunk, b"+ACK", b'{"seq":1}']
        tail = await last_entry(ingest, "LEDGER", A)
        start = tail.sequence + 1 if tail else 1
        await publish_batch(ingest, [Message(f"ledger.{A}.ducha.U001", p) for p in payloads], start - 1)
        before = await state(js)
        aims = [
            f"{p}.{call}"
            for p in ("$JS.API", API)
            for call in (
                f"STREAM.DELETE.{LEDGER}",
                f"STREAM.PURGE.{LEDGER}",
                f"STREAM.UPDATE.{LEDGER}",
                f"STREAM.MSG.DELETE.{LEDGER}",
                f"CONSUMER.DELETE.{LEDGER}.scorer",
                f"CONSUMER.CREATE.{LEDGER}",
            )
        ]
        aims += [f"intake.{A}.kaoji.{DEDUCTION}.U001", f"ledger.{A}.kaoji.U002", f"receipt.{A}.kaoji", f"ranking.{A}"]
        for client in (scorer, audit):
            for aim in aims:
                for sequence in range(start, start + len(payloads)):
                    request = json.dumps({"seq": sequence}).encode()
                    await client.publish(f"{API}.DIRECT.GET.{LEDGER}", request, reply=aim)
                if client is scorer:
                    request = json.dumps({"batch": len(payloads), "no_wait": True}).encode()
                    await client.publish(f"{API}.CONSUMER.MSG.NEXT.{LEDGER}.scorer", request, reply=aim)
            read = [entry.data async for entry in read_stream(client, "LEDGER", A, start)]
            assert read == payloads
        assert await state(js) == before
        assert (await js.stream_info(LEDGER)).config.max_msgs == -1
        assert [c.name for c in await js.consumers_info(LEDGER)] == ["scorer"]


def test_inside_core_the_same_trick_deletes_the_log(tmp_path: Path) -> None:
    """The control of the tests above, and the reason why nobody but the provisioner lives in CORE."""

    async def steps() -> None:
        async with embedded(tmp_path, A, OFFICES, UNITS) as server:
            site = Site(server, tmp_path)
            async with site.as_("ingest") as ingest, site.as_("provisioner") as insider:
                await publish_batch(ingest, [Message(f"ledger.{A}.ducha.U001", b"")], 0)
                aim = f"$JS.API.STREAM.DELETE.{LEDGER}"
                await insider.publish(f"$JS.API.DIRECT.GET.{LEDGER}", b'{"seq":1}', reply=aim)
                async with asyncio.timeout(30):
                    with contextlib.suppress(NotFoundError):
                        while True:
                            await insider.jetstream().stream_info(LEDGER)

    asyncio.run(steps())


def test_a_unit_cannot_aim_an_answer_at_another_unit(nats_site: Site) -> None:
    @on(nats_site, "U001", "ingest")
    async def _(unit: Client, ingest: Client, js: JetStreamContext) -> None:
        other = await js.consumer_info(RECEIPT, "U002")
        await jetstream(ingest).publish(f"receipt.{A}.U001", b"")
        before = await state(js)
        ask = f"{API}.CONSUMER.MSG.NEXT.{RECEIPT}.U001"
        aims = [
            f"intake.{A}.U002.appeal-filed-v1.U002",
            f"{API}.CONSUMER.RESET.{RECEIPT}.U002",
            f"{API}.CONSUMER.MSG.NEXT.{RECEIPT}.U002",
        ]
        for aim in aims:
            await unit.publish(ask, b'{"batch":1,"no_wait":true}', reply=aim)
            await unit.publish(f"{API}.CONSUMER.INFO.{RECEIPT}.U001", b"", reply=aim)
        await unit.publish(ask, b'{"batch":1,"no_wait":true}', reply=f"$JS.ACK.{RECEIPT}.U002.1.1.1.1.0")
        assert "publish with reply" in await nats_site.complaint("U001")
        found = await js.consumer_info(RECEIPT, "U002")
        assert (found.delivered, found.ack_floor, found.num_ack_pending) == (
            other.delivered,
            other.ack_floor,
            other.num_ack_pending,
        )
        assert await state(js) == before


def test_the_ranker_s_request_reaches_the_scorer_and_its_answer_comes_back(nats_site: Site) -> None:
    @on(nats_site, "ranker", "scorer")
    async def _(ranker: Client, scorer: Client, _js: JetStreamContext) -> None:
        async def answer(message: Msg) -> None:
            await message.respond(b"a cut")

        await scorer.subscribe(f"cut.{A}", cb=answer)
        await scorer.flush()
        async with asyncio.timeout(10):  # the interest of one account reaches the other a moment after the flush
            while True:
                with contextlib.suppress(NoRespondersError):
                    assert (await ranker.request(f"cut.{A}", b"", 10)).data == b"a cut"
                    break
        ack = await jetstream(ranker).publish(f"ranking.{A}", b"places")
        newest = await last_entry(ranker, "RANKING", A)
        assert newest is not None
        assert (newest.sequence, newest.data) == (ack.seq, b"places")


def test_the_audit_and_the_services_can_read_what_status_shows(nats_site: Site) -> None:
    @on(nats_site, "audit", "scorer", "ingest")
    async def _(audit: Client, scorer: Client, ingest: Client, _js: JetStreamContext) -> None:
        infos = [await jetstream(audit).stream_info(name) for name in (INTAKE, LEDGER, RECEIPT, REFUSED, RANKING)]
        assert [info.config.name for info in infos] == [INTAKE, LEDGER, RECEIPT, REFUSED, RANKING]
        assert (await jetstream(audit).consumer_info(INTAKE, "ingest")).name == "ingest"
        assert (await jetstream(audit).consumer_info(LEDGER, "scorer")).name == "scorer"
        for client in (scorer, ingest):
            check_ledger(await jetstream(client).stream_info(LEDGER), A)


def test_only_the_collecting_office_may_send_the_whole_rulebook_at_once(nats_site: Site) -> None:
    @on(nats_site, "chuangjian", "ducha")
    async def _(collector: Client, ducha: Client, js: JetStreamContext) -> None:
        whole = b"x" * 1_100_000
        await jetstream(collector).publish(f"intake.{A}.chuangjian.assessment-opened-v1.assessment", whole)
        await jetstream(ducha).publish(f"intake.{A}.ducha.{DEDUCTION}.U001", whole[: 127 * 1024])
        before = await state(js)
        cut_off = asyncio.Event()

        async def lost() -> None:
            cut_off.set()

        ducha._disconnected_cb = lost  # noqa: SLF001 - nats-py takes it on connecting only
        await ducha.publish(f"intake.{A}.ducha.{DEDUCTION}.U001", whole[: 129 * 1024])
        await asyncio.wait_for(cut_off.wait(), 10)
        assert await state(js) == before


def test_keys_are_private_stable_and_new_for_new_parties(tmp_path: Path) -> None:
    configure(tmp_path, A, OFFICES, UNITS)
    names = [*OFFICES, *UNITS, *SERVICES, "provisioner"]
    seeds = {name: key_file(tmp_path, name).read_bytes() for name in names}
    assert len(set(seeds.values())) == len(names)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {key_file(tmp_path, name).stat().st_mode & 0o777 for name in names} == {0o600}
    config = configure(tmp_path, A, [*OFFICES, "shenji"], [*UNITS, "U004"]).read_text("utf-8")
    assert {name: key_file(tmp_path, name).read_bytes() for name in names} == seeds
    assert len(list((tmp_path / "keys").iterdir())) == len(names) + 2
    assert not any(seed.decode().strip() in config for seed in seeds.values())
    assert f'"{A}/OFFICE-shenji"' in config
    assert config.count(f'"{A}/UNIT-U004": {{') == 1


def test_a_key_that_is_gone_is_missed_and_not_made_again(tmp_path: Path) -> None:
    config = configure(tmp_path, A, OFFICES, UNITS)
    seeds = {name: key_file(tmp_path, name).read_bytes() for name in ("ducha", "U001", "ingest", "provisioner")}
    for name in seeds:
        key_file(tmp_path, name).unlink()
    with pytest.raises(KeyUnsafe, match="Keys are missing: ducha, U001, ingest, provisioner"):
        configure(tmp_path, A, [*OFFICES, "shenji"], UNITS)
    assert not any(key_file(tmp_path, name).exists() for name in (*seeds, "shenji"))
    config.rename(tmp_path / "old.conf")
    configure(tmp_path, A, OFFICES, UNITS)
    assert all(key_file(tmp_path, name).read_bytes() != seed for name, seed in seeds.items())


def test_one_unit_s_connections_are_few_and_take_nobody_s_place(nats_site: Site) -> None:
    """All the limits together fit under the server's, so nobody can take another's."""

    async def steps() -> None:
        most = Connections()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(most.unit_connections):
                await stack.enter_async_context(nats_site.as_("U001"))
            with pytest.raises(BrokerUnreachable, match="maximum account active connections exceeded"):
                await stack.enter_async_context(nats_site.as_("U001"))
            await stack.enter_async_context(nats_site.as_("U002"))
        config = (nats_site.data / "nats.conf").read_text()
        lines = dict(line.split(": ", 1) for line in config.splitlines() if line.startswith(("accounts: ", "max_conn")))
        made = json.loads(lines["accounts"])
        assert made.pop("SYS") == {}, "nobody has a key of the server's own account"
        limits = [account["limits"] for account in made.values()]
        assert sum(one["max_connections"] for one in limits) == int(lines["max_connections"])

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("assessment", "offices", "units"),
    [
        ("a.b", ["ducha"], ["U001"]),
        ("", ["ducha"], ["U001"]),
        ("a", ["ducha", "Ducha"], ["U001"]),
        ("a", ["ducha"], ["ducha"]),
        ("a", ["ingest"], ["U001"]),
        ("a", ["ducha"], ["provisioner"]),
        ("a", ["督查"], ["U001"]),
        ("a", ["ducha"], ["U 1"]),
        ("a", ["ducha"], [">"]),
        ("a", ["ducha"], ["u" * 65]),
    ],
)
def test_codes_that_cannot_be_told_apart_are_refused(
    tmp_path: Path, assessment: str, offices: list[str], units: list[str]
) -> None:
    with pytest.raises(PartyRefused):
        configure(tmp_path, assessment, offices, units)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_others_can_read_or_that_is_no_key_is_refused(tmp_path: Path) -> None:
    configure(tmp_path, A, OFFICES, UNITS)
    path = key_file(tmp_path, "ducha")
    path.chmod(0o644)
    with pytest.raises(KeyUnsafe, match="chmod 600"):
        configure(tmp_path, A, OFFICES, UNITS)
    path.chmod(0o600)
    path.write_text("SUNOTAKEY\n")
    with pytest.raises(KeyUnsafe) as refusal:
        configure(tmp_path, A, OFFICES, UNITS)
    assert "SUNOTAKEY" not in str(refusal.value)
