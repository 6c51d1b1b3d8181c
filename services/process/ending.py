"""How a command ends: its exit code of the contract, and the sentence that says why."""

from enum import IntEnum

from schemas.told import Told


class Exit(IntEnum):
    """Exit codes: done, the answer is no, wrong use, could not."""

    DONE = 0
    NO = 1
    USE = 2
    FAILED = 3


class Stop(Told):
    """Ends a command with a code and a sentence in both languages; no traceback reaches a user."""

    def __init__(self, code: Exit, en: str, zh: str) -> None:
        super().__init__(en, zh)
        self.code = code
