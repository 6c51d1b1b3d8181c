"""What a rulebook is warned of, and not refused for (language 9): numbers, quotations and clauses, and a base."""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.faults import Fault, Place, quoted
from schemas.rulebook import Rulebook, number, plain
from schemas.shape import nearest

#: Keys that hold numbers of the text; `times`, `less` and `weight` may be such, decimals are the form's own.
NUMBERS = frozenset(
    {"points", "min", "max", "above", "step", "cap", "share", "number", "at_least", "at_most", "of", "value", "times"}
    | {"weight", "less", "within", "characters", "default"}
)
DIGITS = {digit: n for n, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10000}
WRITTEN = re.compile(r"\d+(?:\.\d+)?%?")
SPELT = re.compile(r"(百分之)?([零〇一二两三四五六七八九十百千万]+)")


class Within(NamedTuple):
    """A table of a rulebook, its place, and the words, source and clause that it has or that are around it."""

    table: dict[str, Any]
    place: Place
    own: dict[str, Any]
    clause: str | None


def warnings(book: Rulebook, text: dict[str, str] | None = None) -> list[Fault]:
    """Every warning, in the order of the tables; those about the regulation's text where it is there, by clause."""
    every = [*tables(book)]
    return [*_numbers(every), *(_quotes(every, text) if text else ()), *_bases(book)]


def tables(book: Rulebook) -> Iterator[Within]:
    """Every table of a rulebook, a table before those in it."""
    return _tables(plain(book), Place(), None, None)


def _tables(table: dict[str, Any], place: Place, around: dict[str, Any] | None, clause: str | None) -> Iterator[Within]:
    """A table without words or source of its own has those around it, and likewise its clause."""
    own: dict[str, Any] = {key: table[key] for key in ("words", "source") if key in table} or around or {}
    clause = table.get("clause", clause)
    yield Within(table, place, own, clause)
    for key, value in table.items():
        if isinstance(value, dict) and key != "share":
            yield from _tables(value, place.under(key, None, value), own, clause)
        elif isinstance(value, list):
            inner = own if place.path else None
            for n, one in enumerate(value):
                if isinstance(one, dict):
                    yield from _tables(one, place.under(key, n, one), inner, clause)


def _numbers(every: list[Within]) -> Iterator[Fault]:
    """Numbers that the words do not have, or that have no words."""
    for table, place, own, _ in every:
        found = [
            (key, text) for key, text in table.items() if key in NUMBERS and isinstance(text, str) and _is_number(text)
        ]
        for key, text in found:
            if "words" in own and own.get("source") != "assumption" and number(text) not in said(own["words"]):
                yield Fault(place, key, "warn_words", (quoted(text), quoted(own["words"])))
        if found and not own and place.path:
            yield Fault(place, None, "warn_source", (", ".join(key for key, _ in found),))


def _quotes(every: list[Within], text: dict[str, str]) -> Iterator[Fault]:
    """Words that stand nowhere in the text, and clauses that it has not; of several passages `…` is between."""
    whole = _even("".join(text.values()))
    for table, place, _, _ in every:
        if "words" in table and not all(_even(one) in whole for one in re.split(r"…+|\.{3,}", table["words"])):
            yield Fault(place, "words", "warn_quote", (quoted(table["words"]),))
        if "clause" in table and place.path[:1] != ("excused",) and table["clause"] not in text:
            yield Fault(place, "clause", "warn_clause", (quoted(table["clause"]),), nearest(table["clause"], text))


def _even(text: str) -> str:
    """Text without white space, and without a difference of full and half width."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


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
