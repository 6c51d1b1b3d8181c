"""Verify: the signed checkpoint of a snapshot, its bundles and witnesses, and every tampering found and named."""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from decimal import Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclopts import App
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.receipts import Cut
from services.audit import bundle, recount, standalone, witness
from services.audit import verify as verifying
from services.audit.recount import Failed
from services.audit.verify import Given, Verification
from services.process.ending import Exit, Stop
from services.process.settings import Settings, read
from services.proof import checkpoint, merkle, note
from services.proof.checkpoint import Earlier, Leaves, LogRewritten
from services.ranker import app
from services.scorer import file, rules
from services.snapshot import make, point
from tests import product
from tests.faults.works import until
from tests.product import joined, small
from tests.random_years import years

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.scorer.file import Folded

LONG = os.environ.get("WUXING_TEST") == "long"
untimed = settings(deadline=None, suppress_health_check=list(HealthCheck))

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
            err.write(stop.say("en"))
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
    found: dict[str, str] = {}
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
        said = dict(line.split(" ", 1) for line in (checkpoint.held(con) or "").split("\n")[3:9])
        opened = json.loads(YEAR[0])["data"]
        digests = {name: checkpoint.digest(opened[name]) for name in ("rulebook", "roster")}
        seq, at, raw = con.execute("SELECT seq, epoch_us(recorded_at), raw FROM event WHERE seq = 1").fetchall()[0]
        assert said | digests | {"results": point.meta(con)["digest"], "version": checkpoint.VERSION} == said
        leaf = b"\0" + seq.to_bytes(8, "big") + at.to_bytes(8, "big") + raw
        assert checkpoint.leaves(con).hashes[0] == sha256(leaf).digest()


@pytest.mark.long
def test_a_file_that_was_scored_is_unsigned_and_verify_says_so(tmp_path):
    (tmp_path / "year.jsonl").write_bytes(joined(YEAR))
    path, options = tmp_path / "year.duckdb", ("--reading", "award_tie=include")
    assert product.command("score", tmp_path / "year.jsonl", *options, "--snapshot", path)[0] == 0
    code, found = checked(path)
    assert (code, [line.name for line in found.checks if line.mark == "note"]) == (
        Exit.DONE, ["unsigned", "options", "synthetic"])  # fmt: skip
    assert first(path, given=Given(keys=[signer().verifier]))[0] == "unsigned_though_key"


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
    "no leaves": (["DELETE FROM leaf"], ("leaf", "1")),
}  # fmt: skip


@pytest.mark.every(3)
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
    held = dict(zip(log.sequences, log.hashes, strict=True))

    def named(found: Leaves, pair: frozenset[int] = frozenset()) -> list[tuple[Any, ...]]:
        return [
            (one.name, *one.values)
            for one in verifying.changes(log, found, lambda of, at: {held[at]} if {of, at} == pair else set())
        ]

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
    *((f"UPDATE meta SET value = '{value}' WHERE key = '{key}'", ("meta", key))
      for key, value in (("rulebook_json", "{}"), ("roster_json", "[]"))),
    ("UPDATE meta SET value = '1' WHERE key = 'sequence'", ("meta", "sequence", "1")),
    ("INSERT INTO meta VALUES ('facts', 'x')", ("meta", "facts", "x")),
    ("UPDATE event SET points = 1 WHERE seq = (SELECT min(seq) FROM event WHERE value IS NOT NULL)",
     ("event_misread",)),
    ("UPDATE event SET admission = 'void', void_reason = 'closed' WHERE seq = 2", ("admission", "2", "admission")),
    ("UPDATE rulebook_item SET points = 1 WHERE item = '1.1'", ("rules", "rulebook_item")),
    ("INSERT INTO checkpoint FROM checkpoint", ("table", "checkpoint", "note", "rows", "2", "1")),
    ("INSERT INTO reading_option VALUES ('award_tie', 'include')", ("options", "award_tie=include")),
    ("CREATE TABLE planted (a INT)", ("object", "table", "main.planted", "foreign")),
    ("CREATE VIEW planted_view AS SELECT 1", ("object", "view", "main.planted_view", "foreign")),
    ("CREATE SCHEMA other", ("object", "schema", "other", "foreign")),
    ("CREATE MACRO planted_macro(a) AS a", ("object", "function", "main.planted_macro", "foreign")),
    ("CREATE OR REPLACE MACRO half_up(n, d) AS n // d", ("object", "function", "main.half_up", "other")),
    ("CREATE MACRO list_contains(a, b) AS true", ("object", "function", "main.list_contains", "foreign")),
    ("CREATE OR REPLACE VIEW place AS SELECT 1 AS place", ("object", "view", "main.place", "other")),
    ("DROP VIEW trail", ("object", "view", "main.trail", "missing")),
    ("ALTER TABLE published_reading ADD COLUMN more INT",
     ("object", "table", "main.published_reading", "other")),
    ("CREATE INDEX hidden ON published_unit (unit)", ("object", "index", "main.published_unit.hidden", "foreign")),
]  # fmt: skip


@pytest.mark.parametrize("of_catalogue", [True, False])
def test_everything_forged_is_named_with_what_it_says_and_what_it_comes_to(copied, monkeypatch, of_catalogue):
    monkeypatch.setattr(verifying, "SHOWN", 1000)
    forged = [one for one in FORGED if (one[1][0] == "object") == of_catalogue]
    lines = failures(tampered(copied, *(sql for sql, _ in forged)))
    missing = [sql for sql, expected in forged if not any(line[: len(expected)] == expected for line in lines)]
    assert missing == [], lines


LIES = "DROP TABLE published_unit; CREATE VIEW published_unit AS SELECT 1 AS unit"
ALONE = [
    ("DROP TABLE published_grade", ("object", "table", "main.published_grade", "missing")),
    (LIES, ("object", "table", "main.published_unit", "missing")),
    ("DROP TABLE checkpoint", ("object", "table", "main.checkpoint", "missing")),
    ("DELETE FROM checkpoint", ("no_checkpoint",)),
    ("UPDATE checkpoint SET note = 'x'", ("signature",)),
    *((f"UPDATE checkpoint SET note = replace(note, '{word} ', '{word} 0')", ("signature",))
      for word in ("results", "rulebook", "roster", "version")),
    ("UPDATE checkpoint SET note = split_part(note, '\n\n', 1) || '\n'", ("meta", "log_key")),
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
    (f"DELETE FROM roster {WHERE}", ("rules", "roster")),
]  # fmt: skip


@pytest.mark.every(3)
@pytest.mark.parametrize(("sql", "expected"), ALONE)
def test_what_a_file_cannot_be_without_is_missed_and_what_is_signed_cannot_be_changed(copied, sql, expected):
    failing = (one for one in verifying.of_snapshot(tampered(copied, sql), Given()) if one.mark == "fail")
    assert any((one.name, *map(str, one.values))[: len(expected)] == expected for one in failing)


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


def test_a_key_may_be_given_as_the_file_that_holds_it(example, tmp_path):
    (tmp_path / "log.vkey").write_text(f"{signer().verifier}\n")
    assert run("verify", str(example), "--key", str(tmp_path / "log.vkey"))[0] == Exit.DONE
    (tmp_path / "log.vkey").write_bytes(b"\xff")
    assert run("verify", str(example), "--key", str(tmp_path / "log.vkey"))[0] == Exit.USE


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
    assert early(example, Given(witnesses=[vkey]))["no_witness"] == "fail"
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
    (tmp_path / "w.key.small.seen").write_text("x", encoding="utf-8")
    assert run("witness", str(merged), *options, "--snapshot", str(example))[0] == Exit.NO


def test_a_witness_that_runs_cosigns_what_is_published_and_is_not_ready_where_the_log_was_rewritten(
    example, shorter, forked, tmp_path
):
    key, log = tmp_path / "w.key", tmp_path / "witness.log"

    def publish(snapshot: Path, text: str) -> None:
        copy = Path(shutil.copy(snapshot, tmp_path / "copy.duckdb"))
        make.publish(copy, tmp_path / "site" / "snapshots", f"small-{len(text)}-{snapshot.name}")
        (tmp_path / "site" / "snapshots" / checkpoint.NAME).write_text(text)

    def cosigned(words: str) -> None:
        until("a cosignature", lambda: out.read_text() if out.exists() else "", lambda held: held.startswith(words))

    (short, held), out = shorter, tmp_path / "small.txt"
    late, other = noted(example, tmp_path / "late").read_text(), noted(forked, tmp_path / "forked").read_text()
    (tmp_path / "site" / "snapshots").mkdir(parents=True)
    env = {**os.environ, "WUXING_DATA": str(tmp_path / "site"), "WUXING_ASSESSMENT": "small", "WUXING_LOG": "json"}
    line = [sys.executable, "-m", "services", "witness", "--follow", "--key", str(key), "--name", "w.example.org"]
    with log.open("w") as said, subprocess.Popen(line, env=env, stdout=said, stderr=said) as process:
        try:
            publish(short, held.read_text())
            cosigned(held.read_text())
            publish(example, late)
            cosigned(late)
            assert early(example, Given(witnesses=[note.Signer.load(key).verifier], older=[out.read_text()]))["witness"]
            publish(forked, other)
            until("an alarm", log.read_text, lambda words: "log_rewritten" in words and "not_cosigned" in words)
            assert out.read_text().startswith(late)
        finally:
            process.terminate()
        assert process.wait(30) == 0


# -- Bundles ----------------------------------------------------------------------------------------------------------


def found(made: dict[str, Any]) -> tuple[Any, ...] | None:
    """The first failure that the standalone verifier names, null when all holds."""
    try:
        list(standalone.Unit(json.loads(json.dumps(made)), [], []).check())
    except Failed as failed:
        return failed.args
    return None


@contextlib.contextmanager
def making(folded: Folded) -> Iterator[bundle.Maker]:
    """Makes bundles of what was folded in memory, signed; every third event has a recorded time."""
    folded.con.execute("UPDATE event SET recorded_at = make_timestamp(1388500000000000 + seq) WHERE seq % 3 = 0")
    make.complete(folded.con, folded.year, folded.lines, signer_of(folded))
    yield bundle.Maker(folded.con)


def test_a_bundle_passes_its_verifier_as_a_stranger_runs_it(example, shorter, tmp_path):
    out, (_, held) = tmp_path / "u.json", shorter
    assert run("bundle", UNIT, str(out), "--snapshot", str(example), "--checkpoint", str(held))[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*bundle.VERIFIER, "README.txt", "u.json"])
    command = [sys.executable, "-I", "-S", "verify.py", "u.json", "--lang", "en", "--checkpoint", str(held)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.split()[1].rstrip(":") for line in done.stdout.splitlines()]
    assert names[-2:] == ["placed", "graded"]
    agreed = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("ok   agrees: ")]
    assert agreed == ["published:", "rulebook:", "roster:", "words:"]
    assert failures(out, "--checkpoint", str(held)) == []
    vkey = str(signer().verifier)
    assert "key?" not in [line.name for line in checked(out, "--key", vkey)[1].checks]
    assert vkey in (tmp_path / "README.txt").read_text(encoding="utf-8")
    (tmp_path / "README.txt").write_text("a user's own", encoding="utf-8")
    code, _, said = run("bundle", UNIT, str(out), "--snapshot", str(example))
    assert (code, "README.txt" in said) == (Exit.FAILED, True)


def test_an_item_without_points_is_said_in_the_reader_s_language_alone():
    said = [standalone.said("points", one, en) for one in (("2.1", None, "pending"), ("1.1", "5.000000", "scored"))
            for en in (False, True)]  # fmt: skip
    assert said == ["2.1 得 - 待定", "2.1 comes to - pending", "1.1 得 5.000000", "1.1 comes to 5.000000"]


def test_a_zip_holds_bundle_verifier_and_readme_and_the_cosignatures_of_witnesses(example, tmp_path):
    cosigner = checkpoint.key(tmp_path / "w.key", "w", note.COSIGNATURE)
    text = noted(example, tmp_path / "note").read_text()
    (tmp_path / "note").write_text(note.cosign(text, cosigner, 7), encoding="utf-8")
    out, options = tmp_path / "u.zip", ["--checkpoint", str(tmp_path / "note"), "--witness", str(cosigner.verifier)]
    assert run("bundle", UNIT, str(out), "--snapshot", str(example), "--whole", *options)[0] == 0
    with zipfile.ZipFile(out) as packed:
        assert packed.namelist() == ["bundle.json", *bundle.VERIFIER, "README.txt"]
        assert all("raw" in entry for entry in json.loads(packed.read("bundle.json"))["events"])
    [signed] = [line for line in checked(out)[1].checks if line.name == "signed"]
    assert signed.values[1].endswith(f"w+{cosigner.verifier.id.hex()} @7")
    assert failures(out, "--witness", str(cosigner.verifier)) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["note", "u.zip", "w.key"]


@pytest.mark.long
def test_what_gives_no_bundle_says_why(example, copied, tmp_path):
    out = str(tmp_path / "b.json")
    assert run("bundle", "U999", out, "--snapshot", str(example))[0] == Exit.USE
    assert run("bundle", UNIT, str(tmp_path / "b.txt"), "--snapshot", str(example))[0] == Exit.USE
    plain = written(tmp_path, YEAR[:40])
    code, _, said = run("bundle", UNIT, out, "--snapshot", str(plain))
    assert (code, "--sign" in said) == (Exit.NO, True)
    assert run("bundle", UNIT, out, "--snapshot", str(plain), "--sign", str(tmp_path / "log.key"))[0] == 0
    tampered(copied, "INSERT INTO reading_option VALUES ('step', 'geometric')")
    assert run("bundle", UNIT, out, "--snapshot", str(copied))[0] == Exit.NO
    tampered(copied, "DELETE FROM reading_option", "DELETE FROM event WHERE seq = 3")
    code, _, said = run("bundle", UNIT, out, "--snapshot", str(copied))
    assert (code, "log_truncated" in said) == (Exit.NO, True)


@settings(untimed, max_examples=30 if LONG else 1)
@given(years())
def test_in_any_year_every_unit_s_bundle_passes_with_the_raters_names_and_without(drawn):
    if not drawn.opened:  # what an opening says is not what such a year is scored by
        drawn = replace(drawn, lines=[line for line in drawn.lines if b"assessment.opened" not in line])
    with product.year_folded(drawn) as folded, making(folded) as maker:
        for (unit,) in folded.con.execute("SELECT unit FROM published_unit ORDER BY unit").fetchall():
            assert found(maker.make(unit, whole=True)) is None
            assert found(maker.make(unit)) is None


@cache
def bundled(*, whole: bool = True) -> dict[str, Any]:
    """The bundle of the unit of the small year of which most is told."""
    with product.folded(joined(YEAR), product.SHIPPED) as folded, making(folded) as maker:
        return maker.make(MOST, whole=whole)


ROSTER = [unit["unit"] for unit in json.loads(YEAR[0])["data"]["roster"]]
MOST, OTHER = sorted(ROSTER, key=lambda unit: -joined(YEAR[1:]).count(f'"subject":"{unit}"'.encode()))[:2]


@settings(untimed, max_examples=200 if LONG else 15)
@given(st.data())
def test_each_tampering_of_a_bundle_is_named(data):
    made = bundled()
    size, events = made["size"], made["events"]

    def without(**changes: Any) -> Any:
        return found({**made, **changes})

    at, other = data.draw(st.lists(st.integers(0, len(events) - 1), min_size=2, max_size=2, unique=True))
    one = events[at]
    raw = bytearray(base64.b64decode(one["raw"]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    later = one["recorded"] + data.draw(st.integers(1, 10**12))
    for change in ({"raw": base64.b64encode(raw).decode()}, {"recorded": later}):
        assert without(events=[*events[:at], {**one, **change}, *events[at + 1 :]]) == (
            "event_changed",
            one["sequence"],
        )
    left = events[:at] + events[at + 1 :]
    assert without(events=left) == ("event_left_out", made["unit"], len(events), len(left), [one["sequence"]])
    swapped = list(events)
    swapped[at], swapped[other] = swapped[other], swapped[at]
    assert without(events=swapped)[0] == "events_swapped"
    assert without(size=size + 1) == ("log_truncated", size + 1, size)
    published = copy.deepcopy(made["published"])
    where = data.draw(st.sampled_from([name for name in ("all", "own", "year") if any(published[name].values())]))
    table = data.draw(st.sampled_from([name for name, rows in published[where].items() if rows]))
    row = data.draw(st.sampled_from(published[where][table]))
    row[data.draw(st.integers(0, len(row) - 1))] = "0.123456"
    assert without(published=published)[0] == "published"


@pytest.mark.parametrize("cell", ["0.123456", "9" * 5000, "\u0663", "", 5, ["x"], {}, None])
def test_a_cell_of_what_is_published_that_is_none_is_named(cell):
    made = bundled()
    for where, tables in made["published"].items():
        for table, rows in tables.items() if where in ("all", "own", "year") else ():
            for at in {made["published"]["columns"][table].index(name) for name in ("unit", "seq")
                       if name in made["published"]["columns"][table]} if rows else ():  # fmt: skip
                published = copy.deepcopy(made["published"])
                published[where][table][0][at] = cell
                assert (found({**made, "published": published}) or ())[:1] == ("published",), (where, table, at)


def test_of_raters_that_are_not_named_a_bundle_shows_numbers_and_each_tampering_is_named():
    made, whole = bundled(whole=False), bundled()
    told = [n for n, entry in enumerate(made["events"]) if "told" in entry]
    names = {json.loads(base64.b64decode(whole["events"][n]["raw"]))["data"]["rater"] for n in told}
    assert told
    assert [name for name in names if name in json.dumps(made, ensure_ascii=False)] == []
    assert [name for name, *_ in standalone.Unit(made, [], []).check() if name == "told?"] == ["told?"]
    entry = made["events"][told[0]]

    def changed(**change: Any) -> Any:
        events = [*made["events"]]
        events[told[0]] = {**entry, **change}
        return found({**made, "events": events}) or ()

    assert changed(leaf="0" * 64) == ("event_changed", entry["sequence"])
    assert changed(told={**entry["told"], "id": "another"})[:2] == ("words", entry["sequence"])
    data = {**entry["told"]["data"], "value": "0.5"}
    assert changed(told={**entry["told"], "data": data})[0] in ("cross_unit", "result_forged")
    events = [*made["events"]]
    at = next(n for n, one in enumerate(whole["events"]) if b"deduction" in base64.b64decode(one["raw"]))
    body = json.loads(base64.b64decode(events[at]["raw"]))
    leaf = standalone.Entry(events[at]).leaf.hex()
    events[at] = {
        **{key: events[at][key] for key in ("sequence", "recorded", "index", "proof")},
        "leaf": leaf,
        "told": body,
    }
    assert found({**made, "events": events}) == ("told", MOST), "only ratings are told"


OWN, ANOTHER = (f"WHERE unit = '{unit}'" for unit in (MOST, OTHER))
ENTRY = f"WHERE seq = (SELECT min(seq) FROM published_entry {OWN})"
#: What a publisher may write into what he then signs, and what the unit's bundle says of it.
LIES_SIGNED = [
    (f"UPDATE published_unit SET final = final + 1, final_text = (final + 1)::VARCHAR {OWN}",
     ("result_forged", "final")),
    (f"UPDATE published_unit SET final = final + 1, final_text = (final + 1)::VARCHAR {ANOTHER}",
     ("cross_unit", "final", OTHER)),
    (f"UPDATE published_unit SET place = coalesce(place, 0) + 1 {OWN}", ("place", MOST)),
    (f"UPDATE published_unit SET place = coalesce(place, 0) + 1 {ANOTHER}", ("place", OTHER)),
    (f"UPDATE published_unit SET state = 'left' {OWN}", ()),
    (f"UPDATE published_unit SET state = 'provisionally' {OWN}", ("result_forged", "state")),
    (f"UPDATE published_unit SET flags = ['vetoed:safety'] {OWN}", ("result_forged", "flags")),
    (f"UPDATE published_unit SET unit_group = unit_group || 'x' {OWN}", ()),
    (f"UPDATE published_unit SET category = CASE category WHEN 'A' THEN 'B' ELSE 'A' END {OWN}", ()),
    (f"UPDATE published_item SET points = points + 0.1 {OWN} AND item = '1.1'", ("result_forged", "1.1")),
    (f"UPDATE published_item SET points = points + 0.1 {OWN} AND item = '1.5'", ("cross_unit", "1.5", MOST)),
    (f"UPDATE published_item SET points = points + 0.1 {ANOTHER} AND item = '1.1'", ("cross_unit", "parts", OTHER)),
    (f"UPDATE published_item SET state = 'pending' {OWN} AND item = '1.1'", ("result_forged", "1.1")),
    (f"DELETE FROM published_item {OWN} AND item = '1.2'", ("result_forged", "items")),
    (f"UPDATE published_part SET points = points + 0.1 {OWN} AND part = '1'", ("result_forged", "parts")),
    (f"UPDATE published_part SET points = points + 0.1 {ANOTHER} AND part = '1'", ("cross_unit", "parts", OTHER)),
    ("UPDATE published_grade SET quota = 99 WHERE quota IS NOT NULL", ("grade",)),
    ("UPDATE published_grade SET individuals = 99 WHERE individuals IS NOT NULL", ("grade",)),
    (f"UPDATE published_grade SET units = list_append(units, '{MOST}')", ("grade",)),
    (f"UPDATE published_grade SET undecided = ['{MOST}']", ("grade",)),
    ("DELETE FROM published_grade WHERE grade = 'passed'", ("grade",)),
    ("INSERT INTO published_grade SELECT * REPLACE ('none' AS grade) FROM published_grade LIMIT 1", ("grade",)),
    (f"UPDATE published_unit_grade SET grade = CASE WHEN grade IS NULL THEN 'first' END {ANOTHER}", ("grade",)),
    (f"UPDATE published_value SET value = value - 1 {OWN} AND item = '1.5'", ("cross_unit", "1.5", MOST)),
    (f"DELETE FROM published_value {OWN} AND item = '1.5'", ("cross_unit", "1.5", MOST)),
    (f"DELETE FROM published_value {ANOTHER} AND item = '1.5'", ("cross_unit", "1.5")),
    ("UPDATE published_reading SET value = 'geometric' WHERE name = 'step'",
     ("readings", "step", "linear", "geometric")),
    ("DELETE FROM published_reading WHERE name = 'step'", ("readings", "step", "linear")),
    (f"UPDATE published_entry SET counted = counted + 1 {ENTRY}", ("result_forged",)),
    (f"UPDATE published_entry SET disposition = 'revoked' {ENTRY}", ("words",)),
    (f"UPDATE published_entry SET id = 'another' {ENTRY}", ("words",)),
    (f"DELETE FROM published_entry {ENTRY}", ("words",)),
    (f"UPDATE published_event SET disposition = 'void' {OWN}", ("words",)),
    ("DELETE FROM published_event WHERE seq = 1", ("words", 1)),
    (f"INSERT INTO published_event SELECT * REPLACE (9999 AS seq) FROM published_event {OWN} LIMIT 1", ("words", 9999)),
]  # fmt: skip


def test_what_a_publisher_forges_and_signs_is_named_by_what_the_unit_holds():
    with product.folded(joined(YEAR), product.SHIPPED) as folded, making(folded) as maker:
        con, unseen = folded.con, []
        digest = maker.meta["digest"]
        for sql, expected in LIES_SIGNED:
            con.execute("BEGIN")
            con.execute(sql)
            checkpoint.commit(con, folded.year, digest, list(make.PUBLISHED), checkpoint.VERSION, signer_of(folded), ())
            came = found(bundle.Maker(con).make(MOST))
            con.execute("ROLLBACK")
            if came is None or came[: len(expected)] != expected:
                unseen.append((sql, came))
    assert unseen == []


def signer_of(folded: Folded) -> note.Signer:
    """The key of the log of what was folded."""
    return note.Signer(checkpoint.origin(folded.year.assessment), note.ED25519, signer().private)


@pytest.mark.parametrize("packed", [True, False])
def test_a_bundle_that_comes_to_more_than_any_is_not_read(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(standalone, "MOST", 10_000)
    path, data = tmp_path / "bundle", b"[" + b"[]," * 50_000 + b"[]]"
    path.write_bytes(data)
    if packed:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("bundle.json", data)
        assert path.stat().st_size < 1000
    assert failures(path) == [("too_large", "10000")]


@pytest.mark.parametrize("written", ["1e999999999", "1/3", "0x1", "1_000", "٣", "NaN", "9" * 201, "1.", "", "--1"])
def test_a_number_that_would_fill_the_memory_or_is_none_is_named(written):
    with pytest.raises(Failed) as refused:
        recount.number(written)
    assert refused.value.args == ("number", written[:40])
    with pytest.raises(Failed):
        recount.half_up(recount.ZERO, 999_999_999)


def test_what_the_checkpoint_does_not_say_is_named(tmp_path):
    made = bundled()
    unit, stranger = made["unit"], checkpoint.key(tmp_path / "k", "wuxing/small").verifier
    moved = copy.deepcopy(made["roster"])
    moved[0]["group"] += "x"
    cases: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
        ({"rulebook": {**made["rulebook"], "name": "x"}}, ("rulebook",)),
        ({"roster": moved}, ("rulebook",)),  # the opening and the bundle differ
        ({"version": "wuxing-bundle-1"}, ("version",)),
        ({"published": {**made["published"], "private": {}}}, ("published",)),
        ({"unit": OTHER}, ("published",)),
        ({"keys": [str(stranger)]}, ("signature", "wuxing/small")),
        ({"checkpoint": made["checkpoint"].replace("version ", "version 9")}, ("signature",)),
        ({"year_events": made["year_events"][:-1]}, ("event_left_out", "assessment")),
    ]
    for change, expected in cases:
        assert (found({**made, **change}) or ())[: len(expected)] == expected, change.keys()
    forged = copy.deepcopy(made)
    forged["commitments"]["unit"]["count"] -= 1
    del forged["events"][-1]
    assert found(forged) == ("commitment", unit)


def test_an_id_that_another_unit_s_event_holds_is_proved_by_that_event_and_a_number_of_any_size_spoils_nothing():
    """Python refuses to read integers of over 4,300 digits; the contract keeps unknown attributes as they are."""

    def said(subject: str, matter: str, more: bytes = b"") -> bytes:
        data = {"item": "1.1", "matter": matter, "ground": "criticised", "reason": "r"}
        return json.dumps({
            "specversion": "1.0", "id": "same", "source": "/offices/ducha", "type": "deduction.recorded.v1",
            "subject": subject, "time": "2013-05-06T09:30:00+08:00", "data": data,
        }).encode().replace(b"{", b"{" + more, 1)  # fmt: skip

    other, unit = (row["unit"] for row in json.loads(YEAR[0])["data"]["roster"][:2])
    lines = (YEAR[0], said(other, "M7"), said(unit, "M8", b'"extra": %s, ' % (b"9" * 5001)))
    with product.folded(joined(lines), product.SHIPPED) as folded, making(folded) as maker:
        made, told = maker.make(unit, whole=True), maker.make(unit)
    assert (found(made), found(told)) == (None, None)
    assert [entry["sequence"] for entry in made["held"]] == [2]
    assert b"M7" not in b"".join(base64.b64decode(entry.get("raw", "")) for entry in told["held"])
    assert "M7" not in json.dumps(told), "no other unit's matters"
    assert ["1.1", "5.000000"] in [line[1:3] for line in map(list, standalone.Unit(made, [], []).check())]
    assert found({**made, "held": []}) == ("words", 3, None, ("/offices/ducha", "same", "deduction.recorded", ""))
    forged = {**made["held"][0], "raw": base64.b64encode(said(other, "M9")).decode()}
    assert found({**made, "held": [forged]}) == ("event_changed", 2)


# -- The ranker -------------------------------------------------------------------------------------------------------


def ranked(known: Settings, lines: tuple[bytes, ...], before: Any = None, *, upto: int | None = None) -> Any:
    """What the ranker publishes of a ledger without a broker."""
    folder = known.data / "cuts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source, made = folder / "ledger.jsonl", folder / "cut.duckdb"
    source.write_bytes(joined(lines))
    con = file.fold(source, product.year(product.SHIPPED), target=made).con
    with rules.compute(con, upto="own_points"):
        con.execute("CREATE TABLE main.unit_item AS FROM own_points")
    root = checkpoint.leaves(con).root().hex()
    con.close()
    key, digest = checkpoint.log_key(known.data, "small", begun=False), sha256(made.read_bytes()).hexdigest()
    return app._rank(Cut(upto or len(lines), str(made), digest, root), known, before, key)  # noqa: SLF001 - without a broker


@pytest.mark.long
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


@pytest.mark.long
def test_a_new_final_is_published_with_its_difference_to_the_last(tmp_path):
    lines = small(settled=True)
    entry = json.loads(largest(lines, tmp_path))
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
    assert (code, said) == (Exit.NO, "@final-1: finals in the ledger: 1\n")
    assert list(known.snapshots.glob("*-final-*")) == []
    path = known.snapshots / ranked(known, (*lines, appeal, decision, again)).snapshot
    code, printed, _ = product.command("diff", f"{path}@final-1", f"{path}@final", "--format", "json")
    made = json.loads((known.snapshots / f"small-final-{len(lines) + 3}.json").read_bytes())
    assert (code, json.loads(printed)) == (Exit.DONE, made)
    moved = {one["unit"]: one for one in made["moved"]}
    assert moved[unit]["events"][-2:] == [len(lines) + 1, len(lines) + 2], "the appeal, the decision"
    assert Decimal(moved[unit]["before"]["final"]) < Decimal(moved[unit]["after"]["final"])


#: Of an item with such an entry another entry takes what the cancelled one gives back.
AT_THE_BOUND = ("counted_in_part", "no_effect")


def largest(lines: tuple[bytes, ...], folder: Path) -> bytes:
    """The largest deduction that counts in full and was never appealed, of an item that is not at its bound."""
    (folder / "settled.jsonl").write_bytes(joined(lines))
    found = json.loads(product.command("score", folder / "settled.jsonl")[1])
    assert found["assessment_state"] == "finalised"
    counted = [row for row in found["entries"] if row["disposition"] == "counted" and row["kind"] == "deduction"]
    told = b"\n".join(line for line in lines if b"appeal.filed" in line)
    bound = {(row["unit"], row["item"]) for row in found["entries"] if row["disposition"] in AT_THE_BOUND}
    free = [row for row in counted if f'"{row["id"]}"'.encode() not in told and (row["unit"], row["item"]) not in bound]
    seq: int = max(free, key=lambda row: Decimal(row["counted"]))["seq"]
    return lines[seq - 1]


@pytest.mark.long
def test_an_empty_log_has_a_checkpoint_and_holds(tmp_path):
    path = written(tmp_path, (), by=note.Signer("wuxing/wenzhou-2013", note.ED25519, signer().private))
    assert failures(path) == []
    with point.snapshot(path) as con:
        assert checkpoint.leaves(con).root() == merkle.EMPTY_ROOT
    checkpoint.check_grown(leaves([1, 2]), Earlier(0, merkle.EMPTY_ROOT))


@pytest.mark.parametrize(
    ("log", "published", "grown"),
    [
        ([1, 2], [1, 2], True), ([1, 2, 3], [1, 2], True), ([1, 3], [1, 2], False), ([1, 3, 3], [1, 2], False),
        ([1], [1, 2], False),
    ],
)  # fmt: skip
def test_a_log_begins_with_what_was_published_also_at_the_same_size(log: list[int], published: list[int], grown: bool):
    earlier = Earlier(len(published), leaves(published).root())
    with contextlib.nullcontext() if grown else pytest.raises(LogRewritten):
        checkpoint.check_grown(leaves(log), earlier)
