"""The command `explain`: the statement (对账单) of one unit, every line and every sum, re-addable with a calculator."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Literal

import duckdb
import msgspec

from schemas.clauses import clauses
from schemas.refusals import Language
from schemas.roster import RosterError
from schemas.rulebook import SHIPPED, Rulebook, RulebookError
from services import rules, settings
from services.audit import paper, point
from services.audit.readiness import unclosed
from services.audit.workings import Placed, Reader, Row, text, tied, workings
from services.outcome import Exit, Stop
from services.raw import read
from services.settings import language
from services.year import given, stored


class Line(msgspec.Struct, frozen=True):
    """One event of the unit: what it claims, what it counts, the balance of its item before and after, and why."""

    seq: int
    type: str
    time: str
    office: str
    office_name: str
    clause: str | None
    words: str | None
    about: list[str]
    matter: str | None
    evidence: list[str]
    value: str | None
    claimed: str | None
    counted: str | None
    balance_before: str | None
    balance_after: str | None
    disposition: str
    why: str


class ItemStatement(msgspec.Struct, frozen=True):
    """An item: its points, the sum that gives them, notes on it, the units it was compared with, its lines."""

    item: str
    name: str
    clause: str
    words: str | None
    text: str | None
    offices: list[str]
    points_base: str
    points: str | None
    state: str
    sum: str | None
    notes: list[str]
    order: list[Placed]
    lines: list[Line]


class PartStatement(msgspec.Struct, frozen=True):
    """A part (责任型 … 廉洁型, 年末) and the sum of its items; `sum` is null where one item only was asked for."""

    part: str
    name: str
    points_base: str
    points: str
    sum: str
    year_end: bool
    items: list[ItemStatement]


class Statement(msgspec.Struct, frozen=True):
    """The statement of one unit at one sequence; texts in one language, the regulation's words as they are."""

    assessment: str
    rulebook: str
    title: str | None
    document: str | None
    collector: str | None
    as_of: int
    as_of_time: str | None
    facts_until: str | None
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
    notes: list[str]
    parts: list[PartStatement]
    other_lines: list[Line]
    daily: str
    daily_sum: str
    year_end: str
    final: str
    final_sum: str
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
    facts_until: str | None = None,
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
    facts_until
        Only what had occurred by this time.
    format
        A table, the whole as JSON, Markdown, or a PDF to print and sign.
    output
        The file to write instead of stdout.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    chosen = language(lang)
    if format == "pdf" and output is None and sys.stdout.isatty():
        raise Stop(
            Exit.USE,
            "a PDF is not for a terminal: name a file with --output",
            "PDF不能输出到终端：请用--output指定文件",
        )
    with (
        point.snapshot(snapshot) as con,
        point.at(con, as_of, facts_until) as (ledger, cut),
        rules.compute(ledger, as_of=cut),
    ):
        found = statement(ledger, unit, chosen, item)
    paper.write(_page(found, format, chosen, to_file=output is not None), output)
    return Exit.DONE


def _page(found: Statement, form: str, lang: Language, *, to_file: bool) -> bytes:
    """Put the statement into one of its forms."""
    match form:
        case "json":
            return msgspec.json.encode(found) + b"\n"
        case "md":
            return paper.markdown(found, lang).encode()
        case "pdf":
            return paper.pdf(found, lang)
        case _:
            return paper.table(found, lang, to_file=to_file).encode()


def statement(con: duckdb.DuckDBPyConnection, unit: str, lang: Language, item: str | None = None) -> Statement:
    """Read the statement of one unit, of one item or of all, inside an open `rules.compute`.

    Ends the command when there is no such unit or item.
    """
    reader = Reader(con, unit, lang)
    row = _unit(reader)
    if item is not None and not reader.rows("FROM rulebook_item WHERE item = $item", item=item):
        known = ", ".join(one["item"] for one in reader.rows("SELECT item FROM rulebook_item ORDER BY ordinal"))
        raise Stop(
            Exit.USE,
            f"--item {item}: there is no such item; there are {known}",
            f"--item {item}：没有这一考核项目；现有{known}",
        )
    book, meta, lines = _book(con), _meta(con), _lines(reader)
    parts = _parts(reader, lines, book, item)
    last = int(meta.get("sequence", row["last"] or 0))
    ranking = [
        Placed(one["unit"], one["place"])
        for one in reader.rows(
            "SELECT p.unit, p.place FROM place p JOIN place m ON m.unit = $unit AND m.category = p.category"
            " ORDER BY p.place, p.unit"
        )
    ]
    return Statement(
        assessment=meta.get("assessment", settings.read().assessment),
        rulebook=meta.get("rulebook", book.id if book else ""),
        title=getattr(book.name, lang) if book else None,
        document=book.document if book else None,
        collector=_collector(reader, book),
        as_of=last if row["as_of"] is None else min(row["as_of"], last),
        as_of_time=row["as_of_time"],
        last=last,
        assessment_state=row["assessment_state"],
        synthetic=row["synthetic"],
        unit=unit,
        name=row["name"],
        category=row["category"],
        category_name=row["category_name"],
        group=row["unit_group"],
        state=row["state"],
        flags=row["flags"],
        facts_until=meta.get("facts_until"),
        notes=point.facts_words(meta.get("facts_until"), lang) + _notes(reader),
        parts=parts,
        other_lines=[] if item else lines.get(None, []),
        daily=str(row["daily"]),
        daily_sum=_sum([one for one in _part_rows(reader) if not one["year_end"]]),
        year_end=str(row["year_end"]),
        final=str(row["final"]),
        final_sum=_formula(row),
        pass_mark=None if row["pass_mark"] is None else str(row["pass_mark"]),
        passed=row["passed"],
        place=row["place"],
        place_notes=_place_notes(reader, ranking),
        ranking=ranking,
        award=row["award"],
        award_name=row["award_name"],
        award_notes=_award_notes(reader),
        readings={
            one["name"]: one["value"]
            for one in reader.rows("SELECT name, value FROM reading_in_force WHERE is_reading ORDER BY name")
        },
    )


def _unit(reader: Reader) -> Row:
    """Read the unit's totals, and where the ledger was cut."""
    found = reader.rows(
        "SELECT u.*, c.name_@ AS category_name, c.pass_mark, a.name_@ AS award_name,"
        " t.daily_coefficient, t.year_end_coefficient,"
        " (SELECT state FROM assessment_state) AS assessment_state,"
        " (SELECT bool_or(contains(name, '合成')) FROM roster) AS synthetic, (SELECT max(seq) FROM event) AS last,"
        " (SELECT coalesce(strftime(recorded_at, '%Y-%m-%dT%H:%M:%SZ'), time) FROM ledger_event"
        "  ORDER BY seq DESC LIMIT 1) AS as_of_time,"
        " getvariable('as_of')::BIGINT AS as_of"
        " FROM unit_result u JOIN rulebook_category c ON c.category = u.category"
        " LEFT JOIN rulebook_award a ON a.award = u.award"
        " CROSS JOIN rulebook_total t WHERE u.unit = $unit"
    )
    if not found:
        raise Stop(
            Exit.USE,
            f"{reader.unit}: there is no such unit in the roster; units have codes such as"
            f" {reader.rows('SELECT min(unit) AS unit FROM roster')[0]['unit']}",
            f"{reader.unit}：单位名单中没有这一单位",
        )
    return found[0]


def _book(con: duckdb.DuckDBPyConnection) -> Rulebook | None:
    """Find the rulebook that gives the statement its title, where it is the one that the tables were made of."""
    known = settings.read()
    try:
        book = (stored(con) or given(known.assessment, known.rulebook, known.roster)).rulebook
    except (RulebookError, RosterError):
        return None
    rows = con.execute("SELECT item, clause FROM rulebook_item ORDER BY ordinal").fetchall()
    return book if rows == [(one.code, one.clause) for one in book.item] else None


def _collector(reader: Reader, book: Rulebook | None) -> str | None:
    """Name the office that collects and publishes, who signs the statement."""
    code = book.roles.collector.office if book else None
    found = reader.rows("SELECT name_@ AS name FROM office WHERE office = $code", code=code)
    return found[0]["name"] if found else None


def _meta(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Read what a snapshot says of itself; a ledger that is not one yet says nothing."""
    held = con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall()
    return point.meta(con) if held else {}


def _lines(reader: Reader) -> dict[str | None, list[Line]]:
    """Read every line of the unit by item, in ledger order; under null those that belong to no item."""
    found: dict[str | None, list[Line]] = {}
    for row in reader.rows(
        "SELECT s.*, e.raw, e.reason, e.rater, e.case_name, e.outcome, e.points, e.characters,"
        " e.refers_to, e.target_id,"
        " s.office_@ AS office_name, s.ground_@ AS ground_name, s.node_@ AS node_name, g.name_@ AS group_name,"
        " c.name_@ AS component_name, s.why_@ AS why, u.name AS unit_name"
        " FROM statement s JOIN ledger_event e ON e.seq = s.seq LEFT JOIN roster u ON u.unit = s.unit"
        " LEFT JOIN rulebook_group g ON g.item = e.item AND g.rater_group = e.rater_group"
        " LEFT JOIN rulebook_component c ON c.item = e.item AND c.component = e.component"
        " WHERE s.unit = $unit ORDER BY s.seq"
    ):
        points = {
            name: None if row[name] is None else str(row[name])
            for name in ("value", "claimed", "counted", "balance_before", "balance_after")
        }
        found.setdefault(row["item"], []).append(
            Line(
                seq=row["seq"],
                type=row["type"],
                time=row["time"],
                office=row["office"],
                office_name=row["office_name"] or row["unit_name"],
                clause=row["clause"],
                words=row["words_zh"],
                about=_about(reader, row),
                matter=row["matter"],
                evidence=_evidence(row["raw"]),
                disposition=row["disposition"],
                why=row["why"],
                **points,
            )
        )
    return found


def _about(reader: Reader, row: Row) -> list[str]:
    """Say what a line is about, in words of the language: ground and node, rater and group, or what it refers to."""
    seq = row["refers_to"]
    target = reader.say(f"sequence {seq}", f"序号{seq}") if seq else row["target_id"]
    kinds = {
        "submission.recorded.v1": (f"summary of {row['characters']} characters", f"创建总结{row['characters']}字"),
        "item.exempted.v1": ("does not apply", "不适用"),
        "event.revoked.v1": (f"revokes {target}", f"撤销{target}"),
        "appeal.filed.v1": (f"appeals against {target}", f"对{target}提出申诉"),
        "appeal.decided.v1": (
            f"decides the appeal of {target}: {_outcome(row, 'en')}",
            f"对{target}的申诉作出决定：{_outcome(row, 'zh')}",
        ),
    }
    said = [
        row["ground_name"],
        row["node_name"],
        row["group_name"],
        row["component_name"],
        row["case_name"],
        row["rater"],
    ]
    kind = reader.say(*kinds[row["type"]]) if row["type"] in kinds else None
    return [one for one in (kind, *said, row["reason"]) if one]


def _outcome(row: Row, lang: Language) -> str:
    """Name a decision's outcome."""
    names = {"upheld": ("upheld", "维持"), "cancelled": ("cancelled", "取消"), "revised": ("revised", "改定")}
    points = f" {text(row['points'])}" if row["points"] is not None else ""
    return names.get(row["outcome"], ("", ""))[lang == "zh"] + points


def _evidence(raw: bytes | None) -> list[str]:
    """Read the evidence a line gives; only its raw bytes hold it."""
    data = read(raw)["data"] if raw else {}
    return list(data.get("evidence", []))


def _part_rows(reader: Reader) -> list[Row]:
    """Read the parts with their sums."""
    return reader.rows(
        "SELECT p.part, p.name_@ AS name, coalesce(f.points, p.points) AS points_base, i.year_end, i.items, i.points"
        " FROM rulebook_part p JOIN (SELECT part, bool_or(year_end) AS year_end, list(item ORDER BY ordinal) AS items,"
        "  list(coalesce(points, 0) ORDER BY ordinal) AS points FROM item_points"
        "  WHERE unit = $unit GROUP BY part) i ON i.part = p.part"
        " LEFT JOIN (SELECT part, sum(points)::DECIMAL(18,6) AS points FROM item_full GROUP BY part) f"
        "   ON f.part = p.part"
        " ORDER BY p.ordinal"
    )


def _sum(parts: list[Row]) -> str:
    """Write out the sum of parts."""
    return " + ".join(text(sum(one["points"], Decimal(0))) for one in parts)


def _parts(
    reader: Reader, lines: dict[str | None, list[Line]], book: Rulebook | None, only: str | None
) -> list[PartStatement]:
    """Read the parts with their items, or the one item asked for in its part."""
    texts = clauses() if book and book.id == SHIPPED.name else {}
    found, open_offices = workings(reader), unclosed(reader.con, reader.lang)
    offices = reader.rows(
        "SELECT o.item, list(n.name_@) AS names FROM rulebook_office o JOIN office n ON n.office = o.office"
        " GROUP BY o.item"
    )
    owners = {one["item"]: one["names"] for one in offices}
    items = {}
    for row in reader.rows(
        "SELECT p.item, i.name_@ AS name, p.clause, i.words, p.points_base, p.points, p.state FROM item_points p"
        " JOIN rulebook_item i ON i.item = p.item WHERE p.unit = $unit ORDER BY p.ordinal"
    ):
        code = row["item"]
        waiting = [reader.say(f"Not closed yet by {one}", f"{one}尚未关闭") for _, one in open_offices.get(code, [])]
        items[code] = ItemStatement(
            item=code,
            name=row["name"],
            clause=row["clause"],
            words=row["words"],
            text=texts.get(row["clause"]),
            offices=owners.get(code, []),
            points_base=str(row["points_base"]),
            points=None if row["points"] is None else str(row["points"]),
            state=row["state"],
            sum=found[code].sum,
            notes=found[code].notes + (waiting if row["state"] == "pending" else []),
            order=found[code].order,
            lines=lines.get(code, []),
        )
    return [
        PartStatement(
            part=row["part"],
            name=row["name"],
            points_base=str(row["points_base"]),
            points=str(sum(row["points"], Decimal(0))),
            sum=" + ".join(map(text, row["points"])),
            year_end=row["year_end"],
            items=[items[code] for code in row["items"] if only in (None, code)],
        )
        for row in _part_rows(reader)
        if only is None or only in row["items"]
    ]


def _formula(row: Row) -> str:
    """Write clause 五 with the numbers put in: (daily × 70% + year-end × 30%) × 10%; the weights sum to 1."""
    daily, year_end = row["daily_coefficient"], row["year_end_coefficient"]
    scale = daily + year_end
    weights = [text(one / scale) for one in (daily, year_end)]
    return f"({text(row['daily'])} × {weights[0]} + {text(row['year_end'])} × {weights[1]}) × {text(scale)}"


def _notes(reader: Reader) -> list[str]:
    """Say what hangs over the whole statement: open appeals, and events refused as conflicts."""
    appeals = reader.rows("SELECT seq, target FROM appeal WHERE unit = $unit AND open ORDER BY seq")
    conflicts = reader.rows("SELECT seq FROM ledger_event WHERE unit = $unit AND admission = 'conflict' ORDER BY seq")
    return [
        reader.say(
            f"Open appeal of sequence {one['seq']} against sequence {one['target']}",
            f"序号{one['seq']}对序号{one['target']}的申诉尚无决定",
        )
        for one in appeals
    ] + [
        reader.say(
            f"Sequence {one['seq']} was refused: another event has its source and id (conflict)",
            f"序号{one['seq']}被拒：来源与编号已为另一事件所用（冲突）",
        )
        for one in conflicts
    ]


def _place_notes(reader: Reader, ranking: list[Placed]) -> list[str]:
    """Say which units share the place."""
    units = tied(ranking, reader.unit)
    return [reader.say(f"Shares the place with {', '.join(units)}", f"与{'、'.join(units)}并列")] if units else []


def _award_notes(reader: Reader) -> list[str]:
    """Say how far the awards go and where the unit stands: clause 三(二); ties across a cut with all their units."""
    given_to = reader.rows("SELECT * FROM award_given WHERE unit = $unit")
    if not given_to:
        return [
            reader.say(
                "Its category has no awards under the readings in force (三(二))",
                "按现行读法，该类别不参加评奖（三(二)）",
            )
        ]
    notes, start = [], 1
    for cut in reader.rows(
        "SELECT c.position_last, a.name_@ AS name, s.units, s.settled_by FROM award_cut c"
        " JOIN rulebook_award a ON a.award = c.award"
        " LEFT JOIN award_straddle s ON s.award = c.award AND s.scope = c.scope AND list_contains(s.units, $unit)"
        " WHERE c.scope = $scope ORDER BY c.ordinal",
        scope=given_to[0]["scope"],
    ):
        end = int(cut["position_last"])
        notes.append(
            reader.say(
                f"{cut['name']}: positions {start} to {end} (三(二))", f"{cut['name']}：第{start}至{end}位（三(二)）"
            )
        )
        if cut["units"]:
            others = [one for one in cut["units"] if one != reader.unit]
            end_en, end_zh = "not settled yet", "尚未裁定"
            if cut["settled_by"] is not None:
                end_en, end_zh = f"settled by sequence {cut['settled_by']}", f"由序号{cut['settled_by']}裁定"
            notes.append(
                reader.say(
                    f"Tied across the cut of {cut['name']} with {', '.join(others)}: {end_en}",
                    f"与{'、'.join(others)}并列跨{cut['name']}名额线：{end_zh}",
                )
            )
        start = end + 1
    if not given_to[0]["undecided"]:
        notes.append(
            reader.say(
                f"The unit stands at position {given_to[0]['position']}", f"本单位列第{given_to[0]['position']}位"
            )
        )
    return notes
