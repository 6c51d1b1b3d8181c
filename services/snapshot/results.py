"""Reads the results of an assessment from its views, and lays them beside the contract's object."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby, starmap
from operator import itemgetter
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO

import duckdb
import msgspec

from schemas.refusals import Reason, Refusal, message
from schemas.results import (
    EntryResult,
    EventResult,
    GradeResult,
    ItemResult,
    Results,
    SchemeResult,
    UnitResult,
    batches,
    digest,
)
from schemas.words import Language
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
        entries=list(_entries(con, lang)),
        events=list(_events(con, lang)),
        refused=_refused(con, refused, lang),
    )
    return msgspec.structs.replace(found, digest=digest(msgspec.structs.asdict(found)))


def write(  # noqa: PLR0913 - as above
    con: duckdb.DuckDBPyConnection,
    out: BinaryIO,
    *,
    assessment: str,
    rulebook: str,
    as_of: int,
    refused: list[Refusal],
    lang: Language,
) -> None:
    """The same as JSON; the long lists wait in files, not in memory, until the digest before them is known."""
    named = {"assessment": assessment, "rulebook": rulebook, "as_of": as_of}
    short = {"assessment_state": state(con), "readings": readings(con), "schemes": schemes(con)}
    long = {"entries": _entries(con, lang), "events": _events(con, lang), "units": _units(con)}
    with ExitStack() as stack:
        files = {name: stack.enter_context(SpooledTemporaryFile(SPOOLED)) for name in long}
        kept = {name: _kept(values, files[name]) for name, values in long.items()}
        last = {"refused": _refused(con, refused, lang)}
        whole = named | {"digest": digest(named | short | kept)} | short | files | last
        for n, name in enumerate(Results.__struct_fields__):
            out.write((b"," if n else b"{") + f'"{name}":'.encode())
            if name in files:
                out.write(b"[")
                files[name].seek(0)
                shutil.copyfileobj(files[name], out, 1024 * 1024)
                out.write(b"]")
            else:
                out.write(msgspec.json.encode(whole[name]))
        out.write(b"}\n")


#: Bytes of a long list that stay in memory.
SPOOLED = 16 * 1024 * 1024


def _kept(values: Iterable[Any], file: IO[bytes]) -> Iterator[Any]:
    """The values as they come; their JSON, without the brackets, goes to a file."""
    for n, part in enumerate(batches(values)):
        file.write((b"," if n else b"") + msgspec.json.encode(part)[1:-1])
        yield from part


def units(cursor: duckdb.DuckDBPyConnection) -> list[UnitResult]:
    """Every unit that was in the roster or joined, by code, with the items, parts and schemes that are its own."""
    return list(_units(cursor))


_OF_UNITS = """
SELECT unit, 0 AS section, ordinal, item AS code, points::VARCHAR AS value, state FROM item_result
UNION ALL SELECT unit, 1, ordinal, part, points::VARCHAR, NULL FROM part_result
UNION ALL SELECT g.unit, 2, s.ordinal, g.scheme, g.grade, NULL FROM unit_grade AS g
          JOIN rulebook_scheme AS s ON s.scheme = g.scheme
ORDER BY unit ASC, section ASC, ordinal ASC
"""


def _units(cursor: duckdb.DuckDBPyConnection) -> Iterator[UnitResult]:
    """The same, one by one; items, parts and schemes in the order of the rulebook."""
    rows = cursor.execute(
        "SELECT unit, category, unit_group, final_text, place, state, flags FROM unit_result ORDER BY unit ASC"
    ).fetchall()
    own = groupby(_rows(cursor, _OF_UNITS), itemgetter(0))
    ahead = next(own, None)
    for unit, category, group, final, place, *rest in rows:
        sections: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] = ({}, {}, {})
        if ahead is not None and ahead[0] == unit:
            for _, section, _, code, value, reached in ahead[1]:
                sections[section][code] = ItemResult(value, reached) if section == 0 else value
            ahead = next(own, None)
        items, parts, grades = sections
        yield UnitResult(unit, category, group, items, parts, final, place, grades, *rest)


def _rows(cursor: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[Any, ...]]:
    cursor.execute(query)
    while rows := cursor.fetchmany(10_000):
        yield from rows


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


def _refused(cursor: duckdb.DuckDBPyConnection, refused: list[Refusal], lang: Language) -> list[Refusal]:
    """What the check refused and what the fold did, by line."""
    return sorted([*refused, *conflicts(cursor, lang)], key=lambda one: one.line or 0)


def _entries(cursor: duckdb.DuckDBPyConnection, lang: str) -> Iterator[EntryResult]:
    query = (
        "SELECT seq, source, id, kind, unit, item, matter, ground, claimed::VARCHAR, counted::DECIMAL(18,6)::VARCHAR,"
        f" balance_before::VARCHAR, balance_after::VARCHAR, disposition, why_{lang}, clause"
        " FROM entry_trail ORDER BY seq ASC"
    )
    return starmap(EntryResult, _rows(cursor, query))


def _events(cursor: duckdb.DuckDBPyConnection, lang: str) -> Iterator[EventResult]:
    query = f"SELECT seq, source, id, type, unit, disposition, why_{lang}, clause FROM event_trail ORDER BY seq ASC"
    return starmap(EventResult, _rows(cursor, query))
