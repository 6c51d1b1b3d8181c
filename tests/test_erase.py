"""Texts out of line on a real nats-server: an order erases them from every file of the site, and each proof holds.

One year that asks for it, with signatures required, its services as processes of their own; each test goes on where the
one before it ended.
"""

import asyncio
import csv
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pytest
from litestar.testing import TestClient
from nats.js.errors import APIError

from infra.client import connected, jetstream, read_stream
from infra.rights import key_file
from infra.server import EmbeddedServer
from infra.streams import TEXTS, declared_streams, stream
from schemas import roster as rosters
from schemas import rulebook, soundness, subjects, texts
from schemas.faults import RulebookError
from schemas.refusals import Refusal
from schemas.texts import Text
from services.console import forms
from services.console.app import create_app
from services.console.door import Who, door
from services.gateway import desk as desks
from services.gateway import keys
from services.gateway.desk import Desk
from services.ingest import signatures
from services.ingest import texts as making
from services.ingest.check import Checker
from services.ingest.line import Fault, read
from services.office import template
from services.process.ending import Exit
from services.process.settings import read as settings
from services.rulebook.sentences import sentences
from services.site import synthetic
from services.snapshot.results import results
from tests.product import BOOK, BOOK_FILE, BOOK_JSON, SHIPPED, command, folded, joined
from tests.test_desk import Page, _served, stranger

A = "year-2014"
NAMES = ("rater", "reason", "statement")
APART = soundness.read({**BOOK_JSON, "out_of_line": [*NAMES]})
COLLECTOR = APART.roles.collector
PATIENCE = 300.0
#: Texts that stand in no other file.
REASON, OTHER, RATER, STATEMENT = "王小明逾期未反馈", "赵大海办理不力", "李四评委", "我局已于五月二日由周某反馈"
HIDDEN = "不应出现的明文"
TYPED, STAYS = "吴大伟未按期办结", "郑七未按期办结"


def event(id_: str, kind: str, source: str, data: dict[str, Any], unit: str = "U001") -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": id_, "source": source, "type": kind, "subject": unit,
        "time": "2013-05-06T09:30:00+08:00", "data": data,
    }  # fmt: skip


def deduction(id_: str, reason: str, unit: str = "U001") -> dict[str, Any]:
    data = {"item": "1.1", "matter": f"matter {id_}", "ground": "no_feedback", "reason": reason}
    return event(id_, "deduction.recorded.v1", "/offices/ducha", data, unit)


def rating(id_: str, rater: str, unit: str = "U001") -> dict[str, Any]:
    return event(id_, "rating.recorded.v1", "/offices/gongwei", {"item": "1.5", "value": "80", "rater": rater}, unit)


def order(id_: str, target: dict[str, Any], office: str = COLLECTOR) -> dict[str, Any]:
    named = {"source": target["source"], "id": target["id"]}
    return event(
        id_, "text.erased.v1", f"/offices/{office}", {"target": named, "reason": "应本人申请"}, target["subject"]
    )


def line(one: dict[str, Any]) -> bytes:
    return json.dumps(one, ensure_ascii=False).encode()


def apart(one: dict[str, Any], instead: str | None = None) -> tuple[dict[str, Any], dict[str, Text]]:
    """The event with tokens for its texts, as an agency of its own would make them, and the texts."""
    made, held = dict(one["data"]), dict[str, Text]()
    for name in NAMES:
        if name in made:
            salt = secrets.token_bytes(32)
            token = "sha256:" + hashlib.sha256(salt + made[name].encode()).hexdigest()
            held[token] = Text(salt.hex(), instead or made[name])
            made[name] = token
    return one | {"data": made}, held


class Broker(Protocol):
    """One broker, or several."""

    @property
    def url(self) -> str: ...


@dataclass
class Site:
    """The site of the year, its broker and its services."""

    data: Path
    server: Broker
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WUXING_DATA": str(self.data), "WUXING_ASSESSMENT": A, "NATS_URL": self.server.url,
            "WUXING_RANK_SECONDS": "1", "WUXING_LOG": "json",
        }  # fmt: skip

    def start(self, name: str, *fault: str) -> None:
        module = ["tests.faults.die", name, *fault] if fault else ["services", name]
        with (self.data / "logs" / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *module], env=os.environ | self.environment, stdout=log, stderr=log
            )

    def end(self, name: str) -> None:
        service = self.running.pop(name)
        service.terminate()
        service.wait(PATIENCE)

    def stop(self) -> None:
        for name in [*self.running]:
            self.end(name)

    def run(self, *arguments: str | Path) -> tuple[int, bytes, str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return command(*arguments, "--lang", "en")

    def emit(self, *events: dict[str, Any] | str) -> list[dict[str, Any]]:
        """Hand events of one office in as the rows of a table, in the clear; the command signs them. Texts: options."""
        options = [one for one in events if isinstance(one, str)]
        rows = [one for one in events if not isinstance(one, str)]
        path = self.data.parent / "events.csv"
        flat = [{"type": one["type"], "unit": one["subject"], "time": one["time"], "id": one["id"], **one["data"]}
                for one in rows]  # fmt: skip
        names = list(dict.fromkeys(name for one in flat for name in one))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(flat)
        _, printed, said = self.run(
            "emit", path, "--office", rows[0]["source"].rpartition("/")[2], "--wait", "120", *options
        )
        found = [json.loads(one) for one in printed.splitlines()]
        assert len(found) == len(rows), said
        return found

    def signed(self, one: dict[str, Any], held: dict[str, Text] | None = None) -> bytes:
        """As an agency signs it: the attribute `texts` comes after the signature, and is not covered by it."""
        party = subjects.party_of(one["source"]) or ""
        raw = signatures.signed(one, key_file(self.data, party).read_bytes())
        return raw if held is None else raw[:-1] + b"," + line({"texts": texts.packed(held)})[1:]

    def send(self, raw: bytes) -> dict[str, Any]:
        """Publish bytes with a party's own key, and the receipt that ingest gives for them."""
        return asyncio.run(self._send(raw))

    async def _send(self, raw: bytes) -> dict[str, Any]:
        one = json.loads(raw)
        party = subjects.party_of(one["source"]) or ""
        async with connected(self.server.url, party, self.data) as client:
            receipts: asyncio.Queue[bytes] = asyncio.Queue()

            async def hear(message: Any) -> None:
                receipts.put_nowait(message.data)

            await client.subscribe(subjects.receipt(A, party), cb=hear)
            await client.flush()
            await jetstream(client).publish(subjects.intake(A, party, one["type"], one["subject"]), raw)
            while True:
                told = json.loads(await asyncio.wait_for(receipts.get(), PATIENCE))
                if told["outcome"] != "settled" and (told["id"] == one["id"] or told["id"] is None):
                    return dict(told)

    def explained(self, unit: str, *more: str | Path) -> str:
        """A unit's statement, its lines joined again."""
        return " ".join(self.run("explain", unit, *more)[1].decode().split())

    def until(self, good: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := good()):
            logs = {path.name: path.read_text("utf-8")[-1500:] for path in (self.data / "logs").glob("*.log")}
            assert time.monotonic() < deadline, logs
            time.sleep(0.1)  # between two looks at what other processes do; the deadline is what fails
        return found

    def ranked(self, sequence: int) -> Path:
        """The latest snapshot, once it is of this sequence or a later one."""

        def there() -> Path | None:
            latest = self.data / "snapshots" / "latest.duckdb"
            name = latest.resolve().stem if latest.exists() else f"{A}-0"
            return latest.resolve() if int(name.removeprefix(f"{A}-")) >= sequence else None

        found: Path = self.until(there)
        return found

    def holding(self, text: str) -> list[str]:
        """Every file of the site in which the bytes of a text lie."""
        found = []
        for path in sorted(self.data.rglob("*")):
            try:
                held = path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes()
            except FileNotFoundError:  # it was renamed, or removed, meanwhile
                continue
            if held:
                found.append(path.relative_to(self.data).as_posix())
        return found

    def stored(self, kind: str) -> list[Any]:
        async def all_() -> list[Any]:
            async with connected(self.server.url, "ingest", self.data) as client:
                return [one async for one in read_stream(client, kind, A)]

        return asyncio.run(all_())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("erase")
    book, roster = folder / "rulebook.toml", folder / "roster.csv"
    head, _, rest = BOOK_FILE.read_text(encoding="utf-8").partition("\n[")
    keys = 'out_of_line = ["rater", "reason", "statement"]\nsignatures = "required"\n'
    book.write_text(f"{head}\n{keys}\n[{rest}", encoding="utf-8")
    rows = (rulebook.SHIPPED / "roster.csv").read_text(encoding="utf-8").splitlines()
    roster.write_text("\n".join([rows[0], *rows[1:4], *rows[60:63], ""]), encoding="utf-8")
    data = folder / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WUXING_DATA", str(data))
        code, _, said = command("open", A, "--rulebook", book, "--roster", roster, "--yes", "--lang", "en")
    assert code == Exit.DONE, said
    with EmbeddedServer(data) as server:
        made = Site(data, server)
        for name in ("ingest", "scorer", "ranker"):
            made.start(name)
        try:
            made.ranked(1)
            yield made
        finally:
            made.stop()


# A year that asks for it ---------------------------------------------------------------------------------------------


def test_a_text_is_in_the_statement_and_neither_in_the_ledger_nor_in_the_scorer_s_file(site: Site) -> None:
    told = [*site.emit(deduction("d1", REASON)), *site.emit(rating("r1", RATER), rating("r2", RATER, "U002"))]
    assert [one["outcome"] for one in told] == ["accepted"] * 3, told
    made, held = apart(deduction("d2", OTHER))
    receipt = site.send(site.signed(made, held))
    assert (receipt["outcome"], receipt["sequence"]) == ("accepted", 5), receipt
    assert receipt["sha256"] == hashlib.sha256(site.signed(made)).hexdigest()
    site.kept |= {"d2": (made, held), "receipts": [receipt]}
    newest = site.ranked(5)
    assert all(text in site.explained("U001") for text in (REASON, OTHER, RATER))
    block = f"jetstream/jetstream/CORE/streams/{stream(TEXTS, A)}/msgs/1.blk"
    site.until(lambda: not [one for one in site.holding(OTHER) if "INTAKE" in one])  # the last that was taken
    for text in (REASON, OTHER, RATER):
        found = {*site.holding(text)}
        assert {one for one in found if not one.startswith(f"snapshots/{A}-")} == {block}
        assert f"snapshots/{newest.name}" in found
    raters = [json.loads(one.data)["data"].get("rater") for one in site.stored("LEDGER")]
    assert texts.is_token(raters[2])
    assert raters[2] == raters[3], "the same rater has the same token"


def test_a_unit_s_appeal_by_command_goes_the_same_way(site: Site) -> None:
    code, printed, said = site.run("appeal", "U001", "--target", "2", "--statement", STATEMENT, "--wait", "120")
    assert code == Exit.DONE, said
    site.ranked(json.loads(printed)["sequence"])
    assert STATEMENT in site.run("appeals")[1].decode()
    assert not [name for name in site.holding(STATEMENT) if "LEDGER" in name or "scorer" in name]


def test_the_page_shows_each_text_where_it_is(site: Site) -> None:
    with TestClient(create_app(site.data / "snapshots")) as client:
        unit, event_, appeals = (client.get(path).text for path in ("/unit/U001?lang=zh", "/event/2", "/appeals"))
    assert REASON in unit
    assert RATER in unit
    assert REASON in event_
    assert STATEMENT in appeals


def many(site: Site, number: int) -> bytes:
    """An event with so many texts; what a broker takes of one office is less than a thousand of them."""
    return site.signed(
        apart(deduction("h8", "x"))[0], {f"sha256:{n:064x}": Text("0" * 64, HIDDEN) for n in range(number)}
    )


HOSTILE: dict[str, tuple[Callable[[Site], bytes], str, str]] = {
    "plain text": (lambda site: site.signed(deduction("h1", HIDDEN)), "bad_field", "data.reason"),
    "a token without its text": (
        lambda site: site.signed(apart(deduction("h2", HIDDEN))[0]), "bad_field", "data.reason",
    ),
    "a token of another office": (
        lambda site: site.signed(deduction("h3", json.loads(site.stored("LEDGER")[2].data)["data"]["rater"])),
        "bad_field", "data.reason",
    ),
    "a text whose hash is another": (
        lambda site: site.signed(*apart(deduction("h4", "x"), instead=HIDDEN)), "bad_field", "texts",
    ),
    "a text of no token": (
        lambda site: site.signed(
            apart(deduction("h5", "x"))[0], apart(deduction("h5", "x"))[1] | apart(deduction("", HIDDEN))[1]
        ),
        "bad_field", "texts",
    ),
    "a text that is too long": (
        lambda site: site.signed(*apart(deduction("h6", HIDDEN * 300))), "bad_field", "texts",
    ),
    "texts that are no string": (
        lambda site: site.signed(apart(deduction("h7", HIDDEN))[0])[:-1] + line({"texts": {"a": HIDDEN}}).replace(
            b"{", b",", 1), "bad_field", "texts",
    ),
    "hundreds of texts": (lambda site: many(site, 300), "bad_field", "texts"),
    "texts beyond an event's size": (lambda site: many(site, 700), "too_large", ""),
    "an order by an office": (
        lambda site: site.signed(order("h9", deduction("d1", ""), "ducha")), "source_not_authorised", "source",
    ),
    "another's signature": (
        lambda site: site.signed(*apart(deduction("h10", HIDDEN))).replace(b"matter h10", b"matter h11"),
        "not_signed", "signature",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_as_it_must_be_is_refused_by_name_and_no_refusal_shows_a_text(site: Site, name: str) -> None:
    make, reason, path = HOSTILE[name]
    receipt = site.send(make(site))
    assert (receipt["outcome"], receipt["reason"], receipt.get("path") or "") == ("refused", reason, path), receipt
    assert HIDDEN not in receipt["message"]


def test_of_what_was_refused_no_text_lies_anywhere(site: Site) -> None:
    assert site.until(lambda: not site.holding(HIDDEN))


def test_no_party_reads_a_text_and_only_ingest_deletes_one(site: Site) -> None:
    async def tried(role: str, ask: str, payload: bytes) -> bool:
        complaints: asyncio.Queue[str] = asyncio.Queue()
        async with connected(site.server.url, role, site.data, hear=complaints.put_nowait) as client:
            try:
                await client.request(f"JSC.API.{ask}.{stream(TEXTS, A)}", payload, 2)
            except Exception:  # noqa: BLE001 - dropped without an answer
                return False
            return True

    async def all_() -> dict[str, list[bool]]:
        read_, delete = ("DIRECT.GET", b'{"seq":1}'), ("STREAM.MSG.DELETE", b'{"seq":999}')
        return {
            role: [await tried(role, *read_), await tried(role, *delete)]
            for role in ("ducha", COLLECTOR, "U001", "scorer", "gateway", "audit", "ranker", "ingest")
        }

    found = asyncio.run(all_())
    assert found.pop("ranker") == [True, False]
    assert found.pop("ingest") == [True, True]
    assert found == {key: [False, False] for key in ("ducha", COLLECTOR, "U001", "scorer", "gateway", "audit")}


def test_a_crash_between_text_and_ledger_loses_nothing(site: Site) -> None:
    site.end("ingest")
    site.start("ingest", "services.ingest.app:Ingest._append", "before", "1")
    made, held = apart(deduction("k1", "停在半路的理由"))
    raw = site.signed(made, held)

    async def publish() -> None:
        async with connected(site.server.url, "ducha", site.data) as client:
            await jetstream(client).publish(subjects.intake(A, "ducha", made["type"], "U001"), raw)

    before = len(site.stored("LEDGER"))
    asyncio.run(publish())
    assert site.running.pop("ingest").wait(PATIENCE) != 0
    assert [one for one in site.stored(TEXTS) if one.subject.endswith(next(iter(held))[7:])]
    assert len(site.stored("LEDGER")) == before
    site.start("ingest")
    assert site.until(lambda: len(site.stored("LEDGER")) == before + 1)
    assert "停在半路的理由" in site.ranked(before + 1).read_bytes().decode("utf-8", "ignore")


# Erasing ------------------------------------------------------------------------------------------------------------


def exported(site: Site, upto: int) -> str:
    """The digest that `score` comes to of the exported ledger up to a sequence."""
    path = site.data.parent / "ledger.jsonl"
    assert site.run("export", path)[0] == Exit.DONE
    _, printed, _ = site.run("score", path, "--as-of", str(upto), "--format", "json")
    return str(json.loads(printed)["digest"])


def verified(site: Site, path: Path, *more: str | Path) -> tuple[int, set[str]]:
    code, printed, said = site.run("verify", path, "--format", "json", *more)
    assert printed, said
    found = json.loads(printed)
    return code, {
        one["name"] for one in found["checks"] if one["mark"] == "fail" or one["name"] in ("texts", "continues")
    }


def test_an_order_erases_the_text_from_every_file_and_each_proof_holds(site: Site) -> None:
    last = len(site.stored("LEDGER"))
    newest = site.ranked(last)
    note = site.data.parent / "checkpoint.txt"
    shutil.copyfile(site.data / "snapshots" / "checkpoint.txt", note)
    receipts = site.data.parent / "receipts.jsonl"
    receipts.write_bytes(joined(map(line, site.kept["receipts"])))
    meta = dict(duckdb.connect(str(newest), read_only=True).execute("FROM meta").fetchall())
    assert exported(site, last) == meta["digest"]
    assert verified(site, newest) == (Exit.DONE, {"texts"})
    backup = site.data.parent / "before.tar"
    assert site.run("backup", backup)[0] == Exit.DONE
    site.kept |= {"last": last, "digest": meta["digest"], "backup": backup}

    code, printed, said = site.run("erase", "2", "--reason", "应本人申请", "--yes", "--wait", "120")
    assert (code, REASON in said, "in 2 events" in said) == (Exit.DONE, True, False), said
    sequence = json.loads(printed)["sequence"]
    site.ranked(sequence)
    assert site.until(lambda: not site.holding(REASON)), "the store's blocks, old snapshots and all"
    assert site.holding(OTHER), "the others stay"
    assert f"erased by order {sequence}" in site.explained("U001")
    with TestClient(create_app(site.data / "snapshots")) as client:
        assert f"已按序号{sequence}的决定删除" in client.get("/unit/U001?lang=zh").text

    newest = site.ranked(sequence)
    keys = ("--receipt-key", (site.data / "snapshots" / "receipt.vkey").read_text().strip())
    assert verified(site, newest, "--checkpoint", note, "--receipts", receipts, *keys) == (
        Exit.DONE, {"texts", "continues"},
    )  # fmt: skip
    assert exported(site, last) == meta["digest"]
    leaves = "SELECT seq, hash FROM leaf WHERE seq <= ? ORDER BY seq"
    assert duckdb.connect(str(newest), read_only=True).execute(leaves, [last]).fetchall()[-1][0] == last
    assert site.run("replay")[0] == Exit.DONE
    assert "erased" in (site.data / "logs" / "ranker.log").read_text("utf-8")


def test_one_order_erases_a_rater_wherever_he_stands(site: Site) -> None:
    code, printed, said = site.run(
        "erase", "--source", "/offices/gongwei", "--id", "r1", "--reason", "x", "--yes", "--wait", "120"
    )
    assert (code, f"{RATER} (in 2 events)" in said) == (Exit.DONE, True), said
    sequence = json.loads(printed)["sequence"]
    site.ranked(sequence)
    assert site.until(lambda: not site.holding(RATER))
    assert f"erased by order {sequence}" in site.explained("U002")
    later = site.emit(rating("r3", RATER, "U003"))
    assert later[0]["outcome"] == "accepted", "who was erased may rate, and his name does not come back"
    newest = site.ranked(later[0]["sequence"])
    assert not site.holding(RATER)
    assert verified(site, newest) == (Exit.DONE, {"texts"})


def test_what_is_sent_again_is_a_duplicate_and_brings_no_text_back(site: Site) -> None:
    made, held = site.kept["d2"]
    target = order("o1", made)
    assert site.send(site.signed(target))["outcome"] == "accepted"
    assert site.until(lambda: not [one for one in site.stored(TEXTS) if one.subject.endswith(next(iter(held))[7:])])
    again = site.send(site.signed(made, held))
    assert again["outcome"] == "accepted", again
    without = site.send(site.signed(made))
    assert without["outcome"] == "accepted", "nor need it bring one"
    newest = site.ranked(without["sequence"])
    admitted = duckdb.connect(str(newest), read_only=True).execute(
        "SELECT admission FROM event WHERE seq IN (?, ?)", [again["sequence"], without["sequence"]]
    )
    assert admitted.fetchall() == [("duplicate",), ("duplicate",)]
    assert site.until(lambda: not site.holding(OTHER))
    assert site.emit(deduction("d1", REASON))[0]["outcome"] == "there"


def test_a_row_that_was_given_no_id_is_known_again_corrected_and_sent_anew(site: Site) -> None:
    first, other = (deduction("", reason, "U002") for reason in ("七号窗口无人", "八号窗口无人"))
    told = site.emit(first)[0]
    assert told["outcome"] == "accepted", told
    site.ranked(told["sequence"])
    assert site.emit(first)[0]["outcome"] == "there"
    assert site.emit(other)[0]["outcome"] == "correction"
    for row in (other, first):  # the second time under an id of its own, since the first one was taken back
        told = site.emit(row, "--replace")[0]
        assert told["outcome"] == "accepted", told
        newest = site.ranked(told["sequence"])
    assert told["id"].endswith("-2")
    assert "七号窗口无人" in site.explained("U002")
    assert verified(site, newest) == (Exit.DONE, {"texts"})


def test_an_order_that_names_nothing_is_void_and_erases_nothing(site: Site) -> None:
    receipt = site.send(site.signed(order("o2", deduction("no-such", ""))))
    newest = site.ranked(receipt["sequence"])
    sql = "SELECT admission, void_reason FROM event WHERE seq = ?"
    found = duckdb.connect(str(newest), read_only=True).execute(sql, [receipt["sequence"]]).fetchall()
    assert found == [("void", "no_target")]
    assert STATEMENT in site.run("appeals")[1].decode()


def test_a_store_that_has_it_again_is_erased_again_at_the_next_start(site: Site) -> None:
    _, held = site.kept["d2"]
    [(token, text)] = held.items()

    async def put() -> None:
        async with connected(site.server.url, "ingest", site.data) as client:
            await jetstream(client).publish(subjects.text(A, "ducha", token), json.dumps([*text]).encode())

    asyncio.run(put())
    assert site.holding(text.salt)
    site.end("ingest")
    site.start("ingest")
    assert site.until(lambda: not site.holding(text.salt))


def test_a_backup_of_before_the_order_has_the_text_and_the_order_sent_again_erases_it(
    site: Site, tmp_path: Path
) -> None:
    orders = [one.data for one in site.stored("LEDGER") if b"text.erased.v1" in one.data]
    data = tmp_path / "restored"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WUXING_DATA", str(data))
        code, printed, said = command("restore", site.kept["backup"], "--lang", "en")
    assert (code, json.loads(printed)["ledgers"][A]["sequence"]) == (Exit.DONE, site.kept["last"]), said
    (data / "logs").mkdir(exist_ok=True)
    with EmbeddedServer(data) as server:
        other = Site(data, server)
        try:
            for name in ("ingest", "scorer"):
                other.start(name)
            assert other.holding(REASON)
            assert other.holding(RATER)
            assert other.send(orders[0])["outcome"] == "accepted"
            assert other.until(lambda: not other.holding(REASON))
            assert other.holding(RATER)
        finally:
            other.stop()


# What others are given -----------------------------------------------------------------------------------------------


def test_a_bundle_has_the_texts_of_its_unit_and_a_rater_only_where_all_is_shown(site: Site, tmp_path: Path) -> None:
    told = [*site.emit(rating("r9", "第九评委", "U003")), *site.emit(deduction("d9", "第九件", "U003"))]
    site.ranked(told[1]["sequence"])
    for name, more in (("some", ()), ("whole", ("--whole",))):
        folder = tmp_path / name
        folder.mkdir()
        assert site.run("bundle", "U003", folder / "b.json", *more)[0] == Exit.DONE
        given = json.loads((folder / "b.json").read_bytes())["texts"]
        assert {text for _, text in given.values()} == {"第九件", *(["第九评委"] if more else [])}
        verify: list[str | Path] = [sys.executable, "-I", "-S", folder / "verify.py", folder / "b.json", "--lang", "en"]
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        assert (done.returncode, "texts out of line are those of their tokens" in done.stdout) == (0, True), done.stdout
        bad = json.loads((folder / "b.json").read_bytes())
        bad["texts"][next(iter(given))][1] = "别的"
        (folder / "b.json").write_bytes(line(bad))
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        assert (done.returncode, "FAIL text" in done.stdout) == (1, True), done.stdout


CHANGED = {
    "text_other": "UPDATE text SET text = '别的' WHERE text = '第九件'",
    "text_gone": "DELETE FROM text WHERE text = '第九件'",
    "text_back": "UPDATE text SET erased_by = NULL, text = 'x', salt = '00' WHERE erased_by IS NOT NULL",
    "text_strange": "INSERT INTO text VALUES ('sha256:00', '00', 'x', NULL)",
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_text_that_is_not_its_token_s_is_named(site: Site, tmp_path: Path, name: str) -> None:
    path = tmp_path / "changed.duckdb"
    shutil.copyfile((site.data / "snapshots" / "latest.duckdb").resolve(), path)
    path.chmod(0o644)
    with duckdb.connect(str(path)) as con:
        con.execute(CHANGED[name])
        con.execute("CHECKPOINT")
    code, found = verified(site, path)
    assert (code, found) == (Exit.NO, {name})
    code, printed, _ = site.run("replay", "--snapshot", path, "--format", "json")
    assert (code, json.loads(printed)["difference"]["kind"]) == (Exit.NO, "text")


def test_what_has_no_texts_says_so(site: Site, tmp_path: Path) -> None:
    path, made = tmp_path / "ledger.jsonl", tmp_path / "scored.duckdb"
    assert site.run("export", path)[0] == Exit.DONE
    assert STATEMENT.encode() not in path.read_bytes()
    assert site.run("score", path, "--snapshot", made)[0] == Exit.DONE
    code, printed, _ = site.run("verify", made, "--format", "json")
    assert code == Exit.DONE
    assert {"no_texts"} <= {one["name"] for one in json.loads(printed)["checks"]}
    assert "the text is not here" in site.explained("U003", "--snapshot", made)


# Without a broker ----------------------------------------------------------------------------------------------------


def lines_of(book: rulebook.Rulebook) -> list[bytes]:
    units = rosters.read(SHIPPED[::17][:6])
    made = [raw for _, raw in synthetic.year(book, units, "small", 7, 150, settled=True)]
    return [texts.stripped(raw) if b'"texts"' in raw else raw for raw in made]


def scored(lines: list[bytes]) -> Any:
    with folded(joined(lines), SHIPPED) as found:
        facts: dict[str, Any] = {"as_of": found.lines, "refused": found.refused, "lang": "en"}
        return results(found.con, assessment="small", rulebook=APART.id, **facts)


def test_a_year_comes_to_the_same_digest_with_its_texts_in_line_and_out_of_line() -> None:
    inside, outside = lines_of(BOOK), lines_of(APART)
    assert sum(b'"sha256:' in one for one in outside) > 100
    assert scored(inside).digest == scored(outside).digest


def test_an_order_is_possible_in_a_final_year_and_amends_no_number() -> None:
    lines = lines_of(APART)
    before = scored(lines)
    target = next(json.loads(one) for one in lines if one.startswith(b"{") and b"deduction" in one)
    after = scored([*lines, line(order("late", target))])
    assert (before.assessment_state, after.assessment_state) == ("finalised", "finalised")
    assert before.units == after.units
    assert before.entries == after.entries
    assert after.events[-1].disposition == "counted"


def test_where_the_rulebook_does_not_ask_nothing_is_another() -> None:
    units = rosters.read(SHIPPED)
    checker = Checker(BOOK, units)
    plain = deduction("d1", REASON)
    assert not isinstance(checker.check(line(plain)), Refusal)
    assert not isinstance(checker.check(line(plain | {"texts": "an attribute as any"})), Refusal)
    refused = checker.check(line(order("o", plain)))
    assert isinstance(refused, Refusal)
    assert refused.reason == "wrong_kind"
    assert stream(TEXTS, A) not in {one.name for one in declared_streams(A)}
    assert stream(TEXTS, A) in {one.name for one in declared_streams(A, texts=True)}
    assert "texts" not in {one.key for one in sentences(BOOK, "en")}
    assert "texts" in {one.key for one in sentences(APART, "zh")}
    collector = Who(COLLECTOR, "office", "session", collector=True)
    for book, asks in ((BOOK, False), (APART, True)):
        assert ("text.erased.v1" in forms.kinds(collector, book, [])) == asks
        assert ("text.erased.v1" in {form.type for form, _ in template.forms(book, COLLECTOR)}) == asks


@pytest.mark.parametrize(
    ("names", "said"),
    [(["raters"], 'did you mean "rater"?'), (["reason", "reason"], "named twice"), (["matter"], "rater, reason")],
)
def test_a_rulebook_that_names_what_cannot_stand_out_of_line_is_refused(names: list[str], said: str) -> None:
    with pytest.raises(RulebookError) as error:
        soundness.read({**BOOK_JSON, "out_of_line": names})
    assert said in error.value.say("en"), error.value.say("en")


def test_the_gateway_makes_tokens_for_a_party_of_its_own_events_alone(tmp_path: Path) -> None:
    desk = Desk(A, Checker(APART, rosters.read(SHIPPED)))
    desk.data = tmp_path
    raw = line(deduction("g1", REASON))
    made = desk.apart("ducha", read(raw), raw)
    assert REASON not in texts.stripped(made).decode()
    found = making.taken(made, NAMES)
    assert not isinstance(found, Fault)
    assert [one.text for one in found.texts.values()] == [REASON]
    assert desk.apart("ducha", read(made), made) == made, "what has texts already stays as it is"
    assert desk.apart("kaoji", read(raw), raw) == raw, "another's event is ingest's to refuse"
    assert key_file(tmp_path, "ducha").with_suffix(".salt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "texts_", ["", "[]", "{}x", '{"a":1}', '{"a":["b"]}', '{"sha256:0":["","\\ud800"]}', "[" * 5000, "😀"]
)
def test_whatever_stands_in_the_attribute_is_judged(texts_: str) -> None:
    made, _ = apart(deduction("w1", "x"))
    raw = line(made | {"texts": texts_})[:-1] + b', "n": ' + b"9" * 5000 + b"}"
    assert isinstance(making.taken(raw, NAMES), Fault)
    assert json.loads(texts.stripped(raw.replace(b"9" * 5000, b"9"))) == made | {"n": 9}
    assert making.carried(raw) == {}
    assert making.sealed_line(raw, NAMES, lambda _: b"") == raw


def test_the_program_in_the_guide_makes_what_intake_takes() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "agency.md").read_text(encoding="utf-8")
    (code,) = [one for one in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "def apart" in one]
    program: dict[str, Any] = {}
    exec(code, program)
    checker = Checker(APART, rosters.read(SHIPPED))
    for one in (deduction("a1", REASON), rating("a2", RATER), rating("a3", RATER)):
        raw = program["apart"](one, [*NAMES], b"a secret")
        assert not isinstance(checker.check(raw), Refusal)
        found = making.taken(raw, NAMES)
        assert not isinstance(found, Fault)
        assert [text.text for text in found.texts.values()] == [one["data"].get("reason") or RATER]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"texts":"x","b":{"texts":2}}', b'{ "texts" : "x" , "a":1}', b'{"a":1 , "texts":"x" }',
        b'{"texts":"x"}',
        b'{"a":"\\"texts\\":1","te\\u0078ts":"x"}', b'{"a":[{"texts":1}]}', b'{"a":1.50e3,"texts":"}","b":1E400}',
    ],
)  # fmt: skip
def test_taking_texts_off_leaves_every_other_byte(raw: bytes) -> None:
    off = texts.stripped(raw)
    assert json.loads(off) == {name: value for name, value in json.loads(raw).items() if name != "texts"}
    if json.loads(off):
        assert texts.stripped(texts.joined(off, {"sha256:0": Text("0", "x")})) == off


def test_the_broker_keeps_one_text_a_token(site: Site) -> None:
    async def twice() -> None:
        async with connected(site.server.url, "ingest", site.data) as client:
            subject = subjects.text(A, "ducha", "sha256:" + "0" * 64)
            await jetstream(client).publish(subject, b'["00", "x"]')
            await jetstream(client).publish(subject, b'["00", "y"]')

    with pytest.raises(APIError):
        asyncio.run(twice())


# At the desk, exported, archived -------------------------------------------------------------------------------------


class Browsers(Page):
    """The page of a site whose services run by themselves; `seq` are the sequences of what was sent, by name."""

    def __init__(self, url: str, of: Site, secrets: dict[str, str]) -> None:
        self.url, self.of, self.keys, self.browsers = url, of, secrets, {}
        self.seq: dict[str, int] = {}

    def sent(self, tray: str) -> list[int]:
        """The sequences of a tray's rows, which all were taken."""
        assert 'o-refused">' not in tray, tray
        return [int(one) for one in re.findall(r'href="/event/(\d+)', tray)]

    def text(self, party: str | None, path: str, lang: str = "en") -> str:
        answer = self.as_(party, lang).get(path)
        assert answer.status_code == 200, (path, answer.text[-900:])
        return unescape(answer.text)

    def event(self, sequence: int) -> dict[str, Any]:
        return dict(json.loads(self.of.stored("LEDGER")[sequence - 1].data))


@contextmanager
def browsers(site: Site, *parties: str) -> Iterator[Browsers]:
    """The page of a site, with a browser of each party."""
    secrets_ = {one: keys.make(keys.file(site.data), one) for one in parties}
    at = door(settings({"NATS_URL": site.server.url, "WUXING_DATA": str(site.data), "WUXING_ASSESSMENT": A}), None)
    assert at is not None
    with pytest.MonkeyPatch.context() as patched, _served(create_app(site.data / "snapshots", at=at)) as url:
        patched.setattr(desks, "PATIENCE", PATIENCE)
        while not (at.desk and at.desk.connected):
            stranger().get(f"{url}/healthz")
        yield Browsers(url, site, secrets_)


def test_the_collector_orders_at_the_desk_and_sees_before_what_goes(site: Site) -> None:
    told = [*site.emit(deduction("b1", TYPED)), *site.emit(deduction("b2", STAYS))]
    one = told[0]["sequence"]
    site.ranked(told[1]["sequence"])
    with browsers(site, COLLECTOR, "ducha") as page:
        assert TYPED in page.text("ducha", f"/audit?text={TYPED[:3]}")
        assert "text.erased.v1" not in page.text("ducha", f"/event/{one}"), "nobody else is offered it"
        shown = page.text(COLLECTOR, f"/event/{one}")
        [link] = re.findall(r'href="(/desk/enter\?[^"]*type=text\.erased\.v1[^"]*)"', shown)
        assert 'value="b1"' in page.text(COLLECTOR, link)
        about = {"unit": "U001", "target_source": "/offices/ducha", "target_id": "b1", "reason": "应本人申请"}
        cells = {"type": "text.erased.v1", "time": "2013-11-01T09:30", **about}
        place = page.hand_in(page.as_(COLLECTOR), "/desk/enter", data=cells)
        tried = page.text(COLLECTOR, place)
        assert all(words in tried for words in (f"reason: {TYPED}", "Not reached", "Send 1 event<"))
        sent = page.send(page.as_(COLLECTOR), place)
        assert TYPED not in sent
        [order_] = page.sent(sent)
        site.ranked(order_)
        assert site.until(lambda: not site.holding(TYPED))
        shown = page.text(COLLECTOR, f"/event/{one}")
        assert f"erased by order {order_}" in shown
        assert "type=text.erased.v1" not in shown
        assert "Nothing fits" in page.text("ducha", f"/search?q={TYPED[:3]}")


def test_an_export_has_its_texts_in_a_file_beside_and_comes_to_the_same_year(site: Site, tmp_path: Path) -> None:
    newest = site.ranked(len(site.stored("LEDGER")))
    ledger, beside, made = tmp_path / "ledger.jsonl", tmp_path / "texts.jsonl", tmp_path / "made.duckdb"
    code, _, said = site.run("export", ledger)
    assert (code, "--texts FILE" in said) == (Exit.DONE, True), said
    assert STAYS.encode() not in ledger.read_bytes()
    code, _, said = site.run("export", tmp_path / "ledger.parquet", "--texts", beside)
    assert (code, "out of line, as of sequence" in said) == (Exit.DONE, True), said
    lines = [json.loads(one) for one in beside.read_bytes().splitlines()]
    assert [one["token"] for one in lines if one.get("text") == STAYS]
    assert not [one for text in (REASON, RATER, TYPED) for one in lines if one.get("text") == text]
    assert {2, 3, 4} & {one["sequence"] for one in lines if "erased_by" in one}
    code, _, said = site.run("score", ledger, "--snapshot", made, "--texts", beside)
    assert (code, "--texts" in said) == (Exit.DONE, False), said
    assert all(words in site.explained("U001", "--snapshot", made) for words in (STAYS, "erased by order"))
    assert verified(site, made) == (Exit.DONE, {"texts"})
    for source in (ledger, tmp_path / "ledger.parquet"):
        assert site.run("replay", "--from", source, "--snapshot", newest)[0] == Exit.DONE
    assert site.run("export", tmp_path / "again.jsonl", "--snapshot", newest, "--texts", tmp_path / "t.jsonl")[0] == 0
    assert (tmp_path / "t.jsonl").read_bytes() == beside.read_bytes()


def test_a_file_of_texts_is_held_against_its_tokens(site: Site, tmp_path: Path) -> None:
    ledger, beside, made = tmp_path / "ledger.jsonl", tmp_path / "texts.jsonl", tmp_path / "made.duckdb"
    assert site.run("export", ledger, "--texts", beside)[0] == Exit.DONE
    good = beside.read_text("utf-8")
    for bad in (
        good.replace(STAYS, "别的"),
        "{}\n[]",
        '{"sequence":2,"token":"sha256:0","salt":"0","text":"x"}',
        "\xff",
    ):
        beside.write_text(bad, "utf-8")
        code, _, said = site.run("score", ledger, "--snapshot", made, "--texts", beside)
        assert (code, "texts.jsonl:" in said) == (Exit.NO, True), (bad, said)
    beside.write_bytes(b"")
    code, _, said = site.run("score", ledger, "--snapshot", made, "--texts", beside)
    assert (code, "has not the texts of" in said) == (Exit.DONE, True), said
    assert site.run("score", ledger, "--texts", beside)[0] == Exit.USE


def proved(site: Site, file: Path, stays: str, gone: Collection[str]) -> dict[str, Any]:
    """What `verify` says of an archive; it holds the text that stands, and none that went."""
    code, printed, _ = site.run("verify", file, "--format", "json")
    told: dict[str, Any] = json.loads(printed)
    marks = {one["name"]: one["mark"] for one in told["checks"]}
    assert (code, marks["texts"], marks["members"]) == (Exit.DONE, "ok", "ok")
    held = file.read_bytes()
    assert stays.encode() in held
    assert not [text for text in gone if text.encode() in held]
    return told


def test_an_archive_has_the_texts_that_stand_and_takes_no_order(site: Site, tmp_path: Path) -> None:
    file, last = tmp_path / "year.zip", len(site.stored("LEDGER"))
    site.ranked(last)
    code, _, said = site.run("archive", file, "--unfinished", "--yes")
    assert code == Exit.DONE, said
    assert re.search(r"[0-9]+ texts out of line will be in the archive, [0-9]+ are erased", said), said
    proved(site, file, STAYS, (REASON, OTHER, RATER, TYPED))
    assert "table `text`" in file.read_bytes()[:2000].decode("utf-8", "ignore")
    code, _, said = site.run("erase", "--source", "/offices/ducha", "--id", "b2", "--reason", "x", "--yes")
    assert (code, "takes no order" in said, "personal-data.md" in said) == (Exit.NO, True, True), said
    receipt = site.send(site.signed(order("late", deduction("b2", ""))))
    assert (receipt["outcome"], receipt["reason"]) == ("refused", "archived")
    assert STAYS in site.explained("U001")
    assert site.run("export", tmp_path / "ledger.jsonl")[0] == Exit.DONE
    digest = json.loads(site.run("score", tmp_path / "ledger.jsonl")[1])["digest"]
    assert digest in (site.data / "snapshots" / "checkpoint.txt").read_text("utf-8"), "proved without any text"
