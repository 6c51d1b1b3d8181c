"""What one request asks for: language, theme, and the state of the ledger that its address names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from litestar import Request

from schemas.told import Told
from schemas.words import Language, Text, _
from services.console.door import COOKIE, Door, Who
from services.console.states import NoSnapshot, Readings, Snapshot, Snapshots, State
from services.process import web

THEMES = ("light", "dark", "auto")
#: Parts of an address that a cookie remembers, so that links do without them.
CHOSEN = ("lang", "theme")


class Refused(Told):
    """A page that cannot be shown, with its status and the sentence that says why and what to do."""

    def __init__(self, status: int, text: Text | Told | str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class View:
    """What one request asks for: its language and theme, its snapshot, and the state that its address names."""

    request: Request[Any, Any, Any]
    snapshots: Snapshots
    default: Language
    form: Mapping[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(init=False)
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        asked = {**self.request.query_params, **self.form}
        self.params = {name: value for name, value in asked.items() if value}

    @property
    def root(self) -> str:
        """The path under which this assessment's pages stand, empty where they are the whole server."""
        return web.root(self.request.scope)

    @cached_property
    def lang(self) -> Language:
        """The language asked for: the address, the cookie, the browser, the default."""
        for asked in (self.params.get("lang"), self.request.cookies.get("lang")):
            if asked in ("zh", "en"):
                return "zh" if asked == "zh" else "en"
        browser = [part.strip().lower()[:2] for part in self.request.headers.get("accept-language", "").split(",")]
        found = next((part for part in browser if part in ("zh", "en")), self.default)
        return "zh" if found == "zh" else "en"

    @cached_property
    def theme(self) -> str:
        """Light, dark, or as the device has it."""
        asked = self.params.get("theme") or self.request.cookies.get("theme")
        return asked if asked in THEMES else "auto"

    @property
    def door(self) -> Door | None:
        """Where parties sign in; null where everything is open and nothing can be sent."""
        found: Door | None = self.request.app.state.door
        return found

    @cached_property
    def who(self) -> Who | None:
        """Who has signed in; null for the public."""
        if self.door is None:
            return None
        try:
            book = self.snapshot.rulebook
        except NoSnapshot:
            book = None
        if book is None and self.door.year:
            book = self.door.year.rulebook
        return self.door.who(self.request.cookies.get(COOKIE), book)

    def may(self, room: str) -> bool:
        """Whether whoever asks may read a room."""
        return self.door is None or self.door.may(self.who, room)

    def say(self, said: Text) -> str:
        """A sentence in the page's language."""
        return said.say(self.lang)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The newest snapshot, the same for the whole page."""
        return self.snapshots.current()

    @cached_property
    def as_of(self) -> int | None:
        """The sequence of the address; null is the last one."""
        text = self.params.get("as_of")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            shown = repr(text[:40])
            raise Refused(400, _("as_of: expected a sequence, found {shown}.", shown=shown))
        return None if int(text) >= self.snapshot.sequence else int(text)

    @cached_property
    def readings(self) -> Readings:
        """The readings of the address (`r.step=geometric`) put over those in force."""
        known = {choice.name: choice.values for choice in self.snapshot.choices}
        found = []
        for name, value in sorted(self.params.items()):
            if name.startswith("r."):
                reading = name[2:]
                if value not in known.get(reading, ()):
                    expected = ", ".join(known.get(reading, known))
                    asked = f"{name[:40]}={value[:40]}"
                    raise Refused(
                        400,
                        _(
                            "{asked}: no such reading or value; expected one of {expected}.",
                            asked=asked,
                            expected=expected,
                        ),
                    )
                found.append((reading, value))
        return tuple(found)

    @cached_property
    def state(self) -> State:
        """The state of the address."""
        return self.snapshot.state(self.as_of, self.readings)

    def number(self, name: str) -> int:
        """A page number of the address, 1 without it."""
        text = self.params.get(name, "1")
        return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1

    def link(self, path: str, /, **more: Any) -> str:
        """The address of another page in the same state."""
        kept = {name: value for name, value in self.params.items() if name == "as_of" or name.startswith("r.")}
        return self.root + _address(path, kept, more)

    def chosen(self) -> Readings:
        """The readings of the address, none where they are refused."""
        try:
            return self.readings
        except Refused:
            return ()

    def plain(self, path: str | None = None) -> str:
        """The same page, or another, with no reading of the address."""
        kept = {name: value for name, value in self.params.items() if name not in CHOSEN and not name.startswith("r.")}
        return self.root + _address(path or self.request.url.path, kept, {})

    def here(self, /, **more: Any) -> str:
        """The address of this page with something changed; a null takes it out."""
        passing = ("lang", "theme", "at", "download", "table")
        kept = {name: value for name, value in self.params.items() if name not in passing}
        return self.root + _address(self.request.url.path, kept, more)


def _address(path: str, kept: Mapping[str, str], more: Mapping[str, Any]) -> str:
    query = {name: str(value) for name, value in {**kept, **more}.items() if value not in (None, "")}
    return quote(path, safe="/") + (f"?{urlencode(query, quote_via=quote, safe='/:')}" if query else "")
