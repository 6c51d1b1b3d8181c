"""The texts out of line, for the snapshot: no result rests on them, but its readers must know them.

Read on from round to round, so that each text crosses the wire once; what an order erased is let go of.
"""

from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import msgspec
from nats.aio.client import Client

from infra.client import jetstream, read_stream
from infra.folders import parties
from infra.streams import TEXTS, stream
from schemas.texts import Text
from schemas.year import Year
from services.process import metrics
from services.snapshot import held, texts


@dataclass
class Texts:
    """The texts that the broker keeps, by their tokens; `read` is the last of them that was read.

    `data` is the folder that says whether there are any; `gone` are the tokens of those that orders have erased.
    """

    assessment: str
    data: Path
    found: dict[str, Text] = field(default_factory=dict)
    read: int = 0
    gone: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    async def follow(self, client: Client) -> None:
        """Read those that are new. Raises TimeoutError or NATS's errors when the broker falls silent."""
        if not ((held_ := parties(self.data)) and held_.texts):
            return
        end = (await jetstream(client).stream_info(stream(TEXTS, self.assessment))).state.last_seq
        if end < self.read:  # the stream was made again
            self.found, self.read = {}, 0
        if end > self.read:
            async for entry in read_stream(client, TEXTS, self.assessment, self.read + 1, end):
                name = f"sha256:{entry.subject.rpartition('.')[2]}"
                try:
                    self.found[name] = msgspec.json.decode(entry.data, type=Text)
                except msgspec.MsgspecError as error:
                    metrics.passed_over(TEXTS, entry.sequence, str(error))
            self.read = end

    def write(self, con: duckdb.DuckDBPyConnection, year: Year) -> None:
        """Put those that the ledger's events name into a snapshot, and let go of those that orders erased."""
        texts.fill(con, year.rulebook.out_of_line, self.found)
        self.gone = [name for (name,) in con.execute("SELECT token FROM text WHERE erased_by IS NOT NULL").fetchall()]
        for name in self.gone:
            self.found.pop(name, None)

    def clear(self, folder: Path, newest: str) -> list[Path]:
        """Delete the snapshots that hold a text which an order has erased since; returns them.

        The newest shows every earlier point, and a file is not rewritten in place: the engine leaves old bytes in it.
        """
        cleared = []
        for path in sorted(folder.glob("*.duckdb")) if self.gone else ():
            key = f"{path.name} {len(self.gone)}"
            if path.is_symlink() or path.name == newest or key in self.seen:
                continue
            try:
                con = held.opened(path)
            except held.Unopened:
                continue
            with con:
                rows = (
                    texts.there(con)
                    and con.execute(
                        "SELECT 1 FROM text WHERE text IS NOT NULL AND list_contains(?, token) LIMIT 1", [self.gone]
                    ).fetchall()
                )
            if rows:
                path.unlink()
                cleared.append(path)
            else:
                self.seen.add(key)
        return cleared
