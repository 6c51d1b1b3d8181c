"""The settings of a process, read from the environment in one place."""

import locale
import os
from pathlib import Path
from typing import Literal, cast

import msgspec

from schemas.refusals import Language


class Settings(msgspec.Struct, frozen=True):
    """What a process needs to know; every variable is named in the README."""

    nats_url: str
    data: Path
    assessment: str
    rulebook: Path | None
    roster: Path | None
    lang: Language
    log: Literal["console", "json"]
    rank_seconds: int

    @property
    def snapshots(self) -> Path:
        """The folder of published snapshots, with the pointer `latest`."""
        return self.data / "snapshots"


def read(environment: dict[str, str] | None = None) -> Settings:
    """Settings of `WUXING_*` and `NATS_URL`; raises ValueError with the variable's name."""
    env = dict(os.environ if environment is None else environment)
    seconds = env.get("WUXING_RANK_SECONDS", "5")
    if not seconds.isdigit() or not int(seconds):
        raise ValueError(f"WUXING_RANK_SECONDS: expected whole seconds of 1 or more, found {seconds!r}")
    log = env.get("WUXING_LOG", "console")
    if log not in ("console", "json"):
        raise ValueError(f"WUXING_LOG: expected console or json, found {log!r}")
    return Settings(
        nats_url=env.get("NATS_URL", "nats://127.0.0.1:4222"),
        data=Path(env.get("WUXING_DATA", "data")),
        assessment=env.get("WUXING_ASSESSMENT", "wenzhou-2013"),
        rulebook=_path(env.get("WUXING_RULEBOOK")),
        roster=_path(env.get("WUXING_ROSTER")),
        lang=language(env.get("WUXING_LANG")),
        log=cast("Literal['console', 'json']", log),
        rank_seconds=int(seconds),
    )


def language(chosen: str | None = None) -> Language:
    """The language of user-facing texts: the one chosen, else that of the locale."""
    text = chosen or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    text = text or locale.getlocale()[0] or ""
    return "zh" if text.lower().startswith(("zh", "chinese")) else "en"


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
