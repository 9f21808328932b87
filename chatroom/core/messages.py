"""What the server tells a client, as nouns (protocol.md, section 4).

Field order is wire order; a field that is ``None`` is left out.  ``type`` is the name
on the wire, and ``sender`` stands for the key ``from``, a keyword of Python's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(slots=True)
class Welcome:
    """The answer to a good hello."""

    type: ClassVar[str] = "welcome"
    version: int
    server: str
    nick: str
    session: str
    strikes: int
    last_ref: str | None
    limits: dict[str, int]


@dataclass(slots=True)
class RoomInfo:
    """The room that one has entered, as it is at that moment."""

    type: ClassVar[str] = "room"
    room: str
    log: str
    last_id: int
    oldest_id: int
    count: int
    topic: str | None = None


@dataclass(slots=True)
class Message:
    """A message of a room's log.  ``id`` is 0 until the log has given it one."""

    type: ClassVar[str] = "message"
    id: int
    room: str
    sender: str
    text: str
    at: int
    ref: str | None


@dataclass(slots=True)
class Whispered:
    """A whisper, to both ends."""

    type: ClassVar[str] = "whisper"
    sender: str
    to: str
    text: str
    at: int
    ref: str | None


@dataclass(slots=True)
class Joined:
    """Somebody has entered the room."""

    type: ClassVar[str] = "joined"
    room: str
    nick: str


@dataclass(slots=True)
class Left:
    """Somebody has left the room; *reason* as in a kick, ``moved`` or ``lost``."""

    type: ClassVar[str] = "left"
    room: str
    nick: str
    reason: str


@dataclass(slots=True)
class Renamed:
    """Somebody in the room has another nick."""

    type: ClassVar[str] = "renamed"
    room: str
    old: str
    new: str


@dataclass(slots=True)
class Count:
    """How many are in a large room; stands for who came, went and was renamed."""

    type: ClassVar[str] = "count"
    room: str
    count: int


@dataclass(slots=True)
class Members:
    """Nicks in key order; the codec shows as many as a frame holds."""

    type: ClassVar[str] = "members"
    room: str
    members: list[str]


@dataclass(slots=True)
class RoomList:
    """Rooms and their sizes in name order; the codec shows as many as fit."""

    type: ClassVar[str] = "rooms"
    rooms: list[tuple[str, int]]


@dataclass(slots=True)
class Topic:
    """The room's topic has changed."""

    type: ClassVar[str] = "topic"
    room: str
    topic: str
    by: str


@dataclass(slots=True)
class Done:
    """What an operator wanted is done; *text* is for a person."""

    type: ClassVar[str] = "op"
    do: str
    text: str


@dataclass(slots=True)
class Bans:
    """Bans in the order of their targets; the codec shows as many as a frame holds."""

    type: ClassVar[str] = "op"
    bans: list[Ban]


@dataclass(slots=True)
class Ban:
    """One of them: of a nick or of an address, the other is ``None``."""

    nick: str | None
    address: str | None
    until: int
    """Milliseconds since the epoch; 0: for good."""
    by: str
    reason: str


@dataclass(slots=True)
class Warned:
    """A strike that does not disconnect yet."""

    type: ClassVar[str] = "warning"
    reason: str
    strikes: int
    limit: int
    text: str
    ref: str | None


@dataclass(slots=True)
class Kick:
    """The last frame of a connection, and why it is the last."""

    type: ClassVar[str] = "kick"
    reason: str
    text: str


@dataclass(slots=True)
class Error:
    """A frame that was refused."""

    type: ClassVar[str] = "error"
    code: str
    text: str
    ref: str | None = None


class Refused(Exception):
    """Raised where a request is answered by the ``Error`` with *code* and *text*."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class Ping:
    """Are you there?"""

    type: ClassVar[str] = "ping"
    data: str | None = None


@dataclass(slots=True)
class Pong:
    """The answer to a client's ping."""

    type: ClassVar[str] = "pong"
    data: str | None = None


Tellable = (
    Welcome
    | RoomInfo
    | Message
    | Whispered
    | Joined
    | Left
    | Renamed
    | Count
    | Members
    | RoomList
    | Topic
    | Done
    | Bans
    | Warned
    | Kick
    | Error
    | Ping
    | Pong
)
