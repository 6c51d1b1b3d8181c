"""Spreadsheets in and out: what a row says, the offices' workbooks, the publication tables."""

# ruff: noqa: DTZ001 - cells of workbooks know no zone

import io
import json
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter

from schemas.events import Event
from schemas.refusals import Refusal
from services import cli
from services.ingest.check import Checker
from services.office import sheet, template
from services.office.sheet import Row
from services.outcome import Stop
from services.year import given
from tests import test_emit
from tests.broker import ASSESSMENT
from tests.test_emit import Office

site, office = test_emit.site, test_emit.office
YEAR = given(ASSESSMENT, None, None)
CHECKER = Checker(YEAR.rulebook, YEAR.roster)
WORKBOOKS = Path(__file__).parent / "workbooks"
ROW: dict[str, Any] = {
    "type": "deduction.recorded.v1", "unit": "U001", "item": "1.2", "matter": "m", "ground": "accident",
    "points": "1", "reason": "r", "time": "2013-05-06T09:30:00+08:00",
}  # fmt: skip


def made(**cells: Any) -> dict[str, Any] | Refusal:
    """The event of a row, or why it is none."""
    raw = sheet.event(Row(2, {**ROW, **cells}), "ducha", frozenset({"U001"}))
    return raw if isinstance(raw, Refusal) else json.loads(raw)


def workbook(path: Path, rows: list[list[Any]], name: str = "s") -> Path:
    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        one = book.add_worksheet(name)
        for n, row in enumerate(rows):
            one.write_row(n, 0, row)
    return path


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (0.5, "0.5"), (3.0, "3"), (1e-06, "0.000001"), (86.4, "86.4"), (0.0, "0"), (-0.0, "-0"), (100.0, "100"),
        (2013017.0, "2013017"), (1e14, "100000000000000"), (12, "12"), (-1.5, "-1.5"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)  # fmt: skip
def test_a_number_becomes_the_plain_decimal_that_is_shown(found: float, expected: str) -> None:
    assert sheet.decimal(found) == expected


def test_a_number_of_more_than_six_decimals_is_refused_by_the_checks_and_not_rounded() -> None:
    event = made(points=0.1 + 0.2)
    assert isinstance(event, dict)
    found = CHECKER.check(json.dumps(event).encode())
    assert isinstance(found, Refusal)
    assert (found.reason, found.path) == ("bad_field", "data.points")


def test_a_date_cell_is_beijing_time_to_the_second() -> None:
    for cell, expected in (
        (datetime(2013, 5, 6, 9, 30), "2013-05-06T09:30:00+08:00"),
        (datetime(2013, 5, 6, 9, 29, 59, 999_999), "2013-05-06T09:30:00+08:00"),
        (date(2013, 5, 6), "2013-05-06T00:00:00+08:00"),
        ("2013-05-06T01:30:00Z", "2013-05-06T01:30:00Z"),
    ):
        event = made(time=cell)
        assert isinstance(event, dict)
        assert event["time"] == expected


@pytest.mark.parametrize(
    ("column", "cell", "reason", "path"),
    [
        ("matter", date(2013, 5, 1), "bad_field", "data.matter"),
        ("unit", True, "bad_field", "subject"),
        ("time", time(9, 30), "bad_field", "time"),
        ("matter", 123456789012345678.0, "bad_field", "data.matter"),
        ("type", 1e15, "not_cloudevent", "type"),
        ("target_id", date(2013, 5, 1), "bad_field", "data.target.id"),
        ("", "beside the table", "unknown_field", None),
    ],
)
def test_a_cell_that_no_column_takes_refuses_its_row_by_name_and_path(
    column: str, cell: Any, reason: str, path: str | None
) -> None:
    found = made(**{column: cell})
    assert isinstance(found, Refusal)
    assert (found.reason, found.path) == (reason, path)
    assert "expected" in found.message


def test_what_a_row_lacks_is_a_refusal_of_the_row_with_its_path() -> None:
    for column, reason, path in (
        ("type", "not_cloudevent", "type"), ("unit", "bad_field", "subject"), ("time", "bad_field", "time"),
        ("item", "bad_field", "data.item"), ("points", "bad_field", "data.points"),
        ("reason", "bad_field", "data.reason"),
    ):  # fmt: skip
        cells = {name: cell for name, cell in ROW.items() if name != column}
        raw = sheet.event(Row(2, cells), "ducha", frozenset())
        assert isinstance(raw, bytes)
        found = CHECKER.check(raw)
        assert isinstance(found, Refusal)
        assert (found.reason, found.path) == (reason, path)


def test_every_type_that_has_columns_is_an_event_that_passes() -> None:
    target = {"target_source": "/offices/ducha", "target_id": "d1"}
    appeal = {"target_source": "/units/U001", "target_id": "a1"}
    for party, cells in (
        ("ducha", ROW),
        ("ducha", {**ROW, "id": "own-id", "evidence": "a;b", "points": 0.5, "item": 1.2}),
        ("kaoji", {"type": "submission.recorded.v1", "item": "Y.1", "characters": "4200"}),
        ("kaoji", {"type": "submission.recorded.v1", "item": "Y.1", "characters": 4200.0}),
        ("gongwei", {"type": "rating.recorded.v1", "item": 2.2, "value": 88, "rater": "r", "group": "clients"}),
        ("ducha", {"type": "item.exempted.v1", "item": 1.1, "reason": "r"}),
        ("ducha", {"type": "item.closed.v1", "item": 1.1, "unit": "assessment"}),
        ("ducha", {"type": "event.revoked.v1", "reason": "r", **target}),
        ("U001", {"type": "appeal.filed.v1", "statement": "s", **target}),
        ("gongwei", {"type": "appeal.decided.v1", "outcome": "revised", "points": 0.5, "reason": "r", **appeal}),
    ):
        raw = sheet.event(Row(2, {"unit": "U001", "time": date(2013, 5, 6), **cells}), party, frozenset({"U001"}))
        assert isinstance(raw, bytes)
        found = CHECKER.check(raw)
        assert isinstance(found, Event), found
        assert found.source == ("/units/U001" if party == "U001" else f"/offices/{party}")


def test_a_row_is_known_by_its_content_wherever_it_stands_and_whatever_the_file_is_called(tmp_path: Path) -> None:
    rows = [list(ROW), list(ROW.values()), [*list(ROW.values())[:1], "U002", *list(ROW.values())[2:]]]
    one = list(sheet.rows(workbook(tmp_path / "a.xlsx", rows)))
    other = list(sheet.rows(workbook(tmp_path / "b.dat", [["标题"], [], rows[0], rows[2], rows[1]], "其他")))
    ids = [[json.loads(sheet.event(row, "ducha", frozenset()))["id"] for row in each] for each in (one, other)]
    assert ids[0] == ids[1][::-1]
    assert [row.number for row in one] == [2, 3]
    assert [row.number for row in other] == [4, 5]


def test_xls_et_and_ods_are_read_by_their_bytes_and_hold_the_same_events(tmp_path: Path) -> None:
    held = []
    for kept, name in (("deductions.xls", "a.et"), ("deductions.xls", "a.xlsx"), ("deductions.ods", "a.csv")):
        path = tmp_path / name
        path.write_bytes((WORKBOOKS / kept).read_bytes())
        held.append([sheet.event(row, "ducha", frozenset()) for row in sheet.rows(path)])
    assert held[0] == held[1] == held[2]
    assert [json.loads(raw)["data"].get("points") for raw in held[0]] == [None, "0.5"]
    assert [json.loads(raw)["time"] for raw in held[0]] == ["2013-05-06T09:30:00+08:00", "2013-05-07T00:00:00+08:00"]
    assert all(isinstance(CHECKER.check(raw), Event) for raw in held[0])


def test_a_damaged_utf8_file_is_not_taken_for_gb18030(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = ",".join(ROW) + "\n" + ",".join({**ROW, "reason": "逾期未反馈，" * 20}.values()) + "\n"
    for raw, fine in (
        (text.encode(), True), (b"\xef\xbb\xbf" + text.encode(), True), (text.encode("gb18030"), True),
        (text.encode().replace("逾".encode(), "逾".encode()[:2], 1), False),
    ):  # fmt: skip
        path.write_bytes(raw)
        if fine:
            assert next(sheet.rows(path)).cells["reason"] == "逾期未反馈，" * 20
        else:
            with pytest.raises(Stop, match="neither UTF-8"):
                list(sheet.rows(path))


def test_a_workbook_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", bytes(sheet.UNPACKED_MAX + 1))
    with pytest.raises(Stop, match="when unpacked"):
        list(sheet.rows(path))


def test_broken_workbooks_end_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    whole = workbook(tmp_path / "whole.xlsx", [list(ROW), list(ROW.values())]).read_bytes()
    old = (WORKBOOKS / "deductions.xls").read_bytes()
    for raw in (whole[:400], whole[:-30], old[:600], old[:512] + bytes(2000), b"PK\x03\x04"):
        path.write_bytes(raw)
        with pytest.raises(Stop) as stop:
            list(sheet.rows(path))
        assert stop.value.code in (2, 3)


# Through the broker -------------------------------------------------------------------------------------------------


def test_a_workbook_of_5000_rows_comes_back_from_the_ledger_as_it_was_written(office: Office) -> None:
    rows: list[list[Any]] = [["type", "unit", "item", "group", "value", "rater", "time"]]
    day, kind = datetime(2013, 12, 2), "rating.recorded.v1"
    rows += [
        [kind, f"U{n % 105 + 1:03}", 2.2, "clients", n % 2001 / 20, f"服务对象{n}", day] for n in range(5000)
    ]
    content = workbook(office.folder / "made.xlsx", rows).read_bytes()
    with test_emit.services(office.site, settles=False):
        code, lines = office.emit("ratings.xlsx", content, "--office", "gongwei")
        stored = [json.loads(raw) for raw in office.ledger()[-5000:]]
    assert code == 0
    assert {line["outcome"] for line in lines} == {"accepted"}
    assert [line["row"] for line in lines] == list(range(2, 5002))
    assert [one["id"] for one in stored] == [line["id"] for line in lines]
    back = [
        [one["type"], one["subject"], float(one["data"]["item"]), one["data"]["group"], float(one["data"]["value"]),
         one["data"]["rater"], datetime.fromisoformat(one["time"]).replace(tzinfo=None)]
        for one in stored
    ]  # fmt: skip
    assert back == rows[1:]


@pytest.mark.parametrize("code", [one.code for one in YEAR.rulebook.office])
def test_an_untouched_template_sends_nothing(code: str, tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    for lang in ("zh", "en"):
        assert cli.run(["template", code, str(path), "--lang", lang]) == 0
        assert list(sheet.rows(path)) == []


def test_a_template_that_is_filled_in_sends_what_was_filled_in(office: Office) -> None:
    path = office.folder / "gongwei.xlsx"
    assert cli.run(["template", "gongwei", str(path), "--lang", "zh"]) == 0
    book = openpyxl.load_workbook(path)
    day = datetime(2013, 5, 6, 9, 30)
    for name, cells in (
        ("扣分", {"unit": "U001", "item": "1.4", "matter": "方案", "ground": "late_or_unmet", "points": "0.5",
                "node": "plan", "reason": "未按时限", "time": day}),
        ("评分", {"unit": "U002", "item": "2.2", "value": 88.5, "rater": "分管领导", "group": "leader", "time": day}),
        ("评分", {"unit": "U002", "item": "2.2", "value": 101, "rater": "分管领导", "group": "leader", "time": day}),
        ("不适用", {"unit": "U003", "item": "2.1", "reason": "无窗口", "time": day}),
        ("办结", {"item": "1.4", "time": day}),
    ):  # fmt: skip
        one = book[name]
        columns = {cell.value: cell.column for cell in one[template.ABOVE + 1]}
        line = next(n for n in range(4, 100) if one.cell(n, columns["item"]).value is None)
        for column, cell in cells.items():
            one.cell(line, columns[column]).value = cell
    filled = io.BytesIO()
    book.save(filled)
    with test_emit.services(office.site, settles=False):
        assert [line["outcome"] for line in office.emit("f.xlsx", filled.getvalue(), "--office", "gongwei")[1]] == [
            "accepted", "accepted", "refused", "accepted", "accepted",
        ]  # fmt: skip
        code, lines = office.emit("f.xlsx", filled.getvalue(), "--office", "gongwei", "--dry-run")
    assert code == 1
    assert [(line["sheet"], line["row"]) for line in lines if "row" in line] == [
        ("扣分", 4), ("评分", 4), ("评分", 5), ("不适用", 4), ("办结", 4),
    ]  # fmt: skip
    assert [line["path"] for line in lines if line.get("outcome") == "refused"] == ["data.value"]


def test_a_template_offers_the_offices_own_codes_and_cites_their_clauses(tmp_path: Path) -> None:
    path = tmp_path / "ducha.xlsx"
    assert cli.run(["template", "ducha", str(path), "--lang", "zh"]) == 0
    book = openpyxl.load_workbook(path)
    form = book["扣分"]
    header = {cell.value: cell.column for cell in form[3]}
    rules = {str(rule.sqref).split(":")[0]: rule for rule in form.data_validations.dataValidation}
    offered = {}
    for column, number in header.items():
        rule = rules[form.cell(4, number).coordinate]
        if rule.type == "list":
            name, _, cells = rule.formula1.partition("!")
            found = book[name.strip("'")][cells.replace("$", "")]
            offered[column] = [row[0].value for row in found] if isinstance(found, tuple) else [found.value]
    assert offered["item"] == ["1.1", "1.2"]
    assert offered["ground"] == ["no_feedback", "poorly_implemented", "not_rectified", "criticised", "accident"]
    assert offered["unit"] == [unit.unit for unit in YEAR.roster]
    assert form.freeze_panes == "C4"
    assert "没有按要求反馈批示办理落实情况的,每件扣1分" in form.cell(2, header["ground"]).comment.text
    assert "四(一)1(1)" in form.cell(2, header["item"]).comment.text
    assert "合成数据" in form.cell(1, 1).value
    assert book["lists"].sheet_state == "hidden"


def test_the_example_of_every_form_passes_the_checks() -> None:
    for one in YEAR.rulebook.office:
        for form, items in template.forms(YEAR.rulebook, one.code):
            cells = template.example(form, items, one.code)
            raw = sheet.event(Row(2, {**cells, "time": datetime(2013, 5, 6)}), one.code, frozenset())
            assert isinstance(raw, bytes)
            assert isinstance(CHECKER.check(raw), Event), (one.code, form.type, CHECKER.check(raw))
