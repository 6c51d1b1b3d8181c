"""Two years of one place and two more places at once on one broker: each by its own rights, rules and ledger.

Every day the two years alone; `WUXING_TEST=long` has the other places too, of which one is opened and a year is
archived while the others run.
"""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import httpx
import msgspec
import pytest
from litestar.testing import TestClient

from infra.client import connected, jetstream, pull, read_stream
from infra.folders import parties
from schemas import roster, soundness, subjects
from schemas.receipts import Receipt
from schemas.rulebook import RULEBOOKS
from services import cli
from services.console import app as console
from services.gateway import app as gateway
from services.process import settings, web
from services.process.ending import Exit
from services.process.settings import Settings
from services.site import synthetic
from tests.faults.nodes import free_ports
from tests.faults.works import until
from tests.product import folded, joined, scored

PATIENCE = 600.0
"""Seconds: five processes serve all of them, on a machine that may be busy."""
LONG = os.environ.get("WUXING_TEST") == "long"
#: Assessment, its rulebook, how many of its units; one more is opened while these run.
YEARS = [
    ("medals-2013", "medal-table", 6),
    ("medals-2014", "medal-table", 6),
    *([("information", "information-2013", 2)] if LONG else []),
]
LATER = "later"


class Line(NamedTuple):
    """Who sends what."""

    party: str
    raw: bytes


def lines(book_name: str, assessment: str, count: int, *, settled: bool = True) -> list[Line]:
    book = soundness.load(RULEBOOKS / book_name / "rulebook.toml")
    units = roster.load(RULEBOOKS / book_name / "roster.csv", book)
    chosen = units[:: max(1, len(units) // count)][:count]
    made = synthetic.year(book, chosen, assessment, 5, 30, settled=settled)
    return [Line(*one) for one in made]


class Site:
    """`wuxing up` on a folder of several assessments, and how its commands are asked."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.data = data
        self.environment = {
            **os.environ, "WUXING_DATA": str(data), "NATS_URL": f"nats://127.0.0.1:{self.port}", "WUXING_LOG": "json",
            "WUXING_RANK_SECONDS": "1",
        }  # fmt: skip
        self.lines: dict[str, list[Line]] = {}

    def settings(self, assessment: str) -> Settings:
        return settings.read(self.environment | {"WUXING_ASSESSMENT": assessment})

    def place(self, assessment: str, sent: list[Line]) -> None:
        """A year that was opened: its folder with the event with which its ledger begins."""
        known = self.settings(assessment)
        known.data.mkdir(parents=True, exist_ok=True)
        (known.data / settings.OPENING).write_bytes(sent[0].raw)
        self.lines[assessment] = sent

    def command(self, *arguments: str, assessment: str = "") -> tuple[int, str, str]:
        env = self.environment | ({"WUXING_ASSESSMENT": assessment} if assessment else {})
        done = subprocess.run(
            [sys.executable, "-m", "services", *arguments, "--lang=en"], env=env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """`wuxing up`, from when it says that it is there until it has ended."""
        said = self.data / "up.log"
        command = [sys.executable, "-m", "services", "up", f"--port={self.port}", "--lang=en"]
        command += [*(f"--{name}-port={port}" for name, port in zip(("page", "gateway"), free_ports(2), strict=True))]
        with said.open("wb") as log:
            up = subprocess.Popen(command, env=self.environment, stderr=log, stdout=log)
        try:
            until(
                "the broker", lambda: said.read_text("utf-8"),
                lambda text: "Ctrl-C" in text or up.poll() is not None, patience=PATIENCE,
            )  # fmt: skip
            assert up.poll() is None, said.read_text("utf-8")
            yield
        finally:
            up.send_signal(signal.SIGTERM)
            assert up.wait(60) == 0

    def url(self, name: str) -> str:
        """Where `up` says that the page or the gateway is."""
        found = re.search(rf"{name} (http://127\.0\.0\.1:\d+)", (self.data / "up.log").read_text("utf-8"))
        assert found, "up says where it listens"
        return found[1]

    async def publish(self, assessment: str, sent: list[Line]) -> None:
        known = self.settings(assessment)
        async with connected(known.nats_url, "gateway", known.data) as client:
            for party, raw in sent:
                await jetstream(client).publish(subject(assessment, party, raw), raw)

    def ledger(self, assessment: str) -> list[bytes]:
        async def read() -> list[bytes]:
            known = self.settings(assessment)
            async with connected(known.nats_url, "audit", known.data) as client:
                return [one.data async for one in read_stream(client, "LEDGER", assessment)]

        return asyncio.run(read())

    def until_ranked(self, *names: str) -> dict[str, dict[str, Any]]:
        """What `status` says of these once nothing waits and everything is ranked."""

        def look() -> dict[str, dict[str, Any]]:
            out = io.StringIO()  # in this process, since it is asked again and again
            with patch.dict(os.environ, self.environment), contextlib.redirect_stdout(out):
                code = cli.run(["status", "--format", "json", "--lang=en"])
            found = json.loads(out.getvalue()) if code == 0 else []
            return {one["assessment"]: one for one in (found if isinstance(found, list) else [found])}

        def done(found: dict[str, dict[str, Any]]) -> bool:
            of = [found.get(name) for name in names]
            return all(
                one and one["streams"]["LEDGER"]["last"] > 1 and not one["behind"] and not any(one["waiting"].values())
                for one in of
            )

        found: dict[str, dict[str, Any]] = until("the rankings", look, done, patience=PATIENCE)
        return found


def subject(assessment: str, party: str, raw: bytes) -> str:
    try:
        event = json.loads(raw)
        return subjects.intake(assessment, party, event["type"], event["subject"])
    except (ValueError, KeyError, TypeError):
        return subjects.intake(assessment, party, "unreadable", "assessment")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The assessments placed, `up` running, everything published, and ranked."""
    site = Site(tmp_path_factory.mktemp("site"))
    for assessment, book, count in YEARS:
        site.place(assessment, lines(book, assessment, count))
    with site.running():
        for assessment, sent in site.lines.items():
            asyncio.run(site.publish(assessment, sent))
        site.until_ranked(*site.lines)
        yield site


def test_each_comes_to_what_its_own_ledger_and_rules_give(site: Site) -> None:
    found = site.until_ranked(*site.lines)
    assert set(found) >= {name for name, *_ in YEARS}
    for assessment in site.lines:
        ledger = site.ledger(assessment)
        assert {json.loads(raw)["data"].get("assessment", assessment) for raw in ledger} == {assessment}
        with folded(joined(ledger), []) as again:
            assert scored(again)["digest"] == found[assessment]["digest"], assessment


def test_the_page_and_the_gateway_answer_where_up_says_that_they_are(site: Site) -> None:
    for name in ("page", "gateway"):
        assert httpx.get(f"{site.url(name)}/healthz", timeout=60).status_code == 200
    for name in site.lines:
        board = httpx.get(f"{site.url('page')}/{name}/", timeout=60).text
        unit = re.findall(rf'href="(/{name}/unit/[^"?]+)', board)[0]
        assert httpx.get(f"{site.url('page')}{unit}", timeout=60).status_code == 200


@pytest.mark.parametrize("option", ["--page-port", "--gateway-port"])
def test_up_announces_no_page_on_another_s_port(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--page-port": 0, "--gateway-port": 0} | {option: port}
        assert cli.run(["up", *(f"{name}={one}" for name, one in ports.items()), "--lang=en"]) == Exit.FAILED
    assert f"Choose another {option}." in capsys.readouterr().err


def test_each_has_its_own_folder_keys_and_rights(site: Site) -> None:
    held = {name: parties(site.settings(name).data) for name in site.lines}
    folders = {name: site.settings(name).data for name in site.lines}
    assert len({*folders.values()}) == len(folders)
    assert all(one and one.assessment == name for name, one in held.items())
    keys = [(folder / "keys" / "jury.nk").read_bytes() for name, folder in folders.items() if "medals" in name]
    assert len({*keys}) == 2

    async def across() -> int:
        """An office of one year speaks on the other's subject."""
        async with connected(site.environment["NATS_URL"], "jury", folders["medals-2013"]) as client:
            await client.publish("intake.medals-2014.jury.stage-reached-v1.assessment", b"{}")
            await client.flush()
        known = site.settings("medals-2014")
        async with connected(known.nats_url, "audit", known.data) as client:
            return (await jetstream(client).stream_info("INTAKE-medals-2014")).state.messages

    assert asyncio.run(across()) == 0


def test_the_console_and_the_gateway_serve_each_under_its_code(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    shown = {name: partial(console.create_app, site.settings(name).snapshots) for name in site.lines}
    with TestClient(web.Several(lambda: shown, partial(console.front, "en"))) as pages:
        assert {f'href="/{name}/"' in pages.get("/").text for name in site.lines} == {True}
        for name in site.lines:
            page = pages.get(f"/{name}")
            assert page.status_code == 200
            assert name in page.text
            inside = re.findall(r'(?:href|src|action|hx-get)="(/[^"]*)"', page.text)
            assert len(inside) > 20
            assert [one for one in inside if not one.startswith(f"/{name}/")] == []
            assert pages.get(next(one for one in inside if one.endswith("console.css"))).status_code == 200
        assert pages.get("/audit").status_code == 404
    doors = {name: partial(gateway.made, site.settings(name)) for name in site.lines}
    with TestClient(web.Several(lambda: doors, gateway.front)) as answers:
        assert set(answers.get("/").json()["assessments"]) == set(site.lines)
        assert [answers.get(f"/{name}/v1/events").status_code for name in site.lines] == [401] * len(site.lines)
        assert answers.get("/v1/events").status_code == 404
    with TestClient(web.Several(lambda: dict([next(iter(shown.items()))]), partial(console.front, "en"))) as alone:
        assert alone.get("/").status_code == alone.get("/audit").status_code == 200


def test_list_shows_them_all_and_a_command_that_takes_one_asks_which(site: Site) -> None:
    code, out, _ = site.command("list", "--format", "json")
    found = {one["assessment"]: one for one in json.loads(out)}
    assert code == 0
    assert {*found} >= {*site.lines}
    for assessment in site.lines:
        assert found[assessment]["sequence"] == found[assessment]["snapshot_sequence"] == len(site.ledger(assessment))
        assert Path(found[assessment]["snapshot"]).is_file()
    code, _, err = site.command("explain", "U001")
    assert code == 2
    assert "WUXING_ASSESSMENT" in err
    assert all(name in err for name in site.lines)


@pytest.mark.long
def test_another_is_opened_while_the_others_run(site: Site) -> None:
    book = RULEBOOKS / "new"
    ledgers = {name: site.ledger(name) for name in site.lines}
    code, out, err = site.command(
        "open", LATER, "--rulebook", str(book / "rulebook.toml"), "--roster", str(book / "roster.csv"), "--yes"
    )
    assert (code, json.loads(out)["assessment"] if code == 0 else err) == (0, LATER)
    sent = lines("new", LATER, 100, settled=False)
    asyncio.run(site.publish(LATER, sent[1:]))
    assert site.until_ranked(LATER, *ledgers)[LATER]["ranked"] > 1
    assert {name: site.ledger(name) for name in ledgers} == ledgers


@pytest.mark.long
def test_a_year_that_is_archived_takes_nothing_more_and_the_others_go_on(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "medals.zip"
    code, out, err = site.command("archive", str(file), "--yes", assessment="medals-2014")
    assert (code, err) == (0, err)
    assert json.loads(out)["state"] == "finalised"
    assert cli.run(["verify", str(file), "--lang", "en"]) == 0
    sent, known = site.lines["medals-2014"], site.settings("medals-2014")
    more = next(one for one in sent if b"recorded" in one.raw)
    asyncio.run(site.publish("medals-2014", [more]))

    async def told() -> Receipt:
        async with connected(known.nats_url, more.party, known.data) as client:
            receipts = await pull(client, "RECEIPT", "medals-2014", more.party)
            while True:
                for message in await receipts.fetch(100, timeout=60):
                    found = msgspec.json.decode(message.data, type=Receipt)
                    if found.reason == "archived":
                        return found

    receipt = asyncio.run(told())
    assert (receipt.outcome, receipt.sequence) == ("refused", None)
    assert "archived" in (receipt.message or "")
    code, out, _ = site.command("list", "--format", "json")
    states = {one["assessment"]: one["state"] for one in json.loads(out)}
    assert (code, states["medals-2014"]) == (0, "archived")
    assert len(site.ledger("medals-2014")) == json.loads(Path(known.data / "archived.json").read_bytes())["sequence"]
    before = len(site.ledger("information"))
    asyncio.run(site.publish("information", [site.lines["information"][1]]))
    assert site.until_ranked("information")["information"]["ranked"] == before + 1


@pytest.mark.long
def test_what_is_not_final_is_archived_only_when_told(site: Site, tmp_path: Path) -> None:
    code, _, err = site.command("archive", str(tmp_path / "a.zip"), "--yes", assessment=LATER)
    assert (code, "not finalised" in err) == (1, True)
    assert not (tmp_path / "a.zip").exists()
