"""The client and a server that goes away and comes again.

The server is killed as by the loss of power, and started anew at its old port; the
client's first try comes within a second.  What the file holds is asked of the server,
by a peer that shares no code with either.
"""

import json
import os
import re
import select
import signal
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.integration.test_client import Piped, Typist
from tests.support.peer import Frame, texts
from tests.support.server import Server
from tests.support.waiting import PATIENCE


class Mortal:
    """A server that can be killed and come back at its port."""

    def __init__(self, start: Start, history: Path | None = None) -> None:
        self._start = start
        self._options: list[str] = ["--rate", "0"]
        if history is not None:
            self._options += ["--history", str(history)]
        self.server = start(*self._options)

    @property
    def address(self) -> tuple[str, int]:
        """Where it is, dead or alive."""
        return self.server.address

    def die(self) -> None:
        """Be killed."""
        self.server.stopped = True
        self.server.kill()

    def rise(self) -> Server:
        """Be there again."""
        self.server = self._start(*self._options, "--port", str(self.address[1]))
        return self.server


@pytest.fixture
def mortal(start: Start, tmp_path: Path) -> Mortal:
    """A server whose history is in a file."""
    return Mortal(start, tmp_path / "history")


def said(page: Frame) -> list[str]:
    """The texts of a page of history."""
    return [message["text"] for message in page["messages"]]


class Stream:
    """What a client writes, read with a deadline on each line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._data = b""

    def _read(self, deadline: float) -> bool:
        patience = max(0, deadline - time.monotonic())
        ready, _, _ = select.select([self._descriptor], [], [], patience)
        assert ready, f"nothing more; so far {self._data!r}"
        data = os.read(self._descriptor, 65536)
        self._data += data
        return bool(data)

    def line(self) -> str:
        """The next line, without its time."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._data:
            assert self._read(deadline), f"it has ended: {self._data!r}"
        line, _, self._data = self._data.partition(b"\n")
        return re.sub(r"^\d\d:\d\d ", "", line.decode())

    def until(self, words: str) -> None:
        """Read on to a line with these words."""
        while words not in self.line():
            pass

    def rest(self) -> list[str]:
        """All further lines."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        lines = []
        while self._data:
            lines.append(self.line())
        return lines


class Talker(Piped):
    """A client in a pipe, whose streams are read as it goes."""

    def __init__(self, mortal: Mortal, *options: str) -> None:
        super().__init__(mortal.server, *options)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out = Stream(self.process.stdout.fileno())
        self.err = Stream(self.process.stderr.fileno())

    def say(self, *lines: str) -> None:
        """Pipe these lines in."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    def end(self) -> tuple[int, list[str], str]:
        """End the input and wait: the exit code, what else was heard, and told."""
        self.end_input()
        heard, told = self.out.rest(), "\n".join(self.err.rest())
        assert "Traceback" not in told
        return self.process.wait(PATIENCE), heard, told


# -- in a pipe ------------------------------------------------------------------


def test_every_line_comes_once(mortal: Mortal) -> None:
    with Talker(mortal, "--nick", "anna") as anna:
        anna.say("first")
        assert "first" in anna.out.line()
        # Some are answered, some judged, some on their way, some not sent.
        lines = [f"line {number}" for number in range(2000)]
        anna.say(*lines)
        mortal.die()
        anna.say("said to nobody")
        bob = mortal.rise().member("bob")
        code, shown, notices = anna.end()
        heard = texts(bob.recv_until(lambda frame: frame.type == "left"))
        log: list[str] = []
        while len(log) < 2002:
            log += said(bob.history(after=len(log), limit=200))
    everything = ["first", *lines, "said to nobody"]
    assert code == 0
    assert log == everything
    assert heard == log[len(log) - len(heard) :]
    seen = [line.removeprefix("~ ").removeprefix(">anna< ") for line in shown]
    assert ["first", *seen] == everything
    assert "is lost" in notices
    assert "connected to chatroom/" in notices
    assert "you have left" in notices


def test_what_was_missed_comes_out_marked(mortal: Mortal) -> None:
    with Talker(mortal, "--nick", "anna") as anna:
        anna.err.until("you are in lobby")
        mortal.die()
        anna.err.until("is lost")
        bob = mortal.rise().member("bob")
        bob.say("where are you?")
        bob.expect("message")
        assert anna.out.line() in (
            f"missed: <{bob.nick}> where are you?",
            # Where anna was the first to be there.
            f"<{bob.nick}> where are you?",
        )
        code, _, _ = anna.end()
    assert code == 0


def test_json_goes_on(mortal: Mortal) -> None:
    with Talker(mortal, "--nick", "anna", "--json") as anna:
        welcome, _ = json.loads(anna.out.line()), anna.out.line()
        mortal.die()
        anna.err.until("is lost")
        anna.say("back")
        mortal.rise()
        code, lines, _ = anna.end()
    frames = [json.loads(line) for line in lines]
    assert code == 0
    assert [frame["type"] for frame in frames] == ["welcome", "room", "message", "kick"]
    assert frames[0]["session"] == welcome["session"]
    assert frames[2]["text"] == "back"


def test_a_server_that_stops_ends_only_the_connection(mortal: Mortal) -> None:
    with Talker(mortal, "--nick", "anna") as anna:
        anna.err.until("you are in lobby")
        assert mortal.server.stop() == 0
        anna.err.until("(shutdown)")
        mortal.rise()
        anna.err.until("connected to chatroom/")
        code, _, _ = anna.end()
    assert code == 0


def test_a_server_that_stays_away(mortal: Mortal) -> None:
    with Talker(mortal, "--nick", "anna", "--give-up", "1") as anna:
        anna.err.until("you are in lobby")
        mortal.die()
        anna.err.until("is lost")
        anna.say("said to nobody")
        code, notices = anna.finish()
    assert code == 1
    last = notices.splitlines()[-1]
    assert re.fullmatch(
        r"chat-client: .*; given up after 1 s; not sent: 1 line",
        last,
    )


def test_a_signal_while_away(mortal: Mortal) -> None:
    with Talker(mortal) as anna:
        anna.err.until("you are in lobby")
        mortal.die()
        anna.err.until("is lost")
        anna.process.send_signal(signal.SIGTERM)
        code, _ = anna.finish()
    assert code == 128 + signal.SIGTERM


def test_a_server_that_has_forgotten_everything(start: Start) -> None:
    mortal = Mortal(start)
    with Talker(mortal, "--nick", "anna") as anna:
        anna.say("one", "two")
        assert "one" in anna.out.line()
        assert "two" in anna.out.line()
        mortal.die()
        anna.err.until("is lost")
        anna.say("three")
        bob = mortal.rise().peer()
        anna.err.until("no longer knows your session")
        anna.err.until("the server has another history than before")
        assert anna.out.line() == ">anna< three"
        bob.hello("bob")
        assert said(bob.history(after=0)) == ["three"]
        code, _, _ = anna.end()
    assert code == 0


# -- in a terminal --------------------------------------------------------------


def test_a_person_sees_how_it_stands_and_goes_on(mortal: Mortal) -> None:
    with Typist(mortal.server, "--nick", "anna") as anna:
        anna.look("[lobby] anna")
        anna.type("half a sen")
        anna.look("> half a sen")
        mortal.die()
        anna.look("is lost", "next try in 1 s", "> half a sen")
        anna.type("tence\r")
        anna.look("kept: it is said when the connection is back")
        anna.type("next")
        bob = mortal.rise().member("bob")
        anna.look(
            "connected to chatroom/", "< half a sentence", "[lobby] anna", "> next"
        )
        anna.type("\r")
        bob.recv_until(lambda frame: frame.get("text") == "next")
        assert said(bob.history(after=0)) == ["half a sentence", "next"]
        anna.type("/quit\r")
        assert anna.wait() == 0


def test_what_a_person_missed_is_marked(mortal: Mortal) -> None:
    with Typist(mortal.server, "--nick", "anna") as anna:
        anna.look("[lobby] anna")
        # Away for a while, as in a train: all that happens is missed.
        anna.process.send_signal(signal.SIGSTOP)
        try:
            mortal.die()
            bob = mortal.rise().member("bob")
            for text in ("one", "two"):
                bob.say(text)
                bob.expect("message")
        finally:
            anna.process.send_signal(signal.SIGCONT)
        anna.look("is lost")
        shown = anna.look("from here on it is live", "[lobby] anna")
        assert "what you missed:" in shown
        assert re.search(r"~ <bob\d+> one\n.*~ <bob\d+> two\n", shown, re.DOTALL)
        bob.expect("joined")
        bob.say("three")
        (row,) = (row for row in anna.look("three").split("\n") if "three" in row)
        assert "~" not in row
        anna.type("\x04")
        assert anna.wait() == 0


def test_quit_while_away(mortal: Mortal) -> None:
    with Typist(mortal.server, "--nick", "anna") as anna:
        anna.look("[lobby] anna")
        mortal.die()
        anna.look("is lost", "next try")
        anna.type("to nobody\r/quit\r")
        assert anna.wait() == 0
    assert "not sent: 1 line" in anna.screen
