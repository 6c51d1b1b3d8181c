"""Where each table of a TOML text begins: `tomllib` reads values, but forgets their lines."""

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[\s]|#[^\n]*)*")
_KEY = re.compile(r"\s*(\"(?:\\.|[^\"\\])*\"|'[^']*'|[A-Za-z0-9_-]+)\s*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:\'{0,2})|"(?:\\.|[^"\\])*"|\'[^\']*\'',
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}#\n]*")


def lines(text: str) -> dict[Path, int]:
    """The line, from 1, where each table and inline table of a sound TOML text begins; the top table is ()."""
    found: dict[Path, int] = {(): 1}
    for path, at in _Scanner(text.replace("\r\n", "\n")).tables():
        found.setdefault(path, at)
    return found


class _Scanner:
    """Goes once through a text that `tomllib` has read, so that nothing here need be refused."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.counted: dict[Path, int] = {}

    def tables(self) -> Iterator[tuple[Path, int]]:
        """Every table with its line, in the order of the text."""
        here: Path = ()
        while self._next():
            if self.text.startswith("[", self.at):
                here = self._header()
                yield here, self._line()
                self.at = self.text.index("]", self.at) + 1
                self.at += self.text.startswith("]", self.at)
            else:
                yield from self._pair(here)

    def _line(self, at: int | None = None) -> int:
        return self.text.count("\n", 0, self.at if at is None else at) + 1

    def _next(self) -> bool:
        """Go over white space and comments; whether something follows."""
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at < len(self.text)

    def _keys(self) -> list[str]:
        """A key, dotted or not."""
        keys = []
        while match := _KEY.match(self.text, self.at):
            word = match[1]
            keys.append(next(iter(tomllib.loads(f"{word} = 0"))) if word[0] in "\"'" else word)
            self.at = match.end()
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return keys

    def _header(self) -> Path:
        """The path of the table that a `[header]` or `[[header]]` opens."""
        many = self.text.startswith("[[", self.at)
        self.at += 2 if many else 1
        *outer, last = self._keys()
        path: Path = ()
        for key in outer:
            path = self._within((*path, key))
        path = (*path, last)
        if not many:
            return path
        self.counted[path] = self.counted.get(path, -1) + 1
        return self._within(path)

    def _within(self, path: Path) -> Path:
        """The last table of a list of tables, else the table itself."""
        return (*path, self.counted[path]) if path in self.counted else path

    def _pair(self, here: Path) -> Iterator[tuple[Path, int]]:
        """A key and its value."""
        line = self._line()
        *outer, last = self._keys()
        for key in outer:
            here = (*here, key)
            yield here, line
        self.at = self.text.index("=", self.at) + 1
        yield from self._value((*here, last))

    def _value(self, path: Path) -> Iterator[tuple[Path, int]]:
        """A value, with the inline tables in it."""
        self._next()
        opening = self.text[self.at]
        if opening not in "[{":
            match = (_STRING if opening in "\"'" else _BARE).match(self.text, self.at)
            assert match
            self.at = match.end()
            return
        if opening == "{":
            yield path, self._line()
        closing, n = "]" if opening == "[" else "}", 0
        self.at += 1
        while self._next() and not self.text.startswith(closing, self.at):
            if self.text.startswith(",", self.at):
                self.at += 1
                continue
            yield from self._value((*path, n)) if opening == "[" else self._pair(path)
            n += 1
        self.at += 1
