"""Installs the rules, which are SQL views over the event table, and computes their results: one road to a number."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from schemas.roster import Unit
from schemas.rulebook import ADOPTABLE, AWARD_RULES, Item, Rulebook

HERE = Path(__file__).parents[1]
FOLDERS = (HERE / "scorer" / "sql", HERE / "ranker" / "sql")

#: The event table: the envelope, one column a field of the data, and what admission judged once.
EVENT_COLUMNS = {
    "seq": "BIGINT",
    "recorded_at": "TIMESTAMP",
    "source": "VARCHAR",
    "id": "VARCHAR",
    "type": "VARCHAR",
    "unit": "VARCHAR",
    "time": "VARCHAR",
    "occurred": "VARCHAR",
    "item": "VARCHAR",
    "matter": "VARCHAR",
    "ground": "VARCHAR",
    "node": "VARCHAR",
    "points": "DECIMAL(18,6)",
    "rater": "VARCHAR",
    "rater_group": "VARCHAR",
    "component": "VARCHAR",
    "case_name": "VARCHAR",
    "value": "DECIMAL(18,6)",
    "target_source": "VARCHAR",
    "target_id": "VARCHAR",
    "outcome": "VARCHAR",
    "award": "VARCHAR",
    "units": "VARCHAR[]",
    "reading": "VARCHAR",
    "reading_value": "VARCHAR",
    "stage": "VARCHAR",
    "characters": "BIGINT",
    "reason": "VARCHAR",
    "raw": "BLOB",
    "admission": "VARCHAR",
    "void_reason": "VARCHAR",
    "void_detail": "VARCHAR",
    "refers_to": "BIGINT",
}
#: What admission adds to an event that was checked.
JUDGED_COLUMNS = ("admission", "void_reason", "void_detail", "refers_to")
#: The rulebook as tables, the roster, options over the adopted readings, and lines that intake refused.
TABLES = {
    "rulebook_total": "daily_coefficient DECIMAL(4,2), year_end_coefficient DECIMAL(4,2), award_category VARCHAR",
    "rulebook_category": "category VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, pass_mark DECIMAL(18,8)",
    "rulebook_office": "item VARCHAR, office VARCHAR, share DECIMAL(18,6)",
    "office": "office VARCHAR, name_zh VARCHAR, name_en VARCHAR",
    "rulebook_part": "part VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, points DECIMAL(18,6)",
    "rulebook_item": "item VARCHAR, ordinal INTEGER, part VARCHAR, year_end BOOLEAN, name_zh VARCHAR, name_en VARCHAR,"
    " method VARCHAR, points DECIMAL(18,6), clause VARCHAR, words VARCHAR",
    "rulebook_rule": "item VARCHAR, rule VARCHAR, value VARCHAR",
    "rulebook_ground": "item VARCHAR, ground VARCHAR, name_zh VARCHAR, name_en VARCHAR, branch VARCHAR,"
    " requires VARCHAR, points DECIMAL(18,6), words VARCHAR",
    "rulebook_node": "item VARCHAR, node VARCHAR, name_zh VARCHAR, name_en VARCHAR, cap DECIMAL(18,6),"
    " cap_group VARCHAR, words VARCHAR",
    "rulebook_component": "item VARCHAR, component VARCHAR, name_zh VARCHAR, name_en VARCHAR, points DECIMAL(18,6),"
    " is_binary BOOLEAN",
    "rulebook_group": "item VARCHAR, rater_group VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR",
    "rulebook_range": "item VARCHAR, value_min DECIMAL(18,6), value_max DECIMAL(18,6)",
    "rulebook_band": "item VARCHAR, band VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR,"
    " share DECIMAL(7,6), points DECIMAL(18,6)",
    "rulebook_step": "item VARCHAR, step VARCHAR, place INTEGER, points DECIMAL(18,6)",
    "rulebook_award": "award VARCHAR, ordinal INTEGER, name_zh VARCHAR, name_en VARCHAR, share DECIMAL(7,6)",
    "rulebook_reading": "name VARCHAR, is_reading BOOLEAN, value VARCHAR, clause VARCHAR, source VARCHAR",
    "reading_option": "name VARCHAR, value VARCHAR",
    "refused": "line BIGINT, source VARCHAR, id VARCHAR, reason VARCHAR, path VARCHAR, message VARCHAR",
    "roster": "unit VARCHAR, name VARCHAR, category VARCHAR, unit_group VARCHAR",
}


@dataclass(frozen=True)
class Definition:
    """A macro or a view of the rules; `kept` views are computed once and read as tables while results are computed."""

    kind: str
    name: str
    comment: str
    body: str
    kept: bool
    needs: tuple[str, ...]

    def view(self) -> str:
        """The view with all that it needs inside it, once: views of views would be bound again at every mention."""
        every = {one.name: one for one in definitions()}
        needed = [f"{name} AS ({every[name].body})" for name in self.needs]
        head = f"WITH {', '.join(needed)} " if needed else ""
        return f"CREATE VIEW {self.name} AS {head}SELECT * FROM ({self.body})"


@cache
def definitions() -> tuple[Definition, ...]:
    """Every macro and view, in the order of the files."""
    found: dict[str, Definition] = {}
    for file in (file for folder in FOLDERS for file in sorted(folder.glob("*.sql"))):
        for block in re.split(r";\s*$", file.read_text(encoding="utf-8"), flags=re.MULTILINE):
            match = re.search(r"^CREATE (VIEW|MACRO) (\w+)", block, flags=re.MULTILINE)
            if not match:
                continue
            comment = [line[3:] for line in block[: match.start()].splitlines() if line.startswith("-- ")]
            body = block[match.end() :].partition(" AS\n")[2] if match[1] == "VIEW" else block[match.start() :]
            words = set(re.findall(r"\w+", body))
            direct = [one for one in found.values() if one.kind == "VIEW" and one.name in words]
            needs = {name for one in direct for name in (*one.needs, one.name)}
            found[match[2]] = Definition(
                match[1],
                match[2],
                " ".join(line for line in comment if line != "stage"),
                body.strip(),
                "stage" in comment,
                tuple(name for name in found if name in needs),
            )
    return tuple(found.values())


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the empty event and rulebook tables and the macros."""
    con.execute("CREATE TABLE event ({})".format(", ".join(f"{name} {kind}" for name, kind in EVENT_COLUMNS.items())))
    for name, columns in TABLES.items():
        con.execute(f"CREATE TABLE {name} ({columns})")
    for one in definitions():
        if one.kind == "MACRO":
            con.execute(one.body)


def create_views(con: duckdb.DuckDBPyConnection) -> None:
    """Install every view, for those who query the file; `compute` does without them."""
    for one in definitions():
        if one.kind == "VIEW":
            con.execute(one.view())
            con.execute(f"COMMENT ON VIEW {one.name} IS {_quoted(one.comment)}")


def load_rulebook(con: duckdb.DuckDBPyConnection, book: Rulebook, roster: Iterable[Unit]) -> None:
    """Replace the rulebook tables and the roster."""
    rows = _rulebook_rows(book)
    rows["roster"] = [(unit.unit, unit.name, unit.category, unit.group) for unit in roster]
    sizes: dict[tuple[str, str], int] = {}
    for _, _, category, group in rows["roster"]:
        sizes[category, group] = sizes.get((category, group), 0) + 1
    places = max(sizes.values(), default=0)
    rows["rulebook_step"] = [row for item in book.item if item.step for row in _step_table(item, places)]
    for name, values in rows.items():
        con.execute(f"DELETE FROM {name}")
        if values:
            columns = [pa.array(column) for column in zip(*values, strict=True)]
            con.register("arriving", pa.table(columns, [f"c{n}" for n in range(len(columns))]))
            con.execute(f"INSERT INTO {name} FROM arriving")
            con.unregister("arriving")


def set_options(con: duckdb.DuckDBPyConnection, readings: dict[str, str]) -> None:
    """Put readings over the adopted ones. Admission is judged before, so an option voids and grants nothing."""
    con.execute("DELETE FROM reading_option")
    for name, value in readings.items():
        con.execute("INSERT INTO reading_option VALUES (?, ?)", [name, value])


@contextmanager
def compute(
    con: duckdb.DuckDBPyConnection, *, as_of: int | None = None, scope: list[str] | None = None, upto: str | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Compute the views in order, up to the one named, as temporary tables of this connection; they go at the end.

    A view that others read more than once is kept as a table of the same name, so that it is computed once. Give each
    thread a cursor of its own.
    """
    made: list[tuple[str, str]] = []
    try:
        if as_of is not None:
            con.execute(f"SET VARIABLE as_of = {as_of:d}")
        if scope is not None:
            con.execute("SET VARIABLE scope = ?::VARCHAR[]", [scope])
        for one in definitions():
            if one.kind == "VIEW":
                kind = "TABLE" if one.kept else "VIEW"
                con.execute(f"CREATE TEMP {kind} {one.name} AS {one.body}")
                made.append((kind, one.name))
            if one.name == upto:
                break
        yield con
    finally:
        with suppress(duckdb.TransactionException):  # a transaction that failed has taken them with it
            for kind, name in reversed(made):
                con.execute(f"DROP {kind} temp.{name}")
        con.execute("RESET VARIABLE as_of")
        con.execute("RESET VARIABLE scope")


def _rulebook_rows(book: Rulebook) -> dict[str, list[tuple[Any, ...]]]:
    """The rulebook as rows of its tables."""
    total, scale = book.total, Decimal(book.total.scale.value)
    year_end = {part.code for part in book.part if part.year_end}
    award_rules = [("award", name, getattr(book.award_rules, name)) for name in AWARD_RULES]

    def of(key: str) -> list[tuple[Item, int, Any]]:
        return [(item, n, one) for item in book.item for n, one in enumerate(getattr(item, key), 1)]

    return {
        "rulebook_total": [
            (
                Decimal(total.daily_weight.value) * scale,
                Decimal(total.year_end_weight.value) * scale,
                book.award_rules.category,
            )
        ],
        "rulebook_category": [
            (c.code, n, c.name.zh, c.name.en, Decimal(c.pass_mark.value) if c.pass_mark else None)
            for n, c in enumerate(book.category, 1)
        ],
        "office": [(o.code, o.name.zh, o.name.en) for o in book.office],
        "rulebook_office": [(i.code, o, i.share.get(o)) for i in book.item for o in i.offices],
        "rulebook_part": [(p.code, n, p.name.zh, p.name.en, p.points.value) for n, p in enumerate(book.part, 1)],
        "rulebook_item": [
            (
                i.code,
                n,
                i.part,
                i.part in year_end,
                i.name.zh,
                i.name.en,
                i.method,
                i.points.value,
                i.clause,
                i.points.words,
            )
            for n, i in enumerate(book.item, 1)
        ],
        "rulebook_rule": award_rules + [(i.code, name, value) for i in book.item for name, value in i.rules.items()],
        "rulebook_ground": [
            (i.code, g.code, g.name.zh, g.name.en, g.branch, g.requires, g.points, g.words) for i, _, g in of("ground")
        ],
        "rulebook_node": [
            (i.code, n.code, n.name.zh, n.name.en, n.cap, n.cap_group, n.words) for i, _, n in of("node")
        ],
        "rulebook_component": [
            (i.code, c.code, c.name.zh, c.name.en, c.points, c.binary) for i, _, c in of("component")
        ],
        "rulebook_group": [(i.code, g.code, n, g.name.zh, g.name.en) for i, n, g in of("group")],
        "rulebook_range": [(i.code, i.value.min, i.value.max) for i in book.item if i.value],
        "rulebook_band": [(i.code, b.code, n, b.name.zh, b.name.en, b.share, b.points) for i, n, b in of("band")],
        "rulebook_award": [
            (a.code, n, a.name.zh, a.name.en, Decimal(a.share.value)) for n, a in enumerate(book.award, 1)
        ],
        "rulebook_reading": [
            *((r.name, True, r.values[0], r.clause, r.source) for r in book.reading),
            *((p.name, False, p.value, None, p.source) for p in book.parameter if p.name in ADOPTABLE),
        ],
    }


def _step_table(item: Item, places: int) -> list[tuple[str, str, int, Decimal]]:
    """Points by place for both kinds of step, exact, rounded once to 6 decimals: 四(一)5."""
    assert item.step is not None
    full, step = Fraction(item.points.value), Fraction(item.step.value)
    rows = []
    for place in range(1, places + 1):
        rows.append((item.code, "linear", place, _six(max(Fraction(0), full - full * step * (place - 1)))))
        rows.append((item.code, "geometric", place, _six(full * (1 - step) ** (place - 1))))
    return rows


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _six(points: Fraction) -> Decimal:
    """A fraction that is not negative, half-up at 6 decimals."""
    millionths = (2 * points.numerator * 10**6 + points.denominator) // (2 * points.denominator)
    return Decimal(millionths).scaleb(-6).quantize(Decimal("0.000001"), ROUND_HALF_UP)
