"""A TCP proxy between a service and the broker, which cuts, delays and half-opens what goes through it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

Mood = Literal["open", "slow", "deaf"]


class Proxy:
    """Hands bytes on: at once, with a delay, or not at all while the connection stays open at both ends."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.mood: Mood = "open"
        self.delay = 0.0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """End every connection at once, without a farewell."""
        for writer in self._writers:
            writer.transport.abort()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                while self.mood == "deaf":  # noqa: ASYNC110 - what is looked at has no event
                    await asyncio.sleep(0.05)
                if self.mood == "slow":
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        mine = {writer, back}
        self._writers |= mine
        both = [asyncio.create_task(self._hand_on(reader, back)), asyncio.create_task(self._hand_on(there, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            for end in mine:
                end.transport.abort()
            self._writers -= mine


@contextlib.asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """A proxy before a port of this machine, on a port of its own."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)  # noqa: SLF001 - this module's own
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
