"""Sets a site up that has its own nats-server: keys and configuration before it starts, streams and durables after."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from infra.client import EPOCH, MICROSECOND, BrokerUnreachable, connected, jetstream
from infra.folders import Parties, parties
from infra.rights import PROVISIONER, Connections, configure_all, configure_nodes
from infra.streams import provision as make_streams
from infra.streams import stream
from schemas.words import _
from services.command.options import Lang
from services.ingest import place as places
from services.ingest.opening import expected
from services.process.ending import Exit, Stop
from services.process.settings import Settings, several
from services.proof.receipts import PUBLIC, site_key


def expected_parties(settings: Settings) -> Parties:
    """The codes of the offices and units of the year, and of the office that collects."""
    year = expected(settings)
    offices = tuple(office.code for office in year.rulebook.office)
    units = tuple(unit.unit for unit in year.roster)
    apart = bool(year.rulebook.out_of_line)
    return Parties(settings.assessment, offices, units, year.rulebook.roles.collector, texts=apart)


def connections(settings: Settings) -> Connections:
    """How many connections an office and a unit may have."""
    return Connections(settings.limits.office_connections, settings.limits.unit_connections)


LET_IN_WITHIN, LOOK_SECONDS = 60.0, 0.2


async def let_in(settings: Settings) -> None:
    """Wait until the running broker knows the assessment's own keys; raises Stop, which says how it is told of them."""
    deadline = asyncio.get_running_loop().time() + LET_IN_WITHIN
    while True:
        try:
            async with connected(settings.nats_url, "audit", settings.data) as client:
                with contextlib.suppress(NotFoundError):  # the streams come later; that somebody says so is enough
                    await jetstream(client).stream_info(stream("LEDGER", settings.assessment))
                return
        except (BrokerUnreachable, NatsError) as error:
            if asyncio.get_running_loop().time() > deadline:
                config = settings.root / "nats.conf"
                raise Stop(
                    Exit.FAILED,
                    _(
                        "The broker does not go by {config} yet: {error}. `wuxing up` takes it on by itself; "
                        "else restart it (systemctl restart wuxing-nats), and run this again.",
                        config=config,
                        error=error,
                    ),
                ) from None
        await asyncio.sleep(LOOK_SECONDS)


def configure_broker(
    *,
    node: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006 - read only
    lang: Lang = None,
) -> int:
    """Make the missing keys and write nats.conf into WUXING_DATA for all its assessments' parties; safe to repeat.

    Example: WUXING_DATA=/var/lib/wuxing/site wuxing configure --node n1 --node n2 --node n3

    Parameters
    ----------
    node
        A node of a cluster, by the name that the others reach it by: its NAME.conf is written too. TLS is needed.
    """
    del lang  # prints a path
    known = several()
    everybody = {settings.data: expected_parties(settings) for settings in known}
    for data in everybody:
        data.mkdir(parents=True, exist_ok=True)
    print(configure_all(everybody, connections(known[0])))
    for one in known:  # which ingest and scorer both sign by, each in a folder of its own
        site_key(one.data, one.assessment, publish=not (one.snapshots / PUBLIC).exists())
    for path in configure_nodes(known[0].root, node) if node else []:
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
    for settings in several():
        asyncio.run(_provision(settings, replicas))
    return Exit.DONE


async def _provision(settings: Settings, replicas: int) -> None:
    one = parties(settings.data) or expected_parties(settings)
    async with connected(settings.nats_url, PROVISIONER, settings.data, forever=True) as client:
        await make_streams(client, one.assessment, one.offices, one.units, replicas, texts=one.texts)
        await let_go(client, settings.data, one.assessment)


async def let_go(client: Client, data: Path, assessment: str) -> int:
    """Delete from INTAKE, as the provisioner, what was taken and acknowledged and lies there still; how many that were.

    A broker whose disk was full may forget at its next start that it had removed a message, and remember that it was
    acknowledged: it gives it to nobody again, and it would take room for ever.
    """
    js, name = client.jetstream(timeout=30), stream("INTAKE", assessment)
    if (place := places.read(places.file(data, assessment))) is None:
        return 0
    floor = (await js.consumer_info(name, "ingest")).ack_floor
    last, gone, seq = min(place.intake, floor.stream_seq) if floor else 0, 0, 1
    while seq <= last:
        try:
            found = await js.get_msg(name, seq, subject=">", next=True)
        except NotFoundError:
            break
        if found.seq is None or found.seq > last:
            break
        if found.time and (found.time - EPOCH) // MICROSECOND <= place.recorded:  # else another has its number now
            gone += await js.delete_msg(name, found.seq)
        seq = found.seq + 1
    return gone
