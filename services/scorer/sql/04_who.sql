-- Units as they are at the cut, what applies to them, who holds and has closed what (language 2, 6, 10).

-- What the roster and later changes say. One row a unit and change.
-- language 2
CREATE VIEW unit_change AS
SELECT unit, 0::BIGINT AS seq, 'joined' AS change, name, category, unit_group, NULL::VARCHAR AS attributes FROM roster
UNION ALL
SELECT unit, seq, change, name, category, unit_group, attributes
FROM ledger_event WHERE type = 'unit.changed.v1' AND admission = 'admitted';

-- Units with name, category and group at the cut, which hold for the whole year. One row a unit.
-- language 2
-- stage
CREATE VIEW unit_in_force AS
SELECT unit, arg_max(name, seq) FILTER (name IS NOT NULL) AS name,
       arg_max(category, seq) FILTER (category IS NOT NULL) AS category,
       arg_max(unit_group, seq) FILTER (unit_group IS NOT NULL) AS unit_group,
       arg_max(change, seq) FILTER (change IN ('joined', 'left')) = 'left' AS has_left,
       max(seq) FILTER (change IN ('joined', 'moved')) AS placed_by, max(seq) FILTER (change = 'joined') AS joined_by,
       max(seq) FILTER (change = 'left') AS left_by
FROM unit_change
WHERE coalesce(list_contains(getvariable('scope')::VARCHAR[], unit), true)
GROUP BY unit;

-- The latest standing fact (事实) of an attribute. One row a unit and attribute.
-- language 2: attribute
CREATE VIEW fact_in_force AS
SELECT unit, attribute, max(seq) AS seq, arg_max(value, seq) AS value
FROM judged_event WHERE type = 'fact.recorded.v1' AND stands GROUP BY unit, attribute;

-- The text of an attribute as a number, kept at the largest; it may have more digits than any number of DuckDB.
CREATE MACRO attribute_of(given) AS
  within(coalesce(TRY_CAST(given AS DECIMAL(38,6)), CASE WHEN given LIKE '-%' THEN -1000000000 WHEN given IS NOT NULL THEN 1000000000 END),
         -999999999.999999, 999999999.999999)::DECIMAL(18,6);

-- What the roster, or the latest joining, says of a unit's attributes. One row a unit and attribute.
-- language 2: attribute
CREATE VIEW attribute_given AS
SELECT roster_attribute.unit, roster_attribute.attribute, roster_attribute.value
FROM roster_attribute JOIN unit_in_force ON unit_in_force.unit = roster_attribute.unit AND unit_in_force.joined_by = 0
UNION ALL
SELECT unit_in_force.unit, rulebook_attribute.attribute,
       attribute_of(json_extract_string(unit_change.attributes::JSON, '/' || rulebook_attribute.attribute))
FROM unit_in_force
JOIN unit_change ON unit_change.seq = unit_in_force.joined_by AND unit_change.unit = unit_in_force.unit
CROSS JOIN rulebook_attribute
WHERE unit_in_force.joined_by > 0;

-- Attributes (属性) in force. One row a unit and attribute.
-- language 2: attribute
-- stage
CREATE VIEW attribute_in_force AS
SELECT unit_in_force.unit, rulebook_attribute.attribute, fact_in_force.seq AS recorded_by,
       within(coalesce(fact_in_force.value, attribute_given.value, rulebook_attribute.value_default),
              -999999999.999999, 999999999.999999)::DECIMAL(18,6) AS value
FROM unit_in_force
CROSS JOIN rulebook_attribute
LEFT JOIN fact_in_force ON fact_in_force.unit = unit_in_force.unit AND fact_in_force.attribute = rulebook_attribute.attribute
LEFT JOIN attribute_given
  ON attribute_given.unit = unit_in_force.unit AND attribute_given.attribute = rulebook_attribute.attribute;

-- Items that apply, by the `applies` of the item and of all parts above it. One row a category, group and item.
-- language 2: applies
-- stage
CREATE VIEW item_applies AS
SELECT kind.category, kind.unit_group, rulebook_item.item
FROM (SELECT DISTINCT category, unit_group FROM unit_in_force) AS kind
CROSS JOIN rulebook_item
LEFT JOIN rulebook_applies
  ON rulebook_applies.code = rulebook_item.item
 AND NOT (coalesce(list_contains(rulebook_applies.categories, kind.category), true)
          AND coalesce(list_contains(rulebook_applies.unit_groups, kind.unit_group), true))
WHERE rulebook_applies.code IS NULL;

-- The items of each unit. One row a unit and item.
-- language 2: item
CREATE VIEW unit_has_item AS
SELECT unit_in_force.unit, item_applies.item, unit_in_force.category, unit_in_force.unit_group, unit_in_force.has_left
FROM unit_in_force
JOIN item_applies
  ON item_applies.category = unit_in_force.category AND item_applies.unit_group = unit_in_force.unit_group;

-- Who holds each office's place of an item, from when on: places pass on by transfers. One row an item,
-- office's place and holding.
-- language 10: item
-- stage
CREATE VIEW place_held AS
WITH RECURSIVE held AS (
  SELECT item, office AS first_office, office, 0::BIGINT AS held_from FROM rulebook_office
  UNION ALL
  SELECT item, first_office, to_office, seq FROM (
    SELECT held.item, held.first_office, year_event.to_office, year_event.seq,
           row_number() OVER (PARTITION BY held.item, held.first_office ORDER BY year_event.seq ASC) AS nearest
    FROM held
    JOIN year_event ON year_event.type = 'item.transferred.v1' AND year_event.item = held.item
     AND year_event.from_office = held.office AND year_event.seq > held.held_from)
  WHERE nearest = 1
)
SELECT item, first_office, office, held_from,
       coalesce(lead(held_from) OVER (PARTITION BY item, first_office ORDER BY held_from ASC), 9223372036854775807) AS held_upto
FROM held;

-- The present holder of each office's place of an item. One row an item and office's place.
-- language 10: item
CREATE VIEW item_holder AS
SELECT item, first_office, office, held_from FROM place_held WHERE held_upto = 9223372036854775807;

-- Not applicable (不适用): one owning office's exemption suffices. One row a unit and item.
-- language 6: item
-- stage
CREATE VIEW exemption AS
SELECT unit, item, min(seq) AS exempted_by
FROM judged_event WHERE type = 'item.exempted.v1' AND stands GROUP BY unit, item;

-- Items that the present holder of every place has closed. One row an item.
-- language 10 "Closing": item
-- stage
CREATE VIEW closed_item AS
SELECT item_holder.item, max(year_event.seq) AS closed_by FROM item_holder
LEFT JOIN year_event ON year_event.type = 'item.closed.v1' AND year_event.item = item_holder.item
     AND year_event.source = '/offices/' || item_holder.office
GROUP BY item_holder.item HAVING bool_and(year_event.seq IS NOT NULL);

-- The latest standing veto (一票否决) of each kind. One row a unit and veto.
-- language 7 "Vetoes": veto
-- stage
CREATE VIEW veto_in_force AS
SELECT judged_event.unit, judged_event.veto, max(judged_event.seq) AS seq, any_value(rulebook_veto.zero) AS zero
FROM judged_event JOIN rulebook_veto ON rulebook_veto.veto = judged_event.veto
WHERE judged_event.type = 'veto.recorded.v1' AND judged_event.stands
GROUP BY judged_event.unit, judged_event.veto;
