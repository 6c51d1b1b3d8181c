"""The ledger: accepted events in sequence, each judged once by what precedes it. language.md 10."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.oracle.intake import (
    ADOPTION,
    APPEAL,
    APPROVAL,
    CHANGE,
    CLOSING,
    DECISION,
    ENTRIES,
    EXEMPTION,
    FACT,
    KEY,
    OPENING,
    RATING,
    REVOCATION,
    STAGE,
    SUBMISSION,
    TIE,
    TRANSFER,
    VETO,
)  # fmt: skip
from tests.oracle.text import equal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.oracle.book import Book, Ground, Item

Json = dict[str, Any]
OF_AN_OFFICE_ITEM = (*ENTRIES, RATING, SUBMISSION, EXEMPTION, CLOSING)
OF_A_UNIT = (*ENTRIES, RATING, SUBMISSION, EXEMPTION, FACT, VETO, APPROVAL)  # void of a unit that left
NOT_WHILE_FINAL = (*OF_AN_OFFICE_ITEM, FACT, VETO, APPROVAL, ADOPTION, TIE, CHANGE, TRANSFER)
IRREVOCABLE = (REVOCATION, OPENING, CHANGE, KEY, TRANSFER)
APPEALABLE = (*ENTRIES, RATING, VETO)


@dataclass
class Unit:
    """Who a unit is at this place of the ledger. language.md 2."""

    name: str
    category: str
    group: str
    attributes: dict[str, str]
    there: bool = True


def unit_of(row: Json) -> Unit:
    return Unit(row["name"], row["category"], row["group"], dict(row.get("attributes", {})))


@dataclass(eq=False)
class Event:
    """An accepted line, what admission said of it for ever, and what later events did to it."""

    seq: int
    raw: Json
    item: Item | None
    duplicate: bool = False
    void: str = ""  # why it is void
    revoked: bool = False
    slot: str = ""  # the office of the rulebook whose part of the item the source held then
    target: Event | None = None  # of a revocation, approval or appeal; of a decision its appeal
    appeals: list[Event] = field(default_factory=list)  # admitted, against this event
    decisions: list[Event] = field(default_factory=list)  # admitted, on this appeal
    approvals: list[Event] = field(default_factory=list)  # admitted, of this entry

    @property
    def kind(self) -> str:
        return str(self.raw["type"])

    @property
    def source(self) -> str:
        return str(self.raw["source"])

    @property
    def office(self) -> str:
        return self.source.split("/", 2)[-1]

    @property
    def subject(self) -> str:
        return str(self.raw["subject"])

    @property
    def data(self) -> Json:
        return self.raw["data"]  # type: ignore[no-any-return]

    @property
    def key(self) -> tuple[str, str]:
        return self.raw["source"], self.raw["id"]

    @property
    def content(self) -> list[Any]:
        """What makes a duplicate: type, subject, time and data, as JSON values."""
        return [self.raw["type"], self.raw["subject"], self.raw["time"], self.raw["data"]]

    @property
    def admitted(self) -> bool:
        return not self.duplicate and not self.void

    @property
    def decision(self) -> Event | None:
        """Of an appeal: its standing decision."""
        return next((decision for decision in self.decisions if decision.stands), None)

    @property
    def verdict(self) -> Event | None:
        """Of an entry, rating or veto: the standing decision on its standing appeal."""
        return next((appeal.decision for appeal in self.appeals if appeal.stands and appeal.decision), None)

    @property
    def stands(self) -> bool:
        """Admitted, not revoked, and not cancelled on appeal."""
        cancelled = self.verdict is not None and self.verdict.data["outcome"] == "cancelled"
        return self.admitted and not self.revoked and not cancelled

    @property
    def revised(self) -> bool:
        return self.verdict is not None and self.verdict.data["outcome"] == "revised"

    @property
    def open(self) -> bool:
        """Of an appeal: it stands undecided, and its target is not revoked."""
        return self.stands and self.decision is None and self.target is not None and self.target.stands

    @property
    def ground(self) -> Ground | None:
        return self.item.grounds[self.data["ground"]] if self.item is not None and self.kind in ENTRIES else None

    @property
    def approval(self) -> str:
        """Of an entry: `approved` where none is needed, else the outcome that stands, else `awaiting`."""
        if self.ground is None or not self.ground.approval:
            return "approved"
        return next((str(event.data["outcome"]) for event in self.approvals if event.stands), "awaiting")

    @property
    def claimed(self) -> Fraction:
        """The points an entry claims or the value a rating gives, as sent."""
        if self.ground is None:
            return Fraction(self.data["value"])
        return Fraction(self.data["points"]) if self.ground.fixed is None else self.ground.fixed

    @property
    def effective(self) -> Fraction:
        """The same after a revision on appeal."""
        if self.revised and self.verdict is not None:
            return Fraction(self.verdict.data["points"])
        return self.claimed


class Ledger:
    """The accepted events of one assessment, and who and what is in force after them."""

    def __init__(self, book: Book, roster: list[Json], pending: Callable[[Ledger], bool]) -> None:
        self.pending = pending  # whether the year, as the ledger has it, has anything that final waits for
        self.events: list[Event] = []
        self.first: dict[tuple[str, str], Event] = {}
        self.keys: dict[str, str] = {}
        self.begin(book, roster)

    def begin(self, book: Book, roster: list[Json]) -> None:
        """Take a rulebook and a roster, before anything is admitted under them."""
        self.book = book
        self.units = {row["unit"]: unit_of(row) for row in roster}
        # item to the office of the rulebook to all that held its part, the present holder last
        self.chains = {code: {office: [office] for office in item.offices} for code, item in book.items.items()}

    # --- what intake asks too

    def holders(self, item: str) -> list[str]:
        return [chain[-1] for chain in self.chains[item].values()]

    def went(self, source: str, to: str, item: str | None = None) -> bool:
        """Whether some item, or this one, went from a source to another through one or more transfers."""
        for code, chains in self.chains.items():
            for chain in chains.values() if item in (None, code) else ():
                sources = [f"/offices/{office}" for office in chain]
                if any(source in sources[:n] and sources[n] == to for n in range(1, len(sources))):
                    return True
        return False

    # --- admission

    def append(self, seq: int, raw: Json) -> bool:
        """Judge and append; False for a conflict, which has no disposition."""
        name = raw["data"].get("item")
        event = Event(seq, raw, self.book.items.get(name) if isinstance(name, str) else None)
        if event.item is not None and event.kind in OF_AN_OFFICE_ITEM:
            chains = self.chains[event.item.code]
            event.slot = next(office for office, chain in chains.items() if chain[-1] == event.office)
        holder = self.first.get(event.key)
        if holder is not None and not equal(holder.content, event.content):
            return False
        if holder is not None:
            event.duplicate = True
        else:
            event.void = self.why_void(event)
            self.first[event.key] = event
        self.events.append(event)
        if event.admitted:
            self.take_effect(event)
        return True

    def standing(self, *kinds: str) -> list[Event]:
        return [event for event in self.events if event.kind in kinds and event.stands]

    def find(self, reference: dict[str, str]) -> Event | None:
        return self.first.get((reference["source"], reference["id"]))

    @property
    def finalised(self) -> bool:
        return any(event.data["stage"] == "finalised" for event in self.standing(STAGE))

    def why_void(self, event: Event) -> str:
        """The reason for which the event is void for ever, or nothing."""
        other_stage = event.kind == STAGE and event.data["stage"] != "finalised"
        if (event.kind in NOT_WHILE_FINAL or other_stage) and self.finalised:
            return "the assessment is finalised"
        if event.kind in OF_A_UNIT and not self.units[event.subject].there:
            return "the unit has left"
        if event.kind in OF_AN_OFFICE_ITEM and self.closed_by(event.office, event.data["item"]):
            return "the office has closed the item"
        judge = {
            REVOCATION: self.revocation_void,
            APPEAL: self.appeal_void,
            DECISION: self.decision_void,
            APPROVAL: self.approval_void,
            STAGE: self.stage_void,
            CHANGE: self.change_void,
            TRANSFER: self.transfer_void,
            OPENING: self.opening_void,
        }.get(event.kind)
        return judge(event) if judge else ""

    def closed_by(self, office: str, item: str) -> bool:
        return any(event.office == office and event.data["item"] == item for event in self.standing(CLOSING))

    def closed(self, item: str) -> bool:
        """Closed by every office that holds a part of it now."""
        return all(self.closed_by(office, item) for office in self.holders(item))

    def opening_void(self, _event: Event) -> str:
        return "not the first event" if self.events else ""

    def change_void(self, event: Event) -> str:
        """One joins who is not there; all else is of one who is."""
        unit = self.units.get(event.subject)
        there = unit is not None and unit.there
        return "" if there != (event.data["change"] == "joined") else "the unit is there, or is not"

    def transfer_void(self, event: Event) -> str:
        holders = self.holders(event.data["item"])
        good = event.data["from"] in holders and event.data["to"] not in holders
        return "" if good else "the office does not hold the item, or holds it already"

    def revocation_void(self, event: Event) -> str:
        """An event is revoked where it stands, on its own subject, by its source or by who has its item from it."""
        target = self.find(event.data["target"])
        if target is None or not target.stands or target.subject != event.subject:
            return "refers to nothing that stands"
        if target.kind in IRREVOCABLE:
            return "cannot be revoked"
        if target.kind == APPEAL and target.decision:
            return "the appeal is decided"
        item = target.item.code if target.item else ""
        mine = target.source == event.source or (item and self.went(target.source, event.source, item))
        return "" if mine else "is not of the item that came from the target's office"

    def appeal_void(self, event: Event) -> str:
        """Appealable is a standing entry, rating or veto of the unit, once."""
        target = self.find(event.data["target"])
        if target is None or not target.stands or target.subject != event.subject or target.kind not in APPEALABLE:
            return "refers to nothing that can be appealed"
        return "appealed before" if any(appeal.stands for appeal in target.appeals) else ""

    def decision_void(self, event: Event) -> str:
        """A decision is on an open appeal of its own subject, within the range."""
        appeal = self.find(event.data["appeal"])
        if appeal is None or appeal.kind != APPEAL or not appeal.open or appeal.subject != event.subject:
            return "refers to no open appeal"
        target = appeal.target
        assert target is not None
        if event.data["outcome"] != "revised":
            return ""
        if target.kind == VETO:
            return "a veto cannot be revised"
        points = Fraction(event.data["points"])
        if target.kind in ENTRIES:
            return "" if 0 <= points <= target.claimed else "out of range"
        assert target.item is not None
        allowed = target.item.value_range(target.data.get("measure"))
        return "" if allowed is None or allowed.holds(points) else "out of range"

    def approval_void(self, event: Event) -> str:
        """A standing entry on a ground with approval has at most one standing approval."""
        target = self.find(event.data["target"])
        if target is None or not target.stands or target.subject != event.subject:
            return "refers to nothing that stands"
        if target.ground is None or not target.ground.approval:
            return "needs no approval"
        return "approved or rejected before" if any(one.stands for one in target.approvals) else ""

    def stage_void(self, event: Event) -> str:
        """`finalised` is judged as of what precedes it, under the ledger's own readings."""
        if event.data["stage"] != "finalised":
            return ""
        adopted = {adoption.data["reading"] for adoption in self.standing(ADOPTION)}
        if not self.book.assumed <= adopted:
            return "an assumption is not adopted"
        if not set(self.book.stages) <= {stage.data["stage"] for stage in self.standing(STAGE)}:
            return "a stage is not reached"
        return "something is pending" if self.pending(self) else ""

    def take_effect(self, event: Event) -> None:
        """What an admitted event does to those it refers to, and to who and what is in force."""
        if event.kind in (REVOCATION, APPEAL, DECISION, APPROVAL):
            target = self.find(event.data["appeal" if event.kind == DECISION else "target"])
            assert target is not None
            event.target = target
            if event.kind == REVOCATION:
                target.revoked = True
            else:
                {APPEAL: target.appeals, DECISION: target.decisions, APPROVAL: target.approvals}[event.kind].append(
                    event
                )
        elif event.kind == CHANGE:
            self.change(event)
        elif event.kind == TRANSFER:
            chains = self.chains[event.data["item"]]
            next(chain for chain in chains.values() if chain[-1] == event.data["from"]).append(event.data["to"])
        elif event.kind == KEY:
            self.keys[event.data["party"]] = event.data["key"]

    def change(self, event: Event) -> None:
        data = event.data
        if data["change"] == "joined":
            self.units[event.subject] = unit_of(data)
            return
        unit = self.units[event.subject]
        unit.name = data.get("name", unit.name)
        unit.category, unit.group = data.get("category", unit.category), data.get("group", unit.group)
        unit.there = data["change"] != "left"
