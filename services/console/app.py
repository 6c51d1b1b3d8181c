"""The console: pages over published snapshots, each state of the ledger with its own address; it never writes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from cyclopts import Parameter
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.response import File, Redirect
from litestar.static_files import create_static_files_router
from litestar.types import Message, Scope

from schemas.clauses import clauses
from schemas.refusals import Language
from schemas.rulebook import SHIPPED, en, zh
from services.command import words
from services.console import pages, sql
from services.console.states import NoSnapshot, Row, Snapshots
from services.console.turns import Gone, Turns
from services.console.view import THEMES, Refused, View
from services.process import log, metrics, settings, web
from services.process.ending import Exit, Stop
from services.process.web import own_page

HERE = Path(__file__).parent
#: Only what this server sends may run or be shown, nothing inline, in no frame, and no request goes elsewhere.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
}
YEAR = 365 * 86_400
#: Bytes of a form: a question of any sense, and the state of the address.
BODY_MAX = 64 * 1024


def environment() -> Environment:
    """The templates: everything escaped, a name that is missing is our bug."""
    made = Environment(
        loader=PackageLoader("services.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "four": words.four,
        "exact": words.exact,
        "signed": words.signed,
        "cell": sql.text,
        "points": words.points,
        "points4": words.points4,
    }

    def word(context: Context, code: Any) -> str:
        return words.word(code, context["view"].lang)

    def choice(context: Context, value: str) -> str:
        return words.choice(value, context["view"].lang)

    def named(context: Context, name: Any) -> str:
        return (zh if context["view"].lang == "zh" else en)(name)

    made.filters |= {"word": pass_context(word), "choice": pass_context(choice), "named": pass_context(named)}
    return made


TEMPLATES = environment()


def render(view: View, name: str, status: int = 200, *, bare: bool = False, **found: Any) -> Response[str]:
    """A page of a template, `bare` without what needs the snapshot; remembers what the address chose."""
    try:
        shared = {"snapshot": None} if bare else _shared(view)
    except NoSnapshot:
        shared = {"snapshot": None}
    template = TEMPLATES.get_template(name)
    text = template.render(view=view, t=view.t, lang=view.lang, link=view.link, **shared, **found)
    return _response(view, text, status)


def _response(view: View, text: str, status: int) -> Response[str]:
    headers = {"Cache-Control": "no-cache", "Vary": "Cookie, Accept-Language"}
    response = Response(text, media_type=MediaType.HTML, status_code=status, headers=headers)
    for key, known in (("lang", ("zh", "en")), ("theme", THEMES)):
        if view.params.get(key) in known:
            response.set_cookie(key, view.params[key], max_age=YEAR, samesite="lax", httponly=True)
    return response


def _shared(view: View) -> Row:
    """What every page shows: the snapshot, the slider's axis, the clauses where the rulebook is the shipped one."""
    snapshot = view.snapshot
    kept = snapshot.kept
    if "cited" not in kept:
        kept["cited"] = clauses() if snapshot.meta["rulebook"] == SHIPPED.name else {}
        name = snapshot.rulebook.name if snapshot.rulebook else ""
        kept["title"] = {"zh": zh(name), "en": en(name)}
    try:
        around, as_of = pages.neighbours(snapshot, view.as_of), view.as_of
    except Refused:
        around, as_of = pages.neighbours(snapshot, None), None
    return {
        "snapshot": snapshot,
        "axis": pages.timeline(snapshot),
        "around": around,
        "cited": kept["cited"],
        "title": kept["title"],
        "names": pages.names(snapshot.state(), view.lang),
        "at": snapshot.sequence if as_of is None else as_of,
    }


def page(path: str, *, kept: bool = True) -> Callable[[Callable[[View], Any]], Any]:
    """A handler of a page: made in a thread when its turn comes, gets a View, says in words what it refuses."""

    def made(function: Callable[[View], Any]) -> Any:
        async def handle(request: Request[Any, Any, Any]) -> Response[Any]:
            view = View(request, request.app.state.snapshots, request.app.state.lang)

            def work() -> Any:
                if "at" in view.params:
                    return _jump(view)
                return _kept(view, function) if kept else function(view)

            return await _answered(view, lambda: _turns(view).page(request, _asked(view), lambda: _said(view, work)))

        handle.__name__ = function.__name__
        handle.__doc__ = function.__doc__
        return get(path, include_in_schema=False)(handle)

    return made


def _turns(view: View) -> Turns:
    found: Turns = view.request.app.state.turns
    return found


def _asked(view: View) -> Hashable:
    """What names the state of an address, as it stands there; the newest is published, and nobody waits for it."""
    names = (item for item in view.params.items() if item[0] == "as_of" or item[0].startswith("r."))
    return tuple(sorted(names)) or object()


def _said(view: View, work: Callable[[], Response[Any]]) -> Response[Any]:
    """What some work gives, or the page that says why it gives nothing."""
    try:
        return work()
    except Refused as refused:
        return _refusal(view, refused)
    except NoSnapshot as missing:
        why = (missing.text or {}).get(view.lang, "")
        message = view.t(
            f"There is no snapshot to show yet. {why} Run wuxing demo, or wuxing score FILE --snapshot OUT.duckdb and"
            " give OUT.duckdb to --snapshots; this page then shows it.",
            f"尚无可显示的快照。{why}请运行wuxing demo，或用wuxing score FILE --snapshot OUT.duckdb生成，"
            "再以--snapshots指定。",
        )
        return render(view, "error.html", 503, message=message)


def _refusal(view: View, refused: Refused) -> Response[str]:
    response = render(view, "error.html", refused.status, bare=refused.status == 503, message=refused.say(view.lang))
    if refused.status == 503:
        response.headers["Retry-After"] = "5"
    return response


async def _answered(view: View, answer: Callable[[], Awaitable[Response[Any]]]) -> Response[Any]:
    """An answer in its turn; whoever was pushed out is told in a page that needs no turn."""
    try:
        return await answer()
    except Refused as refused:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(view.request.app.state.aside, _refusal, view, refused)
    except Gone:
        return Response(b"", status_code=499)


def _kept(view: View, function: Callable[[View], Response[str]]) -> Response[str]:
    """The page as it was made before for the same address, language and theme; made now where it was not."""
    key = (view.request.url.path, view.request.url.query, view.lang, view.theme)
    text = view.snapshot.page(key)
    if text is None:
        text = function(view).content
        view.snapshot.keep(key, text)
    return _response(view, text, 200)


def _jump(view: View) -> Redirect:
    """To the state at the end of a day, or at an instant."""
    found = pages.sequence_at(view.snapshot, view.params["at"])
    if found is None:
        text = repr(view.params["at"][:40])
        raise Refused(
            400,
            f"at: expected a date like 2013-05-06 or an RFC 3339 time, found {text}.",
            f"at：应为2013-05-06这样的日期或RFC 3339时间，实为{text}。",
        )
    return Redirect(view.here(as_of=found), status_code=303)


def _shown(view: View) -> pages.Shown:
    sort = view.params.get("sort", "place")
    return pages.Shown(
        category=view.params.get("category"),
        group=view.params.get("group"),
        text=view.params.get("q", "")[:100],
        sort=sort if sort in pages.SORTS else "place",
        turned=view.params.get("turned") == "1",
        page=view.number("page"),
    )


@page("/")
def board(view: View) -> Response[str]:
    """The board: every category with its places, lines and awards."""
    shown = _shown(view)
    found = pages.board(view.state, view.lang, shown)
    if not found:
        raise Refused(404, "There is no such category.", "没有这一类别。")
    return render(view, "board.html", categories=found, shown=shown, assessment=pages.assessment(view.state))


@page("/unit/{code:str}")
def unit(view: View) -> Response[str]:
    """A unit's statement."""
    code = view.request.path_params["code"]
    found = pages.unit(view.state, code, view.lang)
    if found is None:
        raise Refused(404, f"There is no unit {code[:64]!r} on the roster.", f"名单中没有单位{code[:64]!r}。")
    return render(view, "unit.html", unit=found, assessment=pages.assessment(view.state))


@page("/audit")
def audit(view: View) -> Response[str]:
    """The audit trail: every event and what became of it."""
    names = ("office", "item", "unit", "disposition", "type", "text")
    asked = pages.Asked(**{name: view.params.get(name, "")[:200] for name in names}, page=view.number("page"))
    found, by = pages.audit(view.state, asked), pages.filters(view.state, view.lang)
    return render(view, "audit.html", asked=asked, found=found, by=by)


@page("/event/{seq:int}")
def event(view: View) -> Response[str]:
    """One event as it was sent, and what became of it."""
    found = pages.event(view.state, view.request.path_params["seq"])
    if found is None:
        raise Refused(404, "There is no such event in the ledger at this point.", "在此序号之前，账本中没有这一事件。")
    return render(view, "event.html", event=found)


@page("/progress")
def progress(view: View) -> Response[str]:
    """What is closed, pending and late, office by office."""
    found = pages.progress(view.state, view.lang)
    return render(view, "progress.html", found=found, assessment=pages.assessment(view.state))


@page("/readings", kept=False)
def readings(view: View) -> Response[str]:
    """Which units depend on which reading."""
    found = pages.dependence(view.snapshot, view.as_of)
    force = view.snapshot.state(view.as_of).rows("SELECT name, value, adopted_by FROM reading_in_force")
    in_force = {row["name"]: row for row in force}
    return render(view, "readings.html", choices=view.snapshot.choices, found=found, force=in_force)


@page("/what-if")
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


@page("/proof")
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
async def ask(request: Request[Any, Any, Any]) -> Response[Any]:
    """The form for a question in SQL; a ready one is answered. What stands in an address is shown and not run."""
    view = View(request, request.app.state.snapshots, request.app.state.lang)
    ready = sql.queries().get(view.params.get("ready", ""))
    return await _question(view, ready.text if ready else "", view.params.get("query", ""))


@post("/sql", include_in_schema=False, status_code=200, request_max_body_size=BODY_MAX)
async def asked(request: Request[Any, Any, Any]) -> Response[Any]:
    """Any question in SQL from a form of this console's, answered read-only, in the state of the address."""
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    view = View(request, request.app.state.snapshots, request.app.state.lang, form)
    if not own_page(request.scope):
        en, zh = "This question comes from a page of another server.", "此查询来自其他服务器的网页。"
        return await _answered(view, lambda: _raised(Refused(403, en, zh)))
    return await _question(view, view.params.get("query", ""), "")


async def _raised(refused: Refused) -> Response[Any]:
    raise refused


async def _question(view: View, text: str, shown: str) -> Response[Any]:
    """The page with the answer to a question, asked in a process of its own."""
    request, turns = view.request, _turns(view)

    def state() -> tuple[Path, int | None, dict[str, str]]:
        return view.snapshot.path, view.as_of, dict(view.readings)

    async def answered() -> Response[Any]:
        answer, refused = None, None
        if text:
            try:
                path, as_of, chosen = await turns.page(request, object(), state)
                found = sql.ask_apart(path, text, as_of=as_of, readings=chosen)
                answer = await turns.question(request, found)
            except sql.SqlRefused as error:
                refused = error.say(view.lang)
            except NoSnapshot:
                pass  # the page below says so
        return await turns.page(
            request, object(), lambda: _said(view, lambda: _sql_page(view, text or shown, answer, refused))
        )

    return await _answered(view, answered)


def _sql_page(view: View, text: str, answer: sql.Answer | None, refused: str | None) -> Response[str]:
    return render(
        view,
        "sql.html",
        400 if refused else 200,
        text=text,
        answer=answer,
        refused=refused,
        ready=sql.queries(),
        limit=sql.ROWS_MAX,
        cut=sql.CELL_MAX,
    )


@page("/regulation")
def regulation(view: View) -> Response[str]:
    """The regulation by clause, for those who follow a citation."""
    return render(view, "regulation.html")


@page("/snapshot.duckdb", kept=False)
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


def _failed(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    """A sentence for the reader and the traceback for the log."""
    view = View(request, request.app.state.snapshots, request.app.state.lang)
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status >= 500:
        structlog.get_logger(service="console").error("page.failed", path=request.url.path, exc_info=error)
        message = view.t(
            "Something went wrong here; it has been logged. The other pages still work.",
            "此处出错，已记入日志；其他页面不受影响。",
        )
    else:
        message = view.t("There is no such page.", "没有这一页面。")
    return render(view, "error.html", status, bare=True, message=message)


def create_app(snapshots: Path, lang: Language = "en") -> Litestar:
    """The console as an ASGI application over a folder of snapshots, or one snapshot file."""
    held = Snapshots(snapshots)
    turns, aside = Turns(held.interrupt), ThreadPoolExecutor(1, "console-aside")
    static = create_static_files_router(
        path="/static", directories=[HERE / "static"], include_in_schema=False, cache_control=None
    )
    pages_of = [board, unit, audit, event, progress, readings, what_if, proof, regulation, download]
    app = Litestar(
        [*pages_of, ask, asked, healthz, static],
        openapi_config=None,
        logging_config=None,
        before_send=[_headed],
        on_shutdown=[held.stop, turns.close, lambda: aside.shutdown(wait=False)],
        exception_handlers={Exception: _failed, HTTPException: _failed},
    )
    app.state.snapshots, app.state.turns, app.state.aside = held, turns, aside
    app.state.lang = lang
    return app


async def _headed(message: Message, _scope: Scope) -> None:
    """Put the headers on whatever is sent, errors too."""
    if message["type"] == "http.response.start":
        ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        message["headers"] = [*message["headers"], *ours]


def _missing(held: Snapshots) -> str | None:
    """Why the console is not ready: it has nothing to show. What it shows is told on the way."""
    try:
        newest = held.current()
    except NoSnapshot as missing:
        return f"there is no snapshot at {missing}"
    metrics.shown(newest.sequence, newest.path)
    return None


def console(
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    snapshots: Path | None = None,
    name: Annotated[list[str], Parameter(negative=())] = [],  # noqa: B006 - read only
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Serve the pages over published snapshots, read-only; a new snapshot appears by itself.

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
    read = settings.read()
    chosen = log.configure(read, "console")
    place = snapshots or read.snapshots
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = f"{host}:{port}: {error}"
        raise Stop(
            Exit.FAILED, f"{reason}. Choose another --host or --port.", f"{reason}。请另选--host或--port。"
        ) from None
    chosen.info("console.started", url=f"http://{host}:{listener.getsockname()[1]}/", snapshots=str(place))
    app = create_app(place, settings.language(lang))
    with metrics.serve_metrics(["console"]) or nullcontext():
        metrics.started("console", lambda: _missing(app.state.snapshots))
        web.serve(web.Named(app, [*name, host, socket.gethostname(), socket.getfqdn()]), listener)
    return Exit.DONE
