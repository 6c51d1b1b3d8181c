"""Entries 扣分、加分: what each counts, in ledger order, and the balance it leaves. language.md 3."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.oracle.numbers import POINTS, kept, number, total

if TYPE_CHECKING:
    from tests.oracle.book import InForce, Item
    from tests.oracle.ledger import Event


@dataclass
class Line:
    """One entry as it is reckoned."""

    event: Event
    counted: Fraction
    before: Fraction
    after: Fraction
    disposition: str


@dataclass
class Purse:
    """One balance: of the item, or of an office's share of it. language.md 3, Bounds."""

    start: Fraction
    low: Fraction | None
    high: Fraction | None
    passed: dict[bool, Fraction] = field(default_factory=lambda: {False: Fraction(0), True: Fraction(0)})

    @property
    def balance(self) -> Fraction:
        """The start less all deductions and more all bonuses passed so far, kept within the bounds."""
        now = self.start - self.passed[False] + self.passed[True]
        now = now if self.low is None else max(self.low, now)
        now = now if self.high is None else min(self.high, now)
        return kept(now, POINTS)


def purses(force: InForce, item: Item) -> dict[str, Purse]:
    """The balances of an item: one, or with `purse = "separate"` one for each office that the rulebook names."""
    if force.get(item.raw, "purse", "shared") == "separate":
        return {office: Purse(share, Fraction(0), share) for office, share in item.shares.items()}
    signs = {ground.adds for ground in item.grounds.values()}
    low = -item.points if not item.start_full and False in signs else Fraction(0)
    high = item.points if item.start_full or True in signs else Fraction(0)
    start = item.points if item.start_full else Fraction(0)
    return {"": Purse(start, item.bound("at_least", low), item.bound("at_most", high))}


class Account:
    """The entries of one unit under one item."""

    def __init__(self, force: InForce, item: Item, events: list[Event], *, without_effect: bool) -> None:
        self.item, self.force = item, force
        self.matter_rule = force.get(item.raw, "matter", "each")
        self.purses = purses(force, item)
        self.charged: list[Event] = []  # entries that stand and neither await nor are rejected, so far
        self.capped: dict[tuple[str, bool], Fraction] = defaultdict(Fraction)
        self.lines = [self.line(event, without_effect=without_effect) for event in events]

    @property
    def balance(self) -> Fraction:
        return kept(total(purse.balance for purse in self.purses.values()), POINTS)

    def line(self, event: Event, *, without_effect: bool) -> Line:
        purse = self.purses[event.slot if event.slot in self.purses else ""]
        before = purse.balance
        if event.stands and event.approval == "approved":
            increase = self.increase(event)
            if not without_effect:
                ground = event.ground
                assert ground is not None
                purse.passed[ground.adds] += self.within_cap(event, increase)
        after = purse.balance
        counted = abs(after - before)
        return Line(event, counted, before, after, disposition(event, counted))

    def increase(self, event: Event) -> Fraction:
        """What the entry adds to the charge of its matter."""
        before = self.charge(event)
        self.charged.append(event)
        return self.charge(event) - before if self.matter_rule != "each" else event.effective

    def charge(self, event: Event) -> Fraction:
        """What its matter and sign come to, so far: a ground once, at its largest; branches added, or the largest."""
        grounds: dict[str, Fraction] = {}
        branches: dict[str, Fraction] = defaultdict(Fraction)
        for n, other in enumerate(self.charged):
            if self.one_charge(event, other) and self.has_its_first(n):
                code = other.data["ground"]
                grounds[code] = max(grounds.get(code, Fraction(0)), other.effective)
        for code, points in grounds.items():
            branches[self.item.grounds[code].branch] += points
        if self.matter_rule == "sum":
            return total(branches.values())
        return max(branches.values(), default=Fraction(0))

    @staticmethod
    def one_charge(one: Event, other: Event) -> bool:
        return one.kind == other.kind and one.data["matter"] == other.data["matter"]

    def has_its_first(self, n: int) -> bool:
        """A ground with `requires` counts only where an entry of that ground on that matter precedes it."""
        event = self.charged[n]
        assert event.ground is not None
        needed = event.ground.requires
        return needed is None or any(
            other.data["ground"] == needed and other.data["matter"] == event.data["matter"]
            for other in self.charged[:n]
        )

    def within_cap(self, event: Event, increase: Fraction) -> Fraction:
        """Entries of one cap group and sign pass together at most the cap."""
        node = self.item.nodes.get(event.data.get("node", ""))
        if node is None:
            return increase
        group = node["cap_group"] if "cap_group" in node else node["code"]
        cap = cap_of(self.item, group)
        key = (group, event.ground.adds) if event.ground else ("", False)
        passed = increase if cap is None else min(increase, cap - self.capped[key])
        self.capped[key] += passed
        return passed


def cap_of(item: Item, group: str) -> Fraction | None:
    """One cap for a group of nodes, whichever of them says it."""
    caps = [number(node["cap"]) for node in item.nodes.values()
            if node.get("cap_group", node["code"]) == group and "cap" in node]  # fmt: skip
    return caps[0] if caps else None


def disposition(event: Event, counted: Fraction) -> str:
    """duplicate, void, revoked, rejected, awaiting, revised, no_effect, counted_in_part, counted."""
    said = [
        (event.duplicate, "duplicate"),
        (bool(event.void), "void"),
        (not event.stands, "revoked"),
        (event.approval != "approved", event.approval),
        (event.revised, "revised"),
        (counted == 0, "no_effect"),
        (counted < event.claimed, "counted_in_part"),
    ]
    return next((name for holds, name in said if holds), "counted")
