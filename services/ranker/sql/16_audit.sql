-- The audit trail: what became of every event, and why.

-- Each deduction with its one disposition; precedence duplicate, void, revoked, revised, no_effect, in part, counted.
-- stage
CREATE VIEW deduction_result AS
SELECT l.seq, l.source, l.id, l.unit, l.item, l.matter, l.ground, l.node, l.claimed, l.points_counted AS counted,
       l.balance_before, l.balance_after, l.clause, l.reason, l.refers_to, l.void_reason, l.void_detail, l.revoked_by, l.decided_by,
       l.exempted_by, k.seq IS NOT NULL AS lacks_ground, l.increase, l.passed, l.points_in_force,
       CASE WHEN l.admission <> 'admitted' THEN l.admission
            WHEN NOT l.stands THEN 'revoked'
            WHEN l.decision_outcome = 'revised' THEN 'revised'
            WHEN l.points_counted = 0 THEN 'no_effect'
            WHEN l.points_counted < l.claimed THEN 'counted_in_part'
            ELSE 'counted' END AS disposition
FROM deduction_line l LEFT JOIN lacking_ground k ON k.seq = l.seq;

-- Each event that is no deduction with its one disposition.
-- stage
CREATE VIEW event_result AS
SELECT e.seq, e.source, e.id, e.type, e.unit, e.item, f.clause, e.refers_to, e.void_reason, e.void_detail, e.revoked_by, e.decided_by,
       CASE WHEN e.admission <> 'admitted' THEN e.admission
            WHEN NOT e.stands THEN 'revoked'
            WHEN e.decision_outcome = 'revised' THEN 'revised'
            WHEN e.type = 'rating.recorded.v1' AND r.seq IS NULL THEN 'replaced'
            WHEN e.type = 'rating.recorded.v1' AND x.unit IS NOT NULL THEN 'no_effect'
            ELSE 'counted' END AS disposition
FROM judged_event e
LEFT JOIN item_full f ON f.item = e.item
LEFT JOIN rating_in_force r ON r.seq = e.seq
LEFT JOIN exemption x ON x.unit = e.unit AND x.item = e.item
WHERE e.type <> 'deduction.recorded.v1' AND e.admission <> 'conflict';

-- Why an event is void, in words.
CREATE MACRO void_zh(code, detail) AS CASE code
  WHEN 'closed' THEN '考核单位已关闭该项目' WHEN 'finalised' THEN '年度考核已定稿' WHEN 'no_target' THEN '所指事件在此之前不存在'
  WHEN 'other_subject' THEN '所指事件属于其他单位' WHEN 'irrevocable' THEN '此类事件不能撤销'
  WHEN 'not_standing' THEN '所指事件已不成立' WHEN 'decided' THEN '申诉已有决定' WHEN 'not_appealable' THEN '只能对扣分或评分申诉'
  WHEN 'appealed' THEN '对该事件已有申诉' WHEN 'no_appeal' THEN '所指不是有效的申诉' WHEN 'target_revoked' THEN '被申诉的事件已撤销'
  WHEN 'points_range' THEN '改定分值超出范围' WHEN 'not_first' THEN '开启事件只在账首有效' WHEN 'obstacles' THEN '尚不能定稿：' || detail
  ELSE code END;
CREATE MACRO void_en(code, detail) AS CASE code
  WHEN 'closed' THEN 'its office has closed the item' WHEN 'finalised' THEN 'the year is final'
  WHEN 'no_target' THEN 'it refers to nothing that precedes it' WHEN 'other_subject' THEN 'its target is about another unit'
  WHEN 'irrevocable' THEN 'such an event cannot be revoked' WHEN 'not_standing' THEN 'its target does not stand'
  WHEN 'decided' THEN 'the appeal has been decided' WHEN 'not_appealable' THEN 'only deductions and ratings can be appealed'
  WHEN 'appealed' THEN 'its target has an appeal already' WHEN 'no_appeal' THEN 'it refers to no appeal that stands'
  WHEN 'target_revoked' THEN 'what the appeal is against was revoked' WHEN 'points_range' THEN 'the revised points are out of range'
  WHEN 'not_first' THEN 'an assessment is opened by its first event only' WHEN 'obstacles' THEN 'it cannot be final yet: ' || detail
  ELSE code END;

-- Which rule took what a deduction does not count: the matter, the cap of its node, or the floor.
CREATE VIEW deduction_limit AS
SELECT seq, CASE WHEN exempted_by IS NOT NULL THEN 'exempt' WHEN lacks_ground THEN 'ground'
                 WHEN counted < passed THEN 'floor' WHEN passed < increase THEN 'cap'
                 WHEN increase < points_in_force THEN 'matter' END AS limited_by
FROM deduction_result;

-- The audit trail of every deduction, each with its sentence and clause.
CREATE VIEW audit_trail AS
SELECT d.*,
  CASE disposition
    WHEN 'duplicate' THEN concat('与序号', refers_to, '为同一事件，只计一次')
    WHEN 'void' THEN '无效：' || void_zh(void_reason, void_detail)
    WHEN 'revoked' THEN CASE WHEN revoked_by IS NOT NULL THEN concat('由序号', revoked_by, '撤销')
                             ELSE concat('经申诉由序号', decided_by, '取消') END
    WHEN 'revised' THEN concat('经申诉由序号', decided_by, '改定为', points_in_force, '，计', counted)
    WHEN 'counted' THEN '全额计入'
    ELSE CASE limited_by WHEN 'exempt' THEN concat('该项不适用（序号', exempted_by, '）') WHEN 'ground' THEN '同一事项此前没有首次扣分，再扣不计'
           WHEN 'floor' THEN '该项分值已扣完' WHEN 'cap' THEN '该节点扣分已达上限' ELSE '同一事项不重复扣分' END
  END || '（' || clause || '）' AS why_zh,
  CASE disposition
    WHEN 'duplicate' THEN concat('The same event as sequence ', refers_to, '; it counts once')
    WHEN 'void' THEN 'Void: ' || void_en(void_reason, void_detail)
    WHEN 'revoked' THEN CASE WHEN revoked_by IS NOT NULL THEN concat('Revoked by sequence ', revoked_by)
                             ELSE concat('Cancelled on appeal by sequence ', decided_by) END
    WHEN 'revised' THEN concat('Revised on appeal by sequence ', decided_by, ' to ', points_in_force, ', counts ', counted)
    WHEN 'counted' THEN 'Counted in full'
    ELSE CASE limited_by WHEN 'exempt' THEN concat('The item does not apply (sequence ', exempted_by, ')')
           WHEN 'ground' THEN 'A further deduction needs its first on the same matter' WHEN 'floor' THEN 'The points of the item are used up'
           WHEN 'cap' THEN 'The cap of the node is used up' ELSE 'A matter is deducted once' END
  END || ' (' || clause || ')' AS why_en
FROM deduction_result d JOIN deduction_limit USING (seq);

-- What became of every other event, each with its sentence.
CREATE VIEW event_trail AS
SELECT *,
  CASE disposition
    WHEN 'duplicate' THEN concat('与序号', refers_to, '为同一事件，只计一次')
    WHEN 'void' THEN '无效：' || void_zh(void_reason, void_detail)
    WHEN 'revoked' THEN CASE WHEN revoked_by IS NOT NULL THEN concat('由序号', revoked_by, '撤销')
                             ELSE concat('经申诉由序号', decided_by, '取消') END
    WHEN 'revised' THEN concat('经申诉由序号', decided_by, '改定')
    WHEN 'replaced' THEN '由同一评分人其后的评分取代' WHEN 'no_effect' THEN '该项不适用' ELSE '计入' END
    || coalesce('（' || clause || '）', '') AS why_zh,
  CASE disposition
    WHEN 'duplicate' THEN concat('The same event as sequence ', refers_to, '; it counts once')
    WHEN 'void' THEN 'Void: ' || void_en(void_reason, void_detail)
    WHEN 'revoked' THEN CASE WHEN revoked_by IS NOT NULL THEN concat('Revoked by sequence ', revoked_by)
                             ELSE concat('Cancelled on appeal by sequence ', decided_by) END
    WHEN 'revised' THEN concat('Revised on appeal by sequence ', decided_by)
    WHEN 'replaced' THEN 'Replaced by a later rating of the same rater' WHEN 'no_effect' THEN 'The item does not apply'
    ELSE 'Counted' END || coalesce(' (' || clause || ')', '') AS why_en
FROM event_result;
