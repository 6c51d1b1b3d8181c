"""A small part of `make faults` by one seed: kills, slow disks, clocks while all publish; a damage of some kinds."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults import clocks, damage, die, live
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


@pytest.mark.every(2)
@pytest.mark.parametrize("kind", ["clock", "slow"])
def test_slow_disks_and_clocks_that_jump_lose_double_and_hide_nothing(
    kind: str, nursery: Nursery, tmp_path: Path
) -> None:
    [row] = live.play(kind, KILLS, SEED, tmp_path / kind, nursery)
    if not row.n:
        pytest.skip(row.note)
    assert (row.n, row.lost, row.doubled, row.unseen) == (KILLS, 0, 0, 0), row
    assert row.acked


def test_a_clock_is_moved_in_one_process_and_seconds_are_counted_as_before() -> None:
    if why := clocks.why_not():
        pytest.skip(why)
    ask = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    with subprocess.Popen([sys.executable, "-c", ask], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            for away in (0, 10**8, -(10**8), 0):
                clocks.move(process.pid, away)
                before = time.time(), time.monotonic()
                process.stdin.write(b"\n")
                process.stdin.flush()
                wall, counted = map(float, process.stdout.readline().split())
                assert before[0] + away - 1 < wall < time.time() + away + 1
                assert before[1] <= counted <= time.monotonic()
        finally:
            process.kill()


@pytest.mark.long
@pytest.mark.parametrize("group", ["log", "edit"])
def test_a_damage_is_healed_or_named(group: str, base: damage.Base, nursery: Nursery, tmp_path: Path) -> None:
    one = next(one for one in damage.damages(base, Random(SEED)) if one[0] == group)
    came = damage.outcome(copied(base.full, tmp_path / "data"), one, base, nursery)
    assert came.startswith("named"), came
