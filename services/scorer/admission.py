"""Admission: judges once, in ledger order, by what precedes it, whether an event is a duplicate, a conflict or void.

Set-based for the many events that refer to nothing, stepwise for the few that do (language page, section 10). The
judgement is stored with the event and never changes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import duckdb
import pyarrow as pa

from schemas.subjects import OFFICES
from services.ingest.check import content
from services.scorer import rules

ENTRIES = ("deduction.recorded.v1", "bonus.recorded.v1")
RATING, FACT, VETO = "rating.recorded.v1", "fact.recorded.v1", "veto.recorded.v1"
CLOSED, APPROVED, REVOKED, FILED, DECIDED = (
    "item.closed.v1",
    "approval.recorded.v1",
    "event.revoked.v1",
    "appeal.filed.v1",
    "appeal.decided.v1",
)
CHANGED, TRANSFERRED, KEY = "unit.changed.v1", "item.transferred.v1", "key.changed.v1"
STAGE, OPENED, ERASED = "stage.reached.v1", "assessment.opened.v1", "text.erased.v1"
#: Void after their office has closed the item.
CLOSABLE = (*ENTRIES, RATING, "submission.recorded.v1", "item.exempted.v1")
#: Void after their unit has left.
OF_UNIT = (*CLOSABLE, FACT, VETO)
#: Void while a `finalised` stands; so are closings, approvals, changes of units, transfers and the other stages.
OF_YEAR = (*OF_UNIT, "tie.resolved.v1", "reading.adopted.v1")
APPEALABLE = (*ENTRIES, RATING, VETO)
IRREVOCABLE = (REVOKED, OPENED, CHANGED, KEY, TRANSFERRED, ERASED)
#: Judged one by one: they refer to others, or decide over what follows.
STEPWISE = (CLOSED, APPROVED, REVOKED, FILED, DECIDED, CHANGED, TRANSFERRED, STAGE, ERASED)
FOR_EVER = 2**62
FAR = Decimal("Infinity")
#: The raw bytes of sequences.
Read = Callable[[set[int]], dict[int, bytes]]


def admit(con: duckdb.DuckDBPyConnection, incoming: pa.Table, read: Read | None = None) -> None:
    """Judge checked events, in ledger order and after all that is in the event table, and append them to it.

    `incoming` has the columns of the event table but for those that are judged here. Where it comes without raw bytes,
    `read` gets those of the few whose source and id come twice.
    """
    con.register("arriving", incoming)
    con.execute(_INCOMING)
    con.execute(_REPEATED)
    rows = con.execute("SELECT seq, first_seq, raw, first_raw FROM repeated WHERE admission IS NULL").fetchall()
    if rows and read:
        raws = read({seq for row in rows for seq in row[:2]})
        rows = [(seq, first_seq, raws[seq], raws[first_seq]) for seq, first_seq, _, _ in rows]
    told = [(seq, "duplicate" if content(raw) == content(first) else "conflict") for seq, _, raw, first in rows]
    if told:
        _table(con, "told", told, {"seq": pa.int64(), "admission": pa.string()})
        con.execute("UPDATE repeated SET admission = told.admission FROM told WHERE told.seq = repeated.seq")
        con.unregister("told")
    finals = con.execute(
        "SELECT seq FROM incoming ANTI JOIN repeated USING (seq) WHERE type = ? AND stage = 'finalised' ORDER BY seq",
        [STAGE],
    ).fetchall()
    done = 0
    for (upto,) in finals:
        done = _append(con, done, upto - 1, None)
        done = _append(con, done, upto, _obstacles(con, upto - 1))
    _append(con, done, FOR_EVER, None)
    con.execute("DROP VIEW incoming; DROP TABLE repeated")
    con.unregister("arriving")


_PLAIN = [name for name in rules.EVENT_COLUMNS if name not in rules.JUDGED_COLUMNS]
_INCOMING = "CREATE TEMP VIEW incoming AS SELECT {} FROM arriving".format(
    ", ".join(
        f"TRY_CAST({name} AS {kind}) AS {name}" if kind.startswith("DECIMAL") else name
        for name, kind in rules.EVENT_COLUMNS.items()
        if name in _PLAIN
    )
)
#: The first accepted event holds its (source, id) for ever: the same content again is a duplicate, other a conflict.
#: The same bytes are the same content; of other bytes the content is compared.
_REPEATED = """
CREATE TEMP TABLE repeated AS
WITH held AS (
  SELECT n.seq, e.seq AS first_seq, n.raw, e.raw AS first_raw FROM incoming n
  JOIN event e ON e.source = n.source AND e.id = n.id AND e.admission IN ('admitted', 'void')
), twice AS (
  SELECT source, id, min(seq) AS first_seq FROM incoming GROUP BY source, id HAVING count(*) > 1
), within AS (
  SELECT n.seq, f.seq AS first_seq, n.raw, f.raw AS first_raw FROM twice t
  JOIN incoming n ON n.source = t.source AND n.id = t.id AND n.seq > t.first_seq
  JOIN incoming f ON f.seq = t.first_seq
  ANTI JOIN held ON held.seq = n.seq
)
SELECT seq, first_seq, CASE WHEN raw = first_raw THEN 'duplicate' END AS admission,
       CASE WHEN raw <> first_raw THEN raw END AS raw, CASE WHEN raw <> first_raw THEN first_raw END AS first_raw
FROM (FROM held UNION ALL FROM within)
"""
_REFERRING = """
WITH holder AS (
  SELECT seq, source, id, type, unit, item, ground, admission FROM event
  WHERE admission IN ('admitted', 'void')
  UNION ALL
  SELECT seq, source, id, type, unit, item, ground, NULL FROM incoming ANTI JOIN repeated USING (seq) WHERE seq > ?
)
SELECT n.seq, n.type, n.source, n.unit, n.item, n.stage, n.outcome, n.points, n.change, n.from_office, n.to_office,
       t.seq, t.type, t.unit, t.source, t.item, t.ground, t.admission
FROM incoming n ANTI JOIN repeated USING (seq)
LEFT JOIN holder t ON t.source = n.target_source AND t.id = n.target_id
WHERE n.type IN ? AND n.seq > ? AND n.seq <= ? ORDER BY n.seq
"""
#: The points a revised decision may set, by appeal: up to the claimed for an entry, the own range of a rating's value.
_RANGES = """
SELECT a.seq, CASE WHEN t.type = $rating THEN coalesce(m.value_min, v.value_min) ELSE 0 END,
       CASE WHEN t.type = $rating THEN coalesce(m.value_max, v.value_max) ELSE coalesce(t.points, g.points) END,
       coalesce(m.is_binary, false)
FROM (SELECT seq, target_source, target_id FROM event WHERE type = $filed
      UNION ALL SELECT seq, target_source, target_id FROM incoming WHERE type = $filed) a
JOIN (SELECT source, id, type, item, measure, ground, points FROM event
                WHERE type IN $kinds AND admission IN ('admitted', 'void')
      UNION ALL SELECT source, id, type, item, measure, ground, points FROM incoming ANTI JOIN repeated USING (seq)
                WHERE type IN $kinds) t ON t.source = a.target_source AND t.id = a.target_id
LEFT JOIN rulebook_ground g ON g.item = t.item AND g.ground = t.ground
LEFT JOIN rulebook_range v ON v.item = t.item
LEFT JOIN rulebook_measure m ON m.item = t.item AND m.measure = t.measure
"""
#: Whoever of the units that change is on the roster of the opening.
_LISTED = "SELECT DISTINCT unit FROM roster SEMI JOIN (SELECT unit FROM incoming WHERE type = ?) USING (unit)"
#: What a time bars, set by set: events that come in it are void.
_BARRED = {
    "closed": "JOIN closed b ON b.item = n.item AND b.source = n.source",
    "finalised": "JOIN finalised b ON true",
    "left": 'JOIN "left" b ON b.unit = n.unit',
}
_APPEND = """
INSERT INTO event
SELECT n.*, coalesce(r.admission,
                    CASE WHEN coalesce(j.void_reason, s.void_reason) IS NULL THEN 'admitted' ELSE 'void' END),
       CASE WHEN r.seq IS NULL THEN coalesce(j.void_reason, s.void_reason) END,
       j.void_detail, coalesce(r.first_seq, j.refers_to)
FROM incoming n
LEFT JOIN repeated r ON r.seq = n.seq
LEFT JOIN judged j ON j.seq = n.seq
LEFT JOIN ({barred}) s ON s.seq = n.seq
WHERE n.seq > ? AND n.seq <= ?
"""
Span = list[int]
"""The sequence that begins a time and the one that ends it, neither included."""


@dataclass(slots=True)
class Reference:
    """One event that refers to another, or that opens or closes a time in which others are void."""

    seq: int
    type: str
    source: str
    unit: str
    item: str | None
    stage: str | None
    outcome: str | None
    points: Decimal | None
    change: str | None
    from_office: str | None
    to_office: str | None
    target: int | None
    target_type: str | None = None
    target_unit: str | None = None
    target_source: str | None = None
    target_item: str | None = None
    target_ground: str | None = None
    target_admission: str | None = None

    @property
    def final(self) -> bool:
        """Whether it makes the year final."""
        return self.type == STAGE and self.stage == "finalised"


@dataclass
class Standing:
    """What stands so far of the few events that decide over others; derived from the event table, never kept.

    `places` are the offices that have held each office's place of an item, the last of them still; `gone` the times in
    which a unit was not there, whose last has no end while it isn't.
    """

    places: dict[str, list[list[str]]]
    approvable: set[tuple[str, str]]
    listed: set[str] = field(default_factory=set)
    gone: dict[str, list[Span]] = field(default_factory=dict)
    closings: dict[tuple[str, str], list[Span]] = field(default_factory=dict)
    finals: list[Span] = field(default_factory=list)
    revoked: set[int] = field(default_factory=set)
    cancelled: set[int] = field(default_factory=set)
    appeal_target: dict[int, int] = field(default_factory=dict)
    appealed: dict[int, int] = field(default_factory=dict)
    decided: dict[int, int] = field(default_factory=dict)
    decisions: dict[int, int] = field(default_factory=dict)
    approved: dict[int, int] = field(default_factory=dict)
    approvals: dict[int, int] = field(default_factory=dict)
    judged: dict[int, str | None] = field(default_factory=dict)
    ranges: dict[int, tuple[Decimal | None, Decimal | None, bool]] = field(default_factory=dict)

    def final(self, seq: int) -> bool:
        """Whether a `finalised` stands at a sequence."""
        return any(start < seq < end for start, end in self.finals)

    def closed(self, item: str | None, source: str, seq: int) -> bool:
        """Whether an office has closed its part of an item at a sequence."""
        return any(start < seq < end for start, end in self.closings.get((item or "", source), ()))

    def left(self, unit: str, seq: int) -> bool:
        """Whether a unit has left at a sequence."""
        return any(start < seq < end for start, end in self.gone.get(unit, ()))

    def there(self, unit: str) -> bool:
        """Whether a unit of which a change tells is there now."""
        spans = self.gone.get(unit)
        return spans[-1][1] != FOR_EVER if spans else unit in self.listed

    def place(self, item: str, office: str) -> list[str] | None:
        """The place of an item that an office holds now."""
        return next((place for place in self.places.get(item, ()) if place[-1] == office), None)

    def heir(self, ref: Reference) -> bool:
        """Whether the target's item went from its source to this one, through one or more transfers."""
        before, heir = ((source or "").removeprefix(OFFICES) for source in (ref.target_source, ref.source))
        places = self.places.get(ref.target_item or "", ())
        return any(before in place and heir in place[place.index(before) + 1 :] for place in places)

    def stands(self, ref: Reference) -> bool:
        """Whether the target was admitted and has neither been revoked nor cancelled."""
        assert ref.target is not None
        if ref.target in self.judged:
            void = self.judged[ref.target] is not None
        elif ref.target_admission is not None:
            void = ref.target_admission != "admitted"
        else:
            void = self._barred(ref)
        return not void and ref.target not in self.revoked and ref.target not in self.cancelled

    def _barred(self, ref: Reference) -> bool:
        """Whether a target that is judged with this batch, as one of many, came in a time that bars it."""
        seq, kind = ref.target or 0, ref.target_type
        return (
            (kind in CLOSABLE and self.closed(ref.target_item, ref.target_source or "", seq))
            or (kind in OF_UNIT and self.left(ref.target_unit or "", seq))
            or (kind in OF_YEAR and self.final(seq))
        )

    def keep(self, ref: Reference) -> None:
        """Let an admitted event take its effect on what follows."""
        if ref.type == CLOSED:
            self.closings.setdefault((ref.item or "", ref.source), []).append([ref.seq, FOR_EVER])
        elif ref.final:
            self.finals.append([ref.seq, FOR_EVER])
        elif ref.type == TRANSFERRED:
            place = self.place(ref.item or "", ref.from_office or "")
            assert place is not None
            place.append(ref.to_office or "")
        elif ref.type == CHANGED:
            self._change(ref)
        elif ref.target is not None:
            self._refer(ref, ref.target)

    def _change(self, ref: Reference) -> None:
        if ref.change == "left":
            self.gone.setdefault(ref.unit, []).append([ref.seq, FOR_EVER])
        elif ref.change == "joined":
            self.gone.setdefault(ref.unit, [[0, 0]])[-1][1] = ref.seq

    def _refer(self, ref: Reference, target: int) -> None:
        if ref.type == REVOKED:
            self._revoke(target, ref.seq)
        elif ref.type == APPROVED:
            self.approved[target] = ref.seq
            self.approvals[ref.seq] = target
        elif ref.type == FILED:
            self.appeal_target[ref.seq] = target
            self.appealed[target] = ref.seq
        elif ref.type == DECIDED:
            self.decided[target] = ref.seq
            self.decisions[ref.seq] = target
            if ref.outcome == "cancelled":
                self.cancelled.add(self.appeal_target[target])

    def _revoke(self, target: int, seq: int) -> None:
        self.revoked.add(target)
        for span in (span for spans in (*self.closings.values(), self.finals) for span in spans if span[0] == target):
            span[1] = seq
        if target in self.appeal_target:
            del self.appealed[self.appeal_target[target]]
        if target in self.decisions:
            appeal = self.decisions.pop(target)
            del self.decided[appeal]
            self.cancelled.discard(self.appeal_target[appeal])
        if target in self.approvals:
            del self.approved[self.approvals.pop(target)]


def _void_closing(ref: Reference, now: Standing) -> str | None:
    if now.closed(ref.item, ref.source, ref.seq):
        return "closed"
    return "finalised" if now.final(ref.seq) else None


def _void_target(ref: Reference) -> str | None:
    """The reference itself: what it names is there, precedes it, and is about the same unit."""
    if ref.target is None or ref.target >= ref.seq:
        return "no_target"
    return None if ref.target_unit == ref.unit else "other_subject"


def _void_revocation(ref: Reference, now: Standing) -> str | None:
    if void := _void_target(ref):
        return void
    if ref.target_type in IRREVOCABLE:
        return "irrevocable"
    if ref.source != ref.target_source and not now.heir(ref):
        return "not_owner"
    if not now.stands(ref):
        return "not_standing"
    return "decided" if ref.target in now.decided else None


def _void_appeal(ref: Reference, now: Standing) -> str | None:
    if void := _void_target(ref):
        return void
    if ref.target_type not in APPEALABLE:
        return "not_appealable"
    if ref.target in now.appealed:
        return "appealed"
    return None if now.stands(ref) else "not_standing"


def _void_decision(ref: Reference, now: Standing) -> str | None:
    if void := _void_target(ref):
        return void
    if ref.target_type != FILED or ref.target not in now.appeal_target or ref.target in now.revoked:
        return "no_appeal"
    if ref.target in now.decided:
        return "decided"
    if now.appeal_target[ref.target] in now.revoked:
        return "target_revoked"
    return "points_range" if ref.outcome == "revised" and not _in_range(ref, now) else None


def _in_range(ref: Reference, now: Standing) -> bool:
    """Whether a decision revises within the range; a veto has none."""
    if ref.target not in now.ranges:
        return False
    low, high, binary = now.ranges[ref.target]
    points = ref.points if ref.points is not None else FAR  # null is beyond the size of the column
    if (low is not None and points < low) or (high is not None and points > high):
        return False
    return not binary or points in {0, 1}


def _void_approval(ref: Reference, now: Standing) -> str | None:
    if void := _void_target(ref):
        return void
    if ref.target_type not in ENTRIES or (ref.target_item or "", ref.target_ground or "") not in now.approvable:
        return "no_approval"
    if not now.stands(ref):
        return "not_standing"
    if ref.target in now.approved:
        return "approved"
    if now.left(ref.unit, ref.seq):
        return "left"
    return "finalised" if now.final(ref.seq) else None


def _void_change(ref: Reference, now: Standing) -> str | None:
    if now.there(ref.unit) == (ref.change == "joined"):
        return "there" if ref.change == "joined" else "not_there"
    return "finalised" if now.final(ref.seq) else None


def _void_transfer(ref: Reference, now: Standing) -> str | None:
    if now.place(ref.item or "", ref.from_office or "") is None:
        return "not_holder"
    if now.place(ref.item or "", ref.to_office or "") is not None:
        return "holder"
    return "finalised" if now.final(ref.seq) else None


def _void_stage(ref: Reference, now: Standing) -> str | None:
    return "finalised" if now.final(ref.seq) else None


_VOID: dict[str, Callable[[Reference, Standing], str | None]] = {
    CLOSED: _void_closing,
    APPROVED: _void_approval,
    REVOKED: _void_revocation,
    FILED: _void_appeal,
    DECIDED: _void_decision,
    CHANGED: _void_change,
    TRANSFERRED: _void_transfer,
    STAGE: _void_stage,
    ERASED: lambda ref, _: _void_target(ref),
}


def _append(con: duckdb.DuckDBPyConnection, done: int, upto: int, obstacles: str | None) -> int:
    """Judge the incoming events after `done` up to a sequence and append them; returns how far that is.

    `obstacles` is what stands in the way of the `finalised` at `upto`, null when nothing is.
    """
    now = _standing(con)
    judged: list[tuple[int, str | None, str | None, int | None]] = []
    references = [Reference(*row) for row in con.execute(_REFERRING, [done, STEPWISE, done, upto]).fetchall()]
    if any(ref.outcome == "revised" for ref in references):
        rows = con.execute(_RANGES, {"filed": FILED, "kinds": (*ENTRIES, RATING), "rating": RATING}).fetchall()
        now.ranges = {seq: (low, high, binary) for seq, low, high, binary in rows}
    for ref in references:
        void = _VOID[ref.type](ref, now) if not ref.final else "obstacles" if obstacles else None
        now.judged[ref.seq] = void
        if void is None:
            now.keep(ref)
        target = ref.target if ref.target is not None and ref.target < ref.seq else None
        judged.append((ref.seq, void, obstacles if ref.final else None, target))
    judged += con.execute(
        "SELECT seq, 'not_first', NULL, NULL FROM incoming ANTI JOIN repeated USING (seq) WHERE type = ? AND seq >"
        " (SELECT least(min(seq), (SELECT min(seq) FROM event)) FROM incoming)",
        [OPENED],
    ).fetchall()
    types = {"seq": pa.int64(), "void_reason": pa.string(), "void_detail": pa.string(), "refers_to": pa.int64()}
    _table(con, "judged", judged, types)
    with _barred(con, now) as barred:
        con.execute(_APPEND.format(barred=barred), [done, upto])
    con.unregister("judged")
    return upto


@contextmanager
def _barred(con: duckdb.DuckDBPyConnection, now: Standing) -> Iterator[str]:
    """The query of what comes in a time that bars it, with its reason; only what bars anything is in it."""
    span = {"seq_from": pa.int64(), "seq_upto": pa.int64()}
    text = {"item": pa.string(), "source": pa.string()}
    tables: dict[str, tuple[tuple[str, ...], Sequence[tuple[object, ...]], dict[str, pa.DataType]]] = {
        "closed": (CLOSABLE, [(*key, *one) for key, spans in now.closings.items() for one in spans], text | span),
        "finalised": (OF_YEAR, [tuple(one) for one in now.finals], span),
        "left": (
            OF_UNIT,
            [(unit, *one) for unit, spans in now.gone.items() for one in spans],
            {"unit": pa.string()} | span,
        ),
    }
    queries = ["SELECT NULL::BIGINT AS seq, NULL::VARCHAR AS void_reason WHERE false"]
    for reason, (types, rows, columns) in tables.items():
        if rows:
            _table(con, reason, rows, columns)
            queries.append(
                f"SELECT n.seq, '{reason}' FROM incoming n {_BARRED[reason]} AND n.seq > b.seq_from"
                f" AND n.seq < b.seq_upto WHERE n.type IN {types}"
            )
    yield f"SELECT seq, min(void_reason) AS void_reason FROM ({' UNION ALL '.join(queries)}) GROUP BY seq"
    for reason, (_, rows, _) in tables.items():
        if rows:
            con.unregister(reason)


def _table(
    con: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[object, ...]], types: dict[str, pa.DataType]
) -> None:
    columns: list[Sequence[object]] = list(zip(*rows, strict=True)) or [() for _ in types]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types.values(), strict=True)]
    con.register(name, pa.Table.from_arrays(arrays, list(types)))


def _standing(con: duckdb.DuckDBPyConnection) -> Standing:
    """What stands of the events that are already in the event table."""
    places: dict[str, list[list[str]]] = {}
    for item, office in con.execute("SELECT item, office FROM rulebook_office").fetchall():
        places.setdefault(item, []).append([office])
    approvable = con.execute("SELECT item, ground FROM rulebook_ground WHERE approval").fetchall()
    now = Standing(places, set(approvable))
    now.listed = {unit for (unit,) in con.execute(_LISTED, [CHANGED]).fetchall()}
    rows = con.execute(
        "SELECT seq, type, source, unit, item, stage, outcome, points, change, from_office, to_office, refers_to"
        " FROM event WHERE type IN ? AND admission = 'admitted' ORDER BY seq",
        [STEPWISE],
    ).fetchall()
    for row in rows:
        now.keep(Reference(*row))
    return now


def _obstacles(con: duckdb.DuckDBPyConnection, as_of: int) -> str | None:
    """What stands in the way of final at a sequence, under the ledger's own readings; null when nothing does."""
    with rules.compute(con, as_of=as_of, upto="obstacle") as cursor:
        rows = cursor.execute("SELECT kind, count(*) FROM obstacle GROUP BY kind ORDER BY kind").fetchall()
    return ", ".join(f"{kind} {count}" for kind, count in rows) or None
