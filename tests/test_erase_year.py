"""A year with texts out of line lived to its end: by browsers at the desk, through its reports, into its archive.

The services are processes of their own on a real nats-server; each test goes on where the one before it ended.
"""

import asyncio
import contextlib
import io
import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.client import connected, jetstream
from infra.rights import PROVISIONER, configure, configure_nodes
from infra.server import EmbeddedServer, find_binary
from infra.streams import provision, stream
from schemas import roster as rosters
from schemas import rulebook, subjects, texts
from services.process.ending import Exit
from services.site import synthetic
from tests.faults.nodes import NODES, address, certified, moved
from tests.product import BOOK_FILE, BOOK_JSON, SHIPPED, command
from tests.test_erase import APART, COLLECTOR, NAMES, A, Browsers, Site, apart, browsers, deduction, event, line, proved

pytestmark = pytest.mark.long
UNITS = SHIPPED[::17][:6]
FIRST, SECOND = UNITS[0]["unit"], UNITS[1]["unit"]
CLOSING = 252
"""Events of the made-up year before the first office closes its items."""
#: Texts that stand in no other file; the last is never erased.
REASON, RATER, STATEMENT, ANSWER = GONE = "周小燕窗口脱岗", "郑七评委", "我单位当日由孙某顶岗", "经查孙某确不在岗"
STAYS = "吴大伟未按期办结"


def sent(site: Site, lines: list[tuple[str, bytes]]) -> int:
    """Publish lines of a made-up year in order, as the gateway does for all parties; the sequence that is ranked."""

    async def all_() -> None:
        async with connected(site.server.url, "gateway", site.data) as client:
            for party, raw in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # junk, which made-up years have too
                    event = json.loads(raw)
                    subject = subjects.intake(A, party, event["type"], event["subject"])
                    await jetstream(client).publish(subject, raw)

    async def waiting() -> int:
        async with connected(site.server.url, "audit", site.data) as client:
            return (await jetstream(client).stream_info(stream("INTAKE", A))).state.messages

    asyncio.run(all_())
    site.until(lambda: not asyncio.run(waiting()))
    last = len(site.stored("LEDGER"))
    site.ranked(last)
    return last


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsers]:
    folder = tmp_path_factory.mktemp("year")
    book, roster, data = folder / "rulebook.toml", folder / "roster.csv", folder / "data"
    head, _, rest = BOOK_FILE.read_text(encoding="utf-8").partition("\n[")
    book.write_text(f"{head}\nout_of_line = {json.dumps(NAMES)}\n\n[{rest}", encoding="utf-8")
    rows = (rulebook.SHIPPED / "roster.csv").read_text(encoding="utf-8").splitlines()
    wanted = {unit["unit"] for unit in UNITS}
    roster.write_text("\n".join([rows[0], *(row for row in rows if row.split(",")[0] in wanted), ""]), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WUXING_DATA", str(data))
        code, _, said = command("open", A, "--rulebook", book, "--roster", roster, "--yes", "--lang", "en")
    assert code == Exit.DONE, said
    made = list(synthetic.year(APART, rosters.read(UNITS), "small", 7, 40, settled=True))[1:]
    with EmbeddedServer(data) as server:
        site = Site(data, server, kept={"rest": made[CLOSING:]})
        try:
            for name in ("ingest", "scorer", "ranker"):
                site.start(name)
            sent(site, made[:CLOSING])
            with browsers(site, "ducha", "gongwei", COLLECTOR, FIRST) as made_:
                yield made_
        finally:
            site.stop()


# At the desk ---------------------------------------------------------------------------------------------------------


def test_what_is_typed_and_handed_in_at_the_desk_is_shown_by_its_texts(page: Browsers) -> None:
    office, other, unit = page.as_("ducha"), page.as_("gongwei"), page.as_(FIRST)
    cells = {"type": "deduction.recorded.v1", "item": "1.1", "ground": "no_feedback"}
    [one] = page.sent(page.enter(office, unit=FIRST, matter="m1", reason=REASON, **cells))
    page.sent(page.enter(office, unit=SECOND, matter="m2", reason=STAYS, **cells))
    rated = "".join(f"rating.recorded.v1,{unit},1.5,80,{RATER},2013-06-01 09:30\n" for unit in (FIRST, SECOND))
    sheet = f"type,unit,item,value,rater,time\n{rated}".encode()
    place = page.hand_in(other, "/desk/upload", files={"file": ("ratings.csv", sheet)})
    rating = page.sent(page.send(other, place))[1]
    target = page.event(one)
    about = {"unit": FIRST, "target_source": target["source"], "target_id": target["id"]}
    [appeal] = page.sent(page.enter(unit, type="appeal.filed.v1", statement=STATEMENT, **about))
    filed = page.event(appeal)
    about |= {"target_source": filed["source"], "target_id": filed["id"], "outcome": "upheld", "reason": ANSWER}
    [decided] = page.sent(page.enter(other, type="appeal.decided.v1", **about))
    page.of.ranked(decided)
    page.seq |= {"reason": one, "rater": rating, "statement": appeal, "answer": decided}
    for party, path, said in (
        (None, f"/unit/{FIRST}", GONE), ("ducha", f"/event/{one}", [REASON]), ("gongwei", f"/event/{rating}", [RATER]),
        (FIRST, "/desk", [STATEMENT]), ("gongwei", "/appeals", [STATEMENT]),
        (FIRST, f"/appeals/{appeal}", [STATEMENT, REASON]), ("ducha", f"/audit?text={REASON[:3]}", [REASON]),
        ("ducha", f"/audit?text={RATER[:2]}", [RATER]), ("ducha", f"/search?q={STATEMENT[1:5]}", [STATEMENT]),
    ):  # fmt: skip
        shown = page.text(party, path)
        assert all(text in shown for text in said), (party, path)
    assert not [name for text in GONE for name in page.of.holding(text) if "LEDGER" in name or "scorer" in name]


def test_the_collector_orders_at_the_desk_and_sees_before_what_goes(page: Browsers) -> None:
    browser, one = page.as_(COLLECTOR), page.seq["reason"]
    assert "text.erased.v1" not in page.text("ducha", f"/event/{one}"), "nobody else is offered it"
    [link] = re.findall(r'href="(/desk/enter\?[^"]*type=text\.erased\.v1[^"]*)"', page.text(COLLECTOR, f"/event/{one}"))
    target = page.event(one)
    assert f'value="{target["id"]}"' in page.text(COLLECTOR, link)
    about = {"unit": FIRST, "target_source": target["source"], "target_id": target["id"], "reason": "应本人申请"}
    cells = {"type": "text.erased.v1", "time": "2013-11-01T09:30", **about}
    place = page.hand_in(browser, "/desk/enter", data=cells)
    tried = page.text(COLLECTOR, place)
    assert all(words in tried for words in (f"reason: {REASON}", "Not reached", "Send 1 event<"))
    text = page.send(browser, place)
    assert REASON not in text
    orders = dict(zip(["reason"], page.sent(text), strict=True))
    rows = ["type,unit,target_source,target_id,reason,time"]
    for name in ("rater", "statement", "answer"):
        event = page.event(page.seq[name])
        rows.append(f"text.erased.v1,{event['subject']},{event['source']},{event['id']},应本人申请,2013-11-01 09:30")
    place = page.hand_in(browser, "/desk/upload", files={"file": ("orders.csv", "\n".join(rows).encode())})
    assert all(text in page.text(COLLECTOR, place) for text in (f"{RATER} (in 2 events)", STATEMENT, ANSWER))
    text = page.send(browser, place)
    assert not [one for one in GONE if one in text]
    orders |= dict(zip(("rater", "statement", "answer"), page.sent(text), strict=True))
    page.of.ranked(max(orders.values()))
    page.of.kept["orders"] = orders
    assert page.of.until(lambda: not [name for text in GONE for name in page.of.holding(text)])


def test_no_page_shows_what_was_erased_and_each_says_by_which_order(page: Browsers) -> None:
    orders, appeal = page.of.kept["orders"], page.seq["statement"]
    paths = {
        f"/unit/{FIRST}": orders, f"/event/{page.seq['rater']}": ["rater"], f"/event/{page.seq['answer']}": ["answer"],
        "/appeals": ["statement"], f"/appeals/{appeal}": ["statement", "reason"], "/audit?item=1.1": ["reason"],
        "/desk": [], "/progress": [], f"/audit?as_of={appeal}&item=1.1": ["reason"], "/sql": [],
    }  # fmt: skip
    for party in (FIRST, "gongwei", COLLECTOR):
        for lang, words in (("en", "erased by order {}"), ("zh", "已按序号{}的决定删除")):
            for path, names in paths.items():
                shown = page.text(party, path, lang)
                assert not [text for text in GONE if text in shown], (party, path)
                assert all(words.format(orders[name]) in shown for name in names), (party, path, lang)
    assert "Nothing fits" in page.text("ducha", f"/search?q={REASON[:3]}")
    assert "text.erased.v1" not in page.text(COLLECTOR, f"/event/{page.seq['reason']}").partition("As it was")[0]


# Its reports ---------------------------------------------------------------------------------------------------------


def written(folder: Path) -> str:
    """All that the files of a folder say, those in zips too."""
    found = []
    for path in folder.rglob("*"):
        raw = path.read_bytes() if path.is_file() else b""
        found.append(raw)
        if zipfile.is_zipfile(io.BytesIO(raw)):
            with zipfile.ZipFile(path) as opened:
                found += [opened.read(name) for name in opened.namelist()]
    return b"\n".join(found).decode("utf-8", "replace")


@pytest.mark.parametrize(("lang", "words"), [("en", "erased by order {}"), ("zh", "已按序号{}的决定删除")])
def test_no_report_shows_what_was_erased(page: Browsers, tmp_path: Path, lang: str, words: str) -> None:
    site, orders, seq = page.of, page.of.kept["orders"], page.seq
    newest = site.ranked(max(orders.values()))
    reports: dict[tuple[str | Path, ...], list[str]] = {
        ("explain", FIRST): [*orders], ("explain", FIRST, "--as-of", str(seq["answer"])): [*orders],
        ("explain", FIRST, "--facts-until", "2013-07-01T00:00:00+08:00", "--format", "json"): [*orders],
        ("statements", tmp_path / "folder", "--format", "md"): [*orders],
        ("statements", tmp_path / "all.zip", "--format", "json"): [*orders],
        ("statements", tmp_path / "pdf", "--format", "pdf"): [],
        ("bundle", FIRST, tmp_path / "b.zip"): [], ("bundle", FIRST, tmp_path / "whole.zip", "--whole"): [],
        ("publish-tables", tmp_path / "tables.csv"): [], ("publish-tables", tmp_path / "tables.xlsx"): [],
        ("appeals",): ["statement"], ("appeals", "--format", "json"): ["statement"], ("status",): [],
        ("diff", f"{newest}@{seq['reason'] - 1}", f"{newest}@"): [],
        ("diff", f"{newest}@{seq['reason'] - 1}", f"{newest}@", "--format", "json"): [],
        ("what-if", "--drop", str(seq["reason"])): [], ("what-if", "--drop", str(seq["statement"])): [],
        ("sql", "FROM event"): [], ("sql", "FROM text"): [], ("replay",): [], ("verify", newest): [],
        ("readiness",): [],
    }  # fmt: skip
    for report, names in reports.items():
        with pytest.MonkeyPatch.context() as patch:
            for name, value in site.environment.items():
                patch.setenv(name, value)
            code, out, said = command(*report, "--lang", lang)
        assert code in (Exit.DONE, Exit.NO), (report, said)
        assert "Traceback" not in said
        shown = re.sub(r"\s+", "" if lang == "zh" else " ", out.decode())
        if report[0] == "statements" and "pdf" not in report:
            shown = written(tmp_path)
        assert not [text for text in GONE if text in shown + said], report
        assert not [name for name in names if words.format(orders[name]) not in shown], (report, shown[-3000:])
    assert not [text for text in GONE if text in written(tmp_path)]
    assert STAYS in site.run("explain", SECOND)[1].decode()


# Mended --------------------------------------------------------------------------------------------------------------


def test_a_ledger_of_tokens_is_mended_from_its_export(page: Browsers, tmp_path: Path) -> None:
    site, data = page.of, tmp_path / "restored"
    assert site.run("backup", tmp_path / "b.tar")[0] == Exit.DONE
    assert site.run("export", tmp_path / "ledger.parquet", "--texts", tmp_path / "texts.jsonl")[0] == Exit.DONE
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WUXING_DATA", str(data))
        code, _, said = command("restore", tmp_path / "b.tar", "--lang", "en")
        assert code == Exit.DONE, said
        held = data / f"jetstream/jetstream/CORE/streams/{stream('LEDGER', A)}/msgs"
        [block] = [one for one in held.glob("*.blk") if b'"m2"' in one.read_bytes()]
        raw = bytearray(block.read_bytes())
        raw[raw.index(b'"m2"') + 1] ^= 4
        block.write_bytes(raw)
        code, _, said = command("repair", A, "--from", tmp_path / "ledger.parquet", "--yes", "--lang", "en")
        assert code == Exit.DONE, said
    with EmbeddedServer(data) as server:
        other = Site(data, server)
        assert [one.data for one in other.stored("LEDGER")] == [one.data for one in site.stored("LEDGER")]
        assert other.holding(STAYS)
        assert not [name for text in GONE for name in other.holding(text)]


# Archived ------------------------------------------------------------------------------------------------------------


def test_an_archive_has_the_texts_that_stand_and_none_that_was_erased(page: Browsers, tmp_path: Path) -> None:
    site, file = page.of, tmp_path / "year.zip"
    last = sent(site, site.kept["rest"])
    code, _, said = site.run("archive", file, "--yes")
    assert code == Exit.DONE, said
    assert json.loads(site.run("list", "--format", "json")[1])[0]["state"] == "archived"
    assert re.search(r"\d+ texts out of line will be in the archive, 4 are erased", said), said
    told = proved(site, file, STAYS, GONE)
    with zipfile.ZipFile(file) as opened:
        assert "table `text`" in opened.read("README.txt").decode()
    site.kept |= {"last": last, "digest": told.get("digest")}


def test_what_is_archived_takes_no_order_and_its_results_stand_without_any_text(page: Browsers, tmp_path: Path) -> None:
    site = page.of
    [(target, _)] = [(n, one) for n, one in enumerate(site.stored("LEDGER"), 1) if b'"m2"' in one.data]
    code, _, said = site.run("erase", str(target), "--reason", "x", "--yes")
    assert (code, "takes no order" in said, "personal-data.md" in said) == (Exit.NO, True, True), said
    event = page.event(target)
    about = {"unit": SECOND, "target_source": event["source"], "target_id": event["id"], "reason": "应本人申请"}
    place = page.hand_in(
        page.as_(COLLECTOR), "/desk/enter", data={"type": "text.erased.v1", "time": "2013-12-20T09:30", **about}
    )
    assert "archived and its ledger sealed" in page.send(page.as_(COLLECTOR), place)
    assert STAYS in site.explained(SECOND)
    ledger = tmp_path / "ledger.jsonl"
    assert site.run("export", ledger)[0] == Exit.DONE
    digest = json.loads(site.run("score", ledger)[1])["digest"]
    assert digest in (site.data / "snapshots" / "checkpoint.txt").read_text("utf-8")


# On three brokers ----------------------------------------------------------------------------------------------------


class Brokers(NamedTuple):
    """Where the brokers of a site are."""

    url: str


def test_three_brokers_and_all_services_end_without_the_text(tmp_path: Path) -> None:
    """The logs that brokers keep for replication hold it too, until they have compacted them."""
    offices, codes = [office.code for office in APART.office], [unit["unit"] for unit in UNITS]
    opening = event(
        "open", "assessment.opened.v1", f"/offices/{COLLECTOR}",
        {"assessment": A, "rulebook": BOOK_JSON | {"out_of_line": [*NAMES]}, "roster": UNITS}, "assessment",
    )  # fmt: skip
    certified(tmp_path)
    (tmp_path / "opening.json").write_bytes(line(opening))
    (tmp_path / "logs").mkdir()
    configure(tmp_path, A, offices, codes, collector=COLLECTOR, texts=True)
    files = moved(configure_nodes(tmp_path, NODES))
    site = Site(tmp_path, Brokers(address(files)))

    async def provisioned() -> None:
        async with connected(site.server.url, PROVISIONER, tmp_path, forever=True) as client:
            await provision(client, A, offices, codes, replicas=3, texts=True)

    with contextlib.ExitStack() as stack:
        for path in files:
            server = subprocess.Popen([find_binary(), "-c", path, "-l", path.with_suffix(".log")])
            stack.callback(server.wait)
            stack.callback(server.kill)
        asyncio.run(provisioned())
        stack.callback(site.stop)
        for name in ("ingest", "scorer", "ranker"):
            site.start(name)
        assert site.send(line(opening))["outcome"] == "accepted"
        site.ranked(1)
        made, held = apart(deduction("d1", REASON, FIRST))
        receipt = site.send(texts.joined(line(made), held))
        assert receipt["outcome"] == "accepted", receipt
        site.ranked(receipt["sequence"])
        assert REASON in site.explained(FIRST)
        assert {one.partition("/")[0] for one in site.holding(REASON)} == {*NODES, "snapshots"}
        code, printed, said = site.run("erase", "2", "--reason", "x", "--yes", "--wait", "120")
        assert code == Exit.DONE, said
        site.ranked(json.loads(printed)["sequence"])
        assert "erased by order 3" in site.explained(FIRST)
        assert site.until(lambda: not site.holding(REASON))
        assert site.run("replay")[0] == Exit.DONE
