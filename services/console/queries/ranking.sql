-- 各类别排名 | The ranking of each category
SELECT category, place, unit, name, unit_group, daily, year_end, final, passed, award, state, flags
FROM unit_result ORDER BY category, place, unit;
