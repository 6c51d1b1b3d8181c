-- Publication tables (公示表) with Chinese column titles, for those who copy them into a notice; 4 decimals, half-up.

-- The ranking of each category (排名), as a notice prints it.
CREATE VIEW 公示名次 AS
SELECT c.name_zh AS 类别, r.place AS 名次, r.unit AS 单位, r.name AS 名称, r.unit_group AS 分组,
       r.daily::DECIMAL(18,4) AS 日常得分, r.year_end::DECIMAL(18,4) AS 年末得分, r.final::DECIMAL(18,4) AS 最后得分,
       CASE r.passed WHEN true THEN '达标' WHEN false THEN '未达标' END AS 是否达标, a.name_zh AS 奖项,
       CASE r.state WHEN 'final' THEN '确定' ELSE '暂定' END AS 状态
FROM unit_result r
JOIN rulebook_category c ON c.category = r.category
LEFT JOIN rulebook_award a ON a.award = r.award
ORDER BY c.ordinal, r.place, r.unit;

-- The awards (先进奖) and who gets them, in order.
CREATE VIEW 公示奖项 AS
SELECT a.name_zh AS 奖项, w.scope AS 范围, w.quota AS 名额, r.place AS 名次, w.unit AS 单位, r.name AS 名称,
       r.final::DECIMAL(18,4) AS 最后得分, CASE WHEN w.undecided THEN '并列待定' ELSE '获奖' END AS 结果
FROM (SELECT award, ordinal, scope, quota, unnest(units) AS unit, false AS undecided FROM award_result
      UNION ALL SELECT award, ordinal, scope, quota, unnest(undecided), true FROM award_result) w
JOIN rulebook_award a ON a.award = w.award
JOIN unit_result r ON r.unit = w.unit
ORDER BY w.ordinal, w.scope, w.undecided, r.place, r.unit;

-- Every item (考核项目) of every unit.
CREATE VIEW 公示项目 AS
SELECT p.unit AS 单位, u.name AS 名称, p.item AS 项目, i.name_zh AS 项目名称, p.points_base AS 基本分, p.points AS 得分,
       CASE p.state WHEN 'scored' THEN '已评定' WHEN 'exempt' THEN '不适用' ELSE '待定' END AS 状态, i.clause AS 条款
FROM item_result p
JOIN roster u ON u.unit = p.unit
JOIN rulebook_item i ON i.item = p.item
ORDER BY p.unit, p.ordinal;

-- Every deduction (扣分) with what it counts and why.
CREATE VIEW 公示扣分 AS
SELECT d.seq AS 序号, d.unit AS 单位, u.name AS 名称, d.item AS 项目, d.matter AS 事项, g.name_zh AS 扣分情形,
       d.claimed AS 应扣, d.counted AS 实扣, d.balance_after AS 结余, d.why_zh AS 处理, d.reason AS 事由, d.clause AS 条款
FROM audit_trail d
JOIN roster u ON u.unit = d.unit
JOIN rulebook_ground g ON g.item = d.item AND g.ground = d.ground
ORDER BY d.seq;
