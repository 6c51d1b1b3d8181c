"""The signed checkpoint: what a publisher commits to, as a C2SP signed note.

Formats: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature. A checkpoint is

    <origin>
    <number of events>
    <base64 root of the Merkle tree over the events: sequence, recorded time and bytes>
    units <base64 root of the tree over the units' commitments>
    shown <base64 root of the tree over what is published of each unit>
    results <hex SHA-256 of the results, the contract's digest>
    rulebook <hex SHA-256 of the rulebook's JSON form (RFC 8785)>
    roster <hex SHA-256 of the roster's, a list of objects in its order>
    version <that of the code that made the results>
"""

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.told import Told
from schemas.words import Text, _
from services.proof import merkle

ED25519 = 1  # signature type of a log's own signature
COSIGNATURE = 4  # signature type of a witness's cosignature/v1
DASH = "\u2014 "
SIGNATURES_MAX = 100
SECONDS_MAX = 2**63 - 1
DIGEST = re.compile(r"[0-9a-f]{64}")


class NoteError(Told):
    """A key, note or checkpoint that cannot be trusted; says what was expected and what was found."""


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """Return the first 4 bytes of SHA-256(name, newline, signature type, public key)."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() or c < " " for c in name):
        raise NoteError(
            _("key name {name}: expected a name without spaces and without +, such as example.org/log", name=repr(name))
        )


def _base64(text: str, what: Text) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(_("{what}: {text} is not base64", what=what, text=repr(text[:60]))) from None


def _key(text: str, what: Text) -> tuple[str, bytes, int, bytes]:
    """Split `name+hexid+base64(type || key)` into name, id, type and key."""
    name, __, rest = text.strip().partition("+")
    identity, __, key = rest.partition("+")
    _check_name(name)
    raw = _base64(key, what)
    if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
        raise NoteError(
            _(
                "{what} of {name}: expected a type 1 or 4 and 32 bytes, found {raw} bytes",
                what=what,
                name=name,
                raw=len(raw),
            )
        )
    if not re.fullmatch(r"[0-9a-fA-F]{8}", identity):
        raise NoteError(
            _("{what} of {name}: the id {identity} is not 8 hex digits", what=what, name=name, identity=repr(identity))
        )
    return name, bytes.fromhex(identity), raw[0], raw[1:]


@dataclass(frozen=True)
class Verifier:
    """A public key with its name; `kind` says whether it signs logs (1) or cosigns them as a witness (4)."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read `name+hexid+base64(type || public key)`; the id must be that of the key."""
        name, identity, kind, public = _key(text, _("verifier key"))
        verifier = cls(name, kind, public)
        if identity != verifier.id:
            raise NoteError(
                _(
                    "verifier key of {name}: its id is {id}, {identity} given",
                    name=name,
                    id=verifier.id.hex(),
                    identity=identity.hex(),
                )
            )
        return verifier

    @property
    def id(self) -> bytes:
        """The key id that stands in signature lines."""
        return key_id(self.name, self.kind, self.public)

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        key = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{key}"

    def time_of(self, text: str, signature: bytes) -> int | None:
        """Check a signature over a note's text; returns a cosignature's time (POSIX seconds), else None."""
        message, time = text.encode(), None
        if self.kind == COSIGNATURE:
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = _cosigned(text, time)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise NoteError(
                _("the signature of {name}+{id} does not fit the text", name=self.name, id=self.id.hex())
            ) from None
        return time


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


@dataclass(frozen=True)
class Signer:
    """A private key with its name and kind."""

    name: str
    kind: int
    private: Ed25519PrivateKey

    @classmethod
    def generate(cls, path: Path, name: str, kind: int = ED25519) -> "Signer":
        """Make a key and write it to a new file that only its owner can read; refuses to overwrite."""
        _check_name(name)
        signer = cls(name, kind, Ed25519PrivateKey.generate())
        identity, seed = signer.verifier.id.hex(), signer.private.private_bytes_raw()
        text = f"PRIVATE+KEY+{name}+{identity}+{base64.b64encode(bytes([kind]) + seed).decode()}\n"
        try:
            handle, draft = tempfile.mkstemp(dir=path.parent)  # mkstemp makes it 0600
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            try:
                os.link(draft, path)  # whole or not at all, and never over a key that is there
            finally:
                Path(draft).unlink()
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        except OSError as error:
            raise NoteError(
                _("key file {path}: {error}; an existing key is never overwritten", path=path, error=error.strerror)
            ) from None
        return signer

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Read a key file; refuses one that others than its owner can read."""
        try:
            text, mode = path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777
        except (OSError, UnicodeDecodeError) as error:
            raise NoteError(_("key file {path}: cannot be read: {error}", path=path, error=error)) from None
        if mode & 0o077:
            raise NoteError(
                _(
                    "key file {path}: its mode is {mode}, expected 0600; others can read it",
                    path=path,
                    mode=f"{mode:04o}",
                )
            )
        if not text.startswith("PRIVATE+KEY+"):
            raise NoteError(_("key file {path}: expected a line that begins with PRIVATE+KEY+", path=path))
        name, identity, kind, seed = _key(text.removeprefix("PRIVATE+KEY+"), _("key file {path}", path=path))
        signer = cls(name, kind, Ed25519PrivateKey.from_private_bytes(seed))
        if identity != signer.verifier.id:
            raise NoteError(
                _(
                    "key file {path}: its id is {id}, {identity} given",
                    path=path,
                    id=signer.verifier.id.hex(),
                    identity=identity.hex(),
                )
            )
        return signer

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.kind, self.private.public_key().public_bytes_raw())

    def line(self, text: str, time: int = 0) -> str:
        """Return the signature line over a note's text; a cosignature states `time` (POSIX seconds)."""
        signature = self.private.sign(_cosigned(text, time) if self.kind == COSIGNATURE else text.encode())
        stamp = time.to_bytes(8, "big") if self.kind == COSIGNATURE else b""
        return f"{DASH}{self.name} {base64.b64encode(self.verifier.id + stamp + signature).decode()}\n"


@dataclass(frozen=True)
class Signature:
    """One verified signature; `time` is a cosignature's."""

    verifier: Verifier
    time: int | None


def sign(text: str, signer: Signer) -> str:
    """Make a signed note of a text that ends in a newline."""
    if not text.endswith("\n") or text.startswith("\n") or any(c < " " and c != "\n" for c in text):
        raise NoteError(_("a note's text ends in a newline and has no other control characters"))
    return f"{text}\n{signer.line(text)}"


def cosign(note: str, signer: Signer, time: int) -> str:
    """Add a witness's cosignature; the witness has checked before that the log only grew."""
    if signer.kind != COSIGNATURE or not 0 <= time <= SECONDS_MAX:
        raise NoteError(
            _(
                "{signer}: a cosignature needs a witness's key (type 4) and POSIX seconds, found {time}",
                signer=signer.name,
                time=time,
            )
        )
    text, __ = split(note)
    return note + signer.line(text, time)


def split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Split a signed note into its text and its signatures (key name, id and signature); verifies nothing."""
    body, gap, lines = note.rpartition("\n\n")
    if not gap or not lines.endswith("\n") or any(c < " " and c != "\n" for c in note):
        raise NoteError(_("not a signed note: expected a text, an empty line, and signature lines"))
    signatures = []
    for line in lines[:-1].split("\n"):
        name, __, raw = line.removeprefix(DASH).partition(" ")
        if not line.startswith(DASH):
            raise NoteError(_("not a signature line: {line}", line=repr(line[:80])))
        _check_name(name)
        signatures.append((name, _base64(raw, _("signature of {name}", name=name))))
    if len(signatures) > SIGNATURES_MAX:
        raise NoteError(
            _(
                "{signatures} signatures, at most {signatures_max} are read",
                signatures=len(signatures),
                signatures_max=SIGNATURES_MAX,
            )
        )
    return body + "\n", signatures


def verify(note: str, verifiers: Collection[Verifier]) -> tuple[str, list[Signature]]:
    """Return the text and its verified signatures; unknown keys are passed over.

    Raises NoteError when a known key's signature does not fit, and when no known key signed.
    """
    text, signatures = split(note)
    known = {(verifier.name, verifier.id): verifier for verifier in verifiers}
    found = []
    for name, raw in signatures:
        if verifier := known.get((name, raw[:4])):
            found.append(Signature(verifier, verifier.time_of(text, raw[4:])))
    if not found:
        raise NoteError(
            _(
                "signed by {signatures}, by none of the known keys",
                signatures=", ".join((name for name, __ in signatures)),
            )
        )
    return text, found


@dataclass(frozen=True)
class Checkpoint:
    """What a log's note says: origin, number of events, root, and the extension lines."""

    origin: str
    size: int
    root: bytes
    units: bytes
    shown: bytes
    results: str
    rulebook: str
    roster: str
    version: str

    def text(self) -> str:
        """Return the note's text."""
        root, units, shown = (base64.b64encode(top).decode() for top in (self.root, self.units, self.shown))
        if "\n" in self.origin or not self.origin:
            raise NoteError(_("origin {origin}: expected one line", origin=repr(self.origin)))
        return (
            f"{self.origin}\n{self.size}\n{root}\nunits {units}\nshown {shown}\nresults {self.results}\n"
            f"rulebook {self.rulebook}\nroster {self.roster}\nversion {self.version}\n"
        )

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note's text; extension lines of other names are passed over, a repeated one is refused."""
        head = text.removesuffix("\n").split("\n")
        origin, size, root, *rest = [*head, "", ""] if len(head) < 3 else head
        lines = dict(line.partition(" ")[::2] for line in rest)
        if "" in head or not re.fullmatch(r"0|[1-9][0-9]{0,18}", size) or len(lines) != len(rest):
            raise NoteError(
                _(
                    "not a checkpoint: origin {origin}, size {size}, extension lines {lines}",
                    origin=repr(origin),
                    size=repr(size),
                    lines=sorted(lines),
                )
            )
        places = (root, lines.get("units", ""), lines.get("shown", ""))
        top, units, shown = (_base64(place, _("checkpoint")) for place in places)
        results, rulebook, roster = (lines.get(name, "") for name in ("results", "rulebook", "roster"))
        sized = all(len(one) == merkle.SIZE for one in (top, units, shown))
        if not sized or not all(map(DIGEST.fullmatch, (results, rulebook, roster))) or not lines.get("version"):
            wanted = "a root, and the lines units, shown, results, rulebook, roster, version"
            raise NoteError(_("not an assessment's checkpoint: expected {wanted}", wanted=wanted))
        return cls(origin, int(size), top, units, shown, results, rulebook, roster, lines["version"])


@dataclass(frozen=True)
class Commitment:
    """What the log says of one unit (or of `assessment`): how many events have it as subject, and which, in order."""

    unit: str
    count: int
    digest: str

    def leaf(self) -> bytes:
        """Leaf hash in the tree of commitments, over unit, count and hex digest joined by newlines."""
        return merkle.leaf_hash(f"{self.unit}\n{self.count}\n{self.digest}".encode())


class Commitments:
    """The units' commitments, sorted by code, and their tree."""

    def __init__(self, commitments: Iterable[Commitment]) -> None:
        self.sorted = sorted(commitments, key=lambda one: one.unit)
        self._at = {one.unit: at for at, one in enumerate(self.sorted)}
        self._tree = merkle.Tree(one.leaf() for one in self.sorted)

    @property
    def root(self) -> bytes:
        """What stands in the checkpoint's `units` line."""
        return self._tree.root

    def of(self, unit: str) -> tuple[Commitment, int, list[bytes]]:
        """Return a unit's commitment, its place from 0 among the sorted codes, and its inclusion proof."""
        at = self._at[unit]
        return self.sorted[at], at, self._tree.inclusion(at)


def unit_commitments(leaves: Iterable[tuple[str, bytes]], units: Iterable[str] = ()) -> Commitments:
    """Commit to each unit's list of leaf hashes in ledger order; leaves are (subject, leaf hash) of the whole log.

    `units` are those that have a commitment even without an event: the roster's, and `assessment`.
    A list's digest is the SHA-256 of its leaf hashes one after another.
    """
    lists = {unit: sha256() for unit in units}
    counts = dict.fromkeys(lists, 0)
    for unit, leaf in leaves:
        lists.setdefault(unit, sha256()).update(leaf)
        counts[unit] = counts.get(unit, 0) + 1
    return Commitments(Commitment(unit, counts[unit], digest.hexdigest()) for unit, digest in lists.items())
