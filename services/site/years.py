"""The command `list`: the assessments of a site, what became of each, and where its newest snapshot lies."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Literal

from nats.errors import Error as NatsError
from rich import box
from rich.table import Table

from infra.client import BrokerUnreachable, connected, jetstream
from infra.streams import stream
from schemas.rulebook import en, zh
from schemas.words import Language, _, _p
from services.command.options import Lang
from services.command.tables import console
from services.ingest.opening import year_of_folder
from services.process import settings as configuration
from services.process.ending import Exit, Stop
from services.process.settings import Settings
from services.snapshot import point
from services.snapshot.make import latest

ANSWER_WITHIN = 5.0
HEADS = {
    "assessment": _("Assessment"),
    "name": _("Name"),
    "state": _("State"),
    "sequence": _p("years", "Sequence"),
    "snapshot": _("Last snapshot"),
}
STATES = {
    "opened": _("opened"),
    "final": _p("state of the year", "final"),
    "amended": _("amended after final"),
    "archived": _("archived"),
}


def list_years(*, format: Literal["table", "json"] = "table", lang: Lang = None) -> int:  # noqa: A002 - the contract's word
    """List the assessments of this site: code, name, state, the ledger's last sequence, the newest snapshot.

    Example: wuxing list --format json

    Parameters
    ----------
    format
        A table to read, or JSON. The sequence is the broker's; null where it does not answer.
    """
    chosen = configuration.language(lang)
    site = [one for one in configuration.several() if year_of_folder(one)]
    found = asyncio.run(_all(site))
    if format == "json":
        print(json.dumps(found, ensure_ascii=False))
        return Exit.DONE
    if not found:
        print(_("No assessment is open: wuxing open").say(chosen), file=sys.stderr)
        return Exit.DONE
    table = Table(box=box.SIMPLE)
    for head in HEADS.values():
        table.add_column(head.say(chosen))
    for row in found:
        table.add_row(*(_cell(name, row[name], chosen) for name in HEADS))
    console().print(table)
    return Exit.DONE


def archived(data: Path) -> Path:
    """The file that says when and where to a year was archived."""
    return data / "archived.json"


def _cell(name: str, value: Any, lang: Language) -> str:
    if name == "name":
        return str(value[lang])
    return STATES[value].say(lang) if name == "state" else "-" if value is None else str(value)


async def _all(site: list[Settings]) -> list[dict[str, Any]]:
    ends = await asyncio.gather(*map(_end, site))
    return [_one(known, end) for known, end in zip(site, ends, strict=True)]


async def _end(known: Settings) -> tuple[int, bool] | None:
    """The ledger's last sequence, and whether it is sealed; null where the broker does not say."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN), connected(known.nats_url, "audit", known.data) as client:
            info = await jetstream(client).stream_info(stream("LEDGER", known.assessment))
            return info.state.last_seq, bool(info.config.sealed)
    except (BrokerUnreachable, NatsError, OSError, TimeoutError):
        return None


def _one(known: Settings, end: tuple[int, bool] | None) -> dict[str, Any]:
    year = year_of_folder(known)
    assert year is not None
    newest = latest(known.snapshots)
    said: dict[str, str] = {}
    if newest:
        try:
            with point.snapshot(newest) as con:
                said = point.meta(con)
        except Stop:
            said = {"state": "-"}
    state = {"finalised": "final", "amended": "amended"}.get(said.get("state", ""), "opened")
    return {
        "assessment": known.assessment,
        "name": {"zh": zh(year.rulebook.name), "en": en(year.rulebook.name)},
        "state": "archived" if archived(known.data).exists() or (end and end[1]) else state,
        "sequence": end[0] if end else None,
        "snapshot": str(newest) if newest else None,
        "snapshot_sequence": int(said["sequence"]) if said.get("sequence", "").isdigit() else None,
        "data": str(known.data.absolute()),
    }
