"""The page as a desk, against a real broker and the real ingest: each role does its work with a browser alone."""

import asyncio
import csv
import io
import json
import os
import re
import socket
import threading
import zipfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import pytest
import uvicorn
from openpyxl import Workbook, load_workbook

from infra.client import Entry, read_stream
from infra.folders import COLLECTOR
from infra.rights import configure
from infra.server import EmbeddedServer
from schemas import subjects
from schemas.rulebook import PARAMETERS
from schemas.year import Year
from services.console import tables
from services.console.app import create_app
from services.console.door import COOKIE, Door, access, door
from services.gateway import desk as desks
from services.gateway import keys
from services.ingest.check import opened
from services.office import template
from services.process.ending import Exit, Stop
from services.process.settings import read
from services.scorer import file
from services.snapshot import make
from tests.broker import ASSESSMENT, Site, _provision
from tests.product import BOOK, BOOK_JSON, SHIPPED
from tests.test_gateway import event, ingesting

T = TypeVar("T")
UNITS = SHIPPED[::18]
CODES = [unit["unit"] for unit in UNITS]
FIRST = CODES[0]
APPEALS = BOOK.roles.appeals
assert APPEALS
OFFICES = tuple(dict.fromkeys(["ducha", "kaoji", COLLECTOR, APPEALS]))
#: Seconds: no answer here hangs on how busy the machine is.
SLOW = 300
OPENING = event(
    "open", source=f"/offices/{COLLECTOR}", type="assessment.opened.v1", subject="assessment",
    data={"assessment": ASSESSMENT, "rulebook": BOOK_JSON, "roster": UNITS},
)  # fmt: skip


class Page:
    """The running page, with browsers that have signed in and a ranker that is told when to rank."""

    def __init__(self, url: str, site: Site, at: Door, secrets: dict[str, str]) -> None:
        self.url, self.site, self.at, self.keys = url, site, at, secrets
        self.browsers: dict[str, httpx.Client] = {}

    def as_(self, party: str | None, lang: str = "en") -> httpx.Client:
        """A browser, of a party that has signed in or of the public."""
        name = f"{party} {lang}"
        if name not in self.browsers:
            made = self.browsers[name] = httpx.Client(
                base_url=self.url, headers={"accept-language": lang, "origin": self.url}, timeout=SLOW
            )
            if party:
                answer = made.post("/sign-in", data={"key": self.keys[party]})
                assert (answer.status_code, answer.headers["location"]) == (303, "/desk")
        return self.browsers[name]

    def token(self, browser: httpx.Client) -> str:
        return str(re.findall(r'name="token" value="([0-9a-f]{32})"', browser.get("/sign-in").text)[0])

    def hand_in(self, browser: httpx.Client, address: str, **more: Any) -> str:
        """What a form leads to: the page of what it would do."""
        data = {"token": self.token(browser), **more.pop("data", {})}
        answer = browser.post(address, data=data, **more)
        assert answer.status_code == 303, _said(answer)
        return str(answer.headers["location"])

    def send(self, browser: httpx.Client, place: str) -> str:
        """Send what lies there, and look until every row has its receipt."""
        browser.post(place, data={"token": self.token(browser), "do": "send"})
        while "Receipts are coming in" in (text := browser.get(place).text):
            pass
        return unescape(text)

    def enter(self, browser: httpx.Client, **cells: str) -> str:
        place = self.hand_in(browser, "/desk/enter", data={"time": "2013-06-01T09:30", **cells})
        return self.send(browser, place)

    def ledger(self) -> list[Entry]:
        async def told() -> list[Entry]:
            async with self.site.as_("audit") as client:
                return [entry async for entry in read_stream(client, "LEDGER", ASSESSMENT)]

        return apart(told())

    def rank(self) -> int:
        """Publish a snapshot of the ledger as it is, where the last one is not."""
        data = self.site.data
        lines = [entry.data for entry in self.ledger()]
        if (data / "snapshots" / f"{ASSESSMENT}-{len(lines)}.duckdb").exists():
            return len(lines)
        (data / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        draft = data / "draft.duckdb"
        folded = file.fold(data / "events.jsonl", Year(*opened(OPENING)), target=draft)
        make.complete(folded.con, folded.year, folded.lines)
        folded.con.close()
        make.publish(draft, data / "snapshots", f"{ASSESSMENT}-{len(lines)}.duckdb")
        return len(lines)


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread of its own: whoever drives a browser has a loop already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def stranger() -> httpx.Client:
    """A browser without a session."""
    return httpx.Client(timeout=SLOW)


def _said(answer: httpx.Response) -> str:
    return unescape(re.sub(r"<[^>]+>|\s+", " ", answer.text))[-1500:]


@contextmanager
def running(data: Path) -> Iterator[Page]:
    """A small year on a broker of its own, with ingest and the page; three events are in its ledger and ranked."""
    configure(data, ASSESSMENT, OFFICES, CODES)
    (data / "opening.json").write_bytes(OPENING)
    secrets = {one: keys.make(keys.file(data), one) for one in (*OFFICES, FIRST, "audit")}
    with EmbeddedServer(data) as server:
        site = Site(server, data)
        apart(_provision(site))
        known = read({"NATS_URL": server.url, "WUXING_DATA": os.fspath(data), "WUXING_ASSESSMENT": ASSESSMENT})
        at = door(known, None)
        assert at is not None
        with _ingest(site), _served(create_app(data / "snapshots", at=at)) as url:
            made = Page(url, site, at, secrets)
            while not (at.desk and at.desk.connected):
                stranger().get(f"{url}/healthz")
            _publish(
                site, (COLLECTOR, OPENING), ("ducha", event("d0", subject=FIRST)),
                ("ducha", event("d1", subject=CODES[1])),
            )  # fmt: skip
            while len(made.ledger()) < 3:
                pass
            made.rank()
            yield made


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with pytest.MonkeyPatch.context() as patched, running(tmp_path_factory.mktemp("desk")) as made:
        patched.setattr(desks, "PATIENCE", 20.0)
        yield made


def _publish(site: Site, *sent: tuple[str, bytes]) -> None:
    async def told() -> None:
        for party, raw in sent:
            async with site.as_(party) as client:
                found = json.loads(raw)
                subject = subjects.intake(ASSESSMENT, party, found["type"], found["subject"])
                await client.request(subject, raw, timeout=30)

    apart(told())


class _Thread(threading.Thread):
    """A coroutine in a loop of its own, until it is told to end."""

    def __init__(self, work: Callable[[asyncio.Event], Any]) -> None:
        super().__init__(daemon=True)
        self.work, self.loop, self.ready = work, asyncio.new_event_loop(), threading.Event()

    def run(self) -> None:
        self.loop.run_until_complete(self._run())

    async def _run(self) -> None:
        self.end = asyncio.Event()
        self.ready.set()
        await self.work(self.end)

    def __enter__(self) -> Self:
        self.start()
        self.ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.end.set)
        self.join(30)


def _ingest(site: Site) -> _Thread:
    async def work(end: asyncio.Event) -> None:
        async with ingesting(site):
            await end.wait()

    return _Thread(work)


class _served:  # noqa: N801 - a context
    """The page on a port of its own."""

    def __init__(self, app: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> str:
        self.thread.start()
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()


def sheet(*rows: str) -> bytes:
    head = "type,unit,item,matter,ground,reason,time\n"
    return (head + "".join(f"deduction.recorded.v1,{row},2013-06-01 09:30\n" for row in rows)).encode()


# Signing in ----------------------------------------------------------------------------------------------------------


def test_a_session_is_a_cookie_that_no_script_and_no_other_page_has_and_that_ends_with_its_key(page: Page) -> None:
    fresh = httpx.Client(base_url=page.url, headers={"accept-language": "en"}, timeout=SLOW)
    assert fresh.post("/sign-in", data={"key": "wuxing_ducha_x"}).status_code == 403
    spare = keys.make(keys.file(page.site.data), "kaoji")
    answer = fresh.post("/sign-in", data={"key": f" {spare} "})
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "max-age=28800", "path=/"))
    assert spare not in str(fresh.cookies)
    assert "kaoji" in fresh.get("/desk").text
    assert fresh.get("/desk").headers["cache-control"] == "no-store"
    held = fresh.cookies[COOKIE]
    party, until, mark, signed = held.split(".")
    for forged in (
        f"ducha.{until}.{mark}.{signed}", f"{party}.{int(until) + 1}.{mark}.{signed}", f"{party}.{until}.{mark}.x", "x",
    ):  # fmt: skip
        other = stranger().get(f"{page.url}/desk", headers={"cookie": f"{COOKIE}={forged}"})
        assert other.status_code == 403
    page.keys["kaoji"] = keys.make(keys.file(page.site.data), "kaoji")
    assert fresh.get("/desk").status_code == 403


def test_a_session_has_an_end(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = page.at.sign_in(page.keys["ducha"])
    assert page.at.who(cookie, BOOK)
    monkeypatch.setattr("services.console.door.time.time", lambda: 4e9)
    assert page.at.who(cookie, BOOK) is None


def test_a_session_made_while_the_clock_was_years_ahead_ends_with_that(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr("services.console.door.time.time", lambda: 4e9)
        cookie = page.at.sign_in(page.keys["ducha"])
        assert page.at.who(cookie, BOOK)
    assert page.at.who(cookie, BOOK) is None


def test_a_key_in_the_clear_is_not_asked_for_and_not_taken(page: Page) -> None:
    proxied = {"x-forwarded-for": "192.0.2.1", "accept-language": "en"}
    assert 'name="key"' not in stranger().get(f"{page.url}/sign-in", headers=proxied).text
    asked = {"headers": proxied, "data": {"key": page.keys["ducha"]}}
    assert stranger().post(f"{page.url}/sign-in", **asked).status_code == 403  # type: ignore[arg-type]
    asked["headers"] = proxied | {"x-forwarded-proto": "https"}
    answer = stranger().post(f"{page.url}/sign-in", **asked)  # type: ignore[arg-type]
    assert (answer.status_code, "secure" in answer.headers["set-cookie"].lower()) == (303, True)


def test_no_page_of_another_s_sends_a_form(page: Page) -> None:
    browser = page.as_("ducha")
    form = {"type": "item.closed.v1", "item": "1.1", "time": "2013-06-01T09:30"}
    token, before = page.token(browser), len(page.ledger())
    for data, headers in (
        (form, {}), ({**form, "token": "0" * 32}, {}), ({**form, "token": page.token(page.as_(COLLECTOR))}, {}),
        ({**form, "token": token}, {"origin": "http://evil.example"}), ({**form, "token": token}, {"origin": "null"}),
    ):  # fmt: skip
        assert browser.post("/desk/enter", data=data, headers=headers).status_code == 403
    assert stranger().post(f"{page.url}/desk/enter", data={**form, "token": token}).status_code == 403
    assert len(page.ledger()) == before


def test_what_each_role_reads_stands_in_one_file(page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rooms = {"public": frozenset({"board"}), "unit": frozenset({"board", "appeals"})}
    monkeypatch.setattr(page.at, "access", rooms)
    own, other = f"/unit/{FIRST}", f"/unit/{CODES[1]}"
    for party, seen, hidden in (
        (None, ["/", "/search?q=U"], [own, "/audit", "/event/1", "/snapshot.duckdb", "/sql", "/matrix", "/appeals"]),
        (FIRST, ["/", own, "/appeals"], [other, "/audit", "/sql", "/snapshot.duckdb"]),
        ("audit", [own, other, "/audit", "/sql", "/matrix"], []),
        (COLLECTOR, [own, "/audit"], []),
        ("ducha", [own, "/audit"], []),
    ):
        browser = page.as_(party)
        assert {path: browser.get(path).status_code for path in (*seen, *hidden)} == {
            **dict.fromkeys(seen, 200), **dict.fromkeys(hidden, 403),
        }  # fmt: skip
    assert page.as_(None).post("/sql", data={"query": "SELECT 1"}).status_code == 403
    (tmp_path / "access.toml").write_text('public = ["board"]\n')
    assert access(tmp_path) == {"public": frozenset({"board"})}
    for text in ('public = ["everything"]', 'reader = ["board"]', "public = 1", "public"):
        (tmp_path / "access.toml").write_text(text)
        with pytest.raises(Stop) as stop:
            access(tmp_path)
        assert stop.value.code == Exit.USE


# Handing in ----------------------------------------------------------------------------------------------------------


def test_an_office_hands_in_a_workbook_looks_what_it_does_sends_it_and_has_it_back_with_outcomes(page: Page) -> None:
    browser, before = page.as_("ducha"), len(page.ledger())
    rows = sheet(
        f"{CODES[2]},1.1,m7,no_feedback,逾期",
        "U999,1.1,m8,no_feedback,逾期",
        f"{FIRST},1.1,m1,no_feedback,逾期未反馈两次",
    )
    place = page.hand_in(browser, "/desk/upload", files={"file": ("五月 上.csv", rows)})
    tried = unescape(browser.get(place).text)
    assert len(page.ledger()) == before, "nothing is sent by looking"
    assert all(word in tried for word in ("unknown_unit", "a correction?", "Send 1 event<", f"/unit/{CODES[2]}"))
    assert page.as_(COLLECTOR).get(place).status_code == 404, "a tray is its party's alone"
    replaced = page.hand_in(browser, place, data={"do": "replace"})
    assert "Send 3 events" in browser.get(replaced).text
    sent = page.send(browser, place)
    assert sent.count('o-accepted">accepted') == 2
    stored = page.ledger()[before:]
    kinds = [json.loads(entry.data)["type"] for entry in stored]
    assert kinds == ["deduction.recorded.v1", "event.revoked.v1", "deduction.recorded.v1"]
    assert {entry.subject.split(".")[2] for entry in stored} == {"ducha"}
    book = load_workbook(io.BytesIO(browser.get(f"{place}/file").content)).worksheets[0]
    told = [[cell.value for cell in row][-4:] for row in book.iter_rows()]
    assert [row[0] for row in told] == ["#outcome", "accepted", "refused", "accepted"]
    page.rank()
    again = page.hand_in(browser, "/desk/upload", files={"file": ("again.csv", rows)})
    assert browser.get(again).text.count("there already</span>") == 2


@pytest.mark.parametrize(
    ("name", "raw", "status"),
    [
        ("", b"", 400),
        ("x.xlsx", b"PK\x03\x04broken", 400),
        ("x.csv", b"a,b\n1,2\n", 400),
        ("x.csv", b"x" * 9_000_000, 413),
    ],
)
def test_what_is_no_workbook_is_refused_by_its_own_name_and_no_folder_is_shown(
    page: Page, name: str, raw: bytes, status: int
) -> None:
    browser = page.as_("ducha")
    files = {"file": (name, raw)} if name else {}
    answer = browser.post("/desk/upload", data={"token": page.token(browser)}, files=files or {"none": b""})
    assert (answer.status_code, "/tmp" in answer.text) == (status, False)


def downloaded(browser: httpx.Client) -> Workbook:
    """A party's own workbook, as the link on its desk gives it."""
    assert 'href="/desk/workbook"' in browser.get("/desk").text
    answer = browser.get("/desk/workbook")
    assert (answer.status_code, answer.headers["content-type"]) == (200, tables.XLSX)
    assert answer.headers["cache-control"] == "no-store"
    return load_workbook(io.BytesIO(answer.content))


def filled(book: Workbook, title: str, line: int, **cells: str) -> bytes:
    """The workbook with some cells of a line of a sheet filled in; lines are counted under the header."""
    page = book[title]
    columns = {cell.value: cell.column for cell in page[template.ABOVE + 1]}
    for column, text in cells.items():
        page.cell(template.ABOVE + 2 + line, columns[column]).value = text
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_an_office_downloads_its_workbook_fills_in_a_line_and_hands_it_in(page: Page) -> None:
    for lang, title in (("zh", "扣分"), ("en", "Deductions")):
        browser = page.as_("ducha", lang)
        book = downloaded(browser)
        named = browser.get("/desk/workbook?download=csv").headers["content-disposition"]
        assert named == "attachment; filename=\"ducha.xlsx\"; filename*=UTF-8''ducha.xlsx"
        cells = {"unit": CODES[4], "item": "1.1", "matter": f"下载 {lang}", "ground": "no_feedback", "reason": "逾期"}
        raw = filled(book, title, 0, **cells, time="2013-06-03 09:30")
        place = page.hand_in(browser, "/desk/upload", files={"file": ("ducha.xlsx", raw)})
        assert page.send(browser, place).count("o-accepted") == 1
        assert json.loads(page.ledger()[-1].data)["data"]["matter"] == f"下载 {lang}"


def test_a_workbook_is_its_party_s_own_and_nobody_else_has_one(page: Page) -> None:
    assert "Adoptions" in downloaded(page.as_(COLLECTOR)).sheetnames
    assert {"Appeals", "Revocations"} < {*downloaded(page.as_(FIRST)).sheetnames}
    assert "Sign in first." in (answer := page.as_(None).get("/desk/workbook")).text
    assert answer.status_code == 403
    assert page.as_("audit").get("/desk/workbook").status_code == 403
    assert "/desk/workbook" not in page.as_("audit").get("/desk").text


def test_before_there_is_a_snapshot_and_without_a_broker_the_workbook_is_of_the_year_as_it_opens(
    page: Page, tmp_path: Path
) -> None:
    at = door(page.at.settings, None)
    assert at is not None
    at.desk = None
    with _served(create_app(tmp_path, at=at)) as url:
        browser = httpx.Client(base_url=url, headers={"accept-language": "en", "origin": url}, timeout=SLOW)
        assert browser.post("/sign-in", data={"key": page.keys[COLLECTOR]}).status_code == 303
        book = downloaded(browser)
    head, *lines = book["Adoptions"].iter_rows(min_row=template.ABOVE + 1, max_col=3, values_only=True)
    assert head[2] == "reading"
    assert {one.name for one in BOOK.reading} < {str(line[2]) for line in lines}


def test_the_appeals_office_decides_on_the_line_that_its_workbook_has_for_an_open_appeal(page: Page) -> None:
    unit, office = page.as_(FIRST), page.as_(APPEALS)
    _publish(page.site, ("ducha", event("disputed", subject=FIRST)))
    about = {"target_source": "/offices/ducha", "target_id": "disputed"}
    page.enter(unit, type="appeal.filed.v1", unit=FIRST, statement="回执在此", **about)
    filed = json.loads(page.ledger()[-1].data)
    page.rank()
    book = downloaded(office)
    lines = list(book["Decisions"].iter_rows(min_row=template.ABOVE + 2, values_only=True))
    (line,) = (n for n, row in enumerate(lines) if filed["id"] in row)
    assert "回执在此" in lines[line]
    raw = filled(book, "Decisions", line, outcome="upheld", reason="查明属实", time="2013-06-20 09:30")
    place = page.hand_in(office, "/desk/upload", files={"file": ("gongwei.xlsx", raw)})
    assert page.send(office, place).count("o-accepted") == 1
    sent = json.loads(page.ledger()[-1].data)
    assert (sent["type"], sent["data"]["appeal"]["id"]) == ("appeal.decided.v1", filed["id"])


def test_one_event_is_entered_by_a_form_of_its_item_and_revoked_from_its_page(page: Page) -> None:
    browser = page.as_("ducha", "zh")
    assert "扣分" in browser.get("/desk").text
    asked = browser.get("/desk/enter?type=deduction.recorded.v1&item=1.1").text
    assert all(word in asked for word in ('name="ground"', 'name="matter"', f'value="{FIRST}"', "datetime-local"))
    assert browser.get("/desk/enter?type=stage.reached.v1").status_code == 404
    place = page.hand_in(browser, "/desk/enter", data={
        "type": "deduction.recorded.v1", "item": "1.1", "unit": FIRST, "matter": "表单", "ground": "no_feedback",
        "reason": "逾期 <b>", "evidence": "督查通报5\r\n督查通报6", "time": "2013-06-02T10:00",
    })  # fmt: skip
    page.send(browser, place)
    entry = page.ledger()[-1]
    found = json.loads(entry.data)
    assert found["data"]["evidence"] == ["督查通报5", "督查通报6"]
    assert (found["time"], found["source"]) == ("2013-06-02T10:00:00+08:00", "/offices/ducha")
    seq = page.rank()
    link = re.findall(r'href="(/desk/enter\?type=event\.revoked[^"]+)"', browser.get(f"/event/{seq}").text)[0]
    assert f'value="{found["id"]}"' in browser.get(unescape(link)).text
    assert "event.revoked" not in page.as_(COLLECTOR).get(f"/event/{seq}").text, "another's event"
    page.enter(
        browser,
        type="event.revoked.v1",
        unit=FIRST,
        target_source="/offices/ducha",
        target_id=found["id"],
        reason="误录",
    )
    assert json.loads(page.ledger()[-1].data)["data"]["target"]["id"] == found["id"]


def test_a_unit_appeals_from_its_statement_withdraws_and_the_appeals_office_decides_beside_the_prospects(
    page: Page,
) -> None:
    unit, office = page.as_(FIRST), page.as_(APPEALS)
    page.rank()
    links = re.findall(r'href="(/desk/enter\?type=appeal\.filed[^"]+)"', unit.get(f"/unit/{FIRST}").text)
    assert links
    assert "appeal.filed" not in unit.get(f"/unit/{CODES[1]}").text
    assert re.search(r'2013-\d\d-\d\d <span class="tag p-late">over</span>', unit.get("/desk").text)
    cells = dict(re.findall(r'(target_\w+)=([^&"]+)', unescape(links[0])))
    assert "accepted" in page.enter(unit, type="appeal.filed.v1", unit=FIRST, statement="已按期反馈", **cells)
    first = json.loads(page.ledger()[-1].data)
    named = {"target_source": first["source"], "target_id": first["id"]}
    page.enter(unit, type="event.revoked.v1", unit=FIRST, reason="撤回", **named)
    page.enter(unit, type="appeal.filed.v1", unit=FIRST, statement="再次申诉", **cells)
    second = json.loads(page.ledger()[-1].data)
    at = page.rank()
    assert page.as_(None).get("/appeals").text.count("再次申诉") == 1
    shown = unescape(office.get(f"/appeals/{at}").text)
    assert shown.count('name="outcome"') == shown.count("Decide so") >= 2
    assert f"/unit/{FIRST}" in shown
    assert "Decide so" not in page.as_(FIRST).get(f"/appeals/{at}").text
    page.enter(
        office, type="appeal.decided.v1", unit=FIRST, target_source=second["source"], target_id=second["id"],
        outcome="cancelled", reason="查明已反馈",
    )  # fmt: skip
    assert json.loads(page.ledger()[-1].data)["data"]["appeal"]["id"] == second["id"]
    page.rank()
    assert "cancelled" in page.as_(None).get("/appeals").text


def test_the_collector_takes_the_steps_of_the_year_on_one_page(page: Page) -> None:
    browser = page.as_(COLLECTOR)
    shown = browser.get("/desk").text
    names = [one.name for one in BOOK.reading]
    assert all(f'name="reading.{name}"' in shown for name in names)
    assert all(PARAMETERS[one.name].say("en") in shown for one in BOOK.parameter)
    assert BOOK.parameter
    before = len(page.ledger())
    chosen = {f"reading.{one.name}": one.values[0] for one in BOOK.reading[:3]}
    place = page.hand_in(browser, "/desk/enter", data={
        "type": "reading.adopted.v1", "reason": "会议决定", "time": "2013-12-01T09:00",
        **chosen, f"reading.{names[4]}": "",
    })  # fmt: skip
    page.send(browser, place)
    assert [json.loads(entry.data)["data"]["reading"] for entry in page.ledger()[before:]] == names[:3]
    stage = BOOK.stage[0].code
    assert f"stage={stage}" in shown
    page.enter(browser, type="stage.reached.v1", stage=stage)
    assert json.loads(page.ledger()[-1].data)["data"] == {"stage": stage}
    sent = page.enter(page.as_("ducha"), type="stage.reached.v1", stage=stage)
    assert "source_not_authorised" in sent, "a form gives nobody another's authority"
    assert page.as_("audit").post("/desk/enter", data={"token": page.token(page.as_("audit"))}).status_code == 403


# Tables --------------------------------------------------------------------------------------------------------------


def test_every_table_is_downloaded_whole_as_csv_and_as_a_workbook(page: Page) -> None:
    browser = page.as_(None)
    for path in ("/", "/audit", "/progress", "/matrix", "/appeals", f"/unit/{FIRST}", "/readings"):
        text = browser.get(path).text
        for table in set(re.findall(r'data-table="([^"]+)"', text)):
            asked = {"download": "csv", "table": table}
            answer = browser.get(path, params=asked)
            rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
            assert rows, (path, table)
            assert "attachment" in answer.headers["content-disposition"]
            book = load_workbook(io.BytesIO(browser.get(path, params=asked | {"download": "xlsx"}).content)).active
            assert book is not None
            assert [str(cell.value or "") for cell in next(book.iter_rows())] == rows[0]
    board = list(csv.reader(io.StringIO(browser.get("/?download=csv&table=category-A").content.decode("utf-8-sig"))))
    assert re.fullmatch(r"[0-9]+\.[0-9]{8}", board[1][board[0].index("Final")]), "exact, not as printed"
    assert browser.get("/?download=csv&table=none").status_code == 404


def test_rows_are_put_in_order_and_left_out_as_the_address_says() -> None:
    rows: list[dict[str, Any]] = [{"a": 2, "b": "x"}, {"a": None, "b": "=1+1"}, {"a": 10, "b": "y"}]
    assert [row["a"] for row in tables.arranged(rows, "t", {"sort.t": "a"})] == [2, 10, None]
    assert [row["a"] for row in tables.arranged(rows, "t", {"sort.t": "-a"})] == [10, 2, None]
    assert [row["a"] for row in tables.arranged(rows, "t", {"q.t": "Y"})] == [10]
    assert tables.arranged(rows, "t", {"sort.t": "nothing", "sort.u": "a"}) == rows
    text = "<table data-table='t'><tr><th>a<th>b</tr><tr><td>−1.50<td>=1+1</tr></table><table><tr><td>9</table>"
    assert tables.read(text, "t") == [["a", "b"], ["-1.50", "=1+1"]]
    spanned = "<table data-table='t'><tr><th rowspan=2>a<td>1</tr><tr><td>2</tr><tr><th>b<td>3</tr></table>"
    assert tables.read(spanned, "t") == [["a", "1"], ["a", "2"], ["b", "3"]]
    answer = tables.download(text, "csv", "t", "/x")
    assert answer.content.decode("utf-8-sig").splitlines() == ["a,b", "-1.50,'=1+1"]
    inside = zipfile.ZipFile(io.BytesIO(tables.download(text, "xlsx", "t", "/x").content))
    found = inside.read("xl/worksheets/sheet1.xml").decode()
    assert "<v>-1.50</v>" in found.replace("<v>-1.5</v>", "<v>-1.50</v>")
    assert "<f>" not in found


def test_what_is_pending_is_not_drawn_as_lost_and_nobody_has_won(page: Page) -> None:
    for lang, waits in (("en", "pending"), ("zh", "待定")):
        board = page.as_(None, lang).get("/").text
        assert all(word not in board for word in ('class="seal', '"cut', "dot won", "cutrow", "未达标"))
        assert waits in board
        statement = page.as_(None, lang).get(f"/unit/{FIRST}").text
        assert 'class="seal' not in statement
        assert "<b>—</b> / " in statement
        assert statement.count('rect class="pending"') > statement.count('rect class="loss"')


def test_an_open_page_is_told_of_a_new_snapshot_and_pages_are_compressed(page: Page) -> None:
    with page.as_(None).stream("GET", "/follow") as told:
        assert told.headers["content-type"].startswith("text/event-stream")
        lines = told.iter_lines()
        assert next(lines) == ": following"
        before = len(page.ledger())
        _publish(page.site, ("ducha", event("new", subject=CODES[3])))
        while len(page.ledger()) == before:
            pass
        page.rank()
        assert next(line for line in lines if line.startswith("data")) == "data: new"
    answer = page.as_(None).get("/", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"


def test_a_search_finds_units_items_and_events_and_a_unit_leads_to_the_next(page: Page) -> None:
    browser = page.as_(None)
    assert f"/unit/{FIRST}" in browser.get(f"/search?q={FIRST.lower()}").text
    assert "/audit?item=1.1" in browser.get("/search?q=1.1").text
    assert "/event/" in browser.get("/search?q=m1").text
    assert "Nothing fits" in browser.get("/search?q=zzzz").text
    beside = re.findall(r'rel="(prev|next)" href="/unit/(\w+)"', browser.get(f"/unit/{CODES[1]}").text)
    assert beside == [("prev", CODES[0]), ("next", CODES[2])]
