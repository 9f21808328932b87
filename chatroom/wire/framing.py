"""Frames: a length of four bytes, big-endian, and as many bytes (protocol.md, 1).

A frame is judged from its header alone: what a header promises is never allocated.
Must not know: what a payload means.

Order of calls: ``receive_data`` with whatever came, then ``next_frame`` until it
returns ``None``.  After it raised ``BadFrame`` the stream cannot be recovered.
"""

from struct import Struct

HEADER = Struct("!I")
HEADER_SIZE = HEADER.size
MAX_FRAME = 65536
"""Bytes of a payload."""
MAX_HELLO_FRAME = 4096
"""Bytes of a payload before the welcome: nobody has to trust a stranger with more."""

_unpack_length = HEADER.unpack_from
_pack_length = HEADER.pack


class BadFrame(Exception):
    """A length that cannot be: the stream is not ours, or no longer in step."""


class ByteBuffer:
    """The bytes that have come and are not taken yet.

    An empty one holds no memory of its own.  Cost is linear in what comes, however
    it is cut.
    """

    __slots__ = ("_data", "_position")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._position = 0

    def __len__(self) -> int:
        """Bytes held."""
        return len(self._data) - self._position

    def receive_data(self, data: bytes) -> None:
        """Hold *data* behind what is held already."""
        if self._position == len(self._data):
            self._data, self._position = data, 0
            return
        if isinstance(self._data, bytearray):
            # Cutting the front of a bytearray moves no bytes.
            del self._data[: self._position]
        else:
            self._data = bytearray(memoryview(self._data)[self._position :])
        self._data += data
        self._position = 0

    def clear(self) -> None:
        """Drop what is held."""
        self._data, self._position = b"", 0


class FrameBuffer(ByteBuffer):
    """The bytes of native frames, cut into these."""

    __slots__ = ()

    def next_frame(self, limit: int = MAX_FRAME) -> bytes | bytearray | None:
        """Return the next payload, or ``None`` while it is not whole.

        Raises ``BadFrame`` for a length of 0 or above *limit* bytes.
        """
        data, start = self._data, self._position + HEADER_SIZE
        if len(data) < start:
            return None
        (length,) = _unpack_length(data, self._position)
        if not 0 < length <= limit:
            raise BadFrame(_describe(length, limit))
        end = start + length
        if len(data) < end:
            return None
        if end == len(data):
            self._data, self._position = b"", 0
        else:
            self._position = end
        return data[start:end]


def frame(payload: bytes) -> bytes:
    """Return *payload* with its header."""
    return _pack_length(len(payload)) + payload


def _describe(length: int, limit: int) -> str:
    if length == 0:
        return "a frame cannot be empty"
    return f"a frame of {length} bytes is announced; {limit} are allowed"
