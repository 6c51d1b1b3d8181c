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

-- Why an event is void, in Chinese.
CREATE MACRO void_zh(code, detail) AS CASE code
  WHEN 'closed' THEN '考核单位已关闭该项目' WHEN 'finalised' THEN '考核已定稿' WHEN 'no_target' THEN '所指事件在此之前不存在'
  WHEN 'other_subject' THEN '所指事件属于其他单位' WHEN 'irrevocable' THEN '此类事件不能撤销' WHEN 'not_owner' THEN '所指事件不属于该项目的承接单位'
  WHEN 'not_standing' THEN '所指事件已不成立' WHEN 'decided' THEN '申诉已有决定' WHEN 'not_appealable' THEN '只能对扣分、加分、评分或一票否决申诉'
  WHEN 'appealed' THEN '对该事件已有申诉' WHEN 'no_appeal' THEN '所指不是有效的申诉' WHEN 'target_revoked' THEN '被申诉的事件已撤销'
  WHEN 'points_range' THEN '改定分值超出范围' WHEN 'approved' THEN '该事项已有审批' WHEN 'no_approval' THEN '所指事件不需审批'
  WHEN 'left' THEN '单位已退出考核' WHEN 'there' THEN '单位已在考核中' WHEN 'not_there' THEN '单位不在考核中'
  WHEN 'not_holder' THEN '移交单位并不承担该项目' WHEN 'holder' THEN '接收单位已承担该项目'
  WHEN 'not_first' THEN '开启事件只在账首有效'
  WHEN 'obstacles' THEN '尚不能定稿：' || replace(replace(replace(replace(replace(replace(replace(detail, ', ', '、'),
         'pending', '待定项目'), 'appeal', '未决申诉'), 'awaiting', '待审批'), 'tie', '并列'), 'assumption', '未采用的读法'), 'stage', '未到的阶段')
  ELSE code END;

-- The same in English.
CREATE MACRO void_en(code, detail) AS CASE code
  WHEN 'closed' THEN 'its office has closed the item' WHEN 'finalised' THEN 'the assessment is final'
  WHEN 'no_target' THEN 'it refers to nothing that precedes it' WHEN 'other_subject' THEN 'its target is about another unit'
  WHEN 'irrevocable' THEN 'such an event cannot be revoked' WHEN 'not_owner' THEN 'the target''s item did not pass to this office'
  WHEN 'not_standing' THEN 'its target does not stand' WHEN 'decided' THEN 'the appeal has been decided'
  WHEN 'not_appealable' THEN 'only entries, ratings and vetoes can be appealed'
  WHEN 'appealed' THEN 'its target has an appeal already' WHEN 'no_appeal' THEN 'it refers to no appeal that stands'
  WHEN 'target_revoked' THEN 'what the appeal is against was revoked' WHEN 'points_range' THEN 'the revised points are out of range'
  WHEN 'approved' THEN 'the entry has an approval already' WHEN 'no_approval' THEN 'its target needs no approval'
  WHEN 'left' THEN 'the unit has left' WHEN 'there' THEN 'the unit is there already' WHEN 'not_there' THEN 'the unit is not there'
  WHEN 'not_holder' THEN 'the office does not hold the item' WHEN 'holder' THEN 'the office holds the item already'
  WHEN 'not_first' THEN 'an assessment is opened by its first event only' WHEN 'obstacles' THEN 'it cannot be final yet: ' || detail
  ELSE code END;

-- Points in a sentence, without the zeros that say nothing.
CREATE MACRO said(points) AS rtrim(rtrim(points::DECIMAL(18,6)::VARCHAR, '0'), '.');

-- What earlier entries have taken of what an entry might count: what its matter came to, and the latest that counted on the
-- matter, passed the cap of the node, counted on the balance. One row an entry.
-- language 3: ground
CREATE VIEW entry_taken AS
SELECT r.seq, sum(r.increase) OVER of_matter AS matter_before,
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
SELECT r.*,
  CASE disposition
    WHEN 'duplicate' THEN concat('与序号', refers_to, '为同一事件，只计一次') WHEN 'void' THEN '无效：' || void_zh(void_reason, void_detail)
    WHEN 'revoked' THEN CASE WHEN revoked_by IS NOT NULL THEN concat('由序号', revoked_by, '撤销')
                             ELSE concat('经申诉由序号', decided_by, '取消') END
    WHEN 'rejected' THEN concat('审批未通过（序号', approved_by, '）') WHEN 'awaiting' THEN '待审批'
    WHEN 'revised' THEN concat('经申诉由序号', decided_by, '改定为', points_in_force, '，计', counted) WHEN 'counted' THEN '全额计入'
    ELSE CASE limited_by WHEN 'not_applicable' THEN '该项不适用于该单位' WHEN 'exempt' THEN concat('该项不适用（序号', exempted_by, '）')
           WHEN 'ground' THEN '同一事项此前没有所须的情形，不计'
           WHEN 'cap' THEN '该节点分值已达上限' || coalesce('，此前最近计至序号' || cap_by, '')
           WHEN 'bound' THEN '该项分值已到限' || coalesce('，此前最近计至序号' || bound_by, '')
           ELSE '同一事项不重复计' || coalesce('：该事项共计' || said(matter_before + increase) || '分，至序号' || matter_by || '已计' || said(matter_before) || '分', '') END
  END || coalesce('（' || clause || '）', '') AS why_zh,
  CASE disposition
    WHEN 'duplicate' THEN concat('The same event as sequence ', refers_to, '; it counts once')
    WHEN 'void' THEN 'Void: ' || void_en(void_reason, void_detail)
    WHEN 'revoked' THEN CASE WHEN revoked_by IS NOT NULL THEN concat('Revoked by sequence ', revoked_by)
                             ELSE concat('Cancelled on appeal by sequence ', decided_by) END
    WHEN 'rejected' THEN concat('Rejected by sequence ', approved_by) WHEN 'awaiting' THEN 'Awaits approval'
    WHEN 'revised' THEN concat('Revised on appeal by sequence ', decided_by, ' to ', points_in_force, ', counts ', counted)
    WHEN 'counted' THEN 'Counted in full'
    ELSE CASE limited_by WHEN 'not_applicable' THEN 'The item is not one of the unit''s'
           WHEN 'exempt' THEN concat('The item does not apply (sequence ', exempted_by, ')')
           WHEN 'ground' THEN 'The ground that it requires does not precede it on the same matter'
           WHEN 'cap' THEN 'The cap of the node is used up' || coalesce(', the latest before it by sequence ' || cap_by, '')
           WHEN 'bound' THEN 'The points of the item are at their bound' || coalesce(', the latest before it taken by sequence ' || bound_by, '')
           ELSE 'A matter counts once' || coalesce(': it comes to ' || said(matter_before + increase) || ', ' || said(matter_before)
                || ' of them taken up to sequence ' || matter_by, '') END
  END || coalesce(' (' || clause || ')', '') AS why_en
FROM entry_result AS r JOIN entry_taken AS t ON t.seq = r.seq;

-- What became of every other event, each with its sentence. One row an event.
-- wire "Dispositions"
CREATE VIEW event_trail AS
SELECT *,
  CASE disposition
    WHEN 'duplicate' THEN concat('与序号', refers_to, '为同一事件，只计一次') WHEN 'void' THEN '无效：' || void_zh(void_reason, void_detail)
    WHEN 'revoked' THEN CASE WHEN revoked_by IS NOT NULL THEN concat('由序号', revoked_by, '撤销')
                             ELSE concat('经申诉由序号', decided_by, '取消') END
    WHEN 'revised' THEN concat('经申诉由序号', decided_by, '改定') WHEN 'replaced' THEN concat('由序号', replaced_by, '取代')
    WHEN 'no_effect' THEN CASE WHEN applies THEN concat('该项不适用（序号', exempted_by, '）') ELSE '该项不适用于该单位' END
    ELSE '计入' END || coalesce('（' || clause || '）', '') AS why_zh,
  CASE disposition
    WHEN 'duplicate' THEN concat('The same event as sequence ', refers_to, '; it counts once')
    WHEN 'void' THEN 'Void: ' || void_en(void_reason, void_detail)
    WHEN 'revoked' THEN CASE WHEN revoked_by IS NOT NULL THEN concat('Revoked by sequence ', revoked_by)
                             ELSE concat('Cancelled on appeal by sequence ', decided_by) END
    WHEN 'revised' THEN concat('Revised on appeal by sequence ', decided_by) WHEN 'replaced' THEN concat('Replaced by sequence ', replaced_by)
    WHEN 'no_effect' THEN CASE WHEN applies THEN concat('The item does not apply (sequence ', exempted_by, ')')
                               ELSE 'The item is not one of the unit''s' END
    ELSE 'Counted' END || coalesce(' (' || clause || ')', '') AS why_en
FROM event_result;
