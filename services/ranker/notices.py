"""Notices (通知): what each publication changes for a unit, by which events, and until when an appeal is in time.

A unit is told when an event of its own came or counts otherwise, when its final, its place or a grade of it moved, and
when the year reached another stage. What is told between two sequences rests on the ledger alone. The last message in
NOTICE says how far the units were told, so that nobody is told twice or not at all; where a ranker ended between two
batches of one publication, all of that publication are told again.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec
import pyarrow as pa
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.client import BATCH, AppendRefused, AppendUnknown, Message, last_entry, publish_batch
from schemas import subjects
from schemas.receipts import Notice, Noticed, Ranking
from services.proof.note import Signer
from services.ranker import announced
from services.scorer import store
from services.snapshot.moves import ADOPTED, TIE, Side, computed, side
from services.snapshot.point import stored

EVENTS_MAX = 500
"""Events of one notice; more are told in several."""
NAMED_MAX = 100
"""Events of others, and units that were passed, that a notice names."""
KEPT = 200
"""Notices that the page of a unit has; the stream has those of 90 days."""


class Teller:
    """What the units were told, and what they are to be told next."""

    def __init__(self, assessment: str, folder: Path) -> None:
        self.assessment = assessment
        self.folder = folder / f"{assessment}-notices"
        self.ready: list[Notice] = []
        self._since: int | None = None
        self._before: Side | None = None
        self._after: Side | None = None

    async def begin(self, client: Client, before: Ranking | None) -> None:
        """Find how far the units were told: by the last notice, else up to the ranking before, else the opening.

        Asked each round, since another ranker may have told them meanwhile.
        """
        entry = await last_entry(client, "NOTICE", self.assessment)
        said = before.sequence if before else 1
        if entry:
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                last = msgspec.json.decode(entry.data, type=Notice)
                said = last.sequence if last.number == last.of else last.since
        self._since = max(self._since or 0, said)

    def look(self, con: duckdb.DuckDBPyConnection, sequence: int) -> None:
        """Keep the point that is published from what is computed of it already, and the one that was told of last."""
        self._before = self._after if self._after and self._after.as_of == self._since else None
        self._after = computed(con, sequence)

    def make(self, con: duckdb.DuckDBPyConnection, sequence: int) -> None:
        """Make the notices of a finished snapshot ready, and lay them beside the snapshots for the page."""
        since, self.ready = self._since or 1, []
        if since < sequence and self._after:
            self.ready = made(con, self.assessment, self._before or side(con, since), self._after)
            _lay(self.folder, self.ready)

    async def tell(self, client: Client, sequence: int, signer: Signer) -> str | None:
        """Publish what is ready; returns why it could not, or null. It is then told with the next publication."""
        payloads = [(one.unit, msgspec.json.encode(one)) for one in self.ready]
        messages = [
            Message(subjects.notice(self.assessment, unit), payload, announced.signed(payload, signer))
            for unit, payload in payloads
        ]
        try:
            for n in range(0, len(messages), BATCH):
                await publish_batch(client, messages[n : n + BATCH])
        except (AppendRefused, AppendUnknown, NatsError, TimeoutError) as error:
            return str(error) or type(error).__name__
        self._since = max(sequence, self._since or 0)
        return None


def made(con: duckdb.DuckDBPyConnection, assessment: str, before: Side, after: Side) -> list[Notice]:
    """The notices of all that changed between two points of a snapshot, by unit."""
    changes = _changes(before, after)
    own, others, passed = _own(con, changes), _others(before, after, changes), _passed(before, after)
    moved = {unit for unit in after.units if before.units.get(unit) != after.units[unit]}
    states = [_state(con, at.as_of) for at in (before, after)]
    time = con.execute(
        "SELECT strftime(max(recorded_at), '%Y-%m-%dT%H:%M:%SZ') FROM event WHERE seq <= ?", [after.as_of]
    ).fetchall()[0][0]
    everybody = after.units.keys() if states[0] != states[1] else ()
    found: list[Notice] = []
    for unit in sorted({*moved, *own, *everybody}):
        was, now, events = before.units.get(unit), after.units.get(unit), own.get(unit, [])
        ahead, behind = passed.get(unit, ((), ()))
        found += (
            Notice(
                assessment=assessment,
                unit=unit,
                since=before.as_of,
                sequence=after.as_of,
                time=time,
                state_before=states[0],
                state_after=states[1],
                final_before=was.final if was else None,
                final_after=now.final if now else None,
                place_before=was.place if was else None,
                place_after=now.place if now else None,
                grades_before=was.grades if was else None,
                grades_after=now.grades if now else None,
                events=tuple(events[n : n + EVENTS_MAX]),
                others=others.get(unit, ()) if unit in moved else (),
                overtaken_by=tuple(ahead),
                overtook=tuple(behind),
            )
            for n in range(0, max(1, len(events)), EVENTS_MAX)
        )
    return [msgspec.structs.replace(one, number=n, of=len(found)) for n, one in enumerate(found, 1)]


class Changed(NamedTuple):
    """An event that came, or whose disposition, counted points or value differ."""

    unit: str
    seq: int
    source: str
    id: str
    type: str
    item: str | None
    disposition_before: str | None
    disposition_after: str
    counted_before: str | None
    counted_after: str | None
    value_before: str | None
    value_after: str | None


_CHANGED = """
SELECT b.unit, b.seq, source, id, b.type, b.item, a.disposition, b.disposition, a.counted, b.counted, a.value, b.value
FROM before AS a RIGHT JOIN after AS b USING (source, id)
WHERE (a.disposition, a.counted, a.value) IS DISTINCT FROM (b.disposition, b.counted, b.value)
ORDER BY b.seq
"""


def _changes(before: Side, after: Side) -> list[Changed]:
    with store.connect() as scratch:
        scratch.register("before", before.trail)
        scratch.register("after", after.trail)
        return [Changed(*row) for row in scratch.execute(_CHANGED).fetchall()]


_SAID = """
SELECT t.seq, t.why_zh, t.why_en, strftime(a.appeal_until, '%Y-%m-%dT%H:%M:%SZ')
FROM (SELECT seq, why_zh, why_en FROM published_entry UNION ALL SELECT seq, why_zh, why_en FROM published_event) AS t
LEFT JOIN appealable AS a ON a.seq = t.seq
WHERE t.seq IN (SELECT unnest($seqs))
"""


def _own(con: duckdb.DuckDBPyConnection, changes: Sequence[Changed]) -> dict[str, list[Noticed]]:
    """The changed events of each unit, with why, and until when one may appeal where somebody takes appeals."""
    of_units = [one for one in changes if one.unit != subjects.ASSESSMENT]
    said = {seq: rest for seq, *rest in con.execute(_SAID, {"seqs": [one.seq for one in of_units]}).fetchall()}
    year = stored(con)
    nobody = year is not None and year.rulebook.roles.appeals is None
    found: dict[str, list[Noticed]] = {}
    for one in of_units:
        noticed = Noticed(*one[1:], *said[one.seq])  # type: ignore[arg-type]
        noticed = msgspec.structs.replace(noticed, appeal_until=None) if nobody else noticed
        found.setdefault(one.unit, []).append(noticed)
    return found


def _others(before: Side, after: Side, changes: Sequence[Changed]) -> dict[str, tuple[int, ...]]:
    """The newest events of others that moved a unit: on items that compare it, readings adopted, ties resolved."""
    year = {one.seq for one in changes if one.type in (ADOPTED, TIE)}
    pooled: dict[tuple[str, str], set[tuple[int, str]]] = {}
    for one in changes:
        for side_ in (before, after):
            if one.item and (pool := side_.pools.get((one.unit, one.item))) is not None:
                pooled.setdefault((one.item, pool), set()).add((one.seq, one.unit))
    found: dict[str, set[int]] = {unit: set(year) for unit in after.units} if year else {}
    for (unit, item), points in after.items.items():
        if points != before.items.get((unit, item)):
            pools = {at.pools.get((unit, item)) for at in (before, after)}
            theirs = (pooled.get((item, pool), ()) for pool in pools if pool is not None)
            found.setdefault(unit, set()).update(seq for these in theirs for seq, who in these if who != unit)
    return {unit: tuple(sorted(seqs)[-NAMED_MAX:]) for unit, seqs in found.items()}


_PASSED = """
SELECT me.unit, list(you.unit ORDER BY you.unit) FILTER (you.was >= me.was AND you.now < me.now) AS ahead,
       list(you.unit ORDER BY you.unit) FILTER (you.was <= me.was AND you.now > me.now) AS behind
FROM standing AS me JOIN standing AS you ON you.category = me.category
WHERE me.was IS NOT NULL AND ((you.was >= me.was AND you.now < me.now) OR (you.was <= me.was AND you.now > me.now))
GROUP BY me.unit
"""


def _passed(before: Side, after: Side) -> dict[str, tuple[list[str], list[str]]]:
    """The units of its category that each unit was passed by, and that it passed."""
    codes = [unit for unit in after.order if unit in before.order]
    table = pa.table(
        {
            "unit": codes,
            "category": [after.categories[unit] for unit in codes],
            "was": [before.order[unit] for unit in codes],
            "now": [after.order[unit] for unit in codes],
        }
    )
    with store.connect() as scratch:
        scratch.register("standing", table)
        rows = scratch.execute(_PASSED).fetchall()
    return {unit: ((ahead or [])[:NAMED_MAX], (behind or [])[:NAMED_MAX]) for unit, ahead, behind in rows}


def _state(con: duckdb.DuckDBPyConnection, as_of: int) -> str:
    """The state of the assessment at a sequence."""
    try:
        con.execute(f"SET VARIABLE as_of = {as_of:d}")
        return str(con.execute("SELECT state FROM assessment_state").fetchall()[0][0])
    finally:
        con.execute("RESET VARIABLE as_of")


# The page ------------------------------------------------------------------------------------------------------------


def _lay(folder: Path, notices: Sequence[Notice]) -> None:
    """Put notices beside the snapshots, a file a unit, the newest last; those of the same stretch give way."""
    by_unit: dict[str, list[Notice]] = {}
    for one in notices:
        by_unit.setdefault(one.unit, []).append(one)
    folder.mkdir(parents=True, exist_ok=True)
    for unit, new in by_unit.items():
        path = folder / f"{unit}.jsonl"
        kept = [one for one in read(path) if one.sequence <= new[0].since]
        draft = path.with_suffix(".new")
        draft.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in [*kept, *new][-KEPT:]))
        draft.replace(path)


def read(path: Path) -> Iterator[Notice]:
    """The notices of a file, the oldest first; what is none is passed over."""
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                yield msgspec.json.decode(line, type=Notice)
