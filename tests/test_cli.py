"""The command line: what each way of use and of bad input prints and ends with; no traceback reaches a user."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.year import given
from services import cli
from services.cli import COMMANDS
from services.scorer import file
from tests.product import BOOK_FILE, BOOK_JSON, command

HERE = Path(__file__).parent
YEAR = HERE / "regulation" / "worked-example"


def event(**more: Any) -> dict[str, Any]:
    data = {"item": "1.1", "matter": "M", "ground": "no_feedback", "reason": "r"}
    return {"specversion": "1.0", "id": "e1", "source": "/offices/ducha", "type": "deduction.recorded.v1",
            "subject": "U042", "time": "2013-05-06T09:30:00+08:00", "data": data, **more}  # fmt: skip


def line(**more: Any) -> bytes:
    return json.dumps(event(**more), ensure_ascii=False).encode()


def accident(points: Any) -> bytes:
    return line(data={"item": "1.2", "matter": "M", "ground": "accident", "points": points, "reason": "r"})


RATING = {"item": "1.1", "value": "1", "rater": "r"}
BAD = {
    "a line that is not JSON": (b"{not json", "not_json", None),
    "invalid UTF-8": (line().replace(b"U042", b"U\xff42"), "not_json", None),
    "a number where a string belongs": (accident(1), "bad_field", "data.points"),
    "an office scoring another's item": (line(source="/offices/jiwei"), "source_not_authorised", "source"),
    "an unknown unit": (line(subject="U999"), "unknown_unit", "subject"),
    "points outside the ground's range": (accident("5.000001"), "points_out_of_range", "data.points"),
    "a rating for a deduct item": (line(type="rating.recorded.v1", data=RATING), "wrong_kind", "data.item"),
    "an event of 10 MB": (line(ext="x" * 10_000_000), "too_large", None),
    "the same id with other content": (line(id="held", subject="U041"), "conflict", "id"),
}


def score(folder: Path, *lines: bytes, options: tuple[str, ...] = ()) -> tuple[int, dict[str, Any], str]:
    (folder / "year.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    code, printed, said = command("score", str(folder / "year.jsonl"), *options)
    return code, json.loads(printed) if printed else {}, said


def test_each_bad_line_is_refused_by_name_and_place_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = [raw for raw, _, _ in BAD.values()]
    code, found, said = score(tmp_path, line(id="held"), *bad, line(id="last", data={**event()["data"], "matter": "N"}))
    expected = [(n, reason, path) for n, (_, reason, path) in enumerate(BAD.values(), 2)]
    assert (code, said) == (0, "Synthetic data: the units are made up.\n")
    assert expected == [(row["line"], row["reason"], row["path"]) for row in found["refused"]]
    assert all(row["message"] for row in found["refused"])
    assert [(row["seq"], row["disposition"]) for row in found["entries"]] == [(1, "counted"), (11, "counted")]


@pytest.mark.parametrize("name", ["a line that is not JSON", "the same id with other content"])
def test_strict_says_no_where_a_line_was_refused(tmp_path: Path, name: str) -> None:
    assert score(tmp_path, line(id="held"), BAD[name][0], options=("--strict",))[0] == 1


def test_strict_is_content_with_a_clean_file_and_looks_no_further_than_the_cut(tmp_path: Path) -> None:
    assert score(tmp_path, line(id="held"), options=("--strict",))[0] == 0
    assert score(tmp_path, line(id="held"), b"{", options=("--strict", "--as-of", "1"))[0] == 0


@pytest.mark.long
def test_before_the_year_is_opened_it_is_the_shipped_one(tmp_path: Path) -> None:
    roster = [{"unit": "U1", "name": "单位(合成)", "category": "B", "group": "g"}]
    data = {"assessment": "own", "rulebook": BOOK_JSON, "roster": roster}
    opening = line(source="/offices/chuangjian", type="assessment.opened.v1", subject="assessment", data=data)
    before, at = (0, "wenzhou-2013", 105), (1, "own", 1)
    for cut, expected in {"2013-05-06T01:29:59Z": before, "2013-05-06T01:30:00Z": at}.items():
        for options in ((), ("--snapshot", str(tmp_path / "made.duckdb"))):
            code, found, _ = score(tmp_path, opening, options=("--as-of", cut, *options))
            assert (code, (found["as_of"], found["assessment"], len(found["units"]))) == (0, expected)


def test_an_empty_file_is_a_year_in_which_nothing_happened(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    code, printed, _ = command("score", str(tmp_path / "empty.jsonl"))
    found = json.loads(printed)
    assert (code, found["as_of"], len(found["units"]), found["refused"]) == (0, 0, 105, [])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["score", "F", "--reading", "step=cubic"], 2, ["step=cubic", "linear, geometric"]),
        (["score", "F", "--reading", "pace=linear"], 2, ["pace=linear", "matter_rule"]),
        (["score", "F", "--reading", "publicity_days=7"], 2, ["publicity_days=7"]),
        (["score", "F", "--as-of", "yesterday"], 2, ["--as-of", "'yesterday'"]),
        (["score", "F", "--as-of", "2013-06-01"], 2, ["such as 2013-06-01T23:59:59+08:00"]),
        (["score", "F", "--as-of", "2013-05-06T09:30:00"], 2, ["--as-of"]),
        (["score", "F", "--as-of", "-1"], 2, []),
        (["score", "F", "--format", "xml"], 2, ["format"]),
        (["score"], 2, ["file"]),
        (["score", "absent.jsonl"], 3, ["absent.jsonl", "cannot be read"]),
        (["score", "."], 3, ["cannot be read"]),
        (["score", "F", "--rulebook", "absent.toml"], 2, ["absent.toml"]),
        (["score", "F", "--roster", "absent.csv"], 2, ["absent.csv"]),
        (["scores"], 2, ["scores"]),
        (["explain", "U042", "--snapshot", "absent.duckdb"], 3, ["absent.duckdb"]),
    ],
)  # fmt: skip
def test_wrong_use_is_2_and_what_cannot_be_done_3_and_both_say_why(
    arguments: list[str], code: int, words: list[str]
) -> None:
    given = [str(YEAR / "events.jsonl") if word == "F" else word for word in arguments]
    found, printed, said = command(*given, *(("--lang", "en") if len(arguments) > 1 else ()))
    assert (code, b"") == (found, printed)
    assert said.strip()
    assert [word for word in words if word not in said] == []
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ('offices = ["ducha"]', 'offices = ["nobody"]', "nobody"),
        ('code = "1.1"', 'cod = "1.1"', "cod"),
        ("[[category]]", "[[category", "broken.toml"),
    ],
    ids=["owner", "key", "syntax"],
)
def test_a_broken_rulebook_is_wrong_use_and_its_place_is_named(
    tmp_path: Path, before: str, after: str, place: str
) -> None:
    text = BOOK_FILE.read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "broken.toml").write_text(text.replace(before, after, 1), encoding="utf-8")
    code, printed, said = command("score", str(YEAR / "events.jsonl"), "--rulebook", str(tmp_path / "broken.toml"))
    assert (code, printed) == (2, b"")
    assert place in said


def test_the_table_is_for_readers_and_shows_a_digest_only_when_asked() -> None:
    options = ("--roster", str(YEAR / "roster.csv"), "--format", "table")
    code, plain, _ = command("score", str(YEAR / "events.jsonl"), *options)
    asked, digest, _ = command("score", str(YEAR / "events.jsonl"), *options, "--digest")
    found = json.loads(command("score", str(YEAR / "events.jsonl"), *options[:2])[1])["digest"]
    assert (code, asked) == (0, 0)
    assert found not in plain.decode()
    assert found in digest.decode()
    assert "10.3529" in plain.decode()


@pytest.mark.parametrize(
    ("options", "variable", "lang"),
    [
        (("--lang", "zh"), "en", "zh"), (("--lang=zh",), "en", "zh"), (("--lang=en",), "zh", "en"), ((), "zh", "zh"),
        ((), "en", "en"), ((), "", "zh"),
    ],
)  # fmt: skip
def test_messages_come_in_the_language_of_the_option_the_variable_or_the_locale(
    options: tuple[str, ...], variable: str, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    monkeypatch.setenv("WUXING_LANG", variable)
    said = command("score", "absent.jsonl", *options)[2]
    assert ("无法读取" in said, "cannot be read" in said) == (lang == "zh", lang == "en")


def test_a_language_that_there_is_not_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WUXING_LANG", "fr")
    said = "WUXING_LANG: expected zh or en, found 'fr'\n"
    assert command("score", "absent.jsonl") == (2, b"", said)


@pytest.mark.parametrize(("variable", "form"), [("console", "console"), ("json", "json"), ("", "json")])
def test_logs_have_the_form_that_is_asked_for_where_there_is_no_terminal(variable: str, form: str) -> None:
    code = "from services.process import log, settings; log.configure(settings.read(), 'x').info('thing.done', n=1)"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "WUXING_LOG": variable}, cwd=HERE.parent, check=True,
        stderr=subprocess.PIPE,
    ).stderr  # fmt: skip
    assert (b'"event": "thing.done"' in said, b"thing.done " in said) == (form == "json", form == "console")
    assert b"\x1b" not in said


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "x.xlsx"
    said = f"{path}: cannot be written: No such file or directory\n"
    assert command("template", "ducha", path, "--lang", "en") == (3, b"", said)


NAMES = ["score", *COMMANDS]


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    code, printed, _ = command(name, "--help")
    assert code == 0
    assert f"wuxing {name}" in " ".join(printed.decode().partition("Example:")[2].split())


def run(*arguments: str, stdin: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "services", *arguments], cwd=HERE.parent, env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


def test_the_process_ends_with_the_contract_s_codes() -> None:
    events = str(YEAR / "events.jsonl")
    started = [run("score", events), run("score", events, "--reading", "x=y"), run("score", "absent.jsonl")]
    ended = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 2, 3]
    assert ["Synthetic data" in ended[0][1], "x=y" in ended[1][1], "absent.jsonl" in ended[2][1]] == [True, True, True]
    assert json.loads(ended[0][0])["as_of"] == 261


def test_an_interrupt_gives_no_traceback_and_leaves_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "year.jsonl")
    process = run("score", str(tmp_path / "year.jsonl"), "--snapshot", str(tmp_path / "made.duckdb"))
    with (tmp_path / "year.jsonl").open("wb"):  # opens when the command reads, which then waits for a line
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert process.returncode == 3
    assert "Traceback" not in said
    assert [file.name for file in tmp_path.iterdir()] == ["year.jsonl"]


def test_what_can_be_read_only_once_is_scored_like_a_file() -> None:
    options = ("--roster", str(YEAR / "roster.csv"))
    piped = run("score", "/dev/stdin", *options, stdin=subprocess.PIPE)
    said, _ = piped.communicate((YEAR / "events.jsonl").read_text(encoding="utf-8"))
    assert json.loads(command("score", str(YEAR / "events.jsonl"), *options)[1]) == json.loads(said)


def test_a_file_that_is_written_to_while_it_is_read_is_not_scored(tmp_path: Path) -> None:
    path = tmp_path / "growing.jsonl"
    path.write_bytes((YEAR / "events.jsonl").read_bytes())

    def grow(*_: int) -> None:
        with path.open("ab") as out:
            out.write(b"{}\n")

    with pytest.raises(OSError, match="written to meanwhile"):
        file.fold(path, given("wenzhou-2013", None, None), progress=grow)


@pytest.mark.long
def test_strict_says_no_only_of_refusals_and_conflicts_with_a_snapshot_too(tmp_path: Path) -> None:
    made = tmp_path / "made.duckdb"
    for lines, expected in (((line(),), 0), ((line(), line(subject="U041")), 1), ((line(), b"{"), 1)):
        assert expected == score(tmp_path, *lines, options=("--strict", "--snapshot", str(made)))[0]
        assert made.exists()
        made.unlink()


def test_a_reader_that_goes_away_is_no_error_and_the_snapshot_is_there(tmp_path: Path) -> None:
    process = run("score", str(YEAR / "events.jsonl"), "--snapshot", str(tmp_path / "made.duckdb"))
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in (said := process.stderr.read())
    assert said.splitlines() == ["Synthetic data: the units are made up."]
    assert process.wait() == 0
    assert (tmp_path / "made.duckdb").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "没有“nosuch”这个命令。"), (["scor"], "没有“scor”这个命令；是否应为“score”？"),
        (["score", "x", "--reding", "a=b"], "没有--reding这个选项；是否应为--reading？"),
        (["score", "x", "--format", "xml"], "--format的值“xml”无效；可用：json、table。"),
        (["score", "x", "y"], "多余的参数：y。"), (["score"], "缺少FILE。"),
        (["score", "x", "--format"], "--format缺少值。"),
        (["score", "x", "--format", "json", "--format", "table"], "--format只能写一次。"),
    ],
)  # fmt: skip
def test_words_that_no_command_knows_are_named_in_chinese(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setenv("WUXING_LANG", "zh")
    assert cli.run(words) == 2
    assert capsys.readouterr().err == f"{said}\n用法：wuxing --help\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("form", ["json", "table"])
def test_a_full_disk_is_said_with_what_to_do(form: str) -> None:
    events = Path(__file__).parent / "golden" / "events.jsonl"
    command = [str(Path(sys.executable).with_name("wuxing")), "score", str(events), "--format", form, "--lang", "en"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "no space left" in done.stderr, "Traceback" in done.stderr) == (3, True, False)
