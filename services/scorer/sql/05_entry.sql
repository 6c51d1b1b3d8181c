-- Entries (扣分、加分) and what each of them counts (language 3).

-- Every deduction and bonus but conflicts, with what it claims and what is in force of it. One row an entry.
-- language 3: entries
-- stage
CREATE VIEW claim AS
SELECT e.seq, e.source, e.id, e.type, e.unit, e.item, e.matter, e.ground, e.node, e.reason, e.admission, e.refers_to,
       e.void_reason, e.void_detail, e.revoked_by, e.decided_by, e.decision_outcome, e.stands,
       rulebook_ground.adds, rulebook_ground.branch, rulebook_ground.requires, rulebook_ground.approval,
       approval.approved_by, approval.outcome AS approval_outcome, exemption.exempted_by,
       unit_has_item.unit IS NOT NULL AS applies, coalesce(e.points, rulebook_ground.points) AS claimed,
       e.stands AND (NOT rulebook_ground.approval OR coalesce(approval.outcome = 'approved', false)) AS in_force,
       CASE WHEN in_force AND applies AND exemption.unit IS NULL
            THEN coalesce(e.revised_to, e.points, rulebook_ground.points) ELSE 0 END::DECIMAL(18,6) AS points_in_force
FROM judged_event AS e
JOIN rulebook_ground ON rulebook_ground.item = e.item AND rulebook_ground.ground = e.ground
LEFT JOIN approval ON approval.seq = e.seq
LEFT JOIN unit_has_item ON unit_has_item.unit = e.unit AND unit_has_item.item = e.item
LEFT JOIN exemption ON exemption.unit = e.unit AND exemption.item = e.item
WHERE e.type IN ('deduction.recorded.v1', 'bonus.recorded.v1') AND e.admission <> 'conflict';

-- Grounds that others require, from where on they stand on a matter. One row a unit, item, matter and ground.
-- language 3 "Matter": requires
CREATE VIEW required_ground AS
SELECT claim.unit, claim.item, claim.matter, claim.ground, min(claim.seq) AS seq FROM claim
SEMI JOIN rulebook_ground ON rulebook_ground.item = claim.item AND rulebook_ground.requires = claim.ground
WHERE claim.in_force GROUP BY claim.unit, claim.item, claim.matter, claim.ground;

-- Entries on matters that are charged once (每事项不重复): each with its charge, which goes by the sequence of its first
-- entry; one whose required ground does not precede it counts nothing. One row an entry.
-- language 3 "Matter": matter
-- stage
CREATE VIEW charge_entry AS
SELECT claim.seq, claim.unit, claim.item, claim.adds, claim.node, charge.charge, charge.rule, claim.branch, claim.ground,
       claim.requires IS NOT NULL AND coalesce(required_ground.seq >= claim.seq, true) AS lacks_ground,
       CASE WHEN lacks_ground THEN 0 ELSE claim.points_in_force END::DECIMAL(18,6) AS points
FROM claim
JOIN (SELECT claim.unit, claim.item, claim.adds, claim.matter, item_in_force.matter AS rule, min(claim.seq) AS charge
      FROM claim JOIN item_in_force ON item_in_force.item = claim.item AND item_in_force.matter <> 'each'
      GROUP BY claim.unit, claim.item, claim.adds, claim.matter, item_in_force.matter) AS charge
  ON charge.unit = claim.unit AND charge.item = claim.item AND charge.adds = claim.adds AND charge.matter = claim.matter
LEFT JOIN required_ground ON required_ground.unit = claim.unit AND required_ground.item = claim.item
 AND required_ground.matter = claim.matter AND required_ground.ground = claim.requires;

-- What each entry adds to its branch: a ground counts in a charge once, at its largest. One row an entry.
-- language 3 "Matter": matter, branch
CREATE VIEW ground_step AS
SELECT *, greatest(0, points - coalesce(max(points) OVER (PARTITION BY charge, ground ORDER BY seq ASC
                                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS step
FROM charge_entry;

-- What each entry adds to the charge of its matter: the largest branch, or under `sum` all of them. One row an entry.
-- language 3 "Matter": entries
-- stage
CREATE VIEW matter_increase AS
SELECT seq, unit, item, adds, node, lacks_ground, CASE rule WHEN 'sum' THEN step
         ELSE branch_charge - least(branch_charge, coalesce(max(branch_charge) OVER (PARTITION BY charge ORDER BY seq ASC
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) END::DECIMAL(18,6) AS increase
FROM (SELECT *, sum(step) OVER (PARTITION BY charge, branch ORDER BY seq ASC ROWS UNBOUNDED PRECEDING) AS branch_charge
      FROM ground_step)
UNION ALL
SELECT claim.seq, claim.unit, claim.item, claim.adds, claim.node, false, claim.points_in_force
FROM claim JOIN item_in_force ON item_in_force.item = claim.item AND item_in_force.matter = 'each';

-- What passes the cap of its node; a cap is used up by what passed it, also where a bound took that. One row an entry
-- that names a node.
-- language 3 "Cap": node, cap_group
CREATE VIEW node_entry AS
SELECT seq, (least(cap, capped) - least(cap, capped - increase))::DECIMAL(18,6) AS passed
FROM (SELECT m.seq, coalesce(rulebook_node.cap, 1000000000) AS cap, m.increase,
             sum(m.increase) OVER (PARTITION BY m.unit, m.item, rulebook_node.cap_group, m.adds
                                   ORDER BY m.seq ASC ROWS UNBOUNDED PRECEDING) AS capped
      FROM matter_increase AS m
      JOIN rulebook_node ON rulebook_node.item = m.item AND rulebook_node.node = m.node);

-- The office's place that the source of an entry held, where each has a share of its own. One row an entry.
-- language 3: entries, purse
CREATE VIEW entry_place AS
SELECT claim.seq, place_held.first_office
FROM claim
JOIN item_in_force ON item_in_force.item = claim.item AND item_in_force.purse = 'separate'
JOIN place_held ON place_held.item = claim.item AND claim.source = '/offices/' || place_held.office
 AND claim.seq >= place_held.held_from AND claim.seq < place_held.held_upto;

-- The purse that each entry draws on: the item's balance, or the share of the office whose place the source held.
-- One row an entry.
-- language 3: entries, purse
-- stage
CREATE VIEW purse_entry AS
SELECT m.seq, m.unit, m.item, m.adds, m.increase, m.lacks_ground,
       coalesce(node_entry.passed, m.increase) AS passed, coalesce(entry_place.first_office, '') AS purse,
       CASE WHEN entry_place.first_office IS NULL THEN item_in_force.at_least ELSE 0 END AS low,
       CASE WHEN entry_place.first_office IS NULL THEN item_in_force.at_most ELSE rulebook_office.share END AS high,
       coalesce(rulebook_office.share, item_in_force.start) AS start
FROM matter_increase AS m
JOIN item_in_force ON item_in_force.item = m.item
LEFT JOIN node_entry ON node_entry.seq = m.seq
LEFT JOIN entry_place ON entry_place.seq = m.seq
LEFT JOIN rulebook_office ON rulebook_office.item = m.item AND rulebook_office.office = entry_place.first_office;

-- The balance of its purse before and after each entry (扣完为止): the start and all that passed so far, kept within the
-- bounds; a purse goes by the sequence of its first entry. One row an entry.
-- language 3 "Bounds": entries
-- stage
CREATE VIEW purse_sum AS
SELECT seq, unit, item, increase, lacks_ground, passed, purse_id,
       within(within(start + total - moved, low, high), -999999999.999999, 999999999.999999)::DECIMAL(18,6) AS balance_before,
       within(within(start + total, low, high), -999999999.999999, 999999999.999999)::DECIMAL(18,6) AS balance_after
FROM (SELECT p.*, first.purse_id, sum(p.moved) OVER (PARTITION BY first.purse_id ORDER BY p.seq ASC ROWS UNBOUNDED PRECEDING) AS total
      FROM (SELECT *, CASE WHEN adds THEN passed ELSE -passed END AS moved FROM purse_entry) AS p
      JOIN (SELECT unit, item, purse, min(seq) AS purse_id FROM purse_entry GROUP BY unit, item, purse) AS first
        ON first.unit = p.unit AND first.item = p.item AND first.purse = p.purse);

-- Each entry with what it counts: the change of the balance. One row an entry.
-- language 3 "Bounds": entries
CREATE VIEW entry_line AS
SELECT claim.*, s.increase, s.lacks_ground, s.passed, s.purse_id, i.clause, s.balance_before, s.balance_after,
       abs(s.balance_before - s.balance_after)::DECIMAL(18,6) AS points_counted
FROM claim
JOIN purse_sum AS s ON s.seq = claim.seq
JOIN item_in_force AS i ON i.item = claim.item;

-- The balance of an item after all its entries, over its purses. One row a unit and item that has an entry.
-- language 3 "Bounds": entries
-- stage
CREATE VIEW entry_points AS
SELECT s.unit, s.item, (within(i.start, i.at_least, i.at_most) + sum(s.balance_after - s.balance_before))::DECIMAL(18,6) AS points
FROM purse_sum AS s JOIN item_in_force AS i ON i.item = s.item
GROUP BY s.unit, s.item, i.start, i.at_least, i.at_most;
