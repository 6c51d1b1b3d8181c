"""An archived year as one file that proves itself: what is in it, byte for byte, and what `wuxing verify` asks of it.

It is a zip whose every byte follows from its members: stored, not packed, in this order, no dates, no comments. So
any tool opens it, nothing in it can expand, and a bit that fell over anywhere is named. `archive.txt`, a note signed by
the log's key, lists the SHA-256 of every other member.
"""

import hashlib
import json
import struct
import tempfile
import zlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import duckdb
import msgspec

from schemas.results import canonical
from schemas.words import _
from schemas.year import Year
from services.audit.export import BATCH, Stored
from services.audit.replay import Refolding
from services.ingest.check import opened
from services.proof import checkpoint, merkle, note
from services.proof.note import NoteError, Signer, Verifier
from services.scorer import rules, store
from services.snapshot import held, point, texts
from services.snapshot.make import complete

FORMAT = 1
LIST, LEDGER, SNAPSHOT, CHECKPOINT, KEYS, README = (
    "archive.txt", "ledger.jsonl", "snapshot.duckdb", "checkpoint.txt", "keys.json", "README.txt",
)  # fmt: skip
RULES = {"rulebook.json": "rulebook", "roster.json": "roster"}
#: Every member, in order; the list of the others stands last, since it names their digests.
MEMBERS = (README, LEDGER, SNAPSHOT, CHECKPOINT, *RULES, KEYS, LIST)
#: What a member that is read whole, and a line of the ledger, may come to.
WHOLE_MAX, LINE_MAX = 16 * 1024**2, 16 * 1024**2
SIZE_MAX = 2**32 - 1
"""Bytes: what a plain zip can say."""
PIECE = 1024**2

#: What is said of an archive.
SAYS = {
    "archive": _("archive of {0}: {1}, its ledger ends at sequence {2}"),
    "archive_signed": _("the list of members is signed by {0}"),
    "archive_list": _("the list of members cannot be trusted: {0}"),
    "container": _("from byte {0} on it is not what was written: expected {1}"),
    "member": _("{0}: its SHA-256 or size is not the one listed"),
    "members": _("all {0} members are those listed, byte for byte"),
    "member_unread": _("{0} cannot be read: {1}"),
    "archive_says": _("{0}: the list says {1}, found {2}"),
    "archive_ledger": _("{0} events in the ledger, their root is the checkpoint's"),
    "archive_root": _("not the ledger of the checkpoint: {0} events, root {1}"),
    "archive_event": _("sequence {0} of the ledger: {1}"),
    "archive_digest": _("{0} is not the checkpoint's: expected {1}, found {2}"),
    "archive_keys": _("the key of {0} is stated as {1}, the ledger says {2}"),
    "other_version": _("the snapshot is of version {0}, with other tables: not compared one by one, recomputed "
"from the ledger"),
}  # fmt: skip


class Found(NamedTuple):
    """What a check of an archive found, as `verify` shows it."""

    mark: Literal["ok", "note", "fail"]
    name: str
    values: tuple[object, ...]


def ok(name: str, *values: object) -> Found:
    """What holds."""
    return Found("ok", name, values)


def fail(name: str, *values: object) -> Found:
    """What does not hold."""
    return Found("fail", name, values)


class Broken(Exception):  # noqa: N818 - it is an answer
    """The file is not what this program writes, so that nothing after this can be read."""

    def __init__(self, name: str, *values: object) -> None:
        super().__init__(name)
        self.found = fail(name, *values)


def readme(assessment: str, *, apart: bool = False) -> str:
    """What lies beside the rest, for who finds the file in ten years; `apart`: texts stand out of line in this year."""
    said = f"""Archive of the assessment {assessment}: its ledger is sealed, nothing in here can change.

Prove it:  wuxing verify FILE --key KEY    (KEY as it was published; offline, no server)

{LEDGER}      every event in order: sequence, recorded time (microseconds since 1970 UTC), bytes as they came
{SNAPSHOT}   the results, in DuckDB's file format, with everything to compute them again
{CHECKPOINT}    the signed root over all events, and digests of results, rulebook and roster (C2SP note)
rulebook.json, roster.json    what the year went by, as its first event has them
{KEYS}         the public keys of the log, of receipts, and of every party
{LIST}       SHA-256 and size of all the above, signed by the log's key

存档核验：wuxing verify 文件 --key 公钥（以公示的公钥为准；离线进行）
"""
    more = f"""
An event has `sha256:…` for a name, reason or statement: its text is in {SNAPSHOT}, table `text`, unless it was erased.
本年度的人名、理由和陈述在事件中只有标记，文本在{SNAPSHOT}的text表中（已删除的除外）。
"""
    return said + more if apart else said


# -- Writing ----------------------------------------------------------------------------------------------------------


def ledger_line(event: Stored) -> bytes:
    """An event as a line: sequence, recorded time in microseconds since 1970 UTC, and its bytes as they came."""
    said: dict[str, Any] = {"sequence": event.sequence, "recorded": event.recorded_at}
    try:
        said["raw"] = event.raw.decode()
    except UnicodeDecodeError:
        said["base64"] = b64encode(event.raw).decode()
    return msgspec.json.encode(said) + b"\n"


def read_line(line: bytes) -> Stored:
    """The event of such a line; raises ValueError."""
    said = msgspec.json.decode(line, type=_Line)
    raw = said.raw.encode() if said.base64 is None else b64decode(said.base64, validate=True)
    return Stored(said.sequence, said.recorded, raw)


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    sequence: int
    recorded: int | None
    raw: str = ""
    base64: str | None = None


def fill(folder: Path, checkpoint_text: str, keys: Mapping[str, Verifier]) -> None:
    """Write what follows from the snapshot that lies in a folder: checkpoint, rulebook, roster, keys, and words.

    `keys` are those of the log and of receipts.
    """
    with held.opened(folder / SNAPSHOT) as con:
        said = {name: checkpoint.held(con, name.replace(".", "_")) or "" for name in RULES}
        found = {name: str(key) for name, key in keys.items()} | {"parties": parties(con)}
        assessment, apart = point.meta(con)["assessment"], texts.there(con)
    said |= {CHECKPOINT: checkpoint_text, KEYS: canonical(found).decode(), README: readme(assessment, apart=apart)}
    for name, text in said.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def listing(folder: Path, assessment: str, sequence: int, state: str) -> str:
    """The text of the list: whose year, in which state, and every other member by SHA-256 and size."""
    rows = []
    for name in MEMBERS[:-1]:
        with (folder / name).open("rb") as file:
            rows.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()} {(folder / name).stat().st_size} {name}\n")
    return f"{checkpoint.origin(assessment)}/archive\nformat {FORMAT}\nsequence {sequence}\nstate {state}\n" + "".join(
        rows
    )


def write(folder: Path, target: Path, assessment: str, sequence: int, state: str, signer: Signer) -> None:  # noqa: PLR0913, PLR0917 - what the list says
    """Sign the list of a folder's members, and put all of them into one file."""
    text = note.sign(listing(folder, assessment, sequence, state), signer)
    (folder / LIST).write_text(text, encoding="utf-8", newline="\n")
    pack(folder, target)


def pack(folder: Path, target: Path) -> None:
    """Put a folder's members into one file, as they are."""
    with target.open("wb") as out:
        entries = []
        for name in MEMBERS:
            size, crc = (folder / name).stat().st_size, 0
            with (folder / name).open("rb") as file:
                while piece := file.read(PIECE):
                    crc = zlib.crc32(piece, crc)
                file.seek(0)
                entries.append(Entry(name, crc, size, out.tell()))
                out.write(entries[-1].head())
                while piece := file.read(PIECE):
                    out.write(piece)
        out.write(directory(entries))
        assert out.tell() <= SIZE_MAX, "a plain zip"


@dataclass(frozen=True)
class Entry:
    """A member's place in the zip (APPNOTE 4.3): name, CRC-32, size, and where it begins."""

    name: str
    crc: int
    size: int
    at: int

    def head(self) -> bytes:
        """The bytes before its content: stored, the first of January 1980, no extra field."""
        return struct.pack("<4s3H", b"PK\3\4", 20, 0, 0) + self._facts() + self.name.encode()

    def listed(self) -> bytes:
        """Its line in the directory at the end."""
        made = struct.pack("<4s4H", b"PK\1\2", 20, 20, 0, 0) + self._facts()
        return made + struct.pack("<3H2I", 0, 0, 0, 0, self.at) + self.name.encode()

    def _facts(self) -> bytes:
        return struct.pack("<2H3I2H", 0, 0x21, self.crc, self.size, self.size, len(self.name), 0)


def directory(entries: Sequence[Entry]) -> bytes:
    """The end of the zip."""
    listed = b"".join(one.listed() for one in entries)
    start = entries[-1].at + len(entries[-1].head()) + entries[-1].size
    return listed + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(entries), len(entries), len(listed), start, 0)


# -- Reading ----------------------------------------------------------------------------------------------------------


def is_archive(file: Path) -> bool:
    """Whether a file begins as an archive does."""
    begins = b"PK\3\4"
    with file.open("rb") as stream:
        head = stream.read(30 + len(README))
    return head.startswith(begins) and head[30:] == README.encode()


def unpack(file: Path, folder: Path) -> None:
    """Put the members of an archive into a folder, by their own names; raises Broken at the first byte that is not so.

    Nothing is packed, so they come to no more than the file.
    """
    with file.open("rb") as source:
        entries = [_unpacked(source, name, folder / name) for name in MEMBERS]
        at, expected = source.tell(), directory(entries)
        if source.read(len(expected) + 1) != expected:
            raise Broken("container", at, "its directory")


def _unpacked(source: IO[bytes], name: str, target: Path) -> Entry:
    at = source.tell()
    head = source.read(30 + len(name))
    if len(head) < 30 + len(name) or head[30:] != name.encode():
        raise Broken("container", at, name)
    stated, size = struct.unpack_from("<2I", head, 14)
    crc, left = 0, size
    with target.open("wb") as out:
        while left and (piece := source.read(min(PIECE, left))):
            crc, left = zlib.crc32(piece, crc), left - len(piece)
            out.write(piece)
    entry = Entry(name, crc, size, at)
    if left or (stated == crc and head != entry.head()):
        raise Broken("container", at, name)
    if stated != crc:
        raise Broken("member", name)
    return entry


@dataclass(frozen=True)
class Listed:
    """What the list says."""

    assessment: str
    sequence: int
    state: str
    members: Mapping[str, tuple[str, int]]


def parse(text: str) -> Listed:
    """The list of a note's text; raises NoteError."""
    lines = text.split("\n")
    try:
        origin, form, sequence, state, *rows = lines[:-1]
        facts = [row.split(" ") for row in rows]
        listed = Listed(
            origin.removeprefix("wuxing/").removesuffix("/archive"),
            int(sequence.removeprefix("sequence ")),
            state.removeprefix("state "),
            {name: (digest, int(size)) for digest, size, name in facts},
        )
    except ValueError:
        raise NoteError(_("expected origin, format, sequence, state, and a line a member")) from None
    if form != f"format {FORMAT}" or origin != f"{checkpoint.origin(listed.assessment)}/archive":
        raise NoteError(
            _(
                "{form} of {origin}: expected format {format} of wuxing/ASSESSMENT/archive",
                form=repr(form),
                origin=repr(origin),
                format=FORMAT,
            )
        )
    if tuple(listed.members) != MEMBERS[:-1]:
        raise NoteError(
            _(
                "members {members}: expected {expected}",
                members=", ".join(listed.members),
                expected=", ".join(MEMBERS[:-1]),
            )
        )
    return listed


# -- Proving ----------------------------------------------------------------------------------------------------------

OfSnapshot = Callable[[Path, list[Verifier], list[Verifier]], Iterable[Found]]


def check(file: Path, trusted: list[Verifier], of_snapshot: OfSnapshot) -> Iterator[Found]:
    """Every check of an archive: its bytes, who signed, its ledger, its rules and keys, and its snapshot whole.

    `trusted` are the log's keys that the reader brings; `of_snapshot` checks a snapshot by keys of log and receipts.
    """
    with tempfile.TemporaryDirectory(prefix="wuxing-") as place:
        folder = Path(place)
        try:
            unpack(file, folder)
            stated = _keys(folder)
            keys = trusted or stated.log
            yield from [] if trusted else [Found("note", "key", (", ".join(map(str, keys)),))]
            listed = yield from _listed(folder, keys)
            if listed is None:
                return
            yield from _members(folder, listed)
            yield from _ledger(folder, listed, keys)
            yield from _snapshot(folder, listed, keys, stated, of_snapshot)
        except Broken as broken:
            yield broken.found


@dataclass(frozen=True)
class Keys:
    """The public keys that an archive states: the log's, intake's for receipts, and each party's."""

    log: list[Verifier]
    receipts: list[Verifier]
    parties: Mapping[str, str]


def _keys(folder: Path) -> Keys:
    said = _json(folder, KEYS)
    try:
        log, receipts = ([Verifier.parse(str(said[name]))] for name in ("log", "receipts"))
        return Keys(log, receipts, {str(party): str(key) for party, key in said["parties"].items()})
    except (NoteError, KeyError, TypeError, AttributeError) as error:
        raise Broken("member_unread", KEYS, str(error)[:200]) from None


def _json(folder: Path, name: str) -> Any:
    try:
        return json.loads(_whole(folder, name))
    except (ValueError, RecursionError) as error:
        raise Broken("member_unread", name, str(error)[:200]) from None


def _whole(folder: Path, name: str) -> bytes:
    if (size := (folder / name).stat().st_size) > WHOLE_MAX:
        raise Broken("member_unread", name, f"{size} bytes")
    return (folder / name).read_bytes()


def _text(folder: Path, name: str) -> str:
    try:
        return _whole(folder, name).decode()
    except UnicodeDecodeError as error:
        raise Broken("member_unread", name, error) from None


def _listed(folder: Path, keys: list[Verifier]) -> Generator[Found, None, Listed | None]:
    """Who signed the list; returns what it says, null where it cannot be trusted."""
    text = _text(folder, LIST)
    try:
        body, signatures = note.verify(text, keys)
        listed = parse(body)
        name = checkpoint.origin(listed.assessment)
        if not (who := [one.verifier for one in signatures if one.verifier.name == name]):
            raise NoteError(_("signed by {verifier}, expected {name}", verifier=signatures[0].verifier.name, name=name))  # noqa: TRY301 - one road out
    except NoteError as error:
        yield fail("archive_list", error)
        return None
    yield ok("archive", listed.assessment, listed.state, listed.sequence)
    yield ok("archive_signed", ", ".join(f"{one.name}+{one.id.hex()}" for one in who))
    return listed


def _members(folder: Path, listed: Listed) -> Iterator[Found]:
    wrong = 0
    for name, (digest, size) in listed.members.items():
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest(), (folder / name).stat().st_size
        if found != (digest, size):
            wrong += 1
            yield fail("member", name)
    yield from [] if wrong else [ok("members", len(MEMBERS))]


def _lines(folder: Path) -> Iterator[Stored]:
    """The events of the ledger; raises Broken at a line that is none."""
    with (folder / LEDGER).open("rb") as file:
        number = 0
        while line := file.readline(LINE_MAX):
            number += 1
            try:
                yield read_line(line)
            except (ValueError, Base64Error, msgspec.MsgspecError, RecursionError) as error:
                raise Broken("member_unread", f"{LEDGER}:{number}", str(error)[:200]) from None


def _ledger(folder: Path, listed: Listed, keys: list[Verifier]) -> Iterator[Found]:
    """The ledger's root is the signed checkpoint's, and so are rulebook and roster."""
    text = _text(folder, CHECKPOINT)
    try:
        note.verify(text, keys)
        signed = checkpoint.parsed(text, CHECKPOINT)
    except NoteError as error:
        yield fail("signature", error)
        return
    if signed.origin != (origin := checkpoint.origin(listed.assessment)):
        yield fail("origin", signed.origin, origin)
    log, last = merkle.Frontier(), 0
    for event in _lines(folder):
        if event.sequence != last + 1:
            yield fail("archive_event", event.sequence, f"follows {last}")
        log.append(merkle.event_leaf(event.sequence, event.recorded_at, event.raw))
        last = event.sequence
    if (signed.size, signed.root) == (log.size, log.root()):
        yield ok("archive_ledger", log.size)
    else:
        yield fail("archive_root", signed.size, signed.root.hex())
    if last != listed.sequence:
        yield fail("archive_says", "sequence", listed.sequence, last)
    for name, line in RULES.items():
        stated, found = getattr(signed, line), checkpoint.digest(_json(folder, name))
        yield from [] if stated == found else [fail("archive_digest", name, stated, found)]


def _snapshot(
    folder: Path, listed: Listed, keys: list[Verifier], stated: Keys, of_snapshot: OfSnapshot
) -> Iterator[Found]:
    """The snapshot proves itself, is the one of this list, and the parties' keys are those of its ledger."""
    path = folder / SNAPSHOT
    path.chmod(0o444)
    try:
        con = held.opened(path)
    except held.Unopened as error:
        yield fail("member_unread", SNAPSHOT, error.say("en"))
        return
    try:
        said = _meta(con)
        if said.get("schema") != rules.SCHEMA:
            yield Found("note", "other_version", (str(said.get("version"))[:40],))
            yield from _recomputed(folder)
            return
    finally:
        con.close()
    yield from of_snapshot(path, keys, stated.receipts)
    facts = {"assessment": listed.assessment, "sequence": str(listed.sequence), "state": listed.state}
    yield from (
        fail("archive_says", name, value, said.get(name)) for name, value in facts.items() if said.get(name) != value
    )
    if (text := said.get("note")) is None or checkpoint.body(text) != checkpoint.body(_text(folder, CHECKPOINT)):
        yield fail("archive_says", "checkpoint", CHECKPOINT, SNAPSHOT)
    yield from _parties(folder, stated.parties)


def _meta(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    try:
        return {**point.meta(con), "note": checkpoint.held(con) or ""}
    except Exception:  # noqa: BLE001 - a stranger's file; what it lacks is named by the checks of a snapshot
        return {"schema": rules.SCHEMA}


def _recomputed(folder: Path) -> Iterator[Found]:
    """The results that the ledger comes to by this program's rules are those that the checkpoint names."""
    folding, last = None, 0
    for batch in batched(_lines(folder)):
        folding = folding or Refolding(Year(*opened(batch[0].raw)), opens=True)
        folding.take(batch)
        last = batch[-1].sequence
    signed = checkpoint.parsed(_text(folder, CHECKPOINT), CHECKPOINT)
    if folding is None:
        return
    found = complete(folding.con, folding.year, last).digest
    folding.con.close()
    yield ok("signed", signed.size, signed.origin)
    yield ok("digest", found) if found == signed.results else fail("archive_digest", "results", signed.results, found)


def parties(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The public keys in force at a snapshot's end: those of the opening, and of the changes that were admitted."""
    found = dict(point.year(con).keys)
    for change in store.changes(con):
        if change.party_key is not None:
            found[str(change.party)] = str(change.party_key)
    return found


def batched(events: Iterable[Stored]) -> Iterator[list[Stored]]:
    """The same events, many at a time."""
    left = iter(events)
    while batch := list(islice(left, BATCH)):
        yield batch


def _parties(folder: Path, stated: Mapping[str, str]) -> Iterator[Found]:
    """The parties' public keys are those of the ledger."""
    with held.opened(folder / SNAPSHOT) as con:
        found = parties(con)
    for party in sorted({*stated, *found}):
        if stated.get(party) != found.get(party):
            yield fail("archive_keys", party, stated.get(party), found.get(party))
