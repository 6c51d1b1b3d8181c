"""A rulebook as the oracle reads it: the object of the TOML or JSON, its defaults filled in. language.md 1 to 8.

Only the structure is read here; whether a rulebook is sound (language.md 9) is the product's to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.oracle.numbers import number, points_of

Json = dict[str, Any]
PARAMETERS = ("publicity_days", "appeal_days", "decision_days", "individuals_per_unit")
COMPARING = ("rank", "bands", "best", "level")


class UnreadableError(Exception):
    """The object is no rulebook."""


@dataclass(frozen=True)
class Ground:
    """扣分、加分情形: fixed points, or a range by step from `min` or `above`. language.md 3."""

    code: str
    raw: Json

    @property
    def adds(self) -> bool:
        return bool(self.raw.get("adds", False))

    @property
    def fixed(self) -> Fraction | None:
        return number(self.raw["points"]) if "points" in self.raw else None

    @property
    def branch(self) -> str:
        return str(self.raw.get("branch", "\0" + self.code))

    @property
    def requires(self) -> str | None:
        return self.raw.get("requires")

    @property
    def approval(self) -> bool:
        return bool(self.raw.get("approval", False))

    def allows(self, points: Fraction) -> bool:
        """Whether points lie in the range, on its steps."""
        base = number(self.raw["min"] if "min" in self.raw else self.raw["above"])
        inside = (base <= points if "min" in self.raw else base < points) and points <= number(self.raw["max"])
        return inside and points > 0 and ("step" not in self.raw or (points - base) % number(self.raw["step"]) == 0)


@dataclass(frozen=True)
class Range:
    """The values a rating or attribute may have."""

    low: Fraction
    high: Fraction
    binary: bool = False

    def holds(self, value: Fraction) -> bool:
        return self.low <= value <= self.high and (not self.binary or value in (0, 1))


def range_of(raw: Json, low: str = "", high: str = "") -> Range:
    return Range(number(raw.get("min", low)), number(raw.get("max", high)), bool(raw.get("binary", False)))


@dataclass(frozen=True)
class Node:
    """What stands in the tree: a part or an item, with what both have. language.md 1."""

    code: str
    raw: Json

    @property
    def points(self) -> Fraction:
        return number(self.raw["points"])

    @property
    def weight(self) -> Fraction:
        return number(self.raw.get("weight", "1"))

    @property
    def above(self) -> str | None:
        return self.raw.get("in")

    @property
    def decimals(self) -> int:
        return int(self.raw.get("decimals", "6"))

    @property
    def applies(self) -> Json:
        return dict(self.raw.get("applies", {}))

    def bound(self, key: str, default: Fraction | None) -> Fraction | None:
        """A bound as written, "none" where there is to be none, or the default."""
        if key not in self.raw:
            return default
        return None if self.raw[key] == "none" else number(self.raw[key])


@dataclass(frozen=True)
class Part(Node):
    @property
    def combine(self) -> str:
        return str(self.raw.get("combine", "sum"))


@dataclass(frozen=True)
class Item(Node):
    """考核项目: a leaf of the tree. language.md 1, 3 and 4."""

    @property
    def clause(self) -> str | None:
        return self.raw.get("clause")

    @property
    def offices(self) -> list[str]:
        return list(self.raw["offices"])

    @property
    def entries(self) -> bool:
        return bool(self.raw["input"] == "entries")

    @property
    def start_full(self) -> bool:
        return bool(self.raw.get("start", "full") == "full")

    @property
    def grounds(self) -> dict[str, Ground]:
        return {row["code"]: Ground(row["code"], row) for row in self.raw.get("ground", [])}

    @property
    def nodes(self) -> dict[str, Json]:
        return {row["code"]: row for row in self.raw.get("node", [])}

    @property
    def shares(self) -> dict[str, Fraction]:
        return {office: number(points) for office, points in self.raw.get("share", {}).items()}

    @property
    def measures(self) -> dict[str, Range]:
        return {row["code"]: range_of(row, "0", "1") for row in self.raw.get("measure", [])}

    @property
    def range(self) -> Range | None:
        return range_of(self.raw["range"]) if "range" in self.raw else None

    @property
    def raters(self) -> list[str]:
        return [row["code"] for row in self.raw.get("raters", [])]

    @property
    def runs(self) -> str | None:
        return self.raw.get("runs")

    @property
    def over(self) -> str:
        return str(self.raw.get("over", "mean"))

    @property
    def missing_zero(self) -> bool:
        return bool(self.raw.get("missing") == "0")

    @property
    def formula(self) -> list[Json]:
        return list(self.raw.get("formula", []))

    @property
    def characters(self) -> int | None:
        return int(self.raw["characters"]) if "characters" in self.raw else None

    @property
    def exempt(self) -> str:
        default = ("full" if self.start_full else "start") if self.entries else "proportional"
        return str(self.raw.get("exempt", default))

    @property
    def methods(self) -> list[Json]:
        """计分方法: those written, or the one that stands where none is. language.md 4."""
        return list(self.raw.get("method", [])) or [{"kind": "direct" if self.formula else "scale"}]

    def value_range(self, measure: str | None) -> Range | None:
        """The range of a rating's value: its measure's, or the item's."""
        return self.measures.get(measure) if measure is not None else self.range

    def measured(self) -> list[str]:
        """The measures that its value is made of: those of the formula; `value` where it has none."""
        if not self.formula:
            return ["value"]
        own = ["value", *self.measures]
        named = [term.get(key) for term in self.formula for key in ("plus", "less", "ratio_to")]
        return [name for name in dict.fromkeys(named) if name in own]


@dataclass
class Book:
    """A whole rulebook."""

    raw: Json
    id: str
    collector: str
    appeals: str | None
    approvals: str
    signed: bool
    ranked: dict[str, bool]  # category to whether it is placed
    groups: dict[str, str | None]  # group to its category
    attributes: dict[str, Json]
    offices: list[str]
    periods: dict[str, list[str]]
    parts: dict[str, Part]
    items: dict[str, Item]
    schemes: list[Json]
    vetoes: dict[str, Json]
    stages: list[str]
    readings: dict[str, list[str]]
    parameters: dict[str, str]
    assumed: set[str] = field(default_factory=set)  # readings and parameters that final asks the adoption of

    @property
    def order(self) -> list[str]:
        return list(self.raw["final"].get("order", ["final"]))

    @property
    def final(self) -> tuple[Fraction, Fraction, int]:
        """Full final, times, decimals."""
        final = self.raw["final"]
        return number(final["points"]), number(final.get("times", "1")), int(final.get("decimals", "8"))

    @property
    def grades(self) -> dict[str, Json]:
        """Grade to its scheme."""
        return {grade["code"]: scheme for scheme in self.schemes for grade in scheme["grade"]}

    def attribute_range(self, code: str) -> Range:
        return range_of(self.attributes[code])

    def group_fits(self, group: Any, category: str) -> bool:
        """A group is one of the rulebook's and of the unit's category; free, and may be empty, where it has none."""
        if not self.groups:
            return isinstance(group, str) and len(group) <= 200
        return isinstance(group, str) and group in self.groups and self.groups[group] in (None, category)

    def attribute_good(self, code: str, value: Any) -> bool:
        return (
            isinstance(value, str)
            and re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]{1,6})?", value) is not None
            and len(value) <= 200
            and self.attribute_range(code).holds(Fraction(value))
        )

    def applies(self, node: Node, category: str, group: str) -> bool:
        """Whether a part or item, and all that is over it, is there for a category and group. language.md 2."""
        rule = node.applies
        own = category in rule.get("categories", [category]) and group in rule.get("groups", [group])
        return own and (node.above is None or self.applies(self.parts[node.above], category, group))

    def children(self, above: str | None) -> list[Node]:
        return [node for node in (*self.parts.values(), *self.items.values()) if node.above == above]


def by_code(rows: list[Json], key: str = "code") -> dict[str, Json]:
    return {row[key]: row for row in rows}


def assumptions(raw: Json) -> set[str]:
    """Readings and parameters that say `source = "assumption"`. language.md 8."""
    rows = (*raw.get("reading", []), *raw.get("parameter", []))
    return {row["name"] for row in rows if row.get("source") == "assumption"}


def read(raw: Any) -> Book:
    """The rulebook of an object, or UnreadableError."""
    try:
        return read_object(raw)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as fault:
        raise UnreadableError(str(fault)) from fault


def read_object(raw: Json) -> Book:
    roles = raw["roles"]
    offices = [row["code"] for row in raw["office"]]
    book = Book(
        raw=raw,
        id=raw["id"],
        collector=roles["collector"],
        appeals=roles.get("appeals"),
        approvals=roles.get("approvals", roles["collector"]),
        signed=raw.get("signatures", "optional") == "required",
        ranked={row["code"]: row.get("ranked", True) for row in raw["category"]},
        groups={row["code"]: row.get("category") for row in raw.get("group", [])},
        attributes=by_code(raw.get("attribute", [])),
        offices=offices,
        periods={row["code"]: list(row["values"]) for row in raw.get("period", [])},
        parts={row["code"]: Part(row["code"], row) for row in raw.get("part", [])},
        items={row["code"]: Item(row["code"], row) for row in raw["item"]},
        schemes=list(raw.get("scheme", [])),
        vetoes=by_code(raw.get("veto", [])),
        stages=[row["code"] for row in raw.get("stage", [])],
        readings={row["name"]: list(row["values"]) for row in raw.get("reading", [])},
        parameters={row["name"]: row["value"] for row in raw.get("parameter", [])},
        assumed=assumptions(raw),
    )
    probe(book)
    return book


def probe(book: Book) -> None:
    """Look once at everything that later is looked at when it is needed, so that what does not read is told at once."""
    if raw_language(book.raw) != "2" or not isinstance(book.id, str) or book.collector not in book.offices:
        raise ValueError("no rulebook of this language")
    for node in (*book.parts.values(), *book.items.values()):
        _ = node.points, node.weight, node.decimals, node.applies
        if node.above is not None and node.above not in book.parts:
            raise ValueError(node.code)
    for item in book.items.values():
        _ = item.offices, item.entries, item.grounds, item.nodes, item.measures, item.range, item.methods
        if not set(item.offices) <= set(book.offices):
            raise ValueError(item.code)
    _ = book.final, book.grades


def raw_language(raw: Json) -> Any:
    return raw.get("language", "2")


@dataclass(frozen=True)
class InForce:
    """A rulebook under readings: every "@x" is the reading's value. language.md, before section 0."""

    book: Book
    readings: dict[str, str]

    def of(self, value: Any) -> Any:
        return self.readings[value[1:]] if isinstance(value, str) and value.startswith("@") else value

    def get(self, raw: Json, key: str, default: str) -> str:
        return str(self.of(raw.get(key, default)))

    def method(self, item: Item) -> Json:
        """The method in force: the one named by `scoring`, or the only one."""
        named = self.of(item.raw.get("scoring"))
        return next((row for row in item.methods if named is not None and row.get("code") == named), item.methods[0])

    def runs_summed(self, item: Item) -> int:
        """How many runs the full points are spread over: the period's values under `over = "sum"`, else one."""
        return len(self.book.periods[item.runs]) if item.runs in self.book.periods and item.over == "sum" else 1

    def full(self, item: Item) -> Fraction:
        """The item's full points: those of its scoring in force. language.md 4."""
        method = self.method(item) if not item.entries else {}
        return number(method["points"]) * self.runs_summed(item) if "points" in method else item.points

    def run_full(self, item: Item) -> Fraction:
        """The full points of one run."""
        method = self.method(item)
        return number(method["points"]) if "points" in method else points_of(item.points / self.runs_summed(item))

    def weights(self, item: Item) -> dict[str, int]:
        """The weight of each group of raters; equal where nothing says."""
        raters = item.raters or [""]
        if "weights" not in item.raw:
            return dict.fromkeys(raters, 1)
        return dict(zip(raters, map(int, self.get(item.raw, "weights", "").split("/")), strict=True))
