"""What to do about an error of DuckDB's: each kind its own, for most of them do not go away by starting again."""

import duckdb

from schemas.words import Text, _

#: Of what passes by itself.
AGAIN = _("Nothing is lost: it goes on from here when it is started again.")
#: Words of the engine's message, and what to do; the first that fits is said.
_KINDS = (
    (
        ("no space left", "enospc", "disk full"),
        _("The disk is full: make room, then start it again."),
    ),
    (
        ("set lock", "conflicting lock"),
        _("Another process has the file: stop that one first."),
    ),
    (
        ("permission denied", "read-only file system"),
        _("It may not write there: give its user the right to."),
    ),
    (
        ("checksum", "corrupt", "not a valid duckdb", "wal file", "replaying wal"),
        _(
            "Its file is damaged: starting again does not help. Keep it as evidence, delete it, and "
            "let it be made anew from the ledger."
        ),
    ),
    (
        ("storage version", "version number", "serialization"),
        _(
            "Its file was written by another version of DuckDB: use that one, or delete the file and "
            "let it be made anew from the ledger."
        ),
    ),
    (
        ("out of memory", "memory limit"),
        _("Give it more memory, or let fewer run beside it."),
    ),
)


def duckdb_advice(error: duckdb.Error) -> Text:
    """What to do about an error."""
    told = str(error).lower()
    for words, advice in _KINDS:
        if any(word in told for word in words):
            return advice
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException | duckdb.ParserException):
        return _(
            "Its file is not this version's: delete it and let it be made anew from the ledger; if "
            "that does not help, report this as a bug."
        )
    return AGAIN
