"""What a rulebook asks of each type of event: fields, lists, owners and ranges, by the fields that decide them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from schemas import subjects
from schemas.events import ERASED, OPENED
from schemas.refusals import Phrase, Reason, found
from schemas.rulebook import PARAMETERS, Ground, Item, Rulebook, number
from schemas.texts import fields as fields_of
from services.ingest.forms import (
    FIELDS,
    MEMO_MAX,
    Form,
    Inside,
    Limit,
    attributes_of,
    bounds,
    group_of,
    is_decimal,
    nkey,
    one_of,
    token,
    whole_number,
)
from services.ingest.line import Fault

DEDUCTION, BONUS, RATING = "deduction.recorded.v1", "bonus.recorded.v1", "rating.recorded.v1"


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


Key = tuple[Any, Any]
_OTHER: Key = (None, None)
"""The shape of what is not known."""
_NO_ITEM: tuple[Reason, str | None, Phrase] = (Reason.UNKNOWN_ITEM, "item", ("rulebook",))


def sources_of(codes: Iterable[str]) -> frozenset[str]:
    """The sources of offices."""
    return frozenset(f"{subjects.OFFICES}{code}" for code in codes)


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
    own: dict[str, Form] = {key: one_of(tuple(values)) for key, values in (lists or {}).items()}
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


def _apart(shape: Shape, names: list[str]) -> Shape:
    """The same shape, where these fields stand out of line and so hold tokens."""
    fields = ((path, name, must, 0, token) if name in names else (path, name, must, most, form)
              for path, name, must, most, form in shape.fields)  # fmt: skip
    return msgspec.structs.replace(shape, fields=tuple(fields))


_OPTIONAL = frozenset({"evidence", "synthetic", "keys"})


class Shapes:
    """The shapes that a rulebook gives each type, made once when a checker is made."""

    def __init__(self, book: Rulebook, inside: Inside, party: Form) -> None:
        self.book, self.inside, self.party = book, inside, party
        self.offices = sources_of(office.code for office in book.office)
        self.collector = sources_of([book.roles.collector])
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
            "stage.reached.v1": self._stages, ERASED: self._erasures, OPENED: self._openings,
        }  # fmt: skip
        apart = fields_of(name, self.book.out_of_line)
        return {key: _apart(shape, apart) if apart else shape for key, shape in makers[name](name)}

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
            sources = sources_of(one.offices) or self.collector
            yield (one.code, None), _shape_of(name, chosen=("attribute",), sources=sources, limit=bounds(one))

    def _vetoes(self, name: str) -> Iterator[tuple[Key, Shape]]:
        yield _OTHER, _shape_of(name, lists={"veto": [one.code for one in self.book.veto]})
        for one in self.book.veto:
            yield (one.code, None), _shape_of(name, chosen=("veto",), sources=sources_of(one.offices))

    def _approvals(self, name: str) -> Iterator[tuple[Key, Shape]]:
        needed = any(ground.approval for item in self.book.item for ground in item.ground)
        fault: tuple[Reason, str | None, Phrase] = (Reason.WRONG_KIND, None, ("no_approvals",))
        yield _OTHER, _shape_of(name, sources=sources_of([self.book.approvals]), fault=None if needed else fault)

    @property
    def _no_appeals(self) -> tuple[Reason, str | None, Phrase] | None:
        return None if self.book.roles.appeals else (Reason.WRONG_KIND, None, ("no_appeals",))

    def _appeals(self, name: str) -> Iterator[tuple[Key, Shape]]:
        yield _OTHER, _shape_of(name, fault=self._no_appeals)

    def _decisions(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """A decision has points where it revises."""
        appeals = self.book.roles.appeals
        sources = sources_of([appeals] if appeals else ())
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
            yield (parameter, None), _shape_of(name, forms={"value": whole_number}, sources=sources)
        for reading, values in readings.items():
            yield (reading, None), _shape_of(name, lists={"value": values}, sources=sources)

    def _changes(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """A change of a unit has the fields of its kind alone."""
        sources, lists = self.collector, {"category": [one.code for one in self.book.category]}
        forms = {"group": group_of(self.book), "attributes": attributes_of(self.book.attribute)}
        needs: dict[str | None, tuple[str, ...]] = {
            "joined": ("name", "category", "group", "attributes"), "renamed": ("name",), "moved": ("category", "group"),
            "left": (), None: (),
        }  # fmt: skip
        for change, own in needs.items():
            yield (change, None), _shape_of(name, lists=lists, forms=forms, needs=own, sources=sources)

    def _stages(self, name: str) -> Iterator[tuple[Key, Shape]]:
        stages = (*(stage.code for stage in self.book.stage), "finalised")
        yield _OTHER, _shape_of(name, lists={"stage": stages}, sources=self.collector)

    def _erasures(self, name: str) -> Iterator[tuple[Key, Shape]]:
        fault: tuple[Reason, str | None, Phrase] = (Reason.WRONG_KIND, None, ("no_texts",))
        yield _OTHER, _shape_of(name, sources=self.collector, fault=None if self.book.out_of_line else fault)

    def _openings(self, name: str) -> Iterator[tuple[Key, Shape]]:
        yield _OTHER, _shape_of(name, forms=self.inside.forms())

    def _keys(self, name: str) -> Iterator[tuple[Key, Shape]]:
        yield _OTHER, _shape_of(name, forms={"party": self.party, "key": nkey}, sources=self.collector)

    def _plain(self, name: str) -> Iterator[tuple[Key, Shape]]:
        """Whose a revocation is hangs on its target alone."""
        yield _OTHER, _shape_of(name)


def bookless(name: str, inside: Inside) -> dict[Key, Shape]:
    """Where no rulebook is in force only the form of a type is known; an opening brings its own."""
    return {_OTHER: _shape_of(name, forms=inside.forms() if name == OPENED else None)}


def _ground_limit(ground: Ground) -> Limit:
    minimum = number(ground.min if ground.above is None else ground.above) or Decimal(0)
    return Limit(
        "points", Reason.POINTS_OUT_OF_RANGE, minimum, number(ground.max), ground.above is not None, number(ground.step)
    )


def _value_limit(minimum: str, maximum: str, step: str | None = None) -> Limit:
    return Limit("value", Reason.VALUE_OUT_OF_RANGE, number(minimum), number(maximum), step=number(step))


def fits(shape: Shape, number: str) -> bool:
    """Whether a number of an entry or rating has its form and lies in its range."""
    return shape.limit is not None and is_decimal(number) and range_fault(shape, shape.limit, number) is None


def range_fault(shape: Shape, limit: Limit, value: Any) -> Fault | None:
    """Whether a number lies in its range; remembered, since the same few numbers come again and again."""
    within = shape.within.get(value)
    if within is None:
        if len(shape.within) >= MEMO_MAX:
            shape.within.clear()
        within = shape.within[value] = limit.holds(value)
    return None if within else Fault(limit.reason, f"data.{limit.name}", ("range", limit.words()), found(value))
