"""The settings of a process, read from the environment in one place."""

import contextlib
import locale
import os
import sys
from pathlib import Path
from typing import Literal, cast

import msgspec

from infra.folders import ASSESSMENTS, folders, parties, site
from schemas.subjects import CODE
from schemas.words import Language, Text, _
from services.process.ending import Exit, Stop


class Limits(msgspec.Struct, frozen=True):
    """What one party may take: events a second, events and bytes a day (UTC), connections and places at once."""

    office_second: int = 10_000
    office_events: int = 200_000
    office_bytes: int = 256 * 1024 * 1024
    office_connections: int = 16
    office_places: int = 1000
    unit_second: int = 50
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
    def root(self) -> Path:
        """The site's folder, where the broker's files and the folders of all its assessments lie."""
        return site(self.data)

    @property
    def snapshots(self) -> Path:
        """The folder of published snapshots, with the pointer `latest`."""
        return self.data / "snapshots"


def read(environment: dict[str, str] | None = None, there: dict[str, Path] | None = None) -> Settings:
    """Settings of `WUXING_*` and `NATS_URL`; a bad variable is wrong use, and its name is said.

    `there` is what `opened` says of the site, where that is known already.
    """
    env = dict(os.environ if environment is None else environment)
    root = Path(env.get("WUXING_DATA") or "data")
    assessment, data = _place(env.get("WUXING_ASSESSMENT", ""), root, opened(root) if there is None else there)
    log = env.get("WUXING_LOG") or ("console" if sys.stderr.isatty() else "json")
    if log not in ("console", "json"):
        raise _wrong("WUXING_LOG", _("console or json"), log)
    return Settings(
        nats_url=env.get("NATS_URL", "nats://127.0.0.1:4222"),
        data=data,
        assessment=assessment,
        rulebook=_path(env.get("WUXING_RULEBOOK")),
        roster=_path(env.get("WUXING_ROSTER")),
        log=cast("Literal['console', 'json']", log),
        rank_seconds=_whole("WUXING_RANK_SECONDS", env.get("WUXING_RANK_SECONDS", "5")),
        keep=_whole("WUXING_KEEP", env.get("WUXING_KEEP", "20")),
        limits=_limits(env.get("WUXING_LIMITS", "")),
    )


def several(environment: dict[str, str] | None = None) -> list[Settings]:
    """Settings of each assessment that `WUXING_ASSESSMENT` names: one, a list with commas, or `*`, all of the site.

    Without it all that are opened in the site, or what `read` gives where none is. Raises Stop where `*` finds none.
    """
    env = dict(os.environ if environment is None else environment)
    named = [one.strip() for one in env.get("WUXING_ASSESSMENT", "").split(",") if one.strip()]
    root = Path(env.get("WUXING_DATA") or "data")
    there = opened(root)  # read once: services ask every second, and of a hundred each would read a hundred
    if named in ([], ["*"]):
        found = sorted(there)
        if named and not found:
            raise Stop(
                Exit.FAILED,
                _(
                    "No year is open in {root}. Open one: wuxing open CODE --rulebook RULEBOOK.toml --roster "
                    "ROSTER.csv",
                    root=root,
                ),
            )
        named = found or [""]
    return [read(env | {"WUXING_ASSESSMENT": one}, there) for one in named]


class _Data(msgspec.Struct):
    assessment: str


class _Opening(msgspec.Struct):
    data: _Data


OPENING = "opening.json"
"""The file of a data folder that holds the event with which its ledger begins."""


def opened(root: Path) -> dict[str, Path]:
    """The assessments that were opened in a site, each with its data folder."""
    found = {}
    for folder in folders(root):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            raw = (folder / OPENING).read_bytes()
            found[msgspec.json.decode(raw, type=_Opening).data.assessment] = folder
    return found


def folder(root: Path, assessment: str, there: dict[str, Path]) -> Path:
    """The data folder of an assessment: the site's own where that is free or its, else one under `assessments`."""
    held = parties(root)
    taken = root in there.values() or (held is not None and held.assessment != assessment)
    apart = root / ASSESSMENTS / assessment
    return there.get(assessment) or (apart if apart.is_dir() or taken else root)


def _place(named: str, root: Path, there: dict[str, Path]) -> tuple[str, Path]:
    """The one assessment that is meant, and its data folder."""
    if named == "*" or "," in named or (not named and len(there) > 1):
        listed = ", ".join(sorted(there)) or "-"
        raise _wrong("WUXING_ASSESSMENT", _("the code of one assessment, of {listed}", listed=listed), named)
    if not named:
        return next(iter(there.items()), ("wenzhou-2013", root))
    if not CODE.fullmatch(named):
        raise _wrong("WUXING_ASSESSMENT", _("letters, digits, _ and -, up to 64"), named)
    return named, folder(root, named, there)


def _limits(text: str) -> Limits:
    """The limits that are named, as office_events=1000,unit_bytes=65536; the others are as they are."""
    named: dict[str, int] = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, __, number = one.partition("=")
        if name not in Limits.__struct_fields__:
            listed = ", ".join(Limits.__struct_fields__)
            raise _wrong("WUXING_LIMITS", _("name=number of {listed}", listed=listed), one)
        named[name] = _whole(f"WUXING_LIMITS {name}", number)
    return Limits(**named)


def language(chosen: str | None = None) -> Language:
    """The language of user-facing texts: the one chosen, else that of `WUXING_LANG`, else that of the locale."""
    said = os.environ.get("WUXING_LANG")
    if said not in (None, "", "zh", "en"):
        raise _wrong("WUXING_LANG", _("zh or en"), said)
    text = chosen or said or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    text = text or locale.getlocale()[0] or ""
    return "zh" if text.lower().startswith(("zh", "chinese")) else "en"


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise _wrong(name, _("a whole number of 1 or more"), text)
    return int(text)


def _wrong(name: str, expected: Text, found: str) -> Stop:
    said = _("{name}: expected {expected}, found {found}", name=name, expected=expected, found=repr(found))
    return Stop(Exit.USE, said)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
