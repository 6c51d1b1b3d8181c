"""The catalogue: every message has Chinese with its gaps, no file has Chinese beside it, help is in one language."""

from __future__ import annotations

import ast
import re
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from schemas import words as catalogue_of
from schemas.words import COMMA, SEMICOLON, Both, Text, _, _n, _p, several
from services.cli import COMMANDS, GROUPS, run
from tests import words

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
HAN = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
GAP = re.compile(r"\{\w+\}")
MODULES = sorted(path for room in words.ROOMS for path in (ROOT / room).rglob("*.py"))

#: Where Chinese stands in the code, by what holds it (a name, or * for the file), and why it is not in the catalogue.
OWN = {
    "schemas/roster.py": ({"HEADERS"}, "what people write over the columns of a roster"),
    "schemas/rulebook.py": ({"PARAMETERS"}, "English that names a term of the regulation"),
    "schemas/cases.py": ({"_Writer"}, "the reasons of made-up events"),
    "schemas/shape.py": ({"_meant"}, "units that people write after a number"),
    "schemas/warnings.py": ({"DIGITS", "UNITS", "SPELT"}, "numbers as a regulation spells them"),
    "services/process/plain.py": ({"FORMULA", "inert"}, "signs of East Asian spreadsheets"),
    "services/scorer/comments.py": ({"*"}, "comments on the SQL views whose columns have Chinese titles"),
    "services/rulebook/rules_page.py": ({"HEAD", "_first"}, "a page on a Chinese regulation"),
    "services/reports/publication.py": ({"_sheet"}, "names of fonts"),
    "services/reports/readiness.py": ({"SHEETS"}, "names of sheets, which are of the contract"),
    "services/office/sheet.py": (
        {"TITLES", "ALIASES", "KINDS", "OUTCOMES", "CHANGES", "THE_YEAR", "FINALISED", "_SHOWN"},
        "what people type in a sheet, which is of the contract",
    ),
    "services/office/template.py": ({"EXAMPLE", "__init__"}, "an example of a filled line; names of fonts"),
    "services/gateway/openapi.py": ({"EVENT"}, "an example of an event"),
    "services/console/reference.py": ({"_lines"}, "a page of documentation in both languages"),
    "services/site/synthetic.py": ({"*"}, "the made-up year is a Chinese one"),
    "services/site/asking.py": ({"agreed"}, "what people answer"),
    "services/audit/archive.py": ({"readme"}, "what lies in an archive is in both languages"),
    "services/audit/bundle.py": ({"_README", "facts"}, "what lies in a bundle is in both languages"),
    "services/audit/standalone.py": ({"*"}, "it goes into a bundle as one file and shares no code"),
}
#: Messages whose Chinese leaves a gap out, and why.
SHORTER = {("not TOML", "{0}"): "what the library says of TOML is English"}


def holders(path: Path) -> Iterator[tuple[int, str, set[str]]]:
    """Every text with Chinese that is no docstring: its line, itself, and the names of what it stands in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
    }

    def walk(node: ast.AST, names: set[str]) -> Iterator[tuple[int, str, set[str]]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = names | {node.name}
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = names | {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docs else None
        if isinstance(text, str) and HAN.search(text):
            yield getattr(node, "lineno", 0), text, names
        for one in ast.iter_child_nodes(node):
            yield from walk(one, names)

    yield from walk(tree, set())


def test_the_catalogue_has_what_the_code_says_and_chinese_for_all_of_it() -> None:
    kept = words.catalogue()
    said = {(one.context, one.id) for one in words.said() if one.id}
    assert said - {(one.context, one.id) for one in kept} == set(), "make words"
    assert {(one.context, one.id) for one in kept if one.id} - said == set(), "make words"
    assert [one.id for one in words.lacking(kept)] == []


def test_every_mark_in_the_code_is_found() -> None:
    """Babel passes over what stands within an f-string or within another mark, and over what is no plain text."""
    kept = {(one.context, one.id if isinstance(one.id, str) else one.id[0]) for one in words.catalogue()}
    lost = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in words.KEYWORDS:
                texts = [str(one.value) if isinstance(one, ast.Constant) else None for one in node.args]
                context = texts.pop(0) if node.func.id == "_p" else None
                if (context, texts[0]) not in kept:
                    lost.append(f"{path.relative_to(ROOT)}:{node.lineno}: {texts[0]}")
    assert lost == []


def test_no_file_that_says_words_takes_their_mark_for_something_else() -> None:
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        marks = {one.asname or one.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                 if node.module == "schemas.words" for one in node.names}  # fmt: skip
        taken = [one.lineno for one in ast.walk(tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
                 if one.id == "_" and "_" in marks]  # fmt: skip
        for one in ast.walk(tree):
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                names = {arg.arg for arg in ast.walk(one.args) if isinstance(arg, ast.arg)}
                calls = {call.func.id for call in ast.walk(one)
                         if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}  # fmt: skip
                taken += [one.lineno] if "_" in names & calls else []
        assert taken == [], f"{path}: name what is not needed __"


def test_what_is_made_of_the_catalogue_is_up_to_date() -> None:
    assert catalogue_of.MADE.read_bytes() == words.made(words.catalogue()), "make words"
    assert catalogue_of.CATALOGUE.read_bytes() == words.text(words.merged(words.said(), words.catalogue())), (
        "make words"
    )


def test_the_chinese_of_a_message_has_its_gaps_and_no_other() -> None:
    for one in words.catalogue():
        texts = one.id if isinstance(one.id, tuple) else (one.id,)
        chinese = one.string if isinstance(one.string, tuple) else (one.string,)
        if texts[0] and (one.context, texts[0]) not in SHORTER:
            gaps = {gap for text in texts for gap in GAP.findall(str(text))}
            assert [set(GAP.findall(str(said))) for said in chinese] == [gaps] * len(chinese), one.id


def test_no_chinese_stands_in_the_code_but_where_a_reason_does() -> None:
    found: dict[str, set[str]] = {}
    for path in MODULES:
        name = path.relative_to(ROOT).as_posix()
        allowed, _why = OWN.get(name, (set(), ""))
        for line, text, names in holders(path):
            found.setdefault(name, set()).update(names & allowed or ({"*"} if "*" in allowed else set()))
            assert "*" in allowed or names & allowed, f"{name}:{line}: {text[:40]}: say it in English, by _()"
    assert {name: allowed for name, (allowed, _why) in OWN.items()} == found


def test_no_chinese_stands_in_a_template_but_the_name_of_the_language() -> None:
    for path in (ROOT / "services/console/templates").glob("*.html"):
        assert set(HAN.findall(path.read_text(encoding="utf-8"))) <= set("中文"), path


# --- A text -----------------------------------------------------------------------------------------------------------


def test_a_text_is_said_with_its_gaps_which_are_never_read_again() -> None:
    said = _("{path}: cannot be read: {error}", path="{error}", error=_p("value", "nothing"))
    assert said.say("en") == "{error}: cannot be read: nothing"
    assert said.say("zh") == "{error}：无法读取：无"
    assert _("a {b} c").say("en") == "a {b} c"
    assert str(said) == said.say("en")


def test_one_and_many() -> None:
    assert [_n("{points} point", "{points} points", n, points=n).say("en") for n in (1, 2)] == ["1 point", "2 points"]
    assert [_n("{points} point", "{points} points", n, points=n).say("zh") for n in (1, 2)] == ["1分", "2分"]


def test_several_things_stand_one_after_the_other() -> None:
    assert several(["a", Both("b", "乙")]).say("zh") == "a、乙"
    assert several(["a", Both("b", "乙")], SEMICOLON).say("en") == "a; b"
    assert COMMA.say("zh") == "、"


def test_texts_that_say_the_same_are_the_same() -> None:
    assert _("nothing") == _("nothing")
    assert len({_("nothing"), _("nothing"), _p("value", "nothing")}) == 2
    assert _("nothing") != _("nothing").of(n=1)
    assert Both("a", "b") == Both("a", "b") != Both("a", "c")
    assert several("ab") == several("ab")
    assert repr(Text("x")) == "_('x')"


# --- Help -------------------------------------------------------------------------------------------------------------

NAMES = [[], ["score"], *([name] for name in COMMANDS), *([group] for group in GROUPS)]
NAMES += [[group, name] for group, (commands, _words) in GROUPS.items() for name in commands]
#: What stays as it is typed: lines with a command, and what is no word.
TYPED = re.compile(
    r"^(?:例|用法|可先运行)：.*$|wuxing(?: [a-z-]+)+|`[^`]*`|[\w./@=*-]*[./@=*_-][\w./@=*-]*|\b[A-Z][A-Z0-9_-]*\b",
    re.MULTILINE,
)


def helped(line: list[str]) -> str:
    out = StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        assert run(line) == 0
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES, ids=" ".join)
def test_help_is_in_one_language(name: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    chinese = helped([*name, "--help", "--lang", "zh"])
    assert chinese == helped(["--lang=zh", *name, "-h"])
    assert HAN.search(chinese)
    assert re.findall(r"[A-Za-z']+ [A-Za-z']+ [A-Za-z']+", TYPED.sub(" / ", chinese)) == []
    assert not HAN.search(helped([*name, "--help", "--lang", "en"]))


@pytest.mark.parametrize(
    "line", ["--lang zh rulebook check /x.toml", "rulebook --lang=zh check /x.toml", "--lang zh x"]
)
def test_the_language_may_stand_anywhere(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    assert HAN.search(capsys.readouterr().err)


def test_the_catalogue_is_not_read_for_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_of, "catalogue", lambda: pytest.fail("read for English"))
    assert helped(["--help", "--lang", "en"])
    assert run(["--lang", "en", "nonsense"]) == 2
