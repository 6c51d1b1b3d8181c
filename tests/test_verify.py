"""Verify: the signed checkpoint of a snapshot, its bundles and witnesses, and every tampering found and named."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclopts import App
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services import rules
from services.audit import bundle, checkpoint, merkle, note, point, verifier, witness
from services.audit import verify as verifying
from services.audit.checkpoint import Earlier, Leaves, LogRewritten
from services.audit.verify import Given, Verification
from services.outcome import Exit, Stop
from services.ranker import app, snapshot
from services.scorer import file, store
from services.scorer.app import Cut
from services.settings import read
from tests import product
from tests.nasty import nasty_year, years
from tests.test_appeals import THREE, complete
from tests.test_oracle import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = os.environ.get("WUXING_TEST") == "long"
EXAMPLE = Path(__file__).parent / "regulation" / "worked-example" / "events.jsonl"
untimed = settings(deadline=None, suppress_health_check=list(HealthCheck))


def signer_of(folder: Path) -> note.Signer:
    return checkpoint.key(folder / "log.key", "wuxing/wenzhou-2013")


def written(folder: Path, data: bytes, roster: Any, *, signed: bool = True, name: str = "s.duckdb") -> Path:
    """A snapshot file of the bytes of an export, signed by the folder's key."""
    source, target = folder / f"{name}.jsonl", folder / name
    source.write_bytes(data)
    folded = file.fold(source, product.year(roster), target=target)
    snapshot.complete(folded.con, folded.year, folded.lines, signer_of(folder) if signed else None)
    folded.con.execute("CHECKPOINT")
    folded.con.close()
    return target


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example's year as a signed snapshot that nobody writes to."""
    path = written(tmp_path_factory.mktemp("proof"), EXAMPLE.read_bytes(), product.SHIPPED)
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
    return code, out.buffer.getvalue().decode(), err.getvalue()  # type: ignore[attr-defined]


def failures(path: Path, *options: str) -> list[tuple[str, ...]]:
    """What does not hold: each finding's name and what it names."""
    code, found = checked(path, *options)
    lines = [(line.name, *line.values) for line in found.checks if line.mark == "fail"]
    assert code == (Exit.NO if lines else Exit.DONE)
    assert found.holds == (not lines)
    return lines


def first(path: Path, *names: str) -> tuple[Any, ...]:
    """The first thing that does not hold, of these names when there are any; nothing after it is checked."""
    found = (one for one in verifying.of_snapshot(path, Given()) if one.mark == "fail")
    return next((one.name, *map(str, one.values)) for one in found if not names or one.name in names)


def names(path: Path, mark: str, *options: str) -> list[str]:
    return [line.name for line in checked(path, *options)[1].checks if line.mark == mark]


def test_a_signed_snapshot_holds_and_says_what_its_key_is(example, tmp_path):
    assert failures(example) == []
    vkey = str(signer_of(example.parent).verifier)
    assert names(example, "note") == ["key", "synthetic"]
    assert names(example, "note", "--key", vkey) == ["synthetic"]
    stranger = str(checkpoint.key(tmp_path / "other.key", "wuxing/wenzhou-2013").verifier)
    assert failures(example, "--key", stranger)[0][0] == "signature"
    for lang, last in (("en", "everything holds"), ("zh", "全部相符")):
        code, out, _ = run("verify", str(example), "--lang", lang)
        assert (code, last in out.splitlines()[-1]) == (0, True)
        assert "signed by" in out.splitlines()[-1] or "签名" in out.splitlines()[-1]


def test_a_file_that_was_scored_is_unsigned_and_verify_says_so(tmp_path):
    path = written(tmp_path, EXAMPLE.read_bytes(), product.SHIPPED, signed=False)
    assert failures(path) == []
    assert names(path, "note") == ["unsigned", "synthetic"]
    vkey = str(signer_of(tmp_path).verifier)
    assert [one[0] for one in failures(path, "--key", vkey)] == ["unsigned_though_key"]


def test_a_reading_put_over_the_adopted_ones_is_named_and_judges_no_event_anew(tmp_path):
    units = [{"unit": f"U{n}", "name": f"N{n}", "category": "B", "group": "G"} for n in range(1, 21)]
    pages = complete(units)
    pages.add("chuangjian", "stage.reached", "assessment", stage="finalised")
    (tmp_path / "roster.csv").write_text("unit,name,category,group\n" + "".join(
        f"{one['unit']},{one['name']},B,G\n" for one in units))  # fmt: skip
    (tmp_path / "year.jsonl").write_bytes(b"\n".join(pages.lines))
    path = tmp_path / "year.duckdb"
    asked = ("--roster", tmp_path / "roster.csv", "--reading", "award_tie=include", "--snapshot", path)
    assert product.command("score", tmp_path / "year.jsonl", *asked)[0] == 0
    with store.connect(path, read_only=True) as con:
        assert con.execute("SELECT void_detail FROM event WHERE stage = 'finalised'").fetchall() == [("tie 40",)]
    assert failures(path) == []
    assert "options" in names(path, "note")


# -- The five tamperings of a snapshot --------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["value", "rater", "specversion"])
def test_one_byte_of_one_event_changed_is_named(copied, column):
    con = duckdb.connect(str(copied))
    seq, raw = con.execute(
        "SELECT seq, raw FROM event WHERE type = 'rating.recorded.v1' ORDER BY seq LIMIT 1"
    ).fetchall()[0]
    at = raw.index(f'"{column}":'.encode()) + len(column) + 4
    con.execute("UPDATE event SET raw = ? WHERE seq = ?", [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], seq])
    con.close()
    assert first(copied) == ("event_changed", str(seq))


def test_of_a_log_that_does_not_hold_no_result_is_called_forged(copied):
    code, found = checked(tampered(copied, "DELETE FROM event WHERE seq = 7"))
    assert (code, [line.name for line in found.checks if line.mark == "fail"]) == (
        Exit.NO, ["event_left_out", "commitment"])  # fmt: skip
    assert "not_recomputed" in [line.name for line in found.checks]


def test_an_event_left_out_is_named(copied):
    assert first(tampered(copied, "DELETE FROM event WHERE seq = 7")) == ("event_left_out", "7")


def test_an_event_left_out_of_the_leaves_too_is_named_by_the_results(copied):
    tampered(copied, "DELETE FROM event WHERE seq = 7", "DELETE FROM leaf WHERE seq = 7")
    assert first(copied) == ("event_left_out", "7")


def test_two_events_swapped_are_named_however_they_are_swapped(copied, example):
    tampered(copied, "UPDATE event SET seq = CASE seq WHEN 5 THEN 9 ELSE 5 END WHERE seq IN (5, 9)")
    assert first(copied) == ("events_swapped", "5", "9")
    shutil.copyfile(example, copied)
    other = "(SELECT 14 - seq AS seq, raw FROM event WHERE seq IN (5, 9))"
    swap = f"UPDATE event SET raw = o.raw FROM {other} o WHERE o.seq = event.seq"
    assert first(tampered(copied, swap)) == ("events_swapped", "5", "9")


def test_a_truncated_log_is_named(copied):
    count = EXAMPLE.read_bytes().count(b"\n")
    tampered(copied, f"DELETE FROM event WHERE seq > {count - 6}")
    assert first(copied) == ("log_truncated", str(count), str(count - 6))
    tampered(copied, f"DELETE FROM leaf WHERE seq > {count - 6}")
    assert first(copied) == ("log_truncated", str(count), str(count - 6))


def test_an_event_that_the_log_does_not_have_is_named(copied):
    another = "SELECT * REPLACE (999 AS seq, 'new' AS id, raw || ' '::BLOB AS raw) FROM event WHERE seq = 5"
    tampered(copied, f"INSERT INTO event {another}")
    assert first(copied) == ("event_added", "999")


FORGED = [
    ("UPDATE published_unit SET final = 12 WHERE unit = 'U042'",
     ("published_unit", "U042", "final", "12.00000000", "10.35290000")),
    ("UPDATE published_unit SET place = 99 WHERE unit = 'U042'", ("published_unit", "U042", "place")),
    ("UPDATE published_item SET points = 5 WHERE unit = 'U042' AND item = '1.1'",
     ("published_item", "U042 1.1", "points", "5.000000", "1.000000")),
    ("UPDATE published_award SET quota = 99 WHERE award = 'first'", ("published_award", "first B", "quota", "99")),
    ("UPDATE published_event SET disposition = 'void' WHERE seq = 8", ("published_event", "8", "disposition", "void")),
    ("UPDATE published_deduction SET counted = 0 WHERE seq = 1", ("published_deduction", "1", "counted")),
    ("UPDATE published_deduction SET why_zh = '' WHERE seq = 1", ("published_deduction", "1", "why_zh", "")),
    ("UPDATE published_reading SET value = 'geometric' WHERE name = 'step'",
     ("published_reading", "step", "value", "geometric")),
    ("DELETE FROM published_unit WHERE unit = 'U043'", ("published_unit", "U043", "rows", "0", "1")),
    ("INSERT INTO published_unit SELECT * FROM published_unit WHERE unit = 'U044'",
     ("published_unit", "U044", "rows", "2", "1")),
]  # fmt: skip


def test_forged_result_rows_are_named_with_what_they_say_and_what_they_come_to(copied):
    lines = failures(tampered(copied, *(sql for sql, _ in FORGED)))
    assert {line[0] for line in lines} == {"result_forged"}
    for sql, expected in FORGED:
        assert any(line[1 : 1 + len(expected)] == expected for line in lines), sql


@pytest.mark.parametrize("sql", ["DROP TABLE published_award", "ALTER TABLE published_unit DROP COLUMN final"])
def test_a_published_table_that_is_not_there_is_named(copied, sql):
    assert first(tampered(copied, sql))[:3] == ("object", "table", f"main.{sql.split()[2]}")


OTHER = [
    ("UPDATE event SET value = 1 WHERE seq = (SELECT min(seq) FROM event WHERE value IS NOT NULL)", "event_misread"),
    ("UPDATE event SET admission = 'void', void_reason = 'closed' WHERE seq = 1", "admission"),
    ("UPDATE rulebook_item SET points = 1 WHERE item = '1.1'", "rules"),
    ("UPDATE roster SET category = 'A' WHERE unit = 'U042'", "result_forged"),
    ("UPDATE rulebook_json SET json = replace(json, '四', '五')", "rulebook"),
    ("UPDATE rulebook_json SET json = '[1'", "rulebook"),
    ("UPDATE meta SET value = repeat('0', 64) WHERE key = 'digest'", "meta"),
    ("UPDATE meta SET value = repeat('0', 64) WHERE key = 'root'", "meta"),
    ("UPDATE meta SET value = 'false' WHERE key = 'synthetic'", "meta"),
    ("UPDATE meta SET value = replace(value, '四', '五') WHERE key = 'rulebook_json'", "rulebook"),
    ("UPDATE meta SET value = 'other' WHERE key = 'assessment'", "origin"),
    ("UPDATE meta SET value = 'x' WHERE key = 'log_key'", "signature"),
    ("UPDATE checkpoint SET note = 'x'", "signature"),
    ("UPDATE checkpoint SET note = replace(note, 'results ', 'results 0')", "signature"),
    ("UPDATE checkpoint SET note = replace(note, 'rulebook a', 'rulebook b')", "signature"),
    ("INSERT INTO reading_option VALUES ('step', 'geometric')", "options"),
    ("DELETE FROM roster WHERE unit = 'U105'", "not_admissible"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "name"), OTHER)
def test_whatever_else_is_changed_is_named(copied, sql, name):
    with duckdb.connect(str(copied)) as con:
        texts = "SELECT note FROM checkpoint UNION ALL SELECT json FROM rulebook_json"
        before = con.execute(texts).fetchall()
        con.execute(sql)
        assert "replace(" not in sql or "meta" in sql or con.execute(texts).fetchall() != before
    assert first(copied, name)[0] == name


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


@untimed
@given(st.lists(st.binary(max_size=3), min_size=2, max_size=30, unique=True), st.data())
def test_of_any_log_each_single_tampering_is_named_as_what_it_is(raws, data):
    seqs = list(range(1, len(raws) + 1))

    def log(found: list[tuple[int, bytes]]) -> Leaves:
        return Leaves([seq for seq, _ in found], [], [merkle.event_leaf(seq, None, raw) for seq, raw in found])

    def named(found: list[tuple[int, bytes]]) -> list[tuple[Any, ...]]:
        held = dict(found)
        moved = verifying.changes(log(true), log(found), lambda of, at: {merkle.event_leaf(at, None, held[of])})
        return [(one.name, *one.values) for one in moved]

    true = list(zip(seqs, raws, strict=True))
    at, other = sorted(data.draw(st.lists(st.integers(0, len(raws) - 1), min_size=2, max_size=2, unique=True)))
    assert named(true) == []
    assert named([*true[:at], (at + 1, b"other"), *true[at + 1 :]]) == [("event_changed", at + 1)]
    assert named([*true[:other], *true[other + 1 :]]) == [
        ("event_left_out", other + 1) if other + 1 < len(raws) else ("log_truncated", len(raws), other)
    ]
    assert named(true[: at + 1]) == [("log_truncated", len(raws), at + 1)] * (at + 1 < len(raws))
    assert named([*true, (99, b"new")]) == [("event_added", 99)]
    swapped = dict(true) | {at + 1: raws[other], other + 1: raws[at]}
    assert named(list(swapped.items())) == [("events_swapped", at + 1, other + 1)]


# -- Earlier checkpoints, witnesses -----------------------------------------------------------------------------------


def part(folder: Path, lines: int, name: str) -> Path:
    """A note of the first lines of the worked example, in a file."""
    data = b"".join(EXAMPLE.read_bytes().splitlines(keepends=True)[:lines])
    made = written(folder, data, product.SHIPPED, name=f"{name}.duckdb")
    with store.connect(made, read_only=True) as con:
        (folder / name).write_text(checkpoint.held(con) or "", encoding="utf-8")
    return folder / name


def test_a_log_that_grew_continues_a_checkpoint_held_and_one_rewritten_does_not(example, tmp_path):
    early = part(example.parent, 100, "early")
    assert "continues" in names(example, "ok", "--checkpoint", str(early))
    same = tmp_path / "same"
    with point.snapshot(example) as con:
        same.write_text(checkpoint.held(con) or "", encoding="utf-8")
    assert failures(example, "--checkpoint", str(same)) == []
    shorter = example.parent / "early.duckdb"
    assert failures(shorter, "--checkpoint", str(same)) == [("log_truncated", same.read_text().split("\n")[1], "100")]
    shutil.copyfile(example.parent / "log.key", tmp_path / "log.key")
    (tmp_path / "log.key").chmod(0o600)
    lines = EXAMPLE.read_bytes().splitlines()
    rewritten = written(tmp_path, b"\n".join([lines[1], lines[0], *lines[2:]]), product.SHIPPED)
    assert failures(rewritten, "--checkpoint", str(early)) == [("log_rewritten", "100")]
    stranger = part(tmp_path, 100, "stranger")
    stranger.write_text(stranger.read_text().replace("2013\n100", "2013\n99"), encoding="utf-8")
    assert [one[0] for one in failures(example, "--checkpoint", str(stranger))] == ["signature"]


def test_a_witness_cosigns_what_grew_and_refuses_what_was_rewritten(example, tmp_path):
    early, key = part(example.parent, 100, "first"), tmp_path / "w.key"
    short = example.parent / "first.duckdb"
    options = ["--key", str(key), "--name", "U042.example.org"]
    assert run("witness", str(early), "--key", str(key), "--snapshot", str(short))[0] == Exit.USE
    code, cosigned, said = run("witness", str(early), *options, "--snapshot", str(short))
    assert (code, cosigned.startswith(early.read_text())) == (0, True)
    assert key.stat().st_mode & 0o777 == 0o600
    vkey = str(note.Signer.load(key).verifier)
    assert vkey in said
    late, merged = tmp_path / "late", tmp_path / "cosigned"
    with point.snapshot(example) as con:
        late.write_text(checkpoint.held(con) or "", encoding="utf-8")
    code, out, _ = run("witness", str(late), *options, "--snapshot", str(example))
    merged.write_text(out, encoding="utf-8")
    assert code == 0
    assert "witness" in names(example, "ok", "--witness", vkey, "--checkpoint", str(merged))
    assert failures(example, "--witness", vkey)[0][0] == "no_witness"
    assert run("witness", str(merged), *options, "--snapshot", str(example))[1] == out
    code, out, said = run("witness", str(early), *options, "--snapshot", str(example))
    assert (code, out, "log_truncated" in said) == (Exit.NO, "", True)
    assert run("witness", str(early), "--key", str(key), "--name", "another", "--snapshot", str(short))[0] == Exit.NO


def test_a_witness_refuses_a_history_that_is_another(example, tmp_path):
    shutil.copyfile(example.parent / "log.key", tmp_path / "log.key")
    (tmp_path / "log.key").chmod(0o600)
    early, options = part(example.parent, 100, "one"), ["--key", str(tmp_path / "w.key"), "--name", "w"]
    assert run("witness", str(early), *options, "--snapshot", str(example))[0] == 0
    lines = EXAMPLE.read_bytes().splitlines()
    other = written(tmp_path, b"\n".join([lines[1], lines[0], *lines[2:]]), product.SHIPPED)
    forked = tmp_path / "forked"
    with point.snapshot(other) as con:
        forked.write_text(checkpoint.held(con) or "", encoding="utf-8")
    code, _, said = run("witness", str(forked), *options, "--snapshot", str(other))
    assert (code, "log_rewritten" in said) == (Exit.NO, True)
    assert run("witness", str(forked), *options, "--snapshot", str(example))[0] == Exit.NO
    (tmp_path / "log.key").unlink()
    strange = part(tmp_path, 120, "strange")
    code, _, said = run("witness", str(strange), *options, "--snapshot", str(tmp_path / "strange.duckdb"))
    assert (code, "none of the known keys" in said) == (Exit.NO, True)
    (tmp_path / "w.key.seen").write_text("x", encoding="utf-8")
    assert run("witness", str(early), *options, "--snapshot", str(example))[0] == Exit.NO


# -- Bundles ----------------------------------------------------------------------------------------------------------


def found(made: dict[str, Any]) -> tuple[Any, ...] | None:
    """The first failure that the standalone verifier names, null when all holds."""
    try:
        list(verifier.Unit(json.loads(json.dumps(made)), [], []).check())
    except verifier.Failed as failed:
        return failed.args
    return None


def test_a_bundle_passes_its_verifier_as_a_stranger_runs_it(example, tmp_path):
    early = part(example.parent, 100, "held")
    out = tmp_path / "U042.json"
    assert run("bundle", "U042", str(out), "--snapshot", str(example), "--checkpoint", str(early))[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.txt", "U042.json", "verify.py"]
    command = [sys.executable, "-I", "-S", "verify.py", "U042.json", "--lang", "en", "--checkpoint", str(early)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "ok   points: final comes to 10.35290000"
    assert failures(out, "--checkpoint", str(early)) == []
    vkey = str(signer_of(example.parent).verifier)
    assert "key?" not in names(out, "note", "--key", vkey)
    assert vkey in (tmp_path / "README.txt").read_text(encoding="utf-8")
    assert run("bundle", "U042", str(out), "--snapshot", str(example))[0] == 0
    (tmp_path / "README.txt").write_text("a user's own", encoding="utf-8")
    code, _, said = run("bundle", "U042", str(out), "--snapshot", str(example))
    assert (code, "README.txt" in said) == (Exit.FAILED, True)


def test_a_zip_holds_bundle_verifier_and_readme(example, tmp_path):
    out = tmp_path / "U042.zip"
    assert run("bundle", "U042", str(out), "--snapshot", str(example))[0] == 0
    with zipfile.ZipFile(out) as packed:
        assert packed.namelist() == ["bundle.json", "verify.py", "README.txt"]
        made = json.loads(packed.read("bundle.json"))
    others = json.dumps([made["events"], made["published"]["own"], made["published"]["year"]])
    assert "U043" not in others, "no word of another unit"
    assert failures(out) == []
    assert [path.name for path in tmp_path.iterdir()] == ["U042.zip"]


def test_a_bundle_brings_the_cosignatures_of_witnesses(example, tmp_path):
    with point.snapshot(example) as con:
        text = checkpoint.held(con) or ""
    cosigner = checkpoint.key(tmp_path / "w.key", "w", note.COSIGNATURE)
    (tmp_path / "note").write_text(note.cosign(text, cosigner, 7), encoding="utf-8")
    options = ["--checkpoint", str(tmp_path / "note"), "--witness", str(cosigner.verifier)]
    out = tmp_path / "b.zip"
    assert run("bundle", "U042", str(out), "--snapshot", str(example), *options)[0] == 0
    [signed] = [line for line in checked(out)[1].checks if line.name == "signed"]
    assert signed.values[1].endswith(f"w+{cosigner.verifier.id.hex()} @7")
    assert failures(out, "--witness", str(cosigner.verifier)) == []


def test_what_gives_no_bundle_says_why(example, copied, tmp_path):
    out = str(tmp_path / "b.json")
    assert run("bundle", "U999", out, "--snapshot", str(example))[0] == Exit.USE
    assert run("bundle", "U042", str(tmp_path / "b.txt"), "--snapshot", str(example))[0] == Exit.USE
    plain = written(tmp_path, EXAMPLE.read_bytes(), product.SHIPPED, signed=False)
    code, _, said = run("bundle", "U042", out, "--snapshot", str(plain))
    assert (code, "--sign" in said) == (Exit.NO, True)
    assert run("bundle", "U042", out, "--snapshot", str(plain), "--sign", str(tmp_path / "log.key"))[0] == 0
    tampered(copied, "INSERT INTO reading_option VALUES ('step', 'geometric')")
    assert run("bundle", "U042", out, "--snapshot", str(copied))[0] == Exit.NO
    tampered(copied, "DELETE FROM reading_option", "DELETE FROM event WHERE seq = 3")
    code, _, said = run("bundle", "U042", out, "--snapshot", str(copied))
    assert (code, "log_truncated" in said) == (Exit.NO, True)


@cache
def key() -> note.Signer:
    return note.Signer("wuxing/wenzhou-2013", note.ED25519, Ed25519PrivateKey.from_private_bytes(b"\1" * 32))


@contextmanager
def making(data: bytes, roster: Any) -> Iterator[bundle.Maker]:
    """Makes bundles of the bytes of a file, folded in memory and signed."""
    with product.folded(data, roster) as folded:
        snapshot.complete(folded.con, folded.year, folded.lines, key())
        yield bundle.Maker(folded.con)


@settings(untimed, max_examples=30 if LONG else 5)
@given(years(units=8, events=150))
def test_in_any_year_every_unit_s_bundle_passes(year):
    with making(*year) as maker:
        for unit in maker.roster:
            assert found(maker.make(unit)) is None


@settings(untimed, max_examples=60 if LONG else 8)
@given(years(units=6, events=120), st.data())
def test_in_any_year_each_of_the_five_tamperings_of_a_bundle_is_named(year, data):
    with making(*year) as maker:
        unit = data.draw(st.sampled_from(sorted(maker.roster)))
        made = maker.make(unit)
    size, events = made["size"], made["events"]

    def without(**changes: Any) -> tuple[Any, ...] | None:
        return found({**made, **changes})

    forged = copy.deepcopy(made["stated"])
    forged["final"] = "1" + forged["final"]
    assert without(stated=forged)[:2] == ("result_forged", "final")
    published = copy.deepcopy(made["published"])
    rows = published[
        data.draw(st.sampled_from([key for key in ("all", "own", "year") if any(made["published"][key].values())]))
    ]
    row = data.draw(st.sampled_from([row for table in rows.values() for row in table]))
    at = data.draw(st.integers(0, len(row) - 1))
    row[at] = f"{row[at]}1"
    assert without(published=published)[0] in ("published", "event_left_out")
    assert without(size=size + 1) == ("log_truncated", size + 1, size)
    if not events:
        return
    at = data.draw(st.integers(0, len(events) - 1))
    raw = bytearray(base64.b64decode(events[at]["raw"]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = {**events[at], "raw": base64.b64encode(raw).decode()}
    assert without(events=[*events[:at], changed, *events[at + 1 :]]) == ("event_changed", events[at]["sequence"])
    left = events[:at] + events[at + 1 :]
    assert without(events=left)[:4] == ("event_left_out", unit, len(events), len(left))
    last = max(entry["index"] for entry in events)
    assert last == size or without(size=last) == ("log_truncated", size, last)
    if len(events) > 1:
        other = data.draw(st.integers(0, len(events) - 1).filter(lambda n: n != at))
        swapped = list(events)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        assert without(events=swapped)[0] == "events_swapped"


@settings(untimed, max_examples=20 if LONG else 2)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_any_year_s_snapshot_holds_and_each_tampering_of_it_is_named(seed, opened, data):
    lines, roster = nasty_year(seed, 6, 120, 0.05, opened=opened)
    with tempfile.TemporaryDirectory() as name:
        path = written(Path(name), lines, roster)
        assert [one for one in verifying.of_snapshot(path, Given()) if one.mark == "fail"] == []
        with store.connect(path, read_only=True) as con:
            rows = con.execute("SELECT seq, raw FROM event ORDER BY seq").fetchall()
        raws = [raw for _, raw in rows]
        pick = st.integers(0, len(rows) - 1)
        a, b = sorted(data.draw(st.lists(pick, min_size=2, max_size=2, unique_by=lambda n: raws[n])))
        at, last = rows[a][0], rows[-1][0]
        cases = {
            "event_changed": [f"UPDATE event SET raw = raw || ' '::BLOB WHERE seq = {at}"],
            "event_left_out": [f"DELETE FROM event WHERE seq = {at}"],
            "events_swapped": [f"UPDATE event SET seq = {at} + {rows[b][0]} - seq WHERE seq IN ({at}, {rows[b][0]})"],
            "log_truncated": [f"DELETE FROM event WHERE seq = {last}"],
            "result_forged": ["UPDATE published_unit SET final = final + 1"],
        }
        for expected, sql in cases.items():
            copied = Path(name) / f"{expected}.duckdb"
            shutil.copyfile(path, copied)
            tampered(copied, *sql)
            first = next(one for one in verifying.of_snapshot(copied, Given()) if one.mark == "fail")
            assert first.name == expected or raws.count(raws[a]) > 1


# -- The ranker -------------------------------------------------------------------------------------------------------


def cut(folder: Path, data: bytes, roster: Any = product.SHIPPED) -> Cut:
    """What the scorer hands over for the bytes of a ledger."""
    shutil.rmtree(folder / "cuts", ignore_errors=True)
    (folder / "cuts").mkdir()
    source, made = folder / "cuts" / "ledger.jsonl", folder / "cuts" / "cut.duckdb"
    source.write_bytes(data)
    con = file.fold(source, product.year(roster), target=made).con
    with rules.compute(con, upto="own_points"):
        con.execute("CREATE TABLE main.unit_item AS FROM own_points")
    con.close()
    return Cut(data.count(b"\n"), str(made), hashlib.sha256(made.read_bytes()).hexdigest())


def test_a_new_final_is_published_with_its_difference_to_the_last(tmp_path):
    pages = Pages()
    pages.add("ducha", "deduction.recorded", "U2", "d", item="1.1", matter="M", ground="criticised", reason="r")
    pages.lines += complete().lines
    pages.add("chuangjian", "stage.reached", "assessment", "f1", stage="finalised")
    last = len(pages.lines)
    appeal = pages.appeal("ducha", "d", "U2")
    pages.decide(appeal, "cancelled", "U2")
    roster = "unit,name,category,group\n" + "".join(f"{','.join(unit.values())}\n" for unit in THREE)
    (tmp_path / "roster.csv").write_text(roster, encoding="utf-8")
    known = read({"WUXING_DATA": str(tmp_path), "WUXING_ROSTER": str(tmp_path / "roster.csv")})

    def ranked() -> Path:
        found = app._rank(cut(tmp_path, b"\n".join([*pages.lines, b""]), THREE), known, None)  # noqa: SLF001 - as below
        return known.snapshots / found.snapshot

    path = ranked()
    code, _, said = product.command("diff", f"{path}@final-1", path, "--lang", "en")
    assert (code, said) == (Exit.NO, "@final-1: the ledger holds 1 finals\n")
    assert list(known.snapshots.glob("*-final-*")) == []
    pages.add("chuangjian", "stage.reached", "assessment", "f2", stage="finalised")
    path = ranked()
    code, printed, _ = product.command("diff", f"{path}@final-1", f"{path}@final", "--format", "json")
    made = json.loads((known.snapshots / f"wenzhou-2013-final-{len(pages.lines)}.json").read_text(encoding="utf-8"))
    assert (code, json.loads(printed)) == (Exit.DONE, made)
    assert (made["as_of_before"], made["as_of_after"]) == (last, len(pages.lines))
    moved = {one["unit"]: one for one in made["moved"]}
    assert moved["U2"]["events"] == [1, last + 1, last + 2], "the deduction, the appeal, the decision"
    assert Decimal(moved["U2"]["after"]["final"]) - Decimal(moved["U2"]["before"]["final"]) == Decimal("0.21")


def test_the_ranker_signs_what_it_publishes_and_publishes_no_log_that_was_rewritten(tmp_path):
    known, lines = read({"WUXING_DATA": str(tmp_path)}), EXAMPLE.read_bytes().splitlines(keepends=True)
    ranking = app._rank(cut(tmp_path, b"".join(lines[:100])), known, None)  # noqa: SLF001 - without a broker
    path = known.snapshots / ranking.snapshot
    assert (tmp_path / "keys" / "log.key").stat().st_mode & 0o777 == 0o600
    vkey = (known.snapshots / "log.vkey").read_text().strip()
    early = known.snapshots / "checkpoint.txt"
    assert failures(path, "--key", vkey, "--checkpoint", str(early)) == []
    held = tmp_path / "held"
    shutil.copyfile(early, held)
    grown = app._rank(cut(tmp_path, b"".join(lines)), known, ranking)  # noqa: SLF001 - as above
    assert failures(known.snapshots / grown.snapshot, "--key", vkey, "--checkpoint", str(held)) == []
    assert grown.root in merkle_hex(early)
    for bad in ([lines[1], lines[0], *lines[2:]], lines[:-1]):
        with pytest.raises(LogRewritten):
            app._rank(cut(tmp_path, b"".join(bad)), known, None)  # noqa: SLF001 - as above
    early.unlink()
    with pytest.raises(LogRewritten):
        app._rank(cut(tmp_path, b"".join([lines[1], lines[0], *lines[2:]])), known, grown)  # noqa: SLF001 - as above
    assert snapshot.latest(known.snapshots) == known.snapshots / grown.snapshot


def merkle_hex(path: Path) -> str:
    return checkpoint.parsed(path.read_text(encoding="utf-8"), path).root.hex()


def test_an_empty_log_has_a_checkpoint_and_holds(tmp_path):
    path = written(tmp_path, b"", product.SHIPPED)
    assert failures(path) == []
    with point.snapshot(path) as con:
        assert checkpoint.leaves(con).root() == merkle.EMPTY_ROOT
    checkpoint.check_grown(Leaves([1, 2], [], [b"1", b"2"]), Earlier(0, merkle.EMPTY_ROOT))
