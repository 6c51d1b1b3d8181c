-- 各类别排名 | The ranking of each category
SELECT u.category, u.place, u.unit, u.name, u.unit_group, u.final, g.grades, u.state, u.flags
FROM unit_result AS u
LEFT JOIN (SELECT unit, list(scheme || ': ' || grade ORDER BY scheme) AS grades FROM unit_grade WHERE grade IS NOT NULL
           GROUP BY unit) AS g ON g.unit = u.unit
ORDER BY u.category, u.place NULLS LAST, u.final DESC, u.unit;
