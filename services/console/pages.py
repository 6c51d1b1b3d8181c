"""What each page shows, read from the views of a state: no number is made here."""

import re
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock
from typing import Any

import msgspec

from schemas.events import instant
from schemas.refusals import Language
from services.console import draw
from services.console.sql import queries
from services.console.states import Row, Snapshot, State

BOARD_ROWS, AUDIT_ROWS = 120, 50
#: Columns a board can be sorted by, each with the order it begins with.
SORTS = {
    "place": "place, unit", "unit": "unit", "unit_group": "unit_group, place, unit", "daily": "daily DESC, unit",
    "year_end": "year_end DESC, unit", "final": "final DESC, unit",
}
TRAIL = """
SELECT t.*, substr(e.time, 1, 10) AS day, e.recorded_at, e.rater, e.case_name, e.value, e.rater_group, e.component, e.reading,
       e.reading_value, e.stage, e.outcome, e.award, e.node, coalesce(t.matter, e.matter) AS about, e.reason AS words
FROM (SELECT seq, source, id, 'deduction.recorded.v1' AS type, unit, item, matter, ground, claimed, counted, balance_after,
             disposition, why_zh, why_en, clause FROM audit_trail
      UNION ALL
      SELECT seq, source, id, type, unit, item, NULL, NULL, NULL, NULL, NULL, disposition, why_zh, why_en, clause FROM event_trail) t
JOIN event e ON e.seq = t.seq
"""


@dataclass(frozen=True)
class Shown:
    """How a board is asked for: which category by itself, and how its rows are chosen and put in order."""

    category: str | None = None
    group: str | None = None
    text: str = ""
    sort: str = "place"
    turned: bool = False
    page: int = 1


def assessment(state: State) -> Row:
    """The stage of the year at the cut, and what stands in the way of final, counted by kind."""
    if state.as_of is None and not state.readings:
        found = state.one("SELECT value AS state FROM meta WHERE key = 'state'")
    else:
        found = state.one("SELECT state FROM assessment_state")
    assert found is not None
    return found


def board(state: State, lang: Language, shown: Shown) -> list[Row]:
    """The categories, each with its units in order, its lines and its distribution."""
    awards = state.rows(f"SELECT award, ordinal, name_{lang} AS name FROM rulebook_award ORDER BY ordinal")
    categories = state.rows(f"SELECT category, name_{lang} AS name, pass_mark FROM rulebook_category ORDER BY ordinal")
    return [
        _category(state, one, awards, shown) for one in categories if shown.category in (None, one["category"])
    ]


def _category(state: State, category: Row, awards: list[Row], shown: Shown) -> Row:
    code, passes = category["category"], category["pass_mark"] is not None
    order = SORTS[shown.sort]
    if shown.turned:
        first, _, rest = order.partition(",")
        way = "ASC" if "DESC" in first else "DESC"
        order = f"{first.removesuffix(' DESC')} {way}" + (f",{rest}" if rest else "")
    where, values = "u.category = ?", [code]
    if shown.group:
        where, values = where + " AND u.unit_group = ?", [*values, shown.group]
    if shown.text:
        where, values = where + " AND (contains(lower(u.unit), lower(?)) OR contains(lower(u.name), lower(?)))", [*values, shown.text, shown.text]
    margin = queries()["award_margin"].text
    rows = state.rows(
        f"WITH margin AS ({margin}) SELECT u.*, m.margin, m.margin_daily, m.award AS cut FROM unit_result u"
        " LEFT JOIN margin m ON m.unit = u.unit AND CASE WHEN u.award IS NULL THEN m.ordinal = (SELECT max(ordinal) FROM"
        f" rulebook_award) ELSE m.award = u.award END WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?",
        [*values, BOARD_ROWS, (shown.page - 1) * BOARD_ROWS],
    )
    every = state.rows("SELECT unit, name, final, award, flags FROM unit_result WHERE category = ? ORDER BY final", [code])
    counted = state.one(f"SELECT count(*) AS units FROM unit_result u WHERE {where}", values) or {}
    given = state.rows(
        "SELECT a.*, (SELECT min(final) FROM unit_result u WHERE list_contains(a.units, u.unit)"
        " OR list_contains(a.undecided, u.unit)) AS value FROM award_result a WHERE list_contains(string_split(scope, '+'), ?)"
        " ORDER BY ordinal", [code],
    )
    names = {award["award"]: award["name"] for award in awards}
    lines = [{"value": category["pass_mark"], "kind": "pass", "name": ""}] if passes else []
    lines += [{"value": one["value"], "kind": one["award"], "name": names[one["award"]]} for one in given if one["value"] is not None]
    summary = state.one(
        "SELECT count(*) AS units, count(*) FILTER (passed) AS passed, count(*) FILTER (state = 'provisional') AS provisional,"
        " max(final) AS highest, quantile_disc(final, 0.5) AS middle, min(final) AS lowest FROM unit_result WHERE category = ?", [code],
    )
    return category | {
        "rows": rows, "units": counted["units"], "pages": -(-counted["units"] // BOARD_ROWS), "awards": given, "names": names,
        "passes": passes, "strip": draw.strip(every, lines), "summary": summary,
        "groups": [row["unit_group"] for row in state.rows("SELECT DISTINCT unit_group FROM roster WHERE category = ? ORDER BY 1", [code])],
    }


def unit(state: State, code: str, lang: Language) -> Row | None:
    """The statement (对账单) of a unit: every item with its lines, from the base to the final."""
    head = state.whole().one(
        f"SELECT u.*, c.name_{lang} AS category_name, c.pass_mark, (SELECT count(*) FROM unit_result o WHERE o.category = u.category) AS units,"
        f" t.daily_coefficient, t.year_end_coefficient, a.name_{lang} AS award_name FROM unit_result u"
        " JOIN rulebook_category c ON c.category = u.category CROSS JOIN rulebook_total t"
        " LEFT JOIN rulebook_award a ON a.award = u.award WHERE u.unit = ?", [code],
    )
    if head is None:
        return None
    items = state.rows(
        f"SELECT p.*, i.name_{lang} AS name, i.words, v.value_max, b.name_{lang} AS part_name, b.points AS part_points,"
        " w.coefficient, (p.points_base * w.coefficient)::DECIMAL(18,8) AS weighted_base,"
        " (coalesce(p.points, 0) * w.coefficient)::DECIMAL(18,8) AS weighted, p.points_base - coalesce(p.points, 0) AS lost"
        " FROM item_points p JOIN rulebook_item i ON i.item = p.item JOIN rulebook_part b ON b.part = p.part"
        " LEFT JOIN rulebook_range v ON v.item = p.item"
        " CROSS JOIN LATERAL (SELECT CASE WHEN p.year_end THEN t.year_end_coefficient ELSE t.daily_coefficient END AS coefficient"
        " FROM rulebook_total t) w WHERE p.unit = ? ORDER BY p.ordinal", [code],
    )
    bars, start = draw.waterfall(items)
    margins = state.rows(
        f"WITH margin AS ({queries()['award_margin'].text}) SELECT m.*, a.name_{lang} AS name FROM margin m"
        " JOIN rulebook_award a ON a.award = m.award WHERE m.unit = ? ORDER BY m.ordinal", [code],
    )
    return head | {
        "items": _lines(state, code, bars, lang), "axis_start": start, "margins": margins,
        "base": sum((item["weighted_base"] for item in items), Decimal(0)),
        "appeals": state.rows(
            "SELECT a.seq, substr(e.time, 1, 10) AS day, a.statement, a.target, a.open, a.outcome, a.decided_by, d.reason AS decision"
            " FROM appeal a JOIN event e ON e.seq = a.seq LEFT JOIN event d ON d.seq = a.decided_by WHERE a.unit = ? ORDER BY a.seq", [code],
        ),
    }


def _lines(state: State, code: str, items: list[Row], lang: Language) -> list[Row]:
    """Each item with what it is made of: deductions with running balance, ratings that count, place among the units."""
    deductions = _by_item(state.rows(
        f"SELECT d.*, substr(e.time, 1, 10) AS day, g.name_{lang} AS ground_name, g.words AS ground_words, n.name_{lang} AS node_name"
        " FROM audit_trail d JOIN event e ON e.seq = d.seq JOIN rulebook_ground g ON g.item = d.item AND g.ground = d.ground"
        " LEFT JOIN rulebook_node n ON n.item = d.item AND n.node = d.node WHERE d.unit = ? ORDER BY d.seq", [code],
    ))
    ratings = _by_item(state.rows(
        f"SELECT r.seq, r.item, r.value, e.rater, coalesce(g.name_{lang}, r.case_name, '') AS panel, c.name_{lang} AS component_name,"
        " c.points AS component_points, substr(e.time, 1, 10) AS day FROM rating_in_force r JOIN event e ON e.seq = r.seq"
        " LEFT JOIN rulebook_group g ON g.item = r.item AND g.rater_group = r.rater_group"
        " LEFT JOIN rulebook_component c ON c.item = r.item AND c.component = r.component"
        " WHERE r.unit = ? ORDER BY g.ordinal, r.case_name, r.seq", [code],
    ))
    places = _by_item(state.rows(
        f"SELECT p.*, b.name_{lang} AS band_name FROM (SELECT item, place, units, band FROM band_points WHERE unit = $1"
        " UNION ALL SELECT item, place, units, NULL FROM step_points WHERE unit = $1"
        " UNION ALL SELECT item, place, units, NULL FROM ranked_points WHERE unit = $1) p"
        " LEFT JOIN rulebook_band b ON b.item = p.item AND b.band = p.band", [code],
    ))
    rules = _by_item(state.rows("SELECT item, rule, value FROM rule_in_force ORDER BY rule"))
    return [
        item | {"rules": rules.get(item["item"], []), "deductions": deductions.get(item["item"], []), "panels": _panels(ratings.get(item["item"], [])),
                "place": next(iter(places.get(item["item"], [])), None)}
        for item in items
    ]


def _by_item(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["item"], []).append(row)
    return found


def _panels(ratings: list[Row]) -> dict[str, Row]:
    """Ratings by group or case, each with their number and sum, so that a mean can be worked out again."""
    panels: dict[str, Row] = {}
    for rating in ratings:
        one = panels.setdefault(rating["panel"], {"number": 0, "total": Decimal(0), "ratings": []})
        one["number"], one["total"] = one["number"] + 1, one["total"] + rating["value"]
        one["ratings"].append(rating)
    return panels


@dataclass(frozen=True)
class Asked:
    """The filters of the audit trail; an empty one asks for all."""

    office: str = ""
    item: str = ""
    unit: str = ""
    disposition: str = ""
    type: str = ""
    text: str = ""
    page: int = 1


def audit(state: State, asked: Asked) -> Row:
    """One page of the audit trail, newest first, and how many events there are."""
    where, values = ["true"], []
    if asked.office:
        where.append("source = ?")
        values.append(asked.office)
    for name in ("item", "unit", "disposition", "type"):
        if getattr(asked, name):
            where.append(f"{name} = ?")
            values.append(getattr(asked, name))
    if asked.text:
        where.append("contains(lower(concat_ws(' ', seq, id, unit, about, words, rater, case_name, why_zh, why_en)), lower(?))")
        values.append(asked.text)
    rule = " AND ".join(where)
    number = state.one(f"SELECT count(*) AS events FROM ({TRAIL}) WHERE {rule}", values) or {}
    rows = state.rows(
        f"SELECT * FROM ({TRAIL}) WHERE {rule} ORDER BY seq DESC LIMIT ? OFFSET ?",
        [*values, AUDIT_ROWS, (asked.page - 1) * AUDIT_ROWS],
    )
    return {"rows": rows, "events": number["events"], "pages": -(-number["events"] // AUDIT_ROWS)}


def filters(state: State, lang: Language) -> Row:
    """What the audit trail can be filtered by."""
    return {
        "offices": state.rows(f"SELECT '/offices/' || office AS source, name_{lang} AS name FROM office"),
        "items": state.rows(f"SELECT item, name_{lang} AS name FROM rulebook_item ORDER BY ordinal"),
        "dispositions": ["counted", "counted_in_part", "no_effect", "replaced", "revoked", "revised", "duplicate", "void"],
        "types": [row["type"] for row in state.rows("SELECT DISTINCT type FROM event ORDER BY type")],
    }


def event(state: State, seq: int) -> Row | None:
    """One event: as it was sent, what became of it, and the events that refer to it; null when it isn't there at the cut."""
    sent = state.one("SELECT seq, source, id, type, unit, time, recorded_at, raw, admission, refers_to FROM event WHERE seq = ?", [seq])
    if sent is None or (state.as_of is not None and seq > state.as_of):
        return None
    found = state.one(f"SELECT * FROM ({TRAIL}) WHERE seq = ?", [seq]) or {"disposition": "conflict", "why_zh": "", "why_en": "", "clause": None}
    raw = sent["raw"] or b""
    return found | sent | {
        "json": _pretty(raw),
        "referring": state.rows(f"SELECT seq, type, disposition, why_zh, why_en FROM ({TRAIL}) WHERE seq IN"
                                " (SELECT seq FROM event WHERE refers_to = ?) ORDER BY seq", [seq]),
    }


def _pretty(raw: bytes) -> str:
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw.decode("utf-8", "replace")


def progress(state: State) -> Row:
    """Office by office what is closed, open or late; obstacles; appeals with their deadlines; refusals."""
    state.whole()
    days = {row["name"]: int(row["value"]) for row in state.rows("SELECT name, value FROM reading_in_force WHERE NOT is_reading")}
    appeals = state.rows(
        "SELECT a.seq, a.unit, a.target, a.statement, a.occurred[1:10] AS day,"
        " (try_cast(a.occurred[1:10] AS DATE) + ?::INTEGER)::VARCHAR AS due,"
        " try_cast(a.occurred[1:10] AS DATE) + ?::INTEGER < (SELECT max(try_cast(occurred[1:10] AS DATE)) FROM ledger_event) AS late"
        " FROM appeal a WHERE a.open ORDER BY a.seq", [days.get("decision_days", 0)] * 2,
    )
    return {
        "parts": state.rows(queries()["office_progress"].text),
        "obstacles": state.rows("SELECT kind, count(*) AS number FROM obstacle GROUP BY kind ORDER BY kind"),
        "obstacle_rows": state.rows(queries()["obstacles"].text), "appeals": appeals, "days": days,
        "refusals": state.rows(f"FROM ({queries()['refusals'].text}) WHERE line <= ? ORDER BY line DESC LIMIT 100", [_upto(state)]),
        "reasons": state.rows(f"SELECT reason, count(*) AS number FROM ({queries()['refusals'].text}) WHERE line <= ?"
                              " GROUP BY reason ORDER BY number DESC, reason", [_upto(state)]),
        "totals": state.rows("SELECT type, count(*) AS events FROM ledger_event GROUP BY type ORDER BY events DESC"),
        "stages": state.rows("SELECT stage, seq, substr(time, 1, 10) AS day FROM year_event WHERE type = 'stage.reached.v1' ORDER BY seq"),
    }


def _upto(state: State) -> int:
    return 2**62 if state.as_of is None else state.as_of


def moves(before: State, after: State) -> list[Row]:
    """Units whose final, place, pass or award differ between two states, those that move most first."""
    fields = "unit, name, category, final, place, passed, award, list_contains([x[1:9] FOR x IN flags], 'undecided') AS undecided"
    old = {row["unit"]: row for row in before.rows(f"SELECT {fields} FROM unit_result")}
    found = []
    for new in after.rows(f"SELECT {fields} FROM unit_result"):
        was = old[new["unit"]]
        if new != was:
            found.append({
                "unit": new["unit"], "name": new["name"], "category": new["category"], "was": was, "now": new,
                "moved": was["place"] - new["place"], "changed": _outcome(was) != _outcome(new),
            })
    return sorted(found, key=lambda row: (not row["changed"], -abs(row["moved"]), row["category"], row["now"]["place"], row["unit"]))


def _outcome(row: Row) -> tuple[Any, ...]:
    return row["award"], row["passed"], row["undecided"]


class Dependence:
    """Which units depend on which reading at a sequence: every other value tried, one after the other, in a thread."""

    def __init__(self, snapshot: Snapshot, as_of: int | None) -> None:
        self.base = snapshot.state(as_of)
        force = {row["name"]: row["value"] for row in self.base.rows("SELECT name, value FROM reading_in_force")}
        self.tries = [(one.name, value) for one in snapshot.choices for value in one.values if value != force.get(one.name)]
        self.found: dict[tuple[str, str], list[Row]] = {}
        self.ended = False
        snapshot.begin(lambda: self._run(snapshot, as_of))

    def _run(self, snapshot: Snapshot, as_of: int | None) -> None:
        try:
            for one in self.tries:
                if snapshot.stopping.is_set():
                    return
                self.found[one] = moves(self.base, State(snapshot.con.cursor(), as_of, (one,)))
        finally:
            self.ended = True


_starting = Lock()


def dependence(snapshot: Snapshot, as_of: int | None) -> Dependence:
    """The dependence at a sequence, begun on first need; the last one asked for is kept with the snapshot."""
    with _starting:
        kept: Dependence = snapshot.kept.get("dependence", {}).get(as_of) or Dependence(snapshot, as_of)
        snapshot.kept["dependence"] = {as_of: kept}
        return kept


def timeline(snapshot: Snapshot) -> Row:
    """The slider's axis: months where they begin, stages where they were reached, and how many events each part holds."""
    if "timeline" not in snapshot.kept:
        state, last = snapshot.state(), max(snapshot.sequence, 1)
        bins = state.rows(
            "SELECT least(seq * 60 // ?, 59) AS bin, quantile_disc(occurred[1:7], 0.5) AS month,"
            " count(*) FILTER (type = 'deduction.recorded.v1') AS deductions, count(*) AS events FROM event GROUP BY bin ORDER BY bin", [last + 1],
        )
        months, seen = [], ""
        for one in bins:
            if one["month"] > seen:
                months.append({"x": one["bin"] * draw.WIDE // 60, "text": one["month"]})
                seen = one["month"]
        most = max((one["deductions"] for one in bins), default=0) or 1
        stages = state.rows("SELECT stage, seq FROM event WHERE type = 'stage.reached.v1' AND admission = 'admitted' ORDER BY seq")
        snapshot.kept["timeline"] = {
            "bars": [{"x": one["bin"] * draw.WIDE // 60, "height": one["deductions"] * 20 // most} for one in bins],
            "months": [m for n, m in enumerate(months) if n == 0 or m["x"] - months[n - 1]["x"] >= 30],
            "stages": [one | {"x": one["seq"] * draw.WIDE // last} for one in stages],
        }
    found: Row = snapshot.kept["timeline"]
    return found


def neighbours(snapshot: Snapshot, as_of: int | None) -> Row:
    """The events before and after a cut, and the day of its last one."""
    seq = snapshot.sequence if as_of is None else as_of
    found = snapshot.state().one(
        "SELECT max(seq) FILTER (seq < $1) AS before, min(seq) FILTER (seq > $1) AS after, max(seq) FILTER (seq <= $1) AS here FROM event", [seq]
    ) or {}
    day = snapshot.state().one("SELECT substr(time, 1, 10) AS day FROM event WHERE seq = ?", [found["here"]]) or {"day": ""}
    return found | day


DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def sequence_at(snapshot: Snapshot, text: str) -> int | None:
    """The cut of a day (its end, Beijing time) or an instant: by recorded time, in a file by `time`; null when it is neither."""
    moment = instant(f"{text}T23:59:59+08:00" if DAY.fullmatch(text) else text)
    if moment is None:
        return None
    found = snapshot.state().one(
        "SELECT coalesce(bool_and(recorded_at IS NOT NULL), false) AS recorded, coalesce(max(seq) FILTER (recorded_at <= try_cast($1 AS TIMESTAMP)), 0) AS ledger,"
        " coalesce(min(seq) FILTER (admission <> 'conflict' AND occurred > $1) - 1, $2) AS file FROM event", [moment, snapshot.sequence],
    )
    assert found is not None
    return int(found["ledger"] if found["recorded"] else found["file"])
