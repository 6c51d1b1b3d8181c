"""The pure intake check, sentence by sentence of the contract: both sides of every boundary; no input raises."""

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import refusals, roster, rulebook, subjects
from schemas.events import Event, instant
from schemas.refusals import Reason, Refusal
from services.ingest.check import Checker, content, opened

BOOK = rulebook.load(rulebook.SHIPPED / "rulebook.toml")
PLAIN = rulebook.plain(BOOK)
CHECKER = Checker(BOOK, roster.shipped())
ROWS = [{"unit": f"V{n}", "name": f"单位{n}", "category": "B", "group": "g"} for n in range(3)]
REF = {"source": "/offices/ducha", "id": "d1"}
GONE = object()

#: A good event of each type: source, subject, data.
GOOD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "deduction.recorded.v1": ("/offices/ducha", "U042", {
        "item": "1.1", "matter": "批示-2013-017", "ground": "no_feedback", "reason": "逾期未反馈",
        "evidence": ["督查通报2013-5"]}),
    "rating.recorded.v1": ("/offices/gongwei", "U042", {"item": "2.1", "value": "4.2", "rater": "r1"}),
    "submission.recorded.v1": ("/offices/kaoji", "U042", {"item": "Y.1", "characters": 4999}),
    "item.exempted.v1": ("/offices/tongji", "U042", {"item": "2.3", "reason": "无服务对象"}),
    "item.closed.v1": ("/offices/tongji", "assessment", {"item": "2.3"}),
    "event.revoked.v1": ("/offices/ducha", "U042", {"target": REF, "reason": "误报"}),
    "appeal.filed.v1": ("/units/U042", "U042", {"target": REF, "statement": "已反馈"}),
    "appeal.decided.v1": ("/offices/gongwei", "U042", {
        "appeal": {"source": "/units/U042", "id": "a1"}, "outcome": "revised", "points": "0.5", "reason": "部分成立"}),
    "tie.resolved.v1": ("/offices/chuangjian", "assessment", {
        "award": "first", "units": ["U041", "U040"], "reason": "抽签"}),
    "reading.adopted.v1": ("/offices/chuangjian", "assessment", {
        "reading": "matter_rule", "value": "sum", "reason": "会议"}),
    "stage.reached.v1": ("/offices/chuangjian", "assessment", {"stage": "daily_closed"}),
    "assessment.opened.v1": ("/offices/chuangjian", "assessment", {
        "assessment": "w-2013", "rulebook": PLAIN, "roster": ROWS}),
}  # fmt: skip
DED, RAT, SUB, EXE, CLO, REV, APP, DEC, TIE, REA, STA, OPE = GOOD
NODE = {"item": "1.4", "ground": "late_or_unmet", "points": "0.5", "node": "plan"}
GROUP = {"item": "2.2", "value": "92", "group": "leader"}
PART = {"item": "3.2", "value": "1", "component": "exchange"}
CASE = {"item": "4.1", "value": "17", "case": "c1"}


def event(kind, data=(), /, **attributes):
    """A good event of a type with some fields of data and some attributes changed, or GONE."""
    source, subject, good = GOOD[kind]
    whole = {"specversion": "1.0", "id": "e1", "source": source, "type": kind, "subject": subject,
             "time": "2013-05-06T09:30:00+08:00", "data": copy.deepcopy(good)}  # fmt: skip
    whole["data"].update(data)
    whole.update(attributes)
    whole["data"] = strip(whole["data"])
    return strip(whole)


def strip(value):
    return {key: one for key, one in value.items() if one is not GONE} if isinstance(value, dict) else value


def line(value):
    return json.dumps(value, ensure_ascii=False).encode()


def verdict(raw, subject=None):
    """`ok`, or reason and path."""
    result = CHECKER.check(raw, subject)
    return "ok" if isinstance(result, Event) else (str(result.reason), result.path)


def bad(path):
    return "bad_field", path


def odd(path):
    return "unknown_field", path


OK = "ok"
NOT_YOURS = ("source_not_authorised", "source")
NO_UNIT = ("unknown_unit", "subject")
NO_ITEM = ("unknown_item", "data.item")
KIND = ("wrong_kind", "data.item")
GROUND = ("unknown_ground", "data.ground")
POINTS = ("points_out_of_range", "data.points")
VALUE = ("value_out_of_range", "data.value")
OFFICE = "/offices/"

#: sentence of the contract: (type, changed data, changed attributes, verdict), in pairs around a boundary.
CASES: dict[str, list[Any]] = {
    "not_cloudevent is about specversion, id, source and type": [
        (DED, {}, {}, OK),
        (DED, {}, {"specversion": "0.3"}, ("not_cloudevent", "specversion")),
        (DED, {}, {"specversion": GONE, "id": GONE}, ("not_cloudevent", "specversion")),
        (DED, {}, {"id": GONE, "source": GONE}, ("not_cloudevent", "id")),
        (DED, {}, {"id": ""}, ("not_cloudevent", "id")),
        (DED, {}, {"id": 7}, ("not_cloudevent", "id")),
        (DED, {}, {"id": "i" * 200}, OK),
        (DED, {}, {"id": "i" * 201}, ("not_cloudevent", "id")),
        (DED, {}, {"source": None, "type": None}, ("not_cloudevent", "source")),
        (DED, {}, {"source": "s" * 200}, NOT_YOURS),
        (DED, {}, {"source": "s" * 201}, ("not_cloudevent", "source")),
        (DED, {}, {"type": ["x"]}, ("not_cloudevent", "type")),
        (DED, {}, {"type": GONE}, ("not_cloudevent", "type")),
    ],
    "an unknown type is named, before its subject is looked at": [
        (DED, {}, {"type": "deduction.recorded.v2", "subject": 1}, ("unknown_type", "type")),
        (DED, {}, {"type": "t" * 200}, ("unknown_type", "type")),
        (DED, {}, {"type": "t" * 201}, ("not_cloudevent", "type")),
    ],
    "subject, time and data, in this order, are bad fields": [
        (DED, {}, {"subject": GONE, "time": GONE}, bad("subject")),
        (DED, {}, {"subject": "", "time": GONE}, bad("subject")),
        (DED, {}, {"subject": "单" * 200}, NO_UNIT),
        (DED, {}, {"subject": "单" * 201}, bad("subject")),
        (DED, {}, {"time": GONE, "data": GONE}, bad("time")),
        (DED, {}, {"time": 1, "data": GONE}, bad("time")),
        (DED, {}, {"data": GONE}, bad("data")),
        (DED, {}, {"data": []}, bad("data")),
    ],
    "the subject of a year event is the assessment": [
        *((kind, {}, {"subject": "U042"}, bad("subject")) for kind in (CLO, TIE, REA, STA, OPE)),
        *((kind, {}, {"subject": "assessment"}, NO_UNIT) for kind in (DED, RAT, SUB, EXE, DEC)),
        (REV, {}, {"subject": "assessment"}, OK),
    ],
    "unknown extension attributes are kept": [
        (DED, {}, {"traceparent": "00-1"}, OK),
        (DED, {}, {"nested": {"a": [1.5, None, True]}}, OK),
    ],
    "unknown fields inside data are refused with their path, the smallest by code point": [
        (DED, {"b": 1, "a": 2, "Z": 3}, {}, odd("data.Z")),
        (DED, {"": 1}, {}, odd("data.")),
        (REV, {"target": {**REF, "x": 1}}, {}, odd("data.target.x")),
        (REV, {"target": {**REF, "x": 1}, "a": 1}, {}, odd("data.a")),
        (REV, {"target": {**REF, "x": 1}, "z": 1}, {}, odd("data.target.x")),
        (DEC, {"appeal": {**REF, "x": 1}}, {}, odd("data.appeal.x")),
        (DED, {"a": 1, "reason": ""}, {}, bad("data.reason")),
    ],
    "all fields are required but evidence": [
        *((kind, {name: GONE}, {}, bad(f"data.{name}")) for kind in GOOD for name in GOOD[kind][2]
          if name != "evidence"),
        *((kind, {name: None}, {}, bad(f"data.{name}")) for kind in GOOD for name in GOOD[kind][2]),
        (DED, {"evidence": GONE}, {}, OK),
    ],
    "fields are looked at in the order of the table": [
        (DED, {"item": 1, "matter": 1, "ground": 1}, {}, bad("data.item")),
        (DED, {"matter": 1, "ground": 1}, {}, bad("data.matter")),
        (DED, {**NODE, "node": 1, "points": 1}, {}, bad("data.points")),
        (DED, {**NODE, "node": 1, "reason": 1}, {}, bad("data.node")),
        (RAT, {"rater": 1, "value": 1}, {}, bad("data.value")),
        (RAT, {**GROUP, "rater": 1, "group": 1}, {}, bad("data.rater")),
        (DEC, {"points": 1, "outcome": 1}, {}, bad("data.outcome")),
        (DEC, {"points": 1, "reason": 1}, {}, bad("data.points")),
        (TIE, {"units": 1, "award": 1}, {}, bad("data.award")),
        (REA, {"reading": 1, "value": 1}, {}, bad("data.reading")),
        (REV, {"target": {"source": 1, "id": 1}}, {}, bad("data.target.source")),
        (REV, {"target": {"source": "s"}}, {}, bad("data.target.id")),
        (APP, {"target": {"source": "s", "id": ""}}, {}, bad("data.target.id")),
        (DEC, {"appeal": {"id": "s"}}, {}, bad("data.appeal.source")),
        (DEC, {"appeal": []}, {}, bad("data.appeal")),
        (OPE, {"rulebook": 1, "assessment": 1}, {}, bad("data.assessment")),
        (OPE, {"rulebook": 1, "roster": 1}, {}, bad("data.rulebook")),
    ],
    "strings are 1 to 200 characters, reason and statement 1 to 2,000": [
        *((DED, {"matter": text}, {}, want) for text, want in
          (("", bad("data.matter")), ("事" * 200, OK), ("😀" * 200, OK), ("事" * 201, bad("data.matter")))),
        *((DED, {"reason": text}, {}, want) for text, want in (("事" * 2000, OK), ("事" * 2001, bad("data.reason")))),
        (APP, {"statement": "s" * 2000}, {}, OK),
        (APP, {"statement": "s" * 2001}, {}, bad("data.statement")),
        (RAT, {"rater": "r" * 200}, {}, OK),
        (RAT, {"rater": "r" * 201}, {}, bad("data.rater")),
        (RAT, {**CASE, "case": "c" * 201}, {}, bad("data.case")),
        (REV, {"target": {**REF, "id": "i" * 201}}, {}, bad("data.target.id")),
        (DED, {"item": "i" * 200}, {}, NO_ITEM),
        (DED, {"item": "i" * 201}, {}, bad("data.item")),
        (DED, {"ground": "g" * 200}, {}, GROUND),
        (DED, {"ground": "g" * 201}, {}, bad("data.ground")),
    ],
    "evidence is at most 32 entries of 500": [
        (DED, {"evidence": []}, {}, OK),
        (DED, {"evidence": ["e" * 500] * 32}, {}, OK),
        (DED, {"evidence": ["e"] * 33}, {}, bad("data.evidence")),
        (DED, {"evidence": ["e", "e", "e", "e" * 501]}, {}, bad("data.evidence[3]")),
        (DED, {"evidence": [""]}, {}, bad("data.evidence[0]")),
        (DED, {"evidence": ["a", 1]}, {}, bad("data.evidence[1]")),
        (DED, {"evidence": "a"}, {}, bad("data.evidence")),
    ],
    "points and values are plain decimals in strings": [
        *((RAT, {"value": text}, {}, OK) for text in ("0", "4.5", "4.123456", "0.000001", "5.000000")),
        *((RAT, {"value": text}, {}, bad("data.value")) for text in (
            4, 4.5, "", "+4", "-4", "04", "4.", ".5", "4e0", "4.1234567", " 4", "4\n", "４", "4,5", "NaN", True)),
        (RAT, {"value": "9" * 200}, {}, VALUE),
        (RAT, {"value": "9" * 201}, {}, bad("data.value")),
    ],
    "characters is an integer of 0 to 5,000": [
        (SUB, {"characters": 0}, {}, OK),
        (SUB, {"characters": -1}, {}, bad("data.characters")),
        (SUB, {"characters": 5000}, {}, OK),
        (SUB, {"characters": 5001}, {}, ("value_out_of_range", "data.characters")),
        (SUB, {"characters": 10**40}, {}, ("value_out_of_range", "data.characters")),
        *((SUB, {"characters": value}, {}, bad("data.characters")) for value in (1.0, "5", True, None, -(10**40))),
    ],
    "fields that item and ground do not have are unknown, those they have are required": [
        (DED, {"points": "1"}, {}, odd("data.points")),
        (DED, {"points": 1}, {}, odd("data.points")),
        (DED, {"node": "plan"}, {}, odd("data.node")),
        (DED, {"node": "nowhere"}, {}, odd("data.node")),
        (DED, NODE, {"source": OFFICE + "zuzhi"}, OK),
        (DED, {**NODE, "points": GONE}, {}, bad("data.points")),
        (DED, {**NODE, "node": GONE}, {}, bad("data.node")),
        (DED, {"item": "1.2", "ground": "accident"}, {}, bad("data.points")),
        (DED, {"item": "1.2", "ground": "accident", "points": "1", "node": "plan"}, {}, odd("data.node")),
        *((RAT, {name: value}, {}, odd(f"data.{name}")) for name in ("group", "component", "case")
          for value in json.loads('["x", 1, [], {}]')),
        (RAT, GROUP, {}, OK),
        (RAT, {**GROUP, "group": GONE}, {}, bad("data.group")),
        (RAT, PART, {"source": OFFICE + "wenda"}, OK),
        (RAT, {**PART, "component": GONE}, {}, bad("data.component")),
        (RAT, CASE, {"source": OFFICE + "xuanchuan"}, OK),
        (RAT, {**CASE, "case": GONE}, {}, bad("data.case")),
        (RAT, {"item": "1.1", "group": "leader"}, {}, odd("data.group")),
        (RAT, {"item": "1.1"}, {"source": OFFICE + "ducha"}, KIND),
        (DEC, {"outcome": "upheld"}, {}, odd("data.points")),
        (DEC, {"outcome": "upheld", "points": GONE}, {}, OK),
        (DEC, {"outcome": "cancelled", "points": GONE}, {}, OK),
        (DEC, {"points": GONE}, {}, bad("data.points")),
    ],
    "where item or ground is unknown, fields are looked at for form only, lists included": [
        (DED, {"item": "9.9", "points": "100", "node": "plan"}, {}, NO_ITEM),
        (DED, {"item": "9.9", "points": 1}, {}, bad("data.points")),
        (DED, {"item": "9.9", "node": "nowhere"}, {}, bad("data.node")),
        (DED, {"ground": "nothing", "points": "1", "node": "plan"}, {}, GROUND),
        (DED, {"ground": "nothing", "node": "nowhere"}, {}, bad("data.node")),
        (RAT, {"item": "9.9", "group": "leader", "component": "usage", "case": "c"}, {}, NO_ITEM),
        (RAT, {"item": "9.9", "group": "nobody"}, {}, bad("data.group")),
        (RAT, {"item": "9.9", "component": "nothing"}, {}, bad("data.component")),
        (RAT, {"item": "9.9", "case": ""}, {}, bad("data.case")),
    ],
    "a node, group, component, stage, outcome, reading or award outside its list is a bad field": [
        (DED, {**NODE, "node": "quarter_5"}, {}, bad("data.node")),
        (RAT, {**GROUP, "group": "nobody"}, {}, bad("data.group")),
        (RAT, {**PART, "component": "accuracy"}, {"source": OFFICE + "wenda"}, bad("data.component")),
        (STA, {"stage": "finalised"}, {}, OK),
        (STA, {"stage": "closed"}, {}, bad("data.stage")),
        (DEC, {"outcome": "granted"}, {}, bad("data.outcome")),
        (TIE, {"award": "second"}, {}, OK),
        (TIE, {"award": "third"}, {}, bad("data.award")),
        (REA, {"reading": "luck"}, {}, bad("data.reading")),
        (REA, {"reading": "item_scale", "value": "6"}, {}, bad("data.reading")),
    ],
    "an adopted value is the reading's, of the four parameters 0 to 999": [
        (REA, {"value": "chain"}, {}, OK),
        (REA, {"value": "geometric"}, {}, bad("data.value")),
        (REA, {"reading": "publicity_days", "value": "0"}, {}, OK),
        (REA, {"reading": "individuals_per_unit", "value": "999"}, {}, OK),
        *((REA, {"reading": "appeal_days", "value": value}, {}, bad("data.value")) for value in
          ("1000", "-1", "1.0", "07", "", 7)),
    ],
    "authority: the offices of the item": [
        (DED, {"item": "1.3", "ground": "handling", "points": "1"}, {"source": OFFICE + "renda"}, OK),
        (DED, {"item": "1.3", "ground": "handling", "points": "1"}, {"source": OFFICE + "zhengxie"}, OK),
        *((kind, {}, {"source": OFFICE + "jiwei"}, NOT_YOURS)
          for kind in (DED, RAT, SUB, EXE, CLO, DEC, TIE, REA, STA, OPE)),
        (DED, {}, {"source": "/units/U042"}, NOT_YOURS),
        (DED, {}, {"source": "ducha"}, NOT_YOURS),
        (DED, {}, {"source": "/offices/ducha/"}, NOT_YOURS),
        (DED, {"item": "2.1"}, {}, NOT_YOURS),
    ],
    "an item or unit that does not exist is nobody's: any known office passes to what is unknown": [
        (DED, {"item": "9.9"}, {"source": OFFICE + "jiwei"}, NO_ITEM),
        (DED, {"item": "9.9"}, {"source": OFFICE + "nobody"}, NOT_YOURS),
        (CLO, {"item": "9.9"}, {"source": OFFICE + "jiwei"}, NO_ITEM),
        (DED, {}, {"source": OFFICE + "jiwei", "subject": "U999"}, NO_UNIT),
        (DED, {}, {"source": OFFICE + "nobody", "subject": "U999"}, NOT_YOURS),
        (DEC, {}, {"source": OFFICE + "jiwei", "subject": "U999"}, NO_UNIT),
        (DED, {"item": "9.9"}, {"subject": "U999"}, NO_UNIT),
        (APP, {}, {"source": "/units/U999", "subject": "U999"}, NO_UNIT),
        (REV, {}, {"source": "/units/U999", "subject": "U999"}, NO_UNIT),
        (REV, {}, {"source": OFFICE + "jiwei", "subject": "U999"}, NO_UNIT),
        (REV, {}, {"source": "/units/U998", "subject": "U999"}, NOT_YOURS),
        (TIE, {"units": ["U001", "U999"]}, {"source": OFFICE + "jiwei"}, NOT_YOURS),
        (TIE, {"units": ["U001", "U999"]}, {}, ("unknown_unit", "data.units[1]")),
    ],
    "a submission is kaoji's whatever the item, and for the year-end only": [
        (SUB, {"item": "2.1"}, {}, KIND),
        (SUB, {"item": "2.1"}, {"source": OFFICE + "gongwei"}, NOT_YOURS),
        (SUB, {"item": "9.9"}, {}, NO_ITEM),
        (SUB, {"item": "9.9"}, {"source": OFFICE + "gongwei"}, NOT_YOURS),
        (SUB, {}, {"source": OFFICE + "gongwei", "subject": "U999"}, NO_UNIT),
    ],
    "a revocation's source is its target's: an office, or the unit": [
        (REV, {}, {"source": OFFICE + "renda"}, NOT_YOURS),
        (REV, {"target": {"source": "/units/U042", "id": "a"}}, {"source": "/units/U042"}, OK),
        (REV, {"target": {"source": "/units/U041", "id": "a"}}, {"source": "/units/U041"}, NOT_YOURS),
        (REV, {"target": {"source": OFFICE + "nobody", "id": "a"}}, {"source": OFFICE + "nobody"}, NOT_YOURS),
        (REV, {"target": {"source": "/units/assessment", "id": "a"}},
         {"source": "/units/assessment", "subject": "assessment"}, NOT_YOURS),
    ],
    "an appeal is its unit's": [
        (APP, {}, {"source": "/units/U041"}, NOT_YOURS),
        (APP, {}, {"source": OFFICE + "ducha"}, NOT_YOURS),
    ],
    "a tie names two or more units, each once": [
        (TIE, {"units": ["U001"]}, {}, bad("data.units")),
        (TIE, {"units": ["U001", "U002", "U001"]}, {}, bad("data.units")),
        (TIE, {"units": "U001"}, {}, bad("data.units")),
        (TIE, {"units": ["U001", "", "U001"]}, {}, bad("data.units[1]")),
        (TIE, {"units": ["U001", ["U002"]]}, {}, bad("data.units[1]")),
    ],
    "wrong kind: a rating for a deduct item, a deduction from a rated one": [
        (DED, {"item": "2.1"}, {"source": OFFICE + "gongwei"}, KIND),
        (RAT, {"item": "1.4"}, {}, KIND),
    ],
    "an unknown ground is found only after authority and kind": [
        (DED, {"ground": "accident"}, {}, GROUND),
        (DED, {"ground": "accident"}, {"source": OFFICE + "jiwei"}, NOT_YOURS),
    ],
    "points within the ground's range": [
        *((DED, {"item": "1.2", "ground": "accident", "points": points}, {}, want) for points, want in
          (("0", POINTS), ("0.000001", OK), ("5", OK), ("5.0", OK), ("5.000001", POINTS))),
        *((DED, {"item": "1.3", "ground": "handling", "points": points}, {"source": OFFICE + "renda"}, want)
          for points, want in (("0", POINTS), ("20", OK), ("20.1", POINTS))),
        *((DED, {**NODE, "points": points}, {"source": OFFICE + "gongwei"}, want) for points, want in
          (("0.4", POINTS), ("0.5", OK), ("0.6", POINTS), ("1.50", OK), ("2", OK), ("2.5", POINTS))),
        (DEC, {"points": "1000"}, {}, OK),
    ],
    "values within the item's range": [
        *((RAT, {"item": item, "value": value, **more}, {"source": OFFICE + office}, want)
          for item, office, most, more in (
              ("1.5", "gongwei", "100", {}), ("2.1", "gongwei", "5", {}),
              ("2.2", "gongwei", "100", {"group": "clients"}),
              ("2.3", "tongji", "100", {}), ("3.1", "wenda", "10", {}), ("3.2", "wenda", "1", {"component": "usage"}),
              ("3.3", "shenguan", "1", {"component": "accuracy"}), ("4.1", "xuanchuan", "20", {"case": "c"}),
              ("5.1", "jiwei", "100", {}), ("Y.1", "kaoji", "120", {}))
          for value, want in ((most, OK), (most + ".000001", VALUE), ("0", OK))),
        *((RAT, {**PART, "value": value}, {"source": OFFICE + "wenda"}, want) for value, want in
          (("0", OK), ("1.0", OK), ("0.5", VALUE), ("2", VALUE))),
        (RAT, {**PART, "component": "usage", "value": "0.5"}, {"source": OFFICE + "wenda"}, OK),
    ],
    "an opening carries a rulebook that reads and a roster without faults": [
        (OPE, {"assessment": "a" * 64}, {}, OK),
        (OPE, {"assessment": "a" * 65}, {}, bad("data.assessment")),
        (OPE, {"assessment": "a.b"}, {}, bad("data.assessment")),
        (OPE, {"rulebook": {**PLAIN, "extra": 1}}, {}, bad("data.rulebook")),
        (OPE, {"rulebook": {**PLAIN, "item": []}}, {}, bad("data.rulebook")),
        (OPE, {"roster": []}, {}, bad("data.roster")),
        (OPE, {"roster": {}}, {}, bad("data.roster")),
        (OPE, {"roster": [ROWS[0], 1]}, {}, bad("data.roster[1]")),
        (OPE, {"roster": [ROWS[0], {**ROWS[1], "category": "C"}]}, {}, bad("data.roster[1].category")),
        (OPE, {"roster": [ROWS[0], ROWS[0]]}, {}, bad("data.roster[1].unit")),
        (OPE, {"roster": [{**ROWS[0], "unit": "assessment"}]}, {}, bad("data.roster[0].unit")),
        (OPE, {"roster": [ROWS[0], {**ROWS[1], "x": 1}]}, {}, odd("data.roster[1].x")),
        (OPE, {"roster": [ROWS[0], {**ROWS[1], "x": 1}], "more": 1}, {}, odd("data.more")),
    ],
}  # fmt: skip


@pytest.mark.parametrize("sentence", CASES)
def test_the_contract_sentence_by_sentence(sentence):
    for kind, data, attributes, expected in CASES[sentence]:
        assert expected == verdict(line(event(kind, data, **attributes))), (kind, data, attributes)


GOOD_LINE = line(event(DED))
DEEP = b'{"specversion":"1.0","x":' + b"[" * 63 + b"]" * 63 + b"}"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b" \t\r\n" + GOOD_LINE + b"\r\n", "ok"),
        (b"", ("not_json", None)),
        (b"   ", ("not_json", None)),
        (b"\xef\xbb\xbf" + GOOD_LINE, ("not_json", None)),
        (GOOD_LINE + b"\xff", ("not_json", None)),
        (GOOD_LINE.replace(b"e1", b"e\xed\xa0\x80"), ("not_json", None)),
        (GOOD_LINE.replace(b"e1", b"e\\ud83d\\ude00"), "ok"),
        (GOOD_LINE.replace(b"e1", b"e\\ud83d"), ("not_json", None)),
        (b'{"x\\ude00":1}', ("not_json", None)),
        (GOOD_LINE.replace(b"e1", b"e\x01"), ("not_json", None)),
        (GOOD_LINE.replace(b"e1", b"e\\u0001"), "ok"),
        (GOOD_LINE[:-1] + b',"id":"e1"}', ("not_json", None)),
        (GOOD_LINE.replace(b'"item"', b'"item":"1.1","item"'), ("not_json", None)),
        (GOOD_LINE.replace(b'"item"', b'"item":[],"item"'), ("not_json", None)),
        (GOOD_LINE[:-1] + b',"x":[{"a":1,"a":1}]}', ("not_json", None)),
        (GOOD_LINE[:-1] + b',"x":NaN}', ("not_json", None)),
        (GOOD_LINE[:-1] + b',"x":-Infinity}', ("not_json", None)),
        (GOOD_LINE[:-1] + b',"x":1e999}', "ok"),
        (GOOD_LINE[:-1] + b',"x":' + b"9" * 5000 + b"}", "ok"),
        (GOOD_LINE[:-1] + b',"x":01}', ("not_json", None)),
        (GOOD_LINE[:-1] + b",}", ("not_json", None)),
        (DEEP, ("not_cloudevent", "id")),
        (DEEP.replace(b"[", b"[[", 1).replace(b"]", b"]]", 1), ("not_json", None)),
        (b"[" * 60000, ("not_json", None)),
        (GOOD_LINE[:-1] + b',"x":"' + b"[" * 99 + b'"}', "ok"),
        (b"[1]", ("not_cloudevent", None)),
        (b"null", ("not_cloudevent", None)),
        (b'"text"', ("not_cloudevent", None)),
        (line(event(SUB)).replace(b"4999", b"-0"), "ok"),
        (line(event(SUB)).replace(b"4999", b"5e2"), ("bad_field", "data.characters")),
        (line(event(SUB)).replace(b"4999", b"9" * 4999), ("value_out_of_range", "data.characters")),
    ],
)
def test_json_is_strict(raw, expected):
    assert expected == verdict(raw)


def padded(kind, size):
    raw = line(event(kind))[:-1] + b',"pad":""}'
    return raw.replace(b'"pad":"', b'"pad":"' + b"x" * (size - len(raw)))


def test_64_kib_is_the_most_and_an_opening_may_have_1_mib():
    assert verdict(padded(DED, 65536)) == "ok"
    assert verdict(padded(DED, 65537)) == ("too_large", None)
    assert verdict(padded(OPE, 65537)) == "ok"
    assert verdict(padded(OPE, 1048576)) == "ok"
    assert verdict(padded(OPE, 1048577)) == ("too_large", None)
    assert verdict(padded(OPE, 65537) + b"}") == ("too_large", None)
    assert verdict(padded(OPE, 65537).replace(b'"id":', b'"id":"x","id":')) == ("too_large", None)
    assert verdict(b" " * 65536 + b"{}") == ("too_large", None)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2013-05-06T09:30:00+08:00", "2013-05-06T01:30:00"),
        ("2013-05-06T09:30:00Z", "2013-05-06T09:30:00"),
        ("2013-05-06T09:30:00.500Z", "2013-05-06T09:30:00.5"),
        ("2013-05-06T09:30:00.000-00:00", "2013-05-06T09:30:00"),
        ("2013-05-06T09:30:00." + "1" * 179 + "Z", "2013-05-06T09:30:00." + "1" * 179),
        ("2013-05-06T09:30:00." + "1" * 180 + "Z", None),
        ("2013-01-01T00:00:59+23:59", "2012-12-31T00:01:59"),
        ("2012-02-29T00:00:00Z", "2012-02-29T00:00:00"),
        ("2013-02-29T00:00:00Z", None),
        ("1900-02-29T00:00:00Z", None),
        ("0000-02-29T00:00:00Z", "0000-02-29T00:00:00"),
        ("0000-01-01T00:00:00+00:01", "-0001-12-31T23:59:00"),
        ("9999-12-31T23:59:00-00:01", "9999-12-31T24:00:00"),
        ("2013-05-06T23:59:59Z", "2013-05-06T23:59:59"),
        ("2013-05-06T24:00:00Z", None),
        ("2013-05-06T23:60:00Z", None),
        ("2013-05-06T23:59:60Z", None),
        ("2013-05-06T09:30:00+24:00", None),
        ("2013-05-06T09:30:00+08:60", None),
        ("2013-05-06T09:30:00+0800", None),
        ("2013-05-06T09:30:00", None),
        ("2013-05-06T09:30+08:00", None),
        ("2013-05-06t09:30:00Z", None),
        ("2013-05-06T09:30:00z", None),
        ("2013-05-06 09:30:00Z", None),
        ("2013-05-06T09:30:00.Z", None),
        ("2013-05-06T09:30:00,5Z", None),
        ("2013-13-06T09:30:00Z", None),
        ("2013-05-00T09:30:00Z", None),
        ("2013-5-6T09:30:00Z", None),
        ("２013-05-06T09:30:00Z", None),
        ("2013-05-06T09:30:00Z\n", None),
        ("2013-05-06T09:30:0٠Z", None),
    ],
)
def test_time_is_rfc_3339_with_an_offset(time, expected):
    assert [expected, expected] == [instant(time), instant(time)], "also when it is remembered"
    assert verdict(line(event(DED, time=time))) == ("ok" if expected else ("bad_field", "time"))


zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 30), timezones=zones)  # noqa: DTZ001 - zones are added


@given(moments, moments)
@settings(deadline=None)
@example(datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, 0, 0, 0, 500000, tzinfo=UTC))
def test_instants_sort_as_text(a, b):
    first, second = instant(a.isoformat()), instant(b.isoformat())
    assert first is not None
    assert second is not None
    assert (a < b) == (first < second)
    assert (a == b) == (first == second)


@settings(deadline=None)
@given(moments.map(lambda moment: moment.isoformat()), st.text("0123456789:-+TZ.é\n", max_size=6), st.integers(0, 25))
def test_a_remembered_minute_lets_nothing_else_through(time, piece, at):
    instant(time)
    spoiled = time[:at] + piece + time[at + len(piece) :]
    remembered = instant(spoiled)
    instant.__globals__["_minutes"].clear()
    assert remembered == instant(spoiled)


TOPIC = "intake.wenzhou-2013.ducha.deduction-recorded-v1.U042"


@pytest.mark.parametrize(
    ("topic", "changes", "expected"),
    [
        (TOPIC, {}, "ok"),
        (TOPIC.replace("ducha", "renda"), {}, NOT_YOURS),
        (TOPIC.replace("deduction", "rating"), {}, bad("type")),
        (TOPIC.replace("deduction", "rating"), {"subject": 1}, bad("type")),
        (TOPIC.replace("U042", "U041"), {}, bad("subject")),
        (TOPIC.replace("U042", "U041"), {"time": 1}, bad("subject")),
        (TOPIC, {"time": 1}, bad("time")),
        (TOPIC, {"source": "/units/ducha"}, NOT_YOURS),
        (TOPIC.replace("U042", "U999"), {"subject": "U999", "source": OFFICE + "renda"}, NOT_YOURS),
        (TOPIC.replace("U042", "U999"), {"subject": "U999"}, NO_UNIT),
        ("intake.x", {}, bad("type")),
    ],
)
def test_the_tokens_of_the_subject_it_came_on_are_checked(topic, changes, expected):
    assert expected == verdict(line(event(DED, **changes)), topic)


def test_a_party_is_an_office_or_a_unit():
    assert verdict(line(event(APP)), "intake.a.U042.appeal-filed-v1.U042") == "ok"
    assert verdict(line(event(APP)), "intake.a.U041.appeal-filed-v1.U042") == NOT_YOURS
    sources = ("/offices/ducha", "/units/U1", "/units/", "/units/a.b", "ducha", "/offices/a/b")
    assert [subjects.party_of(source) for source in sources] == ["ducha", "U1", None, None, None, None]


def test_every_reason_that_intake_can_give_is_given_by_a_case():
    given_ = {expected[0] for cases in CASES.values() for *_, expected in cases if expected != OK}
    assert set(Reason) - {Reason.CONFLICT, Reason.TOO_LARGE, Reason.NOT_JSON} == given_


def test_source_and_id_of_a_refusal_are_the_strings_found_there():
    for raw, expected in (
        (b"{", (None, None)),
        (b" " * 70000, (None, None)),
        (b"[]", (None, None)),
        (line(event(DED, id="i" * 300)), ("/offices/ducha", "i" * 300)),
        (line(event(DED, source=7)), (None, "e1")),
        (line(event(DED, {"item": 1})), ("/offices/ducha", "e1")),
    ):
        refusal = CHECKER.check(raw)
        assert expected == (refusal.source, refusal.id)


def test_content_is_compared_by_value():
    def of(*args, **kwargs):
        return content(line(event(*args, **kwargs)))

    one = of(DED)
    shuffled = dict(reversed(event(DED).items()))
    shuffled["data"] = dict(reversed(shuffled["data"].items()))
    spaced = json.dumps(shuffled, indent=3).encode()
    assert one == content(spaced), "order, spacing and escapes do not matter"
    assert one == of(DED, id="other", extension="x")
    assert one != of(DED, time="2013-05-06T01:30:00Z"), "two spellings of one instant differ"
    assert of(RAT, {"value": "1"}) != of(RAT, {"value": "1.0"})
    assert of(SUB, {"characters": 0}) == content(line(event(SUB)).replace(b"4999", b"-0"))
    assert one != of(DED, {"evidence": []}) != of(DED, {"evidence": GONE})


def test_an_opening_that_passed_gives_its_assessment_rulebook_and_roster():
    assert opened(line(event(OPE))) == ("w-2013", BOOK, tuple(roster.Unit(**row) for row in ROWS))


def test_owners_roles_and_ranges_come_from_the_rulebook():
    plain = json.loads(json.dumps(PLAIN).replace("chuangjian", "cj"))
    plain["roles"]["appeals"]["office"] = "jiwei"
    plain["item"][0]["ground"][0] = {"code": "g", "name": {"zh": "", "en": ""}, "words": "", "above": "0.5", "max": "1"}
    question = {"zh": "", "en": ""}
    reading = {"name": "cases", "clause": "", "values": ["one", "best"], "source": "text", "question": question}
    plain["reading"].append(reading)
    next(item for item in plain["item"] if item["code"] == "2.1")["rules"]["cases"] = "@cases"
    plain["item"][-1]["characters"]["value"] = "10"
    checker = Checker(rulebook.read(plain), (roster.Unit("V1", "v", "B", "g"),))

    def verdict_(kind, data=(), /, **attributes):
        result = checker.check(line(event(kind, data, **{"subject": "V1", **attributes})))
        return "ok" if isinstance(result, Event) else (str(result.reason), result.path)

    assert verdict_(DED, subject="U042") == NO_UNIT
    assert verdict_(DED, {"ground": "g", "points": "0.5"}) == POINTS
    assert verdict_(DED, {"ground": "g", "points": "0.6"}) == "ok"
    assert verdict_(DEC) == NOT_YOURS
    assert verdict_(DEC, source="/offices/jiwei") == "ok"
    assert verdict_(STA, subject="assessment") == NOT_YOURS
    assert verdict_(STA, subject="assessment", source="/offices/cj") == "ok"
    assert verdict_(RAT) == bad("data.case")
    assert verdict_(RAT, {"case": "c"}) == "ok"
    assert verdict_(SUB, {"characters": 11}) == ("value_out_of_range", "data.characters")


def refused(checker: Checker, raw: bytes) -> Refusal:
    found = checker.check(raw)
    assert isinstance(found, Refusal)
    return found


def test_messages_say_what_where_expected_and_found_in_both_languages():
    raw = line(event(DED, {"item": "1.2", "ground": "accident", "points": "6"}))
    assert refused(CHECKER, raw).message == (
        'The points are outside the ground\'s range (data.points): expected 0 < points <= 5, found "6". '
        "Give points within the range."
    )
    assert refused(Checker(BOOK, roster.shipped(), "zh"), raw).message == (
        '扣分超出该情形的幅度（data.points）：应为0 < points <= 5，实为"6"。请给出幅度之内的分值。'
    )
    data = ((DED, {"matter": "长" * 9000}), (DED, {"item": "长" * 200}), (TIE, {"units": ["", "x" * 60000]}),
            (DED, {"x" * 60000: 1}), (OPE, {"roster": [{**ROWS[0], "unit": "x" * 9000}]}))  # fmt: skip
    for one in (b"x" * 60000, *(line(event(*each)) for each in data)):
        assert len(refused(CHECKER, one).message) < 600


def test_every_reason_and_phrase_has_words_in_both_languages():
    assert list(Reason) == list(refusals.SENTENCES)
    assert refusals.conflict(7, "/offices/ducha", "e1").reason is Reason.CONFLICT
    sentences = (pair for pairs in refusals.SENTENCES.values() for pair in pairs)
    for english, chinese in (*refusals.PHRASES.values(), *sentences):
        assert english
        assert chinese
        assert [f"{{{n}}}" in english for n in range(3)] == [f"{{{n}}}" in chinese for n in range(3)]


# Laws ---------------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('aé事"\\\n\ud800😀', max_size=3)
    | st.sampled_from(["1.1", "2.2", "9.9", "no_feedback", "0.5", "plan", "leader", "U042", "x" * 201]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["", "a", "source", "id"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = {name for _, _, data in GOOD.values() for name in data} | {"group", "component", "case", "node", "x", ""}
names = st.sampled_from(sorted(FIELDS))


@st.composite
def mutated(draw):
    kind = draw(st.sampled_from([kind for kind in GOOD if kind != OPE]))
    whole = event(kind)
    for target, keys in ((whole, st.sampled_from([*whole, "x"])), (whole["data"], names)):
        for key in draw(st.lists(keys, max_size=2)):
            if draw(st.booleans()) and key in target and target is not whole:
                del target[key]
            else:
                target[key] = draw(values)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    raw = json.dumps(whole, ensure_ascii=draw(st.booleans()), separators=separators)
    return raw.encode("utf-8", "surrogatepass")


@st.composite
def torn(draw):
    raw = line(event(draw(st.sampled_from([kind for kind in GOOD if kind != OPE]))))
    start, length = draw(st.integers(0, len(raw))), draw(st.integers(0, 12))
    pieces = [b'"', b"\\", b'","id":"', b'"x":[],', b"{", b"}", b"\xef\xbb\xbf", b'"":"",', b" ", b"\x00"]
    piece = draw(st.binary(max_size=6) | st.sampled_from(pieces))
    return raw[:start] + piece + raw[start + length :]


class Full(Checker):
    """Checks every line in full."""

    def known(self, _):
        return None


FULL, KNOWING = Full(BOOK, roster.shipped()), Checker(BOOK, roster.shipped())


def consistent(raw):
    result = CHECKER.check(raw)
    assert isinstance(result, (Event, Refusal))
    assert msgspec.json.encode(result)
    return result


@given(st.binary(max_size=80) | mutated() | torn())
@settings(max_examples=400, deadline=None)
def test_no_line_raises(raw):
    consistent(raw)


@given(st.binary(max_size=60) | mutated() | torn())
@settings(max_examples=600, deadline=None)
@example(GOOD_LINE.replace(b'"item":', b'"item":"1.1","item":'))
@example(GOOD_LINE.replace(b'"data":', b'"data":{},"data":'))
@example(GOOD_LINE.replace(b'"data":', b'"x":1,"data":'))
@example(GOOD_LINE.replace(b'"data":', b'"x":1,"x":2,"data":'))
@example(GOOD_LINE.replace(b'"evidence":[', b'"evidence":[],"evidence":['))
@example(GOOD_LINE.replace(b'"evidence":["', b'"evidence":["\t'))
@example(GOOD_LINE + b"\x00")
def test_what_is_known_to_pass_passes_as_if_checked_in_full(raw):
    KNOWING.check(GOOD_LINE)
    assert FULL.check(raw) == KNOWING.check(raw)


def test_deductions_and_ratings_are_known_once_one_of_their_kind_has_passed():
    known = [kind for kind in GOOD if KNOWING.known(line(event(kind))) is not None]
    assert known == [DED, RAT]


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_no_opening_raises(data):
    whole = json.loads(json.dumps(event(OPE)))
    place = whole["data"]
    for _ in range(data.draw(st.integers(1, 6))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or data.draw(st.integers(0, 4)) == 0:
            place[key] = data.draw(values | st.sampled_from(["@step", "@", "0", "999999999.999999", "5\n"]))
            break
        place = place[key]
    result = consistent(json.dumps(whole).encode())
    if isinstance(result, Event):
        Checker(*opened(json.dumps(whole).encode())[1:]).check(GOOD_LINE)
