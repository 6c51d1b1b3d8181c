"""What an item is refused for: its keys by input, grounds, bounds, formula, methods (language 3 and 4)."""

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

from schemas import rulebook
from schemas.faults import Fault, quoted
from schemas.rulebook import COMPARING, INPUT_KEYS, METHOD_KEYS, Ground, Item, Method, Term, bound, number
from schemas.shape import Draft

NUMBER = re.compile(rulebook.NUMBER)
SHARE = re.compile(rulebook.Share.__metadata__[0].pattern)  # type: ignore[attr-defined]
CODE = re.compile(rulebook.Code.__metadata__[0].pattern)  # type: ignore[attr-defined]
WEIGHTS = re.compile(r"[1-9][0-9]{0,8}(/[1-9][0-9]{0,8})*")
ZERO = Decimal(0)


def items(d: Draft) -> Iterator[Fault]:
    """Every fault within an item."""
    for item in d.book.item:
        if item.input is not None:
            other = "ratings" if item.input == "entries" else "entries"
            for key in sorted(INPUT_KEYS[other]):
                if d.has(item, key):
                    yield d.say(item, key, "other_input", key, (other,), (item.input,))
            yield from _entries(d, item) if item.input == "entries" else _ratings(d, item)
            if item.exempt == "start" and (item.input != "entries" or item.start != "0"):
                yield d.say(item, "exempt", "exempt_start")


def rising(d: Draft, table: Any, low: str, high: str, *, equal: bool = False) -> Iterator[Fault]:
    """A fault where the number of one key is not below that of another (with `equal`: above it)."""
    least, most = number(getattr(table, low)), number(getattr(table, high))
    if least is not None and most is not None and (least > most or (least == most and not equal)):
        said = "below" if equal else "not_above"
        yield d.say(table, high, said, quoted(getattr(table, high)), low, quoted(getattr(table, low)))


def via(written: str | None, one: str) -> Any:
    """A value as it was found: by itself, or as one of a reading's."""
    return ("of_reading", written, quoted(one)) if written and written.startswith("@") else quoted(one)


# Entries --------------------------------------------------------------------------------------------------------------


def _entries(d: Draft, item: Item) -> Iterator[Fault]:
    if not item.ground and not d.has(item, "ground"):
        yield d.say(item, None, "missing_key", "ground")
    yield from _grounds(d, item)
    yield from _nodes(d, item)
    separate = "separate" in possible(d, item.purse)
    yield from _shares(d, item) if separate else _bounds(d, item)
    if d.has(item, "share") and not separate and d.sound(item, "purse"):
        yield d.say(item, "share", "share_unused")


def possible(d: Draft, value: str | None) -> tuple[str, ...]:
    """The values that a key may have; none where its reading is unknown."""
    if value is None or not value.startswith("@"):
        return () if value is None else (value,)
    return tuple(one for one in d.book.readings.get(value[1:], ()) if one is not None)


def _grounds(d: Draft, item: Item) -> Iterator[Fault]:
    """Amounts; branches and requirements, which mean something only where matters are put together."""
    each = item.matter is None or possible(d, item.matter) == ("each",)
    by_code = {ground.code: ground for ground in item.ground}
    for ground in item.ground:
        yield from _amount(d, ground)
        for key in ("branch", "requires"):
            if each and d.has(ground, key):
                yield d.say(ground, key, "matter_each", key)
        yield from d.named(ground, "requires", ground.requires, "ground", by_code)
        required = by_code.get(ground.requires or "")
        if required is not None and required.adds is not ground.adds:
            yield d.say(ground, "requires", "requires_other_sign", quoted(ground.requires))
        if ground.code in _required(ground, by_code):
            yield d.say(ground, "requires", "requires_itself", quoted(ground.requires))


def _required(ground: Ground, by_code: dict[str, Ground]) -> list[str]:
    """The grounds that a ground requires, and those that these require."""
    found: list[str] = []
    code = ground.requires
    while code in by_code and code not in found:
        found.append(code)
        code = by_code[code].requires
    return found


def _amount(d: Draft, ground: Ground) -> Iterator[Fault]:
    """Fixed points, or a range from `min` or `above` to `max` that its steps divide."""
    ranged = [key for key in ("min", "above", "max", "step") if d.has(ground, key)]
    low = [key for key in ranged if key in ("min", "above")]
    if d.has(ground, "points"):
        if ranged:
            yield d.say(ground, None, "fixed_and_range", ", ".join(ranged))
    elif len(low) != 1 or "max" not in ranged:
        yield d.say(ground, None, "no_amount", ", ".join(ranged) or ("none",))
    elif d.sound(ground, *low, "max"):
        yield from (wrong := [*rising(d, ground, low[0], "max")])
        least, most, step = number(getattr(ground, low[0])), number(ground.max), number(ground.step)
        if not wrong and step and least is not None and most is not None and (most - least) % step:
            yield d.say(ground, "step", "step_no_divisor", quoted(ground.step), str(most - least))


def _nodes(d: Draft, item: Item) -> Iterator[Fault]:
    """Every group of nodes has one cap, whichever of its nodes says it."""
    caps: dict[str, str] = {}
    broken = {node.cap_group or node.code for node in item.node if not d.sound(node, "cap", "cap_group")}
    for node in item.node:
        group = node.cap_group or node.code
        if node.cap is not None and number(caps.setdefault(group, node.cap)) != number(node.cap):
            yield d.say(node, "cap", "other_cap", quoted(node.cap), quoted(group), quoted(caps[group]))
    for node in item.node:
        if (node.cap_group or node.code) not in broken.union(caps):
            yield d.say(node, None, "no_cap", quoted(node.cap_group or node.code))


def _shares(d: Draft, item: Item) -> Iterator[Fault]:
    """A purse that may be separate: start full, deductions only, no bounds, a share above 0 for each office."""
    if item.start == "0":
        yield d.say(item, "start", "separate_start")
    yield from (d.say(item, key, "separate_bound", key) for key in ("at_least", "at_most") if d.has(item, key))
    yield from (d.say(ground, "adds", "separate_adds") for ground in item.ground if ground.adds)
    if not d.has(item, "share"):
        yield d.say(item, None, "missing_key", "share")
        return
    if not item.offices:
        return
    for who in item.share:
        yield from d.named(item, f"share.{who}", who, "office_of_item", item.offices)
    yield from (d.say(item, "share", "share_missing", quoted(one)) for one in item.offices if one not in item.share)
    shares = [number(share) for share in item.share.values()]
    yield from (d.say(item, f"share.{who}", "share_zero") for who, one in item.share.items() if number(one) == 0)
    points = number(item.points)
    if None not in (*shares, points) and sum(share or ZERO for share in shares) != points:
        yield d.say(item, "share", "sum", str(sum(share or ZERO for share in shares)), quoted(item.points))


def _bounds(d: Draft, item: Item) -> Iterator[Fault]:
    """The balance may move, within bounds that hold the start (language 3)."""
    points = number(item.points)
    if points is None or not d.sound(item, "at_least", "at_most", "start"):
        return
    start = ZERO if item.start == "0" else points
    adds = any(ground.adds for ground in item.ground)
    deducts = any(not ground.adds for ground in item.ground)
    low = bound(item.at_least, -points if item.start == "0" and deducts else ZERO)
    high = bound(item.at_most, points if item.start != "0" or adds else ZERO)
    yield from _between(d, item, low, high, points)
    if low is not None and low > start:
        yield d.say(item, "at_least", "start_outside", quoted(item.at_least), str(start))
    if high is not None and high < start:
        yield d.say(item, "at_most", "start_outside", quoted(item.at_most), str(start))


def _between(d: Draft, item: Item, low: Decimal | None, high: Decimal | None, points: Decimal) -> Iterator[Fault]:
    """Bounds in their order; an item of points "0" says one of its own."""
    if low is not None and high is not None and low > high:
        key = "at_least" if d.has(item, "at_least") else "at_most"
        yield d.say(item, key, "bounds_crossed", str(low), str(high))
    if points == low == high == 0:
        yield d.say(item, "points", "zero_points")


# Ratings --------------------------------------------------------------------------------------------------------------


def attributes_alone(d: Draft, item: Item) -> bool:
    """Whether a formula takes nothing from ratings."""
    attributes = {one.code for one in d.book.attribute}
    names = [one for term in item.formula for one in (term.plus, term.less, term.ratio_to) if one]
    return bool(item.formula) and all(name in attributes or NUMBER.fullmatch(name) for name in names)


def _ratings(d: Draft, item: Item) -> Iterator[Fault]:
    yield from _value(d, item)
    yield from _raters(d, item)
    yield from _runs(d, item)
    for term in item.formula:
        yield from _term(d, item, term)
    attributes = [one.code for one in d.book.attribute]
    yield from d.named(item, "factor", item.factor, "attribute", attributes)
    if d.has(item, "factor") and not d.has(item, "formula"):
        yield d.say(item, "factor", "needs_formula", "factor")
    yield from _scoring(d, item)
    for method in item.method:
        yield from _method(d, item, method)
    full = [number(one.points if d.has(one, "points") else item.points) for one in item.method or (item,)]
    if None not in full and d.sound(item, "at_least", "at_most"):
        most = max(one or ZERO for one in full)
        yield from _between(d, item, bound(item.at_least, ZERO), bound(item.at_most, most), most)


def _value(d: Draft, item: Item) -> Iterator[Fault]:
    """What is rated: a value in a range, or measures that a formula makes one value of."""
    if d.has(item, "range") and d.has(item, "measure"):
        yield d.say(item, "measure", "range_and_measure")
    elif not d.has(item, "range", "measure") and not attributes_alone(d, item):
        yield d.say(item, None, "no_range")
    if d.has(item, "measure") and not d.has(item, "formula"):
        yield d.say(item, "measure", "needs_formula", "measure")
    if item.range is not None:
        yield from rising(d, item.range, "min", "max")
    for measure in item.measure:
        if measure.binary and d.has(measure, "min", "max"):
            yield d.say(measure, "binary", "binary_range")
        elif d.sound(measure, "min", "max"):
            yield from rising(d, measure, "min", "max")


def _raters(d: Draft, item: Item) -> Iterator[Fault]:
    """Weights: a whole number of 1 or more for each group of raters."""
    if not d.has(item, "weights"):
        return
    if not d.has(item, "raters"):
        yield d.say(item, "weights", "needs_raters", "weights")
        return
    count = len(item.raters)
    for one in possible(d, item.weights):
        if not WEIGHTS.fullmatch(one) or one.count("/") + 1 != count:
            yield d.say(item, "weights", "weights", via(item.weights, one), str(count), "/".join(["1"] * count))


def _runs(d: Draft, item: Item) -> Iterator[Fault]:
    """Runs by case or by the values of a period, of what is rated."""
    if not d.has(item, "runs"):
        if d.has(item, "over"):
            yield d.say(item, "over", "needs_runs", "over")
        return
    yield from d.named(item, "runs", item.runs, "period", ("case", *(one.code for one in d.book.period)))
    if attributes_alone(d, item):
        yield d.say(item, "runs", "runs_of_attributes")
    if item.runs == "case":
        if item.over == "latest":
            yield d.say(item, "over", "latest_case")
        for method in item.method:
            if method.kind in COMPARING:
                yield d.say(method, "kind", "case_compares", quoted(method.kind))


def _term(d: Draft, item: Item, term: Term) -> Iterator[Fault]:
    """A term names measures (or `value`), attributes and numbers, each where it may."""
    attributes = [one.code for one in d.book.attribute]
    rated = [measure.code for measure in item.measure] or (["value"] if d.has(item, "range") else [])
    for key, known, family, numbers in (
        ("plus", (*rated, *attributes), "term_name", False),
        ("ratio_to", (*rated, *attributes), "term_name", False),
        ("less", (*rated, *attributes), "term_name_or_number", True),
        ("times", attributes, "attribute_or_number", True),
    ):
        name = getattr(term, key)
        if name is not None and not (numbers and NUMBER.fullmatch(name)):
            yield from d.named(term, key, name, family, known)
    if d.has(term, "ratio_to"):
        yield from (d.say(term, key, "ratio_alone", key) for key in ("less", "times") if d.has(term, key))


# Methods --------------------------------------------------------------------------------------------------------------


def _scoring(d: Draft, item: Item) -> Iterator[Fault]:
    """The method in force, and what it is without any."""
    codes = [method.code for method in item.method]
    if d.has(item, "scoring") and not d.has(item, "method"):
        yield d.say(item, "scoring", "needs_method")
    elif d.has(item, "scoring"):
        for one in possible(d, item.scoring):
            yield from d.named(item, "scoring", one, "method", codes, via(item.scoring, one))
    elif len(codes) > 1:
        yield d.say(item, None, "no_scoring", ", ".join(one or "?" for one in codes))
    if not d.has(item, "method", "formula") and item.range is not None and _of_range(d, item) is False:
        yield d.say(item.range, "max", "scale_of_range", quoted(item.range.max))


def _of_range(d: Draft, item: Item) -> bool | None:
    """Whether the range gives what a scale is of; null where it cannot be told."""
    if item.range is None:
        return None if d.has(item, "range") else False
    most = number(item.range.max)
    return None if most is None else most > 0


def _method(d: Draft, item: Item, method: Method) -> Iterator[Fault]:
    if method.kind is not None:
        yield from _keys(d, item, method)
        yield from {"rank": _rank, "table": _table, "bands": _bands}.get(method.kind, _nothing)(d, item, method)


def _nothing(_d: Draft, _item: Item, _method: Method) -> Iterator[Fault]:
    """A kind whose keys are all that can be wrong."""
    yield from ()


def _keys(d: Draft, item: Item, method: Method) -> Iterator[Fault]:
    """The keys that a kind takes, and those that it needs."""
    takes = METHOD_KEYS[method.kind]
    for key in sorted(frozenset().union(*METHOD_KEYS.values()) - takes):
        if d.has(method, key):
            kinds = [kind for kind, keys in METHOD_KEYS.items() if key in keys]
            yield d.say(method, key, "method_key", key, quoted(method.kind), ", ".join(kinds))
    for key in ("rows", "step"):
        if key in takes and not d.has(method, key):
            yield d.say(method, None, "missing_key", key)
    if "of" in takes and not d.has(method, "of") and _of_range(d, item) is False:
        yield d.say(method, None, "no_of", quoted(method.kind))


def _rank(d: Draft, item: Item, method: Method) -> Iterator[Fault]:
    """A geometric fall is a share; each rater's own ranking wants one value of one group, not the latest."""
    if method.fall == "geometric" and method.step and not method.step.endswith("%"):
        yield d.say(method, "step", "geometric_share", quoted(method.step))
    if method.per is None:
        return
    for key in ("measure", "formula", "raters", "runs"):
        if d.has(item, key):
            yield d.say(method, "per", "per_rater", key)
    if "latest" in possible(d, item.panel):
        yield d.say(method, "per", "per_rater", 'panel = "latest"')


def _rows(d: Draft, method: Method, forms: tuple[tuple[re.Pattern[str], str], ...]) -> Iterator[Fault]:
    """Rows have as many columns as they should, each in its form."""
    for n, row in enumerate(method.rows):
        if row is None or None in row:
            continue
        if len(row) != len(forms):
            yield d.say(method, f"rows[{n}]", "columns", str(len(row)), (f"row_of_{method.kind}",))
            continue
        for column, (text, (form, name)) in enumerate(zip(row, forms, strict=True)):
            if not form.fullmatch(text):
                yield d.say(method, f"rows[{n}][{column}]", "form", quoted(text), (name,))


def _table(d: Draft, _item: Item, method: Method) -> Iterator[Fault]:
    """The first numbers of a table rise."""
    wrong = [*_rows(d, method, ((NUMBER, "number"), (NUMBER, "number")))]
    yield from wrong
    firsts = [row[0] for row in method.rows if row] if not wrong else []
    for n, (before, after) in enumerate(pairwise(firsts), 1):
        if before is not None and after is not None and Decimal(before) >= Decimal(after):
            yield d.say(method, f"rows[{n}]", "not_rising", quoted(after), quoted(before))


def _bands(d: Draft, _item: Item, method: Method) -> Iterator[Fault]:
    """The shares of the bands come to 1, and no band is there twice."""
    wrong = [*_rows(d, method, ((SHARE, "share"), (NUMBER, "number"), (CODE, "code")))]
    yield from wrong
    if wrong or not d.sound(method, "rows") or any(row is None or None in row for row in method.rows):
        return
    total = sum((number(row[0]) or ZERO for row in method.rows), ZERO)
    if total != 1 and method.rows:
        yield d.say(method, "rows", "shares_sum", percent(total))
    codes = [row[2] for row in method.rows]
    for n, code in enumerate(codes):
        if code in codes[:n]:
            yield d.say(method, f"rows[{n}]", "twice", quoted(code), nearest=None)


def percent(share: Decimal) -> str:
    """A share as a percentage."""
    return f"{(share * 100).normalize():f}%"
