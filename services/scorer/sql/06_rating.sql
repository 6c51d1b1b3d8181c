-- Ratings (评分): which of them count, and what a unit's own ratings come to.

-- The latest standing rating of each rater, or of anybody where raters are not told apart.
-- stage
CREATE VIEW rating_in_force AS
SELECT e.unit, e.item, f.method, e.rater_group, e.component, e.case_name, max(e.seq) AS seq,
       arg_max(coalesce(e.revised_to, e.value), e.seq) AS value
FROM judged_event e JOIN item_full f ON f.item = e.item
WHERE e.type = 'rating.recorded.v1' AND e.stands
GROUP BY e.unit, e.item, f.method, e.rater_group, e.component, e.case_name,
         CASE WHEN f.method IN ('mean', 'weighted_mean') THEN e.rater END;

-- Panels (评审组), case by case: the mean of the raters, trimmed of one highest and one lowest where there are three or more:
-- 四(一)2(1), 四(一)4, 四(二).
CREATE VIEW panel_case AS
SELECT unit, item, case_name, ratings, trimmed, number, points_of(total) AS total, points AS points_base, value_max,
       points_of(half_up(total * micro(points), number * micro(value_max))) AS points
FROM (SELECT r.unit, r.item, r.case_name, f.points, v.value_max, list(r.value ORDER BY r.value, r.seq) AS ratings,
             any_value(m.value) = 'trimmed' AND count(*) >= 3 AS trimmed,
             CASE WHEN trimmed THEN count(*) - 2 ELSE count(*) END AS number,
             CASE WHEN trimmed THEN sum(micro(r.value)) - max(micro(r.value)) - min(micro(r.value))
                  ELSE sum(micro(r.value)) END AS total
      FROM rating_in_force r
      JOIN item_full f ON f.item = r.item AND f.method = 'mean'
      JOIN rulebook_range v ON v.item = r.item
      JOIN rule_in_force m ON m.item = r.item AND m.rule = 'mean'
      GROUP BY r.unit, r.item, r.case_name, f.points, v.value_max);

-- A panel's points: of the best case.
CREATE VIEW panel_points AS
SELECT unit, item, max(points) AS points FROM panel_case GROUP BY unit, item;

-- The sum and number of the ratings of each group of raters.
CREATE VIEW group_mean AS
SELECT r.unit, r.item, g.ordinal, count(*)::HUGEINT AS number, sum(micro(r.value)) AS total,
       split_part(w.value, '/', g.ordinal)::HUGEINT AS weight
FROM rating_in_force r
JOIN rulebook_group g ON g.item = r.item AND g.rater_group = r.rater_group
JOIN rule_in_force w ON w.item = r.item AND w.rule = 'weights'
GROUP BY r.unit, r.item, g.ordinal, w.value;

-- The weighted mean of two groups; with one group only, its mean: 四(一)2(2).
CREATE VIEW weighted_points AS
SELECT a.unit, a.item,
       points_of(CASE
         WHEN b.number IS NULL THEN half_up(a.total * micro(f.points), a.number * micro(v.value_max))
         ELSE half_up((a.weight * a.total * b.number + b.weight * b.total * a.number) * micro(f.points),
                      (a.weight + b.weight) * a.number * b.number * micro(v.value_max)) END) AS points,
       b.number IS NULL AS one_group
FROM group_mean a
LEFT JOIN group_mean b ON b.unit = a.unit AND b.item = a.item AND b.ordinal > a.ordinal
JOIN item_full f ON f.item = a.item
JOIN rulebook_range v ON v.item = a.item
QUALIFY row_number() OVER (PARTITION BY a.unit, a.item ORDER BY a.ordinal) = 1;

-- A value scaled to the item's points: 四(一)2(3), 四(一)3(1).
CREATE VIEW scaled_points AS
SELECT r.unit, r.item, points_of(half_up(micro(r.value) * micro(f.points), micro(v.value_max))) AS points
FROM rating_in_force r
JOIN item_full f ON f.item = r.item AND f.method = 'scaled'
JOIN rulebook_range v ON v.item = r.item
JOIN rule_in_force o ON o.item = r.item AND o.rule = 'order' AND o.value = 'final';

-- Components, each a rate of 0 to 1 times its points: 四(一)3(2), 四(一)3(3).
CREATE VIEW checklist_points AS
SELECT r.unit, r.item, points_of(half_up(sum(micro(r.value) * micro(c.points)), 1000000)) AS points,
       count(*) = any_value(n.components) AS complete
FROM rating_in_force r
JOIN rulebook_component c ON c.item = r.item AND c.component = r.component
JOIN (SELECT item, count(*) AS components FROM rulebook_component GROUP BY item) n ON n.item = r.item
GROUP BY r.unit, r.item;

-- What a unit's own events come to, item by item, before what needs the other units.
-- stage
CREATE VIEW own_points AS
SELECT unit, item, points, true AS complete, false AS one_group FROM panel_points
UNION ALL SELECT unit, item, points, true, one_group FROM weighted_points
UNION ALL SELECT unit, item, points, true, false FROM scaled_points
UNION ALL SELECT unit, item, points, complete, false FROM checklist_points
UNION ALL SELECT l.unit, l.item, (f.points - sum(l.points_counted))::DECIMAL(18,6), true, false
          FROM deduction_line l JOIN item_full f ON f.item = l.item GROUP BY l.unit, l.item, f.points;
