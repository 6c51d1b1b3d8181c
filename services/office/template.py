"""The command `template`: writes an office's workbook, a sheet a kind of event it may send, its codes as drop-downs.

What `emit` reads of it: on every sheet the rows under the header of column names (row 3); rows 1 and 2, a title and
names for people, stand above it. A line that holds its kind alone is blank, so an untouched workbook sends nothing.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_range_abs
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from schemas import subjects
from schemas.refusals import Language
from schemas.rulebook import Component, Ground, Group, Item, Name, Node, Office, Rulebook
from schemas.year import Year, given
from services.command.options import Lang
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.process.settings import Settings, language, read
from services.snapshot import point
from services.snapshot.make import latest

#: Rows of title and names above the header, and of drop-downs below it.
ABOVE, OFFERED = 2, 5000


class Form(NamedTuple):
    """A sheet: the type of its rows, its names, its columns, how many of its lines name their kind already."""

    type: str
    name: tuple[str, str]
    columns: tuple[str, ...]
    lines: int


FORMS = (
    Form(
        "deduction.recorded.v1", ("Deductions", "扣分"),
        ("type", "unit", "item", "matter", "ground", "points", "node", "reason", "evidence", "time", "id"), 1000,
    ),
    Form(
        "rating.recorded.v1", ("Ratings", "评分"),
        ("type", "unit", "item", "value", "rater", "group", "component", "case", "time", "id"), 1000,
    ),
    Form("submission.recorded.v1", ("Submissions", "总结"), ("type", "unit", "item", "characters", "time", "id"), 200),
    Form("item.exempted.v1", ("Exemptions", "不适用"), ("type", "unit", "item", "reason", "time", "id"), 100),
    Form("item.closed.v1", ("Closings", "办结"), ("type", "unit", "item", "time", "id"), 50),
    Form(
        "appeal.decided.v1", ("Decisions", "申诉决定"),
        ("type", "unit", "target_source", "target_id", "outcome", "points", "reason", "time", "id"), 100,
    ),
    Form(
        "event.revoked.v1", ("Revocations", "撤销"),
        ("type", "unit", "target_source", "target_id", "reason", "time", "id"), 100,
    ),
)  # fmt: skip

#: What each column is called and holds, (English, Chinese).
LABELS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "type": (("Type", "Kind of event, given on the form's lines."), ("事件类型", "表中已填，勿改。")),
    "unit": (("Unit", "Code of the unit, from the sheet Roster."), ("单位代码", "考核对象代码，见“名单”表。")),
    "item": (("Item", "Code of the item."), ("项目", "考核项目代码。")),
    "matter": (
        ("Matter", "The reference of the matter; the same matter is deducted once."),
        ("事项", "事项编号或文号；同一事项不重复扣分。"),
    ),
    "ground": (("Ground", "One of the item's grounds."), ("扣分情形", "该项目的扣分情形。")),
    "points": (
        ("Points", "Only where the ground has a range, or a decision revises: a plain decimal as 0.5."),
        ("分值", "仅在扣分情形有幅度、或申诉改定时填写，如0.5。"),
    ),
    "node": (("Node", "Only where the item has nodes."), ("节点", "仅在该项目分节点时填写。")),
    "value": (("Value", "The rating, a plain decimal of at most 6 decimals."), ("评分", "十进制数，至多6位小数。")),
    "rater": (
        ("Rater", "Who rated; a later rating by the same rater replaces the earlier."),
        ("评分人", "同一评分人其后的评分取代此前的。"),
    ),
    "group": (("Group", "Only where the item has groups of raters."), ("评分组", "仅在该项目分组评分时填写。")),
    "component": (("Component", "Only where the item has components."), ("分项", "仅在该项目有分项时填写。")),
    "case": (("Case", "Only where the item is rated by cases."), ("实例", "仅在该项目按实例评分时填写。")),
    "characters": (("Characters", "Length of the summary, a whole number."), ("字数", "总结字数，整数。")),
    "target_source": (
        ("Target's source", "Source of the event meant, as /offices/ducha; of a decision, of its appeal."),
        ("所指来源", "所指事件的来源，如/offices/ducha；申诉决定填申诉的来源，如/units/U001。"),
    ),
    "target_id": (
        ("Target's id", "Id of the event meant, from its receipt."),
        ("所指编号", "所指事件的编号，见回执。"),
    ),
    "outcome": (("Outcome", "upheld, cancelled or revised."), ("决定", "upheld维持、cancelled取消、revised改定。")),
    "reason": (("Reason", "Why, 1 to 2,000 characters."), ("理由", "1至2000字。")),
    "evidence": (
        ("Evidence", "Optional; several with ; between them."),
        ("依据", "可空；多项之间用半角分号;分隔。"),
    ),
    "time": (
        ("Time", "When it occurred, a date or date and time of Beijing, as 2013-05-06 09:30."),
        ("发生时间", "事实发生的日期或时间（北京时间），如2013-05-06 09:30。"),
    ),
    "id": (
        ("Id", "Optional; without one a row is known by its content, and two equal rows are one."),
        ("编号", "可空；不填则按内容识别，内容相同的两行为同一事件。"),
    ),
}
EXAMPLE = {
    "unit": "U001", "matter": "批示-2013-017", "reason": "逾期未反馈", "evidence": "督查通报2013-5;办理单",
    "time": "2013-05-06 09:30", "rater": "专家1", "case": "实例1", "characters": "4200", "outcome": "upheld",
    "target_id": "9b2f0e0c-1",
}  # fmt: skip
WORDS = {
    "guide": ("Guide", "填报说明"),
    "roster": ("Roster", "名单"),
    "clauses": ("Clauses", "条款"),
    "synthetic": ("Synthetic data: the units are made up.", "合成数据：单位均为虚构。"),
    "column": ("Column", "列"),
    "meaning": ("Meaning", "含义"),
    "example": ("Example", "示例"),
    "code": ("Code", "代码"),
    "name": ("Name", "名称"),
    "category": ("Category", "类别"),
    "set": ("Group", "分组"),
    "points": ("Points", "分值"),
    "clause": ("Clause", "条款"),
    "words": ("Words of the regulation", "条文"),
    "item": ("Item", "项目"),
}
GUIDE = (
    (
        "1. Fill in a line an event; rows 1 to 3 stay. A line that only names its kind is blank.",
        "1. 在各表中每行填写一个事件；第1至3行勿动。只有事件类型的行视为空行。",
    ),
    (
        "2. See what would happen, nothing is sent: wuxing emit {file} --office {office} --dry-run",
        "2. 预演（不发送）：wuxing emit {file} --office {office} --dry-run",
    ),
    (
        "3. Send it; every row gets a receipt or a refusal with its reason: wuxing emit {file} --office {office}",
        "3. 发送，每行得到回执或拒收原因：wuxing emit {file} --office {office}",
    ),
    (
        "4. Sending the same file again changes nothing. To correct what was sent, revoke it and send another.",
        "4. 重复发送同一文件不会重复计算。更正已发送的内容：先撤销，再另行发送。",
    ),
    (
        "5. Codes, points and values are text cells and stay as typed; a date cell is Beijing time (+08:00).",
        "5. 代码、分值为文本单元格，按所填原样发送；日期单元格按北京时间（+08:00）。",
    ),
)


def template(office: str, file: Path | None = None, *, lang: Lang = None) -> int:
    """Write an office's workbook: a sheet a kind of event it may send, its codes as drop-downs, clauses as notes.

    Example: wuxing template ducha deductions.xlsx --lang zh

    Parameters
    ----------
    office
        The office's code, as in the rulebook.
    file
        Where to write it; OFFICE.xlsx without it.
    """
    chosen, year = language(lang), _year(read())
    found = next((one for one in year.rulebook.office if one.code == office), None)
    if found is None:
        listed = ", ".join(one.code for one in year.rulebook.office)
        raise Stop(
            Exit.USE,
            f"No office {office!r} in the rulebook; expected one of {listed}.",
            f"考核细则中没有责任单位{office!r}，应为：{listed}。",
        )
    path = file or Path(f"{office}.xlsx")
    with replacing(path) as draft:
        draft.write_bytes(workbook(path.name, year, found, chosen))
    print(path)
    return Exit.DONE


def _year(known: Settings) -> Year:
    """The year of the latest snapshot of this assessment, else that of the settings or the shipped pair."""
    if newest := latest(known.snapshots):
        with point.snapshot(newest) as con:
            if point.meta(con).get("assessment") == known.assessment:
                return point.year(con)
    return given(known.assessment, known.rulebook, known.roster)


def forms(book: Rulebook, office: str) -> Iterator[tuple[Form, tuple[Item, ...]]]:
    """The forms of an office, each with the items it is for and only the columns that these have."""
    own = [item for item in book.item if office in item.offices]
    deducted = tuple(item for item in own if item.method == "deduct")
    rated = tuple(item for item in own if item.method != "deduct")
    submitted = tuple(item for item in own if item.code == book.roles.submissions.item)
    items = (deducted, rated, submitted, tuple(own), tuple(own))
    for form, of in zip(FORMS, items, strict=False):
        if of:
            yield form._replace(columns=tuple(name for name in form.columns if _has(name, form, of))), of
    decides = office == book.roles.appeals.office
    yield from ((form, ()) for form in FORMS[5:] if decides or form.type != "appeal.decided.v1")


def _has(column: str, form: Form, items: Sequence[Item]) -> bool:
    """Whether a form needs a column: one that only some items have, where one of these is among them."""
    cases = [item.rules.get("cases", "one") for item in items]
    needs = {
        "points": any(ground.max for item in items for ground in item.ground),
        "case": any(rule == "best" or rule.startswith("@") for rule in cases),
        **{name: any(getattr(item, name) for item in items) for name in ("node", "group", "component")},
    }
    return column in form.columns and needs.get(column, True)


def workbook(name: str, year: Year, office: Office, lang: Language) -> bytes:
    """The workbook of an office, which speaks of itself by its file's name."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        _Template(book, year, office, lang, name).write()
    return out.getvalue()


class _Template:
    """A workbook while it is written."""

    def __init__(self, book: Workbook, year: Year, office: Office, lang: Language, name: str) -> None:
        self.book, self.year, self.office, self.name = book, year, office, name
        self.zh = lang == "zh"
        self.forms = list(forms(year.rulebook, office.code))
        base = {"font_name": "宋体", "valign": "vcenter"}
        self.title = book.add_format({**base, "bold": True, "font_size": 14})
        self.label = book.add_format({**base, "bold": True, "bg_color": "#DCE6F1", "border": 1, "text_wrap": True})
        self.header = book.add_format({**base, "font_color": "#666666", "bg_color": "#F2F2F2", "border": 1})
        self.text = book.add_format({**base, "num_format": "@"})
        self.time = book.add_format({**base, "num_format": "yyyy-mm-dd hh:mm"})
        self.wrap = book.add_format({**base, "text_wrap": True, "valign": "top"})
        book.set_properties({"title": self.named(office.name), "comments": self.notice()})

    def word(self, key: str) -> str:
        return WORDS[key][self.zh]

    def named(self, name: Name) -> str:
        return name.zh if self.zh else name.en

    def notice(self) -> str:
        return self.word("synthetic") if self.year.synthetic else ""

    def write(self) -> None:
        guide = self.book.add_worksheet(self.word("guide"))
        sheets = [(form, items, self.book.add_worksheet(form.name[self.zh])) for form, items in self.forms]
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
        place = f"{form.name[self.zh]} · {self.named(self.office.name)} · {self.year.rulebook.document}"
        sheet.write_string(0, 0, " · ".join(filter(None, (place, self.notice()))), self.title)
        for n, column in enumerate(form.columns):
            name, meaning = LABELS[column][self.zh]
            sheet.write_string(1, n, name, self.label)
            sheet.write_string(ABOVE, n, column, self.header)
            note = "\n".join((meaning, *self._clause_lines(column, items)))
            sheet.write_comment(1, n, note, {"width": 420, "height": min(400, 60 + 18 * len(note) // 24)})
            sheet.set_column(n, n, 24 if column in ("type", "reason", "evidence") else 16, self._format(column))
            rule: dict[str, Any] = {"validate": "any", "input_title": name[:32], "input_message": meaning[:255]}
            if column in offers:
                rule |= {"validate": "list", "source": offers[column], "error_type": "stop"}
            sheet.data_validation(ABOVE + 1, n, ABOVE + OFFERED, n, rule)
        for line in range(ABOVE + 1, ABOVE + 1 + form.lines):
            sheet.write_string(line, 0, form.type, self.text)
            if form.type == "item.closed.v1":
                sheet.write_string(line, 1, subjects.ASSESSMENT, self.text)
        sheet.freeze_panes(ABOVE + 1, 2)
        sheet.ignore_errors({"number_stored_as_text": f"A1:L{ABOVE + OFFERED + 1}"})

    def _format(self, column: str) -> Format:
        return self.time if column == "time" else self.text

    def _clause_lines(self, column: str, items: Sequence[Item]) -> Iterator[str]:
        """The clauses of a column's codes, with their words."""
        for item in items:
            if column == "item":
                yield f"{item.code} {self.named(item.name)} {item.clause}：{item.points.words or item.points.why or ''}"
            elif column in ("ground", "node", "component", "group"):
                for one in getattr(item, column):
                    words = getattr(one, "words", None) or getattr(one, "why", None) or ""
                    yield f"{item.code} {one.code} {self.named(one.name)}{_range(one)}：{words}"

    def _offers(self, lists: Worksheet, n: int, form: Form, items: Sequence[Item], units: str) -> dict[str, str]:
        """The drop-down of each column that has one; lists stand on a hidden sheet, eight columns a form."""
        codes: dict[str, list[str]] = {"type": [form.type]}
        if form.type == "item.closed.v1":
            codes["unit"] = [subjects.ASSESSMENT]
        if items:
            codes["item"] = [item.code for item in items]
        for name in ("ground", "node", "group", "component"):
            codes[name] = list(dict.fromkeys(one.code for item in items for one in getattr(item, name)))
        if form.type == "appeal.decided.v1":
            codes["outcome"] = ["upheld", "cancelled", "revised"]
        if form.type == "event.revoked.v1":
            codes["target_source"] = [subjects.OFFICES + self.office.code]
        offers = {} if "unit" in codes else {"unit": units}
        for column, (name, values) in enumerate(codes.items(), 8 * n):
            if values and name in form.columns:
                lists.write_column(0, column, values, self.text)
                offers[name] = f"=lists!{xl_range_abs(0, column, len(values) - 1, column)}"
        return offers

    def _table(
        self, sheet: Worksheet, names: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]
    ) -> None:
        """Names in row 2, rows under them."""
        for n, (name, width) in enumerate(zip(names, widths, strict=True)):
            sheet.write_string(1, n, name, self.label)
            sheet.set_column(n, n, width)
        for number, row in enumerate(rows, 2):
            for n, cell in enumerate(row):
                sheet.write_string(number, n, cell, self.wrap)
        sheet.freeze_panes(2, 0)

    def _roster(self, sheet: Worksheet) -> str:
        """The units; returns the range of their codes."""
        sheet.write_string(0, 0, " · ".join(filter(None, (self.word("roster"), self.notice()))), self.title)
        names = [self.word(key) for key in ("code", "name", "category", "set")]
        rows = [(unit.unit, unit.name, unit.category, unit.group) for unit in self.year.roster]
        self._table(sheet, names, rows, (12, 36, 10, 12))
        return f"='{self.word('roster')}'!{xl_range_abs(2, 0, 1 + len(rows), 0)}"

    def _clauses(self, sheet: Worksheet) -> None:
        """The office's items with their clauses and words, and their grounds, nodes, groups and components."""
        sheet.write_string(0, 0, f"{self.word('clauses')} · {self.year.rulebook.document}", self.title)
        rows: list[tuple[str, ...]] = []
        for item in (item for item in self.year.rulebook.item if self.office.code in item.offices):
            words = item.points.words or item.points.why or ""
            rows.append((item.code, "", self.named(item.name), item.points.value, item.clause, words))
            listed: tuple[Ground | Node | Group | Component, ...] = item.ground
            for one in (*listed, *item.node, *item.group, *item.component):
                words = getattr(one, "words", None) or getattr(one, "why", None) or ""
                rows.append((item.code, one.code, self.named(one.name), _range(one).strip(), item.clause, words))
        names = [self.word(key) for key in ("item", "code", "name", "points", "clause", "words")]
        self._table(sheet, names, rows, (8, 20, 30, 14, 14, 70))

    def _guide(self, sheet: Worksheet) -> None:
        """How to use the workbook, and an example of each form: here it is no row of any, so it is never sent."""
        sheet.set_column(0, 0, 18)
        sheet.set_column(1, 1, 70, self.wrap)
        sheet.set_column(2, 2, 34)
        sheet.write_string(0, 0, f"{self.named(self.office.name)} · {self.named(self.year.rulebook.name)}", self.title)
        lines = [text[self.zh].format(file=self.name, office=self.office.code) for text in GUIDE]
        for n, line in enumerate(filter(None, (self.notice(), *lines)), 1):
            sheet.write_string(n, 0, line)
        row = 8
        for form, items in self.forms:
            sheet.write_row(row + 1, 0, [form.name[self.zh], self.word("meaning"), self.word("example")], self.label)
            shown = example(form, items, self.office.code)
            for n, column in enumerate(form.columns, row + 2):
                name, meaning = LABELS[column][self.zh]
                cells = (f"{column} {name}", meaning, shown.get(column, ""))
                for at, cell in enumerate(cells):
                    sheet.write_string(n, at, cell, self.wrap)
            row += len(form.columns) + 2


def example(form: Form, items: Sequence[Item], office: str) -> dict[str, str]:
    """The filled cells of a line that the checks let pass, on the form's first item."""
    item = items[0] if items else None
    lists = ("ground", "node", "group", "component")
    known = {**EXAMPLE, **{name: one[0].code for name in lists if (one := getattr(item, name, ()))}, "type": form.type}
    known["target_source"] = f"/offices/{office}" if form.type == "event.revoked.v1" else "/units/U001"
    if item:
        known |= {"item": item.code, "value": item.value.max if item.value else "1"}
        if item.ground and item.ground[0].max:
            known["points"] = item.ground[0].max
        if "best" not in item.rules.get("cases", ""):
            del known["case"]
    if form.type == "item.closed.v1":
        known["unit"] = subjects.ASSESSMENT
    return {column: known[column] for column in form.columns if known.get(column)}


def _range(one: object) -> str:
    """The points of a ground or component, where it has any."""
    if isinstance(one, Ground) and one.max:
        least = f"{one.above} <" if one.above else f"{one.min} <="
        return f" ({least} p <= {one.max}{f', {one.step}' if one.step else ''})"
    points = getattr(one, "points", None)
    return f" ({points})" if points else ""
