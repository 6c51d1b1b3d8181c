"""The regulation's text by clause (条款): which words stand under which anchor of a rulebook's text.zh.txt."""

from pathlib import Path

from schemas.faults import RulebookError
from schemas.rulebook import SHIPPED

#: A line that begins with it names the clause of the lines that follow; the sign is not in the regulation.
ANCHOR = "§ "
TEXT = SHIPPED / "text.zh.txt"


def clauses(path: Path = TEXT) -> dict[str, str]:
    """Read the text of each clause, as the rulebook cites it, in the order of the regulation.

    A clause has its own lines only, not those of the clauses under it. Raises RulebookError with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RulebookError(str(path), f"cannot be read: {error}") from None
    blocks: dict[str, list[str]] = {}
    block: list[str] | None = None
    for n, line in enumerate(lines, 1):
        name = line.removeprefix(ANCHOR).strip()
        if line.startswith(ANCHOR):
            if name in blocks:
                raise RulebookError(f"{path}, line {n}", f"clause {name} is there twice; give each its own anchor")
            block = blocks.setdefault(name, [])
        elif line.strip() and block is None:
            raise RulebookError(f"{path}, line {n}", f"stands under no clause; begin with a line {ANCHOR}and its name")
        elif line.strip() and block is not None:
            block.append(line.strip())
    return {name: "\n".join(block) for name, block in blocks.items()}
