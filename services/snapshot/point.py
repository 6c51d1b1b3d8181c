"""Points in time on two axes: as recorded (a cut of the ledger), as occurred (a ledger of the facts up to a time)."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas import roster as rosters
from schemas import soundness
from schemas.events import OPENED, instant
from schemas.words import Language, _
from schemas.year import Year
from services.command.options import At
from services.ingest.check import opened
from services.process import settings
from services.process.ending import Exit, Stop
from services.proof.checkpoint import VERSION
from services.scorer import rules, store
from services.scorer.rulebook_rows import TABLES
from services.snapshot import held, texts
from services.snapshot.make import TEXT, complete, latest


@contextmanager
def snapshot(path: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a snapshot read-only, the one published last without a path; what is none ends the command."""
    if path is None and (path := latest(folder := settings.read().snapshots)) is None:
        raise Stop(
            Exit.FAILED, _("{folder} holds no published snapshot; name one with --snapshot FILE.duckdb", folder=folder)
        )
    if not path.is_file():
        raise Stop(Exit.FAILED, _("{path}: there is no such snapshot", path=path))
    try:
        con = held.opened(path)
    except held.Unopened as error:
        raise Stop(Exit.FAILED, _("{path}: {error}", path=path, error=error)) from None
    try:
        check(con, path)
        yield con
    finally:
        con.close()


def check(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """A file without the tables of a snapshot, or of another version's, ends the command by what it lacks."""
    try:
        said = meta(con)
    except duckdb.Error:
        said = {}
    missing = [f"{name} of meta" for name in ("assessment", "sequence", "rulebook_json", "schema") if name not in said]
    if said.get("schema") not in (None, rules.SCHEMA):
        version = said.get("version", "-")[:40]
        raise Stop(
            Exit.FAILED,
            _(
                "{path}: made by version {version} with other tables and rules than this program's, "
                "{own}. Read it with that version, or make it anew: wuxing export with that one, "
                "wuxing score --snapshot with this one",
                path=path,
                version=version,
                own=VERSION,
            ),
        )
    with store.fresh() as fresh:
        columns = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main'"
        needed = fresh.execute(f"{columns} AND NOT internal ORDER BY ALL").fetchall()
    have = {*con.execute(f"{columns} AND database_name = '{held.NAME}'").fetchall()} if not missing else set()
    missing += [f"{column} of {table}" for table, column, kind in needed if (table, column, kind) not in have]
    if missing:
        raise Stop(
            Exit.FAILED,
            _(
                "{path}: not a snapshot of this version: {missing} differs; rebuild it from the ledger",
                path=path,
                missing=missing[0],
            ),
        )


def meta(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What a snapshot says of itself: assessment, rulebook, sequence, digest, root and others."""
    return dict(con.execute("SELECT key, value FROM meta").fetchall())


def last(con: duckdb.DuckDBPyConnection) -> int:
    """The last sequence of a snapshot, refused lines of a file counted."""
    return int(meta(con)["sequence"])


def year(con: duckdb.DuckDBPyConnection) -> Year:
    """The year of a snapshot: the rulebook and roster that it was made with."""
    found = stored(con)
    assert found is not None, "a snapshot of this version keeps its rulebook"
    return found


def stored(con: duckdb.DuckDBPyConnection) -> Year | None:
    """The year of a snapshot, or that which a ledger's first event opened; null when it opened none."""
    says = con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall()
    kept = meta(con) if says else {}
    if "rulebook_json" in kept:
        book, units = soundness.read(json.loads(kept["rulebook_json"])), rosters.read(json.loads(kept["roster_json"]))
        return Year(kept["assessment"], book, units, kept["synthetic"] == "true", json.loads(kept["keys"]))
    row = con.execute("SELECT raw FROM event WHERE type = ? AND admission = 'admitted' LIMIT 1", [OPENED]).fetchone()
    return Year(*opened(row[0])) if row else None


def unequal_rules(con: duckdb.DuckDBPyConnection, other: Year) -> str | None:
    """The first rulebook table of a snapshot that differs from what a year's rulebook and roster come to."""
    with store.fresh() as fresh:
        rules.load_rulebook(fresh, other.rulebook, other.roster)
        for name in _RULES:
            fresh.register("held", con.cursor().sql(f"FROM {name}").to_arrow_table())
            rows = fresh.execute(
                f"(FROM held EXCEPT ALL FROM {name}) UNION ALL (FROM {name} EXCEPT ALL FROM held) LIMIT 1"
            ).fetchall()
            fresh.unregister("held")
            if rows:
                return name
    return None


_RULES = tuple(name for name in TABLES if name not in ("reading_option", "refused"))


def as_of(con: duckdb.DuckDBPyConnection, text: str | None) -> int:
    """The sequence that an `--as-of` names in a snapshot; without one, its last.

    All digits are a sequence (beyond the end: the last). A time goes by recorded time, inclusive; where a file was
    folded and nothing is recorded, before the first accepted event that occurred later.
    """
    end = last(con)
    if text is None:
        return end
    if text.isascii() and text.isdigit():
        return min(int(text), end)
    time = moment(text, "--as-of")
    row = con.execute(
        "SELECT CASE WHEN count(recorded_at) > 0 THEN min(seq) FILTER ("
        "  rtrim(rtrim(strftime(recorded_at, '%Y-%m-%dT%H:%M:%S.%f'), '0'), '.') > $time)"
        " ELSE min(seq) FILTER (admission <> 'conflict' AND occurred > $time) END - 1 FROM event",
        {"time": time},
    ).fetchone()
    return end if row is None or row[0] is None else int(row[0])


def moment(text: str, option: str) -> str:
    """The instant of a time given to an option, as text that sorts; anything else is wrong use."""
    time = instant(text)
    if time is None:
        day = f"{text}T23:59:59+08:00"
        such = day if instant(day) else "2013-06-01T23:59:59+08:00"
        said = (
            _("{option}: expected a sequence or an RFC 3339 time with an offset such as {such}, found {text}")
            if option == "--as-of"
            else _("{option}: expected an RFC 3339 time with an offset such as {such}, found {text}")
        )
        raise Stop(Exit.USE, said.of(option=option, such=such, text=repr(text)))
    return time


def events(con: duckdb.DuckDBPyConnection, upto: int | None = None, until: str | None = None) -> pa.Table:
    """The events as they came, without what admission judged: up to a sequence, that occurred up to an instant."""
    columns = ", ".join(
        f"{name}::VARCHAR AS {name}" if kind == pa.string() else name for name, kind in store.COLUMNS.items()
    )
    return (
        con.cursor()
        .sql(
            f"SELECT {columns} FROM event WHERE seq <= coalesce($upto, seq) AND occurred <= coalesce($until, occurred)"
            " ORDER BY seq",
            params={"upto": upto, "until": until},
        )
        .to_arrow_table()
    )


@contextmanager
def at(
    con: duckdb.DuckDBPyConnection, text: str | None, until: str | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
    """A snapshot at a point on both axes: the ledger to ask, and the sequence up to which to ask it."""
    cut = as_of(con, text)
    if until is None:
        yield con, cut
        return
    with facts_until(con, until, cut) as facts:
        facts.execute("CREATE TABLE meta (key VARCHAR, value VARCHAR)")
        copy(con, facts, "meta")
        facts.execute("INSERT INTO meta VALUES ('facts_until', ?)", [until])
        if texts.there(con):
            facts.execute(TEXT[0])
            copy(con, facts, "text")
        yield facts, cut


@contextmanager
def ledger(asked: At) -> Iterator[tuple[duckdb.DuckDBPyConnection, int]]:
    """The snapshot and point that a command is asked for: the ledger to ask, and the sequence up to which to ask it."""
    with snapshot(asked.snapshot) as con, at(con, asked.as_of, asked.facts_until) as found:
        yield found


@contextmanager
def file_at(path: Path, until: str | None) -> Iterator[Path]:
    """A snapshot's file; on the second axis another one, whose own views see only what had occurred by a time."""
    if until is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="wuxing-") as folder, snapshot(path) as con:
        made = Path(folder) / "facts.duckdb"
        with refold(con, events(con, until=moment(until, "--facts-until")), target=made) as facts:
            complete(facts, year(con), last(con))
            facts.execute("INSERT INTO meta VALUES ('facts_until', ?)", [until])
        yield made


def facts_words(until: str | None, lang: Language) -> list[str]:
    """The line that says on what facts a page rests, where not on all of them."""
    said = _(
        "Only what had occurred by {until}; later revocations, decisions and closings have no effect.", until=until
    )
    return [] if until is None else [said.say(lang)]


def refold(
    con: duckdb.DuckDBPyConnection, ledger: pa.Table, other: Year | None = None, target: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A ledger folded again, in memory or a new file, judged anew by the rules that `con` holds or another year's.

    Readings that options put over the adopted ones stay there; they are put after the fold, since they void nothing.
    """
    fresh = store.fresh(target)
    if other:
        rules.load_rulebook(fresh, other.rulebook, other.roster)
    else:
        copy(con, fresh, *_RULES)
    store.append(fresh, ledger)
    copy(con, fresh, "reading_option")
    return fresh


def copy_rules(con: duckdb.DuckDBPyConnection, fresh: duckdb.DuckDBPyConnection) -> None:
    """Copy the rulebook, the roster and the readings given as options."""
    copy(con, fresh, *_RULES, "reading_option")


def copy(con: duckdb.DuckDBPyConnection, fresh: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Copy tables."""
    for name in names:
        fresh.register("held", con.cursor().sql(f"FROM {name}").to_arrow_table())
        fresh.execute(f"INSERT INTO {name} FROM held")
        fresh.unregister("held")


def facts_until(con: duckdb.DuckDBPyConnection, time: str, upto: int | None = None) -> duckdb.DuckDBPyConnection:
    """The ledger as it would be had it only what occurred up to a time (RFC 3339, inclusive), sequences kept.

    Folded again, since what is void, a duplicate or final depends on what precedes it. With `upto`, only of what was
    recorded up to that sequence: what was known then of what had happened by then. Rulebook and roster stay.
    """
    return refold(con, events(con, upto, moment(time, "--facts-until")))
