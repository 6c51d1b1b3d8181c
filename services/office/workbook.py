"""Reads a spreadsheet file into sheets of cells: what a cell shows is what is read, or it says why it cannot be used.

A workbook of Excel's own form (.xlsx) is read with its formats, so that a percentage, a formula that was never computed
or a number that shows less than it holds is told; .xls, .ods and WPS .et give values alone and are read by a process
of bounded memory, since a stray cell at the far end of a sheet would fill any. A CSV is UTF-8 or GB18030, with commas,
tabs or semicolons.
"""

import csv
import io
import multiprocessing
import re
import resource
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple

from openpyxl import load_workbook
from openpyxl.cell.cell import Cell as Written
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet
from python_calamine import CalamineWorkbook, PasswordError

from schemas.words import Text, _
from services.process.ending import Exit, Stop

#: Bytes that a workbook may come to when it is unpacked, and that the process which reads older forms may use.
UNPACKED_MAX, MEMORY_MAX = 64 * 1024 * 1024, 2 * 1024 * 1024 * 1024
#: A spreadsheet keeps 15 digits of a number: a longer one is no longer what was typed.
EXACT_BELOW = 10**15
#: Characters of a cell that are read at all; a longer event is too large anyway, and refused by that name.
csv.field_size_limit(64 * 1024 * 1024)
_ZIP, _OLE2 = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
#: Number formats that show a plain number: digits before the point, digits after it.
_PLAIN_FORMAT = re.compile(r"(?:#,##|#*)(0*)(?:\.(0+))?_? ?")


class Unusable(NamedTuple):
    """A cell that cannot be used: what is expected in its place and what it holds."""

    expected: Text
    seen: Text | str


class Number(NamedTuple):
    """A number: the plain decimal that it is, and as the cell shows it (with zeros before it, 007)."""

    decimal: str
    shown: str


Value = str | Number | date | Unusable


class Cell(NamedTuple):
    """A cell that holds something, and its address."""

    value: Value
    address: str


class Line(NamedTuple):
    """A row of a sheet: its number as the spreadsheet shows it, its filled cells by column from 0."""

    number: int
    cells: dict[int, Cell]
    hidden: bool = False


class Sheet(NamedTuple):
    """A sheet of a workbook; a CSV is one without a name."""

    name: str | None
    lines: list[Line]
    hidden: bool = False


def is_workbook(head: bytes) -> bool:
    """Whether a file is a workbook, by its first bytes: .xlsx and .ods are ZIP, .xls and WPS .et are OLE2."""
    return head.startswith((_ZIP, _OLE2))


def read(path: Path, encoding: str | None = None) -> list[Sheet]:
    """The sheets of a file; what is none, is protected or would fill the memory ends the command."""
    raw = path.read_bytes()
    if not is_workbook(raw):
        return [Sheet(None, list(_csv(path, raw, encoding)))]
    if raw.startswith(_ZIP):
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as packed:
                names = set(packed.namelist())
                _check_size(path, sum(part.file_size for part in packed.infolist()))
        except zipfile.BadZipFile as error:
            raise _unreadable(path, str(error)) from None
        if "xl/workbook.xml" in names:
            try:
                return read_excel(raw)
            except Exception as error:  # noqa: BLE001 - whatever a broken file makes the reader raise, it is broken
                raise _unreadable(path, (str(error) or type(error).__name__).splitlines()[0][:200]) from None
    return _older(path, raw)


# Excel's own form ---------------------------------------------------------------------------------------------------


def read_excel(raw: bytes) -> list[Sheet]:
    """The sheets of a workbook of Excel's own form; raises whatever a broken file makes its reader raise."""
    shown, typed = load_workbook(io.BytesIO(raw), data_only=True), load_workbook(io.BytesIO(raw))
    sheets = [one for one in shown.worksheets if isinstance(one, Worksheet)]
    return [Sheet(one.title, list(_lines(one, typed[one.title])), one.sheet_state != "visible") for one in sheets]


def _lines(shown: Worksheet, typed: Worksheet) -> Iterator[Line]:
    """The rows that hold something, in order, however far down."""
    merged = {cell: str(span) for span in shown.merged_cells.ranges for row in span.rows for cell in row}
    rows: dict[int, dict[int, Cell]] = {}
    for (row, column), cell in sorted(typed._cells.items()):  # noqa: SLF001 - its public iterators fill every gap
        value = _value(shown._cells.get((row, column)), cell.value, merged.get((row, column)))  # noqa: SLF001
        if value is not None:
            rows.setdefault(row, {})[column - 1] = Cell(value, f"{get_column_letter(column)}{row}")
    for number, cells in rows.items():
        yield Line(number, cells, bool(shown.row_dimensions[number].hidden))


def _value(cell: Any, typed: Any, merged: str | None) -> Value | None:
    """What a cell shows, null where it is empty; `typed` is what was typed there, a formula where one was."""
    held = cell.value if isinstance(cell, Written) else None
    if held is None and isinstance(typed, str) and typed.startswith("="):
        return Unusable(
            _("a value"),
            _("the formula {typed}, never computed; open and save the file once", typed=typed[:40]),
        )
    if held is None:
        return None
    if merged and ":" in merged:
        return Unusable(_("a cell of its own"), _("the merged cells {merged}", merged=merged))
    if cell.data_type == "e":
        return Unusable(_("a value"), _("the error {held}", held=held))
    return as_value(held, cell.number_format)


def as_value(held: Any, form: str = "General") -> Value | None:
    """A cell's content as its format shows it; null where it is empty text."""
    if isinstance(held, str):
        return held if held.strip() else None
    if isinstance(held, date):
        return held
    if isinstance(held, bool) or not isinstance(held, int | float | Decimal):
        clock = isinstance(held, time | timedelta)
        return Unusable(_("text"), _("clock time {held}", held=held) if clock else f"{type(held).__name__} {held}")
    number = Decimal(repr(held)) if isinstance(held, float) else Decimal(held)
    if abs(number) >= EXACT_BELOW:
        return Unusable(_("text where a number has more than 15 digits"), f"{number:f}")
    return _shown(number, form)


def _shown(number: Decimal, form: str) -> Number | Unusable:
    """A number as its format shows it; one that shows another than it holds is told."""
    plain = decimal(number)
    if form in ("General", "@", "", "GENERAL"):
        return Number(plain, plain)
    if "%" in form:
        return Unusable(
            _("the number itself, without %"),
            _("a percentage showing {number}%", number=decimal(number * 100)),
        )
    match = _PLAIN_FORMAT.fullmatch(form)
    if match is None:
        return Unusable(_("a plain number or text"), _("a number in the format {form}", form=form))
    shown = number.quantize(Decimal(1).scaleb(-len(match[2] or "")), ROUND_HALF_UP)
    if shown != number:
        return Unusable(
            _("the number that is shown"),
            _("shows {shown}, holds {plain}", shown=shown, plain=plain),
        )
    return Number(plain, plain.zfill(len(match[1]))) if len(match[1]) > 1 else Number(plain, plain)


def decimal(number: Decimal | float) -> str:
    """A number as the shortest decimal that reads back as the same number, without exponent."""
    text = f"{number if isinstance(number, Decimal) else Decimal(repr(number)):f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


# Older forms --------------------------------------------------------------------------------------------------------


def _older(path: Path, raw: bytes) -> list[Sheet]:
    """A workbook of another form, read by a process that may not grow without bound."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_read_older, args=(raw, there), daemon=True)
    child.start()
    there.close()
    try:
        found = here.recv()
    except EOFError:
        found = _("it needs more memory than a workbook may: is there a stray cell at the far end of a sheet?")
    child.join()
    if isinstance(found, str | Text):
        raise _unreadable(path, found)
    return [
        Sheet(name, [line for number, row in enumerate(rows, 1) if (line := _older_line(number, row))], hidden)
        for name, hidden, rows in found
    ]


def _older_line(number: int, row: Sequence[Any]) -> Line | None:
    values = {n: value for n, held in enumerate(row) if (value := as_value(held)) is not None}
    cells = {n: Cell(value, f"{get_column_letter(n + 1)}{number}") for n, value in values.items()}
    return Line(number, cells) if cells else None


def _read_older(raw: bytes, answer: Any) -> None:
    """Send the sheets' values, or what is wrong with the file; runs in a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(raw)) as book:
            sheets = [one for one in book.sheets_metadata if "WorkSheet" in str(one.typ)]
            answer.send(
                [
                    (
                        one.name,
                        "Visible" not in str(one.visible).split(".")[-1:],
                        book.get_sheet_by_name(one.name).to_python(skip_empty_area=False),
                    )
                    for one in sheets
                ]
            )
    except PasswordError:
        answer.send(_("it is protected by a password"))
    except BaseException as error:  # noqa: BLE001 - the reader's panics are no Exceptions; a broken file is not ours
        answer.send(str(error).splitlines()[0][:200] if str(error) else type(error).__name__)


# CSV ----------------------------------------------------------------------------------------------------------------


def _csv(path: Path, raw: bytes, encoding: str | None) -> Iterator[Line]:
    text = _decoded(path, raw, encoding)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",\t;", key=first.count) if first.count(",") == 0 else ","
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise Stop(Exit.FAILED, _("{path}: not a CSV file: {error}", path=path, error=error)) from None
    for number, row in enumerate(rows, 1):
        if line := _older_line(number, row):
            yield line


def _decoded(path: Path, raw: bytes, encoding: str | None) -> str:
    """A text in UTF-8, or what Chinese editions of Excel save, GB18030; a damaged UTF-8 file is neither.

    GB18030 gives nearly all bytes some meaning, so a file that is for the most part UTF-8 must be it whole; and where a
    file reads as Chinese in GB18030 alone, though its bytes are UTF-8 too, nobody but its writer can tell.
    """
    if encoding is not None:
        try:
            return raw.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            place = error.start + 1
            raise Stop(
                Exit.FAILED, _("{path}: byte {place} is not {encoding}", path=path, place=place, encoding=encoding)
            ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _gb18030(path, raw, error.start + 1)
    with suppress(UnicodeDecodeError):
        if not text.isascii() and not raw.startswith(b"\xef\xbb\xbf") and _han(raw.decode("gb18030")) > _han(text) == 0:
            raise Stop(
                Exit.USE,
                _("{path}: reads as UTF-8 and as GB18030; say --encoding utf-8 or --encoding gb18030", path=path),
            )
    return text


def _gb18030(path: Path, raw: bytes, place: int) -> str:
    seen = raw.decode("utf-8", "replace")
    valid = sum(ord(character) > 127 for character in seen) - seen.count("\ufffd")
    with suppress(UnicodeDecodeError):
        if valid <= seen.count("\ufffd"):
            return raw.decode("gb18030")
    raise Stop(
        Exit.FAILED,
        _(
            "{path}: neither UTF-8 (byte {place} is wrong) nor GB18030; save it again as CSV UTF-8",
            path=path,
            place=place,
        ),
    )


def _han(text: str) -> int:
    """How many characters are Chinese."""
    return sum("CJK UNIFIED" in unicodedata.name(character, "") for character in text)


def _check_size(path: Path, size: int) -> None:
    if size > UNPACKED_MAX:
        raise _unreadable(path, f"{size} bytes when unpacked, at most {UNPACKED_MAX}")


def _unreadable(path: Path, reason: Text | str) -> Stop:
    return Stop(Exit.FAILED, _("{path}: cannot be read as a workbook: {reason}", path=path, reason=reason))


def moment(value: date) -> datetime:
    """A date cell to the second, which is as exact as days counted in a float are shown."""
    whole = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
    return (whole + timedelta(microseconds=500_000)).replace(microsecond=0)
