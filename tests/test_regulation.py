"""The regulation, clause by clause: pages of a register in tests/regulation, worked out by hand from the text.

A page is TOML. Each case has a history on the left, one event a line, and what becomes of it on the right; `gives` says
what it comes to, by default or under readings (`"step=geometric" = ...`). The grammar is that of `sentence` and `told`.
Cases of a page with `one_year = true` are about single units: they are folded together, each with units of its own.
"""

from __future__ import annotations

import csv
import json
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.oracle import COMPONENTS, GROUPS, ITEMS, NODES, PARAMETERS, READINGS
from tests.product import Json, Roster, folded, scored

PAGES = Path(__file__).parent / "regulation"
STATES = ("pending", "scored", "exempt")


def cases() -> list[Any]:
    """Every case of every page, by the page's name and its own."""
    return [
        pytest.param(file.stem, n, id=f"{file.stem}: {case['name']}")
        for file in sorted(PAGES.glob("*.toml")) for n, case in enumerate(page(file.stem)["case"])
    ]  # fmt: skip


@cache
def page(name: str) -> Json:
    return tomllib.loads((PAGES / f"{name}.toml").read_text(encoding="utf-8"))


# --- The notation -----------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A case written out: its units, its events, what is said of each of them, and what they come to."""

    mark: str  # before each of its units, groups and ids, so that cases can share a year
    roster: Roster = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    said: list[tuple[int, str]] = field(default_factory=list)  # number of the event, the right-hand side
    labels: dict[str, Json] = field(default_factory=dict)

    def enrol(self, groups: list[str]) -> None:
        """`B 3` are three units of category B in one group; `B/x 3` names the group."""
        sizes = [(group.partition(" ")[0], int(group.partition(" ")[2])) for group in groups]
        width = len(str(sum(size for _, size in sizes)))
        for kind, size in sizes:
            category = kind[0]
            for _ in range(size):
                unit = f"{self.mark}U{len(self.roster) + 1:0{width}}"
                self.roster.append({"unit": unit, "name": unit, "category": category, "group": self.mark + kind})

    def write(self, line: str) -> None:
        """One line of history: `label: sentence | disposition`; without a right-hand side the events are counted."""
        left, _, right = (part.strip() for part in line.partition("|"))
        label, colon, rest = left.partition(": ")
        for event in self.sentence((rest if colon else left).split()):
            self.said.append((len(self.events), right or "counted"))
            self.events.append({"specversion": "1.0", "id": f"{self.mark}{len(self.events) + 1}",
                                "time": "2013-05-06T09:30:00+08:00", **event})  # fmt: skip
            self.labels[label if colon else ""] = self.events[-1]

    def sentence(self, words: list[str]) -> list[Json]:
        """Who does what: the party, the verb, and what it is about."""
        who, verb, *about = words
        if verb in ("repeats", "contradicts"):
            again = dict(self.labels[about[0]])
            return [again if verb == "repeats" else {**again, "time": "2013-05-07T09:30:00+08:00"}]
        subject = "assessment"
        if verb not in ("closes", "adopts", "reaches", "resolves") and about[0][0] == "U" and "all" not in about:
            first, _, last = about[0].partition("-")
            if last:  # a line a unit; values `9-1` go down by one each
                named = [f"U{n:0{len(first) - 1}}" for n in range(int(first[1:]), int(last[1:]) + 1)]
                each = ([who, verb, unit, *(stepped(word, n) for word in about[1:])] for n, unit in enumerate(named))
                return [event for words in each for event in self.sentence(words)]
            subject = self.mark + about[0]
        if who == "everyone":
            return self.everyone(verb, about)
        kind, data = getattr(self, verb)(*about)
        if verb in ("revokes", "appeals", "decides"):
            target = self.labels.get(about[0], {"id": about[0], "subject": f"{self.mark}U1"})
            subject = self.mark + about[-1] if "for" in about else target["subject"]
            party = f"/offices/{who}" if who[0] != "U" else f"/units/{self.mark}{who}"
            subject = self.mark + who if verb == "appeals" else subject
            reference = {"source": target.get("source", party), "id": target["id"]}
            data = {**data, "appeal" if verb == "decides" else "target": reference}
        source = f"/units/{self.mark}{who}" if who[0] == "U" else f"/offices/{who}"
        return [{"source": source, "type": f"{kind}.v1", "subject": subject, "data": data}]

    def everyone(self, verb: str, about: list[str]) -> list[Json]:
        """All that a year needs: `rates U1` with full marks, `closes all` items, `adopts all` defaults."""
        if verb == "rates":
            lines = [f"{row.offices[0]} rates {about[0]} {item} {1 if item in COMPONENTS else row.top} {part}"
                     for item, row in ITEMS.items() if not row.deducts
                     for part in COMPONENTS.get(item, dict.fromkeys(GROUPS) if item == "2.2" else {"": 0})]  # fmt: skip
        elif verb == "closes":
            left = about[0].removeprefix("all_but_")
            lines = [f"{office} closes {item}" for item, row in ITEMS.items() for office in row.offices if item != left]
        else:
            lines = [f"chuangjian adopts {name} {values[0]}" for name, values in READINGS.items()]
            lines += [f"chuangjian adopts {name} 7" for name in PARAMETERS]
        return [event for line in lines for event in self.sentence(line.split())]

    def deducts(self, _unit: str, item: str, matter: str, ground: str, *more: str) -> tuple[str, Json]:
        given = {"node" if word in NODES else "points": word for word in more}
        return "deduction.recorded", {"item": item, "matter": matter, "ground": ground, "reason": "见附", **given}

    def rates(self, _unit: str, item: str, value: str, *more: str) -> tuple[str, Json]:
        data = {"item": item, "value": value, "rater": "r"}
        for word in more:
            key = "group" if word in GROUPS else "component" if any(word in c for c in COMPONENTS.values()) else "rater"
            data["case" if word.startswith("实例") else key] = word
        if item == "4.1":
            data.setdefault("case", "实例一")
        return "rating.recorded", data

    def submits(self, _unit: str, characters: str) -> tuple[str, Json]:
        return "submission.recorded", {"item": "Y.1", "characters": int(characters)}

    def exempts(self, _unit: str, item: str) -> tuple[str, Json]:
        return "item.exempted", {"item": item, "reason": "不适用"}

    def closes(self, item: str) -> tuple[str, Json]:
        return "item.closed", {"item": item}

    def revokes(self, *_about: str) -> tuple[str, Json]:
        return "event.revoked", {"reason": "更正"}

    def appeals(self, *_about: str) -> tuple[str, Json]:
        return "appeal.filed", {"statement": "情况不符"}

    def decides(self, _appeal: str, outcome: str, *more: str) -> tuple[str, Json]:
        points = {"points": more[0]} if outcome == "revised" else {}
        return "appeal.decided", {"outcome": outcome, "reason": "复核", **points}

    def resolves(self, award: str, *units: str) -> tuple[str, Json]:
        return "tie.resolved", {"award": award, "units": [self.mark + unit for unit in units], "reason": "集体研究"}

    def adopts(self, name: str, value: str) -> tuple[str, Json]:
        return "reading.adopted", {"reading": name, "value": value, "reason": "会议纪要"}

    def reaches(self, stage: str) -> tuple[str, Json]:
        return "stage.reached", {"stage": stage}


def stepped(word: str, n: int) -> str:
    """The n-th value of `9-1`; any other word is the same for all."""
    first, dash, last = word.partition("-")
    return str(int(first) - n) if dash and first.isdigit() and last.isdigit() else word


# --- The year of a case -----------------------------------------------------------------------------------------------


@dataclass
class Year:
    """A year that one case, or all of a page, is folded in: the result of each set of readings asked for."""

    found: dict[str, Json]
    void: dict[int, str]
    written: dict[int, Case]
    first: dict[int, int]  # of each case, the sequence before its first event


@cache
def year(name: str, number: int | None) -> Year:
    """Fold a case, or the whole page, and score it under every reading that it names."""
    chosen = list(enumerate(page(name)["case"]))
    chosen = chosen if number is None else [chosen[number]]
    lines: list[bytes] = []
    roster: Roster = []
    made = Year({}, {}, {}, {})
    asked = {""}
    for n, case in chosen:
        written = Case(f"c{n}-" if number is None else "")
        written.enrol(case.get("units", ["B 1"]))
        for line in case["history"].strip().splitlines():
            written.write(line)
        made.written[n], made.first[n] = written, len(lines)
        lines += [json.dumps(event, ensure_ascii=False).encode() for event in written.events]
        roster += written.roster
        asked |= {case.get("under", "")} | (set(case["gives"]) if isinstance(case.get("gives"), dict) else set())
    with folded(b"\n".join(lines), roster) as found:
        for readings in sorted(asked):
            made.found[readings] = scored(found, dict(pair.split("=") for pair in readings.split()))
        made.void = dict(found.con.execute("SELECT seq, void_reason FROM event WHERE admission = 'void'").fetchall())
    return made


@pytest.mark.parametrize(("name", "number"), cases())
def test_the_register_reads(name: str, number: int) -> None:
    case = page(name)["case"][number]
    made = year(name, None if page(name).get("one_year") else number)
    written, before, under = made.written[number], made.first[number], case.get("under", "")
    rows = {row["seq"]: row for kind in ("deductions", "events") for row in made.found[under][kind]}
    rows |= {row["line"]: {"disposition": row["reason"]} for row in made.found[under]["refused"]}
    left = [line.partition("|")[0].rstrip() for line in case["history"].strip().splitlines()]
    expected = [(n, right) for n, right in written.said]
    found = [(n, shown(rows[before + n + 1], made.void.get(before + n + 1), right)) for n, right in written.said]
    assert expected == found, left
    gives = case.get("gives", {})
    for readings, claims in (gives if isinstance(gives, dict) else {under: gives}).items():
        for claim in claims.strip().splitlines():
            assert claim == f"{claim.partition('=')[0]}= {told(written, made.found[readings], claim)}", readings


@pytest.mark.parametrize(
    ("readings", "final"),
    [
        ({}, "10.35290000"), ({"matter_rule": "sum"}, "10.28290000"), ({"step": "geometric"}, "10.35664220"),
        ({"client_weights": "30/70"}, "10.35010000"), ({"year_end_scale": "100"}, "9.80540000"),
    ],
)  # fmt: skip
def test_the_worked_example_comes_to_what_was_worked_out_by_hand(readings: dict[str, str], final: str) -> None:
    folder = PAGES / "worked-example"
    with (folder / "roster.csv").open(encoding="utf-8") as file:
        roster = list(csv.DictReader(file))
    with folded((folder / "events.jsonl").read_bytes(), roster) as found:
        unit = next(row for row in scored(found, readings)["units"] if row["unit"] == "U042")
    assert (final, "final", []) == (unit["final"], unit["state"], unit["flags"])


def test_every_item_has_a_page_and_every_value_of_every_reading_is_on_one() -> None:
    names = {file.stem for file in PAGES.glob("*.toml")}
    assert set(ITEMS) <= names
    asked = {pair for name in names for case in page(name)["case"] for pair in readings_of(case)}
    assert {f"{name}={value}" for name, values in READINGS.items() for value in values[1:]} <= asked


def readings_of(case: Json) -> set[str]:
    """Every `name=value` that a case is read under."""
    gives = case.get("gives")
    asked = [case.get("under", ""), *(gives if isinstance(gives, dict) else ())]
    return {pair for readings in asked for pair in readings.split()}


def shown(row: Json, void: str | None, like: str) -> str:
    """What became of an event, told as fully as the page does: `counted_in_part 2: 5 -> 3`, `void closed`."""
    text = str(row["disposition"])
    if " " in like and void:
        return f"{text} {void}"
    if " " in like and "counted" in row:
        text += f" {short(row['counted'])}"
        text += f": {short(row['balance_before'])} -> {short(row['balance_after'])}" if "->" in like else ""
    return text


def short(points: str | None) -> str:
    """A decimal without the zeros that say nothing."""
    return "none" if points is None else f"{Decimal(points).normalize():f}"


def told(case: Case, found: Json, claim: str) -> str:
    """What the result says about the left of a claim, told as fully as its right: `U1 2.1 = 4.5 scored`."""
    left, _, right = (part.strip() for part in claim.partition("="))
    about, _, what = left.partition(" ")
    if about[0] == "U":
        units = sorted(row["unit"] for row in case.roster)
        first, _, last = about.partition("-")
        span = units[units.index(case.mark + first) : units.index(case.mark + (last or first)) + 1]
        answers = [of_unit(row, what, right) for row in found["units"] if row["unit"] in span]
        return answers[0] if len(set(answers)) == 1 else " ".join(answers)
    if about == "year":
        return str(found["assessment_state"])
    if about == "reading":
        return str(found["readings"][what])
    words = what.split()
    scope = words.pop(0) if words and words[0] not in ("quota", "undecided") else ""
    award = next(row for row in found["awards"] if row["award"] == about and scope in ("", row["scope"]))
    answer = award[words[0] if words else "units"]
    if not isinstance(answer, list):
        return str(answer)
    return " ".join(unit.removeprefix(case.mark) for unit in answer) or "none"


def of_unit(row: Json, what: str, like: str) -> str:
    """One thing about one unit."""
    if what in row["items"]:
        item = row["items"][what]
        return short(item["points"]) + (f" {item['state']}" if like.endswith(STATES) else "")
    if what in ("final", "daily", "year_end"):
        return short(row[what])
    value = row[what]
    return " ".join(value) or "none" if isinstance(value, list) else "none" if value is None else str(value).lower()
