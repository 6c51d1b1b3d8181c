"""The subjects of the contract: who publishes where, and what a subject says about the message on it."""

import re
from typing import NamedTuple

#: The code of an assessment; any token of a subject is one.
CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: The code of an office or a unit.
PARTY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
OFFICES, UNITS = "/offices/", "/units/"
#: The subject (主体) of events about the year itself.
ASSESSMENT = "assessment"


class Intake(NamedTuple):
    """The tokens of an intake subject; the type has its dots back."""

    assessment: str
    party: str
    type: str
    subject: str


class Ledger(NamedTuple):
    """The tokens of a ledger subject."""

    assessment: str
    party: str
    subject: str


def party_of(source: str) -> str | None:
    """The party (an office's or a unit's code) that a source names; null where it names none."""
    for prefix in (OFFICES, UNITS):
        if source.startswith(prefix) and PARTY.fullmatch(source, len(prefix)):
            return source[len(prefix) :]
    return None


def intake(assessment: str, party: str, type_: str, subject: str) -> str:
    """Where a party publishes an event, and may publish nothing else."""
    return _joined("intake", assessment, party, type_.replace(".", "-"), subject)


def ledger(assessment: str, party: str, subject: str) -> str:
    """Where ingest appends an accepted event."""
    return _joined("ledger", assessment, party, subject)


def text(assessment: str, party: str, token: str) -> str:
    """Where ingest stores the text of a token of a party's; either may be `*`, for all."""
    return f"texts.{assessment}.{party}.{token.removeprefix('sha256:')}"


def refused(assessment: str, party: str) -> str:
    """Where a party reads what intake refused."""
    return _joined("refused", assessment, party)


def receipt(assessment: str, party: str) -> str:
    """Where a party reads its receipts."""
    return _joined("receipt", assessment, party)


def checkpoint(assessment: str) -> str:
    """Where the ranker publishes each signed checkpoint, which every party may read."""
    return _joined("checkpoint", assessment)


def ranking(assessment: str) -> str:
    """Where the ranker publishes."""
    return _joined("ranking", assessment)


def notice(assessment: str, unit: str) -> str:
    """Where a unit reads what publications change for it."""
    return _joined("notice", assessment, unit)


def cut(assessment: str) -> str:
    """Where the scorer is asked for a consistent copy."""
    return _joined("cut", assessment)


def changes(assessment: str) -> str:
    """Where the scorer is asked which changes of units, items' offices and keys were admitted."""
    return _joined("changes", assessment)


def read_intake(subject: str) -> Intake | None:
    """The tokens of an intake subject; null where it is none."""
    kind, *tokens = subject.split(".")
    if kind != "intake" or len(tokens) != len(Intake._fields) or not all(map(CODE.fullmatch, tokens)):
        return None
    assessment, party, type_, unit = tokens
    return Intake(assessment, party, type_.replace("-", "."), unit)


def read_ledger(subject: str) -> Ledger | None:
    """The tokens of a ledger subject; null where it is none."""
    kind, *tokens = subject.split(".")
    if kind != "ledger" or len(tokens) != len(Ledger._fields) or not all(map(CODE.fullmatch, tokens)):
        return None
    return Ledger(*tokens)


def _joined(kind: str, *tokens: str) -> str:
    """Tokens are codes: anything else would change what the subject means. Raises ValueError."""
    for token in tokens:
        if not CODE.fullmatch(token):
            message = f"{token!r} is no token of a subject; expected 1 to 64 letters, digits, _ or -"
            raise ValueError(message)
    return ".".join((kind, *tokens))
