"""The terminal: a pseudo-terminal whose other end the tests hold."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatroom.client import terminal
from chatroom.client.editor import Editor, Entered
from chatroom.client.keys import END_TIME, ESCAPE_TIME, KeyReader
from chatroom.client.line_history import LineHistory
from chatroom.client.lines import Line, line
from chatroom.client.recall import Recall
from chatroom.client.screen import Area
from chatroom.client.status import Status
from chatroom.client.terminal import AWAY_TIME, KEY_INTERVAL, NEWS_INTERVAL, Terminal
from chatroom.net.loop import Loop
from tests.client.fakes import FakeClock, FakeOwner, tick_until
from tests.client.screen_model import Model
from tests.support.emulator import Emulator
from tests.support.waiting import PATIENCE

TAKEN = {"25", "1004", "2004"}
STATUS = Status("lobby", "tea", "anna", 5)


@dataclass
class Bench:
    """A terminal face, the terminal it is on, and whoever sits before it."""

    loop: Loop
    clock: FakeClock
    face: Terminal
    owner: FakeOwner
    master: int
    slave: int
    before: list[Any]
    emulator: Emulator = field(default_factory=Emulator)
    written: bytes = b""

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due then happen."""
        self.clock.time += seconds
        self.loop.tick(0)
        self.take()

    def settle(self) -> None:
        """Let all that waits be drawn; a lone Escape still waits."""
        self.wait(NEWS_INTERVAL)

    def press(self, keys: str | bytes) -> None:
        """Press *keys* and let the face see them, without time passing."""
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)
        self.loop.tick(PATIENCE)
        self.take()

    def type(self, keys: str | bytes) -> None:
        """Press *keys* after a moment."""
        self.clock.time += KEY_INTERVAL
        self.press(keys)

    def show(self, *texts: str) -> None:
        """Something arrives and is drawn."""
        self.face.show([line(text) for text in texts], True)
        self.settle()

    def take(self) -> None:
        """Let the terminal take what has been written."""
        ready, _, _ = select.select([self.master], [], [], 0)
        while ready:
            data = os.read(self.master, 65536)
            self.written += data
            self.emulator.feed(data)
            ready, _, _ = select.select([self.master], [], [], 0)

    def drawn(self) -> str:
        """What has been written since the last time."""
        self.take()
        data, self.written = self.written, b""
        return data.decode()

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        set_size(self.slave, columns, rows)
        if columns and rows:
            self.emulator.resize(columns, rows)
        self.clock.time += KEY_INTERVAL
        os.kill(os.getpid(), signal.SIGWINCH)
        self.loop.tick(PATIENCE)
        self.take()

    @property
    def screen(self) -> str:
        """What is to be seen, without empty rows around it."""
        self.take()
        return self.emulator.shown

    @property
    def settings(self) -> list[Any]:
        """The terminal's settings now."""
        found: list[Any] = termios.tcgetattr(self.slave)
        return found


def set_size(descriptor: int, columns: int, rows: int) -> None:
    size = struct.pack("HHHH", rows, columns, 0, 0)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, size)


@contextmanager
def made(
    size: tuple[int, int] = (80, 24), history: LineHistory | None = None
) -> Iterator[Bench]:
    """A face that is not open yet."""
    clock = FakeClock()
    loop = Loop(clock)
    master, slave = pty.openpty()
    try:
        set_size(slave, *size)
        owner = FakeOwner()
        before = termios.tcgetattr(slave)
        face = Terminal(loop, owner, descriptors=(slave, slave), history=history)
        emulator = Emulator(*size)
        bench = Bench(loop, clock, face, owner, master, slave, before, emulator)
        yield bench
        face.close()
        bench.take()
        assert bench.settings == before
        assert bench.emulator.modes == {"25"}
        loop.tick(0)
        assert loop.timers == 0
    finally:
        loop.close()
        os.close(slave)
        os.close(master)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A face that is not open yet, on a terminal of 80 columns."""
    with made() as one:
        yield one


@pytest.fixture
def opened(bench: Bench) -> Bench:
    """A face that is open, with a prompt."""
    open_it(bench)
    return bench


def open_it(bench: Bench) -> None:
    bench.face.prompt("> ")
    bench.face.open()
    bench.settle()
    assert bench.screen.endswith(">")
    bench.drawn()


def test_before_it_is_open_it_only_prints(bench: Bench) -> None:
    bench.face.prompt("> ")
    bench.face.status(STATUS)
    bench.show("hello")
    assert bench.drawn().replace("\r\r", "\r") == "hello\r\n"
    assert bench.settings == bench.before
    bench.face.close()
    assert bench.drawn() == ""


def test_the_terminal_is_taken_and_given_back(opened: Bench) -> None:
    assert opened.settings != opened.before
    local = opened.settings[3]
    assert not local & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert os.get_blocking(opened.slave), "it is the shell's as well"
    assert opened.emulator.modes == TAKEN
    opened.face.open()
    opened.face.close()
    assert opened.settings == opened.before
    assert opened.screen == "", "the prompt is gone"
    assert opened.emulator.modes == {"25"}
    opened.face.close()


def test_messages_do_not_tear_the_line(opened: Bench) -> None:
    opened.face.status(STATUS)
    opened.type("half a sen")
    opened.show("12:00 <bob> hello", "12:00 <bob> you there?")
    assert opened.screen == (
        "12:00 <bob> hello\n"
        "12:00 <bob> you there?\n"
        "[lobby] anna | 5 here | tea\n"
        "> half a sen"
    )
    assert opened.emulator.cursor == (3, 12)
    opened.type("tence\x1b[D\x1b[D")
    assert opened.emulator.cursor == (3, 15)
    opened.type("\r")
    assert opened.owner.lines == ["half a sentence"]
    assert opened.screen.endswith("| tea\n>")


def test_a_message_in_the_middle_of_a_character_and_of_a_key(opened: Bench) -> None:
    for data in (b"\xe6", b"\x97", b"\xa5\x1b", b"[", b"A"):
        opened.press(data)
        opened.show("news")
    opened.type("本\r")
    assert opened.owner.lines == ["日本"]


def test_nothing_new_writes_nothing(opened: Bench) -> None:
    opened.type("\t")
    opened.settle()
    assert opened.drawn() == ""


def test_a_key_sends_what_it_is_and_no_more(opened: Bench) -> None:
    opened.show("news")
    opened.type("x")
    opened.drawn()
    opened.type("y")
    assert opened.drawn() == "y"


def test_a_terminal_without_a_size_has_eighty_columns(opened: Bench) -> None:
    opened.resize(0, 0)
    opened.type("x" * 80)
    assert opened.screen == "> " + "x" * 77 + "\n  xxx"


def test_a_new_size_draws_all_anew(opened: Bench) -> None:
    opened.show("a line that is longer than that")
    opened.type("abcdefghijklmnop")
    opened.resize(12, 6)
    assert opened.screen == (
        "a line that\nis longer\nthan that\n> abcdefghi\n  jklmnop"
    )
    opened.resize(1, 1)
    opened.type("q")
    opened.resize(40, 6)
    assert opened.screen == "a line that is longer than that\n> abcdefghijklmnopq"


def test_ctrl_l_draws_all_anew(opened: Bench) -> None:
    opened.show("one")
    opened.emulator.feed(b"\r\n\x1b[1mrubbish of\r\nsomebody else\x1b[0m")
    opened.type("\x0c")
    assert opened.screen == "one\n>"


@pytest.mark.parametrize("keys", ["\x03\x03", "\x04"])
def test_leaving_by_keys(opened: Bench, keys: str) -> None:
    opened.type("x\x04\x7f" + keys[:-1])
    assert opened.owner.left == 0, "not yet"
    opened.type(keys[-1])
    assert opened.owner.left > 0


def test_keys_wait_while_it_does_not_listen(opened: Bench) -> None:
    opened.face.listen(False)
    os.write(opened.master, b"x\r")
    opened.loop.tick(0.05)
    assert not opened.owner.lines
    opened.face.listen(True)
    tick_until(opened.loop, lambda: opened.owner.lines == ["x"])


def test_a_terminal_that_has_gone_ends_the_input(loop: Loop, clock: FakeClock) -> None:
    master, slave = pty.openpty()
    owner = FakeOwner()
    face = Terminal(loop, owner, descriptors=(slave, slave))
    face.open()
    loop.tick(0)
    os.close(master)
    tick_until(loop, lambda: owner.ended)
    face.show([line("news")], False)
    clock.time += NEWS_INTERVAL
    loop.tick(0)
    assert isinstance(owner.errors[0], OSError)
    face.close()
    os.close(slave)


def test_what_is_no_terminal_ends_the_input(loop: Loop) -> None:
    reader, writer = os.pipe()
    owner = FakeOwner()
    face = Terminal(loop, owner, descriptors=(reader, writer))
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
        opened.take()
        modes = opened.emulator.modes.copy()
        seen.append((pid, number, opened.settings, modes, opened.screen))
        # As a shell would leave it behind.
        termios.tcsetattr(opened.slave, termios.TCSANOW, opened.before)
        os.write(opened.slave, b"$ fg\n")

    taken = opened.settings
    opened.show("one")
    opened.type("abc")
    monkeypatch.setattr(os, "kill", kill)
    opened.type("\x1a")
    assert seen == [(0, signal.SIGTSTP, opened.before, {"25"}, "one")]
    assert opened.settings == taken
    opened.settle()
    assert opened.emulator.modes == TAKEN
    assert opened.screen == "one\n$ fg\n> abc"
    assert opened.emulator.cursor == (2, 5)


def test_continued_from_outside_the_terminal_is_taken_again(opened: Bench) -> None:
    taken = opened.settings
    opened.type("abc")
    termios.tcsetattr(opened.slave, termios.TCSANOW, opened.before)
    os.write(opened.slave, b"\nstopped\n\x1b[?2004l")
    os.kill(os.getpid(), signal.SIGCONT)
    opened.wait(KEY_INTERVAL)
    assert opened.settings == taken
    assert opened.emulator.modes == TAKEN
    assert opened.screen == "> abc\nstopped\n> abc"


def test_what_waits_is_printed_before_the_end(opened: Bench) -> None:
    opened.face.status(STATUS)
    opened.type("half")
    opened.face.show([line("KICKED")], False)
    opened.face.close()
    opened.face.flush()
    assert opened.screen == "KICKED"
    assert opened.emulator.cursor == (1, 0)
    assert opened.settings == opened.before


def test_all_is_given_back_though_nothing_can_be_drawn(
    opened: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(opened.face._screen, "draw", fail)
    with pytest.raises(ZeroDivisionError):
        opened.face.close()
    opened.take()
    assert opened.settings == opened.before
    assert opened.emulator.modes == {"25"}
    monkeypatch.undo()


def test_what_is_secret_is_not_shown(opened: Bench) -> None:
    opened.type("before")
    opened.face.prompt("password: ", True)
    opened.settle()
    assert opened.screen == "password:"
    opened.type("sesame\x7f")
    opened.show("news")
    assert opened.screen == "news\npassword:"
    opened.type("\r")
    assert opened.owner.lines == ["sesam"]
    opened.type("more")
    opened.face.prompt("> ")
    opened.settle()
    assert opened.screen == "news\n>"
    opened.type("x\r")
    assert opened.owner.lines == ["sesam", "x"]


def test_nothing_of_a_key_is_ever_written(opened: Bench) -> None:
    for key in "/op Жщ-фЖщ_":
        opened.type(key)
    opened.show("news")
    assert opened.screen == "news\n> /op *******"
    opened.type("\x1b[DQ\x01\x05")
    assert opened.screen == "news\n> /op ********"
    opened.resize(40, 10)
    opened.type("\r")
    opened.type("\x1b[A")
    opened.type("/op")
    opened.type(" \x1b[200~Жщ-QQ\x1b[201~\x01x")
    opened.settle()
    assert opened.owner.lines == ["/op Жщ-фЖщQ_"]
    assert not {*"ЖщфQ"} & {*opened.drawn()}


def test_half_a_key_is_not_left_for_the_shell(opened: Bench) -> None:
    opened.type("/op ses")
    os.write(opened.master, b"ame")
    ready, _, _ = select.select([opened.slave], [], [], PATIENCE)
    assert ready
    opened.face.close()
    os.write(opened.master, b"ls\n")
    assert os.read(opened.slave, 100) == b"ls\n"


def test_half_a_secret_is_not_left_for_the_shell(opened: Bench) -> None:
    opened.face.prompt("password: ", True)
    opened.settle()
    os.write(opened.master, b"sesame")
    ready, _, _ = select.select([opened.slave], [], [], PATIENCE)
    assert ready
    opened.face.close()
    os.write(opened.master, b"ls\n")
    assert os.read(opened.slave, 100) == b"ls\n"


# -- hints, questions, sounds ---------------------------------------------------


def test_hints_stand_above_the_status(opened: Bench) -> None:
    opened.face.status(STATUS)
    opened.owner.objections["HELLO"] = "Enter again to send"
    opened.type("HELLO\r")
    assert opened.screen == (
        "Enter again to send\n[lobby] anna | 5 here | tea\n> HELLO"
    )
    opened.show("news")
    opened.type("\r")
    assert opened.owner.lines == ["HELLO"]
    assert opened.screen == "news\n[lobby] anna | 5 here | tea\n>"


def test_a_lone_escape_is_a_key_after_a_moment(opened: Bench) -> None:
    opened.type("\x1b[200~" + "x\r" * 20 + "\x1b[201~")
    assert opened.screen.startswith("paste of 20 lines")
    opened.type("\x1b")
    assert "paste of" in opened.screen
    opened.wait(ESCAPE_TIME)
    opened.wait(KEY_INTERVAL)
    assert opened.screen == ">"
    opened.type("\x1b")
    opened.type("[D")
    opened.wait(ESCAPE_TIME)
    opened.type("y")
    assert opened.screen == "> y", "the rest came in time"


def test_a_paste_whose_end_never_comes_does_not_hold_the_keyboard(
    opened: Bench,
) -> None:
    opened.type("\x1b[200~torn")
    opened.wait(END_TIME / 2)
    opened.type(" off")
    opened.wait(END_TIME - KEY_INTERVAL)
    assert opened.screen == ">"
    opened.wait(KEY_INTERVAL)
    assert opened.screen == "> torn off"
    opened.type("!\r")
    assert opened.owner.lines == ["torn off!"]


def test_a_paste_that_is_not_marked_is_one_all_the_same(opened: Bench) -> None:
    opened.type("line\r" * 20)
    opened.wait(ESCAPE_TIME)
    opened.wait(KEY_INTERVAL)
    assert opened.screen.startswith("paste of 20 lines")
    assert opened.owner.lines == []


def test_the_bell_rings_once_with_what_is_shown(opened: Bench) -> None:
    opened.face.bell()
    opened.face.bell()
    assert opened.emulator.bells == 0
    opened.show("bob: anna!")
    assert opened.emulator.bells == 1
    opened.show("more")
    assert opened.emulator.bells == 1


def test_lines_are_kept_between_runs(tmp_path: Path) -> None:
    history = LineHistory(tmp_path / "history")
    for keys, lines in (("one\r", ["one"]), ("\x1b[A\r", ["one"])):
        with made(history=history) as bench:
            open_it(bench)
            bench.type(keys)
            assert bench.owner.lines == lines


# -- whether anybody reads ------------------------------------------------------


def test_the_focus_tells_whether_anybody_reads(opened: Bench) -> None:
    opened.type("\x1b[O")
    opened.type("\x1b[O")
    opened.type("\x1b[I")
    assert opened.owner.looks == [False, True]
    opened.type("\x1b[O")
    opened.type("x")
    assert opened.owner.looks == [False, True, False, True], "a key is a sign, too"


def test_whoever_stops_it_does_not_read_on(
    opened: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: opened.owner.looks.append(True))
    opened.type("\x1a")
    assert opened.owner.looks == [False, True], "told before it is stopped"
    opened.type("x")
    assert opened.owner.looks == [False, True, True]


def test_nobody_reads_who_has_pressed_no_key_for_long(opened: Bench) -> None:
    opened.wait(AWAY_TIME / 2)
    opened.type("x")
    opened.wait(AWAY_TIME / 2)
    opened.wait(AWAY_TIME / 2 - 1)
    assert opened.owner.looks == []
    opened.wait(1)
    assert opened.owner.looks == [False]
    opened.wait(2 * AWAY_TIME)
    opened.type("y")
    assert opened.owner.looks == [False, True]
    opened.wait(AWAY_TIME)
    assert opened.owner.looks == [False, True, False]


# -- the pace -------------------------------------------------------------------


def test_a_key_is_drawn_at_once_and_many_are_drawn_together(opened: Bench) -> None:
    opened.type("a")
    assert opened.screen == "> a"
    opened.press("b")
    opened.press("c")
    assert opened.screen == "> a"
    opened.wait(KEY_INTERVAL * 0.9)
    assert opened.screen == "> a"
    opened.wait(KEY_INTERVAL * 0.1)
    assert opened.screen == "> abc"
    opened.wait(KEY_INTERVAL)
    opened.press("d")
    assert opened.screen == "> abcd"


def test_news_wait_a_little_and_a_key_brings_them_along(opened: Bench) -> None:
    opened.show("one")
    opened.face.show([line("two")], True)
    opened.wait(NEWS_INTERVAL * 0.9)
    assert opened.screen == "one\n>"
    opened.press("x")
    assert opened.screen == "one\ntwo\n> x", "a key does not wait for news"
    opened.face.show([line("three")], True)
    opened.wait(NEWS_INTERVAL)
    assert opened.screen == "one\ntwo\nthree\n> x"


def test_there_are_never_more_than_thirty_draws_a_second(
    opened: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws: list[float] = []
    real = opened.face._write

    def write(text: str) -> None:
        if text:
            draws.append(opened.clock.time)
        real(text)

    monkeypatch.setattr(opened.face, "_write", write)
    start = opened.clock.time
    for number in range(1000):
        opened.face.show([line(f"news {number}")], True)
        opened.clock.time = start + number / 500
        if number % 3 == 0:
            opened.press("x")
        else:
            opened.loop.tick(0)
        opened.take()
    assert 40 < len(draws) <= 62
    for first in draws:
        assert sum(first <= other < first + 1 for other in draws) <= 31
    opened.settle()
    shown = [*opened.emulator.scrollback, *opened.emulator.screen]
    found = [row for row in shown if row.startswith("news")]
    assert found == [f"news {number}" for number in range(1000)]
    assert opened.screen.count("x") == 334


def test_a_burst_is_written_in_pieces_and_whole(
    opened: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def take(_: int, data: bytes) -> None:
        sizes.append(len(data))
        opened.emulator.feed(data)

    monkeypatch.setattr(terminal, "write_all", take)
    lines = [f"line {number:05}" for number in range(10_000)]
    opened.face.show([line(text) for text in lines], True)
    opened.type("x")
    shown = [*opened.emulator.scrollback, *opened.emulator.screen]
    assert shown == [*lines, "> x"]
    assert max(sizes) < 16_384
    monkeypatch.undo()


# -- all of it ------------------------------------------------------------------

TEXTS = st.text(st.sampled_from("ab  日é\u0301👍\ufe0f"), max_size=30)
PASTED = "\x1b[200~{}\n\x1b[201~"
KEYS = st.lists(
    st.sampled_from(
        "a b é 日 e\u0301 👍 \x7f \r \x1b[D \x1b[C \x01 \x05 \x17".split(" ")
    )
    | TEXTS.map(PASTED.format),
    min_size=1,
    max_size=6,
).map("".join)
SIZES = st.tuples(st.integers(1, 25), st.integers(1, 8))
STEPS = st.lists(
    st.tuples(st.just("keys"), KEYS)
    | st.tuples(
        st.just("news"), st.lists(st.builds(line, TEXTS), min_size=1, max_size=3)
    )
    | st.tuples(st.just("size"), SIZES),
    max_size=10,
)


@given(SIZES, STEPS, st.booleans())
@example(
    (4, 4), [("keys", PASTED.format("\u0301\ufe0f")), ("keys", PASTED.format(""))], True
)
def test_whatever_happens_the_screen_is_what_the_model_says(
    size: tuple[int, int], steps: list[tuple[str, Any]], reflows: bool
) -> None:
    keys, editor, model = KeyReader(), Editor(Recall()), Model(*size)
    entered: list[str] = []

    def area() -> Area:
        return Area("> ", editor.text, editor.cursor, STATUS)

    with made(size) as bench:
        bench.emulator.reflows = reflows
        bench.face.prompt("> ")
        bench.face.status(STATUS)
        bench.face.open()
        bench.settle()
        model.draw([], area())
        for kind, what in steps:
            lines: list[Line] = []
            if kind == "keys":
                for key in keys.feed(what.encode()):
                    events = editor.press(key)
                    entered += [e.text for e in events if isinstance(e, Entered)]
                bench.type(what)
            elif kind == "news":
                lines = what
                bench.face.show(what, True)
                bench.settle()
            else:
                bench.resize(*what)
                model.size = what
                model.repaint(area())
            model.draw(lines, area())
            assert bench.emulator.screen == model.screen
            assert bench.emulator.row == model.cursor_row
        assert bench.owner.lines == entered
