"""The oracle is itself held against what was worked out by hand, before it is held against the product."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.nasty import nasty_year, overrides, years
from tests.oracle import ITEMS, READINGS, band_cuts, check, half_up, instant, parse, places, score, show, step_points

HERE = Path(__file__).parent / "regulation" / "worked-example"
ROSTER = [
    {"unit": f"U{n}", "name": f"单位{n}", "category": "B", "group": "B1"} for n in range(1, 21)
]  # twenty units: first prize 1, second 2
ONE = ROSTER[:1]


class Pages:
    """A ledger written by hand, a line a call."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def add(self, source: str, kind: str, subject: str, name: str = "", **data: Any) -> str:
        name = name or f"e{len(self.lines) + 1}"
        party = source if source.startswith("/") else f"/offices/{source}"
        event = {"specversion": "1.0", "id": name, "source": party, "type": kind + ".v1", "subject": subject,
                 "time": "2013-05-06T09:30:00+08:00", "data": data}  # fmt: skip
        self.lines.append(json.dumps(event, ensure_ascii=False).encode())
        return name

    def deduct(self, office: str, item: str, matter: str, ground: str, unit: str = "U1", **more: str) -> str:
        data = {"item": item, "matter": matter, "ground": ground, "reason": "r", **more}
        return self.add(office, "deduction.recorded", unit, **data)

    def rate(self, item: str, value: str, unit: str = "U1", rater: str = "r", **more: str) -> str:
        office = ITEMS[item].offices[0]
        return self.add(office, "rating.recorded", unit, item=item, value=value, rater=rater, **more)

    def revoke(self, office: str, target: str, unit: str = "U1") -> str:
        about = {"source": office if office.startswith("/") else f"/offices/{office}", "id": target}
        return self.add(office, "event.revoked", unit, target=about, reason="r")

    def appeal(self, office: str, target: str, unit: str = "U1") -> str:
        about = {"source": f"/offices/{office}", "id": target}
        return self.add(f"/units/{unit}", "appeal.filed", unit, target=about, statement="s")

    def decide(self, appeal: str, outcome: str, unit: str = "U1", **points: str) -> str:
        about = {"source": f"/units/{unit}", "id": appeal}
        return self.add("gongwei", "appeal.decided", unit, appeal=about, outcome=outcome, reason="r", **points)

    def close(self, item: str) -> None:
        for office in ITEMS[item].offices:
            self.add(office, "item.closed", "assessment", item=item)

    def score(self, roster: list[dict[str, str]] = ONE, **more: Any) -> dict[str, Any]:
        return score(b"\n".join(self.lines), roster=roster, **more)

    def points(self, item: str, roster: list[dict[str, str]] = ONE, **readings: str) -> list[str | None]:
        """The item's points of every unit, in the order of the codes."""
        return [row["items"][item]["points"] for row in self.score(roster, readings=readings)["units"]]

    def counted(self, **readings: str) -> list[tuple[str, str]]:
        rows = self.score(readings=readings)["deductions"]
        return [(row["counted"].rstrip("0").rstrip("."), row["disposition"]) for row in rows]

    def dispositions(self) -> list[str]:
        found = self.score()
        rows = sorted([*found["events"], *found["deductions"]], key=lambda row: int(row["seq"]))
        return [row["disposition"] for row in rows]


@pytest.mark.parametrize(
    ("readings", "final"),
    [
        ({}, "10.35290000"), ({"matter_rule": "sum"}, "10.28290000"), ({"step": "geometric"}, "10.35664220"),
        ({"client_weights": "30/70"}, "10.35010000"), ({"year_end_scale": "100"}, "9.80540000"),
    ],
)  # fmt: skip
def test_the_worked_example_comes_to_what_was_worked_out_by_hand(readings: dict[str, str], final: str) -> None:
    with (HERE / "roster.csv").open(encoding="utf-8") as file:
        roster = list(csv.DictReader(file))
    found = score((HERE / "events.jsonl").read_bytes(), roster=roster, readings=readings)
    unit = next(row for row in found["units"] if row["unit"] == "U042")
    assert (final, "final", []) == (unit["final"], unit["state"], unit["flags"])
    assert found["refused"] == []


def test_arithmetic_rounds_half_up_and_places_skip() -> None:
    assert [Fraction(1), Fraction(0), Fraction(1, 2)] == [
        half_up(Fraction(1, 2)),
        half_up(Fraction(49, 100)),
        half_up(Fraction(9, 20), 1),
    ]
    assert show(Fraction(1, 2_000_000), 6) == "0.000001"
    assert places({"a": Fraction(5), "b": Fraction(5), "c": Fraction(4)}) == {"a": 1, "b": 1, "c": 3}


def test_bands_of_105_are_21_53_31() -> None:
    assert band_cuts(105, "cumulative_half_up") == (21, 74)
    assert band_cuts(105, "cumulative_floor") == (21, 73)
    assert band_cuts(105, "largest_remainder") == (21, 74)  # 21, 52.5, 31.5: the half goes to the better band
    assert [band_cuts(6, rounding) for rounding in READINGS["band_rounding"]] == [(1, 4), (1, 4), (1, 4)]
    assert [band_cuts(3, rounding) for rounding in READINGS["band_rounding"]] == [(1, 2), (0, 2), (1, 2)]


def test_the_step_is_three_percent_of_the_basic_points_or_of_the_place_before() -> None:
    assert [show(step_points(n, "linear"), 6) for n in (1, 2, 4, 35)] == [
        "20.000000",
        "19.400000",
        "18.200000",
        "0.000000",
    ]
    assert [show(step_points(n, "geometric"), 6) for n in (1, 2, 4, 5)] == [
        "20.000000",
        "19.400000",
        "18.253460",
        "17.705856",
    ]


def test_a_matter_of_1_1_costs_its_largest_chain() -> None:
    pages = Pages()
    pages.deduct("ducha", "1.1", "M", "no_feedback")
    pages.deduct("ducha", "1.1", "M", "not_rectified")  # nothing to be rectified yet
    pages.deduct("ducha", "1.1", "M", "poorly_implemented")
    pages.deduct("ducha", "1.1", "M", "not_rectified")
    pages.deduct("ducha", "1.1", "M", "criticised")
    pages.deduct("ducha", "1.1", "m", "criticised")  # another matter, and 2 points left
    chain = [("1", "counted"), ("0", "no_effect"), ("1", "counted_in_part"), ("1", "counted"), ("0", "no_effect"),
             ("2", "counted_in_part")]  # fmt: skip
    assert chain == [(counted or "0", how) for counted, how in pages.counted()]
    total = [
        ("1", "counted"),
        ("0", "no_effect"),
        ("2", "counted"),
        ("1", "counted"),
        ("1", "counted_in_part"),
        ("0", "no_effect"),
    ]
    assert total == [(counted or "0", how) for counted, how in pages.counted(matter_rule="sum")]


def test_one_then_three_count_one_and_two_and_three_then_one_count_three_and_nothing() -> None:
    up, down = Pages(), Pages()
    for ground in ("no_feedback", "criticised"):
        up.deduct("ducha", "1.1", "M", ground)
    for ground in ("criticised", "no_feedback"):
        down.deduct("ducha", "1.1", "M", ground)
    assert up.counted() == [("1", "counted"), ("2", "counted_in_part")]
    assert down.counted() == [("3", "counted"), ("0", "no_effect")]


def test_1_3_is_one_pool_of_twenty_or_two_of_ten() -> None:
    pages = Pages()
    pages.deduct("renda", "1.3", "a", "handling", points="12")
    pages.deduct("zhengxie", "1.3", "a", "handling", points="9")
    assert pages.points("1.3") == ["0.000000"]
    assert pages.counted() == [("12", "counted"), ("8", "counted_in_part")]
    assert pages.points("1.3", pool="separate") == ["1.000000"]
    rows = pages.score(readings={"pool": "separate"})["deductions"]
    assert [(r["balance_before"], r["balance_after"]) for r in rows] == [
        ("10.000000", "0.000000"),
        ("10.000000", "1.000000"),
    ]


def test_1_4_caps_each_node_and_the_quarters_together() -> None:
    pages = Pages()
    for node, points in (("plan", "2"), ("plan", "0.5"), ("quarter_1", "1.5"), ("quarter_4", "1"), ("result", "2")):
        pages.deduct("zuzhi", "1.4", "x", "late_or_unmet", node=node, points=points)
    expected = [
        ("1", "counted_in_part"),
        ("0", "no_effect"),
        ("1.5", "counted"),
        ("0.5", "counted_in_part"),
        ("2", "counted"),
    ]
    assert expected == pages.counted()
    assert pages.points("1.4") == ["0.000000"]


def test_two_inspectors_on_one_matter_of_2_4_count_once() -> None:
    pages = Pages()
    for ground in ("problem_minor", "problem_serious", "problem_minor"):
        pages.deduct("duchayuan", "2.4", "x", ground)
    assert pages.points("2.4") == ["3.000000"]


def test_the_panel_mean_is_plain_or_trimmed_from_three_scores() -> None:
    pages = Pages()
    for n, value in enumerate(("5", "1", "1", "4"), 1):
        pages.rate("2.1", value, rater=f"r{n}")
    pages.rate("2.1", "3", rater="r2")  # in place of the 1
    assert (pages.points("2.1"), pages.points("2.1", panel_mean="trimmed")) == (["3.250000"], ["3.500000"])
    assert pages.dispositions() == ["counted", "replaced", "counted", "counted", "counted"]


def test_one_group_of_2_2_counts_whole_and_is_flagged() -> None:
    pages = Pages()
    pages.rate("2.2", "80", group="clients")
    assert (pages.points("2.2"), pages.score()["units"][0]["flags"]) == (["4.000000"], ["one_group:2.2"])
    pages.rate("2.2", "100", group="leader")
    assert (pages.points("2.2"), pages.points("2.2", client_weights="30/70")) == (["4.500000"], ["4.300000"])


def test_checklists_count_what_is_there_and_wait_for_the_rest() -> None:
    pages = Pages()
    pages.rate("3.2", "0.333333", component="usage")
    pages.rate("3.2", "1.0", component="exchange")
    pages.close("3.2")
    assert pages.score()["units"][0]["items"]["3.2"] == {"points": "1.999999", "state": "pending"}


def test_of_several_cases_the_best_counts_and_none_is_zero_once_closed() -> None:
    pages = Pages()
    assert pages.points("4.1") == [None]
    pages.rate("4.1", "20", rater="a", case="x")
    pages.rate("4.1", "10", rater="b", case="x")
    pages.rate("4.1", "16", rater="a", case="y")
    pages.close("4.1")
    assert pages.points("4.1", ROSTER[:2]) == ["16.000000", "0.000000"]


def test_ties_share_the_better_place_or_the_average() -> None:
    pages = Pages()
    for n, value in enumerate(("90", "80", "80.0", "70"), 1):
        pages.rate("5.1", value, unit=f"U{n}")
    four = ROSTER[:4]
    assert pages.points("5.1", four) == ["20.000000", "19.400000", "19.400000", "18.200000"]
    assert pages.points("5.1", four, step_ties="average") == ["20.000000", "19.100000", "19.100000", "18.200000"]
    for n, value in enumerate(("9", "8", "8", "7"), 1):
        pages.rate("3.1", value, unit=f"U{n}")
    assert pages.points("3.1", four, e1="ranked") == ["10.000000", "9.900000", "9.900000", "9.700000"]


def test_an_exempted_item_is_rescaled_within_its_part_then_within_the_daily_items() -> None:
    pages = Pages()
    pages.add("gongwei", "item.exempted", "U1", item="2.1", reason="r")
    pages.rate("2.3", "50")  # 2.2 pending 0, 2.3 2.5, 2.4 full 5: half of 15
    assert pages.points("2.1") == ["2.500000"]
    pages.add(
        "jiwei", "item.exempted", "U1", item="5.1", reason="r"
    )  # daily left: 35 of 1, 7.5 of 15, 0 of 20, 0 of 20
    assert [show(Fraction(20) * Fraction(85, 2) / 95, 6)] == pages.points("5.1")
    for item in ITEMS:
        if item not in ("2.1", "5.1"):
            pages.add(ITEMS[item].offices[0], "item.exempted", "U1", item=item, reason="r")
    row = pages.score()["units"][0]
    assert (row["daily"], row["year_end"], row["final"]) == ("120.000000", "120.000000", "12.00000000")
    assert pages.points("Y.1", year_end_scale="100") == ["100.000000"]


def test_appeals_uphold_cancel_revise_and_are_decided_once() -> None:
    pages = Pages()
    first = pages.deduct("ducha", "1.2", "x", "accident", points="3")
    second = pages.deduct("ducha", "1.2", "y", "accident", points="2")
    appeal, other = pages.appeal("ducha", first), pages.appeal("ducha", second)
    pages.appeal("ducha", first)  # a second one
    pages.decide(appeal, "revised", points="3.5")  # more than was claimed
    revised = pages.decide(appeal, "revised", points="0.5")
    pages.decide(appeal, "upheld")
    pages.decide(other, "cancelled")
    expected = ["revised", "revoked", "counted", "counted", "void", "void", "counted", "void", "counted"]
    assert (expected, ["4.500000"]) == (pages.dispositions(), pages.points("1.2"))
    pages.revoke("/units/U1", appeal)  # it has been decided
    pages.revoke("ducha", second)  # it does not stand
    pages.revoke("gongwei", revised)
    assert pages.dispositions()[-3:] == ["void", "void", "counted"]
    assert pages.points("1.2") == ["2.000000"]
    pages.revoke("/units/U1", appeal)
    pages.appeal("ducha", first)
    pages.revoke("ducha", first)
    assert pages.dispositions()[-3:] == ["counted", "counted", "counted"]
    assert pages.score()["units"][0]["state"] == "provisional"


def test_what_comes_after_the_office_closed_is_void_for_ever() -> None:
    pages = Pages()
    pages.add("renda", "item.closed", "assessment", "c", item="1.3")
    pages.deduct("renda", "1.3", "x", "handling", points="1")
    pages.deduct("zhengxie", "1.3", "x", "handling", points="2")
    pages.revoke("renda", "c", "assessment")
    pages.deduct("renda", "1.3", "x", "handling", points="4")
    assert pages.dispositions() == ["revoked", "void", "counted", "counted", "counted"]
    assert pages.points("1.3") == ["14.000000"]


def test_the_first_accepted_event_holds_its_identity_for_ever() -> None:
    pages = Pages()
    pages.add(
        "ducha", "deduction.recorded", "U9", "x", item="1.1", matter="m", ground="criticised", reason="r"
    )  # no such unit
    pages.deduct("ducha", "1.1", "m", "criticised")
    same = pages.lines[-1].replace(b'"e2"', b'"x"')
    pages.lines += [same, same.replace(b": ", b":"), same.replace(b'"m"', b'"n"')]
    pages.revoke("ducha", "x")
    pages.lines += [same]
    found = pages.score()
    assert [row["disposition"] for row in found["deductions"]] == ["counted", "revoked", "duplicate", "duplicate"]
    assert [(r["line"], r["reason"], r["path"]) for r in found["refused"]] == [
        (1, "unknown_unit", "subject"),
        (5, "conflict", "id"),
    ]


def twenty(finals: list[int]) -> Pages:
    """Twenty units that differ in Y.1 alone."""
    pages = Pages()
    for n, value in enumerate(finals, 1):
        pages.rate("Y.1", str(value), unit=f"U{n}")
    return pages


def awarded(pages: Pages, **readings: str) -> list[tuple[list[str], list[str]]]:
    return [(row["units"], row["undecided"]) for row in pages.score(ROSTER, readings=readings)["awards"]]


def test_awards_of_twenty_are_one_and_two_and_a_tie_across_a_cut_is_not_split() -> None:
    pages = twenty([90, 100, 90, 90, *[10] * 16])
    assert awarded(pages) == [(["U2"], []), ([], ["U1", "U3", "U4"])]
    assert awarded(pages, award_tie="include") == [(["U2"], []), (["U1", "U3", "U4"], [])]
    assert awarded(pages, award_tie="exclude") == [(["U2"], []), ([], [])]
    pages.add("chuangjian", "tie.resolved", "assessment", award="second", units=["U4", "U1", "U3"], reason="r")
    pages.add("chuangjian", "tie.resolved", "assessment", award="second", units=["U3", "U1"], reason="r")  # fits no tie
    assert awarded(pages) == [(["U2"], []), (["U4", "U1"], [])]
    assert awarded(pages) == awarded(pages, award_tie="include")
    assert [r["place"] for r in sorted(pages.score(ROSTER)["units"], key=lambda r: int(r["place"]))[:4]] == [1, 2, 2, 2]


def test_a_tie_across_both_cuts_is_undecided_in_both_until_one_order_settles_it() -> None:
    pages = twenty([50] * 4 + [10] * 16)
    four = ["U1", "U2", "U3", "U4"]
    assert [([], four), ([], four)] == awarded(pages)
    assert [(four, []), ([], [])] == awarded(pages, award_tie="include")
    assert awarded(pages, award_tie="exclude") == [([], []), ([], [])]
    pages.add("chuangjian", "tie.resolved", "assessment", award="first", units=["U3", "U4", "U2", "U1"], reason="r")
    assert awarded(pages) == [(["U3"], []), (["U4", "U2"], [])]


def test_a_tie_across_the_first_cut_alone_goes_second_when_it_is_excluded() -> None:
    pages = twenty([50, 50, 40, *[10] * 17])
    assert awarded(pages) == [([], ["U1", "U2"]), (["U3"], [])]
    assert awarded(pages, award_tie="include") == [(["U1", "U2"], []), (["U3"], [])]
    assert awarded(pages, award_tie="exclude") == [([], []), (["U1", "U2", "U3"], [])]
    assert [r["quota"] for r in pages.score(ROSTER, readings={"award_shape": "cumulative"})["awards"]] == [1, 1]


def test_quotas_of_105_are_five_and_ten_or_half_up_five_and_eleven() -> None:
    roster = [{"unit": f"V{n}", "name": "n", "category": "AB"[n % 2], "group": "g"} for n in range(105)]
    for readings, quotas in (
        ({}, [5, 10]), ({"award_rounding": "half_up"}, [5, 11]), ({"award_shape": "cumulative"}, [5, 5]),
        ({"award_base": "eligible"}, [2, 5]), ({"award_eligible": "each"}, [2, 2, 5, 5]),
    ):  # fmt: skip
        assert quotas == [row["quota"] for row in Pages().score(roster, readings=readings)["awards"]]


def test_finalised_waits_for_every_item_and_assumption_and_then_nothing_scores() -> None:
    pages = Pages()
    for item in ITEMS:
        if item in ("3.2", "3.3"):
            names = ("exchange", "internal", "usage") if item == "3.2" else ("accuracy", "completeness", "timeliness")
            for name in names:
                pages.rate(item, "1", component=name)
        elif not ITEMS[item].deducts and item != "4.1":
            pages.rate(item, "5", **({"group": "leader"} if item == "2.2" else {}))
        pages.close(item)
    pages.add("chuangjian", "stage.reached", "assessment", stage="finalised")
    for name in (*READINGS, "publicity_days", "appeal_days", "decision_days", "individuals_per_unit"):
        pages.add(
            "chuangjian", "reading.adopted", "assessment", reading=name, value=READINGS.get(name, ("7",))[0], reason="r"
        )
    pages.add("chuangjian", "stage.reached", "assessment", stage="finalised")
    found = pages.score()
    assert [r["disposition"] for r in found["events"] if r["type"] == "stage.reached.v1"] == ["void", "counted"]
    assert found["assessment_state"] == "finalised"
    pages.revoke(
        "gongwei",
        next(r["id"] for r in found["events"] if r["clause"] == "四(一)1(5)" and "closed" in r["type"]),
        "assessment",
    )
    pages.rate("1.5", "6")
    assert pages.dispositions()[-2:] == ["counted", "void"]


GOOD = json.dumps({
    "specversion": "1.0", "id": "a", "source": "/offices/ducha", "type": "deduction.recorded.v1", "subject": "U1",
    "time": "2013-05-06T09:30:00+08:00",
    "data": {"item": "1.1", "matter": "m", "ground": "no_feedback", "reason": "r"},
})  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "reason", "path"),
    [
        ('"1.0"', '"1.0","specversion":"1.0"', "not_json", None), ('"a"', '"\\ud800"', "not_json", None),
        ('"1.0"', '"2.0"', "not_cloudevent", "specversion"), ('"a"', '""', "not_cloudevent", "id"),
        ("deduction.recorded.v1", "deduction.recorded.v2", "unknown_type", "type"),
        ("05-06", "02-30", "bad_field", "time"), ('"m"', "5", "bad_field", "data.matter"),
        ('"reason"', '"points":5,"reason"', "unknown_field", "data.points"),
        ('"reason"', '"node":"zzz","reason"', "unknown_field", "data.node"),
        ("ducha", "renda", "source_not_authorised", "source"), ("ducha", "nobody", "source_not_authorised", "source"),
        ('"U1"', '"U999"', "unknown_unit", "subject"), ('"1.1"', '"9.9"', "unknown_item", "data.item"),
        ('"no_feedback"', '"accident"', "unknown_ground", "data.ground"),
        ('"1.1"', '"1.2"', "unknown_ground", "data.ground"),
        ('"1.1","matter":"m","ground":"no_feedback"', '"1.2","matter":"m","ground":"accident","points":"5.000001"',
         "points_out_of_range", "data.points"),
        ('"1.1","matter":"m","ground":"no_feedback"', '"1.2","matter":"m","ground":"accident","points":"1.0000000"',
         "bad_field", "data.points"),
        ('"1.1","matter":"m","ground":"no_feedback"', '"1.2","matter":"m","ground":"accident"',
         "bad_field", "data.points"),
    ],
)  # fmt: skip
def test_the_first_fault_is_named_with_its_path(old: str, new: str, reason: str, path: str | None) -> None:
    text = GOOD.replace(": ", ":").replace(", ", ",")
    assert check(text.encode(), ONE) is None
    assert text != text.replace(old, new)
    assert (reason, path) == check(text.replace(old, new).encode(), ONE)


def test_sizes_and_depths_hold_on_both_sides() -> None:
    assert [check(GOOD.encode().ljust(size), ONE) for size in (65536, 65537)] == [None, ("too_large", None)]
    deep = [GOOD.replace('"id"', '"ext":' + "[" * n + "]" * n + ',"id"').encode() for n in (63, 64)]
    assert [check(line, ONE) for line in deep] == [None, ("not_json", None)]
    assert parse(b"-0") == parse(b"0") == parse(b"0e5")


def test_times_are_rfc_3339() -> None:
    assert instant("2013-01-01T08:00:00.5+08:00") == instant("2013-01-01T00:00:00.50Z") is not None
    assert [instant(t) for t in ("2013-02-29T00:00:00Z", "2013-01-01T00:00:60Z", "2013-01-01T00:00:00z", "")] == [
        None
    ] * 4


def test_as_of_cuts_by_line_and_by_time() -> None:
    pages = Pages()
    for n in range(1, 4):
        pages.deduct("ducha", "1.2", "x", "accident", points=str(n))
    pages.lines[1] = b""
    pages.lines[2] = pages.lines[2].replace(b"05-06", b"05-07")
    assert [pages.score(as_of=n)["as_of"] for n in (0, 2, 99, "2013-05-06T23:00:00+08:00")] == [0, 2, 3, 2]
    assert [pages.score(as_of=2)["units"][0]["items"]["1.2"]["points"]] == ["4.000000"]
    assert [row["line"] for row in pages.score(as_of="2")["refused"]] == [2]


@settings(max_examples=25, deadline=None)
@given(years(events=60), overrides())
def test_every_year_keeps_the_laws(year: tuple[bytes, list[dict[str, str]]], readings: dict[str, str]) -> None:
    data, roster = year
    found = score(data, roster=roster, readings=readings)
    seen = [row["seq"] for row in (*found["events"], *found["deductions"])] + [row["line"] for row in found["refused"]]
    assert list(range(1, found["as_of"] + 1)) == sorted(seen)
    for row in found["units"]:
        assert 0 <= Fraction(row["final"]) <= 12
        counted = sum(
            Fraction(line["counted"])
            for line in found["deductions"]
            if (line["unit"], line["item"]) == (row["unit"], "1.3")
        )
        assert 20 - counted == Fraction(row["items"]["1.3"]["points"])


def test_a_seed_gives_the_same_bytes_and_the_digest_knows_no_refusals() -> None:
    data, roster = nasty_year(7, 9, 150, 0.3)
    assert (data, roster) == nasty_year(7, 9, 150, 0.3)
    assert score(data, roster=roster)["digest"] == score(data + b"\nnonsense", roster=roster)["digest"]
