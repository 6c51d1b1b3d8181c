"""Tells what the ledger, as the latest snapshot has it, holds already of the rows that a party is about to send.

A row has an identity that is not its reason: what it is about. The same content again is there already; other content
of the same identity is a correction, which nobody but its sender can tell from a second fact.

The ledger takes an id once. What it has of a row but counts no more (revoked, void, replaced by another) is not there:
sent again it would be a duplicate of that, so it goes out anew, under an id of its own, when its sender says so.
"""

from collections.abc import Sequence
from itertools import count
from typing import Literal, NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from schemas.events import Event
from schemas.words import Language
from services.ingest.check import content
from services.ingest.line import read
from services.office.sheet import identifier

REVOKED = "event.revoked.v1"
#: What an event of a type is about, beside its type and unit.
ABOUT = {
    "deduction.recorded.v1": ("item", "matter", "ground", "node"),
    "bonus.recorded.v1": ("item", "matter", "ground", "node"),
    "rating.recorded.v1": ("item", "rater", "rater_group", "measure", "case_name", "period"),
    "item.exempted.v1": ("item",),
}
_STANDING = """
SELECT e.seq, e.source, e.id, e.type, e.unit, e.item, e.matter, e.ground, e.node, e.rater, e.rater_group, e.measure,
       e.case_name, e.period, e.raw
FROM event e
JOIN (SELECT seq, disposition FROM published_entry UNION ALL SELECT seq, disposition FROM published_event) t
  ON t.seq = e.seq
WHERE e.source IN (SELECT source FROM sent) AND e.type IN $types
  AND t.disposition NOT IN ('void', 'duplicate', 'revoked')
ORDER BY e.seq
"""
#: An event of the ids that are sent, and of those that were made of them by `-2`, `-3`, …
_SAME = """
SELECT e.source, e.id, e.seq, e.raw, CASE WHEN t.disposition IN ('void', 'revoked', 'replaced') THEN t.why END,
       (SELECT r.id FROM event r WHERE r.seq = t.replaced_by)
FROM event e
JOIN (SELECT seq, disposition, NULL AS replaced_by, why_{lang} AS why FROM published_entry
      UNION ALL SELECT seq, disposition, replaced_by, why_{lang} FROM published_event) t ON t.seq = e.seq
WHERE ((e.source, e.id) IN (SELECT source, id FROM sent)
       OR (e.source, regexp_replace(e.id, '-[0-9]+$', '')) IN (SELECT source, id FROM sent))
  AND e.admission IN ('admitted', 'void')
ORDER BY e.seq
"""


class Found(NamedTuple):
    """How a row stands to what is there: `there` already, a `correction` of it, in `conflict` with its id, or `gone`.

    `sequence` is that of the event in the ledger; of two rows of one file it is null, and `row` is the earlier. `why`
    says why an event of this content counts no more; `anew` is the id under which the row can go out all the same,
    null where its own will do, or where its sender gave it one.
    """

    how: Literal["there", "correction", "conflict", "gone"]
    sequence: int | None
    id: str | None
    row: int | None = None
    why: str | None = None
    anew: str | None = None


class Same(NamedTuple):
    """An event of the ledger with a row's id: `why` it counts no more, and the id of what replaced it."""

    seq: int
    raw: bytes
    why: str | None
    replaced_by: str | None


class Earlier:
    """What the ledger holds of the sources and ids of some events, and what the rows before a row say."""

    def __init__(self, con: duckdb.DuckDBPyConnection | None, events: Sequence[Event], lang: Language) -> None:
        self._same: dict[tuple[str, str], Same] = {}
        self._sent = {(event.source, event.id) for event in events}
        self._standing: dict[tuple[object, ...], list[tuple[int, str, bytes]]] = {}
        self._rows: dict[tuple[object, ...], int] = {}
        if con is None or not events:
            return
        cursor = con.cursor()
        pairs = {"source": [event.source for event in events], "id": [event.id for event in events]}
        cursor.register("sent", pa.table(pairs))
        for source, id_, *same in cursor.execute(_SAME.format(lang=lang)).fetchall():
            self._same.setdefault((source, id_), Same(*same))
        names = ("source", "id", "type", "unit", "item", "matter", "ground", "node", *ABOUT["rating.recorded.v1"][1:])
        for seq, *values, raw in cursor.execute(_STANDING, {"types": list(ABOUT)}).fetchall():
            held = dict(zip(names, values, strict=True))
            about = (held["type"], held["source"], held["unit"], *(held[name] for name in ABOUT[held["type"]]))
            self._standing.setdefault(about, []).append((seq, held["id"], raw))

    def look(self, event: Event, raw: bytes, row: int) -> Found | None:
        """How a row stands to the ledger and to the rows before it; null where it is new."""
        same = self._same.get((event.source, event.id))
        if same and content(same.raw) != content(raw):
            return Found("conflict", same.seq, event.id)
        id_, anew = event.id, None
        if same and identifier(_content(raw)) == event.id:
            id_, same, anew = self._newest(event)
        if same and (same.why is None or (event.source, same.replaced_by) in self._sent):
            return Found("there", same.seq, id_)
        about = identity(event)
        for seq, other, held in reversed(self._standing.get(about, [])) if about else ():
            if same and same.seq == seq:
                continue
            if content(held) == content(raw):
                return Found("there", seq, other)
            if not same or anew:
                return Found("correction", seq, other, anew=anew)
        if same:
            return Found("gone", same.seq, id_, why=same.why, anew=anew)
        before = self._rows.setdefault(about, row) if about else row
        return None if before == row else Found("correction", None, None, before)

    def _newest(self, event: Event) -> tuple[str, Same, str]:
        """The id of the latest event that was made of a row, that event, and the next id that is free."""
        ids = (f"{event.id}-{n}" for n in count(2))
        newest = event.id
        while (event.source, anew := next(ids)) in self._same:
            newest = anew
        return newest, self._same[event.source, newest], anew


def _content(raw: bytes) -> dict[str, object]:
    """What the id of a row that was given none is made of."""
    wire = read(raw)
    return {"type": wire.type, "subject": wire.subject, "time": wire.time, "data": wire.data}


def renamed(event: Event, raw: bytes, id_: str) -> tuple[Event, bytes]:
    """A row's event under another id, not signed yet."""
    made = {"specversion": "1.0", "id": id_, "source": event.source, **_content(raw)}
    return msgspec.structs.replace(event, id=id_), msgspec.json.encode(made)


def identity(event: Event) -> tuple[object, ...] | None:
    """What an event is about: its type, source, unit and places; null where events of its type are never the same."""
    names = ABOUT.get(event.type)
    return names and (event.type, event.source, event.subject, *(getattr(event, name) for name in names))


def revocation(event: Event, target: str, reason: str) -> tuple[Event, bytes]:
    """The event that takes back an earlier one of the same source and unit; dated as the row that corrects it.

    Its id is that of its content, so that it is the same event whenever the row is sent again.
    """
    data = {"target": {"source": event.source, "id": target}, "reason": reason}
    what = {"type": REVOKED, "subject": event.subject, "time": event.time, "data": data}
    id_ = identifier(what)
    made = {"specversion": "1.0", "id": id_, "source": event.source, **what}
    flat = Event(
        event.source, id_, REVOKED, event.subject, event.time, event.occurred,
        target_source=event.source, target_id=target, reason=reason,
    )  # fmt: skip
    return flat, msgspec.json.encode(made)
