"""A whole year of 105 made-up units by the product's own tools alone, from its opening to the proof of its archive.

Nobody here writes into the ledger by hand: the offices record by workbook, page, gateway and NATS, each by its own
key; the collector closes the year by doing what `wuxing readiness` says, in its words and with its commands; units
appeal, also after final. Whatever is done is done as one types it, in a folder of workbooks.
"""

import asyncio
import json
import re
import shlex
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from html import unescape
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import nats
import pytest
from nats.errors import Error as NatsError
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from schemas.rulebook import SHIPPED as BOOK_FOLDER
from tests import oracle
from tests.faults.works import until
from tests.product import BOOK, BOOK_JSON, SHIPPED, command
from tests.test_desk import Page
from tests.test_years import Site

YEAR = "city-2013"
ROOT = Path(__file__).parent.parent
PATIENCE = 300.0
"""Seconds: whatever is waited for comes within some, also on a machine that is busy."""
COLLECTOR, APPEALS = BOOK.roles.collector, str(BOOK.roles.appeals)
Row = dict[str, str]
#: The unit that joins in mid-year, and how many appeal before the year is final.
NEW, APPEALS_FILED = "U106", 30

# What there is to record ---------------------------------------------------------------------------------------------


class Facts:
    """A made-up year: the units from the best to the worst, and what each office has found of each.

    The units of a group follow each other in the order of their quality, and quality alone decides: but for two units
    on both sides of the last prize's cut, of one group, of whom everybody has found the same.
    """

    def __init__(self) -> None:
        dice = Random(2013)
        groups: dict[str, list[str]] = {}
        for unit in dice.sample(SHIPPED, len(SHIPPED)):
            if unit["category"] == "B":
                groups.setdefault(unit["group"], []).append(unit["unit"])
        ranked = [unit for row in zip(*(groups[name] for name in sorted(groups)), strict=True) for unit in row]
        ranked[15], ranked[20] = ranked[20], ranked[15]
        self.twins = tuple(ranked[14:16])
        others = [unit["unit"] for unit in SHIPPED if unit["category"] != "B"]
        self.quality = {unit: 980 - 8 * n for n, unit in enumerate(ranked)}
        self.quality[self.twins[1]] = self.quality[self.twins[0]]
        self.quality |= {unit: 976 - 16 * n for n, unit in enumerate(others)}
        self.worst = [*ranked[30:], *others[20:]]
        self.names = {unit["unit"]: unit["name"] for unit in SHIPPED}

    def join(self, unit: str, name: str) -> None:
        self.names[unit], self.quality[unit] = name, 300

    def value(self, unit: str, most: int, less: int = 0) -> str:
        """A share of the most that can be had, by the unit's quality; panels do not agree."""
        return f"{most * (self.quality[unit] - less) / 1000:.3f}"

    def rated(self, item: str, unit: str) -> Iterator[Row]:
        """All ratings of a unit on an item."""
        of = next(one for one in BOOK.item if one.code == item)
        raters = 3 if of.panel is None or of.panel.startswith("@") else 1
        runs = [{"case": f"实例{n}"} for n in range(1 + self.quality[unit] % 2)] if of.runs else [{}]
        for measure in of.measure or (None,):
            for group in of.raters or (None,):
                for n in range(raters):
                    for run in runs:
                        more = {"measure": measure.code} if measure else {}
                        more |= {"group": group.code} if group else {}
                        most = int((of.range and of.range.max) or 1)
                        value = "1" if measure and measure.binary else self.value(unit, most, n)
                        yield {"unit": unit, "item": item, "value": value, "rater": f"评分人{n + 1}", **more, **run}

    def ratings(self, *items: str) -> list[Row]:
        return [
            row | {"time": day(240 + n % 50)}
            for item in items for n, unit in enumerate(self.quality) for row in self.rated(item, unit)
        ]  # fmt: skip

    def deductions(self, item: str, every: int, **more: str) -> list[Row]:
        """A deduction of every so many of the worse units."""
        return [
            {
                "unit": unit,
                "item": item,
                "matter": f"{item}-{n + 1:03d}号",
                "reason": "经检查发现",
                "time": day(n),
                **more,
            }
            for n, unit in enumerate(self.worst[::every])
        ]


def day(number: int) -> str:
    """A morning of the year, as a clerk writes it."""
    return f"{datetime(2013, 2, 1, 9, 30) + timedelta(days=number):%Y-%m-%d %H:%M}"  # noqa: DTZ001 - Beijing's


# At the desk ----------------------------------------------------------------------------------------------------------


def say(line: str, code: int = 0) -> str:
    """A command as one types it; what it prints."""
    first, *words = shlex.split(line)
    assert first == "wuxing"
    found, out, err = command(*words)
    assert found == code, f"{line}: {found}\n{out.decode()[-3000:]}\n{err[-3000:]}"
    return out.decode()


def told(line: str, code: int = 0) -> Any:
    """The same of a command that prints one JSON object."""
    return json.loads(say(line, code))


def ranked() -> int:
    """Wait until nothing waits and everything is ranked; the last sequence."""

    def look() -> Any:
        code, out, err = command("status", "--format", "json")
        return json.loads(out) if code == 0 else err

    def good(found: Any) -> bool:
        return isinstance(found, dict) and not found["behind"] and not any(found["waiting"].values())

    return int(until("the ranking", look, good, patience=PATIENCE)["ranked"])


def fill(party: str, sheets: Mapping[str, list[Row]]) -> str:
    """The workbook of a party as it gets it now, with lines filled in as a clerk does; its file."""
    say(f"wuxing template {party} {party}.xlsx")
    book = load_workbook(f"{party}.xlsx")
    for name, rows in sheets.items():
        assert name in book.sheetnames, f"{party}.xlsx has no sheet {name}, but {book.sheetnames}"
        _fill(book, book[name], rows)
    book.save(f"{party}.xlsx")
    return f"{party}.xlsx"


def _fill(book: Workbook, sheet: Worksheet, rows: list[Row]) -> None:
    """Each row on the first line that is free for it; no cell holds what its drop-down does not offer."""
    columns = {str(cell.value): n for n, cell in enumerate(sheet[3], 1) if cell.value and str(cell.value)[0] != "#"}
    offered, line = {name: _offered(book, sheet, n) for name, n in columns.items()}, 4
    for row in rows:
        assert {*row} <= {*columns}, f"{sheet.title} has no column { ({*row} - {*columns}) }"
        line = next(n for n in count(line if row.keys() == rows[0].keys() else 4) if _is_free(sheet, columns, n, row))
        for column, text in row.items():
            choice = offered[column]
            shown = choice.get(text) if choice else text
            assert shown, f"{sheet.title}: the drop-down of {column} does not offer {text}"
            sheet.cell(line, columns[column]).value = shown


def _is_free(sheet: Worksheet, columns: dict[str, int], line: int, row: Row) -> bool:
    """A line that is blank, or prepared for what the row is about."""
    held = {name: str(sheet.cell(line, n).value) for name, n in columns.items() if sheet.cell(line, n).value}
    about = {name: text.split()[0] for name, text in held.items() if name != "type" and text != "assessment"}
    return len(about) < len(row) and all(row.get(name) == text for name, text in about.items())


def _offered(book: Workbook, sheet: Worksheet, column: int) -> dict[str, str]:
    """What the drop-down of a column offers, by code; nothing where any text may be typed."""
    for one in sheet.data_validations.dataValidation:
        if one.type == "list" and one.errorStyle != "warning" and sheet.cell(1500, column).coordinate in one.sqref:
            place = re.fullmatch(r"'?(\w+)'?!(\$A?.+)", one.formula1)
            assert place, one.formula1
            cells = book[place[1]][place[2].replace("$", "")]
            found = [str(row[0].value) for row in (cells if isinstance(cells, tuple) else ((cells,),))]
            return {text.split()[0]: text for text in found}
    return {}


def outcomes(line: str, code: int = 0) -> Counter[str]:
    """How many rows of a command had which outcome."""
    return Counter(found["outcome"] for row in say(line, code).splitlines() if "outcome" in (found := json.loads(row)))


def emit(party: str, options: str = "", code: int = 0) -> Counter[str]:
    """Send a party's workbook, or try it."""
    return outcomes(f"wuxing emit {party}.xlsx --office {party} {options}", code)


# Page, gateway, NATS --------------------------------------------------------------------------------------------------


def events(party: str, kind: str, rows: list[Row]) -> list[dict[str, Any]]:
    """What an office's own program makes of what it has found."""
    return [
        {
            "specversion": "1.0", "id": f"{party}-{n}", "source": f"/offices/{party}",
            "type": f"{kind}.recorded.v1", "subject": row["unit"], "time": f"{row['time'].replace(' ', 'T')}:00+08:00",
            "data": {name: text for name, text in row.items() if name not in ("unit", "time")},
        }
        for n, row in enumerate(rows)
    ]  # fmt: skip


def post(site: Site, party: str, rows: list[dict[str, Any]]) -> Counter[str]:
    """Hand a batch in at the gateway, and ask for the receipts that were not there at once."""
    at, head = f"{site.url('gateway')}/v1/events", {"authorization": f"Bearer {key(party)}"}
    kind = {"content-type": "application/cloudevents-batch+json"}
    results = httpx.post(at, json=rows, headers=head | kind, timeout=PATIENCE).json()["results"]
    bodies = [one["body"] for one in results]

    def look() -> Counter[str]:
        for n, row in enumerate(rows):
            if bodies[n].get("outcome", "pending") == "pending":
                asked = {"source": row["source"], "id": row["id"]}
                bodies[n] = httpx.get(at, params=asked, headers=head, timeout=PATIENCE).json()
        return Counter(one.get("outcome", "pending") for one in bodies)

    found: Counter[str] = until("the receipts", look, lambda seen: not seen["pending"], patience=PATIENCE)
    return found


KEYS: dict[str, str] = {}


def key(party: str) -> str:
    """The key of a party for gateway and page, printed once."""
    if party not in KEYS:
        KEYS[party] = say(f"wuxing gateway-key {party}").strip().splitlines()[-1]
    return KEYS[party]


def publish(site: Site, party: str, rows: list[dict[str, Any]]) -> Counter[str]:
    """Send events by a client of one's own, as docs/agency.md says; how many had which outcome."""
    known = site.settings(YEAR)

    async def told() -> Counter[str]:
        client = await nats.connect(known.nats_url, nkeys_seed=str(known.data / "keys" / f"{party}.nk"))
        js, waiting, found = client.jetstream(prefix="JSC.API"), {row["id"] for row in rows}, Counter[str]()
        for row in rows:
            kind = row["type"].replace(".", "-")
            await js.publish(f"intake.{YEAR}.{party}.{kind}.{row['subject']}", json.dumps(row).encode())
        receipts = await js.pull_subscribe_bind(consumer=party, stream=f"RECEIPT-{YEAR}")
        while waiting:
            for message in await receipts.fetch(100, timeout=PATIENCE):
                receipt = json.loads(message.data)
                if receipt["id"] in waiting:
                    waiting.remove(receipt["id"])
                    found[receipt["outcome"]] += 1
                await message.ack()
        await client.close()
        return found

    return asyncio.run(told())


def desk(site: Site, *parties: str) -> Page:
    """The page, with the keys of some parties."""
    return Page(site.url("page"), site, None, {party: key(party) for party in parties})  # type: ignore[arg-type]


def upload(page: Page, party: str, file: str, do: str = "") -> str:
    """Hand a workbook in on the page, look what it would do, send it; the page with its outcomes."""
    browser = page.as_(party)
    place = page.hand_in(browser, "/desk/upload", files={"file": (file, Path(file).read_bytes())})
    if do:
        page.hand_in(browser, place, data={"do": do})
    assert re.search(r"Send \d+ events", browser.get(place).text)
    return page.send(browser, place)


# What readiness says --------------------------------------------------------------------------------------------------

KINDS = ("pending", "appeals", "ties", "assumptions", "awaiting", "stages")
Step = tuple[dict[str, Any], dict[str, Any]]
"""An obstacle and one of its steps."""


def in_the_way(*kinds: str) -> list[Step]:
    """What readiness names, with each step; the list for people has every step on a line, its command to be copied."""
    ranked()
    (code, out, err), (_, text, _) = command("readiness", "--format", "json"), command("readiness")
    assert code in (0, 1), err
    found = json.loads(out)
    assert (code == 0, found["ready"]) == (not any(found[kind] for kind in KINDS),) * 2
    listed = [
        (one, step) for kind in kinds or KINDS for one in found[kind] for step in one.get("steps", [one.get("step")])
    ]
    if not kinds and found["final"]:
        listed = [({}, found["final"])]
    assert all(f"{step['what']} · {step['command']}\n" in text.decode() for _, step in listed)
    return listed


def obey(facts: Facts, steps: list[Step], when: str, **how: str) -> None:
    """Do what steps of one office say, on the sheets that they name, and send it by the command that they give."""
    (line,), (owner,) = {step["command"] for _, step in steps}, {step["owner"] for _, step in steps}
    sheets: dict[str, list[Row]] = {}
    for about, step in steps:
        said = re.fullmatch(r"(.+): a line on the sheet (.+) of (\S+)", step["what"])
        assert said, step
        assert said[3] == f"{owner}.xlsx"
        sheets.setdefault(said[2], []).extend(row | {"time": when} for row in asked(facts, about, said[1], how))
    fill(owner, sheets)
    assert outcomes(line) == {"accepted": sum(map(len, sheets.values()))}


def asked(facts: Facts, about: dict[str, Any], what: str, how: dict[str, str]) -> list[Row]:
    """The lines that the words of a step ask for."""
    if what.startswith("rate "):
        return [row for unit in about["lacking"] for row in facts.rated(about["item"], unit)]
    for words, make in WORDS.items():
        if said := re.fullmatch(words, what):
            return [make(about, *said.groups()) | how]
    raise AssertionError(what)


WORDS: dict[str, Callable[..., Row]] = {
    r"close (\S+)": lambda _, item: {"item": item},
    r".+; revoke the closing (\S+) (\S+) \(sequence \d+\)": lambda _, source, id_: {
        "unit": "assessment", "target_source": source, "target_id": id_, "reason": "补录评分后重新办结",
    },
    r"adopt (\S+)": lambda about, name: {"reading": name, "value": about["value"], "reason": "会议议定"},
    r"put (.+) in order": lambda about, units: {
        "grade": about["grade"], "units": units.replace(", ", ";"), "reason": "按实地考核情况议定",
    },
    r"decide on the appeal (\S+) (\S+)": lambda about, source, id_: {
        "unit": about["unit"], "target_source": source, "target_id": id_, "reason": "经复核",
    },
    r".+ is reached": lambda about: {"stage": about["stage"]},
    r"make it final": lambda _: {"stage": "finalised"},
}  # fmt: skip


def of_each(steps: list[Step]) -> list[list[Step]]:
    """Steps by the office that takes them."""
    return [
        [one for one in steps if one[1]["owner"] == office]
        for office in dict.fromkeys(one["owner"] for _, one in steps)
    ]


def finalise(facts: Facts, when: str) -> None:
    """Nothing is in the way but the last step, and then nothing at all."""
    (last,) = in_the_way()
    obey(facts, [last], when)
    ranked()
    assert "final" in say("wuxing readiness").splitlines()[0]


# The year -----------------------------------------------------------------------------------------------------------


def adopt(facts: Facts) -> None:
    """Every reading and parameter on one sheet, by one command."""
    steps = in_the_way("assumptions")
    assert len(steps) == len(BOOK.assumptions())
    obey(facts, steps, day(3))
    assert in_the_way("assumptions") == []


def record(site: Site, facts: Facts) -> None:
    """Thirteen offices record, each in its own way."""
    late = {"ground": "late_or_unmet", "points": "0.5"}
    found = facts.deductions("1.1", 1, ground="no_feedback", evidence="督查通报1号;办理单")
    for party, sheets in {
        "ducha": {"Deductions": [*found, *facts.deductions("1.2", 7, ground="accident", points="0.5")]},
        "gongwei": {"Deductions": facts.deductions("1.4", 5, node="plan", **late),
                    "Ratings": facts.ratings("1.5", "2.1", "2.2")},
        "zuzhi": {"Deductions": facts.deductions("1.4", 4, node="result", **late)},
        "tongji": {"Ratings": facts.ratings("2.3")},
        "xuanchuan": {"Ratings": facts.ratings("4.1")},
        "kaoji": {"Ratings": facts.ratings("Y.1")},
    }.items():  # fmt: skip
        fill(party, sheets)
        assert emit(party) == {"accepted": sum(map(len, sheets.values()))}, party
    page = desk(site, "wenda", "jiwei", "renshe", "renda", "zhengxie")
    for party, sheets in {
        "wenda": {"Ratings": facts.ratings("3.1", "3.2")},
        "jiwei": {"Ratings": facts.ratings("5.1")},
        "renshe": {"Deductions": facts.deductions("1.4", 6, node="quarter_1", **late)},
    }.items():
        assert upload(page, party, fill(party, sheets)).count("o-accepted") == sum(map(len, sheets.values())), party
    for party, unit in (("renda", facts.worst[0]), ("zhengxie", facts.worst[1])):
        entered = {"item": "1.3", "unit": unit, "matter": "提案第9号", "ground": "handling", "points": "1.5"}
        sent = page.enter(page.as_(party), type="deduction.recorded.v1", reason="逾期办理", **entered)
        assert "o-accepted" in sent
    rated = events("shenguan", "rating", facts.ratings("3.3"))
    assert post(site, "shenguan", rated) == {"accepted": len(rated)}
    seen = events("duchayuan", "deduction", facts.deductions("2.4", 3, ground="problem_minor"))
    assert publish(site, "duchayuan", seen) == {"accepted": len(seen)}


def correct(facts: Facts) -> None:
    """What was sent is there already; a row that says otherwise waits until its office says that it corrects."""
    ranked()
    assert emit("ducha", "--out done.xlsx").keys() == {"there"}
    rows = facts.deductions("1.1", 1, ground="no_feedback", evidence="督查通报1号;办理单")
    rows[40]["reason"] = "逾期未反馈，经核实"
    fill("ducha", {"Deductions": rows})
    before = ranked()
    assert emit("ducha", code=1) == emit("ducha", "--dry-run", code=1) == {"there": len(rows) - 1, "correction": 1}
    assert ranked() == before
    assert emit("ducha", "--replace") == {"there": len(rows) - 1, "accepted": 1}
    assert ranked() == before + 2
    assert emit("ducha") == {"there": len(rows)}


def change(site: Site, facts: Facts) -> None:
    """A unit joins, one leaves, one has another name, one another group; two items go to other offices.

    Whoever held one before is refused. To three units an item does not apply.
    """
    renamed, moved = facts.worst[2:4]
    group = next(one["group"] for one in SHIPPED if one["unit"] == moved)
    other = next(one["group"] for one in SHIPPED if one["category"] == "B" and one["group"] != group)
    joined = {"change": "joined", "name": "新设单位(合成)", "category": "B", "unit_group": "B1", "reason": "机构改革"}
    left = {"unit": facts.worst.pop(), "change": "left", "reason": "并入他单位"}
    named = {"unit": renamed, "change": "renamed", "name": "更名单位(合成)", "reason": "更名"}
    placed = {"unit": moved, "change": "moved", "category": "B", "unit_group": other, "reason": "职能调整"}
    fill(COLLECTOR, {
        "Changes of units": [one | {"time": day(151)} for one in ({"unit": NEW, **joined}, left, named, placed)],
        "Transfers": [{"item": "3.3", "from": "shenguan", "to": "wenda", "reason": "职能调整", "time": day(152)},
                      {"item": "2.4", "from": "duchayuan", "to": "shenguan", "reason": "职能调整", "time": day(152)}],
    })  # fmt: skip
    assert emit(COLLECTOR) == {"accepted": 6}
    facts.join(NEW, joined["name"])
    facts.names[renamed] = named["name"]
    exempt = [{"unit": unit, "item": "2.3", "reason": "无此项职能", "time": day(153)} for unit in facts.worst[4:7]]
    fill("tongji", {"Exemptions": exempt})
    assert emit("tongji") == {"accepted": 3}
    ranked()
    assert f"{renamed} {facts.names[renamed]}" in say(f"wuxing explain {renamed} --lang zh")
    assert f"分组 {other}" in say(f"wuxing explain {moved} --lang zh --format md")
    assert "不适用" in say(f"wuxing explain {exempt[0]['unit']} --item 2.3 --lang zh")
    (late,) = events("duchayuan", "deduction", facts.deductions("2.4", 100, ground="problem_serious"))
    assert publish(site, "duchayuan", [late | {"id": "late"}]) == {"refused": 1}
    fill("shenguan", {"Deductions": facts.deductions("2.4", 9, ground="problem_serious")})
    assert emit("shenguan").keys() == {"accepted"}
    say("wuxing keys add")
    until("the broker with the rights of who joined", lambda: lets_in(site, NEW), bool, patience=PATIENCE)


def lets_in(site: Site, party: str) -> bool:
    """Whether the broker knows a party; it is started anew for one that joined."""
    known = site.settings(YEAR)

    async def tried() -> bool:
        try:
            seed = str(known.data / "keys" / f"{party}.nk")
            client = await nats.connect(known.nats_url, nkeys_seed=seed, allow_reconnect=False, error_cb=_quiet)
        except (NatsError, OSError):
            return False
        await client.close()
        return True

    return asyncio.run(tried())


async def _quiet(_: Exception) -> None:
    """A refusal is an answer here."""


def close(facts: Facts) -> None:
    """Every office rates whom it has not rated and closes, as readiness asks it to, until nothing is pending."""
    for steps in of_each(in_the_way("pending")):
        obey(facts, steps, day(300))
    assert in_the_way("pending") == []


def publicise(facts: Facts) -> dict[str, list[str]]:
    """The stages; by unit, the commands for an appeal that the published statements name."""
    obey(facts, in_the_way("stages"), day(310))
    assert in_the_way("stages") == []
    say("wuxing publish-tables tables.xlsx")
    say("wuxing statements statements.zip --format md")
    with zipfile.ZipFile("statements.zip") as held:
        texts = {Path(name).stem: held.read(name).decode() for name in held.namelist()}
    assert all("Synthetic data" in text for text in texts.values())
    assert texts.keys() >= {*facts.quality}
    return {unit: re.findall(r"wuxing appeal \S+ --target \d+ --statement TEXT", text) for unit, text in texts.items()}


def appeal(site: Site, facts: Facts, named: dict[str, list[str]]) -> None:
    """Thirty units appeal, three of them on the page; one has its only rating of an item taken away."""
    deducted, rated = facts.worst[:26], facts.worst[26]
    lines = [named[unit][0] for unit in deducted]
    lines.append(named[NEW][0])
    for line in lines:
        assert outcomes(line.replace("TEXT", shlex.quote("已按期反馈，附回执"))) == {"accepted": 1}
    assert outcomes(lines[0].replace(deducted[0], deducted[1]), 1) == {"refused": 1}
    page = desk(site, *(three := (rated, *facts.worst[27:29])))
    for unit in three:
        page_appeals(page, unit, "tongji" if unit == rated else "ducha")
    assert len(in_the_way("appeals")) == APPEALS_FILED


def page_appeals(page: Page, unit: str, office: str) -> None:
    """A unit appeals from its statement on the page, by the link beside the first line of an office."""
    browser = page.as_(unit)
    links = re.findall(r'href="(/desk/enter\?type=appeal\.filed[^"]+)"', browser.get(f"/unit/{unit}").text)
    cells = next(one for link in links if (one := cells_of(link))["target_source"] == f"/offices/{office}")
    assert "o-accepted" in page.enter(browser, **cells, statement="请予复核")


def cells_of(link: str) -> dict[str, str]:
    """What a link fills into the form that it leads to."""
    return dict(parse_qsl(urlsplit(unescape(link)).query))


def decide(site: Site, facts: Facts) -> None:
    """The appeals office decides all, on its workbook and two on the page."""
    steps = in_the_way("appeals")
    page = desk(site, APPEALS)
    for about, _ in steps[:2]:
        browser = page.as_(APPEALS)
        shown = unescape(browser.get(f"/appeals/{about['seq']}").text)
        cells = dict(re.findall(r'name="(target_source|target_id)" value="([^"]+)"', shown))
        sent = page.enter(
            browser, type="appeal.decided.v1", unit=about["unit"], outcome="upheld", reason="维持", **cells
        )
        assert "o-accepted" in sent
    left = steps[2:]
    rated = [one for one in left if one[0]["item"] not in ("1.1", "1.2", "1.3", "1.4")]
    entries = [one for one in left if one not in rated]
    obey(facts, entries[::3], day(320), outcome="upheld")
    obey(facts, [*entries[1::3], *(one for one in rated if one[0]["item"] == "2.3")], day(320), outcome="cancelled")
    obey(facts, entries[2::3], day(320), outcome="revised", points="0.5")
    obey(facts, [one for one in rated if one[0]["item"] != "2.3"], day(320), outcome="revised", points="90")
    assert in_the_way("appeals") == []


def reopen(facts: Facts) -> None:
    """An item that lost a rating on appeal is opened, rated and closed again, in the order that readiness says."""
    steps = in_the_way("pending")
    assert [step["what"].split()[0] for _, step in steps] == ["2.3", "rate", "close"]
    for number, step in enumerate(steps):
        obey(facts, [step], day(330 + number))
    assert in_the_way("pending") == []


def amend(facts: Facts) -> None:
    """An appeal after final amends the year, which is made final again; what moved is told."""
    unit = facts.worst[32]
    found = re.findall(r"wuxing appeal \S+ --target \d+ --statement TEXT", say(f"wuxing explain {unit} --format md"))
    assert outcomes(found[0].replace("TEXT", "新证据")) == {"accepted": 1}
    obey(facts, in_the_way("appeals"), day(345), outcome="cancelled")
    ranked()
    assert "amended" in say("wuxing readiness").splitlines()[0]
    finalise(facts, day(346))
    assert unit in say("wuxing diff @final-1 @final")


def prove(facts: Facts) -> None:
    """The archive proves itself, an oracle that shares no code comes to its results, and nothing more is taken."""
    done = told("wuxing archive year.zip --yes")
    assert (done["state"], done["sequence"]) == ("finalised", ranked())
    say("wuxing verify year.zip")
    with zipfile.ZipFile("year.zip") as held:
        lines = [json.loads(line)["raw"].encode() for line in held.read("ledger.jsonl").splitlines()]
    found = oracle.score(lines, shipped=(BOOK_JSON, SHIPPED))
    assert (found["as_of"], found["assessment_state"]) == (done["sequence"], done["state"])
    assert found["digest"] == told("wuxing status --format json")["digest"]
    fill("ducha", {"Deductions": facts.deductions("1.1", 100, ground="criticised")})
    assert emit("ducha", code=1) == {"refused": 1}


@pytest.mark.long
def test_a_whole_year_is_taken_from_its_opening_to_the_proof_of_its_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, facts = Site(tmp_path / "site"), Facts()
    site.data.mkdir()
    site.environment |= {"PYTHONPATH": str(ROOT), "WUXING_LANG": "en", "COLUMNS": "100"}
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.modules[__name__], "KEYS", {})
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    files = f"--rulebook {BOOK_FOLDER}/rulebook.toml --roster {BOOK_FOLDER}/roster.csv"
    assert told(f"wuxing open {YEAR} {files} --synthetic --yes")["sequence"] == 1
    with site.running():
        first = {step["owner"] for _, step in in_the_way()}
        assert first == {office.code for office in BOOK.office}, "on the first day everybody is waited for"
        adopt(facts)
        record(site, facts)
        correct(facts)
        change(site, facts)
        close(facts)
        named = publicise(facts)
        appeal(site, facts, named)
        decide(site, facts)
        reopen(facts)
        obey(facts, in_the_way("ties"), day(335))
        finalise(facts, day(340))
        amend(facts)
        prove(facts)
