-- 各项目得分分布 | How the points of each item are spread
SELECT i.item, r.name_zh, r.name_en, any_value(i.points_base) AS points_base, min(i.points) AS lowest,
       quantile_disc(i.points, 0.5) AS middle, max(i.points) AS highest,
       count(*) FILTER (i.points = i.points_base) AS full_points, count(*) FILTER (i.state = 'pending') AS pending
FROM item_result i JOIN rulebook_item r ON r.item = i.item
GROUP BY i.item, r.ordinal, r.name_zh, r.name_en ORDER BY r.ordinal;
