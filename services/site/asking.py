"""Asks on the terminal before what cannot be taken back."""

import sys

from schemas.words import Language, _
from services.process.ending import Exit, Stop


def agreed(lang: Language) -> bool:
    """Whether who sits at the terminal says yes; without one `--yes` must say it."""
    if not sys.stdin.isatty():
        raise Stop(Exit.USE, _("Nobody to ask: say --yes to go on."))
    print(_("Go on? Type yes: ").say(lang), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"yes", "y", "是"}
