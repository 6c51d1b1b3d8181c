-- 实扣最多的五十笔 | The fifty deductions that count most
SELECT seq, unit, item, matter, ground, claimed, counted, balance_after, why_zh, why_en
FROM audit_trail WHERE counted > 0 ORDER BY counted DESC, seq LIMIT 50;
