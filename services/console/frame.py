"""Decides how a page comes to be: the template, its turn, who may see it, and what is said instead of a page."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.response import Redirect

from schemas.clauses import clauses
from schemas.events import day
from schemas.rulebook import SHIPPED, en, zh
from schemas.texts import is_token
from schemas.words import Text, _
from services.command import words
from services.console import pages, sql, tables
from services.console.states import NoSnapshot, Row
from services.console.turns import Gone, Turns
from services.console.view import THEMES, Refused, View
from services.process.web import own_page
from services.snapshot import texts

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


@pass_context
def _gettext(context: Context, english: str, /, **gaps: Any) -> str:
    """`{{ _('…') }}` in a template, in the language of the page; its gaps are as in Python."""
    return Text(english, gaps).say(context["lang"])


@pass_context
def _ngettext(context: Context, one: str, many: str, n: int, /, **gaps: Any) -> str:
    """`{{ _n('…', '…', n) }}` in a template."""
    return Text(one, {"n": n} | gaps, plural=(many, n)).say(context["lang"])


@pass_context
def _pgettext(context: Context, about: str, english: str, /, **gaps: Any) -> str:
    """`{{ _p('…', '…') }}` in a template."""
    return Text(english, gaps, about).say(context["lang"])


def environment() -> Environment:
    """The templates: everything escaped, a name that is missing is our bug."""
    made = Environment(
        loader=PackageLoader("services.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(_gettext, _ngettext, newstyle=False, pgettext=_pgettext)  # type: ignore[attr-defined]
    made.globals |= {"_n": _ngettext, "_p": _pgettext}
    made.filters |= {
        "day": day,
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

    def arranged(context: Context, rows: list[Row], table: str) -> list[Row]:
        return tables.arranged(rows, table, context["view"].params)

    made.filters |= {"word": pass_context(word), "choice": pass_context(choice), "named": pass_context(named)}
    made.filters |= {"arranged": pass_context(arranged)}
    made.tests["token"] = is_token
    made.finalize = pass_context(_told)
    return made


def _told(context: Context, value: Any) -> Any:
    """What is written where a token stands for a text out of line: the text, or by which order it was erased."""
    if not is_token(value):
        return value
    view: View = context["view"]
    kept = view.snapshot.kept
    if (key := ("texts", view.lang)) not in kept:
        kept[key] = texts.shown(view.snapshot.con.cursor(), view.lang)
    return kept[key](value)


TEMPLATES = environment()


def render(view: View, name: str, status: int = 200, *, bare: bool = False, **found: Any) -> Response[str]:
    """A page of a template, `bare` without what needs the snapshot; remembers what the address chose."""
    try:
        shared: Row = {"snapshot": None, "names": {}} if bare else _shared(view)
    except NoSnapshot:
        shared = {"snapshot": None, "names": {}}
    who = None if bare else view.who
    token = view.door.token(who) if who and view.door else ""
    template = TEMPLATES.get_template(name)
    text = template.render(view=view, lang=view.lang, link=view.link, who=who, token=token, **shared, **found)
    return _response(view, text, status, signed=who is not None)


def _response(view: View, text: str, status: int, *, signed: bool) -> Response[str]:
    headers = {"Cache-Control": "no-store" if signed else "no-cache", "Vary": "Cookie, Accept-Language"}
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


def page(path: str, room: str | None = None, *, kept: bool = True) -> Callable[[Callable[[View], Any]], Any]:
    """A handler of a page: made in a thread when its turn comes, gets a View, says in words what it refuses.

    `room` is what the access file calls it; null where the page itself says who may see it.
    """

    def made(function: Callable[[View], Any]) -> Any:
        async def handle(request: Request[Any, Any, Any]) -> Response[Any]:
            view = View(request, request.app.state.snapshots, request.app.state.lang)

            def work() -> Any:
                if room is not None:
                    let_in(view, room)
                if "at" in view.params:
                    return _jump(view)
                made = _kept(view, function) if kept else function(view)
                form, table = view.params.get("download"), view.params.get("table", "")
                if not form or not isinstance(made.content, str):
                    return made
                return tables.download(made.content, form, table, request.url.path)

            return await answered(view, lambda: turns(view).page(request, _asked(view), lambda: said(view, work)))

        handle.__name__ = function.__name__
        handle.__doc__ = function.__doc__
        return get(path, include_in_schema=False)(handle)

    return made


def form(path: str, *, most: int = BODY_MAX, open_: bool = False) -> Callable[[Callable[[View], Any]], Any]:
    """A handler of a form that a page of this server sent: of a session, with its token, unless `open_` to all."""

    def made(function: Callable[[View], Any]) -> Any:
        async def handle(request: Request[Any, Any, Any]) -> Response[Any]:
            view = View(request, request.app.state.snapshots, request.app.state.lang)
            for name, value in (await request.form()).items():
                if isinstance(value, UploadFile):
                    view.files[name] = value.filename, await value.read()
                elif isinstance(value, str):
                    view.fields[name] = value

            def work() -> Any:
                _own(view, open_=open_)
                return function(view)

            return await answered(view, lambda: turns(view).page(request, object(), lambda: said(view, work)))

        handle.__name__ = function.__name__
        handle.__doc__ = function.__doc__
        return post(path, include_in_schema=False, request_max_body_size=most)(handle)

    return made


def let_in(view: View, room: str) -> None:
    """Raise Refused where whoever asks may not read a room."""
    if view.door is not None and not view.door.may(view.who, room):
        raise Refused(
            403,
            _("This page is not open to the public, or not to this role: sign in.")
            if view.who is None
            else _("This page is not open to this role."),
        )


def _own(view: View, *, open_: bool) -> None:
    """Raise Refused where a form does not come from a page of this server, or its session has ended."""
    if not own_page(view.request.scope):
        raise Refused(403, _("This form comes from a page of another server."))
    if open_:
        return
    if view.door is None or view.who is None:
        raise Refused(403, _("Sign in first: there is no session, or it has ended."))
    if not hmac.compare_digest(view.fields.get("token", ""), view.door.token(view.who)):
        raise Refused(403, _("This form is of another session: load its page again."))


def later(view: View, work: Any, seconds: float) -> None:
    """Begin something that needs the event loop, and look for so long whether it has ended."""
    begun = asyncio.run_coroutine_threadsafe(work, view.request.app.state.loop)
    try:
        begun.result(seconds)
    except TimeoutError:
        return


def turns(view: View) -> Turns:
    """Where pages are made in their turn."""
    found: Turns = view.request.app.state.turns
    return found


def _asked(view: View) -> Hashable:
    """What names the state of an address, as it stands there; the newest is published, and nobody waits for it."""
    names = (item for item in view.params.items() if item[0] == "as_of" or item[0].startswith("r."))
    return tuple(sorted(names)) or object()


def said(view: View, work: Callable[[], Response[Any]]) -> Response[Any]:
    """What some work gives, or the page that says why it gives nothing."""
    try:
        return work()
    except Refused as refused:
        return refusal(view, refused)
    except NoSnapshot as missing:
        why = missing.why or ""
        message = view.say(
            _(
                "There is no snapshot to show yet. {why} Run wuxing demo, or wuxing score FILE "
                "--snapshot OUT.duckdb and give OUT.duckdb to --snapshots; this page then shows it.",
                why=why,
            )
        )
        return render(view, "error.html", 503, message=message)


def refusal(view: View, refused: Refused) -> Response[str]:
    """The page that says what is refused."""
    response = render(
        view, "error.html", refused.status, bare=refused.status in (403, 503), message=refused.say(view.lang)
    )
    if refused.status == 503:
        response.headers["Retry-After"] = "5"
    return response


async def answered(view: View, answer: Callable[[], Awaitable[Response[Any]]]) -> Response[Any]:
    """An answer in its turn; whoever was pushed out is told in a page that needs no turn."""
    try:
        return await answer()
    except Refused as refused:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(view.request.app.state.aside, refusal, view, refused)
    except Gone:
        return Response(b"", status_code=499)


def _kept(view: View, function: Callable[[View], Response[str]]) -> Response[str]:
    """The page as it was made before for the same address, language and theme; made now where it was not."""
    url, who = view.request.url, view.who.session if view.who else None
    key = (url.path, url.query, view.lang, view.theme, who)
    text = view.snapshot.page(key)
    if text is None:
        text = function(view).content
        view.snapshot.keep(key, text)
    return _response(view, text, 200, signed=who is not None)


def _jump(view: View) -> Redirect:
    """To the state at the end of a day, or at an instant."""
    found = pages.sequence_at(view.snapshot, view.params["at"])
    if found is None:
        text = repr(view.params["at"][:40])
        raise Refused(400, _("at: expected a date like 2013-05-06 or an RFC 3339 time, found {text}.", text=text))
    return Redirect(view.here(as_of=found), status_code=303)
