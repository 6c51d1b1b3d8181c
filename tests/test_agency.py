"""An agency's own program gets by on the documents alone: the examples run, and AsyncAPI says what the broker has."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nats
import pytest

from infra.client import connected, jetstream, pull
from infra.rights import API, STOCK_INBOX, configure, inbox, key_file, party_rights
from infra.streams import RECEIPT_DAYS, declared_durables, stream
from schemas import documents
from tests.broker import ASSESSMENT, OFFICES, UNITS, Site
from tests.test_ingest import A, Desk, event, story

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PAGE = (ROOT / "docs" / "agency.md").read_text(encoding="utf-8")
ASYNCAPI = documents.documents()["asyncapi"]
DEDUCTION = f"intake.{ASSESSMENT}.{{}}.deduction-recorded-v1.U001"


# -- The examples ------------------------------------------------------------------------------------------------------


async def told(desk: Desk, folder: Path, raw: bytes, *command: str) -> tuple[int, str, dict[str, Any]]:
    """What an example prints and how it ends, when ingest takes what it has sent."""
    (folder / "event.json").write_bytes(raw)
    said = {
        "NATS_URL": desk.server.url,
        "WUXING_ASSESSMENT": A,
        "WUXING_PARTY": "ducha",
        "WUXING_KEY": str(key_file(desk.data, "ducha")),
    }
    asked = (await desk.js.stream_info(stream("INTAKE", A))).state.last_seq
    run = await asyncio.create_subprocess_exec(
        *command, str(folder / "event.json"), env=os.environ | said, stdout=subprocess.PIPE
    )
    while run.returncode is None:
        if (await desk.js.stream_info(stream("INTAKE", A))).state.last_seq > asked:
            break
        await asyncio.sleep(0.05)
    async with desk.ingest():
        pass
    out, _ = await asyncio.wait_for(run.communicate(), 90)
    first, second = out.decode().splitlines()
    assert run.returncode is not None
    return run.returncode, first, json.loads(second)


def both(tmp_path: Path, *command: str) -> None:
    """An event that passes and one that does not, by the program of an example."""

    async def steps(desk: Desk) -> None:
        code, first, receipt = await told(desk, tmp_path, event("a"), *command)
        assert (code, first, receipt["outcome"], receipt["sequence"]) == (0, "stored: intake sequence 2", "accepted", 2)
        wrong = json.dumps(json.loads(event("b")) | {"subject": "U999"}).encode()
        code, first, receipt = await told(desk, tmp_path, wrong, *command)
        assert (code, first, receipt["reason"]) == (1, "stored: intake sequence 3", "unknown_unit")

    story(tmp_path / "site", steps)


def test_the_python_example_sends_and_hears_with_nats_py_alone(tmp_path: Path) -> None:
    both(tmp_path, sys.executable, str(EXAMPLES / "agency.py"))


@pytest.mark.long  # needs Node and the npm registry
def test_the_javascript_example_sends_and_hears_with_the_client_of_npm(tmp_path: Path) -> None:
    assert shutil.which("node"), "this needs Node 18 or newer"
    shutil.copy(EXAMPLES / "agency.mjs", tmp_path)
    subprocess.run(["npm", "install", "--silent", "--no-save", "nats@2"], cwd=tmp_path, check=True)
    both(tmp_path, "node", str(tmp_path / "agency.mjs"))


def test_the_page_shows_the_examples_as_they_run_and_no_example_knows_the_product() -> None:
    for file in ("agency.py", "agency.mjs"):
        text = (EXAMPLES / file).read_text(encoding="utf-8")
        assert text in PAGE
        assert not re.search(r"import.*\b(infra|schemas|services)\b", text)


# -- The document ------------------------------------------------------------------------------------------------------


def test_asyncapi_names_the_prefixes_and_durables_that_the_broker_has() -> None:
    found = ASYNCAPI["x-jetstream"]
    assert (found["apiPrefix"], documents.DAYS) == (API, RECEIPT_DAYS)
    assert found["inboxPrefixes"] == [STOCK_INBOX, inbox("{party}")]
    own = {(one, config.durable_name) for one, config in declared_durables(A, ["ducha"]) if config.name == "ducha"}
    said = {
        (d["stream"].format(assessment=A), d["durable"].format(party="ducha")): d["parties"] for d in found["durables"]
    }
    assert {one for one, who in said.items() if who == "all"} == own


def test_asyncapi_names_every_subject_that_an_office_may_publish_to_and_hear() -> None:
    channels = ASYNCAPI["channels"]
    names = {"assessment": A, "party": "ducha", "type": "*", "subject": "*", "token": ">", "inbox": STOCK_INBOX}
    addresses = {
        channels[name]["address"].format(**names, stream=stream(kind, A))
        for name in ("intake", "receipt", "refused", "next", "info", "reset", "checkpoint", "acknowledgement", "inbox")
        for kind, who in documents.DURABLES.items()
        if who == "all"
    }
    rights = party_rights(A, "ducha")
    assert addresses == {one.local for one in rights.says} | {*rights.hears, *rights.listens}
    assert {name for name, one in ASYNCAPI["operations"].items() if "reply" in one} == set(documents.REPLIES)


def test_every_channel_can_be_reached_by_who_has_a_key() -> None:
    assert ASYNCAPI["servers"]["site"]["security"] == [{"$ref": "#/components/securitySchemes/nkey"}]
    for one in ASYNCAPI["channels"].values():
        assert one["servers"] == [{"$ref": "#/servers/site"}]
        assert set(re.findall(r"{(\w+)}", one["address"])) == set(one["parameters"])


# -- Stock clients -----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def stock(site: Site, *parties: str) -> AsyncIterator[list[Client]]:
    """Connections as nats-py makes them when it is told an address and a key, and nothing else."""
    made = [await nats.connect(site.server.url, nkeys_seed=str(key_file(site.data, party))) for party in parties]
    try:
        yield made
    finally:
        for one in made:
            await one.close()


def test_a_stock_client_needs_no_inbox_of_its_own_and_hears_nobody_else_s(nats_site: Site) -> None:
    async def steps() -> None:
        async with stock(nats_site, "ducha", "kaoji", "U001") as (ducha, kaoji, unit):
            heard = [await one.subscribe(f"{STOCK_INBOX}.>") for one in (ducha, unit)]
            first = await ducha.jetstream().publish(DEDUCTION.format("ducha"), b"{}")
            second = await kaoji.jetstream().publish(DEDUCTION.format("kaoji"), b"{}")
            assert second.seq == first.seq + 1
            answers = await pull(kaoji, "RECEIPT", ASSESSMENT, "kaoji")
            assert await answers.consumer_info()
            mine = await heard[0].next_msg(timeout=5)
            assert json.loads(mine.data)["seq"] == first.seq
            await asyncio.gather(ducha.flush(), unit.flush())
            assert [one.pending_msgs for one in heard] == [0, 0]

    asyncio.run(steps())


def test_who_gives_the_broker_an_id_that_it_compares_is_refused_by_name_at_the_first_try(tmp_path: Path) -> None:
    async def steps(desk: Desk) -> None:
        async with connected(desk.server.url, "ducha", desk.data) as client:
            js, subject = jetstream(client), f"intake.{A}.ducha.deduction-recorded-v1.U001"
            await js.publish(subject, event("a"), headers={"Nats-Msg-Id": "1"})
            await js.publish(subject, event("a"))
        async with desk.ingest():
            pass
        assert await desk.refused() == [(2, "message_id")]
        told = [(one.id, one.outcome, one.sequence) for one in await desk.receipts()]
        assert told == [("a", "refused", None), ("a", "accepted", 2)]

    story(tmp_path, steps)


def test_an_id_of_another_party_s_message_costs_no_event_of_who_sends_none_and_is_told_to_who_does(
    nats_site: Site,
) -> None:
    """The broker compares Nats-Msg-Id over a whole stream, for 0.1 s at least; it says so, and takes a later try."""

    async def steps() -> None:
        async with stock(nats_site, "ducha", "kaoji") as (ducha, kaoji):
            theirs, mine, header = DEDUCTION.format("kaoji"), DEDUCTION.format("ducha"), {"Nats-Msg-Id": "1"}
            first = await kaoji.jetstream().publish(theirs, b"{}", headers=header)
            plain = await ducha.jetstream().publish(mine, b'{"plain":1}')
            assert (plain.seq, plain.duplicate) == (first.seq + 1, None)
            while True:  # until both came within the window
                await kaoji.jetstream().publish(theirs, b"{}", headers=header)
                swallowed = await ducha.jetstream().publish(mine, b'{"marked":1}', headers=header)
                if swallowed.duplicate:
                    break
            while (again := await ducha.jetstream().publish(mine, b'{"marked":1}', headers=header)).duplicate:
                pass
            assert again.seq > swallowed.seq

    asyncio.run(steps())


def test_no_program_of_ours_gives_the_broker_an_id_that_it_compares() -> None:
    texts = [file.read_text(encoding="utf-8") for room in ("infra", "services") for file in (ROOT / room).rglob("*.py")]
    assert sum(len(re.findall(r"Nats-Msg-Id|Header\.MSG_ID", text)) for text in texts) == 2, "named in limits.py alone"


def test_the_configuration_lets_every_party_hear_its_client_s_inbox(tmp_path: Path) -> None:
    text = configure(tmp_path, ASSESSMENT, OFFICES, UNITS).read_text("utf-8")
    assert text.count(f'"{STOCK_INBOX}.>"') == len(OFFICES) + len(UNITS)
