"""What a cell shows is what is read, or its row is refused with the cell's address."""

# ruff: noqa: DTZ001 - cells of workbooks know no zone

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from schemas.refusals import Refusal
from schemas.year import given
from services.office import sheet
from services.process.ending import Stop

YEAR = given(None, None, None)
NAMES, UNITS = sheet.Names(YEAR), frozenset(unit.unit for unit in YEAR.roster)
HEADER = ["type", "unit", "item", "matter", "ground", "points", "reason", "time"]
ROW = ["deduction.recorded.v1", "U001", "1.2", "m", "accident", "1", "r", "2013-05-06T09:30:00+08:00"]


def book(path: Path, rows: list[list[Any]], change: Callable[[Worksheet], None] = lambda _: None) -> Path:
    made = openpyxl.Workbook()
    page = made.active
    assert isinstance(page, Worksheet)
    for row in rows:
        page.append(row)
    change(page)
    made.save(path)
    return path


def read(path: Path, encoding: str | None = None) -> list[dict[str, Any] | Refusal]:
    found = (sheet.event(row, "ducha", NAMES, UNITS) for row in sheet.rows(path, encoding))
    return [one if isinstance(one, Refusal) else json.loads(one) for one in found]


def cell(tmp_path: Path, column: str, value: Any, form: str | None = None) -> Any:
    """What the event of a row has where one cell of it is another, or its refusal."""

    def change(page: Worksheet) -> None:
        one = page.cell(2, HEADER.index(column) + 1, value)
        if form:
            one.number_format = form

    (found,) = read(book(tmp_path / "b.xlsx", [HEADER, ROW], change))
    if isinstance(found, Refusal):
        return found
    place = {"type": "type", "unit": "subject", "time": "time"}.get(column)
    return found[place] if place else found["data"][column]


@pytest.mark.parametrize(
    ("column", "value", "form", "expected"),
    [
        ("points", 0.5, None, "0.5"),
        ("points", 0.5, "0.00", "0.5"),
        ("points", 3, "0", "3"),
        ("points", "０．５", None, "0.5"),
        ("unit", " U001 ", None, "U001"),
        ("unit", "Ｕ００１", None, "U001"),
        ("unit", YEAR.roster[0].name, None, "U001"),
        ("unit", f"U001 {YEAR.roster[0].name}", None, "U001"),
        ("item", "重要决定事项落实", None, "1.2"),
        ("item", "1.2 重要决定事项落实", None, "1.2"),
        ("item", 1.2, None, "1.2"),
        ("ground", "落实事故责任认定", None, "accident"),
        ("type", "扣分", None, "deduction.recorded.v1"),
        ("matter", " 批示 2013-017 ", None, "批示 2013-017"),
        ("matter", 7, "000", "007"),
        ("time", datetime(2013, 5, 6, 9, 29, 59, 999_999), None, "2013-05-06T09:30:00+08:00"),
        ("time", date(2013, 5, 6), None, "2013-05-06T00:00:00+08:00"),
        ("time", "2013-05-06T01:30:00Z", None, "2013-05-06T01:30:00Z"),
        ("time", "2013/5/6 9:30:05", None, "2013-05-06T09:30:05+08:00"),
        ("time", "2013年5月6日", None, "2013-05-06T00:00:00+08:00"),
        ("time", "2013年5月6日9时30分", None, "2013-05-06T09:30:00+08:00"),
        ("time", "2013.5.6", None, "2013-05-06T00:00:00+08:00"),
        ("time", "2013-02-30", None, "2013-02-30"),
    ],
)
def test_a_cell_is_read_as_it_shows(tmp_path: Path, column: str, value: Any, form: str | None, expected: str) -> None:
    assert cell(tmp_path, column, value, form) == expected


@pytest.mark.parametrize(
    ("column", "value", "form", "says"),
    [
        ("points", 0.95, "0%", "percentage showing 95%"),
        ("points", 1.256, "0.00", "shows 1.26, holds 1.256"),
        ("points", 12345.0, "0.00E+00", "in the format 0.00E+00"),
        ("points", "=1+1", None, "formula =1+1, never computed"),
        ("points", "#N/A", None, "the error #N/A"),
        ("points", True, None, "bool True"),
        ("matter", 123456789012345678, None, "more than 15 digits"),
        ("matter", date(2013, 5, 1), None, "the date 2013-05-01"),
        ("matter", "批示\u200b1", None, "U+200B ZERO WIDTH SPACE"),
        ("unit", "U001\u202e", None, "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("matter", "2.01301E+11", None, "before the program shortened it"),
    ],
)
def test_a_cell_that_shows_something_else_refuses_its_row_by_address(
    tmp_path: Path, column: str, value: Any, form: str | None, says: str
) -> None:
    found = cell(tmp_path, column, value, form)
    assert isinstance(found, Refusal), found
    assert says in found.message
    assert f"[{'ABCDEFGH'[HEADER.index(column)]}2]" in found.message


def test_merged_cells_refuse_the_rows_that_they_hide(tmp_path: Path) -> None:
    found = read(book(tmp_path / "b.xlsx", [HEADER, ROW, ROW], lambda page: page.merge_cells("D2:D3")))
    assert isinstance(found[0], Refusal)
    assert "merged cells D2:D3" in found[0].message


def test_a_stray_cell_at_the_far_end_is_a_row_of_its_own_and_harms_nobody(tmp_path: Path) -> None:
    found = read(book(tmp_path / "b.xlsx", [HEADER, ROW], lambda page: page.cell(1048576, 16384, "x")))
    assert isinstance(found[0], dict)
    assert isinstance(found[1], Refusal)
    assert "XFD1048576" in found[1].message


def test_a_header_is_read_in_either_language_and_any_case_and_the_last_of_two_stands(tmp_path: Path) -> None:
    chinese = ["事件类型", "单位名称", "考核项目", "事项", "扣分情形", "分值", "事由", "发生时间"]
    for header in ([chinese], [[name.upper() for name in HEADER]], [chinese, HEADER], [["扣分表"], chinese]):
        (found,) = read(book(tmp_path / "b.xlsx", [*header, ROW]))
        assert isinstance(found, dict), found
        assert found["data"]["ground"] == "accident"


def test_an_extra_column_is_left_alone_and_named_and_hidden_sheets_are_told(tmp_path: Path) -> None:
    path = book(tmp_path / "b.xlsx", [[*HEADER, "备注", "#outcome"], [*ROW, "请核对", "accepted"]])
    made = openpyxl.load_workbook(path)
    page = made.create_sheet("old")
    page.append(HEADER)
    page.append(ROW)
    page.sheet_state = "hidden"
    made.save(path)
    left: list[sheet.Unread] = []
    assert len(list(sheet.rows(path, left=left))) == 2
    assert left == [sheet.Unread("Sheet", "备注"), sheet.Unread("old", None)]


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_csv_is_read_with_its_delimiter_and_encoding(tmp_path: Path, delimiter: str, encoding: str) -> None:
    path = tmp_path / "rows.csv"
    row = [*ROW[:6], "逾期未反馈", ROW[7]]
    path.write_bytes("\r\n".join(delimiter.join(line) for line in (HEADER, row)).encode(encoding))
    (found,) = read(path)
    assert isinstance(found, dict)
    assert found["data"]["reason"] == "逾期未反馈"


def test_a_csv_that_reads_in_two_encodings_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    row = [*ROW[:6], "模", ROW[7]]  # in GB18030 two bytes that are one letter of UTF-8
    path.write_bytes("\n".join(",".join(line) for line in (HEADER, row)).encode("gb18030"))
    raw = path.read_bytes()
    try:
        raw.decode()
    except UnicodeDecodeError:
        pytest.fail("the example must be valid UTF-8 too")
    with pytest.raises(Stop, match="say --encoding"):
        read(path)
    (found,) = read(path, "gb18030")
    assert isinstance(found, dict)
    assert found["data"]["reason"] == "模"
