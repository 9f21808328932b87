"""The client as its users meet it: in pipes, on files, in a terminal.

Nothing is shared with it but its command line; what it shows is read from a pipe or
from the other end of a pseudo-terminal, and every wait has a deadline.
"""

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.integration.conftest import Start
from tests.support.emulator import Emulator
from tests.support.peer import Peer, encode, texts
from tests.support.server import ROOT, Server
from tests.support.waiting import PATIENCE, fresh, wait_for

OPTIONS = ("--rate", "0")
PROGRAM = str(ROOT / "bin" / "chat-client")
LONG = 30.0
"""Seconds that a client may run which has much to do."""


def command(server: Server | tuple[str, int], *options: str) -> list[str]:
    """The command line of a client of this server."""
    host, port = server.address if isinstance(server, Server) else server
    return [sys.executable, PROGRAM, f"{host}:{port}", *options]


def run(
    server: Server | tuple[str, int],
    *options: str,
    said: str | bytes = b"",
    **files: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run a client to its end, with `said` as its input if not told otherwise."""
    if "stdin" not in files:
        files["input"] = said.encode() if isinstance(said, str) else said
    if "stdout" not in files:
        files["stdout"] = subprocess.PIPE
    done = subprocess.run(
        command(server, *options),
        stderr=subprocess.PIPE,
        timeout=LONG,
        check=False,
        **files,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def heard(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What members said, by its stdout, without times."""
    return [line[6:] for line in done.stdout.decode().splitlines()]


# -- in a pipe ------------------------------------------------------------------


def test_what_is_piped_in_is_said_and_comes_out(server: Server) -> None:
    (bob,) = server.crew("bob")
    room, nick = fresh("room"), fresh("anna")
    bob.send("join", room=room)
    bob.expect("room", room=room)
    said = "one\n\n  \n/nick x\n//y\nzwei ü 👍\r\nlast"
    done = run(server, "--nick", nick, "--room", room, said=said)
    assert done.returncode == 0
    expected = ["one", "/nick x", "//y", "zwei ü 👍", "last"]
    assert heard(done) == [f">{nick}< {text}" for text in expected]
    bob.expect("joined", nick=nick)
    frames = bob.recv_until(lambda frame: frame.type == "left")
    assert texts(frames) == expected
    assert frames[-1]["reason"] == "leave"
    notices = done.stderr.decode()
    assert f"you are in {room}" in notices
    assert "you have left" in notices


def test_five_hundred_lines_all_arrive(server: Server) -> None:
    (bob,) = server.crew("bob")
    room = fresh("room")
    bob.send("join", room=room)
    bob.expect("room", room=room)
    lines = [f"line {number}" for number in range(500)]
    done = run(server, "--nick", fresh("anna"), "--room", room, said="\n".join(lines))
    assert done.returncode == 0
    assert [line.partition("< ")[2] for line in heard(done)] == lines
    assert texts(bob.recv_until(lambda frame: frame.type == "left")) == lines


def test_a_server_that_reads_slowly_gets_them_all(start: Start) -> None:
    server = start("--rate", "200", "--burst", "5", "--rate-bytes", "0")
    said = "".join(f"line {number} {'x' * 2000}\n" for number in range(400))
    done = run(server, said=said)
    assert done.returncode == 0
    assert len(heard(done)) == 400


@pytest.mark.parametrize("kind", ["file", "empty file", "/dev/null", "closed"])
def test_input_need_not_be_a_pipe(server: Server, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "input"
    path.write_text("one\ntwo\n" if kind == "file" else "")
    if kind == "closed":
        shell = ["sh", "-c", 'exec "$@" <&-', "sh", *command(server)]
        done = subprocess.run(shell, capture_output=True, timeout=LONG, check=False)
        assert b"Traceback" not in done.stderr
    else:
        with open(os.devnull if kind == "/dev/null" else path, "rb") as file:
            done = run(server, stdin=file)
    assert done.returncode == 0, done.stderr
    assert len(heard(done)) == (2 if kind == "file" else 0)


def test_json_is_every_frame_a_line(server: Server) -> None:
    done = run(server, "--nick", fresh("anna"), "--json", said="ünï\n")
    assert done.returncode == 0
    assert done.stderr == b""
    frames = [json.loads(line) for line in done.stdout.splitlines()]
    assert [frame["type"] for frame in frames] == ["welcome", "room", "message", "kick"]
    assert frames[2]["text"] == "ünï"
    assert done.stdout.isascii()


def test_what_is_no_text_is_told_and_the_rest_is_said(server: Server) -> None:
    said = b"one\n\xff\xfe\n" + b"x" * 5000 + b"\n" + b"y" * 100_000 + b"\n\x1b[2J\ntwo"
    done = run(server, said=said)
    assert done.returncode == 0
    assert [line.partition("< ")[2] for line in heard(done)] == ["one", "two"]
    notices = done.stderr.decode()
    assert "line 2 is not UTF-8" in notices
    assert "5000 characters; 4000 are allowed" in notices
    assert "line 4 is longer than 4000 characters" in notices
    assert "U+001B" in notices


def test_leaving_by_saying_so_is_zero(server: Server) -> None:
    done = run(server, said="hello\n!leave\nnever said\n")
    assert done.returncode == 0
    assert len(heard(done)) == 1


def test_shouting_is_warned_and_kicked_with_three(server: Server) -> None:
    done = run(server, said="FIRST\nin between\nSECOND\nnever said\n")
    assert done.returncode == 3
    assert len(heard(done)) == 1
    notices = done.stderr.decode()
    assert "*** WARNING: " in notices
    assert "*** KICKED (shouting): " in notices


def test_where_nobody_listens_is_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
    done = run(address)
    assert done.returncode == 1
    expected = f"chat-client: cannot connect to 127.0.0.1:{address[1]}: "
    assert done.stderr.decode() == expected + "Connection refused\n"


def test_a_nick_that_is_taken_is_one(server: Server) -> None:
    bob = server.member("bob")
    done = run(server, "--nick", bob.nick, said="hello\n")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("chat-client: 127.0.0.1:")
    assert bob.nick in line


@pytest.mark.parametrize("options", [["--nick", "!"], ["a:b"], ["--room", "X"], ["-x"]])
def test_a_wrong_command_line_is_two(options: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, *options],
        capture_output=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == b""


class Piped:
    """A client whose input stays open."""

    def __init__(self, server: Server, *options: str, **files: Any) -> None:
        self.process = subprocess.Popen(
            command(server, *options),
            stdin=subprocess.PIPE,
            stdout=files.get("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def end_input(self) -> None:
        """Pipe nothing more in."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None  # Else communicate() flushes it.

    def finish(self) -> tuple[int, str]:
        """Wait for its end, its input still open; give its exit code and stderr."""
        code = self.process.wait(LONG)
        assert self.process.stderr is not None
        notices = self.process.stderr.read().decode()
        assert "Traceback" not in notices, notices
        return code, notices


@pytest.fixture
def lurker(server: Server) -> Iterator[tuple[Piped, Peer]]:
    """A piped client that only listens, and somebody in its room."""
    room = fresh("room")
    bob = server.member("bob", room=room)
    with Piped(server, "--nick", fresh("anna"), "--room", room) as piped:
        bob.expect("joined")
        bob.say("welcome")
        bob.expect("message")
        assert piped.process.stdout is not None
        assert b"welcome" in piped.process.stdout.readline()
        yield piped, bob


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves(lurker: tuple[Piped, Peer], number: signal.Signals) -> None:
    piped, bob = lurker
    piped.process.send_signal(number)
    assert piped.process.wait(PATIENCE) == 128 + number
    bob.expect("left", reason="leave")


def test_a_reader_that_goes_away_ends_it_quietly(
    lurker: tuple[Piped, Peer],
) -> None:
    piped, bob = lurker
    assert piped.process.stdout is not None
    piped.process.stdout.close()
    bob.say("is anybody there?")
    assert piped.process.wait(PATIENCE) == 1
    bob.expect("left", skip=("message",))
    assert piped.process.stderr is not None
    assert b"Traceback" not in piped.process.stderr.read()


def test_a_reader_that_waits_gets_everything(start: Start) -> None:
    server = start("--rate", "0", "--ping-interval", "0.5", "--idle-timeout", "2")
    bob = server.member("bob")
    with Piped(server) as piped:
        bob.expect("joined", skip=("ping",))
        for number in range(100):
            bob.say(f"{number} {'x' * 3900}")
            bob.expect("message", skip=("ping",))
        # Longer than the idle time: pings are answered though nobody reads.
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            bob.sync()
            time.sleep(0.1)
        server.peers.remove(bob)
        bob.close()
        assert piped.process.stdout is not None
        lines = [piped.process.stdout.readline() for _ in range(100)]
        assert [int(line.split()[2]) for line in lines] == list(range(100))
        piped.end_input()
        code, _ = piped.finish()
    assert code == 0


def test_a_reader_that_comes_late_gets_everything(
    lurker: tuple[Piped, Peer],
) -> None:
    piped, bob = lurker
    for _ in range(100):
        bob.say("x" * 3900)
    bob.sync()
    piped.end_input()
    bob.expect("left", skip=("message",))
    out, _ = piped.process.communicate(timeout=LONG)
    assert piped.process.returncode == 0
    assert out.count(b"x" * 3900) == 100


def test_a_reader_that_never_reads_does_not_keep_it_alive(
    lurker: tuple[Piped, Peer],
) -> None:
    piped, bob = lurker
    for _ in range(100):
        bob.say("x" * 3900)
    bob.sync()
    piped.end_input()
    bob.expect("left", skip=("message",))
    # All is over but for the reader: now it ends as any program does.  (The first
    # signal may still find it on its way there.)

    def ended() -> bool:
        piped.process.send_signal(signal.SIGTERM)
        return piped.process.poll() is not None

    wait_for(ended, "its end")
    assert piped.process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_both_streams_in_one_file_keep_their_order(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "both"
    with path.open("wb") as file:
        subprocess.run(
            command(server, "--room", fresh("room")),
            input=b"one\nTWO\nthree\n",
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=LONG,
            check=True,
        )
    kinds = [line.split()[1] for line in path.read_text().splitlines()]
    assert len(kinds) == 6
    assert kinds[0] == kinds[1] == kinds[-1] == "--"
    assert kinds[3] == "***"


# -- a server that is none ------------------------------------------------------


@pytest.fixture
def impostor() -> Iterator[socket.socket]:
    """A listening socket; the test answers for it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\0\0\0\0",
        b"\0\0\0\2[]",
        b"\0\0\0\2{}",
        encode("welcome", version="1"),
        encode("message", id=1),
        encode("members", room="x", members=[1], more=False),
        b"\xff" * 70000,
        b"",
    ],
)
def test_a_malformed_server_is_one_clear_line(
    impostor: socket.socket, answer: bytes
) -> None:
    address = impostor.getsockname()
    client = subprocess.Popen(
        command(address),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        peer, _ = impostor.accept()
        with peer:
            peer.settimeout(PATIENCE)
            peer.recv(65536)
            peer.sendall(answer)
            peer.shutdown(socket.SHUT_WR)
            out, notices = client.communicate(timeout=PATIENCE)
    finally:
        client.kill()
        client.communicate()
    assert client.returncode == 1
    assert out == b""
    (line,) = notices.decode().splitlines()
    assert line.startswith("chat-client: ")
    assert line.isprintable()


# -- in a terminal --------------------------------------------------------------


class Typist:
    """A client in a terminal of its own, and the person before it."""

    def __init__(
        self,
        server: Server | tuple[str, int],
        *options: str,
        columns: int = 80,
        rows: int = 24,
        term: str = "xterm",
        argv: Sequence[str] = (),
    ) -> None:
        self.master, self.slave = pty.openpty()
        self.emulator = Emulator(columns, rows)
        self._set_size(columns, rows)
        self.before = self.settings
        self._screen = b""
        environment = os.environ | {"TERM": term}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            argv or command(server, *options),
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=environment,
            start_new_session=True,
            # It is its own terminal, as in a window: Ctrl-Z needs that.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self.master)
        os.close(self.slave)

    @property
    def settings(self) -> list[Any]:
        """The terminal's settings now."""
        found: list[Any] = termios.tcgetattr(self.slave)
        return found

    def _set_size(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self.emulator.resize(columns, rows)
        self._set_size(columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    @property
    def slept(self) -> int:
        """How often the client has waited for something to happen."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    def type(self, keys: str | bytes) -> None:
        """Press these keys."""
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    def read_until(self, found: Callable[[str], object]) -> str:
        """Read what is written until it is as wanted; give it, and forget it."""
        deadline = time.monotonic() + PATIENCE
        data = b""
        while not found(data.decode(errors="ignore")):
            assert time.monotonic() < deadline, f"not seen; so far {data!r}"
            data += self._read(0.1)
        self._screen += data
        return data.decode(errors="ignore")

    def _read(self, patience: float) -> bytes:
        ready, _, _ = select.select([self.master], [], [], patience)
        data = os.read(self.master, 65536) if ready else b""
        self.emulator.feed(data)
        return data

    def see(self, *texts: str) -> str:
        """Read until all these texts have come, wherever they stand."""
        return self.read_until(lambda seen: all(text in seen for text in texts))

    def look(self, *texts: str) -> str:
        """Read until all these texts are on the screen; give what is on it.

        There is no cursor in the middle of a draw, which may come in pieces.
        """
        deadline = time.monotonic() + PATIENCE
        while "25" not in self.emulator.modes or not all(
            text in self.emulator.shown for text in texts
        ):
            assert time.monotonic() < deadline, f"not seen: {self.emulator.shown}"
            self._screen += self._read(0.1)
        return self.emulator.shown

    @property
    def screen(self) -> str:
        """All that was ever written."""
        return self._screen.decode()

    def wait(self, crashes: bool = False) -> int:
        """Wait for its end; give its exit code, with the terminal as it was before."""
        deadline = time.monotonic() + PATIENCE
        # Read all the while: it may have more to write than a terminal holds.
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on: {self.screen}"
            self._screen += self._read(0.01)
        while data := self._read(0):
            self._screen += data
        assert ("Traceback" in self.screen) == crashes, self.screen
        assert self.settings == self.before
        assert self.emulator.modes == {"25"}, "all modes are as they were"
        return self.process.returncode


@pytest.fixture
def pair(server: Server) -> Iterator[tuple[Typist, Peer]]:
    """A person at a terminal, and somebody in the same room."""
    room = fresh("room")
    bob = server.member("bob", room=room)
    with Typist(server, "--nick", fresh("anna"), "--room", room) as anna:
        bob.expect("joined")
        anna.look(f"[{room}] anna")
        yield anna, bob


def test_an_arriving_message_leaves_the_typed_text_intact(
    pair: tuple[Typist, Peer],
) -> None:
    anna, bob = pair
    anna.type("half a sen")
    anna.look("> half a sen")
    bob.say("are you there?")
    shown = anna.look("are you there?").split("\n")
    assert "are you there?" in shown[-2] + shown[-3]
    assert shown[-1].endswith("> half a sen")
    anna.type("tence\r")
    bob.expect("message", text="are you there?")
    bob.expect("message", text="half a sentence")
    anna.look("< half a sentence")


def test_leaving(pair: tuple[Typist, Peer]) -> None:
    anna, bob = pair
    anna.type("not sent\x03\x03")
    anna.look("Ctrl-C again leaves")
    anna.type("\x03")
    bob.expect("left", reason="leave")
    assert anna.wait() == 0
    assert "you have left" in anna.screen


@pytest.mark.parametrize("keys", ["/quit\r", "!leave\r", "\x04"])
def test_other_ways_to_leave(pair: tuple[Typist, Peer], keys: str) -> None:
    anna, _ = pair
    anna.type(keys)
    assert anna.wait() == 0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
)
def test_a_signal_gives_the_terminal_back(
    pair: tuple[Typist, Peer], number: signal.Signals
) -> None:
    anna, bob = pair
    assert anna.settings != anna.before
    anna.process.send_signal(number)
    assert anna.wait() == 128 + number
    bob.expect("left", reason="leave")


def test_a_warning_and_a_kick_stand_out(pair: tuple[Typist, Peer]) -> None:
    anna, bob = pair
    anna.type("WHERE IS EVERYBODY\r")
    anna.look("strike 1 of 2, a warning; Enter again to send")
    anna.type("\r")
    anna.look("*** WARNING: ")
    assert anna.emulator.style_of("*** WARNING: ") == "1;7;31"
    anna.look("strikes 1/2")
    anna.type("HELLO\r")
    anna.look("strike 2 of 2, a kick; Enter again to send")
    anna.type("\r")
    assert anna.wait() == 3
    assert "\x1b[1;7;31m*** KICKED (shouting): " in anna.screen
    bob.expect("left", reason="shouting")


def test_a_terminal_that_is_closed_ends_it(server: Server) -> None:
    nick, room = fresh("anna"), fresh("room")
    bob = server.member("bob", room=room)
    with Typist(server, "--nick", nick, "--room", room) as anna:
        anna.look(f"[{room}] {nick}")
        bob.expect("joined")
        os.close(anna.master)
        anna.process.wait(PATIENCE)
        bob.expect("left")
        anna.master = os.open(os.devnull, os.O_RDONLY)


def test_commands(pair: tuple[Typist, Peer]) -> None:
    anna, bob = pair
    anna.type("/help\r")
    anna.see("/history [N]", "!leave", "//text")
    nick = fresh("eve")
    anna.type(f"/nick {nick}\r")
    bob.expect("renamed", new=nick)
    anna.look(f"] {nick}")
    anna.type("//slash\r")
    bob.expect("message", text="/slash")
    anna.type(f"/msg {bob.nick} between us\r")
    bob.expect("whisper", text="between us")
    anna.type("/who\r")
    anna.see(f"{bob.nick} {nick}")
    anna.type("/history 1\r")
    anna.see("history of", "/slash", "end of history")
    anna.type("/rooms\r")
    anna.see("rooms: ", "(2)")
    room = fresh("room")
    anna.type(f"/join {room}\r")
    bob.expect("left", reason="moved")
    anna.look(f"[{room}] {nick}")
    anna.type("/nothing\r")
    anna.see("there is no /nothing")


def test_a_taken_nick_is_asked_for_again(server: Server) -> None:
    room, nick = fresh("room"), fresh("eve")
    bob = server.member("bob", room=room)
    with Typist(server, "--nick", bob.nick, "--room", room) as anna:
        anna.see("which other nick", "nick: ")
        anna.type(f"{bob.nick}\r")
        anna.see("which other nick", "nick: ")
        anna.type(f"{nick}\r")
        bob.expect("joined", nick=nick)
        anna.look(f"[{room}] {nick}")
        anna.type("\x04")
        assert anna.wait() == 0


def test_characters_and_keys_that_come_in_pieces(pair: tuple[Typist, Peer]) -> None:
    anna, bob = pair
    number = 0
    for keys in ("日", "\x1b[A", "本", "\x1b[1;5C", "ü"):
        for byte in keys.encode():
            number += 1
            bob.say(f"message {number}")
            anna.type(bytes([byte]))
            # Within a sequence nobody waits: a torn one is a key after a moment.
            if keys.isprintable() or chr(byte) == keys[-1]:
                anna.see(f"message {number}")
    anna.type("\r")
    bob.recv_until(lambda frame: frame.get("text") == "日本ü")


def test_a_long_text_goes_on_in_the_next_row(server: Server) -> None:
    room = fresh("room")
    bob = server.member("bob", room=room)
    with Typist(server, "--nick", fresh("anna"), "--room", room, columns=40) as anna:
        bob.expect("joined")
        anna.look(">")
        text = "".join(f"{number:04}" for number in range(40))
        anna.type(text)
        anna.look(text[:8], text[-2:])
        anna.type("\r")
        bob.expect("message", text=text)
        assert not any(row.wraps for row in anna.emulator.grid), "each fits"


def test_a_dumb_terminal_gets_plain_lines(server: Server) -> None:
    room = fresh("room")
    bob = server.member("bob", room=room)
    with Typist(server, "--nick", "dumb", "--room", room, term="dumb") as anna:
        bob.expect("joined")
        bob.say("hello")
        anna.see("<", "hello\r\n")
        anna.type("WHAT\n")
        anna.see("strike 1 of 2, a warning; Enter again to send\r\n")
        anna.type("WHAT\n")
        anna.see("*** WARNING")
        anna.type("/who\n")
        anna.see(f"in {room}: ")
        anna.type("/quit\n")
        assert anna.wait() == 0
        assert "\x1b" not in anna.screen
