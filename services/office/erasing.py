"""What an order to erase takes away and what no order reaches, as it is shown before it is sent."""

from collections.abc import Iterable

import duckdb

from schemas import texts
from schemas.raw import read
from schemas.refusals import cut
from schemas.words import Language, _
from services.command.typeset import clean
from services.snapshot import texts as shelf

SHOWN_MAX = 60
#: What an order does, and what none reaches.
BEYOND = _(
    "Once the order is in the ledger, ingest overwrites the texts in the broker's store, the next snapshot is"
    " without them, and the ranker deletes older snapshots in its folder that hold them. Not reached, and to be deleted"
    " by who has them: backups, archives, copies of snapshots, exported texts, statements and bundles that were given"
    " away, the office's own files, and the secret keys/OFFICE.salt, with which a text can be found again by guessing."
)


def tokens(con: duckdb.DuckDBPyConnection, names: Iterable[str], source: str, id_: str) -> dict[str, str]:
    """The tokens of all events of a source and id, with their fields."""
    rows = con.execute("SELECT raw FROM event WHERE (source, id) = (?, ?) ORDER BY seq", [source, id_]).fetchall()
    return {
        token: path.removeprefix("data.") for (raw,) in rows for path, token in texts.tokens(read(raw), names).items()
    }


def told(con: duckdb.DuckDBPyConnection, names: Iterable[str], source: str, id_: str, lang: Language) -> list[str]:
    """What will go, a line a text; nothing where the event has none."""
    rows = con.execute("SELECT min(seq) FROM event WHERE (source, id) = (?, ?)", [source, id_]).fetchall()
    found, say = tokens(con, names, source, id_), shelf.shown(con, lang)
    head = _(
        "These texts of sequence {sequence} ({source} {id}) will be erased for ever:",
        sequence=rows[0][0],
        source=source,
        id=id_,
    )
    lines = [head.say(lang)] if found else []
    for token, name in found.items():
        [(events,)] = con.execute("SELECT count(*) FROM event WHERE ? IN (rater, reason)", [token]).fetchall()
        many = _(" (in {n} events)", n=events).say(lang) if events > 1 else ""
        lines.append(f"  {name}: {cut(clean(say(token)), SHOWN_MAX)}{many}")
    return lines
