-- 撤销、改定和取代 | What was revoked, revised or replaced
SELECT e.seq, e.source, e.id, e.unit, e.item, t.disposition, t.why_zh, t.why_en
FROM trail AS t JOIN ledger_event AS e ON e.seq = t.seq
WHERE t.disposition IN ('revoked', 'revised', 'replaced') ORDER BY e.seq;
