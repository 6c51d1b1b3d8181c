-- The statement (对账单): every line of every unit with the words of its clause; appeals with their deadlines.

-- What became of every event but conflicts. One row an event.
-- wire "Dispositions"
CREATE VIEW trail AS
SELECT seq, claimed, counted, balance_before, balance_after, disposition, why_zh, why_en FROM entry_trail
UNION ALL SELECT seq, NULL, NULL, NULL, NULL, disposition, why_zh, why_en FROM event_trail;

-- Every line of a unit: date as sent, office, clause and words, what it claims and counts, the balance before and after.
-- Revocations, appeals, decisions and approvals stand under the item of what they are about. One row an event.
-- no clause: the text knows no statement; it shows what the rules made of each event
CREATE VIEW statement AS
SELECT e.unit, coalesce(e.item, about.item, of_appeal.item, of_decision.item) AS item, e.seq,
       day_sent(e.time, e.occurred) AS date, e.time, e.type,
       e.source, split_part(e.source, '/', 3) AS office, office.name_zh AS office_zh, office.name_en AS office_en, i.clause,
       coalesce(n.words || ' ' || g.words, g.words, i.words) AS words_zh, e.matter, g.name_zh AS ground_zh, g.name_en AS ground_en,
       n.name_zh AS node_zh, n.name_en AS node_en, e.measure, e.value, e.attribute, e.veto, t.claimed,
       t.counted::DECIMAL(18,6) AS counted, t.balance_before, t.balance_after, t.disposition, t.why_zh, t.why_en
FROM trail AS t
JOIN ledger_event AS e ON e.seq = t.seq
LEFT JOIN ledger_event AS about ON about.seq = e.refers_to
LEFT JOIN ledger_event AS of_appeal ON of_appeal.seq = about.refers_to
LEFT JOIN ledger_event AS of_decision ON of_decision.seq = of_appeal.refers_to
LEFT JOIN rulebook_item AS i ON i.item = coalesce(e.item, about.item, of_appeal.item, of_decision.item)
LEFT JOIN rulebook_ground AS g ON g.item = e.item AND g.ground = e.ground
LEFT JOIN rulebook_node AS n ON n.item = e.item AND n.node = e.node
LEFT JOIN office ON e.source = '/offices/' || office.office
WHERE e.unit <> 'assessment';

-- Appeals with their deadlines by the days in force: when the target was recorded, until when an appeal was in time, when
-- its decision is due, and what is late. By recorded time; where a file was folded, by when it occurred. Nothing enforces it.
-- One row an appeal.
-- language 8: appeal_days, decision_days
CREATE VIEW appeal_deadline AS
WITH moment AS (
  SELECT seq, coalesce(recorded_at, TRY_CAST(occurred AS TIMESTAMP)) AS happened
  FROM ledger_event WHERE admission IN ('admitted', 'void')
), day AS (
  SELECT max(value::INTEGER) FILTER (name = 'appeal_days') AS appeal_days,
         max(value::INTEGER) FILTER (name = 'decision_days') AS decision_days FROM reading_in_force WHERE NOT is_reading
)
SELECT a.seq, a.unit, a.target, a.statement, a.decided_by, a.outcome, a.target_revoked_by,
       CASE WHEN a.decided_by IS NOT NULL THEN 'decided' WHEN a.open THEN 'open' ELSE 'closed' END AS state,
       t.happened AS target_at, f.happened AS filed_at, d.happened AS decided_at, n.now,
       t.happened + to_days(day.appeal_days) AS appeal_until, f.happened + to_days(day.decision_days) AS decision_due,
       filed_at > appeal_until AS filed_late, coalesce(decided_at, CASE WHEN a.open THEN n.now END) > decision_due AS decision_late
FROM appeal AS a CROSS JOIN day CROSS JOIN (SELECT max(happened) AS now FROM moment) AS n
JOIN moment AS f ON f.seq = a.seq
JOIN moment AS t ON t.seq = a.target
LEFT JOIN moment AS d ON d.seq = a.decided_by;

-- What can be appealed (申诉): a standing entry, rating or veto, and until when an appeal against it is in time, null
-- where no days are in force. One row an event.
-- language 10 "Appeals": appeals, appeal_days
CREATE VIEW appealable AS
SELECT j.seq, coalesce(e.recorded_at, TRY_CAST(e.occurred AS TIMESTAMP)) + to_days(r.value::INTEGER) AS appeal_until
FROM judged_event AS j
JOIN ledger_event AS e ON e.seq = j.seq
LEFT JOIN reading_in_force AS r ON r.name = 'appeal_days'
WHERE j.stands AND j.type IN ('deduction.recorded.v1', 'bonus.recorded.v1', 'rating.recorded.v1', 'veto.recorded.v1');

-- What has a day by which it is due (期限): the part of an office in an item whose rulebook says `due`, until it has closed
-- it (预警), the day being Beijing's; and with null for both the publicity (公示), publicity_days from the latest standing
-- stage `publicised`. By recorded time; where a file was folded, by when it occurred. Nothing enforces it. One row an item
-- and office.
-- language 5: due, publicity_days
CREATE VIEW deadline AS
WITH moment AS (
  SELECT seq, coalesce(recorded_at, TRY_CAST(occurred AS TIMESTAMP)) AS happened
  FROM ledger_event WHERE admission IN ('admitted', 'void')
), found AS (
  SELECT i.item, h.office, i.due + INTERVAL '15:59:59' AS until
  FROM rulebook_item AS i JOIN item_holder AS h ON h.item = i.item
  ANTI JOIN year_event AS c ON c.type = 'item.closed.v1' AND c.item = h.item AND c.source = '/offices/' || h.office
  WHERE i.due IS NOT NULL
  UNION ALL
  SELECT NULL, NULL, max(moment.happened) + to_days(max(r.value::INTEGER))
  FROM year_event AS e JOIN moment ON moment.seq = e.seq JOIN reading_in_force AS r ON r.name = 'publicity_days'
  WHERE e.type = 'stage.reached.v1' AND e.stage = 'publicised' HAVING count(*) > 0
)
SELECT item, office, until, now > until AS is_over FROM found CROSS JOIN (SELECT max(happened) AS now FROM moment);

-- What a decision on appeal may set: 0 to what an entry claims, the own range of a rating's value; `best` is
-- what serves the unit most. One row an entry or rating.
-- language 10 "Appeals": appeals
CREATE VIEW decision_range AS
SELECT e.seq, 0::DECIMAL(18,6) AS low, coalesce(e.points, g.points) AS high, false AS is_binary,
       CASE WHEN g.adds THEN coalesce(e.points, g.points) ELSE 0 END::DECIMAL(18,6) AS best
FROM ledger_event AS e JOIN rulebook_ground AS g ON g.item = e.item AND g.ground = e.ground
UNION ALL
SELECT e.seq, coalesce(d.value_min, r.value_min, -999999999.999999)::DECIMAL(18,6) AS value_low,
       coalesce(d.value_max, r.value_max, 999999999.999999)::DECIMAL(18,6) AS value_high, coalesce(d.is_binary, false),
       CASE WHEN m.low_first THEN value_low ELSE value_high END
FROM ledger_event AS e
LEFT JOIN rulebook_range AS r ON r.item = e.item
LEFT JOIN rulebook_measure AS d ON d.item = e.item AND d.measure = e.measure
LEFT JOIN method_in_force AS m ON m.item = e.item
WHERE e.type = 'rating.recorded.v1';
