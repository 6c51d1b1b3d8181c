"""The console shows what the views say, in two languages, at any sequence, and lets nothing in or out."""

import asyncio
import io
import json
import re
import socket
from collections.abc import Iterator
from contextlib import redirect_stdout
from decimal import Decimal
from html import unescape
from pathlib import Path
from urllib.parse import quote, unquote_plus

import duckdb
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from schemas.year import given
from services.console import reference, sql
from services.console.app import _missing, console, create_app
from services.console.states import STATES_KEPT, Snapshots, State
from services.process import metrics
from services.process.ending import Exit, Stop
from services.scorer import file, rules
from services.site import synthetic
from services.snapshot import make
from tests.product import BOOK, BOOK_JSON, SHIPPED, year

PAGES = (
    "/",
    "/?category=B&sort=unit&turned=1",
    "/?group=B1&q=0",
    "/unit/U042",
    "/audit",
    "/audit?item=1.1&text=批示",
    "/event/23",
    "/progress",
    "/readings",
    "/matrix",
    "/appeals",
    "/search?q=U01",
    "/what-if",
    "/what-if?r.step=geometric",
    "/proof",
    "/sql",
    "/sql?ready=ranking",
    "/regulation",
)
#: Those that show a table of this year.
TABLED = (
    "/",
    "/unit/U042",
    "/unit/U001",
    "/audit",
    "/progress",
    "/readings",
    "/matrix",
    PAGES[13],
    "/sql?ready=ranking",
)
YEAR = "assessment"
#: Seconds: no answer here hangs on how busy the machine is.
SLOW = 300.0
HOSTILE = "<script>alert('五型')</script>\"><img src=x onerror=alert(1)>{{7*7}}"


def publish(folder: Path, lines: list[bytes]) -> Path:
    events = folder / "events.jsonl"
    events.write_bytes(b"".join(line + b"\n" for line in lines))
    draft = folder / "draft.duckdb"
    folded = file.fold(events, given("wenzhou-2013", None, None), target=draft)
    for one in folded.refused:
        folded.con.execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(one))
    make.complete(folded.con, folded.year, folded.lines)
    folded.con.close()
    make.publish(draft, folder / "snapshots", f"wenzhou-2013-{folded.lines}.duckdb")
    return folder / "snapshots"


@pytest.fixture(scope="session")
def lines() -> list[bytes]:
    return [line for _, line in synthetic.year(BOOK, year(SHIPPED).roster, "wenzhou-2013", events=4900)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory, lines) -> Path:
    return publish(tmp_path_factory.mktemp("year"), lines)


@pytest.fixture(scope="session")
def client(folder) -> Iterator[TestClient[Litestar]]:
    with pytest.MonkeyPatch.context() as patched, TestClient(create_app(folder)) as made:
        patched.setattr(sql, "SECONDS_MAX", SLOW)
        yield made


@pytest.fixture(scope="session")
def newest(folder) -> Path:
    path = make.latest(folder)
    assert path is not None
    return path


def event(n: int, kind: str, source: str, subject: str, **data) -> bytes:
    found = {
        "specversion": "1.0",
        "id": f"{n}",
        "source": source,
        "type": kind,
        "subject": subject,
        "time": f"2013-12-31T09:{n:02d}:00+08:00",
        "data": data,
    }
    return json.dumps(found, ensure_ascii=False).encode()


@pytest.fixture(scope="session")
def hostile(tmp_path_factory) -> Iterator[TestClient[Litestar]]:
    units = [
        {"unit": f"U{n:03d}", "name": f"{HOSTILE}{n}", "category": "AB"[n % 2], "group": ("A1", "B1")[n % 2]}
        for n in range(1, 7)
    ]
    target = {"source": "/offices/ducha", "id": "1"}
    deduction = {"item": "1.1", "matter": HOSTILE, "ground": "no_feedback", "reason": HOSTILE}
    sent = [
        event(0, "assessment.opened.v1", "/offices/chuangjian", YEAR, assessment="h", rulebook=BOOK_JSON, roster=units),
        event(1, "deduction.recorded.v1", "/offices/ducha", "U001", **deduction),
        event(2, "rating.recorded.v1", "/offices/tongji", "U001", item="2.3", value="80", rater=HOSTILE),
        event(3, "appeal.filed.v1", "/units/U001", "U001", target=target, statement=HOSTILE),
        event(4, "stage.reached.v1", "/offices/chuangjian", YEAR, stage="publicised"),
        event(5, HOSTILE, "/offices/ducha", "U001"),
    ]
    with TestClient(create_app(publish(tmp_path_factory.mktemp("hostile"), sent), "zh")) as made:
        yield made


@pytest.mark.parametrize("page", TABLED)
def test_every_table_of_a_page_can_be_taken_away_as_csv(client, page) -> None:
    text = client.get(page).text
    shown = re.findall(r"<table\b[^>]*>", text)
    named = re.findall(r"<table\b[^>]*data-table=\"([^\"]+)\"", text)
    offered = set(re.findall(r"download=csv&amp;table=([\w.-]+)|table=([\w.-]+)&amp;download=csv", text))
    assert shown
    assert len(named) == len(shown)
    if not page.startswith("/sql"):  # the answer is taken as a whole, by a link of its own
        assert {one or other for one, other in offered} >= set(named)
    for table in named:
        address = f"{page}{'&' if '?' in page else '?'}download=csv&table={table}"
        assert client.get(address).text.count("\n") >= 2


@pytest.mark.every(8)
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("cut", ["", "as_of=3000"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_in_both_languages_says_synthetic_and_reaches_nothing_outside(client, page, cut, lang) -> None:
    address = page + ("&" if "?" in page else "?") + cut
    response = client.get(address, headers={"accept-language": lang})
    assert response.status_code == 200, response.text[-2000:]
    text = response.text
    assert f'<html lang="{"zh-CN" if lang == "zh" else "en"}"' in text
    assert ("合成数据" if lang == "zh" else "Synthetic data") in text
    assert not re.findall(r"""(?:src|href|action|hx-get)=["'](?!/|#|\?)[^"']*""", text)
    assert not re.search(r"https?://|url\(|<style|\sstyle=|\son\w+=|javascript:|<script(?! src=\"/static/)", text)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert ('class="notice past"' in text) == bool(cut) or page == "/readings"


def test_static_files_ask_for_nothing_outside(client) -> None:
    for name in ("console.css", "console.js", "icon.svg"):
        response = client.get(f"/static/{name}")
        assert response.status_code == 200
        assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", response.text)
    assert client.get("/static/htmx.min.js").status_code == 200
    assert "Zero-Clause BSD" in client.get("/static/htmx.LICENSE.txt").text


@pytest.mark.every(6)
@pytest.mark.parametrize("cut", [None, 0, 1500, 4200])
def test_the_board_holds_what_the_views_compute(client, newest, cut) -> None:
    with rules.compute(Snapshots(newest).current().con.cursor(), as_of=cut) as con:
        expected = con.execute(
            "SELECT unit, place, final FROM unit_result ORDER BY category, place NULLS LAST, final DESC, unit"
        ).fetchall()
    text = client.get("/", params={} if cut is None else {"as_of": cut}).text
    found = re.findall(r'place">(\d+|—)</td>.*?code">(U\d+)</b>.*?final" title="([\d.]+)"', text, re.DOTALL)
    assert [(unit, None if place == "—" else int(place), Decimal(final)) for place, unit, final in found] == expected


@pytest.mark.long
def test_every_reading_is_tried_once_and_the_page_then_shows_who_depends_on_it(client) -> None:
    tried = -1
    while found := re.search(
        r"Computing: (\d+)", text := client.get("/readings", headers={"accept-language": "en"}).text
    ):
        assert int(found[1]) > tried
        tried = int(found[1])
        for worker in client.app.state.snapshots.current().workers:
            worker.join()  # it ends when nobody has looked for a while, and each look takes it further
    assert re.findall(r'href="/what-if\?r\.(\w+)=', text) == [
        reading.name for reading in BOOK.reading for _ in reading.values[1:]
    ]


def test_a_day_leads_to_the_sequence_at_its_end(client) -> None:
    response = client.get("/audit?at=2013-09-01&item=1.1", follow_redirects=False)
    assert response.status_code == 303
    place = response.headers["location"]
    assert re.fullmatch(r"/audit\?item=1\.1&as_of=\d+", place)
    days = re.findall(r"<td class=\"day wide\">([\d-]+)", client.get(place).text)
    assert max(days) <= "2013-09-01"


def test_hostile_texts_are_shown_as_text(hostile) -> None:
    asked = ("/?q=", "/nope", "/audit?text=", "/sql?query=", "/?as_of=", "/?at=", "/?r.x=", "/unit/", "/?group=")
    plain = ("/", "/unit/U001", "/audit", "/event/2", "/event/4", "/progress", "/what-if", "/sql?ready=ranking")
    for page in (*plain, *(address + quote(HOSTILE, safe="") for address in asked)):
        response = hostile.get(page)
        assert response.status_code in (200, 400, 404), page
        assert "<script>" not in response.text
        assert "<img" not in response.text
        assert "<b>g" not in response.text
        assert "49" not in re.findall(r"onerror=alert\(1\)(?:&gt;|>)(.{0,4})", response.text)
    assert HOSTILE in unescape(hostile.get("/unit/U001").text)


def test_an_office_that_has_not_closed_when_its_stage_is_reached_is_late(hostile) -> None:
    text = hostile.get("/progress").text
    assert text.count('class="tag p-late">预警') == 18  # an office and item each
    assert "申诉未决 <b>1</b>" in text
    assert "unknown_type" in text


@pytest.mark.parametrize(
    ("page", "status", "en", "zh"),
    [
        ("/?as_of=-1", 400, "expected a sequence", "应为序号"),
        ("/?as_of=１", 400, "expected a sequence", "应为序号"),
        ("/?at=yesterday", 400, "expected a date", "应为"),
        ("/?r.step=cubic", 400, "no such reading", "没有这一读法"),
        ("/?r.wind=1", 400, "no such reading", "没有这一读法"),
        ("/unit/U999", 404, "no unit", "没有单位"),
        ("/event/999999", 404, "no such event", "没有这一事件"),
        ("/nowhere", 404, "no such page", "没有这一页面"),
        ("/?category=Z", 404, "no such category", "没有这一类别"),
        ("/event/x", 404, "no such page", "没有这一页面"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_words(client, page, status, en, zh) -> None:
    for lang, said in (("en", en), ("zh", zh)):
        response = client.get(page, headers={"accept-language": lang})
        assert (response.status_code, said in unescape(response.text)) == (status, True)
        assert "content-security-policy" in response.headers


def test_language_and_theme_are_chosen_by_address_and_kept(folder) -> None:
    with TestClient(create_app(folder, "zh")) as fresh:
        assert 'lang="zh-CN" data-theme="auto"' in fresh.get("/proof").text
        assert 'lang="en" data-theme="dark"' in fresh.get("/proof?lang=en&theme=dark").text
        assert 'lang="en" data-theme="dark"' in fresh.get("/proof", headers={"accept-language": "zh"}).text
        assert 'data-theme="auto"' in fresh.get("/proof?theme=purple&lang=fr").text or fresh.cookies["theme"] == "dark"


def test_without_a_snapshot_the_page_says_what_to_do_and_a_new_one_appears_by_itself(tmp_path, lines) -> None:
    with TestClient(create_app(tmp_path / "snapshots")) as fresh:
        assert fresh.get("/healthz").status_code == 503
        assert str(tmp_path) in str(_missing(fresh.app))
        assert str(tmp_path) not in fresh.get("/").text + fresh.get("/healthz").text
        response = fresh.get("/", headers={"accept-language": "en"})
        assert (response.status_code, "wuxing demo" in response.text) == (503, True)
        publish(tmp_path, lines[:300])
        assert fresh.get("/healthz").json()["sequence"] == 300
        assert _missing(fresh.app) is None
        assert metrics.REGISTRY.get_sample_value("wuxing_snapshot_sequence", {"assessment": ""}) == 300
        assert fresh.get("/").status_code == 200
        publish(tmp_path, lines[:400])
        assert fresh.get("/healthz").json()["sequence"] == 400
    (tmp_path / "text.duckdb").write_text("no database")
    with TestClient(create_app(tmp_path / "text.duckdb")) as fresh:
        assert fresh.get("/").status_code == 503


def test_proof_names_the_file_its_hash_and_the_root(client, newest) -> None:
    text, held = client.get("/proof", headers={"accept-language": "en"}).text, Snapshots(newest).current()
    assert "not signed" in text
    assert all(word in text for word in (held.sha256, held.meta["root"], held.meta["digest"], newest.name))
    assert client.get("/snapshot.duckdb").content == newest.read_bytes()


REFUSED = """
SELECT * FROM read_csv('/etc/passwd') | SELECT * FROM '/etc/passwd' | SELECT content FROM read_text('/etc/hostname')
SELECT * FROM glob('/*') | SELECT * FROM read_parquet('x') | SELECT * FROM parquet_metadata('x') | LOAD json
SELECT * FROM sniff_csv('/etc/passwd') | COPY meta TO '/tmp/out.csv' | ATTACH ':memory:' AS x | DETACH snapshot
ATTACH '/tmp/x.duckdb' AS x | USE memory | SET threads = 8 | SET enable_external_access = true | PRAGMA database_list
SET GLOBAL memory_limit = '9GB' | RESET lock_configuration | PRAGMA threads = 8 | INSTALL httpfs | CHECKPOINT | BEGIN
CREATE TEMP TABLE t AS SELECT 1 | CREATE MACRO m() AS 1 | INSERT INTO meta VALUES ('a', 'b') | DELETE FROM event
UPDATE meta SET value = 'x' | DROP VIEW unit_result | EXPORT DATABASE '/tmp/x' | CALL pragma_version() | nonsense
SELECT getenv('HOME') | SELECT * FROM hidden_in_python | SELECT 1; COPY meta TO '/tmp/out.csv' | SELECT nope FROM event
EXPLAIN ANALYZE COPY meta TO '/tmp/out.csv' | WITH gone AS (DELETE FROM event RETURNING *) SELECT * FROM gone
/* SET VARIABLE */ SET threads = 8 | SELECT * FROM query('COPY meta TO $$/tmp/out.csv$$') | ;
"""


@pytest.mark.every(12)
@pytest.mark.parametrize("query", [one.strip() for line in REFUSED.split("\n") for one in line.split(" | ") if one])
def test_nothing_but_the_snapshot_can_be_reached_in_sql(client, newest, query) -> None:
    hidden_in_python = [1]
    assert hidden_in_python
    with pytest.raises(sql.SqlRefused) as refused:
        sql.ask(newest, query)
    assert refused.value.say("en")
    assert refused.value.say("zh")
    assert client.post("/sql", data={"query": query}).status_code == 400


def test_sql_answers_in_the_state_of_the_address_and_stops_at_its_limits(newest) -> None:
    assert sql.ask(newest, "SELECT max(seq) FROM ledger_event", as_of=100).rows == [(100,)]
    step = "SELECT value FROM reading_in_force WHERE name = 'step'"
    assert sql.ask(newest, step, readings={"step": "geometric"}).rows == [("geometric",)]
    assert sql.ask(newest, "/* to */ SET VARIABLE as_of = 7; SELECT max(seq) FROM ledger_event").rows == [(7,)]
    assert sql.ask(newest, "SELECT max(seq) FROM Ledger.event", as_of=100).rows[0][0] > 100
    assert sql.ask(newest, "SELECT max(seq) FROM rules.ledger_event", as_of=100).rows == [(100,)]
    both = "FROM published.published_unit AS p JOIN 公示.公示名次 ON 单位 = p.unit JOIN unit_wide USING (unit)"
    assert sql.ask(newest, f"SELECT count(*) > 0 {both}").rows == [(True,)]
    (first, *__) = sql.ask(newest, "DESCRIBE rules.place").rows
    assert first == sql.ask(newest, "DESCRIBE place").rows[0]
    for absent in ("rules.nothing", "rulebook.unit_result", "snapshot.rules.place"):
        with pytest.raises(sql.SqlRefused):
            sql.ask(newest, f"FROM {absent}")
    cut = sql.ask(newest, "FROM event", rows=10)
    assert (len(cut.rows), cut.more) == (10, True)
    with pytest.raises(sql.SqlRefused, match="seconds"):
        sql.ask(newest, "SELECT count(*) FROM range(10000000000) a, range(10000000000) b", seconds=0.05)
    with pytest.raises(sql.SqlRefused, match="too much memory"):
        sql.ask(newest, "SELECT list(range) FROM range(1000000000)")


def test_an_answer_leads_to_units_and_events_and_beside_the_box_stand_all_tables(client, newest) -> None:
    query = "SELECT unit, max(seq) AS seq, 'U001' AS other, 7 AS points FROM event WHERE unit LIKE 'U%' GROUP BY unit"
    page = client.post("/sql", data={"query": f"{query} ORDER BY unit LIMIT 1"}).text
    (row,) = re.findall(r"<tbody><tr>(.*?)</tr>", page)
    assert re.findall(r'href="/(\w+)/', row) == ["unit", "event"]
    odd = client.post("/sql", data={"query": "SELECT 'a/../b' AS unit, -1 AS seq, 'assessment' AS unit"}).text
    assert "href" not in "".join(re.findall(r"<tbody><tr>(.*?)</tr>", odd))
    asks = [unquote_plus(one) for one in re.findall(r'href="/sql\?[^"]*query=(FROM[^"&]*)', page)]
    with duckdb.connect(str(newest), read_only=True) as con:
        there = (
            "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal AND schema_name <> 'main'"
        )
        named = {f"FROM {name} LIMIT 100" for (name,) in con.execute(there).fetchall()}
    assert named <= {*asks}
    assert len(asks) == len({*asks})
    for one in ("FROM 公示.公示等次 LIMIT 100", "FROM ledger.event LIMIT 100", "FROM rules.place LIMIT 100"):
        assert one in asks
        assert client.get("/sql", params={"query": one}).text.count("<tbody>") == 0, "what an address says is not run"
        assert sql.ask(newest, one).rows


def test_a_question_asked_apart_has_bounds_that_the_engine_does_not_keep(newest) -> None:
    query = "SELECT 1.50, true, NULL, encode('五'), repeat('x', 9000), final FROM unit_result WHERE unit = 'U042'"
    answer = apart(newest, query, as_of=100, readings={"step": "geometric"}, seconds=SLOW)
    one, yes, nothing, word, long, final = answer.rows[0]
    assert (one, yes, nothing, word, len(long)) == (Decimal("1.50"), True, "", "五", sql.CELL_MAX + 1)
    assert isinstance(final, Decimal)
    assert apart(newest, "SELECT max(seq) FROM ledger_event", as_of=100, seconds=SLOW).rows == [(100,)]
    for huge in ("SELECT repeat('x', 2000000000)", "SELECT range(100000000)"):
        with pytest.raises(sql.SqlRefused, match=r"too much memory|longer than"):
            apart(newest, huge)
    with pytest.raises(sql.SqlRefused, match="nope"):
        apart(newest, "SELECT nope FROM event")


def apart(*arguments, **options) -> sql.Answer:
    return asyncio.run(sql.ask_apart(*arguments, **options))


def run(*arguments, **options) -> tuple[int, str]:
    out = io.StringIO()
    with redirect_stdout(out):
        return sql.sql(*arguments, **options), out.getvalue()


@pytest.mark.long
def test_the_command_prints_a_table_csv_or_json(newest) -> None:
    query = "SELECT unit, name, final FROM unit_result WHERE unit = 'U042'"
    code, text = run(query, snapshot=newest, format="json")
    assert code == Exit.DONE
    assert json.loads(text)["name"] == "单位042(合成)"
    assert isinstance(json.loads(text)["final"], str)
    assert run(query, snapshot=newest, format="csv")[1].splitlines()[0] == "unit,name,final"
    cells = "SELECT true, NULL, 1.50, encode('五'), [1]"
    assert run(cells, snapshot=newest, format="csv")[1].splitlines()[1] == "true,,1.50,五,[1]"
    assert "U042" in run(query, snapshot=newest)[1]
    listed = [line.split()[0] for line in run(lang="zh")[1].splitlines()]
    assert listed == sorted(file.stem for file in sql.QUERIES.glob("*.sql"))
    assert run(ready="ties", snapshot=newest, format="csv")[1].count("\n") == 2
    assert run("FROM event", snapshot=newest, limit=2, format="csv")[0] == Exit.NO
    for bad, code in (
        ({"query": "LOAD json", "snapshot": newest}, Exit.USE),
        ({"ready": "none"}, Exit.USE),
        ({"query": "SELECT 1", "snapshot": newest / "x"}, Exit.FAILED),
    ):
        with pytest.raises(Stop) as stop:
            run(**bad)
        assert stop.value.code == code


def test_a_port_that_is_taken_or_is_none_is_refused_in_words(folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 70_000):
            with pytest.raises(Stop, match="--port") as stop:
                console(port=port, snapshots=folder)
            assert stop.value.code == Exit.FAILED


def test_the_reference_is_current() -> None:
    path = Path(__file__).parent.parent / "docs" / "sql.md"
    assert path.read_text(encoding="utf-8") == reference.page()


def test_a_state_is_computed_once_and_few_are_kept(newest) -> None:
    held = Snapshots(newest).current()
    assert held.state(10) is held.state(10)
    assert held.state(10**9) is held.state()
    first = held.state(10)
    for n in range(11, 11 + STATES_KEPT):
        held.state(n)
    assert held.state(10) is not first
    assert isinstance(held.state().whole(), State)
