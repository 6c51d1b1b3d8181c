"""The ledger as a file and the replay of it: every road gives one digest, and what was tampered with is named."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet as pq
import pytest
import structlog

from infra.client import Message, connected, embedded, jetstream, publish_batch
from schemas import roster as rosters
from schemas import subjects
from schemas.events import Event
from services.audit.export import one_line
from services.ingest.check import Checker
from services.process.settings import read
from services.proof import checkpoint
from services.ranker.app import _rank
from services.scorer import app as scorer
from services.scorer import store
from tests.product import BOOK, BOOK_JSON, command, joined, small

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.receipts import Ranking

ASSESSMENT = "small"


@dataclass(frozen=True)
class Published:
    """A ledger on a real server, folded and ranked by the services; `raws` is what was appended."""

    raws: list[bytes]
    data: Path
    url: str
    snapshot: Path
    ranking: Ranking

    def variables(self) -> dict[str, str]:
        return {"NATS_URL": self.url, "WUXING_DATA": str(self.data), "WUXING_ASSESSMENT": ASSESSMENT}


def accepted() -> list[bytes]:
    """The events of a year that intake would append, one of them with white space that is no line."""
    lines = small()
    checker = Checker(BOOK, rosters.read(json.loads(lines[0])["data"]["roster"]))
    raws = [line for line in lines if isinstance(checker.check(line), Event)]
    odd = len(raws) // 2
    raws[odd] = raws[odd].replace(b"{", b"{\r\n", 1) + b"\r"
    return raws


def message(raw: bytes) -> Message:
    """An event as intake appends it."""
    event = json.loads(raw)
    return Message(subjects.ledger(ASSESSMENT, subjects.party_of(event["source"]) or "", event["subject"]), raw)


async def publish(url: str, data: Path, raws: Sequence[bytes]) -> Ranking:
    """Append, fold and rank: the road of the services in one process."""
    settings = read({"NATS_URL": url, "WUXING_DATA": str(data), "WUXING_ASSESSMENT": ASSESSMENT})
    async with connected(url, "ingest", data) as client:
        await publish_batch(client, [*map(message, raws)], 0)
    async with connected(url, "scorer", data) as client:
        folding = await scorer.start(client, settings, structlog.get_logger())
        cut = await folding.cut(0)
        folding.close()
    key = checkpoint.log_key(data, ASSESSMENT, begun=False)
    return _rank(cut, settings, None, key)


@contextmanager
def publishing(data: Path) -> Iterator[Published]:
    """The year at a running broker on this folder, folded and ranked."""
    raws = accepted()
    units = [row["unit"] for row in json.loads(raws[0])["data"]["roster"]]

    async def made() -> Published:
        ranking = await publish(server.url, data, raws)
        return Published(raws, data, server.url, data / "snapshots" / ranking.snapshot, ranking)

    with asyncio.Runner() as runner:
        context = embedded(data, ASSESSMENT, [one["code"] for one in BOOK_JSON["office"]], units)
        server = runner.run(context.__aenter__())
        try:
            yield runner.run(made())
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    with publishing(tmp_path_factory.mktemp("published")) as found:
        yield found


@pytest.fixture
def at_broker(published: Published, monkeypatch: pytest.MonkeyPatch) -> Published:
    for name, value in published.variables().items():
        monkeypatch.setenv(name, value)
    return published


@pytest.fixture(scope="module")
def parquet(published: Published) -> Path:
    """An export of the published snapshot, by which tampered copies of it are replayed."""
    path = published.data / "ledger.parquet"
    assert command("export", path, "--snapshot", published.snapshot)[0] == 0
    return path


def replayed(*arguments: Any) -> tuple[int, dict[str, Any]]:
    code, printed, said = command("replay", *arguments, "--format", "json")
    assert said == ""
    return code, json.loads(printed)


def test_broker_exports_and_the_snapshot_itself_agree_by_digest(at_broker: Published, tmp_path: Path) -> None:
    files = [tmp_path / "ledger.jsonl", tmp_path / "ledger.parquet"]
    assert [command("export", file)[0] for file in files] == [0, 0]
    outcomes = [replayed(), *(replayed("--from", file) for file in files)]
    assert [code for code, _ in outcomes] == [0, 0, 0]
    code, printed, _ = command("score", files[0])
    digests = {found[name] for _, found in outcomes for name in ("digest", "recomputed", "published")}
    assert (code, {json.loads(printed)["digest"]}) == (0, digests)
    assert {found["events"] for _, found in outcomes} == {len(at_broker.raws)}


def test_an_export_has_the_bytes_as_sent_a_line_each_and_says_where_a_line_cannot(
    at_broker: Published, tmp_path: Path
) -> None:
    lines, columns = tmp_path / "ledger.jsonl", tmp_path / "ledger.parquet"
    _, _, said = command("export", lines, "--lang", "en")
    assert lines.read_bytes() == b"".join(one_line(raw) + b"\n" for raw in at_broker.raws)
    assert f"line feeds became spaces in sequence {len(at_broker.raws) // 2 + 1}:" in said
    command("export", columns)
    table = pq.read_table(columns)
    assert table["raw"].to_pylist() == at_broker.raws
    assert table["sequence"].to_pylist() == [*range(1, len(at_broker.raws) + 1)]
    assert all(table["recorded_at"].to_pylist())


def test_an_export_of_the_snapshot_is_that_of_the_broker(at_broker: Published, tmp_path: Path) -> None:
    for name in ("ledger.jsonl", "ledger.parquet"):
        for folder, more in (("a", ()), ("b", ("--snapshot", at_broker.snapshot))):
            (tmp_path / folder).mkdir(exist_ok=True)
            assert command("export", tmp_path / folder / name, *more)[0] == 0
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.long
def test_at_an_earlier_point_the_replay_is_that_of_the_first_events(at_broker: Published, parquet: Path) -> None:
    for cut, road in (("1", ("--from", parquet)), ("40", ())):
        assert replayed("--as-of", cut, *road)[0] == 0
    recorded = pq.read_table(parquet)["recorded_at"][-1].as_py().isoformat()
    assert replayed("--as-of", recorded)[1]["as_of"] == len(at_broker.raws)


@pytest.mark.long
def test_lines_that_were_refused_are_empty_lines_of_an_export(tmp_path: Path) -> None:
    (tmp_path / "year.jsonl").write_bytes(joined(small()))
    command("score", tmp_path / "year.jsonl", "--snapshot", tmp_path / "year.duckdb")
    code, _, said = command("export", tmp_path / "again.jsonl", "--snapshot", tmp_path / "year.duckdb", "--lang", "en")
    assert code == 0
    assert "lines are empty" in said
    first, again = (json.loads(command("score", tmp_path / name)[1]) for name in ("year.jsonl", "again.jsonl"))
    assert (first["digest"], first["as_of"]) == (again["digest"], again["as_of"])
    assert [replayed("--from", tmp_path / name, "--snapshot", tmp_path / "year.duckdb")[0]
            for name in ("year.jsonl", "again.jsonl")] == [0, 0]  # fmt: skip


FIRST = "(SELECT min(seq) FROM event WHERE points IS NOT NULL)"
TAMPERINGS = {
    "UPDATE event SET raw = raw || ' '::BLOB WHERE seq = 30": ("event", "30", "raw"),
    f"UPDATE event SET points = points + 1 WHERE seq = {FIRST}": ("event", None, "points"),
    "UPDATE event SET admission = 'void' WHERE seq = 1": ("event", "1", "admission"),
    "DELETE FROM event WHERE seq = 20": ("event", "20", "raw"),
    "UPDATE event SET seq = 41 - seq WHERE seq IN (20, 21)": ("event", "20", "raw"),
    "UPDATE roster SET unit_group = 'X'": ("rules", "roster", ""),
    "UPDATE published_unit SET place = place + 1": ("result", None, "place"),
    "DELETE FROM published_event WHERE seq = 1": ("result", "published_event 1", "rows"),
    "DROP TABLE published_grade": ("result", "published_grade", "table"),
    "CREATE OR REPLACE VIEW grade_result AS FROM published_grade LIMIT 0": ("object", "view main.grade_result", ""),
    "CREATE OR REPLACE MACRO half_up(n, d) AS n": ("object", "function main.half_up", ""),
    "UPDATE meta SET value = '00' WHERE key = 'root'": ("root", "meta", "root"),
    "UPDATE meta SET value = '00' WHERE key = 'digest'": ("digest", "meta", "digest"),
}  # fmt: skip


@pytest.mark.every(8)
@pytest.mark.parametrize("statement", TAMPERINGS)
def test_the_first_difference_is_named(published: Published, parquet: Path, statement: str, tmp_path: Path) -> None:
    copy = tmp_path / "tampered.duckdb"
    copy.write_bytes(published.snapshot.read_bytes())
    with store.connect(copy) as con:
        con.execute(statement)
    code, found = replayed("--from", parquet, "--snapshot", copy)
    kind, where, column = TAMPERINGS[statement]
    one = found["difference"]
    assert (code, one["kind"], one["column"]) == (1, kind, column)
    assert where is None or one["where"] == where


def test_a_tampered_or_truncated_ledger_is_named(published: Published, tmp_path: Path) -> None:
    lines = [one_line(raw) for raw in published.raws]
    last = len(lines)
    changed = [*lines[:9], lines[9].replace(b"2013-", b"2012-"), *lines[10:]]
    for ledger, where in ((changed, "10"), (lines[:-1], str(last)), ([*lines[:3], *lines[4:]], "4")):
        path = tmp_path / "ledger.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in ledger))
        code, found = replayed("--from", path, "--snapshot", published.snapshot)
        assert (code, found["difference"]["where"], found["difference"]["column"]) == (1, where, "raw")


@pytest.mark.every(2)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_outcome_is_a_sentence_in_the_language(published: Published, parquet: Path, lang: str) -> None:
    code, printed, _ = command("replay", "--from", parquet, "--snapshot", published.snapshot, "--lang", lang)
    assert (code, printed.decode().split(maxsplit=1)[0].startswith({"en": "equal:", "zh": "一致："}[lang])) == (0, True)


def test_what_cannot_be_read_or_written_is_said_and_leaves_nothing(published: Published, tmp_path: Path) -> None:
    taken = tmp_path / "folder.jsonl"
    taken.mkdir()
    no_parquet = tmp_path / "no.parquet"
    no_parquet.write_bytes(b"x")
    cases = [
        (2, ("export", tmp_path / "ledger.txt")),
        (3, ("export", taken, "--snapshot", published.snapshot)),
        (3, ("export", tmp_path / "missing" / "a.parquet", "--snapshot", published.snapshot)),
        (3, ("replay", "--from", tmp_path / "missing.jsonl", "--snapshot", published.snapshot)),
        (3, ("replay", "--from", no_parquet, "--snapshot", published.snapshot)),
    ]
    for code, arguments in cases:
        found, printed, said = command(*arguments)
        assert (found, printed, bool(said)) == (code, b"", True), arguments
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.jsonl", "no.parquet"]


def test_without_a_key_or_a_server_the_ledger_is_said_to_be_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUXING_DATA", str(tmp_path))
    code, _, said = command("export", tmp_path / "ledger.jsonl")
    assert code == 3
    assert "audit" in said


#: What may happen to the log or to the fold's file, in SQL on the latter, and the sequence that is named.
FLIPS = {
    "UPDATE event SET raw = from_hex(to_hex(raw)[:-3] || CASE to_hex(raw)[-3] WHEN '2' THEN '3' ELSE '2' END"
    " || to_hex(raw)[-2:]) WHERE seq = 30": 30,
    "UPDATE event SET recorded_at = recorded_at + INTERVAL 1 MICROSECOND WHERE seq = 1": 1,
    "DELETE FROM event WHERE seq = 20": 20,
    "UPDATE event SET seq = 41 - seq WHERE seq IN (20, 21)": 20,
}


def test_a_bit_that_differs_between_the_log_and_the_fold_is_named_by_the_whole_comparison(published: Published) -> None:
    async def named() -> list[str]:
        settings, found = read(published.variables()), []
        async with connected(published.url, "scorer", published.data) as client:
            folding = await scorer.start(client, settings, structlog.get_logger())
            await folding.compare_range(1, folding.last)
            for sql in FLIPS:
                folding.con.execute("BEGIN")
                folding.con.execute(sql)
                with pytest.raises(scorer.HistoryChanged) as changed:
                    await folding.compare_range(1, folding.last)
                folding.con.execute("ROLLBACK")
                found.append(str(changed.value))
            folding.close()
        return found

    for said, sequence in zip(asyncio.run(named()), FLIPS.values(), strict=True):
        assert f"Sequence {sequence} of the ledger is not what was folded" in said


async def announce(at: Published, sha256: str, *more: bytes) -> None:
    """The ranker says of which bytes the snapshot is; intake appends more."""
    payload = msgspec.json.encode(msgspec.structs.replace(at.ranking, sha256=sha256))
    async with connected(at.url, "ranker", at.data) as client:
        await jetstream(client).publish(subjects.ranking(ASSESSMENT), payload)
    if more:
        async with connected(at.url, "ingest", at.data) as client:
            await publish_batch(client, [*map(message, more)], len(at.raws))


@pytest.mark.long
def test_the_file_is_held_against_what_was_published_and_a_ledger_that_goes_on_is_said(at_broker: Published) -> None:
    """The last of this file: the ledger grows by it."""
    digest = hashlib.sha256(at_broker.snapshot.read_bytes()).hexdigest()
    asyncio.run(announce(at_broker, "0" * 64))
    code, found = replayed()
    difference = {"kind": "file", "where": at_broker.snapshot.name, "column": "SHA-256", "ledger": "0" * 64}
    assert (code, found["difference"]) == (1, {**difference, "snapshot": digest})
    asyncio.run(announce(at_broker, digest, at_broker.raws[-1].replace(b'"id":"', b'"id":"once-more-')))
    code, printed, _ = command("replay", "--lang", "en")
    assert code == 0
    assert f"; the ledger goes on to sequence {len(at_broker.raws) + 1}; the file is the one" in printed.decode()
