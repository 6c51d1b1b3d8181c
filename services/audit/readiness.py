"""The command `readiness`: all that stands in the way of final, and whose it is."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
from rich.text import Text

from schemas.refusals import Language
from services import rules, tables
from services.audit import appeals, point
from services.outcome import Exit
from services.settings import language

TEXT = {
    "title": ("Readiness for final", "定稿准备情况"),
    "as_of": ("as of sequence", "截至序号"),
    "ready": ("Nothing stands in the way of final.", "可以定稿，没有障碍。"),
    "not_ready": ("Final is refused while these stand in its way:", "存在下列障碍，尚不能定稿："),
    "pending": ("Pending items", "待定项目"),
    "appeals": ("Open appeals", "未决申诉"),
    "ties": ("Undecided ties", "未裁定的并列"),
    "assumptions": ("Assumptions not adopted by the Five-Type Office", "尚未由市创建办采用的假定"),
    "unclosed": ("not closed by", "尚未关闭："),
    "lacking": ("no complete input for", "缺少完整评分："),
    "units": ("units", "个单位"),
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
    item: str
    decision_due: str | None
    overdue: bool | None


class UndecidedTie(msgspec.Struct, frozen=True):
    """A tie across the cut of an award that no tie.resolved settles."""

    award: str
    scope: str
    units: list[str]


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
    facts_until: str | None = None


def readiness(
    *,
    snapshot: Path | None = None,
    as_of: str | None = None,
    facts_until: str | None = None,
    format: Literal["table", "json"] = "table",  # noqa: A002 - the contract's word
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Show what stands in the way of final, and whose it is; exit 1 while anything does.

    Example: wuxing readiness --lang zh

    Parameters
    ----------
    snapshot
        A published snapshot; without it the latest one.
    as_of
        A sequence of the ledger, or a time.
    facts_until
        Only what had occurred by this time.
    format
        A list to read, or the whole as JSON.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    chosen = language(lang)
    with (
        point.snapshot(snapshot) as con,
        point.at(con, as_of, facts_until) as (ledger, cut),
        rules.compute(ledger, as_of=cut),
    ):
        found, awards = obstacles(ledger, cut, chosen, point.meta(ledger)), tables.grades(ledger, chosen)
    if format == "json":
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    else:
        _print(found, chosen, awards)
    return Exit.DONE if found.ready else Exit.NO


def unclosed(con: duckdb.DuckDBPyConnection, lang: Language) -> dict[str, list[tuple[str, str]]]:
    """Code and name of the offices (考核责任单位) that have not closed their part of an item, by item."""
    rows = con.execute(
        f"SELECT o.item, o.office, n.name_{lang} FROM rulebook_office o JOIN office n ON n.office = o.office"
        " ANTI JOIN year_event c ON c.type = 'item.closed.v1' AND c.item = o.item"
        "                       AND c.source = '/offices/' || o.office"
        " ORDER BY o.item, o.office"
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
        "SELECT award, scope, undecided FROM award_result WHERE undecided <> [] ORDER BY ordinal, scope"
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
        facts_until=meta.get("facts_until"),
    )


def _pending(con: duckdb.DuckDBPyConnection, lang: Language) -> list[PendingItem]:
    """Pending items; lacking are units without complete input, where a closing would not make it 0."""
    offices = unclosed(con, lang)
    rows = con.execute(
        f"SELECT p.item, i.name_{lang}, list(p.unit ORDER BY p.unit), coalesce(list(p.unit ORDER BY p.unit) FILTER ("
        "   (p.points IS NULL OR NOT coalesce(w.complete, true)) AND k.value IS DISTINCT FROM 'best'), [])"
        " FROM item_points p JOIN rulebook_item i ON i.item = p.item"
        " LEFT JOIN own_points w ON w.unit = p.unit AND w.item = p.item"
        " LEFT JOIN rule_in_force k ON k.item = p.item AND k.rule = 'cases'"
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


def _print(found: Readiness, lang: Language, awards: Mapping[str, str]) -> None:
    out = tables.console()
    state = tables.words(found.assessment_state, lang)
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
        "ties": [f"{awards[one.award]} ({one.scope}): {', '.join(one.units)}" for one in found.ties],
        "assumptions": [
            f"{one.name} · {words('in_force', lang)} {one.value}" + (f" · {one.clause}" if one.clause else "")
            for one in found.assumptions
        ],
    }
    for key, lines in groups.items():
        if lines:
            out.print(Text(f"\n{words(key, lang)} ({len(lines)})", style="bold"))
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
