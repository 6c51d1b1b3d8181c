"""The command `readiness`: all that stands in the way of final, and whose it is."""

import duckdb

from schemas.refusals import Language


def unclosed(con: duckdb.DuckDBPyConnection, lang: Language) -> dict[str, list[str]]:
    """Name the offices (考核责任单位) that have not closed their part of an item, by item."""
    rows = con.execute(
        f"SELECT o.item, list(n.name_{lang} ORDER BY n.office) FROM rulebook_office o JOIN office n ON n.office = o.office"
        " ANTI JOIN year_event c ON c.type = 'item.closed.v1' AND c.item = o.item AND c.source = '/offices/' || o.office"
        " GROUP BY o.item"
    ).fetchall()
    return dict(rows)
