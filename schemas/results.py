"""The results of an assessment as the contract prints them, and their digest."""

import hashlib
import json
from typing import Any, Literal

import msgspec

from schemas.refusals import Refusal


class ItemResult(msgspec.Struct, frozen=True):
    """Points (6 decimals, null for a pending item without input) and state of one item."""

    points: str | None
    state: Literal["scored", "pending", "exempt"]


class UnitResult(msgspec.Struct, frozen=True):
    """One unit: its items, totals, place within its category, pass line and award."""

    unit: str
    category: str
    group: str
    items: dict[str, ItemResult]
    daily: str
    year_end: str
    final: str
    place: int
    passed: bool | None
    award: str | None
    state: Literal["provisional", "final"]
    flags: list[str]


class AwardResult(msgspec.Struct, frozen=True):
    """One award (奖项) in one scope: quota (名额), winners in order, units undecided at its cut."""

    award: str
    scope: str
    quota: int
    units: list[str]
    undecided: list[str]


class DeductionResult(msgspec.Struct, frozen=True):
    """One deduction (扣分) with the balance before and after it and its one disposition."""

    seq: int
    source: str
    id: str
    unit: str
    item: str
    matter: str
    ground: str
    claimed: str
    counted: str
    balance_before: str
    balance_after: str
    disposition: str
    why: str
    clause: str


class EventResult(msgspec.Struct, frozen=True):
    """One event that is no deduction, with its one disposition."""

    seq: int
    source: str
    id: str
    type: str
    unit: str
    disposition: str
    why: str
    clause: str | None


class Results(msgspec.Struct, frozen=True):
    """All that `wuxing score --format json` prints."""

    assessment: str
    rulebook: str
    as_of: int
    digest: str
    assessment_state: Literal["running", "closed", "publicised", "finalised"]
    readings: dict[str, str]
    units: list[UnitResult]
    awards: list[AwardResult]
    deductions: list[DeductionResult]
    events: list[EventResult]
    refused: list[Refusal]


def digest(results: Results) -> str:
    """SHA-256 of the results without `digest`, `as_of`, `refused` and every `why`, as RFC 8785 writes them."""
    plain: dict[str, Any] = msgspec.to_builtins(results)
    for name in ("digest", "as_of", "refused"):
        del plain[name]
    for line in (*plain["deductions"], *plain["events"]):
        del line["why"]
    return hashlib.sha256(canonical(plain)).hexdigest()


def canonical(value: Any) -> bytes:
    """UTF-8 JSON with keys sorted by code point, no white space, only the escapes that JSON demands (RFC 8785)."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
