"""The roster (单位名单): the units of an assessment, each with its category and group."""

import csv
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from schemas.rulebook import SHIPPED

CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
FIELDS = ("unit", "name", "category", "group")
TEXT_MAX = 200


class RosterError(Exception):
    """A roster that cannot be used; says the line or row, the field, and what to do."""


class Unit(msgspec.Struct, frozen=True):
    """A unit (单位): its code, name, category (类别) and group (分组)."""

    unit: str
    name: str
    category: str
    group: str


def load(path: Path, categories: Collection[str]) -> tuple[Unit, ...]:
    """Read a UTF-8 CSV with header unit,name,category,group; raises RosterError with the line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = f"roster {path}: cannot be read: {error}"
        raise RosterError(message) from None
    for n, key, message in faults(rows, categories):
        where = f"line {n + 2}" if n is not None else "header"
        raise RosterError(f"roster {path}, {where}{f', {key}' if key else ''}: {message}")
    return read(rows)


def read(rows: list[dict[str, Any]]) -> tuple[Unit, ...]:
    """Units of rows that have no faults."""
    return tuple(Unit(**{field: row[field] for field in FIELDS}) for row in rows)


def faults(rows: Any, categories: Collection[str]) -> Iterator[tuple[int | None, str | None, str]]:
    """Faults of a roster given as plain rows: (row, field, message); the row is null for the list itself."""
    if not isinstance(rows, list) or not rows:
        yield None, None, "is empty; expected a list of units"
        return
    seen: set[str] = set()
    for n, row in enumerate(rows):
        if not isinstance(row, dict):
            yield n, None, "is not an object with unit, name, category, group"
            continue
        for field in FIELDS:
            text = row.get(field)
            if not isinstance(text, str) or not 1 <= len(text) <= TEXT_MAX:
                yield n, field, f"expected 1 to {TEXT_MAX} characters, found {text!r}"
            elif field == "unit" and not CODE.fullmatch(text):
                yield n, field, f"{text!r} is no code; expected letters, digits, _ or -, at most 64"
            elif field == "unit" and (text in seen or text == "assessment"):
                yield (
                    n,
                    field,
                    f"{text!r} is there twice" if text in seen else "'assessment' is kept for the year itself",
                )
            elif field == "category" and text not in categories:
                yield n, field, f"{text!r} is no category of the rulebook; expected one of {', '.join(categories)}"
        seen.add(str(row.get("unit")))


def shipped() -> tuple[Unit, ...]:
    """The synthetic roster U001 to U105 that stands in for the missing annex 1."""
    return load(SHIPPED / "roster.csv", ("A", "B"))
