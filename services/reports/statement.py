"""The statement (对账单) of one unit: every line and every sum, re-addable with a calculator."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import duckdb
import msgspec

from schemas.clauses import clauses
from schemas.faults import RosterError
from schemas.raw import read
from schemas.rulebook import SHIPPED, Rulebook, en, zh
from schemas.soundness import RulebookError
from schemas.words import COLON, SEMICOLON, Language, Text, _, _p, several, told
from schemas.year import Year, given
from services.command import tables
from services.process import settings
from services.process.ending import Exit, Stop
from services.reports.reach import Reach, reached
from services.reports.readiness import unclosed
from services.reports.workings import Placed, Reader, Row, Sum, added, as_number, settled, six, text, tied, workings
from services.snapshot import point
from services.snapshot.point import stored


class Line(msgspec.Struct, frozen=True):
    """One event of the unit: what it claims, what it counts, the balance of its item before and after, and why.

    `source` and `id` name it in an appeal; one is in time until the day `appeal_until`, null where there can be none.
    `appeal` is the command that files one, null where none is possible or there is one already.
    """

    seq: int
    source: str
    id: str
    type: str
    time: str
    recorded: str | None
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
    appeal_until: str | None = None
    appeal: str | None = None


class ItemStatement(msgspec.Struct, frozen=True):
    """An item: its points, the sum that gives them, notes on it, the units it was compared with, its lines."""

    item: str
    name: str
    clause: str | None
    words: str | None
    text: str | None
    offices: list[str]
    weight: str
    points_base: str
    points: str | None
    state: str
    sum: str | None
    notes: list[str]
    order: list[Placed]
    lines: list[Line]


class PartStatement(msgspec.Struct, frozen=True):
    """A part of the tree, the items under it and the sum of what stands there; `points` are null where it is out.

    Without a code it holds the items that stand directly under the final.
    """

    part: str | None
    name: str
    level: int
    parent: str | None
    weight: str
    points_base: str | None
    points: str | None
    sum: str | None
    notes: list[str]
    items: list[ItemStatement]


class GradeStatement(msgspec.Struct, frozen=True):
    """What the unit gets of a scheme, and why: the grade, or null; undecided where a tie stands across a cut."""

    scheme: str
    name: str
    pool: str | None
    grade: str | None
    grade_name: str | None
    individuals: int | None
    undecided: bool
    notes: list[str]


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
    assessment_state_name: str
    synthetic: bool
    root: str | None
    unit: str
    name: str
    category: str
    category_name: str
    group: str
    attributes: dict[str, str]
    state: str
    flags: list[str]
    notes: list[str]
    parts: list[PartStatement]
    other_lines: list[Line]
    final: str
    final_sum: str
    final_notes: list[str]
    decimals: int
    place: int | None
    place_notes: list[str]
    ranking: list[Placed]
    reach: Reach | None
    grades: list[GradeStatement]
    readings: dict[str, str]


def statement(
    con: duckdb.DuckDBPyConnection,
    unit: str,
    lang: Language,
    item: str | None = None,
    reach: Mapping[str, Reach] | None = None,
) -> Statement:
    """Read the statement of one unit, of one item or of all, inside an open `rules.compute`.

    `reach` is what units can still come to, for who has it already. Ends the command when there is no such unit or
    item.
    """
    reader = Reader(con, unit, lang)
    row = _unit(reader)
    if item is not None and not reader.rows("FROM item_points WHERE unit = $unit AND item = $item", item=item):
        listed = reader.rows("SELECT item FROM item_points WHERE unit = $unit ORDER BY ordinal")
        known = ", ".join(one["item"] for one in listed)
        raise Stop(Exit.USE, _("--item {item}: the unit has no such item; it has {known}", item=item, known=known))
    book, meta = _book(con), _meta(con)
    lines = _lines(reader, appeals=book is None or book.roles.appeals is not None)
    parts = _parts(reader, lines, book, item)
    last = int(meta.get("sequence", row["last"] or 0))
    ranking = [
        Placed(one["unit"], one["place"])
        for one in reader.rows(
            "SELECT p.unit, p.place FROM place p JOIN place m ON m.unit = $unit AND m.category = p.category"
            " ORDER BY p.place, p.unit"
        )
    ]
    final_notes: list[str] = []
    return Statement(
        assessment=meta["assessment"] if "assessment" in meta else settings.read().assessment,
        rulebook=meta.get("rulebook", book.id if book else ""),
        title=None if book is None else (zh if lang == "zh" else en)(book.name),
        document=book.document if book else None,
        collector=_collector(reader, book),
        as_of=last if row["as_of"] is None else min(row["as_of"], last),
        as_of_time=row["as_of_time"],
        last=last,
        assessment_state=row["assessment_state"],
        assessment_state_name=tables.state(con, row["assessment_state"], lang),
        synthetic=meta.get("synthetic") == "true",
        root=meta.get("root"),
        unit=unit,
        name=row["name"],
        category=row["category"],
        category_name=row["category_name"],
        group=row["unit_group"],
        attributes={
            one["name"]: text(one["value"])
            for one in reader.rows(
                "SELECT a.name_@ AS name, f.value FROM attribute_in_force f JOIN rulebook_attribute a"
                " ON a.attribute = f.attribute WHERE f.unit = $unit AND f.value IS NOT NULL ORDER BY a.ordinal"
            )
        },
        state=row["state"],
        flags=row["flags"],
        facts_until=meta.get("facts_until"),
        notes=point.facts_words(meta.get("facts_until"), lang) + _notes(reader),
        parts=parts,
        other_lines=[] if item else _other_lines(parts, lines),
        final=_final(row),
        final_sum=_final_sum(reader, row, final_notes),
        final_notes=final_notes,
        decimals=row["decimals"],
        place=row["place"],
        place_notes=_place_notes(reader, ranking),
        ranking=ranking,
        reach=_open((reached(con, unit) if reach is None else reach).get(unit)),
        grades=_grades(reader),
        readings={
            one["name"]: one["value"]
            for one in reader.rows("SELECT name, value FROM reading_in_force WHERE is_reading ORDER BY name")
        },
    )


def _other_lines(parts: list[PartStatement], lines: dict[str | None, list[Line]]) -> list[Line]:
    """The lines of no item, and those about an item that is none of the unit's, as of a void revocation."""
    shown = {one.item for part in parts for one in part.items}
    return sorted((line for item, some in lines.items() if item not in shown for line in some), key=lambda one: one.seq)


def _unit(reader: Reader) -> Row:
    """Read the unit's total, and where the ledger was cut."""
    found = reader.rows(
        "SELECT u.*, c.name_@ AS category_name, f.times, f.decimals,"
        " (SELECT state FROM assessment_state) AS assessment_state, (SELECT max(seq) FROM event) AS last,"
        " (SELECT coalesce(strftime(recorded_at, '%Y-%m-%dT%H:%M:%SZ'), time) FROM ledger_event"
        "  ORDER BY seq DESC LIMIT 1) AS as_of_time,"
        " getvariable('as_of')::BIGINT AS as_of"
        " FROM unit_result u JOIN rulebook_category c ON c.category = u.category"
        " CROSS JOIN rulebook_final f WHERE u.unit = $unit"
    )
    if not found:
        known = reader.rows("SELECT min(unit) AS unit FROM unit_in_force")[0]["unit"]
        raise Stop(
            Exit.USE,
            _(
                "{unit}: there is no such unit in the roster; units have codes such as {known}",
                unit=reader.unit,
                known=known,
            ),
        )
    return found[0]


def _open(reach: Reach | None) -> Reach | None:
    """What a unit can still come to, null where that is settled."""
    settled_ = reach is None or (reach.final_worst == reach.final_best and reach.place_worst == reach.place_best)
    return None if settled_ else reach


def _final(row: Row) -> str:
    """The final with the decimals of the rulebook."""
    return str(row["final"].quantize(Decimal(1).scaleb(-row["decimals"])))


def _final_sum(reader: Reader, row: Row, notes: list[str]) -> str:
    """Write the final: the sum of weight x points of the top level, x times, rounded once to its decimals."""
    top = [one for one in _children(reader) if one["parent"] is None]
    whole = _weighted(top)
    times = as_number(row["times"])
    found = whole if row["times"] == 1 else Sum(f"{whole.inside} × {times.text}", whole.exact * times.exact)
    if found.exact == Fraction(row["final"]):
        return found.text
    notes.append(f"{found.text} ≈ {text(row['final'])}")
    return text(row["final"])


def _weighted(children: list[Row]) -> Sum:
    """The sum of weight x points; a weight of 1 is not written."""
    terms = []
    for one in children:
        points, weight = as_number(one["points"]), as_number(one["weight"])
        plain = one["weight"] == 1
        terms.append(points if plain else Sum(f"{points.text} × {weight.text}", points.exact * weight.exact))
    return added(terms)


def _children(reader: Reader) -> list[Row]:
    """Read the parts and items of the unit that are in a sum, with what stands above each."""
    return reader.rows(
        "SELECT part AS code, parent, weight, points_base, coalesce(points, 0) AS points, 1000 + r.ordinal AS ordinal"
        " FROM part_points JOIN (SELECT part, ordinal FROM rulebook_part) r USING (part)"
        " WHERE unit = $unit AND NOT is_out"
        " UNION ALL SELECT item, parent, weight, points_base, coalesce(points, 0), ordinal FROM item_points"
        " WHERE unit = $unit AND NOT is_out ORDER BY ordinal"
    )


def _book(con: duckdb.DuckDBPyConnection) -> Rulebook | None:
    """Find the rulebook that gives the statement its title, where it is the one that the tables were made of."""
    try:
        book = (stored(con) or _given()).rulebook
    except (RulebookError, RosterError):
        return None
    rows = con.execute("SELECT item, clause FROM rulebook_item ORDER BY ordinal").fetchall()
    return book if rows == [(one.code, one.clause) for one in book.item] else None


def _given() -> Year:
    """The year of the settings, which a snapshot needs none of: a page of several assessments has no such year."""
    known = settings.read()
    return given(known.assessment, known.rulebook, known.roster)


def _collector(reader: Reader, book: Rulebook | None) -> str | None:
    """Name the office that collects and publishes, who signs the statement."""
    code = book.roles.collector if book else None
    found = reader.rows("SELECT name_@ AS name FROM office WHERE office = $code", code=code)
    return found[0]["name"] if found else None


def _meta(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Read what a snapshot says of itself; a ledger that is not one yet says nothing."""
    held = con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall()
    return point.meta(con) if held else {}


def _lines(reader: Reader, *, appeals: bool) -> dict[str | None, list[Line]]:
    """Read every line of the unit by item, in ledger order; under null those that belong to no item."""
    how = reader.say(_("wuxing appeal {unit} --target {seq} --statement TEXT"))
    found: dict[str | None, list[Line]] = {}
    for row in reader.rows(
        "SELECT s.*, e.raw, e.id, e.reason, e.rater, e.case_name, e.period, e.outcome, e.points, e.characters,"
        " e.refers_to, e.target_id, e.change, e.name AS new_name, e.category AS new_category,"
        " e.unit_group AS new_group, strftime(e.recorded_at, '%Y-%m-%dT%H:%M:%SZ') AS recorded,"
        " s.office_@ AS office_name, s.ground_@ AS ground_name, s.node_@ AS node_name, g.name_@ AS group_name,"
        " c.name_@ AS measure_name, a.name_@ AS attribute_name, v.name_@ AS veto_name, s.why_@ AS why,"
        " u.name AS unit_name, day_of(d.appeal_until) AS appeal_until,"
        " d.seq IS NOT NULL AND p.target IS NULL AS appealable"
        " FROM statement s JOIN ledger_event e ON e.seq = s.seq LEFT JOIN unit_in_force u ON u.unit = s.unit"
        " LEFT JOIN rulebook_raters g ON g.item = e.item AND g.rater_group = e.rater_group"
        " LEFT JOIN rulebook_measure c ON c.item = e.item AND c.measure = e.measure"
        " LEFT JOIN rulebook_attribute a ON a.attribute = e.attribute"
        " LEFT JOIN rulebook_veto v ON v.veto = e.veto"
        " LEFT JOIN appealable d ON d.seq = s.seq"
        " LEFT JOIN (SELECT DISTINCT target FROM appeal) p ON p.target = s.seq"
        " WHERE s.unit = $unit ORDER BY s.seq"
    ):
        points = {
            name: None if row[name] is None else str(row[name])
            for name in ("value", "claimed", "counted", "balance_before", "balance_after")
        }
        found.setdefault(row["item"], []).append(
            Line(
                seq=row["seq"],
                source=row["source"],
                id=row["id"],
                type=row["type"],
                time=row["time"],
                recorded=row["recorded"],
                office=row["office"],
                office_name=row["office_name"] or row["unit_name"],
                clause=row["clause"],
                words=row["words_zh"],
                about=_about(reader, row),
                matter=row["matter"],
                evidence=_evidence(row["raw"]),
                disposition=row["disposition"],
                why=row["why"],
                appeal_until=row["appeal_until"] if appeals else None,
                appeal=how.format(unit=row["unit"], seq=row["seq"]) if appeals and row["appealable"] else None,
                **points,
            )
        )
    return found


def _about(reader: Reader, row: Row) -> list[str]:
    """Say what a line is about, in words of the language: ground and node, rater and group, or what it refers to."""
    seq = row["refers_to"]
    target = reader.say(_("sequence {seq}", seq=seq)) if seq else row["target_id"]
    outcome = _outcome(row, reader.lang)
    kinds = {
        "submission.recorded.v1": _("submission of {characters} characters", characters=row["characters"]),
        "item.exempted.v1": _("does not apply"),
        "fact.recorded.v1": _("{attribute_name}: {value}", attribute_name=row["attribute_name"], value=row["value"]),
        "veto.recorded.v1": _("veto: {veto_name}", veto_name=row["veto_name"]),
        "approval.recorded.v1": _("approval of {target}: {outcome}", target=target, outcome=outcome),
        "unit.changed.v1": _change(row),
        "event.revoked.v1": _("revokes {target}", target=target),
        "appeal.filed.v1": _("appeals against {target}", target=target),
        "appeal.decided.v1": _("decides the appeal of {target}: {outcome}", target=target, outcome=outcome),
    }
    said = [
        row["ground_name"],
        row["node_name"],
        row["group_name"],
        row["measure_name"],
        row["case_name"],
        row["period"],
        row["rater"],
    ]
    kind = reader.say(kinds[row["type"]]) if row["type"] in kinds else None
    return [reader.shown(one) for one in (kind, *said, row["reason"]) if one]


def _outcome(row: Row, lang: Language) -> str:
    """Name a decision's or an approval's outcome."""
    names = {
        "upheld": _("upheld"), "cancelled": _("cancelled"), "revised": _p("outcome of an appeal", "revised"),
        "approved": _("approved"), "rejected": _p("outcome of an appeal", "rejected"),
    }  # fmt: skip
    points = f" {text(row['points'])}" if row["points"] is not None else ""
    return told(names.get(row["outcome"], ""), lang) + points


def _change(row: Row) -> Text:
    """Say how a unit changed."""
    to = " ".join(filter(None, (row["new_name"], row["new_category"], row["new_group"])))
    words = {
        "joined": _("joined"), "renamed": _("renamed"),
        "moved": _("moved"), "left": _p("change", "left"),
    }  # fmt: skip
    change = words.get(row["change"], Text(""))
    return _("{change} {to}", change=change, to=to) if to else change


def _evidence(raw: bytes | None) -> list[str]:
    """Read the evidence a line gives; only its raw bytes hold it."""
    data = read(raw)["data"] if raw else {}
    return list(data.get("evidence", []))


def _parts(
    reader: Reader, lines: dict[str | None, list[Line]], book: Rulebook | None, only: str | None
) -> list[PartStatement]:
    """Read the parts with the items that stand directly under them, or the one item asked for in its part."""
    items = _items(reader, lines, book)
    children = _children(reader)
    rows = reader.rows(
        "SELECT p.part, r.name_@ AS name, r.level, p.parent, p.weight, p.points_base, p.points, p.is_out, r.combine,"
        " r.grain, r.at_least, r.at_most, r.points AS full, z.zeroed_by"
        " FROM part_points p JOIN rulebook_part r ON r.part = p.part"
        " LEFT JOIN zeroed z ON z.unit = p.unit AND z.code = p.part"
        " WHERE p.unit = $unit ORDER BY r.ordinal"
    )
    found = [PartStatement(None, "", 0, None, "1", None, None, None, [], items.get(None, []))] if None in items else []
    for row in rows:
        notes: list[str] = []
        below = [one for one in children if one["parent"] == row["part"]]
        found.append(
            PartStatement(
                part=row["part"],
                name=row["name"],
                level=row["level"],
                parent=row["parent"],
                weight=text(row["weight"]),
                points_base=None if row["points_base"] is None else str(row["points_base"]),
                points=None if row["points"] is None else str(row["points"]),
                sum=_part_sum(reader, row, below, notes),
                notes=notes,
                items=items.get(row["part"], []),
            )
        )
    if only is None:
        return found
    return [
        msgspec.structs.replace(one, items=[item for item in one.items if item.item == only])
        for one in found
        if any(item.item == only for item in one.items)
    ]


def _part_sum(reader: Reader, row: Row, below: list[Row], notes: list[str]) -> str | None:
    """Write how a part comes to its points: the sum, mean or largest of its children, or rescaled (language 1)."""
    if row["is_out"]:
        notes.append(reader.say(_("Taken out: nothing under it applies")))
        return None
    whole = _weighted(below)
    if row["combine"] == "mean":
        whole = Sum(f"{whole.inside} ÷ {len(below)}", whole.exact / len(below))
    elif row["combine"] == "max":
        notes.append(reader.say(_("The largest counts")))
        whole = max((_weighted([one]) for one in below), key=lambda one: one.exact)
    elif row["combine"] == "rescale":
        full = added(
            [
                Sum(text(one["points_base"] * one["weight"]), Fraction(one["points_base"] * one["weight"]))
                for one in below
            ]
        )
        notes.append(reader.say(_("Rescaled to what applies")))
        whole = Sum(
            f"{text(row['full'])} × {whole.inside} ÷ {full.inside}", Fraction(row["full"]) * whole.exact / full.exact
        )
    if row["zeroed_by"]:
        notes.append(reader.say(_("0 by the veto of sequence {zeroed_by}", zeroed_by=row["zeroed_by"])))
        return "0"
    if six(whole.exact) != row["points"]:
        notes.append(reader.say(_("Within its bounds and decimals")))
    return settled(whole, row["points"], notes)


def _items(
    reader: Reader, lines: dict[str | None, list[Line]], book: Rulebook | None
) -> dict[str | None, list[ItemStatement]]:
    """Read the items of the unit by the part they stand under."""
    texts = clauses() if book and book.id == SHIPPED.name else {}
    found, open_offices = workings(reader), unclosed(reader.con, reader.lang)
    offices = reader.rows(
        "SELECT h.item, list(n.name_@ ORDER BY n.ordinal) AS names FROM item_holder h"
        " JOIN office n ON n.office = h.office GROUP BY h.item"
    )
    owners = {one["item"]: one["names"] for one in offices}
    items: dict[str | None, list[ItemStatement]] = {}
    for row in reader.rows(
        "SELECT p.item, p.parent, i.name_@ AS name, p.clause, i.words, p.weight, p.points_base, p.points, p.state"
        " FROM item_points p JOIN rulebook_item i ON i.item = p.item WHERE p.unit = $unit ORDER BY p.ordinal"
    ):
        code = row["item"]
        waiting = [reader.say(_("Not closed yet by {one}", one=one)) for __, one in open_offices.get(code, [])]
        items.setdefault(row["parent"], []).append(
            ItemStatement(
                item=code,
                name=row["name"],
                clause=row["clause"],
                words=row["words"],
                text=texts.get(row["clause"] or ""),
                offices=owners.get(code, []),
                weight=text(row["weight"]),
                points_base=str(row["points_base"]),
                points=None if row["points"] is None else str(row["points"]),
                state=row["state"],
                sum=found[code].sum,
                notes=found[code].notes + (waiting if row["state"] == "pending" else []),
                order=found[code].order,
                lines=lines.get(code, []),
            )
        )
    return items


def _notes(reader: Reader) -> list[str]:
    """Say what hangs over the whole statement: open appeals, and events refused as conflicts."""
    appeals = reader.rows("SELECT seq, target FROM appeal WHERE unit = $unit AND open ORDER BY seq")
    conflicts = reader.rows("SELECT seq FROM ledger_event WHERE unit = $unit AND admission = 'conflict' ORDER BY seq")
    return [
        reader.say(_("Open appeal of sequence {seq} against sequence {target}", seq=one["seq"], target=one["target"]))
        for one in appeals
    ] + [
        reader.say(_("Sequence {seq} was refused: another event has its source and id (conflict)", seq=one["seq"]))
        for one in conflicts
    ]


def _place_notes(reader: Reader, ranking: list[Placed]) -> list[str]:
    """Say which units share the place."""
    units = tied(ranking, reader.unit)
    return [reader.say(_("Shares the place with {units}", units=several(units)))] if units else []


_GRADES = """
SELECT g.scheme, s.name_@ AS name, q.pool, g.grade, d.name_@ AS grade_name, g.is_undecided, r.individuals
FROM unit_grade g
JOIN rulebook_scheme s ON s.scheme = g.scheme
LEFT JOIN (SELECT DISTINCT scheme, pool, unit FROM pool_unit) q ON q.scheme = g.scheme AND q.unit = g.unit
LEFT JOIN rulebook_grade d ON d.grade = g.grade
LEFT JOIN grade_result r ON r.scheme = g.scheme AND r.pool = q.pool AND r.grade = g.grade
WHERE g.unit = $unit ORDER BY s.ordinal
"""
_CUTS = """
SELECT q.grade, d.name_@ AS name, q.quota, d.at_least, r.units, r.undecided,
       o.unit IS NOT NULL AS is_open, b.unit IS NOT NULL AS barred, t.settled_by
FROM grade_quota q
JOIN rulebook_grade d ON d.grade = q.grade
JOIN grade_result r ON r.scheme = q.scheme AND r.pool = q.pool AND r.grade = q.grade
LEFT JOIN open_grade o ON o.scheme = q.scheme AND o.pool = q.pool AND o.grade = q.grade AND o.unit = $unit
LEFT JOIN barred_grade b ON b.grade = q.grade AND b.unit = $unit
LEFT JOIN (SELECT scheme, pool, unit, max(settled_by) AS settled_by FROM seat_line GROUP BY scheme, pool, unit) t
       ON t.scheme = q.scheme AND t.pool = q.pool AND t.unit = $unit
WHERE q.scheme = $scheme AND q.pool = $pool ORDER BY q.ordinal
"""


def _grades(reader: Reader) -> list[GradeStatement]:
    """Read what the unit gets of each scheme that it stands in, with the quota and conditions of each grade."""
    return [
        GradeStatement(
            scheme=row["scheme"],
            name=row["name"],
            pool=row["pool"],
            grade=row["grade"],
            grade_name=row["grade_name"],
            individuals=row["individuals"],
            undecided=row["is_undecided"],
            notes=_grade_notes(reader, row) if row["pool"] is not None else [],
        )
        for row in reader.rows(_GRADES)
    ]


def _grade_notes(reader: Reader, row: Row) -> list[str]:
    """Say of each grade how many it has, what it asks, whether it is open to the unit, and ties across its cut."""
    notes = []
    for cut in reader.rows(_CUTS, scheme=row["scheme"], pool=row["pool"]):
        said = [cut["name"]]
        if cut["quota"] is not None:
            said.append(reader.say(_("{quota} seats, {units} given", quota=cut["quota"], units=len(cut["units"]))))
        if cut["at_least"] is not None:
            said.append(reader.say(_("from {at_least} on", at_least=text(cut["at_least"]))))
        if cut["barred"]:
            said.append(reader.say(_("barred by a veto")))
        elif not cut["is_open"]:
            said.append(reader.say(_("the unit does not meet what it asks for")))
        if reader.unit in cut["undecided"]:
            others = reader.listed([one for one in cut["undecided"] if one != reader.unit])
            said.append(reader.say(_("tied across the cut with {others}: not settled yet", others=others)))
        if cut["settled_by"] is not None and reader.unit in cut["units"]:
            said.append(reader.say(_("tie settled by sequence {settled_by}", settled_by=cut["settled_by"])))
        notes.append(reader.say(COLON).join([said[0], reader.say(SEMICOLON).join(said[1:])]) if said[1:] else said[0])
    return notes
