"""The regulation's text by clause (条款): which words stand under which anchor of a rulebook's text.zh.txt."""

from pathlib import Path

from schemas.faults import Fault, Place, RulebookError, quoted
from schemas.rulebook import SHIPPED

#: A line that begins with it names the clause of the lines that follow; the sign is not in the regulation.
ANCHOR = "§ "
TEXT = SHIPPED / "text.zh.txt"


def clauses(path: Path = TEXT) -> dict[str, str]:
    """Read the text of each clause, as the rulebook cites it, in the order of the regulation.

    A clause has its own lines only, not those of the clauses under it. Raises RulebookError with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise _refused(path, "unreadable", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise _refused(path, "not_utf8", str(error.start)) from None
    blocks: dict[str, list[str]] = {}
    block: list[str] | None = None
    for n, line in enumerate(lines, 1):
        name = line.removeprefix(ANCHOR).strip()
        if line.startswith(ANCHOR):
            if name in blocks:
                raise _refused(path, "text_twice", str(n), quoted(name))
            block = blocks.setdefault(name, [])
        elif line.strip() and block is None:
            raise _refused(path, "text_loose", str(n), ANCHOR)
        elif line.strip() and block is not None:
            block.append(line.strip())
    return {name: "\n".join(block) for name, block in blocks.items()}


def _refused(path: Path, said: str, *gaps: str) -> RulebookError:
    return RulebookError([Fault(Place(), None, said, gaps)], str(path))
