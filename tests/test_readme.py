"""The commands that the README and the pages for each reader give, run as they stand there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: What needs a broker, or asks somebody, is run by the tests of the services and of the opening.
WITH_A_BROKER = (
    "make demo",
    ".venv/bin/wuxing up &",
    ".venv/bin/wuxing emit ducha.xlsx --office ducha --out done.xlsx",
    (
        "export WUXING_DATA=my-year; .venv/bin/wuxing open my-year --rulebook my-city/rulebook.toml"
        " --roster my-city/roster.csv"
    ),
)


def commands(page: str) -> list[str]:
    lines = re.findall(r"^ *\$ (.*)", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    return [re.sub(r"\s+# .*", "", line) for line in lines]


#: The README, and the pages that start from what somebody wants; a command that stands on several is run once.
PAGES = ("README.md", "docs/auditor.md", "docs/legal.md")
#: It is run first: its snapshot lies for the others where the demonstration leaves one.
WITH_A_SNAPSHOT = (
    ".venv/bin/wuxing score tests/regulation/worked-example/events.jsonl --snapshot year.duckdb --format table"
)
#: The same without an option, so the same again.
WITHIN_IT = WITH_A_SNAPSHOT.replace(" --snapshot year.duckdb", "")
ALL = dict.fromkeys(line for page in PAGES for line in commands(page))
#: Each a quarter of a minute and more: every reading tried, every case of a city, every statement.
SLOW = re.compile(r"wuxing (readings|rulebook test|statements|replay)")
LINES = [
    pytest.param(line, marks=[pytest.mark.long] if SLOW.search(line) else [])
    for line in ALL
    if line not in (*WITH_A_BROKER, WITH_A_SNAPSHOT, WITHIN_IT)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as it is after `make demo`."""
    made: Path = tmp_path_factory.mktemp("checkout")
    for name in (".venv", "tests"):
        (made / name).symlink_to(ROOT / name)
    snapshots = made / "data" / "demo" / "snapshots"
    snapshots.mkdir(parents=True)
    does_what_it_says(made, WITH_A_SNAPSHOT)
    (snapshots / "latest.duckdb").symlink_to(made / "year.duckdb")
    return made


def does_what_it_says(folder: Path, line: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WUXING_", "NATS_"))}
    done = subprocess.run(
        line, shell=True, cwd=folder, env=environment | {"LC_ALL": "C.UTF-8"}, check=False, capture_output=True
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert done.stdout or done.stderr


def test_what_is_run_first_stands_in_the_readme() -> None:
    assert {WITH_A_SNAPSHOT, WITHIN_IT} <= ALL.keys()


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_readme_does_what_it_says(folder: Path, line: str) -> None:
    does_what_it_says(folder, line)


def test_the_chinese_readme_gives_the_commands_of_the_english_one() -> None:
    plain = {line.removesuffix(" --lang zh") for line in commands("README.zh.md")}
    assert set(WITH_A_BROKER) <= plain
    assert plain <= set(commands("README.md"))
