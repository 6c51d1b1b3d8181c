"""Sets a site up that has its own nats-server: keys and configuration before it starts, streams and durables after."""

import asyncio
from typing import Literal

from infra.client import connected
from infra.rights import COLLECTOR, PROVISIONER, configure
from infra.streams import provision as make_streams
from schemas.year import given
from services.command.options import Lang
from services.process.ending import Exit
from services.process.settings import Settings, read


def parties(settings: Settings) -> tuple[list[str], list[str], str]:
    """The codes of the offices and units of the year, and of the office that collects."""
    year = given(settings.assessment, settings.rulebook, settings.roster)
    offices = [office.code for office in year.rulebook.office]
    return offices, [unit.unit for unit in year.roster], year.rulebook.roles.collector.office or COLLECTOR


def configure_broker(*, lang: Lang = None) -> int:
    """Make the missing keys and write nats.conf into WUXING_DATA for this year's parties; safe to repeat.

    Example: WUXING_DATA=/var/lib/wuxing wuxing configure
    """
    del lang  # prints a path
    settings = read()
    offices, units, collector = parties(settings)
    settings.data.mkdir(parents=True, exist_ok=True)
    print(configure(settings.data, settings.assessment, offices, units, collector=collector))
    return Exit.DONE


def provision(*, replicas: Literal[1, 3, 5] = 1, lang: Lang = None) -> int:
    """Make the streams and durables that are missing on NATS_URL, waiting for it; refuse what is otherwise.

    Example: NATS_URL=nats://127.0.0.1:4222 wuxing provision --replicas 3

    Parameters
    ----------
    replicas
        Copies of each stream, on as many servers: 3 wherever there are three.
    """
    del lang  # prints nothing
    settings = read()
    offices, units, _ = parties(settings)
    asyncio.run(_provision(settings, offices, units, replicas))
    return Exit.DONE


async def _provision(settings: Settings, offices: list[str], units: list[str], replicas: int) -> None:
    async with connected(settings.nats_url, PROVISIONER, settings.data, forever=True) as client:
        await make_streams(client, settings.assessment, offices, units, replicas)
