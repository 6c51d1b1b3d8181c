"""The command `appeal`: files a unit's appeal (申诉) against one of its lines, as its statement names it."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Literal, NamedTuple

import duckdb
import msgspec

from infra.rights import key_file
from schemas import subjects
from schemas.events import Event
from schemas.refusals import Refusal
from schemas.rulebook import zh
from schemas.words import Both, Language, Text, _
from schemas.year import Year
from services.command.options import Lang
from services.ingest.check import Checker
from services.office.emit import Judged, Line, checked, deliver, outcome, show, signed
from services.office.sheet import identifier
from services.process.ending import Exit, Stop
from services.process.settings import language, read
from services.reports.appeals import copy
from services.scorer import store
from services.snapshot import held, point
from services.snapshot.make import latest

FILED = "appeal.filed.v1"
CHINA = timezone(timedelta(hours=8))
TEXT: dict[str, Text] = {
    "late": _(
        "The time for an appeal against sequence {target} ended on {until} (UTC). Nothing was "
        "sent. A late appeal is filed with --late: it is shown as late, and the appeals office "
        "decides."
    ),
    "no_key": _(
        "Not sent: {unit} has no key here, {path} is not there. A unit's own key goes there; of "
        "a unit that joined in the year `wuxing keys add` makes one."
    ),
    "void": _("Not sent, it would be void: {why}; `wuxing explain {unit}` shows which lines can be appealed."),
}


class Target(NamedTuple):
    """The event that is appealed, and until when (UTC) an appeal against it is in time; null where nothing says."""

    source: str
    id: str
    until: datetime | None


def appeal(  # noqa: PLR0913 - each is an option of the command
    unit: str,
    *,
    target: int,
    statement: str,
    late: bool = False,
    format: Literal["json", "table"] = "json",  # noqa: A002 - the word of `wuxing emit`
    wait: float = 30,
    lang: Lang = None,
) -> int:
    """File a unit's appeal against a line of its statement, with the unit's own key, and print the receipt.

    Example: wuxing appeal U042 --target 212 --statement "Answered on 2 May, receipt enclosed"

    Parameters
    ----------
    unit
        The unit's code; its key lies in the data folder.
    target
        The sequence of the line, as the statement has it.
    statement
        Why, 1 to 2,000 characters.
    late
        File it although the time for an appeal is over.
    format
        The receipt as JSON, or a table to read.
    wait
        Seconds of silence after which the receipt is no longer waited for.
    """
    known, chosen = read(), language(lang)
    now = datetime.now(UTC)
    with point.snapshot(latest(known.snapshots)) as con:
        year = year_of(con, known.assessment)
        _known(con, year, unit)
        found = _target(con, unit, target)
        raw = signed(known, year, unit, _event(unit, found, statement, now))
        checker = Checker(year.rulebook, year.roster, chosen, keys=year.keys)
        for change in store.changes(con):
            checker.apply(change)
        judged = checked(known, checker, raw, None)
        if isinstance(judged, Refusal) and not (path := key_file(known.data, unit)).is_file():
            judged = msgspec.structs.replace(judged, message=TEXT["no_key"].of(unit=unit, path=path).say(chosen))
        one = Judged(1, None, raw, judged)
        refused = _refused(con, one, found, target, chosen, now=None if late else now)
    lines = [refused] if refused else deliver(known, [one], None, wait, chosen)
    show(lines, None, format, chosen)
    return outcome(lines, wait, chosen)


def year_of(con: duckdb.DuckDBPyConnection, assessment: str) -> Year:
    """The year of the latest snapshot; raises Stop where that is of another assessment."""
    year = point.year(con)
    if year.assessment != assessment:
        raise Stop(
            Exit.USE,
            _(
                "The latest snapshot is of {assessment}, not of {asked}: set WUXING_ASSESSMENT or WUXING_DATA.",
                assessment=year.assessment,
                asked=assessment,
            ),
        )
    return year


def _known(con: duckdb.DuckDBPyConnection, year: Year, unit: str) -> None:
    """There is such a unit, and appeals are decided here."""
    if not con.execute(f"SELECT 1 FROM {held.NAME}.unit_in_force WHERE unit = ?", [unit]).fetchall():
        raise Stop(Exit.USE, _("{unit}: there is no such unit in the roster", unit=unit))
    if year.rulebook.roles.appeals is None:
        raise Stop(
            Exit.NO,
            _(
                "{rulebook} names no office for appeals: there are none in this assessment",
                rulebook=Both(year.rulebook.id, zh(year.rulebook.name)),
            ),
        )


def _target(con: duckdb.DuckDBPyConnection, unit: str, target: int) -> Target:
    """The event of a sequence; raises Stop where the ledger has none."""
    row = con.execute(
        f"SELECT e.source, e.id, a.appeal_until FROM event AS e LEFT JOIN {held.NAME}.appealable AS a ON a.seq = e.seq"
        " WHERE e.seq = ? AND e.admission <> 'conflict'",
        [target],
    ).fetchone()
    if row is None:
        raise Stop(
            Exit.NO,
            _(
                "The ledger has no event of sequence {target} (as of {con}): see `wuxing explain {unit}`.",
                target=target,
                con=point.last(con),
                unit=unit,
            ),
        )
    return Target(row[0], row[1], row[2] and row[2].replace(tzinfo=UTC))


def _event(unit: str, target: Target, statement: str, now: datetime) -> bytes:
    """The appeal, dated now; its id is that of its content."""
    content = {
        "type": FILED,
        "subject": unit,
        "time": now.astimezone(CHINA).isoformat(timespec="seconds"),
        "data": {"target": {"source": target.source, "id": target.id}, "statement": statement},
    }
    head = {"specversion": "1.0", "id": identifier(content), "source": subjects.UNITS + unit}
    return msgspec.json.encode(head | content)


def _refused(  # noqa: PLR0913 - what it is judged by
    con: duckdb.DuckDBPyConnection, one: Judged, target: Target, sequence: int, lang: Language, *, now: datetime | None
) -> Line | None:
    """Why the appeal is not sent: the checks refuse it, the fold would hold it void, or with `now` it is late."""
    found = one.found
    if isinstance(found, Refusal):
        return Line(
            1, None, found.source, found.id, "refused", reason=found.reason, path=found.path, message=found.message
        )
    if void := _void(con, found, lang):
        reason, words = void[0], TEXT["void"].of(why=void[1], unit=found.subject).say(lang)
    elif now and target.until and now > target.until:
        reason, words = "late", TEXT["late"].of(target=sequence, until=f"{target.until:%Y-%m-%d %H:%M}").say(lang)
    else:
        return None
    return Line(1, None, found.source, found.id, "refused", reason=reason, message=words)


def _void(con: duckdb.DuckDBPyConnection, event: Event, lang: Language) -> tuple[str, str] | None:
    """Why the fold would hold an event void, by name and in words: it is judged after the ledger, in a copy."""
    last = point.last(con)
    with copy(con, last) as fresh:
        store.append(fresh, store.table([last + 1], [None], [event], [b""]))
        row: tuple[str, str] | None = fresh.execute(
            f"SELECT void_reason, void_{lang}(void_reason, void_detail) FROM event"
            f" WHERE seq = {last + 1} AND admission = 'void'"
        ).fetchone()
    return row
