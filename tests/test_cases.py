"""Cases beside a rulebook: what a line writes, what a file is refused for, and that no difference passes unseen."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas import cases

BOOK: dict[str, Any] = {
    "roles": {"collector": "kaohe"},
    "category": [{"code": "A", "ranked": False}, {"code": "B"}],
    "period": [{"code": "month", "values": ["2013-01", "2013-02"]}],
    "stage": [{"code": "closed"}],
    "reading": [{"name": "ties", "values": ["better", "average"]}],
    "parameter": [{"name": "appeal_days", "value": "7"}],
    "part": [{"code": "all"}, {"code": "some", "in": "all", "applies": {"categories": ["B"]}}],
    "item": [
        {"code": "1", "input": "entries", "offices": ["ducha"], "in": "all", "node": [{"code": "plan"}]},
        {"code": "2", "input": "ratings", "offices": ["tongji", "renda"], "in": "some", "runs": "month",
         "measure": [{"code": "new", "max": "90"}, {"code": "old", "min": "5"}], "raters": [{"code": "above"}],
         "formula": [{"plus": "new", "less": "old"}]},
        {"code": "3", "input": "ratings", "offices": ["tongji"], "in": "all", "runs": "case",
         "range": {"min": "0", "max": "10"}},
    ],
}  # fmt: skip


def written(tmp_path: Path, text: str) -> list[cases.Year]:
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    return cases.read(path, BOOK)


def of(tmp_path: Path, *history: str, units: str = "B 3") -> list[Any]:
    """The events of a case, each as source, type, subject, data without what is free text."""
    lines = "\n".join(history)
    (year,) = written(tmp_path, f'[[case]]\nname = "it"\nunits = ["{units}"]\nhistory = """\n{lines}\n"""')
    found = []
    for line in year.lines.splitlines():
        event = json.loads(line)
        data = {key: text for key, text in event["data"].items() if key not in ("reason", "statement", "rater")}
        found.append((event["source"], event["type"], event["subject"], data))
    return found


def short(event: tuple[str, str, str, Any]) -> str:
    """An event as its type, its subject and its data; a reference is the id of its target."""
    _, kind, subject, data = event
    return " ".join(
        [kind, subject, *(f"{key}={one['id'] if key in ('target', 'appeal') else one}" for key, one in data.items())]
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ducha deducts U1 1 M late", "deduction.recorded.v1 U1 item=1 matter=M ground=late"),
        ("ducha adds U2 1 M done 2 plan", "bonus.recorded.v1 U2 item=1 matter=M ground=done points=2 node=plan"),
        (
            "tongji rates U1 2 7 new above 2013-02",
            "rating.recorded.v1 U1 item=2 value=7 measure=new group=above period=2013-02",
        ),
        ("tongji rates U1 3 7", "rating.recorded.v1 U1 item=3 value=7 case=1"),
        ("tongji rates U1 3 7 #甲案 period=x", "rating.recorded.v1 U1 item=3 value=7 case=甲案 period=x"),
        ("kaohe submits U1 3 5000", "submission.recorded.v1 U1 item=3 characters=5000"),
        ("kaohe exempts U1 3", "item.exempted.v1 U1 item=3"),
        ("kaohe closes 3", "item.closed.v1 assessment item=3"),
        ("kaohe states U1 staff 40", "fact.recorded.v1 U1 attribute=staff value=40"),
        ("kaohe vetoes U1 fraud", "veto.recorded.v1 U1 veto=fraud"),
        ("kaohe approves a", "approval.recorded.v1 U1 target=1 outcome=approved"),
        ("kaohe rejects a for U3", "approval.recorded.v1 U3 target=1 outcome=rejected"),
        ("ducha revokes a", "event.revoked.v1 U1 target=1"),
        ("U2 appeals a", "appeal.filed.v1 U2 target=1"),
        ("kaohe decides a revised 0.5", "appeal.decided.v1 U1 appeal=1 outcome=revised points=0.5"),
        ("kaohe resolves first U2 U1", "tie.resolved.v1 assessment grade=first units=['U2', 'U1']"),
        ("kaohe adopts ties average", "reading.adopted.v1 assessment reading=ties value=average"),
        ("kaohe reaches closed", "stage.reached.v1 assessment stage=closed"),
        ("kaohe transfers 2 tongji renda", "item.transferred.v1 assessment item=2 from=tongji to=renda"),
        ("kaohe changes U1 moved B/x", "unit.changed.v1 U1 change=moved category=B group=B/x"),
        ("kaohe changes U1 left", "unit.changed.v1 U1 change=left"),
        (
            "kaohe changes U9 joined A/y staff=4",
            "unit.changed.v1 U9 change=joined category=A group=A/y name=新单位 attributes={'staff': '4'}",
        ),
    ],
)
def test_a_line_is_an_event(tmp_path: Path, line: str, expected: str) -> None:
    first, event = of(tmp_path, "a: ducha deducts U1 1 M late", line)
    assert expected == short(event)
    assert first[0] == "/offices/ducha"
    assert event[0] == ("/units/U2" if line.startswith("U2") else f"/offices/{line.partition(' ')[0]}")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tongji rates U1-U3 3 9-7", ["9", "8", "7"]),
        ("tongji rates U1-U3 3 7-9", ["7", "8", "9"]),
        ("tongji rates U1-U3 3 5,2.5,0", ["5", "2.5", "0"]),
        ("tongji rates U1-U3 3 4", ["4", "4", "4"]),
        ("everyone rates U1", ["90", "90", "5", "5", "10"]),
    ],
)
def test_a_line_about_several_units_gives_each_its_own(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert expected == [data["value"] for *_, data in of(tmp_path, line)]


def test_everyone_does_all_that_a_year_needs(tmp_path: Path) -> None:
    lines = of(tmp_path, "everyone closes all_but_3", "everyone adopts all", "everyone reaches all", units="A 1")
    found = [(source.rpartition("/")[2], next(iter(data.values()))) for source, _, _, data in lines]
    closings = [("ducha", "1"), ("tongji", "2"), ("renda", "2")]
    assert [*closings, ("kaohe", "ties"), ("kaohe", "appeal_days"), ("kaohe", "closed")] == found
    rated = {data["item"] for *_, data in of(tmp_path, "everyone rates U1", units="A 1")}
    assert rated == {"3"}, "item 2 does not apply to A"


def test_units_have_category_group_and_attributes_and_by_default_there_is_one_ranked(tmp_path: Path) -> None:
    (year,) = written(tmp_path, '[[case]]\nname = "it"\nunits = ["A/x 1", "B 9 staff=4"]')
    assert year.roster[0] == {"unit": "U01", "name": "U01", "category": "A", "group": "A/x"}
    assert year.roster[9] == {"unit": "U10", "name": "U10", "category": "B", "group": "B", "attributes": {"staff": "4"}}
    (year,) = written(tmp_path, '[[case]]\nname = "it"')
    assert [unit["category"] for unit in year.roster] == ["B"]


RESULT: dict[str, Any] = {
    "assessment_state": "running", "readings": {"ties": "better"}, "refused": [{"line": 2, "reason": "unknown_item"}],
    "units": [{"unit": "U1", "category": "B", "items": {"1": {"points": "4.000000", "state": "pending"}},
               "parts": {"all": None}, "final": "4.00", "place": 1, "grades": {"medal": "gold"}, "flags": []}],
    "schemes": [{"scheme": "medal", "pool": "B",
                 "grades": [{"grade": "gold", "quota": 1, "units": ["U1"], "undecided": []}]}],
    "entries": [{"seq": 1, "disposition": "counted", "counted": "1.000000",
                 "balance_before": "5.000000", "balance_after": "4.000000"}],
    "events": [{"seq": 3, "disposition": "void"}],
}  # fmt: skip
HISTORY = """
ducha deducts U1 1 M late | {line}
ducha deducts U1 9 M late | {refused}
kaohe closes 1            | {void}
"""
RIGHT = {
    "line": "counted 1: 5 -> 4", "refused": "unknown_item", "void": "void closed", "U1 1": "4 pending",
    "U1 all": "none", "U1 final": "4", "U1 place": "1", "U1 medal": "gold", "U1 flags": "none", "U1 2": "absent",
    "gold B": "U1", "gold quota": "1", "gold undecided": "none", "silver": "absent", "year": "running",
    "reading ties": "better",
}  # fmt: skip


def found(tmp_path: Path, said: dict[str, str]) -> list[cases.Fault]:
    lines = {key: text for key, text in said.items() if key in ("line", "refused", "void")}
    gives = "\n".join(f"{key} = {text}" for key, text in said.items() if key not in lines)
    text = f'[[case]]\nname = "it"\nhistory = """{HISTORY.format(**lines)}"""\ngives = """\n{gives}\n"""'
    (year,) = written(tmp_path, text)
    return list(cases.check(year, {"": RESULT}, {3: "closed"}))


def faults(tmp_path: Path, said: dict[str, str]) -> list[str]:
    return [fault.found for fault in found(tmp_path, said)]


def test_a_fault_says_the_case_the_readings_and_both_sides() -> None:
    fault = cases.Fault("满分", "ties=average", "U1 final", "9", "8")
    assert fault.say("zh") == "满分 [ties=average]：U1 final：案例写的是“9”，算出来是“8”"
    assert fault.say("en") == "满分 [ties=average]: U1 final: the case says '9', it comes to '8'"


@pytest.mark.parametrize(
    ("about", "nearest"),
    [
        ("U1 finall", "final"),
        ("U1 meda", "medal"),
        ("U1 al", "all"),
        ("goldd", "gold"),
        ("gold quotas", "quota"),
        ("reading tie", "ties"),
        ("U1x final", "U1"),
        ("yeer", "year"),
        ("silve", None),
        ("U1 qqqqq", None),
        ("U1 2", None),
    ],
)
def test_a_claim_about_nothing_of_the_year_is_told_the_nearest_right_word(
    tmp_path: Path, about: str, nearest: str | None
) -> None:
    (fault,) = found(tmp_path, {**RIGHT, about: "7"})
    assert fault.nearest == nearest
    assert (
        (f'did you mean "{nearest}"?' in fault.say("en"))
        == (f"是否应为“{nearest}”？" in fault.say("zh"))
        == bool(nearest)
    )


def test_a_case_that_says_what_came_has_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, RIGHT) == []


@pytest.mark.parametrize("key", RIGHT)
def test_a_case_that_says_anything_else_has_one(tmp_path: Path, key: str) -> None:
    other = "counted 2: 5 -> 3" if key == "line" else "else"
    found = RIGHT[key] if key == "line" else RIGHT[key].split()[0]  # told as fully as the case does
    assert faults(tmp_path, {**RIGHT, key: other}) == [found]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[[case]\n", "some.toml"),
        ("one_year = true\n", "case"),
        ('[[case]]\nname = "it"\nhistroy = ""\n', "histroy"),
        ('[[case]]\nname = "it"\nunits = ["B"]\n', "it"),
        ('[[case]]\nname = "it"\nunits = ["B zero"]\n', "B zero"),
        ('[[case]]\nname = "it"\nunits = ["城区 3"]\n', "城区"),
        ('[[case]]\nname = "it"\nhistory = "ducha eats U1 1"\n', "eats"),
        ('[[case]]\nname = "it"\nhistory = "ducha deducts U1 1"\n', "OFFICE deducts UNIT ITEM MATTER GROUND"),
        ('[[case]]\nname = "it"\nhistory = "ducha submits U1 3 many"\n', "CHARACTERS"),
        ('[[case]]\nname = "it"\nhistory = "everyone eats U1"\n', "everyone eats"),
        ('[[case]]\nname = "it"\nhistory = "silence"\n', "silence"),
        ('[[case]]\nname = "it"\nunder = "step"\n', "step"),
    ],
)
def test_a_file_that_does_not_read_is_refused_with_its_place(tmp_path: Path, text: str, wrong: str) -> None:
    with pytest.raises(cases.CasesError) as refusal:
        written(tmp_path, text)
    assert "some.toml" in refusal.value.place
    assert all(wrong in refusal.value.say(lang) for lang in ("en", "zh"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(cases.CasesError, match="cannot be read"):
        cases.read(tmp_path / "none.toml", BOOK)
