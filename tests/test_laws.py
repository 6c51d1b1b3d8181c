"""Laws of any year of any rulebook, on random nasty ones: the product is the equal of the oracle, and order is nothing.

`WUXING_TEST=long` runs many more years than the few of every day.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from decimal import Decimal
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.events import Event
from services.ingest.check import Checker
from services.scorer import rules, store
from tests.compare import bare, differences
from tests.oracle import split_lines
from tests.product import Json, folded, ledger, scored
from tests.random_years import RandomYear, draw_year, years

if TYPE_CHECKING:
    from services.scorer.file import Folded

LONG = os.environ.get("WUXING_TEST") == "long"


def often(examples: int) -> settings:
    """So many examples a day, fifty times as many in the long run; nothing here is timed."""
    return settings(
        max_examples=examples * (50 if LONG else 1), deadline=None, suppress_health_check=list(HealthCheck),
        print_blob=True, phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )  # fmt: skip


def without_changes(year: RandomYear) -> RandomYear:
    """The year without what changes how the lines after it are checked: then any batches may be cut from it."""
    changing = (b"unit.changed", b"item.transferred", b"key.changed", b"assessment.opened")
    lines = [line for line in year.lines if not any(word in line for word in changing)]
    return replace(year, lines=lines, as_of=None, opened=False)


def come_to(year: RandomYear) -> Json:
    with folded(year.data, year) as found:
        return scored(found, year.readings)


# --- The oracle -------------------------------------------------------------------------------------------------------


@often(6)
@given(years())
def test_a_random_year_of_a_random_rulebook_comes_to_what_the_oracle_says(drawn: RandomYear) -> None:
    year = replace(drawn, as_of=None)
    found = come_to(year)
    assert list(differences(bare(year.expected()), bare(found)))[:5] == []


# --- Sequence and delivery --------------------------------------------------------------------------------------------


def arrivals(found: Folded, year: RandomYear) -> list[tuple[int, Event, bytes]]:
    """The checked events of a file with their sequences, as ingest would have them."""
    checker = Checker(found.year.rulebook, found.year.roster, keys=found.year.keys)
    checked = [(n, checker.check(raw), raw) for n, raw in enumerate(split_lines(year.data), 1)]
    return [(n, event, raw) for n, event, raw in checked if isinstance(event, Event)]


@often(2)
@given(years(), st.randoms(use_true_random=False))
def test_batches_of_any_size_and_order_within_give_the_same_ledger(drawn: RandomYear, rng: Random) -> None:
    year = without_changes(drawn)
    with folded(year.data, year) as whole:
        events = arrivals(whole, year)
        con = store.fresh()
        rules.load_rulebook(con, whole.year.rulebook, whole.year.roster)
        while events:
            size = rng.choice((1, 2, 7, 40, 400))
            batch, events = events[:size], events[size:]
            rng.shuffle(batch)
            numbers, checked, raws = zip(*batch, strict=True)
            store.append(con, store.table(numbers, [None] * len(batch), checked, raws))
        assert ledger(whole.con) == ledger(con)


@pytest.mark.long
@often(3)
@given(years())
def test_a_second_delivery_of_everything_changes_no_number(drawn: RandomYear) -> None:
    year = without_changes(drawn)
    twice = replace(year, lines=year.lines * 2)
    one, two, lines = come_to(year), come_to(twice), len(year.lines)
    unmoved = ("units", "schemes", "readings", "assessment_state")
    assert {name: one[name] for name in unmoved} == {name: two[name] for name in unmoved}
    for kind in ("entries", "events"):
        assert one[kind] == [row for row in two[kind] if row["seq"] <= lines]
        assert {"duplicate"} >= {row["disposition"] for row in two[kind] if row["seq"] > lines}


# --- Locality ---------------------------------------------------------------------------------------------------------


def own(con: Any, scope: list[str] | None = None) -> list[tuple[Any, ...]]:
    """What each unit's own events come to, and its entries."""
    with rules.compute(con, scope=scope, upto="own_points"):
        points = con.execute("SELECT unit, item, run, points::VARCHAR FROM own_points").fetchall()
        lines = con.execute("SELECT unit, item, seq, points_counted, balance_after FROM entry_line").fetchall()
    return sorted([*points, *lines], key=repr)


@often(3)
@given(years())
def test_what_units_have_of_their_own_needs_no_others(drawn: RandomYear) -> None:
    year = without_changes(drawn)
    with folded(year.data, year) as found:
        scope = [row["unit"] for row in year.roster[::2]]
        assert [row for row in own(found.con) if row[0] in scope] == own(found.con, scope)


# --- What every result keeps ------------------------------------------------------------------------------------------


@cache
def many() -> list[tuple[RandomYear, Json]]:
    """Random years with what they come to; the laws below hold for each."""
    made = [replace(draw_year(Random(seed)), as_of=None) for seed in range(60 if LONG else 4)]
    return [(year, come_to(year)) for year in made]


def test_an_entry_counts_the_change_of_its_balance_and_no_more_than_it_claims_or_was_given() -> None:
    for line in (line for _, found in many() for line in found["entries"]):
        before, after, counted = (Decimal(line[key]) for key in ("balance_before", "balance_after", "counted"))
        assert counted == (after - before if line["kind"] == "bonus" else before - after) >= 0
        assert counted <= Decimal(line["claimed"])
        assert (line["disposition"] == "counted") <= (counted == Decimal(line["claimed"]))


def test_places_partition_each_ranked_category_and_grades_give_each_unit_one() -> None:
    for year, found in many():
        ranked = {row["code"] for row in year.rulebook["category"] if row.get("ranked", True)}
        for row in found["units"]:
            assert (row["place"] is not None) == (row["category"] in ranked and row["state"] != "left")
        for category in ranked:
            places = sorted(row["place"] for row in found["units"] if row["category"] == category and row["place"])
            assert all(place == n or place == places[n - 2] for n, place in enumerate(places, 1))
        for scheme in found["schemes"]:
            given_to = [unit for grade in scheme["grades"] for unit in grade["units"]]
            assert len(given_to) == len(set(given_to))
            assert not {unit for grade in scheme["grades"] for unit in grade["undecided"]} & set(given_to)


def test_every_line_of_the_file_has_one_disposition_or_is_refused_once() -> None:
    for _, found in many():
        told = [row["seq"] for kind in ("entries", "events") for row in found[kind]]
        told += [row["line"] for row in found["refused"]]
        assert list(range(1, found["as_of"] + 1)) == sorted(told)


@pytest.mark.every(6)
@pytest.mark.parametrize("setting", ["default_order = 'DESC'", "default_null_order = 'nulls_first'",
                                     "default_collation = 'nocase'", "threads = 1"])  # fmt: skip
def test_no_result_hangs_on_the_settings_of_a_client(setting: str) -> None:
    for year, found in many():
        with folded(year.data, year) as folding:
            folding.con.execute(f"SET {setting}")
            assert json.dumps(found) == json.dumps(scored(folding, year.readings))
