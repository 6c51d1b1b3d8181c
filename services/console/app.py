"""The console: pages over published snapshots, each state of the ledger with its own address; it never writes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from cyclopts import Parameter
from litestar import Litestar, Request, Response, get, post
from litestar.config.compression import CompressionConfig
from litestar.exceptions import HTTPException
from litestar.response import File, Stream
from litestar.static_files import create_static_files_router
from litestar.types import Message, Scope

from schemas.subjects import CODE
from schemas.words import Language, _
from schemas.year import Year
from services.console import desk, pages, reference, sql, tables
from services.console.door import Door, door
from services.console.frame import BODY_MAX, HEADERS, TEMPLATES, answered, let_in, page, render, said, turns
from services.console.states import NoSnapshot, Snapshots
from services.console.tray import Trays
from services.console.turns import Turns
from services.console.view import Refused, View
from services.process import log, metrics, settings, web
from services.process.ending import Exit
from services.process.settings import Settings
from services.process.web import own_page
from services.snapshot import point
from services.snapshot.make import latest

HERE = Path(__file__).parent
#: Open pages that are told of new snapshots at once, and how often each looks for one, in seconds.
FOLLOWERS, LOOK = 64, 1.0


def _shown(view: View) -> pages.Shown:
    sort = view.params.get("sort", "place")
    return pages.Shown(
        category=view.params.get("category"),
        group=view.params.get("group"),
        text=view.params.get("q", "")[:100],
        sort=sort if sort in pages.SORTS else "place",
        turned=view.params.get("turned") == "1",
        page=view.number("page"),
        size=tables.ROWS_ALL if "download" in view.params else pages.BOARD_ROWS,
    )


@page("/", "board")
def board(view: View) -> Response[str]:
    """The board: every category with its places, lines and awards."""
    shown = _shown(view)
    found = pages.board(view.state, view.lang, shown)
    if not found:
        raise Refused(404, _("There is no such category."))
    return render(view, "board.html", categories=found, shown=shown, assessment=pages.assessment(view.state))


@page("/unit/{code:str}")
def unit(view: View) -> Response[str]:
    """A unit's statement, which the unit itself may always read."""
    code = view.request.path_params["code"]
    if view.who is None or view.who.party != code:
        let_in(view, "statement")
    found = pages.unit(view.state, code, view.lang)
    if found is None:
        raise Refused(404, _("There is no unit {code} on the roster.", code=repr(code[:64])))
    told = pages.notices(view.snapshot, code, view.as_of)
    return render(view, "unit.html", unit=found, notices=told, assessment=pages.assessment(view.state))


@page("/matrix", "matrix")
def matrix(view: View) -> Response[str]:
    """Every unit by every item."""
    return render(view, "matrix.html", found=pages.matrix(view.state, view.lang))


@page("/search", "board", kept=False)
def search(view: View) -> Response[str]:
    """Units, items, events and clauses that a text is in."""
    text = view.params.get("q", "").strip()[:100]
    found = pages.search(view.state, view.lang, text, events=view.may("audit"))
    return render(view, "search.html", text=text, found=found)


@page("/audit", "audit")
def audit(view: View) -> Response[str]:
    """The audit trail: every event and what became of it."""
    names = ("office", "item", "unit", "disposition", "type", "text")
    sort = view.params.get("sort", "-seq")
    column = sort.removeprefix("-")
    asked = pages.Asked(
        **{name: view.params.get(name, "")[:200] for name in names},
        page=view.number("page"),
        size=tables.ROWS_ALL if "download" in view.params else pages.AUDIT_ROWS,
        sort=column if column in pages.AUDIT_SORTS else "seq",
        turned=sort.startswith("-"),
    )
    found, by = pages.audit(view.state, asked), pages.filters(view.state, view.lang)
    return render(view, "audit.html", asked=asked, found=found, by=by)


@page("/event/{seq:int}")
def event(view: View) -> Response[str]:
    """One event as it was sent, and what became of it; a unit may always read its own."""
    found = pages.event(view.state, view.request.path_params["seq"])
    if found is None or view.who is None or view.who.party != found["unit"]:
        let_in(view, "audit")
    if found is None:
        raise Refused(404, _("There is no such event in the ledger at this point."))
    return render(view, "event.html", event=found)


@page("/progress", "progress")
def progress(view: View) -> Response[str]:
    """What is closed, pending and late, office by office."""
    found = pages.progress(view.state, view.lang)
    return render(view, "progress.html", found=found, assessment=pages.assessment(view.state))


@page("/readings", "readings", kept=False)
def readings(view: View) -> Response[str]:
    """Which units depend on which reading."""
    found = pages.dependence(view.snapshot, view.as_of)
    force = view.snapshot.state(view.as_of).rows("SELECT name, value, adopted_by FROM reading_in_force")
    in_force = {row["name"]: row for row in force}
    return render(view, "readings.html", choices=view.snapshot.choices, found=found, force=in_force)


@page("/what-if", "what-if")
def what_if(view: View) -> Response[str]:
    """The form of all readings, and what moves under those chosen."""
    base = view.snapshot.state(view.as_of)
    force = {row["name"]: row["value"] for row in base.rows("SELECT name, value FROM reading_in_force")}
    return render(
        view,
        "whatif.html",
        choices=view.snapshot.choices,
        force=force,
        chosen=dict(view.readings),
        moved=pages.moves(base, view.state) if view.readings else [],
    )


@page("/proof", "proof")
def proof(view: View) -> Response[str]:
    """What proves this snapshot, and how to check it without this server."""
    state = view.snapshot.state()
    there = state.rows("SELECT table_name FROM duckdb_tables() WHERE table_name = 'checkpoint'")
    return render(
        view,
        "proof.html",
        checkpoint=state.rows("FROM checkpoint") if there else [],
        counts=state.one("SELECT count(*) AS events, min(seq) AS first, max(seq) AS last FROM event"),
    )


@get("/sql", include_in_schema=False)
async def sql_form(request: Request[Any, Any, Any]) -> Response[Any]:
    """The form for a question in SQL; a ready one is answered. What stands in an address is shown and not run."""
    view = View(request, request.app.state.snapshots, request.app.state.lang)
    ready = sql.queries().get(view.params.get("ready", ""))
    return await _question(view, ready.text if ready else "", view.params.get("query", ""))


@post("/sql", include_in_schema=False, status_code=200, request_max_body_size=BODY_MAX)
async def sql_asked(request: Request[Any, Any, Any]) -> Response[Any]:
    """Any question in SQL from a form of this console's, answered read-only, in the state of the address."""
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    view = View(request, request.app.state.snapshots, request.app.state.lang, form)
    if not own_page(request.scope):
        refused = Refused(403, _("This question comes from a page of another server."))
        return await answered(view, lambda: _raised(refused))
    return await _question(view, view.params.get("query", ""), "")


async def _raised(refused: Refused) -> Response[Any]:
    raise refused


async def _question(view: View, text: str, shown: str) -> Response[Any]:
    """The page with the answer to a question, asked in a process of its own."""
    request, places = view.request, turns(view)

    def state() -> tuple[Path, int | None, dict[str, str]]:
        return view.snapshot.path, view.as_of, dict(view.readings)

    async def asked() -> Response[Any]:
        answer, refused = None, None
        await places.page(request, object(), lambda: let_in(view, "sql"))
        if text:
            try:
                path, as_of, chosen = await places.page(request, object(), state)
                found = sql.ask_apart(path, text, as_of=as_of, readings=chosen, seconds=sql.SECONDS_MAX)
                answer = await places.question(request, found)
            except sql.SqlRefused as error:
                refused = error.say(view.lang)
            except NoSnapshot:
                pass  # the page below says so
        return await places.page(
            request, object(), lambda: said(view, lambda: _sql_page(view, text or shown, answer, refused))
        )

    return await answered(view, asked)


def _sql_page(view: View, text: str, answer: sql.Answer | None, refused: str | None) -> Response[Any]:
    made = render(
        view,
        "sql.html",
        400 if refused else 200,
        text=text,
        answer=answer,
        refused=refused,
        ready=sql.queries(),
        schemas=reference.listed(),
        leads=_leads,
        limit=sql.ROWS_MAX,
        cut=sql.CELL_MAX,
    )
    if answer and "download" in view.params:
        return tables.download(made.content, view.params["download"], "answer", "/sql")
    return made


#: Columns of an answer that hold the sequence of an event.
SEQUENCES = frozenset({"seq", "sequence", "refers_to", "revoked_by", "decided_by", "approved_by", "replaced_by"})


def _leads(column: str, cell: Any) -> str | None:
    """The page that a cell of an answer is about: a unit's, or an event's."""
    if column == "unit" and isinstance(cell, str) and CODE.fullmatch(cell) and cell != "assessment":
        return f"/unit/{cell}"
    return f"/event/{cell}" if column in SEQUENCES and type(cell) is int and cell > 0 else None


@page("/regulation", "regulation")
def regulation(view: View) -> Response[str]:
    """The regulation by clause, for those who follow a citation."""
    return render(view, "regulation.html")


@page("/snapshot.duckdb", "snapshot", kept=False)
def download(view: View) -> File:
    """The snapshot itself, which recomputes in any DuckDB client."""
    return File(view.snapshot.path, filename=view.snapshot.path.name, media_type="application/vnd.duckdb")


@get("/healthz", include_in_schema=False)
async def healthz(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Whether there is a snapshot to show, and which; no page and no question stands in its way."""
    state = request.app.state
    try:
        snapshot = await asyncio.get_running_loop().run_in_executor(state.aside, state.snapshots.current)
    except NoSnapshot:
        return Response({"status": "no snapshot"}, status_code=503)
    facts = {name: snapshot.meta[name] for name in ("assessment", "digest", "state")}
    return Response({"status": "ok", "sequence": snapshot.sequence, "snapshot": snapshot.path.name} | facts)


@get("/follow", include_in_schema=False)
async def follow(request: Request[Any, Any, Any]) -> Response[Any]:
    """Tell an open page of each new snapshot, by its sequence (server-sent events); 204 where too many listen."""
    state = request.app.state
    if state.followers >= FOLLOWERS:
        return Response(None, status_code=204)

    async def news() -> AsyncIterator[str]:
        state.followers += 1
        told = await asyncio.to_thread(latest, state.snapshots.place)
        try:
            yield ": following\n\n"
            for look in range(int(3600 / LOOK)):
                if web.Server.told:
                    return
                await asyncio.sleep(LOOK)
                newest = await asyncio.to_thread(latest, state.snapshots.place)
                if newest is not None and newest != told:
                    told = newest
                    yield "data: new\n\n"
                elif look % 15 == 0:
                    yield ": here\n\n"  # so that a connection that is gone is noticed
        finally:
            state.followers -= 1

    return Stream(news(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    """A sentence for the reader and the traceback for the log."""
    view = View(request, request.app.state.snapshots, request.app.state.lang)
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status >= 500:
        structlog.get_logger(service="console").error("page.failed", path=request.url.path, exc_info=error)
        message = view.say(_("Something went wrong here; it has been logged. The other pages still work."))
    elif status == 413:
        most = desk.FILE_MAX if request.url.path == "/desk/upload" else BODY_MAX
        message = view.say(_("Too large: at most {most} bytes.", most=most))
    else:
        message = view.say(_("There is no such page."))
    return render(view, "error.html", status, bare=True, message=message)


def create_app(snapshots: Path, lang: Language = "en", at: Door | None = None) -> Litestar:
    """The console as an ASGI application over a folder of snapshots, or one snapshot file; `at` is where to sign in."""
    held = Snapshots(snapshots)
    turns, aside = Turns(held.interrupt), ThreadPoolExecutor(1, "console-aside")
    static = create_static_files_router(
        path="/static", directories=[HERE / "static"], include_in_schema=False, cache_control=None
    )
    pages_of = [board, unit, matrix, search, audit, event, progress, readings, what_if, proof, regulation, download]

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.loop = asyncio.get_running_loop()
        async with at.desk.open(at.settings) if at and at.desk else nullcontext():
            yield

    app = Litestar(
        [*pages_of, *desk.HANDLERS, sql_form, sql_asked, follow, healthz, static],
        openapi_config=None,
        logging_config=None,
        lifespan=[lifespan],
        before_send=[_headed],
        on_shutdown=[held.stop, turns.close, lambda: aside.shutdown(wait=False)],
        compression_config=CompressionConfig("gzip", gzip_compress_level=5, exclude=["/follow", "/snapshot.duckdb"]),
        exception_handlers={Exception: _failed, HTTPException: _failed},
    )
    app.state.snapshots, app.state.turns, app.state.aside = held, turns, aside
    app.state.lang, app.state.door, app.state.followers, app.state.trays = lang, at, 0, Trays()
    return app


async def _headed(message: Message, _scope: Scope) -> None:
    """Put the headers on whatever is sent, errors too."""
    if message["type"] == "http.response.start":
        ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        message["headers"] = [*message["headers"], *ours]


def _unready(apps: Mapping[str, Litestar]) -> str | None:
    """Why the console is not ready: the first of its assessments that has nothing to show; tells each one's numbers."""
    found = None
    for code, app in apps.items():
        metrics.assessment.set(code if len(apps) > 1 else "")
        missing = _missing(app)
        found = found or missing
    return found


def _missing(app: Litestar) -> str | None:
    """Why the console is not ready: it has nothing to show. What it shows is told on the way."""
    try:
        newest = app.state.snapshots.current()
    except NoSnapshot as missing:
        return f"there is no snapshot at {missing}"
    metrics.shown(newest.sequence, newest.path)
    return None


def _year(place: Path) -> Year | None:
    """The year of the newest snapshot, null where there is none."""
    try:
        return point.stored(Snapshots(place).current().con.cursor())
    except NoSnapshot:
        return None


def console(
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    snapshots: Path | None = None,
    name: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006 - read only
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Serve the pages over published snapshots; a new one appears by itself. Parties sign in with their gateway keys.

    Example: wuxing console --port 8080 --snapshots data/snapshots

    Parameters
    ----------
    host
        The address to listen on; this machine only without it.
    port
        The port to listen on.
    snapshots
        The folder of snapshots, or one snapshot file; the data folder's without it.
    name
        A name by which browsers ask for it, where that is not an address, localhost, --host or this machine's name,
        such as that of the proxy before it; may be given more than once.
    lang
        Language where a browser asks for neither: zh or en; the locale's without it.
    """
    known = [settings.read()] if snapshots else settings.several()
    chosen = log.configure(known[0], "console")
    listener = web.listen(host, port)
    chosen.info("console.started", url=f"http://{host}:{listener.getsockname()[1]}/", assessments=len(known))
    tongue = settings.language(lang)

    def made(one: Settings) -> Litestar:
        place = snapshots or one.snapshots
        at = door(one, _year(place))
        if at is None and not host.startswith("127.") and host not in ("localhost", "::1"):
            chosen.warning("console.open", host=host, why="no access.toml: whoever reaches it reads everything")
        return create_app(place, tongue, at)

    def listed() -> web.Made:
        every = known if snapshots else settings.several()
        return {one.assessment: partial(made, one) for one in every}

    for one in known:
        door(one, None)  # what cannot be used is said before anything is served
    app = web.Several(listed, partial(front, tongue))
    with metrics.serve_metrics(["console"]) or nullcontext():
        metrics.started("console", lambda: _unready(app.apps))
        web.serve(web.Named(app, [*name, host, socket.gethostname(), socket.getfqdn()]), listener)
    return Exit.DONE


def front(lang: Language, codes: Collection[str], _: Scope) -> tuple[str, bytes]:
    """The page that leads to each assessment."""
    return "text/html; charset=utf-8", TEMPLATES.get_template("years.html").render(codes=codes, lang=lang).encode()
