"""Lines in and lines out: pipes, files and /dev/null."""

import os
import pty
import select
import signal
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.lines import line
from chatroom.client.plain import (
    MAX_LINE_BYTES,
    MAX_WAITING,
    LineSplitter,
    Output,
    Plain,
    Unreadable,
)
from chatroom.net.loop import Loop
from tests.client.fakes import FakeOwner, tick_until
from tests.support.waiting import PATIENCE

# -- lines ----------------------------------------------------------------------


def split(*chunks: bytes) -> list[str | Unreadable]:
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines + splitter.finish()


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_it_makes_no_difference_how_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(places)]
    assert split(*chunks) == split(data)
    assert split(*(bytes([byte]) for byte in data)) == split(data)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\nb", ["a", "", "b"]),
        (b"a\r\nb\r\r\n", ["a", "b\r"]),
        ("ü\u2028\x0b\x85x\n".encode(), ["ü\u2028\x0b\x85x"]),
    ],
)
def test_lines(data: bytes, lines: list[str]) -> None:
    assert split(data) == lines


def test_a_line_that_is_not_utf8_is_named() -> None:
    assert split(b"a\n\xff\nb") == [
        "a",
        Unreadable("line 2 is not UTF-8 and is not said"),
        "b",
    ]


def test_a_line_without_end_takes_no_memory() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert splitter.feed(b"x" * MAX_LINE_BYTES) == []
        assert len(splitter._held) <= MAX_LINE_BYTES
    assert splitter.feed(b"x\nb\n") == [
        Unreadable("line 1 is longer than 4000 characters and is not said"),
        "b",
    ]
    splitter.feed(b"x" * (MAX_LINE_BYTES + 1))
    assert len(splitter.finish()) == 1


def test_the_longest_text_is_a_line() -> None:
    assert split("👍".encode() * 4000 + b"\r\n") == ["👍" * 4000]


# -- output ---------------------------------------------------------------------


@dataclass
class Pipe:
    """Both ends of a pipe."""

    reader: int
    writer: int

    def read(self) -> bytes:
        """What is in it now."""
        os.set_blocking(self.reader, False)
        data = b""
        try:
            while chunk := os.read(self.reader, 65536):
                data += chunk
        except BlockingIOError:
            pass
        return data


def make_pipes(count: int) -> Iterator[list[Pipe]]:
    pipes = [Pipe(*os.pipe()) for _ in range(count)]
    yield pipes
    for pipe in pipes:
        for end in (pipe.reader, pipe.writer):
            try:
                os.close(end)
            except OSError:
                pass  # Closed by the test.


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """One pipe."""
    for pipes in make_pipes(1):
        yield pipes[0]


@pytest.fixture
def pipes() -> Iterator[list[Pipe]]:
    """Three pipes, for stdin, stdout and stderr."""
    yield from make_pipes(3)


def make_output(loop: Loop, owner: FakeOwner, descriptor: int) -> Output:
    return Output(loop, descriptor, owner.hold_back, owner.output_failed, owner.crash)


def test_what_is_written_comes_out_at_once(loop: Loop, pipe: Pipe) -> None:
    owner = FakeOwner()
    output = make_output(loop, owner, pipe.writer)
    output.write(b"hello")
    assert pipe.read() == b"hello"
    assert loop.watched == 0
    assert os.get_blocking(pipe.writer), "it is shared with others"


def test_nothing_is_lost_and_nobody_waits_while_the_reader_does_not_read(
    loop: Loop, pipe: Pipe
) -> None:
    owner = FakeOwner()
    output = make_output(loop, owner, pipe.writer)
    line = b"0123456789" * 1000
    written = 0
    while not owner.held:
        output.write(line)
        written += len(line)
    assert owner.held == [True]
    assert MAX_WAITING < written < 2 * MAX_WAITING
    got = bytearray()

    def read() -> bool:
        got.extend(pipe.read())
        return len(got) == written

    tick_until(loop, read)
    assert got == line * (written // len(line))
    assert owner.held == [True, False]
    assert loop.watched == 0


def test_at_the_end_it_waits_for_the_reader(loop: Loop, pipe: Pipe) -> None:
    output = make_output(loop, FakeOwner(), pipe.writer)
    output.write(b"x" * 200_000)
    child = os.fork()
    if not child:  # pragma: no cover
        os.close(pipe.writer)
        size = 0
        while chunk := os.read(pipe.reader, 65536):
            size += len(chunk)
        os._exit(0 if size == 200_000 else 1)
    output.close()
    assert loop.watched == 0
    output.flush()
    os.close(pipe.writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_reader_that_goes_at_the_end_is_not_missed(loop: Loop, pipe: Pipe) -> None:
    owner = FakeOwner()
    output = make_output(loop, owner, pipe.writer)
    output.write(b"x" * 200_000)
    output.close()
    os.close(pipe.reader)
    output.flush()
    assert not owner.errors


def test_a_reader_that_has_gone_is_told_once(loop: Loop, pipe: Pipe) -> None:
    owner = FakeOwner()
    output = make_output(loop, owner, pipe.writer)
    os.close(pipe.reader)
    output.write(b"x")
    output.write(b"y")
    output.close()
    output.flush()
    (error,) = owner.errors
    assert isinstance(error, BrokenPipeError)


def test_a_descriptor_that_others_made_non_blocking(loop: Loop, pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    output = make_output(loop, FakeOwner(), pipe.writer)
    output.write(b"x" * 200_000)
    got = bytearray()

    def read() -> bool:
        got.extend(pipe.read())
        return len(got) == 200_000

    tick_until(loop, read)


# -- the face -------------------------------------------------------------------


@dataclass
class Bench:
    """A plain face between three pipes."""

    face: Plain
    owner: FakeOwner
    stdin: Pipe
    stdout: Pipe
    stderr: Pipe


@pytest.fixture
def bench(loop: Loop, pipes: list[Pipe]) -> Iterator[Bench]:
    """A face that is not open yet."""
    owner = FakeOwner()
    stdin, stdout, stderr = pipes
    descriptors = (stdin.reader, stdout.writer, stderr.writer)
    face = Plain(loop, owner, interactive=False, descriptors=descriptors)
    yield Bench(face, owner, stdin, stdout, stderr)
    face.close()


def test_speech_goes_to_stdout_and_news_to_stderr(bench: Bench) -> None:
    bench.face.show([line("said"), line("more")], True)
    bench.face.show([line("news")], False)
    bench.face.prompt("> ")
    assert bench.stdout.read() == b"said\nmore\n"
    assert bench.stderr.read() == b"news\n"


def test_where_both_are_the_same_there_is_one_order(
    loop: Loop, pipe: Pipe, tmp_path: Path
) -> None:
    other = os.dup(pipe.writer)
    try:
        face = Plain(loop, FakeOwner(), False, (pipe.reader, pipe.writer, other))
        assert face._out is face._err
        face.close()
    finally:
        os.close(other)


def test_it_reads_lines_while_it_listens(loop: Loop, bench: Bench) -> None:
    os.write(bench.stdin.writer, b"one\ntwo\nthr")
    loop.tick(0)
    assert not bench.owner.lines, "not before it is open"
    bench.face.open()
    tick_until(loop, lambda: bench.owner.lines == ["one", "two"])
    bench.face.listen(False)
    bench.face.listen(False)
    os.write(bench.stdin.writer, b"ee\n")
    loop.tick(0.01)
    loop.tick(0.01)
    assert bench.owner.lines == ["one", "two"]
    bench.face.listen(True)
    tick_until(loop, lambda: bench.owner.lines == ["one", "two", "three"])


def test_the_end_of_input_is_told_once_and_after_the_last_line(
    loop: Loop, bench: Bench
) -> None:
    os.write(bench.stdin.writer, b"one\n\xff\nlast")
    os.close(bench.stdin.writer)
    bench.face.open()
    tick_until(loop, lambda: bench.owner.ended)
    assert bench.owner.lines == ["one", "last"]
    assert bench.owner.reasons == ["line 2 is not UTF-8 and is not said"]
    bench.face.listen(True)
    loop.tick(0.01)
    assert bench.owner.ended == 1
    assert loop.watched == 0


def test_a_file_is_read_bit_by_bit(
    loop: Loop, bench: Bench, tmp_path: Path, pipes: list[Pipe]
) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"line\n" * 50_000)
    with path.open("rb") as file:
        owner = FakeOwner()
        descriptors = (file.fileno(), bench.stdout.writer, bench.stderr.writer)
        face = Plain(loop, owner, interactive=False, descriptors=descriptors)
        face.open()
        loop.tick(0)
        read = len(owner.lines)
        assert 0 < read <= 65536 // 5, "one piece a tick"
        face.listen(False)
        loop.tick(0)
        assert len(owner.lines) == read
        face.listen(True)
        face.listen(True)
        tick_until(loop, lambda: owner.ended)
        assert len(owner.lines) == 50_000
        face.close()


def test_dev_null_ends_at_once(loop: Loop, bench: Bench) -> None:
    with open(os.devnull, "rb") as file:
        owner = FakeOwner()
        descriptors = (file.fileno(), bench.stdout.writer, bench.stderr.writer)
        face = Plain(loop, owner, interactive=False, descriptors=descriptors)
        face.open()
        tick_until(loop, lambda: owner.ended)
        assert not owner.lines
        face.close()


def test_what_cannot_be_read_is_told(loop: Loop, bench: Bench, tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        owner = FakeOwner()
        descriptors = (directory, bench.stdout.writer, bench.stderr.writer)
        face = Plain(loop, owner, interactive=False, descriptors=descriptors)
        face.open()
        tick_until(loop, lambda: owner.ended)
        assert owner.reasons == ["cannot read the input: Is a directory"]
        face.close()
    finally:
        os.close(directory)


# -- what is better not said ----------------------------------------------------


def test_who_insists_says_it(loop: Loop) -> None:
    master, slave = pty.openpty()
    owner = FakeOwner()
    owner.objections = {"HEY": "that is loud"}
    face = Plain(loop, owner, True, (slave, slave, slave))
    face.open()
    os.write(master, b"HEY\nhello\nHEY\nHEY\nHEY\n")
    tick_until(loop, lambda: len(owner.reasons) == 3)
    assert owner.lines == ["hello", "HEY"]
    assert owner.reasons == ["that is loud"] * 3
    face.close()
    os.close(slave)
    os.close(master)


def test_a_script_is_not_objected_to(loop: Loop, bench: Bench) -> None:
    owner = FakeOwner()
    owner.objections = {"HEY": "that is loud"}
    reader, writer = os.pipe()
    descriptors = (reader, bench.stdout.writer, bench.stderr.writer)
    face = Plain(loop, owner, interactive=False, descriptors=descriptors)
    face.open()
    os.write(writer, b"HEY\n")
    tick_until(loop, lambda: owner.lines)
    assert (owner.lines, owner.reasons) == (["HEY"], [])
    face.close()
    os.close(reader)
    os.close(writer)


# -- what is secret -------------------------------------------------------------


@dataclass
class DumbTerminal:
    """A face on a terminal that can only print, and the other end of it."""

    face: Plain
    owner: FakeOwner
    master: int
    slave: int

    def see(self, expected: bytes) -> None:
        """Read what has been written to it: this, and nothing else."""
        data = b""
        while len(data) < len(expected):
            ready, _, _ = select.select([self.master], [], [], PATIENCE)
            assert ready, f"nothing more; so far {data!r}"
            data += os.read(self.master, 65536)
        assert data == expected

    @property
    def settings(self) -> list[Any]:
        """Its settings now."""
        found: list[Any] = termios.tcgetattr(self.slave)
        return found


@pytest.fixture
def dumb(loop: Loop) -> Iterator[DumbTerminal]:
    """A face that is open, on a terminal."""
    master, slave = pty.openpty()
    owner = FakeOwner()
    face = Plain(loop, owner, True, (slave, slave, slave))
    face.open()
    yield DumbTerminal(face, owner, master, slave)
    face.close()
    os.close(slave)
    os.close(master)


def test_a_secret_is_asked_for_unseen(loop: Loop, dumb: DumbTerminal) -> None:
    before = dumb.settings
    dumb.face.prompt("nick: ")  # Which is no line, and is not shown.
    os.write(dumb.master, b"before")
    dumb.see(b"before")
    dumb.face.prompt("password: ", True)
    dumb.see(b"password: ")
    os.write(dumb.master, b"sesame\n")
    tick_until(loop, lambda: dumb.owner.lines)
    assert dumb.owner.lines == ["sesame"]
    dumb.face.prompt("", True)
    dumb.face.prompt("> ")
    assert dumb.settings == before
    os.write(dumb.master, b"x\n")
    tick_until(loop, lambda: len(dumb.owner.lines) == 2)
    assert dumb.owner.lines == ["sesame", "x"]
    dumb.see(b"\r\nx\r\n")


def test_the_terminal_shows_again_what_is_typed_at_the_end(dumb: DumbTerminal) -> None:
    before = dumb.settings
    dumb.face.prompt("password: ", True)
    assert dumb.settings != before
    dumb.face.close()
    assert dumb.settings == before


def test_who_stops_it_and_goes_on_types_unseen_again(
    loop: Loop, dumb: DumbTerminal
) -> None:
    before = dumb.settings
    dumb.face.prompt("password: ", True)
    hidden = dumb.settings
    termios.tcsetattr(dumb.slave, termios.TCSANOW, before)
    os.kill(os.getpid(), signal.SIGCONT)
    tick_until(loop, lambda: dumb.settings == hidden)
    dumb.face.prompt("> ")
    os.kill(os.getpid(), signal.SIGCONT)
    loop.tick(0)
    loop.tick(0)
    assert dumb.settings == before


def test_a_terminal_that_has_gone_is_no_crash(loop: Loop, pipes: list[Pipe]) -> None:
    stdin, stdout, stderr = pipes
    descriptors = (stdin.reader, stdout.writer, stderr.writer)
    face = Plain(loop, FakeOwner(), True, descriptors)
    face.prompt("password: ", True)
    assert (stdout.read(), stderr.read()) == (b"", b"password: ")
    face.close()


# -- the bell -------------------------------------------------------------------


def test_a_terminal_rings_behind_what_is_written(dumb: DumbTerminal) -> None:
    dumb.face.show([line("hello")], True)
    dumb.face.bell()
    dumb.see(b"hello\r\n\a")


def test_nothing_rings_in_a_pipe_nor_for_a_script(
    loop: Loop, pipes: list[Pipe]
) -> None:
    stdin, stdout, stderr = pipes
    master, slave = pty.openpty()
    for interactive, out in ((True, stdout.writer), (False, slave)):
        owner = FakeOwner()
        face = Plain(loop, owner, interactive, (stdin.reader, out, stderr.writer))
        face.bell()
        face.close()
    assert (stdout.read(), stderr.read()) == (b"", b"")
    assert not select.select([master], [], [], 0)[0]
    os.close(slave)
    os.close(master)
