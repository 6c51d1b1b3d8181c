"""The desk: signing in, handing in, and what each role does with a browser alone, all by the gateway's one road."""

from typing import Any, cast
from urllib.parse import quote

import duckdb
from litestar import Response
from litestar.response import Redirect

from infra.rights import KeyUnsafe
from schemas.events import day
from schemas.rulebook import PARAMETERS, Item
from schemas.words import Both, _
from schemas.year import Year
from services.console import forms, pages, tables, tray
from services.console.door import COOKIE, LASTS, Door, Who
from services.console.frame import form, later, let_in, page, render
from services.console.states import NoSnapshot, Row
from services.console.view import Refused, View
from services.office import erasing, template
from services.office.present import present
from services.process.ending import Stop
from services.process.web import header
from services.reports import appeals, readiness
from services.scorer import store
from services.snapshot import point
from services.snapshot.moves import side

FILE_MAX = 8 * 1024 * 1024
"""Bytes of a workbook that is handed in."""
PATIENCE = 2.5
"""Seconds for which an answer waits until all is sent; then the page is looked at again."""
RECEIPTS, NOTICES = 20, 10


# Signing in ---------------------------------------------------------------------------------------------------------


@page("/sign-in", kept=False)
def sign_in_form(view: View) -> Response[str]:
    """Where a party shows its key."""
    return render(view, "signin.html", wrong=False, unsafe=_unsafe(view))


@form("/sign-in", open_=True)
def sign_in(view: View) -> Response[Any]:
    """Open a session for the party whose key was shown."""
    if view.door is None:
        raise _no_door()
    if _unsafe(view):
        raise Refused(403, _("A key does not travel in the clear: use https, or a browser on this machine."))
    try:
        cookie = view.door.sign_in(view.fields.get("key", "").strip())
    except KeyUnsafe as error:
        raise Refused(503, error) from None
    if cookie is None:
        return render(view, "signin.html", 403, wrong=True, unsafe=False)
    response: Response[Any] = Redirect(f"{view.root}/desk", status_code=303)
    response.set_cookie(
        COOKIE, cookie, max_age=LASTS, httponly=True, samesite="strict", secure=_https(view), path=f"{view.root}/"
    )
    return response


@form("/sign-out")
def sign_out(view: View) -> Response[Any]:
    """End a session."""
    response: Response[Any] = Redirect(f"{view.root}/", status_code=303)
    response.delete_cookie(COOKIE, path=f"{view.root}/")
    return response


def _https(view: View) -> bool:
    return str(view.request.scope["scheme"]) == "https"


def _unsafe(view: View) -> bool:
    """Whether what is typed here would travel in the clear beyond this machine."""
    client = (view.request.scope.get("client") or ("",))[0]
    loopback = client.startswith("127.") or client == "::1"
    forwarded = header(view.request.scope, b"x-forwarded-for") != ""
    return not _https(view) and (not loopback or forwarded)


def _no_door() -> Refused:
    return Refused(404, _("Nobody signs in here: this page has no data folder with keys (wuxing gateway-key PARTY)."))


# Who and what -------------------------------------------------------------------------------------------------------


def _who(view: View) -> tuple[Door, Who]:
    """The party at the desk; raises Refused where nobody has signed in."""
    if view.door is None:
        raise _no_door()
    if view.who is None:
        raise Refused(403, _("Sign in first."))
    return view.door, view.who


def _sends(view: View) -> tuple[Door, Who]:
    """The party at the desk, which may send from here."""
    door, who = _who(view)
    if who.role == "auditor":
        raise Refused(403, _("An auditor reads and sends nothing."))
    if door.desk is None:
        raise Refused(503, _("This page cannot send: the gateway's key is not in its data folder."))
    return door, who


def _trays(view: View) -> tray.Trays:
    found: tray.Trays = view.request.app.state.trays
    return found


def _year(view: View, door: Door) -> Year:
    """The year as the newest snapshot has it, or as the folder was opened for."""
    try:
        found = point.stored(view.snapshot.con.cursor())
    except NoSnapshot:
        found = None
    year = found or door.year
    assert year is not None, "who has a desk has a year"
    return year


def _items(view: View, who: Who, year: Year) -> list[Item]:
    """The items that an office holds now."""
    try:
        held = {row["item"] for row in view.snapshot.state().rows(pages.query("held"), [who.party])}
    except NoSnapshot:
        held = {item.code for item in year.rulebook.item if who.party in item.offices}
    return [item for item in year.rulebook.item if item.code in held]


def _con(view: View) -> duckdb.DuckDBPyConnection | None:
    """A connection to the newest snapshot, null before there is one."""
    try:
        return view.snapshot.con.cursor()
    except NoSnapshot:
        return None


# The desk itself ----------------------------------------------------------------------------------------------------


@page("/desk", kept=False)
def desk(view: View) -> Response[str]:
    """What a party has to do, what it sent, and where it begins."""
    door, who = _who(view)
    if door.year is None:
        raise NoSnapshot("desk")
    year = _year(view, door)
    items = _items(view, who, year) if who.role == "office" else []
    receipts = door.desk.listed(who.party, 0, 10**6, None).receipts[-RECEIPTS:] if door.desk else []
    for one in _trays(view).listed(who.party):
        if door.desk:
            tray.follow(one, door.desk)
    kinds = [(kind, forms.title(kind, view.lang)) for kind in forms.kinds(who, year.rulebook, items)]
    snapshot = _con(view) is not None
    return render(
        view,
        "desk.html",
        kinds=kinds if door.desk else [],
        sends=door.desk is not None and who.role != "auditor",
        receipts=list(reversed(receipts)),
        trays=_trays(view).listed(who.party),
        work=_work(view, who) if snapshot else {},
        steps=_steps(view) if snapshot and who.collector else None,
        now=forms.now(),
    )


def _work(view: View, who: Who) -> Row:
    """What lies before a party: an office's items, a unit's deadlines and appeals, the appeals to decide."""
    state = view.snapshot.state()
    if who.role == "unit":
        found = pages.unit(state, who.party, view.lang)
        if found is None:
            return {}
        made = found["statement"]
        lines = [line for part in made.parts for item in part.items for line in item.lines] + list(made.other_lines)
        return {
            "lines": sorted((one for one in lines if one.appeal_until), key=lambda one: one.appeal_until),
            "appeals": found["appeals"],
            "name": made.name,
            "notices": pages.notices(view.snapshot, who.party, None)[:NOTICES],
            "refusals": pages.refusals(state.whole(), who.party),
        }
    parts = pages.progress(state, view.lang)
    return {
        "parts": [one for one in parts["parts"] if one["office"] == who.party],
        "open": parts["appeals"] if who.appeals else [],
        "refusals": pages.refusals(state.whole(), who.party),
    }


def _steps(view: View) -> Row:
    """The collector's steps: what stands in the way, the readings to adopt, the ties, the stages."""
    snapshot = view.snapshot
    state = snapshot.state().whole()
    meta = snapshot.meta
    found = state.read(lambda con: readiness.obstacles(con, snapshot.sequence, view.lang, meta))
    book = snapshot.rulebook
    force = {row["name"]: row for row in state.rows("SELECT name, value, adopted_by FROM reading_in_force")}
    reached = {row["stage"] for row in state.rows(pages.query("stages"))}
    return {
        "ready": found,
        "choices": [
            {"name": one.name, "question": one.question, "values": one.values, **force[one.name]}
            for one in snapshot.choices
        ],
        "parameters": [{"asked": PARAMETERS[one.name], **force[one.name]} for one in book.parameter] if book else [],
        "stages": [one for one in book.stage if one.code not in reached] if book else [],
    }


# The workbook ------------------------------------------------------------------------------------------------------


@page("/desk/workbook", kept=False)
def workbook(view: View) -> Response[bytes]:
    """A party's own workbook, as `template` writes it; before there is a snapshot, of the year as it opens."""
    door, who = _who(view)
    if who.role == "auditor":
        raise Refused(403, _("An auditor reads and sends nothing."))
    con = _con(view)
    if con is None and door.year is None:
        raise NoSnapshot("desk")
    now, far = present(_year(view, door), store.changes(con) if con else ()), template.reached(con) if con else None
    if far and who.appeals:
        state = view.snapshot.state().whole()
        far = far._replace(appeals=state.read(lambda computed: template.undecided(computed, view.lang)))
    try:
        party = template.named(now.year, who.party)
    except Stop as stop:
        raise Refused(404, stop) from None
    file = f"{who.party}.xlsx"
    return _file(file, file, template.workbook(file, now, party, view.lang, far))


# Handing in ---------------------------------------------------------------------------------------------------------


@form("/desk/upload", most=FILE_MAX)
def upload(view: View) -> Response[Any]:
    """Take a workbook, try it, and lead to what it would do."""
    __, who = _sends(view)
    name, raw = view.files.get("file", ("", b""))
    if not raw:
        raise Refused(400, _("Choose a file first."))
    encoding = view.fields.get("encoding")
    made = tray.Tray(who.party, name, raw, view.lang)
    if encoding in ("utf-8", "gb18030"):
        made.encoding = cast("Any", encoding)
    return _laid(view, made)


@page("/desk/enter", kept=False)
def enter_form(view: View) -> Response[str]:
    """The form of one event; for events of an item, the item is chosen first."""
    door, who = _sends(view)
    year = _year(view, door)
    items = _items(view, who, year) if who.role == "office" else []
    kinds = forms.kinds(who, year.rulebook, items)
    kind = view.params.get("type", "")
    if kind not in kinds:
        raise Refused(404, _("This party sends no such events by a form."))
    items = [one for one in items if forms.takes(kind, one)]
    item = next((one for one in items if one.code == view.params.get("item")), None)
    state = view.snapshot.state() if _con(view) else None
    asked = [] if kind in forms.BY_ITEM and item is None else forms.fields(kind, year, state, items, item, view.lang)
    return render(
        view,
        "enter.html",
        kind=kind,
        heading=forms.title(kind, view.lang),
        items=items if kind in forms.BY_ITEM else [],
        item=item,
        fields=[one for one in asked if not (one.column == "item" and item is not None)],
        now=forms.now(),
    )


@form("/desk/enter")
def enter(view: View) -> Response[Any]:
    """Take a filled form, try it, and lead to what it would do."""
    __, who = _sends(view)
    cells = forms.filled(view.fields)
    if not cells:
        raise Refused(400, _("Nothing was chosen."))
    return _laid(view, tray.Tray(who.party, tray.FORM, tray.rows(cells), view.lang))


def _laid(view: View, made: tray.Tray) -> Response[Any]:
    """Try what was laid on the desk, keep it, and lead to it."""
    door, __ = _sends(view)
    try:
        tray.try_(made, door, _con(view))
    except Stop as stop:
        raise Refused(400, Both(_named(stop.say("en"), made), _named(stop.say("zh"), made))) from None
    _trays(view).put(made)
    return Redirect(f"{view.root}/desk/tray/{made.id}", status_code=303)


def _named(text: str, made: tray.Tray) -> str:
    """A sentence on a file, by the name that its party knows it by."""
    head, sep, rest = text.partition(made.name)
    return f"{made.name}{rest}" if sep and head.startswith("/") else text


def _tray(view: View) -> tuple[Door, tray.Tray]:
    door, who = _sends(view)
    found = _trays(view).of(who.party, str(view.request.path_params["key"]))
    if found is None:
        raise Refused(
            404, _("This is no longer on the desk. Hand it in again: what the ledger has is told, and counts once.")
        )
    return door, found


@page("/desk/tray/{key:str}", kept=False)
def look(view: View) -> Response[str]:
    """What was handed in: before it is sent what it would do, afterwards what became of each row."""
    door, found = _tray(view)
    assert door.desk is not None
    tray.follow(found, door.desk)
    return render(view, "tray.html", tray=found, beyond=erasing.BEYOND)


@form("/desk/tray/{key:str}")
def act(view: View) -> Response[Any]:
    """Send what lies on the desk, try it again with its corrections, or take it away."""
    door, found = _tray(view)
    what = view.fields.get("do")
    if what == "drop":
        _trays(view).drop(found)
        return Redirect(f"{view.root}/desk", status_code=303)
    if what in ("ask", "replace", "as_new") and found.state == "tried":
        found.mode = cast("tray.Mode", what)
        found.notes.clear()
        tray.try_(found, door, _con(view))
    elif what == "send" and found.state != "sending":
        later(view, tray.send(found, door), PATIENCE)
    return Redirect(f"{view.root}/desk/tray/{found.id}", status_code=303)


@page("/desk/tray/{key:str}/file", kept=False)
def outcomes(view: View) -> Response[bytes]:
    """The workbook with the outcome of each row."""
    __, found = _tray(view)
    return _file("outcomes.xlsx", *tray.with_outcomes(found))


def _file(plain: str, name: str, raw: bytes) -> Response[bytes]:
    """A workbook to keep, with a plain name for what takes no other."""
    said = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    return Response(raw, media_type=tables.XLSX, headers={"Content-Disposition": said, "Cache-Control": "no-store"})


# Appeals ------------------------------------------------------------------------------------------------------------


@page("/appeals", "appeals")
def appeals_list(view: View) -> Response[str]:
    """All appeals with their deadlines."""
    state = view.state.whole()
    found = state.read(appeals.listed)
    return render(view, "appeals.html", found=[_row(one, view) for one in found])


def _row(one: appeals.Appeal, view: View) -> Row:
    days = {name: day(getattr(one, name)) for name in ("filed_at", "appeal_until", "decision_due")}
    return {
        "seq": one.seq, "unit": one.unit, "name": one.name, "target": one.target, "item": one.item,
        "office": one.office, "statement": one.statement, "state": one.state, "said": appeals.state(one, view.lang),
        "late": bool(one.filed_late), "overdue": one.state == "open" and bool(one.decision_late), **days,
    }  # fmt: skip


@page("/appeals/{seq:int}", kept=False)
def appeal(view: View) -> Response[str]:
    """One appeal, what each outcome would move, and for the office that decides its form."""
    seq = view.request.path_params["seq"]
    snapshot = view.snapshot
    state = snapshot.state().whole()
    one = next((one for one in state.read(appeals.listed) if one.seq == seq), None)
    if one is None or view.who is None or view.who.party != one.unit:
        let_in(view, "appeals")
    if one is None:
        raise Refused(404, _("There is no such appeal that stands."))
    filed = pages.event(state, seq)
    prospects = _prospects(view, one) if one.state == "open" else []
    names = pages.names(state, view.lang)
    moved = [(prospect, [(move, appeals.changes(move, view.lang, names)) for move in prospect.moves or []])
             for prospect in prospects]  # fmt: skip
    target = pages.event(state, one.target)
    return render(
        view, "appeal.html", one=one, row=_row(one, view), filed=filed, target=target, moved=moved, now=forms.now()
    )


def _prospects(view: View, one: appeals.Appeal) -> list[appeals.Prospect]:
    """What each outcome would move, reckoned once a snapshot."""
    kept = view.snapshot.kept
    key = ("prospects", one.seq)
    if key not in kept:
        with appeals.copy(view.snapshot.con.cursor(), view.snapshot.sequence) as fresh:
            before = dict(sorted(side(fresh, 2**62, whole=False).units.items()))
            kept[key] = appeals.prospects(fresh, one, before)
    found: list[appeals.Prospect] = kept[key]
    return found


HANDLERS = [
    sign_in_form, sign_in, sign_out, desk, workbook, upload, enter_form, enter, look, act, outcomes, appeals_list,
    appeal,
]  # fmt: skip
