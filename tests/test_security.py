"""What SECURITY.md says that a test tries is tried by a test of that name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text("utf-8"))


def test_every_line_of_the_threat_model_names_a_test() -> None:
    table = (ROOT / "SECURITY.md").read_text("utf-8").partition("## What a dishonest")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| who | could")]
    assert len(lines) == len(NAMED) == len({*NAMED}) > 30


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_the_threat_model_names_exists(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / "tests" / file).read_text("utf-8")
