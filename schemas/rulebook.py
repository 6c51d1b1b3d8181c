"""The rulebook (考核细则): the regulation as data, and the checks it must pass before anything is scored by it."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

SHIPPED = Path(__file__).parent / "rulebooks" / "wenzhou-2013"
CODE = r"^[A-Za-z0-9_.-]{1,64}$(?!\n)"
NUMBER = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$(?!\n)"

Code = Annotated[str, msgspec.Meta(pattern=CODE)]
Number = Annotated[str, msgspec.Meta(pattern=NUMBER)]
Source = Literal["text", "assumption"]
Method = Literal["deduct", "mean", "weighted_mean", "scaled", "checklist", "bands", "rank_step"]

#: What each method asks a rule of, and the values that the rule may take (a reading's values must be among them).
RULES: dict[str, dict[str, str]] = {
    "deduct": {"matter": "chain|sum|each", "pool": "shared|separate"},
    "mean": {"mean": "plain|trimmed", "cases": "one|best", "scale": NUMBER},
    "weighted_mean": {"weights": r"[0-9]{1,3}/[0-9]{1,3}"},
    "scaled": {"order": "final|ranked"},
    "checklist": {},
    "bands": {"rounding": "cumulative_half_up|cumulative_floor|largest_remainder", "pool": "all|category"},
    "rank_step": {"step": "linear|geometric", "ties": "better|average"},
}
AWARD_RULES = {
    "base": "listed|eligible",
    "eligible": "b|a_and_b|each",
    "rounding": "floor|half_up",
    "shape": "disjoint|cumulative",
    "tie": "undecided|include|exclude",
}
#: Parameters that final asks to be adopted; the others of `source = "assumption"` only say so.
ADOPTABLE = ("publicity_days", "appeal_days", "decision_days", "individuals_per_unit")


class RulebookError(Exception):
    """A rulebook that cannot be used: says the place in the file, what is wrong there, and what to do."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"rulebook, {place}: {message}")
        self.place = place


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all tables of the file: a key that the table does not know is refused."""


class Name(Part, frozen=True):
    """A name in Chinese and in English."""

    zh: str
    en: str


class Figure(Part, frozen=True, omit_defaults=True):
    """One number, with the clause and the words that give it, or `source = "assumption"` and why."""

    value: Number
    clause: str | None = None
    words: str | None = None
    source: Source = "text"
    why: str | None = None


class Role(Part, frozen=True, omit_defaults=True):
    """An office, or an item, that has a part of its own in the assessment."""

    office: Code | None = None
    item: Code | None = None
    clause: str | None = None
    words: str | None = None
    source: Source = "text"
    why: str | None = None


class Roles(Part, frozen=True):
    """Who collects and finalises (市创建办), who decides appeals, and the item that submissions belong to."""

    collector: Role
    appeals: Role
    submissions: Role


class Total(Part, frozen=True):
    """The formula of clause 五: final = (daily x weight + year-end x weight) x scale."""

    basic: Figure
    daily: Figure
    daily_weight: Figure
    year_end_weight: Figure
    scale: Figure
    item_scale: Figure


class Category(Part, frozen=True, omit_defaults=True):
    """A category (类别) of units; with `pass`, a final at or above it has passed (达标)."""

    code: Code
    name: Name
    pass_mark: Figure | None = msgspec.field(name="pass", default=None)


class AwardRules(Part, frozen=True):
    """How awards (先进奖) are drawn; `category` is the one that is ranked when only one is eligible."""

    base: str
    eligible: str
    rounding: str
    shape: str
    tie: str
    category: Code


class Award(Part, frozen=True):
    """An award, in order, with its share (名额比例) of the base."""

    code: Code
    name: Name
    share: Figure


class Office(Part, frozen=True):
    """A responsible office (考核责任单位)."""

    code: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    name: Name


class Section(Part, frozen=True, omit_defaults=True):
    """A part of the daily assessment, or the year-end."""

    code: Code
    name: Name
    points: Figure
    year_end: bool = False


class Ground(Part, frozen=True, omit_defaults=True):
    """A ground for a deduction (扣分情形): fixed `points`, or a range (`above` exclusive or `min`, `max`, `step`)."""

    code: Code
    name: Name
    words: str
    points: Number | None = None
    above: Number | None = None
    min: Number | None = None
    max: Number | None = None
    step: Number | None = None
    branch: str = "all"
    requires: Code | None = None


class Node(Part, frozen=True):
    """A node of work (节点) with the cap of its group."""

    code: Code
    name: Name
    cap: Number
    cap_group: Code
    words: str


class Component(Part, frozen=True, omit_defaults=True):
    """A component of a checklist: a rate of 0 to 1 (0 or 1 when `binary`) times its points."""

    code: Code
    name: Name
    points: Number
    binary: bool = False
    words: str | None = None
    source: Source = "text"
    why: str | None = None


class Group(Part, frozen=True):
    """A group of raters, in the order of the weights."""

    code: Code
    name: Name
    words: str


class Band(Part, frozen=True):
    """A band (档次): its share of the units and its points."""

    code: Code
    name: Name
    share: Number
    points: Number
    words: str


class Range(Part, frozen=True, omit_defaults=True):
    """The range of a rating's value, both ends included."""

    min: Number
    max: Number
    source: Source = "text"
    words: str | None = None
    why: str | None = None


class Item(Part, frozen=True, omit_defaults=True):
    """An item (考核项目): its points, its method, the offices that own it, its clause."""

    code: Code
    part: Code
    name: Name
    method: Method
    offices: tuple[str, ...]
    clause: str
    points: Figure
    rules: dict[str, str] = {}
    value: Range | None = None
    ground: tuple[Ground, ...] = ()
    node: tuple[Node, ...] = ()
    component: tuple[Component, ...] = ()
    group: tuple[Group, ...] = ()
    band: tuple[Band, ...] = ()
    share: dict[str, Number] = {}
    step: Figure | None = None
    characters: Figure | None = None


class Reading(Part, frozen=True):
    """A reading: a choice that the text leaves open; the first value is the default."""

    name: Code
    clause: str
    values: tuple[str, ...]
    source: Source
    question: Name


class Parameter(Part, frozen=True):
    """A number that the text leaves out and that can be adopted."""

    name: Code
    value: Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,2})$")]
    source: Source
    unit: Name


class Excused(Part, frozen=True):
    """A clause that no rule claims, with the reason."""

    clause: str
    why: str


class Rulebook(Part, frozen=True):
    """A whole rulebook; made only by `load` and `read`, which check it."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    name: Name
    document: str
    roles: Roles
    total: Total
    category: tuple[Category, ...]
    award_rules: AwardRules
    award: tuple[Award, ...]
    office: tuple[Office, ...]
    part: tuple[Section, ...]
    item: tuple[Item, ...]
    reading: tuple[Reading, ...]
    parameter: tuple[Parameter, ...]
    excused: tuple[Excused, ...] = ()

    def items(self) -> dict[str, Item]:
        """Items by code, in the order of the regulation."""
        return {item.code: item for item in self.item}

    def readings(self) -> dict[str, tuple[str, ...]]:
        """The values of each reading, default first."""
        return {reading.name: reading.values for reading in self.reading}

    def assumptions(self) -> tuple[str, ...]:
        """Names that final asks to be adopted by `reading.adopted`."""
        readings = (one.name for one in self.reading if one.source == "assumption")
        return (*readings, *(one.name for one in self.parameter if one.source == "assumption"))


def load(path: Path) -> Rulebook:
    """Read and check a rulebook.toml; raises RulebookError with the place in the file."""
    try:
        return read(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise RulebookError(str(path), f"cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RulebookError(str(path), f"is not TOML: {error}") from None


def read(raw: Any) -> Rulebook:
    """Check a rulebook given as plain objects (TOML or the JSON of `assessment.opened`); raises RulebookError."""
    try:
        book = msgspec.convert(raw, Rulebook)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        raise RulebookError(place.strip("`") or "$", message) from None
    for place, message in _faults(book):
        raise RulebookError(place, message)
    return book


def plain(book: Rulebook) -> dict[str, Any]:
    """The JSON form of a rulebook, the same object as the TOML."""
    result: dict[str, Any] = msgspec.to_builtins(book, str_keys=True)
    return result


def _faults(book: Rulebook) -> Iterator[tuple[str, str]]:
    """Every fault of a rulebook with well-formed tables, in the order of the file."""
    for name in ("category", "award", "office", "part", "item"):
        yield from _repeated(name, (one.code for one in getattr(book, name)))
    yield from _repeated("reading", (*(one.name for one in book.reading), *(one.name for one in book.parameter)))
    offices = {office.code for office in book.office}
    for place, role in (("roles.collector", book.roles.collector), ("roles.appeals", book.roles.appeals)):
        if role.office not in offices:
            yield f"{place}.office", f"{role.office!r} is no office of this rulebook; add it under [[office]]"
    if book.roles.submissions.item not in book.items():
        yield "roles.submissions.item", f"{book.roles.submissions.item!r} is no item of this rulebook"
    if book.award_rules.category not in {category.code for category in book.category}:
        yield "award_rules.category", f"{book.award_rules.category!r} is no category of this rulebook"
    yield from _sums(book)
    for item in book.item:
        for key, message in _item_faults(book, item, offices):
            yield f"item {item.code}.{key}" if key else f"item {item.code}", message
    rules = {name: getattr(book.award_rules, name) for name in AWARD_RULES}
    yield from _rule_faults(book, "award_rules", rules, AWARD_RULES)


def _repeated(place: str, codes: Iterable[str]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for code in codes:
        if code in seen:
            yield f"{place} {code}", "is there twice; give each its own code"
        seen.add(code)


def _sums(book: Rulebook) -> Iterator[tuple[str, str]]:
    """Items sum to their part, parts to the daily total, weights to 1, and the formula reaches the basic points."""
    full = {part.code: Decimal(0) for part in book.part}
    for item in book.item:
        if item.part not in full:
            yield f"item {item.code}.part", f"{item.part!r} is no part of this rulebook; add it under [[part]]"
            return
        full[item.part] += Decimal(item.points.value)
    for part in book.part:
        if full[part.code] != Decimal(part.points.value):
            yield f"part {part.code}.points", f"says {part.points.value}, its items sum to {full[part.code]}"
    total = book.total
    daily = sum((full[part.code] for part in book.part if not part.year_end), Decimal(0))
    if daily != Decimal(total.daily.value):
        yield "total.daily", f"says {total.daily.value}, the daily parts sum to {daily}"
    weights = [Decimal(total.daily_weight.value), Decimal(total.year_end_weight.value)]
    if sum(weights) != 1:
        yield "total.daily_weight", f"the weights sum to {sum(weights)}, expected 1"
    if any(weight * Decimal(total.scale.value) % Decimal("0.01") for weight in weights):
        yield "total.scale", "a weight times the scale must have at most 2 decimals, so that finals are exact at 8"
    if total.item_scale.value != "6":
        yield "total.item_scale", f"is {total.item_scale.value}; the contract prints item points with 6 decimals"


def _item_faults(book: Rulebook, item: Item, offices: set[str]) -> Iterator[tuple[str, str]]:
    """What is wrong inside one item."""
    if not item.offices:
        yield "offices", "every item has an owner; name at least one office"
    yield from (("offices", f"{o!r} is no office; add it under [[office]]") for o in item.offices if o not in offices)
    wanted: dict[str, bool] = {
        "ground": item.method == "deduct",
        "component": item.method == "checklist",
        "group": item.method == "weighted_mean",
        "band": item.method == "bands",
        "step": item.method == "rank_step",
        "value": item.method not in ("deduct", "checklist"),
    }
    for key, needed in wanted.items():
        if needed and not getattr(item, key):
            yield key, f"is missing; method {item.method} needs it"
        if getattr(item, key) and not needed:
            yield key, f"has no meaning under method {item.method}; take it out"
    if item.node and item.method != "deduct":
        yield "node", f"has no meaning under method {item.method}; take it out"
    known = dict(RULES[item.method])
    if item.method == "scaled" and item.rules.get("order") != "final":
        known["step"] = NUMBER
    yield from _rule_faults(book, "rules", item.rules, known)
    for key in ("ground", "node", "component", "group", "band"):
        yield from _repeated(key, (one.code for one in getattr(item, key)))
    checks: dict[str, Callable[[Item], Iterator[tuple[str, str]]]] = {
        "deduct": _deduct_faults,
        "checklist": _checklist_faults,
        "bands": _band_faults,
        "weighted_mean": _weight_faults,
        "mean": _mean_faults,
    }
    if item.method in checks:
        yield from checks[item.method](item)


def _rule_faults(book: Rulebook, place: str, rules: dict[str, str], known: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Rules are the method's own, and each value, or each value of the reading it names, is one the method knows."""
    readings = book.readings()
    yield from ((f"{place}.{name}", "is no rule of this method; take it out") for name in rules if name not in known)
    for name, form in known.items():
        if name not in rules:
            yield f"{place}.{name}", f"is missing; expected {form} or a reading"
            continue
        value = rules[name]
        if value.startswith("@") and value[1:] not in readings:
            yield f"{place}.{name}", f"{value} names no reading of this rulebook"
            continue
        for one in readings[value[1:]] if value.startswith("@") else (value,):
            if not re.fullmatch(form, one):
                yield f"{place}.{name}", f"{one!r} is not known here; expected {form}"


def _deduct_faults(item: Item) -> Iterator[tuple[str, str]]:
    """Grounds have points or a range, `requires` names a ground, caps fit the item, shares sum to it."""
    codes = {ground.code for ground in item.ground}
    for ground in item.ground:
        if (ground.points is None) == (ground.max is None) or (ground.max and not (ground.above or ground.min)):
            yield f"ground {ground.code}", "gives either points, or a range: above or min, and max"
        if Decimal(ground.points or ground.max or 0) > Decimal(item.points.value):
            yield f"ground {ground.code}", f"costs more than the item's {item.points.value} points"
        if ground.requires and ground.requires not in codes:
            yield f"ground {ground.code}.requires", f"{ground.requires!r} is no ground of this item"
    caps = {node.cap_group: Decimal(node.cap) for node in item.node}
    if item.node and sum(caps.values()) > Decimal(item.points.value):
        yield "node", f"the caps sum to {sum(caps.values())}, more than the item's {item.points.value} points"
    for node in item.node:
        if Decimal(node.cap) != caps[node.cap_group]:
            yield f"node {node.code}.cap", f"differs from the cap of its group {node.cap_group}"
    shares = sum(map(Decimal, item.share.values()), Decimal(0))
    if item.share and (set(item.share) != set(item.offices) or shares != Decimal(item.points.value)):
        yield "share", f"gives each office of the item a share, and they sum to {item.points.value}"
    if item.rules.get("pool") != "shared" and not item.share:
        yield "share", "is missing: the pool can be separate, so each office needs its share"


def _checklist_faults(item: Item) -> Iterator[tuple[str, str]]:
    total = sum((Decimal(component.points) for component in item.component), Decimal(0))
    if total != Decimal(item.points.value):
        yield "component", f"the components sum to {total}, the item has {item.points.value}"


def _band_faults(item: Item) -> Iterator[tuple[str, str]]:
    total = sum((Decimal(band.share) for band in item.band), Decimal(0))
    if total != 1:
        yield "band", f"the shares sum to {total}, expected 1"


def _weight_faults(item: Item) -> Iterator[tuple[str, str]]:
    if len(item.group) != 2:
        yield "group", "weights are a pair; name two groups"


def _mean_faults(item: Item) -> Iterator[tuple[str, str]]:
    if item.value and Decimal(item.value.max) == 0:
        yield "value.max", "is 0; a mean is scaled by it"
