"""The texts out of line of a snapshot: the table `text`, what it must hold, and how a reader shows a token.

The table is there where the rulebook asks for texts out of line, and no result rests on it. A file that was folded has
no texts, so its table is empty.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import duckdb

from schemas.events import ERASED
from schemas.texts import is_token, token
from schemas.words import Language, _

_FILED = "appeal.filed.v1"
_EACH = "SELECT seq, source, id, {} AS token FROM event WHERE {}"
_OF_NAME = {
    "rater": _EACH.format("rater", "rater IS NOT NULL"),
    "reason": _EACH.format("reason", f"reason IS NOT NULL AND type NOT IN ('{_FILED}', '{ERASED}')"),
    "statement": _EACH.format("reason", f"type = '{_FILED}'"),
}


def held(names: Iterable[str]) -> str:
    """The query of all tokens of a ledger: each with its event, and the order that erased it, null where none did."""
    all_ = " UNION ALL ".join(_OF_NAME[name] for name in sorted(names))
    return (
        f"WITH token AS (SELECT DISTINCT * FROM ({all_})), gone AS ("
        " SELECT t.token, min(o.seq) AS erased_by FROM event o"
        " JOIN token t ON t.source = o.target_source AND t.id = o.target_id AND t.seq < o.seq"
        f" WHERE o.type = '{ERASED}' AND o.admission = 'admitted' GROUP BY t.token)"
        " SELECT t.token, min(t.seq) AS seq, any_value(g.erased_by) AS erased_by"
        " FROM token t LEFT JOIN gone g ON g.token = t.token GROUP BY t.token"
    )


class Wrong(NamedTuple):
    """What is wrong with a text of a snapshot: gone (no text, no order), other (another hash), strange, back."""

    how: str
    token: str
    seq: int | None


def wrong(con: duckdb.DuckDBPyConnection, names: Iterable[str]) -> Iterator[Wrong]:
    """Every text that is not as its token and the orders say; of a table without rows nothing is said."""
    rows = con.execute(
        f"WITH held AS ({held(names)})"
        " SELECT coalesce(h.token, t.token), h.seq, h.erased_by, t.token IS NOT NULL, t.salt, t.text, t.erased_by"
        " FROM held h FULL JOIN text t ON t.token = h.token ORDER BY h.seq NULLS LAST, 1"
    ).fetchall()
    for name, seq, order, listed, salt, text, erased_by in rows:
        if seq is None:
            yield Wrong("strange", name, None)
        elif order is not None:
            if text is not None or salt is not None or erased_by != order:
                yield Wrong("back", name, seq)
        elif not listed or text is None or salt is None or erased_by is not None:
            yield Wrong("gone", name, seq)
        elif not _same(name, salt, text):
            yield Wrong("other", name, seq)


def _same(name: str, salt: str, text: str) -> bool:
    try:
        return token(bytes.fromhex(salt), text) == name
    except ValueError:
        return False


def there(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a snapshot has the table, and so its rulebook texts out of line."""
    try:
        con.cursor().execute("SELECT token, salt, text, erased_by FROM text LIMIT 0")
    except duckdb.Error:
        return False
    return True


Shown = Callable[[Any], Any]


def shown(con: duckdb.DuckDBPyConnection, lang: Language) -> Shown:
    """What a reader is shown for a value: for a token its text, or by which order it was erased; else the value."""
    known: dict[str, str] = {}

    def show(value: Any) -> Any:
        if not is_token(value):
            return value
        if value not in known:
            rows = con.cursor().execute("SELECT text, erased_by FROM text WHERE token = ?", [value]).fetchall()
            text, order = rows[0] if rows else (None, None)
            known[value] = text if text is not None else erased(order, lang)
        return known[value]

    return show if there(con) else lambda value: value


def erased(order: int | None, lang: Language) -> str:
    """The words that stand for a text that is not there."""
    if order is None:
        return _("(the text is not here)").say(lang)
    return _("(erased by order {order})", order=order).say(lang)
