-- What the ledger holds at the cut, and what of it stands (language 10).

-- The ledger up to the cut: SET VARIABLE as_of = N; all of it when the variable is not set. One row an event.
-- language 10
CREATE VIEW ledger_event AS
SELECT * FROM event WHERE seq <= coalesce(getvariable('as_of')::BIGINT, 9223372036854775807);

-- Revocations (撤销) that count; none of them can be revoked. One row an event that is taken out.
-- language 10 "Revocation"
CREATE VIEW revocation AS
SELECT refers_to AS seq, min(seq) AS revoked_by
FROM ledger_event WHERE type = 'event.revoked.v1' AND admission = 'admitted' GROUP BY refers_to;

-- Decisions of appeals (申诉决定) that stand. One row an entry, rating or veto that is decided on.
-- language 10 "Appeals"
-- stage
CREATE VIEW decision AS
SELECT appealed.refers_to AS seq, decided.seq AS decided_by, decided.outcome, decided.points AS revised_to
FROM ledger_event AS decided
JOIN ledger_event AS appealed ON appealed.seq = decided.refers_to
ANTI JOIN revocation ON revocation.seq = decided.seq
WHERE decided.type = 'appeal.decided.v1' AND decided.admission = 'admitted';

-- Approvals (审批) that stand. One row an entry.
-- language 3 "Approval": approval
CREATE VIEW approval AS
SELECT approved.refers_to AS seq, max(approved.seq) AS approved_by, arg_max(approved.outcome, approved.seq) AS outcome
FROM ledger_event AS approved
ANTI JOIN revocation ON revocation.seq = approved.seq
WHERE approved.type = 'approval.recorded.v1' AND approved.admission = 'admitted'
GROUP BY approved.refers_to;

-- Every event with whether it stands at the cut; SET VARIABLE scope = ['U001', …] limits it to units. One row an event.
-- language 10
CREATE VIEW judged_event AS
SELECT e.seq, e.source, e.id, e.type, e.unit, e.item, e.matter, e.ground, e.node, e.points, e.rater, e.rater_group, e.measure,
       e.case_name, e.period, e.value, e.attribute, e.veto, e.reason, e.admission, e.refers_to, e.void_reason, e.void_detail,
       revocation.revoked_by, decision.decided_by, decision.outcome AS decision_outcome, decision.revised_to,
       e.admission = 'admitted' AND revocation.revoked_by IS NULL AND decision.outcome IS DISTINCT FROM 'cancelled' AS stands
FROM ledger_event AS e
LEFT JOIN revocation ON revocation.seq = e.seq
LEFT JOIN decision ON decision.seq = e.seq
WHERE coalesce(list_contains(getvariable('scope')::VARCHAR[], e.unit), true);

-- Events about the year itself that stand; no scope limits them. One row an event.
-- language 10
-- stage
CREATE VIEW year_event AS
SELECT e.seq, e.source, e.type, e.item, e.grade, e.units, e.reading, e.reading_value, e.stage, e.from_office, e.to_office
FROM ledger_event AS e ANTI JOIN revocation ON revocation.seq = e.seq
WHERE e.unit = 'assessment' AND e.admission = 'admitted';
