"""The command `readiness`: all that stands in the way of final, and whose it is."""

import sys
from collections.abc import Mapping
from typing import Literal

import duckdb
import msgspec
from rich.text import Text

from schemas.refusals import Language
from services.command import tables
from services.command.options import LATEST, At
from services.process.ending import Exit
from services.reports import appeals
from services.scorer import rules
from services.snapshot import point

TEXT = {
    "title": ("Readiness for final", "定稿准备情况"),
    "as_of": ("as of sequence", "截至序号"),
    "ready": ("Nothing stands in the way of final.", "可以定稿，没有障碍。"),
    "not_ready": ("Final is refused while these stand in its way:", "存在下列障碍，尚不能定稿："),
    "pending": ("Pending items", "待定项目"),
    "appeals": ("Open appeals", "未决申诉"),
    "ties": ("Undecided ties", "未裁定的并列"),
    "assumptions": ("Assumptions that {} has not adopted", "{}尚未采用的假定"),
    "awaiting": ("Entries that await approval", "待审批的扣分、加分"),
    "stages": ("Stages not reached", "尚未到达的阶段"),
    "unclosed": ("not closed by", "尚未关闭："),
    "lacking": ("no complete input for", "缺少完整评分："),
    "units": ("units", "个单位"),
    "seq": ("sequence", "序号"),
    "collector": ("the collector", "汇总单位"),
    "against": ("against sequence", "对序号"),
    "due": ("due", "期限"),
    "in_force": ("in force", "现行"),
    "synthetic": ("Synthetic data: the units are made up.", "合成数据：单位均为虚构。"),
}
#: More units than these are counted, not named, in the table; JSON names all.
NAMED_MAX = 12


class PendingItem(msgspec.Struct, frozen=True):
    """A pending item: the offices that have not closed it, the units that lack input, all units it holds up."""

    item: str
    name: str
    offices: list[str]
    office_names: list[str]
    lacking: list[str]
    units: list[str]


class OpenAppeal(msgspec.Struct, frozen=True):
    """An appeal without decision, and when its decision is due."""

    seq: int
    unit: str
    target: int
    item: str | None
    decision_due: str | None
    overdue: bool | None


class UndecidedTie(msgspec.Struct, frozen=True):
    """A tie across the cut of a grade that no tie.resolved settles."""

    scheme: str
    grade: str
    pool: str
    units: list[str]


class AwaitingEntry(msgspec.Struct, frozen=True):
    """An entry on a ground that needs approval and has none."""

    seq: int
    unit: str
    item: str


class Assumption(msgspec.Struct, frozen=True):
    """A reading or parameter that no reading.adopted has adopted, with the value in force."""

    name: str
    value: str
    clause: str | None


class Readiness(msgspec.Struct, frozen=True):
    """All that stands in the way of final at one sequence."""

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
    stages: list[str]
    collector: str | None
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


def obstacles(con: duckdb.DuckDBPyConnection, cut: int, lang: Language, meta: dict[str, str]) -> Readiness:
    """Read all that stands in the way of final, inside an open `rules.compute`; `meta` is the snapshot's."""
    ready = not con.execute("SELECT 1 FROM obstacle LIMIT 1").fetchall()
    state = con.execute("SELECT state FROM assessment_state").fetchall()[0][0]
    ties = con.execute(
        "SELECT scheme, grade, pool, undecided FROM grade_result WHERE undecided <> [] ORDER BY scheme, ordinal, pool"
    ).fetchall()
    awaiting = con.execute("SELECT seq, unit, item FROM obstacle WHERE kind = 'awaiting' ORDER BY seq").fetchall()
    stages = con.execute(
        f"SELECT s.name_{lang} FROM obstacle o JOIN rulebook_stage s ON s.stage = o.name WHERE o.kind = 'stage'"
        " ORDER BY s.ordinal"
    ).fetchall()
    assumed = con.execute(
        "SELECT o.name, r.value, r.clause FROM obstacle o JOIN reading_in_force r ON r.name = o.name"
        " WHERE o.kind = 'assumption' ORDER BY o.name"
    ).fetchall()
    return Readiness(
        assessment=meta.get("assessment", ""),
        as_of=cut,
        assessment_state=state,
        synthetic=meta.get("synthetic") == "true",
        ready=ready,
        pending=_pending(con, lang),
        appeals=[
            OpenAppeal(one.seq, one.unit, one.target, one.item, one.decision_due, one.decision_late)
            for one in appeals.listed(con)
            if one.state == "open"
        ],
        ties=[UndecidedTie(*row) for row in ties],
        assumptions=[Assumption(*row) for row in assumed],
        awaiting=[AwaitingEntry(*row) for row in awaiting],
        stages=[name for (name,) in stages],
        collector=_collector(con, lang, meta),
        facts_until=meta.get("facts_until"),
    )


def _collector(con: duckdb.DuckDBPyConnection, lang: Language, meta: Mapping[str, str]) -> str | None:
    """The office that collects, by name."""
    if "rulebook_json" not in meta:
        return None
    code = msgspec.json.decode(meta["rulebook_json"])["roles"]["collector"]
    row = con.execute(f"SELECT name_{lang} FROM office WHERE office = ?", [code]).fetchone()
    return row[0] if row else None


def _pending(con: duckdb.DuckDBPyConnection, lang: Language) -> list[PendingItem]:
    """Pending items; lacking are units without complete input, where a closing would not make it 0."""
    offices = unclosed(con, lang)
    rows = con.execute(
        f"SELECT p.item, i.name_{lang}, list(p.unit ORDER BY p.unit),"
        " coalesce(list(p.unit ORDER BY p.unit) FILTER (NOT (f.input = 'entries' OR f.missing_zero AND r.unit IS NULL"
        " OR coalesce(r.complete, len(f.needed) = 0))), [])"
        " FROM item_points p JOIN rulebook_item i ON i.item = p.item"
        " JOIN item_in_force f ON f.item = p.item"
        " LEFT JOIN rated_state r ON r.unit = p.unit AND r.item = p.item"
        " JOIN unit_in_force u ON u.unit = p.unit AND NOT u.has_left"
        f" WHERE p.state = 'pending' GROUP BY p.item, i.name_{lang}, p.ordinal ORDER BY p.ordinal"
    ).fetchall()
    return [
        PendingItem(
            item,
            name,
            [code for code, _ in offices.get(item, [])],
            [name for _, name in offices.get(item, [])],
            lacking,
            units,
        )
        for item, name, units, lacking in rows
    ]


def words(key: str, lang: Language) -> str:
    """Give a word of the list in the language."""
    return TEXT[key][lang == "zh"]


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
    groups = {
        "pending": [_pending_line(one, lang) for one in found.pending],
        "appeals": [_appeal_line(one, lang) for one in found.appeals],
        "ties": [f"{names[one.grade]} ({one.pool}): {', '.join(one.units)}" for one in found.ties],
        "assumptions": [
            f"{one.name} · {words('in_force', lang)} {one.value}" + (f" · {one.clause}" if one.clause else "")
            for one in found.assumptions
        ],
        "awaiting": [f"{words('seq', lang)} {one.seq} · {one.unit} · {one.item}" for one in found.awaiting],
        "stages": found.stages,
    }
    for key, lines in groups.items():
        if lines:
            title = words(key, lang).format(found.collector or words("collector", lang))
            out.print(Text(f"\n{title} ({len(lines)})", style="bold"))
        for line in lines:
            out.print(Text(f"  {line}"))


def _pending_line(one: PendingItem, lang: Language) -> str:
    """An item, the offices that have not closed it, the units without input."""
    said = [f"{one.item} {one.name}"]
    if one.office_names:
        said.append(f"{words('unclosed', lang)} {', '.join(one.office_names)}")
    if one.lacking:
        few = ", ".join(one.lacking[:NAMED_MAX]) + (" …" if len(one.lacking) > NAMED_MAX else "")
        said.append(f"{words('lacking', lang)} {len(one.lacking)} {words('units', lang)} ({few})")
    return " · ".join(said)


def _appeal_line(one: OpenAppeal, lang: Language) -> str:
    """An open appeal and when its decision is due."""
    late = f" · {appeals.words('overdue', lang)}" if one.overdue else ""
    return (
        f"{words('against', lang)} {one.target} · {one.item} · {one.unit} · {appeals.words('seq', lang)} {one.seq}"
        f" · {words('due', lang)} {(one.decision_due or '-')[:10]}{late}"
    )
