"""A little of `make fuzz`: some bred inputs by one seed, and that what falls over is found, shrunk and named."""

from pathlib import Path
from random import Random

import pytest

from infra.client import publish_batch
from schemas.events import Event
from services.ingest import app
from tests import fuzz_target
from tests.fuzz_intake import accepted, explained, falls, place, shrunk, survive

SEED, INPUTS = 11, 400


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> fuzz_target.Target:
    return fuzz_target.Target(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def inputs() -> list[bytes]:
    known, rng = list(fuzz_target.seeds()), Random(SEED)
    return [fuzz_target.mutated(rng.choice(known), rng.getrandbits(60)) for _ in range(INPUTS)]


def test_every_bred_input_is_taken_or_refused_by_name(target: fuzz_target.Target, inputs: list[bytes]) -> None:
    found = [target.judged(data)[2].found for data in inputs]
    taken = sum(isinstance(one, Event) for one in found)
    reasons = {str(one.reason) for one in found if not isinstance(one, Event)}
    assert INPUTS // 10 < taken < INPUTS
    assert {"bad_field", "unknown_unit", "source_not_authorised"} <= reasons
    assert vars(app)["publish_batch"] is publish_batch, "what others run in this process appends as it did"


def test_what_falls_over_is_named_by_its_place_and_shrunk(
    target: fuzz_target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_: object, raw: bytes, __: str) -> None:
        if b"boom" in raw:
            raise RecursionError

    monkeypatch.setattr("services.ingest.check.Checker.check", check)
    crash = explained(target, b"\x00" + b"x" * 90 + b"boom" + b"y" * 90)
    assert (crash.place.partition(":")[0], crash.data[-4:], len(crash.data)) == (
        "RecursionError at test_fuzz.py", b"boom", 5,
    )  # fmt: skip
    assert falls(lambda: None) is None
    assert place(RuntimeError().with_traceback(falls(lambda: 1 // 0).__traceback__)).startswith("RuntimeError at ")  # type: ignore[union-attr]
    assert shrunk([b"a", b"b", b"c"], lambda rest: b"b" in rest) == [b"b"]


@pytest.mark.long
def test_what_is_taken_is_shown_in_every_form(target: fuzz_target.Target, inputs: list[bytes], tmp_path: Path) -> None:
    paths = []
    for n, data in enumerate(inputs):
        paths.append(tmp_path / str(n))
        paths[-1].write_bytes(data)
    found = accepted(target, paths)
    assert len(found) > 3
    house = Random(SEED).choice(sorted(found))
    assert list(survive(tmp_path, house, found[house], Random(SEED))) == []
