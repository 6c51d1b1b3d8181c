"""Every way of tampering with a snapshot that a catalogue and its tables allow is named: generated, not listed.

What is tampered with is whatever this program's snapshots hold, so a new table or view is in here by itself.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from services.audit import verify as verifying
from services.audit.verify import Given
from services.process.ending import Exit
from services.proof import checkpoint, note
from services.scorer import file, purposes, rules
from services.snapshot import held, make
from services.snapshot.make import PUBLISHED
from tests import product
from tests.test_verify import UNIT, failures, run

if TYPE_CHECKING:
    from pathlib import Path

OBJECTS = sorted(held.expected(None))
TABLES = [one.name.removeprefix("main.") for one in OBJECTS if one.kind == "table"]
VIEWS = [one.name for one in OBJECTS if one.kind == "view"]
MACROS = [one.name.removeprefix("main.") for one in OBJECTS if one.kind == "function"]
COLUMNS = [one.name.removeprefix("main.").split(".") for one in OBJECTS if one.kind == "column"]
#: What the log's own hashes name by the log, before anything is recomputed.
OF_THE_LOG = {"seq", "recorded_at", "raw", "unit"}
#: What the shipped rulebook does not have, and what did not happen in the year: only a row more can be tampered with.
EMPTY = {
    *("rulebook_applies", "rulebook_attribute", "rulebook_bar", "rulebook_group", "rulebook_period", "rulebook_row"),
    *("rulebook_requirement", "rulebook_veto", "roster_attribute", "published_attribute", "published_measure"),
    *("intake_refused", "reading_option", "refused"),
}
LONG = os.environ.get("WUXING_TEST") == "long"


def some(cases: list[Any]) -> list[Any]:
    """All cases in the long run, else every thirtieth: each folds and computes a year again."""
    return cases if LONG else cases[::30]


def small() -> bytes:
    """A small synthetic year with a final, so that few of the tables are empty."""
    return product.joined(product.small(settled=True))


def signer_of(folder: Path) -> note.Signer:
    return checkpoint.key(folder / "log.key", "wuxing/small")


def written(folder: Path, data: bytes, *, signed: bool = True, name: str = "s.duckdb") -> Path:
    """A snapshot file of the bytes of an export, signed by the folder's key."""
    source, target = folder / f"{name}.jsonl", folder / name
    source.write_bytes(data)
    folded = file.fold(source, product.year(product.SHIPPED), target=target)
    make.complete(folded.con, folded.year, folded.lines, signer_of(folder) if signed else None)
    folded.con.execute("CHECKPOINT")
    folded.con.close()
    return target


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = written(tmp_path_factory.mktemp("whole"), small())
    assert failures(path, "--key", key(path)) == []
    return path


def key(path: Path) -> str:
    return str(signer_of(path.parent).verifier)


def tampered(whole: Path, folder: Path, *statements: str) -> Path:
    path = folder / "copy.duckdb"
    shutil.copyfile(whole, path)
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        for sql in statements:
            con.execute(sql)
    return path


def named(path: Path) -> list[tuple[str, ...]]:
    """What does not hold of a file, as texts."""
    found = verifying.of_snapshot(
        path, Given([signer_of(path.parent).verifier] if (path.parent / "log.key").exists() else [])
    )
    return [(one.name, *map(str, one.values)) for one in found if one.mark == "fail"]


def test_there_is_enough_to_tamper_with(whole: Path) -> None:
    assert len(TABLES) + len(VIEWS) + len(MACROS) + len(COLUMNS) > 250
    with held.opened(whole) as con:
        empty = [one for one in TABLES if not con.execute(f"SELECT 1 FROM {one} LIMIT 1").fetchall()]
    assert set(empty) == EMPTY, "what has no row cannot be changed"


# -- The catalogue -----------------------------------------------------------------------------------------------------


def test_every_view_that_is_another_and_every_one_that_is_missing_is_named(whole: Path, tmp_path: Path) -> None:
    assert {one.partition(".")[0] for one in VIEWS} == {"main", *purposes.SCHEMAS}
    path = tampered(whole, tmp_path, *(f"CREATE OR REPLACE VIEW {one} AS SELECT 1 AS x" for one in VIEWS))
    found = named(path)
    assert [one for one in VIEWS if ("object", "view", one, "other") not in found] == []
    found = named(tampered(whole, tmp_path, *(f"DROP VIEW {one}" for one in VIEWS)))
    assert [one for one in VIEWS if ("object", "view", one, "missing") not in found] == []


#: What may be done to the schemas, and what is said of it.
IN_SCHEMAS = {
    "CREATE OR REPLACE VIEW rules.place AS SELECT * REPLACE (1 AS place) FROM main.place": "view rules.place other",
    "CREATE OR REPLACE VIEW rules.item_result AS FROM item_result": "view rules.item_result other",
    "CREATE OR REPLACE VIEW rules.scheme_in_force(x) AS FROM main.scheme_in_force": "view rules.scheme_in_force other",
    "COMMENT ON VIEW rules.unit_result IS 'Published. Final.'": "view rules.unit_result other",
    "DROP VIEW published.published_unit": "view published.published_unit missing",
    "DROP SCHEMA 公示 CASCADE": "schema 公示 missing",
    "DROP VIEW ledger.event; CREATE TABLE ledger.event AS FROM main.event": "table ledger.event foreign",
    "CREATE VIEW published.unit_result AS FROM main.unit_result": "view published.unit_result foreign",
    "CREATE MACRO rules.score_at(a) AS TABLE SELECT a": "function rules.score_at foreign",
    "CREATE SCHEMA results; CREATE VIEW results.place AS FROM main.place": "schema results foreign",
    "CREATE VIEW rulebook.planted AS SELECT 1": "view rulebook.planted foreign",
}


def test_whatever_is_done_to_the_schemas_is_named(whole: Path, tmp_path: Path) -> None:
    found = named(tampered(whole, tmp_path, *IN_SCHEMAS))
    told = {" ".join(one[1:]) for one in found if one[0] == "object"}
    assert {*IN_SCHEMAS.values()} <= told
    more = {one for one in told - {*IN_SCHEMAS.values()} if not one.startswith("view 公示.")}
    assert more == {"view ledger.event missing", "view results.place foreign"}


def test_every_macro_that_is_another_or_stands_before_the_engine_s_own_is_named(whole: Path, tmp_path: Path) -> None:
    tables = {one.name for one in rules.definitions() if one.kind == "TABLE MACRO"}
    own = [f"CREATE OR REPLACE MACRO {one}(a) AS {'TABLE SELECT a' * (one in tables) or 'a'}" for one in MACROS]
    before = [
        "list_contains",
        "getvariable",
        "half_up2",
        "sum",
        "round",
        "epoch_us",
        "octet_length",
        "coalesce2",
        "sha256",
    ]
    more = [f"CREATE MACRO {one}(a, b) AS 1" for one in before] + ["CREATE MACRO roster2() AS TABLE SELECT 1"]
    found = named(tampered(whole, tmp_path, *own, *more))
    assert [one for one in MACROS if ("object", "function", f"main.{one}", "other") not in found] == []
    foreign = [*before, "roster2"]
    assert [one for one in foreign if ("object", "function", f"main.{one}", "foreign") not in found] == []
    assert {one[0] for one in found} == {"object"}, "and no number was computed with them"


PLANTED = {
    "CREATE TABLE planted (x INTEGER)": ("table", "main.planted"),
    "CREATE VIEW planted AS FROM read_text('/etc/passwd')": ("view", "main.planted"),
    "CREATE SCHEMA planted": ("schema", "planted"),
    "CREATE SEQUENCE planted": ("sequence", "main.planted"),
    "CREATE TYPE planted AS ENUM ('a')": ("type", "main.planted"),
    "CREATE INDEX planted ON event (seq)": ("index", "main.event.planted"),
    "CREATE MACRO planted() AS 1": ("function", "main.planted"),
    "CREATE SCHEMA s; CREATE TABLE s.event AS FROM main.event": ("table", "s.event"),
    "CREATE SCHEMA s; CREATE VIEW s.unit_result AS SELECT 1 AS x": ("view", "s.unit_result"),
    "COMMENT ON TABLE roster IS 'x'": ("table", "main.roster"),
    "COMMENT ON COLUMN roster.unit IS 'x'": ("column", "main.roster.unit"),
    "COMMENT ON VIEW place IS 'x'": ("view", "main.place"),
    "ALTER TABLE meta ADD COLUMN planted INTEGER": ("table", "main.meta"),
    "ALTER TABLE meta ALTER value SET DEFAULT 'x'": ("table", "main.meta"),
    "ALTER TABLE roster ALTER unit SET NOT NULL": ("table", "main.roster"),
}


@pytest.mark.parametrize("sql", some([*PLANTED]))
def test_whatever_is_planted_is_named_by_its_kind(whole: Path, tmp_path: Path, sql: str) -> None:
    found = named(tampered(whole, tmp_path, *sql.split("; ")))
    assert [one[1:3] for one in found if one[0] == "object"].count(PLANTED[sql]) == 1, found


@pytest.mark.parametrize("table", some(TABLES))
def test_a_table_that_is_gone_or_is_a_view_that_lies_is_named(whole: Path, tmp_path: Path, table: str) -> None:
    missing = ("object", "table", f"main.{table}", "missing")
    assert missing in named(tampered(whole, tmp_path, f"DROP TABLE {table}"))
    lies = (f"ALTER TABLE {table} RENAME TO behind", f"CREATE VIEW {table} AS FROM behind")
    found = named(tampered(whole, tmp_path, *lies))
    assert missing in found
    assert ("object", "view", f"main.{table}", "foreign") in found


# -- The rows ----------------------------------------------------------------------------------------------------------


def of_table(found: list[tuple[str, ...]], table: str) -> list[tuple[str, ...]]:
    """The findings that name a table, or by which the log names its own."""
    log = ("event_changed", "event_left_out", "event_added", "log_truncated", "log_rewritten", "events_swapped")
    names = {"event": (*log, "event_misread", "admission", "commitment"), "meta": ("meta", "origin", "signature")}
    names |= {"checkpoint": ("signature", "no_checkpoint"), "leaf": log, "rulebook_json": ("rulebook",)}
    names |= {"refused": ("refused",), "reading_option": ("options",)}
    return [one for one in found if table in one[1:2] or one[0] in names.get(table, ())]


@pytest.mark.every(8)
@pytest.mark.parametrize("table", some(TABLES))
def test_a_row_more_or_less_is_named(whole: Path, tmp_path: Path, table: str) -> None:
    with held.opened(whole) as con:
        rows = con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    if not rows:
        with held.opened(whole) as con:
            kinds = con.execute(f"DESCRIBE FROM {table}").fetchall()
        values = ", ".join({"VARCHAR": "'x'", "TIMESTAMP": "NULL"}.get(kind, "1") for _, kind, *_ in kinds)
        path = tampered(whole, tmp_path, f"INSERT INTO {table} VALUES ({values})")
        lines = list(verifying.of_snapshot(path, Given()))
        assert [one for one in lines if one.name in ("options", "refused", "rules", "table", "result_forged")]
        return
    for sql in (
        f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})",
        f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1",
        f"DELETE FROM {table}",
    ):
        found = named(tampered(whole, tmp_path, sql))
        assert found, sql
        assert of_table(found, table) or found[0][0] in ("unreadable", "rulebook", "not_admissible", "rules"), (
            sql,
            found,
        )


def another(column: str, kind: str) -> str:
    """A value that a column does not have."""
    name = f'"{column}"'
    if kind == "BOOLEAN":
        return f"NOT coalesce({name}, false)"
    if kind == "TIMESTAMP":
        return f"coalesce({name}, TIMESTAMP '2013-01-01') + INTERVAL 40 DAY"
    if kind == "BLOB":
        return f"{name} || ' '::BLOB"
    if kind.endswith("[]"):
        return f"list_append(coalesce({name}, []), 'x')"
    return f"coalesce({name}, '') || 'x'" if kind == "VARCHAR" else f"coalesce({name}, 0) + 1"


def kinds(whole: Path) -> dict[tuple[str, str], str]:
    with held.opened(whole) as con:
        rows = con.execute(
            f"SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = '{held.NAME}'"
        )
        return {(table, column): kind for table, column, kind in rows.fetchall()}


#: Tables of which one row more or less, or another text, changes by what everything else is computed: each by itself.
ALONE = (
    "event", "meta", "checkpoint", "rulebook_json", "roster_json", "roster", "leaf", "refused", "intake_refused",
    "reading_option",
)  # fmt: skip


@pytest.mark.every(4)
@pytest.mark.parametrize(
    "n", some([*range(max(sum(table == name for table, _ in COLUMNS) for name in TABLES if name != "event"))])
)
def test_a_value_of_every_column_of_every_table_that_is_another_is_named(whole: Path, tmp_path: Path, n: int) -> None:
    """The n-th column of every table at once: each is compared by itself."""
    of_kind = kinds(whole)
    chosen = {}
    for table in (one for one in TABLES if one not in ALONE):
        columns = [column for name, column in COLUMNS if name == table]
        if n < len(columns):
            chosen[table] = columns[n]
    statements = [
        f'UPDATE {table} SET "{column}" = {another(column, of_kind[table, column])}'
        f" WHERE rowid = (SELECT min(rowid) FROM {table})"
        for table, column in chosen.items()
    ]
    with held.opened(whole) as con:
        rows = {table for table in chosen if con.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall()}
    found = named(tampered(whole, tmp_path, *statements))
    assert [table for table in rows if not of_table(found, table)] == []
    for table in (one for one in rows if one in PUBLISHED):
        assert {one[0] for one in of_table(found, table)} == {"result_forged"}


@pytest.mark.every(4)
@pytest.mark.parametrize("column", some([column for table, column in COLUMNS if table == "event"]))
def test_whatever_of_an_event_is_another_is_named(whole: Path, tmp_path: Path, column: str) -> None:
    value = another(column, kinds(whole)["event", column])
    found = named(tampered(whole, tmp_path, f'UPDATE event SET "{column}" = {value} WHERE seq = 3'))
    assert of_table(found, "event"), found
    assert column not in OF_THE_LOG - {"unit"} or found[0][0] in ("event_changed", "event_left_out")


@pytest.mark.long
def test_recorded_times_that_were_moved_are_named(whole: Path, tmp_path: Path) -> None:
    """Forty days later, so that every appeal is late: the leaf covers the time."""
    found = named(tampered(whole, tmp_path, "UPDATE event SET recorded_at = TIMESTAMP '2014-02-01'"))
    assert found[0][0] == "event_changed"
    hashed = "UPDATE leaf SET hash = sha256('x')::BLOB"
    assert named(tampered(whole, tmp_path, "UPDATE event SET seq = seq + 1", "UPDATE leaf SET seq = seq + 1"))
    assert named(tampered(whole, tmp_path, hashed))


META = {
    "sequence": "UPDATE meta SET value = '{}' WHERE key = 'sequence'",
}


@pytest.mark.long
@pytest.mark.parametrize("key_", [
    "assessment", "rulebook", "sequence", "digest", "root", "state", "version", "synthetic", "rulebook_json", "log_key",
])  # fmt: skip
def test_whatever_the_file_says_of_itself_that_is_another_is_named(whole: Path, tmp_path: Path, key_: str) -> None:
    for sql in (
        f"UPDATE meta SET value = value || '1' WHERE key = '{key_}'", f"DELETE FROM meta WHERE key = '{key_}'",
        f"INSERT INTO meta SELECT * FROM meta WHERE key = '{key_}'", f"INSERT INTO meta VALUES ('{key_}2', 'x')",
        f"UPDATE meta SET value = NULL WHERE key = '{key_}'",
    ):  # fmt: skip
        found = named(tampered(whole, tmp_path, sql))
        assert [one for one in found if one[0] in ("meta", "origin", "signature", "rulebook", "unreadable")], (
            sql,
            found,
        )


# -- The signature -----------------------------------------------------------------------------------------------------


def resigned(whole: Path, folder: Path, *statements: str, signer: note.Signer) -> Path:
    """Tampered with by somebody who then signs what he made with a key of his own, and says so in the file."""
    path = tampered(whole, folder, *statements)
    with held.opened(path) as con:
        text = checkpoint.body(checkpoint.held(con) or "")
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE checkpoint SET note = ?", [note.sign(text, signer)])
        con.execute("UPDATE meta SET value = ? WHERE key = 'log_key'", [str(signer.verifier)])
    return path


@pytest.mark.long
def test_another_s_signature_holds_only_where_no_key_is_given(whole: Path, tmp_path: Path) -> None:
    other = checkpoint.key(tmp_path / "other.key", "wuxing/small")
    path = resigned(whole, tmp_path, signer=other)
    assert failures(path) == []
    assert failures(path, "--key", key(whole))[0][0] == "signature"
    code, out, _ = run("verify", str(path), "--lang", "en")
    assert (code, "by its own word signed by" in out.splitlines()[-1]) == (0, True)


@pytest.mark.every(12)
@pytest.mark.parametrize("sql", [
    "DELETE FROM checkpoint", "DROP TABLE checkpoint", "UPDATE checkpoint SET note = NULL",
    "UPDATE checkpoint SET note = split_part(note, chr(10) || chr(10), 1) || chr(10)",
    "UPDATE checkpoint SET note = ''", "INSERT INTO checkpoint FROM checkpoint",
    "UPDATE checkpoint SET note = note || note",
])  # fmt: skip
def test_a_checkpoint_that_was_dropped_or_taken_apart_is_named_with_a_key_and_without(
    whole: Path, tmp_path: Path, sql: str
) -> None:
    path = tampered(whole, tmp_path, sql)
    assert failures(path, "--key", key(whole))
    assert failures(path)


@pytest.mark.parametrize(
    "line", some(["shown", "units", "results", "rulebook", "roster", "version", "size", "root", "origin"])
)
def test_a_line_of_the_checkpoint_that_is_another_is_named_though_it_is_signed(
    whole: Path, tmp_path: Path, line: str
) -> None:
    signer = signer_of(whole.parent)
    path = tampered(whole, tmp_path)
    with held.opened(path) as con:
        text = checkpoint.body(checkpoint.held(con) or "")
    lines = text.splitlines()
    at = {"origin": 0, "size": 1, "root": 2}.get(line) or next(
        (n for n, one in enumerate(lines) if one.startswith(f"{line} ")), 0
    )
    old = lines[at]
    swap = {"a": "b", "A": "B"}.get(old[-3], "a" if line != "size" else "1")
    lines[at] = old[:-3] + swap + old[-2:] if len(old) > 3 else f"{int(old) + 1}"
    if line == "version":
        lines[at] = "version 9.9.9"
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE checkpoint SET note = ?", [note.sign("\n".join([*lines, ""]), signer)])
    found = named(path)
    assert found, line
    assert found[0][0] in (
        "note",
        "origin",
        "signature",
        "commitment",
        "rulebook",
        "log_rewritten",
        "log_truncated",
        "meta",
    )


def test_an_older_snapshot_in_the_newest_s_place_is_named(whole: Path, tmp_path: Path) -> None:
    shutil.copyfile(whole.parent / "log.key", tmp_path / "log.key")
    (tmp_path / "log.key").chmod(0o600)
    lines = small().splitlines(keepends=True)
    older = written(tmp_path, b"".join(lines[:-3]))
    with held.opened(whole) as con:
        (tmp_path / checkpoint.NAME).write_text(checkpoint.held(con) or "", encoding="utf-8")
    latest = tmp_path / "latest.duckdb"
    latest.symlink_to(older.name)
    assert failures(older) == [], "an older snapshot is one"
    assert [one[0] for one in failures(latest)] == ["not_latest"]


# -- Bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.every(3)
@pytest.mark.parametrize("sql", [
    "INSERT INTO leaf SELECT l.* FROM leaf l, range(2000000) WHERE l.seq = 1",
    "INSERT INTO roster (unit) SELECT 'U001' FROM range(30000000)",
    "INSERT INTO roster (unit) SELECT repeat('x', 1000) FROM range(2000000)",
])  # fmt: skip
def test_a_small_file_that_comes_to_very_much_is_not_read(whole: Path, tmp_path: Path, sql: str) -> None:
    path = tampered(whole, tmp_path, sql)
    assert [one[0] for one in named(path)] == ["bounds"]
    code, _, said = run("bundle", UNIT, str(tmp_path / "u.json"), "--snapshot", str(path), "--lang", "en")
    assert (code, "more than a snapshot of" in said) == (Exit.FAILED, True)


@pytest.mark.long
def test_the_sentence_says_what_was_proved(whole: Path) -> None:
    said = run("verify", str(whole), "--key", key(whole), "--lang", "en")[1].splitlines()[-1]
    assert "every event read and judged again, every table recomputed; signed by the key given" in said
    plain = written(whole.parent, small(), signed=False, name="plain.duckdb")
    assert "nobody signed it" in run("verify", str(plain), "--lang", "en")[1].splitlines()[-1]
