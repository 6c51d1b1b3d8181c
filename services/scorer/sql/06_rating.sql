-- Ratings (评分): which of them count, and the value that they come to (language 4, "Which count", "To a value").

-- The latest standing rating of each rater, or of anybody in a panel `latest`. One row a unit, item, run, measure, group of
-- raters and rater.
-- language 4 "Which count": ratings
-- stage
CREATE VIEW rating_in_force AS
SELECT e.unit, e.item, coalesce(e.case_name, e.period, '') AS run, coalesce(e.measure, 'value') AS measure,
       coalesce(e.rater_group, '') AS rater_group, CASE WHEN item_in_force.panel <> 'latest' THEN e.rater ELSE '' END AS rater,
       max(e.seq) AS seq, arg_max(coalesce(e.revised_to, e.value), e.seq) AS value
FROM judged_event AS e JOIN item_in_force ON item_in_force.item = e.item
WHERE e.type = 'rating.recorded.v1' AND e.stands
GROUP BY e.unit, e.item, run, e.measure, e.rater_group, CASE WHEN item_in_force.panel <> 'latest' THEN e.rater ELSE '' END;

-- The mean of each panel (评审组), trimmed of one highest and one lowest where there are three or more. One row a unit, item,
-- run, measure and group of raters.
-- language 4 "To a value": ratings
-- stage
CREATE VIEW panel_mean AS
SELECT *, value_of(half_up(total * 1000, number)) AS value
FROM (SELECT unit, item, run, measure, rater_group, ratings, trimmed, CASE WHEN trimmed THEN ratings - 2 ELSE ratings END AS number,
             CASE WHEN trimmed THEN every - largest - smallest ELSE every END AS total
      FROM (SELECT r.unit, r.item, r.run, r.measure, r.rater_group, count(*)::BIGINT AS ratings,
                   any_value(item_in_force.panel) = 'trimmed' AND count(*) >= 3 AS trimmed, sum(micro(r.value)) AS every,
                   max(micro(r.value)) AS largest, min(micro(r.value)) AS smallest
            FROM rating_in_force AS r JOIN item_in_force ON item_in_force.item = r.item
            GROUP BY r.unit, r.item, r.run, r.measure, r.rater_group));

-- The weighted mean of the groups of raters that have rated. One row a unit, item, run and measure.
-- language 4: ratings, raters, weights
-- stage
CREATE VIEW measure_value AS
SELECT unit, item, run, measure, rater_groups, value_of(half_up(total, weight)) AS value
FROM (SELECT p.unit, p.item, p.run, p.measure, count(*)::BIGINT AS rater_groups, sum(p.weight * nano(p.value)) AS total,
             sum(p.weight) AS weight
      FROM (SELECT panel_mean.*,
                   coalesce(split_part(item_in_force.weights, '/', rulebook_raters.ordinal)::HUGEINT, 1) AS weight
            FROM panel_mean
            JOIN item_in_force ON item_in_force.item = panel_mean.item
            LEFT JOIN rulebook_raters
              ON rulebook_raters.item = panel_mean.item AND rulebook_raters.rater_group = panel_mean.rater_group) AS p
      GROUP BY p.unit, p.item, p.run, p.measure);

-- The runs that a unit has any rating of, and whether all measures are there that it needs. One row a unit, item and run.
-- language 4: ratings, measure
-- stage
CREATE VIEW rated_run AS
SELECT m.unit, m.item, m.run, count(*) FILTER (list_contains(i.needed, m.measure)) = len(i.needed) AS complete
FROM measure_value AS m JOIN item_in_force AS i ON i.item = m.item
GROUP BY m.unit, m.item, m.run, len(i.needed);

-- The runs of items with a formula, those of attributes alone included: the unit's measures in one map, and its
-- attributes in another. One row a unit, item and run.
-- language 4 "To a value": formula
CREATE VIEW formula_run AS
SELECT run.unit, run.item, run.run, run.measures, own.attributes
FROM (SELECT m.unit, m.item, m.run, map_from_entries(list({'k': m.measure, 'v': m.value})) AS measures
      FROM measure_value AS m JOIN item_in_force ON item_in_force.item = m.item AND item_in_force.has_formula
      GROUP BY m.unit, m.item, m.run
      UNION ALL
      SELECT unit_has_item.unit, unit_has_item.item, '', MAP {}::MAP(VARCHAR, DECIMAL(18,9)) FROM unit_has_item
      JOIN item_in_force ON item_in_force.item = unit_has_item.item AND len(item_in_force.needed) = 0 AND item_in_force.has_formula
      ANTI JOIN rated_run ON rated_run.unit = unit_has_item.unit AND rated_run.item = unit_has_item.item) AS run
LEFT JOIN (SELECT unit, map_from_entries(list({'k': attribute, 'v': value})) AS attributes
           FROM attribute_in_force GROUP BY unit) AS own ON own.unit = run.unit;

-- Of a measure or an attribute: its value.
CREATE MACRO quantity(name, measures, attributes) AS
  coalesce(map_extract_value(measures, name), map_extract_value(attributes, name)::DECIMAL(18,9));

-- Each term of a formula; null where its measure is missing, or its ratio is to 0 or less. One row a unit, item, run and term.
-- language 4 "To a value": formula
-- stage
CREATE VIEW formula_term AS
SELECT unit, item, run, ordinal, plus_value, less_value, times_value, ratio_value,
       within(value_of(half_up(dividend, divisor)), -bound, bound)::DECIMAL(18,9) AS value
FROM (SELECT *, CASE WHEN is_ratio THEN nano(plus_value) * 1000000000 ELSE (nano(plus_value) - nano(less_value)) * micro(times_value) END
                  AS dividend, CASE WHEN NOT is_ratio THEN 1000000 WHEN ratio_value > 0 THEN nano(ratio_value) END AS divisor
      FROM (SELECT run.unit, run.item, run.run, t.ordinal, t.bound, t.ratio_to IS NOT NULL AS is_ratio,
                   quantity(t.plus, measures, attributes) AS plus_value,
                   CASE WHEN t.less IS NULL THEN coalesce(t.less_number, 0) ELSE quantity(t.less, measures, attributes)
                   END::DECIMAL(18,9) AS less_value,
                   CASE WHEN t.times IS NULL THEN coalesce(t.times_number, 1) ELSE quantity(t.times, measures, attributes)
                   END::DECIMAL(18,6) AS times_value,
                   quantity(t.ratio_to, measures, attributes) AS ratio_value
            FROM formula_run AS run JOIN rulebook_term AS t ON t.item = run.item));

-- The value of each run, and whether it lacks a measure or a ratio; the sum of the terms x the factor, or the mean itself.
-- One row a unit, item and run.
-- language 4 "To a value": ratings, formula
-- stage
CREATE VIEW run_value AS
SELECT t.unit, t.item, t.run, t.lacks,
       CASE WHEN item_in_force.factor IS NULL THEN t.value ELSE value_of(half_up(nano(t.value) * micro(factor.value), 1000000)) END AS value
FROM (SELECT unit, item, run, bool_or(value IS NULL) AS lacks, value_of(sum(nano(coalesce(value, 0)))) AS value
      FROM formula_term GROUP BY unit, item, run) AS t
JOIN item_in_force ON item_in_force.item = t.item
LEFT JOIN attribute_in_force AS factor ON factor.unit = t.unit AND factor.attribute = item_in_force.factor
UNION ALL
SELECT m.unit, m.item, m.run, false, m.value
FROM measure_value AS m JOIN item_in_force ON item_in_force.item = m.item AND NOT item_in_force.has_formula;
