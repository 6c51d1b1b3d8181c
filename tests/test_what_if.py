"""What-if, the smallest set, readings, diff: a changed copy is the year that would have been, and names who moves."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from schemas import roster
from services.reports.diff import standing_cells
from services.reports.smallest import search
from services.reports.what_if import Changes, dependences, fold
from services.scorer import rules
from services.site import synthetic
from services.snapshot.results import results
from tests.product import BOOK, SHIPPED, command, folded, joined, scored
from tests.random_years import RandomYear, years
from tests.test_laws import without_changes

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from services.reports.smallest import Found

LONG = os.environ.get("WUXING_TEST") == "long"
few = settings(max_examples=60 if LONG else 2, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def digest(con: duckdb.DuckDBPyConnection, as_of: int) -> str:
    return results(con, assessment="a", rulebook="r", as_of=as_of, refused=[], lang="en").digest


@pytest.mark.long
@few
@given(years(), st.data())
def test_the_year_without_some_events_is_the_fold_of_the_other_lines(drawn: RandomYear, data: st.DataObject) -> None:
    drawn = without_changes(drawn)
    with folded(drawn.data, drawn) as whole:
        sequences = [row[0] for row in whole.con.execute("SELECT seq FROM event ORDER BY seq").fetchall()]
        assume(sequences)
        drop = data.draw(st.frozensets(st.sampled_from(sequences), max_size=5))
        other = replace(drawn, lines=[b"" if n in drop else line for n, line in enumerate(drawn.lines, 1)])
        found = fold(whole.con, whole.year, Changes(drop=drop), after=whole.lines)
        with folded(other.data, other) as expected:
            assert digest(found.con, whole.lines) == digest(expected.con, whole.lines)


@pytest.mark.long
@few
@given(years())
def test_what_depends_on_a_reading_is_what_scoring_under_it_moves(drawn: RandomYear) -> None:
    with folded(drawn.data, drawn) as whole:
        before = scored(whole)
        found = dependences(whole.con, whole.lines, whole.year.rulebook)
        readings = {row["name"]: row["values"] for row in drawn.rulebook.get("reading", [])}
        assert {(one.reading, one.value) for one in found} == {
            (name, value) for name, values in readings.items() for value in values if value != before["readings"][name]
        }
        for one in found if LONG else found[::12]:
            after = scored(whole, {one.reading: one.value})
            pairs = [*zip(before["units"], after["units"], strict=True)]
            assert one.places == [was["unit"] for was, now in pairs if now["place"] != was["place"]]
            assert set(one.grades) >= {was["unit"] for was, now in pairs if given_grades(now) != given_grades(was)}


def given_grades(unit: dict[str, Any]) -> dict[str, str]:
    """The grades that a unit has; a scheme in which it competes and gets nothing gives none."""
    return {scheme: grade for scheme, grade in unit["grades"].items() if grade}


def test_who_competes_under_another_value_and_gets_nothing_does_not_depend_on_it() -> None:
    lines = tuple(raw for _, raw in synthetic.year(BOOK, roster.read(SHIPPED), "year", 7, 1500, settled=True))
    with folded(joined(lines), SHIPPED) as whole:
        one = next(
            one for one in dependences(whole.con, whole.lines, whole.year.rulebook)
            if (one.reading, one.value) == ("award_eligible", "A+B")
        )  # fmt: skip
    assert one.grades
    for unit in one.grades:
        cells = standing_cells(*one.units[unit], {})[2]
        assert " → " in cells, f"{unit}: {cells}"


# --- A page of the register -------------------------------------------------------------------------------------------


def deduction(n: int, unit: str, matter: str, ground: str) -> dict[str, Any]:
    data = {"item": "1.1", "matter": matter, "ground": ground, "reason": "r"}
    return event(n, "ducha", "deduction.recorded.v1", unit, data)


def rating(n: int, unit: str, item: str, office: str, value: str) -> dict[str, Any]:
    return event(n, office, "rating.recorded.v1", unit, {"item": item, "rater": "r", "value": value})


def event(n: int, office: str, kind: str, unit: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"specversion": "1.0", "id": str(n), "source": f"/offices/{office}", "type": kind, "subject": unit,
            "time": f"2013-05-{n:02}T00:00:00Z", "data": data}  # fmt: skip


PAGE = [
    deduction(1, "U040", "M", "criticised"),
    deduction(2, "U041", "M", "no_feedback"),
    rating(3, "U042", "5.1", "jiwei", "90"),
    rating(4, "U043", "5.1", "jiwei", "80"),
    deduction(5, "U040", "M", "poorly_implemented"),
]
ROSTER = "unit,name,category,group\n" + "".join(f"U{n:03},N{n},{'A' if n < 34 else 'B'},G\n" for n in range(1, 106))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The page scored into a snapshot, and its file; the roster stands in the environment's place."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "roster.csv").write_text(ROSTER, encoding="utf-8")
    file = folder / "page.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in PAGE), encoding="utf-8")
    target = folder / "page.duckdb"
    assert command("score", file, "--roster", folder / "roster.csv", "--snapshot", target)[0] == 0
    return target, folder


@pytest.fixture(autouse=True)
def _roster(page: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WUXING_ROSTER", str(page[1] / "roster.csv"))


def asked(*arguments: Any) -> dict[str, Any]:
    code, printed, said = command(*arguments, "--format", "json")
    assert (code, said) == (0, "")
    found: dict[str, Any] = json.loads(printed)
    return found


def moves(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["unit"]: one for one in found["moved"]}


def test_diff_names_for_each_unit_the_events_that_moved_it(page: tuple[Path, Path]) -> None:
    found = moves(asked("diff", f"{page[0]}@1", page[0]))
    assert found["U041"]["events"] == [2]
    assert found["U041"]["items"] == [
        {"item": "1.1", "points_before": "5.000000", "points_after": "4.000000", "others": []}
    ]
    assert "U040" not in found or found["U040"]["events"] == [], "the matter already costs more"
    assert {"U042", "U043"} <= set(found["U041"]["overtaken_by"])


@pytest.mark.long
def test_the_readings_that_a_year_was_scored_under_stay_when_it_is_changed(page: tuple[Path, Path]) -> None:
    target = page[1] / "geometric.duckdb"
    options = ("--roster", page[1] / "roster.csv", "--reading", "step=geometric", "--snapshot", target)
    assert command("score", page[1] / "page.jsonl", *options)[0] == 0
    found = asked("what-if", "--snapshot", target, "--drop", "2")["difference"]
    assert (found["readings"], moves(found)["U041"]["events"]) == ({}, [2])
    assert [one["unit"] for one in found["moved"] if one["items"]] == ["U041"]
    late = "2014-01-01T00:00:00Z"
    assert asked("diff", target, f"{target}@5", "--facts-until", late)["readings"] == {}


def test_diff_tells_events_from_numbers(page: tuple[Path, Path]) -> None:
    _, out, _ = command("diff", f"{page[0]}@1", page[0], "--lang", "en")
    assert re.search(r"own: events \d+ \(\d\.\d\)", " ".join(out.decode().split()))
    assert "+" not in re.sub(r" \+\d+\b", "", out.decode())


@pytest.mark.long
def test_diff_names_a_unit_that_came_level(tmp_path: Path) -> None:
    more = tmp_path / "level.jsonl"
    page = [deduction(1, "U040", "M", "no_feedback"), deduction(2, "U041", "M", "no_feedback")]
    more.write_text("".join(json.dumps(one) + "\n" for one in page), encoding="utf-8")
    assert command("score", more, "--snapshot", tmp_path / "level.duckdb")[0] == 0
    found = moves(asked("diff", f"{tmp_path / 'level.duckdb'}@1", tmp_path / "level.duckdb"))
    assert found["U041"]["level"][-1] == "U105"
    assert "U040" in found["U041"]["level"]


def test_diff_names_the_item_and_the_events_of_others_that_moved_a_unit(page: tuple[Path, Path]) -> None:
    found = moves(asked("what-if", "--snapshot", page[0], "--drop", "3")["difference"])
    assert found["U043"]["events"] == []
    assert [(one["item"], one["others"]) for one in found["U043"]["items"]] == [("5.1", [3])]


def test_dropping_the_dearer_ground_lets_the_cheaper_one_count(page: tuple[Path, Path]) -> None:
    found = asked("what-if", "--snapshot", page[0], "--drop", "1")["difference"]
    assert {one["seq"]: (one["counted_before"], one["counted_after"]) for one in found["events"]} == {
        1: ("3.000000", None), 5: ("0.000000", "2.000000"),
    }  # fmt: skip
    assert moves(found)["U040"]["events"] == [1, 5]


def test_revising_points_and_values_moves_them_within_their_range(page: tuple[Path, Path]) -> None:
    found = asked("what-if", "--snapshot", page[0], "--revise", "1=0.5", "--revise", "4=95")
    assert found["revised"] == {"1": "0.5", "4": "95"}
    by_unit = moves(found["difference"])
    points = {unit: by_unit[unit]["items"][0]["points_after"] for unit in ("U040", "U042", "U043")}
    assert points == {"U040": "3.000000", "U042": "19.400000", "U043": "20.000000"}, "2 for poorly implemented remain"


def test_added_events_come_after_the_last_and_say_what_became_of_them(page: tuple[Path, Path], tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps(one) + "\n" for one in (
        deduction(6, "U044", "M", "criticised"), deduction(2, "U041", "M", "no_feedback"),
        deduction(2, "U041", "other", "no_feedback"),
    )))  # fmt: skip
    found = asked("what-if", "--snapshot", page[0], "--add", more)
    assert [(one["seq"], one["disposition"]) for one in found["added"]] == [
        (6, "counted"), (7, "duplicate"), (8, "conflict"),
    ]  # fmt: skip
    assert [unit for unit, one in moves(found["difference"]).items() if one["events"]] == ["U044"]


def test_a_rulebook_that_refuses_events_says_which(page: tuple[Path, Path], tmp_path: Path) -> None:
    text = (rules.HERE.parent / "schemas/rulebooks/wenzhou-2013/rulebook.toml").read_text(encoding="utf-8")
    book = tmp_path / "other.toml"
    book.write_text(text.replace('code = "criticised"', 'code = "blamed"'), encoding="utf-8")
    found = asked("what-if", "--snapshot", page[0], "--rulebook", book)
    assert [(one["line"], one["reason"]) for one in found["refused"]] == [(1, "unknown_ground")]
    assert moves(found["difference"])["U040"]["events"] == [1, 5]


@pytest.mark.long
def test_a_reading_moves_places_and_is_named(page: tuple[Path, Path]) -> None:
    found = asked("what-if", "--snapshot", page[0], "--reading", "matter_rule=sum")["difference"]
    assert found["readings"] == {"matter_rule": ["chain", "sum"]}
    assert moves(found)["U040"]["after"]["final"] < moves(found)["U040"]["before"]["final"]
    listed = {(one["reading"], one["value"]): one for one in asked("readings", "--snapshot", page[0])["readings"]}
    assert "U040" not in listed["matter_rule", "sum"]["places"], "it is the last of B already"
    assert listed["award_rounding", "half_up"]["clause"] == "三(二)"


def test_the_smallest_set_is_printed_and_a_limit_is_owned_up_to(page: tuple[Path, Path]) -> None:
    unit = ("what-if", "--snapshot", page[0], "--unit", "U041", "--smallest")
    code, printed, _ = command(*unit, "--lang", "en")
    assert (code, "not even without all 1 of its deductions" in printed.decode()) == (1, True)


def test_no_more_combinations_than_allowed_are_reckoned() -> None:
    lines = [deduction(1, "U001", "M", "criticised"), deduction(2, "U001", "N", "criticised")]
    lines += [event(3, "kaoji", "rating.recorded.v1", "U001", {"item": "Y.1", "rater": "r", "value": "120"})]
    lines += [rating(n, "U001", item, office, value) for n, item, office, value in (
        (4, "5.1", "jiwei", "90"), (5, "1.5", "gongwei", "9"), (6, "2.3", "tongji", "100"),
    )]  # fmt: skip
    lines += [event(7, "gongwei", "rating.recorded.v1", "U001", {"item": "2.1", "rater": "r", "value": "3.3"})]
    lines += [event(8, "wenda", "rating.recorded.v1", "U001", {"item": "3.1", "rater": "r", "value": "9"})]
    data = "".join(json.dumps(one) + "\n" for one in lines).encode()
    roster = [{"unit": "U001", "name": "N", "category": "A", "group": "G"}]
    with folded(data, roster) as whole:
        found: Found = search(whole.con, "U001", 20_000)
        finals = [Decimal(one.final) for one in (found.before, found.after)]
        assert finals == [Decimal("8.871"), Decimal("9.011")], "of the 3 the floor had taken 1"
        assert (found.sequences, found.before.grades, found.after.grades) == ([1], {"pass": None}, {"pass": "passed"})
        limited = search(whole.con, "U001", 1)
        assert (limited.sequences, limited.limited, limited.searched) == ([], True, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("what-if", "--drop", "99"), ("what-if", "--drop", "x"), ("what-if", "--revise", "1=6"),
        ("what-if", "--revise", "1=1e0"), ("what-if", "--revise", "1"), ("what-if", "--reading", "step=steep"),
        ("what-if", "--reading", "steps=linear"), ("what-if", "--smallest"), ("what-if", "--unit", "U040"),
        ("what-if", "--unit", "U999", "--smallest"), ("what-if", "--as-of", "soon"), ("readings", "--as-of", "soon"),
        ("what-if", "--facts-until", "3"),
    ],
)  # fmt: skip
def test_wrong_use_is_named(page: tuple[Path, Path], arguments: tuple[str, ...]) -> None:
    code, printed, said = command(*arguments, "--snapshot", page[0])
    assert (code, printed) == (2, b"")
    assert arguments[1] in said or "--smallest" in said


def test_an_added_line_that_intake_would_refuse_ends_it(page: tuple[Path, Path], tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps(deduction(6, "U999", "M", "criticised")))
    code, _, said = command("what-if", "--snapshot", page[0], "--add", more)
    assert (code, "unknown_unit" in said) == (1, True)


def test_a_snapshot_is_changed_by_its_own_rules_whatever_is_at_hand(
    page: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked("what-if", "--snapshot", page[0], "--drop", "1")
    monkeypatch.delenv("WUXING_ROSTER")
    assert asked("what-if", "--snapshot", page[0], "--drop", "1") == found


@pytest.mark.long
@pytest.mark.parametrize(
    ("lang", "words"), [("en", "own: without events 1 (1.1)"), ("zh", "本单位：不再有事件1（1.1）")]
)
def test_tables_say_what_moved_a_unit_in_the_language(page: tuple[Path, Path], lang: str, words: str) -> None:
    code, printed, _ = command("what-if", "--snapshot", page[0], "--drop", "1", "--lang", lang)
    assert (code, words in printed.decode()) == (0, True)
    code, printed, _ = command("what-if", "--snapshot", page[0], "--reading", "award_tie=include", "--lang", lang)
    first = {"en": "second prize? → first prize", "zh": "二等奖? → 一等奖"}[lang]
    reason = {"en": "reading award_tie", "zh": "读法 award_tie"}[lang]
    assert (code, first in printed.decode(), reason in printed.decode()) == (0, True, True)
    code, printed, _ = command("readings", "--snapshot", page[0], "--lang", lang)
    assert (code, "linear → geometric" in printed.decode(), first in printed.decode()) == (0, True, True)
