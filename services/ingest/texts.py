"""Texts out of line as intake checks them, and as whoever sends for a party makes them: tokens, salts, the attribute.

Salts follow from a secret of the party's, so that the same rater has the same token and the same row is the same event
whenever it is sent again. Whoever has the secret can find out by guessing what an erased text was; nobody else can.
"""

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from infra.rights import key_file
from schemas import subjects, texts
from schemas.raw import read as read_raw
from schemas.refusals import ABSENT, Phrase, Reason, found
from schemas.texts import MOST, SALT_BYTES, Text, joined
from services.ingest.line import Fault, Wire, read
from services.ingest.signatures import canonical

Rename = Callable[[dict[str, Any]], str] | None
_SALT = re.compile(rf"[0-9a-f]{{{2 * SALT_BYTES}}}")
_attribute = msgspec.json.Decoder(dict[str, tuple[str, str]]).decode


class Apart(NamedTuple):
    """An event as the ledger holds it, its texts by their tokens, and its tokens by the paths of their fields."""

    raw: bytes
    texts: dict[str, Text]
    tokens: dict[str, str]


def taken(raw: bytes, names: Iterable[str]) -> Apart | Fault:
    """Take the texts off an event that has passed all other checks, or say what is wrong with them.

    No fault shows a text, for a refusal is kept. That a token has its text is left to who knows what is held.
    """
    wire = read(raw)
    assert isinstance(wire, Wire), "it has passed the checks"
    event = read_raw(raw)
    tokens = texts.tokens(event, names)
    if (given := event.get(texts.ATTRIBUTE, ABSENT)) is ABSENT:
        return Apart(raw, {}, tokens)
    try:
        held = {name: Text(*pair) for name, pair in _attribute(given.encode()).items()}
    except (AttributeError, UnicodeEncodeError, msgspec.DecodeError, RecursionError):
        return _bad(("texts",), _size(given))
    if strange := held.keys() - tokens.values():
        return _bad(("own_texts",), ("value", str(len(strange))))
    for path, token in tokens.items():
        if token in held and (fault := _fault(path.removeprefix("data."), token, held[token])):
            return fault
    return Apart(texts.stripped(raw), held, tokens)


def _bad(expected: Phrase, seen: Phrase) -> Fault:
    return Fault(Reason.BAD_FIELD, texts.ATTRIBUTE, expected, seen)


def _size(value: Any) -> Phrase:
    return ("plain", len(value)) if value.__class__ is str else found(value)


def _fault(name: str, token: str, one: Text) -> Fault | None:
    """What is wrong with the text of a token."""
    if not 0 < len(one.text) <= MOST[name]:
        return _bad(("text", MOST[name]), ("plain", len(one.text)))
    if not _SALT.fullmatch(one.salt):
        return _bad(("texts",), ("plain", len(one.salt)))
    if texts.token(bytes.fromhex(one.salt), one.text) != token:
        return _bad(("same_hash", token.removeprefix("sha256:")), ("other_hash",))
    return None


def untold(path: str) -> Fault:
    """A token that comes without its text, and whose text is not held."""
    return Fault(Reason.BAD_FIELD, path, ("its_text",), ("nothing",))


# Making them ----------------------------------------------------------------------------------------------------------


def secret_file(data: Path, party: str) -> Path:
    """Where the secret lies from which a party's salts are made: beside its key."""
    return key_file(data, party).with_suffix(".salt")


def secret(data: Path, party: str) -> bytes:
    """A party's secret, made at the first use."""
    path = secret_file(data, party)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.new")
    if not path.exists():
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(SALT_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(made, path)  # the first of two that make it at once
        made.unlink()
    return path.read_bytes().strip()


def sealed(event: Mapping[str, Any], names: Iterable[str], key: bytes) -> tuple[dict[str, Any], dict[str, Text]]:
    """An event with tokens for the texts of these fields, and the texts; what is a token, or is no text, stays.

    The salt of a rater follows from the text alone, so that rules can compare raters; that of another text from the
    event's whole content, so that of two events nobody sees that their texts are the same.
    """
    data = event.get("data")
    kind = event.get("type")
    made: dict[str, Text] = {}
    if not isinstance(data, dict) or not isinstance(kind, str):
        return dict(event), made
    own = dict(data)
    for name in texts.fields(kind, names):
        text = data.get(name)
        if text.__class__ is not str or not text or texts.is_token(text):
            continue
        what = [name, text] if name == "rater" else [name, kind, event.get("subject"), event.get("time"), data]
        salt = hmac.digest(key, canonical(what), hashlib.sha256)
        own[name] = token = texts.token(salt, str(text))
        made[token] = Text(salt.hex(), str(text))
    return {**event, "data": own}, made


def sealed_line(raw: bytes, names: Iterable[str], key: Callable[[str], bytes], rename: Rename = None) -> bytes:
    """The bytes of an event with its texts out of line, by the secret of its party; unchanged where nothing is to do.

    What is no event, brings texts of its own, or is signed already stays as it is: intake says what is wrong with it.
    `rename` tells the id of a content: an event whose id is that of its content in the clear gets that of the tokens.
    """
    wire = read(raw)
    if not isinstance(wire, Wire) or wire.signature is not ABSENT or wire.source.__class__ is not str:
        return raw
    party = subjects.party_of(wire.source)
    try:
        event: dict[str, Any] = json.loads(raw)
        if texts.ATTRIBUTE in event or party is None:
            return raw
        made, held = sealed(event, names, key(party))
        if rename and held and event.get("id") == rename(_content(event)):
            made["id"] = rename(_content(made))
        line = json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:  # a number beyond what Python reads or RFC 8785 can write
        return raw
    return joined(line, held) if held else raw


def _content(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("type", "subject", "time", "data") if name in event}


def carried(raw: bytes) -> dict[str, Text]:
    """The texts that an event brings for tokens of its own."""
    if b'"texts"' not in raw:
        return {}
    try:
        event = read_raw(raw)
        held = {name: Text(*pair) for name, pair in _attribute(event[texts.ATTRIBUTE].encode()).items()}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}
    return {one: text for one, text in held.items() if one in texts.tokens(event, MOST).values()}
