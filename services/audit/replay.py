"""The command `replay`: rebuilds the year from the ledger itself and holds the published snapshot against it.

Event by event (raw bytes, every column, what admission judged), rule by rule, result by result, and by root and digest:
the ledger's own fold, the snapshot recomputed from its events, and what it published must be the same.
"""

import asyncio
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from cyclopts import Parameter

from infra.client import connected, jetstream, last_entry
from infra.streams import stream
from schemas.events import CHANGES, OPENED, Event
from schemas.receipts import Ranking
from schemas.refusals import Refusal
from schemas.words import Language, _, _p
from schemas.year import Year, given
from services.audit.export import BATCH, SCHEMA, Stored, of_broker, one_line
from services.command.progress import Bar
from services.ingest.check import Checker, opened
from services.process import settings
from services.process.ending import Exit, Stop
from services.process.settings import language
from services.proof import checkpoint
from services.scorer import rules, store
from services.snapshot import held, point, texts
from services.snapshot.make import PUBLISHED, latest
from services.snapshot.results import computed

#: The columns that name a row of each published table.
KEYS = {
    "published_unit": ("unit",),
    "published_item": ("unit", "item"),
    "published_part": ("unit", "part"),
    "published_grade": ("scheme", "pool", "grade"),
    "published_unit_grade": ("unit", "scheme"),
    "published_entry": ("seq",),
    "published_event": ("seq",),
    "published_reading": ("name",),
    "published_value": ("unit", "item", "run"),
    "published_attribute": ("unit", "attribute"),
    "published_measure": ("unit", "item", "measure"),
}


class Difference(msgspec.Struct, frozen=True):
    """The first thing that differs: what it is, where, what the ledger gives, what the snapshot holds."""

    kind: Literal["file", "event", "rules", "result", "object", "text", "root", "digest"]
    where: str
    column: str
    ledger: str | None
    snapshot: str | None


class Replay(msgspec.Struct, frozen=True):
    """The outcome: equal, or the first difference; `digest` is the replayed one, `recomputed` the snapshot's own.

    `sha256` is that of the file where it was compared with the published one, `goes_on` the ledger's last sequence
    where it has grown since, `untimed` that the ledger read has no recorded times, so that the snapshot's were taken.
    """

    equal: bool
    source: str
    as_of: int
    events: int
    refused: int
    digest: str | None = None
    recomputed: str | None = None
    published: str | None = None
    difference: Difference | None = None
    sha256: str | None = None
    goes_on: int | None = None
    untimed: bool = False


@dataclass
class Ledger:
    """A ledger folded anew in memory; `refused` are lines that are no events. `spaced`: line feeds may be spaces."""

    con: duckdb.DuckDBPyConnection
    year: Year
    refused: int
    spaced: bool = False


def replay(
    *,
    as_of: str | None = None,
    source: Annotated[Path | None, Parameter(name="--from")] = None,
    snapshot: Path | None = None,
    format: Literal["json", "table"] = "table",  # noqa: A002 - the contract's word
    lang: Literal["zh", "en"] | None = None,
) -> int:
    """Rebuild the year from the ledger itself and compare with the published snapshot; exit 1 at the first difference.

    Example: wuxing replay --from ledger.jsonl --snapshot year.duckdb

    Parameters
    ----------
    as_of
        Compare at a sequence or a time of the snapshot instead of its end.
    source
        An export, FILE.jsonl or FILE.parquet; the broker's ledger without it.
    snapshot
        The snapshot to compare with; the one published last without it.
    format
        A sentence to read, or JSON.
    lang
        Language of texts: zh or en; the locale's without it.
    """
    chosen = language(lang)
    with point.snapshot(snapshot) as con, Bar(chosen, _("replaying")) as bar:
        cut = point.as_of(con, as_of)
        ledger = fold(_read(source, cut, bar.step), cut, spaced=source is not None and source.suffix == ".jsonl")
        name = str(source) if source else settings.read().nats_url
        found = compare(ledger, con, cut, name)
        if source is None:
            found = _against_published(found, snapshot or latest(settings.read().snapshots), point.last(con))
    _show(found, format, chosen)
    return Exit.DONE if found.equal else Exit.NO


def _against_published(found: Replay, path: Path | None, last: int) -> Replay:
    """Add what the broker says: whether the file is the one that was published, and how far the ledger goes by now."""
    ranking, end = asyncio.run(_asked(settings.read()))
    if end > last:
        found = msgspec.structs.replace(found, goes_on=end)
    if ranking is None or path is None or ranking.snapshot != path.resolve().name:
        return found
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == ranking.sha256:
        return msgspec.structs.replace(found, sha256=digest)
    other = Difference("file", path.name, "SHA-256", ranking.sha256, digest)
    return msgspec.structs.replace(found, equal=False, difference=found.difference or other)


async def _asked(known: settings.Settings) -> tuple[Ranking | None, int]:
    """What the ranker published last, and the last sequence of the ledger."""
    async with connected(known.nats_url, "audit", known.data) as client:
        info = await jetstream(client).stream_info(stream("LEDGER", known.assessment))
        entry = await last_entry(client, "RANKING", known.assessment)
    return (msgspec.json.decode(entry.data, type=Ranking) if entry else None), info.state.last_seq


Batches = Iterator[Sequence[Stored]]


def _read(source: Path | None, upto: int, progress: Callable[[int, int], None]) -> Batches:
    """The ledger's events in batches up to a sequence, from an export or from the broker."""
    if source is None:
        batches: list[Sequence[Stored]] = []
        of_broker(settings.read(), batches.append, progress, upto)
        yield from batches
        return
    try:
        rows = rows_of(source) if source.suffix == ".parquet" else _lines(source)
        for batch in rows:
            kept = [row for row in batch if row.sequence <= upto]
            yield kept
            progress(min(kept[-1].sequence if kept else upto, upto), upto)
            if len(kept) < len(batch):
                return
    except (OSError, pa.ArrowException, KeyError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0][:200]
        raise Stop(Exit.FAILED, _("{source}: cannot be read: {reason}", source=source, reason=reason)) from None


def _lines(path: Path) -> Batches:
    """Lines of a .jsonl: the line number is the sequence; a last line end makes no line, CR before LF is dropped."""
    batch: list[Stored] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            raw = line[:-1].removesuffix(b"\r") if line.endswith(b"\n") else line
            batch.append(Stored(number, None, raw))
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


def rows_of(path: Path) -> Batches:
    """The events of a .parquet as `export` writes it, in batches."""
    with pq.ParquetFile(path) as file:
        for part in file.iter_batches(BATCH, columns=SCHEMA.names):
            recorded = part.column("recorded_at").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
            columns = (part.column("sequence"), recorded, part.column("raw"))
            yield [Stored(*row) for row in zip(*(column.to_pylist() for column in columns), strict=True)]


def fold(batches: Iterable[Sequence[Stored]], upto: int, *, spaced: bool = False) -> Ledger:
    """Check and fold a ledger as intake and scorer do; its first event may open the year with its own rules."""
    known = settings.read()
    folding = Refolding(given(known.assessment, known.rulebook, known.roster), opens=True)
    refused = sum(len(folding.take(batch)) for batch in batches)
    con = folding.con
    assert not con.execute("SELECT 1 FROM event WHERE seq > ? LIMIT 1", [upto]).fetchall(), "read up to the cut"
    return Ledger(con, folding.year, refused, spaced)


class Refolding:
    """A ledger checked and judged anew in memory; what changes units, offices or keys takes effect on what follows.

    Where it `opens`, its first event may open the year with its own rules; else the year given is the one.
    """

    def __init__(self, year: Year, *, opens: bool) -> None:
        self.con, self.year, self._opens, self._begun = store.fresh(), year, opens, False
        self._checker = Checker(year.rulebook, year.roster, keys=year.keys, began=False)
        rules.load_rulebook(self.con, year.rulebook, year.roster)

    def take(self, batch: Iterable[Stored]) -> list[tuple[int, Refusal]]:
        """Fold what passes the checks, in order; returns what does not, by sequence."""
        refused: list[tuple[int, Refusal]] = []
        rows: list[tuple[Stored, Event]] = []
        for entry in batch:
            event = self._checker.check(entry.raw)
            if isinstance(event, Refusal):
                refused.append((entry.sequence, event))
                continue
            if not self._begun:
                self._begin(entry.raw, event)
            rows.append((entry, event))
            if event.type in CHANGES:
                self._admit(rows)
                rows = []
                if self.con.execute(_ADMITTED, [entry.sequence]).fetchall():
                    self._checker.apply(event)
        self._admit(rows)
        return refused

    def _begin(self, raw: bytes, first: Event) -> None:
        if self._opens and first.type == OPENED:
            self.year = Year(*opened(raw))
            rules.load_rulebook(self.con, self.year.rulebook, self.year.roster)
        self._checker = Checker(self.year.rulebook, self.year.roster, keys=self.year.keys)
        self._begun = True

    def _admit(self, rows: Sequence[tuple[Stored, Event]]) -> None:
        if rows:
            sequences, times, raws = zip(*(entry for entry, __ in rows), strict=True)
            store.append(self.con, store.table(sequences, times, [event for __, event in rows], raws))


_ADMITTED = "SELECT 1 FROM event WHERE seq = ? AND admission = 'admitted'"


def compare(ledger: Ledger, con: duckdb.DuckDBPyConnection, cut: int, source: str) -> Replay:
    """Hold a snapshot against the ledger at a cut; the first difference ends it."""
    count = ledger.con.execute("SELECT count(*) FROM event").fetchall()[0][0]
    untimed = bool(count) and _unrecorded(ledger, "recorded_at") and _timed(con)
    outcome = Replay(False, source, cut, count, ledger.refused, untimed=untimed)
    whole = cut == point.last(con)
    said = point.meta(con)
    if not count and not con.execute("SELECT 1 FROM event WHERE seq <= ? LIMIT 1", [cut]).fetchall():
        return msgspec.structs.replace(outcome, equal=True)
    first = _events(ledger, con, cut) or _rules(ledger, con) or (_root(ledger, con, said) if whole else None)
    if first:
        return msgspec.structs.replace(outcome, difference=first)
    read = partial(
        computed,
        assessment=said.get("assessment", ""),
        rulebook=ledger.year.rulebook.id,
        as_of=cut,
        refused=[],
        lang="en",
    )
    with rules.compute(ledger.con, as_of=cut):
        replayed, first = read(ledger.con).digest, _results(ledger, con) if whole else None
    with rules.compute(con, as_of=cut):
        digests = replayed, read(con).digest
    first = first or _objects(con) or (_texts(ledger, con) if whole else None) or _digests(digests, said, whole=whole)
    return msgspec.structs.replace(
        outcome,
        equal=first is None,
        digest=digests[0],
        recomputed=digests[1],
        published=said.get("digest") if whole else None,
        difference=first,
    )


def _events(ledger: Ledger, con: duckdb.DuckDBPyConnection, cut: int) -> Difference | None:
    """Event by event: the bytes first, then what was read from them and what admission judged of them."""
    fresh = ledger.con
    held = con.cursor().sql("FROM event WHERE seq <= ?", params=[cut]).to_arrow_table()
    if ledger.spaced:
        raws = pa.array([one_line(raw) for raw in held["raw"].to_pylist()], pa.binary())
        held = held.set_column(held.column_names.index("raw"), "raw", raws)
    fresh.register("held", held)
    names = [name for name in rules.EVENT_COLUMNS if name not in ("seq", "raw") and not _unrecorded(ledger, name)]
    differs = ", ".join(f"CASE WHEN l.{name} IS DISTINCT FROM s.{name} THEN '{name}' END" for name in ("raw", *names))
    row = fresh.execute(
        f"SELECT seq, coalesce({differs}) AS which, l, s FROM event l FULL JOIN held s USING (seq)"
        " WHERE which IS NOT NULL ORDER BY seq LIMIT 1"
    ).fetchall()
    fresh.unregister("held")
    if not row:
        return None
    seq, name, ours, theirs = row[0]
    return Difference("event", str(seq), name, _shown(ours, name), _shown(theirs, name))


def _shown(event: dict[str, Any] | None, name: str) -> str | None:
    """A column of an event in words; of raw bytes their SHA-256."""
    value = event and event[name]
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else None if value is None else str(value)


def _unrecorded(ledger: Ledger, name: str) -> bool:
    """A file of events has no recorded times to compare."""
    return (
        name == "recorded_at"
        and not ledger.con.execute("SELECT 1 FROM event WHERE recorded_at IS NOT NULL LIMIT 1").fetchall()
    )


def _rules(ledger: Ledger, con: duckdb.DuckDBPyConnection) -> Difference | None:
    """The rulebook and roster that the ledger opens with, as tables."""
    name = point.unequal_rules(con, ledger.year)
    return Difference("rules", name, "", ledger.year.rulebook.id, point.meta(con).get("rulebook")) if name else None


def _timed(con: duckdb.DuckDBPyConnection) -> bool:
    return bool(con.execute("SELECT 1 FROM event WHERE recorded_at IS NOT NULL LIMIT 1").fetchall())


def _root(ledger: Ledger, con: duckdb.DuckDBPyConnection, said: dict[str, str]) -> Difference | None:
    """The Merkle root over the events; where the ledger read lacks times or line feeds the snapshot's were compared."""
    source = con if ledger.spaced or _unrecorded(ledger, "recorded_at") else ledger.con
    root = checkpoint.leaves(source).root().hex()
    return None if root == said.get("root") else Difference("root", "meta", "root", root, said.get("root"))


def _results(ledger: Ledger, con: duckdb.DuckDBPyConnection) -> Difference | None:
    """Row by row of every published table, against the replayed views, inside an open `rules.compute`."""
    for table, view in PUBLISHED.items():
        if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall():
            return Difference("result", table, "table", view, None)
        held = con.cursor().sql(f"FROM {table}").to_arrow_table()
        ledger.con.register("held", held)
        found = _row(ledger.con, table, view, held.column_names)
        ledger.con.unregister("held")
        if found:
            return found
    return None


def _row(con: duckdb.DuckDBPyConnection, table: str, view: str, held: list[str]) -> Difference | None:
    """The first row, by its key, and the first column of it that a view and a published table do not share."""
    columns = [column[0] for column in con.execute(f"FROM {view} LIMIT 0").description or ()]
    con.fetchall()
    if columns != held:
        return Difference("result", table, "columns", ", ".join(columns), ", ".join(held))
    keys = ", ".join(KEYS[table])
    both = f"(FROM {view} EXCEPT ALL FROM held) UNION ALL (FROM held EXCEPT ALL FROM {view})"
    row = con.execute(f"SELECT {keys} FROM ({both}) ORDER BY {keys} LIMIT 1").fetchall()
    if not row:
        return None
    where = " AND ".join(f"{key} = ?" for key in KEYS[table])
    pair = [con.execute(f"FROM {one} WHERE {where}", row[0]).fetchall() for one in (view, "held")]
    name = " ".join(map(str, (table, *row[0])))
    if [len(rows) for rows in pair] != [1, 1]:
        return Difference("result", name, "rows", str(len(pair[0])), str(len(pair[1])))
    n = next(n for n, (ours, theirs) in enumerate(zip(pair[0][0], pair[1][0], strict=True)) if ours != theirs)
    return Difference("result", name, columns[n], str(pair[0][0][n]), str(pair[1][0][n]))


def _objects(con: duckdb.DuckDBPyConnection) -> Difference | None:
    """The tables, views and macros that lie in the snapshot, for any DuckDB client, are this program's."""
    names = {"other": "another text", "missing": None, "foreign": "not this program's"}
    for kind, name, how in held.differing(con):
        return Difference("object", f"{kind} {name}", "", None if how == "foreign" else "as made", names[how])
    return None


def _texts(ledger: Ledger, con: duckdb.DuckDBPyConnection) -> Difference | None:
    """The first text out of line that is not its token's, or that is gone without an order; of no texts none."""
    names = ledger.year.rulebook.out_of_line
    if not names or not con.execute("SELECT 1 FROM text LIMIT 1").fetchall():
        return None
    one = next(texts.wrong(con, names), None)
    return one and Difference("text", one.token, "", f"sequence {one.seq}" if one.seq else None, one.how)


def _digests(computed: Sequence[str], said: dict[str, str], *, whole: bool) -> Difference | None:
    """The digest three times: the ledger's, the snapshot's recomputed, and as published."""
    ours, recomputed = computed
    if ours != recomputed:
        return Difference("digest", "snapshot", "recomputed", ours, recomputed)
    if whole and ours != said.get("digest"):
        return Difference("digest", "meta", "digest", ours, said.get("digest"))
    return None


def _show(found: Replay, form: str, lang: Language) -> None:
    if form == "json":
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()
        return
    print(_words(found, lang))


def _words(found: Replay, lang: Language) -> str:
    """The outcome in a sentence: what was compared, or where it differs first, expected and found."""
    one = found.difference
    if one is None:
        said = _(
            "equal: {events} events of {source} up to sequence {as_of} give what the snapshot holds,"
            " event by event and result by result. digest {digest}{beyond}",
            events=found.events,
            source=found.source,
            as_of=found.as_of,
            digest=found.digest or "-",
            beyond=_beyond(found, lang),
        )
        return said.say(lang)
    absent = _p("value", "nothing")
    ours, theirs = (absent if value is None else value for value in (one.ledger, one.snapshot))
    where = one.where + (f" ({one.column})" if one.column else "")
    return _(
        "different, first at {kind} {where}: the ledger gives {ours}, the snapshot holds {theirs}{beyond}",
        kind=_KINDS[one.kind],
        where=where,
        ours=ours,
        theirs=theirs,
        beyond=_beyond(found, lang),
    ).say(lang)


def _beyond(found: Replay, lang: Language) -> str:
    """What else there is to know: how far the ledger goes by now, what was compared of the file, what was not."""
    said = [
        (found.goes_on, _("; the ledger goes on to sequence {goes_on}", goes_on=found.goes_on)),
        (found.sha256, _("; the file is the one published, by SHA-256")),
        (
            found.untimed,
            _("; recorded times are not in the file and were not compared"),
        ),
    ]
    return "".join(one.say(lang) for there, one in said if there)


_KINDS = {
    "event": _("event"),
    "rules": _("rulebook table"),
    "result": _("result"),
    "object": _("object of the file,"),
    "file": _("file"),
    "text": _("text out of line"),
    "root": _("Merkle root"),
    "digest": _("digest"),
}
