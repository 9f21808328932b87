"""The terminal: a pseudo-terminal whose other end the tests hold."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.glyphs import text_width
from chatroom.client.keys import ESCAPE_TIME
from chatroom.client.terminal import Terminal, view
from chatroom.net.loop import Loop
from tests.client.fakes import FakeClock, FakeOwner, tick_until
from tests.support.waiting import PATIENCE

CLEAR = "\r\x1b[K"


@dataclass
class Bench:
    """A terminal face and whoever sits before it."""

    loop: Loop
    face: Terminal
    owner: FakeOwner
    master: int
    slave: int
    before: list[Any]

    def type(self, keys: str) -> None:
        """Type *keys* and let the face see them."""
        os.write(self.master, keys.encode())
        self.loop.tick(0.2)

    def read(self) -> str:
        """What has been written to the screen since the last time."""
        self.loop.tick(0)
        os.set_blocking(self.master, False)
        data = b""
        try:
            while chunk := os.read(self.master, 65536):
                data += chunk
        except (BlockingIOError, OSError):
            pass
        return data.decode()

    @property
    def settings(self) -> list[Any]:
        """The terminal's settings now."""
        found: list[Any] = termios.tcgetattr(self.slave)
        return found


def resize(descriptor: int, columns: int) -> None:
    size = struct.pack("HHHH", 24, columns, 0, 0)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, size)


@pytest.fixture
def bench(loop: Loop) -> Iterator[Bench]:
    """A face that is not open yet, on a terminal of 80 columns."""
    master, slave = pty.openpty()
    resize(slave, 80)
    owner = FakeOwner()
    face = Terminal(loop, owner, (slave, slave))
    before = termios.tcgetattr(slave)
    yield Bench(loop, face, owner, master, slave, before)
    face.close()
    os.close(slave)
    os.close(master)


@pytest.fixture
def opened(bench: Bench) -> Bench:
    """A face that is open, with a prompt."""
    bench.face.prompt("> ")
    bench.face.open()
    assert bench.read() == "\r> \x1b[K"
    return bench


def test_before_it_is_open_it_only_prints(bench: Bench) -> None:
    bench.face.prompt("> ")
    bench.face.show(["hello"], False)
    assert bench.read() == "hello\r\n"
    assert bench.settings == bench.before
    bench.face.close()
    assert bench.read() == ""


def test_the_terminal_is_taken_and_given_back(opened: Bench) -> None:
    assert opened.settings != opened.before
    local = opened.settings[3]
    assert not local & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert os.get_blocking(opened.slave), "it is the shell's as well"
    opened.face.open()
    opened.face.close()
    assert opened.settings == opened.before
    assert opened.read() == "\r\x1b[K", "the prompt is gone"
    opened.face.close()


def test_messages_do_not_tear_the_line(opened: Bench) -> None:
    opened.type("half a sen")
    assert opened.read() == "\r> half a sen\x1b[K"
    opened.face.show(["12:00 <bob> hello"], True)
    opened.face.show(["12:00 <bob> you there?"], True)
    assert opened.read() == (
        f"{CLEAR}12:00 <bob> hello\r\n12:00 <bob> you there?\r\n> half a sen"
    )
    opened.type("tence\r")
    assert opened.owner.lines == ["half a sentence"]
    assert opened.read() == "\r> \x1b[K"


def test_a_message_in_the_middle_of_a_character_and_of_a_key(opened: Bench) -> None:
    for data in (b"\xe6", b"\x97", b"\xa5\x1b", b"[", b"A"):
        os.write(opened.master, data)
        opened.loop.tick(0.2)
        opened.face.show(["news"], False)
        opened.read()
    opened.type("本\r")
    assert opened.owner.lines == ["日本"]


def test_nothing_new_writes_nothing(opened: Bench) -> None:
    opened.type("\t")
    opened.loop.tick(0)
    assert opened.read() == ""


def test_a_line_wider_than_the_terminal_shows_its_end(opened: Bench) -> None:
    resize(opened.slave, 12)
    opened.type("abcdefghijklmnop")
    assert opened.read() == "\r> <ijklmnop\x1b[K"


def test_the_cursor_stands_where_one_types(opened: Bench) -> None:
    opened.type("日本\x1b[D")
    assert opened.read() == "\r> 日本\x1b[K\x1b[2D"
    opened.face.show(["news"], False)
    opened.type("x")
    assert opened.read() == f"{CLEAR}news\r\n> 日x本\x1b[2D"


WIDE_AND_NARROW = st.text(st.sampled_from("ab 日\u0301👍\n"), max_size=60)


@given(WIDE_AND_NARROW, st.integers(0, 60), st.integers(0, 100))
def test_a_view_is_narrower_than_the_terminal(
    text: str, cursor: int, columns: int
) -> None:
    row, _, back = view("[日本] anna> ", text, cursor, columns).partition("\x1b[")
    assert text_width(row) <= max(columns - 1, 0)
    assert int(back.removesuffix("D") or 0) <= text_width(row)


def test_a_lone_escape_is_a_key(opened: Bench, clock: FakeClock) -> None:
    opened.type("one\r\x12o")
    assert opened.read().endswith("\rsearch 'o': one\x1b[K")
    opened.type("\x1b")
    assert opened.read() == ""
    clock.time += ESCAPE_TIME
    assert opened.read() == "\r> one\x1b[K"


def test_too_much_is_told(opened: Bench) -> None:
    opened.type("\x1b[200~" + "x\n" * 5000)
    opened.read()
    opened.type("\x1b[201~")
    tick_until(opened.loop, lambda: "does not fit" in opened.read())


def test_a_terminal_without_a_size_has_eighty_columns(opened: Bench) -> None:
    resize(opened.slave, 0)
    opened.type("x" * 100)
    assert opened.read() == "\r> <" + "x" * 76 + "\x1b[K"


def test_a_new_size_draws_the_line_anew(opened: Bench) -> None:
    opened.type("abcdefghijklmnop")
    opened.read()
    resize(opened.slave, 10)
    os.kill(os.getpid(), signal.SIGWINCH)
    opened.loop.tick(0.2)
    assert opened.read() == "\r> <klmnop\x1b[K"


@pytest.mark.parametrize("keys", ["\x03", "\x04"])
def test_leaving_by_keys(opened: Bench, keys: str) -> None:
    opened.type("x")
    opened.type("\x7f" + keys)
    assert opened.owner.left == 1


def test_keys_wait_while_it_does_not_listen(opened: Bench) -> None:
    opened.face.listen(False)
    opened.type("x\r")
    assert not opened.owner.lines
    opened.face.listen(True)
    tick_until(opened.loop, lambda: opened.owner.lines == ["x"])


def test_a_terminal_that_has_gone_ends_the_input(loop: Loop) -> None:
    master, slave = pty.openpty()
    owner = FakeOwner()
    face = Terminal(loop, owner, (slave, slave))
    face.open()
    loop.tick(0)
    os.close(master)
    tick_until(loop, lambda: owner.ended)
    face.show(["news"], False)
    loop.tick(0)
    assert isinstance(owner.errors[0], OSError)
    face.close()
    os.close(slave)


def test_what_is_no_terminal_ends_the_input(loop: Loop) -> None:
    reader, writer = os.pipe()
    owner = FakeOwner()
    face = Terminal(loop, owner, (reader, writer))
    face.open()
    assert owner.ended == 1
    face.close()
    os.close(reader)
    os.close(writer)


def test_stopped_the_shell_has_its_terminal(
    opened: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def kill(pid: int, number: int) -> None:
        seen.append((pid, number, opened.settings))
        # As a shell would leave it behind.
        termios.tcsetattr(opened.slave, termios.TCSANOW, opened.before)

    taken = opened.settings
    opened.type("abc")
    opened.read()
    monkeypatch.setattr(os, "kill", kill)
    opened.type("\x1a")
    assert seen == [(0, signal.SIGTSTP, opened.before)]
    assert opened.settings == taken
    assert opened.read() == f"{CLEAR}\r> abc\x1b[K"


def test_continued_from_outside_the_terminal_is_taken_again(opened: Bench) -> None:
    taken = opened.settings
    termios.tcsetattr(opened.slave, termios.TCSANOW, opened.before)
    os.kill(os.getpid(), signal.SIGCONT)
    opened.loop.tick(0.2)
    assert opened.settings == taken
    assert opened.read() == "\r> \x1b[K"


def test_what_waits_is_printed_before_the_end(opened: Bench) -> None:
    opened.type("half")
    opened.read()
    opened.face.show(["KICKED"], False)
    opened.face.close()
    opened.face.flush()
    assert opened.read() == f"{CLEAR}KICKED\r\n"
    assert opened.settings == opened.before


def test_what_is_secret_is_not_shown(opened: Bench) -> None:
    opened.type("before")
    opened.read()
    opened.face.prompt("password: ", True)
    assert opened.read() == "\rpassword: \x1b[K"
    opened.type("sesame\x7f")
    opened.face.show(["news"], False)
    assert opened.read() == f"{CLEAR}news\r\npassword: "
    opened.type("\r")
    assert opened.owner.lines == ["sesam"]
    opened.type("more")
    opened.face.prompt("> ")
    assert opened.read() == "\r> \x1b[K"
    opened.type("x\r")
    assert opened.owner.lines == ["sesam", "x"]
    opened.type("\x1b[A\x1b[A\r")
    assert opened.owner.lines == ["sesam", "x", "x"], "remembered nowhere"


def test_half_a_secret_is_not_left_for_the_shell(opened: Bench) -> None:
    opened.face.prompt("password: ", True)
    opened.read()
    os.write(opened.master, b"sesame")
    ready, _, _ = select.select([opened.slave], [], [], PATIENCE)
    assert ready
    opened.face.close()
    os.write(opened.master, b"ls\n")
    assert os.read(opened.slave, 100) == b"ls\n"
