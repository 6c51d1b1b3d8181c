-- Every item of every unit: points and state (language 4 to 6).

-- Runs (周期、实例) with their points; with `missing = "0"` every value of the period's list is one. One row a unit, item
-- and run.
-- language 4 "Runs": ratings
-- stage
CREATE VIEW run_points AS
SELECT p.unit, p.item, p.run, p.points, coalesce(rulebook_period.ordinal, 0) AS ordinal, false AS is_missing
FROM (SELECT * FROM own_points UNION ALL SELECT * FROM compared_points) AS p
JOIN item_in_force ON item_in_force.item = p.item AND item_in_force.input = 'ratings'
LEFT JOIN rulebook_period ON rulebook_period.period = item_in_force.runs AND rulebook_period.value = p.run
UNION ALL
SELECT rated.unit, rated.item, rulebook_period.value, 0, rulebook_period.ordinal, true
FROM (SELECT DISTINCT unit, item FROM rated_run) AS rated
JOIN item_in_force ON item_in_force.item = rated.item AND item_in_force.missing_zero
JOIN rulebook_period ON rulebook_period.period = item_in_force.runs
ANTI JOIN (SELECT * FROM own_points UNION ALL SELECT * FROM compared_points) AS p
  ON p.unit = rated.unit AND p.item = rated.item AND p.run = rulebook_period.value;

-- What the runs of an item come to together. One row a unit and item.
-- language 4 "Runs": ratings
CREATE VIEW rated_points AS
SELECT r.unit, r.item,
       points_of(CASE any_value(item_in_force.combine)
         WHEN 'best' THEN max(micro(r.points)) WHEN 'sum' THEN sum(micro(r.points))
         WHEN 'latest' THEN coalesce(arg_max(micro(r.points), r.ordinal) FILTER (NOT r.is_missing), 0) ELSE half_up(sum(micro(r.points)), count(*)) END) AS points
FROM run_points AS r JOIN item_in_force ON item_in_force.item = r.item
GROUP BY r.unit, r.item;

-- Whether a unit's ratings are complete, and of exactly one of several groups of raters. One row a unit and item.
-- language 5: ratings
-- stage
CREATE VIEW rated_state AS
SELECT r.unit, r.item, r.complete, coalesce(g.one_group, false) AS one_group
FROM (SELECT unit, item, bool_or(complete) AS complete FROM rated_run GROUP BY unit, item) AS r
LEFT JOIN (SELECT unit, item, min(rater_group) = max(rater_group) AS one_group FROM panel_mean
           SEMI JOIN (SELECT item FROM rulebook_raters GROUP BY item HAVING count(*) > 1) AS several USING (item)
           GROUP BY unit, item) AS g ON g.unit = r.unit AND g.item = r.item;

-- What a unit has of an item, of entries or ratings. One row a unit and item that has any.
-- language 5: item
CREATE VIEW item_input AS
SELECT coalesce(s.unit, p.unit) AS unit, coalesce(s.item, p.item) AS item, s.unit IS NOT NULL AS is_rated, s.complete, s.one_group,
       p.points
FROM rated_state AS s FULL JOIN rated_points AS p ON p.unit = s.unit AND p.item = s.item
UNION ALL SELECT unit, item, false, NULL, NULL, points FROM entry_points;

-- Points before exemptions and vetoes: what there is so far, null where there is none. One row a unit and item.
-- language 5: item
-- stage
CREATE VIEW item_reckoned AS
WITH has AS MATERIALIZED (  -- narrow: the engine would hash all columns of the item for each unit
  SELECT u.unit, u.item, u.has_left, own.points, own.is_rated, own.complete, own.one_group
  FROM unit_has_item AS u LEFT JOIN item_input AS own ON own.unit = u.unit AND own.item = u.item
)
SELECT unit, item, retired, exempted_by, closed, one_group,
       CASE WHEN exempted_by IS NOT NULL THEN 'exempt' WHEN closed AND ready THEN 'scored' ELSE 'pending' END AS state,
       to_grain(CASE WHEN retired THEN NULL WHEN input = 'entries' THEN coalesce(points, within(start, at_least, at_most))
                     ELSE coalesce(points, CASE WHEN closed AND ready THEN 0 END) END, grain) AS points
FROM (SELECT i.*, has.unit, has.has_left AND i.compares AS retired, has.points, coalesce(has.one_group, false) AS one_group,
             exemption.exempted_by, closed_item.item IS NOT NULL AS closed,
             i.input = 'entries' OR coalesce(has.complete, len(i.needed) = 0) OR (i.missing_zero AND has.is_rated IS NULL) AS ready
      FROM has
      LEFT JOIN exemption ON exemption.unit = has.unit AND exemption.item = has.item
      LEFT JOIN closed_item ON closed_item.item = has.item
      LEFT JOIN item_in_force AS i ON i.item = has.item);

-- The measure of exempted items: points and full points of what is not exempted under each part above them, nearest part
-- first. One row a unit, item and part that has any.
-- language 6: item
CREATE VIEW exempt_measure AS
SELECT exempted.unit, exempted.item, above.part, above.distance, any_value(micro(i.points_base)) AS own,
       sum(micro(coalesce(other.points, 0))) AS points_micro, sum(micro(o.points_base)) AS points_base_micro
FROM item_reckoned AS exempted
JOIN item_in_force AS i ON i.item = exempted.item AND i.exempt = 'proportional'
JOIN rulebook_above AS above ON above.code = exempted.item
JOIN rulebook_above AS beside ON beside.part = above.part
JOIN item_reckoned AS other ON other.unit = exempted.unit AND other.item = beside.code
JOIN item_in_force AS o ON o.item = other.item AND o.points_base > 0 AND o.weight > 0
WHERE exempted.exempted_by IS NOT NULL AND NOT exempted.retired AND other.exempted_by IS NULL
GROUP BY exempted.unit, exempted.item, above.part, above.distance;

-- The nearest part with a measure. One row a unit and item that is exempted in proportion.
-- language 6: item
CREATE VIEW exempt_share AS
SELECT unit, item, part, points_micro, points_base_micro, half_up(own * points_micro, points_base_micro) AS granted
FROM (SELECT unit, item, arg_min(part, distance) AS part, arg_min(points_micro, distance) AS points_micro,
             arg_min(points_base_micro, distance) AS points_base_micro, any_value(own) AS own
      FROM exempt_measure GROUP BY unit, item);

-- Points of exempted items: full, 0, in proportion, or out. One row a unit and item that is exempted.
-- language 6: item
-- stage
CREATE VIEW item_granted AS
SELECT r.unit, r.item, i.exempt = 'out' AS is_out, s.part AS measured_by,
       to_grain(CASE WHEN i.exempt = 'start' THEN 0 WHEN i.exempt = 'out' THEN NULL WHEN s.unit IS NULL THEN i.points_base
                     ELSE points_of(s.granted) END, i.grain)::DECIMAL(18,6) AS points
FROM item_reckoned AS r
JOIN item_in_force AS i ON i.item = r.item
LEFT JOIN exempt_share AS s ON s.unit = r.unit AND s.item = r.item
WHERE r.exempted_by IS NOT NULL AND NOT r.retired;

-- Vetoes that make a part or item 0. One row a unit and part or item.
-- language 7 "Vetoes": zero
-- stage
CREATE VIEW zeroed AS
SELECT unit, zero AS code, max(seq) AS zeroed_by FROM veto_in_force WHERE zero IS NOT NULL GROUP BY unit, zero;

-- Points of each item, after vetoes: null where there are none or the item is out. One row a unit and item.
-- language 7 "Vetoes": item
-- stage
CREATE VIEW item_points AS
SELECT r.unit, r.item, i.ordinal, i.parent, i.level, i.weight, i.clause, i.input, i.compares, i.points_base, r.exempted_by, r.closed,
       r.state, coalesce(g.is_out, false) AS is_out, g.measured_by, zeroed.zeroed_by, r.one_group AND r.exempted_by IS NULL AS one_group,
       CASE WHEN g.is_out THEN NULL WHEN zeroed.unit IS NOT NULL THEN 0 WHEN g.unit IS NOT NULL THEN g.points ELSE r.points
       END::DECIMAL(18,6) AS points
FROM item_reckoned AS r
LEFT JOIN item_in_force AS i ON i.item = r.item
LEFT JOIN item_granted AS g ON g.unit = r.unit AND g.item = r.item
LEFT JOIN zeroed ON zeroed.unit = r.unit AND zeroed.code = r.item;

-- Values of the period's list that a unit lacks in a closed item. One row a unit, item and run.
-- language 5: period, runs
CREATE VIEW lacking_run AS
SELECT r.unit, r.item, rulebook_period.value AS run
FROM item_reckoned AS r
JOIN item_in_force AS i ON i.item = r.item
JOIN rulebook_period ON rulebook_period.period = i.runs
LEFT JOIN run_value ON run_value.unit = r.unit AND run_value.item = r.item AND run_value.run = rulebook_period.value
WHERE r.closed AND r.exempted_by IS NULL AND (run_value.unit IS NULL OR (run_value.lacks AND i.compares));
