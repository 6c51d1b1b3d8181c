"""Text of events: strict JSON, the forms of single fields, canonical form, times and public keys. wire.md, Event."""

from __future__ import annotations

import base64
import binascii
import json
import re
from fractions import Fraction
from typing import Any, NoReturn

MAX_DEPTH = 64
MAX_EXPONENT_DIGITS = 1000


class Number:
    """A JSON number, kept as text and compared by value; no float ever touches it."""

    def __init__(self, text: str) -> None:
        self.text = text
        sign, whole, part, power = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?", text).groups()  # type: ignore[union-attr]
        digits = (whole + (part or "")).lstrip("0")
        bare = digits.rstrip("0")
        exponent = int(power or 0) if len(power or "") < MAX_EXPONENT_DIGITS else 0
        scale = exponent - len(part or "") + len(digits) - len(bare)
        self.value = (sign, bare, scale) if bare else ("", "", 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, unless a key stands in it twice."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("repeated key")
    return dict(pairs)


def no_constant(name: str) -> NoReturn:
    """NaN and Infinity are not JSON."""
    raise ValueError(name)


def well_formed(value: Any, depth: int = 1) -> None:
    """Refuse nesting over 64 and lone surrogates, in keys too."""
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("lone surrogate")
    if isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            raise ValueError("nesting")
        for member in (*value, *value.values()) if isinstance(value, dict) else value:
            well_formed(member, depth + 1)


def parse(raw: bytes) -> Any:
    """The JSON value of a line, or ValueError or RecursionError for not_json."""
    value = json.loads(
        raw.decode("utf-8"),
        object_pairs_hook=unrepeated, parse_constant=no_constant, parse_int=Number, parse_float=Number,
    )  # fmt: skip
    well_formed(value)
    return value


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; true is not 1, key order does not matter."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


def is_text(value: Any, most: int = 200) -> bool:
    """A string of 1 to so many code points."""
    return isinstance(value, str) and 1 <= len(value) <= most


def is_decimal(value: Any, signed: bool = False) -> bool:
    """A plain decimal in a string, at most six decimals; a minus only where it is allowed."""
    pattern = rf"{'-?' if signed else ''}(0|[1-9][0-9]*)(\.[0-9]{{1,6}})?"
    return is_text(value) and re.fullmatch(pattern, value) is not None


def is_code(value: Any) -> bool:
    """The code of an office or unit: no dot, at most 64, begins with a letter or digit."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", value) is not None


def is_assessment(value: Any) -> bool:
    """The code of an assessment."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) is not None


def is_count(value: Any) -> bool:
    """A JSON integer >= 0, without fraction or exponent; -0 is 0."""
    return isinstance(value, Number) and re.fullmatch(r"[0-9]+|-0", value.text) is not None


TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)


def instant(text: Any) -> Fraction | None:
    """The moment an RFC 3339 time names, in seconds, or None where it names none."""
    match = TIME.fullmatch(text) if is_text(text) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (1 <= month <= 12 and 1 <= day <= lengths[month - 1] and hour <= 23 and minute <= 59 and second <= 59):
        return None
    fraction, sign, offset_hour, offset_minute = match.group(7) or "0", *match.group(8, 9, 10)
    if sign and not (int(offset_hour) <= 23 and int(offset_minute) <= 59):
        return None
    before = year - 1
    days = 365 * year + before // 4 - before // 100 + before // 400 + sum(lengths[: month - 1]) + day
    offset = (int(offset_hour) * 60 + int(offset_minute)) * (1 if sign == "+" else -1) if sign else 0
    return days * 86400 + hour * 3600 + (minute - offset) * 60 + second + Fraction(int(fraction), 10 ** len(fraction))


def canonical_number(text: str) -> str:
    """A number as RFC 8785 writes it, which is as ECMAScript does."""
    double = float(text)
    if double == 0:
        return "0"
    sign, digits = ("-", repr(-double)) if double < 0 else ("", repr(double))
    mantissa, _, power = digits.partition("e")
    whole, _, part = mantissa.partition(".")
    point = len(whole) + int(power or 0)
    bare = (whole + part).lstrip("0")
    point -= len(whole + part) - len(bare)
    bare = bare.rstrip("0")
    if 0 < point <= 21:
        text = bare.ljust(point, "0") if len(bare) <= point else f"{bare[:point]}.{bare[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + bare
    else:
        text = bare[0] + ("." + bare[1:] if bare[1:] else "") + f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return sign + text


def canonical(value: Any) -> str:
    """A JSON value in RFC 8785 form: keys by UTF-16, no white space, only the escapes JSON demands."""
    if isinstance(value, dict):
        ordered = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in ordered) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, Number):
        return canonical_number(value.text)
    return json.dumps(value, ensure_ascii=False)


def checksum(data: bytes) -> int:
    """CRC-16 (XMODEM), the checksum of an nkey."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def public_key(text: Any) -> bytes | None:
    """The 32 bytes of a public nkey (operator, account, user, server or cluster), or None where it is none."""
    if not isinstance(text, str) or re.fullmatch(r"[A-Z2-7]{56}", text) is None:
        return None
    try:
        raw = base64.b32decode(text)
    except binascii.Error:
        return None
    good = raw[0] in {0, 2 << 3, 13 << 3, 14 << 3, 20 << 3} and checksum(raw[:-2]) == int.from_bytes(raw[-2:], "little")
    return raw[1:-2] if good else None
