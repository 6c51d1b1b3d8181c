-- 无效和重复的事件 | Void and duplicate events
SELECT e.seq, e.source, e.id, e.type, e.unit, t.disposition, t.why_zh, t.why_en
FROM trail AS t JOIN ledger_event AS e ON e.seq = t.seq
WHERE t.disposition IN ('void', 'duplicate') ORDER BY e.seq;
