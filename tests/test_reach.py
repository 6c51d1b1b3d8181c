"""Early warning: whatever is pending, a unit ends between its best and its worst, and those that are settled stay."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from services.command.tables import four
from services.reports import paper
from services.reports.reach import Reach, reached
from services.scorer import rules
from tests.product import BOOK, SHIPPED, folded, joined, small
from tests.test_appeals import THREE, Pages, complete

if TYPE_CHECKING:
    from services.scorer.file import Folded

#: What may come without changing what stands.
ADDS = ("deduction.recorded.v1", "bonus.recorded.v1", "rating.recorded.v1", "submission.recorded.v1", "item.closed.v1")
SIX = SHIPPED[:: len(SHIPPED) // 6][:6]


def standings(
    found: Folded, as_of: int | None = None
) -> tuple[dict[str, Reach], dict[str, tuple[Decimal, int | None]]]:
    with rules.compute(found.con, as_of=as_of):
        rows = found.con.execute("SELECT unit, final, place FROM unit_result").fetchall()
        return reached(found.con), {unit: (final, place) for unit, final, place in rows}


def within(reach: Reach, final: Decimal, place: int | None) -> bool:
    assert reach.final_worst is not None
    assert reach.final_best is not None
    if not Decimal(reach.final_worst) <= final <= Decimal(reach.final_best):
        return False
    return place is None or (reach.place_best or 0) <= place <= (reach.place_worst or 0)


def adds(line: bytes) -> bool:
    try:
        return json.loads(line)["type"] in ADDS
    except (ValueError, KeyError):
        return False


@pytest.mark.parametrize("cut", [30, 75, 120])
def test_what_comes_of_a_year_lies_within_what_its_units_could_reach_before(cut: int) -> None:
    lines = small(settled=True)
    with folded(joined([*lines[:cut], *filter(adds, lines[cut:])]), SIX) as found:
        before, _ = standings(found, as_of=cut)
        narrower, ended = standings(found)
    assert {unit: within(before[unit], *ended[unit]) for unit in ended} == dict.fromkeys(ended, True)
    assert all(Decimal(before[unit].final_best or 0) >= Decimal(narrower[unit].final_best or 0) for unit in ended)


def test_a_unit_of_which_nothing_is_open_is_certain_of_its_final_and_place() -> None:
    with folded(b"\n".join(complete().lines), THREE) as found:
        reach, ended = standings(found)
    assert {unit: (Decimal(one.final_worst or 0), one.place_best) for unit, one in reach.items()} == ended
    assert {one.final_worst == one.final_best and one.place_worst == one.place_best for one in reach.values()} == {True}


def test_one_open_item_is_worth_its_weight_and_a_deduction_is_not_made_good() -> None:
    pages = complete()
    pages.lines = [line for line in pages.lines if b'"1.1"' not in line or b"item.closed" not in line]
    pages.deduct("ducha", "1.1", "M1", "criticised")
    with folded(b"\n".join(pages.lines), THREE) as found:
        reach, ended = standings(found)
    weight = Decimal("0.07")
    for unit, full in (("U1", 2), ("U2", 5), ("U3", 5)):
        final = ended[unit][0]
        assert Decimal(reach[unit].final_best or 0) == final, "1.1 has no bonus"
        assert Decimal(reach[unit].final_worst or 0) == final - full * weight
    last = 1 + sum(ended[unit][0] > Decimal(reach["U3"].final_worst or 0) for unit in ("U1", "U2"))
    bounds = f"{four(ended['U3'][0] - 5 * weight)}–{four(ended['U3'][0])}"
    assert paper.reach(reach["U3"], "zh").startswith(f"最后得分 {bounds} · 类别内名次 1–{last} ·")


def test_an_exempted_item_goes_with_what_the_others_can_come_to() -> None:
    pages = Pages()
    pages.add("tongji", "item.exempted", "U1", item="2.3", reason="r")
    with folded(b"\n".join(pages.lines), THREE) as found:
        reach, _ = standings(found)
    assert BOOK.items["2.3"].exempt_rule == "proportional"
    assert (reach["U1"].final_worst, reach["U1"].final_best) == ("0.00000000", "12.00000000")
