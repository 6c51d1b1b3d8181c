"""The command `erase`: orders, as the collecting office, that an event's texts go, and says what that cannot reach."""

import sys
from datetime import datetime
from typing import Any, Literal, NamedTuple

import duckdb
import msgspec

from schemas import subjects
from schemas.events import ERASED
from schemas.words import _
from schemas.year import Year
from services.command.options import Lang
from services.ingest.check import Checker
from services.office.appeal import CHINA, year_of
from services.office.emit import Judged, checked, deliver, outcome, show, signed
from services.office.erasing import BEYOND, tokens, told
from services.office.sheet import identifier
from services.process.ending import Exit, Stop
from services.process.settings import language, read
from services.scorer import store
from services.site.asking import agreed
from services.site.years import archived
from services.snapshot import point
from services.snapshot.make import latest


class Target(NamedTuple):
    """The event whose texts go: its sequence, what identifies it, its unit."""

    seq: int
    source: str
    id: str
    unit: str


def erase(  # noqa: PLR0913 - each is an option of the command
    sequence: int | None = None,
    *,
    source: str | None = None,
    id: str | None = None,  # noqa: A002 - the word of the contract
    reason: str,
    yes: bool = False,
    format: Literal["json", "table"] = "json",  # noqa: A002 - the word of `wuxing emit`
    wait: float = 30,
    lang: Lang = None,
) -> int:
    """Order, as the collecting office, that the texts of an event are erased; every proof goes on holding.

    A rater's name goes with it wherever it stands. The order is an event, and nobody can take it back.

    Example: wuxing erase 55 --reason "On request of 2014-03-01" --yes

    Parameters
    ----------
    sequence
        The event by its sequence, as the statement has it.
    source
        Or by what identifies it, /offices/… or /units/…, with --id.
    id
        See --source.
    reason
        Why, 1 to 2,000 characters. It stays in the ledger for ever: name no person in it.
    yes
        Do not ask.
    format
        The receipt as JSON, or a table to read.
    wait
        Seconds of silence after which the receipt is no longer waited for.
    """
    known, chosen = read(), language(lang)
    if archived(known.data).exists():
        raise Stop(
            Exit.NO,
            _(
                "{assessment} is archived, and its ledger takes no order: a text of it is gone when nobody has it any"
                " more. docs/personal-data.md says what to delete, and what then still proves the year.",
                assessment=known.assessment,
            ),
        )
    with point.snapshot(latest(known.snapshots)) as con:
        year = _year(con, known.assessment)
        found = _target(con, year, sequence, source, id)
        goes = told(con, year.rulebook.out_of_line, found.source, found.id, chosen)
        print("\n".join([*goes, BEYOND.say(chosen)]), file=sys.stderr)
        if not yes and not agreed(chosen):
            return Exit.NO
        raw = signed(known, year, year.rulebook.roles.collector, _order(year, found, reason))
        checker = Checker(year.rulebook, year.roster, chosen, keys=year.keys)
        for change in store.changes(con):
            checker.apply(change)
        one = Judged(1, None, raw, checked(known, checker, raw, None))
    lines = deliver(known, [one], None, wait, chosen)
    show(lines, None, format, chosen)
    return outcome(lines, wait, chosen)


def _year(con: duckdb.DuckDBPyConnection, assessment: str) -> Year:
    year = year_of(con, assessment)
    if not year.rulebook.out_of_line:
        raise Stop(
            Exit.NO,
            _(
                "{rulebook} has no texts out of line (out_of_line): what an event says is in it for ever.",
                rulebook=year.rulebook.id,
            ),
        )
    return year


def _target(
    con: duckdb.DuckDBPyConnection, year: Year, sequence: int | None, source: str | None, id_: str | None
) -> Target:
    """The event that is named, the first of its source and id; raises Stop where there is none, or has no such text."""
    if (sequence is None) == (source is None) or (source is None) != (id_ is None):
        raise Stop(
            Exit.USE,
            _("Name the event by its sequence, or by --source and --id."),
        )
    key = "(?, ?)" if sequence is None else "(SELECT (source, id) FROM event WHERE seq = ?)"
    rows = con.execute(
        f"SELECT seq, source, id, unit FROM event WHERE (source, id) = {key} ORDER BY seq LIMIT 1",
        [source, id_] if sequence is None else [sequence],
    ).fetchall()
    if not rows:
        raise Stop(
            Exit.NO,
            _("The ledger has no such event (as of {last}).", last=point.last(con)),
        )
    found = Target(*rows[0])
    if not tokens(con, year.rulebook.out_of_line, found.source, found.id):
        raise Stop(
            Exit.NO,
            _("The event of sequence {sequence} has no text out of line.", sequence=found.seq),
        )
    return found


def _order(year: Year, found: Target, reason: str) -> bytes:
    """The order, dated now; its id is that of its content."""
    content: dict[str, Any] = {
        "type": ERASED,
        "subject": found.unit,
        "time": datetime.now(CHINA).isoformat(timespec="seconds"),
        "data": {"target": {"source": found.source, "id": found.id}, "reason": reason},
    }
    head = {
        "specversion": "1.0",
        "id": identifier(content),
        "source": subjects.OFFICES + year.rulebook.roles.collector,
    }
    return msgspec.json.encode(head | content)
