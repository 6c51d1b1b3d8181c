-- 各考核责任单位的进度 | The progress of each office and item
-- A part is late (预警) when the stage that it belongs to has been reached and the office has not closed it.
WITH sent AS (
  SELECT item, source, count(*) AS events, max(substr(time, 1, 10)) AS last_day
  FROM ledger_event WHERE admission = 'admitted' AND item IS NOT NULL AND type <> 'item.closed.v1' GROUP BY item, source
), closing AS (
  SELECT item, source, max(seq) AS closed_by FROM year_event WHERE type = 'item.closed.v1' GROUP BY item, source
), reached AS (
  SELECT coalesce(bool_or(stage IN ('daily_closed', 'year_end_closed', 'publicised', 'finalised')), false) AS daily,
         coalesce(bool_or(stage IN ('year_end_closed', 'publicised', 'finalised')), false) AS year_end
  FROM year_event WHERE type = 'stage.reached.v1'
), waiting AS (
  SELECT item, count(*) AS pending FROM item_result WHERE state = 'pending' GROUP BY item
)
SELECT i.item, i.name_zh, i.name_en, i.clause, o.office, f.name_zh AS office_zh, f.name_en AS office_en,
       coalesce(s.events, 0) AS events, s.last_day, c.closed_by, coalesce(w.pending, 0) AS units_pending,
       CASE WHEN c.closed_by IS NOT NULL THEN 'closed'
            WHEN CASE WHEN i.year_end THEN r.year_end ELSE r.daily END THEN 'late' ELSE 'open' END AS progress
FROM rulebook_office o
JOIN rulebook_item i ON i.item = o.item
JOIN office f ON f.office = o.office
CROSS JOIN reached r
LEFT JOIN sent s ON s.item = o.item AND s.source = '/offices/' || o.office
LEFT JOIN closing c ON c.item = o.item AND c.source = '/offices/' || o.office
LEFT JOIN waiting w ON w.item = o.item
ORDER BY i.ordinal, o.office;
