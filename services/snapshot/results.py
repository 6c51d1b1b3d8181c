"""Reads the results of an assessment from its views, and lays them beside the contract's object."""

import duckdb
import msgspec

from schemas.refusals import Language, Reason, Refusal, message
from schemas.results import (
    EntryResult,
    EventResult,
    GradeResult,
    ItemResult,
    Results,
    SchemeResult,
    UnitResult,
    digest,
)
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
        assessment_state=state(con),
        readings=readings(con),
        units=units(con),
        schemes=schemes(con),
        entries=_entries(con, lang),
        events=_events(con, lang),
        refused=sorted([*refused, *conflicts(con, lang)], key=lambda one: one.line or 0),
    )
    return msgspec.structs.replace(found, digest=digest(found))


def units(cursor: duckdb.DuckDBPyConnection) -> list[UnitResult]:
    """Every unit that was in the roster or joined, by code, with the items, parts and schemes that are its own."""
    items: dict[str, dict[str, ItemResult]] = {}
    for unit, item, points, reached in cursor.execute(
        "SELECT unit, item, points::VARCHAR, state FROM item_result ORDER BY unit ASC, ordinal ASC"
    ).fetchall():
        items.setdefault(unit, {})[item] = ItemResult(points, reached)
    parts: dict[str, dict[str, str | None]] = {}
    for unit, part, points in cursor.execute(
        "SELECT unit, part, points::VARCHAR FROM part_result ORDER BY unit ASC, ordinal ASC"
    ).fetchall():
        parts.setdefault(unit, {})[part] = points
    grades: dict[str, dict[str, str | None]] = {}
    for unit, scheme, grade in cursor.execute("SELECT unit, scheme, grade FROM unit_grade").fetchall():
        grades.setdefault(unit, {})[scheme] = grade
    rows = cursor.execute(
        "SELECT unit, category, unit_group, final_text, place, state, flags FROM unit_result ORDER BY unit ASC"
    ).fetchall()
    return [
        UnitResult(
            unit, category, group, items.get(unit, {}), parts.get(unit, {}), final, place, grades.get(unit, {}), *rest
        )
        for unit, category, group, final, place, *rest in rows
    ]


def schemes(cursor: duckdb.DuckDBPyConnection) -> list[SchemeResult]:
    """Schemes as in the rulebook, a scheme's pools by code, the grades of each as in the rulebook."""
    found: dict[tuple[str, str], list[GradeResult]] = {}
    for scheme, pool, grade, quota, *rest in cursor.execute(
        "SELECT g.scheme, g.pool, g.grade, g.quota, g.individuals, g.units, g.undecided FROM grade_result AS g"
        " JOIN rulebook_scheme AS s ON s.scheme = g.scheme ORDER BY s.ordinal ASC, g.pool ASC, g.ordinal ASC"
    ).fetchall():
        found.setdefault((scheme, pool), []).append(GradeResult(grade, None if quota is None else int(quota), *rest))
    return [SchemeResult(scheme, pool, grades) for (scheme, pool), grades in found.items()]


def readings(cursor: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The readings in force, without the parameters."""
    query = "SELECT name, value FROM reading_in_force WHERE is_reading ORDER BY name ASC"
    return dict(cursor.execute(query).fetchall())


def conflicts(cursor: duckdb.DuckDBPyConnection, lang: Language) -> list[Refusal]:
    """Events of the ledger that the fold refused: the same source and id with other content."""
    rows = cursor.execute(
        "SELECT seq, source, id FROM ledger_event WHERE admission = 'conflict' ORDER BY seq ASC"
    ).fetchall()
    text = message(Reason.CONFLICT, "id", ("first",), ("other",), lang)
    return [Refusal(seq, source, identifier, Reason.CONFLICT, "id", text) for seq, source, identifier in rows]


def state(cursor: duckdb.DuckDBPyConnection) -> str:
    """The state of the assessment: running, a stage of the rulebook, finalised, amended."""
    row = cursor.execute("SELECT state FROM assessment_state").fetchone()
    assert row is not None
    return str(row[0])


def _entries(cursor: duckdb.DuckDBPyConnection, lang: str) -> list[EntryResult]:
    rows = cursor.execute(
        "SELECT seq, source, id, kind, unit, item, matter, ground, claimed::VARCHAR, counted::DECIMAL(18,6)::VARCHAR,"
        f" balance_before::VARCHAR, balance_after::VARCHAR, disposition, why_{lang}, clause"
        " FROM entry_trail ORDER BY seq ASC"
    ).fetchall()
    return [EntryResult(*row) for row in rows]


def _events(cursor: duckdb.DuckDBPyConnection, lang: str) -> list[EventResult]:
    rows = cursor.execute(
        f"SELECT seq, source, id, type, unit, disposition, why_{lang}, clause FROM event_trail ORDER BY seq ASC"
    ).fetchall()
    return [EventResult(*row) for row in rows]
