"""Every clause of the regulation is claimed by a rule or excused with a reason, and every quotation is the text's."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import rulebook
from schemas.clauses import clauses
from schemas.rulebook import SHIPPED
from schemas.soundness import RulebookError

TEXT = clauses()
BOOK = rulebook.plain(rulebook.load(SHIPPED / "rulebook.toml"))

#: Of the printed document (温委办发(2013)36号, both parts, as published on the city's site) without its white space.
SHA256 = "de06d0750c72ada5fd4895499fff3b08562c9b07ffd25973721ca7e3ba5edce5"

#: What is no rule of the assessment method; its own clauses are excused in the rulebook.
EXCUSED = {
    "通知": "The covering notice: adopts the two documents and dates them.",
    "要点": "The key points of the year's work say what to do; clause 二 makes the items of the method their measure.",
    "办法": "The method's title and its purpose.",
    "附件": "Names two annexes that are missing from the text: the roster stands in for 1, reading e1 for 2.",
}

#: Numbers of the method that no quotation of the rulebook holds, and where they are in it.
ELSEWHERE = {
    "一": {"105家": "the roster"},
    "三(一)": {"20个": "the roster", "13个": "the roster", "72个": "the roster"},
    "四": {"10倍": "total.daily is total.basic ten times; total.scale takes it back"},
    "四(一)1(5)": {"20%": "band.share", "50%": "band.share", "30%": "band.share"},
    "四(一)2(4)": {"5分": "the item's points, which is the floor"},
    "四(一)3(2)": {"2分": "components exchange and internal together"},
    "四(二)": {"30%": "total.year_end_weight, quoted from 四"},
    "五": {"70%": "total.daily_weight, quoted from 四", "30%": "total.year_end_weight, quoted from 四"},
}


def squeezed(text: str) -> str:
    return "".join(text.split())


def cited(node: object, place: str = "", clause: str = "") -> Iterator[tuple[str, str, str]]:
    """Every (place, clause, words) of the rulebook; words without a clause are those of the table around them."""
    if isinstance(node, dict):
        clause = node.get("clause", clause)
        if "clause" in node or "words" in node:
            yield place, clause, node.get("words", "")
        for key, value in node.items():
            yield from cited(value, f"{place}.{key}".strip("."), clause)
    elif isinstance(node, list | tuple):
        for n, value in enumerate(node):
            name = value.get("code", value.get("name", n)) if isinstance(value, dict) else n
            yield from cited(value, f"{place}[{name}]", clause)


CITED = list(cited(BOOK))


def claims(clause: str) -> list[str]:
    """Where the rulebook cites the clause or one under it: a heading is claimed by what stands under it."""
    under = re.compile(re.escape(clause) + r"([(\d].*)?")
    return [place for place, found, _ in CITED if under.fullmatch(found)]


def test_the_blocks_together_are_the_whole_text_of_the_regulation() -> None:
    assert hashlib.sha256(squeezed("".join(TEXT.values())).encode()).hexdigest() == SHA256


@pytest.mark.parametrize("clause", TEXT)
def test_every_clause_is_claimed_by_the_rulebook_or_excused_with_a_reason(clause: str) -> None:
    reason = EXCUSED.get("要点" if clause.startswith("要点") else clause)
    assert claims(clause) or reason
    assert not (claims(clause) and reason), "a clause that the rulebook claims needs no excuse here"


def test_a_clause_that_the_rulebook_excuses_has_no_rule() -> None:
    excused = {one["clause"] for one in BOOK["excused"]}
    ruled = {clause for place, clause, _ in CITED if not place.startswith("excused")}
    assert excused & ruled == set()


@pytest.mark.parametrize(("place", "clause", "words"), CITED, ids=[place for place, _, _ in CITED])
def test_every_quotation_stands_in_the_text_of_its_clause(place: str, clause: str, words: str) -> None:
    assert clause in TEXT
    assert squeezed(words) in squeezed(TEXT[clause])


@pytest.mark.parametrize("clause", [clause for clause in TEXT if clause[0] in "一二三四五六"])
def test_every_number_of_the_method_is_quoted_or_is_elsewhere_in_the_rulebook(clause: str) -> None:
    rest = squeezed(TEXT[clause])
    for words in sorted({squeezed(words) for _, found, words in CITED if found == clause and words}, key=len)[::-1]:
        rest = rest.replace(words, "")
    assert set(re.findall(r"\d+[分%家个倍字]", rest)) == set(ELSEWHERE.get(clause, ()))


@pytest.mark.parametrize("item", BOOK["item"], ids=[item["code"] for item in BOOK["item"]])
def test_every_item_quotes_its_own_points_where_the_text_gives_them(item: dict[str, Any]) -> None:
    if item["points"].get("source") != "assumption":
        assert item["points"]["value"] in re.findall(r"\d+", TEXT[item["clause"]])


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
        clauses(path)
    assert place in refusal.value.place
