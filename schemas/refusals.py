"""Why an event is refused: the reasons in their order of precedence, and the sentences that say so in two languages."""

import json
from enum import StrEnum
from typing import Any, Literal

import msgspec

Language = Literal["en", "zh"]
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


#: What is wrong and what to do, by reason: (English, Chinese) of each.
SENTENCES: dict[Reason, tuple[tuple[str, str], tuple[str, str]]] = {
    Reason.TOO_LARGE: (
        ("The event is too large", "事件过大"),
        ("Move long texts into documents and cite them under evidence.", "请把长文放入附件，在evidence中注明。"),
    ),
    Reason.NOT_JSON: (
        ("This is not strict JSON", "不是严格的JSON"),
        ("Write one JSON object in UTF-8, each key once.", "请用UTF-8写一个JSON对象，键不得重复。"),
    ),
    Reason.NOT_CLOUDEVENT: (
        ("This is not a CloudEvents 1.0 event", "不是CloudEvents 1.0事件"),
        ("Give specversion, id, source and type as strings.", "请以字符串给出specversion、id、source和type。"),
    ),
    Reason.UNKNOWN_TYPE: (
        ("The type of event is not known", "事件类型未知"),
        ("Use a type of the contract, with its version.", "请使用约定的类型，并带版本号。"),
    ),
    Reason.BAD_FIELD: (
        ("A field is missing or malformed", "字段缺失或格式不符"),
        ("Correct it and send the event again.", "请更正后重新发送。"),
    ),
    Reason.UNKNOWN_FIELD: (
        ("There is a field that has no place here", "有此处不应有的字段"),
        ("Take it out and send the event again.", "请删去后重新发送。"),
    ),
    Reason.NOT_OPEN: (
        ("The assessment is not open yet", "本考核尚未启动"),
        ("Send it again when the collecting office has opened the year.", "请待汇总单位启动本年度后重新发送。"),
    ),
    Reason.SOURCE_NOT_AUTHORISED: (
        ("The source may not send this", "来源无权发送"),
        ("Let the office that owns the item send it, with its own key.", "请由该项目的考核责任单位用自己的密钥发送。"),
    ),
    Reason.NOT_SIGNED: (
        ("The event is not signed as it must be", "事件未按要求签名"),
        ("Sign it with the party's own key, the one in force.", "请用本单位现行有效的密钥签名。"),
    ),
    Reason.UNKNOWN_UNIT: (
        ("The unit is not on the roster", "单位不在名单中"),
        ("Check the unit's code against the roster.", "请对照名单核对单位代码。"),
    ),
    Reason.UNKNOWN_ITEM: (
        ("The item is not in the rulebook", "考核细则中没有该项目"),
        ("Check the item's code against the rulebook.", "请对照考核细则核对项目代码。"),
    ),
    Reason.NOT_APPLICABLE: (
        ("The item does not apply to the unit", "该项目不适用于此单位"),
        ("Choose an item that applies to the unit's category and group.", "请选用适用于该单位类别和分组的项目。"),
    ),
    Reason.WRONG_KIND: (
        ("The rulebook takes no such event here", "考核细则在此处不接受此类事件"),
        ("Send an event of the type that the item takes.", "请按该项目的计分方式发送相应类型的事件。"),
    ),
    Reason.UNKNOWN_GROUND: (
        ("The item has no such ground", "该项目没有此情形"),
        ("Choose a ground of this item.", "请选用该项目的情形。"),
    ),
    Reason.POINTS_OUT_OF_RANGE: (
        ("The points are outside the ground's range", "分值超出该情形的幅度"),
        ("Give points within the range.", "请给出幅度之内的分值。"),
    ),
    Reason.VALUE_OUT_OF_RANGE: (
        ("The value is outside its range", "数值超出范围"),
        ("Give a value within the range.", "请给出范围之内的数值。"),
    ),
    Reason.CONFLICT: (
        ("Another event holds this source and id", "此来源和编号已为另一事件所用"),
        ("Send the event again under a new id.", "请换新编号重新发送。"),
    ),
}

#: What is expected or found, (English, Chinese).
PHRASES: dict[str, tuple[str, str]] = {
    "value": ("{0}", "{0}"),
    "nothing": ("nothing", "空缺"),
    "an_object": ("an object with {0} keys", "有{0}个键的对象"),
    "a_list": ("a list of {0}", "有{0}项的列表"),
    "bytes": ("at most {0} bytes", "至多{0}字节"),
    "bytes_found": ("{0}", "{0}字节"),
    "json": ("JSON as of RFC 8259", "RFC 8259的JSON"),
    "not_utf8": ("a byte that is not UTF-8 at {0}", "第{0}字节不是UTF-8"),
    "byte_order_mark": ("a byte order mark", "字节顺序标记"),
    "repeated_key": ("the key {0} twice in one object", "同一对象中键{0}重复"),
    "constant": ("{0}, which is no JSON number", "{0}，不是JSON数字"),
    "surrogate": ("half of a surrogate pair", "不成对的代理码位"),
    "depth": ("nesting deeper than {0}", "嵌套超过{0}层"),
    "syntax": ("an error at character {0}: {1}", "第{0}字符有误：{1}"),
    "object": ("a JSON object", "JSON对象"),
    "text": ("a string of 1 to {0} characters", "1至{0}个字符的字符串"),
    "decimal": (
        'a plain decimal in a string, as "1" or "0.5", of at most 6 decimals',
        "写成字符串的十进制数，如“1”“0.5”，至多6位小数",
    ),
    "signed": (
        'a plain decimal in a string, as "1" or "-0.5", of at most 6 decimals',
        "写成字符串的十进制数，如“1”“-0.5”，至多6位小数",
    ),
    "boolean": ("true or false", "true或false"),
    "integer": ("a JSON integer of 0 or more", "不小于0的JSON整数"),
    "entries": ("a list of at most {0} entries", "至多{0}项的列表"),
    "units": ("a list of two or more units, each once", "两个以上且不重复的单位列表"),
    "code": ("1 to 64 letters, digits, _ or -", "1至64个字母、数字、_或-"),
    "party": ("1 to 64 letters, digits, _ or -, first a letter or digit", "1至64个字母、数字、_或-，以字母或数字开头"),
    "new_unit": ("a code that is neither an office's nor assessment", "既非责任单位代码亦非assessment的代码"),
    "office_or_unit": ("an office of the rulebook or a unit of the roster", "考核细则中的责任单位或名单中的单位"),
    "nkey": ("a public nkey", "nkey公钥"),
    "attributes": ("an object of numbers as strings", "以字符串写数值的对象"),
    "open": ("assessment.opened.v1 first", "先有assessment.opened.v1"),
    "signature": ("the signature of {0} over this event", "{0}对此事件的签名"),
    "key": ("a key of {0} in force", "{0}现行有效的密钥"),
    "applies": ("an item that is for its category and group", "适用于其类别和分组的项目"),
    "no_appeals": ("no appeals: the rulebook gives nobody to decide them", "不发申诉：考核细则未指定申诉裁决单位"),
    "no_approvals": ("no approvals: no ground needs one", "不发审批：没有须经审批的情形"),
    "no_texts": ("no order to erase: the rulebook has no texts out of line", "不发删除决定：考核细则没有行外文本"),
    "token_of": (
        "sha256: and 64 lower-case hex digits, the text beside it in the attribute texts",
        "sha256:加64位小写十六进制数，文本另附于texts属性",
    ),
    "plain": ("a plain text of {0} characters", "{0}个字符的明文"),
    "its_text": ("the text of this token in the attribute texts", "texts属性中有此标记的文本"),
    "texts": (
        'a string with a JSON object, as {{"sha256:…": ["salt of 64 hex digits", "text"]}}',
        '内含JSON对象的字符串，如{{"sha256:…": ["64位十六进制盐值", "文本"]}}',
    ),
    "own_texts": ("no texts but those of the event's own tokens", "只附本事件标记的文本"),
    "same_hash": ("a salt and a text with the SHA-256 {0}", "SHA-256为{0}的盐值与文本"),
    "other_hash": ("another SHA-256", "不同的SHA-256"),
    "time": (
        "RFC 3339 with an offset, as 2013-05-06T09:30:00+08:00",
        "带时区的RFC 3339时间，如2013-05-06T09:30:00+08:00",
    ),
    "none": ("none: the rulebook has no such list", "无：考核细则没有这一项"),
    "one_of": ("one of {0}", "其中之一：{0}"),
    "token": ("{0}, as in the subject it came on", "{0}，与其发送主题一致"),
    "owner": ("a source of the party {0}, whose subject it came on", "发送主题所属的{0}"),
    "target": (
        "the source of the target, the office that its item went to, or the unit itself",
        "原事件的来源、承接其项目的责任单位或本单位",
    ),
    "only": ("only {0}", "仅限{0}"),
    "fault": ("what the contract asks", "符合约定"),
    "range": ("{0}", "{0}"),
    "roster": ("a unit of the roster", "名单中的单位"),
    "rulebook": ("an item of the rulebook", "考核细则中的项目"),
    "first": ("the content that was accepted first", "最先受理的内容"),
    "other": ("other content", "不同的内容"),
}


def say(phrase: Phrase, lang: Language = "en") -> str:
    """The words of a phrase."""
    key, *gaps = phrase
    return PHRASES[key][lang == "zh"].format(*gaps)


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
    what, remedy = (pair[lang == "zh"] for pair in SENTENCES[reason])
    path = path and cut(path)
    if lang == "zh":
        return f"{what}{f'（{path}）' if path else ''}：应为{say(expected, lang)}，实为{say(seen, lang)}。{remedy}"
    return f"{what}{f' ({path})' if path else ''}: expected {say(expected)}, found {say(seen)}. {remedy}"
