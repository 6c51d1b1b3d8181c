"""What a party may enter by a form: kinds of events, the fields of each, and the rows that a filled form comes to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from schemas.rulebook import PARAMETERS, Item, Name, Rulebook, en, zh
from schemas.subjects import ASSESSMENT
from schemas.words import Language, _, _p
from schemas.year import Year
from services.console.door import Who
from services.console.states import State
from services.office.sheet import CHANGES, KINDS, NUMBERED, OUTCOMES, TITLES
from services.office.template import OF_WHO_LEFT

Option = tuple[str, str]
Shape = Literal["choice", "text", "area", "time"]


class Field(NamedTuple):
    """A field of a form: the column it fills, its label, how it is asked for, and what can be chosen."""

    column: str
    label: str
    kind: Shape = "text"
    options: Sequence[Option] = ()
    needed: bool = True


#: The columns of each kind of event; `item` comes first where the others hang on it, `?` marks what may be left out.
COLUMNS = {
    "deduction.recorded.v1": "item unit matter ground points? node? reason evidence?",
    "bonus.recorded.v1": "item unit matter ground points? node? reason evidence?",
    "rating.recorded.v1": "item unit value rater measure? group? case? period?",
    "submission.recorded.v1": "item unit characters",
    "item.exempted.v1": "item unit reason",
    "item.closed.v1": "item",
    "fact.recorded.v1": "unit attribute value reason",
    "veto.recorded.v1": "unit veto reason evidence?",
    "approval.recorded.v1": "unit target_source target_id outcome reason",
    "event.revoked.v1": "unit target_source target_id reason",
    "appeal.filed.v1": "unit target_source target_id statement",
    "appeal.decided.v1": "unit target_source target_id outcome points? reason",
    "reading.adopted.v1": "reading value reason",
    "tie.resolved.v1": "grade units reason",
    "unit.changed.v1": "unit change name? category? unit_group? attributes? reason",
    "item.transferred.v1": "item from to reason",
    "stage.reached.v1": "stage",
    "text.erased.v1": "unit target_source target_id reason",
}
#: Kinds whose item is chosen before anything else.
BY_ITEM = frozenset(kind for kind, columns in COLUMNS.items() if columns.startswith("item unit"))
COLLECTORS = ("reading.adopted.v1", "tie.resolved.v1", "unit.changed.v1", "item.transferred.v1", "stage.reached.v1")
AREAS = frozenset({"reason", "statement", "evidence"})
#: Beijing's time, in which people type.
BEIJING = timedelta(hours=8)


def kinds(who: Who, book: Rulebook, items: list[Item]) -> list[str]:
    """The kinds of events that a party may send; `items` are those that its office holds."""
    if who.role == "auditor":
        return []
    if who.role == "unit":
        return [*(["appeal.filed.v1"] if book.roles.appeals else []), "event.revoked.v1"]
    ground = [ground for item in items for ground in item.ground]
    asked = {
        "deduction.recorded.v1": any(not one.adds for one in ground),
        "bonus.recorded.v1": any(one.adds for one in ground),
        "rating.recorded.v1": any(not item.entries for item in items),
        "submission.recorded.v1": any(item.characters for item in items),
        "item.exempted.v1": any(item.exempt for item in items),
        "item.closed.v1": bool(items),
        "fact.recorded.v1": any(who.party in one.offices for one in book.attribute),
        "veto.recorded.v1": any(who.party in one.offices for one in book.veto),
        "approval.recorded.v1": who.party == (book.roles.approvals or book.roles.collector)
        and any(one.approval for item in book.item for one in item.ground),
        "appeal.decided.v1": who.appeals,
        **dict.fromkeys(COLLECTORS, who.collector),
        "text.erased.v1": who.collector and bool(book.out_of_line),
        "event.revoked.v1": True,
    }
    return [kind for kind, may in asked.items() if may]


def takes(kind: str, item: Item) -> bool:
    """Whether an item takes events of a kind."""
    return {
        "deduction.recorded.v1": any(not one.adds for one in item.ground),
        "bonus.recorded.v1": any(one.adds for one in item.ground),
        "rating.recorded.v1": not item.entries,
        "submission.recorded.v1": item.characters is not None,
        "item.exempted.v1": item.exempt is not None,
    }.get(kind, True)


def fields(  # noqa: PLR0913, PLR0917 - what a form is made of
    kind: str, year: Year, state: State | None, items: list[Item], item: Item | None, lang: Language
) -> list[Field]:
    """The fields of a kind of event, those of its item chosen; a field that the item has not is left out."""
    found = []
    for written in COLUMNS[kind].split():
        column, needed = written.rstrip("?"), not written.endswith("?")
        options = _options(kind, column, year, state, items, item, lang)
        if options is not None:
            shape: Shape = "choice" if options else "area" if column in AREAS else "text"
            found.append(Field(column, TITLES[column].say(lang), shape, options, needed))
    return [*found, Field("time", TITLES["time"].say(lang), "time")]


def _named(codes: Iterable[tuple[str, Name]], lang: Language, *, codes_too: bool = False) -> list[Option]:
    pairs = [(code, zh(name) if lang == "zh" else en(name)) for code, name in codes]
    return [(code, f"{code} {name}" if codes_too else name) for code, name in pairs]


def _units(year: Year, state: State | None, kind: str) -> list[Option]:
    """The units that may have such events, of the newest snapshot, before there is one of the opening."""
    if state is None:
        return [(unit.unit, f"{unit.unit} {unit.name}") for unit in year.roster]
    rows = state.rows(
        "SELECT unit, name FROM unit_in_force WHERE NOT has_left OR ? ORDER BY unit", [kind in OF_WHO_LEFT]
    )
    return [(row["unit"], f"{row['unit']} {row['name']}") for row in rows]


def _about(kind: str, lang: Language) -> list[Option]:
    """What else than a unit an event may be about: a revocation also takes back one about the year."""
    return [(ASSESSMENT, _("the year").say(lang))] if kind == "event.revoked.v1" else []


def _grounds(item: Item, _year: Year, kind: str, lang: Language) -> list[Option]:
    return _named(((one.code, one.name) for one in item.ground if one.adds == (kind == "bonus.recorded.v1")), lang)


def _points(item: Item, _year: Year, _kind: str, _lang: Language) -> list[Option] | None:
    return [] if any(one.points is None for one in item.ground) else None


def _nodes(item: Item, _year: Year, _kind: str, lang: Language) -> list[Option] | None:
    return _named(((one.code, one.name) for one in item.node), lang) or None


def _measures(item: Item, _year: Year, _kind: str, lang: Language) -> list[Option] | None:
    return _named(((one.code, one.name) for one in item.measure), lang) or None


def _groups(item: Item, _year: Year, _kind: str, lang: Language) -> list[Option] | None:
    return _named(((one.code, one.name) for one in item.raters), lang) or None


def _cases(item: Item, _year: Year, _kind: str, _lang: Language) -> list[Option] | None:
    return [] if item.runs == "case" else None


def _periods(item: Item, year: Year, _kind: str, _lang: Language) -> list[Option] | None:
    runs = [period for period in year.rulebook.period if period.code == item.runs]
    return [(one, one) for period in runs for one in period.values] or None


#: What can be chosen where it hangs on the item; null where the item has no such field.
_OF_ITEM: dict[str, Callable[[Item, Year, str, Language], list[Option] | None]] = {
    "ground": _grounds, "points": _points, "node": _nodes, "measure": _measures, "group": _groups, "case": _cases,
    "period": _periods,
}  # fmt: skip


def _options(  # noqa: PLR0913, PLR0917 - what a choice is made of
    kind: str, column: str, year: Year, state: State | None, items: list[Item], item: Item | None, lang: Language
) -> list[Option] | None:
    """What can be chosen in a column: nothing where it is free text, null where the form has no such column."""
    book = year.rulebook
    if column == NUMBERED and not book.attribute:
        return None
    if column == "unit":
        return [] if kind == "unit.changed.v1" else [*_units(year, state, kind), *_about(kind, lang)]
    if item is not None and column in _OF_ITEM:
        return _OF_ITEM[column](item, year, kind, lang)
    lists: dict[str, Callable[[], list[Option]]] = {
        "item": lambda: _named(
            ((one.code, one.name) for one in (book.item if kind == "item.transferred.v1" else items)),
            lang,
            codes_too=True,
        ),
        "attribute": lambda: _named(((one.code, one.name) for one in book.attribute), lang),
        "veto": lambda: _named(((one.code, one.name) for one in book.veto), lang),
        "stage": lambda: [
            *_named(((one.code, one.name) for one in book.stage), lang),
            ("finalised", _p("stage", "final").say(lang)),
        ],
        "grade": lambda: _named(((grade.code, grade.name) for one in book.scheme for grade in one.grade), lang),
        "category": lambda: _named(((one.code, one.name) for one in book.category), lang),
        "unit_group": lambda: _named(((one.code, one.name) for one in book.group), lang),
        "from": lambda: _named(((one.code, one.name) for one in book.office), lang),
        "to": lambda: _named(((one.code, one.name) for one in book.office), lang),
        "change": lambda: [(code, word.say(lang)) for code, word in CHANGES.items()],
        "outcome": lambda: [
            (code, word.say(lang))
            for code, word in OUTCOMES.items()
            if (code in ("approved", "rejected")) == (kind == "approval.recorded.v1")
        ],
        "reading": lambda: [
            *(
                (one.name, f"{one.name} · {zh(one.question) if lang == 'zh' else en(one.question)}")
                for one in book.reading
            ),
            *((one.name, f"{one.name} · {PARAMETERS[one.name].say(lang)}") for one in book.parameter),
        ],
    }
    return lists[column]() if column in lists else []


def filled(form: Mapping[str, str]) -> list[dict[str, str]]:
    """The rows of a filled form: one, or of a form of many readings one for each that has a value."""
    row = {column: form.get(column, "").strip() for column in ("type", *TITLES)}
    row["time"] = row["time"].replace("T", " ")
    row["evidence"] = ";".join(one.strip() for one in row["evidence"].splitlines() if one.strip())
    row["reason"], row["statement"] = (" ".join(row[name].split()) for name in ("reason", "statement"))
    chosen = {name.removeprefix("reading."): value for name, value in form.items() if name.startswith("reading.")}
    if not chosen:
        return [row]
    return [row | {"reading": name, "value": value} for name, value in chosen.items() if value]


def now() -> str:
    """The time of day in Beijing, as a browser's field takes it."""
    return (datetime.now(UTC) + BEIJING).strftime("%Y-%m-%dT%H:%M")


def title(kind: str, lang: Language) -> str:
    """What people call a kind of event."""
    return KINDS[kind].say(lang)
