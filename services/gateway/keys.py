"""The bearer keys of parties: a file of hashes that only its owner can read; a key is shown once and never kept.

A party has one key, and for as long as its rotation overlaps the one before it. `audit` is nobody's code: its key reads
and sends nothing.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal, NamedTuple

from infra.rights import KeyUnsafe
from schemas.words import _, _n
from services.ingest.opening import expected
from services.process.ending import Exit, Stop
from services.process.settings import language, read

_HASH = re.compile(r"[0-9a-f]{64}")
_BYTES = 32
AUDITOR = "audit"
"""Whose key reads and sends nothing: the name of a service, so that no office or unit has it."""
HOUR = 3600


class Hash(NamedTuple):
    """The SHA-256 of a key, hex, and the second since 1970 at which it ends, null for never."""

    sha256: str
    until: int | None = None


def file(data: Path) -> Path:
    """Where the hashes lie: a JSON object, party -> hex SHA-256 of its key, or a list of pairs (hash, its end)."""
    return data / "gateway-keys.json"


class Keys:
    """The keys of the parties; a file that has changed is read again at the next question."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._hashes: dict[str, list[Hash]] = {}

    def party(self, key: str) -> str | None:
        """The party whose key this is, null where it is nobody's; every hash is compared, in constant time.

        Raises KeyUnsafe where others can read the file, or it is none.
        """
        self.check()
        shown, now = hashlib.sha256(key.encode(errors="replace")).hexdigest(), time.time()
        found = [
            party
            for party, held in self._hashes.items()
            for one in held
            if hmac.compare_digest(one.sha256, shown) and (one.until is None or now < one.until)
        ]
        return found[0] if found else None

    def holds(self, party: str, mark: str) -> bool:
        """Whether a party still has the key whose `mark` this is. Raises KeyUnsafe."""
        self.check()
        held, now = self._hashes.get(party, []), time.time()
        return any(hmac.compare_digest(one.sha256[:16], mark) and (one.until or now + 1) > now for one in held)

    def check(self) -> None:
        """Read the file where it has changed; no file is no key. Raises KeyUnsafe."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen, self._hashes = None, {}
            return
        if status.st_mode & 0o077:
            raise KeyUnsafe(_("Others can read {path}: chmod 600 it.", path=self._path))
        if (seen := (status.st_mtime_ns, status.st_ino)) != self._seen:
            self._hashes = load(self._path)
            self._seen = seen


def mark(key: str) -> str:
    """What a session remembers of the key that opened it: it ends when the key does."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()[:16]


def load(path: Path) -> dict[str, list[Hash]]:
    """The hashes of a file, none without one; raises KeyUnsafe where it holds anything else, and does not show it."""
    if not path.exists():
        return {}
    try:
        held = json.loads(path.read_bytes())
        made = {
            party: [Hash(said)] if isinstance(said, str) else [Hash(*pair) for pair in said]
            for party, said in held.items()
        }
        every = [one for listed in made.values() for one in listed]
        if all(_HASH.fullmatch(one.sha256) and isinstance(one.until, int | None) for one in every):
            return made
    except (ValueError, AttributeError, TypeError):
        pass
    raise KeyUnsafe(
        _(
            "{path} is no file of keys: expected a JSON object, party -> hex SHA-256. Remove it and "
            "make the keys again.",
            path=path,
        )
    )


def make(path: Path, party: str, *, overlap: int = 0) -> str:
    """Make a key for a party and return it: only its hash is kept. The one it had lives on for `overlap` seconds."""
    key, now = f"wuxing_{party}_{secrets.token_urlsafe(_BYTES)}", int(time.time())
    held = load(path)
    newest = [one for one in held.get(party, []) if one.until is None] if overlap else []
    held[party] = [Hash(hashlib.sha256(key.encode()).hexdigest()), *(Hash(one.sha256, now + overlap) for one in newest)]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(held, out, indent=1, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        Path(draft).rename(path)
    finally:
        Path(draft).unlink(missing_ok=True)
    return key


def gateway_key(party: str, *, overlap: int = 0, lang: Literal["zh", "en"] | None = None) -> int:
    """Make a party's key for the gateway and the page, print it once, keep only its hash; an earlier key ends.

    Example: wuxing gateway-key ducha --overlap 24

    Parameters
    ----------
    party
        The code of an office or a unit, or audit: that key reads and sends nothing.
    overlap
        Hours for which the key that the party had goes on opening, so that its systems can be changed over.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    settings = read()
    year = expected(settings)
    offices = [one.code for one in year.rulebook.office]
    if party not in {*offices, *(unit.unit for unit in year.roster), AUDITOR}:
        listed = ", ".join(offices)
        raise Stop(
            Exit.USE,
            _(
                "No office or unit {party} in the year; offices are {listed}; {auditor} is a key that reads only.",
                party=repr(party),
                listed=listed,
                auditor=AUDITOR,
            ),
        )
    print(make(file(settings.data), party, overlap=overlap * HOUR))
    said = (
        _n(
            "Keep it safe: it is shown this once, and any earlier key of the party ends in {n} hour.",
            "Keep it safe: it is shown this once, and any earlier key of the party ends in {n} hours.",
            overlap,
        )
        if overlap
        else _("Keep it safe: it is shown this once, and any earlier key of the party has ended.")
    )
    print(said.say(language(lang)), file=sys.stderr)
    return Exit.DONE
