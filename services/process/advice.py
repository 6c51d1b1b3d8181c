"""What to do about an error of DuckDB's: each kind its own, for most of them do not go away by starting again."""

import duckdb

#: Of what passes by itself.
AGAIN = (
    "Nothing is lost: it goes on from here when it is started again.",
    "数据未丢失：重新启动后从此处继续。",
)
#: Words of the engine's message, and what to do, (en, zh); the first that fits is said.
_KINDS = (
    (
        ("no space left", "enospc", "disk full"),
        "The disk is full: make room, then start it again.",
        "磁盘已满：请腾出空间后重新启动。",
    ),
    (
        ("set lock", "conflicting lock"),
        "Another process has the file: stop that one first.",
        "文件正被另一进程使用：请先停止该进程。",
    ),
    (
        ("permission denied", "read-only file system"),
        "It may not write there: give its user the right to.",
        "没有写入权限：请为运行用户授权。",
    ),
    (
        ("checksum", "corrupt", "not a valid duckdb", "wal file", "replaying wal"),
        (
            "Its file is damaged: starting again does not help. Keep it as evidence, delete it, and let it be made anew"
            " from the ledger."
        ),
        "文件已损坏，重新启动无济于事：请留存作证据后删除，由账本重建。",
    ),
    (
        ("storage version", "version number", "serialization"),
        (
            "Its file was written by another version of DuckDB: use that one, or delete the file and let it be made"
            " anew from the ledger."
        ),
        "文件由另一版本的DuckDB写成：请用该版本，或删除后由账本重建。",
    ),
    (
        ("out of memory", "memory limit"),
        "Give it more memory, or let fewer run beside it.",
        "内存不足：请增加内存，或减少并行的进程。",
    ),
)


def duckdb_advice(error: duckdb.Error) -> tuple[str, str]:
    """What to do about an error, in English and Chinese."""
    told = str(error).lower()
    for words, en, zh in _KINDS:
        if any(word in told for word in words):
            return en, zh
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException | duckdb.ParserException):
        return (
            (
                "Its file is not this version's: delete it and let it be made anew from the ledger; if that does not"
                " help, report this as a bug."
            ),
            "文件与本版本不符：请删除后由账本重建；若仍出错，请报告此缺陷。",
        )
    return AGAIN
