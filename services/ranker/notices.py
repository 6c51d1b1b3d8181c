"""Notices (通知): what each publication changes for a unit, by which events, and until when an appeal is in time.

A unit is told when an event of its own came or counts otherwise, when its final, its place or a grade of it moved, and
when the year reached another stage. What is told between two sequences rests on the ledger alone. The last message in
NOTICE says how far the units were told, so that nobody is told twice or not at all; where a ranker ended between two
batches of one publication, all of that publication are told again.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.client import BATCH, AppendRefused, AppendUnknown, Message, last_entry, publish_batch
from schemas import subjects
from schemas.receipts import Notice, Noticed, Ranking
from services.proof.note import Signer
from services.ranker import announced
from services.scorer import store
from services.snapshot.moves import Side, UnitMove, difference, side

EVENTS_MAX = 500
"""Events of one notice; more are told in several."""
KEPT = 200
"""Notices that the page of a unit has; the stream has those of 90 days."""


class Teller:
    """What the units were told, and what they are to be told next."""

    def __init__(self, assessment: str, folder: Path) -> None:
        self.assessment = assessment
        self.folder = folder / f"{assessment}-notices"
        self.ready: list[Notice] = []
        self._since: int | None = None
        self._side: Side | None = None

    async def begin(self, client: Client, before: Ranking | None) -> None:
        """Find how far the units were told: by the last notice, else up to the ranking before, else the opening."""
        if self._since is not None:
            return
        entry = await last_entry(client, "NOTICE", self.assessment)
        self._since = before.sequence if before else 1
        if entry:
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                last = msgspec.json.decode(entry.data, type=Notice)
                self._since = last.sequence if last.number == last.of else last.since

    def look(self, con: duckdb.DuckDBPyConnection, sequence: int) -> None:
        """Make the notices of a finished snapshot ready, and lay them beside the snapshots for the page."""
        since, self.ready = self._since or 1, []
        if since < sequence:
            before = self._side if self._side and self._side.as_of == since else side(con, since)
            self._side = side(con, sequence)
            self.ready = made(con, self.assessment, before, self._side)
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
    moves = {one.unit: one for one in difference(before, after).moved}
    events = _events(con, before, after)
    states = [_state(con, at.as_of) for at in (before, after)]
    time = con.execute(
        "SELECT strftime(max(recorded_at), '%Y-%m-%dT%H:%M:%SZ') FROM event WHERE seq <= ?", [after.as_of]
    ).fetchall()[0][0]
    everybody = after.units.keys() if states[0] != states[1] else ()
    found: list[Notice] = []
    for unit in sorted({*moves, *events, *everybody}):
        was, now, move = before.units.get(unit), after.units.get(unit), moves.get(unit)
        own = events.get(unit, [])
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
                events=tuple(own[n : n + EVENTS_MAX]),
                others=_others(move),
                overtaken_by=tuple(move.overtaken_by if move else ()),
                overtook=tuple(move.overtook if move else ()),
            )
            for n in range(0, max(1, len(own)), EVENTS_MAX)
        )
    return [msgspec.structs.replace(one, number=n, of=len(found)) for n, one in enumerate(found, 1)]


def _others(move: UnitMove | None) -> tuple[int, ...]:
    """The events of others that moved a unit: on items that compare it, readings adopted, ties resolved."""
    return tuple(sorted({*move.year_events, *(seq for item in move.items for seq in item.others)})) if move else ()


#: An event of a unit that came, or whose disposition, counted points or value differ.
_CHANGED = """
SELECT coalesce(b.unit, a.unit) AS unit, b.seq, source, id, b.type, b.item,
       a.disposition, b.disposition, a.counted, b.counted, a.value, b.value
FROM before AS a RIGHT JOIN after AS b USING (source, id)
WHERE b.unit <> 'assessment'
  AND (a.disposition, a.counted, a.value) IS DISTINCT FROM (b.disposition, b.counted, b.value)
ORDER BY b.seq
"""
_SAID = """
SELECT t.seq, t.why_zh, t.why_en, strftime(a.appeal_until, '%Y-%m-%dT%H:%M:%SZ')
FROM (SELECT seq, why_zh, why_en FROM published_entry UNION ALL SELECT seq, why_zh, why_en FROM published_event) AS t
LEFT JOIN appealable AS a ON a.seq = t.seq
WHERE t.seq IN (SELECT unnest($seqs))
"""


def _events(con: duckdb.DuckDBPyConnection, before: Side, after: Side) -> dict[str, list[Noticed]]:
    """The events of each unit that came or count otherwise, with why, and until when one may appeal."""
    with store.connect() as scratch:
        scratch.register("before", before.trail)
        scratch.register("after", after.trail)
        rows = scratch.execute(_CHANGED).fetchall()
    said = {seq: rest for seq, *rest in con.execute(_SAID, {"seqs": [row[1] for row in rows]}).fetchall()}
    found: dict[str, list[Noticed]] = {}
    for unit, *row in rows:
        found.setdefault(unit, []).append(Noticed(*row, *said[row[0]]))
    return found


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
