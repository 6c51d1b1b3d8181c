"""Damages what lies on the disk, or puts an old copy there, and looks whether it is healed, named, or passes unseen.

The base is a year that was ranked, whose services were killed, and whose intake holds events that nobody has taken yet.
After a damage everything is started, one more event is sent, and one of three things must come: all is as it would have
been (the same ledger, the oracle's digest, the snapshot whole); or somebody says by name what is wrong; anything else
passes unseen, and an acknowledged event that is gone without a word is lost.
"""

import asyncio
import contextlib
import hashlib
import json
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import duckdb
from nats.errors import Error as NatsError

from infra.client import BrokerUnreachable
from infra.rights import KeyUnsafe
from infra.server import ServerUnusable
from services.process.standby import here
from services.snapshot import make
from tests import oracle
from tests.faults.life import Life, Row, logs
from tests.faults.nursery import Nursery
from tests.faults.works import ASSESSMENT, Line, Works, copied, good, year
from tests.product import BOOK_JSON, SHIPPED

WITHIN = 120.0
"""Seconds in which it must be healed or named."""
WAITING = 12
"""Acknowledged events that lie in intake."""
ALARMS = (
    "snapshot.damaged", "intake.lost", "intake.went_back", "entry.passed_over", "service.failed", "lease.silent",
)  # fmt: skip
ALARM = re.compile(rf'"event": "({"|".join(map(re.escape, ALARMS))})"')
STREAMS = "jetstream/jetstream/CORE/streams"
Damage = tuple[str, str, Callable[[Path], None]]
"""Its group, its name, and what does it to a data folder."""


class Base(NamedTuple):
    """The folders of half a year, and of a whole one; and the ledger that must come of it."""

    half: Path
    full: Path
    ledger: list[bytes]


def base(folder: Path, nursery: Nursery) -> Base:
    """Live through the year, and stop."""
    lines = year().lines
    with Works(folder / "full", year()) as works:
        life = Life(works, nursery, Random(0), "base")
        asyncio.run(works.publish(lines[: len(lines) // 2]))
        assert not life.settle()
        life.stop_all()
        works.server.kill()
        half = copied(works.data, folder / "half")
        works.server.start()
        asyncio.run(works.publish(lines[len(lines) // 2 :]))
        assert not life.settle()
        life.stop_all()
        waiting = [_line(f"waiting-{n}") for n in range(WAITING)]
        asyncio.run(works.publish(waiting))
        works.until("the second record of intake", lambda seen: seen.last["ARRIVED"] == seen.last["INTAKE"])
        works.server.kill()
        for left in (*works.data.glob("snapshots/*.duckdb"), *works.data.glob("cuts/*")):
            if not left.is_symlink() and left.name != make.latest(works.settings.snapshots).name:  # type: ignore[union-attr]
                left.unlink()
    return Base(half, folder / "full", [*year().accepted, *(one.raw for one in waiting)])


def _line(name: str) -> Line:
    return Line("ducha", f"intake.{ASSESSMENT}.ducha.deduction-recorded-v1.U001", good(name), None)


# What is done


def flip(path: Path, rng: Random) -> None:
    """One bit is another."""
    raw = bytearray(path.read_bytes())
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    _write(path, bytes(raw))


def cut(path: Path, rng: Random) -> None:
    """The end is missing."""
    raw = path.read_bytes()
    _write(path, raw[: rng.randrange(len(raw))])


def zero(path: Path, rng: Random) -> None:
    """A page is full of zeros, as after a power cut."""
    raw = bytearray(path.read_bytes())
    start = rng.randrange(len(raw))
    raw[start : start + 512] = bytes(len(raw[start : start + 512]))
    _write(path, bytes(raw))


def remove(path: Path, _: Random) -> None:
    """The file is gone."""
    path.unlink()


def _write(path: Path, raw: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(raw)


FILES = {
    "log": f"{STREAMS}/LEDGER-*/msgs/*.blk",
    "intake": f"{STREAMS}/INTAKE-*/msgs/*.blk",
    "rankings": f"{STREAMS}/RANKING-*/msgs/*.blk",
    "leases": f"{STREAMS}/LEASE-*/msgs/*.blk",
    "index": f"{STREAMS}/*/msgs/index.db",
    "settings": f"{STREAMS}/*/meta.*",
    "durables": f"{STREAMS}/[IL]*/obs/*/*",
    "fold": "scorer/*.duckdb",
    "wal": "scorer/*.wal",
    "place": "ingest/*.json",
    "snapshot": "snapshots/*.duckdb",
    "keys": "keys/*.key",
}
WAYS = (flip, cut, zero, remove)
EDITS = (
    "UPDATE unit_item SET points = points + 1 WHERE unit = (SELECT min(unit) FROM unit_item)",
    "DELETE FROM unit_item WHERE unit = (SELECT max(unit) FROM unit_item)",
    "UPDATE event SET raw = (SELECT raw FROM event ORDER BY seq LIMIT 1 OFFSET 5) WHERE seq = 9",
    "UPDATE event SET admission = 'void' WHERE seq = 11",
    "UPDATE event SET recorded_at = recorded_at - INTERVAL 40 DAY WHERE seq = 12",
    "DELETE FROM event WHERE seq = 13",
    "UPDATE meta SET value = '0' WHERE key = 'schema'",
)
OLD = (
    "jetstream", f"{STREAMS}/LEDGER-small", f"{STREAMS}/INTAKE-small", f"{STREAMS}/RANKING-small", "scorer", "ingest",
    "snapshots", "turns",
)  # fmt: skip


def at(pattern: str, way: Callable[[Path, Random], None], draw: Random) -> Callable[[Path], None]:
    """Damages one of the files of a pattern, where there are any."""

    def done(data: Path) -> None:
        files = (one for one in sorted(data.glob(pattern)) if one.is_file() and not one.is_symlink())
        if not (found := [one for one in files if one.stat().st_size]):
            raise LookupError(pattern)
        way(draw.choice(found), draw)

    return done


def edited(sql: str) -> Callable[[Path], None]:
    """Edits the scorer's file by SQL."""

    def done(data: Path) -> None:
        with duckdb.connect(next(data.glob("scorer/*.duckdb"))) as con:
            con.execute(sql)

    return done


def restored(name: str, half: Path) -> Callable[[Path], None]:
    """Puts the copy of half a year in the place of a file or folder."""

    def done(data: Path) -> None:
        shutil.rmtree(data / name)
        if (half / name).exists():
            shutil.copytree(half / name, data / name, symlinks=True)

    return done


def damages(of: Base, rng: Random) -> Iterator[Damage]:
    """All kinds of damage one after another, without end, each at places of its own."""
    while True:
        for group, pattern in FILES.items():
            for way in WAYS:
                yield group, way.__name__, at(pattern, way, Random(rng.random()))
        for sql in EDITS:
            yield "edit", sql, edited(sql)
        for name in OLD:
            yield "old copy", name, restored(name, of.half)


# What comes of it


def outcome(data: Path, damage: Damage, of: Base, nursery: Nursery) -> str:
    """`healed`, `named …`, `lost …` or `unseen …`; `absent` where there was nothing to damage."""
    try:
        damage[2](data)
    except LookupError:
        return "absent"
    for lock in data.glob("turns/*.lock"):  # as if it had never been elsewhere
        _, *rest = lock.read_text("utf-8").split("\n")
        lock.write_text("\n".join((here(lock.absolute()), *rest)), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        try:
            works = stack.enter_context(Works(data, year()))
        except (ServerUnusable, KeyUnsafe) as error:
            return f"named by the server: {error}"
        life = Life(works, nursery, Random(0), "damage")
        stack.callback(life.stop_all)
        life.keep()
        probe = _line("probe")
        try:
            asyncio.run(asyncio.wait_for(works.publish([probe]), 30))
        except (BrokerUnreachable, NatsError, OSError, TimeoutError) as error:
            return f"named to who publishes: {error!r}"
        return _watched(life, [*of.ledger, probe.raw])


def _watched(life: Life, wanted: list[bytes]) -> str:
    deadline = time.monotonic() + WITHIN
    said, seen = "", ""
    while time.monotonic() < deadline:
        said = logs(life.works.data)
        if "Traceback" in said:
            return f"unseen: a traceback: {said[said.index('Traceback') :][-1500:]}"
        if ended := [one.name for one in life.kept if life.nursery.ended(one.pid) == 3]:
            return f"named by {ended[0]}: {said[-300:]}"
        with contextlib.suppress(BrokerUnreachable, NatsError, OSError, TimeoutError):
            found = life.works.seen()
            seen = str(found)
            idle = found.messages["INTAKE"] == 0 and not any(found.waiting.values())
            if idle and found.ranked == found.last["LEDGER"] > 0:
                break
        time.sleep(0.2)  # between two looks at other processes; the deadline is what ends it
    else:
        return f"named: {alarm[1]}" if (alarm := ALARM.search(said)) else f"unseen: nothing was said, and {seen}"
    return _compared(life.works, wanted)


def _compared(works: Works, wanted: list[bytes]) -> str:
    ledger, ranking = list(works.ledger()), works.ranking()
    told = oracle.score(ledger, shipped=(BOOK_JSON, SHIPPED))
    latest = make.latest(works.settings.snapshots)
    whole = latest and hashlib.sha256(latest.read_bytes()).hexdigest() == ranking.sha256
    if ledger == wanted and ranking.digest == told["digest"] and whole:
        return "healed"
    if alarm := ALARM.search(logs(works.data)):
        return f"named: {alarm[1]}"
    if gone := Counter(wanted) - Counter(ledger):
        return f"lost {len(gone)}: {[json.loads(raw)['id'] for raw in gone][:3]}"
    return f"unseen: ledger {len(ledger)} of {len(wanted)}, digest {ranking.digest == told['digest']}, whole {whole}"


def play(rounds: int, seed: int, folder: Path, nursery: Nursery) -> Iterator[Row]:
    """So many damages, and a row for each group of them."""
    of = base(folder, nursery)
    drawn = damages(of, Random(f"{seed}-damage"))
    found: dict[str, list[str]] = {}
    begun = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):  # what was played so far is told
        while (n := sum(map(len, found.values()))) < rounds:  # what is not there cannot be damaged, and does not count
            damage = next(drawn)
            print(f"\r{n}/{rounds} {damage[0]}: {damage[1]}\033[K", end="", file=sys.stderr, flush=True)
            data = copied(of.full, folder / "damage")
            came = outcome(data, damage, of, nursery)
            if came != "absent":
                found.setdefault(damage[0], []).append(came)
            if came.startswith(("lost", "unseen")):
                print(f"{n} {damage[0]} {damage[1]}: {came}", flush=True)
            shutil.rmtree(data)
    for group, all_ in found.items():
        healed, named = (sum(one.startswith(word) for one in all_) for word in ("healed", "named"))
        lost = sum(int(one.split()[1].rstrip(":")) for one in all_ if one.startswith("lost"))
        unseen = sum(one.startswith("unseen") for one in all_)
        doubled = 0  # a ledger that is not the wanted one is not healed
        yield Row(f"damage: {group}", len(all_), len(of.ledger), 0, 0, lost, doubled, unseen,
                  round(time.monotonic() - begun), f"{healed} healed, {named} named")  # fmt: skip
