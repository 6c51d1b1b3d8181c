"""The command `verify`: holds a snapshot, or one unit's bundle, against its signed checkpoint, without any network.

Of a snapshot: root, signature, the units' commitments and earlier checkpoints; then every event is read and judged
again from its raw bytes, and every published row recomputed by this program's rules, never by the snapshot's own views.
Of a bundle: the checks of the standalone verifier.
"""

import io
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import IO, Annotated, Any, Literal, NamedTuple

import duckdb
import msgspec
import pyarrow as pa
from cyclopts import Parameter

from schemas import roster as rosters
from schemas import soundness
from schemas.events import OPENED
from schemas.soundness import RulebookError
from schemas.words import Both, Language, Text, _, _n, _p, several
from schemas.year import Year
from services.audit import archive, standalone
from services.audit.export import Stored
from services.audit.recount import Failed
from services.audit.replay import KEYS, Refolding
from services.ingest.check import opened
from services.process.ending import Exit, Stop
from services.process.settings import language
from services.proof import checkpoint, merkle, note, receipts
from services.proof.checkpoint import Leaves
from services.proof.note import Checkpoint, NoteError, Verifier
from services.scorer import rules
from services.scorer.rulebook_rows import TABLES
from services.snapshot import held, point, texts
from services.snapshot.make import PUBLISHED, complete

SHOWN = 20
#: What a stranger's file may come to in the engine that reads it.
MEMORY = "2GB"
Mark = Literal["ok", "note", "fail"]
Many = Annotated[list[str], Parameter(negative=())]
Files = Annotated[list[Path], Parameter(negative=())]

#: What is said of a snapshot; what is said of a bundle is the standalone verifier's.
SAYS = {
    "signed": _("checkpoint of {0} events, signed by {1}"),
    "unsigned": _("nobody signed: the file agrees with itself, no more"),
    "no_checkpoint": _("the file has no checkpoint"),
    "signature": _("the checkpoint's signature cannot be trusted: {0}"),
    "key": _("the key is the file's own; compare with the one published: {0}"),
    "witness": _("cosigned by {0} at {1} (POSIX seconds)"),
    "no_witness": _("not cosigned by {0}"),
    "unsigned_though_key": _("a key was given, and nobody signed the checkpoint"),
    "object": _("{0} {1}: {2}"),
    "objects": _("all {0} tables, views, macros and others are ours"),
    "unread": _("tables are missing or others: nothing else was checked"),
    "unreadable": _("its rows are not such as this program writes: {0}"),
    "bounds": Text("{0}"),
    "not_latest": _("{0} events are published, here {1}: an older snapshot in its place"),
    "note": _("the checkpoint's {0} is stated as {1}, recomputed {2}"),
    "table": _("{0} {1}, {2}: stated {3}, found {4}"),
    "gap": _("sequence {0} is neither an event nor refused"),
    "refused": _("{0} lines of refusals are the publisher's word, not proved"),
    "facts_until": _("holds only what had occurred by {0}"),
    "log": _("{0} events, their root is the checkpoint's"),
    "event_changed": _("sequence {0}: its bytes or its recorded time were changed"),
    "event_left_out": _("the event of sequence {0} was left out"),
    "event_added": _("the event of sequence {0} is not in the log"),
    "events_swapped": _("the events of sequences {0} and {1} were swapped"),
    "log_truncated": _("the log has {0} events, here it ends after {1}"),
    "log_rewritten": _("the log is not that of the checkpoint of {0} events"),
    "continues": _("continues the checkpoint of {0} events"),
    "origin": _("the checkpoint is of {0}, expected {1}"),
    "commitment": _("the units' commitment is stated as {0}, found {1}"),
    "units": _("the lists of {0} units and of the year are those committed to"),
    "rulebook": _("the rulebook is stated as {0}, found {1}"),
    "rules": _("rules, {0} {1}: {2} stated {3}, the rulebook and roster come to {4}"),
    "roster": _("the roster is stated as {0}, found {1}"),
    "other_rules": _("scored by another {0} than the year was opened with"),
    "options": _("readings were put over the adopted ones: {0}"),
    "not_admissible": _("the event of sequence {0} does not pass the checks: {1}"),
    "event_misread": _("sequence {0}, {1}: stored {2}, the event says {3}"),
    "admission": _("sequence {0}, {1}: judged {2} in the file, found {3}"),
    "admitted": _("{0} events read and judged again, the same"),
    "result_forged": _("{0} {1}, {2}: stated {3}, recomputed {4}"),
    "results": _("{0}: {1} rows, all as recomputed"),
    "digest": _("the digest of the results is the checkpoint's: {0}"),
    "no_texts": _("no text that stands out of line is in it, only their tokens"),
    "texts": _("{0} texts out of line are those of their tokens, {1} are erased by order"),
    "text_gone": _("the text of {0} (sequence {1}) is gone without an order"),
    "text_other": _("the text of {0} (sequence {1}) is another"),
    "text_back": _("the text of {0} (sequence {1}) was erased by order, and the file says otherwise"),
    "text_strange": _("the text of {0} is of no event"),
    "meta": _("meta, {0}: stated {1}, found {2}"),
    "not_recomputed": _("the log does not hold, so the results were not recomputed"),
    "more": _("and {0} more of {1}"),
    "receipts": _("{0} receipts are signed, and what they promised is in the ledger"),
    "receipt_unread": _("line {0} is no receipt"),
    "receipt_unsigned": _("line {0} ({1}) is without a signature that fits"),
    "receipt_nowhere": _("line {0} ({1}) names no sequence"),
    "receipt_missing": _("line {0} ({1}): sequence {2} is not in the ledger, of {3}"),
    "receipt_other": _("line {0} ({1}): sequence {2} was {3}, the ledger holds {4}"),
    "synthetic": _("synthetic data: the units are made up"),
} | archive.SAYS  # fmt: skip


Kind = Literal["snapshot", "bundle", "archive"]


class Line(msgspec.Struct, frozen=True):
    """One check: whether it holds, its name, and what it names; a note is for the reader to judge."""

    mark: Mark
    name: str
    values: tuple[str, ...]
    text: str


class Verification(msgspec.Struct, frozen=True):
    """The outcome of all checks of a file."""

    file: str
    kind: Kind
    holds: bool
    checks: list[Line]


class Finding(NamedTuple):
    """What a check found: an answer's name, and what goes into its sentence."""

    mark: Mark
    name: str
    values: tuple[object, ...]


def ok(name: str, *values: object) -> Finding:
    """What holds."""
    return Finding("ok", name, values)


def remark(name: str, *values: object) -> Finding:
    """What is for the reader to judge."""
    return Finding("note", name, values)


def fail(name: str, *values: object) -> Finding:
    """What does not hold."""
    return Finding("fail", name, values)


def verify(  # noqa: PLR0913 - each is an option of the command
    file: Path,
    *,
    key: Many = [],  # noqa: B006 - read only
    checkpoint: Files = [],  # noqa: B006 - as above
    witness: Many = [],  # noqa: B006 - as above
    receipts: Path | None = None,
    receipt_key: Many = [],  # noqa: B006 - as above
    format: Literal["table", "json"] = "table",  # noqa: A002 - the contract's word
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Verify a snapshot, an archive or a unit's bundle, offline; exit 1 when something does not hold, and what it is.

    Example: wuxing verify data/snapshots/latest.duckdb

    Parameters
    ----------
    file
        A snapshot, an archived year, or a bundle (.json or .zip).
    key
        A verifier key of the log that you trust, or a file with it, instead of the snapshot's own; may be given more
        than once.
    checkpoint
        A checkpoint that you hold: the log must continue it; may be given more than once.
    witness
        A witness's verifier key: its cosignature is checked and shown; may be given more than once.
    receipts
        Receipts that you hold, a JSON object a line, as `emit` prints them: each must be signed, and what it promised
        must be in the ledger.
    receipt_key
        The verifier key of intake's receipts; that beside the snapshot without it. May be given more than once.
    format
        A line a check, or JSON.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    chosen = language(lang)
    given = Given(
        _keys(key, note.ED25519),
        _keys(witness, note.COSIGNATURE),
        [_note(path) for path in checkpoint],
        receipts,
        _keys(receipt_key, note.ED25519) or _beside(file),
    )
    kind = _kind(file)
    try:
        found = list(_few(_CHECKS[kind](file, given)))
    except held.Unopened as error:
        raise Stop(Exit.FAILED, _("{file}: {error}", file=file, error=error)) from None
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise Stop(Exit.FAILED, _("{file}: cannot be read: {reason}", file=file, reason=reason)) from None
    lines = [_line(one, chosen, bundle=kind == "bundle") for one in found]
    outcome = Verification(str(file), kind, all(line.mark != "fail" for line in lines), lines)
    _show(outcome, format, chosen)
    return Exit.DONE if outcome.holds else Exit.NO


@dataclass(frozen=True)
class Given:
    """What the reader brings: keys of the log and of witnesses that he trusts, checkpoints that he holds."""

    keys: list[Verifier] = field(default_factory=list)
    witnesses: list[Verifier] = field(default_factory=list)
    older: list[str] = field(default_factory=list)
    receipts: Path | None = None
    receipt_keys: list[Verifier] = field(default_factory=list)


def _beside(file: Path) -> list[Verifier]:
    """The key of intake's receipts that is published beside a snapshot; none where there is none."""
    try:
        return [Verifier.parse((file.parent / receipts.PUBLIC).read_text(encoding="utf-8"))]
    except (OSError, UnicodeDecodeError, NoteError):
        return []


def _keys(given: Iterable[str], kind: int) -> list[Verifier]:
    """Verifier keys of a kind, each as its text or in a file; what is none is wrong use."""
    try:
        found = [Verifier.parse(Path(one).read_text("utf-8") if Path(one).is_file() else one) for one in given]
    except (NoteError, OSError, UnicodeDecodeError) as error:
        raise Stop(Exit.USE, _p("key", "{error}", error=error)) from None
    if wrong := [one for one in found if one.kind != kind]:
        raise Stop(
            Exit.USE,
            _(
                "key of {name}: type {kind}, expected {expected} (1 a log's, 4 a witness's)",
                name=wrong[0].name,
                kind=wrong[0].kind,
                expected=kind,
            ),
        )
    return found


def _note(path: Path) -> str:
    try:
        return checkpoint.read(path)
    except NoteError as error:
        raise Stop(Exit.FAILED, _p("checkpoint", "{error}", error=error)) from None


def _kind(file: Path) -> Kind:
    """What a file is by its first bytes; a file that cannot be read ends the command."""
    try:
        if archive.is_archive(file):
            return "archive"
        with file.open("rb") as stream:
            return "snapshot" if stream.read(12)[8:] == b"DUCK" else "bundle"
    except OSError as error:
        raise Stop(Exit.FAILED, _("{file}: cannot be read: {error}", file=file, error=error.strerror)) from None


# -- Archives -------------------------------------------------------------------------------------------------------


def of_archive(file: Path, given: Given) -> Iterator[Finding]:
    """Every check of an archive, and of the snapshot that is in it."""

    def snapshot(path: Path, keys: list[Verifier], intake: list[Verifier]) -> Iterator[archive.Found]:
        inside = replace(given, keys=keys, receipt_keys=given.receipt_keys or intake)
        yield from (archive.Found(*one) for one in of_snapshot(path, inside))

    yield from (Finding(*one) for one in archive.check(file, given.keys, snapshot))


# -- Bundles --------------------------------------------------------------------------------------------------------


def of_bundle(file: Path, given: Given) -> Iterator[Finding]:
    """The checks of the standalone verifier; what is no bundle ends the command."""
    try:
        bundle = json.loads(_bundle_bytes(file))
        own, keys = bundle["keys"], list(map(str, given.keys))
        trusted = keys or own
        if given.witnesses:
            trusted = [*trusted, *map(str, given.witnesses)]
            yield from [] if keys else [remark("key?", ", ".join(own))]
        yield from [remark("word?", "synthetic")] if bundle.get("synthetic") else []
        for name, *values in standalone.Unit(bundle, trusted if keys or given.witnesses else [], given.older).check():
            yield remark(name, *values) if name.endswith("?") else ok(name, *values)
    except Failed as failed:
        name, *values = failed.args
        yield fail(name, *values)
    except Exception as error:  # noqa: BLE001 - a bundle is a stranger's; whatever it breaks, it was not read
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise Stop(
            Exit.FAILED,
            _("{file}: neither a snapshot nor a bundle that can be read: {reason}", file=file, reason=reason),
        ) from None


def _bundle_bytes(file: Path) -> bytes:
    """The JSON of a bundle; no more of it is read, or unpacked, than a bundle may come to."""
    with file.open("rb") as stream:
        data = _bounded(stream)
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as packed, packed.open("bundle.json") as inside:
        return _bounded(inside)


def _bounded(stream: IO[bytes]) -> bytes:
    data = stream.read(standalone.MOST + 1)
    if len(data) > standalone.MOST:
        raise Failed("too_large", standalone.MOST)
    return data


# -- Snapshots ------------------------------------------------------------------------------------------------------


def of_snapshot(file: Path, given: Given) -> Iterator[Finding]:
    """Every check of a snapshot, in order: what holds, what is to be judged, what does not hold."""
    was = file.resolve()
    try:
        con = held.opened(file, memory_limit=MEMORY)
    except held.TooMuch as error:
        yield fail("bounds", str(error))
        return
    try:
        differing = held.differing(con)
        yield from _objects(differing, con)
        if any(one.kind in ("table", "column") and one.how != "foreign" for one in differing):
            yield remark("unread")
            return
        try:
            yield from _contents(con, given)
            yield from _newest(file, was, con)
        except (duckdb.OutOfMemoryException, MemoryError):
            yield fail("bounds", MEMORY)
        except Exception as error:  # noqa: BLE001 - a stranger's file; whatever its rows break, they are not ours
            yield fail("unreadable", f"{type(error).__name__}: {error}"[:300])
    finally:
        con.close()


_CHECKS: dict[Kind, Callable[[Path, Given], Iterator[Finding]]] = {
    "snapshot": of_snapshot,
    "bundle": of_bundle,
    "archive": of_archive,
}


def _objects(differing: list[held.Differing], con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """What of a file's catalogue is not this program's; the columns of a table that is named are not named again."""
    tables = {one.name for one in differing if one.kind in ("table", "view")}
    for one in differing:
        if not (one.kind in ("column", "type") and any(one.name.startswith(name) for name in tables)):
            yield fail("object", one.kind, one.name, one.how)
    if not differing:
        yield ok("objects", len(held.objects(con)))


def _newest(file: Path, was: Path, con: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """A snapshot that stands as the newest is as long as the checkpoint published beside it."""
    beside = file.parent / checkpoint.NAME
    if file.is_symlink() and beside.is_file():
        size = con.execute("SELECT count(*) FROM event").fetchall()[0][0]
        try:
            published = checkpoint.parsed(checkpoint.read(beside), beside).size
        except NoteError as error:
            yield fail("signature", error)
            return
        if size < published and file.resolve() == was:  # or a newer one was published meanwhile
            yield fail("not_latest", published, size)


def _contents(con: duckdb.DuckDBPyConnection, given: Given) -> Iterator[Finding]:
    """What stands in the tables: the log, who signed it, and everything else recomputed from it."""
    snapshot = Snapshot(con, given)
    yield from snapshot.check_signature()
    sound = True
    for one in (*snapshot.check_log(), *snapshot.check_older()):
        sound = sound and one.mark != "fail"
        yield one
    yield from snapshot.check_units()
    yield from snapshot.check_receipts()
    found = yield from snapshot.check_rules()
    if not found:
        return
    refold = Refold(snapshot, found)
    try:
        yield from refold.check_events()
        yield from refold.check_tables() if sound else [remark("not_recomputed")]
    finally:
        refold.fresh.close()
    yield from [remark("synthetic")] if found.synthetic else []


class Snapshot:
    """A snapshot's own statements: its note, its leaves, its rulebook and roster."""

    def __init__(self, con: duckdb.DuckDBPyConnection, given: Given) -> None:
        self.con, self.given, self.meta = con, given, point.meta(con)
        self.is_signed = "\n\n" in (checkpoint.held(con) or "")
        self.note = checkpoint.held(con)
        self.signed = self._parsed()
        self.leaves = checkpoint.leaves(con)

    def _parsed(self) -> Checkpoint | None:
        try:
            return checkpoint.parsed(self.note, "checkpoint") if self.note is not None else None
        except NoteError:
            return None

    @cached_property
    def keys(self) -> list[Verifier]:
        """The log's keys: those given, else the one that the file states."""
        try:
            stated = [Verifier.parse(self.meta["log_key"])] if "log_key" in self.meta else []
        except NoteError:
            stated = []
        return self.given.keys or stated

    def check_signature(self) -> Iterator[Finding]:
        """Who signed, and who cosigned: in the file or in a note over the same text that the reader holds."""
        if self.note is None or self.signed is None:
            yield fail("signature", "not a checkpoint") if self.note else fail("no_checkpoint")
            return
        expected = checkpoint.origin(self.meta.get("assessment", ""))
        if self.signed.origin != expected:
            yield fail("origin", self.signed.origin, expected)
        if "\n\n" not in self.note:
            if self.given.keys or "log_key" in self.meta or self.given.witnesses:
                yield fail("unsigned_though_key")
            else:
                yield remark("unsigned")
            return
        try:
            who = _signers(self.note, self.keys, self.signed.origin)
        except NoteError as error:
            yield fail("signature", error)
            return
        yield from [] if self.given.keys else [remark("key", ", ".join(map(str, self.keys)))]
        yield ok("signed", self.signed.size, ", ".join(who))
        yield from self._witnesses(self.note)

    def _witnesses(self, text: str) -> Iterator[Finding]:
        for other in self.given.older:
            text = checkpoint.merged(text, other) if _same_text(text, other) else text
        for one in self.given.witnesses:
            name = f"{one.name}+{one.id.hex()}"
            try:
                signatures = [each for each in note.verify(text, [*self.keys, one])[1] if each.verifier == one]
            except NoteError as error:
                yield fail("signature", error)
                continue
            yield from [ok("witness", name, each.time) for each in signatures] or [fail("no_witness", name)]

    def check_log(self) -> Iterator[Finding]:
        """The root over the events; where it is another, what was done to the log."""
        root, size = self.leaves.root(), self.leaves.size
        stated = self.meta.get("root")
        if self.signed and (self.signed.size, self.signed.root) != (size, root):
            yield from self._differences(self.signed)
        elif stated != root.hex():
            yield fail("meta", "root", stated, root.hex())
        else:
            yield ok("log", size)
            pairs = zip(self.leaves.sequences, self.leaves.hashes, strict=True)
            yield from (fail("leaf", seq) for seq, leaf in pairs if self._leaf_at.get(seq) != leaf)

    def _differences(self, signed: Checkpoint) -> Iterator[Finding]:
        """Name what was done by the leaf hashes of the file, else by the events that its results speak of."""
        found = list(changes(self._stored(), self.leaves, self._moved)) or list(self._unspoken(signed))
        yield from found or [fail("log_rewritten", signed.size)]

    def _moved(self, of: int, at: int) -> set[bytes]:
        """The leaf hashes that an event would have in another's place, with its own recorded time or the other's."""
        sql = "SELECT seq, epoch_us(recorded_at), raw FROM event WHERE seq IN (?, ?)"
        rows = {seq: (recorded, raw) for seq, recorded, raw in self.con.execute(sql, [of, at]).fetchall()}
        return {merkle.event_leaf(at, recorded, rows[of][1]) for recorded, __ in rows.values()}

    def _stored(self) -> Leaves:
        return Leaves([*self._leaf_at], [], [*self._leaf_at.values()]) if self._leaf_at else self.leaves

    @cached_property
    def _leaf_at(self) -> dict[int, bytes]:
        """The leaves that the file states, by sequence."""
        return {seq: bytes(one) for seq, one in self.con.execute("SELECT seq, hash FROM leaf ORDER BY seq").fetchall()}

    def _unspoken(self, signed: Checkpoint) -> Iterator[Finding]:
        """Events that the published results speak of and that the log lacks."""
        sql = "SELECT seq FROM published_entry UNION SELECT seq FROM published_event"
        spoken = {seq for (seq,) in self.con.execute(sql).fetchall()}
        lost, last = sorted(spoken - {*self.leaves.sequences}), max(self.leaves.sequences, default=0)
        yield from (fail("event_left_out", seq) for seq in lost if seq < last)
        if self.leaves.size + len([seq for seq in lost if seq < last]) < signed.size:
            yield fail("log_truncated", signed.size, self.leaves.size)

    def check_older(self) -> Iterator[Finding]:
        """The log continues every checkpoint that the reader holds."""
        for text in self.given.older:
            try:
                if self.is_signed:
                    _signers(text, self.keys, self.signed.origin if self.signed else "")
                old = checkpoint.parsed(text, "checkpoint")
            except NoteError as error:
                yield fail("signature", error)
                continue
            if self.signed and old.origin != self.signed.origin:
                yield fail("origin", old.origin, self.signed.origin)
            elif old.size > self.leaves.size:
                yield fail("log_truncated", old.size, self.leaves.size)
            else:
                same = self.leaves.root(old.size) == old.root
                yield ok("continues", old.size) if same else fail("log_rewritten", old.size)

    def check_receipts(self) -> Iterator[Finding]:
        """What intake promised is in the ledger, byte for byte."""
        path, keys = self.given.receipts, self.given.receipt_keys
        if path is None:
            return
        try:
            found = list(receipts.check(path, keys, self._raws, max(self.leaves.sequences, default=0)))
        except OSError as error:
            raise Stop(Exit.FAILED, _("{path}: {error}", path=path, error=error.strerror)) from None
        broken = [one for one in found if one]
        yield from (fail(one.what, one.line, *one.values) for one in broken)
        if not broken:
            yield ok("receipts", len(found))

    def _raws(self, sequences: Sequence[int]) -> dict[int, bytes]:
        within = [one for one in sequences if 0 < one < 2**63]
        return dict(
            self.con.execute(
                "SELECT seq, raw FROM event WHERE seq IN (SELECT unnest(?::BIGINT[]))", [within]
            ).fetchall()
        )

    def check_units(self) -> Iterator[Finding]:
        """The commitment to each unit's list of events."""
        if not self.signed:
            return
        codes = [unit for (unit,) in self.con.execute("SELECT unit FROM roster").fetchall()]
        found = self.leaves.units(codes).root
        same = found == self.signed.units
        yield ok("units", len(codes)) if same else fail("commitment", self.signed.units.hex(), found.hex())

    def check_rules(self) -> Any:
        """The rulebook and roster are those signed, and those that the year was opened with; returns the year."""
        text = checkpoint.held(self.con, "rulebook_json")
        try:
            book = json.loads(text) if text is not None else {}
            read = soundness.read(book) if text is not None else point.year(self.con).rulebook
        except (ValueError, RecursionError, RulebookError) as error:
            yield fail("rulebook", self.meta.get("rulebook"), str(error)[:200])
            return None
        if self.signed and self.signed.rulebook != (digest := checkpoint.digest(book)):
            yield fail("rulebook", self.signed.rulebook, digest)
        rows, keys = _json(checkpoint.held(self.con, "roster_json")), _json(self.meta.get("keys"))
        if (fault := next(rosters.faults(rows, read), None)) or not isinstance(keys, dict):
            yield fail("roster", self.signed and self.signed.roster, fault.words if fault else "keys")
            return None
        if self.signed and self.signed.roster != (digest := checkpoint.digest(rows)):
            yield fail("roster", self.signed.roster, digest)
        synthetic = self.meta.get("synthetic") == "true"
        found = Year(self.meta.get("assessment", ""), read, rosters.read(rows), synthetic, keys)
        yield from self._opening(found)
        return found

    def _opening(self, found: Year) -> Iterator[Finding]:
        """What the year was opened with; a file may be scored by other rules, what is published may not."""
        first = self.con.execute("SELECT type, raw FROM event ORDER BY seq LIMIT 1").fetchall()
        judge = fail if self.is_signed else remark
        if first and first[0][0] == OPENED and not (unread := _unread(first[0][1])):
            year = opened(first[0][1])
            yield from [judge("other_rules", "rulebook")] if year.rulebook != found.rulebook else []
            yield from [judge("other_rules", "roster")] if year.roster != found.roster else []
            yield from [judge("other_rules", "keys")] if year.keys != found.keys else []
            if year.synthetic != found.synthetic:
                yield judge("meta", "synthetic", found.synthetic, year.synthetic)
            if year.assessment != found.assessment:
                yield judge("meta", "assessment", found.assessment, year.assessment)
        elif first and first[0][0] == OPENED:
            yield fail("not_admissible", "1", unread)
        options = self.con.execute("SELECT name, value FROM reading_option ORDER BY name").fetchall()
        yield from [judge("options", ", ".join(f"{name}={value}" for name, value in options))] if options else []


def _unread(raw: bytes) -> str:
    """Why an opening cannot be read; nothing when it can."""
    try:
        opened(raw)
    except Exception as error:  # noqa: BLE001 - the bytes may be anything
        return type(error).__name__
    return ""


def _same_text(text: str, other: str) -> bool:
    try:
        return checkpoint.body(text) == checkpoint.body(other)
    except NoteError:
        return False


def _signers(text: str, keys: list[Verifier], origin: str) -> list[str]:
    """The keys of the log that signed; raises NoteError when none of them did, or one does not fit."""
    signatures = [one.verifier for one in note.verify(text, keys)[1]]
    if not (who := [f"{one.name}+{one.id.hex()}" for one in signatures if one.name == origin]):
        raise NoteError(_("signed by {name}, expected {origin}", name=signatures[0].name, origin=origin))
    return who


def changes(stored: Leaves, found: Leaves, moved: Callable[[int, int], set[bytes]]) -> Iterator[Finding]:
    """What was done to a log, from the leaves that it had to those that it has.

    `moved` gives the leaf hashes that the event of one sequence would have at another.
    """
    before, after = (dict(zip(one.sequences, one.hashes, strict=True)) for one in (stored, found))
    changed = [seq for seq, leaf in before.items() if after.get(seq, leaf) != leaf]
    swapped = [
        (a, b) for a, b in combinations(changed[:SHOWN], 2) if before[a] in moved(b, a) and before[b] in moved(a, b)
    ]
    yield from (fail("events_swapped", *pair) for pair in swapped)
    exchanged = {seq for pair in swapped for seq in pair}
    yield from (fail("event_changed", seq) for seq in changed if seq not in exchanged)
    last, lost = max((seq for seq in before if seq in after), default=0), sorted({*before} - {*after})
    yield from (fail("event_left_out", seq) for seq in lost if seq < last)
    if any(seq > last for seq in lost):
        yield fail("log_truncated", stored.size, found.size)
    yield from (fail("event_added", seq) for seq in sorted({*after} - {*before}))


# -- Recomputing ----------------------------------------------------------------------------------------------------


class Refold:
    """A snapshot's ledger folded again in memory by this program's rules, from the raw bytes alone."""

    def __init__(self, snapshot: Snapshot, found: Year) -> None:
        self.held, self.con, self.year, self.meta = snapshot, snapshot.con, found, snapshot.meta
        self.folding = Refolding(found, opens=False)
        self.fresh = self.folding.con

    def check_events(self) -> Iterator[Finding]:
        """Check every raw event as intake does, judge it as the scorer does, and compare with what the file says."""
        refused = yield from self._read()
        wrong = False
        for one in self._differing("event"):
            wrong = True
            yield one
        count = self.fresh.execute("SELECT count(*) FROM event").fetchall()[0][0]
        if not wrong and not refused:
            yield ok("admitted", count)

    def _read(self) -> Any:
        """Fold the raw events anew; returns the number of those that do not pass the checks."""
        rows, refused = self.con.cursor(), 0
        rows.execute("SELECT seq, epoch_us(recorded_at), raw FROM event ORDER BY seq")
        while batch := rows.fetchmany(checkpoint.BATCH):
            for seq, why in self.folding.take(Stored(*row) for row in batch):
                refused += 1
                yield fail("not_admissible", seq, why.reason)
        # After the fold: an option voids and grants nothing.
        point.copy(self.con, self.fresh, "reading_option", "refused")
        return refused

    def check_tables(self) -> Iterator[Finding]:
        """Make the whole snapshot again from the raw events, and compare every table that there is, row by row."""
        stated = self.meta.get("sequence", "")
        sequence = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 19 else 0
        yield from self._sequences(sequence)
        found = complete(self.fresh, self.year, sequence)
        for table in sorted(name for (name,) in self.fresh.execute(_TABLES).fetchall() if name not in _APART):
            wrong = False
            for one in self._differing(table):
                wrong = True
                yield one
            if not wrong and table in PUBLISHED:
                rows = self.fresh.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
                yield ok("results", table, rows)
        yield from self._meta()
        yield from self._note()
        yield from self._beside()
        if self.meta.get("digest") == found.digest:
            yield ok("digest", found.digest)

    def _sequences(self, sequence: int) -> Iterator[Finding]:
        """The sequence stated is the last one; a signed ledger has no hole but what was refused, and names that."""
        last, count, lines = self.con.execute(
            "SELECT greatest((SELECT max(seq) FROM event), (SELECT max(line) FROM refused), 0),"
            " (SELECT count(*) FROM event), (SELECT count(*) FROM refused) + (SELECT count(*) FROM intake_refused)"
        ).fetchall()[0]
        if sequence < last or (self.held.is_signed and sequence != last and count):
            yield fail("meta", "sequence", self.meta.get("sequence"), last)
        twice = self.con.execute(
            "SELECT line FROM refused GROUP BY line HAVING count(*) > 1 OR line IS NULL OR line < 1"
            " UNION SELECT line FROM refused JOIN event ON seq = line LIMIT 1"
        ).fetchall()
        yield from (fail("table", "refused", line, "line", "again", "-") for (line,) in twice)
        yield from [remark("refused", lines)] if lines else []

    def _meta(self) -> Iterator[Finding]:
        """What the file says of itself: every key, once, and no other."""
        rows = self.con.execute("SELECT key, value FROM meta ORDER BY ALL").fetchall()
        mine = dict(self.fresh.execute("SELECT key, value FROM meta").fetchall())
        if self.held.is_signed:
            mine["log_key"] = self.meta.get("log_key")
            own = [one for one in self.held.keys if self.held.signed and one.name == self.held.signed.origin]
            if mine["log_key"] not in map(str, own):
                yield fail("meta", "log_key", mine["log_key"], ", ".join(map(str, own)))
        elif "facts_until" in self.meta:
            mine["facts_until"] = self.meta["facts_until"]
            yield remark("facts_until", self.meta["facts_until"])
        for key in sorted({*mine, *(str(key) for key, __ in rows)}):
            stated = [value for name, value in rows if name == key]
            if stated != [mine.get(key)]:
                told = None if not stated else stated[0] if len(stated) == 1 else stated
                yield fail("meta", key, told, mine.get(key))

    def _beside(self) -> Iterator[Finding]:
        """Each text out of line is that of its token, or an order has erased it."""
        if not (names := self.year.rulebook.out_of_line) or not texts.there(self.con):
            return
        if not (count := self.con.execute("SELECT count(*) FROM text").fetchall()[0][0]):
            yield remark("no_texts")
            return
        wrong = [*texts.wrong(self.con, names)]
        yield from (fail(f"text_{one.how}", one.token, one.seq) for one in wrong)
        if not wrong:
            gone = self.con.execute("SELECT count(erased_by) FROM text").fetchall()[0][0]
            yield ok("texts", count - gone, gone)

    def _note(self) -> Iterator[Finding]:
        """The checkpoint says what the results rest on, as recomputed."""
        notes = self.con.execute("FROM checkpoint").fetchall()
        if len(notes) != 1:
            yield fail("table", "checkpoint", "note", "rows", len(notes), 1)
        mine = checkpoint.parsed(checkpoint.held(self.fresh) or "", "recomputed")
        signed = self.held.signed
        for name in ("root", "units", "shown", "results", "rulebook", "roster", "version") if signed else ():
            stated, found = (getattr(one, name) for one in (signed, mine))
            if stated != found:
                yield fail("note", name, *(one.hex() if isinstance(one, bytes) else one for one in (stated, found)))

    def _differing(self, table: str) -> Iterator[Finding]:
        """Every row, by its key, and every column of it that is not as recomputed."""
        fresh = self.fresh
        columns = [row[0] for row in fresh.execute(f"DESCRIBE FROM {table}").fetchall()]
        fresh.register("stated", self.con.cursor().sql(f"FROM {held.NAME}.main.{table}").to_arrow_table())
        try:
            both = f"(FROM {table} EXCEPT ALL FROM stated) UNION ALL (FROM stated EXCEPT ALL FROM {table})"
            keys = KEYS.get(table) or (columns[0],)
            names = ", ".join(map(held.quoted, keys))
            rows = fresh.execute(f"SELECT DISTINCT {names} FROM ({both}) ORDER BY ALL").fetchall()
            for row in rows[:SHOWN]:
                yield from self._row(table, columns, keys, row)
            yield from [remark("more", len(rows) - SHOWN, table)] if len(rows) > SHOWN else []
        finally:
            fresh.unregister("stated")

    def _row(self, table: str, columns: list[str], keys: Sequence[str], row: tuple[Any, ...]) -> Iterator[Finding]:
        where = " AND ".join(f"{held.quoted(key)} IS NOT DISTINCT FROM ?" for key in keys)
        texts = _texts(columns)
        stated, mine = (
            self.fresh.execute(f"SELECT {texts} FROM {one} WHERE {where}", row).fetchall() for one in ("stated", table)
        )
        name = " ".join(map(str, row))
        kind = _NAMED.get(table, "result_forged" if table in PUBLISHED else "table")
        if len(stated) != 1 or len(mine) != 1:
            yield from (
                [] if table == "event" and not mine else [fail(kind, table, name, "rows", len(stated), len(mine))]
            )
            return
        for column, one, other in zip(columns, stated[0], mine[0], strict=True):
            if one != other and table == "event":
                yield fail("admission" if column in rules.JUDGED_COLUMNS else "event_misread", name, column, one, other)
            elif one != other:
                yield fail(kind, table, name, column, one, other)


_TABLES = "SELECT table_name FROM duckdb_tables() WHERE NOT temporary"
#: Tables that are compared in a way of their own, and what a difference of some others is called.
_APART = ("event", "meta", "checkpoint", "refused", "intake_refused", "text")
_NAMED = {"event": "event_misread"} | {name: "rules" for name in TABLES if name != "refused"}


def _texts(columns: list[str]) -> str:
    return ", ".join(f"{name}::VARCHAR AS {name}" for name in columns)


def _json(text: str | None) -> Any:
    """A JSON value of a stranger's file; null where it is none."""
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


# -- Telling --------------------------------------------------------------------------------------------------------


def _few(found: Iterable[Finding]) -> Iterator[Finding]:
    """Findings of one name up to a number, then how many more there are of it."""
    seen: Counter[str] = Counter()
    for one in found:
        seen[one.name] += one.mark == "fail"
        if seen[one.name] <= SHOWN:
            yield one
    yield from (remark("more", count - SHOWN, name) for name, count in seen.items() if count > SHOWN)


def _line(one: Finding, lang: Language, *, bundle: bool) -> Line:
    texts = tuple("-" if value is None else str(value) for value in one.values)
    return Line(one.mark, one.name, texts, said(one, bundle=bundle).say(lang).rstrip())


def said(one: Finding, *, bundle: bool = False) -> Text:
    """A finding as a sentence; what is said of a bundle are the words of the verifier that goes with it."""
    values = ["-" if value is None else value for value in one.values]
    if bundle and one.name in standalone.SAYS:
        chinese, english = (standalone.said(one.name, values, en) for en in (False, True))
        return Both(english, chinese)
    return SAYS[one.name].of(**{str(n): value for n, value in enumerate(values)})


_MARKS: dict[Mark, Text] = {"ok": _("ok  "), "note": _("note"), "fail": _("FAIL")}


def _show(outcome: Verification, form: str, lang: Language) -> None:
    """Print a line a check and the answer, or the whole as JSON."""
    if form == "json":
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()
        return
    for line in outcome.checks:
        print(f"{_MARKS[line.mark].say(lang)} {line.name}: {line.text}")
    print(_("{file}: {proved}", file=outcome.file, proved=_proved(outcome, lang)).say(lang))


def _proved(outcome: Verification, lang: Language) -> str:
    """What was proved, in a sentence: by whose word, and what rests on the publisher's alone."""
    names = {line.name for line in outcome.checks}
    failed = sum(line.mark == "fail" for line in outcome.checks)
    if failed:
        return _n("{n} finding: it is not to be relied on", "{n} findings: it is not to be relied on", failed).say(lang)
    signer = next((line.values[-1] for line in outcome.checks if line.name == "signed"), None)
    if signer is None:
        whose = _("nobody signed it: it agrees with itself, no more").say(lang)
    elif names & {"key", "key?"}:
        whose = _("by its own word signed by {signer}", signer=signer).say(lang)
    else:
        whose = _("signed by the key given, {signer}", signer=signer).say(lang)
    what = (
        (_("every event read and judged again, every table recomputed").say(lang))
        if outcome.kind != "bundle"
        else (_("the unit's events are in the log, all of them, and points, places and grades follow").say(lang))
    )
    open_ = sorted(
        {line.name for line in outcome.checks if line.mark == "note"} - {"synthetic", "key", "key?", "unsigned"}
    )
    rest = (_("; see the notes: {open}", open=several(open_)).say(lang)) if open_ else ""
    return _("everything holds: {what}; {whose}{rest}", what=what, whose=whose, rest=rest).say(lang)
