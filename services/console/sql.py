"""SQL for operators: any question to a snapshot, answered read-only behind a lock, and the ready queries."""

import csv
import pickle
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore, Timer
from typing import Any, Literal

import duckdb
import msgspec
from rich import box
from rich.table import Table

from schemas.refusals import Language
from services.command import tables
from services.process import settings
from services.process.ending import Exit, Stop
from services.snapshot import point
from services.snapshot.make import latest

QUERIES = Path(__file__).parent / "queries"
ROWS_MAX, SECONDS_MAX, CELL_MAX = 1_000, 10.0, 2_000
#: Bytes that a question asked apart may come to, cells and all, and seconds more in which it can end by itself.
BYTES_MAX, GRACE = 2 * 1024**3, 2.0
#: The engine's own lock: nothing outside the snapshot can be read or written, and no setting can undo that.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "512MB",
    "threads": "1",
    "temp_directory": "",
}
_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_VARIABLE = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:RE)?SET\s+VARIABLE\b", re.IGNORECASE | re.DOTALL)
#: Two at a time: the pages of others stay fast.
_turn = BoundedSemaphore(2)


class SqlRefused(Exception):  # noqa: N818 - house style: a refusal has a name of its own
    """A query that is not answered, with the sentence that says why."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.text: dict[Language, str] = {"en": en, "zh": zh}


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
        head, _, text = file.read_text(encoding="utf-8").partition("\n")
        zh, _, en = head.removeprefix("-- ").partition(" | ")
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
) -> Answer:
    """Answer the last of the statements of `text` in a state of a snapshot; raises SqlRefused.

    Only SELECT, EXPLAIN and SET VARIABLE are passed on, to an engine that reads no other file and takes no setting.
    """
    statements = _statements(text)
    con = _locked(path)
    timer = Timer(seconds, con.interrupt)
    timer.start()
    try:
        if as_of is not None:
            con.execute(f"SET VARIABLE as_of = {as_of:d}")
        if readings:
            names = [list(readings), list(readings.values())]
            con.execute("SET VARIABLE readings = MAP(?::VARCHAR[], ?::VARCHAR[])", names)
        for statement in statements:
            con.execute(statement)
        columns = tuple(str(column[0]) for column in con.description or ())
        found = con.fetchmany(rows + 1)
    except duckdb.InterruptException:
        raise _late(seconds) from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise _greedy() from None
    except (duckdb.Error, RuntimeError) as error:
        reason = str(error).strip()[:CELL_MAX]
        raise SqlRefused(f"The query was refused: {reason}", f"查询未执行：{reason}") from None
    finally:
        timer.cancel()
        con.close()
    return Answer(columns, found[:rows], len(found) > rows)


def _late(seconds: float) -> SqlRefused:
    return SqlRefused(
        f"The query took longer than {seconds:g} seconds and was stopped; ask for less.",
        f"查询超过{seconds:g}秒，已停止；请缩小范围。",
    )


def _greedy() -> SqlRefused:
    return SqlRefused("The query needs too much memory; ask for less.", "查询所需内存过多；请缩小范围。")


def ask_apart(
    path: Path,
    text: str,
    *,
    as_of: int | None = None,
    readings: dict[str, str] | None = None,
    seconds: float = SECONDS_MAX,
) -> Answer:
    """As `ask`, in a process of its own: the engine counts neither one huge value nor the time that it takes to make.

    That process may come to BYTES_MAX, and is ended where the engine does not stop by itself; cells are cut to what is
    shown. Raises SqlRefused.
    """
    _statements(text)  # what needs no engine to be refused starts none
    command = [sys.executable, "-c", "from services.console.sql import _child; _child()"]
    asked = pickle.dumps((path, text, as_of, readings, seconds))
    with _turn:
        try:
            done = subprocess.run(command, input=asked, capture_output=True, timeout=seconds + GRACE, check=False)
        except subprocess.TimeoutExpired:
            raise _late(seconds) from None
    if done.returncode:
        raise _greedy()
    found = pickle.loads(done.stdout)  # noqa: S301 - our own child's
    if isinstance(found, Answer):
        return found
    raise SqlRefused(*found)


def _child() -> None:
    """Answer what stands on standard input, as an Answer or the two sentences of a refusal."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES_MAX, BYTES_MAX))
    path, query, as_of, readings, seconds = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent's
    try:
        answer = ask(path, query, as_of=as_of, readings=readings, seconds=seconds)
        rows = [tuple(map(_short, row)) for row in answer.rows]
        told: Answer | tuple[str, str] = Answer(answer.columns, rows, answer.more)
    except SqlRefused as refused:
        told = refused.text["en"], refused.text["zh"]
    sys.stdout.buffer.write(pickle.dumps(told))


def _statements(text: str) -> list[duckdb.Statement]:
    try:
        found = duckdb.extract_statements(text)
    except (duckdb.Error, RuntimeError) as error:
        reason = str(error).strip()[:CELL_MAX]
        raise SqlRefused(f"This is not SQL that can be read: {reason}", f"无法解析的SQL：{reason}") from None
    if not found:
        raise SqlRefused("There is no statement; write a SELECT.", "没有语句；请写一个SELECT。")
    for one in found:
        if one.type not in _READS and not (one.type == duckdb.StatementType.SET and _VARIABLE.match(one.query)):
            kind = one.type.name.replace("_", " ")
            raise SqlRefused(
                f"{kind} is not allowed here: the snapshot is only read. Allowed: SELECT, EXPLAIN, SET VARIABLE.",
                f"此处不允许{kind}：快照只读。可用：SELECT、EXPLAIN、SET VARIABLE。",
            )
    return found


def _short(cell: Any) -> Any:
    return cell if isinstance(cell, int | float | Decimal) else text(cell)[: CELL_MAX + 1]


def _locked(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection of its own to an engine of its own, which holds the snapshot read-only and then shuts itself off."""
    con = duckdb.connect(":memory:", config=CONFIG)
    name = str(path).replace("'", "''")
    try:
        con.execute(f"ATTACH '{name}' AS snapshot (READ_ONLY)")
        con.execute("USE snapshot")
        con.execute("FROM meta LIMIT 0")
    except duckdb.Error:
        con.close()
        raise SqlRefused(f"{path} is not a snapshot.", f"{path}不是快照文件。") from None
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


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
        raise Stop(Exit.USE, f"--ready: one of {names}, without a query", f"--ready：应为{names}之一，且不另带查询")
    path = snapshot or latest(settings.read().snapshots)
    if path is None or not path.is_file():
        where = path or settings.read().snapshots
        raise Stop(
            Exit.FAILED,
            f"{where}: there is no snapshot; see wuxing score --snapshot",
            f"{where}：没有快照；可用wuxing score --snapshot生成",
        )
    try:
        with point.file_at(path, facts_until) as file:
            answer = ask(file, query if query is not None else known[str(ready)].text, rows=limit, seconds=600.0)
    except SqlRefused as refused:
        raise Stop(Exit.USE, refused.text["en"], refused.text["zh"]) from None
    _print(answer, format)
    if answer.more:
        print(f"只显示前{limit}行。" if tongue == "zh" else f"Only the first {limit} rows are shown.", file=sys.stderr)
    return Exit.NO if answer.more else Exit.DONE


def _print(answer: Answer, form: str) -> None:
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([text(cell) for cell in row] for row in answer.rows)
    elif form == "json":
        for row in answer.rows:
            line = dict(zip(answer.columns, row, strict=True))
            sys.stdout.write(msgspec.json.encode(line, enc_hook=str).decode() + "\n")
    else:
        table = Table(*answer.columns, box=box.SIMPLE_HEAD)
        for row in answer.rows:
            table.add_row(*(text(cell) for cell in row))
        tables.console().print(table, markup=False)


def text(cell: Any) -> str:
    """A cell as text: nothing for null, true and false as SQL writes them, UTF-8 bytes as what they say."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return str(cell)
