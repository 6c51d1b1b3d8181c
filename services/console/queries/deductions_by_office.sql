-- 各考核责任单位的扣分 | Deductions by office and item
SELECT source, item, count(*) AS deductions, count(DISTINCT unit) AS units, sum(claimed) AS claimed, sum(counted) AS counted
FROM audit_trail GROUP BY source, item ORDER BY counted DESC, source, item;
