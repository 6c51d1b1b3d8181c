"""The guide to the rulebook language: what it quotes is run, and where it points there is a page."""

import json
import re
from functools import cache
from pathlib import Path

import msgspec
import pytest

from schemas import rulebook
from schemas.events import TYPES
from tests.product import command

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "language"
PAGES = sorted(GUIDE.rglob("*.md"))
#: What is checked and run by tests/test_regulation.py: rulebooks and their cases.
RUN = (ROOT / "schemas" / "rulebooks", GUIDE / "examples")


@cache
def run() -> tuple[str, ...]:
    files = (file for folder in RUN for file in (*folder.glob("*/rulebook.toml"), *folder.glob("*/cases/*.toml")))
    return tuple(file.read_text(encoding="utf-8") for file in files)


def blocks() -> list[object]:
    """Every block of TOML in the guide, by its page."""
    return [
        pytest.param(block, id=f"{page.relative_to(GUIDE)}-{n}")
        for page in PAGES
        for n, block in enumerate(
            re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        )
    ]


@pytest.mark.parametrize("block", blocks())
def test_what_the_guide_quotes_stands_in_a_rulebook_or_a_case_that_is_run(block: str) -> None:
    assert any(block in text for text in run())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(GUIDE)))
def test_every_link_of_the_guide_leads_to_a_page(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+\.md)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_linked_from_the_first() -> None:
    text = (GUIDE / "README.md").read_text(encoding="utf-8")
    assert [str(page.relative_to(GUIDE)) for page in PAGES[1:] if f"({page.relative_to(GUIDE)})" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(GUIDE)))
def test_every_page_is_chinese_first_and_ends_in_english(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(r"# [^\n]*[\u4e00-\u9fff]", text)
    assert re.search(r"^(\*\*In English\*\*|## In English)", text, re.MULTILINE)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent != GUIDE and page.name != "excused.md"], ids=lambda page: page.stem
)
def test_every_page_of_a_table_or_a_kind_has_a_worked_example(page: Path) -> None:
    assert "**算例**" in page.read_text(encoding="utf-8")


def tables(kind: type[rulebook.Table]) -> list[type[rulebook.Table]]:
    """A table of the language and all that are made like it."""
    return [kind, *(table for under in kind.__subclasses__() for table in tables(under))]


def allowed(kind: msgspec.inspect.Type) -> set[str]:
    """The words that a key may have where they are a list."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return {*(kind.extra or {}).get("values", ()), *allowed(kind.type)}
    if isinstance(kind, msgspec.inspect.UnionType):
        return {word for one in kind.types for word in allowed(one)}
    return {str(word) for word in kind.values} if isinstance(kind, msgspec.inspect.LiteralType) else set()


def test_every_key_of_the_language_and_every_word_of_its_lists_is_in_the_guide() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    infos = map(msgspec.inspect.type_info, tables(rulebook.Table))
    fields = [field for info in infos if isinstance(info, msgspec.inspect.StructType) for field in info.fields]
    words = {field.encode_name for field in fields} | {word for field in fields for word in allowed(field.type)}
    assert sorted(words - told) == []


def test_the_year_of_the_guide_comes_to_what_it_says(tmp_path: Path) -> None:
    text = (GUIDE / "events.md").read_text(encoding="utf-8")
    (tmp_path / "year.jsonl").write_text(
        re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0], encoding="utf-8"
    )
    new = ROOT / "schemas" / "rulebooks" / "new"
    given = ("--rulebook", new / "rulebook.toml", "--roster", new / "roster.csv", "--strict", "--lang", "zh")
    code, printed, said = command("score", tmp_path / "year.jsonl", *given)
    assert code == 0, said
    units = {unit["unit"]: unit for unit in json.loads(printed)["units"]}
    finals = {unit: units[unit]["final"] for unit in ("Z01", "Z02", "Z03", "Z04")}
    assert finals == {"Z01": "90.00", "Z02": "79.00", "Z03": "30.00", "Z04": "30.00"}
    assert [units["Z01"]["items"][item]["points"] for item in ("safety", "satisfaction", "investment")] == [
        "25.000000", "27.000000", "38.000000",
    ]  # fmt: skip


def test_the_events_of_the_guide_are_those_of_the_contract_that_people_write() -> None:
    said = set(re.findall(r"`(\w+\.\w+\.v1)`", (GUIDE / "events.md").read_text(encoding="utf-8")))
    assert set(TYPES) - said == {"assessment.opened.v1", "key.changed.v1", "submission.recorded.v1"}
    assert said <= set(TYPES)
