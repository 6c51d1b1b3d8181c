-- 已公布结果与重算结果之差（应为空） | Published results that differ from a recomputation: none
RESET VARIABLE as_of;
RESET VARIABLE readings;
(FROM snapshot.published_unit EXCEPT FROM snapshot.unit_result)
UNION ALL (FROM snapshot.unit_result EXCEPT FROM snapshot.published_unit);
