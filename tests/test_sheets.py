"""Spreadsheets in and out: what a row says, the offices' workbooks, the publication tables."""

# ruff: noqa: DTZ001 - cells of workbooks know no zone

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from schemas import roster, soundness
from schemas.events import Event
from schemas.refusals import Refusal
from schemas.rulebook import PARAMETERS, RULEBOOKS
from schemas.year import Year, given
from services import cli
from services.command.tables import four
from services.ingest.check import Checker
from services.office import sheet, template
from services.office import workbook as books
from services.office.present import Present, present
from services.office.sheet import Row
from services.office.workbook import Cell
from services.process.ending import Stop
from services.reports import publication
from services.reports.publication import Publication
from services.scorer import file as files
from services.site import synthetic
from services.snapshot import make as snapshots
from services.snapshot import point
from tests import test_emit
from tests.broker import ASSESSMENT
from tests.product import year as years
from tests.test_appeals import THREE, Pages, written
from tests.test_emit import Office

site, office, grace = test_emit.site, test_emit.office, test_emit.grace
YEAR = given(ASSESSMENT, None, None)
CHECKER = Checker(YEAR.rulebook, YEAR.roster)
NAMES, UNITS = sheet.Names(YEAR), frozenset(unit.unit for unit in YEAR.roster)
WORKBOOKS = Path(__file__).parent / "workbooks"
ROW: dict[str, Any] = {
    "type": "deduction.recorded.v1", "unit": "U001", "item": "1.2", "matter": "m", "ground": "accident",
    "points": "1", "reason": "r", "time": "2013-05-06T09:30:00+08:00",
}  # fmt: skip


JOINED = {"change": "joined", "name": "新单位", "category": "B", "unit_group": "B1", "reason": "r"}


def told(cells: dict[str, Any], party: str = "ducha") -> bytes | Refusal:
    """What a row says whose cells hold these values."""
    held = {column: Cell(value, "A2") for column, cell in cells.items() if (value := books.as_value(cell)) is not None}
    return sheet.event(Row(2, held), party, NAMES, UNITS)


def made(**cells: Any) -> dict[str, Any] | Refusal:
    """The event of a row, or why it is none."""
    raw = told({**ROW, **cells})
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
    assert books.decimal(found) == expected


def test_a_number_of_more_than_six_decimals_is_refused_by_the_checks_and_not_rounded() -> None:
    event = made(points=0.1 + 0.2)
    assert isinstance(event, dict)
    found = CHECKER.check(json.dumps(event).encode())
    assert isinstance(found, Refusal)
    assert (found.reason, found.path) == ("bad_field", "data.points")


@pytest.mark.parametrize("text", ["2013-02-30", "2013-05/06", "5/6/2013", "2013-05-06T09:30:00", "2013-05-06 24:00"])
def test_a_text_that_is_no_time_stays_as_it_is_and_is_refused(text: str) -> None:
    event = made(time=text)
    assert isinstance(event, dict)
    assert event["time"] == text
    found = CHECKER.check(json.dumps(event).encode())
    assert isinstance(found, Refusal)
    assert (found.reason, found.path) == ("bad_field", "time")


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
        raw = told(cells)
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
        ("chuangjian", {"type": "unit.changed.v1", "unit": "U106", **JOINED}),
        ("chuangjian", {"type": "unit.changed.v1", "change": "left", "reason": "r"}),
        ("gongwei", {"type": "appeal.decided.v1", "outcome": "revised", "points": 0.5, "reason": "r", **appeal}),
    ):
        raw = told({"unit": "U001", "time": date(2013, 5, 6), **cells}, party)
        assert isinstance(raw, bytes)
        found = CHECKER.check(raw)
        assert isinstance(found, Event), found
        assert found.source == ("/units/U001" if party == "U001" else f"/offices/{party}")


def test_a_unit_joins_with_the_attributes_that_its_row_lists_and_without_any_with_none() -> None:
    for cell, expected in (
        ("", {}),
        ("staff = 12; windows=3", {"staff": "12", "windows": "3"}),
        ("staff", {"staff": ""}),
    ):
        raw = told({"type": "unit.changed.v1", "unit": "U106", **JOINED, "attributes": cell}, "chuangjian")
        assert isinstance(raw, bytes)
        assert json.loads(raw)["data"]["attributes"] == expected


def test_a_row_under_the_form_s_last_line_is_of_the_kind_that_its_sheet_is_named_after(tmp_path: Path) -> None:
    head = ["unit", "item", "matter", "ground", "points", "reason", "time"]
    rows = [head, [ROW[column] for column in head]]
    for name, kind in (("Deductions", "deduction.recorded.v1"), ("扣分", "deduction.recorded.v1"), ("s", None)):
        (found,) = sheet.rows(workbook(tmp_path / "b.xlsx", rows, name))
        raw = sheet.event(found, "ducha", NAMES, UNITS)
        assert isinstance(raw, bytes)
        assert json.loads(raw).get("type") == kind


def sent(row: sheet.Row) -> bytes:
    found = sheet.event(row, "ducha", NAMES, UNITS)
    assert isinstance(found, bytes)
    return found


def test_a_row_is_known_by_its_content_wherever_it_stands_and_whatever_the_file_is_called(tmp_path: Path) -> None:
    rows = [list(ROW), list(ROW.values()), [*list(ROW.values())[:1], "U002", *list(ROW.values())[2:]]]
    one = list(sheet.rows(workbook(tmp_path / "a.xlsx", rows)))
    other = list(sheet.rows(workbook(tmp_path / "b.dat", [["标题"], [], rows[0], rows[2], rows[1]], "其他")))
    ids = [[json.loads(sent(row))["id"] for row in each] for each in (one, other)]
    assert ids[0] == ids[1][::-1]
    assert [row.number for row in one] == [2, 3]
    assert [row.number for row in other] == [4, 5]


def test_xls_et_and_ods_are_read_by_their_bytes_and_hold_the_same_events(tmp_path: Path) -> None:
    held = []
    for kept, name in (("deductions.xls", "a.et"), ("deductions.xls", "a.xlsx"), ("deductions.ods", "a.csv")):
        path = tmp_path / name
        path.write_bytes((WORKBOOKS / kept).read_bytes())
        held.append([sent(row) for row in sheet.rows(path)])
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
            assert next(sheet.rows(path)).cells["reason"].value == "逾期未反馈，" * 20
        else:
            with pytest.raises(Stop, match="neither UTF-8"):
                list(sheet.rows(path))


def test_a_workbook_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "UNPACKED_MAX", 10_000)
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", bytes(books.UNPACKED_MAX + 1))
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


@pytest.mark.long
def test_a_workbook_of_5000_rows_comes_back_from_the_ledger_as_it_was_written(office: Office) -> None:
    rows: list[list[Any]] = [["type", "unit", "item", "group", "value", "rater", "time"]]
    day, kind = datetime(2013, 12, 2), "rating.recorded.v1"
    rows += [[kind, f"U{n % 105 + 1:03}", 2.2, "clients", n % 2001 / 20, f"服务对象{n}", day] for n in range(5000)]
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


def test_a_unit_joins_and_moves_by_a_row_where_the_rulebook_has_no_groups() -> None:
    """An empty cell is no text, and a group is asked for: where there are none it is the empty one."""
    book = soundness.load(RULEBOOKS / "new" / "rulebook.toml")
    own = Year("own", book, roster.load(RULEBOOKS / "new" / "roster.csv", book))
    cells = {
        "type": "unit.changed.v1",
        "unit": "Z11",
        "category": "town",
        "reason": "r",
        "time": "2026-05-06T09:30:00+08:00",
    }
    for more in ({"change": "joined", "name": "新镇"}, {"change": "moved", "unit": "Z01"}):
        held = {column: Cell(value, "A2") for column, value in (cells | more).items()}
        raw = sheet.event(Row(2, held), "kaohe", sheet.Names(own), frozenset(unit.unit for unit in own.roster))
        assert isinstance(raw, bytes)
        assert json.loads(raw)["data"]["group"] == ""
        assert isinstance(Checker(book, own.roster).check(raw), Event)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_who_collects_has_its_workbook_of_a_running_year_that_says_nothing_of_its_deadlines(
    lang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rulebook of `rulebook new` names no parameter, so none has a value in the snapshot."""
    book = soundness.load(RULEBOOKS / "new" / "rulebook.toml")
    units = roster.load(RULEBOOKS / "new" / "roster.csv", book)
    events, made = tmp_path / "year.jsonl", tmp_path / "made.duckdb"
    events.write_bytes(next(raw for _, raw in synthetic.year(book, units, "own")) + b"\n")
    assert cli.run(["score", str(events), "--snapshot", str(made)]) == 0
    (tmp_path / "snapshots").mkdir()
    snapshots.publish(made, tmp_path / "snapshots", "own-1.duckdb")
    monkeypatch.setenv("WUXING_DATA", str(tmp_path))
    monkeypatch.setenv("WUXING_ASSESSMENT", "own")
    path = tmp_path / "t.xlsx"
    assert cli.run(["template", "collector", str(path), "--lang", lang]) == 0
    page = openpyxl.load_workbook(path)[{"zh": "确认读法", "en": "Adoptions"}[lang]]
    head = [cell.value for cell in page[template.ABOVE + 1]]
    rows = {row[head.index("reading")]: row[head.index("#in_force")]
            for row in page.iter_rows(min_row=template.ABOVE + 2, values_only=True) if row[2]}  # fmt: skip
    assert rows == {"publicity_days": "", "ties": "better", "individuals_per_unit": "1"}, "nobody takes appeals there"
    assert {*offered(openpyxl.load_workbook(path), page.title, "reading")} == {*rows}


def test_the_clauses_say_which_points_a_ground_may_have(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    assert cli.run(["template", "ducha", str(path), "--lang", "zh"]) == 0
    rows = {row[1]: row[3] for row in openpyxl.load_workbook(path)["条款"].iter_rows(values_only=True)}
    assert (rows["no_feedback"], rows["accident"]) == ("1", ">0–5")


def test_who_collects_has_a_line_for_every_reading_stage_and_tie_and_sends_those_that_are_filled_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "year.xlsx"
    reached = template.Reached(
        {"step": ("geometric", 7)}, (("second", "B", ("U002", "U009")),), frozenset({"daily_closed"})
    )
    name = next(one.name for one in YEAR.rulebook.office if one.code == "chuangjian")
    path.write_bytes(template.workbook(path.name, Present(YEAR), ("chuangjian", name), "zh", reached))
    book = openpyxl.load_workbook(path)
    head = [cell.value for cell in book["确认读法"][template.ABOVE + 1]]
    rows = {row[head.index("reading")]: dict(zip(head, row, strict=True))
            for row in book["确认读法"].iter_rows(min_row=template.ABOVE + 2, values_only=True) if row[2]}  # fmt: skip
    assert {*rows} == {one.name for one in YEAR.rulebook.reading} | {*PARAMETERS}
    assert all(row["#question"] and row["#values"] and row["#in_force"] for row in rows.values())
    assert (rows["step"]["#in_force"], rows["step"]["#adopted"], rows["pool"]["#adopted"]) == (
        "geometric",
        "7",
        "未确认",
    )
    left: list[sheet.Unread] = []
    assert list(sheet.rows(path, left=left)) == []
    assert [(one.sheet, one.lines) for one in left] == [("确认读法", 19), ("并列排序", 1), ("阶段", 3)]
    for title, key, cells in (
        ("确认读法", "step", {"value": "linear", "reason": "按条文", "time": datetime(2014, 1, 6, 9)}),
        ("并列排序", "second 二等奖", {"units": "U009;U002", "reason": "集体研究", "time": datetime(2014, 1, 7, 9)}),
        ("阶段", "finalised 定稿", {"time": datetime(2014, 1, 8, 9)}),
    ):
        page = book[title]
        names = [cell.value for cell in page[template.ABOVE + 1]]
        line = next(row for row in page.iter_rows(min_row=template.ABOVE + 2) if row[2].value == key)
        for column, value in cells.items():
            line[names.index(column)].value = value
    book.save(path)
    events = [sheet.event(row, "chuangjian", NAMES, UNITS) for row in sheet.rows(path)]
    found = [json.loads(one) for one in events if isinstance(one, bytes)]
    assert [(one["type"], one["subject"], one["data"]) for one in found] == [
        ("reading.adopted.v1", "assessment", {"reading": "step", "value": "linear", "reason": "按条文"}),
        ("tie.resolved.v1", "assessment", {"grade": "second", "units": ["U009", "U002"], "reason": "集体研究"}),
        ("stage.reached.v1", "assessment", {"stage": "finalised"}),
    ]
    assert all(isinstance(CHECKER.check(json.dumps(one).encode()), Event) for one in found)
    assert cli.run(["template", "collector", str(tmp_path / "c.xlsx"), "--lang", "zh"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "c.xlsx")


def test_who_decides_appeals_has_a_line_for_each_that_is_open_and_sends_those_with_an_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = Pages()
    for name in ("first", "second", "third"):
        pages.appeal("ducha", pages.deduct("ducha", "1.1", f"件{name}", "criticised"))
    pages.decide("e6", "upheld")
    (tmp_path / "snapshots").mkdir()
    made = written(pages, tmp_path)
    with point.snapshot(made) as con:
        monkeypatch.setenv("WUXING_ASSESSMENT", point.meta(con)["assessment"])
    snapshots.publish(made, tmp_path / "snapshots", "year-7.duckdb")
    monkeypatch.setenv("WUXING_DATA", str(tmp_path))
    path = tmp_path / "gongwei.xlsx"
    assert cli.run(["template", "gongwei", str(path), "--lang", "en"]) == 0
    book = openpyxl.load_workbook(path)
    page = book["Decisions"]
    head = [cell.value for cell in page[template.ABOVE + 1]]
    lines = [row for row in page.iter_rows(min_row=template.ABOVE + 2) if row[head.index("target_id")].value]
    first, second = ({name: cell.value for name, cell in zip(head, row, strict=True)} for row in lines)
    assert (first["unit"], first["target_source"], first["target_id"]) == ("U1 单位1", "/units/U1", "e2")
    assert (second["#seq"], second["#statement"], second["#due"]) == ("4", "s", "2013-05-16")
    assert (first["#item"], first["#against"]) == (
        "1.1 Leaders' instructions carried out",
        "deduction · Seq 1 · 件first · 3 · Supervision Office",
    )
    left: list[sheet.Unread] = []
    assert list(sheet.rows(path, left=left)) == []
    assert left == [sheet.Unread("Decisions", lines=2)]
    for column, value in {"outcome": "cancelled", "reason": "r", "time": datetime(2013, 5, 10, 9)}.items():
        lines[1][head.index(column)].value = value
    book.save(path)
    (row,) = sheet.rows(path)
    names = sheet.Names(years(THREE))
    raw = sheet.event(row, "gongwei", names, frozenset(unit["unit"] for unit in THREE))
    assert isinstance(raw, bytes)
    found = json.loads(raw)
    about = {"appeal": {"source": "/units/U1", "id": "e4"}, "outcome": "cancelled", "reason": "r"}
    assert (found["subject"], found["data"]) == ("U1", about)


def changed(kind: str, unit: str = "assessment", **data: Any) -> Event:
    """A change by who collects, as intake has admitted it."""
    event = {"specversion": "1.0", "id": "c", "source": "/offices/chuangjian", "type": kind, "subject": unit}
    raw = json.dumps({**event, "time": "2013-05-06T09:30:00+08:00", "data": {**data, "reason": "r"}}).encode()
    found = CHECKER.check(raw)
    assert isinstance(found, Event), found
    return found


def offered(book: openpyxl.Workbook, title: str, column: str) -> list[str]:
    """The codes that the drop-down of a column offers."""
    page = book[title]
    letter = next(cell.column_letter for cell in page[template.ABOVE + 1] if cell.value == column)
    (one,) = (one for one in page.data_validations.dataValidation if f"{letter}4" in one.sqref)
    name, _, cells = str(one.formula1).partition("!")
    found = book[name.strip("'")][cells.replace("$", "")]
    return [str(row[0].value).split()[0] for row in (found if isinstance(found, tuple) else ((found,),))]


def test_a_template_is_of_the_year_as_its_changes_leave_it(tmp_path: Path) -> None:
    moved = {"item": "3.3", "from": "shenguan", "to": "ducha"}
    kind = "unit.changed.v1"
    now = present(YEAR, [
        changed(kind, "U106", change="joined", name="新单位", category="B", group="B1", attributes={}),
         changed(kind, "U001", change="left"),
        changed(kind, "U002", change="renamed", name="新名"), changed("item.transferred.v1", **moved),
    ])  # fmt: skip
    books = {}
    for party in ("ducha", "shenguan", "U106"):
        path = tmp_path / f"{party}.xlsx"
        path.write_bytes(template.workbook(path.name, now, (party, party), "en"))
        books[party] = openpyxl.load_workbook(path)
    heir = books["ducha"]
    assert offered(heir, "Ratings", "item") == ["3.3"], "whose item it is now"
    assert {"Ratings", "Exemptions"} & {*books["shenguan"].sheetnames} == set()
    units = offered(heir, "Ratings", "unit")
    assert ("U106" in units, "U001" in units, len(units)) == (True, False, len(YEAR.roster))
    assert "U002 新名" in {row[0].value for row in heir["Roster"].iter_rows()}
    assert offered(heir, "Revocations", "target_source") == ["/offices/ducha", "/offices/shenguan"]
    assert {"assessment", "U001", "U106"} <= {*offered(heir, "Revocations", "unit")}, "closings, and who left"
    assert offered(books["U106"], "Appeals", "unit") == ["U106"]
    path = tmp_path / "c.xlsx"
    path.write_bytes(template.workbook(path.name, now, ("chuangjian", "c"), "en"))
    page = openpyxl.load_workbook(path)["Changes of units"]
    (one,) = (one for one in page.data_validations.dataValidation if "B4" in one.sqref)
    assert one.errorStyle == "warning", "a unit that joins is in no list yet"


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


# Publication tables -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic year, all closed but a tie at the second prize's cut."""
    folder = tmp_path_factory.mktemp("year")
    lines = synthetic.year(YEAR.rulebook, YEAR.roster, "wenzhou-2013", events=0)
    events, made = folder / "year.jsonl", folder / "year.duckdb"
    events.write_bytes(b"".join(line + b"\n" for _, line in lines))
    folded = files.fold(events, YEAR, target=made)
    snapshots.complete(folded.con, folded.year, folded.lines)
    folded.con.close()
    return made


@pytest.fixture(scope="module")
def held(snapshot: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with point.snapshot(snapshot) as con:
        yield con


@pytest.fixture(scope="module")
def found(held: duckdb.DuckDBPyConnection) -> Publication:
    return publication.read(held, "zh")


def test_the_workbook_ranks_every_unit_with_numbers_as_printed_and_the_exact_final_beside(
    found: Publication, held: duckdb.DuckDBPyConnection
) -> None:
    book = openpyxl.load_workbook(io.BytesIO(publication.xlsx(found)))
    for category, name in (("A", book.sheetnames[0]), ("B", book.sheetnames[1])):
        one = book[name]
        names = [cell.value for cell in one[4]]
        rows = [dict(zip(names, (cell.value for cell in row), strict=True)) for row in one.iter_rows(min_row=5)]
        expected = held.execute(
            "SELECT place, unit, final FROM published_unit WHERE category = ?"
            " ORDER BY place NULLS LAST, final DESC, unit",
            [category],
        ).fetchall()
        assert [(row["名次"] or None, row["单位"], Decimal(row["最后得分（精确值）"])) for row in rows] == expected
        assert [four(Decimal(str(row["最后得分"]))) for row in rows] == [four(final) for _, _, final in expected]
        final = next(cell.column for cell in one[4] if cell.value == "最后得分")
        assert one.cell(5, final).number_format == "0.0000"
        assert (one.page_setup.paperSize, one.print_title_rows, one.freeze_panes) == (9, "$1:$4", "A5")
        assert "合成数据" in one["A3"].value
        assert "暂定" in one["A3"].value


def test_the_csv_has_a_line_a_unit_and_opens_in_an_office_program(found: Publication) -> None:
    raw = publication.comma_separated(found)
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    assert len(rows) == 105
    assert [(row["单位"], row["最后得分（精确值）"]) for row in rows] == [
        (one.unit, str(one.final)) for one in found.standings
    ]
    assert {row["数据性质"] for row in rows} == {"合成"}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "＠x"])
def test_a_name_that_begins_like_a_formula_stays_a_text(found: Publication, name: str) -> None:
    evil = found._replace(standings=[found.standings[0]._replace(name=name, unit="U001")], schemes=[], entries=[])
    book = openpyxl.load_workbook(io.BytesIO(publication.xlsx(evil)))
    cell = book.worksheets[0]["C5"]
    assert cell.data_type == "s"
    assert str(cell.value).replace("_x000D_", "\r").strip() == name.strip()
    rows = list(csv.reader(io.StringIO(publication.comma_separated(evil).decode("utf-8-sig"), newline="")))
    assert rows[1][3] == f"'{name}".replace("\r", "␍")
    assert rows[1][5][0].isdigit()
    assert publication.pdf(evil).startswith(b"%PDF")


def test_the_parquet_file_holds_exact_decimals_and_says_what_it_is(
    found: Publication, held: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(publication.parquet(found))
    columns = "unit, place, final, state, flags"
    expected = held.execute(f"SELECT {columns} FROM published_unit ORDER BY unit").fetchall()
    assert duckdb.connect().execute(f"SELECT {columns} FROM '{path}' ORDER BY unit").fetchall() == expected
    assert not [one for one in pq.read_schema(path) if "float" in str(one.type) or "double" in str(one.type)]
    said = pq.read_schema(path).metadata
    assert (said[b"wuxing.synthetic"], said[b"wuxing.digest"].decode()) == (b"true", found.facts["digest"])


@pytest.mark.long
def test_the_same_snapshot_gives_the_same_bytes_in_every_form(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("xlsx", "pdf", "csv", "parquet"):
        for name in (f"a.{form}", "b.out"):
            options = ["--format", form] if name == "b.out" else []
            arguments = ["publish-tables", str(tmp_path / name), "--snapshot", str(snapshot), "--lang", "en", *options]
            assert cli.run(arguments) == 0
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / "b.out").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-1.")
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "a.xlsx")


def test_an_unknown_format_is_named(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["publish-tables", str(tmp_path / "a.doc"), "--snapshot", str(snapshot), "--lang", "en"]) == 2
    assert "expected one of xlsx, pdf, csv, parquet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
