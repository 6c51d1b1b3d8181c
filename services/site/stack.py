"""Runs the services: each by itself against a broker, or all of them on an embedded one, as `demo` and `up` do."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import duckdb
import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.client import connected, embedded_site, end, jetstream
from infra.folders import folders, parties
from infra.rights import PROVISIONER, named
from infra.server import EmbeddedServer, ServerUnusable
from infra.streams import TEXTS, stream
from schemas import subjects
from schemas.raw import read
from schemas.receipts import Ranking
from schemas.told import Told
from schemas.words import Language, Text, _
from schemas.year import given
from services.command import tables
from services.ingest import place as places
from services.ingest.opening import expected, kept
from services.process import log as logs
from services.process import metrics, settings, tracing
from services.process.advice import AGAIN, duckdb_advice
from services.process.ending import Exit, Stop
from services.process.plain import Screen
from services.process.settings import Settings, opened
from services.ranker import announced
from services.scorer import rules, store
from services.site import synthetic
from services.site.provision import connections, expected_parties, let_go
from services.snapshot import make
from services.snapshot.point import stored

SERVICES = ("ingest", "scorer", "ranker")
GUARDED = "WUXING_GUARDED"
PATIENCE_SECONDS = 300
LOOK_SECONDS = 1.0
BEGINS_WITHIN, BEGUN_LOOKS = 2.0, 40
"""Seconds that one assessment of a process has to itself when it starts, and looks at it in that time: at once, a
hundred keep each other from connecting."""
UNWELL_LOOKS = 10
"""Looks in a row at a broker that runs and is not well, as after a full disk, before it is started again."""
GOOD_ORDER = 10
"""Seconds that a service without its parent may take to end."""
Run = Callable[[Settings, structlog.typing.FilteringBoundLogger], Coroutine[Any, Any, None]]


def ingest() -> int:
    """Check what parties publish and append it to the ledger, against the broker at NATS_URL.

    Example: NATS_URL=nats://127.0.0.1:4222 WUXING_DATA=data wuxing ingest
    """
    from services.ingest.app import run
    from services.rulebook.rehearsal import accept

    return _service("ingest", partial(run, accept=accept))


def scorer() -> int:
    """Fold the ledger into the DuckDB file of this assessment, against the broker at NATS_URL.

    Example: NATS_URL=nats://127.0.0.1:4222 WUXING_DATA=data wuxing scorer
    """
    from services.scorer.app import run

    return _service("scorer", run)


def ranker(*, keep: int | None = None) -> int:
    """Rank whenever the ledger has grown, and publish the snapshot, against the broker at NATS_URL.

    Example: NATS_URL=nats://127.0.0.1:4222 WUXING_DATA=data wuxing ranker --keep 50

    Parameters
    ----------
    keep
        How many of the newest snapshots stay, besides the last of each day; WUXING_KEEP without it.
    """
    from services.ranker.app import run

    return _service("ranker", run, _kept(keep))


def _kept(keep: int | None) -> dict[str, str]:
    """The environment, with how many snapshots are kept where a command says it."""
    return {**os.environ, **({} if keep is None else {"WUXING_KEEP": str(keep)})}


def _service(name: str, run: Run, environment: dict[str, str] | None = None) -> int:
    """Run one service; started by a parent that holds its standard input, it ends with the parent."""
    env = dict(os.environ) if environment is None else environment
    known = settings.several(env)
    log = logs.configure(known[0], name)
    tracing.configure(name)
    alone = len(known) == 1 and env.get("WUXING_ASSESSMENT") != "*"
    serving = run(known[0], log) if alone else _all(run, partial(settings.several, env), log)
    try:
        with metrics.serve_metrics([name]) or contextlib.nullcontext():
            asyncio.run(_until_told(serving))
    except (NatsError, duckdb.Error) as error:
        said = str(error) or type(error).__name__
        advice = duckdb_advice(error) if isinstance(error, duckdb.Error) else AGAIN
        told = _("{name} ended: {said}. {advice}", name=name, said=said, advice=advice)
        raise Stop(Exit.FAILED, told) from None
    return Exit.DONE


async def _all(run: Run, listed: Callable[[], list[Settings]], log: structlog.typing.FilteringBoundLogger) -> None:
    """Serve several assessments in one process until told to stop, and each that is opened meanwhile.

    Each has its own connection, rights and files: what one fails of costs the others nothing.
    """
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me
    tasks: dict[str, asyncio.Task[None]] = {}
    stopping = asyncio.Event()

    def told() -> bool:
        """Whether told to stop in the moment between; each service takes the signals for itself when it starts."""
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, me.cancel)
        return any(task.done() for task in tasks.values())

    try:
        while True:
            for known in await asyncio.to_thread(listed):
                if known.assessment not in tasks:
                    tasks[known.assessment] = asyncio.create_task(_serve(run, known, log, stopping))
                    await _begun(known.assessment)
                    if told():
                        return
            await asyncio.sleep(LOOK_SECONDS)
            if told():
                return
    finally:
        stopping.set()
        await asyncio.gather(*map(end, tasks.values()))


async def _begun(assessment: str) -> None:
    """Wait until a service of an assessment works, or waits for its turn, and not for long."""
    for __ in range(BEGUN_LOOKS):
        await asyncio.sleep(BEGINS_WITHIN / BEGUN_LOOKS)
        if metrics.begun(assessment):
            return


async def _serve(
    run: Run, known: Settings, log: structlog.typing.FilteringBoundLogger, stopping: asyncio.Event
) -> None:
    """Serve one assessment of several; after a failure again, ever later up to half a minute."""
    metrics.assessment.set(known.assessment)
    log = log.bind(assessment=known.assessment)
    wait = 1
    while not stopping.is_set():
        try:
            await run(known, log)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            if stopping.is_set():
                return
            log.error("assessment.failed", error=str(error) or type(error).__name__, again_in=wait)  # noqa: TRY400 - it says itself what is wrong
        else:
            return
        await asyncio.sleep(wait)
        wait = min(30, wait * 2)


async def _until_told(service: Coroutine[Any, Any, None]) -> None:
    """End in good order at SIGTERM or SIGINT, also while it starts; later FastStream's own handlers do it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    if os.environ.get(GUARDED):
        loop.add_reader(sys.stdin.fileno(), _end_with_parent, loop)
    with contextlib.suppress(asyncio.CancelledError):
        await service


def _end_with_parent(loop: asyncio.AbstractEventLoop) -> None:
    """The parent never writes: standard input ends when the parent does, however it ends; good order has a limit."""
    loop.remove_reader(sys.stdin.fileno())
    signal.alarm(GOOD_ORDER)
    os.kill(os.getpid(), signal.SIGTERM)


def up(
    *,
    port: int = 4222,
    page_port: int = 8080,
    gateway_port: int = 8081,
    keep: int | None = None,
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Run an embedded NATS server, all services, the page and the gateway until interrupted.

    Example: WUXING_DATA=data wuxing up --page-port 8090

    Parameters
    ----------
    port
        The loopback port of the server.
    page_port
        The loopback port of the page.
    gateway_port
        The loopback port of the gateway, which takes events over HTTP.
    keep
        How many of the newest snapshots stay, besides the last of each day; WUXING_KEEP without it.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    env = _kept(keep)
    known = settings.several(env)
    logs.configure(known[0], "up")
    pages = {"console": page_port, "gateway": gateway_port}
    asyncio.run(_up(known, env, port, pages, settings.language(lang)))
    return Exit.DONE


async def _up(known: list[Settings], env: dict[str, str], port: int, pages: dict[str, int], lang: Language) -> None:
    check_free(pages)
    for one in known:
        expected(one)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    serves = env.get("WUXING_ASSESSMENT") or ("*" if opened(known[0].root) else None)
    async with _stack(known, port=port, pages=pages, serves=serves) as url:
        if await _answering(pages, stop):
            page, gateway = (f"http://127.0.0.1:{pages[name]}" for name in ("console", "gateway"))
            _say(
                lang,
                _(
                    "NATS {url} · data {root} · page {page} · gateway {gateway} · Ctrl-C ends all",
                    url=url,
                    root=known[0].root.absolute(),
                    page=page,
                    gateway=gateway,
                ),
            )
        await stop.wait()


def check_free(pages: dict[str, int]) -> None:
    """Raise Stop for a loopback port that another listens on: what answers there later is then ours."""
    for name, port in pages.items():
        option = "--page-port" if name == "console" else "--gateway-port"
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except (OSError, OverflowError) as error:
            reason = f"127.0.0.1:{port}: {error}"
            raise Stop(Exit.FAILED, _("{reason}. Choose another {option}.", reason=reason, option=option)) from None


async def _answering(pages: dict[str, int], stop: asyncio.Event) -> bool:
    """Wait until all pages answer, so that none is announced before; false when told to stop meanwhile."""
    for port in pages.values():
        while not stop.is_set():
            try:
                __, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                break
    return not stop.is_set()


@contextlib.asynccontextmanager
async def _stack(
    known: list[Settings],
    *,
    port: int = -1,
    pages: dict[str, int] | None = None,
    quiet: Path | None = None,
    serves: str | None = None,
) -> AsyncIterator[str]:
    """An embedded server, the services, and what has pages on their ports, kept running; all have ended with this."""
    everybody = {one.data: expected_parties(one) for one in known}
    for data in everybody:
        data.mkdir(parents=True, exist_ok=True)
    async with embedded_site(everybody, port=port, limits=connections(known[0])) as server:
        keeper = asyncio.create_task(keep_server(server))
        try:
            async with keep_services(known[0], server.url, SERVICES, pages=pages, quiet=quiet, serves=serves):
                yield server.url
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)


@contextlib.asynccontextmanager
async def keep_services(  # noqa: PLR0913 - what runs, where, and where it says what it does
    known: Settings,
    url: str,
    services: tuple[str, ...],
    *,
    pages: dict[str, int] | None = None,
    quiet: Path | None = None,
    serves: str | None = None,
) -> AsyncIterator[None]:
    """Services as children against a broker, kept running, with what they say in the folder `quiet`.

    `pages` are those that listen, each with its loopback port.

    They serve the assessment of the settings, or those that `serves` names.
    """
    environment = {
        **os.environ,
        "NATS_URL": url,
        "WUXING_DATA": str(known.root),
        GUARDED: "1",
        "WUXING_ASSESSMENT": serves or known.assessment,
        "WUXING_RANK_SECONDS": str(known.rank_seconds),
        "WUXING_KEEP": str(known.keep),
    }
    first = metrics.port()
    commands = [(name,) for name in services] + [(name, f"--port={one}") for name, one in (pages or {}).items()]
    keepers = [
        asyncio.create_task(
            _keep(command, environment | ({"WUXING_METRICS_PORT": str(first + n)} if first else {}), quiet)
        )
        for n, command in enumerate(commands)
    ]
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def keep_server(server: EmbeddedServer) -> None:
    """Keep the broker running: one that ended, or has been unwell for a while, is started again on its store.

    It takes on new rights, of another assessment or of a unit that joined, as soon as they are written.
    """
    log = structlog.get_logger(service="up")
    unwell, wait, config, begun = 0, 1, server.data / "nats.conf", True
    written, accounts = _written(config), named(config)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if (now := _written(config)) not in {None, written}:
            before, accounts, written = accounts, named(config), now
            if accounts <= before:
                server.reload()
            else:
                await server.renew()
            log.info("server.renewed", config=str(config), accounts=len(accounts - before))
        if await asyncio.to_thread(lambda: server.healthy):
            unwell, wait = 0, 1
            begun = begun and not await _let_go(server, log)
            continue
        unwell += 1
        if server.running and unwell < UNWELL_LOOKS:
            continue
        log.error("server.ended" if not server.running else "server.unwell", pid=server.pid, looks=unwell)
        try:
            await server.again()
            begun = True
            log.warning("server.started", url=server.url)
        except ServerUnusable as error:
            log.error("server.unusable", error=str(error), again_in=wait)  # noqa: TRY400 - it says itself what is wrong
            await asyncio.sleep(wait)
            wait = min(30, wait * 2)


async def _let_go(server: EmbeddedServer, log: structlog.typing.FilteringBoundLogger) -> bool:
    """Let go of what INTAKE should not have any more, of every assessment of the site; false where it must be later."""
    try:
        for data in folders(server.data):
            if one := parties(data):
                async with connected(server.url, PROVISIONER, data) as client:
                    if gone := await let_go(client, data, one.assessment):
                        log.warning("intake.let_go", assessment=one.assessment, messages=gone)
    except (Told, NatsError, OSError, TimeoutError) as error:
        log.warning("intake.not_looked_at", error=str(error))
        return False
    return True


def _written(config: Path) -> int | None:
    """When a configuration was written; null while it is away, which is no end of watching the broker."""
    try:
        return config.stat().st_mtime_ns
    except FileNotFoundError:
        return None


#: For what has an event loop of its own: as `_end_with_parent`, by a thread.
_WATCHED = f"""
import os, signal, sys, threading
def end():
    os.read(0, 1)
    signal.alarm({GOOD_ORDER})
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=end, daemon=True).start()
from services.cli import main
main(sys.argv[1:])
"""


async def _keep(command: tuple[str, ...], environment: dict[str, str], quiet: Path | None) -> None:
    """Keep one service running: a process that ends is started again, ever later up to half a minute."""
    name = command[0]
    log = structlog.get_logger(service="up")
    wait = 1
    while True:
        with contextlib.ExitStack() as stack:
            out = stack.enter_context((quiet / f"{name}.log").open("ab")) if quiet else None
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *(("-m", "services") if name in SERVICES else ("-c", _WATCHED)),
                *command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            try:
                code = await child.wait()
            except asyncio.CancelledError:
                with contextlib.suppress(ProcessLookupError):
                    child.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(child.wait(), 10)
                if child.returncode is None:
                    child.kill()
                    await child.wait()
                raise
        log.warning("service.ended", name=name, code=code, again_in=wait)
        await asyncio.sleep(wait)
        wait = min(30, wait * 2)


def demo(
    *,
    serve: bool = False,
    page_port: int = 8080,
    events: int = 6000,
    rulebook: Path | None = None,
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Run a whole synthetic year through a real broker and the services, and print what came of it.

    Example: wuxing demo --serve

    Parameters
    ----------
    serve
        Keep everything running afterwards, with the page, until interrupted.
    page_port
        The loopback port of that page.
    events
        How many events the year has; a whole year takes what it takes.
    rulebook
        Another rulebook.toml; the roster.csv beside it names the units.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    known = msgspec.structs.replace(settings.read(), rank_seconds=1)
    known = msgspec.structs.replace(known, data=known.data / "demo")
    if rulebook is not None:
        known = msgspec.structs.replace(known, rulebook=rulebook, roster=rulebook.with_name("roster.csv"))
    chosen = settings.language(lang)
    logs.configure(known, "demo")
    _fresh(known.data)
    pages = {"console": page_port} if serve else {}
    check_free(pages)
    asyncio.run(_demo(known, chosen, events, pages))
    return Exit.DONE


def _fresh(data: Path) -> None:
    """Every demonstration starts anew; only a folder that a demonstration made is ever emptied."""
    marker = data / "synthetic"
    if data.exists() and any(data.iterdir()) and not marker.exists():
        raise Stop(Exit.FAILED, _("{data} is not a demonstration's; move it away.", data=data))
    if data.exists():
        with _claimed(data):
            shutil.rmtree(data)
    data.mkdir(parents=True)
    marker.touch()


@contextlib.contextmanager
def _claimed(data: Path) -> Iterator[None]:
    server = EmbeddedServer(data).claim()
    try:
        yield
    finally:
        server.stop()


async def _demo(known: Settings, lang: Language, events: int, pages: dict[str, int]) -> None:
    year = given(known.assessment, known.rulebook, known.roster)
    started = time.monotonic()
    stop = asyncio.Event()
    logs_folder = known.data / "logs"
    logs_folder.mkdir(parents=True, exist_ok=True)
    lines = list(synthetic.year(year.rulebook, year.roster, year.assessment, events=events))
    kept(known).write_bytes(lines[0][1])
    async with _stack([known], pages=pages, quiet=logs_folder) as url:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Screen(sys.stderr),
            disable=not sys.stderr.isatty(),
        ) as progress:
            await _publish(url, known, year.assessment, lines, progress, lang)
            ranking = await _published(url, known, len(lines), progress, lang)
        _show(known, ranking, len(lines), time.monotonic() - started, lang)
        if pages and await _answering(pages, stop):
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop.set)
            _say(lang, _("The page: http://127.0.0.1:{console} · Ctrl-C ends everything", console=pages["console"]))
            await stop.wait()


async def _publish(  # noqa: PLR0913, PLR0917 - what is published, by whom, and how it is shown
    url: str, known: Settings, assessment: str, lines: list[tuple[str, bytes]], progress: Progress, lang: Language
) -> None:
    """Publish each line by its own party, in order: before another party speaks, all so far is acknowledged."""
    task = progress.add_task(_("publishing").say(lang), total=len(lines))
    async with contextlib.AsyncExitStack() as stack:
        clients: dict[str, Any] = {}
        waiting: list[Any] = []
        speaking = ""
        for n, (party, raw) in enumerate(lines, 1):
            if party not in clients:
                clients[party] = jetstream(await stack.enter_async_context(connected(url, party, known.data)))
            if party != speaking or len(waiting) == 256:
                await asyncio.gather(*waiting)
                waiting, speaking = [], party
            waiting.append(await clients[party].publish_async(_subject(assessment, party, raw), raw))
            progress.update(task, completed=n)
        await asyncio.gather(*waiting)


def _subject(assessment: str, party: str, raw: bytes) -> str:
    """The intake subject of a line; one that cannot be read says of itself only who sent it."""
    try:
        event = read(raw)
        return subjects.intake(assessment, party, event["type"], event["subject"])
    except (ValueError, KeyError, TypeError):
        return subjects.intake(assessment, party, "unreadable", "assessment")


async def _published(url: str, known: Settings, lines: int, progress: Progress, lang: Language) -> Ranking:
    """Wait until ingest has taken everything and the ranking of the whole ledger is published."""
    task = progress.add_task(_("scoring").say(lang), total=lines)
    async with connected(url, "audit", known.data) as client:
        js = jetstream(client)
        seen, since = (-1, -1, -1), time.monotonic()
        while True:
            intake = await js.stream_info(stream("INTAKE", known.assessment))
            ledger = await js.stream_info(stream("LEDGER", known.assessment))
            ranking = await announced.last(client, known.assessment)
            scored = ranking.sequence if ranking else 0
            progress.update(task, completed=scored, total=ledger.state.last_seq or lines)
            if ranking and not intake.state.messages and scored == ledger.state.last_seq:
                return ranking
            if (now := (intake.state.messages, ledger.state.last_seq, scored)) != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > PATIENCE_SECONDS:
                folder = known.data / "logs"
                raise Stop(
                    Exit.FAILED,
                    _(
                        "Nothing has moved for {patience_seconds} seconds; {folder} says what the services did.",
                        patience_seconds=PATIENCE_SECONDS,
                        folder=folder,
                    ),
                )
            await asyncio.sleep(0.1)


def _show(known: Settings, ranking: Ranking, lines: int, seconds: float, lang: Language) -> None:
    """Print the rankings, the awards, the statement of one unit, and where the snapshot lies."""
    path = known.snapshots / ranking.snapshot
    con = store.connect(path, read_only=True)
    year = stored(con)
    assert year is not None
    with rules.compute(con):
        tables.ranking(con, year, [], lang)
        unit = con.execute(
            "SELECT unit FROM entry_result GROUP BY unit ORDER BY count(DISTINCT disposition) DESC, unit LIMIT 1"
        ).fetchone()
        if unit:
            tables.entries(con, unit[0], lang)
        counts = Counter(
            dict(con.execute("SELECT disposition, count(*) FROM trail GROUP BY ALL ORDER BY 2 DESC").fetchall())
        )
    con.close()
    told = " · ".join(f"{name} {count}" for name, count in counts.most_common())
    _say(
        lang,
        _(
            "{published} events published, {sequence} in the ledger, {refused} refused · {told}",
            published=lines,
            sequence=ranking.sequence,
            refused=lines - ranking.sequence,
            told=told,
        ),
    )
    _say(
        lang,
        _(
            "Snapshot: {path}\nDigest: {digest} · {seconds} s",
            path=path,
            digest=ranking.digest,
            seconds=f"{seconds:.1f}",
        ),
    )


def status(*, format: Literal["table", "json"] = "table", lang: Literal["zh", "en"] | None = None) -> int:  # noqa: A002
    """Show the streams, how far each service is behind, what was refused, and the age of the snapshot.

    Example: wuxing status --format json

    Parameters
    ----------
    format
        A table to read, or JSON: an object, of several assessments a list of them.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    found = [asyncio.run(_status(known)) for known in settings.several()]
    if format == "json":
        print(json.dumps(found[0] if len(found) == 1 else found, ensure_ascii=False))
    else:
        for one in found:
            tables.facts(one, settings.language(lang))
    return Exit.DONE


async def _status(known: Settings) -> dict[str, Any]:
    async with connected(known.nats_url, "audit", known.data) as client:
        return await facts(client, known)


async def facts(client: Client, known: Settings) -> dict[str, Any]:
    """What the broker and the snapshots tell of a running assessment."""
    js = jetstream(client)
    mine = parties(known.data)
    names = ("INTAKE", "LEDGER", "RECEIPT", "REFUSED", "RANKING", *((TEXTS,) if mine and mine.texts else ()))
    infos = {name: (await js.stream_info(stream(name, known.assessment))).state for name in names}
    ranking = await announced.last(client, known.assessment)
    waiting = {}
    for durable, name in (("ingest", "INTAKE"), ("scorer", "LEDGER")):
        info = await js.consumer_info(stream(name, known.assessment), durable)
        waiting[durable] = (info.num_pending or 0) + (info.num_ack_pending or 0)
    latest = make.latest(known.snapshots)
    held = places.read(places.file(known.data, known.assessment)) or places.Place()
    return {
        "assessment": known.assessment,
        "streams": {name: {"messages": state.messages, "last": state.last_seq} for name, state in infos.items()},
        "waiting": waiting,
        "ranked": ranking.sequence if ranking else 0,
        "behind": infos["LEDGER"].last_seq - (ranking.sequence if ranking else 0),
        "refused": infos["REFUSED"].messages,
        "snapshot": str(latest) if latest else None,
        "snapshot_age_seconds": int(time.time() - latest.stat().st_mtime) if latest else None,
        "digest": ranking.digest if ranking else None,
        "passed_over": held.passed_over,
        "lost": held.lost,
    }


def _say(lang: Language, said: Text) -> None:
    print(said.say(lang), file=sys.stderr)
