"""Gives every table and view of a file a second place, in the schema of what it is for: a view of the same name.

What it is for is the first word of its comment; nothing else decides it. Everything lies in `main`.
"""

from collections.abc import Iterator

import duckdb

from services.scorer.comments import LEDGER, NOTICE, PUBLISHED, RULEBOOK, RULES, quoted
from services.scorer.rules import IN_SCHEMA

#: The schemas of a file beside `main`.
SCHEMAS = tuple(one.lower() for one in (LEDGER, RULEBOOK, RULES, PUBLISHED, NOTICE))


def write(con: duckdb.DuckDBPyConnection, *only: str) -> None:
    """Put the tables and views named, or all that have a comment, into the schemas, with their comments."""
    rows = con.execute(
        "SELECT lower(split_part(o.comment, '. ', 1)), o.name, o.comment, o.is_view,"
        " list((c.column_name, c.data_type, c.comment) ORDER BY c.column_index)"
        " FROM (SELECT database_oid, table_oid AS oid, table_name AS name, comment, false AS is_view"
        " FROM duckdb_tables() UNION ALL SELECT database_oid, view_oid, view_name, comment, true"
        " FROM duckdb_views()) AS o"
        " JOIN duckdb_columns() AS c ON c.table_oid = o.oid AND c.database_oid = o.database_oid"
        " WHERE NOT c.internal AND c.database_name = current_database() AND c.schema_name = 'main'"
        " AND o.comment IS NOT NULL AND (len($only) = 0 OR list_contains($only, o.name)) GROUP BY ALL ORDER BY ALL",
        {"only": list(only)},
    ).fetchall()
    con.execute("".join(f'CREATE SCHEMA IF NOT EXISTS "{one}";' for one in sorted({row[0] for row in rows})))
    con.execute("".join(text for row in rows for text in _statements(*row)))


def _statements(
    schema: str, name: str, comment: str, is_view: bool, columns: list[tuple[str, str, str | None]]
) -> Iterator[str]:
    """The statements that make one view.

    To bind a view over a deep one takes as long as that did, so an empty table of the same columns stands in its place
    meanwhile.
    """
    made = IN_SCHEMA.format(schema=schema, name=name)
    if is_view:
        like = ", ".join(f'"{column}" {kind}' for column, kind, _ in columns)
        yield f'ALTER VIEW main."{name}" RENAME TO "{name} ";CREATE TABLE main."{name}" ({like});{made}'
        yield f'DROP TABLE main."{name}";ALTER VIEW main."{name} " RENAME TO "{name}";'
    else:
        yield made
    yield f'COMMENT ON VIEW "{schema}"."{name}" IS {quoted(comment)};'
    yield from (
        f'COMMENT ON COLUMN "{schema}"."{name}"."{column}" IS {quoted(told)};' for column, _, told in columns if told
    )
