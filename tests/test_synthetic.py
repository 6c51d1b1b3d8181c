"""The synthetic year is a whole one: every office, type, disposition and refusal, and a tie at a prize's cut."""

import json
import tomllib
from collections import Counter
from functools import cache
from typing import Any

import msgspec
import pytest

from bench.events import lines as bench_lines
from schemas import roster, rulebook
from services.site.synthetic import year
from tests import oracle

BOOK = tomllib.loads((rulebook.SHIPPED / "rulebook.toml").read_text(encoding="utf-8"))
ROSTER = [msgspec.to_builtins(unit) for unit in roster.shipped()]


@cache
def lines(seed: int = 2013, *, settled: bool = False) -> tuple[tuple[str, bytes], ...]:
    return tuple(year(BOOK, ROSTER, seed, settled=settled))


@cache
def result(seed: int = 2013, *, settled: bool = False) -> dict[str, Any]:
    data = b"".join(line + b"\n" for _, line in lines(seed, settled=settled))
    return oracle.score(data, roster=ROSTER)


def events() -> list[tuple[str, dict[str, Any]]]:
    refused = {row["line"] for row in result()["refused"] if row["reason"] in {"not_json", "too_large"}}
    return [(party, json.loads(line)) for n, (party, line) in enumerate(lines(), 1) if n not in refused]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_bytes() -> None:
    assert tuple(year(BOOK, ROSTER)) == lines()
    assert lines(7) != lines()


def test_the_year_opens_with_rulebook_and_roster_whole() -> None:
    party, event = events()[0]
    assert (party, event["type"], event["data"]) == (
        "chuangjian",
        "assessment.opened.v1",
        {"assessment": "wenzhou-2013", "rulebook": BOOK, "roster": ROSTER},
    )


def test_there_are_as_many_lines_as_asked_for() -> None:
    assert [len(lines()), len(list(year(BOOK, ROSTER, events=5000)))] == [6000, 5000]


def test_every_office_publishes_and_every_item_has_events_of_every_unit_it_rates() -> None:
    assert {office["code"] for office in BOOK["office"]} <= {party for party, _ in lines()}
    rated = {
        (event["data"]["item"], event["subject"]) for _, event in events() if event["type"] == "rating.recorded.v1"
    }
    for item in BOOK["item"]:
        if item["method"] != "deduct":
            assert {(item["code"], unit["unit"]) for unit in ROSTER} <= rated
    deducted = {event["data"]["item"] for _, event in events() if event["type"] == "deduction.recorded.v1"}
    assert {item["code"] for item in BOOK["item"] if item["method"] == "deduct"} <= deducted


def test_each_line_stands_under_the_party_that_its_source_names() -> None:
    assert [event["source"].split("/")[-1] for _, event in events()] == [party for party, _ in events()]


def test_times_within_a_party_never_go_back_but_for_what_is_sent_again() -> None:
    seen: set[tuple[str, str]] = set()
    last: dict[str, str] = {}
    for party, event in events():
        again = (party, event["id"]) in seen
        seen.add((party, event["id"]))
        if event["time"].endswith("+08:00") and not again:
            assert event["time"] >= last.get(party, "2013-04-02")
            last[party] = event["time"]
    assert max(last.values()) < "2014-03"


def test_every_type_every_disposition_and_every_refusal_is_in_the_year() -> None:
    rows = result()["deductions"] + result()["events"]
    assert {row["disposition"] for row in rows} == {
        "counted", "counted_in_part", "no_effect", "replaced", "revoked", "revised", "duplicate", "void",
    }  # fmt: skip
    assert {row["type"] for row in result()["events"]} == {
        "assessment.opened.v1", "rating.recorded.v1", "submission.recorded.v1", "item.exempted.v1", "item.closed.v1",
        "event.revoked.v1", "appeal.filed.v1", "appeal.decided.v1", "tie.resolved.v1", "reading.adopted.v1",
        "stage.reached.v1",
    }  # fmt: skip
    assert {row["reason"] for row in result()["refused"]} == {
        "too_large", "not_json", "not_cloudevent", "unknown_type", "bad_field", "unknown_field",
        "source_not_authorised", "unknown_unit", "unknown_item", "wrong_kind", "unknown_ground",
        "points_out_of_range", "value_out_of_range", "conflict",
    }  # fmt: skip
    assert {event["data"]["outcome"] for _, event in events() if event["type"] == "appeal.decided.v1"} == {
        "upheld", "cancelled", "revised",
    }  # fmt: skip


@pytest.mark.parametrize("seed", [2013, 1, 107])
def test_two_units_tie_across_the_cut_of_the_second_prize_and_nothing_else_is_open(seed: int) -> None:
    found = result(seed)
    first, second = found["awards"]
    assert [len(first["units"]), first["undecided"], len(second["units"])] == [5, [], 9]
    places = {unit["unit"]: unit["place"] for unit in found["units"]}
    assert [places[unit] for unit in second["undecided"]] == [15, 15]
    assert Counter(unit["state"] for unit in found["units"]) == {"final": 105}
    assert found["assessment_state"] == "publicised"


def test_units_of_category_a_pass_and_fail() -> None:
    passed = Counter(unit["passed"] for unit in result()["units"] if unit["category"] == "A")
    assert passed[True] > passed[False] > 0


def test_a_settled_year_is_finalised() -> None:
    found = result(settled=True)
    assert [len(award["units"]) for award in found["awards"]] == [5, 10]
    assert found["assessment_state"] == "finalised"


def test_the_lines_of_the_bench_are_all_valid_and_some_are_revoked() -> None:
    found = oracle.score("".join(bench_lines(3000)).encode(), roster=ROSTER)
    assert (found["as_of"], found["refused"]) == (3000, [])
    assert Counter(row["disposition"] for row in found["deductions"])["revoked"] == 6
