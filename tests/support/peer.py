"""A client of the wire protocol that shares no code with the chat itself.

It frames and parses on its own, so that a mistake of the server's codec cannot
hide behind the same mistake here. Each frame that it takes in is held against the
table of the protocol: compact, no field too many, all in the order of the table.
Every wait has a deadline.
"""

import itertools
import json
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Collection, Iterable
from types import TracebackType
from typing import Any, Self, cast

from tests.support.secured import SecuredSocket
from tests.support.waiting import PATIENCE

MAX_FRAME = 65536
LIMITS = ["frame", "text", "nick", "strikes", "shout_letters"]

SHAPES = {
    "welcome": "version server nick session strikes last_ref? limits",
    "room": "room log last_id oldest_id count topic?",
    "message": "id room from text at ref?",
    "whisper": "from to text at ref?",
    "joined": "room nick",
    "left": "room nick reason",
    "renamed": "room old new",
    "count": "room count",
    "members": "room members more",
    "rooms": "rooms more",
    "history": "room log oldest_id messages more",
    "topic": "room topic by",
    "warning": "reason strikes limit text ref?",
    "kick": "reason text",
    "error": "code text ref?",
    "ping": "data?",
    "pong": "data?",
    "op": "do text? bans? more?",
}
"""The fields of each frame of a server, in their order; `?` marks optional ones."""

INTEGERS = {
    "id", "at", "count", "strikes", "limit", "last_id", "oldest_id", "version",
}  # fmt: skip
STRINGS = {
    "server", "nick", "session", "last_ref", "room", "log", "from", "to", "text", "ref",
    "reason", "old", "new", "code", "data",
}  # fmt: skip

_tokens = itertools.count(1)


class Frame(dict[str, Any]):
    """One frame of the server: its fields, and the very bytes that came."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(json.loads(payload.decode("utf-8")))
        self.payload = payload

    @property
    def type(self) -> str:
        """What kind of frame it is."""
        kind = self["type"]
        assert isinstance(kind, str)
        return kind


def compact(value: object) -> bytes:
    """Compact JSON in UTF-8, as a server has to write it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def pack(payload: bytes) -> bytes:
    """Put the header before a payload, whatever is in it."""
    return struct.pack("!I", len(payload)) + payload


def encode(type: str, **fields: object) -> bytes:
    """Give the bytes of one frame of a client."""
    return pack(compact({"type": type, **fields}))


def check_shape(frame: Frame) -> None:
    """Hold a frame against the table: fields, order, types, compactness."""
    kind = frame.type
    assert kind in SHAPES, f"no such frame: {frame}"
    assert len(frame.payload) <= MAX_FRAME
    assert compact(frame) == frame.payload, f"not compact: {frame.payload!r}"
    fields = SHAPES[kind].split()
    expected = ["type"]
    for field in fields:
        name = field.removesuffix("?")
        if name == field or name in frame:
            expected.append(name)
    assert list(frame) == expected, f"fields or their order: {frame}"
    for name, value in frame.items():
        if name in INTEGERS:
            assert type(value) is int, f"{name} of {frame}"
        elif name in STRINGS:
            assert type(value) is str, f"{name} of {frame}"
    if kind == "welcome":
        assert list(frame["limits"]) == LIMITS
        assert re.fullmatch(r"chatroom/\d+\.\d+\.\d+\S*", frame["server"])
    elif kind == "op":
        assert ("text" in frame) != ("bans" in frame and "more" in frame)
        for ban in frame.get("bans", ()):
            what = "nick" if "nick" in ban else "address"
            assert list(ban) == [what, "until", "by", "reason"]
    elif kind == "rooms":
        assert all(list(entry) == ["room", "count"] for entry in frame["rooms"])


class Peer:
    """One connection to the server, blocking, with a deadline on everything."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        rcvbuf: int | None = None,
        tls: ssl.SSLContext | None = None,
        source: str | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        try:
            self.sock.settimeout(PATIENCE)
            if source is not None:
                self.sock.bind((source, 0))
            self.sock.connect(address)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.local: tuple[str, int] = self.sock.getsockname()[:2]
            if tls is not None:
                self._secure(tls)
        except BaseException:
            self.sock.close()
            raise
        self.nick = ""
        self.session = ""
        self._received = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _secure(self, context: ssl.SSLContext) -> None:
        secured = SecuredSocket(self.sock, context)
        secured.shake()
        self.sock = cast(socket.socket, secured)

    @property
    def tls(self) -> SecuredSocket:
        """Its end of TLS, which it has to speak."""
        assert isinstance(self.sock, SecuredSocket)
        return self.sock

    # Sending

    def send_raw(self, data: bytes) -> None:
        """Send these bytes, whatever they are."""
        self.sock.sendall(data)

    def send_bytewise(self, data: bytes) -> None:
        """Send these bytes with one call for each."""
        for index in range(len(data)):
            self.sock.sendall(data[index : index + 1])

    def send(self, type: str, **fields: object) -> None:
        """Send one frame."""
        self.send_raw(encode(type, **fields))

    def send_all(self, *frames: bytes) -> None:
        """Send several frames with one call."""
        self.send_raw(b"".join(frames))

    def say(self, text: str, **fields: object) -> None:
        """Send one `say`."""
        self.send("say", text=text, **fields)

    # Receiving

    def recv(self, timeout: float = PATIENCE) -> Frame:
        """Give the next frame; `EOFError` when the server has closed cleanly."""
        deadline = time.monotonic() + timeout
        self._fill(4, deadline)
        (length,) = struct.unpack_from("!I", self._received)
        assert 1 <= length <= MAX_FRAME, f"a header of {length}"
        self._fill(4 + length, deadline)
        payload = bytes(self._received[4 : 4 + length])
        del self._received[: 4 + length]
        frame = Frame(payload)
        check_shape(frame)
        return frame

    def _fill(self, size: int, deadline: float) -> None:
        while len(self._received) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"nothing came; so far {bytes(self._received)!r}")
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                continue
            finally:
                self.sock.settimeout(PATIENCE)
            if not data:
                assert not self._received, f"cut off: {bytes(self._received)!r}"
                raise EOFError
            self._received += data

    def expect(
        self,
        type: str,
        *,
        skip: Collection[str] = (),
        timeout: float = PATIENCE,
        **fields: object,
    ) -> Frame:
        """Give the next frame, which must be of this type and hold these fields.

        Frames of a type in `skip` are passed over. `from_` stands for `from`.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                frame = self.recv(max(0.01, deadline - time.monotonic()))
            except EOFError:
                raise AssertionError(f"closed where {type} was expected") from None
            if frame.type not in skip:
                break
        assert frame.type == type, f"{type} {fields} expected, got {frame}"
        for name, value in fields.items():
            key = name.removesuffix("_")
            assert frame.get(key) == value, f"{key}={value!r} expected, got {frame}"
        return frame

    def recv_until(
        self, found: Callable[[Frame], bool], timeout: float = PATIENCE
    ) -> list[Frame]:
        """Give all frames up to the first for which `found` holds, which is last."""
        deadline = time.monotonic() + timeout
        frames: list[Frame] = []
        while not (frames and found(frames[-1])):
            try:
                frames.append(self.recv(max(0.01, deadline - time.monotonic())))
            except EOFError:
                raise AssertionError(f"closed after {frames}") from None
        return frames

    def rest(self, timeout: float = PATIENCE) -> list[Frame]:
        """Give every frame up to a clean end of the connection."""
        deadline = time.monotonic() + timeout
        frames: list[Frame] = []
        while True:
            try:
                frames.append(self.recv(max(0.01, deadline - time.monotonic())))
            except EOFError:
                return frames

    def expect_closed(self, timeout: float = PATIENCE) -> None:
        """The connection ends here: no further frame, and no reset."""
        frames = self.rest(timeout)
        assert not frames, f"more came before the end: {frames}"

    def expect_error(self, code: str, *, closes: bool = False) -> Frame:
        """Expect an `error` with this code, and the end behind it if it is fatal."""
        frame = self.expect("error", code=code)
        assert frame["text"].strip()
        if closes:
            self.expect_closed()
        return frame

    def sync(self, timeout: float = PATIENCE) -> list[Frame]:
        """Give what came before the answer to a ping sent now.

        Answers come in order and at their place among the news of the room, so
        when this returns, all that was sent before has been judged.
        """
        token = f"sync-{next(_tokens)}"
        self.send("ping", data=token)
        frames = self.recv_until(
            lambda frame: frame.type == "pong" and frame.get("data") == token, timeout
        )
        return frames[:-1]

    def expect_nothing(self) -> None:
        """Nothing has come that was not taken yet."""
        frames = self.sync()
        assert not frames, f"unexpected: {frames}"

    # A conversation

    def hello(self, nick: object = None, **fields: object) -> tuple[Frame, Frame]:
        """Join the chat and give `welcome` and `room`."""
        given: dict[str, object] = {"version": 1}
        if nick is not None:
            given["nick"] = nick
        self.send("hello", **(given | fields))
        return self.welcomed()

    def welcomed(self) -> tuple[Frame, Frame]:
        """Take in `welcome` and `room`, which answer a good `hello`."""
        welcome = self.expect("welcome")
        room = self.expect("room")
        self.nick = welcome["nick"]
        self.session = welcome["session"]
        return welcome, room

    def history(self, **fields: object) -> Frame:
        """Ask for a page of history and give it."""
        self.send("history", **fields)
        return self.expect("history")

    # The end

    def half_close(self) -> None:
        """Say that nothing more will be sent; go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with RST."""
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.sock.close()

    def close(self) -> None:
        """End the connection; harmless when it has ended."""
        self.sock.close()


def texts(frames: Iterable[Frame]) -> list[str]:
    """The texts of the messages among these frames."""
    return [frame["text"] for frame in frames if frame.type == "message"]


def ids(frames: Iterable[Frame]) -> list[int]:
    """The ids of the messages among these frames."""
    return [frame["id"] for frame in frames if frame.type == "message"]


def types(frames: Iterable[Frame]) -> list[str]:
    """The types of these frames, in their order."""
    return [frame.type for frame in frames]
