"""What goes back: the receipt of an event, the ranking as it is published, the scorer's copy for the ranker."""

from typing import Literal

import msgspec

Disposition = Literal[
    "counted", "counted_in_part", "no_effect", "replaced", "revoked", "revised", "awaiting", "rejected", "duplicate",
    "void",
]  # fmt: skip


class Receipt(msgspec.Struct, frozen=True):
    """A receipt (回执): ingest sends accepted or refused, the scorer settled.

    `sha256` is hex, of the payload as it came; `signature` is by intake's receipt key over all the rest (RFC 8785).
    """

    source: str | None
    id: str | None
    outcome: Literal["accepted", "refused", "settled"]
    sequence: int | None = None
    sha256: str | None = None
    reason: str | None = None
    path: str | None = None
    message: str | None = None
    disposition: Disposition | None = None
    why: str | None = None
    signature: str | None = None


class Place(msgspec.Struct, frozen=True):
    """A unit's line of a ranking (排名): its place (名次) in its category, its final, its grades by scheme (等次)."""

    unit: str
    category: str
    place: int | None
    final: str
    grades: dict[str, str | None]


class Moved(msgspec.Struct, frozen=True):
    """A unit whose place or grades differ from the ranking published before; null before the first."""

    unit: str
    category: str
    place_before: int | None
    place_after: int | None
    final_before: str | None
    final_after: str
    grades_before: dict[str, str | None] | None
    grades_after: dict[str, str | None]


class Ranking(msgspec.Struct, frozen=True):
    """The ranking at a ledger sequence, with the digest of the results and the hash of the snapshot that proves it.

    `state` is running, a stage of the rulebook, finalised or amended.
    """

    assessment: str
    sequence: int
    digest: str
    snapshot: str
    sha256: str
    root: str
    state: str
    units: tuple[Place, ...]
    moved: tuple[Moved, ...] = ()


class Noticed(msgspec.Struct, frozen=True):
    """An event of a unit that came or counts otherwise: old and new, why, and until when an appeal is in time (UTC).

    What was before is null where the event is new, `appeal_until` where there can be no appeal.
    """

    seq: int
    source: str
    id: str
    type: str
    item: str | None
    disposition_before: Disposition | None
    disposition_after: Disposition
    counted_before: str | None
    counted_after: str | None
    value_before: str | None
    value_after: str | None
    why_zh: str
    why_en: str
    appeal_until: str | None


class Notice(msgspec.Struct, frozen=True):
    """A notice (通知) to a unit: what a publication changed for it, after `since` up to `sequence`, and by what.

    `events` are its own, `others` the sequences of those on items that compare it, of readings adopted and of ties
    resolved; `overtaken_by` and `overtook` name the units. It is one of `of` that a publication made, by `number`.
    """

    assessment: str
    unit: str
    since: int
    sequence: int
    time: str | None
    state_before: str
    state_after: str
    final_before: str | None
    final_after: str | None
    place_before: int | None
    place_after: int | None
    grades_before: dict[str, str | None] | None
    grades_after: dict[str, str | None] | None
    events: tuple[Noticed, ...]
    others: tuple[int, ...]
    overtaken_by: tuple[str, ...]
    overtook: tuple[str, ...]
    number: int = 1
    of: int = 1


class Cut(msgspec.Struct, frozen=True):
    """A consistent copy of the scorer's file; without a path nothing has changed since the sequence asked for.

    `root` is the Merkle root over the events as the scorer took them from the log, in hex.
    """

    sequence: int
    path: str | None = None
    sha256: str | None = None
    root: str | None = None
    traceparent: str | None = None
