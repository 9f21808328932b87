"""The interface that every dialect of the server has, and the native one.

    receive_data(bytes)* -> next_message()* -> data_to_send() -> ... -> receive_eof()
        -> goodbye()

``next_message`` returns one request at a time, so that each is judged by the state
that the one before it left, and returns ``None`` while none is whole.  It never
raises: what cannot be understood is a request of its own, ``Invalid``.
Must not know: sockets, clocks, rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from chatroom.core.requests import Invalid
from chatroom.wire import codec
from chatroom.wire.framing import (
    HEADER_SIZE,
    MAX_FRAME,
    MAX_HELLO_FRAME,
    BadFrame,
    FrameBuffer,
)

if TYPE_CHECKING:
    from chatroom.core.messages import Tellable
    from chatroom.core.requests import Request


class Dialect(Protocol):
    """What the server asks of each; the order of calls is in the module's docstring.

    On the inside a frame is a native one, whatever is spoken: ``pack`` makes of them
    what goes out.
    """

    welcomed: bool
    """Whether frames may be of full size: set when the hello is accepted."""
    ended: bool
    """Whether the peer has said that nothing more will come."""

    @property
    def last_size(self) -> int:
        """Bytes of the frame that ``next_message`` returned last, header included."""

    def __len__(self) -> int:
        """Bytes that have come and are not judged yet."""

    def receive_data(self, data: bytes) -> None:
        """Take *data*, as it came from the peer."""

    def receive_eof(self) -> None:
        """Nothing more will come; a frame that is not whole is no frame."""

    def next_message(self) -> Request | None:
        """Return the next request, or ``None`` until more has come."""

    def discard(self) -> None:
        """Drop what has come and what will: nothing has any effect any more."""

    @staticmethod
    def encode(message: Tellable) -> bytes:
        """Return *message* in this dialect."""

    @staticmethod
    def pack(frames: list[bytes]) -> bytes:
        """Return native *frames*, one or more, in this dialect: one chunk."""

    def data_to_send(self) -> bytes:
        """Return what the dialect itself has to say, and say it once."""

    def goodbye(self, code: int) -> bytes:
        """Return what is said last, and only once; *code*: see RFC 6455, 7.4.1."""


class NativeProtocol:
    """One connection's stream of frames, as the server reads it."""

    __slots__ = ("_broken", "_buffer", "ended", "last_size", "welcomed")

    def __init__(self) -> None:
        self._buffer = FrameBuffer()
        self._broken = False
        self.welcomed = False
        """Whether frames may be of full size: set when the hello is accepted."""
        self.ended = False
        """Whether the peer has said that nothing more will come."""
        self.last_size = 0
        """Bytes of the frame that ``next_message`` returned last, header included."""

    def __len__(self) -> int:
        """Bytes that have come and are not judged yet."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> None:
        """Take *data*, as it came from the peer."""
        if not self._broken:
            self._buffer.receive_data(data)

    def receive_eof(self) -> None:
        """Nothing more will come; a frame that is not whole is no frame."""
        self.ended = True

    def next_message(self) -> Request | None:
        """Return the next request, or ``None`` until more has come."""
        limit = MAX_FRAME if self.welcomed else MAX_HELLO_FRAME
        try:
            payload = self._buffer.next_frame(limit)
        except BadFrame as wrong:
            self._broken = True
            self._buffer.clear()
            self.last_size = HEADER_SIZE
            return Invalid("bad-frame", str(wrong))
        if payload is None:
            return None
        self.last_size = HEADER_SIZE + len(payload)
        return codec.decode_request(payload)

    def discard(self) -> None:
        """Drop what has come and what will: nothing has any effect any more."""
        self._broken = True
        self._buffer.clear()

    @staticmethod
    def encode(message: Tellable) -> bytes:
        """Return *message* in this dialect."""
        return codec.encode(message)

    @staticmethod
    def pack(frames: list[bytes]) -> bytes:
        """Return *frames*, one or more, as one chunk."""
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def data_to_send(self) -> bytes:
        """Return nothing: this dialect has nothing of its own to say."""
        return b""

    def goodbye(self, code: int) -> bytes:
        """Return nothing: the end of the stream is enough."""
        return b""
