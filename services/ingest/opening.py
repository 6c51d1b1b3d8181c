"""The year of a ledger: what its first event opened, and what changed in it since (docs/spec/wire.md, "Opening")."""

from schemas.roster import RosterError
from schemas.roster import plain as plain_roster
from schemas.rulebook import plain
from schemas.soundness import RulebookError
from schemas.year import Year, given
from services.process.ending import Exit, Stop
from services.process.settings import Settings


def agree(settings: Settings, year: Year) -> None:
    """End the process that was started with other files than the ledger's; the environment decides nothing."""
    if settings.rulebook is None and settings.roster is None:
        return
    try:
        other = given(settings.assessment, settings.rulebook, settings.roster)
    except (RulebookError, RosterError) as error:
        names = "WUXING_RULEBOOK, WUXING_ROSTER"
        raise Stop(Exit.USE, f"{names}: {error.say('en')}", f"{names}：{error.say('zh')}") from None
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
            f"{names}: not what the ledger of {year.assessment} was opened with. The ledger decides: take the variable"
            " away, or open another assessment.",
            f"{names}：与账本{year.assessment}开启时的内容不同。以账本为准：请去掉该环境变量，或另开一个考核。",
        )
