"""Admission: judges once, in ledger order, by what precedes it, whether an event is a duplicate, a conflict or void.

Set-based for the many events that refer to nothing, stepwise for the few that do (regulation page, "Void, revocation,
appeal, stages"). The judgement is stored with the event and never changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import duckdb
import pyarrow as pa

from services.ingest.check import content
from services.scorer import rules

SCORING = (
    "deduction.recorded.v1",
    "rating.recorded.v1",
    "submission.recorded.v1",
    "item.exempted.v1",
    "item.closed.v1",
)
APPEALABLE = ("deduction.recorded.v1", "rating.recorded.v1")
STEPWISE = ("item.closed.v1", "event.revoked.v1", "appeal.filed.v1", "appeal.decided.v1", "stage.reached.v1")
OPENED, CLOSED, REVOKED, FILED, DECIDED, STAGE = (
    "assessment.opened.v1",
    "item.closed.v1",
    "event.revoked.v1",
    "appeal.filed.v1",
    "appeal.decided.v1",
    "stage.reached.v1",
)
FOR_EVER = 2**62
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
  SELECT seq, source, id, type, unit, item, component, ground, points, admission FROM event
  WHERE admission IN ('admitted', 'void')
  UNION ALL
  SELECT seq, source, id, type, unit, item, component, ground, points, NULL FROM incoming ANTI JOIN repeated USING (seq)
  WHERE seq > ?
)
SELECT n.seq, n.type, n.source, n.unit, n.item, n.stage, n.outcome, n.points,
       t.seq, t.type, t.unit, t.source, t.item, t.admission
FROM incoming n ANTI JOIN repeated USING (seq)
LEFT JOIN holder t ON t.source = n.target_source AND t.id = n.target_id
WHERE n.type IN ? AND n.seq > ? AND n.seq <= ? ORDER BY n.seq
"""
#: The points a revised decision may set: up to the claimed for a deduction, the range of the value for a rating.
_RANGES = """
SELECT a.seq, CASE WHEN t.ground IS NULL THEN coalesce(v.value_min, 0) ELSE 0 END,
       CASE WHEN t.ground IS NULL THEN coalesce(v.value_max, 1) ELSE coalesce(t.points, g.points) END,
       coalesce(c.is_binary, false)
FROM (SELECT seq, target_source, target_id FROM event WHERE type = $filed
      UNION ALL SELECT seq, target_source, target_id FROM incoming WHERE type = $filed) a
JOIN (SELECT source, id, item, component, ground, points FROM event
                WHERE type IN $kinds AND admission IN ('admitted', 'void')
      UNION ALL SELECT source, id, item, component, ground, points FROM incoming ANTI JOIN repeated USING (seq)
                WHERE type IN $kinds) t ON t.source = a.target_source AND t.id = a.target_id
LEFT JOIN rulebook_ground g ON g.item = t.item AND g.ground = t.ground
LEFT JOIN rulebook_range v ON v.item = t.item
LEFT JOIN rulebook_component c ON c.item = t.item AND c.component = t.component
"""
_APPEND = """
INSERT INTO event
SELECT n.*, coalesce(r.admission,
                    CASE WHEN coalesce(j.void_reason, s.void_reason) IS NULL THEN 'admitted' ELSE 'void' END),
       CASE WHEN r.seq IS NULL THEN coalesce(j.void_reason, s.void_reason) END,
       j.void_detail, coalesce(r.first_seq, j.refers_to)
FROM incoming n
LEFT JOIN repeated r ON r.seq = n.seq
LEFT JOIN judged j ON j.seq = n.seq
LEFT JOIN (
  SELECT n.seq, min(b.void_reason) AS void_reason FROM incoming n
  JOIN barred b ON n.seq > b.seq_from AND n.seq < b.seq_upto
               AND (b.item IS NULL OR (b.item = n.item AND b.source = n.source))
  WHERE n.type IN ? GROUP BY n.seq
) s ON s.seq = n.seq
WHERE n.seq > ? AND n.seq <= ?
"""


@dataclass
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
    target: int | None
    target_type: str | None = None
    target_unit: str | None = None
    target_source: str | None = None
    target_item: str | None = None
    target_admission: str | None = None


@dataclass
class Standing:
    """What stands so far of the few events that decide over others; derived from the event table, never kept."""

    closings: dict[tuple[str, str], list[list[int]]] = field(default_factory=dict)
    finals: list[list[int]] = field(default_factory=list)
    revoked: set[int] = field(default_factory=set)
    cancelled: set[int] = field(default_factory=set)
    appeal_target: dict[int, int] = field(default_factory=dict)
    appealed: dict[int, int] = field(default_factory=dict)
    decided: dict[int, int] = field(default_factory=dict)
    decisions: dict[int, tuple[int, str]] = field(default_factory=dict)
    judged: dict[int, str | None] = field(default_factory=dict)
    ranges: dict[int, tuple[Decimal, Decimal, bool]] = field(default_factory=dict)

    def bars(self, item: str | None, source: str, seq: int) -> str | None:
        """Why a scoring event is void at a sequence: its office has closed the item, or the year is final."""
        spans = self.closings.get((item or "", source), [])
        if any(start < seq < end for start, end in spans):
            return "closed"
        return "finalised" if any(start < seq < end for start, end in self.finals) else None

    def stands(self, ref: Reference) -> bool:
        """Whether the target was admitted and has neither been revoked nor cancelled."""
        assert ref.target is not None
        assert ref.target_type is not None
        if ref.target in self.judged:
            void = self.judged[ref.target]
        elif ref.target_admission is not None:
            void = None if ref.target_admission == "admitted" else "void"
        elif ref.target_type in SCORING:
            void = self.bars(ref.target_item, ref.target_source or "", ref.target)
        else:
            void = None
        return void is None and ref.target not in self.revoked and ref.target not in self.cancelled

    def keep(self, ref: Reference) -> None:
        """Let an admitted event take its effect on what follows."""
        if ref.type == CLOSED:
            self.closings.setdefault((ref.item or "", ref.source), []).append([ref.seq, FOR_EVER])
        elif ref.type == STAGE and ref.stage == "finalised":
            self.finals.append([ref.seq, FOR_EVER])
        elif ref.type == REVOKED:
            assert ref.target is not None
            self._revoke(ref.target, ref.seq)
        elif ref.type == FILED:
            assert ref.target is not None
            self.appeal_target[ref.seq] = ref.target
            self.appealed[ref.target] = ref.seq
        elif ref.type == DECIDED:
            assert ref.target is not None
            self.decided[ref.target] = ref.seq
            self.decisions[ref.seq] = (ref.target, ref.outcome or "")
            if ref.outcome == "cancelled":
                self.cancelled.add(self.appeal_target[ref.target])

    def _revoke(self, target: int, seq: int) -> None:
        self.revoked.add(target)
        for span in (span for spans in (*self.closings.values(), self.finals) for span in spans if span[0] == target):
            span[1] = seq
        if target in self.appeal_target:
            del self.appealed[self.appeal_target[target]]
        if target in self.decisions:
            appeal, _ = self.decisions.pop(target)
            del self.decided[appeal]
            self.cancelled.discard(self.appeal_target[appeal])


def _void_closing(ref: Reference, now: Standing) -> str | None:
    return now.bars(ref.item, ref.source, ref.seq)


def _void_target(ref: Reference) -> str | None:
    """The reference itself: what it names is there, precedes it, and is about the same unit."""
    if ref.target is None or ref.target >= ref.seq:
        return "no_target"
    return None if ref.target_unit == ref.unit else "other_subject"


def _void_revocation(ref: Reference, now: Standing) -> str | None:
    if void := _void_target(ref):
        return void
    if ref.target_type in (REVOKED, OPENED):
        return "irrevocable"
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
    if ref.outcome == "revised":
        low, high, binary = now.ranges[ref.target]
        if ref.points is None or not low <= ref.points <= high or (binary and ref.points not in (0, 1)):
            return "points_range"
    return None


def _void_stage(_ref: Reference, _now: Standing) -> str | None:
    return None


_VOID: dict[str, Callable[[Reference, Standing], str | None]] = {
    CLOSED: _void_closing,
    REVOKED: _void_revocation,
    FILED: _void_appeal,
    DECIDED: _void_decision,
    STAGE: _void_stage,
}


def _append(con: duckdb.DuckDBPyConnection, done: int, upto: int, obstacles: str | None) -> int:
    """Judge the incoming events after `done` up to a sequence and append them; returns how far that is.

    `obstacles` is what stands in the way of the `finalised` at `upto`, null when nothing is.
    """
    now = _standing(con)
    judged: list[tuple[int, str | None, str | None, int | None]] = []
    references = [Reference(*row) for row in con.execute(_REFERRING, [done, STEPWISE, done, upto]).fetchall()]
    if any(ref.outcome == "revised" for ref in references):
        rows = con.execute(_RANGES, {"filed": FILED, "kinds": APPEALABLE}).fetchall()
        now.ranges = {seq: (low, high, binary) for seq, low, high, binary in rows}
    for ref in references:
        final = ref.type == STAGE and ref.stage == "finalised"
        void = _VOID[ref.type](ref, now) if not final else "obstacles" if obstacles else None
        now.judged[ref.seq] = void
        if void is None:
            now.keep(ref)
        precedes = ref.type in (REVOKED, FILED, DECIDED) and ref.target is not None and ref.target < ref.seq
        target = ref.target if precedes else None
        judged.append((ref.seq, void, obstacles if final else None, target))
    judged += con.execute(
        "SELECT seq, 'not_first', NULL, NULL FROM incoming ANTI JOIN repeated USING (seq) WHERE type = ? AND seq >"
        " (SELECT least(min(seq), (SELECT min(seq) FROM event)) FROM incoming)",
        [OPENED],
    ).fetchall()
    barred = [("closed", item, source, *span) for (item, source), spans in now.closings.items() for span in spans]
    barred += [("finalised", None, None, *span) for span in now.finals]
    _table(
        con,
        "judged",
        judged,
        {
            "seq": pa.int64(),
            "void_reason": pa.string(),
            "void_detail": pa.string(),
            "refers_to": pa.int64(),
        },
    )
    _table(
        con,
        "barred",
        barred,
        {
            "void_reason": pa.string(),
            "item": pa.string(),
            "source": pa.string(),
            "seq_from": pa.int64(),
            "seq_upto": pa.int64(),
        },
    )
    con.execute(_APPEND, [[kind for kind in SCORING if kind != CLOSED], done, upto])
    con.unregister("judged")
    con.unregister("barred")
    return upto


def _table(
    con: duckdb.DuckDBPyConnection, name: str, rows: Sequence[tuple[object, ...]], types: dict[str, pa.DataType]
) -> None:
    columns: list[Sequence[object]] = list(zip(*rows, strict=True)) or [() for _ in types]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types.values(), strict=True)]
    con.register(name, pa.Table.from_arrays(arrays, list(types)))


def _standing(con: duckdb.DuckDBPyConnection) -> Standing:
    """What stands of the events that are already in the event table."""
    now = Standing()
    rows = con.execute(
        "SELECT e.seq, e.type, e.source, e.unit, e.item, e.stage, e.outcome, e.points, e.refers_to"
        " FROM event e WHERE e.type IN ? AND e.admission = 'admitted' ORDER BY e.seq",
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
