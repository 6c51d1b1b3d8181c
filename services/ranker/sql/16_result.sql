-- The results as published, one row a unit, item, part and year; what stands in the way of final (language 8, 10).

-- Flags (标记). One row a unit and flag.
-- language 10
CREATE VIEW unit_flag AS
SELECT unit, 'exempt:' || item AS flag FROM item_points WHERE exempted_by IS NOT NULL
UNION ALL SELECT unit, 'one_group:' || item FROM item_points WHERE one_group
UNION ALL SELECT DISTINCT unit, 'incomplete:' || item FROM lacking_run
UNION ALL SELECT unit, 'vetoed:' || veto FROM veto_in_force
UNION ALL SELECT unnest(undecided), 'undecided:' || grade FROM grade_result;

-- Total, place and state. One row a unit.
-- language 1: final
-- stage
CREATE VIEW unit_result AS
SELECT t.unit, t.name, t.category, t.unit_group, t.final, rtrim(left(t.final::VARCHAR, len(t.final::VARCHAR) - 8 + f.decimals), '.')
         AS final_text, place.place,
       CASE WHEN t.has_left THEN 'left' WHEN i.pending OR a.unit IS NOT NULL OR w.unit IS NOT NULL THEN 'provisional'
            ELSE 'final' END AS state,
       coalesce(flags.flags, []) AS flags
FROM unit_total AS t
CROSS JOIN rulebook_final AS f
LEFT JOIN place ON place.unit = t.unit
LEFT JOIN (SELECT unit, bool_or(state = 'pending') AS pending FROM item_points GROUP BY unit) AS i ON i.unit = t.unit
LEFT JOIN (SELECT DISTINCT unit FROM appeal WHERE open) AS a ON a.unit = t.unit
LEFT JOIN (SELECT DISTINCT unit FROM claim WHERE stands AND approval AND approval_outcome IS NULL) AS w ON w.unit = t.unit
LEFT JOIN (SELECT unit, list(flag ORDER BY flag ASC) AS flags FROM unit_flag GROUP BY unit) AS flags ON flags.unit = t.unit;

-- The items of the units. One row a unit and item.
-- language 5: item
CREATE VIEW item_result AS
SELECT unit, item, ordinal, points_base, points, state FROM item_points;

-- The parts of the units; points are null where one is out. One row a unit and part.
-- language 1: part
CREATE VIEW part_result AS
SELECT p.unit, p.part, r.ordinal, p.points_base, p.points FROM part_points AS p JOIN rulebook_part AS r ON r.part = p.part;

-- The furthest standing stage (阶段), `finalised` after the last, `amended` when a decision or revocation was admitted after
-- that. One row.
-- language 8: stage
-- stage
CREATE VIEW assessment_state AS
SELECT CASE WHEN final.seq IS NULL THEN coalesce(stage.stage, 'running')
            WHEN EXISTS (SELECT 1 FROM ledger_event AS later WHERE later.admission = 'admitted' AND later.seq > final.seq
                           AND (later.type = 'event.revoked.v1'
                                OR (later.type = 'appeal.decided.v1' AND later.outcome IN ('cancelled', 'revised')))) THEN 'amended'
            ELSE 'finalised' END AS state
FROM (SELECT max(seq) AS seq FROM year_event WHERE type = 'stage.reached.v1' AND stage = 'finalised') AS final
CROSS JOIN (SELECT arg_max(rulebook_stage.stage, rulebook_stage.ordinal) AS stage FROM rulebook_stage
            JOIN year_event ON year_event.type = 'stage.reached.v1' AND year_event.stage = rulebook_stage.stage) AS stage;

-- All that stands in the way of final. One row an obstacle.
-- language 10 "Stages": stage
CREATE VIEW obstacle AS
WITH present AS (SELECT unit FROM unit_in_force WHERE NOT has_left)
SELECT 'pending' AS kind, unit, item, NULL::VARCHAR AS name, NULL::BIGINT AS seq
FROM item_points SEMI JOIN present USING (unit) WHERE state = 'pending'
UNION ALL SELECT 'appeal', unit, NULL, NULL, seq FROM appeal SEMI JOIN present USING (unit) WHERE open
UNION ALL SELECT 'awaiting', unit, item, NULL, seq FROM claim SEMI JOIN present USING (unit)
          WHERE stands AND approval AND approval_outcome IS NULL
UNION ALL SELECT 'tie', unnest(undecided), NULL, grade, NULL FROM grade_result
UNION ALL SELECT 'assumption', NULL, NULL, name, NULL FROM reading_in_force WHERE is_assumption AND adopted_by IS NULL
UNION ALL SELECT 'stage', NULL, NULL, s.stage, NULL FROM rulebook_stage AS s
          ANTI JOIN year_event AS e ON e.type = 'stage.reached.v1' AND e.stage = s.stage;
