-- Totals, places, the pass line: clauses 三(一) and 五.

-- Final = (daily x weight + year-end x weight) x scale, exact: clause 五.
-- stage
CREATE VIEW unit_total AS
SELECT u.unit, u.category, u.unit_group, s.daily, s.year_end,
       (s.daily * t.daily_coefficient + s.year_end * t.year_end_coefficient)::DECIMAL(18,8) AS final
FROM roster u
JOIN (SELECT unit, coalesce(sum(points) FILTER (NOT year_end), 0)::DECIMAL(18,6) AS daily,
             coalesce(sum(points) FILTER (year_end), 0)::DECIMAL(18,6) AS year_end
      FROM item_points GROUP BY unit) s ON s.unit = u.unit
CROSS JOIN rulebook_total t;

-- Places (名次) within the category on exact finals: equal finals share a place, the next is skipped.
-- stage
CREATE VIEW place AS
SELECT t.unit, t.category, t.final, rank() OVER (PARTITION BY t.category ORDER BY t.final DESC) AS place,
       CASE WHEN c.pass_mark IS NOT NULL THEN t.final >= c.pass_mark END AS passed
FROM unit_total t JOIN rulebook_category c ON c.category = t.category;

-- Appeals (申诉) that stand: open until decided, or until what they are against is revoked.
-- stage
CREATE VIEW appeal AS
SELECT a.seq, a.unit, a.source, a.id, a.occurred, a.recorded_at, a.reason AS statement, a.refers_to AS target,
       d.decided_by, d.outcome, v.revoked_by AS target_revoked_by, d.decided_by IS NULL AND v.revoked_by IS NULL AS open
FROM ledger_event a
ANTI JOIN revocation w ON w.seq = a.seq
LEFT JOIN decision d ON d.seq = a.refers_to
LEFT JOIN revocation v ON v.seq = a.refers_to
WHERE a.type = 'appeal.filed.v1' AND a.admission = 'admitted';
