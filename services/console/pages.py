"""What each page shows, read from the views of a state by the queries of pages.sql: no number is made here."""

import re
import time
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from threading import Lock

import duckdb
import msgspec

from schemas.events import instant
from schemas.receipts import Notice
from schemas.words import Language
from services.console import draw
from services.console.sql import queries
from services.console.states import Row, Snapshot, State
from services.ranker import notices as told
from services.reports.statement import statement
from services.snapshot import texts

BOARD_ROWS, AUDIT_ROWS = 120, 50
#: Events that a search shows.
FOUND = 20
#: Seconds for which the values of readings are tried after somebody looked last.
PATIENCE = 30.0
#: Columns a board can be sorted by, each with the order it begins with and the other way round.
SORTS = {
    "place": ("place NULLS LAST, final DESC, unit", "place DESC NULLS LAST, final, unit"),
    "unit": ("unit", "unit DESC"),
    "unit_group": ("unit_group, place, unit", "unit_group DESC, place, unit"),
    "final": ("final DESC, unit", "final, unit"),
}
#: Columns of the audit trail that it can be sorted by.
AUDIT_SORTS = ("seq", "day", "source", "unit", "type", "counted", "disposition")
DISPOSITIONS = (
    "counted", "counted_in_part", "no_effect", "awaiting", "rejected", "replaced", "revoked", "revised", "duplicate",
    "void",
)  # fmt: skip
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@cache
def query(name: str, lang: Language = "en") -> str:
    """A query of pages.sql in a language."""
    blocks = (Path(__file__).parent / "pages.sql").read_text(encoding="utf-8").split("-- :")[1:]
    found = {head.split()[0]: text.strip() for head, _, text in (block.partition("\n") for block in blocks)}
    text = found[name].replace("{lang}", lang).replace("{trail}", found["trail"])
    return text.replace("{margin}", queries()["grade_margin"].text)


@dataclass(frozen=True)
class Shown:
    """How a board is asked for: which category by itself, and how its rows are chosen and put in order."""

    category: str | None = None
    group: str | None = None
    text: str = ""
    sort: str = "place"
    turned: bool = False
    page: int = 1
    size: int = BOARD_ROWS


def assessment(state: State) -> Row:
    """The stage of the year at the cut."""
    published = state.as_of is None and not state.readings
    stored = "SELECT value AS state FROM meta WHERE key = 'state'"
    found = state.one(stored if published else "FROM assessment_state")
    assert found is not None
    return found


def names(state: State, lang: Language) -> dict[str, str]:
    """What the rulebook calls its grades, stages, attributes and vetoes, by code."""
    return {row["code"]: row["name"] for row in state.once(query("names", lang))}


def board(state: State, lang: Language, shown: Shown) -> list[Row]:
    """The categories, each with its units in order, its lines and its distribution."""
    categories = state.once(query("categories", lang))
    return [_category(state, one, lang, shown) for one in categories if shown.category in (None, one["category"])]


def _category(state: State, category: Row, lang: Language, shown: Shown) -> Row:
    code = category["category"]
    standing = _standing(state, code)
    asked = {"category": code, "group": shown.group, "text": shown.text}
    order, start = SORTS[shown.sort][shown.turned], (shown.page - 1) * shown.size
    rows = state.rows(f"{query('board')} ORDER BY {order} LIMIT {shown.size:d} OFFSET {start:d}", asked)
    margins = {row["unit"]: row for row in state.once(query("board_margins"))}
    tops, named = state.once(query("tops", lang)), names(state, lang)
    for row in rows:
        row |= {
            "margin": margins.get(row["unit"], {}).get("margin"),
            "parts": [row["parts"].get(t["part"]) for t in tops],
        }
        row["undecided"] = [flag.partition(":")[2] for flag in row["flags"] if flag.startswith("undecided:")]
        row["graded"] = [grade for grade in row["grades"].values() if grade] if standing != "waits" else []
    units = state.rows(query("board_count"), asked)[0]["units"]
    given = state.once(query("category_grades", lang), code)
    cuts = [] if standing == "waits" else given
    lines = [
        {"value": one["at_least"], "kind": "pass", "name": one["name"]} for one in cuts if one["at_least"] is not None
    ]
    lines += [
        {"value": one["value"], "kind": "award", "name": one["name"]}
        for one in cuts
        if one["value"] is not None and one["quota"] is not None
    ]
    return category | {
        "standing": standing,
        "rows": rows,
        "units": units,
        "pages": -(-units // shown.size),
        "grades": given,
        "names": named,
        "tops": tops,
        "strip": draw.strip(_dots(state, code, standing), lines),
        "summary": state.once(query("summary"), code)[0],
        "groups": [row["unit_group"] for row in state.once(query("groups"), code)],
    }


def _standing(state: State, category: str) -> str:
    """What grades of a category are yet: `waits` while a unit has a pending item, `soon` before the final, `given`.

    What is pending counts 0 so far, so that nobody has won or lost anything by it.
    """
    if assessment(state)["state"] in ("finalised", "amended"):
        return "given"
    return "waits" if state.once(query("waiting"), category)[0]["units"] else "soon"


def _dots(state: State, category: str, standing: str) -> list[Row]:
    finals = state.once(query("finals"), category)
    return [row | {"graded": False, "flags": []} for row in finals] if standing == "waits" else finals


def unit(state: State, code: str, lang: Language) -> Row | None:
    """The statement (对账单) of a unit, the same as the command's, with its waterfall, margins and appeals."""
    state = state.whole()
    if not state.rows("SELECT 1 FROM unit_in_force WHERE unit = ?", [code]):
        return None
    bars, start = draw.waterfall(state.rows(query("bars", lang), {"unit": code}))
    made = state.read(lambda con: statement(con, code, lang))
    return {
        "statement": made,
        "bars": bars,
        "axis_start": start,
        "base": bars[0]["before"] if bars else Decimal(0),
        "margins": state.rows(query("margins", lang), [code]),
        "appeals": state.rows(query("appeals"), {"unit": code}),
        "standing": _standing(state, made.category),
        "beside": state.rows(query("beside"), [code])[0],
    }


def matrix(state: State, lang: Language) -> Row:
    """Every unit by every item: the points, or that they are pending or not applicable."""
    rows = state.rows(query("matrix"))
    for row in rows:
        row["cells"] = dict(zip(row.pop("items"), zip(row.pop("points"), row.pop("states"), strict=True), strict=True))
    return {"items": state.rows(query("item_names", lang)), "rows": rows}


def search(state: State, lang: Language, text: str, *, events: bool) -> Row:
    """Units, items and, where they may be seen, events that a text is in; a few of each."""
    if not text:
        return {"units": [], "items": [], "events": []}
    asked = Asked(text=text)
    return {
        "units": state.rows(query("search_units"), [text]),
        "items": [
            row
            for row in state.rows(query("item_names", lang))
            if text.casefold() in f"{row['item']} {row['name']}".casefold()
        ],
        "events": audit(state, asked)["rows"][:FOUND] if events else [],
    }


def notices(snapshot: Snapshot, code: str, as_of: int | None) -> list[Notice]:
    """What the unit was told of up to a sequence, the newest first."""
    folder = snapshot.path.parent / f"{snapshot.meta['assessment']}-notices"
    last = snapshot.sequence if as_of is None else as_of
    return [one for one in told.read(folder / f"{code}.jsonl") if one.sequence <= last][::-1]


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
    size: int = AUDIT_ROWS
    sort: str = "seq"
    turned: bool = True


def audit(state: State, asked: Asked) -> Row:
    """One page of the audit trail, newest first, and how many events there are."""
    columns = {"office": "source", "item": "item", "unit": "unit", "disposition": "disposition", "type": "type"}
    chosen = {column: getattr(asked, name) for name, column in columns.items() if getattr(asked, name)}
    where = " AND ".join(["true", *(f"{column} = ?" for column in chosen)])
    if asked.text:
        words = "seq, id, unit, about, words, rater, case_name, why_zh, why_en"
        where += f" AND (contains(lower(concat_ws(' ', {words})), lower(?)) OR list_has_any(?, [words, rater]))"
    apart = state.read(lambda con: texts.holding(con, asked.text)) if asked.text else []
    values, trail = [*chosen.values(), *([asked.text, apart] if asked.text else [])], query("trail")
    events = state.rows(f"SELECT count(*) AS events FROM ({trail}) WHERE {where}", values)[0]["events"]
    order = f"{asked.sort} DESC, seq DESC" if asked.turned else f"{asked.sort}, seq"
    page = f"ORDER BY {order} LIMIT {asked.size:d} OFFSET {(asked.page - 1) * asked.size:d}"
    rows = state.rows(f"FROM ({trail}) WHERE {where} {page}", values)
    return {"rows": rows, "events": events, "pages": -(-events // asked.size)}


def filters(state: State, lang: Language) -> Row:
    """What the audit trail can be filtered by."""
    return {
        "offices": state.rows(query("offices", lang)),
        "items": state.rows(query("item_names", lang)),
        "dispositions": list(DISPOSITIONS),
        "types": [row["type"] for row in state.rows("SELECT DISTINCT type FROM event ORDER BY type")],
    }


def event(state: State, seq: int) -> Row | None:
    """One event: as it was sent, what became of it, and what refers to it; null when it isn't there at the cut."""
    sent = state.one(query("event"), [seq])
    if sent is None or (state.as_of is not None and seq > state.as_of):
        return None
    conflict: Row = {"disposition": "conflict", "why_zh": "", "why_en": "", "clause": None}
    became = state.one(f"FROM ({query('trail')}) WHERE seq = ?", [seq]) or conflict
    return became | sent | {"json": _pretty(sent["raw"] or b""), "referring": state.rows(query("referring"), [seq])}


def _pretty(raw: bytes) -> str:
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw.decode("utf-8", "replace")


def _refused(state: State) -> str:
    upto = 2**62 if state.as_of is None else state.as_of
    party = "($party::VARCHAR IS NULL OR party = $party)"
    return f"FROM ({queries()['refusals'].text}) WHERE (refused_by = 'intake' OR line <= {upto:d}) AND {party}"


def refusals(state: State, party: str | None = None) -> list[Row]:
    """The newest refusals, of a party where one is named: those of intake, then those of the fold, and conflicts."""
    return state.rows(f"{_refused(state)} ORDER BY refused_by DESC, line DESC LIMIT 100", {"party": party})


def progress(state: State, lang: Language) -> Row:
    """Office by office what is closed, open or late; obstacles; appeals with their deadlines; refusals."""
    state = state.whole()
    parameters = state.rows("SELECT name, value FROM reading_in_force WHERE NOT is_reading")
    days = {row["name"]: int(row["value"]) for row in parameters if row["value"] is not None}
    return {
        "parts": state.rows(queries()["office_progress"].text),
        "days": days,
        "names": names(state, lang),
        "obstacles": state.rows("SELECT kind, count(*) AS number FROM obstacle GROUP BY kind ORDER BY kind"),
        "obstacle_rows": state.rows(queries()["obstacles"].text),
        "appeals": [row for row in state.rows(query("appeals"), {"unit": None}) if row["state"] == "open"],
        "refusals": refusals(state),
        "reasons": state.rows(
            f"SELECT reason, count(*) AS number {_refused(state)} GROUP BY reason ORDER BY 2 DESC, 1", {"party": None}
        ),
        "totals": state.rows(query("totals")),
        "stages": state.rows(query("stages")),
        "publicity": next(iter(state.rows(query("publicity"))), None),
    }


def moves(before: State, after: State) -> list[Row]:
    """Units whose final, place or grades differ between two states, those whose grades or place move first."""
    old = {row["unit"]: row for row in before.rows(query("outcome"))}
    pairs = [(old[now["unit"]], now) for now in after.rows(query("outcome")) if old.get(now["unit"], now) != now]
    found = [
        {
            "unit": now["unit"],
            "name": now["name"],
            "category": now["category"],
            "was": was,
            "now": now,
            "moved": (was["place"] or 0) - (now["place"] or 0),
            "rescored": was["final"] != now["final"],
            "changed": any(was[key] != now[key] for key in ("grades", "undecided")),
        }
        for was, now in pairs
    ]
    found.sort(key=lambda row: (row["category"], row["now"]["place"] or 0, row["unit"]))
    return sorted(found, key=lambda row: (not row["changed"], -abs(row["moved"])))


class Dependence:
    """Which units depend on which reading at a sequence: every other value tried, one after the other, in a thread.

    It goes on while somebody looks, and the next look takes it up where it stopped.
    """

    def __init__(self, snapshot: Snapshot, as_of: int | None) -> None:
        self.snapshot, self.as_of, self.base = snapshot, as_of, snapshot.state(as_of)
        force = {row["name"]: row["value"] for row in self.base.rows("SELECT name, value FROM reading_in_force")}
        self.tries = [
            (one.name, value) for one in snapshot.choices for value in one.values if value != force.get(one.name)
        ]
        self.found: dict[tuple[str, str], list[Row]] = {}
        self.running = self.stopped = False
        self._trying: State | None = None
        self._asked = 0.0

    @property
    def ended(self) -> bool:
        """Whether every value was tried."""
        return len(self.found) == len(self.tries)

    def look(self) -> None:
        """Somebody looks: go on."""
        self._asked = time.monotonic()
        if not self.running and not self.ended:
            self.running = True
            self.snapshot.begin(self._run)

    def stop(self) -> None:
        """Stop, for another sequence is asked for."""
        self.stopped = True
        if self._trying:
            self._trying.con.interrupt()

    def _run(self) -> None:
        try:
            for one in (one for one in self.tries if one not in self.found):
                if self.stopped or self.snapshot.stopping.is_set() or time.monotonic() - self._asked > PATIENCE:
                    return
                self._trying = State(self.snapshot.con.cursor(), self.as_of, (one,))
                self.found[one] = moves(self.base, self._trying)
        except duckdb.InterruptException:
            pass
        finally:
            self._trying, self.running = None, False


_starting = Lock()


def dependence(snapshot: Snapshot, as_of: int | None) -> Dependence:
    """The dependence at a sequence, begun on first need; the last one asked for is kept, and any other stopped."""
    with _starting:
        kept: Dependence | None = snapshot.kept.get("dependence")
        if kept is None or kept.as_of != as_of:
            if kept:
                kept.stop()
            kept = snapshot.kept["dependence"] = Dependence(snapshot, as_of)
        kept.look()
        return kept


def timeline(snapshot: Snapshot) -> Row:
    """The slider's axis, made once a snapshot."""
    if "timeline" not in snapshot.kept:
        state, last = snapshot.state(), max(snapshot.sequence, 1)
        bins = state.rows(query("bins"), [last + 1])
        snapshot.kept["timeline"] = draw.axis(bins, state.rows(query("stage_marks")), last)
    found: Row = snapshot.kept["timeline"]
    return found


def neighbours(snapshot: Snapshot, as_of: int | None) -> Row:
    """The events before and after a cut, and the day of its last one."""
    return snapshot.state().once(query("neighbours"), snapshot.sequence if as_of is None else as_of)[0]


def sequence_at(snapshot: Snapshot, text: str) -> int | None:
    """The cut of a day (its end, Beijing time) or of an instant; null when it is neither."""
    moment = instant(f"{text}T23:59:59+08:00" if DAY.fullmatch(text) else text)
    if moment is None:
        return None
    return int(snapshot.state().rows(query("cut_at"), [moment, snapshot.sequence])[0]["seq"])
