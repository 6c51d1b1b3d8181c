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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import duckdb
import msgspec
import pyarrow as pa
from cyclopts import Parameter

from schemas import roster as rosters
from schemas import rulebook, soundness
from schemas.events import OPENED
from schemas.refusals import Language
from schemas.results import canonical
from schemas.soundness import RulebookError
from schemas.year import Year
from services.audit import standalone
from services.audit.export import Stored
from services.audit.replay import KEYS, Refolding
from services.ingest.check import opened
from services.process.ending import Exit, Stop
from services.process.settings import language
from services.proof import checkpoint, merkle, note
from services.proof.checkpoint import Leaves
from services.proof.note import Checkpoint, NoteError, Verifier
from services.scorer import rules
from services.snapshot import point
from services.snapshot.held import NAME, differing
from services.snapshot.make import PUBLISHED
from services.snapshot.results import computed

SHOWN = 20
Mark = Literal["ok", "note", "fail"]
Many = Annotated[list[str], Parameter(negative=())]
Files = Annotated[list[Path], Parameter(negative=())]

#: What is said of a snapshot, (zh, en); what is said of a bundle is the standalone verifier's.
SAYS = {
    "signed": ("检查点：{} 个事件，由 {} 签名", "checkpoint of {} events, signed by {}"),
    "unsigned": ("检查点没有签名：只能说明文件前后一致", "nobody signed: the file agrees with itself, no more"),
    "no_checkpoint": ("文件没有检查点", "the file has no checkpoint"),
    "signature": ("检查点的签名不可信：{}", "the checkpoint's signature cannot be trusted: {}"),
    "key": ("公钥取自本文件，请与公示的核对：{}", "the key is the file's own; compare with the one published: {}"),
    "witness": ("由 {} 于 {}（POSIX秒）见证", "cosigned by {} at {} (POSIX seconds)"),
    "no_witness": ("没有 {} 的见证签名", "not cosigned by {}"),
    "log": ("{} 个事件与检查点的根相符", "{} events, their root is the checkpoint's"),
    "event_changed": ("序号 {} 的事件已被更改", "the event of sequence {} was changed"),
    "event_left_out": ("缺少序号 {} 的事件", "the event of sequence {} was left out"),
    "event_added": ("序号 {} 的事件不在日志中", "the event of sequence {} is not in the log"),
    "events_swapped": ("序号 {} 与 {} 的事件被对调", "the events of sequences {} and {} were swapped"),
    "log_truncated": ("日志应有 {} 个事件，这里止于 {} 个", "the log has {} events, here it ends after {}"),
    "log_rewritten": ("日志与 {} 个事件的检查点不符", "the log is not that of the checkpoint of {} events"),
    "continues": ("延续了 {} 个事件时的检查点", "continues the checkpoint of {} events"),
    "origin": ("检查点属于 {}，应为 {}", "the checkpoint is of {}, expected {}"),
    "commitment": ("各单位事件清单的承诺应为 {}，算得 {}", "the units' commitment is stated as {}, found {}"),
    "units": ("{} 份事件清单与承诺相符", "the lists of {} units and of the year are those committed to"),
    "rulebook": ("考核细则应为 {}，算得 {}", "the rulebook is stated as {}, found {}"),
    "roster": ("名单应为 {}，算得 {}", "the roster is stated as {}, found {}"),
    "rules": ("规则表 {} 与考核细则或名单不符", "table {} is not what rulebook and roster come to"),
    "other_rules": ("所用{}不是开考事件所载的", "scored by another {} than the year was opened with"),
    "options": ("读法由选项指定：{}", "readings were put over the adopted ones: {}"),
    "not_admissible": ("序号 {} 的事件通不过检查：{}", "the event of sequence {} does not pass the checks: {}"),
    "event_misread": ("序号 {} 的 {} 存为 {}，应为 {}", "sequence {}, {}: stored {}, the event says {}"),
    "admission": ("序号 {} 的 {} 存为 {}，应为 {}", "sequence {}, {}: judged {} in the file, found {}"),
    "admitted": ("{} 个事件重新检查、重新判定，结果相同", "{} events read and judged again, the same"),
    "result_forged": ("{} {} 的 {} 公布为 {}，算得 {}", "{} {}, {}: stated {}, recomputed {}"),
    "results": ("{} 的 {} 行与重算相同", "{}: {} rows, all as recomputed"),
    "digest": ("结果摘要与检查点相符：{}", "the digest of the results is the checkpoint's: {}"),
    "meta": ("meta 的 {} 为 {}，应为 {}", "meta, {}: stated {}, found {}"),
    "not_recomputed": ("日志不符，结果未重算", "the log does not hold, so the results were not recomputed"),
    "object": ("文件中的 {} {}：{}", "{} {} of the file: {}"),
    "objects": ("文件中没有别的对象，视图与宏均为本程序的", "nothing else lies in the file; views and macros are ours"),
    "rows": ("表 {} 应有 {} 行，实有 {} 行", "table {}: expected {} rows, found {}"),
    "leaf": ("序号 {} 的叶与事件不符", "the leaf of sequence {} is not its event's"),
    "refused": ("{} 行被拒的记录取自文件，未经证明", "{} refused lines are the file's word, not proved"),
    "more": ("另有 {} 处 {}", "and {} more of {}"),
    "synthetic": ("合成数据：单位均为虚构", "synthetic data: the units are made up"),
}  # fmt: skip


class Line(msgspec.Struct, frozen=True):
    """One check: whether it holds, its name, and what it names; a note is for the reader to judge."""

    mark: Mark
    name: str
    values: tuple[str, ...]
    text: str


class Verification(msgspec.Struct, frozen=True):
    """The outcome of all checks of a file."""

    file: str
    kind: Literal["snapshot", "bundle"]
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
    format: Literal["table", "json"] = "table",  # noqa: A002 - the contract's word
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Verify a snapshot or a unit's bundle, offline; exit 1 when anything does not hold, and each thing is named.

    Example: wuxing verify data/snapshots/latest.duckdb

    Parameters
    ----------
    file
        A snapshot, or a bundle (.json or .zip).
    key
        A verifier key of the log that you trust, instead of the file's own; may be given more than once.
    checkpoint
        A checkpoint that you hold: the log must continue it; may be given more than once.
    witness
        A witness's verifier key: its cosignature is checked and shown; may be given more than once.
    format
        A line a check, or JSON.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    chosen = language(lang)
    given = Given(_keys(key, note.ED25519), _keys(witness, note.COSIGNATURE), [_note(path) for path in checkpoint])
    kind: Literal["snapshot", "bundle"] = "snapshot" if _is_snapshot(file) else "bundle"
    try:
        says = standalone.SAYS if kind == "bundle" else SAYS
        found = list(_few(of_bundle(file, given) if kind == "bundle" else of_snapshot(file, given)))
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise Stop(Exit.FAILED, f"{file}: cannot be read: {reason}", f"{file}：无法读取：{reason}") from None
    lines = [_line(one, says, chosen) for one in found]
    outcome = Verification(str(file), kind, all(line.mark != "fail" for line in lines), lines)
    _show(outcome, format, chosen)
    return Exit.DONE if outcome.holds else Exit.NO


@dataclass(frozen=True)
class Given:
    """What the reader brings: keys of the log and of witnesses that he trusts, checkpoints that he holds."""

    keys: list[Verifier] = field(default_factory=list)
    witnesses: list[Verifier] = field(default_factory=list)
    older: list[str] = field(default_factory=list)


def _keys(texts: Iterable[str], kind: int) -> list[Verifier]:
    """Verifier keys of a kind; what is none is wrong use."""
    try:
        found = [Verifier.parse(text) for text in texts]
    except NoteError as error:
        raise Stop(Exit.USE, str(error), f"公钥无法读取：{error}") from None
    if wrong := [one for one in found if one.kind != kind]:
        raise Stop(
            Exit.USE,
            f"key of {wrong[0].name}: type {wrong[0].kind}, expected {kind} (1 a log's, 4 a witness's)",
            f"{wrong[0].name}的公钥类型为{wrong[0].kind}，应为{kind}（1为日志，4为见证人）",
        )
    return found


def _note(path: Path) -> str:
    try:
        return checkpoint.read(path)
    except NoteError as error:
        raise Stop(Exit.FAILED, str(error), f"检查点无法读取：{error}") from None


def _is_snapshot(file: Path) -> bool:
    """Whether a file is DuckDB's; a file that cannot be read ends the command."""
    try:
        with file.open("rb") as stream:
            return stream.read(12)[8:] == b"DUCK"
    except OSError as error:
        raise Stop(
            Exit.FAILED, f"{file}: cannot be read: {error.strerror}", f"{file}：无法读取：{error.strerror}"
        ) from None


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
    except standalone.Failed as failed:
        name, *values = failed.args
        yield fail(name, *values)
    except Exception as error:  # noqa: BLE001 - a bundle is a stranger's; whatever it breaks, it was not read
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise Stop(
            Exit.FAILED,
            f"{file}: neither a snapshot nor a bundle that can be read: {reason}",
            f"{file}：不是可以读取的快照或证据包：{reason}",
        ) from None


def _bundle_bytes(file: Path) -> bytes:
    data = file.read_bytes()
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return packed.read("bundle.json")


# -- Snapshots ------------------------------------------------------------------------------------------------------


def of_snapshot(file: Path, given: Given) -> Iterator[Finding]:
    """Every check of a snapshot, in order: what holds, what is to be judged, what does not hold."""
    with point.snapshot(file) as con:
        snapshot = Snapshot(con, given)
        yield from snapshot.check_signature()
        yield from snapshot.check_objects()
        sound = True
        for one in (*snapshot.check_log(), *snapshot.check_older()):
            sound = sound and one.mark != "fail"
            yield one
        yield from snapshot.check_units()
        year_found = yield from snapshot.check_rules()
        if not year_found:
            return
        refold = Refold(con, year_found, snapshot.signed)
        try:
            yield from refold.check_events()
            yield from refold.check_results() if sound else [remark("not_recomputed")]
        finally:
            refold.fresh.close()
        yield from [remark("synthetic")] if year_found.synthetic else []


class Snapshot:
    """A snapshot's own statements: its note, its leaves, its rulebook and roster."""

    def __init__(self, con: duckdb.DuckDBPyConnection, given: Given) -> None:
        self.con, self.given, self.meta = con, given, point.meta(con)
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
        if "\n\n" not in self.note and not self.given.keys and "log_key" not in self.meta:
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
            yield from [ok("witness", name, each.time) for each in signatures] or [remark("no_witness", name)]

    def check_objects(self) -> Iterator[Finding]:
        """Nothing lies in the file but what this program puts there, and of what there is one of, one."""
        found = differing(self.con)
        yield from (fail("object", *one) for one in found)
        for table in ("checkpoint", "rulebook_json", "roster_json"):
            count = _count(self.con, table)
            yield from [fail("rows", table, 1, count)] if count != 1 else []
        if (rows := _count(self.con, "meta")) != len(self.meta):
            yield fail("rows", "meta", len(self.meta), rows)
        yield from [] if found else [ok("objects")]
        yield from [remark("refused", count)] if (count := _count(self.con, "refused")) else []

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
        stored = Leaves([*self._leaf_at], [], [*self._leaf_at.values()]) if self._leaf_at else self.leaves
        found = list(changes(stored, self.leaves, self._same)) or list(self._unspoken(signed))
        yield from found or [fail("log_rewritten", signed.size)]

    def _same(self, now: int, before: int) -> bool:
        """Whether the event at a sequence fits the leaf of another, with its own recorded time or with that one's."""
        leaf = self._leaf_at[before]
        raw = self.con.execute("SELECT raw FROM event WHERE seq = ?", [now]).fetchall()[0][0]
        rows = self.con.execute("SELECT epoch_us(recorded_at) FROM event WHERE seq IN (?, ?)", [now, before]).fetchall()
        return any(merkle.leaf_hash(checkpoint.entry(before, time, raw)) == leaf for (time,) in rows)

    @cached_property
    def _leaf_at(self) -> dict[int, bytes]:
        """The leaves that the file states, by sequence."""
        if not _count(self.con, "leaf"):
            return {}
        return {
            seq: bytes(leaf) for seq, leaf in self.con.execute("SELECT seq, hash FROM leaf ORDER BY seq").fetchall()
        }

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
                if "\n\n" in (self.note or ""):
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

    def check_units(self) -> Iterator[Finding]:
        """The commitment to each unit's list of events."""
        if not self.signed:
            return
        codes = [unit for (unit,) in self.con.execute("SELECT unit FROM roster").fetchall()]
        found = self.leaves.units(codes).root
        same = found == self.signed.units
        yield ok("units", len(codes)) if same else fail("commitment", self.signed.units.hex(), found.hex())

    def check_rules(self) -> Any:
        """The rulebook is the one signed, its tables are what it comes to; returns the year, null when it has none."""
        text = checkpoint.held(self.con, "rulebook_json")
        try:
            book = json.loads(text) if text is not None else {}
            read = soundness.read(book) if text is not None else point.year(self.con).rulebook
        except (ValueError, RecursionError, RulebookError) as error:
            yield fail("rulebook", self.meta.get("rulebook"), str(error)[:200])
            return None
        digest = checkpoint.document_digest(book)
        if self.signed and self.signed.rulebook != digest:
            yield fail("rulebook", self.signed.rulebook, digest)
        rows, keys = _json(checkpoint.held(self.con, "roster_json")), _json(self.meta.get("keys"))
        if (fault := next(rosters.faults(rows, read), None)) or not isinstance(keys, dict):
            yield fail("roster", self.signed and self.signed.roster, fault.words if fault else "keys")
            return None
        if self.signed and self.signed.roster != (digest := checkpoint.document_digest(rows)):
            yield fail("roster", self.signed.roster, digest)
        synthetic = self.meta.get("synthetic") == "true"
        found = Year(self.meta.get("assessment", ""), read, rosters.read(rows), synthetic, keys)
        if name := point.unequal_rules(self.con, found):
            yield fail("rules", name)
        yield from self._opening(found)
        return found

    def _opening(self, found: Year) -> Iterator[Finding]:
        """What the year was opened with; a file may be scored by other rules, what is published may not."""
        first = self.con.execute("SELECT type, raw FROM event ORDER BY seq LIMIT 1").fetchall()
        judge = fail if self.note and "\n\n" in self.note else remark
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
        raise NoteError(f"signed by {signatures[0].name}, expected {origin}")
    return who


def changes(stored: Leaves, found: Leaves, same: Callable[[int, int], bool]) -> Iterator[Finding]:
    """What was done to a log, from the leaves that it had to those that it has.

    `same` says whether the event that lies at the one sequence now is the one that lay at the other.
    """
    before, after = (dict(zip(one.sequences, one.hashes, strict=True)) for one in (stored, found))
    changed = [seq for seq in sorted(before.keys() & after.keys()) if before[seq] != after[seq]]
    swapped = [(a, b) for a, b in combinations(changed[: 2 * SHOWN], 2) if same(a, b) and same(b, a)]
    named = {seq for pair in swapped for seq in pair}
    yield from (fail("event_changed", seq) for seq in changed if seq not in named)
    last = max(before.keys() & after.keys(), default=0)
    lost = sorted(before.keys() - after.keys())
    yield from (fail("event_left_out", seq) for seq in lost if seq < last)
    if lost and lost[-1] > last:
        yield fail("log_truncated", stored.size, found.size)
    yield from (fail("event_added", seq) for seq in sorted(after.keys() - before.keys()))
    yield from (fail("events_swapped", *pair) for pair in swapped)


# -- Recomputing ----------------------------------------------------------------------------------------------------


class Refold:
    """A snapshot's ledger folded again in memory by this program's rules, from the raw bytes alone."""

    def __init__(self, con: duckdb.DuckDBPyConnection, found: Year, signed: Checkpoint | None) -> None:
        self.con, self.year, self.signed, self.meta = con, found, signed, point.meta(con)
        self.folding = Refolding(found, opens=False)
        self.fresh = self.folding.con

    def check_events(self) -> Iterator[Finding]:
        """Check every raw event as intake does, judge it as the scorer does, and compare with what the file says."""
        refused = yield from self._read()
        held = self.con.cursor().sql("SELECT * EXCLUDE (raw, recorded_at) FROM event").to_arrow_table()
        self.fresh.register("held", held)
        names = [name for name in rules.EVENT_COLUMNS if name not in ("seq", "raw", "recorded_at")]
        differs = " ".join(f"WHEN h.{n}::VARCHAR IS DISTINCT FROM e.{n}::VARCHAR THEN '{n}'" for n in names)
        rows = self.fresh.execute(
            f"SELECT seq, CASE {differs} END AS which FROM event e JOIN held h USING (seq) WHERE which IS NOT NULL"
            " ORDER BY seq"
        ).fetchall()
        for seq, name in rows[:SHOWN]:
            sql = f"SELECT h.{name}::VARCHAR, e.{name}::VARCHAR FROM event e JOIN held h USING (seq) WHERE seq = ?"
            pair = self.fresh.execute(sql, [seq]).fetchall()[0]
            yield fail("admission" if name in rules.JUDGED_COLUMNS else "event_misread", seq, name, *pair)
        self.fresh.unregister("held")
        if len(rows) > SHOWN:
            yield remark("more", len(rows) - SHOWN, "event_misread / admission")
        if not rows and not refused:
            yield ok("admitted", held.num_rows)

    def _read(self) -> Any:
        """Fold the raw events anew; returns the number of those that do not pass the checks."""
        rows, refused = self.con.cursor(), 0
        rows.execute("SELECT seq, epoch_us(recorded_at), raw FROM event ORDER BY seq")
        while batch := rows.fetchmany(checkpoint.BATCH):
            for seq, why in self.folding.take(Stored(*row) for row in batch):
                refused += 1
                yield fail("not_admissible", seq, why.reason)
        point.copy(self.con, self.fresh, "reading_option")  # after the fold: an option voids and grants nothing
        return refused

    def check_results(self) -> Iterator[Finding]:
        """Recompute every published row and the digest, and compare."""
        sequence = int(self.meta["sequence"]) if self.meta.get("sequence", "").isdigit() else 0
        with rules.compute(self.fresh):
            for table, view in PUBLISHED.items():
                yield from self._table(table, view)
            found = computed(
                self.fresh,
                assessment=self.year.assessment,
                rulebook=self.year.rulebook.id,
                as_of=sequence,
                refused=[],
                lang="en",
            )
        stated = self.signed.results if self.signed else self.meta.get("digest")
        if stated == found.digest:
            yield ok("digest", found.digest)
        else:
            yield fail("result_forged", "checkpoint", "results", "digest", stated, found.digest)
        yield from self._meta(found.digest, found.assessment_state, sequence)
        yield from self._rulebook()

    def _meta(self, digest: str, state: str, sequence: int) -> Iterator[Finding]:
        """What the file says of itself."""
        last = self.con.execute("SELECT coalesce(max(seq), 0) FROM event").fetchall()[0][0]
        facts = {
            "digest": digest,
            "state": state,
            "rulebook": self.year.rulebook.id,
            "synthetic": str(self.year.synthetic).lower(),
            "sequence": str(max(sequence, last)),
        }
        if self.signed:
            facts["version"] = self.signed.version
        for key, value in facts.items():
            if self.meta.get(key) != value:
                yield fail("meta", key, self.meta.get(key), value)
        for key in sorted(self.meta.keys() - _STATED):
            yield fail("meta", key, self.meta[key], None)

    def _rulebook(self) -> Iterator[Finding]:
        """Rulebook and roster that `meta` keeps for those who read the file are those that were checked above."""
        known = {"rulebook": rulebook.plain(self.year.rulebook), "roster": rosters.plain(self.year.roster)}
        for name, made_of in known.items():
            stated, found = self.meta.get(f"{name}_json"), canonical(made_of).decode()
            if stated != found:
                yield fail(name, *(sha256(text.encode()).hexdigest() for text in (str(stated), found)))

    def _table(self, table: str, view: str) -> Iterator[Finding]:
        """Compare a published table with its view, row by row."""
        columns = [column[0] for column in self.fresh.execute(f"FROM {view} LIMIT 0").description or ()]
        self.fresh.fetchall()
        try:
            held = self.con.cursor().sql(f"SELECT {_texts(columns)} FROM main.{table}").to_arrow_table()
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            yield fail("result_forged", table, "", "", str(error).splitlines()[0], ", ".join(columns))
            return
        self.fresh.register("held", held)
        self.fresh.execute(f"CREATE OR REPLACE TEMP TABLE ours AS SELECT {_texts(columns)} FROM {view}")
        keys = ", ".join(KEYS[table])
        both = "(FROM ours EXCEPT ALL FROM held) UNION ALL (FROM held EXCEPT ALL FROM ours)"
        rows = self.fresh.execute(f"SELECT DISTINCT {keys} FROM ({both}) ORDER BY {keys}").fetchall()
        for row in rows[:SHOWN]:
            yield from self._row(table, columns, row)
        yield from [remark("more", len(rows) - SHOWN, table)] if len(rows) > SHOWN else []
        yield from [] if rows else [ok("results", table, held.num_rows)]
        self.fresh.unregister("held")
        self.fresh.execute("DROP TABLE temp.ours")

    def _row(self, table: str, columns: list[str], row: tuple[Any, ...]) -> Iterator[Finding]:
        """Every column of one row that is not as recomputed, or that the row is there too often or not at all."""
        where = " AND ".join(f"{key} IS NOT DISTINCT FROM ?" for key in KEYS[table])
        held, ours = (self.fresh.execute(f"FROM {one} WHERE {where}", row).fetchall() for one in ("held", "ours"))
        name = " ".join(map(str, row))
        if len(held) != 1 or len(ours) != 1:
            yield fail("result_forged", table, name, "rows", len(held), len(ours))
            return
        for column, stated, found in zip(columns, held[0], ours[0], strict=True):
            if stated != found:
                yield fail("result_forged", table, name, column, stated, found)


#: All that a snapshot says of itself; `facts_until` only where nobody signed.
_STATED = {
    "assessment", "rulebook", "sequence", "digest", "root", "state", "version", "schema", "synthetic", "rulebook_json",
    "roster_json", "keys", "log_key", "facts_until",
}  # fmt: skip


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Rows of a table; of one that is not there, none."""
    there = con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall()
    return int(con.execute(f"SELECT count(*) FROM {NAME}.main.{table}").fetchall()[0][0]) if there else 0


def _json(text: str | None) -> Any:
    """The value of a text that may be anything; null where it is none."""
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None


def _texts(columns: list[str]) -> str:
    return ", ".join(f"{name}::VARCHAR AS {name}" for name in columns)


# -- Telling --------------------------------------------------------------------------------------------------------


def _few(found: Iterable[Finding]) -> Iterator[Finding]:
    """Findings of one name up to a number, then how many more there are of it."""
    seen: Counter[str] = Counter()
    for one in found:
        seen[one.name] += one.mark == "fail"
        if seen[one.name] <= SHOWN:
            yield one
    yield from (remark("more", count - SHOWN, name) for name, count in seen.items() if count > SHOWN)


def _line(one: Finding, says: dict[str, tuple[str, str]], lang: Language) -> Line:
    mark, name, values = one
    texts = tuple("-" if value is None else str(value) for value in values)
    sentence = (says.get(name) or SAYS[name])[lang == "en"]
    return Line(mark, name, texts, sentence.format(*texts).rstrip())


_MARKS: dict[Mark, tuple[str, str]] = {"ok": ("通过", "ok  "), "note": ("注意", "note"), "fail": ("不符", "FAIL")}


def _show(outcome: Verification, form: str, lang: Language) -> None:
    """Print a line a check and the answer, or the whole as JSON."""
    if form == "json":
        sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
        sys.stdout.buffer.flush()
        return
    for line in outcome.checks:
        print(f"{_MARKS[line.mark][lang == 'en']} {line.name}: {line.text}")
    failed = sum(line.mark == "fail" for line in outcome.checks)
    if lang == "en":
        print(f"{outcome.file}: everything holds" if outcome.holds else f"{outcome.file}: {failed} findings")
    else:
        print(f"{outcome.file}：全部相符" if outcome.holds else f"{outcome.file}：{failed}处不符")
