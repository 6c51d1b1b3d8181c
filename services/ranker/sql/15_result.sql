-- The results as published, one row a unit, item and year; what stands in the way of final.

CREATE VIEW unit_flag AS
SELECT unit, 'exempt:' || item AS flag FROM item_points WHERE exempted_by IS NOT NULL
UNION ALL SELECT unit, 'one_group:' || item FROM item_points WHERE one_group
UNION ALL SELECT unnest(undecided), 'undecided:' || award FROM award_result;

-- One row a unit: totals, place, award and state.
-- stage
CREATE VIEW unit_result AS
SELECT t.unit, u.name, t.category, t.unit_group, t.daily, t.year_end, t.final, p.place, p.passed, g.award,
       CASE WHEN i.pending OR coalesce(a.open, false) THEN 'provisional' ELSE 'final' END AS state,
       coalesce(f.flags, []) AS flags
FROM unit_total t
JOIN roster u ON u.unit = t.unit
JOIN place p ON p.unit = t.unit
JOIN (SELECT unit, bool_or(state = 'pending') AS pending FROM item_points GROUP BY unit) i ON i.unit = t.unit
LEFT JOIN award_given g ON g.unit = t.unit
LEFT JOIN (SELECT unit, bool_or(open) AS open FROM appeal GROUP BY unit) a ON a.unit = t.unit
LEFT JOIN (SELECT unit, list(flag ORDER BY flag) AS flags FROM unit_flag GROUP BY unit) f ON f.unit = t.unit;

-- One row an item of a unit.
CREATE VIEW item_result AS
SELECT unit, item, ordinal, points_base, points, state FROM item_points;

-- The furthest standing stage of the year.
-- stage
CREATE VIEW assessment_state AS
SELECT CASE max(list_position(['year_end_closed', 'publicised', 'finalised'], stage))
         WHEN 1 THEN 'closed' WHEN 2 THEN 'publicised' WHEN 3 THEN 'finalised' ELSE 'running' END AS state
FROM year_event WHERE type = 'stage.reached.v1';

-- All that stands in the way of final.
CREATE VIEW obstacle AS
SELECT 'pending' AS kind, unit, item, NULL::VARCHAR AS name, NULL::BIGINT AS seq FROM item_points WHERE state = 'pending'
UNION ALL SELECT 'appeal', unit, NULL, NULL, seq FROM appeal WHERE open
UNION ALL SELECT 'tie', unnest(undecided), NULL, award, NULL FROM award_result
UNION ALL SELECT 'assumption', NULL, NULL, r.name, NULL FROM rulebook_reading r
          ANTI JOIN reading_adopted a ON a.name = r.name WHERE r.source = 'assumption';
