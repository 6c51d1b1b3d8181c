"""What an event must be: its envelope, the data of each type, the grammar of its texts, and its flat form."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.rulebook import Rulebook

SIZE_MAX = 64 * 1024
OPENED_SIZE_MAX = 1024 * 1024
DEPTH_MAX = 64
TEXT_MAX = 200
PROSE_MAX = 2000
CHARACTERS_MAX = 5000
DECIMAL = r"^(0|[1-9][0-9]*)(\.[0-9]{1,6})?$"
CODE = r"^[A-Za-z0-9_-]{1,64}$"
TIME = (
    r"^([0-9]{4})-([0-9]{2})-([0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(\.[0-9]+)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):([0-5][0-9]))$"
)

Text = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
Prose = Annotated[str, Meta(min_length=1, max_length=PROSE_MAX)]
Decimal = Annotated[str, Meta(pattern=DECIMAL, max_length=TEXT_MAX)]
Code = Annotated[str, Meta(pattern=CODE)]
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


class RatingRecorded(Data, frozen=True):
    """A rating (评分) by one rater; `group`, `component` and `case` only where the item has them."""

    item: Text
    value: Decimal
    rater: Text
    group: Text | UnsetType = UNSET
    component: Text | UnsetType = UNSET
    case: Text | UnsetType = UNSET


class SubmissionRecorded(Data, frozen=True):
    """The length of a unit's year-end summary (总结)."""

    item: Text
    characters: Annotated[int, Meta(ge=0)]


class ItemExempted(Data, frozen=True):
    """An item does not apply to a unit (不适用)."""

    item: Text
    reason: Prose


class ItemClosed(Data, frozen=True):
    """An office has recorded all it has for an item."""

    item: Text


class EventRevoked(Data, frozen=True):
    """A source takes back an event of its own (撤销)."""

    target: Reference
    reason: Prose


class AppealFiled(Data, frozen=True):
    """A unit appeals (申诉) against a deduction or rating of its own."""

    target: Reference
    statement: Prose


class AppealDecided(Data, frozen=True, kw_only=True):
    """The decision on an appeal; `points` only where the outcome is revised."""

    appeal: Reference
    outcome: Literal["upheld", "cancelled", "revised"]
    points: Decimal | UnsetType = UNSET
    reason: Prose


class TieResolved(Data, frozen=True):
    """The order of tied units for an award (奖项)."""

    award: Text
    units: Annotated[list[Text], Meta(min_length=2)]
    reason: Prose


class ReadingAdopted(Data, frozen=True):
    """A choice that the text leaves open is made."""

    reading: Text
    value: Text
    reason: Prose


class StageReached(Data, frozen=True):
    """The assessment has reached a stage."""

    stage: Literal["daily_closed", "year_end_closed", "publicised", "finalised"]


class RosterRow(Data, frozen=True):
    """A unit (单位) as the opening carries it."""

    unit: Code
    name: Text
    category: Text
    group: Text


class AssessmentOpened(Data, frozen=True):
    """The first event of a ledger, with all that is needed to replay it."""

    assessment: Code
    rulebook: Rulebook
    roster: Annotated[list[RosterRow], Meta(min_length=1)]


#: The data of each type, in the order of the contract; the order of the fields is that of the checks.
TYPES: dict[str, type[Data]] = {
    "deduction.recorded.v1": DeductionRecorded,
    "rating.recorded.v1": RatingRecorded,
    "submission.recorded.v1": SubmissionRecorded,
    "item.exempted.v1": ItemExempted,
    "item.closed.v1": ItemClosed,
    "event.revoked.v1": EventRevoked,
    "appeal.filed.v1": AppealFiled,
    "appeal.decided.v1": AppealDecided,
    "tie.resolved.v1": TieResolved,
    "reading.adopted.v1": ReadingAdopted,
    "stage.reached.v1": StageReached,
    "assessment.opened.v1": AssessmentOpened,
}
#: Types whose subject is the assessment itself.
OPENED = "assessment.opened.v1"
YEAR = frozenset({"item.closed.v1", "tie.resolved.v1", "reading.adopted.v1", "stage.reached.v1", OPENED})

D = TypeVar("D", bound=Data)


class Envelope(Struct, Generic[D], frozen=True):
    """A CloudEvents 1.0 event in structured JSON; attributes that it does not name may stand beside these."""

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    subject: Text
    time: Time
    data: D


class Event(Struct, frozen=True, gc=False):
    """An event that passed the checks of intake, flat: one attribute a column of the ledger's table, in its order.

    `occurred` is the instant of `time` as text that sorts. Of a decision, target_source and target_id are those of its
    appeal; `reason` holds a statement too.
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
    component: str | None = None
    case_name: str | None = None
    value: str | None = None
    target_source: str | None = None
    target_id: str | None = None
    outcome: str | None = None
    award: str | None = None
    units: tuple[str, ...] | None = None
    reading: str | None = None
    reading_value: str | None = None
    stage: str | None = None
    characters: int | None = None
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
