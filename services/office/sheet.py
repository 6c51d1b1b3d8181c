"""What a row of a spreadsheet says: rows of a CSV or workbook, and the event that each is (docs/spec/wire.md, CSV).

A header is the first of a sheet's first ten rows whose cells are all column names; what stands above it (a title, names
for people) is no data. Cells are taken as they are: an empty one is a field that is not there, a text is not trimmed.
Numbers become plain decimals; a date cell, which knows no zone, is Beijing time (+08:00), and stands only under `time`,
and so is a time typed as text, or saved as CSV, the way spreadsheets show it: 2013-05-06 09:30, 2013/5/6 9:30.
"""

import csv
import hashlib
import io
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from python_calamine import CalamineWorkbook, PasswordError

from schemas import subjects
from schemas.refusals import Language, Reason, Refusal, message, shortened
from schemas.results import canonical
from services.process.ending import Exit, Stop

DATA = (
    "item",
    "matter",
    "ground",
    "points",
    "node",
    "rater",
    "group",
    "component",
    "case",
    "value",
    "characters",
    "statement",
    "outcome",
    "reason",
    "evidence",
)
#: The columns of the contract, in its order of an event, and the place in the event that each is.
COLUMNS = {
    "type": "type",
    "unit": "subject",
    **{name: f"data.{name}" for name in DATA},
    "target_source": "data.target.source",
    "target_id": "data.target.id",
    "time": "time",
    "id": "id",
}
HEADER_WITHIN = 10
OFFSET = "+08:00"
#: Bytes that a workbook may come to when it is unpacked.
UNPACKED_MAX = 256 * 1024 * 1024
#: Excel keeps 15 digits of a number: a longer one is no longer what was typed.
EXACT_BELOW = 10**15
#: Characters of a cell that are read at all; a longer event is too large anyway, and refused by that name.
csv.field_size_limit(64 * 1024 * 1024)
#: A date, or a date and time, as Excel and WPS show it to people in China.
_SHOWN = re.compile(r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)
_ZIP, _OLE2 = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


class Row(NamedTuple):
    """A row that is data: its number as the spreadsheet shows it, its filled cells by column; `sheet` null in a CSV."""

    number: int
    cells: dict[str, Any]
    sheet: str | None = None


class Sheet(NamedTuple):
    """A sheet as it was read: `rows` are all of its rows from the first."""

    name: str | None
    rows: Sequence[Sequence[Any]]
    hidden: bool = False


class UnusableCellError(ValueError):
    """A cell that holds what no column takes, with what is expected and found; it refuses its row and no other."""

    def __init__(self, column: str, expected: tuple[Any, ...], seen: str) -> None:
        super().__init__(column)
        self.column, self.expected, self.seen = column, expected, seen


def is_workbook(head: bytes) -> bool:
    """Whether a file is a workbook, by its first bytes: .xlsx and .ods are ZIP, .xls and WPS .et are OLE2."""
    return head.startswith((_ZIP, _OLE2))


def rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV or workbook that are data, in order; raises Stop where the file cannot be used."""
    raw = path.read_bytes()
    sheets = _workbook(path, raw) if is_workbook(raw) else [Sheet(None, _csv(path, raw))]
    found = False
    for sheet in sheets:
        header = next((n for n, row in enumerate(sheet.rows[:HEADER_WITHIN]) if _is_header(row)), None)
        if header is None:
            if any(_columns(row) > 1 for row in sheet.rows[:HEADER_WITHIN]):  # a header that something was written over
                raise _no_header(path, [sheet])
            continue
        found = True
        names = [str(name).strip() for name in sheet.rows[header]]
        _once(path, names)
        for number, row in enumerate(sheet.rows[header + 1 :], header + 2):
            cells = _cells(names, row)
            if cells and not (sheet.name is not None and _is_blank_form(cells)):
                yield Row(number, cells, sheet.name)
    if not found:
        raise _no_header(path, sheets)


def event(row: Row, party: str, units: frozenset[str], lang: Language = "en") -> bytes | Refusal:
    """The event of a row that `party` sends, a unit or else an office; a cell that cannot be used refuses the row.

    Only its form is made here: what a type needs and may have, ingest's checks say.
    """
    try:
        cells = {column: _plain(column, value) for column, value in row.cells.items()}
    except UnusableCellError as error:
        path = COLUMNS.get(error.column)
        reason = _REASONS.get(error.column, Reason.BAD_FIELD)
        words = message(reason, path, error.expected, ("value", error.seen), lang)
        return Refusal(None, _source(party, units), None, reason, path, words)
    data: dict[str, Any] = {name: cells[name] for name in DATA if name in cells}
    if "evidence" in data:
        data["evidence"] = data["evidence"].split(";")
    if (text := data.get("characters", "")).isascii() and text.isdigit() and len(text) < 16:
        data["characters"] = int(text)
    target = {key: cells[f"target_{key}"] for key in ("source", "id") if f"target_{key}" in cells}
    if target:
        data["appeal" if cells.get("type", "").startswith("appeal.decided.") else "target"] = target
    content = {name: cells[column] for name, column in _CONTENT.items() if column in cells} | {"data": data}
    made = {"specversion": "1.0", "id": cells.get("id") or identifier(content), "source": _source(party, units)}
    return msgspec.json.encode(made | content)


_CONTENT = {"type": "type", "subject": "unit", "time": "time"}
_REASONS = {"type": Reason.NOT_CLOUDEVENT, "id": Reason.NOT_CLOUDEVENT, "": Reason.UNKNOWN_FIELD}


def identifier(content: dict[str, Any]) -> str:
    """The id of an event that was given none: 32 hex digits of the SHA-256 of its type, subject, time and data.

    Never of its place: a row that was moved stays the same event.
    """
    return hashlib.sha256(canonical(content)).hexdigest()[:32]


def _source(party: str, units: frozenset[str]) -> str:
    return (subjects.UNITS if party in units else subjects.OFFICES) + party


# Rows ---------------------------------------------------------------------------------------------------------------


def _columns(row: Sequence[Any]) -> int:
    """How many cells are names of columns."""
    return sum(str(cell).strip() in COLUMNS for cell in row)


def _is_header(row: Sequence[Any]) -> bool:
    filled = [str(cell).strip() for cell in row if cell != ""]
    return bool(filled) and all(name in COLUMNS for name in filled)


def _once(path: Path, names: Sequence[str]) -> None:
    again = next((name for n, name in enumerate(names) if name and name in names[:n]), None)
    if again:
        raise Stop(Exit.USE, f"{path}: the column {again} is there twice", f"{path}：列{again}重复")


def _cells(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """The filled cells of a row by column; one without a column belongs to nothing and is kept, to be refused."""
    names = [*names, *[""] * (len(row) - len(names))]
    return {name or "": cell for name, cell in zip(names, row, strict=False) if cell != "" and cell is not None}


def _is_blank_form(cells: dict[str, Any]) -> bool:
    """A line of a form that says what kind of line it is, and no fact yet."""
    return set(cells) <= {"type", "unit"} and cells.get("unit", subjects.ASSESSMENT) == subjects.ASSESSMENT


def _no_header(path: Path, sheets: Sequence[Sheet]) -> Stop:
    """Names what stands where a header should, and what it may be."""
    shown = [row for sheet in sheets if not sheet.hidden for row in sheet.rows[:HEADER_WITHIN]]
    nearest = max((row for row in shown if any(cell != "" for cell in row)), key=_columns, default=[])
    strange = [shortened(str(cell)) for cell in nearest if str(cell).strip() not in {"", *COLUMNS}]
    found, names = ", ".join(strange) or "nothing", ", ".join(COLUMNS)
    where = f"{path} [{sheets[0].name}]" if len(sheets) == 1 and sheets[0].name else str(path)
    return Stop(
        Exit.USE,
        f"{where}: no header among its first {HEADER_WITHIN} rows; columns are {names}; found {found}",
        f"{where}：前{HEADER_WITHIN}行中没有表头；可用的列：{names}；发现：{found}",
    )


def _csv(path: Path, raw: bytes) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(_decoded(path, raw), newline=""), strict=True))
    except csv.Error as error:
        raise Stop(Exit.FAILED, f"{path}: not a CSV file: {error}", f"{path}：不是CSV文件：{error}") from None


def _decoded(path: Path, raw: bytes) -> str:
    """A text in UTF-8, or what Chinese editions of Excel save, GB18030; a damaged UTF-8 file is neither.

    GB18030 gives nearly all bytes some meaning, so a file that is for the most part UTF-8 must be it whole.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start + 1
    seen = raw.decode("utf-8", "replace")
    valid = sum(ord(character) > 127 for character in seen) - seen.count("�")
    try:
        if valid <= seen.count("�"):
            return raw.decode("gb18030")
    except UnicodeDecodeError:
        pass
    raise Stop(
        Exit.FAILED,
        f"{path}: neither UTF-8 (byte {place} is wrong) nor GB18030; save it again as CSV UTF-8",
        f"{path}：既非UTF-8（第{place}字节有误）也非GB18030；请另存为“CSV UTF-8”",
    ) from None


def _workbook(path: Path, raw: bytes) -> list[Sheet]:
    """Every sheet of a workbook; what is none, is protected or would fill the memory ends the command."""
    try:
        if raw.startswith(_ZIP):
            with zipfile.ZipFile(io.BytesIO(raw)) as packed:
                _check_size(path, sum(part.file_size for part in packed.infolist()))
        with CalamineWorkbook.from_filelike(io.BytesIO(raw)) as book:
            return [
                Sheet(
                    one.name,
                    book.get_sheet_by_name(one.name).to_python(skip_empty_area=False),
                    "Visible" not in str(one.visible).split(".")[-1:],
                )
                for one in book.sheets_metadata
                if "WorkSheet" in str(one.typ)
            ]
    except (KeyboardInterrupt, SystemExit, Stop):
        raise
    except PasswordError:
        raise _unreadable(path, "it is protected by a password / 有密码保护") from None
    except BaseException as error:  # noqa: BLE001 - the reader's panics are no Exceptions; a broken file is not ours
        raise _unreadable(path, str(error).splitlines()[0][:200] if str(error) else type(error).__name__) from None


def _check_size(path: Path, size: int) -> None:
    if size > UNPACKED_MAX:
        raise _unreadable(path, f"{size} bytes when unpacked, at most {UNPACKED_MAX}")


def _unreadable(path: Path, reason: str) -> Stop:
    return Stop(Exit.FAILED, f"{path}: cannot be read as a workbook: {reason}", f"{path}：无法作为工作簿读取：{reason}")


# Cells --------------------------------------------------------------------------------------------------------------


def _plain(column: str, value: Any) -> str:
    """A cell as the contract has it, a text; raises UnusableCellError."""
    if not column:
        raise UnusableCellError(column, ("only", ", ".join(COLUMNS)), f"{shortened(str(value))} under no column")
    if isinstance(value, str):
        return _typed(value) if column == "time" else value
    if isinstance(value, date):
        if column != "time":
            expected = ("value", "text; format the cell as text and type it again")
            raise UnusableCellError(column, expected, f"the date {value}")
        return _time(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        form: tuple[Any, ...] = ("time",) if column == "time" else ("text", 200)
        raise UnusableCellError(column, form, f"{type(value).__name__} {value}")
    if abs(value) >= EXACT_BELOW:
        expected = ("value", "text where a number has more than 15 digits")
        raise UnusableCellError(column, expected, f"{Decimal(value):f}")
    return decimal(value)


def decimal(value: float) -> str:
    """A number as it is shown: the shortest decimal that reads back as the same number, without exponent."""
    text = f"{Decimal(repr(value)):f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _typed(text: str) -> str:
    """A time typed as spreadsheets show it as RFC 3339; any other text, and a day that never was, stays as it is."""
    if shown := _SHOWN.fullmatch(text.strip()):
        year, month, day, hour, minute, second = (int(shown[n] or 0) for n in (1, 3, 4, 5, 6, 7))
        with suppress(ValueError):
            return _time(datetime(year, month, day, hour, minute, second))  # noqa: DTZ001 - _time puts the zone on
    return text


def _time(value: date) -> str:
    """A date cell as RFC 3339, to the second, which is as exact as days counted in a float are shown."""
    if not isinstance(value, datetime):
        return f"{value.isoformat()}T00:00:00{OFFSET}"
    whole = (value + timedelta(microseconds=500_000)).replace(microsecond=0)
    return whole.isoformat() + OFFSET
