"""Texts out of line: names of raters and free texts that travel and lie beside their event, under a token in it.

A token is `sha256:` and, in lower-case hex, the SHA-256 of a salt of 32 bytes followed by the text in UTF-8. So what is
signed, hashed and proved is the token, and the text can be erased. docs/spec/wire.md has the contract,
infra/decisions/012 the reasons.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from msgspec import inspect

from schemas.events import ERASED, PROSE_MAX, TEXT_MAX, TYPES

ATTRIBUTE = "texts"
"""The extension attribute in which texts travel: a JSON object as a string, from token to salt (hex) and text."""
SALT_BYTES = 32
TOKEN = re.compile(r"sha256:[0-9a-f]{64}")
PATTERN = r"^sha256:[0-9a-f]{64}$"
MOST = {"rater": TEXT_MAX, "reason": PROSE_MAX, "statement": PROSE_MAX}
"""Characters that the text of a field may have, as it may have in line."""


class Text(NamedTuple):
    """A text with the salt of its token."""

    salt: str
    text: str


def token(salt: bytes, text: str) -> str:
    """The token of a text under a salt."""
    return "sha256:" + hashlib.sha256(salt + text.encode()).hexdigest()


def is_token(value: Any) -> bool:
    """Whether a value of a field is a token."""
    return value.__class__ is str and TOKEN.fullmatch(value) is not None


@cache
def _fields(kind: str) -> frozenset[str]:
    found: Any = inspect.type_info(TYPES[kind]) if kind in TYPES else None
    return frozenset(field.encode_name for field in found.fields) if found and kind != ERASED else frozenset()


def fields(kind: str, names: Iterable[str]) -> list[str]:
    """The fields of a type of event that stand out of line, of those that a rulebook names; of an order none does."""
    return [name for name in names if name in _fields(kind)]


def tokens(event: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """The tokens of an event by the path of their field."""
    kind, data = event.get("type"), event.get("data")
    if kind.__class__ is not str or not isinstance(data, dict):
        return {}
    return {f"data.{name}": data[name] for name in fields(str(kind), names) if is_token(data.get(name))}


_SPACE = " \t\n\r"
_decoder = json.JSONDecoder(parse_int=str, parse_float=str)  # of any length


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Key, begin and end of each member of the JSON object that a text is; it must be one."""
    at = text.index("{") + 1
    while True:
        at = _after(text, at)
        if text[at] == "}":
            return
        key, end = _decoder.raw_decode(text, at)
        _, end = _decoder.raw_decode(text, _after(text, _after(text, end) + 1))
        yield key, at, end
        at = _after(text, end)
        if text[at] == ",":
            at += 1


def _after(text: str, at: int) -> int:
    """The next place that is no white space."""
    while text[at] in _SPACE:
        at += 1
    return at


def stripped(raw: bytes) -> bytes:
    """The bytes of an event, which are strict JSON, without the attribute `texts`, all others as they came.

    With the member goes the comma before it, or where it is the first the one after it, and the white space there.
    """
    text = raw.decode()
    before = None
    for key, begin, end in _members(text):
        if key == ATTRIBUTE:
            if before is not None:
                return (text[:before] + text[end:]).encode()
            rest = _after(text, end)
            return (text[:begin] + text[_after(text, rest + 1) if text[rest] == "," else rest :]).encode()
        before = end
    return raw


def digests(raw: bytes) -> tuple[str, ...]:
    """What a receipt may call the SHA-256 of an event: of its bytes, or where texts travel with it of those without."""
    found = [raw]
    if b'"texts"' in raw:
        found.append(stripped(raw))
    return tuple(hashlib.sha256(one).hexdigest() for one in found)


def packed(texts: Mapping[str, Text]) -> str:
    """The attribute `texts` of texts by their tokens."""
    return json.dumps({one: [*text] for one, text in texts.items()}, ensure_ascii=False, separators=(",", ":"))


def joined(raw: bytes, texts: Mapping[str, Text]) -> bytes:
    """An event with its texts, such that `stripped` gives the same bytes again."""
    if not texts:
        return raw
    member = f',"{ATTRIBUTE}":{json.dumps(packed(texts), ensure_ascii=False)}'.encode()
    body = raw.rstrip()[:-1].rstrip()
    return body + member + raw[len(body) :]
