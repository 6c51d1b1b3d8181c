"""Where texts out of line lie, beside the ledger: stored before their event, known by token, erased by order."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
from nats.aio.client import Client
from nats.js.errors import APIError

from infra.client import jetstream, read_stream
from infra.streams import TEXTS, stream
from schemas import raw, subjects, texts
from schemas.events import Event
from schemas.texts import Text

AT_ONCE = 256
"""Texts under way at once."""
THERE = 10077
"""The broker's code for a subject that has its message already."""


@dataclass
class Shelf:
    """The stream of texts as ingest writes it; `erased` are the tokens of texts that orders have erased."""

    client: Client
    assessment: str
    erased: set[str] = field(default_factory=set)

    async def store(self, found: Iterable[tuple[str, str, Text]]) -> dict[tuple[str, str], int]:
        """Store texts of parties under their tokens, each once for ever; one that was erased does not come back.

        Returns the sequences of those that are new.

        Raises NATS's errors and TimeoutError: then nothing may be appended that rests on them.
        """
        new = [*{(party, token): text for party, token, text in found if token not in self.erased}.items()]
        stored: dict[tuple[str, str], int] = {}
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
            done = await asyncio.gather(*(self._put(party, token, text) for (party, token), text in some))
            stored |= {pair: sequence for (pair, _), sequence in zip(some, done, strict=True) if sequence}
        return stored

    async def _put(self, party: str, token: str, text: Text) -> int | None:
        try:
            subject = subjects.text(self.assessment, party, token)
            return (await jetstream(self.client).publish(subject, msgspec.json.encode(text))).seq
        except APIError as error:
            if error.err_code != THERE:  # the same token is the same text
                raise
            return None

    async def drop(self, sequence: int) -> bool:
        """Erase one text; the broker overwrites it where it lies."""
        return await jetstream(self.client).delete_msg(stream(TEXTS, self.assessment), sequence)

    async def knows(self, party: str, token: str) -> bool:
        """Whether a party's text of this token is held, or was erased."""
        if token in self.erased:
            return True
        subject = subjects.text(self.assessment, party, token)
        async for _ in read_stream(self.client, TEXTS, self.assessment, subject=subject):
            return True
        return False

    async def erase(self, orders: Mapping[int, Event], names: Iterable[str]) -> int:
        """Erase the texts of the events that admitted orders name, and that precede them; how many there were.

        The broker overwrites them where they lie. What is gone already is no fault: it is done again at each start.
        """
        before: dict[tuple[str, str], int] = {}
        for sequence, order in orders.items():
            pair = (order.target_source or "", order.target_id or "")
            before[pair] = max(sequence, before.get(pair, 0))
        tokens: set[str] = set()
        for party in {subjects.party_of(source) for source, _ in before} - {None}:
            own = f"ledger.{self.assessment}.{party}.*"
            async for entry in read_stream(self.client, "LEDGER", self.assessment, 1, max(orders), subject=own):
                with contextlib.suppress(ValueError):  # junk is nobody's event
                    event = raw.read(entry.data)
                    if entry.sequence < before.get((str(event.get("source")), str(event.get("id"))), 0):
                        tokens |= {*texts.tokens(event, names).values()}
        self.erased |= tokens
        gone = 0
        for token in sorted(tokens):
            subject = subjects.text(self.assessment, "*", token)
            held = [one.sequence async for one in read_stream(self.client, TEXTS, self.assessment, subject=subject)]
            for sequence in held:
                gone += await self.drop(sequence)
        return gone
