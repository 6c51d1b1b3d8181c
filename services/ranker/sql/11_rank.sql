-- Items that need all the units: bands, rank steps, ranked values.

-- Units with a standing value that are not exempted, where the item compares them.
-- stage
CREATE VIEW contender AS
SELECT r.unit, r.item, f.method, u.category, u.unit_group, r.value
FROM rating_in_force r
JOIN item_full f ON f.item = r.item
JOIN roster u ON u.unit = r.unit
LEFT JOIN rule_in_force o ON o.item = r.item AND o.rule = 'order'
ANTI JOIN exemption x ON x.unit = r.unit AND x.item = r.item
WHERE f.method IN ('bands', 'rank_step') OR o.value = 'ranked';

-- Places within the pool (all units, or each category) of a banded item: 四(一)1(5). Ties share the better place.
CREATE VIEW band_place AS
SELECT c.unit, c.item, p.value AS pool_rule, rule.value AS rounding,
       CASE p.value WHEN 'category' THEN c.category ELSE '' END AS pool,
       rank() OVER (PARTITION BY c.item, pool ORDER BY c.value DESC) AS place,
       count(*) OVER (PARTITION BY c.item, pool) AS units
FROM contender c
JOIN rule_in_force p ON p.item = c.item AND p.rule = 'pool'
JOIN rule_in_force rule ON rule.item = c.item AND rule.rule = 'rounding'
WHERE c.method = 'bands';

-- Seats of each band by the largest remainder; equal remainders go to the better band.
CREATE VIEW band_remainder AS
SELECT p.item, p.pool, b.ordinal, p.units * micro(b.share) // 1000000
       + (row_number() OVER (PARTITION BY p.item, p.pool ORDER BY p.units * micro(b.share) % 1000000 DESC, b.ordinal)
          <= p.units - sum(p.units * micro(b.share) // 1000000) OVER (PARTITION BY p.item, p.pool))::INTEGER AS seats
FROM (SELECT DISTINCT item, pool, units FROM band_place) p JOIN rulebook_band b ON b.item = p.item;

-- The last place of each band (档次) of a pool.
CREATE VIEW band_cut AS
SELECT p.item, p.pool, b.ordinal, b.band, b.points,
       CASE p.rounding
         WHEN 'cumulative_half_up' THEN half_up(p.units * micro(b.share_upto), 1000000)
         WHEN 'cumulative_floor' THEN p.units * micro(b.share_upto) // 1000000
         ELSE sum(r.seats) OVER (PARTITION BY p.item, p.pool ORDER BY b.ordinal ROWS UNBOUNDED PRECEDING)
       END AS place_last
FROM (SELECT DISTINCT item, pool, rounding, units FROM band_place) p
JOIN (SELECT *, sum(share) OVER (PARTITION BY item ORDER BY ordinal ROWS UNBOUNDED PRECEDING) AS share_upto
      FROM rulebook_band) b ON b.item = p.item
JOIN band_remainder r ON r.item = p.item AND r.pool = p.pool AND r.ordinal = b.ordinal;

-- A unit's band is that of its place.
-- stage
CREATE VIEW band_points AS
SELECT p.unit, p.item, p.place, p.units, p.pool, arg_min(c.band, c.ordinal) AS band,
       arg_min(c.points, c.ordinal)::DECIMAL(18,6) AS points
FROM band_place p JOIN band_cut c ON c.item = p.item AND c.pool = p.pool AND p.place <= c.place_last
GROUP BY p.unit, p.item, p.place, p.units, p.pool;

-- Rank steps (名次递减) within category and group ("分类分组"): 四(一)5. Points by place come from the step table.
-- stage
CREATE VIEW step_points AS
SELECT p.unit, p.item, p.place, p.units, p.tied,
       CASE t.value
         WHEN 'average' THEN points_of(half_up((SELECT sum(micro(s.points)) FROM rulebook_step s
              WHERE s.item = p.item AND s.step = m.value AND s.place BETWEEN p.place AND p.place + p.tied - 1), p.tied))
         ELSE (SELECT s.points FROM rulebook_step s WHERE s.item = p.item AND s.step = m.value AND s.place = p.place)
       END AS points
FROM (SELECT *, rank() OVER (PARTITION BY item, category, unit_group ORDER BY value DESC) AS place,
             count(*) OVER (PARTITION BY item, category, unit_group) AS units,
             count(*) OVER (PARTITION BY item, category, unit_group, value) AS tied
      FROM contender WHERE method = 'rank_step') p
JOIN rule_in_force m ON m.item = p.item AND m.rule = 'step'
JOIN rule_in_force t ON t.item = p.item AND t.rule = 'ties';

-- Values taken by their order only: full points for the first, a step less each further place, never below 0: 四(一)3(1).
-- stage
CREATE VIEW ranked_points AS
SELECT c.unit, c.item, rank() OVER (PARTITION BY c.item ORDER BY c.value DESC) AS place,
       count(*) OVER (PARTITION BY c.item) AS units,
       greatest(0, f.points - s.value::DECIMAL(9,6) * (place - 1)::DECIMAL(9,0))::DECIMAL(18,6) AS points
FROM contender c
JOIN item_full f ON f.item = c.item
JOIN rule_in_force s ON s.item = c.item AND s.rule = 'step'
WHERE c.method = 'scaled';
