"""Reads a rulebook's plain object into its tables, and says of every key that is not in form what is wrong."""

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

from msgspec import inspect

from schemas import rulebook
from schemas.faults import Fault, Place, listed, quoted
from schemas.rulebook import Bilingual, Rulebook

TOP: inspect.StructType = inspect.type_info(Rulebook)  # type: ignore[assignment]


class Written(NamedTuple):
    """Where a table stands, and what is written in it."""

    place: Place
    raw: dict[str, Any]


class Draft:
    """A rulebook as far as it could be read: what could not be is null, or as where it is not written."""

    def __init__(self, raw: Any) -> None:
        self.faults: list[Fault] = []
        self.written: dict[int, Written] = {}
        self.broken: set[tuple[int, str]] = set()
        self._kept: list[Any] = []
        self.book: Rulebook = self._table(TOP, raw if isinstance(raw, dict) else {}, Place((), ()))
        if not isinstance(raw, dict):
            self.faults[:] = [Fault(Place((), ()), None, "not_a_table", (quoted(raw),))]

    def has(self, table: Any, *keys: str) -> bool:
        """Whether any of the keys is written in the table, in form or not; an empty list is nothing written."""
        raw = self.written[id(table)].raw
        return any(key in raw and raw[key] not in ([], {}) for key in keys)

    def sound(self, table: Any, *keys: str) -> bool:
        """Whether these keys of the table were in form, so that more can be said of them."""
        return not any((id(table), key) in self.broken for key in keys)

    def say(self, table: Any, key: str | None, said: str, *gaps: Any, nearest: str | None = None) -> Fault:
        """A fault of a table."""
        return Fault(self.written[id(table)].place, key, said, gaps, nearest)

    def named(  # noqa: PLR0913, PLR0917 - who names, what, and among what
        self, table: Any, key: str, code: str | None, family: str, codes: Iterable[str | None], found: Any = None
    ) -> Iterator[Fault]:
        """A fault where a code that is named is not declared; `found` is how it came to be named."""
        known = list(dict.fromkeys(one for one in codes if one))
        if code is not None and code not in known and self.sound(table, key):
            gaps = (found or quoted(code), (family,), listed(known))
            yield self.say(table, key, "unknown", *gaps, nearest=nearest(code, known))

    def all_named(
        self, table: Any, key: str, codes: Iterable[str | None], family: str, known: Iterable[str | None]
    ) -> Iterator[Fault]:
        """Faults of a list of codes: each is declared, none is named twice."""
        known, seen = list(known), set()
        for n, code in enumerate(codes):
            if code is not None and code in seen:
                yield self.say(table, f"{key}[{n}]", "named_twice", quoted(code))
            seen.add(code)
            yield from self.named(table, f"{key}[{n}]", code, family, known)

    def _table(self, kind: inspect.StructType, raw: dict[str, Any], place: Place) -> Any:
        """Read one table: unknown keys, missing ones, then each by its form."""
        fields = {field.encode_name: field for field in kind.fields}
        for key in raw:
            if key not in fields:
                near = nearest(key, [*fields])
                self.faults.append(Fault(place, None, "unknown_key", (key, ", ".join(_shown(fields))), near))
        values: dict[str, Any] = {}
        bad: list[str] = []
        for key, field in fields.items():
            if key not in raw:
                if field.required:
                    self.faults.append(Fault(place, None, "missing_key", (key,)))
                    bad.append(key)
                    values[field.name] = () if isinstance(field.type, inspect.VarTupleType) else None
                continue
            before = len(self.faults)
            value = self._value(field.type, raw[key], place, key)
            if len(self.faults) > before and (value is None or isinstance(value, str)):
                bad.append(key)
            if value is not None:
                values[field.name] = value
            elif field.required:
                values[field.name] = () if isinstance(field.type, inspect.VarTupleType) else None
        table = kind.cls(**values)
        self._kept.append(table)
        self.written[id(table)] = Written(place, raw)
        self.broken.update((id(table), key) for key in bad)
        return table

    def _value(self, kind: Any, raw: Any, place: Place, key: str) -> Any:
        """Read one value; what is not in form is null (a code stays, so that what names it is not refused too)."""
        values: tuple[str, ...] | None = None
        while isinstance(kind, inspect.Metadata | inspect.UnionType):
            if isinstance(kind, inspect.Metadata):
                values, kind = (kind.extra or {}).get("values"), kind.type
            elif any(isinstance(one, inspect.StructType) and one.cls is Bilingual for one in kind.types):
                return self._name(raw, place, key)
            else:
                kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
        if isinstance(kind, inspect.LiteralType):
            values = tuple(map(str, kind.values))
        if isinstance(kind, inspect.VarTupleType):
            return self._list(kind, raw, place, key)
        if isinstance(kind, inspect.StructType | inspect.DictType | inspect.BoolType):
            return self._other(kind, raw, place, key)
        return self._text(kind, values, raw, place, key)

    def _other(self, kind: Any, raw: Any, place: Place, key: str) -> Any:
        """A table, the shares of offices, true or false."""
        if isinstance(kind, inspect.BoolType):
            return raw if isinstance(raw, bool) else self._wrong(place, key, "true_or_false", raw)
        if not isinstance(raw, dict):
            return self._wrong(place, key, "table", raw)
        if isinstance(kind, inspect.StructType):
            return self._table(kind, raw, place.under(key, None, raw))
        return {str(k): self._value(kind.value_type, v, place, f"{key}.{k}") for k, v in raw.items()}

    def _list(self, kind: inspect.VarTupleType, raw: Any, place: Place, key: str) -> Any:
        """A list of tables, of texts, or of rows."""
        if not isinstance(raw, list | tuple):
            return self._wrong(place, key, "tables" if _holds_tables(kind) else "texts", raw)
        if not raw and key in MUST_HOLD:
            self.faults.append(Fault(place, key, "empty"))
        found = []
        for n, one in enumerate(raw):
            if _holds_tables(kind):
                if isinstance(one, dict):
                    found.append(self._table(kind.item_type, one, place.under(key, n, one)))  # type: ignore[arg-type]
                else:
                    self._wrong(place, f"{key}[{n}]", "table", one)
            else:
                found.append(self._value(kind.item_type, one, place, f"{key}[{n}]"))
        return tuple(found)

    def _name(self, raw: Any, place: Place, key: str) -> Any:
        if isinstance(raw, dict):
            return self._table(inspect.type_info(Bilingual), raw, place.under(key, None, raw))  # type: ignore[arg-type]
        if isinstance(raw, str) and raw.strip():
            return raw
        return self._wrong(place, key, "name", raw)

    def _text(self, kind: Any, values: tuple[str, ...] | None, raw: Any, place: Place, key: str) -> Any:
        """A text: one of the values, or of a form; `@x` passes where a reading may decide, and is looked at later."""
        literal = isinstance(kind, inspect.LiteralType)
        form = "text" if literal else FORMS.get(kind.pattern, "text")
        if not isinstance(raw, str) or not raw.strip():
            return self._wrong(place, key, form, raw)
        if raw.startswith("@") and (values is None or literal) and (literal or kind.pattern):
            self.faults.append(Fault(place, key, "no_reading_here", (raw, ", ".join(READING_KEYS))))
            return None
        if values and raw not in values and not raw.startswith("@"):
            self.faults.append(Fault(place, key, "one_of", (quoted(raw), ", ".join(values)), nearest(raw, values)))
            return None
        if form == "text" or re.fullmatch(kind.pattern, raw):
            return raw
        self._wrong(place, key, form, raw)
        return raw if form in ("code", "party") else None

    def _wrong(self, place: Place, key: str, form: str, raw: Any) -> None:
        """A value that is not in the form of its key, with the one that is likely meant."""
        self.faults.append(Fault(place, key, "form", (_glimpse(raw), (form,)), _meant(form, raw)))


def pattern_of(form: Any) -> str:
    """The pattern that a form of `schemas.rulebook` declares."""
    return str(get_args(form)[1].pattern)


#: The forms of texts, by their patterns, as `schemas.faults` says them.
FORMS = {
    pattern_of(form): name
    for name, form in {
        "code": rulebook.Code, "party": rulebook.Party, "number": rulebook.Number, "unsigned": rulebook.Unsigned,
        "above": rulebook.Above, "bound": rulebook.Bound, "share": rulebook.Share, "step": rulebook.Step,
        "least": rulebook.Least, "whole": rulebook.Whole, "days": rulebook.Days, "day": rulebook.Day,
        "up_to_6": rulebook.UpTo6, "up_to_8": rulebook.UpTo8,
    }.items()
}  # fmt: skip
#: Keys that a reading may decide.
READING_KEYS = (
    "matter", "purse", "panel", "weights", "scoring", "ties", "rounding", "pool", "quota_of", "quotas", "tie", "pools",
)  # fmt: skip
#: Lists that hold something wherever they are written.
MUST_HOLD = frozenset({"category", "office", "item", "offices", "values", "grade", "order"})
#: Keys that every table has; a message lists them last.
_COMMON = ("clause", "words", "source", "why")


def nearest(word: str, allowed: Any) -> str | None:
    """The nearest right word, null where none is near; another case is nearest."""
    words = [one for one in allowed if one]
    same = [one for one in words if one.casefold() == word.casefold()]
    return next(iter(same or get_close_matches(word, words, 1, 0.6)), None)


def _shown(fields: dict[str, Any]) -> Iterator[str]:
    yield from (key for key in fields if key not in _COMMON)
    yield from (key for key in fields if key in _COMMON)


def _holds_tables(kind: inspect.VarTupleType) -> bool:
    return isinstance(kind.item_type, inspect.StructType)


def _glimpse(raw: Any) -> Any:
    """What was found, as a part of a sentence."""
    if isinstance(raw, bool):
        return ("found_bool", str(raw).lower())
    if isinstance(raw, int | float):
        return ("found_number", str(raw))
    if isinstance(raw, dt.date | dt.time):
        return ("found_date", str(raw))
    if isinstance(raw, dict):
        return ("found_table",)
    if isinstance(raw, list | tuple):
        return ("found_list", str(len(raw)))
    return ("found_null",) if raw is None else quoted(raw)


def _meant(form: str, raw: Any) -> str | None:
    """A number that is written with its unit, in full width or without quotes is likely meant as the number."""
    pattern = next((pattern for pattern, name in FORMS.items() if name == form), None)
    if pattern is None or isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    text = unicodedata.normalize("NFKC", str(raw)).replace("−", "-").strip().lstrip("+")
    text = re.sub(r"(?<=\d)\s*(分|项|个|points?)$", "", text)
    text = re.sub(r"^(-?)0+(?=\d)", r"\1", text)
    text = re.sub(r"^(-?)\.", r"\g<1>0.", text)
    return text if text != raw and re.fullmatch(pattern, text) else None
