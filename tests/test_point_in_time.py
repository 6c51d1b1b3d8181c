"""Any point in time on two axes: as recorded, a cut is what a fold up to there gives; as occurred, a fold of the facts.

`WUXING_TEST=long` compares the digest at every single sequence of many years, and not at some of few.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.console import pages
from services.process.ending import Exit, Stop
from services.scorer import rules, store
from services.scorer.admission import admit
from services.snapshot import point
from services.snapshot.results import results
from tests.product import command, folded, ledger, scored
from tests.random_years import RandomYear, draw_year, years

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

LONG = os.environ.get("WUXING_TEST") == "long"
few = settings(max_examples=60 if LONG else 1, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def digest(con: duckdb.DuckDBPyConnection, as_of: int) -> str:
    return results(con, assessment="a", rulebook="r", as_of=as_of, refused=[], lang="en").digest


def test_at_every_sequence_of_a_random_year_the_cut_is_the_fold_up_to_there() -> None:
    for seed in range(40 if LONG else 1):
        dice = Random(seed)
        year = settled(draw_year(dice))
        with folded(year.data, year) as whole, store.fresh() as fresh:
            rules.load_rulebook(fresh, whole.year.rulebook, whole.year.roster)
            events, rows, done = point.events(whole.con), ledger(whole.con), 0
            while done < len(rows):
                size = 1 if LONG else dice.randint(1, 24)
                admit(fresh, events.slice(done, size))
                assert ledger(fresh) == rows[: done + size], "what was judged once is judged for ever"
                done = min(done + size, len(rows))
                if LONG or done == len(rows) or dice.random() < 0.2:
                    assert digest(fresh, rows[done - 1][0]) == digest(whole.con, rows[done - 1][0]), rows[done - 1][0]


def settled(year: RandomYear) -> RandomYear:
    """The year without a cut of its own, checked by its own rulebook and roster throughout."""
    return replace(year, as_of=None, opened=False)


def test_the_views_see_the_ledger_up_to_the_cut_and_nothing_else_of_it() -> None:
    views = [one for one in rules.definitions() if one.kind == "VIEW"]
    assert [one.name for one in views if re.search(r"\b(FROM|JOIN) event\b", one.body)] == ["ledger_event"]


@few
@given(years(), st.data())
def test_a_cut_of_a_random_year_is_the_fold_of_its_first_lines(drawn: RandomYear, data: st.DataObject) -> None:
    year = settled(drawn)
    with folded(year.data, year) as whole:
        cut = data.draw(st.integers(0, whole.lines))
        with folded(year.data, year, limit=cut) as first:
            assert [row for row in ledger(whole.con) if row[0] <= cut] == ledger(first.con)
            assert scored(whole, as_of=cut) == scored(first)


@few
@given(years(), st.data())
def test_facts_until_a_time_are_the_fold_of_what_had_occurred_then(drawn: RandomYear, data: st.DataObject) -> None:
    year = settled(drawn)
    with folded(year.data, year) as whole:
        moments = whole.con.execute("SELECT time, occurred FROM event ORDER BY occurred").fetchall()
        time, occurred = data.draw(st.sampled_from(moments or [("2013-06-01T00:00:00Z", "")]))
        cut = data.draw(st.integers(0, whole.lines))
        with (
            point.facts_until(whole.con, time, cut) as found,
            folded(year.data, year, limit=cut, until=occurred) as of_file,
        ):
            assert digest(found, cut) == digest(of_file.con, cut)


TWO = (
    b'{"specversion":"1.0","id":"1","source":"/offices/ducha","type":"deduction.recorded.v1","subject":"U001",'
    b'"time":"2013-03-01T08:00:00+08:00","data":{"item":"1.1","matter":"M","ground":"no_feedback","reason":"r"}}\n'
    b'{"specversion":"1.0","id":"2","source":"/offices/ducha","type":"deduction.recorded.v1","subject":"U001",'
    b'"time":"2013-01-01T00:00:00.50Z","data":{"item":"1.1","matter":"N","ground":"no_feedback","reason":"r"}}\n'
)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("point")
    (folder / "two.jsonl").write_bytes(TWO)
    code, _, said = command("score", folder / "two.jsonl", "--snapshot", folder / "two.duckdb")
    assert code == 0, said
    return folder / "two.duckdb"


def test_a_sequence_beyond_the_end_is_the_last_and_zero_is_before_all(snapshot: Path) -> None:
    with point.snapshot(snapshot) as con:
        assert [point.as_of(con, text) for text in (None, "0", "1", "2", "3", "9" * 30)] == [2, 0, 1, 2, 2, 2]


def test_without_recorded_times_a_time_is_the_cut_before_the_first_event_that_occurred_later(snapshot: Path) -> None:
    with point.snapshot(snapshot) as con:
        expected = {"2013-03-01T00:00:00Z": 2, "2013-02-28T23:59:59.9Z": 0, "2012-01-01T00:00:00Z": 0}
        assert {time: point.as_of(con, time) for time in expected} == expected


def test_with_recorded_times_a_time_is_inclusive_to_the_microsecond(snapshot: Path, tmp_path: Path) -> None:
    copy = tmp_path / "recorded.duckdb"
    copy.write_bytes(snapshot.read_bytes())
    with store.connect(copy) as con:
        for seq, moment in ((1, datetime(2014, 1, 1, 0, 0, 0, 120000)), (2, datetime(2014, 1, 1, 0, 0, 1))):  # noqa: DTZ001 - UTC
            con.execute("UPDATE event SET recorded_at = ? WHERE seq = ?", [moment, seq])
        expected = {
            "2014-01-01T00:00:00.119999Z": 0, "2014-01-01T00:00:00.12Z": 1, "2014-01-01T08:00:00.9999999+08:00": 1,
            "2014-01-01T00:00:01.000Z": 2, "2030-01-01T00:00:00Z": 2,
        }  # fmt: skip
        assert {time: point.as_of(con, time) for time in expected} == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2013-01-01", "-1", "１"])
def test_what_is_neither_a_sequence_nor_a_time_is_wrong_use(snapshot: Path, text: str) -> None:
    with point.snapshot(snapshot) as con, pytest.raises(Stop, match="--as-of") as stopped:
        point.as_of(con, text)
    assert stopped.value.code == Exit.USE


def test_a_file_that_is_no_snapshot_is_named(tmp_path: Path) -> None:
    plain, other = tmp_path / "a.jsonl", tmp_path / "b.duckdb"
    plain.write_bytes(TWO)
    with store.connect(other) as con:
        con.execute("CREATE TABLE event (seq BIGINT)")
    for path in (plain, other, tmp_path / "missing.duckdb"):
        with pytest.raises(Stop, match=path.name) as stopped, point.snapshot(path):
            pass
        assert stopped.value.code == Exit.FAILED


FEBRUARY = datetime(2013, 2, 1, tzinfo=UTC).isoformat()


@pytest.mark.long
def test_every_way_to_ask_sees_on_the_second_axis_only_what_had_occurred(snapshot: Path, tmp_path: Path) -> None:
    facts, then = tmp_path / "facts.duckdb", ("--facts-until", FEBRUARY)
    code, printed, _ = command("score", snapshot.parent / "two.jsonl", *then, "--snapshot", facts)
    finals = {json.loads(printed)["units"][0]["final"]}
    for path, options in ((snapshot, then), (facts, ())):
        code, printed, _ = command("explain", "U001", "--snapshot", path, *options, "--format", "json", "--lang", "en")
        found = json.loads(printed)
        items = [item for part in found["parts"] for item in part["items"]]
        assert (code, [line["seq"] for item in items for line in item["lines"]]) == (0, [2])
        assert found["notes"][0].startswith(f"Only what had occurred by {FEBRUARY}")
        finals.add(found["final"])
        for table in ("unit_result", "published_unit"):
            query = f"SELECT final FROM {table} WHERE unit = 'U001'"
            finals.add(json.loads(command("sql", query, "--snapshot", path, *options, "--format", "json")[1])["final"])
    for name in ("appeals", "readiness"):
        assert json.loads(command(name, "--snapshot", snapshot, *then, "--format", "json")[1])["as_of"] == 2
        assert FEBRUARY in command(name, "--snapshot", facts)[1].decode()
    assert finals == {"2.73000000"}
    code, printed, _ = command("diff", f"{snapshot}@0", snapshot, *then, "--format", "json")
    assert (code, [one["seq"] for one in json.loads(printed)["events"]]) == (0, [2])


@pytest.mark.parametrize("name", ["explain U001", "appeals", "readiness", "sql FROM(meta)", "readings"])
def test_a_time_of_the_second_axis_that_is_none_is_wrong_use(snapshot: Path, name: str) -> None:
    code, printed, said = command(*name.split(), "--snapshot", snapshot, "--facts-until", "3000")
    assert (code, printed, said.startswith("--facts-until")) == (2, b"", True)


def test_a_time_names_one_sequence_to_commands_and_pages_also_where_the_broker_s_clock_went_back() -> None:
    minutes = (10, 20, 15, 30, 25, 40)
    with store.connect() as con:
        con.execute("CREATE TABLE meta AS SELECT 'sequence' AS key, '6' AS value")
        con.execute("CREATE TABLE event (seq BIGINT, recorded_at TIMESTAMP, admission VARCHAR, occurred VARCHAR)")
        for seq, minute in enumerate(minutes, 1):
            con.execute("INSERT INTO event VALUES (?, ?, 'admitted', '')", [seq, f"2026-11-29 10:{minute}:00"])
        times = [f"2026-11-29T10:{minute:02}:00Z" for minute in (5, *sorted(minutes), 50)]
        found = [point.as_of(con, time) for time in times]
        assert found == [0, 1, 1, 3, 3, 5, 6, 6]
        sql = pages.query("cut_at")
        assert [con.execute(sql, [time.rstrip("Z"), 6]).fetchall()[0][0] for time in times] == found
