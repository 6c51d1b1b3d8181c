-- From a value to points (language 4, "To points"), where no other unit is needed.

-- `direct` 直接计分 and `scale` 按比例折算. One row a unit, item and run.
-- language 4 "To points": direct, scale
CREATE VIEW scaled_points AS
SELECT unit, item, run, within(points_of(half_up(dividend, divisor)), at_least, at_most)::DECIMAL(18,6) AS points
FROM (SELECT v.unit, v.item, v.run, i.at_least, i.at_most,
             CASE m.kind WHEN 'direct' THEN nano(v.value) ELSE micro(m.run_points) * nano(v.value) END AS dividend,
             CASE m.kind WHEN 'direct' THEN 1000 ELSE nano(m.of_value) END AS divisor
      FROM run_value AS v
      JOIN method_in_force AS m ON m.item = v.item AND m.kind IN ('direct', 'scale')
      JOIN item_in_force AS i ON i.item = v.item);

-- `table` 分段、内插: by steps, or straight between two rows. One row a unit, item and run.
-- language 4 "To points": table
CREATE VIEW table_points AS
SELECT unit, item, run, within(points_of(before + coalesce(half_up(dividend, divisor), 0)), at_least, at_most)::DECIMAL(18,6) AS points
FROM (SELECT v.unit, v.item, v.run, i.at_least, i.at_most, micro(coalesce(r.points, i.at_least, 0)) AS before,
             (micro(r.next_points) - micro(r.points)) * (nano(v.value) - micro(r.x) * 1000) AS dividend, (micro(r.next_x) - micro(r.x)) * 1000 AS divisor
      FROM (SELECT run_value.unit, run_value.item, run_value.run, run_value.value, m.method
            FROM run_value JOIN method_in_force AS m ON m.item = run_value.item AND m.kind = 'table') AS v
      ASOF JOIN rulebook_row AS r ON r.item = v.item AND r.method = v.method AND r.x <= v.value
      JOIN item_in_force AS i ON i.item = v.item);

-- What a unit's own events come to, before what needs the other units. One row a unit, item and run.
-- language 4 "To points": direct, scale, table
-- stage
CREATE VIEW own_points AS
SELECT unit, item, run, points FROM scaled_points
UNION ALL SELECT unit, item, run, points FROM table_points
UNION ALL SELECT unit, item, '', points FROM entry_points;
