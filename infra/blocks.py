"""The files in which the broker keeps a stream, read event by event past what is damaged, and written anew.

The form is the broker's own (its file store, version 2): a block is records one after another, each with a checksum,
HighwayHash-64 under a key that is no secret. So a checksum tells of a damage, and of nobody's intent; what was written
here is only relied on after the broker itself has read every record of it.
"""

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

BLOCK_BYTES = 8 * 1024 * 1024
"""Where a new block is begun, as the broker does."""
RECORD_MAX = 64 * 1024 * 1024
STORE = Path("jetstream/jetstream/CORE/streams")
"""Where the streams of a data folder lie in it."""

_HEAD = struct.Struct("<IQqH")
_SUM = 8
_HEADERS, _NO_EVENT = 1 << 31, 3 << 62
_MASK, _LOW = (1 << 64) - 1, (1 << 32) - 1
_ONE = (0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3)
_TWO = (0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377)
_PACKET = struct.Struct("<4Q")
_State = tuple[list[int], list[int], list[int], list[int]]

Progress = Callable[[int, int], None]


class Record(NamedTuple):
    """One stored message as the broker's file has it; its time is in nanoseconds since 1970 UTC."""

    sequence: int
    time: int
    subject: bytes
    headers: bytes
    data: bytes

    @property
    def recorded_at(self) -> int:
        """Recorded time as the leaf has it: microseconds, cut off and not rounded."""
        return self.time // 1000


class Found(NamedTuple):
    """A whole record, and where in which file it lies."""

    record: Record
    file: Path
    offset: int
    length: int


def checksum(key: bytes, data: bytes) -> int:
    """HighwayHash-64 of the bytes under a key of 32 bytes (github.com/google/highwayhash)."""
    words = _PACKET.unpack(key)
    state: _State = (
        [a ^ b for a, b in zip(_ONE, words, strict=True)],
        [a ^ _turned(b) for a, b in zip(_TWO, words, strict=True)],
        [*_ONE],
        [*_TWO],
    )
    whole = len(data) & ~31
    for at in range(0, whole, 32):
        _update(state, _PACKET.unpack_from(data, at))
    if whole != len(data):
        _rest(state, data[whole:])
    for _ in range(4):
        a, b, c, d = state[0]
        _update(state, (_turned(c), _turned(d), _turned(a), _turned(b)))
    total = state[0][0] + state[1][0] + state[2][0] + state[3][0]
    return total & _MASK


def _update(state: _State, packet: tuple[int, ...]) -> None:
    one, two, three, four = state
    for n in range(4):
        two[n] = (two[n] + three[n] + packet[n]) & _MASK
        three[n] ^= (two[n] & _LOW) * (one[n] >> 32)
        one[n] = (one[n] + four[n]) & _MASK
        four[n] ^= (one[n] & _LOW) * (two[n] >> 32)
    for into, of in ((one, two), (two, one)):
        for n in (0, 2):
            low, high = _zipped(of[n], of[n + 1])
            into[n] = (into[n] + low) & _MASK
            into[n + 1] = (into[n + 1] + high) & _MASK


def _turned(word: int) -> int:
    return (word >> 32) | ((word & _LOW) << 32)


def _zipped(v0: int, v1: int) -> tuple[int, int]:
    """The bytes of two words mixed, as the algorithm has it."""
    low = (
        (((v0 & 0xFF000000) | (v1 & 0xFF00000000)) >> 24)
        | (((v0 & 0xFF0000000000) | (v1 & 0xFF000000000000)) >> 16)
        | (v0 & 0xFF0000)
        | ((v0 & 0xFF00) << 32)
        | ((v1 & 0xFF00000000000000) >> 8)
        | ((v0 & 0xFF) << 56)
    )
    high = (
        (((v1 & 0xFF000000) | (v0 & 0xFF00000000)) >> 24)
        | (v1 & 0xFF0000)
        | ((v1 & 0xFF0000000000) >> 16)
        | ((v1 & 0xFF00) << 24)
        | ((v0 & 0xFF000000000000) >> 8)
        | ((v1 & 0xFF) << 48)
        | (v0 & 0xFF00000000000000)
    )
    return low, high


def _rest(state: _State, rest: bytes) -> None:
    """The last bytes, fewer than 32."""
    size = len(rest)
    one, two = state[0], state[1]
    for n in range(4):
        one[n] = (one[n] + (size << 32) + size) & _MASK
        low, high = two[n] & _LOW, two[n] >> 32
        turned = (((half << size) | (half >> (32 - size))) & _LOW for half in (low, high))
        two[n] = next(turned) | (next(turned) << 32)
    packet = bytearray(32)
    packet[: size & ~3] = rest[: size & ~3]
    if size & 16:
        packet[28:] = rest[-4:]
    elif size & 3:
        last = rest[size & ~3 :]
        packet[16:19] = bytes((last[0], last[len(last) >> 1], last[-1]))
    _update(state, _PACKET.unpack(packet))


def block_key(name: str, block: int) -> bytes:
    """The key of the checksums in a block of a stream."""
    return hashlib.sha256(f"{name}-{block}".encode()).digest()


def settings(folder: Path, name: str) -> dict[str, object] | None:
    """The settings of a stream as its folder has them; null where they are damaged or not there."""
    try:
        text, said = (folder / "meta.inf").read_bytes(), (folder / "meta.sum").read_text("ascii")
        held: dict[str, object] = json.loads(text)
    except (OSError, ValueError):
        return None
    whole = checksum(hashlib.sha256(name.encode()).digest(), text).to_bytes(8, "little").hex() == said
    return held if whole and isinstance(held, dict) and held.get("name") == name else None


def blocks(folder: Path) -> list[Path]:
    """The block files of a stream's folder, in order."""
    found = (path for path in (folder / "msgs").glob("*.blk") if path.stem.isdecimal() and path.is_file())
    return sorted(found, key=lambda path: int(path.stem))


def read(
    folder: Path, name: str, prefix: bytes, progress: Progress = lambda *_: None, spoiled: list[Path] | None = None
) -> Iterator[Found]:
    """Every whole record of a stream's folder whose subject begins so, block after block.

    Nothing is changed. After a damage the next whole record is looked for; the file of what lies between is `spoiled`.
    """
    files = blocks(folder)
    total, done = sum(path.stat().st_size for path in files), 0
    for path in files:
        raw, key = path.read_bytes(), block_key(name, int(path.stem))
        at = 0
        while at < len(raw):
            record = _record(raw, at, key)
            if record is None:
                if spoiled is not None and path not in spoiled:
                    spoiled.append(path)
                at = _next(raw, at, prefix)
                continue
            length = _HEAD.unpack_from(raw, at)[0] & ~_HEADERS
            if record.subject.startswith(prefix) and not record.sequence & _NO_EVENT:
                yield Found(record, path, at, length)
            at += length
            progress(done + at, total)
        done += len(raw)


def _next(raw: bytes, at: int, prefix: bytes) -> int:
    """Where a record could begin after a place at which there is none."""
    found = raw.find(prefix, at + _HEAD.size + 1)
    return len(raw) if found < 0 else found - _HEAD.size


def _record(raw: bytes, at: int, key: bytes) -> Record | None:
    """The record at a place, null where there is no whole one."""
    if len(raw) - at < _HEAD.size + _SUM:
        return None
    length, sequence, time, subject = _HEAD.unpack_from(raw, at)
    headed, length = length & _HEADERS, length & ~_HEADERS
    body, end = at + _HEAD.size + subject, at + length - _SUM
    if not _HEAD.size + _SUM <= length <= min(RECORD_MAX, len(raw) - at) or body + (4 if headed else 0) > end:
        return None
    start = body + 4 if headed else body
    headers = int.from_bytes(raw[body:start], "little") if headed else 0
    summed = raw[at + 4 : at + 20] + raw[at + _HEAD.size : body] + raw[start:end]
    if start + headers > end or checksum(key, summed) != int.from_bytes(raw[end : end + _SUM], "little"):
        return None
    data = raw[start + headers : end]
    return Record(sequence, time, raw[at + _HEAD.size : body], raw[start : start + headers], data)


def encoded(record: Record, key: bytes | None) -> bytes:
    """A record as a block has it; without a key its checksum is zero, for a file of our own."""
    headed = len(record.headers).to_bytes(4, "little") if record.headers else b""
    length = _HEAD.size + len(record.subject) + len(headed) + len(record.headers) + len(record.data) + _SUM
    head = _HEAD.pack(length | (_HEADERS if headed else 0), record.sequence, record.time, len(record.subject))
    rest = record.headers + record.data
    total = checksum(key, head[4:20] + record.subject + rest) if key else 0
    return b"".join((head, record.subject, headed, rest, total.to_bytes(_SUM, "little")))


def decoded(raw: bytes) -> Record:
    """A record that was found whole before; its checksum is not looked at."""
    length, sequence, time, subject = _HEAD.unpack_from(raw)
    body = _HEAD.size + subject
    start = body + 4 if length & _HEADERS else body
    headers = int.from_bytes(raw[body:start], "little")
    return Record(sequence, time, raw[_HEAD.size : body], raw[start : start + headers], raw[start + headers : -_SUM])


def write(folder: Path, name: str, records: Iterable[Record], total: int, progress: Progress) -> None:
    """Write the blocks of a stream anew into its folder, in place of those that are there, and on the disk.

    No server may run on it. What the broker had computed of the old ones goes: it is computed again at the start.
    """
    place = folder / "msgs"
    for old in place.iterdir():
        old.unlink()
    out: IO[bytes] | None = None
    number, size, key = 0, 0, b""
    try:
        for n, record in enumerate(records, 1):
            if out is None or size >= BLOCK_BYTES:
                _closed(out)
                number, size = number + 1, 0
                out, key = (place / f"{number}.blk").open("xb"), block_key(name, number)
            size += out.write(encoded(record, key))
            progress(n, total)
    finally:
        _closed(out)


def _closed(out: IO[bytes] | None) -> None:
    if out:
        out.flush()
        os.fsync(out.fileno())
        out.close()
