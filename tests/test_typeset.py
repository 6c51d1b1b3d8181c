"""Pages as PDF/A: the fonts of the installation and no others, and no character that blocks a page."""

import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from services.command import typeset
from services.process.ending import Exit
from tests.product import command
from tests.test_appeals import Pages
from tests.test_statement import GROUP

ROOT = Path(__file__).parent.parent
#: What somebody may send, and what a page prints for it.
KINDS = {
    "收据🧾": "收据□U+1F9FE",
    "\uffff": "□U+FFFF",
    "ไทย": "□U+0E44□U+0E17□U+0E22",
    "\U00030000字": "□U+30000字",
    "中\u0359文": "中□U+0359文",
    "\ue000": "□U+E000",
    "\U0010ffff": "□U+10FFFF",
    "👨\u200d👩": "□U+1F468\u200d□U+1F469",
    "שלום": "□U+05E9□U+05DC□U+05D5□U+05DD",
    "國體 カナ 한국어 Đặng Привет e\u0301 ①㎡𠮷—“”": "國體 カナ 한국어 Đặng Привет e\u0301 ①㎡𠮷—“”",
    "葛\U000e0100 \u200b\ufeff": "葛\U000e0100 \u200b\ufeff",
}


def printed(pdf: bytes) -> str:
    """The characters that a PDF says it shows, each once: those its fonts map back to text."""
    streams = [
        zlib.decompress(one) for one in re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    ]
    maps = [one for one in streams if b"begincmap" in one]
    found = {
        bytes.fromhex(text.decode()).decode("utf-16-be")
        for one in maps
        for text in re.findall(rb"^<[0-9a-fA-F]{4}> <([0-9a-fA-F]+)>$", one, re.MULTILINE)
    }
    return "".join(sorted(found - {"\uffff"}))  # stands for what has no text of its own


@pytest.mark.parametrize(("sent", "shown"), KINDS.items(), ids=ascii)
def test_what_no_font_has_is_printed_as_a_box_and_its_code_point(sent: str, shown: str) -> None:
    assert typeset.Setter().settable(sent) == shown


def test_a_statement_and_a_publication_are_printed_whatever_somebody_sent(tmp_path: Path) -> None:
    pages = Pages()
    for n, sent in enumerate(KINDS):
        pages.deduct("ducha", "1.1", f"{n} {sent}", "no_feedback")
    events, roster, snapshot = tmp_path / "events.jsonl", tmp_path / "roster.csv", tmp_path / "made.duckdb"
    events.write_bytes(b"\n".join(pages.lines))
    rows = [f"{unit['unit']},{' '.join(KINDS)},{unit['category']},{unit['group']}" for unit in GROUP]
    roster.write_text("\n".join(["unit,name,category,group", *rows]), encoding="utf-8")
    given = ("--roster", roster, "--snapshot", snapshot, "--format", "table")
    assert command("score", events, *given)[0] == Exit.DONE
    for arguments in (
        ("explain", "U1", "--format", "pdf", "--output", tmp_path / "a.pdf"),
        ("publish-tables", tmp_path / "a.pdf"),
    ):
        assert command(*arguments, "--snapshot", snapshot, "--lang", "zh")[0] == Exit.DONE
        shown = printed((tmp_path / "a.pdf").read_bytes())
        assert set("□收据國體カナ한국어Đặng①𠮷") <= set(shown)
        assert not set("🧾ไש") & set(shown)


def test_a_font_of_the_system_changes_no_byte(tmp_path: Path) -> None:
    """Here the system has a face of the very name, in a style that ours lacks, with a glyph that ours lacks."""
    font, glyphs = FontBuilder(1000), [".notdef", "receipt"]
    font.setupGlyphOrder(glyphs)
    font.setupCharacterMap({ord("🧾"): "receipt", ord("中"): "receipt"})
    font.setupGlyf({name: TTGlyphPen(None).glyph() for name in glyphs})
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Noto Sans SC", "styleName": "Italic", "psName": "NotoSansSC-Italic"})
    font.setupOS2(fsSelection=1)
    font.setupPost()
    for folder in (tmp_path / "bare", tmp_path / "home", tmp_path / "home" / ".fonts"):
        folder.mkdir()
    font.save(tmp_path / "home" / ".fonts" / "NotoSansSC.ttf")
    template = tmp_path / "page.typ"
    dated = b'#set document(date: datetime(year: 2013, month: 1, day: 1))\n#set text(style: "italic")\n'
    template.write_bytes(dated + typeset.PROBE)
    code = (
        "import pathlib, sys; from services.command import typeset;"
        f"sys.stdout.buffer.write(typeset.pdf(pathlib.Path({str(template)!r}), {{'text': '中🧾'}}))"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "HOME": str(tmp_path / home)}, cwd=ROOT, check=True,
            capture_output=True,
        ).stdout
        for home in ("bare", "home")
    ]  # fmt: skip
    assert made[0] == made[1]
    assert printed(made[0]) == "+19EFU□中"
