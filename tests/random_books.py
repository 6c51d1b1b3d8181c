"""Sound random rulebooks (language.md), built so that section 9 finds no fault: of all kinds, readings and shapes.

A draw takes a `random.Random`, so one seed is one rulebook, and Hypothesis may hand in a Random of its own.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

Json = dict[str, Any]
COMPARING = ("rank", "bands", "best", "level")
WEIGHTS = [Fraction(text) for text in ("1", "1", "1", "0.5", "2", "0.7", "0.3", "1.5")]
AMOUNTS = [Fraction(text) for text in ("1", "2", "2.5", "3", "4", "5", "6", "10", "12.5", "20")]


def text(number: Fraction) -> str:
    """A number as the rulebook writes it; it has at most six decimals."""
    scaled = number * 10**6
    assert scaled.denominator == 1, number
    whole, rest = divmod(abs(int(scaled)), 10**6)
    decimals = f"{rest:06d}".rstrip("0")
    return ("-" if number < 0 else "") + str(whole) + ("." + decimals if decimals else "")


def short(number: Fraction) -> bool:
    """Whether a number can be written: at most six decimals."""
    return (number * 10**6).denominator == 1


class BookDraw:
    """One rulebook in the making."""

    def __init__(self, rng: Random, name: str) -> None:
        self.rng, self.count, self.measures = rng, 0, 0
        self.narrowed = 0  # whether what is over the place is for some units only
        self.book: Json = {
            "language": "2", "id": name, "name": "合成细则", "document": "合成",
            "final": {}, "category": [], "group": [],
            "attribute": [], "office": [], "roles": {}, "period": [], "part": [], "item": [], "scheme": [], "veto": [],
            "stage": [], "reading": [], "parameter": [],
        }  # fmt: skip

    # --- small draws

    def chance(self, percent: int) -> bool:
        return self.rng.randrange(100) < percent

    def one(self, values: Any) -> Any:
        return self.rng.choice(list(values))

    def code(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def named(self, code: str, **more: Any) -> Json:
        return {"code": code, "name": f"名{code}", **more}

    def some(self, values: list[str], least: int = 1) -> list[str]:
        return sorted(self.rng.sample(values, self.rng.randint(least, len(values))))

    def choice(self, values: list[str], topic: str, percent: int = 30) -> str:
        """A value, or a reading of two or more of them."""
        if len(values) < 2 or not self.chance(percent):
            return str(self.one(values))
        picked = self.rng.sample(values, self.rng.randint(2, len(values)))
        name = f"{topic}_{len(self.book['reading']) + 1}"
        for reading in self.book["reading"]:
            if sorted(reading["values"]) == sorted(picked) and self.chance(50):
                return "@" + str(reading["name"])
        reading = {"name": name, "question": "？", "values": picked}
        if self.chance(40):
            reading["source"] = "assumption"
        self.book["reading"].append(reading)
        return "@" + name

    # --- the whole

    def draw(self) -> Json:
        book = self.book
        book["office"] = [self.named(f"o{n}") for n in range(1, self.rng.randint(3, 5))] + [self.named("col")]
        self.offices = [row["code"] for row in book["office"]]
        self.draw_who()
        book["roles"] = {"collector": "col"}
        if self.chance(80):
            book["roles"]["appeals"] = self.one(self.offices)
        if self.chance(50):
            book["roles"]["approvals"] = self.one(self.offices)
        values = [f"2013-{n:02d}" for n in range(1, self.one([3, 5, 6]))]
        book["period"] = [{"code": "month", "values": values}] if self.chance(60) else []
        book["stage"] = [self.named(f"st{n}") for n in range(self.rng.randrange(3))]
        book["parameter"] = [
            {"name": name, "value": str(self.rng.randrange(20)), **self.one([{}, {"source": "assumption"}])}
            for name in ("publicity_days", "individuals_per_unit") if self.chance(40)
        ]  # fmt: skip
        self.draw_tree()
        self.draw_order()
        for _ in range(self.one([0, 1, 1, 2])):
            self.draw_scheme()
        for _ in range(self.one([0, 0, 1, 2])):
            self.draw_veto()
        if self.chance(10):
            book["signatures"] = "required"
        return {key: value for key, value in book.items() if value not in ([], {})}

    def draw_who(self) -> None:
        """Categories, groups and attributes."""
        book = self.book
        self.categories = ["A", "B", "C"][: self.one([1, 2, 2, 3])]
        for n, code in enumerate(self.categories):
            row = self.named(code)
            if n and self.chance(25):
                row["ranked"] = False
            book["category"].append(row)
        if self.chance(55):
            book["group"] = [self.named(f"g{n}") for n in range(1, self.rng.randint(2, 4))]
            if self.chance(40):
                book["group"].append(self.named("gB", category=self.one(self.categories)))
        for n in range(self.one([0, 0, 1, 2, 3])):
            low, high = self.one([("0", "100"), ("0.5", "2"), ("-5", "5"), ("0", "1"), ("1", "40")])
            row = self.named(f"at{n}", min=low, max=high)
            if self.chance(60):
                row["default"] = self.one([low, high, "1"])
            if self.chance(40):
                row["offices"] = self.some(self.offices)
            book["attribute"].append(row)

    # --- the tree

    def draw_tree(self) -> None:
        """The top level, from which the final's points and times follow."""
        total = Fraction(0)
        for _ in range(self.one([1, 1, 2, 3])):
            weight, points = self.one(WEIGHTS), self.one(AMOUNTS) * self.one([1, 2])
            self.part(None, points, weight, 1, {}, under_rescale=False)
            total += weight * points
        times = self.one([Fraction(1), Fraction(1), Fraction(1, 10), Fraction(2)])
        decimals = self.one(["8", "8", "4", "2", "1"])
        if not short(total * times):
            times = Fraction(1)
        final: Json = {"points": text(total * times)}
        if times != 1:
            final["times"] = text(times)
        if decimals != "8" and (total * times * 10 ** int(decimals)).denominator == 1:
            final["decimals"] = decimals
        self.book["final"] = final

    def part(
        self, above: str | None, points: Fraction, weight: Fraction, level: int, applies: Json, *, under_rescale: bool
    ) -> None:
        code = self.code("P")
        combine = self.one(["sum", "sum", "sum", "sum", "mean", "max", "rescale", "rescale"])
        row = self.named(code, points=text(points))
        self.set(row, above, weight, applies)
        if combine != "sum":
            row["combine"] = combine
        if self.chance(10) and points > 1:
            row["at_least"] = "1"
        if self.chance(15):
            row["at_most"] = text(points)
        self.decimals(row, points)
        self.book["part"].append(row)
        under = under_rescale or combine == "rescale"
        if combine == "sum":
            self.shares(code, points, level, under_rescale=under)
        else:
            for _ in range(self.rng.randint(1, 3)):
                own = self.one([w for w in WEIGHTS if short(points / w)])
                amount = points if combine != "rescale" else self.one(AMOUNTS) * own
                self.slot(code, amount / own, own, level, under_rescale=under)

    def shares(self, code: str, points: Fraction, level: int, *, under_rescale: bool) -> None:
        """The children of a sum part, which come to its points; and now and then one beyond them, of points "0"."""
        left = points
        for _ in range(self.rng.randrange(3)):
            weight, amount = self.one(WEIGHTS), self.one(AMOUNTS)
            if weight * amount < left:
                self.slot(code, amount, weight, level, under_rescale=under_rescale)
                left -= weight * amount
        self.slot(code, left, Fraction(1), level, under_rescale=under_rescale)
        if self.chance(25):
            self.beyond(code)

    def slot(self, above: str, points: Fraction, weight: Fraction, level: int, *, under_rescale: bool) -> None:
        """One place of the tree: one node for all units, or another one for each category or group."""
        groups = [row["code"] for row in self.book["group"]]
        if self.narrowed:
            split: list[Json] = [{}]
        elif len(self.categories) > 1 and self.chance(20):
            cut = self.rng.randint(1, len(self.categories) - 1)
            split = [{"categories": self.categories[:cut]}, {"categories": self.categories[cut:]}]
        elif len(groups) > 1 and self.chance(20):
            split = [{"groups": groups[:1]}, {"groups": groups[1:]}]
        else:
            split = [{}]
        for applies in split:
            if level < 4 and self.chance(22):
                self.narrowed += bool(applies)
                self.part(above, points, weight, level + 1, applies, under_rescale=under_rescale)
                self.narrowed -= bool(applies)
            else:
                self.item(above, points, weight, applies, under_rescale=under_rescale)

    def set(self, row: Json, above: str | None, weight: Fraction, applies: Json) -> None:
        if above is not None:
            row["in"] = above
        if weight != 1:
            row["weight"] = text(weight)
        if applies:
            row["applies"] = applies

    def decimals(self, row: Json, points: Fraction) -> None:
        """Fewer decimals, in which the full points are exact, a method's own too."""
        decimals = self.one(["6", "6", "6", "2", "1", "0"])
        full = [points, *(Fraction(method.get("points", 0)) for method in row.get("method", ()))]
        if decimals != "6" and all((one * 10 ** int(decimals)).denominator == 1 for one in full):
            row["decimals"] = decimals

    # --- items

    def item(self, above: str, points: Fraction, weight: Fraction, applies: Json, *, under_rescale: bool) -> None:
        row = self.named(self.code("I"), points=text(points))
        self.set(row, above, weight, applies)
        row["offices"] = self.rng.sample(self.offices, self.one([1, 1, 1, 2]))
        if self.chance(50):
            row["clause"] = f"{self.rng.randint(1, 9)}({row['code']})"
        exempts = ["proportional", "full"] + (["out", "out"] if under_rescale else [])
        if self.chance(45):
            self.entries(row, points)
            exempts += ["start"] if row.get("start") == "0" else []
        else:
            self.ratings(row, points)
        if self.chance(50):
            row["exempt"] = self.one(exempts)
        self.decimals(row, points)
        if self.chance(15):
            row["characters"] = "100"
        self.book["item"].append(row)

    def beyond(self, above: str) -> None:
        """A bonus or a deduction beside the points of its part, or a measured number that only orders."""
        row = self.named(self.code("I"), points="0", offices=[self.one(self.offices)])
        row["in"] = above
        kind = self.one(["bonus", "deduction", "number"])
        if kind == "number":
            row |= {"input": "ratings", "range": {"min": "0", "max": "9"}, "at_most": self.one(["3", "9"])}
            row["method"] = [{"code": "m", "kind": "direct"}]
        else:
            row |= {"input": "entries", "start": "0"}
            row |= {"at_most": "3"} if kind == "bonus" else {"at_least": "-3", "at_most": "0"}
            ground = self.named("gr0", points=self.one(["1", "0.5", "2"]))
            row["ground"] = [{**ground, "adds": True} if kind == "bonus" else ground]
        self.book["item"].append(row)

    def entries(self, row: Json, points: Fraction) -> None:
        row["input"] = "entries"
        start = self.one(["full", "full", "full", "0"])
        if start == "0":
            row["start"] = "0"
        row["matter"] = self.choice(["each", "chain", "sum"], "matter")
        always_each = row["matter"] == "each"
        signs = self.one([[False], [False], [False, True]]) if start == "full" else self.one([[True], [True, False]])
        row["ground"] = [ground for adds in signs for ground in self.grounds(points, adds=adds, alone=always_each)]
        offices = row["offices"]
        if signs == [False] and len(offices) == 2 and short(points / 2) and self.chance(60):
            row["purse"] = self.choice(["shared", "separate"], "purse", 50)
            row["share"] = {office: text(points / 2) for office in offices}
            if row["purse"] == "shared":
                del row["purse"], row["share"]
        elif self.chance(30):
            self.nodes(row, points)
        if not {"share", "node"} & row.keys() and start == "full" and self.chance(25):
            row["at_least"] = self.one(["0", "-2", "none", text(points / 2) if short(points / 2) else "0"])
        if start == "full" and True in signs and row.get("at_least") != "none":
            self.sound_bonuses(row, points - Fraction(row.get("at_least", "0")))
        if row["matter"] == "each":
            del row["matter"]

    def sound_bonuses(self, row: Json, room: Fraction) -> None:
        """Where any deduction takes more than there is, a bonus after it may count 0, and is refused: none then."""
        by_code = {one["code"]: one for one in row["ground"]}

        def least(one: Json) -> Fraction:
            own = Fraction(one.get("points") or one.get("min") or "0")
            return own + (least(by_code[one["requires"]]) if "requires" in one else 0)

        if all(least(one) > room for one in row["ground"] if "adds" not in one):
            row["ground"] = [one for one in row["ground"] if "adds" not in one]

    def grounds(self, points: Fraction, *, adds: bool, alone: bool) -> list[Json]:
        """One to three grounds of one sign: fixed, a range from or above, by step, in branches, one after another."""
        rows: list[Json] = []
        for n in range(self.rng.randint(1, 3)):
            row = self.named(f"{'b' if adds else 'd'}{n}")
            shape = self.rng.randrange(3)
            if shape == 0:
                row["points"] = self.one(["1", "0.5", "2", "3", "0.25"])
            else:
                row |= (
                    {"min": "0.5", "max": "2"} if shape == 1 else {"above": "0", "max": self.one(["2", text(points)])}
                )
                step = self.one([None, "0.5", "0.1"]) if row["max"] == "2" else None
                row |= {"step": step} if step else {}
            if adds:
                row["adds"] = True
            if not alone and self.chance(40):
                row["branch"] = self.one(["x", "y"])
            if not alone and rows and self.chance(25) and "requires" not in rows[-1]:
                row["requires"] = rows[-1]["code"]
                row["branch"] = rows[-1].setdefault("branch", "x")
            if self.chance(15):
                row["approval"] = True
            rows.append(row)
        return rows

    def nodes(self, row: Json, points: Fraction) -> None:
        """Nodes whose caps come to the points, two of them under one cap."""
        cap = points / 2
        if short(cap):
            row["node"] = [
                self.named("n1", cap=text(cap)),
                self.named("n2", cap=text(cap), cap_group="q"),
                self.named("n3", cap=text(cap), cap_group="q"),
            ]

    # --- ratings

    def ratings(self, row: Json, points: Fraction) -> None:
        row["input"] = "ratings"
        run = self.draw_runs(row, points)
        shape = self.one(["range", "range", "range", "measures", "attributes"])
        attributes = [one["code"] for one in self.book["attribute"]]
        if shape == "attributes" and (len(attributes) < 2 or "runs" in row):
            shape = "range"
        if shape == "range":
            row["range"] = self.one(
                [{"min": "0", "max": "100"}, {"min": "0", "max": text(points)}, {"min": "-10", "max": "50"}]
            )
            if Fraction(row["range"]["max"]) < points:
                row["range"] = {"min": "0", "max": "100"}
            top = Fraction(row["range"]["max"])
            if self.chance(20):
                top = self.range_formula(row, top)
        elif shape == "measures":
            top = self.measure_formula(row, run)
        else:
            row["range"] = {"min": "0", "max": "10"}
            one, two = self.rng.sample(attributes, 2)
            row["formula"] = [{"plus": one, "less": two} if self.chance(50) else {"plus": one, "ratio_to": two}]
            top = Fraction(0)  # nothing is sure, so only what compares is sound
        if shape != "attributes":
            self.draw_panel(row)
        self.draw_methods(row, run, top)
        if self.chance(25) and run > 1:
            row["at_least"] = self.one(["0", "0.5", "-3", "none"])
        if self.chance(30):
            row["missing"] = "0"

    def draw_runs(self, row: Json, points: Fraction) -> Fraction:
        """Whether it is rated by period or case; the full points of a run."""
        if self.book["period"] and self.chance(25):
            row["runs"] = "month"
            n = len(self.book["period"][0]["values"])
            row["over"] = self.one(["mean", "best", "latest", "sum"])
            if row["over"] == "sum" and not short(points / n):
                row["over"] = "mean"
            return points / n if row["over"] == "sum" else points
        if self.chance(15):
            row["runs"] = "case"
            row["over"] = self.one(["mean", "best"])
        return points

    def range_formula(self, row: Json, top: Fraction) -> Fraction:
        """A formula of the value itself, perhaps with an attribute; the best that it may come to."""
        term: Json = {"plus": "value"}
        if self.chance(40):
            term |= {"less": "1", "times": "2"}
        row["formula"] = [term]
        factor = [
            one["code"] for one in self.book["attribute"] if Fraction(one["min"]) >= 0 and Fraction(one["max"]) >= 1
        ]
        if factor and self.chance(50):
            row["factor"] = self.one(factor)
        return (top - 1) * 2 if "less" in term else top

    def measure_formula(self, row: Json, run: Fraction) -> Fraction:
        """A formula of one to three measures."""
        best, rows, terms = Fraction(0), [], []
        for n in range(self.rng.randint(1, 3)):
            self.measures += 1
            code = f"me{self.measures}"
            measure = self.named(code)
            high = Fraction(1)
            if self.chance(25):
                measure["binary"] = True
            elif self.chance(30):
                measure |= {"min": self.one(["0", "-2"]), "max": "10"}
                high = Fraction(10)
            rows.append(measure)
            times = self.one([run, Fraction(1), Fraction(2)])
            terms.append({"plus": code, "times": text(times)})
            best += high * times
            if n and self.chance(30):
                terms[-1:] = [{"plus": rows[n - 1]["code"], "ratio_to": code, "within": "1"}]
                best += 1 - high * times
        if best < run:
            terms[0]["times"] = text(run)
            best = run
        row |= {"measure": rows, "formula": terms}
        return best if all("ratio_to" not in term for term in terms) else Fraction(terms[0]["times"])

    def draw_panel(self, row: Json) -> None:
        row["panel"] = self.choice(["plain", "trimmed", "latest"], "panel")
        if self.chance(30):
            row["raters"] = [self.named(f"ra{n}") for n in range(1, self.rng.randint(3, 4))]
            if self.chance(70):
                sizes = [["50", "30", "1"], ["1", "2", "3"], ["2", "1", "7"]]
                options = ["/".join(size[: len(row["raters"])]) for size in sizes]
                row["weights"] = self.choice(options, "weights")

    def draw_methods(self, row: Json, run: Fraction, top: Fraction) -> None:
        """One method, or two with `scoring` by a reading."""
        simple = ["direct", "scale", "table"] if top >= max(run, Fraction(1)) else []
        kinds = simple if row.get("runs") == "case" else simple * 2 + list(COMPARING[: 4 if top > 0 else 3])
        if not kinds or (row.get("runs") == "case" and not simple):
            kinds = ["rank"]
            row.pop("runs", None)
            row.pop("over", None)
        number = self.one([1, 1, 1, 2])
        row["method"] = [self.method(row, f"m{n}", self.one(kinds), run, top, first=n == 0) for n in range(number)]
        if number == 2:
            name = f"scoring_{len(self.book['reading']) + 1}"
            row["scoring"] = "@" + name
            self.book["reading"].append({"name": name, "question": "？", "values": ["m0", "m1"]})
        elif self.chance(15) and row["method"][0]["kind"] == ("direct" if "formula" in row else "scale"):
            bare = {key: value for key, value in row["method"][0].items() if key not in ("code", "kind")}
            if not bare:
                del row["method"]

    def method(self, row: Json, code: str, kind: str, run: Fraction, top: Fraction, *, first: bool) -> Json:
        found: Json = {"code": code, "kind": kind}
        if not first and kind == "scale" and self.chance(50) and short(run * Fraction(3, 4)):
            found["points"] = text(run * Fraction(3, 4))
        if kind in ("scale", "level") and ("measure" in row or "formula" in row or self.chance(30)):
            found["of"] = text(self.one([top, top / 2]) if top > 0 else Fraction(1))
        if kind == "table":
            half = text(run / 2) if short(run / 2) else "0"
            found["rows"] = [["0", "0"], [text(top / 4), half], [text(top / 2), text(run)]]
            if self.chance(50):
                found["between"] = "straight"
        if kind in COMPARING:
            found["pool"] = self.choice(["all", "category", "group"], "pool")
            if kind != "level" and self.chance(30):
                found["better"] = "lower"
        if kind == "rank":
            self.rank(row, found)
        if kind == "bands":
            found["rounding"] = self.choice(["cumulative_half_up", "cumulative_floor", "largest_remainder"], "rounding")
            found["rows"] = self.bands(run)
        return found

    def rank(self, row: Json, found: Json) -> None:
        found["step"] = self.one(["3%", "0.1", "0.5", "5%", "12.5%"])
        if found["step"].endswith("%") and self.chance(40):
            found["fall"] = "geometric"
        found["ties"] = self.choice(["better", "average"], "ties")
        plain = row.get("panel", "plain") in ("plain", "trimmed") and "range" in row
        if plain and not {"raters", "runs", "formula"} & row.keys() and self.chance(30):
            found["per"] = "rater"

    def bands(self, run: Fraction) -> list[list[str]]:
        shares = self.one([["20%", "50%", "30%"], ["50%", "50%"], ["33%", "33%", "34%"], ["10%", "40%", "40%", "10%"]])
        points = [run * part for part in (Fraction(1), Fraction(1, 2), Fraction(1, 4), Fraction(0))]
        return [
            [share, text(at if short(at) else Fraction(0)), f"band{n}"]
            for n, (share, at) in enumerate(zip(shares, points, strict=False))
        ]

    # --- places, schemes, vetoes

    def draw_order(self) -> None:
        keys = ["final"]
        extra = [row["code"] for table in ("item", "part", "attribute") for row in self.book[table]]
        for key in self.rng.sample(extra, min(len(extra), self.one([0, 0, 0, 1, 2]))):
            keys.insert(self.rng.randint(0, len(keys)), self.one(["", "-"]) + key)
        if keys != ["final"]:
            self.book["final"]["order"] = keys

    def draw_scheme(self) -> None:
        n = len(self.book["scheme"]) + 1
        own = ["each", "group", self.categories[0], ",".join(self.categories), "+".join(self.categories)]
        row = self.named(f"s{n}", pools=self.choice(list(dict.fromkeys(own)), "pools"))
        row["quota_of"] = self.choice(["listed", "eligible"], "base")
        row["rounding"] = self.choice(["floor", "half_up", "ceil"], "whole")
        row["quotas"] = self.choice(["disjoint", "cumulative"], "shape")
        row["tie"] = self.choice(["undecided", "include", "exclude"], "tie", 40)
        shares = self.one([["20%", "30%", "50%"], ["10%", "20%", "40%"], ["33.3%", "33.3%", "33.4%"]])
        row["grade"] = [self.grade(f"s{n}g{m}", share, m) for m, share in enumerate(shares[: self.rng.randint(1, 3)])]
        self.book["scheme"].append(row)

    def grade(self, code: str, share: str, m: int) -> Json:
        row = self.named(code)
        kind = self.one(["share", "share", "number", "none"]) if m else self.one(["share", "number"])
        if kind != "none":
            row[kind] = share if kind == "share" else str(self.rng.randint(1 + 2 * m, 2 + 2 * m))
        if self.chance(30):
            row["at_least"] = self.one(["50%", "75%", "1", "90%"])
        if self.chance(25):
            row["require"] = [self.condition()]
        if self.chance(40):
            row["individuals"] = True
        return row

    def condition(self) -> Json:
        rows = [row for row in self.book["item"] if row["input"] == "ratings" and "runs" not in row]
        if rows and self.chance(40):
            row = self.one(rows)
            of = self.one([one["code"] for one in row.get("measure", [])] or ["value"])
            return {"of": of, "item": row["code"], "at_least": self.one(["0.5", "1"])}
        codes = [row["code"] for table in ("item", "part", "attribute") for row in self.book[table]]
        return {"of": self.one(codes), self.one(["at_least", "at_most"]): self.one(["1", "2", "0.5"])}

    def draw_veto(self) -> None:
        row = self.named(f"v{len(self.book['veto']) + 1}", offices=self.some(self.offices))
        grades = [grade["code"] for scheme in self.book["scheme"] for grade in scheme["grade"]]
        nodes = [one["code"] for table in ("item", "part") for one in self.book[table]]
        if grades and self.chance(40):
            row["grade_at_most"] = self.one(grades)
        if grades and self.chance(40):
            row["bars"] = [self.one(self.book["scheme"])["code"]]
        if self.chance(50) or not {"grade_at_most", "bars"} & row.keys():
            row["zero"] = self.one(nodes)
        if self.chance(50):
            row["clause"] = "七"
        self.book["veto"].append(row)


def draw_book(rng: Random, name: str = "made-up") -> Json:
    """A sound rulebook."""
    return BookDraw(rng, name).draw()
