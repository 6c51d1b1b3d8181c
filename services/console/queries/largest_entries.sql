-- 实计最多的五十笔 | The fifty entries that count most
SELECT seq, kind, unit, item, matter, ground, claimed, counted, balance_after, why_zh, why_en
FROM entry_trail WHERE counted > 0 ORDER BY counted DESC, seq LIMIT 50;
