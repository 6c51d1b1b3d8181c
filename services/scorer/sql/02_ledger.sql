-- What the ledger holds at the cut, and what of it stands (language 10).

-- The ledger up to the cut: SET VARIABLE as_of = N; all of it when the variable is not set. One row an event.
CREATE VIEW ledger_event AS
SELECT * FROM event WHERE seq <= coalesce(getvariable('as_of')::BIGINT, 9223372036854775807);

-- Revocations (撤销) that count; none of them can be revoked. One row an event that is taken out.
CREATE VIEW revocation AS
SELECT refers_to AS seq, min(seq) AS revoked_by
FROM ledger_event WHERE type = 'event.revoked.v1' AND admission = 'admitted' GROUP BY refers_to;

-- Decisions of appeals (申诉决定) that stand. One row an entry, rating or veto that is decided on.
-- stage
CREATE VIEW decision AS
SELECT appealed.refers_to AS seq, decided.seq AS decided_by, decided.outcome, decided.points AS revised_to
FROM ledger_event AS decided
JOIN ledger_event AS appealed ON appealed.seq = decided.refers_to
ANTI JOIN revocation ON revocation.seq = decided.seq
WHERE decided.type = 'appeal.decided.v1' AND decided.admission = 'admitted';

-- Approvals (审批) that stand. One row an entry.
CREATE VIEW approval AS
SELECT approved.refers_to AS seq, max(approved.seq) AS approved_by, arg_max(approved.outcome, approved.seq) AS outcome
FROM ledger_event AS approved
ANTI JOIN revocation ON revocation.seq = approved.seq
WHERE approved.type = 'approval.recorded.v1' AND approved.admission = 'admitted'
GROUP BY approved.refers_to;

-- Every event with whether it stands at the cut; SET VARIABLE scope = ['U001', …] limits it to units. One row an event.
CREATE VIEW judged_event AS
SELECT ledger_event.*, revocation.revoked_by, decision.decided_by, decision.outcome AS decision_outcome, decision.revised_to,
       ledger_event.admission = 'admitted' AND revocation.revoked_by IS NULL
         AND decision.outcome IS DISTINCT FROM 'cancelled' AS stands
FROM ledger_event
LEFT JOIN revocation ON revocation.seq = ledger_event.seq
LEFT JOIN decision ON decision.seq = ledger_event.seq
WHERE coalesce(list_contains(getvariable('scope')::VARCHAR[], ledger_event.unit), true);

-- Events about the year itself that stand; no scope limits them. One row an event.
-- stage
CREATE VIEW year_event AS
SELECT ledger_event.* FROM ledger_event ANTI JOIN revocation ON revocation.seq = ledger_event.seq
WHERE ledger_event.unit = 'assessment' AND ledger_event.admission = 'admitted';
