"""Reads the results of an assessment from its views, and lays them beside the contract's object."""

from typing import cast

import duckdb
import msgspec

from schemas.receipts import State
from schemas.refusals import Language, Reason, Refusal, message
from schemas.results import AwardResult, DeductionResult, EventResult, ItemResult, Results, UnitResult, digest
from services.scorer import rules


def results(  # noqa: PLR0913 - what the contract's object names
    con: duckdb.DuckDBPyConnection,
    *,
    assessment: str,
    rulebook: str,
    as_of: int,
    refused: list[Refusal],
    lang: Language,
) -> Results:
    """Compute all results at a sequence; points are exact decimals as text. `lang` is that of every `why`."""
    with rules.compute(con, as_of=as_of):
        return computed(con, assessment=assessment, rulebook=rulebook, as_of=as_of, refused=refused, lang=lang)


def computed(  # noqa: PLR0913 - as above
    con: duckdb.DuckDBPyConnection,
    *,
    assessment: str,
    rulebook: str,
    as_of: int,
    refused: list[Refusal],
    lang: Language,
) -> Results:
    """Read the results where the views are computed already."""
    found = Results(
        assessment=assessment,
        rulebook=rulebook,
        as_of=as_of,
        digest="",
        assessment_state=_state(con),
        readings=readings(con),
        units=units(con),
        awards=awards(con),
        deductions=_deductions(con, lang),
        events=_events(con, lang),
        refused=sorted([*refused, *conflicts(con, lang)], key=lambda one: one.line or 0),
    )
    return msgspec.structs.replace(found, digest=digest(found))


def units(cursor: duckdb.DuckDBPyConnection) -> list[UnitResult]:
    """Every unit of the roster, by code."""
    items: dict[str, dict[str, ItemResult]] = {}
    for unit, item, points, state in cursor.execute(
        "SELECT unit, item, points::VARCHAR, state FROM item_result ORDER BY unit, ordinal"
    ).fetchall():
        items.setdefault(unit, {})[item] = ItemResult(points, state)
    rows = cursor.execute(
        "SELECT unit, category, unit_group, daily::VARCHAR, year_end::VARCHAR, final::VARCHAR, place, passed, award,"
        " state, flags FROM unit_result ORDER BY unit"
    ).fetchall()
    return [UnitResult(unit, category, group, items[unit], *rest) for unit, category, group, *rest in rows]


def awards(cursor: duckdb.DuckDBPyConnection) -> list[AwardResult]:
    """Awards by their order, then by scope."""
    rows = cursor.execute(
        "SELECT award, scope, quota, units, undecided FROM award_result ORDER BY ordinal, scope"
    ).fetchall()
    return [AwardResult(award, scope, int(quota), won, undecided) for award, scope, quota, won, undecided in rows]


def readings(cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The readings in force, without the parameters."""
    return dict(cursor.execute("SELECT name, value FROM reading_in_force WHERE is_reading ORDER BY name").fetchall())


def conflicts(cursor: duckdb.DuckDBPyConnection, lang: Language) -> list[Refusal]:
    """Events of the ledger that the fold refused: the same source and id with other content."""
    rows = cursor.execute(
        "SELECT seq, source, id FROM ledger_event WHERE admission = 'conflict' ORDER BY seq"
    ).fetchall()
    text = message(Reason.CONFLICT, "id", ("first",), ("other",), lang)
    return [Refusal(seq, source, identifier, Reason.CONFLICT, "id", text) for seq, source, identifier in rows]


def _state(cursor: duckdb.DuckDBPyConnection) -> State:
    row = cursor.execute("SELECT state FROM assessment_state").fetchone()
    assert row is not None
    return cast("State", row[0])


def _deductions(cursor: duckdb.DuckDBPyConnection, lang: str) -> list[DeductionResult]:
    rows = cursor.execute(
        "SELECT seq, source, id, unit, item, matter, ground, claimed::VARCHAR, counted::DECIMAL(18,6)::VARCHAR,"
        f" balance_before::VARCHAR, balance_after::VARCHAR, disposition, why_{lang}, clause"
        " FROM audit_trail ORDER BY seq"
    ).fetchall()
    return [DeductionResult(*row) for row in rows]


def _events(cursor: duckdb.DuckDBPyConnection, lang: str) -> list[EventResult]:
    rows = cursor.execute(
        f"SELECT seq, source, id, type, unit, disposition, why_{lang}, clause FROM event_trail ORDER BY seq"
    ).fetchall()
    return [EventResult(*row) for row in rows]
