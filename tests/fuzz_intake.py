"""Lets made-up bytes loose on intake, and on everything that an accepted event must then survive: `make fuzz`.

    python -m tests.fuzz_intake --seconds 600 --seed 1

By turns: for a while inputs that reach new places of the code are bred (atheris; without it the same inputs at
random), judged, appended and told. Then what was accepted of them is folded, scored, explained and shown in every form.
Whatever ends in an exception that is no named refusal is a crash: shrunk and printed, each place of the code once.
"""

import argparse
import contextlib
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.fuzz_target import Target

TURN = 45.0
"""Seconds of breeding before what was accepted is shown."""
AT_ONCE = 100
"""Accepted events of one rulebook that are shown together."""
INSTRUMENTED = ["services.ingest", "schemas", "services.proof"]
FORMS, PAGES = 9, 25
"""Forms and pages of each turn, others in the next."""
SHRINKING = 60.0
"""Seconds that an input may be shrunk for."""


class Crash(NamedTuple):
    """Where the code fell over, what it said, and what it fell over."""

    place: str
    said: str
    data: bytes


def place(error: BaseException) -> str:
    """The line that raised, and the kind of the error."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def falls(run: Callable[[], object]) -> BaseException | None:
    """What a run ends with, null where it ends well."""
    try:
        run()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - that is what is looked for
        return error
    return None


def shrunk(parts: list[bytes], same: Callable[[list[bytes]], bool], seconds: float = SHRINKING) -> list[bytes]:
    """As few parts as still do the same, by leaving out ever smaller runs of them."""
    deadline, size = time.monotonic() + seconds, len(parts) // 2
    while size and time.monotonic() < deadline:
        at = 0
        while at < len(parts) and time.monotonic() < deadline:
            if same(less := parts[:at] + parts[at + size :]):
                parts = less
            else:
                at += size
        size //= 2
    return parts


def keep(folder: Path, error: BaseException, data: bytes) -> None:
    """Write down what was found, each place once; the shortest input of it."""
    path = folder / "crashes" / hashlib.sha256(place(error).encode()).hexdigest()[:16]
    if not path.exists() or path.stat().st_size > len(data):
        path.write_bytes(data)


# Breeding, in a process of its own


def hunt(folder: Path, seconds: float, seed: int) -> None:
    """Breed inputs for some seconds from the corpus in the folder, and leave there what is new and what crashed."""
    try:
        import atheris
    except ImportError:
        _at_random(folder, seconds, seed)
        return
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests import fuzz_target
    target = fuzz_target.Target(folder)

    def one(data: bytes) -> None:
        if error := falls(lambda: target.judged(data)):
            keep(folder, error, data)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        return fuzz_target.mutated(data, number) if number % 3 else bytes(atheris.Mutate(data, most))

    options = [f"-max_total_time={int(seconds)}", f"-seed={seed}", "-max_len=70000", "-rss_limit_mb=0", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, "-timeout=60", str(folder / "corpus")], one, custom_mutator=mutate)
    atheris.Fuzz()


def _at_random(folder: Path, seconds: float, seed: int) -> None:
    from tests import fuzz_target

    target, rng = fuzz_target.Target(folder), random.Random(seed)
    known = [path.read_bytes() for path in sorted((folder / "corpus").iterdir())]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        data = fuzz_target.mutated(rng.choice(known), rng.getrandbits(60))
        if error := falls(lambda data=data: target.judged(data)):  # type: ignore[misc]
            keep(folder, error, data)
        elif rng.random() < 0.02:
            (folder / "corpus" / hashlib.sha256(data).hexdigest()[:40]).write_bytes(data)


# What an accepted event must survive


def forms(folder: Path, units: list[str]) -> Iterator[tuple[str, ...]]:
    """Every command that shows a snapshot, `score` that makes it first."""
    file, snap = str(folder / "year.jsonl"), str(folder / "s.duckdb")
    yield ("score", file, "--snapshot", snap)
    yield ("score", file, "--format", "table")
    of = ("--snapshot", snap)
    for unit in units:
        for form in ("table", "json", "md"):
            yield ("explain", unit, "--format", form, *of)
    yield ("explain", units[0], "--format", "pdf", "--output", str(folder / "e.pdf"), *of)
    for words in (
        ("appeals",), ("readiness",), ("what-if", "--drop", "3"), ("what-if", "--drop", "3", "--format", "json"),
        ("export", str(folder / "e.jsonl")), ("export", str(folder / "e.parquet")), ("sql", "FROM statement"),
        ("sql", "FROM event", "--format", "csv"), ("sql", "FROM event", "--format", "json"),
        ("publish-tables", str(folder / "p.csv")), ("publish-tables", str(folder / "p.xlsx")),
    ):  # fmt: skip
        yield (*words, *of)
    yield ("diff", f"{snap}@4", snap)
    yield ("verify", snap)


class Unshown(Exception):  # noqa: N818 - it is what happened
    """A form that ended otherwise than well."""


def show(folder: Path, lines: list[bytes], words: tuple[str, ...]) -> None:
    """Fold the lines, and show them in one form; raises what falls over them."""
    from tests.product import command

    (folder / "year.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    if words[0] != "score" or "--snapshot" in words:
        (folder / "s.duckdb").unlink(missing_ok=True)
    asked = (
        [words]
        if words[0] == "score"
        else [("score", str(folder / "year.jsonl"), "--snapshot", str(folder / "s.duckdb")), words]
    )
    for one in asked:
        code, out, said = command(*one)
        if code not in (0, 1) or (one[0] == "verify" and code):
            raise Unshown(f"{' '.join(one[:2])} ended with {code}: {said[-300:]}")
        if b'"reason":"not_' in out and one[0] == "score":
            raise Unshown("the fold refuses what intake took")


def pages(folder: Path, events: list[int], units: list[str]) -> None:
    """The pages of the snapshot that lies in the folder, of some of its events."""
    from litestar.testing import TestClient

    from services.console.app import create_app

    with TestClient(create_app(folder / "s.duckdb")) as client:
        for path in (
            "/",
            "/audit",
            "/progress",
            *(f"/unit/{one}" for one in units),
            *(f"/event/{n}" for n in events),
        ):
            if (status := client.get(path).status_code) != 200:
                raise Unshown(f"{path} answers {status}")


def survive(folder: Path, house: int, accepted: list[bytes], rng: random.Random) -> Iterator[Crash]:
    """Fold what was accepted after the opening of its house, and show it in every form; what falls over it, shrunk."""
    import msgspec

    from tests import fuzz_target

    opening = fuzz_target.lines(house)[0]
    lines = [opening, *(raw.replace(b"\r", b" ").replace(b"\n", b" ") for raw in accepted)]
    units = [one["unit"] for one in msgspec.json.decode(opening)["data"]["roster"]]
    made = folder / f"shown-{house}"
    made.mkdir(exist_ok=True)
    first, *others = forms(made, units)
    for words in (first, *rng.sample(others, FORMS)):
        if error := falls(lambda words=words: show(made, lines, words) if words[0] == "score" else _ask(words)):  # type: ignore[misc]
            where = f"{place(error)} in {words[0]}"

            def same(rest: list[bytes], words: tuple[str, ...] = words, where: str = where) -> bool:
                again = falls(lambda: show(made, [opening, *rest], words))
                return again is not None and f"{place(again)} in {words[0]}" == where

            left = shrunk(lines[1:], same)
            yield Crash(where, f"{' '.join(words)}: {error}", b"\n".join(left))
            show(made, lines, ("score", str(made / "year.jsonl"), "--snapshot", str(made / "s.duckdb")))
    if error := falls(lambda: pages(made, rng.sample(range(1, len(lines)), min(PAGES, len(accepted))), units)):
        yield Crash(f"{place(error)} on a page", str(error), b"\n".join(lines[1:]))


def _ask(words: tuple[str, ...]) -> None:
    from tests.product import command

    code, _, said = command(*words)
    if code not in (0, 1) or (words[0] == "verify" and code):
        raise Unshown(f"{' '.join(words[:2])} ended with {code}: {said[-300:]}")


# The whole


def main() -> int:
    """Exit 0 where nothing crashed, else 1."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz_intake", description=__doc__)
    asked.add_argument("--seconds", type=float, default=600)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--hunt", type=Path, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.hunt:
        hunt(given.hunt, given.seconds, given.seed)
        return 0
    with tempfile.TemporaryDirectory(prefix="wuxing-fuzz-") as name:
        return played(Path(name), given.seconds, given.seed)


def played(folder: Path, seconds: float, seed: int) -> int:
    """Breed and show by turns until the time is over; print what crashed."""
    from tests import fuzz_target

    for one in ("corpus", "crashes"):
        (folder / one).mkdir()
    for n, data in enumerate(fuzz_target.seeds()):
        (folder / "corpus" / f"seed-{n:05d}").write_bytes(data)
    target = fuzz_target.Target(folder)
    begun, turn, shown = time.monotonic(), 0, 0
    seen: set[str] = set()
    found: dict[str, Crash] = {}
    while (left := seconds - (time.monotonic() - begun)) > 0:
        turn += 1
        words = [f"--seconds={min(TURN, left)}", f"--seed={seed * 1000 + turn}", f"--hunt={folder}"]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz_intake", *words], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        if done.returncode:
            found["the process"] = Crash("the process", done.stderr[-3000:], b"")
        new = [path for path in sorted((folder / "corpus").iterdir()) if path.name not in seen]
        seen |= {path.name for path in new}
        for path in (folder / "crashes").iterdir():
            if (crash := explained(target, path.read_bytes())).place not in found:
                found[crash.place] = crash
        for house, raws in accepted(target, new).items():
            if time.monotonic() - begun < seconds or not shown:
                rng = random.Random(f"{seed}-{turn}-{house}")
                some = rng.sample(raws, min(AT_ONCE, len(raws)))
                shown += len(some)
                found |= {one.place: one for one in survive(folder, house, some, rng) if one.place not in found}
        said = f"{len(seen):,} inputs kept, {shown:,} accepted ones shown, {len(found)} crashes"
        print(f"\r{time.monotonic() - begun:.0f} s, {said}\033[K", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for crash in found.values():
        print(f"{crash.place}\n  {crash.said}\n  {crash.data!r}")
    print(f"seed {seed}, {time.monotonic() - begun:.0f} s: {said}")
    return 1 if found else 0


def explained(target: "Target", data: bytes) -> Crash:
    """What an input that crashed makes fall over, shrunk."""
    error = falls(lambda: target.judged(data))
    where = place(error) if error else "not again"

    def same(rest: list[bytes]) -> bool:
        again = falls(lambda: target.judged(b"".join(rest)))
        return again is not None and place(again) == where

    return Crash(where, str(error), b"".join(shrunk([bytes([byte]) for byte in data], same)))


def accepted(target: "Target", paths: list[Path]) -> dict[int, list[bytes]]:
    """By their house the events among the inputs that intake takes, but openings."""
    from schemas.events import Event
    from tests.fuzz_target import BOOKS

    found: dict[int, list[bytes]] = {}
    for path in paths:
        with contextlib.suppress(Exception):  # a crash lies among the crashes
            house, raw, judged = target.judged(path.read_bytes())
            if house < len(BOOKS) and isinstance(judged.found, Event):
                found.setdefault(house, []).append(raw)
    return found


if __name__ == "__main__":
    sys.exit(main())
