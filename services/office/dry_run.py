"""Folds rows that nobody has sent after the latest snapshot, in memory, and says what would become of them.

The same fold and the same views as the services': a trial is no second road to a number.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import duckdb
import msgspec

from schemas.events import Event
from schemas.refusals import Language, Refusal, conflict
from schemas.year import Year
from services.scorer import rules, store


class Fate(NamedTuple):
    """What the fold would make of an event: its disposition and why, or the conflict that it is."""

    disposition: str | None
    why: str | None
    refusal: Refusal | None = None


class Change(msgspec.Struct, frozen=True):
    """A unit whose final, place, pass, award or undecided awards the rows would change."""

    unit: str
    category: str
    final_before: str
    final_after: str
    place_before: int
    place_after: int
    passed_before: bool | None
    passed_after: bool | None
    award_before: str | None
    award_after: str | None
    undecided_before: list[str]
    undecided_after: list[str]


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
        with rules.compute(con, upto="unit_result"):
            before = _units(con)
        sequences = list(range(first, first + len(events)))
        raws = [raw for _, raw in events]
        store.append(con, store.table(sequences, [None] * len(events), [event for event, _ in events], raws))
        with rules.compute(con):
            after = _units(con)
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
    for name in ("event", *rules.TABLES):
        con.register("held", cursor.sql(f"FROM {name}").to_arrow_table())
        con.execute(f"INSERT INTO {name} FROM held")
        con.unregister("held")


Standing = tuple[str, str, str, int, bool | None, str | None, list[str]]


def _units(con: duckdb.DuckDBPyConnection) -> list[Standing]:
    rows = con.execute(
        "SELECT unit, category, final::VARCHAR, place, passed, award, flags FROM unit_result"
        " ORDER BY category, place, unit"
    ).fetchall()
    return [(*row, [flag[10:] for flag in flags if flag.startswith("undecided:")]) for *row, flags in rows]


def _changes(before: Sequence[Standing], after: Sequence[Standing]) -> Iterator[Change]:
    was = {unit: standing for unit, *standing in before}
    for unit, category, *now in after:
        _, *old = was[unit]
        if old != now:
            pairs = [value for pair in zip(old, now, strict=True) for value in pair]
            yield Change(unit, category, *pairs)  # type: ignore[arg-type]  # the columns of _units, in their order


def _fates(con: duckdb.DuckDBPyConnection, first: int, lang: Language) -> dict[int, Fate]:
    rows = con.execute(
        f"SELECT seq, disposition, why_{lang} FROM audit_trail WHERE seq >= $1"
        f" UNION ALL SELECT seq, disposition, why_{lang} FROM event_trail WHERE seq >= $1",
        [first],
    ).fetchall()
    return {seq: Fate(disposition, why) for seq, disposition, why in rows}
