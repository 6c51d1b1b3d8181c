-- Schemes (language 7): pools, quotas, who is open to a grade, seats.

-- The schemes with their rules in force. One row a scheme.
-- language 7: scheme
-- stage
CREATE VIEW scheme_in_force AS
SELECT scheme, ordinal, decided(pools, value_of) AS pools, decided(quota_of, value_of) AS quota_of,
       decided(rounding, value_of) AS rounding, decided(quotas, value_of) AS quotas, decided(tie, value_of) AS tie
FROM rulebook_scheme CROSS JOIN reading_map;

-- The groups that a category may have: those declared for it or for any, else those in the roster. One row a category and
-- group.
-- language 7: pools
CREATE VIEW category_group AS
SELECT c.category, g.unit_group FROM rulebook_category AS c
JOIN rulebook_group AS g ON coalesce(g.category = c.category, true)
UNION
SELECT category, unit_group FROM unit_in_force WHERE NOT EXISTS (SELECT 1 FROM rulebook_group);

-- Which units compete together: `each` category, each `group` of it, or as written. One row a scheme, pool, category and
-- group.
-- language 7: pools
-- stage
CREATE VIEW scheme_pool AS
SELECT s.scheme, c.category AS pool, c.category, NULL::VARCHAR AS unit_group
FROM scheme_in_force AS s CROSS JOIN rulebook_category AS c WHERE s.pools = 'each'
UNION ALL
SELECT s.scheme, g.category || '/' || g.unit_group, g.category, g.unit_group
FROM scheme_in_force AS s CROSS JOIN category_group AS g WHERE s.pools = 'group'
UNION ALL
SELECT scheme, pool, unnest(string_split(pool, '+')), NULL
FROM (SELECT scheme, unnest(string_split(pools, ',')) AS pool FROM scheme_in_force WHERE pools NOT IN ('each', 'group'));

-- The units of each pool with their order. One row a scheme and unit.
-- language 7: pools
-- stage
CREATE VIEW pool_unit AS
SELECT p.scheme, p.pool, o.unit, o.final, o.standing
FROM scheme_pool AS p
JOIN unit_order AS o ON o.category = p.category AND coalesce(o.unit_group = p.unit_group, true);

-- The measures that conditions of grades ask for (评定条件): the panel's. One row a unit, item and measure that it has.
-- language 7: require
CREATE VIEW measure_asked AS
SELECT m.unit, m.item, m.measure, m.value
FROM measure_value AS m
JOIN (SELECT DISTINCT item, code FROM rulebook_requirement WHERE kind = 'measure') AS r ON r.item = m.item AND r.code = m.measure
JOIN unit_has_item AS h ON h.unit = m.unit AND h.item = m.item
ANTI JOIN exemption ON exemption.unit = m.unit AND exemption.item = m.item
WHERE m.run = '';

-- Conditions of grades beside the final, and what the unit has of each; what is missing is not met. One row a unit and
-- condition that is not met.
-- language 7: require
CREATE VIEW unmet_requirement AS
SELECT u.unit, r.grade, r.ordinal FROM unit_order AS u CROSS JOIN rulebook_requirement AS r
LEFT JOIN attribute_in_force AS a ON r.kind = 'attribute' AND a.unit = u.unit AND a.attribute = r.code
LEFT JOIN part_points AS p ON r.kind = 'part' AND p.unit = u.unit AND p.part = r.code
LEFT JOIN item_points AS i ON r.kind = 'item' AND i.unit = u.unit AND i.item = r.code
LEFT JOIN measure_asked AS m ON r.kind = 'measure' AND m.unit = u.unit AND m.item = r.item AND m.measure = r.code
CROSS JOIN LATERAL (SELECT coalesce(a.value, p.points, i.points, m.value) AS value) AS held
WHERE NOT coalesce(held.value >= coalesce(r.at_least, held.value) AND held.value <= coalesce(r.at_most, held.value), false);

-- Grades that a veto bars. One row a unit and grade.
-- language 7 "Vetoes": bars, grade_at_most
CREATE VIEW barred_grade AS
SELECT DISTINCT veto_in_force.unit, rulebook_bar.grade
FROM veto_in_force JOIN rulebook_bar ON rulebook_bar.veto = veto_in_force.veto;

-- To whom a grade is open. One row a scheme, pool, grade and unit.
-- language 7: at_least, require
-- stage
CREATE VIEW open_grade AS
SELECT u.scheme, u.pool, g.grade, g.ordinal, u.unit
FROM pool_unit AS u
JOIN rulebook_grade AS g ON g.scheme = u.scheme AND u.final >= coalesce(g.at_least, u.final)
ANTI JOIN unmet_requirement ON unmet_requirement.unit = u.unit AND unmet_requirement.grade = g.grade
ANTI JOIN barred_grade ON barred_grade.unit = u.unit AND barred_grade.grade = g.grade;

-- How many units a share is taken of. One row a scheme and pool.
-- language 7: quota_of
CREATE VIEW pool_base AS
SELECT p.scheme, p.pool, CASE WHEN s.quota_of = 'eligible' OR s.pools IN ('each', 'group') THEN count(u.unit)
                              ELSE (SELECT count(*) FROM unit_order) END AS units
FROM (SELECT DISTINCT scheme, pool FROM scheme_pool) AS p
JOIN scheme_in_force AS s ON s.scheme = p.scheme
LEFT JOIN pool_unit AS u ON u.scheme = p.scheme AND u.pool = p.pool
GROUP BY p.scheme, p.pool, s.quota_of, s.pools;

-- Quotas (名额); null where there is none. One row a scheme, pool and grade.
-- language 7: share, rounding, quotas
-- stage
CREATE VIEW grade_quota AS
SELECT scheme, pool, grade, ordinal,
       CASE WHEN quotas = 'cumulative' AND own IS NOT NULL THEN greatest(0, own - coalesce(max(own) OVER (PARTITION BY scheme, pool ORDER BY ordinal ASC
              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) ELSE own END AS quota
FROM (SELECT b.scheme, b.pool, g.grade, g.ordinal, s.quotas,
             coalesce(g.number, (b.units * nano(g.share) + CASE s.rounding WHEN 'floor' THEN 0 WHEN 'ceil' THEN 999999999
                                   ELSE 500000000 END) // 1000000000)::HUGEINT AS own
      FROM pool_base AS b
      JOIN scheme_in_force AS s ON s.scheme = b.scheme
      JOIN rulebook_grade AS g ON g.scheme = b.scheme);

-- The line of each pool before any tie is resolved, as if all were undecided. One row a scheme and unit.
-- language 7 "Resolved": tie
CREATE VIEW plain_line AS
SELECT scheme, pool, unit, standing AS block, 'undecided' AS tie FROM pool_unit;

-- Seats, grade by grade: the units to which the grade is open and the blocks that owe seats stand in line; a block is served
-- while a seat is left or it holds some, and the cut goes through the one that needs more. One row a scheme, unit and ordinal.
-- language 7 "Seats": grade
-- stage
CREATE VIEW plain_seat AS
WITH RECURSIVE seat AS (
  SELECT scheme, pool, unit, block, tie, 0 AS ordinal, NULL::VARCHAR AS given, false AS is_cut, false AS graded, false AS dead,
         false AS owing, false AS waits, 0::HUGEINT AS held
  FROM plain_line
  UNION ALL
  (WITH turn AS (
    SELECT seat.*, q.grade, coalesce(q.quota, 1000000000000) AS quota, o.unit IS NOT NULL AND NOT graded AND NOT dead AS is_free
    FROM seat JOIN grade_quota AS q ON q.scheme = seat.scheme AND q.pool = seat.pool AND q.ordinal = seat.ordinal + 1
    LEFT JOIN open_grade AS o ON o.scheme = seat.scheme AND o.pool = seat.pool AND o.grade = q.grade AND o.unit = seat.unit
  ), line AS (
    SELECT scheme, pool, block, any_value(held) AS held, greatest(0, count(*) - any_value(held)) AS need,
           greatest(0, any_value(quota) - coalesce(sum(need) OVER (PARTITION BY scheme, pool ORDER BY block ASC
                                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS seats
    FROM turn WHERE is_free OR owing GROUP BY scheme, pool, block
  ), served AS (
    SELECT *, bool_and(seats > 0 OR held > 0) OVER (PARTITION BY scheme, pool ORDER BY block ASC ROWS UNBOUNDED PRECEDING) AS is_served
    FROM line
  ), told AS (
    SELECT turn.*, served.seats, (is_free OR owing) AND coalesce(is_served, false) AS is_in, is_in AND served.need > served.seats AS cut,
           is_free AND is_in AND (NOT cut OR tie = 'include') AS gets, graded OR gets AS has, cut AND tie = 'exclude' OR waits AS waited,
           bool_or(cut) OVER (PARTITION BY turn.scheme, turn.pool, turn.block) AS block_cut,
           bool_or(is_in AND NOT cut) OVER (PARTITION BY turn.scheme, turn.pool, turn.block) AS block_full,
           bool_or(waited AND NOT has) OVER (PARTITION BY turn.scheme, turn.pool, turn.block) AS block_waits
    FROM turn LEFT JOIN served ON served.scheme = turn.scheme AND served.pool = turn.pool AND served.block = turn.block)
  SELECT scheme, pool, unit, block, tie, ordinal + 1, CASE WHEN gets THEN grade END, cut, has, dead OR (cut AND tie = 'undecided'),
         CASE WHEN is_in THEN cut AND tie <> 'exclude' ELSE owing END, waited AND NOT has,
         CASE WHEN block_cut THEN held + seats WHEN block_full AND NOT block_waits THEN 0 ELSE held END
  FROM told)
)
SELECT scheme, pool, unit, block, tie, ordinal, given, is_cut FROM seat WHERE ordinal > 0;

-- Ties that are resolved: the units are exactly a block through which the cut of the grade would go. One row an event and unit.
-- language 7 "Resolved": tie
-- stage
CREATE VIEW settled_tie AS
SELECT t.seq, s.scheme, s.pool, s.unit, list_position(t.units, s.unit) AS position
FROM year_event AS t
JOIN rulebook_grade AS g ON g.grade = t.grade
JOIN plain_seat AS s ON s.scheme = g.scheme AND s.ordinal = g.ordinal AND s.is_cut
WHERE t.type = 'tie.resolved.v1'
QUALIFY count(*) FILTER (position IS NOT NULL) OVER (PARTITION BY t.seq, s.pool, s.block) = len(t.units)
    AND count(*) OVER (PARTITION BY t.seq, s.pool, s.block) = len(t.units);

-- The line of each pool with resolved ties: the latest in its order, then what earlier ones name beside, then the rest as a
-- block. One row a scheme and unit.
-- language 7 "Resolved": tie
-- stage
CREATE VIEW seat_line AS
SELECT u.scheme, u.pool, u.unit, s.tie, t.seq AS settled_by,
       dense_rank() OVER (PARTITION BY u.scheme, u.pool ORDER BY u.standing ASC, coalesce(-t.seq, 0) ASC, coalesce(t.position, 0) ASC) AS block
FROM pool_unit AS u
JOIN scheme_in_force AS s ON s.scheme = u.scheme
LEFT JOIN (SELECT scheme, pool, unit, max(seq) AS seq, arg_max(position, seq) AS position FROM settled_tie
           GROUP BY scheme, pool, unit) AS t ON t.scheme = u.scheme AND t.pool = u.pool AND t.unit = u.unit;

-- Seats as they are, with resolved ties and the rule for the others. One row a scheme, unit and ordinal.
-- language 7 "Seats": grade, tie
-- stage
CREATE VIEW seat LIKE plain_seat WITH seat_line FOR plain_line;

-- Each grade with its units in order, and those that are undecided at its cut. One row a scheme, pool and grade.
-- language 7: grade, individuals
-- stage
CREATE VIEW grade_result AS
SELECT q.scheme, q.pool, q.grade, q.ordinal, q.quota,
       CASE WHEN g.has_individuals THEN p.value::INTEGER END AS individuals,
       coalesce(list(s.unit ORDER BY s.block ASC, s.unit ASC) FILTER (s.given IS NOT NULL), []) AS units,
       coalesce(list(s.unit ORDER BY s.unit ASC) FILTER (s.is_cut AND s.tie = 'undecided'), []) AS undecided
FROM grade_quota AS q
JOIN rulebook_grade AS g ON g.grade = q.grade
JOIN reading_in_force AS p ON p.name = 'individuals_per_unit'
LEFT JOIN seat AS s ON s.scheme = q.scheme AND s.pool = q.pool AND s.ordinal = q.ordinal
GROUP BY q.scheme, q.pool, q.grade, q.ordinal, q.quota, g.has_individuals, p.value;

-- What each unit gets of each scheme in whose pools its category is; null where it gets none. One row a unit and scheme.
-- language 7: grade
-- stage
CREATE VIEW unit_grade AS
SELECT u.unit, p.scheme, any_value(s.given) AS grade, coalesce(bool_or(s.is_cut AND s.tie = 'undecided'), false) AS is_undecided
FROM unit_in_force AS u
JOIN (SELECT DISTINCT scheme, category FROM scheme_pool) AS p ON p.category = u.category
LEFT JOIN seat AS s ON s.scheme = p.scheme AND s.unit = u.unit
GROUP BY u.unit, p.scheme;
