"""How the contract looks to other systems: JSON Schema and AsyncAPI 3; `python -m schemas.documents` writes it.

The AsyncAPI document is all that a client of another system needs: where it connects and how it proves who it is, what
its account calls JetStream, the durables that wait for it, and which answer comes on what. tests/test_agency.py holds
it against the broker's own configuration.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from schemas.events import PARTY, TYPES, YEAR, Envelope, RosterRow
from schemas.receipts import Notice, Ranking, Receipt
from schemas.refusals import Refusal
from schemas.results import Results
from schemas.rulebook import SHIPPED, Rulebook
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
#: What the account of a party calls `$JS.API`, and where it may hear answers.
API, INBOXES = "JSC.API", ("_INBOX", "_INBOX_{party}")
#: Streams in which a party has a durable of its own name, units or all of them, and the days that they keep.
DURABLES, DAYS = {"RECEIPT": "all", "REFUSED": "all", "NOTICE": "units"}, 90
INTAKE = (
    "A party publishes its events here, one a message, and may publish nothing else. Where the rulebook has"
    " `out_of_line`, the fields that it names hold `sha256:` and the SHA-256 of salt and text, and `texts` brings both"
    " (wire.md, Texts out of line)."
)
#: Each channel: its address, who sends (seen from here), what it is for, its messages.
CHANNELS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "intake": (
        "intake.{assessment}.{party}.{type}.{subject}", "receive",
        INTAKE, tuple(TYPES),
    ),
    "receipt": (
        "receipt.{assessment}.{party}", "send",
        "Accepted, refused and settled events; an office may subscribe, and every party has a durable.", ("receipt",),
    ),
    "refused": ("refused.{assessment}.{party}", "send", "What intake refused, with reasons; likewise.", ("refusal",)),
    "next": (
        f"{API}.CONSUMER.MSG.NEXT.{{stream}}.{{party}}", "receive",
        "Asks a durable for the next messages; they come to the reply subject, each with a reply to acknowledge it on.",
        ("next",),
    ),
    "info": (f"{API}.CONSUMER.INFO.{{stream}}.{{party}}", "receive", "Asks where a durable stands.", ("empty",)),
    "reset": (
        f"{API}.CONSUMER.RESET.{{stream}}.{{party}}", "receive", "Sets a durable back, to read all of 90 days again.",
        ("reset",),
    ),
    "checkpoint": (
        f"{API}.DIRECT.GET.CHECKPOINT-{{assessment}}", "receive",
        "Asks for a signed checkpoint, by its sequence or the last one; it comes to the reply subject.", ("get",),
    ),
    "acknowledgement": (
        "$JS.ACK.{stream}.{party}.{token}", "receive", "The reply subject of a message of a durable: it is done with.",
        ("empty",),
    ),
    "inbox": (
        "{inbox}.{token}", "send", "The reply subject that the client chose; stock clients choose `_INBOX`.",
        ("stored", "answer", "receipt", "refusal", "notice", "note"),
    ),
    "ledger": (
        "ledger.{assessment}.{party}.{subject}", "send", "The immutable log of events as sent; for services.",
        tuple(TYPES),
    ),
    "ranking": ("ranking.{assessment}", "send", "What the ranker published; for services.", ("ranking",)),
    "cut": (
        "cut.{assessment}", "receive", "Request: the scorer answers with a consistent copy; for services.", ("cut",),
    ),
    "notice": (
        "notice.{assessment}.{unit}", "send", "What a publication changed for a unit, and why; a unit has a durable.",
        ("notice",),
    ),
}  # fmt: skip
#: What is said to parties, by the name of its message.
SAID: dict[str, type[msgspec.Struct]] = {name: PARTS[name] for name in ("refusal", "receipt", "ranking", "notice")}
PARAMETERS: dict[str, dict[str, Any]] = {
    "assessment": {"description": "The assessment's code."},
    "party": {"description": "An office's code, or a unit's."},
    "unit": {"description": "The unit's code."},
    "type": {"description": "The type of the event, dots as dashes.", "examples": ["deduction-recorded-v1"]},
    "subject": {"description": "The unit's code, or `assessment`."},
    "stream": {
        "description": "A stream with a durable of the party's name: its kind, a dash and the assessment's code.",
        "examples": [f"{kind}-{SHIPPED.name}" for kind in DURABLES],
    },
    "token": {"description": "What the client, or the broker, chose."},
    "inbox": {"description": "The prefix of a party's inboxes.", "enum": list(INBOXES), "default": INBOXES[0]},
}
#: What answers come to the inbox, by the channel that is asked.
REPLIES = {
    "intake": ("stored",), "next": ("receipt", "refusal", "notice"), "info": ("answer",), "reset": ("answer",),
    "checkpoint": ("note",),
}  # fmt: skip
#: Messages that are the broker's own, with the schema of their payload.
_NUMBER = {"type": "integer", "minimum": 1}
BROKERS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "stored": (
        "The broker's word on a publication. With `error`, or `duplicate` true, it is NOT stored: see Nats-Msg-Id.",
        {
            "type": "object",
            "properties": {
                "stream": {"type": "string"}, "seq": _NUMBER, "duplicate": {"type": "boolean"},
                "error": {"type": "object"},
            },
        },
    ),
    "next": (
        "How many messages at most, and how long to wait in nanoseconds.",
        {"type": "object", "properties": {"batch": _NUMBER, "expires": _NUMBER, "no_wait": {"type": "boolean"}}},
    ),
    "get": (
        "Which message of the stream: one sequence, or the last of a subject.",
        {"type": "object", "properties": {"seq": _NUMBER, "last_by_subj": {"type": "string"}}},
    ),
    "note": ("A checkpoint as a signed note, plain text: docs/spec/wire.md, Proof.", {"type": "string"}),
    "reset": ("The sequence to read from.", {"type": "object", "properties": {"seq": _NUMBER}}),
    "answer": ("JetStream's own answer, with `error` where it is a no.", {"type": "object"}),
    "empty": ("Nothing.", None),
    "cut": ("An empty request; the answer names the copy, its sequence and hash.", None),
}  # fmt: skip
_MSG_ID = {
    "type": "object",
    "properties": {
        "Nats-Msg-Id": {
            "not": {},
            "description": "Intake refuses it. The broker compares it across parties for 0.1 s and drops the second."
            " Source and id of the event do that for ever.",
        }
    },
}
_FROM_INTAKE = {
    "type": "object",
    "properties": {
        "Wuxing-Intake-Sequence": {"type": "string", "description": "The sequence that the broker answered with."},
        "Wuxing-Sha256": {"type": "string", "description": "Of a refusal: SHA-256 of the bytes as they came."},
    },
}
SERVER = {
    "host": "127.0.0.1:4222",
    "protocol": "nats",
    "protocolVersion": "1.0",
    "description": "The site's NATS server; its keeper names the host. Beyond loopback it demands TLS: trust the site's"
    " own authority, tls/ca.crt of its data folder. Headers are needed; 128 KiB a message, 1.5 MB for the collecting"
    " office.",
    "security": [{"$ref": "#/components/securitySchemes/nkey"}],
}
NKEY = {
    "type": "asymmetricEncryption",
    "description": "The party's own nkey: an Ed25519 seed (SU…), in the file keys/<party>.nk which the keeper gives it."
    " Every NATS client signs the server's nonce with it. Each party has an account of its own.",
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
    for name in events:
        messages[name]["headers"] = _MSG_ID
    for name in ("receipt", "refusal"):
        messages[name]["headers"] = _FROM_INTAKE
    for name, (summary, schema) in BROKERS.items():
        messages[name] = {"name": name, "summary": summary} | ({"payload": schema} if schema else {})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "wuxing",
            "version": "1.0.0",
            "description": "Events, subjects and results of the contract, as another system's client meets them.",
        },
        "defaultContentType": "application/json",
        "servers": {"site": SERVER},
        "channels": {name: _channel(name) for name in CHANNELS},
        "operations": {name: _operation(name) for name in CHANNELS},
        "components": {
            "securitySchemes": {"nkey": NKEY},
            "messages": messages,
            "schemas": {**events, **defs, **parts},
        },
        "x-jetstream": {
            "apiPrefix": API,
            "inboxPrefixes": list(INBOXES),
            "durables": [
                {
                    "stream": f"{kind}-{{assessment}}",
                    "durable": "{party}",
                    "parties": who,
                    "ack": "explicit",
                    "days": DAYS,
                }
                for kind, who in DURABLES.items()
            ],
        },
    }


def _channel(name: str) -> dict[str, Any]:
    address, _, summary, messages = CHANNELS[name]
    parameters = {key: words for key, words in PARAMETERS.items() if f"{{{key}}}" in address}
    return {
        "address": address,
        "description": summary,
        "servers": [{"$ref": "#/servers/site"}],
        "parameters": parameters,
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
    }


def _operation(name: str) -> dict[str, Any]:
    """What is done on a channel, seen from here, and what is answered on the inbox of who asked."""
    _, action, summary, _ = CHANNELS[name]
    made = {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": summary,
        "bindings": {"nats": {"bindingVersion": "0.1.0"}},
    }
    if name in REPLIES:
        answers = [{"$ref": f"#/channels/inbox/messages/{one}"} for one in REPLIES[name]]
        made["reply"] = {"channel": {"$ref": "#/channels/inbox"}, "messages": answers}
    return made


def main() -> None:
    """Rewrite the files."""
    GENERATED.mkdir(exist_ok=True)
    for name, document in documents().items():
        (GENERATED / f"{name}.json").write_text(text(document), encoding="utf-8")
        sys.stderr.write(f"wrote {GENERATED.name}/{name}.json\n")


if __name__ == "__main__":
    main()
