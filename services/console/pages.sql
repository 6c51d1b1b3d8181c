-- What the pages ask of a state, one query a block; {lang} is zh or en, {margin} and {trail} stand for blocks of their own.

-- :trail every event that has a disposition
SELECT t.*, e.source, e.id, e.type, e.unit, coalesce(e.item, i.item) AS item, i.clause, day_sent(e.time, e.occurred) AS day,
       e.recorded_at, e.rater, e.case_name, e.value, e.reading, e.reading_value, e.stage, e.outcome, e.attribute, e.veto,
       e.change, e.grade, e.matter AS about, e.reason AS words
FROM trail t JOIN event e ON e.seq = t.seq LEFT JOIN rulebook_item i ON i.item = e.item

-- :categories in their order
SELECT category, name_{lang} AS name, is_ranked FROM rulebook_category ORDER BY ordinal

-- :grades in their order
SELECT scheme, grade, ordinal, name_{lang} AS name FROM rulebook_grade ORDER BY scheme, ordinal

-- :tops of the tree, each with what one point of it is worth in the final
SELECT p.part, p.name_{lang} AS name, (p.weight * f.times)::DECIMAL(18,8) AS worth
FROM rulebook_part p CROSS JOIN rulebook_final f WHERE p.parent IS NULL ORDER BY p.ordinal

-- :names of everything that a page shows by code: grades, stages, attributes, vetoes
SELECT grade AS code, name_{lang} AS name FROM rulebook_grade
UNION ALL SELECT stage, name_{lang} FROM rulebook_stage
UNION ALL SELECT attribute, name_{lang} FROM rulebook_attribute
UNION ALL SELECT veto, name_{lang} FROM rulebook_veto

-- :board_margins of every unit: at the cut of the grade that it has, or else of the last one of its first scheme
WITH margin AS ({margin})
SELECT m.unit, m.margin, m.grade
FROM margin m
JOIN rulebook_scheme s ON s.scheme = m.scheme
LEFT JOIN unit_grade g ON g.unit = m.unit AND g.scheme = m.scheme
WHERE CASE WHEN g.grade IS NULL THEN m.ordinal = (SELECT max(ordinal) FROM rulebook_grade d WHERE d.scheme = m.scheme)
           ELSE m.grade = g.grade END
QUALIFY row_number() OVER (PARTITION BY m.unit ORDER BY s.ordinal) = 1

-- :board the units of a category
SELECT u.*, coalesce(g.grades, MAP {}) AS grades, coalesce(p.parts, MAP {}) AS parts
FROM unit_result u
LEFT JOIN (SELECT unit, map_from_entries(list({'k': scheme, 'v': grade})) AS grades FROM unit_grade GROUP BY unit) g
       ON g.unit = u.unit
LEFT JOIN (SELECT unit, map_from_entries(list({'k': part, 'v': points})) AS parts FROM part_result GROUP BY unit) p
       ON p.unit = u.unit
WHERE u.category = $category AND ($group IS NULL OR u.unit_group = $group)
  AND contains(lower(u.unit || ' ' || u.name), lower($text))

-- :board_count how many units of a category the filters leave
SELECT count(*) AS units FROM unit_result u
WHERE u.category = $category AND ($group IS NULL OR u.unit_group = $group)
  AND contains(lower(u.unit || ' ' || u.name), lower($text))

-- :finals of a category, for its distribution
SELECT u.unit, u.name, u.final, u.flags, g.graded FROM unit_result u
LEFT JOIN (SELECT unit, bool_or(grade IS NOT NULL) AS graded FROM unit_grade GROUP BY unit) g ON g.unit = u.unit
WHERE u.category = ? AND u.state <> 'left' ORDER BY u.final

-- :category_grades of the schemes that a category competes in, with the lowest final inside each cut
SELECT g.scheme, s.name_{lang} AS scheme_name, g.pool, g.grade, d.name_{lang} AS name, g.quota, g.individuals, g.units,
       g.undecided, d.at_least,
       (SELECT min(final) FROM unit_result u
        WHERE list_contains(g.units, u.unit) OR list_contains(g.undecided, u.unit)) AS value
FROM grade_result g
JOIN rulebook_scheme s ON s.scheme = g.scheme
JOIN rulebook_grade d ON d.grade = g.grade
SEMI JOIN (SELECT scheme, pool FROM scheme_pool WHERE category = ?) p ON p.scheme = g.scheme AND p.pool = g.pool
ORDER BY s.ordinal, g.pool, g.ordinal

-- :summary of a category
SELECT count(*) AS units, count(*) FILTER (state = 'provisional') AS provisional, max(final) AS highest,
       min(final) AS lowest
FROM unit_result WHERE category = ? AND state <> 'left'

-- :groups of a category
SELECT DISTINCT unit_group FROM unit_result WHERE category = ? AND unit_group <> '' ORDER BY unit_group

-- :bars of a unit: every item, or where a part does more than add the top of the tree, with what each comes to in the final
WITH RECURSIVE plain AS (SELECT bool_and(combine = 'sum') AS adds FROM rulebook_part),
worth AS (
  SELECT part AS code, weight::DECIMAL(38,12) AS factor FROM rulebook_part WHERE parent IS NULL
  UNION ALL
  SELECT p.part, (w.factor * p.weight)::DECIMAL(38,12) FROM rulebook_part p JOIN worth w ON w.code = p.parent
), bar AS (
  SELECT p.item AS code, i.name_{lang} AS name, i.ordinal, p.state, p.points_base, p.points,
         (coalesce(w.factor, 1) * p.weight)::DECIMAL(38,12) AS factor, true AS is_item
  FROM item_points p JOIN rulebook_item i ON i.item = p.item LEFT JOIN worth w ON w.code = p.parent
  WHERE p.unit = $unit AND NOT p.is_out AND (SELECT coalesce(adds, true) FROM plain)
  UNION ALL
  SELECT p.part, r.name_{lang}, r.ordinal, 'scored', p.points_base, p.points, p.weight::DECIMAL(38,12), false
  FROM part_points p JOIN rulebook_part r ON r.part = p.part
  WHERE p.unit = $unit AND p.parent IS NULL AND NOT p.is_out AND NOT (SELECT coalesce(adds, true) FROM plain)
  UNION ALL
  SELECT p.item, i.name_{lang}, 1000 + i.ordinal, p.state, p.points_base, p.points, p.weight::DECIMAL(38,12), true
  FROM item_points p JOIN rulebook_item i ON i.item = p.item
  WHERE p.unit = $unit AND p.parent IS NULL AND NOT p.is_out AND NOT (SELECT coalesce(adds, true) FROM plain)
)
SELECT code, name, state, is_item, bar.points_base, bar.points, bar.points_base - coalesce(bar.points, 0) AS lost,
       (bar.points_base * factor * f.times)::DECIMAL(18,8) AS weighted_base,
       (coalesce(bar.points, 0) * factor * f.times)::DECIMAL(18,8) AS weighted
FROM bar CROSS JOIN rulebook_final f ORDER BY ordinal

-- :margins of a unit at every cut
WITH margin AS ({margin})
SELECT m.*, d.name_{lang} AS name, s.name_{lang} AS scheme_name FROM margin m
JOIN rulebook_grade d ON d.grade = m.grade JOIN rulebook_scheme s ON s.scheme = m.scheme
WHERE m.unit = ? AND m.margin IS NOT NULL ORDER BY s.ordinal, m.ordinal

-- :waiting units of a category: those with a pending item
SELECT count(DISTINCT u.unit) AS units FROM unit_result u JOIN item_result i ON i.unit = u.unit
WHERE u.category = $1 AND u.state <> 'left' AND i.state = 'pending'

-- :beside a unit on the roster
SELECT max(unit) FILTER (unit < $1) AS before, min(unit) FILTER (unit > $1) AS after FROM unit_in_force

-- :matrix of units by items
SELECT u.unit, u.name, u.category, u.final, u.place, list(i.item ORDER BY i.item) AS items,
       list(i.points ORDER BY i.item) AS points, list(i.state ORDER BY i.item) AS states
FROM unit_result u JOIN item_result i ON i.unit = u.unit
WHERE u.state <> 'left' GROUP BY ALL ORDER BY u.unit

-- :search_units by code or name
SELECT unit, name, category FROM unit_in_force WHERE contains(lower(unit || ' ' || name), lower($1)) ORDER BY unit LIMIT 50

-- :held items of an office
SELECT item FROM item_holder WHERE office = $1

-- :appeals with their deadlines; of one unit, or all where none is named
SELECT a.*, f.source, f.id, day_of(a.filed_at) AS day, day_of(a.appeal_until) AS until,
       day_of(a.decision_due) AS due, d.reason AS decision
FROM appeal_deadline a JOIN event f ON f.seq = a.seq LEFT JOIN event d ON d.seq = a.decided_by
WHERE a.unit = coalesce($unit, a.unit) ORDER BY a.state <> 'open', a.seq

-- :offices that events come from
SELECT '/offices/' || office AS source, name_{lang} AS name FROM office

-- :item_names in their order
SELECT item, name_{lang} AS name FROM rulebook_item ORDER BY ordinal

-- :event as it was sent
SELECT seq, source, id, type, unit, time, recorded_at, raw, admission, refers_to FROM event WHERE seq = ?

-- :referring what became of the events that refer to one
SELECT seq, type, disposition, why_zh, why_en FROM ({trail})
WHERE seq IN (SELECT seq FROM event WHERE refers_to = ?) ORDER BY seq

-- :totals of the ledger by type
SELECT type, count(*) AS events FROM ledger_event GROUP BY type ORDER BY events DESC, type

-- :stages that stand
SELECT y.stage, y.seq, day_sent(e.time, e.occurred) AS day FROM year_event AS y JOIN ledger_event AS e ON e.seq = y.seq
WHERE y.type = 'stage.reached.v1' ORDER BY y.seq

-- :publicity and when it ends
SELECT day_of(until) AS day, is_over FROM deadline WHERE item IS NULL

-- :bins of the time axis
SELECT least(seq * 60 // ?, 59) AS bin, quantile_disc(occurred[1:7], 0.5) AS month,
       count(*) FILTER (type IN ('deduction.recorded.v1', 'bonus.recorded.v1')) AS entries
FROM event GROUP BY bin ORDER BY bin

-- :stage_marks of the time axis
SELECT stage, seq FROM event WHERE type = 'stage.reached.v1' AND admission = 'admitted' ORDER BY seq

-- :neighbours of a cut
SELECT max(seq) FILTER (seq < $1) AS before, min(seq) FILTER (seq > $1) AS after,
       arg_max(day_sent(time, occurred), seq) FILTER (seq <= $1) AS day
FROM event

-- :cut_at of an instant: in a ledger before the first event recorded later, in a file that occurred later, as --as-of
SELECT CASE WHEN coalesce(bool_and(recorded_at IS NOT NULL), false)
            THEN coalesce(min(seq) FILTER (recorded_at > try_cast($1 AS TIMESTAMP)) - 1, $2)
            ELSE coalesce(min(seq) FILTER (admission <> 'conflict' AND occurred > $1) - 1, $2) END AS seq
FROM event

-- :outcome of every unit, to compare two states
SELECT u.unit, u.name, u.category, u.final, u.place, coalesce(g.grades, MAP {}) AS grades,
       [flag[11:] FOR flag IN u.flags IF starts_with(flag, 'undecided:')] AS undecided
FROM unit_result u
LEFT JOIN (SELECT unit, map_from_entries(list({'k': scheme, 'v': grade} ORDER BY scheme)) AS grades
           FROM unit_grade GROUP BY unit) g ON g.unit = u.unit
