"""The year: everything that is judged by what stands at the cut. language.md 2 to 7 and 10."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.oracle.book import COMPARING, InForce, Item, Node, Part
from tests.oracle.entries import Account, Line
from tests.oracle.intake import ADOPTION, APPEAL, ENTRIES, EXEMPTION, FACT, RATING, STAGE, TIE, VETO
from tests.oracle.numbers import half_up, kept, mean, number, places, points_of, total
from tests.oracle.ratings import (
    Panel,
    Valuer,
    bounded,
    by_itself,
    compared,
    compared_by_rater,
    latest,
    over_runs,
)  # fmt: skip
from tests.oracle.seats import resolved_line, seats

if TYPE_CHECKING:
    from tests.oracle.ledger import Event, Ledger

Json = dict[str, Any]
Key = tuple[str, str]  # a unit and an item


class Year:
    """The points, places, grades and lines of a ledger at its end, under given readings."""

    def __init__(self, ledger: Ledger, options: dict[str, str]) -> None:
        self.ledger, self.book, self.units = ledger, ledger.book, ledger.units
        adopted = {event.data["reading"]: event.data["value"] for event in ledger.standing(ADOPTION)}
        self.parameters = {**self.book.parameters, **{k: v for k, v in adopted.items() if k not in self.book.readings}}
        self.readings = {
            name: options.get(name, adopted.get(name, values[0])) for name, values in self.book.readings.items()
        }
        self.force = InForce(self.book, self.readings)
        self.exempted = {(event.subject, event.data["item"]) for event in ledger.standing(EXEMPTION)}
        self.closed = {item: ledger.closed(item) for item in self.book.items}
        self.facts = {(event.subject, event.data["attribute"]): event for event in ledger.standing(FACT)}
        self.vetoes = {(event.subject, event.data["veto"]): event for event in ledger.standing(VETO)}
        self.appealing = {event.subject for event in ledger.standing(APPEAL) if event.open}
        self.awaiting = {event.subject for event in ledger.standing(*ENTRIES) if event.approval == "awaiting"}
        self.account_for_entries()
        self.count_ratings()
        self.points: dict[Key, Fraction | None] = {}
        for item in self.book.items.values():
            for unit in self.units:
                if self.applies(unit, item):
                    self.points[unit, item.code] = self.item_points(unit, item)
        self.points |= {key: self.proportional(*key) for key in self.points if self.exemption(*key) == "proportional"}
        self.trees = {unit: Tree(self, unit) for unit in self.units}
        self.keys = {unit: tuple(self.order_key(unit, key) for key in self.book.order) for unit in self.units}
        self.schemes = [Scheme(self, scheme) for scheme in self.book.schemes]

    # --- who

    def applies(self, unit: str, node: Node) -> bool:
        return self.book.applies(node, self.units[unit].category, self.units[unit].group)

    def attribute(self, unit: str, code: str) -> Fraction:
        """Its latest standing fact, else what the roster or the latest change says, else its default."""
        fact = self.facts.get((unit, code))
        given = {row["code"]: row["default"] for row in self.book.attributes.values() if "default" in row}
        given |= self.units[unit].attributes
        return number(fact.data["value"] if fact else given[code])

    # --- entries and ratings

    def without_effect(self, unit: str, item: str) -> bool:
        """Exempted, or no longer one of the unit's items."""
        return (unit, item) in self.exempted or not self.applies(unit, self.book.items[item])

    def account_for_entries(self) -> None:
        events: dict[Key, list[Event]] = defaultdict(list)
        for event in self.ledger.events:
            if event.kind in ENTRIES:
                events[event.subject, event.data["item"]].append(event)
        keys = {(unit, code) for unit in self.units for code, item in self.book.items.items() if item.entries}
        self.accounts = {
            (unit, item): Account(
                self.force, self.book.items[item], events[unit, item], without_effect=self.without_effect(unit, item)
            )
            for unit, item in keys
        }

    @property
    def lines(self) -> list[Line]:
        found = [line for account in self.accounts.values() for line in account.lines]
        return sorted(found, key=lambda line: line.event.seq)

    def count_ratings(self) -> None:
        """The panels, and the points of every run of every unit that has a value in it."""
        events: dict[Key, list[Event]] = defaultdict(list)
        for event in self.ledger.events:
            if event.kind == RATING:
                events[event.subject, event.data["item"]].append(event)
        self.panels: dict[Key, Panel] = {}
        self.values: dict[Key, dict[Any, Fraction]] = {}
        self.run_points: dict[Key, dict[Any, Fraction]] = defaultdict(dict)
        for code, item in self.book.items.items():
            if not item.entries:
                whoever = self.force.get(item.raw, "panel", "plain") == "latest"
                for unit in self.units:
                    key = unit, code
                    self.panels[key] = Panel(self.force, item, latest(events[key], whoever=whoever))
                    self.values[key] = self.unit_values(unit, item)
                self.count_runs(item)

    def unit_values(self, unit: str, item: Item) -> dict[Any, Fraction]:
        """The unit's value in each run."""
        panel = self.panels[unit, item.code]
        valuer = Valuer(self.force, item, self.attribute)
        runs = panel.runs() if item.measured() else [""]
        found = {run: valuer.value(unit, panel, run) for run in runs}
        return {run: value for run, value in found.items() if value is not None}

    def count_runs(self, item: Item) -> None:
        method = self.force.method(item)
        if method["kind"] not in COMPARING:
            for unit in self.units:
                points = {run: by_itself(self.force, item, v) for run, v in self.values[unit, item.code].items()}
                self.run_points[unit, item.code] = points
        else:
            runs = {run for unit in self.units for run in self.values[unit, item.code]}
            groups = {unit: (row.category, row.group) for unit, row in self.units.items()}
            for run in sorted(runs):
                competing = [unit for unit in self.units if self.competes(unit, item, run)]
                if method.get("per") == "rater":
                    panels = {unit: self.panels[unit, item.code] for unit in competing}
                    found = compared_by_rater(self.force, item, panels, groups)
                else:
                    values = {unit: self.values[unit, item.code][run] for unit in competing}
                    found = compared(self.force, item, values, groups)
                for unit, won in found.items():
                    self.run_points[unit, item.code][run] = won
        for key, points in self.run_points.items():
            if key[1] == item.code:
                self.run_points[key] = {run: bounded(self.force, item, one) for run, one in points.items()}

    def competes(self, unit: str, item: Item, run: Any) -> bool:
        """In a pool: a value, the item applies, not exempted, not left."""
        there = self.units[unit].there and self.applies(unit, item) and (unit, item.code) not in self.exempted
        return there and run in self.values[unit, item.code]

    # --- items

    def compares(self, item: Item) -> bool:
        return not item.entries and self.force.method(item)["kind"] in COMPARING

    def state(self, unit: str, item: Item) -> str:
        """exempt, scored (closed with its input complete) or pending. language.md 5."""
        if (unit, item.code) in self.exempted:
            return "exempt"
        return "scored" if self.closed[item.code] and self.complete(unit, item) else "pending"

    def complete(self, unit: str, item: Item) -> bool:
        if item.entries:
            return True
        panel = self.panels[unit, item.code]
        return panel.complete() or (item.missing_zero and not panel.ratings)

    def exemption(self, unit: str, item: str) -> str | None:
        """What an exemption of the item comes to for the unit; None where there is none, or where it has left."""
        row = self.book.items[item]
        gone = self.compares(row) and not self.units[unit].there
        return row.exempt if (unit, item) in self.exempted and not gone else None

    def item_points(self, unit: str, item: Item) -> Fraction | None:
        """The points of an item, but for those of a proportional exemption; null where there are none."""
        key = unit, item.code
        if self.compares(item) and not self.units[unit].there:
            return None
        exemption = self.exemption(*key)
        if exemption is not None:
            points = {"full": self.force.full(item), "start": Fraction(0)}.get(exemption)
        elif item.entries:
            points = self.accounts[key].balance
        elif self.run_points[key] or (
            item.missing_zero and item.runs in self.book.periods and self.panels[key].ratings
        ):
            runs = self.run_points[key]
            points = over_runs(self.force, item, runs) if item.runs else runs[""]
        else:
            points = Fraction(0) if self.state(unit, item) == "scored" else None
        return None if points is None else half_up(points, item.decimals)

    def proportional(self, unit: str, code: str) -> Fraction:
        """full x points / full points over the items not exempted under its part, or one above it. language.md 6."""
        item = self.book.items[code]
        above = item.above
        while above is not None:
            others = [other for other in self.under(above) if self.measures(unit, other)]
            full = total(self.force.full(other) for other in others)
            if others and full > 0:
                points = total(self.points[unit, other.code] or Fraction(0) for other in others)
                return half_up(points_of(self.force.full(item) * points / full), item.decimals)
            above = self.book.parts[above].above
        return self.force.full(item)

    def under(self, part: str) -> list[Item]:
        """All items under a part, at every level."""
        found: list[Item] = []
        for node in self.book.children(part):
            found += [node] if isinstance(node, Item) else self.under(node.code)
        return found

    def measures(self, unit: str, item: Item) -> bool:
        """Whether an item is part of the measure of an exemption."""
        weighs = item.weight != 0 and self.force.full(item) != 0
        return weighs and self.applies(unit, item) and (unit, item.code) not in self.exempted

    def lacks_a_run(self, unit: str, item: Item) -> bool:
        """A closed item lacks a value of the period's list. language.md 5."""
        listed = self.book.periods.get(item.runs or "", [])
        lacking = not item.entries and any(run not in self.values[unit, item.code] for run in listed)
        return lacking and self.closed[item.code] and (unit, item.code) not in self.exempted

    def one_group(self, unit: str, item: Item) -> bool:
        """Exactly one of several groups has a standing rating."""
        if item.entries or len(item.raters) < 2 or (unit, item.code) in self.exempted:
            return False
        return len({group for _, _, group, _ in self.panels[unit, item.code].ratings}) == 1

    # --- units

    def own_items(self, unit: str) -> list[Item]:
        return [item for item in self.book.items.values() if self.applies(unit, item)]

    def pending(self, unit: str) -> bool:
        """What keeps a unit provisional: an item pending, an entry awaiting, an appeal open."""
        items = any(self.state(unit, item) == "pending" for item in self.own_items(unit))
        return items or unit in self.awaiting or unit in self.appealing

    def unit_state(self, unit: str) -> str:
        if not self.units[unit].there:
            return "left"
        return "provisional" if self.pending(unit) else "final"

    def flags(self, unit: str) -> list[str]:
        items = self.own_items(unit)
        flags = [f"exempt:{item.code}" for item in items if (unit, item.code) in self.exempted]
        flags += [f"incomplete:{item.code}" for item in items if self.lacks_a_run(unit, item)]
        flags += [f"one_group:{item.code}" for item in items if self.one_group(unit, item)]
        flags += [f"vetoed:{veto}" for name, veto in self.vetoes if name == unit]
        flags += [f"undecided:{grade}" for scheme in self.schemes for grade in scheme.undecided(unit)]
        return sorted(flags)

    def order_key(self, unit: str, key: str) -> tuple[int, Fraction]:
        """One key of places, the smaller the better; what is missing is last whichever the direction."""
        value = self.named(unit, key.removeprefix("-"))
        if value is None:
            return 1, Fraction(0)
        return 0, value if key.startswith("-") else -value

    def named(self, unit: str, name: str) -> Fraction | None:
        """The final, a part, an item or an attribute of a unit; None where it is null or does not apply."""
        if name == "final":
            return self.trees[unit].final
        if name in self.book.attributes:
            return self.attribute(unit, name)
        tree = self.trees[unit]
        return tree.items.get(name) if name in self.book.items else tree.parts.get(name)

    def places(self) -> dict[str, int]:
        """Within each ranked category, of the units that have not left."""
        found: dict[str, int] = {}
        for category, ranked in self.book.ranked.items():
            units = [name for name, unit in self.units.items() if unit.there and unit.category == category]
            if ranked:
                found |= places({unit: self.keys[unit] for unit in units})
        return found

    def unfinished(self) -> bool:
        """What `finalised` waits for, of the units that have not left. language.md 10."""
        there = [name for name, unit in self.units.items() if unit.there]
        return any(self.pending(unit) for unit in there) or any(
            scheme.undecided(unit) for scheme in self.schemes for unit in there
        )

    def assessment_state(self) -> str:
        """running, the furthest standing stage, finalised, or amended. wire.md, score."""
        standing = [event.data["stage"] for event in self.ledger.standing(STAGE)]
        finals = [event.seq for event in self.ledger.standing(STAGE) if event.data["stage"] == "finalised"]
        if finals:
            later = [event for event in self.ledger.events if event.seq > finals[-1] and event.admitted]
            return "amended" if any(amends(event) for event in later) else "finalised"
        return next((stage for stage in reversed(self.book.stages) if stage in standing), "running")


def amends(event: Event) -> bool:
    """A revocation, or a decision that cancels or revises."""
    return event.kind == "event.revoked.v1" or event.data.get("outcome") in ("cancelled", "revised")


class Tree:
    """The parts and the final of one unit. language.md 1, The tree."""

    def __init__(self, year: Year, unit: str) -> None:
        self.year, self.book, self.unit = year, year.book, unit
        vetoed = [year.book.vetoes[veto] for name, veto in year.vetoes if name == unit]
        self.zeroed = {veto["zero"] for veto in vetoed if "zero" in veto}
        self.items = {item.code: self.item(item) for item in year.own_items(unit)}
        self.parts: dict[str, Fraction | None] = {}
        top = [node for node in self.book.children(None) if self.there(node)]
        weighed = total(node.weight * points for node in top if (points := self.points(node)) is not None)
        _, times, decimals = self.book.final
        self.final = kept(half_up(kept(weighed, 12) * times, decimals), decimals)

    def out(self, item: Item) -> bool:
        return self.year.exemption(self.unit, item.code) == "out"

    def item(self, item: Item) -> Fraction | None:
        """The item as it is shown: null where it has nothing, 0 by a veto."""
        points = self.year.points[self.unit, item.code]
        return Fraction(0) if item.code in self.zeroed and not self.out(item) else points

    def there(self, node: Node) -> bool:
        """Whether a node is there for the unit: a part has a child that is."""
        if not self.year.applies(self.unit, node):
            return False
        return isinstance(node, Item) or any(self.there(child) for child in self.book.children(node.code))

    def points(self, node: Node) -> Fraction | None:
        """The points that a node gives to what is over it; None where it is out."""
        if isinstance(node, Item):
            return None if self.out(node) else self.items[node.code] or Fraction(0)
        if node.code not in self.parts:
            assert isinstance(node, Part)
            self.parts[node.code] = self.part(node)
        return self.parts[node.code]

    def children(self, part: Part) -> list[tuple[Node, Fraction]]:
        """The children that apply and are not out, with their weighted points."""
        nodes = [node for node in self.book.children(part.code) if self.there(node)]
        return [(node, node.weight * points) for node in nodes if (points := self.points(node)) is not None]

    def full(self, node: Node) -> Fraction:
        """Full points: of an item its scoring's, of a sum part those of its children, of another part its own."""
        if isinstance(node, Item):
            return self.year.force.full(node)
        assert isinstance(node, Part)
        if node.combine != "sum":
            return node.points
        return total(child.weight * self.full(child) for child, _ in self.children(node))

    def part(self, part: Part) -> Fraction | None:
        children = self.children(part)
        full = total(child.weight * self.full(child) for child, _ in children)
        if not children or (part.combine == "rescale" and full == 0):
            return None
        weighed = [points for _, points in children]
        if part.combine == "rescale":
            found = points_of(part.points * kept(total(weighed), 12) / full)
        elif part.combine == "mean":
            found = points_of(mean(weighed))
        else:
            found = points_of(max(weighed) if part.combine == "max" else total(weighed))
        low, high = part.bound("at_least", None), part.bound("at_most", None)
        found = found if low is None else max(low, found)
        found = found if high is None else min(high, found)
        return Fraction(0) if part.code in self.zeroed else half_up(found, part.decimals)


class Scheme:
    """What units get: the grades of a scheme, pool by pool. language.md 7."""

    def __init__(self, year: Year, raw: Json) -> None:
        self.year, self.raw, self.code, self.grades = year, raw, raw["code"], raw["grade"]
        self.tie = year.force.get(raw, "tie", "undecided")
        self.found: dict[
            str, list[tuple[int | None, list[str], list[str]]]
        ] = {}  # pool to grades: quota, units, undecided
        for pool, rule in sorted(self.pools().items()):
            self.found[pool] = self.seat(rule)

    def spoken(self) -> str:
        return self.year.force.get(self.raw, "pools", "each")

    def pools(self) -> dict[str, set[tuple[str, str | None]]]:
        """Each pool, as the rulebook writes it, and the categories, or category and group, that are in it."""
        spoken, book = self.spoken(), self.year.book
        if spoken == "each":
            return {category: {(category, None)} for category in book.ranked}
        if spoken == "group":
            declared = {(c, g) for g, of in book.groups.items() for c in book.ranked if of in (None, c)}
            found = {(unit.category, unit.group) for unit in self.year.units.values()}
            return {
                f"{category}/{group}": {(category, group)} for category, group in (declared if book.groups else found)
            }
        return {pool: {(category, None) for category in pool.split("+")} for pool in spoken.split(",")}

    def covers(self, category: str) -> bool:
        """Whether a category is in one of the pools: its units have the scheme."""
        return self.spoken() in ("each", "group") or category in self.spoken().replace("+", ",").split(",")

    def quotas(self, members: list[str]) -> list[int | None]:
        """Each grade's number, or its share of the base, rounded; cumulative ones less the largest before."""
        base = len(members)
        if self.year.force.get(self.raw, "quota_of", "listed") == "listed" and self.spoken() not in ("each", "group"):
            base = sum(unit.there for unit in self.year.units.values())
        rounding = self.year.force.get(self.raw, "rounding", "floor")
        numbers = [quota(grade, base, rounding) for grade in self.grades]
        if self.year.force.get(self.raw, "quotas", "disjoint") == "disjoint":
            return numbers
        before = [max((one for one in numbers[:n] if one is not None), default=0) for n in range(len(numbers))]
        return [None if own is None else max(0, own - less) for own, less in zip(numbers, before, strict=True)]

    def seat(self, rule: set[tuple[str, str | None]]) -> list[tuple[int | None, list[str], list[str]]]:
        units, keys = self.year.units, self.year.keys
        members = [
            name for name, unit in units.items()
            if unit.there and ((unit.category, None) in rule or (unit.category, unit.group) in rule)
        ]  # fmt: skip
        line = [sorted(u for u in members if keys[u] == key) for key in sorted({keys[u] for u in members})]
        quotas = self.quotas(members)
        open_to = [{unit for unit in members if self.open(unit, n)} for n in range(len(self.grades))]
        line = resolved_line(line, self.counting(seats(line, quotas, open_to, "undecided")))
        found = seats(line, quotas, open_to, self.tie)
        undecided = [grade.cut if self.tie == "undecided" else [] for grade in found]
        return [(own, grade.given, cut) for own, grade, cut in zip(quotas, found, undecided, strict=True)]

    def counting(self, cuts: list[Any]) -> list[list[str]]:
        """The standing tie.resolved whose units are exactly the block that the cut of its grade would go through."""
        blocks = {grade["code"]: set(cut.cut) for grade, cut in zip(self.grades, cuts, strict=True) if cut.cut}
        said = [event.data for event in self.year.ledger.standing(TIE)]
        return [data["units"] for data in said if blocks.get(data["grade"]) == set(data["units"])]

    def open(self, unit: str, n: int) -> bool:
        """Whether a grade is open to a unit: enough points, its conditions met, not barred."""
        grade, final = self.grades[n], self.year.trees[unit].final
        full, _, _ = self.year.book.final
        least = grade.get("at_least")
        if least is not None and final < (number(least) * full if least.endswith("%") else number(least)):
            return False
        return all(self.meets(unit, rule) for rule in grade.get("require", [])) and not self.barred(unit, n)

    def meets(self, unit: str, rule: Json) -> bool:
        """One condition; what is missing is not met."""
        value = self.required(unit, rule["of"], rule.get("item"))
        if value is None:
            return False
        low, high = rule.get("at_least"), rule.get("at_most")
        return (low is None or value >= number(low)) and (high is None or value <= number(high))

    def required(self, unit: str, of: str, item: str | None) -> Fraction | None:
        """An attribute, part or item, or the panel's value of an item's measure."""
        if item is None:
            return self.year.named(unit, of)
        if self.year.without_effect(unit, item):
            return None
        return self.year.panels[unit, item].value("", of)

    def barred(self, unit: str, n: int) -> bool:
        """By a veto: every grade of the scheme, or those better than the one it leaves."""
        codes = [grade["code"] for grade in self.grades]
        for name, code in self.year.vetoes:
            veto = self.year.book.vetoes[code]
            most = veto.get("grade_at_most")
            if name == unit and (self.code in veto.get("bars", []) or (most in codes and n < codes.index(most))):
                return True
        return False

    def grade_of(self, unit: str) -> str | None:
        for rows in self.found.values():
            for grade, (_, units, _) in zip(self.grades, rows, strict=True):
                if unit in units:
                    return str(grade["code"])
        return None

    def undecided(self, unit: str) -> list[str]:
        """The grades through whose cut the unit's block goes."""
        return [
            grade["code"] for rows in self.found.values()
            for grade, (_, _, cut) in zip(self.grades, rows, strict=True) if unit in cut
        ]  # fmt: skip


def quota(grade: Json, base: int, rounding: str) -> int | None:
    """A grade's number, or its share of the base; None where it is unbounded."""
    if "number" in grade:
        return int(grade["number"])
    if "share" not in grade:
        return None
    share = number(grade["share"]) * base
    if rounding == "half_up":
        return int(half_up(share, 0))
    return share.__floor__() if rounding == "floor" else share.__ceil__()
