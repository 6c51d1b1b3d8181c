-- Readings (language 8): the default, over it the latest standing adoption, over it the option, and over all of them an
-- auditor's SET VARIABLE readings = MAP {'name': 'value'}.

-- The latest standing adoption. One row a reading or parameter that is adopted.
-- language 8: reading, parameter
CREATE VIEW reading_adopted AS
SELECT reading AS name, arg_max(reading_value, seq) AS value, max(seq) AS adopted_by
FROM year_event WHERE type = 'reading.adopted.v1' GROUP BY reading;

-- What is in force, and whether an option put it there. One row a reading or parameter.
-- language 8: reading, parameter
-- stage
CREATE VIEW reading_in_force AS
SELECT rulebook_reading.name, rulebook_reading.ordinal, rulebook_reading.clause, rulebook_reading.is_reading,
       rulebook_reading.is_assumption, coalesce(variable.value, reading_option.value, reading_adopted.value, rulebook_reading.value) AS value,
       reading_adopted.adopted_by, coalesce(variable.value, reading_option.value) IS NOT NULL AS by_option
FROM rulebook_reading
LEFT JOIN reading_adopted ON reading_adopted.name = rulebook_reading.name
LEFT JOIN reading_option ON reading_option.name = rulebook_reading.name
CROSS JOIN LATERAL (
  SELECT map_extract_value(getvariable('readings')::MAP(VARCHAR, VARCHAR), rulebook_reading.name) AS value
) AS variable;

-- The readings as one map from what the rulebook writes (`@name`) to the value in force. One row.
-- language 8: reading
-- stage
CREATE VIEW reading_map AS
SELECT coalesce(map_from_entries(list({'k': '@' || name, 'v': value})), MAP {}) AS value_of
FROM reading_in_force WHERE is_reading;

-- Of a key that may be decided by a reading: the value in force.
CREATE MACRO decided(written, value_of) AS coalesce(map_extract_value(value_of, written), written);

-- The method (计分方法) in force of each item of ratings, with its full points. One row an item.
-- language 4 "To points": method, scoring
-- stage
CREATE VIEW method_in_force AS
SELECT rulebook_method.item, rulebook_method.method, kind, item_points, run_points, of_value, between_rows, step,
       decided(ties, value_of) AS ties, decided(rounding, value_of) AS rounding, decided(pool, value_of) AS pool,
       low_first, per_rater, places, kind IN ('rank', 'bands', 'best', 'level') AS compares
FROM rulebook_method
JOIN rulebook_item ON rulebook_item.item = rulebook_method.item
CROSS JOIN reading_map
WHERE rulebook_method.method = decided(rulebook_item.scoring, value_of);

-- The items with what is in force of them: full points, bounds of a run or of the balance, rules.
-- One row an item.
-- language 1: item
-- stage
CREATE VIEW item_in_force AS
SELECT rulebook_item.item, rulebook_item.ordinal, rulebook_item.parent, rulebook_item.level, weight, grain, input, exempt,
       coalesce(method_in_force.item_points, rulebook_item.points) AS points_base, start, at_least,
       CASE WHEN at_most_full THEN method_in_force.run_points ELSE at_most END AS at_most,
       decided(matter, value_of) AS matter, decided(purse, value_of) AS purse, decided(panel, value_of) AS panel,
       decided(weights, value_of) AS weights, runs, run_count, combine, missing_zero, has_formula, factor, needed,
       coalesce(compares, false) AS compares, clause
FROM rulebook_item
CROSS JOIN reading_map
LEFT JOIN method_in_force ON method_in_force.item = rulebook_item.item;
