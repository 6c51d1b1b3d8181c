"""The commands `what-if` and `readings`: the year with other events or readings, and every unit that it would move.

The changed ledger is folded again, admission judged anew, by the one road of the services; nothing is written.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
import msgspec
import pyarrow as pa
from cyclopts import Parameter
from rich import box
from rich.table import Table

from schemas.events import Event
from schemas.refusals import Refusal
from schemas.rulebook import Rulebook
from schemas.soundness import load as load_rulebook
from schemas.words import Language, _, _n, _p
from schemas.year import Year
from services.command import tables
from services.command.options import LATEST, At
from services.ingest.check import Checker
from services.process.ending import Exit, Stop
from services.reports.diff import show, standing_cells
from services.reports.smallest import Found, search, words
from services.scorer import rules, store
from services.snapshot import point
from services.snapshot.moves import Difference, Side, Standing, difference, side

Many = Annotated[list[str], Parameter(negative=())]


class Added(msgspec.Struct, frozen=True):
    """What became of an added event: its sequence after the ledger's end, its disposition and why."""

    seq: int
    id: str
    disposition: str
    why: str


class WhatIf(msgspec.Struct, frozen=True):
    """A changed year beside the one that is: what was changed, and all that moved by it."""

    dropped: list[int]
    revised: dict[int, str]
    added: list[Added]
    rulebook: str
    refused: list[Refusal]
    difference: Difference


@dataclass(frozen=True)
class Changes:
    """What to change: sequences to drop, points by sequence, lines to add at the end, another rulebook."""

    drop: frozenset[int] = frozenset()
    revise: tuple[tuple[int, Decimal], ...] = ()
    add: tuple[bytes, ...] = ()
    rulebook: Rulebook | None = None


@dataclass(frozen=True)
class Changed:
    """A changed ledger folded anew, with the lines that the other rulebook refuses."""

    con: duckdb.DuckDBPyConnection
    added: list[int]
    refused: list[Refusal]


def what_if(  # noqa: PLR0913 - each is an option of the contract
    *,
    at: At = LATEST,
    drop: Many = [],  # noqa: B006 - read only
    add: Path | None = None,
    revise: Many = [],  # noqa: B006 - as above
    reading: Many = [],  # noqa: B006 - as above
    rulebook: Path | None = None,
    unit: str | None = None,
    smallest: bool = False,
    at_most: int = 20_000,
    format: Literal["json", "table"] = "table",  # noqa: A002 - the contract's word
) -> int:
    """Drop, add or revise events, change readings or the rulebook: show every place and grade that moves.

    Example: wuxing what-if --drop 4711 --reading step=geometric

    Parameters
    ----------
    drop
        The sequence of an event to leave out; may be given more than once.
    add
        Events, one a line, to add after the last; with a closed item they are void, as they would be.
    revise
        SEQ=POINTS: in place of a deduction's points or a rating's value, as a decision on appeal would set them.
    reading
        name=value, put over what was adopted; may be given more than once.
    rulebook
        Another rulebook.toml for the same roster; events that it refuses are left out and listed.
    unit
        With --smallest: the unit in question.
    smallest
        Find the smallest set of the unit's own deductions whose removal would change a grade of it.
    at_most
        With --smallest: the most combinations to reckon.
    format
        Tables to read, or JSON.
    """
    chosen = at.language
    with point.snapshot(at.snapshot) as con:
        base, cut, year = _base(con, at.as_of, at.facts_until)
        if smallest or unit:
            if not (smallest and unit) or drop or add or revise or reading or rulebook:
                raise Stop(Exit.USE, _("--unit U and --smallest belong together, and allow no other change"))
            with rules.compute(base, upto="unit_in_force"):
                known = base.execute("SELECT 1 FROM unit_in_force WHERE unit = ?", [unit]).fetchall()
            if not known:
                raise Stop(Exit.USE, _("--unit {unit}: not in the roster", unit=unit))
            return _smallest(search(base, unit, at_most), year, format, chosen, tables.grades(con, chosen))
        book = load_rulebook(rulebook) if rulebook else None
        wanted = Changes(
            frozenset(_sequence(base, text, "--drop") for text in drop),
            tuple(_revision(base, text) for text in revise),
            _lines(add),
            book,
        )
        options = _options(reading, book or year.rulebook)
        changed = fold(base, year, wanted, after=cut)
        before, after = side(base, cut), side(changed.con, cut + len(wanted.add), options)
        found = WhatIf(
            sorted(wanted.drop),
            {seq: str(points) for seq, points in wanted.revise},
            _added(changed, chosen),
            (book or year.rulebook).id,
            changed.refused,
            difference(before, after, synthetic=year.synthetic),
        )
        names = tables.grades(con, chosen)
    _show(found, format, chosen, names)
    return Exit.DONE


def _base(
    con: duckdb.DuckDBPyConnection, as_of: str | None, facts_until: str | None
) -> tuple[duckdb.DuckDBPyConnection, int, Year]:
    """The year as it stood at a point, in memory where it is not the whole snapshot."""
    cut, year = point.as_of(con, as_of), point.year(con)
    if facts_until:
        return point.facts_until(con, facts_until, cut), cut, year
    return (con if cut == point.last(con) else point.refold(con, point.events(con, cut))), cut, year


def fold(con: duckdb.DuckDBPyConnection, year: Year, wanted: Changes, *, after: int) -> Changed:
    """Fold a changed copy of a ledger; added lines take the sequences after `after`.

    Ends the command when intake would refuse an added line. A revised event keeps the content that it was sent with,
    so that its duplicates stay duplicates.
    """
    other = Year(year.assessment, wanted.rulebook, year.roster) if wanted.rulebook else None
    checker = Checker((other or year).rulebook, year.roster)
    ledger = point.events(con)
    ledger, refused = _recheck(ledger, checker) if other else (ledger, [])
    if wanted.drop:
        ledger = ledger.filter(pa.array([seq not in wanted.drop for seq in ledger["seq"].to_pylist()], pa.bool_()))
    for seq, points in wanted.revise:
        ledger = _revised(ledger, seq, str(points))
    added = list(range(after + 1, after + 1 + len(wanted.add)))
    if added:
        events = [_checked(checker, raw, line) for line, raw in enumerate(wanted.add, 1)]
        ledger = pa.concat_tables([ledger, store.table(added, [None] * len(added), events, wanted.add)])
    return Changed(point.refold(con, ledger, other), added, refused)


def _recheck(ledger: pa.Table, checker: Checker) -> tuple[pa.Table, list[Refusal]]:
    """Every event as another rulebook reads it."""
    sequences, recorded, raws = (ledger[name].to_pylist() for name in ("seq", "recorded_at", "raw"))
    judged = [(row, checker.check(row[2])) for row in zip(sequences, recorded, raws, strict=True)]
    kept = [(row, event) for row, event in judged if isinstance(event, Event)]
    refused = [msgspec.structs.replace(one, line=row[0]) for row, one in judged if isinstance(one, Refusal)]
    rows = [row for row, __ in kept]
    table = store.table(
        [row[0] for row in rows], [row[1] for row in rows], [event for __, event in kept], [row[2] for row in rows]
    )
    return table, refused


def _revised(ledger: pa.Table, seq: int, points: str) -> pa.Table:
    """The ledger with other points of a deduction, or another value of a rating."""
    row = ledger["seq"].to_pylist().index(seq)
    name = "points" if ledger["ground"][row].is_valid else "value"
    values = ledger[name].to_pylist()
    values[row] = points
    return ledger.set_column(ledger.column_names.index(name), name, pa.array(values, pa.string()))


def _checked(checker: Checker, raw: bytes, line: int) -> Event:
    found = checker.check(raw)
    if isinstance(found, Event):
        return found
    raise Stop(
        Exit.NO,
        _(
            "--add line {line} is refused: {reason} {path}: {message}",
            line=line,
            reason=found.reason,
            path=found.path or "",
            message=found.message,
        ),
    )


def _lines(path: Path | None) -> tuple[bytes, ...]:
    if path is None:
        return ()
    try:
        return tuple(line.removesuffix(b"\r") for line in path.read_bytes().removesuffix(b"\n").split(b"\n"))
    except OSError as error:
        raise Stop(Exit.FAILED, _("{path}: cannot be read: {error}", path=path, error=error.strerror)) from None


def _sequence(con: duckdb.DuckDBPyConnection, text: str, option: str) -> int:
    """The sequence of an event that is there; anything else is wrong use."""
    is_number = text.isascii() and text.isdigit() and len(text) < 19
    if is_number and con.execute("SELECT 1 FROM event WHERE seq = ?", [int(text)]).fetchone():
        return int(text)
    raise Stop(
        Exit.USE, _("{option} {text}: expected the sequence of an event of the ledger", option=option, text=text)
    )


def _revision(con: duckdb.DuckDBPyConnection, text: str) -> tuple[int, Decimal]:
    name, __, value = text.partition("=")
    seq = _sequence(con, name, "--revise")
    with rules.compute(con, upto="decision_range"):
        row = con.execute("SELECT low, high, is_binary FROM decision_range WHERE seq = ?", [seq]).fetchone()
    if row is None:
        raise Stop(Exit.USE, _("--revise {text}: sequence {seq} is neither an entry nor a rating", text=text, seq=seq))
    low, high, binary = row
    plain = re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,6})?", value, re.ASCII)
    if not plain or not low <= Decimal(value) <= high or (binary and Decimal(value) not in (0, 1)):
        expected = "0 / 1" if binary else f"{low:f} … {high:f}"
        raise Stop(
            Exit.USE,
            _("--revise {text}: expected SEQ=POINTS with a plain decimal of {expected}", text=text, expected=expected),
        )
    return seq, Decimal(value)


def _options(texts: list[str], book: Rulebook) -> dict[str, str]:
    """Readings of `name=value`; an unknown name or value is wrong use."""
    known = book.readings
    pairs = dict(text.partition("=")[::2] for text in texts)
    for name, value in pairs.items():
        if value not in known.get(name, ()):
            expected = " · ".join(known.get(name, known))
            raise Stop(
                Exit.USE,
                _("--reading {name}={value}: expected one of {expected}", name=name, value=value, expected=expected),
            )
    return pairs


def _added(changed: Changed, lang: Language) -> list[Added]:
    if not changed.added:
        return []
    with rules.compute(changed.con):
        rows = changed.con.execute(
            f"SELECT seq, id, disposition, why_{lang} FROM entry_trail WHERE seq >= $1"
            f" UNION ALL SELECT seq, id, disposition, why_{lang} FROM event_trail WHERE seq >= $1 ORDER BY seq",
            [changed.added[0]],
        ).fetchall()
    found = {row[0]: Added(*row) for row in rows}
    conflict = _("its source and id are held by other content").say(lang)
    return [found.get(seq) or Added(seq, "", "conflict", conflict) for seq in changed.added]


def _show(found: WhatIf, form: str, lang: Language, names: Mapping[str, str]) -> None:
    if form == "json":
        _json(found)
        return
    out = tables.console()
    if found.dropped:
        out.print((_("without ").say(lang)) + ", ".join(map(str, found.dropped)))
    for seq, points in found.revised.items():
        out.print(_("sequence {seq} at {points}", seq=seq, points=points).say(lang))
    for one in found.added:
        out.print(_("added as {seq}: {why}", seq=one.seq, why=one.why).say(lang))
    if found.refused:
        refused = _n("{rulebook} refuses {n} event", "{rulebook} refuses {n} events", len(found.refused))
        out.print(refused.of(rulebook=found.rulebook).say(lang))
    show(found.difference, form, lang, names)


def _json(found: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    sys.stdout.buffer.flush()


def _smallest(found: Found, year: Year, form: str, lang: Language, names: Mapping[str, str]) -> int:
    """Print the smallest set; exit 1 when there is none, or none was found within the limit."""
    if form == "json":
        _json(found)
    else:
        out = tables.console()
        if year.synthetic:
            out.print(tables.words("synthetic", lang), style="bold")
        out.print(words(found, lang, names))
    return Exit.DONE if found.sequences else Exit.NO


class Dependence(msgspec.Struct, frozen=True):
    """One other value of a reading: the units whose place or grade depend on it, with both standings."""

    reading: str
    clause: str | None
    in_force: str
    value: str
    places: list[str]
    grades: list[str]
    units: dict[str, tuple[Standing, Standing]]


class Readings(msgspec.Struct, frozen=True):
    """Every reading switched to each of its other values, one at a time, against those in force."""

    as_of: int
    synthetic: bool
    readings: list[Dependence]


def readings(
    *,
    at: At = LATEST,
    format: Literal["json", "table"] = "table",  # noqa: A002 - the contract's word
) -> int:
    """Switch every reading to each other value, and show which units' places and grades depend on it.

    Example: wuxing readings --format json

    Parameters
    ----------
    format
        A table to read, or JSON with both standings of each unit.
    """
    chosen = at.language
    with point.snapshot(at.snapshot) as con:
        base, cut, year = _base(con, at.as_of, at.facts_until)
        found = Readings(cut, year.synthetic, dependences(base, cut, year.rulebook))
        names = tables.grades(con, chosen)
    if format == "json":
        _json(found)
    else:
        _show_readings(found, chosen, names)
    return Exit.DONE


def dependences(con: duckdb.DuckDBPyConnection, cut: int, book: Rulebook) -> list[Dependence]:
    """Each reading's other values, in the rulebook's order, with the units that they move."""
    before = side(con, cut, whole=False)
    clauses = {reading.name: reading.clause for reading in book.reading}
    return [
        _dependence(name, clauses[name], value, before, side(con, cut, {name: value}, whole=False))
        for name, values in book.readings.items()
        for value in values
        if value != before.readings[name]
    ]


def _dependence(name: str, clause: str | None, value: str, before: Side, after: Side) -> Dependence:
    def differing(of: Callable[[Standing], object]) -> list[str]:
        pairs = ((unit, was, after.units[unit]) for unit, was in sorted(before.units.items()))
        return [unit for unit, was, now in pairs if of(was) != of(now)]

    # To compete in a scheme and get nothing is no grade: who does so under one value alone does not depend on it.
    places = differing(lambda one: one.place)
    grades = differing(lambda one: ({name: grade for name, grade in one.grades.items() if grade}, one.undecided))
    units = {unit: (before.units[unit], after.units[unit]) for unit in sorted({*places, *grades})}
    return Dependence(name, clause, before.readings[name], value, places, grades, units)


def _show_readings(found: Readings, lang: Language, names: Mapping[str, str]) -> None:
    out = tables.console()
    if found.synthetic:
        out.print(tables.words("synthetic", lang), style="bold")
    table = Table(box=box.SIMPLE_HEAD)
    for head in (_("Reading"), _("Clause"), _("Value"), _p("readings", "Places"), _("Grades")):
        table.add_column(head.say(lang), overflow="fold")
    for one in found.readings:
        table.add_row(
            one.reading,
            one.clause or "",
            f"{one.in_force} → {one.value}",
            f"{len(one.places)}: {' '.join(one.places)}" if one.places else "—",
            " · ".join(f"{unit} {standing_cells(*one.units[unit], names)[2]}" for unit in one.grades) or "—",
        )
    out.print(table)
