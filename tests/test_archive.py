"""An archived year proves itself, and whatever is done to it is named."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from services.audit import archive, export
from services.audit.archive import CHECKPOINT, KEYS, LEDGER, LIST, MEMBERS, README, SNAPSHOT
from services.proof import checkpoint, note
from services.scorer import rules
from services.snapshot import point
from tests import product
from tests.test_verify import checked, signer, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = str(signer().verifier)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The members of the archive of a small final year, unpacked."""
    place = tmp_path_factory.mktemp("archive")
    lines = product.small(settled=True)
    with product.folded(product.joined(lines), product.SHIPPED) as found:
        refused = {one.line for one in found.refused if one.reason != "conflict"}
    made = written(place, tuple(line for n, line in enumerate(lines, 1) if n not in refused), by=signer())
    made.rename(place / SNAPSHOT)
    (place / "s.jsonl").unlink()
    with point.snapshot(place / SNAPSHOT) as con, (place / LEDGER).open("wb") as ledger:
        text = checkpoint.held(con)
        export.of_snapshot(con, lambda batch: ledger.writelines(map(archive.ledger_line, batch)), lambda *_: None)
    intake = note.Signer("wuxing/small/receipts", note.ED25519, signer().private)
    archive.fill(place, text or "", {"log": signer().verifier, "receipts": intake.verifier})
    return place


def packed(folder: Path, target: Path, by: note.Signer | None = None) -> Path:
    """The archive of a folder's members, listed and signed anew."""
    last = sum(1 for _ in (folder / LEDGER).open("rb"))
    archive.write(folder, target, "small", last, "finalised", by or signer())
    return target


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    return packed(folder, folder / "small.zip")


def test_an_archive_holds_and_any_zip_tool_opens_it(whole: Path) -> None:
    _, outcome = checked(whole, "--key", KEY)
    assert [line.text for line in outcome.checks if line.mark == "fail"] == []
    assert outcome.kind == "archive"
    assert {"archive", "members", "archive_ledger", "digest"} <= {line.name for line in outcome.checks}
    with zipfile.ZipFile(whole) as opened:
        assert tuple(opened.namelist()) == MEMBERS
        assert opened.testzip() is None
        assert {one.compress_type for one in opened.infolist()} == {zipfile.ZIP_STORED}


def test_a_bit_that_fell_over_anywhere_is_named(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    places = [*range(0, len(data), len(data) // 20), *range(len(data) - 600, len(data), 23), len(data) - 1]
    silent = []
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        (path := tmp_path / "bit.zip").write_bytes(changed)
        if archive.is_archive(path) and not list(broken(path)):
            silent.append(place)
    assert silent == []
    assert len(places) > 40


def broken(path: Path) -> list[str]:
    """What the bytes alone say, before anything is computed."""
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    try:
        archive.unpack(path, folder)
    except archive.Broken as error:
        return [error.found.name]
    return []


@pytest.mark.parametrize(
    "change", [lambda data: data + b"\0", lambda data: data[:-1], lambda data: data[: len(data) // 2]]
)
def test_what_is_longer_or_shorter_is_named(whole: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    (path := tmp_path / "a.zip").write_bytes(change(whole.read_bytes()))
    assert [name for name, *_ in named(path)] == ["container"]


def named(path: Path, *keys: note.Verifier) -> list[tuple[object, ...]]:
    """What does not hold of an archive but for its snapshot, of which `test_tampering` tells."""
    found = archive.check(path, list(keys) or [signer().verifier], lambda *_: ())
    return [(one.name, *one.values) for one in found if one.mark == "fail"]


def edited(folder: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of the members of which one is another."""
    copy = tmp_path / "members"
    shutil.copytree(folder, copy)
    path = copy / name
    path.chmod(0o644)
    path.write_bytes(change(before := path.read_bytes()))
    assert path.read_bytes() != before
    return copy


def cut_last_line(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[:-1])


def swapped(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join([*lines[:5], lines[6], lines[5], *lines[7:]])


#: Member, what is done to it, and what is named although the list was signed anew by the log's own key.
TAMPERED = [
    (LEDGER, lambda data: data.replace(b'"recorded":13885', b'"recorded":13886', 1), "archive_root"),
    (LEDGER, lambda data: data.replace("号".encode(), "期".encode(), 1), "archive_root"),
    (LEDGER, cut_last_line, "archive_root"),
    (LEDGER, swapped, "archive_event"),
    (LEDGER, lambda data: data.replace(b'{"sequence":2,', b'{"sequence":2,"more":1,', 1), "member_unread"),
    (CHECKPOINT, lambda data: data.replace(b"\nversion ", b"\nversion 9", 1), "signature"),
    (CHECKPOINT, lambda _: b"none\n", "signature"),
    ("rulebook.json", lambda data: data.replace(b"1.1", b"1.9", 1), "archive_digest"),
    ("roster.json", lambda data: data.replace(b"U0", b"U9", 1), "archive_digest"),
    ("roster.json", lambda _: b"[" * 100_000, "member_unread"),
    (KEYS, lambda data: data.replace(b'"parties":{', b'"parties":{"U001":"UA"', 1), "archive_keys"),
    (KEYS, lambda _: b"{}", "member_unread"),
    (SNAPSHOT, lambda data: data[:4096] + b"\xff" * 64 + data[4160:], "member_unread"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "finding"), TAMPERED, ids=[f"{one[0]} {n}" for n, one in enumerate(TAMPERED)]
)
def test_what_even_the_key_s_holder_cannot_change_is_named(
    folder: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes], finding: str
) -> None:
    path = packed(edited(folder, tmp_path, name, change), tmp_path / "a.zip")
    assert finding in {one for one, *_ in named(path)}


@pytest.mark.parametrize("name", [README, LEDGER, KEYS])
def test_a_member_that_is_not_the_one_listed_is_named(folder: Path, whole: Path, tmp_path: Path, name: str) -> None:
    copy = edited(folder, tmp_path, name, lambda data: data + b"\n")
    text = (folder / LIST).read_text("utf-8")
    archive.write(copy, path := tmp_path / "a.zip", "small", 1, "-", signer())
    (copy / LIST).write_text(text, "utf-8")
    archive.pack(copy, path)
    assert ("member", name) in named(path)
    assert whole.exists()


def test_another_s_signature_is_refused(folder: Path, tmp_path: Path) -> None:
    other = note.Signer.generate(tmp_path / "other.key", "wuxing/small")
    path = packed(edited(folder, tmp_path, README, lambda data: data + b"\n"), tmp_path / "a.zip", other)
    assert [name for name, *_ in named(path)] == ["archive_list"]


@pytest.mark.long
def test_a_snapshot_of_another_version_is_recomputed_from_the_ledger(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "SCHEMA", "of ten years later")
    assert named(whole) == []
    assert {"other_version", "digest"} <= {one.name for one in archive.check(whole, [], lambda *_: ())}
