"""A small part of `make faults`: some kills while all publish, and one damage of each of some kinds, by one seed."""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults import damage, die, live
from tests.faults.nursery import Nursery
from tests.faults.works import copied

SEED = 7
LONG = os.environ.get("WUXING_TEST") == "long"
KILLS = 6 if LONG else 3


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as found:
        yield found


@pytest.fixture(scope="module")
def base(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> damage.Base:
    return damage.base(tmp_path_factory.mktemp("base"), nursery)


@pytest.mark.parametrize("point", live.POINTS, ids=lambda point: f"{point[1]}-{point[2]}")
def test_a_point_at_which_a_service_dies_exists(point: tuple[str, str, str]) -> None:
    holder, name = die.owner(point[1])
    assert callable(getattr(holder, name))
    assert point[2] != "half" or point[1] in die.HALVES


def test_kills_while_all_publish_lose_and_double_nothing(nursery: Nursery, tmp_path: Path) -> None:
    [row] = live.play("kill", KILLS, SEED, tmp_path / "kill", nursery)
    assert (row.n, row.lost, row.doubled, row.unseen) == (KILLS, 0, 0, 0), row
    assert row.acked


@pytest.mark.long
@pytest.mark.parametrize("group", ["log", "edit"])
def test_a_damage_is_healed_or_named(group: str, base: damage.Base, nursery: Nursery, tmp_path: Path) -> None:
    one = next(one for one in damage.damages(base, Random(SEED)) if one[0] == group)
    came = damage.outcome(copied(base.full, tmp_path / "data"), one, base, nursery)
    assert came.startswith("named"), came
