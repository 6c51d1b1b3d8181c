-- 达标线及各单位距线分差 | The pass line and how far each unit is from it
SELECT u.category, u.place, u.unit, u.name, u.final, c.pass_mark, u.final - c.pass_mark AS margin, u.passed
FROM unit_result u JOIN rulebook_category c ON c.category = u.category
WHERE c.pass_mark IS NOT NULL ORDER BY u.final, u.unit;
