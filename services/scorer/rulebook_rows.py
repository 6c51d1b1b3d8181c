"""The rulebook (考核细则) and the roster (单位名单) as rows of the tables that the rules, which are SQL views, read."""

import json
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from schemas import rulebook
from schemas.roster import Unit
from schemas.rulebook import PARAMETERS, Item, Kind, Method, Parameter, Part, Rulebook, bound, number

Row = tuple[Any, ...]
#: The rulebook as tables, the roster, options over the adopted readings, and lines that intake refused.
TABLES = {
    "rulebook_final": "points DECIMAL(18,6), times DECIMAL(18,6), decimals INTEGER, divisor HUGEINT, grain BIGINT",
    "rulebook_order": "ordinal INTEGER, key VARCHAR, kind VARCHAR, low_first BOOLEAN",
    "rulebook_category": "category VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, is_ranked BOOLEAN",
    "rulebook_group": "unit_group VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, category VARCHAR",
    "rulebook_attribute": "attribute VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR,"
    " value_min DECIMAL(18,6), value_max DECIMAL(18,6), value_default DECIMAL(18,6)",
    "office": "office VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR",
    "rulebook_period": "period VARCHAR, ordinal INTEGER, value VARCHAR",
    "rulebook_part": "part VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, parent VARCHAR, level INTEGER,"
    " points DECIMAL(18,6), weight DECIMAL(18,6), combine VARCHAR, at_least DECIMAL(18,6), at_most DECIMAL(18,6),"
    " grain BIGINT, clause VARCHAR, words VARCHAR",
    "rulebook_item": "item VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, parent VARCHAR, level INTEGER,"
    " points DECIMAL(18,6), weight DECIMAL(18,6), at_least DECIMAL(18,6), at_most DECIMAL(18,6), at_most_full BOOLEAN,"
    " grain BIGINT, input VARCHAR, exempt VARCHAR, characters BIGINT, due DATE, start DECIMAL(18,6), matter VARCHAR,"
    " purse VARCHAR, panel VARCHAR, weights VARCHAR, runs VARCHAR, run_count INTEGER, combine VARCHAR,"
    " missing_zero BOOLEAN, has_formula BOOLEAN, factor VARCHAR, needed VARCHAR[], scoring VARCHAR, clause VARCHAR,"
    " words VARCHAR",
    "rulebook_above": "code VARCHAR, part VARCHAR, distance INTEGER",
    "rulebook_applies": "code VARCHAR, categories VARCHAR[], unit_groups VARCHAR[]",
    "rulebook_office": "item VARCHAR, office VARCHAR, share DECIMAL(18,6)",
    "rulebook_ground": "item VARCHAR, ground VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR,"
    " points DECIMAL(18,6), points_min DECIMAL(18,6), points_above DECIMAL(18,6), points_max DECIMAL(18,6),"
    " step DECIMAL(18,6), adds BOOLEAN, branch VARCHAR, requires VARCHAR, approval BOOLEAN, words VARCHAR",
    "rulebook_node": "item VARCHAR, node VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR,"
    " cap DECIMAL(18,6), cap_group VARCHAR, words VARCHAR",
    "rulebook_range": "item VARCHAR, value_min DECIMAL(18,6), value_max DECIMAL(18,6)",
    "rulebook_measure": "item VARCHAR, measure VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR,"
    " value_min DECIMAL(18,6), value_max DECIMAL(18,6), is_binary BOOLEAN, words VARCHAR",
    "rulebook_raters": "item VARCHAR, rater_group VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR",
    "rulebook_term": "item VARCHAR, ordinal INTEGER, plus VARCHAR, less VARCHAR, less_number DECIMAL(18,6),"
    " times VARCHAR, times_number DECIMAL(18,6), ratio_to VARCHAR, bound DECIMAL(18,6), words VARCHAR",
    "rulebook_method": "item VARCHAR, method VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, kind VARCHAR,"
    " item_points DECIMAL(18,6), run_points DECIMAL(18,6), of_value DECIMAL(18,6), between_rows VARCHAR,"
    " step DECIMAL(18,8), step_is_share BOOLEAN, fall VARCHAR, ties VARCHAR, rounding VARCHAR, pool VARCHAR,"
    " low_first BOOLEAN, per_rater BOOLEAN, places BIGINT, words VARCHAR",
    "rulebook_row": "item VARCHAR, method VARCHAR, x DECIMAL(18,6), points DECIMAL(18,6), next_x DECIMAL(18,6),"
    " next_points DECIMAL(18,6)",
    "rulebook_band": "item VARCHAR, method VARCHAR, ordinal INTEGER, band VARCHAR, share DECIMAL(18,8),"
    " points DECIMAL(18,6)",
    "rulebook_place": "item VARCHAR, method VARCHAR, place BIGINT, points DECIMAL(18,6), points_upto DECIMAL(38,6)",
    "rulebook_scheme": "scheme VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, pools VARCHAR,"
    " quota_of VARCHAR, rounding VARCHAR, quotas VARCHAR, tie VARCHAR, clause VARCHAR, words VARCHAR",
    "rulebook_grade": "scheme VARCHAR, grade VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR,"
    " share DECIMAL(18,8), number BIGINT, at_least DECIMAL(18,9), has_individuals BOOLEAN, words VARCHAR",
    "rulebook_requirement": "grade VARCHAR, ordinal INTEGER, kind VARCHAR, code VARCHAR, item VARCHAR,"
    " at_least DECIMAL(18,6), at_most DECIMAL(18,6)",
    "rulebook_veto": "veto VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, zero VARCHAR, clause VARCHAR",
    "rulebook_bar": "veto VARCHAR, grade VARCHAR",
    "rulebook_stage": "stage VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR",
    "rulebook_reading": "name VARCHAR, ordinal INTEGER, is_reading BOOLEAN, value VARCHAR, clause VARCHAR,"
    " is_assumption BOOLEAN, question_zh VARCHAR, question_en VARCHAR",
    "reading_option": "name VARCHAR, value VARCHAR",
    "refused": "line BIGINT, source VARCHAR, id VARCHAR, reason VARCHAR, path VARCHAR, message VARCHAR",
    "roster": "unit VARCHAR, name VARCHAR, category VARCHAR, unit_group VARCHAR, attributes VARCHAR",
    "roster_attribute": "unit VARCHAR, attribute VARCHAR, value DECIMAL(18,6)",
}


def rows(book: Rulebook, roster: Iterable[Unit]) -> dict[str, list[Row]]:
    """The rows of every table that a rulebook and a roster fill."""
    units = list(roster)
    return {
        **_whole(book),
        **_tree(book),
        **_entries(book),
        **_ratings(book, len(units)),
        **_schemes(book),
        "roster": [
            (
                unit.unit,
                unit.name,
                unit.category,
                unit.group,
                json.dumps(unit.attributes, ensure_ascii=False, sort_keys=True) if unit.attributes else "{}",
            )
            for unit in units
        ],
        "roster_attribute": [
            (unit.unit, code, _kept(value)) for unit in units for code, value in unit.attributes.items()
        ],
    }


def _names(one: Any) -> tuple[str, str]:
    """The names of a table in both languages; of one that has none, its code."""
    name = one.code if one.name is None else one.name
    return rulebook.zh(name), rulebook.en(name)


def _text(text: str | None) -> str | None:
    """A number or share as the text of a plain decimal."""
    found = number(text)
    return None if found is None else f"{found:f}"


def _kept(text: str) -> str:
    """What the roster gives of an attribute, kept at the largest value."""
    return _decimal(max(-_MOST, min(_MOST, _millionths(Fraction(text)))))


def _bound(text: str | None, default: str | None) -> str | None:
    """A bound as the text of a plain decimal; null where there is none."""
    found = bound(text, number(default))
    return None if found is None else f"{found:f}"


def _listed(tables: Iterable[Any]) -> list[Row]:
    """Code, ordinal and names of tables that are no more than that."""
    return [(one.code, n, *_names(one)) for n, one in enumerate(tables, 1)]


def _whole(book: Rulebook) -> dict[str, list[Row]]:
    """The final, who and what there is to name, readings and parameters (language 1, 2, 8)."""
    final, places = book.final, int(book.final.decimals)
    kinds = dict.fromkeys((part.code for part in book.part), "part")
    kinds |= dict.fromkeys((item.code for item in book.item), "item") | {"final": "final"}
    order = [key.removeprefix("-") for key in final.order]
    return {
        "rulebook_final": [(final.points, final.times, places, str(10 ** (18 - places)), 10 ** (8 - places))],
        "rulebook_order": [
            (n, key, kinds.get(key, "attribute"), written.startswith("-"))
            for n, (key, written) in enumerate(zip(order, final.order, strict=True), 1)
        ],
        "rulebook_category": [(c.code, n, *_names(c), c.ranked) for n, c in enumerate(book.category, 1)],
        "rulebook_group": [(g.code, n, *_names(g), g.category) for n, g in enumerate(book.group, 1)],
        "rulebook_attribute": [
            (a.code, n, *_names(a), a.min, a.max, a.default) for n, a in enumerate(book.attribute, 1)
        ],
        "office": _listed(book.office),
        "rulebook_period": [(p.code, n, value) for p in book.period for n, value in enumerate(p.values, 1)],
        "rulebook_stage": _listed(book.stage),
        "rulebook_reading": [*_readings(book), *_parameters(book)],
    }


def _readings(book: Rulebook) -> Iterator[Row]:
    """The readings with their defaults."""
    for n, one in enumerate(book.reading, 1):
        question = rulebook.zh(one.question), rulebook.en(one.question)
        yield (one.name, n, True, one.values[0], one.clause, one.source == "assumption", *question)


def _parameters(book: Rulebook) -> Iterator[Row]:
    """All parameters, since each may be adopted; what nothing says of is null, but one individual a unit."""
    given: dict[str, Parameter] = {one.name: one for one in book.parameter}
    for n, (name, question) in enumerate(PARAMETERS.items(), 1):
        asked = question.say("zh"), question.say("en")
        one = given.get(name)
        if one is None:
            yield (name, n, False, "1" if name == "individuals_per_unit" else None, None, False, *asked)
        else:
            yield (name, n, False, one.value, one.clause, one.source == "assumption", *asked)


def _tree(book: Rulebook) -> dict[str, list[Row]]:
    """Parts and items as nodes of the tree, what is above each, and for whom each is (language 1, 2)."""
    parts = {part.code: part for part in book.part}

    def above(node: Part | Item) -> list[Part]:
        found: list[Part] = []
        inside = node.inside
        while inside is not None:
            found.append(parts[inside])
            inside = parts[inside].inside
        return found

    nodes: list[Part | Item] = [*book.part, *book.item]
    return {
        "rulebook_part": [
            (
                *(p.code, n, *_names(p), p.inside, len(above(p)) + 1, p.points, p.weight, p.combine),
                *(_bound(p.at_least, None), _bound(p.at_most, None), 10 ** (6 - int(p.decimals)), p.clause, p.words),
            )
            for n, p in enumerate(book.part, 1)
        ],
        "rulebook_item": [
            (
                *(i.code, n, *_names(i), i.inside, len(above(i)) + 1, i.points, i.weight, *_bounds(i)),
                *(10 ** (6 - int(i.decimals)), i.input, i.exempt_rule, i.characters and int(i.characters), i.due),
                *(("0" if i.start == "0" else i.points) if i.entries else None, *_rated(book, i), i.clause, i.words),
            )
            for n, i in enumerate(book.item, 1)
        ],
        "rulebook_above": [
            (node.code, part.code, distance) for node in nodes for distance, part in enumerate(above(node), 1)
        ],
        "rulebook_applies": [
            (node.code, list(one.applies.categories) or None, list(one.applies.groups) or None)
            for node in nodes
            for one in (node, *above(node))
            if one.applies
        ],
    }


def _bounds(item: Item) -> tuple[str | None, str | None, bool]:
    """The bounds of an item, and whether the upper one is the full points in force (language 3, 4)."""
    if not item.entries:
        return _bound(item.at_least, "0"), _bound(item.at_most, None), item.at_most is None
    signs = {ground.adds for ground in item.ground}
    low = f"-{item.points}" if item.start == "0" and False in signs else "0"
    high = item.points if item.start != "0" or True in signs else "0"
    return _bound(item.at_least, low), _bound(item.at_most, high), False


def _rated(book: Rulebook, item: Item) -> Row:
    """Matter to scoring of an item: what of them may be `@x` is resolved by the views."""
    names = {measure.code for measure in item.measure} or {"value"}
    named = [name for term in item.formula for name in (term.plus, term.less, term.ratio_to) if name in names]
    needed = sorted(set(named) if item.formula else names) if not item.entries else None
    count = len(book.periods[item.runs]) if item.runs not in (None, "case") else None
    matter, purse = (item.matter or "each", item.purse or "shared") if item.entries else (None, None)
    panel, over = (None, None) if item.entries else (item.panel or "plain", item.over or "mean")
    scoring = None if item.entries else item.scoring or _methods(item)[0].code
    return (
        matter, purse, panel, item.weights, item.runs, count, over, item.missing == "0", bool(item.formula),
        item.factor, needed, scoring,
    )  # fmt: skip


def _methods(item: Item) -> tuple[Method, ...]:
    """The methods of an item; without any it is `scale`, or with a formula `direct`."""
    kind: Kind = "direct" if item.formula else "scale"
    return item.method or (Method(code=kind, kind=kind),)


def _entries(book: Rulebook) -> dict[str, list[Row]]:
    """Offices with their shares, grounds and nodes of items of entries (language 3)."""
    return {
        "rulebook_office": [(i.code, office, i.share.get(office)) for i in book.item for office in i.offices],
        "rulebook_ground": [
            (
                *(i.code, g.code, n, *_names(g), g.points, g.min, g.above, g.max, g.step, g.adds),
                *(g.branch or g.code, g.requires, g.approval, g.words),
            )
            for i in book.item
            for n, g in enumerate(i.ground, 1)
        ],
        "rulebook_node": [
            (i.code, one.code, n, *_names(one), caps[one.cap_group or one.code], one.cap_group or one.code, one.words)
            for i in book.item
            for caps in [_caps(i)]
            for n, one in enumerate(i.node, 1)
        ],
    }


def _caps(item: Item) -> dict[str, str | None]:
    """The cap of each group of nodes, whichever of its nodes says it."""
    found: dict[str, str | None] = {}
    for node in item.node:
        name = node.cap_group or node.code
        found[name] = node.cap or found.get(name)
    return found


def _ratings(book: Rulebook, units: int) -> dict[str, list[Row]]:
    """Ranges, measures, raters, formulas and methods of items of ratings (language 4)."""
    rated = [item for item in book.item if not item.entries]
    methods = [(i, n, m) for i in rated for n, m in enumerate(_methods(i), 1)]
    places = [(i, m, list(_places(m, run_points(book, i, m), units))) for i, _, m in methods if m.kind == "rank"]
    last = {(item.code, method.code): len(table) - 1 for item, method, table in places}
    return {
        "rulebook_range": [(i.code, i.range.min, i.range.max) for i in rated if i.range],
        "rulebook_measure": [
            (i.code, m.code, n, *_names(m), m.min, m.max, m.binary, m.words)
            for i in rated
            for n, m in enumerate(i.measure, 1)
        ],
        "rulebook_raters": [(i.code, *row) for i in rated for row in _listed(i.raters)],
        "rulebook_term": [
            (i.code, n, t.plus, *_operand(t.less), *_operand(t.times), t.ratio_to, t.within, t.words)
            for i in rated
            for n, t in enumerate(i.formula, 1)
        ],
        "rulebook_method": [
            (
                *(i.code, m.code, n, *_names(m), m.kind, *(_six(points) for points in _full(book, i, m))),
                *(m.of or (i.range.max if i.range else None), m.between, _text(m.step), (m.step or "").endswith("%")),
                *(m.fall, m.ties, m.rounding, m.pool, m.better == "lower", m.per == "rater"),
                *(last.get((i.code, m.code)), m.words),
            )
            for i, n, m in methods
        ],
        "rulebook_row": [(i.code, m.code, *row) for i, _, m in methods if m.kind == "table" for row in _rows(m)],
        "rulebook_band": [
            (i.code, m.code, n, row[2], _text(row[0]), row[1])
            for i, _, m in methods
            if m.kind == "bands"
            for n, row in enumerate(m.rows, 1)
        ],
        "rulebook_place": [(i.code, m.code, *row) for i, m, table in places for row in table],
    }


def _operand(text: str | None) -> tuple[str | None, str | None]:
    """A measure or attribute, or a number: the one or the other."""
    return (None, text) if text is not None and re.fullmatch(r"-?[0-9.]+", text) else (text, None)


def _full(book: Rulebook, item: Item, method: Method) -> tuple[Fraction, Fraction]:
    """The full points of an item and of one of its runs by a method (language 4, "To points")."""
    by_period = item.over == "sum" and item.runs not in (None, "case")
    count = len(book.periods[item.runs]) if by_period and item.runs else 1
    if method.points is not None:
        return Fraction(method.points) * count, Fraction(method.points)
    return Fraction(item.points), Fraction(item.points) / count


def run_points(book: Rulebook, item: Item, method: Method) -> Fraction:
    """The full points of one run by a method, in whole millionths of a point."""
    return Fraction(_millionths(_full(book, item, method)[1]), 10**6)


def _rows(method: Method) -> Iterator[Row]:
    """The rows of a table with what lies below the first and between two (language 4, `table`)."""
    straight = method.between == "straight"
    yield ("-1000000000", method.rows[0][1] if straight else None, None, None)
    for (x, points), (next_x, next_points) in zip(method.rows, [*method.rows[1:], (None, None)], strict=True):
        yield (x, points, next_x, next_points) if straight else (x, points, None, None)


def _places(method: Method, full: Fraction, units: int) -> Iterator[Row]:
    """Points by place, exact, each rounded once to 6 decimals, with their sum up to it; the end is where they are 0.

    The table is long enough for twice the roster and a thousand more, since units may join.
    """
    step = Fraction(number(method.step) or 0)
    share = (method.step or "").endswith("%")
    numerator, denominator = full.numerator * 10**6, full.denominator
    total = 0
    yield (0, "0", "0")
    for place in range(1, 2 * units + 1001):
        if method.fall == "geometric":
            points = _rounded(numerator, denominator)
            numerator *= step.denominator - step.numerator
            denominator *= step.denominator
        else:
            points = max(0, _millionths(full - (full * step if share else step) * (place - 1)))
        if points == 0:
            return
        total += points
        yield (place, _decimal(points), _decimal(total))


def _schemes(book: Rulebook) -> dict[str, list[Row]]:
    """Schemes, their grades and conditions, and vetoes (language 7)."""
    parts, items = {part.code for part in book.part}, {item.code for item in book.item}
    grades = {scheme.code: [grade.code for grade in scheme.grade] for scheme in book.scheme}

    def barred(veto: rulebook.Veto) -> set[str]:
        found = {grade for scheme in veto.bars for grade in grades[scheme]}
        for codes in grades.values():
            if veto.grade_at_most in codes:
                found |= set(codes[: codes.index(veto.grade_at_most)])
        return found

    return {
        "rulebook_scheme": [
            (s.code, n, *_names(s), s.pools, s.quota_of, s.rounding, s.quotas, s.tie, s.clause, s.words)
            for n, s in enumerate(book.scheme, 1)
        ],
        "rulebook_grade": [
            (
                *(s.code, g.code, n, *_names(g), _text(g.share), g.number and int(g.number)),
                *(_least(book, g.at_least), g.individuals, g.words),
            )
            for s in book.scheme
            for n, g in enumerate(s.grade, 1)
        ],
        "rulebook_requirement": [
            (g.code, n, kind, r.of, r.item, r.at_least, r.at_most)
            for s in book.scheme
            for g in s.grade
            for n, r in enumerate(g.require, 1)
            for kind in ["measure" if r.item else "part" if r.of in parts else "item" if r.of in items else "attribute"]
        ],
        "rulebook_veto": [(v.code, n, *_names(v), v.zero, v.clause) for n, v in enumerate(book.veto, 1)],
        "rulebook_bar": [(v.code, grade) for v in book.veto for grade in sorted(barred(v))],
    }


def _least(book: Rulebook, text: str | None) -> str | None:
    """The final that a grade asks for: in points, or of the full points, a product rounded to 9 decimals."""
    if text is None or not text.endswith("%"):
        return text
    exact = Fraction(number(text) or 0) * Fraction(book.final.points) * 10**9
    return _decimal(_rounded(exact.numerator, exact.denominator), 9)


#: The largest points, in millionths.
_MOST = 10**15 - 1


def _millionths(points: Fraction) -> int:
    return _rounded(points.numerator * 10**6, points.denominator)


def _six(points: Fraction) -> str:
    """Points at 6 decimals, half-up, kept at the largest."""
    return _decimal(min(_MOST, _millionths(points)))


def _rounded(numerator: int, denominator: int) -> int:
    """A quotient rounded half-up, away from zero."""
    found = (2 * abs(numerator) + denominator) // (2 * denominator)
    return found if numerator >= 0 else -found


def _decimal(units: int, decimals: int = 6) -> str:
    """Whole units of the last decimal as the text of a decimal."""
    sign, digits = "-" if units < 0 else "", f"{abs(units):0{decimals + 1}d}"
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"
