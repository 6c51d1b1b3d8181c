-- Exact arithmetic. DuckDB's avg() and / return DOUBLE, so points are divided as whole millionths, half-up, once.

-- Points as whole millionths.
CREATE MACRO micro(points) AS (points::DECIMAL(18,6) * 1000000)::HUGEINT;

-- Whole millionths as points.
CREATE MACRO points_of(millionths) AS (millionths::DECIMAL(18,0) * 0.000001::DECIMAL(7,6))::DECIMAL(18,6);

-- n / d of whole numbers that are not negative, rounded half-up.
CREATE MACRO half_up(n, d) AS (2 * n::HUGEINT + d::HUGEINT) // (2 * d::HUGEINT);
