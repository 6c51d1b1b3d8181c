"""The console under attack, as a process of its own: nothing is written, nobody stops the others."""

from __future__ import annotations

import io
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import httpx
import pytest

from services.console import sql
from services.process import plain, web
from services.process.ending import Exit, Stop
from services.site import synthetic
from services.snapshot import held
from services.snapshot import make as snapshot
from tests.product import BOOK, SHIPPED, command, year
from tests.test_console import apart, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Questions that would take hours; the engine counts on until it is stopped.
ENDLESS = "SELECT count(*) FROM range(10000000000) a, range(10000000000) b"

#: A client that waits as long as a loaded machine takes.
PATIENT = httpx.Client(timeout=120)


@contextmanager
def serving(place: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The console as users start it; its process and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services", "console", "--port", "0", "--snapshots", str(place)],
        stderr=subprocess.PIPE,
        env={"WUXING_LOG": "json", "PATH": "", "WUXING_DATA": str(place.parent)},
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline().decode()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process, re.findall(r'"url": ?"(http://[^"]+?)/"', line)[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of snapshots of its own: these tests look at every file in it."""
    lines = [line for _, line in synthetic.year(BOOK, year(SHIPPED).roster, "attacked", events=600)]
    return publish(tmp_path_factory.mktemp("attacked"), lines)


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[str]:
    with serving(place) as (_, url):
        assert PATIENT.get(f"{url}/healthz").status_code == 200
        yield url


def contents(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


WRITES = """
EXPLAIN ANALYZE COPY (SELECT 1) TO '{wal}'
EXPLAIN COPY (SELECT 1) TO '{wal}'
EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{wal}'
/* x */ EXPLAIN -- y
WITH a AS (COPY (SELECT 1) TO '{wal}') SELECT 1
EXPLAIN ANALYZE WITH a AS (COPY (SELECT 1) TO '{wal}') SELECT 1
SELECT (WITH a AS (COPY (SELECT 1) TO '{wal}') SELECT 1)
SET VARIABLE x = (WITH a AS (COPY (SELECT 1) TO '{wal}') SELECT 1)
SET VARIABLE x = 1); COPY meta TO '{wal}'; SELECT (1
FROM query('WITH a AS (COPY (SELECT 1) TO ''{wal}'') SELECT 1')
SELECT * FROM query($$WITH a AS (COPY (SELECT 1) TO '{wal}') SELECT 1$$)
WITH a AS (INSERT INTO meta VALUES ('a', 'b') RETURNING *) FROM a
WITH a AS (UPDATE meta SET value = '' RETURNING *) FROM a
WITH a AS (DELETE FROM event RETURNING *) FROM a
COPY (SELECT 1) TO '{wal}'
EXPORT DATABASE '{wal}'
ATTACH '{wal}' AS x
PREPARE p AS COPY (SELECT 1) TO '{wal}'
FROM duckdb_databases()
FROM snapshot.main.meta
FROM snapshot.unit_result
SELECT current_setting('temp_directory')
FROM duckdb_settings()
FROM read_text('{file}')
FROM '{file}'
"""


@pytest.mark.every(3)
@pytest.mark.parametrize("query", [line for line in WRITES.split("\n") if line])
def test_no_question_writes_beside_the_snapshot_or_tells_of_the_machine(served: str, place: Path, query: str) -> None:
    newest = snapshot.latest(place)
    assert newest is not None
    before = contents(place)
    asked = query.format(wal=f"{newest}.wal", file="/etc/hostname")
    response = PATIENT.post(f"{served}/sql", data={"query": asked})
    assert response.status_code == 400
    assert str(place) not in re.findall(r'<p class="notice tie refusal".*?</p>', response.text, re.DOTALL)[0]
    assert contents(place) == before


def test_what_the_engine_itself_would_write_it_cannot(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a way around the parser found: the process can make no file, not even an empty one."""
    newest = snapshot.latest(place)
    assert newest is not None
    program = "from services.console import sql;sql._statements = lambda con, text: [text];sql._child()"
    before = contents(place)
    for query in (f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{newest}.wal'", f"COPY (SELECT 1) TO '{newest}.wal'"):
        monkeypatch.setattr(sql, "PROGRAM", program)
        with pytest.raises(sql.SqlRefused):
            apart(newest, query)
        assert contents(place) == before


def test_what_the_engine_prints_is_no_part_of_the_answer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It draws a bar where data go whenever a statement is slow, the first of them included."""
    newest = snapshot.latest(place)
    assert newest is not None
    drawn = "import os;from services.console import sql;held=sql._sealed\n"
    drawn += "sql._sealed = lambda con: (os.write(1, b'\\r 50%'), held(con))\nsql._child()"
    monkeypatch.setattr(sql, "PROGRAM", drawn)
    assert apart(newest, "SELECT 1 AS one").rows == [(1,)]


def test_a_snapshot_with_a_log_beside_it_is_read_by_nobody(place: Path, tmp_path: Path) -> None:
    newest = snapshot.latest(place)
    assert newest is not None
    folder = tmp_path / "snapshots"
    folder.mkdir()
    copied = folder / newest.name
    copied.write_bytes(newest.read_bytes())
    with duckdb.connect(str(copied), config={"checkpoint_threshold": "1GB"}) as con:
        con.execute("PRAGMA disable_checkpoint_on_shutdown")
        con.execute("UPDATE published_unit SET place = 1 WHERE unit = 'U105'")
    assert (folder / f"{copied.name}.wal").exists(), "what the attack leaves"
    (folder / "latest.duckdb").symlink_to(copied.name)
    for path in (copied, folder / "latest.duckdb"):
        for name, *more in (
            ("explain", "U001"),
            ("verify",),
            ("sql", "FROM meta"),
            ("diff",),
            ("readiness",),
            ("appeals",),
        ):
            options = {"verify": [path], "diff": [path, path]}.get(name, [*more, "--snapshot", path])
            code, out, said = command(name, *map(str, options), "--lang", "en")
            assert (code in (Exit.FAILED, Exit.USE), out, ".wal" in said) == (True, b"", True), (name, said)
        with pytest.raises(held.Unopened):
            held.opened(path)
    with serving(folder) as (_, url):
        response = PATIENT.get(f"{url}/", headers={"accept-language": "en"})
        assert (response.status_code, ".wal" in response.text, str(folder) in response.text) == (503, True, False)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("127.0.0.1", 200), ("[::1]", 200), ("LOCALHOST.", 200), ("localhost:99", 200),
        ("evil.example", 421), ("evil.example:8080", 421), ("localhost.evil.example", 421), ("", 421),
        ("127.0.0.1.nip.io", 421),
    ],
)  # fmt: skip
def test_a_name_in_another_s_hands_reads_nothing(served: str, host: str, status: int) -> None:
    for path in ("/", "/snapshot.duckdb", "/healthz", "/static/console.css"):
        response = PATIENT.get(f"{served}{path}", headers={"host": host})
        assert (response.status_code, len(response.content) < 300 or status == 200) == (status, True)


def test_a_page_of_another_server_asks_nothing_and_an_address_runs_nothing(served: str) -> None:
    own = served.removeprefix("http://")
    asked = {"data": {"query": "SELECT 40 + 2 AS answer"}}
    for headers, status in (
        ({"origin": served}, 200), ({"origin": f"https://{own}"}, 200), ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403), ({"origin": "null"}, 403), ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403), ({"origin": served + "0"}, 403),
    ):  # fmt: skip
        response = PATIENT.post(f"{served}/sql", headers=headers, **asked)  # type: ignore[arg-type]
        assert (response.status_code, ">42<" in response.text) == (status, status == 200), headers
    response = PATIENT.get(f"{served}/sql", params=asked["data"])
    assert (response.status_code, "40 + 2" in response.text, ">42<" in response.text) == (200, True, False)
    assert PATIENT.post(f"{served}/sql", data={"query": "x" * 100_000}).status_code == 413


def test_questions_without_end_stand_in_nobody_s_way_and_the_newest_is_answered(served: str) -> None:
    """Twelve at once, of which none ends by itself: health, pages and a new question are answered meanwhile."""
    asking = [
        threading.Thread(target=lambda: results.append(_post(served, ENDLESS).status_code), daemon=True)
        for _ in range(12)
    ]
    results: list[int] = []
    for one in asking:
        one.start()
    while len(results) < 10:  # two places: ten were pushed out by newer ones
        assert httpx.get(f"{served}/healthz", timeout=60).status_code == 200
    assert set(results) == {503}
    assert httpx.get(f"{served}/", timeout=60).status_code == 200
    assert ">42<" in _post(served, "SELECT 40 + 2").text
    for one in asking:
        one.join(60)
    assert sorted(results) == [400] + [503] * 11, "one kept its place to its end, and was stopped there"


def _post(url: str, query: str) -> httpx.Response:
    return httpx.post(f"{url}/sql", data={"query": query}, timeout=120)


def test_a_question_ends_with_its_client(served: str) -> None:
    def asking() -> list[str]:
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if "services.console.sql import _child" in line]

    before = len(asking())
    with suppress(httpx.ReadTimeout):
        httpx.post(f"{served}/sql", data={"query": ENDLESS}, timeout=3)
    deadline = time.monotonic() + 8  # the question itself would go on for ten seconds and two
    while len(asking()) > before:
        assert time.monotonic() < deadline


@pytest.mark.long
def test_states_and_readings_of_many_points_leave_health_alone_and_threads_few(place: Path) -> None:
    with serving(place) as (process, url):
        pages = [f"{url}/{page}?as_of={n}" for n in range(1, 13) for page in ("readings", "")]
        threads = [threading.Thread(target=lambda page=page: _look(page), daemon=True) for page in pages]
        for one in threads:
            one.start()
        for _ in range(20):
            assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            number = int(re.findall(r"Threads:\s*(\d+)", status)[0])
            assert number < 24
        for one in threads:
            one.join(120)
        assert httpx.get(f"{url}/", timeout=60).status_code == 200


def _look(page: str) -> None:
    with suppress(httpx.HTTPError):
        assert httpx.get(page, timeout=30).status_code in (200, 503)


def test_who_says_nothing_is_let_go_and_many_of_them_keep_nobody_out(served: str) -> None:
    port = int(served.rpartition(":")[2])
    quiet = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    for n, one in enumerate(quiet):
        one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" if n % 2 else b"")
    assert PATIENT.get(f"{served}/healthz").status_code == 200
    half = socket.create_connection(("127.0.0.1", port))
    half.sendall(b"POST /sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nquery=")
    for one in (*quiet, half):
        one.settimeout(web.WHOLE_WITHIN * 4)
        with suppress(ConnectionResetError):
            while one.recv(65536):
                pass
        one.close()
    assert PATIENT.get(f"{served}/healthz").status_code == 200


@pytest.mark.every(2)
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_has_done_its_work(place: Path, sent: signal.Signals) -> None:
    with serving(place) as (process, url):
        asking = threading.Thread(target=lambda: _quietly(url), daemon=True)
        asking.start()
        assert httpx.get(f"{url}/readings", timeout=60).status_code == 200
        process.send_signal(sent)
        assert process.wait(30) == Exit.DONE


def _quietly(url: str) -> None:
    with suppress(httpx.HTTPError):
        _post(url, ENDLESS)


# -- Texts of others ---------------------------------------------------------------------------------------------------

HARM = ["\x1b]0;owned\x07", "\x1b[31m", "\x9b31m", "\u202egnp.exe", "\u2066", "\u200b", "\x00", "\x7f", "\r", "\u2028"]


@pytest.mark.parametrize("text", HARM)
def test_no_text_commands_a_terminal(text: str) -> None:
    out = io.StringIO()
    screen = plain.Screen(out, width=80, force_terminal=False)
    screen.print(f"a{text}b [bold]c[/bold] :smile:")
    shown = out.getvalue()
    assert not [letter for letter in text if not letter.isalnum() and letter not in "[]; ." and letter in shown]
    assert "[bold]c[/bold] :smile:" in shown
    below = io.StringIO()
    plain.Shown(below).write(f"a{text}b\n")
    assert below.getvalue() == f"a{plain.shown(text)}b\n"
    assert len(plain.shown(text)) == len(text)


@pytest.mark.parametrize("form", ["csv", "table"])
def test_what_sql_prints_is_inert(place: Path, form: str) -> None:
    query = (
        "SELECT '=1+2' AS \"=cmd\", '-1' AS b, '＝x' AS c, ' =1' AS d, -1 AS e, -1.5 AS f, chr(27) || '[31mred' AS g,"
        " chr(8238) || 'abc' AS h, '@a' AS i, '+a' AS j, 'plain' AS k"
    )
    newest = snapshot.latest(place)
    code, out, _ = command("sql", query, "--snapshot", str(newest), "--format", form)
    text = out.decode()
    assert code == 0
    assert "\x1b" not in text
    assert "\u202e" not in text
    if form == "csv":
        head, cells = text.splitlines()
        assert head.split(",")[0] == "'=cmd"
        assert cells.split(",") == [
            "'=1+2", "'-1", "'＝x", "' =1", "-1", "-1.5", "\u241b[31mred", "\ufffdabc", "'@a", "'+a", "plain",
        ]  # fmt: skip


def test_a_refusal_names_no_folder(place: Path) -> None:
    newest = snapshot.latest(place)
    assert newest is not None
    with pytest.raises(Stop) as stop:
        sql.sql('FROM "' + str(newest) + '"', snapshot=newest)
    assert "Cannot open file" in stop.value.say("en")
    assert str(place) not in stop.value.say("en")
