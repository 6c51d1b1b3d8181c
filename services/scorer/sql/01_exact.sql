-- Exact arithmetic (language 0). DuckDB's avg() and / return DOUBLE, so points are whole millionths and values whole
-- billionths while they are multiplied and divided, rounded once, half-up and away from zero.

-- Points as whole millionths: the whole part and the rest, since dividing a HUGEINT is ten times as slow.
CREATE MACRO micro(points) AS
  (trunc(points::DECIMAL(18,6))::BIGINT * 1000000 + ((points::DECIMAL(18,6) % 1)::DECIMAL(6,6) * 1000000)::BIGINT)::HUGEINT;

-- A value as whole billionths.
CREATE MACRO nano(number) AS
  (trunc(number::DECIMAL(18,9))::BIGINT * 1000000000 + ((number::DECIMAL(18,9) % 1)::DECIMAL(9,9) * 1000000000)::BIGINT)::HUGEINT;

-- The day in Beijing (+08:00) of a moment in UTC: one moment has one day, whatever offset it was sent with.
CREATE MACRO day_of(moment) AS strftime(moment + INTERVAL 8 HOURS, '%Y-%m-%d');

-- The same of a time as it was sent, which may be one that the calendar does not know: then as it was written.
CREATE MACRO day_sent(sent, instant) AS coalesce(day_of(TRY_CAST(instant AS TIMESTAMP)), left(sent, 10));

-- A number within bounds; a bound that is null is none.
CREATE MACRO within(number, low, high) AS CASE WHEN number IS NOT NULL THEN greatest(least(number, high), low) END;

-- Whole millionths as points, kept at the largest.
CREATE MACRO points_of(millionths) AS
  (within(millionths::HUGEINT, -999999999999999, 999999999999999)::DECIMAL(38,0) * 0.000001::DECIMAL(7,6))::DECIMAL(18,6);

-- Whole billionths as a value, kept at the largest.
CREATE MACRO value_of(billionths) AS
  (within(billionths::HUGEINT, -999999999999999999, 999999999999999999)::DECIMAL(38,0) * 0.000000001::DECIMAL(10,9))::DECIMAL(18,9);

-- n / d of whole numbers, d above 0, rounded half-up; // cuts towards 0. Small numbers take the quick way.
CREATE MACRO half_up(n, d) AS
  CASE WHEN n BETWEEN -3000000000000000000 AND 3000000000000000000 AND d <= 3000000000000000000
       THEN ((2 * n::BIGINT + sign(n) * d::BIGINT) // (2 * d::BIGINT))::HUGEINT
       ELSE (2 * n::HUGEINT + sign(n) * d::HUGEINT) // (2 * d::HUGEINT) END;

-- Points rounded to a grain of so many millionths.
CREATE MACRO to_grain(points, grain) AS
  CASE WHEN grain = 1 THEN within(points, -999999999.999999, 999999999.999999)::DECIMAL(18,6)
       ELSE points_of(half_up(micro(points), grain) * grain) END;
