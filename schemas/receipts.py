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


class Cut(msgspec.Struct, frozen=True):
    """A consistent copy of the scorer's file; without a path nothing has changed since the sequence asked for."""

    sequence: int
    path: str | None = None
    sha256: str | None = None
    traceparent: str | None = None
