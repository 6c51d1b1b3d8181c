"""Decides what a site knows of its ledger without it: signed checkpoints, leaves, the fold, and how far it went.

Each speaks only as far as the log's key, or the fold that fits what that key signed, vouches for it.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from infra import blocks
from schemas.told import Told
from schemas.words import Text, _
from services.ingest import place as places
from services.ingest.place import Place, PlaceUnreadable
from services.process.ending import Exit, Stop
from services.process.settings import Settings
from services.proof import checkpoint, merkle, note
from services.proof.note import NoteError, Signer, Verifier
from services.site import copies
from services.snapshot import held, make, point


@dataclass
class Known:
    """What is known of a ledger. `roots` is size -> root of every checkpoint that the log's key signed.

    `leaves` is sequence -> leaf, of what is signed or folded; `refused` are sequences that the fold refused, and
    `folded` how far it came, 0 where it is not to be relied on. `last` is the last sequence that there must have been.
    """

    verifier: Verifier
    roots: dict[int, bytes] = field(default_factory=dict)
    leaves: dict[int, bytes] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    folded: int = 0
    last: int = 0
    place: Place | None = None
    remarks: list[Text | Told] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many events the newest checkpoint commits to."""
        return max(self.roots)

    def remark(self, said: Text | Told) -> None:
        """Something that is to be told before anything is done."""
        self.remarks.append(said)

    def take(self, text: str, assessment: str) -> bool:
        """Take a checkpoint that the log's key signed; anything else is passed over."""
        try:
            note.verify(text, [self.verifier])
            found = checkpoint.parsed(text, "")
        except NoteError:
            return False
        if found.origin != checkpoint.origin(assessment):
            return False
        if self.roots.setdefault(found.size, found.root) != found.root:
            raise Stop(
                Exit.NO,
                _(
                    "The log's key signed two histories of {size} events: {roots} and {root}. Find out who "
                    "has it; nothing is mended.",
                    size=found.size,
                    roots=self.roots[found.size].hex(),
                    root=found.root.hex(),
                ),
            )
        return True

    def contradicted(self, hashes: Sequence[bytes]) -> int | None:
        """The size of the first checkpoint that leaves in ledger order contradict; null where they fit all."""
        tree, sizes = merkle.Frontier(), sorted(size for size in self.roots if size <= len(hashes))
        at = 0
        for size in sizes:
            for leaf in hashes[at:size]:
                tree.append(leaf)
            at = size
            if tree.root() != self.roots[size]:
                return size
        return None

    def vouched(self, hashes: Sequence[bytes]) -> bool:
        """Whether leaves in ledger order fit every checkpoint that they reach, and reach one."""
        return any(0 < size <= len(hashes) for size in self.roots) and self.contradicted(hashes) is None


def known(settings: Settings, more: Iterable[str], scratch: Path) -> Known:
    """What the data folder and its CHECKPOINT stream say, and checkpoints from elsewhere.

    Raises Stop where nothing that the log's key signed is found: there is nothing to prove a copy by.
    """
    found = Known(_verifier(settings))
    texts = [*copies.notes(settings.root / blocks.STORE, settings.assessment), *more]
    with contextlib.suppress(NoteError):
        texts.append(checkpoint.read(settings.snapshots / checkpoint.NAME))
    for text in texts:
        found.take(text, settings.assessment)
    _of_snapshot(found, settings, scratch / "snapshot")
    if not any(found.roots):
        raise Stop(
            Exit.FAILED,
            _(
                "No checkpoint that the log's key signed in {snapshots}, in the CHECKPOINT stream or in "
                "what was given: there is nothing to prove a copy by. `wuxing restore` makes the whole "
                "site again from a backup.",
                snapshots=settings.snapshots,
            ),
        )
    _of_fold(found, settings, scratch / "fold")
    try:
        found.place = places.read(places.file(settings.data, settings.assessment))
    except PlaceUnreadable as error:
        found.remark(error)
    found.last = max(found.last, found.size, found.folded, found.place.ledger if found.place else 0)
    return found


def _verifier(settings: Settings) -> Verifier:
    """The log's public key, of its own key where that is there."""
    own, public = settings.data / "keys" / "log.key", settings.snapshots / checkpoint.KEY_NAME
    name = checkpoint.origin(settings.assessment)
    if own.exists():
        return Verifier(name, note.ED25519, Signer.load(own).verifier.public)
    try:
        return Verifier.parse(public.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        raise Stop(
            Exit.FAILED,
            _(
                "The log's key is missing: expected {own} or {public}. Without it no copy can be proved.",
                own=own,
                public=public,
            ),
        ) from None


def _of_snapshot(found: Known, settings: Settings, scratch: Path) -> None:
    """The leaves of the snapshot that was published last, once they come to the root that is signed in it."""
    path = make.latest(settings.snapshots)
    if path is None:
        return
    try:
        with contextlib.closing(copies.laid_out(path, scratch)) as con:
            signed = found.take(checkpoint.held(con) or "", settings.assessment)
            rows = con.execute("SELECT seq, hash FROM leaf ORDER BY seq").fetchall()
            last = point.last(con)
    except (OSError, duckdb.Error, held.Unopened, KeyError, ValueError):
        signed, rows, last = False, [], 0
    if signed and found.vouched([leaf for __, leaf in rows]):
        found.leaves.update(rows)
        found.last = max(found.last, last)
    else:
        found.remark(_("{path} is damaged, or not what the log's key signed: it is not relied on.", path=path))


def _of_fold(found: Known, settings: Settings, scratch: Path) -> None:
    """What the scorer folded, once it fits every checkpoint that it reaches."""
    path = settings.data / "scorer" / f"{settings.assessment}.duckdb"
    if not path.exists():
        found.remark(
            _("{path} is not there: what came after the last checkpoint is not held against the fold.", path=path)
        )
        return
    try:
        with contextlib.closing(copies.laid_out(path, scratch)) as con:
            leaves = checkpoint.leaves(con)
            refused = {line for (line,) in con.execute("SELECT line FROM refused").fetchall()}
    except (OSError, duckdb.Error, held.Unopened):
        leaves, refused = checkpoint.Leaves([], [], []), set()
    if found.vouched(leaves.hashes):
        found.leaves |= dict(zip(leaves.sequences, leaves.hashes, strict=True))
        found.refused, found.folded = refused, max({*leaves.sequences, *refused}, default=0)
        return
    found.remark(
        _(
            "{path} is damaged, or not what the log's key signed: it is not relied on. Delete it "
            "afterwards; it is folded anew.",
            path=path,
        )
    )


def differing(known_: Known, leaves: Mapping[int, bytes]) -> list[int]:
    """The sequences at which a copy has another event than what was signed or folded."""
    return sorted(seq for seq, leaf in leaves.items() if known_.leaves.get(seq, leaf) != leaf)
