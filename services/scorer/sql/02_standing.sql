-- What the ledger holds at the cut, and what of it stands (regulation page, "Void, revocation, appeal, stages").

-- The ledger up to the cut: SET VARIABLE as_of = N; all of it when the variable is not set.
CREATE VIEW ledger_event AS
SELECT * FROM event WHERE seq <= coalesce(getvariable('as_of')::BIGINT, 9223372036854775807);

-- Revocations (撤销) that count, by the event they take out. None of them can be revoked.
CREATE VIEW revocation AS
SELECT refers_to AS seq, min(seq) AS revoked_by
FROM ledger_event WHERE type = 'event.revoked.v1' AND admission = 'admitted' GROUP BY refers_to;

-- Decisions of appeals (申诉决定) that stand, by the deduction or rating they decide on.
CREATE VIEW decision AS
SELECT appeal.refers_to AS seq, decided.seq AS decided_by, decided.outcome, decided.points AS revised_to
FROM ledger_event decided
JOIN ledger_event appeal ON appeal.seq = decided.refers_to
ANTI JOIN revocation ON revocation.seq = decided.seq
WHERE decided.type = 'appeal.decided.v1' AND decided.admission = 'admitted';

-- Every event with whether it stands at the cut; SET VARIABLE scope = ['U001', …] limits it to units.
CREATE VIEW judged_event AS
SELECT e.*, v.revoked_by, d.decided_by, d.outcome AS decision_outcome, d.revised_to,
       e.admission = 'admitted' AND v.revoked_by IS NULL AND d.outcome IS DISTINCT FROM 'cancelled' AS stands
FROM ledger_event e
LEFT JOIN revocation v ON v.seq = e.seq
LEFT JOIN decision d ON d.seq = e.seq
WHERE coalesce(list_contains(getvariable('scope')::VARCHAR[], e.unit), true);

-- Events about the year itself (readings, closings, stages) that stand; no scope limits them.
CREATE VIEW year_event AS
SELECT e.* FROM ledger_event e ANTI JOIN revocation ON revocation.seq = e.seq
WHERE e.unit = 'assessment' AND e.admission = 'admitted';
