"""Why an event is refused: the reasons in their order of precedence, and the sentences that say so."""

import json
from enum import StrEnum
from typing import Any

import msgspec

from schemas.words import Language, Text, _, _p

#: A sentence part: its key in `PHRASES` and what stands in its gaps.
Phrase = tuple[Any, ...]
#: What a field that is not there holds.
ABSENT: Any = msgspec.UNSET
SHOWN_MAX = 60
#: The header of a message on `refused.…` with the SHA-256 of the bytes as they came, in lower-case hex.
SHA256 = "Wuxing-Sha256"


class Reason(StrEnum):
    """The name of a refusal (拒收原因), in the order of the checks: the first that fails is the one reported."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_CLOUDEVENT = "not_cloudevent"
    UNKNOWN_TYPE = "unknown_type"
    BAD_FIELD = "bad_field"
    UNKNOWN_FIELD = "unknown_field"
    NOT_OPEN = "not_open"
    SOURCE_NOT_AUTHORISED = "source_not_authorised"
    NOT_SIGNED = "not_signed"
    UNKNOWN_UNIT = "unknown_unit"
    UNKNOWN_ITEM = "unknown_item"
    NOT_APPLICABLE = "not_applicable"
    WRONG_KIND = "wrong_kind"
    UNKNOWN_GROUND = "unknown_ground"
    POINTS_OUT_OF_RANGE = "points_out_of_range"
    VALUE_OUT_OF_RANGE = "value_out_of_range"
    CONFLICT = "conflict"


class Refusal(msgspec.Struct, frozen=True):
    """A refused event (拒收): `line` is its line in a file or its sequence, null until a shell numbers it."""

    line: int | None
    source: str | None
    id: str | None
    reason: Reason
    path: str | None
    message: str


def conflict(line: int | None, source: str, id_: str, lang: Language = "en") -> Refusal:
    """Make the refusal of an event whose source and id another content holds; only the fold can tell."""
    words = message(Reason.CONFLICT, "id", ("first",), ("other",), lang)
    return Refusal(line, source, id_, Reason.CONFLICT, "id", words)


#: What is wrong and what to do, by reason.
SENTENCES: dict[Reason, tuple[Text, Text]] = {
    Reason.TOO_LARGE: (
        _("The event is too large"),
        _("Move long texts into documents and cite them under evidence."),
    ),
    Reason.NOT_JSON: (
        _("This is not strict JSON"),
        _("Write one JSON object in UTF-8, each key once."),
    ),
    Reason.NOT_CLOUDEVENT: (
        _("This is not a CloudEvents 1.0 event"),
        _("Give specversion, id, source and type as strings."),
    ),
    Reason.UNKNOWN_TYPE: (
        _("The type of event is not known"),
        _("Use a type of the contract, with its version."),
    ),
    Reason.BAD_FIELD: (
        _("A field is missing or malformed"),
        _("Correct it and send the event again."),
    ),
    Reason.UNKNOWN_FIELD: (
        _("There is a field that has no place here"),
        _("Take it out and send the event again."),
    ),
    Reason.NOT_OPEN: (
        _("The assessment is not open yet"),
        _("Send it again when the collecting office has opened the year."),
    ),
    Reason.SOURCE_NOT_AUTHORISED: (
        _("The source may not send this"),
        _("Let the office that owns the item send it, with its own key."),
    ),
    Reason.NOT_SIGNED: (
        _("The event is not signed as it must be"),
        _("Sign it with the party's own key, the one in force."),
    ),
    Reason.UNKNOWN_UNIT: (
        _("The unit is not on the roster"),
        _("Check the unit's code against the roster."),
    ),
    Reason.UNKNOWN_ITEM: (
        _("The item is not in the rulebook"),
        _("Check the item's code against the rulebook."),
    ),
    Reason.NOT_APPLICABLE: (
        _("The item does not apply to the unit"),
        _("Choose an item that applies to the unit's category and group."),
    ),
    Reason.WRONG_KIND: (
        _("The rulebook takes no such event here"),
        _("Send an event of the type that the item takes."),
    ),
    Reason.UNKNOWN_GROUND: (
        _("The item has no such ground"),
        _("Choose a ground of this item."),
    ),
    Reason.POINTS_OUT_OF_RANGE: (
        _("The points are outside the ground's range"),
        _("Give points within the range."),
    ),
    Reason.VALUE_OUT_OF_RANGE: (
        _("The value is outside its range"),
        _("Give a value within the range."),
    ),
    Reason.CONFLICT: (
        _("Another event holds this source and id"),
        _("Send the event again under a new id."),
    ),
}

#: What is expected or found.
PHRASES: dict[str, Text] = {
    "value": Text("{0}"),
    "nothing": _("nothing"),
    "an_object": _("an object with {0} keys"),
    "a_list": _p("event", "a list of {0}"),
    "bytes": _("at most {0} bytes"),
    "bytes_found": _p("bytes", "{0}"),
    "json": _("JSON as of RFC 8259"),
    "not_utf8": _("a byte that is not UTF-8 at {0}"),
    "byte_order_mark": _("a byte order mark"),
    "repeated_key": _("the key {0} twice in one object"),
    "constant": _("{0}, which is no JSON number"),
    "surrogate": _("half of a surrogate pair"),
    "depth": _("nesting deeper than {0}"),
    "syntax": _("an error at character {0}: {1}"),
    "object": _("a JSON object"),
    "text": _("a string of 1 to {0} characters"),
    "decimal": _('a plain decimal in a string, as "1" or "0.5", of at most 6 decimals'),
    "signed": _('a plain decimal in a string, as "1" or "-0.5", of at most 6 decimals'),
    "boolean": _("true or false"),
    "integer": _("a JSON integer of 0 or more"),
    "entries": _("a list of at most {0} entries"),
    "units": _("a list of two or more units, each once"),
    "code": _("1 to 64 letters, digits, _ or -"),
    "party": _("1 to 64 letters, digits, _ or -, first a letter or digit"),
    "new_unit": _("a code that is neither an office's nor assessment"),
    "office_or_unit": _("an office of the rulebook or a unit of the roster"),
    "nkey": _("a public nkey"),
    "attributes": _("an object of numbers as strings"),
    "open": _("assessment.opened.v1 first"),
    "signature": _("the signature of {0} over this event"),
    "key": _("a key of {0} in force"),
    "applies": _("an item that is for its category and group"),
    "no_appeals": _("no appeals: the rulebook gives nobody to decide them"),
    "no_approvals": _("no approvals: no ground needs one"),
    "no_texts": _("no order to erase: the rulebook has no texts out of line"),
    "token_of": _("sha256: and 64 lower-case hex digits, the text beside it in the attribute texts"),
    "plain": _("a plain text of {0} characters"),
    "its_text": _("the text of this token in the attribute texts"),
    "texts": _('a string with a JSON object, as {"sha256:…": ["salt of 64 hex digits", "text"]}'),
    "own_texts": _("no texts but those of the event's own tokens"),
    "same_hash": _("a salt and a text with the SHA-256 {0}"),
    "other_hash": _("another SHA-256"),
    "time": _("RFC 3339 with an offset, as 2013-05-06T09:30:00+08:00"),
    "none": _("none: the rulebook has no such list"),
    "one_of": _("one of {0}"),
    "token": _("{0}, as in the subject it came on"),
    "owner": _("a source of the party {0}, whose subject it came on"),
    "target": _("the source of the target, the office that its item went to, or the unit itself"),
    "only": _("only {0}"),
    "fault": _("what the contract asks"),
    "range": Text("{0}"),
    "roster": _("a unit of the roster"),
    "rulebook": _("an item of the rulebook"),
    "first": _("the content that was accepted first"),
    "other": _("other content"),
}


def say(phrase: Phrase, lang: Language = "en") -> str:
    """The words of a phrase."""
    return _phrase(phrase).say(lang)


def _phrase(phrase: Phrase) -> Text:
    key, *gaps = phrase
    return PHRASES[key].of(**{str(n): gap for n, gap in enumerate(gaps)})


def found(value: Any) -> Phrase:
    """What stands in a field, never more than a glimpse of it."""
    if value is ABSENT:
        return ("nothing",)
    if isinstance(value, dict):
        return ("an_object", len(value))
    if isinstance(value, list):
        return ("a_list", len(value))
    return ("value", shortened(value))


def shortened(value: Any) -> str:
    """A value as JSON, cut to a readable length."""
    text = json.dumps(value[: SHOWN_MAX + 1] if isinstance(value, str) else value, ensure_ascii=False)
    return cut(text, SHOWN_MAX)


def cut(text: str, most: int = 200) -> str:
    """Cut a text where it gets too long to read."""
    return text if len(text) <= most else text[:most] + "…"


def message(reason: Reason, path: str | None, expected: Phrase, seen: Phrase, lang: Language = "en") -> str:
    """The sentence of a refusal: what is wrong, where, what was expected and found, and what to do."""
    what, remedy = SENTENCES[reason]
    said = (
        _("{what} ({path}): expected {expected}, found {seen}. {remedy}")
        if path
        else _("{what}: expected {expected}, found {seen}. {remedy}")
    )
    gaps = {"expected": _phrase(expected), "seen": _phrase(seen)}
    return said.of(what=what, path=path and cut(path), remedy=remedy, **gaps).say(lang)
