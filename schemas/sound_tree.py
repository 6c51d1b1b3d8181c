"""What the tree, the schemes and the vetoes are refused for: sums, levels, quotas, conditions (language 1, 6 and 7)."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from schemas.faults import Fault, listed, quoted
from schemas.rulebook import Applies, Attribute, Item, Node, Part, Requirement, Rulebook, Scheme, bound, number
from schemas.shape import Draft, nearest
from schemas.sound_items import possible, via

#: Parts hold parts to this depth.
LEVELS = 4
ZERO = Decimal(0)


class UnitKind(NamedTuple):
    """A category and a group that its units may have: all units of a kind have the same tree."""

    category: str
    group: str

    def has(self, applies: Applies | None) -> bool:
        """Whether what applies so is for this kind of unit."""
        return applies is None or (
            (not applies.categories or self.category in applies.categories)
            and (not applies.groups or self.group in applies.groups)
        )

    def __str__(self) -> str:
        return f"{self.category}/{self.group}" if self.group else self.category


def kinds(book: Rulebook) -> list[UnitKind]:
    """Every kind of unit: a category with each group that it may have; without [[group]] those that the tree names."""
    if book.group:
        return [
            UnitKind(category.code, group.code)
            for category in book.category
            for group in book.group
            if group.category in (None, category.code)
        ]
    named = [group for node in (*book.part, *book.item) if node.applies for group in node.applies.groups]
    return [UnitKind(category.code, group) for category in book.category for group in dict.fromkeys(("", *named))]


def tree(d: Draft) -> Iterator[Fault]:
    """Parts that hold themselves, too many levels, weights, bounds, `out`, and for each kind of unit the sums."""
    codes = [node.code for node in (*d.book.part, *d.book.item)]
    if len({*codes}) < len(codes):
        return
    parts = {part.code: part for part in d.book.part}
    above = {node.code: _above(node, parts) for node in (*d.book.part, *d.book.item)}
    cyclic = {part.code for part in d.book.part if part in above[part.code]}
    for node in (*d.book.part, *d.book.item):
        if node.code in cyclic:
            yield d.say(node, "in", "in_itself", quoted(node.inside))
        elif isinstance(node, Part) and len(above[node.code]) >= LEVELS:
            yield d.say(node, "in", "too_deep", str(len(above[node.code]) + 1))
        yield from _node(d, node, above[node.code])
    if not cyclic:
        yield from _sums(d)


def _node(d: Draft, node: Node, above: list[Part]) -> Iterator[Fault]:
    """The weight, the bounds and the exemption of a part or item, by the parts above it."""
    if above and above[0].combine not in (None, "sum") and number(node.weight) == 0:
        yield d.say(node, "weight", "weight_zero", quoted(above[0].combine))
    if isinstance(node, Item):
        if node.exempt == "out" and not any(part.combine == "rescale" for part in above):
            yield d.say(node, "exempt", "out_of_nothing")
    elif d.sound(node, "at_least", "at_most"):
        low, high = bound(node.at_least, None), bound(node.at_most, None)
        if low is not None and high is not None and low > high:
            yield d.say(node, "at_least", "bounds_crossed", str(low), str(high))


def _above(node: Node, parts: dict[str, Part]) -> list[Part]:
    """The parts that hold a node, nearest first; of a part that holds itself, itself too."""
    found: list[Part] = []
    while (part := parts.get(node.inside or "")) is not None and part not in found:
        found.append(part)
        node = part
    return found


def _sums(d: Draft) -> Iterator[Fault]:
    """For every kind of unit the children of each part come to its points, the top level to the final's."""
    book = d.book
    codes = {part.code for part in book.part}
    if any(node.inside and node.inside not in codes for node in (*book.part, *book.item)):
        return
    said: dict[Fault, list[UnitKind]] = {}
    for kind in kinds(book):
        nodes = of_kind(book, kind)
        for part in book.part:
            if part.code in nodes:
                children = [node for node in nodes.values() if node.inside == part.code]
                for fault in _children(d, part, children):
                    said.setdefault(fault, []).append(kind)
        for fault in _top(d, [node for node in nodes.values() if node.inside is None]):
            said.setdefault(fault, []).append(kind)
    every = len(kinds(book))
    for fault, whom in said.items():
        names = ("every_unit",) if len(whom) == every else listed(str(kind) for kind in whom)
        yield fault._replace(gaps=(*fault.gaps, names))


def of_kind(book: Rulebook, kind: UnitKind) -> dict[str, Node]:
    """The parts and items that a kind of unit has, by code."""
    parts = {part.code: part for part in book.part}
    return {
        node.code: node
        for node in (*book.part, *book.item)
        if kind.has(node.applies) and all(kind.has(part.applies) for part in _above(node, parts))
    }


def _weighted(d: Draft, nodes: list[Node]) -> list[Decimal] | None:
    """Weight x points of each; null where one could not be read."""
    found = []
    for node in nodes:
        weight, points = number(node.weight), number(node.points)
        if weight is None or points is None or not d.sound(node, "weight", "points"):
            return None
        found.append(weight * points)
    return found


def _children(d: Draft, part: Part, children: list[Node]) -> Iterator[Fault]:
    if not children:
        yield d.say(part, None, "no_child")
    points, each = number(part.points), _weighted(d, children)
    if not children or points is None or each is None or not d.sound(part, "combine"):
        return
    if part.combine == "sum" and sum(each) != points:
        yield d.say(part, "points", "sum_of_part", quoted(part.points), str(sum(each)))
    elif part.combine in ("mean", "max"):
        for child, full in zip(children, each, strict=True):
            if full != points or number(child.points) == 0:
                gaps = (str(full), quoted(part.code), quoted(part.combine), quoted(part.points))
                yield d.say(child, "points", "child_of_mean", *gaps)


def _top(d: Draft, nodes: list[Node]) -> Iterator[Fault]:
    final = d.book.final
    each = _weighted(d, nodes)
    if final is None or each is None or not d.sound(final, "points", "times"):
        return
    total, times, points = sum(each, ZERO), number(final.times), number(final.points)
    if points is not None and times is not None and total * times != points:
        found = f"{total} x {final.times} = {_plain(total * times)}"
        yield d.say(final, "points", "sum_of_final", quoted(final.points), found)


def _plain(value: Decimal) -> str:
    """A decimal without zeros that say nothing."""
    return f"{value.normalize():f}"


# Schemes --------------------------------------------------------------------------------------------------------------


def schemes(d: Draft) -> Iterator[Fault]:
    """Pools, quotas, conditions (language 7)."""
    for scheme in d.book.scheme:
        for one in possible(d, scheme.pools):
            yield from _pools(d, scheme, one)
        if "cumulative" in possible(d, scheme.quotas):
            yield from _falling(d, scheme)
        for grade in scheme.grade:
            if d.has(grade, "share") and d.has(grade, "number"):
                yield d.say(grade, "number", "share_and_number")
            for requirement in grade.require:
                yield from _requirement(d, requirement)


def _pools(d: Draft, scheme: Scheme, value: str) -> Iterator[Fault]:
    """Pools are `each`, `group`, or categories, each in one pool only."""
    if value in ("each", "group"):
        return
    known = [category.code for category in d.book.category if category.code]
    names = [name for pool in value.split(",") for name in pool.split("+")]
    for n, name in enumerate(names):
        if name not in known:
            near = nearest(name, ("each", "group", *known))
            yield d.say(scheme, "pools", "pools", via(scheme.pools, value), quoted(name), listed(known), nearest=near)
        elif name in names[:n]:
            yield d.say(scheme, "pools", "pools_twice", via(scheme.pools, value), quoted(name))


def _falling(d: Draft, scheme: Scheme) -> Iterator[Fault]:
    """Shares and numbers that take in those before them do not fall."""
    for key in ("share", "number"):
        having = [grade for grade in scheme.grade if d.has(grade, key) and d.sound(grade, key)]
        for before, after in pairwise(having):
            low, high = number(getattr(before, key)), number(getattr(after, key))
            if low is not None and high is not None and high < low:
                yield d.say(after, key, "falling", quoted(getattr(after, key)), quoted(getattr(before, key)))


def _requirement(d: Draft, one: Requirement) -> Iterator[Fault]:
    """A requirement is of an attribute, part or item, or of what is rated in an item without runs."""
    book = d.book
    if not d.has(one, "at_least", "at_most"):
        yield d.say(one, None, "requires_nothing")
    low, high = number(one.at_least), number(one.at_most)
    if low is not None and high is not None and low > high:
        yield d.say(one, "at_least", "bounds_crossed", quoted(one.at_least), quoted(one.at_most))
    if one.item is None:
        tables: tuple[Attribute | Part | Item, ...] = (*book.attribute, *book.part, *book.item)
        nodes = [node.code for node in tables]
        if d.sound(one, "item"):
            yield from d.named(one, "of", one.of, "node_or_attribute", nodes)
        return
    rated = {item.code: item for item in book.item if item.input != "entries"}
    yield from d.named(one, "item", one.item, "rated_item", rated)
    item = rated.get(one.item)
    if item is not None:
        if d.has(item, "runs"):
            yield d.say(one, "item", "requires_run", quoted(one.item))
        measures = [measure.code for measure in item.measure] or (["value"] if d.has(item, "range") else [])
        yield from d.named(one, "of", one.of, "measure", measures)


def vetoes(d: Draft) -> Iterator[Fault]:
    """What a veto bars, limits and zeroes exists, and it does one of these."""
    book = d.book
    grades = [grade.code for scheme in book.scheme for grade in scheme.grade]
    for veto in book.veto:
        if not d.has(veto, "bars", "grade_at_most", "zero"):
            yield d.say(veto, None, "veto_of_nothing")
        yield from d.all_named(veto, "bars", veto.bars, "scheme", (scheme.code for scheme in book.scheme))
        yield from d.named(veto, "grade_at_most", veto.grade_at_most, "grade", grades)
        yield from d.named(veto, "zero", veto.zero, "node", (node.code for node in (*book.part, *book.item)))
