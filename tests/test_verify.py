"""Verify: the signed checkpoint of a snapshot, its bundles and witnesses, and every tampering found and named."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclopts import App
from hypothesis import given
from hypothesis import strategies as st

from schemas.receipts import Cut
from services.audit import bundle, witness
from services.audit import verify as verifying
from services.audit.verify import Given, Verification
from services.process.ending import Exit, Stop
from services.process.settings import Settings, read
from services.proof import checkpoint, merkle, note
from services.proof.checkpoint import Earlier, Leaves, LogRewritten
from services.ranker import app
from services.scorer import file
from services.snapshot import make, point
from tests import product
from tests.product import joined, small

YEAR = small()
COUNT = len(YEAR)


@cache
def signer() -> note.Signer:
    """The key of the log that the small year is."""
    return note.Signer("wuxing/small", note.ED25519, Ed25519PrivateKey.from_private_bytes(b"\1" * 32))


def written(folder: Path, lines: tuple[bytes, ...] = YEAR, *, by: note.Signer | None = None, name: str = "s") -> Path:
    """A snapshot file of the lines of an export, signed where there is a key."""
    source, target = folder / f"{name}.jsonl", folder / f"{name}.duckdb"
    source.write_bytes(joined(lines))
    folded = file.fold(source, product.year(product.SHIPPED), target=target)
    folded.con.execute("UPDATE event SET recorded_at = make_timestamp(1388500000000000 + seq)")
    make.complete(folded.con, folded.year, folded.lines, by)
    folded.con.execute("CHECKPOINT")
    folded.con.close()
    return target


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small year as a signed snapshot that nobody writes to."""
    path = written(tmp_path_factory.mktemp("proof"), by=signer())
    path.chmod(0o444)
    return path


@pytest.fixture
def copied(example: Path, tmp_path: Path) -> Path:
    path = tmp_path / "copy.duckdb"
    shutil.copyfile(example, path)
    path.chmod(0o644)
    return path


def tampered(path: Path, *statements: str) -> Path:
    with duckdb.connect(str(path)) as con:
        for sql in statements:
            con.execute(sql)
    return path


def checked(path: Path, *options: str) -> tuple[int, Verification]:
    """Run the command; its exit code and the lines it prints as JSON."""
    code, out, _ = run("verify", str(path), "--format", "json", "--lang", "en", *options)
    return code, msgspec.json.decode(out, type=Verification)


def run(name: str, *arguments: str) -> tuple[int, str, str]:
    """Run one command of this module's as the command line does."""
    shell = App(result_action="return_value", exit_on_error=False, print_error=False)
    for command in (verifying.verify, bundle.bundle, witness.witness):
        shell.command(command)
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = int(shell([name, *arguments]))
        except Stop as stop:
            code = int(stop.code)
            err.write(stop.text["en"])
    out.flush()
    return code, out.buffer.getvalue().decode(), err.getvalue()


def failures(path: Path, *options: str) -> list[tuple[str, ...]]:
    """What does not hold: each finding's name and what it names."""
    code, found = checked(path, *options)
    lines = [(line.name, *line.values) for line in found.checks if line.mark == "fail"]
    assert code == (Exit.NO if lines else Exit.DONE)
    assert found.holds == (not lines)
    return lines


def first(path: Path, *names: str, given: Given | None = None) -> tuple[Any, ...]:
    """The first thing that does not hold, of these names when there are any; nothing after it is checked."""
    found = (one for one in verifying.of_snapshot(path, given or Given()) if one.mark == "fail")
    return next(((one.name, *map(str, one.values)) for one in found if not names or one.name in names), ())


def early(path: Path, given: Given | None = None) -> dict[str, str]:
    """What is said before the results are recomputed: mark by name."""
    found = {}
    for one in verifying.of_snapshot(path, given or Given()):
        if one.name == "admitted":
            break
        found[one.name] = one.mark
    return found


def noted(path: Path, to: Path) -> Path:
    """The checkpoint of a snapshot as a file."""
    with point.snapshot(path) as con:
        to.write_text(checkpoint.held(con) or "", encoding="utf-8")
    return to


def test_a_signed_snapshot_holds_and_says_what_its_key_is(example, tmp_path):
    code, found = checked(example)
    assert (code, [one.name for one in found.checks if one.mark == "note"]) == (Exit.DONE, ["key", "synthetic"])
    assert {"signed", "objects", "log", "units", "admitted", "results", "digest"} == {
        one.name for one in found.checks if one.mark == "ok"}  # fmt: skip
    assert "key" not in early(example, Given(keys=[signer().verifier]))
    stranger = checkpoint.key(tmp_path / "other.key", "wuxing/small").verifier
    assert first(example, given=Given(keys=[stranger]))[0] == "signature"
    for lang, last in (("en", "everything holds"), ("zh", "全部相符")):
        assert last in run("verify", str(example), "--lang", lang)[1].splitlines()[-1]


def test_a_checkpoint_says_what_the_results_rest_on(example):
    with point.snapshot(example) as con:
        said = dict(line.split(" ", 1) for line in (checkpoint.held(con) or "").split("\n")[3:8])
        opened = json.loads(YEAR[0])["data"]
        digests = {name: checkpoint.document_digest(opened[name]) for name in ("rulebook", "roster")}
        seq, at, raw = con.execute("SELECT seq, epoch_us(recorded_at), raw FROM event WHERE seq = 1").fetchall()[0]
        assert said | digests | {"results": point.meta(con)["digest"], "version": make.VERSION} == said
        leaf = b"\0" + seq.to_bytes(8, "big") + at.to_bytes(8, "big") + raw
        assert checkpoint.leaves(con).hashes[0] == merkle.sha256(leaf).digest()


def test_a_file_that_was_scored_is_unsigned_and_verify_says_so(tmp_path):
    (tmp_path / "year.jsonl").write_bytes(joined(YEAR))
    path, options = tmp_path / "year.duckdb", ("--reading", "award_tie=include")
    assert product.command("score", tmp_path / "year.jsonl", *options, "--snapshot", path)[0] == 0
    code, found = checked(path)
    assert (code, [line.name for line in found.checks if line.mark == "note"]) == (
        Exit.DONE, ["unsigned", "options", "synthetic"])  # fmt: skip
    assert first(path, given=Given(keys=[signer().verifier]))[0] == "signature"


# -- The log ----------------------------------------------------------------------------------------------------------

SWAP = "(SELECT 14 - seq AS seq, raw FROM event WHERE seq IN (5, 9))"
LOG = {
    "one byte": (["UPDATE event SET raw = encode(replace(decode(raw), '1.0', '1.1')) WHERE seq = 6"],
                 ("event_changed", "6")),
    "a space": (["UPDATE event SET raw = raw || ' '::BLOB WHERE seq = 6"], ("event_changed", "6")),
    "the recorded time": (["UPDATE event SET recorded_at = recorded_at + INTERVAL 40 DAY WHERE seq = 6"],
                          ("event_changed", "6")),
    "all recorded times": (["UPDATE event SET recorded_at = NULL"], ("event_changed", "1")),
    "left out": (["DELETE FROM event WHERE seq = 7"], ("event_left_out", "7")),
    "left out of the leaves too": (["DELETE FROM event WHERE seq = 7", "DELETE FROM leaf WHERE seq = 7"],
                                   ("event_left_out", "7")),
    "swapped": (["UPDATE event SET seq = CASE seq WHEN 5 THEN 9 ELSE 5 END WHERE seq IN (5, 9)"],
                ("events_swapped", "5", "9")),
    "bytes swapped": ([f"UPDATE event SET raw = o.raw FROM {SWAP} o WHERE o.seq = event.seq"],
                      ("events_swapped", "5", "9")),
    "renumbered": (["UPDATE event SET seq = 9999 WHERE seq = 5"], ("event_left_out", "5")),
    "truncated": ([f"DELETE FROM event WHERE seq > {COUNT - 6}"], ("log_truncated",)),
    "truncated with its leaves": ([f"DELETE FROM {one} WHERE seq > {COUNT - 6}" for one in ("event", "leaf")],
                                  ("log_truncated",)),
    "added": (["INSERT INTO event SELECT * REPLACE (9999 AS seq, 'new' AS id) FROM event WHERE seq = 5"],
              ("event_added", "9999")),
    "a leaf": (["UPDATE leaf SET hash = 'x'::BLOB WHERE seq = 6"], ("leaf", "6")),
}  # fmt: skip


@pytest.mark.parametrize("how", LOG)
def test_what_was_done_to_the_log_is_named(copied, how):
    statements, expected = LOG[how]
    assert first(tampered(copied, *statements))[: len(expected)] == expected


def test_of_a_log_that_does_not_hold_no_result_is_called_forged(copied):
    code, found = checked(tampered(copied, "DELETE FROM event WHERE seq = 7"))
    assert (code, {line.name for line in found.checks if line.mark == "fail"} & {"result_forged", "digest"}) == (
        1,
        set(),
    )
    assert "not_recomputed" in [line.name for line in found.checks]


@given(st.sets(st.integers(1, 40), min_size=2), st.data())
def test_of_any_log_each_single_tampering_is_named_as_what_it_is(sequences, data):
    log = leaves(sequences)
    at = data.draw(st.integers(0, log.size - 1))
    seq, others = log.sequences[at], [n for n in range(log.size) if n != at]

    def named(found: Leaves, pair: frozenset[int] = frozenset()) -> list[tuple[Any, ...]]:
        return [(one.name, *one.values) for one in verifying.changes(log, found, lambda *two: {*two} == pair)]

    def part(kept: list[int]) -> Leaves:
        return Leaves([log.sequences[n] for n in kept], [], [log.hashes[n] for n in kept])

    def with_other(*places: int) -> Leaves:
        return Leaves(log.sequences, [], [b"x" if n in places else one for n, one in enumerate(log.hashes)])

    assert named(log) == []
    assert named(part(list(range(at)))) == [("log_truncated", log.size, at)]
    assert named(with_other(at)) == [("event_changed", seq)]
    more = [("event_left_out", seq)] if at + 1 < log.size else [("log_truncated", log.size, at)]
    assert named(part(others)) == more
    other = data.draw(st.sampled_from(others))
    pair = sorted((seq, log.sequences[other]))
    assert named(with_other(at, other), frozenset(pair)) == [("events_swapped", *pair)]


def leaves(sequences: Any) -> Leaves:
    return Leaves(sorted(sequences), [], [b"%d" % one for one in sorted(sequences)])


# -- Everything else in the file --------------------------------------------------------------------------------------

UNIT = json.loads(YEAR[0])["data"]["roster"][3]["unit"]
WHERE = f"WHERE unit = '{UNIT}'"
FORGED = [
    (f"UPDATE published_unit SET final = 12 {WHERE}",
     ("result_forged", "published_unit", UNIT, "final", "12.00000000")),
    (f"UPDATE published_unit SET place = 99 {WHERE}", ("result_forged", "published_unit", UNIT, "place", "99")),
    (f"UPDATE published_item SET points = 0.5 {WHERE} AND item = '1.1'",
     ("result_forged", "published_item", f"{UNIT} 1.1", "points", "0.500000")),
    (f"UPDATE published_part SET points = 0.5 {WHERE} AND part = '1'",
     ("result_forged", "published_part", f"{UNIT} 1", "points", "0.500000")),
    ("UPDATE published_grade SET quota = 99 WHERE grade = 'first'", ("result_forged", "published_grade")),
    (f"UPDATE published_unit_grade SET grade = 'x' {WHERE}", ("result_forged", "published_unit_grade")),
    ("UPDATE published_event SET disposition = 'void' WHERE seq = 1",
     ("result_forged", "published_event", "1", "disposition", "void")),
    ("UPDATE published_entry SET why_zh = '' WHERE seq = (SELECT min(seq) FROM published_entry)",
     ("result_forged", "published_entry")),
    ("UPDATE published_reading SET value = 'geometric' WHERE name = 'step'",
     ("result_forged", "published_reading", "step", "value", "geometric")),
    ("DELETE FROM published_item WHERE item = '1.2'",
     ("result_forged", "published_item", f"{UNIT} 1.2", "rows", "0", "1")),
    ("INSERT INTO published_part SELECT * FROM published_part WHERE part = '2'",
     ("result_forged", "published_part", f"{UNIT} 2", "rows", "2", "1")),
    *((f"UPDATE meta SET value = 'x' WHERE key = '{key}'", ("meta", key, "x"))
      for key in ("digest", "state", "rulebook", "version")),
    *((f"UPDATE meta SET value = '{value}' WHERE key = '{key}'", (key.removesuffix("_json"),))
      for key, value in (("rulebook_json", "{}"), ("roster_json", "[]"))),
    ("UPDATE meta SET value = '1' WHERE key = 'sequence'", ("meta", "sequence", "1")),
    ("INSERT INTO meta VALUES ('facts', 'x')", ("meta", "facts", "x")),
    ("UPDATE event SET points = 1 WHERE seq = (SELECT min(seq) FROM event WHERE value IS NOT NULL)",
     ("event_misread",)),
    ("UPDATE event SET admission = 'void', void_reason = 'closed' WHERE seq = 2", ("admission", "2", "admission")),
    ("UPDATE rulebook_item SET points = 1 WHERE item = '1.1'", ("rules", "rulebook_item")),
    ("INSERT INTO checkpoint FROM checkpoint", ("rows", "checkpoint", "1", "2")),
    ("INSERT INTO reading_option VALUES ('step', 'geometric')", ("options", "step=geometric")),
    ("CREATE TABLE planted (a INT)", ("object", "table", "planted", "foreign")),
    ("CREATE VIEW planted_view AS SELECT 1", ("object", "view", "planted_view", "foreign")),
    ("CREATE SCHEMA other", ("object", "schema", "other", "foreign")),
    ("CREATE MACRO planted_macro(a) AS a", ("object", "function", "planted_macro", "foreign")),
    ("CREATE OR REPLACE MACRO half_up(n, d) AS n // d", ("object", "function", "half_up", "other")),
    ("CREATE MACRO list_contains(a, b) AS true", ("object", "function", "list_contains", "foreign")),
    ("CREATE OR REPLACE VIEW place AS SELECT 1 AS place", ("object", "view", "place", "other")),
    ("DROP VIEW trail", ("object", "view", "trail", "missing")),
    ("ALTER TABLE published_reading ADD COLUMN more INT", ("object", "column", "published_reading.more", "foreign")),
    ("CREATE INDEX hidden ON published_unit (unit)", ("object", "index", "published_unit.hidden", "foreign")),
]  # fmt: skip


def test_everything_forged_is_named_with_what_it_says_and_what_it_comes_to(copied, monkeypatch):
    monkeypatch.setattr(verifying, "SHOWN", 1000)
    lines = failures(tampered(copied, *(sql for sql, _ in FORGED)))
    missing = [sql for sql, expected in FORGED if not any(line[: len(expected)] == expected for line in lines)]
    assert missing == []


LIES = "DROP TABLE published_unit; CREATE VIEW published_unit AS SELECT 1 AS unit"
ALONE = [
    ("DROP TABLE published_grade", ("object", "table", "published_grade", "missing")),
    (LIES, ("object", "table", "published_unit", "missing")),
    ("DROP TABLE checkpoint", ("no_checkpoint",)),
    ("DELETE FROM checkpoint", ("no_checkpoint",)),
    ("UPDATE checkpoint SET note = 'x'", ("signature",)),
    *((f"UPDATE checkpoint SET note = replace(note, '{word} ', '{word} 0')", ("signature",))
      for word in ("results", "rulebook", "roster", "version")),
    ("UPDATE checkpoint SET note = split_part(note, '\n\n', 1) || '\n'", ("signature",)),
    ("DELETE FROM meta WHERE key = 'log_key'", ("signature",)),
    ("UPDATE meta SET value = 'x' WHERE key = 'log_key'", ("signature",)),
    ("UPDATE meta SET value = 'other' WHERE key = 'assessment'", ("origin", "wuxing/small", "wuxing/other")),
    ("UPDATE meta SET value = repeat('0', 64) WHERE key = 'root'", ("meta", "root")),
    ("UPDATE rulebook_json SET json = replace(json, '四', '五')", ("rulebook",)),
    ("UPDATE rulebook_json SET json = '[1'", ("rulebook",)),
    ("UPDATE roster_json SET json = replace(json, '\"A\"', '\"B\"')", ("roster",)),
    ("UPDATE roster_json SET json = '[[['", ("roster",)),
    ("UPDATE meta SET value = '[]' WHERE key = 'keys'", ("roster",)),
    ("UPDATE meta SET value = 'false' WHERE key = 'synthetic'", ("meta", "synthetic", "False", "True")),
    (f"DELETE FROM roster {WHERE}", ("commitment",)),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), ALONE)
def test_what_a_file_cannot_be_without_is_missed_and_what_is_signed_cannot_be_changed(copied, sql, expected):
    assert first(tampered(copied, sql))[: len(expected)] == expected or (
        first(copied, expected[0])[: len(expected)] == expected)  # fmt: skip


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"PK\3\4", b"[" * 100_000, b"\0" * 8 + b"DUCK" + b"\0" * 100, b"\xff\xfe"]
)
def test_what_is_neither_snapshot_nor_bundle_is_refused_without_a_traceback(data, tmp_path):
    path = tmp_path / "what"
    path.write_bytes(data)
    code, out, said = run("verify", str(path))
    assert (code, out, str(path) in said) == (Exit.FAILED, "", True)
    assert run("verify", str(tmp_path / "none"))[0] == Exit.FAILED


def test_a_key_that_is_none_is_wrong_use(example, tmp_path):
    assert run("verify", str(example), "--key", "x")[0] == Exit.USE
    cosigner = checkpoint.key(tmp_path / "w.key", "w", note.COSIGNATURE)
    assert run("verify", str(example), "--key", str(cosigner.verifier))[0] == Exit.USE
    assert run("verify", str(example), "--checkpoint", str(tmp_path / "none"))[0] == Exit.FAILED


# -- Earlier checkpoints, witnesses -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shorter(example: Path) -> tuple[Path, Path]:
    """The snapshot of the year's first lines, by the same key, and its checkpoint."""
    made = written(example.parent, YEAR[:100], by=signer(), name="short")
    return made, noted(made, example.parent / "short")


@pytest.fixture(scope="session")
def forked(example: Path) -> Path:
    """A snapshot, by the same key, of a history in which two events came the other way round."""
    return written(example.parent, (YEAR[0], YEAR[2], YEAR[1], *YEAR[3:]), by=signer(), name="forked")


def test_a_log_that_grew_continues_a_checkpoint_held_and_one_rewritten_does_not(example, shorter, forked, tmp_path):
    made, held = shorter
    text, same = held.read_text(), noted(example, tmp_path / "same").read_text()
    assert early(example, Given(older=[text, same]))["continues"] == "ok"
    sizes = (same.split("\n")[1], text.split("\n")[1])
    assert first(made, given=Given(older=[same])) == ("log_truncated", *sizes), "an old snapshot shown as the latest"
    assert first(forked, given=Given(older=[text])) == ("log_rewritten", sizes[1])
    forged = text.replace(f"small\n{sizes[1]}", f"small\n{int(sizes[1]) - 1}")
    assert first(example, given=Given(older=[forged]))[0] == "signature"


def test_a_witness_cosigns_what_grew_and_refuses_what_was_rewritten(example, shorter, forked, tmp_path):
    (short, held), key = shorter, tmp_path / "w.key"
    options = ["--key", str(key), "--name", "U042.example.org"]
    assert run("witness", str(held), "--key", str(key), "--snapshot", str(short))[0] == Exit.USE
    code, cosigned, said = run("witness", str(held), *options, "--snapshot", str(short))
    assert (code, cosigned.startswith(held.read_text())) == (0, True)
    assert key.stat().st_mode & 0o777 == 0o600
    vkey = note.Signer.load(key).verifier
    assert str(vkey) in said
    late, merged = noted(example, tmp_path / "late"), tmp_path / "cosigned"
    code, out, _ = run("witness", str(late), *options, "--snapshot", str(example))
    merged.write_text(out, encoding="utf-8")
    assert code == 0
    assert early(example, Given(witnesses=[vkey], older=[out]))["witness"] == "ok"
    assert early(example, Given(witnesses=[vkey]))["no_witness"] == "note"
    assert run("witness", str(merged), *options, "--snapshot", str(example))[1] == out
    code, out, said = run("witness", str(held), *options, "--snapshot", str(example))
    assert (code, out, "log_truncated" in said) == (Exit.NO, "", True)
    other = noted(forked, tmp_path / "forked")
    code, _, said = run("witness", str(other), *options, "--snapshot", str(forked))
    assert (code, "log_rewritten" in said) == (Exit.NO, True)
    assert run("witness", str(other), *options, "--snapshot", str(example))[0] == Exit.NO
    assert run("witness", str(held), "--key", str(key), "--name", "another", "--snapshot", str(short))[0] == Exit.NO
    stranger = checkpoint.key(tmp_path / "other.key", "wuxing/small")
    late.write_text(note.sign(checkpoint.body(late.read_text()), stranger), encoding="utf-8")
    code, _, said = run("witness", str(late), *options, "--snapshot", str(example))
    assert (code, "none of the known keys" in said) == (Exit.NO, True)
    (tmp_path / "w.key.seen").write_text("x", encoding="utf-8")
    assert run("witness", str(merged), *options, "--snapshot", str(example))[0] == Exit.NO


# -- The ranker -------------------------------------------------------------------------------------------------------


def ranked(known: Settings, lines: tuple[bytes, ...], before: Any = None, *, upto: int | None = None) -> Any:
    """What the ranker publishes of a ledger without a broker."""
    folder = known.data / "cuts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source, made = folder / "ledger.jsonl", folder / "cut.duckdb"
    source.write_bytes(joined(lines))
    file.fold(source, product.year(product.SHIPPED), target=made).con.close()
    key = checkpoint.log_key(known.data, "small", begun=False)
    return app._rank(Cut(upto or len(lines), str(made)), known, before, key)  # noqa: SLF001 - without a broker


def test_the_ranker_signs_what_it_publishes_and_publishes_no_log_that_was_rewritten(tmp_path):
    known = read({"WUXING_DATA": str(tmp_path), "WUXING_ASSESSMENT": "small"})
    ranking = ranked(known, YEAR[:60])
    path, held = known.snapshots / ranking.snapshot, known.snapshots / "checkpoint.txt"
    assert (tmp_path / "keys" / "log.key").stat().st_mode & 0o777 == 0o600
    vkey, text = (known.snapshots / "log.vkey").read_text().strip(), held.read_text()
    assert failures(path, "--key", vkey, "--checkpoint", str(held)) == []
    grown = ranked(known, YEAR[:70], ranking)
    assert early(known.snapshots / grown.snapshot, Given(older=[text]))["continues"] == "ok"
    assert grown.root in checkpoint.parsed(held.read_text(), held).root.hex()
    for bad in ((YEAR[0], YEAR[2], YEAR[1], *YEAR[3:70]), YEAR[:69]):
        with pytest.raises(LogRewritten):
            ranked(known, bad)
    held.unlink()
    with pytest.raises(LogRewritten):
        ranked(known, (YEAR[0], YEAR[2], YEAR[1], *YEAR[3:70]), grown, upto=70)
    assert make.latest(known.snapshots) == known.snapshots / grown.snapshot


def test_a_new_final_is_published_with_its_difference_to_the_last(tmp_path):
    lines = small(settled=True)
    entry = json.loads(product_entry(lines, tmp_path))
    unit, target = entry["subject"], {"source": entry["source"], "id": entry["id"]}

    def event(identifier: str, source: str, kind: str, subject: str, **data: Any) -> bytes:
        return json.dumps({
            "specversion": "1.0", "id": identifier, "source": source, "type": f"{kind}.v1", "subject": subject,
            "time": "2014-03-01T09:00:00+08:00", "data": data,
        }).encode()  # fmt: skip

    office = f"/offices/{product.BOOK.roles.appeals}"
    appeal = event("late-1", f"/units/{unit}", "appeal.filed", unit, target=target, statement="不服")
    decision = event("late-2", office, "appeal.decided", unit, appeal={"source": f"/units/{unit}", "id": "late-1"},
                     outcome="cancelled", reason="r")  # fmt: skip
    again = event(
        "late-3", f"/offices/{product.BOOK.roles.collector}", "stage.reached", "assessment", stage="finalised"
    )
    known = read({"WUXING_DATA": str(tmp_path), "WUXING_ASSESSMENT": "small"})
    first_final = known.snapshots / ranked(known, lines).snapshot
    code, _, said = product.command("diff", f"{first_final}@final-1", first_final, "--lang", "en")
    assert (code, said) == (Exit.NO, "@final-1: the ledger holds 1 finals\n")
    assert list(known.snapshots.glob("*-final-*")) == []
    path = known.snapshots / ranked(known, (*lines, appeal, decision, again)).snapshot
    code, printed, _ = product.command("diff", f"{path}@final-1", f"{path}@final", "--format", "json")
    made = json.loads((known.snapshots / f"small-final-{len(lines) + 3}.json").read_bytes())
    assert (code, json.loads(printed)) == (Exit.DONE, made)
    moved = {one["unit"]: one for one in made["moved"]}
    assert moved[unit]["events"][-2:] == [len(lines) + 1, len(lines) + 2], "the appeal, the decision"
    assert moved[unit]["before"]["final"] < moved[unit]["after"]["final"]


def product_entry(lines: tuple[bytes, ...], folder: Path) -> bytes:
    """The last deduction of a year that counts in full and was never appealed."""
    (folder / "settled.jsonl").write_bytes(joined(lines))
    found = json.loads(product.command("score", folder / "settled.jsonl")[1])
    assert found["assessment_state"] == "finalised"
    appealed = {line.split(b'"appeal.filed.v1"')[0] for line in lines if b"appeal.filed" in line}
    counted = [row for row in found["entries"] if row["disposition"] == "counted" and row["kind"] == "deduction"]
    told = b"\n".join(line for line in lines if b"appeal.filed" in line)
    assert appealed
    return next(lines[row["seq"] - 1] for row in reversed(counted) if f'"{row["id"]}"'.encode() not in told)


def test_an_empty_log_has_a_checkpoint_and_holds(tmp_path):
    path = written(tmp_path, (), by=note.Signer("wuxing/wenzhou-2013", note.ED25519, signer().private))
    assert failures(path) == []
    with point.snapshot(path) as con:
        assert checkpoint.leaves(con).root() == merkle.EMPTY_ROOT
    checkpoint.check_grown(leaves([1, 2]), Earlier(0, merkle.EMPTY_ROOT))
