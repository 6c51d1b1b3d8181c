"""Decides for whom the console computes now: few at a time, the newest first, nobody who has gone."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from litestar import Request

from schemas.words import _
from services.console.view import Refused

T = TypeVar("T")
#: Pages made at once, pages that wait, questions in SQL at once.
PLACES, WAITING, QUESTIONS = 4, 64, 2
STEP = 0.05


class Gone(Exception):  # noqa: N818 - it is an answer that nobody waits for
    """The client went away before there was an answer."""


class Turns:
    """The places at which pages are made and questions answered; `interrupt` stops what a thread asks of the engine."""

    def __init__(self, interrupt: Callable[[int], None]) -> None:
        self._interrupt = interrupt
        self._threads = ThreadPoolExecutor(PLACES, "console-page")
        self._busy = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._states: dict[Hashable, tuple[asyncio.Lock, int]] = {}
        self._questions: list[asyncio.Task[Any]] = []

    async def page(self, request: Request[Any, Any, Any], state: Hashable, work: Callable[[], T]) -> T:
        """Make a page in a thread, when its turn comes; those of one state in turn. Raises Gone, Refused."""
        return await _while_there(request, self._page(state, work))

    async def question(self, request: Request[Any, Any, Any], work: Coroutine[Any, Any, T]) -> T:
        """Answer a question: at once, in the place of the oldest when all are taken. Raises Gone, Refused."""
        task = asyncio.create_task(work)
        self._questions.append(task)
        if len(self._questions) > QUESTIONS:
            self._questions.pop(0).cancel()
        try:
            return await _while_there(request, task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise _pushed() from None
            raise
        finally:
            if task in self._questions:
                self._questions.remove(task)

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _page(self, state: Hashable, work: Callable[[], T]) -> T:
        async with self._alone(state), self._place():
            ident: list[int] = []

            def run() -> T:
                ident.append(threading.get_ident())
                return work()

            running = asyncio.get_running_loop().run_in_executor(self._threads, run)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                while not running.done():
                    for one in ident:
                        self._interrupt(one)
                    await asyncio.wait({running}, timeout=STEP)
                running.exception()  # nobody waits for it any more
                raise

    @asynccontextmanager
    async def _alone(self, state: Hashable) -> AsyncIterator[None]:
        """One at a time of a state: it is computed once, and the others find it."""
        lock, users = self._states.get(state, (asyncio.Lock(), 0))
        self._states[state] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._states.pop(state)
            if users > 1:
                self._states[state] = lock, users - 1

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """A place to work at; who came last is next, and who has waited longest makes room when too many wait."""
        if self._busy < PLACES:
            self._busy += 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            if len(self._waiting) > WAITING:
                self._waiting.pop(0).set_exception(_pushed())
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                elif turn.done() and not turn.cancelled() and turn.exception() is None:
                    self._leave()  # the place came just as its client went
                raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        while self._waiting:
            turn = self._waiting.pop()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy -= 1


def _pushed() -> Refused:
    return Refused(503, _("Others ask too; this question had to make room for a newer one. Ask again."))


async def _while_there(request: Request[Any, Any, Any], work: Coroutine[Any, Any, T] | asyncio.Task[T]) -> T:
    """The result of some work, which is given up when the client goes."""
    task = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            raise Gone
        return await task
    finally:
        leaving.cancel()
        if not task.done():
            task.cancel()


async def _left(request: Request[Any, Any, Any]) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
