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
from schemas import rulebook as rulebooks
from schemas import subjects
from schemas.events import (
    CHARACTERS_MAX,
    DECIMAL,
    DEPTH_MAX,
    OPENED,
    OPENED_SIZE_MAX,
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
from schemas.rulebook import Item, Rulebook, RulebookError
from schemas.year import Year

__all__ = ["Checker", "Event", "Refusal", "opened", "opened_year", "read"]


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


def _points(value: Any, path: str, _: Any) -> Fault | None:
    if value.__class__ is str and _is_decimal(value):
        return None
    return _bad(path, ("decimal",), value)


def _count(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is int and value >= 0 else _bad(path, ("integer",), value)


def _code(value: Any, path: str, _: Any) -> Fault | None:
    return None if value.__class__ is str and subjects.CODE.fullmatch(value) else _bad(path, ("code",), value)


def _one_of(values: tuple[str, ...]) -> Form:
    """A code of a list."""
    codes = frozenset(values)

    def form(value: Any, path: str, _: Any) -> Fault | None:
        if value.__class__ is str and value in codes:
            return None
        return _bad(path, ("one_of", ", ".join(values)), value)

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


def _rulebook(value: Any, path: str, _: Any) -> Fault | None:
    try:
        rulebooks.read(value)
    except RulebookError as error:
        return Fault(Reason.BAD_FIELD, path, ("fault",), ("value", cut(str(error))))
    return None


def _roster(value: Any, path: str, data: dict[str, Any]) -> Fault | None:
    """Looked at after the rulebook, which is whole by then and names the categories."""
    categories = [category["code"] for category in data["rulebook"]["category"]]
    for row, key, words in rosters.faults(value, categories):
        place = path + (f"[{row}]" if row is not None else "") + (f".{key}" if key else "")
        return Fault(Reason.BAD_FIELD, place, ("fault",), ("value", cut(words)))
    return None


class Field(NamedTuple):
    """A field of data; of a plain text only `most`, its length, need be looked at."""

    path: str
    name: str
    required: bool
    most: int
    form: Form


def _field(field: inspect.Field) -> Field:
    """The form of a field as `schemas.events` declares it."""
    kind: Any = field.type
    special: dict[str, Form] = {
        "units": _units, "target": _reference, "appeal": _reference, "rulebook": _rulebook, "roster": _roster,
        "assessment": _code, "characters": _count,
    }  # fmt: skip
    most, form = 0, special.get(field.name)
    if form is None and isinstance(kind, inspect.LiteralType):
        form = _one_of(tuple(map(str, kind.values)))
    elif form is None and field.name == "evidence":
        form = _entries(kind.max_length, kind.item_type.max_length)
    elif form is None and kind.pattern == DECIMAL:
        form = _points
    elif form is None:
        most, form = kind.max_length, partial(_text, kind.max_length)
    assert form is not None
    return Field(f"data.{field.name}", field.name, field.required, most, form)


FIELDS: dict[str, tuple[Field, ...]] = {
    name: tuple(map(_field, cast("inspect.StructType", inspect.type_info(data)).fields)) for name, data in TYPES.items()
}

# What the rulebook asks ---------------------------------------------------------------------------------------------


class Limit(NamedTuple):
    """A range that a decimal or a number must lie in, both ends included but `above`."""

    name: str
    reason: Reason
    minimum: Decimal
    maximum: Decimal
    above: bool = False
    step: Decimal | None = None

    def holds(self, value: Any) -> bool:
        """Whether it does; exact, whatever the number of digits."""
        number = Decimal(value)
        if not self.minimum <= number <= self.maximum or (self.above and number == self.minimum):
            return False
        return not self.step or (number - self.minimum) % self.step == 0

    def words(self) -> str:
        """The range as it is written in a message."""
        words = f"{self.minimum} {'<' if self.above else '<='} {self.name} <= {self.maximum}"
        return words + (f", step {self.step}" if self.step else "")


class Shape(msgspec.Struct, frozen=True):
    """What an event of one type must be once the fields that decide it (item, ground, …) are known."""

    fields: tuple[tuple[str, str, bool, int, Form], ...]  # plain tuples of Field: they unpack faster
    chosen: int
    names: frozenset[str]
    sources: frozenset[str]
    fault: tuple[Reason, str, Phrase] | None
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


def _deducted(w: Wire, occurred: str) -> Event:
    get: Callable[[str], Any] = w.data.get
    return Event(
        w.source, w.id, w.type, w.subject, w.time, occurred,
        get("item"), get("matter"), get("ground"), get("node"), get("points"), reason=get("reason"),
    )  # fmt: skip


def _rated(w: Wire, occurred: str) -> Event:
    get: Callable[[str], Any] = w.data.get
    return Event(
        w.source, w.id, w.type, w.subject, w.time, occurred, get("item"), None, None, None, None,
        get("rater"), get("group"), get("component"), get("case"), get("value"),
    )  # fmt: skip


def _flat(columns: Callable[[dict[str, Any]], dict[str, Any]]) -> Flat:
    """Make events of the columns that data give by name."""
    return lambda w, occurred: Event(w.source, w.id, w.type, w.subject, w.time, occurred, **columns(w.data))


def _target(target: dict[str, str], reason: str) -> dict[str, Any]:
    return {"target_source": target["source"], "target_id": target["id"], "reason": reason}


_same = _flat(lambda data: data)
_TRAITS: dict[str, Traits] = {
    "deduction.recorded.v1": Traits("item", _deducted, "item", "ground"),
    "rating.recorded.v1": Traits("item", _rated, "item", "component"),
    "submission.recorded.v1": Traits("submissions", _same, "item"),
    "item.exempted.v1": Traits("item", _same, "item"),
    "item.closed.v1": Traits("item", _same, "item"),
    "event.revoked.v1": Traits("target", _flat(lambda data: _target(**data)), nested="target"),
    "appeal.filed.v1": Traits("unit", _flat(lambda data: _target(data["target"], data["statement"])), nested="target"),
    "appeal.decided.v1": Traits(
        "appeals",
        _flat(lambda d: {**_target(d["appeal"], d["reason"]), "outcome": d["outcome"], "points": d.get("points")}),
        "outcome",
        nested="appeal",
    ),
    "tie.resolved.v1": Traits("collector", _flat(lambda data: {**data, "units": tuple(data["units"])})),
    "reading.adopted.v1": Traits(
        "collector",
        _flat(lambda d: {"reading": d["reading"], "reading_value": d["value"], "reason": d["reason"]}),
        "reading",
    ),
    "stage.reached.v1": Traits("collector", _same),
    OPENED: Traits("collector", _flat(lambda _: {}), nested="roster"),
}


def _kind(name: str, shapes: dict[tuple[Any, Any], Shape]) -> Kind:
    owner, flat, first, second, nested = _TRAITS[name]
    year = name in YEAR
    return Kind(name, owner, first, second, nested, year, year or owner == "target", flat, shapes)


def _offices(codes: tuple[str | None, ...]) -> frozenset[str]:
    return frozenset(f"{subjects.OFFICES}{code}" for code in codes)


class _Shapes:
    """The shapes that a rulebook gives each type, made once when a checker is made."""

    def __init__(self, book: Rulebook) -> None:
        self.book = book
        self.items = book.items()
        self.owners = {code: _offices(item.offices) for code, item in self.items.items()}
        roles = book.roles
        self.roles = {
            "submissions": self.owners[roles.submissions.item or ""],
            "appeals": _offices((roles.appeals.office,)),
            "collector": _offices((roles.collector.office,)),
        }
        self.offices = _offices(tuple(office.code for office in book.office))

    def of(self, name: str) -> dict[tuple[Any, Any], Shape]:
        """Shapes of a type by the two fields that choose them; (None, None) is that of what is not known."""
        makers = {"deduction.recorded.v1": self._deductions, "rating.recorded.v1": self._ratings,
                  "appeal.decided.v1": self._decisions, "reading.adopted.v1": self._adoptions}  # fmt: skip
        if name in makers:
            return dict(makers[name](name))
        owner, first = _TRAITS[name].owner, _TRAITS[name].first
        if first == "item":
            return dict(self._of_items(name, owner))
        lists = {"award": tuple(award.code for award in self.book.award)} if name == "tie.resolved.v1" else {}
        return {(None, None): self._shape(name, lists=lists, sources=self.roles.get(owner))}

    def _shape(  # noqa: PLR0913 - all but the name are optional traits
        self,
        name: str,
        *,
        lists: Mapping[str, tuple[str, ...]] | None = None,
        forms: Mapping[str, Form] | None = None,
        chosen: tuple[str, ...] = (),
        needs: tuple[str, ...] | None = None,
        sources: frozenset[str] | None = None,
        fault: tuple[Reason, str, Phrase] | None = None,
        limit: Limit | None = None,
    ) -> Shape:
        """A shape; `needs` names those it has of the fields that not every event of the type has (null: any may be).

        `chosen` are the fields that chose the shape and so have been looked at.
        """
        own: dict[str, Form] = {key: _one_of(values) for key, values in (lists or {}).items()}
        own.update(forms or {})
        fields = []
        for field in FIELDS[name]:
            if field.required or field.name == "evidence" or needs is None or field.name in needs:
                required = field.required or field.name in (needs or ())
                form = own.get(field.name)
                most = 0 if form else field.most
                fields.append(field._replace(required=required, most=most, form=form or field.form))
        names = frozenset(field.name for field in fields)
        fields = [field for field in fields if field.name not in chosen]
        looked_at = tuple((*field,) for field in fields)
        return Shape(looked_at, len(chosen), names, sources or self.offices, fault, limit, {})

    def _unknown_item(self) -> tuple[Reason, str, Phrase]:
        return Reason.UNKNOWN_ITEM, "item", ("rulebook",)

    def _all(self, part: str) -> tuple[str, ...]:
        """The codes of a list (node, component, group) over all items."""
        return tuple(dict.fromkeys(one.code for item in self.book.item for one in getattr(item, part)))

    def _own(self, item: Item, *parts: str) -> dict[str, tuple[str, ...]]:
        """The codes of an item's lists, and of all items' where it has none."""
        return {part: tuple(one.code for one in getattr(item, part)) or self._all(part) for part in parts}

    def _deductions(self, name: str) -> Iterator[tuple[tuple[Any, Any], Shape]]:
        """A deduction has points where its ground has a range, and a node where its item has nodes."""
        yield (None, None), self._shape(name, lists={"node": self._all("node")}, fault=self._unknown_item())
        for item in self.book.item:
            lists, owners = self._own(item, "node"), self.owners[item.code]
            grounds = tuple(ground.code for ground in item.ground)
            if item.method == "deduct":
                fault: tuple[Reason, str, Phrase] = (Reason.UNKNOWN_GROUND, "ground", ("one_of", ", ".join(grounds)))
            else:
                fault = Reason.WRONG_KIND, "item", ("value", "rating.recorded.v1")
            yield (item.code, None), self._shape(name, lists=lists, chosen=("item",), sources=owners, fault=fault)
            for ground in item.ground:
                needs = (("points",) if ground.max else ()) + (("node",) if item.node else ())
                limit = _ground_limit(ground) if ground.max else None
                chosen = ("item", "ground")
                shape = self._shape(name, lists=lists, chosen=chosen, needs=needs, sources=owners, limit=limit)
                yield (item.code, ground.code), shape

    def _ratings(self, name: str) -> Iterator[tuple[tuple[Any, Any], Shape]]:
        """A rating has a group, a component or a case where its item has them; each component is a rate of 0 to 1."""
        lists = {part: self._all(part) for part in ("group", "component")}
        yield (None, None), self._shape(name, lists=lists, fault=self._unknown_item())
        for item in self.book.item:
            needs = tuple(part for part in ("group", "component") if getattr(item, part))
            needs += ("case",) if self._has_cases(item) else ()
            deduct = (Reason.WRONG_KIND, "item", ("value", "deduction.recorded.v1"))
            shape = partial(
                self._shape, name, lists=self._own(item, "group", "component"), chosen=("item",), needs=needs,
                sources=self.owners[item.code], fault=deduct if item.method == "deduct" else None,
            )  # fmt: skip
            span = _value_limit(item.value.min, item.value.max) if item.value else None
            yield (item.code, None), shape(limit=span)
            for part in item.component:
                yield (item.code, part.code), shape(limit=_value_limit("0", "1", "1" if part.binary else None))

    def _has_cases(self, item: Item) -> bool:
        rule = item.rules.get("cases", "one")
        return "best" in (self.book.readings()[rule[1:]] if rule.startswith("@") else (rule,))

    def _of_items(self, name: str, owner: str) -> Iterator[tuple[tuple[Any, Any], Shape]]:
        """Types that know their item alone; a submission has an item and an owner of its own."""
        sources = self.roles.get(owner)
        yield (None, None), self._shape(name, sources=sources, fault=self._unknown_item())
        home = self.book.roles.submissions.item
        for item in self.book.item:
            fault: tuple[Reason, str, Phrase] | None = None
            limit = None
            if owner == "submissions":
                fault = (Reason.WRONG_KIND, "item", ("value", shortened(home))) if item.code != home else None
                most = Decimal(item.characters.value) if item.characters else Decimal(CHARACTERS_MAX)
                limit = Limit("characters", Reason.VALUE_OUT_OF_RANGE, Decimal(0), most)
            owners = sources or self.owners[item.code]
            yield (item.code, None), self._shape(name, chosen=("item",), sources=owners, fault=fault, limit=limit)

    def _decisions(self, name: str) -> Iterator[tuple[tuple[Any, Any], Shape]]:
        """A decision has points where it revises."""
        sources = self.roles["appeals"]
        yield (None, None), self._shape(name, needs=(), sources=sources)
        yield ("revised", None), self._shape(name, needs=("points",), sources=sources)

    def _adoptions(self, name: str) -> Iterator[tuple[tuple[Any, Any], Shape]]:
        """An adopted value is one of the reading's, or of a parameter any whole number of 0 to 999."""
        readings, sources = self.book.readings(), self.roles["collector"]
        names = (*readings, *(parameter.name for parameter in self.book.parameter))
        yield (None, None), self._shape(name, lists={"reading": names}, sources=sources)
        for reading, values in readings.items():
            yield (reading, None), self._shape(name, lists={"value": values}, sources=sources)
        for parameter in self.book.parameter:
            yield (parameter.name, None), self._shape(name, forms={"value": _whole_number}, sources=sources)


def _ground_limit(ground: rulebooks.Ground) -> Limit:
    above = ground.above is not None
    minimum = Decimal((ground.above if above else ground.min) or 0)
    step = Decimal(ground.step) if ground.step else None
    return Limit("points", Reason.POINTS_OUT_OF_RANGE, minimum, Decimal(ground.max or 0), above, step)


def _value_limit(minimum: str, maximum: str, step: str | None = None) -> Limit:
    limits = Decimal(minimum), Decimal(maximum)
    return Limit("value", Reason.VALUE_OUT_OF_RANGE, *limits, step=Decimal(step) if step else None)


# What almost all lines are ------------------------------------------------------------------------------------------

_BACKSLASH, _QUOTE = ord("\\"), ord('"')


#: A deduction or rating that passes because it is of a kind that has passed: the kind's number, the line, its instant.
Known = tuple[int, Any, str]


def _plain_decoder(book: Rulebook, roster: tuple[Unit, ...]) -> Callable[[bytes], Any]:
    """Reads deductions and ratings whose codes all exist and whose texts have a length that they may have."""

    def codes(values: Iterable[str]) -> Any:
        return Literal[tuple(dict.fromkeys(values)) or ("",)]

    def all_of(part: str) -> Any:
        return codes(one.code for item in book.item for one in getattr(item, part))

    texts = {"matter": Text, "points": Text, "rater": Text, "case": Text, "value": Text, "reason": Prose}
    lists = {"ground": all_of("ground"), "node": all_of("node"), "group": all_of("group")}
    lists["component"] = all_of("component")
    fields = {**lists, **texts, "evidence": Evidence}
    items = ("item", codes(item.code for item in book.item))
    optional = ((name, kind, None) for name, kind in fields.items())
    data = msgspec.defstruct("PlainData", [items, *optional], forbid_unknown_fields=True, gc=False)
    envelope = {
        "specversion": codes(["1.0"]), "id": Text, "source": codes(subjects.OFFICES + o.code for o in book.office),
        "type": codes(["deduction.recorded.v1", "rating.recorded.v1"]), "subject": codes(unit.unit for unit in roster),
        "time": Text, "data": data,
    }  # fmt: skip
    return msgspec.json.Decoder(msgspec.defstruct("Plain", list(envelope.items()), gc=False)).decode


def _quotes_of(line: Any) -> int:
    """How many quotes a plain line has, but for the entries of its evidence; without a backslash no text has one."""
    *texts, evidence = (getattr(line.data, name) for name in line.data.__struct_fields__)
    return 2 * (7 + 6) + 4 * sum(text is not None for text in texts) + 2 * (evidence is not None)


# The check ----------------------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder(order="sorted").encode


def _came_on(line: Any, subject: str) -> bool:
    topic = subjects.read_intake(subject)
    return topic is not None and topic[1:] == (subjects.party_of(line.source), line.type, line.subject)


class Checker:
    """Checks events by one rulebook and roster; messages are in `lang`.

    Deductions and ratings come by the million, and of few kinds. When one has passed, its kind is known to pass, and of
    the next of that kind only what differs is looked at; whatever is not found in order there is checked in full.
    """

    def __init__(self, rulebook: Rulebook, roster: tuple[Unit, ...], lang: Language = "en") -> None:
        self.rulebook = rulebook
        self.lang = lang
        shapes = _Shapes(rulebook)
        self._offices = shapes.offices
        self._units = frozenset(unit.unit for unit in roster)
        self._kinds = {name: _kind(name, shapes.of(name)) for name in TYPES}
        self._plain = _plain_decoder(rulebook, roster)
        self._passed: dict[tuple[Any, ...], tuple[int, int, Shape]] = {}
        self.kinds: list[Event] = []
        """The first event of each kind that has passed, by the kind's number."""

    def check(self, raw: bytes, subject: str | None = None) -> Event | Refusal:
        """The event of a line, or why it is refused; with `subject`, the intake subject it came on is checked too."""
        known = self.known(raw)
        if known is None or not (subject is None or _came_on(known[1], subject)):
            return self.full(raw, subject)
        _, w, occurred = known
        d = w.data
        return Event(
            w.source, w.id, w.type, w.subject, w.time, occurred, d.item, d.matter, d.ground, d.node, d.points,
            d.rater, d.group, d.component, d.case, d.value, reason=d.reason,
        )  # fmt: skip

    def known(self, raw: bytes) -> Known | None:
        """A line of a kind that has passed; null where it must be checked in full.

        A repeated key or an attribute that the decoder skips leaves quotes that are not accounted for.
        """
        if _BACKSLASH in raw or len(raw) > SIZE_MAX:
            return None
        try:
            line = self._plain(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        d = line.data
        key = (  # all that the check hangs on but the instant and one number
            line.type, line.source, d.item, d.ground, d.node, d.group, d.component, d.matter is None, d.points is None,
            d.rater is None, d.case is None, d.value is None, d.reason is None, d.evidence is None,
        )  # fmt: skip
        passed = self._passed.get(key)
        if passed is None:
            return self._first(raw, line, key)
        kind, quotes, shape = passed
        number = d.value if d.points is None else d.points
        if number is not None and not (shape.within.get(number) or _fits(shape, number)):
            return None
        if quotes + (2 * len(d.evidence) if d.evidence else 0) != raw.count(_QUOTE):
            return None
        occurred = instant(line.time)
        return None if occurred is None else (kind, line, occurred)

    def _first(self, raw: bytes, line: Any, key: tuple[Any, ...]) -> Known | None:
        """Check the first of a kind in full, and know the kind from then on if it passes."""
        event = self.full(raw)
        if not isinstance(event, Event):
            return None
        shape = _shape(self._kinds[line.type], msgspec.structs.asdict(line.data))
        self._passed[key] = len(self.kinds), _quotes_of(line), shape
        self.kinds.append(event)
        return self.known(raw)

    def full(self, raw: bytes, subject: str | None = None) -> Event | Refusal:
        """The same, looking at everything."""
        wire = read(raw)
        if wire.__class__ is Fault:
            return self._refusal(wire, None, None)
        topic = None if subject is None else subjects.read_intake(subject) or subjects.Intake("", "", "", "")
        result = self._event(wire, topic)
        if result.__class__ is Fault:
            return self._refusal(result, wire.source, wire.id)
        return result  # type: ignore[no-any-return]  # _event gives nothing else

    def _refusal(self, fault: Any, source: Any, id_: Any) -> Refusal:
        """A Fault in words; source and id are the strings found there."""
        reason, path, expected, seen = fault
        words = message(reason, path, expected, seen, self.lang)
        source, id_ = (text if text.__class__ is str else None for text in (source, id_))
        return Refusal(None, source, id_, reason, path, words)

    def _event(self, wire: Wire, topic: subjects.Intake | None) -> Any:
        """The event of a line that is a JSON object, or its Fault."""
        kind = self._kinds.get(wire.type) if wire.type.__class__ is str else None
        occurred = instant(wire.time) if wire.time.__class__ is str else None
        fault = _envelope(wire, kind, topic, occurred)
        if fault is not None:
            return fault
        assert kind is not None
        assert occurred is not None
        data: dict[str, Any] = wire.data
        shape = _shape(kind, data)
        fault = _data(kind, shape, data) or self._standing(kind, shape, wire, topic)
        if fault is not None:
            return fault
        return kind.flat(wire, occurred)

    def _standing(self, kind: Kind, shape: Shape, wire: Wire, topic: subjects.Intake | None) -> Fault | None:
        """Authority, then what the roster and the rulebook do not have, then ranges."""
        known = wire.subject in self._units or (wire.subject == subjects.ASSESSMENT and kind.assessment)
        if not self._authorised(kind, shape, wire, known) or (
            topic is not None and subjects.party_of(wire.source) != topic.party
        ):
            return self._unauthorised(kind, shape, wire, topic)
        if not known:
            return Fault(Reason.UNKNOWN_UNIT, "subject", ("roster",), found(wire.subject))
        data: dict[str, Any] = wire.data
        if kind.owner == "collector" and "units" in shape.names:
            for n, unit in enumerate(data["units"]):
                if unit not in self._units:
                    return Fault(Reason.UNKNOWN_UNIT, f"data.units[{n}]", ("roster",), found(unit))
        if shape.fault is not None:
            reason, name, expected = shape.fault
            seen = kind.name if reason is Reason.WRONG_KIND else data[name]
            return Fault(reason, f"data.{name}", expected, found(seen))
        return None if shape.limit is None else _within(shape, shape.limit, data[shape.limit.name])

    def _authorised(self, kind: Kind, shape: Shape, wire: Wire, known: bool) -> bool:
        """Whose the event is; what concerns a unit that does not exist is nobody's, so any known office will do."""
        if kind.owner == "unit":
            return wire.source == subjects.UNITS + wire.subject
        if kind.owner == "target":
            if known and wire.source != wire.data["target"]["source"]:
                return False
            own = wire.subject != subjects.ASSESSMENT and wire.source == subjects.UNITS + wire.subject
            return own or wire.source in self._offices
        return wire.source in (shape.sources if known else self._offices)

    def _unauthorised(self, kind: Kind, shape: Shape, wire: Wire, topic: subjects.Intake | None) -> Fault:
        """Names the sources that may send the event, or that its subject lets through."""
        if topic is not None and subjects.party_of(wire.source) != topic.party:
            expected: Phrase = ("party", topic.party)
        elif kind.owner == "unit":
            expected = ("only", subjects.UNITS + shortened(wire.subject).strip('"'))
        elif kind.owner == "target":
            expected = ("target",)
        else:
            expected = ("only", ", ".join(sorted(shape.sources)))
        return Fault(Reason.SOURCE_NOT_AUTHORISED, "source", expected, found(wire.source))


def content(raw: bytes) -> bytes:
    """What duplicates and conflicts are told by: type, subject, time and data of an event that passed, by value.

    Order of keys, spacing and escapes do not matter; "1" and "1.0" differ.
    """
    wire = read(raw)
    return _encode((wire.type, wire.subject, wire.time, wire.data))


def opened(raw: bytes) -> tuple[str, Rulebook, tuple[Unit, ...]]:
    """The assessment, rulebook and roster of an `assessment.opened` event that passed the check."""
    data: dict[str, Any] = read(raw).data
    return data["assessment"], rulebooks.read(data["rulebook"]), rosters.read(data["roster"])


def opened_year(raw: bytes, year: Year) -> Year | None:
    """The year that a ledger's first event opens, null when it is no opening."""
    event = Checker(year.rulebook, year.roster).check(raw)
    if not isinstance(event, Event) or event.type != OPENED:
        return None
    return Year(*opened(raw))


def _envelope(  # noqa: PLR0911 - one return a fault
    wire: Wire, kind: Kind | None, topic: subjects.Intake | None, occurred: str | None
) -> Fault | None:
    """The attributes, in the order of the checks: those that make it an event, its type, its subject, time and data."""
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
    if subject.__class__ is not str or not 0 < len(subject) <= TEXT_MAX:
        return _bad("subject", ("text", TEXT_MAX), subject)
    if kind.year and subject != subjects.ASSESSMENT:
        return _bad("subject", ("value", f'"{subjects.ASSESSMENT}"'), subject)
    if topic is not None and topic.subject != subject:
        return _bad("subject", ("token", shortened(topic.subject)), subject)
    if occurred is None:
        return _bad("time", ("time",), wire.time)
    return None if wire.data.__class__ is dict else _bad("data", ("object",), wire.data)


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


def _data(kind: Kind, shape: Shape, data: dict[str, Any]) -> Fault | None:
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
    unknown = min(_unknown(kind, shape, data), default=None)
    if unknown is None:
        return None
    return Fault(Reason.UNKNOWN_FIELD, unknown[0], ("only", ", ".join(sorted(shape.names))), found(unknown[1]))


def _unknown(kind: Kind, shape: Shape, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and name of every field that has no place, also inside a reference and in the rows of a roster."""
    yield from ((f"data.{name}", name) for name in data if name not in shape.names)
    if kind.nested == "roster":
        for n, row in enumerate(data["roster"]):
            yield from ((f"data.roster[{n}].{name}", name) for name in row if name not in rosters.FIELDS)
    elif kind.nested:
        own = data[kind.nested]
        yield from ((f"data.{kind.nested}.{name}", name) for name in own if name not in ("source", "id"))


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
