"""A user and a folder for each service, as `infra/hand-out.sh` lays them out and the units of systemd run in them."""

import configparser
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.rights import configure
from infra.server import find_binary
from schemas.rulebook import RULEBOOKS
from services.proof import checkpoint
from services.proof.receipts import site_key
from services.site import backup
from tests.faults.nodes import free_ports
from tests.faults.works import good, until
from tests.product import BOOK_FILE
from tests.test_infra import BASE, BY_PROCESS, HAND_OUT, INFRA, SHARED, environment, listed

if sys.platform != "linux":
    pytest.skip("users and folders are laid out for Linux", allow_module_level=True)
import grp
import pwd

NOBODY = 65534
KEYS = {
    "ingest": ("ingest.nk", "receipt.key"),
    "scorer": ("scorer.nk", "receipt.key"),
    "ranker": ("ranker.nk", "log.key"),
    "gateway": ("gateway.nk",),
    "console": ("gateway.nk",),
}
"""All private keys that a service has, and the log's is the ranker's alone."""


def keys(base: Path) -> set[str]:
    """The private keys below a folder."""
    found = [path for path in base.rglob("*") if path.suffix in (".nk", ".key") and not path.is_symlink()]
    assert {path.stat().st_mode & 0o077 for path in found} == {0}
    return {path.relative_to(base).as_posix() for path in found}


def test_every_assessment_is_handed_out_with_its_keys_and_links_and_again_when_keys_change() -> None:
    """Not as root, where all is one user's, as in a container."""
    with tempfile.TemporaryDirectory(prefix="wuxing-") as name:
        base, site = Path(name), Path(name) / "site"
        insides = {Path(): "site", Path("assessments/b"): "assessments/b"}
        for inside, code in zip(insides, "ab", strict=True):
            configure(site / inside, code, ["ducha", "chuangjian"], ["U1"])
            site_key(site / inside, code, publish=True)
            checkpoint.log_key(site / inside, code, begun=False)
        other: dict[str, Any] = {}
        if os.geteuid() == 0:
            other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in (base, *base.rglob("*")):
                os.lchown(path, NOBODY, NOBODY)
        log_keys = [(site / inside / "keys/log.key").read_bytes() for inside in insides]
        for _ in range(2):
            subprocess.run([HAND_OUT, base], check=True, **other)
            assert {one for one in keys(base) if not one.startswith("site/")} == {
                (folder / inside / "keys" / key).as_posix()
                for folder in map(Path, KEYS)
                for inside in insides
                for key in KEYS[str(folder)]
            }
        assert [(base / "ranker" / inside / "keys/log.key").read_bytes() for inside in insides] == log_keys
        for inside, place in insides.items():
            for folder in ("site", "ranker", "console", "witness"):
                assert (base / folder / inside / "snapshots").resolve() == base / "snapshots" / place
            assert (base / "scorer" / inside / "cuts").resolve() == base / "cuts" / place
            assert (site / inside / "ingest").resolve() == base / "ingest" / inside / "ingest"
            assert (site / inside / "keys/log.key").resolve() == base / "ranker" / inside / "keys/log.key"
            assert (base / "snapshots" / place / "receipt.vkey").is_file()
        assert f'"{base}/nats/jetstream"' in (base / "nats/nats.conf").read_text()
        (site / "keys/gateway.nk").write_bytes(new := (site / "assessments/b/keys/gateway.nk").read_bytes())
        subprocess.run([HAND_OUT, base], check=True, **other)
        assert {(base / one / "keys/gateway.nk").read_bytes() for one in ("gateway", "console")} == {new}
        had = {path.relative_to(site).as_posix() for path in backup._files(site)}  # noqa: SLF001 - what a backup has
        assert {"keys/log.key", "assessments/b/keys/log.key", "snapshots/receipt.vkey"} <= had


def open_to_all(path: str) -> bool:
    real = Path(path).resolve()
    return all(one.stat().st_mode & 0o001 for one in (real, *real.parents))


class Machine:
    """A machine in a folder: its users, the operator's commands, and the units as their files say."""

    def __init__(self, home: Path) -> None:
        self.home, self.base, self.venv = home, home / "wuxing", home / "venv"
        self.running = contextlib.ExitStack()
        self.ports = dict(zip(("4222", "8080", "8081", *map(str, range(9101, 9107))), free_ports(9), strict=True))
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        found = [sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")]
        python = next((one for one in found if one and open_to_all(one)), None)
        packages = sysconfig.get_path("purelib")
        if python is None or not all(map(open_to_all, (packages, str(INFRA)))):
            pytest.skip("other users cannot run this Python, or read its packages")
        subprocess.run([python, "-m", "venv", "--without-pip", self.venv], check=True)
        (self.venv / "lib" / version / "site-packages/here.pth").write_text(f"{INFRA.parent}\n{packages}\n")
        (self.venv / "bin/nats-server").symlink_to(find_binary())
        command = self.venv / "bin/wuxing"
        command.write_text(f"#!{self.venv}/bin/python\nfrom services.__main__ import main\nmain()\n")
        command.chmod(0o755)
        self.environment = {
            "PATH": os.environ["PATH"], "NATS_URL": f"nats://127.0.0.1:{self.ports['4222']}", "WUXING_LOG": "json",
            "WUXING_RANK_SECONDS": "1", "WUXING_LANG": "en", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

    def hand_out(self) -> None:
        subprocess.run([HAND_OUT, self.base], check=True)

    def as_(self, user: str, group: str = "wuxing") -> dict[str, Any]:
        """What makes a process a user's, as systemd does."""
        number = grp.getgrnam(group).gr_gid
        return {"user": user, "group": number, "extra_groups": os.getgrouplist(user, number), "cwd": "/"}

    def run(self, user: str, words: list[Any], said: str = "", group: str = "wuxing") -> str:
        """A command of a user's, on the operator's folder; it must succeed."""
        env = self.environment | {"WUXING_DATA": str(self.base / "site")}
        done = subprocess.run(
            words, env=env, input=said, capture_output=True, text=True, check=False, **self.as_(user, group)
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def command(self, *words: str) -> str:
        """One of the operator's commands."""
        return self.run("wuxing", [self.venv / "bin/wuxing", *words])

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        """Start a unit as its file says, all but the walls that only systemd builds."""
        text = (INFRA / f"systemd/wuxing-{name}.service").read_text("utf-8").replace("%H", "witness.example.org")
        text = text.replace(BASE, f"{self.base}/").replace("/opt/wuxing/.venv", str(self.venv))
        for port, free in self.ports.items():
            text = text.replace(f" {port}", f" {free}").replace(f"={port}", f"={free}")
        said = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#", delimiters="=")
        said.optionxform = str  # type: ignore[assignment,method-assign]
        said.read_string(text)
        service = said["Service"]
        words = [*shlex.split(service["ExecStart"]), *(["-p", str(self.ports["4222"])] if name == "nats" else [])]
        log = self.running.enter_context((self.home / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            words, env=self.environment | environment(service), umask=int(service["UMask"], 8), stdout=log, stderr=log,
            **self.as_(service["User"], service["Group"]),
        )  # fmt: skip
        self.running.callback(process.wait)
        self.running.callback(process.terminate)
        return process

    def logs(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in self.home.glob("*.log"))

    def ask(self, port: str, path: str, **more: Any) -> httpx.Response | None:
        """What a service answers; null while it does not."""
        with contextlib.suppress(httpx.TransportError):
            return httpx.request(more.pop("method", "GET"), f"http://127.0.0.1:{self.ports[port]}{path}", **more)
        return None

    def tries(self, user: str, what: str, paths: list[Path]) -> set[str]:
        """For which of these paths a line of Python goes well as that user."""
        code = "import sys, os\nfor p in sys.stdin.read().split():\n    try:\n        " + what + "\n        print(p)\n"
        run = [self.venv / "bin/python", "-c", f"{code}    except OSError: pass"]
        group = "wuxing-nats" if user == "wuxing-nats" else "wuxing"
        done = self.run(user, run, "\n".join(map(str, paths)), group)
        return {Path(one).relative_to(self.base).as_posix() for one in done.split()}


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A folder that others may enter, and users who are gone with it."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("useradd", "userdel", "setpriv"))):
        pytest.skip("root alone makes users")
    users = [*(f"wuxing-{name}" for name in listed("services") if name != "nats"), "wuxing", "wuxing-nats"]
    if there := {one.pw_name for one in pwd.getpwall()} & {*users}:
        pytest.skip(f"users of this machine's own: {', '.join(sorted(there))}")
    home = Path(tempfile.mkdtemp(prefix="wuxing-users-"))
    home.chmod(0o755)
    try:
        made = Machine(home)
        with made.running:
            yield made
    finally:
        for user in users:
            subprocess.run(["userdel", user], check=False, capture_output=True)
        shutil.rmtree(home)
    assert {one.pw_name for one in pwd.getpwall()} & {*users} == set()
    assert {one.gr_name for one in grp.getgrall()} & {"wuxing", "wuxing-nats"} == set()


@pytest.mark.long
def test_each_service_runs_as_its_own_user_and_nobody_opens_another_s_key(machine: Machine) -> None:
    base = machine.base
    machine.hand_out()
    for code, book in (("city-2014", BOOK_FILE), ("medals-2014", RULEBOOKS / "medal-table/rulebook.toml")):
        machine.command("open", code, "--rulebook", str(book), "--roster", str(book.with_name("roster.csv")), "--yes")
    machine.environment["WUXING_ASSESSMENT"] = "city-2014"
    bearer = machine.command("gateway-key", "ducha").strip()
    machine.environment["WUXING_ASSESSMENT"] = "*"
    assert machine.start("configure").wait(300) == 0, machine.logs()
    machine.hand_out()
    machine.start("nats")
    assert machine.start("provision").wait(300) == 0, machine.logs()
    for name in sorted(BY_PROCESS):
        machine.start(name)

    def sent() -> int:
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/cloudevents+json"}
        told = machine.ask(
            "8081", "/city-2014/v1/events", method="POST", content=good("m-1"), headers=headers, timeout=60
        )
        return told.status_code if told else 0

    def shown() -> str:
        page = machine.ask("8080", "/city-2014/event/2", timeout=60)
        return page.text if page else ""

    until("the event", sent, lambda status: status in (200, 201), machine.logs)
    until("the page", shown, lambda text: "m-1" in text, machine.logs)
    until("the other year's snapshot", (base / "snapshots/assessments/medals-2014/latest.duckdb").exists, bool)
    until("the cosigned note", (base / "witness/city-2014.txt").exists, bool, machine.logs)
    assert (base / "site/snapshots/latest.duckdb").exists()
    status = {one["assessment"]: one for one in json.loads(machine.command("status", "--format", "json"))}
    assert status["city-2014"]["ranked"] >= 2
    machine.hand_out()  # again, while all run
    machine.run("root", [machine.venv / "bin/wuxing", "backup", machine.home / "all.tar"], group="root")
    with tarfile.open(machine.home / "all.tar") as tar:
        assert {f"folder/{inside}keys/log.key" for inside in ("", "assessments/medals-2014/")} <= {*tar.getnames()}

    private = [base / one for one in keys(base)] + [base / "console/page-secret", base / "gateway/gateway-keys.json"]
    places = [base / one for one in ("site", *listed("services"), *SHARED)]
    places += [one / "keys" for one in places if (one / "keys").is_dir()]
    for name in ("site", *listed("services")):
        user = "wuxing" if name == "site" else f"wuxing-{name}"
        mine = {path.relative_to(base).as_posix() for path in private if path.relative_to(base).parts[0] == name}
        assert machine.tries(user, "open(p, 'rb').close()", private) == mine
        own = {name, *(folder for folder, (writer, _) in SHARED.items() if writer == name)}
        wrote = machine.tries(user, "open(p + '/x', 'xb').close(); os.unlink(p + '/x')", places)
        assert {Path(one).parts[0] for one in wrote} == own
    assert "ranker/keys/log.key" in keys(base)
    assert "site/keys/log.key" not in keys(base)
