-- 各考核责任单位的扣分、加分 | Deductions and bonuses by office and item
SELECT source, item, kind, count(*) AS entries, count(DISTINCT unit) AS units, sum(claimed) AS claimed, sum(counted) AS counted
FROM entry_trail GROUP BY source, item, kind ORDER BY sum(counted) DESC, source, item, kind;
