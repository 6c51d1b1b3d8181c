"""A year that goes on whatever happens: parties publish, services are kept running, and at last all is judged.

Nothing is sent twice, so every event has one outcome for who sent it: acknowledged, refused, or unknown. Lost is what
was acknowledged and is neither in the ledger nor refused by name; doubled what stands in the ledger twice; unseen what
is in the ledger and not in the ranking, or ranked otherwise than the oracle does.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from nats.errors import Error as NatsError
from nats.js.errors import APIError

from infra.client import BrokerUnreachable, connected, jetstream
from schemas import subjects
from tests import oracle
from tests.faults.nursery import Nursery
from tests.faults.works import ASSESSMENT, SERVICES, Seen, Works, good, year
from tests.product import BOOK_JSON, SHIPPED

Outcome = Literal["acked", "refused", "unknown"]
ANSWER = 3.0
"""Seconds that a party waits for the broker's acknowledgement."""
SETTLED_WITHIN = 400.0
"""Seconds in which all must be in order again after the last fault."""


class Row(NamedTuple):
    """What came of one kind of fault: a line of the table."""

    kind: str
    n: int
    acked: int = 0
    refused: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    unseen: int = 0
    seconds: int = 0
    note: str = ""

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.unseen)


@dataclass
class Kept:
    """A service that is started again whenever it ends."""

    name: str
    works: Works
    environment: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    starts: int = 0
    fault: tuple[str, ...] = ()
    codes: Counter[int] = field(default_factory=Counter)


class Life:
    """The works, what runs on them, and what was sent."""

    def __init__(self, works: Works, nursery: Nursery, rng: Random, kind: str) -> None:
        self.works, self.nursery, self.rng, self.kind = works, nursery, rng, kind
        self.kept = [Kept(name, works) for name in SERVICES]
        self.outcomes: dict[str, Outcome] = {}
        self.wrong: set[str] = set()
        self.done = 0
        self.pace = 0.5
        self.beside: Path | None = None
        """The folder of a second set, where nobody is killed and so none of it may ever work."""
        self._over = False

    # What runs

    def start(self, one: Kept) -> None:
        """Start a service, with the fault that it is to die of."""
        one.starts += 1
        environment = {**one.works.environment, **one.environment}
        one.pid = self.nursery.start([one.name, *one.fault], environment, one.works.data / "logs" / f"{one.name}.log")

    def kill(self, one: Kept) -> None:
        """Kill -9."""
        if one.pid and self.nursery.ended(one.pid) is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)

    def stop_all(self) -> None:
        """Nothing runs any more."""
        for one in self.kept:
            self.kill(one)
            if one.pid:
                self.nursery.wait(one.pid)
            one.pid = 0

    def keep(self) -> None:
        """Start again what has ended."""
        for one in self.kept:
            if one.pid and (code := self.nursery.ended(one.pid)) is None:
                continue
            if one.pid:
                one.codes[code or 0] += 1
            self.start(one)

    async def _keep(self) -> None:
        while not self._over:
            self.keep()
            await asyncio.sleep(0.1)

    # Who publishes

    async def publish(self) -> None:
        """Send event after event, over a connection that is made again when it is lost, and note each outcome."""
        units = self.works.year.units
        while not self._over:
            try:
                async with connected(self.works.server.url, "gateway", self.works.data, hear=lambda _: None) as client:
                    client.options["allow_reconnect"] = False
                    while client.is_connected and not self._over:
                        await asyncio.gather(*(self._send(client, units) for _ in range(self.rng.randint(1, 6))))
                        await asyncio.sleep(self.rng.random() * self.pace * 2)
            except (BrokerUnreachable, NatsError, OSError, TimeoutError):
                pass
            await asyncio.sleep(0.1)

    async def _send(self, client: Any, units: list[str]) -> None:
        name = f"{self.kind}-{len(self.outcomes)}"
        wrong = self.rng.random() < 0.1
        unit = "U999" if wrong else self.rng.choice(units)
        if wrong:
            self.wrong.add(name)
        self.outcomes[name] = "unknown"
        subject = subjects.intake(ASSESSMENT, "ducha", "deduction.recorded.v1", unit)
        try:
            await asyncio.wait_for(jetstream(client).publish(subject, good(name, unit), timeout=ANSWER), ANSWER + 1)
            self.outcomes[name] = "acked"
        except APIError:
            self.outcomes[name] = "refused"
        except (NatsError, OSError, TimeoutError):
            pass

    # What happens

    async def _live(self, nemesis: Callable[["Life"], Awaitable[None]]) -> None:
        keeper, speaker = asyncio.create_task(self._keep()), asyncio.create_task(self.publish())
        try:
            await nemesis(self)
        finally:
            self._over = True
            await asyncio.gather(keeper, speaker)

    def go_through(self, nemesis: Callable[["Life"], Awaitable[None]]) -> Row:
        """Live through what a nemesis does; then all must come into order by itself, and is judged."""
        begun = time.monotonic()
        asyncio.run(self.works.publish([year().lines[0]]))  # the opening
        asyncio.run(self._live(nemesis))
        for one in self.kept:
            one.fault = ()
        said = self.settle()
        return self.judged(said)._replace(seconds=round(time.monotonic() - begun))

    def settle(self) -> str:
        """Wait until nobody has anything to do; empty, or what was seen instead."""
        deadline = time.monotonic() + SETTLED_WITHIN
        seen: Seen | str = "nothing"
        while time.monotonic() < deadline:
            self.keep()
            with contextlib.suppress(BrokerUnreachable, NatsError, OSError, TimeoutError):
                seen = self.works.seen()
                last = seen.last["LEDGER"]
                idle = seen.messages["INTAKE"] == 0 and not any(seen.waiting.values())
                if last and idle and seen.ranked == last:
                    return ""
            time.sleep(0.2)  # between two looks at other processes; the deadline is what ends it
        return f"not in order: {seen}"

    def judged(self, said: str) -> Row:
        """Hold ledger, refusals and ranking against what was sent."""
        ledger = self.works.ledger()
        stands = Counter(str(json.loads(raw)["id"]) for raw in ledger)
        told_no = (json.loads(one.data) for one in self.works.stored("REFUSED"))
        refused = {str(one["id"]): one["reason"] for one in told_no}
        acked = [name for name, outcome in self.outcomes.items() if outcome == "acked"]
        rightly = {name for name, why in refused.items() if name in self.wrong or why == "over_quota"}
        lost = [name for name in acked if bool(stands[name]) == (name in rightly)]
        doubled = [name for name, count in stands.items() if count > 1]
        ranking = self.works.ranking()
        told = oracle.score(list(ledger), shipped=(BOOK_JSON, SHIPPED))
        codes = sum((one.codes for one in self.kept), Counter[int]())
        unseen = len(ledger) - ranking.sequence + (ranking.digest != told["digest"]) + bool(said) + self._unsaid(codes)
        counts = Counter(self.outcomes.values())
        ended = {code: n for code, n in codes.items() if code != -signal.SIGKILL}
        note = said or (f"ended by themselves: {ended}" if ended else "")
        return Row(
            self.kind, self.done, counts["acked"], counts["refused"] + len(rightly & self.outcomes.keys()),
            counts["unknown"], len(lost), len(doubled), unseen, note=note,
        )  # fmt: skip

    def _unsaid(self, codes: Counter[int]) -> int:
        """Times in the ledger that lie before the one before without a word; and whoever was elected beside another."""
        times = [one.recorded for one in self.works.stored("LEDGER")]
        back = {n for n, (before, after) in enumerate(pairwise(times), 2) if after < before}
        named = re.findall(r'"sequence": (\d+).*"recorded\.went_back"', logs(self.works.data))
        took = logs(self.beside).count('"standby.took_over"') if self.beside else 0
        return len(back - {int(one) for one in named}) + max(0, took - codes.total())


def logs(folder: Path) -> str:
    """All that the services of a folder said."""
    return "".join(path.read_text("utf-8", errors="replace") for path in sorted((folder / "logs").glob("*.log")))
