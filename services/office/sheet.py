"""Decides what a row of a spreadsheet says: the rows under a sheet's header, and the event of a row (wire.md, CSV).

A header is the last of the rows that name two or more columns (by their code, or their title in either language) among
the first ten of a sheet; what stands above it (a title, names for people) is no data. A cell is trimmed; codes and
numbers are normalised (NFKC: full-width digits are digits), names stand for codes, and what nobody can see in a code
refuses the row. A date cell, which knows no zone, is Beijing time (+08:00), and so is a time typed the way people show
it: 2013-05-06 09:30, 2013/5/6 9:30, 2013年5月6日9时30分.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas import subjects
from schemas.events import YEAR as YEAR_TYPES
from schemas.refusals import Reason, Refusal, message, shortened
from schemas.results import canonical
from schemas.rulebook import Bilingual, Name, en, zh
from schemas.words import Both, Language, _, several, told
from schemas.year import Year
from services.office import workbook
from services.office.workbook import Cell, Line, Number, Sheet, Unusable
from services.process.ending import Exit, Stop

#: The columns of the contract, in its order, with their titles, which are read back too, so that they are of
#: the contract and not in the catalogue.
TITLES = {
    "type": Both("Type", "事件类型"),
    "unit": Both("Unit", "单位"),
    "item": Both("Item", "项目"),
    "matter": Both("Matter", "事项"),
    "ground": Both("Ground", "情形"),
    "points": Both("Points", "分值"),
    "node": Both("Node", "节点"),
    "rater": Both("Rater", "评分人"),
    "group": Both("Group of raters", "评分组"),
    "measure": Both("Measure", "指标"),
    "case": Both("Case", "实例"),
    "period": Both("Period", "周期"),
    "value": Both("Value", "评分"),
    "characters": Both("Characters", "字数"),
    "attribute": Both("Attribute", "属性"),
    "veto": Both("Veto", "否决情形"),
    "grade": Both("Grade", "等次"),
    "units": Both("Units in order", "单位顺序"),
    "reading": Both("Reading", "读法"),
    "stage": Both("Stage", "阶段"),
    "change": Both("Change", "变动"),
    "name": Both("Name", "名称"),
    "category": Both("Category", "类别"),
    "unit_group": Both("Unit's group", "分组"),
    "attributes": Both("Attributes", "各项属性"),
    "from": Both("From", "移出单位"),
    "to": Both("To", "移入单位"),
    "target_source": Both("Target's source", "所指来源"),
    "target_id": Both("Target's id", "所指编号"),
    "statement": Both("Statement", "申诉理由"),
    "outcome": Both("Outcome", "决定"),
    "reason": Both("Reason", "理由"),
    "evidence": Both("Evidence", "依据"),
    "time": Both("Time", "发生时间"),
    "id": Both("Id", "编号"),
}
#: Titles that people give the same columns.
ALIASES = {
    "单位代码": "unit", "单位名称": "unit", "考核对象": "unit", "考核项目": "item", "项目代码": "item",
    "类型": "type", "事件": "type", "扣分情形": "ground", "加分情形": "ground",
    "扣分": "points", "加分": "points", "分数": "value", "评定值": "value", "事由": "reason",
    "原因": "reason", "时间": "time", "日期": "time",
}  # fmt: skip
#: The kinds of events that a person may send, with the titles of their sheets which stand for them.
KINDS = {
    "deduction.recorded.v1": Both("Deductions", "扣分"),
    "bonus.recorded.v1": Both("Bonuses", "加分"),
    "rating.recorded.v1": Both("Ratings", "评分"),
    "submission.recorded.v1": Both("Submissions", "报送"),
    "fact.recorded.v1": Both("Facts", "属性"),
    "veto.recorded.v1": Both("Vetoes", "一票否决"),
    "approval.recorded.v1": Both("Approvals", "审批"),
    "item.exempted.v1": Both("Exemptions", "不适用"),
    "item.closed.v1": Both("Closings", "办结"),
    "appeal.filed.v1": Both("Appeals", "申诉"),
    "appeal.decided.v1": Both("Decisions", "申诉决定"),
    "reading.adopted.v1": Both("Adoptions", "确认读法"),
    "tie.resolved.v1": Both("Ties", "并列排序"),
    "unit.changed.v1": Both("Changes of units", "单位变动"),
    "item.transferred.v1": Both("Transfers", "项目移交"),
    "stage.reached.v1": Both("Stages", "阶段"),
    "text.erased.v1": Both("Erasures", "删除文本"),
    "event.revoked.v1": Both("Revocations", "撤销"),
}
#: The outcomes of an appeal and of an approval, and the changes of a unit, as people type them.
OUTCOMES = {
    "upheld": Both("upheld", "维持"), "cancelled": Both("cancelled", "取消"), "revised": Both("revised", "改定"),
    "approved": Both("approved", "同意"), "rejected": Both("rejected", "不同意"),
}  # fmt: skip
CHANGES = {
    "joined": Both("joined", "加入"), "renamed": Both("renamed", "更名"), "moved": Both("moved", "调整"),
    "left": Both("left", "退出"),
}  # fmt: skip
_ENVELOPE = {
    "type": "type",
    "unit": "subject",
    "time": "time",
    "id": "id",
    "target_source": "data.target.source",
    "target_id": "data.target.id",
}
#: The columns that are fields of the data, by the field.
DATA = {column: "group" if column == "unit_group" else column for column in TITLES if column not in _ENVELOPE}
#: The place in an event that each column is.
PATHS = {column: _ENVELOPE.get(column) or f"data.{DATA[column]}" for column in TITLES}
#: Columns that hold several texts, with `;` between them.
LISTS = ("evidence", "units")
#: The column that holds several numbers by code, as `staff=12;windows=3`.
NUMBERED = "attributes"
#: Columns of free text: trimmed and no more; the reference of a matter and the like must show all they hold.
PROSE = frozenset({"reason", "statement", "evidence", "name"})
EXACT = frozenset({"matter", "rater", "case", "target_id", "id"})
NUMBERS = frozenset({"points", "value", "characters"})
#: What a line may name before anybody has filled it in: of the year, and of an appeal.
PREPARED, OF_APPEAL = {"type", "unit", "reading", "grade", "stage"}, {"type", "unit", "target_source", "target_id"}
HEADER_WITHIN = 10
OFFSET = "+08:00"
#: A date, or a date and time, as people in China and their spreadsheets show it.
_SHOWN = re.compile(
    r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})日)"
    r"(?: ?(\d{1,2})(?::(\d{2})(?::(\d{2}))?|时(?:(\d{1,2})分(?:(\d{1,2})秒)?)?))?",
    re.ASCII,
)
_SCIENTIFIC = re.compile(r"[+-]?[0-9](\.[0-9]+)?E[+-]?[0-9]+", re.IGNORECASE)


class Row(NamedTuple):
    """A row that is data: its number as the spreadsheet shows it, its filled cells by column; `sheet` null in a CSV."""

    number: int
    cells: dict[str, Cell]
    sheet: str | None = None
    hidden: bool = False


class Unread(NamedTuple):
    """A column that is none of the contract's and is left alone, prepared lines that say no more, or a hidden sheet."""

    sheet: str | None
    column: str | None = None
    lines: int = 0


class UnusableCellError(ValueError):
    """A cell that holds what no column takes, with what is expected and found; it refuses its row and no other."""

    def __init__(self, column: str, why: Unusable) -> None:
        super().__init__(column)
        self.column, self.why = column, why


def rows(path: Path, encoding: str | None = None, *, left: list[Unread] | None = None) -> Iterator[Row]:
    """The rows of a CSV or workbook that are data, in order; raises Stop where the file cannot be used.

    `left` takes the columns that are left alone and the hidden sheets that have rows.
    """
    found, sheets = False, workbook.read(path, encoding)
    for sheet in sheets:
        top = header(sheet)
        if top is None:
            continue
        found = True
        names = {n: _column(cell) for n, cell in top.cells.items()}
        _once(path, names.values())
        unknown = [str(cell.value) for n, cell in top.cells.items() if names[n] is None]
        if left is not None:
            left += [Unread(sheet.name, one) for one in unknown if not one.startswith("#")]
        filled = [line for line in sheet.lines if line.number > top.number]
        listed = [_kinded(one) for one in (_row(sheet, names, line) for line in filled) if one]
        if sheet.name is not None:
            untouched = [one for one in listed if _is_untouched(one.cells)]
            listed = [one for one in listed if not _is_untouched(one.cells)]
            if untouched and left is not None:
                left.append(Unread(sheet.name, lines=len(untouched)))
        if sheet.hidden and listed and left is not None:
            left.append(Unread(sheet.name))
        yield from listed
    if not found:
        raise _no_header(path, sheets)


def header(sheet: Sheet) -> Line | None:
    """The line of a sheet that names its columns."""
    top = [line for line in sheet.lines if line.number <= HEADER_WITHIN]
    return next((line for line in reversed(top) if _named(line) > 1 or (_named(line) == 1 == len(line.cells))), None)


def _row(sheet: Sheet, names: dict[int, str | None], line: Line) -> Row | None:
    """A line as a row; null where it is blank or a form's line that names its kind alone."""
    cells: dict[str, Cell] = {}
    for n, cell in line.cells.items():
        if n not in names:
            cells[""] = cell  # under no column: it belongs to nothing and refuses its row
        elif (column := names[n]) is not None:
            cells[column] = cell
    if not cells or (sheet.name is not None and _is_blank_form(cells)):
        return None
    return Row(line.number, cells, sheet.name, line.hidden)


def _kinded(row: Row) -> Row:
    """A row that names no kind is of the kind that its sheet is named after: a form has fewer lines than a year."""
    kind = _SHEETS.get(unicodedata.normalize("NFKC", row.sheet or "").strip().casefold())
    return row if kind is None or "type" in row.cells else row._replace(cells={"type": Cell(kind, ""), **row.cells})


_SHEETS = {title.casefold(): kind for kind, titles in KINDS.items() for title in titles.both}


def _column(cell: Cell) -> str | None:
    """The column that a header names, by its code or a title, in any case; null where it names none."""
    text = unicodedata.normalize("NFKC", str(cell.value)).strip()
    return _HEADERS.get(text.casefold())


_HEADERS = {
    **{title.casefold(): column for title, column in ALIASES.items()},
    **{title.casefold(): column for column, titles in TITLES.items() for title in titles.both},
    **{column: column for column in TITLES},
}


def _named(line: Line) -> int:
    """How many cells of a line are names of columns."""
    return sum(isinstance(cell.value, str) and _column(cell) is not None for cell in line.cells.values())


def _once(path: Path, names: Iterable[str | None]) -> None:
    seen: set[str] = set()
    for name in filter(None, names):
        if name in seen:
            raise Stop(Exit.USE, _("{path}: the column {name} is there twice", path=path, name=name))
        seen.add(name)


def _is_blank_form(cells: dict[str, Cell]) -> bool:
    """A line of a form that says what kind of line it is, and no fact yet."""
    unit = cells["unit"].value if "unit" in cells else subjects.ASSESSMENT
    return set(cells) <= {"type", "unit"} and unit == subjects.ASSESSMENT


def _is_untouched(cells: dict[str, Cell]) -> bool:
    """A line that was prepared: it names a reading, tie or stage of the year or an open appeal, and no fact yet."""
    kind, unit = (cells[name].value if name in cells else None for name in ("type", "unit"))
    if kind == "appeal.decided.v1":
        return set(cells) <= OF_APPEAL
    return unit == subjects.ASSESSMENT and set(cells) <= PREPARED


def _no_header(path: Path, sheets: Sequence[Sheet]) -> Stop:
    """Names what stands where a header should, and what it may be."""
    shown = [line for sheet in sheets if not sheet.hidden for line in sheet.lines if line.number <= HEADER_WITHIN]
    nearest = max(shown, key=_named, default=None)
    strange = [shortened(str(cell.value)) for cell in (nearest.cells.values() if nearest else ()) if not _column(cell)]
    found, names = several(strange) if strange else _("nothing"), ", ".join(TITLES)
    where = f"{path} [{sheets[0].name}]" if len(sheets) == 1 and sheets[0].name else str(path)
    return Stop(
        Exit.USE,
        _(
            "{where}: no header among its first {header_within} rows; columns are {names}; found {found}",
            where=where,
            header_within=HEADER_WITHIN,
            names=names,
            found=found,
        ),
    )


def bilingual(words: Both) -> Name:
    """Words of ours as a rulebook has its names."""
    made: Bilingual = msgspec.convert({"zh": words.say("zh"), "en": words.say("en")}, Bilingual)
    return made


#: What an event is about that is about no unit.
THE_YEAR = (subjects.ASSESSMENT, bilingual(Both("the year", "年度")))
#: The stage that no rulebook lists.
FINALISED = ("finalised", bilingual(Both("final", "定稿")))


# Names for codes ----------------------------------------------------------------------------------------------------


class Names:
    """The codes of a year by what people write for them: the code itself, a name, or both ("1.1 领导批示")."""

    def __init__(self, year: Year) -> None:
        book = year.rulebook
        self.grouped = bool(book.group)
        offices = _labels((one.code, one.name) for one in book.office)
        self._lists: dict[str, dict[str, set[str]]] = {
            "type": _labels((kind, bilingual(titles)) for kind, titles in KINDS.items()),
            "unit": _labels([THE_YEAR, *((one.unit, one.name) for one in year.roster)]),
            "item": _labels((one.code, one.name) for one in book.item),
            "attribute": _labels((one.code, one.name) for one in book.attribute),
            "veto": _labels((one.code, one.name) for one in book.veto),
            "grade": _labels((grade.code, grade.name) for one in book.scheme for grade in one.grade),
            "stage": _labels([*((one.code, one.name) for one in book.stage), FINALISED]),
            "category": _labels((one.code, one.name) for one in book.category),
            "unit_group": _labels((one.code, one.name) for one in book.group),
            "outcome": _labels((code, bilingual(one)) for code, one in OUTCOMES.items()),
            "change": _labels((code, bilingual(one)) for code, one in CHANGES.items()),
            "from": offices,
            "to": offices,
        }
        self._of_items = {
            (item.code, column): _labels((one.code, one.name) for one in listed)
            for item in book.item
            for column, listed in (
                ("ground", item.ground),
                ("node", item.node),
                ("group", item.raters),
                ("measure", item.measure),
            )
        }

    def code(self, column: str, written: str | Number, item: str) -> str:
        """The code that a cell means, else what is written; raises UnusableCellError where it could be two."""
        known = self._of_items.get((item, column)) or self._lists.get(column, {})
        text = written if isinstance(written, str) else written.shown
        found = known.get(text.casefold(), set())
        if isinstance(written, Number):
            found = found | {one for codes in known.values() for one in codes if _equal(one, written.decimal)}
            if found and found != {text}:
                raise UnusableCellError(column, _as_text(text, found))
        if len(found) > 1:
            both = ", ".join(sorted(found))
            raise UnusableCellError(column, Unusable(_("one of the codes {both}", both=both), text))
        return next(iter(found), text)


def _as_text(text: str, codes: set[str]) -> Unusable:
    listed = ", ".join(sorted(codes))
    return Unusable(
        _("the code as text: {listed}", listed=listed),
        _("the number {text}, which may have lost a zero", text=text),
    )


def _equal(code: str, decimal: str) -> bool:
    """Whether a code is a number of the same value: 2.10 and 2.1."""
    return bool(re.fullmatch(r"[0-9]+(\.[0-9]+)?", code)) and code.rstrip("0").rstrip(".") == decimal.rstrip(
        "0"
    ).rstrip(".")


def _labels(named: Iterable[tuple[str, Name]]) -> dict[str, set[str]]:
    """Codes by everything that stands for them; a code is never another one's name."""
    found: dict[str, set[str]] = {}
    pairs = list(named)
    for code, name in pairs:
        for word in {zh(name), en(name)}:
            for label in (word, f"{code} {word}"):
                found.setdefault(unicodedata.normalize("NFKC", label).strip().casefold(), set()).add(code)
    return found | {code.casefold(): {code} for code, __ in pairs}


# Events -------------------------------------------------------------------------------------------------------------


def event(row: Row, party: str, names: Names, units: frozenset[str], lang: Language = "en") -> bytes | Refusal:
    """The event of a row that `party` sends, a unit or else an office; a cell that cannot be used refuses the row.

    Only its form is made here: what a type needs and may have, ingest's checks say.
    """
    try:
        cells = _texts(row, names)
        units_in_order = [names.code("unit", one.strip(), "") for one in cells.get("units", "").split(";")]
    except UnusableCellError as error:
        path = PATHS.get(error.column)
        reason = _REASONS.get(error.column, Reason.BAD_FIELD)
        address = row.cells[error.column].address
        expected, seen = ("value", error.why.expected), ("value", f"{told(error.why.seen, lang)} [{address}]")
        return Refusal(None, _source(party, units), None, reason, path, message(reason, path, expected, seen, lang))
    data: dict[str, Any] = {name: cells[column] for column, name in DATA.items() if column in cells}
    data |= {name: [part.strip() for part in data[name].split(";")] for name in LISTS if name in data}
    if "units" in data:
        data["units"] = units_in_order
    if (text := data.get("characters", "")).isascii() and text.isdigit() and len(text) < 16:
        data["characters"] = int(text)
    if NUMBERED in data or (cells.get("type"), cells.get("change")) == ("unit.changed.v1", "joined"):
        data[NUMBERED] = _numbered(data.get(NUMBERED, ""), names)
    if not names.grouped and (cells.get("type"), cells.get("change")) in IN_A_GROUP:
        data.setdefault("group", "")  # which no cell can say
    target = {key: cells[f"target_{key}"] for key in ("source", "id") if f"target_{key}" in cells}
    if target:
        data["appeal" if cells.get("type") == "appeal.decided.v1" else "target"] = target
    content = {"type": cells.get("type"), "subject": cells.get("unit"), "time": cells.get("time"), "data": data}
    content = {name: value for name, value in content.items() if value is not None}
    made = {"specversion": "1.0", "id": cells.get("id") or identifier(content), "source": _source(party, units)}
    return msgspec.json.encode(made | content)


def _numbered(text: str, names: Names) -> dict[str, str]:
    """The attributes of a unit that joins, by code; none where the cell is empty."""
    pairs = (one.partition("=") for one in text.split(";") if one.strip())
    return {names.code("attribute", code.strip(), ""): value.strip() for code, __, value in pairs}


#: The changes of a unit that say its group.
IN_A_GROUP = {("unit.changed.v1", "joined"), ("unit.changed.v1", "moved")}
_REASONS = {"type": Reason.NOT_CLOUDEVENT, "id": Reason.NOT_CLOUDEVENT, "": Reason.UNKNOWN_FIELD}


def identifier(content: dict[str, Any]) -> str:
    """The id of an event that was given none: 32 hex digits of the SHA-256 of its type, subject, time and data.

    Never of its place: a row that was moved stays the same event.
    """
    return hashlib.sha256(canonical(content)).hexdigest()[:32]


def _source(party: str, units: frozenset[str]) -> str:
    return (subjects.UNITS if party in units else subjects.OFFICES) + party


def _texts(row: Row, names: Names) -> dict[str, str]:
    """The cells of a row as the contract has them, texts; the item first, since other names hang on it."""
    texts: dict[str, str] = {}
    for column in sorted(row.cells, key=lambda one: (one != "item", one)):
        texts[column] = _text(column, row.cells[column].value, names, texts.get("item", ""))
    if texts.get("type") in YEAR_TYPES:
        texts.setdefault("unit", subjects.ASSESSMENT)
    return texts


def _text(column: str, value: workbook.Value, names: Names, item: str) -> str:
    """A cell as the contract has it, a text; raises UnusableCellError."""
    if not column:
        listed = ", ".join(TITLES)
        raise UnusableCellError(
            column,
            Unusable(
                _("one of the columns {listed}", listed=listed),
                _("{value} under no column", value=_seen(value)),
            ),
        )
    if isinstance(value, Unusable):
        raise UnusableCellError(column, value)
    if isinstance(value, date):
        if column != "time":
            expected = _("text; format the cell as text and type it again")
            raise UnusableCellError(column, Unusable(expected, _("the date {value}", value=value)))
        return f"{workbook.moment(value).isoformat()}{OFFSET}"
    if column in NUMBERS:
        return _visible(column, value) if isinstance(value, str) else value.decimal
    if isinstance(value, Number):
        return value.shown if column in EXACT | PROSE else names.code(column, value, item)
    if column in PROSE:
        return value.strip()
    text = _visible(column, value)
    if column in EXACT:
        return text
    return _typed(text) if column == "time" else names.code(column, text, item)


def _seen(value: object) -> str:
    return shortened(value.shown if isinstance(value, Number) else str(value))


def _visible(column: str, value: str) -> str:
    """A text trimmed and, but for references, normalised; what nobody can see in it is named."""
    text = value.strip() if column in EXACT else unicodedata.normalize("NFKC", value).strip()
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Co", "Cs"):
            name = f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()
            expected = _("text that can be seen whole")
            raise UnusableCellError(
                column, Unusable(expected, _("{text} with {name}", text=shortened(text), name=name))
            )
    if column != "time" and column not in NUMBERS and _SCIENTIFIC.fullmatch(text):
        expected = _("the text before the program shortened it")
        raise UnusableCellError(column, Unusable(expected, text))
    return text


def _typed(text: str) -> str:
    """A time typed as people show it as RFC 3339; any other text, and a day that never was, stays as it is."""
    if shown := _SHOWN.fullmatch(text):
        year, __, *rest = shown.groups()
        month, day = rest[0] or rest[2], rest[1] or rest[3]
        hour, minute, second = rest[4], rest[5] or rest[7], rest[6] or rest[8]
        with suppress(ValueError):
            parts = (int(one or 0) for one in (year, month, day, hour, minute, second))
            return f"{datetime(*parts).isoformat()}{OFFSET}"  # type: ignore[arg-type]  # noqa: DTZ001 - Beijing's, said beside it
    return text
