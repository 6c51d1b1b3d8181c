"""Asks on the terminal before what cannot be taken back."""

import sys

from schemas.refusals import Language
from services.process.ending import Exit, Stop


def agreed(lang: Language) -> bool:
    """Whether who sits at the terminal says yes; without one `--yes` must say it."""
    if not sys.stdin.isatty():
        raise Stop(Exit.USE, "Nobody to ask: say --yes to go on.", "无法询问：请加--yes以继续。")
    print("确认？输入 yes：" if lang == "zh" else "Go on? Type yes: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"yes", "y", "是"}
