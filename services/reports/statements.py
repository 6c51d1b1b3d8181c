"""The command `statements`: the statements (对账单) of all units, a file each, in a folder or in one zip file."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import duckdb

from schemas.words import Language, _
from services.command.options import LATEST, At
from services.command.progress import Bar
from services.process.ending import Exit, Stop
from services.process.files import replacing
from services.reports.explain import page
from services.reports.reach import reached
from services.reports.statement import statement
from services.scorer import rules
from services.snapshot import point

Form = Literal["pdf", "md", "json"]
#: The date of every file in a zip, its least, so that the same statements are the same bytes.
DATED = (1980, 1, 1, 0, 0, 0)


def statements(
    output: Path,
    *,
    at: At = LATEST,
    format: Form = "pdf",  # noqa: A002 - the contract's word
) -> int:
    """Write the statement of every unit into a folder or a .zip; made again they are the same bytes.

    Example: wuxing statements statements.zip --format pdf --lang zh

    Parameters
    ----------
    output
        A folder, made where there is none, or a file that ends in .zip. Files are named by the unit's code; nothing is
        put into place before all are made.
    format
        PDF to print and sign, Markdown or JSON.
    """
    with point.ledger(at) as (ledger, cut), rules.compute(ledger, as_of=cut):
        units = [code for (code,) in ledger.execute("SELECT unit FROM unit_in_force ORDER BY unit").fetchall()]
        made = _made(ledger, units, format, at.language)
        if output.suffix.lower() == ".zip":
            _zipped(made, output)
        else:
            _foldered(made, output)
    print(output)
    return Exit.DONE


def _made(con: duckdb.DuckDBPyConnection, units: list[str], form: Form, lang: Language) -> Iterator[tuple[str, bytes]]:
    """The name and bytes of every statement, with a bar on stderr."""
    reach = reached(con)
    with Bar(lang, _("statements")) as bar:
        for done, unit in enumerate(units, 1):
            yield f"{unit}.{form}", page(statement(con, unit, lang, reach=reach), form, lang, to_file=True)
            bar.step(done, len(units))


def _zipped(made: Iterator[tuple[str, bytes]], output: Path) -> None:
    with replacing(output) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in made:
            book.writestr(zipfile.ZipInfo(name, DATED), content, zipfile.ZIP_DEFLATED)


def _foldered(made: Iterator[tuple[str, bytes]], output: Path) -> None:
    """Everything is made in a folder beside its place first; then each file takes the place of the one before it."""
    drafts = output / f".{os.getpid()}"
    try:
        drafts.mkdir(parents=True)
        names = []
        for name, content in made:
            (drafts / name).write_bytes(content)
            names.append(name)
        for name in names:
            (drafts / name).replace(output / name)
    except OSError as error:
        raise Stop(
            Exit.FAILED, _("{output}: cannot be written: {error}", output=output, error=error.strerror)
        ) from None
    finally:
        shutil.rmtree(drafts, ignore_errors=True)
