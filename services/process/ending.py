"""How a command ends: its exit code of the contract, and the sentence that says why."""

from enum import IntEnum

from schemas.told import Told
from schemas.words import Text


class Exit(IntEnum):
    """Exit codes: done, the answer is no, wrong use, could not."""

    DONE = 0
    NO = 1
    USE = 2
    FAILED = 3


class Stop(Told):
    """Ends a command with a code and a sentence; no traceback reaches a user."""

    def __init__(self, code: Exit, text: Text | Told | str) -> None:
        super().__init__(text)
        self.code = code
