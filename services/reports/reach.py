"""What a unit can still reach (预警): its best and worst final and place, with all that is pending yet to come.

A bound, made by the rules' own views of the tree: items that are open take every value that their grounds and bounds
allow; what is closed stays. Appeals, revocations, vetoes, exemptions, facts and other readings may move a unit beyond
it, for they change what stands.
"""

import re
from functools import cache

import duckdb
import msgspec

from services.scorer import rules


class Reach(msgspec.Struct, frozen=True):
    """Bounds of a unit: finals are null where a rulebook sets none, places where nobody is placed by the final."""

    unit: str
    final_worst: str | None
    final_best: str | None
    place_worst: int | None
    place_best: int | None


#: Every item of the units that have not left, with the least and the most points that it can come to, null without a
#: bound. What an exempted item has of the others' share goes with what they can come to.
_ITEMS = """
open_item AS (
  SELECT p.*, f.at_least, f.at_most, f.combine = 'sum' AND f.runs IS NOT NULL AS summed, f.run_count,
         coalesce(g.adds, false) AS adds, coalesce(g.takes, false) AS takes,
         p.state = 'exempt' AND f.exempt = 'proportional' AND NOT p.is_out AND p.zeroed_by IS NULL AS shares,
         p.zeroed_by IS NULL AND p.state <> 'exempt' AND (p.state = 'pending' OR w.unit IS NOT NULL) AS is_open
  FROM item_points AS p
  JOIN unit_in_force AS u ON u.unit = p.unit AND NOT u.has_left
  JOIN item_in_force AS f ON f.item = p.item
  LEFT JOIN (SELECT item, bool_or(adds) AS adds, bool_or(NOT adds) AS takes FROM rulebook_ground GROUP BY item) AS g
    ON g.item = p.item
  LEFT JOIN (SELECT DISTINCT unit, item FROM claim WHERE stands AND approval AND approval_outcome IS NULL) AS w
    ON w.unit = p.unit AND w.item = p.item
), least_and_most AS (
  SELECT *, CASE WHEN NOT is_open THEN coalesce(points, 0) WHEN input = 'entries' THEN if(takes, at_least, points)
                 WHEN at_least >= 0 THEN 0 WHEN summed THEN at_least * run_count ELSE at_least END AS low,
         CASE WHEN NOT is_open THEN coalesce(points, 0) WHEN input = 'entries' THEN if(adds, at_most, points)
              WHEN at_most <= 0 THEN 0 WHEN summed THEN at_most * run_count ELSE at_most END AS high
  FROM open_item
), opened AS (
  SELECT unit, bool_or(is_open) AS is_open, bool_or(low IS NULL) AS no_low, bool_or(high IS NULL) AS no_high,
         bool_or(low < 0 OR high > points_base) FILTER (is_open) AS beyond
  FROM least_and_most GROUP BY unit
), bounds AS (
  SELECT i.* REPLACE (CASE WHEN NOT (shares AND o.is_open) THEN low WHEN NOT o.beyond THEN 0 END AS low,
                      CASE WHEN NOT (shares AND o.is_open) THEN high WHEN NOT o.beyond THEN i.points_base END AS high)
  FROM least_and_most AS i JOIN opened AS o ON o.unit = i.unit
)"""
#: A final is certain where nothing of the unit is open: then its place among such units is that of the rules.
_PLACED = """
reach AS (
  SELECT o.unit, o.category, o.standing, NOT x.is_open AS certain, if(x.no_low OR b.no_low, NULL, l.final) AS low,
         if(x.no_high OR b.no_high, NULL, h.final) AS high
  FROM unit_order AS o
  JOIN opened AS x ON x.unit = o.unit
  JOIN (SELECT unit, bool_or(low IS NULL) AS no_low, bool_or(high IS NULL) AS no_high FROM bounds GROUP BY unit) AS b
    ON b.unit = o.unit
  JOIN low_total AS l ON l.unit = o.unit JOIN high_total AS h ON h.unit = o.unit
), by_final AS (
  SELECT bool_or(ordinal = first AND key = 'final' AND NOT low_first) AS is_first, count(*) > 1 AS has_more
  FROM rulebook_order CROSS JOIN (SELECT min(ordinal) AS first FROM rulebook_order)
), ahead AS (
  SELECT me.unit,
         count(*) FILTER (CASE WHEN me.certain AND you.certain THEN you.standing < me.standing
                               ELSE coalesce(you.low > me.high, false) END) AS surely,
         count(*) FILTER (CASE WHEN me.certain AND you.certain THEN you.standing < me.standing
                               ELSE coalesce(you.high > me.low OR (has_more AND you.high = me.low), true) END) AS maybe
  FROM reach AS me JOIN place ON place.unit = me.unit
  JOIN reach AS you ON you.category = me.category AND you.unit <> me.unit
  CROSS JOIN by_final WHERE by_final.is_first AND me.unit = coalesce($unit, me.unit) GROUP BY me.unit
)
SELECT r.unit, r.low::VARCHAR, r.high::VARCHAR, a.maybe + 1, a.surely + 1
FROM reach AS r LEFT JOIN ahead AS a ON a.unit = r.unit
WHERE r.unit = coalesce($unit, r.unit) ORDER BY r.unit"""


@cache
def _query() -> str:
    """The whole question: the tree of the rules once with the least and once with the most points of every item."""
    bodies = {one.name: one.body for one in rules.definitions()}
    parts = []
    for side in ("low", "high"):
        far = "-999999999" if side == "low" else "999999999"
        parts.append(
            f"{side}_item AS (SELECT * REPLACE (coalesce({side}, {far})::DECIMAL(18,6) AS points) FROM bounds)"
        )
        made = {"item_points": f"{side}_item"}
        for name, new in (("item_sum", "sum"), ("part_points", "part"), ("top_level", "top"), ("unit_total", "total")):
            body = bodies[name]
            for old, other in made.items():
                body = re.sub(rf"\b{old}\b", other, body)
            made[name] = f"{side}_{new}"
            parts.append(f"{side}_{new} AS ({body})")
    return f"WITH {','.join((_ITEMS, *parts, _PLACED))}"


def reached(con: duckdb.DuckDBPyConnection, unit: str | None = None) -> dict[str, Reach]:
    """What one unit or every one that has not left can still reach, by code, inside an open `rules.compute`."""
    return {row[0]: Reach(*row) for row in con.execute(_query(), {"unit": unit}).fetchall()}
