"""Where the marks of the charts go; templates draw them as SVG. Geometry only: every number shown comes from a view."""

from collections.abc import Iterable
from decimal import Decimal

from services.console.states import Row

WIDE = 1000


def waterfall(items: list[Row]) -> tuple[list[Row], Decimal]:
    """Each item's bar from the final before its loss to the one after it, and where the axis begins.

    The axis ends at the base (all points kept) and begins a little below the final, so that small losses are seen.
    """
    base = sum((item["weighted_base"] for item in items), Decimal(0))
    final = sum((item["weighted"] for item in items), Decimal(0))
    start = (final - (base - final) / 8 - base / 240).max(Decimal(0))
    span = (base - start) if base > start else Decimal(1)
    bars, left = [], base
    for item in items:
        after = left - (item["weighted_base"] - item["weighted"])
        x = _at(after, start, span)
        bars.append(item | {"before": left, "after": after, "x": x, "width": _at(left, start, span) - x})
        left = after
    return bars, start


def _at(value: Decimal, start: Decimal, span: Decimal) -> int:
    return int((value - start) * WIDE / span)


def strip(units: Iterable[Row], lines: list[Row]) -> Row | None:
    """Finals of a category as stacks of dots over an axis, with its lines (达标线, 获奖线); null without units."""
    finals = list(units)
    if not finals:
        return None
    values = [unit["final"] for unit in finals] + [line["value"] for line in lines]
    low, high = min(values), max(values)
    pad = ((high - low) / 40).max(high.copy_abs() / 600 or Decimal(1))
    low, high = low - pad, high + pad
    columns, size = 125, WIDE // 125
    stacks: dict[int, list[Row]] = {}
    for unit in finals:
        stacks.setdefault(min(_at(unit["final"], low, high - low) * columns // WIDE, columns - 1), []).append(unit)
    tallest = max(map(len, stacks.values()))
    step = min(9, max(1, 90 // tallest))
    floor = tallest * step + 16
    dots = [
        {"x": column * size, "y": floor - (n + 1) * step, "height": max(1, step - 1), "width": size - 1, "unit": unit}
        for column, stack in stacks.items()
        for n, unit in enumerate(sorted(stack, key=lambda one: one["final"]))
    ]
    step_of = _step(high - low)
    ticks = [step_of * n for n in range(int(low / step_of), int(high / step_of) + 1) if low < step_of * n < high]
    return {
        "floor": floor,
        "dots": dots if len(finals) <= 600 else _merged(dots),
        "low": low,
        "high": high,
        "ticks": [{"x": _at(tick, low, high - low), "text": f"{tick:f}"} for tick in ticks],
        "lines": [line | {"x": _at(line["value"], low, high - low)} for line in lines],
    }


def _step(span: Decimal) -> Decimal:
    """A round step of which about ten go into a span."""
    power = Decimal(1).scaleb(span.adjusted() - 1)
    return next(power * n for n in (1, 2, 5, 10, 20) if span / (power * n) <= 12)


def _merged(dots: list[Row]) -> list[Row]:
    """One bar a column of graded units or others where there are too many units for a dot each."""
    merged: dict[tuple[int, bool | None], Row] = {}
    for dot in dots:
        key = (dot["x"], dot["unit"]["graded"])
        one = merged.setdefault(key, dot | {"top": dot["y"], "bottom": dot["y"] + dot["height"]})
        one["top"], one["bottom"] = min(one["top"], dot["y"]), max(one["bottom"], dot["y"] + dot["height"])
    return [one | {"y": one["top"], "height": one["bottom"] - one["top"]} for one in merged.values()]


def axis(bins: list[Row], stages: list[Row], last: int) -> Row:
    """The slider's axis: a bar for each part of the ledger, months where they begin, stages where they were reached."""
    months: list[Row] = []
    for one in bins:
        x = one["bin"] * WIDE // 60
        if not months or (one["month"] > months[-1]["text"] and x - months[-1]["x"] >= 60):
            months.append({"x": x, "text": one["month"]})
    most = max((one["entries"] for one in bins), default=0) or 1
    return {
        "bars": [{"x": one["bin"] * WIDE // 60, "height": one["entries"] * 20 // most} for one in bins],
        "months": months,
        "stages": [one | {"x": one["seq"] * WIDE // last} for one in stages],
    }
