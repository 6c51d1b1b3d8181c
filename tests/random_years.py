"""Random nasty years: valid events of every type, every refusal, duplicates, conflicts, references of every kind.

A year is a rulebook of random_books, a roster, and the lines of a file; all of it follows from one `random.Random`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from tests import oracle
from tests.oracle.text import canonical, checksum
from tests.product import BOOK_JSON, SHIPPED
from tests.random_books import draw_book, text

if TYPE_CHECKING:
    from random import Random

Json = dict[str, Any]
REASON = "见附"
STRAY = (
    "zzz",
    "aaa",
    "points",
    "node",
    "group",
    "measure",
    "case",
    "period",
    "item",
    "name",
)  # fields put where none is
ODD: list[Any] = [
    None, 1, True, [], {}, "", "x" * 201, "x" * 2001, "1.0000000", "01", "1e3", "-1", "-0", "+1", "1.", ".5", "99999",
    "0.0000001", "１", "U1", "assessment", "I1", "P1", "col", [1], ["x"], ["x", "x"], ["U1", "U99"], {"id": "x"},
    {"source": "x", "id": "y", "a": 1},
]  # fmt: skip


@dataclass
class RandomYear:
    """What one run of `wuxing score` is given."""

    rulebook: Json
    roster: list[Json]
    lines: list[bytes]
    readings: dict[str, str] = field(default_factory=dict)
    as_of: int | str | None = None
    opened: bool = False  # the file begins with its own opening, and neither rulebook nor roster is an option

    @property
    def data(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)

    def expected(self, lines: list[bytes] | None = None) -> Json:
        """What the oracle says."""
        pair = (self.rulebook, self.roster)
        given = {"shipped": (BOOK_JSON, SHIPPED)} if self.opened else {"rulebook": pair[0], "roster": pair[1]}
        lines = self.lines if lines is None else lines
        return oracle.score(lines, readings=self.readings, as_of=self.as_of, **given)


def private_key(party: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(party.encode()).digest())


def nkey(party: str) -> str:
    """The public nkey of a party whose private key is made from its name."""
    raw = bytes([20 << 3]) + private_key(party).public_key().public_bytes_raw()
    return base64.b32encode(raw + checksum(raw).to_bytes(2, "little")).decode()


def signature(event: Json, party: str) -> str:
    body = canonical(json.loads(json.dumps(event)))
    return base64.b64encode(private_key(party).sign(body.encode())).decode()


class YearDraw:
    """One year in the making: it remembers what it sent, and believes that everything took effect."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.book = draw_book(rng, rng.choice(["made-up", "y2013", "x"]))
        self.items = {row["code"]: row for row in self.book["item"]}
        self.categories = [row["code"] for row in self.book["category"]]
        self.offices = [row["code"] for row in self.book["office"]]
        self.holders = {code: list(row["offices"]) for code, row in self.items.items()}
        self.readings = {row["name"]: row["values"] for row in self.book.get("reading", [])}
        self.grades = [grade["code"] for scheme in self.book.get("scheme", []) for grade in scheme["grade"]]
        self.roster = self.draw_roster()
        self.units = {row["unit"]: dict(row) for row in self.roster}
        self.lines: list[bytes] = []
        self.sent: list[Json] = []
        self.keyed: set[str] = set()
        self.signing = False
        self.count = 0

    # --- small draws

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    def one(self, values: Any) -> Any:
        return self.rng.choice(list(values))

    def group_for(self, category: str) -> str:
        groups = self.book.get("group", [])
        fitting = [row["code"] for row in groups if row.get("category", category) == category]
        return str(self.one(fitting if groups else ["", "x", "y"]))

    def within(self, low: str, high: str) -> str:
        """A number of a range: mostly a boundary, the middle or near them, so that ties are many."""
        bottom, top = Fraction(low), Fraction(high)
        middle = (bottom + top) / 2
        near = [bottom, top, top, middle, bottom + (top - bottom) / 4, top - 1, top - Fraction(1, 1000000), middle + 1]
        if self.chance(20):
            near = [bottom + (top - bottom) * self.rng.randrange(1, 1000) / 1000]
        number = self.one(near)
        number = Fraction(int(number * 10**6), 10**6)
        return text(max(bottom, min(top, number)))

    def draw_attributes(self) -> Json:
        return {
            row["code"]: self.within(row["min"], row["max"])
            for row in self.book.get("attribute", []) if "default" not in row or self.chance(70)
        }  # fmt: skip

    def draw_roster(self) -> list[Json]:
        rows = []
        for n in range(1, self.rng.randint(3, 12) + 1):
            category = self.one(self.categories)
            row: Json = {"unit": f"U{n}", "name": f"单位{n}", "category": category, "group": self.group_for(category)}
            if "attribute" in self.book:
                row["attributes"] = self.draw_attributes()
            rows.append(row)
        return rows

    # --- lines

    def send(self, source: str, kind: str, subject: str, data: Json, **more: Any) -> Json:
        """One event on a line of its own."""
        self.count += 1
        minute = self.count if self.chance(95) else self.rng.randrange(200)
        event: Json = {
            "specversion": "1.0", "id": f"e{self.count}", "source": source, "type": f"{kind}.v1", "subject": subject,
            "time": f"2013-05-06T{9 + minute // 60:02d}:{minute % 60:02d}:00+08:00", "data": data, **more,
        }  # fmt: skip
        party = source.split("/", 2)[-1]
        if self.signing and self.chance(94):
            event["signature"] = signature(event, party if self.chance(97) else "other")
        self.write(event)
        self.sent.append(event)
        return event

    def write(self, event: Json) -> None:
        self.lines.append(json.dumps(event, ensure_ascii=False).encode())

    def of_office(self, office: str, kind: str, subject: str, **data: Any) -> Json:
        return self.send(f"/offices/{office}", kind, subject, data)

    def of_collector(self, kind: str, **data: Any) -> Json:
        return self.of_office("col", kind, "assessment", **data)

    def evidence(self) -> Json:
        choices: list[Json] = [{}, {"evidence": []}, {"evidence": ["附1", "附2"]}]
        return self.rng.choice(choices)

    # --- events of items

    def fitting(self, unit: str, *inputs: str) -> list[str]:
        """The items of a unit with such an input, or any item where it has none."""
        row = self.units[unit]
        wanted = [code for code, item in self.items.items() if item["input"] in inputs]
        own = [code for code in wanted if applies(self.items[code], row)]
        return own if own and self.chance(97) else wanted

    def entry(self) -> None:
        unit = self.one(self.units)
        codes = self.fitting(unit, "entries")
        if not codes:
            return self.rate()
        item = self.items[self.one(codes)]
        ground = self.one(item["ground"])
        data: Json = {
            "item": item["code"],
            "matter": self.one(["M1", "M1", "M2", "M3"]),
            "ground": ground["code"],
            "reason": REASON,
        }
        if "points" not in ground:
            low = ground.get("min", ground.get("above"))
            data["points"] = self.stepped(low, ground)
        if "node" in item:
            data["node"] = self.one(item["node"])["code"]
        kind = "bonus.recorded" if ground.get("adds") else "deduction.recorded"
        self.of_office(self.one(self.holders[item["code"]]), kind, unit, **data, **self.evidence())
        return None

    def stepped(self, low: str, ground: Json) -> str:
        """Points of a ground's range, now and then just beyond it or off its steps."""
        bottom, top = Fraction(low), Fraction(ground["max"])
        step = Fraction(ground.get("step", "0.25"))
        steps = int((top - bottom) / step)
        number = bottom + step * self.rng.randint(0 if "min" in ground else 1, max(steps, 1))
        if self.chance(15):
            number = self.one([top, top, bottom, top + Fraction(1, 1000000), number + Fraction(1, 100)])
        return text(min(number, top) if self.chance(90) else number)

    def rate(self, unit: str | None = None, item: Json | None = None) -> None:
        whole, unit = unit is not None, unit or self.one(self.units)
        codes = self.fitting(unit, "ratings")
        if item is None:
            if not codes:
                return
            item = self.items[self.one(codes)]
        named: Json = {"item": item["code"]}
        measure = self.one(item["measure"]) if "measure" in item else item["range"]
        if "runs" in item:
            periods = self.book["period"][0]["values"] if item["runs"] != "case" else ["C1", "C2", "C3"]
            named["case" if item["runs"] == "case" else "period"] = self.one(periods)
        for one in item.get("measure", []) if whole or self.chance(60) else [measure]:
            self.rate_measure(unit, item, dict(named), one)

    def rate_measure(self, unit: str, item: Json, data: Json, measure: Json) -> None:
        low, high = measure.get("min", "0"), measure.get("max", "1")
        data["value"] = self.one([low, high]) if measure.get("binary") and self.chance(95) else self.within(low, high)
        data["rater"] = self.one(["r1", "r1", "r2", "r3", "r4"])
        if "measure" in item:
            data["measure"] = measure["code"]
        if "raters" in item:
            data["group"] = self.one(item["raters"])["code"]
        self.of_office(self.one(self.holders[item["code"]]), "rating.recorded", unit, **data)

    def submit(self) -> None:
        code = self.one([code for code, item in self.items.items() if "characters" in item] or self.items)
        number = self.one([0, 1, 99, 100, 101, 5000])
        self.of_office(
            self.one(self.holders[code]), "submission.recorded", self.one(self.units), item=code, characters=number
        )

    def exempt(self) -> None:
        unit = self.one(self.units)
        code = self.one(self.fitting(unit, "entries", "ratings"))
        self.of_office(self.one(self.holders[code]), "item.exempted", unit, item=code, reason=REASON)

    def close(self) -> None:
        code = self.one(self.items)
        offices = self.holders[code]
        for office in offices if self.chance(70) else [self.one(offices)]:
            self.of_office(office, "item.closed", "assessment", item=code)

    # --- events about events, units and the year

    def fact(self) -> None:
        if "attribute" not in self.book:
            return
        row = self.one(self.book["attribute"])
        value = self.within(row["min"], row["max"]) if self.chance(92) else self.one(["1000", "-1000"])
        office = self.one(row.get("offices", ["col"]))
        self.of_office(office, "fact.recorded", self.one(self.units), attribute=row["code"], value=value, reason=REASON)

    def veto(self) -> None:
        if "veto" not in self.book:
            return
        row = self.one(self.book["veto"])
        office = self.one(row["offices"])
        self.of_office(
            office, "veto.recorded", self.one(self.units), veto=row["code"], reason=REASON, **self.evidence()
        )

    def target(self, *kinds: str) -> Json | None:
        """Something sent, mostly of such a kind, mostly of late."""
        wanted = (
            [event for event in self.sent if event["type"].rpartition(".v1")[0] in kinds]
            if self.chance(92)
            else self.sent
        )
        wanted = wanted or self.sent
        return self.one(wanted[-8:] if self.chance(60) else wanted) if wanted else None

    def reference(self, event: Json) -> Json:
        return {"source": event["source"], "id": event["id"] if self.chance(97) else "nothing"}

    def subject_of(self, event: Json) -> str:
        return str(event["subject"] if self.chance(96) else self.one(self.units))

    def revoke(self) -> None:
        kinds = (
            "deduction.recorded", "bonus.recorded", "rating.recorded", "item.closed", "item.exempted", "appeal.filed",
            "appeal.decided", "approval.recorded", "fact.recorded", "veto.recorded", "reading.adopted", "stage.reached",
            "tie.resolved",
        )  # fmt: skip
        event = self.target(*kinds)
        if event is not None:
            source = event["source"] if self.chance(90) else f"/offices/{self.one(self.offices)}"
            item = event["data"].get("item")
            if item in self.holders and self.chance(30):
                source = f"/offices/{self.one(self.holders[item])}"
            self.send(
                source, "event.revoked", self.subject_of(event), {"target": self.reference(event), "reason": REASON}
            )

    def appeal(self) -> None:
        event = self.target("deduction.recorded", "bonus.recorded", "rating.recorded", "veto.recorded")
        if event is not None:
            unit = self.subject_of(event)
            data = {"target": self.reference(event), "statement": "不服"}
            self.send(f"/units/{unit}", "appeal.filed", unit, data)

    def decide(self) -> None:
        event = self.target("appeal.filed")
        if event is None:
            return
        outcome = self.one(["upheld", "cancelled", "revised", "revised"])
        data: Json = {"appeal": self.reference(event), "outcome": outcome, "reason": REASON}
        if outcome == "revised":
            data["points"] = self.one(["0", "0.5", "1", "2", "50", "0.25", "-1"])
        office = self.book["roles"].get("appeals", "col")
        self.of_office(office, "appeal.decided", self.subject_of(event), **data)

    def approve(self) -> None:
        awaited = [event for event in self.sent if self.needs_approval(event)]
        event = (
            self.one(awaited) if awaited and self.chance(92) else self.target("deduction.recorded", "rating.recorded")
        )
        if event is not None:
            outcome = self.one(["approved", "approved", "rejected"])
            office = self.book["roles"].get("approvals", "col")
            data = {"target": self.reference(event), "outcome": outcome, "reason": REASON}
            self.of_office(office, "approval.recorded", self.subject_of(event), **data)

    def needs_approval(self, event: Json) -> bool:
        grounds = self.items.get(event["data"].get("item", ""), {}).get("ground", [])
        return any(row.get("approval") and row["code"] == event["data"].get("ground") for row in grounds)

    def resolve(self) -> None:
        """Ties that the oracle finds now, in some order; or anything."""
        if not self.grades:
            return
        found = []
        if self.chance(80):
            result = RandomYear(self.book, self.roster, self.lines, opened=self.is_open).expected()
            found = [
                (row["grade"], row["undecided"])
                for scheme in result["schemes"]
                for row in scheme["grades"]
                if row["undecided"]
            ]
        if found:
            for grade, units in found if self.chance(50) else found[:1]:
                self.of_collector("tie.resolved", grade=grade, units=self.rng.sample(units, len(units)), reason=REASON)
        elif len(self.units) > 1 and self.chance(30):
            units = self.rng.sample(sorted(self.units), 2)
            self.of_collector("tie.resolved", grade=self.one(self.grades), units=units, reason=REASON)

    @property
    def is_open(self) -> bool:
        return any(event["type"] == "assessment.opened.v1" for event in self.sent[:1])

    def adopt(self, name: str | None = None, *, default: bool = False) -> None:
        parameters = ["publicity_days", "appeal_days", "decision_days", "individuals_per_unit"]
        name = name or self.one([*self.readings, *self.readings, *parameters])
        value = self.one(self.readings.get(name, ["1", "2", "7"]))
        if default and name in self.readings:
            value = self.readings[name][0]
        self.of_collector("reading.adopted", reading=name, value=value, reason=REASON)

    def change(self) -> None:
        unit = self.one(self.units)
        kind = self.one(["joined", "renamed", "moved", "moved", "left", "left"])
        data: Json = {"change": kind}
        category = self.one(self.categories)
        if kind == "joined":
            unit = self.one([f"N{self.rng.randrange(3)}", unit])
            data |= {
                "name": "新",
                "category": category,
                "group": self.group_for(category),
                "attributes": self.draw_attributes(),
            }
            self.units.setdefault(unit, {"unit": unit, **data})
        elif kind == "renamed":
            data["name"] = "改"
        elif kind == "moved":
            data |= {"category": category, "group": self.group_for(category)}
            self.units[unit] |= {"category": category, "group": data["group"]}
        self.of_office("col", "unit.changed", unit, **data, reason=REASON)

    def transfer(self) -> None:
        code = self.one(self.items)
        away, to = self.one(self.holders[code] if self.chance(90) else self.offices), self.one(self.offices)
        if away in self.holders[code] and to not in self.holders[code]:
            self.holders[code][self.holders[code].index(away)] = to
        self.of_collector("item.transferred", item=code, **{"from": away}, to=to, reason=REASON)

    def new_key(self) -> None:
        party = self.one([*self.offices, *self.units]) if self.chance(90) else "nobody"
        key = nkey(party) if self.chance(90) else self.one([nkey(party)[:-1] + "A", "SU" + nkey(party)[2:], ""])
        self.of_collector("key.changed", party=party, key=key, reason=REASON)

    def stage(self) -> None:
        names = [row["code"] for row in self.book.get("stage", [])]
        self.of_collector("stage.reached", stage=self.one([*names, *names, "finalised"]))

    def opening(self, roster: list[Json] | None = None) -> None:
        """The whole year inside an event; keys where signatures are required."""
        roster = roster or self.roster
        data: Json = {"assessment": self.one(["made-up", "year_2013"]), "rulebook": self.book, "roster": roster}
        if self.chance(40):
            data["synthetic"] = self.chance(80)
        if self.signing or self.chance(30):
            data["keys"] = {
                party: nkey(party) for party in (*self.offices, *self.units) if self.chance(95) or party == "col"
            }
        self.of_collector("assessment.opened", **data)

    # --- repetitions and faults

    def repeat(self) -> None:
        """A line again: the same content in another spelling, or other content under the same id."""
        if not self.sent:
            return
        event = json.loads(json.dumps(self.one(self.sent)))
        kind = self.rng.randrange(5)
        if kind == 0:
            event = dict(reversed(event.items()))
        elif kind == 1:
            event["extra"] = "x"
        elif kind == 2:
            event["time"] = event["time"].replace("+08:00", ".0+08:00")
        elif kind == 3:
            event["data"] = {**event["data"], **{key: "0.50" for key in ("points", "value") if key in event["data"]}}
            event["data"] |= {"reason": "另"} if "reason" in event["data"] else {}
        if self.signing:
            event.pop("signature", None)
            event["signature"] = signature(event, event["source"].split("/", 2)[-1])
        self.write(event)

    def fault(self) -> None:
        """A good event with one thing wrong."""
        if not self.sent:
            return
        event = json.loads(json.dumps(self.one(self.sent)))
        event["id"] += f"-{self.count}f{len(self.lines)}"
        self.one([self.spoil_envelope, self.spoil_data, self.spoil_data, self.spoil_data, self.spoil_line])(event)

    def spoil_envelope(self, event: Json) -> None:
        key = self.one(["specversion", "id", "source", "type", "subject", "time", "data"])
        values: dict[str, list[Any]] = {
            "source": ["/offices/nobody", "/units/U1", f"/offices/{self.one(self.offices)}", "", 1, "x" * 201],
            "type": ["deduction.recorded", "rating.recorded.v2", "", None],
            "subject": ["U99", "assessment", "", "U.1", "x" * 65, 7, self.one(self.offices), self.one(self.units)],
            "time": ["2013-02-29T00:00:00Z", "2013-05-06T09:30:60Z", "2013-05-06 09:30:00Z", "2013-05-06T24:00:00Z",
                     "2013-05-06T09:30:00", "2013-05-06t09:30:00z", "2012-02-29T00:00:00.123456789Z", 5],
            "specversion": ["0.3", 1.0, None], "id": ["", "x" * 201, 3], "data": [[], None, "x"],
        }  # fmt: skip
        if self.chance(20):
            del event[key]
        else:
            event[key] = self.one(values[key])
        self.write(event)

    def spoil_data(self, event: Json) -> None:
        data = event["data"]
        key = self.one(data)
        kind = self.rng.randrange(6)
        if kind == 0:
            del data[key]
        elif kind == 1:
            data[self.one(STRAY)] = self.one(["1", "x", "n1", "ra1"])
        elif kind == 2 and isinstance(data[key], dict) and data[key] and key != "rulebook":
            data[key][self.one([*data[key], "zz"])] = self.one(ODD)
        elif kind == 3 and isinstance(data[key], list) and data[key]:
            data[key][self.rng.randrange(len(data[key]))] = self.one(ODD)
        elif kind == 4 and "item" in data:
            data["item"] = self.one([*self.items, "I999"])
        elif kind == 5 and "ground" in data:
            data["ground"] = self.one(["d0", "b0", "d1", "nothing"])
        else:
            data[key] = self.one(ODD)
        if "signature" in event:
            del event["signature"]
            event["signature"] = signature(event, event["source"].split("/", 2)[-1])
        self.write(event)

    def spoil_line(self, event: Json) -> None:
        """Bytes that are no event, or hardly one."""
        line, inside = json.dumps(event, ensure_ascii=False), '"data": {'
        deep = ["[" * depth + "]" * depth for depth in (62, 63, 64)]
        spoilt = [
            *(
                "",
                "{}",
                "[]",
                "null",
                '"x"',
                "\t",
                line[:-1],
                line + "}",
                "\ufeff" + line,
                f" {line}\r",
                "[" * 65 + "]" * 65,
            ),
            line.replace('"data"', '"id": "twice", "data"'),
            line.replace(inside, inside + '"n": NaN, '),
            line.replace(inside, inside + '"s": "\\ud800", '),
            *(line.replace(inside, f'"x": {nested}, {inside}') for nested in deep),
            line.replace(inside, f'"x": "{"y" * (66000 if self.chance(40) else 600)}", {inside}'),
        ]
        self.lines.append(b"\xff" if self.chance(5) else self.one(spoilt).encode())

    # --- the whole

    def finish(self) -> None:
        """Everything that final asks for, mostly."""
        pairs = [(unit, item) for item in self.items.values() for unit in self.units if item["input"] == "ratings"]
        for unit, item in pairs:
            if applies(item, self.units[unit]):
                self.rate(unit, item)
        for code, offices in self.holders.items():
            for office in offices if self.chance(97) else ():
                self.of_office(office, "item.closed", "assessment", item=code)
        for row in (*self.book.get("reading", []), *self.book.get("parameter", [])):
            if row.get("source") == "assumption" and self.chance(97):
                self.adopt(row["name"], default=self.chance(70))
        self.settle()
        self.resolve()
        for row in self.book.get("stage", []):
            self.of_collector("stage.reached", stage=row["code"])
        self.of_collector("stage.reached", stage="finalised")

    def settle(self) -> None:
        """Decide every appeal, approve every entry that asks for it."""
        for event in [event for event in self.sent if event["type"] == "appeal.filed.v1"]:
            data = {"appeal": self.reference(event), "outcome": "upheld", "reason": REASON}
            self.of_office(self.book["roles"].get("appeals", "col"), "appeal.decided", event["subject"], **data)
        for event in [event for event in self.sent if self.needs_approval(event)]:
            data = {"target": self.reference(event), "outcome": "approved", "reason": REASON}
            self.of_office(self.book["roles"].get("approvals", "col"), "approval.recorded", event["subject"], **data)

    def draw(self) -> RandomYear:
        required = self.book.get("signatures") == "required"
        opened, first = required or self.chance(25), 0
        if opened:
            if self.chance(20):
                self.lines += [b"", b"{}"]
            self.signing = required or self.chance(30)
            self.opening()
            first = len(self.lines)
        elif self.chance(8):
            self.opening(self.roster[:-1] or self.roster)  # the options win over it
        acts = (
            [self.entry] * 12 + [self.rate] * 18 + [self.exempt] * 2 + [self.close] * 2 + [self.fact] * 2
            + [self.veto] * 2
            + [self.approve] * 3 + [self.revoke] * 5 + [self.appeal] * 4 + [self.decide] * 4 + [self.resolve] * 1
            + [self.adopt] * 2 + [self.change] * 2 + [self.transfer] * 2 + [self.stage] * 2 + [self.repeat] * 4
            + [self.fault] * 6 + [self.submit, self.new_key]
        )  # fmt: skip
        for _ in range(self.rng.choice([10, 20, 40, 80])):
            self.one(acts)()
        if self.chance(1):
            self.opening()
        if self.chance(35):
            self.finish()
            if self.chance(40):
                self.revoke()
            for _ in range(self.rng.choice([0, 4, 12])):
                self.one(acts)()
        options = {name: self.one(values) for name, values in self.readings.items() if self.chance(25)}
        as_of = self.one(
            [None, None, None, None, self.rng.randint(0, len(self.lines) + 1), "2013-05-06T09:40:00+08:00"]
        )
        if opened and (isinstance(as_of, str) or (as_of is not None and as_of < first)):
            options = {}  # perhaps before the opening, and without its readings
        return RandomYear(self.book, self.roster, self.lines, options, as_of, opened)


def applies(item: Json, row: Json) -> bool:
    """Whether an item is there for a unit, as far as its own table says."""
    rule = item.get("applies", {})
    return row["category"] in rule.get("categories", [row["category"]]) and row["group"] in rule.get(
        "groups", [row["group"]]
    )


def draw_year(rng: Random) -> RandomYear:
    return YearDraw(rng).draw()


def years() -> st.SearchStrategy[RandomYear]:
    """Hypothesis draws the Random, so it can shrink what was drawn from it."""
    return st.randoms(use_true_random=False).map(draw_year)
