"""What was typed before, in a file."""

import os
import stat
from pathlib import Path

import pytest

from chatroom.client import line_history
from chatroom.client.line_history import LineHistory
from chatroom.client.recall import MAX_LINES


def test_lines_come_back_in_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "state" / "chatroom" / "history"
    history = LineHistory(path)
    assert history.read() == []
    lines = ["one", "two\nrows", "日本 \\n \t x"]
    for line in lines:
        history.append(line)
    assert LineHistory(path).read() == lines
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_made_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("one\n")
    path.chmod(0o644)
    LineHistory(path).append("two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert LineHistory(path).read() == ["one", "two"]


def test_a_file_gets_no_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_history, "MAX_BYTES", 1000)
    path = tmp_path / "history"
    history = LineHistory(path)
    for number in range(300):
        history.append(f"line {number}")
    lines = history.read()
    assert lines[-1] == "line 299"
    assert len(lines) > 50
    assert path.stat().st_size < 600, "half of them is enough for another while"
    assert history.read() == lines[len(lines) // 2 :]
    assert len(lines) < MAX_LINES


def test_what_is_no_text_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"one\n\xff\x1b[2J\x00\ntwo")
    assert LineHistory(path).read() == ["one", "\ufffd[2J", "two"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "in a file", "nul", "/dev/null"])
def test_what_cannot_be_used_is_no_history(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "in a file":
        path.write_text("")
        path /= "history"
    elif kind == "nul":
        path = tmp_path / "\0"
    else:
        path = Path(os.devnull)
    history = LineHistory(path)
    history.append("one")
    assert history.read() == []
