"""Runs a service that ends itself by SIGKILL at one point: no fault code in the product, and a death at the same place
every time.

    python -m tests.faults.die SERVICE MODULE:NAME HOW NTH [MODULE:CONSTANT=NUMBER]...

At the NTH call of the function it dies `before` it or `after` it; or `half` way through, as written down below.
"""

import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.cli import run

Function = Callable[..., Any]


def die() -> None:
    """As a power cut would: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


async def half_a_batch(append: Function, ingest: Any, fresh: Any) -> None:
    """Of an atomic batch all but the commit: the ledger must not hold any of it."""

    async def cut_off(*_: object, **__: object) -> None:
        await ingest.client.flush()
        die()

    ingest.client.request = cut_off
    await append(ingest, fresh)


def half_a_snapshot(_publish: Function, made: Path, folder: Path, name: str) -> None:
    """The snapshot is in its place, and `latest` does not point to it yet."""
    folder.mkdir(parents=True, exist_ok=True)
    made.rename(folder / name)
    die()


HALVES: dict[str, Function] = {
    "services.ingest.app:Ingest._append": half_a_batch,
    "services.snapshot.make:publish": half_a_snapshot,
}


def deadly(function: Function, place: str, how: str, nth: int) -> Function:
    """The function, which at its nth call is its process's last."""
    calls = 0

    def last(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < nth:
            return function(*arguments, **named)
        if how == "half":
            return HALVES[place](function, *arguments, **named)
        if how == "before":
            die()
        found = function(*arguments, **named)
        if inspect.isawaitable(found):
            return dying(found)
        return die()

    async def dying(found: Any) -> None:
        await found
        die()

    return last


def owner(place: str) -> tuple[Any, str]:
    """What holds a name as MODULE:NAME or MODULE:CLASS.NAME."""
    module, _, path = place.partition(":")
    *outer, name = path.split(".")
    found = importlib.import_module(module)
    for one in outer:
        found = getattr(found, one)
    return found, name


def main(service: str, place: str, how: str, nth: str, *constants: str) -> int:
    """Make the function deadly, and run the service as the command line does."""
    for text in constants:
        constant, _, number = text.partition("=")
        holder, name = owner(constant)
        assert isinstance(getattr(holder, name), int | float)
        setattr(holder, name, int(number))
    holder, name = owner(place)
    setattr(holder, name, deadly(getattr(holder, name), place, how, int(nth)))
    return run([service])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
