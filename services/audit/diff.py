"""The command `diff`: what moved between two points, and for each unit that moved the events that moved it.

A unit moves when its final, place, pass or award does. What moved it are its own events whose disposition or counted
points differ; where an item compares units, those of the others in its pool; where its place or award moved, the units
that went past it or came level with it, or no longer are; and readings adopted and ties resolved in between. Closings
and stages change no number.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import duckdb
import msgspec
import pyarrow as pa
from rich import box
from rich.table import Table

from schemas.refusals import Language
from services import rules, tables
from services.audit import point
from services.console.words import word
from services.outcome import Exit, Stop
from services.ranker.results import readings as readings_in_force
from services.scorer import store
from services.settings import language

YEAR, ADOPTED, TIE = "assessment", "reading.adopted.v1", "tie.resolved.v1"


class Standing(msgspec.Struct, frozen=True):
    """A unit's final (8 decimals), place within its category, pass and award at one point."""

    final: str
    place: int
    passed: bool | None
    award: str | None


class Change(msgspec.Struct, frozen=True):
    """An event that is there at one point only, or whose disposition, counted points or value differ."""

    seq: int
    source: str
    id: str
    type: str
    unit: str
    item: str | None
    disposition_before: str | None
    disposition_after: str | None
    counted_before: str | None
    counted_after: str | None
    value_before: str | None
    value_after: str | None


class ItemMove(msgspec.Struct, frozen=True):
    """An item of a unit whose points moved; `others` are the other units' events that moved it (bands, rank steps)."""

    item: str
    points_before: str | None
    points_after: str | None
    others: list[int] = []


class UnitMove(msgspec.Struct, frozen=True):
    """A unit that moved; null before or after where the roster lacks it. `events` are its own, by sequence.

    `level` are the units whose final equals its own at one of the two points only.
    """

    unit: str
    category: str
    before: Standing | None
    after: Standing | None
    events: list[int]
    items: list[ItemMove]
    overtaken_by: list[str]
    overtook: list[str]
    year_events: list[int]
    level: list[str] = []


class Difference(msgspec.Struct, frozen=True):
    """All that moved between two points; `readings` are those in force that differ, before and after."""

    as_of_before: int
    as_of_after: int
    readings: dict[str, tuple[str, str]]
    moved: list[UnitMove]
    events: list[Change]
    synthetic: bool = False


@dataclass(frozen=True)
class Side:
    """One point of a comparison; `items` and `trail` are empty where only units were asked for."""

    as_of: int
    categories: dict[str, str]
    units: dict[str, Standing]
    readings: dict[str, str]
    items: dict[tuple[str, str], str | None]
    pools: dict[tuple[str, str], str]
    trail: pa.Table | None


def side(
    con: duckdb.DuckDBPyConnection, as_of: int, readings: Mapping[str, str] | None = None, *, whole: bool = True
) -> Side:
    """Compute a point: a ledger at a sequence under the readings in force, or others put over them."""
    try:
        if readings:
            pairs = [list(readings), list(readings.values())]
            con.execute("SET VARIABLE readings = map(?::VARCHAR[], ?::VARCHAR[])", pairs)
        with rules.compute(con, as_of=as_of, upto="event_result" if whole else "unit_result"):
            rows = con.execute(_UNITS).fetchall()
            return Side(
                as_of,
                {row[0]: row[1] for row in rows},
                {row[0]: Standing(*row[2:]) for row in rows},
                readings_in_force(con),
                {(u, i): points for u, i, points in con.execute(_ITEMS).fetchall()} if whole else {},
                {(u, i): pool for u, i, pool in con.execute(_POOLS).fetchall()} if whole else {},
                con.sql(_TRAIL).to_arrow_table() if whole else None,
            )
    finally:
        con.execute("RESET VARIABLE readings")


_UNITS = "SELECT unit, category, final::VARCHAR, place, passed, award FROM unit_result"
_ITEMS = "SELECT unit, item, points::VARCHAR FROM item_points"
#: Where an item compares units: the pool in which each unit is compared.
_POOLS = """
SELECT unit, item, pool FROM band_points UNION ALL SELECT unit, item, '' FROM ranked_points
UNION ALL
SELECT s.unit, s.item, concat(u.category, '/', u.unit_group) FROM step_points s JOIN roster u ON u.unit = s.unit
"""
_TRAIL = """
SELECT t.*, coalesce(e.points, e.value)::VARCHAR AS value
FROM (SELECT seq, source, id, type, unit, item, disposition, NULL AS counted FROM event_result
      UNION ALL SELECT seq, source, id, 'deduction.recorded.v1', unit, item, disposition,
                       counted::DECIMAL(18,6)::VARCHAR FROM deduction_result) t
JOIN ledger_event e ON e.seq = t.seq WHERE t.disposition <> 'duplicate'
"""
#: Events are the same where source and id are: what was never in force at either point moved nothing.
_CHANGES = """
SELECT coalesce(b.seq, a.seq) AS seq, source, id,
       coalesce(b.type, a.type), coalesce(b.unit, a.unit), coalesce(b.item, a.item),
       a.disposition, b.disposition, a.counted, b.counted, a.value, b.value
FROM before a FULL JOIN after b USING (source, id)
WHERE (a.disposition, a.counted, a.value) IS DISTINCT FROM (b.disposition, b.counted, b.value)
  AND NOT ((a.seq IS NULL OR b.seq IS NULL)
           AND coalesce(a.disposition, b.disposition) NOT IN ('counted', 'counted_in_part', 'revised'))
ORDER BY 1
"""


def difference(before: Side, after: Side, *, synthetic: bool = False) -> Difference:
    """Everything that moved from one point to the other, with what moved it."""
    changes = _changes(before, after)
    moved = [
        _unit_move(unit, before, after, changes)
        for unit in sorted(before.units.keys() | after.units.keys())
        if before.units.get(unit) != after.units.get(unit)
    ]
    names = before.readings.keys() | after.readings.keys()
    differ = {
        name: (before.readings.get(name, ""), after.readings.get(name, ""))
        for name in sorted(names)
        if before.readings.get(name) != after.readings.get(name)
    }
    return Difference(before.as_of, after.as_of, differ, moved, changes, synthetic)


def _changes(before: Side, after: Side) -> list[Change]:
    if before.trail is None or after.trail is None:
        return []
    with store.connect() as scratch:
        scratch.register("before", before.trail)
        scratch.register("after", after.trail)
        return [Change(*row) for row in scratch.execute(_CHANGES).fetchall()]


def _unit_move(unit: str, before: Side, after: Side, changes: list[Change]) -> UnitMove:
    was, now = before.units.get(unit), after.units.get(unit)
    items = [
        ItemMove(
            item,
            before.items.get((unit, item)),
            after.items.get((unit, item)),
            _others(unit, item, before, after, changes),
        )
        for item in sorted({item for who, item in before.items.keys() | after.items.keys() if who == unit})
        if _points(before.items.get((unit, item))) != _points(after.items.get((unit, item)))
    ]
    award = (was and was.award) != (now and now.award)
    return UnitMove(
        unit,
        (after.categories.get(unit) or before.categories[unit]),
        was,
        now,
        [one.seq for one in changes if one.unit == unit],
        items,
        _passing(unit, before, after, award=award),
        _passing(unit, after, before, award=award),
        [one.seq for one in changes if one.type == ADOPTED or (award and one.type == TIE)],
        sorted(_equals(unit, before, award=award) ^ _equals(unit, after, award=award)),
    )


def _points(points: str | None) -> Decimal:
    return Decimal(points or 0)


def _others(unit: str, item: str, before: Side, after: Side, changes: list[Change]) -> list[int]:
    """Changed events on an item of the other units that a unit is compared with."""
    pools = {pools.get((unit, item)) for pools in (before.pools, after.pools)} - {None}
    return [
        one.seq
        for one in changes
        if one.item == item
        and one.unit not in (unit, YEAR)
        and pools & {before.pools.get((one.unit, item)), after.pools.get((one.unit, item))}
    ]


def _passing(unit: str, before: Side, after: Side, *, award: bool) -> list[str]:
    """Units that were not ahead of a unit and then are."""
    if unit not in before.units or unit not in after.units:
        return []
    was, now = Decimal(before.units[unit].final), Decimal(after.units[unit].final)
    return sorted(
        other
        for other in _rivals(unit, before, award=award) & after.units.keys()
        if Decimal(before.units[other].final) <= was and Decimal(after.units[other].final) > now
    )


def _equals(unit: str, at: Side, *, award: bool) -> set[str]:
    """Units that have the final of a unit at a point."""
    rivals = _rivals(unit, at, award=award)
    return {other for other in rivals if at.units[other].final == at.units[unit].final}


def _rivals(unit: str, at: Side, *, award: bool) -> set[str]:
    """The other units of the category; where an award moved that is of both categories, all others."""
    category, both = at.categories.get(unit), award and at.readings.get("award_eligible") == "a_and_b"
    return {other for other in at.units if other != unit and category and (both or at.categories[other] == category)}


def diff(
    before: str,
    after: str,
    *,
    facts_until: str | None = None,
    format: Literal["json", "table"] = "table",  # noqa: A002 - the contract's word
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Show what moved between two snapshots, or between two points of one, and the events that moved it.

    Example: wuxing diff year.duckdb@4000 year.duckdb@2013-12-31T00:00:00+08:00

    Parameters
    ----------
    before
        A snapshot, with @ and a sequence or a time for a point in it; @ alone before the point means the latest.
        @final is the last final, @final-1 the one before it.
    after
        Likewise.
    facts_until
        Only what had occurred by this time, at both points.
    format
        Tables to read, or JSON.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    chosen = language(lang)
    (first, synthetic, _), (second, also, awards) = (_side(text, facts_until, chosen) for text in (before, after))
    show(difference(first, second, synthetic=synthetic or also), format, chosen, awards)
    return Exit.DONE


def _side(text: str, facts_until: str | None, lang: Language) -> tuple[Side, bool, dict[str, str]]:
    """The point that `FILE`, `FILE@POINT` or `@POINT` names, whether its data are synthetic, the awards' names."""
    name, at, where = text.rpartition("@")
    if not at or Path(text).is_file():
        name, where = text, ""
    with (
        point.snapshot(Path(name) if name else None) as con,
        point.at(con, _final(con, where) or where or None, facts_until) as (ledger, cut),
    ):
        return side(ledger, cut), point.meta(con).get("synthetic") == "true", tables.grades(con, lang)


def finals(con: duckdb.DuckDBPyConnection) -> list[int]:
    """The sequences at which the year was made final (定稿), those revoked since too: each was published."""
    query = "SELECT seq FROM event WHERE stage = 'finalised' AND admission = 'admitted' ORDER BY seq"
    return [seq for (seq,) in con.execute(query).fetchall()]


def _final(con: duckdb.DuckDBPyConnection, where: str) -> str | None:
    """The sequence that `final` or `final-1` names; null for any other point."""
    match = re.fullmatch(r"final(?:-([0-9]{1,3}))?", where)
    if not match:
        return None
    found, back = finals(con), int(match[1] or 0)
    if back >= len(found):
        raise Stop(
            Exit.NO, f"@{where}: the ledger holds {len(found)} finals", f"@{where}：账本中只有{len(found)}次定稿"
        )
    return str(found[-1 - back])


def show(found: Difference, form: str, lang: Language, awards: Mapping[str, str]) -> None:
    """Print a difference as tables, with the names of the awards, or as JSON."""
    if form == "json":
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()
        return
    out, zh = tables.console(), lang == "zh"
    if found.synthetic:
        out.print(tables.words("synthetic", lang), style="bold")
    for name, (was, now) in found.readings.items():
        out.print(f"{'读法' if zh else 'reading'} {name}: {was} → {now}")
    if not found.moved:
        out.print("名次、达标、奖项和得分均无变动。" if zh else "No final, place, pass or award moved.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for key in ("unit", "final", "place", "passed", "award"):
        table.add_column(tables.words(key, lang), no_wrap=True)
    table.add_column("原因" if zh else "Moved by", overflow="fold")
    by_seq = {one.seq: one for one in found.events}
    for move in found.moved:
        table.add_row(move.unit, *standing_cells(move.before, move.after, awards), _why(move, found, by_seq, lang))
    out.print(table)
    out.print(f"{len(found.moved)}个单位有变动。" if zh else f"{len(found.moved)} units moved.")


def standing_cells(was: Standing | None, now: Standing | None, awards: Mapping[str, str]) -> list[str]:
    """Final, place, pass and award as `before → after`, one value where they are equal."""

    def cell(name: str) -> str:
        pair = [_plain(getattr(one, name)) if one else "—" for one in (was, now)]
        pair = [awards.get(text, text) for text in pair] if name == "award" else pair
        if name == "final":
            short = [tables.four(Decimal(text)) if text != "—" else text for text in pair]
            pair = short if short[0] != short[1] or pair[0] == pair[1] else pair
        return pair[0] if pair[0] == pair[1] else " → ".join(pair)

    return [cell(name) for name in ("final", "place", "passed", "award")]


def _plain(value: Any) -> str:
    return {True: "✓", False: "✗", None: "—"}[value] if value is None or isinstance(value, bool) else str(value)


def _why(move: UnitMove, found: Difference, by_seq: Mapping[int, Change], lang: Language) -> str:
    """What moved a unit, in words."""
    zh = lang == "zh"
    said = []
    if move.events:
        said.append(("本单位：" if zh else "own: ") + _some(_event(by_seq[seq], lang) for seq in move.events))
    for item in move.items:
        if item.others:
            others = sorted({by_seq[seq].unit for seq in item.others})
            seqs = _some(map(str, item.others))
            whose = _some(others)
            said.append(f"{item.item}：{whose}（序号{seqs}）" if zh else f"{item.item}: {whose} ({seqs})")
    if move.year_events:
        said.append(("年度：" if zh else "year: ") + _some(_event(by_seq[seq], lang) for seq in move.year_events))
    if found.readings and not said:
        items = " ".join(item.item for item in move.items)
        said.append(f"{'读法' if zh else 'reading'} {_some(found.readings)}" + (f" ({items})" if items else ""))
    if move.overtaken_by:
        said.append(("被超过：" if zh else "overtaken by ") + _some(move.overtaken_by))
    if move.overtook:
        said.append(("超过：" if zh else "overtook ") + _some(move.overtook))
    if move.level:
        said.append(("并列变化：" if zh else "now or no longer level with ") + _some(move.level))
    return "; ".join(said)


def _event(one: Change, lang: Language) -> str:
    """`+` new, `−` gone, else what its disposition, or what it counts, was and is."""
    what = f"{one.seq} {one.item or word(one.type, lang)}"
    if one.disposition_before is None or one.disposition_after is None:
        return ("+" if one.disposition_before is None else "−") + what
    if one.disposition_before != one.disposition_after:
        return f"{what} {word(one.disposition_before, lang)}→{word(one.disposition_after, lang)}"
    return f"{what} {one.value_before}→{one.value_after}" if one.value_before != one.value_after else what


def _some(words: Iterable[str], most: int = 6) -> str:
    """Up to six, and how many more; the JSON has them all."""
    every = list(words)
    return ", ".join(every[:most]) + (f" +{len(every) - most}" if len(every) > most else "")
