"""Moves the clock of one process, and no other's: of a service, and of the broker, which no library can be put into.

Linux tells the time by a few instructions that it lays into each process (the vDSO). They are written over there, in a
process that is held for a moment, by ones that ask the kernel and add so many seconds. What counts seconds (monotonic)
stays as it is, as on a machine whose clock is set. Linux on x86_64, by who may trace the process; else `why_not` tells.
"""

import contextlib
import os
import platform
import re
import signal
import struct
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

STUBS = {
    b"__vdso_clock_gettime": ("b8e4000000 0f05 85ff 7405 83ff05 750a 488b0d09000000 48010e c3", 32),
    b"__vdso_gettimeofday": ("b860000000 0f05 4885ff 740a 488b0d05000000 48010f c3", 24),
    b"__vdso_time": ("b8c9000000 0f05 4803050a000000 4885ff 7403 488907 c3", 24),
}
"""Of each function the instructions, and where the seconds lie that they add: of the wall clock, and no other."""
HELD_WITHIN = 10.0
"""Seconds in which all threads of a process must have stopped outside of these instructions."""


def _place(pid: int) -> tuple[int, int]:
    """From where to where the vDSO lies in a process, which may have just begun; raises OSError where it has none."""
    deadline = time.monotonic() + HELD_WITHIN
    while not (
        found := re.search(r"^(\S+)-(\S+) .*\[vdso\]$", Path(f"/proc/{pid}/maps").read_text("utf-8"), re.MULTILINE)
    ):
        if time.monotonic() > deadline:
            raise OSError(f"process {pid} has no vDSO")
        time.sleep(0.001)  # between two looks at another process
    start, end = found.groups()
    return int(start, 16), int(end, 16)


@cache
def _functions() -> dict[bytes, int]:
    """Where the functions begin in the vDSO, by its table of symbols: the same in every process."""
    start, end = _place(os.getpid())
    with Path("/proc/self/mem").open("rb") as memory:
        memory.seek(start)
        image = memory.read(end - start)
    (at,), (size, count, _) = struct.unpack_from("<Q", image, 40), struct.unpack_from("<HHH", image, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, at + n * size) for n in range(count)]
    symbols = next(one for one in sections if one[1] == 11)
    names = sections[symbols[6]][4]
    found = {}
    for offset in range(symbols[4], symbols[4] + symbols[5], 24):
        name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", image, offset)
        found[image[names + name : image.index(b"\0", names + name)]] = value
    return found


def _held(pid: int, start: int, end: int) -> bool:
    """Whether all threads have stopped, and none of them while it asks for the time."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        state = (thread / "stat").read_text("utf-8").rpartition(")")[2].split()[0]
        words = (thread / "syscall").read_text("utf-8").split()
        if state not in "Tt" or words[0] == "running" or start <= int(words[-1], 16) < end:
            return False
    return True


def move(pid: int, seconds: int) -> None:
    """Let the wall clock of a process be so many seconds ahead of the machine's, or behind."""
    start, end = _place(pid)
    deadline = time.monotonic() + HELD_WITHIN
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            held_by = time.monotonic() + 0.2
            while not (held := _held(pid, start, end)) and time.monotonic() < held_by:
                time.sleep(0.001)  # between two looks at another process
            if held:
                with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
                    for name, (code, at) in STUBS.items():
                        memory.seek(start + _functions()[name])
                        memory.write(bytes.fromhex(code).ljust(at, b"\xcc") + struct.pack("<q", seconds))
                return
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} does not stop")


@cache
def why_not() -> str:
    """Why no clock can be moved here; empty where it can: a process is asked what time it has."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"clocks are moved on Linux on x86_64 only, and this is {sys.platform} on {platform.machine()}"
    ask = "import sys, time\nfor _ in sys.stdin: print(int(time.time()), flush=True)"
    with subprocess.Popen([sys.executable, "-c", ask], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asked:
        assert asked.stdin
        assert asked.stdout
        try:
            asked.stdin.write(b"\n")
            asked.stdin.flush()
            asked.stdout.readline()
            move(asked.pid, 10**6)
            asked.stdin.write(b"\n")
            asked.stdin.flush()
            ahead = int(asked.stdout.readline()) - time.time()
        except (OSError, KeyError, TimeoutError) as error:
            return f"no clock can be moved here: {error!r}"
        finally:
            asked.kill()
    return "" if abs(ahead - 10**6) < 60 else "no clock can be moved here: the process does not see it"
