-- 拒收与冲突 | What was refused, by intake or by the fold, and conflicts
SELECT 'intake' AS refused_by, party, intake_seq AS line, source, id, reason, path, message, sha256 FROM intake_refused
UNION ALL
SELECT 'fold', split_part(source, '/', 3), line, source, id, reason, path, message, NULL FROM refused
UNION ALL
SELECT 'fold', split_part(source, '/', 3), seq, source, id, 'conflict', 'id', NULL, sha256(raw)
FROM ledger_event WHERE admission = 'conflict'
ORDER BY refused_by DESC, line;
