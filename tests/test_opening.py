"""How a year is opened: what `wuxing open` refuses, and what it leaves for everybody after it."""

import json
from pathlib import Path

import pytest

from services import cli
from tests.product import BOOK_FILE

ROSTER = BOOK_FILE.with_name("roster.csv")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    for name in ("WUXING_RULEBOOK", "WUXING_ROSTER", "WUXING_ASSESSMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WUXING_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def opened(book: Path) -> int:
    """Exit code of `wuxing open`."""
    return cli.run(["open", "city-2014", "--rulebook", str(book), "--roster", str(ROSTER), "--yes", "--lang", "en"])


def test_a_typing_error_in_the_rulebook_is_said_where_it_is_and_nothing_is_made(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "rulebook.toml"
    text = BOOK_FILE.read_text("utf-8")
    wrong.write_text(text.replace("[roles]", "[rolls]", 1), "utf-8")
    assert wrong.read_text("utf-8") != text
    assert opened(wrong) == 2
    assert "rolls" in capsys.readouterr().err
    assert not data.exists()


def test_up_without_a_year_says_how_one_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["up", "--port=-1", "--lang", "en"]) == 3
    assert "wuxing open" in capsys.readouterr().err


def test_a_folder_is_opened_once_with_the_bytes_that_are_its_ledger_s_first(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert opened(BOOK_FILE) == 0
    assert json.loads(capsys.readouterr().out)["sequence"] == 1
    kept = (data / "opening.json").read_bytes()
    assert json.loads(kept)["data"]["assessment"] == "city-2014"
    assert set(json.loads(kept)["data"]["keys"]) >= {"ducha", "U001"}
    assert opened(BOOK_FILE) == 3
    assert "open already" in capsys.readouterr().err
    assert (data / "opening.json").read_bytes() == kept
