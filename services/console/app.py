"""The console: pages over published snapshots, each state of the ledger with its own address; it never writes."""

import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import structlog
import uvicorn
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import Litestar, MediaType, Request, Response, get
from litestar.exceptions import HTTPException
from litestar.response import File, Redirect
from litestar.static_files import create_static_files_router
from litestar.types import Message, Scope

from schemas.clauses import clauses
from schemas.refusals import Language
from schemas.rulebook import SHIPPED
from schemas.rulebook import load as load_rulebook
from services.command import words
from services.console import pages, sql
from services.console.states import NoSnapshot, Row, Snapshots
from services.console.view import THEMES, Refused, View
from services.process import log, metrics, settings
from services.process.ending import Exit, Stop

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
    made.filters |= {"four": words.four, "exact": words.exact, "signed": words.signed, "cell": sql.text}

    def word(context: Context, code: Any) -> str:
        return words.word(code, context["view"].lang)

    def choice(context: Context, value: str) -> str:
        return words.choice(value, context["view"].lang)

    made.filters |= {"word": pass_context(word), "choice": pass_context(choice)}
    return made


TEMPLATES = environment()


def render(view: View, name: str, status: int = 200, **found: Any) -> Response[str]:
    """A page of a template; remembers a language or theme that the address chose."""
    try:
        shared = _shared(view)
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
        shipped = load_rulebook(SHIPPED / "rulebook.toml")
        kept["cited"] = clauses() if snapshot.meta["rulebook"] == shipped.id else {}
        kept["title"] = snapshot.rulebook.name if snapshot.rulebook else None
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
        "at": snapshot.sequence if as_of is None else as_of,
    }


def page(path: str, *, kept: bool = True) -> Callable[[Callable[[View], Any]], Any]:
    """A handler of a page: runs in a thread, gets a View, says in words what it refuses."""

    def made(function: Callable[[View], Any]) -> Any:
        def handle(request: Request[Any, Any, Any]) -> Any:
            view = View(request, request.app.state.snapshots, request.app.state.lang)
            try:
                if "at" in view.params:
                    return _jump(view)
                return _kept(view, function) if kept else function(view)
            except Refused as refused:
                return render(view, "error.html", refused.status, message=refused.text[view.lang])
            except NoSnapshot as missing:
                return render(
                    view,
                    "error.html",
                    503,
                    message=view.t(
                        f"There is no snapshot at {missing} yet. Run wuxing demo, or wuxing score FILE"
                        " --snapshot OUT.duckdb and give OUT.duckdb to --snapshots; this page then shows it.",
                        f"{missing}尚无快照。请运行wuxing demo，或用wuxing score FILE --snapshot OUT.duckdb生成，"
                        "再以--snapshots指定。",
                    ),
                )

        handle.__name__ = function.__name__
        handle.__doc__ = function.__doc__
        return get(path, sync_to_thread=True, include_in_schema=False)(handle)

    return made


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
    awards = {row["award"]: row["name"] for row in base.rows(pages.query("awards", view.lang))}
    return render(
        view,
        "whatif.html",
        choices=view.snapshot.choices,
        force=force,
        chosen=dict(view.readings),
        awards=awards,
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


@page("/sql", kept=False)
def ask(view: View) -> Response[str]:
    """Any question in SQL, answered read-only, in the state of the address."""
    name = view.params.get("ready", "")
    text = view.params.get("query") or (sql.queries()[name].text if name in sql.queries() else "")
    answer, refused = None, None
    if text:
        try:
            answer = sql.ask_apart(view.snapshot.path, text, as_of=view.as_of, readings=dict(view.readings))
        except sql.SqlRefused as error:
            refused = error.text[view.lang]
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


@get("/healthz", sync_to_thread=True, include_in_schema=False)
def healthz(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Whether there is a snapshot to show, and which."""
    try:
        snapshot = request.app.state.snapshots.current()
    except NoSnapshot as missing:
        return Response({"status": "no snapshot", "place": str(missing)}, status_code=503)
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
    return render(view, "error.html", status, message=message)


def create_app(snapshots: Path, lang: Language = "en") -> Litestar:
    """The console as an ASGI application over a folder of snapshots, or one snapshot file."""
    held = Snapshots(snapshots)
    static = create_static_files_router(
        path="/static", directories=[HERE / "static"], include_in_schema=False, cache_control=None
    )
    found = [board, unit, audit, event, progress, readings, what_if, proof, ask, regulation, download, healthz, static]
    app = Litestar(
        found,
        openapi_config=None,
        logging_config=None,
        before_send=[_headed],
        on_shutdown=[held.stop],
        exception_handlers={Exception: _failed, HTTPException: _failed},
    )
    app.state.snapshots = held
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
    with metrics.serve_metrics(["console"]) or nullcontext(), suppress(KeyboardInterrupt):  # told so to stop
        metrics.started("console", lambda: _missing(app.state.snapshots))
        uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run(sockets=[listener])
    return Exit.DONE
