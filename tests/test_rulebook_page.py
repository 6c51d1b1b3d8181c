"""A rulebook beside its text, as a PDF of the same bytes each time, in fonts that come with the installation."""

from pathlib import Path

import pytest

from services import cli


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_rulebook_is_typeset_beside_its_text(tmp_path: Path, lang: str) -> None:
    made = [tmp_path / name for name in ("one.pdf", "two.pdf")]
    for path in made:
        shown = ["rulebook", "show", "medal-table", "--format", "pdf", "--out", str(path), "--lang", lang]
        assert cli.run(shown) == 0
    one, two = (path.read_bytes() for path in made)
    assert one.startswith(b"%PDF")
    assert one == two
