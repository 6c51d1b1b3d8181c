"""The oracle is itself held against what was worked out by hand, before it is held against the product."""

from __future__ import annotations

import csv
import json
import tomllib
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests import oracle
from tests.compare import toml
from tests.oracle.numbers import half_up, show, value_of
from tests.oracle.ratings import band_cuts
from tests.oracle.seats import resolved_line, seats
from tests.oracle.text import canonical, instant, parse, public_key
from tests.random_years import draw_year, nkey, signature

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "schemas" / "rulebooks" / "wenzhou-2013" / "rulebook.toml"
Json = dict[str, Any]


def entries(code: str = "e", **more: Any) -> Json:
    row = {"code": code, "name": "扣", "points": "5", "in": "D", "offices": ["o1"], "input": "entries"}
    return {**row, "ground": [{"code": "one", "name": "1", "points": "1"}], **more}


def ratings(code: str = "r", **more: Any) -> Json:
    row = {"code": code, "name": "评", "points": "10", "in": "D", "offices": ["o1"], "input": "ratings"}
    return {**row, "range": {"min": "0", "max": "100"}, **more}


class Pages:
    """A ledger written by hand under a small rulebook, a line a call."""

    def __init__(self, *items: Json, units: str = "B1 B2 B3", **more: Any) -> None:
        categories = sorted({unit[0] for unit in units.split()})
        self.book: Json = {
            "id": "x", "name": "x", "final": {"points": "10"}, "roles": {"collector": "col", "appeals": "col"},
            "office": [{"code": code, "name": code} for code in ("col", "o1", "o2")],
            "category": [{"code": code, "name": code} for code in categories],
            "part": [{"code": "D", "name": "D", "points": "10"}], "item": list(items), **more,
        }  # fmt: skip
        self.roster = [{"unit": unit, "name": unit, "category": unit[0], "group": "g"} for unit in units.split()]
        self.lines: list[bytes] = []

    def add(self, source: str, kind: str, subject: str, as_id: str = "", **data: Any) -> str:
        name = as_id or f"e{len(self.lines) + 1}"
        event = {
            "specversion": "1.0", "id": name, "type": kind + ".v1", "subject": subject, "data": data,
            "source": source if source.startswith("/") else f"/offices/{source}", "time": "2013-05-06T09:30:00+08:00",
        }  # fmt: skip
        self.lines.append(json.dumps(event).encode())
        return name

    def deduct(self, ground: str = "one", matter: str = "M", unit: str = "B1", office: str = "o1", **more: str) -> str:
        kind = "bonus.recorded" if ground.startswith("plus") else "deduction.recorded"
        return self.add(office, kind, unit, item="e", matter=matter, ground=ground, reason="r", **more)

    def rate(self, unit: str, value: str, rater: str = "r", **more: str) -> str:
        return self.add("o1", "rating.recorded", unit, **{"item": "r", "value": value, "rater": rater, **more})

    def revoke(self, source: str, target: str, subject: str) -> str:
        about = {"source": f"/offices/{source}", "id": target}
        return self.add(source, "event.revoked", subject, target=about, reason="r")

    def close(self, item: str, office: str = "o1") -> str:
        return self.add(office, "item.closed", "assessment", item=item)

    def year(self, kind: str, **data: Any) -> str:
        return self.add("col", kind, "assessment", **data)

    def score(self, **more: Any) -> Json:
        return oracle.score(self.lines, self.book, self.roster, **more)

    def points(self, item: str, **readings: str) -> list[str | None]:
        """The item's points of every unit, in the order of the codes."""
        return [bare(row["items"][item]["points"]) for row in self.score(readings=readings)["units"]]

    def counted(self, **readings: str) -> list[str]:
        rows = self.score(readings=readings)["entries"]
        return [f"{row['disposition']} {bare(row['counted'])} -> {bare(row['balance_after'])}" for row in rows]

    def dispositions(self) -> list[str]:
        found = self.score()
        rows = sorted([*found["events"], *found["entries"]], key=lambda row: int(row["seq"]))
        return [row["disposition"] for row in rows]


def bare(points: str | None) -> str | None:
    return None if points is None else points.rstrip("0").rstrip(".")


# --- the two pages' own numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("readings", "final"),
    [
        ({}, "10.35290000"), ({"matter_rule": "sum"}, "10.28290000"), ({"step": "geometric"}, "10.35664220"),
        ({"client_weights": "30/70"}, "10.35010000"), ({"year_end_scale": "100"}, "9.80540000"),
    ],
)  # fmt: skip
def test_the_worked_example_comes_to_what_was_worked_out_by_hand(readings: dict[str, str], final: str) -> None:
    book = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    with (HERE / "regulation" / "worked-example" / "roster.csv").open(encoding="utf-8") as file:
        roster = list(csv.DictReader(file))
    events = (HERE / "regulation" / "worked-example" / "events.jsonl").read_bytes()
    found = oracle.score(events, book, roster, readings=readings)
    unit = next(row for row in found["units"] if row["unit"] == "U042")
    assert (final, "final", []) == (unit["final"], unit["state"], unit["flags"])
    assert found["refused"] == []


def test_every_case_of_the_seat_procedure_is_met() -> None:
    cases = json.loads((HERE / "seats.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 400
    for case in cases:
        open_to = [
            {unit for unit, grades in case["open"].items() if n in grades} for n in range(1, len(case["quota"]) + 1)
        ]
        found = seats(case["line"], case["quota"], open_to, case["tie"])
        expected = [(sorted(grade["given"]), sorted(grade["cut_through"])) for grade in case["grades"]]
        assert expected == [(sorted(grade.given), sorted(grade.cut)) for grade in found], case


def test_arithmetic_rounds_away_from_zero_and_stays_within_its_size() -> None:
    half = Fraction(1, 2)
    assert [half_up(half, 0), half_up(-half, 0), half_up(-half + Fraction(1, 100), 0)] == [1, -1, 0]
    assert [show(Fraction(n, 2_000_000), 6) for n in (1, -1, 0)] == ["0.000001", "-0.000001", "0.000000"]
    assert show(Fraction(-1, 10**9), 6) == "0.000000"
    assert value_of(Fraction(10**10)) == Fraction("999999999.999999999")


def test_bands_of_105_are_21_53_31() -> None:
    shares = [Fraction(1, 5), Fraction(1, 2), Fraction(3, 10)]
    kinds = ("cumulative_half_up", "cumulative_floor", "largest_remainder")
    assert [band_cuts(shares, 105, kind) for kind in kinds] == [[21, 74, 105], [21, 73, 105], [21, 74, 105]]
    assert [band_cuts(shares, 3, kind) for kind in kinds] == [[1, 2, 3], [0, 2, 3], [1, 2, 3]]


def test_of_two_resolutions_that_overlap_the_later_stands_in_front() -> None:
    found = resolved_line([["a", "b", "c", "d", "e"], ["f"]], [["a", "b", "c"], ["c", "d"]])
    assert found == [["c"], ["d"], ["a"], ["b"], ["e"], ["f"]]


def test_text_is_strict_and_canonical() -> None:
    assert instant("2013-05-06T09:30:00+08:00") == instant("2013-05-06T01:30:00.000Z")
    assert [instant(text) for text in ("2013-02-29T00:00:00Z", "2013-05-06T09:30:60Z", "2013-05-06t09:30:00z")] == [
        None
    ] * 3
    assert canonical(parse('{"b":1.50,"a":[1e21,0.000001,1e-7,-0,"é\\u001f"]}'.encode())) == (
        '{"a":[1e+21,0.000001,1e-7,0,"é\\u001f"],"b":1.5}'
    )
    assert public_key(nkey("col")) is not None
    assert public_key(nkey("col")[:-1] + "2") is None


# --- entries ----------------------------------------------------------------------------------------------------------

GROUNDS = [
    {"code": "late", "name": "1", "points": "1", "branch": "x"},
    {"code": "bad", "name": "2", "points": "2", "branch": "y"},
    {"code": "worse", "name": "1", "points": "1", "branch": "y", "requires": "bad"},
    {"code": "open", "name": "?", "above": "0", "max": "3"},
]


def test_a_matter_costs_its_largest_branch_or_their_sum() -> None:
    readings = [{"name": "rule", "question": "?", "values": ["chain", "sum", "each"]}]
    pages = Pages(entries(ground=GROUNDS, matter="@rule"), ratings(), reading=readings)
    for ground in ("worse", "late", "bad", "worse", "late"):
        pages.deduct(ground)
    assert pages.counted() == [
        "no_effect 0 -> 5", "counted 1 -> 4", "counted_in_part 1 -> 3", "counted 1 -> 2", "no_effect 0 -> 2",
    ]  # fmt: skip
    assert pages.counted(rule="sum") == [
        "no_effect 0 -> 5", "counted 1 -> 4", "counted 2 -> 2", "counted 1 -> 1", "no_effect 0 -> 1",
    ]  # fmt: skip
    assert pages.counted(rule="each")[-1] == "no_effect 0 -> 0"  # 1 + 1 + 2 + 1 exhaust the 5


def test_what_a_bound_took_is_not_given_back_later() -> None:
    plus = {"code": "plus", "name": "+", "min": "0.5", "max": "6", "adds": True}
    pages = Pages(entries(ground=[*GROUNDS, plus]), ratings())
    pages.deduct("plus", points="3")
    pages.deduct("bad")
    pages.deduct("bad", "N")
    assert pages.counted() == ["no_effect 0 -> 5", "no_effect 0 -> 5", "counted_in_part 1 -> 4"]


def test_nodes_of_one_cap_group_share_the_cap_of_whichever_says_it() -> None:
    nodes = [
        {"code": "a", "name": "a", "cap": "1"},
        {"code": "b", "name": "b", "cap_group": "q", "cap": "2"},
        {"code": "c", "name": "c", "cap_group": "q"},
    ]
    pages = Pages(entries(ground=GROUNDS, node=nodes), ratings())
    for node in "abcc":
        pages.deduct("open", points="1.5", node=node)
    assert pages.counted() == [
        "counted_in_part 1 -> 4", "counted 1.5 -> 2.5", "counted_in_part 0.5 -> 2", "no_effect 0 -> 2",
    ]  # fmt: skip


def test_a_share_goes_with_the_item_and_its_entries_stay_in_it() -> None:
    item = entries(offices=["o1", "o2"], purse="separate", share={"o1": "2", "o2": "3"})
    pages = Pages(item, ratings())
    pages.deduct("one", "M1")
    pages.year("item.transferred", item="e", **{"from": "o1"}, to="col", reason="r")
    pages.deduct("one", "M2", office="col")
    pages.deduct("one", "M3", office="col")
    pages.deduct("one", "M4", office="o2")
    assert pages.counted() == ["counted 1 -> 1", "counted 1 -> 0", "no_effect 0 -> 0", "counted 1 -> 2"]
    assert pages.points("e")[0] == "2"


def test_an_entry_awaits_its_approval_and_then_counts_at_its_own_place() -> None:
    pages = Pages(entries(ground=[{**GROUNDS[1], "approval": True}, GROUNDS[3]]), ratings())
    first = pages.deduct("bad")
    pages.deduct("open", points="3", matter="N")
    assert pages.counted() == ["awaiting 0 -> 5", "counted 3 -> 2"]
    about = {"source": "/offices/o1", "id": first}
    approval = pages.add("col", "approval.recorded", "B1", target=about, outcome="approved", reason="r")
    pages.add("col", "approval.recorded", "B1", target=about, outcome="rejected", reason="r")
    assert pages.counted() == ["counted 2 -> 3", "counted 3 -> 0"]
    pages.revoke("col", approval, "B1")
    pages.add("col", "approval.recorded", "B1", target=about, outcome="rejected", reason="r")
    assert pages.dispositions() == ["rejected", "counted", "revoked", "void", "counted", "counted"]


def test_a_revision_puts_its_points_before_matter_and_bounds() -> None:
    pages = Pages(entries(ground=GROUNDS, matter="chain"), ratings())
    name = pages.deduct("bad")
    pages.deduct("late")
    about = {"source": "/offices/o1", "id": name}
    appeal = pages.add("/units/B1", "appeal.filed", "B1", target=about, statement="s")
    pages.add("/units/B1", "appeal.filed", "B1", target=about, statement="s")
    about = {"source": "/units/B1", "id": appeal}
    for points in ("2.1", "0.5"):
        pages.add("col", "appeal.decided", "B1", appeal=about, outcome="revised", points=points, reason="r")
    assert pages.counted() == ["revised 0.5 -> 4.5", "counted_in_part 0.5 -> 4"]
    assert pages.dispositions()[2:] == ["counted", "void", "void", "counted"]


# --- ratings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "points"),
    [
        ({"kind": "scale"}, ["8", "8", "4"]),
        ({"kind": "scale", "of": "50"}, ["10", "10", "8"]),
        ({"kind": "direct"}, ["10", "10", "10"]),
        ({"kind": "table", "rows": [["50", "2"], ["80", "6"]]}, ["6", "6", "0"]),
        ({"kind": "table", "between": "straight", "rows": [["50", "9"], ["80", "0"], ["100", "10"]]}, ["0", "0", "9"]),
        ({"kind": "rank", "step": "3%"}, ["10", "10", "9.4"]),
        ({"kind": "rank", "step": "6"}, ["10", "10", "0"]),
        ({"kind": "rank", "step": "1", "ties": "average"}, ["9.5", "9.5", "8"]),
        ({"kind": "rank", "step": "10%", "fall": "geometric", "better": "lower"}, ["9", "9", "10"]),
        ({"kind": "bands", "rows": [["50%", "10", "x"], ["50%", "5", "y"]]}, ["10", "10", "5"]),
        ({"kind": "best"}, ["10", "10", "5"]),
        ({"kind": "best", "better": "lower"}, ["5", "5", "10"]),
        ({"kind": "level"}, ["6.666667", "6.666667", "6.666667"]),
    ],
)  # fmt: skip
def test_every_kind_of_method_comes_to_its_points(method: Json, points: list[str]) -> None:
    pages = Pages(ratings(method=[{"code": "m", **method}]), units="A1 A2 B1")
    for unit, value in (("A1", "80"), ("A2", "80"), ("B1", "40")):
        pages.rate(unit, value)
    assert pages.points("r") == points


def test_panels_groups_of_raters_and_weights_make_one_value() -> None:
    item = ratings(panel="trimmed", raters=[{"code": "x", "name": "x"}, {"code": "y", "name": "y"}], weights="1/3")
    pages = Pages(item, units="B1 B2")
    for rater, value in (("1", "0"), ("2", "50"), ("3", "60"), ("3", "70")):
        pages.rate("B1", value, rater, group="x")
    pages.rate("B1", "90", group="y")
    pages.rate("B2", "90", group="y")
    found = pages.score()["units"]
    assert [bare(unit["items"]["r"]["points"]) for unit in found] == ["8", "9"]  # (50 + 3 x 90) / 4
    assert [unit["flags"] for unit in found] == [[], ["one_group:r"]]


def test_runs_of_a_period_are_made_one_and_missing_ones_count_0_where_it_says_so() -> None:
    period = [{"code": "quarter", "name": "q", "values": ["1", "2", "3"]}]
    for over, missing, points in (
        ("mean", {}, "7"), ("mean", {"missing": "0"}, "4.666667"), ("best", {}, "8"), ("latest", {}, "6"),
    ):  # fmt: skip
        pages = Pages(ratings(runs="quarter", over=over, **missing), units="B1", period=period)
        pages.rate("B1", "80", period="1")
        pages.rate("B1", "60", period="2")
        pages.close("r")
        unit = pages.score()["units"][0]
        assert (points, ["incomplete:r"]) == (bare(unit["items"]["r"]["points"]), unit["flags"])
    summed = Pages(ratings(points="9", runs="quarter", over="sum"), units="B1", period=period)
    for run in "123":
        summed.rate("B1", "50", period=run)
    assert summed.points("r") == ["4.5"]


def test_a_formula_adds_terms_and_a_ratio_to_nothing_is_0() -> None:
    measures = [{"code": code, "name": code, "max": "20"} for code in ("got", "due", "more")]
    terms = [{"plus": "got", "ratio_to": "due", "within": "1.5"}, {"plus": "more", "less": "1", "times": "half"}]
    attribute = [{"code": "half", "name": "h", "min": "0", "max": "1", "default": "0.5"}]
    pages = Pages(ratings(range=None, measure=measures, formula=terms), units="B1 B2 B3", attribute=attribute)
    del pages.book["item"][0]["range"]
    for unit, got, due in (("B1", "3", "4"), ("B2", "9", "4"), ("B3", "9", "0")):
        pages.rate(unit, got, measure="got")
        pages.rate(unit, due, measure="due")
        pages.rate(unit, "5", measure="more")
    assert pages.points("r") == ["2.75", "3.5", "2"]
    pages.add("col", "fact.recorded", "B1", attribute="half", value="0.25", reason="r")
    assert pages.points("r") == ["1.75", "3.5", "2"]
    pages.book["item"][0]["method"] = [{"code": "m", "kind": "rank", "step": "1"}]
    pages.close("r")
    assert pages.points("r") == ["9", "10", "0"]  # a scored item without a value has 0 points


# --- the tree, exemptions, places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("combine", "exempt", "points", "part"),
    [
        ("sum", "full", "10", "12"), ("sum", "proportional", "4", "6"), ("mean", "full", "10", "6"),
        ("max", "full", "10", "10"), ("rescale", "out", None, "4"), ("rescale", "full", "10", "8"),
    ],
)  # fmt: skip
def test_a_part_combines_its_children_and_an_exemption_is_what_it_says(
    combine: str, exempt: str, points: str | None, part: str
) -> None:
    pages = Pages(ratings(exempt=exempt), entries(), units="B1")
    pages.book["part"][0]["combine"] = combine
    for matter in "123":
        pages.deduct(matter=matter)
    pages.add("o1", "item.exempted", "B1", item="r", reason="r")
    unit = pages.score()["units"][0]
    found = unit["items"]["r"]
    assert (points, part, ["exempt:r"]) == (bare(found["points"]), bare(unit["parts"]["D"]), unit["flags"])


def test_places_follow_the_keys_and_what_is_missing_is_last() -> None:
    pages = Pages(ratings(), entries(points="0", start="0"), units="B1 B2 B3 B4")
    pages.book["final"]["order"] = ["final", "-r"]
    pages.rate("B1", "0")
    pages.rate("B4", "0")
    assert [unit["place"] for unit in pages.score()["units"]] == [1, 3, 3, 1]
    pages.rate("B1", "50")
    assert [unit["place"] for unit in pages.score()["units"]] == [1, 3, 3, 2]


def test_a_tie_across_the_cut_is_undecided_until_it_is_resolved() -> None:
    grades = [
        {"code": "first", "name": "1", "share": "50%", "individuals": True},
        {"code": "second", "name": "2", "number": "1"},
    ]
    scheme = [{"code": "s", "name": "s", "grade": grades}]
    pages = Pages(ratings(), units="B1 B2 B3 B4", scheme=scheme)
    for unit in ("B2", "B3", "B4"):
        pages.rate(unit, "50")
    first, second = pages.score()["schemes"][0]["grades"]
    assert (first["quota"], first["units"], first["undecided"]) == (2, [], ["B2", "B3", "B4"])
    assert (second["quota"], second["units"], second["undecided"]) == (1, [], [])  # its seat is owed to the tie
    pages.year("tie.resolved", grade="first", units=["B4", "B2", "B3"], reason="r")
    first, second = pages.score()["schemes"][0]["grades"]
    assert (first["units"], second["units"], first["individuals"]) == (["B4", "B2"], ["B3"], 1)


def test_a_veto_bars_grades_and_makes_its_part_0() -> None:
    grades = [{"code": "first", "name": "1", "number": "1"}, {"code": "second", "name": "2", "number": "1"}]
    veto = [{"code": "v", "name": "v", "offices": ["o1"], "grade_at_most": "second", "zero": "r"}]
    pages = Pages(ratings(), units="B1 B2", veto=veto, scheme=[{"code": "s", "name": "s", "grade": grades}])
    pages.rate("B1", "50")
    pages.add("o1", "veto.recorded", "B1", veto="v", reason="r")
    units = pages.score()["units"]
    assert [unit["grades"]["s"] for unit in units] == ["second", "first"]
    assert (units[0]["final"], units[0]["flags"]) == ("0.00000000", ["vetoed:v"])


# --- what stands, what is void ----------------------------------------------------------------------------------------


def test_the_year_is_final_amended_and_final_again() -> None:
    pages = Pages(entries(), ratings(), units="B1", stage=[{"code": "told", "name": "t"}])
    pages.year("stage.reached", stage="finalised")
    name = pages.rate("B1", "50")
    pages.close("e")
    pages.close("r")
    pages.year("stage.reached", stage="told")
    assert pages.score()["assessment_state"] == "told"
    pages.year("stage.reached", stage="finalised")
    assert pages.score()["assessment_state"] == "finalised"
    pages.rate("B1", "60")
    pages.revoke("o1", name, "B1")
    assert pages.score()["assessment_state"] == "amended"
    assert pages.dispositions() == ["void", "revoked", "counted", "counted", "counted", "counted", "void", "counted"]


def test_who_left_keeps_points_has_no_place_and_may_join_again() -> None:
    pages = Pages(ratings(method=[{"code": "m", "kind": "rank", "step": "1"}]), units="B1 B2")
    for unit, value in (("B1", "50"), ("B2", "40")):
        pages.rate(unit, value)
    pages.add("col", "unit.changed", "B1", change="left", reason="r")
    pages.rate("B1", "60")
    found = pages.score()["units"]
    assert [(unit["items"]["r"]["points"], unit["place"], unit["state"]) for unit in found] == [
        (None, None, "left"), ("10.000000", 1, "provisional"),
    ]  # fmt: skip
    pages.add("col", "unit.changed", "B1", change="joined", name="n", category="B", group="", attributes={}, reason="r")
    assert pages.points("r") == ["10", "9"]
    assert pages.dispositions()[2:] == ["counted", "void", "counted"]


def test_a_conflict_is_refused_with_its_sequence_and_a_duplicate_counts_once() -> None:
    pages = Pages(entries(), ratings())
    pages.deduct(matter="M")
    pages.add("o1", "deduction.recorded", "B1", "e1", item="e", matter="M", ground="one", reason="r")
    pages.add("o1", "deduction.recorded", "B1", "e1", item="e", matter="N", ground="one", reason="r")
    found = pages.score()
    assert [row["disposition"] for row in found["entries"]] == ["counted", "duplicate"]
    assert found["refused"] == [{"line": 3, "source": "/offices/o1", "id": "e1", "reason": "conflict", "path": "id"}]


# --- intake -----------------------------------------------------------------------------------------------------------

GOOD = {"item": "e", "matter": "M", "ground": "one", "reason": "r"}
RATED = {"item": "r", "value": "1", "rater": "a"}


@pytest.mark.parametrize(
    ("sent", "data", "fault"),
    [
        ("o1 deduction.recorded B1", {**GOOD, "points": "1"}, "unknown_field data.points"),
        ("o1 deduction.recorded B1", {**GOOD, "ground": "open"}, "bad_field data.points"),
        ("o1 deduction.recorded B1", {**GOOD, "ground": "open", "points": "3.1"}, "points_out_of_range data.points"),
        ("o1 deduction.recorded B1", {**GOOD, "ground": "nix"}, "unknown_ground data.ground"),
        ("o1 deduction.recorded B9", GOOD, "unknown_unit subject"),
        ("o1 deduction.recorded B 9", GOOD, "bad_field subject"),
        ("o1 deduction.recorded B1", {**GOOD, "item": "q"}, "unknown_item data.item"),
        ("o1 bonus.recorded B1", GOOD, "wrong_kind data.item"),
        ("o2 deduction.recorded B1", GOOD, "source_not_authorised source"),
        ("o2 deduction.recorded B1", {**GOOD, "item": "q"}, "unknown_item data.item"),
        ("o1 rating.recorded B1", {**RATED, "item": "e"}, "wrong_kind data.item"),
        ("o1 rating.recorded B1", {**RATED, "group": "x"}, "unknown_field data.group"),
        ("o1 rating.recorded B1", {**RATED, "value": "-1"}, "value_out_of_range data.value"),
        ("o1 rating.recorded B1", {**RATED, "value": 1}, "bad_field data.value"),
        ("o1 submission.recorded B1", {"item": "e", "characters": 1}, "wrong_kind data.item"),
        ("col fact.recorded B1", {"attribute": "q", "value": "1", "reason": "r"}, "bad_field data.attribute"),
        (
            "col approval.recorded B1",
            {"target": {"source": "s", "id": "i"}, "outcome": "approved", "reason": "r"},
            "wrong_kind type",
        ),
        ("col unit.changed B1", {"change": "left", "name": "n", "reason": "r"}, "unknown_field data.name"),
        ("col unit.changed o1", {"change": "joined"}, "bad_field subject"),
        ("col unit.changed B9", {"change": "left", "reason": "r"}, "unknown_unit subject"),
        (
            "col item.transferred assessment",
            {"item": "e", "from": "o1", "to": "o9", "reason": "r"},
            "bad_field data.to",
        ),
        (
            "col tie.resolved assessment",
            {"grade": "first", "units": ["B1", "B9"], "reason": "r"},
            "bad_field data.grade",
        ),
        ("col key.changed assessment", {"party": "o9", "key": "U", "reason": "r"}, "bad_field data.party"),
        (
            "col assessment.opened assessment",
            {"assessment": "a", "rulebook": {}, "roster": []},
            "bad_field data.rulebook",
        ),
        ("o1 nothing.recorded B1", {}, "unknown_type type"),
    ],
)
def test_the_first_failure_is_reported_with_its_path(sent: str, data: Json, fault: str) -> None:
    pages = Pages(entries(ground=[*GROUNDS, {"code": "one", "name": "1", "points": "1"}]), ratings())
    source, kind, subject = sent.split(" ", 2)
    pages.add(source, kind, subject, **data)
    assert [f"{row['reason']} {row['path']}" for row in pages.score()["refused"]] == [fault]


def test_an_item_of_others_is_not_applicable_and_its_events_have_no_effect_after_a_move() -> None:
    pages = Pages(ratings(), entries(applies={"categories": ["A"]}), units="A1 B1")
    pages.deduct(unit="A1")
    pages.deduct(unit="B1")
    pages.add("col", "unit.changed", "A1", change="moved", category="B", group="", reason="r")
    found = pages.score()
    assert [(row["reason"], row["path"]) for row in found["refused"]] == [("not_applicable", "data.item")]
    assert [row["disposition"] for row in found["entries"]] == ["no_effect"]


def test_a_wrong_signature_is_refused_and_a_missing_one_where_it_is_required() -> None:
    pages = Pages(entries(), ratings(), signatures="required")
    roster = [pages.roster[0] | {"attributes": {}}, *pages.roster[1:]]
    opening = {"assessment": "a", "rulebook": pages.book, "roster": roster, "keys": {"o1": nkey("o1")}}
    pages.year("assessment.opened", **opening)
    pages.deduct()
    event = json.loads(pages.lines[-1])
    for party in ("o2", "o1"):
        pages.lines.append(json.dumps({**event, "signature": signature(event, party)}).encode())
    found = oracle.score(pages.lines, shipped=(pages.book, pages.roster))
    assert [(row["line"], row["reason"]) for row in found["refused"]] == [(2, "not_signed"), (3, "not_signed")]
    assert [row["seq"] for row in found["entries"]] == [4]
    assert found["assessment"] == "a"


# --- the random years -------------------------------------------------------------------------------------------------


DISPOSITIONS = "counted counted_in_part no_effect replaced revoked revised awaiting rejected duplicate void"
REASONS = """
too_large not_json not_cloudevent unknown_type bad_field unknown_field source_not_authorised not_signed unknown_unit
unknown_item not_applicable wrong_kind unknown_ground points_out_of_range value_out_of_range conflict
"""


def test_random_rulebooks_are_the_same_object_as_toml() -> None:
    for seed in range(40):
        book = draw_year(Random(seed)).rulebook
        assert book == tomllib.loads(toml(book))


@pytest.mark.long
def test_random_years_are_scored_the_same_twice_and_reach_every_kind() -> None:
    seen: set[str] = set()
    for seed in range(200):
        year = draw_year(Random(seed))
        found = year.expected()
        assert found == draw_year(Random(seed)).expected()
        seen |= {row["disposition"] for row in (*found["entries"], *found["events"])}
        seen |= {row["reason"] for row in found["refused"]} | {unit["state"] for unit in found["units"]}
    assert seen >= {*DISPOSITIONS.split(), *REASONS.split(), "provisional", "final", "left"}
