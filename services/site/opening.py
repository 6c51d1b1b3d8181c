"""Opens a year: folder, keys, rights and streams of one assessment, and the event with which its ledger begins."""

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from infra.client import connected, embedded_site, read_stream
from infra.folders import Parties
from infra.rights import PROVISIONER, configure, key_file, public_keys
from infra.server import EmbeddedServer
from infra.streams import provision
from schemas import roster as rosters
from schemas import rulebook as rulebooks
from schemas import subjects
from schemas.events import OPENED
from schemas.refusals import Refusal
from schemas.roster import Unit
from schemas.rulebook import Rulebook, en, zh
from schemas.words import Both, Language, _
from services.command.options import Lang
from services.ingest import signatures
from services.ingest.check import Checker
from services.ingest.opening import kept
from services.office.send import Letter, send
from services.process import settings as configuration
from services.process.ending import Exit, Stop
from services.process.settings import Settings
from services.rulebook import rehearsal
from services.site.asking import agreed
from services.site.provision import connections, let_in
from services.site.stack import keep_services

CHINA = timezone(timedelta(hours=8))
PATIENCE = 30.0


def open_year(  # noqa: PLR0913 - what a year is, and how it is asked
    assessment: str,
    *,
    rulebook: Path,
    roster: Path,
    synthetic: bool = False,
    yes: bool = False,
    lang: Lang = None,
) -> int:
    """Open a year: check it, make folder, keys, rights and streams, and publish the event that fixes it for ever.

    Example: WUXING_DATA=year-2014 wuxing open city-2014 --rulebook rulebook.toml --roster roster.csv

    Parameters
    ----------
    assessment
        The code of this year's assessment; it stands in every subject and file.
    rulebook
        The rulebook.toml of the year; it is computed on made-up years before anything is made.
    roster
        The units: a CSV or workbook with the columns unit, name, category, group, and attributes.
    synthetic
        The units are made up, and every output says so.
    yes
        Do not ask before the year is fixed.
    """
    chosen = configuration.language(lang)
    if not subjects.CODE.fullmatch(assessment):
        raise Stop(
            Exit.USE, _("Not a code (letters, digits, _ and -, up to 64): {assessment}", assessment=repr(assessment))
        )
    known = configuration.read({**os.environ, "WUXING_ASSESSMENT": assessment})
    book, units = _checked(rulebook, roster)
    _refuse_another(known)
    print(_told(known, book, units, chosen, synthetic=synthetic), file=sys.stderr)
    if not yes and not agreed(chosen):
        return Exit.NO
    asyncio.run(_open(known, book, units, synthetic=synthetic))
    print(json.dumps({"assessment": assessment, "sequence": 1, "data": str(known.data.absolute())}))
    return Exit.DONE


def _checked(rulebook: Path, roster: Path) -> tuple[Rulebook, tuple[Unit, ...]]:
    """The rulebook and the roster, sound; raises Told with everything that is wrong with them."""
    book = rehearsal.load(rulebook)
    return book, rosters.load(roster, book)


def _refuse_another(known: Settings) -> None:
    """An assessment is opened once."""
    if kept(known).exists():
        raise Stop(
            Exit.FAILED,
            _(
                "{assessment} is open already, in {data}: an assessment is opened once.",
                assessment=known.assessment,
                data=known.data,
            ),
        )


def _told(known: Settings, book: Rulebook, units: tuple[Unit, ...], lang: Language, *, synthetic: bool) -> str:
    """What will be fixed for ever, in words."""
    counted = Counter(unit.category for unit in units)
    kinds = ", ".join(f"{category} {number}" for category, number in sorted(counted.items()))
    offices = ", ".join(office.code for office in book.office)
    name = Both(en(book.name), zh(book.name))
    return _(
        "This is fixed for ever once the year is open:\n  assessment  {assessment}\n"
        "  rulebook    {rulebook} ({name}), {items} items\n"
        "  units       {units}: {kinds}\n  offices     {offices}\n"
        "  collector   {collector}\n  signatures  {signatures}\n  data        {data}",
        assessment=known.assessment,
        rulebook=book.id,
        name=name,
        items=len(book.item),
        units=len(units),
        kinds=_("{kinds}; they are made up", kinds=kinds) if synthetic else kinds,
        offices=offices,
        collector=book.roles.collector,
        signatures=book.signatures,
        data=known.data.absolute(),
    ).say(lang)


async def _open(known: Settings, book: Rulebook, units: tuple[Unit, ...], *, synthetic: bool) -> None:
    """Make everything, and let ingest append the opening; begun again after a fault, it goes on where it stood."""
    offices, codes = [office.code for office in book.office], [unit.unit for unit in units]
    apart = bool(book.out_of_line)
    mine = Parties(known.assessment, tuple(offices), tuple(codes), book.roles.collector, texts=apart)
    (known.data / "logs").mkdir(parents=True, exist_ok=True)
    running = EmbeddedServer(known.root).taken
    limits = connections(known)
    where = (known.data, known.assessment)
    configure(*where, offices, codes, collector=mine.collector, limits=limits, running=running, texts=apart)
    raw = _drafted(known, book, units, synthetic=synthetic)
    checked = Checker(None, (), assessment=known.assessment, accept=rehearsal.accept).check(raw)
    if isinstance(checked, Refusal):
        raise Stop(Exit.USE, checked.message)
    broker = _running(known, mine) if running else embedded_site({known.data: mine}, limits=limits)
    async with broker as server:
        here = msgspec.structs.replace(known, nats_url=server.url)
        async with keep_services(here, server.url, ("ingest",), quiet=known.data / "logs"):
            subject = subjects.intake(known.assessment, mine.collector, OPENED, subjects.ASSESSMENT)
            letter = Letter(mine.collector, False, OPENED, subject, checked.source, checked.id, raw)
            await send(here, [letter], patience=PATIENCE)
        async with connected(server.url, "audit", known.data) as client:
            first = [entry.data async for entry in read_stream(client, "LEDGER", known.assessment, 1, 1)]
    if first != [raw]:
        raise Stop(
            Exit.FAILED,
            _("The opening is not in the ledger: see {data}, and run this again.", data=known.data / "logs"),
        )
    _draft(known).rename(kept(known))


class Running(NamedTuple):
    """The broker that runs on the site already."""

    url: str


@contextlib.asynccontextmanager
async def _running(known: Settings, mine: Parties) -> AsyncIterator[Running]:
    """The broker at NATS_URL, once it has taken on the new rights, with the streams made."""
    await let_in(known)
    async with connected(known.nats_url, PROVISIONER, known.data) as client:
        await provision(client, mine.assessment, mine.offices, mine.units, texts=mine.texts)
    yield Running(known.nats_url)


def _draft(known: Settings) -> Path:
    """The opening before the ledger has it."""
    return kept(known).with_suffix(".draft")


def _drafted(known: Settings, book: Rulebook, units: tuple[Unit, ...], *, synthetic: bool) -> bytes:
    """The bytes of the opening: those of an attempt before, where it was the same, else new ones."""
    made = _event(known, book, units, synthetic=synthetic)
    with contextlib.suppress(FileNotFoundError):
        before: dict[str, Any] = json.loads(_draft(known).read_bytes())
        if before["data"] == made["data"]:
            made = {key: value for key, value in before.items() if key != "signature"}
    raw = signatures.signed(made, key_file(known.data, book.roles.collector).read_bytes())
    _draft(known).write_bytes(raw)
    return raw


def _event(known: Settings, book: Rulebook, units: tuple[Unit, ...], *, synthetic: bool) -> dict[str, Any]:
    """The opening, with the public keys of all parties."""
    parties = [*(office.code for office in book.office), *(unit.unit for unit in units)]
    data: dict[str, Any] = {
        "assessment": known.assessment,
        "rulebook": rulebooks.plain(book),
        "roster": rosters.plain(units),
        "keys": public_keys(known.data, parties),
    }
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": subjects.OFFICES + book.roles.collector,
        "type": OPENED,
        "subject": subjects.ASSESSMENT,
        "time": datetime.now(CHINA).isoformat(timespec="seconds"),
        "data": data | ({"synthetic": True} if synthetic else {}),
    }
