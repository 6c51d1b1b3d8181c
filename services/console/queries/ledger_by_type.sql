-- 账本按来源和类型 | The ledger by source and type
SELECT CASE WHEN source LIKE '/units/%' THEN '/units/*' ELSE source END AS party, type, count(*) AS events,
       count(*) FILTER (admission = 'admitted') AS admitted, min(seq) AS first_seq, max(seq) AS last_seq
FROM ledger_event GROUP BY ALL ORDER BY 1, 2;
