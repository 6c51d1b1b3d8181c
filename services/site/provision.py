"""Sets a site up that has its own nats-server: keys and configuration before it starts, streams and durables after."""

import asyncio
from typing import Annotated, Literal

from cyclopts import Parameter

from infra.client import connected
from infra.rights import COLLECTOR, PROVISIONER, Connections, configure, configure_nodes
from infra.streams import provision as make_streams
from services.command.options import Lang
from services.ingest.opening import expected
from services.process.ending import Exit
from services.process.settings import Settings, read


def parties(settings: Settings) -> tuple[list[str], list[str], str]:
    """The codes of the offices and units of the year, and of the office that collects."""
    year = expected(settings)
    offices = [office.code for office in year.rulebook.office]
    return offices, [unit.unit for unit in year.roster], year.rulebook.roles.collector or COLLECTOR


def connections(settings: Settings) -> Connections:
    """How many connections an office and a unit may have."""
    return Connections(settings.limits.office_connections, settings.limits.unit_connections)


def configure_broker(
    *,
    node: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006 - read only
    lang: Lang = None,
) -> int:
    """Make the missing keys and write nats.conf into WUXING_DATA for this year's parties; safe to repeat.

    Example: WUXING_DATA=/var/lib/wuxing wuxing configure --node n1 --node n2 --node n3

    Parameters
    ----------
    node
        A node of a cluster, by the name that the others reach it by: its NAME.conf is written too. TLS is needed.
    """
    del lang  # prints a path
    settings = read()
    offices, units, collector = parties(settings)
    settings.data.mkdir(parents=True, exist_ok=True)
    limits = connections(settings)
    print(configure(settings.data, settings.assessment, offices, units, collector=collector, limits=limits))
    for path in configure_nodes(settings.data, node) if node else []:
        print(path)
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
