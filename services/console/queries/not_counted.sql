-- 未全额计入的扣分及原因 | Deductions that count less than they claim, and why
SELECT seq, unit, item, matter, ground, claimed, counted, disposition, why_zh, why_en
FROM audit_trail WHERE counted < claimed ORDER BY seq;
