-- What the pages ask of a state, one query a block; {lang} is zh or en, {margin} and {trail} stand for blocks of their own.

-- :trail every event that has a disposition
SELECT t.*, substr(e.time, 1, 10) AS day, e.recorded_at, e.rater, e.case_name, e.value, e.reading, e.reading_value,
       e.stage, e.outcome, coalesce(t.matter, e.matter) AS about, e.reason AS words
FROM (SELECT seq, source, id, 'deduction.recorded.v1' AS type, unit, item, matter, ground, claimed, counted,
             balance_after, disposition, why_zh, why_en, clause FROM audit_trail
      UNION ALL
      SELECT seq, source, id, type, unit, item, NULL, NULL, NULL, NULL, NULL, disposition, why_zh, why_en, clause
      FROM event_trail) t
JOIN event e ON e.seq = t.seq

-- :categories in their order
SELECT category, name_{lang} AS name, pass_mark FROM rulebook_category ORDER BY ordinal

-- :awards in their order
SELECT award, ordinal, name_{lang} AS name FROM rulebook_award ORDER BY ordinal

-- :board_margins of every unit: a winner's at its own cut, the others' at the last one
WITH margin AS ({margin})
SELECT m.unit, m.margin, m.margin_daily
FROM margin m
JOIN unit_result u ON u.unit = m.unit
WHERE CASE WHEN u.award IS NULL THEN m.ordinal = (SELECT max(ordinal) FROM rulebook_award) ELSE m.award = u.award END

-- :board the units of a category
SELECT u.*
FROM unit_result u
WHERE u.category = $category AND ($group IS NULL OR u.unit_group = $group)
  AND contains(lower(u.unit || ' ' || u.name), lower($text))

-- :board_count how many units of a category the filters leave
SELECT count(*) AS units FROM unit_result u
WHERE u.category = $category AND ($group IS NULL OR u.unit_group = $group)
  AND contains(lower(u.unit || ' ' || u.name), lower($text))

-- :finals of a category, for its distribution
SELECT unit, name, final, award, flags FROM unit_result WHERE category = ? ORDER BY final

-- :category_awards with the lowest final inside each cut
SELECT a.*, (SELECT min(final) FROM unit_result u
             WHERE list_contains(a.units, u.unit) OR list_contains(a.undecided, u.unit)) AS value
FROM award_result a WHERE list_contains(string_split(scope, '+'), ?) ORDER BY ordinal

-- :summary of a category
SELECT count(*) AS units, count(*) FILTER (passed) AS passed, count(*) FILTER (state = 'provisional') AS provisional,
       max(final) AS highest, min(final) AS lowest
FROM unit_result WHERE category = ?

-- :groups of a category
SELECT DISTINCT unit_group FROM roster WHERE category = ? ORDER BY unit_group

-- :unit the head of a statement
SELECT u.*, c.name_{lang} AS category_name, c.pass_mark, t.daily_coefficient, t.year_end_coefficient,
       a.name_{lang} AS award_name, (SELECT count(*) FROM unit_result o WHERE o.category = u.category) AS units
FROM unit_result u
JOIN rulebook_category c ON c.category = u.category
CROSS JOIN rulebook_total t
LEFT JOIN rulebook_award a ON a.award = u.award
WHERE u.unit = ?

-- :items of a unit, with what each comes to in the final
SELECT p.*, i.name_{lang} AS name, i.words, v.value_max, w.coefficient, p.points_base - coalesce(p.points, 0) AS lost,
       (p.points_base * w.coefficient)::DECIMAL(18,8) AS weighted_base,
       (coalesce(p.points, 0) * w.coefficient)::DECIMAL(18,8) AS weighted
FROM item_points p
JOIN rulebook_item i ON i.item = p.item
LEFT JOIN rulebook_range v ON v.item = p.item
CROSS JOIN LATERAL (SELECT CASE WHEN p.year_end THEN t.year_end_coefficient ELSE t.daily_coefficient END AS coefficient
                    FROM rulebook_total t) w
WHERE p.unit = ? ORDER BY p.ordinal

-- :margins of a unit at every cut
WITH margin AS ({margin})
SELECT m.*, a.name_{lang} AS name FROM margin m JOIN rulebook_award a ON a.award = m.award
WHERE m.unit = ? ORDER BY m.ordinal

-- :appeals of a unit
SELECT a.seq, substr(e.time, 1, 10) AS day, a.statement, a.target, a.open, a.outcome, a.decided_by, d.reason AS decision
FROM appeal a JOIN event e ON e.seq = a.seq LEFT JOIN event d ON d.seq = a.decided_by
WHERE a.unit = ? ORDER BY a.seq

-- :deductions of a unit, standing or not
SELECT d.*, substr(e.time, 1, 10) AS day, g.name_{lang} AS ground_name, g.words AS ground_words,
       n.name_{lang} AS node_name
FROM audit_trail d
JOIN event e ON e.seq = d.seq
JOIN rulebook_ground g ON g.item = d.item AND g.ground = d.ground
LEFT JOIN rulebook_node n ON n.item = d.item AND n.node = d.node
WHERE d.unit = ? ORDER BY d.seq

-- :ratings of a unit that count, by group or case
SELECT r.seq, r.item, r.value, e.rater, coalesce(g.name_{lang}, r.case_name, '') AS panel,
       c.name_{lang} AS component_name, c.points AS component_points, substr(e.time, 1, 10) AS day
FROM rating_in_force r
JOIN event e ON e.seq = r.seq
LEFT JOIN rulebook_group g ON g.item = r.item AND g.rater_group = r.rater_group
LEFT JOIN rulebook_component c ON c.item = r.item AND c.component = r.component
WHERE r.unit = ? ORDER BY g.ordinal, r.case_name, r.seq

-- :places of a unit in the items that compare units
SELECT p.*, b.name_{lang} AS band_name
FROM (SELECT item, place, units, band FROM band_points WHERE unit = $1
      UNION ALL SELECT item, place, units, NULL FROM step_points WHERE unit = $1
      UNION ALL SELECT item, place, units, NULL FROM ranked_points WHERE unit = $1) p
LEFT JOIN rulebook_band b ON b.item = p.item AND b.band = p.band

-- :rules of each item that the text leaves open, as they are in force
SELECT i.item, i.value[2:] AS reading, f.value FROM rulebook_rule i
JOIN rule_in_force f ON f.item = i.item AND f.rule = i.rule
WHERE starts_with(i.value, '@') ORDER BY i.rule

-- :offices that events come from
SELECT '/offices/' || office AS source, name_{lang} AS name FROM office

-- :item_names in their order
SELECT item, name_{lang} AS name FROM rulebook_item ORDER BY ordinal

-- :event as it was sent
SELECT seq, source, id, type, unit, time, recorded_at, raw, admission, refers_to FROM event WHERE seq = ?

-- :referring what became of the events that refer to one
SELECT seq, type, disposition, why_zh, why_en FROM ({trail})
WHERE seq IN (SELECT seq FROM event WHERE refers_to = ?) ORDER BY seq

-- :open_appeals with the day a decision is due and whether the ledger has gone past it
SELECT seq, unit, target, statement, occurred[1:10] AS day, due::VARCHAR AS due,
       due < (SELECT max(try_cast(occurred[1:10] AS DATE)) FROM ledger_event) AS late
FROM (SELECT *, try_cast(occurred[1:10] AS DATE) + ?::INTEGER AS due FROM appeal) WHERE open ORDER BY seq

-- :totals of the ledger by type
SELECT type, count(*) AS events FROM ledger_event GROUP BY type ORDER BY events DESC, type

-- :stages that stand
SELECT stage, seq, substr(time, 1, 10) AS day FROM year_event WHERE type = 'stage.reached.v1' ORDER BY seq

-- :outcome of every unit, to compare two states
SELECT unit, name, category, final, place, passed, award,
       list_bool_or([starts_with(flag, 'undecided:') FOR flag IN flags]) IS TRUE AS undecided
FROM unit_result

-- :bins of the time axis
SELECT least(seq * 60 // ?, 59) AS bin, quantile_disc(occurred[1:7], 0.5) AS month,
       count(*) FILTER (type = 'deduction.recorded.v1') AS deductions
FROM event GROUP BY bin ORDER BY bin

-- :stage_marks of the time axis
SELECT stage, seq FROM event WHERE type = 'stage.reached.v1' AND admission = 'admitted' ORDER BY seq

-- :neighbours of a cut
SELECT max(seq) FILTER (seq < $1) AS before, min(seq) FILTER (seq > $1) AS after,
       arg_max(substr(time, 1, 10), seq) FILTER (seq <= $1) AS day
FROM event

-- :cut_at of an instant: in a ledger by recorded time, in a file before the first event that occurred later
SELECT CASE WHEN coalesce(bool_and(recorded_at IS NOT NULL), false)
            THEN coalesce(max(seq) FILTER (recorded_at <= try_cast($1 AS TIMESTAMP)), 0)
            ELSE coalesce(min(seq) FILTER (admission <> 'conflict' AND occurred > $1) - 1, $2) END AS seq
FROM event
