"""Ratings 评分: which count, the value they make, the pools, and the points by every method. language.md 4."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.oracle.book import COMPARING
from tests.oracle.numbers import POINTS, VALUE, half_up, kept, mean, number, places, points_of, total, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.oracle.book import InForce, Item
    from tests.oracle.ledger import Event

Json = dict[str, Any]
Run = str | None
AttributeOf = "Callable[[str, str], Fraction]"  # of a unit and a code


def latest(events: Iterable[Event], *, whoever: bool) -> dict[tuple[str, ...], Event]:
    """The latest standing rating of each rater (or of anybody) on each thing; the key ends with the rater."""
    found: dict[tuple[str, ...], Event] = {}
    for event in events:
        data = event.data
        run = data["period"] if "period" in data else data.get("case", "")
        key = (run, data.get("measure", "value"), data.get("group", ""), "" if whoever else data["rater"])
        if event.stands:
            found[key] = event
    return found


@dataclass(frozen=True)
class Panel:
    """The ratings of one unit and item that count, by run, measure and group of raters."""

    force: InForce
    item: Item
    ratings: dict[tuple[str, ...], Event]

    @property
    def kind(self) -> str:
        return self.force.get(self.item.raw, "panel", "plain")

    def runs(self) -> list[Run]:
        """The runs that have a rating, those of a period in its order."""
        named: set[Run] = {key[0] for key in self.ratings}
        if self.item.runs in self.force.book.periods:
            return [run for run in self.force.book.periods[self.item.runs] if run in named]
        return sorted(named, key=str)

    def given(self, run: Run, measure: str) -> dict[str, dict[str, Fraction]]:
        """Group of raters to rater to value."""
        found: dict[str, dict[str, Fraction]] = defaultdict(dict)
        for (of_run, of_measure, group, rater), event in self.ratings.items():
            if (of_run, of_measure) == (run or "", measure):
                found[group][rater] = event.effective
        return found

    def averaged(self, values: Iterable[Fraction]) -> Fraction:
        """The panel's mean; `trimmed` without one highest and one lowest where there are three or more."""
        ordered = sorted(values)
        return mean(ordered[1:-1] if self.kind == "trimmed" and len(ordered) >= 3 else ordered)

    def value(self, run: Run, measure: str) -> Fraction | None:
        """The weighted mean of the groups' means; groups without a rating are left out."""
        means = {group: value_of(self.averaged(given.values())) for group, given in self.given(run, measure).items()}
        if not means:
            return None
        if not self.item.raters:
            return means[""]
        weights = self.force.weights(self.item)
        weighed = total(weights[group] * value for group, value in means.items())
        return value_of(weighed / sum(weights[group] for group in means))

    def complete(self) -> bool:
        """A value for every measure of the formula, in one run. language.md 5."""
        measures = self.item.measured()
        return not measures or any(all(self.value(run, name) is not None for name in measures) for run in self.runs())


class Valuer:
    """From a unit's panel to the value that a method takes. language.md 4, To a value."""

    def __init__(self, force: InForce, item: Item, attribute: Callable[[str, str], Fraction]) -> None:
        self.force, self.item, self.attribute = force, item, attribute
        self.compares = force.method(item)["kind"] in COMPARING

    def value(self, unit: str, panel: Panel, run: Run) -> Fraction | None:
        """The unit's value in a run, or None where it has none."""
        if not self.item.formula:
            return panel.value(run, "value")
        measures = self.item.measured()
        if measures and run not in panel.runs():
            return None
        terms = [self.term(unit, panel, run, term) for term in self.item.formula]
        lacking = any(panel.value(run, name) is None for name in measures) or None in terms
        if self.compares and lacking:
            return None
        summed = kept(total(term or Fraction(0) for term in terms), VALUE)
        factor = self.item.raw.get("factor")
        return summed if factor is None else value_of(summed * self.attribute(unit, factor))

    def term(self, unit: str, panel: Panel, run: Run, term: Json) -> Fraction | None:
        """(plus − less) x times, or plus / ratio_to, kept within; None where a measure or the ratio is missing."""
        plus = self.named(unit, panel, run, term["plus"])
        if "ratio_to" in term:
            ratio = self.named(unit, panel, run, term["ratio_to"])
            if plus is None or ratio is None or ratio <= 0:
                return None
            found = value_of(plus / ratio)
        else:
            less = self.named(unit, panel, run, term.get("less", "0"))
            times = self.named(unit, panel, run, term.get("times", "1"))
            if plus is None or less is None or times is None:
                return None
            found = value_of((plus - less) * times)
        if "within" not in term:
            return found
        within = number(term["within"])
        return max(-within, min(within, found))

    def named(self, unit: str, panel: Panel, run: Run, name: str) -> Fraction | None:
        """A measure of the item, an attribute of the unit, or a number."""
        if name in self.item.measures or (name == "value" and not self.item.measures):
            return panel.value(run, name)
        if name in self.force.book.attributes:
            return self.attribute(unit, name)
        return number(name)


# --- To points --------------------------------------------------------------------------------------------------------


def bounded(force: InForce, item: Item, points: Fraction) -> Fraction:
    """at_least ("0") and at_most (the full points), run by run."""
    low, high = item.bound("at_least", Fraction(0)), item.bound("at_most", force.run_full(item))
    points = points if low is None else max(low, points)
    return points if high is None else min(high, points)


def scaled(force: InForce, item: Item, method: Json, value: Fraction) -> Fraction:
    """full x value / of."""
    of = number(method["of"]) if "of" in method else item.range.high if item.range else Fraction(1)
    return points_of(force.run_full(item) * value / of)


def tabled(item: Item, method: Json, value: Fraction) -> Fraction:
    """By the rows: the last at or below the value, or straight between two of them."""
    rows = [(number(at), number(points)) for at, points in method["rows"]]
    if method.get("between", "step") == "step":
        below = item.bound("at_least", Fraction(0)) or Fraction(0)
        return next((points for at, points in reversed(rows) if at <= value), below)
    if value <= rows[0][0] or value >= rows[-1][0]:
        return rows[0][1] if value <= rows[0][0] else rows[-1][1]
    n = next(n for n, (at, _) in enumerate(rows) if value < at)
    (x0, p0), (x1, p1) = rows[n - 1], rows[n]
    return p0 + points_of((p1 - p0) * (value - x0) / (x1 - x0))


def by_itself(force: InForce, item: Item, value: Fraction) -> Fraction:
    """direct, scale and table: the points of a value alone."""
    method = force.method(item)
    if method["kind"] == "direct":
        return points_of(value)
    return scaled(force, item, method, value) if method["kind"] == "scale" else tabled(item, method, value)


def pools(
    item: Item, method: Json, groups: dict[str, tuple[str, str]], force: InForce
) -> Callable[[str], tuple[str, ...]]:
    """The pool a unit competes in: all, its category, or its category and group."""
    pool = force.get(method, "pool", "all")
    return lambda unit: {"all": (), "category": groups[unit][:1], "group": groups[unit]}[pool]


def place_points(force: InForce, item: Item, method: Json, place: int) -> Fraction:
    """The points of a place under `rank`, exact, rounded once, kept at or above 0."""
    full, step = force.run_full(item), method["step"]
    if method.get("fall", "linear") == "geometric":
        exact = full * (1 - number(step)) ** (place - 1)
    else:
        exact = full - (full * number(step) if step.endswith("%") else number(step)) * (place - 1)
    return max(Fraction(0), points_of(exact))


def ranked(force: InForce, item: Item, method: Json, values: dict[str, Fraction]) -> dict[str, Fraction]:
    """名次赋分: the points of the place, or the mean of those of the places that the tied take together."""
    sign = 1 if method.get("better", "higher") == "lower" else -1
    at = places({unit: sign * value for unit, value in values.items()})
    average = force.get(method, "ties", "better") == "average"
    points = {}
    for unit, place in at.items():
        tied = list(at.values()).count(place) if average else 1
        points[unit] = points_of(mean([place_points(force, item, method, place + n) for n in range(tied)]))
    return points


def band_cuts(shares: list[Fraction], units: int, rounding: str) -> list[int]:
    """How many of so many units stand in the first band, the first two, and so on."""
    if rounding != "largest_remainder":
        decimals = [total(shares[: n + 1]) * units for n in range(len(shares))]
        return [int(half_up(cut, 0)) if rounding == "cumulative_half_up" else cut.__floor__() for cut in decimals]
    sizes = [(share * units).__floor__() for share in shares]
    by_rest = sorted(range(len(shares)), key=lambda n: (-(shares[n] * units % 1), n))
    for n in by_rest[: units - sum(sizes)]:
        sizes[n] += 1
    return [sum(sizes[: n + 1]) for n in range(len(sizes))]


def banded(force: InForce, item: Item, method: Json, values: dict[str, Fraction]) -> dict[str, Fraction]:
    """按比例分档: the points of the first band whose cut is not before the place."""
    sign = 1 if method.get("better", "higher") == "lower" else -1
    at = places({unit: sign * value for unit, value in values.items()})
    shares = [number(row[0]) for row in method["rows"]]
    cuts = band_cuts(shares, len(values), force.get(method, "rounding", "cumulative_half_up"))
    return {
        unit: next(number(row[1]) for row, cut in zip(method["rows"], cuts, strict=True) if place <= cut)
        for unit, place in at.items()
    }


def best_of(force: InForce, item: Item, method: Json, values: dict[str, Fraction]) -> dict[str, Fraction]:
    """比值法: full x value / the best, or the best / value where lower is better."""
    full, lower = force.run_full(item), method.get("better", "higher") == "lower"
    best = min(values.values()) if lower else max(values.values())
    found = {}
    for unit, value in values.items():
        if value == best:
            found[unit] = full
        elif value <= 0 or best <= 0:
            found[unit] = Fraction(0)
        else:
            found[unit] = points_of(full * best / value if lower else full * value / best)
    return found


def levelled(
    force: InForce, item: Item, method: Json, values: dict[str, Fraction], groups: dict[str, tuple[str, str]]
) -> dict[str, Fraction]:
    """平均分校正: as scale, of value x (mean of the pool) / (mean of its own category and group in it)."""
    every = value_of(mean(list(values.values())))
    found = {}
    for unit, value in values.items():
        own = value_of(mean([other for name, other in values.items() if groups[name] == groups[unit]]))
        found[unit] = scaled(force, item, method, value_of(value * every / own) if own > 0 else value)
    return found


def compared(
    force: InForce, item: Item, values: dict[str, Fraction], groups: dict[str, tuple[str, str]]
) -> dict[str, Fraction]:
    """rank, bands, best and level: the points of each unit of the pools, in one run, before the bounds."""
    method = force.method(item)
    pool_of = pools(item, method, groups, force)
    pooled: dict[tuple[str, ...], dict[str, Fraction]] = defaultdict(dict)
    for unit, value in values.items():
        pooled[pool_of(unit)][unit] = value
    found: dict[str, Fraction] = {}
    for members in pooled.values():
        if method["kind"] == "level":
            found |= levelled(force, item, method, members, groups)
        else:
            found |= {"rank": ranked, "bands": banded, "best": best_of}[method["kind"]](force, item, method, members)
    return found


def compared_by_rater(
    force: InForce, item: Item, panels: dict[str, Panel], groups: dict[str, tuple[str, str]]
) -> dict[str, Fraction]:
    """`per = "rater"`: each rater's values are ranked among the units it rated; the panel's mean is of the points."""
    by_rater: dict[str, dict[str, Fraction]] = defaultdict(dict)
    for unit, panel in panels.items():
        for given in panel.given(None, "value").values():
            for rater, value in given.items():
                by_rater[rater][unit] = value
    points: dict[str, list[Fraction]] = defaultdict(list)
    for values in by_rater.values():
        for unit, counted in compared(force, item, values, groups).items():
            points[unit].append(counted)
    return {unit: points_of(panels[unit].averaged(counted)) for unit, counted in points.items()}


def over_runs(force: InForce, item: Item, points: dict[Run, Fraction]) -> Fraction:
    """The points of the runs made one: best, mean, sum or latest. language.md 4, Runs.

    With `missing = "0"` every value of a period is a run, also where a unit has a rating and no value in any.
    """
    listed = force.book.periods.get(item.runs or "", [])
    counted = list(points.values())
    if item.over == "latest":
        return points[next(run for run in reversed(listed) if run in points)] if points else Fraction(0)
    if item.missing_zero:
        counted += [Fraction(0)] * (len(listed) - len(counted))
    if item.over == "mean":
        return points_of(mean(counted))
    return max(counted) if item.over == "best" else kept(total(counted), POINTS)
