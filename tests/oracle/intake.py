"""What intake says to one line: every check of wire.md in its order, the first failure with its reason and path."""

from __future__ import annotations

import base64
import binascii
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.oracle.book import PARAMETERS, Book, Item, UnreadableError, read
from tests.oracle.text import (
    canonical,
    instant,
    is_assessment,
    is_code,
    is_count,
    is_decimal,
    is_text,
    parse,
    public_key,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.oracle.ledger import Ledger

Json = dict[str, Any]
KIB_64, MIB = 64 * 1024, 1024 * 1024

ENTRIES = ("deduction.recorded.v1", "bonus.recorded.v1")
RATING, FACT, VETO = "rating.recorded.v1", "fact.recorded.v1", "veto.recorded.v1"
SUBMISSION, EXEMPTION, CLOSING = "submission.recorded.v1", "item.exempted.v1", "item.closed.v1"
APPROVAL, REVOCATION = "approval.recorded.v1", "event.revoked.v1"
APPEAL, DECISION = "appeal.filed.v1", "appeal.decided.v1"
TIE, ADOPTION, STAGE = "tie.resolved.v1", "reading.adopted.v1", "stage.reached.v1"
CHANGE, TRANSFER, KEY, OPENING = "unit.changed.v1", "item.transferred.v1", "key.changed.v1", "assessment.opened.v1"

# The fields of `data` of each type, in the table's order.
FIELDS = {
    "deduction.recorded.v1": ("item", "matter", "ground", "points", "node", "reason", "evidence"),
    "bonus.recorded.v1": ("item", "matter", "ground", "points", "node", "reason", "evidence"),
    RATING: ("item", "value", "rater", "measure", "group", "case", "period"),
    SUBMISSION: ("item", "characters"),
    EXEMPTION: ("item", "reason"),
    CLOSING: ("item",),
    FACT: ("attribute", "value", "reason"),
    VETO: ("veto", "reason", "evidence"),
    APPROVAL: ("target", "outcome", "reason"),
    REVOCATION: ("target", "reason"),
    APPEAL: ("target", "statement"),
    DECISION: ("appeal", "outcome", "points", "reason"),
    TIE: ("grade", "units", "reason"),
    ADOPTION: ("reading", "value", "reason"),
    CHANGE: ("change", "name", "category", "group", "attributes", "reason"),
    TRANSFER: ("item", "from", "to", "reason"),
    KEY: ("party", "key", "reason"),
    STAGE: ("stage",),
    OPENING: ("assessment", "rulebook", "roster", "synthetic", "keys"),
}
OF_THE_YEAR = (CLOSING, TIE, ADOPTION, TRANSFER, KEY, STAGE, OPENING)  # subject `assessment`
OF_THE_COLLECTOR = (TIE, ADOPTION, TRANSFER, KEY, STAGE, OPENING)
OF_AN_ITEM = (*ENTRIES, RATING, SUBMISSION, EXEMPTION, CLOSING)
CHANGES = {
    "joined": ("name", "category", "group", "attributes"),
    "renamed": ("name",),
    "moved": ("category", "group"),
    "left": (),
}


class RefusalError(Exception):
    """Intake refuses the line: the reason's name and the path of the fault."""

    def __init__(self, reason: str, path: str | None) -> None:
        super().__init__(reason, path)
        self.reason, self.path = reason, path


def refuse(reason: str, path: str | None) -> NoReturn:
    raise RefusalError(reason, path)


def form(good: bool, path: str) -> None:
    """A field without its form is bad_field at its path."""
    if not good:
        refuse("bad_field", path)


# --- The form of the fields -------------------------------------------------------------------------------------------


class Form:
    """The form of one event's `data`, under the rulebook and ledger that precede it."""

    def __init__(self, event: Json, ledger: Ledger) -> None:
        self.event, self.ledger, self.book = event, ledger, ledger.book
        self.kind: str = event["type"]
        self.data: Json = event["data"]
        name = self.data.get("item")
        self.item: Item | None = self.book.items.get(name) if isinstance(name, str) else None

    def had(self) -> dict[str, bool]:
        """The fields that this event has, and whether each is required. wire.md, Fields by item."""
        had = dict.fromkeys(FIELDS[self.kind], True)
        if "evidence" in had:
            had["evidence"] = False
        if self.kind in ENTRIES:
            return self.had_by_ground(had)
        if self.kind == RATING:
            return self.had_by_item(had)
        if self.kind == DECISION and self.data.get("outcome") != "revised":
            del had["points"]
        if self.kind == CHANGE:
            change = self.data.get("change")
            own = CHANGES.get(change) if isinstance(change, str) else None
            if own is not None:
                had = {key: True for key in had if key in ("change", "reason", *own)}
        if self.kind == OPENING:
            had.update(synthetic=False, keys=False)
        return had

    def had_by_ground(self, had: dict[str, bool]) -> dict[str, bool]:
        name = self.data.get("ground")
        ground = self.item.grounds.get(name) if self.item and isinstance(name, str) else None
        if self.item is None or ground is None:
            return {**had, "points": False, "node": False}
        absent = {"points": ground.fixed is not None, "node": not self.item.nodes}
        return {key: required for key, required in had.items() if not absent.get(key)}

    def had_by_item(self, had: dict[str, bool]) -> dict[str, bool]:
        item = self.item
        if item is None:
            return {**had, "measure": False, "group": False, "case": False, "period": False}
        absent = {
            "measure": item.entries or not item.measures,
            "group": item.entries or not item.raters,
            "case": item.entries or item.runs != "case",
            "period": item.entries or item.runs in (None, "case"),
        }
        return {key: required for key, required in had.items() if not absent.get(key)}

    def check(self) -> None:
        """bad_field in the table's order; after all of them unknown_field, the smallest path."""
        had = self.had()
        for key, required in had.items():
            if key in self.data:
                getattr(self, f"check_{key}")(self.data[key], f"data.{key}")
            else:
                form(not required, f"data.{key}")
        unknown = list(self.unknown(had))
        if unknown:
            refuse("unknown_field", min(unknown))

    def unknown(self, had: Iterable[str]) -> Iterable[str]:
        """The paths of all fields inside `data` that the event does not have."""
        yield from (f"data.{key}" for key in self.data if key not in had)
        for name in ("target", "appeal"):
            if name in had:
                yield from (f"data.{name}.{key}" for key in self.data[name] if key not in ("source", "id"))
        if "attributes" in had:
            yield from (f"data.attributes.{key}" for key in self.data["attributes"] if key not in self.book.attributes)
        if "roster" in had:
            book = read(self.data["rulebook"])
            for n, row in enumerate(self.data["roster"]):
                known = ("unit", "name", "category", "group", "attributes")
                yield from (f"data.roster[{n}].{key}" for key in row if key not in known)
                for key in row.get("attributes", {}):
                    if key not in book.attributes:
                        yield f"data.roster[{n}].attributes.{key}"

    def listed(self, value: Any, path: str, names: Iterable[str]) -> None:
        """A name outside its list is bad_field."""
        form(isinstance(value, str) and value in names, path)

    def text(self, value: Any, path: str) -> None:
        form(is_text(value), path)

    check_item = check_matter = check_ground = check_rater = check_case = text

    def long_text(self, value: Any, path: str) -> None:
        form(is_text(value, 2000), path)

    check_reason = check_statement = long_text

    def check_points(self, value: Any, path: str) -> None:
        form(is_decimal(value, signed=self.kind == DECISION), path)

    def check_node(self, value: Any, path: str) -> None:
        own = self.item.nodes if self.item else {}
        self.listed(value, path, own or [code for item in self.book.items.values() for code in item.nodes])

    def check_measure(self, value: Any, path: str) -> None:
        own = self.item.measures if self.item else {}
        self.listed(value, path, own or [code for item in self.book.items.values() for code in item.measures])

    def check_group(self, value: Any, path: str) -> None:
        """A rating's group of raters, or the group of a unit."""
        if self.kind == CHANGE:
            category = self.data.get("category")
            form(self.book.group_fits(value, category if isinstance(category, str) else ""), path)
        else:
            own = self.item.raters if self.item else []
            self.listed(value, path, own or [code for item in self.book.items.values() for code in item.raters])

    def check_period(self, value: Any, path: str) -> None:
        run = self.item.runs if self.item else None
        every = [v for item in self.book.items.values() for v in self.book.periods.get(item.runs or "", [])]
        self.listed(value, path, self.book.periods.get(run or "", every))

    def check_evidence(self, value: Any, path: str) -> None:
        form(isinstance(value, list) and len(value) <= 32, path)
        for n, entry in enumerate(value):
            form(is_text(entry, 500), f"{path}[{n}]")

    def check_value(self, value: Any, path: str) -> None:
        """The value of a rating or fact, or of an adopted reading or parameter."""
        if self.kind != ADOPTION:
            form(is_decimal(value, signed=True), path)
        elif self.data["reading"] in self.book.readings:
            self.listed(value, path, self.book.readings[self.data["reading"]])
        else:
            form(isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,2}", value) is not None, path)

    def check_characters(self, value: Any, path: str) -> None:
        form(is_count(value), path)

    def check_attribute(self, value: Any, path: str) -> None:
        self.listed(value, path, self.book.attributes)

    def check_veto(self, value: Any, path: str) -> None:
        self.listed(value, path, self.book.vetoes)

    def check_target(self, value: Any, path: str) -> None:
        """A target or appeal is an object of source and id."""
        form(isinstance(value, dict), path)
        for key in ("source", "id"):
            form(is_text(value.get(key)), f"{path}.{key}")

    check_appeal = check_target

    def check_outcome(self, value: Any, path: str) -> None:
        self.listed(
            value, path, ("approved", "rejected") if self.kind == APPROVAL else ("upheld", "cancelled", "revised")
        )

    def check_grade(self, value: Any, path: str) -> None:
        self.listed(value, path, self.book.grades)

    def check_units(self, value: Any, path: str) -> None:
        """Two units or more, each a string, none twice."""
        form(isinstance(value, list) and len(value) >= 2, path)
        for n, unit in enumerate(value):
            form(is_text(unit), f"{path}[{n}]")
        form(len(set(value)) == len(value), path)

    def check_reading(self, value: Any, path: str) -> None:
        self.listed(value, path, (*self.book.readings, *PARAMETERS))

    def check_change(self, value: Any, path: str) -> None:
        self.listed(value, path, CHANGES)

    def check_name(self, value: Any, path: str) -> None:
        form(is_text(value), path)

    def check_category(self, value: Any, path: str) -> None:
        self.listed(value, path, self.book.ranked)

    def check_attributes(self, value: Any, path: str) -> None:
        check_attributes(self.book, value, path)

    def check_from(self, value: Any, path: str) -> None:
        self.listed(value, path, self.book.offices)

    check_to = check_from

    def check_party(self, value: Any, path: str) -> None:
        self.listed(value, path, (*self.book.offices, *self.ledger.units))

    def check_key(self, value: Any, path: str) -> None:
        form(public_key(value) is not None, path)

    def check_stage(self, value: Any, path: str) -> None:
        self.listed(value, path, (*self.book.stages, "finalised"))

    def check_assessment(self, value: Any, path: str) -> None:
        form(is_assessment(value), path)

    def check_rulebook(self, value: Any, path: str) -> None:
        try:
            read(value)
        except UnreadableError:
            refuse("bad_field", path)

    def check_roster(self, value: Any, path: str) -> None:
        check_roster(read(self.data["rulebook"]), value, path)

    def check_synthetic(self, value: Any, path: str) -> None:
        form(isinstance(value, bool), path)

    def check_keys(self, value: Any, path: str) -> None:
        form(isinstance(value, dict), path)
        parties = {*read(self.data["rulebook"]).offices, *(row["unit"] for row in self.data["roster"])}
        for party in sorted(value):
            form(party in parties and public_key(value[party]) is not None, f"{path}.{party}")


def check_attributes(book: Book, value: Any, path: str) -> None:
    """Each attribute in its form and range; one that is missing has a default."""
    form(isinstance(value, dict), path)
    for code, row in book.attributes.items():
        form(book.attribute_good(code, value[code]) if code in value else "default" in row, f"{path}.{code}")


def check_roster(book: Book, value: Any, path: str) -> None:
    """A non-empty list of units, each once, unlike the offices, with name, category, group and attributes."""
    form(isinstance(value, list) and len(value) > 0, path)
    taken = {"assessment", *book.offices}
    for n, row in enumerate(value):
        here = f"{path}[{n}]"
        form(isinstance(row, dict), here)
        form(is_code(row.get("unit")) and row["unit"] not in taken, f"{here}.unit")
        taken.add(row["unit"])
        form(is_text(row.get("name")), f"{here}.name")
        form(isinstance(row.get("category"), str) and row["category"] in book.ranked, f"{here}.category")
        form(book.group_fits(row.get("group"), row["category"]), f"{here}.group")
        check_attributes(book, row.get("attributes", {}), f"{here}.attributes")


def check_envelope(event: Any) -> None:
    """not_cloudevent in the order specversion, id, source, type; unknown_type."""
    if not isinstance(event, dict):
        refuse("not_cloudevent", None)
    if event.get("specversion") != "1.0":
        refuse("not_cloudevent", "specversion")
    for name in ("id", "source", "type"):
        if not is_text(event.get(name)):
            refuse("not_cloudevent", name)
    if event["type"] not in FIELDS:
        refuse("unknown_type", "type")


def check_form(event: Json, ledger: Ledger) -> None:
    """bad_field in the order subject, time, data, then the table's; after all of them unknown_field."""
    kind, subject = event["type"], event.get("subject")
    if kind in OF_THE_YEAR:
        form(subject == "assessment", "subject")
    form(is_code(subject), "subject")
    joins = kind == CHANGE and isinstance(event.get("data"), dict) and event["data"].get("change") == "joined"
    form(not joins or subject not in ("assessment", *ledger.book.offices), "subject")
    form(instant(event.get("time")) is not None, "time")
    form(isinstance(event.get("data"), dict), "data")
    Form(event, ledger).check()


# --- Authority, signature, existence, kinds, ranges -------------------------------------------------------------------


def authorised(event: Json, ledger: Ledger) -> bool:
    """Whether the source may send this; what does not exist is nobody's, then any known office may."""
    source, kind, subject, data = event["source"], event["type"], event["subject"], event["data"]
    book = read(data["rulebook"]) if kind == OPENING else ledger.book
    office = source.removeprefix("/offices/") if source.startswith("/offices/") else ""
    known, own = office in book.offices, source == f"/units/{subject}"
    if kind == APPEAL:
        return bool(own)
    if kind in OF_THE_COLLECTOR:
        return bool(office == book.collector)
    of_unit = kind not in OF_THE_YEAR and (kind, subject) != (REVOCATION, "assessment")
    nobody = of_unit and subject not in ledger.units and data.get("change") != "joined"
    if kind == REVOCATION:
        near = source == data["target"]["source"] or ledger.went(data["target"]["source"], source)
        return (known or (own and of_unit)) and (nobody or near)
    if nobody or (kind in OF_AN_ITEM and data["item"] not in book.items):
        return known
    return office in offices_for(event, ledger)


def offices_for(event: Json, ledger: Ledger) -> list[str]:
    """The offices that may send an event about something that exists: the table's column `source`."""
    kind, data, book = event["type"], event["data"], ledger.book
    if kind in OF_AN_ITEM:
        return ledger.holders(data["item"])
    if kind == FACT:
        return list(book.attributes[data["attribute"]].get("offices", [book.collector]))
    if kind == VETO:
        return list(book.vetoes[data["veto"]]["offices"])
    role = {APPROVAL: book.approvals, DECISION: book.appeals, CHANGE: book.collector}[kind]
    return [role] if role else []


def check_signature(event: Json, ledger: Ledger) -> None:
    """A wrong signature is refused, and a missing one where the rulebook requires it. wire.md, Proof."""
    if event["type"] == OPENING and not ledger.events:
        return
    party = event["source"].split("/", 2)[-1]
    key = ledger.keys.get(party)
    good = not ledger.book.signed
    if key is not None and "signature" in event:
        good = signed(event, key)
    if not good:
        refuse("not_signed", "signature")


def signed(event: Json, key: str) -> bool:
    """Whether `signature` is Ed25519 by this key over the RFC 8785 form of the event without it."""
    signature, public = event["signature"], public_key(key)
    assert public is not None
    try:
        raw = base64.b64decode(signature.encode("ascii"), validate=True)
        body = canonical({name: value for name, value in event.items() if name != "signature"})
        Ed25519PublicKey.from_public_bytes(public).verify(raw, body.encode())
    except (AttributeError, UnicodeEncodeError, binascii.Error, InvalidSignature, OverflowError):
        return False
    return True


def check_existence(event: Json, ledger: Ledger) -> None:
    """unknown_unit, unknown_item, not_applicable, wrong_kind, unknown_ground."""
    kind, subject, data = event["type"], event["subject"], event["data"]
    loose = kind in OF_THE_YEAR or (kind, subject) == (REVOCATION, "assessment") or data.get("change") == "joined"
    if not loose and subject not in ledger.units:
        refuse("unknown_unit", "subject")
    for n, unit in enumerate(data["units"] if kind == TIE else ()):
        if unit not in ledger.units:
            refuse("unknown_unit", f"data.units[{n}]")
    if "item" in data and kind != OPENING:
        check_item(event, ledger)
    if kind in (APPEAL, DECISION) and ledger.book.appeals is None:
        refuse("wrong_kind", "type")
    grounds = [ground for item in ledger.book.items.values() for ground in item.grounds.values()]
    if kind == APPROVAL and not any(ground.approval for ground in grounds):
        refuse("wrong_kind", "type")


def check_item(event: Json, ledger: Ledger) -> None:
    """An event of an item: it exists, is one of the unit's, and takes events of this kind."""
    kind, data = event["type"], event["data"]
    item = ledger.book.items.get(data["item"])
    if item is None:
        refuse("unknown_item", "data.item")
    if kind not in OF_THE_YEAR:
        unit = ledger.units[event["subject"]]
        if not ledger.book.applies(item, unit.category, unit.group):
            refuse("not_applicable", "data.item")
    ground = item.grounds.get(data["ground"]) if kind in ENTRIES else None
    wrong = {
        RATING: item.entries,
        SUBMISSION: item.characters is None,
        **dict.fromkeys(ENTRIES, not item.entries or (ground is not None and ground.adds != (kind == ENTRIES[1]))),
    }
    if wrong.get(kind):
        refuse("wrong_kind", "data.item")
    if kind in ENTRIES and ground is None:
        refuse("unknown_ground", "data.ground")


def check_ranges(event: Json, book: Book) -> None:
    """points_out_of_range, then value_out_of_range."""
    kind, data = event["type"], event["data"]
    if kind in ENTRIES and "points" in data:
        ground = book.items[data["item"]].grounds[data["ground"]]
        if not ground.allows(Fraction(data["points"])):
            refuse("points_out_of_range", "data.points")
    if kind == RATING:
        allowed = book.items[data["item"]].value_range(data.get("measure"))
        if allowed is not None and not allowed.holds(Fraction(data["value"])):
            refuse("value_out_of_range", "data.value")
    if kind == FACT and not book.attribute_range(data["attribute"]).holds(Fraction(data["value"])):
        refuse("value_out_of_range", "data.value")
    if kind == SUBMISSION:
        digits = data["characters"].text.lstrip("-").lstrip("0") or "0"
        most = str(book.items[data["item"]].characters)
        if (len(digits), digits) > (len(most), most):
            refuse("value_out_of_range", "data.characters")


def opens(raw: bytes) -> bool:
    """A line over 64 KiB passes only if it parses and is an assessment.opened.v1."""
    try:
        event = parse(raw)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and event.get("type") == OPENING


def accepted(raw: bytes, ledger: Ledger) -> Json:
    """The event of a line that passes every check of intake, or RefusalError with the first that fails."""
    if len(raw) > MIB or (len(raw) > KIB_64 and not opens(raw)):
        refuse("too_large", None)
    try:
        event = parse(raw)
    except (ValueError, RecursionError):
        refuse("not_json", None)
    check_envelope(event)
    check_form(event, ledger)
    if not authorised(event, ledger):
        refuse("source_not_authorised", "source")
    check_signature(event, ledger)
    check_existence(event, ledger)
    check_ranges(event, ledger.book)
    return dict(event)
