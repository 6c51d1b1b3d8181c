"""Reads a line as JSON, strictly: the event as it came, or the fault that makes it none."""

import json
import re
from typing import Any, NamedTuple

import msgspec

from schemas.events import DEPTH_MAX, OPENED, OPENED_SIZE_MAX, SIZE_MAX
from schemas.refusals import ABSENT, Phrase, Reason, found, shortened


class Fault(NamedTuple):
    """What is wrong, before anybody has put it into words."""

    reason: Reason
    path: str | None
    expected: Phrase
    seen: Phrase


class Wire(msgspec.Struct, gc=False):
    """An event as it came: all attributes but specversion, id, source and type may still hold anything."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    data: Any
    signature: Any = ABSENT


def read(raw: bytes) -> Any:
    """The event of a line as it came, a Wire, or the Fault that makes it none: its size, its JSON, not an object.

    Over 64 KiB only an opening of the assessment passes, and that must be read to be seen.
    """
    size = len(raw)
    value = _strict(raw) if size <= OPENED_SIZE_MAX else None
    if value.__class__ is dict:
        value = Wire(*(value.get(name, ABSENT) for name in Wire.__struct_fields__))
    if size > SIZE_MAX and not (value.__class__ is Wire and value.type == OPENED and size <= OPENED_SIZE_MAX):
        return Fault(Reason.TOO_LARGE, None, ("bytes", SIZE_MAX), ("bytes_found", size))
    if value.__class__ is Wire or value.__class__ is Fault:
        return value
    return Fault(Reason.NOT_CLOUDEVENT, None, ("object",), found(value))


class _NotJSONError(ValueError):
    """Raised inside the parser's hooks, never seen outside `_strict`."""


def _strict(raw: bytes) -> Any:  # noqa: PLR0911 - one return a fault
    """The JSON value of a line, or the Fault that makes it none."""
    if raw.startswith(b"\xef\xbb\xbf"):
        return _not_json("byte_order_mark")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return _not_json("not_utf8", error.start + 1)
    if _depth(text) > DEPTH_MAX:
        return _not_json("depth", DEPTH_MAX)
    try:
        value = _decoder.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except _NotJSONError as error:
        return _not_json(*error.args)
    except UnicodeEncodeError:
        return _not_json("surrogate")
    except json.JSONDecodeError as error:
        return _not_json("syntax", error.pos + 1, error.msg)
    return value


def _not_json(*seen: Any) -> Fault:
    return Fault(Reason.NOT_JSON, None, ("json",), seen)


def _depth(text: str) -> int:
    """How deep brackets nest outside strings; a lower bound is enough where there are too few to nest too deep."""
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return 0
    depth = deepest = 0
    for bracket in re.findall(r"[][{}]", re.sub(r'"[^"\\]*(?:\\.[^"\\]*)*"?', "", text, flags=re.DOTALL)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose keys may not repeat."""
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        again = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _NotJSONError("repeated_key", shortened(again))
    return value


def _no_constant(name: str) -> Any:
    raise _NotJSONError("constant", name)


def _integer(digits: str) -> int:
    """An integer; one of more than 30 digits is out of every range, whatever it is."""
    return int(digits) if len(digits) <= 30 else int(digits[0] + "1") * 10**30


_decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_integer)
