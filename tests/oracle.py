"""The oracle decides once more, naively and without any of the product's code, what a file of events comes to.

Every function follows one sentence or one table row of the two pages that bind the product: the reading of the
regulation (温委办发(2013)36号) and the contract of the wire. Numbers are ints and Fractions, nothing is cached, nothing
is clever, and a reader can hold each function against its clause.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# --- The rulebook wenzhou-2013 as numbers -----------------------------------------------------------------------------

OFFICES = (
    "ducha", "renda", "zhengxie", "gongwei", "zuzhi", "renshe", "tongji", "duchayuan", "wenda", "shenguan", "xuanchuan",
    "jiwei", "kaoji", "chuangjian",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A row of the table of items (考核项目): full points, whether it deducts, its offices, its clause."""

    full: int
    deducts: bool
    offices: tuple[str, ...]
    clause: str
    top: int = 0  # the largest value a rating may have


ITEMS = {
    "1.1": Item(5, True, ("ducha",), "四(一)1(1)"),
    "1.2": Item(5, True, ("ducha",), "四(一)1(2)"),
    "1.3": Item(20, True, ("renda", "zhengxie"), "四(一)1(3)"),
    "1.4": Item(5, True, ("gongwei", "zuzhi", "renshe"), "四(一)1(4)"),
    "1.5": Item(5, False, ("gongwei",), "四(一)1(5)", top=100),
    "2.1": Item(5, False, ("gongwei",), "四(一)2(1)", top=5),
    "2.2": Item(5, False, ("gongwei",), "四(一)2(2)", top=100),
    "2.3": Item(5, False, ("tongji",), "四(一)2(3)", top=100),
    "2.4": Item(5, True, ("duchayuan",), "四(一)2(4)"),
    "3.1": Item(10, False, ("wenda",), "四(一)3(1)", top=10),
    "3.2": Item(5, False, ("wenda",), "四(一)3(2)", top=1),
    "3.3": Item(5, False, ("shenguan",), "四(一)3(3)", top=1),
    "4.1": Item(20, False, ("xuanchuan",), "四(一)4", top=20),
    "5.1": Item(20, False, ("jiwei",), "四(一)5", top=100),
    "Y.1": Item(120, False, ("kaoji",), "四(二)", top=120),
}
DAILY = tuple(item for item in ITEMS if item != "Y.1")

# A fixed ground has its points, a ground with a range has None.
GROUNDS: dict[str, dict[str, int | None]] = {
    "1.1": {"no_feedback": 1, "poorly_implemented": 2, "not_rectified": 1, "criticised": 3},
    "1.2": {"accident": None},
    "1.3": {"handling": None},
    "1.4": {"late_or_unmet": None},
    "2.4": {"problem_minor": 1, "problem_serious": 2},
}
NODE_CAPS = {"plan": 1, "result": 2, "quarter": 2}
NODES = ("plan", "result", "quarter_1", "quarter_2", "quarter_3", "quarter_4")
GROUPS = ("leader", "clients")
COMPONENTS = {
    "3.2": {"exchange": 1, "internal": 1, "usage": 3},
    "3.3": {"accuracy": 2, "completeness": 2, "timeliness": 1},
}
BINARY = ("exchange", "internal")
STAGES = ("daily_closed", "year_end_closed", "publicised", "finalised")
STATES = ("running", "closed", "publicised", "finalised")
OUTCOMES = ("upheld", "cancelled", "revised")
AWARDS = ("first", "second")
AWARD_PERCENT = {"first": 5, "second": 10}
PASS_MARK = 9
MAX_CHARACTERS = 5000

READINGS = {
    "matter_rule": ("chain", "sum"),
    "pool": ("shared", "separate"),
    "band_rounding": ("cumulative_half_up", "cumulative_floor", "largest_remainder"),
    "band_pool": ("all", "category"),
    "panel_mean": ("plain", "trimmed"),
    "client_weights": ("50/50", "30/70"),
    "e1": ("final", "ranked"),
    "step": ("linear", "geometric"),
    "step_ties": ("better", "average"),
    "year_end_scale": ("120", "100"),
    "award_base": ("listed", "eligible"),
    "award_eligible": ("b", "a_and_b", "each"),
    "award_rounding": ("floor", "half_up"),
    "award_shape": ("disjoint", "cumulative"),
    "award_tie": ("undecided", "include", "exclude"),
}
PARAMETERS = ("publicity_days", "appeal_days", "decision_days", "individuals_per_unit")

# --- Intake: strict JSON ----------------------------------------------------------------------------------------------

KIB_64, MIB = 64 * 1024, 1024 * 1024
MAX_DEPTH = 64
MAX_EXPONENT_DIGITS = 1000


class RefusalError(Exception):
    """Intake refuses the line: the reason's name and the path of the fault."""

    def __init__(self, reason: str, path: str | None) -> None:
        super().__init__(reason, path)
        self.reason, self.path = reason, path


def refuse(reason: str, path: str | None) -> NoReturn:
    """End the checks of this line: the first failure is the one reported."""
    raise RefusalError(reason, path)


class Number:
    """A JSON number, kept as text and compared by value; no float ever touches it."""

    def __init__(self, text: str) -> None:
        self.text = text
        sign, whole, part, power = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?", text).groups()  # type: ignore[union-attr]
        digits = (whole + (part or "")).lstrip("0")
        bare = digits.rstrip("0")
        exponent = int(power or 0) if len(power or "") < MAX_EXPONENT_DIGITS else 0
        scale = exponent - len(part or "") + len(digits) - len(bare)
        self.value = (sign, bare, scale) if bare else ("", "", 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, unless a key stands in it twice."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("repeated key")
    return dict(pairs)


def no_constant(name: str) -> NoReturn:
    """NaN and Infinity are not JSON."""
    raise ValueError(name)


def well_formed(value: Any, depth: int = 1) -> None:
    """Refuse nesting over 64 and lone surrogates, in keys too."""
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("lone surrogate")
    if isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            raise ValueError("nesting")
        for member in (*value, *value.values()) if isinstance(value, dict) else value:
            well_formed(member, depth + 1)


def parse(raw: bytes) -> Any:
    """The JSON value of a line, or ValueError or RecursionError for not_json."""
    value = json.loads(
        raw.decode("utf-8"),
        object_pairs_hook=unrepeated, parse_constant=no_constant, parse_int=Number, parse_float=Number,
    )  # fmt: skip
    well_formed(value)
    return value


def opens(raw: bytes) -> bool:
    """A line over 64 KiB passes only if it parses and is an assessment.opened.v1."""
    try:
        event = parse(raw)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and event.get("type") == "assessment.opened.v1"


# --- Intake: the form of one field ------------------------------------------------------------------------------------


def is_text(value: Any, most: int = 200) -> bool:
    """A string of 1 to so many code points."""
    return isinstance(value, str) and 1 <= len(value) <= most


def is_decimal(value: Any) -> bool:
    """A plain decimal in a string, at most six decimals."""
    return is_text(value) and re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]{1,6})?", value) is not None


def is_code(value: Any) -> bool:
    """A code of a party, unit or assessment."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) is not None


def is_count(value: Any) -> bool:
    """A JSON integer >= 0, without fraction or exponent; -0 is 0."""
    return isinstance(value, Number) and re.fullmatch(r"[0-9]+|-0", value.text) is not None


TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)


def instant(text: Any) -> Fraction | None:
    """The moment an RFC 3339 time names, in seconds, or None where it names none."""
    match = TIME.fullmatch(text) if is_text(text) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (1 <= month <= 12 and 1 <= day <= lengths[month - 1] and hour <= 23 and minute <= 59 and second <= 59):
        return None
    fraction, sign, offset_hour, offset_minute = match.group(7) or "0", *match.group(8, 9, 10)
    if sign and not (int(offset_hour) <= 23 and int(offset_minute) <= 59):
        return None
    before = year - 1
    days = 365 * year + before // 4 - before // 100 + before // 400 + sum(lengths[: month - 1]) + day
    offset = (int(offset_hour) * 60 + int(offset_minute)) * (1 if sign == "+" else -1) if sign else 0
    return days * 86400 + hour * 3600 + (minute - offset) * 60 + second + Fraction(int(fraction), 10 ** len(fraction))


def form(good: bool, path: str) -> None:
    """A field without its form is bad_field at its path."""
    if not good:
        refuse("bad_field", path)


def check_reference(value: Any, path: str, _data: dict[str, Any]) -> None:
    """A target or appeal is an object of source and id."""
    form(isinstance(value, dict), path)
    for key in ("source", "id"):
        form(is_text(value.get(key)), f"{path}.{key}")


def check_evidence(value: Any, path: str, _data: dict[str, Any]) -> None:
    """At most 32 entries of 1 to 500 characters."""
    form(isinstance(value, list) and len(value) <= 32, path)
    for n, entry in enumerate(value):
        form(is_text(entry, 500), f"{path}[{n}]")


def check_component(value: Any, path: str, data: dict[str, Any]) -> None:
    """A component of the item, or of any item where the item is unknown."""
    own = COMPONENTS.get(data["item"])
    form(is_text(value) and any(value in names for names in ([own] if own else COMPONENTS.values())), path)


def check_units(value: Any, path: str, _data: dict[str, Any]) -> None:
    """Two units or more, each a string, none twice."""
    form(isinstance(value, list) and len(value) >= 2, path)
    for n, unit in enumerate(value):
        form(is_text(unit), f"{path}[{n}]")
    form(len(set(value)) == len(value), path)


def check_adopted(value: Any, path: str, data: dict[str, Any]) -> None:
    """A value of the reading, or a whole number 0 to 999 for a parameter."""
    if data["reading"] in READINGS:
        form(isinstance(value, str) and value in READINGS[data["reading"]], path)
    else:
        form(isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,2}", value) is not None, path)


def check_rulebook(value: Any, path: str, _data: dict[str, Any]) -> None:
    """Here every object with a string id reads; its numbers are those of wenzhou-2013."""
    form(isinstance(value, dict) and is_text(value.get("id")), path)


def check_roster(value: Any, path: str, _data: dict[str, Any]) -> None:
    """A non-empty list of units, each once, with name, category and group."""
    form(isinstance(value, list) and len(value) > 0, path)
    seen: set[str] = set()
    for n, row in enumerate(value):
        here = f"{path}[{n}]"
        form(isinstance(row, dict), here)
        form(is_code(row.get("unit")) and row["unit"] not in seen, f"{here}.unit")
        seen.add(row["unit"])
        form(is_text(row.get("name")), f"{here}.name")
        form(row.get("category") in ("A", "B"), f"{here}.category")
        form(is_text(row.get("group")), f"{here}.group")


def of(good: Callable[[Any], bool]) -> Callable[[Any, str, dict[str, Any]], None]:
    """A check of a value that needs neither its path nor its neighbours."""
    return lambda value, path, _data: form(good(value), path)


def one_of(*names: str) -> Callable[[Any, str, dict[str, Any]], None]:
    """A check of a name that has a list."""
    return of(lambda value: isinstance(value, str) and value in names)


text, long_text = of(is_text), of(lambda value: is_text(value, 2000))
decimal = of(is_decimal)

# The table of types: the fields of `data` in their order, each with its form.
FIELDS: dict[str, dict[str, Callable[[Any, str, dict[str, Any]], None]]] = {
    "deduction.recorded.v1": {
        "item": text, "matter": text, "ground": text, "points": decimal, "node": one_of(*NODES), "reason": long_text,
        "evidence": check_evidence,
    },
    "rating.recorded.v1": {
        "item": text, "value": decimal, "rater": text, "group": one_of(*GROUPS), "component": check_component,
        "case": text,
    },
    "submission.recorded.v1": {"item": text, "characters": of(is_count)},
    "item.exempted.v1": {"item": text, "reason": long_text},
    "item.closed.v1": {"item": text},
    "event.revoked.v1": {"target": check_reference, "reason": long_text},
    "appeal.filed.v1": {"target": check_reference, "statement": long_text},
    "appeal.decided.v1": {
        "appeal": check_reference, "outcome": one_of(*OUTCOMES), "points": decimal, "reason": long_text,
    },
    "tie.resolved.v1": {"award": one_of(*AWARDS), "units": check_units, "reason": long_text},
    "reading.adopted.v1": {"reading": one_of(*READINGS, *PARAMETERS), "value": check_adopted, "reason": long_text},
    "stage.reached.v1": {"stage": one_of(*STAGES)},
    "assessment.opened.v1": {"assessment": of(is_code), "rulebook": check_rulebook, "roster": check_roster},
}  # fmt: skip
CHUANGJIAN_TYPES = ("tie.resolved.v1", "reading.adopted.v1", "stage.reached.v1", "assessment.opened.v1")
YEAR_TYPES = ("item.closed.v1", *CHUANGJIAN_TYPES)
SCORING_TYPES = (
    "deduction.recorded.v1", "rating.recorded.v1", "submission.recorded.v1", "item.exempted.v1", "item.closed.v1",
)  # fmt: skip


def fields_had(kind: str, data: dict[str, Any]) -> dict[str, bool]:
    """The fields this event has, in the table's order, and whether each is required."""
    had = dict.fromkeys(FIELDS[kind], True)
    item, ground, outcome = (str(data[key]) if is_text(data.get(key)) else "" for key in ("item", "ground", "outcome"))
    absent: list[str] = []
    if kind == "deduction.recorded.v1":
        had["evidence"] = False
        if ground not in GROUNDS.get(item, {}):
            had.update(points=False, node=False)
        else:
            absent = ["points"] if GROUNDS[item][ground] is not None else []
            absent += ["node"] if item != "1.4" else []
    elif kind == "rating.recorded.v1":
        owners = {"group": ("2.2",), "component": ("3.2", "3.3"), "case": ("4.1",)}
        if item not in ITEMS:
            had.update(dict.fromkeys(owners, False))
        else:
            absent = [key for key, items in owners.items() if item not in items]
    elif kind == "appeal.decided.v1" and outcome != "revised":
        absent = ["points"]
    return {key: required for key, required in had.items() if key not in absent}


def unknown_paths(had: Iterable[str], data: dict[str, Any]) -> list[str]:
    """The paths of all fields inside `data` that the event does not have."""
    paths = [f"data.{key}" for key in data if key not in had]
    for name in ("target", "appeal"):
        if name in had:
            paths += [f"data.{name}.{key}" for key in data[name] if key not in ("source", "id")]
    if "roster" in had:
        known = ("unit", "name", "category", "group")
        paths += [f"data.roster[{n}].{key}" for n, row in enumerate(data["roster"]) for key in row if key not in known]
    return paths


def check_form(event: dict[str, Any]) -> None:
    """bad_field in the order subject, time, data, then the table's; after all of them unknown_field."""
    kind, subject, data = event["type"], event.get("subject"), event.get("data")
    form(is_text(subject) and (kind not in YEAR_TYPES or subject == "assessment"), "subject")
    form(instant(event.get("time")) is not None, "time")
    if not isinstance(data, dict):
        refuse("bad_field", "data")
    had = fields_had(kind, data)
    for key, required in had.items():
        if key in data:
            FIELDS[kind][key](data[key], f"data.{key}", data)
        else:
            form(not required, f"data.{key}")
    unknown = unknown_paths(had, data)
    if unknown:
        refuse("unknown_field", min(unknown))


# --- Intake: authority, existence, kinds, ranges ----------------------------------------------------------------------


def authorised(event: dict[str, Any], units: set[str]) -> bool:
    """Whether the source may send this; what does not exist is nobody's, then any known office may."""
    source, kind, subject, data = event["source"], event["type"], event["subject"], event["data"]
    office = source.removeprefix("/offices/") if source.startswith("/offices/") else ""
    known, own = office in OFFICES, source == f"/units/{subject}"
    if kind == "appeal.filed.v1":
        return bool(own)
    if kind in CHUANGJIAN_TYPES:
        return office == "chuangjian"
    about_year = kind in YEAR_TYPES or (kind, subject) == ("event.revoked.v1", "assessment")
    nobody = not about_year and subject not in units
    if kind == "event.revoked.v1":
        return (known or (own and not about_year)) and (nobody or source == data["target"]["source"])
    if nobody or (kind in ("deduction.recorded.v1", "rating.recorded.v1", "item.exempted.v1", "item.closed.v1")
                  and data["item"] not in ITEMS):  # fmt: skip
        return known
    fixed = {"appeal.decided.v1": ("gongwei",), "submission.recorded.v1": ("kaoji",)}
    return office in (fixed[kind] if kind in fixed else ITEMS[data["item"]].offices)


def check_existence(event: dict[str, Any], units: set[str]) -> None:
    """unknown_unit, then unknown_item, wrong_kind, unknown_ground."""
    kind, subject, data = event["type"], event["subject"], event["data"]
    if kind not in YEAR_TYPES and subject not in units and (kind, subject) != ("event.revoked.v1", "assessment"):
        refuse("unknown_unit", "subject")
    if kind == "tie.resolved.v1":
        for n, unit in enumerate(data["units"]):
            if unit not in units:
                refuse("unknown_unit", f"data.units[{n}]")
    if "item" not in data:
        return
    if data["item"] not in ITEMS:
        refuse("unknown_item", "data.item")
    deducts = ITEMS[data["item"]].deducts
    wrong = {"deduction.recorded.v1": not deducts, "rating.recorded.v1": deducts,
             "submission.recorded.v1": data["item"] != "Y.1"}  # fmt: skip
    if wrong.get(kind):
        refuse("wrong_kind", "data.item")
    if kind == "deduction.recorded.v1" and data["ground"] not in GROUNDS[data["item"]]:
        refuse("unknown_ground", "data.ground")


def value_in_range(item: str, component: str | None, value: Fraction) -> bool:
    """A rating's own range: 0 to the item's top, 0 or 1 for what is or is not."""
    return value in (0, 1) if component in BINARY else 0 <= value <= ITEMS[item].top


def check_ranges(event: dict[str, Any]) -> None:
    """points_out_of_range, then value_out_of_range."""
    kind, data = event["type"], event["data"]
    if kind == "deduction.recorded.v1" and "points" in data:
        points = Fraction(data["points"])
        halves = [Fraction(n, 2) for n in range(1, 5)]
        inside = {"1.2": 0 < points <= 5, "1.3": 0 < points <= 20, "1.4": points in halves}
        if not inside[data["item"]]:
            refuse("points_out_of_range", "data.points")
    value = Fraction(data["value"]) if kind == "rating.recorded.v1" else None
    if value is not None and not value_in_range(data["item"], data.get("component"), value):
        refuse("value_out_of_range", "data.value")
    if kind == "submission.recorded.v1":
        digits = data["characters"].text
        if len(digits) > 4 or int(digits) > MAX_CHARACTERS:
            refuse("value_out_of_range", "data.characters")


def accepted(raw: bytes, units: set[str]) -> dict[str, Any]:
    """The event of a line that passes every check of intake, or RefusalError with the first that fails."""
    if len(raw) > MIB or (len(raw) > KIB_64 and not opens(raw)):
        refuse("too_large", None)
    try:
        event = parse(raw)
    except (ValueError, RecursionError):
        refuse("not_json", None)
    if not isinstance(event, dict):
        refuse("not_cloudevent", None)
    if event.get("specversion") != "1.0":
        refuse("not_cloudevent", "specversion")
    for name in ("id", "source", "type"):
        if not is_text(event.get(name)):
            refuse("not_cloudevent", name)
    if event["type"] not in FIELDS:
        refuse("unknown_type", "type")
    check_form(event)
    if not authorised(event, units):
        refuse("source_not_authorised", "source")
    check_existence(event, units)
    check_ranges(event)
    return event


def check(raw: bytes, roster: list[dict[str, str]]) -> tuple[str, str | None] | None:
    """What intake says to one line: the reason and the path, or None where it is accepted."""
    try:
        accepted(raw, {row["unit"] for row in roster})
    except RefusalError as refusal:
        return refusal.reason, refusal.path
    return None


# --- The ledger: admission in sequence --------------------------------------------------------------------------------


@dataclass(eq=False)
class Event:
    """An accepted line, what admission said of it for ever, and what later events did to it."""

    seq: int
    raw: dict[str, Any]
    duplicate: bool = False
    void: str = ""  # why it is void
    revoked: bool = False
    target: Event | None = None  # of a revocation or an appeal; of a decision its appeal
    appeals: list[Event] = field(default_factory=list)  # admitted, against this event
    decisions: list[Event] = field(default_factory=list)  # admitted, on this appeal

    @property
    def kind(self) -> str:
        return str(self.raw["type"])

    @property
    def source(self) -> str:
        return str(self.raw["source"])

    @property
    def subject(self) -> str:
        return str(self.raw["subject"])

    @property
    def data(self) -> dict[str, Any]:
        return self.raw["data"]  # type: ignore[no-any-return]

    @property
    def key(self) -> tuple[str, str]:
        return self.raw["source"], self.raw["id"]

    @property
    def content(self) -> tuple[Any, ...]:
        """What makes a duplicate: type, subject, time and data, as JSON values."""
        return self.raw["type"], self.raw["subject"], self.raw["time"], self.raw["data"]

    @property
    def decision(self) -> Event | None:
        """Of an appeal: its standing decision."""
        return next((decision for decision in self.decisions if decision.stands), None)

    @property
    def verdict(self) -> Event | None:
        """Of a deduction or rating: the standing decision on its standing appeal."""
        return next((appeal.decision for appeal in self.appeals if appeal.stands and appeal.decision), None)

    @property
    def stands(self) -> bool:
        """Admitted, not revoked, and not cancelled on appeal."""
        cancelled = self.verdict is not None and self.verdict.data["outcome"] == "cancelled"
        return not (self.duplicate or self.void or self.revoked or cancelled)

    @property
    def revised(self) -> bool:
        return self.verdict is not None and self.verdict.data["outcome"] == "revised"

    @property
    def open(self) -> bool:
        """Of an appeal: it stands undecided, and its target is not revoked."""
        return self.stands and self.decision is None and self.target is not None and not self.target.revoked

    @property
    def claimed(self) -> Fraction:
        """The points a deduction claims or the value a rating gives, as sent."""
        if self.kind == "rating.recorded.v1":
            return Fraction(self.data["value"])
        fixed = GROUNDS[self.data["item"]][self.data["ground"]]
        return Fraction(self.data["points"]) if fixed is None else Fraction(fixed)

    @property
    def effective(self) -> Fraction:
        """The same after a revision on appeal."""
        if self.revised and self.verdict is not None:
            return Fraction(self.verdict.data["points"])
        return self.claimed


class Ledger:
    """The accepted events of one assessment, each judged once by what precedes it."""

    def __init__(self, roster: list[dict[str, str]]) -> None:
        self.roster = roster
        self.events: list[Event] = []
        self.holders: dict[tuple[str, str], Event] = {}
        self.closings: dict[tuple[str, str], list[Event]] = defaultdict(list)  # by source and item
        self.finals: list[Event] = []

    def append(self, event: Event) -> bool:
        """Judge and append; False for a conflict, which has no disposition."""
        holder = self.holders.get(event.key)
        if holder is not None and holder.content != event.content:
            return False
        if holder is not None:
            event.duplicate = True
        else:
            event.void = self.why_void(event)
            self.holders[event.key] = event
        self.events.append(event)
        if not event.duplicate and not event.void:
            self.take_effect(event)
        return True

    def standing(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind and event.stands]

    def find(self, reference: dict[str, str]) -> Event | None:
        return self.holders.get((reference["source"], reference["id"]))

    def why_void(self, event: Event) -> str:
        """The reason for which the event is void for ever, or nothing."""
        if event.kind in SCORING_TYPES:
            if any(closing.stands for closing in self.closings[event.source, event.data["item"]]):
                return "the office has closed the item"
            return "the assessment is finalised" if any(final.stands for final in self.finals) else ""
        judge = {
            "event.revoked.v1": self.revocation_void,
            "appeal.filed.v1": self.appeal_void,
            "appeal.decided.v1": self.decision_void,
            "stage.reached.v1": self.stage_void,
            "assessment.opened.v1": self.opening_void,
        }.get(event.kind)
        return judge(event) if judge else ""

    def opening_void(self, _event: Event) -> str:
        """It counts only as the first event."""
        return "not the first event" if self.events else ""

    def revocation_void(self, event: Event) -> str:
        """An event is revoked where it stands, by its own source, on its own subject."""
        target = self.find(event.data["target"])
        if target is None or not target.stands or target.subject != event.subject:
            return "refers to nothing that stands"
        if target.kind in ("event.revoked.v1", "assessment.opened.v1"):
            return "cannot be revoked"
        return "the appeal is decided" if target.kind == "appeal.filed.v1" and target.decision else ""

    def appeal_void(self, event: Event) -> str:
        """Appealable is a standing deduction or rating of the unit, once."""
        target = self.find(event.data["target"])
        if target is None or not target.stands or target.subject != event.subject:
            return "refers to nothing that stands"
        if target.kind not in ("deduction.recorded.v1", "rating.recorded.v1"):
            return "not appealable"
        return "appealed before" if any(appeal.stands for appeal in target.appeals) else ""

    def decision_void(self, event: Event) -> str:
        """A decision is on an open appeal of its own subject, within the range."""
        appeal = self.find(event.data["appeal"])
        if appeal is None or appeal.kind != "appeal.filed.v1" or not appeal.open or appeal.subject != event.subject:
            return "refers to no open appeal"
        target = appeal.target
        assert target is not None
        if event.data["outcome"] == "revised":
            points = Fraction(event.data["points"])
            if target.kind == "deduction.recorded.v1":
                inside = 0 <= points <= target.claimed
            else:
                inside = value_in_range(target.data["item"], target.data.get("component"), points)
            return "" if inside else "out of range"
        return ""

    def stage_void(self, event: Event) -> str:
        """`finalised` is judged as of the sequence before it, under the ledger's own readings."""
        if event.data["stage"] != "finalised":
            return ""
        adopted = {adoption.data["reading"] for adoption in self.standing("reading.adopted.v1")}
        if len(adopted) < len(READINGS) + len(PARAMETERS):
            return "an assumption is not adopted"
        if any(appeal.open for appeal in self.standing("appeal.filed.v1")):
            return "an appeal is open"
        year = Year(self, {})
        if any(year.state(unit, item) == "pending" for unit in year.units for item in ITEMS):
            return "an item is pending"
        return "a tie is undecided" if any(award["undecided"] for award in year.awards()) else ""

    def take_effect(self, event: Event) -> None:
        """What an admitted event does to those it refers to."""
        if event.kind == "item.closed.v1":
            self.closings[event.source, event.data["item"]].append(event)
        elif event.kind == "stage.reached.v1" and event.data["stage"] == "finalised":
            self.finals.append(event)
        elif event.kind in ("event.revoked.v1", "appeal.filed.v1", "appeal.decided.v1"):
            reference = event.data["appeal" if event.kind == "appeal.decided.v1" else "target"]
            event.target = target = self.find(reference)
            assert target is not None
            if event.kind == "event.revoked.v1":
                target.revoked = True
            else:
                (target.appeals if event.kind == "appeal.filed.v1" else target.decisions).append(event)


# --- Arithmetic -------------------------------------------------------------------------------------------------------


def half_up(value: Fraction, places: int = 0) -> Fraction:
    """Round half up; nothing here is negative."""
    scale = 10**places
    return Fraction((value * scale * 2 + 1) // 2, scale)


def show(value: Fraction, places: int) -> str:
    """A decimal with exactly so many places."""
    whole, rest = divmod(int(half_up(value, places) * 10**places), 10**places)
    return f"{whole}.{rest:0{places}d}"


def mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def places(values: dict[str, Fraction]) -> dict[str, int]:
    """Larger is better; equal values share the better place and the next is skipped (1, 1, 3)."""
    ordered = sorted(values.values(), reverse=True)
    first: dict[Fraction, int] = {}
    for n, value in enumerate(ordered, 1):
        first.setdefault(value, n)
    return {unit: first[value] for unit, value in values.items()}


def band_cuts(number: int, rounding: str) -> tuple[int, int]:
    """How many of so many units stand in the first band, and in the first two: 20% / 50% / 30%. 四(一)1(5)."""
    if rounding == "cumulative_half_up":
        return int(half_up(Fraction(number * 20, 100))), int(half_up(Fraction(number * 70, 100)))
    if rounding == "cumulative_floor":
        return number * 20 // 100, number * 70 // 100
    sizes = [number * percent // 100 for percent in (20, 50, 30)]
    remainders = [number * percent % 100 for percent in (20, 50, 30)]
    for band in sorted(range(3), key=lambda band: (-remainders[band], band))[: number - sum(sizes)]:
        sizes[band] += 1
    return sizes[0], sizes[0] + sizes[1]


def step_points(place: int, step: str) -> Fraction:
    """The points of a place of 5.1, exact, rounded once. 四(一)5."""
    if step == "linear":
        return max(Fraction(0), 20 * (1 - Fraction(3, 100) * (place - 1)))
    return half_up(20 * Fraction(97, 100) ** (place - 1), 6)


# --- The year: everything that is judged by what stands at the cut ----------------------------------------------------


@dataclass
class Line:
    """One deduction as it is reckoned."""

    event: Event
    counted: Fraction
    before: Fraction
    after: Fraction
    disposition: str


class Year:
    """The points, places, awards and lines of a ledger at its end, under given readings."""

    def __init__(self, ledger: Ledger, override: dict[str, str]) -> None:
        self.ledger = ledger
        self.units = {row["unit"]: row for row in ledger.roster}
        adopted = {event.data["reading"]: event.data["value"] for event in ledger.standing("reading.adopted.v1")}
        self.reading = {name: override.get(name, adopted.get(name, values[0])) for name, values in READINGS.items()}
        self.exempted = {(event.subject, event.data["item"]) for event in ledger.standing("item.exempted.v1")}
        closed = {(event.source, event.data["item"]) for event in ledger.standing("item.closed.v1")}
        self.closed = {
            item for item, row in ITEMS.items() if all((f"/offices/{office}", item) in closed for office in row.offices)
        }
        self.deductions: dict[tuple[str, str], list[Event]] = defaultdict(list)  # all, standing or not
        for event in ledger.events:
            if event.kind == "deduction.recorded.v1":
                self.deductions[event.subject, event.data["item"]].append(event)
        self.ratings: dict[tuple[str, str], dict[tuple[str, ...], Event]] = defaultdict(dict)
        for event in ledger.standing("rating.recorded.v1"):
            self.ratings[event.subject, event.data["item"]][self.rating_key(event)] = event  # the latest stands last
        self.places_15, self.places_51, self.places_31 = self.bands(), self.step_places(), self.places_e1()
        self.points = {unit: self.unit_points(unit) for unit in self.units}
        self.final = {
            unit: (self.daily(unit) * Fraction(7, 10) + (self.points[unit]["Y.1"] or 0) * Fraction(3, 10)) / 10
            for unit in self.units
        }
        self.appealing = {event.subject for event in ledger.standing("appeal.filed.v1") if event.open}

    # Ratings

    @staticmethod
    def rating_key(event: Event) -> tuple[str, ...]:
        """What a later rating replaces: of each rater, of each component, or the one there is."""
        data = event.data
        if data["item"] in ("2.1", "2.2", "4.1", "Y.1"):
            return data["rater"], data.get("group", ""), data.get("case", "")
        return (data.get("component", ""),)

    def values(self, unit: str, item: str) -> list[tuple[Event, Fraction]]:
        return [(event, event.effective) for event in self.ratings[unit, item].values()]

    def ranked_values(self, item: str) -> dict[str, Fraction]:
        """The unrounded value of each unit that has one standing and is not exempted."""
        return {
            unit: value
            for unit in self.units
            for _, value in self.values(unit, item)
            if (unit, item) not in self.exempted
        }

    def pools(self, item: str, keys: tuple[str, ...]) -> list[dict[str, Fraction]]:
        """The ranked values, apart for each category, or category and group."""
        pools: dict[tuple[str, ...], dict[str, Fraction]] = defaultdict(dict)
        for unit, value in self.ranked_values(item).items():
            pools[tuple(self.units[unit][key] for key in keys)][unit] = value
        return list(pools.values())

    def bands(self) -> dict[str, Fraction]:
        """四(一)1(5): 5, 3, 1 by the band of the unit's place."""
        points = {}
        for pool in self.pools("1.5", ("category",) if self.reading["band_pool"] == "category" else ()):
            first, second = band_cuts(len(pool), self.reading["band_rounding"])
            for unit, place in places(pool).items():
                points[unit] = Fraction(5 if place <= first else 3 if place <= second else 1)
        return points

    def step_places(self) -> dict[str, Fraction]:
        """四(一)5: the points of the place within category and group."""
        points = {}
        for pool in self.pools("5.1", ("category", "group")):
            ranks = places(pool)
            for unit, place in ranks.items():
                taken = sum(1 for other in ranks.values() if other == place)
                span = range(place, place + (taken if self.reading["step_ties"] == "average" else 1))
                points[unit] = half_up(mean([step_points(n, self.reading["step"]) for n in span]), 6)
        return points

    def places_e1(self) -> dict[str, Fraction]:
        """四(一)3(1), ranked: 10 for the first, 0.1 less each further place, not below 0."""
        return {
            unit: max(Fraction(0), 10 - Fraction(place - 1, 10))
            for unit, place in places(self.ranked_values("3.1")).items()
        }

    def rated(self, unit: str, item: str) -> Fraction | None:
        """The points of a rated item by the ratings there are, rounded once; None without any."""
        values = self.values(unit, item)
        if not values:
            return None
        exact = {"1.5": self.by_band, "2.1": self.by_panel, "2.2": self.by_groups, "2.3": self.by_survey,
                 "3.1": self.by_e1, "3.2": self.by_components, "3.3": self.by_components, "4.1": self.by_cases,
                 "5.1": self.by_step, "Y.1": self.by_year_end}[item](unit, values)  # fmt: skip
        return half_up(exact, 6)

    def by_band(self, unit: str, _values: list[tuple[Event, Fraction]]) -> Fraction:
        return self.places_15[unit]

    def by_step(self, unit: str, _values: list[tuple[Event, Fraction]]) -> Fraction:
        return self.places_51[unit]

    def by_e1(self, unit: str, values: list[tuple[Event, Fraction]]) -> Fraction:
        return self.places_31[unit] if self.reading["e1"] == "ranked" else values[0][1]

    def by_survey(self, _unit: str, values: list[tuple[Event, Fraction]]) -> Fraction:
        return values[0][1] * 5 / 100

    def by_panel(self, _unit: str, values: list[tuple[Event, Fraction]]) -> Fraction:
        """四(一)2(1): the plain mean, or without one highest and one lowest of three or more."""
        scores = sorted(value for _, value in values)
        return mean(scores[1:-1] if self.reading["panel_mean"] == "trimmed" and len(scores) >= 3 else scores)

    def by_groups(self, _unit: str, values: list[tuple[Event, Fraction]]) -> Fraction:
        """四(一)2(2): the mean of each group, weighted; one group alone counts whole."""
        weights = dict(zip(GROUPS, (int(part) for part in self.reading["client_weights"].split("/")), strict=True))
        means = {
            group: mean([value for event, value in values if event.data["group"] == group])
            for group in {event.data["group"] for event, _ in values}
        }
        weighted = sum((means[group] * weights[group] for group in means), Fraction(0))
        return weighted / sum(weights[group] for group in means) * 5 / 100

    def by_components(self, _unit: str, values: list[tuple[Event, Fraction]]) -> Fraction:
        """四(一)3(2), 3(3): each component at its weight; a missing one counts 0."""
        return sum(
            (value * COMPONENTS[event.data["item"]][event.data["component"]] for event, value in values), Fraction(0)
        )

    def by_cases(self, _unit: str, values: list[tuple[Event, Fraction]]) -> Fraction:
        """四(一)4: the mean of each case, and of several the best."""
        cases: dict[str, list[Fraction]] = defaultdict(list)
        for event, value in values:
            cases[event.data["case"]].append(value)
        return max(mean(scores) for scores in cases.values())

    def by_year_end(self, _unit: str, values: list[tuple[Event, Fraction]]) -> Fraction:
        """四(二): the mean of the groups' scores, out of 120 or brought to 100."""
        return mean([value for _, value in values]) * int(self.reading["year_end_scale"]) / 120

    # Deductions

    def pool_of(self, event: Event) -> tuple[str, Fraction]:
        """Whose balance a deduction draws on, and how much it is to begin with."""
        if event.data["item"] == "1.3" and self.reading["pool"] == "separate":
            return event.source, Fraction(10)
        return "", Fraction(ITEMS[event.data["item"]].full)

    def charge(self, item: str, events: list[Event]) -> Fraction:
        """What the events of one matter cost together, in their order."""
        if item not in ("1.1", "2.4"):
            return sum((event.effective for event in events), Fraction(0))  # the matter is a reference
        if item == "2.4":
            return max((event.effective for event in events), default=Fraction(0))
        largest: dict[str, Fraction] = defaultdict(Fraction)
        seen: set[str] = set()
        for event in events:
            ground = event.data["ground"]
            seen.add(ground)
            if ground != "not_rectified" or "poorly_implemented" in seen:
                largest[ground] = max(largest[ground], event.effective)
        if self.reading["matter_rule"] == "sum":
            return sum(largest.values(), Fraction(0))
        chain = largest["poorly_implemented"] + largest["not_rectified"]
        return max(largest["no_feedback"], chain, largest["criticised"])

    def lines(self, unit: str, item: str) -> list[Line]:
        """Every deduction of the item in ledger order: increase, cut by the cap, cut by the balance."""
        balances: dict[str, Fraction] = {}
        caps = {node: Fraction(cap) for node, cap in NODE_CAPS.items()}
        matters: dict[str, list[Event]] = defaultdict(list)
        lines = []
        for event in self.deductions[unit, item]:
            pool, full = self.pool_of(event)
            before = balances.setdefault(pool, full)
            counted = Fraction(0)
            if event.stands and (unit, item) not in self.exempted:
                matter = matters[event.data["matter"]]
                old = self.charge(item, matter)
                matter.append(event)
                counted = self.charge(item, matter) - old
                if item == "1.4":
                    node = event.data["node"].split("_")[0]
                    counted = min(counted, caps[node])
                    caps[node] -= counted
                counted = min(counted, before)
            balances[pool] = before - counted
            lines.append(Line(event, counted, before, before - counted, self.line_disposition(event, counted)))
        return lines

    @staticmethod
    def line_disposition(event: Event, counted: Fraction) -> str:
        """Precedence: duplicate, void, revoked, revised, no_effect, counted_in_part, counted."""
        if event.duplicate or event.void or not event.stands:
            return "duplicate" if event.duplicate else "void" if event.void else "revoked"
        if event.revised:
            return "revised"
        if counted == 0:
            return "no_effect"
        return "counted" if counted == event.claimed else "counted_in_part"

    def deducted(self, unit: str, item: str) -> Fraction:
        """Full points less all that counted; with two floors, less what each took."""
        return ITEMS[item].full - sum((line.counted for line in self.lines(unit, item)), Fraction(0))

    # Items of a unit

    def state(self, unit: str, item: str) -> str:
        """exempt, scored (closed with its input complete) or pending."""
        if (unit, item) in self.exempted:
            return "exempt"
        ratings = self.ratings[unit, item]
        if item in COMPONENTS:
            complete = len(ratings) == len(COMPONENTS[item])
        else:
            complete = ITEMS[item].deducts or item == "4.1" or bool(ratings)
        return "scored" if item in self.closed and complete else "pending"

    def full(self, item: str) -> int:
        return int(self.reading["year_end_scale"]) if item == "Y.1" else ITEMS[item].full

    def unit_points(self, unit: str) -> dict[str, Fraction | None]:
        """The points of every item; an exempted rated one after those it is rescaled by."""
        points: dict[str, Fraction | None] = {}
        for item, row in ITEMS.items():
            if (unit, item) in self.exempted:
                points[item] = Fraction(row.full) if row.deducts else None
            else:
                points[item] = self.deducted(unit, item) if row.deducts else self.rated(unit, item)
                if item == "4.1" and points[item] is None and item in self.closed:
                    points[item] = Fraction(0)
        left = [item for item in DAILY if (unit, item) not in self.exempted]
        for item, row in ITEMS.items():
            if (unit, item) in self.exempted and not row.deducts:
                basis = [other for other in left if other[0] == item[0]] or left
                points[item] = self.rescaled(item, basis, points)
        return points

    def rescaled(self, item: str, basis: list[str], points: dict[str, Fraction | None]) -> Fraction:
        """Full x (points / full points of the items that are left), half-up to 6; full where none is."""
        if not basis:
            return Fraction(self.full(item))
        earned = sum((points[other] or Fraction(0) for other in basis), Fraction(0))
        return half_up(self.full(item) * earned / sum(ITEMS[other].full for other in basis), 6)

    def daily(self, unit: str) -> Fraction:
        """The sum of the fourteen daily items."""
        return sum((self.points[unit][item] or Fraction(0) for item in DAILY), Fraction(0))

    # Awards

    def scopes(self) -> list[tuple[str, list[str]]]:
        """Who stands for the awards, by scope."""
        by = {letter: [unit for unit, row in self.units.items() if row["category"] == letter] for letter in "AB"}
        eligible = self.reading["award_eligible"]
        if eligible == "each":
            return [("A", by["A"]), ("B", by["B"])]
        return [("B", by["B"])] if eligible == "b" else [("A+B", [*self.units])]

    def quotas(self, eligible: list[str]) -> dict[str, int]:
        """三(二): 5% and 10% of the base."""
        own = self.reading["award_eligible"] == "each" or self.reading["award_base"] == "eligible"
        base = len(eligible) if own else len(self.units)
        exact = {award: Fraction(base * percent, 100) for award, percent in AWARD_PERCENT.items()}
        rounded = half_up if self.reading["award_rounding"] == "half_up" else int
        whole = {award: int(rounded(share)) for award, share in exact.items()}
        if self.reading["award_shape"] == "cumulative":
            whole["second"] -= whole["first"]
        return whole

    def resolution(self, ties: dict[str, list[str]], tied: list[str]) -> list[str] | None:
        """The order that the latest standing tie.resolved gives to exactly the units tied across its award's cut."""
        orders = [
            list(event.data["units"])
            for event in self.ledger.standing("tie.resolved.v1")
            if ties[event.data["award"]] == tied and sorted(event.data["units"]) == sorted(tied)
        ]
        return orders[-1] if orders else None

    def side(self, position: int, tie: list[str], unit: str, cut: int) -> bool | None:
        """Whether the unit is within the cut: by its position, or for an unsettled tie by award_tie."""
        if unit not in tie:
            return position <= cut
        return {"undecided": None, "include": True, "exclude": False}[self.reading["award_tie"]]

    def awards(self) -> list[dict[str, Any]]:
        """三(二): both awards of every scope, by award, then scope."""
        found = [award for scope, eligible in self.scopes() for award in self.scope_awards(scope, eligible)]
        return sorted(found, key=lambda award: (award["award"], award["scope"]))

    def scope_awards(self, scope: str, eligible: list[str]) -> list[dict[str, Any]]:
        """First takes positions 1 to c1, second up to c2; a tie across a cut is settled or read."""
        quota = self.quotas(eligible)
        cuts = {"first": quota["first"], "second": quota["first"] + quota["second"]}
        order = sorted(eligible, key=lambda unit: (-self.final[unit], unit))
        ties: dict[str, list[str]] = {}
        for award, cut in cuts.items():
            across = 0 < cut < len(order) and self.final[order[cut - 1]] == self.final[order[cut]]
            ties[award] = [unit for unit in order if self.final[unit] == self.final[order[cut]]] if across else []
        for tied in list(ties.values()):
            settled = self.resolution(ties, tied) if tied else None
            if settled:
                start = min(order.index(unit) for unit in tied)
                order[start : start + len(tied)] = settled
                ties = {award: [] if units == tied else units for award, units in ties.items()}
        rows: dict[str, dict[str, Any]] = {
            award: {"award": award, "scope": scope, "quota": quota[award], "units": [], "undecided": ties[award]}
            for award in AWARDS
        }
        if self.reading["award_tie"] != "undecided":
            for row in rows.values():
                row["undecided"] = []
        for position, unit in enumerate(order, 1):
            won = self.won(position, unit, cuts, ties)
            if won:
                rows[won]["units"].append(unit)
        return list(rows.values())

    def won(self, position: int, unit: str, cuts: dict[str, int], ties: dict[str, list[str]]) -> str | None:
        """The award of a position; none while a cut that bears on it is undecided."""
        for award in AWARDS:
            within = self.side(position, ties[award], unit, cuts[award])
            if within is None:
                return None
            if within:
                return award
        return None


# --- The object of `wuxing score --format json` -----------------------------------------------------------------------


def unit_rows(year: Year, awards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a unit, by code."""
    won = {unit: award["award"] for award in awards for unit in award["units"]}
    place = {
        unit: number
        for letter in "AB"
        for unit, number in places(
            {unit: year.final[unit] for unit, row in year.units.items() if row["category"] == letter}
        ).items()
    }
    rows = []
    for unit, listed in sorted(year.units.items()):
        points = year.points[unit]
        states = {item: year.state(unit, item) for item in ITEMS}
        flags = [f"exempt:{item}" for item in ITEMS if states[item] == "exempt"]
        flags += [f"undecided:{award['award']}" for award in awards if unit in award["undecided"]]
        groups = {event.data["group"] for event in year.ratings[unit, "2.2"].values()}
        if (unit, "2.2") not in year.exempted and len(groups) == 1:
            flags.append("one_group:2.2")
        shown = {item: None if value is None else show(value, 6) for item, value in points.items()}
        rows.append({
            "unit": unit, "category": listed["category"], "group": listed["group"],
            "items": {item: {"points": shown[item], "state": states[item]} for item in ITEMS},
            "daily": show(year.daily(unit), 6),
            "year_end": show(points["Y.1"] or Fraction(0), 6),
            "final": show(year.final[unit], 8), "place": place[unit],
            "passed": year.final[unit] >= PASS_MARK if listed["category"] == "A" else None,
            "award": won.get(unit),
            "state": "provisional" if "pending" in states.values() or unit in year.appealing else "final",
            "flags": sorted(flags),
        })  # fmt: skip
    return rows


def deduction_rows(year: Year) -> list[dict[str, Any]]:
    """One row a deduction of the ledger, by sequence."""
    lines = [line for unit, item in list(year.deductions) for line in year.lines(unit, item)]
    return [
        {
            "seq": line.event.seq, "source": line.event.source, "id": line.event.raw["id"], "unit": line.event.subject,
            "item": line.event.data["item"], "matter": line.event.data["matter"], "ground": line.event.data["ground"],
            "claimed": show(line.event.claimed, 6), "counted": show(line.counted, 6),
            "balance_before": show(line.before, 6), "balance_after": show(line.after, 6),
            "disposition": line.disposition, "why": line.event.void, "clause": ITEMS[line.event.data["item"]].clause,
        }
        for line in sorted(lines, key=lambda line: line.event.seq)
    ]  # fmt: skip


def event_disposition(year: Year, event: Event) -> str:
    """Precedence of what is not a deduction: duplicate, void, revoked, and for ratings revised, replaced, no_effect."""
    if event.duplicate or event.void or not event.stands:
        return "duplicate" if event.duplicate else "void" if event.void else "revoked"
    if event.kind != "rating.recorded.v1":
        return "counted"
    if event.revised:
        return "revised"
    key = event.subject, event.data["item"]
    if year.ratings[key][year.rating_key(event)] is not event:
        return "replaced"
    return "no_effect" if key in year.exempted else "counted"


def event_rows(year: Year) -> list[dict[str, Any]]:
    """One row for every other event of the ledger, by sequence."""
    return [
        {
            "seq": event.seq, "source": event.source, "id": event.raw["id"], "type": event.kind, "unit": event.subject,
            "disposition": event_disposition(year, event), "why": event.void,
            "clause": ITEMS[event.data["item"]].clause if "item" in event.data else None,
        }
        for event in year.ledger.events
        if event.kind != "deduction.recorded.v1"
    ]  # fmt: skip


def digest_of(result: dict[str, Any]) -> str:
    """SHA-256 of the object without digest, as_of, refused and every why, in the canonical form of the wire."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(member) for key, member in value.items() if key != "why"}
        return [bare(member) for member in value] if isinstance(value, list) else value

    kept = {key: bare(value) for key, value in result.items() if key not in ("digest", "as_of", "refused")}
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Book:
    """A file read to its end: the ledger, what was refused, and what the first event opened."""

    ledger: Ledger
    assessment: str
    rulebook: str
    refused: list[dict[str, Any]]
    last: int


def refused_row(line: int, raw: bytes, refusal: RefusalError) -> dict[str, Any]:
    """A refusal with the source and id that were found, as far as the line could be read."""
    event = parse(raw) if refusal.reason not in ("too_large", "not_json") else None
    found = event if isinstance(event, dict) else {}
    source, number = (value if isinstance(value, str) else None for value in (found.get("source"), found.get("id")))
    return {"line": line, "source": source, "id": number, "reason": refusal.reason, "path": refusal.path, "message": ""}


def read_book(lines: list[bytes], book: Book, options: set[str], until: Fraction | None = None) -> Book:
    """Fold the lines; with `until`, only those before the first accepted event whose time is later."""
    units = {row["unit"] for row in book.ledger.roster}
    for line, raw in enumerate(lines, 1):
        try:
            found = accepted(raw, units)
        except RefusalError as refusal:
            book.refused.append(refused_row(line, raw, refusal))
            book.last = line
            continue
        event = Event(line, found)
        if not book.ledger.events and event.kind == "assessment.opened.v1":
            book.assessment = event.data["assessment"]
            if "rulebook" not in options:
                book.rulebook = event.data["rulebook"]["id"]
            if "roster" not in options:
                book.ledger.roster = event.data["roster"]
                units = {row["unit"] for row in book.ledger.roster}
        if until is not None and later(book.ledger, event, until):
            break
        if not book.ledger.append(event):
            book.refused.append(refused_row(line, raw, RefusalError("conflict", "id")))
        book.last = line
    return book


def later(ledger: Ledger, event: Event, until: Fraction) -> bool:
    """Whether an accepted event, which a conflict is not, says it occurred after the given time."""
    holder = ledger.holders.get(event.key)
    moment = instant(event.raw["time"])
    assert moment is not None
    return (holder is None or holder.content == event.content) and moment > until


def split_lines(data: bytes) -> list[bytes]:
    """Every line has a number; a last line end makes no line; CR before LF is dropped."""
    parts = data.split(b"\n")
    lines = [part.removesuffix(b"\r") for part in parts[:-1]]
    return lines + ([parts[-1]] if parts[-1] else [])


def score(
    data: bytes,
    *,
    roster: list[dict[str, str]],
    readings: dict[str, str] | None = None,
    as_of: int | str | None = None,
    rulebook_id: str = "wenzhou-2013",
    assessment: str = "wenzhou-2013",
    roster_is_option: bool = False,
    rulebook_is_option: bool = False,
) -> dict[str, Any]:
    """The whole JSON object of `wuxing score --format json` for the bytes of a .jsonl file.

    `roster` and `rulebook_id` stand for the shipped pair, or for `--roster` and `--rulebook` where they are options,
    which win over the event that opens the assessment. Raises ValueError for an unknown
    reading or value and for an `as_of` that is neither a sequence nor a time (the command's exit 2).
    """
    override = readings or {}
    if any(value not in READINGS.get(name, ()) for name, value in override.items()):
        raise ValueError("unknown reading or value")
    lines, until = split_lines(data), None
    if as_of is not None and re.fullmatch(r"[0-9]+", str(as_of)):
        lines = lines[: int(as_of)]
    elif as_of is not None:
        until = instant(as_of)
        if until is None:
            raise ValueError("neither a sequence nor a time")
    shipped = [dict(row) for row in roster]
    options = {name for name, given in (("roster", roster_is_option), ("rulebook", rulebook_is_option)) if given}
    book = read_book(lines, Book(Ledger(shipped), assessment, rulebook_id, [], 0), options, until)
    if until is not None:  # once more without what the time left out
        cut = lines[: book.last]
        book = read_book(cut, Book(Ledger(shipped), assessment, rulebook_id, [], 0), options)
    year = Year(book.ledger, override)
    awards = year.awards()
    reached = [STAGES.index(event.data["stage"]) for event in book.ledger.standing("stage.reached.v1")]
    result: dict[str, Any] = {
        "assessment": book.assessment, "rulebook": book.rulebook, "as_of": book.last, "digest": "",
        "assessment_state": STATES[max(reached, default=0)], "readings": year.reading,
        "units": unit_rows(year, awards), "awards": awards, "deductions": deduction_rows(year),
        "events": event_rows(year), "refused": sorted(book.refused, key=lambda row: int(row["line"])),
    }  # fmt: skip
    result["digest"] = digest_of(result)
    return result
