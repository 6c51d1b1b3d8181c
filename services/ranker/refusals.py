"""What intake refused, for the snapshot: no part of the ledger, and no result rests on it, but its readers must know.

Read on from round to round, so that each refusal crosses the wire once. It is the publisher's word: `verify` proves
none of it.
"""

from dataclasses import dataclass, field
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
from nats.aio.client import Client

from infra.client import Entry, jetstream, read_stream
from infra.streams import stream
from schemas.refusals import SHA256

#: The columns of the table `intake_refused`, and what each is in Arrow.
_SCHEMA = pa.schema([
    ("party", pa.string()), ("intake_seq", pa.int64()), ("recorded_at", pa.timestamp("us")),
    *((name, pa.string()) for name in ("source", "id", "reason", "path", "message", "sha256")),
])  # fmt: skip
Row = tuple[Any, ...]


@dataclass
class Refusals:
    """The refusals that the broker keeps, by their sequence in REFUSED; `read` is the last of them that was read."""

    assessment: str
    rows: dict[int, Row] = field(default_factory=dict)
    read: int = 0

    async def follow(self, client: Client) -> None:
        """Read those that are new, and let go of those that the broker keeps no longer.

        Raises TimeoutError or NATS's errors when the broker falls silent; what was read stays.
        """
        state = (await jetstream(client).stream_info(stream("REFUSED", self.assessment))).state
        if state.last_seq < self.read:  # the stream was made again
            self.rows, self.read = {}, 0
        self.rows = {seq: row for seq, row in self.rows.items() if seq >= state.first_seq}
        if state.last_seq > self.read:
            async for entry in read_stream(client, "REFUSED", self.assessment, self.read + 1, state.last_seq):
                self.rows[entry.sequence] = _row(entry)
            self.read = state.last_seq

    def write(self, con: duckdb.DuckDBPyConnection) -> None:
        """Put all of them into a snapshot."""
        columns = zip(*self.rows.values(), strict=True) if self.rows else [()] * len(_SCHEMA)
        con.register("arriving", pa.table([*map(pa.array, columns, _SCHEMA.types)], schema=_SCHEMA))
        con.execute("INSERT INTO intake_refused FROM arriving ORDER BY intake_seq")
        con.unregister("arriving")


def _row(entry: Entry) -> Row:
    """A refusal as a row; of what is none there is the party, the time, and nothing else."""
    try:
        said = msgspec.json.decode(entry.data, type=dict[str, Any])
    except msgspec.MsgspecError:
        said = {}
    line = said.get("line")
    texts = (said.get(name) for name in ("source", "id", "reason", "path", "message"))
    return (
        entry.subject.rpartition(".")[2],
        line if isinstance(line, int) else None,
        entry.recorded_at,
        *(text if isinstance(text, str) else None for text in texts),
        entry.headers.get(SHA256),
    )
