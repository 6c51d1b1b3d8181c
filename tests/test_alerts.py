"""The alert rules, evaluated by Prometheus's own promtool on what live processes export as a site goes through its day.

Needs promtool (Debian: prometheus), and is of the long kind. Minutes are told to promtool, not waited for: each look at
the processes stands for as many minutes as it is given.
"""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx
import pytest
import yaml

from infra.client import Message, connected, publish_batch
from tests.faults.damage import cut
from tests.faults.nodes import free_ports
from tests.faults.works import ASSESSMENT, SERVICES, Line, Works, good, until, year

RULES = Path(__file__).parent.parent / "infra/prometheus/alerts.yaml"
PROMTOOL = shutil.which("promtool")
Series = Mapping[str, str]


class Look(NamedTuple):
    """What the processes exported, for how many minutes, and the alerts that must fire at the end of them."""

    what: str
    minutes: int
    firing: set[str]
    samples: Series


class Watched(Works):
    """The works, each service with its metrics on a port of its own."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, year())
        self.ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self.looks: list[Look] = []
        self.starting = ""

    @property
    def environment(self) -> dict[str, str]:
        port = self.ports.get(self.starting)
        return super().environment | ({"WUXING_METRICS_PORT": str(port)} if port else {})

    def begin(self, *names: str) -> None:
        for name in names or SERVICES:
            self.starting = name
            service = self.start(name)
            until(f"{name} to be ready", partial(self.told, name, "readyz"), bool, service.words)

    def told(self, name: str, page: str) -> str:
        """A page of a service's; empty where it does not answer, or not with 200."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[name]}/{page}", timeout=30)
        except httpx.HTTPError:
            return ""
        return answer.text if answer.is_success else ""

    def stop(self, *names: str) -> None:
        for one in self.services:
            if not one.killed and one.name in (names or SERVICES):
                one.end()

    def look(self, what: str, minutes: int, *firing: str) -> None:
        """Scrape all, as Prometheus does: who does not answer is down, and has no other series."""
        samples: dict[str, str] = {}
        for name, port in self.ports.items():
            instance = f'instance="127.0.0.1:{port}",job="wuxing"'
            text = self.told(name, "metrics")
            samples[f"up{{{instance}}}"] = "1" if text else "0"
            for line in text.splitlines():
                if (told := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)) and not told[1].endswith("_created"):
                    labels = ",".join(part for part in ((told[2] or "").rstrip(","), instance) if part)
                    samples[f"{told[1]}{{{labels}}}"] = told[3]
        self.looks.append(Look(what, minutes, set(firing), samples))


def evaluated(looks: list[Look], folder: Path) -> str:
    """What promtool says of the rules on these looks, one a minute each; empty where all fired that should."""
    names = sorted({name for look in looks for name in look.samples})
    series = {
        name: " ".join(value for look in looks for value in [look.samples.get(name, "_")] * look.minutes)
        for name in names
    }
    tests, minute = [], 0
    for look in looks:
        minute += look.minutes
        wanted = [{"labels": json.dumps(name).join(("{alertname=", "}")), "value": 1} for name in sorted(look.firing)]
        tests.append({
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": f"{minute - 1}m",
            "exp_samples": wanted,
        })  # fmt: skip
    file = folder / "alerts_test.yaml"
    file.write_text(yaml.safe_dump({
        "rule_files": [str(RULES)], "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": tests,
        }],
    }, allow_unicode=True), "utf-8")  # fmt: skip
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def lines(name: str, count: int) -> list[Line]:
    subject = f"intake.{ASSESSMENT}.ducha.deduction-recorded-v1.U001"
    return [Line("ducha", subject, good(f"{name}-{n}"), None) for n in range(count)]


async def junk(works: Works) -> None:
    async with connected(works.server.url, "ingest", works.data) as client:
        await publish_batch(client, [Message(f"ledger.{ASSESSMENT}.ducha.U001", b"junk", {})])


@pytest.mark.long
@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here (Debian: apt install prometheus)")
def test_alerts_fire_when_they_should_and_at_no_other_time(tmp_path: Path) -> None:
    with Watched(tmp_path) as works:

        def settled() -> None:
            works.until(
                "all folded and ranked",
                lambda seen: not seen.messages["INTAKE"] and seen.ranked == seen.last["LEDGER"] > 0,
            )

        works.begin("ingest", "scorer")
        asyncio.run(works.publish(works.year.lines))
        works.begin("ranker")
        settled()
        works.look("a year was sent", 10)
        asyncio.run(works.publish(lines("many", 1500)))
        settled()
        works.look("more than a batch later, in silence", 15)
        works.stop()
        works.look("stopped for an update", 1)
        works.begin()
        works.look("begun again", 15)
        works.server.stop()
        works.server.start()
        asyncio.run(works.publish(lines("again", 3)))
        settled()
        works.look("the broker was started again", 15)
        works.stop("ingest")
        asyncio.run(works.publish(lines("waits", 12)))
        works.look("ingest is down", 90, "WuxingServiceDown")
        works.server.kill()
        block = max((tmp_path / "jetstream").glob("jetstream/CORE/streams/INTAKE-*/msgs/*.blk"))
        cut(block, Random(1))
        works.server.start()
        works.begin("ingest")
        settled()
        works.look("intake lost what lay in a block", 5, "WuxingIntakeLost")
        works.look("an hour later", 70)
        works.stop("ingest")
        asyncio.run(junk(works))
        works.begin("ingest")
        works.until("the junk was looked at", lambda seen: not seen.waiting["scorer"])
        works.look("junk with ingest's key", 5, "WuxingPassedOver")
        works.look("an hour after that", 70)
    assert not (said := evaluated(works.looks, tmp_path)), said
