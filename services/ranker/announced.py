"""Reads and signs what is announced on RANKING, so that nothing but a ranking of the ranker's own is gone on from.

Whoever has the ranker's key to the broker can write there, and only who has the log's key can sign: what does not
decode or is not signed is passed over with an alarm, and the ranking before it counts.
"""

import base64
import binascii
import re

import msgspec
from nats.aio.client import Client
from nats.js.api import Header
from nats.js.errors import APIError

from infra.client import WRONG_LAST_SEQUENCE, Entry, jetstream, last_entry
from schemas import subjects
from schemas.receipts import Ranking
from services.process import metrics
from services.proof.note import NoteError, Signer, Verifier

SIGNATURE = "Wuxing-Signature"
"""The header with base64 of the log key's Ed25519 over the payload."""

_ROOT = re.compile(r"[0-9a-f]{64}")


async def last(client: Client, assessment: str, by: Verifier | None = None) -> Ranking | None:
    """The newest ranking that reads, and with `by` is signed by that key; what lies over it is passed over."""
    before = None
    while entry := await last_entry(client, "RANKING", assessment, before):
        found = read(entry, assessment, by)
        if isinstance(found, Ranking):
            return found
        metrics.passed_over("RANKING", entry.sequence, found)
        before = entry.sequence
    return None


def read(entry: Entry, assessment: str, by: Verifier | None = None) -> Ranking | str:
    """The ranking of a message, or what is wrong with it."""
    try:
        ranking = msgspec.json.decode(entry.data, type=Ranking)
        if by:
            signature = base64.b64decode(entry.headers.get(SIGNATURE, ""), validate=True)
            by.time_of(entry.data.decode(), signature)
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, NoteError) as error:
        return str(error)
    named = f"{assessment}-{ranking.sequence}.duckdb"
    if (ranking.assessment, ranking.snapshot) != (assessment, named) or not _ROOT.fullmatch(ranking.root):
        return f"expected a ranking of {assessment} with the snapshot {named} and a root"
    return ranking


async def announce(client: Client, assessment: str, payload: bytes, signer: Signer, before: Ranking | None) -> bool:
    """Publish a ranking on top of the one it was made after; False where another stands there by now.

    What anybody else writes between them is passed over: it must not keep a ranking back.
    """
    subject, headers = subjects.ranking(assessment), signed(payload, signer)
    while True:
        newest = await last_entry(client, "RANKING", assessment)
        if await last(client, assessment, signer.verifier) != before:
            return False
        headers[Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value] = str(newest.sequence if newest else 0)
        try:
            await jetstream(client).publish(subject, payload, headers=headers)
        except APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise
        else:
            return True


def signed(payload: bytes, signer: Signer) -> dict[str, str]:
    """The headers that make a ranking the ranker's."""
    return {SIGNATURE: base64.b64encode(signer.private.sign(payload)).decode()}
