-- 各等次名单 | The grades of every scheme and who has them
SELECT g.scheme, g.grade, g.pool, g.quota, g.individuals, w.unit, u.final, list_contains(g.undecided, w.unit) AS undecided
FROM grade_result AS g
CROSS JOIN LATERAL (SELECT unnest(list_concat(g.units, g.undecided)) AS unit) AS w
JOIN unit_result AS u ON u.unit = w.unit
ORDER BY g.scheme, g.ordinal, g.pool, u.final DESC, w.unit;
