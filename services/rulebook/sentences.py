"""The rules of a rulebook as sentences, which an official proof-reads instead of TOML."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from schemas import rulebook
from schemas.refusals import Language
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


#: Fields that may stand out of line, (English, Chinese).
APART = {"rater": ("raters", "评分人"), "reason": ("reasons", "理由"), "statement": ("statements", "申诉理由")}
#: Values of keys in words, (English, Chinese); {0} is the full points.
WORDS: dict[str, dict[str, tuple[str, str]]] = {
    "matter": {
        "each": ("every entry counts by itself", "每笔单独计算"),
        "chain": ("of one matter only the heaviest branch counts", "同一事项只计最重的一支"),
        "sum": ("the grounds of one matter add up, each once", "同一事项各情形累加，同一情形只计一次"),
    },
    "purse": {
        "shared": ("the offices deduct from one purse", "各考核单位共扣这些分"),
        "separate": ("each office deducts from its own share", "各考核单位各扣自己的份额"),
    },
    "panel": {
        "plain": ("the mean of the raters", "取各评委的平均"),
        "trimmed": (
            "the mean without one highest and one lowest (of three or more)",
            "去掉一个最高和一个最低后平均（三个以上时）",
        ),
        "latest": ("the latest value stands", "以最新的一次为准"),
    },
    "over": {
        "mean": ("their mean counts", "取平均"),
        "best": ("the best counts", "取最好的一次"),
        "sum": ("their sum counts", "相加"),
        "latest": ("the last one counts", "取最后一次"),
    },
    "pool": {
        "all": ("among all units", "在全部单位中"),
        "category": ("within the category", "类别内"),
        "group": ("within the group", "组内"),
    },
    "ties": {
        "better": ("ties take the better place", "并列取较好名次"),
        "average": ("ties take the mean of their places", "并列取所占名次的平均分"),
    },
    "bands": {
        "cumulative_half_up": ("shares add up and are rounded half-up", "比例累加后四舍五入"),
        "cumulative_floor": ("shares add up and are rounded down", "比例累加后舍去小数"),
        "largest_remainder": ("by largest remainder", "按最大余数分配"),
    },
    "combine": {
        "sum": ("the sum of what is in it", "下级得分之和"),
        "mean": ("the mean of what is in it", "下级得分的平均"),
        "max": ("the best of what is in it", "下级得分中最高的"),
        "rescale": ("what is in it, rescaled to these points", "下级得分折算为此分"),
    },
    "exempt": {
        "full": ("an exempted unit has full points", "不适用的单位得满分"),
        "start": ("an exempted unit has 0", "不适用的单位得0分"),
        "proportional": (
            "an exempted unit is rescaled from the other items of the part",
            "不适用的单位按同部分其他项目折算",
        ),
        "out": ("for an exempted unit it is taken out and the rest rescaled", "不适用的单位作空项，其余折算"),
    },
    "quota_of": {
        "listed": ("shares are of all units listed", "名额按全部在册单位计算"),
        "eligible": ("shares are of the units that compete", "名额按参评单位计算"),
    },
    "rounding": {
        "floor": ("quotas are rounded down", "名额舍去小数"),
        "half_up": ("quotas are rounded half-up", "名额四舍五入"),
        "ceil": ("quotas are rounded up", "名额进一取整"),
    },
    "quotas": {
        "disjoint": ("each grade has its own quota", "各等次名额分别计算"),
        "cumulative": ("a quota takes in the grades before it", "名额含前面的等次"),
    },
    "tie": {
        "undecided": ("a tie across the cut is left open until it is resolved", "跨名额线的并列待定"),
        "include": ("a tie across the cut is all in", "跨名额线的并列全部入选"),
        "exclude": ("a tie across the cut is all out", "跨名额线的并列全部不入选"),
    },
}


class _Writer:
    """Writes the sentences of one rulebook in one language."""

    def __init__(self, book: Rulebook, lang: Language) -> None:
        self.book, self.zh = book, lang == "zh"
        self.notes: dict[str, str] = {}
        self.offices = {office.code: self.name(office.name) for office in book.office}

    def say(self, en: str, zh: str) -> str:
        return zh if self.zh else en

    def name(self, name: Name) -> str:
        return rulebook.zh(name) if self.zh else rulebook.en(name)

    def join(self, parts: list[str]) -> str:
        return ("；" if self.zh else "; ").join(part for part in parts if part)

    def listed(self, words: list[str]) -> str:
        return ("、" if self.zh else ", ").join(words)

    def points(self, value: Decimal | str | None) -> str:
        """So many points."""
        text = plain(value)
        return self.say(f"{text} point{'' if text in ('1', '-1') else 's'}", f"{text}分")

    def by_reading(self, written: str | None, words: Callable[[str], str]) -> str:
        """The words of a value; of a reading those of its default, the others are kept for sentences of their own."""
        if written is None or not written.startswith("@"):
            return words(written or "")
        default, *others = self.book.readings[written[1:]]
        said = words(default)
        for value in others:
            text = words(value)
            self.notes[f"{written}={value}"] = self.say(
                f"where reading {written[1:]} is {value}: {text}", f"读法{written[1:]}取{value}时：{text}"
            )
        return said

    def noted(self, key: str, level: int, clause: str | None) -> Iterator[Sentence]:
        """What other values of readings make of the sentence before."""
        yield from (Sentence(f"{key} {name}", level, clause, text) for name, text in self.notes.items())
        self.notes.clear()

    def value(self, kind: str, written: str | None) -> str:
        """A value of a key in words."""
        return self.by_reading(written, lambda one: WORDS[kind][one][self.zh])

    # The whole ------------------------------------------------------------------------------------------------------

    def all(self) -> Iterator[Sentence]:
        book, final = self.book, self.book.final
        yield Sentence(
            "book",
            0,
            book.clause,
            self.say(f"{self.name(book.name)} ({book.document})", f"{self.name(book.name)}（{book.document}）"),
        )
        times = "" if number(final.times) == 1 else f" x {plain(final.times)}"
        order = self.listed([self.key(key) for key in final.order])
        yield Sentence("final", 0, final.clause, self.say(
            f"Final: {self.points(final.points)} = the sum of the top level{times}, {final.decimals} decimals;"
            f" places by {order}",
            f"总分{self.points(final.points)} = 顶层得分之和{times}，保留{final.decimals}位小数；名次依次看{order}",
        ))  # fmt: skip
        if book.out_of_line:
            names = self.listed([self.say(*APART[name]) for name in book.out_of_line])
            yield Sentence("texts", 0, None, self.say(
                f"Out of line: {names}; an event holds their salted hashes, the texts lie beside and can be erased",
                f"行外文本：{names}；事件中只存其加盐哈希，文本另存，可以删除",
            ))  # fmt: skip
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
        text = self.say("final", "总分") if code == "final" else f"{code} {names[code]}"
        return text + (self.say(" (low first)", "（低者在前）") if key.startswith("-") else "")

    def who(self) -> Iterator[Sentence]:
        """Categories, groups, attributes, roles, periods."""
        book = self.book
        for category in book.category:
            ranked = self.say("ranked", "排名") if category.ranked else self.say("not ranked", "不排名")
            text = self.say(
                f"Category {category.code} {self.name(category.name)}: {ranked}",
                f"类别{category.code} {self.name(category.name)}：{ranked}",
            )
            yield Sentence(f"category {category.code}", 0, category.clause, text)
        for group in book.group:
            of = self.say(f" of category {group.category}", f"（类别{group.category}）") if group.category else ""
            yield Sentence(
                f"group {group.code}",
                0,
                group.clause,
                self.say(
                    f"Group {group.code} {self.name(group.name)}{of}", f"分组{group.code} {self.name(group.name)}{of}"
                ),
            )
        for one in book.attribute:
            low, high = one.min or self.say("any", "不限"), one.max or self.say("any", "不限")
            default = (
                self.say(f", {one.default} where nothing says", f"，未写明时为{one.default}") if one.default else ""
            )
            by = self.listed([self.offices[office] for office in one.offices or (book.roles.collector,)])
            yield Sentence(f"attribute {one.code}", 0, one.clause, self.say(
                f"Attribute {one.code} {self.name(one.name)}: {low} to {high}{default}, stated by {by}",
                f"属性{one.code} {self.name(one.name)}：{low}至{high}{default}，由{by}核定",
            ))  # fmt: skip
        roles = [
            self.say(
                f"{self.offices[book.roles.collector]} collects and finalises",
                f"{self.offices[book.roles.collector]}汇总、定稿",
            )
        ]
        appeals = book.roles.appeals
        roles.append(
            self.say(f"{self.offices[appeals]} decides appeals", f"{self.offices[appeals]}裁定申诉")
            if appeals
            else self.say("there are no appeals", "没有申诉")
        )
        if book.roles.approvals:
            roles.append(self.say(f"{self.offices[book.approvals]} approves", f"{self.offices[book.approvals]}核准"))
        yield Sentence("roles", 0, book.roles.clause, self.join(roles))
        for period in book.period:
            yield Sentence(
                f"period {period.code}",
                0,
                period.clause,
                self.say(
                    f"Period {period.code}: {self.listed([*period.values])}",
                    f"周期{period.code}：{self.listed([*period.values])}",
                ),
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
        weight = "" if number(node.weight) == 1 else self.say(f" x {plain(node.weight)}", f" × {plain(node.weight)}")
        applies = f" [{self.applies(node.applies)}]" if node.applies else ""
        return f"{node.code} {self.name(node.name)} {self.points(node.points)}{weight}{applies}{self.say(': ', '：')}"

    def applies(self, applies: Applies) -> str:
        parts = []
        if applies.categories:
            parts.append(self.say("category ", "类别") + self.listed([*applies.categories]))
        if applies.groups:
            parts.append(self.say("group ", "分组") + self.listed([*applies.groups]))
        return self.say("only ", "只限") + self.join(parts)

    def bounds(self, node: Node) -> str:
        """Bounds that are written."""
        low = (
            node.at_least and self.say(f"at least {node.at_least}", f"最低{plain(node.at_least)}分")
            if node.at_least != "none"
            else self.say("no lower bound", "不设下限")
        )
        high = (
            node.at_most and self.say(f"at most {node.at_most}", f"最高{plain(node.at_most)}分")
            if node.at_most != "none"
            else self.say("no upper bound", "不设上限")
        )
        return self.join([low or "", high or ""])

    def decimals(self, node: Node) -> str:
        return (
            ""
            if node.decimals == "6"
            else self.say(f"rounded to {node.decimals} decimals", f"保留{node.decimals}位小数")
        )

    def item(self, item: Item, level: int) -> Iterator[Sentence]:
        said = self.entries(item) if item.entries else self.ratings(item)
        offices = (
            self.say("by ", "由")
            + self.listed([self.offices[office] for office in item.offices])
            + self.say("", "考核")
        )
        tail = [WORDS["exempt"][item.exempt_rule][self.zh], self.decimals(item), offices]
        if item.characters:
            tail.append(
                self.say(f"submissions of at most {item.characters} characters", f"材料不超过{item.characters}字")
            )
        if item.due:
            tail.append(self.say(f"due by {item.due}", f"{item.due}前办结"))
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
        said = [self.say("starts at 0", "从0分起") if from_0 else self.say("starts full", "从满分起")]
        if deducts:
            said.append(
                self.say("deducts", "扣分")
                + (
                    self.say(f" down to {plain(low)}", f"，扣至{plain(low)}为止")
                    if low is not None
                    else self.say(" without end", "，不设下限")
                )
            )
        if adds:
            said.append(
                self.say("adds", "加分")
                + (
                    self.say(f" up to {plain(high)}", f"，加至{plain(high)}为止")
                    if high is not None
                    else self.say(" without end", "，不设上限")
                )
            )
        said.append(self.value("matter", item.matter or "each"))
        if item.purse:
            said.append(self.value("purse", item.purse))
        if item.share:
            said.append(
                self.say("shares: ", "份额：")
                + self.listed([f"{self.offices[who]} {plain(much)}" for who, much in item.share.items()])
            )
        return said

    def ground(self, ground: Ground, item: Item) -> str:
        verb = self.say("add", "加") if ground.adds else self.say("deduct", "扣")
        if ground.points is not None:
            much = self.points(ground.points)
        else:
            low = plain(ground.min or ground.above)
            more = "" if ground.min else self.say("more than ", "大于")
            much = self.say(f"{more}{low} to {self.points(ground.max)}", f"{more}{low}至{plain(ground.max)}分")
            much += self.say(f" by steps of {ground.step}", f"，每档{plain(ground.step)}分") if ground.step else ""
        said = [self.say(f"{verb} {much}", f"{verb}{much}")]
        if ground.requires:
            first = self.name(next(one.name for one in item.ground if one.code == ground.requires))
            said.append(self.say(f"only after {first} on the same matter", f"须同一事项先有“{first}”"))
        if ground.branch:
            said.append(self.say(f"branch {ground.branch}", f"属于{ground.branch}一支"))
        if ground.approval:
            said.append(
                self.say(
                    f"counts once {self.offices[self.book.approvals]} approves",
                    f"{self.offices[self.book.approvals]}核准后计分",
                )
            )
        return f"{ground.code} {self.name(ground.name)}{self.say(': ', '：')}{self.join(said)}"

    def node(self, node: WorkNode) -> str:
        cap = self.say(f"at most {self.points(node.cap)}", f"最多{self.points(node.cap)}") if node.cap else ""
        group = (
            self.say(f"together with group {node.cap_group}", f"与{node.cap_group}各节点合计") if node.cap_group else ""
        )
        return (
            self.say("Node ", "节点")
            + f"{node.code} {self.name(node.name)}{self.say(': ', '：')}{self.join([group, cap])}"
        )

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
            said.append(
                self.say(
                    f"rated {plain(item.range.min)} to {plain(item.range.max)}",
                    f"评{plain(item.range.min)}至{plain(item.range.max)}",
                )
            )
        for one in item.measure:
            ends = (
                self.say("0 or 1", "0或1")
                if one.binary
                else self.say(f"{plain(one.min)} to {plain(one.max)}", f"{plain(one.min)}至{plain(one.max)}")
            )
            said.append(f"{one.code} {self.name(one.name)} {ends}")
        said.append(self.value("panel", item.panel or "plain") if item.range or item.measure else "")
        if item.raters:
            groups = self.listed([self.name(one.name) for one in item.raters])
            weights = item.weights or "/".join("1" for _ in item.raters)
            said.append(self.say(f"{groups} weigh ", f"{groups}的权重为") + self.by_reading(weights, str))
        if item.formula:
            terms = " + ".join(self.term(term, item) for term in item.formula)
            factor = f"({terms}) x {self.named(item.factor, item)}" if item.factor else terms
            said.append(self.say(f"value = {factor}", f"数值 = {factor}"))
        said.append(self.bounds(item))
        if item.runs:
            said.append(self.runs(item))
        elif item.missing:
            said.append(self.say("without any rating 0", "没有评分记0分"))
        return said

    def runs(self, item: Item) -> str:
        each = self.say("case", "案例") if item.runs == "case" else item.runs or ""
        text = self.say(f"of every {each}; ", f"按{each}分别计分，") + WORDS["over"][item.over or "mean"][self.zh]
        return text + (self.say("; what is missing is 0", "，缺的记0分") if item.missing else "")

    def term(self, term: Term, item: Item) -> str:
        plus = self.named(term.plus, item)
        if term.ratio_to:
            text = f"{plus} ÷ {self.named(term.ratio_to, item)}"
        else:
            text = f"({plus} − {self.named(term.less, item)})" if term.less else plus
            text += f" x {self.named(term.times, item)}" if term.times and term.times != "1" else ""
        return text + (
            self.say(f" (within ±{plain(term.within)})", f"（±{plain(term.within)}以内）") if term.within else ""
        )

    def named(self, code: str | None, item: Item) -> str:
        """The name of a measure or attribute; a number is itself."""
        known: tuple[Any, ...] = (*self.book.attribute, *item.measure)
        names = {one.code: self.name(one.name) for one in known}
        return self.say("the value", "评分") if code == "value" else names.get(code or "", code or "")

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
            "direct": lambda: self.say("the value is the points", "数值即得分"),
            "scale": lambda: self.scale(item, method, full),
            "table": lambda: self.table(method),
            "rank": lambda: self.rank(method, full, item.at_least),
            "bands": lambda: self.bands(method),
            "best": lambda: self.say(
                f"{self.pool(method)}, the {'lowest' if method.better == 'lower' else 'highest'} value has {whole},"
                f" the others in {'inverse ' if method.better == 'lower' else ''}proportion",
                f"{self.pool(method)}，以{'最低' if method.better == 'lower' else '最高'}者为满分{whole}，"
                f"其余按{'最低者与其' if method.better == 'lower' else '其与最高者'}之比计分",
            ),
            "level": lambda: self.say(
                f"corrected by the mean {self.pool(method)} over that of the unit's own category and group, then ",
                f"先校正：乘{self.pool(method)}的平均、除以本类别本组的平均，再",
            ) + self.scale(item, method, full),
        }  # fmt: skip
        own = self.say(f" (full points {plain(full)})", f"（满分{plain(full)}分）") if method.points is not None else ""
        return kinds[method.kind]() + own

    def pool(self, method: Method) -> str:
        return self.value("pool", method.pool)

    def scale(self, item: Item, method: Method, full: Decimal) -> str:
        of = number(method.of or (item.range.max if item.range else "1")) or Decimal(1)
        if of == full:
            return self.say("the value is the points", "数值即得分")
        return self.say(
            f"{plain(of)} is {self.points(full)}, the rest in proportion",
            f"{plain(of)}折算为{self.points(full)}，按比例",
        )

    def table(self, method: Method) -> str:
        rows = [self.say(f"{plain(x)}: {plain(p)}", f"{plain(x)}得{plain(p)}分") for x, p in method.rows]
        if method.between == "straight":
            return self.listed(rows) + self.say(", straight between", "，其间按直线内插")
        rows = [self.say(f"from {plain(x)} on {plain(p)}", f"达到{plain(x)}得{plain(p)}分") for x, p in method.rows]
        return self.listed(rows)

    def rank(self, method: Method, full: Decimal, at_least: str | None) -> str:
        order = self.say(
            *(
                ("from low to high", "按得分由低到高排名")
                if method.better == "lower"
                else ("from high to low", "按得分高低排名")
            )
        )
        step = number(method.step) or Decimal(0)
        first = self.say(f"the first has {self.points(full)}", f"第1名{self.points(full)}")
        if method.fall == "geometric":
            down = self.say(
                f"each place has {plain((1 - step) * 100)}% of the one before",
                f"每降1位得上一位的{plain((1 - step) * 100)}%",
            )
        else:
            less = plain(full * step if is_share(method.step or "") else step)
            low = plain(max(number(at_least) or Decimal(0), Decimal(0)) if at_least != "none" else Decimal(0))
            down = self.say(f"each place down {less} less, to {low}", f"每降1位减{less}分，减至{low}为止")
        pool = self.pool(method)
        rater = (
            self.say("by each rater, then the mean of the points; ", "各评委分别排名赋分后平均；") if method.per else ""
        )
        ranked = self.say(f"ranked {pool} {order}, {first}, {down}", f"{pool}{order}，{first}，{down}")
        return f"{rater}{ranked}{self.say(', ', '，')}{self.value('ties', method.ties)}"

    def bands(self, method: Method) -> str:
        order = self.say(*(("low first", "由低到高") if method.better == "lower" else ("high first", "由高到低")))
        rows = []
        for n, (share, points, code) in enumerate(method.rows):
            which = ("前", "其后", "其余")[0 if n == 0 else 2 if n == len(method.rows) - 1 else 1]
            percent = plain((number(share) or Decimal(0)) * 100) + "%"
            rows.append(self.say(f"{percent} {code} {plain(points)}", f"{which}{percent}（{code}）得{plain(points)}分"))
        text = self.say(f"by bands {self.pool(method)}, {order}: ", f"{self.pool(method)}{order}分档：") + self.listed(
            rows
        )
        return f"{text}{self.say(', ', '，')}{self.value('bands', method.rounding)}"

    # Schemes, vetoes, the rest --------------------------------------------------------------------------------------

    def scheme(self, scheme: Scheme) -> Iterator[Sentence]:
        pools = {
            "each": self.say("every category by itself", "各类别分别评"),
            "group": self.say("every category and group by itself", "各类别各组分别评"),
        }
        said = [self.by_reading(scheme.pools, lambda one: pools.get(one, self.say(f"among {one}", f"在{one}中评")))]
        if any(grade.share for grade in scheme.grade):
            of = "eligible" if scheme.pools in pools else scheme.quota_of  # language 7: there it is always the pool
            said += [self.value("quota_of", of), self.value("rounding", scheme.rounding)]
        if any(grade.share or grade.number for grade in scheme.grade):
            said += [self.value("quotas", scheme.quotas), self.value("tie", scheme.tie)]
        yield Sentence(
            f"scheme {scheme.code}",
            0,
            scheme.clause,
            f"{scheme.code} {self.name(scheme.name)}{self.say(': ', '：')}{self.join(said)}",
        )
        yield from self.noted(f"scheme {scheme.code}", 1, scheme.clause)
        for grade in scheme.grade:
            quota = self.say("no quota", "不限名额")
            if grade.share:
                quota = plain((number(grade.share) or Decimal(0)) * 100) + "%"
            elif grade.number:
                quota = self.say(f"{grade.number} units", f"{grade.number}个")
            said = [quota]
            if grade.at_least:
                share = is_share(grade.at_least)
                said.append(
                    self.say(
                        f"final at least {grade.at_least}{' of full points' if share else ''}",
                        f"总分达到{'满分的' if share else ''}{grade.at_least}",
                    )
                )
            for one in grade.require:
                what = f"{one.item} {one.of}" if one.item else one.of
                ends = [f">= {one.at_least}" if one.at_least else "", f"<= {one.at_most}" if one.at_most else ""]
                said.append(f"{what} {' '.join(filter(None, ends))}")
            if grade.individuals:
                said.append(self.say("with advanced individuals", "并评先进个人"))
            yield Sentence(
                f"scheme {scheme.code} grade {grade.code}",
                1,
                grade.clause or scheme.clause,
                f"{grade.code} {self.name(grade.name)}{self.say(': ', '：')}{self.join(said)}",
            )

    def veto(self, veto: Veto) -> str:
        said = []
        if veto.bars:
            said.append(self.say("bars from ", "不得评") + self.listed([*veto.bars]))
        if veto.grade_at_most:
            said.append(self.say(f"at most {veto.grade_at_most}", f"最高评{veto.grade_at_most}"))
        if said:
            said.append(self.say("its seat goes to the next in line", "名额由后面的单位递补"))
        if veto.zero:
            said.append(self.say(f"{veto.zero} is 0", f"{veto.zero}记0分"))
        by = self.listed([self.offices[office] for office in veto.offices])
        return (
            self.say("Veto ", "一票否决")
            + f"{veto.code} {self.name(veto.name)}{self.say(f' (by {by}): ', f'（由{by}提出）：')}{self.join(said)}"
        )

    def rest(self) -> Iterator[Sentence]:
        """Stages, readings, parameters, assumptions, excused clauses."""
        book = self.book
        if book.stage:
            stages = self.listed([f"{stage.code} {self.name(stage.name)}" for stage in book.stage])
            yield Sentence("stages", 0, None, self.say("Stages: ", "阶段依次为：") + stages)
        for reading in book.reading:
            values = self.listed([reading.values[0] + self.say(" (default)", "（默认）"), *reading.values[1:]])
            yield Sentence(
                f"reading {reading.name}",
                0,
                reading.clause,
                self.say(
                    f"Reading {reading.name}: {self.name(reading.question)} {values}",
                    f"读法{reading.name}：{self.name(reading.question)}{values}",
                ),
            )
        for one in book.parameter:
            yield Sentence(
                f"parameter {one.name}",
                0,
                one.clause,
                self.say(f"Parameter {one.name}: {one.value}", f"参数{one.name}：{one.value}"),
            )
        for n, (table, place, _, clause) in enumerate(tables(book)):
            if table.get("source") == "assumption":
                why = table.get("why", "")
                yield Sentence(f"assumption {n}", 0, clause, self.say(
                    f"Assumption, {place.say('en') or 'the whole'}: {why or 'without a reason'}",
                    f"假定，{place.say('zh') or '全文'}：{why or '未写明理由'}",
                ))  # fmt: skip
        for left in book.excused:
            yield Sentence(
                f"excused {left.clause}",
                0,
                left.clause,
                self.say(f"Clause {left.clause} has no rule: {left.why}", f"条款{left.clause}不作规则：{left.why}"),
            )
