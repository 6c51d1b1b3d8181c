"""A stream and its durables as bytes, out of a running broker and back into one: the broker's own snapshot protocol.

Sequences, recorded times and what was acknowledged come back as they were. Only the provisioner may do either.
"""

import asyncio
import json
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from nats.aio.client import Client

from schemas.told import Told
from schemas.words import Text, _

if TYPE_CHECKING:
    from nats.aio.msg import Msg

CHUNK = 128 * 1024
SILENT = 60.0
"""Seconds without a word of the broker after which it is given up."""


class NotCopied(Told):
    """A stream that the broker does not give, or does not take back."""


async def save(client: Client, name: str, out: IO[bytes], progress: Callable[[int], None]) -> dict[str, Any]:
    """Write a stream's bytes to a file, each message checked; gives its configuration and state, which `load` needs."""
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await client.subscribe(inbox := client.new_inbox(), cb=heard.put)
    try:
        asked = {"deliver_subject": inbox, "no_consumers": False, "chunk_size": CHUNK, "jsck": True}
        head = await _asked(client, f"$JS.API.STREAM.SNAPSHOT.{name}", json.dumps(asked).encode(), name)
        while True:
            try:
                message = await asyncio.wait_for(heard.get(), SILENT)
            except TimeoutError:
                raise _refused(name, _("silent for {silent} s", silent=f"{SILENT:.0f}")) from None
            if not message.data:
                break
            out.write(message.data)
            progress(len(message.data))
            if message.reply:
                await message.respond(b"")
    finally:
        await subscription.unsubscribe()
    if (status := (message.headers or {}).get("Status", "")) >= "400":
        raise _refused(name, status)
    return {"config": head["config"], "state": head["state"]}


async def load(client: Client, name: str, head: dict[str, Any], source: IO[bytes]) -> None:
    """Make a stream again from its bytes, in a broker that has none of this name."""
    answer = await _asked(client, f"$JS.API.STREAM.RESTORE.{name}", json.dumps(head).encode(), name)
    place = answer["deliver_subject"]
    while chunk := source.read(CHUNK):
        await _asked(client, place, chunk, name)
    await _asked(client, place, b"", name)


async def _asked(client: Client, subject: str, data: bytes, name: str) -> dict[str, Any]:
    said = (await client.request(subject, data, SILENT)).data
    answer: dict[str, Any] = json.loads(said) if said else {}
    if error := answer.get("error"):
        raise _refused(name, error.get("description", ""))
    return answer


def _refused(name: str, why: Text | str) -> NotCopied:
    return NotCopied(_("{name} cannot be copied: {why}", name=name, why=why))
