"""A synthetic year: what every office might have sent in 2013, for the demonstration; no fact in it is real."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

CHINA = timezone(timedelta(hours=8))
DEDUCTION, RATING, REVOKED = "deduction.recorded.v1", "rating.recorded.v1", "event.revoked.v1"
YEAR = "assessment"
Event = dict[str, Any]

TOPICS = (
    "城市道路提升", "内河水质整治", "安置房建设", "重点项目征迁", "安全生产检查", "学校布点调整", "医疗资源下沉",
    "公交线网优化", "企业融资帮扶", "民间投资审批", "信访积案化解", "食品安全整治", "违法建筑拆除", "电网改造",
    "防汛设施加固", "人才引进政策",
)  # fmt: skip
REASONS = {
    "no_feedback": ("逾期未反馈批示办理情况", "未按要求反馈阶段性进展", "反馈材料不符合要求，催办后仍未补报"),
    "poorly_implemented": ("因主观原因办理滞后，未达到批示要求", "责任未分解到处室，落实不到位"),
    "not_rectified": ("经督办仍未整改到位", "督办期满未完成整改"),
    "criticised": ("办理落实情况在专题会议上被主要领导批评", "工作推诿，被主要领导批示批评"),
    "accident": ("经认定为一般落实事故", "重要决定事项推进不力，影响工作", "未按时间节点完成牵头任务"),
    "handling": ("答复逾期", "办前未与代表、委员沟通", "答复内容空泛，反馈意见为不满意", "承诺事项未按期落实"),
    "late_or_unmet": ("未按规定时限报送", "报送材料经审核退回", "未按要求组织平时考核"),
    "problem_minor": ("窗口人员未佩戴工作牌", "办事指南未及时更新", "咨询电话无人接听", "未一次性告知所需材料"),
    "problem_serious": ("工作时间窗口空岗", "上班时间从事与工作无关的事", "对服务对象态度生硬，造成不良影响"),
}
#: What happens on one matter of 1.1, in order; of the best units only the first three.
CHAINS = (
    ("no_feedback",), ("no_feedback",), ("no_feedback", "no_feedback"), ("poorly_implemented",),
    ("poorly_implemented", "not_rectified"), ("no_feedback", "poorly_implemented"), ("no_feedback", "criticised"),
)  # fmt: skip
NODES = (
    ("plan", 4, 22), ("quarter_1", 4, 29), ("quarter_2", 7, 8), ("quarter_3", 10, 14), ("quarter_4", 12, 9),
    ("result", 12, 12),
)  # fmt: skip
STATEMENTS = (
    "该事项已按期反馈，附送达回执，请予核实",
    "责任主体认定有误，牵头单位并非本单位",
    "问题当日已整改，扣分幅度偏重，请予复核",
)


def day(month: int, date: int, hour: int = 9, minute: int = 0) -> datetime:
    """Give a moment of the assessment year, which runs from April 2013 to March 2014."""
    return datetime(2013 if month > 3 else 2014, month, date, hour, minute, tzinfo=CHINA)


@dataclass(eq=False, slots=True)
class Line:
    """One line before it has an id; where its data names another line, the id is put in when all are in order."""

    party: str
    when: datetime
    type: str
    subject: str
    data: Event
    again: "Line | None" = None
    change: Callable[[Event], Event | bytes] | None = None
    id: str = ""


@dataclass(slots=True)
class Draft:
    """The year while it is written: its lines in no order, the units' quality in thousandths, and who is whose twin."""

    rulebook: Event
    roster: list[dict[str, str]]
    seed: int
    lines: list[Line] = field(default_factory=list)
    quality: dict[str, int] = field(default_factory=dict)
    twins: tuple[str, ...] = ()
    worst: tuple[str, ...] = ()

    def dice(self, *name: str) -> random.Random:
        """Give a generator of its own for each name, so that a change in one place moves nothing elsewhere."""
        return random.Random(f"{self.seed}/{'/'.join(name)}")  # noqa: S311 - a plausible year, not a secret

    def offices(self, item: str) -> list[str]:
        """Name the offices of an item, by the rulebook."""
        return next(one["offices"] for one in self.rulebook["item"] if one["code"] == item)

    def add(self, party: str, when: datetime, kind: str, subject: str, data: Event) -> Line:
        """Write a line that is numbered when all lines are in order."""
        line = Line(party, when, kind, subject, data)
        self.lines.append(line)
        return line

    def deduct(  # noqa: PLR0913, PLR0917 - the fields of a deduction, in the order of the register
        self, unit: str, when: datetime, item: str, matter: str, ground: str, office: str = "", **more: str
    ) -> Line:
        """Write a deduction with a reason and a piece of evidence that suit its ground."""
        dice = self.dice(unit, when.isoformat(), matter, ground)
        data: Event = {"item": item, "matter": matter, "ground": ground, **more, "reason": dice.choice(REASONS[ground])}
        if dice.random() < 0.8:
            data["evidence"] = [f"通报〔2013〕{dice.randrange(1, 90)}号", "附件材料"][: dice.randrange(1, 3)]
        return self.add(office or self.offices(item)[0], when, DEDUCTION, unit, data)

    def rate(self, unit: str, when: datetime, item: str, value: str, rater: str, **more: str) -> Line:
        """Write a rating by the item's first office."""
        return self.add(
            self.offices(item)[0], when, RATING, unit, {"item": item, "value": value, "rater": rater, **more}
        )

    def revoke(self, target: Line, when: datetime, reason: str, party: str = "") -> Line:
        """Write the revocation of a line by whoever sent it."""
        return self.add(party or target.party, when, REVOKED, target.subject, {"target": target, "reason": reason})


def year(
    rulebook: Event, roster: list[dict[str, str]], seed: int = 2013, events: int = 6000, *, settled: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Give the lines of a whole year, each with the party that publishes it, in the order of publication.

    Rulebook and roster are plain objects, made for the shipped pair. `events` is the number of lines; under about 5,000
    it is what a whole year takes. Everything is closed but a tie across the cut of the second prize; `settled` settles
    it and finalises. Lines that are wrong are meant to be refused; each stands on the subject of its own party.
    """
    draft = Draft(rulebook, roster, seed)
    _grade(draft)
    _open(draft)
    for unit in draft.quality:
        _lapses(draft, unit)
        _findings(draft, unit)
        _ratings(draft, unit)
    for unit in draft.worst:
        _fall(draft, unit)
    _correct(draft)
    _appeal(draft)
    _close(draft)
    _err(draft)
    _end(draft, settled=settled)
    _fill(draft, events)
    return _ordered(draft)


def _grade(draft: Draft) -> None:
    """Grade the units so steeply that the twins, who share all facts, stand on both sides of the second prize's cut."""
    dice = draft.dice("quality")
    ranked = [unit for unit in draft.roster if unit["category"] == "B"]
    passed = [unit["unit"] for unit in draft.roster if unit["category"] != "B"]
    dice.shuffle(ranked)
    dice.shuffle(passed)
    cut = len(draft.roster) * 5 // 100 + len(draft.roster) * 10 // 100
    first = ranked[cut - 1]
    twin = next(unit for unit in ranked[cut:] if unit["group"] == first["group"])
    ranked.remove(twin)
    ranked.insert(cut, twin)
    draft.twins = (first["unit"], twin["unit"])
    for n, unit in enumerate(ranked):
        below = 735 - (n - cut) * 455 // len(ranked)
        draft.quality[unit["unit"]] = 995 - n * 6 if n < cut - 1 else 810 if unit["unit"] in draft.twins else below
    for n, code in enumerate(passed):
        draft.quality[code] = 930 - n * 640 // len(passed)
    draft.worst = (*(unit["unit"] for unit in ranked[-5:]), *passed[-2:])


def _text(hundredths: int) -> str:
    """Write a decimal of at most two places."""
    return f"{hundredths // 100}.{hundredths % 100:02d}".rstrip("0").rstrip(".")


def _facts(draft: Draft, unit: str, name: str) -> random.Random:
    """Give the dice of a unit's facts, which twins share; when a fact was sent is each unit's own."""
    return draft.dice(draft.twins[0] if unit in draft.twins else unit, name)


def _moment(dice: random.Random, start: datetime, end: datetime) -> datetime:
    """Draw an office hour of a working day between two days."""
    when = start + timedelta(days=dice.randrange((end - start).days + 1))
    when -= timedelta(days=max(0, when.weekday() - 4))
    hours = timedelta(hours=8, minutes=30, seconds=dice.randrange(8 * 3600))
    return max(start, when.replace(hour=0, minute=0) + hours)


def _some(dice: random.Random, thousandths: int) -> int:
    """Draw a whole number whose mean is the number of thousandths."""
    return (thousandths + dice.randrange(1000)) // 1000


def _open(draft: Draft) -> None:
    """Open the assessment with rulebook and roster whole, and adopt every default that final asks for."""
    book = draft.rulebook
    opened = {"assessment": book["id"], "rulebook": book, "roster": draft.roster}
    office = book["roles"]["collector"]["office"]
    draft.add(office, day(4, 2, 8), "assessment.opened.v1", YEAR, opened)
    adopted = [(one["name"], one["values"][0], one["question"]["zh"]) for one in book["reading"]]
    adopted += [(one["name"], one["value"], one["unit"]["zh"]) for one in book["parameter"]]
    hasty = {"reading": "publicity_days", "value": "5", "reason": "公示天数"}
    line = draft.add(office, day(4, 8, 9), "reading.adopted.v1", YEAR, hasty)
    draft.revoke(line, day(4, 8, 10), "天数有误，重新发布")
    for n, (name, value, question) in enumerate(adopted):
        data = {"reading": name, "value": value, "reason": f"创建办会议议定：{question}"}
        draft.add(office, day(4, 8, 11, n), "reading.adopted.v1", YEAR, data)


def _lapses(draft: Draft, unit: str) -> None:
    """Deductions of part 1 (责任型): leaders' instructions, decisions, suggestions and proposals, nodes of work."""
    facts, clock, loss = _facts(draft, unit, "lapses"), draft.dice(unit, "clock"), 1000 - draft.quality[unit]
    for n in range(_some(facts, loss * 3)):
        matter = f"批示-2013-{clock.randrange(1, 400):03d}-{n + 1} {facts.choice(TOPICS)}"
        when = _moment(clock, day(4, 15), day(11, 20))
        for step, ground in enumerate(facts.choice(CHAINS[: 3 if loss < 100 else None])):
            draft.deduct(unit, when + timedelta(days=7 * step), "1.1", matter, ground)
    for n in range(_some(facts, loss * 3 // 5)):
        matter = f"督考认定-2013-{clock.randrange(1, 60):02d}-{n + 1} {facts.choice(TOPICS)}"
        points = _text(facts.randrange(1, 5) * 50)
        draft.deduct(unit, _moment(clock, day(5, 6), day(12, 13)), "1.2", matter, "accident", points=points)
    for n in range(_some(facts, 300 + loss * 7)):
        office = facts.choice(draft.offices("1.3"))
        name = "建议" if office == "renda" else "提案"
        matter = f"{name}-2013-{clock.randrange(1, 500):03d}-{n + 1}"
        points = _text(facts.randrange(2, 21) * 5)
        when = _moment(clock, day(7, 1), day(11, 29))
        draft.deduct(unit, when, "1.3", matter, "handling", office, points=points)
    for n in range(_some(facts, loss * 3)):
        node, month, date = facts.choice(NODES)
        office, points = facts.choice(draft.offices("1.4")), _text(facts.choice((50, 50, 50, 100, 100, 150)))
        when = _moment(clock, day(month, date), day(month, date) + timedelta(days=7))
        draft.deduct(unit, when, "1.4", f"全员绩效-2013-{n + 1}", "late_or_unmet", office, points=points, node=node)


def _findings(draft: Draft, unit: str) -> None:
    """Deductions of 2.4 (公共服务查访); now and then two inspectors report the same matter."""
    facts, clock, loss = _facts(draft, unit, "findings"), draft.dice(unit, "visits"), 1000 - draft.quality[unit]
    for n in range(_some(facts, loss * 3)):
        matter = f"查访-2013-{clock.randrange(1, 300):03d}-{n + 1}"
        when = _moment(clock, day(5, 6), day(12, 6))
        for step in range(facts.choice((1, 1, 1, 2))):
            ground = facts.choice(("problem_minor", "problem_minor", "problem_serious"))
            draft.deduct(unit, when + timedelta(days=step), "2.4", matter, ground)


def _ratings(draft: Draft, unit: str) -> None:
    """Every rated item of one unit: panels, surveys, checklists, results to be ranked, and the year-end scores."""
    facts, clock, quality = _facts(draft, unit, "ratings"), draft.dice(unit, "panels"), draft.quality[unit]

    def value(full: int, spread: int = 25) -> str:
        """Draw a value near the unit's quality, out of `full`, in tenths or hundredths."""
        share = min(1000, 450 + quality * 530 // 1000 + facts.randrange(-spread, spread + 1))
        return _text(full * share // 10)

    def send(item: str, start: datetime, full: int, rater: str, **more: str) -> None:
        draft.rate(unit, _moment(clock, start, start + timedelta(days=9)), item, value(full), rater, **more)

    result = _text(quality * 9 + facts.randrange(60))
    draft.rate(unit, _moment(clock, day(12, 2), day(12, 13)), "1.5", result, "机关党建目标考核")
    for n in range(1, 6):
        send("2.1", day(11, 18), 5, f"专家{n}")
    for n in range(1, 3):
        send("2.2", day(12, 2), 100, f"市分管领导评价表{n}", group="leader")
    send("2.3", day(11, 25), 100, "民意调查中心")
    send("3.1", day(12, 9), 10, "动态考核组")
    for component in ("exchange", "internal"):
        passed = "1" if facts.randrange(1000) < quality + 150 else "0"
        when = _moment(clock, day(7, 1), day(7, 12))
        draft.rate(unit, when, "3.2", passed, "电子政务测评组", component=component)
    send("3.2", day(12, 9), 1, "电子政务测评组", component="usage")
    for component in ("accuracy", "completeness", "timeliness"):
        send("3.3", day(10, 21), 1, "梳理审核组", component=component)
    for case in range(1, facts.choice((2, 2, 2, 3))):
        for n in range(1, 8):
            send("4.1", day(11, 4), 20, f"评审{n}", case=f"创新实例{case}")
    draft.rate(unit, _moment(clock, day(12, 10), day(12, 20)), "5.1", _text(quality * 9 + 700), "党风廉政综合评定")
    summary = {"item": "Y.1", "characters": clock.randrange(3200, 5001)}
    submitted = _moment(clock, day(1, 2), day(1, 8))
    draft.add(draft.offices("Y.1")[0], submitted, "submission.recorded.v1", unit, summary)
    for name in ("一", "二", "三"):
        send("Y.1", day(1, 9), 120, f"考核{name}组")


def _fall(draft: Draft, unit: str) -> None:
    """Run a unit at the bottom into every cap and floor."""
    for n, ground in enumerate(("criticised", "poorly_implemented", "not_rectified", "criticised", "no_feedback")):
        matter = f"批示-2013-重点{n // 3 + 1}" if n < 4 else "批示-2013-重点3"
        draft.deduct(unit, day(11, 21 + n), "1.1", matter, ground)
    draft.deduct(unit, day(11, 26), "1.1", "批示-2013-重点4", "not_rectified")
    for n, points in enumerate(("3", "2.5", "1")):
        draft.deduct(unit, day(12, 16 + n), "1.2", f"督考认定-2013-重点{n + 1}", "accident", points=points)
    for n, (office, points) in enumerate((("zhengxie", "9.5"), ("renda", "8.75"), ("zhengxie", "6"))):
        matter = f"{'建议' if office == 'renda' else '提案'}-2013-重点{n + 1}"
        draft.deduct(unit, day(12, 2 + n), "1.3", matter, "handling", office, points=points)
    for n, node in enumerate(("plan", "quarter_1", "quarter_2", "quarter_3", "result")):
        more = {"points": "2" if node in ("plan", "result") else "1", "node": node}
        draft.deduct(unit, day(12, 16, 9 + n), "1.4", f"全员绩效-2013-重点{n + 1}", "late_or_unmet", "gongwei", **more)
    for n in range(3):
        draft.deduct(unit, day(12, 9 + n), "2.4", f"查访-2013-重点{n + 1}", "problem_serious")


def _pick(draft: Draft, name: str, count: int, *items: str) -> list[Line]:
    """Lines of middling units, a different unit each, that corrections and appeals may touch without moving the cut."""
    middling = [unit for unit, quality in draft.quality.items() if quality < 700 and unit not in draft.worst]
    dice = draft.dice(name)
    dice.shuffle(middling)
    lines: dict[str, list[Line]] = {}
    for line in draft.lines:
        if line.data.get("item") in items:
            lines.setdefault(line.subject, []).append(line)
    found = [dice.choice(lines[unit]) for unit in [unit for unit in middling if unit in lines][:count]]
    assert len(found) == count
    return found


def _correct(draft: Draft) -> None:
    """Corrections before closing: revocations, ratings given again, exemptions, retransmissions, a reused id."""
    for line in _pick(draft, "revoked", 12, "1.1", "1.2", "1.3"):
        draft.revoke(line, line.when + timedelta(days=1), "经核实系登记错误，予以撤销")
    for line in _pick(draft, "revoked findings", 4, "2.4"):
        draft.revoke(line, line.when + timedelta(days=1), "与另一督查员登记重复，予以撤销")
    for line in _pick(draft, "rated again", 14, "2.1", "2.3", "4.1", "Y.1"):
        if line.type == RATING:
            again = line.data | {"value": _text(int(line.data["value"].split(".")[0]) * 101)}
            draft.add(line.party, line.when + timedelta(hours=5), RATING, line.subject, again)
    line = _pick(draft, "rated in error", 1, "2.3")[0]
    wrong = draft.add(line.party, line.when + timedelta(hours=2), RATING, line.subject, line.data | {"value": "1.5"})
    draft.revoke(wrong, line.when + timedelta(hours=3), "录入错误，恢复原分值")
    for item, reason in (("2.1", "年内新组建，未参评服务品牌"), ("1.3", "年内无承办件"), ("4.1", "经批准不参评")):
        line = _pick(draft, f"exempt {item}", 1, item)[0]
        exempt = {"item": item, "reason": reason}
        draft.add(draft.offices(item)[0], day(12, 18), "item.exempted.v1", line.subject, exempt)
    for line in _pick(draft, "sent twice", 25, "1.1", "1.3", "1.4", "2.1", "3.1", "3.3", "Y.1"):
        draft.add(line.party, line.when + timedelta(hours=1), line.type, line.subject, line.data).again = line
    line = _pick(draft, "same id", 1, "1.1")[0]
    other = line.data | {"reason": "另案"}
    draft.add(line.party, line.when + timedelta(hours=1), DEDUCTION, line.subject, other).again = line


def _appeal(draft: Draft) -> None:
    """Appeals of units, decided by 市直机关工委: upheld, cancelled, revised, withdrawn, filed again, decided again."""
    office = draft.rulebook["roles"]["appeals"]["office"]
    dice = draft.dice("appeals")

    def file(target: Line, when: datetime, unit: str = "") -> Line:
        data = {"target": target, "statement": dice.choice(STATEMENTS)}
        return draft.add(unit or target.subject, when, "appeal.filed.v1", unit or target.subject, data)

    def decide(appeal: Line, when: datetime, outcome: str, points: str = "") -> Line:
        data = {"appeal": appeal, "outcome": outcome} | ({"points": points} if points else {})
        reason = {"upheld": "事实清楚，维持原扣分", "cancelled": "申诉成立，予以撤销", "revised": "部分成立，予以变更"}
        data["reason"] = reason[outcome]
        return draft.add(office, when, "appeal.decided.v1", appeal.subject, data)

    revoked = {line.data["target"] for line in draft.lines if line.type == REVOKED}
    targets = [line for line in _pick(draft, "appealed", 16, "1.1", "1.3", "2.4", "4.1") if line not in revoked]
    targets = [line for line in targets if line.again is None]
    for n, target in enumerate(targets):
        filed = file(target, day(1, 23, 9, n))
        outcome = ("upheld", "cancelled", "revised", "withdrawn")[n % 4]
        if outcome == "withdrawn":
            draft.revoke(filed, day(1, 24, 10, n), "经沟通，撤回申诉")
            filed = file(target, day(1, 26, 11, n))
            outcome = "upheld"
        points = "16.5" if target.type == RATING else "0.1" if "points" in target.data else "0.5"
        decided = decide(filed, day(2, 7, 9, n), outcome, points if outcome == "revised" else "")
        if n == 0:
            draft.revoke(decided, day(2, 8, 9), "新证据到达，重新审议")
            decide(filed, day(2, 10, 9), "cancelled")
    late, other = targets[1], targets[2]
    withdrawn = file(targets[3], day(1, 23, 8))
    draft.revoke(withdrawn, day(1, 23, 8, 30), "撤回")
    file(late, day(2, 11, 9))
    file(other, day(2, 11, 10), late.subject)


def _close(draft: Draft) -> None:
    """Each office closes its part of each item; one reopens its own to correct it; what comes late has no force."""
    for n, item in enumerate(one["code"] for one in draft.rulebook["item"]):
        for office in draft.offices(item):
            when = day(1, 20, 15) if item == "Y.1" else day(12, 27, 9, n)
            closed = draft.add(office, when, "item.closed.v1", YEAR, {"item": item})
            if item == "3.3":
                line = _pick(draft, "corrected", 1, item)[0]
                draft.revoke(closed, day(12, 30, 9), "补录更正后重新办结")
                draft.add(office, day(12, 30, 10), RATING, line.subject, line.data | {"value": "0.9"})
                draft.add(office, day(12, 30, 11), "item.closed.v1", YEAR, {"item": item})
    unit = _pick(draft, "late", 1, "1.1")[0].subject
    draft.deduct(unit, day(12, 30, 14), "1.1", "批示-2013-年末", "no_feedback")
    draft.rate(unit, day(12, 30, 15), "2.3", "88", "民意调查中心")


def _err(draft: Draft) -> None:
    """Lines that ingest refuses, one or more for each reason: mistakes that offices and their programs make."""
    unit, late = draft.twins[0], {"reason": "逾期"}
    deduction = {"item": "1.1", "matter": "批示-2013-088", "ground": "no_feedback"} | late
    lapse = {"item": "1.4", "matter": "全员绩效", "ground": "late_or_unmet", "points": "1", "node": "plan"} | late
    survey = {"item": "2.3", "value": "86.5", "rater": "民意调查中心"}
    encode = msgspec.json.encode
    wrong: list[tuple[str, str, str, Event, Callable[[Event], Event | bytes] | None]] = [
        ("ducha", DEDUCTION, unit, deduction, lambda event: encode(event)[:-30]),
        ("ducha", DEDUCTION, unit, deduction, lambda event: encode(event).decode().encode("gb18030")),
        ("ducha", DEDUCTION, unit, deduction | {"evidence": ["通报全文" * 6000]}, None),
        ("wenda", RATING, unit, survey | {"item": "3.1", "value": "9"}, lambda event: event | {"specversion": "0.3"}),
        ("ducha", "deduction.record.v1", unit, deduction, None),
        ("gongwei", DEDUCTION, unit, lapse | {"points": 1}, None),
        ("gongwei", DEDUCTION, unit, lapse | {"node": "quarter_5"}, None),
        ("tongji", RATING, unit, survey, lambda event: event | {"time": "2013-11-28 09:00:00"}),
        ("ducha", DEDUCTION, unit, deduction | {"points": "1"}, None),
        ("tongji", RATING, unit, survey | {"remark": "复核"}, None),
        ("shenguan", RATING, unit, {"item": "2.1", "value": "5", "rater": "专家1"}, None),
        ("zuzhi", DEDUCTION, unit, deduction, None),
        ("tongji", RATING, "U999", survey, None),
        ("ducha", DEDUCTION, unit, deduction | {"item": "1.9"}, None),
        ("ducha", RATING, unit, {"item": "1.1", "value": "4", "rater": "督查一处"}, None),
        ("ducha", DEDUCTION, unit, deduction | {"ground": "too_late"}, None),
        ("gongwei", DEDUCTION, unit, lapse | {"points": "2.5"}, None),
        ("gongwei", DEDUCTION, unit, lapse | {"points": "0.7"}, None),
        ("tongji", RATING, unit, survey | {"value": "100.5"}, None),
        ("kaoji", "submission.recorded.v1", unit, {"item": "Y.1", "characters": 5321}, None),
    ]
    for n, (party, kind, subject, data, change) in enumerate(wrong):
        draft.add(party, day(11, 28, 10, n), kind, subject, data).change = change
    nothing = {"target": {"source": "/offices/ducha", "id": "ducha-2012-00001"}, "reason": "上年度登记，撤销"}
    draft.add("ducha", day(11, 28, 11), REVOKED, unit, nothing)


def _end(draft: Draft, *, settled: bool) -> None:
    """Reach the stages; draw lots for the tie and revoke the draw; settle it and finalise only if so wished."""
    office = draft.rulebook["roles"]["collector"]["office"]
    for stage, when in (
        ("daily_closed", day(12, 31, 17)), ("year_end_closed", day(1, 21)), ("publicised", day(1, 22)),
    ):  # fmt: skip
        draft.add(office, when, "stage.reached.v1", YEAR, {"stage": stage})
    tie = {"award": "second", "units": sorted(draft.twins), "reason": "抽签排定并列单位次序"}
    drawn = draft.add(office, day(2, 12), "tie.resolved.v1", YEAR, tie)
    draft.revoke(drawn, day(2, 13), "抽签程序未公开，撤销后另行议定")
    if settled:
        again = tie | {"units": sorted(draft.twins)[::-1], "reason": "按年末实地考核情况议定次序"}
        draft.add(office, day(2, 20), "tie.resolved.v1", YEAR, again)
        draft.add(office, day(2, 21), "stage.reached.v1", YEAR, {"stage": "finalised"})


def _fill(draft: Draft, events: int) -> None:
    """Let those directly served (直接服务群体) rate each unit until there are as many lines as asked for."""
    units = list(draft.quality)
    each, more = divmod(max(events - len(draft.lines), len(units)), len(units))
    others = [unit for unit in units if unit not in draft.twins]
    extra = Counter(others[n % len(others)] for n in range(more))
    for unit in units:
        facts, clock = _facts(draft, unit, "clients"), draft.dice(unit, "clients' days")
        for n in range(each + extra[unit]):
            value = _text(min(100, 45 + draft.quality[unit] * 53 // 1000 + facts.randrange(-6, 7)) * 100)
            when = _moment(clock, day(12, 2), day(12, 13))
            draft.rate(unit, when, "2.2", value, f"服务对象{n + 1:03d}", group="clients")


def _ordered(draft: Draft) -> Iterator[tuple[str, bytes]]:
    """Lines by time, each numbered within its party, references put in."""
    draft.lines.sort(key=lambda line: line.when)
    offices = {office["code"] for office in draft.rulebook["office"]}
    count: dict[str, int] = {}

    def source(party: str) -> str:
        return f"/{'offices' if party in offices else 'units'}/{party}"

    for line in draft.lines:
        if line.again is None:
            count[line.party] = count.get(line.party, 0) + 1
            line.id = f"{line.party}-2013-{count[line.party]:05d}"
    for line in draft.lines:
        sent = line.again or line
        data = {
            key: {"source": source(value.party), "id": value.id} if isinstance(value, Line) else value
            for key, value in line.data.items()
        }
        event = {
            "specversion": "1.0", "id": sent.id, "source": source(line.party), "type": line.type,
            "subject": line.subject, "time": sent.when.isoformat(), "data": data,
        }  # fmt: skip
        made = line.change(event) if line.change else event
        yield line.party, made if isinstance(made, bytes) else msgspec.json.encode(made)
