"""What `make audit` says: nothing where nobody answers, and which locked package has a known weakness."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tests.audit import OF, ROOT, unreached
from tests.faults.nodes import free_ports


class Stand(BaseHTTPRequestHandler):
    """A service of advisories in the place of OSV, which knows of one package that it is `weak`."""

    weak: ClassVar[str] = ""
    asked: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = said.get("package", {}).get("name", "")
        self.asked.add(name)
        found = [{"id": "STAND-1", "modified": "2026-09-01T00:00:00Z", "details": "made up", "affected": []}]
        body = json.dumps({"vulns": found} if name == self.weak and name else {}).encode()
        self.send_response(200 if name else 400)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stand() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stand)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Stand.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setenv("OSV_URL", url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    done = subprocess.run([sys.executable, "-m", "tests.audit"], capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def test_where_nobody_answers_one_line_says_that_nothing_was_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = audit(f"http://127.0.0.1:{free_ports(1)[0]}/v1/query", monkeypatch)
    assert (code, said.count("\n")) == (0, 1)
    assert said.startswith("audit: nothing was audited, ")


def test_who_answers_is_asked(stand: str) -> None:
    assert unreached(stand) == ""


@pytest.mark.long  # pip-audit is fetched for it
def test_a_package_with_a_known_weakness_fails_by_its_name(stand: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stand, "weak", "litestar")
    code, said = audit(stand, monkeypatch)
    assert (code, "STAND-1" in said, "litestar" in said) == (1, True, True), said
    locked = {line.partition("==")[0] for line in (ROOT / OF).read_text("utf-8").splitlines() if line[:1].isalpha()}
    assert len(Stand.asked & locked) > len(locked) // 2  # what is for another system is not asked for
    monkeypatch.setattr(Stand, "weak", "")
    assert audit(stand, monkeypatch)[0] == 0
