"""What a client can ask of the server, as nouns (protocol.md, section 3).

A request is well formed: its fields are of the right type and within their bounds.
Whether it is *allowed* is for ``chat.py`` to say.  ``Invalid`` stands at the place of
a frame that is not well formed, so that its answer keeps its place among the others.
"""

from dataclasses import dataclass, field

from chatroom.core.text import DEFAULT_ROOM


@dataclass(slots=True)
class Hello:
    """Join the chat, or come back to it with *session*."""

    version: int
    nick: str | None = None
    room: str = DEFAULT_ROOM
    password: str | None = None
    session: str | None = None


@dataclass(slots=True)
class Say:
    """Say *text* to the room one is in."""

    text: str
    ref: str | None = None


@dataclass(slots=True)
class Whisper:
    """Say *text* to the member whose nick is *to*."""

    to: str
    text: str
    ref: str | None = None


@dataclass(slots=True)
class Nick:
    """Be called *nick* from now on."""

    nick: str


@dataclass(slots=True)
class Join:
    """Leave the room one is in for *room*."""

    room: str


@dataclass(slots=True)
class Who:
    """List the members of the room, in key order, those after the nick *after*."""

    after: str | None = None


@dataclass(slots=True)
class ListRooms:
    """List the rooms that have members, in name order, those after *after*."""

    after: str | None = None


@dataclass(slots=True)
class GetHistory:
    """Read kept messages: just after an id, just before one, or the newest."""

    after: int | None = None
    before: int | None = None
    limit: int = 50


@dataclass(slots=True)
class Leave:
    """The same as saying ``!leave``."""


@dataclass(slots=True)
class Ping:
    """Be answered by a pong with the same *data*."""

    data: str | None = None


@dataclass(slots=True)
class Pong:
    """The answer to the server's ping."""

    data: str | None = None


@dataclass(slots=True)
class Op:
    """What an operator wants done; the fields that *do* needs are there (section 8)."""

    do: str
    nick: str | None = None
    address: str | None = None
    seconds: int = 0
    """For how long; 0: for good."""
    reason: str = ""
    topic: str = ""
    after: str | None = None
    key: str = field(default="", repr=False)
    wrong: str = ""
    """What is not as it should be; only who may ask for *do* is told."""


@dataclass(slots=True)
class Invalid:
    """A frame that was refused before anybody looked at what it asks."""

    code: str
    text: str
    ref: str | None = None
    type: str | None = None
    """The ``type`` of the frame where it had one."""


@dataclass(slots=True)
class Nothing:
    """A frame of a dialect's own, which asks for nothing; it costs what all cost."""


Request = (
    Hello
    | Say
    | Whisper
    | Nick
    | Join
    | Who
    | ListRooms
    | GetHistory
    | Leave
    | Ping
    | Pong
    | Op
    | Invalid
    | Nothing
)
