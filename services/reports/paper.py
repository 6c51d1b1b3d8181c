"""Puts a statement on a page: a table for a terminal, Markdown, or a PDF made by typst."""

from __future__ import annotations

import io
import re
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.padding import Padding
from rich.text import Text

from schemas.events import day
from schemas.words import Text as Words
from schemas.words import _, _p
from services.command import typeset
from services.command.tables import four
from services.command.typeset import clean
from services.process.files import replacing
from services.process.plain import Screen
from services.reports.workings import text

if TYPE_CHECKING:
    from schemas.words import Language
    from services.reports.reach import Reach
    from services.reports.statement import GradeStatement, ItemStatement, Line, PartStatement, Statement
    from services.reports.workings import Placed

#: Columns that a page takes at least, and where there is no terminal; and at most, for longer lines read badly.
NARROW, BROAD = 80, 100
TEXT = {
    "statement": _("Statement of assessment"),
    "assessment": _p("statement", "Assessment"),
    "unit": _("Unit"),
    "stage": _("Stage"),
    "category": _("Category"),
    "group": _("Group"),
    "state": _("State"),
    "as_of": _("As of sequence"),
    "of": _p("place", "of"),
    "rulebook": _("Rulebook"),
    "synthetic": _("Synthetic data: the units are made up."),
    "provisional": _("provisional"),
    "final": _p("state of points", "final"),
    "final_points": _("Final"),
    "left": _("left"),
    "date": _("Date"),
    "date_seq": _("Date, sequence"),
    "seq": _("Seq"),
    "office": _("Office"),
    "about": _("Matter and ground"),
    "value": _("Claimed"),
    "counted": _("Counted"),
    "before": _("Before"),
    "after": _("After"),
    "why": _("Why"),
    "points": _p("result", "Points"),
    "base": _("of"),
    "evidence": _("Evidence"),
    "scored": Words(""),
    "pending": _("pending"),
    "exempt": _("does not apply"),
    "part": _("Part"),
    "items_sum": _("Items"),
    "place": _("Place in the category"),
    "out": _("taken out"),
    "individuals": _("individuals"),
    "appeal_until": _("appeal until"),
    "recorded": _("recorded"),
    "root": _("Root of the ledger"),
    "verify": _("the whole is proved by wuxing verify, the unit's evidence packed by wuxing bundle {unit} {unit}.zip"),
    "reach": _("Can still come to"),
    "reach_of": _("by what is pending; appeals, revocations, vetoes and exemptions not counted"),
    "unbounded": _("without bound"),
    "none": _("none"),
    "undecided": _("undecided"),
    "total": _("Total"),
    "item": _p("statement", "Item"),
    "sum": _("Sum"),
    "other_lines": _("Lines of no item"),
    "order": _("Order of the units compared"),
    "ranking": _("Ranking of the category"),
    "readings": _("Readings in force"),
    "rounding": _(
        "Points are rounded half-up once where they are made, to 6 decimals; each sum can be added up again."
    ),
    "printed": _("printed"),
    "signature": _("For the unit"),
    "office_signature": _("Assessment office"),
}


def words(key: str, lang: Language) -> str:
    """Give a word of the page in the language."""
    return TEXT[key].say(lang)


def money(points: str | None) -> str:
    """Points in a column: two decimals, more only where there are more."""
    if points is None:
        return ""
    written = text(Decimal(points))
    whole, __, rest = written.partition(".")
    return f"{whole}.{rest:0<2}"


def write(page: bytes, output: Path | None) -> None:
    """Write a page to a file or to stdout."""
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()
        return
    with replacing(output) as draft:
        draft.write_bytes(page)


def heading(found: Statement, lang: Language) -> list[str]:
    """Give the lines at the head of every form of the page."""
    cut = f"{words('as_of', lang)} {found.as_of}"
    cut += f" {words('of', lang)} {found.last}" if found.as_of < found.last else ""
    cut += f" ({day(found.as_of_time)})" if found.as_of_time else ""
    lines = (
        (found.title or found.rulebook, found.document),
        (
            f"{words('assessment', lang)} {found.assessment}",
            f"{words('rulebook', lang)} {found.rulebook}",
            cut,
            found.assessment_state_name,
        ),
        (
            f"{words('unit', lang)} {found.unit} {clean(found.name)}",
            found.category_name,
            f"{words('group', lang)} {clean(found.group)}" if found.group else "",
            *(f"{name} {value}" for name, value in found.attributes.items()),
            words(found.state, lang),
        ),
    )
    return [
        *(" · ".join(filter(None, line)) for line in lines),
        *([words("synthetic", lang)] if found.synthetic else []),
        *found.notes,
    ]


def about(line: Line) -> str:
    """Say what a line is about in one string."""
    return clean(" · ".join(filter(None, (line.matter, *line.about))))


def item_title(item: ItemStatement, lang: Language) -> str:
    """Give the heading of an item."""
    state = words(item.state, lang)
    weight = f"× {item.weight}" if item.weight != "1" else ""
    said = (f"{item.item} {item.name}", item.clause, ", ".join(item.offices), weight, state)
    return " · ".join(filter(None, said))


def item_sum(item: ItemStatement, lang: Language) -> str:
    """Write an item's sum and its points."""
    if item.points is None:
        return words("pending", lang)
    points = text(Decimal(item.points))
    return points if item.sum in (None, points) else f"{item.sum} = {points}"


def title(part: PartStatement, lang: Language) -> str:
    """Give the heading of a part with its points, its weight where it has one."""
    points = money(part.points) if part.points is not None else words("out", lang)
    base = f" / {money(part.points_base)}" if part.points_base is not None else ""
    weight = f" · × {part.weight}" if part.weight != "1" else ""
    return (
        " · ".join(filter(None, (f"{part.part or ''} {part.name}".strip(), points + base if part.part else "")))
        + weight
    )


def totals(found: Statement, lang: Language) -> list[tuple[str, str]]:
    """Give the rows at the foot: parts from the top of the tree, the final, the place, the grade of each scheme."""
    rows = []
    for part in (one for one in found.parts if one.part is not None):
        points = words("out", lang) if part.points is None else text(Decimal(part.points))
        said = f"{part.sum} = {points}" if part.sum not in (None, points) else points
        rows.append((f"{part.part} {part.name}", " · ".join([said, *part.notes])))
    final, four_places = text(Decimal(found.final)), four(Decimal(found.final))
    printed = "" if Decimal(four_places) == Decimal(found.final) else f" ({words('printed', lang)} {four_places})"
    rows.append(
        (words("final_points", lang), " · ".join([f"{found.final_sum} = {final}{printed}", *found.final_notes]))
    )
    placed = words("none", lang) if found.place is None else f"{found.place} / {len(found.ranking)}"
    rows.append((words("place", lang), " · ".join([placed, *found.place_notes])))
    if found.reach:
        rows.append((words("reach", lang), reach(found.reach, lang)))
    rows += [(one.name, " · ".join([grade(one, lang), *one.notes])) for one in found.grades]
    if found.root:
        rows.append((words("root", lang), f"{found.root} · {words('verify', lang).format(unit=found.unit)}"))
    return rows


def reach(one: Reach, lang: Language) -> str:
    """Write the bounds of what a unit can still come to: of its final, and where it is placed of its place."""
    low, high = (words("unbounded", lang) if final is None else four(Decimal(final))
                 for final in (one.final_worst, one.final_best))  # fmt: skip
    places = f"{one.place_best}–{one.place_worst}"
    said = [f"{words('final_points', lang)} {low}–{high}"]
    said += [f"{words('place', lang)} {places}"] if one.place_best is not None else []
    return " · ".join([*said, words("reach_of", lang)])


def grade(one: GradeStatement, lang: Language) -> str:
    """Name the grade that a unit has, that none or that it is undecided; with the advanced individuals (先进个人)."""
    name = one.grade_name or words("undecided" if one.undecided else "none", lang)
    individuals = f" ({words('individuals', lang)} {one.individuals})" if one.grade and one.individuals else ""
    return name + individuals


def reference(line: Line, lang: Language) -> str:
    """Give what names a line in an appeal: its source and id, when it was recorded, until when one is in time, how."""
    return " · ".join(filter(None, [named(line, lang), line.appeal]))


def named(line: Line, lang: Language) -> str:
    """The same without the command of an appeal."""
    dates = (("recorded", line.recorded and day(line.recorded)), ("appeal_until", line.appeal_until))
    return " · ".join([clean(f"{line.source} {line.id}"), *(f"{words(key, lang)} {day}" for key, day in dates if day)])


def table(found: Statement, lang: Language, *, to_file: bool = False) -> str:
    """Lay the statement out for a terminal; plain and 80 columns wide where there is none."""
    terminal = sys.stdout.isatty() and not to_file
    out = Screen(
        io.StringIO(),
        width=min(max(shutil.get_terminal_size().columns, NARROW), BROAD) if terminal else NARROW,
        force_terminal=terminal,
        legacy_windows=False,
    )
    out.print(Text(words("statement", lang), style="bold"))
    for line in heading(found, lang):
        out.print(line)
    for part in found.parts:
        if part.part is not None:
            out.print(Text(f"\n{title(part, lang)}", style="bold underline"))
        for item in part.items:
            _item(out, item, lang)
    if found.other_lines:
        out.print(Text(f"\n{words('other_lines', lang)}", style="bold"))
        _lines(out, found.other_lines, lang)
    out.print(Text(f"\n{words('total', lang)}", style="bold underline"))
    for name, value in totals(found, lang):
        _indented(out, Text(name, style="bold"))
        _indented(out, Text(value), 4)
    out.print(Text(f"\n{words('order', lang)}" if orders(found) else "", style="bold underline"))
    for name, value in orders(found):
        _indented(out, Text(name, style="bold"))
        _indented(out, Text(value), 4)
    out.print(Text(f"\n{words('rounding', lang)}", style="dim"))
    assert isinstance(out.file, io.StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines()) + "\n"


def _item(out: Screen, item: ItemStatement, lang: Language) -> None:
    """Print an item: its words, its lines, notes, its sum."""
    out.print(Text(f"\n{item_title(item, lang)}", style="bold"))
    if item.words:
        _indented(out, Text(f"“{item.words}”", style="dim"))
    if item.lines:
        _lines(out, item.lines, lang)
    for note in item.notes:
        _indented(out, Text(note))
    _indented(out, Text(f"= {item_sum(item, lang)}", style="bold"))


def _lines(out: Screen, lines: list[Line], lang: Language) -> None:
    """Print lines: date, sequence and numbers of each under one head, and below them what it is about and why."""
    head = [words(key, lang) for key in ("date", "seq", "value", "counted", "before", "after")]
    out.print(Text("\n" + _columns(*head), style="bold"))
    for line in lines:
        points = (line.claimed or line.value, line.counted, line.balance_before, line.balance_after)
        out.print(Text(_columns(day(line.time), str(line.seq), *map(money, points))))
        _indented(out, Text(" · ".join((clean(line.office_name), about(line)))), 4)
        if line.claimed is not None and line.words:
            _indented(out, Text(f"“{line.words}”", style="dim"), 4)
        if line.evidence:
            _indented(out, Text(f"{words('evidence', lang)}: {clean('; '.join(line.evidence))}", style="dim"), 4)
        _indented(out, Text(line.why), 4)
        for said in filter(None, (named(line, lang), line.appeal)):  # a command in a line of its own can be copied
            _indented(out, Text(said, style="dim"), 4)


def _indented(out: Screen, said: Text, by: int = 2) -> None:
    out.print(Padding(said, (0, 0, 0, by)))


def _columns(date: str, *numbers: str) -> str:
    """A date and numbers that stand under each other on the whole page."""
    return set_cell_size(f"  {date}", 14) + "".join(" " * (11 - cell_len(one)) + one for one in numbers)


def markdown(found: Statement, lang: Language) -> str:
    """Write the statement as Markdown."""
    page = [f"# {words('statement', lang)} · {found.unit} {_md(found.name)}", ""]
    page += [f"- {_md(line)}" for line in heading(found, lang)]
    columns = ("date", "seq", "office", "about", "value", "counted", "before", "after", "why")
    for part in found.parts:
        page += ["", f"## {_md(title(part, lang))}"] if part.part is not None else []
        for item in part.items:
            page += ["", f"### {_md(item_title(item, lang))}", ""]
            page += [f"> {_md(one)}" for one in (item.text or item.words or "").splitlines()]
            page += _md_table(item.lines, columns, lang)
            page += ["", *(f"- {_md(note)}" for note in item.notes), f"- **{item_sum(item, lang)}**"]
    if found.other_lines:
        page += ["", f"## {words('other_lines', lang)}", *_md_table(found.other_lines, columns, lang)]
    page += ["", f"## {words('total', lang)}", "", "| | |", "|---|---|"]
    page += [f"| {_md(name)} | {_md(value)} |" for name, value in totals(found, lang)]
    page += [f"\n**{_md(name)}: {words('order', lang)}** {value}" for name, value in orders(found)]
    return "\n".join([*page, "", words("rounding", lang), ""])


def orders(found: Statement) -> list[tuple[str, str]]:
    """Give each item that compares units, with the order of the units that it compares."""
    return [
        (f"{item.item} {item.name}", order(item.order)) for part in found.parts for item in part.items if item.order
    ]


def order(units: list[Placed]) -> str:
    """Write places with the units that share them, as in 1 U091 · 2 U050 = U051."""
    places: dict[int, list[str]] = {}
    for one in units:
        places.setdefault(one.place, []).append(one.unit)
    return " · ".join(f"{place} {' = '.join(shared)}" for place, shared in places.items())


def _md_table(lines: list[Line], columns: tuple[str, ...], lang: Language) -> list[str]:
    if not lines:
        return []
    rows = ["", f"| {' | '.join(words(key, lang) for key in columns)} |", "|---|--:|---|---|--:|--:|--:|--:|---|"]
    for line in lines:
        said = _md(about(line)) + (f"<br>“{_md(line.words)}”" if line.claimed is not None and line.words else "")
        said += f"<br>{words('evidence', lang)}: {_md('; '.join(line.evidence))}" if line.evidence else ""
        said += f"<br>{_md(reference(line, lang))}"
        cells = (
            day(line.time),
            str(line.seq),
            _md(line.office_name),
            said,
            money(line.claimed or line.value),
            money(line.counted),
            money(line.balance_before),
            money(line.balance_after),
            _md(line.why),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _md(written: str) -> str:
    """Escape what Markdown or HTML would read as a sign."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", clean(written)).replace("&", "&amp;")


def pdf(found: Statement, lang: Language) -> bytes:
    """Typeset the statement as PDF/A, the same bytes each time and on every machine."""
    page = _pdf_head(found, lang) | _pdf_body(found, lang) | {"lang": lang}
    return typeset.pdf(Path(__file__).with_name("statement.typ"), page)


def _pdf_head(found: Statement, lang: Language) -> dict[str, Any]:
    """What stands above the lines and on every page."""
    other: Language = "en" if lang == "zh" else "zh"
    cut = f"{words('as_of', lang)} {found.as_of} {words('of', lang)} {found.last}"
    return {
        "title": words("statement", lang),
        "subtitle": words("statement", other),
        "document": heading(found, lang)[0],
        "date": day(found.as_of_time or "2000-01-01").split("-"),
        "unit": found.unit,
        "office": found.collector or words("office_signature", lang),
        "notes": [clean(note) for note in found.notes],
        "synthetic": words("synthetic", lang) if found.synthetic else "",
        "running": f"{words('statement', lang)} · {found.unit} {clean(found.name)}",
        "cut": f"{found.assessment} · {cut} · {words(found.state, lang)}",
        "facts": [
            [words("unit", lang), f"{found.unit} {clean(found.name)}"],
            [words("assessment", lang), found.assessment],
            [words("category", lang), f"{found.category_name} · {words('group', lang)} {clean(found.group)}"],
            [words("rulebook", lang), found.rulebook],
            [words("state", lang), words(found.state, lang)],
            [words("stage", lang), found.assessment_state_name],
        ],
        "figures": [
            [words("final_points", lang), four(Decimal(found.final))],
            *([[words("place", lang), f"{found.place} / {len(found.ranking)}"]] if found.place is not None else []),
            *([one.name, grade(one, lang)] for one in found.grades[:2]),
            [words("as_of", lang), str(found.as_of)],
        ],
        "signatures": [words("signature", lang), found.collector or words("office_signature", lang)],
    }


def _pdf_body(found: Statement, lang: Language) -> dict[str, Any]:
    """The lines by part and item, the sums, the orders of the units compared."""
    parts = [
        {
            "title": title(part, lang),
            "points": "",
            "items": [_pdf_item(item, lang) for item in part.items],
        }
        for part in found.parts
    ]
    if found.other_lines:
        lines = [_pdf_line(line, lang) for line in found.other_lines]
        other = {
            "title": words("other_lines", lang),
            "base": "",
            "words": "",
            "lines": lines,
            "notes": [],
            "sum": "",
            "points": "",
        }
        parts.append({"title": "", "points": "", "items": [other]})
    columns = ("date_seq", "office", "about", "value", "counted", "before", "after", "why")
    return {
        "columns": [words(key, lang) for key in columns],
        "parts": parts,
        "total": words("total", lang),
        "totals": totals(found, lang),
        "rounding": words("rounding", lang),
        "order": words("order", lang),
        "orders": orders(found),
    }


def _pdf_item(item: ItemStatement, lang: Language) -> dict[str, Any]:
    points = words("pending", lang) if item.points is None else money(item.points)
    return {
        "title": item_title(item, lang),
        "base": money(item.points_base),
        "words": item.text or item.words or "",
        "lines": [_pdf_line(line, lang) for line in item.lines],
        "notes": [clean(note) for note in item.notes],
        "sum": item_sum(item, lang),
        "points": points,
    }


def _pdf_line(line: Line, lang: Language) -> dict[str, Any]:
    evidence = f"{words('evidence', lang)}: {clean('; '.join(line.evidence))}" if line.evidence else ""
    return {
        "date": day(line.time),
        "seq": str(line.seq),
        "office": clean(line.office_name),
        "about": about(line),
        "words": f"“{line.words}”" if line.claimed is not None and line.words else "",
        "evidence": evidence,
        "reference": reference(line, lang),
        "points": [
            money(one) for one in (line.claimed or line.value, line.counted, line.balance_before, line.balance_after)
        ],
        "why": line.why,
    }
