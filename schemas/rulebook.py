"""The rulebook (考核细则): one regulation as data, in the language of docs/spec/language.md, as it is written.

Numbers are the strings of the file; `number` and `bound` make decimals of them. The tables also say the form of each
key, by which `schemas.shape` reads them; `schemas.soundness` says what else a rulebook is refused for, and only its
`read` and `load` make a `Rulebook`, so whoever holds one holds a sound one.
"""

from copy import deepcopy
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from schemas.words import _

#: The rulebooks that ship, a folder each, and the one that is meant where nothing else is said.
RULEBOOKS = Path(__file__).parent / "rulebooks"
SHIPPED = RULEBOOKS / (RULEBOOKS / "default").read_text(encoding="utf-8").strip()
Source = Literal["assumption"]
#: Fields of events that may stand out of line (`schemas.texts`).
OutOfLine = Literal["rater", "reason", "statement"]
#: The forms of the codes of offices and units (no dot), and of numbers that count.
PARTY = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_NUMBER = r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?"
NUMBER = rf"^-?{_NUMBER}$"
Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Party = Annotated[str, msgspec.Meta(pattern=PARTY)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
#: Numbers that count: of either sign, 0 or more, above 0, a bound, a share (as "5%" or "0.05"), either, whole, a day.
Number = Annotated[str, msgspec.Meta(pattern=NUMBER)]
Unsigned = Annotated[str, msgspec.Meta(pattern=rf"^{_NUMBER}$")]
Above = Annotated[str, msgspec.Meta(pattern=rf"^(?!0(\.0+)?$){_NUMBER}$")]
Bound = Annotated[str, msgspec.Meta(pattern=rf"^(none|-?{_NUMBER})$")]
_PERCENT = r"(100(\.0+)?|[1-9]?[0-9](\.[0-9]{1,6})?)%"
Share = Annotated[str, msgspec.Meta(pattern=rf"^({_PERCENT}|1(\.0+)?|0(\.[0-9]{{1,6}})?)$")]
Step = Annotated[str, msgspec.Meta(pattern=rf"^(?!0(\.0+)?%?$)({_PERCENT}|{_NUMBER})$")]
Least = Annotated[str, msgspec.Meta(pattern=rf"^({_PERCENT}|-?{_NUMBER})$")]
Whole = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,8})$")]
Days = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,2})$")]
_LEAP = r"([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29"
_DAY = r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
Day = Annotated[str, msgspec.Meta(pattern=rf"^([0-9]{{4}}-{_DAY}|{_LEAP})$")]
UpTo6 = Annotated[str, msgspec.Meta(pattern=r"^[0-6]$")]
UpTo8 = Annotated[str, msgspec.Meta(pattern=r"^[0-8]$")]
#: A key that a reading may decide ("@x"), with the values that it takes; none listed: looked at where it is used.
Matter = Annotated[str, msgspec.Meta(extra={"values": ("each", "chain", "sum")})]
Purse = Annotated[str, msgspec.Meta(extra={"values": ("shared", "separate")})]
Panel = Annotated[str, msgspec.Meta(extra={"values": ("plain", "trimmed", "latest")})]
Ties = Annotated[str, msgspec.Meta(extra={"values": ("better", "average")})]
_BANDS = ("cumulative_half_up", "cumulative_floor", "largest_remainder")
Bands = Annotated[str, msgspec.Meta(extra={"values": _BANDS})]
Pool = Annotated[str, msgspec.Meta(extra={"values": ("all", "category", "group")})]
QuotaOf = Annotated[str, msgspec.Meta(extra={"values": ("listed", "eligible")})]
Rounding = Annotated[str, msgspec.Meta(extra={"values": ("floor", "half_up", "ceil")})]
Quotas = Annotated[str, msgspec.Meta(extra={"values": ("disjoint", "cumulative")})]
Tie = Annotated[str, msgspec.Meta(extra={"values": ("undecided", "include", "exclude")})]
Open = Annotated[str, msgspec.Meta(min_length=1, extra={"values": ()})]
Kind = Literal["direct", "scale", "table", "rank", "bands", "best", "level"]
#: Kinds of methods that compare units with each other (language 4, "Kinds that compare").
COMPARING = frozenset({"rank", "bands", "best", "level"})
#: The closed list of parameters, each with its question: the rulebook has none for it.
PARAMETERS = {
    "publicity_days": _("How many days does the publicity (公示) last?"),
    "appeal_days": _("Within how many days may a unit appeal?"),
    "decision_days": _("Within how many days is an appeal decided?"),
    "individuals_per_unit": _("How many advanced individuals has a winning unit?"),
}
#: The keys that each kind of method takes beside code, kind, name and points (language 4).
METHOD_KEYS: dict[str, frozenset[str]] = {
    "direct": frozenset(),
    "scale": frozenset({"of"}),
    "table": frozenset({"rows", "between"}),
    "rank": frozenset({"step", "fall", "ties", "per", "pool", "better"}),
    "bands": frozenset({"rows", "rounding", "pool", "better"}),
    "best": frozenset({"pool", "better"}),
    "level": frozenset({"of", "pool", "better"}),
}
#: The keys of an item that belong to one input (language 3 and 4).
INPUT_KEYS: dict[str, frozenset[str]] = {
    "entries": frozenset({"start", "ground", "node", "matter", "purse", "share"}),
    "ratings": frozenset(
        {"range", "measure", "panel", "raters", "weights", "runs", "over", "missing"}
        | {"formula", "factor", "method", "scoring"}
    ),
}


def number(text: str | None) -> Decimal | None:
    """The decimal of a number, a share with % included ("3%" is 0.03); null stays null."""
    if text is None:
        return None
    return Decimal(text[:-1]).scaleb(-2) if text.endswith("%") else Decimal(text)


def is_share(text: str) -> bool:
    """Whether a number is written as a share ("3%"), which means another thing in `step` and a grade's `at_least`."""
    return text.endswith("%")


def bound(text: str | None, default: Decimal | None) -> Decimal | None:
    """A bound: "none" is no bound, what is not written is the default."""
    if text == "none":
        return None
    return default if text is None else number(text)


class Bilingual(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A name in Chinese and, where given, in English."""

    zh: Text
    en: Text | None = None


Name = Text | Bilingual


def zh(name: Name) -> str:
    """The Chinese name."""
    return name if isinstance(name, str) else name.zh


def en(name: Name) -> str:
    """The English name; without one the Chinese."""
    return name if isinstance(name, str) else name.en or name.zh


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Base of all tables: the clause and the words that give its numbers, or that they are an assumption, and why."""

    clause: Text | None = None
    words: Text | None = None
    source: Source | None = None
    why: Text | None = None


class Final(Table, frozen=True, kw_only=True):
    """The final (language 1): full points, the factor over the top level's sum, decimals, the order of places."""

    points: Unsigned
    times: Above = "1"
    decimals: UpTo8 = "8"
    order: tuple[str, ...] = ("final",)


class Category(Table, frozen=True, kw_only=True):
    """A category (类别) of units; `ranked = false` places nobody in it."""

    code: Code
    name: Name
    ranked: bool = True


class Group(Table, frozen=True, kw_only=True):
    """A group (分组) of units, of one category or, without, of any."""

    code: Code
    name: Name
    category: Code | None = None


class Attribute(Table, frozen=True, kw_only=True):
    """An attribute (属性) of a unit: a number within bounds that the roster gives and facts change."""

    code: Code
    name: Name
    min: Number | None = None
    max: Number | None = None
    default: Number | None = None
    offices: tuple[str, ...] = ()


class Office(Table, frozen=True, kw_only=True):
    """A responsible office (考核责任单位)."""

    code: Party
    name: Name


class Roles(Table, frozen=True, kw_only=True):
    """Who collects and finalises, who decides appeals (none: there are none), who approves entries (the collector)."""

    collector: Party
    appeals: Party | None = None
    approvals: Party | None = None


class Period(Table, frozen=True, kw_only=True):
    """A period (周期) and its values in order."""

    code: Code
    values: tuple[Text, ...]
    name: Name | None = None


class Applies(Table, frozen=True, kw_only=True):
    """The units that an item or part is for, by category, group, or both."""

    categories: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Node(Table, frozen=True, kw_only=True):
    """What items and parts have in common as nodes of the tree."""

    code: Code
    name: Name
    points: Unsigned
    inside: Code | None = msgspec.field(name="in", default=None)
    weight: Unsigned = "1"
    applies: Applies | None = None
    at_least: Bound | None = None
    at_most: Bound | None = None
    decimals: UpTo6 = "6"


class Part(Node, frozen=True, kw_only=True):
    """A part of the tree (language 1)."""

    combine: Literal["sum", "mean", "max", "rescale"] = "sum"


class Ground(Table, frozen=True, kw_only=True):
    """A ground for an entry (扣分、加分情形): fixed `points`, or a range from `min` (or `above`, excluded) to `max`."""

    code: Code
    name: Name
    points: Above | None = None
    min: Above | None = None
    above: Unsigned | None = None
    max: Above | None = None
    step: Above | None = None
    adds: bool = False
    branch: Code | None = None
    requires: Code | None = None
    approval: bool = False


class WorkNode(Table, frozen=True, kw_only=True):
    """A node of work (节点) with its cap; nodes of one `cap_group` share one, which any of them may say."""

    code: Code
    name: Name
    cap: Above | None = None
    cap_group: Code | None = None


class Range(Table, frozen=True, kw_only=True):
    """The range of a rating's value, both ends included."""

    min: Number
    max: Number


class Measure(Table, frozen=True, kw_only=True):
    """A measure (指标) of an item, with a range of its own; `binary`: 0 or 1."""

    code: Code
    name: Name
    min: Number = "0"
    max: Number = "1"
    binary: bool = False


class Raters(Table, frozen=True, kw_only=True):
    """A group of raters (评分组)."""

    code: Code
    name: Name


class Term(Table, frozen=True, kw_only=True):
    """A term of a formula: (plus - less) x times, or plus / ratio_to; kept within +- `within`."""

    plus: Text
    less: Text | None = None
    times: Text | None = None
    ratio_to: Text | None = None
    within: Above | None = None


class Method(Table, frozen=True, kw_only=True):
    """A way from a value to points (计分方法, language 4)."""

    code: Code
    kind: Kind
    name: Name | None = None
    points: Unsigned | None = None
    of: Above | None = None
    rows: tuple[tuple[str, ...], ...] = ()
    between: Literal["step", "straight"] = "step"
    step: Step | None = None
    fall: Literal["linear", "geometric"] = "linear"
    ties: Ties = "better"
    rounding: Bands = "cumulative_half_up"
    pool: Pool = "all"
    better: Literal["higher", "lower"] = "higher"
    per: Literal["rater"] | None = None


class Item(Node, frozen=True, kw_only=True):
    """An item (考核项目): a leaf of the tree, with the offices that own it and the keys of its input."""

    offices: tuple[Party, ...]
    input: Literal["entries", "ratings"]
    exempt: Literal["full", "start", "proportional", "out"] | None = None
    characters: Whole | None = None
    due: Day | None = None
    # entries (language 3)
    start: Literal["full", "0"] | None = None
    ground: tuple[Ground, ...] = ()
    node: tuple[WorkNode, ...] = ()
    matter: Matter | None = None
    purse: Purse | None = None
    share: dict[str, Unsigned] = {}
    # ratings (language 4)
    range: Range | None = None
    measure: tuple[Measure, ...] = ()
    panel: Panel | None = None
    raters: tuple[Raters, ...] = ()
    weights: Open | None = None
    runs: Code | None = None
    over: Literal["mean", "best", "sum", "latest"] | None = None
    missing: Literal["0"] | None = None
    formula: tuple[Term, ...] = ()
    factor: Code | None = None
    method: tuple[Method, ...] = ()
    scoring: Open | None = None

    @property
    def entries(self) -> bool:
        """Whether its input is deductions and bonuses, else ratings."""
        return self.input == "entries"

    @property
    def exempt_rule(self) -> str:
        """What an exempted unit gets (language 6)."""
        return self.exempt or ("proportional" if not self.entries else "start" if self.start == "0" else "full")


class Requirement(Table, frozen=True, kw_only=True):
    """What a grade requires of an attribute, part, item, or of a measure (or `value`) of an item."""

    of: Code
    item: Code | None = None
    at_least: Number | None = None
    at_most: Number | None = None


class Grade(Table, frozen=True, kw_only=True):
    """A grade (等次) of a scheme: its quota as a share or a number, and to whom it is open."""

    code: Code
    name: Name
    share: Share | None = None
    number: Whole | None = None
    at_least: Least | None = None
    require: tuple[Requirement, ...] = ()
    individuals: bool = False


class Scheme(Table, frozen=True, kw_only=True):
    """A scheme (评定方案): what units get, at most one grade of each (language 7)."""

    code: Code
    name: Name
    pools: Open = "each"
    quota_of: QuotaOf = "listed"
    rounding: Rounding = "floor"
    quotas: Quotas = "disjoint"
    tie: Tie = "undecided"
    grade: tuple[Grade, ...]


class Veto(Table, frozen=True, kw_only=True):
    """A veto (一票否决, language 7)."""

    code: Code
    name: Name
    offices: tuple[Party, ...]
    bars: tuple[str, ...] = ()
    grade_at_most: Code | None = None
    zero: Code | None = None


class Stage(Table, frozen=True, kw_only=True):
    """A stage (阶段) of the assessment; `finalised` follows the last by itself."""

    code: Code
    name: Name


class Reading(Table, frozen=True, kw_only=True):
    """A reading (理解): a choice that the text leaves open; the first value is the default."""

    name: Code
    question: Name
    values: tuple[Text, ...]


class Parameter(Table, frozen=True, kw_only=True):
    """A number that the text leaves out and that can be adopted: a whole number of 0 to 999."""

    name: Literal["publicity_days", "appeal_days", "decision_days", "individuals_per_unit"]
    value: Days


class Excused(Table, frozen=True, kw_only=True):
    """A clause that no rule claims, with the reason."""

    clause: Text
    why: Text


class Rulebook(Table, frozen=True, kw_only=True, dict=True):
    """A whole rulebook; made only by `schemas.soundness.read` and `load`, which check it."""

    language: Literal["2"]
    id: Code
    name: Name
    document: Text
    signatures: Literal["optional", "required"] = "optional"
    out_of_line: tuple[OutOfLine, ...] = ()
    final: Final
    category: tuple[Category, ...]
    group: tuple[Group, ...] = ()
    attribute: tuple[Attribute, ...] = ()
    office: tuple[Office, ...]
    roles: Roles
    period: tuple[Period, ...] = ()
    part: tuple[Part, ...] = ()
    item: tuple[Item, ...]
    scheme: tuple[Scheme, ...] = ()
    veto: tuple[Veto, ...] = ()
    stage: tuple[Stage, ...] = ()
    reading: tuple[Reading, ...] = ()
    parameter: tuple[Parameter, ...] = ()
    excused: tuple[Excused, ...] = ()

    @cached_property
    def items(self) -> dict[str, Item]:
        """Items by code, in the order of the file."""
        return {item.code: item for item in self.item}

    @cached_property
    def readings(self) -> dict[str, tuple[str, ...]]:
        """The values of each reading, default first."""
        return {reading.name: reading.values for reading in self.reading}

    @cached_property
    def periods(self) -> dict[str, tuple[str, ...]]:
        """The values of each period, in order."""
        return {period.code: period.values for period in self.period}

    @property
    def approvals(self) -> str:
        """The office that approves entries: the collector where no other is named."""
        return self.roles.approvals or self.roles.collector

    def possible(self, value: str | None) -> tuple[str, ...]:
        """The values that a key may have: those of its reading where it names one (`@x`), else itself."""
        if value is None:
            return ()
        return self.readings[value[1:]] if value.startswith("@") else (value,)

    def assumptions(self) -> tuple[str, ...]:
        """Names that final asks to be adopted by `reading.adopted` (language 8)."""
        adoptable: tuple[Reading | Parameter, ...] = (*self.reading, *self.parameter)
        return tuple(one.name for one in adoptable if one.source == "assumption")


def plain(book: Rulebook) -> dict[str, Any]:
    """The rulebook as the object that it was read from (TOML or JSON): what is hashed, stored and opened with.

    It is the caller's own: what is changed in it changes no rulebook.
    """
    raw: dict[str, Any] = deepcopy(book.__dict__["raw"])
    return raw
