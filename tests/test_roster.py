"""Rosters: cells are trimmed, files are read as they come, and every fault is named with its line and column."""

from __future__ import annotations

from pathlib import Path

import pytest
import xlsxwriter

from schemas import roster, soundness
from schemas.faults import RosterError
from schemas.roster import Unit
from schemas.rulebook import SHIPPED, Rulebook, plain

BOOK = soundness.load(Path(__file__).parent / "rulebook_faults" / "sound.toml")
FREE = soundness.load(SHIPPED / "rulebook.toml")  # declares no groups
HEAD = "unit,name,category,group\n"


def read(folder: Path, text: str | bytes, book: Rulebook = BOOK) -> tuple[Unit, ...]:
    path = folder / "roster.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return roster.load(path, book)


@pytest.mark.parametrize(
    "text",
    [
        "unit,name,category,group,staff\nU1,甲,A,a1,25\nU2,乙,B,b1,\n",
        "单位,名称,类别,分组,人数\r\nU1,甲,A,a1,25\r\nU2,乙,B,b1,\r\n",
        "staff,group,category,name,unit\n25,a1,A,甲,U1\n,b1,B,乙,U2\n",
        " unit , name,category ,group, staff \n U1 ,\u3000甲 ,A ,a1 , 25 \n\n U2,乙,B,b1\n,,,,\n",
        "﻿2026年单位名单\n单位,名称,类别,分组,人数\nU1,甲,A,a1,25\nU2,乙,B,b1,\n",
    ],
    ids=["plain", "Chinese headers", "another order", "spaces and empty lines", "a title and a byte order mark"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_roster_is_the_same_however_it_is_written(tmp_path: Path, text: str, encoding: str) -> None:
    if encoding == "gb18030":
        text = text.removeprefix("﻿")
    found = read(tmp_path, text.encode(encoding))
    assert found == (Unit("U1", "甲", "A", "a1", {"staff": "25"}), Unit("U2", "乙", "B", "b1", {}))


def test_a_workbook_is_read_from_its_first_sheet_with_numbers_as_they_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "roster.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("空")
        sheet = book.add_worksheet("名单")
        for n, row in enumerate(
            [["单位", "名称", "类别", "分组", "人数"], [1001, "甲", "A", "a1", 25], ["U2", 7, "A", "a2", 12.5]]
        ):
            sheet.write_row(n, 0, row)
    found = roster.load(path, BOOK)
    assert found == (Unit("1001", "甲", "A", "a1", {"staff": "25"}), Unit("U2", "7", "A", "a2", {"staff": "12.5"}))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (HEAD, ["line 1: is empty; expected a list of units"]),
        ("", ["has no header among its first rows"]),
        ("U1,甲,A,a1\n", ["has no header among its first rows; found U1, 甲, A, a1"]),
        ("unit,name,category\n", ['line 1: the column "group" is missing']),
        ("unit,name,category,group,stuff\n", ['line 1: the column "stuff" is nothing; columns: unit, name']),
        ("unit,单位,name,category,group\n", ['line 1: the column "单位" is there twice']),
        (HEAD + "U1,甲,A,a1,x\n", ['line 2: found "x" under no column']),
        (HEAD + "U1,甲,A,a1\nU1,乙,A,a1\n", ['line 3, U1, unit: "U1" is there twice']),
        (HEAD + "U 1,甲,A,a1\n", ['line 2, U 1, unit: found "U 1"; allowed: a code of 1 to 64']),
        (HEAD + "U.1,甲,A,a1\n", ["line 2, U.1, unit: found"]),
        (HEAD + "assessment,甲,A,a1\n", ["line 2, assessment, unit:"]),
        (HEAD + "lead,甲,A,a1\n", ['line 2, lead, unit: "lead" is an office\'s code']),
        (HEAD + "U1,,A,a1\n", ['line 2, U1, name: found ""; allowed: 1 to 200 characters']),
        (HEAD + f"U1,{'甲' * 201},A,a1\n", ["line 2, U1, name: found"]),
        (HEAD + "U1,甲,a,a1\n", ['line 2, U1, category: "a" is no category; declared: A, B; did you mean "A"?',
                                 'line 2, U1, group: "a1" is no group of category a']),
        (HEAD + "U1,甲,A,a3\n", ['line 2, U1, group: "a3" is no group of category A; declared: a1, a2, b1']),
        (HEAD + "U1,甲,B,a1\n", ['line 2, U1, group: "a1" is no group of category B; declared: b1']),
        (HEAD + "U1,甲,A,\n", ['line 2, U1, group: found ""']),
        ("unit,name,category,group,staff\nU1,甲,A,a1,many\n", ['line 2, U1, staff: found "many"; allowed: a number']),
        ("unit,name,category,group,staff\nU1,甲,A,a1,501\n", ['line 2, U1, staff: found "501"; allowed: 1 to 500']),
        (HEAD + 'U1,"甲\n乙",A,a1\nU2,丙,C,a1\n', ["line 4, U2, category:", "line 4, U2, group:"]),
        (HEAD + 'U1,"甲,A,a1\n', ["is not CSV from line 2 on"]),
        (b"unit,name,category,group\nU1,\xff\xff,A,a1\n", ["byte 29 is neither UTF-8 nor GB18030"]),
        (b"PK\x03\x04 no workbook", ["cannot be read as a workbook"]),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, str | bytes) else "",
)  # fmt: skip
def test_every_fault_of_a_roster_is_named(tmp_path: Path, text: str | bytes, faults: list[str]) -> None:
    with pytest.raises(RosterError) as error:
        read(tmp_path, text)
    lines = error.value.say("en").replace(f"{tmp_path}/", "").splitlines()
    assert [
        line.removeprefix("roster.csv").lstrip(",: ")[: len(fault)] for line, fault in zip(lines, faults, strict=True)
    ] == faults
    assert len(error.value.say("zh").splitlines()) == len(lines)


def test_where_no_group_is_declared_any_text_is_one_and_none_may_be(tmp_path: Path) -> None:
    found = read(tmp_path, HEAD + "U1,甲,A,第一组\nU2,乙,B,\n", FREE)
    assert [unit.group for unit in found] == ["第一组", ""]


def test_a_missing_attribute_without_default_must_be_in_the_roster(tmp_path: Path) -> None:
    raw = plain(BOOK) | {"attribute": [{"code": "staff", "name": "人数"}, BOOK.attribute[1]]}
    raw["attribute"][1] = plain(BOOK)["attribute"][1]
    book = soundness.read(raw)
    with pytest.raises(RosterError, match='the column "staff" is missing'):
        read(tmp_path, HEAD + "U1,甲,A,a1\n", book)
    with pytest.raises(RosterError, match='U1, staff: "staff" is missing; it has no default'):
        read(tmp_path, "unit,name,category,group,staff\nU1,甲,A,a1,\n", book)


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        (None, [(None, None, False)]),
        ([], [(None, None, False)]),
        (["x"], [(0, None, False)]),
        ([{}], [(0, "unit", False), (0, "name", False), (0, "category", False), (0, "group", False)]),
        ([{"unit": 1, "name": "甲", "category": "A", "group": "a1"}], [(0, "unit", False)]),
        ([{"unit": "U1", "name": "甲", "category": "A", "group": "a1", "size": "1"}], [(0, "size", True)]),
        ([{"unit": "U1", "name": "甲", "category": "A", "group": "a1", "attributes": []}], [(0, "attributes", False)]),
        ([{"unit": "U1", "name": "甲", "category": "A", "group": "a1", "attributes": {"staff": 5, "size": "1"}}],
         [(0, "attributes.staff", False), (0, "attributes.size", True)]),
    ],
    ids=repr,
)  # fmt: skip
def test_a_roster_in_an_opening_is_refused_by_row_and_key(rows: object, faults: list[tuple[int, str, bool]]) -> None:
    assert [fault[:3] for fault in roster.faults(rows, BOOK)] == faults


def test_nothing_in_an_opening_is_trimmed_for_its_bytes_are_what_others_read() -> None:
    rows = [{"unit": "U1 ", "name": " 甲", "category": "A ", "group": "a1", "attributes": {"staff": " 5 "}}]
    assert [fault.key for fault in roster.faults(rows, BOOK)][:2] == ["unit", "category"]
    rows = [{"unit": "U1", "name": " 甲", "category": "A", "group": "a1", "attributes": {"staff": "5.0"}}]
    assert roster.read(rows) == (Unit("U1", " 甲", "A", "a1", {"staff": "5.0"}),)
