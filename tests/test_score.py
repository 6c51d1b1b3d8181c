"""Whose year a file is scored by: its opening's, an option's, the shipped one; and what a reader is told beside."""

import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.results import EntryResult, EventResult, ItemResult, UnitResult, digest
from services.command import tables, words
from services.scorer import rules
from tests.product import BOOK_FILE, command

OPENING, *REST = (Path(__file__).parent / "golden" / "events.jsonl").read_bytes().splitlines()
LATE = json.loads(REST[0])
ROSTER = "unit,name,category,group\nV1,单位,B,g\nV2,合成革行业管理办公室,B,g\n"


def score(folder, *lines, options=()):
    (folder / "year.jsonl").write_bytes(b"\n".join(lines))
    (folder / "roster.csv").write_text(ROSTER, encoding="utf-8")
    code, printed, said = command("score", str(folder / "year.jsonl"), *options, "--lang", "en")
    return code, json.loads(printed) if printed else {}, said


def whose(found):
    return found["assessment"], found["rulebook"], len(found["units"])


@pytest.mark.parametrize(
    ("lines", "options", "expected"),
    [
        ([OPENING], [], ("golden-2013", "golden", 3)),
        ([OPENING], ["--assessment", "mine"], ("mine", "golden", 3)),
        ([OPENING], ["--rulebook", str(BOOK_FILE), "--roster", "ROSTER"], ("golden-2013", "wenzhou-2013", 2)),
        ([], [], ("wenzhou-2013", "wenzhou-2013", 105)),
        ([], ["--roster", "ROSTER"], ("wenzhou-2013", "wenzhou-2013", 2)),
        ([], ["--assessment", "mine"], ("mine", "wenzhou-2013", 105)),
        ([OPENING], ["--as-of", "0"], ("wenzhou-2013", "wenzhou-2013", 105)),
        ([b"{", OPENING], [], ("golden-2013", "golden", 3)),
        ([REST[0], OPENING], [], ("golden-2013", "golden", 3)),
    ],
)
def test_options_win_over_the_opening_and_the_opening_over_what_ships(lines, options, expected, tmp_path):
    options = [str(tmp_path / "roster.csv") if word == "ROSTER" else word for word in options]
    code, found, _ = score(tmp_path, *lines, options=options)
    assert (code, whose(found)) == (0, expected)


def test_the_opening_counts_only_as_the_first_event(tmp_path):
    mine = json.dumps({**LATE, "source": "/offices/ducha", "subject": "U042", "data": {
        "item": "1.1", "matter": "m", "ground": "no_feedback", "reason": "r"}}).encode()  # fmt: skip
    _, found, _ = score(tmp_path, mine, OPENING, REST[0])
    assert whose(found) == ("wenzhou-2013", "wenzhou-2013", 105)
    assert [(row["seq"], row["disposition"]) for row in found["events"]] == [(2, "void")]
    assert [(row["line"], row["reason"]) for row in found["refused"]] == [(3, "source_not_authorised")]


def test_an_opening_whose_rulebook_is_not_sound_opens_nothing(tmp_path):
    value = json.loads(OPENING)
    value["data"]["rulebook"]["item"][0]["points"] = "41"
    code, found, _ = score(tmp_path, json.dumps(value).encode())
    assert (code, whose(found)) == (0, ("wenzhou-2013", "wenzhou-2013", 105))
    assert [(row["reason"], row["path"]) for row in found["refused"]] == [("bad_field", "data.rulebook")]


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--rulebook", 'language = "2"\n', "final"),
        ("--roster", "unit,name,category,group\nV1,n,Z,g\n", "V1"),
    ],
)
def test_a_rulebook_or_roster_with_faults_is_wrong_use(option, text, words, tmp_path):
    (tmp_path / "given").write_text(text, encoding="utf-8")
    code, found, said = score(tmp_path, OPENING, options=[option, str(tmp_path / "given")])
    assert (code, found) == (2, {})
    assert words in said
    assert "Traceback" not in said


def test_an_assessment_s_code_has_a_form(tmp_path):
    assert score(tmp_path, options=["--assessment", "a" * 64])[0] == 0
    for code in ("a" * 65, "a.b", "", "年"):
        assert score(tmp_path, options=["--assessment", code])[0] == 2


def test_made_up_units_are_said_on_stderr_by_the_opening_s_field_and_not_by_a_name(tmp_path):
    true = json.loads(OPENING)
    false = {**true, "data": {**true["data"], "synthetic": False}}
    assert "made up" in score(tmp_path, OPENING)[2]
    assert "made up" not in score(tmp_path, json.dumps(false).encode())[2]
    assert "made up" in score(tmp_path)[2]
    assert "made up" not in score(tmp_path, options=["--roster", str(tmp_path / "roster.csv")])[2]


def test_a_byte_order_mark_before_an_opening_is_named(tmp_path):
    code, found, said = score(tmp_path, b"\xef\xbb\xbf" + OPENING, options=["--strict"])
    assert (code, whose(found)[0]) == (1, "wenzhou-2013")
    assert "byte order mark" in said


@pytest.mark.parametrize(("points", "printed"), [("2.00005", "2.0001"), ("2.00015", "2.0002"), ("-2.00005", "-2.0001")])
def test_points_are_printed_half_up_and_away_from_zero(points: str, printed: str) -> None:
    assert tables.four(Decimal(points)) == printed
    assert words.points4(points) == printed.replace("-", "−")


def test_a_table_of_more_units_than_anybody_reads_says_how_many_it_leaves_out(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST", 3)
    (tmp_path / "year.jsonl").write_bytes(b"")
    code, printed, _ = command("score", tmp_path / "year.jsonl", "--format", "table", "--lang", "en")
    lines = printed.decode().splitlines()
    assert code == 0
    assert sum("provisional" in line for line in lines) == 6, "three of each of two categories"
    assert [line.partition("…")[2].rstrip() for line in lines if "…" in line] == [
        " and 30 more; --format json has them all.",
        " and 69 more; --format json has them all.",
        *[" and 69 more; --format json has them all."] * 2,
    ], "of each category, and of each grade's undecided"


@pytest.mark.parametrize(
    ("lang", "first", "last"),
    [("zh", "第2行：拒收，", "共拒收12行"), ("en", "Line 2: refused, ", "12 lines were refused in all")],
)
def test_refused_lines_are_told_beside_a_table_in_the_chosen_language(lang, first, last, tmp_path):
    (tmp_path / "year.jsonl").write_bytes(b"\n".join([OPENING, *[b"{"] * 12]))
    code, _, said = command("score", tmp_path / "year.jsonl", "--format", "table", "--lang", lang)
    lines = said.splitlines()
    assert (code, lines[0].startswith(first), len(lines)) == (0, True, 11)
    assert lines[-1].startswith(last)
    assert bool(re.search("[\u4e00-\u9fff]", said)) is (lang == "zh")


@pytest.mark.parametrize("limit", ["1MB", "24MB"])
def test_with_little_memory_the_numbers_are_the_same(limit, tmp_path, monkeypatch):
    lines = (OPENING, *REST)
    plain = score(tmp_path, *lines)
    monkeypatch.setattr(rules, "MEMORY", limit)
    assert score(tmp_path, *lines) == plain


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(TEXT, TEXT, st.none() | TEXT, st.dictionaries(TEXT, TEXT, max_size=3))
def test_the_digest_is_that_of_the_object_without_its_words_in_canonical_json(matter, why, clause, readings):
    line = EntryResult(
        1, "/offices/a", "é", "bonus", "U1", "1", matter, "g", "1", "1", "0", "1", "counted", why, clause
    )
    event = EventResult(2, "/offices/a", "i", "t", "U1", "counted", why, clause)
    object_ = {
        "assessment": "a", "assessment_state": "running", "readings": readings, "rulebook": "r", "schemes": [],
        "units": [UnitResult("U", "A", "", {matter: ItemResult(None, "pending")}, {}, "0", None, readings, "left", [])],
    }  # fmt: skip
    whole = msgspec.to_builtins(object_ | {"entries": [line], "events": [event]})
    for one in (*whole["entries"], *whole["events"]):
        del one["why"]
    found = digest(object_ | {"entries": iter([line]), "events": [event]})
    canonical = json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert found == hashlib.sha256(canonical).hexdigest()
