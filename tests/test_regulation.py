"""Every rulebook that ships or stands in the guide comes to what its cases say, worked out by hand from its text."""

from __future__ import annotations

import json
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import cases, roster, soundness
from schemas.year import Year
from services.scorer import file, rules
from services.snapshot.results import results

ROOT = Path(__file__).parent.parent
BOOKS = sorted(
    book
    for folder in (ROOT / "schemas" / "rulebooks", ROOT / "docs" / "language" / "examples")
    for book in folder.glob("*/rulebook.toml")
)
NAMES = [book.parent.name for book in BOOKS]
EXAMPLE = Path(__file__).parent / "regulation" / "worked-example"


@cache
def raw(book: Path) -> dict[str, Any]:
    return tomllib.loads(book.read_text(encoding="utf-8"))


load = cache(soundness.load)


@cache
def years(page: Path) -> list[cases.Year]:
    return cases.read(page, raw(page.parent.parent / "rulebook.toml"))


#: What a wrong rule is seen by nowhere else runs every day: a revised entry below an earlier one of its ground.
DAILY = ("1.1", "appeals")


def pages() -> list[Any]:
    """Every year of every page of cases: a page whose cases share a year is one."""
    return [
        pytest.param(
            page,
            n,
            id=f"{book.parent.name}/{page.stem}: {year.cases[0].name if len(years(page)) > 1 else ''}",
            marks=[pytest.mark.every(1)] if page.stem in DAILY else [],
        )
        for book in BOOKS
        for page in sorted((book.parent / "cases").glob("*.toml"))
        for n, year in enumerate(years(page))
    ]


def come_to(year: Year, lines: bytes, asked: tuple[str, ...]) -> tuple[dict[str, Any], dict[int, str]]:
    """What the product makes of the lines under each set of readings, and why it made events void."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(lines)
        folded = file.fold(path, year)
    found = {}
    for readings in asked:
        rules.set_options(folded.con, cases.options(readings))
        result = results(
            folded.con, assessment=year.assessment, rulebook=year.rulebook.id, as_of=folded.lines,
            refused=folded.refused, lang="en",
        )  # fmt: skip
        found[readings] = json.loads(msgspec.json.encode(result))
    query = "SELECT seq, void_reason FROM event WHERE admission = 'void'"
    void = dict(folded.con.execute(query).fetchall())
    folded.con.close()
    return found, void


@pytest.mark.every(5)
@pytest.mark.parametrize(("page", "number"), pages())
def test_the_cases_come_to_what_they_say(page: Path, number: int) -> None:
    year = years(page)[number]
    book = load(page.parent.parent / "rulebook.toml")
    found, void = come_to(Year(book.id, book, roster.read(year.roster)), year.lines, year.readings)
    assert list(cases.check(year, found, void)) == []


@pytest.mark.parametrize(
    ("readings", "final"),
    [
        ("", "10.35290000"), ("matter_rule=sum", "10.28290000"), ("step=geometric", "10.35664220"),
        ("client_weights=30/70", "10.35010000"), ("year_end_scale=100", "9.80540000"),
    ],
)  # fmt: skip
def test_the_worked_example_comes_to_what_was_worked_out_by_hand(readings: str, final: str) -> None:
    book = load(BOOKS[NAMES.index("wenzhou-2013")])
    year = Year(book.id, book, roster.load(EXAMPLE / "roster.csv", book))
    found, _ = come_to(year, (EXAMPLE / "events.jsonl").read_bytes(), (readings,))
    unit = next(row for row in found[readings]["units"] if row["unit"] == "U042")
    assert (final, "final", []) == (unit["final"], unit["state"], unit["flags"])


@pytest.mark.parametrize("book", BOOKS, ids=NAMES)
def test_its_own_roster_says_that_its_units_are_made_up(book: Path) -> None:
    if (ROOT / "docs") in book.parents:
        return  # the guide's rulebooks have no roster but their cases'
    units = roster.load(book.parent / "roster.csv", load(book))
    assert units
    assert all(unit.name.endswith("(合成)") for unit in units)


@pytest.mark.parametrize("book", BOOKS, ids=NAMES)
def test_every_rule_of_a_rulebook_is_in_one_of_its_cases(book: Path) -> None:
    """Items, grounds, nodes, measures, groups of raters, vetoes, attributes, and every value of every reading."""
    told = [year for page in (book.parent / "cases").glob("*.toml") for year in years(page)]
    data = [json.loads(line)["data"] for year in told for line in year.lines.splitlines()]
    used = {text for one in data for key, text in one.items() if key != "reason" and isinstance(text, str)}
    asked = {pair for year in told for readings in year.readings for pair in readings.split()}
    rules_of = raw(book)
    codes = {row["code"] for key in ("item", "veto", "attribute") for row in rules_of.get(key, ())}
    codes |= {
        row["code"]
        for item in rules_of["item"] for key in ("ground", "node", "measure", "raters") for row in item.get(key, ())
    }  # fmt: skip
    given = {code for year in told for unit in year.roster for code in unit.get("attributes", {})}
    assert codes - used - given == set()
    assert {f"{one['name']}={value}" for one in rules_of.get("reading", ()) for value in one["values"][1:]} <= asked
