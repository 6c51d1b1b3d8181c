"""Appeals and readiness: deadlines are reported and never enforced, and every outcome is tried before it is decided."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from services.office import sheet
from services.process.ending import Exit
from services.reports.appeals import Move, Prospect, changes, copy, listed, prospects, state
from services.reports.readiness import NAMED_MAX, SHEETS, obstacles
from services.scorer import file, rules
from services.snapshot import make as snapshots
from services.snapshot.moves import Standing
from tests.product import BOOK, BOOK_JSON, command, folded, year

if TYPE_CHECKING:
    from pathlib import Path

    from services.reports.appeals import Appeal
    from services.reports.readiness import Readiness
    from tests.product import Json, Roster

THREE: Roster = [{"unit": f"U{n}", "name": f"单位{n}", "category": "B", "group": "B1"} for n in range(1, 4)]


class Pages:
    """A ledger of the shipped rulebook written by hand, a line a call, whose events happen on days of May 2013."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def add(self, source: str, kind: str, subject: str, name: str = "", **data: Any) -> str:
        name = name or f"e{len(self.lines) + 1}"
        party = source if source.startswith("/") else f"/offices/{source}"
        event = {
            "specversion": "1.0", "id": name, "source": party, "type": kind + ".v1", "subject": subject,
            "time": "2013-05-06T09:30:00+08:00", "data": data,
        }  # fmt: skip
        self.lines.append(json.dumps(event, ensure_ascii=False).encode())
        return name

    def deduct(self, office: str, item: str, matter: str, ground: str, unit: str = "U1", **more: str) -> str:
        data = {"item": item, "matter": matter, "ground": ground, "reason": "r", **more}
        return self.add(office, "deduction.recorded", unit, **data)

    def rate(self, item: str, value: str, unit: str = "U1", rater: str = "r", **more: str) -> str:
        office = BOOK.items[item].offices[0]
        return self.add(office, "rating.recorded", unit, item=item, value=value, rater=rater, **more)

    def revoke(self, office: str, target: str, unit: str = "U1") -> str:
        about = {"source": office if office.startswith("/") else f"/offices/{office}", "id": target}
        return self.add(office, "event.revoked", unit, target=about, reason="r")

    def appeal(self, office: str, target: str, unit: str = "U1") -> str:
        about = {"source": f"/offices/{office}", "id": target}
        return self.add(f"/units/{unit}", "appeal.filed", unit, target=about, statement="s")

    def decide(self, appeal: str, outcome: str, unit: str = "U1", **points: str) -> str:
        about = {"source": f"/units/{unit}", "id": appeal}
        return self.add("gongwei", "appeal.decided", unit, appeal=about, outcome=outcome, reason="r", **points)

    def close(self, item: str) -> None:
        for office in BOOK.items[item].offices:
            self.add(office, "item.closed", "assessment", item=item)

    def on(self, day: str) -> None:
        """Let the event written last occur on a day."""
        event = json.loads(self.lines[-1])
        self.lines[-1] = json.dumps(event | {"time": f"2013-{day}T09:30:00+08:00"}).encode()

    def adopt(self, reading: str, value: str) -> None:
        self.add("chuangjian", "reading.adopted", "assessment", reading=reading, value=value, reason="r")


def appealed(pages: Pages) -> list[Appeal]:
    with folded(b"\n".join(pages.lines), THREE) as found, rules.compute(found.con):
        return listed(found.con)


def written(pages: Pages, path: Path, book: Json | None = None) -> Path:
    """A ledger written by hand as a snapshot, of the shipped rulebook or of another."""
    source = path / "events.jsonl"
    source.write_bytes(b"\n".join(pages.lines))
    made = file.fold(source, year(THREE, book), target=path / "made.duckdb")
    snapshots.complete(made.con, made.year, made.lines)
    made.con.close()
    return path / "made.duckdb"


@pytest.fixture
def disputed() -> Pages:
    """A deduction of 1 May, an appeal of 5 May, and an event of 10 May."""
    pages = Pages()
    target = pages.deduct("ducha", "1.1", "M1", "criticised")
    pages.on("05-01")
    pages.appeal("ducha", target)
    pages.on("05-05")
    pages.deduct("ducha", "1.1", "M2", "no_feedback", unit="U2")
    pages.on("05-10")
    return pages


def test_an_appeal_in_time_is_open_until_its_decision_is_due(disputed: Pages) -> None:
    (one,) = appealed(disputed)
    assert (one.filed_at, one.appeal_until, one.filed_late) == ("2013-05-05T01:30:00Z", "2013-05-11T01:30:00Z", False)
    assert (one.decision_due, one.decision_late, one.state) == ("2013-05-15T01:30:00Z", False, "open")
    assert (one.target, one.item, one.office, one.matter, one.claimed) == (1, "1.1", "ducha", "M1", "3.000000")


def test_an_open_appeal_is_overdue_when_the_ledger_is_past_the_day(disputed: Pages) -> None:
    disputed.deduct("ducha", "1.1", "M3", "no_feedback", unit="U2")
    disputed.on("05-16")
    (one,) = appealed(disputed)
    assert (one.state, one.decision_late) == ("open", True)
    assert (state(one, "en"), state(one, "zh")) == ("overdue", "超期未决")


def test_a_late_decision_counts_and_is_reported_as_late(disputed: Pages) -> None:
    disputed.decide("e2", "cancelled")
    disputed.on("05-20")
    (one,) = appealed(disputed)
    assert (one.state, one.outcome, one.decision_late, one.decided_at) == (
        "decided",
        "cancelled",
        True,
        "2013-05-20T01:30:00Z",
    )
    assert state(one, "en") == "cancelled · Seq 4 · 2013-05-20 · late"
    with folded(b"\n".join(disputed.lines), THREE) as found, rules.compute(found.con):
        assert found.con.execute("SELECT points FROM item_points WHERE unit = 'U1' AND item = '1.1'").fetchall() == [
            (5,)
        ]


def test_the_days_are_those_in_force(disputed: Pages) -> None:
    disputed.adopt("appeal_days", "3")
    disputed.adopt("decision_days", "2")
    (one,) = appealed(disputed)
    assert (one.filed_late, one.appeal_until, one.decision_due) == (
        True,
        "2013-05-04T01:30:00Z",
        "2013-05-07T01:30:00Z",
    )


def test_a_withdrawn_appeal_is_gone_and_a_revoked_target_closes_it(disputed: Pages) -> None:
    disputed.revoke("ducha", "e1")
    assert [one.state for one in appealed(disputed)] == ["closed"]
    disputed.lines.pop()
    disputed.revoke("/units/U1", "e2")
    assert appealed(disputed) == []


def test_every_outcome_is_what_the_decision_itself_would_give(disputed: Pages) -> None:
    disputed.deduct("ducha", "1.1", "M2", "criticised", unit="U2")
    disputed.deduct("ducha", "1.1", "M2", "no_feedback", unit="U3")
    with folded(b"\n".join(disputed.lines), THREE) as found:
        before = standings(found.con)
        with rules.compute(found.con):
            (one,) = listed(found.con)
        tried = prospects(copy(found.con, found.lines), one, before)
    for prospect in tried:
        points = {} if prospect.points is None else {"points": prospect.points}
        disputed.decide("e2", prospect.outcome, **points)
        with folded(b"\n".join(disputed.lines), THREE) as found:
            after = standings(found.con)
        disputed.lines.pop()
        assert prospect.moves == [Move(unit, was, after[unit]) for unit, was in before.items() if was != after[unit]]
    assert [(one.outcome, one.points) for one in tried] == [("upheld", None), ("cancelled", None), ("revised", "0")]
    places = {move.unit: (move.before.place, move.after.place) for move in tried[1].moves or []}
    assert places == {"U1": (2, 1), "U2": (2, 3), "U3": (1, 2)}  # third parties included


def standings(con: Any) -> dict[str, Standing]:
    with rules.compute(con):
        rows = con.execute(
            "SELECT u.unit, final_text, place,"
            " (SELECT map_from_entries(list((g.scheme, g.grade) ORDER BY g.scheme)) FROM unit_grade g"
            "  WHERE g.unit = u.unit),"
            " [right(flag, -10) FOR flag IN flags IF flag LIKE 'undecided:%'] FROM unit_result u ORDER BY u.unit"
        ).fetchall()
    return {unit: Standing(*rest) for unit, *rest in rows}


def test_a_move_says_what_changes_in_both_languages() -> None:
    was = Standing("9.00000000", 3, {"award": None}, [])
    move = Move("U1", was, Standing("9.07000000", 1, {"award": "first"}, []))
    en = ["final 9.0000 → 9.0700", "place 3 → 1", "grades — → first prize"]
    assert changes(move, "en", {"first": "first prize"}) == en
    assert changes(move, "zh", {"first": "一等奖"}) == ["最后得分 9.0000 → 9.0700", "名次 3 → 1", "等次 — → 一等奖"]


@pytest.mark.every(2)
@pytest.mark.parametrize(("lang", "words"), [
    ("zh", ("待决定", "按期", "来源为/units/U1，编号为e2", "若对U1的申诉（序号2）决定取消：U1 最后得分", "决定维持")),
    ("en", ("open", "in time", "sequence 2 names its source /units/U1 and id e2",
            "If the appeal of U1 (sequence 2) is cancelled: U1 final", "upheld: no place")),
])  # fmt: skip
def test_the_command_lists_appeals_and_prospects(
    disputed: Pages, tmp_path: Path, lang: str, words: tuple[str, ...]
) -> None:
    code, out, _ = command("appeals", "--snapshot", written(disputed, tmp_path), "--lang", lang)
    assert code == Exit.DONE
    assert [one for one in words if one not in out.decode()] == []


def test_the_command_gives_the_whole_as_json_and_one_unit_only(disputed: Pages, tmp_path: Path) -> None:
    made = written(disputed, tmp_path)
    _, out, _ = command("appeals", "--snapshot", made, "--format", "json")
    found = json.loads(out)
    assert (found["as_of"], found["now"], len(found["appeals"])) == (3, "2013-05-10T01:30:00Z", 1)
    assert [one["outcome"] for one in found["appeals"][0]["prospects"]] == ["upheld", "cancelled", "revised"]
    assert (found["appeals"][0]["source"], found["appeals"][0]["id"]) == ("/units/U1", "e2")
    assert json.loads(command("appeals", "--snapshot", made, "--unit", "U2", "--format", "json")[1])["appeals"] == []
    head = command("appeals", "--snapshot", made, "--lang", "en")[1].decode().splitlines()[0]
    assert head.endswith("As of sequence 3 (2013-05-10)"), head
    none = command("appeals", "--snapshot", made, "--as-of", "1", "--lang", "en")[1].decode().splitlines()[0]
    assert none.endswith("As of sequence 1"), none


@pytest.mark.parametrize(
    ("target", "filed", "decided", "late"),
    [
        ("2013-06-01", "2013-06-11", "2013-06-21", (False, False)),  # to the second: both are in time
        ("2013-06-01", "2013-06-11 00:00:01", "2013-06-21 00:00:01", (True, False)),
        ("2013-06-01", "2013-06-11", "2013-06-21 00:00:01", (False, True)),
    ],
)
def test_deadlines_go_by_what_was_recorded_where_it_was_whatever_day_an_event_says(
    disputed: Pages, target: str, filed: str, decided: str, late: tuple[bool, bool]
) -> None:
    disputed.decide("e2", "upheld")
    disputed.on("12-31")  # long after: by its own word it would be late
    with folded(b"\n".join(disputed.lines), THREE) as found:
        for seq, moment in ((1, target), (2, filed), (3, filed), (4, decided)):
            found.con.execute("UPDATE event SET recorded_at = ?::TIMESTAMP WHERE seq = ?", [moment, seq])
        with rules.compute(found.con):
            (one,) = listed(found.con)
    assert (one.filed_late, one.decision_late) == late
    assert (one.appeal_until, one.decision_due[:10] if one.decision_due else None) == (
        "2013-06-11T00:00:00Z", "2013-06-21",
    )  # fmt: skip


def standing_in_the_way(pages: Pages) -> Readiness:
    with folded(b"\n".join(pages.lines), THREE) as found, rules.compute(found.con):
        return obstacles(found.con, found.lines, "en", {})


def test_readiness_names_offices_units_appeals_ties_and_assumptions(disputed: Pages) -> None:
    found = standing_in_the_way(disputed)
    pending = {one.item: one for one in found.pending}
    assert not found.ready
    assert pending["1.4"].offices == ["gongwei", "zuzhi", "renshe"]
    lacking = [pending[code].lacking for code in ("1.4", "2.3", "4.1")]
    assert lacking == [[], ["U1", "U2", "U3"], []], "entries are complete, and no case at all is 0"
    assert [(one.seq, one.target, one.overdue) for one in found.appeals] == [(2, 1, False)]
    assert {one.name for one in found.assumptions} == {*BOOK.assumptions()}
    assert len(found.stages) == len(BOOK.stage)


def test_an_item_that_lost_its_only_rating_says_that_its_closing_must_be_revoked_before_anybody_can_rate() -> None:
    pages = Pages()
    rated = [pages.rate("2.3", "80", unit) for unit in ("U1", "U2", "U3")]
    pages.close("2.3")
    pages.decide(pages.appeal("tongji", rated[0]), "cancelled")
    item = next(one for one in standing_in_the_way(pages).pending if one.item == "2.3")
    assert (item.offices, item.lacking) == ([], ["U1"])
    assert [(one.unit, one.seq, one.by) for one in item.lost] == [("U1", 1, 6)]
    assert [step.owner for step in item.steps] == ["tongji"] * 3
    assert [step.what.partition(": a line on the sheet ")[::2] for step in item.steps] == [
        ("2.3 is closed and nobody can rate U1; revoke the closing /offices/tongji e4 (sequence 4)",
         "Revocations of tongji.xlsx"),
        ("rate U1", "Ratings of tongji.xlsx"),
        ("close 2.3", "Closings of tongji.xlsx"),
    ]  # fmt: skip
    pages.revoke("tongji", "e4", "assessment")
    again = next(one for one in standing_in_the_way(pages).pending if one.item == "2.3")
    assert [step.what.partition(":")[0] for step in again.steps] == ["rate U1", "close 2.3"]


def test_every_obstacle_has_an_owner_and_a_command_on_a_sheet_that_the_workbook_has(
    disputed: Pages, tmp_path: Path
) -> None:
    for unit in ("U1", "U2", "U3"):
        disputed.rate("5.1", "80", unit)
    _, out, _ = command("readiness", "--snapshot", written(disputed, tmp_path), "--format", "json", "--lang", "zh")
    found = json.loads(out)
    steps = [step for one in found["pending"] for step in one["steps"]]
    steps += [one["step"] for kind in ("appeals", "ties", "assumptions", "awaiting", "stages") for one in found[kind]]
    assert {step["owner"] for step in steps} == {office.code for office in BOOK.office}
    assert {step["command"] == f"wuxing emit {step['owner']}.xlsx --office {step['owner']}" for step in steps} == {True}
    assert [one["step"]["owner"] for one in found["appeals"]] == [BOOK.roles.appeals]
    assert {kind: sheet.KINDS[kind] for kind in SHEETS} == SHEETS


def complete(units: Roster = THREE) -> Pages:
    """A year in which nothing stands in the way of final; with units enough for a prize all of them tie for it."""
    pages = Pages()
    for n, unit in enumerate(one["unit"] for one in units):
        for one in BOOK.item:
            if one.entries:
                continue
            fields = [{"measure": measure.code} for measure in one.measure] or [{}]
            if one.raters or one.runs:
                fields = [{"group": "leader"} if one.raters else {"case": "c"}]
            for named in fields:
                pages.rate(one.code, "1" if one.code != "1.5" or len(units) > 3 else str(n), unit, **named)
    for one in BOOK.item:
        pages.close(one.code)
    for name, values in BOOK.readings.items():
        pages.adopt(name, values[0])
    for parameter in BOOK.parameter:
        pages.adopt(parameter.name, "7")
    for stage in BOOK.stage:
        pages.add("chuangjian", "stage.reached", "assessment", stage=stage.code)
    return pages


def test_a_tie_is_to_be_put_in_order_only_when_nothing_is_pending_any_more() -> None:
    units = [{"unit": f"U{n}", "name": f"U{n}", "category": "B", "group": "B1"} for n in range(40)]
    for pages, words in (
        (Pages(), "when no item is pending any more, if they are still tied: put "),
        (complete(units), "put "),
    ):
        pages.adopt("pool", "shared")
        with folded(b"\n".join(pages.lines), units) as found, rules.compute(found.con):
            one = obstacles(found.con, found.lines, "en", {}).ties[0]
        assert one.step.what.startswith(words)
        assert f"… ({len(one.units)}) in order" in one.step.what
        assert len(one.units) > NAMED_MAX


def test_a_step_stands_on_one_line_so_that_its_command_can_be_copied(disputed: Pages, tmp_path: Path) -> None:
    made = written(disputed, tmp_path)
    found = json.loads(command("readiness", "--snapshot", made, "--format", "json", "--lang", "en")[1])
    text = command("readiness", "--snapshot", made, "--lang", "en")[1].decode().splitlines()
    assert any(len(line) > 160 for line in text), "wider than a page"
    for step in (step for one in found["pending"] for step in one["steps"]):
        assert f"    → {step['owner_name']}: {step['what']} · {step['command']}" in text


@pytest.mark.long
def test_nothing_in_the_way_is_exit_0_and_anything_is_exit_1(disputed: Pages, tmp_path: Path) -> None:
    for name in ("ready", "not"):
        (tmp_path / name).mkdir()
    code, out, _ = command("readiness", "--snapshot", written(complete(), tmp_path / "ready"), "--lang", "zh")
    assert (code, "可以定稿" in out.decode()) == (Exit.DONE, True)
    made = written(disputed, tmp_path / "not")
    for lang, words in (("zh", "填gongwei.xlsx的“申诉决定”表 · wuxing emit gongwei.xlsx --office gongwei"),
                        ("zh", "尚未办结： 市委市政府督查室"), ("en", "not closed by Supervision Office")):  # fmt: skip
        code, out, _ = command("readiness", "--snapshot", made, "--lang", lang)
        assert (code, words in out.decode()) == (Exit.NO, True)
    code, out, _ = command("readiness", "--snapshot", made, "--format", "json")
    assert (code, json.loads(out)["ready"]) == (Exit.NO, False)


def test_what_has_a_day_is_due_until_it_is_closed_and_over_after_that_day_in_beijing() -> None:
    items = [item | ({"due": "2013-05-10"} if item["code"] == "1.4" else {}) for item in BOOK_JSON["item"]]
    pages = Pages()
    pages.add("gongwei", "item.closed", "assessment", item="1.4")
    for sent, over in (("2013-05-10T15:59:00Z", False), ("2013-05-11T00:00:00+08:00", True)):
        pages.deduct("ducha", "1.1", sent, "criticised")
        pages.lines[-1] = json.dumps(json.loads(pages.lines[-1]) | {"time": sent}).encode()
        with (
            folded(b"\n".join(pages.lines), THREE, book=BOOK_JSON | {"item": items}) as found,
            rules.compute(found.con),
        ):
            told = obstacles(found.con, found.lines, "en", {}).deadlines
        assert [(one.item, one.office, one.until, one.over) for one in told] == [
            ("1.4", office, "2013-05-10T15:59:59Z", over) for office in ("renshe", "zuzhi")
        ], sent


def test_the_publicity_ends_its_days_after_the_latest_stage_that_stands() -> None:
    pages = Pages()
    assert standing_in_the_way(pages).deadlines == []
    pages.add("chuangjian", "stage.reached", "assessment", stage="publicised")
    pages.on("05-01")
    late = pages.add("chuangjian", "stage.reached", "assessment", stage="publicised")
    pages.on("05-03")
    pages.adopt("publicity_days", "7")
    pages.on("05-10")
    (one,) = standing_in_the_way(pages).deadlines
    assert (one.item, one.until, one.over) == (None, "2013-05-10T01:30:00Z", False)
    pages.revoke("chuangjian", late, "assessment")
    (one,) = standing_in_the_way(pages).deadlines
    assert (one.until, one.over) == ("2013-05-08T01:30:00Z", True)


def test_what_would_be_void_is_said_to_be() -> None:
    assert Prospect("revised", "9", None).moves is None
