"""Waits until it is this process's turn at a service, and ends the process when another has taken it.

The broker keeps the lease (`infra.lease`), and each folder a lock, which the kernel lets go of when its process dies:
so whoever starts on the folder of the dead need not wait until the lease has run out. A process that was held up, and
does not know yet that another works in its place, changes nothing: what each service writes is fenced by what it saw.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from uuid import uuid4

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra import lease
from infra.client import end
from infra.lease import Word
from infra.streams import LEASE, stream
from schemas.told import Told
from schemas.words import _
from services.process import metrics
from services.process.settings import Settings

Meanwhile = Callable[[], Coroutine[None, None, None]]
"""What a process does again and again while it waits."""


SILENT = 3
"""Questions about the lease that the broker leaves open, one after another, before that is an alarm."""


class TurnLost(Told):
    """Another process has taken the lease: this one was away for too long."""


@dataclass
class Turn:
    """Whose turn it is at a service of an assessment; `told` is how far this process came, for who comes after it."""

    client: Client
    settings: Settings
    service: str
    log: structlog.typing.FilteringBoundLogger
    told: int = 0
    before: Word | None = None
    process: str = field(default_factory=lambda: uuid4().hex)
    sequence: int = 0
    lost: Word | None = None
    folder: str = ""
    _lock: IO[bytes] | None = None
    _dead: str = ""
    _seen: tuple[int, int] = (0, 0)
    _silent: int = 0

    @property
    def path(self) -> Path:
        """The lock of this folder: where it is, the folder's name, and that of the process that had it last."""
        return self.settings.data.absolute() / "turns" / f"{self.settings.assessment}-{self.service}.lock"

    @property
    def ours(self) -> bool:
        """Whether who worked last did so with this folder, or one that it is a copy of."""
        return self.before is None or self.before.folder == self.folder

    async def reach(self, meanwhile: Meanwhile | None) -> None:
        """Wait for one's turn, and say so."""
        said = None
        work: asyncio.Task[None] | None = None  # beside the looks, which count seconds
        try:
            while why := await self._try():
                if why != said:
                    self.log.warning("standby.waiting", reason=why)
                    metrics.standby(self.service, None if self._silent else why)
                    said = why
                if meanwhile and self._lock and (work is None or work.done()):
                    if work:
                        work.result()
                    work = asyncio.create_task(meanwhile())
                await asyncio.sleep(lease.LOOK_SECONDS)
            if work:
                await work
        finally:
            if work:
                await end(work)
        metrics.standby(self.service, None)
        if said:
            self.log.warning("standby.took_over", after=self.before.where if self.before else None)

    async def _try(self) -> str | None:
        """Take the lease; or why that cannot be."""
        if not self._locked():
            return f"another {self.service} runs on {self.settings.data.absolute()}; this one waits for its end"
        try:
            held = await lease.look(self.client, self.settings.assessment, self.service)
            if held.word and not held.word.over and held.word.process != self._dead:
                looks = self._seen[1] + 1 if held.sequence == self._seen[0] else 0
                self._seen = held.sequence, looks
                if looks < lease.LOOKS:
                    return f"{self.service} is run by {held.word.where}; this one waits for its end"
            self._name()
            self.before, self.told = held.word, held.word.told if held.word else 0
            self.sequence = await self._say(held.sequence) or 0
        except (NatsError, TimeoutError) as error:
            self._silent += 1
            if self._silent == SILENT:
                self.log.error(  # noqa: TRY400 - where it comes from tells nobody anything
                    "lease.silent",
                    stream=stream(LEASE, self.settings.assessment),
                    tell="The broker answers nothing about this stream, and without it nobody works. If it answers"
                    " about others, its store is damaged; nothing of the assessment is in it: stop the broker, move the"
                    " stream's folder away, and start again.",
                )
            return f"the broker says nothing of the lease: {error or type(error).__name__}"
        self._silent = 0
        return None if self.sequence else f"another {self.service} was quicker"

    def _locked(self) -> bool:
        """Have the folder's lock, and know whose it was."""
        if self._lock:
            return True
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        file.seek(0)
        found = file.read().decode(errors="replace").split("\n")
        place, self.folder, dead = found if len(found) == 3 else ("", uuid4().hex, "")
        self._dead = dead if place == here(self.path) else ""  # in a copy: its process may live elsewhere
        self._lock = file
        return True

    def _name(self) -> None:
        assert self._lock
        self._lock.truncate(0)
        self._lock.write("\n".join((here(self.path), self.folder, self.process)).encode())
        self._lock.flush()

    async def _say(self, over: int, *, done: bool = False) -> int | None:
        where = f"{socket.gethostname()}, process {os.getpid()}"
        word = Word(self.folder, self.process, where, self.told, done)
        return await lease.say(self.client, self.settings.assessment, self.service, word, over)

    async def keep(self) -> None:
        """Renew the lease until another has it."""
        while not self.lost:
            await asyncio.sleep(lease.RENEW_SECONDS)
            with contextlib.suppress(NatsError, TimeoutError):  # the broker restarts, or is gone: asked again
                self.sequence = await self._say(self.sequence) or await self._still()

    async def _still(self) -> int:
        """The sequence of the lease: a renewal that was never answered may have been heard, or another is there."""
        held = await lease.look(self.client, self.settings.assessment, self.service)
        if held.word and held.word.process != self.process and held.sequence > self.sequence:
            self.lost = held.word
        return held.sequence if held.sequence == 0 else max(held.sequence, self.sequence)

    async def let_go(self) -> None:
        """Say that it is over, so that nobody need wait."""
        if self.client.is_connected:
            with contextlib.suppress(NatsError, TimeoutError):
                await self._say(self.sequence, done=True)
        self.close()

    def close(self) -> None:
        """Give the folder's lock back."""
        if self._lock:
            self._lock.close()


def here(path: Path) -> str:
    """The file itself and no copy of it."""
    return f"{path}#{path.stat().st_ino}"


@contextlib.asynccontextmanager
async def turn(
    client: Client,
    settings: Settings,
    service: str,
    log: structlog.typing.FilteringBoundLogger,
    meanwhile: Meanwhile | None = None,
) -> AsyncIterator[Turn]:
    """Wait for this process's turn; the block runs as long as it lasts. Raises TurnLost."""
    mine = Turn(client, settings, service, log)
    body = asyncio.current_task()
    assert body
    try:
        await mine.reach(meanwhile)
    except BaseException:
        mine.close()
        raise

    def over(_: object) -> None:
        if mine.lost:
            body.cancel()

    keeping = asyncio.create_task(mine.keep())
    keeping.add_done_callback(over)
    try:
        yield mine
    except asyncio.CancelledError:
        if not mine.lost:
            raise
        body.uncancel()
        raise TurnLost(
            _(
                "{where} has taken over as {service}: this process was held up for too long. Nothing is "
                "lost; started again, it waits as standby.",
                where=mine.lost.where,
                service=service,
            )
        ) from None
    finally:
        if not mine.lost:  # who lost it keeps the folder's lock until the process has ended
            await end(keeping)
            await mine.let_go()
