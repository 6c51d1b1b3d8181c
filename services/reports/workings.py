"""How each item of a unit comes to its points: a sum for a pocket calculator, and the units it was compared with."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import msgspec

from schemas.refusals import Language

#: More numbers than these are not written out in a sum: their total stands for them.
WRITTEN_MAX = 24
Row = dict[str, Any]


class Placed(msgspec.Struct, frozen=True):
    """A unit's place where units are compared, and its band where there are bands."""

    unit: str
    place: int
    band: str | None = None


class Working(msgspec.Struct, frozen=True):
    """The sum that gives an item's points (rounded half-up once, to 6 decimals), notes on it, the units compared.

    The sum has decimals, brackets and the signs + − × ÷ ^ only; null where there is no input.
    """

    sum: str | None
    notes: list[str]
    order: list[Placed]


@dataclass(frozen=True)
class Reader:
    """Reads computed views for one unit in one language."""

    con: duckdb.DuckDBPyConnection
    unit: str
    lang: Language

    def say(self, en: str, zh: str) -> str:
        """The text of the language."""
        return zh if self.lang == "zh" else en

    def rows(self, query: str, **values: object) -> list[Row]:
        """The rows of a query: $unit is bound where it is named, and @ is the language's suffix of a column."""
        bound = values | ({"unit": self.unit} if "$unit" in query else {})
        found = self.con.execute(query.replace("@", self.lang), bound)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def text(points: Decimal) -> str:
    """Points without the zeros that say nothing, as a person keys them into a calculator."""
    written = f"{points:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def total(points: list[Decimal]) -> str:
    """A sum written out; where that would be too long, what it comes to."""
    return " + ".join(map(text, points)) if len(points) <= WRITTEN_MAX else text(sum(points, Decimal(0)))


def tied(order: list[Placed], unit: str) -> list[str]:
    """The other units at the unit's place."""
    place = next((one.place for one in order if one.unit == unit), None)
    return [one.unit for one in order if one.place == place and one.unit != unit]


def workings(reader: Reader) -> dict[str, Working]:
    """The working of every item of the unit, inside an open `rules.compute`."""
    found = {}
    for row in reader.rows(
        "SELECT p.*, v.value_max, (SELECT map_from_entries(list((r.rule, r.value))) FROM rule_in_force r"
        " WHERE r.item = p.item) AS rules FROM item_points p LEFT JOIN rulebook_range v ON v.item = p.item"
        " WHERE p.unit = $unit ORDER BY p.ordinal"
    ):
        row["rules"] = row["rules"] or {}
        method = row["method"] if row["rules"].get("order") != "ranked" else "ranked"
        found[row["item"]] = _exempt(reader, row) if row["exempted_by"] else _METHODS[method](reader, row)
    return found


def _exempt(reader: Reader, row: Row) -> Working:
    """Not applicable: full for a deduct item, else in proportion to what is not exempted."""
    full, note = (
        text(row["points_base"]),
        reader.say(
            f"Does not apply: exempted by sequence {row['exempted_by']}", f"不适用：序号{row['exempted_by']}豁免"
        ),
    )
    measures = reader.rows(
        "SELECT part = $part AS own, points, points_base FROM exempt_measure"
        " WHERE unit = $unit AND (part = $part OR NOT year_end) ORDER BY part",
        part=row["part"],
    )
    own = [one for one in measures if one["own"]]
    if row["method"] == "deduct" or not measures:
        return Working(full, [note], [])
    points, base = (sum((one[key] for one in own or measures), Decimal(0)) for key in ("points", "points_base"))
    over = (
        reader.say("the other items of its part", "本部分其他项目")
        if own
        else reader.say("all daily items", "全部日常项目")
    )
    return Working(
        f"{full} × {text(points)} ÷ {text(base)}",
        [
            note,
            reader.say(
                f"In proportion to {over}: {text(points)} of {text(base)}",
                f"按{over}得分折算：{text(points)}/{text(base)}",
            ),
        ],
        [],
    )


def _deduct(reader: Reader, row: Row) -> Working:
    """The basic points less what each line counts ("扣完该项分值为止")."""
    lost = [
        one["counted"]
        for one in reader.rows(
            "SELECT counted FROM deduction_result WHERE unit = $unit AND item = $item AND counted > 0 ORDER BY seq",
            item=row["item"],
        )
    ]
    if len(lost) > WRITTEN_MAX:
        lost = [sum(lost, Decimal(0))]
    notes = []
    if row["rules"].get("pool") == "separate":
        notes.append(
            reader.say(
                "Each office deducts from its own share; balances are its own",
                "各考核单位分别从各自分值中扣分，余额按单位计",
            )
        )
    return Working(" − ".join(map(text, [row["points_base"], *lost])), notes, [])


def _mean(reader: Reader, row: Row) -> Working:
    """The mean of the panel, of its best case, trimmed where the reading says so."""
    cases = reader.rows(
        "SELECT * FROM panel_case WHERE unit = $unit AND item = $item ORDER BY points DESC, case_name", item=row["item"]
    )
    if not cases:
        return _none(reader, row)
    notes = []
    for n, one in enumerate(cases):
        name = f"{one['case_name']}: " if one["case_name"] else ""
        if one["trimmed"]:
            notes.append(
                name
                + reader.say(
                    f"one highest ({text(one['ratings'][-1])}) and one lowest ({text(one['ratings'][0])}) are left out",
                    f"去掉一个最高分（{text(one['ratings'][-1])}）和一个最低分（{text(one['ratings'][0])}）",
                )
            )
        if len(cases) > 1:
            notes.append(
                name
                + f"{_panel(one)} = {text(one['points'])}"
                + (reader.say(" (the best counts)", "（取最高）") if n == 0 else "")
            )
    return Working(_panel(cases[0]), notes, [])


def _panel(case: Row) -> str:
    """The mean of a case's ratings on the item's scale."""
    kept = case["ratings"][1:-1] if case["trimmed"] else case["ratings"]
    return _average(kept) + _scale(case["points_base"], case["value_max"])


def _average(ratings: list[Decimal]) -> str:
    """A mean as a quotient; one rating is its own mean."""
    if len(ratings) == 1:
        return text(ratings[0])
    return (
        f"({total(ratings)}) ÷ {len(ratings)}" if len(ratings) <= WRITTEN_MAX else f"{total(ratings)} ÷ {len(ratings)}"
    )


def _scale(points: Decimal, value_max: Decimal) -> str:
    """From the scale of the ratings to the item's points; nothing where they are the same."""
    return "" if points == value_max else f" × {text(points)} ÷ {text(value_max)}"


def _weighted(reader: Reader, row: Row) -> Working:
    """The weighted mean of the groups' means; with one group only, its mean."""
    groups = reader.rows(
        "SELECT g.name_@ AS name, m.weight, list(r.value ORDER BY r.seq) AS ratings FROM group_mean m"
        " JOIN rulebook_group g ON g.item = m.item AND g.ordinal = m.ordinal"
        " JOIN rating_in_force r ON r.unit = m.unit AND r.item = m.item AND r.rater_group = g.rater_group"
        " WHERE m.unit = $unit AND m.item = $item GROUP BY g.name_@, m.weight, g.ordinal ORDER BY g.ordinal",
        item=row["item"],
    )
    if not groups:
        return _none(reader, row)
    scale = _scale(row["points_base"], row["value_max"])
    if len(groups) == 1:
        note = reader.say(
            f"One group only ({groups[0]['name']}): its mean stands", f"只有一组评分（{groups[0]['name']}），以其平均计"
        )
        return Working(_average(groups[0]["ratings"]) + scale, [note], [])
    parts = " + ".join(f"{one['weight']} × {_average(one['ratings'])}" for one in groups)
    notes = [
        "; ".join(reader.say(f"{one['name']} {one['weight']}%", f"{one['name']}占{one['weight']}%") for one in groups)
    ]
    return Working(f"({parts}) ÷ {sum(one['weight'] for one in groups)}{scale}", notes, [])


def _scaled(reader: Reader, row: Row) -> Working:
    """A value on the item's scale."""
    value = _value(reader, row)
    return (
        _none(reader, row)
        if value is None
        else Working(text(value) + _scale(row["points_base"], row["value_max"]), [], [])
    )


def _checklist(reader: Reader, row: Row) -> Working:
    """Each component's rate times its points; a missing one counts 0."""
    components = reader.rows(
        "SELECT c.name_@ AS name, c.points, r.value FROM rulebook_component c LEFT JOIN rating_in_force r"
        " ON r.unit = $unit AND r.item = c.item AND r.component = c.component WHERE c.item = $item",
        item=row["item"],
    )
    rated = [one for one in components if one["value"] is not None]
    if not rated:
        return _none(reader, row)
    notes = ["; ".join(f"{one['name']} {text(one['value'])} × {text(one['points'])}" for one in rated)]
    notes += [
        reader.say(f"{one['name']}: not rated yet, counts 0", f"{one['name']}：尚无评分，计0")
        for one in components
        if one not in rated
    ]
    return Working(" + ".join(f"{text(one['value'])} × {text(one['points'])}" for one in rated), notes, [])


def _bands(reader: Reader, row: Row) -> Working:
    """The points of the band of the unit's place among all units, or those of its category."""
    order = _order(
        reader,
        "SELECT o.unit, o.place, o.band FROM band_points o JOIN band_points m ON m.unit = $unit"
        " AND m.item = o.item AND m.pool = o.pool WHERE o.item = $item ORDER BY o.place, o.unit",
        row,
    )
    mine = next((one for one in order if one.unit == reader.unit), None)
    if mine is None:
        return _none(reader, row)
    cuts = reader.rows(
        "SELECT c.band, b.name_@ AS name, c.place_last,"
        " coalesce(lag(c.place_last) OVER (ORDER BY c.ordinal), 0) + 1 AS place_first"
        " FROM band_cut c JOIN band_points m ON m.unit = $unit AND m.item = c.item AND m.pool = c.pool"
        " JOIN rulebook_band b ON b.item = c.item AND b.band = c.band WHERE c.item = $item ORDER BY c.ordinal",
        item=row["item"],
    )
    names = {one["band"]: one["name"] for one in cuts}
    bands = reader.say(", ", "，").join(
        reader.say(
            f"{one['name']} places {one['place_first']} to {one['place_last']}",
            f"{one['name']}第{one['place_first']}至{one['place_last']}名",
        )
        for one in cuts
        if one["place_first"] <= one["place_last"]
    )
    note = reader.say(f"band {names[mine.band or '']} ({bands})", f"{names[mine.band or '']}档（{bands}）")
    return Working(
        text(row["points"]),
        [f"{_stand(reader, row, order)}{reader.say('; ', '；')}{note}", *_ties(reader, order)],
        order,
    )


def _rank_step(reader: Reader, row: Row) -> Working:
    """The points of the unit's place in its group; linear or geometric, a tie at the better place or the mean."""
    order = _order(
        reader,
        "SELECT o.unit, o.place, NULL AS band FROM step_points o JOIN roster r ON r.unit = o.unit"
        " JOIN roster m ON m.unit = $unit AND m.category = r.category AND m.unit_group = r.unit_group"
        " WHERE o.item = $item AND EXISTS (FROM step_points s WHERE s.unit = $unit AND s.item = o.item)"
        " ORDER BY o.place, o.unit",
        row,
    )
    mine = next((one for one in order if one.unit == reader.unit), None)
    if mine is None:
        return _none(reader, row)
    others = tied(order, reader.unit)
    steps = {
        (one["step"], one["place"]): one["points"]
        for one in reader.rows("SELECT step, place, points FROM rulebook_step WHERE item = $item", item=row["item"])
    }
    kind = row["rules"]["step"]
    notes = [_stand(reader, row, order), *_ahead(reader, order, mine.place), *_ties(reader, order)]
    if others and row["rules"]["ties"] == "average":
        points = [steps[kind, mine.place + n] for n in range(len(others) + 1)]
        notes.append(reader.say("A tie takes the mean of the points of its places", "并列取所占名次分值的平均"))
        return Working(_average(points), notes, order)
    full, below = row["points_base"], mine.place - 1
    step = full - steps.get(("linear", 2), full)
    if below == 0 or row["points"] == 0:
        return Working(text(row["points"]), notes, order)
    if kind == "geometric":
        return Working(f"{text(full)} × ({text(full - step)} ÷ {text(full)})^{below}", notes, order)
    return Working(f"{text(full)} − {text(step)} × {below}", notes, order)


def _ranked(reader: Reader, row: Row) -> Working:
    """Full points for the first, a step less each further place, never below 0."""
    order = _order(
        reader, "SELECT unit, place, NULL AS band FROM ranked_points WHERE item = $item ORDER BY place, unit", row
    )
    mine = next((one for one in order if one.unit == reader.unit), None)
    if mine is None:
        return _none(reader, row)
    points, notes = text(row["points"]), [_stand(reader, row, order), *_ties(reader, order)]
    if mine.place > 1 and row["points"] > 0:
        points = f"{text(row['points_base'])} − {text(Decimal(row['rules']['step']))} × {mine.place - 1}"
    return Working(points, notes, order)


_METHODS: dict[str, Callable[[Reader, Row], Working]] = {
    "deduct": _deduct,
    "mean": _mean,
    "weighted_mean": _weighted,
    "scaled": _scaled,
    "checklist": _checklist,
    "bands": _bands,
    "rank_step": _rank_step,
    "ranked": _ranked,
}


def _none(reader: Reader, row: Row) -> Working:
    """Nothing was rated: no points yet, or 0 where the regulation makes it so."""
    if row["points"] is None:
        return Working(None, [reader.say("No input yet; it counts 0 so far", "尚无评分，暂按0计")], [])
    return Working(
        text(row["points"]), [reader.say("Nothing was submitted by the closing: 0", "截至关闭未报送，计0")], []
    )


def _value(reader: Reader, row: Row) -> Decimal | None:
    """The value in force of an item that has one."""
    found = reader.rows("SELECT value FROM rating_in_force WHERE unit = $unit AND item = $item", item=row["item"])
    return found[0]["value"] if found else None


def _order(reader: Reader, query: str, row: Row) -> list[Placed]:
    return [Placed(one["unit"], one["place"], one["band"]) for one in reader.rows(query, item=row["item"])]


def _stand(reader: Reader, row: Row, order: list[Placed]) -> str:
    """The unit's value and its place among how many."""
    place, value = next(one.place for one in order if one.unit == reader.unit), _value(reader, row)
    assert value is not None
    return reader.say(
        f"Value {text(value)}: place {place} of {len(order)} units",
        f"评定值{text(value)}，在{len(order)}个单位中列第{place}名",
    )


def _ahead(reader: Reader, order: list[Placed], place: int) -> list[str]:
    """Which units stand ahead."""
    units = [one.unit for one in order if one.place < place]
    return [reader.say(f"Ahead of it: {', '.join(units)}", f"名次在前：{'、'.join(units)}")] if units else []


def _ties(reader: Reader, order: list[Placed]) -> list[str]:
    """Which units share the place."""
    units = tied(order, reader.unit)
    return [reader.say(f"Shares the place with {', '.join(units)}", f"与{'、'.join(units)}并列")] if units else []
