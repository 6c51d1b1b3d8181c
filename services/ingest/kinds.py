"""What each type of event is: who owns it, its envelope, its data field by field, and the flat event made of it."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from schemas import subjects
from schemas.events import ERASED, OPENED, TEXT_MAX, TYPES, YEAR, Event
from schemas.refusals import ABSENT, Phrase, Reason, found, shortened
from services.ingest.forms import Inside, bad
from services.ingest.line import Fault, Wire
from services.ingest.shapes import Shape

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
        "attributes": None if attributes is None else encode(attributes).decode(),
    }


#: What a value beyond the size of its column is kept at: the largest.
_LARGEST = Decimal(10**18 - 1).scaleb(-6)


def _kept(value: str) -> str:
    """A value, or the largest where it is beyond that: only facts and values without a range may be."""
    return value if len(value) <= 12 or abs(Decimal(value)) <= _LARGEST else str(_LARGEST.copy_sign(Decimal(value)))


def _fact(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "value": _kept(data["value"])}


encode = msgspec.json.Encoder(order="sorted").encode
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
    ERASED: Traits("collector", _flat(lambda data: _target(**data)), nested="target"),
    OPENED: Traits("collector", _flat(lambda _: {}), nested="roster"),
}


def kind_of(name: str, shapes: dict[tuple[Any, Any], Shape]) -> Kind:
    """The kind of a type, with the shapes that a rulebook gives it."""
    owner, flat, first, second, nested = _TRAITS[name]
    year = name in YEAR
    about_year = year or owner == "target" or name == ERASED
    return Kind(name, owner, first, second, nested, year, about_year, flat, shapes)


def chosen(kind: Kind, data: dict[str, Any]) -> Shape:
    """The shape that an event's data choose, or that of what is not known."""
    first, second = data.get(kind.first), data.get(kind.second)
    if first.__class__ is not str:
        return kind.shapes[None, None]
    if second.__class__ is not str:
        second = None
    shapes = kind.shapes
    return shapes.get((first, second)) or shapes.get((first, None)) or shapes[None, None]


def envelope_fault(  # noqa: PLR0911 - one return a fault
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
        return bad("type", ("token", shortened(topic.type)), wire.type)
    subject = wire.subject
    if kind.year and subject != subjects.ASSESSMENT:
        return bad("subject", ("value", f'"{subjects.ASSESSMENT}"'), subject)
    if subject.__class__ is not str or not subjects.PARTY.fullmatch(subject):
        return bad("subject", ("party",), subject)
    if topic is not None and topic.subject != subject:
        return bad("subject", ("token", shortened(topic.subject)), subject)
    return None


def _not_event(path: str, value: Any) -> Fault:
    return Fault(Reason.NOT_CLOUDEVENT, path, ("text", TEXT_MAX), found(value))


def _no_kind(value: Any) -> Fault:
    """What is wrong with a type that no event has."""
    if value.__class__ is not str or not 0 < len(value) <= TEXT_MAX:
        return _not_event("type", value)
    return Fault(Reason.UNKNOWN_TYPE, "type", ("one_of", ", ".join(TYPES)), found(value))


def wrong(kind: Kind, fault: tuple[Reason, str | None, Phrase], data: dict[str, Any]) -> Fault:
    """The fault that a shape has; of a wrong kind the type is what was found."""
    reason, name, expected = fault
    seen = kind.name if reason is Reason.WRONG_KIND else data[name or ""]
    return Fault(reason, f"data.{name}" if name else "type", expected, found(seen))


def data_fault(kind: Kind, shape: Shape, data: dict[str, Any], inside: Inside) -> Fault | None:
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


def _unknown(kind: Kind, shape: Shape, data: dict[str, Any], inside: Inside) -> Iterator[tuple[str, str]]:
    """Path and name of every field that has no place, also inside a reference, attributes and the rows of a roster."""
    yield from ((f"data.{name}", name) for name in data if name not in shape.names)
    own = data.get(kind.nested or "", {})
    if kind.nested == "roster":
        yield from inside.unknown(own)
    elif kind.nested in shape.names:
        known = inside.attributes if kind.nested == "attributes" else ("source", "id")
        if known is not None:
            yield from ((f"data.{kind.nested}.{name}", name) for name in own if name not in known)
