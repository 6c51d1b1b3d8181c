"""The statement of a unit: every sum on it is added up again as with a pocket calculator, and is what the views say."""

from __future__ import annotations

import json
import os
import re
import zipfile
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from litestar.testing import TestClient
from rich.cells import cell_len

from schemas.rulebook import RULEBOOKS
from services.command import tables, words
from services.console.app import create_app
from services.process.ending import Exit
from services.reports import paper
from services.reports.statement import Statement, statement
from services.scorer import rules
from tests.product import command, folded
from tests.random_years import RandomYear, years
from tests.test_appeals import Pages, written

if TYPE_CHECKING:
    from schemas.words import Language
    from tests.product import Roster

EXAMPLE = Path(__file__).parent / "regulation" / "worked-example"
GROUP: Roster = [{"unit": f"U{n}", "name": f"单位{n}", "category": "B", "group": "B1"} for n in range(1, 21)]
LONG = os.environ.get("WUXING_TEST") == "long"
some = settings(max_examples=60 if LONG else 2, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example as a snapshot."""
    made = tmp_path_factory.mktemp("example") / "example.duckdb"
    code, _, _ = command(
        "score", EXAMPLE / "events.jsonl", "--roster", EXAMPLE / "roster.csv", "--snapshot", made, "--format", "table"
    )
    assert code == Exit.DONE
    return made


def calculated(written: str) -> Fraction:
    """What a calculator gives for a sum of the statement: numbers, brackets and + − × ÷ ^ only."""
    assert re.fullmatch(r"[0-9.()+−×÷^ ]+", written), written
    python = re.sub(r"[0-9]+(\.[0-9]+)?", r"Fraction('\g<0>')", written)
    found = eval(python.replace("−", "-").replace("×", "*").replace("÷", "/").replace("^", "**"))
    return Fraction(found)


def six(points: Fraction) -> Decimal:
    """Half-up at six decimals, as an item is rounded once."""
    return (Decimal(points.numerator) / Decimal(points.denominator)).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def adds_up(found: Statement) -> None:
    """Add up every item, part and total of a statement again, and every line with the one before it."""
    for part in found.parts:
        for one in part.items:
            if one.sum is None:
                assert one.points is None, one.item
            else:
                assert six(calculated(one.sum)) == Decimal(one.points or 0), (one.item, one.sum, one.points)
            for line in one.lines:
                if line.balance_before is not None:
                    change = Decimal(line.balance_after or 0) - Decimal(line.balance_before)
                    assert abs(change) == Decimal(line.counted or 0), line
                    assert change <= 0 or line.type == "bonus.recorded.v1", line
        if part.sum is not None:
            assert six(calculated(part.sum)) == Decimal(part.points or 0), (part.part, part.sum, part.points)
        else:
            assert part.points is None, part.part
    whole = calculated(found.final_sum)
    scale = 10**found.decimals
    assert abs(whole * scale - Fraction(found.final) * scale) <= Fraction(1, 2), found.final_sum


def explained(snapshot: Path, unit: str, *options: str) -> dict[str, Any]:
    code, out, err = command("explain", unit, "--snapshot", snapshot, "--format", "json", *options)
    assert (code, err) == (Exit.DONE, "")
    found: dict[str, Any] = json.loads(out)
    return found


def stated(pages: Pages, unit: str = "U1", as_of: int | None = None, lang: Language = "en") -> Statement:
    """The statement of a unit of a ledger written by hand."""
    with folded(b"\n".join(pages.lines), GROUP) as found, rules.compute(found.con, as_of=as_of):
        return statement(found.con, unit, lang)


def item(found: Statement, code: str) -> Any:
    return next(one for part in found.parts for one in part.items if one.item == code)


def counted(found: Statement, code: str) -> list[tuple[str | None, str]]:
    return [
        (line.counted and line.counted.rstrip("0").rstrip("."), line.disposition) for line in item(found, code).lines
    ]


def test_the_worked_examples_unit_comes_to_10_3529(example: Path) -> None:
    found = explained(example, "U042", "--lang", "zh")
    assert found["final_sum"] == "(100.97 × 0.7 + 109.5 × 0.3) × 0.1"
    assert (found["final"], found["place"], found["synthetic"]) == ("10.35290000", 1, False)
    sums = {item["item"]: item["sum"] for part in found["parts"] for item in part["items"]}
    assert sums["1.1"] == "5 − 1 − 2 − 1"
    assert sums["2.2"] == "(50 × 92 + 50 × 88) ÷ 100 × 5 ÷ 100"
    assert sums["5.1"] == "20 − 0.6 × 3"


def test_every_line_has_date_office_clause_and_words(example: Path) -> None:
    found = explained(example, "U042", "--item", "1.1", "--lang", "zh")
    (part,) = found["parts"]
    line = part["items"][0]["lines"][1]
    expected = {
        "seq": 2, "time": "2013-04-02T09:00:00+08:00", "office": "ducha", "office_name": "市委市政府督查室",
        "matter": "M1",
        "clause": "四(一)1(1)", "words": "批示办理落实情况被市委、市政府主要领导批评的,每件扣3分",
        "claimed": "3.000000",
        "counted": "2.000000", "balance_before": "4.000000", "balance_after": "2.000000",
    }  # fmt: skip
    assert {key: line[key] for key in expected} == expected
    assert "每事项不重复扣分" in part["items"][0]["text"]


def test_units_of_every_kind_of_the_worked_example_add_up(example: Path) -> None:
    with duckdb.connect(str(example), read_only=True) as con, rules.compute(con):
        for unit in ("U001", "U034", "U042", "U055", "U105"):
            adds_up(statement(con, unit, "en"))


@some
@given(years())
def test_every_sum_of_any_year_of_any_rulebook_is_what_the_views_say(drawn: RandomYear) -> None:
    with folded(drawn.data, drawn) as found:
        rules.set_options(found.con, drawn.readings)
        with rules.compute(found.con):
            units = [row[0] for row in found.con.execute("SELECT unit FROM unit_in_force ORDER BY unit").fetchall()]
            for unit in units[:3]:
                whole = statement(found.con, unit, "zh")
                adds_up(whole)
                if whole.reach:
                    low, high = whole.reach.final_worst, whole.reach.final_best
                    assert Decimal(low or "-Infinity") <= Decimal(whole.final) <= Decimal(high or "Infinity")
                    assert whole.place is None or (whole.reach.place_best or 1) <= whole.place
                    assert whole.place is None or whole.place <= (whole.reach.place_worst or whole.place)
                lines = sum(len(one.lines) for part in whole.parts for one in part.items) + len(whole.other_lines)
                in_ledger = found.con.execute(
                    "SELECT count(*) FROM event WHERE unit = ? AND admission <> 'conflict'", [unit]
                ).fetchall()
                assert [(lines,)] == in_ledger


def test_a_revocation_gives_its_room_under_the_floor_back_to_later_lines() -> None:
    pages = Pages()
    first = pages.deduct("ducha", "1.1", "M1", "criticised")
    pages.deduct("ducha", "1.1", "M2", "criticised")
    pages.revoke("ducha", first)
    assert counted(stated(pages, as_of=2), "1.1") == [("3", "counted"), ("2", "counted_in_part")]
    now = stated(pages)
    assert counted(now, "1.1") == [("0", "revoked"), ("3", "counted"), (None, "counted")]
    assert item(now, "1.1").lines[0].why == "Revoked by sequence 3 (四(一)1(1))"
    assert item(now, "1.1").sum == "5 − 3"


def test_a_revision_gives_its_room_under_a_nodes_cap_back_to_later_lines() -> None:
    pages = Pages()
    first = pages.deduct("renshe", "1.4", "方案", "late_or_unmet", points="1", node="plan")
    pages.deduct("renshe", "1.4", "方案二", "late_or_unmet", points="0.5", node="plan")
    pages.decide(pages.appeal("renshe", first), "revised", points="0.5")
    assert counted(stated(pages, as_of=2), "1.4") == [("1", "counted"), ("0", "no_effect")]
    now = stated(pages, lang="zh")
    assert counted(now, "1.4")[:2] == [("0.5", "revised"), ("0.5", "counted")]
    assert item(now, "1.4").lines[3].about[0] == "对序号3的申诉作出决定：改定 0.5"
    assert item(now, "1.4").sum == "5 − 0.5 − 0.5"


def test_places_bands_and_ties_name_the_units_they_were_shared_with() -> None:
    pages = Pages()
    for unit, value in (("U1", "90"), ("U2", "90"), ("U3", "95"), ("U4", "90")):
        pages.rate("5.1", value, unit)
        pages.rate("1.5", value, unit)
    pages.close("5.1")
    found = stated(pages)
    step = item(found, "5.1")
    assert step.notes == ["Value 90: place 2 of 4 units", "Ahead of it: U3", "Shares the place with U2, U4"]
    assert [(one.unit, one.place) for one in step.order] == [("U3", 1), ("U1", 2), ("U2", 2), ("U4", 2)]
    assert "Shares the place with U2, U4" in item(found, "1.5").notes
    assert "Shares the place with U2, U4" in found.place_notes
    (award,) = found.grades
    assert "second prize: 2 seats, 0 given; tied across the cut with U2, U4: not settled yet" in award.notes
    assert (award.grade, award.undecided) == (None, True)


def test_a_pending_item_names_the_offices_that_have_not_closed_it() -> None:
    pages = Pages()
    pages.add("renda", "item.closed", "assessment", item="1.3")
    found = item(stated(pages), "1.3")
    assert (found.state, found.notes) == ("pending", ["Not closed yet by Proposals Committee of the CPPCC"])


@pytest.mark.parametrize(("lang", "words"), [("zh", "考核对账单"), ("en", "Statement of assessment")])
def test_tables_and_markdown_come_in_both_languages(example: Path, lang: str, words: str) -> None:
    for form in ("table", "md"):
        code, out, _ = command("explain", "U042", "--snapshot", example, "--format", form, "--lang", lang)
        page = out.decode()
        assert code == Exit.DONE
        assert words in page
        assert "(100.97 × 0.7 + 109.5 × 0.3) × 0.1 = 10.3529" in page
        assert ("参与比较的各单位名次" if lang == "zh" else "Order of the units compared") in page
        assert "没有按要求反馈批示办理落实情况的" in page
        if form == "table":
            assert max(map(cell_len, page.splitlines())) == 80
            command_lines = [line.strip() for line in page.splitlines() if "wuxing appeal" in line]
            assert "wuxing appeal U042 --target 1 --statement " + ("理由" if lang == "zh" else "TEXT") in command_lines


@pytest.mark.parametrize(("arguments", "words"), [
    (("U999",), "no such unit"), (("U042", "--item", "9.9"), "no such item"),
    (("U042", "--as-of", "gestern"), "--as-of"), (("U042", "--as-of", "2013-06-01"), "2013-06-01T23:59:59+08:00"),
    ((), "wuxing explain UNIT, one of U001, U002"),
])  # fmt: skip
def test_what_is_not_there_is_named(example: Path, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = command("explain", *arguments, "--snapshot", example, "--lang", "en")
    assert (code, out) == (Exit.USE, b"")
    assert words in err


@pytest.mark.long
def test_a_unit_is_understood_as_people_write_it(example: Path) -> None:
    name = explained(example, "U042")["name"]
    for said in ("u042", " U042 ", "Ｕ０４２", name):
        code, out, err = command("explain", said, "--snapshot", example, "--format", "json", "--lang", "en")
        assert (code, json.loads(out)["unit"], err) == (0, "U042", f"{said} → U042 {name}\n")


def test_an_earlier_point_shows_the_statement_of_then(example: Path) -> None:
    parts = {part["part"]: part["points"] for part in explained(example, "U042", "--as-of", "2")["parts"]}
    assert (parts["1"], parts["D"]) == ("32.000000", "37.000000")
    by_time = explained(example, "U042", "--as-of", "2013-04-02T09:00:00+08:00")
    assert (by_time["as_of"], by_time["last"], by_time["state"]) == (2, 261, "provisional")


def test_what_somebody_sent_does_not_reach_the_terminal_as_a_command() -> None:
    pages = Pages()
    pages.deduct("ducha", "1.1", "\x1b[31m[red]|<b>", "no_feedback")
    found = stated(pages)
    assert "\x1b" not in paper.table(found, "en", to_file=True)
    assert "[31m[red]|<b>" in paper.table(found, "en", to_file=True)
    assert r"\|\<b\>" in paper.markdown(found, "en")


def test_the_statement_is_a_view_of_the_snapshot(example: Path) -> None:
    with duckdb.connect(str(example), read_only=True) as con:
        con.execute("SET VARIABLE as_of = 3")
        rows = con.execute(
            "SELECT seq, date, office_zh, matter, counted, balance_after, why_zh FROM statement"
            " WHERE unit = 'U042' ORDER BY seq"
        ).fetchall()
    assert [row[0] for row in rows] == [1, 2, 3]
    assert rows[2] == (3, "2013-04-03", "市委市政府督查室", "M2", Decimal(1), Decimal(1), "全额计入（四(一)1(1)）")


def test_where_nobody_takes_appeals_no_day_for_one_is_named(tmp_path: Path) -> None:
    """Days for an appeal may be adopted in any year; the rulebook that `rulebook new` writes has no office for them."""
    folder, common = RULEBOOKS / "new", {"specversion": "1.0", "time": "2026-05-06T09:30:00+08:00"}
    adopted = {"source": "/offices/kaohe", "type": "reading.adopted.v1", "subject": "assessment", "id": "1",
               "data": {"reading": "appeal_days", "value": "5", "reason": "r"}}  # fmt: skip
    deducted = {"source": "/offices/yingji", "type": "deduction.recorded.v1", "subject": "Z01", "id": "2",
                "data": {"item": "safety", "matter": "m", "ground": "major", "reason": "r"}}  # fmt: skip
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(common | one) + "\n" for one in (adopted, deducted)))
    made = tmp_path / "made.duckdb"
    options = ("--rulebook", folder / "rulebook.toml", "--roster", folder / "roster.csv")
    assert command("score", tmp_path / "e.jsonl", *options, "--snapshot", made)[0] == Exit.DONE
    lines = [line for part in explained(made, "Z01")["parts"] for one in part["items"] for line in one["lines"]]
    assert [(line["counted"], line["appeal"], line["appeal_until"]) for line in lines] == [("15.000000", None, None)]


def test_every_rendering_names_each_line_with_the_command_that_appeals_it(example: Path) -> None:
    found = explained(example, "U042", "--lang", "zh")
    lines = [line for part in found["parts"] for one in part["items"] for line in one["lines"]]
    named = [line["appeal"] for line in lines if line["appeal"]]
    assert named[0] == "wuxing appeal U042 --target 1 --statement 理由"
    assert len(named) == sum(line["appeal_until"] is not None for line in lines) > 20
    with duckdb.connect(str(example), read_only=True) as con, rules.compute(con):
        whole = statement(con, "U042", "zh")
    printed = json.dumps(paper._pdf_body(whole, "zh"), ensure_ascii=False)  # noqa: SLF001 - what the PDF's page says
    shown = page_of(example, "U042")
    for page in (paper.table(whole, "zh", to_file=True), paper.markdown(whole, "zh"), printed, shown):
        flat = re.sub(r"\s+", "", page.replace("\\", ""))
        assert found["root"] in flat
        assert [one for line in lines for one in (line["appeal"], line["id"], line["source"])
                if one and re.sub(r"\s+", "", one) not in flat] == []  # fmt: skip


def page_of(snapshot: Path, unit: str) -> str:
    """The unit's page of the console over one snapshot."""
    with TestClient(create_app(snapshot, "zh")) as client:
        return client.get(f"/unit/{unit}?lang=zh").text


@pytest.mark.long
def test_the_statements_of_all_units_are_a_file_each_the_same_bytes_every_time(tmp_path: Path) -> None:
    pages = Pages()
    pages.deduct("ducha", "1.1", "M1", "criticised", "U2")
    made = ("--snapshot", written(pages, tmp_path), "--lang", "en")
    for form, output, head in (("md", tmp_path / "md", b"# "), ("pdf", tmp_path / "pdf.zip", b"%PDF")):
        twice = []
        for _ in range(2):
            code, out, err = command("statements", output, "--format", form, *made)
            assert (code, out.decode(), err) == (Exit.DONE, f"{output}\n", "")
            twice.append(contents(output))
        assert twice[0] == twice[1]
        heads = {name: content[: len(head)] for name, content in twice[0].items()}
        assert heads == {f"U{n}.{form}": head for n in (1, 2, 3)}
        assert twice[0][f"U2.{form}"] == command("explain", "U2", "--format", form, *made)[1]
    code, _, err = command("statements", tmp_path / "md" / "U1.md" / "x", *made)
    assert (code, "cannot be written" in err) == (Exit.FAILED, True)


def contents(output: Path) -> dict[str, bytes]:
    """What a folder or zip holds, by name."""
    if output.is_dir():
        return {path.name: path.read_bytes() for path in output.iterdir()}
    with zipfile.ZipFile(output) as book:
        return {name: book.read(name) for name in book.namelist()}


@pytest.mark.parametrize(
    ("points", "printed"),
    [("1.00025", "1.0003"), ("1.00035", "1.0004"), ("-1.00025", "-1.0003"), ("0.00005", "0.0001")],
)
def test_half_a_unit_of_the_last_printed_decimal_goes_up_whether_the_digit_before_is_even_or_odd(
    points: str, printed: str
) -> None:
    assert tables.four(Decimal(points)) == printed
    assert words.four(Decimal(points)) == printed.replace("-", "−")
