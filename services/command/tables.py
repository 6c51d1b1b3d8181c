"""Tables for people: rankings by category, grades of schemes, refusals; 4 decimals, half-up."""

import sys
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
from rich import box
from rich.table import Table

from schemas.refusals import Refusal
from schemas.words import Language, _, _n, _p
from schemas.year import Year
from services.command.words import flagged
from services.process.plain import Screen

TEXT = {
    "place": _("Place"),
    "unit": _("Unit"),
    "name": _("Name"),
    "group": _("Group"),
    "final": _("Final"),
    "grades": _("Grades"),
    "state": _("State"),
    "flags": _("Flags"),
    "grade": _("Grade"),
    "quota": _("Quota"),
    "individuals": _("Individuals each"),
    "units": _("Units, in order"),
    "undecided": _("Undecided"),
    "pool": _("Pool"),
    "provisional": _("provisional"),
    "final_state": _p("state of points", "final"),
    "left": _("left"),
    "running": _("running"),
    "finalised": _p("state of the year", "final"),
    "amended": _("amended after final"),
    "synthetic": _("Synthetic data: the units are made up."),
    "refused": _("Line {line}: refused, {message}"),
    "refused_more": _n(
        "{n} line was refused in all; --format json lists it with its reason.",
        "{n} lines were refused in all; --format json lists them with their reasons.",
    ),
    "assessment": _("Assessment"),
    "more": _("… and {n} more; --format json has them all."),
}
#: Rows that a table prints of a category, and units that it names of a grade: nobody reads more, and drawing them takes
#: longer than computing them.
MOST = 1000
#: Refused lines that are told beside a table, each with its reason.
REFUSED = 10


def words(key: str, lang: Language) -> str:
    """A word of the tables in the language."""
    return TEXT[key].say(lang)


def four(points: Decimal | None) -> str:
    """Points as tables print them: 4 decimals, half-up."""
    return "" if points is None else str(points.quantize(Decimal("0.0001"), ROUND_HALF_UP))


def console() -> Screen:
    """The console of stdout: wide enough not to cut anything where there is no terminal."""
    return Screen(sys.stdout, width=None if sys.stdout.isatty() else 160)


def grades(con: duckdb.DuckDBPyConnection, lang: Language) -> dict[str, str]:
    """The rulebook's names of the grades (等次), by code."""
    return dict(con.execute(f"SELECT grade, name_{lang} FROM rulebook_grade").fetchall())


def state(con: duckdb.DuckDBPyConnection, code: str, lang: Language) -> str:
    """The state of an assessment or of a unit in words: a stage by its name in the rulebook."""
    stages = dict(con.execute(f"SELECT stage, name_{lang} FROM rulebook_stage").fetchall())
    return str(stages.get(code) or words("final_state" if code == "final" else code, lang))


def ranking(con: duckdb.DuckDBPyConnection, year: Year, refused: Sequence[Refusal], lang: Language) -> None:
    """Print the rankings of all categories and the grades of all schemes, from computed views."""
    out = console()
    reached = con.execute("SELECT state FROM assessment_state").fetchall()[0][0]
    out.print(f"{words('assessment', lang)} {year.assessment} · {state(con, reached, lang)}")
    if year.synthetic:
        out.print(words("synthetic", lang), style="bold")
    for category, title in con.execute(
        f"SELECT category, name_{lang} FROM rulebook_category ORDER BY ordinal"
    ).fetchall():
        out.print(_category(con, category, title, lang))
    for scheme, title in con.execute(f"SELECT scheme, name_{lang} FROM rulebook_scheme ORDER BY ordinal").fetchall():
        out.print(_scheme(con, scheme, title, lang))
    for one in refused[:REFUSED]:
        print(TEXT["refused"].of(line=one.line, message=one.message).say(lang), file=sys.stderr)
    if refused:
        print(TEXT["refused_more"].of(n=len(refused)).say(lang), file=sys.stderr)


def _category(con: duckdb.DuckDBPyConnection, category: str, title: str, lang: Language) -> Table:
    """The units of a category in order, with the points of the top of the tree and the grade of each scheme."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    top = con.execute(f"SELECT part, name_{lang} FROM rulebook_part WHERE parent IS NULL ORDER BY ordinal").fetchall()
    schemes = con.execute(
        f"SELECT s.scheme, s.name_{lang} FROM rulebook_scheme s JOIN (SELECT DISTINCT scheme FROM scheme_pool"
        " WHERE category = ?) p ON p.scheme = s.scheme ORDER BY s.ordinal",
        [category],
    ).fetchall()
    heads = [words(key, lang) for key in ("place", "unit", "name", "group")]
    heads += [*(name for __, name in top), words("final", lang), *(name for __, name in schemes)]
    for n, head in enumerate([*heads, words("state", lang), words("flags", lang)]):
        right = n == 0 or 4 <= n <= 4 + len(top)
        table.add_column(head, justify="right" if right else "left", no_wrap=n < len(heads))
    names = grades(con, lang)
    rows = con.execute(
        "SELECT place, unit, name, unit_group, final, state, flags, count(*) OVER () FROM unit_result"
        f" WHERE category = ? ORDER BY place NULLS LAST, final DESC, unit LIMIT {MOST}",
        [category],
    ).fetchall()
    shown = [unit for __, unit, *__ in rows]
    parts: dict[str, dict[str, Decimal | None]] = {}
    for unit, part, points in con.execute(
        "SELECT unit, part, points FROM part_result WHERE unit IN (SELECT unnest(?))", [shown]
    ).fetchall():
        parts.setdefault(unit, {})[part] = points
    given = {
        (unit, scheme): names.get(grade, "")
        for unit, scheme, grade in con.execute(
            "SELECT unit, scheme, grade FROM unit_grade WHERE unit IN (SELECT unnest(?))", [shown]
        ).fetchall()
    }
    states = {code: state(con, code, lang) for code in {row[5] for row in rows}}
    if rows and rows[0][-1] > MOST:
        table.caption = TEXT["more"].of(n=f"{rows[0][-1] - MOST:,}").say(lang)
    for place, unit, name, group, final, reached, flags, __ in rows:
        cells = ["" if place is None else str(place), unit, name, group]
        cells += [*(four(parts.get(unit, {}).get(part)) for part, __ in top), four(final)]
        cells += [
            *(given.get((unit, scheme), "") for scheme, __ in schemes),
            states[reached],
            "; ".join(flagged(flag, names, lang) for flag in flags),
        ]
        table.add_row(*cells)
    return table


def _some(units: list[str], lang: Language) -> str:
    """Units in order, as many as are read."""
    more = [TEXT["more"].of(n=f"{len(units) - MOST:,}").say(lang)] if len(units) > MOST else []
    return " ".join([*units[:MOST], *more])


def _scheme(con: duckdb.DuckDBPyConnection, scheme: str, title: str, lang: Language) -> Table:
    """The grades of a scheme, pool by pool, with their quotas, who has them and who is undecided."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for key in ("grade", "pool", "quota", "individuals", "units", "undecided"):
        table.add_column(words(key, lang))
    rows = con.execute(
        f"SELECT g.name_{lang}, r.pool, r.quota, r.individuals, r.units, r.undecided FROM grade_result r"
        " JOIN rulebook_grade g ON g.grade = r.grade WHERE r.scheme = ? ORDER BY r.pool, r.ordinal",
        [scheme],
    ).fetchall()
    for grade, pool, quota, individuals, units, undecided in rows:
        numbers = ("" if one is None else str(int(one)) for one in (quota, individuals))
        table.add_row(grade, pool, *numbers, _some(units, lang), _some(undecided, lang))
    return table


def entries(con: duckdb.DuckDBPyConnection, unit: str, lang: Language) -> None:
    """Print every deduction and bonus of a unit with its balance, clause and reason, from computed views."""
    heads = (
        _("Seq"), _("Item"), _("Clause"), _("Matter"), _p("entries", "Claimed"), _("Counted"),
        _p("entries", "Balance"), _("What became of it"),
    )  # fmt: skip
    table = Table(
        title=_("Deductions and bonuses · {unit}", unit=unit).say(lang),
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for n, head in enumerate(heads):
        table.add_column(head.say(lang), justify="right" if n in (0, 4, 5, 6) else "left", overflow="fold")
    rows = con.execute(
        f"SELECT seq, item, clause, matter, claimed, counted, balance_after, why_{lang} FROM entry_trail WHERE unit = ?"
        " ORDER BY item, seq",
        [unit],
    ).fetchall()
    for seq, item, clause, matter, claimed, counted, balance, why in rows:
        table.add_row(str(seq), item, clause, matter, four(claimed), four(counted), four(balance), why)
    console().print(table)


def facts(found: dict[str, Any], lang: Language) -> None:
    """Print what `status` found, a line each."""
    names = {
        "assessment": _p("status", "assessment"),
        "streams": _p("status", "streams"),
        "waiting": _p("status", "waiting"),
        "ranked": _p("status", "ranked"),
        "behind": _p("status", "behind"),
        "refused": _p("status", "refused"),
        "snapshot": _p("status", "snapshot"),
        "snapshot_age_seconds": _p("status", "snapshot age seconds"),
        "digest": _p("status", "digest"),
        "passed_over": _p("status", "passed over"),
        "lost": _p("status", "lost"),
    }
    table = Table(box=box.SIMPLE, show_header=False)
    for key, value in found.items():
        nested = isinstance(value, dict)
        text = "  ".join(f"{k} {_inline(v)}" for k, v in value.items()) if nested else _inline(value)
        table.add_row(names[key].say(lang), text)
    console().print(table)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items())
    return "—" if value is None else str(value)
