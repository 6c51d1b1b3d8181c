-- The tree (language 1): parts from the deepest level up, and the final.

-- What the items under each part, or at the top level, come to together. One row a unit and parent.
-- language 1 "The tree": part
-- stage
CREATE VIEW item_sum AS
SELECT unit, parent, any_value(level) AS level, count(*) FILTER (NOT is_out) AS number, sum(weighted) FILTER (NOT is_out) AS points,
       sum(base) FILTER (NOT is_out) AS base, max(weighted) FILTER (NOT is_out) AS largest
FROM (SELECT unit, parent, level, is_out, micro(weight) * micro(coalesce(points, 0)) AS weighted, micro(weight) * micro(points_base) AS base
      FROM item_points)
GROUP BY unit, parent;

-- Each part that applies, from those of its children that apply and are not out, level by level: a row without a part marks
-- the level that is reached. Points are null where it is out. One row a unit and part.
-- language 1 "The tree": part
-- stage
CREATE VIEW part_points AS
WITH RECURSIVE reached AS (
  SELECT NULL::VARCHAR AS unit, NULL::VARCHAR AS part, NULL::VARCHAR AS parent, coalesce(max(level), 0) + 1 AS level,
         NULL::DECIMAL(18,6) AS weight, NULL::HUGEINT AS base, NULL::DECIMAL(18,6) AS points, false AS is_out
  FROM rulebook_part
  UNION ALL
  (WITH child AS (
    SELECT unit, parent, 1 AS number, micro(weight) * micro(points) AS points, half_up(micro(weight) * base, 1000000) AS base,
           micro(weight) * micro(points) AS largest
    FROM reached WHERE parent IS NOT NULL AND NOT is_out
    UNION ALL SELECT unit, parent, 0, NULL, NULL, NULL FROM reached WHERE parent IS NOT NULL AND is_out
    UNION ALL
    SELECT i.unit, i.parent, i.number, i.points, i.base, i.largest
    FROM reached JOIN item_sum AS i ON reached.part IS NULL AND i.level = reached.level AND i.parent IS NOT NULL
  ), made AS (
    SELECT unit, parent, sum(number) AS number, least(sum(points), 999999999999999999999) AS points, sum(base) AS base,
           max(largest) AS largest
    FROM child GROUP BY unit, parent
  ), combined AS (
    SELECT m.unit, p.part, p.parent, p.level, p.weight, p.at_least, p.at_most, p.grain,
           CASE p.combine WHEN 'sum' THEN m.base ELSE micro(p.points) * 1000000 END AS base,
           CASE p.combine WHEN 'max' THEN m.largest WHEN 'rescale' THEN micro(p.points) * m.points ELSE m.points END AS dividend,
           CASE p.combine WHEN 'mean' THEN 1000000 * m.number WHEN 'rescale' THEN m.base ELSE 1000000 END AS divisor,
           m.number = 0 OR (p.combine = 'rescale' AND m.base = 0) AS is_out
    FROM made AS m JOIN rulebook_part AS p ON p.part = m.parent
  ), bounded AS (
    SELECT *, within(points_of(rounded), at_least, at_most) AS points
    FROM (SELECT *, half_up(dividend, nullif(divisor, 0)) AS rounded FROM combined))
  SELECT b.unit, b.part, b.parent, b.level, b.weight, b.base,
         CASE WHEN zeroed.unit IS NULL THEN to_grain(b.points, b.grain) ELSE 0 END, b.is_out
  FROM bounded AS b LEFT JOIN zeroed ON zeroed.unit = b.unit AND zeroed.code = b.part
  UNION ALL SELECT NULL, NULL, NULL, level - 1, NULL, NULL, NULL, false FROM reached WHERE part IS NULL AND level > 1)
)
SELECT unit, part, parent, weight, CASE WHEN NOT is_out THEN points_of(half_up(base, 1000000)) END AS points_base,
       CASE WHEN NOT is_out THEN points END AS points, is_out FROM reached WHERE part IS NOT NULL;

-- The sum of weight x points of the top level, whole 10^-12, exact. One row a unit.
-- language 1: final
CREATE VIEW top_level AS
SELECT unit, sum(points) AS points
FROM (SELECT unit, micro(weight) * micro(points) AS points FROM part_points WHERE parent IS NULL
      UNION ALL SELECT unit, points FROM item_sum WHERE parent IS NULL)
GROUP BY unit;

-- The final = that sum x `times`, rounded; 0 where everything is out. One row a unit.
-- language 1: final
-- stage
CREATE VIEW unit_total AS
SELECT unit, name, category, unit_group, has_left,
       ((within(rounded, 1 - 100000000000000000 // grain, 100000000000000000 // grain - 1) * grain)::DECIMAL(38,0) * 0.00000001::DECIMAL(9,8))::DECIMAL(18,8) AS final
FROM (SELECT u.*, f.grain,
             half_up(within(coalesce(t.points, 0), -999999999999999999999, 999999999999999999999) * micro(f.times), f.divisor) AS rounded
      FROM unit_in_force AS u
      CROSS JOIN rulebook_final AS f
      LEFT JOIN top_level AS t ON t.unit = u.unit);
