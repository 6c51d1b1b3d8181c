"""The command `erase`: orders, as the collecting office, that an event's texts go, and says what that cannot reach."""

import sys
from datetime import datetime
from typing import Any, Literal, NamedTuple

import duckdb
import msgspec

from schemas import subjects, texts
from schemas.events import ERASED
from schemas.raw import read as read_raw
from schemas.refusals import cut
from schemas.words import Language, _
from schemas.year import Year
from services.command.options import Lang
from services.command.typeset import clean
from services.ingest.check import Checker
from services.office.appeal import CHINA, year_of
from services.office.emit import Judged, checked, deliver, outcome, show, signed
from services.office.sheet import identifier
from services.process.ending import Exit, Stop
from services.process.settings import language, read
from services.scorer import store
from services.site.asking import agreed
from services.snapshot import point
from services.snapshot import texts as shelf
from services.snapshot.make import latest

SHOWN_MAX = 60
#: What an order does, and what none reaches.
BEYOND = _(
    "Once the order is in the ledger, ingest overwrites the texts in the broker's store, the next snapshot is"
    " without them, and the ranker deletes older snapshots in its folder that hold them. Not reached, and to be deleted"
    " by who has them: backups, archives, copies of snapshots, statements and bundles that were given away, the"
    " office's own files, and the secret keys/OFFICE.salt, with which a text can be found again by guessing."
)


class Target(NamedTuple):
    """The event whose texts go: its sequence, what identifies it, its unit, and its tokens by their fields."""

    seq: int
    source: str
    id: str
    unit: str
    tokens: dict[str, str]


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
    with point.snapshot(latest(known.snapshots)) as con:
        year = _year(con, known.assessment)
        found = _target(con, year, sequence, source, id)
        print("\n".join([*_told(con, found, chosen), BEYOND.say(chosen)]), file=sys.stderr)
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
    """The event that is named, with the tokens of all that have its source and id; raises Stop where there is none."""
    if (sequence is None) == (source is None) or (source is None) != (id_ is None):
        raise Stop(
            Exit.USE,
            _("Name the event by its sequence, or by --source and --id."),
        )
    rows = con.execute(
        "SELECT seq, source, id, unit, raw FROM event WHERE (source, id) = (?, ?) ORDER BY seq"
        if sequence is None
        else "SELECT seq, source, id, unit, raw FROM event"
        " WHERE (source, id) IN (SELECT (source, id) FROM event WHERE seq = ?) ORDER BY seq",
        [source, id_] if sequence is None else [sequence],
    ).fetchall()
    if not rows:
        raise Stop(
            Exit.NO,
            _("The ledger has no such event (as of {last}).", last=point.last(con)),
        )
    tokens = {
        token: path.removeprefix("data.")
        for *__, raw in rows
        for path, token in texts.tokens(read_raw(raw), year.rulebook.out_of_line).items()
    }
    if not tokens:
        raise Stop(
            Exit.NO,
            _("The event of sequence {sequence} has no text out of line.", sequence=rows[0][0]),
        )
    seq, *pair, unit, __ = rows[0]
    return Target(seq, pair[0], pair[1], unit, tokens)


def _told(con: duckdb.DuckDBPyConnection, found: Target, lang: Language) -> list[str]:
    """What will go, a line a text."""
    say = shelf.shown(con, lang)
    head = _(
        "These texts of sequence {sequence} ({source} {id}) will be erased for ever:",
        sequence=found.seq,
        source=found.source,
        id=found.id,
    )
    lines = [head.say(lang)]
    for token, name in found.tokens.items():
        [(events,)] = con.execute("SELECT count(*) FROM event WHERE ? IN (rater, reason)", [token]).fetchall()
        many = _(" (in {n} events)", n=events).say(lang) if events > 1 else ""
        lines.append(f"  {name}: {cut(clean(say(token)), SHOWN_MAX)}{many}")
    return lines


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
