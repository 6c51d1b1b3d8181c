"""Writes a sender's workbook back with what became of each row beside it: outcome, sequence, id and message.

The columns begin with `#`, which the reader passes over, so that the same workbook can be filled on and sent again.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import xlsxwriter
from openpyxl import load_workbook

from schemas.words import Language, _, _p
from services.office import sheet, workbook

TITLES = (_("#outcome"), _("#sequence"), _("#id"), _("#message"))
OUTCOMES = {
    "accepted": _p("outcome of a row", "accepted"),
    "refused": _p("outcome of a row", "refused"),
    "settled": _p("outcome of a row", "settled"),
    "ready": _p("outcome of a row", "ready"),
    "pending": _p("outcome of a row", "pending"),
    "there": _p("outcome of a row", "there"),
    "correction": _p("outcome of a row", "correction"),
    "gone": _p("outcome of a row", "gone"),
}


class Told(Protocol):
    """What is known of a row."""

    row: int
    sheet: str | None

    @property
    def outcome(self) -> str:
        """What became of it."""

    sequence: int | None
    id: str | None
    message: str | None
    why: str | None


def write(file: Path, out: Path, told: Sequence[Told], lang: Language) -> None:
    """Write the workbook of a file and its rows; of a CSV a new one. Raises OSError."""
    raw = file.read_bytes()
    if raw.startswith(b"PK") and file.suffix.lower() != ".ods":
        _beside(raw, out, told, lang)
    else:
        _anew(file, out, told, lang)


def _beside(raw: bytes, out: Path, told: Sequence[Told], lang: Language) -> None:
    book = load_workbook(io.BytesIO(raw))
    for one in workbook.read_excel(raw):
        header, page = sheet.header(one), book[one.name or ""]
        if header is None:
            continue
        first = 1 + max((n for n, cell in header.cells.items() if not str(cell.value).startswith("#")), default=0)
        cells = {(header.number, n): title for n, title in enumerate(_titles(lang), first)}
        cells |= {
            (line.row, n): cell for line in told if line.sheet == one.name for n, cell in _cells(line, first, lang)
        }
        for (row, column), cell in cells.items():
            page.cell(row, column + 1, cell)
    book.save(out)


def _anew(file: Path, out: Path, told: Sequence[Told], lang: Language) -> None:
    by_row = {(line.sheet, line.row): line for line in told}
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as book:
        for one in workbook.read(file):
            page, header = book.add_worksheet(one.name), sheet.header(one)
            wide = 1 + max((n for line in one.lines for n in line.cells), default=0)
            for line in one.lines:
                for n, cell in line.cells.items():
                    page.write_string(line.number - 1, n, _plain(cell.value))
                if header and line.number == header.number:
                    page.write_row(line.number - 1, wide, _titles(lang))
                if found := by_row.get((one.name, line.number)):
                    for n, text in _cells(found, wide, lang):
                        page.write(line.number - 1, n, text)


def _plain(value: workbook.Value) -> str:
    return value.shown if isinstance(value, workbook.Number) else str(value)


def _titles(lang: Language) -> list[str]:
    return [title.say(lang) for title in TITLES]


def _cells(line: Told, first: int, lang: Language) -> list[tuple[int, Any]]:
    outcome = OUTCOMES[line.outcome].say(lang)
    return list(enumerate((outcome, line.sequence, line.id, line.message or line.why), first))
