"""``chat-history``: what each command shows, and what it exits with."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from chatroom import __version__
from chatroom.cli import history
from chatroom.core.messages import Message
from chatroom.store.command import WRITE_SIZE, Output
from chatroom.store.sqlite import SqliteStore
from tests.store.conformance import WALL, said
from tests.store.files import make_version_1, snapshot

NOON = 1_700_000_000_000 // 86_400_000 * 86_400_000 + 43_200_000
"""Noon of 14 November 2023, UTC."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let local time be UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of two rooms."""
    path = tmp_path / "history.db"
    news = [
        Message(0, "lobby", "ann", "Hello Bob.", NOON, "r-1"),
        Message(0, "tea", "zoë", "the KETTLE is on", NOON + 1000, None),
        Message(0, "lobby", "bob", "Tea?\nOr\tcoffee?", NOON + 2000, None),
        Message(0, "lobby", "ann", "Straße, bob", NOON + 3000, None),
        Message(0, "tea", "cy", "\x1b[2J\u202eevil\x9b0m", NOON + 4000, None),
    ]
    with closing(SqliteStore(str(path), "one")) as store:
        store.keep(news, {}, {}, 0.0, WALL)
    return path


class Shown:
    """Runs the command, and holds what came of it."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *argv: object) -> tuple[int, list[str], list[str]]:
        """Return the exit code and the lines of stdout and stderr."""
        code = history([str(word) for word in argv])
        out, err = self._capfd.readouterr()
        assert out == "" or out.endswith("\n")
        return code, out.split("\n")[:-1], err.split("\n")[:-1]

    def lines(self, *argv: object) -> list[str]:
        """Return the lines of a command that is to succeed."""
        code, out, err = self(*argv)
        assert (code, err) == (0, [])
        return out

    def complaint(self, *argv: object, code: int = 1) -> str:
        """Return the one line of a command that is to fail."""
        found, out, err = self(*argv)
        assert (found, out, len(err)) == (code, [], 1), (found, out, err)
        assert err[0].startswith("chat-history: ")
        assert err[0].isprintable()
        return err[0]


@pytest.fixture
def show(capfd: pytest.CaptureFixture[str]) -> Shown:
    return Shown(capfd)


LINES = [
    "2023-11-14 12:00:00 lobby 1 <ann> Hello Bob.",
    "2023-11-14 12:00:01 tea 1 <zoë> the KETTLE is on",
    "2023-11-14 12:00:02 lobby 2 <bob> Tea?␊Or␉coffee?",
    "2023-11-14 12:00:03 lobby 3 <ann> Straße, bob",
    "2023-11-14 12:00:04 tea 2 <cy> ␛[2J<U+202E>evil<U+009B>0m",
]


# -- tail ------------------------------------------------------------------------


def test_tail_shows_the_newest_of_all_rooms(path: Path, show: Shown) -> None:
    assert show.lines(path, "tail") == LINES
    assert show.lines(path, "tail", "-n", 2) == LINES[-2:]
    assert show.lines(path, "tail", "-n", 0) == []
    assert show.lines(path, "tail", "--room", "tea") == [LINES[1], LINES[4]]
    assert show.lines(path, "tail", "--room", "lobby", "-n1") == [LINES[3]]


def test_tail_shows_ten_where_it_is_not_told(tmp_path: Path, show: Shown) -> None:
    path = tmp_path / "history.db"
    with closing(SqliteStore(str(path), "one")) as store:
        store.keep(said(*["a", "b"] * 10), {}, {}, 0.0, WALL)
    shown = show.lines(path, "tail")
    assert [line.split()[-1] for line in shown] == [str(n) for n in range(10, 20)]


def test_times_that_are_none_are_shown_all_the_same(
    tmp_path: Path, show: Shown
) -> None:
    path = tmp_path / "history.db"
    with closing(SqliteStore(str(path), "one")) as store:
        store.keep([Message(0, "a", "b", "c", 2**62, None)], {}, {}, 0.0, WALL)
    assert show.lines(path, "tail") == ["at no time a 1 <b> c"]


# -- search ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["hello"], [0]),
        (["kettle"], [1]),
        (["BOB"], [0, 3]),
        (["bob", "hello"], [0]),
        (["hello bob"], [0]),
        (["STRASSE"], [3]),
        (["tea?"], [2]),
        (["o%b"], []),
        (["hell_"], []),
        (["bob", "kettle"], []),
        (["zoë"], []),
        ([""], [0, 2, 3, 1, 4]),
    ],
)
def test_search_wants_all_words_in_any_case(
    path: Path, show: Shown, words: list[str], found: list[int]
) -> None:
    code, out, err = show(path, "search", *words)
    assert out == [LINES[number] for number in found]
    assert (code, err) == (0 if found else 1, [])


def test_search_keeps_to_a_room(path: Path, show: Shown) -> None:
    assert show.lines(path, "search", "e", "--room", "tea") == [LINES[1], LINES[4]]


# -- export ----------------------------------------------------------------------


def test_export_writes_what_clients_got(path: Path, show: Shown) -> None:
    lines = show.lines(path, "export")
    assert all(line.isascii() and line.isprintable() for line in lines)
    frames = [json.loads(line) for line in lines]
    assert [(f["room"], f["id"]) for f in frames] == [
        ("lobby", 1), ("lobby", 2), ("lobby", 3), ("tea", 1), ("tea", 2)
    ]  # fmt: skip
    assert list(frames[0].items()) == [
        ("type", "message"), ("id", 1), ("room", "lobby"), ("from", "ann"),
        ("text", "Hello Bob."), ("at", NOON), ("ref", "r-1"),
    ]  # fmt: skip
    assert "ref" not in frames[1]
    assert frames[4]["text"] == "\x1b[2J\u202eevil\x9b0m"
    assert lines[0].startswith('{"type":"message","id":1,')


def test_export_as_text(path: Path, show: Shown) -> None:
    wanted = [LINES[number] for number in (0, 2, 3, 1, 4)]
    assert show.lines(path, "export", "--format", "text") == wanted
    assert show.lines(path, "export", "--format=text", "--room=tea") == wanted[3:]


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        (["--since", "2023-11-14T12:00:02"], [2, 3, 4]),
        (["--until", "2023-11-14T12:00:02"], [0, 1]),
        (["--since", "2023-11-14T12:00:01", "--until", "2023-11-14 12:00:03"], [2, 1]),
        (["--since", "2023-11-14"], [0, 2, 3, 1, 4]),
        (["--until", "2023-11-14"], []),
        (["--since", "2023-11-14T13:00:04+01:00"], [4]),
        (["--since", "2023-11-14T12:00:04Z"], [4]),
    ],
)
def test_export_keeps_to_times(
    path: Path, show: Shown, bounds: list[str], found: list[int]
) -> None:
    shown = show.lines(path, "export", "--format", "text", *bounds)
    assert set(shown) == {LINES[number] for number in found}
    assert len(shown) == len(found)


# -- verify ----------------------------------------------------------------------


def test_verify_says_what_it_has_seen(path: Path, show: Shown) -> None:
    assert show.lines(path, "verify") == [
        "sound: messages 5, rooms 2, sessions 0, orders 0"
    ]


def test_verify_tells_each_finding_safely(path: Path, show: Shown) -> None:
    import sqlite3

    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM messages WHERE id = 2 AND room = 'lobby'")
        db.execute("UPDATE messages SET room = 'te\x1b[2Ja' WHERE room = 'tea'")
    code, out, err = show(path, "verify")
    assert (code, err) == (1, [])
    assert "lobby: 2 is not there" in out
    assert "te␛[2Ja: it has messages and is not among the rooms" in out
    assert all(line.isprintable() for line in out)


# -- what is wrong ---------------------------------------------------------------


@pytest.mark.parametrize("command", ["tail", "export", "verify"])
def test_what_cannot_be_read_is_one_line_and_exit_1(
    tmp_path: Path, show: Shown, command: str
) -> None:
    assert "there is no history in" in show.complaint(tmp_path / "none.db", command)
    (tmp_path / "text").write_text("x" * 500)
    assert "is not a history" in show.complaint(tmp_path / "text", command)
    assert "is a directory" in show.complaint(tmp_path, command)


def test_a_room_that_is_not_there_is_told(path: Path, show: Shown) -> None:
    for command in (["tail"], ["search", "x"], ["export"]):
        told = show.complaint(path, *command, "--room", "coffee")
        assert f"there is no room coffee in {path}" in told


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["FILE"],
        ["FILE", "look"],
        ["FILE", "search"],
        ["FILE", "tail", "-n", "-1"],
        ["FILE", "tail", "-n", "ten"],
        ["FILE", "tail", "--room", "no room"],
        ["FILE", "tail", "--roo", "tea"],
        ["FILE", "export", "--format", "xml"],
        ["FILE", "export", "--since", "yesterday"],
        ["FILE", "export", "--since", "0001-01-01T00:00:00\x1b"],
        ["FILE", "verify", "--room", "tea"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(
    path: Path, show: Shown, argv: list[str]
) -> None:
    words = [str(path) if word == "FILE" else word for word in argv]
    assert "--help" in show.complaint(*words, code=2)


def test_help_and_version(show: Shown, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["x", "tail", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as caught:
            history(words)
        assert caught.value.code == 0
    out = capfd.readouterr().out
    assert f"chatroom {__version__}" in out
    for command in ("tail", "search", "export", "verify"):
        assert f"\n    {command} " in out
    assert "exit codes: 0 done" in out


# -- a file of an older version ----------------------------------------------------


def test_a_file_of_version_1_is_shown_and_left_as_it_is(
    tmp_path: Path, show: Shown
) -> None:
    make_version_1(old := tmp_path / "old.db")
    before = snapshot(tmp_path)
    assert [
        line.partition(" lobby ")[2] for line in show.lines(old, "search", "b")
    ] == ["3 <ann> bye"]
    assert len(show.lines(old, "tail", "-n", "500")) == 197
    assert len(show.lines(old, "export", "--room", "lobby")) == 3
    assert show.lines(old, "verify") == [
        "sound: messages 197, rooms 3, sessions 2, orders 0"
    ]
    assert snapshot(tmp_path) == before


# -- the output ------------------------------------------------------------------


def test_lines_are_written_many_at_once_and_none_is_lost() -> None:
    read, write = os.pipe()
    out = Output(write)
    for number in range(100):
        out.line(f"line {number}")
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    out.flush()
    os.close(write)
    with os.fdopen(read) as lines:
        assert lines.read().split() == [
            word for number in range(100) for word in ("line", str(number))
        ]


def test_much_is_written_before_the_end(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        Output(file.fileno()).line("x" * WRITE_SIZE)
    assert (tmp_path / "out").stat().st_size == WRITE_SIZE + 1


def test_a_descriptor_that_takes_a_part_gets_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = bytearray()

    def write(descriptor: int, data: memoryview) -> int:
        written.extend(data[:3])
        return len(data[:3])

    monkeypatch.setattr(os, "write", write)
    out = Output()
    out.line("a line of some length")
    out.flush()
    assert written == b"a line of some length\n"
