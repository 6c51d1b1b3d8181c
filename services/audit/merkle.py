"""The Merkle tree over the events of a log in ledger order (RFC 6962 section 2.1, RFC 9162 section 2.1).

Leaves are given as leaf hashes, 32 bytes each. An odd node at the end of a level is carried up as it is, which gives
the same tree as the RFC's split at the largest power of two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(raw: bytes) -> bytes:
    """Hash of one leaf: SHA-256(0x00 || raw)."""
    return sha256(b"\0" + raw).digest()


def event_leaf(sequence: int, recorded: int | None, raw: bytes) -> bytes:
    """Leaf hash of an event: sequence and recorded time (µs since 1970 UTC, 0 in a file), 8 bytes each, its bytes."""
    return leaf_hash(sequence.to_bytes(8, "big") + (recorded or 0).to_bytes(8, "big", signed=True) + raw)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\1" + left + right).digest()


def _above(level: bytes) -> bytes:
    """Return the level above: each pair hashed, an odd last node carried up."""
    end = len(level) // (2 * SIZE) * 2 * SIZE
    return b"".join([sha256(b"\1" + level[at : at + 64]).digest() for at in range(0, end, 64)]) + level[end:]


def root(leaves: Iterable[bytes]) -> bytes:
    """Root of the tree over these leaf hashes; of no leaves SHA-256 of nothing."""
    level = b"".join(leaves)
    while len(level) > SIZE:
        level = _above(level)
    return level or EMPTY_ROOT


class Tree:
    """The whole tree, for making proofs: every level is kept, 64 bytes a leaf in all."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels = [b"".join(leaves)]
        while len(self._levels[-1]) > SIZE:
            self._levels.append(_above(self._levels[-1]))

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0]) // SIZE

    @property
    def root(self) -> bytes:
        """Root over all the leaves."""
        return self._levels[-1] or EMPTY_ROOT

    def leaf(self, index: int) -> bytes:
        """Leaf hash at an index from 0."""
        return self._node(0, index)

    def _node(self, level: int, index: int) -> bytes:
        return self._levels[level][index * SIZE : (index + 1) * SIZE]

    def _over(self, low: int, high: int) -> bytes:
        """Return the root over leaves low to high - 1, a node of this tree."""
        level = (high - low - 1).bit_length()
        return self._node(level, low >> level)

    def inclusion(self, index: int) -> list[bytes]:
        """Inclusion proof of the leaf at `index`, from the leaf up (RFC 9162 section 2.1.3.1)."""
        if not 0 <= index < self.size:
            raise IndexError(f"leaf {index} is not in a tree of {self.size} leaves")
        beside = ((level, (index >> level) ^ 1) for level in range(len(self._levels) - 1))
        return [node for level, at in beside if (node := self._node(level, at))]

    def consistency(self, first: int) -> list[bytes]:
        """Proof that the tree over the first `first` leaves is a beginning of this one (RFC 9162 section 2.1.4.1)."""
        if not 0 <= first <= self.size:
            raise IndexError(f"no tree of {first} leaves precedes one of {self.size}")
        proof: list[bytes] = []
        low, high = 0, self.size
        while first not in (0, high):
            middle = low + (1 << ((high - low - 1).bit_length() - 1))
            if first <= middle:
                proof.append(self._over(middle, high))
                high = middle
            else:
                proof.append(self._over(low, middle))
                low = middle
        return [*([self._over(low, high)] if low else []), *reversed(proof)]


@dataclass
class Frontier:
    """The roots of the complete subtrees of a growing log, largest first: all that appending needs."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash; each trailing one bit of the size is a peak that it closes."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Root over all that was appended."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            node = node_hash(peak, node)
        return node


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows `leaf` at `index` of the tree with this size and root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(beside, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def consistent(first: int, second: int, proof: Sequence[bytes], old: bytes, new: bytes) -> bool:
    """Whether `proof` shows the tree (first, old) to be a beginning of (second, new) (RFC 9162 section 2.1.4.2).

    Nothing is a beginning of everything, and a tree of itself: there the proof must be empty.
    """
    if first > second or first < 0:
        return False
    if first in (0, second):
        return not proof and old == (EMPTY_ROOT if first == 0 else new)
    nodes = list(proof) if first & (first - 1) else [old, *proof]
    if not nodes:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    left = right = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            left, right = node_hash(node, left), node_hash(node, right)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            right = node_hash(right, node)
        at, last = at >> 1, last >> 1
    return last == 0 and left == old and right == new
