"""Tells what the ledger, as the latest snapshot has it, holds already of the rows that a party is about to send.

A row has an identity that is not its reason: what it is about. The same content again is there already; other content
of the same identity is a correction, which nobody but its sender can tell from a second fact.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from schemas.events import Event
from services.ingest.check import content
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
_SAME = """
SELECT e.source, e.id, e.seq, e.raw FROM event e SEMI JOIN sent USING (source, id)
WHERE e.admission IN ('admitted', 'void') ORDER BY e.seq
"""


class Found(NamedTuple):
    """How a row stands to what is there: `there` already, a `correction` of it, or in `conflict` with its id.

    `sequence` is that of the event in the ledger; of two rows of one file it is null, and `row` is the earlier.
    """

    how: Literal["there", "correction", "conflict"]
    sequence: int | None
    id: str | None
    row: int | None = None


class Earlier:
    """What the ledger holds of the sources and ids of some events, and what the rows before a row say."""

    def __init__(self, con: duckdb.DuckDBPyConnection | None, events: Sequence[Event]) -> None:
        self._same: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._standing: dict[tuple[object, ...], list[tuple[int, str, bytes]]] = {}
        self._rows: dict[tuple[object, ...], int] = {}
        if con is None or not events:
            return
        cursor = con.cursor()
        pairs = {"source": [event.source for event in events], "id": [event.id for event in events]}
        cursor.register("sent", pa.table(pairs))
        for source, id_, seq, raw in cursor.execute(_SAME).fetchall():
            self._same.setdefault((source, id_), (seq, raw))
        names = ("source", "id", "type", "unit", "item", "matter", "ground", "node", *ABOUT["rating.recorded.v1"][1:])
        for seq, *values, raw in cursor.execute(_STANDING, {"types": list(ABOUT)}).fetchall():
            held = dict(zip(names, values, strict=True))
            about = (held["type"], held["source"], held["unit"], *(held[name] for name in ABOUT[held["type"]]))
            self._standing.setdefault(about, []).append((seq, held["id"], raw))

    def look(self, event: Event, raw: bytes, row: int) -> Found | None:
        """How a row stands to the ledger and to the rows before it; null where it is new."""
        if same := self._same.get((event.source, event.id)):
            return Found("there" if content(same[1]) == content(raw) else "conflict", same[0], event.id)
        about = identity(event)
        if about is None:
            return None
        for seq, id_, other in reversed(self._standing.get(about, [])):
            return Found("there" if content(other) == content(raw) else "correction", seq, id_)
        before = self._rows.setdefault(about, row)
        return None if before == row else Found("correction", None, None, before)


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
