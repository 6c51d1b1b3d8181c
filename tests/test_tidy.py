"""Architecture, spelling and documents: who imports whom, no binary floats, all that users meet is in the README."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from schemas.refusals import Reason
from services.cli import COMMANDS, application
from services.scorer import rules
from tests.product import BOOK

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    file.relative_to(ROOT) for part in ("infra", "schemas", "services") for file in (ROOT / part).rglob("*.py")
)
# The rooms from the ground up: a file may import its own room's and those below.
ROOMS = (
    "schemas",
    "infra",
    "services.process",
    "services.command",
    "services.proof",
    "services.ingest",
    "services.scorer",
    "services.snapshot",
    "services.rulebook",
    "services.ranker",
    "services.reports",
    "services.audit",
    "services.office",
    "services.gateway",
    "services.console",
    "services.site",
    "services.cli",
    "services.__main__",
)
# Who may import the shell of another service, and why.
SHELLS = {
    "services/site/stack.py": "starts the services",
    "services/cli.py": "registers the commands",
}
WORDS_OF_FLOAT = re.compile(r"\b(avg|mean|DOUBLE|FLOAT|REAL|sqrt|random)\b\s*\(?|(?<![/*])/(?![/*])", re.IGNORECASE)


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def name_of(module: Path) -> str:
    return ".".join(module.with_suffix("").parts).removesuffix(".__init__")


def imported(module: Path) -> Iterator[str]:
    """Every module of the project that a module imports, also inside functions."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in ("schemas", "infra", "services", "tests", "bench"))


def floor(name: str) -> int:
    """Where the room of a module stands in the house, counted from the ground."""
    room = next((room for room in ROOMS if name == room or name.startswith(f"{room}.")), None)
    assert room, f"{name} is in none of the rooms"
    return ROOMS.index(room)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_import_climbs(module: Path) -> None:
    own = name_of(module)
    assert {name for name in imported(module) if own != "services" and floor(name) > floor(own)} == set()


def test_no_files_import_each_other_in_a_circle() -> None:
    names = {name_of(module): module for module in MODULES}
    arrows = {own: names.keys() & set(imported(module)) - {own} for own, module in names.items()}
    while ends := {own for own, targets in arrows.items() if not targets}:
        arrows = {own: targets - ends for own, targets in arrows.items() if own not in ends}
    assert arrows == {}


def test_no_service_imports_the_shell_of_another() -> None:
    found = {
        f"{module.as_posix()} imports {name}"
        for module in MODULES for name in imported(module)
        if re.fullmatch(r"services\.\w+\.app", name) and module.as_posix() not in SHELLS
        and not name.startswith(".".join(module.parts[:2]) + ".")
    }  # fmt: skip
    assert not found


@pytest.mark.parametrize("module", [module for module in MODULES if (ROOT / module).stat().st_size], ids=str)
def test_every_module_begins_with_a_sentence_that_says_what_it_decides(module: Path) -> None:
    text = ast.get_docstring(tree(module)) or ""
    assert text.partition("\n\n")[0].rstrip('"').endswith((".", "?")), text
    assert text[0] == text[0].upper()


def test_no_binary_floating_point_number_is_made_but_where_a_reason_stands_beside() -> None:
    lines = [
        f"{module}:{n}"
        for module in MODULES if module.parts[0] in ("services", "schemas")
        for n, line in enumerate((ROOT / module).read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"(?<![\w.])float\(", line.partition("#")[0]) and "#" not in line and "time" not in line
    ]  # fmt: skip
    assert not lines


# --- The rules --------------------------------------------------------------------------------------------------------


def test_no_column_of_any_rule_is_a_binary_floating_point_number() -> None:
    with duckdb.connect() as con:
        rules.create_tables(con)
        rules.create_views(con)
        query = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        kinds = con.execute(query).fetchall()
    assert {name for name, _, _ in kinds} >= {one.name for one in rules.definitions() if one.kind == "VIEW"}
    assert [row for row in kinds if re.search("DOUBLE|FLOAT", row[2])] == []


@pytest.mark.parametrize("one", rules.definitions(), ids=lambda one: one.name)
def test_nothing_within_a_rule_is_a_binary_floating_point_number(one: rules.Definition) -> None:
    code = re.sub(r"'[^']*'|--.*", "", one.body)
    assert not WORDS_OF_FLOAT.findall(code)


@pytest.mark.parametrize("one", [one for one in rules.definitions() if one.kind == "VIEW"], ids=lambda one: one.name)
def test_every_view_says_what_it_is_and_fits_a_screen(one: rules.Definition) -> None:
    assert one.comment.strip(" .")
    assert len(one.body.splitlines()) <= 40


#: Words of one regulation: what it calls its city and its prizes, and its codes of offices, items and parts.
TITLES = re.compile(r"温州|wenzhou|市创建办|五型|达标奖", re.IGNORECASE)
CODES = (
    {one.code for one in BOOK.office}
    | {one.code for one in BOOK.item}
    | {"A", "B", "daily", "year_end", "first", "2013"}
)
#: What is about that regulation and says so: the default assessment, the page of its clauses, an example of a request.
ABOUT_IT = {"services/process/settings.py", "services/rulebook/rules_page.py", "services/gateway/openapi.py"}


def words_of(module: Path) -> Iterator[tuple[int, str]]:
    """Texts of a module that decide something: not its docstrings, and not the keys of its messages."""
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    keys = {id(one) for node in ast.walk(tree(module)) if isinstance(node, ast.Tuple | ast.Dict) for one in parts(node)}
    for node in ast.walk(tree(module)):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in told:
            continue
        if TITLES.search(node.value) or (node.value in CODES and id(node) not in keys):
            yield node.lineno, node.value


def parts(node: ast.Tuple | ast.Dict) -> list[ast.expr | None]:
    return [*(node.elts if len(node.elts) == 1 else ())] if isinstance(node, ast.Tuple) else [*node.keys]


def test_no_line_names_a_city_an_item_or_an_office_of_one_regulation() -> None:
    python = [
        f"{module.as_posix()}:{line}: {word}"
        for module in MODULES if module.parts[0] != "infra" and module.as_posix() not in ABOUT_IT
        for line, word in words_of(module)
    ]  # fmt: skip
    sql = [
        f"{file.relative_to(ROOT).as_posix()}: {word}"
        for folder in ("services", "schemas") for file in (ROOT / folder).rglob("*.sql")
        for text in [re.sub(r"--.*", "", file.read_text(encoding="utf-8"))]
        for word in [
            *re.findall(f"{TITLES.pattern}|daily|year_end|2013", text),
            *CODES.intersection(re.findall(r"'([^']*)'", text)),
        ]
    ]  # fmt: skip
    assert python + sql == []


# --- Documents --------------------------------------------------------------------------------------------------------


def test_the_plan_of_the_house_names_every_room_from_the_ground_up() -> None:
    plan = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert tuple(room.replace("/", ".") for room in re.findall(r"^\| `([\w/]+)` \|", plan, re.MULTILINE)) == ROOMS


def test_every_link_of_a_page_and_every_page_that_the_code_names_is_there() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").rglob("*.md")]
    links = [
        (page, link)
        for page in pages for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text(encoding="utf-8"))
    ]  # fmt: skip
    named = [
        (ROOT / "x", link)
        for module in MODULES
        for link in re.findall(r"docs/[\w/]+\.md", (ROOT / module).read_text(encoding="utf-8"))
    ]
    assert len(links) > 10
    assert [f"{page}: {link}" for page, link in links + named if not (page.parent / link).exists()] == []


def test_the_year_is_told_in_both_languages_by_commands_and_options_that_there_are() -> None:
    told = [
        [
            line.strip().removesuffix(" --lang zh")
            for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
            if line.startswith("    wuxing ")
        ]
        for page in ("year.md", "year.zh.md")
    ]
    plain = [[re.sub(r'"[^"]*"', "TEXT", line) for line in lines] for lines in told]
    assert plain[0] == plain[1]
    for line in told[0]:
        words = shlex.split(line)[1:]
        application(overview=False).parse_args(words, exit_on_error=False, print_error=False)
    assert {words.split()[1] for words in told[0]} >= {"open", "emit", "readiness", "statements", "appeal", "archive"}


# --- The README -------------------------------------------------------------------------------------------------------


def said() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def missing(names: list[str]) -> list[str]:
    """Names that the README does not say as words of their own."""
    text = said()
    return [name for name in names if not re.search(rf"(?<![\w.]){re.escape(name)}(?![\w]|\.\d)", text)]


def test_every_command_is_in_the_readme() -> None:
    quoted = " ".join(re.findall(r"`[^`\n]+`|^    .*|^wuxing .*|^make .*", said(), re.MULTILINE))
    names = ["score", *COMMANDS]
    assert [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", quoted)] == []


def test_every_item_is_in_the_readme() -> None:
    assert missing([item.code for item in BOOK.item]) == []


def test_every_reading_and_every_value_of_it_is_in_the_readme() -> None:
    assert missing([word for reading in BOOK.reading for word in (reading.name, *reading.values)]) == []


def test_every_reason_of_refusal_is_in_the_readme() -> None:
    assert missing([reason.value for reason in Reason]) == []


def test_every_setting_is_in_the_readme() -> None:
    settings = (ROOT / "services" / "process" / "settings.py").read_text(encoding="utf-8")
    assert missing(sorted(set(re.findall(r'"((?:WUXING|NATS)_[A-Z_]+)"', settings)))) == []
