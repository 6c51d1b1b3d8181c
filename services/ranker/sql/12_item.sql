-- Every item of every unit: points and state (regulation page, "How lines are reckoned").

-- Points reckoned before exemptions: what there is so far, null where a rated item has no input.
-- stage
CREATE VIEW item_reckoned AS
SELECT u.unit, f.item, f.ordinal, f.part, f.year_end, f.method, f.clause, f.points AS points_base,
       coalesce(p.points, CASE WHEN f.method = 'deduct' THEN f.points
                               WHEN c.item IS NOT NULL AND k.value = 'best' THEN 0 END) AS points,
       x.exempted_by, c.item IS NOT NULL AS closed, coalesce(p.one_group, false) AS one_group,
       CASE WHEN x.exempted_by IS NOT NULL THEN 'exempt'
            WHEN c.item IS NOT NULL AND (f.method = 'deduct' OR k.value = 'best' OR coalesce(p.complete, false)) THEN 'scored'
            ELSE 'pending' END AS state
FROM roster u CROSS JOIN item_full f
LEFT JOIN (SELECT * FROM own_points
           UNION ALL SELECT unit, item, points, true, false FROM band_points
           UNION ALL SELECT unit, item, points, true, false FROM step_points
           UNION ALL SELECT unit, item, points, true, false FROM ranked_points) p ON p.unit = u.unit AND p.item = f.item
LEFT JOIN rule_in_force k ON k.item = f.item AND k.rule = 'cases'
LEFT JOIN exemption x ON x.unit = u.unit AND x.item = f.item
LEFT JOIN closed_item c ON c.item = f.item;

-- Points and full points of what is not exempted, by part and over all daily items: the measure for exempted ones.
CREATE VIEW exempt_measure AS
SELECT unit, part, year_end, sum(coalesce(points, 0)) AS points, sum(points_base) AS points_base
FROM item_reckoned WHERE exempted_by IS NULL GROUP BY unit, part, year_end;

-- Points of each item: an exempted deduct item is full, an exempted rated one in proportion to its part, with none left
-- in the part to all daily items, with none at all full.
-- stage
CREATE VIEW item_points AS
SELECT r.unit, r.item, r.ordinal, r.part, r.year_end, r.method, r.clause, r.points_base, r.exempted_by, r.state, r.closed,
       r.one_group AND r.exempted_by IS NULL AS one_group,
       CASE WHEN r.exempted_by IS NULL THEN r.points
            WHEN r.method = 'deduct' OR (p.points_base IS NULL AND d.points_base IS NULL) THEN r.points_base
            ELSE points_of(half_up(micro(r.points_base) * micro(coalesce(p.points, d.points)),
                                   micro(coalesce(p.points_base, d.points_base)))) END::DECIMAL(18,6) AS points
FROM item_reckoned r
LEFT JOIN exempt_measure p ON p.unit = r.unit AND p.part = r.part
LEFT JOIN (SELECT unit, sum(points) AS points, sum(points_base) AS points_base
           FROM exempt_measure WHERE NOT year_end GROUP BY unit) d ON d.unit = r.unit;
