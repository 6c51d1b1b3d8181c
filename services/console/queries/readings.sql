-- 现行读法和参数 | The readings and parameters in force
SELECT r.name, r.value, b.value AS default_value, r.adopted_by, r.by_option, r.is_reading, r.clause
FROM reading_in_force r JOIN rulebook_reading b ON b.name = r.name
ORDER BY r.is_reading DESC, r.clause, r.name;
