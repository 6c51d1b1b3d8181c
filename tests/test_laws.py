"""Laws of any year under any rulebook, on random nasty ones: what must not matter does not.

`WUXING_TEST=long` runs many more years than the few of every day. That product and oracle agree is test_random_years'.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.audit.export import Stored
from services.audit.replay import Refolding
from services.scorer import rules
from services.site import synthetic
from tests import oracle
from tests.compare import bare
from tests.product import BOOK, BOOK_JSON, SHIPPED, Json, folded, joined, ledger, scored, year, year_folded
from tests.random_years import RandomYear, draw_year, years

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG = os.environ.get("WUXING_TEST") == "long"


def often(examples: int) -> settings:
    """So many examples a day, fifty times as many in the long run; nothing here is timed."""
    return settings(
        max_examples=examples * (50 if LONG else 1), deadline=None, suppress_health_check=list(HealthCheck),
        print_blob=True, phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )  # fmt: skip


# --- Sequence and delivery --------------------------------------------------------------------------------------------


@often(3)
@given(years(), st.randoms(use_true_random=False))
def test_batches_of_any_size_give_the_same_ledger_and_the_same_digest(drawn: RandomYear, rng: Random) -> None:
    with year_folded(drawn) as whole:
        folding = Refolding(year(drawn.roster, drawn.rulebook), opens=drawn.opened)
        entries = [Stored(n, None, raw) for n, raw in enumerate(drawn.lines, 1)]
        refused: list[Any] = []
        while entries:
            size = rng.choice((1, 2, 7, 40))
            refused += folding.take(entries[:size])
            entries = entries[size:]
        assert ledger(whole.con) == ledger(folding.con)
        assert [(one.line, one.reason, one.path) for one in whole.refused] == [
            (line, one.reason, one.path) for line, one in refused
        ]
        assert scored(whole)["digest"] == scored(replace(whole, con=folding.con))["digest"]


@often(3)
@given(years(), st.data())
def test_what_follows_changes_no_judgement_and_as_of_is_the_prefix(drawn: RandomYear, choice: st.DataObject) -> None:
    cut = choice.draw(st.integers(3 if drawn.opened else 0, max(3, len(drawn.lines))))  # an opening is among the first
    with year_folded(drawn) as whole, year_folded(drawn, limit=cut) as prefix:
        assert [row for row in ledger(whole.con) if row[0] <= cut] == ledger(prefix.con)
        assert scored(prefix, as_of=cut) == scored(whole, as_of=cut)


@often(3)
@given(years(), st.data())
def test_lines_sent_again_are_duplicates_or_refused_and_change_no_number(
    drawn: RandomYear, choice: st.DataObject
) -> None:
    with year_folded(drawn) as once:
        one = scored(once)
    lines = range(len(drawn.lines))
    again = choice.draw(st.lists(st.sampled_from(lines), max_size=20)) if drawn.lines else []
    with year_folded(drawn, [*drawn.lines, *(drawn.lines[n] for n in again)]) as twice:
        two = scored(twice)
    unmoved = ("units", "schemes", "readings", "assessment_state")
    assert {name: one[name] for name in unmoved} == {name: two[name] for name in unmoved}
    for kind in ("entries", "events"):
        assert one[kind] == [row for row in two[kind] if row["seq"] <= len(lines)]
        assert {"duplicate"} >= {row["disposition"] for row in two[kind] if row["seq"] > len(lines)}
    assert one["refused"] == [row for row in two["refused"] if row["line"] <= len(lines)]


# --- Locality ---------------------------------------------------------------------------------------------------------


def own(con: Any, scope: list[str] | None = None) -> list[tuple[Any, ...]]:
    """What each unit's own events come to, and its entries' lines."""
    with rules.compute(con, scope=scope, upto="own_points"):
        points = con.execute("FROM own_points").fetchall()
        lines = con.execute("SELECT unit, item, seq, points_counted, balance_after FROM entry_line").fetchall()
    return sorted([*points, *lines], key=repr)


@often(3)
@given(years(), st.data())
def test_the_events_of_one_unit_leave_what_others_have_of_their_own(drawn: RandomYear, choice: st.DataObject) -> None:
    """Without its `finalised`, the only event that is judged by what all units have."""
    lines = [b"" if b"finalised" in line else line for line in drawn.lines]
    unit = choice.draw(st.sampled_from([row["unit"] for row in drawn.roster]))
    with year_folded(drawn, lines) as whole:
        events = whole.con.execute("SELECT seq, source, id, unit FROM event").fetchall()
        shared = {(source, identifier) for _, source, identifier, subject in events if subject != unit}
        gone = {seq for seq, *name, subject in events if subject == unit and tuple(name) not in shared}
        with year_folded(drawn, [b"" if n in gone else raw for n, raw in enumerate(lines, 1)]) as less:
            others = [row for row in own(whole.con) if row[0] != unit]
            assert others == [row for row in own(less.con) if row[0] != unit]
        scope = [row["unit"] for row in drawn.roster[::2]]
        assert [row for row in own(whole.con) if row[0] in scope] == own(whole.con, scope)


# --- What every result keeps ------------------------------------------------------------------------------------------


@cache
def many() -> list[tuple[RandomYear, Json]]:
    """Random years and what they come to; the laws below hold for each."""
    made = []
    for seed in range(100, 160 if LONG else 104):
        drawn = draw_year(Random(seed))
        with year_folded(drawn) as found:
            made.append((drawn, scored(found, drawn.readings)))
    return made


def test_every_line_of_the_file_has_one_disposition_or_is_refused_once() -> None:
    for _, found in many():
        told = [row["seq"] for kind in ("entries", "events") for row in found[kind]]
        told += [row["line"] for row in found["refused"]]
        assert list(range(1, found["as_of"] + 1)) == sorted(told)


def test_rows_stand_in_the_order_of_the_contract() -> None:
    for drawn, found in many():
        schemes = [scheme["code"] for scheme in drawn.rulebook.get("scheme", [])]
        orders: list[Sequence[Any]] = [
            [row["unit"] for row in found["units"]],
            *([row["seq"] for row in found[kind]] for kind in ("entries", "events")),
            [row["line"] for row in found["refused"]],
            [(schemes.index(row["scheme"]), row["pool"]) for row in found["schemes"]],
            *(row["flags"] for row in found["units"]),
        ]
        assert [list(order) for order in orders] == [sorted(order) for order in orders]


def test_balances_follow_one_another_and_what_a_line_counts_is_their_difference() -> None:
    for drawn, found in many():
        purses = {item["code"]: "share" in item for item in drawn.rulebook["item"]}
        before: dict[tuple[str, ...], Decimal] = {}
        for line in found["entries"]:
            first, last, counted = (Decimal(line[key]) for key in ("balance_before", "balance_after", "counted"))
            assert abs(last - first) == counted <= Decimal(line["claimed"]), line
            assert (last > first) == (line["kind"] == "bonus" and counted > 0)
            if not purses[line["item"]]:
                key = (line["unit"], line["item"])
                assert before.get(key, first) == first, line
                before[key] = last


def test_places_partition_each_ranked_category_and_follow_the_finals() -> None:
    for drawn, found in many():
        ranked = {row["code"] for row in drawn.rulebook["category"] if row.get("ranked", True)}
        line: dict[str, list[tuple[Decimal, int]]] = defaultdict(list)
        for row in found["units"]:
            if row["category"] not in ranked or row["state"] == "left":
                assert row["place"] is None
            else:
                line[row["category"]].append((-Decimal(row["final"]), row["place"]))
        for placed in line.values():
            places = sorted(place for _, place in placed)
            assert all(place == n or place == places[n - 2] for n, place in enumerate(places, 1))
            if drawn.rulebook["final"].get("order", ["final"])[0] == "final":
                assert places == [place for _, place in sorted(placed)]


# --- A whole year -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1000, 1020 if LONG else 1001))
def test_a_year_of_105_units_comes_to_what_the_oracle_says_under_many_readings(seed: int) -> None:
    rng = Random(seed)
    roster = year(SHIPPED).roster
    lines = [raw for _, raw in synthetic.year(BOOK, roster, "whole", seed, 1500)]
    with folded(joined(lines), SHIPPED) as found:
        for _ in range(2):
            readings = {one["name"]: rng.choice(one["values"]) for one in BOOK_JSON["reading"]}
            expected = bare(oracle.score(lines, shipped=(BOOK_JSON, SHIPPED), readings=readings))
            assert expected == scored(found, readings)
