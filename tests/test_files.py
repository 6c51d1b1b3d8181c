"""A file is written whole or not at all, and what is no file is left what it is."""

import os
from pathlib import Path

import pytest

from services.process.ending import Exit, Stop
from services.process.files import replacing


def test_a_file_is_replaced_when_all_of_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    with replacing(tmp_path / "link") as draft:
        draft.write_text("new")
        assert (tmp_path / "there").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"there": "new", "link": "new"}
    assert (tmp_path / "link").is_symlink()


def test_of_a_draft_that_fails_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "there") as draft:
        draft.write_text(str(draft.write_text("half") // 0))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"there": "old"}


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with replacing(path) as draft:
        draft.write_text("said")
    assert (os.read(reader, 10), path.is_fifo()) == (b"said", True)
    os.close(reader)


def test_what_the_disk_refuses_is_named_and_what_the_broker_refuses_is_not_the_disk_s(tmp_path: Path) -> None:
    for path in (tmp_path / "absent" / "file", tmp_path):
        with pytest.raises(Stop, match="cannot be written") as stop, replacing(path) as draft:
            draft.write_text("x")
        assert stop.value.code == Exit.FAILED
    with pytest.raises(TimeoutError), replacing(tmp_path / "file"):
        raise TimeoutError
    assert list(tmp_path.iterdir()) == []
