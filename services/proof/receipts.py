"""Signed receipts: what intake promised a party, which `wuxing verify --receipts FILE` holds against the ledger.

A receipt is a JSON object (wire.md, Proof); `signature` is Ed25519 by intake's receipt key, in base64, over the receipt
without it in the form of RFC 8785. `sha256` is of the payload as it came.
"""

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.receipts import Receipt
from schemas.results import canonical
from services.proof import checkpoint
from services.proof.note import NoteError, Signer, Verifier

#: The file of intake's receipt key among the site's keys, and that of its public half beside the log's.
KEY, PUBLIC = "receipt.key", "receipt.vkey"


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
            f"缺少回执密钥{path}，而其公钥已公布。请从备份恢复。 / The receipt key {path} is missing, and its public"
            " half was published. Restore it from the backup of the keys: receipts by another key prove nothing."
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


def check(path: Path, keys: Sequence[Verifier], raws: Mapping[int, bytes], size: int) -> Iterator[Broken]:
    """Every receipt of a file, an object a line, that does not hold against the ledger's bytes by sequence.

    `size` is the ledger's last sequence: what was promised beyond it is missing there.
    """
    for line, text in enumerate(path.read_bytes().splitlines(), 1):
        if not text.strip():
            continue
        try:
            receipt = json.loads(text)
            if not isinstance(receipt, dict):
                raise ValueError("not an object")  # noqa: TRY004, TRY301 - one error for what is no receipt
        except (ValueError, RecursionError):
            yield Broken(line, "receipt_unread", ())
            continue
        name = f"{receipt.get('source')} {receipt.get('id')}"[:200]
        if not holds(receipt, keys):
            yield Broken(line, "receipt_unsigned", (name,))
        elif receipt.get("outcome") == "accepted":
            yield from _kept(line, name, receipt, raws, size)


def _kept(line: int, name: str, receipt: Mapping[str, Any], raws: Mapping[int, bytes], size: int) -> Iterator[Broken]:
    sequence = receipt.get("sequence")
    if not isinstance(sequence, int) or isinstance(sequence, bool):
        yield Broken(line, "receipt_nowhere", (name,))
    elif sequence not in raws:
        yield Broken(line, "receipt_missing", (name, str(sequence), str(size)))
    elif (found := sha256(raws[sequence]).hexdigest()) != receipt.get("sha256"):
        yield Broken(line, "receipt_other", (name, str(sequence), str(receipt.get("sha256")), found))
