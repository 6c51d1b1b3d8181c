-- 未全额计入的扣分、加分及原因 | Entries that count less than they claim, and why
SELECT seq, kind, unit, item, matter, ground, claimed, counted, disposition, why_zh, why_en
FROM entry_trail WHERE counted < claimed ORDER BY seq;
