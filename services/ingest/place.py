"""Where ingest stands, in a file of its own beside the streams: what it appended last, what it took, who sent how much.

A stream that lost its end says so only to who remembers it. The file is written and synced after the parties were told
and before anything is acknowledged, so what lies in INTAKE after it is all that was never told.
"""

import os
from pathlib import Path

import msgspec

from schemas.told import Told
from schemas.words import _

SHOWN_LOSSES = 100
"""How many losses are remembered to be shown."""


class HistoryWentBack(Told):
    """The ledger is not the one that ingest appended to: nothing is appended on top of it."""


class PlaceUnreadable(Told):
    """The file that says where ingest stands is there, and is none."""


class Place(msgspec.Struct):
    """The ledger's last sequence with its payload's SHA-256, the last intake message taken, and the day's accounts.

    Of what ARRIVED has up to `arrived`, everything was taken. `recorded` is the broker's time of that message and `day`
    its day, in microseconds and days since 1970 UTC; `spent` is party -> events and bytes of that day, `pace` party ->
    events of the `second`. `lost` are ranges of INTAKE that were acknowledged and never arrived.
    """

    ledger: int = 0
    sha256: str = ""
    intake: int = 0
    arrived: int = 0
    recorded: int = 0
    day: int = 0
    spent: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    second: int = 0
    pace: dict[str, int] = msgspec.field(default_factory=dict)
    passed_over: int = 0
    lost: list[tuple[int, int]] = msgspec.field(default_factory=list)


def file(data: Path, assessment: str) -> Path:
    """Where the place of an assessment's ingest lies."""
    return data / "ingest" / f"{assessment}.json"


def read(path: Path) -> Place | None:
    """The place that was written last, null at the first start; raises PlaceUnreadable."""
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Place)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise PlaceUnreadable(
            _(
                "{path} cannot be read. Compare the ledger with an export or a snapshot first, then move "
                "the file away: ingest makes it anew from the streams.",
                path=path,
            )
        ) from None


def write(path: Path, place: Place) -> None:
    """Whole or not at all, and on the disk before this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with draft.open("wb") as out:
        out.write(msgspec.json.encode(place))
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
