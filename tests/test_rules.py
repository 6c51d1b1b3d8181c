"""The views of the rules: what each says of itself is so, and the seats come to what the shared cases say."""

from __future__ import annotations

import json
import math
import os
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import msgspec
import pytest

from schemas import roster, rulebook
from services.scorer import rulebook_rows, rules, store
from services.scorer.rulebook_rows import TABLES
from tests.product import BOOK, folded
from tests.random_years import draw_year

HERE = Path(__file__).parent
LONG = os.environ.get("WUXING_TEST") == "long"
VIEWS = {one.name: one for one in rules.definitions() if one.kind == "VIEW"}
#: The columns that the words of a grain stand for; all others are columns of that name.
COLUMNS = {
    "entry": ("seq",), "event": ("seq",), "appeal": ("seq",), "rating": ("seq",), "group": ("unit_group",),
    "group of raters": ("rater_group",), "term": ("ordinal",), "condition": ("grade", "ordinal"), "change": ("seq",),
    "reading or parameter": ("name",), "part or item": ("code",), "holding": ("held_from",),
    "office's place": ("first_office",),
    "number of tied units": ("tied",), "entry, rating or veto": ("seq",), "entry or rating": ("seq",),
    "obstacle": ("kind", "unit", "item", "name", "seq"),
}  # fmt: skip


def grain(comment: str) -> tuple[str, ...] | None:
    """The columns that "One row a unit and item that …" names; none for "One row."; null where it says nothing."""
    said = re.search(r"One row( an? (.+?))?( that .*)?\.$", comment)
    if said is None:
        return None
    words = said[2] or ""
    listed = [words] if words in COLUMNS else re.split(r", | and ", words) if words else []
    return tuple(column for word in listed for column in COLUMNS.get(word, (word,)))


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_says_its_grain_and_its_section(name: str) -> None:
    columns = grain(VIEWS[name].comment)
    assert columns is not None, VIEWS[name].comment
    assert all(re.fullmatch("[a-z_]+", column) for column in columns), columns


def test_the_grain_of_every_view_is_what_it_says() -> None:
    for seed in (3, 7):
        year = draw_year(Random(seed))
        with folded(year.data, year) as found, rules.compute(found.con) as con:
            for name, one in VIEWS.items():
                if not name.isascii():
                    continue  # the tables of a notice have Chinese columns
                columns = grain(one.comment) or ()
                count = con.execute(f"SELECT count(*) FROM {name}").fetchall()
                keys = ", ".join(columns) or "1"
                distinct = con.execute(f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {name})").fetchall()
                assert (name, count) == (name, distinct)


@pytest.mark.long
def test_every_view_of_a_file_gives_what_is_computed_whatever_the_client_has_set() -> None:
    year, chosen = draw_year(Random(5)), list(VIEWS)[:: 1 if LONG else 12]
    with folded(year.data, year) as found, rules.compute(found.con) as con:
        computed = {name: con.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in chosen}
        rows = {name: found.con.sql(f"FROM main.{name}").to_arrow_table() for name in ("event", *TABLES)}
    with store.connect() as client:
        rules.create_tables(client)
        rules.create_views(client)
        for name, table in rows.items():
            client.register("held", table)
            client.execute(f"INSERT INTO {name} FROM held")
        client.execute("SET default_order = 'DESC'; SET default_collation = 'nocase'; SET threads = 1")
        client.execute("SET VARIABLE as_of = 9223372036854775807")
        query = "FROM {} ORDER BY ALL ASC NULLS LAST"
        assert computed == {name: client.execute(query.format(name)).fetchall() for name in chosen}


def test_the_seats_of_all_shared_cases() -> None:
    cases = json.loads((HERE / "seats.json").read_text(encoding="utf-8"))["cases"]
    with duckdb.connect() as con:
        con.execute("CREATE TABLE plain_line (scheme VARCHAR, pool VARCHAR, unit VARCHAR, block BIGINT, tie VARCHAR)")
        con.execute(
            "CREATE TABLE grade_quota (scheme VARCHAR, pool VARCHAR, grade VARCHAR, ordinal INTEGER, quota HUGEINT)"
        )
        con.execute("CREATE TABLE open_grade (scheme VARCHAR, pool VARCHAR, grade VARCHAR, unit VARCHAR)")
        for n, case in enumerate(cases):
            fill(con, str(n), case)
        given: dict[tuple[str, int], list[str]] = {}
        cut: dict[tuple[str, int], list[str]] = {}
        for scheme, unit, ordinal, grade, is_cut in con.execute(
            f"SELECT scheme, unit, ordinal, given, is_cut FROM ({VIEWS['plain_seat'].body}) ORDER BY unit"
        ).fetchall():
            given.setdefault((scheme, ordinal), []).extend([unit] if grade else [])
            cut.setdefault((scheme, ordinal), []).extend([unit] if is_cut else [])
    for n, case in enumerate(cases):
        for ordinal, grade in enumerate(case["grades"], 1):
            found = {"given": given[str(n), ordinal], "cut_through": cut[str(n), ordinal]}
            assert {key: sorted(units) for key, units in grade.items()} == found, case


def fill(con: duckdb.DuckDBPyConnection, name: str, case: dict[str, Any]) -> None:
    """One case as a pool of its own."""
    line = [(name, "", unit, n, case["tie"]) for n, block in enumerate(case["line"]) for unit in block]
    quotas = [(name, "", str(n), n, quota) for n, quota in enumerate(case["quota"], 1)]
    is_open = [(name, "", str(grade), unit) for unit, grades in case["open"].items() for grade in grades]
    for table, rows in (("plain_line", line), ("grade_quota", quotas), ("open_grade", is_open)):
        if rows:
            con.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


@pytest.mark.parametrize("fall", ["linear", "geometric"])
def test_points_by_place_are_exact_and_each_rounded_half_up_once(fall: str) -> None:
    raw = rulebook.plain(BOOK)
    for method in next(item for item in raw["item"] if item["code"] == "5.1")["method"]:
        method["step"] = "3.333333%"
    book, less = msgspec.convert(raw, rulebook.Rulebook), Fraction(3333333, 10**8)
    table = [row for row in rulebook_rows.rows(book, roster.shipped())["rulebook_place"] if row[:2] == ("5.1", fall)]
    exact = [20 * ((1 - less) ** n if fall == "geometric" else 1 - less * n) for n in range(25)]
    wanted = [Decimal(math.floor(points * 10**6 + Fraction(1, 2))).scaleb(-6) for points in exact]
    assert wanted != [Decimal(math.floor(points * 10**6)).scaleb(-6) for points in exact], "a floor would not do"
    assert [Decimal(points) for _, _, place, points, _ in table if 0 < place <= 25] == wanted


def test_what_stands_in_the_way_of_final_is_said_in_one_language() -> None:
    found = ", ".join(f"{kind} 2" for kind in ("appeal", "assumption", "awaiting", "pending", "stage", "tie"))
    with store.fresh() as con:
        row = con.execute("SELECT void_zh('obstacles', ?), void_en('obstacles', ?)", [found, found]).fetchone()
    said = "未决申诉 2、未采用的读法 2、待审批 2、待定项目 2、未到的阶段 2、并列 2"
    words = "open appeals 2, readings not adopted 2, entries that await approval 2, pending items 2, "
    words += "stages not reached 2, ties 2"
    assert row == (f"尚不能定稿：{said}", f"it cannot be final yet: {words}")
