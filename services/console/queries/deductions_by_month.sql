-- 按月份和项目的扣分 | Deductions by month and item
SELECT substr(e.time, 1, 7) AS month, d.item, count(*) AS deductions, sum(d.counted) AS counted
FROM audit_trail d JOIN event e ON e.seq = d.seq GROUP BY month, d.item ORDER BY month, d.item;
