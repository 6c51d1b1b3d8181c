"""What a rulebook is refused for (language 9): every fault at once, with its place, what was found, what is allowed."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from schemas import sound_items, sound_tree
from schemas.faults import Fault, Place, RulebookError, listed, quoted
from schemas.rulebook import PARAMETERS, Item, Method, Rulebook, Scheme
from schemas.shape import Draft, nearest

__all__ = ["RulebookError", "faults", "load", "read"]

#: Words that a key of places, a formula or a requirement already means; a code is none of them.
RESERVED = ("final", "value")
#: States of an assessment that are no stage of a rulebook.
STATES = ("running", "finalised", "amended")
#: What TOML's reader says, by the name of its words in `faults.PHRASES`.
SYNTAX = {
    "no_equals": "Expected '=' after a key",
    "bad_value": "Invalid value",
    "no_newline": "Expected newline or end of document",
    "bad_statement": "Invalid statement",
    "unclosed": "Unclosed",
    "open_string": "Unterminated string",
    "twice_toml": "Cannot ",
    "no_bracket": "Expected ']",
}
PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
Rehearse = Callable[[Rulebook], list[Fault]]


def _nothing(_book: Rulebook) -> list[Fault]:
    """No made-up years: where a rulebook was accepted before."""
    return []


def load(path: Path, rehearse: Rehearse = _nothing) -> Rulebook:
    """Read and check a rulebook.toml; raises RulebookError with all its faults.

    `rehearse` says what else is wrong with a rulebook that is sound by itself: what its made-up years show.
    """
    top, file = Place(), str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return _read(tomllib.loads(text), file, text, rehearse)
    except OSError as error:
        raise RulebookError([Fault(top, None, "unreadable", (error.strerror or str(error),))], file) from None
    except UnicodeDecodeError as error:
        raise RulebookError([Fault(top, None, "not_utf8", (str(error.start),))], file) from None
    except tomllib.TOMLDecodeError as error:
        raise RulebookError([Fault(top, None, "not_toml", _syntax(str(error)))], file) from None


def _syntax(said: str) -> tuple[Any, ...]:
    """Where TOML ends to be TOML, and what its reader says of it."""
    reason, _, place = said.rstrip(")").partition(" (at ")
    line, _, column = place.removeprefix("line ").partition(", column ")
    known = next((name for name, begins in SYNTAX.items() if reason.startswith(begins)), "syntax")
    return (("at", line, column), (known, reason)) if column else (("at_end",), (known, reason))


def read(raw: Any, rehearse: Rehearse = _nothing) -> Rulebook:
    """Check a rulebook given as plain objects (TOML, or the JSON of `assessment.opened`); raises RulebookError."""
    return _read(raw, None, None, rehearse)


def _read(raw: Any, file: str | None, text: str | None, rehearse: Rehearse) -> Rulebook:
    if found := faults(raw):
        raise RulebookError(found, file, text)
    book = msgspec.convert(raw, Rulebook)
    book.__dict__["raw"] = raw
    if found := rehearse(book):
        raise RulebookError(found, file, text)
    return book


def faults(raw: Any) -> list[Fault]:
    """Every fault of a rulebook given as a plain object, in the order of its tables."""
    draft = Draft(raw)
    found = list(draft.faults)
    if isinstance(raw, dict):
        for check in CHECKS:
            found.extend(check(draft))
    order = {path: n for n, path in enumerate(_paths(raw))}
    return sorted(dict.fromkeys(found), key=lambda fault: order.get(fault.place.path, 0))


def _paths(raw: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(raw, dict | list | tuple):
        for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
            yield from _paths(value, (*path, key))


# Codes ----------------------------------------------------------------------------------------------------------------


def _codes(d: Draft) -> Iterator[Fault]:
    """No code is there twice among those that it must be unlike."""
    book = d.book
    for family in (
        book.category, book.group, book.office, book.period, book.scheme, book.stage, book.veto,
        _nodes(book), [grade for scheme in book.scheme for grade in scheme.grade],
        *(list_ for item in book.item for list_ in (item.ground, item.node, item.raters, item.method, item.measure)),
    ):  # fmt: skip
        yield from _twice(d, family, "code")
    yield from _twice(d, book.parameter, "name")
    yield from _twice(d, book.reading, "name")
    taken = {one.code for one in _nodes(book)}
    for item in book.item:
        yield from (d.say(m, "code", "measure_taken", quoted(m.code)) for m in item.measure if m.code in taken)


def _nodes(book: Rulebook) -> tuple[Any, ...]:
    """Parts, items and attributes, whose codes are unlike each other."""
    return (*book.part, *book.item, *book.attribute)


def _twice(d: Draft, tables: Iterable[Any], key: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for table in tables:
        code = getattr(table, key)
        if code is not None and code in seen:
            yield d.say(table, key, "twice", quoted(code))
        seen.add(code)


def _words(d: Draft) -> Iterator[Fault]:
    """Words that mean something else already are no codes."""
    book = d.book
    measures = [measure for item in book.item for measure in item.measure]
    taken: list[tuple[Iterable[Any], tuple[str, ...]]] = [
        ((*_nodes(book), *measures), RESERVED),
        (book.period, (*RESERVED, "case")),
        (book.office, ("assessment",)),
        (book.stage, STATES),
    ]
    for tables, words in taken:
        yield from (d.say(one, "code", "reserved", quoted(one.code)) for one in tables if one.code in words)
    named: tuple[Any, ...] = (*book.attribute, *measures)
    for one in named:
        if PLAIN_NUMBER.fullmatch(one.code or ""):
            yield d.say(one, "code", "plain_number", quoted(one.code))
    for reading in book.reading:
        if reading.name in PARAMETERS:
            yield d.say(reading, "name", "parameter_name", quoted(reading.name))


# What is named exists -------------------------------------------------------------------------------------------------


def _references(d: Draft) -> Iterator[Fault]:
    """Offices, categories, groups and parts that tables name, and the keys of places."""
    book = d.book
    offices = [one.code for one in book.office]
    if book.roles is not None:
        for key in ("collector", "appeals", "approvals"):
            yield from d.named(book.roles, key, getattr(book.roles, key), "office", offices)
    owned: tuple[Any, ...] = (*book.attribute, *book.item, *book.veto)
    for table in owned:
        yield from d.all_named(table, "offices", table.offices, "office", offices)
    categories = [one.code for one in book.category]
    for group in book.group:
        yield from d.named(group, "category", group.category, "category", categories)
    for node in (*book.part, *book.item):
        yield from d.named(node, "in", node.inside, "part", (one.code for one in book.part))
        if node.applies is None:
            continue
        if not d.has(node.applies, "categories", "groups"):
            yield d.say(node.applies, None, "applies_to_none")
        yield from d.all_named(node.applies, "categories", node.applies.categories, "category", categories)
        known = [one.code for one in book.group] or node.applies.groups
        yield from d.all_named(node.applies, "groups", node.applies.groups, "group", known)
    if book.final is not None:
        keys = [(key or "").removeprefix("-") or None for key in book.final.order]
        nodes = (one.code for one in _nodes(book))
        yield from d.all_named(book.final, "order", keys, "order_key", ("final", *nodes))


# Attributes, periods --------------------------------------------------------------------------------------------------


def _attributes(d: Draft) -> Iterator[Fault]:
    """The bounds of an attribute, and its default within them; the values of a period, each once."""
    for one in d.book.attribute:
        yield from sound_items.rising(d, one, "min", "max")
        yield from sound_items.rising(d, one, "min", "default", equal=True)
        yield from sound_items.rising(d, one, "default", "max", equal=True)
    listed_: tuple[Any, ...] = (*d.book.period, *d.book.reading)
    for table in listed_:
        for n, value in enumerate(table.values):
            if value is not None and value in table.values[:n]:
                yield d.say(table, f"values[{n}]", "named_twice", quoted(value))


# Readings -------------------------------------------------------------------------------------------------------------


def _switches(kind: type[msgspec.Struct]) -> dict[str, tuple[str, ...]]:
    """The keys of a table that a reading may decide, with their values; none: `sound_items`, `sound_tree` look."""
    found: dict[str, tuple[str, ...]] = {}
    for field in inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        for one in field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,):
            if isinstance(one, inspect.Metadata):
                found[field.name] = one.extra["values"]  # type: ignore[index]
    return found


SWITCHES = {kind: _switches(kind) for kind in (Item, Method, Scheme)}


def _readings(d: Draft) -> Iterator[Fault]:
    """Every `@x` is a reading, each of its values is allowed where it stands, and every reading is used."""
    book = d.book
    used: set[str] = set()
    methods = [method for item in book.item for method in item.method]
    tables: tuple[Any, ...] = (*book.item, *methods, *book.scheme)
    for table in tables:
        for key, allowed in SWITCHES[type(table)].items():
            value = getattr(table, key)
            if value is None or not value.startswith("@"):
                continue
            used.add(value[1:])
            if value[1:] not in book.readings:
                near = nearest(value[1:], book.readings)
                gaps = (quoted(value), ("reading",), listed(book.readings))
                yield d.say(table, key, "unknown", *gaps, nearest=near and f"@{near}")
            for one in book.readings.get(value[1:], ()):
                if one is not None and allowed and one not in allowed:
                    found = ("of_reading", value, quoted(one))
                    yield d.say(table, key, "one_of", found, ", ".join(allowed), nearest=nearest(one, allowed))
    for reading in book.reading:
        if d.sound(reading, "name") and reading.name not in used:
            yield d.say(reading, None, "unused_reading", f"@{reading.name}")
        if len(reading.values) == 1:
            yield d.say(reading, "values", "one_value", quoted(reading.values[0]))


def _out_of_line(d: Draft) -> Iterator[Fault]:
    """No field stands out of line twice."""
    names = d.book.out_of_line
    for n, name in enumerate(names):
        if name is not None and name in names[:n]:
            yield d.say(d.book, f"out_of_line[{n}]", "named_twice", quoted(name))


CHECKS = (
    _codes, _words, _references, _attributes, _readings, _out_of_line,
    sound_items.items, sound_tree.tree, sound_tree.schemes, sound_tree.vetoes,
)  # fmt: skip
