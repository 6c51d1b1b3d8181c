-- 尚不能定稿的原因 | What stands in the way of final
SELECT kind, coalesce(item, name) AS name, count(*) AS number, list(unit ORDER BY unit) FILTER (unit IS NOT NULL) AS units,
       list(seq ORDER BY seq) FILTER (seq IS NOT NULL) AS events
FROM obstacle GROUP BY kind, coalesce(item, name) ORDER BY kind, name;
