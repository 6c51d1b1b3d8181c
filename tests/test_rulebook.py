"""What a rulebook is refused for: every mistake of the table with its words, its line and the nearest right word.

`python -m tests.test_rulebook` writes the words of the tables anew; they are read by a person before they are kept.
"""

import json
import re
import tempfile
import tomllib
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from schemas import faults, lines, soundness, warnings
from schemas.clauses import clauses
from schemas.rulebook import RULEBOOKS, plain
from schemas.soundness import RulebookError
from schemas.words import Language
from services.rulebook import rehearsal
from services.rulebook.sentences import sentences
from tests import product, random_books

FOLDER = Path(__file__).parent / "rulebook_faults"
SOUND = (FOLDER / "sound.toml").read_text(encoding="utf-8")
MISTAKES = tomllib.loads((FOLDER / "mistakes.toml").read_text(encoding="utf-8"))["mistake"]
#: Messages that are not of a rulebook's tables: tested in this file, with the rosters, or with the made-up years.
ELSEWHERE = {"unreadable", "not_utf8", "not_toml", "not_a_table"}


def said(path: Path, lang: Language) -> list[str]:
    with pytest.raises(RulebookError) as error:
        soundness.load(path)
    return [line.replace(f"{path.parent}/", "") for line in error.value.say(lang).splitlines()]


def edited(mistake: dict[str, str]) -> str:
    assert SOUND.count(mistake["old"]) == 1
    return SOUND.replace(mistake["old"], mistake["new"])


@pytest.mark.parametrize(
    "path", [FOLDER / "sound.toml", *RULEBOOKS.glob("*/rulebook.toml")], ids=lambda p: p.parent.name
)
def test_a_sound_rulebook_has_no_fault_and_is_the_same_from_json(path: Path) -> None:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    assert soundness.load(path) == soundness.read(json.loads(json.dumps(raw)))
    assert plain(soundness.read(raw)) == raw


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["name"])
def test_a_mistake_is_said_with_its_line_what_was_found_and_what_is_allowed(
    tmp_path: Path, mistake: dict[str, str]
) -> None:
    path = tmp_path / "rulebook.toml"
    path.write_text(edited(mistake), encoding="utf-8")
    assert said(path, "en") == mistake["en"].splitlines()
    assert said(path, "zh") == mistake["zh"].splitlines()


def test_the_table_has_the_mistakes_that_it_should() -> None:
    assert len(MISTAKES) >= 120
    assert len({mistake["name"] for mistake in MISTAKES}) == len(MISTAKES)


def test_every_message_is_in_the_table() -> None:
    told = {fault.said for mistake in MISTAKES for fault in soundness.faults(tomllib.loads(edited(mistake)))}
    own = {name for name in faults.MESSAGES if not name.startswith(("roster_", "made_up_", "text_", "warn_"))}
    assert own - ELSEWHERE == told - ELSEWHERE


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["name"])
def test_a_message_is_in_one_language(mistake: dict[str, str]) -> None:
    written = re.compile(r'"[^"]*"|“[^”]*”')
    assert not re.search("[一-鿿]", re.sub(r"raters \S+|unknown \S+", "", written.sub("", mistake["en"])))
    assert all(re.search("[一-鿿]", line.partition("：")[2]) for line in mistake["zh"].splitlines())


def test_mistakes_in_several_tables_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = SOUND.replace('combine = "mean"', 'combine = "men"').replace('share = "10%"', "share = 0.1")
    path = tmp_path / "rulebook.toml"
    path.write_text(text.replace('default = "10"', 'default = "ten"'), encoding="utf-8")
    found = [re.findall(r"line (\d+), (.*?):", line)[0] for line in said(path, "en")]
    assert [place for _, place in found] == [
        "attribute staff, default",
        "part M, combine",
        "scheme prize, grade gold, share",
    ]


def test_a_rulebook_as_an_object_names_the_path() -> None:
    raw = tomllib.loads(SOUND)
    raw["item"][0]["ground"][1]["points"] = "x"
    with pytest.raises(RulebookError) as error:
        soundness.read(raw)
    assert str(error.value).startswith('item[0].ground[1], item 1, ground bad, points: found "x"')


@pytest.mark.parametrize("raw", [None, [], "x", 1, {}, {"item": 1}, {"item": [None]}, {"name": {}}, {"order": [[]]}])
def test_what_is_no_rulebook_at_all_is_refused_in_words(raw: object) -> None:
    with pytest.raises(RulebookError) as error:
        soundness.read(raw)
    assert error.value.say("zh")


def test_junk_anywhere_is_refused_and_never_breaks_the_check() -> None:
    junk: list[Any] = [None, 1, "x", "@x", [], {}, True, ["x"], [[]], {"code": 1}, [{}], "0", "-1", "999999999.999999"]
    for n, (path, _) in enumerate(places(tomllib.loads(SOUND))[::3]):
        raw = tomllib.loads(SOUND)
        inner = raw
        for key in path[:-1]:
            inner = inner[key]
        if path:
            inner[path[-1]] = junk[n % len(junk)]
        for lang in ("zh", "en"):
            assert all(faults.described(soundness.faults(raw), None, None, lang))


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value)] + [found for key, one in inner for found in places(one, (*path, key))]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id = 1\nname\n", "line 2, column 5: expected = after a key"),
        (b"id = x", "line 1, column 6: the value is none; texts and numbers stand in quotes"),
        (b'id = "x" y', "line 1, column 10: something follows where the line should end"),
        (b"[final\n", "line 1, column 7: a ] is missing"),
        (b'id = "x', "at its end: a quotation mark is not closed"),
        (b"id = [1", "at its end: a [ or { is not closed"),
        (b'id = "\xff"', "byte 6 is not UTF-8"),
    ],
    ids=lambda _: "",
)
def test_a_file_that_does_not_read_is_refused_with_the_place(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "rulebook.toml"
    path.write_bytes(content)
    assert [words in line for line in said(path, "en")] == [True]
    assert said(path, "zh")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert said(tmp_path / "none.toml", "en") == ["none.toml: cannot be read: No such file or directory"]


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rulebook.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode())
    assert soundness.load(path) == soundness.load(FOLDER / "sound.toml")


TANGLED = '''
at = 1
[a]  # a comment with [brackets] and "quotes"
at = 2
text = """
[not.a.table]
"""
b = { at = "7", c = [ { at = 7 }, {at=7},
  { at = 8, d = { at = 8 } } ], e = '}"#' }
[[f]]
at = 9
[[f]]
at = 11
g.h = "x"
"quoted key".i = [[{ at = 14 }], [
   { at = 15 }]]
[[f.j]]
at = 16
[f.j.k."l.m"]
at = 18
[[f]]
at = 20
n = [
  # a comment, with } and ]
  { at = 24, o = """x
}""" },
  { at = 26 }, ]
[[f.j]]
at = 27
p = 1979-05-27 07:32:00
q = \'\'\'
[x]\'\'\'
'''.lstrip()


def test_the_line_of_every_table_is_where_it_begins() -> None:
    found = lines.lines(TANGLED)
    tables = [(path, table) for path, table in places(tomllib.loads(TANGLED)) if isinstance(table, dict)]
    wanted = {path: int(table["at"]) for path, table in tables if "at" in table}
    assert {path: found[path] for path in wanted} == wanted
    assert found[("f", 1, "g")] == 13
    assert found[("f", 1, "quoted key")] == 14


# --- Made-up years ----------------------------------------------------------------------------------------------------

MADE_UP = tomllib.loads((FOLDER / "made_up.toml").read_text(encoding="utf-8"))["mistake"]


@pytest.mark.parametrize(
    "path", [FOLDER / "sound.toml", *RULEBOOKS.glob("*/rulebook.toml")], ids=lambda p: p.parent.name
)
def test_the_made_up_years_of_a_sound_rulebook_compute(path: Path) -> None:
    assert rehearsal.faults_of_rehearsal(soundness.load(path)) == []


def test_a_bonus_counts_after_the_largest_deduction_with_those_that_it_requires() -> None:
    book = tomllib.loads((FOLDER / "sound.toml").read_text(encoding="utf-8"))
    item = next(one for one in book["item"] if one["code"] == "1")
    del item["node"]
    item["ground"] = [
        {"code": "late", "name": "迟报", "points": "0.5", "branch": "time"},
        {"code": "again", "name": "仍不改", "above": "0", "max": "20", "branch": "time", "requires": "late"},
        {"code": "good", "name": "表扬", "points": "0.25", "adds": True},
    ]
    assert rehearsal.accept(book)
    item["ground"][0]["points"] = "21"
    with pytest.raises(RulebookError, match="good: counts 0 on a unit"):
        rehearsal.accept(book)


@pytest.mark.every(6)
@pytest.mark.parametrize("mistake", MADE_UP, ids=lambda mistake: mistake["name"])
def test_a_rulebook_whose_made_up_year_is_wrong_is_refused(tmp_path: Path, mistake: dict[str, str]) -> None:
    path = tmp_path / "rulebook.toml"
    path.write_text(edited(mistake), encoding="utf-8")
    soundness.load(path)
    with pytest.raises(RulebookError) as error:
        rehearsal.load(path)
    assert error.value.say("en").replace(f"{tmp_path}/", "") == mistake["en"]
    assert error.value.say("zh").replace(f"{tmp_path}/", "") == mistake["zh"]
    with pytest.raises(RulebookError):
        rehearsal.accept(tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.long
def test_random_sound_rulebooks_are_accepted() -> None:
    for seed in range(100):
        assert soundness.faults(random_books.draw_book(Random(seed))) == [], seed
    for seed in range(5):
        assert rehearsal.accept(random_books.draw_book(Random(seed))), seed


# --- Warnings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("扣0.5至2分，共３项", {"0.5", "2", "3"}), ("按20%评出", {"0.2"}), ("二十五分、百分之五", {"25", "0.05"}),
        ("一百二十分，两次", {"120", "2"}), ("二〇一三年", {"2013"}), ("没有数", set()),
    ],
)  # fmt: skip
def test_the_numbers_of_words_are_read_in_digits_and_characters(words: str, numbers: set[str]) -> None:
    assert warnings.said(words) == {Decimal(number) for number in numbers}


def test_what_is_doubtful_is_warned_of_and_not_refused() -> None:
    raw = tomllib.loads((RULEBOOKS / "new" / "rulebook.toml").read_text(encoding="utf-8"))
    assert warnings.warnings(soundness.read(raw)) == []
    raw["item"][0]["points"], raw["part"][0]["points"], raw["final"]["points"] = "31", "61", "101"
    raw["category"].append({"code": "other", "name": "另一类"})
    raw["scheme"][0] |= {"pools": "town,other"}
    del raw["scheme"][0]["grade"][0]["words"], raw["item"][1]["range"]["words"]
    said = faults.described(warnings.warnings(soundness.read(raw)), None, None, "en")
    assert [line.partition(":")[0] for line in said] == [
        "final, the final, points", "part[0], part usual, points", "item[0], item safety, points",
        "item[1].range, item satisfaction, range, max", "scheme[0].grade[0], scheme grade, grade excellent",
        "scheme[0], scheme grade, quota_of",
    ]  # fmt: skip


def test_words_and_clauses_that_the_text_does_not_have_are_warned_of() -> None:
    raw = tomllib.loads((RULEBOOKS / "new" / "rulebook.toml").read_text(encoding="utf-8"))
    text = clauses(RULEBOOKS / "new" / "text.zh.txt")
    assert warnings.warnings(soundness.read(raw), text) == []
    raw["item"][0] |= {"clause": "二(九)", "words": "安全生产(30分)……扣完为止"}
    assert [
        line.partition(":")[0]
        for line in faults.described(warnings.warnings(soundness.read(raw), text), None, None, "en")
    ] == ["item[0], item safety, clause"]
    raw["item"][0] |= {"clause": "二(一)", "words": "安全生产30分"}
    (said,) = faults.described(warnings.warnings(soundness.read(raw), text), None, None, "zh")
    assert said == 'item[0]，项目safety，words：text.zh.txt中没有"安全生产30分"这句话'


def test_every_assumption_is_read_back_with_its_reason() -> None:
    raw = tomllib.loads((RULEBOOKS / "new" / "rulebook.toml").read_text(encoding="utf-8"))
    raw["roles"] |= {"source": "assumption", "why": "条文没写"}
    raw["item"][1]["range"] |= {"source": "assumption"}
    said = {lang: [one.text for one in sentences(soundness.read(raw), lang)] for lang in ("zh", "en")}
    assert {"假定，职责：条文没写", "假定，项目satisfaction，取值范围：未写明理由"} <= {*said["zh"]}
    assert {"Assumption, roles: 条文没写", "Assumption, item satisfaction, range: without a reason"} <= {*said["en"]}


def test_a_rank_that_ends_above_0_says_where() -> None:
    raw = tomllib.loads((RULEBOOKS / "new" / "rulebook.toml").read_text(encoding="utf-8"))
    raw["item"][2]["at_least"] = "5"
    (said,) = (one.text for one in sentences(soundness.read(raw), "zh") if one.key == "item investment")
    assert "每降1位减2分，减至5为止" in said


# --- Commands ---------------------------------------------------------------------------------------------------------


def test_check_prints_the_rules_back_as_sentences() -> None:
    code, out, _ = product.command("rulebook", "check", "wenzhou-2013", "--lang", "zh")
    wanted = "5.1 廉洁型机关 20分：组内按得分高低排名，第1名20分，每降1位减0.6分，减至0为止"
    assert code == 0
    assert wanted in out.decode()
    assert (
        "each place down 0.6 less, to 0"
        in product.command("rulebook", "check", "wenzhou-2013", "--lang", "en")[1].decode()
    )


@pytest.mark.parametrize(("lang", "words"), [("zh", "是否应为“tongji”？"), ("en", 'did you mean "tongji"?')])
def test_a_rulebook_with_faults_ends_the_commands_with_2_and_its_faults(tmp_path: Path, lang: str, words: str) -> None:
    path = tmp_path / "rulebook.toml"
    text = (RULEBOOKS / "wenzhou-2013" / "rulebook.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('["tongji"]', '["tonji"]').replace('cap = "1"', "cap = 1"), encoding="utf-8")
    events = tmp_path / "events.jsonl"
    events.write_text("", encoding="utf-8")
    for command in (["rulebook", "check", path], ["score", events, "--rulebook", path]):
        code, out, err = product.command(*map(str, command), "--lang", lang)
        assert (code, out) == (2, b"")
        assert words in err
        assert len(err.splitlines()) == 2


def test_new_writes_a_rulebook_that_runs_and_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine" / "rulebook.toml"
    assert product.command("rulebook", "new", str(path))[0] == 0
    assert product.command("rulebook", "new")[1] == path.read_bytes()
    code, out, _ = product.command("rulebook", "test", str(path))
    assert code == 0
    assert all(line.startswith("✓ ") for line in out.decode().splitlines())
    assert product.command("rulebook", "new", str(path))[0] == 2


def test_a_case_that_does_not_come_as_it_says_is_told_and_ends_with_1(tmp_path: Path) -> None:
    product.command("rulebook", "new", str(tmp_path / "rulebook.toml"))
    page = tmp_path / "cases" / "first.toml"
    page.write_text(page.read_text(encoding="utf-8").replace("= 40 38 38 34", "= 40 38 38 33"), encoding="utf-8")
    code, out, err = product.command("rulebook", "test", str(tmp_path), "--lang", "en")
    assert code == 1
    assert "U1-U4 investment: expected 40 38 38 33, found 40 38 38 34" in out.decode()
    assert "6 cases, 1 differ" in err


def test_show_marks_the_clauses_that_no_rule_claims(tmp_path: Path) -> None:
    product.command("rulebook", "new", str(tmp_path / "rulebook.toml"))
    text = tmp_path / "text.zh.txt"
    text.write_text(text.read_text(encoding="utf-8") + "§ 九\n九、另行规定。\n", encoding="utf-8")
    for form, mark in (
        ("table", "没有规则认领这一条"),
        ("md", "**没有规则认领这一条**"),
        ("html", '<tr class="unclaimed"><td>九'),
    ):
        shown = product.command("rulebook", "show", str(tmp_path), "--format", form, "--lang", "zh")[1].decode()
        assert mark in shown
        assert shown.count("没有规则认领这一条") == 1


def test_diff_says_what_changed_in_words_and_what_moves_on_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "rulebook.toml"
    text = (RULEBOOKS / "wenzhou-2013" / "rulebook.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('step = "3%", fall = "linear"', 'step = "5%", fall = "linear"'), encoding="utf-8")
    folder = Path(__file__).parent / "regulation" / "worked-example"
    ledger = ("--ledger", str(folder / "events.jsonl"), "--roster", str(folder / "roster.csv"))
    code, out, _ = product.command("rulebook", "diff", "wenzhou-2013", str(path), *ledger, "--lang", "zh")
    lines = out.decode().splitlines()
    assert code == 0
    assert [line[0] for line in lines[:2]] == ["−", "→"]
    assert "每降1位减1分" in lines[1]
    assert [line.split() for line in lines if "U042" in line] == [
        ["U042", "10.35290000", "→", "10.26890000", "1", "一等奖"]
    ]
    same = product.command("rulebook", "diff", "wenzhou-2013", "wenzhou-2013", "--lang", "en")[1]
    assert same == b"The two rulebooks say the same.\n"


def test_a_rulebook_that_is_nowhere_is_refused_with_those_that_ship() -> None:
    code, _, err = product.command("rulebook", "check", "wenzhou-2031", "--lang", "en")
    assert code == 2
    assert "wenzhou-2013" in err


def rewritten(table: Path, folder: Path) -> str:
    """The table with what the check says now."""
    text = table.read_text(encoding="utf-8")
    for mistake in tomllib.loads(text)["mistake"]:
        path = folder / "rulebook.toml"
        path.write_text(edited(mistake), encoding="utf-8")
        with pytest.raises(RulebookError) as error:
            rehearsal.load(path)
        for lang in ("zh", "en"):
            text = text.replace(f"{lang} = '''\n{mistake[lang]}'''", f"{lang} = '''\n{error.value.say(lang)}'''")
    return text.replace(f"{folder}/", "")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for one in (FOLDER / "mistakes.toml", FOLDER / "made_up.toml"):
            one.write_text(rewritten(one, Path(temporary)), encoding="utf-8")
