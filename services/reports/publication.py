"""The command `publish-tables`: the publication tables (公示表) of a snapshot as .xlsx, .pdf, .csv or .parquet.

Points are printed with 4 decimals, half-up, and the final stands beside in full, as text: a spreadsheet's numbers are
binary. A text of somebody else's never becomes a formula: in .xlsx every text is a string cell; a CSV has no types, so
there a text that begins like a formula gets an apostrophe before it.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from schemas.rulebook import en, zh
from schemas.words import COLON, Language, _, _p
from services.command import tables, typeset
from services.command.options import Lang, SnapshotFile
from services.command.tables import four
from services.command.typeset import clean
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.process.plain import inert
from services.process.settings import language
from services.scorer import rules
from services.snapshot import point

Form = Literal["xlsx", "pdf", "csv", "parquet"]
Cell = str | int | Decimal | None

TEXT = {
    "title": _("Publication of results"), "ranking": _("{category}: ranking"),
    "exact": _("Final, exact"),
    "provisional": _("Provisional: items, appeals or ties are still open."),
    "final": _("All units' results are final."), "category": _("Category"),
    "as_of": _("ledger sequence"), "digest": _p("publication", "digest"), "data": _("Data"),
    "real": _("as reported"), "made_up": _("synthetic"), "exempt": _("does not apply"),
    "one_group": _("one group only"), "undecided": _("tie undecided"), "rank": _("Order"),
    "incomplete": _("values missing"), "vetoed": _("veto"),
    "outcome": _("Result"), "given": _("given"), "none": _("Nobody."), "date": _("Date"),
    "nothing": _("no grade"), "entries": _("Deductions and bonuses"), "seq": _("Seq."),
    "item": _("Item"), "matter": _("Matter"), "ground": _("Ground"),
    "counted": _p("publication", "Counted"), "clause": _("Clause"),
}  # fmt: skip


class Column(NamedTuple):
    """A column: its name, its width in characters, whether it holds points or places."""

    name: str
    width: float
    kind: Literal["text", "whole", "points"] = "text"


class Sheet(NamedTuple):
    """One table of the publication."""

    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Cell, ...]]


class Standing(NamedTuple):
    """A unit's line, as the views have it: the points of the top of the tree, the grade of each scheme by code."""

    category: str
    category_name: str
    place: int | None
    unit: str
    name: str
    unit_group: str
    final: Decimal
    final_text: str
    state: str
    flags: list[str]
    parts: dict[str, Decimal | None]
    grades: dict[str, str | None]


class Given(NamedTuple):
    """A grade in one pool: its quota, the individuals of each unit, who has it in order, who is undecided."""

    grade: str
    pool: str
    quota: int | None
    individuals: int | None
    units: list[str]
    undecided: list[str]


class Scheme(NamedTuple):
    """A scheme by name, the categories that compete in it, its grades."""

    scheme: str
    name: str
    categories: list[str]
    grades: list[Given]


class Publication(NamedTuple):
    """What a snapshot publishes, before it is laid out."""

    lang: Language
    document: str
    office: str
    state: str
    facts: dict[str, str]
    made: datetime
    parts: list[tuple[str, str]]
    standings: list[Standing]
    schemes: list[Scheme]
    names: dict[str, str]
    entries: list[tuple[int, str, str, str, str, str, str, Decimal, str]]

    def word(self, key: str) -> str:
        """A word in the language."""
        return TEXT[key].say(self.lang) if key in TEXT else tables.words(key, self.lang)

    @property
    def notices(self) -> list[str]:
        """What every page and sheet says: whether units are made up, and whether the results are final."""
        undecided = any(flag.startswith("undecided:") for one in self.standings for flag in one.flags)
        settled = self.facts["state"] == "finalised" and all(one.state == "final" for one in self.standings)
        synthetic = [tables.words("synthetic", self.lang)] if self.facts.get("synthetic") == "true" else []
        return [*synthetic, f"{self.state} · {self.word('final' if settled and not undecided else 'provisional')}"]

    @property
    def source(self) -> str:
        """What the tables were made from, so that anybody can make them again."""
        sequence, digest = self.facts["sequence"], self.facts["digest"]
        return f"{self.facts['assessment']} · {self.word('as_of')} {sequence} · {self.word('digest')} {digest}"

    def notes(self, one: Standing) -> str:
        """A unit's flags in words."""
        shown = (flag.partition(":") for flag in one.flags)
        colon = COLON.say(self.lang)
        return "; ".join(f"{self.word(key)}{colon}{self.names.get(what, what)}" for key, __, what in shown)

    def grade(self, one: Standing, scheme: str) -> str:
        """A unit's grade of a scheme by name, nothing where it has none."""
        code = one.grades.get(scheme)
        return "" if code is None else self.names[code]


def publish_tables(
    out: Path,
    *,
    snapshot: SnapshotFile = None,
    format: Form | None = None,  # noqa: A002 - the contract's word
    lang: Lang = None,
) -> int:
    """Write the publication tables of a snapshot: rankings by category, grades of schemes, provisional or final.

    Example: wuxing publish-tables results.pdf --lang zh

    Parameters
    ----------
    out
        The file to write.
    format
        xlsx, pdf, csv (UTF-8 with BOM) or parquet; that of the file's name without it.
    """
    form = format or out.suffix.lower().lstrip(".")
    if form not in get_args(Form):
        listed = ", ".join(get_args(Form))
        raise Stop(
            Exit.USE, _("{out}: no known format; expected one of {listed}, by name or --format", out=out, listed=listed)
        )
    with point.snapshot(snapshot) as con:
        found = read(con, language(lang))
    content = {"xlsx": xlsx, "pdf": pdf, "csv": comma_separated, "parquet": parquet}[form](found)
    with replacing(out) as draft:
        draft.write_bytes(content)
    print(out)
    return Exit.DONE


def read(con: duckdb.DuckDBPyConnection, lang: Language) -> Publication:
    """What a snapshot publishes, by the rules' views."""
    facts, book = point.meta(con), point.year(con).rulebook
    named = zh if lang == "zh" else en

    def rows(query: str) -> list[tuple[Any, ...]]:
        return con.execute(query.replace("@", lang)).fetchall()

    with rules.compute(con):
        parts = rows("SELECT part, name_@ FROM rulebook_part WHERE parent IS NULL ORDER BY ordinal")
        standings = rows(
            "SELECT r.category, c.name_@, r.place, r.unit, r.name, r.unit_group, r.final, r.final_text, r.state,"
            " r.flags, coalesce(p.parts, MAP {}), coalesce(g.grades, MAP {}) FROM unit_result r"
            " JOIN rulebook_category c ON c.category = r.category"
            " LEFT JOIN (SELECT unit, map_from_entries(list({'k': part, 'v': points})) AS parts FROM part_result"
            "            GROUP BY unit) p ON p.unit = r.unit"
            " LEFT JOIN (SELECT unit, map_from_entries(list({'k': scheme, 'v': grade})) AS grades FROM unit_grade"
            "            GROUP BY unit) g ON g.unit = r.unit"
            " ORDER BY c.ordinal, r.place NULLS LAST, r.final DESC, r.unit"
        )
        grades = rows(
            "SELECT scheme, grade, pool, quota::BIGINT, individuals, units, undecided FROM grade_result"
            " ORDER BY scheme, pool, ordinal"
        )
        schemes = [
            Scheme(scheme, name, categories, [Given(*one) for of, *one in grades if of == scheme])
            for scheme, name, categories in rows(
                "SELECT s.scheme, s.name_@, list(DISTINCT p.category) FROM rulebook_scheme s"
                " JOIN scheme_pool p ON p.scheme = s.scheme GROUP BY s.scheme, s.name_@, s.ordinal ORDER BY s.ordinal"
            )
        ]
        names = dict(rows("SELECT grade, name_@ FROM rulebook_grade UNION ALL SELECT veto, name_@ FROM rulebook_veto"))
        entries = rows(
            "SELECT d.seq, substr(e.time, 1, 10), d.unit, u.name, d.item || ' ' || i.name_@, d.matter,"
            " g.name_@, CASE d.kind WHEN 'bonus' THEN d.counted ELSE -d.counted END, d.clause FROM entry_trail d"
            " JOIN event e ON e.seq = d.seq JOIN unit_in_force u ON u.unit = d.unit"
            " JOIN rulebook_item i ON i.item = d.item"
            " JOIN rulebook_ground g ON g.item = d.item AND g.ground = d.ground"
            " WHERE d.counted > 0 ORDER BY d.unit, i.ordinal, d.seq"
        )
        state = tables.state(con, facts["state"], lang)
    row = con.execute("SELECT epoch_us(max(recorded_at)) // 1000000 FROM event").fetchone()
    made = datetime.fromtimestamp(row[0], UTC) if row and row[0] is not None else datetime(2000, 1, 1, tzinfo=UTC)
    office = next(named(one.name) for one in book.office if one.code == book.roles.collector)
    document = f"{named(book.name)} · {book.document}"
    return Publication(
        lang,
        document,
        office,
        state,
        facts,
        made,
        parts,
        [Standing(*one) for one in standings],
        schemes,
        names,
        entries,
    )


def sheets(found: Publication) -> Iterator[Sheet]:
    """The tables: each category's ranking, each scheme's grades, the deductions and bonuses."""
    for category in dict.fromkeys(one.category for one in found.standings):
        yield _ranking(found, [one for one in found.standings if one.category == category])
    yield from (_scheme(found, one) for one in found.schemes)
    yield _entries(found)


def _ranking(found: Publication, units: Sequence[Standing]) -> Sheet:
    """A category in order, with the points of the top of the tree and the grade of each scheme it competes in."""
    schemes = [one for one in found.schemes if units[0].category in one.categories]
    columns = (
        Column(found.word("place"), 6, "whole"), Column(found.word("unit"), 9), Column(found.word("name"), 24),
        Column(found.word("group"), 8), *(Column(name, 12, "points") for __, name in found.parts),
        Column(tables.words("final", found.lang), 10, "points"), Column(found.word("exact"), 14),
        *(Column(one.name, 12) for one in schemes),
        Column(tables.words("state", found.lang), 8), Column(tables.words("flags", found.lang), 20),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            one.place,
            one.unit,
            one.name,
            one.unit_group,
            *(one.parts.get(part) for part, __ in found.parts),
            one.final,
            one.final_text,
            *(found.grade(one, scheme.scheme) for scheme in schemes),
            _state(found, one),
            found.notes(one),
        )
        for one in units
    ]
    return Sheet(TEXT["ranking"].of(category=units[0].category_name).say(found.lang), columns, rows)


def _state(found: Publication, one: Standing) -> str:
    return tables.words("final_state" if one.state == "final" else one.state, found.lang)


def _scheme(found: Publication, scheme: Scheme) -> Sheet:
    """Who has each grade, in order, then the units of an undecided tie; without a quota also who has none."""
    units = {one.unit: one for one in found.standings}
    columns = (
        Column(tables.words("grade", found.lang), 12), Column(tables.words("pool", found.lang), 8),
        Column(tables.words("quota", found.lang), 6, "whole"),
        Column(tables.words("individuals", found.lang), 8, "whole"), Column(found.word("rank"), 6, "whole"),
        Column(found.word("unit"), 9), Column(found.word("name"), 24),
        Column(tables.words("final", found.lang), 10, "points"), Column(found.word("exact"), 14),
        Column(found.word("outcome"), 14),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for one in scheme.grades:
        head = (found.names[one.grade], one.pool, one.quota, one.individuals)
        given = [(n, unit, "given") for n, unit in enumerate(one.units, 1)]
        for n, unit, how in (*given, *((None, unit, "undecided") for unit in one.undecided)):
            rows.append((*head, n, unit, units[unit].name, units[unit].final, units[unit].final_text, found.word(how)))
        if not one.units and not one.undecided:
            rows.append((*head, None, "", found.word("none"), None, "", ""))
    if any(one.quota is None for one in scheme.grades):
        left = [one for one in found.standings if scheme.scheme in one.grades and one.grades[scheme.scheme] is None]
        rows += [
            ("", one.category, None, None, None, one.unit, one.name, one.final, one.final_text, found.word("nothing"))
            for one in left
            if one.state != "left"
        ]
    return Sheet(scheme.name, columns, rows)


def _entries(found: Publication) -> Sheet:
    """Every deduction (with a minus) and bonus that counts, unit by unit, with its clause and sequence."""
    columns = (
        Column(found.word("seq"), 8, "whole"), Column(found.word("date"), 11), Column(found.word("unit"), 9),
        Column(found.word("name"), 22), Column(found.word("item"), 22), Column(found.word("matter"), 26),
        Column(found.word("ground"), 22), Column(found.word("counted"), 10, "points"), Column(found.word("clause"), 11),
    )  # fmt: skip
    return Sheet(found.word("entries"), columns, [*found.entries])


# The four forms -----------------------------------------------------------------------------------------------------


def xlsx(found: Publication) -> bytes:
    """A workbook for A4, a sheet a table; the same bytes for the same snapshot."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties(
            {"title": found.word("title"), "comments": " ".join((*found.notices, found.source)), "created": found.made}
        )
        for number, one in enumerate(sheets(found), 1):
            name = re.sub(r"[\[\]:*?/\\']", " ", one.title)
            _sheet(book.add_worksheet(f"{number} {name}"[:31].strip()), book, found, one)
    return out.getvalue()


def _sheet(sheet: Worksheet, book: Workbook, found: Publication, one: Sheet) -> None:
    """Title, notices, header, rows; text is always a string cell, so nothing in it is ever run."""
    base = {"font_name": "仿宋", "font_size": 11, "valign": "vcenter"}
    title = book.add_format({"font_name": "黑体", "font_size": 16, "align": "center", "valign": "vcenter"})
    small = book.add_format({**base, "font_size": 10, "align": "center"})
    head = book.add_format(
        {**base, "bold": True, "border": 1, "align": "center", "bg_color": "#EDEDED", "text_wrap": True}
    )
    cells = {
        "text": book.add_format({**base, "border": 1, "text_wrap": True}),
        "whole": book.add_format({**base, "border": 1, "num_format": "0", "align": "center"}),
        "points": book.add_format({**base, "border": 1, "num_format": "0.0000"}),
    }
    last = len(one.columns) - 1
    for n, (line, form) in enumerate(((one.title, title), (found.document, small), (" ".join(found.notices), small))):
        sheet.merge_range(n, 0, n, last, "", form)
        sheet.write_string(n, 0, line, form)
    for n, column in enumerate(one.columns):
        sheet.set_column(n, n, column.width)
        sheet.write_string(3, n, column.name, head)
    for number, row in enumerate(one.rows, 4):
        for n, (column, cell) in enumerate(zip(one.columns, row, strict=True)):
            if isinstance(cell, str) or cell is None:
                sheet.write_string(number, n, cell or "", cells[column.kind])
            else:
                shown = Decimal(four(cell)) if isinstance(cell, Decimal) else cell
                sheet.write_number(number, n, shown, cells[column.kind])
    sheet.set_row(0, 28)
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0, 3)
    sheet.freeze_panes(4, 0)
    sheet.set_footer(f"&L&8{found.source.replace('&', '&&')}&R&8&P / &N")


def pdf(found: Publication) -> bytes:
    """The tables on A4 as PDF/A, the same bytes for the same snapshot on every machine."""
    page = {
        "lang": found.lang, "title": found.word("title"), "document": clean(found.document),
        "notices": found.notices, "source": found.source, "office": clean(found.office), "dated": found.word("date"),
        "synthetic": found.notices[0] if len(found.notices) > 1 else "",
        "date": [found.made.year, found.made.month, found.made.day],
        "tables": [
            {
                "title": one.title, "columns": [[column.name, column.kind, column.width] for column in shown],
                "rows": [[_printed(cell) for cell in row] for row in rows],
            }
            for one in sheets(found) for shown, rows in (_without_exact(found, one),)
        ],
    }  # fmt: skip
    return typeset.pdf(Path(__file__).with_suffix(".typ"), page)


def _without_exact(found: Publication, one: Sheet) -> tuple[list[Column], list[list[Cell]]]:
    """A table for paper: 4 decimals, without the full figure beside, which the other forms carry."""
    keep = [n for n, column in enumerate(one.columns) if column.name != found.word("exact")]
    return [one.columns[n] for n in keep], [[row[n] for n in keep] for row in one.rows]


def _printed(cell: Cell) -> str:
    if cell is None:
        return ""
    return four(cell) if isinstance(cell, Decimal) else clean(str(cell))


def comma_separated(found: Publication) -> bytes:
    """A line a unit, UTF-8 with a byte order mark, as Excel and WPS want it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    named = [
        *map(found.word, ("category", "place", "unit", "name", "group")),
        *(inert(name) for __, name in found.parts),
    ]
    named += [tables.words("final", found.lang), found.word("exact"), *(inert(one.name) for one in found.schemes)]
    writer.writerow([*named, *(tables.words(key, found.lang) for key in ("state", "flags")), found.word("data")])
    kind = found.word("made_up" if found.facts.get("synthetic") == "true" else "real")
    for one in found.standings:
        head = (inert(one.category_name), one.place, inert(one.unit), inert(one.name), inert(one.unit_group))
        points = (*(four(one.parts.get(part)) for part, __ in found.parts), four(one.final), one.final_text)
        texts = (*(found.grade(one, of.scheme) for of in found.schemes), _state(found, one), found.notes(one), kind)
        writer.writerow([*head, *points, *map(inert, texts)])
    return out.getvalue().encode("utf-8-sig")


def parquet(found: Publication) -> bytes:
    """A row a unit: points as exact decimals, a column for each top part and each scheme; facts as metadata."""
    names = ("category", "place", "unit", "name", "unit_group", "final", "state", "flags")
    kinds = {"place": pa.int32(), "flags": pa.list_(pa.string()), "final": pa.decimal128(18, 8)}
    held: dict[str, Any] = {
        name: pa.array([getattr(one, name) for one in found.standings], kinds.get(name, pa.string())) for name in names
    }
    points = pa.decimal128(18, 6)
    held |= {
        f"part_{part}": pa.array([one.parts.get(part) for one in found.standings], points) for part, __ in found.parts
    }
    held |= {
        f"grade_{of.scheme}": pa.array([one.grades.get(of.scheme) for one in found.standings], pa.string())
        for of in found.schemes
    }
    held["synthetic"] = pa.array([found.facts.get("synthetic") == "true"] * len(found.standings))
    table = pa.table(held).replace_schema_metadata({f"wuxing.{key}": value for key, value in found.facts.items()})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
