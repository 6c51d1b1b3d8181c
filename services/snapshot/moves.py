"""What moved between two points, and for each unit that moved the events that moved it.

A unit moves when its final, its place or a grade of it does. What moved it are its own events whose disposition or
counted points differ; where an item compares units, those of the others in its pool, who joins or leaves it included;
where its place or a grade moved, the units that went past it or came level with it, or no longer are; and readings
adopted and ties resolved in between. Closings and stages change no number.
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
CHANGED = "unit.changed.v1"


class Standing(msgspec.Struct, frozen=True):
    """A unit's final, place within its category (null where nobody is placed), and grade of each scheme at one point.

    `undecided` are the grades at whose cut the unit is tied.
    """

    final: str
    place: int | None
    grades: dict[str, str | None]
    undecided: list[str]


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
    """An item of a unit whose points moved; `others` are the other units' events that moved it where it compares."""

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
    """One point of a comparison; `items` and `trail` are empty where only units were asked for.

    `order` puts the units in line by the keys of places; `schemes` are the pools in which each competes for grades.
    """

    as_of: int
    categories: dict[str, str]
    units: dict[str, Standing]
    order: dict[str, int]
    schemes: dict[str, frozenset[str]]
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
            return computed(con, as_of, whole=whole)
    finally:
        con.execute("RESET VARIABLE readings")


def computed(con: duckdb.DuckDBPyConnection, as_of: int, *, whole: bool = True) -> Side:
    """Read a point inside an open `rules.compute` of it."""
    rows = con.execute(_UNITS).fetchall()
    pools = con.execute(_SCHEMES).fetchall()
    return Side(
        as_of,
        {row[0]: row[1] for row in rows},
        {row[0]: Standing(*row[2:]) for row in rows},
        dict(con.execute("SELECT unit, standing FROM unit_order").fetchall()),
        {unit: frozenset(found) for unit, found in pools},
        readings_in_force(con),
        {(u, i): points for u, i, points in con.execute(_ITEMS).fetchall()} if whole else {},
        {(u, i): pool for u, i, pool in con.execute(_POOLS).fetchall()} if whole else {},
        con.sql(_TRAIL).to_arrow_table() if whole else None,
    )


_UNITS = """
SELECT u.unit, u.category, u.final_text, u.place, coalesce(g.grades, MAP {}),
       [flag[11:] FOR flag IN u.flags IF starts_with(flag, 'undecided:')]
FROM unit_result u
LEFT JOIN (SELECT unit, map_from_entries(list({'k': scheme, 'v': grade} ORDER BY scheme ASC)) AS grades
           FROM unit_grade GROUP BY unit) g ON g.unit = u.unit
"""
_SCHEMES = "SELECT unit, list(scheme || '/' || pool ORDER BY scheme ASC) FROM pool_unit GROUP BY unit"
_ITEMS = "SELECT unit, item, points::VARCHAR FROM item_points"
#: Where an item compares units: the pool in which each unit is compared.
_POOLS = """
SELECT DISTINCT unit, item, pool FROM contender UNION SELECT unit, item, '' FROM rater_place
"""
_TRAIL = """
SELECT t.*, coalesce(e.points, e.value)::VARCHAR AS value
FROM (SELECT seq, source, id, type, unit, item, disposition, NULL AS counted FROM event_result
      UNION ALL SELECT seq, source, id, type, unit, item, disposition, counted::VARCHAR FROM entry_result) t
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
    graded = (was and (was.grades, was.undecided)) != (now and (now.grades, now.undecided))
    return UnitMove(
        unit,
        (after.categories.get(unit) or before.categories[unit]),
        was,
        now,
        [one.seq for one in changes if one.unit == unit],
        items,
        _passing(unit, before, after, graded=graded),
        _passing(unit, after, before, graded=graded),
        [one.seq for one in changes if one.type == ADOPTED or (graded and one.type == TIE)],
        sorted(_equals(unit, before, graded=graded) ^ _equals(unit, after, graded=graded)),
    )


def _points(points: str | None) -> Decimal:
    return Decimal(points or 0)


def _others(unit: str, item: str, before: Side, after: Side, changes: list[Change]) -> list[int]:
    """Changed events on an item of the other units that a unit is compared with."""
    pools = {pools.get((unit, item)) for pools in (before.pools, after.pools)} - {None}
    return [
        one.seq
        for one in changes
        if (one.item == item or one.type == CHANGED)
        and one.unit not in (unit, YEAR)
        and pools & {before.pools.get((one.unit, item)), after.pools.get((one.unit, item))}
    ]


def _passing(unit: str, before: Side, after: Side, *, graded: bool) -> list[str]:
    """Units that were not ahead of a unit and then are."""
    if unit not in before.order or unit not in after.order:
        return []
    return sorted(
        other
        for other in _rivals(unit, before, graded=graded) & after.order.keys()
        if before.order[other] >= before.order[unit] and after.order[other] < after.order[unit]
    )


def _equals(unit: str, at: Side, *, graded: bool) -> set[str]:
    """Units that stand level with a unit at a point."""
    return {other for other in _rivals(unit, at, graded=graded) if at.order[other] == at.order[unit]}


def _rivals(unit: str, at: Side, *, graded: bool) -> set[str]:
    """The other units of the category, and where a grade moved all that compete for one with it."""
    if unit not in at.order:
        return set()
    category, pools = at.categories[unit], at.schemes.get(unit, frozenset())
    return {
        other
        for other in at.order
        if other != unit
        and (at.categories[other] == category or (graded and pools & at.schemes.get(other, frozenset())))
    }


def finals(con: duckdb.DuckDBPyConnection) -> list[int]:
    """The sequences at which the year was made final (定稿), those revoked since too: each was published."""
    query = "SELECT seq FROM event WHERE stage = 'finalised' AND admission = 'admitted' ORDER BY seq"
    return [seq for (seq,) in con.execute(query).fetchall()]
