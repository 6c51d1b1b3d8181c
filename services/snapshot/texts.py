"""The texts out of line of a snapshot: the table `text`, what it must hold, and how a reader shows a token.

The table is there where the rulebook asks for texts out of line, and no result rests on it. A file that was folded has
no texts, so its table is empty, unless it was given them from beside: a line a text, as `export --texts` writes them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from schemas.events import ERASED
from schemas.texts import Text, is_token, token
from schemas.words import Language, _
from services.process.ending import Exit, Stop

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


_SCHEMA = pa.schema([(name, pa.string()) for name in ("token", "salt", "text")])


def fill(con: duckdb.DuckDBPyConnection, names: Iterable[str], found: Mapping[str, Text]) -> None:
    """Put the texts that a ledger's events name into its snapshot, but for those that orders have erased."""
    rows = [(name, *text) for name, text in found.items()]
    columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
    con.register("arriving", pa.table([*map(pa.array, columns, _SCHEMA.types)], schema=_SCHEMA))
    con.execute(
        "INSERT INTO text SELECT h.token, CASE WHEN h.erased_by IS NULL THEN a.salt END,"
        " CASE WHEN h.erased_by IS NULL THEN a.text END, h.erased_by"
        f" FROM ({held(names)}) h LEFT JOIN arriving a ON a.token = h.token ORDER BY 1"
    )
    con.unregister("arriving")


class Beside(msgspec.Struct, omit_defaults=True):
    """A line of a file of texts: the event that has the token first, and its text, or the order that erased it."""

    sequence: int
    token: str
    salt: str | None = None
    text: str | None = None
    erased_by: int | None = None


def beside(con: duckdb.DuckDBPyConnection, names: Iterable[str]) -> list[bytes]:
    """The texts of a snapshot as lines of a file beside its ledger, in the order of their events."""
    rows = con.execute(
        f"SELECT h.seq, t.token, t.salt, t.text, t.erased_by FROM ({held(names)}) h"
        " JOIN text t ON t.token = h.token ORDER BY 1, 2"
    ).fetchall()
    return [msgspec.json.encode(Beside(*row)) + b"\n" for row in rows]


def read(path: Path) -> dict[str, Text]:
    """The texts of such a file, each held against its token; raises Stop at the first line that is none."""
    found: dict[str, Text] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Stop(Exit.FAILED, _("{path}: cannot be read: {error}", path=path, error=error.strerror)) from None
    for number, line in enumerate(lines, 1):
        try:
            one = msgspec.json.decode(line, type=Beside)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            one = Beside(0, "", "", "")
        if one.text is not None:
            if not _same(one.token, one.salt or "", one.text):
                raise Stop(
                    Exit.NO,
                    _("{path}:{number}: expected a token with its salt and its text", path=path, number=number),
                )
            found[one.token] = Text(one.salt or "", one.text)
    return found


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


def holding(con: duckdb.DuckDBPyConnection, words: str) -> list[str]:
    """The tokens of the texts in which words stand, large letters as small ones."""
    if not there(con):
        return []
    rows = con.cursor().execute("SELECT token FROM text WHERE contains(lower(text), lower(?))", [words]).fetchall()
    return [token for (token,) in rows]


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
