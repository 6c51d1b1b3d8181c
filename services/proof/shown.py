"""Commits to every word that is published: of each unit what all may see and what it alone may, and of the year.

A leaf is a code, the digest of its public rows and the digest of its own, joined by newlines; tables with a sequence
hold what is a unit's own. A table's digest is the SHA-256 of its rows' texts, sorted and joined by newlines; a row's
text are its columns joined by commas, each as `length:text` in bytes of UTF-8, or `-` for null.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import duckdb

from schemas.subjects import ASSESSMENT
from services.proof import merkle

Columns = Mapping[str, Sequence[str]]
Digests = dict[str, dict[str, str]]


def columns(con: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> dict[str, list[str]]:
    """The columns of the published tables, in order."""
    return {one: [row[0] for row in con.execute(f"DESCRIBE FROM {one}").fetchall()] for one in sorted(tables)}


def root(con: duckdb.DuckDBPyConnection, tables: Sequence[str], codes: Sequence[str]) -> bytes:
    """The root over the leaves of all units and the year, sorted by code."""
    found = columns(con, tables)
    public, own = digests(con, found, private=False), digests(con, found, private=True)
    return merkle.root(leaf(code, public, own, found) for code in sorted({*codes, ASSESSMENT, *public, *own}))


def leaf(code: str, public: Digests, own: Digests, found: Columns) -> bytes:
    """The leaf hash of a unit, or of the year."""
    both = (joined(public.get(code, {}), found, private=False), joined(own.get(code, {}), found, private=True))
    return merkle.leaf_hash("\n".join((code, *both)).encode())


def joined(of_tables: Mapping[str, str], found: Columns, *, private: bool) -> str:
    """The digest of the public tables, or of the private ones; of a table without rows that of nothing."""
    names = [one for one in sorted(found) if ("seq" in found[one]) == private]
    nothing = sha256(b"").hexdigest()
    return sha256("\n".join(f"{one} {of_tables.get(one, nothing)}" for one in names).encode()).hexdigest()


def digests(con: duckdb.DuckDBPyConnection, found: Columns, *, private: bool) -> Digests:
    """Of each unit the digest of its rows by table; what is nobody's is the year's."""
    made: Digests = {}
    for table, names in found.items():
        if ("seq" in names) == private:
            unit = "unit" if "unit" in names else f"'{ASSESSMENT}'"
            texts = ", ',', ".join(
                f"CASE WHEN {one} IS NULL THEN '-'"
                f" ELSE octet_length(encode({one}::VARCHAR)) || ':' || {one}::VARCHAR END"
                for one in names
            )
            for code, digest in con.execute(
                f"SELECT code, sha256(string_agg(line, chr(10) ORDER BY line ASC)) FROM"
                f" (SELECT {unit} AS code, concat({texts}) AS line FROM {table}) GROUP BY code"
            ).fetchall():
                made.setdefault(code, {})[table] = digest
    return made


def rows(con: duckdb.DuckDBPyConnection, table: str, names: Sequence[str], unit: str | None) -> list[list[str | None]]:
    """The rows of a table as texts, of one unit or of all."""
    where = "" if unit is None else " WHERE unit = ?"
    texts = ", ".join(f"{one}::VARCHAR" for one in names)
    values = [] if unit is None else [unit]
    return [list(row) for row in con.execute(f"SELECT {texts} FROM {table}{where} ORDER BY ALL", values).fetchall()]
