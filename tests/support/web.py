"""A browser's side of HTTP and of WebSocket, which shares no code with the chat itself.

It is strict about what a server may send: frames without a mask, whole, of the least
length, nothing behind a close.  ``WebPeer`` is a ``Peer`` of the other dialect: the
same conversation, one JSON object a text message.
"""

import base64
import hashlib
import itertools
import socket
import ssl
import struct
import time
from collections import deque
from typing import NamedTuple

from tests.support.peer import Frame, Peer, check_shape, compact
from tests.support.waiting import PATIENCE

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_masks = itertools.count(0x1F2E3D4C, 0x01030507)


# HTTP


def request(
    path: str = "/", method: str = "GET", version: str = "1.1", /, **headers: str | None
) -> bytes:
    """Give the bytes of a request; a header's ``_`` stands for ``-``.

    ``Host`` is that of this machine unless another is given, or ``None`` for none.
    """
    given = {"host": "127.0.0.1"} | headers
    lines = [f"{method} {path} HTTP/{version}"]
    lines += [
        f"{name.replace('_', '-').title()}: {value}"
        for name, value in given.items()
        if value is not None
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def upgrade(
    path: str = "/chat",
    method: str = "GET",
    version: str = "1.1",
    /,
    **headers: str | None,
) -> bytes:
    """Give the bytes of a good request for a WebSocket, but for what is given."""
    about: dict[str, str | None] = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec_websocket_key": KEY,
        "sec_websocket_version": "13",
    }
    return request(path, method, version, **(about | headers))


class Answer(NamedTuple):
    """An answer over HTTP, and what came behind its head."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_answer(data: bytes) -> Answer:
    """Take an answer apart; its head has to be beyond reproach."""
    head, found, body = data.partition(b"\r\n\r\n")
    assert found, data
    first, *lines = head.decode("ascii").split("\r\n")
    version, status, reason = first.split(" ", 2)
    assert version == "HTTP/1.1" and reason.strip(), first
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon and name and value == value.strip(), line
        assert name.lower() not in headers, line
        headers[name.lower()] = value
    return Answer(int(status), headers, body)


def read_to_end(sock: socket.socket) -> bytes:
    """Give all that comes up to the clean end of a connection."""
    got = b""
    sock.settimeout(PATIENCE)
    while data := sock.recv(65536):
        got += data
    return got


def ask(peer: Peer, data: bytes) -> Answer:
    """Send *data*, and give the answer, with which the connection has to end."""
    peer.send_raw(data)
    answer = parse_answer(read_to_end(peer.sock))
    assert answer.headers["connection"] == "close"
    return answer


def accept_of(key: str) -> str:
    """Give what answers a key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()


# Frames


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    last: bool = True,
    flags: int = 0,
    masked: bool = True,
    mask: bytes | None = None,
) -> bytes:
    """Give one frame of a client, with this *mask*, or with one of no other frame."""
    size, bit = len(payload), 0x80 if masked else 0
    data = bytes([(0x80 if last else 0) | flags | opcode])
    if size < 126:
        data += bytes([bit | size])
    elif size < 65536:
        data += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        data += bytes([bit | 127]) + struct.pack("!Q", size)
    if not masked:
        return data + payload
    if mask is None:
        mask = struct.pack("!I", next(_masks) & 0xFFFFFFFF)
    # Quickly, so that who puts load on a server is not held up by it.
    stream = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return data + mask + (int.from_bytes(payload, "big") ^ stream).to_bytes(size, "big")


def encode(type: str, **fields: object) -> bytes:
    """Give the bytes of one frame of a client that speaks to the chat."""
    return frame(TEXT, compact({"type": type, **fields}))


def closing(code: int = 1000, reason: str = "") -> bytes:
    """Give a close of a client."""
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


class Came(NamedTuple):
    """One frame of the server."""

    opcode: int
    payload: bytes


def split(
    data: bytes | bytearray, messages: tuple[int, ...] = (TEXT,)
) -> tuple[list[Came], int]:
    """Give the whole frames at the start of *data*, and how many bytes they are.

    *messages* are the opcodes of those that may come.
    """
    found: list[Came] = []
    at = 0
    while len(data) >= at + 2:
        first, size = data[at], data[at + 1]
        assert first & 0xF0 == 0x80, f"a server sends whole frames: {first:#x}"
        assert size < 128, "a server has no mask"
        opcode, start = first & 15, at + 2
        assert opcode in (*messages, CLOSE, PING, PONG), opcode
        assert not found or found[-1].opcode != CLOSE, "something behind a close"
        if size > 125:
            assert opcode in messages
            width = 2 if size == 126 else 8
            if len(data) < start + width:
                break
            size = int.from_bytes(data[start : start + width], "big")
            assert size > (125 if width == 2 else 65535), "not the least length"
            start += width
        if len(data) < start + size:
            break
        at = start + size
        found.append(Came(opcode, bytes(data[start:at])))
    return found, at


def to_native(data: bytes, *, ended: bool) -> bytes:
    """Give what a client of the native dialect would have got for *data*.

    All of it: the answer to the upgrade, text messages, and a close where it *ended*.
    """
    _, found, rest = data.partition(b"\r\n\r\n")
    assert found and data.startswith(b"HTTP/1.1 101 ")
    frames, end = split(rest)
    assert end == len(rest), rest[end:]
    assert ended == (frames[-1:] != [] and frames[-1].opcode == CLOSE)
    texts = (came.payload for came in frames if came.opcode == TEXT)
    return b"".join(struct.pack("!I", len(text)) + text for text in texts)


class WebPeer(Peer):
    """One connection over WebSocket."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        rcvbuf: int | None = None,
        tls: ssl.SSLContext | None = None,
        first: bytes | None = None,
    ) -> None:
        super().__init__(address, rcvbuf=rcvbuf, tls=tls)
        self.closed: bytes | None = None
        """What the close of the server held, once it has come."""
        self._come: deque[Came] = deque()
        self.controls: list[Came] = []
        """Pings and pongs that came."""
        try:
            self.send_raw(upgrade() if first is None else first)
            self.upgraded = self._read_head()
        except BaseException:
            self.close()
            raise

    def _read_head(self) -> Answer:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            data = self.sock.recv(65536)
            assert data, f"cut off: {bytes(self._received)!r}"
            self._received += data
        # What came with it is for later.
        answer = parse_answer(bytes(self._received[: end + 4]))
        assert answer.status == 101, answer
        assert answer.headers["upgrade"].lower() == "websocket"
        assert answer.headers["connection"].lower() == "upgrade"
        assert answer.headers["sec-websocket-accept"] == accept_of(KEY)
        assert "sec-websocket-extensions" not in answer.headers
        assert "sec-websocket-protocol" not in answer.headers
        del self._received[: end + 4]
        return answer

    def send(self, type: str, **fields: object) -> None:
        """Send one frame, as a text message."""
        self.send_raw(encode(type, **fields))

    def recv(self, timeout: float = PATIENCE) -> Frame:
        """Give the next message; `EOFError` when the server has closed cleanly."""
        deadline = time.monotonic() + timeout
        while True:
            came = self.recv_frame(deadline)
            if came.opcode == TEXT:
                found = Frame(came.payload)
                check_shape(found)
                return found

    def recv_frame(self, deadline: float) -> Came:
        """Give the next frame of any kind but the close, which is noted."""
        while not self._come:
            found, end = split(self._received)
            if found and self.closed is not None:
                raise AssertionError(f"{found} behind a close")
            if not found:
                self._fill(len(self._received) + 1, deadline)
                continue
            del self._received[:end]
            if found[-1].opcode == CLOSE:
                self.closed = found.pop().payload
            self._come += found
        came = self._come.popleft()
        if came.opcode != TEXT:
            self.controls.append(came)
        return came

    def close_code(self) -> int:
        """Give the code of the close that the server has sent."""
        assert self.closed is not None and len(self.closed) >= 2, self.closed
        return int.from_bytes(self.closed[:2], "big")
