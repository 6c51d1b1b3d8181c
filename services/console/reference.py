"""Writes docs/sql.md: every table and view of a snapshot, from the comments they carry; a test keeps it current."""

import sys
from collections.abc import Iterator

from services.console.sql import queries
from services.scorer import rules, store
from services.snapshot.make import PUBLISHED

#: What each table holds; views say it themselves.
TABLES = {
    "event": "The ledger: each event with the columns of its data, its raw bytes, and what admission judged once.",
    "refused": "Events that the fold's checks refused, by their sequence (in a file: by line).",
    "roster": "The units (单位) of the opening with category, group and attributes; unit_in_force has their changes.",
    "roster_attribute": "The attributes (属性) of those units, a value a row; attribute_in_force has the facts too.",
    "office": "The responsible offices (考核责任单位).",
    "rulebook_final": "The final's formula: what the top of the tree is divided by and multiplied with, its decimals.",
    "rulebook_order": "The keys that order units of one pool, the final among them.",
    "rulebook_category": "The categories (类别), and which of them have places.",
    "rulebook_group": "The groups (分组) with their category.",
    "rulebook_attribute": "The attributes (属性) with their range and default.",
    "rulebook_period": "The periods of each item that is rated period by period.",
    "rulebook_part": "The parts of the tree above the items, with points, weight, bounds and clause.",
    "rulebook_item": "The items (考核项目): input, full points, bounds, how it is scored, clause and words.",
    "rulebook_above": "Every part above an item or a part, by its distance.",
    "rulebook_applies": "The categories and groups that an item or a part is for, where it is not for all.",
    "rulebook_office": "Which office owns which item, with its share where they are separate.",
    "rulebook_ground": "The grounds (情形) of entries: fixed points or a range, what they add to, ask for or need.",
    "rulebook_node": "The nodes of work with their caps and those of their groups.",
    "rulebook_range": "The range of each item's ratings.",
    "rulebook_measure": "The measures of each item's ratings.",
    "rulebook_raters": "The groups of raters of each item.",
    "rulebook_term": "The terms of each item's formula over its measures.",
    "rulebook_method": "The methods by which ratings become points.",
    "rulebook_row": "The rows of the tables that methods read points from, each with the next.",
    "rulebook_band": "The bands (档次) of methods with share and points.",
    "rulebook_place": "Points by place.",
    "rulebook_scheme": "The schemes (评定) with their pools, rounding and tie.",
    "rulebook_grade": "The grades (等次) of each scheme: share, number or least final.",
    "rulebook_requirement": "What a unit must have reached for a grade.",
    "rulebook_veto": "The vetoes (一票否决) and what each makes zero.",
    "rulebook_bar": "The grades that a veto bars.",
    "rulebook_stage": "The stages (阶段) in order.",
    "rulebook_reading": "The readings and parameters with their defaults.",
    "reading_option": "Readings put over those adopted; empty in what was published.",
    "meta": "Facts of the snapshot by key: assessment, rulebook, sequence, digest, root, state, version, synthetic.",
}
HEAD = """# SQL for operators

A snapshot is one DuckDB file that holds the ledger, the rulebook, the rules as views, and the results. It is there to
be read:

```
wuxing sql "SELECT unit, place, final, state FROM unit_result ORDER BY final DESC LIMIT 5"
wuxing sql --ready grade_margin --format csv
duckdb -readonly data/snapshots/latest.duckdb
```

`wuxing sql` and the SQL box of the console pass on SELECT, EXPLAIN and SET VARIABLE only, to an engine that is shut off
from files, settings and extensions; the box stops after 10 seconds and 1,000 rows. Any other DuckDB client of 1.4 or
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
- The views in Chinese (`公示…`) print as a notice does, 4 decimals half-up.

This page is generated: `python -m services.console.reference > docs/sql.md`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    con = store.connect()
    rules.create_tables(con)
    rules.create_views(con)
    con.execute("CREATE TABLE meta (key VARCHAR, value VARCHAR)")
    yield HEAD
    yield "## Ready queries\n\n`wuxing sql --ready NAME`, or the links beside the SQL box.\n"
    yield "| name | asks | 中文 |\n|---|---|---|"
    yield from (f"| `{one.name}` | {one.title['en']} | {one.title['zh']} |" for one in queries().values())
    yield "\n## Published results\n\n| table | the view that computes it again |\n|---|---|"
    yield from (f"| `{table}` | `{view}` |" for table, view in PUBLISHED.items())
    yield "\n## Views\n\nIn the order in which they build on one another.\n"
    comments = dict(con.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall())
    for one in rules.definitions():
        if one.kind == "VIEW":
            yield from _entry(one.name, comments[one.name], con.execute(f"DESCRIBE {one.name}").fetchall())
    yield "## Tables\n"
    for name, text in TABLES.items():
        yield from _entry(name, text, con.execute(f"DESCRIBE {name}").fetchall())
    yield "## Macros\n"
    for one in rules.definitions():
        if one.kind == "MACRO":
            head = one.body.splitlines()[0].removeprefix("CREATE MACRO ").split(" AS")[0]
            yield f"- `{head}` {one.comment}".rstrip()


def _entry(name: str, text: str | None, columns: list[tuple[str, ...]]) -> Iterator[str]:
    listed = ", ".join(f"`{column[0]}` {column[1]}" for column in columns)
    yield f"### {name}\n\n{text or ''}\n\n{listed}\n"


if __name__ == "__main__":
    sys.stdout.write(page())
