-- From a value to points (language 4, "To points"), where no other unit is needed.

-- Points kept within the bounds of a run.
CREATE MACRO run_points_of(millionths, low, high) AS within(points_of(millionths), low, high)::DECIMAL(18,6);

-- `direct` 直接计分 and `scale` 按比例折算. One row a unit, item and run.
CREATE VIEW scaled_points AS
SELECT v.unit, v.item, v.run,
       run_points_of(CASE m.kind WHEN 'direct' THEN half_up(nano(v.value), 1000)
                     ELSE half_up(micro(m.run_points) * nano(v.value), nano(m.of_value)) END,
                     item_in_force.at_least, item_in_force.at_most) AS points
FROM run_value AS v
JOIN method_in_force AS m ON m.item = v.item AND m.kind IN ('direct', 'scale')
JOIN item_in_force ON item_in_force.item = v.item;

-- `table` 分段、内插: by steps, or straight between two rows. One row a unit, item and run.
CREATE VIEW table_points AS
SELECT v.unit, v.item, v.run,
       run_points_of(CASE WHEN r.points IS NULL THEN micro(coalesce(item_in_force.at_least, 0))
                     WHEN r.next_x IS NULL THEN micro(r.points)
                     ELSE micro(r.points) + half_up((micro(r.next_points) - micro(r.points)) * (nano(v.value) - nano(r.x)),
                                                    nano(r.next_x) - nano(r.x)) END,
                     item_in_force.at_least, item_in_force.at_most) AS points
FROM (SELECT run_value.unit, run_value.item, run_value.run, run_value.value, m.method
      FROM run_value JOIN method_in_force AS m ON m.item = run_value.item AND m.kind = 'table') AS v
ASOF JOIN rulebook_row AS r ON r.item = v.item AND r.method = v.method AND r.x <= v.value
JOIN item_in_force ON item_in_force.item = v.item;

-- What a unit's own events come to, before what needs the other units. One row a unit, item and run.
-- stage
CREATE VIEW own_points AS
SELECT unit, item, run, points FROM scaled_points
UNION ALL SELECT unit, item, run, points FROM table_points
UNION ALL SELECT unit, item, '', points FROM entry_points;
