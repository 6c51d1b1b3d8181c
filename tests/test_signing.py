"""Before the ranker signs: the scorer's file is what its raw bytes come to, and what the scorer said."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import msgspec
import pytest

from schemas.receipts import Cut
from services.process.ending import Exit
from services.process.settings import read
from services.proof import checkpoint
from services.ranker import app
from services.scorer import app as scorer
from services.scorer import file, rules, store
from services.snapshot import held
from services.snapshot import make as snapshot
from services.snapshot.again import Again, FileDiffers
from services.snapshot.make import ProjectionDiffers
from tests import product
from tests.test_tampering import small, some
from tests.test_verify import failures

if TYPE_CHECKING:
    from schemas.receipts import Ranking
    from services.process.settings import Settings


def known(folder: Path) -> Settings:
    return read({"WUXING_DATA": str(folder), "WUXING_ASSESSMENT": "small"})


def cut(folder: Path, data: bytes) -> Cut:
    """What the scorer hands over for the bytes of a ledger."""
    shutil.rmtree(folder / "cuts", ignore_errors=True)
    (folder / "cuts").mkdir()
    source, made = folder / "cuts" / "ledger.jsonl", folder / "cuts" / "cut.duckdb"
    source.write_bytes(data)
    con = file.fold(source, product.year(product.SHIPPED), target=made).con
    with rules.compute(con, upto="own_points"):
        con.execute("CREATE TABLE main.unit_item AS FROM own_points")
    found = con.execute("SELECT greatest((SELECT max(seq) FROM event), (SELECT max(line) FROM refused), 0)").fetchone()
    root = checkpoint.leaves(con).root().hex()
    con.close()
    assert found
    return Cut(found[0], str(made), hashlib.sha256(made.read_bytes()).hexdigest(), root)


def ranked(made: Cut, settings: Settings, before: Ranking | None = None, again: Again | None = None) -> Ranking:
    """What the ranker publishes of a cut, without a broker."""
    signer = checkpoint.log_key(settings.data, settings.assessment, begun=False)
    return app._rank(made, settings, before, signer, again)  # noqa: SLF001 - the ranker's own step


def edited(made: Cut, *statements: str) -> Cut:
    """The copy after somebody wrote to the scorer's file, which the scorer then copied in good faith."""
    with duckdb.connect(str(made.path)) as con:
        for sql in statements:
            con.execute(sql)
    digest = hashlib.sha256(Path(str(made.path)).read_bytes()).hexdigest()
    return msgspec.structs.replace(made, sha256=digest)


EDITS = {
    "UPDATE event SET points = 0.5 WHERE seq = 1": "event",
    "UPDATE event SET value = 1 WHERE value IS NOT NULL": "event",
    "UPDATE event SET admission = 'void', void_reason = 'closed' WHERE seq = 2": "event",
    "UPDATE event SET unit = 'U1' WHERE seq = 1": "event",
    "UPDATE event SET recorded_at = TIMESTAMP '2014-01-01' WHERE seq = 1": "root",
    "UPDATE event SET raw = replace(raw::VARCHAR, 'r', 's')::BLOB WHERE seq = 1": "event",
    "DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)": "sequence",
    "UPDATE event SET seq = seq + 1": "sequence",
    "UPDATE rulebook_item SET points = points + 1": "rulebook_item",
    "DELETE FROM rulebook_ground": "rulebook_ground",
    "UPDATE roster SET category = category || 'x'": "roster",
    "INSERT INTO roster VALUES ('U9', 'N', 'B', 'G', '{}')": "roster",
    "INSERT INTO reading_option VALUES ('step', 'geometric')": "reading_option",
    "INSERT INTO refused VALUES (999, 'a', 'b', 'conflict', 'id', 'x')": "sequence",
    "DROP TABLE rulebook_band": "rulebook_band",
    "ALTER TABLE rulebook_band RENAME TO b; CREATE VIEW rulebook_band AS FROM b": "rulebook_band",
}


@pytest.mark.parametrize("sql", some([*EDITS]))
def test_what_was_written_to_the_scorer_s_file_is_not_signed(sql: str, tmp_path: Path) -> None:
    settings, made = known(tmp_path), edited(cut(tmp_path, small()), *sql.split("; "))
    with pytest.raises(FileDiffers) as differs:
        ranked(made, settings)
    assert EDITS[sql] in str(differs.value)
    assert not settings.snapshots.exists() or snapshot.latest(settings.snapshots) is None


@pytest.mark.long
def test_points_of_the_scorer_s_own_that_are_others_are_not_signed(tmp_path: Path) -> None:
    made = edited(cut(tmp_path, small()), "UPDATE unit_item SET points = points + 1")
    with pytest.raises(ProjectionDiffers):
        ranked(made, known(tmp_path))


@pytest.mark.long
def test_views_and_macros_of_the_scorer_s_file_are_never_in_a_snapshot(tmp_path: Path) -> None:
    lies = (
        "CREATE OR REPLACE MACRO half_up(n, d) AS 0",
        "CREATE MACRO list_contains(a, b) AS true",
        "CREATE TABLE planted (x INT)",
    )
    settings, made = known(tmp_path), edited(cut(tmp_path, small()), *lies)
    found = ranked(made, settings)
    path = settings.snapshots / found.snapshot
    assert failures(path) == []
    with held.opened(path) as con:
        assert held.differing(con) == []


def test_a_copy_that_is_not_the_one_the_scorer_named_is_not_signed(tmp_path: Path) -> None:
    settings, made = known(tmp_path), cut(tmp_path, small())
    for other in (
        msgspec.structs.replace(made, sha256="0" * 64),
        msgspec.structs.replace(made, sha256=None),
        msgspec.structs.replace(made, sequence=made.sequence + 1),
        msgspec.structs.replace(made, sequence=made.sequence - 1),
        msgspec.structs.replace(made, root="0" * 64),
        msgspec.structs.replace(made, root=None),
    ):
        with pytest.raises(FileDiffers):
            ranked(other, settings)
    (tmp_path / "cuts" / "cut.duckdb.wal").write_bytes(b"")
    with pytest.raises(FileDiffers, match=r"\.wal"):
        ranked(made, settings)


@pytest.mark.long
def test_a_ledger_that_grows_is_judged_on_and_a_changed_past_is_named(tmp_path: Path) -> None:
    settings, lines = known(tmp_path), small().splitlines()
    again = Again("small")
    whole = b"\n".join([*lines, b""])
    first = ranked(cut(tmp_path, b"\n".join([*lines[:20], b""])), settings, None, again)
    second = ranked(cut(tmp_path, whole), settings, first, again)
    assert second.digest == ranked(cut(tmp_path, whole), settings, first).digest
    past = edited(cut(tmp_path, whole), "UPDATE event SET raw = raw || ' '::BLOB WHERE seq = 3")
    with pytest.raises(FileDiffers):
        ranked(past, settings, second, again)


def test_a_newest_snapshot_that_is_damaged_gone_or_not_the_latest_is_seen(tmp_path: Path) -> None:
    settings = known(tmp_path)
    found = ranked(cut(tmp_path, small()), settings)
    path, link = settings.snapshots / found.snapshot, settings.snapshots / "latest.duckdb"

    def whole() -> bool:
        return app._whole(settings, found, {})  # noqa: SLF001 - as above

    assert whole()
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    assert not whole()
    path.write_bytes(data)
    assert whole()
    link.unlink()
    assert not whole()
    link.symlink_to("nothing.duckdb")
    assert not whole()
    link.unlink()
    link.symlink_to(path.name)
    assert whole()
    path.unlink()
    assert not whole()


def test_of_two_scorers_one_has_the_file(tmp_path: Path) -> None:
    settings = read({"WUXING_DATA": str(tmp_path)})
    con, last, lock = scorer.open_file(settings)
    assert last == 0
    with pytest.raises(scorer.ScorerRuns):
        scorer.open_file(settings)
    con.close()
    lock.close()


def test_a_log_that_a_deleted_file_left_is_not_taken_for_the_new_one_s(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with store.connect(tmp_path / "b.duckdb") as con:
        con.execute("CREATE TABLE foreign_table (n INTEGER)")
        shutil.copy(tmp_path / "b.duckdb.wal", tmp_path / "a.duckdb.wal")
    with store.bare(path) as con:
        assert not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'foreign_table'").fetchall()


OTHERWISE = {
    "the same": "SELECT 1",
    "another event": "UPDATE event SET raw = raw || encode(' ') WHERE seq = 5",
    "another time": "UPDATE event SET recorded_at = TIMESTAMP '2013-01-01' WHERE seq = 5",
    "judged otherwise": "UPDATE event SET admission = 'void' WHERE seq = 5",
    "an event less": "DELETE FROM event WHERE seq = 5",
    "an event more": "INSERT INTO event SELECT * REPLACE (5::BIGINT AS seq) FROM event WHERE seq = 6",
    "not to be compared": "ALTER TABLE event DROP COLUMN admission",
}


@pytest.mark.parametrize("change", OTHERWISE)
def test_another_version_s_file_is_folded_anew_beside_it_and_goes_when_all_is_the_same(
    change: str, tmp_path: Path
) -> None:
    settings = known(tmp_path)
    source, path = tmp_path / "ledger.jsonl", tmp_path / "scorer" / "small.duckdb"
    source.write_bytes(small())
    path.parent.mkdir()
    with file.fold(source, product.year(product.SHIPPED), target=tmp_path / "new.duckdb").con as con:
        con.execute("CREATE TABLE meta AS SELECT 'schema' AS key, ? AS value", [rules.SCHEMA])
        con.execute("CHECKPOINT")
    shutil.copy(tmp_path / "new.duckdb", path)
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE meta SET value = 'older'")
        con.execute(OTHERWISE[change])
    con, last, lock = scorer.open_file(settings)
    con.close()
    lock.close()
    before = path.with_name("small.before.duckdb")
    assert (last, before.exists()) == (0, True), "it is folded from its beginning"
    shutil.copy(tmp_path / "new.duckdb", path)
    con, last, lock = scorer.open_file(settings)
    with contextlib.closing(lock), contextlib.closing(con):
        if change == "the same":
            assert scorer.hold_against_before(con, path) == last
            assert scorer.hold_against_before(con, path) is None
        else:
            with pytest.raises(scorer.OtherJudgement, match=r"sequence 5|compared"):
                scorer.hold_against_before(con, path)
        assert before.exists() == (change != "the same")


@pytest.mark.long
def test_another_version_s_snapshot_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = known(tmp_path)
    path = settings.snapshots / ranked(cut(tmp_path, small()), settings).snapshot
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE meta SET value = 'older' WHERE key IN ('schema', 'version')")
    code, _, said = product.command("explain", "U1", "--snapshot", path, "--lang", "en")
    assert (code, "made by version older" in said, "wuxing export" in said) == (Exit.FAILED, True, True)
