"""The parts of the client, put together."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest

from chatroom.client import app
from chatroom.client.client import Client
from chatroom.client.lines import Paint
from chatroom.client.options import Options
from chatroom.client.plain import Plain
from chatroom.client.render import Renderer
from chatroom.client.terminal import Terminal
from chatroom.errors import ConnectError, UsageError
from chatroom.net.loop import Loop
from tests.support.server import ROOT


@pytest.fixture
def terminals() -> Iterator[set[int]]:
    """The descriptors that are taken for terminals."""
    found: set[int] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "isatty", lambda descriptor: descriptor in found)
        yield found


@pytest.mark.parametrize(
    ("ttys", "term", "full"),
    [
        ({0, 1, 2}, "xterm", True),
        ({0, 1}, "xterm", True),
        ({0, 1, 2}, "dumb", False),
        ({0, 1, 2}, "", False),
        ({1, 2}, "xterm", False),
        ({0, 2}, "xterm", False),
    ],
)
def test_a_terminal_is_drawn_on_where_there_is_a_whole_one(
    terminals: set[int],
    monkeypatch: pytest.MonkeyPatch,
    ttys: set[int],
    term: str,
    full: bool,
) -> None:
    terminals |= ttys
    monkeypatch.setenv("TERM", term)
    assert app._has_full_terminal() == full


@pytest.mark.parametrize(
    ("value", "paint"),
    [(None, Paint.COLOUR), ("", Paint.COLOUR), ("1", Paint.MONO)],
)
def test_no_color_is_honoured(
    monkeypatch: pytest.MonkeyPatch, value: str | None, paint: Paint
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    assert app._paint() is paint


def test_a_terminal_without_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "vt220")
    assert app._paint() is Paint.MONO


def test_faces(loop: Loop, terminals: set[int]) -> None:
    client = Client(loop, Options(), [], Renderer())
    assert isinstance(app._make_face(loop, client, Options(), True), Terminal)
    plain = app._make_face(loop, client, Options(), False)
    assert isinstance(plain, Plain)
    assert not plain.interactive
    terminals.add(0)
    assert app._make_face(loop, client, Options(), False).interactive
    assert not app._make_face(loop, client, Options(json_in=True), False).interactive


def test_what_is_wrong_is_raised() -> None:
    with pytest.raises(UsageError):
        app.main(["--nick", "!"])
    with pytest.raises(ConnectError):
        app.main(["[::1]:1", "--json"])


def test_a_crash_gives_the_terminal_back() -> None:
    """Whatever breaks, and wherever."""
    program = (
        "import sys, termios\n"
        "from chatroom.client import app, client, connection\n"
        "from chatroom.client.terminal import Terminal\n"
        "def start(self):\n"
        "    self.face.open()\n"
        "    assert termios.tcgetattr(0) != before\n"
        "    self._loop.call_soon(lambda: 1 / 0)\n"
        "client.Client.start = start\n"
        "before = termios.tcgetattr(0)\n"
        "try:\n"
        "    app.main(['127.0.0.1:1'])\n"
        "except ZeroDivisionError:\n"
        "    sys.exit(7 if termios.tcgetattr(0) == before else 8)\n"
    )
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=subprocess.PIPE,
            timeout=10,
            check=False,
        )
    finally:
        os.close(slave)
        os.close(master)
    assert done.returncode == 7, done.stderr


def test_it_starts_without_what_it_does_not_need() -> None:
    program = (
        "import sys, chatroom.client.app, chatroom.client.plain\n"
        "print(*{'ssl', 'sqlite3', 'asyncio', 'threading', 'logging', 'termios',\n"
        "        'secrets', 'tomllib', 'chatroom.server'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
