"""What an event must be: its envelope, the data of each type, the grammar of its texts, and its flat form."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, field

from schemas.rulebook import Rulebook

SIZE_MAX = 64 * 1024
OPENED_SIZE_MAX = 1024 * 1024
DEPTH_MAX = 64
TEXT_MAX = 200
PROSE_MAX = 2000
DECIMAL = r"^(0|[1-9][0-9]*)(\.[0-9]{1,6})?$"
#: Where a minus is allowed: values, attributes, and the points of a decision on a rating.
SIGNED = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,6})?$"
CODE = r"^[A-Za-z0-9_-]{1,64}$"
PARTY = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
TIME = (
    r"^([0-9]{4})-([0-9]{2})-([0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(\.[0-9]+)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):([0-5][0-9]))$"
)

Text = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
Prose = Annotated[str, Meta(min_length=1, max_length=PROSE_MAX)]
Decimal = Annotated[str, Meta(pattern=DECIMAL, max_length=TEXT_MAX)]
Signed = Annotated[str, Meta(pattern=SIGNED, max_length=TEXT_MAX)]
Code = Annotated[str, Meta(pattern=CODE)]
Party = Annotated[str, Meta(pattern=PARTY)]
#: A group may be empty where the rulebook has none.
Group = Annotated[str, Meta(max_length=TEXT_MAX)]
Time = Annotated[str, Meta(pattern=TIME, max_length=TEXT_MAX)]
Evidence = Annotated[list[Annotated[str, Meta(min_length=1, max_length=500)]], Meta(max_length=32)]


class Data(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all data: a field that the type does not have is refused, one that is not set is left out."""


class Reference(Data, frozen=True):
    """An event, named by the pair that identifies it for ever."""

    source: Text
    id: Text


class DeductionRecorded(Data, frozen=True, kw_only=True):
    """A deduction (扣分): `points` only where the ground has a range, `node` only where the item has nodes."""

    item: Text
    matter: Text
    ground: Text
    points: Decimal | UnsetType = UNSET
    node: Text | UnsetType = UNSET
    reason: Prose
    evidence: Evidence | UnsetType = UNSET


class BonusRecorded(DeductionRecorded, frozen=True, kw_only=True):
    """A bonus (加分): the same, on a ground that adds."""


class RatingRecorded(Data, frozen=True):
    """A rating (评分) by one rater; `measure`, `group`, `case` and `period` only where the item has them."""

    item: Text
    value: Signed
    rater: Text
    measure: Text | UnsetType = UNSET
    group: Text | UnsetType = UNSET
    case: Text | UnsetType = UNSET
    period: Text | UnsetType = UNSET


class SubmissionRecorded(Data, frozen=True):
    """The length of what a unit handed in (总结) for an item with `characters`."""

    item: Text
    characters: Annotated[int, Meta(ge=0)]


class ItemExempted(Data, frozen=True):
    """An item does not apply to a unit (不适用)."""

    item: Text
    reason: Prose


class ItemClosed(Data, frozen=True):
    """An office has recorded all it has for an item."""

    item: Text


class FactRecorded(Data, frozen=True):
    """A fact (事实): the number that an attribute (属性) of a unit is from now on."""

    attribute: Text
    value: Signed
    reason: Prose


class VetoRecorded(Data, frozen=True):
    """A veto (一票否决) on a unit."""

    veto: Text
    reason: Prose
    evidence: Evidence | UnsetType = UNSET


class ApprovalRecorded(Data, frozen=True):
    """An entry on a ground with approval is approved or rejected (审批)."""

    target: Reference
    outcome: Literal["approved", "rejected"]
    reason: Prose


class EventRevoked(Data, frozen=True):
    """A source takes back an event of its own (撤销), or the office that an item went to one of the office before."""

    target: Reference
    reason: Prose


class TextErased(Data, frozen=True):
    """The texts that stand out of line of an event, and of every other with their token, are erased (删除)."""

    target: Reference
    reason: Prose


class AppealFiled(Data, frozen=True):
    """A unit appeals (申诉) against an entry, a rating or a veto of its own."""

    target: Reference
    statement: Prose


class AppealDecided(Data, frozen=True, kw_only=True):
    """The decision on an appeal; `points` only where the outcome is revised."""

    appeal: Reference
    outcome: Literal["upheld", "cancelled", "revised"]
    points: Signed | UnsetType = UNSET
    reason: Prose


class TieResolved(Data, frozen=True):
    """The order of tied units for a grade (等次)."""

    grade: Text
    units: Annotated[list[Text], Meta(min_length=2)]
    reason: Prose


class ReadingAdopted(Data, frozen=True):
    """A choice that the text leaves open is made."""

    reading: Text
    value: Text
    reason: Prose


class UnitChanged(Data, frozen=True, kw_only=True):
    """A unit joins (all its data), is renamed (`name`), is moved (`category`, `group`), or leaves."""

    change: Literal["joined", "renamed", "moved", "left"]
    name: Text | UnsetType = UNSET
    category: Text | UnsetType = UNSET
    group: Group | UnsetType = UNSET
    attributes: dict[str, Signed] | UnsetType = UNSET
    reason: Prose


class ItemTransferred(Data, frozen=True):
    """An office's part of an item goes to another office (职责划转)."""

    item: Text
    from_: Party = field(name="from")
    to: Party
    reason: Prose


class KeyChanged(Data, frozen=True):
    """The public nkey of an office or unit, in force for what follows."""

    party: Party
    key: Text
    reason: Prose


class StageReached(Data, frozen=True):
    """The assessment has reached a stage of its rulebook, or `finalised`."""

    stage: Text


class RosterRow(Data, frozen=True):
    """A unit (单位) as the opening carries it."""

    unit: Party
    name: Text
    category: Text
    group: Group
    attributes: dict[str, Signed] | UnsetType = UNSET


class AssessmentOpened(Data, frozen=True):
    """The first event of a ledger, with all that is needed to replay it; `synthetic`: its units are made up."""

    assessment: Code
    rulebook: Rulebook
    roster: Annotated[list[RosterRow], Meta(min_length=1)]
    synthetic: bool | UnsetType = UNSET
    keys: dict[str, str] | UnsetType = UNSET


#: The data of each type, in the order of the contract; the order of the fields is that of the checks.
TYPES: dict[str, type[Data]] = {
    "deduction.recorded.v1": DeductionRecorded,
    "bonus.recorded.v1": BonusRecorded,
    "rating.recorded.v1": RatingRecorded,
    "submission.recorded.v1": SubmissionRecorded,
    "item.exempted.v1": ItemExempted,
    "item.closed.v1": ItemClosed,
    "fact.recorded.v1": FactRecorded,
    "veto.recorded.v1": VetoRecorded,
    "approval.recorded.v1": ApprovalRecorded,
    "event.revoked.v1": EventRevoked,
    "appeal.filed.v1": AppealFiled,
    "appeal.decided.v1": AppealDecided,
    "tie.resolved.v1": TieResolved,
    "reading.adopted.v1": ReadingAdopted,
    "unit.changed.v1": UnitChanged,
    "item.transferred.v1": ItemTransferred,
    "key.changed.v1": KeyChanged,
    "stage.reached.v1": StageReached,
    "text.erased.v1": TextErased,
    "assessment.opened.v1": AssessmentOpened,
}
OPENED = "assessment.opened.v1"
#: The order by which texts go (`schemas.texts`).
ERASED = "text.erased.v1"
#: What changes by what the events after it are checked.
CHANGES = ("unit.changed.v1", "item.transferred.v1", "key.changed.v1")
#: Types whose subject is the assessment itself.
YEAR = frozenset({
    "item.closed.v1", "tie.resolved.v1", "reading.adopted.v1", "item.transferred.v1", "key.changed.v1",
    "stage.reached.v1", OPENED,
})  # fmt: skip

D = TypeVar("D", bound=Data)


class Envelope(Struct, Generic[D], frozen=True):
    """A CloudEvents 1.0 event in structured JSON; attributes that it does not name may stand beside these.

    `signature`: base64 of Ed25519 by the party's own nkey over the RFC 8785 form of the event without it.
    """

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    subject: Text
    time: Time
    data: D
    signature: str | UnsetType = UNSET


class Event(Struct, frozen=True, gc=False):
    """An event that passed the checks of intake, flat: one attribute a column of the ledger's table, in its order.

    `occurred` is the instant of `time` as text that sorts. Of a decision, target_source and target_id are those of its
    appeal; `reason` holds a statement too. `value` is the number of a fact, `attributes` a JSON object as text.
    """

    source: str
    id: str
    type: str
    subject: str
    time: str
    occurred: str
    item: str | None = None
    matter: str | None = None
    ground: str | None = None
    node: str | None = None
    points: str | None = None
    rater: str | None = None
    rater_group: str | None = None
    measure: str | None = None
    case_name: str | None = None
    period: str | None = None
    value: str | None = None
    target_source: str | None = None
    target_id: str | None = None
    outcome: str | None = None
    grade: str | None = None
    units: tuple[str, ...] | None = None
    reading: str | None = None
    reading_value: str | None = None
    stage: str | None = None
    characters: int | None = None
    attribute: str | None = None
    veto: str | None = None
    change: str | None = None
    name: str | None = None
    category: str | None = None
    unit_group: str | None = None
    attributes: str | None = None
    from_office: str | None = None
    to_office: str | None = None
    party: str | None = None
    party_key: str | None = None
    reason: str | None = None


_TIME = re.compile(TIME.strip("^$"))
_SECONDS = frozenset(f":{second:02}" for second in range(60))
_KEPT_MAX = 1 << 16
_minutes: dict[str, str] = {}
_instants: dict[str, str] = {}


def instant(time: str) -> str | None:
    """The instant of an RFC 3339 time in UTC, as text that sorts by time; null where it is no such time.

    `YYYY-MM-DDTHH:MM:SS[.fraction]` without Z or trailing zeros. An offset may lead out of the years 0000 to 9999:
    before them the year is -0001, after them the hours of the last day go on beyond 23; both sort.
    """
    found = _instants.get(time)
    if found is not None:
        return found
    minute = _minutes.get(time[:16] + time[19:])
    if minute is not None and (second := time[16:19]) in _SECONDS:
        return _kept(_instants, time, minute + second)
    match = _TIME.fullmatch(time)
    if match is None or len(time) > TEXT_MAX or (minute := _utc(match)) is None:
        return None
    fraction = match[7] or ""
    if not fraction:
        _kept(_minutes, time[:16] + time[19:], minute)
    return f"{minute}:{match[6]}{fraction.rstrip('0').rstrip('.')}"


def day(time: str | None) -> str:
    """The day in Beijing (+08:00) of a time as it was sent or recorded: one moment has one day, whatever its offset.

    Of what is no time, or outside the years of the calendar, the first ten characters.
    """
    moment = instant(time) if time else None
    try:
        return str((datetime.fromisoformat(moment[:16]) + timedelta(hours=8)).date()) if moment else (time or "")[:10]
    except (ValueError, OverflowError):
        return (time or "")[:10]


def _kept(memo: dict[str, str], key: str, value: str) -> str:
    """The value, remembered: times come again and again, and their minutes even where they don't."""
    if len(memo) >= _KEPT_MAX:
        memo.clear()
    memo[key] = value
    return value


def _utc(match: re.Match[str]) -> str | None:
    """The minute in UTC; years move by 400, a whole cycle of the calendar, to where Python's datetime knows them."""
    year, month, day, hour, minute = map(int, match.group(1, 2, 3, 4, 5))
    cycle = 400 if year < 5000 else -400
    try:
        local = datetime(year + cycle, month, day, hour, minute)  # noqa: DTZ001 - the offset is taken off below
    except ValueError:
        return None
    ahead = timedelta() if match[8] == "Z" else timedelta(hours=int(match[9]), minutes=int(match[10]))
    utc = local + ahead if match[8][0] == "-" else local - ahead
    if utc.year - cycle > 9999:
        return f"9999-12-31T{utc.hour + 24:02}:{utc.minute:02}"
    year = utc.year - cycle
    return f"{'-' if year < 0 else ''}{abs(year):04}-{utc.month:02}-{utc.day:02}T{utc.hour:02}:{utc.minute:02}"
