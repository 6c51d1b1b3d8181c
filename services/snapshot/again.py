"""Judges the scorer's file again before the ranker signs: everything but the raw bytes is made anew from them."""

from pathlib import Path

import duckdb

from schemas.told import Told
from schemas.words import _
from schemas.year import Year
from services.ingest.check import Checker, opened_year
from services.proof import checkpoint, merkle
from services.scorer import rules, store
from services.scorer.rulebook_rows import TABLES
from services.snapshot import held, point


class FileDiffers(Told):
    """The scorer's file is not what its own raw bytes come to, or not what the scorer said: nothing is signed."""


class Again:
    """A ledger folded again in memory, from the raw bytes alone; it grows with the cuts, so each is judged once."""

    def __init__(self, assessment: str) -> None:
        self.assessment = assessment
        self.year: Year | None = None
        self.con = store.fresh()
        self.last = -1
        self.leaves = merkle.Frontier()
        self._checker = Checker(None, (), assessment=assessment)

    def check(self, cut: duckdb.DuckDBPyConnection, sequence: int, root: str | None) -> None:
        """Fold what is new of a cut, and raise FileDiffers unless its tables are what this ledger's are.

        The sequence and the Merkle root are those that the scorer said.
        """
        self._fold(cut)
        found = cut.execute(
            "SELECT greatest((SELECT max(seq) FROM event), (SELECT max(line) FROM refused), 0)"
        ).fetchall()
        if found[0][0] != sequence:
            raise _differs("sequence", f"{found[0][0]}", f"{sequence}")
        for table in ("event", *(name for name in TABLES if name != "refused")):
            self._compare(cut, table)
        if (mine := self.leaves.root().hex()) != root:
            raise _differs("root", mine, f"{root}")

    def snapshot(self, cut: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyConnection:
        """A new file of this program's own with the ledger in it, and the scorer's points to hold against them."""
        path.unlink(missing_ok=True)
        made = store.fresh(path)
        point.copy(self.con, made, "event", *(name for name in TABLES if name != "refused"))
        point.copy(cut, made, "refused")
        points = cut.cursor().sql("FROM unit_item").to_arrow_table()
        made.register("points", points)
        made.execute("CREATE TABLE unit_item AS FROM points")
        made.unregister("points")
        return made

    def _fold(self, cut: duckdb.DuckDBPyConnection) -> None:
        rows = cut.cursor().execute(
            "SELECT seq, epoch_us(recorded_at), raw FROM event WHERE seq > ? ORDER BY seq", [self.last]
        )
        while batch := rows.fetchmany(checkpoint.BATCH):
            if self.year is None:
                self._begin(opened_year(batch[0][2], self.assessment))
            __, refused = store.take(self.con, self._checker, batch)
            for one in refused:
                raise _differs(f"event {one.line}", str(one.reason), "an event")
            for row in batch:
                self.leaves.append(merkle.event_leaf(*row))
            self.last = batch[-1][0]

    def _begin(self, year: Year | None) -> None:
        if year is None:
            raise _differs("event 1", "another", "the opening")
        self.year, self._checker = year, Checker(year.rulebook, year.roster, keys=year.keys)
        rules.load_rulebook(self.con, year.rulebook, year.roster)

    def _compare(self, cut: duckdb.DuckDBPyConnection, table: str) -> None:
        con = self.con
        if table not in held.tables(cut):
            raise _differs(table, "no table", "a table")
        theirs = cut.cursor().sql(f"FROM {held.NAME}.main.{table}").to_arrow_table()
        con.register("theirs", theirs)
        both = f"(FROM theirs EXCEPT ALL FROM {table}) UNION ALL (FROM {table} EXCEPT ALL FROM theirs) LIMIT 1"
        try:
            rows = con.execute(both).fetchall()
        except duckdb.Error as error:
            raise _differs(table, str(error).splitlines()[0], "-") from None
        finally:
            con.unregister("theirs")
        if rows:
            raise _differs(table, f"{rows[0][:4]}", "-")


def _differs(where: str, found: str, expected: str) -> FileDiffers:
    return FileDiffers(
        _(
            "The scorer's file, {where}: found {found}, expected {expected}; it is not what its raw "
            "bytes come to, and is not signed. Stop the scorer, keep the file as evidence, delete it "
            "and let the ledger be folded again; find out who wrote to it.",
            where=where,
            found=found,
            expected=expected,
        )
    )
