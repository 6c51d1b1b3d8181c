"""Two folders that change places in one step, and what must be on the disk before and after."""

import ctypes
import os
import sys
from pathlib import Path

from schemas.told import Told
from schemas.words import _

_AT_FDCWD = -2 if sys.platform == "darwin" else -100
_SWAP = 2
_LIBC = ctypes.CDLL(None, use_errno=True)


class NotExchanged(Told):
    """The file system cannot let two folders change places: nothing was changed."""


def swap(one: Path, other: Path) -> None:
    """Let two folders of one file system change places: whoever looks sees the one or the other, and never none."""
    call = getattr(_LIBC, "renameatx_np" if sys.platform == "darwin" else "renameat2", None)
    paths = (os.fsencode(path) for path in (one, other))
    if call is None or call(_AT_FDCWD, next(paths), _AT_FDCWD, next(paths), _SWAP):
        reason = os.strerror(ctypes.get_errno()) if call else "no such call"
        raise NotExchanged(
            _(
                "{one} and {other} cannot change places in one step: {reason}. Nothing was changed; put "
                "the data folder on a local file system that can (ext4, xfs, btrfs, APFS).",
                one=one,
                other=other,
                reason=reason,
            )
        )


def synced(path: Path) -> None:
    """Make a file, or what a folder lists, safe on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def all_synced(folder: Path) -> None:
    """The same of a folder with all that is in it."""
    for path in sorted(folder.rglob("*")):
        synced(path)
    synced(folder)


def written(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all, and on the disk before this returns."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(data)
    synced(draft)
    draft.replace(path)
    synced(path.parent)
