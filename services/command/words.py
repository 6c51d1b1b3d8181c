"""How pages say codes and numbers: names of dispositions, types and states, points as exact text."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from schemas.words import Language, Text, _, _p

#: Words for every code that a page shows and the rulebook does not name.
WORDS: dict[str, Text] = {
    "counted": _("counted"),
    "counted_in_part": _("in part"),
    "no_effect": _("no effect"),
    "replaced": _("replaced"),
    "revoked": _("revoked"),
    "revised": _("revised"),
    "duplicate": _("duplicate"),
    "void": _("void"),
    "conflict": _("conflict"),
    "deduction.recorded.v1": _("deduction"),
    "bonus.recorded.v1": _("bonus"),
    "rating.recorded.v1": _("rating"),
    "fact.recorded.v1": _("fact"),
    "veto.recorded.v1": _("veto"),
    "approval.recorded.v1": _("approval"),
    "unit.changed.v1": _("change of unit"),
    "item.transferred.v1": _("transfer"),
    "key.changed.v1": _("change of key"),
    "submission.recorded.v1": _("submission"),
    "item.exempted.v1": _("exemption"),
    "item.closed.v1": _("closing"),
    "event.revoked.v1": _("revocation"),
    "appeal.filed.v1": _("appeal"),
    "appeal.decided.v1": _("decision"),
    "tie.resolved.v1": _("tie resolved"),
    "reading.adopted.v1": _("reading adopted"),
    "stage.reached.v1": _("stage"),
    "text.erased.v1": _("erasure"),
    "assessment.opened.v1": _("opening"),
    "scored": _("scored"),
    "pending": _("pending"),
    "exempt": _("not applicable"),
    "provisional": _("provisional"),
    "final": _p("state of points", "final"),
    "running": _("under way"),
    "finalised": _p("state of the year", "final"),
    "amended": _("amended after final"),
    "left": _("left"),
    "awaiting": _("awaits approval"),
    "rejected": _("rejected"),
    "approved": _("approved"),
    "joined": _("joined"),
    "renamed": _("renamed"),
    "moved": _("moved"),
    "incomplete": _("values missing"),
    "vetoed": _("veto"),
    "stage": _("stage not reached"),
    "upheld": _("upheld"),
    "cancelled": _("cancelled"),
    "one_group": _("one group only"),
    "undecided": _("tied at the cut"),
    "appeal": _("open appeal"),
    "tie": _("undecided tie"),
    "assumption": _("reading not adopted"),
    "late": _("late"),
    "open": _("open"),
}
#: Words for the values of readings that the language itself knows; others speak for themselves.
VALUES: dict[str, Text] = {
    "each": _("each by itself"),
    "chain": _("largest chain"),
    "sum": _("sum"),
    "shared": _("one shared pool"),
    "separate": _("a part each"),
    "cumulative_half_up": _("cumulative, half-up"),
    "cumulative_floor": _("cumulative, down"),
    "largest_remainder": _("largest remainder"),
    "all": _("all units"),
    "category": _("each category"),
    "group": _("each group"),
    "plain": _("plain mean"),
    "trimmed": _("without extremes"),
    "latest": _("the latest"),
    "better": _("the better place"),
    "average": _("the mean"),
    "listed": _("listed units"),
    "eligible": _("eligible units"),
    "floor": _("down"),
    "half_up": _("half-up"),
    "ceil": _("up"),
    "disjoint": _("one after the other"),
    "cumulative": _("top shares"),
    "undecided": _("until resolved"),
    "include": _("all of them"),
    "exclude": _("none of them"),
}
FOUR, HUNDREDTH = Decimal("0.0001"), Decimal("0.01")


def word(code: Any, lang: Language) -> str:
    """A code in words, itself where it has none."""
    return WORDS[code].say(lang) if code in WORDS else str(code or "")


def flagged(flag: str, names: dict[str, str], lang: Language) -> str:
    """A flag of a unit in words: what it is, and of what, by its name where it has one."""
    code, __, what = flag.partition(":")
    return f"{word(code, lang)} {names.get(what, what)}".strip()


def choice(value: str, lang: Language) -> str:
    """A reading's value with what it means, itself where it speaks for itself."""
    return f"{value} · {VALUES[value].say(lang)}" if value in VALUES else value


def four(points: Decimal | None) -> str:
    """Points with 4 decimals, half-up, as the printed tables have them."""
    return "—" if points is None else f"{points.quantize(FOUR, ROUND_HALF_UP)}".replace("-", "−")


def exact(points: Decimal | None) -> str:
    """Points with all the decimals they have, two at least, so that they can be added again."""
    if points is None:
        return "—"
    short = points.normalize()
    return f"{short.quantize(HUNDREDTH) if short == short.quantize(HUNDREDTH) else short:f}".replace("-", "−")


def signed(points: Decimal | None) -> str:
    """A margin with its sign, 4 decimals."""
    return "—" if points is None else ("+" if points > 0 else "") + four(points)


def points(text: str | None) -> str:
    """Points given as text with all the decimals they have, two at least; nothing where there are none."""
    return "" if text is None else exact(Decimal(text))


def points4(text: str) -> str:
    """Points given as text with 4 decimals, half-up."""
    return four(Decimal(text))
