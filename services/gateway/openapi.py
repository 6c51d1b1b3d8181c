"""How the gateway looks to other systems: OpenAPI 3.1, and one page made of it that needs nothing from elsewhere."""

import json
import re
from importlib import resources
from typing import Any

import msgspec
from jinja2 import Environment
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from schemas.documents import documents
from schemas.events import TYPES
from schemas.receipts import Receipt
from schemas.refusals import Reason
from services.gateway.desk import Listed, Pending, Problem, place, problem

SECURITY: list[dict[str, list[str]]] = [{"key": []}]
SOURCE, ID = "/offices/ducha", "9b2f0e0c-1"
EVENT = {
    "specversion": "1.0", "id": ID, "source": SOURCE, "type": "deduction.recorded.v1", "subject": "U042",
    "time": "2013-05-06T09:30:00+08:00",
    "data": {
        "item": "1.1", "matter": "批示-2013-017", "ground": "no_feedback", "reason": "逾期未反馈",
        "evidence": ["督查通报2013-5"],
    },
}  # fmt: skip
_SIGNATURE = "ToJxyr+lFfRx8dyZrXaR4GhOuJXX/TY71Vt3B2Csza/R/E9lgJ9sPXVX+jr8rDbgw651Qp2J5mxoK4AnK9IQBg=="
_SHA256 = "5e1c4f3d0a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d"


def _receipt(outcome: str, **facts: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(Receipt.__struct_fields__),
        "signature": _SIGNATURE,
        "source": SOURCE,
        "id": ID,
        "outcome": outcome,
        **facts,
    }


def _refused(reason: Reason, path: str | None, words: str) -> dict[str, Any]:
    return _receipt("refused", reason=reason.value, path=path, message=words)


ACCEPTED = _receipt("accepted", sequence=17, sha256=_SHA256)
KNOWN = _receipt(
    "settled", sequence=18, sha256=_SHA256, disposition="duplicate", why="The same event as sequence 17; it counts once"
)
REFUSED = _refused(
    Reason.UNKNOWN_UNIT, "subject",
    'The unit is not on the roster (subject): expected a unit of the roster, found "U999". '
    "Check the unit's code against the roster.",
)  # fmt: skip
PENDING = {"source": SOURCE, "id": ID, "ask": place(SOURCE, ID), "outcome": "pending"}


def _spec(model: Any, description: str, example: dict[str, Any], media: str = "application/json") -> ResponseSpec:
    return ResponseSpec(
        model, generate_examples=False, description=description, media_type=media, examples=[Example(value=example)]
    )


def _wrong(description: str, name: str) -> ResponseSpec:
    limits = {"limit": 1000, "events": 200_000, "bytes": 268_435_456}
    example = msgspec.to_builtins(problem(name, "en", **limits).body)
    return _spec(Problem, description, example, "application/problem+json")


_COMMON = {
    401: _wrong("No party's key was shown.", "no_key"),
    500: _wrong("A fault of the gateway.", "our_fault"),
}
POST: dict[int, ResponseSpec] = {
    201: _spec(Receipt, "Accepted: the event is in the ledger at `sequence`.", ACCEPTED),
    200: _spec(Receipt, "Known before: it counts once (one event). Or: every event of the batch was accepted.", KNOWN),
    202: _spec(Pending, "Stored, and not judged within two seconds: ask at Location.", PENDING),
    400: _spec(Receipt, "Not strict JSON, or a batch that is no array.", _refused(Reason.NOT_JSON, None, "…")),
    408: _wrong("The body did not arrive in 30 seconds.", "too_slow"),
    403: _wrong("The key of an auditor, which sends nothing.", "reads_only"),
    409: _spec(Receipt, "Another event holds this source and id.", _refused(Reason.CONFLICT, "id", "…")),
    413: _spec(Receipt, "Too large: 64 KiB an event (an opening 1 MiB), 1,000 events or 8 MiB a batch.",
               _refused(Reason.TOO_LARGE, None, "…")),
    415: _wrong("Another media type, charset or encoding.", "wrong_media_type"),
    422: _spec(Receipt, "Refused, by name: nothing was recorded but the refusal.", REFUSED),
    429: _wrong("The share of what may wait (too_many) or the day's quota (quota_spent) is taken.", "too_many"),
    503: _wrong("Back-pressure: send the same again after Retry-After.", "try_again"),
    **_COMMON,
}  # fmt: skip
GET: dict[int, ResponseSpec] = {
    200: _spec(Receipt, "The newest receipt of the event.", ACCEPTED),
    202: _spec(Pending, "Stored, and not judged yet.", PENDING),
    400: _wrong("The query is not source and id, each once.", "bad_query"),
    404: _wrong("No receipt of this event of one's own is kept here.", "no_receipt"),
    503: _wrong("The keys cannot be read just now.", "try_again"),
    **_COMMON,
}
LIST: dict[int, ResponseSpec] = {
    200: _spec(Listed, "A page of receipts.", {"receipts": [{"place": 21, "receipt": ACCEPTED}], "next": None}),
    400: _wrong("The query is none.", "bad_list"),
    503: _wrong("The keys cannot be read just now.", "try_again"),
    **_COMMON,
}
_HEADERS = {
    "202": {"Location": "Where to ask for the receipt.", "Retry-After": "Seconds to wait before."},
    "401": {"WWW-Authenticate": "Bearer"},
    "415": {"Accept": "The media types that are taken."},
    "429": {"Retry-After": "Seconds to wait before the same is sent again."},
    "503": {"Retry-After": "Seconds to wait before the same is sent again."},
}


def document(made: dict[str, Any]) -> dict[str, Any]:
    """Complete what the framework made: the bodies of a POST, its batch answers, events, headers and the key."""
    send, ask = made["paths"]["/v1/events"]["post"], made["paths"]["/v1/events"]["get"]
    schemas = made["components"]["schemas"]
    schemas |= _events()
    schemas["Results"] = {"type": "object", "required": ["results"], "properties": {"results": _array("Result")}}
    body = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Receipt", "Pending", "Problem")]}
    schemas["Result"] = {
        "description": "What became of one event of a batch, with the status that it would have got alone.",
        "type": "object", "required": ["status", "body"], "properties": {"status": {"type": "integer"}, "body": body},
    }  # fmt: skip
    one = {"schema": {"$ref": "#/components/schemas/Event"}, "examples": {"deduction": {"value": EVENT}}}
    many = {"schema": _array("Event", maxItems=1000), "examples": {"batch": {"value": [EVENT]}}}
    send["requestBody"] = {"required": True, "content": {
        "application/cloudevents+json": one, "application/json": one, "application/cloudevents-batch+json": many,
    }}  # fmt: skip
    results = {"$ref": "#/components/schemas/Results"}
    both = {"anyOf": [send["responses"]["200"]["content"]["application/json"]["schema"], results]}
    send["responses"]["200"]["content"]["application/json"]["schema"] = both
    example = {"results": [{"status": 201, "body": ACCEPTED}, {"status": 422, "body": REFUSED}]}
    send["responses"]["207"] = {
        "description": "A batch, one result an event in its order; some were not accepted.",
        "content": {"application/json": {"schema": results, "examples": {"batch": {"value": example}}}},
    }
    ask["parameters"] = [
        _parameter("source", SOURCE, _NAMED, "The event's source.", required=True),
        _parameter("id", ID, _NAMED, "The event's id.", required=True),
    ]
    listed = made["paths"]["/v1/receipts"]["get"]
    whole = {"type": "integer", "minimum": 0}
    listed["parameters"] = [
        _parameter("after", 21, whole, "Receipts after this place; from the first without it."),
        _parameter("limit", 100, {**whole, "minimum": 1, "maximum": 1000}, "How many at most; 100 without it."),
        _parameter("outcome", "refused", {"enum": ["accepted", "refused", "settled"]}, "Of one outcome only."),
    ]
    for operation in (send, ask, listed):
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for status, names in _HEADERS.items():
            if status in operation["responses"]:
                headers = {n: {"description": text, "schema": {"type": "string"}} for n, text in names.items()}
                operation["responses"][status]["headers"] = headers
    made["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "The party's key: `wuxing gateway-key PARTY`."}
    }
    made["info"] = {"title": "wuxing", "version": "1", "description": _ABOUT, "license": {"name": "Apache-2.0"}}
    return made


_ABOUT = (
    "Events of the assessment over HTTP, as CloudEvents 1.0: in structured JSON, published byte for byte as sent, or "
    "in binary mode, attributes as ce- headers and the data as an application/json body. What an event may hold is in "
    "the contract; each refusal has a name, a path and a sentence."
)


def _array(name: str, **more: int) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}, **more}


_NAMED = {"type": "string", "minLength": 1, "maxLength": 200}


def _parameter(
    name: str, example: str | int, schema: dict[str, Any], description: str, *, required: bool = False
) -> dict[str, Any]:
    shared = {"in": "query", "required": required, "allowReserved": True}
    return {"name": name, "description": description, "schema": schema, "example": example, **shared}


def _events() -> dict[str, Any]:
    """The contract's own JSON Schema of events, at home among the components; a rulebook has a document of its own."""
    made = json.loads(json.dumps(documents()["events"]).replace("#/$defs/", "#/components/schemas/"))
    named: dict[str, Any] = made["$defs"]
    named["Rulebook"] = {"type": "object", "description": "A rulebook.toml as JSON: schemas/generated/rulebook.json."}
    used: dict[str, Any] = {}
    todo = [*TYPES]
    while todo:
        if (name := todo.pop()) not in used:
            used[name] = named[name]
            todo += re.findall(r'#/components/schemas/([\w.]+)"', json.dumps(named[name]))
    return {**used, "Event": {"description": "An event, by its type.", "oneOf": made["oneOf"]}}


def page(made: dict[str, Any]) -> str:
    """Render the document as one page: no script, nothing fetched."""
    text = resources.files("services.gateway").joinpath("docs.html").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["pretty"] = lambda value: json.dumps(value, ensure_ascii=False, indent=2)
    types = [one["$ref"].rpartition("/")[2] for one in made["components"]["schemas"]["Event"]["oneOf"]]
    return environment.from_string(text).render(doc=made, event=EVENT, types=types, reasons=[*Reason])
