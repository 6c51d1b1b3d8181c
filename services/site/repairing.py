"""The command `repair`: mends the ledger of one assessment in the broker's store from copies that are proved first.

What is whole in the damaged store stays as it is; what is not comes from a copy, event by event with sequence and
recorded time, for the proof covers both. The mended stream is made beside, read by a broker, held against checkpoints
and fold, and only then changes places with the damaged one, which is kept.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from infra import blocks, exchange
from infra.client import connected, jetstream, read_stream
from infra.folders import parties
from infra.rights import PROVISIONER, SERVICES
from infra.server import EmbeddedServer, ServerUnusable
from infra.streams import check_ledger, declared_durables, declared_streams, seal, stream
from schemas.told import Told
from schemas.words import CLAUSE, Language, Text, _, several
from schemas.year import given
from services.audit.export import BATCH, Stored
from services.audit.replay import Refolding
from services.command.options import Lang
from services.command.progress import Bar
from services.process import settings as configuration
from services.process.ending import Exit, Stop
from services.process.settings import Settings
from services.proof import checkpoint
from services.site import copies, proving
from services.site.asking import agreed
from services.site.copies import Copy
from services.site.proving import Known
from services.site.years import archived

FOLDER = "repair"
"""Where in the site's folder is worked, and where a damaged store is kept."""
SWITCH = "switch.json"
PATIENCE = 15.0
"""Seconds that a broker of a run that was killed may take to end."""
SPARE = 64 * 1024**2
"""Bytes that a broker of our own needs beside a ledger."""
SHOWN = 20
"""Ranges of sequences that a sentence names."""


def repair(
    assessment: str,
    *,
    sources: Annotated[list[Path], Parameter(name="--from", negative=())],
    yes: bool = False,
    lang: Lang = None,
) -> int:
    """Mend a damaged ledger in place from copies, proved by the log's signed checkpoints before anything is done.

    Whole events stay; others come from the copies, with sequence and recorded time. Services and broker are stopped
    before; the damaged store is kept in WUXING_DATA/repair. Killed at any moment, the same command begins again.

    A copy, by what it is: FILE.tar of `wuxing backup`, or a data folder with the stopped broker's store of a mirror or
    another site, keep every byte. FILE.parquet of `wuxing export`, a snapshot, or the scorer's file, a .duckdb, have
    no headers: they mend only what ingest is done with. A .jsonl has no recorded times and cannot mend.

    Exit 1, and nothing is done: an event of a copy is not what was signed or folded, or one is in no copy; it is named.

    Example: WUXING_DATA=data wuxing repair wenzhou-2013 --from /backup/2014-01-10.tar

    Parameters
    ----------
    assessment
        The assessment's code.
    sources
        A copy; may be given more than once. Each must be proved whole. The first that has an event gives it, of
        those with headers before the others.
    yes
        Do not ask before the mended ledger takes the damaged one's place.
    """
    chosen = configuration.language(lang)
    known = configuration.read({**os.environ, "WUXING_ASSESSMENT": assessment})
    _check_here(known)
    with _alone(known):
        site = Site(known, chosen)
        if kept := site.settle():
            site.say(
                _("A run that was interrupted had mended the ledger; the damaged store is kept at {kept}.", kept=kept)
            )
        try:
            return _repair(site, sources, yes=yes)
        finally:
            site.settle()


@dataclass
class Site:
    """The folders of a repair: where is worked, and where the ledger lies."""

    settings: Settings
    lang: Language

    @property
    def name(self) -> str:
        """The name of the stream."""
        return stream("LEDGER", self.settings.assessment)

    @property
    def scratch(self) -> Path:
        """All that a run makes; it goes at its end, and what a killed run left goes at the next one's start."""
        return self.settings.root / FOLDER / f"{self.name}.new"

    @property
    def store(self) -> Path:
        """The stream's folder in the site's broker."""
        return self.settings.root / blocks.STORE / self.name

    @property
    def made(self) -> Path:
        """The mended stream's folder, until it takes the other's place."""
        return self.scratch / "made" / blocks.STORE / self.name

    def settle(self) -> Path | None:
        """Put a damaged store that has given its place away aside for good, and take away what a run left."""
        if not self.scratch.exists():
            return None
        _ended(self.scratch)
        kept = None
        with contextlib.suppress(FileNotFoundError):
            said = json.loads((self.scratch / SWITCH).read_bytes())
            if self.made.exists() and self.made.stat().st_ino != said["made"]:
                kept = self.settings.root / FOLDER / f"{self.name}.damaged-{said['time']}"
                self.made.rename(kept)
                exchange.synced(kept.parent)
        shutil.rmtree(self.scratch)
        return kept

    def bar(self, said: Text) -> Bar:
        """The progress of one step."""
        return Bar(self.lang, said)

    def say(self, said: Text | Told) -> None:
        """Talk, on stderr."""
        print(said.say(self.lang), file=sys.stderr)


def _check_here(known: Settings) -> None:
    """Raise Stop where the ledger is not in a store of this folder, or is kept by several brokers."""
    held = parties(known.data)
    if held is None or held.assessment != known.assessment:
        raise Stop(
            Exit.FAILED,
            _(
                "{root} has no assessment {assessment}. Name its folder by WUXING_DATA.",
                root=known.root,
                assessment=known.assessment,
            ),
        )
    store = known.root / blocks.STORE
    if not store.is_dir():
        raise Stop(
            Exit.FAILED,
            _(
                "{root} has no broker's store ({store}): run this where the broker keeps it.",
                root=known.root,
                store=blocks.STORE,
            ),
        )
    for kind in ("LEDGER", "CHECKPOINT", "INTAKE"):
        name = stream(kind, known.assessment)
        if int(str((blocks.settings(store / name, name) or {}).get("num_replicas", 1))) > 1:
            raise Stop(
                Exit.FAILED,
                _(
                    "{name} is kept by several brokers: a damaged one is mended by the others. Stop it, move "
                    "its store away, and start it again.",
                    name=name,
                ),
            )


@contextlib.contextmanager
def _alone(known: Settings) -> Iterator[None]:
    """Hold the locks of the broker's store and of the services; raises Stop where one of them is taken."""
    server = EmbeddedServer(known.root)
    try:
        server.claim()
    except ServerUnusable as error:
        raise Stop(
            Exit.FAILED,
            _(
                "{error} A ledger is mended while services and broker are stopped (systemctl stop"
                " wuxing.target, or end `wuxing up`).",
                error=error,
            ),
        ) from None
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        inside = known.data.relative_to(known.root)
        # Each service has a folder of its own where infra/hand-out.sh was run.
        places = (known.data, *(known.root.parent / name / inside for name in SERVICES))
        locks = [one for place in places for one in (place / "turns").glob(f"{known.assessment}-*.lock")]
        for path in sorted([*locks, *(known.data / "scorer").glob("*.lock")]):
            file = stack.enter_context(path.open("rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Stop(
                    Exit.FAILED,
                    _("A service still runs on {data} ({path}): stop it first.", data=known.data, path=path.name),
                ) from None
        yield


def _ended(scratch: Path) -> None:
    """Wait until the brokers of a run that was killed have ended; raises ServerUnusable."""
    deadline = time.monotonic() + PATIENCE
    for lock in sorted(scratch.glob("*/nats.lock")):
        server = EmbeddedServer(lock.parent)
        while server.taken and time.monotonic() < deadline:
            time.sleep(0.1)  # between two looks at a process of another run; PATIENCE ends it, and claim() names it
        server.claim().stop()


def _repair(site: Site, sources: list[Path], *, yes: bool) -> int:
    known, plan = _planned(site, sources)
    root = _proved(site, known, plan)
    _say_found(site, known, plan)
    if not plan.mends:
        _print(site, known, plan, root, None)
        return Exit.DONE
    _check_room(site, plan)
    if not yes and not agreed(site.lang):
        return Exit.NO
    asyncio.run(_made(site, plan))
    _switched(site)
    kept = site.settle()
    _print(site, known, plan, root, kept)
    return Exit.DONE


@dataclass
class Plan:
    """Where each event of the mended ledger comes from.

    `lost` are sequences that are not whole in the damaged store, `changed` such as are whole and another event than
    was signed or folded; `torn`: all events are whole, and something beside them is not. `doubtful` are sequences at
    which copy and store differ and only a checkpoint can say which is right.
    """

    inside: Copy
    sealed: bool
    last: int = 0
    origin: dict[int, Copy] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    torn: bool = False

    @property
    def mends(self) -> bool:
        """Whether there is anything to mend."""
        return bool(self.lost or self.changed or self.torn)

    def leaf(self, sequence: int) -> bytes:
        """The leaf of the event that is taken."""
        return self.origin[sequence].leaves[sequence]

    def batches(self) -> Iterator[list[Stored]]:
        """The events of the mended ledger, in batches."""
        order = iter(range(1, self.last + 1))
        while some := list(islice(order, BATCH)):
            records = (self.origin[seq].record(seq) for seq in some)
            yield [Stored(one.sequence, one.recorded_at, one.data) for one in records]

    def taken(self) -> dict[str, list[int]]:
        """Copy -> the sequences that it gives."""
        found: dict[str, list[int]] = {}
        for seq, copy in self.origin.items():
            if copy is not self.inside:
                found.setdefault(copy.name, []).append(seq)
        return found


def _planned(site: Site, sources: list[Path]) -> tuple[Known, Plan]:
    """Read everything, prove the copies, and decide event by event; raises Stop where one cannot be recovered."""
    assessment, given_ = site.settings.assessment, []
    for n, path in enumerate(sources):
        with site.bar(_("reading a copy")) as bar:
            given_.append(copies.opened(path, assessment, site.scratch / f"copy-{n}", bar))
    given_.sort(key=lambda copy: not copy.headed)  # what has every byte comes first
    known = proving.known(site.settings, (text for copy in given_ for text in copy.notes), site.scratch / "site")
    with site.bar(_("reading the ledger")) as bar:
        inside = copies.of_store(site.store, str(site.store), assessment, bar)
    for copy in given_:
        if wrong := proving.differing(known, copy.leaves):
            raise _refused(copy, wrong)
    held = blocks.settings(site.store, site.name)
    plan = Plan(inside, bool(held.get("sealed")) if held else archived(site.settings.data).exists())
    plan.last = max(known.last, inside.last, *(copy.last for copy in given_))
    _decide(known, plan, given_)
    plan.torn = not plan.lost and not plan.changed and (bool(inside.spoiled) or held is None)
    return known, plan


def _decide(known: Known, plan: Plan, given_: list[Copy]) -> None:
    """Choose for each sequence: what was signed or folded, then the store itself, then the first copy."""
    inside = plan.inside
    for seq in range(1, plan.last + 1):
        wanted, own = known.leaves.get(seq), inside.leaves.get(seq)
        copy = next((one for one in given_ if seq in one.leaves), None)
        others = {one.leaves[seq] for one in given_ if seq in one.leaves}
        if wanted is None and len(others | ({own} if own else set())) > 1:
            plan.doubtful.append(seq)
        if own is not None and (own == wanted or (wanted is None and (copy is None or others == {own}))):
            plan.origin[seq] = inside
            continue
        (plan.lost if own is None else plan.changed).append(seq)
        if copy:
            plan.origin[seq] = copy
    if missing := [seq for seq in range(1, plan.last + 1) if seq not in plan.origin]:
        ends = [_("{name} ends at {last}", name=one.name, last=one.last) for one in given_]
        raise Stop(
            Exit.NO,
            _(
                "Cannot be recovered: {missing}. Not whole in the ledger, and in no copy ({ends})."
                " Give another copy as well with --from; nothing was done.",
                missing=ranges(missing),
                ends=several(ends, CLAUSE),
            ),
        )
    done = known.place.ledger if known.place else 0
    bare = [seq for seq, copy in plan.origin.items() if not copy.headed and seq > done]
    if bare:
        raise Stop(
            Exit.NO,
            _(
                "Cannot be recovered from a copy without headers: {bare}. Ingest, which is done up to "
                "{done}, would take them from INTAKE once more. Give a backup or a store as well; "
                "nothing was done.",
                bare=ranges(bare),
                done=done,
            ),
        )


def _refused(copy: Copy, wrong: list[int]) -> Stop:
    return Stop(
        Exit.NO,
        _(
            "{copy} is not a copy of this ledger: sequence {wrong} is another event, or recorded at "
            "another time, than was signed or folded. Nothing was done; keep it as evidence, and "
            "take another copy.",
            copy=copy.name,
            wrong=ranges(wrong),
        ),
    )


def _proved(site: Site, known: Known, plan: Plan) -> str:
    """Fold the mended ledger anew and hold it against every checkpoint and the fold; gives its root."""
    year = given(site.settings.assessment, site.settings.rulebook, site.settings.roster)
    folding, refused, done = Refolding(year, opens=True), set[int](), 0
    with site.bar(_("proving")) as bar:
        for batch in plan.batches():
            refused |= {seq for seq, __ in folding.take(batch)}
            bar.step(done := done + len(batch), plan.last)
    leaves = checkpoint.leaves(folding.con)
    folding.con.close()
    if leaves.size < known.size or (size := known.contradicted(leaves.hashes)) is not None:
        size = known.size if leaves.size < known.size else size
        raise Stop(
            Exit.NO,
            _(
                "Nothing is mended: with these copies the ledger is not that of the checkpoint of {size} "
                "events, and there is no list of leaves that says where. Take another copy.",
                size=size,
            ),
        )
    signed = leaves.sequences[known.size - 1]
    _check_beyond(known, plan, signed, refused)
    return leaves.root().hex()


def _check_beyond(known: Known, plan: Plan, signed: int, refused: set[int]) -> None:
    """After the last signed event only the fold can speak for a copy; and what ingest and scorer remember must fit."""
    beyond = [
        seq
        for seq, copy in sorted(plan.origin.items())
        if seq > signed and seq not in known.leaves and seq not in known.refused
        if copy is not plan.inside or seq in plan.doubtful
    ]
    if beyond:
        raise Stop(
            Exit.NO,
            _(
                "Cannot be proved: {beyond}, after the last checkpoint (sequence {signed}), are neither "
                "folded nor whole in the ledger, and only a copy has them. Nothing was done.",
                beyond=ranges(beyond),
                signed=signed,
            ),
        )
    if known.folded and {seq for seq in refused if seq <= known.folded} != known.refused:
        raise Stop(
            Exit.NO,
            _(
                "Nothing is mended: what the fold passed over as no event is not what is passed over now ({refused}).",
                refused=ranges(sorted(known.refused ^ {seq for seq in refused if seq <= known.folded})),
            ),
        )
    place = known.place
    if place and place.ledger:
        record = plan.origin[place.ledger].record(place.ledger)
        if hashlib.sha256(record.data).hexdigest() != place.sha256:
            raise Stop(
                Exit.NO,
                _("Nothing is mended: sequence {ledger} is not what ingest appended there.", ledger=place.ledger),
            )


def _check_room(site: Site, plan: Plan) -> None:
    """Raise Stop where the disk cannot hold the mended ledger beside the damaged one."""
    needs = SPARE + sum(copy.places[seq][2] for seq, copy in plan.origin.items())
    if (free := shutil.disk_usage(site.settings.root).free) < needs:
        raise Stop(
            Exit.FAILED,
            _(
                "The disk of {root} has {free} MiB free, {needs} MiB are needed.",
                root=site.settings.root,
                free=free >> 20,
                needs=needs >> 20,
            ),
        )


async def _made(site: Site, plan: Plan) -> None:
    """Make the mended stream in a broker of our own, and have that broker read back every event of it."""
    assessment = site.settings.assessment
    config = next(one for one in declared_streams(assessment) if one.name == site.name)
    folder = site.scratch / "made"
    server = copies.workshop(folder, assessment)
    async with server, connected(server.url, PROVISIONER, folder) as client:
        js = client.jetstream(timeout=30)
        await js.add_stream(config)
        for on, durable in declared_durables(assessment, ()):
            if on == site.name:
                await js.add_consumer(on, durable)
    records = (plan.origin[seq].record(seq) for seq in range(1, plan.last + 1))
    with site.bar(_("writing")) as bar:
        blocks.write(site.made, site.name, records, plan.last, bar.step)
    async with server:
        await _read_back(site, server.url, folder, plan)
        if plan.sealed:
            async with connected(server.url, PROVISIONER, folder) as client:
                await seal(client, assessment)
    exchange.all_synced(site.made)


async def _read_back(site: Site, url: str, folder: Path, plan: Plan) -> None:
    """Raise Stop unless the broker has each event as it was planned, at its sequence and with its recorded time."""
    done, wrong = 0, None
    async with connected(url, "audit", folder) as client:
        check_ledger(await jetstream(client).stream_info(site.name), site.settings.assessment)
        with site.bar(_("reading back")) as bar:
            async for one in read_stream(client, "LEDGER", site.settings.assessment):
                meant = plan.origin[done + 1].record(done + 1) if done < plan.last else None
                held = one.sequence, one.recorded_at, one.subject.encode(), one.data
                if meant is None or held != (meant.sequence, meant.recorded_at, meant.subject, meant.data):
                    wrong = one.sequence
                    break
                bar.step(done := done + 1, plan.last)
    if wrong is not None or done != plan.last:
        at = done + 1 if wrong is None else wrong
        raise Stop(
            Exit.FAILED,
            _(
                "The broker does not read sequence {at} of the mended ledger as it was written: nothing "
                "was changed. Another version of nats-server may keep streams in another form; report it.",
                at=at,
            ),
        )


def _switched(site: Site) -> None:
    """Let the mended stream and the damaged one change places, in one step of the file system."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    exchange.written(site.scratch / SWITCH, json.dumps({"made": site.made.stat().st_ino, "time": at}).encode())
    if site.store.exists():
        exchange.swap(site.made, site.store)
    else:
        site.made.rename(site.store)
    for folder in (site.made.parent, site.store.parent):
        exchange.synced(folder)


def ranges(sequences: Iterable[int]) -> str:
    """Sequences as 3-7, 9; of very many the first."""
    pairs: list[list[int]] = []
    for seq in sequences:
        if pairs and pairs[-1][1] == seq - 1:
            pairs[-1][1] = seq
        else:
            pairs.append([seq, seq])
    said = [str(a) if a == b else f"{a}-{b}" for a, b in pairs]
    return ", ".join(said[:SHOWN]) + (f" … ({len(pairs)} ranges)" if len(said) > SHOWN else "")


def _say_found(site: Site, known: Known, plan: Plan) -> None:
    """What was found, and what would be done."""
    for remark in known.remarks:
        site.say(remark)
    said = (
        _("{name}: {last} events; signed {size}, folded to {folded}.")
        if known.folded
        else _("{name}: {last} events; signed {size}.")
    )
    site.say(said.of(name=site.name, last=plan.last, size=known.size, folded=known.folded))
    if plan.lost:
        site.say(_("Damaged or missing: {lost}.", lost=ranges(plan.lost)))
    if plan.changed:
        site.say(
            _(
                "Changed: {changed}. What lies there now stays in the kept store alone: if a party was "
                "acknowledged for it, it must send it again.",
                changed=ranges(plan.changed),
            )
        )
    if plan.torn:
        site.say(_("Every event is whole; the store's settings, or bytes between events, are not."))
    for name, some in plan.taken().items():
        site.say(_("Taken from {name}: {some}.", name=name, some=ranges(some)))
    speaks = {*known.leaves, *known.refused, *range(1, known.size + 1)}
    if alone := [seq for seq in range(1, plan.last + 1) if seq not in speaks]:
        site.say(_("Kept by the broker's checksum alone, neither signed nor folded yet: {alone}.", alone=ranges(alone)))
    if not plan.mends:
        site.say(_("Every event is whole: nothing to mend."))


def _print(site: Site, known: Known, plan: Plan, root: str, kept: Path | None) -> None:
    """What was done, as data."""
    said = {
        "assessment": site.settings.assessment,
        "sequence": plan.last,
        "root": root,
        "checkpoint": known.size,
        "damaged": ranges(plan.lost) or None,
        "changed": ranges(plan.changed) or None,
        "taken": {name: ranges(some) for name, some in plan.taken().items()},
        "kept": str(kept) if kept else None,
    }
    print(json.dumps(said, ensure_ascii=False))
    if kept:
        site.say(_("Mended. The damaged store is kept at {kept}; start the services.", kept=kept))
