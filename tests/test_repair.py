"""A damaged ledger is mended in place from a copy that was proved, whole or not at all; what cannot be is named."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog

from infra import blocks, exchange
from infra.client import Message, connected, embedded, jetstream, publish_batch, read_stream
from infra.folders import parties
from infra.rights import PROVISIONER, configure
from infra.server import EmbeddedServer
from infra.streams import provision, seal, stream
from schemas.told import Told
from services.ingest import app as ingest
from services.ingest import place as places
from services.process.ending import Exit
from services.process.settings import Settings, read
from services.proof import checkpoint, note
from services.proof.note import Checkpoint, Signer
from services.ranker.app import _rank
from services.scorer import app as scorer
from services.site.repairing import SWITCH, Site, ranges
from tests.faults import damage
from tests.faults.life import logs
from tests.faults.nursery import Nursery
from tests.faults.works import Works, copied, year
from tests.product import command
from tests.test_replay import ASSESSMENT, accepted, message

LEDGER = stream("LEDGER", ASSESSMENT)
OFFICES = ("ducha",)
LONG = os.environ.get("WUXING_TEST") == "long"
LOG = structlog.get_logger()
Ledger = list[blocks.Record]


@dataclass(frozen=True)
class Mine:
    """A site that stands still after a year, with copies of its ledger, of which `early` has the first half alone."""

    data: Path
    copies: Path
    ledger: Ledger
    digest: str
    root: str

    @property
    def early(self) -> Path:
        return self.copies / "early.tar"

    @property
    def late(self) -> Path:
        return self.copies / "late.tar"

    @property
    def parquet(self) -> Path:
        return self.copies / "ledger.parquet"


def store(data: Path) -> Path:
    return data / blocks.STORE / LEDGER


def block(data: Path) -> Path:
    return store(data) / "msgs" / "1.blk"


def stored(data: Path) -> Ledger:
    """All that lies whole in the store of a folder, with headers and nanoseconds."""
    return [one.record for one in blocks.read(store(data), LEDGER, f"ledger.{ASSESSMENT}.".encode())]


def settings(data: Path, url: str = "") -> Settings:
    return read({"NATS_URL": url, "WUXING_DATA": str(data), "WUXING_ASSESSMENT": ASSESSMENT})


def run(data: Path, *arguments: str | Path, url: str = "") -> tuple[int, dict[str, Any], str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WUXING_DATA", str(data))
        patch.setenv("NATS_URL", url)
        code, printed, said = command(*arguments, *(() if "--lang" in arguments else ("--lang", "en")))
    assert "Traceback" not in said
    return code, json.loads(printed) if printed else {}, said


def repair(data: Path, *sources: Path, more: Sequence[str] = ("--yes",)) -> tuple[int, dict[str, Any], str]:
    return run(data, "repair", ASSESSMENT, *(word for one in sources for word in ("--from", one)), *more)


def signed(size: int, root: str, key: Signer) -> str:
    """A checkpoint of so many events, as the ranker signs it."""
    some, none = bytes(32), "0" * 64
    text = Checkpoint(key.name, size, bytes.fromhex(root), some, some, none, none, none, "1").text()
    return note.sign(text, key)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Mine:
    return built(tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("copies"), [*map(message, accepted())])


def built(data: Path, copies: Path, messages: list[Message]) -> Mine:
    raws = [one.data for one in messages]
    half = len(raws) // 2

    async def made() -> tuple[str, str]:
        digest = ""
        async with embedded(data, ASSESSMENT, OFFICES, ()) as server:
            (data / "opening.json").write_bytes(raws[0])

            async def keep(*words: str | Path) -> None:
                code, _, said = await asyncio.to_thread(run, data, *words, url=server.url)
                assert code == Exit.DONE, said

            async with connected(server.url, "ingest", data) as client:
                await publish_batch(client, messages[:half], 0)
                await keep("backup", copies / "early.tar")
                await publish_batch(client, messages[half:], half)
            places.write(places.file(data, ASSESSMENT), places.Place(len(raws), sha256(raws[-1]).hexdigest()))
            async with connected(server.url, "scorer", data) as client:
                folding = await scorer.start(client, settings(data), LOG)
                cut = await folding.cut(0)
                folded = folding.leaves.size
                folding.close()
            key = checkpoint.log_key(data, ASSESSMENT, begun=False)
            if LONG:
                digest = _rank(cut, settings(data), None, key).digest
                text = (data / "snapshots" / checkpoint.NAME).read_text("utf-8")
            else:
                text = signed(folded, cut.root or "", key)
            async with connected(server.url, "ranker", data) as client:
                await jetstream(client).publish(f"checkpoint.{ASSESSMENT}", text.encode())
            await keep("backup", copies / "late.tar")
            await keep("export", copies / "ledger.parquet")
            return digest, cut.root or ""

    digest, root = asyncio.run(made())
    return Mine(data, copies, stored(data), digest, root)


@pytest.fixture
def data(site: Mine, tmp_path: Path) -> Path:
    """A copy of the site that a test may damage."""
    return copied(site.data, tmp_path / "data")


def served(data: Path) -> EmbeddedServer:
    held = parties(data)
    assert held
    configure(data, ASSESSMENT, held.offices, held.units)  # a copy: the place of the store is in the configuration
    return EmbeddedServer(data)


async def started(data: Path, url: str) -> str:
    """What ingest and scorer say when they start; nothing where both go on. Ingest appends one more event."""
    said = ""
    at = places.file(data, ASSESSMENT)
    for role, start in (
        ("ingest", lambda client: ingest.start(client, settings(data, url), LOG, at)),
        ("scorer", lambda client: scorer.start(client, settings(data, url), LOG)),
    ):
        async with connected(url, role, data) as client:
            try:
                running = await start(client)
            except Told as error:
                said += f"{role}: {error} "
                continue
            if isinstance(running, scorer.Scorer):
                running.close()
    return said


async def provisioned(data: Path, url: str) -> None:
    """Nothing is missing, and nothing is otherwise than declared: else this raises."""
    async with connected(url, PROVISIONER, data) as client:
        await provision(client, ASSESSMENT, OFFICES, ())


async def appended(data: Path, url: str, raw: bytes, last: int) -> int:
    async with connected(url, "ingest", data) as client:
        await publish_batch(client, [message(raw)], last)
        return len([one async for one in read_stream(client, "LEDGER", ASSESSMENT)])


# What is done to a block


def spot(data: Path, sequence: int) -> int:
    """Where the payload of an event lies in the first block."""
    raw, found = block(data).read_bytes(), next(one for one in stored(data) if one.sequence == sequence)
    return raw.index(found.data) + len(found.data) // 2


def flipped(data: Path, sequence: int) -> None:
    raw = bytearray(block(data).read_bytes())
    raw[spot(data, sequence)] ^= 4
    block(data).write_bytes(raw)


def cut(data: Path, sequence: int) -> None:
    os.truncate(block(data), spot(data, sequence))


def zeroed(data: Path, sequence: int) -> None:
    at, raw = spot(data, sequence), bytearray(block(data).read_bytes())
    raw[at : at + 4096] = bytes(4096)
    block(data).write_bytes(raw)


def gone(data: Path, _: int) -> None:
    shutil.rmtree(store(data))


WAYS: dict[str, Callable[[Path, int], None]] = {"flipped": flipped, "cut": cut, "zeroed": zeroed, "gone": gone}


@pytest.mark.every(4)
@pytest.mark.parametrize("way", WAYS)
def test_services_stop_at_a_damaged_block_and_go_on_when_it_is_mended_from_a_backup(
    site: Mine, data: Path, way: str
) -> None:
    WAYS[way](data, 150)
    if way != "gone":
        with served(data) as server:
            said = asyncio.run(started(data, server.url))
        assert "LEDGER" in said or "ledger" in said, said
    damaged = block(data).read_bytes() if way != "gone" else None
    code, found, said = repair(data, site.late)
    assert (code, found["sequence"], found["root"]) == (Exit.DONE, len(site.ledger), site.root), said
    assert "150" in ranges_of(found["damaged"])
    assert set(found["taken"]) == {str(site.late)}
    if damaged is not None:
        assert (Path(found["kept"]) / "msgs" / "1.blk").read_bytes() == damaged
    assert stored(data) == site.ledger
    with served(data) as server:
        asyncio.run(provisioned(data, server.url))
        assert asyncio.run(started(data, server.url)) == ""
        if LONG:
            code, replayed, said = run(data, "replay", "--format", "json", url=server.url)
            assert (code, replayed["equal"], replayed["digest"]) == (Exit.DONE, True, site.digest), said
        assert asyncio.run(appended(data, server.url, site.ledger[1].data, len(site.ledger))) == len(site.ledger) + 1


def ranges_of(text: str) -> set[str]:
    """The numbers of what a command says as 3-7, 9."""
    pairs = (one.partition("-") for one in text.split(", "))
    return {str(n) for a, _, b in pairs for n in range(int(a), int(b or a) + 1)}


def tampered(site: Mine, to: Path, sequence: int, **change: Any) -> Path:
    """An export in which one event is another, or was recorded at another time."""
    rows = pq.read_table(site.parquet).to_pylist()
    rows[sequence - 1] |= change
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(site.parquet)), to)
    return to


def test_a_copy_with_one_event_changed_is_refused_by_its_sequence_though_another_was_damaged(
    site: Mine, data: Path, tmp_path: Path
) -> None:
    flipped(data, 150)
    before = block(data).read_bytes()
    bad = tampered(site, tmp_path / "bad.parquet", 40, raw=site.ledger[39].data.replace(b"U0", b"U9"))
    code, printed, said = repair(data, bad)
    assert (code, printed) == (Exit.NO, {})
    assert "bad.parquet is not a copy of this ledger: sequence 40 is another event" in said
    assert (block(data).read_bytes(), [*(data / "repair").iterdir()]) == (before, [])


def test_a_copy_that_ends_before_the_damage_is_refused_and_what_is_lost_is_named(site: Mine, data: Path) -> None:
    flipped(data, 10)
    flipped(data, 200)
    flipped(data, 201)
    code, printed, said = repair(data, site.early)
    assert (code, printed) == (Exit.NO, {})
    assert f"Cannot be recovered: 200-201. Not whole in the ledger, and in no copy ({site.early} ends at 137)" in said


def test_what_cannot_be_a_copy_or_is_in_use_is_named_and_nothing_is_done(
    site: Mine, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "ledger.jsonl").touch()
    (tmp_path / "text.tar").write_text("no backup", encoding="utf-8")
    cases = {
        "ledger.jsonl": (Exit.USE, "no recorded times"),
        "text.tar": (Exit.FAILED, "cannot be read"),
        "absent.tar": (Exit.FAILED, "cannot be read"),
        "absent.parquet": (Exit.FAILED, "cannot be read"),
    }
    for name, expected in cases.items():
        code, _, said = repair(data, tmp_path / name)
        assert (code, expected[1] in said) == (expected[0], True), said
    code, _, said = repair(data, tmp_path / "ledger.jsonl", more=("--yes", "--lang", "zh"))
    assert (code, "不含入账时间" in said) == (Exit.USE, True), said
    server = EmbeddedServer(data).claim()
    code, _, said = repair(data, site.late)
    server.stop()
    assert (code, "while services and broker are stopped" in said) == (Exit.FAILED, True), said
    code, _, said = run(tmp_path, "repair", "elsewhere", "--from", site.late)
    assert (code, "has no assessment elsewhere" in said) == (Exit.FAILED, True), said


KILLED = """
import os, signal, sys
from pathlib import Path
from infra import blocks, exchange
from services import cli
holder, name, when = sys.argv[1:4]
owner = {"blocks": blocks, "exchange": exchange, "path": Path}[holder]
real = getattr(owner, name)
def dies(*given, **named):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, dies)
sys.exit(cli.run(sys.argv[4:]))
"""
POINTS = [
    ("exchange", "swap", "after"), ("exchange", "swap", "before"), ("blocks", "write", "after"),
    ("exchange", "all_synced", "before"), ("exchange", "written", "after"), ("path", "rename", "after"),
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS, ids="-".join)
def test_killed_at_any_moment_the_ledger_is_the_damaged_or_the_mended_one_and_the_same_command_ends_it(
    site: Mine, data: Path, point: tuple[str, str, str]
) -> None:
    flipped(data, 150)
    damaged = block(data).read_bytes()
    words = ["repair", ASSESSMENT, "--from", str(site.data / "scorer" / f"{ASSESSMENT}.duckdb"), "--yes"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *point, *words], env={**os.environ, "WUXING_DATA": str(data)}, check=False,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    lies = block(data).read_bytes()
    assert lies == damaged or stored(data) == ledger_without_headers(site, 150)
    code, found, said = repair(data, site.data / "scorer" / f"{ASSESSMENT}.duckdb")
    assert (code, found["root"]) == (Exit.DONE, site.root), said
    assert stored(data) == ledger_without_headers(site, 150)
    [kept] = (data / "repair").iterdir()
    assert (kept / "msgs" / "1.blk").read_bytes() == damaged


@pytest.mark.parametrize("swapped", [False, True])
def test_a_run_that_was_killed_is_settled_by_the_next_and_a_damaged_store_is_never_deleted(
    tmp_path: Path, swapped: bool
) -> None:
    place = Site(settings(tmp_path), "en")
    for folder, text in ((place.made, "mended"), (place.store, "damaged")):
        folder.mkdir(parents=True)
        (folder / "what").write_text(text, encoding="utf-8")
    said = {"made": place.made.stat().st_ino, "time": "20140110T000000Z"}
    exchange.written(place.scratch / SWITCH, json.dumps(said).encode())
    if swapped:
        exchange.swap(place.made, place.store)
    kept = place.settle()
    assert (place.store / "what").read_text("utf-8") == ("mended" if swapped else "damaged")
    assert ((kept / "what").read_text("utf-8") if kept else None) == ("damaged" if swapped else None)
    assert (place.scratch.exists(), place.settle()) == (False, None)


def ledger_without_headers(site: Mine, sequence: int) -> Ledger:
    """The ledger after an event came from a copy that has microseconds and no headers."""
    return [
        one._replace(headers=b"", time=one.time // 1000 * 1000) if one.sequence == sequence else one
        for one in site.ledger
    ]


def test_the_checksum_is_that_of_the_published_test_vectors_and_every_record_is_read_and_written_as_it_was(
    site: Mine,
) -> None:
    """HighwayHash-64 of the bytes 0, 1, … under the key 0, 1, … 31 (highwayhash_test.cc)."""
    expected = {0: 0x907A56DE22C26E53, 1: 0x7EAB43AAC7CDDD78, 2: 0xB8D0569AB0B53D62}
    assert {n: blocks.checksum(bytes(range(32)), bytes(range(n))) for n in expected} == expected
    key = blocks.block_key(LEDGER, 1)
    assert b"".join(blocks.encoded(one, key) for one in site.ledger) == block(site.data).read_bytes()
    assert [one.sequence for one in site.ledger] == [*range(1, len(site.ledger) + 1)]
    assert all(blocks.decoded(blocks.encoded(one, None)) == one for one in site.ledger)


def test_sequences_are_said_in_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges(range(1, 100, 2)).endswith("37, 39 … (50 ranges)")


# More copies and more damages


def rewritten(data: Path, change: Callable[[Ledger], Ledger]) -> None:
    """The ledger's blocks as somebody writes them who knows the form: every checksum holds."""
    made = change(stored(data))
    blocks.write(store(data), LEDGER, made, len(made), lambda *_: None)


def other_event(ledger: Ledger) -> Ledger:
    return [one._replace(data=one.data + b" ") if one.sequence == 60 else one for one in ledger]


def hole(ledger: Ledger) -> Ledger:
    return [one for one in ledger if not 70 <= one.sequence < 90]


def older(ledger: Ledger) -> Ledger:
    return ledger[:100]


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "named"),
    [(other_event, (None, "60")), (hole, ("70-89", None)), (older, ("101-274", None))],
    ids=["other_event", "hole", "older"],
)
@pytest.mark.parametrize("copy", ["late.tar", "ledger.parquet", "snapshot", "fold", "folder"])
def test_what_any_copy_gives_is_put_back_and_the_rest_stays(
    site: Mine, data: Path, copy: str, change: Callable[[Ledger], Ledger], named: tuple[str | None, str | None]
) -> None:
    rewritten(data, change)
    own = {
        "snapshot": site.data / "snapshots" / "latest.duckdb",
        "fold": site.data / "scorer" / f"{ASSESSMENT}.duckdb",
        "folder": site.data,
    }
    code, found, said = repair(data, own.get(copy, site.copies / copy))
    assert (code, (found["damaged"], found["changed"]), found["root"]) == (Exit.DONE, named, site.root), said
    assert [(one.sequence, one.recorded_at, one.subject, one.data) for one in stored(data)] == [
        (one.sequence, one.recorded_at, one.subject, one.data) for one in site.ledger
    ]
    with served(data) as server:
        assert asyncio.run(started(data, server.url)) == ""


@pytest.mark.long
def test_a_line_that_the_fold_passed_over_is_in_no_checkpoint_and_is_put_back_all_the_same(tmp_path: Path) -> None:
    messages = [*map(message, accepted())]
    messages[50:50] = [Message(f"ledger.{ASSESSMENT}.ducha.U001", b"{no event")]
    site = built(tmp_path / "site", tmp_path, messages)
    rewritten(site.data, lambda ledger: [one for one in ledger if one.sequence not in {51, 80}])
    code, _, said = repair(site.data, site.parquet)
    assert (code, "Cannot be recovered: 51." in said) == (Exit.NO, True), said
    code, found, said = repair(site.data, site.late)
    assert (code, found["damaged"], found["root"]) == (Exit.DONE, "51, 80", site.root), said
    assert stored(site.data) == site.ledger
    with served(site.data) as server:
        assert asyncio.run(started(site.data, server.url)) == ""
    code, found, said = run(tmp_path / "restored", "restore", site.late)
    assert (code, found["ledgers"][ASSESSMENT]["root"]) == (Exit.DONE, site.root), said


@pytest.mark.long
def test_two_copies_give_what_neither_has_alone(site: Mine, data: Path, tmp_path: Path) -> None:
    rewritten(data, lambda ledger: ledger[200:])
    rows = pq.read_table(site.parquet).slice(120)
    pq.write_table(rows, tmp_path / "end.parquet")
    code, found, said = repair(data, site.early, tmp_path / "end.parquet")
    expected = {str(site.early): "1-137", str(tmp_path / "end.parquet"): "138-200"}
    assert (code, found["taken"], found["root"]) == (Exit.DONE, expected, site.root), said


@pytest.mark.long
def test_without_fold_and_snapshot_the_checkpoint_alone_decides(site: Mine, data: Path, tmp_path: Path) -> None:
    for folder in ("scorer", "snapshots"):
        shutil.rmtree(data / folder)
    rewritten(data, other_event)
    bad = tampered(site, tmp_path / "bad.parquet", 40, raw=site.ledger[39].data + b" ")
    code, _, said = repair(data, bad)
    assert (code, "not that of the checkpoint of 274 events" in said) == (Exit.NO, True), said
    code, found, said = repair(data, site.parquet)
    assert (code, found["changed"], found["root"]) == (Exit.DONE, "60", site.root), said


@pytest.mark.long
def test_what_came_after_the_checkpoint_is_kept_by_its_checksum_and_taken_from_a_copy_only_where_it_was_folded(
    site: Mine, data: Path, tmp_path: Path
) -> None:
    last = len(site.ledger)
    with served(data) as server:
        assert asyncio.run(appended(data, server.url, site.ledger[1].data, last)) == last + 1
        assert run(data, "export", tmp_path / "longer.parquet", url=server.url)[0] == Exit.DONE
    flipped(data, 150)
    damaged = copied(data, tmp_path / "again")
    code, found, said = repair(data, site.late)
    assert (code, found["sequence"]) == (Exit.DONE, last + 1), said
    assert f"Kept by the broker's checksum alone, neither signed nor folded yet: {last + 1}." in said
    os.truncate(block(damaged), block(damaged).stat().st_size - 30)
    code, _, said = repair(damaged, tmp_path / "longer.parquet", site.late)
    assert (code, f"{last + 1}. Ingest, which is done up to {last}" in said) == (Exit.NO, True), said
    places.write(places.file(damaged, ASSESSMENT), places.Place(last + 1, sha256(site.ledger[1].data).hexdigest()))
    code, _, said = repair(damaged, tmp_path / "longer.parquet", site.late)
    assert (code, f"Cannot be proved: {last + 1}, after the last checkpoint" in said) == (Exit.NO, True), said
    code, _, said = repair(damaged, site.late)
    assert (code, f"Cannot be recovered: {last + 1}." in said) == (Exit.NO, True), said
    forged = copied(site.data, tmp_path / "forged")  # whose last line the fold would pass over as no event
    rewritten(forged, lambda ledger: [*ledger, ledger[-1]._replace(sequence=last + 1, data=b"{no event")])
    code, _, said = repair(damaged, forged)
    assert (code, f"Cannot be proved: {last + 1}, after the last checkpoint" in said) == (Exit.NO, True), said


@pytest.mark.long
def test_settings_and_bytes_between_events_are_mended_too_and_what_is_whole_is_left(site: Mine, data: Path) -> None:
    code, found, said = repair(data, site.late)
    assert (code, found["kept"], "nothing to mend" in said) == (Exit.DONE, None, True), said
    (store(data) / "meta.inf").write_bytes(b"{}")
    code, found, said = repair(data, site.late)
    assert (code, bool(found["kept"]), "settings" in said) == (Exit.DONE, True, True), said
    raw, at = block(data).read_bytes(), spot(data, 1)
    end = raw.index(f"ledger.{ASSESSMENT}.".encode(), at) - 22
    block(data).write_bytes(raw[:end] + bytes(64) + raw[end:])
    code, found, said = repair(data, site.late)
    assert (code, bool(found["kept"]), found["damaged"]) == (Exit.DONE, True, None), said
    with served(data) as server:
        assert asyncio.run(started(data, server.url)) == ""


@pytest.mark.long
def test_a_ledger_of_many_blocks_that_was_sealed_stays_sealed(
    site: Mine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sealing() -> None:
        async with connected(server.url, PROVISIONER, data) as client:
            await seal(client, ASSESSMENT)

    async def sealed() -> bool:
        async with connected(server.url, "audit", data) as client:
            return bool((await jetstream(client).stream_info(LEDGER)).config.sealed)

    with served(data) as server:
        asyncio.run(sealing())
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 10_000)
    flipped(data, 150)
    assert repair(data, site.late)[0] == Exit.DONE
    assert len(blocks.blocks(store(data))) > 10
    with served(data) as server:
        assert asyncio.run(sealed())
        assert asyncio.run(started(data, server.url)) == ""
    assert stored(data) == site.ledger


@pytest.mark.long
def test_where_nothing_was_signed_or_two_histories_were_nothing_is_mended(site: Mine, data: Path) -> None:
    flipped(data, 150)
    (data / "snapshots" / checkpoint.NAME).write_text(
        signed(len(site.ledger), "0" * 64, checkpoint.log_key(data, ASSESSMENT, begun=True)), encoding="utf-8"
    )
    code, _, said = repair(data, site.late)
    assert (code, "signed two histories of 274 events" in said) == (Exit.NO, True), said
    for folder in ("snapshots", f"{blocks.STORE}/CHECKPOINT-{ASSESSMENT}"):
        shutil.rmtree(data / folder)
    code, _, said = repair(data, site.parquet)
    assert (code, "there is nothing to prove a copy by" in said) == (Exit.FAILED, True), said
    assert repair(data, site.late)[0] == Exit.DONE  # the backup brings the checkpoint that the log's key signed


@pytest.mark.long
def test_the_works_go_on_after_a_block_of_their_ledger_was_damaged_and_mended(tmp_path: Path) -> None:
    """Ingest, scorer and ranker as processes, an event in intake that nobody has taken, and the oracle's result."""
    with Nursery() as nursery:
        of = damage.base(tmp_path / "base", nursery)
        kept = tmp_path / "site.tar"
        whole = copied(of.full, tmp_path / "whole")
        (whole / "opening.json").write_bytes(of.ledger[0])
        with Works(whole, year()) as works:
            assert run(whole, "backup", kept, url=works.server.url)[0] == Exit.DONE
        for n, way in enumerate((flipped, cut, zeroed)):
            data = copied(of.full, tmp_path / f"data-{n}")
            way(data, 120)
            code, _, said = repair(data, kept)
            assert code == Exit.DONE, said
            came = damage.outcome(data, ("log", "mended", lambda _: None), of, nursery)
            assert (came, "Traceback" in logs(data)) == ("healed", False)
