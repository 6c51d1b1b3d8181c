"""How each item of a unit comes to its points: a sum for a pocket calculator, and the units it was compared with.

A kind of method has its words here, in `_KINDS`; docs/architecture.md says where else it is named.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import duckdb
import msgspec

from schemas.words import CLAUSE, COMMA, SEMICOLON, Language, Text, _
from services.snapshot import texts

#: More numbers than these are not written out in a sum: their total stands for them.
WRITTEN_MAX = 24
Row = dict[str, Any]


class Placed(msgspec.Struct, frozen=True):
    """A unit's place where units are compared, and its band where there are bands."""

    unit: str
    place: int
    band: str | None = None


class Working(msgspec.Struct, frozen=True):
    """The sum that gives an item's points, notes on it, the units compared.

    The sum has decimals, brackets and the signs + − × ÷ ^ only and comes to the points when rounded half-up to 6
    decimals; null where there is no input.
    """

    sum: str | None
    notes: list[str]
    order: list[Placed]


class Sum(NamedTuple):
    """A sum as it is written, and what it comes to exactly."""

    text: str
    exact: Fraction

    @property
    def inside(self) -> str:
        """The sum as part of another one."""
        return f"({self.text})" if _depth_zero(self.text) else self.text


def _depth_zero(written: str) -> bool:
    """Whether a sum adds or subtracts outside brackets, so that it needs some to be part of another one."""
    depth = 0
    for character, after in zip(written, written[1:] + " ", strict=True):
        depth += (character == "(") - (character == ")")
        if not depth and character in "+−" and after == " ":
            return True
    return False


@dataclass(frozen=True)
class Reader:
    """Reads computed views for one unit in one language."""

    con: duckdb.DuckDBPyConnection
    unit: str
    lang: Language

    def say(self, said: Text) -> str:
        """The text of the language."""
        return said.say(self.lang)

    def rows(self, query: str, **values: object) -> list[Row]:
        """The rows of a query: $unit is bound where it is named, and @ is the language's suffix of a column."""
        bound = values | ({"unit": self.unit} if "$unit" in query else {})
        found = self.con.execute(query.replace("@", self.lang), bound)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    @cached_property
    def shown(self) -> texts.Shown:
        """What is shown for a token: its text, or by which order that was erased."""
        return texts.shown(self.con, self.lang)

    def listed(self, words: list[str]) -> str:
        """Words one after the other."""
        return self.say(COMMA).join(words)


def text(points: Decimal) -> str:
    """Points without the zeros that say nothing, as a person keys them into a calculator."""
    written = f"{points:f}".replace("-", "−")
    return written.rstrip("0").rstrip(".") if "." in written else written


def as_number(points: Decimal) -> Sum:
    """A number as a sum of itself; a negative one in brackets."""
    written = text(points)
    return Sum(f"({written})" if points < 0 else written, Fraction(points))


def added(sums: list[Sum]) -> Sum:
    """A sum written out; where that would be too long, what it comes to, if that has an end."""
    exact = sum((one.exact for one in sums), Fraction(0))
    if len(sums) > WRITTEN_MAX and (whole := _decimal(exact)) is not None:
        return as_number(whole)
    return Sum(" + ".join(one.text for one in sums) or "0", exact)


def settled(found: Sum, points: Decimal, notes: list[str]) -> str:
    """The sum, where it comes to the points; else it is a note and the points stand for themselves."""
    if six(found.exact) == points:
        return found.text
    notes.append(f"{found.text} = {text(six(found.exact))}")
    return as_number(points).text


def six(exact: Fraction) -> Decimal:
    """Half-up at six decimals, away from zero."""
    millionths = (2 * abs(exact.numerator) * 10**6 + exact.denominator) // (2 * exact.denominator)
    return Decimal(millionths if exact >= 0 else -millionths).scaleb(-6)


def _decimal(exact: Fraction) -> Decimal | None:
    """A fraction as the decimal that it is, null where it has no end within 18 decimals."""
    scaled = exact * 10**18
    return Decimal(scaled.numerator).scaleb(-18) if scaled.denominator == 1 else None


def tied(order: list[Placed], unit: str) -> list[str]:
    """The other units at the unit's place."""
    place = next((one.place for one in order if one.unit == unit), None)
    return [one.unit for one in order if one.place == place and one.unit != unit]


# Items --------------------------------------------------------------------------------------------------------------

_ITEMS = """
SELECT p.item, p.points, p.points_base, p.exempted_by, p.is_out, p.zeroed_by, p.compares, u.has_left,
       f.input, f.exempt, f.grain, f.start, f.at_least, f.at_most, f.purse, f.runs, f.combine, f.has_formula, f.factor,
       f.weights, m.kind, m.method, m.run_points, m.of_value, m.ties, m.low_first, m.per_rater,
       r.step, r.step_is_share, r.fall
FROM item_points p
JOIN item_in_force f ON f.item = p.item
JOIN unit_in_force u ON u.unit = p.unit
LEFT JOIN method_in_force m ON m.item = p.item
LEFT JOIN rulebook_method r ON r.item = m.item AND r.method = m.method
WHERE p.unit = $unit ORDER BY p.ordinal
"""


def workings(reader: Reader) -> dict[str, Working]:
    """The working of every item of the unit, inside an open `rules.compute`."""
    return {row["item"]: _working(reader, row) for row in reader.rows(_ITEMS)}


def _working(reader: Reader, row: Row) -> Working:
    if row["has_left"] and row["compares"]:
        return Working(None, [reader.say(_("The unit has left: no points"))], [])
    made = _exempt(reader, row) if row["exempted_by"] else None
    made = made or (_entries(reader, row) if row["input"] == "entries" else _ratings(reader, row))
    if row["zeroed_by"] and not row["is_out"]:
        was = [f"{made.sum}"] if made.sum not in (None, "0") else []
        veto = reader.say(_("0 by the veto of sequence {zeroed_by}", zeroed_by=row["zeroed_by"]))
        return Working("0", [*was, *made.notes, veto], made.order)
    if made.sum is None or row["points"] is None:
        return made
    notes = list(made.notes)
    written = settled(Sum(made.sum, calculated(made.sum)), row["points"], notes)
    if written != made.sum and row["grain"] > 1:
        notes.append(reader.say(_("Rounded to the decimals of the item")))
    return Working(written, notes, made.order)


def calculated(written: str) -> Fraction:
    """What a sum of this module comes to: decimals, brackets and + − × ÷ ^ with their usual order."""
    tokens = written.replace("(", " ( ").replace(")", " ) ").replace("^", " ^ ").split()
    value, rest = _added(tokens)
    assert not rest, written
    return value


def _added(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _multiplied(tokens)
    while tokens and tokens[0] in "+−":
        sign, (more, rest) = tokens[0], _multiplied(tokens[1:])
        value, tokens = (value + more if sign == "+" else value - more), rest
    return value, tokens


def _multiplied(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _raised(tokens)
    while tokens and tokens[0] in "×÷":
        sign, (more, rest) = tokens[0], _raised(tokens[1:])
        value, tokens = (value * more if sign == "×" else value / more), rest
    return value, tokens


def _raised(tokens: list[str]) -> tuple[Fraction, list[str]]:
    if tokens[0] == "(":
        value, tokens = _added(tokens[1:])
        tokens = tokens[1:]
    else:
        value, tokens = Fraction(tokens[0].replace("−", "-")), tokens[1:]
    while tokens and tokens[0] == "^":
        value, tokens = value ** int(tokens[1]), tokens[2:]
    return value, tokens


def _exempt(reader: Reader, row: Row) -> Working:
    """Not applicable (language 6): full, 0, in proportion to what is not exempted, or out."""
    by = row["exempted_by"]
    note = reader.say(_("Does not apply: exempted by sequence {by}", by=by))
    full = text(row["points_base"])
    if row["is_out"]:
        out = reader.say(_("Taken out; what is left of its part is rescaled"))
        return Working(None, [note, out], [])
    if row["exempt"] == "start":
        return Working("0", [note], [])
    share = reader.rows(
        "SELECT s.points_micro, s.points_base_micro, p.name_@ AS name FROM exempt_share s"
        " JOIN rulebook_part p ON p.part = s.part WHERE s.unit = $unit AND s.item = $item",
        item=row["item"],
    )
    if row["exempt"] == "full" or not share:
        return Working(full, [note], [])
    points, base = (text(Decimal(int(share[0][key])).scaleb(-6)) for key in ("points_micro", "points_base_micro"))
    name = share[0]["name"]
    over = reader.say(
        _("In proportion to the items of {name} that apply: {points} of {base}", name=name, points=points, base=base)
    )
    return Working(f"{full} × {points} ÷ {base}", [note, over], [])


def _entries(reader: Reader, row: Row) -> Working:
    """The start, less what each deduction counts, with what each bonus counts (language 3)."""
    counted = [
        one["points"]
        for one in reader.rows(
            "SELECT CASE kind WHEN 'bonus' THEN counted ELSE -counted END AS points FROM entry_result"
            " WHERE unit = $unit AND item = $item AND counted > 0 ORDER BY seq",
            item=row["item"],
        )
    ]
    if len(counted) > WRITTEN_MAX:
        counted = [sum(counted, Decimal(0))]
    start = row["start"]
    bounded = min(max(start, row["at_least"] if row["at_least"] is not None else start), row["at_most"] or start)
    written = as_number(bounded).text + "".join(f" {'+' if one > 0 else '−'} {text(abs(one))}" for one in counted)
    notes = []
    if row["purse"] == "separate":
        notes.append(reader.say(_("Each office deducts from its own share; balances are its own")))
    return Working(written, notes, [])


# Ratings ------------------------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """One run of an item's ratings: the sum that gives its points, and the units compared."""

    name: str
    points: Decimal
    sum: str
    order: list[Placed]


def _ratings(reader: Reader, row: Row) -> Working:
    """The runs of an item, each from its value to its points, and what they come to together (language 4)."""
    notes: list[str] = []
    runs = [
        _run(reader, row, one, notes)
        for one in reader.rows(
            "SELECT run, points FROM run_points WHERE unit = $unit AND item = $item ORDER BY ordinal, run",
            item=row["item"],
        )
    ]
    if not runs:
        return _none(reader, row)
    if row["runs"] is None:
        return Working(runs[0].sum, notes, runs[0].order)
    notes += [
        f"{one.name}: {one.sum}" + (f" = {text(one.points)}" if one.sum != text(one.points) else "") for one in runs
    ]
    points = [as_number(one.points) for one in runs]
    together = {
        "mean": lambda: f"{added(points).inside} ÷ {len(runs)}" if len(runs) > 1 else points[0].text,
        "sum": lambda: added(points).text,
        "best": lambda: text(max(one.points for one in runs)),
        "latest": lambda: text(runs[-1].points),
    }
    said = {
        "mean": _("the mean of them counts"), "sum": _("they are added"),
        "best": _("the best counts"), "latest": _("the latest counts"),
    }  # fmt: skip
    return Working(together[row["combine"]](), [*notes, reader.say(said[row["combine"]])], [])


def _run(reader: Reader, row: Row, one: Row, notes: list[str]) -> Run:
    run, points = one["run"], one["points"]
    rated = reader.rows(
        "SELECT value FROM run_value WHERE unit = $unit AND item = $item AND run = $run", item=row["item"], run=run
    )
    name = run or ""
    order: list[Placed] = []
    if row["per_rater"]:
        found = _by_raters(reader, row, notes)
    elif not rated:
        return Run(name, points, "0", [])
    else:
        value = _value(reader, row, run, rated[0]["value"], notes)
        found, order = _KINDS[row["kind"]](reader, row, run, value, notes)
    if six(found.exact) != points:
        notes.append(
            reader.say(_("{text} = {exact}, kept within the bounds", text=found.text, exact=text(six(found.exact))))
        )
        return Run(name, points, as_number(points).text, order)
    return Run(name, points, found.text, order)


def _none(reader: Reader, row: Row) -> Working:
    """Nothing was rated: no points yet, or 0 where the regulation makes it so."""
    if row["points"] is None:
        return Working(None, [reader.say(_("No input yet; it counts 0 so far"))], [])
    return Working(text(row["points"]), [reader.say(_("Nothing was submitted by the closing: 0"))], [])


def _held(found: Sum, value: Decimal, name: str, notes: list[str]) -> Sum:
    """A sum that is exactly a value stays written out; of one that was rounded the value goes on, the sum is a note."""
    if found.exact == Fraction(value):
        return found
    notes.append(f"{name}{found.text} = {text(value)}")
    return as_number(value)


def _value(reader: Reader, row: Row, run: str, value: Decimal, notes: list[str]) -> Sum:
    """How the value of a run comes from its ratings: the panel's mean, or a formula of measures and attributes."""
    panels = _panels(reader, row, run, notes)
    if not row["has_formula"]:
        return _held(panels["value"], value, "", notes)
    for name, one in panels.items():
        notes.append(f"{_measure_name(reader, row, name)}: {one.text}")
    terms = [_term(reader, one, notes) for one in reader.rows(_TERMS, item=row["item"], run=run)]
    whole = added(terms)
    if row["factor"]:
        factor = reader.rows(
            "SELECT value FROM attribute_in_force WHERE unit = $unit AND attribute = $name", name=row["factor"]
        )[0]["value"]
        whole = Sum(f"{whole.inside} × {as_number(factor).text}", whole.exact * Fraction(factor))
    return _held(whole, value, "", notes)


_TERMS = """
SELECT t.ordinal, t.plus_value, t.less_value, t.times_value, t.ratio_value, t.value, d.ratio_to, d.bound,
       coalesce(m.name_@, a.name_@, d.plus) AS name
FROM formula_term t
JOIN rulebook_term d ON d.item = t.item AND d.ordinal = t.ordinal
LEFT JOIN rulebook_measure m ON m.item = t.item AND m.measure = d.plus
LEFT JOIN rulebook_attribute a ON a.attribute = d.plus
WHERE t.unit = $unit AND t.item = $item AND t.run = $run ORDER BY t.ordinal
"""


def _term(reader: Reader, one: Row, notes: list[str]) -> Sum:
    """A term of a formula; one whose measure is missing or whose ratio is to 0 counts 0."""
    if one["value"] is None:
        notes.append(reader.say(_("{name}: missing, counts 0", name=one["name"])))
        return Sum("0", Fraction(0))
    plus = as_number(one["plus_value"])
    if one["ratio_to"] is not None:
        found = Sum(f"{plus.text} ÷ {as_number(one['ratio_value']).text}", plus.exact / Fraction(one["ratio_value"]))
    else:
        found = plus
        if one["less_value"]:
            less = as_number(one["less_value"])
            found = Sum(f"{plus.text} − {less.text}", plus.exact - less.exact)
        if one["times_value"] != 1:
            times = as_number(one["times_value"])
            found = Sum(f"{found.inside} × {times.text}", found.exact * times.exact)
    if one["bound"] is not None and abs(found.exact) > Fraction(one["bound"]):
        whole = text(six_or_more(found.exact))
        notes.append(
            reader.say(
                _("{text} = {whole}, kept within ± {bound}", text=found.text, whole=whole, bound=text(one["bound"]))
            )
        )
        return as_number(one["value"])
    return _held(found, one["value"], "", notes)


def _measure_name(reader: Reader, row: Row, measure: str) -> str:
    found = reader.rows(
        "SELECT name_@ AS name FROM rulebook_measure WHERE item = $item AND measure = $measure",
        item=row["item"],
        measure=measure,
    )
    return found[0]["name"] if found else reader.say(_("value"))


_PANELS = """
SELECT p.measure, p.rater_group, p.trimmed, p.value, w.name_@ AS name,
       coalesce(split_part(f.weights, '/', w.ordinal)::INTEGER, 1) AS weight, v.value AS measure_value,
       (SELECT list(r.value ORDER BY r.value, r.seq) FROM rating_in_force r WHERE r.unit = p.unit AND r.item = p.item
          AND r.run = p.run AND r.measure = p.measure AND r.rater_group = p.rater_group) AS ratings
FROM panel_mean p
JOIN item_in_force f ON f.item = p.item
JOIN measure_value v ON v.unit = p.unit AND v.item = p.item AND v.run = p.run AND v.measure = p.measure
LEFT JOIN rulebook_measure d ON d.item = p.item AND d.measure = p.measure
LEFT JOIN rulebook_raters w ON w.item = p.item AND w.rater_group = p.rater_group
WHERE p.unit = $unit AND p.item = $item AND p.run = $run ORDER BY d.ordinal, p.measure, w.ordinal
"""


def _panels(reader: Reader, row: Row, run: str, notes: list[str]) -> dict[str, Sum]:
    """The value of each measure: the mean of the panel, or the weighted mean of those of its groups."""
    groups: dict[str, list[Row]] = {}
    for one in reader.rows(_PANELS, item=row["item"], run=run):
        groups.setdefault(one["measure"], []).append(one)
    found = {}
    for measure, panels in groups.items():
        means = [_held(_mean(reader, one, notes), one["value"], f"{one['name'] or ''} ", notes) for one in panels]
        if len(panels) == 1:
            if row["weights"] or panels[0]["name"]:
                notes.append(reader.say(_("One group only ({name}): its mean stands", name=panels[0]["name"])))
            found[measure] = means[0]
            continue
        whole = sum(one["weight"] for one in panels)
        notes.append("; ".join(f"{one['name']} {one['weight']}/{whole}" for one in panels))
        weighted = " + ".join(f"{one['weight']} × {mean.inside}" for one, mean in zip(panels, means, strict=True))
        exact = sum((one["weight"] * mean.exact for one, mean in zip(panels, means, strict=True)), Fraction(0)) / whole
        found[measure] = _held(Sum(f"({weighted}) ÷ {whole}", exact), panels[0]["measure_value"], "", notes)
    return found


def _mean(reader: Reader, panel: Row, notes: list[str]) -> Sum:
    """The mean of a panel, trimmed where the reading says so; one rating is its own mean."""
    ratings = panel["ratings"]
    if panel["trimmed"]:
        high, low = text(ratings[-1]), text(ratings[0])
        notes.append(reader.say(_("One highest ({high}) and one lowest ({low}) are left out", high=high, low=low)))
        ratings = ratings[1:-1]
    if len(ratings) == 1:
        return as_number(ratings[0])
    total = added([as_number(one) for one in ratings])
    return Sum(f"{total.inside} ÷ {len(ratings)}", total.exact / len(ratings))


# Kinds of methods ---------------------------------------------------------------------------------------------------

Made = tuple[Sum, list[Placed]]


def _scaled(value: Sum, full: Decimal, of: Decimal) -> Sum:
    """Full x value / of; nothing where they are the same."""
    if full == of:
        return value
    return Sum(
        f"{value.inside} × {as_number(full).text} ÷ {as_number(of).text}",
        value.exact * Fraction(full) / Fraction(of),
    )


def _direct(_reader: Reader, _row: Row, _run: str, value: Sum, _notes: list[str]) -> Made:
    return value, []


def _scale(_reader: Reader, row: Row, _run: str, value: Sum, _notes: list[str]) -> Made:
    return _scaled(value, row["run_points"], row["of_value"]), []


def _table(reader: Reader, row: Row, _run: str, value: Sum, notes: list[str]) -> Made:
    """The row of the table that the value has reached, or the line between two."""
    held = six_or_more(value.exact)
    (one,) = reader.rows(
        "SELECT x, points, next_x, next_points FROM rulebook_row"
        " WHERE item = $item AND method = $method AND x <= $value ORDER BY x DESC LIMIT 1",
        item=row["item"],
        method=row["method"],
        value=held,
    )
    points = one["points"] if one["points"] is not None else row["at_least"] or Decimal(0)
    notes.append(
        reader.say(_("Value {held}: from {x} on", held=text(held), x=text(one["x"])))
        if one["points"] is not None and one["x"] > -(10**9)
        else reader.say(_("Value {held}: below the first row", held=text(held)))
    )
    if one["next_x"] is None or one["points"] is None:
        return as_number(points), []
    rise, width = one["next_points"] - points, one["next_x"] - one["x"]
    written = (
        f"{as_number(points).text} + ({as_number(one['next_points']).text} − {as_number(points).text})"
        f" × ({value.text} − {as_number(one['x']).text}) ÷ {as_number(width).text}"
    )
    step = six(Fraction(rise) * (value.exact - Fraction(one["x"])) / Fraction(width))
    return Sum(written, Fraction(points) + Fraction(step)), []


def six_or_more(exact: Fraction) -> Decimal:
    """A value, which has at most nine decimals."""
    return Decimal(int(exact * 10**9)).scaleb(-9)


def _rank(reader: Reader, row: Row, run: str, value: Sum, notes: list[str]) -> Made:
    """The points of the unit's place; linear or geometric, a tie at the better place or the mean."""
    order = _order(reader, row, run)
    place = next(one.place for one in order if one.unit == reader.unit)
    notes += [_stand(reader, value, order, place), *_ahead(reader, order, place), *_ties(reader, order)]
    shared = len(tied(order, reader.unit)) + 1
    if shared > 1 and row["ties"] == "average":
        notes.append(reader.say(_("A tie takes the mean of the points of its places")))
        points = added([as_number(_place_points(reader, row, place + n)) for n in range(shared)])
        return Sum(f"{points.inside} ÷ {shared}", points.exact / shared), order
    points_of_place = _place_points(reader, row, place)
    full, below = row["run_points"], place - 1
    if below == 0 or points_of_place == 0:
        return as_number(points_of_place), order
    if row["fall"] == "geometric":
        left = 1 - row["step"]
        found = Sum(f"{text(full)} × {text(left)}^{below}", Fraction(full) * Fraction(left) ** below)
    else:
        step = full * row["step"] if row["step_is_share"] else row["step"]
        found = Sum(f"{text(full)} − {text(step)} × {below}", Fraction(full) - Fraction(step) * below)
    return found, order


def _place_points(reader: Reader, row: Row, place: int) -> Decimal:
    """The points of a place in the table of the method; 0 beyond its end."""
    found = reader.rows(
        "SELECT points FROM rulebook_place WHERE item = $item AND method = $method AND place = $place",
        item=row["item"],
        method=row["method"],
        place=place,
    )
    points: Decimal = found[0]["points"] if found else Decimal(0)
    return points


def _by_raters(reader: Reader, row: Row, notes: list[str]) -> Sum:
    """The mean of the points that each rater's order gives, trimmed like a panel."""
    points = [
        one["points"]
        for one in reader.rows(
            "SELECT r.rater, r.place, p.points FROM rater_place r JOIN place_points p ON p.item = r.item"
            " AND p.place = r.place AND p.tied = r.tied WHERE r.unit = $unit AND r.item = $item"
            " ORDER BY p.points, r.rater",
            item=row["item"],
        )
    ]
    (panel,) = reader.rows(
        "SELECT trimmed FROM rater_points WHERE unit = $unit AND item = $item", item=row["item"]
    ) or [{"trimmed": False}]
    notes.append(reader.say(_("Each rater's order gives points; the mean of them counts")))
    return _mean(reader, {"ratings": points, "trimmed": panel["trimmed"]}, notes)


def _bands(reader: Reader, row: Row, run: str, value: Sum, notes: list[str]) -> Made:
    """The points of the band of the unit's place in its pool."""
    order = _order(reader, row, run)
    place = next(one.place for one in order if one.unit == reader.unit)
    cuts = reader.rows(
        "SELECT c.band, c.points, c.place_last,"
        " coalesce(lag(c.place_last) OVER (ORDER BY c.ordinal), 0) + 1 AS place_first"
        " FROM band_cut c JOIN contender_place m ON m.unit = $unit AND m.item = c.item AND m.run = c.run"
        " AND m.pool = c.pool WHERE c.item = $item AND c.run = $run ORDER BY c.ordinal",
        item=row["item"],
        run=run,
    )
    bands = reader.say(CLAUSE).join(
        reader.say(
            _(
                "{band} places {place_first} to {place_last}",
                band=one["band"],
                place_first=one["place_first"],
                place_last=one["place_last"],
            )
        )
        for one in cuts
        if one["place_first"] <= one["place_last"]
    )
    mine = next(one for one in cuts if place <= one["place_last"])
    note = reader.say(_("band {band} ({bands})", band=mine["band"], bands=bands))
    notes += [f"{_stand(reader, value, order, place)}{reader.say(SEMICOLON)}{note}", *_ties(reader, order)]
    return as_number(mine["points"]), order


def _best(reader: Reader, row: Row, run: str, value: Sum, notes: list[str]) -> Made:
    """The value against the best of its pool."""
    order = _order(reader, row, run)
    (one,) = reader.rows(
        "SELECT best, points FROM best_points WHERE unit = $unit AND item = $item AND run = $run",
        item=row["item"],
        run=run,
    )
    best, full = one["best"], row["run_points"]
    notes.append(reader.say(_("The best value is {best}", best=text(best))))
    if value.exact == Fraction(best):
        return as_number(full), order
    if value.exact <= 0 or best <= 0:
        return Sum("0", Fraction(0)), order
    if row["low_first"]:
        return Sum(
            f"{text(full)} × {text(best)} ÷ {value.inside}", Fraction(full) * Fraction(best) / value.exact
        ), order
    return _scaled(value, full, best), order


def _level(reader: Reader, row: Row, run: str, value: Sum, notes: list[str]) -> Made:
    """The value levelled by the means of its pool and of its own category and group, then to scale."""
    (one,) = reader.rows(
        "SELECT mean_all, mean_own, levelled FROM level_mean JOIN level_points USING (unit, item, run)"
        " WHERE unit = $unit AND item = $item AND run = $run",
        item=row["item"],
        run=run,
    )
    levelled = value
    if one["mean_own"] > 0:
        notes.append(
            reader.say(
                _(
                    "Levelled by the mean of all {mean_all} over that of its own {mean_own}",
                    mean_all=text(one["mean_all"]),
                    mean_own=text(one["mean_own"]),
                )
            )
        )
        product = Sum(
            f"{value.inside} × {text(one['mean_all'])} ÷ {text(one['mean_own'])}",
            value.exact * Fraction(one["mean_all"]) / Fraction(one["mean_own"]),
        )
        levelled = _held(product, one["levelled"], "", notes)
    return _scaled(levelled, row["run_points"], row["of_value"]), _order(reader, row, run)


_KINDS: dict[str, Callable[[Reader, Row, str, Sum, list[str]], Made]] = {
    "direct": _direct,
    "scale": _scale,
    "table": _table,
    "rank": _rank,
    "bands": _bands,
    "best": _best,
    "level": _level,
}


def _order(reader: Reader, row: Row, run: str) -> list[Placed]:
    """The units of the unit's pool in their order."""
    found = reader.rows(
        "SELECT o.unit, o.place, b.band FROM contender_place o"
        " JOIN contender_place m ON m.unit = $unit AND m.item = o.item AND m.run = o.run AND m.pool = o.pool"
        " LEFT JOIN band_points b ON b.unit = o.unit AND b.item = o.item AND b.run = o.run"
        " WHERE o.item = $item AND o.run = $run ORDER BY o.place, o.unit",
        item=row["item"],
        run=run,
    )
    return [Placed(one["unit"], one["place"], one["band"]) for one in found]


def _stand(reader: Reader, value: Sum, order: list[Placed], place: int) -> str:
    """The unit's value and its place among how many."""
    held = text(six_or_more(value.exact))
    return reader.say(_("Value {held}: place {place} of {order} units", held=held, place=place, order=len(order)))


def _ahead(reader: Reader, order: list[Placed], place: int) -> list[str]:
    """Which units stand ahead."""
    units = [one.unit for one in order if one.place < place]
    return [reader.say(_("Ahead of it: {units}", units=reader.listed(units)))] if units else []


def _ties(reader: Reader, order: list[Placed]) -> list[str]:
    """Which units share the place."""
    units = tied(order, reader.unit)
    return [reader.say(_("Shares the place with {units}", units=reader.listed(units)))] if units else []
