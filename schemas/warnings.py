"""What a rulebook is warned of, and not refused for (language 9): numbers that its words do not have, and a base."""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from schemas.faults import Fault, Place, quoted
from schemas.rulebook import Rulebook, number, plain

#: Keys that hold numbers of the text; `times`, `less` and `weight` may be such, decimals are the form's own.
NUMBERS = frozenset(
    {"points", "min", "max", "above", "step", "cap", "share", "number", "at_least", "at_most", "of", "value", "times"}
    | {"weight", "less", "within", "characters", "default"}
)
DIGITS = {digit: n for n, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10000}
WRITTEN = re.compile(r"\d+(?:\.\d+)?%?")
SPELT = re.compile(r"(百分之)?([零〇一二两三四五六七八九十百千万]+)")


def warnings(book: Rulebook) -> list[Fault]:
    """Every warning, in the order of the tables."""
    return [*_tables(plain(book), Place(), None), *_bases(book)]


def _tables(table: dict[str, Any], place: Place, around: dict[str, Any] | None) -> Iterator[Fault]:
    """Warnings of a table and of those in it; a table without words of its own has those around it."""
    own: dict[str, Any] = {key: table[key] for key in ("words", "source") if key in table} or around or {}
    found = [
        (key, text) for key, text in table.items() if key in NUMBERS and isinstance(text, str) and _is_number(text)
    ]
    for key, text in found:
        if "words" in own and own.get("source") != "assumption" and number(text) not in said(own["words"]):
            yield Fault(place, key, "warn_words", (quoted(text), quoted(own["words"])))
    if found and not own and place.path:
        yield Fault(place, None, "warn_source", (", ".join(key for key, _ in found),))
    for key, value in table.items():
        if isinstance(value, dict) and key != "share":
            yield from _tables(value, place.under(key, None, value), own)
        elif isinstance(value, list):
            inner = own if place.path else None
            for n, one in enumerate(value):
                if isinstance(one, dict):
                    yield from _tables(one, place.under(key, n, one), inner)


def _bases(book: Rulebook) -> Iterator[Fault]:
    """Shares of all units listed, drawn in several pools."""
    for n, scheme in enumerate(book.scheme):
        several = any(value.count(",") for value in book.possible(scheme.pools))
        shares = any(grade.share for grade in scheme.grade)
        if several and shares and "listed" in book.possible(scheme.quota_of):
            yield Fault(
                Place(("scheme", n), (("scheme", scheme.code),)), "quota_of", "warn_base", (quoted(scheme.pools),)
            )


def _is_number(text: str) -> bool:
    """Whether a text is a number that a text would have: 0 goes without saying."""
    return re.fullmatch(r"-?\d+(\.\d+)?%?", text) is not None and number(text) != 0


def said(words: str) -> set[Decimal]:
    """The numbers that a text has, in digits or characters; a percentage is its share."""
    text = unicodedata.normalize("NFKC", words)
    found = {number(one) or Decimal(0) for one in WRITTEN.findall(text)}
    for share, spelt in SPELT.findall(text):
        value = _spelt(spelt)
        found.add(value / 100 if share else value)
    return found


def _spelt(text: str) -> Decimal:
    """A number in characters: 二十五 is 25, 二〇 is 20."""
    if not any(one in UNITS for one in text):
        return Decimal("".join(str(DIGITS[one]) for one in text))
    total = current = 0
    for one in text:
        if one in UNITS:
            total += (current or 1) * UNITS[one]
        current = DIGITS.get(one, 0)
    return Decimal(total + current)
