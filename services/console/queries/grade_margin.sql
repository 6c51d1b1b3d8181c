-- 各单位距每个等次线的分差 | How far each unit is from the cut of each grade
-- Inside: by how much it leads the best unit outside. Outside: what it lacks to the last unit inside, as a negative number.
-- A grade without a quota has the final that it asks for as its cut.
WITH holder AS (
  SELECT scheme, pool, ordinal, unnest(list_concat(units, undecided)) AS unit FROM grade_result
), contender AS (
  SELECT g.scheme, g.pool, g.grade, g.ordinal, d.at_least, g.quota, u.unit, u.final,
         coalesce(h.ordinal <= g.ordinal, false) AS inside
  FROM grade_result AS g
  JOIN rulebook_grade AS d ON d.grade = g.grade
  JOIN pool_unit AS u ON u.scheme = g.scheme AND u.pool = g.pool
  LEFT JOIN (SELECT scheme, pool, unit, min(ordinal) AS ordinal FROM holder GROUP BY scheme, pool, unit) AS h
         ON h.scheme = g.scheme AND h.pool = g.pool AND h.unit = u.unit
), edge AS (
  SELECT scheme, pool, grade, min(final) FILTER (inside) AS last_inside, max(final) FILTER (NOT inside) AS first_outside
  FROM contender GROUP BY scheme, pool, grade
)
SELECT c.scheme, c.pool, c.grade, c.ordinal, c.unit, c.final, c.inside,
       CASE WHEN c.quota IS NULL THEN c.final - c.at_least WHEN c.inside THEN c.final - e.first_outside
            ELSE c.final - e.last_inside END AS margin
FROM contender AS c JOIN edge AS e ON e.scheme = c.scheme AND e.pool = c.pool AND e.grade = c.grade
ORDER BY c.scheme, c.pool, c.ordinal, c.final DESC, c.unit;
