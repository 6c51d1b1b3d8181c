"""The command `appeals`: appeals (申诉) open and decided, their deadlines, and what each outcome would move.

Deadlines come from the rulebook's parameters in force and are reported; the fold enforces none of them.
"""

import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import duckdb
import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from schemas.events import Event, day
from schemas.words import COLON, Language, _, _p
from services.command import tables
from services.command.options import LATEST, At
from services.command.progress import Bar
from services.command.typeset import clean
from services.process.ending import Exit
from services.reports.diff import graded
from services.scorer import rules, store
from services.snapshot import point, texts
from services.snapshot.moves import Standing, side

DECIDED = "appeal.decided.v1"
Outcome = Literal["upheld", "cancelled", "revised"]
TEXT = {
    "appeals": _("Appeals"),
    "none": _("No appeal stands."),
    "as_of": _("As of sequence"),
    "seq": _("Seq"),
    "unit": _("Unit"),
    "target": _p("appeals", "Against"),
    "filed": _p("appeals", "Filed"),
    "window": _("Window"),
    "due": _p("appeals", "Decision due"),
    "state": _("State"),
    "statement": _("Statement"),
    "in_time": _("in time"),
    "late": _p("appeal", "late"),
    "overdue": _("overdue"),
    "open": _p("appeal, waiting", "open"),
    "decided": _("decided"),
    "closed": _("closed: the target was revoked"),
    "upheld": _("upheld"),
    "cancelled": _("cancelled"),
    "revised": _p("outcome of an appeal", "revised"),
    "nothing": _("no place or grade moves"),
    "void": _("void: out of range"),
    "place": _("place"),
    "final": _("final"),
    "grades": _("grades"),
    "synthetic": _("Synthetic data: the units are made up."),
}


class Move(msgspec.Struct, frozen=True):
    """A unit that a decision would move, before and after (services.snapshot.moves)."""

    unit: str
    before: Standing
    after: Standing


class Prospect(msgspec.Struct, frozen=True):
    """What one outcome would move: units whose final, place or grade changes; null where it would be void."""

    outcome: Outcome
    points: str | None
    moves: list[Move] | None


class Appeal(msgspec.Struct, frozen=True):
    """An appeal that stands; a decision names it by source and id. Times are UTC, null beyond what a calendar holds."""

    seq: int
    source: str
    id: str
    unit: str
    name: str
    statement: str
    target: int
    target_type: str
    office: str
    item: str | None
    matter: str | None
    claimed: str | None
    filed_at: str | None
    appeal_until: str | None
    filed_late: bool | None
    decision_due: str | None
    decision_late: bool | None
    state: Literal["open", "decided", "closed"]
    decided_by: int | None
    decided_at: str | None
    outcome: Outcome | None
    revised_to: str | None
    prospects: list[Prospect] = []


class Appeals(msgspec.Struct, frozen=True):
    """All appeals at one sequence; `now` is the ledger's own time there."""

    assessment: str
    as_of: int
    now: str | None
    synthetic: bool
    appeals: list[Appeal]
    facts_until: str | None = None


def appeals(
    *,
    at: At = LATEST,
    unit: str | None = None,
    format: Literal["table", "json"] = "table",  # noqa: A002 - the contract's word
) -> int:
    """List appeals open and decided: for whom, due when, late or not, and what each outcome would move.

    Example: wuxing appeals --format json

    Parameters
    ----------
    unit
        The appeals of one unit only.
    format
        Tables to read, or the whole as JSON.
    """
    chosen = at.language
    with point.ledger(at) as (ledger, cut):
        with rules.compute(ledger, as_of=cut):
            shown = texts.shown(ledger, chosen)
            found = [
                msgspec.structs.replace(one, statement=shown(one.statement))
                for one in listed(ledger)
                if unit in (None, one.unit)
            ]
            now = ledger.execute(_NOW).fetchall()[0][0]
        found = _with_prospects(ledger, found, cut, chosen)
        meta, names = point.meta(ledger), tables.grades(ledger, chosen)
    synthetic = meta.get("synthetic") == "true"
    whole = Appeals(meta.get("assessment", ""), cut, now, synthetic, found, meta.get("facts_until"))
    if format == "json":
        sys.stdout.buffer.write(msgspec.json.encode(whole) + b"\n")
    else:
        _print(whole, chosen, names)
    return Exit.DONE


_NOW = "SELECT strftime(max(now), '%Y-%m-%dT%H:%M:%SZ') FROM appeal_deadline"


def listed(con: duckdb.DuckDBPyConnection) -> list[Appeal]:
    """Read the appeals that stand, with their deadlines, inside an open `rules.compute`; open ones first."""
    times = ("filed_at", "appeal_until", "decision_due", "decided_at")
    written = ", ".join(f"strftime(d.{name}, '%Y-%m-%dT%H:%M:%SZ') AS {name}" for name in times)
    query = con.execute(
        "SELECT d.seq, f.source, f.id, d.unit, u.name, d.statement, d.target, t.type AS target_type,"
        " split_part(t.source, '/', 3) AS office, t.item, t.matter, d.filed_late, d.decision_late,"
        " coalesce(t.points, g.points, t.value)::VARCHAR AS claimed,"
        f" d.state, d.decided_by, d.outcome, r.points::VARCHAR AS revised_to, {written}"
        " FROM appeal_deadline d JOIN unit_in_force u ON u.unit = d.unit JOIN ledger_event t ON t.seq = d.target"
        " JOIN ledger_event f ON f.seq = d.seq"
        " LEFT JOIN ledger_event r ON r.seq = d.decided_by"
        " LEFT JOIN rulebook_ground g ON g.item = t.item AND g.ground = t.ground"
        " ORDER BY d.state <> 'open', d.seq"
    )
    names = [column[0] for column in query.description or ()]
    return [Appeal(**dict(zip(names, row, strict=True))) for row in query.fetchall()]


def _with_prospects(con: duckdb.DuckDBPyConnection, found: list[Appeal], cut: int, lang: Language) -> list[Appeal]:
    """Add to each open appeal what its outcomes would move."""
    if not any(one.state == "open" for one in found):
        return found
    with copy(con, cut) as fresh, Bar(lang, _("deciding")) as bar:
        before = _standings(fresh)
        waiting = sum(one.state == "open" for one in found)
        made = []
        for done, one in enumerate(found, 1):
            made.append(
                msgspec.structs.replace(one, prospects=prospects(fresh, one, before)) if one.state == "open" else one
            )
            bar.step(min(done, waiting), waiting)
    return made


def copy(con: duckdb.DuckDBPyConnection, cut: int) -> duckdb.DuckDBPyConnection:
    """Copy a ledger up to a sequence into memory, with its rules and what admission judged."""
    fresh = store.fresh()
    point.copy_rules(con, fresh)
    query = f"SELECT * REPLACE (NULL::BLOB AS raw) FROM event WHERE seq <= {cut:d} ORDER BY seq"
    fresh.register("held", con.sql(query).to_arrow_table())
    fresh.execute("INSERT INTO event BY NAME FROM held")
    fresh.unregister("held")
    return fresh


def prospects(fresh: duckdb.DuckDBPyConnection, appeal: Appeal, before: dict[str, Standing]) -> list[Prospect]:
    """What each outcome would move: cancelled, and where it can be revised, to what serves the unit most."""
    with rules.compute(fresh, upto="decision_range"):
        row = fresh.execute("SELECT best::VARCHAR FROM decision_range WHERE seq = ?", [appeal.target]).fetchone()
    outcomes: list[tuple[Outcome, str | None]] = [("cancelled", None)]
    outcomes += [("revised", _short(row[0]))] if row else []
    return [
        Prospect("upheld", None, []),  # it leaves the target as it is
        *(Prospect(outcome, points, _moves(fresh, appeal, outcome, points, before)) for outcome, points in outcomes),
    ]


def _moves(
    fresh: duckdb.DuckDBPyConnection, appeal: Appeal, outcome: Outcome, points: str | None, before: dict[str, Standing]
) -> list[Move] | None:
    """Decide the appeal in the copy, compare every unit, and take the decision back."""
    fresh.execute("BEGIN")
    try:
        last = fresh.execute("SELECT max(seq) FROM event").fetchall()[0][0]
        decision = Event(
            source="/offices/what-if",
            id=f"{outcome}-{appeal.seq}",
            type=DECIDED,
            subject=appeal.unit,
            time="",
            occurred="",
            target_source=appeal.source,
            target_id=appeal.id,
            outcome=outcome,
            points=points,
        )
        store.append(fresh, store.table([last + 1], [None], [decision], [b""]))
        if fresh.execute("SELECT 1 FROM event WHERE seq = ? AND admission <> 'admitted'", [last + 1]).fetchall():
            return None
        after = _standings(fresh)
    finally:
        fresh.execute("ROLLBACK")
    return [Move(unit, was, after[unit]) for unit, was in before.items() if was != after[unit]]


def _standings(con: duckdb.DuckDBPyConnection) -> dict[str, Standing]:
    """Every unit's final, place and grades, by code."""
    found = side(con, 2**62, whole=False).units
    return dict(sorted(found.items()))


def words(key: str, lang: Language) -> str:
    """Give a word of the tables in the language."""
    return TEXT[key].say(lang)


def _print(found: Appeals, lang: Language, names: Mapping[str, str]) -> None:
    out = tables.console()
    when = f" ({_day(found.now)})" if found.now else ""
    out.print(Text(f"{words('appeals', lang)} · {found.assessment} · {words('as_of', lang)} {found.as_of}{when}"))
    if found.synthetic:
        out.print(words("synthetic", lang), style="bold")
    for line in point.facts_words(found.facts_until, lang):
        out.print(line)
    if not found.appeals:
        out.print(words("none", lang))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for key in ("seq", "unit", "target", "filed", "window", "due", "state", "statement"):
        table.add_column(words(key, lang), overflow="fold")
    for one in found.appeals:
        target = " · ".join(filter(None, (f"{words('seq', lang)} {one.target}", one.item, one.office, one.matter)))
        in_time = words("late" if one.filed_late else "in_time", lang)
        cells = (
            str(one.seq),
            f"{one.unit} {one.name}",
            target,
            _day(one.filed_at),
            f"{_day(one.appeal_until)} {in_time}",
            _day(one.decision_due),
            state(one, lang),
            one.statement,
        )
        table.add_row(*(Text(clean(cell)) for cell in cells))
    out.print(table)
    for one in found.appeals:
        if one.state == "open":
            about = {"seq": one.seq, "source": one.source, "id": one.id}
            said = _("A decision on the appeal of sequence {seq} names its source {source} and id {id}", **about)
            out.print(Text(clean(said.say(lang))), soft_wrap=True)
        for prospect in one.prospects:
            out.print(Text(_if(one, prospect, lang) + COLON.say(lang) + _what(prospect, lang, names)))


def state(appeal: Appeal, lang: Language) -> str:
    """Say where an appeal stands: open or overdue, decided how and whether late, or closed."""
    if appeal.state == "decided":
        assert appeal.outcome is not None
        late = f" · {words('late', lang)}" if appeal.decision_late else ""
        when = f"{words('seq', lang)} {appeal.decided_by} · {_day(appeal.decided_at)}"
        return f"{_outcome(appeal.outcome, appeal.revised_to, lang)} · {when}{late}"
    overdue = appeal.state == "open" and appeal.decision_late
    return words("overdue" if overdue else appeal.state, lang)


def _day(time: str | None) -> str:
    return day(time) if time else "-"


def _if(appeal: Appeal, prospect: Prospect, lang: Language) -> str:
    """Name the outcome that is supposed."""
    outcome = _outcome(prospect.outcome, prospect.points, lang)
    said = _("If the appeal of {unit} (sequence {seq}) is {outcome}", unit=appeal.unit, seq=appeal.seq, outcome=outcome)
    return said.say(lang)


def _outcome(outcome: Outcome, points: str | None, lang: Language) -> str:
    """Name an outcome, with the points that a revision sets."""
    to = "" if points is None else _(" to {points}", points=_short(points)).say(lang)
    return words(outcome, lang) + to


def _short(points: str) -> str:
    return f"{Decimal(points).normalize():f}"


def _what(prospect: Prospect, lang: Language, names: Mapping[str, str]) -> str:
    """Say which units move, each with what changes."""
    if prospect.moves is None:
        return words("void", lang)
    said = (f"{one.unit} {', '.join(changes(one, lang, names))}" for one in prospect.moves)
    return "; ".join(said) or words("nothing", lang)


def changes(move: Move, lang: Language, names: Mapping[str, str]) -> list[str]:
    """Say what changes of a unit: final, place, grades."""
    was, now = move.before, move.after
    pairs = (
        ("final", tables.four(Decimal(was.final)), tables.four(Decimal(now.final))),
        ("place", str(was.place or "—"), str(now.place or "—")),
        ("grades", graded(was, names), graded(now, names)),
    )
    return [f"{words(key, lang)} {old} → {new}" for key, old, new in pairs if old != new]
