"""Decides who sits before the page and what it may read: signing in with a gateway key, sessions, the access file.

A session is a cookie that this server has signed: the party, when it ends, and the mark of the key that opened it. It
ends with that key. Whoever has none is the public. `access.toml` in the data folder says what each role may read; a
role that it does not name reads everything, and without the file everybody does.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Literal, NamedTuple

import structlog

from infra.rights import KeyUnsafe, key_file
from schemas.rulebook import Rulebook
from schemas.words import _
from schemas.year import Year
from services.gateway.desk import Desk
from services.gateway.keys import AUDITOR, Keys, file, mark
from services.ingest.check import Checker
from services.ingest.opening import year_of_folder
from services.process.ending import Exit, Stop
from services.process.settings import Settings

COOKIE = "wuxing_session"
LASTS = 8 * 3600
"""Seconds of a session: a day at the office."""
ROOMS = (
    "board", "matrix", "statement", "audit", "progress", "appeals", "readings", "what-if", "proof", "sql", "snapshot",
    "regulation",
)  # fmt: skip
"""What can be read, by the names of the access file."""
ROLES = ("public", "unit", "office")
"""Roles of the access file; the collector and an auditor read everything."""

Role = Literal["office", "unit", "auditor"]


class Who(NamedTuple):
    """A party that has signed in, with its role and the cookie of its session."""

    party: str
    role: Role
    session: str
    collector: bool = False
    appeals: bool = False


class Door:
    """Keys, sessions and rights of the page, and the desk at which its parties' events are handed in.

    `desk` is null where the gateway's own key is not here: then parties sign in to read, and cannot send.
    """

    def __init__(self, settings: Settings, year: Year | None) -> None:
        self.settings = settings
        self.year = year
        self.keys = Keys(file(settings.data))
        self.access = access(settings.data)
        self.desk: Desk | None = None
        if year is not None and key_file(settings.data, "gateway").is_file():
            checker = Checker(year.rulebook, year.roster)
            self.desk = Desk(year.assessment, checker, share=settings.limits.office_places, service=None)
        self._secret = _secret(settings.data / "page-secret")

    def sign_in(self, key: str) -> str | None:
        """The cookie of a new session, null where the key is nobody's. Raises KeyUnsafe."""
        party = self.keys.party(key)
        if party is None:
            return None
        said = f"{party}.{int(time.time()) + LASTS}.{mark(key)}"
        return f"{said}.{self._sign(said)}"

    def who(self, cookie: str | None, book: Rulebook | None) -> Who | None:
        """Who has a session; null without one, after its end, and when its key has ended."""
        parts = (cookie or "").split(".")
        if cookie is None or len(parts) != 4 or not hmac.compare_digest(self._sign(".".join(parts[:3])), parts[3]):
            return None
        party, until, held = parts[:3]
        try:
            left = int(until) - time.time()
            if not 0 < left <= LASTS + 60 or not self.keys.holds(party, held):
                return None  # made while the clock was far ahead, it would last for years
        except KeyUnsafe as error:
            structlog.get_logger(service="console").error("keys.unsafe", error=str(error))
            return None
        offices = {one.code for one in book.office} if book else set()
        role: Role = "auditor" if party == AUDITOR else "office" if party in offices else "unit"
        roles = book.roles if book else None
        return Who(
            party,
            role,
            cookie,
            collector=roles is not None and party == roles.collector,
            appeals=roles is not None and party == roles.appeals,
        )

    def token(self, who: Who) -> str:
        """What the forms of a session carry, so that no page of another's can send one."""
        return self._sign(f"form.{who.session}")[:32]

    def may(self, who: Who | None, room: str) -> bool:
        """Whether somebody may read a room."""
        if who is not None and (who.collector or who.role == "auditor"):
            return True
        listed = self.access.get("public" if who is None else who.role)
        return listed is None or room in listed

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


def door(settings: Settings, year: Year | None) -> Door | None:
    """The door of a data folder; null where it has neither keys nor an access file: then all is open, to read.

    `year` is that of the newest snapshot. Raises Stop where a file of the folder cannot be used.
    """
    data = settings.data
    signs = (file(data), key_file(data, "gateway"), data / "access.toml")
    if not any(one.is_file() for one in signs):
        return None
    try:
        made = Door(settings, year_of_folder(settings) or year)
        made.keys.check()
    except KeyUnsafe as error:
        raise Stop(Exit.FAILED, error) from None
    return made


def access(data: Path) -> dict[str, frozenset[str]]:
    """What each role may read, of access.toml; raises Stop where it says anything else."""
    path = data / "access.toml"
    try:
        held = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Stop(Exit.USE, _("{path}: cannot be read: {error}", path=path, error=error)) from None
    for role, listed in held.items():
        if role not in ROLES or not isinstance(listed, list) or not all(one in ROOMS for one in listed):
            roles, rooms = ", ".join(ROLES), ", ".join(ROOMS)
            raise Stop(
                Exit.USE,
                _(
                    "{path}: {role}: expected a role ({roles}) with a list of {rooms}; found {listed}",
                    path=path,
                    role=role,
                    roles=roles,
                    rooms=rooms,
                    listed=repr(listed),
                ),
            )
    return {role: frozenset(listed) for role, listed in held.items()}


def _secret(path: Path) -> bytes:
    """The secret that signs sessions, made at the first start; raises KeyUnsafe where others can read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise KeyUnsafe(_("Others can read {path}: remove it, and a new one is made.", path=path))
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) == 64:
        return found
    made = secrets.token_hex(32).encode()
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(made)
            out.flush()
            os.fsync(out.fileno())
        Path(draft).rename(path)
    finally:
        Path(draft).unlink(missing_ok=True)
    return made
