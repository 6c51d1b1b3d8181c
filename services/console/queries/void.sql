-- 无效和重复的事件 | Void and duplicate events
SELECT seq, source, id, type, unit, disposition, why_zh, why_en
FROM (SELECT seq, source, id, 'deduction.recorded.v1' AS type, unit, disposition, why_zh, why_en FROM audit_trail
      UNION ALL SELECT seq, source, id, type, unit, disposition, why_zh, why_en FROM event_trail)
WHERE disposition IN ('void', 'duplicate') ORDER BY seq;
