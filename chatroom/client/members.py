"""Who is in the room, who has spoken last, and which rooms there are.

    heard* with (next_question -> answer)* between; lost

The names are there to be completed.  They are asked for on entering, and kept right by
what the room tells; a large room tells only how many there are, and is not asked.
Pure.  Must not know: how a question goes out, what is shown.
"""

from __future__ import annotations

from collections.abc import Callable

from chatroom.client.frames import Fields
from chatroom.client.transcript import Event
from chatroom.core.text import nick_key

MAX_LISTED = 300
"""Members of a room above which nobody is asked for their names."""
MAX_MEMBERS = 1000
"""Names kept, whatever a server tells."""
MAX_SPEAKERS = 100
"""Names kept of those who have spoken, in large rooms and elsewhere too."""
MAX_ROOMS = 1000
"""Rooms kept."""


class Members:
    """The names, each by its key."""

    def __init__(self) -> None:
        self._room = ""
        self._size = 0
        """How many there are, known or not."""
        self._here: dict[str, str] = {}
        self._speakers: dict[str, str] = {}
        """Those who have said or whispered something; the last is the latest."""
        self._wanted = False
        """Whether there are names that one does not know yet."""
        self._after = ""
        """The last name of the pages that have come."""
        self._asked = False
        self._stale = False
        """Whether the page under way answers a question that is over."""

    def nicks(self, own: str) -> list[str]:
        """Return all names but *own*, those who spoke last first."""
        found = dict(reversed(self._speakers.items()))
        found |= dict(sorted(self._here.items()))
        found.pop(nick_key(own), None)
        return list(found.values())

    def heard(self, kind: str | None, frame: Fields, size: int) -> None:
        """Take note of *frame*; there are *size* members now."""
        self._size = size
        hear = _HEAR.get(kind or "")
        if hear is not None:
            hear(self, frame)

    def lost(self) -> None:
        """There is no connection any more, and no answer to come."""
        self._asked = self._stale = False

    def next_question(self) -> Fields | None:
        """Return what asks for names that are not known, or ``None``."""
        if not self._wanted or self._asked or self._size > MAX_LISTED:
            return None
        self._asked = True
        return {"type": "who", "after": self._after} if self._after else {"type": "who"}

    def answer(self, page: Fields | None) -> list[Event]:
        """Take the answer; nothing of it is shown."""
        self._asked = False
        if self._stale:
            self._stale = False
            return []
        self._wanted = False
        if page is None:
            return []
        if not self._after:
            # In its place among the news, it holds all that they have told.
            self._here.clear()
        before = len(self._here)
        for nick in page["members"]:
            self._came(nick)
        if page["more"] and len(self._here) > before:
            self._wanted = True
            self._after = page["members"][-1]
        return []

    # -- what the room tells ----------------------------------------------------

    def _entered(self, frame: Fields) -> None:
        if frame["room"] != self._room:
            self._room = frame["room"]
            self._here.clear()
            self._speakers.clear()
        self._begin()

    def _counted(self, frame: Fields) -> None:
        # It stands for names that have come, gone and changed.
        self._begin()

    def _begin(self) -> None:
        self._wanted = True
        self._after = ""
        self._stale = self._asked

    def _joined(self, frame: Fields) -> None:
        self._came(frame["nick"])

    def _came(self, nick: str) -> None:
        if len(self._here) < MAX_MEMBERS:
            self._here[nick_key(nick)] = nick

    def _left(self, frame: Fields) -> None:
        key = nick_key(frame["nick"])
        self._here.pop(key, None)
        self._speakers.pop(key, None)

    def _renamed(self, frame: Fields) -> None:
        old, new = nick_key(frame["old"]), nick_key(frame["new"])
        self._here.pop(old, None)
        self._came(frame["new"])
        self._speakers = {
            new if key == old else key: frame["new"] if key == old else nick
            for key, nick in self._speakers.items()
        }

    def _spoke(self, frame: Fields) -> None:
        self._turn_to(frame["from"])

    def _whispered(self, frame: Fields) -> None:
        self._turn_to(frame["to"])
        self._turn_to(frame["from"])

    def _turn_to(self, nick: str) -> None:
        key = nick_key(nick)
        self._speakers.pop(key, None)
        self._speakers[key] = nick
        if len(self._speakers) > MAX_SPEAKERS:
            del self._speakers[next(iter(self._speakers))]


_HEAR: dict[str, Callable[[Members, Fields], None]] = {
    "room": Members._entered,
    "count": Members._counted,
    "joined": Members._joined,
    "left": Members._left,
    "renamed": Members._renamed,
    "message": Members._spoke,
    "whisper": Members._whispered,
}


class Rooms:
    """The rooms, and how many are in each."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._wanted = False
        self._asked = False

    @property
    def names(self) -> list[str]:
        """All of them, the largest first."""
        return sorted(self._sizes, key=lambda name: (-self._sizes[name], name))

    def entered(self) -> None:
        """One has come into a room, and may want to go on to another."""
        self._wanted = True

    def lost(self) -> None:
        """There is no connection any more, and no answer to come."""
        self._asked = False

    def next_question(self) -> Fields | None:
        """Return what asks for the rooms, or ``None``."""
        if not self._wanted or self._asked:
            return None
        self._wanted, self._asked = False, True
        return {"type": "rooms"}

    def answer(self, page: Fields | None) -> list[Event]:
        """Take the answer; nothing of it is shown."""
        self._asked = False
        if page is not None:
            self._sizes.clear()
        self.listed(page)
        return []

    def listed(self, page: Fields | None) -> None:
        """Take note of *page*, which the user has asked for."""
        for entry in page["rooms"] if page is not None else ():
            if len(self._sizes) < MAX_ROOMS:
                self._sizes[entry["room"]] = entry["count"]
