"""Tables of a page in other forms: in another order, with fewer rows, as CSV and as a workbook.

What is downloaded is what the page shows, read out of the page itself, with all its rows and exact numbers.
"""

import csv
import io
import re
from collections.abc import Mapping
from decimal import Decimal
from html.parser import HTMLParser

import xlsxwriter
from litestar import Response

from schemas.words import _
from services.console.states import Row
from services.console.view import Refused
from services.process.plain import inert, shown

#: Rows of a page of a table that is downloaded: all that there may be.
ROWS_ALL = 1_000_000
#: Cells that a spreadsheet may take for numbers: what a double holds exactly enough.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def arranged(rows: list[Row], table: str, params: Mapping[str, str]) -> list[Row]:
    """The rows of a table as an address asks for them: those that hold a text, in the order of a column.

    `q.<table>` is the text, `sort.<table>` the column, with a minus before it the other way round. What is empty is
    last.
    """
    text, key = params.get(f"q.{table}", "").casefold(), params.get(f"sort.{table}", "")
    if text:
        rows = [row for row in rows if any(text in str(value).casefold() for value in row.values())]
    column, turned = key.removeprefix("-"), key.startswith("-")
    if not rows or column not in rows[0]:
        return rows
    filled = [row for row in rows if row[column] not in (None, "")]
    kinds = {type(row[column]) for row in filled}
    filled.sort(key=lambda row: row[column] if len(kinds) == 1 else str(row[column]), reverse=turned)
    return [*filled, *(row for row in rows if row[column] in (None, ""))]


class _Reader(HTMLParser):
    """Reads one table out of a page, by its `data-table`: texts of cells, exact where `data-v` gives them."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self.table, self.rows = table, list[list[str]]()
        self._inside = self._cell = False
        self._unseen = 0
        self._spans: dict[int, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row or a cell."""
        named = dict(attrs)
        if tag == "table":
            self._inside = named.get("data-table") == self.table
        elif not self._inside:
            return
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self._carry()
            self._cell = named.get("data-v") is None
            self.rows[-1].append(named.get("data-v") or "")
            self._spans[len(self.rows[-1]) - 1] = int(named.get("rowspan") or 1) - 1
        elif tag == "br" and self._cell:
            self.rows[-1][-1] += " "
        elif named.get("aria-hidden") and tag == "span":
            self._unseen += 1

    def _carry(self) -> None:
        """Give a row the cells above it that go on into it."""
        row = self.rows[-1]
        while len(self.rows) > 1 and self._spans.get(len(row), 0):
            self._spans[len(row)] -= 1
            row.append(self.rows[-2][len(row)])

    def handle_endtag(self, tag: str) -> None:
        """End a table or a cell."""
        if tag == "table":
            self._inside = False
        elif tag in ("td", "th"):
            self._cell = False
        elif tag == "span" and self._unseen:
            self._unseen -= 1

    def handle_data(self, data: str) -> None:
        """Take a text that is shown."""
        if self._inside and self._cell and not self._unseen and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def read(page: str, table: str) -> list[list[str]]:
    """The rows of a table of a page, its header first."""
    reader = _Reader(table)
    reader.feed(page)
    return [[" ".join(cell.replace("−", "-").split()) for cell in row] for row in reader.rows if row]


def download(page: str, form: str, table: str, path: str) -> Response[bytes]:
    """A table of a page as a file. Raises Refused where there is none of that name or form."""
    rows = read(page, table)
    if form not in ("csv", "xlsx") or not rows:
        raise Refused(404, _("There is no such table on this page, as csv or xlsx."))
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{path} {table}").strip("-")
    body, kind = (_csv(rows), "text/csv; charset=utf-8") if form == "csv" else (_xlsx(rows, table), XLSX)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"', "Cache-Control": "no-cache"}
    return Response(body, media_type=kind, headers=headers)


def _csv(rows: list[list[str]]) -> bytes:
    """UTF-8 with a byte order mark, without which spreadsheets in China read GB18030."""
    out = io.StringIO()
    csv.writer(out).writerows([cell if _NUMBER.fullmatch(cell) else inert(cell) for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _xlsx(rows: list[list[str]], table: str) -> bytes:
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as book:
        page = book.add_worksheet(table[:31])
        bold = book.add_format({"bold": True})
        codes = {n for n, title in enumerate(rows[0]) if not _all_numbers(rows, n)}
        for at, row in enumerate(rows):
            for n, cell in enumerate(row):
                if at and n not in codes and _NUMBER.fullmatch(cell):
                    page.write_number(at, n, Decimal(cell))
                else:
                    page.write_string(at, n, shown(cell), None if at else bold)
        page.freeze_panes(1, 0)
        page.autofilter(0, 0, len(rows) - 1, max(map(len, rows)) - 1)
    return out.getvalue()


def _all_numbers(rows: list[list[str]], column: int) -> bool:
    """Whether a column holds numbers and nothing else: codes that look like numbers stay texts with their heading."""
    cells = [row[column] for row in rows[1:] if len(row) > column and row[column] not in ("", "—")]
    return bool(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)
