"""The forms of fields: what a text, a number, a list or an opening must look like, before any rule is asked."""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

from msgspec import inspect

from schemas import roster as rosters
from schemas import subjects
from schemas.events import CODE, DECIMAL, PARTY, SIGNED, TEXT_MAX, TYPES
from schemas.refusals import ABSENT, Phrase, Reason, cut, found, shortened
from schemas.rulebook import Attribute, Rulebook, number
from schemas.soundness import RulebookError
from schemas.texts import is_token
from schemas.words import Language
from services.ingest import signatures
from services.ingest.line import Fault

#: Tells what is wrong with a value at a path; the whole data is there for what depends on another field.
Form = Callable[[Any, str, dict[str, Any]], Fault | None]
_decimal = re.compile(DECIMAL.strip("^$")).fullmatch
_signed_decimal = re.compile(SIGNED.strip("^$")).fullmatch
MEMO_MAX = 1 << 16


def bad(path: str, expected: Phrase, value: Any) -> Fault:
    """A field that has not its form."""
    return Fault(Reason.BAD_FIELD, path, expected, found(value))


def _text(most: int, value: Any, path: str, _: Any = None) -> Fault | None:
    if value.__class__ is str and 0 < len(value) <= most:
        return None
    return bad(path, ("text", most), value)


@lru_cache(MEMO_MAX)
def is_decimal(text: str) -> bool:
    """Whether a text is a plain decimal; remembered, since the same few come again and again."""
    return len(text) <= TEXT_MAX and _decimal(text) is not None


@lru_cache(MEMO_MAX)
def _is_signed(text: str) -> bool:
    return len(text) <= TEXT_MAX and _signed_decimal(text) is not None


def _points(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is str and is_decimal(value):
        return None
    return bad(path, ("decimal",), value)


def _signed(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is str and _is_signed(value):
        return None
    return bad(path, ("signed",), value)


def _count(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is int and value >= 0 else bad(path, ("integer",), value)


def _boolean(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is bool else bad(path, ("boolean",), value)


def _code(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is str and subjects.CODE.fullmatch(value) else bad(path, ("code",), value)


def _party(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is str and subjects.PARTY.fullmatch(value) else bad(path, ("party",), value)


def nkey(value: Any, path: str, _: Any) -> Fault | None:
    """A public key of a party."""
    return None if signatures.public_key(value) else bad(path, ("nkey",), value)


def token(value: Any, path: str, _: Any) -> Fault | None:
    """What stands for a text out of line; a text that stands there in the clear is not shown, for refusals are kept."""
    if is_token(value):
        return None
    return Fault(
        Reason.BAD_FIELD, path, ("token_of",), ("plain", len(value)) if value.__class__ is str else found(value)
    )


def _maybe_empty(value: Any, path: str, _: Any) -> Fault | None:
    return None if value == "" else _text(TEXT_MAX, value, path)


def _object(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is dict else bad(path, ("object",), value)


def one_of(values: tuple[str, ...]) -> Form:
    """A code of a list."""
    codes = frozenset(values)

    def form(value: Any, path: str, _: Any) -> Fault | None:
        if value.__class__ is str and value in codes:
            return None
        return bad(path, ("one_of", ", ".join(values)) if values else ("none",), value)

    return form


def whole_number(value: Any, path: str, _: Any) -> Fault | None:
    """What a parameter may be: a whole number of 0 to 999 as a text."""
    if value.__class__ is str and re.fullmatch(r"0|[1-9][0-9]{0,2}", value):
        return None
    return bad(path, ("range", '"0" to "999"'), value)


def _entries(most: int, text_max: int) -> Form:
    """A list of texts."""

    def form(value: Any, path: str, _: Any) -> Fault | None:
        if value.__class__ is not list or len(value) > most:
            return bad(path, ("entries", most), value)
        for entry in value:
            if entry.__class__ is not str or not 0 < len(entry) <= text_max:
                break
        else:
            return None
        return next(filter(None, (_text(text_max, entry, f"{path}[{n}]") for n, entry in enumerate(value))))

    return form


def _units(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is not list or len(value) < 2:
        return bad(path, ("units",), value)
    faults = (_text(TEXT_MAX, entry, f"{path}[{n}]") for n, entry in enumerate(value))
    return next(filter(None, faults), None) or (bad(path, ("units",), value) if len({*value}) < len(value) else None)


def _reference(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is not dict:
        return bad(path, ("object",), value)
    faults = (_text(TEXT_MAX, value.get(name, ABSENT), f"{path}.{name}") for name in ("source", "id"))
    return next(filter(None, faults), None)


class Limit(NamedTuple):
    """A range that a decimal or a number must lie in, both ends included but `above`; a null end is none."""

    name: str
    reason: Reason
    minimum: Decimal | None
    maximum: Decimal | None
    above: bool = False
    step: Decimal | None = None

    def holds(self, value: Any) -> bool:
        """Whether it does; exact, whatever the number of digits."""
        given, low, high = Decimal(value), self.minimum, self.maximum
        if (low is not None and given < low) or (high is not None and given > high) or (self.above and given == low):
            return False
        return not self.step or (given - (low or 0)) % self.step == 0

    def words(self) -> str:
        """The range as it is written in a message."""
        low = "" if self.minimum is None else f"{self.minimum} {'<' if self.above else '<='} "
        high = "" if self.maximum is None else f" <= {self.maximum}"
        return f"{low}{self.name}{high}" + (f", step {self.step}" if self.step else "")


def bounds(attribute: Attribute) -> Limit:
    """The range of an attribute."""
    return Limit("value", Reason.VALUE_OUT_OF_RANGE, number(attribute.min), number(attribute.max))


def attributes_of(attributes: tuple[Attribute, ...]) -> Form:
    """The attributes of a unit that joins: each that has no default, within its bounds."""

    def form(value: Any, path: str, data: dict[str, Any]) -> Fault | None:
        if value.__class__ is not dict:
            return bad(path, ("attributes",), value)
        for one in attributes:
            text = value.get(one.code, ABSENT)
            if text is ABSENT and one.default is not None:
                continue
            fault = _signed(text, f"{path}.{one.code}", data)
            limit = bounds(one)
            if fault is None and not limit.holds(text):
                fault = bad(f"{path}.{one.code}", ("range", limit.words()), text)
            if fault is not None:
                return fault
        return None

    return form


def group_of(book: Rulebook) -> Form:
    """A group of units: of the event's category; empty only where the rulebook has none."""

    def form(value: Any, path: str, data: dict[str, Any]) -> Fault | None:
        if not book.group:
            return _maybe_empty(value, path, data)
        own = [group.code for group in book.group if group.category in {None, data.get("category")}]
        return None if value.__class__ is str and value in own else bad(path, ("one_of", ", ".join(own)), value)

    return form


#: Reads a rulebook and says whether it is sound: raises RulebookError where it is not.
Accept = Callable[[Any], Rulebook]


class Inside:
    """The forms of an opening: its rulebook is read with them, and its roster and keys are looked at by it."""

    def __init__(self, accept: Accept, assessment: str | None, lang: Language) -> None:
        self.accept, self.code, self.lang = accept, assessment, lang
        self.book: Rulebook | None = None
        self.attributes: frozenset[str] | None = None

    def forms(self) -> dict[str, Form]:
        """Its forms by field."""
        return {"assessment": self._assessment, "rulebook": self._rulebook, "roster": self._roster, "keys": self._keys}

    def _assessment(self, value: Any, path: str, data: dict[str, Any]) -> Fault | None:
        if self.code is not None and value.__class__ is str and value != self.code:
            return bad(path, ("value", shortened(self.code)), value)
        return _code(value, path, data)

    def _rulebook(self, value: Any, path: str, _: Any) -> Fault | None:
        if value.__class__ is not dict:
            return bad(path, ("object",), value)
        try:
            self.book = self.accept(value)
        except RulebookError as error:
            return Fault(Reason.BAD_FIELD, path, ("fault",), ("value", cut(error.say(self.lang).partition("\n")[0])))
        return None

    def _roster(self, value: Any, path: str, _: Any) -> Fault | None:
        assert self.book is not None
        for row, key, unknown, words in rosters.faults(value, self.book, self.lang):
            if not unknown:
                place = path + (f"[{row}]" if row is not None else "") + (f".{key}" if key else "")
                return Fault(Reason.BAD_FIELD, place, ("fault",), ("value", cut(words)))
        return None

    def _keys(self, value: Any, path: str, data: dict[str, Any]) -> Fault | None:
        assert self.book is not None
        if value.__class__ is not dict:
            return bad(path, ("object",), value)
        parties = {office.code for office in self.book.office} | {row["unit"] for row in data["roster"]}
        for party, key in sorted(value.items()):
            if party not in parties:
                return bad(f"{path}.{party}", ("office_or_unit",), party)
            if fault := nkey(key, f"{path}.{party}", data):
                return fault
        return None

    def unknown(self, rows: Any) -> Iterator[tuple[str, str]]:
        """Path and name of what has no place in a row of the roster."""
        assert self.book is not None
        for row, key, unknown, _ in rosters.faults(rows, self.book):
            if unknown and key:
                yield f"data.roster[{row}].{key}", key.rpartition(".")[2]


class Field(NamedTuple):
    """A field of data; of a plain text only `most`, its length, need be looked at."""

    path: str
    name: str
    required: bool
    most: int
    form: Form


_OF_PATTERN: dict[str, Form] = {DECIMAL: _points, SIGNED: _signed, CODE: _code, PARTY: _party}
_OF_NAME: dict[str, Form] = {
    "units": _units, "target": _reference, "appeal": _reference, "rulebook": _object, "roster": _object,
    "characters": _count, "synthetic": _boolean, "keys": _object, "attributes": _object, "group": _maybe_empty,
}  # fmt: skip


def _field(field: inspect.Field) -> Field:
    """The form of a field as `schemas.events` declares it."""
    kind: Any = field.type
    if isinstance(kind, inspect.UnionType):  # a field that may be left out
        kind = kind.types[0]
    name = field.encode_name
    most, form = 0, _OF_PATTERN.get(getattr(kind, "pattern", None) or "")
    if form is None and isinstance(kind, inspect.LiteralType):
        form = one_of(tuple(map(str, kind.values)))
    elif form is None and name == "evidence":
        form = _entries(kind.max_length, kind.item_type.max_length)
    elif form is None and isinstance(kind, inspect.StrType) and kind.min_length:
        most = kind.max_length or 0
        form = partial(_text, most)
    form = form or _OF_NAME[name]
    return Field(f"data.{name}", name, field.required, most, form)


FIELDS: dict[str, tuple[Field, ...]] = {
    name: tuple(map(_field, cast("inspect.StructType", inspect.type_info(data)).fields)) for name, data in TYPES.items()
}
