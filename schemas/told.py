"""The errors that a user reads: each says itself what was found and what to do, in the language asked for."""

from schemas.words import Language, Text, told


class Told(Exception):  # noqa: N818 - a refusal of ours has a name of its own
    """An error whose words are meant for whoever runs the command; no traceback stands beside them.

    `code` is the exit code of the contract that it ends a command with. A plain string is the same in each language.
    """

    code = 3

    def __init__(self, text: "Text | Told | str") -> None:
        super().__init__(told(text, "en"))
        self.what = text

    def say(self, lang: Language) -> str:
        """The words in a language."""
        return told(self.what, lang)
