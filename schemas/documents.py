"""How the contract looks to other systems: JSON Schema and AsyncAPI 3; `python -m schemas.documents` writes it."""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from schemas.events import PARTY, TYPES, YEAR, Envelope, RosterRow
from schemas.receipts import Notice, Ranking, Receipt
from schemas.refusals import Refusal
from schemas.results import Results
from schemas.rulebook import Rulebook
from schemas.subjects import ASSESSMENT

GENERATED = Path(__file__).parent / "generated"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: The documents other than events, by the name of their file.
PARTS: dict[str, type[msgspec.Struct]] = {
    "rulebook": Rulebook,
    "roster_row": RosterRow,
    "refusal": Refusal,
    "receipt": Receipt,
    "ranking": Ranking,
    "notice": Notice,
    "score": Results,
}
#: Each channel: its address, who sends (seen from here), what it is for, its messages.
CHANNELS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "intake": (
        "intake.{assessment}.{party}.{type}.{subject}", "receive",
        "A party publishes its events here, and may publish nothing else.", tuple(TYPES),
    ),
    "ledger": ("ledger.{assessment}.{party}.{subject}", "send", "The immutable log of events as sent.", tuple(TYPES)),
    "refused": ("refused.{assessment}.{party}", "send", "What intake refused, with reasons.", ("refusal",)),
    "receipt": ("receipt.{assessment}.{party}", "send", "Accepted, refused and settled events.", ("receipt",)),
    "ranking": ("ranking.{assessment}", "send", "What the ranker published.", ("ranking",)),
    "notice": ("notice.{assessment}.{unit}", "send", "What a publication changed for a unit, and why.", ("notice",)),
    "cut": ("cut.{assessment}", "receive", "Request: the scorer answers with a consistent copy.", ("cut",)),
}  # fmt: skip
#: What is said to parties, by the name of its message.
SAID: dict[str, type[msgspec.Struct]] = {name: PARTS[name] for name in ("refusal", "receipt", "ranking", "notice")}
PARAMETERS = {
    "assessment": "The assessment's code.",
    "party": "An office's code, or a unit's.",
    "unit": "The unit's code.",
    "type": "The type of the event, dots as dashes.",
    "subject": "The unit's code, or `assessment`.",
}


def documents() -> dict[str, dict[str, Any]]:
    """Make every document, by the name of its file."""
    made = {"events": _events()}
    for name, part in PARTS.items():
        (schema,), defs = msgspec.json.schema_components([part], ref_template="#/$defs/{name}")
        made[name] = {"$schema": DIALECT, "title": f"wuxing {name}", **schema, "$defs": defs}
    return {**made, "asyncapi": _asyncapi()}


def text(document: dict[str, Any]) -> str:
    """Write a document as the file holds it."""
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _envelopes(ref_template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of each type of event, and what they refer to."""
    kinds = [Envelope[data] for data in TYPES.values()]  # type: ignore[valid-type]
    _, defs = msgspec.json.schema_components(kinds, ref_template=ref_template)
    events = {}
    for name, data in TYPES.items():
        schema = defs.pop(f"Envelope_{data.__name__}_")
        schema["properties"]["type"] = {"const": name}
        schema["properties"]["subject"] = (
            {"const": ASSESSMENT} if name in YEAR else {"type": "string", "pattern": PARTY}
        )
        events[name] = {**schema, "title": name, "description": data.__doc__}
    return events, defs


def _events() -> dict[str, Any]:
    events, defs = _envelopes("#/$defs/{name}")
    one_of = [{"$ref": f"#/$defs/{name}"} for name in events]
    return {"$schema": DIALECT, "title": "wuxing events", "oneOf": one_of, "$defs": {**events, **defs}}


def _asyncapi() -> dict[str, Any]:
    """The subjects as channels, with the messages that are found on them."""
    template = "#/components/schemas/{name}"
    events, defs = _envelopes(template)
    _, parts = msgspec.json.schema_components(list(SAID.values()), ref_template=template)
    payloads = {name: name for name in events} | {name: part.__name__ for name, part in SAID.items()}
    messages: dict[str, Any] = {
        name: {"name": name, "contentType": "application/json", "payload": {"$ref": f"#/components/schemas/{schema}"}}
        for name, schema in payloads.items()
    }
    messages["cut"] = {"name": "cut", "summary": "An empty request; the answer names the copy, its sequence and hash."}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "wuxing", "version": "1.0.0", "description": "Events, subjects and results of the contract."},
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in CHANNELS},
        "operations": {
            name: {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "summary": summary}
            for name, (_, action, summary, _) in CHANNELS.items()
        },
        "components": {"messages": messages, "schemas": {**events, **defs, **parts}},
    }


def _channel(name: str) -> dict[str, Any]:
    address, _, summary, messages = CHANNELS[name]
    return {
        "address": address,
        "description": summary,
        "parameters": {key: {"description": words} for key, words in PARAMETERS.items() if f"{{{key}}}" in address},
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
    }


def main() -> None:
    """Rewrite the files."""
    GENERATED.mkdir(exist_ok=True)
    for name, document in documents().items():
        (GENERATED / f"{name}.json").write_text(text(document), encoding="utf-8")
        sys.stderr.write(f"wrote {GENERATED.name}/{name}.json\n")


if __name__ == "__main__":
    main()
