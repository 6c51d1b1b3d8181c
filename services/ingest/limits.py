"""What one party may send in a day, and refusals that judge no event: over the quota, set aside, after the archive.

They are not the contract's reasons (wire.md): the fold never gives them, and they say nothing against the event. It may
be sent again. infra/decisions/006 says why.
"""

from typing import Literal

import msgspec
from nats.js.api import Header

from infra.client import Entry
from schemas.refusals import Refusal
from services.ingest.line import Wire, read
from services.ingest.place import Place
from services.process.settings import Limits

SECOND, DAY = 1_000_000, 86_400_000_000
"""Microseconds."""
TOLD_EACH = 1000
"""Messages over a quota that are refused one by one each day; of more there is one refusal a batch."""


class SetAside(msgspec.Struct, frozen=True):
    """A message that was not judged, or could not be appended; as a Refusal, with a reason of intake's own."""

    line: int | None
    source: str | None
    id: str | None
    reason: Literal["over_quota", "message_id", "not_judged", "not_appended", "archived"]
    path: str | None
    message: str


def over_quota(entry: Entry, party: str, office: bool, limits: Limits, place: Place) -> SetAside | None:
    """Count a message on its party's account of the day, the broker's; and refuse it where that is overdrawn."""
    if (day := entry.recorded_at // DAY) != place.day:
        place.day, place.spent = day, {}
    events, size = place.spent.get(party, (0, 0))
    events, size = events + 1, size + len(entry.data)
    place.spent[party] = events, size
    most = (limits.office_events, limits.office_bytes) if office else (limits.unit_events, limits.unit_bytes)
    if events <= most[0] and size <= most[1]:
        return _too_fast(entry, party, limits.office_second if office else limits.unit_second, place)
    source, identifier = _named(entry.data) if events <= most[0] + TOLD_EACH else (None, None)
    words = (
        f"{party} may send {most[0]} events and {most[1]} bytes a day (UTC), and this is event {events}, byte {size}."
        " It was not judged and is not in the ledger: send it again tomorrow, or ask the keeper for more."
    )
    return SetAside(entry.sequence, source, identifier, "over_quota", None, words)


def _too_fast(entry: Entry, party: str, most: int, place: Place) -> SetAside | None:
    """Count a message on its party's account of the second, the broker's, and refuse what is beyond it."""
    if (second := entry.recorded_at // SECOND) != place.second:
        place.second, place.pace = second, {}
    place.pace[party] = place.pace.get(party, 0) + 1
    if place.pace[party] <= most:
        return None
    words = (
        f"{party} may send {most} events a second, and this is event {place.pace[party]} of its second. It was not"
        " judged and is not in the ledger: send it again, more slowly."
    )
    return SetAside(entry.sequence, *_named(entry.data), "over_quota", None, words)


def _named(raw: bytes) -> tuple[str | None, str | None]:
    """Source and id as they stand there, for who waits for an answer."""
    wire = read(raw)
    if not isinstance(wire, Wire):
        return None, None
    source, identifier = (text if isinstance(text, str) else None for text in (wire.source, wire.id))
    return source, identifier


def message_id(entry: Entry) -> SetAside | None:
    """Refuse what came with an id that the broker compares: it drops another party's message with the same one.

    That cannot be switched off in the broker. So no program that is in use sends one, and nobody's events are dropped.
    """
    if Header.MSG_ID.value not in entry.headers:
        return None
    words = (
        f"It came with the header {Header.MSG_ID.value}, which the broker compares across all parties: another's would"
        " make it drop yours. It is not in the ledger: send it again without that header. Source and id of the event do"
        " what it is for."
    )
    return SetAside(entry.sequence, *_named(entry.data), "message_id", None, words)


def not_judged(entry: Entry, error: Exception) -> SetAside:
    """What the checks themselves fell over: a fault of ours, which must not cost the next message anything."""
    words = f"The checks failed on this message ({type(error).__name__}): it is kept here only. Tell the keeper."
    return SetAside(entry.sequence, None, None, "not_judged", None, words)


def not_appended(entry: Entry, source: str, identifier: str, said: str) -> SetAside:
    """An event that passed and that the broker will not take, alone as in company."""
    words = f"The event passed, but the broker does not store it: {said}. It is not in the ledger. Tell the keeper."
    return SetAside(entry.sequence, source, identifier, "not_appended", None, words)


def archived(entry: Entry, assessment: str) -> SetAside:
    """Whatever comes after the ledger was sealed."""
    words = (
        f"The assessment {assessment} is archived and its ledger sealed: nothing more is taken, and nothing in it can"
        " change. It was not judged."
    )
    return SetAside(entry.sequence, *_named(entry.data), "archived", None, words)


Refused = Refusal | SetAside
