-- Publication tables (公示表) with Chinese column titles, for those who copy them into a notice; 4 decimals, half-up.

-- The ranking of each category (排名), as a notice prints it. One row a unit.
-- no clause: prints results as a notice does
CREATE VIEW 公示名次 AS
SELECT c.name_zh AS 类别, r.place AS 名次, r.unit AS 单位, r.name AS 名称, r.unit_group AS 分组,
       r.final::DECIMAL(18,4) AS 最后得分,
       CASE r.state WHEN 'final' THEN '确定' WHEN 'left' THEN '已退出' ELSE '暂定' END AS 状态
FROM unit_result AS r
JOIN rulebook_category AS c ON c.category = r.category
ORDER BY c.ordinal ASC, r.place ASC NULLS LAST, r.unit ASC;

-- The grades (等次) of all schemes and who gets them, in order. One row a grade, pool and unit.
-- no clause: prints results as a notice does
CREATE VIEW 公示等次 AS
SELECT s.name_zh AS 评定方案, g.name_zh AS 等次, w.pool AS 范围, w.quota AS 名额, r.place AS 名次, w.unit AS 单位, r.name AS 名称,
       r.final::DECIMAL(18,4) AS 最后得分, CASE WHEN w.undecided THEN '并列待定' ELSE '评定' END AS 结果
FROM (SELECT scheme, grade, pool, quota, unnest(units) AS unit, false AS undecided FROM grade_result
      UNION ALL SELECT scheme, grade, pool, quota, unnest(undecided), true FROM grade_result) AS w
JOIN rulebook_scheme AS s ON s.scheme = w.scheme
JOIN rulebook_grade AS g ON g.grade = w.grade
JOIN unit_result AS r ON r.unit = w.unit
ORDER BY s.ordinal ASC, g.ordinal ASC, w.pool ASC, w.undecided ASC, r.place ASC NULLS LAST, r.unit ASC;

-- Every item (考核项目) of every unit. One row a unit and item.
-- no clause: prints results as a notice does
CREATE VIEW 公示项目 AS
SELECT p.unit AS 单位, u.name AS 名称, p.item AS 项目, i.name_zh AS 项目名称, p.points_base::DECIMAL(18,4) AS 基本分, p.points::DECIMAL(18,4) AS 得分,
       CASE p.state WHEN 'scored' THEN '已评定' WHEN 'exempt' THEN '不适用' ELSE '待定' END AS 状态, i.clause AS 条款
FROM item_result AS p
JOIN unit_in_force AS u ON u.unit = p.unit
JOIN rulebook_item AS i ON i.item = p.item
ORDER BY p.unit ASC, p.ordinal ASC;

-- Every deduction and bonus (扣分、加分) with what it counts and why. One row an entry.
-- no clause: prints results as a notice does
CREATE VIEW 公示扣加分 AS
SELECT d.seq AS 序号, CASE d.kind WHEN 'bonus' THEN '加分' ELSE '扣分' END AS 类型, d.unit AS 单位, u.name AS 名称, d.item AS 项目,
       d.matter AS 事项, g.name_zh AS 情形, d.claimed::DECIMAL(18,4) AS 应计, d.counted::DECIMAL(18,4) AS 实计,
       d.balance_after::DECIMAL(18,4) AS 结余, d.why_zh AS 处理, d.reason AS 事由, d.clause AS 条款
FROM entry_trail AS d
JOIN unit_in_force AS u ON u.unit = d.unit
JOIN rulebook_ground AS g ON g.item = d.item AND g.ground = d.ground
ORDER BY d.seq ASC;
