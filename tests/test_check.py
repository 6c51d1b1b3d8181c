"""The pure intake check, sentence by sentence of the contract: both sides of every boundary; no input raises."""

import base64
import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import nkeys
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import refusals, roster, rulebook, soundness, subjects
from schemas.events import Event, instant
from schemas.refusals import Reason, Refusal
from services.ingest import signatures
from services.ingest.check import Checker, content, opened

PLAIN = rulebook.plain(soundness.load(rulebook.SHIPPED / "rulebook.toml"))


def extended():
    """The shipped rulebook with one of everything else that an event may name; checked by, never scored."""
    raw = json.loads(json.dumps(PLAIN))
    raw["attribute"] = [
        {"code": "staff", "name": "人数", "min": "1", "max": "1000", "default": "10", "offices": ["renshe"]},
        {"code": "debt", "name": "债务"},
    ]
    raw["veto"] = [{"code": "safety", "name": "安全", "offices": ["jiwei"], "bars": ["award"]}]
    raw["period"] = [{"code": "month", "values": ["01", "02"]}]
    raw["part"].append({"code": "X", "name": "附加", "points": "0", "applies": {"categories": ["B"]}})
    praise = {"code": "praise", "name": "表彰", "points": "1", "adds": True, "approval": True}
    honour = {"code": "honour", "name": "荣誉", "above": "0", "max": "2", "step": "0.5", "adds": True}
    raw["item"] += [
        {"code": "X.1", "name": "加分", "points": "0", "in": "X", "offices": ["xuanchuan"], "input": "entries",
         "start": "0", "at_most": "5", "ground": [praise, honour, {"code": "blame", "name": "批评", "points": "1"}]},
        {"code": "X.2", "name": "月评", "points": "0", "in": "X", "offices": ["tongji"], "input": "ratings",
         "applies": {"groups": ["g2"]}, "range": {"min": "-10", "max": "10"}, "runs": "month"},
    ]  # fmt: skip
    book = msgspec.convert(raw, rulebook.Rulebook)
    book.__dict__["raw"] = raw
    return book


BOOK = extended()
UNITS = (
    *roster.shipped(),
    *(roster.Unit(f"W{n}", f"单位{n}", "B", f"g{n}", {"debt": "0"}) for n in (1, 2)),
)
CHECKER = Checker(BOOK, UNITS)
ROWS: list[dict[str, Any]] = [{"unit": f"V{n}", "name": f"单位{n}", "category": "B", "group": "g"} for n in range(3)]
SEED = bytearray(nkeys.encode_seed(b"k" * 32, nkeys.PREFIX_BYTE_USER))
NKEY = nkeys.from_seed(SEED).public_key.decode()
REF = {"source": "/offices/ducha", "id": "d1"}
GONE = object()
STRANGE: tuple[Any, ...] = ("x", 1, [], {})

#: A good event of each type: source, subject, data.
GOOD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "deduction.recorded.v1": ("/offices/ducha", "U042", {
        "item": "1.1", "matter": "批示-2013-017", "ground": "no_feedback", "reason": "逾期未反馈",
        "evidence": ["督查通报2013-5"]}),
    "bonus.recorded.v1": ("/offices/xuanchuan", "U042", {
        "item": "X.1", "matter": "m", "ground": "praise", "reason": "表彰", "evidence": []}),
    "rating.recorded.v1": ("/offices/gongwei", "U042", {"item": "2.1", "value": "4.2", "rater": "r1"}),
    "submission.recorded.v1": ("/offices/kaoji", "U042", {"item": "Y.1", "characters": 4999}),
    "item.exempted.v1": ("/offices/tongji", "U042", {"item": "2.3", "reason": "无服务对象"}),
    "item.closed.v1": ("/offices/tongji", "assessment", {"item": "2.3"}),
    "fact.recorded.v1": ("/offices/renshe", "U042", {"attribute": "staff", "value": "12", "reason": "年报"}),
    "veto.recorded.v1": ("/offices/jiwei", "U042", {"veto": "safety", "reason": "事故", "evidence": ["通报"]}),
    "approval.recorded.v1": ("/offices/chuangjian", "U042", {"target": REF, "outcome": "approved", "reason": "同意"}),
    "event.revoked.v1": ("/offices/ducha", "U042", {"target": REF, "reason": "误报"}),
    "appeal.filed.v1": ("/units/U042", "U042", {"target": REF, "statement": "已反馈"}),
    "appeal.decided.v1": ("/offices/gongwei", "U042", {
        "appeal": {"source": "/units/U042", "id": "a1"}, "outcome": "revised", "points": "0.5", "reason": "部分成立"}),
    "tie.resolved.v1": ("/offices/chuangjian", "assessment", {
        "grade": "first", "units": ["U041", "U040"], "reason": "抽签"}),
    "reading.adopted.v1": ("/offices/chuangjian", "assessment", {
        "reading": "matter_rule", "value": "sum", "reason": "会议"}),
    "unit.changed.v1": ("/offices/chuangjian", "U900", {
        "change": "joined", "name": "新单位", "category": "B", "group": "", "attributes": {"debt": "-1.5"},
        "reason": "机构改革"}),
    "item.transferred.v1": ("/offices/chuangjian", "assessment", {
        "item": "1.1", "from": "ducha", "to": "jiwei", "reason": "职责划转"}),
    "key.changed.v1": ("/offices/chuangjian", "assessment", {"party": "ducha", "key": NKEY, "reason": "换钥"}),
    "stage.reached.v1": ("/offices/chuangjian", "assessment", {"stage": "daily_closed"}),
    "assessment.opened.v1": ("/offices/chuangjian", "assessment", {
        "assessment": "w-2013", "rulebook": PLAIN, "roster": ROWS}),
}  # fmt: skip
DED, BON, RAT, SUB, EXE, CLO, FAC, VET, OKS, REV, APP, DEC, TIE, REA, UNI, TRA, KEY, STA, OPE = GOOD
NODE = {"item": "1.4", "ground": "late_or_unmet", "points": "0.5", "node": "plan"}
GROUP = {"item": "2.2", "value": "92", "group": "leader"}
PART = {"item": "3.2", "value": "1", "measure": "exchange"}
CASE = {"item": "4.1", "value": "17", "case": "c1"}
MONTH = {"item": "X.2", "value": "-10", "period": "01"}
MOVED = {"change": "moved", "name": GONE, "attributes": GONE}
NAMED = {"change": "renamed", "category": GONE, "group": GONE, "attributes": GONE}
LEFT = {**NAMED, "change": "left", "name": GONE}


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


def admit(checker, raw):
    """Let a change that passes take effect."""
    change = checker.check(raw)
    assert isinstance(change, Event)
    checker.apply(change)


def message(checker, raw):
    """What is said to whoever sent a line that is refused."""
    refusal = checker.check(raw)
    assert isinstance(refusal, Refusal)
    return refusal.message


def bad(path):
    return "bad_field", path


def odd(path):
    return "unknown_field", path


OK = "ok"
NOT_YOURS = ("source_not_authorised", "source")
NO_UNIT = ("unknown_unit", "subject")
NO_ITEM = ("unknown_item", "data.item")
KIND = ("wrong_kind", "data.item")
NOT_THEIRS = ("not_applicable", "data.item")
GROUND = ("unknown_ground", "data.ground")
POINTS = ("points_out_of_range", "data.points")
VALUE = ("value_out_of_range", "data.value")
OFFICE = "/offices/"

#: sentence of the contract: (type, changed data, changed attributes, verdict), in pairs around a boundary.
CASES: dict[str, list[tuple[str, dict[str, Any], dict[str, Any], Any]]] = {
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
        (DED, {}, {"subject": "u" * 64}, NO_UNIT),
        *((DED, {}, {"subject": code}, bad("subject")) for code in ("u" * 65, "单位", "_u", "U 1", "U.1", 7)),
        (DED, {}, {"time": GONE, "data": GONE}, bad("time")),
        (DED, {}, {"time": 1, "data": GONE}, bad("time")),
        (DED, {}, {"data": GONE}, bad("data")),
        (DED, {}, {"data": []}, bad("data")),
    ],
    "the subject of a year event is the assessment": [
        *((kind, {}, {"subject": "U042"}, bad("subject")) for kind in (CLO, TIE, REA, TRA, KEY, STA, OPE)),
        *((kind, {}, {"subject": "assessment"}, NO_UNIT) for kind in (DED, BON, RAT, SUB, EXE, FAC, VET, OKS, DEC)),
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
        (UNI, {"attributes": {"debt": "1", "x": "1"}}, {}, odd("data.attributes.x")),
        (UNI, {"attributes": {"debt": "1", "x": "1"}, "a": 1}, {}, odd("data.a")),
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
        (TIE, {"units": 1, "grade": 1}, {}, bad("data.grade")),
        (RAT, {"item": "9.9", "rater": 1, "measure": 1}, {}, bad("data.rater")),
        (RAT, {"item": "9.9", "measure": 1, "group": 1}, {}, bad("data.measure")),
        (RAT, {"item": "9.9", "group": 1, "case": 1}, {}, bad("data.group")),
        (RAT, {"item": "9.9", "case": 1, "period": 1}, {}, bad("data.case")),
        (UNI, {"name": 1, "category": 1}, {}, bad("data.name")),
        (UNI, {"category": 1, "group": 1}, {}, bad("data.category")),
        (UNI, {"group": 1, "attributes": 1}, {}, bad("data.group")),
        (UNI, {"attributes": 1, "reason": 1}, {}, bad("data.attributes")),
        (TRA, {"to": 1, "from": 1}, {}, bad("data.from")),
        (KEY, {"key": 1, "party": 1}, {}, bad("data.party")),
        (OPE, {"synthetic": 1, "keys": 1}, {}, bad("data.synthetic")),
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
            4, 4.5, "", "+4", "-", "--4", "04", "4.", ".5", "4e0", "4.1234567", " 4", "4\n", "４", "4,5", "NaN", True)),
        (RAT, {"value": "9" * 200}, {}, VALUE),
        (RAT, {"value": "9" * 201}, {}, bad("data.value")),
    ],
    "a minus only in a value, in an attribute, and in the points of a decision": [
        (RAT, {"value": "-0"}, {}, OK),
        (RAT, {"value": "-0.000001"}, {}, VALUE),
        (RAT, MONTH, {"source": OFFICE + "tongji", "subject": "W2"}, OK),
        (RAT, {**MONTH, "value": "-10.000001"}, {"source": OFFICE + "tongji", "subject": "W2"}, VALUE),
        (FAC, {"attribute": "debt", "value": "-" + "9" * 100}, {"source": OFFICE + "chuangjian"}, OK),
        (DEC, {"points": "-1"}, {}, OK),
        (DED, {"item": "1.2", "ground": "accident", "points": "-1"}, {}, bad("data.points")),
        (BON, {"ground": "honour", "points": "-0"}, {}, bad("data.points")),
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
        *((RAT, {name: value}, {}, odd(f"data.{name}")) for name in ("group", "measure", "case", "period")
          for value in STRANGE),
        (RAT, GROUP, {}, OK),
        (RAT, {**GROUP, "group": GONE}, {}, bad("data.group")),
        (RAT, PART, {"source": OFFICE + "wenda"}, OK),
        (RAT, {**PART, "measure": GONE}, {}, bad("data.measure")),
        (RAT, {**MONTH, "period": GONE}, {}, bad("data.period")),
        (BON, {"points": "1"}, {}, odd("data.points")),
        (BON, {"ground": "honour"}, {}, bad("data.points")),
        (BON, {"ground": "honour", "points": "1"}, {}, OK),
        *((UNI, change, {"subject": "U001"}, OK) for change in (MOVED, NAMED, LEFT)),
        (UNI, {**LEFT, "name": "n"}, {"subject": "U001"}, odd("data.name")),
        (UNI, {**MOVED, "attributes": {"debt": "1"}}, {"subject": "U001"}, odd("data.attributes")),
        (UNI, {**MOVED, "group": GONE}, {"subject": "U001"}, bad("data.group")),
        (UNI, {**NAMED, "category": "B"}, {"subject": "U001"}, odd("data.category")),
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
        (RAT, {"item": "9.9", "group": "leader", "measure": "usage", "case": "c", "period": "02"}, {}, NO_ITEM),
        (RAT, {"item": "9.9", "period": "03"}, {}, bad("data.period")),
        (RAT, {"item": "9.9", "group": "nobody"}, {}, bad("data.group")),
        (RAT, {"item": "9.9", "measure": "nothing"}, {}, bad("data.measure")),
        (RAT, {"item": "9.9", "case": ""}, {}, bad("data.case")),
    ],
    "a code (node, group, measure, period, stage, grade, attribute, veto, …) outside its list is a bad field": [
        (DED, {**NODE, "node": "quarter_5"}, {}, bad("data.node")),
        (RAT, {**GROUP, "group": "nobody"}, {}, bad("data.group")),
        (RAT, {**PART, "measure": "accuracy"}, {"source": OFFICE + "wenda"}, bad("data.measure")),
        (RAT, {**MONTH, "period": "03"}, {}, bad("data.period")),
        (FAC, {"attribute": "luck"}, {}, bad("data.attribute")),
        (VET, {"veto": "luck"}, {}, bad("data.veto")),
        (OKS, {"outcome": "upheld"}, {}, bad("data.outcome")),
        (UNI, {"change": "merged"}, {}, bad("data.change")),
        (STA, {"stage": "finalised"}, {}, OK),
        (STA, {"stage": "closed"}, {}, bad("data.stage")),
        (DEC, {"outcome": "granted"}, {}, bad("data.outcome")),
        (TIE, {"grade": "passed"}, {}, OK),
        (TIE, {"grade": "third"}, {}, bad("data.grade")),
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
          for kind in (DED, BON, RAT, SUB, EXE, CLO, OKS, DEC, TIE, REA, UNI, TRA, KEY, STA, OPE)),
        *((kind, {}, {"source": OFFICE + "ducha"}, NOT_YOURS) for kind in (FAC, VET)),
        (FAC, {"attribute": "debt"}, {}, NOT_YOURS),
        (FAC, {"attribute": "debt"}, {"source": OFFICE + "chuangjian"}, OK),
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
        *((kind, {}, {"source": OFFICE + "wenda", "subject": "U999"}, NO_UNIT) for kind in (DEC, OKS, FAC, VET, BON)),
        (UNI, LEFT, {"source": OFFICE + "jiwei", "subject": "U999"}, NO_UNIT),
        (UNI, {}, {"source": OFFICE + "jiwei", "subject": "U999"}, NOT_YOURS),
        (TRA, {"item": "9.9"}, {"source": OFFICE + "jiwei"}, NOT_YOURS),
        (TRA, {"item": "9.9"}, {}, NO_ITEM),
        (DED, {"item": "9.9"}, {"subject": "U999"}, NO_UNIT),
        (APP, {}, {"source": "/units/U999", "subject": "U999"}, NO_UNIT),
        (REV, {}, {"source": "/units/U999", "subject": "U999"}, NO_UNIT),
        (REV, {}, {"source": OFFICE + "jiwei", "subject": "U999"}, NO_UNIT),
        (REV, {}, {"source": "/units/U998", "subject": "U999"}, NOT_YOURS),
        (TIE, {"units": ["U001", "U999"]}, {"source": OFFICE + "jiwei"}, NOT_YOURS),
        (TIE, {"units": ["U001", "U999"]}, {}, ("unknown_unit", "data.units[1]")),
    ],
    "a submission is of an item with characters, by its offices": [
        (SUB, {"item": "2.1"}, {"source": OFFICE + "gongwei"}, KIND),
        (SUB, {"item": "2.1"}, {}, NOT_YOURS),
        (SUB, {"item": "9.9"}, {"source": OFFICE + "gongwei"}, NO_ITEM),
        (SUB, {}, {"source": OFFICE + "gongwei", "subject": "U999"}, NO_UNIT),
    ],
    "an item is there for the units to which it and all above it applies": [
        (BON, {}, {"subject": "U001"}, NOT_THEIRS),
        (BON, {"item": "2.1"}, {"source": OFFICE + "gongwei", "subject": "U001"}, KIND),
        (BON, {"ground": "nothing"}, {"subject": "U001"}, NOT_THEIRS),
        (DED, {"item": "X.1", "ground": "praise"}, {"source": OFFICE + "xuanchuan", "subject": "U001"}, NOT_THEIRS),
        (RAT, MONTH, {"source": OFFICE + "tongji", "subject": "W1"}, NOT_THEIRS),
        (EXE, {"item": "X.2"}, {"subject": "W1"}, NOT_THEIRS),
        (EXE, {"item": "X.2"}, {"subject": "W2"}, OK),
        (CLO, {"item": "X.2"}, {}, OK),
    ],
    "a unit that joins has a new code, a category, a group and its attributes": [
        (UNI, {}, {"subject": "assessment"}, bad("subject")),
        (UNI, {}, {"subject": "ducha"}, bad("subject")),
        (UNI, {}, {"subject": "U001"}, OK),
        (UNI, LEFT, {"subject": "ducha"}, NO_UNIT),
        (UNI, {"category": "C"}, {}, bad("data.category")),
        (UNI, {"attributes": {}}, {}, bad("data.attributes.debt")),
        (UNI, {"attributes": {"debt": 1}}, {}, bad("data.attributes.debt")),
        (UNI, {"attributes": {"debt": "1", "staff": "0"}}, {}, bad("data.attributes.staff")),
        (UNI, {"attributes": {"debt": "1", "staff": "1000"}}, {}, OK),
        (FAC, {"value": "0.999999"}, {}, VALUE),
        (FAC, {"value": "1000"}, {}, OK),
        (FAC, {"value": "1000.000001"}, {}, VALUE),
    ],
    "a transfer is between offices, a key a party's public nkey": [
        (TRA, {"from": "U001"}, {}, bad("data.from")),
        (TRA, {"to": "nobody"}, {}, bad("data.to")),
        (KEY, {"party": "U001"}, {}, OK),
        (KEY, {"party": "U999"}, {}, bad("data.party")),
        *((KEY, {"key": key}, {}, bad("data.key")) for key in
          (NKEY[:-1], NKEY[:-1] + "A", NKEY.lower(), SEED.decode(), "")),
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
    "wrong kind: a rating for entries, an entry for ratings, or on a ground of the other sign": [
        (DED, {"item": "X.1", "ground": "praise"}, {"source": OFFICE + "xuanchuan"}, KIND),
        (BON, {"ground": "blame"}, {}, KIND),
        (BON, {"ground": "nothing"}, {}, GROUND),
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
        *((BON, {"ground": "honour", "points": points}, {}, want) for points, want in
          (("0", POINTS), ("0.5", OK), ("0.75", POINTS), ("2", OK), ("2.5", POINTS))),
        (DEC, {"points": "1000"}, {}, OK),
    ],
    "values within the item's range": [
        *((RAT, {"item": item, "value": value, **more}, {"source": OFFICE + office}, want)
          for item, office, most, more in (
              ("1.5", "gongwei", "100", {}), ("2.1", "gongwei", "5", {}),
              ("2.2", "gongwei", "100", {"group": "clients"}),
              ("2.3", "tongji", "100", {}), ("3.1", "wenda", "10", {}), ("3.2", "wenda", "1", {"measure": "usage"}),
              ("3.3", "shenguan", "1", {"measure": "accuracy"}), ("4.1", "xuanchuan", "20", {"case": "c"}),
              ("5.1", "jiwei", "100", {}), ("Y.1", "kaoji", "120", {}))
          for value, want in ((most, OK), (most + ".000001", VALUE), ("0", OK))),
        *((RAT, {**PART, "value": value}, {"source": OFFICE + "wenda"}, want) for value, want in
          (("0", OK), ("1.0", OK), ("0.5", VALUE), ("2", VALUE))),
        (RAT, {**PART, "measure": "usage", "value": "0.5"}, {"source": OFFICE + "wenda"}, OK),
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
        (OPE, {"roster": [{**ROWS[0], "unit": "ducha"}]}, {}, bad("data.roster[0].unit")),
        (OPE, {"roster": [{**ROWS[0], "unit": " V0"}]}, {}, bad("data.roster[0].unit")),
        (OPE, {"roster": [{**ROWS[0], "group": ""}]}, {}, OK),
        (OPE, {"roster": [{**ROWS[0], "attributes": {"staff": "1"}}]}, {}, odd("data.roster[0].attributes.staff")),
        (OPE, {"roster": [{**ROWS[0], "attributes": []}]}, {}, bad("data.roster[0].attributes")),
        (OPE, {"synthetic": True, "keys": {"ducha": NKEY, "V0": NKEY}}, {}, OK),
        (OPE, {"synthetic": "true"}, {}, bad("data.synthetic")),
        (OPE, {"keys": []}, {}, bad("data.keys")),
        (OPE, {"keys": {"U001": NKEY}}, {}, bad("data.keys.U001")),
        (OPE, {"keys": {"ducha": NKEY[:-1]}}, {}, bad("data.keys.ducha")),
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
    one, other = (instant(moment.isoformat()) or "" for moment in (a, b))
    assert [a < b, a == b] == [one < other, one == other]


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
    elsewhere = {Reason.CONFLICT, Reason.TOO_LARGE, Reason.NOT_JSON, Reason.NOT_OPEN, Reason.NOT_SIGNED}
    assert set(Reason) - elsewhere == given_


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
    made = opened(line(event(OPE, {"synthetic": True, "keys": {"ducha": NKEY}})))
    assert made[0] == "w-2013"
    assert rulebook.plain(made[1]) == PLAIN
    assert made[2:] == (tuple(roster.Unit(**row) for row in ROWS), True, {"ducha": NKEY})


def changed_book(**roots):
    """The extended rulebook with some of its tables put in place of what it has."""
    raw = {**BOOK.__dict__["raw"], **roots}
    return msgspec.convert(raw, rulebook.Rulebook)


def said(checker, raw):
    result = checker.check(raw)
    return "ok" if isinstance(result, Event) else (str(result.reason), result.path)


def test_roles_groups_and_ranges_come_from_the_rulebook():
    raw = json.loads(json.dumps(BOOK.__dict__["raw"]).replace("chuangjian", "cj"))
    raw["roles"] = {"collector": "cj", "appeals": "jiwei", "approvals": "renda"}
    raw["item"][0]["ground"][0] = {"code": "g", "name": "g", "above": "0.5", "max": "1"}
    raw["group"] = [{"code": "g1", "name": "g1", "category": "A"}, {"code": "g2", "name": "g2"}]
    next(item for item in raw["item"] if item["code"] == "Y.1")["characters"] = "10"
    checker = Checker(msgspec.convert(raw, rulebook.Rulebook), (roster.Unit("V1", "v", "B", "g"),))
    co, joined = OFFICE + "cj", {"attributes": {"debt": "1"}}
    for kind, data, attributes, expected in (
        (DED, {}, {"subject": "U042"}, NO_UNIT),
        (DED, {"ground": "g", "points": "0.5"}, {}, POINTS),
        (DED, {"ground": "g", "points": "0.6"}, {}, OK),
        (DEC, {}, {}, NOT_YOURS),
        (DEC, {}, {"source": OFFICE + "jiwei"}, OK),
        (OKS, {}, {"source": co}, NOT_YOURS),
        (OKS, {}, {"source": OFFICE + "renda"}, OK),
        (STA, {}, {"subject": "assessment"}, NOT_YOURS),
        (STA, {}, {"subject": "assessment", "source": co}, OK),
        (SUB, {"characters": 11}, {}, ("value_out_of_range", "data.characters")),
        (UNI, {**joined, "group": ""}, {"source": co, "subject": "V2"}, bad("data.group")),
        (UNI, {**joined, "group": "g1"}, {"source": co, "subject": "V2"}, bad("data.group")),
        (UNI, {**joined, "group": "g2"}, {"source": co, "subject": "V2"}, OK),
        (UNI, {**joined, "group": "g1", "category": "A"}, {"source": co, "subject": "V2"}, OK),
    ):
        found = said(checker, line(event(kind, data, **{"subject": "V1", **attributes})))
        assert expected == found, (kind, data, attributes)


def test_where_there_are_no_appeals_and_nothing_needs_approval_they_are_of_the_wrong_kind():
    checker = Checker(
        changed_book(
            roles={"collector": "chuangjian"}, item=[i for i in BOOK.__dict__["raw"]["item"] if i["code"] != "X.1"]
        ),
        UNITS,
    )
    for kind, source in ((APP, "/units/U042"), (OKS, OFFICE + "chuangjian")):
        assert said(checker, line(event(kind, source=source))) == ("wrong_kind", "type")
    assert said(checker, line(event(DEC))) == NOT_YOURS, "nobody decides"


def test_before_a_year_is_open_nothing_passes_but_its_opening():
    unopened = Checker(None, (), assessment="w-2013")
    for kind in GOOD:
        assert said(unopened, line(event(kind))) == (OK if kind == OPE else ("not_open", "type"))
    assert said(unopened, line(event(DED, {"reason": ""}))) == bad("data.reason")
    assert said(unopened, line(event(DED, {"x": ""}))) == odd("data.x")
    assert said(unopened, line(event(OPE, {"assessment": "w-2014"}))) == bad("data.assessment")
    assert said(unopened, line(event(OPE, source=OFFICE + "ducha"))) == NOT_YOURS
    deaf = Checker(None, (), accept=refuse_all)
    assert said(deaf, line(event(OPE))) == bad("data.rulebook")


def refuse_all(raw):
    """What a rulebook that is not sound meets."""
    return soundness.read({**raw, "item": []})


def test_changes_take_effect_on_what_follows_them():
    checker = Checker(BOOK, UNITS)

    def change(*args, **kwargs):
        admit(checker, line(event(*args, **kwargs)))

    def now(*args, **kwargs):
        return said(checker, line(event(*args, **kwargs)))

    heir, old = {"source": OFFICE + "jiwei"}, {"source": OFFICE + "ducha"}
    assert (now(DED), now(DED, **heir), now(REV, **heir)) == (OK, NOT_YOURS, NOT_YOURS)
    change(TRA)
    assert (now(DED), now(DED, **heir), now(REV, **heir), now(REV, **old)) == (NOT_YOURS, OK, OK, OK)
    change(TRA, {"from": "jiwei", "to": "wenda"})
    assert (now(DED, **heir), now(REV, **heir), now(REV, source=OFFICE + "wenda")) == (NOT_YOURS, OK, OK)
    assert now(REV, {"target": {"source": OFFICE + "wenda", "id": "x"}}, **old) == NOT_YOURS
    assert (now(BON, subject="U900"), now(BON, subject="U001")) == (NO_UNIT, NOT_THEIRS)
    change(UNI)
    change(UNI, MOVED, subject="U001")
    assert (now(BON, subject="U900"), now(BON, subject="U001")) == (OK, OK)
    change(UNI, {**MOVED, "category": "A"}, subject="U001")
    change(UNI, LEFT, subject="U900")
    change(UNI, NAMED, subject="U900")
    assert (now(BON, subject="U900"), now(BON, subject="U001")) == (OK, NOT_THEIRS), "who left is still known"


def signed(value, seed=SEED):
    signature = nkeys.from_seed(bytearray(seed)).sign(signatures.canonical(value))
    return line({**value, "signature": base64.b64encode(signature).decode()})


def test_signatures_are_checked_by_the_keys_in_force():
    bad_sign, good = ("not_signed", "signature"), event(DED, note=[1.5, "事\u001f"])
    checker = Checker(BOOK, UNITS)
    assert said(checker, line({**good, "signature": 7})) == OK, "without a key in force it is not looked at"
    admit(checker, line(event(KEY)))
    other = nkeys.encode_seed(b"x" * 32, nkeys.PREFIX_BYTE_USER)
    for raw, expected in (
        (line(good), OK),
        (signed(good), OK),
        (json.dumps(json.loads(signed(good)), indent=2, sort_keys=True).encode(), OK),
        (signed(good).replace(b'"e1"', b'"e2"'), bad_sign),
        (signed(good, other), bad_sign),
        (line({**good, "signature": 7}), bad_sign),
        (line({**good, "signature": "AAAA"}), bad_sign),
        (line({**good, "signature": "é"}), bad_sign),
        (line({**event(DED, subject="U999"), "signature": ""}), bad_sign),
        (line({**event(DED, source=OFFICE + "renda"), "signature": ""}), NOT_YOURS),
        (line({**event(EXE), "signature": "of whom no key is known"}), OK),
    ):
        assert expected == said(checker, raw)
    strict = Checker(changed_book(signatures="required"), UNITS, keys={"ducha": NKEY})
    assert [said(strict, raw) for raw in (line(good), signed(good), line(event(EXE)))] == [bad_sign, OK, bad_sign]
    assert said(Checker(changed_book(signatures="required"), UNITS, began=False), line(event(OPE))) == OK


@pytest.mark.parametrize(
    ("value", "expected"),
    [  # RFC 8785, appendix B and section 3.2
        (333333333.33333329, "333333333.3333333"), (1e30, "1e+30"), (4.50, "4.5"), (2e-3, "0.002"), (1e-27, "1e-27"),
        (-0.0, "0"), (5e-324, "5e-324"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-6, "0.000001"),
        (1e-7, "1e-7"), (9007199254740993, "9007199254740992"), (-1.5, "-1.5"), (True, "true"), (None, "null"),
        ({"\ud83d\ude00": 1, "\ufb33": 2, "a": [], "": {}}, '{"":{},"a":[],"\ud83d\ude00":1,"\ufb33":2}'),
        ("\u20ac$\u000f\nA'B\"\\/", '"\u20ac$\\u000f\\nA\'B\\"\\\\/"'),
    ],
)  # fmt: skip
def test_what_is_signed_is_written_as_rfc_8785_says(value, expected):
    surrogates = expected.encode("utf-16", "surrogatepass").decode("utf-16")
    value = json.loads(json.dumps(value))
    assert signatures.canonical(value).decode() == surrogates


def test_messages_say_what_where_expected_and_found_in_both_languages():
    raw = line(event(DED, {"item": "1.2", "ground": "accident", "points": "6"}))
    assert message(CHECKER, raw) == (
        'The points are outside the ground\'s range (data.points): expected 0 < points <= 5, found "6". '
        "Give points within the range."
    )
    assert message(Checker(BOOK, UNITS, "zh"), raw) == (
        '分值超出该情形的幅度（data.points）：应为0 < points <= 5，实为"6"。请给出幅度之内的分值。'
    )
    data = ((DED, {"matter": "长" * 9000}), (DED, {"item": "长" * 200}), (TIE, {"units": ["", "x" * 60000]}),
            (DED, {"x" * 60000: 1}), (OPE, {"roster": [{**ROWS[0], "unit": "x" * 9000}]}))  # fmt: skip
    for one in (b"x" * 60000, *(line(event(*each)) for each in data)):
        assert len(message(CHECKER, one)) < 600


def test_every_reason_and_phrase_has_words_in_both_languages():
    assert list(Reason) == list(refusals.SENTENCES)
    assert refusals.conflict(7, "/offices/ducha", "e1").reason is Reason.CONFLICT
    sentences = (one for pair in refusals.SENTENCES.values() for one in pair)
    for said in (*refusals.PHRASES.values(), *sentences):
        english, chinese = said.say("en"), said.say("zh")
        assert english
        assert chinese
        assert [f"{{{n}}}" in english for n in range(3)] == [f"{{{n}}}" in chinese for n in range(3)]


# Laws ---------------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('aé事"\\\n\ud800😀', max_size=3)
    | st.sampled_from(["1.1", "2.2", "9.9", "no_feedback", "0.5", "plan", "leader", "U042", "X.1", "praise",
                        "joined", "x" * 201]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["", "a", "source", "id"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = {name for _, _, data in GOOD.values() for name in data} | {
    "group",
    "measure",
    "case",
    "period",
    "node",
    "x",
    "",
}
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


FULL, KNOWING = Full(BOOK, UNITS), Checker(BOOK, UNITS)


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
@example(line(event(DED, {"evidence": GONE, "matter": GONE, "reason": GONE, "value": "1", "rater": "r"})))
@example(line(event(DED, {"evidence": GONE, "matter": GONE, "rater": "r"})))
@example(line(event(RAT, {"rater": GONE, "matter": "m"})))
@example(line(event(RAT, {"value": GONE, "points": "1"})))
@example(line(event(RAT, {"rater": GONE, "evidence": ["e"]})))
def test_what_is_known_to_pass_passes_as_if_checked_in_full(raw):
    KNOWING.check(GOOD_LINE)
    KNOWING.check(line(event(RAT)))
    assert FULL.check(raw) == KNOWING.check(raw)


def test_entries_and_ratings_are_known_once_one_of_their_kind_has_passed():
    known = [kind for kind in GOOD if KNOWING.known(line(event(kind))) is not None]
    assert known == [DED, BON, RAT]


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
        Checker(*opened(json.dumps(whole).encode())[1:3]).check(GOOD_LINE)


@pytest.mark.parametrize(("depth", "refused"), [(64, False), (65, True)])
@pytest.mark.parametrize("beside", [b"", b', "y": []'], ids=["few brackets", "more brackets than the limit"])
def test_nesting_is_taken_to_its_limit_and_no_deeper(depth: int, beside: bytes, refused: bool) -> None:
    found = CHECKER.check(b'{"x": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + beside + b"}")
    assert isinstance(found, Refusal)
    assert ("nesting deeper than 64" in found.message) is refused
