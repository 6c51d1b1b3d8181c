"""What is wrong in a rulebook, in words of two languages: where, what was found, what is allowed, the nearest word."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from schemas.lines import lines
from schemas.refusals import Language
from schemas.told import Told

Path = tuple[str | int, ...]
#: The list is cut after so many words.
SHOWN = 24


class Place(NamedTuple):
    """A table by its path in the object, and the codes of the tables on the way to it."""

    path: Path = ()
    labels: tuple[tuple[str, str | None], ...] = ()

    def under(self, key: str, n: int | None, raw: dict[str, Any]) -> "Place":
        """A table within this one, the n-th of a list or the only one of its key."""
        code = next((raw[name] for name in ("code", "name") if isinstance(raw.get(name), str)), None)
        code = code if code is not None or n is None else f"#{n + 1}"
        return Place((*self.path, key, *(() if n is None else (n,))), (*self.labels, (key, code)))

    def say(self, lang: Language) -> str:
        """The tables as people name them: item 1.1, ground late."""
        words = [f"{TABLES.get(key, (key, key))[lang == 'zh']}{' ' if lang == 'en' else ''}{code or ''}".strip()
                 for key, code in self.labels]  # fmt: skip
        return (", " if lang == "en" else "，").join(words)


class Fault(NamedTuple):
    """One fault (错误): the table, its key, the message by its name in MESSAGES with what stands in its gaps."""

    place: Place
    key: str | None
    said: str
    gaps: tuple[Any, ...] = ()
    nearest: str | None = None

    def say(self, lang: Language) -> str:
        """The sentence without its place."""
        return say(self.said, self.gaps, lang, self.nearest)


def say(said: str, gaps: tuple[Any, ...], lang: Language, nearest: str | None = None) -> str:
    """A message by its name with its gaps filled, and the nearest right word."""
    text = _filled(MESSAGES[said], gaps, lang)
    if nearest is None:
        return text
    return text + (f'; did you mean "{nearest}"?' if lang == "en" else f"；是否应为“{nearest}”？")


class RulebookError(Told):
    """A rulebook that cannot be used; says every fault on a line of its own, in either language."""

    code = 2

    def __init__(self, faults: list[Fault], file: str | None = None, text: str | None = None) -> None:
        self.faults, self.file, self.text = faults, file, text
        super().__init__(self.say("en"))

    def say(self, lang: Language) -> str:
        """Every fault with its place, a line each."""
        return "\n".join(described(self.faults, self.file, self.text, lang))


class RosterError(Told):
    """A roster that cannot be used; says every fault, each with its line or row, in either language."""

    code = 2

    def __init__(self, said: dict[Language, str]) -> None:
        super().__init__(said["en"], said["zh"])


def described(faults: list[Fault], file: str | None, text: str | None, lang: Language) -> list[str]:
    """Each fault with the file and the line where its table begins, or its path in an object."""
    begins = lines(text) if text is not None and faults else {}
    return [_placed(fault, file, begins, lang) for fault in faults]


def _placed(fault: Fault, file: str | None, begins: dict[Path, int], lang: Language) -> str:
    path = fault.place.path
    comma, colon = (", ", ": ") if lang == "en" else ("，", "：")
    if begins:
        while path not in begins:
            path = path[:-1]
        line = f"line {begins[path]}" if lang == "en" else f"第{begins[path]}行"
    else:
        line = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path).lstrip(".")
    where = [file or "", line, fault.place.say(lang), fault.key or ""]
    return comma.join(one for one in where if one) + colon + fault.say(lang)


def quoted(value: Any) -> str:
    """What was found, as it is written, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:80] + "…"


def listed(words: Iterable[str | None]) -> Any:
    """Words as a list in a sentence; of a long one the beginning."""
    found = [word for word in words if word]
    if not found:
        return ("none",)
    return ", ".join(found) if len(found) <= SHOWN else ("and_more", ", ".join(found[:SHOWN]), str(len(found) - SHOWN))


def _gap(gap: Any, lang: Language) -> str:
    return _filled(PHRASES[gap[0]], gap[1:], lang) if isinstance(gap, tuple) else str(gap)


def _filled(texts: tuple[str, str], gaps: tuple[Any, ...], lang: Language) -> str:
    """A text with its gaps {0}, {1}, … filled; other braces are those of a rulebook."""
    return re.sub(r"\{(\d)\}", lambda gap: _gap(gaps[int(gap[1])], lang), texts[lang == "zh"])


#: Tables as people name them, (English, Chinese).
TABLES = {
    "final": ("the final", "总分"), "category": ("category", "类别"), "group": ("group", "分组"),
    "attribute": ("attribute", "属性"), "office": ("office", "单位"), "roles": ("roles", "职责"),
    "period": ("period", "周期"), "part": ("part", "部分"), "item": ("item", "项目"), "scheme": ("scheme", "等次方案"),
    "veto": ("veto", "一票否决"), "stage": ("stage", "阶段"), "reading": ("reading", "读法"),
    "parameter": ("parameter", "参数"), "excused": ("excused clause", "免列条款"), "ground": ("ground", "情形"),
    "node": ("node", "节点"), "range": ("range", "取值范围"), "measure": ("measure", "指标"),
    "raters": ("raters", "评分组"), "formula": ("term", "算式项"), "method": ("method", "计分方法"),
    "grade": ("grade", "等次"), "require": ("requirement", "条件"), "applies": ("applies", "适用范围"),
    "name": ("name", "名称"), "question": ("question", "问题"),
}  # fmt: skip

#: Parts of sentences, (English, Chinese): forms, families of codes, what was found.
PHRASES: dict[str, tuple[str, str]] = {
    # forms
    "code": ("a code of 1 to 64 letters, digits, _ . -", "1至64个字母、数字、_、.、-组成的代码"),
    "party": ("a code of 1 to 64 letters, digits, _ - (no dot)", "1至64个字母、数字、_、-组成的代码（不含点）"),
    "number": ('a number as a string, as "5" or "-0.25"', '写在引号里的数，如"5"、"-0.25"'),
    "unsigned": ('a number of 0 or more as a string, as "5" or "0.25"', '写在引号里、不小于0的数，如"5"、"0.25"'),
    "above": ('a number above 0 as a string, as "5" or "0.25"', '写在引号里、大于0的数，如"5"、"0.25"'),
    "bound": ('a number as a string, or "none"', '写在引号里的数，或"none"'),
    "share": ('a share of 0 to 1, as "5%" or "0.05"', '0至1的比例，如"5%"、"0.05"'),
    "step": ('points above 0, as "0.5", or a share, as "3%"', '大于0的分值，如"0.5"，或比例，如"3%"'),
    "least": ('points, as "9", or a share of the full points, as "75%"', '分值，如"9"，或占满分的比例，如"75%"'),
    "whole": ('a whole number as a string, as "5000"', '写在引号里的整数，如"5000"'),
    "day": ('a day of the calendar as a string, as "2014-01-10"', '写在引号里的日期，如"2014-01-10"'),
    "days": ('a whole number of 0 to 999 as a string, as "7"', '写在引号里、0至999的整数，如"7"'),
    "up_to_6": ('"0" to "6"', '"0"至"6"'),
    "up_to_8": ('"0" to "8"', '"0"至"8"'),
    "text": ("a string that is not empty", "非空的字符串"),
    "texts": ("a list of strings", "字符串的列表"),
    "table": ("a table", "一个表"),
    "tables": ("a list of tables", "表的列表"),
    "true_or_false": ("true or false", "true或false"),
    "name": ('a string, or { zh = "…", en = "…" }', '字符串，或{ zh = "…", en = "…" }'),
    "row_of_table": ("2: a value and its points", "2列：数值、得分"),
    "row_of_bands": ("3: a share, its points, a code", "3列：比例、得分、代码"),
    # TOML that does not read
    "at": ("at line {0}, column {1}", "第{0}行第{1}列"),
    "at_end": ("at its end", "末尾"),
    "no_equals": ("expected = after a key", "键后面应有="),
    "bad_value": ("the value is none; texts and numbers stand in quotes", "取值有误；文字和数都要写在引号里"),
    "no_newline": ("something follows where the line should end", "这一行到此应结束，后面还有内容"),
    "bad_statement": ("this is no table, and no key = value", "既不是表，也不是 键 = 值"),
    "unclosed": ("a [ or { is not closed", "[ 或 { 没有闭合"),
    "open_string": ("a quotation mark is not closed", "引号没有闭合"),
    "twice_toml": ("a key or table is there twice", "键或表重复"),
    "no_bracket": ("a ] is missing", "缺少 ]"),
    "syntax": ("{0}", "写法有误"),
    # what was found
    "found_number": ("{0} without quotes", "没有引号的{0}"),
    "found_bool": ("{0}", "{0}"),
    "found_date": ("the date or time {0}", "日期或时间{0}"),
    "found_table": ("a table", "一个表"),
    "found_list": ("a list of {0}", "{0}项的列表"),
    "found_null": ("null", "null"),
    "under": (" where reading {0} is {1}", "（读法{0}取{1}时）"),
    "by_default": ("", ""),
    "nothing": ("nothing", "空缺"),
    "open": ("without bound", "不限"),
    "group_of": ("group of category {0}", "类别{0}的分组"),
    "of_reading": ("{1}, a value of reading {0}", "读法{0}的取值{1}"),
    "none": ("none", "无"),
    "and_more": ("{0} and {1} more", "{0}等（另有{1}个）"),
    "every_unit": ("every unit", "所有单位"),
    # families of codes
    "office": ("office", "单位（[[office]]）"),
    "office_of_item": ("office of this item", "本项目的考核单位"),
    "category": ("category", "类别（[[category]]）"),
    "group": ("group", "分组（[[group]]）"),
    "part": ("part", "部分（[[part]]）"),
    "order_key": ("key of places (final, a part, an item, an attribute)", "名次依据（final、部分、项目、属性）"),
    "reading": ("reading", "读法（[[reading]]）"),
    "ground": ("ground of this item", "本项目的情形"),
    "attribute": ("attribute", "属性（[[attribute]]）"),
    "period": ("period, nor case", "周期（[[period]]），也不是case"),
    "term_name": (
        "measure of this item (value where it has a range), nor attribute",
        "本项目的指标（有range时为value）或属性",
    ),
    "term_name_or_number": ("measure of this item, attribute or number", "本项目的指标、属性或数"),
    "attribute_or_number": ("attribute, nor a number", "属性或数"),
    "method": ("method of this item", "本项目的计分方法"),
    "node_or_attribute": ("attribute, part or item", "属性、部分或项目"),
    "rated_item": ("item of ratings", "评分项目"),
    "measure": ("measure of that item (value where it has a range)", "该项目的指标（有range时为value）"),
    "scheme": ("scheme", "等次方案（[[scheme]]）"),
    "grade": ("grade", "等次"),
    "node": ("part or item", "部分或项目"),
    "entries": ("entries", "加减分"),
    "ratings": ("ratings", "评分"),
}

#: Every message by its name, (English, Chinese).
MESSAGES: dict[str, tuple[str, str]] = {
    # the file and its forms
    "unreadable": ("cannot be read: {0}", "无法读取：{0}"),
    "not_utf8": ("byte {0} is not UTF-8; save the file in UTF-8", "第{0}字节不是UTF-8；请以UTF-8编码保存"),
    "not_toml": ("is not TOML {0}: {1}", "{0}不是TOML：{1}"),
    "not_a_table": ("found {0}; a rulebook is one table (an object)", "写的是{0}；考核细则应是一个表（对象）"),
    "unknown_key": ("has no key {0}; allowed: {1}", "没有“{0}”这个键；可用：{1}"),
    "missing_key": ("{0} is missing; it must be written", "缺少{0}；必须写明"),
    "empty": ("is an empty list; at least one is needed", "列表是空的；至少要有一项"),
    "form": ("found {0}; allowed: {1}", "写的是{0}；应为{1}"),
    "one_of": ("found {0}; allowed: {1}", "写的是{0}；可用：{1}"),
    "no_reading_here": (
        'found "{0}", but no reading may stand here; it may at: {1}',
        '写的是"{0}"，但此处不能由读法决定；可由读法决定的有：{1}',
    ),
    # codes and what they name
    "twice": ("{0} is there twice; each needs a code of its own", "{0}重复；每个须有自己的代码"),
    "named_twice": ("{0} is named twice; once is enough", "{0}写了两次；写一次即可"),
    "measure_taken": (
        "{0} is already a part, an item or an attribute; a measure needs another code",
        "{0}已是部分、项目或属性的代码；指标须另取代码",
    ),
    "reserved": (
        "{0} means something else already and cannot be a code here; choose another",
        "{0}另有含义，不能在此作代码；请另取",
    ),
    "plain_number": (
        "{0} reads as a number in a formula; a measure or attribute needs a letter in its code",
        "{0}在算式里会被当成数；指标和属性的代码须含字母",
    ),
    "parameter_name": ("{0} is a parameter; a reading needs another name", "{0}是参数名；读法须另取名称"),
    "unknown": ("{0} is no {1}; declared: {2}", "{0}不是{1}；已有：{2}"),
    "applies_to_none": (
        "names neither categories nor groups; name at least one of them",
        "categories和groups都没有写；至少写一个",
    ),
    # readings
    "unused_reading": (
        "no key has the value {0}; every reading decides at least one",
        "没有任何键取{0}；每个读法至少决定一处",
    ),
    "one_value": ("has one value, {0}; a reading has two or more", "只有一个取值{0}；读法须有两个以上取值"),
    # numbers
    "below": ("found {0}, which is on the wrong side of {1} = {2}", "写的是{0}，越过了{1} = {2}"),
    "not_above": ("found {0}; it must be more than {1} = {2}", "写的是{0}；须大于{1} = {2}"),
    "bounds_crossed": ("the lower bound {0} is above the upper bound {1}", "下限{0}大于上限{1}"),
    "start_outside": ("found {0}; the start {1} must lie within the bounds", "写的是{0}；起点{1}须在上下限之内"),
    "zero_points": (
        'an item of points "0" whose bounds are 0 too can never count; write at_least or at_most',
        '分值为"0"、上下限也为0的项目永远不计分；请写明at_least或at_most',
    ),
    "exempt_start": (
        'found "start"; only entries with start = "0" have it; allowed: full, proportional, out',
        '写的是"start"；只有start = "0"的加减分项目可用；可用：full、proportional、out',
    ),
    # items of entries
    "other_input": (
        "{0} belongs to items of {1}, this one has input = {2}; take it out",
        "{0}属于{1}项目，本项目的input是{2}；请删去",
    ),
    "matter_each": (
        '{0} means something only where matter is "chain" or "sum"; take it out or set matter',
        '只有matter为"chain"或"sum"时{0}才有意义；请删去，或写明matter',
    ),
    "requires_itself": (
        "requires {0}, and so at last itself; it could never count",
        "要求{0}，最终要求自己；永远不会计分",
    ),
    "fixed_and_range": (
        "has points and also {0}; give points, or a range, not both",
        "既有points又有{0}；固定分值与幅度只能写一种",
    ),
    "no_amount": (
        "found: {0}; give points, or a range: min or above (one of them), and max",
        "写的是：{0}；应写points，或写幅度：min与above之一，以及max",
    ),
    "step_no_divisor": ("steps of {0} do not divide the range of {1}", "步长{0}不能整除幅度{1}"),
    "no_cap": (
        "the group of nodes {0} has no cap; give one of its nodes a cap",
        "节点组{0}没有上限；请在其中一个节点写cap",
    ),
    "other_cap": (
        "found {0}, but the group {1} has the cap {2} already; a group has one cap",
        "写的是{0}，但节点组{1}已有上限{2}；一组只有一个上限",
    ),
    "separate_start": (
        'found "0"; where the purse may be separate the start is "full"',
        '写的是"0"；purse可能为separate时，start须为"full"',
    ),
    "separate_bound": (
        "where the purse may be separate there is no {0}; take it out",
        "purse可能为separate时不能有{0}；请删去",
    ),
    "separate_adds": (
        "adds, but where the purse may be separate there are deductions only",
        "purse可能为separate时只能扣分，不能加分",
    ),
    "share_unused": (
        'shares mean something only where the purse may be "separate"; take them out or set purse',
        '只有purse可能为"separate"时share才有意义；请删去，或写明purse',
    ),
    "share_missing": (
        "has no share for {0}; each office of the item has one",
        "没有{0}的份额；本项目每个考核单位都要有",
    ),
    "share_zero": ("found a share of 0; each share is above 0", "份额为0；每份须大于0"),
    "sum": ("the shares come to {0}; allowed: the item's points {1}", "份额合计{0}；应等于项目的分值{1}"),
    # items of ratings
    "range_and_measure": ("has a range and measures; give one of them", "既有range又有measure；只能写一种"),
    "no_range": (
        "has nothing to rate: give range = { min, max }, or measures with a formula, or a formula of attributes alone",
        "没有可评的内容：请写range = { min, max }，或measure加formula，或只含属性的formula",
    ),
    "needs_formula": ("{0} needs a formula; add formula = [ … ]", "有{0}就须有算式；请加formula = [ … ]"),
    "needs_raters": (
        "{0} needs groups of raters; add raters = [ … ] or take it out",
        "有{0}就须有评分组；请加raters = [ … ]，或删去",
    ),
    "needs_runs": ("{0} needs runs; add runs or take it out", "有{0}就须有runs；请加runs，或删去"),
    "needs_method": (
        "scoring names a method, but the item has none; add method = [ … ] or take it out",
        "scoring要指明计分方法，但本项目没有method；请加method = [ … ]，或删去",
    ),
    "binary_range": (
        "is binary and has min or max; a binary measure is 0 or 1, take them out",
        "既是binary又写了min或max；binary只取0或1，请删去",
    ),
    "weights": (
        'found {0}; allowed: {1} whole numbers of 1 or more, one for each group of raters, as "{2}"',
        '写的是{0}；应为{1}个不小于1的整数，每个评分组一个，如"{2}"',
    ),
    "runs_of_attributes": (
        "a formula of attributes alone has no runs; take runs out",
        "只含属性的算式没有runs；请删去",
    ),
    "latest_case": (
        'found "latest"; of cases there is no latest; allowed: mean, best, sum',
        '写的是"latest"；case没有先后；可用：mean、best、sum',
    ),
    "case_compares": (
        "found {0}, which compares units; of cases only: direct, scale, table",
        '写的是{0}，它要比较各单位；runs = "case"时只可用：direct、scale、table',
    ),
    "ratio_alone": (
        "plus / ratio_to has no {0}; take it out or write a term of its own",
        "plus / ratio_to不能再有{0}；请删去，或另写一项",
    ),
    # methods
    "no_scoring": (
        "has several methods ({0}) and no scoring; name the one in force",
        "有几个计分方法（{0}）而没有scoring；请指明用哪一个",
    ),
    "method_key": ("{0} means nothing for the kind {1}; it belongs to: {2}", "计分方法{1}没有{0}；它属于：{2}"),
    "no_of": (
        'the kind {0} needs of = "…": there is no range whose max is above 0',
        '计分方法{0}须写of = "…"：没有最大值大于0的range',
    ),
    "scale_of_range": (
        "found {0}; an item without a method is scaled of its range's max, which must be above 0",
        "写的是{0}；没有method的项目按range的max折算，它须大于0",
    ),
    "geometric_share": (
        'found {0}; a geometric fall has a share, as "3%"',
        '写的是{0}；geometric的step须为比例，如"3%"',
    ),
    "per_rater": (
        'per = "rater" cannot stand with {0}; it needs a range, and no measures, formula, groups, runs or latest',
        'per = "rater"不能与{0}并用；它须有range，且没有指标、算式、评分组、runs和latest',
    ),
    "columns": ("found a row of {0}; allowed: {1}", "这一行有{0}列；应为{1}"),
    "not_rising": ("found {0} after {1}; the first numbers of the rows rise", "{0}排在{1}之后；各行的第一个数须递增"),
    "shares_sum": ("the shares come to {0}; allowed: 100%", "比例合计{0}；应为100%"),
    # the tree
    "in_itself": (
        "is in {0}, and so at last in itself; let in name a part above",
        "属于{0}，最终属于自己；in应指上一级部分",
    ),
    "too_deep": ("is a part on level {0}; there are at most 4 levels of parts", "是第{0}级部分；部分至多4级"),
    "weight_zero": ("found 0; under combine = {0} weights are above 0", "权重为0；在combine = {0}之下须大于0"),
    "out_of_nothing": (
        'found "out", but no part above rescales; give one combine = "rescale"',
        '写的是"out"，但上级没有重新折算的部分；请在上级写combine = "rescale"',
    ),
    "no_child": (
        "has no part or item for {0}; a part has a child for every unit that it is for",
        "对{0}没有下级部分或项目；部分对其适用的每个单位都要有下级",
    ),
    "sum_of_part": (
        "found {0}, but weight x points of its children come to {1} for {2}",
        "写的是{0}，但下级的权重×分值合计{1}（{2}）",
    ),
    "child_of_mean": (
        "weight x points is {0}; in {1}, which is combine = {2}, each child comes to {3} ({4})",
        "权重×分值为{0}；{1}是combine = {2}，每个下级都应为{3}（{4}）",
    ),
    "sum_of_final": ("found {0}, but the top level comes to {1} for {2}", "写的是{0}，但顶层合计{1}（{2}）"),
    # schemes and vetoes
    "pools": (
        'found {0}, in which {1} is no category; allowed: each, group, or as "A", "A+B", "A,B+C"; declared: {2}',
        '写的是{0}，其中{1}不是类别；可用：each、group，或类别，如"A"、"A+B"、"A,B+C"；已有：{2}',
    ),
    "pools_twice": (
        "found {0}, in which {1} is there twice; a category is in one pool only",
        "写的是{0}，其中{1}出现两次；一个类别只能在一处",
    ),
    "falling": (
        "found {0} after {1}; where quotas may be cumulative they do not fall",
        "{0}排在{1}之后；quotas可能为cumulative时不得递减",
    ),
    "share_and_number": (
        "has a share and a number; give one of them, or neither",
        "既有share又有number；只写一种，或都不写",
    ),
    "requires_nothing": ("has neither at_least nor at_most; give one of them", "at_least和at_most都没有写；至少写一个"),
    "requires_run": (
        "{0} has runs; a measure can be required only of an item without",
        "{0}有runs；只能对没有runs的项目要求指标",
    ),
    # the regulation's text
    "text_twice": (
        "line {0}: the clause {1} is there twice; each has one anchor",
        "第{0}行：条款{1}重复；每条只有一处",
    ),
    "text_loose": (
        "line {0}: stands under no clause; begin with a line {1}and its name",
        "第{0}行：不在任何条款之下；请先写一行“{1}条款名”",
    ),
    # made-up years
    "made_up_ground": (
        "counts 0 on a unit of which nothing else is known{0}; every ground must count more",
        "对没有其他记录的单位计0分{0}；每种情形都应计分",
    ),
    "made_up_worst": (
        "the worst input comes to {0}{2}; it must come to the lower bound {1}",
        "最差的情况得{0}{2}；应得下限{1}",
    ),
    "made_up_best": (
        "the best input comes to {0}{2}; it must come to the full points {1}",
        "最好的情况得{0}{2}；应得满分{1}",
    ),
    "made_up_final": (
        "the best of all comes to {0} for {1}; it must come to {2}",
        "各项都最好时{1}得{0}；应得{2}",
    ),
    "made_up_refused": ("the made-up event {0} is refused: {1}", "虚构事件{0}被拒收：{1}"),
    "made_up_breaks": ("the made-up year does not compute: {0}", "虚构年度无法计算：{0}"),
    # warnings
    "warn_words": ("the number {0} does not occur in its words {1}", "数{0}在所引原文{1}中没有"),
    "warn_source": (
        '{0}: has neither words nor source = "assumption"; say where the number comes from',
        '{0}：既没有words，也没有source = "assumption"；请写明数从哪里来',
    ),
    "warn_quote": ("{0} does not stand in text.zh.txt", "text.zh.txt中没有{0}这句话"),
    "warn_clause": ("text.zh.txt has no clause {0}", "text.zh.txt中没有条款{0}"),
    "warn_base": (
        'pools {0} are several, and shares are of all units listed; is quota_of = "eligible" meant?',
        '评选分几处（{0}），名额却按全部在册单位计算；是否应为quota_of = "eligible"？',
    ),
    # rosters
    "roster_empty": ("is empty; expected a list of units", "是空的；应为单位的列表"),
    "roster_object": (
        "is no object with unit, name, category, group",
        "不是含unit、name、category、group的对象",
    ),
    "roster_text": ("found {0}; allowed: 1 to {1} characters", "写的是{0}；应为1至{1}个字符"),
    "roster_twice": ("{0} is there twice; each unit has a code of its own", "{0}重复；每个单位须有自己的代码"),
    "roster_office": ("{0} is an office's code; a unit needs another", "{0}是考核单位的代码；单位须另取代码"),
    "roster_key": ("{0} is nothing that a unit has here; allowed: {1}", "单位没有“{0}”；可用：{1}"),
    "roster_attribute": (
        "{0} is missing; it has no default, so the roster must give it",
        "缺少{0}；它没有默认值，须在名单中给出",
    ),
    "roster_range": ("found {0}; allowed: {1} to {2}", "写的是{0}；应为{1}至{2}"),
    "roster_header": (
        "has no header among its first rows; found {0}; columns: {1}",
        "前几行没有表头；写的是{0}；应有的列：{1}",
    ),
    "roster_column": ("the column {0} is nothing; columns: {1}", "没有{0}这一列；可用的列：{1}"),
    "roster_columns": ("the column {0} is there twice; take one out", "列{0}重复；请删去一列"),
    "roster_missing": ("the column {0} is missing; it must be there", "缺少列{0}；必须有"),
    "roster_cell": ("found {0} under no column; take it out", "{0}不在任何列之下；请删去"),
    "roster_encoding": (
        "byte {0} is neither UTF-8 nor GB18030; save the file as CSV UTF-8",
        "第{0}字节既非UTF-8也非GB18030；请另存为“CSV UTF-8”",
    ),
    "roster_csv": ("is not CSV from line {0} on: {1}", "从第{0}行起不是CSV：{1}"),
    "roster_large": ("comes to more than {0} bytes when unpacked", "解压后超过{0}字节"),
    "roster_workbook": ("cannot be read as a workbook: {0}", "无法作为工作簿读取：{0}"),
    # vetoes
    "veto_of_nothing": (
        "does nothing; give bars, grade_at_most or zero",
        "没有任何后果；请写bars、grade_at_most或zero",
    ),
}
