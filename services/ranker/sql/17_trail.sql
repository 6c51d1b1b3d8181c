-- The audit trail: what became of every event, and why (wire page, "Dispositions").

-- Each entry with its one disposition, in the order of precedence. One row an entry.
-- wire "Dispositions": entries
-- stage
CREATE VIEW entry_result AS
SELECT l.seq, l.source, l.id, l.type, CASE WHEN l.adds THEN 'bonus' ELSE 'deduction' END AS kind, l.unit, l.item, l.matter,
       l.ground, l.node, l.claimed, l.points_counted AS counted, l.balance_before, l.balance_after, l.clause, l.reason, l.refers_to,
       l.void_reason, l.void_detail, l.revoked_by, l.decided_by, l.approved_by, l.exempted_by, l.applies, l.lacks_ground,
       l.increase, l.passed, l.points_in_force,
       CASE WHEN l.admission <> 'admitted' THEN l.admission
            WHEN NOT l.stands THEN 'revoked'
            WHEN l.approval AND l.approval_outcome = 'rejected' THEN 'rejected'
            WHEN l.approval AND l.approval_outcome IS NULL THEN 'awaiting'
            WHEN l.decision_outcome = 'revised' THEN 'revised'
            WHEN l.points_counted = 0 THEN 'no_effect'
            WHEN l.points_counted < l.claimed THEN 'counted_in_part'
            ELSE 'counted' END AS disposition,
       CASE WHEN NOT l.applies THEN 'not_applicable' WHEN l.exempted_by IS NOT NULL THEN 'exempt' WHEN l.lacks_ground THEN 'ground'
            WHEN l.points_counted < l.passed THEN 'bound' WHEN l.passed < l.increase THEN 'cap'
            WHEN l.increase < l.points_in_force THEN 'matter' END AS limited_by
FROM entry_line AS l;

-- Facts and vetoes that a later one of the same thing replaces. One row an event.
-- wire "Dispositions"
CREATE VIEW replacing AS
SELECT seq, lead(seq) OVER (PARTITION BY type, unit, coalesce(attribute, veto) ORDER BY seq ASC) AS replaced_by
FROM judged_event WHERE type IN ('fact.recorded.v1', 'veto.recorded.v1') AND stands;

-- The rating that stands in place of another of the same rater, panel and run. One row a rating that is replaced.
-- wire "Dispositions": ratings
CREATE VIEW replaced_rating AS
SELECT e.seq, r.seq AS replaced_by
FROM judged_event AS e
JOIN item_in_force ON item_in_force.item = e.item
JOIN rating_in_force AS r ON r.unit = e.unit AND r.item = e.item AND r.run = coalesce(e.case_name, e.period, '')
 AND r.measure = coalesce(e.measure, 'value') AND r.rater_group = coalesce(e.rater_group, '')
 AND r.rater = CASE WHEN item_in_force.panel <> 'latest' THEN e.rater ELSE '' END AND r.seq > e.seq
ANTI JOIN rating_in_force AS counts ON counts.seq = e.seq
WHERE e.type = 'rating.recorded.v1' AND e.stands;

-- Each event that is no entry with its one disposition. One row an event.
-- wire "Dispositions"
-- stage
CREATE VIEW event_result AS
SELECT e.seq, e.source, e.id, e.type, e.unit, e.item, i.clause, e.refers_to, e.void_reason, e.void_detail, e.revoked_by,
       e.decided_by, coalesce(rated.replaced_by, replacing.replaced_by) AS replaced_by, exemption.exempted_by,
       e.type <> 'rating.recorded.v1' OR h.unit IS NOT NULL AS applies,
       CASE WHEN e.admission <> 'admitted' THEN e.admission
            WHEN NOT e.stands THEN 'revoked'
            WHEN e.decision_outcome = 'revised' THEN 'revised'
            WHEN coalesce(rated.replaced_by, replacing.replaced_by) IS NOT NULL THEN 'replaced'
            WHEN e.type = 'rating.recorded.v1' AND (exemption.unit IS NOT NULL OR h.unit IS NULL) THEN 'no_effect'
            ELSE 'counted' END AS disposition
FROM judged_event AS e
LEFT JOIN item_in_force AS i ON i.item = e.item
LEFT JOIN replaced_rating AS rated ON rated.seq = e.seq
LEFT JOIN replacing ON replacing.seq = e.seq
LEFT JOIN exemption ON exemption.unit = e.unit AND exemption.item = e.item
LEFT JOIN unit_has_item AS h ON h.unit = e.unit AND h.item = e.item
WHERE e.type NOT IN ('deduction.recorded.v1', 'bonus.recorded.v1') AND e.admission <> 'conflict';

-- What stands in the way of final (`pending 2, tie 1`), in words.
CREATE MACRO obstacles(found) AS {{
  replace(replace(replace(replace(replace(replace(replace(found, ', ', _p('between words', ', ')), 'pending', _('pending items')), 'appeal', _('open appeals')),
    'awaiting', _('entries that await approval')), 'tie', _('ties')), 'assumption', _('readings not adopted')), 'stage', _('stages not reached'))
}};

-- Why an event is void, in words.
CREATE MACRO void(code, detail) AS {{
  CASE code
    WHEN 'closed' THEN _('its office has closed the item') WHEN 'finalised' THEN _('the assessment is final')
    WHEN 'no_target' THEN _('it refers to nothing that precedes it') WHEN 'other_subject' THEN _('its target is about another unit')
    WHEN 'irrevocable' THEN _('such an event cannot be revoked') WHEN 'not_owner' THEN _('the target''s item did not pass to this office')
    WHEN 'not_standing' THEN _('its target does not stand') WHEN 'decided' THEN _('the appeal has been decided')
    WHEN 'not_appealable' THEN _('only entries, ratings and vetoes can be appealed')
    WHEN 'appealed' THEN _('its target has an appeal already') WHEN 'no_appeal' THEN _('it refers to no appeal that stands')
    WHEN 'target_revoked' THEN _('what the appeal is against was revoked') WHEN 'points_range' THEN _('the revised points are out of range')
    WHEN 'approved' THEN _('the entry has an approval already') WHEN 'no_approval' THEN _('its target needs no approval')
    WHEN 'left' THEN _('the unit has left') WHEN 'there' THEN _('the unit is there already') WHEN 'not_there' THEN _('the unit is not there')
    WHEN 'not_holder' THEN _('the office does not hold the item') WHEN 'holder' THEN _('the office holds the item already')
    WHEN 'not_first' THEN _('an assessment is opened by its first event only')
    WHEN 'obstacles' THEN _('it cannot be final yet: ') || obstacles_LANG(detail)
    ELSE code END
}};

-- Points in a sentence, without the zeros that say nothing.
CREATE MACRO said(points) AS rtrim(rtrim(points::DECIMAL(18,6)::VARCHAR, '0'), '.');

-- What earlier entries have taken of what an entry might count: what its matter came to without and with it, and the latest that
-- counted on the matter, passed the cap of the node, counted on the balance. One row an entry.
-- language 3: ground
CREATE VIEW entry_taken AS
SELECT r.seq, said(sum(r.increase) OVER of_matter) AS matter_before, said(sum(r.increase) OVER of_matter + r.increase) AS matter_after,
       max(CASE WHEN r.increase > 0 THEN r.seq END) OVER of_matter AS matter_by,
       max(CASE WHEN r.passed > 0 THEN r.seq END) OVER of_node AS cap_by,
       max(CASE WHEN r.counted > 0 THEN r.seq END) OVER of_purse AS bound_by
FROM entry_result AS r
JOIN purse_sum AS s ON s.seq = r.seq
LEFT JOIN rulebook_node AS n ON n.item = r.item AND n.node = r.node
WINDOW of_matter AS (PARTITION BY r.unit, r.item, r.kind, r.matter ORDER BY r.seq ASC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
       of_node AS (PARTITION BY r.unit, r.item, r.kind, n.cap_group ORDER BY r.seq ASC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
       of_purse AS (PARTITION BY s.purse_id ORDER BY r.seq ASC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);

-- The audit trail of every entry, each with its sentence and clause. One row an entry.
-- wire "Dispositions": entries
CREATE VIEW entry_trail AS
SELECT r.*, {{
  CASE disposition
    WHEN 'duplicate' THEN _('The same event as sequence {refers_to}; it counts once')
    WHEN 'void' THEN _('Void: ') || void_LANG(void_reason, void_detail)
    WHEN 'revoked' THEN coalesce(_('Revoked by sequence {revoked_by}'), _('Cancelled on appeal by sequence {decided_by}'))
    WHEN 'rejected' THEN _('Rejected by sequence {approved_by}') WHEN 'awaiting' THEN _('Awaits approval')
    WHEN 'revised' THEN _('Revised on appeal by sequence {decided_by} to {points_in_force}, counts {counted}')
    WHEN 'counted' THEN _('Counted in full')
    ELSE CASE limited_by
      WHEN 'not_applicable' THEN _('The item is not one of the unit''s')
      WHEN 'exempt' THEN _('The item does not apply (sequence {exempted_by})')
      WHEN 'ground' THEN _('The ground that it requires does not precede it on the same matter')
      WHEN 'cap' THEN _('The cap of the node is used up') || coalesce(_(', the latest before it by sequence {cap_by}'), '')
      WHEN 'bound' THEN _('The points of the item are at their bound') || coalesce(_(', the latest before it taken by sequence {bound_by}'), '')
      ELSE _('A matter counts once')
           || coalesce(_(': it comes to {matter_after}, {matter_before} of them taken up to sequence {matter_by}'), '') END
  END || coalesce(_(' ({clause})'), '')
}} AS why
FROM entry_result AS r JOIN entry_taken AS t ON t.seq = r.seq;

-- What became of every other event, each with its sentence. One row an event.
-- wire "Dispositions"
CREATE VIEW event_trail AS
SELECT *, {{
  CASE disposition
    WHEN 'duplicate' THEN _('The same event as sequence {refers_to}; it counts once')
    WHEN 'void' THEN _('Void: ') || void_LANG(void_reason, void_detail)
    WHEN 'revoked' THEN coalesce(_('Revoked by sequence {revoked_by}'), _('Cancelled on appeal by sequence {decided_by}'))
    WHEN 'revised' THEN _('Revised on appeal by sequence {decided_by}') WHEN 'replaced' THEN _('Replaced by sequence {replaced_by}')
    WHEN 'no_effect' THEN CASE WHEN applies THEN _('The item does not apply (sequence {exempted_by})')
                               ELSE _('The item is not one of the unit''s') END
    ELSE _('Counted') END || coalesce(_(' ({clause})'), '')
}} AS why
FROM event_result;
