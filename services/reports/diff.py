"""The command `diff`: two points, named by snapshots, sequences, times or finals, and what moved between them."""

import re
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
from rich import box
from rich.table import Table

from schemas.words import SEMICOLON, Language, _, _n
from services.command import tables
from services.command.options import FactsUntil, Lang
from services.command.words import word
from services.process.ending import Exit, Stop
from services.process.settings import language
from services.snapshot import point
from services.snapshot.moves import Change, Difference, Side, Standing, UnitMove, difference, finals, side


def diff(
    before: str,
    after: str,
    *,
    facts_until: FactsUntil = None,
    format: Literal["json", "table"] = "table",  # noqa: A002 - the contract's word
    lang: Lang = None,
) -> int:
    """Show what moved between two snapshots, or between two points of one, and the events that moved it.

    Example: wuxing diff year.duckdb@4000 year.duckdb@2013-12-31T00:00:00+08:00

    Parameters
    ----------
    before
        A snapshot, with @ and a sequence or a time for a point in it; @ alone before the point means the latest.
        @final is the last final, @final-1 the one before it.
    after
        Likewise.
    format
        Tables to read, or JSON.
    """
    chosen = language(lang)
    (first, synthetic, __), (second, also, names) = (_side(text, facts_until, chosen) for text in (before, after))
    show(difference(first, second, synthetic=synthetic or also), format, chosen, names)
    return Exit.DONE


def _side(text: str, facts_until: str | None, lang: Language) -> tuple[Side, bool, dict[str, str]]:
    """The point that `FILE`, `FILE@POINT` or `@POINT` names, whether its data are synthetic, the grades' names."""
    name, at, where = text.rpartition("@")
    if not at or Path(text).is_file():
        name, where = text, ""
    with (
        point.snapshot(Path(name) if name else None) as con,
        point.at(con, _final(con, where) or where or None, facts_until) as (ledger, cut),
    ):
        return side(ledger, cut), point.meta(con).get("synthetic") == "true", tables.grades(con, lang)


def _final(con: duckdb.DuckDBPyConnection, where: str) -> str | None:
    """The sequence that `final` or `final-1` names; null for any other point."""
    match = re.fullmatch(r"final(?:-([0-9]{1,3}))?", where)
    if not match:
        return None
    found, back = finals(con), int(match[1] or 0)
    if back >= len(found):
        raise Stop(Exit.NO, _("@{where}: finals in the ledger: {found}", where=where, found=len(found)))
    return str(found[-1 - back])


def show(found: Difference, form: str, lang: Language, names: Mapping[str, str]) -> None:
    """Print a difference as tables, with the names of the grades, or as JSON."""
    if form == "json":
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()
        return
    out = tables.console()
    if found.synthetic:
        out.print(tables.words("synthetic", lang), style="bold")
    for name, (was, now) in found.readings.items():
        out.print(_("reading {name}: {was} → {now}", name=name, was=was, now=now).say(lang))
    if not found.moved:
        out.print(_("No final, place or grade moved.").say(lang))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for key in ("unit", "final", "place", "grades"):
        table.add_column(tables.words(key, lang), no_wrap=True)
    table.add_column(_("Moved by").say(lang), overflow="fold")
    by_seq = {one.seq: one for one in found.events}
    for move in found.moved:
        table.add_row(move.unit, *standing_cells(move.before, move.after, names), _why(move, found, by_seq, lang))
    out.print(table)
    out.print(_n("{n} unit moved.", "{n} units moved.", len(found.moved)).say(lang))


def standing_cells(was: Standing | None, now: Standing | None, names: Mapping[str, str]) -> list[str]:
    """Final, place and grades as `before → after`, one value where they are equal."""
    finals = [one.final if one else "—" for one in (was, now)]
    short = [tables.four(Decimal(text)) if text != "—" else text for text in finals]
    places = [str(one.place) if one and one.place is not None else "—" for one in (was, now)]
    grades = [graded(one, names) if one else "—" for one in (was, now)]
    shown = short if short[0] != short[1] or finals[0] == finals[1] else finals
    return [pair[0] if pair[0] == pair[1] else " → ".join(pair) for pair in (shown, places, grades)]


def graded(one: Standing, names: Mapping[str, str]) -> str:
    """The grades that a unit has by name, and with a question mark those at whose cut it is tied."""
    given = [names.get(grade, grade) for grade in one.grades.values() if grade]
    return " ".join([*given, *(f"{names.get(grade, grade)}?" for grade in one.undecided)]) or "—"


def _why(move: UnitMove, found: Difference, by_seq: Mapping[int, Change], lang: Language) -> str:
    """What moved a unit, in words."""
    said = []
    if move.events:
        said.append((_("own: ").say(lang)) + _events([by_seq[seq] for seq in move.events], lang))
    for item in move.items:
        if item.others:
            others = sorted({by_seq[seq].unit for seq in item.others})
            seqs = _some(map(str, item.others))
            whose = _some(others)
            said.append(_("{item}: {whose} ({seqs})", item=item.item, whose=whose, seqs=seqs).say(lang))
    if move.year_events:
        said.append((_("year: ").say(lang)) + _events([by_seq[seq] for seq in move.year_events], lang))
    if found.readings and not said:
        items = " ".join(item.item for item in move.items)
        names = _some(found.readings) + (f" ({items})" if items else "")
        said.append(_("reading {names}", names=names).say(lang))
    if move.overtaken_by:
        said.append((_("overtaken by ").say(lang)) + _some(move.overtaken_by))
    if move.overtook:
        said.append((_("overtook ").say(lang)) + _some(move.overtook))
    if move.level:
        said.append((_("now or no longer level with ").say(lang)) + _some(move.level))
    return "; ".join(said)


def _events(changes: Iterable[Change], lang: Language) -> str:
    """Events that are new, that are gone, and the others with what they were and are."""
    kinds: dict[str, list[str]] = {"new": [], "gone": [], "other": []}
    for one in changes:
        new, gone = one.disposition_before is None, one.disposition_after is None
        kinds["new" if new else "gone" if gone else "other"].append(_event(one, lang))
    heads = {"new": _("events ").say(lang), "gone": _("without events ").say(lang), "other": ""}
    return SEMICOLON.say(lang).join(heads[kind] + _some(said) for kind, said in kinds.items() if said)


def _event(one: Change, lang: Language) -> str:
    """The sequence of an event, what it is about, and what changed of it where it was there before and is."""
    about = one.item or word(one.type, lang)
    what = _("{seq} ({about})", seq=one.seq, about=about).say(lang)
    was, now = one.disposition_before, one.disposition_after
    if was is not None and now is not None and was != now:
        return f"{what} {word(was, lang)}→{word(now, lang)}"
    pair = (one.value_before, one.value_after)
    return f"{what} {pair[0]}→{pair[1]}" if None not in (was, now) and pair[0] != pair[1] else what


def _some(words: Iterable[str], most: int = 6) -> str:
    """Up to six, and how many more; the JSON has them all."""
    every = list(words)
    return ", ".join(every[:most]) + (f" +{len(every) - most}" if len(every) > most else "")
