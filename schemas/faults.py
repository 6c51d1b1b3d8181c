"""What is wrong in a rulebook, in words: where, what was found, what is allowed, the nearest word."""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from schemas.lines import lines
from schemas.told import Told
from schemas.words import CLAUSE, COLON, Language, Text, _, _p, told

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
        words = [
            _("{table} {code}", table=TABLES.get(key, key), code=code).say(lang)
            if code
            else told(TABLES.get(key, key), lang)
            for key, code in self.labels
        ]
        return CLAUSE.say(lang).join(words)


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
    text = _filled(MESSAGES[said], gaps)
    return _('{fault}; did you mean "{nearest}"?', fault=text, nearest=nearest).say(lang) if nearest else text.say(lang)


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

    def __init__(self, said: Callable[[Language], str]) -> None:
        super().__init__(said("en"))
        self.said = said

    def say(self, lang: Language) -> str:
        """Every fault with its place, a line each."""
        return self.said(lang)


def described(faults: list[Fault], file: str | None, text: str | None, lang: Language) -> list[str]:
    """Each fault with the file and the line where its table begins, or its path in an object."""
    begins = lines(text) if text is not None and faults else {}
    return [_placed(fault, file, begins, lang) for fault in faults]


def _placed(fault: Fault, file: str | None, begins: dict[Path, int], lang: Language) -> str:
    path = fault.place.path
    if begins:
        while path not in begins:
            path = path[:-1]
        line = _("line {line}", line=begins[path]).say(lang)
    else:
        line = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path).lstrip(".")
    where = [one for one in (file, line, fault.place.say(lang), fault.key) if one]
    return COLON.say(lang).join([*([CLAUSE.say(lang).join(where)] if where else []), fault.say(lang)])


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


def _gap(gap: Any) -> Any:
    return _filled(PHRASES[gap[0]], gap[1:]) if isinstance(gap, tuple) else gap


def _filled(text: Text, gaps: tuple[Any, ...]) -> Text:
    """A text with its gaps {0}, {1}, … filled; other braces are those of a rulebook."""
    return text.of(**{str(n): _gap(gap) for n, gap in enumerate(gaps)})


#: Tables as people name them.
TABLES = {
    "final": _("the final"), "category": _("category"), "group": _("group"),
    "attribute": _("attribute"), "office": _("office"), "roles": _("roles"),
    "period": _("period"), "part": _("part"), "item": _("item"), "scheme": _("scheme"),
    "veto": _("veto"), "stage": _("stage"), "reading": _("reading"),
    "parameter": _("parameter"), "excused": _("excused clause"), "ground": _("ground"),
    "node": _("node"), "range": _("range"), "measure": _("measure"),
    "raters": _("raters"), "formula": _("term"), "method": _("method"),
    "grade": _("grade"), "require": _("requirement"), "applies": _("applies"),
    "name": _("name"), "question": _("question"),
}  # fmt: skip

#: Parts of sentences: forms, families of codes, what was found.
PHRASES: dict[str, Text] = {
    # forms
    "code": _("a code of 1 to 64 letters, digits, _ . -"),
    "party": _("a code of 1 to 64 letters, digits, _ - (no dot)"),
    "number": _('a number as a string, as "5" or "-0.25"'),
    "unsigned": _('a number of 0 or more as a string, as "5" or "0.25"'),
    "above": _('a number above 0 as a string, as "5" or "0.25"'),
    "bound": _('a number as a string, or "none"'),
    "share": _('a share of 0 to 1, as "5%" or "0.05"'),
    "step": _('points above 0, as "0.5", or a share, as "3%"'),
    "least": _('points, as "9", or a share of the full points, as "75%"'),
    "whole": _('a whole number as a string, as "5000"'),
    "day": _('a day of the calendar as a string, as "2014-01-10"'),
    "days": _('a whole number of 0 to 999 as a string, as "7"'),
    "up_to_6": _('"0" to "6"'),
    "up_to_8": _('"0" to "8"'),
    "text": _("a string that is not empty"),
    "texts": _("a list of strings"),
    "table": _("a table"),
    "tables": _("a list of tables"),
    "true_or_false": _("true or false"),
    "name": _('a string, or { zh = "…", en = "…" }'),
    "row_of_table": _("2: a value and its points"),
    "row_of_bands": _("3: a share, its points, a code"),
    # TOML that does not read
    "at": _("at line {0}, column {1}"),
    "at_end": _("at its end"),
    "no_equals": _("expected = after a key"),
    "bad_value": _("the value is none; texts and numbers stand in quotes"),
    "no_newline": _("something follows where the line should end"),
    "bad_statement": _("this is no table, and no key = value"),
    "unclosed": _("a [ or { is not closed"),
    "open_string": _("a quotation mark is not closed"),
    "twice_toml": _("a key or table is there twice"),
    "no_bracket": _("a ] is missing"),
    "syntax": _p("not TOML", "{0}"),
    # what was found
    "found_number": _("{0} without quotes"),
    "found_bool": Text("{0}"),
    "found_date": _("the date or time {0}"),
    "found_table": _("a table"),
    "found_list": _("a list of {0}"),
    "found_null": Text("null"),
    "under": _(" where reading {0} is {1}"),
    "by_default": Text(""),
    "nothing": _("nothing"),
    "open": _("without bound"),
    "group_of": _("group of category {0}"),
    "of_reading": _("{1}, a value of reading {0}"),
    "none": _("none"),
    "and_more": _("{0} and {1} more"),
    "every_unit": _("every unit"),
    # families of codes
    "office": _p("declared", "office"),
    "office_of_item": _("office of this item"),
    "category": _p("declared", "category"),
    "group": _p("declared", "group"),
    "part": _p("declared", "part"),
    "order_key": _("key of places (final, a part, an item, an attribute)"),
    "reading": _p("declared", "reading"),
    "ground": _("ground of this item"),
    "attribute": _p("declared", "attribute"),
    "period": _("period, nor case"),
    "term_name": _("measure of this item (value where it has a range), nor attribute"),
    "term_name_or_number": _("measure of this item, attribute or number"),
    "attribute_or_number": _("attribute, nor a number"),
    "method": _("method of this item"),
    "node_or_attribute": _("attribute, part or item"),
    "rated_item": _("item of ratings"),
    "measure": _("measure of that item (value where it has a range)"),
    "scheme": _p("declared", "scheme"),
    "grade": _("grade"),
    "node": _("part or item"),
    "entries": _("entries"),
    "ratings": _("ratings"),
}

#: Every message by its name.
MESSAGES: dict[str, Text] = {
    # the file and its forms
    "unreadable": _("cannot be read: {0}"),
    "not_utf8": _("byte {0} is not UTF-8; save the file in UTF-8"),
    "not_toml": _("is not TOML {0}: {1}"),
    "not_a_table": _("found {0}; a rulebook is one table (an object)"),
    "unknown_key": _("has no key {0}; allowed: {1}"),
    "missing_key": _("{0} is missing; it must be written"),
    "empty": _("is an empty list; at least one is needed"),
    "form": _("found {0}; allowed: {1}"),
    "one_of": _p("one of", "found {0}; allowed: {1}"),
    "no_reading_here": _('found "{0}", but no reading may stand here; it may at: {1}'),
    # codes and what they name
    "twice": _("{0} is there twice; each needs a code of its own"),
    "named_twice": _("{0} is named twice; once is enough"),
    "measure_taken": _("{0} is already a part, an item or an attribute; a measure needs another code"),
    "reserved": _("{0} means something else already and cannot be a code here; choose another"),
    "plain_number": _("{0} reads as a number in a formula; a measure or attribute needs a letter in its code"),
    "parameter_name": _("{0} is a parameter; a reading needs another name"),
    "unknown": _("{0} is no {1}; declared: {2}"),
    "applies_to_none": _("names neither categories nor groups; name at least one of them"),
    # readings
    "unused_reading": _("no key has the value {0}; every reading decides at least one"),
    "one_value": _("has one value, {0}; a reading has two or more"),
    # numbers
    "below": _("found {0}, which is on the wrong side of {1} = {2}"),
    "not_above": _("found {0}; it must be more than {1} = {2}"),
    "bounds_crossed": _("the lower bound {0} is above the upper bound {1}"),
    "start_outside": _("found {0}; the start {1} must lie within the bounds"),
    "zero_points": _('an item of points "0" whose bounds are 0 too can never count; write at_least or at_most'),
    "exempt_start": _('found "start"; only entries with start = "0" have it; allowed: full, proportional, out'),
    # items of entries
    "other_input": _("{0} belongs to items of {1}, this one has input = {2}; take it out"),
    "matter_each": _('{0} means something only where matter is "chain" or "sum"; take it out or set matter'),
    "requires_itself": _("requires {0}, and so at last itself; it could never count"),
    "fixed_and_range": _("has points and also {0}; give points, or a range, not both"),
    "no_amount": _("found: {0}; give points, or a range: min or above (one of them), and max"),
    "step_no_divisor": _("steps of {0} do not divide the range of {1}"),
    "no_cap": _("the group of nodes {0} has no cap; give one of its nodes a cap"),
    "other_cap": _("found {0}, but the group {1} has the cap {2} already; a group has one cap"),
    "separate_start": _('found "0"; where the purse may be separate the start is "full"'),
    "separate_bound": _("where the purse may be separate there is no {0}; take it out"),
    "separate_adds": _("adds, but where the purse may be separate there are deductions only"),
    "share_unused": _('shares mean something only where the purse may be "separate"; take them out or set purse'),
    "share_missing": _("has no share for {0}; each office of the item has one"),
    "share_zero": _("found a share of 0; each share is above 0"),
    "sum": _("the shares come to {0}; allowed: the item's points {1}"),
    # items of ratings
    "range_and_measure": _("has a range and measures; give one of them"),
    "no_range": _(
        "has nothing to rate: give range = { min, max }, or measures with a formula, or a formula of attributes alone"
    ),
    "needs_formula": _("{0} needs a formula; add formula = [ … ]"),
    "needs_raters": _("{0} needs groups of raters; add raters = [ … ] or take it out"),
    "needs_runs": _("{0} needs runs; add runs or take it out"),
    "needs_method": _("scoring names a method, but the item has none; add method = [ … ] or take it out"),
    "binary_range": _("is binary and has min or max; a binary measure is 0 or 1, take them out"),
    "weights": _('found {0}; allowed: {1} whole numbers of 1 or more, one for each group of raters, as "{2}"'),
    "runs_of_attributes": _("a formula of attributes alone has no runs; take runs out"),
    "latest_case": _('found "latest"; of cases there is no latest; allowed: mean, best, sum'),
    "case_compares": _("found {0}, which compares units; of cases only: direct, scale, table"),
    "ratio_alone": _("plus / ratio_to has no {0}; take it out or write a term of its own"),
    # methods
    "no_scoring": _("has several methods ({0}) and no scoring; name the one in force"),
    "method_key": _("{0} means nothing for the kind {1}; it belongs to: {2}"),
    "no_of": _('the kind {0} needs of = "…": there is no range whose max is above 0'),
    "scale_of_range": _("found {0}; an item without a method is scaled of its range's max, which must be above 0"),
    "geometric_share": _('found {0}; a geometric fall has a share, as "3%"'),
    "per_rater": _(
        'per = "rater" cannot stand with {0}; it needs a range, and no measures, formula, groups, runs or latest'
    ),
    "columns": _("found a row of {0}; allowed: {1}"),
    "not_rising": _("found {0} after {1}; the first numbers of the rows rise"),
    "shares_sum": _("the shares come to {0}; allowed: 100%"),
    # the tree
    "in_itself": _("is in {0}, and so at last in itself; let in name a part above"),
    "too_deep": _("is a part on level {0}; there are at most 4 levels of parts"),
    "weight_zero": _("found 0; under combine = {0} weights are above 0"),
    "out_of_nothing": _('found "out", but no part above rescales; give one combine = "rescale"'),
    "no_child": _("has no part or item for {0}; a part has a child for every unit that it is for"),
    "sum_of_part": _(
        "found {0}, but weight x points of its children come to {1} for {2};"
        ' where they are to be rescaled, give combine = "rescale"'
    ),
    "child_of_mean": _("weight x points is {0}; in {1}, which is combine = {2}, each child comes to {3} ({4})"),
    "sum_of_final": _("found {0}, but the top level comes to {1} for {2}"),
    # schemes and vetoes
    "pools": _(
        'found {0}, in which {1} is no category; allowed: each, group, or as "A", "A+B", "A,B+C"; declared: {2}'
    ),
    "pools_twice": _("found {0}, in which {1} is there twice; a category is in one pool only"),
    "falling": _("found {0} after {1}; where quotas may be cumulative they do not fall"),
    "share_and_number": _("has a share and a number; give one of them, or neither"),
    "requires_nothing": _("has neither at_least nor at_most; give one of them"),
    "requires_run": _("{0} has runs; a measure can be required only of an item without"),
    # the regulation's text
    "text_twice": _("line {0}: the clause {1} is there twice; each has one anchor"),
    "text_loose": _("line {0}: stands under no clause; begin with a line {1}and its name"),
    # made-up years
    "made_up_ground": _("counts 0 on a unit of which nothing else is known{0}; every ground must count more"),
    "made_up_worst": _("the worst input comes to {0}{2}; it must come to the lower bound {1}"),
    "made_up_best": _("the best input comes to {0}{2}; it must come to the full points {1}"),
    "made_up_final": _("the best of all comes to {0} for {1}; it must come to {2}"),
    "made_up_refused": _("the made-up event {0} is refused: {1}"),
    "made_up_breaks": _("the made-up year does not compute: {0}"),
    # warnings
    "warn_words": _("the number {0} does not occur in its words {1}"),
    "warn_source": _('{0}: has neither words nor source = "assumption"; say where the number comes from'),
    "warn_quote": _("{0} does not stand in text.zh.txt"),
    "warn_clause": _("text.zh.txt has no clause {0}"),
    "warn_base": _('pools {0} are several, and shares are of all units listed; is quota_of = "eligible" meant?'),
    # rosters
    "roster_empty": _("is empty; expected a list of units"),
    "roster_object": _("is no object with unit, name, category, group"),
    "roster_text": _("found {0}; allowed: 1 to {1} characters"),
    "roster_twice": _("{0} is there twice; each unit has a code of its own"),
    "roster_office": _("{0} is an office's code; a unit needs another"),
    "roster_key": _("{0} is nothing that a unit has here; allowed: {1}"),
    "roster_attribute": _("{0} is missing; it has no default, so the roster must give it"),
    "roster_range": _("found {0}; allowed: {1} to {2}"),
    "roster_header": _("has no header among its first rows; found {0}; columns: {1}"),
    "roster_column": _("the column {0} is nothing; columns: {1}"),
    "roster_columns": _("the column {0} is there twice; take one out"),
    "roster_missing": _("the column {0} is missing; it must be there"),
    "roster_cell": _("found {0} under no column; take it out"),
    "roster_encoding": _("byte {0} is neither UTF-8 nor GB18030; save the file as CSV UTF-8"),
    "roster_csv": _("is not CSV from line {0} on: {1}"),
    "roster_large": _("comes to more than {0} bytes when unpacked"),
    "roster_workbook": _("cannot be read as a workbook: {0}"),
    # vetoes
    "veto_of_nothing": _("does nothing; give bars, grade_at_most or zero"),
}
