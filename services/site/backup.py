"""The commands `backup` and `restore`: a site's folder and streams in one file, and both made again from it."""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from nats.aio.client import Client

from infra import snapshots
from infra.client import connected, last_entry, read_stream
from infra.folders import Parties, parties
from infra.rights import PROVISIONER, configure_all
from infra.server import EmbeddedServer
from infra.streams import KINDS, TEXTS, provision, stream
from schemas.words import Language, _
from schemas.year import given
from services.audit.export import BATCH, Stored
from services.audit.replay import Refolding
from services.command.options import Lang
from services.process import settings as configuration
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.process.settings import Settings, opened
from services.proof import checkpoint, merkle
from services.site.provision import connections

FORMAT = 1
MANIFEST = "backup.json"
FOLDER, STREAMS = "folder", "streams"
#: Folders of what is computed again from the ledger, of the broker's own store, of what `wuxing repair` put aside, and
#: endings of the files of one run.
LEFT_OUT = frozenset({"jetstream", "scorer", "cuts", "logs", "repair"})
#: What `infra/hand-out.sh` moves to the folder of its service, and leaves a link to.
HANDED_OUT = frozenset({"snapshots", "ingest", "log.key"})
ENDINGS = (".duckdb", ".wal", ".lock", ".log", ".ports", ".new", "nats.conf")
#: The folder comes first, the ledger last: what a file, a receipt or a checkpoint knows of, the ledger of a backup has;
#: and INTAKE before it, so that what was moved from one to the other meanwhile is there twice and counts once.
ORDER = (*(kind for kind in KINDS if kind != "LEDGER"), "LEDGER")
MANIFEST_MAX = 64 * 1024**2


def backup(file: Path, *, lang: Lang = None) -> int:
    """Write the data folder and every stream, with their keys, to one file, while everything runs.

    Scores and snapshots are left out: they are computed from the ledger again. Who has the file has all keys.

    Example: WUXING_DATA=data wuxing backup /backup/2014-01-10.tar

    Parameters
    ----------
    file
        The backup, a plain tar that only its owner can read; it takes the place of an earlier one whole or not at all.
    """
    chosen = configuration.language(lang)
    known = configuration.several({**os.environ, "WUXING_ASSESSMENT": "*"})
    with replacing(file) as draft:
        draft.touch(mode=0o600)
        draft.chmod(0o600)
        held = asyncio.run(_backup(known, draft, chosen))
    print(json.dumps({"file": str(file), "bytes": file.stat().st_size, "ledgers": held}, ensure_ascii=False))
    return Exit.DONE


async def _backup(known: list[Settings], draft: Path, lang: Language) -> dict[str, int]:
    root, members = known[0].root, {}
    states: dict[str, dict[str, Any]] = {}
    with tarfile.open(draft, "w") as tar:
        for path in _files(root):
            name = f"{FOLDER}/{path.relative_to(root).as_posix()}"
            members[name] = _added(tar, name, path.read_bytes())
        async with connected(known[0].nats_url, PROVISIONER, root) as client:
            for one in known:
                held = parties(one.data)
                last = (TEXTS,) if held and held.texts else ()  # after the ledger: no event without its own
                for kind in (*ORDER, *last):
                    name = stream(kind, one.assessment)
                    with tempfile.TemporaryFile(dir=draft.parent) as spool:
                        states[name] = await snapshots.save(client, name, spool, _Shown(name, lang))
                        members[f"{STREAMS}/{name}"] = _spooled(tar, f"{STREAMS}/{name}", spool)
        said = {"format": FORMAT, "made": int(time.time()), "members": members, "streams": states}
        _added(tar, MANIFEST, json.dumps(said).encode())
    return {one.assessment: states[stream("LEDGER", one.assessment)]["state"]["last_seq"] for one in known}


def _files(root: Path) -> Iterator[Path]:
    """The files of a site that a backup has, in order."""
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and _is_here(Path(folder) / name))
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file() and _is_here(path) and not name.endswith(ENDINGS):
                yield path


def _is_here(path: Path) -> bool:
    return path.name in HANDED_OUT or not path.is_symlink()


def _added(tar: tarfile.TarFile, name: str, data: bytes) -> list[Any]:
    with tempfile.SpooledTemporaryFile() as spool:
        spool.write(data)
        return _spooled(tar, name, spool)


def _spooled(tar: tarfile.TarFile, name: str, spool: Any) -> list[Any]:
    """Add what was written to a file as a member; gives its size and SHA-256."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = spool.tell(), 0o600, int(time.time())
    spool.seek(0)
    digest = hashlib.file_digest(spool, "sha256").hexdigest()
    spool.seek(0)
    tar.addfile(member, spool)
    return [member.size, digest]


class _Shown:
    """How much of a stream is written, on a terminal."""

    def __init__(self, name: str, lang: Language) -> None:
        self.name, self.lang, self.bytes = name, lang, 0

    def __call__(self, size: int) -> None:
        self.bytes += size
        if sys.stderr.isatty():
            print(f"\r{self.name} {self.bytes // 1024} KiB", end="", file=sys.stderr, flush=True)


def restore(file: Path, *, lang: Lang = None) -> int:
    """Make a site again from a backup, in an empty WUXING_DATA, and prove each ledger against its last checkpoint.

    What was acknowledged after the backup is not in it: every party sends it again, and receipts of then, whose
    sequences are given anew, are named by `wuxing verify --receipts`.

    Example: WUXING_DATA=data wuxing restore /backup/2014-01-10.tar

    Parameters
    ----------
    file
        What `wuxing backup` wrote. Nothing may run on the folder; `wuxing up` goes on afterwards.
    """
    chosen = configuration.language(lang)
    root = Path(os.environ.get("WUXING_DATA") or "data")
    if root.exists() and any(root.iterdir()):
        raise Stop(
            Exit.FAILED,
            _(
                "{root} is not empty: a backup is restored into a folder of its own. Name another by WUXING_DATA.",
                root=root,
            ),
        )
    try:
        with tarfile.open(file, "r:") as tar:
            manifest = listed(tar, file)
            root.mkdir(parents=True, exist_ok=True)
            _unpacked(tar, manifest, root)
            found = asyncio.run(_restored(tar, manifest, root))
    except (OSError, tarfile.TarError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Stop(Exit.FAILED, _("{file}: not read: {reason}", file=file, reason=reason)) from None
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(manifest["made"]))
    print(json.dumps({"folder": str(root), "made": made, "ledgers": found}, ensure_ascii=False))
    print(
        _(
            "What was acknowledged later is not in it: let every party send again all that it sent "
            "after {made}; an event that is there counts once.",
            made=made,
        ).say(chosen),
        file=sys.stderr,
    )
    return Exit.DONE


def listed(tar: tarfile.TarFile, file: Path) -> dict[str, Any]:
    """What a backup says of itself, once every member is what it says; a cut or changed file is refused unread."""
    members = {one.name: one for one in tar}
    last = members.pop(MANIFEST, None)
    said: Any = None
    if last is not None and last.isfile() and last.size <= MANIFEST_MAX:
        with contextlib.suppress(ValueError):
            said = json.loads(content(tar, last).read())
    if (found := MANIFEST if not isinstance(said, dict) else _changed(tar, members, said)) is not None:
        raise Stop(
            Exit.FAILED,
            _(
                "{file}: not a backup as it was written: {found}. Nothing was restored; take another copy of it.",
                file=file,
                found=found,
            ),
        )
    return cast("dict[str, Any]", said)


def _changed(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], said: Mapping[str, Any]) -> str | None:
    """The first member that is not as the manifest says; null where all are."""
    listed = said.get("members")
    if said.get("format") != FORMAT or not isinstance(listed, dict) or listed.keys() != members.keys() or not listed:
        return MANIFEST
    if not isinstance(said.get("made"), int) or not isinstance(said.get("streams"), dict):
        return MANIFEST
    for name, member in members.items():
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or not member.isfile():
            return name
        if listed[name] != [member.size, hashlib.file_digest(content(tar, member), "sha256").hexdigest()]:
            return name
    missing = (f"{STREAMS}/{name}" for name in said["streams"])
    return next((name for name in missing if name not in members), None)


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    """The bytes of a member, as a file."""
    return tar.extractfile(member)


def _unpacked(tar: tarfile.TarFile, manifest: Mapping[str, Any], root: Path) -> None:
    """Write the data folder again; as every file of it, for its owner alone."""
    for name in manifest["members"]:
        kind, __, rest = name.partition("/")
        if kind != FOLDER:
            continue
        path = root / rest
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content(tar, tar.getmember(name)).read())


async def _restored(tar: tarfile.TarFile, manifest: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """The streams into a server of this folder, what is missing beside them, and each ledger proved."""
    there = opened(root)
    everybody = {folder: held for folder in there.values() if (held := parties(folder))}
    server = EmbeddedServer(root).claim()
    try:
        known = configuration.several({**os.environ, "WUXING_DATA": str(root), "WUXING_ASSESSMENT": "*"})
        configure_all(everybody, connections(known[0]))
        async with server:
            async with connected(server.url, PROVISIONER, root) as client:
                for name, head in manifest["streams"].items():
                    await snapshots.load(client, name, head, content(tar, tar.getmember(f"{STREAMS}/{name}")))
                for one in everybody.values():
                    await provision(client, one.assessment, one.offices, one.units, texts=one.texts)
            return {one.assessment: await _proved(server.url, data, one) for data, one in everybody.items()}
    finally:
        server.stop()


async def _proved(url: str, data: Path, one: Parties) -> dict[str, Any]:
    """The size and root of a ledger, once it is the one that the last checkpoint beside it commits to."""
    async with connected(url, "audit", data) as client:
        entry = await last_entry(client, "CHECKPOINT", one.assessment)
        held = checkpoint.parsed(entry.data.decode(), stream("CHECKPOINT", one.assessment)) if entry else None
        tree, then = merkle.Frontier(), None
        async for event in read_stream(client, "LEDGER", one.assessment):
            tree.append(merkle.event_leaf(event.sequence, event.recorded_at, event.data))
            then = tree.root() if held and tree.size == held.size else then
        last, root, then = tree.size, tree.root(), merkle.EMPTY_ROOT if held and held.size == 0 else then
        if held and then != held.root:
            leaves = await _folded(client, one.assessment)
            root, then = leaves.root(), leaves.root(held.size) if leaves.size >= held.size else None
    if held and then != held.root:
        raise Stop(
            Exit.NO,
            _(
                "The ledger of {assessment} is not the one of its checkpoint of {size} events. Keep the "
                "backup as evidence, and take an earlier one.",
                assessment=one.assessment,
                size=held.size,
            ),
        )
    return {"sequence": last, "root": root.hex(), "checkpoint": held.size if held else None}


async def _folded(client: Client, assessment: str) -> checkpoint.Leaves:
    """The leaves of a ledger in which lines lie that are no events: the fold passes them over, and so does the log."""
    folding, batch = Refolding(given(assessment, None, None), opens=True), list[Stored]()
    async for event in read_stream(client, "LEDGER", assessment):
        batch.append(Stored(event.sequence, event.recorded_at, event.data))
        if len(batch) == BATCH:
            folding.take(batch)
            batch = []
    folding.take(batch)
    with folding.con as con:
        return checkpoint.leaves(con)
