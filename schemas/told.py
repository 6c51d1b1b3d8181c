"""The errors that a user reads: each says itself what was found and what to do, in the language asked for."""

from schemas.refusals import Language


class Told(Exception):  # noqa: N818 - a refusal of ours has a name of its own
    """An error whose words are meant for whoever runs the command; no traceback stands beside them.

    `code` is the exit code of the contract that it ends a command with. Without Chinese words the English ones stand.
    """

    code = 3

    def __init__(self, en: str, zh: str | None = None) -> None:
        super().__init__(en)
        self.words: dict[Language, str] = {"en": en, "zh": zh or en}

    def say(self, lang: Language) -> str:
        """The words in a language."""
        return self.words[lang]
