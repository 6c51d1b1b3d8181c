"""Which columns the view `unit_wide` has: place and final, then the points of each part and item by its code."""

from collections.abc import Iterator

from schemas.rulebook import Rulebook
from services.scorer.comments import COLUMNS, PUBLISHED

_OWN = ("unit", "name", "category", "unit_group", "final", "place", "state")
COMMENT = "What was published of each unit in one row: a column for each part and item by its code. One row a unit."


def statements(book: Rulebook) -> Iterator[str]:
    """The statements that make the view over the published tables of a snapshot of this rulebook."""
    columns = [f"u.{name}" for name in _OWN]
    taken = {*_OWN}
    joins = []
    for kind, nodes in (("part", book.part), ("item", book.item)):
        points = []
        for node in nodes:
            name = node.code
            while name.casefold() in taken:  # DuckDB tells no capital from a small letter in a column's name
                name += "_"
            taken.add(name.casefold())
            points.append(f"any_value(points) FILTER ({kind} = '{node.code}') AS \"{name}\"")
            columns.append(f'{kind}."{name}"')
        if points:
            each = f"SELECT unit, {', '.join(points)} FROM published_{kind} GROUP BY unit"
            joins.append(f" LEFT JOIN ({each}) AS {kind} ON {kind}.unit = u.unit")
    yield f"CREATE VIEW main.unit_wide AS SELECT {', '.join(columns)} FROM published_unit AS u{''.join(joins)}"
    yield f"COMMENT ON VIEW main.unit_wide IS '{PUBLISHED}. {COMMENT}'"
    for column in columns:
        name = column.partition(".")[2].strip('"')
        told = COLUMNS[name] if name in _OWN else "The points of the part or item of this code."
        quoted = told.replace("'", "''")
        yield f"COMMENT ON COLUMN main.unit_wide.\"{name}\" IS '{quoted}'"
