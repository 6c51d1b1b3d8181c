-- 拒收与冲突 | What was refused, and conflicts
SELECT line, source, id, reason, path, message FROM refused
UNION ALL
SELECT seq, source, id, 'conflict', 'id', NULL FROM ledger_event WHERE admission = 'conflict'
ORDER BY line;
