-- 先进奖名单 | The awards and who gets them
SELECT a.award, a.scope, a.quota, w.unit, u.final, list_contains(a.undecided, w.unit) AS undecided
FROM award_result a
CROSS JOIN LATERAL (SELECT unnest(list_concat(a.units, a.undecided)) AS unit) w
JOIN unit_result u ON u.unit = w.unit
ORDER BY a.ordinal, a.scope, u.final DESC, w.unit;
