"""How a file is written: beside its place first, then into it, whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from schemas.words import _
from services.process.ending import Exit, Stop


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft that takes a file's place, whole and on the disk, when the block ends; of one that fails nothing is left.

    A pipe or device is written as it is: nothing can take its place. What the disk refuses ends the command.
    """
    place = path.resolve()
    draft = place.with_name(f".{place.name}.{os.getpid()}") if place.is_file() or not place.exists() else place
    try:
        yield draft
        if draft != place:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(place)
    except (ConnectionError, TimeoutError):  # of a broker that is asked meanwhile
        raise
    except OSError as error:
        raise Stop(Exit.FAILED, _("{path}: cannot be written: {error}", path=path, error=error.strerror)) from None
    finally:
        if draft != place:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
