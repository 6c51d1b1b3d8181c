"""Whatever intake accepts can be shown: no event's text stops an output, and none commands what shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from litestar.testing import TestClient

from schemas.events import Event
from schemas.raw import read
from services.console.app import create_app
from services.ingest.check import Checker
from tests.product import BOOK, SHIPPED, command, year

if TYPE_CHECKING:
    from pathlib import Path

#: What an envelope may carry beside its own: attributes of any name are kept (wire.md, Event).
ATTRIBUTES = [
    '"big": 1e400', '"small": -1E-999999', f'"long": {"9" * 5000}', f'"longer": -{"1" * 5000}',
    f'"deep": {"[" * 60}{"]" * 60}',
    '"text": "\\u001b]0;owned\\u0007\\u202e=1+1"', '"number": 0.1e1', '"none": null',
    '"many": {"a": [1e400, {"b": -0}]}',
    '"zero": -0.0', '"empty": ""', '"\\u001b[31m": true',
]  # fmt: skip
HARM = "\x1b[31m\x9b31m\u202e=HYPERLINK(1)\x00\x7f\u2028"


def event(n: int, kind: str, more: str = "", **data: object) -> bytes:
    found = {
        "specversion": "1.0", "id": f"{n}{HARM}", "source": "/offices/ducha", "type": kind, "subject": "U001",
        "time": "2013-05-06T09:30:00+08:00", "data": data,
    }  # fmt: skip
    text = json.dumps(found, ensure_ascii=False)
    return (text[:-1] + (f", {more}" if more else "") + "}").encode()


def events() -> list[bytes]:
    """Deductions with every attribute, each twice, their revocations, and hostile texts wherever a text is free."""
    free = {"item": "1.1", "ground": "no_feedback", "reason": HARM, "evidence": [HARM]}
    once = [event(n, "deduction.recorded.v1", more, matter=f"M{n}{HARM}", **free) for n, more in enumerate(ATTRIBUTES)]
    back = [
        event(n + 100, "event.revoked.v1", more, target={"source": "/offices/ducha", "id": f"{n}{HARM}"}, reason=HARM)
        for n, more in enumerate(ATTRIBUTES[:3])
    ]
    return [*once, *once, *back]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shown")
    (made / "year.jsonl").write_bytes(b"".join(one + b"\n" for one in events()))
    code, out, _ = command("score", made / "year.jsonl", "--snapshot", made / "s.duckdb")
    assert (code, json.loads(out)["refused"]) == (0, [])
    held = ("bundle", "U001", made / "held.json", "--sign", made / "log.key", "--snapshot", made / "s.duckdb")
    assert command(*held)[0] == 0
    return made


def test_every_event_of_this_file_is_accepted_and_read() -> None:
    checker = Checker(BOOK, year(SHIPPED).roster)
    for raw in events():
        assert isinstance(checker.check(raw), Event)
        assert read(raw)["specversion"] == "1.0"
    assert read(b'{"a": 1e400, "b": [-0, 12]}') == {"a": "1e400", "b": [0, 12]}
    for bad in (b"[]", b"\xff", b"{"):
        with pytest.raises(ValueError, match=r".+"):
            read(bad)


FORMS = [
    ("explain", "U001"), ("explain", "U001", "--format", "json"), ("explain", "U001", "--format", "md"),
    ("appeals",), ("readiness",), ("readings",), ("what-if", "--drop", "3"), ("what-if", "--drop",
    "3", "--format", "json"),
    ("diff", "{s}@4", "{s}"), ("diff", "{s}@4", "{s}", "--format", "json"), ("export", "{f}/e.jsonl"),
    ("export", "{f}/e.parquet"), ("sql", "FROM event"), ("sql", "FROM event", "--format", "csv"),
    ("sql", "FROM event", "--format", "json"), ("sql", "FROM statement"), ("publish-tables", "{f}/p.csv"),
    ("publish-tables", "{f}/p.xlsx"), ("publish-tables", "{f}/p.parquet"), ("verify", "{s}"),
    ("replay", "--from", "{f}/year.jsonl"), ("bundle", "U001", "{f}/b.json", "--sign",
    "{f}/log.key"), ("verify", "{f}/held.json"),
    ("score", "{f}/year.jsonl"), ("score", "{f}/year.jsonl", "--format", "table"),
]  # fmt: skip


@pytest.mark.every(6)
@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_it_is_shown_in_every_form_and_commands_no_terminal(folder: Path, form: tuple[str, ...]) -> None:
    path = folder / "s.duckdb"
    asked = [one.format(s=path, f=folder) for one in form]
    named = [] if form[0] in ("verify", "diff", "score") else ["--snapshot", str(path)]
    code, out, said = command(*asked, *named)
    assert code in (0, 1)
    assert code == 0 or form[0] in ("readiness", "diff", "what-if")
    shown = out.decode() + said
    if "json" not in form and form[:2] != ("score", "{f}/year.jsonl"):
        assert not [letter for letter in HARM if not letter.isprintable() and letter in shown]


@pytest.mark.parametrize(
    "page", ["/", "/unit/U001", "/audit", "/event/3", "/event/1", "/event/6", "/progress", "/?as_of=5"]
)
def test_it_is_shown_on_every_page(folder: Path, page: str) -> None:
    with TestClient(create_app(folder / "s.duckdb")) as client:
        assert client.get(page).status_code == 200
