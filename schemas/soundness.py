"""What a rulebook is refused for (language 9): every fault at once, with its place, what was found, what is allowed."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from schemas.rulebook import Rulebook


class RulebookError(Exception):
    """A rulebook that cannot be used; says every fault, each on a line."""


def load(path: Path) -> Rulebook:
    """Read and check a rulebook.toml; raises RulebookError with all its faults."""
    try:
        return read(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        raise RulebookError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RulebookError(f"{path}: is not TOML: {error}") from None


def read(raw: Any) -> Rulebook:
    """Check a rulebook given as plain objects (TOML, or the JSON of `assessment.opened`); raises RulebookError."""
    try:
        book = msgspec.convert(raw, Rulebook)
    except msgspec.ValidationError as error:
        raise RulebookError(str(error)) from None
    book.__dict__["raw"] = raw
    return book
