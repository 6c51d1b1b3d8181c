"""What all units come to by what is published of them: values that are compared, finals, places and grades.

verify.py runs it, on rows that it has proved to be signed: that of each unit its values are its own is for that unit to
prove. Like verify.py, it needs nothing but Python 3.8; section numbers are those of the rulebook language.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Iterator  # noqa: UP035 - runs on Python 3.8 too

try:
    from .recount import ZERO, Json, Recount, half_up, listed, need, number, text, vetoed
except ImportError:  # as a file beside verify.py
    from recount import ZERO, Json, Recount, half_up, listed, need, number, text, vetoed  # type: ignore[import-not-found,no-redef]


def order(keys: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Of each unit how many stand before it, the smallest key first, and how many have its key."""
    first: dict[Any, int] = {}
    size: dict[Any, int] = {}
    for n, key in enumerate(sorted(keys.values())):
        first.setdefault(key, n)
        size[key] = size.get(key, 0) + 1
    return {unit: (first[key], size[key]) for unit, key in keys.items()}


class Everybody:
    """All units of the assessment, as published; `own` is the unit whose bundle it is."""

    def __init__(self, tables: dict[str, list[Json]], own: Recount) -> None:
        self.rules, self.tables, self.own = own.rules, tables, own
        self.units = {row["unit"]: row for row in tables["published_unit"]}
        self.items: dict[str, dict[str, Json]] = {unit: {} for unit in self.units}
        self.parts: dict[str, dict[str, Json]] = {unit: {} for unit in self.units}
        for row in tables["published_item"]:
            self.items[row["unit"]][row["item"]] = row
        for row in tables["published_part"]:
            self.parts[row["unit"]][row["part"]] = row["points"]
        self.attributes = {(row["unit"], row["attribute"]): row["value"] for row in tables["published_attribute"]}
        self.measures = {
            (row["unit"], row["item"], row["measure"]): row["value"] for row in tables["published_measure"]
        }

    def check(self) -> Iterator[tuple[Any, ...]]:
        """Check the values that are compared, the unit's own points, then everybody's finals, places and grades."""
        own, compared = self.own, {}
        for code, item in self.rules.items.items():
            if self.rules.compares(item):
                compared[code], by_rater = self.compare(item), self.rules.method(item).get("per") == "rater"
                yield ("word?", code) if by_rater else ("compared", code, len(compared[code]))
        entries = self.tables["own published_entry"]
        yield from own.check(compared, self.units[own.code], self.items[own.code], entries)
        self.check_finals()
        keys = self.keys()
        yield "placed", self.check_places(keys), len(self.units)
        yield "graded", self.check_grades(keys)

    def compare(self, item: Json) -> dict[str, Any]:
        """Return the points of each unit of an item that compares, from the values of all; check them as published."""
        code, rules = item["code"], self.rules
        runs: dict[str, dict[str, Fraction]] = {}
        if rules.method(item).get("per") == "rater":  # each rater's values of the others are not published
            return {unit: None if (row := rows.get(code, {})).get("points") is None else number(row["points"])
                    for unit, rows in self.items.items()}  # fmt: skip
        kinds = {"category": ("category",), "group": ("category", "unit_group")}
        keys = kinds.get(rules.rule(rules.method(item), "pool"), ())
        pools: dict[Any, dict[str, Fraction]] = {}
        for row in self.tables["published_value"]:
            if row["item"] == code:
                unit = self.units[row["unit"]]
                need(unit["state"] != "left" and self.items[row["unit"]][code]["state"] != "exempt", "cross_unit", code,
                     row["unit"])  # fmt: skip
                pool = pools.setdefault((row["run"], *(unit[key] for key in keys)), {})
                pool[row["unit"]] = number(row["value"])
        mine = {pool[0]: values[self.own.code] for pool, values in pools.items() if self.own.code in values}
        here = self.own.there and rules.applies(item, self.own.row) and not self.own.exempted(item)
        need(mine == (self.own.values(item) if here else {}), "cross_unit", code, self.own.code)
        for (run, *_), values in pools.items():
            for name, points in self.pooled(item, values).items():
                runs.setdefault(name, {})[run] = points
        found = {}
        for name, rows in self.items.items():
            if code in rows and rows[code]["state"] != "exempt":
                came = rules.over(item, runs.get(name, {}))
                nothing = rows[code]["points"] in (None, text(ZERO)) and self.units[name]["state"] != "left"
                found[name] = came = None if came is None else half_up(came, int(item.get("decimals", 6)))
                came = ZERO if code in rules.zeroed(vetoed(self.units[name])) else came
                same = rows[code]["points"] == text(came) or (came is None and nothing)
                need(same, "cross_unit", code, name)
        return found

    def pooled(self, item: Json, values: dict[str, Fraction]) -> dict[str, Fraction]:
        """Return the points of each unit of a pool by the values of all, before the bounds (4)."""
        way, full = self.rules.method(item), self.rules.full(item, of_run=True)
        lower = way.get("better") == "lower"
        stand = order({unit: value if lower else -value for unit, value in values.items()})
        best = (min if lower else max)(values.values())
        if way["kind"] == "rank":
            average, table = self.rules.rule(way, "ties", "better") == "average", self._table(way, full, len(values))
            ends = {unit: before + (tied if average else 1) for unit, (before, tied) in stand.items()}
            sums = {unit: sum(table[before : ends[unit]], ZERO) for unit, (before, _) in stand.items()}
            return {unit: half_up(total / (ends[unit] - stand[unit][0])) for unit, total in sums.items()}
        if way["kind"] == "bands":
            cuts = self._cuts(way, len(values))
            rows = {unit: next(n for n, cut in enumerate(cuts) if before < cut) for unit, (before, _) in stand.items()}
            return {unit: number(way["rows"][n][1]) for unit, n in rows.items()}
        if way["kind"] == "best":
            return {unit: full if value == best else ZERO if value <= 0 or best <= 0
                    else half_up(full * best / value if lower else full * value / best)
                    for unit, value in values.items()}  # fmt: skip
        mean, own = half_up(sum(values.values(), ZERO) / len(values), 9), {}  # type: Fraction, dict[Any, list[Fraction]]
        for unit, value in values.items():
            own.setdefault(self.kind(unit), []).append(value)
        found = {}
        for unit, value in values.items():
            beside = own[self.kind(unit)]
            theirs = half_up(sum(beside, ZERO) / len(beside), 9)
            found[unit] = self.rules.scaled(item, way, half_up(value * mean / theirs, 9) if theirs > 0 else value)
        return found

    def _table(self, way: Json, full: Fraction, places: int) -> list[Fraction]:  # the points of each place
        step = number(way["step"])
        if way.get("fall", "linear") == "geometric":
            exact = [full]
            while len(exact) < places and exact[-1] * 10**7 > 1:
                exact.append(exact[-1] * (1 - step))
            exact += [ZERO] * (places - len(exact))
        else:
            fall = full * step if way["step"].endswith("%") else step
            exact = [full - fall * n for n in range(places)]
        return [max(ZERO, half_up(points)) for points in exact]

    def _cuts(self, way: Json, units: int) -> list[int]:  # how many stand in the first band, the first two, and so on
        shares, rounding = (
            [number(row[0]) * units for row in way["rows"]],
            self.rules.rule(way, "rounding", "cumulative_half_up"),
        )
        if rounding != "largest_remainder":
            half = Fraction(rounding == "cumulative_half_up", 2)
            return [int(sum(shares[: n + 1], half)) for n in range(len(shares))]
        sizes = [int(share) for share in shares]
        for n in sorted(range(len(shares)), key=lambda n: (sizes[n] - shares[n], n))[: units - sum(sizes)]:
            sizes[n] += 1
        return [sum(sizes[: n + 1]) for n in range(len(sizes))]

    def check_finals(self) -> None:
        """Check everybody's items, parts and final against each other (1)."""
        for unit, row in self.units.items():
            kind, gone = {"category": row["category"], "group": row["unit_group"]}, row["state"] == "left"
            items: dict[str, Fraction | None] = {}
            for code, shown in self.items[unit].items():
                item = self.rules.items[code]
                need(self.rules.applies(item, kind), "cross_unit", code, unit)
                out = shown["state"] == "exempt" and self.rules.exempt(item) == "out"
                out = out and not (gone and self.rules.compares(item))
                items[code] = None if out else number(shown["points"] or "0")
            found, final = self.rules.tree(items, self.rules.zeroed(vetoed(row)))
            reached = {code: text(points) for code, points in found.items()}
            places = int(self.rules.book["final"].get("decimals", 8))
            both = ((reached, self.parts[unit]), (text(final, places), row["final_text"]))
            for name, (mine, theirs) in zip(("parts", "final"), both):  # noqa: B905 - Python 3.8
                need(mine == theirs, *(("result_forged", name, theirs, mine) if unit == self.own.code else (
                    "cross_unit", name, unit)))  # fmt: skip

    def keys(self) -> dict[str, Any]:
        """Return the keys of places of all units that have not left; what is missing is last (7)."""
        mine = {a["code"]: text(self.own.attribute(a["code"])) for a in self.rules.book.get("attribute", [])}
        shown = {code: value for (unit, code), value in self.attributes.items() if unit == self.own.code}
        need(mine == shown, "cross_unit", "attributes", self.own.code)
        found = {}
        for unit, row in self.units.items():
            keys = []
            for name in self.rules.book["final"].get("order", ["final"]):
                code, low = name[name[:1] == "-" :], name[:1] == "-"
                said = row["final"] if code == "final" else self.has(unit, code)
                value = ZERO if said is None else number(said)
                keys.append((said is None, value if low else -value))
            found.update({unit: tuple(keys)} if row["state"] != "left" else {})
        return found

    def has(self, unit: str, code: str) -> str | None:
        """Return what is published of a unit's item, part or attribute."""
        item: str | None = self.items[unit].get(code, {}).get("points")
        return item or self.parts[unit].get(code) or self.attributes.get((unit, code))

    def check_places(self, keys: dict[str, Any]) -> str:
        """Check everybody's place within the category; the unit's own."""
        for category in self.rules.book["category"]:
            of = {unit: key for unit, key in keys.items() if self.units[unit]["category"] == category["code"]}
            found = {unit: str(before + 1) for unit, (before, _) in order(of).items() if category.get("ranked", True)}
            for unit in (u for u, row in self.units.items() if row["category"] == category["code"]):
                place = self.units[unit]["place"]
                need(place == found.get(unit), "place", unit, found.get(unit) or "-", place or "-")
        return self.units[self.own.code]["place"] or "-"

    # -- Grades -------------------------------------------------------------------------------------------------------

    def check_grades(self, keys: dict[str, Any]) -> str:
        """Check quotas, units and ties of every grade of every scheme, and what each unit has; the unit's own."""
        shown = {(row["scheme"], row["pool"], row["grade"]): row for row in self.tables["published_grade"]}
        graded: dict[tuple[str, str], str] = {}
        for scheme in self.rules.book.get("scheme", []):
            for pool, kinds in self.pools(scheme).items():
                members = [u for u in keys if kinds & {self.kind(u), (self.kind(u)[0], None)}]
                for grade, quota, given, cut in self.seated(scheme, members, keys):
                    mine = [None if quota is None else str(quota), self.individuals(grade), given, cut]
                    row = shown.pop((scheme["code"], pool, grade["code"]), None)
                    theirs = row and [row["quota"], row["individuals"], listed(row["units"]), listed(row["undecided"])]
                    need(mine == theirs, "grade", f"{scheme['code']} {pool} {grade['code']}", mine, theirs)
                    graded.update({(unit, scheme["code"]): grade["code"] for unit in given})
        need(not shown, "grade", *(sorted(shown)[:1] or "-"), "-", "-")
        for row in self.tables["published_unit_grade"]:
            found = graded.get((row["unit"], row["scheme"]))
            need(row["grade"] == found, "grade", f"{row['unit']} {row['scheme']}", found or "-", row["grade"] or "-")
        return ", ".join(f"{s} {g}" for (unit, s), g in sorted(graded.items()) if unit == self.own.code) or "-"

    def kind(self, unit: str) -> tuple[str, str]:
        """Return a unit's category and group."""
        return self.units[unit]["category"], self.units[unit]["unit_group"]

    def individuals(self, grade: Json) -> str | None:
        """Return how many individuals each unit of a grade has."""
        said = [
            e.data["value"] for e in self.own.standing("reading.adopted") if e.data["reading"] == "individuals_per_unit"
        ]
        given = [
            each["value"] for each in self.rules.book.get("parameter", []) if each["name"] == "individuals_per_unit"
        ]
        return str(int(["1", *given, *said][-1])) if grade.get("individuals") else None

    def pools(self, scheme: Json) -> dict[str, set[tuple[str, Any]]]:
        """Return each pool with the categories and groups that are in it; None is any group."""
        said, book = self.rules.rule(scheme, "pools", "each"), self.rules.book
        categories = [each["code"] for each in book["category"]]
        if said == "each":
            return {code: {(code, None)} for code in categories}
        if said == "group":
            kinds = {(c, g["code"]) for g in book.get("group", []) for c in categories if g.get("category", c) == c}
            return {f"{c}/{g}": {(c, g)} for c, g in (kinds if "group" in book else map(self.kind, self.units))}
        return {pool: {(code, None) for code in pool.split("+")} for pool in said.split(",")}

    def seated(self, scheme: Json, members: list[str], keys: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        """Yield each grade with its quota, its units in order, and those that are undecided at its cut."""
        grades, tie = scheme["grade"], self.rules.rule(scheme, "tie", "undecided")
        quotas, opened = self.quotas(scheme, len(members)), [
            {unit for unit in members if self.is_open(scheme, n, unit)} for n in range(len(grades))]  # fmt: skip
        line = [sorted(u for u in members if keys[u] == key) for key in sorted({keys[u] for u in members})]
        cuts = {g["code"]: set(cut) for g, (_, cut) in zip(grades, seats(line, quotas, opened, "undecided"))}  # noqa: B905 - Python 3.8
        said = [event.data for event in self.own.standing("tie.resolved")]
        said = [data["units"] for data in said if cuts.get(data["grade"]) == {*data["units"]}]
        ordered = []
        for block in line:
            front = list(dict.fromkeys(unit for units in reversed(said) for unit in units if unit in block))
            ordered += [[unit] for unit in front] + [[unit for unit in block if unit not in front]]
        found = seats([block for block in ordered if block], quotas, opened, tie)
        for grade, quota, (given, cut) in zip(grades, quotas, found):  # noqa: B905 - as above
            yield grade, quota, given, cut if tie == "undecided" else []

    def quotas(self, scheme: Json, members: int) -> list[int | None]:
        """Return the seats of each grade; None is no bound."""
        rules, base, found = self.rules, members, []  # type: Any, int, list[int | None]
        if rules.rule(scheme, "quota_of", "listed") == "listed" and rules.rule(scheme, "pools", "each") not in (
            "each",
            "group",
        ):
            base = sum(row["state"] != "left" for row in self.units.values())
        more = {"floor": ZERO, "half_up": Fraction(1, 2), "ceil": Fraction(10**9 - 1, 10**9)}
        largest = 0
        for grade in scheme["grade"]:
            own = None
            if "number" in grade or "share" in grade:
                share = number(grade.get("share", "0")) * base + more[rules.rule(scheme, "rounding", "floor")]
                own = int(share if "share" in grade else number(grade["number"]))
            less = largest if rules.rule(scheme, "quotas", "disjoint") == "cumulative" else 0
            found.append(None if own is None else max(0, own - less))
            largest = max(largest, own or 0)
        return found

    def is_open(self, scheme: Json, n: int, unit: str) -> bool:
        """Whether a grade is open to a unit: enough points, its conditions met, not barred by a veto."""
        grade, codes = scheme["grade"][n], [each["code"] for each in scheme["grade"]]
        least = number(grade.get("at_least", "0"))
        least *= number(self.rules.book["final"]["points"]) if grade.get("at_least", "")[-1:] == "%" else 1
        met = "at_least" not in grade or number(self.units[unit]["final"]) >= least
        for rule in grade.get("require", []):
            said = self.measures.get((unit, rule["item"], rule["of"])) if "item" in rule else self.has(unit, rule["of"])
            low, high = (number(rule[key]) if key in rule else None for key in ("at_least", "at_most"))
            met = (
                met
                and said is not None
                and (low is None or number(said) >= low)
                and (high is None or number(said) <= high)
            )
        for veto in self.rules.book.get("veto", []):
            most = veto.get("grade_at_most")
            bars = scheme["code"] in veto.get("bars", []) or (most in codes and n < codes.index(most))
            met = met and not (bars and veto["code"] in vetoed(self.units[unit]))
        return bool(met)


def seats(line: list[list[str]], quotas: list[int | None], opened: list[set[str]], tie: str) -> list[tuple[Any, Any]]:
    """Return of each grade, best first, the units that get it in order, and those that its cut goes through."""
    held, owed = [0] * len(line), [set() for _ in line]  # type: list[int], list[set[str]]
    done: set[str] = set()
    found = []
    for quota, able in zip(quotas, opened):  # noqa: B905 - Python 3.8
        left, given, cut = 10**12 if quota is None else quota, [], []  # type: int, list[str], list[str]
        for n, block in enumerate(line):
            fresh = [unit for unit in block if unit in able and unit not in done]
            wants = {*fresh} if tie == "exclude" else {*fresh} | owed[n]
            if wants and left <= 0 and not held[n]:
                break  # a block is served while a seat is left, or it holds some
            if len(wants) - held[n] > left:
                held[n], cut = held[n] + left, sorted(wants)
                owed[n] |= wants
                done |= wants if tie == "undecided" else {*fresh} if tie == "include" else set()
                given += fresh if tie == "include" else []
                break
            if wants:
                left, given = left - max(0, len(wants) - held[n]), given + fresh
                owed[n] -= {*fresh}
                done |= {*fresh}
                held[n], owed[n] = (held[n], owed[n]) if tie == "exclude" and owed[n] else (0, set())
        found.append((given, cut))
    return found
