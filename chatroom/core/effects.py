"""What follows from a decision, as an ordered list of small objects.

The core appends; whoever carries them out does it in this order, after the tick's
messages are kept.  One order for all is what makes a kick arrive behind what was
decided before it, and an entering see nothing from before it.

    Post      a message to be kept, and then shown to its room
    News      something else that the room is told
    Tell      one frame for one connection
    Enter     from here on the connection hears this room; it gets its ``room`` first
    Exit      from here on it hears no room
    Read      a page of the room's log, answered from what is kept by then
    Record    an operator has done something: it is written down
    Close     the connection ends when what was told before is flushed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatroom.core.messages import Message, Tellable
    from chatroom.core.requests import GetHistory
    from chatroom.core.rooms import Room
    from chatroom.core.sessions import Peer


@dataclass(slots=True)
class Post:
    """*message* is to be kept in the log of *room*, then shown there.

    If it cannot be kept, *peer* is told so and nobody sees it.
    """

    room: Room
    peer: Peer
    message: Message


@dataclass(slots=True)
class News:
    """*message* goes to all who hear *room* at this place."""

    room: Room
    message: Tellable


@dataclass(slots=True)
class Tell:
    """*message* goes to *peer* alone."""

    peer: Peer
    message: Tellable


@dataclass(slots=True)
class Enter:
    """*peer* hears *room* from here on, where *count* members and *topic* are now."""

    peer: Peer
    room: Room
    count: int
    topic: str | None


@dataclass(slots=True)
class Exit:
    """*peer* hears no room from here on; *reason* as in ``left``."""

    peer: Peer
    reason: str


@dataclass(slots=True)
class Read:
    """*peer* asks for a page of the log of *room*."""

    peer: Peer
    room: Room
    request: GetHistory


@dataclass(slots=True)
class Close:
    """*peer* gets what it was told, then its connection ends."""

    peer: Peer


@dataclass(slots=True)
class Record:
    """*peer*, an operator, has done *do*, to *target* where it is about somebody.

    *until* is milliseconds since the epoch, 0 for good, ``None`` where it is no matter
    of time.
    """

    peer: Peer
    do: str
    target: str | None = None
    reason: str = ""
    until: int | None = None


Effect = Post | News | Tell | Enter | Exit | Read | Record | Close
