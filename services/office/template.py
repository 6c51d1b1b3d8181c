"""The command `template`: writes an office's workbook, a sheet a kind of event it may send, its codes as drop-downs.

What `emit` reads of it: on every sheet the rows under the header of column names (row 3); rows 1 and 2, a title and
names for people, stand above it. A line with no more than was written on it is blank: an untouched one sends nothing.
"""

import io
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import (
    xl_col_to_name,
    xl_range_abs,
    xl_rowcol_to_cell,
)
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from schemas import subjects
from schemas.events import YEAR, day
from schemas.rulebook import (
    PARAMETERS,
    Ground,
    Item,
    Measure,
    Name,
    Raters,
    Rulebook,
    Table,
    WorkNode,
    en,
    zh,
)
from schemas.words import COLON, Both, Language, _, _p
from schemas.year import Year, given
from services.command.options import Lang
from services.command.words import word
from services.ingest.opening import year_of_folder
from services.office.present import Present, present
from services.office.sheet import CHANGES, FINALISED, KINDS, NUMBERED, OUTCOMES, THE_YEAR, TITLES, bilingual
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.process.settings import Settings, language, read
from services.reports.appeals import Appeal, listed
from services.scorer import rules, store
from services.snapshot import point, texts
from services.snapshot.make import latest

#: Rows of title and names above the header, and of drop-downs below it.
ABOVE, OFFERED = 2, 5000


class Form(NamedTuple):
    """A sheet: the type of its rows, its names, its columns, how many of its lines name their kind already."""

    type: str
    name: Both
    columns: tuple[str, ...]
    lines: int


class Prepared(NamedTuple):
    """A line that says already what it is about: its cells by column, what its value may be, hints beside it."""

    cells: dict[str, str]
    values: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


class Reached(NamedTuple):
    """How far the year is: value and adoption of each reading, ties (grade, pool, units), stages, open appeals."""

    readings: dict[str, tuple[str | None, int | None]]
    ties: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    stages: frozenset[str] = frozenset()
    appeals: tuple[Appeal, ...] = ()


_TARGET = ("target_source", "target_id")
_ENTRY = ("item", "matter", "ground", "points", "node", "reason", "evidence")
#: The columns of each kind of event beside type, unit, time and id, and the lines of its sheet that name it already.
FORMS: dict[str, tuple[tuple[str, ...], int]] = {
    "deduction.recorded.v1": (_ENTRY, 1000),
    "bonus.recorded.v1": (_ENTRY, 500),
    "rating.recorded.v1": (("item", "value", "rater", "group", "measure", "case", "period"), 1000),
    "submission.recorded.v1": (("item", "characters"), 200),
    "fact.recorded.v1": (("attribute", "value", "reason"), 200),
    "veto.recorded.v1": (("veto", "reason", "evidence"), 50),
    "approval.recorded.v1": ((*_TARGET, "outcome", "reason"), 200),
    "item.exempted.v1": (("item", "reason"), 100),
    "item.closed.v1": (("item",), 50),
    "appeal.filed.v1": ((*_TARGET, "statement"), 50),
    "appeal.decided.v1": ((*_TARGET, "outcome", "points", "reason"), 100),
    "reading.adopted.v1": (("reading", "value", "reason"), 50),
    "tie.resolved.v1": (("grade", "units", "reason"), 20),
    "unit.changed.v1": (("change", "name", "category", "unit_group", "attributes", "reason"), 50),
    "item.transferred.v1": (("item", "from", "to", "reason"), 20),
    "stage.reached.v1": (("stage",), 20),
    "text.erased.v1": ((*_TARGET, "reason"), 50),
    "event.revoked.v1": ((*_TARGET, "reason"), 100),
}

#: What goes into each column.
MEANINGS = {
    "type": _("Kind of event, given on the form's lines."),
    "unit": _("The unit's code, its name, or both as offered."),
    "item": _("The item's code, its name, or both as offered."),
    "matter": _("The reference of the matter, always written the same."),
    "ground": _("One of the item's grounds."),
    "points": _("Only where the ground has a range, or a decision revises: a plain decimal as 0.5."),
    "node": _("Only where the item has nodes."),
    "value": _("The rating, a plain decimal of at most 6 decimals."),
    "rater": _("Who rated; a later rating by the same rater replaces the earlier."),
    "group": _("Only where the item has groups of raters."),
    "measure": _("Only where the item has measures."),
    "case": _("Only where the item is rated by cases."),
    "period": _("Only where the item is rated by periods."),
    "characters": _("Length of what was submitted, a whole number."),
    "attribute": _("One of the unit's attributes."),
    "veto": _("One of the vetoes."),
    "statement": _("Why, 1 to 2,000 characters."),
    "reading": _("A reading or parameter that is adopted."),
    "grade": _("The grade through which the tie goes."),
    "units": _("The tied units in their order, with ; between them."),
    "change": _("joined, renamed, moved or left."),
    "name": _("Of a unit that joined or is renamed."),
    "category": _("Of a unit that joined or moved."),
    "unit_group": _p("group", "Of a unit that joined or moved."),
    "attributes": _("Of a unit that joined: code=value, with ; between them."),
    "from": _("The office that held the item."),
    "to": _("The office that takes it."),
    "stage": _("The stage that is reached."),
    "target_source": _("Source of the event meant, as /offices/ducha; of a decision, of its appeal."),
    "target_id": _("Id of the event meant, from its receipt."),
    "outcome": _("Of an appeal upheld, cancelled or revised; of an approval approved or rejected."),
    "reason": _("Why, 1 to 2,000 characters."),
    "evidence": _("Optional; several with ; between them."),
    "time": _("When it occurred, a date or date and time of Beijing, as 2013-05-06 09:30."),
    "id": _("Optional; without one a row is known by its content, and two equal rows are one."),
}
EXAMPLE = {
    "unit": "U001", "matter": "批示-2013-017", "reason": "逾期未反馈", "evidence": "督查通报2013-5;办理单",
    "time": "2013-05-06 09:30", "rater": "专家1", "case": "实例1", "characters": "4200", "outcome": "upheld",
    "target_id": "9b2f0e0c-1", "statement": "已按时反馈，附回执", "units": "U002;U001", "name": "（示例单位）",
    "change": "left", "value": "1", "points": "0.5",
}  # fmt: skip
WORDS = {
    "guide": _("Guide"),
    "roster": _("Roster"),
    "clauses": _("Clauses"),
    "synthetic": _("Synthetic data: the units are made up."),
    "column": _("Column"),
    "meaning": _("Meaning"),
    "example": _("Example"),
    "unit": _("Unit"),
    "code": _("Code"),
    "name": _("Name"),
    "category": _("Category"),
    "set": _("Group"),
    "points": _("Points"),
    "clause": _("Clause"),
    "words": _("Words of the regulation"),
    "item": _("Item"),
    "question": _("Question"),
    "values": _("Values"),
    "in_force": _("In force"),
    "adopted": _("Adopted by sequence"),
    "tied": _("Tied"),
    "pool": _("Pool"),
    "whole": _("0 to 999"),
    "still": _("not adopted"),
    "last": _("the last: no change counts after it"),
    "seq": _("Seq"),
    "against": _p("appeals", "Against"),
    "statement": _("Statement"),
    "due": _p("appeals", "Decision due"),
}
#: The hints beside the prepared lines of a sheet; their names begin with #, so that the reader takes none for a column.
HINTS = {
    "reading.adopted.v1": ("question", "values", "in_force", "adopted"),
    "tie.resolved.v1": ("pool", "tied"),
    "stage.reached.v1": ("name",),
    "appeal.decided.v1": ("seq", "item", "against", "statement", "due"),
}
GUIDE = (
    _("1. Fill in a line an event; rows 1 to 3 stay. A line that only names its kind is blank."),
    _("2. See first what would happen: on the desk of the page, or wuxing emit {file} --office {office} --dry-run"),
    _("3. Send it; every row has its outcome with the reason: on the desk, or wuxing emit {file} --office {office}"),
    _("4. A file sent again changes nothing. A line that differs from one sent is asked about: --replace, --as-new."),
    _("5. Codes, points and values are text cells and stay as typed; a date cell is Beijing time (+08:00)."),
)
PREPARES = _("6. Readings, ties, stages and open appeals have their lines: fill in the rest of one, and it is sent.")


def template(party: str, file: Path | None = None, *, lang: Lang = None) -> int:
    """Write a party's workbook: a sheet a kind of event it may send, its codes as drop-downs, clauses as notes.

    That of who collects has a line for each reading with its question, each tie and each stage that is to come; that of
    who decides appeals has one for each that is open.

    Example: wuxing template ducha deductions.xlsx --lang zh

    Parameters
    ----------
    party
        The code of an office of the rulebook, or of a unit, which may appeal; `collector` is the office that collects.
    file
        Where to write it; PARTY.xlsx without it.
    """
    chosen = language(lang)
    now, one, far = _found(read(), party, chosen)
    path = file or Path(f"{one[0]}.xlsx")
    with replacing(path) as draft:
        draft.write_bytes(workbook(path.name, now, one, chosen, far))
    print(path)
    return Exit.DONE


def named(year: Year, party: str) -> tuple[str, Name]:
    """Code and name of an office or unit of a year; raises Stop where it has none such."""
    offices: dict[str, Name] = {one.code: one.name for one in year.rulebook.office}
    if party == "collector" and party not in offices:
        party = year.rulebook.roles.collector
    units: dict[str, Name] = {one.unit: one.name for one in year.roster}
    parties = units | offices
    if party not in parties:
        listed = ", ".join(offices)
        raise Stop(Exit.USE, _("No office or unit {party}; offices are {listed}.", party=repr(party), listed=listed))
    return party, parties[party]


def _found(known: Settings, party: str, lang: Language) -> tuple[Present, tuple[str, Name], Reached | None]:
    """The year as the latest snapshot of this assessment has it, else the folder's or ours; a party; how far it is."""
    if newest := latest(known.snapshots):
        with point.snapshot(newest) as con:
            if point.meta(con).get("assessment") == known.assessment:
                now, far = present(point.year(con), store.changes(con)), reached(con)
                one = named(now.year, party)
                if one[0] == now.year.rulebook.roles.appeals:
                    with rules.compute(con, upto="appeal_deadline"):
                        far = far._replace(appeals=undecided(con, lang))
                return now, one, far
    year = year_of_folder(known) or given(known.assessment, known.rulebook, known.roster)
    return Present(year), named(year, party), None


def undecided(con: duckdb.DuckDBPyConnection, lang: Language) -> tuple[Appeal, ...]:
    """The appeals that are open, inside an open `rules.compute`; a statement out of line as a reader is shown it."""
    shown = texts.shown(con, lang)
    return tuple(
        msgspec.structs.replace(one, statement=shown(one.statement)) for one in listed(con) if one.state == "open"
    )


def reached(con: duckdb.DuckDBPyConnection) -> Reached:
    """How far the year of a snapshot is, but for its appeals."""
    readings = con.execute("SELECT name, value, adopted_by FROM published_reading").fetchall()
    ties = con.execute(
        "SELECT grade, pool, undecided FROM published_grade WHERE undecided <> [] ORDER BY scheme, ordinal, pool"
    ).fetchall()
    stages = con.execute(
        "SELECT e.stage FROM event AS e JOIN published_event AS p USING (seq)"
        " WHERE e.type = 'stage.reached.v1' AND p.disposition = 'counted'"
    ).fetchall()
    return Reached(
        {name: (value, adopted) for name, value, adopted in readings},
        tuple((grade, pool, tuple(units)) for grade, pool, units in ties),
        frozenset(stage for (stage,) in stages),
    )


def forms(book: Rulebook, party: str) -> Iterator[tuple[Form, tuple[Item, ...]]]:
    """The forms of a party, each with the items it is for and only the columns that these have."""
    for kind, (columns, lines) in FORMS.items():
        items = tuple(item for item in book.item if party in item.offices and _is_for(kind, item))
        if items or _sends(book, party, kind):
            known = {column for item in items for column in _columns(book, item, kind)}
            shown = [one for one in columns if one in known or one not in _OF_ITEMS or not items]
            shown = [one for one in shown if one != NUMBERED or book.attribute]
            yield Form(kind, KINDS[kind], ("type", "unit", *shown, "time", "id"), lines), items


#: Kinds of events that a unit which has left still may have.
OF_WHO_LEFT = frozenset({"event.revoked.v1", "appeal.filed.v1", "appeal.decided.v1"})
#: Parameters that say nothing where nobody takes appeals.
OF_APPEALS = frozenset({"appeal_days", "decision_days"})
#: Columns that only some items have.
_OF_ITEMS = frozenset({"points", "node", "group", "measure", "case", "period"})


def _is_for(kind: str, item: Item) -> bool:
    """Whether an office may send an event of this kind about an item of its own."""
    fit = {
        "deduction.recorded.v1": any(not ground.adds for ground in item.ground),
        "bonus.recorded.v1": any(ground.adds for ground in item.ground),
        "rating.recorded.v1": not item.entries,
        "submission.recorded.v1": item.characters is not None,
        "item.exempted.v1": True,
        "item.closed.v1": True,
    }
    return fit.get(kind, False)


def _sends(book: Rulebook, party: str, kind: str) -> bool:
    """Whether a party may send an event of a kind that is about no item of its own."""
    roles, offices = book.roles, {office.code for office in book.office}
    collects = party == roles.collector
    who = {
        "fact.recorded.v1": any(party in one.offices or (not one.offices and collects) for one in book.attribute),
        "veto.recorded.v1": any(party in one.offices for one in book.veto),
        "approval.recorded.v1": party == book.approvals and any(g.approval for i in book.item for g in i.ground),
        "appeal.filed.v1": party not in offices and roles.appeals is not None,
        "appeal.decided.v1": party == roles.appeals,
        "reading.adopted.v1": collects,
        "tie.resolved.v1": collects and bool(book.scheme),
        "unit.changed.v1": collects,
        "item.transferred.v1": collects,
        "stage.reached.v1": collects,
        "text.erased.v1": collects and bool(book.out_of_line),
        "event.revoked.v1": True,
    }
    return who.get(kind, False)


def _columns(book: Rulebook, item: Item, kind: str) -> Iterator[str]:
    """The columns that an item has of those that not every item has."""
    if kind in ("deduction.recorded.v1", "bonus.recorded.v1"):
        yield from ["points"] * any(g.max for g in item.ground if g.adds == kind.startswith("bonus"))
        yield from ["node"] * bool(item.node)
    elif kind == "rating.recorded.v1":
        yield from ["group"] * bool(item.raters) + ["measure"] * bool(item.measure)
        yield from ["case"] * (item.runs == "case") + ["period"] * (item.runs in book.periods)


def parameters(book: Rulebook) -> list[str]:
    """The parameters that say something: days of appeals only where somebody takes these, or the rulebook has them."""
    said = {one.name for one in book.parameter}
    return [one for one in PARAMETERS if one in said or one not in OF_APPEALS or book.roles.appeals]


def codes(book: Rulebook, item: Item, kind: str) -> dict[str, list[tuple[str, Name]]]:
    """The codes that a row about an item chooses from, by column, with their names."""
    adds = kind == "bonus.recorded.v1"
    return {
        "ground": [(one.code, one.name) for one in item.ground if one.adds == adds],
        "node": [(one.code, one.name) for one in item.node],
        "group": [(one.code, one.name) for one in item.raters],
        "measure": [(one.code, one.name) for one in item.measure],
        "period": [(value, value) for value in book.periods.get(item.runs or "", ())],
    }


def workbook(file: str, now: Present, party: tuple[str, Name], lang: Language, reached: Reached | None = None) -> bytes:
    """The workbook of a party, given by its code and name, which speaks of itself by its file's name."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        _Template(book, file, now, party, lang, reached or Reached({})).write()
    return out.getvalue()


class _Template:
    """A workbook while it is written."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a workbook is of
        self, book: Workbook, file: str, now: Present, party: tuple[str, Name], lang: Language, reached: Reached
    ) -> None:
        self.book, self.file, self.reached = book, file, reached
        self.now, self.year = now, now.year
        self.lang: Language = lang
        self.party, self.title_of = party[0], self.named(party[1])
        self.forms = list(forms(self.year.rulebook, self.party))
        base = {"font_name": "宋体", "valign": "vcenter"}
        self.title = book.add_format({**base, "bold": True, "font_size": 14})
        self.label = book.add_format({**base, "bold": True, "bg_color": "#DCE6F1", "border": 1, "text_wrap": True})
        self.header = book.add_format({**base, "font_color": "#666666", "bg_color": "#F2F2F2", "border": 1})
        self.text = book.add_format({**base, "num_format": "@"})
        self.time = book.add_format({**base, "num_format": "yyyy-mm-dd hh:mm"})
        self.wrap = book.add_format({**base, "text_wrap": True, "valign": "top"})
        book.set_properties({"title": self.title_of, "comments": self.notice()})

    def word(self, key: str) -> str:
        return WORDS[key].say(self.lang)

    def named(self, name: Name) -> str:
        return zh(name) if self.lang == "zh" else en(name)

    def notice(self) -> str:
        return self.word("synthetic") if self.year.synthetic else ""

    def write(self) -> None:
        guide = self.book.add_worksheet(self.word("guide"))
        sheets = [(form, items, self.book.add_worksheet(form.name.say(self.lang))) for form, items in self.forms]
        clauses = self.book.add_worksheet(self.word("clauses"))
        roster = self.book.add_worksheet(self.word("roster"))
        lists = self.book.add_worksheet("lists")
        lists.hide()
        self._guide(guide)
        self._clauses(clauses)
        units = self._roster(roster)
        for n, (form, items, sheet) in enumerate(sheets):
            self._form(sheet, form, items, self._offers(lists, n, form, items, units))

    def _form(self, sheet: Worksheet, form: Form, items: Sequence[Item], offers: dict[str, str]) -> None:
        """Title, names, header, then lines with their drop-downs; a note at each name says what goes there."""
        prepared = list(self._prepared(form.type))
        place = f"{form.name.say(self.lang)} · {self.title_of} · {self.year.rulebook.document}"
        sheet.write_string(0, 0, " · ".join(filter(None, (place, self.notice()))), self.title)
        for n, column in enumerate(form.columns):
            name, meaning = TITLES[column].say(self.lang), MEANINGS[column].say(self.lang)
            sheet.write_string(1, n, name, self.label)
            sheet.write_string(ABOVE, n, column, self.header)
            note = "\n".join((meaning, *self._clause_lines(column, form.type, items)))
            sheet.write_comment(1, n, note, {"width": 420, "height": min(400, 60 + 18 * len(note) // 24)})
            sheet.set_column(n, n, 24 if column in ("type", "reason", "evidence") else 16, self._format(column))
            rule: dict[str, Any] = {"validate": "any", "input_title": name[:32], "input_message": meaning[:255]}
            if column in offers:
                others = offers[column].startswith("=OFFSET")  # where an item has no rows, nothing is offered
                others |= (form.type, column) == ("unit.changed.v1", "unit")  # of a unit that joins the code is new
                rule |= {"validate": "list", "source": offers[column], "error_type": "warning" if others else "stop"}
            first = ABOVE + 1 + (len(prepared) if column == "value" else 0)
            sheet.data_validation(first, n, ABOVE + OFFERED, n, rule)
        for line in range(ABOVE + 1, ABOVE + 1 + form.lines + len(prepared)):
            sheet.write_string(line, 0, form.type, self.text)
            if form.type in YEAR:
                sheet.write_string(line, 1, subjects.ASSESSMENT, self.text)
        self._prepare(sheet, form, prepared)
        sheet.freeze_panes(ABOVE + 1, 2)
        sheet.ignore_errors({"number_stored_as_text": f"A1:N{ABOVE + OFFERED + 1}"})

    def _prepared(self, kind: str) -> Iterator[Prepared]:
        """The lines that say already what they are about: of who collects, and of who decides appeals."""
        book = self.year.rulebook
        if kind == "reading.adopted.v1":
            for reading in book.reading:
                yield self._adoption(reading.name, self.named(reading.question), reading.values)
            for name in parameters(book):
                yield self._adoption(name, PARAMETERS[name].say(self.lang), ())
        elif kind == "tie.resolved.v1":
            names = {grade.code: grade.name for one in book.scheme for grade in one.grade}
            for grade, pool, units in self.reached.ties:
                yield Prepared({"grade": self.shown(grade, names[grade])}, hints=(pool, ";".join(units)))
        elif kind == "stage.reached.v1":
            for stage in book.stage:
                if stage.code not in self.reached.stages:
                    yield Prepared({"stage": self.shown(stage.code, stage.name)}, hints=("",))
            yield Prepared({"stage": self.shown(*FINALISED)}, hints=(self.word("last"),))
        elif kind == "appeal.decided.v1":
            yield from map(self._decision, self.reached.appeals)

    def _decision(self, one: Appeal) -> Prepared:
        """The line of an open appeal: whose it is, what it is against, what it says, by when it is decided."""
        book = self.year.rulebook
        item = next((self.shown(item.code, item.name) for item in book.item if item.code == one.item), "")
        office = next((self.named(office.name) for office in book.office if office.code == one.office), one.office)
        claimed = one.claimed and f"{Decimal(one.claimed).normalize():f}"
        sequence = f"{self.word('seq')} {one.target}"
        against = (word(one.target_type, self.lang), sequence, one.matter, claimed, office)
        cells = {"unit": self.shown(one.unit, one.name), "target_source": one.source, "target_id": one.id}
        due = day(one.decision_due) if one.decision_due else ""
        return Prepared(cells, (), (str(one.seq), item, " · ".join(filter(None, against)), one.statement, due))

    def _adoption(self, name: str, question: str, values: tuple[str, ...]) -> Prepared:
        """The line of a reading or parameter, with its question, what it may be, what is in force and since when."""
        own = next((one.value for one in self.year.rulebook.parameter if one.name == name), "")
        in_force, adopted = self.reached.readings.get(name, (values[0] if values else own, None))
        hints = (question, " · ".join(values) or self.word("whole"), in_force or "", str(adopted or self.word("still")))
        return Prepared({"reading": name}, values, hints)

    def _prepare(self, sheet: Worksheet, form: Form, prepared: Sequence[Prepared]) -> None:
        """Write prepared lines, the drop-down of each one's values, and the hints to the right."""
        first = len(form.columns)
        for n, key in enumerate(HINTS.get(form.type, ()) if prepared else (), first):
            sheet.write_string(1, n, self.word(key), self.label)
            sheet.write_string(ABOVE, n, f"#{key}", self.header)
            sheet.set_column(n, n, 60 if key in ("question", "statement") else 24)
        for line, one in enumerate(prepared, ABOVE + 1):
            for column, cell in one.cells.items():
                sheet.write_string(line, form.columns.index(column), cell, self.text)
            if "value" in form.columns:
                whole = {"validate": "custom", "value": "=TRUE", "input_message": self.word("whole")}
                offered = {"validate": "list", "source": list(one.values), "error_type": "stop"}
                sheet.data_validation(line, form.columns.index("value"), line, form.columns.index("value"),
                                      offered if one.values else whole)  # fmt: skip
            for n, hint in enumerate(one.hints, first):
                sheet.write_string(line, n, hint, self.wrap)

    def _format(self, column: str) -> Format:
        return self.time if column == "time" else self.text

    def _clause_lines(self, column: str, kind: str, items: Sequence[Item]) -> Iterator[str]:
        """The clauses of a column's codes, with their words."""
        for item in items:
            if column == "item":
                yield f"{item.code} {self.named(item.name)} {item.clause or ''}{COLON.say(self.lang)}{_words(item)}"
            for one in self._listed(item, kind).get(column, ()):
                yield f"{item.code} {one.code} {self.named(one.name)} {_range(one)}{COLON.say(self.lang)}{_words(one)}"

    def _listed(self, item: Item, kind: str) -> dict[str, list[Any]]:
        """The tables of an item that a row of a kind names by code, by column."""
        grounds = [one for one in item.ground if one.adds == (kind == "bonus.recorded.v1")]
        rated: dict[str, list[Any]] = {"group": [*item.raters], "measure": [*item.measure]}
        return rated if kind == "rating.recorded.v1" else {"ground": grounds, "node": [*item.node]}

    def _offers(
        self, lists: Worksheet, n: int, form: Form, items: Sequence[Item], units: tuple[str, str]
    ) -> dict[str, str]:
        """The drop-down of each column that has one; lists stand on a hidden sheet, twenty columns a form.

        What is offered is code and name together, which `emit` reads as the code; where it hangs on the item, a list by
        item stands beside the items it is of, and the drop-down shows the rows of the item that the line names.
        """
        offered: dict[str, list[tuple[str, Name]]] = {"type": [(form.type, form.type)], **self._choices(form.type)}
        if form.type in YEAR:
            offered["unit"] = [(subjects.ASSESSMENT, subjects.ASSESSMENT)]
        own = [(one.unit, one.name) for one in self.year.roster if one.unit == self.party]
        if own:
            offered["unit"] = [*own]
        elif form.type == "event.revoked.v1":  # of a closing, a stage and the like too
            offered["unit"] = [THE_YEAR, *((one.unit, one.name) for one in self.year.roster)]
        if items:
            offered["item"] = [(item.code, item.name) for item in items]
        offers = {} if "unit" in offered else {"unit": units[form.type in OF_WHO_LEFT]}
        column = 20 * n
        for name, values in offered.items():
            if values and name in form.columns:
                shown = [self.shown(*one) for one in values]
                lists.write_column(0, column, shown, self.text)
                offers[name] = f"=lists!{xl_range_abs(0, column, len(shown) - 1, column)}"
                column += 1
        for name in ("ground", "node", "group", "measure", "period"):
            of_item = [
                (self.shown(item.code, item.name), self.shown(*one))
                for item in items
                for one in codes(self.year.rulebook, item, form.type)[name]
            ]
            if of_item and name in form.columns:
                lists.write_column(0, column, [item for item, __ in of_item], self.text)
                lists.write_column(0, column + 1, [one for __, one in of_item], self.text)
                of = f"lists!{xl_range_abs(0, column, len(of_item) - 1, column)}"
                here = f"${xl_col_to_name(form.columns.index('item'))}{ABOVE + 2}"
                first = f"lists!{xl_rowcol_to_cell(0, column + 1, row_abs=True, col_abs=True)}"
                offers[name] = f"=OFFSET({first},MATCH({here},{of},0)-1,0,COUNTIF({of},{here}),1)"
                column += 2
        return offers

    def shown(self, code: str, name: Name) -> str:
        """A code as the drop-downs show it, with its name."""
        return code if self.named(name) == code else f"{code} {self.named(name)}"

    def _choices(self, kind: str) -> dict[str, list[tuple[str, Name]]]:
        """The closed lists of a kind of event that hang on no item."""
        book = self.year.rulebook
        groups: list[tuple[str, Name]] = [(one.code, one.name) for one in book.group]
        groups = groups or [(one, one) for one in dict.fromkeys(unit.group for unit in self.year.roster) if one]
        offices = [(one.code, one.name) for one in book.office]
        facts = [one for one in book.attribute if self.party in (one.offices or (book.roles.collector,))]
        party = (subjects.OFFICES if self.party in dict(offices) else subjects.UNITS) + self.party
        inherited = [subjects.OFFICES + one for one in self.now.before.get(self.party, ())]
        answers = [(code, bilingual(one)) for code, one in OUTCOMES.items()]
        choices: dict[str, dict[str, list[tuple[str, Name]]]] = {
            "fact.recorded.v1": {"attribute": [(one.code, one.name) for one in facts]},
            "veto.recorded.v1": {"veto": [(one.code, one.name) for one in book.veto if self.party in one.offices]},
            "approval.recorded.v1": {"outcome": answers[3:]},
            "appeal.decided.v1": {"outcome": answers[:3]},
            "reading.adopted.v1": {"reading": [(one, one) for one in (*book.readings, *parameters(book))]},
            "tie.resolved.v1": {"grade": [(grade.code, grade.name) for one in book.scheme for grade in one.grade]},
            "unit.changed.v1": {
                "change": [(code, bilingual(one)) for code, one in CHANGES.items()],
                "category": [(one.code, one.name) for one in book.category],
                "unit_group": groups,
            },
            "item.transferred.v1": {
                "item": [(item.code, item.name) for item in book.item],
                "from": offices,
                "to": offices,
            },
            "stage.reached.v1": {"stage": [*((one.code, one.name) for one in book.stage), FINALISED]},
            "event.revoked.v1": {"target_source": [(one, one) for one in (party, *inherited)]},
        }
        return choices.get(kind, {})

    def _table(
        self, sheet: Worksheet, names: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]
    ) -> None:
        """Names in row 2, rows under them; a name begins with #, so that the reader takes none for a column of rows."""
        for n, (name, width) in enumerate(zip(names, widths, strict=True)):
            sheet.write_string(1, n, f"#{name}", self.label)
            sheet.set_column(n, n, width)
        for number, row in enumerate(rows, 2):
            for n, cell in enumerate(row):
                sheet.write_string(number, n, cell, self.wrap)
        sheet.freeze_panes(2, 0)

    def _roster(self, sheet: Worksheet) -> tuple[str, str]:
        """The units; returns the ranges of what the drop-downs show: without those that left, at the end, and all."""
        sheet.write_string(0, 0, " · ".join(filter(None, (self.word("roster"), self.notice()))), self.title)
        names = [self.word(key) for key in ("unit", "code", "name", "category", "set")]
        rows = [
            (self.shown(unit.unit, unit.name), unit.unit, unit.name, unit.category, unit.group)
            for unit in sorted(self.year.roster, key=lambda unit: unit.unit in self.now.left)
        ]
        self._table(sheet, names, rows, (40, 12, 36, 10, 12))
        ends = (1 + len(rows) - len(self.now.left), 1 + len(rows))
        here, all_ = (f"='{self.word('roster')}'!{xl_range_abs(2, 0, end, 0)}" for end in ends)
        return here, all_

    def _clauses(self, sheet: Worksheet) -> None:
        """The party's items with their clauses and words, and their grounds, nodes, groups of raters and measures."""
        sheet.write_string(0, 0, f"{self.word('clauses')} · {self.year.rulebook.document}", self.title)
        rows: list[tuple[str, ...]] = []
        for item in (item for item in self.year.rulebook.item if self.party in item.offices):
            clause = item.clause or ""
            rows.append((item.code, "", self.named(item.name), item.points, clause, _words(item)))
            listed: list[Ground | WorkNode | Raters | Measure] = [*item.ground, *item.node, *item.raters, *item.measure]
            rows += [
                (item.code, one.code, self.named(one.name), _range(one), one.clause or clause, _words(one))
                for one in listed
            ]
        names = [self.word(key) for key in ("item", "code", "name", "points", "clause", "words")]
        self._table(sheet, names, rows, (8, 20, 30, 14, 14, 70))

    def _guide(self, sheet: Worksheet) -> None:
        """How to use the workbook, and an example of each form: here it is no row of any, so it is never sent."""
        sheet.set_column(0, 0, 18)
        sheet.set_column(1, 1, 70, self.wrap)
        sheet.set_column(2, 2, 34)
        sheet.write_string(0, 0, f"{self.title_of} · {self.named(self.year.rulebook.name)}", self.title)
        roles = self.year.rulebook.roles
        guide = (*GUIDE, PREPARES) if self.party in (roles.collector, roles.appeals) else GUIDE
        lines = [text.of(file=self.file, office=self.party).say(self.lang) for text in guide]
        for n, line in enumerate(filter(None, (self.notice(), *lines)), 1):
            sheet.write_string(n, 0, line)
        row = 8
        for form, items in self.forms:
            sheet.write_row(
                row + 1, 0, [form.name.say(self.lang), self.word("meaning"), self.word("example")], self.label
            )
            shown = self._example(form, items)
            for n, column in enumerate(form.columns, row + 2):
                name, meaning = TITLES[column].say(self.lang), MEANINGS[column].say(self.lang)
                cells = (f"{column} {name}", meaning, shown.get(column, ""))
                for at, cell in enumerate(cells):
                    sheet.write_string(n, at, cell, self.wrap)
            row += len(form.columns) + 2

    def _example(self, form: Form, items: Sequence[Item]) -> dict[str, str]:
        """The filled cells of a line that the checks let pass, on the form's first item."""
        offices = {office.code for office in self.year.rulebook.office}
        choices = self._choices(form.type)
        known = {**EXAMPLE, **{name: self.shown(*values[0]) for name, values in choices.items() if values}}
        first = self.year.roster[0]
        unit = subjects.ASSESSMENT if form.type in YEAR else self.shown(first.unit, first.name)
        known |= {"type": form.type, "unit": unit}
        if form.type != "event.revoked.v1":
            known["target_source"] = f"{subjects.OFFICES}{min(offices)}"
        if items:
            item = items[0]
            listed = codes(self.year.rulebook, item, form.type)
            has = {*_columns(self.year.rulebook, item, form.type)}
            known |= {name: self.shown(*values[0]) for name, values in listed.items() if values}
            ground = next((one for one in item.ground if listed["ground"] and one.code == listed["ground"][0][0]), None)
            span = item.range or next(iter(item.measure), None)
            known |= {
                "item": self.shown(item.code, item.name),
                "value": span.max if span else "1",
                "points": (ground and ground.max) or "",
            }
            known = {name: value for name, value in known.items() if name not in _OF_ITEMS or name in has}
        if form.type == "reading.adopted.v1":
            known["value"] = next(iter(self.year.rulebook.readings.values()), ("1",))[0]
        if form.type == "unit.changed.v1":
            known = {name: value for name, value in known.items() if name in ("type", "unit", "reason", "time")}
            known["change"] = "left"
        return {column: known[column] for column in form.columns if known.get(column)}


def _words(one: Table) -> str:
    """The words of the regulation, or why a number is assumed."""
    return one.words or one.why or ""


def _range(one: Any) -> str:
    """The points of a ground, the cap of a node, the range of a measure, where there are any."""
    if getattr(one, "points", None) or getattr(one, "cap", None):
        return str(getattr(one, "points", None) or one.cap)
    if getattr(one, "max", None):
        low = f">{one.above}" if getattr(one, "above", None) else one.min
        return f"{low}–{one.max}"
    return ""
