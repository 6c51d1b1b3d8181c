"""Numbers as language.md 0 has them: Fractions, rounded half-up once where they are made, kept at the largest."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

POINTS, VALUE = 6, 9  # decimals of points and of values
LARGEST = 10**9


def half_up(number: Fraction, decimals: int) -> Fraction:
    """Half away from zero. language.md 0."""
    scale = 10**decimals
    size = (abs(number) * scale * 2 + 1) // 2
    return Fraction(size if number >= 0 else -size, scale)


def kept(number: Fraction, decimals: int) -> Fraction:
    """What is beyond nine digits before the point is kept at the largest. language.md 0."""
    most = LARGEST - Fraction(1, 10**decimals)
    return max(-most, min(most, number))


def value_of(number: Fraction) -> Fraction:
    """A product, quotient or mean that is a value."""
    return kept(half_up(number, VALUE), VALUE)


def points_of(number: Fraction) -> Fraction:
    """A product, quotient or mean that is points."""
    return kept(half_up(number, POINTS), POINTS)


def mean(numbers: Sequence[Fraction]) -> Fraction:
    """Σ/n, not yet rounded."""
    return sum(numbers, Fraction(0)) / len(numbers)


def number(text: str) -> Fraction:
    """A number of the rulebook or of an event; "3%" is three hundredths."""
    if not isinstance(text, str) or re.fullmatch(r"-?[0-9]{1,200}(\.[0-9]{1,6})?%?", text) is None:
        raise ValueError(text)
    return Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)


def show(number: Fraction | None, decimals: int) -> str | None:
    """A decimal with exactly so many places, a negative one with "-". wire.md, score."""
    if number is None:
        return None
    size = int(half_up(abs(number), decimals) * 10**decimals)
    whole, rest = divmod(size, 10**decimals)
    sign = "-" if number < 0 and size else ""
    return f"{sign}{whole}.{rest:0{decimals}d}" if decimals else f"{sign}{whole}"


def places(keys: dict[str, Any]) -> dict[str, int]:
    """The smallest key first; equal keys share the better place and the next is skipped. language.md 4 and 7."""
    first: dict[Any, int] = {}
    for n, key in enumerate(sorted(keys.values()), 1):
        first.setdefault(key, n)
    return {name: first[key] for name, key in keys.items()}


def total(numbers: Iterable[Fraction]) -> Fraction:
    """A sum is exact."""
    return sum(numbers, Fraction(0))
