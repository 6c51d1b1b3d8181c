"""The results of an assessment as the contract prints them, and their digest."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from schemas.refusals import Refusal


class ItemResult(msgspec.Struct, frozen=True):
    """Points (6 decimals, null for a pending item without input and one that is out) and state of one item."""

    points: str | None
    state: Literal["scored", "pending", "exempt"]


class UnitResult(msgspec.Struct, frozen=True):
    """One unit: the items and parts that apply to it, its final, place, grade of each scheme and flags.

    A part that is out is null, and so are the place of a unit that left or whose category is not ranked, and a grade
    that it does not get or that is undecided.
    """

    unit: str
    category: str
    group: str
    items: dict[str, ItemResult]
    parts: dict[str, str | None]
    final: str
    place: int | None
    grades: dict[str, str | None]
    state: Literal["provisional", "final", "left"]
    flags: list[str]


class GradeResult(msgspec.Struct, frozen=True):
    """One grade (等次) in one pool: quota (名额, null: none), advanced individuals, units in order, undecided ones."""

    grade: str
    quota: int | None
    individuals: int | None
    units: list[str]
    undecided: list[str]


class SchemeResult(msgspec.Struct, frozen=True):
    """One pool of a scheme (评定方案), as the rulebook writes it, with its grades."""

    scheme: str
    pool: str
    grades: list[GradeResult]


class EntryResult(msgspec.Struct, frozen=True):
    """One deduction (扣分) or bonus (加分) with the balance before and after it and its one disposition."""

    seq: int
    source: str
    id: str
    kind: Literal["deduction", "bonus"]
    unit: str
    item: str
    matter: str
    ground: str
    claimed: str
    counted: str
    balance_before: str
    balance_after: str
    disposition: str
    why: str | UnsetType
    clause: str | None


class EventResult(msgspec.Struct, frozen=True):
    """One event that is no entry, with its one disposition."""

    seq: int
    source: str
    id: str
    type: str
    unit: str
    disposition: str
    why: str | UnsetType
    clause: str | None


class Results(msgspec.Struct, frozen=True):
    """All that `wuxing score --format json` prints; the state is running, a stage, finalised or amended."""

    assessment: str
    rulebook: str
    as_of: int
    digest: str
    assessment_state: str
    readings: dict[str, str]
    units: list[UnitResult]
    schemes: list[SchemeResult]
    entries: list[EntryResult]
    events: list[EventResult]
    refused: list[Refusal]


#: What the digest is made of, in the order of its keys.
DIGESTED = ("assessment", "assessment_state", "entries", "events", "readings", "rulebook", "schemes", "units")


def digest(found: Mapping[str, Any]) -> str:
    """SHA-256 of what DIGESTED names, without any `why`, as RFC 8785 writes it; iterators are read as they come."""
    made = hashlib.sha256()
    for n, name in enumerate(DIGESTED):
        made.update((b"," if n else b"{") + f'"{name}":'.encode())
        value = found[name]
        made.update(canonical(value) if isinstance(value, str | dict) else b"[")
        if not isinstance(value, str | dict):
            for m, part in enumerate(batches(value)):
                made.update((b"," if m else b"") + canonical([_without_why(one) for one in part])[1:-1])
            made.update(b"]")
    made.update(b"}")
    return made.hexdigest()


def batches(values: Iterable[Any], size: int = 5000) -> Iterator[list[Any]]:
    """Lists of so many values; the last is shorter."""
    source = iter(values)
    while part := list(islice(source, size)):
        yield part


def _without_why(one: Any) -> Any:
    return msgspec.structs.replace(one, why=UNSET) if isinstance(one, EntryResult | EventResult) else one


def canonical(value: Any) -> bytes:
    """UTF-8 JSON with keys sorted by code point, no white space, only the escapes that JSON demands (RFC 8785)."""
    return msgspec.json.encode(value, order="sorted")
