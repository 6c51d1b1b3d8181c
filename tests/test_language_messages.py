"""What the guide says that the check says is what it says; `python -m tests.test_language_messages` writes it anew."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from schemas import soundness

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "language" / "messages.md"
SAMPLE = (ROOT / "schemas" / "rulebooks" / "new" / "rulebook.toml").read_text(encoding="utf-8")
#: A row of the page: the words of the sample, the words in their place, what the check says, what to do.
ROW = re.compile(r"^\| (`[^|]+`) \| (`[^|]+`|（删去）) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))


def written(cell: str) -> str:
    """The text of a cell; ⏎ is the end of a line."""
    return "" if cell == "（删去）" else re.sub(r" ?⏎ ?", "\n", cell.strip("`"))


def said(sample: str, mistake: str) -> str:
    """What the check says of the sample with one mistake, without the file's name."""
    old, new = written(sample), written(mistake)
    assert SAMPLE.count(old) == 1, sample
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rulebook.toml"
        path.write_text(SAMPLE.replace(old, new), encoding="utf-8")
        with pytest.raises(soundness.RulebookError) as refusal:
            soundness.load(path)
    return "<br>".join(re.sub(r"^.*?rulebook\.toml[，：]", "", line) for line in refusal.value.say("zh").splitlines())


@pytest.mark.parametrize(("sample", "mistake", "message"), [row[:3] for row in ROWS], ids=lambda cell: cell[:40])
def test_the_check_says_what_the_guide_says(sample: str, mistake: str, message: str) -> None:
    assert message == said(sample, mistake)


def test_every_row_of_the_page_is_read() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) == len(ROWS) > 20


def rewritten(row: re.Match[str]) -> str:
    return f"| {row[1]} | {row[2]} | {said(row[1], row[2])} | {row[4]} |"


if __name__ == "__main__":
    PAGE.write_text(ROW.sub(rewritten, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
