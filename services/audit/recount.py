"""What one unit's events come to by the rulebook; verify.py runs it, on events that it has proved to be in the log.

Like that, it needs nothing but Python 3.8 and shares no code with the publisher's. Section numbers are those of the
rulebook language.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Iterator  # noqa: UP035 - runs on Python 3.8 too

ZERO, COMPARES = Fraction(0), ("rank", "bands", "best", "level")
ENTRIES, RATING, VETO = ("deduction.recorded", "bonus.recorded"), "rating.recorded", "veto.recorded"
NUMBER = re.compile(r"(-?[0-9]{1,200}(?:\.[0-9]{1,30})?)(%?)")
Json = Any  # an object of the rulebook, or a published row: texts by name


class Failed(Exception):  # noqa: N818 - it is an answer, not an error
    """A check that does not hold: its name in verify.py's SAYS, and what goes into the sentence."""


def need(holds: object, *line: object) -> None:
    """Raise Failed unless it holds."""
    if not holds:
        raise Failed(*line)


def one(things: list[Json], code: str, key: str = "code") -> Json:
    """Return the one that has the code."""
    return next(thing for thing in things if thing[key] == code)


def listed(text: str | None) -> list[str]:
    """Return the codes of a published list, as [A, 'B:1']."""
    return [each.strip("'") for each in (text or "").strip("[]").split(", ") if each]


def vetoed(row: Json) -> set[str]:
    """Return the vetoes that are published of a unit."""
    return {flag[7:] for flag in listed(row["flags"]) if flag[:7] == "vetoed:"}


# -- Numbers (0) ------------------------------------------------------------------------------------------------------


def number(text: str) -> Fraction:
    """Return a plain decimal or a share; no exponent, which could come to more digits than there is memory."""
    found = NUMBER.fullmatch(text)
    need(found, "number", text[:40])
    return Fraction(found[1]) / (100 if found[2] else 1) if found else ZERO


def half_up(value: Fraction, places: int = 6) -> Fraction:
    """Round away from zero, to 6 decimals of points or 9 of values; keep what is larger at the largest."""
    need(0 <= places <= 9, "number", places)
    size = min(int(abs(value) * 10**places + Fraction(1, 2)), 10 ** (9 + places) - 1)
    return Fraction(size if value > 0 else -size, 10**places)


def text(value: Fraction | None, places: int = 6) -> str | None:
    """Return a decimal as it is published."""
    if value is None:
        return None
    whole, rest = divmod(int(abs(value) * 10**places), 10**places)
    return f"{'-' if value < 0 else ''}{whole}" + (f".{rest:0{places}d}" if places else "")


def within(value: Fraction, low: Fraction | None, high: Fraction | None) -> Fraction:
    """Keep a number within bounds, where there are any."""
    value = value if low is None else max(low, value)
    return value if high is None else min(high, value)


def bound(table: Json, name: str, default: Fraction | None) -> Fraction | None:
    """Return a bound as the rulebook writes it."""
    written = table.get(name)
    return default if written is None else None if written == "none" else number(written)


class Event:
    """One event of the log: what it says, and what later events did to it."""

    def __init__(self, sequence: int) -> None:
        self.sequence, self.admitted, self.revoked = sequence, False, False
        self.appeal: Event | None = None  # of what can be appealed: the appeal against it that was not withdrawn
        self.decision: Event | None = None  # of an appeal: the decision that stands
        self.approval: Event | None = None  # of an entry: the approval that stands
        self.target: Event | None = None  # of an appeal or approval: what it is about; of a decision: its appeal
        self.slot = ""  # the office of the rulebook whose place of the item the source had

    def says(self, body: Json) -> None:
        """Take what the event says, once it is proved."""
        self.source, self.id, self.data, self.subject = body["source"], body["id"], body["data"], body["subject"]
        self.office, self.type = self.source.rpartition("/")[2], body["type"].rpartition(".")[0]
        self.item, self.stage = self.data.get("item", ""), self.data.get("stage", "")

    def ruling(self) -> Json:
        """Return the data of the decision that stands on the appeal against it."""
        return self.appeal.decision.data if self.appeal and self.appeal.decision else {"outcome": ""}

    def stands(self) -> bool:
        """Whether it was admitted, and is neither revoked nor cancelled on appeal."""
        return self.admitted and not self.revoked and self.ruling()["outcome"] != "cancelled"

    def approved(self) -> str:
        """Return the outcome of the approval that stands."""
        return self.approval.data["outcome"] if self.approval else ""


class Rules:
    """The rulebook, with the readings in force (1, 8)."""

    def __init__(self, book: Json) -> None:
        self.book, self.readings = book, {each["name"]: each["values"][0] for each in book.get("reading", [])}
        self.items = {item["code"]: item for item in book["item"]}
        self.parts = {part["code"]: part for part in book.get("part", [])}
        self.below: dict[str, list[Json]] = {}
        for node in [*self.parts.values(), *self.items.values()]:
            self.below.setdefault(node.get("in", ""), []).append(node)

    def rule(self, table: Json, name: str, default: str = "") -> str:
        """Return what a table says, by the reading that decides it."""
        value: str = table.get(name, default)
        return self.readings[value[1:]] if value.startswith("@") else value

    def ground(self, event: Event) -> Json:
        """Return the ground of an entry."""
        return one(self.items[event.item]["ground"], event.data["ground"])

    def worth(self, event: Event, claimed: bool = False) -> Fraction:
        """Return an entry's points or a rating's value, as claimed or as revised."""
        data = event.data if claimed or event.ruling()["outcome"] != "revised" else event.ruling()
        return number(data.get("value") or data.get("points") or self.ground(event)["points"])

    def may_be(self, event: Event, points: Fraction) -> bool:
        """Whether a decision may put these points in the place of the event's."""
        if event.type in (*ENTRIES, VETO):
            return event.type != VETO and 0 <= points <= self.worth(event, claimed=True)
        item, measure = self.items[event.item], event.data.get("measure")
        allowed = one(item["measure"], measure) if measure else item["range"]
        low, high = number(allowed.get("min", "0")), number(allowed.get("max", "1"))
        return low <= points <= high and (not allowed.get("binary") or points in (0, 1))

    def applies(self, node: Json, row: Json) -> bool:
        """Whether an item or part, and all that it is under, applies to the category and group of a row."""
        rule, above = node.get("applies", {}), node.get("in")
        here = row["category"] in rule.get("categories", [row["category"]])
        here = here and row["group"] in rule.get("groups", [row["group"]])
        return bool(here and (not above or self.applies(self.parts[above], row)))

    def method(self, item: Json) -> Json:
        """Return the method in force of an item of ratings."""
        ways = item.get("method") or [{"kind": "direct" if "formula" in item else "scale"}]
        code = self.rule(item, "scoring")
        return next((way for way in ways if code and way.get("code") == code), ways[0])

    def compares(self, item: Json) -> bool:
        """Whether its points need the values of other units."""
        return item["input"] == "ratings" and self.method(item)["kind"] in COMPARES

    def runs(self, item: Json) -> list[str]:
        """Return the values of its period."""
        periods: list[Json] = self.book.get("period", [])
        return next((list(each["values"]) for each in periods if each["code"] == item.get("runs")), [])

    def full(self, item: Json, of_run: bool = False) -> Fraction:
        """Return the full points of an item, or of one run of it."""
        own = self.method(item).get("points") if item["input"] == "ratings" else None
        times = (item.get("over") == "sum" and len(self.runs(item))) or 1
        if of_run:
            return number(own) if own else half_up(number(item["points"]) / times)
        return number(own) * times if own else number(item["points"])

    def exempt(self, item: Json) -> str:
        """Return what an exemption of an item comes to (6)."""
        entries = ("start" if item.get("start") == "0" else "full") if item["input"] == "entries" else "proportional"
        how: str = item.get("exempt", entries)
        return how

    def under(self, part: str) -> list[Json]:
        """Return all items under a part, at any level."""
        found: list[Json] = []
        for node in self.below.get(part, []):
            found += [node] if "input" in node else self.under(node["code"])
        return found

    def zeroed(self, vetoes: set[str]) -> set[str]:
        """Return the parts and items that the vetoes make 0."""
        return {veto["zero"] for veto in self.book.get("veto", []) if veto["code"] in vetoes and "zero" in veto}

    def over(self, item: Json, found: dict[str, Fraction]) -> Fraction | None:
        """Return what the points of the runs come to together, within the item's bounds run by run; None of none."""
        full, runs = self.full(item, of_run=True), self.runs(item)
        low, high = bound(item, "at_least", ZERO), bound(item, "at_most", full)
        found = {run: within(points, low, high) for run, points in found.items()}
        counted, how = list(found.values()), item.get("over", "mean") if "runs" in item else "sum"
        if how == "latest" and found:
            return found[[run for run in runs if run in found][-1]]
        counted += [ZERO] * (len(runs) - len(counted) if item.get("missing") == "0" and counted else 0)
        total = sum(counted, ZERO)
        return None if not counted else half_up(total / len(counted)) if how == "mean" else (
            max(counted) if how == "best" else half_up(total))  # fmt: skip

    def scaled(self, item: Json, way: Json, value: Fraction) -> Fraction:
        """Return the points in proportion to a value."""
        return half_up(
            self.full(item, of_run=True) * value / number(way.get("of") or item.get("range", {}).get("max", "1"))
        )

    def alone(self, item: Json, value: Fraction) -> Fraction:
        """Return the points of a value by itself: direct, scale, table (4)."""
        way = self.method(item)
        if way["kind"] == "direct":
            return half_up(value)
        if way["kind"] == "scale":
            return self.scaled(item, way, value)
        rows = [(number(x), number(p)) for x, p in way["rows"]]
        below, above = [row for row in rows if row[0] <= value], [row for row in rows if row[0] > value]
        if way.get("between", "step") == "step":
            return below[-1][1] if below else bound(item, "at_least", ZERO) or ZERO
        if not below or not above:
            return (below or above)[-1 if below else 0][1]
        (x0, p0), (x1, p1) = below[-1], above[0]
        return p0 + half_up((p1 - p0) * (value - x0) / (x1 - x0))

    def tree(self, items: dict[str, Fraction | None], zero: set[str]) -> tuple[dict[str, Any], Fraction]:
        """Return the points of the parts over these items, None of one that is out, and the final (1)."""
        parts: dict[str, Any] = {}

        def of(node: Json) -> tuple[Fraction, Fraction | None, Fraction]:  # weight, points, full points
            weight, code = number(node.get("weight", "1")), node["code"]
            if "input" in node:
                return weight, items[code], self.full(node)
            sums = [(w * p, w * full) for w, p, full in map(of, children(code)) if p is not None]
            whole, how = sum((full for _, full in sums), ZERO), node.get("combine", "sum")
            points, parts[code] = [p for p, _ in sums], None
            if points and (how != "rescale" or whole):
                total = sum(points, ZERO)
                came = {"max": max(points), "mean": total / len(points), "sum": total}.get(how)
                came = number(node["points"]) * total / whole if came is None else came
                came = within(half_up(came), bound(node, "at_least", None), bound(node, "at_most", None))
                parts[code] = ZERO if code in zero else half_up(came, int(node.get("decimals", 6)))
            return weight, parts[code], whole if how == "sum" else number(node["points"])

        def children(code: str) -> list[Json]:
            of_node = [
                (node, [node] if "input" in node else self.under(node["code"])) for node in self.below.get(code, [])
            ]
            return [node for node, own in of_node if any(item["code"] in items for item in own)]

        total = sum((w * p for w, p, _ in map(of, children("")) if p is not None), ZERO)
        formula = self.book["final"]
        return parts, half_up(total * number(formula.get("times", "1")), int(formula.get("decimals", 8)))


class Recount:
    """One unit's points by its own events (3 to 6)."""

    def __init__(self, rules: Rules, unit: Json, events: list[Event]) -> None:
        self.rules, self.events = rules, events
        self.code, self.row, self.there, self.places = unit["code"], unit["row"], unit["there"], unit["places"]
        self.counted: dict[int, Fraction] = {}  # what each entry counts

    def standing(self, *kinds: str, item: str = "") -> list[Event]:
        """Return the events of these types that stand."""
        return [e for e in self.events if e.type in kinds and e.stands() and item in ("", e.item)]

    def exempted(self, item: Json) -> bool:
        """Whether the item was declared not applicable to the unit."""
        return bool([e for e in self.standing("item.exempted", item=item["code"]) if e.subject == self.code])

    def attribute(self, code: str) -> Fraction:
        """Return an attribute in force: the latest fact, else what the roster says, else its default (2)."""
        facts = [e.data["value"] for e in self.standing("fact.recorded") if e.data["attribute"] == code]
        given = self.row.get("attributes", {}).get(code, one(self.rules.book["attribute"], code).get("default"))
        return half_up(number([given, *facts][-1]))

    def entries(self, item: Json) -> Fraction:
        """Return the balance: the start with what each entry adds to its matter, cut by caps and bounds (3)."""
        rules, signs = self.rules, {ground.get("adds", False) for ground in item["ground"]}
        mode, points, nodes = rules.rule(item, "matter", "each"), number(item["points"]), item.get("node", [])
        start, deducts = (points, ZERO) if item.get("start") != "0" else (ZERO, -points * (False in signs))
        ends = bound(item, "at_least", deducts), bound(item, "at_most", points if start or True in signs else ZERO)
        purses = {"": (start, *ends)}
        if rules.rule(item, "purse", "shared") == "separate":
            purses = {office: (number(share), ZERO, number(share)) for office, share in item["share"].items()}
        groups = {node["code"]: node.get("cap_group", node["code"]) for node in nodes}
        caps = {(groups[n["code"]], adds): number(n["cap"]) for n in nodes if "cap" in n for adds in (True, False)}
        sums = dict.fromkeys(purses, ZERO)
        charges: dict[Any, dict[str, Fraction]] = {}
        for event in self.standing(*ENTRIES, item=item["code"]):
            ground, matter, needed = rules.ground(event), event.data["matter"], rules.ground(event).get("requires")
            if ground.get("approval") and event.approved() != "approved":
                continue
            adds, cost, before = ground.get("adds", False), rules.worth(event), charges.setdefault(matter, {})
            if mode != "each":
                charge = charges.setdefault((matter, adds), {})
                old, worth = self._charge(item, mode, charge), max(cost, charge.get(ground["code"], ZERO))
                charge.update({ground["code"]: worth} if not needed or needed in before else {})
                cost = self._charge(item, mode, charge) - old
            before[ground["code"]] = ZERO
            if cap := (groups[event.data["node"]], adds) if nodes else None:
                cost = min(cost, caps.get(cap, cost))
                caps.update({cap: caps[cap] - cost} if cap in caps else {})
            purse = event.slot if event.slot in purses else ""
            (first, *limits), was = purses[purse], sums[purse]
            sums[purse] += cost if adds else -cost
            self.counted[event.sequence] = abs(within(first + sums[purse], *limits) - within(first + was, *limits))
        return sum((within(purses[p][0] + total, *purses[p][1:]) for p, total in sums.items()), ZERO)

    def _charge(self, item: Json, mode: str, charge: dict[str, Fraction]) -> Fraction:
        branches: dict[str, Fraction] = {}
        for code, points in charge.items():
            branch = one(item["ground"], code).get("branch", code)
            branches[branch] = branches.get(branch, ZERO) + points
        return sum(branches.values(), ZERO) if mode == "sum" else max(branches.values(), default=ZERO)

    def panel(self, item: Json) -> dict[str, dict[str, Fraction]]:
        """Return the value of each measure in each run: the latest rating of each rater, then means (4)."""
        kind, latest, rules = self.rules.rule(item, "panel", "plain"), {}, self.rules
        for event in self.standing(RATING, item=item["code"]):
            data = event.data
            run, rater = data.get("period", data.get("case", "")), "" if kind == "latest" else data["rater"]
            latest[run, data.get("measure", "value"), data.get("group", ""), rater] = rules.worth(event)
        raters, found = [each["code"] for each in item.get("raters", [])] or [""], {}  # type: list[str], dict[str, dict[str, Fraction]]
        shares = rules.rule(item, "weights").split("/") if "weights" in item else ["1"] * len(raters)
        weights = {code: number(shares[n]) for n, code in enumerate(raters)}
        for run, measure in {key[:2] for key in latest}:
            means = {}
            for group in {key[2] for key in latest if key[:2] == (run, measure)}:
                values = sorted(value for key, value in latest.items() if key[:3] == (run, measure, group))
                values = values[1:-1] if kind == "trimmed" and len(values) >= 3 else values
                means[group] = half_up(sum(values, ZERO) / len(values), 9)
            all_of = sum((weights[group] for group in means), ZERO)
            value = half_up(sum((weights[group] * mean for group, mean in means.items()), ZERO) / all_of, 9)
            found.setdefault(run, {})[measure] = value
        return found

    def value(self, item: Json, have: dict[str, Fraction]) -> Fraction | None:
        """Return what the measures of a run and the attributes come to by the formula; without one the value itself."""
        measures, codes = (
            [m["code"] for m in item.get("measure", [])] or ["value"],
            self.rules.book.get("attribute", []),
        )

        def named(term: dict[str, str], key: str, default: str = "") -> Fraction | None:
            name = term.get(key, default)
            if name in measures or not name:
                return have.get(name)
            return self.attribute(name) if name in [a["code"] for a in codes] else number(name)

        total, lacks = ZERO, not self.needed(item) <= {*have}
        for term in item.get("formula", []):
            plus, less, times = named(term, "plus"), named(term, "less", "0"), named(term, "times", "1")
            ratio = named(term, "ratio_to", "1")
            if plus is None or less is None or times is None or ratio is None or ratio <= 0:
                lacks = True
                continue
            came = half_up(plus / ratio if "ratio_to" in term else (plus - less) * times, 9)
            ends = number(term["within"]) if "within" in term else None
            total += within(came, ends and -ends, ends)
        factor = self.attribute(item["factor"]) if "factor" in item else Fraction(1)
        came_to = half_up(half_up(total, 9) * factor, 9) if "formula" in item else have.get("value")
        return None if lacks and self.rules.compares(item) else came_to

    def needed(self, item: Json) -> set[str]:
        """Return the measures that its value is made of."""
        named = {term.get(key) for term in item.get("formula", []) for key in ("plus", "less", "ratio_to")}
        own = {"value", *(measure["code"] for measure in item.get("measure", []))}
        return named & own if "formula" in item else {"value"}

    def values(self, item: Json) -> dict[str, Fraction]:
        """Return the unit's value in each run that has one."""
        runs = self.panel(item) if self.needed(item) else {"": {}}
        found = {run: self.value(item, have) for run, have in runs.items()}
        return {run: value for run, value in found.items() if value is not None}

    def reckon(self, item: Json, compared: dict[str, Any]) -> tuple[Fraction | None, str]:
        """Return an item's points, None without input, and its state, before shares and vetoes (5, 6)."""
        code, rates, needed = item["code"], item["input"] == "ratings", set()  # type: str, bool, set[str]
        runs, needed = (self.panel(item), self.needed(item)) if rates else ({}, needed)
        done = not needed or any(needed <= {*have} for have in runs.values()) or (
            item.get("missing") == "0" and not self.standing(RATING, item=code))  # fmt: skip
        offices = {event.office for event in self.standing("item.closed", item=code)}
        closed = offices >= {place[-1] for place in self.places[code]}
        state = "exempt" if self.exempted(item) else "scored" if closed and done else "pending"
        if code in compared and not self.there:
            return None, state
        if state == "exempt":
            return {"full": self.rules.full(item), "start": ZERO}.get(self.rules.exempt(item)), state
        if code in compared:
            points = compared[code].get(self.code)
            points = (
                ZERO if points is None and runs and item.get("missing") == "0" and self.rules.runs(item) else points
            )
        elif rates:
            points = self.rules.over(item, {run: self.rules.alone(item, v) for run, v in self.values(item).items()})
        else:
            points = self.entries(item)
        points = ZERO if points is None and state == "scored" else points
        return None if points is None else half_up(points, int(item.get("decimals", 6))), state

    def share(self, item: Json, found: dict[str, Fraction | None]) -> Fraction:
        """Return the points of an exempted item by those of its part, or of the nearest part above that has some."""
        above, rules = item.get("in"), self.rules
        while above:
            pool = [o for o in rules.under(above) if o["code"] in found and not self.exempted(o) and rules.full(o)]
            pool = [other for other in pool if number(other.get("weight", "1"))]
            if full := sum(map(rules.full, pool), ZERO):
                got = sum((found[other["code"]] or ZERO for other in pool), ZERO)
                return half_up(half_up(rules.full(item) * got / full), int(item.get("decimals", 6)))
            above = rules.parts[above].get("in")
        return rules.full(item)

    def check(self, compared: dict[str, Any], row: Json, shown: Json, entries: list[Json]) -> Iterator[tuple[Any, ...]]:
        """Check every item of the unit, what each entry counts, and its state, against what is published of it."""
        rules = self.rules
        own = [item for item in rules.items.values() if rules.applies(item, self.row)]
        need({*shown} == {item["code"] for item in own}, "result_forged", "items", "*", "*")
        vetoes = {event.data["veto"] for event in self.standing(VETO)}
        need(vetoes == vetoed(row), "result_forged", "flags", row["flags"], vetoes)
        reckoned = {item["code"]: self.reckon(item, compared) for item in own}
        found = {code: points for code, (points, _) in reckoned.items()}
        for item in own:
            code, (came, state) = item["code"], reckoned[item["code"]]
            left = code in compared and not self.there
            if state == "exempt" and rules.exempt(item) == "proportional" and not left:
                came = self.share(item, found)
            out = state == "exempt" and rules.exempt(item) == "out" and not left
            came = ZERO if code in rules.zeroed(vetoes) and not out else came
            mine = {"points": text(came), "state": state}
            theirs = {key: shown[code][key] for key in mine}
            need(mine == theirs, "result_forged", code, theirs, mine)
            yield ("points", code, *mine.values())
        for entry in entries:
            counts = text(self.counted.get(int(entry["seq"]), ZERO))
            need(entry["counted"] == counts, "result_forged", f"seq {entry['seq']}", entry["counted"], counts)
        waits = [e for e in self.standing(*ENTRIES) if rules.ground(e).get("approval") and not e.approval]
        waits += [e for e in self.events if e.type == "appeal.filed" and e.stands() and not e.decision
                  and e.target and not e.target.revoked]  # fmt: skip
        pending = waits or "pending" in [state for _, state in reckoned.values()]
        expected = "left" if not self.there else "provisional" if pending else "final"
        need(row["state"] == expected, "result_forged", "state", row["state"], expected)
