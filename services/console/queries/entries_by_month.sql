-- 按月份和项目的扣分、加分 | Deductions and bonuses by month and item
SELECT substr(e.time, 1, 7) AS month, d.item, d.kind, count(*) AS entries, sum(d.counted) AS counted
FROM entry_trail AS d JOIN event AS e ON e.seq = d.seq GROUP BY month, d.item, d.kind ORDER BY month, d.item, d.kind;
