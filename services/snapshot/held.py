"""Opens a snapshot that anybody may have written: read-only, walled off, and nothing that lies in it is run.

An engine in memory with this program's own macros reads the file's tables, and only what is a table there. The views
and macros of the file are looked at (`objects`) and never used.
"""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from schemas import soundness
from schemas.faults import RulebookError
from schemas.told import Told
from schemas.words import _
from schemas.year import given
from services.scorer import purposes, rules, store
from services.scorer.rulebook_rows import TABLES
from services.snapshot import wide
from services.snapshot.make import TEXT, complete

#: Nothing is fetched, nothing of the process is seen, nothing is written beside the file.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
#: The name of the file in its engine.
NAME = "snapshot"


class Unopened(Told):
    """A file that is not opened, with the sentence that says why; neither names the file."""


class TooMuch(Unopened):
    """A small file whose tables come to more than such a file can hold: it is not read."""


class Object(NamedTuple):
    """One thing of a file's catalogue: what it is, its name, and all that the engine says of it."""

    kind: str
    name: str
    text: str


def check_alone(path: Path) -> None:
    """Raise Unopened for a file that is none, is no DuckDB file, or beside which lies a write-ahead log.

    Whoever opens a file takes the log beside it for the file's own; a snapshot that was published has none.
    """
    real = path.resolve()
    try:
        with real.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise Unopened(_("cannot be read: {error}", error=error.strerror)) from None
    if head[8:] != b"DUCK":  # where DuckDB's own files say what they are
        raise Unopened(_("not a snapshot: it is no DuckDB file"))
    beside = [one.name for name in {path.absolute(), real} for one in name.parent.glob("*.wal*")]
    if found := sorted(one for one in beside for name in (path.name, real.name) if one.startswith(f"{name}.wal")):
        raise Unopened(
            _(
                "{found} lies beside it, and would be taken for a part of it: somebody has written "
                "there. Keep that file as evidence, move it elsewhere, and then run wuxing verify on the "
                "snapshot",
                found=found[0],
            )
        )


def opened(path: Path, **more: str) -> duckdb.DuckDBPyConnection:
    """Open a snapshot; `more` are settings of the engine, such as its memory. Raises Unopened, TooMuch unread."""
    check_alone(path)
    con = duckdb.connect(":memory:", config=CONFIG | more)
    try:
        place = str(path.resolve()).replace("'", "''")
        con.execute("SET enable_progress_bar = false")  # it writes where data go, at whatever is slow
        con.execute(f"ATTACH '{place}' AS {NAME} (READ_ONLY)")
        con.execute("SET enable_external_access = false")
        check_bounds(con, path)
        for one in rules.definitions():
            if one.kind == "MACRO":
                con.execute(one.body)
        for name in tables(con):
            kind = "TABLE" if name in TABLES else "VIEW"  # a roster has an order, a view of it none
            con.execute(f"CREATE {kind} {quoted(name)} AS FROM {NAME}.main.{quoted(name)}")
        con.execute("SET lock_configuration = true")
    except TooMuch:
        con.close()
        raise
    except duckdb.Error as error:
        con.close()
        reason = plain(error, path)
        raise Unopened(_("not a snapshot that can be opened: {reason}", reason=reason)) from None
    return con


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def plain(error: Exception, path: Path) -> str:
    """The first line of an engine's message, without where the file lies."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    for folder in {str(path.resolve().parent), str(path.absolute().parent)} - {"/"}:
        text = text.replace(f"{folder}/", "").replace(folder, "")
    return text


def tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The file's tables by name; what is anything else under such a name is not read."""
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'main' ORDER BY 1", [NAME]
    ).fetchall()
    return [name for (name,) in rows]


def objects(con: duckdb.DuckDBPyConnection) -> set[Object]:
    """Everything that a file's catalogue holds, of whatever kind the engine knows, with all that it says of it."""
    found: set[Object] = set()
    for function, columns, name in _catalogues():
        tables = f"SELECT (schema_name, table_name) FROM duckdb_tables() WHERE database_name = '{NAME}'"
        of_tables = f" AND (schema_name, table_name) IN ({tables})"
        rows = con.execute(
            f"SELECT {', '.join(columns)} FROM {function}() WHERE database_name = '{NAME}'"
            + (of_tables if name == "column_name" else "")  # those of a view hang on what it reads
        ).fetchall()
        for row in rows:
            facts = dict(zip(columns, row, strict=True))
            names = [facts[key] for key in dict.fromkeys(("schema_name", "table_name", name)) if facts.get(key)]
            kind = function.removeprefix("duckdb_")
            found.add(Object(_KINDS.get(kind, kind), ".".join(map(str, names)), _told(facts)))
    return found


_KINDS = {"indexes": "index"} | {
    f"{kind}s": kind
    for kind in ("column", "constraint", "function", "schema", "sequence", "table", "trigger", "type", "view")
}


def _told(facts: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in facts.items() if value not in (None, {}, [], ""))


#: What a catalogue says that is not the object's own: numbers of this session, and counts of what is in it.
_PASSING = ("oid", "estimated_size", "is_bound", "index_count", "last_value")


@cache
def _catalogues() -> list[tuple[str, list[str], str]]:
    """Every catalogue of the engine that tells of databases: its function, its columns, and which of them names."""
    found = []
    with duckdb.connect() as con:
        functions = con.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_name LIKE 'duckdb\\_%' ESCAPE '\\'"
            " AND function_type = 'table' AND parameters = [] ORDER BY 1"
        ).fetchall()
        for (function,) in functions:
            columns = [row[0] for row in con.execute(f"DESCRIBE FROM {function}()").fetchall()]
            if {"database_name", "schema_name"} <= {*columns}:
                name = next(one for one in _NAMES if one in columns)
                kept = [one for one in columns if not one.endswith(_PASSING) and not one.startswith("database_")]
                found.append((function, kept, name))
    return found


_NAMES = (
    "column_name", "constraint_name", "index_name", "trigger_name", "view_name", "function_name", "sequence_name",
    "type_name", "crs_name", "table_name", "schema_name",
)  # fmt: skip


@cache
def expected(rulebook: str | None) -> frozenset[Object]:
    """The catalogue that this program gives a snapshot: that of one in which nothing has happened.

    `rulebook` is the snapshot's own, as JSON: its parts and items are columns of one view.
    """
    with tempfile.TemporaryDirectory(prefix="wuxing-") as folder:
        path = Path(folder) / "blank.duckdb"
        path.write_bytes(blank())
        if rulebook is not None:
            with store.connect(path) as con:
                con.execute("DROP VIEW unit_wide")
                book = soundness.read(json.loads(rulebook))
                for statement in wide.statements(book):
                    con.execute(statement)
                for statement in TEXT if book.out_of_line else ():
                    con.execute(statement)
                purposes.write(con, "unit_wide", "text")
        with opened(path) as con:
            return frozenset(objects(con))


def blank() -> bytes:
    """A snapshot of the shipped rulebook in which nothing has happened."""
    return store.kept("snapshot", _made)


def _made() -> bytes:
    year = given("blank", None, None)
    with tempfile.TemporaryDirectory(prefix="wuxing-") as folder:
        path = Path(folder) / "blank.duckdb"
        with store.fresh(path) as con:
            rules.load_rulebook(con, year.rulebook, year.roster)
            complete(con, year, 0)
        return path.read_bytes()


def rulebook_json(con: duckdb.DuckDBPyConnection) -> str | None:
    """The rulebook that a file says is its own; null where it says none that is sound."""
    try:
        rows = con.execute(f"SELECT value FROM {NAME}.main.meta WHERE key = 'rulebook_json'").fetchall()
        soundness.read(json.loads(rows[0][0]))
    except (duckdb.Error, IndexError, TypeError, ValueError, RulebookError):
        return None
    return str(rows[0][0])


#: How much more than its own bytes a file may come to: texts of an honest one do not pack better, and each event has
#: 32 bytes of hash that do not pack at all.
EXPANSION, EVENT_BYTES, FREE = 64, 16, 64 * 1024**2


def check_bounds(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise TooMuch for a file whose tables come to more than an honest file of its size could hold."""
    size = path.stat().st_size
    for table in tables(con):
        name = f"{NAME}.main.{quoted(table)}"
        rows = con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
        most = size // EVENT_BYTES if table in ("event", "leaf") else size
        texts = [
            f"{'strlen' if kind == 'VARCHAR' else 'octet_length'}({quoted(column)})"
            for column, kind, *__ in con.execute(f"DESCRIBE FROM {name}").fetchall()
            if kind in ("VARCHAR", "BLOB")
        ]
        total = 0
        if rows <= most and texts:
            summed = " + ".join(f"coalesce(sum({one}), 0)" for one in texts)
            total = con.execute(f"SELECT {summed} FROM {name}").fetchall()[0][0]
        if rows > most or total > EXPANSION * size + FREE:
            raise TooMuch(
                _(
                    "table {table} holds {rows} rows of {total} bytes, more than a snapshot of {size} bytes "
                    "can: not read",
                    table=table[:64],
                    rows=rows,
                    total=total,
                    size=size,
                )
            )


class Differing(NamedTuple):
    """How a file's catalogue differs: what is not this program's, what is missing, what is of another kind or text."""

    kind: str
    name: str
    how: str


def differing(con: duckdb.DuckDBPyConnection) -> list[Differing]:
    """Every object of a file that is not this program's by name, kind and text, and every one that it lacks."""
    mine, theirs = expected(rulebook_json(con)), objects(con)
    ours, others = ({(one.kind, one.name) for one in some} for some in (mine - theirs, theirs - mine))
    named = dict.fromkeys(ours & others, "other")
    named |= dict.fromkeys(ours - others, "missing") | dict.fromkeys(others - ours, "foreign")
    return [Differing(kind, name, how) for (kind, name), how in sorted(named.items())]


if __name__ == "__main__":  # an installation makes it once, for all its users, and the file without results on the way
    blank()
