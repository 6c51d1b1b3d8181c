-- Awards (先进奖) under quotas: clause 三(二).

-- Which categories compete together: the ranked one, all, or each by itself. A scope without units has its awards too.
CREATE VIEW award_scope AS
SELECT c.category, e.value AS eligible,
       CASE e.value WHEN 'a_and_b' THEN (SELECT string_agg(category, '+' ORDER BY ordinal) FROM rulebook_category)
                    ELSE c.category END AS scope
FROM rulebook_category c CROSS JOIN rulebook_total t
JOIN rule_in_force e ON e.item = 'award' AND e.rule = 'eligible'
WHERE e.value <> 'b' OR c.category = t.award_category;

-- Which units compete in which scope.
CREATE VIEW award_contender AS
SELECT p.unit, p.final, s.scope FROM place p JOIN award_scope s ON s.category = p.category;

-- Quotas (名额) and the last position of each award.
-- stage
CREATE VIEW award_cut AS
WITH base AS (
  SELECT s.scope, CASE WHEN s.eligible = 'each' OR b.value = 'eligible' THEN count(c.unit) ELSE any_value(n.listed) END AS units
  FROM (SELECT DISTINCT scope, eligible FROM award_scope) s
  JOIN rule_in_force b ON b.item = 'award' AND b.rule = 'base'
  CROSS JOIN (SELECT count(*) AS listed FROM roster) n
  LEFT JOIN award_contender c ON c.scope = s.scope
  GROUP BY s.scope, s.eligible, b.value
), share AS (
  SELECT a.award, a.ordinal, b.scope, s.value AS shape,
         CASE r.value WHEN 'half_up' THEN half_up(b.units * micro(a.share), 1000000)
                      ELSE b.units * micro(a.share) // 1000000 END AS own
  FROM rulebook_award a, base b, rule_in_force r, rule_in_force s
  WHERE r.item = 'award' AND r.rule = 'rounding' AND s.item = 'award' AND s.rule = 'shape'
)
SELECT award, ordinal, scope,
       CASE shape WHEN 'cumulative' THEN own - coalesce(lag(own) OVER (PARTITION BY scope ORDER BY ordinal), 0) ELSE own END AS quota,
       CASE shape WHEN 'cumulative' THEN own ELSE sum(own) OVER w END AS position_last
FROM share WINDOW w AS (PARTITION BY scope ORDER BY ordinal ROWS UNBOUNDED PRECEDING);

-- Ties (并列) in each scope: the positions that units of equal final take together.
CREATE VIEW award_tie AS
SELECT unit, scope, final, rank() OVER (PARTITION BY scope ORDER BY final DESC) AS position_first,
       position_first + count(*) OVER (PARTITION BY scope, final) - 1 AS position_end
FROM award_contender;

-- Ties across a cut, with the latest standing tie.resolved whose units are exactly the tied ones.
-- stage
CREATE VIEW award_straddle AS
WITH straddle AS (
  SELECT c.award, c.ordinal, c.scope, t.position_first, list(t.unit ORDER BY t.unit) AS units
  FROM award_cut c JOIN award_tie t ON t.scope = c.scope AND t.position_first <= c.position_last
                                   AND t.position_end > c.position_last
  GROUP BY c.award, c.ordinal, c.scope, t.position_first
)
SELECT s.*, max(r.seq) AS settled_by, arg_max(r.units, r.seq) AS units_settled
FROM straddle s
LEFT JOIN year_event r ON r.type = 'tie.resolved.v1' AND r.award = s.award AND list_sort(r.units) = s.units
GROUP BY s.award, s.ordinal, s.scope, s.position_first, s.units;

-- The order of all contenders; a settled tie is ordered at every cut that it straddles.
-- stage
CREATE VIEW award_order AS
WITH settled AS (
  SELECT scope, position_first, true AS straddles, arg_max(units_settled, settled_by) AS units
  FROM award_straddle GROUP BY scope, position_first
)
SELECT t.unit, t.scope, t.final, t.position_first, t.position_end, s.straddles AND s.units IS NULL AS unsettled,
       t.position_first - 1 + coalesce(list_position(s.units, t.unit),
           row_number() OVER (PARTITION BY t.scope, t.position_first ORDER BY t.unit)) AS position
FROM award_tie t LEFT JOIN settled s ON s.scope = t.scope AND s.position_first = t.position_first;

-- Who gets what: by position; an unsettled tie across a cut goes by the reading award_tie.
-- stage
CREATE VIEW award_given AS
SELECT o.unit, o.scope, o.position,
       CASE WHEN coalesce(o.unsettled, false) AND r.value = 'undecided' THEN NULL ELSE arg_min(c.award, c.ordinal) END AS award,
       coalesce(o.unsettled, false) AND r.value = 'undecided' AS undecided
FROM award_order o
JOIN rule_in_force r ON r.item = 'award' AND r.rule = 'tie'
LEFT JOIN award_cut c ON c.scope = o.scope AND c.position_last >=
     CASE WHEN NOT coalesce(o.unsettled, false) THEN o.position WHEN r.value = 'include' THEN o.position_first
          ELSE o.position_end END
GROUP BY o.unit, o.scope, o.position, o.unsettled, r.value;

-- Each award with its winners in order, and the units that are undecided at its own cut.
-- stage
CREATE VIEW award_result AS
SELECT c.award, c.ordinal, c.scope, c.quota,
       coalesce((SELECT list(g.unit ORDER BY g.position) FROM award_given g
                 WHERE g.scope = c.scope AND g.award = c.award), []) AS units,
       coalesce((SELECT any_value(s.units) FROM award_straddle s
                 JOIN award_given g ON g.scope = s.scope AND g.unit = s.units[1] AND g.undecided
                 WHERE s.scope = c.scope AND s.award = c.award), []) AS undecided
FROM award_cut c;
