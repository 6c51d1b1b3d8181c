"""What intake refuses has readers: the snapshot, the page, the ready query and the status say the same."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from litestar.testing import TestClient

from infra.client import connected
from services.console import sql
from services.console.app import create_app
from services.ranker.refusals import Refusals
from services.scorer import store
from services.site.stack import facts
from services.snapshot import held
from tests.test_ingest import A, Desk, event, story

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = json.dumps(json.loads(event("b")) | {"subject": "U999"}).encode()
REFUSED = [(2, b"{", "not_json"), (4, NOBODY, "unknown_unit"), (5, b"[", "not_json")]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot with what an intake refused of an office's four messages, two rounds of a ranker after each other."""
    folder = tmp_path_factory.mktemp("refused")
    path = folder / "snapshots" / f"{A}-1.duckdb"
    path.parent.mkdir()
    path.write_bytes(held.blank())

    async def steps(desk: Desk) -> None:
        found = Refusals(A)
        for raws in ([b"{", event("a"), NOBODY], [b"["]):
            await desk.taken(*raws)
            async with connected(desk.server.url, "ranker", desk.data) as client:
                await found.follow(client)
                await found.follow(client)
        with store.connect(path) as con:
            found.write(con)
        async with connected(desk.server.url, "audit", desk.data) as client:
            assert (await facts(client, desk.settings))["refused"] == len(found.rows) == len(REFUSED)

    story(folder / "site", steps)
    (path.parent / "latest.duckdb").symlink_to(path.name)
    return path


def test_each_is_there_with_its_party_its_sequence_in_intake_and_the_hash_of_its_bytes(snapshot: Path) -> None:
    with held.opened(snapshot) as con:
        rows = con.execute(
            "SELECT party, intake_seq, reason, sha256, recorded_at IS NULL FROM intake_refused"
        ).fetchall()
    assert rows == [("ducha", seq, why, hashlib.sha256(raw).hexdigest(), False) for seq, raw, why in REFUSED]


def test_the_ready_query_counts_as_the_status_does(snapshot: Path) -> None:
    found = sql.ask(snapshot, sql.queries()["refusals"].text)
    assert [(row[0], row[2], row[5]) for row in found.rows] == [("intake", seq, why) for seq, _, why in REFUSED]


def test_the_page_of_offices_and_collector_names_each(snapshot: Path) -> None:
    with TestClient(create_app(snapshot.parent)) as client:
        page = client.get("/progress").text
    assert [seq for seq, raw, _ in REFUSED if hashlib.sha256(raw).hexdigest() not in page] == []
    assert "unknown_unit</code> <b>1</b>" in page


def test_no_result_and_no_proof_rests_on_them(snapshot: Path) -> None:
    with held.opened(snapshot) as con:
        assert held.differing(con) == []
