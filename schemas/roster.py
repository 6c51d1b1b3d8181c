"""The roster (单位名单): the units of an assessment, each with its category, group and attributes (language 2)."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from python_calamine import CalamineWorkbook

from schemas import rulebook
from schemas.events import SIGNED
from schemas.faults import RosterError, listed, quoted, say
from schemas.rulebook import SHIPPED, Attribute, Rulebook, en, number, zh
from schemas.shape import nearest
from schemas.words import CLAUSE, COLON, Language, _

FIELDS = ("unit", "name", "category", "group")
#: The headers that stand for the four columns in a Chinese table.
HEADERS = {"单位": "unit", "名称": "name", "类别": "category", "分组": "group"}
TEXT_MAX = 200
UNIT = re.compile(rulebook.PARTY)
DECIMAL = re.compile(SIGNED)
#: A header may stand under a title, within so many rows.
HEADER_WITHIN = 10
#: Bytes that a workbook may come to when it is unpacked.
UNPACKED_MAX = 256 * 1024 * 1024


class Unit(msgspec.Struct, frozen=True, gc=False):
    """A unit (单位): its code, name, category (类别), group (分组) and the attributes (属性) that the roster gives."""

    unit: str
    name: str
    category: str
    group: str
    attributes: dict[str, str] = {}


class RosterFault(NamedTuple):
    """One fault of a roster: the row from 0 (null: the list), its key, whether the key is unknown, and the words."""

    row: int | None
    key: str | None
    unknown: bool
    words: str


# A roster as a list of objects ----------------------------------------------------------------------------------------


def read(rows: Sequence[Mapping[str, Any]]) -> tuple[Unit, ...]:
    """Units of rows that have no faults."""
    return tuple(
        Unit(row["unit"], row["name"], row["category"], row["group"], {**row.get("attributes", {})}) for row in rows
    )


def plain(units: Iterable[Unit]) -> list[dict[str, Any]]:
    """The list of objects that an opening holds of a roster."""
    found: list[dict[str, Any]] = []
    for unit in units:
        row: dict[str, Any] = {field: getattr(unit, field) for field in FIELDS}
        found.append(row | {"attributes": dict(unit.attributes)} if unit.attributes else row)
    return found


def faults(rows: Any, book: Rulebook, lang: Language = "en") -> Iterator[RosterFault]:
    """Every fault of a roster given as plain objects, row by row, keys in the order of a unit's fields."""
    if not isinstance(rows, list) or not rows:
        yield RosterFault(None, None, False, say("roster_empty", (), lang))
        return
    seen: set[str] = set()
    known = _Known(book)
    for n, row in enumerate(rows):
        if not isinstance(row, dict):
            yield RosterFault(n, None, False, say("roster_object", (), lang))
            continue
        code = row.get("unit")
        if isinstance(code, str) and code in seen:
            yield RosterFault(n, "unit", False, say("roster_twice", (quoted(code),), lang))
        seen.add(code if isinstance(code, str) else "")
        for key, said, gaps, near in _of_unit(row, known):
            yield RosterFault(n, key, said == "roster_key", say(said, gaps, lang, near))


#: A key, the message, what stands in its gaps, the nearest right word.
Said = tuple[str, str, tuple[Any, ...], str | None]


class _Known:
    """What the units of a rulebook may have; looked up for each of many units."""

    def __init__(self, book: Rulebook) -> None:
        self.offices = {office.code for office in book.office}
        self.categories = [category.code for category in book.category]
        self.attributes = {attribute.code: attribute for attribute in book.attribute}
        self.groups = {
            category: [group.code for group in book.group if group.category in (None, category)]
            for category in (None, *self.categories)
        } if book.group else {}  # fmt: skip


def _of_unit(row: dict[str, Any], known: _Known) -> Iterator[Said]:
    """Faults of one unit by itself."""
    for field in FIELDS:
        text = row.get(field)
        if field == "group" and text == "" and not known.groups:
            continue
        if not isinstance(text, str) or not 1 <= len(text) <= TEXT_MAX:
            yield field, "roster_text", (quoted(text) if field in row else ("nothing",), str(TEXT_MAX)), None
        elif field == "unit":
            yield from _unit(text, known)
        elif field == "category" and text not in known.categories:
            yield (
                field,
                "unknown",
                (quoted(text), ("category",), listed(known.categories)),
                nearest(text, known.categories),
            )
        elif field == "group" and known.groups:
            yield from _group(text, row.get("category"), known)
    if known.attributes or row.get("attributes", _NONE) != _NONE:
        yield from _attributes(row.get("attributes", {}), known)
    for key in row if row.keys() - _KEYS else ():
        if key not in _KEYS:
            yield key, "roster_key", (key, ", ".join(_KEYS)), nearest(key, _KEYS)


_KEYS = dict.fromkeys((*FIELDS, "attributes")).keys()
_NONE: dict[str, str] = {}


def _unit(text: str, known: _Known) -> Iterator[Said]:
    if not UNIT.fullmatch(text):
        yield "unit", "form", (quoted(text), ("party",)), None
    elif text == "assessment":
        yield "unit", "reserved", (quoted(text),), None
    elif text in known.offices:
        yield "unit", "roster_office", (quoted(text),), None


def _group(text: str, category: Any, known: _Known) -> Iterator[Said]:
    """Where groups are declared the group is one of them and of the unit's category."""
    groups = known.groups.get(category if isinstance(category, str) else None, known.groups[None])
    if text not in groups:
        yield "group", "unknown", (quoted(text), ("group_of", str(category)), listed(groups)), nearest(text, groups)


def _attributes(given: Any, known: _Known) -> Iterator[Said]:
    """Each attribute in its form and range; one without default is there."""
    if not isinstance(given, dict):
        yield "attributes", "form", (quoted(given), ("table",)), None
        return
    for code, attribute in known.attributes.items():
        if code in given:
            yield from attribute_faults(attribute, given[code])
        elif attribute.default is None:
            yield f"attributes.{code}", "roster_attribute", (quoted(code),), None
    for code in given:
        if code not in known.attributes:
            yield f"attributes.{code}", "roster_key", (code, listed(known.attributes)), nearest(code, known.attributes)


def attribute_faults(attribute: Attribute, text: Any) -> Iterator[Said]:
    """The form and the range of an attribute's value."""
    key = f"attributes.{attribute.code}"
    if not isinstance(text, str) or len(text) > TEXT_MAX or not DECIMAL.fullmatch(text):
        yield key, "form", (quoted(text), ("number",)), None
        return
    value, low, high = Decimal(text), number(attribute.min), number(attribute.max)
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = (attribute.min or ("open",), attribute.max or ("open",))
        yield key, "roster_range", (quoted(text), *bounds), None


# A roster as a file ---------------------------------------------------------------------------------------------------


#: What stands under no column: its line, the message, what stands in its gaps.
Loose = tuple[int, str, tuple[str, ...]]


class _Line(NamedTuple):
    """A row of a file: the line or row where it begins, and its cells."""

    number: int
    cells: list[str]


def load(path: Path, book: Rulebook) -> tuple[Unit, ...]:
    """Read a CSV (UTF-8 or GB18030) or a workbook (.xlsx, .xls, .ods) by a rulebook; raises RosterError."""
    try:
        lines = _lines(path)
    except OSError as error:
        raise _refused(path, "unreadable", error.strerror or str(error)) from None
    header = next((n for n, line in enumerate(lines[:HEADER_WITHIN]) if _named(line.cells, book)), None)
    if header is None:
        found = listed(cell for cell in (lines[0].cells if lines else []) if cell)
        raise _refused(path, "roster_header", found, ", ".join((*FIELDS, *(one.code for one in book.attribute))))
    columns = _columns(path, lines[header], book)
    rows, wrong = _rows(columns, lines[header + 1 :])
    plain = [row for __, row in rows]
    if not wrong and next(faults(plain, book), None) is None:
        return read(plain)

    def said(lang: Language) -> str:
        texts = [(line, _placed(path, line, None, None, say(said_, gaps, lang), lang)) for line, said_, gaps in wrong]
        for fault in faults(plain, book, lang):
            line, row = rows[fault.row] if fault.row is not None else (lines[header].number, {})
            texts.append((line, _placed(path, line, row.get("unit"), fault.key, fault.words, lang)))
        return "\n".join(text for __, text in sorted(texts, key=lambda one: one[0]))

    raise RosterError(said)


def shipped() -> tuple[Unit, ...]:
    """The synthetic roster that ships with the rulebook that is meant where nothing else is said."""
    from schemas import soundness

    return load(SHIPPED / "roster.csv", soundness.load(SHIPPED / "rulebook.toml"))


def _refused(path: Path, said: str, *gaps: Any) -> RosterError:
    return RosterError(lambda lang: f"{path}{COLON.say(lang)}{say(said, gaps, lang)}")


def _placed(path: Path, line: int | None, unit: Any, key: str | None, words: str, lang: Language) -> str:  # noqa: PLR0913, PLR0917 - the parts of a sentence
    """A fault with the file, its line, the unit and the column."""
    where = [str(path), "" if line is None else _("line {line}", line=line).say(lang)]
    where += [str(unit or ""), (key or "").removeprefix("attributes.")]
    return CLAUSE.say(lang).join(filter(None, where)) + COLON.say(lang) + words


def _names(book: Rulebook) -> dict[str, str]:
    """Every header with the field or attribute that it stands for."""
    attributes = {name: one.code for one in book.attribute for name in (one.code, zh(one.name), en(one.name))}
    return attributes | HEADERS | {field: field for field in FIELDS}


def _named(cells: Sequence[str], book: Rulebook) -> int:
    """How many cells are the name of a column."""
    return sum(cell in _names(book) for cell in cells)


def _columns(path: Path, header: _Line, book: Rulebook) -> list[str]:
    """The field or attribute of each column; a column that is nothing, twice or missing is refused."""
    names = _names(book)
    wrong: list[tuple[str, tuple[str, ...], str | None]] = []
    columns = [names.get(cell, "") for cell in header.cells]
    known = (*FIELDS, *(one.code for one in book.attribute))
    for n, (cell, column) in enumerate(zip(header.cells, columns, strict=True)):
        if cell and not column:
            wrong.append(("roster_column", (quoted(cell), ", ".join(known)), nearest(cell, names)))
        elif column and column in columns[:n]:
            wrong.append(("roster_columns", (quoted(cell),), None))
    needed = (*FIELDS, *(one.code for one in book.attribute if one.default is None))
    wrong += [("roster_missing", (quoted(column),), None) for column in needed if column not in columns]
    if wrong:
        raise RosterError(
            lambda lang: "\n".join(
                _placed(path, header.number, None, None, say(said, gaps, lang, near), lang)
                for said, gaps, near in wrong
            )
        )
    return columns


def _rows(columns: list[str], lines: list[_Line]) -> tuple[list[tuple[int, dict[str, Any]]], list[Loose]]:
    """The units as plain objects with their lines, and what stands under no column."""
    found: list[tuple[int, dict[str, Any]]] = []
    wrong: list[Loose] = []
    for line in lines:
        if not any(line.cells):
            continue
        row: dict[str, Any] = dict.fromkeys(FIELDS, "")
        for n, cell in enumerate(line.cells):
            column = columns[n] if n < len(columns) else ""
            if column in FIELDS:
                row[column] = cell
            elif column and cell:
                row.setdefault("attributes", {})[column] = cell
            elif cell:
                wrong.append((line.number, "roster_cell", (quoted(cell),)))
        found.append((line.number, row))
    return found, wrong


def _lines(path: Path) -> list[_Line]:
    """The rows of a file, cells trimmed; raises OSError or RosterError."""
    raw = path.read_bytes()
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return [_Line(n, [_text(cell) for cell in row]) for n, row in enumerate(_sheet(path, raw), 1)]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = raw.decode("gb18030")
        except UnicodeDecodeError as error:
            raise _refused(path, "roster_encoding", str(error.start + 1)) from None
    reader, found, begins = csv.reader(io.StringIO(text, newline=""), strict=True), [], 1
    try:
        for row in reader:
            found.append(_Line(begins, [cell.strip() for cell in row]))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _refused(path, "roster_csv", str(begins), str(error)) from None
    return [line for line in found if any(line.cells)]


def _sheet(path: Path, raw: bytes) -> Sequence[Sequence[Any]]:
    """The rows of the first sheet that is seen and holds something."""
    try:
        if raw.startswith(b"PK"):
            _check_size(path, raw)
        with CalamineWorkbook.from_filelike(io.BytesIO(raw)) as book:
            for sheet in book.sheets_metadata:
                if "WorkSheet" in str(sheet.typ) and str(sheet.visible).endswith("Visible"):
                    rows = book.get_sheet_by_name(sheet.name).to_python(skip_empty_area=False)
                    if any(cell != "" for row in rows for cell in row):
                        return rows
    except (KeyboardInterrupt, SystemExit, RosterError):
        raise
    except BaseException as error:  # noqa: BLE001 - the reader's panics are no Exceptions; a broken file is not ours
        raise _refused(path, "roster_workbook", (str(error).splitlines() or [type(error).__name__])[0][:200]) from None
    return []


def _check_size(path: Path, raw: bytes) -> None:
    """A workbook that would fill the memory is refused."""
    with zipfile.ZipFile(io.BytesIO(raw)) as packed:
        if sum(part.file_size for part in packed.infolist()) > UNPACKED_MAX:
            raise _refused(path, "roster_large", str(UNPACKED_MAX))


def _text(cell: Any) -> str:
    """A cell as text: a number as the shortest decimal that is it, without exponent."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return str(cell).strip()
    text = f"{Decimal(repr(cell)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
