"""The words that a user reads: English in the code, Chinese in one catalogue that is corrected without Python.

`_("{path} is there already.", path=path)` makes a text; `say` gives it in a language. A gap is a name in braces, and
what fills it may be a text again. The catalogue is `locale/zh/LC_MESSAGES/wuxing.po`; read is what is made of it, once,
and only when Chinese is asked for.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from gettext import GNUTranslations

Language = Literal["en", "zh"]
#: The catalogue, and what is made of it.
CATALOGUE = Path(__file__).parent / "locale" / "zh" / "LC_MESSAGES" / "wuxing.po"
MADE = CATALOGUE.with_suffix(".mo")
_GAP = re.compile(r"\{(\w+)\}")


class Text:
    """Words that are said in a language when it is known: English, what they are one of, a context, their gaps."""

    __slots__ = ("context", "english", "gaps", "many", "number")

    def __init__(
        self,
        english: str,
        gaps: dict[str, Any] | None = None,
        context: str | None = None,
        plural: tuple[str, int] | None = None,
    ) -> None:
        self.english, self.gaps, self.context = english, gaps or {}, context
        self.many: str | None
        self.many, self.number = plural or (None, 1)

    def say(self, lang: Language) -> str:
        """The words in a language, their gaps filled in the same."""
        words = _chinese(self) if lang == "zh" else self.english if self.many is None or self.number == 1 else self.many
        return _GAP.sub(lambda gap: self._gap(gap, lang), words) if self.gaps else words

    def of(self, **gaps: Any) -> "Text":
        """These words with gaps filled."""
        plural = None if self.many is None else (self.many, gaps.get("n", self.number))
        return Text(self.english, self.gaps | gaps, self.context, plural)

    def _gap(self, gap: re.Match[str], lang: Language) -> str:
        """What fills a gap; braces that are no gap of ours stay."""
        return told(self.gaps[gap[1]], lang) if gap[1] in self.gaps else gap[0]

    def __str__(self) -> str:
        return self.say("en")

    def __repr__(self) -> str:
        return f"_({self.say('en')!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash((self.english, self.context))

    def _all(self) -> tuple[Any, ...]:
        return self.english, self.context, self.many, self.number, self.gaps


def _(english: str, /, **gaps: Any) -> Text:
    """Words, and what fills their gaps."""
    return Text(english, gaps)


def _p(context: str, english: str, /, **gaps: Any) -> Text:
    """Words that mean something else, and are other Chinese, in this context."""
    return Text(english, gaps, context)


def _n(one: str, many: str, n: int = 1, /, **gaps: Any) -> Text:
    """Words about one or many; their gap {n} is the number, which `of` may give later."""
    return Text(one, {"n": n} | gaps, None, (many, n))


def told(value: Any, lang: Language) -> str:
    """Something in a language: what can say itself does, anything else is as it is."""
    if isinstance(value, str):
        return value
    say = getattr(value, "say", None)
    return str(value) if say is None else str(say(lang))


class Joined(Text):
    """Several things, one after the other."""

    __slots__ = ("between", "parts")

    def __init__(self, parts: Iterable[Any], between: Text) -> None:
        super().__init__("")
        self.parts, self.between = tuple(parts), between

    def say(self, lang: Language) -> str:
        """The things in a language."""
        return self.between.say(lang).join(told(one, lang) for one in self.parts)

    def _all(self) -> tuple[Any, ...]:
        return self.parts, self.between

    __hash__ = Text.__hash__


#: What stands between words of a list, between clauses, between sentences, between a name and what is said of it.
COMMA, CLAUSE = _p("between words", ", "), _p("between clauses", ", ")
SEMICOLON, COLON = _("; "), _(": ")


class Both(Text):
    """Words of the contract, which are read back where people write them: in both languages, in no catalogue."""

    __slots__ = ("chinese",)

    def __init__(self, english: str, chinese: str) -> None:
        super().__init__(english)
        self.chinese = chinese

    def say(self, lang: Language) -> str:
        """The words in a language."""
        return self.chinese if lang == "zh" else self.english

    @property
    def both(self) -> tuple[str, str]:
        """The words in either language."""
        return self.english, self.chinese

    def _all(self) -> tuple[Any, ...]:
        return self.both

    __hash__ = Text.__hash__


def several(parts: Iterable[Any], between: Text = COMMA) -> Joined:
    """Several things as a list in a sentence."""
    return Joined(parts, between)


def _chinese(text: Text) -> str:
    """The Chinese of a text, its gaps open; English where the catalogue has none, which a test does not let be."""
    found = catalogue()
    if text.many is not None:
        return found.ngettext(text.english, text.many, text.number)
    if text.context is not None:
        return found.pgettext(text.context, text.english)
    return found.gettext(text.english) if text.english else ""


@cache
def catalogue() -> "GNUTranslations":
    """The catalogue as it is made, read once."""
    from gettext import GNUTranslations

    with MADE.open("rb") as file:
        return GNUTranslations(file)
