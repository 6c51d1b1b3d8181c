-- The results at any sequence, and between two. A table macro is made of all that it reads, cut at its first argument.

-- What unit_result comes to at a sequence. One row a unit.
CREATE MACRO score_at(at_sequence) AS TABLE
SELECT * FROM unit_result;

-- Final and place of each unit at two sequences: what has moved from the one to the other. One row a unit that has.
CREATE MACRO score_diff(a, b) AS TABLE
SELECT coalesce(older.unit, newer.unit) AS unit, older.final AS final_before, newer.final AS final_after,
       newer.final - older.final AS final_change, older.place AS place_before, newer.place AS place_after,
       older.state AS state_before, newer.state AS state_after
FROM score_at(a) AS older FULL JOIN score_at(b) AS newer ON newer.unit = older.unit
WHERE (older.final, older.place, older.state, older.flags) IS DISTINCT FROM (newer.final, newer.place, newer.state, newer.flags)
ORDER BY ALL;
