"""The year that events are checked and scored by: the opening event's, an option's, or the shipped pair."""

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from schemas import roster, rulebook
from schemas.events import OPENED, Event
from schemas.roster import Unit
from schemas.rulebook import SHIPPED, Rulebook
from services.ingest.check import Checker, opened


@dataclass(frozen=True)
class Year:
    """An assessment's code, its rulebook (考核细则) and its roster (单位名单)."""

    assessment: str
    rulebook: Rulebook
    roster: tuple[Unit, ...]

    @property
    def synthetic(self) -> bool:
        """Whether the units are made up, as the shipped roster's are: every output says so then."""
        return any("合成" in unit.name for unit in self.roster)


def given(assessment: str, rulebook_file: Path | None, roster_file: Path | None) -> Year:
    """The year of files given, else the shipped ones; raises RulebookError or RosterError."""
    book = rulebook.load(rulebook_file or SHIPPED / "rulebook.toml")
    categories = [category.code for category in book.category]
    return Year(assessment, book, roster.load(roster_file or SHIPPED / "roster.csv", categories))


def stored(con: duckdb.DuckDBPyConnection) -> Year | None:
    """The year of a snapshot, or that which a ledger's first event opened; null when it opened none."""
    says = con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall()
    kept = con.execute("SELECT value FROM meta WHERE key = 'rulebook_json'").fetchone() if says else None
    if kept:
        rows = con.execute("SELECT unit, name, category, unit_group FROM roster ORDER BY rowid").fetchall()
        name = con.execute("SELECT value FROM meta WHERE key = 'assessment'").fetchall()[0][0]
        return Year(name, rulebook.read(json.loads(kept[0])), tuple(Unit(*row) for row in rows))
    row = con.execute("SELECT raw FROM event WHERE type = ? AND admission = 'admitted' LIMIT 1", [OPENED]).fetchone()
    return Year(*opened(row[0])) if row else None


def opened_year(raw: bytes, year: Year) -> Year | None:
    """The year that a ledger's first event opens, null when it is no opening."""
    event = Checker(year.rulebook, year.roster).check(raw)
    if not isinstance(event, Event) or event.type != OPENED:
        return None
    return Year(*opened(raw))
