"""Product and oracle say the same of random nasty years under random sound rulebooks, field by field and by digest."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from tests.compare import Comparison, bare, differences, inside, shape
from tests.random_years import draw_year, years

if TYPE_CHECKING:
    from tests.random_years import RandomYear

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.mark.long
@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(years())
def test_product_and_oracle_agree_on_what_hypothesis_draws(year: RandomYear) -> None:
    assert Comparison(inside).first(year) is None


@pytest.mark.every(4)
@pytest.mark.parametrize("seed", range(8))
def test_product_and_oracle_agree_on_a_seed(seed: int) -> None:
    assert Comparison(inside).first(draw_year(Random(seed))) is None


def test_a_difference_is_told_by_its_path_and_the_file_is_made_small() -> None:
    """A product that forgets one event is found out, and what is left of the file is that event alone."""
    year = next(
        year for year in map(draw_year, map(Random, range(99))) if not year.opened and year.expected()["entries"]
    )
    wrong = Comparison(lambda _words: (0, b"", ""))

    def first(year: RandomYear) -> str | None:
        expected = year.expected()
        forgets = {**json.loads(json.dumps(expected)), "entries": []}
        return next(differences(expected, bare(forgets)), None)

    wrong.first = first  # type: ignore[method-assign]
    difference = first(year)
    assert difference is not None
    assert difference.startswith("$.entries[seq=")
    assert len(wrong.smaller(year, shape(difference)).lines) == 1
