"""The year that events are checked and scored by: the opening event's, an option's, or the shipped pair."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas import roster, soundness
from schemas.roster import Unit
from schemas.rulebook import SHIPPED, Rulebook


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
