-- 最后得分相同的单位 | Units with equal finals
SELECT category, place, final, list(unit ORDER BY unit) AS units
FROM unit_result GROUP BY category, place, final HAVING count(*) > 1 ORDER BY category, place;
