"""Makes a snapshot: the scorer's copy with the results of all units in it, complete in itself, renamed into place."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from schemas import roster as rosters
from schemas.results import Results, canonical
from schemas.rulebook import plain
from schemas.told import Told
from schemas.words import _
from schemas.year import Year
from services.process.files import replacing
from services.proof import checkpoint
from services.proof.checkpoint import VERSION, Earlier
from services.proof.note import Signer
from services.scorer import comments, purposes, rules
from services.snapshot import wide
from services.snapshot.results import computed

#: Published tables, each with the view that computes it again inside the snapshot.
PUBLISHED = {
    "published_unit": "unit_result",
    "published_item": "item_result",
    "published_part": "part_result",
    "published_grade": "grade_result",
    "published_unit_grade": "unit_grade",
    "published_entry": "entry_trail",
    "published_event": "event_trail",
    "published_reading": "reading_in_force",
    "published_value": "contender",
    "published_attribute": "attribute_in_force",
    "published_measure": "measure_asked",
}
#: What intake refused, which is no part of the ledger: the ranker puts it in, and no result rests on it.
INTAKE_REFUSED = (
    "party VARCHAR, intake_seq BIGINT, recorded_at TIMESTAMP, source VARCHAR, id VARCHAR, reason VARCHAR, path VARCHAR,"
    " message VARCHAR, sha256 VARCHAR"
)
#: The texts out of line, where the rulebook has any: the ranker puts them in, and no result rests on them.
TEXT = (
    "CREATE OR REPLACE TABLE text (token VARCHAR, salt VARCHAR, text VARCHAR, erased_by BIGINT)",
    f"COMMENT ON TABLE text IS '{comments.of_table('text')}'",
    "COMMENT ON COLUMN text.token IS 'What stands in the event: sha256: and the SHA-256 of salt and text.'",
    "COMMENT ON COLUMN text.salt IS 'The 32 bytes before the text, in hex; null once it is erased.'",
    "COMMENT ON COLUMN text.text IS 'The text that an event has out of line; null once it is erased.'",
    "COMMENT ON COLUMN text.erased_by IS 'The order (text.erased.v1) by which it is gone; null where none is.'",
)


class ProjectionDiffers(Told):
    """The scorer's incremental points are not those of a whole recomputation: nothing is published."""


def complete(  # noqa: PLR0913, PLR0917 - what a snapshot is made of, and who looks on
    con: duckdb.DuckDBPyConnection,
    year: Year,
    sequence: int,
    signer: Signer | None = None,
    earlier: Sequence[Earlier] = (),
    look: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
) -> Results:
    """Add the published tables, the checkpoint and `meta` to a file of events; returns the results.

    `look` reads what is computed before it goes.

    Raises ProjectionDiffers when the scorer's incremental points are not those of the whole recomputation, and
    LogRewritten when the log does not continue an earlier one. Without a key the checkpoint stays unsigned.
    """
    with rules.compute(con):
        _compare(con)
        con.execute("DROP TABLE IF EXISTS main.unit_item")  # the scorer's own, and the same by now
        for table, view in PUBLISHED.items():
            con.execute(f"CREATE TABLE main.{table} AS FROM {view}")
        look(con)
        found = computed(
            con, assessment=year.assessment, rulebook=year.rulebook.id, as_of=sequence, refused=[], lang="en"
        )
    for statement in wide.statements(year.rulebook):
        con.execute(statement)
    made = checkpoint.commit(con, year, found.digest, list(PUBLISHED), VERSION, signer, earlier)
    con.execute("CREATE OR REPLACE TABLE meta (key VARCHAR, value VARCHAR)")
    facts = {
        "assessment": year.assessment,
        "rulebook": year.rulebook.id,
        "sequence": str(sequence),
        "digest": found.digest,
        "root": made.root.hex(),
        "state": found.assessment_state,
        "version": VERSION,
        "schema": rules.SCHEMA,
        "synthetic": str(year.synthetic).lower(),
        "rulebook_json": canonical(plain(year.rulebook)).decode(),
        "roster_json": canonical(rosters.plain(year.roster)).decode(),
        "keys": canonical(dict(year.keys)).decode(),
    } | ({"log_key": str(signer.verifier)} if signer else {})
    for item in facts.items():
        con.execute("INSERT INTO meta VALUES (?, ?)", item)
    con.execute(f"CREATE OR REPLACE TABLE intake_refused ({INTAKE_REFUSED})")
    for statement in TEXT if year.rulebook.out_of_line else ():
        con.execute(statement)
    added = (*PUBLISHED, "meta", "intake_refused", "checkpoint", "leaf", "rulebook_json", "roster_json")
    con.execute("BEGIN")  # each statement by itself would be written by itself
    comments.write(con, *added)
    purposes.write(con, *added, "unit_wide", "text")
    con.execute("COMMIT")
    return found


def publish(made: Path, folder: Path, name: str) -> str:
    """Move a finished file among the snapshots and point `latest` at it, both atomically; returns its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    with made.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    made.chmod(0o444)
    made.rename(folder / name)
    pointer = folder / "latest.new"
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(name)
    pointer.rename(folder / "latest.duckdb")
    return digest


def prune(folder: Path, assessment: str, keep: int) -> list[Path]:
    """Delete all snapshots but the newest `keep` and the last of each day; returns what was deleted.

    Nothing is lost by it: the newest shows every earlier point (`as_of`). Who has an old one open reads it to the end.
    """
    named = {path: re.fullmatch(rf"{re.escape(assessment)}-([0-9]+)\.duckdb", path.name) for path in folder.iterdir()}
    oldest_first = [path for __, path in sorted((int(match[1]), path) for path, match in named.items() if match)]
    of_days = {datetime.fromtimestamp(path.stat().st_mtime, UTC).astimezone().date(): path for path in oldest_first}
    stay = {*oldest_first[-keep:], *of_days.values(), latest(folder)}
    gone = [path for path in oldest_first if path not in stay and path.resolve() not in stay]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def latest(folder: Path) -> Path | None:
    """The snapshot published last, null when there is none."""
    pointer = folder / "latest.duckdb"
    return pointer.resolve() if pointer.exists() else None


def _compare(con: duckdb.DuckDBPyConnection) -> None:
    if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'unit_item'").fetchall():
        return
    rows = con.execute(
        "(FROM unit_item EXCEPT FROM own_points) UNION ALL (FROM own_points EXCEPT FROM unit_item) LIMIT 3"
    ).fetchall()
    if rows:
        raise ProjectionDiffers(
            _(
                "The scorer's points of {unit}, item {item} differ from the recomputation. Stop the "
                "scorer, delete its file and let it fold the ledger again; report this as a bug.",
                unit=rows[0][0],
                item=rows[0][1],
            )
        )


def publish_as(made: Path, target: Path) -> None:
    """Put a finished file at a name of the user's choice, across file systems too, whole or not at all."""
    with replacing(target) as draft:
        shutil.copyfile(made, draft)
        draft.chmod(0o444)
