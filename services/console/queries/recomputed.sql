-- 已公布结果与重算结果之差（应为空） | Published results that differ from a recomputation: none
RESET VARIABLE as_of;
RESET VARIABLE readings;
(FROM published_unit EXCEPT FROM unit_result)
UNION ALL (FROM unit_result EXCEPT FROM published_unit);
