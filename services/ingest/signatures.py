"""Signatures on events: Ed25519 by a party's own nkey over the event, without its signature, as RFC 8785 writes it."""

import base64
import binascii
import json
import math
from collections.abc import Iterable
from typing import Any

import nkeys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: First bytes of public nkeys that sign: user, account, operator, server, cluster.
_PREFIXES = frozenset({20 << 3, 0, 14 << 3, 13 << 3, 2 << 3})


def public_key(text: Any) -> bytes | None:
    """The 32 bytes of a public nkey; null where it is none: base32 of a prefix, the key, and their CRC-16."""
    if text.__class__ is not str or len(text) != 56:
        return None
    try:
        raw = base64.b32decode(text)
    except (binascii.Error, ValueError):
        return None
    if raw[0] not in _PREFIXES or binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
        return None
    return raw[1:-2]


def holds(raw: bytes, key: str, apart: Iterable[str] = ()) -> bool:
    """Whether the event of these bytes, which are strict JSON, carries a signature by this public nkey.

    `apart` are attributes that it does not cover.
    """
    event = {name: value for name, value in json.loads(raw).items() if name not in apart}
    public, signature = public_key(key), event.pop("signature", None)
    if public is None or signature.__class__ is not str:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signature, validate=True), canonical(event))
    except (InvalidSignature, ValueError):
        return False
    return True


def signed(event: dict[str, Any], seed: bytes) -> bytes:
    """The bytes of an event with its party's signature, by the seed of its nkey."""
    made = base64.b64encode(nkeys.from_seed(bytearray(seed.strip())).sign(canonical(event))).decode()
    return json.dumps(event | {"signature": made}, ensure_ascii=False, separators=(",", ":")).encode()


def canonical(value: Any) -> bytes:
    """A JSON value as RFC 8785 writes it; raises ValueError where a number is beyond what it can write."""
    return _canonical(value).encode()


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
        return "{" + ",".join(f"{_canonical(key)}:{_canonical(one)}" for key, one in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """A number as ECMAScript writes the double that it is."""
    try:
        number = float(value)  # RFC 8785 writes a foreign number as the double it is; points are texts, never numbers
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        message = "no double holds this number"
        raise ValueError(message)
    digits, _, exponent = repr(number).partition("e")
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    whole, _, rest = digits.partition(".")
    rest = "" if rest == "0" else rest
    point = len(whole) + int(exponent or 0)
    digits = (whole + rest).lstrip("0")
    point -= len(whole + rest) - len(digits)
    digits = digits.rstrip("0")
    if not digits:
        return "0"
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
