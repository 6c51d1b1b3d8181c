"""The oracle decides once more, naively and without any of the product's code, what a file of events comes to.

Every function follows one sentence of the two pages that bind the product: language.md, which says what a rulebook
means, and wire.md, the contract. Numbers are Fractions, nothing is cached, nothing is clever, and a reader can hold
each function against its section.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.oracle.book import Book, read
from tests.oracle.intake import ENTRIES, FACT, OPENING, RATING, VETO, RefusalError, accepted
from tests.oracle.ledger import Event, Ledger
from tests.oracle.numbers import POINTS, show
from tests.oracle.text import instant
from tests.oracle.year import Scheme, Year

if TYPE_CHECKING:
    from fractions import Fraction

    from tests.oracle.entries import Line

Json = dict[str, Any]
Roster = list[dict[str, Any]]


def split_lines(data: bytes) -> list[bytes]:
    """The lines of a file: a last line end makes none, CR before LF is dropped. wire.md, Finer points."""
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


# --- A file as a ledger -----------------------------------------------------------------------------------------------


@dataclass
class Options:
    """What the command line gives: it wins over the opening in the file; `shipped` is used where neither says."""

    rulebook: Json | None = None
    roster: Roster | None = None
    assessment: str | None = None
    readings: dict[str, str] = field(default_factory=dict)
    shipped: tuple[Json, Roster] | None = None

    def begin(self) -> tuple[Json, Roster]:
        """The pair that checks the lines before an opening."""
        rulebook, roster = self.shipped or (self.rulebook, self.roster)
        return self.rulebook or rulebook or {}, self.roster or roster or []


class File:
    """The lines of a file folded up to a cut."""

    def __init__(self, lines: list[bytes], options: Options, until: Fraction | None = None) -> None:
        self.options, self.as_of = options, 0
        raw, roster = options.begin()
        self.assessment = options.assessment or raw["id"]
        self.ledger = Ledger(read(raw), roster, lambda ledger: Year(ledger, {}).unfinished())
        self.refused: list[Json] = []
        for n, line in enumerate(lines, 1):
            if not self.fold(n, line, until):
                break
            self.as_of = n

    def fold(self, n: int, line: bytes, until: Fraction | None) -> bool:
        """Check, judge and append one line; False where it is later than the cut."""
        ledger = self.ledger
        try:
            event = accepted(line, ledger)
        except RefusalError as refusal:
            self.refuse(n, line, refusal)
            return True
        if until is not None and self.later(event, until):
            return False
        if event["type"] == OPENING and not ledger.events:
            self.open(event["data"])
        if not ledger.append(n, event):
            self.refuse(n, line, RefusalError("conflict", "id"))
        return True

    def later(self, event: Json, until: Fraction) -> bool:
        """An accepted event, which a conflict is not, whose time is later than the cut."""
        moment = instant(event["time"])
        assert moment is not None
        first = self.ledger.first.get((event["source"], event["id"]))
        return moment > until and (first is None or Event(0, event, None).content == first.content)

    def open(self, data: Json) -> None:
        """An opening counts as the first event; options win over it."""
        raw = self.options.rulebook or data["rulebook"]
        book: Book = read(raw)
        self.ledger.begin(book, self.options.roster or data["roster"])
        self.ledger.keys.update(data.get("keys", {}))
        self.assessment = self.options.assessment or data["assessment"]

    def refuse(self, n: int, line: bytes, refusal: RefusalError) -> None:
        source, name = (None, None) if refusal.reason in ("too_large", "not_json") else strings_of(line)
        self.refused.append(
            {"line": n, "source": source, "id": name, "reason": refusal.reason, "path": refusal.path}
        )  # fmt: skip


def strings_of(line: bytes) -> tuple[str | None, str | None]:
    """The strings found at source and id of a refused line."""
    event = json.loads(line)
    found = [event.get(name) if isinstance(event, dict) else None for name in ("source", "id")]
    source, name = (one if isinstance(one, str) else None for one in found)
    return source, name


# --- The object that `wuxing score --format json` prints --------------------------------------------------------------


def unit_row(year: Year, unit: str, places: dict[str, int]) -> Json:
    """A unit has the items and parts that apply to it, and the schemes in whose pools its category is."""
    row, tree = year.units[unit], year.trees[unit]
    return {
        "unit": unit,
        "category": row.category,
        "group": row.group,
        "items": {
            item.code: {"points": show(tree.items[item.code], POINTS), "state": year.state(unit, item)}
            for item in year.own_items(unit)
        },
        "parts": {code: show(points, POINTS) for code, points in tree.parts.items()},
        "final": show(tree.final, year.book.final[2]),
        "place": places.get(unit),
        "grades": {scheme.code: scheme.grade_of(unit) for scheme in year.schemes if scheme.covers(row.category)},
        "state": year.unit_state(unit),
        "flags": year.flags(unit),
    }


def scheme_rows(year: Year, scheme: Scheme) -> list[Json]:
    each = int(year.parameters.get("individuals_per_unit", "1"))
    return [
        {
            "scheme": scheme.code,
            "pool": pool,
            "grades": [
                {
                    "grade": grade["code"], "quota": quota, "individuals": each if grade.get("individuals") else None,
                    "units": units, "undecided": undecided,
                }
                for grade, (quota, units, undecided) in zip(scheme.grades, rows, strict=True)
            ],
        }
        for pool, rows in scheme.found.items()
    ]  # fmt: skip


def entry_row(line: Line) -> Json:
    event = line.event
    assert event.item is not None
    return {
        "seq": event.seq, "source": event.source, "id": event.raw["id"],
        "kind": "deduction" if event.kind == ENTRIES[0] else "bonus", "unit": event.subject, "item": event.item.code,
        "matter": event.data["matter"], "ground": event.data["ground"], "claimed": show(event.claimed, POINTS),
        "counted": show(line.counted, POINTS), "balance_before": show(line.before, POINTS),
        "balance_after": show(line.after, POINTS), "disposition": line.disposition, "clause": event.item.clause,
    }  # fmt: skip


def disposition(year: Year, event: Event) -> str:
    """Of an event that is no entry. wire.md, Dispositions; language.md 10."""
    if not event.stands:
        return "duplicate" if event.duplicate else "void" if event.void else "revoked"
    if event.kind == RATING:
        key = event.subject, event.data["item"]
        if event.revised:
            return "revised"
        if event not in year.panels[key].ratings.values():
            return "replaced"
        return "no_effect" if year.without_effect(*key) else "counted"
    latest = {FACT: year.facts, VETO: year.vetoes}.get(event.kind)
    return "replaced" if latest is not None and event not in latest.values() else "counted"


def event_row(year: Year, event: Event) -> Json:
    name = event.data.get("item")
    item = year.book.items.get(name) if isinstance(name, str) else None
    return {
        "seq": event.seq, "source": event.source, "id": event.raw["id"], "type": event.kind, "unit": event.subject,
        "disposition": disposition(year, event), "clause": item.clause if item else None,
    }  # fmt: skip


def digest_of(result: Json) -> str:
    """SHA-256 of the object without digest, as_of, refused and all why, as JSON with sorted keys. wire.md, score."""
    bare = {key: value for key, value in result.items() if key not in ("digest", "as_of", "refused")}
    for rows in ("entries", "events"):
        bare[rows] = [{key: value for key, value in row.items() if key != "why"} for row in bare[rows]]
    text = json.dumps(bare, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def score(
    data: bytes | list[bytes],
    rulebook: Json | None = None,
    roster: Roster | None = None,
    *,
    readings: dict[str, str] | None = None,
    assessment: str | None = None,
    as_of: int | str | None = None,
    shipped: tuple[Json, Roster] | None = None,
) -> Json:
    """The object of `wuxing score --format json` without its free text: as_of is a sequence or a time."""
    lines = split_lines(data) if isinstance(data, bytes) else data
    until = instant(as_of) if isinstance(as_of, str) else None
    if isinstance(as_of, int):
        lines = lines[:as_of]
    options = Options(rulebook, roster, assessment, readings or {}, shipped)
    file = File(lines, options, until)
    year = Year(file.ledger, options.readings)
    places = year.places()
    result = {
        "assessment": file.assessment,
        "rulebook": year.book.id,
        "as_of": file.as_of,
        "assessment_state": year.assessment_state(),
        "readings": year.readings,
        "units": [unit_row(year, unit, places) for unit in sorted(year.units)],
        "schemes": [row for scheme in year.schemes for row in scheme_rows(year, scheme)],
        "entries": [entry_row(line) for line in year.lines],
        "events": [event_row(year, event) for event in file.ledger.events if event.kind not in ENTRIES],
        "refused": file.refused,
    }
    return {**result, "digest": digest_of(result)}


__all__ = ["digest_of", "score", "split_lines"]
