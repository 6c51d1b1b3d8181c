"""The command `explain`: the statement (对账单) of one unit, every line, every sum, re-addable with a pocket calculator."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import duckdb
import msgspec

from schemas.clauses import clauses
from schemas.refusals import Language
from schemas.rulebook import SHIPPED
from services import rules
from services.audit import paper, point
from services.audit.readiness import unclosed
from services.outcome import Exit, Stop
from services.settings import language
from services.year import given, stored

#: More numbers than these are not written out in a sum: their total stands for them.
WRITTEN_MAX = 24
Row = dict[str, Any]


class Line(msgspec.Struct, frozen=True):
    """One event of the unit: what it claims, what it counts, the balance of its item before and after, and why."""

    seq: int
    type: str
    time: str
    office: str
    office_name: str
    clause: str | None
    words: str | None
    matter: str | None
    about: str
    reason: str | None
    evidence: list[str]
    value: str | None
    claimed: str | None
    counted: str | None
    balance_before: str | None
    balance_after: str | None
    disposition: str
    why: str


class Placed(msgspec.Struct, frozen=True):
    """A unit's place where units are compared, and its band where the item has bands."""

    unit: str
    place: int
    band: str | None


class ItemStatement(msgspec.Struct, frozen=True):
    """An item: its points, the sum that gives them (`working`), notes on it, the units it was compared with, its lines."""

    item: str
    name: str
    clause: str
    words: str | None
    text: str | None
    offices: list[str]
    points_base: str
    points: str | None
    state: str
    working: str | None
    notes: list[str]
    order: list[Placed]
    lines: list[Line]


class PartStatement(msgspec.Struct, frozen=True):
    """A part (责任型 … 廉洁型, 年末) and the sum of its items."""

    part: str
    name: str
    points_base: str
    points: str
    working: str
    items: list[ItemStatement]


class Statement(msgspec.Struct, frozen=True):
    """The statement of one unit at one sequence; texts in one language, the regulation's words as they are."""

    assessment: str
    rulebook: str
    title: str | None
    document: str | None
    as_of: int
    last: int
    assessment_state: str
    synthetic: bool
    unit: str
    name: str
    category: str
    category_name: str
    group: str
    state: str
    flags: list[str]
    parts: list[PartStatement]
    other_lines: list[Line]
    conflicts: list[int]
    daily: str
    daily_working: str
    year_end: str
    final: str
    final_working: str
    pass_mark: str | None
    passed: bool | None
    place: int
    place_notes: list[str]
    ranking: list[Placed]
    award: str | None
    award_name: str | None
    award_notes: list[str]
    readings: dict[str, str]


def explain(  # noqa: PLR0913 - each is an option of the contract
    unit: str,
    *,
    snapshot: Path | None = None,
    item: str | None = None,
    as_of: str | None = None,
    format: Literal["table", "json", "md", "pdf"] = "table",  # noqa: A002 - the contract's word
    output: Path | None = None,
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Show the statement of one unit: every line with clause, event and running balance, re-addable by hand.

    Example: wuxing explain U042 --item 1.1

    Parameters
    ----------
    unit
        The unit's code.
    snapshot
        A published snapshot; without it the latest one.
    item
        One item only, such as 1.1 or Y.1.
    as_of
        A sequence of the ledger, or a time: the state as it was recorded then.
    format
        A table, the whole as JSON, Markdown, or a PDF to print and sign.
    output
        The file to write; stdout without it. A PDF needs one unless stdout is no terminal.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    chosen = language(lang)
    if format == "pdf" and output is None and sys.stdout.isatty():
        raise Stop(Exit.USE, "a PDF is not for a terminal: name a file with --output", "PDF不能输出到终端：请用--output指定文件")
    with point.snapshot(snapshot) as con:
        cut = point.as_of(con, as_of)
        with rules.compute(con, as_of=cut):
            found = statement(con, unit, chosen, item)
    shapes = {
        "json": lambda: msgspec.json.encode(found) + b"\n",
        "md": lambda: paper.markdown(found, chosen).encode(),
        "pdf": lambda: paper.pdf(found, chosen),
        "table": lambda: paper.table(found, chosen, None if output else paper.width()).encode(),
    }
    paper.write(shapes[format](), output)
    return Exit.DONE


def demo_lines(con: duckdb.DuckDBPyConnection, unit: str, lang: Language) -> str:
    """The statement of one unit as a table, where the views are computed already."""
    return paper.table(statement(con, unit, lang), lang, paper.width())


def statement(con: duckdb.DuckDBPyConnection, unit: str, lang: Language, item: str | None = None) -> Statement:
    """Read the statement of one unit, of one item or of all, inside an open `rules.compute`.

    Ends the command when there is no such unit or item.
    """
    return _Reader(con, unit, lang, item).statement()


def text(points: Decimal | str) -> str:
    """Points without the zeros that say nothing, as a person keys them into a calculator."""
    written = f"{Decimal(points):f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def total(points: list[Decimal]) -> str:
    """A sum written out, or its total where it would be too long."""
    if not points:
        return "0"
    return " + ".join(map(text, points)) if len(points) <= WRITTEN_MAX else text(sum(points, Decimal(0)))


@dataclass(frozen=True)
class _Reader:
    """Reads one unit's statement from the computed views; it adds nothing up that a view has not."""

    con: duckdb.DuckDBPyConnection
    unit: str
    lang: Language
    only: str | None

    def say(self, en: str, zh: str) -> str:
        return zh if self.lang == "zh" else en

    def rows(self, query: str, **values: object) -> list[Row]:
        """The rows of a query as dictionaries; $unit is bound when the query names it, "@" is the language's suffix."""
        bound = values | ({"unit": self.unit} if "$unit" in query else {})
        found = self.con.execute(query.replace("@", self.lang), bound)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def statement(self) -> Statement:
        row = self._unit()
        parts, others = self._parts()
        meta = self._meta()
        book = self._book
        daily = [part for part in self._part_rows if not part["year_end"]]
        return Statement(
            assessment=meta["assessment"], rulebook=meta["rulebook"],
            title=book and book.name.zh if self.lang == "zh" else book and book.name.en, document=book and book.document,
            as_of=min(self._as_of or int(meta["sequence"]), int(meta["sequence"])), last=int(meta["sequence"]),
            assessment_state=self.rows("FROM assessment_state")[0]["state"],
            synthetic=self.rows("SELECT bool_or(contains(name, '合成')) AS made_up FROM roster")[0]["made_up"],
            unit=self.unit, name=row["name"], category=row["category"], category_name=row["category_name"],
            group=row["unit_group"], state=row["state"], flags=row["flags"], parts=parts, other_lines=others,
            conflicts=[one["seq"] for one in self.rows(
                "SELECT seq FROM ledger_event WHERE unit = $unit AND admission = 'conflict' ORDER BY seq")],
            daily=str(row["daily"]), daily_working=" + ".join(text(part["points"]) for part in daily),
            year_end=str(row["year_end"]), final=str(row["final"]), final_working=self._formula(row),
            pass_mark=None if row["pass_mark"] is None else str(row["pass_mark"]), passed=row["passed"],
            place=row["place"], place_notes=self._place_notes(row), ranking=self._ranking(row["category"]),
            award=row["award"], award_name=row["award_name"], award_notes=self._award_notes(),
            readings={one["name"]: one["value"] for one in self.rows(
                "SELECT name, value FROM reading_in_force WHERE is_reading ORDER BY name")},
        )

    @cached_property
    def _as_of(self) -> int | None:
        found = self.rows("SELECT getvariable('as_of')::BIGINT AS as_of")[0]["as_of"]
        return None if found is None else int(found)
