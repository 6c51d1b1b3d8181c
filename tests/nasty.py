"""Random nasty years: files of events in which every rule of the regulation collides and every refusal is met.

A seed gives the same bytes for ever. Some seeds are calm and complete, so that `finalised` is reached and awards tie;
others are chaos. The generator knows the wire, not the rules: what its lines come to is for the oracle to say.
"""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.oracle import (
    AWARDS,
    COMPONENTS,
    GROUNDS,
    GROUPS,
    ITEMS,
    NODES,
    OFFICES,
    OUTCOMES,
    PARAMETERS,
    READINGS,
    STAGES,
    score,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
Roster = list[dict[str, str]]

RATED = [item for item, row in ITEMS.items() if not row.deducts]
DEDUCTED = [item for item, row in ITEMS.items() if row.deducts]
# Exact text is compared: composed and decomposed é differ, and the digest escapes as it must.
MATTERS = ["批示-1", "批示-2", "M", "m", "M ", "\u00e9", "e\u0301", 'a"b\\c', "tab\tand\u001f", "del\u007f\u2028", "𝄞"]
RATERS = ["考评组", "专家1", "专家2", "专家3", "专家4"]
POINTS = {
    "1.2": ["0.000001", "0.3", "1", "1.0", "2.5", "5"],
    "1.3": ["0.80", "1.25", "3", "9.999999", "10", "20"],
    "1.4": ["0.5", "1", "1.0", "1.5", "2", "2.000000"],
}
REVISIONS = ["0", "0.0", "0.5", "0.333333", "1", "1.5", "2", "3", "5", "10", "20", "100", "120", "120.000001"]


def decimal(rng: Random, top: int, *, fine: bool) -> str:
    """A value from 0 to `top`: one of few when equal values are wanted, else any with up to six decimals."""
    if not fine:
        step = top * rng.choice((0, 4, 6, 7, 8, 8, 9, 10))
        return rng.choice((f"{step // 10}.{step % 10}", f"{step // 10}.{step % 10}0", f"{step // 10}.{step % 10}"))
    places = rng.randint(1, 6)
    whole, rest = divmod(rng.randint(0, top * 10**places), 10**places)
    return f"{whole}.{rest:0{places}d}"


def moment(rng: Random) -> str:
    """A time of 2013, in one of the spellings that the contract allows."""
    base = f"2013-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00"
    return base + rng.choice(("Z", "+08:00", "+08:00", "+08:00", "-00:00", ".5Z", ".123456789012+23:59", "-11:30"))


class Writer:
    """A year as it is written: the lines so far, and the events that later ones may refer to."""

    def __init__(self, rng: Random, roster: Roster, malformed: float, rulebook: Json | None) -> None:
        self.rng, self.roster, self.malformed, self.rulebook = rng, roster, malformed, rulebook
        self.units = [row["unit"] for row in roster]
        self.lines: list[bytes] = []
        self.sent: list[Json] = []
        self.number = 0
        self.fine = rng.random() < 0.4
        self.raters = RATERS[: rng.choice((1, 2, 3, 5))]
        self.hot = self.units[:3]  # what collides, collides here
        self.outcomes: tuple[str, ...] = (*OUTCOMES, "revised")
        self.spoiled: list[Json] = []
        self.decided: set[str] = set()
        self.matters = rng.sample(MATTERS, rng.choice((1, 3, 6)))

    # One event of each type

    def event(self, source: str, kind: str, subject: str, data: Json) -> Json:
        """An envelope with a new id."""
        self.number += 1
        spelled = self.rng.choice(("e", "e", "e", "号-", "\u001f", '"', "é", "🧾")) if self.rng.random() < 0.1 else "e"
        event = {"specversion": "1.0", "id": f"{spelled}{self.number}", "source": source, "type": kind,
                 "subject": subject, "time": moment(self.rng), "data": data}  # fmt: skip
        if self.rng.random() < 0.05:
            extra: list[Any] = ["x", None, [1], {"a": 1}]
            event[self.rng.choice(("traceparent", "datacontenttype", "ext"))] = self.rng.choice(extra)
        return event

    def office(self, item: str) -> str:
        return "/offices/" + self.rng.choice(ITEMS[item].offices)

    def unit(self) -> str:
        """A unit, often one of those where things collide."""
        return self.rng.choice(self.hot if self.rng.random() < 0.4 else self.units)

    def deduction(self, unit: str, item: str) -> Json:
        ground = self.rng.choice(list(GROUNDS[item]))
        data = {"item": item, "matter": self.rng.choice(self.matters), "ground": ground, "reason": "见附"}
        if item in POINTS:
            data["points"] = self.rng.choice(POINTS[item])
        if item == "1.4":
            data["node"] = self.rng.choice(NODES)
        event = self.event(self.office(item), "deduction.recorded.v1", unit, data)
        if self.rng.random() < 0.3:
            event["data"]["evidence"] = ["督查通报2013-5"][: self.rng.randint(0, 1)]
        return event

    def rating(self, unit: str, item: str, component: str | None = None, value: str | None = None) -> Json:
        rng = self.rng
        data: Json = {"item": item, "rater": rng.choice(self.raters)}
        data["value"] = value or decimal(rng, ITEMS[item].top, fine=self.fine)
        if item == "2.2":
            data["group"] = rng.choice(GROUPS)
        if item == "4.1":
            data["case"] = rng.choice(("实例一", "实例二"))
        if item in COMPONENTS:
            data["component"] = component or rng.choice(list(COMPONENTS[item]))
            if data["component"] in ("exchange", "internal"):
                data["value"] = value or rng.choice(("0", "1", "1.0", "0.000000"))
        return self.event(self.office(item), "rating.recorded.v1", unit, data)

    def submission(self, unit: str) -> Json:
        data = {"item": "Y.1", "characters": self.rng.choice((0, 4800, 5000))}
        return self.event("/offices/kaoji", "submission.recorded.v1", unit, data)

    def exemption(self, unit: str, item: str) -> Json:
        return self.event(self.office(item), "item.exempted.v1", unit, {"item": item, "reason": "不适用"})

    def closing(self, item: str, office: str | None = None) -> Json:
        source = f"/offices/{office}" if office else self.office(item)
        return self.event(source, "item.closed.v1", "assessment", {"item": item})

    def reference(self, kinds: tuple[str, ...]) -> Json:
        """An event to refer to: mostly one that was sent, of these types if there is one."""
        rng = self.rng
        pool = [event for event in self.sent if event["type"] in kinds] if rng.random() < 0.85 else self.sent
        if rng.random() < 0.05 or not pool:
            later = {"source": self.office(rng.choice(DEDUCTED)), "id": f"e{self.number + rng.randint(1, 9)}"}
            return {**later, "subject": rng.choice(self.units), "type": "", "data": {}}
        return rng.choice(pool[-40:] if rng.random() < 0.6 else pool)

    def unit_or(self, subject: str) -> str:
        """The subject, or now and then another's."""
        return self.rng.choice(self.units) if self.rng.random() < 0.07 else subject

    def revocation(self) -> Json:
        kinds = self.rng.choice((
            ("deduction.recorded.v1", "rating.recorded.v1"), ("item.closed.v1", "item.exempted.v1"),
            ("appeal.filed.v1",), ("appeal.decided.v1",), ("event.revoked.v1",),
            ("stage.reached.v1", "reading.adopted.v1", "tie.resolved.v1"),
        ))  # fmt: skip
        target = self.reference(kinds)
        about = {"target": {"source": target["source"], "id": target["id"]}, "reason": "更正"}
        subject = target["subject"] if target["source"].startswith("/units/") else self.unit_or(target["subject"])
        return self.event(target["source"], "event.revoked.v1", subject, about)

    def appeal(self) -> Json:
        target = self.reference((self.rng.choice(("deduction.recorded.v1", "rating.recorded.v1")),))
        unit = self.unit_or(target["subject"])
        unit = unit if unit in self.units else self.rng.choice(self.units)
        about = {"target": {"source": target["source"], "id": target["id"]}, "statement": "情况不符"}
        return self.event(f"/units/{unit}", "appeal.filed.v1", unit, about)

    def decision(self, appeal: Json | None = None) -> Json:
        appeals = [event for event in self.sent if event["type"] == "appeal.filed.v1"]
        waiting = [event for event in appeals if event["id"] not in self.decided]
        if appeal is None and waiting and self.rng.random() < 0.7:
            appeal = self.rng.choice(waiting)
        appeal = appeal or self.reference(("appeal.filed.v1",))
        self.decided.add(appeal["id"])
        unit = self.unit_or(appeal["subject"])
        outcome = self.rng.choice(self.outcomes)
        about = {"appeal": {"source": appeal["source"], "id": appeal["id"]}, "outcome": outcome, "reason": "复核"}
        if outcome == "revised":
            about["points"] = self.rng.choice(REVISIONS)
        unit = unit if unit in self.units else self.rng.choice(self.units)
        return self.event("/offices/gongwei", "appeal.decided.v1", unit, about)

    def tie(self, award: str, units: list[str]) -> Json:
        data = {"award": award, "units": units, "reason": "集体研究"}
        return self.event("/offices/chuangjian", "tie.resolved.v1", "assessment", data)

    def reading(self, name: str, value: str | None = None) -> Json:
        value = value or self.rng.choice(READINGS.get(name, ("0", "7", "10", "999")))
        data = {"reading": name, "value": value, "reason": "会议纪要"}
        return self.event("/offices/chuangjian", "reading.adopted.v1", "assessment", data)

    def stage(self, stage: str) -> Json:
        return self.event("/offices/chuangjian", "stage.reached.v1", "assessment", {"stage": stage})

    def opening(self) -> Json:
        data = {"assessment": "nasty-2013", "rulebook": self.rulebook, "roster": self.roster}
        return self.event("/offices/chuangjian", "assessment.opened.v1", "assessment", deepcopy(data))

    def any_event(self) -> Json:
        """An event of any type, its subject and item from anywhere."""
        rng, unit = self.rng, self.unit()
        makers: list[tuple[int, Callable[[], Json]]] = [
            (26, lambda: self.deduction(unit, rng.choice(DEDUCTED))),
            (36, lambda: self.rating(unit, rng.choice(RATED))),
            (2, lambda: self.submission(unit)), (3, lambda: self.exemption(unit, rng.choice(list(ITEMS)))),
            (1, lambda: self.closing(rng.choice(list(ITEMS)))), (11, self.revocation), (9, self.appeal),
            (9, self.decision), (3, lambda: self.reading(rng.choice((*READINGS, *PARAMETERS)))),
            (1, lambda: self.stage(rng.choice(STAGES))), (1, lambda: self.tie(rng.choice(AWARDS), self.some_units())),
        ]  # fmt: skip
        return rng.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()

    def some_units(self) -> list[str]:
        return self.rng.sample(self.units, min(len(self.units), self.rng.randint(2, 4)))

    # Lines

    def encode(self, event: Json) -> bytes:
        """The event with its keys in some order, some spacing and some escaping."""
        rng = self.rng
        keys = list(event)
        if rng.random() < 0.3:
            rng.shuffle(keys)
        data = event.get("data")
        if isinstance(data, dict) and rng.random() < 0.3:
            names = list(data)
            rng.shuffle(names)
            event = {**event, "data": {name: data[name] for name in names}}
        spaced = rng.choice(((",", ":"), (", ", ": "), (" ,\t", " : ")))
        text = json.dumps({key: event[key] for key in keys}, ensure_ascii=rng.random() < 0.3, separators=spaced)
        for spelling, number in RAW.items():
            text = text.replace(f'"{spelling}"', number)
        return text.encode("utf-8", "surrogatepass")

    def write(self, event: Json) -> None:
        """The event's line, and around it what hurts: a malformed line, a duplicate, a conflict."""
        rng = self.rng
        self.lines.append(self.encode(event))
        self.sent.append(event)
        while rng.random() < self.malformed:
            self.lines.append(broken(self))
        if rng.random() < 0.02:
            self.lines.append(self.encode(rng.choice(self.sent)))
        if rng.random() < 0.02:
            other = deepcopy(rng.choice(self.sent))
            other["time"] = moment(rng)
            if rng.random() < 0.5 and "value" in other["data"]:
                other["data"]["value"] += "0" if "." in other["data"]["value"] else ".0"
            self.lines.append(self.encode(other))
            if rng.random() < 0.3:
                self.lines.append(self.lines[-1])

    def whole(self) -> bytes:
        """The file: LF or CRLF, with or without a last line end."""
        ends = [b"\r\n" if self.rng.random() < 0.03 else b"\n" for _ in self.lines]
        whole = b"".join(line + end for line, end in zip(self.lines, ends, strict=True))
        return whole[:-1] if self.rng.random() < 0.2 else whole

    def settle(self) -> None:
        """A tie.resolved that fits for each tie undecided now, and now and then one that does not."""
        for award in score(self.so_far(), roster=self.roster)["awards"]:
            if len(award["undecided"]) > 1:
                units = list(award["undecided"])
                self.rng.shuffle(units)
                if self.rng.random() < 0.2:
                    self.write(self.tie(award["award"], self.some_units()))
                self.write(self.tie(award["award"], units))

    def so_far(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)


# --- Malformed lines --------------------------------------------------------------------------------------------------

# Spellings that json.dumps would not write, put in after it.
RAW = {
    "@minus-zero": "-0", "@fraction": "4800.0", "@exponent": "48e2", "@negative": "-1", "@huge": "1" + "0" * 5000,
    "@big": "9" * 30, "@nan": "NaN", "@infinity": "-Infinity", "@e400": "1e400", "@zeros": "007",
    "@minus-5001": "-5001",
    "@surrogate": '"\\ud800"', "@low": '"\\udc00x"', "@pair": '"\\ud834\\udd1e"', "@swapped": '"\\udd1e\\ud834"',
    "@escape": '"\\x41"', "@control": '"a\u0001b"', "@deep64": "[" * 63 + "]" * 63, "@deep65": "[" * 64 + "]" * 64,
    "@deeper": "[" * 3000 + "]" * 3000, "@objects65": '{"a":' * 64 + "1" + "}" * 64,
    "@objects64": '{"a":' * 63 + "1" + "}" * 63,
    "@twice": '{"a":1,"a":1}', "@twice-escaped": '{"a":1,"\\u0061":2}', "@surrogate-key": '{"\\ud800":1}',
    "@comma": "[1,]", "@quote": "'x'", "@plus": "+1", "@dot": "1.", "@true": "True",
}  # fmt: skip
JUNK: list[Any] = [
    None, True, 5, "", "x", "x" * 200, "x" * 201, "长" * 200, "长" * 201, "x" * 2000, "x" * 2001, [], {}, ["x"],
    {"source": "/offices/ducha", "id": "e1"}, {"source": "/offices/ducha"}, {"id": "e1"}, {"source": "", "id": "e1"},
    {"source": "/offices/ducha", "id": 5}, {"source": "/offices/ducha", "id": "e1", "z": 1, "a": 2},
    "0", "1", "-1", "+1", "-0", "01", "00", ".5", "1.", "1.0000000", "0.0000001", "1e0", " 1", "1 ", "１", "٣", "1,5",
    "NaN",
    "0.000000", "0.000001", "2.5", "2.50", "0.75", "5.000001", "20.000001", "100.000001", "120.000001", "1" * 200,
    "1" * 201,
    "9" * 30, "plan", "quarter_5", "leader", "clients", "exchange", "accuracy", "revised", "first", "third",
    "finalised",
    "1.1", "1.3", "1.4", "2.1", "2.2", "2.4", "3.2", "4.1", "Y.1", "9.9", "y.1", "1.10", "no_feedback", "criticised",
    "accident", "handling", "late_or_unmet", "problem_serious", "assessment", "matter_rule", "publicity_days", "07",
    "1000",
]  # fmt: skip
REFERENCES: list[Any] = [value for value in JUNK if isinstance(value, (dict, list)) or value is None]
TIMES = [
    None, 5, "", "2013-02-30T00:00:00Z", "2013-02-29T00:00:00Z", "2012-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z", "2013-13-01T00:00:00Z", "2013-00-01T00:00:00Z", "2013-01-00T00:00:00Z",
    "2013-01-01T24:00:00Z",
    "2013-01-01T23:60:00Z", "2013-01-01T23:59:60Z", "2013-01-01T00:00:00", "2013-01-01 00:00:00Z",
    "2013-01-01t00:00:00Z",
    "2013-01-01T00:00:00z", "2013-01-01T00:00:00.Z", "2013-01-01T00:00:00,5Z", "2013-01-01T00:00Z", "2013-01-01",
    "2013-01-01T00:00:00+08", "2013-01-01T00:00:00+0800", "2013-01-01T00:00:00+24:00", "2013-01-01T00:00:00+08:60",
    "2013-01-01T00:00:00+23:59", "2013-01-01T00:00:00-00:00", "２013-01-01T00:00:00Z", "12013-01-01T00:00:00Z",
    "2013-01-01T00:00:00." + "1" * 179 + "Z", "2013-01-01T00:00:00." + "1" * 180 + "Z", "2013-01-01T00:00:00Z ",
    "2013-01-01T00:00:00Z\n", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
]  # fmt: skip
SUBJECTS = [None, 5, "", "x" * 200, "x" * 201, "assessment", "U999", "u001", "U 1", ["U001"], "U001.x", "*"]
LINES = [
    b"", b" ", b"\t", b"\r", b"{", b"}", b"{}", b"[]", b"null", b"5", b'"x"', b"[{}]", b"{}{}", b"NaN", b"\xff\xfe",
    b"\x00",
    b"\xef\xbb\xbf", b"\xef\xbb\xbf{}", b"{'a':1}", b'{"a":1,}', b'{"a" 1}', b"// no", b"\xc2\xa0{}",
    b'{"id":"\xed\xa0\x80"}',
    b'{"id":"\xc0\xaf"}', b"[" * 100, b"[" * 60000, b"\x0c{}", b'{"specversion":"1.0"}',
    b'{"specversion":"1.0","id":"a"}',
    b'{"specversion":"1.0","specversion":"1.0"}', b'{"specversion":"1.0","id":"a","source":"b"}',
    b'{"id":5,"source":[]}',
    b'{"specversion":"1.0","id":"a","source":"b","type":"stage.reached.v1"}', b"9" * 5000, b"\xf4\x90\x80\x80",
    b"[1e5]",
]  # fmt: skip


def odd_line(writer: Writer, _event: Json) -> bytes:
    """A line that is no event at all."""
    return writer.rng.choice(LINES)


def odd_bytes(writer: Writer, event: Json) -> bytes:
    """A good event's bytes, spoiled: cut, marked, doubled, swollen to a byte below, at and above the sizes."""
    rng, raw = writer.rng, writer.encode(event)
    inner = raw[1:]
    return rng.choice((
        lambda: raw[: rng.randrange(len(raw))], lambda: b"\xef\xbb\xbf" + raw, lambda: raw + raw, lambda: raw + b" x",
        lambda: b'{"type":"x",' + inner, lambda: b'{"ext":1,"ext":1,' + inner,
        lambda: b'{"\\u0065xt":1,"ext":1,' + inner,
        lambda: b" \t\r" + raw + b"\r", lambda: raw.ljust(65536), lambda: raw.ljust(65537), lambda: raw + b"\xff",
        lambda: b'{"ext":"' + b"x" * 65536 + b'",' + inner, lambda: raw.replace(b'"data"', b'"Data"'),
        lambda: raw.replace(b"1.0", b"1.1", 1),
    ))()  # fmt: skip


def odd_envelope(writer: Writer, event: Json) -> bytes:
    """An attribute of the envelope taken away or put wrong."""
    rng = writer.rng
    name = rng.choice(("specversion", "id", "source", "type", "subject", "time", "data"))
    others: dict[str, list[Any]] = {
        "specversion": ["0.3", 1, None, ""], "id": JUNK[:14], "type": [*JUNK[:8], "deduction.recorded.v2", "DEDUCTION"],
        "source": [*JUNK[:8], *(f"/offices/{office}" for office in OFFICES), "/offices/nobody", "/offices/", "ducha",
                   "/offices/ducha/", "/offices/DUCHA", "/units/U999", "/units/assessment",
                   *(f"/units/{u}" for u in writer.units[:3])],
        "subject": [*SUBJECTS, *writer.units[:3]], "time": TIMES, "data": [None, [], "x", 5, {}],
    }  # fmt: skip
    if rng.random() < 0.15:
        event.pop(name)
    else:
        event[name] = rng.choice(others[name])
    if rng.random() < 0.1:
        event["ext"] = rng.choice(list(RAW))
    return writer.encode(event)


def junk(rng: Random, name: str) -> Any:
    """A value that hardly fits the field."""
    if name in ("target", "appeal") and rng.random() < 0.7:
        return rng.choice(REFERENCES)
    return rng.choice([*RAW] if rng.random() < 0.06 else JUNK)


def odd_data(writer: Writer, event: Json) -> bytes:
    """A field of the data taken away, put wrong, or added where the item has none; sometimes two, for the order."""
    rng = writer.rng
    extra = ("points", "node", "group", "component", "case", "evidence", "value", "zzz", "", "a.b", "Ünknown", "item")
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice([*event["data"]] or ["item"])
        how = rng.random()
        if how < 0.15:
            event["data"].pop(name, None)
        elif how < 0.8:
            event["data"][name] = junk(rng, name)
        else:
            event["data"][rng.choice(extra)] = junk(rng, "")
    return writer.encode(event)


def odd_lists(writer: Writer, event: Json) -> bytes:
    """Lists and integers at and beyond their limits."""
    rng, units = writer.rng, writer.units
    makers: dict[str, list[Any]] = {
        "evidence": [[], ["x"] * 32, ["x"] * 33, ["x", ""], ["x" * 500], ["x", "x" * 501], ["x", 5], "x", None, {}],
        "units": [[], units[:1], [*units[:1], *units[:1]], [*units[:2], "U999"], ["U999", "U998"], [*units[:2], 5],
                  [*units[:2], ""], "x", None, [*units[:2], *units[:1]], [*units[:1], None, *units[:1]]],
        "characters": [0, 5000, 5001, -1, True, None, "4800", "@minus-zero", "@fraction", "@exponent", "@negative",
        "@huge",
                       "@big", "@minus-5001", "@zeros"],
    }  # fmt: skip
    name = rng.choice(list(makers))
    made = {
        "evidence": lambda: writer.deduction(rng.choice(units), rng.choice(DEDUCTED)),
        "units": lambda: writer.tie(rng.choice(AWARDS), units[:2]),
        "characters": lambda: writer.submission(rng.choice(units)),
    }[name]()
    made["data"][name] = rng.choice(makers[name])
    if rng.random() < 0.2:
        made["subject"] = rng.choice(("U999", "assessment"))
    return writer.encode(made)


def odd_choice(writer: Writer, event: Json) -> bytes:
    """Well-formed, but another's, unknown, of the wrong kind or out of range; two faults show which is named first."""
    rng, data = writer.rng, event["data"]
    for _ in range(rng.choice((1, 2, 2))):
        change = rng.randrange(5)
        if change == 0:
            event["source"] = f"/offices/{rng.choice((*OFFICES, 'nobody'))}"
        elif change == 1:
            event["subject"] = rng.choice(("U999", "assessment", *writer.units[:2]))
        elif change == 2 and "item" in data:
            data["item"] = rng.choice((*ITEMS, "9.9", "1.6"))
        elif change == 3 and "ground" in data:
            data["ground"] = rng.choice([*(g for grounds in GROUNDS.values() for g in grounds), "other", "NO_FEEDBACK"])
        elif "points" in data or "value" in data:
            data["points" if "points" in data else "value"] = rng.choice(
                ("0", "0.000000", "0.25", "2.5", "5.000001", "20.1", "100.1", "121", "0.5", "1.0")
            )
    return writer.encode(event)


def odd_opening(writer: Writer, event: Json) -> bytes:
    """An assessment.opened with a fault; where it has none it is void, since it is not the first."""
    rng = writer.rng
    made = writer.opening()
    data = made["data"]
    data["rulebook"] = data["rulebook"] or {"id": 5}
    data["roster"] = data["roster"][:3]
    row = rng.choice(data["roster"])
    key = rng.choice(("unit", "name", "category", "group"))
    change = rng.randrange(9)
    if change == 0:
        row.pop(key)
    elif change == 8:
        data["roster"].insert(rng.randrange(3), rng.choice(({**row, "unit": "X1", "z": "", "a": 1}, None, "U1", [])))
    elif change == 1:
        row[key] = rng.choice((None, 5, "", "x" * 201, "U 1", "C", "x" * 65))
    elif change == 2:
        data["roster"].append(dict(row))
    elif change == 3:
        data["roster"] = rng.choice((None, [], {}, "x"))
    elif change == 4:
        data["rulebook"] = rng.choice((None, [], "x", {}))
    elif change == 5:
        data["assessment"] = rng.choice((None, "", "a b", "x" * 65, 5, "a.b"))
    elif change == 6:
        made["ext"] = "x" * rng.choice((65536, 1024 * 1024))
    else:
        made["source"] = "/offices/ducha"
    return writer.encode(made)


def broken(writer: Writer) -> bytes:
    """A line that intake most likely refuses, of any reason and path."""
    kinds = [odd_line, odd_bytes, odd_envelope, odd_data, odd_lists, odd_choice, odd_opening]
    spoil = writer.rng.choices(kinds, [3, 3, 6, 9, 3, 8, 1])[0]
    if spoil is odd_opening and writer.rng.random() < 0.7:
        spoil = odd_data
    event = deepcopy(writer.any_event())
    line = spoil(writer, event).replace(b"\n", b"")
    own = event.get("source") in [f"/units/{unit}" for unit in writer.units] and isinstance(event.get("id"), str)
    if own and event.get("type") == "appeal.filed.v1" and isinstance(event.get("subject"), str):
        writer.spoiled.append(event)  # it may pass all the same, and then it waits for a decision
    return line


# --- Years ------------------------------------------------------------------------------------------------------------


def nasty_roster(rng: Random, units: int) -> Roster:
    """So many units, about a third of them A, in few groups; codes sort by code point."""
    only = rng.choice("AB") if units < 30 and rng.random() < 0.1 else ""
    rows = []
    for n in range(1, units + 1):
        category = only or ("A" if rng.random() < 33 / 105 else "B")
        if units == 105:
            category = "A" if n <= 33 else "B"
        code = f"U{n:03}" if rng.random() < 0.9 or units == 105 else rng.choice((f"u-{n}", f"Z_{n}", f"{n}", f"U{n}"))
        group = f"{category}{rng.randint(1, 1 + units // 15)}"
        rows.append({"unit": code, "name": f"单位{n}(合成)", "category": category, "group": group})
    rng.shuffle(rows)
    return rows


def chaos(writer: Writer, events: int) -> None:
    """Anything in any order; some items close early, and now and then a unit is exempted from a part or from all."""
    rng = writer.rng
    while len(writer.lines) < events:
        chance = rng.random()
        if chance < 0.01:
            unit, part = rng.choice(writer.units), rng.choice(("", "1", "2", "3", "Y"))
            for item in ITEMS:
                if item.startswith(part) and rng.random() < 0.95:
                    writer.write(writer.exemption(unit, item))
        elif chance < 0.03:
            writer.write(writer.closing(rng.choice(list(ITEMS))))
        else:
            writer.write(writer.any_event())
    if rng.random() < 0.5:
        close_all(writer)
    if len(writer.units) < 30 and rng.random() < 0.5:
        writer.settle()


def ratings_of(writer: Writer, unit: str, template: Random | None) -> list[Json]:
    """A complete set of ratings of a unit; under a template every unit of it has the same values."""
    rng = writer.rng
    events = []
    for item in RATED:
        components: list[str | None] = [*COMPONENTS.get(item, {})]
        for component in components or [None]:
            top = 1 if component in ("exchange", "internal") else ITEMS[item].top
            value = None
            if template is not None:
                value = str(template.randint(top // 2, top)) if top > 1 else str(template.randint(0, 1))
            events += [writer.rating(unit, item, component, value) for _ in range(rng.choice((1, 1, 1, 2)))]
    return events


def close_all(writer: Writer) -> None:
    """Every office closes every item, in some order, one or the other twice or revoked and closed again."""
    rng = writer.rng
    pairs = [(item, office) for item, row in ITEMS.items() for office in row.offices]
    rng.shuffle(pairs)
    for item, office in pairs:
        closing = writer.closing(item, office)
        writer.write(closing)
        if rng.random() < 0.1:
            writer.write(writer.closing(item, office))
        if rng.random() < 0.1:
            about = {"target": {"source": closing["source"], "id": closing["id"]}, "reason": "重开"}
            writer.write(writer.event(closing["source"], "event.revoked.v1", "assessment", about))
            again = writer.deduction if item in DEDUCTED else writer.rating
            writer.write(again(rng.choice(writer.units), item))
            writer.write(writer.closing(item, office))


def calm(writer: Writer, events: int, *, tied: bool) -> None:
    """A complete year: inputs, appeals, closings, adoptions, stages, `finalised`; then what comes too late."""
    rng = writer.rng
    templates = rng.choice((1, 2, 3))
    inputs: list[Json] = []
    for unit in writer.units:
        inputs += ratings_of(writer, unit, Random(rng.randrange(templates)) if tied else None)
        if rng.random() < (0.03 if tied else 0.2):
            inputs.append(writer.exemption(unit, rng.choice(list(ITEMS))))
    quiet = rng.random() < 0.6  # nothing is taken out again, so that nothing is left pending
    if quiet:
        writer.outcomes = ("upheld", "revised")
    spare = max(0, events - len(inputs) - 70)
    inputs += [writer.deduction(writer.unit(), rng.choice(DEDUCTED)) for _ in range(0 if tied else max(20, spare // 2))]
    rng.shuffle(inputs)
    for event in inputs:
        writer.write(event)
    for _ in range(0 if tied and rng.random() < 0.6 else max(12, spare // 6)):
        writer.write(rng.choice((writer.appeal, writer.decision, writer.appeal if quiet else writer.revocation))())
    names = [*READINGS, *PARAMETERS]
    rng.shuffle(names)
    for name in names:
        default = rng.random() < 0.5 or (name == "award_tie" and rng.random() < 0.5)
        writer.write(writer.reading(name, READINGS[name][0] if default and name in READINGS else None))
    finish(writer)
    reached = [event for event in writer.sent if event["data"].get("stage") == "finalised"]
    if rng.random() < 0.4:
        about = {"target": {"source": reached[-1]["source"], "id": reached[-1]["id"]}, "reason": "重开"}
        writer.write(writer.event(reached[-1]["source"], "event.revoked.v1", "assessment", about))
    for _ in range(min(40, 5 + spare // 8)):
        writer.write(writer.any_event())
    if rng.random() < 0.5:
        finish(writer)


def finish(writer: Writer) -> None:
    """Decide what is open, close, resolve the ties, and reach the stages; too early first."""
    rng = writer.rng
    if rng.random() < 0.5:
        writer.write(writer.stage("finalised"))
    for appeal in [*writer.spoiled, *(event for event in writer.sent if event["type"] == "appeal.filed.v1")]:
        decision = writer.decision(appeal)
        decision["subject"] = appeal["subject"]
        decision["data"].update(outcome=rng.choice(writer.outcomes), points="0")
        if decision["data"]["outcome"] != "revised":
            del decision["data"]["points"]
        writer.write(decision)
    for stage in STAGES[:3]:
        if rng.random() < 0.8:
            writer.write(writer.stage(stage))
    close_all(writer)
    if rng.random() < 0.8:
        writer.write(writer.stage("finalised"))
        writer.settle()
    writer.write(writer.stage("finalised"))
    if rng.random() < 0.3:
        writer.write(writer.revocation())


def nasty_year(
    seed: int,
    units: int = 105,
    events: int = 3000,
    malformed: float = 0.05,
    *,
    opened: bool = False,
    rulebook: Json | None = None,
) -> tuple[bytes, Roster]:
    """The file and the roster of a seed's year; calm years may be longer than `events`, to be complete.

    With `opened` an assessment.opened comes first and carries `rulebook` and the roster.
    """
    rng = Random(seed)
    roster = nasty_roster(rng, units)
    book = rulebook or ({"id": "wenzhou-2013"} if opened else None)
    writer = Writer(rng, roster, malformed, book)
    if opened:
        if rng.random() < 0.3:
            writer.lines.append(rng.choice(LINES))
        writer.write(writer.opening())
    profile = rng.choices(("chaos", "calm", "tied"), (4, 3, 3))[0]
    if profile == "chaos":
        chaos(writer, events)
    else:
        calm(writer, events, tied=profile == "tied")
    return writer.whole(), roster


@st.composite
def years(
    draw: st.DrawFn, units: int = 24, events: int = 150, *, opened: bool = False, rulebook: Json | None = None
) -> tuple[bytes, Roster]:
    """A year of a random seed, whole or with lines deleted; shrinking deletes more of them."""
    seed = draw(st.integers(0, 2**32 - 1))
    number = draw(st.one_of(st.integers(1, min(units, 7)), st.integers(1, units)))
    malformed = draw(st.sampled_from((0.0, 0.05, 0.4)))
    data, roster = nasty_year(seed, number, events, malformed, opened=opened, rulebook=rulebook)
    if draw(st.booleans()):
        return data, roster
    lines = data.split(b"\n")
    kept = draw(st.binary(min_size=len(lines), max_size=len(lines)))
    return b"\n".join(line for line, byte in zip(lines, kept, strict=True) if byte % 16), roster


def overrides() -> st.SearchStrategy[dict[str, str]]:
    """Readings as options: none, some or all of the fifteen."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in READINGS.items()})
