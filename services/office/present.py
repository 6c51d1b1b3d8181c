"""Says what the changes since the opening leave of a year: its units with their names, and who holds which item."""

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from schemas.events import Event
from schemas.roster import Unit
from schemas.year import Year


class Present(NamedTuple):
    """A year with its items' present offices and all units that ever were in it, by their present names.

    `before` are, by office, the earlier holders of what it holds: it may revoke what they recorded of it.
    """

    year: Year
    left: frozenset[str] = frozenset()
    before: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def present(year: Year, since: Iterable[Event]) -> Present:
    """The year after admitted changes of units and transfers, in the order of the ledger."""
    units, left = {one.unit: one for one in year.roster}, set[str]()
    places = {item.code: [[office] for office in item.offices] for item in year.rulebook.item}
    for one in since:
        if one.type == "unit.changed.v1":
            units[one.subject] = _changed(units.get(one.subject), one)
            (left.add if one.change == "left" else left.discard)(one.subject)
        elif one.type == "item.transferred.v1":
            held = places[one.item or ""]
            next(place for place in held if place[-1] == one.from_office).append(one.to_office or "")
    before: dict[str, dict[str, None]] = {}
    for *earlier, holder in (place for held in places.values() for place in held):
        before.setdefault(holder, {}).update(dict.fromkeys(one for one in earlier if one != holder))
    items = tuple(
        msgspec.structs.replace(item, offices=tuple(dict.fromkeys(place[-1] for place in places[item.code])))
        for item in year.rulebook.item
    )
    book = msgspec.structs.replace(year.rulebook, item=items)
    now = dataclasses.replace(year, rulebook=book, roster=tuple(units.values()))
    return Present(now, frozenset(left), {office: tuple(names) for office, names in before.items() if names})


def _changed(unit: Unit | None, change: Event) -> Unit:
    """A unit after a change of it; one that joins is made of it."""
    held = unit or Unit(change.subject, "", "", "")
    return Unit(
        held.unit,
        change.name or held.name,
        change.category or held.category,
        held.group if change.unit_group is None else change.unit_group,
        held.attributes,
    )
