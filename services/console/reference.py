"""Lists every table and view of a snapshot, from the comments they carry: for docs/sql.md, and beside the SQL box."""

import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from services.console.sql import queries
from services.scorer import comments, rules, store
from services.snapshot import held

HEAD = """# SQL for operators

A snapshot is one DuckDB file that holds the ledger, the rulebook, the rules as views, and the results. It is there to
be read:

```
wuxing sql "SELECT unit, place, final, state FROM unit_result ORDER BY final DESC LIMIT 5"
wuxing sql --ready grade_margin --format csv
duckdb -readonly data/snapshots/latest.duckdb
```

`wuxing sql` and the SQL box of the console pass on SELECT, EXPLAIN and SET VARIABLE only, to an engine that is shut off
from files, settings and extensions; the box stops after 10 seconds and 1,000 rows. Any other DuckDB client of 1.5 or
later reads the file as well.

- The `published_…` tables hold the results as published and answer at once. The views of the same content compute them.
- `SET VARIABLE as_of = 3000` before a query: every view then sees the ledger up to that sequence.
- `wuxing sql --facts-until TIME`: every view and table then knows only what had occurred by that time, wherever it
  stands in the ledger, and what is void is judged by that. `wuxing score LEDGER.jsonl --facts-until TIME --snapshot
  FILE.duckdb` writes such a file for any client.
- `SET VARIABLE readings = MAP {'step': 'geometric'}`: every view then goes by that reading.
- `SET VARIABLE scope = ['U001', 'U002']`: views of single units then look at those only; places and grades need all.
- `RESET VARIABLE as_of` takes it back. Points are DECIMAL and exact; `avg()` and `/` give DOUBLE, so use `half_up`,
  `micro` and `points_of`, or print no more than 4 decimals.
- `FROM score_at(3000)` is `unit_result` at that sequence, `FROM score_diff(3000, 4000)` every unit whose final, place,
  state or flags differ between the two. Both stand in the file, for any client.
- Everything lies in the schema `main`, where a bare name finds it, and is a view of the same name in the schema of what
  it is for, which each part of this page names: `rules.unit_result` shows `unit_result`, and a client's tree of tables
  is in order. A file that has the name of a schema, such as `rules.duckdb`, wants `rules.rules.unit_result`.
- Every table, view, column and macro has a comment in the file: `SELECT table_name, column_name, comment FROM
  duckdb_columns() WHERE schema_name = 'main' AND NOT internal`. Those of tables and views begin with what they are for.

This page is generated: `python -m services.console.reference > docs/sql.md`.
"""


#: What each purpose of tables and views is, in the order of the page.
PURPOSES = {
    comments.NOTICE: "Views with Chinese titles that print as a notice does, 4 decimals half-up.",
    comments.PUBLISHED: "Results as they were published; they answer at once, and views compute them.",
    comments.LEDGER: "What came in, and what proves it.",
    comments.RULES: "Views that compute, in the order in which they build on one another.",
    comments.RULEBOOK: "The rulebook and the roster as tables.",
}


class Listed(NamedTuple):
    """A table or view: its name, what it holds, and its columns with their types."""

    name: str
    holds: str
    columns: list[tuple[str, str]]


@cache
def listed() -> dict[str, list[Listed]]:
    """All tables and views by the schema of what they are for: views as the rules build on one another."""
    with tempfile.TemporaryDirectory(prefix="wuxing-") as folder:
        path = Path(folder) / "blank.duckdb"
        path.write_bytes(held.blank())
        with store.connect(path, read_only=True) as con:
            return {one.lower(): [*_tables(con, one)] for one in PURPOSES}


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    yield "## Ready queries\n\n`wuxing sql --ready NAME`, or the links beside the SQL box.\n"
    yield "| name | asks | 中文 |\n|---|---|---|"
    yield from (f"| `{one.name}` | {one.title['en']} | {one.title['zh']} |" for one in queries().values())
    for one, words in PURPOSES.items():
        yield f"\n## {one}\n\n{words} Schema `{one.lower()}`."
        for table in listed()[one.lower()]:
            columns = ", ".join(f"`{name}` {kind}" for name, kind in table.columns)
            yield f"\n### {table.name}\n\n{table.holds}\n\n{columns}".rstrip()
    yield "\n## Columns\n\nA name means the same wherever it stands.\n\n| column | means |\n|---|---|"
    yield from (f"| `{name}` | {text.replace('|', '&#124;')} |" for name, text in sorted(comments.COLUMNS.items()))
    yield "\n## Macros\n"
    for made in rules.definitions():
        if made.kind != "VIEW":
            head = made.body.splitlines()[0].removeprefix("CREATE MACRO ").split(" AS")[0]
            yield f"- `{head}` {made.comment}"


def _tables(con: duckdb.DuckDBPyConnection, purpose: str) -> Iterator[Listed]:
    """The tables and views of one purpose: views in the order of the rules, tables in that of their comments."""
    told = dict(
        con.execute(
            "SELECT table_name, comment FROM duckdb_tables() UNION ALL SELECT view_name, comment FROM duckdb_views()"
            " WHERE schema_name = 'main' AND NOT internal"
        ).fetchall()
    )
    order = [*comments.TABLES, "unit_wide", *(one.name for one in rules.definitions() if one.kind == "VIEW")]
    for name in (one for one in order if told.get(one, "").startswith(f"{purpose}. ")):
        own = name == "unit_wide"  # whose columns are the rulebook's
        columns = [] if own else [(column, kind) for column, kind, *__ in con.execute(f"DESCRIBE {name}").fetchall()]
        yield Listed(name, told[name].removeprefix(f"{purpose}. "), columns)


if __name__ == "__main__":
    sys.stdout.write(page())
