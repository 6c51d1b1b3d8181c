"""What an office was promised is in the ledger, or verify names the receipt that is not kept."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from services.proof import checkpoint, receipts
from services.proof.note import NoteError
from services.scorer import file
from services.snapshot import make
from tests.product import command, year
from tests.test_appeals import THREE, complete

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from services.proof.note import Signer


def small() -> bytes:
    return b"\n".join([*complete().lines, b""])


def findings(path: Path, mark: str, *options: str) -> list[tuple[str, ...]]:
    """What `wuxing verify` finds with such a mark: each finding's name and what it names."""
    _, out, _ = command("verify", path, "--format", "json", "--lang", "en", *options)
    return [(one["name"], *one["values"]) for one in json.loads(out)["checks"] if one["mark"] == mark]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("receipts")
    (made / "events.jsonl").write_bytes(small())
    folded = file.fold(made / "events.jsonl", year(THREE), target=made / "s.duckdb")
    make.complete(folded.con, folded.year, folded.lines, checkpoint.key(made / "log.key", "wuxing/wenzhou-2013"))
    folded.con.close()
    signer = checkpoint.key(made / receipts.KEY, "wuxing/receipts")
    (made / receipts.PUBLIC).write_text(f"{signer.verifier}\n", encoding="utf-8")
    return made


def key(folder: Path) -> Signer:
    return checkpoint.key(folder / receipts.KEY, "wuxing/receipts")


def promised(folder: Path) -> list[dict[str, Any]]:
    """A receipt for each of the first events, as intake gives it."""
    lines = small().splitlines()[:5]
    found = [
        {
            "source": json.loads(raw)["source"], "id": json.loads(raw)["id"], "outcome": "accepted", "sequence": n,
            "sha256": sha256(raw).hexdigest(), "reason": None, "path": None, "message": None, "disposition": None,
            "why": None,
        }
        for n, raw in enumerate(lines, 1)
    ]  # fmt: skip
    return [receipts.signed(one, key(folder)) for one in found]


def checked(folder: Path, held: list[Any], *options: str) -> list[tuple[str, ...]]:
    path = folder / "held.jsonl"
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in held), encoding="utf-8")
    return findings(folder / "s.duckdb", "fail", "--receipts", str(path), *options)


def test_receipts_that_are_kept_hold(folder: Path) -> None:
    held = promised(folder)
    assert checked(folder, held) == []
    ok = findings(folder / "s.duckdb", "ok", "--receipts", str(folder / "held.jsonl"))
    assert "receipts" in {one[0] for one in ok}
    assert checked(folder, [dict(reversed(one.items())) for one in held]) == [], "the order of keys is nothing"


def test_what_emit_printed_is_held_against_the_ledger_as_it_stands(folder: Path) -> None:
    """It leaves out what is null, says the row beside it, and has lines for which intake promised nothing."""

    def line(receipt: dict[str, Any]) -> dict[str, Any]:
        return {"row": 4, "sheet": "Ratings", **{name: value for name, value in receipt.items() if value is not None}}

    kept = promised(folder)
    own: list[dict[str, Any]] = [
        {"row": 5, "sheet": None, "source": "s", "id": "i", "outcome": "there", "sequence": 3, "message": "m"},
        {"row": 6, "sheet": None, "source": "s", "id": "i", "outcome": "refused", "reason": "bad_field", "cell": "B6"},
        {"row": 7, "sheet": None, "source": "s", "id": "i", "outcome": "pending", "message": "m"},
    ]
    refused = {**dict.fromkeys(kept[0]), "source": "s", "id": "i", "outcome": "refused", "reason": "conflict"}
    held = [*map(line, kept), *own, line(receipts.signed(refused, key(folder))) | {"cell": "C4"}]
    assert checked(folder, held) == []
    assert ("receipts", str(len(kept) + 1)) in findings(
        folder / "s.duckdb", "ok", "--receipts", str(folder / "held.jsonl")
    )
    bare = {name: value for name, value in line(kept[1]).items() if name != "signature"}
    broken = [line(kept[0]) | {"sequence": 2}, bare, line(receipts.signed(kept[2] | {"sequence": 999}, key(folder)))]
    assert [one[0] for one in checked(folder, broken)] == ["receipt_unsigned", "receipt_unsigned", "receipt_missing"]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"sequence": 999}, "receipt_missing"), ({"sequence": 4}, "receipt_other"), ({"sequence": None}, "receipt_nowhere"),
    ({"sha256": "0" * 64}, "receipt_other"), ({"sequence": True}, "receipt_nowhere"),
    ({"sequence": "3"}, "receipt_nowhere"), ({"sequence": 0}, "receipt_missing"), ({"sequence": -3}, "receipt_missing"),
    ({"sequence": 2**63}, "receipt_missing"), ({"sha256": None}, "receipt_other"),
    ({"sha256": "A" * 64}, "receipt_other"),
]  # fmt: skip


def test_each_promise_that_is_not_kept_is_named(folder: Path) -> None:
    kept = promised(folder)
    broken = [receipts.signed(kept[2] | change, key(folder)) for change, _ in BROKEN]
    found = checked(folder, [*kept[:2], *broken])
    assert {one[:2] for one in found} == {(name, str(line)) for line, (_, name) in enumerate(BROKEN, 3)}
    assert len(found) == len(BROKEN)


def test_a_file_of_any_size_is_read_a_part_at_a_time_and_no_line_is_too_long_for_it(
    folder: Path, tmp_path: Path
) -> None:
    one = json.dumps(promised(folder)[0]).encode() + b"\n"
    junk = b"x" * (3 * receipts.LINE_MAX) + b"\n"
    file = tmp_path / "held.jsonl"
    file.write_bytes(one * 1500 + b"\n" + junk + one * 1500 + junk[:-1])
    asked: list[int] = []

    def raws(sequences: Sequence[int]) -> dict[int, bytes]:
        asked.append(len(sequences))
        return {1: small().splitlines()[0]}

    found = list(receipts.check(file, [key(folder).verifier], raws, 1))
    assert [(n.line, n.what) for n in found if n] == [(1502, "receipt_unread"), (3003, "receipt_unread")]
    assert len(found) == 3002
    assert max(asked) <= receipts.BATCH < sum(asked) == 3000


def test_a_receipt_that_intake_did_not_sign_is_no_evidence(folder: Path, tmp_path: Path) -> None:
    held = promised(folder)
    others = [
        held[1] | {"id": "x"}, held[1] | {"signature": None}, held[1] | {"signature": "AAAA"},
        held[1] | {"signature": "é"},
        receipts.signed(held[1], checkpoint.key(tmp_path / "k", "wuxing/receipts")),
    ]  # fmt: skip
    found = checked(folder, [held[0], *others, []])
    lines = [(one[0], one[1]) for one in found]
    assert sorted(lines) == [("receipt_unread", "7"), *(("receipt_unsigned", str(n)) for n in range(2, 7))]
    stranger = str(checkpoint.key(tmp_path / "k", "wuxing/receipts").verifier)
    assert {one[0] for one in checked(folder, held, "--receipt-key", stranger)} == {"receipt_unsigned"}


def test_a_receipt_key_that_is_gone_is_missed_and_not_made_again(tmp_path: Path) -> None:
    signer = receipts.site_key(tmp_path, "y", publish=True)
    assert receipts.site_key(tmp_path, "y").verifier == signer.verifier
    (tmp_path / "keys" / receipts.KEY).unlink()
    with pytest.raises(NoteError, match="Restore it from the backup"):
        receipts.site_key(tmp_path, "y")
