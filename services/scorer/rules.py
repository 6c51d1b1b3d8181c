"""Installs the rules, which are SQL views over the event table, and computes their results: one road to a number."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.roster import Unit
from schemas.rulebook import Rulebook
from schemas.words import Language, Text
from services.scorer.rulebook_rows import TABLES, rows

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
    "measure": "VARCHAR",
    "case_name": "VARCHAR",
    "period": "VARCHAR",
    "value": "DECIMAL(18,6)",
    "target_source": "VARCHAR",
    "target_id": "VARCHAR",
    "outcome": "VARCHAR",
    "grade": "VARCHAR",
    "units": "VARCHAR[]",
    "reading": "VARCHAR",
    "reading_value": "VARCHAR",
    "stage": "VARCHAR",
    "characters": "BIGINT",
    "attribute": "VARCHAR",
    "veto": "VARCHAR",
    "change": "VARCHAR",
    "name": "VARCHAR",
    "category": "VARCHAR",
    "unit_group": "VARCHAR",
    "attributes": "VARCHAR",
    "from_office": "VARCHAR",
    "to_office": "VARCHAR",
    "party": "VARCHAR",
    "party_key": "VARCHAR",
    "reason": "VARCHAR",
    "raw": "BLOB",
    "admission": "VARCHAR",
    "void_reason": "VARCHAR",
    "void_detail": "VARCHAR",
    "refers_to": "BIGINT",
}
#: What computing takes at most where its memory is bounded, the events included.
MEMORY = "3GB"
#: The line of a view's comment that says what it holds: a section of docs/spec, or why there is none.
CITES = re.compile(r"(language|wire|no clause:) ")
#: What admission adds to an event that was checked.
JUDGED_COLUMNS = ("admission", "void_reason", "void_detail", "refers_to")


@dataclass(frozen=True)
class Definition:
    """A macro or a view of the rules; `kept` views are computed once and read as tables while results are computed.

    `cites` is the section of docs/spec that the view holds and the words of the language that lead to it, or "no
    clause: …" with the reason.
    """

    kind: str
    name: str
    comment: str
    cites: str
    body: str
    kept: bool
    needs: tuple[str, ...]

    def view(self) -> str:
        """The view with all that it needs inside it, once: views of views would be bound again at every mention.

        A table macro is made likewise; where what it needs is cut by a variable, its first argument is the cut.
        """
        every = {one.name: one for one in definitions()}
        needed = [f"{name} AS ({every[name].body})" for name in self.needs]
        inner = f"WITH {', '.join(needed)} " if needed else ""
        if self.kind == "VIEW":
            return f"CREATE VIEW {self.name} AS {inner}SELECT * FROM ({self.body})"
        head, _, select = self.body.partition(" AS TABLE\n")
        argument = re.split(r"[(,)]", head)[1]
        return f"{head} AS TABLE {inner.replace(_CUT, argument)}{select}"


@cache
def definitions() -> tuple[Definition, ...]:
    """Every macro and view, in the order of the files.

    `CREATE VIEW a LIKE b WITH c FOR d` is the view b once more under the name a, reading c where b reads d. What stands
    in `{{ }}` is there once a language, see `in_words`.
    """
    found: dict[str, Definition] = {}
    for file in (file for folder in FOLDERS for file in sorted(folder.glob("*.sql"))):
        for block in re.split(r";\s*$", in_words(file.read_text(encoding="utf-8")), flags=re.MULTILINE):
            match = re.search(r"^CREATE (VIEW|MACRO) (\w+)", block, flags=re.MULTILINE)
            if not match:
                continue
            head = block[: match.start()].rpartition("\n\n")[2]
            comment = [line[3:] for line in head.splitlines() if line.startswith("-- ")]
            cites = [line for line in comment if CITES.match(line)]
            body = block[match.end() :].partition(" AS\n")[2] if match[1] == "VIEW" else block[match.start() :]
            if like := re.match(r" LIKE (\w+) WITH (\w+) FOR (\w+)", block[match.end() :]):
                body = re.sub(rf"\b{like[3]}\b", like[2], found[like[1]].body)
            read = set(re.findall(r"\b(?:FROM|JOIN) (\w+)", body))
            direct = [one for one in found.values() if one.kind == "VIEW" and one.name in read]
            needs = {name for one in direct for name in (*one.needs, one.name)}
            kind = "TABLE MACRO" if " AS TABLE\n" in body else match[1]
            found[match[2]] = Definition(
                kind,
                match[2],
                " ".join(line for line in comment if line != "stage" and line not in cites),
                " ".join(cites),
                body.strip(),
                "stage" in comment,
                tuple(name for name in found if name in needs),
            )
    return tuple(found.values())


def in_words(text: str) -> str:
    """SQL with its sentences in both languages, `{{ … }} AS why` as why_zh and why_en; a macro of words as two macros.

    There `_('Revoked by sequence {revoked_by}')` is the sentence with columns in its gaps, null where one of them is,
    and LANG the language.
    """
    macros = _MACRO.sub(
        lambda one: ";\n\n".join(f"{one[1]}_{lang}{one[2]}{_said(one[3], lang)}" for lang in LANGUAGES), text
    )
    return _WORDS.sub(lambda one: ",\n".join(f"{_said(one[1], lang)} AS {one[2]}_{lang}" for lang in LANGUAGES), macros)


def _said(sql: str, lang: Language) -> str:
    """SQL whose words are in a language."""

    def sentence(found: re.Match[str]) -> str:
        text = Text(found[2].replace("''", "'"), context=found[1]).say(lang).replace("'", "''")
        return "('" + re.sub(r"\{(\w+)\}", r"' || \1 || '", text) + "')"

    return SENTENCE.sub(sentence, sql.strip()).replace("LANG", lang)


LANGUAGES: tuple[Language, ...] = ("zh", "en")
#: Words in SQL, as `make words` finds them: `_('words')`, or `_p('context', 'words')`.
SENTENCE = re.compile(r"\b_p?\((?:'([^']*)', )?'((?:[^']|'')*)'\)")
_MACRO = re.compile(r"((?:^--[^\n]*\n)*^CREATE MACRO \w+)(\([^)]*\) AS )\{\{(.*?)\}\}", re.DOTALL | re.MULTILINE)
_WORDS = re.compile(r"\{\{(.*?)\}\} AS (\w+)", re.DOTALL)
_CUT = "getvariable('as_of')"
#: Text is compared by its bytes, whatever a client's default collation is.
_TEXT = re.compile(r"VARCHAR(?!\[)")


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the empty event and rulebook tables and the macros."""
    columns = ", ".join(f"{name} {kind}" for name, kind in EVENT_COLUMNS.items())
    for name, described in {"event": columns, **TABLES}.items():
        con.execute(f"CREATE TABLE {name} ({_TEXT.sub('VARCHAR COLLATE C', described)})")
    for one in definitions():
        if one.kind == "MACRO":
            con.execute(one.body)


def create_views(con: duckdb.DuckDBPyConnection) -> None:
    """Install every view and table macro, for those who query the file; `compute` does without them."""
    for one in definitions():
        if one.kind != "MACRO":
            con.execute(one.view())


def load_rulebook(con: duckdb.DuckDBPyConnection, book: Rulebook, roster: Iterable[Unit]) -> None:
    """Replace the rulebook tables and the roster."""
    for name, values in rows(book, roster).items():
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
                _create(con, f"CREATE TEMP {kind} {one.name} AS {one.body}")
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


def bound_memory(con: duckdb.DuckDBPyConnection, spill: Path) -> None:
    """Write to files in a folder what is computed rather than take much more than MEMORY."""
    con.execute("SET temp_directory = ?", [str(spill)])
    with suppress(duckdb.OutOfMemoryException):  # more is in use already, and stays
        con.execute(f"SET memory_limit = '{MEMORY}'")


def _create(con: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Create a table or view. What cannot be written to files takes as much memory as the engine takes by itself."""
    try:
        con.execute(statement)
    except duckdb.OutOfMemoryException:
        con.execute("RESET memory_limit")
        con.execute(statement)


#: How a table or view stands in the schema of what it is for too, see `purposes`.
IN_SCHEMA = 'CREATE OR REPLACE VIEW "{schema}"."{name}" AS FROM main."{name}";'
#: Names what the tables, macros and views of a file are: another's can be told from one that was tampered with.
_MADE = repr((EVENT_COLUMNS, TABLES, [(one.name, one.body) for one in definitions()], IN_SCHEMA))
SCHEMA = hashlib.sha256(_MADE.encode()).hexdigest()[:16]
