-- 各单位距每条获奖线的分差 | How far each unit is from the cut of each award
-- Inside: by how much it leads the best unit outside. Outside: what it lacks to the last unit inside, as a negative number.
-- The same margin in points of the daily and of the year-end assessment is exact, half-up at 6 decimals.
WITH winner AS (
  SELECT scope, unit, min(ordinal) AS ordinal
  FROM (SELECT scope, ordinal, unnest(list_concat(units, undecided)) AS unit FROM award_result) GROUP BY scope, unit
), contender AS (
  SELECT a.award, a.ordinal, a.scope, u.unit, u.category, u.final, coalesce(w.ordinal <= a.ordinal, false) AS inside
  FROM award_result a
  JOIN unit_result u ON list_contains(string_split(a.scope, '+'), u.category)
  LEFT JOIN winner w ON w.scope = a.scope AND w.unit = u.unit
), edge AS (
  SELECT award, scope, min(final) FILTER (inside) AS last_inside, max(final) FILTER (NOT inside) AS first_outside
  FROM contender GROUP BY award, scope
), margin AS (
  SELECT c.*, CASE WHEN inside THEN final - first_outside ELSE final - last_inside END AS margin
  FROM contender c JOIN edge e ON e.award = c.award AND e.scope = c.scope
)
SELECT award, ordinal, scope, unit, category, final, inside, margin,
       sign(margin)::INTEGER * points_of(half_up((abs(margin) * 100000000)::HUGEINT, (daily_coefficient * 100)::HUGEINT)) AS margin_daily,
       sign(margin)::INTEGER * points_of(half_up((abs(margin) * 100000000)::HUGEINT, (year_end_coefficient * 100)::HUGEINT)) AS margin_year_end
FROM margin CROSS JOIN rulebook_total
ORDER BY ordinal, scope, final DESC, unit;
