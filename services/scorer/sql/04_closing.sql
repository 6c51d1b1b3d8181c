-- Exemptions and closings that stand.

-- Not applicable (不适用): one owning office's exemption suffices.
-- stage
CREATE VIEW exemption AS
SELECT unit, item, min(seq) AS exempted_by
FROM judged_event WHERE type = 'item.exempted.v1' AND stands GROUP BY unit, item;

-- Items that every office named for them has closed.
-- stage
CREATE VIEW closed_item AS
SELECT o.item FROM rulebook_office o
LEFT JOIN year_event c ON c.type = 'item.closed.v1' AND c.item = o.item AND c.source = '/offices/' || o.office
GROUP BY o.item HAVING bool_and(c.seq IS NOT NULL);
