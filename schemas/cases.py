"""Cases (案例) beside a rulebook: a few lines of history, and what becomes of each line, of the units and of the year.

The form is on docs/language/cases.md. This module writes the events of a case and compares what it expects with the
object that `score` prints; who folds and scores them is not its matter.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from schemas.told import Told
from schemas.words import Language, Text, _, _p, several

Json = dict[str, Any]

#: When everything in a case occurs; a line that contradicts an earlier one occurs a day later.
TIME, LATER = "2024-05-06T09:30:00+08:00", "2024-05-07T09:30:00+08:00"
STATES = ("pending", "scored", "exempt")
UNITS = re.compile(r"(U)(\d+)(?:-U(\d+))?")
STEPS = re.compile(r"(\d+)-(\d+)")
SIZE = re.compile(r"[1-9]\d{0,3}")
#: What a claim comes to whose unit, item, grade or reading there is not.
UNKNOWN = ("nobody", "absent")
READINGS = re.compile(r"([^\s=]+=[^\s=]+(\s+|$))*")
#: The field of `data` that a verb's target stands in, where a verb is about an event.
TARGETS = {"revokes": "target", "appeals": "target", "approves": "target", "rejects": "target", "decides": "appeal"}
#: Verbs that are about the year, not about a unit.
OF_THE_YEAR = ("closes", "adopts", "reaches", "resolves", "transfers")


class CasesError(Told):
    """A file of cases that cannot be read: where, what is wrong there and what to do."""

    code = 2

    def __init__(self, place: str, fault: Text) -> None:
        super().__init__(_("{place}: {fault}", place=place, fault=fault))
        self.place = place


@dataclass(frozen=True)
class Fault:
    """What did not come as a case says: the case, the readings, what it says of, what it says, what came.

    `nearest` is the right word nearest to one that names nothing of the year.
    """

    case: str
    readings: str
    about: str
    expected: str
    found: str
    nearest: str | None = None

    def say(self, lang: Language) -> str:
        """The fault as a sentence."""
        said = _(
            "{case}: {about}: the case says '{expected}', it comes to '{found}'",
            case=f"{self.case} [{self.readings}]" if self.readings else self.case,
            about=self.about,
            expected=self.expected,
            found=self.found,
        )
        near = self.nearest and _('{fault}; did you mean "{nearest}"?', fault=said, nearest=self.nearest)
        return (near or said).say(lang)


class _Raw(msgspec.Struct, forbid_unknown_fields=True):
    """A case as the file has it."""

    name: str
    units: list[str] = []
    history: str = ""
    under: str = ""
    gives: str | dict[str, str] = ""


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    """A file of cases; under `one_year` they are folded together, each with units of its own."""

    case: list[_Raw]
    one_year: bool = False


@dataclass
class Case:
    """A case written out: its units, its events, what is said of each event, and what they come to by readings."""

    name: str
    mark: str  # before each of its units, groups and ids, so that cases can share a year
    under: str
    first: int = 0  # the sequence before its first event
    roster: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    said: list[tuple[int, str, str]] = field(default_factory=list)  # number of the event, the line, its right-hand side
    gives: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Year:
    """Cases that are folded together: their units, their events a line each, and the readings to score them under."""

    cases: tuple[Case, ...]
    roster: tuple[Json, ...]
    lines: bytes
    readings: tuple[str, ...]


def read(path: Path, book: Mapping[str, Any]) -> list[Year]:
    """Read a file of cases of a rulebook, given as plain objects; raises CasesError with the place."""
    try:
        page = msgspec.toml.decode(path.read_bytes(), type=_Page)
    except OSError as error:
        raise CasesError(str(path), _p("cases", "cannot be read: {error}", error=error.strerror)) from None
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise CasesError(str(path), _("is no file of cases: {error}", error=error)) from None
    cases = [
        _written(raw, f"c{n}-" if page.one_year else "", book, f"{path}, {raw.name}") for n, raw in enumerate(page.case)
    ]
    return [_year(cases)] if page.one_year else [_year([case]) for case in cases]


def options(readings: str) -> dict[str, str]:
    """`step=geometric step_ties=average` as the options of `score`."""
    return dict(pair.split("=", 1) for pair in readings.split())


def check(year: Year, found: Mapping[str, Json], void: Mapping[int, str] | None = None) -> Iterator[Fault]:
    """Compare a year with its results, one for each of its readings.

    `void` gives why the fold made an event void, by sequence; without it only that it did is compared.
    """
    for case in year.cases:
        result = found[case.under]
        rows = {row["seq"]: row for kind in ("entries", "events") for row in result[kind]}
        rows |= {row["line"]: {"disposition": row["reason"]} for row in result["refused"]}
        for n, line, right in case.said:
            seq = case.first + n + 1
            said = "void" if void is None and right.startswith("void ") else right
            came = _shown(rows.get(seq, {"disposition": "nothing"}), (void or {}).get(seq), said)
            if came != said:
                yield Fault(case.name, case.under, line, right, came)
        for readings, claims in case.gives.items():
            for claim in claims:
                about, __, right = (part.strip() for part in claim.partition("="))
                came = _told(case, found[readings], about, right)
                if came != " ".join(right.split()):
                    near = _nearest(case, found[readings], about) if came in UNKNOWN else None
                    yield Fault(case.name, readings, about, right, came, near)


# --- From a line to events --------------------------------------------------------------------------------------------


def _wrong(place: str, word: str, known: list[str]) -> CasesError:
    return CasesError(place, _("'{word}' is not known here; expected one of {known}", word=word, known=several(known)))


def _year(cases: list[Case]) -> Year:
    """Put cases one after the other into a year."""
    events: list[Json] = []
    for case in cases:
        case.first = len(events)
        events += case.events
    asked = {readings for case in cases for readings in (case.under, *case.gives)}
    lines = b"\n".join(json.dumps(event, ensure_ascii=False).encode() for event in events)
    return Year(tuple(cases), tuple(unit for case in cases for unit in case.roster), lines, tuple(sorted(asked)))


def _written(raw: _Raw, mark: str, book: Mapping[str, Any], place: str) -> Case:
    """One case of the file with its events."""
    case = Case(raw.name, mark, raw.under)
    claims = raw.gives if isinstance(raw.gives, dict) else {raw.under: raw.gives}
    for readings in (raw.under, *claims):
        if not READINGS.fullmatch(readings):
            raise _wrong(place, readings, ["name=value name=value"])
    case.gives = {
        readings: [line for line in text.splitlines() if line.partition("#")[0].strip()]
        for readings, text in claims.items()
    }
    writer = _Writer(case, book, place)
    ranked = [one["code"] for one in book["category"] if one.get("ranked", True)]
    writer.enrol(raw.units or [f"{(ranked or _codes(book['category']))[0]} 1"])
    for line in raw.history.strip().splitlines():
        writer.write(line)
    return case


def _codes(rows: Any) -> list[str]:
    return [row["code"] for row in rows or ()]


class _Writer:
    """Writes the lines of one case as events; knows from the rulebook what each word of a line can be."""

    def __init__(self, case: Case, book: Mapping[str, Any], place: str) -> None:
        self.case, self.book, self.place = case, book, place
        self.items: dict[str, Json] = {item["code"]: item for item in book.get("item", ())}
        self.parts: dict[str, Json] = {part["code"]: part for part in book.get("part", ())}
        self.periods: dict[str, list[str]] = {one["code"]: list(one["values"]) for one in book.get("period", ())}
        self.labels: dict[str, Json] = {}

    def enrol(self, groups: list[str]) -> None:
        """`B 3` are three units of category B in one group; `B/x 3` names the group; `B 3 staff=40` an attribute."""
        rows = [group.split() for group in groups]
        for row in rows:
            if len(row) < 2 or not SIZE.fullmatch(row[1]) or not all("=" in pair for pair in row[2:]):
                raise _wrong(self.place, " ".join(row), ["CATEGORY NUMBER", "CATEGORY/GROUP NUMBER ATTRIBUTE=VALUE"])
            category, __, group = row[0].partition("/")
            for code, known in ((category, self.book["category"]), (group, self.book.get("group"))):
                if code and known and code not in _codes(known):
                    raise _wrong(self.place, code, _codes(known))
        width = len(str(sum(int(size) for _kind, size, *_more in rows)))
        for kind, size, *attributes in rows:
            for _unit in range(int(size)):
                unit = f"{self.case.mark}U{len(self.case.roster) + 1:0{width}}"
                self.case.roster.append({"unit": unit, "name": unit, **self.kind(kind), **_attributes(attributes)})

    def kind(self, kind: str) -> Json:
        """The category and the group of `B/x`; a rulebook with its own groups has x, others a group of the case."""
        category, __, group = kind.partition("/")
        own = group if self.book.get("group") else self.case.mark + kind
        return {"category": category, "group": own}

    def write(self, line: str) -> None:
        """One line of history: `label: sentence | disposition`; without a right-hand side its events are counted."""
        left, __, right = (part.strip() for part in line.partition("|"))
        label, colon, rest = left.partition(": ")
        for event in self.sentence((rest if colon else left).split()):
            self.case.said.append((len(self.case.events), left, " ".join(right.split()) or "counted"))
            identity = {"specversion": "1.0", "id": f"{self.case.mark}{len(self.case.events) + 1}", "time": TIME}
            self.case.events.append({**identity, **event})
            self.labels[label if colon else ""] = self.case.events[-1]

    def sentence(self, words: list[str]) -> list[Json]:
        """Who does what: the party, the verb, and what it is about."""
        if len(words) < 3:
            raise _wrong(self.place, " ".join(words), ["party verb …"])
        who, verb, *about = words
        if verb in ("repeats", "contradicts"):
            again = dict(self.target(about[0]))
            return [again if verb == "repeats" else {**again, "time": LATER}]
        span = UNITS.fullmatch(about[0]) if verb not in OF_THE_YEAR else None
        if span and span[3]:
            numbers = range(int(span[2]), int(span[3]) + 1)
            named = [f"U{n:0{len(span[2])}}" for n in numbers]
            lines = (
                [who, verb, unit, *(self.nth(w, n, len(named)) for w in about[1:])] for n, unit in enumerate(named)
            )
            return [event for words in lines for event in self.sentence(words)]
        if who == "everyone":
            return [event for line in self.everyone(verb, about[0]) for event in self.sentence(line.split())]
        return [self.event(who, verb, about)]

    def nth(self, word: str, n: int, size: int) -> str:
        """What a word says of the n-th of several units: `9-1` goes by one, `5,4,3` gives each its own."""
        if any(word in values for values in self.periods.values()):
            return word
        steps = STEPS.fullmatch(word)
        if steps and abs(int(steps[1]) - int(steps[2])) == size - 1:
            return str(int(steps[1]) + (n if int(steps[2]) > int(steps[1]) else -n))
        each = word.split(",")
        return each[n] if len(each) == size else word

    def event(self, who: str, verb: str, about: list[str]) -> Json:
        """One event: its source, type, subject and data."""
        unit = UNITS.fullmatch(who)
        source = f"/units/{self.named(who)}" if unit else f"/offices/{who}"
        subject = "assessment" if verb in OF_THE_YEAR else self.named(about[0])
        verbs: dict[str, Callable[..., tuple[str, Json]]] = {name: getattr(self, f"_{name}") for name in VERBS}
        if verb not in verbs:
            raise _wrong(self.place, verb, [*VERBS, "repeats", "contradicts"])
        try:
            kind, data = verbs[verb](*(about if verb in OF_THE_YEAR else about[1:]))
        except (TypeError, IndexError, ValueError):
            raise _wrong(self.place, f"{who} {verb} {' '.join(about)}", [VERBS[verb]]) from None
        if verb in TARGETS:
            target = self.target(about[0])
            subject = self.named(who) if verb == "appeals" else target["subject"]
            subject = self.named(about[-1]) if "for" in about else subject
            data = {TARGETS[verb]: {"source": target.get("source", source), "id": target["id"]}, **data}
        return {"source": source, "type": f"{kind}.v1", "subject": subject, "data": data}

    def named(self, unit: str) -> str:
        """The code of the unit that a case calls U1."""
        return self.case.mark + unit

    def target(self, label: str) -> Json:
        """The event of a label; one that is not there is a reference to nothing."""
        return self.labels.get(label, {"id": label, "subject": self.named("U1")})

    # What everyone does.

    def everyone(self, verb: str, about: str) -> Iterator[str]:
        """All that a year needs: `rates U1` at the best end, `closes all`, `adopts all`, `reaches all`."""
        collector = self.book["roles"]["collector"]
        if verb == "rates":
            yield from self.best(about)
        elif verb == "closes":
            left = about.removeprefix("all_but_")
            items = (item for item in self.items.values() if item["code"] != left)
            yield from (f"{office} closes {item['code']}" for item in items for office in item["offices"])
        elif verb == "adopts":
            for reading in self.book.get("reading", ()):
                yield f"{collector} adopts {reading['name']} {reading['values'][0]}"
            for one in self.book.get("parameter", ()):
                yield f"{collector} adopts {one['name']} {one['value']}"
        elif verb == "reaches":
            yield from (f"{collector} reaches {code}" for code in _codes(self.book.get("stage")))
        else:
            raise _wrong(self.place, f"everyone {verb}", ["rates", "closes", "adopts", "reaches"])

    def best(self, unit: str) -> Iterator[str]:
        """A rating of each measure, group and run of every item of a unit, at the better end of its range."""
        row = next((row for row in self.case.roster if row["unit"] == self.named(unit)), None)
        for code, item in self.items.items():
            if item["input"] != "ratings" or not row or not self.applies(item, row):
                continue
            less = {term.get("less") for term in item.get("formula", ())}
            lower = any(method.get("better") == "lower" for method in item.get("method", ()))
            for measure in item.get("measure") or [{"code": "", **item.get("range", {})}]:
                end = measure.get("min", "0") if lower or measure["code"] in less else measure.get("max", "1")
                for group in _codes(item.get("raters")) or [""]:
                    for period in self.periods.get(item.get("runs", ""), [""]):
                        yield f"{item['offices'][0]} rates {unit} {code} {end} {measure['code']} {group} {period}"

    def applies(self, node: Json, row: Json) -> bool:
        """An item or part is for the unit, and so is all above it."""
        limits = node.get("applies", {})
        own = row["category"] in limits.get("categories", [row["category"]])
        own = own and row["group"] in limits.get("groups", [row["group"]])
        return own and (node.get("in") is None or self.applies(self.parts[node["in"]], row))

    # What one party does: the type of the event and its data.

    def _deducts(self, item: str, matter: str, ground: str, *more: str) -> tuple[str, Json]:
        nodes = _codes(self.items.get(item, {}).get("node"))
        given = {"node" if word in nodes else "points": word for word in more}
        return "deduction.recorded", {"item": item, "matter": matter, "ground": ground, **given, "reason": "见附"}

    def _adds(self, item: str, matter: str, ground: str, *more: str) -> tuple[str, Json]:
        return "bonus.recorded", self._deducts(item, matter, ground, *more)[1]

    def _rates(self, item: str, value: str, *more: str) -> tuple[str, Json]:
        known = self.items.get(item, {})
        data = {"item": item, "value": value, "rater": "r"}
        if known.get("runs") == "case":
            data["case"] = "1"
        lists = {
            "measure": _codes(known.get("measure")),
            "group": _codes(known.get("raters")),
            "period": self.periods.get(known.get("runs", ""), []),
        }
        for word in more:
            key, equals, text = word.partition("=")
            if equals:
                data[key] = text
            elif word.startswith("#"):
                data["case"] = word[1:]
            else:
                data[next((name for name, codes in lists.items() if word in codes), "rater")] = word
        return "rating.recorded", data

    def _submits(self, item: str, characters: str) -> tuple[str, Json]:
        return "submission.recorded", {"item": item, "characters": int(characters)}

    def _exempts(self, item: str) -> tuple[str, Json]:
        return "item.exempted", {"item": item, "reason": "不适用"}

    def _closes(self, item: str) -> tuple[str, Json]:
        return "item.closed", {"item": item}

    def _states(self, attribute: str, value: str) -> tuple[str, Json]:
        return "fact.recorded", {"attribute": attribute, "value": value, "reason": "核定"}

    def _vetoes(self, veto: str) -> tuple[str, Json]:
        return "veto.recorded", {"veto": veto, "reason": "见附"}

    def _approves(self, *_for: str) -> tuple[str, Json]:
        return "approval.recorded", {"outcome": "approved", "reason": "核准"}

    def _rejects(self, *_for: str) -> tuple[str, Json]:
        return "approval.recorded", {"outcome": "rejected", "reason": "不予核准"}

    def _revokes(self, *_for: str) -> tuple[str, Json]:
        return "event.revoked", {"reason": "更正"}

    def _appeals(self) -> tuple[str, Json]:
        return "appeal.filed", {"statement": "情况不符"}

    def _decides(self, outcome: str, *more: str) -> tuple[str, Json]:
        points = {"points": more[0]} if outcome == "revised" else {}
        return "appeal.decided", {"outcome": outcome, **points, "reason": "复核"}

    def _resolves(self, grade: str, *units: str) -> tuple[str, Json]:
        return "tie.resolved", {"grade": grade, "units": [self.named(unit) for unit in units], "reason": "集体研究"}

    def _adopts(self, name: str, value: str) -> tuple[str, Json]:
        return "reading.adopted", {"reading": name, "value": value, "reason": "会议纪要"}

    def _reaches(self, stage: str) -> tuple[str, Json]:
        return "stage.reached", {"stage": stage}

    def _transfers(self, item: str, source: str, to: str) -> tuple[str, Json]:
        return "item.transferred", {"item": item, "from": source, "to": to, "reason": "职责调整"}

    def _changes(self, change: str, *more: str) -> tuple[str, Json]:
        data: Json = {"change": change}
        if change in ("joined", "moved"):
            data |= self.kind(more[0])
        if change == "joined":
            data |= {"name": "新单位", "attributes": {}, **_attributes(list(more[1:]))}
        if change == "renamed":
            data["name"] = more[0]
        return "unit.changed", {**data, "reason": "机构调整"}


#: The verbs, each with its sentence.
VERBS = {
    "deducts": "OFFICE deducts UNIT ITEM MATTER GROUND [POINTS] [NODE]",
    "adds": "OFFICE adds UNIT ITEM MATTER GROUND [POINTS] [NODE]",
    "rates": "OFFICE rates UNIT ITEM VALUE [MEASURE] [GROUP] [PERIOD] [#CASE] [RATER]",
    "submits": "OFFICE submits UNIT ITEM CHARACTERS",
    "exempts": "OFFICE exempts UNIT ITEM",
    "closes": "OFFICE closes ITEM",
    "states": "OFFICE states UNIT ATTRIBUTE VALUE",
    "vetoes": "OFFICE vetoes UNIT VETO",
    "approves": "OFFICE approves LABEL",
    "rejects": "OFFICE rejects LABEL",
    "revokes": "PARTY revokes LABEL [for UNIT]",
    "appeals": "UNIT appeals LABEL",
    "decides": "OFFICE decides LABEL upheld|cancelled|revised [POINTS] [for UNIT]",
    "resolves": "OFFICE resolves GRADE UNIT UNIT …",
    "adopts": "OFFICE adopts READING VALUE",
    "reaches": "OFFICE reaches STAGE",
    "transfers": "OFFICE transfers ITEM FROM TO",
    "changes": "OFFICE changes UNIT joined CATEGORY/GROUP [ATTRIBUTE=VALUE …]|moved CATEGORY/GROUP|renamed NAME|left",
}


def _attributes(pairs: list[str]) -> Json:
    return {"attributes": dict(pair.split("=", 1) for pair in pairs)} if pairs else {}


# --- From a result to the words of a case -----------------------------------------------------------------------------


def _shown(row: Json, void: str | None, like: str) -> str:
    """What became of an event, told as fully as the case does: `counted_in_part 2: 5 -> 3`, `void closed`."""
    text = str(row["disposition"])
    if " " in like and void:
        return f"{text} {void}"
    if " " in like and "counted" in row:
        text += f" {_short(row['counted'])}"
        text += f": {_short(row['balance_before'])} -> {_short(row['balance_after'])}" if "->" in like else ""
    return text


def _short(points: str | None) -> str:
    """A decimal without the zeros that say nothing."""
    return "none" if points is None else f"{Decimal(points).normalize():f}"


def _told(case: Case, found: Json, about: str, like: str) -> str:
    """What the result says about the left of a claim, told as fully as its right: `U1 2.1 = 4.5 scored`."""
    who, __, what = about.partition(" ")
    if span := UNITS.fullmatch(who):
        first, last = int(span[2]), int(span[3] or span[2])
        own = {row["unit"].removeprefix(f"{case.mark}U"): row for row in found["units"]}
        numbered = {int(number): row for number, row in own.items() if number.isdecimal()}
        answers = [_of_unit(numbered[n], what, like) for n in range(first, last + 1) if n in numbered]
        return answers[0] if len(set(answers)) == 1 else " ".join(answers) or "nobody"
    if who == "year":
        return str(found["assessment_state"])
    if who == "reading":
        return str(found["readings"].get(what, "absent"))
    words = what.split()
    pool = words.pop(0) if words and words[0] not in ("quota", "undecided", "individuals") else ""
    rows = (
        grade for scheme in found["schemes"] if pool in ("", scheme["pool"])
        for grade in scheme["grades"] if grade["grade"] == who
    )  # fmt: skip
    row: Json = next(rows, {})
    answer = row.get(words[0] if words else "units", "absent")
    if isinstance(answer, list):
        return " ".join(unit.removeprefix(case.mark) for unit in answer) or "none"
    return "none" if answer is None else str(answer)


def _of_unit(row: Json, what: str, like: str) -> str:
    """One thing about one unit; what the unit has not is absent."""
    if what in row["items"]:
        item = row["items"][what]
        return _short(item["points"]) + (f" {item['state']}" if like.endswith(STATES) else "")
    if what in row["parts"]:
        return _short(row["parts"][what])
    if what == "final":
        return _short(row["final"])
    value = row["grades"].get(what, "absent") if what not in row else row[what]
    return " ".join(value) or "none" if isinstance(value, list) else "none" if value is None else str(value)


def _nearest(case: Case, found: Json, about: str) -> str | None:
    """The right word nearest to the first of a claim that names nothing of the year."""
    rows, pools = found["units"], found["schemes"]
    grades = [grade for scheme in pools for grade in scheme["grades"]]
    first = [
        *(row["unit"].removeprefix(case.mark) for row in rows),
        *(grade["grade"] for grade in grades),
        "year",
        "reading",
    ]
    then = [word for row in rows for name in ("items", "parts", "grades") for word in row[name]]
    then += [
        *found["readings"],
        *(scheme["pool"] for scheme in pools),
        *(word for one in (*rows[:1], *grades) for word in one),
    ]
    for word, known in zip(about.split(), (first, then, then), strict=False):
        if word not in known and not UNITS.fullmatch(word):
            return next(iter(get_close_matches(word, known, 1)), None)
    return None
