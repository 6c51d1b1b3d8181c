"""The year of a ledger: what its first event opened, and what changed in it since (docs/spec/wire.md, "Opening")."""

from pathlib import Path

from schemas.faults import RosterError
from schemas.roster import plain as plain_roster
from schemas.rulebook import plain
from schemas.soundness import RulebookError
from schemas.words import _
from schemas.year import Year, given
from services.ingest.check import opened
from services.process.ending import Exit, Stop
from services.process.settings import OPENING, Settings


def agree(settings: Settings, year: Year) -> None:
    """End the process that was started with other files than the ledger's; the environment decides nothing."""
    if settings.rulebook is None and settings.roster is None:
        return
    try:
        other = given(settings.assessment, settings.rulebook, settings.roster)
    except (RulebookError, RosterError) as error:
        names = "WUXING_RULEBOOK, WUXING_ROSTER"
        raise Stop(Exit.USE, _("{names}: {error}", names=names, error=error)) from None
    differs = [
        name
        for name, set_, equal in (
            ("WUXING_RULEBOOK", settings.rulebook, plain(other.rulebook) == plain(year.rulebook)),
            ("WUXING_ROSTER", settings.roster, plain_roster(other.roster) == plain_roster(year.roster)),
        )
        if set_ is not None and not equal
    ]
    if differs:
        names = ", ".join(differs)
        raise Stop(
            Exit.USE,
            _(
                "{names}: not what the ledger of {assessment} was opened with. The ledger decides: take "
                "the variable away, or open another assessment.",
                names=names,
                assessment=year.assessment,
            ),
        )


def kept(settings: Settings) -> Path:
    """Where the opening event lies that `wuxing open` made for the data folder: the folder's one assessment."""
    return settings.data / OPENING


def year_of_folder(settings: Settings) -> Year | None:
    """The year that the data folder was opened for; null where it was not. The ledger alone decides what counts.

    Raises Stop where the folder is another assessment's.
    """
    try:
        raw = kept(settings).read_bytes()
    except FileNotFoundError:
        return None
    year = Year(*opened(raw))
    if year.assessment != settings.assessment:
        raise Stop(
            Exit.USE,
            _(
                "{data} is the data folder of {assessment}, and {asked} is not open in it. Set "
                "WUXING_ASSESSMENT or another WUXING_DATA, or open it: wuxing open.",
                data=settings.data,
                assessment=year.assessment,
                asked=settings.assessment,
            ),
        )
    return year


def expected(settings: Settings) -> Year:
    """The same; raises Stop, which says how a year is opened, where the folder has none and no file is named."""
    if year := year_of_folder(settings):
        agree(settings, year)
        return year
    if settings.rulebook is None:
        raise Stop(
            Exit.FAILED,
            _(
                "No year is open in {data}. Open one: wuxing open {assessment} --rulebook RULEBOOK.toml "
                "--roster ROSTER.csv",
                data=settings.data,
                assessment=settings.assessment,
            ),
        )
    try:
        return given(settings.assessment, settings.rulebook, settings.roster)
    except (RulebookError, RosterError) as error:
        names = "WUXING_RULEBOOK, WUXING_ROSTER"
        raise Stop(Exit.USE, _("{names}: {error}", names=names, error=error)) from None
