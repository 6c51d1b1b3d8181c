"""Made-up years of a rulebook (language 9): they compute, grounds count, the best input is full, the worst the least.

One fold is enough. Each item is there once more for the defaults and for each other value of each of its readings,
under a part that weighs nothing: on these every ground, the best and the worst input are tried. The items themselves
stand in the tree with the best of all, so that the final must come to its points.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from schemas import soundness
from schemas.events import CHANGES, Event
from schemas.faults import Fault, Place, quoted
from schemas.roster import Unit
from schemas.rulebook import COMPARING, Ground, Item, Method, Rulebook, Term, bound, number, plain
from schemas.sound_tree import UnitKind, kinds, of_kind
from services.ingest.check import Checker
from services.scorer import rules, store
from services.scorer.admission import admit

#: The smallest amount that the wire can say.
LEAST = Decimal("0.000001")
#: So many units, entries of one unit and corners of a formula are tried; what would need more is not claimed.
UNITS, ENTRIES, CORNERS = 250, 400, 16
#: Rulebooks whose years were computed lately are not computed again.
KEPT = 64
_told: "OrderedDict[str, list[Fault]]" = OrderedDict()


def load(path: Path) -> Rulebook:
    """Read a rulebook.toml, check it, and compute its made-up years; raises RulebookError with all faults."""
    return soundness.load(path, faults_of_rehearsal)


def accept(raw: Any) -> Rulebook:
    """The same for a plain object, as of an `assessment.opened`."""
    return soundness.read(raw, faults_of_rehearsal)


def faults_of_rehearsal(book: Rulebook) -> list[Fault]:
    """What goes wrong in the made-up years of a rulebook that is sound otherwise; of one content computed once."""
    key = hashlib.sha256(json.dumps(plain(book), sort_keys=True).encode()).hexdigest()
    if key not in _told:
        _told[key] = _Rehearsal(book).faults()
        while len(_told) > KEPT:
            _told.popitem(last=False)
    _told.move_to_end(key)
    return _told[key]


@dataclass
class _Trial:
    """An item as it is tried: under the defaults, or with one reading at another value."""

    code: str
    item: Item
    base: Item
    under: tuple[str, str] | None
    rep: int
    method: Method | None
    bottom: bool = True
    grounds: dict[int, Ground] = field(default_factory=dict)
    """The entries that must count, by their sequence."""

    @property
    def compares(self) -> bool:
        return self.method is not None and self.method.kind in COMPARING


class _Rehearsal:
    """One made-up year: its rulebook, units and events."""

    def __init__(self, book: Rulebook) -> None:
        self.book = book
        self.defaults = {name: values[0] for name, values in book.readings.items()}
        self.reps = _representatives(book)
        self.attributes = _assignments(book)
        self.units: dict[str, Unit] = {}
        self.events: list[dict[str, Any]] = []
        self.trials, raw = self._tried()
        self.made = msgspec.convert(raw, Rulebook)

    # What is tried --------------------------------------------------------------------------------------------------

    def _tried(self) -> tuple[list[_Trial], dict[str, Any]]:
        """The rulebook with each item once more for every value that its readings may have."""
        raw = deepcopy(plain(self.book))
        taken = {node["code"] for node in (*raw.get("part", ()), *raw["item"])}
        taken |= {one.code for item in self.book.item for one in item.measure} | {a.code for a in self.book.attribute}
        part = next(f"tried-{n}" for n in range(len(taken) + 1) if f"tried-{n}" not in taken)
        trials = []
        for n, (item, table) in enumerate(zip(self.book.item, plain(self.book)["item"], strict=True)):
            rep = next((r for r, kind in enumerate(self.reps) if item.code in of_kind(self.book, kind)), None)
            if rep is None:
                continue
            for m, under in enumerate(self._under(table)):
                values = self.defaults | (dict([under]) if under else {})
                tried = _decided(table, values) | {"code": f"{part}.{n}.{m}", "in": part, "weight": "1"}
                raw["item"].append(tried)
                made = msgspec.convert(tried, Item)
                trials.append(_Trial(made.code, made, item, under, rep, _in_force(made)))
        raw["signatures"] = "optional"
        raw.pop("out_of_line", None)
        raw["part"] = [*raw.get("part", ()), {"code": part, "name": part, "points": "0", "weight": "0"}]
        for table in raw["item"][: len(self.book.item)]:  # in the tree many are the best, which no tie may spoil
            for method in table.get("method", ()):
                method.pop("ties", None)
        raw["scheme"] = [one for scheme in raw.get("scheme", ()) for one in self._schemes(scheme)]
        raw["reading"] = [one for one in raw.get("reading", ()) if f'"@{one["name"]}"' in json.dumps(raw)]
        return trials, raw

    def _under(self, table: dict[str, Any]) -> Iterator[tuple[str, str] | None]:
        """The defaults, then each other value of each reading that the table names."""
        yield None
        named = json.dumps(table)
        for name, values in self.book.readings.items():
            if f'"@{name}"' in named:
                yield from ((name, value) for value in values[1:])

    def _schemes(self, scheme: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """A scheme, and once more for each other value of its readings, with grades of other codes."""
        yield scheme
        for n, under in enumerate(self._under(scheme)):
            if under:
                made = _decided(scheme, self.defaults | dict([under]))
                made["code"] = f"{scheme['code'][:50]}.tried-{n}"
                made["grade"] = [one | {"code": f"{one['code'][:50]}.tried-{n}"} for one in made["grade"]]
                yield made

    # Events ---------------------------------------------------------------------------------------------------------

    def _unit(self, name: str, rep: int, attributes: int = 0) -> str:
        code = f"tried-{name}"
        kind = self.reps[rep]
        self.units.setdefault(code, Unit(code, code, kind.category, kind.group, self.attributes[attributes]))
        return code

    def _send(self, type_: str, source: str, subject: str, **data: Any) -> int:
        """Add an event; its sequence."""
        number_ = len(self.events) + 1
        self.events.append({
            "specversion": "1.0", "id": str(number_), "source": source, "type": type_, "subject": subject,
            "time": "2000-01-01T00:00:00Z", "data": {key: value for key, value in data.items() if value is not None},
        })  # fmt: skip
        return number_

    def _entry(self, item: Item, ground: Ground, unit: str, matter: str, *, most: bool = True, **more: Any) -> int:
        """Add an entry on a ground, of its most or least points, and its approval."""
        office = more.get("office") or item.offices[0]
        points = None if ground.points is not None else _plain(more.get("points") or _amount(ground, most=most))
        node = more.get("node") or (item.node[0].code if item.node else None)
        seq = self._send(
            "bonus.recorded.v1" if ground.adds else "deduction.recorded.v1", f"/offices/{office}", unit, item=item.code,
            matter=matter, ground=ground.code, points=points, node=node, reason="-",
        )  # fmt: skip
        if ground.approval:
            target = {"source": f"/offices/{office}", "id": str(seq)}
            source = f"/offices/{self.book.approvals}"
            self._send("approval.recorded.v1", source, unit, target=target, outcome="approved", reason="-")
        return seq

    def _with_required(self, item: Item, ground: Ground, unit: str, matter: str, **more: Any) -> int:
        """Add an entry after those that it requires, each of its least points."""
        for one in reversed(_required(item, ground)):
            self._entry(item, one, unit, matter, most=False, **{**more, "points": None})
        return self._entry(item, ground, unit, matter, **more)

    def _grounds(self, trial: _Trial) -> None:
        """Every ground at every node, each on a unit of which nothing else is known (a bonus: after a deduction)."""
        item = trial.item
        start, low = number(item.points) or Decimal(0), _low(item)
        room = None if low is None else start - low
        rooms = [None if room is None else room - _least(_required(item, one)) for one in item.ground]
        deductions = [(_up_to(one, rooms[n]), n) for n, one in enumerate(item.ground) if not one.adds]
        first = max(deductions, default=None)
        nodes: list[str | None] = [*(node.code for node in item.node)] or [None]
        for n, (ground, node) in enumerate(product(item.ground, nodes)):
            unit = self._unit(f"g{trial.rep}-{n}", trial.rep)
            if ground.adds and item.start != "0" and first is not None:
                self._with_required(item, item.ground[first[1]], unit, "before", node=node, points=abs(first[0]))
            trial.grounds[self._with_required(item, ground, unit, "then", node=node)] = ground

    def _to_bound(self, item: Item, unit: str, wanted: Decimal, *, adds: bool) -> bool:
        """Add entries of one sign until they come to so much; whether there are not too many."""
        grounds = [one for one in item.ground if one.adds == adds]
        if not grounds or wanted <= 0:
            return True
        ground = max(grounds, key=lambda one: (one.requires is None, _amount(one)))
        caps = _caps(item)
        parts: list[tuple[str | None, str | None, Decimal]]
        if item.share and item.purse == "separate":
            parts = [(office, None, number(share) or Decimal(0)) for office, share in item.share.items()]
        elif caps:
            parts = [(None, node, min(cap, wanted)) for node, cap in caps.items()]
        else:
            parts = [(None, None, wanted)]
        counts = [int((much / _amount(ground)).to_integral_value(ROUND_CEILING)) for _, _, much in parts]
        if sum(counts) > ENTRIES:
            return False
        for (office, node, _), count in zip(parts, counts, strict=True):
            for n in range(count):
                self._with_required(item, ground, unit, f"{office}{node}{n}", office=office, node=node)
        return True

    def _rate(self, item: Item, unit: str, values: dict[str, Decimal]) -> None:
        """Rate a unit in every group and run."""
        runs: list[dict[str, str]] = [{}]
        if item.runs is not None:
            of_period = [{"period": value} for value in self.book.periods.get(item.runs, ())]
            runs = [{"case": "tried"}] if item.runs == "case" else of_period
        groups: list[str | None] = [*(one.code for one in item.raters)] or [None]
        for run, group, (name, value) in product(runs, groups, values.items()):
            measure = name if item.measure else None
            self._send(
                "rating.recorded.v1", f"/offices/{item.offices[0]}", unit, item=item.code, value=_plain(value),
                rater="tried", group=group, measure=measure, **run,
            )  # fmt: skip

    def _best(self, trial: _Trial) -> None:
        """What may be the best: of a kind that compares one unit above the rest, else every corner of the values."""
        corners = _corners(trial.item, trial.method)
        if not trial.compares:
            for a, (n, values) in product(range(len(self.attributes)), enumerate(corners)):
                self._rate(trial.item, self._unit(f"c{trial.rep}-{a}-{n}", trial.rep, a), values)
            return
        top = len(self.attributes) - 1
        self._rate(trial.item, self._unit(f"c{trial.rep}-{top}-0", trial.rep, top), corners[0])
        for n in range(_crowd(trial.method) - 1):
            self._rate(trial.item, self._unit(f"f{trial.rep}-{n}", trial.rep), corners[-1])

    def _best_of_all(self) -> None:
        """For each kind of unit, under each assignment of attributes, the best input of every item that has points."""
        for rep, kind in enumerate(self.reps):
            has = of_kind(self.book, kind)
            for item in self.book.item:
                if item.code not in has or number(item.points) == 0:
                    continue
                decided = msgspec.convert(_decided(msgspec.to_builtins(item), self.defaults), Item)
                method = _in_force(decided)
                for a in range(len(self.attributes)):
                    unit = self._unit(f"b{rep}-{a}", rep, a)
                    if item.entries:
                        start = Decimal(0) if item.start == "0" else number(item.points) or Decimal(0)
                        self._to_bound(decided, unit, (number(item.points) or Decimal(0)) - start, adds=True)
                    else:
                        self._rate(decided, unit, _corners(decided, method)[0])
                for n in range(_crowd(method) - 1 if method and method.kind == "bands" and not item.entries else 0):
                    self._rate(decided, self._unit(f"f{rep}-{n}", rep), _corners(decided, method)[-1])

    def _of_each_kind(self) -> None:
        """One event of each other kind, on a unit of its own; closings, stages and changes at the end."""
        book, collector = self.book, f"/offices/{self.book.roles.collector}"
        unit = self._unit("z", 0)
        has = of_kind(book, self.reps[0])
        for item in (one for one in book.item if one.code in has):
            office = f"/offices/{item.offices[0]}"
            if item.characters is not None:
                self._send("submission.recorded.v1", office, unit, item=item.code, characters=0)
            self._send("item.exempted.v1", office, unit, item=item.code, reason="-")
        for attribute, given in zip(book.attribute, self.attributes[-1].values(), strict=True):
            source = f"/offices/{(attribute.offices or (book.roles.collector,))[0]}"
            self._send("fact.recorded.v1", source, unit, attribute=attribute.code, value=given, reason="-")
        for veto in book.veto:
            self._send("veto.recorded.v1", f"/offices/{veto.offices[0]}", unit, veto=veto.code, reason="-")
        for item in book.item:
            for office in item.offices:
                self._send("item.closed.v1", f"/offices/{office}", "assessment", item=item.code)
        for stage in book.stage:
            self._send("stage.reached.v1", collector, "assessment", stage=stage.code)
        self._send("unit.changed.v1", collector, unit, change="left", reason="-")

    # The fold -------------------------------------------------------------------------------------------------------

    def faults(self) -> list[Fault]:
        """Compute the year; what it shows."""
        bounded: dict[str, bool] = {}
        for trial in self.trials:
            item = trial.item
            if item.entries:
                self._grounds(trial)
                start = Decimal(0) if item.start == "0" else number(item.points) or Decimal(0)
                low = _low(item)
                unit = self._unit(f"w{trial.rep}", trial.rep)
                bounded[trial.code] = low is not None and self._to_bound(item, unit, start - low, adds=False)
                full = number(item.points) or Decimal(0)
                much = (full + LEAST if item.at_most == "none" else bound(item.at_most, full) or start) - start
                trial.bottom = self._to_bound(item, self._unit(f"c{trial.rep}-0-0", trial.rep), much, adds=True)
            else:
                self._best(trial)
        self._best_of_all()
        self._of_each_kind()
        try:
            with store.connect() as con:
                refused = self._fold(con)
                return refused or [*self._wrong(con, bounded)]
        except duckdb.Error as error:
            return [Fault(Place(), None, "made_up_breaks", (str(error).splitlines()[0],))]

    def _fold(self, con: duckdb.DuckDBPyConnection) -> list[Fault]:
        """Check and admit the events; what intake refuses of them."""
        units = [*self.units.values()]
        checker = Checker(self.made, units)
        rules.create_tables(con)
        rules.load_rulebook(con, self.made, units)
        found: list[Event] = []
        raws = [msgspec.json.encode(event) for event in self.events]
        for raw in raws:
            event = checker.check(raw)
            if not isinstance(event, Event):
                return [Fault(Place(), None, "made_up_refused", (raw.decode(), event.message))]
            if event.type in CHANGES:
                checker.apply(event)
            found.append(event)
        numbers = range(1, len(found) + 1)
        admit(con, store.table(numbers, [None] * len(found), found, raws, without={"raw"}))
        return []

    def _wrong(self, con: duckdb.DuckDBPyConnection, bounded: dict[str, bool]) -> Iterator[Fault]:
        """Faults that the computed year shows."""
        with rules.compute(con, upto="entry_result"):
            counted = {
                seq: row for seq, *row in con.execute("SELECT seq, counted, increase FROM entry_result").fetchall()
            }
            points = {(unit, item): (p, full) for unit, item, p, full in con.execute(
                "SELECT unit, item, points, points_base FROM item_points").fetchall()}  # fmt: skip
            finals = dict(con.execute("SELECT unit, final FROM unit_total").fetchall())
            con.execute("SELECT count(*) FROM unit_grade").fetchall()
        unsure = False
        told: set[tuple[Any, ...]] = set()
        for trial in self.trials:
            said = [*self._of_trial(trial, counted, points, bounded)]
            for fault in said:  # what the defaults show already is not said again of a reading
                if (fault.place, fault.said, fault.gaps[:-1]) not in told:
                    told.add((fault.place, fault.said, fault.gaps[:-1]))
                    yield fault
            unsure = unsure or bool(said) or not _sure(self.book, trial)
        if not unsure:
            yield from self._of_final(finals)

    def _of_trial(
        self,
        trial: _Trial,
        counted: dict[int, list[Decimal]],
        points: dict[tuple[str, str], Any],
        bounded: dict[str, bool],
    ) -> Iterator[Fault]:
        item, under = trial.item, ("under", *trial.under) if trial.under else ("by_default",)
        n = self.book.item.index(trial.base)
        place = Place(("item", n), (("item", trial.base.code),))
        for seq, ground in trial.grounds.items():
            counts, increase = counted[seq]  # what it requires may have left no room, but not have cost as much
            if (increase if ground.requires else counts) <= 0:
                m = [one.code for one in item.ground].index(ground.code)
                inner = Place(("item", n, "ground", m), (*place.labels, ("ground", ground.code)))
                yield Fault(inner, None, "made_up_ground", (under,))
        if bounded.get(trial.code):
            low, found = _rounded(_low(item), item), points[f"tried-w{trial.rep}", trial.code][0]
            if found != low:
                yield Fault(place, "at_least", "made_up_worst", (_plain(found), _plain(low), under))
        tried = [row for (_, code), row in points.items() if code == trial.code]
        best = max((p for p, _ in tried if p is not None), default=Decimal(0))
        full = tried[0][1]
        if number(item.points) and best != full and trial.bottom and (best > full or _sure(self.book, trial)):
            yield Fault(place, "points", "made_up_best", (_plain(best), _plain(full), under))

    def _of_final(self, finals: dict[str, Decimal]) -> Iterator[Fault]:
        """The best of all gives every kind of unit the final's points, under some assignment of its attributes."""
        full = number(self.book.final.points)
        for rep, kind in enumerate(self.reps):
            found = [
                finals[code] for code in (f"tried-b{rep}-{a}" for a in range(len(self.attributes))) if code in finals
            ]
            if found and full not in found:
                gaps = (_plain(max(found)), str(kind), quoted(self.book.final.points))
                yield Fault(Place(("final",), (("final", None),)), "points", "made_up_final", gaps)


# Helpers --------------------------------------------------------------------------------------------------------------


def _representatives(book: Rulebook) -> list[UnitKind]:
    """One kind of unit for each tree that units have in each category."""
    found: dict[tuple[str, frozenset[str]], UnitKind] = {}
    for kind in kinds(book):
        found.setdefault((kind.category, frozenset(of_kind(book, kind))), kind)
    return [*found.values()]


def _assignments(book: Rulebook) -> list[dict[str, str]]:
    """Attributes of made-up units: at their ends in every combination where they are few, else all high, all low."""
    ends = []
    for one in book.attribute:
        low = number(one.min) if one.min is not None else min(Decimal(0), number(one.max) or Decimal(0))
        high = number(one.max) if one.max is not None else max(Decimal(1000), (low or Decimal(0)) * 2)
        ends.append((high or Decimal(0), low or Decimal(0)))
    rows = product(*ends) if len(ends) <= 3 else [tuple(end[n] for end in ends) for n in (0, 1)]
    codes = [one.code for one in book.attribute]
    return [{code: _plain(value) for code, value in zip(codes, row, strict=True)} for row in rows][::-1]


def _decided(table: Any, values: dict[str, str]) -> Any:
    """A table with the values of readings in place of their names."""
    if isinstance(table, dict):
        return {key: _decided(value, values) for key, value in table.items()}
    if isinstance(table, list | tuple):
        return [_decided(value, values) for value in table]
    return values.get(table[1:], table) if isinstance(table, str) and table.startswith("@") else table


def _in_force(item: Item) -> Method | None:
    """The method of an item whose readings are decided; without any, `scale` or `direct`, of entries none."""
    if item.entries:
        return None
    if item.method:
        return next((one for one in item.method if one.code == item.scoring), item.method[0])
    return Method(code="-", kind="direct" if item.formula else "scale")


def _amount(ground: Ground, *, most: bool = True) -> Decimal:
    """The most or the least points of a ground."""
    if ground.points is not None:
        return number(ground.points) or Decimal(0)
    if most:
        return number(ground.max) or Decimal(0)
    return number(ground.min) or (number(ground.above) or Decimal(0)) + (number(ground.step) or LEAST)


def _required(item: Item, ground: Ground) -> list[Ground]:
    """The grounds that must precede one, the nearest first."""
    by_code = {one.code: one for one in item.ground}
    chain: list[Ground] = []
    while ground.requires is not None:
        ground = by_code[ground.requires]
        chain.append(ground)
    return chain


def _least(grounds: Sequence[Ground]) -> Decimal:
    return sum((_amount(one, most=False) for one in grounds), Decimal(0))


def _up_to(ground: Ground, room: Decimal | None) -> Decimal:
    """The most points of a ground that a balance still has; those that it has not are taken as less than none."""
    most, least = _amount(ground), _amount(ground, most=False)
    if room is None or most <= room:
        return most
    if least > room:
        return -least
    step = number(ground.step) or LEAST
    return least + (room - least) // step * step


def _caps(item: Item) -> dict[str, Decimal]:
    """A node of each group with the group's cap."""
    groups: dict[str, list[Any]] = {}
    for node in item.node:
        groups.setdefault(node.cap_group or node.code, []).append(node)
    return {nodes[0].code: next(number(one.cap) or Decimal(0) for one in nodes if one.cap) for nodes in groups.values()}


def _low(item: Item) -> Decimal | None:
    """The lower bound of entries (language 3)."""
    down = item.start == "0" and any(not one.adds for one in item.ground)
    return bound(item.at_least, -(number(item.points) or Decimal(0)) if down else Decimal(0))


def _rounded(points: Decimal | None, item: Item) -> Decimal:
    return (points or Decimal(0)).quantize(Decimal(1).scaleb(-int(item.decimals)), ROUND_HALF_UP)


def _crowd(method: Method | None) -> int:
    """How many units a pool needs so that its first place is one: as many as give the first band a seat."""
    if method is None or method.kind != "bands":
        return 2
    share = next((one for row in method.rows if (one := number(row[0]) or Decimal(0)) > 0), Decimal(1))
    return max(2, int((1 / share).to_integral_value(ROUND_CEILING)))


def _sure(book: Rulebook, trial: _Trial) -> bool:
    """Whether the best that was tried is surely the best there is."""
    item, method = trial.item, trial.method
    if item.entries:
        return trial.bottom
    assert method is not None
    if _crowd(method) > UNITS or len(book.attribute) > 3:
        return False
    attributes = {one.code for one in book.attribute}
    names = [one for term in item.formula for one in (term.plus, term.less, term.ratio_to, term.times) if one]
    names = [name for name in names if not _is_number(name)]
    if trial.compares and (item.factor or attributes.intersection(names)):
        return False  # every unit competes with its own attributes
    return not item.formula or (len(names) == len(set(names)) and (method.kind != "table" or _ends_best(method)))


def _ends_best(method: Method) -> bool:
    """Whether the first or the last row of a table has the most points, so that an end of the values is the best."""
    points = [Decimal(row[1]) for row in method.rows]
    return max(points) in (points[0], points[-1])


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()


def _ranges(item: Item) -> dict[str, tuple[Decimal, Decimal]]:
    """The range of each thing that is rated."""
    if item.range is not None:
        return {"value": (Decimal(item.range.min), Decimal(item.range.max))}
    return {one.code: (Decimal(one.min), Decimal(one.max)) for one in item.measure}


def _signs(terms: tuple[Term, ...]) -> dict[str, int]:
    """Whether the value of a formula rises (1) or falls (-1) with each name, as far as one can tell."""
    found: dict[str, int] = {}
    for term in terms:
        up = -1 if term.times is not None and term.times.startswith("-") else 1
        found.setdefault(term.plus, up)
        if term.less is not None:
            found.setdefault(term.less, -up)
        if term.ratio_to is not None:
            found.setdefault(term.ratio_to, -1)
    return found


def _corners(item: Item, method: Method | None) -> list[dict[str, Decimal]]:
    """Inputs of a unit: the likely best first, the opposite last, between them the other corners and a table's rows."""
    ranges, signs = _ranges(item), _signs(item.formula)
    ratios = {term.ratio_to for term in item.formula if term.ratio_to}
    binary = {measure.code for measure in item.measure if measure.binary}
    lower = method is not None and method.better == "lower" and method.kind in COMPARING
    lower = lower or (method is not None and method.kind == "table" and _falls(method))
    ends: dict[str, tuple[Decimal, Decimal]] = {}
    for name, (low, high) in ranges.items():
        if name in ratios and low <= 0 < high:
            ranges[name] = (Decimal(1) if name in binary else LEAST, high)
    for name, (low, high) in ranges.items():
        ends[name] = (low, high) if (signs.get(name, 1) < 0) != lower else (high, low)
    rows = [*product(*ends.values())] if 2 ** len(ends) <= CORNERS else [[e[n] for e in ends.values()] for n in (0, 1)]
    corners = [dict(zip(ends, row, strict=True)) for row in rows] or [{}]
    between = []
    if method is not None and method.kind == "table" and not item.formula and item.range is not None:
        low, high = ranges["value"]
        between = [{"value": x} for row in method.rows if low <= (x := Decimal(row[0])) <= high]
    return [corners[0], *between, *corners[1:]]


def _falls(method: Method) -> bool:
    return Decimal(method.rows[0][1]) > Decimal(method.rows[-1][1])


def _plain(value: Decimal | None) -> str:
    """A decimal as the wire has it."""
    text = f"{value or Decimal(0):f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
