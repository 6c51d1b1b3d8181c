"""The command `erase`: orders, as the collecting office, that an event's texts go, and says what that cannot reach."""

import sys
from datetime import datetime
from typing import Any, Literal, NamedTuple

import duckdb
import msgspec

from schemas import subjects, texts
from schemas.events import ERASED
from schemas.raw import read as read_raw
from schemas.refusals import Language, cut
from schemas.rulebook import zh
from schemas.year import Year
from services.command.options import Lang
from services.command.typeset import clean
from services.ingest.check import Checker
from services.office.appeal import CHINA
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
BEYOND: dict[Language, str] = {
    "en": "Once the order is in the ledger, ingest overwrites the texts in the broker's store, the next snapshot is"
    " without them, and the ranker deletes older snapshots in its folder that hold them. Not reached, and to be deleted"
    " by who has them: backups, archives, copies of snapshots, statements and bundles that were given away, the"
    " office's own files, and the secret keys/OFFICE.salt, with which a text can be found again by guessing.",
    "zh": "决定入账后，ingest在消息服务器的存储中覆写这些文本，下一份快照不再含有它们，"
    "ranker并删除其文件夹中仍含有它们的旧快照。以下不在其列，须由持有者自行删除：备份、存档、快照副本、"
    "已发出的对账单和证据包、责任单位自己的文件，以及密值keys/单位代码.salt（凭它可以猜测验证原文）。",
}


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
        print("\n".join([*_told(con, found, chosen), BEYOND[chosen]]), file=sys.stderr)
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
    year = point.year(con)
    if year.assessment != assessment:
        raise Stop(
            Exit.USE,
            f"The latest snapshot is of {year.assessment}, not of {assessment}: set WUXING_ASSESSMENT or WUXING_DATA.",
            f"最新快照属于{year.assessment}，不是{assessment}：请设置WUXING_ASSESSMENT或WUXING_DATA。",
        )
    if not year.rulebook.out_of_line:
        raise Stop(
            Exit.NO,
            f"{year.rulebook.id} has no texts out of line (out_of_line): what an event says is in it for ever.",
            f"{zh(year.rulebook.name)}没有行外文本（out_of_line）：事件中的文字永久保留，无法删除。",
        )
    return year


def _target(
    con: duckdb.DuckDBPyConnection, year: Year, sequence: int | None, source: str | None, id_: str | None
) -> Target:
    """The event that is named, with the tokens of all that have its source and id; raises Stop where there is none."""
    if (sequence is None) == (source is None) or (source is None) != (id_ is None):
        raise Stop(
            Exit.USE,
            "Name the event by its sequence, or by --source and --id.",
            "请以序号，或以--source和--id指明事件。",
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
            f"The ledger has no such event (as of {point.last(con)}).",
            f"账本（截至序号{point.last(con)}）中没有这一事件。",
        )
    tokens = {
        token: path.removeprefix("data.")
        for *_, raw in rows
        for path, token in texts.tokens(read_raw(raw), year.rulebook.out_of_line).items()
    }
    if not tokens:
        raise Stop(
            Exit.NO,
            f"The event of sequence {rows[0][0]} has no text out of line.",
            f"序号{rows[0][0]}的事件没有行外文本。",
        )
    seq, *pair, unit, _ = rows[0]
    return Target(seq, pair[0], pair[1], unit, tokens)


def _told(con: duckdb.DuckDBPyConnection, found: Target, lang: Language) -> list[str]:
    """What will go, a line a text."""
    say = shelf.shown(con, lang)
    head = (
        f"序号{found.seq}（{found.source} {found.id}）的下列文本将被删除，不可恢复："
        if lang == "zh"
        else f"These texts of sequence {found.seq} ({found.source} {found.id}) will be erased for ever:"
    )
    lines = [head]
    for token, name in found.tokens.items():
        events = con.execute("SELECT count(*) FROM event WHERE rater = ? OR reason = ?", [token, token]).fetchall()[0][
            0
        ]
        many = f"（见于{events}个事件）" if lang == "zh" else f" (in {events} events)"
        lines.append(f"  {name}: {cut(clean(say(token)), SHOWN_MAX)}{many if events > 1 else ''}")
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
