"""A snapshot recomputes itself: the file and plain SQL give the published results again, in any DuckDB client."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from services.console import reference
from services.console.sql import Ready, queries
from services.scorer import comments, rules, store
from services.snapshot import wide
from services.snapshot.make import PUBLISHED, prune
from tests import oracle
from tests.product import BOOK_JSON, SHIPPED, Json, command, joined, small

if TYPE_CHECKING:
    from collections.abc import Callable

    Query = Callable[[Path, str], list[Json]]

LINES = small(1, 20)
UNITS_IN_ALL = len(json.loads(LINES[0])["data"]["roster"])
DUCKDB = Path(sys.executable).parent / "duckdb"
LONG = os.environ.get("WUXING_TEST") == "long"
READINGS = {"matter_rule": "sum", "step": "geometric", "e1": "ranked", "award_eligible": "each"}
#: The shipped rulebook has no attributes, and no condition of a grade asks for a measure.
NOT_IN_SHIPPED = {"published_attribute", "published_measure"}
BINARY = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND data_type IN ('DOUBLE', 'FLOAT')"
UNITS = (
    "SELECT u.unit, final_text AS final, place, state, grade AS award FROM unit_result AS u"
    " LEFT JOIN unit_grade AS g ON g.unit = u.unit AND scheme = 'award' ORDER BY u.unit"
)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot that `wuxing score --snapshot` writes of a year in which much happens."""
    folder = tmp_path_factory.mktemp("snapshot")
    (folder / "year.jsonl").write_bytes(joined(LINES))
    made = folder / "made.duckdb"
    code, printed, said = command("score", folder / "year.jsonl", "--snapshot", made, "--lang", "en")
    assert (code, "Synthetic" in said) == (0, True)
    (folder / "printed.json").write_bytes(printed)
    return made


def in_python(path: Path, sql: str) -> list[Json]:
    """The last statement's rows, with the library that the product uses and nothing else of it."""
    *settings, query = sql.split("; ")
    with duckdb.connect(str(path), read_only=True) as con:
        for setting in settings:
            con.execute(setting)
        found = con.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def in_command_line(path: Path, sql: str) -> list[Json]:
    """The same in the DuckDB 1.5 command line."""
    arguments = [str(DUCKDB), "-readonly", "-json", str(path), "-c", sql]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[Json] = json.loads(done.stdout or "[]")
    return found


@pytest.fixture(params=[in_python, in_command_line], ids=["library", "command line"])
def query(request: pytest.FixtureRequest) -> Any:
    return request.param


def expected(**options: Any) -> list[Json]:
    rows = oracle.score(list(LINES), shipped=(BOOK_JSON, SHIPPED), **options)["units"]
    own = [{key: row[key] for key in ("unit", "final", "place", "state")} for row in rows]
    return [row | {"award": whole["grades"].get("award")} for row, whole in zip(own, rows, strict=True)]


def test_the_command_line_is_the_one_named_in_the_contract() -> None:
    said = subprocess.run([DUCKDB, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("v1.5.")


def test_every_published_table_equals_the_view_that_computes_it_again(snapshot: Path, query: Query) -> None:
    for table, view in list(PUBLISHED.items())[:: 1 if LONG else 3]:
        again = f"WITH again AS MATERIALIZED (FROM {view})"
        more_or_less = f"(FROM {table} EXCEPT ALL FROM again) UNION ALL (FROM again EXCEPT ALL FROM {table})"
        assert query(snapshot, f"{again} {more_or_less}") == [], table
    filled = query(snapshot, " UNION ".join(f"SELECT '{table}' AS name FROM {table}" for table in PUBLISHED))
    assert {row["name"] for row in filled} == set(PUBLISHED) - NOT_IN_SHIPPED


VIEWS = [one.name for one in rules.definitions() if one.kind == "VIEW"]


@pytest.mark.long
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_says_the_same_to_another_version_of_the_engine(view: str, snapshot: Path) -> None:
    lines = f"SELECT to_json(v)::VARCHAR AS line FROM {view} AS v"
    rows = f"SELECT count(*) AS rows, md5(string_agg(line, '' ORDER BY line)) AS said FROM ({lines})"
    assert in_command_line(snapshot, rows) == in_python(snapshot, rows)


@pytest.mark.long
def test_the_views_are_what_the_oracle_says(snapshot: Path, query: Query) -> None:
    assert expected() == query(snapshot, UNITS)


def test_the_wide_view_has_a_column_for_each_part_and_item_with_its_published_points(
    snapshot: Path, query: Query
) -> None:
    (row,) = query(snapshot, "SELECT * FROM unit_wide ORDER BY unit LIMIT 1")
    codes = [one["code"] for table in ("part", "item") for one in BOOK_JSON[table]]
    assert list(row) == ["unit", "name", "category", "unit_group", "final", "place", "state", *codes]
    both = "SELECT part AS code, points FROM published_part {0} UNION ALL SELECT item, points FROM published_item {0}"
    own = {one["code"]: one["points"] for one in query(snapshot, both.format(f"WHERE unit = '{row['unit']}'"))}
    assert {code: row[code] for code in codes} == {code: own.get(code) for code in codes}


def test_columns_of_the_wide_view_are_unlike_each_other_whatever_the_codes_are() -> None:
    columns = [{"code": code} for code in ("Unit", "a", "A", "a_")]
    book = SimpleNamespace(part=(), item=[SimpleNamespace(**one) for one in columns])
    made = next(wide.statements(book))  # type: ignore[arg-type]
    assert re.findall(r'AS "([^"]+)"', made) == ["Unit_", "a", "A_", "a__"]


def test_an_entry_that_counts_less_names_an_earlier_one_of_the_same_matter_node_or_item(snapshot: Path) -> None:
    told = r"regexp_extract(e.why_en, 'sequence (\d+) \(', 1)"
    (row,) = in_python(
        snapshot,
        "SELECT count(*) AS named, count(*) FILTER (o.unit = e.unit AND o.item = e.item AND o.kind = e.kind"
        " AND (e.limited_by <> 'matter' OR o.matter = e.matter) AND o.passed > 0) AS fits"
        f" FROM published_entry AS e JOIN published_entry AS o ON o.seq < e.seq AND {told} = o.seq::VARCHAR"
        " WHERE e.limited_by IN ('matter', 'cap', 'bound')",
    )
    assert row["named"] == row["fits"] > 10


@pytest.mark.every(6)
@pytest.mark.parametrize("ready", queries().values(), ids=lambda one: one.name)
def test_every_ready_query_runs_in_the_command_line_too(snapshot: Path, ready: Ready) -> None:
    text = ready.text.replace(";\n", "; ")
    assert len(in_command_line(snapshot, text)) == len(in_python(snapshot, text))


def test_a_variable_sets_the_point_in_time(snapshot: Path, query: Query) -> None:
    assert expected(as_of=150) == query(snapshot, f"SET VARIABLE as_of = 150; {UNITS}")


def test_every_table_and_view_stands_in_the_schema_of_what_it_is_for_too(snapshot: Path, query: Query) -> None:
    every = (
        "SELECT schema_name, table_name AS name, comment FROM duckdb_tables()"
        " UNION ALL SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal"
    )
    rows = [tuple(row.values()) for row in query(snapshot, every)]
    own = {(name, comment) for schema, name, comment in rows if schema == "main"}
    in_schemas = [(schema, name, comment) for schema, name, comment in rows if schema != "main"]
    assert sorted(in_schemas) == sorted((told.partition(". ")[0].lower(), name, told) for name, told in own)
    columns = "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal"
    kept = [query(snapshot, f"{columns} AND schema_name {one} 'main' ORDER BY ALL") for one in ("=", "<>")]
    assert kept[0] == kept[1]


def test_a_schema_shows_the_same_rows_at_the_same_point_under_whatever_name_the_file_is_attached(
    snapshot: Path,
) -> None:
    def rows(of: str) -> list[Any]:
        return con.execute(f"FROM {of} ORDER BY ALL").fetchall()

    with duckdb.connect() as con:
        con.execute(f"ATTACH '{snapshot}' AS other (READ_ONLY)")
        now = rows("other.main.unit_result")
        con.execute("SET VARIABLE as_of = 150")
        assert now != rows("other.rules.unit_result") == rows("other.main.unit_result")
        for name, at in con.execute("SELECT view_name, schema_name FROM duckdb_views() WHERE NOT internal").fetchall():
            con.execute(f'FROM other."{at}"."{name}" LIMIT 0')


def test_a_variable_sets_the_point_in_time_through_a_schema(snapshot: Path, query: Query) -> None:
    assert expected(as_of=150) == query(
        snapshot, f"SET VARIABLE as_of = 150; {UNITS.replace('FROM unit_result', 'FROM rules.unit_result')}"
    )


def test_a_variable_sets_readings(snapshot: Path, query: Query) -> None:
    chosen = ", ".join(f"'{name}': '{value}'" for name, value in READINGS.items())
    found = query(snapshot, f"SET VARIABLE readings = MAP {{{chosen}}}; {UNITS}")
    assert expected(readings=READINGS) == found


def test_meta_says_what_the_snapshot_is_and_the_printed_digest(snapshot: Path, query: Query) -> None:
    printed = json.loads((snapshot.parent / "printed.json").read_bytes())
    meta = {row["key"]: row["value"] for row in query(snapshot, "FROM meta")}
    assert {
        "assessment", "rulebook", "rulebook_json", "roster_json", "keys", "sequence", "digest", "root", "state",
        "version", "schema", "synthetic",
    } == set(meta)  # fmt: skip
    assert (printed["digest"], str(printed["as_of"]), "true") == (meta["digest"], meta["sequence"], meta["synthetic"])


def test_no_column_of_the_file_is_a_binary_floating_point_number(snapshot: Path, query: Query) -> None:
    assert query(snapshot, BINARY) == []


@pytest.mark.parametrize("kind", ["table", "view", "column", "function"])
def test_everything_in_the_file_says_what_it_is(snapshot: Path, query: Query, kind: str) -> None:
    silent = f"SELECT {kind}_name FROM duckdb_{kind}s() WHERE NOT internal AND coalesce(comment, '') = ''"
    assert query(snapshot, silent) == []


def test_a_name_of_a_column_means_one_thing_and_no_meaning_is_left_over(snapshot: Path) -> None:
    columns = "SELECT DISTINCT column_name, comment FROM duckdb_columns() WHERE NOT internal"
    rows = in_python(snapshot, f"{columns} AND table_name <> 'unit_wide'")  # whose columns are the rulebook's codes
    assert sorted((row["column_name"], row["comment"]) for row in rows) == sorted(comments.COLUMNS.items())


def test_what_a_table_or_view_is_for_stands_first(snapshot: Path) -> None:
    told = "SELECT comment FROM duckdb_tables() UNION ALL SELECT comment FROM duckdb_views() WHERE NOT internal"
    found = in_python(snapshot, f"SELECT split_part(comment, '. ', 1) AS purpose FROM ({told})")
    assert {row["purpose"] for row in found} == set(reference.PURPOSES)


@pytest.mark.long
def test_two_moments_differ_by_what_the_variable_shows_at_each(snapshot: Path, query: Query) -> None:
    finals = "SELECT unit, final, place, state, flags FROM unit_result ORDER BY unit"
    old, new = (query(snapshot, f"SET VARIABLE as_of = {at}; {finals}") for at in (60, 150))
    moved = [(b["unit"], a["final"], b["final"]) for a, b in zip(old, new, strict=True) if a != b]
    found = query(snapshot, "SELECT * FROM score_diff(60, 150)")
    assert [(row["unit"], row["final_before"], row["final_after"]) for row in found] == moved
    assert moved
    assert query(snapshot, "FROM score_diff(150, 150)") == []


def test_what_is_copied_into_a_notice_has_four_decimals(snapshot: Path) -> None:
    kinds = "SELECT DISTINCT data_type FROM duckdb_columns() WHERE table_name LIKE '公示%' AND data_type LIKE 'DEC%'"
    assert in_python(snapshot, kinds) == [{"data_type": "DECIMAL(18,4)"}]


def test_a_file_of_that_name_is_replaced_whole_and_no_draft_is_left(snapshot: Path) -> None:
    left = {file.name for file in snapshot.parent.iterdir()}
    assert left == {"made.duckdb", "printed.json", "year.jsonl"}
    target = snapshot.parent / "absent" / "made.duckdb"
    code, _, said = command("score", str(snapshot.parent / "year.jsonl"), "--snapshot", str(target), "--lang", "en")
    assert (code, said.splitlines()[-1]) == (3, f"{target}: cannot be written: No such file or directory")


def test_the_newest_stay_and_the_last_of_each_day_and_who_reads_an_old_one_reads_on(
    snapshot: Path, tmp_path: Path
) -> None:
    day, noon = 86_400, 1_386_000_000
    for sequence, at in ((1, 0), (2, 60), (9, day), (10, day + 60), (11, day + 120), (12, day + 180)):
        path = tmp_path / f"year-{sequence}.duckdb"
        path.write_bytes(snapshot.read_bytes())
        os.utime(path, (noon + at, noon + at))
    (tmp_path / "another-1.duckdb").touch()
    (tmp_path / "latest.duckdb").symlink_to("year-12.duckdb")
    with duckdb.connect(str(tmp_path / "year-1.duckdb"), read_only=True) as con:
        gone = [path.name for path in prune(tmp_path, "year", 2)]
        assert gone == ["year-1.duckdb", "year-9.duckdb", "year-10.duckdb"]
        assert len(con.execute("FROM unit_result").fetchall()) == UNITS_IN_ALL
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"year-2.duckdb", "year-11.duckdb", "year-12.duckdb", "another-1.duckdb", "latest.duckdb"}


def test_the_blank_file_is_made_once_an_installation_and_taken_only_where_nobody_else_could_have_written_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(b"blank")
        return made[-1]

    monkeypatch.setattr(store, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(store, "_made", make)
    blank = store._blank.__wrapped__  # noqa: SLF001 - without its memory of this process
    assert [blank(), blank(), len(made)] == [b"blank", b"blank", 1]
    (kept,) = store.KEPT.iterdir()
    for place, mode in ((kept, 0o666), (store.KEPT, 0o777)):
        place.chmod(mode)
        assert blank() == b"blank"
    assert len(made) == 3
    (tmp_path / "other").write_bytes(b"another's")
    store.KEPT.chmod(0o755)
    kept.unlink()
    kept.symlink_to(tmp_path / "other")
    assert blank() == b"blank"
    (kept,) = store.KEPT.iterdir()
    assert kept.read_bytes() == b"blank"
    (store.KEPT / "blank-of-another-version.duckdb").touch()
    kept.unlink()
    assert [blank(), *store.KEPT.iterdir()] == [b"blank", kept]
