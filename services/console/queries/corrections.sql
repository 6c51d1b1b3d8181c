-- 撤销、改定和取代 | What was revoked, revised or replaced
SELECT seq, source, id, unit, item, disposition, why_zh, why_en
FROM (SELECT seq, source, id, unit, item, disposition, why_zh, why_en FROM audit_trail
      UNION ALL SELECT seq, source, id, unit, item, disposition, why_zh, why_en FROM event_trail)
WHERE disposition IN ('revoked', 'revised', 'replaced') ORDER BY seq;
