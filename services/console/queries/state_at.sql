-- 某一序号时的排名（改动数字即可） | The ranking as of a sequence: change the number
SET VARIABLE as_of = 3000;
SELECT category, place, unit, final, state FROM unit_result ORDER BY category, place NULLS LAST, final DESC, unit;
