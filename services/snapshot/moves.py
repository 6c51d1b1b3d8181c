"""What moved between two points, and for each unit that moved the events that moved it.

A unit moves when its final, place, pass or award does. What moved it are its own events whose disposition or counted
points differ; where an item compares units, those of the others in its pool; where its place or award moved, the units
that went past it or came level with it, or no longer are; and readings adopted and ties resolved in between. Closings
and stages change no number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import duckdb
import msgspec
import pyarrow as pa

from services.scorer import rules, store
from services.snapshot.results import readings as readings_in_force

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


def finals(con: duckdb.DuckDBPyConnection) -> list[int]:
    """The sequences at which the year was made final (定稿), those revoked since too: each was published."""
    query = "SELECT seq FROM event WHERE stage = 'finalised' AND admission = 'admitted' ORDER BY seq"
    return [seq for (seq,) in con.execute(query).fetchall()]
