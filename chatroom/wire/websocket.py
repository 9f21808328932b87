"""WebSocket (RFC 6455): the second dialect of the server, for browsers.

    handshake(request) -> answer;   then ``WebSocketProtocol``, by ``protocol.py``

One JSON object is one text message, with the vocabulary of the native frames, whose
payloads these are.  Below that is ``FrameReader``, which knows of no chat:

    receive_data(bytes)* -> next_event()* ...  until ``Close`` or ``Failure``

Each frame is judged by its header, before its payload has come; a text is judged as it
comes.  No extensions: nothing is ever compressed.  Nothing here raises.
Must not know: sockets, clocks, rules.
"""

from __future__ import annotations

import re
from base64 import b64encode
from codecs import utf_8_decode
from dataclasses import dataclass
from hashlib import sha1
from struct import Struct
from typing import TYPE_CHECKING

from chatroom.core.requests import Invalid, Nothing
from chatroom.wire import codec
from chatroom.wire.framing import (
    HEADER_SIZE,
    MAX_FRAME,
    MAX_HELLO_FRAME,
    ByteBuffer,
)
from chatroom.wire.http import HttpError, HttpRequest

if TYPE_CHECKING:
    from chatroom.core.messages import Tellable
    from chatroom.core.requests import Request

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""
VERSION = "13"
MAX_FRAGMENTS = 1024
"""Frames of a message and between its parts: browsers send one, each costs a token."""
MAX_CONTROL = 125
"""Bytes of the payload of a control frame."""

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
UNSUPPORTED = 1003
NOT_UTF8 = 1007
POLICY = 1008
TOO_BIG = 1009
TRY_AGAIN_LATER = 1013
"""Why a connection is closed (section 7.4.1, and its registry)."""

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_DATA = frozenset((_CONTINUATION, _TEXT, _BINARY))
_CONTROL = frozenset((_CLOSE, _PING, _PONG))
_FIN, _MASKED = 0x80, 0x80
_LENGTH_16, _LENGTH_64 = 126, 127

_header_16 = Struct("!BBH").pack
_header_64 = Struct("!BBQ").pack
_SHORT = [bytes((_FIN | _TEXT, length)) for length in range(_LENGTH_16)]
"""Headers of texts with so many bytes."""

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==", re.ASCII)
"""Sixteen bytes in base64."""


# -- the handshake ----------------------------------------------------------------


def handshake(request: HttpRequest) -> bytes | HttpError:
    """Return the answer that begins the WebSocket that *request* asks for.

    Or why it does not (section 4.2.1).  ``Host`` and ``Origin`` are for the caller.
    """
    if request.method != "GET" or request.http10:
        return HttpError(400, "a WebSocket begins with GET, in HTTP/1.1")
    headers = request.headers
    if not _lists(headers, "upgrade", "websocket"):
        return HttpError(426, "this is for WebSockets")
    if not _lists(headers, "connection", "upgrade"):
        return HttpError(400, "an upgrade has to be named in Connection")
    if headers.get("sec-websocket-version") != VERSION:
        return HttpError(426, f"version {VERSION} of WebSocket is spoken here")
    key = headers.get("sec-websocket-key", "")
    if _KEY.fullmatch(key) is None:
        return HttpError(400, "Sec-WebSocket-Key has to be 16 bytes in base64")
    accept = b64encode(sha1(key.encode("ascii") + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _lists(headers: dict[str, str], name: str, token: str) -> bool:
    """Tell whether the field *name*, a list, holds *token* in any letter case."""
    tokens = headers.get(name, "").lower().split(",")
    return token in (one.strip(" \t") for one in tokens)


# -- frames out ---------------------------------------------------------------------


def text_frame(payload: bytes) -> bytes:
    """Return *payload*, a text in UTF-8, as one frame."""
    return _frame(_TEXT, payload)


def binary_frame(data: bytes) -> bytes:
    """Return *data* as one frame."""
    return _frame(_BINARY, data)


def close_frame(code: int | None = None, reason: str = "") -> bytes:
    """Return the frame that closes, without a word where *code* is ``None``.

    *reason* is cut to what fits.
    """
    if code is None:
        return _frame(_CLOSE, b"")
    room = MAX_CONTROL - 2
    shown = reason.encode()[:room].decode(errors="ignore").encode()
    return _frame(_CLOSE, code.to_bytes(2, "big") + shown)


def pong_frame(data: bytes) -> bytes:
    """Return the answer to a ping that came with *data*."""
    return _frame(_PONG, data)


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < _LENGTH_16:
        return bytes((_FIN | opcode, length)) + payload
    return _long_header(opcode, length) + payload


def _long_header(opcode: int, length: int) -> bytes:
    if length < 65536:
        return _header_16(_FIN | opcode, _LENGTH_16, length)
    return _header_64(_FIN | opcode, _LENGTH_64, length)


# -- frames in ----------------------------------------------------------------------


@dataclass(slots=True)
class Text:
    """A whole text message, in UTF-8, which was checked."""

    data: bytes


@dataclass(slots=True)
class Binary:
    """A whole binary message."""

    data: bytes


@dataclass(slots=True)
class Fragment:
    """A frame that is not the last of its message."""


@dataclass(slots=True)
class Ping:
    """To be answered by a pong with the same data."""

    data: bytes


@dataclass(slots=True)
class Pong:
    """The answer to a ping, or to none."""

    data: bytes


@dataclass(slots=True)
class Close:
    """The peer closes; nothing that comes after it counts."""

    code: int | None
    reason: str


@dataclass(slots=True)
class Failure:
    """The peer has broken the protocol: it is to be told *code*, and is over."""

    code: int
    reason: str


Event = Text | Binary | Fragment | Ping | Pong | Close | Failure

_FRAGMENT = Fragment()


@dataclass(slots=True)
class _Begun:
    """A frame whose header was read and whose payload has not all come."""

    opcode: int
    is_last: bool
    mask: bytes
    length: int
    size: int
    """Bytes of the whole frame."""
    taken: int = 0
    """Bytes of the payload that were read."""


class _Broken(Exception):
    """The stream is not as it should be."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.failure = Failure(code, reason)


class FrameReader(ByteBuffer):
    """One peer's stream of frames, masked as a client's are.

    *limit* is the largest message, in bytes, and may be changed between two calls.
    """

    __slots__ = (
        "_begun",
        "_cut",
        "_fragments",
        "_kind",
        "_message",
        "_over",
        "last_size",
        "limit",
    )

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.last_size = 0
        """Bytes of the frame that ``next_event`` returned last, header included."""
        self._begun: _Begun | None = None
        self._kind = _CONTINUATION
        """What the message under way is; a continuation where there is none."""
        self._message = bytearray()
        """What has come of it: one block, as small parts of their own would cost
        many times their bytes."""
        self._fragments = 0
        self._cut = b""
        """The beginning of a character that a text under way has ended with so far."""
        self._over = False

    def __len__(self) -> int:
        """Bytes that have come, of what is not told yet; never 0 within a message."""
        held = super().__len__() + len(self._message) + self._fragments
        return held + 1 if self._begun is not None else held

    def receive_data(self, data: bytes) -> None:
        """Take *data*, as it came."""
        if not self._over:
            super().receive_data(data)

    def discard(self) -> None:
        """Drop what has come and what will."""
        self._over = True
        self.clear()
        self._begun = None
        self._end_message()

    def next_event(self) -> Event | None:
        """Return what the next frame is, or ``None`` until more has come."""
        if self._over:
            return None
        begun = self._begun
        if begun is None and self._kind == _CONTINUATION:
            text = self._whole_text()
            if text is not None:
                return text
        try:
            if begun is None:
                begun = self._begun = self._read_header()
                if begun is None:
                    return None
            event = (
                self._read_control(begun)
                if begun.opcode in _CONTROL
                else self._read_data(begun)
            )
        except _Broken as broken:
            self.last_size = max(2, len(self._data) - self._position)
            self.discard()
            return broken.failure
        if event is not None:
            self._begun = None
            self.last_size = begun.size
            if type(event) is Close:
                self.discard()
        return event

    def _whole_text(self) -> Text | None:
        """Return the next frame where it is what most are: all of a text, and all here.

        ``None`` for whatever else it is, and nothing is taken of it.
        """
        data, start = self._data, self._position
        come = len(data) - start
        if come < 6 or data[start] != _FIN | _TEXT:
            return None
        length, begin = data[start + 1] - _MASKED, start + 6
        if length == _LENGTH_16 and come >= 8:
            length, begin = (data[start + 2] << 8) | data[start + 3], start + 8
            if length < _LENGTH_16:
                return None
        elif not 0 <= length < _LENGTH_16:
            return None
        end = begin + length
        if end > len(data) or length > self.limit:
            return None
        text = unmasked(data[begin:end], data[begin - 4 : begin])
        try:
            text.decode()
        except UnicodeDecodeError:
            return None
        self.last_size = end - start
        self._forget_to(end)
        return Text(text)

    def _forget_to(self, end: int) -> None:
        """What stands before *end* is taken."""
        if end == len(self._data):
            self._data, self._position = b"", 0
        else:
            self._position = end

    # -- a header -------------------------------------------------------------

    def _read_header(self) -> _Begun | None:
        data, start = self._data, self._position
        come = len(data) - start
        if come < 2:
            return None
        first, second = data[start], data[start + 1]
        opcode, length = first & 0x0F, second & 0x7F
        self._check_header(first, second, opcode, length)
        size = 2
        if length == _LENGTH_16:
            size = 4
        elif length == _LENGTH_64:
            size = 10
        if come < size:
            return None
        if size > 2:
            length = _long_length(data[start + 2 : start + size])
        if opcode in _DATA and len(self._message) + length > self.limit:
            raise _Broken(TOO_BIG, f"a message has at most {self.limit} bytes")
        size += 4
        if come < size:
            return None
        mask = bytes(data[start + size - 4 : start + size])
        self._position = start + size
        return _Begun(opcode, first >= _FIN, mask, length, size + length)

    def _check_header(self, first: int, second: int, opcode: int, length: int) -> None:
        """Raise ``_Broken`` where the first two bytes cannot be (section 5.2)."""
        if first & 0x70:
            raise _Broken(PROTOCOL_ERROR, "no extension was agreed on")
        if not second & _MASKED:
            raise _Broken(PROTOCOL_ERROR, "a client has to mask its frames")
        if opcode in _CONTROL:
            if not first & _FIN or length > MAX_CONTROL:
                raise _Broken(PROTOCOL_ERROR, "a control frame is short and whole")
        elif opcode not in _DATA:
            raise _Broken(PROTOCOL_ERROR, f"there is no opcode {opcode}")
        elif (opcode == _CONTINUATION) != (self._kind != _CONTINUATION):
            raise _Broken(PROTOCOL_ERROR, "a message goes on, or begins, out of turn")

    # -- a payload --------------------------------------------------------------

    def _take(self, begun: _Begun) -> bytes:
        """Return what has come of the payload, unmasked."""
        data, start = self._data, self._position
        end = min(len(data), start + begun.length - begun.taken)
        self._forget_to(end)
        part = unmasked(data[start:end], begun.mask, begun.taken)
        begun.taken += end - start
        return part

    def _read_control(self, begun: _Begun) -> Event | None:
        if len(self._data) - self._position < begun.length:
            return None
        data = self._take(begun)
        if self._kind != _CONTINUATION and begun.opcode != _CLOSE:
            self._count()
        if begun.opcode == _PING:
            return Ping(data)
        return Pong(data) if begun.opcode == _PONG else _read_close(data)

    def _read_data(self, begun: _Begun) -> Event | None:
        part = self._take(begun)
        whole = begun.taken == begun.length
        last = whole and begun.is_last
        if begun.opcode != _CONTINUATION:
            self._kind = begun.opcode
        kind, message = self._kind, self._message
        if kind == _TEXT:
            self._check_text(part, last)
        if last:
            data = bytes(message + part) if message else part
            self._end_message()
            return Text(data) if kind == _TEXT else Binary(data)
        message += part
        if not whole:
            return None
        self._count()
        return _FRAGMENT

    def _count(self) -> None:
        """Count a frame of a message under way; raise ``_Broken`` for one too many.

        What comes between its parts counts too: without a pause, that would keep off
        any deadline of a message that never ends.
        """
        self._fragments += 1
        if self._fragments >= MAX_FRAGMENTS:
            raise _Broken(POLICY, f"a message has at most {MAX_FRAGMENTS} frames")

    def _end_message(self) -> None:
        self._kind, self._fragments, self._cut = _CONTINUATION, 0, b""
        if self._message:
            self._message = bytearray()

    def _check_text(self, part: bytes, last: bool) -> None:
        """Raise ``_Broken`` where a text is not UTF-8, as early as that is known."""
        data = self._cut + part if self._cut else part
        try:
            if last:
                data.decode()
                return
            _, whole = utf_8_decode(data, "strict", False)
        except UnicodeDecodeError:
            raise _Broken(NOT_UTF8, "a text has to be UTF-8") from None
        cut = self._cut = data[whole:]
        # What begins a lone surrogate is told by Python only when it is whole.
        if cut[:1] == b"\xed" and cut[1:] >= b"\xa0":
            raise _Broken(NOT_UTF8, "a text has to be UTF-8")


def unmasked(
    data: bytes | bytearray, mask: bytes | bytearray, offset: int = 0
) -> bytes:
    """Return *data* without its *mask*, which began *offset* bytes before it."""
    length = len(data)
    if turn := offset & 3:
        mask = mask[turn:] + mask[:turn]
    key = (mask * (length // 4 + 1))[:length]
    # One large number each: tens of times as fast as byte by byte.
    whole = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
    return whole.to_bytes(length, "big")


def _long_length(digits: bytes | bytearray) -> int:
    """Return the length in *digits*, two or eight; raises ``_Broken``."""
    length = int.from_bytes(digits, "big")
    if length >= 1 << 63:
        raise _Broken(PROTOCOL_ERROR, "no frame is that long")
    if length < (_LENGTH_16 if len(digits) == 2 else 65536):
        raise _Broken(PROTOCOL_ERROR, "a length is written in as few bytes as it needs")
    return length


def _read_close(data: bytes) -> Close:
    if not data:
        return Close(None, "")
    code = int.from_bytes(data[:2], "big")
    if len(data) == 1 or not _may_be_sent(code):
        raise _Broken(PROTOCOL_ERROR, "that is no reason to close")
    try:
        return Close(code, data[2:].decode())
    except UnicodeDecodeError:
        raise _Broken(NOT_UTF8, "a reason has to be UTF-8") from None


def _may_be_sent(code: int) -> bool:
    """Tell whether a peer may close with *code* (section 7.4, and its registry)."""
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or (
        3000 <= code <= 4999
    )


# -- the dialect --------------------------------------------------------------------


class WebSocketProtocol:
    """One connection's stream of messages, as the server reads it."""

    __slots__ = ("_code", "_out", "_reader", "_said_goodbye", "ended", "welcomed")

    def __init__(self) -> None:
        self._reader = FrameReader(MAX_HELLO_FRAME)
        self._out = bytearray()
        self._code: int | None = None
        """What the peer is told at the end, where it has broken the protocol."""
        self._said_goodbye = False
        self.welcomed = False
        """Whether messages may be of full size: set when the hello is accepted."""
        self.ended = False
        """Whether the peer has said that nothing more will come."""

    def __len__(self) -> int:
        """Bytes that have come and are not judged yet."""
        return len(self._reader)

    @property
    def last_size(self) -> int:
        """Bytes of the frame that ``next_message`` returned last, header included."""
        return self._reader.last_size

    def receive_data(self, data: bytes) -> None:
        """Take *data*, as it came from the peer."""
        self._reader.receive_data(data)

    def receive_eof(self) -> None:
        """Nothing more will come; a message that is not whole is none."""
        self.ended = True

    def next_message(self) -> Request | None:
        """Return the next request, or ``None`` until more has come.

        A frame that means nothing to the rules is ``Nothing``.
        """
        reader = self._reader
        reader.limit = MAX_FRAME if self.welcomed else MAX_HELLO_FRAME
        event = reader.next_event()
        if event is None:
            return None
        if type(event) is Text:
            return codec.decode_request(event.data)
        return self._other(event)

    def _other(self, event: Event) -> Request:
        match event:
            case Ping(data):
                self._say(pong_frame(data))
            case Close(code, _):
                self._say(close_frame(code))
                self._said_goodbye = self.ended = True
            case Binary():
                return self._fail(UNSUPPORTED, "frames are texts here, of JSON")
            case Failure(code, reason):
                return self._fail(code, reason)
        return Nothing()

    def _say(self, frame: bytes) -> None:
        # Nothing comes after a close.
        if not self._said_goodbye:
            self._out += frame

    def _fail(self, code: int, reason: str) -> Invalid:
        self._code = code
        self._reader.discard()
        return Invalid("bad-frame", reason)

    def discard(self) -> None:
        """Drop what has come and what will: nothing has any effect any more."""
        self._reader.discard()

    @staticmethod
    def encode(message: Tellable) -> bytes:
        """Return *message* in this dialect."""
        return text_frame(codec.encode(message)[HEADER_SIZE:])

    @staticmethod
    def pack(frames: list[bytes]) -> bytes:
        """Return native *frames*, header and all, as one chunk of text frames."""
        parts = []
        for frame in frames:
            length = len(frame) - HEADER_SIZE
            parts.append(
                _SHORT[length] if length < _LENGTH_16 else _long_header(_TEXT, length)
            )
            parts.append(frame[HEADER_SIZE:])
        return b"".join(parts)

    def data_to_send(self) -> bytes:
        """Return what the dialect itself has to say, and say it once."""
        if not self._out:
            return b""
        data = bytes(self._out)
        self._out.clear()
        return data

    def goodbye(self, code: int) -> bytes:
        """Return the last frame, and nothing the second time.

        *code* says why, unless the peer has broken the protocol.
        """
        if self._said_goodbye:
            return b""
        self._said_goodbye = True
        return close_frame(code if self._code is None else self._code)
