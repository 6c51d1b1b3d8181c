"""Decides whose turn it is: of several processes of one service only the one that holds its lease at the broker works.

A lease is the last message on its service's subject, and each one is published on top of the one that was seen
(`Nats-Expected-Last-Subject-Sequence`): of two that reach for it the broker takes one. Who holds it says so again every
two seconds; whoever sees four looks long that it does not may take it, by its own count and nobody's clock.
"""

import json
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from nats.js.api import Header
from nats.js.errors import APIError

from infra.client import WRONG_LAST_SEQUENCE
from infra.rights import API
from infra.streams import LEASE, lease_subject, stream

RENEW_SECONDS = 2.0
LOOK_SECONDS = 2.0
LOOKS = 4
"""More looks at a lease that nobody renews, so far apart, before it counts as free: after 8 to 10 seconds."""
ASKED_WITHIN = 5.0
"""Seconds to wait for the broker's answer."""


class Word(msgspec.Struct, frozen=True):
    """What the holder says: the names of its folder and process, where it runs, how far it came; `over` at its end."""

    folder: str
    process: str
    where: str
    told: int = 0
    over: bool = False


class Held(NamedTuple):
    """A lease as it was seen, null where what stands there is nobody's word."""

    sequence: int
    word: Word | None


async def look(client: Client, assessment: str, service: str) -> Held:
    """The lease as it stands; of sequence 0 where nobody ever held it."""
    request = json.dumps({"last_by_subj": lease_subject(assessment, service)}).encode()
    answer = await client.request(f"{API}.DIRECT.GET.{stream(LEASE, assessment)}", request, ASKED_WITHIN)
    headers = answer.headers or {}
    if headers.get("Status"):
        return Held(0, None)
    try:
        word = msgspec.json.decode(answer.data, type=Word)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        word = None
    return Held(int(headers["Nats-Sequence"]), word)


async def say(client: Client, assessment: str, service: str, word: Word, over: int) -> int | None:
    """Take, renew or let go of a lease on top of the sequence that was seen; null where another was quicker."""
    headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(over)}
    js = client.jetstream(prefix=API, timeout=ASKED_WITHIN)
    try:
        answer = await js.publish(lease_subject(assessment, service), msgspec.json.encode(word), headers=headers)
    except APIError as error:
        if error.err_code == WRONG_LAST_SEQUENCE:
            return None
        raise
    return answer.seq
