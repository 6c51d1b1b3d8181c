"""A synthetic year of any rulebook: what every office might have sent, for the demonstration; no fact in it is real.

It shows what a year can hold: entries into every cap and floor, panels, corrections, exemptions, appeals with every
outcome, retransmissions, a reused id, mistakes that intake refuses, and where a scheme has a quota two units of one
fate that stand tied across its last cut.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec

from schemas.events import OPENED
from schemas.roster import Unit, plain
from schemas.rulebook import COMPARING, Ground, Item, Rulebook, Scheme, bound, number, zh
from schemas.rulebook import plain as plain_book
from schemas.subjects import ASSESSMENT
from services.ingest import texts

CHINA = timezone(timedelta(hours=8))
DEDUCTION, BONUS, RATING, REVOKED = (
    "deduction.recorded.v1", "bonus.recorded.v1", "rating.recorded.v1", "event.revoked.v1",
)  # fmt: skip
Event = dict[str, Any]
STATEMENTS = (
    "该事项已按期办理，附送达回执，请予核实",
    "责任主体认定有误，牵头单位并非本单位",
    "问题当日已整改，处理偏重，请予复核",
)
ENDS = ("已核实登记", "经检查发现", "据通报登记", "核查属实")


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

    book: Rulebook
    roster: tuple[Unit, ...]
    seed: int
    lines: list[Line] = field(default_factory=list)
    quality: dict[str, int] = field(default_factory=dict)
    twins: tuple[str, ...] = ()
    worst: tuple[str, ...] = ()
    tied_for: str | None = None

    def dice(self, *name: str) -> random.Random:
        """Give a generator of its own for each name, so that a change in one place moves nothing elsewhere."""
        return random.Random(f"{self.seed}/{'/'.join(name)}")  # noqa: S311 - a plausible year, not a secret

    def day(self, number_of: int, hour: int = 9, minute: int = 0) -> datetime:
        """Give a moment of the year, by its day from 0."""
        texts = (self.book.id, self.book.document, *(value for one in self.book.period for value in one.values))
        first = next((int(found[0]) for text in texts if (found := re.search(r"(19|20)[0-9]{2}", text))), 2020)
        return datetime(first, 1, 10, hour, minute, tzinfo=CHINA) + timedelta(days=number_of)

    def add(self, party: str, when: datetime, kind: str, subject: str, data: Event) -> Line:
        """Write a line that is numbered when all lines are in order."""
        line = Line(party, when, kind, subject, data)
        self.lines.append(line)
        return line

    def revoke(self, target: Line, when: datetime, reason: str) -> Line:
        """Write the revocation of a line by whoever sent it."""
        return self.add(target.party, when, REVOKED, target.subject, {"target": target, "reason": reason})

    def facts(self, unit: str, name: str) -> random.Random:
        """Give the dice of a unit's facts, which twins share; when a fact was sent is each unit's own."""
        return self.dice(self.twins[0] if unit in self.twins else unit, name)


def year(  # noqa: PLR0913 - whose year, and how much of it
    book: Rulebook,
    roster: tuple[Unit, ...],
    assessment: str,
    seed: int = 2013,
    events: int = 6000,
    *,
    settled: bool = False,
) -> Iterator[tuple[str, bytes]]:
    """Give the lines of a whole year, each with the party that publishes it, in the order of publication.

    `events` is the number of lines, where a panel can take as many raters; a whole year takes what it takes. Everything
    is closed but a tie; `settled` settles it and finalises. Lines that are wrong are meant to be refused; each stands
    on the subject of its own party.
    """
    draft = Draft(book, roster, seed)
    _grade(draft)
    _open(draft, assessment)
    for unit in roster:
        for item in book.item:
            if applies(book, item, unit):
                (_entries if item.entries else _ratings)(draft, unit.unit, item)
        _facts(draft, unit.unit)
    _veto(draft)
    _correct(draft)
    _appeal(draft)
    _approve(draft)
    _close(draft)
    _err(draft)
    _end(draft, settled=settled)
    _fill(draft, events)
    return _ordered(draft)


def applies(book: Rulebook, item: Item, unit: Unit) -> bool:
    """Whether an item is for a unit: its own `applies` and that of every part above it."""
    parts = {part.code: part for part in book.part}
    node: Any = item
    while node is not None:
        if node.applies and node.applies.categories and unit.category not in node.applies.categories:
            return False
        if node.applies and node.applies.groups and unit.group not in node.applies.groups:
            return False
        node = parts.get(node.inside or "")
    return True


def _grade(draft: Draft) -> None:
    """Grade the units so steeply that the twins, who share all facts, stand on both sides of a quota's cut."""
    dice, book = draft.dice("quality"), draft.book
    units = list(draft.roster)
    dice.shuffle(units)
    pool, cut, grade = _cut(draft)
    ranked = [unit for unit in units if unit.category in pool]
    others = [unit for unit in units if unit.category not in pool]
    twin = None
    if 0 < cut < len(ranked):
        first = ranked[cut - 1]
        alike = (one for one in ranked[cut:] if _kind(one) == _kind(first))
        twin = next(alike, None)
    if twin is not None:
        ranked.remove(twin)
        ranked.insert(cut, twin)
        draft.twins, draft.tied_for = (ranked[cut - 1].unit, twin.unit), grade
    for listed in (ranked, others):
        for n, unit in enumerate(listed):
            draft.quality[unit.unit] = 985 - n * 705 // max(1, len(listed))
    for code in draft.twins:
        draft.quality[code] = draft.quality[draft.twins[0]]
    ordered = sorted(draft.quality, key=lambda code: draft.quality[code])
    draft.worst = tuple(code for code in ordered if code not in draft.twins)[: max(1, len(ordered) // 15)]
    assert book.item


def _kind(unit: Unit) -> tuple[object, ...]:
    return unit.category, unit.group, unit.attributes


def _cut(draft: Draft) -> tuple[set[str], int, str | None]:
    """The categories of the first pool whose scheme has quotas, the last place inside them, the grade there."""
    for scheme in draft.book.scheme:
        pools = draft.book.possible(scheme.pools)[0]
        if pools == "group" or not any(grade.share or grade.number for grade in scheme.grade):
            continue
        first = draft.book.category[0].code if pools == "each" else pools.split(",")[0]
        pool = set(first.split("+"))
        base = sum(unit.category in pool for unit in draft.roster)
        listed = draft.book.possible(scheme.quota_of)[0] == "listed" and pools != "each"
        return pool, _seats(scheme, len(draft.roster) if listed else base, draft.book), scheme.grade[-1].code
    return {category.code for category in draft.book.category}, 0, None


def _seats(scheme: Scheme, base: int, book: Rulebook) -> int:
    """How many seats the grades of a scheme have together, rounded down each."""
    own = [int(number(one.number) or 0) if one.number else int(base * (number(one.share) or 0)) for one in scheme.grade]
    return max(own, default=0) if book.possible(scheme.quotas)[0] == "cumulative" else sum(own)


def _moment(dice: random.Random, start: datetime, days: int) -> datetime:
    """Draw an office hour of a working day from a day on."""
    when = start + timedelta(days=dice.randrange(max(1, days)))
    when -= timedelta(days=max(0, when.weekday() - 4))
    hours = timedelta(hours=8, minutes=30, seconds=dice.randrange(8 * 3600))
    return max(start, when.replace(hour=0, minute=0) + hours)


def _some(dice: random.Random, thousandths: int) -> int:
    """Draw a whole number whose mean is the number of thousandths."""
    return (max(0, thousandths) + dice.randrange(1000)) // 1000


def _text(value: Decimal) -> str:
    """Write a decimal without the zeros that say nothing."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _open(draft: Draft, assessment: str) -> None:
    """Open the assessment with rulebook and roster whole, and adopt every assumption that final asks for."""
    book = draft.book
    opened = {"assessment": assessment, "rulebook": plain_book(book), "roster": plain(draft.roster), "synthetic": True}
    draft.add(book.roles.collector, draft.day(0, 8), OPENED, ASSESSMENT, opened)
    values = {one.name: (one.values[0], zh(one.question)) for one in book.reading}
    values |= {one.name: (one.value, one.words or one.why or one.name) for one in book.parameter}
    for n, name in enumerate(book.assumptions()):
        value, question = values[name]
        data = {"reading": name, "value": value, "reason": f"会议议定：{question}"}
        line = draft.add(book.roles.collector, draft.day(6, 11, n % 60), "reading.adopted.v1", ASSESSMENT, data)
        if n == 0:
            draft.revoke(line, draft.day(6, 12, 30), "记录有误，重新发布")
            draft.add(book.roles.collector, draft.day(6, 13), "reading.adopted.v1", ASSESSMENT, data)


# What offices record ------------------------------------------------------------------------------------------------


def _entries(draft: Draft, unit: str, item: Item) -> None:
    """Deductions and bonuses of an item: the worse a unit, the more it loses; the worst run into every bound."""
    facts, clock, loss = draft.facts(unit, item.code), draft.dice(unit, item.code), 1000 - draft.quality[unit]
    grounds = [ground for ground in item.ground if not ground.adds]
    for n in range(_some(facts, loss * 3) if grounds else 0):
        ground = facts.choice(grounds)
        matter = f"{zh(item.name)[:12]}〔{clock.randrange(1, 400):03d}〕-{n + 1}"
        when = _moment(clock, draft.day(30), 240)
        for step, one in enumerate(_chain(item, ground)):
            _enter(draft, unit, item, one, matter, when + timedelta(days=7 * step))
    for ground in (one for one in item.ground if one.adds):
        if facts.randrange(1000) < draft.quality[unit] - 500:
            matter = f"{zh(ground.name)[:12]}〔{clock.randrange(1, 400):03d}〕"
            _enter(draft, unit, item, ground, matter, _moment(clock, draft.day(60), 200))
    if unit in draft.worst:
        for n, ground in enumerate(item.ground * 2):
            when = draft.day(271, 9) + timedelta(hours=n)
            _enter(draft, unit, item, ground, f"{zh(item.name)[:12]}-重点{n // 2 + 1}", when, most=True)


def _chain(item: Item, ground: Ground) -> list[Ground]:
    """A ground, after the one that it requires."""
    first = next((one for one in item.ground if one.code == ground.requires), None)
    return [*([first] if first else []), ground]


def _enter(  # noqa: PLR0913, PLR0917 - the fields of an entry, in the order of the register
    draft: Draft, unit: str, item: Item, ground: Ground, matter: str, when: datetime, *, most: bool = False
) -> Line:
    """Write an entry with a reason and a piece of evidence that suit its ground."""
    dice = draft.facts(unit, f"{matter[-2:]}{ground.code}{item.code}")
    data: Event = {"item": item.code, "matter": matter, "ground": ground.code}
    if ground.max is not None:
        data["points"] = _amount(dice, ground, most=most)
    if item.node:
        data["node"] = dice.choice(item.node).code
    data["reason"] = f"{zh(ground.name)}，{dice.choice(ENDS)}"
    if dice.random() < 0.8:
        data["evidence"] = [f"通报第{dice.randrange(1, 90)}号", "附件材料"][: dice.randrange(1, 3)]
    return draft.add(dice.choice(item.offices), when, BONUS if ground.adds else DEDUCTION, unit, data)


def _amount(dice: random.Random, ground: Ground, *, most: bool) -> str:
    """Draw points in the range of a ground, on its steps; low ones more often."""
    low, high = number(ground.min or ground.above) or Decimal(0), number(ground.max) or Decimal(0)
    step = number(ground.step) or (high - low) / 100
    steps = int((high - low) / step)
    first = 1 if ground.above is not None else 0
    taken = steps if most else min(steps, first + int(dice.random() ** 3 * (steps - first + 1)))
    return _text((low + step * max(first, taken)).quantize(Decimal("0.000001")))


def _ratings(draft: Draft, unit: str, item: Item) -> None:
    """Every rating of an item that one unit gets: each run, measure and group of raters."""
    facts, clock = draft.facts(unit, item.code), draft.dice(unit, item.code)
    several = "latest" not in draft.book.possible(item.panel)
    runs: list[Event] = [{}]
    if item.runs == "case":
        runs = [{"case": f"实例{n + 1}"} for n in range(facts.choice((1, 1, 1, 2)))]
    elif item.runs:
        runs = [{"period": value} for value in draft.book.periods[item.runs]]
    if not item.range and not item.measure:
        return
    for n, run in enumerate(runs):
        for measure in item.measure or (None,):
            for group in item.raters or (None,):
                for rater in range(3 if several else 1):
                    named = {"measure": measure.code} if measure else {}
                    named |= {"group": group.code} if group else {}
                    who = f"{zh(group.name)[:12] if group else '评审'}{rater + 1}"
                    data = {"item": item.code, "value": _value(draft, unit, item, facts, measure), "rater": who}
                    when = _moment(clock, draft.day(240 + (n * 3) % 60), 12)
                    draft.add(item.offices[0], when, RATING, unit, {**data, **named, **run})
    if item.characters:
        most = int(item.characters)
        length = {"item": item.code, "characters": facts.randrange(most * 6 // 10, most + 1)}
        draft.add(item.offices[0], _moment(clock, draft.day(290), 5), "submission.recorded.v1", unit, length)


def _value(draft: Draft, unit: str, item: Item, facts: random.Random, measure: Any) -> str:
    """Draw a value near the unit's quality, in the range of the item or measure; low where low is better."""
    span = measure or item.range
    assert span is not None, "an item of ratings has measures or a range"
    low, high = (bound(text, None) or Decimal(0) for text in (span.min, span.max))
    quality = draft.quality[unit]
    if measure is not None and measure.binary:
        return "1" if facts.randrange(1000) < quality + 150 else "0"
    best = any(method.kind in COMPARING and method.better == "lower" for method in item.method)
    share = min(1000, max(0, 450 + quality * 530 // 1000 + facts.randrange(-25, 26)))
    share = 1000 - share if best else share
    exact = low + (high - low) * share / 1000
    return _text(exact.quantize(Decimal("0.01") if high - low < 1000 else Decimal(1)))


def _facts(draft: Draft, unit: str) -> None:
    """Now and then an attribute of a unit is recorded anew."""
    for attribute in draft.book.attribute:
        dice = draft.facts(unit, attribute.code)
        if dice.random() < 0.1:
            low, high = number(attribute.min) or Decimal(0), number(attribute.max) or Decimal(100)
            value = (low + (high - low) * dice.randrange(101) / 100).quantize(Decimal("0.01"))
            office = (attribute.offices or (draft.book.roles.collector,))[0]
            data = {"attribute": attribute.code, "value": _text(value), "reason": "年度数据更新"}
            draft.add(office, _moment(dice, draft.day(120), 60), "fact.recorded.v1", unit, data)


def _veto(draft: Draft) -> None:
    """Each veto falls on one of the worst units."""
    for n, veto in enumerate(draft.book.veto):
        unit = draft.worst[n % len(draft.worst)]
        data = {"veto": veto.code, "reason": f"{zh(veto.name)}，经认定"}
        draft.add(veto.offices[0], draft.day(200 + n), "veto.recorded.v1", unit, data)


def _pick(draft: Draft, name: str, count: int, *kinds: str) -> list[Line]:
    """Lines of middling units, a different unit each, that corrections and appeals may touch without moving the cut."""
    middling = [unit for unit in draft.quality if unit not in draft.twins and unit not in draft.worst]
    dice = draft.dice(name)
    dice.shuffle(middling)
    lines: dict[str, list[Line]] = {}
    for line in draft.lines:
        if line.type in kinds and line.again is None:
            lines.setdefault(line.subject, []).append(line)
    return [dice.choice(lines[unit]) for unit in [unit for unit in middling if unit in lines][:count]]


def _correct(draft: Draft) -> None:
    """Corrections before closing: revocations, ratings given again, exemptions, retransmissions, a reused id."""
    for line in _pick(draft, "revoked", 12, DEDUCTION, BONUS):
        draft.revoke(line, line.when + timedelta(days=1), "经核实系登记错误，予以撤销")
    for line in _pick(draft, "rated again", 10, RATING):
        draft.add(line.party, line.when + timedelta(hours=5), RATING, line.subject, dict(line.data))
    for line in _pick(draft, "exempt", 3, RATING):
        exempt = {"item": line.data["item"], "reason": "年内新组建，经批准不参评"}
        draft.add(line.party, draft.day(280), "item.exempted.v1", line.subject, exempt)
    for line in _pick(draft, "sent twice", 20, DEDUCTION, BONUS, RATING):
        draft.add(line.party, line.when + timedelta(hours=1), line.type, line.subject, line.data).again = line
    for line in _pick(draft, "same id", 1, DEDUCTION):
        other = line.data | {"reason": "另案"}
        draft.add(line.party, line.when + timedelta(hours=1), DEDUCTION, line.subject, other).again = line


def _appeal(draft: Draft) -> None:
    """Appeals of units, where there are any: upheld, cancelled, revised, withdrawn, filed again, decided again."""
    office, dice = draft.book.roles.appeals, draft.dice("appeals")
    if office is None:
        return

    def file(target: Line, when: datetime) -> Line:
        data = {"target": target, "statement": dice.choice(STATEMENTS)}
        return draft.add(target.subject, when, "appeal.filed.v1", target.subject, data)

    def decide(appeal: Line, when: datetime, outcome: str, points: str = "") -> Line:
        reason = {"upheld": "事实清楚，维持", "cancelled": "申诉成立，予以取消", "revised": "部分成立，予以变更"}
        data = {"appeal": appeal, "outcome": outcome} | ({"points": points} if points else {})
        return draft.add(office, when, "appeal.decided.v1", appeal.subject, data | {"reason": reason[outcome]})

    revoked = {line.data["target"] for line in draft.lines if line.type == REVOKED}
    for n, target in enumerate(one for one in _pick(draft, "appealed", 16, DEDUCTION) if one not in revoked):
        filed = file(target, draft.day(310, 9, n))
        outcome = ("upheld", "cancelled", "revised", "withdrawn")[n % 4]
        if outcome == "withdrawn":
            draft.revoke(filed, draft.day(311, 10, n), "经沟通，撤回申诉")
            filed, outcome = file(target, draft.day(313, 11, n)), "upheld"
        decided = decide(filed, draft.day(320, 9, n), outcome, "0" if outcome == "revised" else "")
        if n == 0:
            draft.revoke(decided, draft.day(321, 9), "新证据到达，重新审议")
            decide(filed, draft.day(323, 9), "cancelled")


def _approve(draft: Draft) -> None:
    """Entries that need approval get it the week after, now and then a rejection."""
    grounds = {(item.code, one.code) for item in draft.book.item for one in item.ground if one.approval}
    revoked = {line.data["target"] for line in draft.lines if line.type == REVOKED}
    for line in list(draft.lines):
        if (line.data.get("item"), line.data.get("ground")) in grounds and line.again is None and line not in revoked:
            outcome = "rejected" if draft.dice("approval", line.subject).random() < 0.1 else "approved"
            data = {"target": line, "outcome": outcome, "reason": "经审核"}
            draft.add(draft.book.approvals, line.when + timedelta(days=5), "approval.recorded.v1", line.subject, data)


def _close(draft: Draft) -> None:
    """Each office closes its part of each item; one reopens its own to correct it; what comes late has no force."""
    for n, item in enumerate(draft.book.item):
        for office in item.offices:
            when = draft.day(300, 9, n % 60)
            closed = draft.add(office, when, "item.closed.v1", ASSESSMENT, {"item": item.code})
            again = next((line for line in draft.lines if line.type == RATING and line.data["item"] == item.code), None)
            if n == len(draft.book.item) // 2 and again is not None:
                draft.revoke(closed, draft.day(302, 9), "补录更正后重新办结")
                draft.add(office, draft.day(302, 10), RATING, again.subject, dict(again.data))
                draft.add(office, draft.day(302, 11), "item.closed.v1", ASSESSMENT, {"item": item.code})
    for line in _pick(draft, "late", 2, DEDUCTION, RATING):
        draft.add(line.party, draft.day(304), line.type, line.subject, line.data | {"item": line.data["item"]})


def _err(draft: Draft) -> None:
    """Lines that ingest refuses, one for each common mistake of offices and their programs."""
    line = next((one for one in draft.lines if one.type in (DEDUCTION, RATING)), None)
    if line is None:
        return
    encode, data, others = msgspec.json.encode, line.data, [one.code for one in draft.book.office]
    stranger = next((code for code in others if code not in draft.book.items[data["item"]].offices), line.party)
    wrong: list[tuple[str, str, str, Event, Callable[[Event], Event | bytes] | None]] = [
        (line.party, line.type, line.subject, data, lambda event: encode(event)[:-30]),
        (line.party, line.type, line.subject, data, lambda event: encode(event).decode().encode("gb18030")),
        (line.party, line.type, line.subject, data, lambda event: event | {"specversion": "0.3"}),
        (line.party, line.type, line.subject, data, lambda event: event | {"time": "2013-11-28 09:00:00"}),
        (line.party, line.type.replace("recorded", "record"), line.subject, data, None),
        (line.party, line.type, line.subject, data | {"remark": "复核"}, None),
        (line.party, line.type, "U-999", data, None),
        (line.party, line.type, line.subject, data | {"item": "none-such"}, None),
        (stranger, line.type, line.subject, data, None),
    ]
    for n, (party, kind, subject, content, change) in enumerate(wrong):
        draft.add(party, draft.day(275, 10, n), kind, subject, content).change = change
    nothing = {"target": {"source": f"/offices/{line.party}", "id": "last-year-1"}, "reason": "上年度登记，撤销"}
    draft.add(line.party, draft.day(275, 11), REVOKED, line.subject, nothing)


def _end(draft: Draft, *, settled: bool) -> None:
    """Reach the stages; draw lots for the tie and revoke the draw; settle it and finalise only if so wished."""
    office = draft.book.roles.collector
    for n, stage in enumerate(draft.book.stage):
        draft.add(office, draft.day(305 + n, 17), "stage.reached.v1", ASSESSMENT, {"stage": stage.code})
    if draft.twins and draft.tied_for:
        tie = {"grade": draft.tied_for, "units": sorted(draft.twins), "reason": "抽签排定并列单位次序"}
        drawn = draft.add(office, draft.day(330), "tie.resolved.v1", ASSESSMENT, tie)
        draft.revoke(drawn, draft.day(331), "抽签程序未公开，撤销后另行议定")
        if settled:
            again = tie | {"units": sorted(draft.twins)[::-1], "reason": "按实地考核情况议定次序"}
            draft.add(office, draft.day(335), "tie.resolved.v1", ASSESSMENT, again)
    if settled:
        draft.add(office, draft.day(336), "stage.reached.v1", ASSESSMENT, {"stage": "finalised"})


def _fill(draft: Draft, events: int) -> None:
    """More raters of a panel that takes any number, until there are as many lines as asked for."""
    panels = [
        item
        for item in draft.book.item
        if item.range and not item.runs and "plain" in draft.book.possible(item.panel or "plain")
    ]
    item = next((one for one in panels if one.raters), panels[0] if panels else None)
    missing = events - len(draft.lines)
    if item is None or missing <= 0:
        return
    units = [unit.unit for unit in draft.roster if applies(draft.book, item, unit)]
    each, more = divmod(missing, max(1, len(units)))
    others = [unit for unit in units if unit not in draft.twins]
    extra = Counter(others[n % len(others)] for n in range(more if others else 0))
    group = {"group": item.raters[-1].code} if item.raters else {}
    for unit in units:
        facts, clock = draft.facts(unit, "fill"), draft.dice(unit, "fill")
        for n in range(each + extra[unit]):
            data = {"item": item.code, "value": _value(draft, unit, item, facts, None), "rater": f"评价人{n + 1:04d}"}
            draft.add(item.offices[0], _moment(clock, draft.day(250), 12), RATING, unit, data | group)


def _ordered(draft: Draft) -> Iterator[tuple[str, bytes]]:
    """Lines by time, each numbered within its party, references put in."""
    draft.lines.sort(key=lambda line: line.when)
    offices = {office.code for office in draft.book.office}
    count: dict[str, int] = {}

    def source(party: str) -> str:
        return f"/{'offices' if party in offices else 'units'}/{party}"

    for line in draft.lines:
        if line.again is None:
            count[line.party] = count.get(line.party, 0) + 1
            line.id = f"{line.party}-{count[line.party]:05d}"
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
        raw = made if isinstance(made, bytes) else msgspec.json.encode(made)
        names = draft.book.out_of_line
        yield line.party, texts.sealed_line(raw, names, lambda party: f"synthetic {party}".encode()) if names else raw
