"""What `tests.fuzz_intake` lets its bytes loose on: a message as it lies in INTAKE, judged, appended and told.

The first byte of an input says whose rulebook it meets and with what subject and headers it comes; the rest is the
message. What ingest sets aside as `not_judged` is a crash like any other.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import structlog

from infra.client import Entry, Message
from schemas import roster, soundness, subjects
from schemas.events import Event
from schemas.rulebook import RULEBOOKS
from services.ingest import app
from services.ingest.app import Ingest, Judged
from services.ingest.check import Checker, opened
from services.process.settings import Limits, read
from services.site import synthetic

CODE = "fuzz"
SILENT = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
BOOKS = (
    "wenzhou-2013", "burial-reform-2013", "department-appraisal", "information-2013", "safety-standardisation",
    "medal-table",
)  # fmt: skip
UNITS, EVENTS = 6, 250
HOUSES = len(BOOKS) + 1
"""Rulebooks, and one year that is not open."""
SUBJECTS = (
    "",
    "",
    f"intake.{CODE}._.x.y",
    f"intake.{CODE}.{'x' * 200}.é.=cmd",
    f"intake.{CODE}.ducha.rating-recorded-v1.U001",
)
HEADERS: tuple[dict[str, str], ...] = (
    {}, {}, {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}, {"traceparent": "0" * 6000},
    {"Nats-Msg-Id": "1"}, {"Wuxing-Intake-Sequence": "x", "Status": "404"},
)  # fmt: skip
TEXTS = (
    "", "=1+1", "\x1b]0;x\x07", "\u202e", "\x00", "\u2028", "é" * 200, "x" * 201, "字" * 2000, "１", "-0", "1e400",
    "0.000000001", "99999999999999999999", "1.5", "0", "5", "100", "2013-02-30T00:00:00Z", "2013-12-31T23:59:60+08:00",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2013-06-01T00:00:00.123456789Z", "U001", "U999",
    "assessment", "/offices/ducha", "/units/U001", "../x", "'", '"', "\\", "|", "{}", "[x](y)", "<b>", "\ud800",
    "\u200f", "#let x = 1",
)  # fmt: skip
VALUES: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**30, [], {}, [None], {"a": "b"}, [["x"]], [{}], *TEXTS)


@cache
def lines(house: int) -> list[bytes]:
    """The year of a house, opened by its first line; of the one that is not open the openings of the others."""
    if house == len(BOOKS):
        return [lines(n)[0] for n in range(len(BOOKS))]
    folder = RULEBOOKS / BOOKS[house]
    book = soundness.load(folder / "rulebook.toml")
    units = roster.load(folder / "roster.csv", book)
    chosen = units[:: max(1, len(units) // UNITS)][:UNITS]
    return [raw for _, raw in synthetic.year(book, chosen, CODE, 7, EVENTS, settled=True)]


@cache
def ingest(house: int, folder: Path) -> Ingest:
    """The ingest of a house, which has no broker."""
    data = folder / f"house-{house}"
    data.mkdir(parents=True, exist_ok=True)
    known = read({"WUXING_DATA": str(data), "WUXING_ASSESSMENT": CODE})
    much = Limits(**dict.fromkeys(Limits.__struct_fields__, 2**60))
    nobody: Any = SimpleNamespace()
    return Ingest(nobody, CODE, known, SILENT, data / "place.json", much)


def checker(house: int, one: Ingest) -> Checker:
    """A house's own checker, as if nothing had been checked before: an input must come to the same each time."""
    if house == len(BOOKS):
        return Checker(None, (), assessment=CODE, accept=one.accept)
    _, book, units, *_ = opened(lines(house)[0])
    return Checker(book, units, accept=one.accept, assessment=CODE)


class Appended(list[Message]):
    """What was published, as the ledger's end."""

    async def publish(self, _: object, messages: Sequence[Message], last: int | None = None) -> Any:
        self.extend(messages)
        return SimpleNamespace(seq=(last or 0) + len(messages))


def subject(raw: bytes) -> str:
    """Where whoever sends this would send it."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        event = json.loads(raw)
        return subjects.intake(CODE, subjects.party_of(event["source"]) or "_", event["type"], event["subject"])
    return f"intake.{CODE}.ducha.x.y"


class Target:
    """Judges, appends and tells one message, as ingest does; a loop and keys that last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.checkers = {n: checker(n, ingest(n, folder)) for n in range(HOUSES)}

    def judged(self, data: bytes) -> tuple[int, bytes, Judged]:
        """The house, the message, and what became of it; raises whatever falls over it."""
        first, raw = (data[0], data[1:]) if data else (0, b"")
        house, way = first % HOUSES, first // HOUSES
        one = ingest(house, self.folder)
        one.go_by(self.checkers[house])
        one.place.intake = one.ledger_last = 0
        one.appended.clear()
        entry = Entry(1, SUBJECTS[way % len(SUBJECTS)] or subject(raw), HEADERS[way % len(HEADERS)], 0, raw)
        found = one._judge(entry)  # noqa: SLF001 - what take does, without a broker
        if getattr(found.found, "reason", "") == "not_judged":
            self.checkers[house].check(raw, app._topic(entry.subject)[1])  # noqa: SLF001 - raises what it fell over
            raise AssertionError("it was not judged")
        said = Appended()
        with patch.object(app, "publish_batch", said.publish):
            self.loop.run_until_complete(self._told(one, found))
        assert len(said) == 2, "what is taken is appended and receipted, what is not is refused and receipted"
        return house, raw, found

    @staticmethod
    async def _told(one: Ingest, found: Judged) -> None:
        if isinstance(found.found, Event):
            await one._append([found])  # noqa: SLF001 - as above
        await one._tell([found])  # noqa: SLF001 - as above


def seeds() -> Iterator[bytes]:
    """An input of every line of every house."""
    for house in range(HOUSES):
        for raw in lines(house):
            yield bytes([house]) + raw


@cache
def _codes(house: int) -> list[Any]:
    """All that stands anywhere in a year, to be put elsewhere."""
    found: dict[str, Any] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict | list):
            for one in value.values() if isinstance(value, dict) else value:
                walk(one)
        elif isinstance(value, str):
            found[value] = value

    for raw in lines(house):
        with contextlib.suppress(ValueError):
            walk(json.loads(raw))
    return list(found.values())


def mutated(data: bytes, seed: int) -> bytes:
    """Another input: an event of the house with some values from elsewhere in it, mostly under an id of its own."""
    rng = random.Random(seed)
    first = data[0] if data and rng.random() < 0.9 else rng.randrange(256)
    house = first % HOUSES
    raw = data[1:] if rng.random() < 0.7 else rng.choice(lines(house))
    try:
        event = json.loads(raw)
        assert isinstance(event, dict)
    except (ValueError, AssertionError, RecursionError):
        return bytes([first]) + rng.choice(lines(house))
    for _ in range(rng.choice((1, 1, 2, 4))):
        at: Any = event
        while True:
            key = rng.choice(list(at) if isinstance(at, dict) else range(len(at))) if at else None
            below = at[key] if key is not None else None
            if isinstance(below, dict | list) and below and rng.random() < 0.8:
                at = below
                continue
            break
        value = rng.choice((rng.choice(VALUES), rng.choice(_codes(house)), rng.choice(_codes(house))))
        if key is None:
            continue
        if rng.random() < 0.1:
            del at[key]
        elif isinstance(at, dict) and rng.random() < 0.1:
            at[rng.choice((*TEXTS, "note", "signature", "evidence", "points", "node"))] = value
        elif isinstance(at[key], str) and rng.random() < 0.3:
            cut = rng.randrange(len(at[key]) + 1)
            at[key] = at[key][:cut] + str(value) + at[key][cut:]
        else:
            at[key] = value
    if rng.random() < 0.8:
        event["id"] = f"f-{rng.getrandbits(40):x}"
    text = json.dumps(event, ensure_ascii=rng.random() < 0.3)
    return bytes([first]) + text.encode("utf-8", "surrogatepass")
