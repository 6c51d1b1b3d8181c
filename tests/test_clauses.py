"""Every clause of a text is claimed by a rule or excused with a reason, and every quotation is the text's."""

import hashlib
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas import clauses
from schemas.faults import RulebookError
from services.rulebook import rules_page
from services.scorer import rules

BOOKS = sorted((Path(__file__).parent.parent / "schemas" / "rulebooks").glob("*/rulebook.toml"))
NAMES = [book.parent.name for book in BOOKS]
RAW = {book.parent.name: tomllib.loads(book.read_text(encoding="utf-8")) for book in BOOKS}
TEXTS = {book.parent.name: clauses.clauses(book.parent / "text.zh.txt") for book in BOOKS}

#: Of the printed document (温委办发(2013)36号, both parts, as published on the city's site) without its white space.
SHA256 = "de06d0750c72ada5fd4895499fff3b08562c9b07ffd25973721ca7e3ba5edce5"

#: Numbers of the method that no quotation of its rulebook holds, and where they are in it.
ELSEWHERE = {
    "一": {"105家": "the roster"},
    "三(一)": {"20个": "the roster", "13个": "the roster", "72个": "the roster"},
    "四(一)2(4)": {"5分": "the item's points, which is the floor"},
    "四(一)3(2)": {"2分": "measures exchange and internal together"},
    "四(二)": {"30%": "the weight of part Y, quoted from 四"},
    "五": {"70%": "the weight of part D, quoted from 四", "30%": "the weight of part Y, quoted from 四",
          "10%": "final.times, the tenfold of 四 taken back"},
}  # fmt: skip
#: Numbers that no quotation can hold, by rulebook and table, and why.
UNQUOTED = {("wenzhou-2013", ".final", "times"): "×10% stands in clause 五, the table cites 四: 扩大10倍"}
#: The keys that hold numbers that count.
NUMBERS = (
    "points", "weight", "times", "min", "max", "above", "step", "cap", "at_least", "at_most", "share", "number", "of",
    "value", "characters", "rows",
)  # fmt: skip


def squeezed(text: str) -> str:
    return "".join(text.split())


def tables(node: Any, place: str = "", clause: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every table of a rulebook with its place and its clause; without one of its own it has that around it."""
    if isinstance(node, dict):
        clause = node.get("clause", clause)
        yield place, clause, node
        for key, value in node.items():
            yield from tables(value, f"{place}.{key}", clause)
    elif isinstance(node, list):
        for n, value in enumerate(node):
            name = value.get("code", value.get("name", n)) if isinstance(value, dict) else n
            yield from tables(value, f"{place}[{name}]", clause)


def cited(book: str) -> list[tuple[str, str, str]]:
    """Every place, clause and quotation of a rulebook."""
    found = tables(RAW[book])
    return [(place, clause, one.get("words", "")) for place, clause, one in found if {"clause", "words"} & set(one)]


def numbers(table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every number of a table with its key."""
    for key in NUMBERS:
        value = table.get(key)
        held = [value] if isinstance(value, str) else value.values() if isinstance(value, dict) else []
        held = [one for row in value for one in row[:2]] if key == "rows" and value else held
        yield from ((key, one) for one in held if isinstance(one, str) and re.fullmatch(r"-?[\d.]+%?", one))


def worth(number: str) -> Decimal:
    return Decimal(number[:-1]).scaleb(-2) if number.endswith("%") else abs(Decimal(number))


def quoted(words: str) -> set[Decimal]:
    """The numbers of a quotation, a share both as it is written and as what it is worth."""
    found = re.findall(r"\d+(?:\.\d+)?%?", words)
    return {worth(one) for one in found} | {Decimal(one.rstrip("%")) for one in found} | {Decimal(0)}


def test_the_blocks_together_are_the_whole_text_of_the_regulation() -> None:
    text = squeezed("".join(TEXTS["wenzhou-2013"].values()))
    assert hashlib.sha256(text.encode()).hexdigest() == SHA256


@pytest.mark.parametrize("book", NAMES)
def test_every_clause_is_claimed_by_a_rule_or_excused_with_a_reason(book: str) -> None:
    claimed = {clause for place, clause, _ in cited(book) if not place.startswith(".excused")}
    excused = {one["clause"]: one["why"] for one in RAW[book].get("excused", ())}
    for clause in TEXTS[book]:
        under = re.compile(re.escape(clause) + r"([(\d].*)?")  # a heading is claimed by what stands under it
        ruled = any(under.fullmatch(one) for one in claimed)
        reason = any(clause.startswith(one) for one in excused)
        assert ruled or reason, clause
        assert not (ruled and clause in excused), f"{clause} needs no excuse"


@pytest.mark.parametrize("book", NAMES)
def test_every_quotation_stands_in_the_text_of_its_clause(book: str) -> None:
    text = TEXTS[book]
    found = [(place, clause, words) for place, clause, words in cited(book) if clause not in text]
    found += [one for one in cited(book) if one[1] in text and squeezed(one[2]) not in squeezed(text[one[1]])]
    assert found == []


@pytest.mark.parametrize("book", NAMES)
def test_every_number_is_quoted_or_says_that_it_is_an_assumption(book: str) -> None:
    found = [
        (book, place, key)
        for place, _, table in tables(RAW[book])
        if "source" not in table
        for key, number in numbers(table)
        if worth(number) not in quoted(table.get("words", ""))
    ]
    assert [one for one in found if one not in UNQUOTED] == []


METHOD = [clause for clause in TEXTS["wenzhou-2013"] if clause[0] in "一二三四五六"]


@pytest.mark.parametrize("clause", METHOD)
def test_every_number_of_the_method_is_quoted_or_is_elsewhere_in_the_rulebook(clause: str) -> None:
    rest = text = squeezed(TEXTS["wenzhou-2013"][clause])
    for words in {squeezed(words) for _, found, words in cited("wenzhou-2013") if found == clause and words}:
        at = text.index(words)  # quotations may overlap
        rest = rest[:at] + " " * len(words) + rest[at + len(words) :]
    assert set(re.findall(r"\d+[分%家个倍字]", rest)) == set(ELSEWHERE.get(clause, ()))


@pytest.mark.parametrize(
    ("text", "place"),
    [("一、考核对象\n§ 一\n", "line 1"), ("§ 一\n甲\n§ 一\n乙\n", "line 3"), (None, "text.zh.txt")],
    ids=["before the first anchor", "an anchor twice", "no file"],
)
def test_a_text_whose_anchors_do_not_read_is_refused_with_its_line(
    tmp_path: Path, text: str | None, place: str
) -> None:
    path = tmp_path / "text.zh.txt"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(RulebookError) as refusal:
        clauses.clauses(path)
    assert place in str(refusal.value)


# --- From a clause to its rule, docs/rules.md -------------------------------------------------------------------------

DOCS = Path(__file__).parent.parent / "docs"
VIEWS = [one for one in rules.definitions() if one.kind == "VIEW"]


def sections(page: str) -> dict[str, str]:
    """The sections of a page of the contract, by number where they have one, else by name."""
    parts = re.split(r"^## (?:(\d+)\. )?(.*)$", (DOCS / "spec" / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {number or name: text for number, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)}


SECTIONS = {"language": sections("language.md"), "wire": sections("wire.md")}


@pytest.mark.parametrize("view", VIEWS, ids=lambda one: one.name)
def test_every_view_cites_a_section_of_the_contract_or_says_why_there_is_none(view: rules.Definition) -> None:
    if reason := view.cites.removeprefix("no clause: ").strip() if view.cites.startswith("no clause: ") else "":
        assert len(reason.split()) > 3
        return
    said = re.fullmatch(r"(language|wire) (\d*) ?(?:\"(.+?)\")?(?:: ([a-z_, ]+))?", view.cites)
    assert said, f"{view.name} cites nothing"
    text = SECTIONS[said[1]][said[2] or said[3]]
    assert said[3] is None or f"**{said[3]}" in text or not said[2]
    every = "\n".join(SECTIONS["language"].values())
    assert [word for word in (said[4] or "").split(", ") if not re.search(rf"\b{word}\b", every)] == []


def test_the_page_from_clause_to_rule_is_what_would_be_written_now() -> None:
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == rules_page.page(), (
        "python -m services.rulebook.rules_page"
    )


@pytest.mark.parametrize(
    ("clause", "entry", "view", "page", "case"),
    [
        ("四(一)1(4)", "item 1.4", "node_entry", "1.4.toml", "the four quarters together cost no more than 2"),
        ("四(一)1(5)", "item 1.5", "band_cut", "1.5.toml", "of 105 units 21 get 5, 53 get 3, 31 get 1"),
        ("三(二)", "scheme award", "grade_quota", "awards.toml", "of 30 units 1.5 is 1 by floor and 2 by half-up"),
        ("四(一)5", "item 5.1", "place_points", "5.1.toml", "3% of the basic points a place, or of the place before"),
        ("四(一)2(4)", "item 2.4", "ground_step", "2.4.toml", "two inspectors on one matter count once"),
    ],
)
def test_a_clause_leads_to_its_words_its_rule_its_views_and_its_cases(
    clause: str, entry: str, view: str, page: str, case: str
) -> None:
    found = re.search(rf"^## {re.escape(clause)}\n(.*?)(?=^## )", rules_page.page(), re.MULTILINE | re.DOTALL)
    assert found
    words = TEXTS["wenzhou-2013"][clause].splitlines()
    said = found[1]
    assert [f"> {line}" in said for line in words] == [True for _ in words]
    at = [said.index(one) for one in (f"[{entry}](", f"| [{view}](", f"Cases, [{page}](", case)]
    assert at == sorted(at)


def test_every_view_and_every_page_of_cases_stands_on_the_page() -> None:
    said = rules_page.page()
    assert [one.name for one in VIEWS if f"[{one.name}](" not in said] == []
    assert [
        path.name for path in (BOOKS[NAMES.index("wenzhou-2013")].parent / "cases").iterdir() if path.name not in said
    ] == []
