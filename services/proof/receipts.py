"""Signed receipts: what intake promised a party, which `wuxing verify --receipts FILE` holds against the ledger.

A receipt is a JSON object (wire.md, Proof); `signature` is Ed25519 by intake's receipt key, in base64, over the receipt
without it in the form of RFC 8785. `sha256` is of the payload as it came.
"""

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.receipts import Receipt
from schemas.results import canonical
from schemas.words import _
from services.proof import checkpoint
from services.proof.note import NoteError, Signer, Verifier

#: The file of intake's receipt key among the site's keys, and that of its public half beside the log's.
KEY, PUBLIC = "receipt.key", "receipt.vkey"
BATCH = 1000
NO_RECEIPT, UNSENT = frozenset({"ready", "pending", "there", "correction", "gone"}), "unsent"
"""What `emit` says of a row that it did not send, or that nothing was heard of; what is read of it here."""
LINE_MAX = 256 * 1024
"""Bytes of a receipt, and more: its texts come from an event of 64 KiB."""


def signed(receipt: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """A receipt with its signature; one that it bears already is replaced."""
    body = {name: value for name, value in receipt.items() if name != "signature"}
    return {**body, "signature": b64encode(signer.private.sign(canonical(body))).decode()}


def holds(receipt: Mapping[str, Any], verifiers: Iterable[Verifier]) -> bool:
    """Whether one of the keys signed a receipt as it stands."""
    body = {name: value for name, value in receipt.items() if name != "signature"}
    try:
        signature = b64decode(str(receipt.get("signature") or ""), validate=True)
    except (Base64Error, ValueError):
        return False
    for one in verifiers:
        try:
            Ed25519PublicKey.from_public_bytes(one.public).verify(signature, canonical(body))
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def site_key(data: Path, assessment: str, *, publish: bool = False) -> Signer:
    """Intake's receipt key, made at first use; with `publish` its public half is put beside the snapshots.

    It is never made again: where its public half was published, its loss is named.
    """
    path = data / "keys" / KEY
    if not path.exists() and (data / "snapshots" / PUBLIC).exists():
        raise NoteError(
            _(
                "The receipt key {path} is missing, and its public half was published. Restore it from "
                "the backup of the keys: receipts by another key prove nothing.",
                path=path,
            )
        )
    (data / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = checkpoint.key(path, f"wuxing/{assessment}/receipts")
    if publish:
        (data / "snapshots").mkdir(parents=True, exist_ok=True)
        (data / "snapshots" / PUBLIC).write_text(f"{signer.verifier}\n", encoding="utf-8")
    return signer


def encoded(receipt: Receipt, signer: Signer) -> bytes:
    """A receipt as it is sent, signed."""
    return msgspec.json.encode(signed(msgspec.to_builtins(receipt), signer))


class Broken(NamedTuple):
    """A receipt that is no evidence, or that the ledger does not keep: its line, what is wrong, what it names."""

    line: int
    what: str
    values: tuple[str, ...]


def check(
    path: Path, keys: Sequence[Verifier], raws: Callable[[Sequence[int]], Mapping[int, bytes]], size: int
) -> Iterator[Broken | None]:
    """Of every receipt of a file, an object a line, what does not hold against the ledger, or null where it holds.

    `raws` gives the ledger's bytes by sequence, of so many as are asked for; `size` is its last sequence: what was
    promised beyond it is missing there. The file is read a part at a time, whatever its size. What `emit` printed is
    taken as it is: the receipt in each of its lines, and nothing of a line for which intake promised nothing.
    """
    lines = _lines(path)
    while some := list(islice(lines, BATCH)):
        held = [(line, text, _receipt(text)) for line, text in some]
        held = [one for one in held if one[2] is None or one[2].get("outcome") != UNSENT]
        there = raws([seq for _n, _said, one in held if one and isinstance(seq := one.get("sequence"), int)])
        for line, _text, receipt in held:
            yield _broken(line, receipt, keys, there, size)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, by number; of one that is too long for a receipt no more than that."""
    with path.open("rb") as file:
        for line in count(1):
            text = file.readline(LINE_MAX)
            if not text:
                return
            rest = text
            while len(rest) == LINE_MAX and not rest.endswith(b"\n"):
                rest = file.readline(LINE_MAX)
            if text.strip():
                yield line, text if rest is text else b""


def _receipt(text: bytes) -> dict[str, Any] | None:
    try:
        receipt = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(receipt, dict):
        return None
    return _of_emit(receipt) if "row" in receipt else receipt


def _of_emit(line: Mapping[str, Any]) -> dict[str, Any]:
    """The receipt in a line of `emit`, which leaves out what is null and says the row beside it."""
    receipt = {name: line.get(name) for name in Receipt.__struct_fields__}
    refused = receipt["outcome"] == "refused" and receipt["signature"] is None  # before it was sent
    return receipt | {"outcome": UNSENT} if refused or receipt["outcome"] in NO_RECEIPT else receipt


def _broken(
    line: int, receipt: Mapping[str, Any] | None, keys: Sequence[Verifier], raws: Mapping[int, bytes], size: int
) -> Broken | None:
    if receipt is None:
        return Broken(line, "receipt_unread", ())
    name = f"{receipt.get('source')} {receipt.get('id')}"[:200]
    if not holds(receipt, keys):
        return Broken(line, "receipt_unsigned", (name,))
    return _kept(line, name, receipt, raws, size) if receipt.get("outcome") == "accepted" else None


def _kept(line: int, name: str, receipt: Mapping[str, Any], raws: Mapping[int, bytes], size: int) -> Broken | None:
    sequence = receipt.get("sequence")
    if not isinstance(sequence, int) or isinstance(sequence, bool):
        return Broken(line, "receipt_nowhere", (name,))
    if sequence not in raws:
        return Broken(line, "receipt_missing", (name, str(sequence), str(size)))
    if (found := sha256(raws[sequence]).hexdigest()) != receipt.get("sha256"):
        return Broken(line, "receipt_other", (name, str(sequence), str(receipt.get("sha256")), found))
    return None
