"""The offices' bearer keys: a file of hashes that only its owner can read; a key is shown once and never kept."""

import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Literal

from infra.rights import KeyUnsafe
from services.ingest.opening import expected
from services.process.ending import Exit, Stop
from services.process.settings import language, read

_HASH = re.compile(r"[0-9a-f]{64}")
_BYTES = 32


def file(data: Path) -> Path:
    """Where the hashes lie: a JSON object, office -> hex SHA-256 of its key."""
    return data / "gateway-keys.json"


class Keys:
    """The keys of the offices; a file that has changed is read again at the next question."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._hashes: dict[str, bytes] = {}

    def office(self, key: str) -> str | None:
        """The office whose key this is, null where it is nobody's; every hash is compared, in constant time.

        Raises KeyUnsafe where others can read the file, or it is none.
        """
        self.check()
        shown = hashlib.sha256(key.encode(errors="replace")).digest()
        found = [office for office, kept in self._hashes.items() if hmac.compare_digest(kept, shown)]
        return found[0] if found else None

    def check(self) -> None:
        """Read the file where it has changed; no file is no key. Raises KeyUnsafe."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen, self._hashes = None, {}
            return
        if status.st_mode & 0o077:
            raise KeyUnsafe(
                f"Others can read {self._path}: chmod 600 it.", f"{self._path}可被他人读取：请改为chmod 600。"
            )
        if (seen := (status.st_mtime_ns, status.st_ino)) != self._seen:
            self._hashes = {office: bytes.fromhex(text) for office, text in load(self._path).items()}
            self._seen = seen


def load(path: Path) -> dict[str, str]:
    """The hashes of a file, none without one; raises KeyUnsafe where it holds anything else, and does not show it."""
    if not path.exists():
        return {}
    try:
        held = json.loads(path.read_bytes())
        if all(_HASH.fullmatch(text) for text in held.values()):
            return dict(held)
    except (ValueError, AttributeError, TypeError):
        pass
    raise KeyUnsafe(
        f"{path} is no file of keys: expected a JSON object, office -> hex SHA-256. Remove it and make the keys again.",
        f"{path}不是密钥文件：应为JSON对象，考核责任单位对应十六进制SHA-256。请移走它，重新生成密钥。",
    )


def make(path: Path, office: str) -> str:
    """Make a key for an office, in place of the one it had, and return it: only its hash is kept."""
    key = f"wuxing_{office}_{secrets.token_urlsafe(_BYTES)}"
    hashes = {**load(path), office: hashlib.sha256(key.encode()).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(hashes, out, indent=1, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        Path(draft).rename(path)
    finally:
        Path(draft).unlink(missing_ok=True)
    return key


def gateway_key(office: str, *, lang: Literal["zh", "en"] | None = None) -> int:
    """Make an office's key for the HTTP gateway, print it once, and keep only its hash; an earlier key ends.

    Example: wuxing gateway-key ducha

    Parameters
    ----------
    office
        The office's code, as in the rulebook.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    settings = read()
    offices = [one.code for one in expected(settings).rulebook.office]
    if office not in offices:
        listed = ", ".join(offices)
        raise Stop(
            Exit.USE,
            f"No office {office!r} in the rulebook; expected one of {listed}.",
            f"考核细则中没有责任单位{office!r}，应为：{listed}。",
        )
    print(make(file(settings.data), office))
    say = {
        "zh": "请妥善保存：此密钥只显示这一次，原有密钥即时失效。",
        "en": "Keep it safe: it is shown this once, and any earlier key of the office has ended.",
    }
    print(say[language(lang)], file=sys.stderr)
    return Exit.DONE
