"""How two rulebooks differ: in words, and on one ledger in places and grades."""

import io
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from schemas import roster as rosters
from schemas import soundness
from schemas.faults import RosterError, RulebookError
from schemas.results import UnitResult
from schemas.rulebook import Rulebook, en, plain, zh
from schemas.words import Language, _, _n
from schemas.year import Year
from services.process.ending import Exit, Stop
from services.rulebook import rehearsal
from services.rulebook.sentences import Sentence, sentences
from services.scorer import file, rules
from services.snapshot.results import units


def words(one: Rulebook, other: Rulebook, lang: Language) -> str:
    """Every sentence that one has and the other has not, or has in other words, in the order of the second."""
    before, after = ({said.key: _within(said) for said in sentences(book, lang)} for book in (one, other))
    gone, came, now = ("− ", "+ ", "→ ")
    lines = [f"{gone}{text}" for key, text in before.items() if key not in after]
    for key, text in after.items():
        if key not in before:
            lines.append(f"{came}{text}")
        elif before[key] != text:
            lines += [f"{gone}{before[key]}", f"{now}{text}"]
    if not lines:
        lines = [_("The two rulebooks say the same.").say(lang)]
    return "".join(f"{line}\n" for line in lines)


def _within(said: Sentence) -> str:
    """A sentence with the code of the item or scheme that it belongs to."""
    __, *names = said.key.split(" ")
    return f"{names[0]} · {said.text}" if len(names) > 1 else said.text


def moved(one: Rulebook, other: Rulebook, ledger: Path, roster: Path | None, lang: Language) -> str:
    """A table of the units whose final, place or grades differ under the two rulebooks."""
    before, after = (_folded(book, ledger, roster) for book in (one, other))
    heads = (_("Unit"), _("Final"), _("Place"), _("Grades"))
    table = Table(*(head.say(lang) for head in heads), box=box.SIMPLE_HEAD)
    moved_ = 0
    for unit in sorted({*before, *after}):
        cells = [_shown(before.get(unit), after.get(unit), what, book, lang)
                 for what, book in (("final", other), ("place", other), ("grades", other))]  # fmt: skip
        if any(" → " in cell for cell in cells):
            moved_ += 1
            table.add_row(unit, *cells)
    summary = _n("{n} of {all} units moves.", "{n} of {all} units move.", moved_, all=len(after)).say(lang)
    out = io.StringIO()
    if moved_:
        Console(width=160, highlight=False, file=out).print(table)
    return f"{out.getvalue()}{summary}\n"


def in_line(book: Rulebook) -> Rulebook:
    """The same rules for events in the clear: no rule looks into a text, and a token passes as one."""
    raw = plain(book)
    return soundness.read({name: raw[name] for name in raw if name != "out_of_line"}) if book.out_of_line else book


def _folded(book: Rulebook, ledger: Path, roster: Path | None) -> dict[str, UnitResult]:
    """The units of a ledger under a rulebook, whatever it opens with."""
    try:
        listed = rosters.load(roster, book) if roster else ()
        given = Year(book.id, in_line(book), listed)
        over = ["rulebook", "roster"] if roster else ["rulebook"]
        folded = file.fold(ledger, given, over=over, accept=rehearsal.accept)
    except (RosterError, RulebookError) as error:
        raise Stop(Exit.USE, error) from None
    except OSError as error:
        raise Stop(Exit.FAILED, _("{ledger}: cannot be read: {error}", ledger=ledger, error=error.strerror)) from None
    with folded.con as con, rules.compute(con, as_of=folded.lines):
        return {unit.unit: unit for unit in units(con)}


def _shown(before: UnitResult | None, after: UnitResult | None, what: str, book: Rulebook, lang: Language) -> str:
    """One cell: what it was and what it is, once where that is the same."""
    cells = [_cell(unit, what, book, lang) for unit in (before, after)]
    return cells[0] if cells[0] == cells[1] else " → ".join(cells)


def _cell(unit: UnitResult | None, what: str, book: Rulebook, lang: Language) -> str:
    value = getattr(unit, what, None)
    if what != "grades":
        return "—" if value is None else str(value)
    names = {g.code: zh(g.name) if lang == "zh" else en(g.name) for scheme in book.scheme for g in scheme.grade}
    return " ".join(names.get(grade, grade) for grade in (value or {}).values() if grade) or "—"
