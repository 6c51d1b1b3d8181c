"""Each kind of DuckDB's errors says what to do about it, and not that it goes on where it never will."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from services.process.advice import duckdb_advice

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("error", "words"), [
    (duckdb.IOException("Could not write: No space left on device"), "make room"),
    (duckdb.IOException('Could not set lock on file "x": Conflicting lock is held'), "Another process"),
    (duckdb.IOException("Cannot open file: Permission denied"), "the right"),
    (duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate"), "more memory"),
    (duckdb.CatalogException("Table with name x does not exist"), "delete it"),
    (duckdb.TransactionException("Conflict"), "Nothing is lost"),
])  # fmt: skip
def test_each_kind_has_its_own(error: duckdb.Error, words: str) -> None:
    said = duckdb_advice(error)
    assert words in said.say("en")
    assert said.say("zh") != said.say("en")


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE t AS SELECT range AS x FROM range(100000)")
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 4096):
        data[at + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(duckdb.Error) as error, duckdb.connect(str(path)) as con:
        con.execute("SELECT sum(x) FROM t").fetchall()
    assert "damaged" in duckdb_advice(error.value).say("en")
