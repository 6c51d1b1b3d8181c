-- Readings (regulation page, "Readings by name"): the default, over it the latest standing adoption, over it the option,
-- and over all of them an auditor's SET VARIABLE readings = MAP {'step': 'geometric'}.

-- The latest standing adoption of each reading or parameter.
CREATE VIEW reading_adopted AS
SELECT reading AS name, arg_max(reading_value, seq) AS value, max(seq) AS adopted_by
FROM year_event WHERE type = 'reading.adopted.v1' GROUP BY reading;

-- What is in force of each reading and parameter, and whether an option put it there.
-- stage
CREATE VIEW reading_in_force AS
SELECT r.name, r.clause, r.is_reading, coalesce(v.value, o.value, a.value, r.value) AS value,
       a.adopted_by, coalesce(v.value, o.value) IS NOT NULL AS by_option
FROM rulebook_reading r
LEFT JOIN reading_adopted a ON a.name = r.name
LEFT JOIN reading_option o ON o.name = r.name
CROSS JOIN LATERAL (SELECT map_extract_value(getvariable('readings')::MAP(VARCHAR, VARCHAR), r.name) AS value) v;

-- The rules of each item and of the awards ('award'), with "@name" resolved to the reading in force.
-- stage
CREATE VIEW rule_in_force AS
SELECT i.item, i.rule, coalesce(r.value, i.value) AS value
FROM rulebook_rule i LEFT JOIN reading_in_force r ON i.value = '@' || r.name;

-- Full points (基本分) of an item: a mean is scaled to its rule's scale, all others to the item's points.
-- stage
CREATE VIEW item_full AS
SELECT i.item, i.ordinal, i.part, i.year_end, i.method, i.clause,
       coalesce(r.value::DECIMAL(18,6), i.points) AS points
FROM rulebook_item i LEFT JOIN rule_in_force r ON r.item = i.item AND r.rule = 'scale';
