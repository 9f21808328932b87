"""Rooms: who is in them, and how much of coming and going is told to whom.

In a large room every arrival would be news for everyone: a crowd of N that comes in
costs N * N frames.  There a ``count`` stands for names (protocol.md, section 4), and
the room is large until it has clearly shrunk.  Must not know: connections and bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from chatroom.core.log import RoomLog

if TYPE_CHECKING:
    from chatroom.core.sessions import Session

COUNT_INTERVAL = 1.0
"""Seconds between two ``count`` of a room, at least."""


class Room:
    """One room: its members by the key of their nick, its log, its topic."""

    __slots__ = (
        "_sorted",
        "counted_at",
        "large",
        "lasting",
        "log",
        "members",
        "name",
        "presence_limit",
        "topic",
    )

    def __init__(self, name: str, log: RoomLog[Any], presence_limit: int) -> None:
        self.name = name
        self.log = log
        self.presence_limit = presence_limit
        self.members: dict[str, Session] = {}
        self.topic: str | None = None
        self.large = False
        self.lasting = log.last_id > 0
        """Something was said here: the room outlives its last member."""
        self.counted_at = float("-inf")
        self._sorted: list[str] | None = None

    def add(self, session: Session) -> None:
        """Let *session* in."""
        self.members[session.key] = session
        self._sorted = None
        if self.presence_limit and len(self.members) > self.presence_limit:
            self.large = True

    def remove(self, session: Session) -> bool:
        """Let *session* go; tell whether the room has just ceased to be large."""
        del self.members[session.key]
        self._sorted = None
        return self._has_shrunk()

    def limit_presence(self, limit: int) -> bool:
        """Be large above *limit* from now on; tell whether it has just ceased to be."""
        self.presence_limit = limit
        if limit and len(self.members) > limit:
            self.large = True
        return self._has_shrunk()

    def _has_shrunk(self) -> bool:
        # A tenth below the limit, so that one who comes and goes does not switch it.
        limit = self.presence_limit
        if self.large and (not limit or len(self.members) * 10 < limit * 9):
            self.large = False
            return True
        return False

    def rename(self, session: Session, nick: str, key: str) -> None:
        """Call *session* by *nick* and *key* from now on."""
        del self.members[session.key]
        session.nick, session.key = nick, key
        self.members[key] = session
        self._sorted = None

    def nicks_after(self, key: str) -> list[str]:
        """Return the nicks in the order of their keys, those after *key*."""
        if self._sorted is None:
            self._sorted = sorted(self.members)
        return [self.members[k].nick for k in after(self._sorted, key)]


def after(ordered: list[str], start: str) -> list[str]:
    """Return the part of *ordered* that comes after *start* (not included)."""
    return ordered[bisect_right(ordered, start) :]
