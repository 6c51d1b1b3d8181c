"""The rules of a rulebook as sentences, which an official proof-reads instead of TOML."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from schemas import rulebook
from schemas.rulebook import (
    Applies,
    Ground,
    Item,
    Method,
    Name,
    Node,
    Part,
    Rulebook,
    Scheme,
    Term,
    Veto,
    WorkNode,
    bound,
    is_share,
    number,
)  # fmt: skip
from schemas.warnings import tables
from schemas.words import CLAUSE, COLON, COMMA, SEMICOLON, Language, Text, _, _n, _p


class Sentence(NamedTuple):
    """What one table says: by what it is known, how deep it stands, its clause, its words."""

    key: str
    level: int
    clause: str | None
    text: str


def sentences(book: Rulebook, lang: Language) -> list[Sentence]:
    """Every table of a rulebook in the order of its tree, as sentences in one language."""
    return [*_Writer(book, lang).all()]


def plain(value: Decimal | str | None) -> str:
    """A number without zeros that say nothing."""
    if isinstance(value, str) and value.endswith("%"):
        return value
    text = f"{Decimal(value or 0):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


#: Fields that may stand out of line.
APART: dict[str, Text] = {
    "rater": _p("out of line", "raters"),
    "reason": _p("out of line", "reasons"),
    "statement": _p("out of line", "statements"),
}
#: Values of keys in words.
WORDS: dict[str, dict[str, Text]] = {
    "matter": {
        "each": _("every entry counts by itself"),
        "chain": _("of one matter only the heaviest branch counts"),
        "sum": _("the grounds of one matter add up, each once"),
    },
    "purse": {
        "shared": _("the offices deduct from one purse"),
        "separate": _("each office deducts from its own share"),
    },
    "panel": {
        "plain": _("the mean of the raters"),
        "trimmed": _("the mean without one highest and one lowest (of three or more)"),
        "latest": _("the latest value stands"),
    },
    "over": {
        "mean": _("their mean counts"),
        "best": _p("rule", "the best counts"),
        "sum": _("their sum counts"),
        "latest": _("the last one counts"),
    },
    "pool": {
        "all": _("among all units"),
        "category": _("within the category"),
        "group": _("within the group"),
    },
    "ties": {
        "better": _("ties take the better place"),
        "average": _("ties take the mean of their places"),
    },
    "bands": {
        "cumulative_half_up": _("shares add up and are rounded half-up"),
        "cumulative_floor": _("shares add up and are rounded down"),
        "largest_remainder": _("by largest remainder"),
    },
    "combine": {
        "sum": _("the sum of what is in it"),
        "mean": _("the mean of what is in it"),
        "max": _("the best of what is in it"),
        "rescale": _("what is in it, rescaled to these points"),
    },
    "exempt": {
        "full": _("an exempted unit has full points"),
        "start": _("an exempted unit has 0"),
        "proportional": _("an exempted unit is rescaled from the other items of the part"),
        "out": _("for an exempted unit it is taken out and the rest rescaled"),
    },
    "quota_of": {
        "listed": _("shares are of all units listed"),
        "eligible": _("shares are of the units that compete"),
    },
    "rounding": {
        "floor": _("quotas are rounded down"),
        "half_up": _("quotas are rounded half-up"),
        "ceil": _("quotas are rounded up"),
    },
    "quotas": {
        "disjoint": _("each grade has its own quota"),
        "cumulative": _("a quota takes in the grades before it"),
    },
    "tie": {
        "undecided": _("a tie across the cut is left open until it is resolved"),
        "include": _("a tie across the cut is all in"),
        "exclude": _("a tie across the cut is all out"),
    },
}

#: A row of bands, by where it stands.
BANDS = (
    _p("first band", "{percent} {code} {points}"),
    _p("next band", "{percent} {code} {points}"),
    _p("last band", "{percent} {code} {points}"),
)


class _Writer:
    """Writes the sentences of one rulebook in one language."""

    def __init__(self, book: Rulebook, lang: Language) -> None:
        self.book, self.lang = book, lang
        self.notes: dict[str, str] = {}
        self.offices = {office.code: self.name(office.name) for office in book.office}

    def say(self, said: Text) -> str:
        return said.say(self.lang)

    def name(self, name: Name) -> str:
        return rulebook.zh(name) if self.lang == "zh" else rulebook.en(name)

    def join(self, parts: list[str]) -> str:
        return self.say(SEMICOLON).join(part for part in parts if part)

    def listed(self, words: list[str]) -> str:
        return self.say(COMMA).join(words)

    def points(self, value: Decimal | str | None) -> str:
        """So many points."""
        text = plain(value)
        return self.say(_n("{points} point", "{points} points", 1 if text in ("1", "-1") else 2, points=text))

    def by_reading(self, written: str | None, words: Callable[[str], str]) -> str:
        """The words of a value; of a reading those of its default, the others are kept for sentences of their own."""
        if written is None or not written.startswith("@"):
            return words(written or "")
        default, *others = self.book.readings[written[1:]]
        said = words(default)
        for value in others:
            text = words(value)
            self.notes[f"{written}={value}"] = self.say(
                _("where reading {written} is {value}: {text}", written=written[1:], value=value, text=text)
            )
        return said

    def noted(self, key: str, level: int, clause: str | None) -> Iterator[Sentence]:
        """What other values of readings make of the sentence before."""
        yield from (Sentence(f"{key} {name}", level, clause, text) for name, text in self.notes.items())
        self.notes.clear()

    def value(self, kind: str, written: str | None) -> str:
        """A value of a key in words."""
        return self.by_reading(written, lambda one: WORDS[kind][one].say(self.lang))

    # The whole ------------------------------------------------------------------------------------------------------

    def all(self) -> Iterator[Sentence]:
        book, final = self.book, self.book.final
        yield Sentence(
            "book",
            0,
            book.clause,
            self.say(_("{book} ({document})", book=self.name(book.name), document=book.document)),
        )
        times = "" if number(final.times) == 1 else f" x {plain(final.times)}"
        order = self.listed([self.key(key) for key in final.order])
        yield Sentence("final", 0, final.clause, self.say(
            _("Final: {points} = the sum of the top level{times}, {decimals} decimals; places by "
"{order}", points=self.points(final.points), times=times, decimals=final.decimals, order=order)
        ))  # fmt: skip
        if book.out_of_line:
            names = self.listed([self.say(APART[name]) for name in book.out_of_line])
            yield Sentence("texts", 0, None, self.say(_(
                "Out of line: {names}; an event holds their salted hashes, the texts lie beside and can be erased",
                names=names,
            )))  # fmt: skip
        yield from self.who()
        yield from self.tree(None, 0)
        for scheme in book.scheme:
            yield from self.scheme(scheme)
        yield from (Sentence(f"veto {veto.code}", 0, veto.clause, self.veto(veto)) for veto in book.veto)
        yield from self.rest()

    def key(self, key: str) -> str:
        """A key of places."""
        code = key.removeprefix("-")
        nodes: tuple[Any, ...] = (*self.book.part, *self.book.item, *self.book.attribute)
        names = {one.code: self.name(one.name) for one in nodes}
        text = self.say(_p("order", "final")) if code == "final" else f"{code} {names[code]}"
        return text + (self.say(_(" (low first)")) if key.startswith("-") else "")

    def who(self) -> Iterator[Sentence]:
        """Categories, groups, attributes, roles, periods."""
        book = self.book
        for category in book.category:
            ranked = self.say(_("ranked")) if category.ranked else self.say(_("not ranked"))
            text = self.say(
                _(
                    "Category {code} {name}: {ranked}",
                    code=category.code,
                    name=self.name(category.name),
                    ranked=ranked,
                )
            )
            yield Sentence(f"category {category.code}", 0, category.clause, text)
        for group in book.group:
            of = self.say(_(" of category {category}", category=group.category)) if group.category else ""
            yield Sentence(
                f"group {group.code}",
                0,
                group.clause,
                self.say(_("Group {code} {name}{of}", code=group.code, name=self.name(group.name), of=of)),
            )
        for one in book.attribute:
            low, high = one.min or self.say(_("any")), one.max or self.say(_("any"))
            default = self.say(_(", {default} where nothing says", default=one.default)) if one.default else ""
            by = self.listed([self.offices[office] for office in one.offices or (book.roles.collector,)])
            said = _("Attribute {code} {name}: {low} to {high}{default}, stated by {by}")
            name = self.name(one.name)
            text = self.say(said.of(code=one.code, name=name, low=low, high=high, default=default, by=by))
            yield Sentence(f"attribute {one.code}", 0, one.clause, text)
        roles = [self.say(_("{offices} collects and finalises", offices=self.offices[book.roles.collector]))]
        appeals = book.roles.appeals
        roles.append(
            self.say(_("{offices} decides appeals", offices=self.offices[appeals]))
            if appeals
            else self.say(_("there are no appeals"))
        )
        if book.roles.approvals:
            roles.append(self.say(_("{offices} approves", offices=self.offices[book.approvals])))
        yield Sentence("roles", 0, book.roles.clause, self.join(roles))
        for period in book.period:
            yield Sentence(
                f"period {period.code}",
                0,
                period.clause,
                self.say(_("Period {period}: {listed}", period=period.code, listed=self.listed([*period.values]))),
            )

    def tree(self, inside: str | None, level: int) -> Iterator[Sentence]:
        """Parts and items under a part, each with what it says."""
        for node in (*self.book.part, *self.book.item):
            if node.inside != inside:
                continue
            if isinstance(node, Item):
                yield from self.item(node, level)
            elif isinstance(node, Part):
                said = [self.value("combine", node.combine), self.bounds(node), self.decimals(node)]
                yield Sentence(f"part {node.code}", level, node.clause, self.head(node) + self.join(said))
                yield from self.tree(node.code, level + 1)

    def head(self, node: Node) -> str:
        """The code, name, points, weight and units of a part or item."""
        weight = "" if number(node.weight) == 1 else self.say(_(" x {weight}", weight=plain(node.weight)))
        applies = f" [{self.applies(node.applies)}]" if node.applies else ""
        return f"{node.code} {self.name(node.name)} {self.points(node.points)}{weight}{applies}{self.say(COLON)}"

    def applies(self, applies: Applies) -> str:
        parts = []
        if applies.categories:
            parts.append(self.say(_("category ")) + self.listed([*applies.categories]))
        if applies.groups:
            parts.append(self.say(_("group ")) + self.listed([*applies.groups]))
        return self.say(_("only ")) + self.join(parts)

    def bounds(self, node: Node) -> str:
        """Bounds that are written."""
        low = (
            node.at_least and self.say(_("at least {points}", points=plain(node.at_least)))
            if node.at_least != "none"
            else self.say(_("no lower bound"))
        )
        high = (
            node.at_most and self.say(_("at most {points}", points=plain(node.at_most)))
            if node.at_most != "none"
            else self.say(_("no upper bound"))
        )
        return self.join([low or "", high or ""])

    def decimals(self, node: Node) -> str:
        return (
            ""
            if node.decimals == "6"
            else self.say(_n("rounded to {n} decimal", "rounded to {n} decimals", int(node.decimals)))
        )

    def item(self, item: Item, level: int) -> Iterator[Sentence]:
        said = self.entries(item) if item.entries else self.ratings(item)
        offices = self.say(_("by {offices}", offices=self.listed([self.offices[office] for office in item.offices])))
        tail = [WORDS["exempt"][item.exempt_rule].say(self.lang), self.decimals(item), offices]
        if item.characters:
            tail.append(self.say(_("submissions of at most {characters} characters", characters=item.characters)))
        if item.due:
            tail.append(self.say(_("due by {due}", due=item.due)))
        yield Sentence(f"item {item.code}", level, item.clause, self.head(item) + self.join([*said, *tail]))
        yield from self.noted(f"item {item.code}", level + 1, item.clause)
        for ground in item.ground:
            yield Sentence(
                f"item {item.code} ground {ground.code}",
                level + 1,
                ground.clause or item.clause,
                self.ground(ground, item),
            )
        for node in item.node:
            yield Sentence(f"item {item.code} node {node.code}", level + 1, node.clause or item.clause, self.node(node))

    # Entries --------------------------------------------------------------------------------------------------------

    def entries(self, item: Item) -> list[str]:
        """The start, the bounds, matters and purses."""
        points = number(item.points) or Decimal(0)
        deducts, adds = any(not one.adds for one in item.ground), any(one.adds for one in item.ground)
        from_0 = item.start == "0"
        low = bound(item.at_least, -points if from_0 and deducts else Decimal(0))
        high = bound(item.at_most, points if not from_0 or adds else Decimal(0))
        said = [self.say(_("starts at 0")) if from_0 else self.say(_("starts full"))]
        if deducts:
            said.append(
                self.say(_("deducts"))
                + (self.say(_(" down to {low}", low=plain(low))) if low is not None else self.say(_(" without end")))
            )
        if adds:
            said.append(
                self.say(_("adds"))
                + (
                    self.say(_(" up to {high}", high=plain(high)))
                    if high is not None
                    else self.say(_p("upwards", " without end"))
                )
            )
        said.append(self.value("matter", item.matter or "each"))
        if item.purse:
            said.append(self.value("purse", item.purse))
        if item.share:
            said.append(
                self.say(_("shares: "))
                + self.listed([f"{self.offices[who]} {plain(much)}" for who, much in item.share.items()])
            )
        return said

    def ground(self, ground: Ground, item: Item) -> str:
        verb = self.say(_("add")) if ground.adds else self.say(_("deduct"))
        if ground.points is not None:
            much = self.points(ground.points)
        else:
            low, high, step = plain(ground.min or ground.above), plain(ground.max), plain(ground.step)
            more = "" if ground.min else self.say(_("more than "))
            much = self.say(_n(
                "{more}{low} to {high} point", "{more}{low} to {high} points", 1 if high in ("1", "-1") else 2,
                more=more, low=low, high=high,
            ))  # fmt: skip
            if ground.step:
                much = self.say(_("{much} by steps of {step}", much=much, step=step))
        said = [self.say(_("{verb} {much}", verb=verb, much=much))]
        if ground.requires:
            first = self.name(next(one.name for one in item.ground if one.code == ground.requires))
            said.append(self.say(_("only after {first} on the same matter", first=first)))
        if ground.branch:
            said.append(self.say(_("branch {branch}", branch=ground.branch)))
        if ground.approval:
            said.append(self.say(_("counts once {offices} approves", offices=self.offices[self.book.approvals])))
        return f"{ground.code} {self.name(ground.name)}{self.say(COLON)}{self.join(said)}"

    def node(self, node: WorkNode) -> str:
        cap = self.say(_("at most {cap}", cap=self.points(node.cap))) if node.cap else ""
        group = self.say(_("together with group {cap_group}", cap_group=node.cap_group)) if node.cap_group else ""
        return self.say(_("Node ")) + f"{node.code} {self.name(node.name)}{self.say(COLON)}{self.join([group, cap])}"

    # Ratings --------------------------------------------------------------------------------------------------------

    def ratings(self, item: Item) -> list[str]:
        """What is rated, by whom, in which runs, and how it becomes points."""
        methods = {method.code: method for method in item.method}
        if methods:
            first = item.scoring or item.method[0].code
            said = [self.by_reading(first, lambda code: self.method(item, methods[code]))]
        else:
            said = [self.method(item, Method(code="-", kind="direct" if item.formula else "scale"))]
        if item.range:
            said.append(self.say(_("rated {min} to {max}", min=plain(item.range.min), max=plain(item.range.max))))
        for one in item.measure:
            ends = (
                self.say(_("0 or 1"))
                if one.binary
                else self.say(_("{min} to {max}", min=plain(one.min), max=plain(one.max)))
            )
            said.append(f"{one.code} {self.name(one.name)} {ends}")
        said.append(self.value("panel", item.panel or "plain") if item.range or item.measure else "")
        if item.raters:
            groups = self.listed([self.name(one.name) for one in item.raters])
            weights = item.weights or "/".join("1" for __ in item.raters)
            said.append(self.say(_("{groups} weigh ", groups=groups)) + self.by_reading(weights, str))
        if item.formula:
            terms = " + ".join(self.term(term, item) for term in item.formula)
            factor = f"({terms}) x {self.named(item.factor, item)}" if item.factor else terms
            said.append(self.say(_("value = {factor}", factor=factor)))
        said.append(self.bounds(item))
        if item.runs:
            said.append(self.runs(item))
        elif item.missing:
            said.append(self.say(_("without any rating 0")))
        return said

    def runs(self, item: Item) -> str:
        each = self.say(_("case")) if item.runs == "case" else item.runs or ""
        text = self.say(_("of every {each}; ", each=each)) + WORDS["over"][item.over or "mean"].say(self.lang)
        return text + (self.say(_("; what is missing is 0")) if item.missing else "")

    def term(self, term: Term, item: Item) -> str:
        plus = self.named(term.plus, item)
        if term.ratio_to:
            text = f"{plus} ÷ {self.named(term.ratio_to, item)}"
        else:
            text = f"({plus} − {self.named(term.less, item)})" if term.less else plus
            text += f" x {self.named(term.times, item)}" if term.times and term.times != "1" else ""
        return text + (self.say(_(" (within ±{within})", within=plain(term.within))) if term.within else "")

    def named(self, code: str | None, item: Item) -> str:
        """The name of a measure or attribute; a number is itself."""
        known: tuple[Any, ...] = (*self.book.attribute, *item.measure)
        names = {one.code: self.name(one.name) for one in known}
        return self.say(_("the value")) if code == "value" else names.get(code or "", code or "")

    def full(self, item: Item, method: Method) -> Decimal:
        """The full points of one run by a method (language 4)."""
        if method.points is not None:
            return number(method.points) or Decimal(0)
        points = number(item.points) or Decimal(0)
        count = len(self.book.periods.get(item.runs or "", ())) if item.over == "sum" else 0
        return points / count if count else points

    def method(self, item: Item, method: Method) -> str:
        """How a value becomes points, a sentence a kind."""
        full = self.full(item, method)
        whole = self.points(full)
        kinds: dict[str, Callable[[], str]] = {
            "direct": lambda: self.say(_("the value is the points")),
            "scale": lambda: self.scale(item, method, full),
            "table": lambda: self.table(method),
            "rank": lambda: self.rank(method, full, item.at_least),
            "bands": lambda: self.bands(method),
            "best": lambda: self.say((
                _("{pool}, the lowest value has {whole}, the others in inverse proportion")
                if method.better == "lower"
                else _("{pool}, the highest value has {whole}, the others in proportion")
            ).of(pool=self.pool(method), whole=whole)),
            "level": lambda: self.say(
                _(
                    "corrected by the mean {method} over that of the unit's own category and group, then ",
                    method=self.pool(method),
                )
            ) + self.scale(item, method, full),
        }  # fmt: skip
        own = self.say(_(" (full points {full})", full=plain(full))) if method.points is not None else ""
        return kinds[method.kind]() + own

    def pool(self, method: Method) -> str:
        return self.value("pool", method.pool)

    def scale(self, item: Item, method: Method, full: Decimal) -> str:
        of = number(method.of or (item.range.max if item.range else "1")) or Decimal(1)
        if of == full:
            return self.say(_("the value is the points"))
        return self.say(_("{of} is {full}, the rest in proportion", of=plain(of), full=self.points(full)))

    def table(self, method: Method) -> str:
        rows = [self.say(_("{x}: {p}", x=plain(x), p=plain(p))) for x, p in method.rows]
        if method.between == "straight":
            return self.listed(rows) + self.say(_(", straight between"))
        rows = [self.say(_("from {x} on {p}", x=plain(x), p=plain(p))) for x, p in method.rows]
        return self.listed(rows)

    def rank(self, method: Method, full: Decimal, at_least: str | None) -> str:
        order = self.say(_("from low to high") if method.better == "lower" else _("from high to low"))
        step = number(method.step) or Decimal(0)
        first = self.say(_("the first has {full}", full=self.points(full)))
        if method.fall == "geometric":
            down = self.say(_("each place has {step}% of the one before", step=plain((1 - step) * 100)))
        else:
            less = plain(full * step if is_share(method.step or "") else step)
            low = plain(max(number(at_least) or Decimal(0), Decimal(0)) if at_least != "none" else Decimal(0))
            down = self.say(_("each place down {less} less, to {low}", less=less, low=low))
        pool = self.pool(method)
        rater = self.say(_("by each rater, then the mean of the points; ")) if method.per else ""
        ranked = self.say(_("ranked {pool} {order}, {first}, {down}", pool=pool, order=order, first=first, down=down))
        return f"{rater}{ranked}{self.say(CLAUSE)}{self.value('ties', method.ties)}"

    def bands(self, method: Method) -> str:
        order = self.say(_("low first") if method.better == "lower" else _("high first"))
        rows = []
        for n, (share, points, code) in enumerate(method.rows):
            percent = plain((number(share) or Decimal(0)) * 100) + "%"
            which = BANDS[0 if n == 0 else 2 if n == len(method.rows) - 1 else 1]
            rows.append(self.say(which.of(percent=percent, code=code, points=plain(points))))
        text = self.say(_("by bands {method}, {order}: ", method=self.pool(method), order=order)) + self.listed(rows)
        return f"{text}{self.say(CLAUSE)}{self.value('bands', method.rounding)}"

    # Schemes, vetoes, the rest --------------------------------------------------------------------------------------

    def scheme(self, scheme: Scheme) -> Iterator[Sentence]:
        pools = {
            "each": self.say(_("every category by itself")),
            "group": self.say(_("every category and group by itself")),
        }
        said = [self.by_reading(scheme.pools, lambda one: pools.get(one, self.say(_("among {one}", one=one))))]
        if any(grade.share for grade in scheme.grade):
            of = "eligible" if scheme.pools in pools else scheme.quota_of  # language 7: there it is always the pool
            said += [self.value("quota_of", of), self.value("rounding", scheme.rounding)]
        if any(grade.share or grade.number for grade in scheme.grade):
            said += [self.value("quotas", scheme.quotas), self.value("tie", scheme.tie)]
        yield Sentence(
            f"scheme {scheme.code}",
            0,
            scheme.clause,
            f"{scheme.code} {self.name(scheme.name)}{self.say(COLON)}{self.join(said)}",
        )
        yield from self.noted(f"scheme {scheme.code}", 1, scheme.clause)
        for grade in scheme.grade:
            quota = self.say(_("no quota"))
            if grade.share:
                quota = plain((number(grade.share) or Decimal(0)) * 100) + "%"
            elif grade.number:
                quota = self.say(_("{number} units", number=grade.number))
            said = [quota]
            if grade.at_least:
                share = is_share(grade.at_least)
                least = _("final at least {least} of full points") if share else _("final at least {least}")
                said.append(self.say(least.of(least=grade.at_least)))
            for one in grade.require:
                what = f"{one.item} {one.of}" if one.item else one.of
                ends = [f">= {one.at_least}" if one.at_least else "", f"<= {one.at_most}" if one.at_most else ""]
                said.append(f"{what} {' '.join(filter(None, ends))}")
            if grade.individuals:
                said.append(self.say(_("with advanced individuals")))
            yield Sentence(
                f"scheme {scheme.code} grade {grade.code}",
                1,
                grade.clause or scheme.clause,
                f"{grade.code} {self.name(grade.name)}{self.say(COLON)}{self.join(said)}",
            )

    def veto(self, veto: Veto) -> str:
        said = []
        if veto.bars:
            said.append(self.say(_("bars from ")) + self.listed([*veto.bars]))
        if veto.grade_at_most:
            said.append(self.say(_("at most {grade_at_most}", grade_at_most=veto.grade_at_most)))
        if said:
            said.append(self.say(_("its seat goes to the next in line")))
        if veto.zero:
            said.append(self.say(_("{zero} is 0", zero=veto.zero)))
        by = self.listed([self.offices[office] for office in veto.offices])
        return (
            self.say(_("Veto "))
            + f"{veto.code} {self.name(veto.name)}"
            + self.say(_(" (by {offices}): ", offices=by))
            + self.join(said)
        )

    def rest(self) -> Iterator[Sentence]:
        """Stages, readings, parameters, assumptions, excused clauses."""
        book = self.book
        if book.stage:
            stages = self.listed([f"{stage.code} {self.name(stage.name)}" for stage in book.stage])
            yield Sentence("stages", 0, None, self.say(_("Stages: ")) + stages)
        for reading in book.reading:
            values = self.listed([reading.values[0] + self.say(_(" (default)")), *reading.values[1:]])
            yield Sentence(
                f"reading {reading.name}",
                0,
                reading.clause,
                self.say(
                    _(
                        "Reading {reading}: {question} {values}",
                        reading=reading.name,
                        question=self.name(reading.question),
                        values=values,
                    )
                ),
            )
        for one in book.parameter:
            yield Sentence(
                f"parameter {one.name}",
                0,
                one.clause,
                self.say(_("Parameter {name}: {value}", name=one.name, value=one.value)),
            )
        for n, (table, place, __, clause) in enumerate(tables(book)):
            if table.get("source") == "assumption":
                why = table.get("why", "")
                where = place.say(self.lang) or _("the whole")
                said = _("Assumption, {place}: {why}", place=where, why=why or _("without a reason"))
                yield Sentence(f"assumption {n}", 0, clause, self.say(said))
        for left in book.excused:
            yield Sentence(
                f"excused {left.clause}",
                0,
                left.clause,
                self.say(_("Clause {clause} has no rule: {why}", clause=left.clause, why=left.why)),
            )
