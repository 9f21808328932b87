"""The log: its lines, and that it is never in the way."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.config import LOG_BACKLOG
from chatroom.errors import StartError
from chatroom.server.eventlog import EventLog, Sink, Value, check_file, open_sink
from tests.support.inprocess import MemorySink
from tests.support.strategies import ODD

WALL = 1_700_000_000.25
STAMP = "2023-11-14T22:13:20.250Z"

strings = st.text(st.sampled_from(ODD + " =\"'\\{},") | st.characters(), max_size=40)
values = strings | st.integers() | st.booleans() | st.floats(-1e9, 1e9)
keys = st.sampled_from(["address", "nick", "text", "reason", "cause", "room"])
nicks = st.text(st.sampled_from("abZ09-_.\u00e9\u4e2d\u0301"), min_size=1, max_size=20)


class Written:
    """A log in memory."""

    def __init__(self, level: str = "info", style: str = "text") -> None:
        self.log = EventLog(level, style, clock=lambda: WALL)
        self.sink = MemorySink()
        self.log.add_sink(self.sink)

    @property
    def lines(self) -> list[str]:
        """The lines so far."""
        self.log.flush()
        return self.sink.lines


class Pipe:
    """A pipe whose writing end is a sink."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.given = os.dup(self.writer)
        self.log = EventLog(clock=lambda: WALL)
        self.log.add_sink(Sink(self.given))

    def read(self) -> bytes:
        """Return what has come, the log being flushed as long as it goes on."""
        got = bytearray()
        while True:
            waiting = self.log.flush()
            before = len(got)
            try:
                while data := os.read(self.reader, 1 << 20):
                    got += data
            except BlockingIOError:
                pass
            if len(got) == before and not waiting:
                return bytes(got)

    def close(self) -> None:
        """Close both ends."""
        self.log.close()
        os.close(self.writer)
        os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A log into a pipe."""
    pipe = Pipe()
    yield pipe
    pipe.close()


# -- lines -----------------------------------------------------------------------


def test_an_event_as_text() -> None:
    written = Written()
    written.log.event(
        "info",
        "join",
        address="[::1]:2",
        nick="d\u00e9",
        room="a b",
        n=3,
        x=None,
        t=True,
    )
    assert written.lines == [
        f'{STAMP} info join address=[::1]:2 nick="d\\u00e9" room="a b" n=3 t=true'
    ]


def test_an_event_as_json() -> None:
    written = Written(style="json")
    written.log.event("info", "join", nick="d\u00e9\n", n=3, x=None, t=True, s=1.5)
    (line,) = written.lines
    assert json.loads(line) == {
        "time": STAMP, "level": "info", "event": "join",
        "nick": "d\u00e9\n", "n": 3, "t": True, "s": 1.5,
    }  # fmt: skip


def parse_text(line: str) -> tuple[list[str], dict[str, str]]:
    """Return the words before the fields, and the fields, strings unquoted."""
    stamp, level, name, *rest = line.split(" ", 3)
    fields, left = {}, rest[0] if rest else ""
    while left:
        found = re.match(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ ="]+)(?: |$)', left)
        assert found, left
        value = found[2]
        fields[found[1]] = json.loads(value) if value[0] == '"' else value
        left = left[found.end() :]
    return [stamp, level, name], fields


@given(st.dictionaries(keys, values, max_size=4))
def test_nothing_forges_or_breaks_a_line_of_text(about: dict[str, Value]) -> None:
    written = Written()
    written.log.event("info", "event", **about)
    (line,) = written.lines
    assert line.isascii()
    assert line.isprintable()
    head, fields = parse_text(line)
    assert head == [STAMP, "info", "event"]
    assert list(fields) == list(about)
    for key, value in about.items():
        if isinstance(value, str):
            assert fields[key] == value


@given(st.dictionaries(keys, values, max_size=4))
def test_nothing_forges_or_breaks_a_line_of_json(about: dict[str, Value]) -> None:
    written = Written(style="json")
    written.log.event("warning", "event", **about)
    (line,) = written.lines
    assert line.isascii()
    assert line.isprintable()
    value = json.loads(line)
    head = {"time": STAMP, "level": "warning", "event": "event"}
    assert {key: value.pop(key) for key in head} == head
    assert list(value) == list(about)
    for key, meant in about.items():
        if isinstance(meant, float):
            assert value[key] == pytest.approx(meant, rel=1e-5)
        else:
            assert value[key] == meant
            assert type(value[key]) is type(meant)


@given(nicks, strings, st.integers(1, 10**9))
def test_a_message_is_as_the_event_would_be(nick: str, text: str, number: int) -> None:
    for style in ("text", "json"):
        one, other = Written(style=style), Written(style=style)
        one.log.message("[2001:db8::1]:5", nick, "tea", number, text)
        other.log.event(
            "info", "message",
            address="[2001:db8::1]:5", nick=nick, room="tea", id=number, text=text,
        )  # fmt: skip
        (line,) = one.lines
        assert line.isascii()
        assert line.isprintable()
        if style == "json":
            assert line == other.lines[0]
        else:
            assert parse_text(line) == parse_text(other.lines[0])


def test_a_shell_reads_a_line_of_text() -> None:
    written = Written()
    written.log.event("info", "kick", text="a b", reason="idle")
    assert shlex.split(written.lines[0])[3:] == ["text=a b", "reason=idle"]


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_levels(level: str, shown: int) -> None:
    written = Written(level)
    for one in ("debug", "info", "warning", "error"):
        written.log.event(one, "x")
    assert [line.split()[1] for line in written.lines] == [
        "debug", "info", "warning", "error"
    ][4 - shown :]  # fmt: skip
    assert written.log.info == (shown >= 3)


def test_the_time_is_that_of_the_tick() -> None:
    now = [0.9996]
    log, sink = EventLog(clock=lambda: now[0]), MemorySink()
    log.add_sink(sink)
    log.event("info", "x")
    log.flush()
    now[0] = 86400.0
    log.event("info", "y")
    log.flush()
    assert [line.split()[0] for line in sink.lines] == [
        "1970-01-01T00:00:00.999Z",
        "1970-01-02T00:00:00.000Z",
    ]


# -- descriptors -----------------------------------------------------------------


def test_lines_come_through_a_pipe(pipe: Pipe) -> None:
    for number in range(3):
        pipe.log.event("info", "x", n=number)
    assert not pipe.log.flush()
    assert len(pipe.read().splitlines()) == 3


def test_a_full_pipe_holds_up_nobody(pipe: Pipe) -> None:
    # Were the descriptor waited for, this would never end.
    text = "x" * 1000
    sent = 0
    while not pipe.log.flush():
        pipe.log.event("info", "x", n=sent, text=text)
        sent += 1
    for _ in range(50):
        pipe.log.event("info", "x", n=sent, text=text)
        sent += 1
        assert pipe.log.flush()
    lines = pipe.read().decode().splitlines()
    assert [parse_text(line)[1]["n"] for line in lines] == [str(n) for n in range(sent)]


def test_lines_that_nobody_reads_are_dropped_and_counted(pipe: Pipe) -> None:
    text = "x" * 1000
    sent = 3 * LOG_BACKLOG // 1000
    for number in range(sent):
        pipe.log.event("info", "x", n=number, text=text)
        pipe.log.flush()
    first = pipe.read().decode().splitlines()
    assert len(first) * 1000 < LOG_BACKLOG + 200_000
    assert [parse_text(line)[1]["n"] for line in first] == [
        str(number) for number in range(len(first))
    ]
    pipe.log.event("info", "after")
    dropped, after = pipe.read().decode().splitlines()
    head, fields = parse_text(dropped)
    assert head[1:] == ["error", "dropped"]
    assert fields["lines"] == str(sent - len(first))
    assert after.split()[2] == "after"
    pipe.log.event("info", "again")
    assert len(pipe.read().splitlines()) == 1


def test_a_tick_with_much_to_say_is_not_dropped_where_it_is_taken(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(path)))
    count = 2 * LOG_BACKLOG // 1000
    for number in range(count):
        log.event("info", "x", n=number, text="x" * 1000)
    log.flush()
    log.event("info", "after")
    log.close()
    lines = path.read_text().splitlines()
    assert len(lines) == count + 1
    assert " dropped " not in lines[-2]


def test_a_closed_pipe_costs_lines_only(pipe: Pipe) -> None:
    pipe.log.event("info", "before")
    pipe.log.flush()
    os.close(pipe.reader)
    pipe.log.event("info", "lost")
    assert not pipe.log.flush()
    pipe.log.event("info", "lost")
    assert not pipe.log.flush()
    pipe.reader = os.open(os.devnull, os.O_RDONLY)


def test_a_full_disk_costs_lines_only() -> None:
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink("/dev/full"))
    for _ in range(5):
        log.event("info", "lost")
        assert not log.flush()
    log.close()


class Disk:
    """``os.write`` on a disk that has so much room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, bytes(data[: self.room]))
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 100, 140, 10_000])
def test_after_a_full_disk_lines_are_whole_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path = tmp_path / "log"
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(path)))
    disk = Disk(monkeypatch, room)
    for number in range(5):
        log.event("info", "x", n=number)
    log.flush()
    disk.room = 1 << 20
    log.event("info", "after", text="there is room again")
    log.flush()
    log.close()
    lines = path.read_text().splitlines()
    assert lines[-1] == f'{STAMP} info after text="there is room again"'
    if room < 1000:
        head, fields = parse_text(lines[-2])
        assert head == [STAMP, "error", "dropped"]
        whole = [line for line in lines[:-2] if re.search(r" x n=\d$", line)]
        assert fields["lines"] == str(5 - len(whole))
    else:
        assert len(lines) == 6


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["take", "wait", "fail", "part"])),
        max_size=40,
    ),
    st.integers(1, 120),
)
def test_every_line_is_written_or_counted(
    steps: list[tuple[int, str]], part: int
) -> None:
    """Whatever the descriptor does, and how often: the counts are not lost either."""
    out = bytearray()
    how = "take"

    def write(data: bytearray) -> int:
        nonlocal how
        if how == "wait":
            raise BlockingIOError(errno.EAGAIN, "")
        if how == "fail":
            raise OSError(errno.ENOSPC, "")
        size = len(data) if how == "take" else min(part, len(data))
        if how == "part":
            how = "fail"
        out.extend(data[:size])
        return size

    with mock.patch("chatroom.server.eventlog.LOG_BACKLOG", 400):
        sink = Sink(os.open(os.devnull, os.O_WRONLY))
        vars(sink)["_write"] = write
        log = EventLog(clock=lambda: WALL)
        log.add_sink(sink)
        sent = 0
        for lines, step in steps:
            how = step
            for _ in range(lines):
                log.event("info", "x", n=sent)
                sent += 1
            log.flush()
        how = "take"
        log.flush()
        log.event("info", "last")
        log.close()
    *lines_, last = out.decode().splitlines()
    assert last == f"{STAMP} info last"
    counted = [int(parse_text(line)[1].get("lines", 0)) for line in lines_]
    numbers = [int(parse_text(line)[1]["n"]) for line in lines_ if " x " in line]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + sum(counted) == sent


def test_a_socket_is_a_sink_too() -> None:
    near, far = socket.socketpair()
    log = EventLog(clock=lambda: WALL)
    log.add_sink(Sink(os.dup(near.fileno())))
    log.event("info", "x")
    assert not log.flush()
    assert far.recv(1000).endswith(b" info x\n")
    while not log.flush():
        log.event("info", "x", text="x" * 1000)
    log.close()
    assert near.getblocking()
    near.close()
    far.close()


# -- the descriptor that was handed over -----------------------------------------


def flags(descriptor: int) -> int:
    """Return the flags that all who share the descriptor share."""
    return fcntl.fcntl(descriptor, fcntl.F_GETFL)


@pytest.mark.parametrize("kind", ["pipe", "file", "terminal", "socket", "null"])
def test_its_flags_are_left_alone(kind: str, tmp_path: Path) -> None:
    others: list[int] = []
    if kind == "pipe":
        other, ours = os.pipe()
        others.append(other)
    elif kind == "file":
        ours = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    elif kind == "terminal":
        other, ours = os.openpty()
        others.append(other)
    elif kind == "socket":
        one, two = socket.socketpair()
        ours, other = one.detach(), two.detach()
        others.append(other)
    else:
        ours = os.open(os.devnull, os.O_WRONLY)
    shared = os.dup(ours)
    before = flags(shared)
    assert not before & os.O_NONBLOCK
    log = EventLog(clock=lambda: WALL)
    log.add_sink(Sink(ours))
    for _ in range(200):
        log.event("info", "x", text="x" * 1000)
        log.flush()
        assert flags(shared) == before
    log.close()
    assert flags(shared) == before
    for descriptor in [shared, *others]:
        os.close(descriptor)


def test_without_proc_a_pipe_is_not_waited_for_either(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def without_proc(path: str, *rest: int) -> int:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return real(path, *rest)

    monkeypatch.setattr(os, "open", without_proc)
    log = EventLog(clock=lambda: WALL)
    log.add_sink(Sink(os.dup(pipe.writer)))
    sent = 0
    while not log.flush():
        log.event("info", "x", n=sent, text="x" * 1000)
        sent += 1
    got = bytearray()
    while len(got.splitlines()) < sent or not got.endswith(b"\n"):
        got += os.read(pipe.reader, 65536)
        log.flush()
    lines = got.decode().splitlines()
    assert [parse_text(line)[1]["n"] for line in lines] == [str(n) for n in range(sent)]
    log.close()


def test_a_file_that_others_write_too_is_not_written_over(tmp_path: Path) -> None:
    # As in: { echo before; chat-server; } 2> log
    path = tmp_path / "log"
    shared = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(shared, b"before\n")
    log = EventLog(clock=lambda: WALL)
    log.add_sink(Sink(os.dup(shared)))
    log.event("info", "one")
    log.flush()
    os.write(shared, b"between\n")
    log.event("info", "two")
    log.flush()
    log.close()
    os.write(shared, b"after\n")
    os.close(shared)
    assert path.read_text().splitlines() == [
        "before", f"{STAMP} info one", "between", f"{STAMP} info two", "after"
    ]  # fmt: skip


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("kind", ["file", "null", "pipe"])
def test_what_it_was_given_is_given_back(kind: str, tmp_path: Path) -> None:
    before = open_descriptors()
    other = None
    if kind == "file":
        ours = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    elif kind == "null":
        ours = os.open(os.devnull, os.O_WRONLY)
    else:
        other, ours = os.pipe()
    Sink(ours).close()
    if other is not None:
        os.close(other)
    assert open_descriptors() == before


# -- files -----------------------------------------------------------------------


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(path)))
    log.event("info", "x")
    log.flush()
    with path.open("a") as other:
        other.write("between\n")
    log.event("info", "y")
    log.close()
    assert path.read_text().splitlines() == [
        "before", f"{STAMP} info x", "between", f"{STAMP} info y"
    ]  # fmt: skip
    assert path.stat().st_mode & 0o007 == 0o004 or path.stat().st_mode & 0o007 == 0


def test_a_new_file_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(path)))
    log.close()
    assert path.stat().st_mode & 0o007 == 0


def test_reopen_writes_to_a_new_file(tmp_path: Path) -> None:
    before = open_descriptors()
    path, moved = tmp_path / "log", tmp_path / "log.1"
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(path)))
    for number in range(3):
        log.event("info", "x", n=number)
        log.flush()
        path.rename(moved)
        log.event("info", "late", n=number)
        log.flush()
        log.set_file(open_sink(str(path)))
        assert [line.split()[2] for line in moved.read_text().splitlines()] == [
            "x", "late"
        ]  # fmt: skip
    log.event("info", "last")
    log.close()
    assert path.read_text().splitlines() == [f"{STAMP} info last"]
    assert open_descriptors() == before


def test_the_level_and_the_form_can_change() -> None:
    written = Written()
    written.log.event("info", "one")
    written.log.set_form("warning", "json")
    assert not written.log.info
    written.log.event("info", "two")
    written.log.event("warning", "three")
    first, second = written.lines
    assert first == f"{STAMP} info one"
    assert json.loads(second)["event"] == "three"


def test_a_fifo_that_is_opened_anew_goes_on_where_it_was(tmp_path: Path) -> None:
    """What its reader has not taken yet is not lost, and no line is broken."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(path)))
    sent = 0
    while not log.flush():
        log.event("info", "x", n=sent, text="x" * 1000)
        sent += 1
    for _ in range(3):
        log.set_file(open_sink(str(path)))
        log.event("info", "x", n=sent)
        sent += 1
    got = bytearray()
    while got.count(b"\n") < sent:
        log.flush()
        got += os.read(reader, 1 << 20)
    log.close()
    os.close(reader)
    lines = got.decode().splitlines()
    assert [parse_text(line)[1]["n"] for line in lines] == [str(n) for n in range(sent)]


def test_what_was_noted_before_is_in_the_old_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(one)))
    log.event("info", "before")
    log.set_file(open_sink(str(two)))
    log.event("info", "after")
    log.close()
    assert one.read_text() == f"{STAMP} info before\n"
    assert two.read_text() == f"{STAMP} info after\n"


def test_what_a_full_disk_did_not_take_is_told_by_the_next_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink("/dev/full"))
    for number in range(3):
        log.event("info", "x", n=number)
        log.flush()
    log.set_file(open_sink(str(path)))
    log.event("info", "after")
    log.close()
    dropped, after = path.read_text().splitlines()
    assert parse_text(dropped)[1]["lines"] == "3"
    assert after.split()[2] == "after"


def test_what_an_old_file_did_not_take_is_counted_in_the_new_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(fifo)))
    sent = 0
    while not log.flush():
        log.event("info", "x", n=sent, text="x" * 1000)
        sent += 1
    log.set_file(open_sink(str(path)))
    log.event("info", "after")
    log.close()
    written = os.read(reader, 1 << 20).count(b"\n")
    os.close(reader)
    dropped, after = path.read_text().splitlines()
    assert parse_text(dropped)[1]["lines"] == str(sent - written)
    assert after.split()[2] == "after"


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_json_is_strict_whatever_a_number_is(value: float) -> None:
    written = Written(style="json")
    written.log.event("info", "x", n=value, seconds=1234567.891)
    (line,) = written.lines

    def refuse(word: str) -> None:
        raise AssertionError(word)

    found = json.loads(line, parse_constant=refuse)
    assert (found["n"], found["seconds"]) == (None, 1234567.891)


@pytest.mark.parametrize(
    "name", ["log", "missing/log", "folder", "folder/log", "file/log"]
)
def test_what_check_says_is_what_opening_says(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path, told = str(tmp_path / name), []
    for attempt in (check_file, lambda path: open_sink(path).close()):
        try:
            attempt(path)
        except StartError as error:
            told.append(str(error))
        else:
            told.append("")
        if attempt is check_file:
            assert not (tmp_path / name).is_file()
    assert told[0] == told[1]
    assert bool(told[0]) == (name in ("missing/log", "folder", "file/log"))


def test_where_reopen_fails_the_old_file_is_written_on(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path, moved = folder / "log", tmp_path / "logs.1"
    log = EventLog(clock=lambda: WALL)
    log.set_file(open_sink(str(path)))
    folder.rename(moved)
    with pytest.raises(StartError, match="cannot write the log file"):
        open_sink(str(path))
    log.event("info", "x")
    log.close()
    assert (moved / "log").read_text().splitlines() == [f"{STAMP} info x"]


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    log = EventLog()
    with pytest.raises(StartError) as caught:
        log.set_file(open_sink(str(tmp_path)))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_fifo_that_nobody_reads_does_not_hold_up_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    real, waiting = os.open, []

    def open_or_tell(path: str, how: int, *rest: int) -> int:
        if not how & os.O_NONBLOCK:
            waiting.append(path)
            how |= os.O_NONBLOCK
        return real(path, how, *rest)

    monkeypatch.setattr(os, "open", open_or_tell)
    log = EventLog()
    try:
        log.set_file(open_sink(str(path)))
    except StartError:
        pass
    log.close()
    assert waiting == []


def test_two_sinks_get_the_same(pipe: Pipe, tmp_path: Path) -> None:
    path = tmp_path / "log"
    pipe.log.set_file(open_sink(str(path)))
    pipe.log.event("info", "x")
    pipe.log.flush()
    assert pipe.read() == path.read_bytes() != b""


def test_a_sink_that_is_full_does_not_hold_up_the_other(
    pipe: Pipe, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    pipe.log.set_file(open_sink(str(path)))
    for number in range(500):
        pipe.log.event("info", "x", n=number, text="x" * 1000)
        pipe.log.flush()
        assert path.read_text().count("\n") == number + 1
