"""What a person sees of the client: the real programs, on an emulated terminal.

The emulator takes no byte that is neither a character nor part of a sequence of ours.
"""

import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatroom.client.frames import Fields
from chatroom.client.recall import MAX_LINE
from tests.client.fakes import EVERY_FRAME, MESSAGE, ROOM, WELCOME
from tests.integration.test_client import Typist, command
from tests.support.peer import Peer, encode
from tests.support.server import Server
from tests.support.waiting import PATIENCE, fresh

OPTIONS = ("--rate", "0")
PASTE = "\x1b[200~{}\x1b[201~"
CRASHING = """
import sys
from chatroom.client.dialog import Dialog
from chatroom import cli
def fail(*_):
    raise ZeroDivisionError("a mistake of ours")
Dialog._complete = fail
sys.exit(cli.client())
"""
"""A client in which Tab is a mistake."""


@pytest.fixture
def pair(server: Server) -> Iterator[tuple[Typist, Peer]]:
    """A person at a terminal, and somebody in the same room."""
    room = fresh("room")
    bob = server.member("bob", room=room)
    with Typist(server, "--nick", fresh("anna"), "--room", room) as anna:
        bob.expect("joined")
        anna.look(f"[{room}] anna", "2 here")
        yield anna, bob


@pytest.fixture
def impostor() -> Iterator[socket.socket]:
    """A listening socket; the test answers for it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


# -- the screen -----------------------------------------------------------------


def test_lines_the_status_and_the_text_below_them(pair: tuple[Typist, Peer]) -> None:
    anna, bob = pair
    anna.type("half a sen\x1b[D\x1b[D\x1b[D")
    anna.look("> half a sen")
    for number in range(30):
        bob.say(f"message {number}")
    shown = anna.look("message 29").split("\n")
    assert len(shown) == 24
    assert [row.rpartition("> ")[2] for row in shown[:-2]] == [
        f"message {number}" for number in range(8, 30)
    ]
    assert shown[-2].startswith("[room")
    assert anna.emulator.style_of("2 here") == "7"
    assert shown[-1] == "> half a sen"
    assert anna.emulator.cursor == (23, len("> half a "))
    assert any("message 0" in row for row in anna.emulator.scrollback)


@pytest.mark.parametrize("reflows", [False, True])
def test_any_size_will_do(pair: tuple[Typist, Peer], reflows: bool) -> None:
    anna, bob = pair
    anna.emulator.reflows = reflows
    anna.type("what is being typed")
    for columns, rows in ((40, 12), (1, 1), (2, 3), (5, 2), (120, 40), (80, 24)):
        anna.resize(columns, rows)
        text = f"said to {columns} times {rows}"
        bob.say(text)
        if columns >= 40:
            shown = anna.look(text, "> what is being typed", "2 here").split("\n")
            assert shown[-1] == "> what is being typed"
            assert sum("what is being" in row for row in shown) == 1, "no remains"
    anna.type("\r")
    bob.recv_until(lambda frame: frame.get("text") == "what is being typed")


def test_a_paste_is_one_message(pair: tuple[Typist, Peer]) -> None:
    anna, bob = pair
    anna.type(PASTE.format("one\r\n\ttwo\rthree"))
    assert anna.look("three").endswith("> one\n  ␉two\n  three")
    anna.type("\r")
    bob.expect("message", text="one\n\ttwo\nthree")


def test_a_long_paste_asks_and_a_huge_one_is_refused(
    pair: tuple[Typist, Peer],
) -> None:
    anna, bob = pair
    lines = "\r".join(map(str, range(11)))
    anna.type(PASTE.format(lines))
    anna.look("paste of 11 lines: Enter takes it, Escape drops it")
    anna.type("\x1b")
    anna.read_until(lambda _: "paste of" not in anna.emulator.shown)
    anna.type(PASTE.format(lines) + "\r")
    anna.look("  10")
    anna.type("\x03" + PASTE.format("x\r" * 500_000))
    anna.look(f"at most {MAX_LINE} characters")
    anna.type("here\r")
    bob.expect("message", text="here")


def test_tab_completes_nicks(pair: tuple[Typist, Peer]) -> None:
    anna, bob = pair
    bob.say("who is there?")  # By then anna knows.
    anna.look("who is there?")
    bob.expect("message")
    anna.type("bo\t")
    anna.look(f"> {bob.nick}:")
    anna.type("hi\r")
    bob.expect("message", text=f"{bob.nick}: hi")


def test_what_was_typed_comes_back_in_the_next_run(
    server: Server, tmp_path: Path
) -> None:
    nick, room = fresh("anna"), fresh("room")
    for keys in ("said before\r", "\x1b[A\x1b[A\r"):
        with Typist(server, "--nick", nick, "--room", room) as anna:
            anna.look(f"[{room}]")
            anna.type(keys)
            anna.look(">" + nick + "< said before")
            anna.type("/quit\r")
            assert anna.wait() == 0
    (path,) = (tmp_path / "state").rglob("lines")
    assert path.read_text() == "said before\n/quit\nsaid before\n/quit\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# -- on every way out the terminal is as it was: `wait` looks ---------------------


def test_ctrl_c_twice_leaves(pair: tuple[Typist, Peer]) -> None:
    anna, bob = pair
    anna.type("x\x03\x03")
    anna.look("Ctrl-C again leaves")
    anna.type("\x03")
    assert anna.wait() == 0
    bob.expect("left", reason="leave")
    assert anna.emulator.shown.endswith("you have left")
    assert anna.emulator.column == 0, "the shell begins in a row of its own"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
)
def test_a_signal_in_the_middle_of_it_all(
    pair: tuple[Typist, Peer], number: signal.Signals
) -> None:
    anna, _ = pair
    anna.type(PASTE.format("\r" * 20))
    anna.look("paste of 20 lines")
    anna.process.send_signal(number)
    assert anna.wait() == 128 + number
    assert "paste of" not in anna.emulator.shown


def test_a_kick_is_the_last_that_is_seen(pair: tuple[Typist, Peer]) -> None:
    anna, _ = pair
    for text in ("ONE", "TWO"):
        anna.type(f"half\x15{text}\r")
        anna.look("Enter again to send")
        anna.type("\r")
        anna.read_until(lambda seen: "WARNING" in seen or "KICKED" in seen)
    assert anna.wait() == 3
    assert "KICKED" in anna.emulator.shown
    assert "2 here" not in anna.emulator.shown


def test_a_server_that_dies(impostor: socket.socket) -> None:
    with Typist(impostor.getsockname()) as anna:
        peer, _ = impostor.accept()
        peer.sendall(encode(**WELCOME) + encode(**ROOM))
        anna.look("[lobby] anna")
        impostor.close()
        peer.close()
        anna.look("connection lost")
        assert anna.emulator.style_of("connection lost") == "1;7;31"
        anna.type("\x04")
        assert anna.wait() == 0


def test_a_mistake_of_ours(server: Server) -> None:
    argv = command(server, "--nick", fresh("anna"))
    argv[1:2] = ["-c", CRASHING]
    with Typist(server, argv=argv) as anna:
        anna.look("[lobby]")
        anna.type("half a sentence\t")
        assert anna.wait(crashes=True) == 1
    assert "a mistake of ours" in anna.emulator.shown
    assert "half a sentence" not in anna.emulator.shown


def test_ctrl_z_and_back(server: Server) -> None:
    room = fresh("room")
    client = command(server, "--nick", fresh("anna"), "--room", room)
    script = 'set -m; "$@"; echo stopped; read go; fg; exit $?'
    with Typist(server, argv=["sh", "-c", script, "sh", *client]) as anna:
        anna.look(f"[{room}]")
        taken = anna.settings
        anna.type("half")
        anna.look("> half")
        anna.type("\x1a")
        shown = anna.look("stopped")
        assert "> half" not in shown
        assert anna.settings == anna.before
        assert anna.emulator.modes == {"25"}
        anna.type("go\r")
        anna.look("> half")
        assert anna.settings == taken
        assert anna.emulator.modes == {"25", "1004", "2004"}
        anna.type("\x03\x04")
        assert anna.wait() == 0


# -- nobody else's sequences ----------------------------------------------------

EVIL = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x202E, 0x2066]))
EVIL += "\x1b]52;c;eA==\x07\x1b[c\x1bP$q\x1b\\\x1b[?1000h"


def poisoned(value: Any) -> Any:
    """The same with every control character in each of its texts."""
    match value:
        case str():
            return value + EVIL
        case list():
            return [poisoned(item) for item in value]
        case dict():
            return {
                key: item if key == "type" else poisoned(item)
                for key, item in value.items()
            }
        case _:
            return value


def test_nothing_that_a_server_sends_reaches_the_terminal_as_a_control(
    impostor: socket.socket,
) -> None:
    frames: list[Fields] = [
        *(frame for frame in EVERY_FRAME if frame["type"] not in ("welcome", "kick")),
        *(MESSAGE | {"id": 2 + n, "at": at} for n, at in enumerate((10**18, -1, 1.5))),
        {"type": "unheard-of", "text": "x"},
        {"type": "kick", "reason": "banned", "text": "x"},
    ]
    with Typist(impostor.getsockname(), "--bell", "off") as anna:
        peer, _ = impostor.accept()
        with peer:
            peer.settimeout(PATIENCE)
            peer.sendall(encode(**poisoned(WELCOME)) + encode(**poisoned(ROOM)))
            anna.look("welcome to", "you are in", "/help")
            anna.type("\t")
            peer.sendall(b"".join(encode(**poisoned(frame)) for frame in frames))
            assert anna.wait() == 3
    rows = anna.emulator.scrollback + anna.emulator.screen
    assert any("--:--" in row for row in rows)
    assert "␛]52;c;eA==␇" in "".join(row.strip() for row in rows)
    assert anna.emulator.bells == 0
    assert all(row.isprintable() for row in rows)
