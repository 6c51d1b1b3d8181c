"""Processes that start at once: a parent that has imported everything, and is forked for each service.

A campaign of hundreds of kills would else be spent on imports. What runs is what the command line runs. One JSON object
a line on standard input starts a process, its id is answered; the end of each is told as `[id, code]`. When standard
input ends, all of them do.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Self

TICK = 0.02
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def bear(asked: dict[str, Any]) -> int:
    """Fork a process that runs one service, or one that dies of a fault; its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        if _LIBC:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        out = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        quiet = os.open(os.devnull, os.O_RDONLY)
        for given, own in ((quiet, 0), (out, 1), (out, 2)):
            os.dup2(given, own)
        os.environ.update(asked["environment"])
        service, *fault = asked["service"]
        code = die.main(service, *fault) if fault else cli.run([service])
    except BaseException:  # noqa: BLE001 - as an interpreter says what ends it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tend() -> None:
    """Bear what is asked for, and tell of each end, as long as somebody listens."""
    alive: set[int] = set()
    waiting = b""
    while True:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                alive.discard(ended[0])
                print(json.dumps([ended[0], os.waitstatus_to_exitcode(ended[1])]), flush=True)
        if not select.select([0], [], [], TICK)[0]:
            continue
        if not (read := os.read(0, 65536)):
            break
        *lines, waiting = (waiting + read).split(b"\n")
        for one in lines:
            alive.add(child := bear(json.loads(one)))
            print(json.dumps(child), flush=True)
    for child in alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


class Nursery:
    """The parent, as it is seen from a campaign; all that it bore ends with it."""

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self._born: list[int] = []
        self._told = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        threading.Thread(target=self._hear, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def _hear(self) -> None:
        assert self._process.stdout
        with contextlib.suppress(ValueError):
            for line in self._process.stdout:
                with self._told:
                    match json.loads(line):
                        case [pid, code]:
                            self.codes[pid] = code
                        case pid:
                            self._born.append(pid)
                    self._told.notify_all()

    def start(self, service: list[str], environment: dict[str, str], log: Path) -> int:
        """Start a service, with the fault that it dies of after its name; the process id."""
        asked = {"service": service, "environment": environment, "log": str(log)}
        with self._told:
            count = len(self._born)
            assert self._process.stdin
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            self._told.wait_for(lambda: len(self._born) > count)
            return self._born[count]

    def ended(self, pid: int) -> int | None:
        """The exit code of a process, null while it lives."""
        return self.codes.get(pid)

    def wait(self, pid: int) -> int:
        """Wait for the end of a process."""
        with self._told:
            self._told.wait_for(lambda: pid in self.codes)
            return self.codes[pid]


if __name__ == "__main__":
    import duckdb  # noqa: F401 - what each service would import

    import services.ingest.app
    import services.ranker.app
    import services.rulebook.rehearsal
    import services.scorer.app  # noqa: F401 - as above
    from services import cli
    from tests.faults import die

    tend()
