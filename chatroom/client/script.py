"""Frames in: with ``--json-in`` each line of the input is one, for programs that chat.

    objection, while lines are read -> take, when it is their turn

What is wrong with a line is told with its number as soon as it is read, so that only
frames wait for their turn.  Must not know: sockets, how a frame is answered.
"""

from __future__ import annotations

from typing import Protocol

from chatroom.client.frames import Fields
from chatroom.client.session import random_ref
from chatroom.core.text import text_error
from chatroom.wire.codec import MAX_REF, Malformed, decode_object, encode_object
from chatroom.wire.framing import HEADER_SIZE, MAX_FRAME

MAX_LINE = 6 * MAX_FRAME
"""Bytes of a line: JSON may write each of a frame's as one like \\u0061."""
TOO_LONG = "is longer than any frame and is not sent"

SAYINGS = ("say", "whisper")
NEEDED = {
    "say": ("text",),
    "whisper": ("to", "text"),
    "nick": ("nick",),
    "join": ("room",),
    "op": ("do",),
}
"""Fields that have to be strings for the client itself to follow what happens."""


class Chat(Protocol):
    """What a frame may do."""

    def say(self, text: str, ref: str | None) -> None:
        """Say *text* to the room, as *ref*."""

    def whisper(self, to: str, text: str, ref: str | None) -> None:
        """Say *text* to one member, as *ref*."""

    def ask(self, frame: Fields) -> None:
        """Send *frame*, which says nothing to anybody."""

    def leave(self) -> None:
        """Leave the chat."""


def objection(line: str) -> str | None:
    """Return why *line* is no frame to send, or ``None``."""
    try:
        if line.strip():
            _read(line)
    except Malformed as wrong:
        return f"is not sent: {wrong}"
    return None


def take(chat: Chat, line: str) -> None:
    """Send *line*, a frame that there is no objection to."""
    frame = _read(line)
    match frame["type"]:
        case "say":
            chat.say(frame["text"], frame["ref"])
        case "whisper":
            chat.whisper(frame["to"], frame["text"], frame["ref"])
        case "leave":
            chat.leave()
        case _:
            chat.ask(frame)


def _read(line: str) -> Fields:
    """Return the frame in *line*; a saying has a ref.  Raises ``Malformed``."""
    frame = decode_object(line.encode())
    kind = frame.get("type")
    if type(kind) is not str:
        raise Malformed("the frame has no type, a string")
    if kind == "hello":
        raise Malformed("the client itself says hello")
    for name in NEEDED.get(kind, ()):
        if type(frame.get(name)) is not str:
            raise Malformed(f"{name} has to be a string")
    if kind in SAYINGS:
        _check_saying(frame)
    if len(encode_object(frame)) > HEADER_SIZE + MAX_FRAME:
        raise Malformed(f"the frame is longer than {MAX_FRAME} bytes")
    return frame


def _check_saying(frame: Fields) -> None:
    wrong = text_error(frame["text"])
    if wrong is not None:
        raise Malformed(wrong[1])
    ref = frame.setdefault("ref", random_ref())
    if type(ref) is not str or not 1 <= len(ref) <= MAX_REF:
        raise Malformed(f"ref has to be a string of 1 to {MAX_REF} characters")
