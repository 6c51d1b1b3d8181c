"""What a rulebook is refused for: every mistake of the table with its words, its line and the nearest right word."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from schemas import faults, lines, soundness
from schemas.rulebook import RULEBOOKS, plain
from schemas.soundness import RulebookError

FOLDER = Path(__file__).parent / "rulebook_faults"
SOUND = (FOLDER / "sound.toml").read_text(encoding="utf-8")
MISTAKES = tomllib.loads((FOLDER / "mistakes.toml").read_text(encoding="utf-8"))["mistake"]
#: Messages that are not of a rulebook's tables: tested in this file, with the rosters, or with the made-up years.
ELSEWHERE = {"unreadable", "not_utf8", "not_toml", "not_a_table"}


def said(path: Path, lang: str) -> list[str]:
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
    assert plain(soundness.read(raw)) is raw


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["name"])
def test_a_mistake_is_said_with_its_line_what_was_found_and_what_is_allowed(tmp_path: Path, mistake: dict) -> None:
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
def test_a_message_is_in_one_language(mistake: dict) -> None:
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
    junk = [None, 1, "x", "@x", [], {}, True, ["x"], [[]], {"code": 1}, [{}], "0", "-1", "999999999.999999"]
    for n, (path, _) in enumerate(places(tomllib.loads(SOUND))):
        raw = tomllib.loads(SOUND)
        inner = raw
        for key in path[:-1]:
            inner = inner[key]
        if path:
            inner[path[-1]] = junk[n % len(junk)]
        for lang in ("zh", "en"):
            assert all(faults.described(soundness.faults(raw), None, None, lang))


def places(value: object, path: tuple = ()) -> list:
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
