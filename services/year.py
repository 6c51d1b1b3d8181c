"""The year that events are checked and scored by: the opening event's, an option's, or the shipped pair."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from schemas import roster, soundness
from schemas.events import OPENED, Event
from schemas.roster import Unit
from schemas.rulebook import SHIPPED, Rulebook
from services.ingest.check import Checker, opened


@dataclass(frozen=True)
class Year:
    """An assessment's code, its rulebook (考核细则) and its roster (单位名单).

    `synthetic`: the units are made up, and every output says so. `keys` are the public nkeys of its parties.
    """

    assessment: str
    rulebook: Rulebook
    roster: tuple[Unit, ...]
    synthetic: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)

    def checker(self) -> Checker:
        """A checker of the events of this year, from its opening on."""
        return Checker(self.rulebook, self.roster, keys=self.keys)


def given(
    assessment: str | None,
    rulebook_file: Path | None,
    roster_file: Path | None,
    load: Callable[[Path], Rulebook] = soundness.load,
) -> Year:
    """The year of files given, else the shipped ones; without a code of its own it has its rulebook's.

    `load` reads a rulebook of the user's. The rosters that ship are made up. Raises RulebookError or RosterError.
    """
    book = load(rulebook_file) if rulebook_file else soundness.load(SHIPPED / "rulebook.toml")
    listed = (roster_file or SHIPPED / "roster.csv").resolve()
    return Year(assessment or book.id, book, roster.load(listed, book), SHIPPED.resolve().parent in listed.parents)


def stored(con: duckdb.DuckDBPyConnection) -> Year | None:
    """The year of a snapshot, or that which a ledger's first event opened; null when it opened none."""
    says = con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall()
    meta = dict(con.execute("SELECT key, value FROM meta").fetchall()) if says else {}
    if "rulebook_json" in meta:
        rows = con.execute("SELECT unit, name, category, unit_group, attributes FROM roster ORDER BY rowid").fetchall()
        units = tuple(Unit(*row[:4], json.loads(row[4])) for row in rows)
        book = soundness.read(json.loads(meta["rulebook_json"]))
        return Year(
            meta["assessment"], book, units, meta.get("synthetic") == "true", json.loads(meta.get("keys", "{}"))
        )
    row = con.execute("SELECT raw FROM event WHERE type = ? AND admission = 'admitted' LIMIT 1", [OPENED]).fetchone()
    return Year(*opened(row[0])) if row else None


def opened_year(raw: bytes, assessment: str | None = None) -> Year | None:
    """The year that a ledger's first event opens, null when it is no opening."""
    event = Checker(None, (), assessment=assessment).check(raw)
    return Year(*opened(raw)) if isinstance(event, Event) else None
