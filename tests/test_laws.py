"""Laws of any year, on random nasty ones: the product is the oracle's equal, and what must not matter does not.

`WUXING_TEST=long` runs many more years than the few of every day.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.events import Event
from services.ingest.check import Checker
from services.scorer import rules, store
from tests import oracle
from tests.nasty import nasty_year, overrides, years
from tests.oracle import ITEMS, NODE_CAPS, split_lines
from tests.product import BOOK_FILE, BOOK_JSON, SHIPPED, Json, Roster, command, folded, ledger, plain, scored, year

LONG = os.environ.get("WUXING_TEST") == "long"
SEEDS = range(60 if LONG else 3)


def often(examples: int) -> settings:
    """So many examples a day, fifty times as many in the long run; nothing here is timed."""
    return settings(
        max_examples=examples * (50 if LONG else 1), deadline=None, suppress_health_check=list(HealthCheck),
        print_blob=True, phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )  # fmt: skip


def expected(data: bytes, roster: Roster, **options: Any) -> Json:
    """What the oracle says, without the words that are not contract."""
    return plain(json.dumps(oracle.score(data, roster=roster, **options)).encode())


def score(data: bytes, *options: str, roster: Roster | None = None) -> Json:
    """What `wuxing score` prints for the bytes of a file, with `--roster` where a roster is given."""
    with tempfile.TemporaryDirectory() as folder:
        events, units = Path(folder) / "events.jsonl", Path(folder) / "roster.csv"
        events.write_bytes(data)
        if roster is not None:
            text = io.StringIO()
            rows = csv.DictWriter(text, ("unit", "name", "category", "group"))
            rows.writeheader()
            rows.writerows(roster)
            units.write_text(text.getvalue(), encoding="utf-8")
            options = (*options, "--roster", str(units))
        code, printed, said = command("score", str(events), *options)
        assert (code, said) == (0, "")
        return plain(printed)


def reading_options(readings: dict[str, str]) -> list[str]:
    return [word for name, value in readings.items() for word in ("--reading", f"{name}={value}")]


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> str | None:
    """No cut, a line (also beyond the end), or a time near those of the events."""
    lines = data.count(b"\n") + 1
    line = st.integers(0, lines + 3).map(str)
    time = st.datetimes().map(lambda moment: f"2013-{moment:%m-%dT%H:%M:%S}" + ("Z" if moment.day % 2 else "+08:00"))
    return draw(st.one_of(st.none(), line, time))


# --- The oracle -------------------------------------------------------------------------------------------------------


@often(10)
@given(years(), overrides(), st.data())
def test_a_file_comes_to_what_the_oracle_says(
    drawn: tuple[bytes, Roster], readings: Json, choice: st.DataObject
) -> None:
    data, roster = drawn
    cut = choice.draw(cuts(data))
    options = [*reading_options(readings), *(("--as-of", cut) if cut else ())]
    assert expected(data, roster, readings=readings, as_of=cut) == score(data, *options, roster=roster)


@often(4)
@given(years(units=8, opened=True, rulebook=BOOK_JSON), overrides(), st.booleans(), st.booleans(), st.data())
def test_the_opening_event_sets_the_year_unless_options_do(
    drawn: tuple[bytes, Roster], readings: Json, own_roster: bool, own_book: bool, choice: st.DataObject
) -> None:
    data, _ = drawn
    cut = choice.draw(cuts(data))
    roster = SHIPPED[::7] if own_roster else SHIPPED
    found = score(
        data, *reading_options(readings), *(("--as-of", cut) if cut else ()),
        *(("--rulebook", str(BOOK_FILE)) if own_book else ()), roster=roster if own_roster else None,
    )  # fmt: skip
    options = {"roster_is_option": own_roster, "rulebook_is_option": own_book}
    assert expected(data, roster, readings=readings, as_of=cut, **options) == found


@cache
def large(seed: int) -> tuple[bytes, Roster]:
    return nasty_year(seed, 105, 2500)


@pytest.mark.parametrize("seed", range(1000, 1200 if LONG else 1001))
def test_a_year_of_105_units_comes_to_what_the_oracle_says_under_many_readings(seed: int) -> None:
    data, roster = large(seed)
    rng = Random(seed)
    with folded(data, roster) as found:
        for _ in range(3):
            readings = {name: rng.choice(values) for name, values in oracle.READINGS.items() if rng.random() < 0.7}
            assert expected(data, roster, readings=readings) == scored(found, readings)


# --- Sequence and delivery --------------------------------------------------------------------------------------------


def arrivals(data: bytes, roster: Roster) -> list[tuple[int, Event, bytes]]:
    """The checked events of a file with their sequences, as ingest would have them."""
    given_year = year(roster)
    checker = Checker(given_year.rulebook, given_year.roster)
    checked = [(n, checker.check(raw), raw) for n, raw in enumerate(split_lines(data), 1)]
    return [(n, event, raw) for n, event, raw in checked if isinstance(event, Event)]


def delivered(con: Any, batch: list[tuple[int, Event, bytes]]) -> None:
    numbers, events, raws = zip(*batch, strict=True)
    store.append(con, store.table(numbers, [None] * len(batch), events, raws))


@often(3)
@given(years(), st.randoms(use_true_random=False))
def test_batches_of_any_size_and_order_within_give_the_same_ledger(drawn: tuple[bytes, Roster], rng: Random) -> None:
    data, roster = drawn
    with folded(data, roster) as whole:
        events = arrivals(data, roster)
        con = store.connect()
        rules.create_tables(con)
        rules.load_rulebook(con, whole.year.rulebook, whole.year.roster)
        while events:
            size = rng.choice((1, 2, 7, 40, 400))
            batch, events = events[:size], events[size:]
            rng.shuffle(batch)
            delivered(con, batch)
        assert ledger(whole.con) == ledger(con)


@often(3)
@given(years(), st.floats(0, 1))
def test_what_follows_changes_no_judgement_and_as_of_is_the_prefix(drawn: tuple[bytes, Roster], part: float) -> None:
    data, roster = drawn
    cut = int(len(split_lines(data)) * part)
    with folded(data, roster) as whole, folded(data, roster, limit=cut) as prefix:
        assert [row for row in ledger(whole.con) if row[0] <= cut] == ledger(prefix.con)
        assert scored(prefix) == scored(whole, as_of=cut)


@often(3)
@given(years())
def test_a_second_delivery_of_everything_changes_no_number(drawn: tuple[bytes, Roster]) -> None:
    data, roster = drawn
    first = data.rstrip(b"\r\n") + b"\n" if data else data
    lines = len(split_lines(first))
    with folded(first, roster) as once, folded(first + first, roster) as twice:
        one, two = scored(once), scored(twice)
    unmoved = ("units", "awards", "readings", "assessment_state")
    assert {name: one[name] for name in unmoved} == {name: two[name] for name in unmoved}
    for kind in ("deductions", "events"):
        assert one[kind] == [row for row in two[kind] if row["seq"] <= lines]
        again = [row for row in two[kind] if row["seq"] > lines]
        assert {"duplicate"} >= {row["disposition"] for row in again}
        assert len(one[kind]) == len(again)


# --- Locality ---------------------------------------------------------------------------------------------------------


def local(data: bytes) -> bytes:
    """The year without its `finalised`: the only event that is judged by what all units have."""
    return b"\n".join(line for line in split_lines(data) if b"finalised" not in line)


def own(con: Any, scope: list[str] | None = None) -> list[tuple[Any, ...]]:
    """What each unit's own events come to, and its deduction lines."""
    with rules.compute(con, scope=scope, upto="own_points"):
        points = con.execute("SELECT unit, item, points::VARCHAR, complete, one_group FROM own_points").fetchall()
        lines = con.execute("SELECT unit, item, seq, points_counted, balance_after FROM deduction_line").fetchall()
    return sorted([*points, *lines], key=repr)


@often(3)
@given(years(), st.data())
def test_the_events_of_one_unit_leave_what_others_have_of_their_own(
    drawn: tuple[bytes, Roster], choice: st.DataObject
) -> None:
    data, roster = local(drawn[0]), drawn[1]
    unit = choice.draw(st.sampled_from([row["unit"] for row in roster]))
    events = arrivals(data, roster)
    shared = {(event.source, event.id) for _, event, _ in events if event.subject != unit}
    gone = {n for n, event, _ in events if event.subject == unit and (event.source, event.id) not in shared}
    without = b"\n".join(b"" if n in gone else raw for n, raw in enumerate(split_lines(data), 1))
    with folded(data, roster) as whole, folded(without, roster) as less:
        others = [row for row in own(whole.con) if row[0] != unit]
        assert others == [row for row in own(less.con) if row[0] != unit]
        scope = [row["unit"] for row in roster[::2]]
        assert [row for row in own(whole.con) if row[0] in scope] == own(whole.con, scope)


# --- What every result keeps ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scored:
    """A random year and what it came to."""

    data: bytes
    roster: Roster
    found: Json


@cache
def many() -> list[Scored]:
    """Years large and small under their own and under random readings; the laws below hold for each."""
    made = []
    for seed in SEEDS:
        rng = Random(seed)
        data, roster = nasty_year(seed, rng.choice((5, 24, 40)), 400)
        readings = {name: rng.choice(values) for name, values in oracle.READINGS.items()}
        with folded(data, roster) as year_found:
            made += [Scored(data, roster, scored(year_found, chosen)) for chosen in (readings, {})]
    return made


def test_lines_sum_to_the_points_of_their_item_and_balances_follow_one_another() -> None:
    for found in (one.found for one in many()):
        purses: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
        for line in found["deductions"]:
            separate = line["item"] == "1.3" and found["readings"]["pool"] == "separate"
            purses[line["unit"], line["item"], line["source"] if separate else ""].append(line)
        lost: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for (unit, item, office), lines in purses.items():
            balance = Decimal(10 if office else ITEMS[item].full)
            for line in lines:
                before, after, counted = (Decimal(line[key]) for key in ("balance_before", "balance_after", "counted"))
                assert (balance, counted) == (before, before - after)
                assert 0 <= counted <= Decimal(line["claimed"])
                assert after >= 0
                balance = after
                lost[unit, item] += counted
        for row in found["units"]:
            for item, result in row["items"].items():
                if ITEMS[item].deducts:
                    assert ITEMS[item].full - lost[row["unit"], item] == Decimal(result["points"])


def test_totals_are_the_sums_of_items_and_no_item_exceeds_its_points() -> None:
    for found in (one.found for one in many()):
        year_end = int(found["readings"]["year_end_scale"])
        for row in found["units"]:
            points = {item: Decimal(result["points"] or 0) for item, result in row["items"].items()}
            full = {item: Decimal(ITEMS[item].full if item != "Y.1" else year_end) for item in points}
            assert all(0 <= points[item] <= full[item] for item in points)
            daily = sum(points.values()) - points["Y.1"]
            assert [daily, points["Y.1"]] == [Decimal(row["daily"]), Decimal(row["year_end"])]
            assert Decimal(row["final"]) == (daily * 7 + points["Y.1"] * 3) / 100


def test_a_node_costs_no_more_than_its_cap() -> None:
    for one in many():
        nodes = {n: event.node for n, event, _ in arrivals(one.data, one.roster) if event.item == "1.4"}
        lost: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for line in one.found["deductions"]:
            if line["item"] == "1.4":
                node, _, _ = str(nodes[line["seq"]]).partition("_")
                lost[line["unit"], node] += Decimal(line["counted"])
        assert all(points <= NODE_CAPS[node] for (_, node), points in lost.items())


def test_places_partition_each_category_and_follow_the_finals() -> None:
    for found in (one.found for one in many()):
        for category in "AB":
            finals = [(Decimal(row["final"]), row["place"]) for row in found["units"] if row["category"] == category]
            for final, place in finals:
                assert place == 1 + sum(other > final for other, _ in finals)
            assert {row["passed"] is None for row in found["units"] if row["category"] == category} <= {category == "B"}


def test_awards_go_to_the_better_and_exceed_a_quota_only_by_reading() -> None:
    for found in (one.found for one in many()):
        units = {row["unit"]: row for row in found["units"]}
        for award in found["awards"]:
            finals = [Decimal(units[unit]["final"]) for unit in award["units"]]
            assert finals == sorted(finals, reverse=True)
            assert {units[unit]["award"] for unit in award["units"]} <= {award["award"]}
            assert {units[unit]["award"] for unit in award["undecided"]} <= {None}
            flagged = {unit for unit, row in units.items() if f"undecided:{award['award']}" in row["flags"]}
            assert set(award["undecided"]) <= flagged
            if found["readings"]["award_tie"] == "undecided":
                assert len(award["units"]) <= award["quota"]


def test_every_line_of_the_file_has_one_disposition_or_is_refused_once() -> None:
    for one in many():
        told = [row["seq"] for kind in ("deductions", "events") for row in one.found[kind]]
        told += [row["line"] for row in one.found["refused"]]
        assert list(range(1, one.found["as_of"] + 1)) == sorted(told)
