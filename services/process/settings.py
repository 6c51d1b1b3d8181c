"""The settings of a process, read from the environment in one place."""

import locale
import os
import sys
from pathlib import Path
from typing import Literal, cast

import msgspec

from schemas.refusals import Language
from services.process.ending import Exit, Stop


class Limits(msgspec.Struct, frozen=True):
    """What one party may take: events and bytes a day (UTC), connections at once, events that wait at the gateway."""

    office_events: int = 200_000
    office_bytes: int = 256 * 1024 * 1024
    office_connections: int = 16
    office_places: int = 1000
    unit_events: int = 500
    unit_bytes: int = 4 * 1024 * 1024
    unit_connections: int = 4


class Settings(msgspec.Struct, frozen=True):
    """What a process needs to know; every variable is named in the README."""

    nats_url: str
    data: Path
    assessment: str
    rulebook: Path | None
    roster: Path | None
    log: Literal["console", "json"]
    rank_seconds: int
    keep: int
    limits: Limits = Limits()

    @property
    def snapshots(self) -> Path:
        """The folder of published snapshots, with the pointer `latest`."""
        return self.data / "snapshots"


def read(environment: dict[str, str] | None = None) -> Settings:
    """Settings of `WUXING_*` and `NATS_URL`; a bad variable is wrong use, and its name is said."""
    env = dict(os.environ if environment is None else environment)
    log = env.get("WUXING_LOG") or ("console" if sys.stderr.isatty() else "json")
    if log not in ("console", "json"):
        raise _wrong("WUXING_LOG", "console or json", "console或json", log)
    data = Path(env.get("WUXING_DATA", "data"))
    return Settings(
        nats_url=env.get("NATS_URL", "nats://127.0.0.1:4222"),
        data=data,
        assessment=env.get("WUXING_ASSESSMENT") or _opened(data) or "wenzhou-2013",
        rulebook=_path(env.get("WUXING_RULEBOOK")),
        roster=_path(env.get("WUXING_ROSTER")),
        log=cast("Literal['console', 'json']", log),
        rank_seconds=_whole("WUXING_RANK_SECONDS", env.get("WUXING_RANK_SECONDS", "5")),
        keep=_whole("WUXING_KEEP", env.get("WUXING_KEEP", "20")),
        limits=_limits(env.get("WUXING_LIMITS", "")),
    )


class _Data(msgspec.Struct):
    assessment: str


class _Opening(msgspec.Struct):
    data: _Data


def _opened(data: Path) -> str | None:
    """The assessment that the data folder was opened for."""
    try:
        return msgspec.json.decode((data / "opening.json").read_bytes(), type=_Opening).data.assessment
    except (OSError, msgspec.MsgspecError):
        return None


def _limits(text: str) -> Limits:
    """The limits that are named, as office_events=1000,unit_bytes=65536; the others are as they are."""
    named: dict[str, int] = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = one.partition("=")
        if name not in Limits.__struct_fields__:
            listed = ", ".join(Limits.__struct_fields__)
            raise _wrong("WUXING_LIMITS", f"name=number of {listed}", f"名称=数值，名称为{listed}之一", one)
        named[name] = _whole(f"WUXING_LIMITS {name}", number)
    return Limits(**named)


def language(chosen: str | None = None) -> Language:
    """The language of user-facing texts: the one chosen, else that of `WUXING_LANG`, else that of the locale."""
    said = os.environ.get("WUXING_LANG")
    if said not in (None, "", "zh", "en"):
        raise _wrong("WUXING_LANG", "zh or en", "zh或en", said)
    text = chosen or said or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    text = text or locale.getlocale()[0] or ""
    return "zh" if text.lower().startswith(("zh", "chinese")) else "en"


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise _wrong(name, "a whole number of 1 or more", "不小于1的整数", text)
    return int(text)


def _wrong(name: str, en: str, zh: str, found: str) -> Stop:
    return Stop(Exit.USE, f"{name}: expected {en}, found {found!r}", f"{name}：应为{zh}，实为{found!r}")


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
