"""Every rulebook that ships through every command, page and paper: all run, and none speaks of another city.

One of them is shown and filled in every day, the others and all their papers by `make test-long`.
"""

import json
import re
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import msgspec
import pytest
from litestar.testing import TestClient

from schemas import roster, soundness
from schemas.roster import Unit
from schemas.rulebook import RULEBOOKS, Rulebook, zh
from schemas.rulebook import plain as plain_book
from services.command import tables
from services.console.app import create_app
from services.site import synthetic
from services.snapshot import make
from services.snapshot.make import latest
from tests.product import command
from tests.test_typeset import printed

NAMES = sorted(path.parent.name for path in RULEBOOKS.glob("*/rulebook.toml"))
DAILY = "burial-reform-2013"
ALL = [pytest.param(name, marks=() if name == DAILY else pytest.mark.long) for name in NAMES]
#: A word of another regulation that is a word of the language too, or a part of one.
COMMON = re.compile(r"[一二三]等奖?|先进个人|年终|总分|单位|[A-Z]类|[甲乙]类")


class Made(NamedTuple):
    """A synthetic year of a rulebook, and the snapshot of it in a folder like a site's."""

    book: Rulebook
    units: tuple[Unit, ...]
    file: Path
    snapshot: Path
    data: Path


@cache
def made(name: str) -> Made:
    book = soundness.load(RULEBOOKS / name / "rulebook.toml")
    units = roster.load(RULEBOOKS / name / "roster.csv", book)
    data = Path(mkdtemp(prefix="wuxing-shipped-"))
    file, folder = data / "year.jsonl", data / book.id / "snapshots"
    file.write_bytes(b"".join(raw + b"\n" for _, raw in synthetic.year(book, units, book.id, events=400)))
    code, printed_, said = command("score", file, "--snapshot", data / "made.duckdb", "--lang", "zh")
    assert code == 0, said
    found = json.loads(printed_)
    assert (found["rulebook"], len(found["units"])) == (book.id, len(units))
    folder.mkdir(parents=True)
    make.publish(data / "made.duckdb", folder, f"{found['as_of']}.duckdb")
    newest = latest(folder)
    assert newest is not None
    return Made(book, units, file, newest, data)


def names(book: Rulebook) -> set[str]:
    """The Chinese names of offices, parts, items, grades and categories, those that stand for nothing else."""
    grades = [grade.name for scheme in book.scheme for grade in scheme.grade]
    found = (one.name for part in (book.office, book.part, book.item, book.category) for one in part)
    return {zh(name) for name in (*found, *grades) if name is not None and len(zh(name)) > 2}


@cache
def foreign(name: str) -> frozenset[str]:
    """Names of the other rulebooks that occur nowhere in this one nor in its roster."""
    folder = RULEBOOKS / name
    own = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())
    others = (soundness.load(RULEBOOKS / other / "rulebook.toml") for other in NAMES if other != name)
    return frozenset(word for book in others for word in names(book) if word not in own and not COMMON.search(word))


def speaks(name: str, text: str) -> None:
    """The text is this rulebook's: nothing of another stands in it."""
    assert [word for word in sorted(foreign(name)) if word in text] == []


def tried(name: str, *arguments: str | Path, codes: tuple[int, ...] = (0,)) -> str:
    code, printed_, said = command(*arguments)
    assert code in codes, (arguments, said)
    text = printed_.decode()
    speaks(name, text + said)
    return text


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_it_is_scored_explained_and_compared(name: str) -> None:
    one = made(name)
    unit, at = one.units[0].unit, ("--snapshot", one.snapshot)
    assert zh(one.book.item[0].name) in tried(name, "explain", unit, *at, "--lang", "zh")
    for form in ("json", "md"):
        assert unit in tried(name, "explain", unit, *at, "--format", form, "--lang", "zh")
    table = tried(name, "score", one.file, "--format", "table", "--lang", "zh")
    assert all(zh(category.name or category.code) in table for category in one.book.category)
    assert tables.words("synthetic", "zh") in table
    assert tried(name, "diff", f"{one.snapshot}@9", str(one.snapshot), "--format", "json")
    entries = json.loads(
        tried(name, "sql", "SELECT max(seq) AS seq FROM trail WHERE disposition = 'counted'", *at, "--format", "json")
    )
    assert tried(name, "what-if", *at, "--drop", str(entries["seq"]), "--lang", "zh")
    for view in ("readings", "readiness", "appeals"):
        assert tried(name, view, *at, "--lang", "zh", codes=(0, 1))  # 1: the year is not to be final yet


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_its_papers_are_its_own(name: str, tmp_path: Path) -> None:
    one = made(name)
    unit, at = one.units[0].unit, ("--snapshot", one.snapshot, "--lang", "zh")
    for arguments in (
        ("explain", unit, "--format", "pdf", "--output", tmp_path / "a.pdf"),
        ("publish-tables", tmp_path / "a.pdf"),
    ):
        tried(name, *arguments, *at)
        shown = printed((tmp_path / "a.pdf").read_bytes())
        assert set(re.findall(r"[\u4e00-\u9fff]", zh(one.book.name))) <= set(shown)
    for form in ("xlsx", "csv"):
        tried(name, "publish-tables", tmp_path / f"t.{form}", *at)
    speaks(name, (tmp_path / "t.csv").read_text(encoding="utf-8-sig"))
    tried(name, "statements", tmp_path / "all", "--format", "md", *at)
    papers = sorted((tmp_path / "all").iterdir())
    assert len(papers) >= len(one.units)
    for paper in papers:
        speaks(name, paper.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ALL)
def test_its_offices_have_a_workbook_and_a_dry_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made(name)
    monkeypatch.setenv("WUXING_DATA", str(one.data))
    monkeypatch.setenv("WUXING_ASSESSMENT", one.book.id)
    monkeypatch.setenv("WUXING_RULEBOOK", str(RULEBOOKS / name / "rulebook.toml"))
    monkeypatch.setenv("WUXING_ROSTER", str(RULEBOOKS / name / "roster.csv"))
    for office in one.book.office:
        tried(name, "template", office.code, tmp_path / f"{office.code}.xlsx", "--lang", "zh")
        assert (tmp_path / f"{office.code}.xlsx").read_bytes().startswith(b"PK")
    lines = one.file.read_bytes().splitlines()
    kinds = ("rating.recorded.v1", "deduction.recorded.v1", "bonus.recorded.v1")
    drawn = next(event for event in map(msgspec.json.decode, lines[1:]) if event["type"] in kinds)
    office = drawn["source"].removeprefix("/offices/")
    drawn["id"], changed = "another", "rater" if drawn["type"] == kinds[0] else "matter"
    drawn["data"][changed] = "另一个"
    (tmp_path / "rows.jsonl").write_bytes(msgspec.json.encode(drawn) + b"\n")
    text = tried(name, "emit", tmp_path / "rows.jsonl", "--office", office, "--dry-run", "--lang", "zh", codes=(0, 1))
    assert '"disposition"' in text or '"void"' in text, text


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_it_is_proved(name: str, tmp_path: Path) -> None:
    one = made(name)
    unit, key = one.units[0].unit, tmp_path / "log.key"
    assert tried(name, "verify", one.snapshot, "--lang", "zh")
    tried(name, "bundle", unit, tmp_path / "b.zip", "--snapshot", one.snapshot, "--sign", key, "--lang", "zh")
    assert tried(name, "verify", tmp_path / "b.zip", "--lang", "zh")
    assert tried(name, "replay", "--from", one.file, "--snapshot", one.snapshot, "--lang", "zh")


@pytest.mark.parametrize("name", ALL)
def test_every_page_shows_it(name: str) -> None:
    one = made(name)
    first = one.book.item[0].code
    pages = (
        "/", f"/unit/{one.units[0].unit}", "/audit", f"/audit?item={first}", "/event/2", "/progress", "/readings",
        "/matrix", "/appeals", "/what-if", "/proof", "/sql?ready=ranking", "/regulation",
        f"/search?q={one.units[0].unit}",
    )  # fmt: skip
    with TestClient(create_app(one.snapshot.parent)) as client:
        for page in pages:
            answer = client.get(page, headers={"accept-language": "zh"})
            assert answer.status_code == 200, page
            speaks(name, answer.text)


@pytest.mark.parametrize("name", ALL)
def test_its_rules_are_shown_checked_and_tried(name: str, tmp_path: Path) -> None:
    file = RULEBOOKS / name / "rulebook.toml"
    assert zh(made(name).book.name) in tried(name, "rulebook", "show", file, "--lang", "zh")
    for verb in ("check", "test"):
        tried(name, "rulebook", verb, file, "--lang", "zh")
    changed = tmp_path / "rulebook.toml"
    text = file.read_text(encoding="utf-8")
    changed.write_text(text.replace(zh(made(name).book.name), "改名之细则", 1), encoding="utf-8")
    assert "改名之细则" in tried(name, "rulebook", "diff", file, changed, "--lang", "zh", codes=(0, 1))
    assert plain_book(soundness.load(changed)) != plain_book(made(name).book)
