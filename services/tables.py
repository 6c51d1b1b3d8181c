"""Tables for people: rankings by category, schemes, entries, refusals; 4 decimals, half-up."""

import sys
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from schemas.refusals import Language
from schemas.rulebook import en, zh
from services.year import Year

TEXT = {
    "place": ("Place", "名次"),
    "unit": ("Unit", "单位"),
    "name": ("Name", "名称"),
    "group": ("Group", "分组"),
    "final": ("Final", "最后得分"),
    "passed": ("Pass", "达标"),
    "award": ("Award", "奖项"),
    "state": ("State", "状态"),
    "flags": ("Flags", "备注"),
    "quota": ("Quota", "名额"),
    "winners": ("Units, in order", "单位（按次序）"),
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
    "schemes": ("Schemes", "等次与奖项"),
    "scheme": ("Scheme", "方案"),
    "grade": ("Grade", "等次"),
    "left": ("left", "已退出"),
    "amended": ("amended after final", "定稿后有更正"),
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


def grades(con: duckdb.DuckDBPyConnection, lang: Language) -> dict[str, str]:
    """The rulebook's names of the grades, by code."""
    return dict(con.execute(f"SELECT grade, name_{lang} FROM rulebook_grade").fetchall())


def named_state(year: Year, state: str, lang: Language) -> str:
    """The state of an assessment in words: a stage by the rulebook's name of it."""
    stages = {stage.code: stage.name for stage in year.rulebook.stage}
    if state in stages:
        return zh(stages[state]) if lang == "zh" else en(stages[state])
    return words(state, lang)


def ranking(con: duckdb.DuckDBPyConnection, year: Year, refused: int, lang: Language) -> None:
    """Print the rankings of all categories and the schemes, from computed views."""
    out = console()
    state = con.execute("SELECT state FROM assessment_state").fetchall()[0][0]
    out.print(f"{words('assessment', lang)} {year.assessment} · {named_state(year, state, lang)}")
    if year.synthetic:
        out.print(words("synthetic", lang), style="bold")
    for category, title, ranked in con.execute(
        f"SELECT category, name_{lang}, is_ranked FROM rulebook_category ORDER BY ordinal ASC"
    ).fetchall():
        out.print(_category(con, category, title, ranked, lang))
    if (schemes := _schemes(con, lang)).row_count:
        out.print(schemes)
    if refused:
        print(words("refused", lang).format(refused), file=sys.stderr)


def _category(con: duckdb.DuckDBPyConnection, category: str, title: str, ranked: bool, lang: Language) -> Table:
    """The units of a category by place, with the top level of the tree and what the schemes give."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    tops = con.execute(
        f"SELECT part, name_{lang} FROM rulebook_part WHERE parent IS NULL ORDER BY ordinal ASC"
    ).fetchall()
    schemes = con.execute(
        f"SELECT scheme, name_{lang} FROM rulebook_scheme WHERE scheme IN (SELECT g.scheme FROM unit_grade AS g"
        " JOIN unit_result AS u ON u.unit = g.unit WHERE u.category = ?) ORDER BY ordinal ASC",
        [category],
    ).fetchall()
    for key in ("place", "unit", "name", "group") if ranked else ("unit", "name", "group"):
        table.add_column(words(key, lang), justify="right" if key == "place" else "left", no_wrap=True)
    for _, name in tops:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(words("final", lang), justify="right", no_wrap=True)
    for name in (*(name for _, name in schemes), words("state", lang), words("flags", lang)):
        table.add_column(name)
    points = {(unit, part): value for unit, part, value in con.execute(
        "SELECT unit, part, points FROM part_result").fetchall()}  # fmt: skip
    given = {(unit, scheme): grade for unit, scheme, grade in con.execute(
        "SELECT unit, scheme, grade FROM unit_grade").fetchall()}  # fmt: skip
    named = grades(con, lang)
    for place, unit, name, group, final, state, flags in con.execute(
        "SELECT place, unit, name, unit_group, final, state, flags FROM unit_result WHERE category = ?"
        " ORDER BY place ASC NULLS LAST, unit ASC",
        [category],
    ).fetchall():
        table.add_row(
            *(("" if place is None else str(place),) if ranked else ()),
            unit, name, group,
            *(four(points.get((unit, part))) for part, _ in tops),
            four(final),
            *(named.get(given.get((unit, scheme)) or "", "") for scheme, _ in schemes),
            words("final_state" if state == "final" else state, lang),
            " ".join(flags),
        )  # fmt: skip
    return table


def _schemes(con: duckdb.DuckDBPyConnection, lang: Language) -> Table:
    """Every grade that has a quota, with its units in order."""
    table = Table(title=words("schemes", lang), box=box.SIMPLE_HEAD, title_justify="left")
    for key in ("scheme", "grade", "scope", "quota", "winners", "undecided"):
        table.add_column(words(key, lang))
    rows = con.execute(
        f"SELECT s.name_{lang}, g.name_{lang}, r.pool, r.quota, r.units, r.undecided FROM grade_result AS r"
        " JOIN rulebook_grade AS g ON g.grade = r.grade JOIN rulebook_scheme AS s ON s.scheme = r.scheme"
        " WHERE r.quota IS NOT NULL ORDER BY s.ordinal ASC, r.pool ASC, r.ordinal ASC"
    ).fetchall()
    for scheme, grade, pool, quota, units, undecided in rows:
        table.add_row(scheme, grade, pool, str(quota), " ".join(units), " ".join(undecided))
    return table


def entries(con: duckdb.DuckDBPyConnection, unit: str, lang: Language) -> None:
    """Print every deduction and bonus of a unit with its balance, clause and reason, from computed views."""
    heads = (
        ("序号", "项目", "条款", "事项", "申报", "计入", "余额", "结果与原因")
        if lang == "zh"
        else ("Seq", "Item", "Clause", "Matter", "Claimed", "Counted", "Balance", "What became of it")
    )
    title = f"{'扣加分明细' if lang == 'zh' else 'Deductions and bonuses'} · {unit}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for n, head in enumerate(heads):
        table.add_column(head, justify="right" if n in (0, 4, 5, 6) else "left", overflow="fold")
    rows = con.execute(
        f"SELECT seq, item, coalesce(clause, ''), matter, claimed, counted, balance_after, why_{lang} FROM entry_trail"
        " WHERE unit = ? ORDER BY item ASC, seq ASC",
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
