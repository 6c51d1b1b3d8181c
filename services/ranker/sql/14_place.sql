-- Places (language 7, "Order") and appeals.

-- Every unit's keys of places: missing or not, then the value, turned where high comes first; a list that sorts. One row a
-- unit.
-- language 7 "Order": order, ranked
CREATE VIEW unit_key AS
SELECT k.unit, list([CASE WHEN k.value IS NULL THEN 1 ELSE 0 END,
                     coalesce(CASE WHEN o.low_first THEN k.value ELSE -k.value END, 0)] ORDER BY o.ordinal ASC) AS keys
FROM rulebook_order AS o
JOIN (SELECT unit, 'final' AS kind, 'final' AS code, final::DECIMAL(20,8) AS value FROM unit_total
      UNION ALL
      SELECT u.unit, 'part', o.key, p.points::DECIMAL(20,8) FROM unit_total AS u
      JOIN rulebook_order AS o ON o.kind = 'part' LEFT JOIN part_points AS p ON p.unit = u.unit AND p.part = o.key
      UNION ALL
      SELECT u.unit, 'item', o.key, i.points::DECIMAL(20,8) FROM unit_total AS u
      JOIN rulebook_order AS o ON o.kind = 'item' LEFT JOIN item_points AS i ON i.unit = u.unit AND i.item = o.key
      UNION ALL
      SELECT unit, 'attribute', attribute, value::DECIMAL(20,8) FROM attribute_in_force) AS k
  ON k.kind = o.kind AND k.code = o.key
GROUP BY k.unit;

-- The order of all units that have not left, one number for equal keys. One row a unit.
-- language 7 "Order": order, ranked
-- stage
CREATE VIEW unit_order AS
SELECT u.unit, u.category, u.unit_group, u.final, dense_rank() OVER (ORDER BY k.keys ASC) AS standing
FROM unit_total AS u JOIN unit_key AS k ON k.unit = u.unit
WHERE NOT u.has_left;

-- Places (名次) within a ranked category: equal keys share a place, the next is skipped. One row a unit that is placed.
-- language 7 "Order": ranked
-- stage
CREATE VIEW place AS
SELECT o.unit, o.category, rank() OVER (PARTITION BY o.category ORDER BY o.standing ASC) AS place
FROM unit_order AS o JOIN rulebook_category AS c ON c.category = o.category AND c.is_ranked;

-- Appeals (申诉) that stand: open until decided, or until what they are against is revoked. One row an appeal.
-- language 10 "Appeals": appeals
-- stage
CREATE VIEW appeal AS
SELECT filed.seq, filed.unit, filed.source, filed.id, filed.occurred, filed.recorded_at, filed.reason AS statement,
       filed.refers_to AS target, decision.decided_by, decision.outcome, taken.revoked_by AS target_revoked_by,
       decision.decided_by IS NULL AND taken.revoked_by IS NULL AS open
FROM ledger_event AS filed
ANTI JOIN revocation ON revocation.seq = filed.seq
LEFT JOIN decision ON decision.seq = filed.refers_to
LEFT JOIN revocation AS taken ON taken.seq = filed.refers_to
WHERE filed.type = 'appeal.filed.v1' AND filed.admission = 'admitted';
