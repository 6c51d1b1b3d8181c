"""The scorer's file against a model: whatever it lives through, it holds the fold of the ledger up to where it is.

A state machine of Hypothesis takes batches of a random nasty year into a real file, dies in the middle of a transaction
or after it (the file is what its bytes on the disk are at that moment, with the write-ahead log), closes it, makes a
checkpoint, and asks at every step. The model is one fold of all lines in memory.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from infra.client import Entry
from services.process.settings import read
from services.scorer import app, rules
from services.snapshot.results import results
from tests.product import folded, ledger, small
from tests.random_years import RandomYear, draw_year

RECORDED = list(rules.EVENT_COLUMNS).index("recorded_at")


class ProcessGoneError(Exception):
    """Stands for the death of a process."""


class Store(RuleBasedStateMachine):
    """One scorer's file; `done` is how many lines of the ledger it must hold."""

    @initialize(dice=st.randoms(use_true_random=False))
    def begin(self, dice: Random) -> None:
        self.year: RandomYear = next(year for year in iter(lambda: draw_year(dice), None) if year.opened)
        self.entries = [Entry(n, "", {}, n, line) for n, line in enumerate(self.year.lines, 1)]
        self.folder, self.lives, self.done = Path(tempfile.mkdtemp(prefix="wuxing-store-")), 0, 0
        with folded(self.year.data, self.year) as whole:
            self.code = whole.year.assessment
            self.rows = [self.unrecorded(row) for row in ledger(whole.con)]
            self.digests = {n: self.digest(whole.con, n) for n in (len(self.entries),)}
        self.open()

    @property
    def home(self) -> Path:
        return self.folder / str(self.lives)

    def open(self) -> None:
        known = read({"WUXING_DATA": str(self.home), "WUXING_ASSESSMENT": self.code})
        con, last, lock = app.open_file(known)
        log, year = structlog.get_logger(), app._year(con)  # noqa: SLF001
        self.scorer = app.Scorer(None, con, year, known, log, last, lock)  # type: ignore[arg-type] # without a broker

    @rule(lines=st.integers(1, 40))
    def take(self, lines: int) -> None:
        """Fold a batch, as it comes from the ledger."""
        batch = self.entries[self.done : self.done + lines]
        if batch:
            self.scorer._write(batch)  # noqa: SLF001
            self.done += len(batch)

    @rule(lines=st.integers(1, 40))
    def die_within(self, lines: int) -> None:
        """The process is gone when a batch was judged and appended, and not yet projected and committed."""

        def gone(_: object) -> None:
            self.leave_behind()
            raise ProcessGoneError

        self.scorer._project = gone  # type: ignore[assignment, method-assign]  # noqa: SLF001
        batch = self.entries[self.done : self.done + lines]
        try:
            self.scorer._write(batch)  # noqa: SLF001
        except ProcessGoneError:
            self.go_on()
        else:  # nothing of it passed the checks, so that nothing is projected
            del self.scorer._project  # noqa: SLF001
            self.done += len(batch)

    @rule()
    def die(self) -> None:
        """What is on the disk now is all that is left."""
        self.leave_behind()
        self.go_on()

    def leave_behind(self) -> None:
        shutil.copytree(self.home, self.folder / str(self.lives + 1))

    def go_on(self) -> None:
        """Another process begins on what the one before left behind."""
        self.scorer.close()
        shutil.rmtree(self.home)
        self.lives += 1
        self.open()

    @rule()
    def close(self) -> None:
        """It ends in good order, and begins again."""
        self.scorer.close()
        self.open()

    @rule()
    def checkpoint(self) -> None:
        """The write-ahead log goes into the file."""
        self.scorer.con.execute("CHECKPOINT")

    @invariant()
    def holds(self) -> None:
        """Each event as it was judged, and nothing else; where it goes on is where it is."""
        if not hasattr(self, "scorer"):
            return
        assert [self.unrecorded(row) for row in ledger(self.scorer.con)] == [r for r in self.rows if r[0] <= self.done]
        assert (self.scorer.last or self.done) <= self.done

    def teardown(self) -> None:
        if not hasattr(self, "scorer"):
            return
        self.take(len(self.entries))
        self.close()
        self.holds()
        con = self.scorer.con
        assert self.scorer.last == len(self.entries)
        assert {n: self.digest(con, n) for n in self.digests} == self.digests
        with rules.compute(con, upto="own_points"):
            assert con.execute("FROM unit_item EXCEPT FROM own_points").fetchall() == []
            assert con.execute("FROM own_points EXCEPT FROM unit_item").fetchall() == []
        self.scorer.close()
        shutil.rmtree(self.folder)

    @staticmethod
    def unrecorded(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*row[:RECORDED], *row[RECORDED + 1 :])

    @staticmethod
    def digest(con: Any, as_of: int) -> str:
        return results(con, assessment="a", rulebook="r", as_of=as_of, refused=[], lang="en").digest


def test_a_year_folded_with_a_death_of_every_kind_between_its_batches() -> None:
    """Every step once and again, in this order: what the machine comes to by chance."""
    store = Store()
    store.begin(Random(5))
    while store.done < len(store.entries):
        for step in (lambda: store.die_within(40), lambda: store.take(40), store.die, store.checkpoint, store.close):
            step()
            store.holds()
    store.teardown()


@pytest.mark.long
class TestStore(Store.TestCase):  # type: ignore[misc, valid-type]
    settings = settings(max_examples=60, stateful_step_count=20, deadline=None, print_blob=True,
                        suppress_health_check=list(HealthCheck))  # fmt: skip


def test_an_event_that_was_recorded_before_the_one_before_it_is_named(tmp_path: Path) -> None:
    """The broker's clock was set back: also while the scorer was away."""
    known = read({"WUXING_DATA": str(tmp_path), "WUXING_ASSESSMENT": "small"})
    times = (10_000_000, 20_000_000, 15_000_000, 15_000_000, 30_000_000, 29_500_000)
    entries = [Entry(n, "", {}, at, raw) for n, (at, raw) in enumerate(zip(times, small(), strict=False), 1)]
    with structlog.testing.capture_logs() as said:
        for part in (entries[:5], entries[5:]):
            con, last, lock = app.open_file(known)
            scorer = app.Scorer(None, con, app._year(con), known, structlog.get_logger(), last, lock)  # type: ignore[arg-type] # noqa: SLF001
            scorer._write(part)  # noqa: SLF001
            scorer._say_times(part)  # noqa: SLF001
            scorer.close()
    assert [(one["sequence"], one["seconds"]) for one in said if one["event"] == "recorded.went_back"] == [
        (3, 5.0), (6, 0.5),
    ]  # fmt: skip
