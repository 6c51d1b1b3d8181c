"""The year that events are checked and scored by: the opening event's, an option's, or the shipped pair."""

from dataclasses import dataclass
from pathlib import Path

from schemas import roster, rulebook
from schemas.roster import Unit
from schemas.rulebook import SHIPPED, Rulebook


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
