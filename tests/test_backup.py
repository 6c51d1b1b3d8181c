"""A backup is the site: made while all runs, restored it is the same ledger, and what is not whole restores nothing."""

import asyncio
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.client import connected, embedded, jetstream, publish_batch, read_stream
from infra.folders import parties
from infra.server import EmbeddedServer
from services.process.ending import Exit
from services.proof import checkpoint
from services.site.backup import FOLDER, MANIFEST, STREAMS
from tests.product import BOOK_JSON, command
from tests.test_replay import ASSESSMENT, Published, message, publishing


async def ledger(url: str, data: Path) -> list[tuple[int, int, bytes]]:
    async with connected(url, "audit", data) as client:
        return [(one.sequence, one.recorded_at, one.data) async for one in read_stream(client, "LEDGER", ASSESSMENT)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """A year at a running broker, ranked, with its checkpoint published."""

    async def said(site: Published) -> None:
        async with connected(site.url, "ranker", site.data) as client:
            note = (site.data / "snapshots" / checkpoint.NAME).read_bytes()
            await jetstream(client).publish(f"checkpoint.{ASSESSMENT}", note)

    with publishing(tmp_path_factory.mktemp("site")) as site:
        (site.data / "opening.json").write_bytes(site.raws[0])
        asyncio.run(said(site))
        yield site


@pytest.fixture(scope="module")
def backup(site: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "site.tar"
    code, printed, said = run(site.variables(), "backup", path)
    assert (code, json.loads(printed)["ledgers"]) == (Exit.DONE, {ASSESSMENT: len(site.raws)}), said
    return path


def run(variables: dict[str, str], *arguments: str | Path) -> tuple[int, bytes, str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return command(*arguments, "--lang", "en")


def restored(backup: Path, data: Path) -> tuple[int, bytes, str]:
    return run({"WUXING_DATA": str(data)}, "restore", backup)


def test_what_is_restored_has_each_event_with_its_sequence_and_recorded_time_and_goes_on(
    site: Published, backup: Path, tmp_path: Path
) -> None:
    data = tmp_path / "again"
    code, printed, said = restored(backup, data)
    assert (code, "sent after" in said) == (Exit.DONE, True), said
    found = json.loads(printed)["ledgers"][ASSESSMENT]
    assert (found["sequence"], found["checkpoint"]) == (len(site.raws), len(site.raws))
    assert parties(data) == parties(site.data)

    async def on() -> None:
        assert await ledger(server.url, data) == await ledger(site.url, site.data)
        async with connected(server.url, "ingest", data) as client:
            await publish_batch(client, [message(site.raws[1])], len(site.raws))
        assert len(await ledger(server.url, data)) == len(site.raws) + 1

    with EmbeddedServer(data) as server:
        asyncio.run(on())


def test_a_backup_is_its_owner_s_alone_and_holds_keys_and_streams_but_nothing_that_is_computed(
    site: Published, backup: Path
) -> None:
    with tarfile.open(backup) as tar:
        names = set(tar.getnames())
    assert backup.stat().st_mode & 0o777 == 0o600
    assert {f"{FOLDER}/keys/log.key", f"{FOLDER}/opening.json", f"{STREAMS}/LEDGER-{ASSESSMENT}", MANIFEST} <= names
    assert not [name for name in names if name.endswith((".duckdb", ".conf")) or "/jetstream/" in name]
    assert {path.name for path in (site.data / "keys").iterdir()} == {
        Path(one).name for one in names if "/keys/" in one
    }


def rewritten(backup: Path, to: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> Path:
    """The backup with its members changed, as who can write the file would."""
    with tarfile.open(backup) as old, tarfile.open(to, "w") as new:
        for member in old:
            source = old.extractfile(member)
            assert source
            name, data = change(member.name, source.read())
            made = tarfile.TarInfo(name)
            made.size = len(data)
            new.addfile(made, io.BytesIO(data))
    return to


def _manifest(data: bytes, **more: Any) -> bytes:
    return json.dumps(json.loads(data) | more).encode()


CHANGES: dict[str, Callable[[str, bytes], tuple[str, bytes]]] = {
    "a bit of the ledger": lambda name, data: (
        (name, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]) if "LEDGER" in name else (name, data)
    ),
    "a file that leads outside": lambda name, data: (name.replace(f"{FOLDER}/opening.json", "../opening.json"), data),
    "another format": lambda name, data: (name, _manifest(data, format=2) if name == MANIFEST else data),
    "no members": lambda name, data: (name, _manifest(data, members={}) if name == MANIFEST else data),
    "no object": lambda name, data: (name, b"[]" if name == MANIFEST else data),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_it_was_written_restores_nothing(backup: Path, tmp_path: Path, change: str) -> None:
    broken = rewritten(backup, tmp_path / "broken.tar", CHANGES[change])
    code, printed, said = restored(broken, tmp_path / "again")
    assert (code, printed, "not a backup as it was written" in said) == (Exit.FAILED, b"", True), said
    assert not (tmp_path / "again").exists()


def test_a_cut_file_a_stranger_and_a_folder_that_is_in_use_are_named(backup: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tar"
    cut.write_bytes(backup.read_bytes()[:-20_000])
    (tmp_path / "text.tar").write_text("no backup", encoding="utf-8")
    for file in (cut, tmp_path / "text.tar", tmp_path / "absent.tar"):
        code, _, said = restored(file, tmp_path / "again")
        assert (code, file.name in said, "Traceback" in said) == (Exit.FAILED, True, False)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "nats.conf").touch()
    code, _, said = restored(backup, tmp_path / "used")
    assert (code, "is not empty" in said, len([*(tmp_path / "used").iterdir()])) == (Exit.FAILED, True, 1)


def test_a_ledger_that_is_not_the_one_of_its_checkpoint_is_told(site: Published, tmp_path: Path) -> None:
    """Somebody made the log again with one event changed, and the checkpoint lies beside it."""
    data, raws = tmp_path / "other", [*site.raws[:-1], site.raws[-1] + b" "]
    units = [row["unit"] for row in json.loads(raws[0])["data"]["roster"]]

    async def made() -> None:
        async with embedded(data, ASSESSMENT, [one["code"] for one in BOOK_JSON["office"]], units) as server:
            (data / "opening.json").write_bytes(raws[0])
            async with connected(server.url, "ingest", data) as client:
                await publish_batch(client, [*map(message, raws)], 0)
            async with connected(server.url, "ranker", data) as client:
                note = (site.data / "snapshots" / checkpoint.NAME).read_bytes()
                await jetstream(client).publish(f"checkpoint.{ASSESSMENT}", note)
            variables = site.variables() | {"NATS_URL": server.url, "WUXING_DATA": str(data)}
            code, _, said = await asyncio.to_thread(run, variables, "backup", tmp_path / "other.tar")
            assert code == Exit.DONE, said

    asyncio.run(made())
    code, _, said = restored(tmp_path / "other.tar", tmp_path / "again")
    assert (code, "is not the one of its checkpoint" in said) == (Exit.NO, True), said
