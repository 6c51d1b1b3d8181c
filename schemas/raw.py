"""The one reader of raw events: whatever intake accepted is read here, for nothing depends on an attribute's number."""

import json
from typing import Any

DIGITS = 18


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= DIGITS else text


def read(raw: bytes) -> dict[str, Any]:
    """An event of the ledger as JSON values; a number that no whole number of 18 digits is, as the text that was sent.

    Raises ValueError for bytes that intake would not have accepted.
    """
    found = json.loads(raw, parse_int=_whole, parse_float=str, parse_constant=str)
    if not isinstance(found, dict):
        raise ValueError("not an event: expected a JSON object")  # noqa: TRY004 - one error for what is no event
    return found
