"""Folds rows that nobody has sent after the latest snapshot, in memory, and says what would become of them.

The same fold and the same views as the services': a trial is no second road to a number.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import duckdb
import msgspec

from schemas.events import Event
from schemas.refusals import Refusal, conflict
from schemas.words import Language
from schemas.year import Year
from services.scorer import rules, store
from services.scorer.rulebook_rows import TABLES
from services.snapshot.moves import Side, Standing, side


class Fate(NamedTuple):
    """What the fold would make of an event: its disposition and why, or the conflict that it is."""

    disposition: str | None
    why: str | None
    refusal: Refusal | None = None


class Change(msgspec.Struct, frozen=True):
    """A unit whose final, place, grades or undecided grades the rows would change; null where it is not there."""

    unit: str
    category: str
    before: Standing | None
    after: Standing | None


def trial(
    snapshot: duckdb.DuckDBPyConnection | None, year: Year, events: Sequence[tuple[Event, bytes]], lang: Language
) -> tuple[list[Fate], list[Change]]:
    """The fate of each event, in order, and the units that would change; without a snapshot on an empty ledger."""
    con = store.fresh()
    try:
        if snapshot:
            _copy(snapshot, con)
        else:
            rules.load_rulebook(con, year.rulebook, year.roster)
        last = "SELECT greatest((SELECT max(seq) FROM event), (SELECT max(line) FROM refused), 0)"
        row = con.execute(last).fetchone()
        first = (row[0] if row else 0) + 1
        before = side(con, first - 1, whole=False)
        sequences = list(range(first, first + len(events)))
        raws = [raw for _, raw in events]
        store.append(con, store.table(sequences, [None] * len(events), [event for event, _ in events], raws))
        after = side(con, 2**62, whole=False)
        with rules.compute(con, upto="trail"):
            fates = _fates(con, first, lang)
    finally:
        con.close()
    told = [
        fates.get(seq) or Fate(None, None, conflict(None, event.source, event.id, lang))
        for seq, (event, _) in zip(sequences, events, strict=True)
    ]
    return told, list(_changes(before, after))


def _copy(snapshot: duckdb.DuckDBPyConnection, con: duckdb.DuckDBPyConnection) -> None:
    """The events with their admission as it was judged, and the rules they were judged by."""
    cursor = snapshot.cursor()  # the connection itself may still hold the result of a question
    for name in ("event", *TABLES):
        con.register("held", cursor.sql(f"FROM {name}").to_arrow_table())
        con.execute(f"INSERT INTO {name} FROM held")
        con.unregister("held")


def _changes(before: Side, after: Side) -> Iterator[Change]:
    for unit in sorted(before.units.keys() | after.units.keys()):
        was, now = before.units.get(unit), after.units.get(unit)
        if was != now:
            yield Change(unit, after.categories.get(unit) or before.categories[unit], was, now)


def _fates(con: duckdb.DuckDBPyConnection, first: int, lang: Language) -> dict[int, Fate]:
    rows = con.execute(
        f"SELECT seq, disposition, why_{lang} FROM trail WHERE seq >= ?",
        [first],
    ).fetchall()
    return {seq: Fate(disposition, why) for seq, disposition, why in rows}
