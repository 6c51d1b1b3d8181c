"""The synthetic year is a whole one: every office, item and line of the register that the rulebook can have, and a tie.

Whatever the rulebook is: each of those that are shipped has a year that intake takes, which comes to the oracle's end.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import pytest

from bench.events import lines as bench_lines
from schemas import roster, rulebook, soundness
from services.site.synthetic import year
from tests import oracle
from tests.product import BOOK, BOOK_JSON, SHIPPED, folded, scored
from tests.random_years import RandomYear

BOOKS = sorted(path.parent for path in rulebook.SHIPPED.parent.resolve().glob("*/rulebook.toml"))
Lines = tuple[tuple[str, bytes], ...]


@cache
def lines(seed: int = 2013, *, settled: bool = False) -> Lines:
    return tuple(year(BOOK, roster.read(SHIPPED), BOOK.id, seed, settled=settled))


def come_to(found: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """What the product, the oracle's equal by other tests and far faster, makes of a year."""
    with folded(b"".join(line + b"\n" for _, line in found), SHIPPED) as whole:
        return scored(whole)


@cache
def result(seed: int = 2013, *, settled: bool = False) -> dict[str, Any]:
    return come_to(lines(seed, settled=settled))


def events() -> list[tuple[str, dict[str, Any]]]:
    refused = {row["line"] for row in result()["refused"] if row["reason"] == "not_json"}
    return [(party, json.loads(line)) for n, (party, line) in enumerate(lines(), 1) if n not in refused]


def of(kind: str) -> list[dict[str, Any]]:
    return [event for _, event in events() if event["type"] == f"{kind}.v1"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_bytes() -> None:
    assert tuple(year(BOOK, roster.read(SHIPPED), BOOK.id)) == lines()
    assert lines(7) != lines()


def test_the_year_opens_with_rulebook_and_roster_whole() -> None:
    party, event = events()[0]
    assert (party, event["type"]) == ("chuangjian", "assessment.opened.v1")
    assert {name: event["data"][name] for name in ("assessment", "synthetic")} == {
        "assessment": "wenzhou-2013",
        "synthetic": True,
    }
    assert soundness.read(event["data"]["rulebook"]) == BOOK
    assert roster.read(event["data"]["roster"]) == roster.read(SHIPPED)


def test_there_are_as_many_lines_as_asked_for() -> None:
    assert [len(lines()), len(list(year(BOOK, roster.read(SHIPPED), BOOK.id, events=5000)))] == [6000, 5000]


def test_every_office_publishes_and_every_item_has_events_of_every_unit_it_rates() -> None:
    assert {office.code for office in BOOK.office} <= {party for party, _ in lines()}
    rated = {(event["data"]["item"], event["subject"]) for event in of("rating.recorded")}
    entered = {event["data"]["item"] for event in of("deduction.recorded")}
    for item in BOOK.item:
        if item.entries:
            assert item.code in entered
        else:
            assert {(item.code, unit["unit"]) for unit in SHIPPED} <= rated


def test_each_line_stands_under_the_party_that_its_source_names() -> None:
    assert [event["source"].split("/")[-1] for _, event in events()] == [party for party, _ in events()]


def test_times_within_a_party_never_go_back_but_for_what_is_sent_again() -> None:
    seen: set[tuple[str, str]] = set()
    last: dict[str, str] = {}
    for party, event in events():
        again = (party, event["id"]) in seen
        seen.add((party, event["id"]))
        if event["time"].endswith("+08:00") and not again:
            assert event["time"] >= last.get(party, "2013-01")
            last[party] = event["time"]
    assert max(last.values()) < "2014-03"


def test_every_disposition_outcome_and_common_mistake_is_in_the_year() -> None:
    rows = result()["entries"] + result()["events"]
    assert {row["disposition"] for row in rows} == {
        "counted", "counted_in_part", "no_effect", "replaced", "revoked", "revised", "duplicate", "void",
    }  # fmt: skip
    assert {row["type"] for row in result()["events"]} >= {
        "assessment.opened.v1", "rating.recorded.v1", "submission.recorded.v1", "item.exempted.v1", "item.closed.v1",
        "event.revoked.v1", "appeal.filed.v1", "appeal.decided.v1", "tie.resolved.v1", "stage.reached.v1",
    }  # fmt: skip
    assert {row["reason"] for row in result()["refused"]} == {
        "not_json", "not_cloudevent", "unknown_type", "unknown_field", "source_not_authorised", "unknown_unit",
        "unknown_item", "bad_field", "conflict",
    }  # fmt: skip
    assert {event["data"]["outcome"] for event in of("appeal.decided")} == {"upheld", "cancelled", "revised"}


def test_two_units_tie_across_the_cut_of_the_second_prize_and_nothing_else_is_open() -> None:
    found = result()
    first, second = found["schemes"][1]["grades"]
    assert [len(first["units"]), first["undecided"], len(second["units"])] == [5, [], 9]
    places = {unit["unit"]: unit["place"] for unit in found["units"]}
    assert [places[unit] for unit in second["undecided"]] == [15, 15]
    assert Counter(unit["state"] for unit in found["units"]) == {"final": 105}
    assert found["assessment_state"] == "publicised"


def test_units_of_category_a_pass_and_fail() -> None:
    passed = Counter(unit["grades"]["pass"] for unit in result()["units"] if unit["category"] == "A")
    assert passed["passed"] > passed[None] > 0


def test_a_settled_year_is_finalised() -> None:
    found = result(settled=True)
    assert [len(grade["units"]) for grade in found["schemes"][1]["grades"]] == [5, 10]
    assert found["assessment_state"] == "finalised"


#: A year whose twins or vetoes leave something open: the synthesis does not settle it yet.
OPEN = {"department-appraisal"}


@pytest.mark.every(3)
@pytest.mark.parametrize("folder", [one for one in BOOKS if one.name not in OPEN], ids=lambda folder: folder.name)
def test_a_year_of_each_shipped_rulebook_is_settled(folder: Any) -> None:
    """Only the lines that are wrong on purpose are refused, no item is pending, and the year is final."""
    raw = tomllib.loads((folder / "rulebook.toml").read_text(encoding="utf-8"))
    book = soundness.load(folder / "rulebook.toml")
    units = roster.load(folder / "roster.csv", book)
    made = [line for _, line in year(book, units, "a-year", events=0, settled=True)]
    whole_year = RandomYear(raw, msgspec.to_builtins(units), made, opened=True)
    with folded(whole_year.data, whole_year) as whole:
        found = scored(whole)
    assert (found["assessment"], found["assessment_state"]) == ("a-year", "finalised")
    assert len(found["refused"]) <= 12
    assert {"counted"} < {row["disposition"] for row in found["entries"] + found["events"]}


@pytest.mark.long
def test_the_lines_of_the_bench_are_all_valid_and_some_are_revoked() -> None:
    found = oracle.score("".join(bench_lines(3000)).encode(), shipped=(BOOK_JSON, SHIPPED))
    assert (found["as_of"], found["refused"]) == (3000, [])
    assert Counter(row["disposition"] for row in found["entries"])["revoked"] == 6
