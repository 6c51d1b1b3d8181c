"""Decides, without history, whether an event may enter the ledger: form, authority, roster, rulebook and ranges."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, cast

import msgspec
from msgspec import inspect

from schemas import roster as rosters
from schemas import soundness, subjects
from schemas.events import (
    CODE,
    DECIMAL,
    DEPTH_MAX,
    OPENED,
    OPENED_SIZE_MAX,
    PARTY,
    SIGNED,
    SIZE_MAX,
    TEXT_MAX,
    TYPES,
    YEAR,
    Event,
    Evidence,
    Prose,
    Text,
    instant,
)
from schemas.refusals import ABSENT, Language, Phrase, Reason, Refusal, cut, found, message, shortened
from schemas.roster import Unit
from schemas.rulebook import PARAMETERS, Applies, Attribute, Ground, Item, Rulebook, number
from schemas.soundness import RulebookError
from schemas.year import Year
from services.ingest import signatures

__all__ = ["Checker", "Event", "Opening", "Refusal", "opened", "opened_year", "read"]

#: Reads a rulebook and says whether it is sound: raises RulebookError where it is not.
Accept = Callable[[Any], Rulebook]


class Fault(NamedTuple):
    """What is wrong, before anybody has put it into words."""

    reason: Reason
    path: str | None
    expected: Phrase
    seen: Phrase


class Wire(msgspec.Struct, gc=False):
    """An event as it came: all attributes but specversion, id, source and type may still hold anything."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    data: Any
    signature: Any = ABSENT


# Reading JSON -------------------------------------------------------------------------------------------------------


def read(raw: bytes) -> Any:
    """The event of a line as it came, a Wire, or the Fault that makes it none: its size, its JSON, not an object.

    Over 64 KiB only an opening of the assessment passes, and that must be read to be seen.
    """
    size = len(raw)
    value = _strict(raw) if size <= OPENED_SIZE_MAX else None
    if value.__class__ is dict:
        value = Wire(*(value.get(name, ABSENT) for name in Wire.__struct_fields__))
    if size > SIZE_MAX and not (value.__class__ is Wire and value.type == OPENED and size <= OPENED_SIZE_MAX):
        return Fault(Reason.TOO_LARGE, None, ("bytes", SIZE_MAX), ("bytes_found", size))
    if value.__class__ is Wire or value.__class__ is Fault:
        return value
    return Fault(Reason.NOT_CLOUDEVENT, None, ("object",), found(value))


class _NotJSONError(ValueError):
    """Raised inside the parser's hooks, never seen outside `_strict`."""


def _strict(raw: bytes) -> Any:  # noqa: PLR0911 - one return a fault
    """The JSON value of a line, or the Fault that makes it none."""
    if raw.startswith(b"\xef\xbb\xbf"):
        return _not_json("byte_order_mark")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return _not_json("not_utf8", error.start + 1)
    if _depth(text) > DEPTH_MAX:
        return _not_json("depth", DEPTH_MAX)
    try:
        value = _decoder.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except _NotJSONError as error:
        return _not_json(*error.args)
    except UnicodeEncodeError:
        return _not_json("surrogate")
    except json.JSONDecodeError as error:
        return _not_json("syntax", error.pos + 1, error.msg)
    return value


def _not_json(*seen: Any) -> Fault:
    return Fault(Reason.NOT_JSON, None, ("json",), seen)


def _depth(text: str) -> int:
    """How deep brackets nest outside strings; a lower bound is enough where there are too few to nest too deep."""
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return 0
    depth = deepest = 0
    for bracket in re.findall(r"[][{}]", re.sub(r'"[^"\\]*(?:\\.[^"\\]*)*"?', "", text, flags=re.DOTALL)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose keys may not repeat."""
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _NotJSONError("repeated_key", shortened(again))
    return value


def _no_constant(name: str) -> Any:
    raise _NotJSONError("constant", name)


def _integer(digits: str) -> int:
    """An integer; one of more than 30 digits is out of every range, whatever it is."""
    return int(digits) if len(digits) <= 30 else int(digits[0] + "1") * 10**30


_decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_integer)

# Forms of fields ----------------------------------------------------------------------------------------------------

#: Tells what is wrong with a value at a path; the whole data is there for what depends on another field.
Form = Callable[[Any, str, dict[str, Any]], Fault | None]
_decimal = re.compile(DECIMAL.strip("^$")).fullmatch
_signed_decimal = re.compile(SIGNED.strip("^$")).fullmatch
_MEMO_MAX = 1 << 16


def _bad(path: str, expected: Phrase, value: Any) -> Fault:
    return Fault(Reason.BAD_FIELD, path, expected, found(value))


def _text(most: int, value: Any, path: str, _: Any = None) -> Fault | None:
    if value.__class__ is str and 0 < len(value) <= most:
        return None
    return _bad(path, ("text", most), value)


@lru_cache(_MEMO_MAX)
def _is_decimal(text: str) -> bool:
    return len(text) <= TEXT_MAX and _decimal(text) is not None


@lru_cache(_MEMO_MAX)
def _is_signed(text: str) -> bool:
    return len(text) <= TEXT_MAX and _signed_decimal(text) is not None


def _points(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is str and _is_decimal(value):
        return None
    return _bad(path, ("decimal",), value)


def _signed(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is str and _is_signed(value):
        return None
    return _bad(path, ("signed",), value)


def _count(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is int and value >= 0 else _bad(path, ("integer",), value)


def _boolean(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is bool else _bad(path, ("boolean",), value)


def _code(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is str and subjects.CODE.fullmatch(value) else _bad(path, ("code",), value)


def _party(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is str and subjects.PARTY.fullmatch(value) else _bad(path, ("party",), value)


def _nkey(value: Any, path: str, _: Any) -> Fault | None:
    return None if signatures.public_key(value) else _bad(path, ("nkey",), value)


def _maybe_empty(value: Any, path: str, _: Any) -> Fault | None:
    return None if value == "" else _text(TEXT_MAX, value, path)


def _object(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is dict else _bad(path, ("object",), value)


def _one_of(values: tuple[str, ...]) -> Form:
    """A code of a list."""
    codes = frozenset(values)

    def form(value: Any, path: str, _: Any) -> Fault | None:
        if value.__class__ is str and value in codes:
            return None
        return _bad(path, ("one_of", ", ".join(values)) if values else ("none",), value)

    return form


def _whole_number(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is str and re.fullmatch(r"0|[1-9][0-9]{0,2}", value):
        return None
    return _bad(path, ("range", '"0" to "999"'), value)


def _entries(most: int, text_max: int) -> Form:
    """A list of texts."""

    def form(value: Any, path: str, _: Any) -> Fault | None:
        if value.__class__ is not list or len(value) > most:
            return _bad(path, ("entries", most), value)
        for entry in value:
            if entry.__class__ is not str or not 0 < len(entry) <= text_max:
                break
        else:
            return None
        return next(filter(None, (_text(text_max, entry, f"{path}[{n}]") for n, entry in enumerate(value))))

    return form


def _units(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is not list or len(value) < 2:
        return _bad(path, ("units",), value)
    faults = (_text(TEXT_MAX, entry, f"{path}[{n}]") for n, entry in enumerate(value))
    return next(filter(None, faults), None) or (_bad(path, ("units",), value) if len({*value}) < len(value) else None)


def _reference(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is not dict:
        return _bad(path, ("object",), value)
    faults = (_text(TEXT_MAX, value.get(name, ABSENT), f"{path}.{name}") for name in ("source", "id"))
    return next(filter(None, faults), None)


def _attributes(attributes: tuple[Attribute, ...]) -> Form:
    """The attributes of a unit that joins: each that has no default, within its bounds."""

    def form(value: Any, path: str, data: dict[str, Any]) -> Fault | None:
        if value.__class__ is not dict:
            return _bad(path, ("attributes",), value)
        for one in attributes:
            text = value.get(one.code, ABSENT)
            if text is ABSENT and one.default is not None:
                continue
            fault = _signed(text, f"{path}.{one.code}", data)
            limit = _bounds(one)
            if fault is None and not limit.holds(text):
                fault = _bad(f"{path}.{one.code}", ("range", limit.words()), text)
            if fault is not None:
                return fault
        return None

    return form


def _group(book: Rulebook) -> Form:
    """A group of units: of the event's category; empty only where the rulebook has none."""

    def form(value: Any, path: str, data: dict[str, Any]) -> Fault | None:
        if not book.group:
            return _maybe_empty(value, path, data)
        own = [group.code for group in book.group if group.category in {None, data.get("category")}]
        return None if value.__class__ is str and value in own else _bad(path, ("one_of", ", ".join(own)), value)

    return form


class _Inside:
    """The forms of an opening: its rulebook is read with them, and its roster and keys are looked at by it."""

    def __init__(self, accept: Accept, assessment: str | None, lang: Language) -> None:
        self.accept, self.code, self.lang = accept, assessment, lang
        self.book: Rulebook | None = None
        self.attributes: frozenset[str] | None = None

    def forms(self) -> dict[str, Form]:
        return {"assessment": self._assessment, "rulebook": self._rulebook, "roster": self._roster, "keys": self._keys}

    def _assessment(self, value: Any, path: str, data: dict[str, Any]) -> Fault | None:
        if self.code is not None and value.__class__ is str and value != self.code:
            return _bad(path, ("value", shortened(self.code)), value)
        return _code(value, path, data)

    def _rulebook(self, value: Any, path: str, _: Any) -> Fault | None:
        if value.__class__ is not dict:
            return _bad(path, ("object",), value)
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
            return _bad(path, ("object",), value)
        parties = {office.code for office in self.book.office} | {row["unit"] for row in data["roster"]}
        for party, key in sorted(value.items()):
            if party not in parties:
                return _bad(f"{path}.{party}", ("office_or_unit",), party)
            if fault := _nkey(key, f"{path}.{party}", data):
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
        form = _one_of(tuple(map(str, kind.values)))
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

# What the rulebook asks ---------------------------------------------------------------------------------------------


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


class Shape(msgspec.Struct, frozen=True):
    """What an event of one type must be once the fields that decide it (item, ground, …) are known.

    Whose it is: `sources`, or where these are null the offices that hold `item`.
    """

    fields: tuple[tuple[str, str, bool, int, Form], ...]  # plain tuples of Field: they unpack faster
    chosen: int
    names: frozenset[str]
    sources: frozenset[str] | None
    item: str | None
    fault: tuple[Reason, str | None, Phrase] | None
    limit: Limit | None
    within: dict[Any, bool]


#: Makes the flat event of an event that passed and its instant.
Flat = Callable[[Wire, str], Event]


class Kind(msgspec.Struct, frozen=True):
    """What an event of one type is: who owns it, the fields that choose its shape, its flat form."""

    name: str
    owner: str
    first: str
    second: str
    nested: str | None
    year: bool
    assessment: bool
    flat: Flat
    shapes: dict[tuple[Any, Any], Shape]


class Traits(NamedTuple):
    """What of a kind no rulebook changes."""

    owner: str
    flat: Flat
    first: str = ""
    second: str = ""
    nested: str | None = None


def _entered(w: Wire, occurred: str) -> Event:
    get: Callable[[str], Any] = w.data.get
    return Event(
        w.source, w.id, w.type, w.subject, w.time, occurred,
        get("item"), get("matter"), get("ground"), get("node"), get("points"), reason=get("reason"),
    )  # fmt: skip


def _rated(w: Wire, occurred: str) -> Event:
    get: Callable[[str], Any] = w.data.get
    return Event(
        w.source, w.id, w.type, w.subject, w.time, occurred, get("item"), None, None, None, None,
        get("rater"), get("group"), get("measure"), get("case"), get("period"), _kept(get("value")),
    )  # fmt: skip


def _flat(columns: Callable[[dict[str, Any]], dict[str, Any]]) -> Flat:
    """Make events of the columns that data give by name."""
    return lambda w, occurred: Event(w.source, w.id, w.type, w.subject, w.time, occurred, **columns(w.data))


def _target(target: dict[str, str], reason: str, outcome: str | None = None) -> dict[str, Any]:
    return {"target_source": target["source"], "target_id": target["id"], "reason": reason, "outcome": outcome}


def _changed(data: dict[str, Any]) -> dict[str, Any]:
    attributes = data.get("attributes")
    return {
        **{name: data.get(name) for name in ("change", "name", "category", "reason")},
        "unit_group": data.get("group"),
        "attributes": None if attributes is None else _encode(attributes).decode(),
    }


#: What a value beyond the size of its column is kept at: the largest.
_LARGEST = Decimal(10**18 - 1).scaleb(-6)


def _kept(value: str) -> str:
    """A value, or the largest where it is beyond that: only facts and values without a range may be."""
    return value if len(value) <= 12 or abs(Decimal(value)) <= _LARGEST else str(_LARGEST.copy_sign(Decimal(value)))


def _fact(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "value": _kept(data["value"])}


_encode = msgspec.json.Encoder(order="sorted").encode
_same = _flat(lambda data: data)
_TRAITS: dict[str, Traits] = {
    "deduction.recorded.v1": Traits("item", _entered, "item", "ground"),
    "bonus.recorded.v1": Traits("item", _entered, "item", "ground"),
    "rating.recorded.v1": Traits("item", _rated, "item", "measure"),
    "submission.recorded.v1": Traits("item", _same, "item"),
    "item.exempted.v1": Traits("item", _same, "item"),
    "item.closed.v1": Traits("item", _same, "item"),
    "fact.recorded.v1": Traits("attribute", _flat(_fact), "attribute"),
    "veto.recorded.v1": Traits("veto", _flat(lambda d: {"veto": d["veto"], "reason": d["reason"]}), "veto"),
    "approval.recorded.v1": Traits("approvals", _flat(lambda data: _target(**data)), nested="target"),
    "event.revoked.v1": Traits("target", _flat(lambda data: _target(**data)), nested="target"),
    "appeal.filed.v1": Traits("unit", _flat(lambda data: _target(data["target"], data["statement"])), nested="target"),
    "appeal.decided.v1": Traits(
        "appeals",
        _flat(lambda d: {**_target(d["appeal"], d["reason"], d["outcome"]), "points": d.get("points")}),
        "outcome",
        nested="appeal",
    ),
    "tie.resolved.v1": Traits("collector", _flat(lambda data: {**data, "units": tuple(data["units"])})),
    "reading.adopted.v1": Traits(
        "collector",
        _flat(lambda d: {"reading": d["reading"], "reading_value": d["value"], "reason": d["reason"]}),
        "reading",
    ),
    "unit.changed.v1": Traits("collector", _flat(_changed), "change", nested="attributes"),
    "item.transferred.v1": Traits(
        "collector",
        _flat(lambda d: {"item": d["item"], "from_office": d["from"], "to_office": d["to"], "reason": d["reason"]}),
        "item",
    ),
    "key.changed.v1": Traits(
        "collector", _flat(lambda d: {"party": d["party"], "party_key": d["key"], "reason": d["reason"]})
    ),
    "stage.reached.v1": Traits("collector", _same),
    OPENED: Traits("collector", _flat(lambda _: {}), nested="roster"),
}


def _kind(name: str, shapes: dict[tuple[Any, Any], Shape]) -> Kind:
    owner, flat, first, second, nested = _TRAITS[name]
    year = name in YEAR
    return Kind(name, owner, first, second, nested, year, year or owner == "target", flat, shapes)


def _offices(codes: Iterable[str]) -> frozenset[str]:
    return frozenset(f"{subjects.OFFICES}{code}" for code in codes)


Key = tuple[Any, Any]
_OTHER: Key = (None, None)
"""The shape of what is not known."""
_NO_ITEM: tuple[Reason, str | None, Phrase] = (Reason.UNKNOWN_ITEM, "item", ("rulebook",))
DEDUCTION, BONUS, RATING = "deduction.recorded.v1", "bonus.recorded.v1", "rating.recorded.v1"


def _wrong_kind(expected: str) -> tuple[Reason, str | None, Phrase]:
    return Reason.WRONG_KIND, "item", ("value", expected)


def _shape_of(  # noqa: PLR0913 - all but the name are optional traits
    name: str,
    *,
    lists: Mapping[str, Iterable[str]] | None = None,
    forms: Mapping[str, Form] | None = None,
    chosen: tuple[str, ...] = (),
    needs: tuple[str, ...] | None = None,
    sources: frozenset[str] | None = None,
    item: str | None = None,
    fault: tuple[Reason, str | None, Phrase] | None = None,
    limit: Limit | None = None,
) -> Shape:
    """A shape; `needs` names those it has of the fields that not every event of the type has (null: any may be).

    `chosen` are the fields that chose the shape and so have been looked at.
    """
    own: dict[str, Form] = {key: _one_of(tuple(values)) for key, values in (lists or {}).items()}
    own.update(forms or {})
    fields = []
    for field in FIELDS[name]:
        if field.required or field.name in _OPTIONAL or needs is None or field.name in needs:
            required = field.required or field.name in (needs or ())
            form = own.get(field.name)
            fields.append(field._replace(required=required, most=0 if form else field.most, form=form or field.form))
    names = frozenset(field.name for field in fields)
    looked_at = tuple((*field,) for field in fields if field.name not in chosen)
    return Shape(looked_at, len(chosen), names, sources, item, fault, limit, {})


_OPTIONAL = frozenset({"evidence", "synthetic", "keys"})


class _Shapes:
    """The shapes that a rulebook gives each type, made once when a checker is made."""

    def __init__(self, book: Rulebook, inside: _Inside, party: Form) -> None:
        self.book, self.inside, self.party = book, inside, party
        self.offices = _offices(office.code for office in book.office)
        self.collector = _offices([book.roles.collector])
        periods = book.periods
        #: The lists of every item: the codes that its nodes, groups, measures and periods have.
        self.lists = {
            item.code: {
                "node": tuple(one.code for one in item.node),
                "group": tuple(one.code for one in item.raters),
                "measure": tuple(one.code for one in item.measure),
                "period": periods.get(item.runs or "", ()),
            }
            for item in book.item
        }

    def of(self, name: str) -> dict[Key, Shape]:
        """Shapes of a type by the two fields that choose them; (None, None) is that of what is not known."""
        makers: dict[str, Callable[[str], Iterable[tuple[Key, Shape]]]] = {
            DEDUCTION: self._entries, BONUS: self._entries, RATING: self._ratings,
            "submission.recorded.v1": self._submissions, "item.exempted.v1": self._of_items,
            "item.closed.v1": self._of_items, "fact.recorded.v1": self._facts, "veto.recorded.v1": self._vetoes,
            "approval.recorded.v1": self._approvals, "event.revoked.v1": self._plain, "appeal.filed.v1": self._appeals,
            "appeal.decided.v1": self._decisions, "tie.resolved.v1": self._ties, "reading.adopted.v1": self._adoptions,
            "unit.changed.v1": self._changes, "item.transferred.v1": self._transfers, "key.changed.v1": self._keys,
            "stage.reached.v1": self._stages, OPENED: self._openings,
        }  # fmt: skip
        return dict(makers[name](name))

    def _all(self, *parts: str) -> dict[str, tuple[str, ...]]:
        """The codes of lists over all items."""
        return {part: tuple(dict.fromkeys(code for own in self.lists.values() for code in own[part])) for part in parts}

    def _own(self, item: Item, *parts: str) -> dict[str, tuple[str, ...]]:
        """The codes of an item's lists, and of all items' where it has none."""
        return {part: self.lists[item.code][part] or codes for part, codes in self._all(*parts).items()}

    def _entries(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """An entry has points where its ground has a range, and a node where its item has nodes."""
        yield _OTHER, _shape_of(name, lists=self._all("node"), fault=_NO_ITEM)
        for item in self.book.item:
            shape = partial(_shape_of, name, lists=self._own(item, "node"), item=item.code)
            grounds = ", ".join(ground.code for ground in item.ground if ground.adds == (name == BONUS))
            unknown: tuple[Reason, str | None, Phrase] = (Reason.UNKNOWN_GROUND, "ground", ("one_of", grounds))
            yield (item.code, None), shape(chosen=("item",), fault=unknown if item.entries else _wrong_kind(RATING))
            for ground in item.ground:
                needs = (("points",) if ground.max else ()) + (("node",) if item.node else ())
                limit = _ground_limit(ground) if ground.max else None
                kind = BONUS if ground.adds else DEDUCTION
                fault = _wrong_kind(kind) if kind != name else None
                made = shape(chosen=("item", "ground"), needs=needs, limit=limit, fault=fault)
                yield (item.code, ground.code), made

    def _ratings(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """A rating has a measure, a group, a case or a period where its item has them."""
        parts = ("group", "measure", "period")
        yield _OTHER, _shape_of(name, lists=self._all(*parts), fault=_NO_ITEM)
        for item in self.book.item:
            needs = tuple(part for part in parts if self.lists[item.code][part])
            needs += ("case",) if item.runs == "case" else ()
            fault = _wrong_kind(DEDUCTION) if item.entries else None
            lists = self._own(item, *parts)
            shape = partial(_shape_of, name, lists=lists, chosen=("item",), needs=needs, item=item.code, fault=fault)
            span = item.range
            yield (item.code, None), shape(limit=_value_limit(span.min, span.max) if span else None)
            for part in item.measure:
                yield (
                    (item.code, part.code),
                    shape(limit=_value_limit(part.min, part.max, "1" if part.binary else None)),
                )

    def _of_items(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """Types that know their item alone."""
        yield _OTHER, _shape_of(name, fault=_NO_ITEM)
        for item in self.book.item:
            yield (item.code, None), _shape_of(name, chosen=("item",), item=item.code)

    def _submissions(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """What is handed in has a length that the item bounds."""
        yield _OTHER, _shape_of(name, fault=_NO_ITEM)
        homes = ", ".join(item.code for item in self.book.item if item.characters)
        for item in self.book.item:
            most = number(item.characters)
            limit = Limit("characters", Reason.VALUE_OUT_OF_RANGE, Decimal(0), most)
            fault = _wrong_kind(homes) if most is None else None
            yield (item.code, None), _shape_of(name, chosen=("item",), item=item.code, fault=fault, limit=limit)

    def _transfers(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """A transfer names two offices of the rulebook."""
        offices = [office.code for office in self.book.office]
        lists = {"from": offices, "to": offices}
        yield _OTHER, _shape_of(name, lists=lists, sources=self.collector, fault=_NO_ITEM)
        for item in self.book.item:
            yield (item.code, None), _shape_of(name, lists=lists, chosen=("item",), sources=self.collector)

    def _facts(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """A fact is within the bounds of its attribute, and of its offices, or of the collector."""
        yield _OTHER, _shape_of(name, lists={"attribute": [one.code for one in self.book.attribute]})
        for one in self.book.attribute:
            sources = _offices(one.offices) or self.collector
            yield (one.code, None), _shape_of(name, chosen=("attribute",), sources=sources, limit=_bounds(one))

    def _vetoes(self, name: str) -> Iterator[tuple[Key, Shape]]:
        yield _OTHER, _shape_of(name, lists={"veto": [one.code for one in self.book.veto]})
        for one in self.book.veto:
            yield (one.code, None), _shape_of(name, chosen=("veto",), sources=_offices(one.offices))

    def _approvals(self, name: str) -> Iterator[tuple[Key, Shape]]:
        needed = any(ground.approval for item in self.book.item for ground in item.ground)
        fault: tuple[Reason, str | None, Phrase] = (Reason.WRONG_KIND, None, ("no_approvals",))
        yield _OTHER, _shape_of(name, sources=_offices([self.book.approvals]), fault=None if needed else fault)

    @property
    def _no_appeals(self) -> tuple[Reason, str | None, Phrase] | None:
        return None if self.book.roles.appeals else (Reason.WRONG_KIND, None, ("no_appeals",))

    def _appeals(self, name: str) -> Iterator[tuple[Key, Shape]]:
        yield _OTHER, _shape_of(name, fault=self._no_appeals)

    def _decisions(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """A decision has points where it revises."""
        appeals = self.book.roles.appeals
        sources = _offices([appeals] if appeals else ())
        for key, needs in ((_OTHER, ()), (("revised", None), ("points",))):
            yield key, _shape_of(name, needs=needs, sources=sources, fault=self._no_appeals)

    def _ties(self, name: str) -> Iterator[tuple[Key, Shape]]:
        grades = [grade.code for scheme in self.book.scheme for grade in scheme.grade]
        yield _OTHER, _shape_of(name, lists={"grade": grades}, sources=self.collector)

    def _adoptions(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """An adopted value is one of the reading's, or of a parameter any whole number of 0 to 999."""
        readings, sources = self.book.readings, self.collector
        yield _OTHER, _shape_of(name, lists={"reading": (*readings, *PARAMETERS)}, sources=sources)
        for parameter in PARAMETERS:
            yield (parameter, None), _shape_of(name, forms={"value": _whole_number}, sources=sources)
        for reading, values in readings.items():
            yield (reading, None), _shape_of(name, lists={"value": values}, sources=sources)

    def _changes(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """A change of a unit has the fields of its kind alone."""
        sources, lists = self.collector, {"category": [one.code for one in self.book.category]}
        forms = {"group": _group(self.book), "attributes": _attributes(self.book.attribute)}
        needs: dict[str | None, tuple[str, ...]] = {
            "joined": ("name", "category", "group", "attributes"), "renamed": ("name",), "moved": ("category", "group"),
            "left": (), None: (),
        }  # fmt: skip
        for change, own in needs.items():
            yield (change, None), _shape_of(name, lists=lists, forms=forms, needs=own, sources=sources)

    def _stages(self, name: str) -> Iterator[tuple[Key, Shape]]:
        stages = (*(stage.code for stage in self.book.stage), "finalised")
        yield _OTHER, _shape_of(name, lists={"stage": stages}, sources=self.collector)

    def _openings(self, name: str) -> Iterator[tuple[Key, Shape]]:
        yield _OTHER, _shape_of(name, forms=self.inside.forms())

    def _keys(self, name: str) -> Iterator[tuple[Key, Shape]]:
        yield _OTHER, _shape_of(name, forms={"party": self.party, "key": _nkey}, sources=self.collector)

    def _plain(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """Whose a revocation is hangs on its target alone."""
        yield _OTHER, _shape_of(name)


def _bookless(name: str, inside: _Inside) -> dict[Key, Shape]:
    """Where no rulebook is in force only the form of a type is known; an opening brings its own."""
    return {_OTHER: _shape_of(name, forms=inside.forms() if name == OPENED else None)}


def _ground_limit(ground: Ground) -> Limit:
    minimum = number(ground.min if ground.above is None else ground.above) or Decimal(0)
    return Limit(
        "points", Reason.POINTS_OUT_OF_RANGE, minimum, number(ground.max), ground.above is not None, number(ground.step)
    )


def _value_limit(minimum: str, maximum: str, step: str | None = None) -> Limit:
    return Limit("value", Reason.VALUE_OUT_OF_RANGE, number(minimum), number(maximum), step=number(step))


def _bounds(attribute: Attribute) -> Limit:
    return Limit("value", Reason.VALUE_OUT_OF_RANGE, number(attribute.min), number(attribute.max))


# What almost all lines are ------------------------------------------------------------------------------------------

_BACKSLASH, _QUOTE = ord("\\"), ord('"')


#: A deduction or rating that passes because it is of a kind that has passed: the kind's number, the line, its instant.
Known = tuple[int, Any, str]


def _plain_decoder(book: Rulebook) -> Callable[[bytes], Any]:
    """Reads entries and ratings whose codes all exist and whose texts have a length that they may have."""

    def codes(values: Iterable[str]) -> Any:
        return Literal[tuple(dict.fromkeys(values)) or ("",)]

    def all_of(part: str) -> Any:
        return codes(one.code for item in book.item for one in getattr(item, part))

    texts = {"matter": Text, "points": Text, "rater": Text, "case": Text, "value": Text, "reason": Prose}
    lists = {
        "ground": all_of("ground"),
        "node": all_of("node"),
        "group": all_of("raters"),
        "measure": all_of("measure"),
    }
    lists["period"] = codes(value for period in book.period for value in period.values)
    fields = {**lists, **texts, "evidence": Evidence}
    items = ("item", codes(item.code for item in book.item))
    optional = ((name, kind, None) for name, kind in fields.items())
    data = msgspec.defstruct("PlainData", [items, *optional], forbid_unknown_fields=True, gc=False)
    envelope = {
        "specversion": codes(["1.0"]), "id": Text, "source": codes(subjects.OFFICES + o.code for o in book.office),
        "type": codes([DEDUCTION, BONUS, RATING]), "subject": Text, "time": Text, "data": data,
    }  # fmt: skip
    return msgspec.json.Decoder(msgspec.defstruct("Plain", list(envelope.items()), gc=False)).decode


def _quotes_of(line: Any) -> int:
    """How many quotes a plain line has, but for its evidence; without a backslash no text has one."""
    *texts, _ = (getattr(line.data, name) for name in line.data.__struct_fields__)
    return 2 * (7 + 6) + 4 * sum(text is not None for text in texts)


# The check ----------------------------------------------------------------------------------------------------------


def _came_on(line: Any, subject: str) -> bool:
    topic = subjects.read_intake(subject)
    return topic is not None and topic[1:] == (subjects.party_of(line.source), line.type, line.subject)


Place = tuple[str, str]
"""A unit's category and group."""


class Checker:
    """Checks events by one rulebook and roster; messages are in `lang`. Without a rulebook only an opening passes.

    `apply` lets an admitted change of a unit, an item's office or a key take effect on what follows. `assessment` is
    the code that an opening must have, null where any will do; `accept` reads its rulebook; `began` says that what is
    checked comes after the opening, if there is one.

    Entries and ratings come by the million, and of few kinds. When one has passed, its kind is known to pass, and of
    the next of that kind only what differs is looked at; whatever is not found in order there is checked in full.
    """

    def __init__(  # noqa: PLR0913 - what a year is, and how it is spoken to
        self,
        rulebook: Rulebook | None,
        roster: Iterable[Unit],
        lang: Language = "en",
        *,
        keys: Mapping[str, str] | None = None,
        accept: Accept = soundness.read,
        assessment: str | None = None,
        began: bool = True,
    ) -> None:
        self.rulebook = rulebook
        self.lang = lang
        self._began = began
        self._inside = inside = _Inside(accept, assessment, lang)
        inside.attributes = frozenset(one.code for one in rulebook.attribute) if rulebook else None
        shapes = _Shapes(rulebook, inside, self._party) if rulebook else None
        self._offices = shapes.offices if shapes else frozenset()
        #: Of each category and group, by number, the items that do not apply to its units.
        self._barred: list[frozenset[str]] = []
        self._places: dict[Place, int] = {}
        self._units = {unit.unit: self._place(unit.category, unit.group) for unit in roster}
        self._kinds = {name: _kind(name, shapes.of(name) if shapes else _bookless(name, inside)) for name in TYPES}
        self._plain = _plain_decoder(rulebook) if rulebook and rulebook.signatures != "required" else None
        self._keys = dict(keys or {})
        self._signed = rulebook is not None and rulebook.signatures == "required"
        items = rulebook.item if rulebook else ()
        self._holders: dict[str, list[list[str]]] = {item.code: [[office] for office in item.offices] for item in items}
        self._owners = {code: _offices(last for *_, last in places) for code, places in self._holders.items()}
        self._heirs: set[tuple[str, str]] = set()
        self._passed: dict[tuple[Any, ...], tuple[int, int, bool, bool, Shape]] = {}
        self.kinds: list[Event] = []
        """The first event of each kind that has passed, by the kind's number."""

    def apply(self, change: Event) -> None:
        """Let an admitted `unit.changed`, `item.transferred` or `key.changed` take effect on what follows."""
        if change.type == "key.changed.v1":
            self._keys[change.party or ""] = change.party_key or ""
        elif change.type == "item.transferred.v1":
            self._transfer(change.item or "", change.from_office or "", change.to_office or "")
        elif change.category is not None:
            self._units[change.subject] = self._place(change.category, change.unit_group or "")

    def _place(self, category: str, group: str) -> int:
        """The number of a category and group; those to which the same items apply have one."""
        found_ = self._places.get((category, group))
        if found_ is None:
            barred = _not_of(self.rulebook, category, group)
            if barred not in self._barred:
                self._barred.append(barred)
            found_ = self._places[category, group] = self._barred.index(barred)
        return found_

    def _transfer(self, item: str, holder: str, heir: str) -> None:
        """An office's place of an item goes to another, which may revoke what any holder of that place recorded."""
        place = next(place for place in self._holders[item] if place[-1] == holder)
        self._heirs.update((subjects.OFFICES + before, subjects.OFFICES + heir) for before in place)
        place.append(heir)
        self._owners[item] = _offices(last for *_, last in self._holders[item])
        self._passed.clear()

    def check(self, raw: bytes, subject: str | None = None) -> Event | Refusal:
        """The event of a line, or why it is refused; with `subject`, the intake subject it came on is checked too."""
        known = self.known(raw)
        if known is None or not (subject is None or _came_on(known[1], subject)):
            return self.full(raw, subject)
        _, w, occurred = known
        d = w.data
        return Event(
            w.source, w.id, w.type, w.subject, w.time, occurred, d.item, d.matter, d.ground, d.node, d.points,
            d.rater, d.group, d.measure, d.case, d.period, d.value, reason=d.reason,
        )  # fmt: skip

    def known(self, raw: bytes) -> Known | None:
        """A line of a kind that has passed; null where it must be checked in full.

        A field too many, a repeated key, an attribute that the decoder skips leave quotes that are not accounted for.
        """
        plain = self._plain
        if plain is None or _BACKSLASH in raw or len(raw) > SIZE_MAX:
            return None
        try:
            line = plain(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        d = line.data
        key = (  # all that the check hangs on but the instant, one number and which texts are there
            line.type, line.source, self._units.get(line.subject), d.item, d.ground, d.node, d.group, d.measure,
            d.period,
        )  # fmt: skip
        passed = self._passed.get(key)
        if passed is None:
            return self._first(raw, line, key)
        kind, quotes, rates, more, shape = passed
        if rates:
            number = d.value
            whole = number is not None and d.rater is not None and (d.case is not None) is more and d.evidence is None
        else:
            number = d.points
            whole = d.matter is not None and d.reason is not None and (number is not None) is more
            if d.evidence is not None:
                quotes += 2 + 2 * len(d.evidence)
        if not whole or quotes != raw.count(_QUOTE):
            return None
        if number is not None and not (shape.within.get(number) or _fits(shape, number)):
            return None
        occurred = instant(line.time)
        return None if occurred is None else (kind, line, occurred)

    def _first(self, raw: bytes, line: Any, key: tuple[Any, ...]) -> Known | None:
        """Check the first of a kind in full, and know the kind from then on if it passes."""
        event = self.full(raw)
        if not isinstance(event, Event):
            return None
        shape = _shape(self._kinds[line.type], msgspec.structs.asdict(line.data))
        rates = line.type == RATING
        more = (line.data.case if rates else line.data.points) is not None
        self._passed[key] = len(self.kinds), _quotes_of(line), rates, more, shape
        self.kinds.append(event)
        return self.known(raw)

    def full(self, raw: bytes, subject: str | None = None) -> Event | Refusal:
        """The same, looking at everything."""
        wire = read(raw)
        if wire.__class__ is Fault:
            return self._refusal(wire, None, None)
        topic = None if subject is None else subjects.read_intake(subject) or subjects.Intake("", "", "", "")
        result = self._event(wire, topic, raw)
        if result.__class__ is Fault:
            return self._refusal(result, wire.source, wire.id)
        return result  # type: ignore[no-any-return]  # _event gives nothing else

    def _refusal(self, fault: Any, source: Any, id_: Any) -> Refusal:
        """A Fault in words; source and id are the strings found there."""
        reason, path, expected, seen = fault
        words = message(reason, path, expected, seen, self.lang)
        source, id_ = (text if text.__class__ is str else None for text in (source, id_))
        return Refusal(None, source, id_, reason, path, words)

    def _event(self, wire: Wire, topic: subjects.Intake | None, raw: bytes) -> Any:
        """The event of a line that is a JSON object, or its Fault."""
        kind = self._kinds.get(wire.type) if wire.type.__class__ is str else None
        occurred = instant(wire.time) if wire.time.__class__ is str else None
        fault = _envelope(wire, kind, topic) or self._reserved(wire)
        if fault is not None:
            return fault
        assert kind is not None
        if occurred is None:
            return _bad("time", ("time",), wire.time)
        if wire.data.__class__ is not dict:
            return _bad("data", ("object",), wire.data)
        data: dict[str, Any] = wire.data
        shape = _shape(kind, data)
        fault = _data(kind, shape, data, self._inside) or self._standing(kind, shape, wire, topic, raw)
        if fault is not None:
            return fault
        return kind.flat(wire, occurred)

    def _reserved(self, wire: Wire) -> Fault | None:
        """A unit that joins may have no code that means something else."""
        if wire.type != "unit.changed.v1" or wire.data.__class__ is not dict or wire.data.get("change") != "joined":
            return None
        if wire.subject == subjects.ASSESSMENT or subjects.OFFICES + wire.subject in self._offices:
            return _bad("subject", ("new_unit",), wire.subject)
        return None

    def _standing(
        self, kind: Kind, shape: Shape, wire: Wire, topic: subjects.Intake | None, raw: bytes
    ) -> Fault | None:
        """Whether the year is open; authority; what the roster and the rulebook do not have; then ranges."""
        if self.rulebook is None and kind.name != OPENED:
            return Fault(Reason.NOT_OPEN, "type", ("open",), found(kind.name))
        joins = kind.name == "unit.changed.v1" and wire.data["change"] == "joined"
        known = joins or wire.subject in self._units or (wire.subject == subjects.ASSESSMENT and kind.assessment)
        fault = self._authority(kind, shape, wire, topic, known=known) or self._signature(wire, raw)
        if fault is not None:
            return fault
        if not known:
            return Fault(Reason.UNKNOWN_UNIT, "subject", ("roster",), found(wire.subject))
        data: dict[str, Any] = wire.data
        if "units" in shape.names:
            for n, unit in enumerate(data["units"]):
                if unit not in self._units:
                    return Fault(Reason.UNKNOWN_UNIT, f"data.units[{n}]", ("roster",), found(unit))
        return self._of_rulebook(kind, shape, wire)

    def _of_rulebook(self, kind: Kind, shape: Shape, wire: Wire) -> Fault | None:
        """What the rulebook has not, or not for this unit, and what is out of its ranges."""
        data: dict[str, Any] = wire.data
        if shape.fault is not None and shape.fault[0] is Reason.UNKNOWN_ITEM:
            return _wrong(kind, shape.fault, data)
        if not kind.year and shape.item is not None and shape.item in self._barred[self._units[wire.subject]]:
            return Fault(Reason.NOT_APPLICABLE, "data.item", ("applies",), found(shape.item))
        if shape.fault is not None:
            return _wrong(kind, shape.fault, data)
        return None if shape.limit is None else _within(shape, shape.limit, data[shape.limit.name])

    def _party(self, value: Any, path: str, _: Any) -> Fault | None:
        """The form of a party: an office, or a unit that is or was on the roster."""
        if value.__class__ is str and (value in self._units or subjects.OFFICES + value in self._offices):
            return None
        return _bad(path, ("office_or_unit",), value)

    def _authority(
        self, kind: Kind, shape: Shape, wire: Wire, topic: subjects.Intake | None, *, known: bool
    ) -> Fault | None:
        """Whose the event is; what concerns a unit that does not exist is nobody's, so any known office will do."""
        source = wire.source
        if topic is not None and subjects.party_of(source) != topic.party:
            return Fault(Reason.SOURCE_NOT_AUTHORISED, "source", ("owner", topic.party), found(source))
        unit = subjects.UNITS + wire.subject
        expected: Phrase
        if kind.owner == "unit":
            own, expected = source == unit, ("only", shortened(unit).strip('"'))
        elif kind.owner == "target":
            target = wire.data["target"]["source"]
            own = source in self._offices or (wire.subject != subjects.ASSESSMENT and source == unit)
            own = own and (not known or source == target or (target, source) in self._heirs)
            expected = ("target",)
        else:
            sources = self._sources(kind, shape) if known else self._offices
            own, expected = source in sources, ("only", ", ".join(sorted(sources)) or "-")
        return None if own else Fault(Reason.SOURCE_NOT_AUTHORISED, "source", expected, found(source))

    def _sources(self, kind: Kind, shape: Shape) -> frozenset[str]:
        """The sources of a shape: those it has, the offices that hold its item, or any, where there is no such item."""
        if kind.name == OPENED:
            assert self._inside.book is not None
            return _offices([self._inside.book.roles.collector])
        if shape.item is not None:
            return self._owners[shape.item]
        return shape.sources if shape.sources is not None else self._offices

    def _signature(self, wire: Wire, raw: bytes) -> Fault | None:
        """A signature by the party's key in force; nothing is signed before the year is open."""
        if wire.type == OPENED and not self._began:
            return None
        party = subjects.party_of(wire.source) or ""
        key = self._keys.get(party)
        if key is None:
            return Fault(Reason.NOT_SIGNED, "signature", ("key", party), ("nothing",)) if self._signed else None
        if wire.signature is ABSENT and not self._signed:
            return None
        if wire.signature is not ABSENT and signatures.holds(raw, key):
            return None
        return Fault(Reason.NOT_SIGNED, "signature", ("signature", party), found(wire.signature))


def _not_of(book: Rulebook | None, category: str, group: str) -> frozenset[str]:
    """The items that do not apply, or that are under a part which does not apply, to a category and group."""
    parts = {part.code: part for part in book.part} if book else {}

    def applies(node: Any) -> bool:
        own = node.applies is None or _among(node.applies, category, group)
        return own and (node.inside is None or applies(parts[node.inside]))

    return frozenset(item.code for item in (book.item if book else ()) if not applies(item))


def _among(applies: Applies, category: str, group: str) -> bool:
    return (not applies.categories or category in applies.categories) and (
        not applies.groups or group in applies.groups
    )


def _wrong(kind: Kind, fault: tuple[Reason, str | None, Phrase], data: dict[str, Any]) -> Fault:
    """The fault that a shape has; of a wrong kind the type is what was found."""
    reason, name, expected = fault
    seen = kind.name if reason is Reason.WRONG_KIND else data[name or ""]
    return Fault(reason, f"data.{name}" if name else "type", expected, found(seen))


def content(raw: bytes) -> bytes:
    """What duplicates and conflicts are told by: type, subject, time and data of an event that passed, by value.

    Order of keys, spacing and escapes do not matter; "1" and "1.0" differ.
    """
    wire = read(raw)
    return _encode((wire.type, wire.subject, wire.time, wire.data))


class Opening(NamedTuple):
    """What an `assessment.opened` fixes: the fields of a year."""

    assessment: str
    rulebook: Rulebook
    roster: tuple[Unit, ...]
    synthetic: bool = False
    keys: Mapping[str, str] = {}


def opened(raw: bytes) -> Opening:
    """What an `assessment.opened` event that passed the check opens."""
    data: dict[str, Any] = read(raw).data
    book, units = soundness.read(data["rulebook"]), rosters.read(data["roster"])
    return Opening(data["assessment"], book, units, data.get("synthetic", False), data.get("keys", {}))


def opened_year(raw: bytes, assessment: str | None = None) -> Year | None:
    """The year that a ledger's first event opens, null when it is no opening."""
    event = Checker(None, (), assessment=assessment).check(raw)
    return Year(*opened(raw)) if isinstance(event, Event) else None


def _envelope(  # noqa: PLR0911 - one return a fault
    wire: Wire, kind: Kind | None, topic: subjects.Intake | None
) -> Fault | None:
    """The attributes, in the order of the checks: those that make it an event, its type, its subject."""
    id_, source = wire.id, wire.source
    if wire.specversion != "1.0":
        return Fault(Reason.NOT_CLOUDEVENT, "specversion", ("value", '"1.0"'), found(wire.specversion))
    if id_.__class__ is not str or not 0 < len(id_) <= TEXT_MAX:
        return _not_event("id", id_)
    if source.__class__ is not str or not 0 < len(source) <= TEXT_MAX:
        return _not_event("source", source)
    if kind is None:
        return _no_kind(wire.type)
    if topic is not None and topic.type != wire.type:
        return _bad("type", ("token", shortened(topic.type)), wire.type)
    subject = wire.subject
    if kind.year and subject != subjects.ASSESSMENT:
        return _bad("subject", ("value", f'"{subjects.ASSESSMENT}"'), subject)
    if subject.__class__ is not str or not subjects.PARTY.fullmatch(subject):
        return _bad("subject", ("party",), subject)
    if topic is not None and topic.subject != subject:
        return _bad("subject", ("token", shortened(topic.subject)), subject)
    return None


def _not_event(path: str, value: Any) -> Fault:
    return Fault(Reason.NOT_CLOUDEVENT, path, ("text", TEXT_MAX), found(value))


def _no_kind(value: Any) -> Fault:
    """What is wrong with a type that no event has."""
    if value.__class__ is not str or not 0 < len(value) <= TEXT_MAX:
        return _not_event("type", value)
    return Fault(Reason.UNKNOWN_TYPE, "type", ("one_of", ", ".join(TYPES)), found(value))


def _shape(kind: Kind, data: dict[str, Any]) -> Shape:
    """The shape that an event's data choose, or that of what is not known."""
    first, second = data.get(kind.first), data.get(kind.second)
    if first.__class__ is not str:
        return kind.shapes[None, None]
    if second.__class__ is not str:
        second = None
    shapes = kind.shapes
    return shapes.get((first, second)) or shapes.get((first, None)) or shapes[None, None]


def _data(kind: Kind, shape: Shape, data: dict[str, Any], inside: _Inside) -> Fault | None:
    """The fields of data, in their order, then those that have no place in it."""
    strange = len(data) - shape.chosen
    for path, name, required, most, form in shape.fields:
        if name in data:
            value = data[name]
            strange -= 1
            if value.__class__ is str and 0 < len(value) <= most:
                continue
        elif required:
            value = ABSENT
        else:
            continue
        fault = form(value, path, data)
        if fault is not None:
            return fault
    if not strange and kind.nested is None:
        return None
    unknown = min(_unknown(kind, shape, data, inside), default=None)
    if unknown is None:
        return None
    return Fault(Reason.UNKNOWN_FIELD, unknown[0], ("only", ", ".join(sorted(shape.names))), found(unknown[1]))


def _unknown(kind: Kind, shape: Shape, data: dict[str, Any], inside: _Inside) -> Iterator[tuple[str, str]]:
    """Path and name of every field that has no place, also inside a reference, attributes and the rows of a roster."""
    yield from ((f"data.{name}", name) for name in data if name not in shape.names)
    own = data.get(kind.nested or "", {})
    if kind.nested == "roster":
        yield from inside.unknown(own)
    elif kind.nested in shape.names:
        known = inside.attributes if kind.nested == "attributes" else ("source", "id")
        if known is not None:
            yield from ((f"data.{kind.nested}.{name}", name) for name in own if name not in known)


def _fits(shape: Shape, number: str) -> bool:
    return shape.limit is not None and _is_decimal(number) and _within(shape, shape.limit, number) is None


def _within(shape: Shape, limit: Limit, value: Any) -> Fault | None:
    """Whether a number lies in its range; remembered, since the same few numbers come again and again."""
    within = shape.within.get(value)
    if within is None:
        if len(shape.within) >= _MEMO_MAX:
            shape.within.clear()
        within = shape.within[value] = limit.holds(value)
    return None if within else Fault(limit.reason, f"data.{limit.name}", ("range", limit.words()), found(value))
