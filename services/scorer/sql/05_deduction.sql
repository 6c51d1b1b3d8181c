-- Deductions (扣分) and what each of them counts (regulation page, "How lines are reckoned").

-- Every deduction of the ledger but conflicts, with what it claims and what is in force of it.
-- stage
CREATE VIEW claim AS
SELECT e.seq, e.source, e.id, e.unit, e.item, e.matter, e.ground, e.node, e.reason, e.admission,
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

-- Matters (事项) that are deducted once ("每事项不重复扣分"), each by the sequence of its first line.
CREATE VIEW matter AS
SELECT c.unit, c.item, c.matter, r.value AS matter_rule, min(c.seq) AS matter_first
FROM claim c JOIN rule_in_force r ON r.item = c.item AND r.rule = 'matter' AND r.value <> 'each'
GROUP BY c.unit, c.item, c.matter, r.value;

-- What each ground of a matter adds to it, at its largest.
CREATE VIEW ground_step AS
SELECT seq, matter_first, matter_rule, branch,
       greatest(0, points - coalesce(max(points) OVER (PARTITION BY matter_first, ground ORDER BY seq
                                                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS step
FROM (SELECT c.seq, m.matter_first, m.matter_rule, c.branch, c.ground,
             CASE WHEN l.seq IS NULL THEN c.points_in_force ELSE 0 END::DECIMAL(18,6) AS points
      FROM claim c JOIN matter m ON m.unit = c.unit AND m.item = c.item AND m.matter = c.matter
      LEFT JOIN lacking_ground l ON l.seq = c.seq);

-- What each line adds to the charge of its matter: the largest branch of its grounds, or under `sum` all of them.
-- stage
CREATE VIEW matter_increase AS
SELECT seq, CASE matter_rule WHEN 'sum' THEN step
                 ELSE branch_charge - least(branch_charge, coalesce(max(branch_charge) OVER (PARTITION BY matter_first
                        ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) END AS increase
FROM (SELECT *, sum(step) OVER (PARTITION BY matter_first, branch ORDER BY seq ROWS UNBOUNDED PRECEDING) AS branch_charge
      FROM ground_step)
UNION ALL
SELECT c.seq, c.points_in_force FROM claim c
JOIN rule_in_force r ON r.item = c.item AND r.rule = 'matter' AND r.value = 'each';

-- What passes the cap of its node: 四(一)1(4). A cap is used up by what passed it, also where the floor took it.
CREATE VIEW node_line AS
SELECT seq, least(cap, capped_sum) - least(cap, capped_sum - increase) AS passed
FROM (SELECT c.seq, n.cap, i.increase,
             sum(i.increase) OVER (PARTITION BY c.unit, c.item, n.cap_group ORDER BY c.seq ROWS UNBOUNDED PRECEDING)
                 AS capped_sum
      FROM claim c
      JOIN rulebook_node n ON n.item = c.item AND n.node = c.node
      JOIN matter_increase i ON i.seq = c.seq);

-- Offices that deduct each from a share of their own: 四(一)1(3).
CREATE VIEW separate_office AS
SELECT o.item, '/offices/' || o.office AS source, o.share FROM rulebook_office o
JOIN rule_in_force r ON r.item = o.item AND r.rule = 'pool' AND r.value = 'separate';

-- The purse (the points there are to lose) of each line: the item's, or the office's own share.
-- stage
CREATE VIEW line_purse AS
SELECT c.seq, c.unit, c.item, i.increase, coalesce(n.passed, i.increase) AS passed,
       coalesce(o.source, '') AS purse, coalesce(o.share, f.points) AS points_base
FROM claim c
JOIN matter_increase i ON i.seq = c.seq
JOIN item_full f ON f.item = c.item
LEFT JOIN node_line n ON n.seq = c.seq
LEFT JOIN separate_office o ON o.item = c.item AND o.source = c.source;

-- How much of its purse the lines up to each have lost; a purse goes by the sequence of its first line.
-- stage
CREATE VIEW line_lost AS
SELECT p.seq, p.increase, p.passed, p.points_base,
       sum(p.passed) OVER (PARTITION BY f.purse_first ORDER BY p.seq ROWS UNBOUNDED PRECEDING) AS lost
FROM line_purse p
JOIN (SELECT unit, item, purse, min(seq) AS purse_first FROM line_purse GROUP BY unit, item, purse) f
  ON f.unit = p.unit AND f.item = p.item AND f.purse = p.purse;

-- Each deduction with the balance before and after it ("扣完该项分值为止").
CREATE VIEW deduction_line AS
SELECT c.*, l.increase, l.passed, l.points_base, x.exempted_by, f.clause,
       CASE WHEN x.unit IS NULL THEN l.points_base - least(l.points_base, l.lost - l.passed) ELSE l.points_base
       END::DECIMAL(18,6) AS balance_before,
       CASE WHEN x.unit IS NULL THEN l.points_base - least(l.points_base, l.lost) ELSE l.points_base
       END::DECIMAL(18,6) AS balance_after,
       (balance_before - balance_after)::DECIMAL(18,6) AS points_counted
FROM claim c
JOIN line_lost l ON l.seq = c.seq
JOIN item_full f ON f.item = c.item
LEFT JOIN exemption x ON x.unit = c.unit AND x.item = c.item;
