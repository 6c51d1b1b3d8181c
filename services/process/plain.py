"""Makes somebody else's text harmless where it is shown: no terminal obeys it, no spreadsheet computes it."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

#: A text that begins so may be run by a spreadsheet that opens a CSV; the wide forms too, in East Asian editions.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_CONTROLS = {code: chr(0x2400 + code) for code in range(32) if code not in (9, 10)} | {127: "\u2421"}
#: What turns the order of a line, joins or hides letters, or ends a line in another way than a line feed.
_UNSEEN = (
    *range(0x80, 0xA0),
    0x61C,
    0x180E,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
)
_SHOWN = _CONTROLS | dict.fromkeys(_UNSEEN, "\ufffd") | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def shown(text: str) -> str:
    """A text in which nothing commands a terminal or turns the order of a line: a sign stands for each such letter."""
    return text.translate(_SHOWN)


def inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula: shown, with an apostrophe before one that begins like it."""
    return f"'{shown(text)}" if text.lstrip(" \u3000").startswith(FORMULA) else shown(text)


class Screen(Console):
    """A console on which every text is shown as it is: neither markup nor a terminal's commands are in it."""

    def __init__(self, file: TextIO, **options: Any) -> None:
        below = file.below if isinstance(file, Shown) else file
        super().__init__(file=below, highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render as rich does; the texts of it become harmless, its own commands stay."""
        for one in super().render(renderable, options):
            yield one if one.control else Segment(shown(one.text), one.style)


class Shown(io.TextIOBase):
    """A stream for people over another: what is printed to it is shown, none of it obeyed. Bytes pass as they are."""

    def __init__(self, below: TextIO) -> None:
        self.below = below

    @property
    def buffer(self) -> Any:
        """The bytes below, for what is data."""
        return self.below.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream below."""
        return self.below.encoding

    def write(self, text: str) -> int:
        """Write a text, shown."""
        self.below.write(shown(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self.below.flush()

    def isatty(self) -> bool:
        """Whether somebody sits before it."""
        return self.below.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream below."""
        return self.below.fileno()


@contextmanager
def streams() -> Iterator[None]:
    """Everything that is printed inside is shown."""
    with redirect_stdout(Shown(sys.stdout)), redirect_stderr(Shown(sys.stderr)):
        yield
