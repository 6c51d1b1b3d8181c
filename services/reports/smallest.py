"""The smallest set of a unit's own deductions whose removal would change a grade of it: an exact search.

Two facts bound it. Removing deductions never lowers a unit's final and moves no other unit's, so if the set of a size
that raises it most changes nothing, no set of that size does. And items do not touch one another, so the best set of a
size is put together from the best sets of each item. The subsets of each item are reckoned by the rules' own views:
each as a unit of its own, thousands side by side; what they come to is confirmed by folding the ledger without them.
(One thing is outside the two facts: when an open appeal goes with its deduction, a `finalised` that it stood against
may stand and make later events void. The answer given is confirmed then too; that it is the smallest is not.)
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import combinations

import duckdb
import msgspec
import pyarrow as pa

from schemas.words import Language, _, _p
from services.command.tables import four
from services.scorer import rules, store
from services.snapshot import point
from services.snapshot.moves import Standing, side

BATCH = 2_000
#: Sequences of one copy of the unit are this far from those of the next; a ledger has fewer.
STRIDE = 2**40
Removed = frozenset[int]


class Found(msgspec.Struct, frozen=True):
    """The answer: the deductions to remove (empty when there is none), by sequence, and the standing before and after.

    Without an answer `after` is the standing without any deduction, whose grades are the same; but when
    `limited` the search went no further than sets of `searched`, for larger ones take more combinations than allowed.
    """

    unit: str
    sequences: list[int]
    before: Standing
    after: Standing
    deductions: int
    combinations: int
    searched: int
    limited: bool


def search(con: duckdb.DuckDBPyConnection, unit: str, at_most: int) -> Found:
    """Search by increasing size; at most so many combinations are reckoned.

    Deductions sent more than once are removed with their duplicates. Ties and grades are the views', on the whole year.
    """
    end = (con.execute("SELECT max(seq) FROM event").fetchone() or (0,))[0] or 0
    before = side(con, end, whole=False).units[unit]
    blocks = _blocks(con, unit)
    own = sorted(seq for block in blocks for seq in block)

    def without(removed: Removed) -> Standing:
        return _standing(con, unit, removed, end)

    def answer(removed: Removed, after: Standing, reckoned: int, searched: int, *, limited: bool = False) -> Found:
        return Found(unit, sorted(removed), before, after, len(own), reckoned, searched, limited)

    everything = without(frozenset(own))
    if not own or _tier(everything) == _tier(before):
        return answer(frozenset(), everything, 0, len(own))
    best: list[dict[int, tuple[Decimal, Removed]]] = [{0: (Decimal(0), frozenset())} for __ in blocks]
    reckoned = 0
    for size in range(1, len(own) + 1):
        sets = [(n, frozenset(s)) for n, block in enumerate(blocks) for s in combinations(block, size)]
        if reckoned + len(sets) > at_most:
            return answer(frozenset(), everything, reckoned, size - 1, limited=True)
        reckoned += len(sets)
        for (n, removed), gain in zip(sets, _gains(con, unit, [removed for __, removed in sets]), strict=True):
            if gain > best[n].get(size, (Decimal(-1), removed))[0]:
                best[n][size] = gain, removed
        removed = _together(best, size)
        if _tier(after := without(removed)) != _tier(before):
            return answer(removed, after, reckoned, size)
    raise AssertionError("all deductions together change the tier")


def _tier(standing: Standing) -> dict[str, str | None]:
    return standing.grades


def _blocks(con: duckdb.DuckDBPyConnection, unit: str) -> list[list[int]]:
    """The unit's deductions that stand, by item; one block where an exempted item's points hang on the others'."""
    with rules.compute(con, scope=[unit], upto="entry_line"):
        rows = con.execute(
            "SELECT item, seq FROM entry_line WHERE NOT adds AND stands AND exempted_by IS NULL ORDER BY seq"
        ).fetchall()
        exempt = con.execute("SELECT count(*) FROM exemption").fetchall()[0][0]
    blocks = defaultdict(list)
    for item, seq in rows:
        blocks["" if exempt else item].append(seq)
    return list(blocks.values())


def _together(best: Sequence[Mapping[int, tuple[Decimal, Removed]]], size: int) -> Removed:
    """The set of a size that gains most: one block after another, the best for every size so far."""
    so_far: dict[int, tuple[Decimal, Removed]] = {0: (Decimal(0), frozenset())}
    for block in best:
        grown: dict[int, tuple[Decimal, Removed]] = {}
        for taken, (gain, removed) in so_far.items():
            for more, (its_gain, its_removed) in block.items():
                now = taken + more
                if now <= size and gain + its_gain > grown.get(now, (Decimal(-1),))[0]:
                    grown[now] = gain + its_gain, removed | its_removed
        so_far = grown
    return so_far[size][1]


def _standing(con: duckdb.DuckDBPyConnection, unit: str, removed: Removed, end: int) -> Standing:
    """The unit's standing in the ledger without some deductions and their duplicates, folded again."""
    if not removed:
        return side(con, end, whole=False).units[unit]
    ledger = point.events(con)
    names = list(zip(ledger["source"].to_pylist(), ledger["id"].to_pylist(), strict=True))
    gone = {name for seq, name in zip(ledger["seq"].to_pylist(), names, strict=True) if seq in removed}
    kept = pa.array([name not in gone for name in names], pa.bool_())
    with point.refold(con, ledger.filter(kept)) as fresh:
        return side(fresh, end, whole=False).units[unit]


def _gains(con: duckdb.DuckDBPyConnection, unit: str, sets: Sequence[Removed]) -> Iterator[Decimal]:
    """What the unit's final gains by each set; items that compare units see equals, so they gain nothing."""
    for start in range(0, len(sets), BATCH):
        batch = [frozenset[int](), *sets[start : start + BATCH]]
        with store.fresh() as scratch:
            _side_by_side(con, scratch, unit, batch)
            with rules.compute(scratch, upto="unit_total"):
                rows = scratch.execute("SELECT final FROM unit_total ORDER BY unit::INTEGER").fetchall()
        base = rows[0][0]
        yield from (final - base for (final,) in rows[1:])


def _side_by_side(
    con: duckdb.DuckDBPyConnection, scratch: duckdb.DuckDBPyConnection, unit: str, batch: Sequence[Removed]
) -> None:
    """A scratch year in which each set is a unit of its own, with the unit's events but for that set."""
    point.copy_rules(con, scratch)
    own = "FROM event WHERE unit IN ($1, 'assessment') AND admission = 'admitted'"
    pairs = [(n, seq) for n, removed in enumerate(batch) for seq in removed]
    columns = {"n": [n for n, __ in pairs], "seq": [seq for __, seq in pairs]}
    scratch.register("own", con.cursor().sql(own, params=[unit]).to_arrow_table())
    scratch.register("gone", pa.table({name: pa.array(values, pa.int64()) for name, values in columns.items()}))
    scratch.execute(
        f"INSERT INTO event SELECT o.* EXCLUDE (n) REPLACE (n * {STRIDE} + seq AS seq, n::VARCHAR AS unit, NULL AS raw,"
        f" n * {STRIDE} + refers_to AS refers_to)"
        " FROM (FROM own, range(?) t(n)) o ANTI JOIN gone g ON g.n = o.n AND g.seq = o.seq"
        " WHERE o.unit <> 'assessment'",
        [len(batch)],
    )
    scratch.execute("INSERT INTO event FROM own WHERE unit = 'assessment'")
    scratch.execute("CREATE TEMP TABLE one AS SELECT * FROM roster WHERE unit = ?", [unit])
    scratch.execute("DELETE FROM roster")
    copies = "INSERT INTO roster SELECT o.* REPLACE (n::VARCHAR AS unit) FROM one o, range(?) t(n)"
    scratch.execute(copies, [len(batch)])


def words(found: Found, lang: Language, names: Mapping[str, str]) -> str:
    """The answer in a sentence."""
    tiers = " → ".join(_tier_words(one, lang, names) for one in (found.before, found.after))
    finals = f"{four(Decimal(found.before.final))} → {four(Decimal(found.after.final))}"
    places = f"{found.before.place} → {found.after.place}"
    seqs, number, unit = ", ".join(map(str, found.sequences)), len(found.sequences), found.unit
    if found.sequences:
        said = _(
            "{unit}: removing {number} of its deductions (sequence {seqs}) changes its grades: {tiers};"
            " final {finals}, place {places}. No fewer do."
        )
    elif found.limited:
        said = _(
            "{unit}: no {searched} of its {deductions} deductions change its grades; larger sets take more"
            " combinations than --at-most allows and were not searched."
        )
    else:
        said = _(
            "{unit}: not even without all {deductions} of its deductions would its grades change;"
            " final {finals}, place {places}."
        )
    gaps = {"unit": unit, "number": number, "seqs": seqs, "tiers": tiers, "finals": finals, "places": places}
    return said.of(searched=found.searched, deductions=found.deductions, **gaps).say(lang)


def _tier_words(standing: Standing, lang: Language, names: Mapping[str, str]) -> str:
    """The grades by name."""
    given = [names.get(grade, grade) for grade in standing.grades.values() if grade]
    return " ".join(given) or (_p("what-if", "no grade").say(lang))
