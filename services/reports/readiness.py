"""The command `readiness`: all that stands in the way of final, and whose it is."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import duckdb
import msgspec
from rich.text import Text

from schemas.events import day
from schemas.words import COLON, Both, Language, _, _n
from services.command import tables
from services.command.options import LATEST, At
from services.command.typeset import clean
from services.process.ending import Exit
from services.reports import appeals
from services.reports.reach import Reach, reached
from services.scorer import rules
from services.snapshot import point

TEXT = {
    "title": _("Readiness for final"),
    "as_of": _("as of sequence"),
    "ready": _("Nothing stands in the way of final."),
    "not_ready": _("Final is refused while these stand in its way:"),
    "pending": _("Pending items"),
    "appeals": _("Open appeals"),
    "ties": _("Undecided ties"),
    "assumptions": _("Assumptions that {collector} has not adopted"),
    "awaiting": _("Entries that await approval"),
    "stages": _("Stages not reached"),
    "unclosed": _("not closed by"),
    "lacking": _n("no complete input for {n} unit ({units})", "no complete input for {n} units ({units})"),
    "seq": _("sequence"),
    "collector": _("the collector"),
    "against": _("against sequence"),
    "due": _("due"),
    "in_force": _("in force"),
    "synthetic": _("Synthetic data: the units are made up."),
    "where": _("{what}: a line on the sheet {sheet} of {file}"),
    "close": _("close {item}"),
    "rate": _("rate {units}"),
    "reopen": _("{item} is closed and nobody can rate {units}; revoke the closing {source} {id} (sequence {seq})"),
    "deadlines": _("Deadlines"),
    "over": _("over"),
    "publicity": _("publicity"),
    "decide": _("decide on the appeal {source} {id}"),
    "order": _("put {units} in order"),
    "order_later": _("when no item is pending any more, if they are still tied: put {units} in order"),
    "adopt": _("adopt {name}"),
    "approve": _("approve or reject {source} {id}"),
    "reach": _("{name} is reached"),
    "finalise": _("make it final"),
    "lost": _("of {unit} the rating of sequence {seq} was taken by sequence {by}"),
}
#: The sheet of an office's workbook for each kind of event.
SHEETS = {
    "rating.recorded.v1": Both("Ratings", "评分"),
    "item.closed.v1": Both("Closings", "办结"),
    "event.revoked.v1": Both("Revocations", "撤销"),
    "appeal.decided.v1": Both("Decisions", "申诉决定"),
    "tie.resolved.v1": Both("Ties", "并列排序"),
    "reading.adopted.v1": Both("Adoptions", "确认读法"),
    "approval.recorded.v1": Both("Approvals", "审批"),
    "stage.reached.v1": Both("Stages", "阶段"),
}
#: More units than these are counted, not named, in the table; JSON names all.
NAMED_MAX = 12


class Step(msgspec.Struct, frozen=True):
    """What removes an obstacle: whose it is (an office; null where no rulebook says), what to write, what sends it."""

    owner: str | None
    owner_name: str | None
    what: str
    command: str


class LostRating(msgspec.Struct, frozen=True):
    """A rating that a unit had, and the event that took it away: a revocation, or a decision on appeal."""

    unit: str
    seq: int
    by: int


class PendingItem(msgspec.Struct, frozen=True):
    """A pending item: the offices that have not closed it, the units that lack input, all units it holds up.

    Where all have closed it nobody can rate, so `steps` begin with revoking the closings; `lost` are ratings it had.
    """

    item: str
    name: str
    offices: list[str]
    office_names: list[str]
    lacking: list[str]
    units: list[str]
    lost: list[LostRating]
    steps: list[Step]


class Deadline(msgspec.Struct, frozen=True):
    """When something is due, in UTC: an item's part of an office, or the publicity, which has neither.

    `over` is whether that was before what was recorded last. Nothing enforces it.
    """

    item: str | None
    office: str | None
    office_name: str | None
    until: str
    over: bool


class OpenAppeal(msgspec.Struct, frozen=True):
    """An appeal without decision, and when its decision is due."""

    seq: int
    unit: str
    target: int
    item: str | None
    decision_due: str | None
    overdue: bool | None
    step: Step


class UndecidedTie(msgspec.Struct, frozen=True):
    """A tie across the cut of a grade that no tie.resolved settles."""

    scheme: str
    grade: str
    pool: str
    units: list[str]
    step: Step


class AwaitingEntry(msgspec.Struct, frozen=True):
    """An entry on a ground that needs approval and has none."""

    seq: int
    unit: str
    item: str
    step: Step


class Assumption(msgspec.Struct, frozen=True):
    """A reading or parameter that no reading.adopted has adopted: what it asks, and the value in force."""

    name: str
    question: str
    value: str
    clause: str | None
    step: Step


class StageAhead(msgspec.Struct, frozen=True):
    """A stage of the rulebook that is not reached."""

    stage: str
    name: str
    step: Step


class Readiness(msgspec.Struct, frozen=True):
    """All that stands in the way of final at one sequence; `final` is the last step where nothing does.

    `deadlines` are what a day is set for and is not done, with the publicity's end; none stands in the way. `reach` is
    what every unit can still come to.
    """

    assessment: str
    as_of: int
    assessment_state: str
    synthetic: bool
    ready: bool
    pending: list[PendingItem]
    appeals: list[OpenAppeal]
    ties: list[UndecidedTie]
    assumptions: list[Assumption]
    awaiting: list[AwaitingEntry]
    stages: list[StageAhead]
    deadlines: list[Deadline]
    collector: str | None
    final: Step | None
    reach: list[Reach]
    facts_until: str | None = None


def readiness(
    *,
    at: At = LATEST,
    format: Literal["table", "json"] = "table",  # noqa: A002 - the contract's word
) -> int:
    """Show what stands in the way of final, and whose it is; exit 1 while anything does.

    Example: wuxing readiness --lang zh

    Parameters
    ----------
    format
        A list to read, or the whole as JSON.
    """
    chosen = at.language
    with point.ledger(at) as (ledger, cut), rules.compute(ledger, as_of=cut):
        found, names = obstacles(ledger, cut, chosen, point.meta(ledger)), tables.grades(ledger, chosen)
        reached = tables.state(ledger, found.assessment_state, chosen)
    if format == "json":
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    else:
        _print(found, chosen, names, reached)
    return Exit.DONE if found.ready else Exit.NO


def unclosed(con: duckdb.DuckDBPyConnection, lang: Language) -> dict[str, list[tuple[str, str]]]:
    """Code and name of the offices (考核责任单位) that hold a place of an item and have not closed it, by item."""
    rows = con.execute(
        f"SELECT h.item, h.office, n.name_{lang} FROM item_holder h JOIN office n ON n.office = h.office"
        " ANTI JOIN year_event c ON c.type = 'item.closed.v1' AND c.item = h.item"
        "                       AND c.source = '/offices/' || h.office"
        " ORDER BY h.item, n.ordinal"
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for item, office, name in rows:
        found.setdefault(item, []).append((office, name))
    return found


class Owners:
    """Whose an obstacle is: the offices by code, and who collects, decides on appeals and approves."""

    def __init__(self, con: duckdb.DuckDBPyConnection, lang: Language, meta: Mapping[str, str]) -> None:
        self.lang: Language = lang
        self.names = dict(con.execute(f"SELECT office, name_{lang} FROM office").fetchall())
        roles = msgspec.json.decode(meta["rulebook_json"])["roles"] if "rulebook_json" in meta else {}
        self.collector: str | None = roles.get("collector")
        self.appeals: str | None = roles.get("appeals")
        self.approvals: str | None = roles.get("approvals") or self.collector

    def step(self, office: str | None, kind: str, key: str, **about: object) -> Step:
        """What an office writes on which sheet of its workbook, and the command that sends it."""
        code = office or "OFFICE"
        what = TEXT["where"].of(what=TEXT[key].of(**about), sheet=SHEETS[kind], file=f"{code}.xlsx")
        return Step(office, self.names.get(office), what.say(self.lang), f"wuxing emit {code}.xlsx --office {code}")


def obstacles(con: duckdb.DuckDBPyConnection, cut: int, lang: Language, meta: dict[str, str]) -> Readiness:
    """Read all that stands in the way of final, inside an open `rules.compute`; `meta` is the snapshot's."""
    ready = not con.execute("SELECT 1 FROM obstacle LIMIT 1").fetchall()
    state = con.execute("SELECT state FROM assessment_state").fetchall()[0][0]
    whose = Owners(con, lang, meta)
    return Readiness(
        assessment=meta.get("assessment", ""),
        as_of=cut,
        assessment_state=state,
        synthetic=meta.get("synthetic") == "true",
        ready=ready,
        pending=(pending := _pending(con, whose)),
        appeals=_appeals(con, whose),
        ties=_ties(con, whose, "order_later" if pending else "order"),
        assumptions=_assumptions(con, whose),
        awaiting=_awaiting(con, whose),
        stages=_stages(con, whose),
        deadlines=deadlines(con, lang),
        collector=whose.names.get(whose.collector),
        final=whose.step(whose.collector, "stage.reached.v1", "finalise") if ready and state != "finalised" else None,
        reach=list(reached(con).values()),
        facts_until=meta.get("facts_until"),
    )


def _appeals(con: duckdb.DuckDBPyConnection, whose: Owners) -> list[OpenAppeal]:
    return [
        OpenAppeal(
            one.seq, one.unit, one.target, one.item, one.decision_due, one.decision_late,
            whose.step(whose.appeals, "appeal.decided.v1", "decide", source=one.source, id=one.id),
        )
        for one in appeals.listed(con) if one.state == "open"
    ]  # fmt: skip


def deadlines(con: duckdb.DuckDBPyConnection, lang: Language) -> list[Deadline]:
    """What a day is set for, the earliest first, inside an open `rules.compute`."""
    rows = con.execute(
        f"SELECT d.item, d.office, o.name_{lang}, strftime(d.until, '%Y-%m-%dT%H:%M:%SZ'), d.is_over"
        " FROM deadline d LEFT JOIN office o ON o.office = d.office ORDER BY d.until, d.item, d.office"
    ).fetchall()
    return [Deadline(*row) for row in rows]


def _ties(con: duckdb.DuckDBPyConnection, whose: Owners, key: str) -> list[UndecidedTie]:
    """Ties across a cut; while items are pending they may go by themselves, and nobody need draw lots yet."""
    rows = con.execute(
        "SELECT scheme, grade, pool, undecided FROM grade_result WHERE undecided <> [] ORDER BY scheme, ordinal, pool"
    ).fetchall()
    return [
        UndecidedTie(
            scheme, grade, pool, units, whose.step(whose.collector, "tie.resolved.v1", key, units=named(units))
        )
        for scheme, grade, pool, units in rows
    ]


def _assumptions(con: duckdb.DuckDBPyConnection, whose: Owners) -> list[Assumption]:
    rows = con.execute(
        f"SELECT o.name, q.question_{whose.lang}, r.value, r.clause FROM obstacle o"
        " JOIN reading_in_force r ON r.name = o.name JOIN rulebook_reading q ON q.name = o.name"
        " WHERE o.kind = 'assumption' ORDER BY o.name"
    ).fetchall()
    return [
        Assumption(name, asked, value, clause, whose.step(whose.collector, "reading.adopted.v1", "adopt", name=name))
        for name, asked, value, clause in rows
    ]


def _awaiting(con: duckdb.DuckDBPyConnection, whose: Owners) -> list[AwaitingEntry]:
    rows = con.execute(
        "SELECT o.seq, o.unit, o.item, e.source, e.id FROM obstacle o JOIN ledger_event e ON e.seq = o.seq"
        " WHERE o.kind = 'awaiting' ORDER BY o.seq"
    ).fetchall()
    return [
        AwaitingEntry(
            seq,
            unit,
            item,
            whose.step(whose.approvals, "approval.recorded.v1", "approve", source=source, id=identifier),
        )
        for seq, unit, item, source, identifier in rows
    ]


def _stages(con: duckdb.DuckDBPyConnection, whose: Owners) -> list[StageAhead]:
    rows = con.execute(
        f"SELECT s.stage, s.name_{whose.lang} FROM obstacle o JOIN rulebook_stage s ON s.stage = o.name"
        " WHERE o.kind = 'stage' ORDER BY s.ordinal"
    ).fetchall()
    return [
        StageAhead(stage, name, whose.step(whose.collector, "stage.reached.v1", "reach", name=name))
        for stage, name in rows
    ]


def _pending(con: duckdb.DuckDBPyConnection, whose: Owners) -> list[PendingItem]:
    """Pending items; lacking are units without complete input, where a closing would not make it 0."""
    offices, closings, lost = unclosed(con, whose.lang), _closings(con), _lost(con)
    rows = con.execute(
        f"SELECT p.item, i.name_{whose.lang}, list(p.unit ORDER BY p.unit),"
        " coalesce(list(p.unit ORDER BY p.unit) FILTER (NOT (f.input = 'entries' OR f.missing_zero AND r.unit IS NULL"
        " OR coalesce(r.complete, len(f.needed) = 0))), [])"
        " FROM item_points p JOIN rulebook_item i ON i.item = p.item"
        " JOIN item_in_force f ON f.item = p.item"
        " LEFT JOIN rated_state r ON r.unit = p.unit AND r.item = p.item"
        " JOIN unit_in_force u ON u.unit = p.unit AND NOT u.has_left"
        f" WHERE p.state = 'pending' GROUP BY p.item, i.name_{whose.lang}, p.ordinal ORDER BY p.ordinal"
    ).fetchall()
    return [
        PendingItem(
            item,
            name,
            [code for code, __ in offices.get(item, [])],
            [name for __, name in offices.get(item, [])],
            lacking,
            units,
            [one for one in lost.get(item, []) if one.unit in lacking],
            list(_steps(whose, item, lacking, [code for code, __ in offices.get(item, [])], closings.get(item, []))),
        )
        for item, name, units, lacking in rows
    ]


def _steps(
    whose: Owners, item: str, lacking: list[str], waiting: list[str], closings: list[tuple[str, int, str, str]]
) -> Iterator[Step]:
    """What an item waits for, in order: where all have closed it, the closings are revoked before anybody can rate."""
    few = named(lacking)
    for office, seq, source, identifier in () if waiting else closings:
        yield whose.step(
            office, "event.revoked.v1", "reopen", item=item, units=few, source=source, id=identifier, seq=seq
        )
    for office in waiting or [office for office, *__ in closings]:
        if lacking:
            yield whose.step(office, "rating.recorded.v1", "rate", units=few)
        yield whose.step(office, "item.closed.v1", "close", item=item)


def _closings(con: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str, int, str, str]]]:
    """The closings that stand, by item: office, sequence, source and id."""
    rows = con.execute(
        "SELECT c.item, split_part(e.source, '/', 3), e.seq, e.source, e.id FROM year_event c"
        " JOIN ledger_event e ON e.seq = c.seq WHERE c.type = 'item.closed.v1' ORDER BY e.seq"
    ).fetchall()
    found: dict[str, list[tuple[str, int, str, str]]] = {}
    for item, *rest in rows:
        found.setdefault(item, []).append((rest[0], rest[1], rest[2], rest[3]))
    return found


def _lost(con: duckdb.DuckDBPyConnection) -> dict[str, list[LostRating]]:
    """Ratings that were admitted and no longer stand, by item."""
    rows = con.execute(
        "SELECT item, unit, seq, coalesce(revoked_by, decided_by) FROM judged_event"
        " WHERE type = 'rating.recorded.v1' AND admission = 'admitted' AND NOT stands ORDER BY seq"
    ).fetchall()
    found: dict[str, list[LostRating]] = {}
    for item, *rest in rows:
        found.setdefault(item, []).append(LostRating(*rest))
    return found


def named(units: list[str]) -> str:
    """A few units by code, and how many more."""
    return ", ".join(units[:NAMED_MAX]) + (f" … ({len(units)})" if len(units) > NAMED_MAX else "")


def words(key: str, lang: Language) -> str:
    """Give a word of the list in the language."""
    return TEXT[key].say(lang)


def _print(found: Readiness, lang: Language, names: Mapping[str, str], state: str) -> None:
    out = tables.console()
    out.print(
        Text(
            f"{words('title', lang)} · {found.assessment} · {words('as_of', lang)} {found.as_of} · {state}",
            style="bold",
        )
    )
    if found.synthetic:
        out.print(words("synthetic", lang), style="bold")
    for line in point.facts_words(found.facts_until, lang):
        out.print(line)
    out.print(words("ready" if found.ready else "not_ready", lang))
    if found.final:
        out.print(Text(f"  → {_step_line(found.final, lang)}", style="bold"), soft_wrap=True)
    for key, obstacles_of in _groups(found, lang, names).items():
        if obstacles_of:
            title = TEXT[key].of(collector=found.collector or TEXT["collector"]).say(lang)
            out.print(Text(f"\n{title} ({len(obstacles_of)})", style="bold"))
        for line, steps in obstacles_of:
            out.print(Text(f"  {line}"), soft_wrap=True)
            for step in steps:  # a command that were broken into two lines could not be copied
                out.print(Text(f"    → {_step_line(step, lang)}", style="dim"), soft_wrap=True)
    if found.deadlines:
        out.print(Text(f"\n{words('deadlines', lang)} ({len(found.deadlines)})", style="bold"))
    for one in found.deadlines:
        what = clean(f"{one.item} {one.office_name}") if one.item else words("publicity", lang)
        over = [words("over", lang)] if one.over else []
        out.print(Text("  " + " · ".join((what, f"{words('due', lang)} {day(one.until)}", *over))))


def _groups(found: Readiness, lang: Language, names: Mapping[str, str]) -> dict[str, list[tuple[str, Sequence[Step]]]]:
    """Every obstacle as a line with its steps, by kind."""
    return {
        "pending": [(_pending_line(one, lang), one.steps) for one in found.pending],
        "appeals": [(_appeal_line(one, lang), [one.step]) for one in found.appeals],
        "ties": [(f"{names[one.grade]} ({one.pool}): {named(one.units)}", [one.step]) for one in found.ties],
        "assumptions": [
            (
                " · ".join(
                    filter(None, (one.name, one.question, f"{words('in_force', lang)} {one.value}", one.clause))
                ),
                [one.step],
            )
            for one in found.assumptions
        ],
        "awaiting": [
            (f"{words('seq', lang)} {one.seq} · {one.unit} · {one.item}", [one.step]) for one in found.awaiting
        ],
        "stages": [(one.name, [one.step]) for one in found.stages],
    }


def _step_line(step: Step, lang: Language) -> str:
    """Whose a step is, what to write and what sends it."""
    return clean(" · ".join(((step.owner_name or step.owner or "-") + COLON.say(lang) + step.what, step.command)))


def _pending_line(one: PendingItem, lang: Language) -> str:
    """An item, the offices that have not closed it, the units without input, and the ratings they lost."""
    said = [f"{one.item} {one.name}"]
    if one.office_names:
        said.append(f"{words('unclosed', lang)} {', '.join(one.office_names)}")
    if one.lacking:
        said.append(TEXT["lacking"].of(n=len(one.lacking), units=named(one.lacking)).say(lang))
    said += [TEXT["lost"].of(unit=lost.unit, seq=lost.seq, by=lost.by).say(lang) for lost in one.lost[:NAMED_MAX]]
    return " · ".join(said)


def _appeal_line(one: OpenAppeal, lang: Language) -> str:
    """An open appeal and when its decision is due."""
    late = f" · {appeals.words('overdue', lang)}" if one.overdue else ""
    return (
        f"{words('against', lang)} {one.target} · {one.item} · {one.unit} · {appeals.words('seq', lang)} {one.seq}"
        f" · {words('due', lang)} {day(one.decision_due) or '-'}{late}"
    )
