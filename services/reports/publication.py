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

from schemas.refusals import Language
from services.command import tables
from services.command.options import Lang, SnapshotFile
from services.command.tables import four
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.process.settings import language
from services.reports import typeset
from services.reports.typeset import clean
from services.scorer import rules
from services.snapshot import point

Form = Literal["xlsx", "pdf", "csv", "parquet"]
Cell = str | int | Decimal | None
#: A text that begins so may be run by a spreadsheet that opens a CSV; the wide forms too, in East Asian editions.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

TEXT = {
    "title": ("Publication of results", "考核结果公示表"), "ranking": ("{}: ranking", "{}排名"),
    "passes": ("{}: pass list", "{}达标名单"), "awards": ("Awards", "先进奖名单"),
    "exact": ("Final, exact", "最后得分（精确值）"),
    "provisional": ("Provisional: items, appeals or ties are still open.", "暂定结果：尚有待定项目、申诉或并列。"),
    "final": ("All units' results are final.", "全部单位结果已确定。"), "category": ("Category", "类别"),
    "as_of": ("ledger sequence", "账本序号"), "digest": ("digest", "结果摘要"), "data": ("Data", "数据性质"),
    "real": ("as reported", "实报"), "made_up": ("synthetic", "合成"), "exempt": ("does not apply", "不适用"),
    "one_group": ("one group only", "仅一组评价"), "undecided": ("tie undecided", "并列待定"), "rank": ("Order", "序"),
    "passed": ("passed", "达标"), "failed": ("not passed", "未达标"), "office": ("Five-Type Office", "市创建办"),
    "outcome": ("Result", "结果"), "won": ("awarded", "获奖"), "none": ("Nobody.", "无。"), "date": ("Date", "日期"),
    "pass_mark": ("pass mark {}", "达标线{}"), "deductions": ("Deductions", "扣分明细"), "seq": ("Seq.", "序号"),
    "item": ("Item", "项目"), "matter": ("Matter", "事项"), "ground": ("Ground", "扣分情形"),
    "counted": ("Counted", "实扣"), "clause": ("Clause", "条款"),
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
    """A unit's line, as the views have it."""

    category: str
    category_name: str
    pass_mark: Decimal | None
    place: int
    unit: str
    name: str
    unit_group: str
    daily: Decimal
    year_end: Decimal
    final: Decimal
    passed: bool | None
    award: str | None
    award_name: str | None
    state: str
    flags: list[str]


class Publication(NamedTuple):
    """What a snapshot publishes, before it is laid out."""

    lang: Language
    document: str
    facts: dict[str, str]
    made: datetime
    standings: list[Standing]
    awards: list[tuple[str, str, int, list[str], list[str]]]
    award_names: dict[str, str]
    deductions: list[tuple[int, str, str, str, str, str, str, Decimal, str]]

    def word(self, key: str) -> str:
        """A word in the language."""
        return TEXT[key][self.lang == "zh"] if key in TEXT else tables.words(key, self.lang)

    @property
    def notices(self) -> list[str]:
        """What every page and sheet says: whether units are made up, and whether the results are final."""
        undecided = any(flag.startswith("undecided:") for one in self.standings for flag in one.flags)
        settled = self.facts["state"] == "finalised" and all(one.state == "final" for one in self.standings)
        state = tables.words(self.facts["state"], self.lang)
        synthetic = [tables.words("synthetic", self.lang)] if self.facts.get("synthetic") == "true" else []
        return [*synthetic, f"{state} · {self.word('final' if settled and not undecided else 'provisional')}"]

    @property
    def source(self) -> str:
        """What the tables were made from, so that anybody can make them again."""
        sequence, digest = self.facts["sequence"], self.facts["digest"]
        return f"{self.facts['assessment']} · {self.word('as_of')} {sequence} · {self.word('digest')} {digest}"

    def notes(self, one: Standing) -> str:
        """A unit's flags in words."""
        shown = (flag.partition(":") for flag in one.flags)
        colon = "：" if self.lang == "zh" else ": "
        return "; ".join(f"{self.word(key)}{colon}{self.award_names.get(what, what)}" for key, _, what in shown)

    def passed(self, one: Standing) -> str:
        """Whether a unit has passed, nothing where its category has no pass mark."""
        return "" if one.passed is None else self.word("passed" if one.passed else "failed")


def publish_tables(
    out: Path,
    *,
    snapshot: SnapshotFile = None,
    format: Form | None = None,  # noqa: A002 - the contract's word
    lang: Lang = None,
) -> int:
    """Write the publication tables of a snapshot: rankings by category, pass list, awards, provisional or final.

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
            Exit.USE,
            f"{out}: no known format; expected one of {listed}, by name or --format",
            f"{out}：未知格式；应为{listed}之一，以文件名或--format给出",
        )
    with point.snapshot(snapshot) as con:
        found = read(con, language(lang))
    content = {"xlsx": xlsx, "pdf": pdf, "csv": comma_separated, "parquet": parquet}[form](found)
    with replacing(out) as draft:
        draft.write_bytes(content)
    print(out)
    return Exit.DONE


def read(con: duckdb.DuckDBPyConnection, lang: Language) -> Publication:
    """What a snapshot publishes, by its own views."""
    facts, book = point.meta(con), point.year(con).rulebook
    with rules.compute(con):
        rows = con.execute(
            f"SELECT r.category, c.name_{lang}, c.pass_mark, r.place, r.unit, r.name, r.unit_group, r.daily,"
            f" r.year_end, r.final, r.passed, r.award, a.name_{lang}, r.state, r.flags FROM unit_result r"
            " JOIN rulebook_category c USING (category) LEFT JOIN rulebook_award a USING (award)"
            " ORDER BY c.ordinal, r.place, r.unit"
        ).fetchall()
        awards = con.execute(
            "SELECT award, scope, quota::INTEGER, units, undecided FROM award_result ORDER BY ordinal, scope"
        ).fetchall()
        names = dict(con.execute(f"SELECT award, name_{lang} FROM rulebook_award").fetchall())
        deductions = con.execute(
            f"SELECT d.seq, substr(e.time, 1, 10), d.unit, u.name, d.item || ' ' || i.name_{lang}, d.matter,"
            f" g.name_{lang}, d.counted, d.clause FROM audit_trail d JOIN event e USING (seq)"
            " JOIN roster u ON u.unit = d.unit JOIN rulebook_item i ON i.item = d.item"
            " JOIN rulebook_ground g ON g.item = d.item AND g.ground = d.ground"
            " WHERE d.counted > 0 ORDER BY d.unit, i.ordinal, d.seq"
        ).fetchall()
    row = con.execute("SELECT epoch_us(max(recorded_at)) // 1000000 FROM event").fetchone()
    made = datetime.fromtimestamp(row[0], UTC) if row and row[0] is not None else datetime(2000, 1, 1, tzinfo=UTC)
    title = book.name.zh if lang == "zh" else book.name.en
    return Publication(
        lang,
        f"{title} · {book.document}",
        facts,
        made,
        [Standing(*row) for row in rows],
        awards,
        names,
        deductions,
    )


def sheets(found: Publication) -> Iterator[Sheet]:
    """The tables: each category's ranking, its pass list where it has a pass mark, the awards, the deductions."""
    for category in dict.fromkeys(one.category for one in found.standings):
        units = [one for one in found.standings if one.category == category]
        yield _ranking(found, units)
        if units[0].pass_mark is not None:
            yield _passes(found, units)
    yield _awards(found)
    yield _deductions(found)


def _ranking(found: Publication, units: Sequence[Standing]) -> Sheet:
    has_pass = units[0].pass_mark is not None
    columns = (
        Column(found.word("place"), 6, "whole"), Column(found.word("unit"), 9), Column(found.word("name"), 24),
        Column(found.word("group"), 8), Column(found.word("daily"), 12, "points"),
        Column(found.word("year_end"), 12, "points"), Column(tables.words("final", found.lang), 10, "points"),
        Column(found.word("exact"), 14), Column(tables.words("passed" if has_pass else "award", found.lang), 9),
        Column(tables.words("state", found.lang), 8), Column(tables.words("flags", found.lang), 20),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            one.place,
            one.unit,
            one.name,
            one.unit_group,
            one.daily,
            one.year_end,
            one.final,
            str(one.final),
            found.passed(one) if has_pass else one.award_name or "",
            _state(found, one),
            found.notes(one),
        )
        for one in units
    ]
    return Sheet(found.word("ranking").format(units[0].category_name), columns, rows)


def _state(found: Publication, one: Standing) -> str:
    return tables.words("final_state" if one.state == "final" else "provisional", found.lang)


def _passes(found: Publication, units: Sequence[Standing]) -> Sheet:
    mark = four(units[0].pass_mark)
    title = found.word("passes").format(units[0].category_name)
    columns = (
        Column(found.word("unit"), 9), Column(found.word("name"), 24),
        Column(tables.words("final", found.lang), 10, "points"), Column(found.word("exact"), 14),
        Column(found.word("outcome"), 12), Column(tables.words("state", found.lang), 8),
    )  # fmt: skip
    ordered = sorted(units, key=lambda one: (not one.passed, one.unit))
    rows: list[tuple[Cell, ...]] = [
        (one.unit, one.name, one.final, str(one.final), found.passed(one), _state(found, one)) for one in ordered
    ]
    return Sheet(f"{title} ({found.word('pass_mark').format(mark)})", columns, rows)


def _awards(found: Publication) -> Sheet:
    """Winners in order, then the units of an undecided tie; nobody is put into words too."""
    units = {one.unit: one for one in found.standings}
    columns = (
        Column(tables.words("award", found.lang), 12), Column(tables.words("scope", found.lang), 8),
        Column(tables.words("quota", found.lang), 6, "whole"), Column(found.word("rank"), 6, "whole"),
        Column(found.word("unit"), 9), Column(found.word("name"), 24),
        Column(tables.words("final", found.lang), 10, "points"), Column(found.word("exact"), 14),
        Column(found.word("outcome"), 14),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for award, scope, quota, won, undecided in found.awards:
        head = (found.award_names[award], scope, quota)
        winners = [(n, unit, "won") for n, unit in enumerate(won, 1)]
        for n, unit, how in (*winners, *((None, unit, "undecided") for unit in undecided)):
            one = units[unit]
            rows.append((*head, n, unit, one.name, one.final, str(one.final), found.word(how)))
        if not won and not undecided:
            rows.append((*head, None, "", found.word("none"), None, "", ""))
    return Sheet(found.word("awards"), columns, rows)


def _deductions(found: Publication) -> Sheet:
    """Every deduction that counts, unit by unit, with its clause; its line is found again by the sequence."""
    columns = (
        Column(found.word("seq"), 8, "whole"), Column(found.word("date"), 11), Column(found.word("unit"), 9),
        Column(found.word("name"), 22), Column(found.word("item"), 22), Column(found.word("matter"), 26),
        Column(found.word("ground"), 22), Column(found.word("counted"), 10, "points"), Column(found.word("clause"), 11),
    )  # fmt: skip
    return Sheet(found.word("deductions"), columns, [*found.deductions])


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
        "notices": found.notices, "source": found.source, "office": found.word("office"), "dated": found.word("date"),
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
    keys = ("category", "place", "unit", "name", "group", "daily", "year_end")
    ends = (tables.words("passed", found.lang), *(tables.words(key, found.lang) for key in ("award", "state", "flags")))
    writer = csv.writer(out)
    points_named = (tables.words("final", found.lang), found.word("exact"))
    writer.writerow([*map(found.word, keys), *points_named, *ends, found.word("data")])
    kind = found.word("made_up" if found.facts.get("synthetic") == "true" else "real")
    for one in found.standings:
        points = (four(one.daily), four(one.year_end), four(one.final), str(one.final))
        texts = (found.passed(one), one.award_name or "", _state(found, one), found.notes(one), kind)
        head = (inert(one.category_name), one.place, inert(one.unit), inert(one.name), inert(one.unit_group))
        writer.writerow([*head, *points, *map(inert, texts)])
    return out.getvalue().encode("utf-8-sig")


def inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe before one that begins like it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def parquet(found: Publication) -> bytes:
    """A row a unit, points as exact decimals, names of columns as in `unit_result`; facts in the file's metadata."""
    names = [name for name in Standing._fields if name not in ("category_name", "award_name")]
    kinds: dict[str, pa.DataType] = {
        "place": pa.int32(), "passed": pa.bool_(), "flags": pa.list_(pa.string()), "pass_mark": pa.decimal128(18, 8),
        "daily": pa.decimal128(18, 6), "year_end": pa.decimal128(18, 6), "final": pa.decimal128(18, 8),
    }  # fmt: skip
    held: dict[str, Any] = {
        name: pa.array([getattr(one, name) for one in found.standings], kinds.get(name, pa.string())) for name in names
    }
    held["synthetic"] = pa.array([found.facts.get("synthetic") == "true"] * len(found.standings))
    table = pa.table(held).replace_schema_metadata({f"wuxing.{key}": value for key, value in found.facts.items()})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
