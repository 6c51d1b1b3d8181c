"""Tables for people: rankings by category, awards, refusals; 4 decimals, half-up."""

import sys
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from schemas.refusals import Language
from services.year import Year

TEXT = {
    "place": ("Place", "名次"),
    "unit": ("Unit", "单位"),
    "name": ("Name", "名称"),
    "group": ("Group", "分组"),
    "daily": ("Daily", "日常得分"),
    "year_end": ("Year-end", "年末得分"),
    "final": ("Final", "最后得分"),
    "passed": ("Pass", "达标"),
    "award": ("Award", "奖项"),
    "state": ("State", "状态"),
    "flags": ("Flags", "备注"),
    "quota": ("Quota", "名额"),
    "winners": ("Units, in order", "获奖单位（按名次）"),
    "undecided": ("Undecided", "待定"),
    "scope": ("Scope", "范围"),
    "provisional": ("provisional", "暂定"),
    "final_state": ("final", "确定"),
    "running": ("running", "进行中"),
    "closed": ("year-end closed", "年末考核已结束"),
    "publicised": ("in publicity", "公示中"),
    "finalised": ("final", "已定稿"),
    "synthetic": ("Synthetic data: the units are made up.", "合成数据：单位均为虚构。"),
    "refused": (
        "{} lines were refused; --format json lists them with their reasons.",
        "拒收{}行；原因见--format json。",
    ),
    "ranking": ("Category {}", "{}"),
    "awards": ("Awards", "先进奖"),
    "assessment": ("Assessment", "考核"),
}


def words(key: str, lang: Language) -> str:
    """A word of the tables in the language."""
    return TEXT[key][lang == "zh"]


def four(points: Decimal | None) -> str:
    """Points as tables print them: 4 decimals, half-up."""
    return "" if points is None else str(points.quantize(Decimal("0.0001"), ROUND_HALF_UP))


def console() -> Console:
    """The console of stdout: wide enough not to cut anything where there is no terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160, highlight=False)


def awards(con: duckdb.DuckDBPyConnection, lang: Language) -> dict[str, str]:
    """The rulebook's names of the awards, by code."""
    return dict(con.execute(f"SELECT award, name_{lang} FROM rulebook_award").fetchall())


def ranking(con: duckdb.DuckDBPyConnection, year: Year, refused: int, lang: Language) -> None:
    """Print the rankings of all categories and the awards, from computed views."""
    out = console()
    state = con.execute("SELECT state FROM assessment_state").fetchall()[0][0]
    out.print(f"{words('assessment', lang)} {year.assessment} · {words(state, lang)}")
    if year.synthetic:
        out.print(words("synthetic", lang), style="bold")
    name = "name_zh" if lang == "zh" else "name_en"
    for category, title, has_pass in con.execute(
        f"SELECT category, {name}, pass_mark IS NOT NULL FROM rulebook_category ORDER BY ordinal"
    ).fetchall():
        out.print(_category(con, category, title, has_pass, lang))
    out.print(_awards(con, lang))
    if refused:
        print(words("refused", lang).format(refused), file=sys.stderr)


def _category(con: duckdb.DuckDBPyConnection, category: str, title: str, has_pass: bool, lang: Language) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    keys = ["place", "unit", "name", "group", "daily", "year_end", "final", "passed", "award", "state", "flags"]
    shown = [key for key in keys if has_pass or key != "passed"]
    for key in shown:
        table.add_column(
            words(key, lang),
            justify="right" if key in ("place", "daily", "year_end", "final") else "left",
            no_wrap=key != "flags",
        )
    named = awards(con, lang)
    rows = con.execute(
        "SELECT place, unit, name, unit_group, daily, year_end, final, passed, award, state, flags FROM unit_result"
        " WHERE category = ? ORDER BY place, unit",
        [category],
    ).fetchall()
    for place, unit, name, group, daily, year_end, final, passed, award, state, flags in rows:
        cells = {
            "place": str(place),
            "unit": unit,
            "name": name,
            "group": group,
            "daily": four(daily),
            "year_end": four(year_end),
            "final": four(final),
            "passed": {True: "✓", False: "✗", None: ""}[passed],
            "award": named.get(award, ""),
            "state": words("final_state" if state == "final" else state, lang),
            "flags": " ".join(flags),
        }
        table.add_row(*(cells[key] for key in shown))
    return table


def _awards(con: duckdb.DuckDBPyConnection, lang: Language) -> Table:
    table = Table(title=words("awards", lang), box=box.SIMPLE_HEAD, title_justify="left")
    for key in ("award", "scope", "quota", "winners", "undecided"):
        table.add_column(words(key, lang))
    rows = con.execute(
        f"SELECT a.name_{lang}, r.scope, r.quota, r.units, r.undecided FROM award_result r"
        " JOIN rulebook_award a ON a.award = r.award ORDER BY r.ordinal, r.scope"
    ).fetchall()
    for award, scope, quota, units, undecided in rows:
        table.add_row(award, scope, str(quota), " ".join(units), " ".join(undecided))
    return table


def deductions(con: duckdb.DuckDBPyConnection, unit: str, lang: Language) -> None:
    """Print every deduction of a unit with its balance, clause and reason, from computed views."""
    heads = (
        ("序号", "项目", "条款", "事项", "扣分", "计入", "余额", "结果与原因")
        if lang == "zh"
        else ("Seq", "Item", "Clause", "Matter", "Claimed", "Counted", "Balance", "What became of it")
    )
    table = Table(
        title=f"{'扣分明细' if lang == 'zh' else 'Deductions'} · {unit}", box=box.SIMPLE_HEAD, title_justify="left"
    )
    for n, head in enumerate(heads):
        table.add_column(head, justify="right" if n in (0, 4, 5, 6) else "left", overflow="fold")
    rows = con.execute(
        f"SELECT seq, item, clause, matter, claimed, counted, balance_after, why_{lang} FROM audit_trail WHERE unit = ?"
        " ORDER BY item, seq",
        [unit],
    ).fetchall()
    for seq, item, clause, matter, claimed, counted, balance, why in rows:
        table.add_row(str(seq), item, clause, matter, four(claimed), four(counted), four(balance), why)
    console().print(table)


def facts(found: dict[str, Any], lang: Language) -> None:
    """Print what `status` found, a line each."""
    zh = {
        "assessment": "考核",
        "streams": "流",
        "waiting": "待处理",
        "ranked": "已排名至序号",
        "behind": "落后",
        "refused": "拒收",
        "snapshot": "快照",
        "snapshot_age_seconds": "快照已有秒数",
        "digest": "摘要",
        "passed_over": "跳过的无效内容",
        "lost": "收件丢失的序号",
    }
    table = Table(box=box.SIMPLE, show_header=False)
    for key, value in found.items():
        nested = isinstance(value, dict)
        text = "  ".join(f"{k} {_inline(v)}" for k, v in value.items()) if nested else _inline(value)
        table.add_row(zh[key] if lang == "zh" else key.replace("_", " "), text)
    console().print(table)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items())
    return "—" if value is None else str(value)
