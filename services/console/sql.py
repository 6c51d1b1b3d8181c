"""SQL for operators: any question to a snapshot, answered read-only behind a lock, and the ready queries."""

import asyncio
import csv
import json
import os
import pickle
import re
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any, Literal

import duckdb
import msgspec
from rich import box
from rich.table import Table

from schemas import soundness
from schemas.told import Told
from schemas.words import Language, Text, _, _n
from services.command import tables
from services.process import settings
from services.process.ending import Exit, Stop
from services.process.plain import inert
from services.scorer import comments, purposes, rules
from services.snapshot import held, point, wide
from services.snapshot.make import latest

QUERIES = Path(__file__).parent / "queries"
ROWS_MAX, SECONDS_MAX, CELL_MAX = 1_000, 10.0, 2_000
#: Bytes that a question asked apart may come to, cells and all, and seconds more in which it can end by itself.
BYTES_MAX, GRACE = 2 * 1024**3, 2.0
#: The engine's own bounds; what shuts it off from all but the snapshot is how `held` opens it.
ENGINE = {"memory_limit": "512MB", "threads": "1"}
#: What a statement may be made of: DuckDB also reads INSERT, UPDATE, DELETE and COPY inside a SELECT.
_READS = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
#: What tells of the machine and not of the snapshot, and what hides another statement in a text.
_TELLING = {
    "current_setting", "duckdb_databases", "duckdb_external_file_cache", "duckdb_extensions", "duckdb_logs",
    "duckdb_secrets", "duckdb_settings", "duckdb_temporary_files", "pragma_database_list", "pg_settings", "query",
    "query_table", "which_secret",
}  # fmt: skip
_GAP = r"(?:\s|--[^\n]*\n|/\*.*?\*/)"
_ANY = re.IGNORECASE | re.DOTALL
_EXPLAIN = re.compile(rf"{_GAP}*EXPLAIN\b({_GAP}+ANALYZE\b)?", _ANY)
_VARIABLE = re.compile(rf'{_GAP}*SET\s+VARIABLE\s+([A-Za-z_]\w*|"(?:[^"]|"")+")\s*(?:=|TO\b)(.*?)[\s;]*', _ANY)
_RESET = re.compile(r"\s*RESET\s+VARIABLE\s+[A-Za-z_]\w*[\s;]*", _ANY)


#: What the process of a question runs.
PROGRAM = "from services.console.sql import _child; _child()"


class SqlRefused(Told):
    """A query that is not answered, with the sentence that says why."""


@dataclass(frozen=True)
class Answer:
    """Columns and rows; `more` when the limit cut them."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    more: bool


@dataclass(frozen=True)
class Ready:
    """A ready query: its name is its file's, its titles stand in its first line."""

    name: str
    title: dict[Language, str]
    text: str


@cache
def queries() -> dict[str, Ready]:
    """The ready queries by name."""
    found = {}
    for file in sorted(QUERIES.glob("*.sql")):
        head, __, text = file.read_text(encoding="utf-8").partition("\n")
        zh, __, en = head.removeprefix("-- ").partition(" | ")
        found[file.stem] = Ready(file.stem, {"zh": zh, "en": en}, text.strip().rstrip(";"))
    return found


def ask(  # noqa: PLR0913 - a state is a sequence and readings, and each limit has a name
    path: Path,
    text: str,
    *,
    as_of: int | None = None,
    readings: dict[str, str] | None = None,
    rows: int = ROWS_MAX,
    seconds: float = SECONDS_MAX,
    seal: Callable[[duckdb.DuckDBPyConnection], None] = lambda _con: None,
) -> Answer:
    """Answer the last of the statements of `text` in a state of a snapshot, by this program's views; raises SqlRefused.

    Only SELECT, EXPLAIN of one and SET VARIABLE are passed on, as DuckDB's own parser reads them, to an engine that
    reads no other file and takes no setting. `seal` is what shuts it off beyond that, before anything is asked.
    """
    try:
        con = held.opened(path, **ENGINE)
    except held.Unopened as error:
        raise SqlRefused(_("{path}: {error}", path=path.name, error=error.what)) from None
    timer = Timer(seconds, con.interrupt)
    timer.start()
    try:
        con.execute("FROM meta LIMIT 0")
        if as_of is not None:
            con.execute(f"SET VARIABLE as_of = {as_of:d}")
        if readings:
            names = [list(readings), list(readings.values())]
            con.execute("SET VARIABLE readings = MAP(?::VARCHAR[], ?::VARCHAR[])", names)
        statements = _statements(con, text)
        seal(con)
        for statement in statements:
            con.execute(statement)
        columns = tuple(str(column[0]) for column in con.description or ())
        found = con.fetchmany(rows + 1)
    except duckdb.InterruptException:
        raise _late(seconds) from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise _greedy() from None
    except (duckdb.Error, RuntimeError) as error:
        reason = held.plain(error, path)[:CELL_MAX]
        raise SqlRefused(_("The query was refused: {reason}", reason=reason)) from None
    finally:
        timer.cancel()
        con.close()
    return Answer(columns, found[:rows], len(found) > rows)


def _late(seconds: float) -> SqlRefused:
    return SqlRefused(
        _("The query took longer than {seconds} seconds and was stopped; ask for less.", seconds=f"{seconds:g}")
    )


def _greedy() -> SqlRefused:
    return SqlRefused(_("The query needs too much memory; ask for less."))


async def ask_apart(  # noqa: PLR0913 - as `ask`
    path: Path,
    text: str,
    *,
    as_of: int | None = None,
    readings: dict[str, str] | None = None,
    rows: int = ROWS_MAX,
    seconds: float = SECONDS_MAX,
    cell: int | None = CELL_MAX,
) -> Answer:
    """As `ask`, in a process of its own that can write no file and open none beyond the snapshot.

    The engine counts neither one huge value nor the time that it takes to make; that process may come to BYTES_MAX,
    and is ended where the engine does not stop by itself, or when this is cancelled. Texts are cut after `cell`
    letters. Raises SqlRefused.
    """
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stdin=pipe, stdout=pipe, stderr=pipe)
    asked = pickle.dumps((path, text, as_of, readings, rows, seconds, cell))
    try:
        out, __ = await asyncio.wait_for(child.communicate(asked), seconds + GRACE)
    except TimeoutError:
        raise _late(seconds) from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise _greedy()
    found = pickle.loads(out)  # noqa: S301 - our own child's
    if isinstance(found, Answer):
        return found
    raise SqlRefused(found)


def _child() -> None:
    """Answer what stands on standard input, as an Answer or the words of a refusal, which are said out there.

    Nothing else gets to standard output: what the engine prints by itself goes to standard error.
    """
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    resource.setrlimit(resource.RLIMIT_AS, (BYTES_MAX, BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    path, query, as_of, readings, rows, seconds, cell = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent's
    try:
        answer = ask(path, query, as_of=as_of, readings=readings, rows=rows, seconds=seconds, seal=_sealed)
        cut = answer.rows if cell is None else [tuple(_short(one, cell) for one in row) for row in answer.rows]
        told: Answer | Text | Told | str = Answer(answer.columns, cut, answer.more)
    except SqlRefused as refused:
        told = refused.what
    with os.fdopen(out, "wb") as parent:
        pickle.dump(told, parent)


def _sealed(con: duckdb.DuckDBPyConnection) -> None:
    """From here on this process opens nothing more: not even an empty file comes to be beside the snapshot."""
    con.execute("SELECT DATE '2013-01-01', TIMESTAMP '2013-01-01', TIME '00:00', uuid(), INTERVAL 1 DAY, 1.5, [1]")
    con.fetchall()  # what the kinds of values need is loaded now
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _statements(con: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    """The statements of a text as they are run: each a SELECT by DuckDB's own parser, explained or kept in a variable.

    Views of the rules that a statement mentions are made in the engine's memory; the file's own are never used.
    """
    try:
        found = [(one.type, one.query) for one in duckdb.extract_statements(text)]
    except (duckdb.Error, RuntimeError) as error:
        reason = str(error).strip()[:CELL_MAX]
        raise SqlRefused(_("This is not SQL that can be read: {reason}", reason=reason)) from None
    if not found:
        raise SqlRefused(_("There is no statement; write a SELECT."))
    made, said = [], ""
    for kind, query in found:
        if kind == duckdb.StatementType.SET and _RESET.fullmatch(query):
            made.append(query)
            continue
        select, run = _taken_apart(kind, query)
        said += _parsed(con, select)
        made.append(run)
    _views(con, said, once=all(kind == duckdb.StatementType.SELECT for kind, __ in found))
    return made


def _taken_apart(kind: duckdb.StatementType, query: str) -> tuple[str, str]:
    """The SELECT that a statement must be made of, and the statement put together around that text again."""
    if kind == duckdb.StatementType.SELECT:
        return query, query
    if kind == duckdb.StatementType.EXPLAIN and (explained := _EXPLAIN.match(query)):
        select = query[explained.end() :]
        return select, f"EXPLAIN {'ANALYZE' if explained[1] else ''} {select}"
    if kind == duckdb.StatementType.SET and (variable := _VARIABLE.fullmatch(query)):
        return f"SELECT (\n{variable[2]}\n)", f"SET VARIABLE {variable[1]} = (\n{variable[2]}\n)"
    raise _not_read(kind.name)


def _not_read(kind: str) -> SqlRefused:
    kind = kind.replace("_", " ")
    return SqlRefused(
        _(
            "{kind} is not allowed here: the snapshot is only read. Allowed: SELECT, EXPLAIN of a "
            "SELECT, SET VARIABLE.",
            kind=kind,
        )
    )


def _parsed(con: duckdb.DuckDBPyConnection, query: str) -> str:
    """What DuckDB's parser makes of one SELECT, as JSON; raises SqlRefused where it is more than reading."""
    text: str = con.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0]
    tree = msgspec.json.decode(text)
    if tree["error"]:
        raise _not_read(", ".join(one.type.name for one in duckdb.extract_statements(query)))
    if len(tree["statements"]) != 1:
        raise _not_read("more than one statement in another")
    for key, value in _leaves(tree):
        if key == "type" and value.endswith("_NODE") and value not in _READS:
            raise _not_read(value.removesuffix("_NODE").removesuffix("_QUERY"))
        if key in ("function_name", "table_name") and value.lower() in _TELLING:
            raise _not_read(value)
        if key in ("catalog_name", "catalog", "schema_name", "schema") and value.lower() == held.NAME:
            raise _not_read(f"{held.NAME}.")
    return text


def _leaves(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a tree, with the key that it stands under."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _leaves(value, name)
    elif isinstance(tree, list):
        for value in tree:
            yield from _leaves(value, key)
    elif isinstance(tree, str):
        yield key, tree


def _views(con: duckdb.DuckDBPyConnection, said: str, *, once: bool) -> None:
    """Make the views that the parsed statements mention; all of them where the catalogue itself is asked.

    Where a schema is named, what is mentioned stands there too.

    `once`: nothing among the statements moves the point in time or asks for a plan, so that what several views need is
    computed once and kept, as `rules.compute` does; a view of its own would compute all below it at every mention.
    """
    told, views = said.lower(), [one for one in rules.definitions() if one.kind != "MACRO"]
    asked = [one for one in views if f'"{one.name.lower()}"' in told or (one.kind != "VIEW" and '"score_' in told)]
    catalogue = any(word in told for word in ("duckdb_", "information_schema", "pg_catalog", "sqlite_master"))
    described = '"show_ref"' in told
    if once and not catalogue and not described:
        needed = {name for one in asked if one.kind == "VIEW" for name in (one.name, *one.needs)}
        for one in views:
            if one.kind == "VIEW" and one.name in needed:
                con.execute(f"CREATE {'TABLE' if one.kept else 'VIEW'} {one.name} AS {one.body}")
        asked = [one for one in asked if one.kind != "VIEW"]
    for one in views if catalogue or (described and not asked) else asked:
        con.execute(one.view())
    if (catalogue or '"unit_wide"' in told) and (book := held.rulebook_json(con)):
        for statement in wide.statements(soundness.read(json.loads(book))):
            con.execute(statement)
    if catalogue:
        comments.write(con)
        purposes.write(con)
    elif any(f'"{one}"' in told for one in purposes.SCHEMAS) and (names := [*_mentioned(con, told)]):
        comments.write(con, *names)
        purposes.write(con, *names)


def _mentioned(con: duckdb.DuckDBPyConnection, told: str) -> Iterator[str]:
    """Tables and views that parsed statements mention."""
    known = (*held.tables(con), "unit_wide", *(one.name for one in rules.definitions() if one.kind == "VIEW"))
    yield from (one for one in known if f'"{one.lower()}"' in told)


def _short(cell: Any, most: int) -> Any:
    return cell if _number(cell) else text(cell)[: most + 1]


def sql(  # noqa: PLR0913 - each is an option of the command
    query: str | None = None,
    *,
    ready: str | None = None,
    snapshot: Path | None = None,
    facts_until: str | None = None,
    format: Literal["table", "csv", "json"] = "table",  # noqa: A002 - the word of `score`
    limit: int = 100_000,
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Ask a snapshot in SQL, read-only: no file, no setting, no extension can be reached from a query.

    Example: wuxing sql "SELECT unit, final FROM unit_result ORDER BY final DESC LIMIT 5"

    Parameters
    ----------
    query
        One or more statements: SELECT, EXPLAIN, SET VARIABLE. The last one is answered.
    ready
        The name of a ready query instead; without a query, and without this, they are listed.
    snapshot
        The snapshot file; the one published last without it.
    facts_until
        Ask the views of only what had occurred by this time; SET VARIABLE as_of is the other axis.
    format
        A table to read, CSV, or a JSON object a line.
    limit
        At most so many rows; exit 1 when there are more.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    tongue = settings.language(lang)
    known = queries()
    if query is None and ready is None:
        for one in known.values():
            print(f"{one.name:<24}{one.title[tongue]}")
        return Exit.DONE
    if ready is not None and (query is not None or ready not in known):
        names = ", ".join(known)
        raise Stop(Exit.USE, _("--ready: one of {names}, without a query", names=names))
    path = snapshot or latest(settings.read().snapshots)
    if path is None or not path.is_file():
        where = path or settings.read().snapshots
        raise Stop(Exit.FAILED, _("{where}: there is no snapshot; see wuxing score --snapshot", where=where))
    try:
        with point.file_at(path, facts_until) as file:
            asked = query if query is not None else known[str(ready)].text
            answer = asyncio.run(ask_apart(file, asked, rows=limit, seconds=600.0, cell=None))
    except SqlRefused as refused:
        raise Stop(Exit.USE, refused) from None
    _print(answer, format)
    if answer.more:
        print(
            _n("Only the first row is shown.", "Only the first {n} rows are shown.", limit).say(tongue), file=sys.stderr
        )
    return Exit.NO if answer.more else Exit.DONE


def _print(answer: Answer, form: str) -> None:
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(inert(name) for name in answer.columns)
        writer.writerows([text(cell) if _number(cell) else inert(text(cell)) for cell in row] for row in answer.rows)
    elif form == "json":
        for row in answer.rows:
            line = dict(zip(answer.columns, row, strict=True))
            sys.stdout.write(msgspec.json.encode(line, enc_hook=str).decode() + "\n")
    else:
        table = Table(*answer.columns, box=box.SIMPLE_HEAD)
        for row in answer.rows:
            table.add_row(*(text(cell) for cell in row))
        tables.console().print(table)


def _number(cell: Any) -> bool:
    return isinstance(cell, int | float | Decimal)


def text(cell: Any) -> str:
    """A cell as text: nothing for null, true and false as SQL writes them, UTF-8 bytes as what they say."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return str(cell)
