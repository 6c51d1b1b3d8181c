-- Kinds of methods that compare units (language 4): rank, bands, best, level.

-- Who competes: units with a value to which the item applies, not exempted, not left. One row a unit, item and run.
-- language 4: rank, bands, best, level
-- stage
CREATE VIEW contender AS
SELECT v.unit, v.item, v.run, v.value, m.method, u.category, u.unit_group,
       CASE m.pool WHEN 'category' THEN u.category WHEN 'group' THEN u.category || '/' || u.unit_group ELSE '' END AS pool,
       CASE WHEN m.low_first THEN v.value ELSE -v.value END AS worse
FROM run_value AS v
JOIN method_in_force AS m ON m.item = v.item AND m.compares AND NOT m.per_rater
JOIN unit_has_item AS u ON u.unit = v.unit AND u.item = v.item AND NOT u.has_left
ANTI JOIN exemption ON exemption.unit = v.unit AND exemption.item = v.item
WHERE NOT v.lacks;

-- Places (名次) in the pool: equal values share the better place, the next is skipped. One row a unit, item and run.
-- language 4: rank, bands
-- stage
CREATE VIEW contender_place AS
SELECT contender.*, rank() OVER (PARTITION BY item, run, pool ORDER BY worse ASC) AS place,
       count(*) OVER (PARTITION BY item, run, pool) AS units, count(*) OVER (PARTITION BY item, run, pool, worse) AS tied
FROM contender;

-- With `per = "rater"`: the units that each rater has rated, in its order. One row a unit, item and rater.
-- language 4: per
-- stage
CREATE VIEW rater_place AS
SELECT r.unit, r.item, r.rater, m.method,
       rank() OVER (PARTITION BY r.item, r.rater, p.pool ORDER BY CASE WHEN m.low_first THEN r.value ELSE -r.value END ASC) AS place,
       count(*) OVER (PARTITION BY r.item, r.rater, p.pool, r.value) AS tied
FROM rating_in_force AS r
JOIN method_in_force AS m ON m.item = r.item AND m.per_rater
JOIN unit_has_item AS u ON u.unit = r.unit AND u.item = r.item AND NOT u.has_left
ANTI JOIN exemption ON exemption.unit = r.unit AND exemption.item = r.item
CROSS JOIN LATERAL (
  SELECT CASE m.pool WHEN 'category' THEN u.category WHEN 'group' THEN u.category || '/' || u.unit_group ELSE '' END AS pool
) AS p;

-- `rank` 名次赋分: the points of the place in the exact table, or the mean of those of the places that the tied units take
-- together. One row an item, place and number of tied units.
-- language 4: rank
-- stage
CREATE VIEW place_points AS
SELECT item, place, tied, CASE ties WHEN 'average' THEN points_of(half_up(total, tied)) ELSE own END AS points
FROM (SELECT p.item, p.place, p.tied, m.ties, coalesce(own.points, 0) AS own,
             micro(last.points_upto) - micro(before.points_upto) AS total
      FROM (SELECT item, method, place, tied FROM contender_place UNION SELECT item, method, place, tied FROM rater_place) AS p
      JOIN method_in_force AS m ON m.item = p.item AND m.kind = 'rank'
      LEFT JOIN rulebook_place AS own ON own.item = p.item AND own.method = p.method AND own.place = p.place
      JOIN rulebook_place AS before
        ON before.item = p.item AND before.method = p.method AND before.place = least(p.place - 1, m.places)
      JOIN rulebook_place AS last
        ON last.item = p.item AND last.method = p.method AND last.place = least(p.place + p.tied - 1, m.places));

-- The mean of the points that each rater's order gives, trimmed like a panel. One row a unit and item.
-- language 4: per
-- stage
CREATE VIEW rater_points AS
SELECT unit, item, points_of(half_up(CASE WHEN trimmed THEN every - largest - smallest ELSE every END,
                                     CASE WHEN trimmed THEN number - 2 ELSE number END)) AS points
FROM (SELECT r.unit, r.item, any_value(item_in_force.panel) = 'trimmed' AND count(*) >= 3 AS trimmed, count(*) AS number,
             sum(micro(p.points)) AS every, max(micro(p.points)) AS largest, min(micro(p.points)) AS smallest
      FROM rater_place AS r
      JOIN place_points AS p ON p.item = r.item AND p.place = r.place AND p.tied = r.tied
      JOIN item_in_force ON item_in_force.item = r.item
      GROUP BY r.unit, r.item);

-- `bands` 按比例分档: seats of each band by the largest remainder; equal remainders go to the better band. One row an item,
-- run, pool and band.
-- language 4: bands
CREATE VIEW band_seat AS
SELECT p.item, p.run, p.pool, p.units, b.ordinal, b.band, b.points,
       sum(nano(b.share)) OVER (PARTITION BY p.item, p.run, p.pool ORDER BY b.ordinal ASC ROWS UNBOUNDED PRECEDING) AS share_upto,
       p.units * nano(b.share) // 1000000000
       + (row_number() OVER (PARTITION BY p.item, p.run, p.pool ORDER BY p.units * nano(b.share) % 1000000000 DESC, b.ordinal ASC)
          <= p.units - sum(p.units * nano(b.share) // 1000000000) OVER (PARTITION BY p.item, p.run, p.pool))::INTEGER AS seats
FROM (SELECT DISTINCT item, method, run, pool, units FROM contender_place) AS p
JOIN rulebook_band AS b ON b.item = p.item AND b.method = p.method;

-- The last place of each band (档次). One row an item, run, pool and band.
-- language 4: bands
-- stage
CREATE VIEW band_cut AS
SELECT s.item, s.run, s.pool, s.units, s.ordinal, s.band, s.points,
       CASE m.rounding
         WHEN 'cumulative_half_up' THEN half_up(s.units * s.share_upto, 1000000000)
         WHEN 'cumulative_floor' THEN s.units * s.share_upto // 1000000000
         ELSE sum(s.seats) OVER (PARTITION BY s.item, s.run, s.pool ORDER BY s.ordinal ASC ROWS UNBOUNDED PRECEDING)
       END AS place_last
FROM band_seat AS s JOIN method_in_force AS m ON m.item = s.item;

-- A unit's band is that of its place. One row a unit, item and run.
-- language 4: bands
-- stage
CREATE VIEW band_points AS
SELECT p.unit, p.item, p.run, p.place, arg_min(c.band, c.ordinal) AS band, arg_min(c.points, c.ordinal) AS points
FROM contender_place AS p
JOIN band_cut AS c ON c.item = p.item AND c.run = p.run AND c.pool = p.pool AND p.place <= c.place_last
GROUP BY p.unit, p.item, p.run, p.place;

-- `best` 比值法: the best value of the pool. One row a unit, item and run.
-- language 4: best
-- stage
CREATE VIEW best_points AS
SELECT unit, item, run, best,
       CASE WHEN value = best THEN full_points WHEN value <= 0 OR best <= 0 THEN 0
            ELSE points_of(half_up(dividend, nullif(divisor, 0))) END AS points
FROM (SELECT c.unit, c.item, c.run, c.value, best.value AS best, m.run_points AS full_points,
             micro(m.run_points) * nano(CASE WHEN m.low_first THEN best.value ELSE c.value END) AS dividend,
             nano(CASE WHEN m.low_first THEN c.value ELSE best.value END) AS divisor
      FROM contender AS c
      JOIN method_in_force AS m ON m.item = c.item AND m.kind = 'best'
      JOIN (SELECT item, run, pool, arg_min(value, worse) AS value FROM contender GROUP BY item, run, pool) AS best
        ON best.item = c.item AND best.run = c.run AND best.pool = c.pool);

-- `level` 平均分校正: the mean of the pool's values, and of those of the unit's category and group in it. One row a unit, item
-- and run.
-- language 4: level
-- stage
CREATE VIEW level_mean AS
SELECT unit, item, run, value, value_of(half_up(pool_total, pool_units)) AS mean_all, value_of(half_up(own_total, own_units)) AS mean_own
FROM (SELECT contender.unit, contender.item, contender.run, contender.value,
             sum(nano(value)) OVER (PARTITION BY item, run, pool) AS pool_total, count(*) OVER (PARTITION BY item, run, pool) AS pool_units,
             sum(nano(value)) OVER (PARTITION BY item, run, pool, category, unit_group) AS own_total,
             count(*) OVER (PARTITION BY item, run, pool, category, unit_group) AS own_units
      FROM contender
      SEMI JOIN method_in_force AS m ON m.item = contender.item AND m.kind = 'level');

-- The value x the mean of all / the mean of its own, scaled. One row a unit, item and run.
-- language 4: level
-- stage
CREATE VIEW level_points AS
SELECT l.unit, l.item, l.run, l.levelled, points_of(half_up(micro(m.run_points) * nano(l.levelled), nano(m.of_value))) AS points
FROM (SELECT unit, item, run,
             CASE WHEN mean_own > 0 THEN value_of(half_up(nano(value) * nano(mean_all), nano(mean_own))) ELSE value END AS levelled
      FROM level_mean) AS l
JOIN method_in_force AS m ON m.item = l.item;

-- The points of all kinds that compare, within the bounds. One row a unit, item and run.
-- language 4: rank, bands, best, level
-- stage
CREATE VIEW compared_points AS
SELECT p.unit, p.item, p.run, within(p.points, item_in_force.at_least, item_in_force.at_most)::DECIMAL(18,6) AS points
FROM (SELECT c.unit, c.item, c.run, place_points.points FROM contender_place AS c
      JOIN place_points ON place_points.item = c.item AND place_points.place = c.place AND place_points.tied = c.tied
      UNION ALL SELECT unit, item, '', points FROM rater_points
      UNION ALL SELECT unit, item, run, points FROM band_points
      UNION ALL SELECT unit, item, run, points FROM best_points
      UNION ALL SELECT unit, item, run, points FROM level_points) AS p
JOIN item_in_force ON item_in_force.item = p.item;
