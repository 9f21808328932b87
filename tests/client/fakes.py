"""What stands in for the rest of the world in the tests of the client."""

import json
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

from chatroom.client.completion import Completion
from chatroom.client.frames import Fields
from chatroom.client.lines import Line
from chatroom.client.status import Status
from chatroom.net.loop import Loop
from tests.support.peer import encode
from tests.support.waiting import PATIENCE

WELCOME: Fields = {
    "type": "welcome",
    "version": 1,
    "server": "chatroom/9.9.9",
    "nick": "anna",
    "session": "secret",
    "strikes": 0,
    "limits": {"frame": 65536, "text": 4000},
}
ROOM: Fields = {
    "type": "room",
    "room": "lobby",
    "log": "log1",
    "last_id": 0,
    "oldest_id": 1,
    "count": 2,
}
MESSAGE: Fields = {
    "type": "message",
    "id": 1,
    "room": "lobby",
    "from": "bob",
    "text": "hello",
    "at": 0,
}
EVERY_FRAME: list[Fields] = [
    WELCOME,
    WELCOME | {"last_ref": "r"},
    ROOM,
    ROOM | {"topic": "tea"},
    MESSAGE,
    MESSAGE | {"ref": "r"},
    {"type": "whisper", "from": "bob", "to": "anna", "text": "psst", "at": 1},
    {"type": "joined", "room": "lobby", "nick": "bob"},
    {"type": "left", "room": "lobby", "nick": "bob", "reason": "leave"},
    {"type": "renamed", "room": "lobby", "old": "bob", "new": "rob"},
    {"type": "count", "room": "lobby", "count": 600},
    {"type": "members", "room": "lobby", "members": ["anna", "bob"], "more": False},
    {"type": "rooms", "rooms": [{"room": "lobby", "count": 2}], "more": True},
    {
        "type": "history",
        "room": "lobby",
        "log": "log1",
        "oldest_id": 1,
        "messages": [MESSAGE],
        "more": False,
    },
    {"type": "topic", "room": "lobby", "topic": "tea", "by": "bob"},
    {
        "type": "warning",
        "reason": "shouting",
        "strikes": 1,
        "limit": 2,
        "text": "not so loud",
    },
    {"type": "kick", "reason": "shouting", "text": "too loud"},
    {"type": "op", "do": "lock", "text": "nobody new is let in"},
    {
        "type": "op",
        "do": "bans",
        "bans": [
            {"nick": "eve", "until": 0, "by": "bob", "reason": ""},
            {"address": "10.0.0.0/8", "until": 1, "by": "bob", "reason": "noise"},
        ],
        "more": True,
    },
    {"type": "error", "code": "muted", "text": "you are muted"},
    {"type": "ping"},
    {"type": "pong", "data": "x"},
]
"""One good frame of each kind at least, with and without what is optional."""


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def tick_until(loop: Loop, condition: Callable[[], object]) -> None:
    """Tick until `condition` holds; ticks take next to no time."""
    for _ in range(int(PATIENCE / 0.005)):
        if condition():
            return
        loop.tick(0.005)
    raise AssertionError("it did not come to pass")


class FakeServer:
    """A listening socket, and one blocking connection at a time of it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.address: tuple[str, int] = self.listener.getsockname()[:2]
        self.peer: socket.socket | None = None
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hang_up()
        self.listener.close()

    def accept(self) -> None:
        """Take the next connection."""
        self.hang_up()
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(PATIENCE)
        self._received = b""

    def hang_up(self) -> None:
        """End the connection."""
        if self.peer is not None:
            self.peer.close()
            self.peer = None

    def send_raw(self, data: bytes) -> None:
        """Send these bytes."""
        assert self.peer is not None
        self.peer.sendall(data)

    def send(self, *frames: Fields) -> None:
        """Send these frames in one segment."""
        self.send_raw(b"".join(encode(**frame) for frame in frames))

    def welcome(self, **fields: object) -> None:
        """Let the client in."""
        self.send(WELCOME | fields, ROOM)

    def frames(self) -> list[Fields]:
        """What has come so far and was not given before; it does not wait."""
        assert self.peer is not None
        self.peer.setblocking(False)
        try:
            while data := self.peer.recv(65536):
                self._received += data
        except BlockingIOError:
            pass
        finally:
            self.peer.settimeout(PATIENCE)
        found: list[Fields] = []
        while len(self._received) >= 4:
            (length,) = struct.unpack_from("!I", self._received)
            if len(self._received) < 4 + length:
                break
            found.append(json.loads(self._received[4 : 4 + length]))
            self._received = self._received[4 + length :]
        return found


class FakeFace:
    """A face that remembers."""

    def __init__(self, interactive: bool = True) -> None:
        self.interactive = interactive
        self.opened = False
        self.listening = False
        self.lines: list[str] = []
        self.speech: list[str] = []
        self.prompted = ""
        self.secret = False
        self.status_now = Status()
        self.bells = 0

    def open(self) -> None:
        self.opened = self.listening = True

    def listen(self, on: bool) -> None:
        self.listening = on

    def show(self, lines: list[Line], speech: bool) -> None:
        texts = [line.text for line in lines]
        self.lines += texts
        if speech:
            self.speech += texts

    def status(self, status: Status) -> None:
        self.status_now = status

    def bell(self) -> None:
        self.bells += 1

    def prompt(self, text: str, secret: bool = False) -> None:
        self.prompted, self.secret = text, secret

    def close(self) -> None:
        self.opened = self.listening = False

    def flush(self) -> None:
        pass

    @property
    def shown(self) -> str:
        """All that was shown."""
        return "\n".join(self.lines)


class FakeOwner:
    """Whoever a face works for, remembering what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reasons: list[str] = []
        self.ended = 0
        self.left = 0
        self.held: list[bool] = []
        self.objections: dict[str, str] = {}
        self.options: tuple[str, ...] = ()
        """What may stand in the place of the last word."""
        self.looks: list[bool] = []
        self.errors: list[Exception] = []

    def entered(self, line: str) -> None:
        self.lines.append(line)

    def unreadable(self, reason: str) -> None:
        self.reasons.append(reason)

    def input_ended(self) -> None:
        self.ended += 1

    def leave(self) -> None:
        self.left += 1

    def objection(self, line: str) -> str | None:
        return self.objections.get(line)

    def completions(self, before: str) -> Completion:
        return Completion(before.rfind(" ") + 1, self.options)

    def reading(self, here: bool) -> None:
        self.looks.append(here)

    def hold_back(self, on: bool) -> None:
        self.held.append(on)

    def output_failed(self, error: OSError) -> None:
        self.errors.append(error)

    def crash(self, error: Exception) -> None:
        self.errors.append(error)
