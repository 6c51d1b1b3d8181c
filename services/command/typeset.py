"""Sets a page as PDF/A in the fonts of the installation alone, so that it has the same bytes on every machine."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

#: Simplified first, the other three for what it lacks, and no other font: where typst chooses, a character under a mark
#: that no Chinese font has is left out without a word.
FONTS = ("Noto Sans SC", "Noto Sans TC", "Noto Sans JP", "Noto Sans KR")
#: The least page in the fonts of the real one: whether it can be set tells whether a text can.
PROBE = b"""#let page-data = json(bytes(sys.inputs.at("page")))
#set text(font: page-data.fonts, fallback: false)
#page-data.text"""


def clean(written: str) -> str:
    """Make what somebody sent safe for a page: control characters become spaces."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", " ", written)


def pdf(template: Path, page: dict[str, Any]) -> bytes:
    """Set what a page says in its template; a character that no font has is printed as □ and its code point."""
    import typst

    setter = Setter()
    try:
        return setter.compile(template, page)
    except typst.TypstError:  # PDF/A takes no character without a glyph
        lines = sorted({line for text in _texts(page) for line in text.split("\n")})
        boxed = dict(zip(lines, setter.settable("\n".join(lines)).split("\n"), strict=True))
        return setter.compile(template, _mapped(page, boxed))


class Setter:
    """Typst with the fonts of the installation and none of the system's."""

    def __init__(self) -> None:
        import typst

        folder = resources.files("justmytype_intl_cjk") / "fonts"
        self.typst = typst.Compiler(font_paths=typst.Fonts(include_system_fonts=False, font_paths=[str(folder)]))

    def compile(self, template: Path | None, page: dict[str, Any]) -> bytes:
        """The page in its template, or the least one, as PDF/A; raises TypstError for a character without a glyph."""
        source: Any = str(template) if template else PROBE
        made = self.typst.compile(
            source,
            root=template and template.parent,
            pdf_standards=["a-2b"],
            sys_inputs={"page": msgspec.json.encode(page | {"fonts": FONTS}).decode()},
        )
        assert isinstance(made, bytes)
        return made

    def settable(self, text: str) -> str:
        """The text with □ and its code point for each character that cannot be set, alone or after what precedes it."""
        if self._sets(text):
            return text
        if len(text) == 1:
            return _box(text)
        middle = len(text) // 2
        left, right = self.settable(text[:middle]), self.settable(text[middle:])
        while not self._sets(left + right):  # a mark, and no font has both it and what it stands on
            left, right = left + _box(right[0]), right[1:]
        return left + right

    def _sets(self, text: str) -> bool:
        import typst

        try:
            self.compile(None, {"text": text})
        except typst.TypstError:
            return False
        return True


def _box(character: str) -> str:
    return f"□U+{ord(character):04X}"


def _texts(page: object) -> Iterator[str]:
    """Every text that a page says, wherever it stands."""
    if isinstance(page, str):
        yield page
    elif isinstance(page, dict):
        for value in page.values():
            yield from _texts(value)
    elif isinstance(page, list | tuple):
        for value in page:
            yield from _texts(value)


def _mapped(page: Any, lines: dict[str, str]) -> Any:
    """The page with every line of its texts replaced."""
    if isinstance(page, str):
        return "\n".join(lines[line] for line in page.split("\n"))
    if isinstance(page, dict):
        return {key: _mapped(value, lines) for key, value in page.items()}
    return [_mapped(value, lines) for value in page] if isinstance(page, list | tuple) else page
