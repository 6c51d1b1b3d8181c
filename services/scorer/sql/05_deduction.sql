-- Deductions (扣分) and what each of them counts (regulation page, "How lines are reckoned").

-- Every deduction of the ledger but conflicts, with what it claims and what is in force of it.
-- stage
CREATE VIEW claim AS
SELECT e.seq, e.source, e.id, e.unit, e.item, e.matter, e.ground, e.node, e.reason, e.occurred, e.admission,
       e.refers_to, e.void_reason, e.void_detail, e.revoked_by, e.decided_by, e.decision_outcome, e.stands,
       coalesce(e.points, g.points) AS claimed, g.branch, g.requires,
       CASE WHEN e.stands THEN coalesce(e.revised_to, e.points, g.points) ELSE 0 END::DECIMAL(18,6) AS points_in_force
FROM judged_event e
JOIN rulebook_ground g ON g.item = e.item AND g.ground = e.ground
WHERE e.type = 'deduction.recorded.v1' AND e.admission <> 'conflict';

-- Further grounds ("再扣1分") whose first ground does not precede them on the same matter count nothing: 四(一)1(1).
CREATE VIEW lacking_ground AS
SELECT c.seq FROM claim c
LEFT JOIN claim f ON f.stands AND f.unit = c.unit AND f.item = c.item AND f.matter = c.matter
                 AND f.ground = c.requires AND f.seq < c.seq
WHERE c.requires IS NOT NULL GROUP BY c.seq HAVING count(f.seq) = 0;

-- Where matters are deducted once ("每事项不重复扣分"): what each ground of a matter adds, at its largest.
CREATE VIEW ground_step AS
SELECT c.seq, c.unit, c.item, c.matter, c.branch, r.value AS matter_rule,
       greatest(0, p.points - coalesce(max(p.points) OVER (PARTITION BY c.unit, c.item, c.matter, c.ground ORDER BY c.seq
                                                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS step
FROM claim c
JOIN rule_in_force r ON r.item = c.item AND r.rule = 'matter' AND r.value <> 'each'
LEFT JOIN lacking_ground l ON l.seq = c.seq
CROSS JOIN LATERAL (SELECT CASE WHEN l.seq IS NULL THEN c.points_in_force ELSE 0 END::DECIMAL(18,6) AS points) p;

-- The charge of a matter (事项) after each line: the largest branch of its grounds, or under `sum` all of them.
CREATE VIEW matter_charge AS
SELECT seq, unit, item, matter,
       CASE matter_rule
         WHEN 'sum' THEN sum(step) OVER (PARTITION BY unit, item, matter ORDER BY seq ROWS UNBOUNDED PRECEDING)
         ELSE max(branch_charge) OVER (PARTITION BY unit, item, matter ORDER BY seq ROWS UNBOUNDED PRECEDING)
       END AS charge
FROM (SELECT *, sum(step) OVER (PARTITION BY unit, item, matter, branch ORDER BY seq ROWS UNBOUNDED PRECEDING)
                AS branch_charge FROM ground_step);

-- What each line adds to the charge of its matter; where every event is its own matter, all that it has in force.
CREATE VIEW matter_increase AS
SELECT seq, charge - coalesce(lag(charge) OVER (PARTITION BY unit, item, matter ORDER BY seq), 0) AS increase FROM matter_charge
UNION ALL
SELECT c.seq, c.points_in_force FROM claim c
JOIN rule_in_force r ON r.item = c.item AND r.rule = 'matter' AND r.value = 'each';

-- The purse (the points there are to lose) of each line: the item's, or the office's own share: 四(一)1(3).
CREATE VIEW line_purse AS
SELECT c.*, i.increase, n.cap, n.cap_group, f.clause, x.exempted_by,
       CASE WHEN r.value = 'separate' THEN c.source ELSE '' END AS purse,
       CASE WHEN r.value = 'separate' THEN o.share ELSE f.points END AS points_base
FROM claim c
JOIN matter_increase i ON i.seq = c.seq
JOIN item_full f ON f.item = c.item
JOIN rule_in_force r ON r.item = c.item AND r.rule = 'pool'
LEFT JOIN rulebook_node n ON n.item = c.item AND n.node = c.node
LEFT JOIN rulebook_office o ON o.item = c.item AND c.source = '/offices/' || o.office
LEFT JOIN exemption x ON x.unit = c.unit AND x.item = c.item;

-- What passes the cap of its node: 四(一)1(4). A cap is used up by what passed it, also where the floor took it.
CREATE VIEW capped_line AS
SELECT * EXCLUDE (increase, capped_sum, cap, cap_group), increase,
       CASE WHEN cap IS NULL THEN increase
            ELSE least(cap, capped_sum) - least(cap, capped_sum - increase) END AS passed
FROM (SELECT *, sum(increase) OVER (PARTITION BY unit, item, cap_group ORDER BY seq ROWS UNBOUNDED PRECEDING)
                AS capped_sum FROM line_purse);

-- Each deduction with the balance before and after it ("扣完该项分值为止").
-- stage
CREATE VIEW deduction_line AS
SELECT * EXCLUDE (lost, passed), passed,
       CASE WHEN exempted_by IS NULL THEN points_base - least(points_base, lost - passed) ELSE points_base END::DECIMAL(18,6)
           AS balance_before,
       CASE WHEN exempted_by IS NULL THEN points_base - least(points_base, lost) ELSE points_base END::DECIMAL(18,6)
           AS balance_after,
       balance_before - balance_after AS points_counted
FROM (SELECT *, sum(passed) OVER (PARTITION BY unit, item, purse ORDER BY seq ROWS UNBOUNDED PRECEDING) AS lost
      FROM capped_line);
