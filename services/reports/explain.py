"""The command `explain`: the statement (对账单) of one unit on a page, in the form asked for."""

import sys
import unicodedata
from pathlib import Path
from typing import Literal

import duckdb
import msgspec

from schemas.words import Language, _
from services.command.options import LATEST, At
from services.process.ending import Exit, Stop
from services.reports import paper
from services.reports.statement import Statement, statement
from services.scorer import rules
from services.snapshot import point


def explain(
    unit: str | None = None,
    *,
    at: At = LATEST,
    item: str | None = None,
    format: Literal["table", "json", "md", "pdf"] = "table",  # noqa: A002 - the contract's word
    output: Path | None = None,
) -> int:
    """Show the statement of one unit: every line with clause, event and running balance, re-addable by hand.

    Example: wuxing explain U042 --item 1.1

    Parameters
    ----------
    unit
        The unit's code, in any case, or its name.
    item
        One item only, such as 1.1 or Y.1.
    format
        A table, the whole as JSON, Markdown, or a PDF to print and sign.
    output
        The file to write instead of stdout.
    """
    if format == "pdf" and output is None and sys.stdout.isatty():
        raise Stop(Exit.USE, _("a PDF is not for a terminal: name a file with --output"))
    with point.ledger(at) as (ledger, cut), rules.compute(ledger, as_of=cut):
        found = statement(ledger, _code(ledger, unit), at.language, item)
    paper.write(page(found, format, at.language, to_file=output is not None), output)
    return Exit.DONE


def _code(con: duckdb.DuckDBPyConnection, said: str | None) -> str:
    """The code of the unit that is meant: as written, in another case or width, or by its name."""
    units: dict[str, str] = dict(con.execute("SELECT unit, name FROM unit_in_force ORDER BY unit").fetchall())
    if said is None:
        some = ", ".join([*units][:6])
        raise Stop(
            Exit.USE,
            _("Whose statement? wuxing explain UNIT, one of {some} … ({units} in all)", some=some, units=len(units)),
        )
    meant = [code for code, name in units.items() if _plain(said) in (_plain(code), _plain(name))]
    if said in units or len(meant) != 1:
        return said
    print(f"{said} → {meant[0]} {units[meant[0]]}", file=sys.stderr)
    return meant[0]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def page(found: Statement, form: str, lang: Language, *, to_file: bool) -> bytes:
    """Put the statement into one of its forms."""
    match form:
        case "json":
            return msgspec.json.encode(found) + b"\n"
        case "md":
            return paper.markdown(found, lang).encode()
        case "pdf":
            return paper.pdf(found, lang)
        case _:
            return paper.table(found, lang, to_file=to_file).encode()
