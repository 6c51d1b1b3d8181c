-- 申诉及决定 | Appeals and what was decided
SELECT a.seq, a.unit, substr(e.time, 1, 10) AS filed, a.statement, a.target, t.item, a.open, a.outcome, a.decided_by, d.reason AS decision
FROM appeal a
JOIN event e ON e.seq = a.seq
JOIN event t ON t.seq = a.target
LEFT JOIN event d ON d.seq = a.decided_by
ORDER BY a.seq;
