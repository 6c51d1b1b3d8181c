-- 各考核责任单位的进度 | The progress of each office and item
-- What is open is late (预警) after the day that the rulebook sets, and once the last stage before the final is reached.
WITH sent AS (
  SELECT item, source, count(*) AS events, day_of(max(TRY_CAST(occurred AS TIMESTAMP))) AS last_day
  FROM ledger_event WHERE admission = 'admitted' AND item IS NOT NULL AND type <> 'item.closed.v1' GROUP BY item, source
), closing AS (
  SELECT item, source, max(seq) AS closed_by FROM year_event WHERE type = 'item.closed.v1' GROUP BY item, source
), reached AS (
  SELECT count(*) > 0 AS late FROM year_event AS e
  WHERE e.type = 'stage.reached.v1' AND e.stage IN ('finalised', (SELECT arg_max(stage, ordinal) FROM rulebook_stage))
), waiting AS (
  SELECT item, count(*) AS pending FROM item_result WHERE state = 'pending' GROUP BY item
)
SELECT i.item, i.name_zh, i.name_en, i.clause, o.office, f.name_zh AS office_zh, f.name_en AS office_en,
       coalesce(s.events, 0) AS events, s.last_day, c.closed_by, coalesce(w.pending, 0) AS units_pending, i.due,
       CASE WHEN c.closed_by IS NOT NULL THEN 'closed' WHEN r.late OR d.is_over THEN 'late' ELSE 'open' END AS progress
FROM item_holder AS o
JOIN rulebook_item AS i ON i.item = o.item
JOIN office AS f ON f.office = o.office
CROSS JOIN reached AS r
LEFT JOIN sent AS s ON s.item = o.item AND s.source = '/offices/' || o.office
LEFT JOIN closing AS c ON c.item = o.item AND c.source = '/offices/' || o.office
LEFT JOIN waiting AS w ON w.item = o.item
LEFT JOIN deadline AS d ON d.item = o.item AND d.office = o.office
ORDER BY i.ordinal, f.ordinal;
