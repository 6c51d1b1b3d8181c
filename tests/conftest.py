"""What all tests share: one real nats-server a session, and how much of a long table runs every day."""

import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
import structlog

from tests.broker import nats_site

__all__ = ["nats_site"]


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A command that a test runs in this process sets where the log goes; the next test's goes elsewhere."""
    yield
    structlog.reset_defaults()


def pytest_configure() -> None:
    """What a shell starts in the background ignores interrupts, and so would every process that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: many tests wait for another process."""
    return (os.cpu_count() or 1) + 1


#: Files of more than half a minute, the longest first: begun early, so that no processor waits for the last of them.
LONGEST = (
    "erase", "desk", "tampering", "services", "console", "verify", "readme", "snapshot", "shown", "replay", "emit",
    "statement", "appeals", "shipped", "console_attacks", "what_if", "rulebook", "repair", "hostile", "ingest", "cli",
    "years", "point_in_time", "score", "archive", "laws", "faults", "signing", "gateway",
)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In CI, whose time is bounded, of a table marked `every(n)` each n-th case runs, and nothing marked `long`."""
    rank = {f"test_{name}": n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
    if os.environ.get("WUXING_TEST") == "long" or config.getoption("keyword"):
        return
    seen: Counter[str] = Counter()
    left: list[pytest.Item] = []
    for item in items:
        nth = min((mark.args[0] for mark in item.iter_markers("every")), default=1)  # a case's own mark is the smallest
        name = item.nodeid.partition("[")[0]
        seen[name] += 1
        if item.get_closest_marker("long") or (seen[name] - 1) % nth:
            left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
