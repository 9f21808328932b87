"""The chat as this side sees it: who one is, where, and what is not answered yet.

    hello -> receive(welcome) -> receive(room) -> say / whisper / receive ...

Every saying carries a random ``ref``; it is ``unanswered`` until an echo, an error or
a warning brings that ``ref`` back.  Frames are judged in the order sent, so what is
unanswered after a lost connection is what may have to be sent again.
Must not know: sockets, terminals, how anything is shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from chatroom.client.frames import Fields
from chatroom.errors import BadPeer

VERSION = 1
"""The version of the protocol that this client speaks."""
BEFORE_WELCOME = frozenset(("welcome", "error", "kick", "ping", "pong"))
ANSWERS = frozenset(("message", "whisper", "warning", "error"))
"""What brings a ref back."""


def random_ref() -> str:
    """Return a ref that nobody else has: 64 random bits."""
    return os.urandom(8).hex()


class Session:
    """What the client knows; every frame of the server goes through ``receive``."""

    def __init__(self, new_ref: Callable[[], str] = random_ref) -> None:
        self._new_ref = new_ref
        self.joined = False
        """Whether the server has said welcome."""
        self.nick = ""
        self.room = ""
        self.token = ""
        """The secret that takes this session up again over another connection."""
        self.server = ""
        self.strikes = 0
        self.limits: dict[str, int] = {}
        self.log = ""
        """The identity of the numbering that ``last_id`` belongs to."""
        self.last_id = 0
        """The newest message of the room that has been seen."""
        self.count = 0
        """Members of the room, oneself included."""
        self.unanswered: dict[str, Fields] = {}
        """Sayings by their ref, in the order sent."""

    # -- what goes out --------------------------------------------------------

    def hello(self, nick: str | None, room: str) -> Fields:
        """Return the frame that joins the chat."""
        frame: Fields = {"type": "hello", "version": VERSION}
        if nick is not None:
            frame["nick"] = nick
        frame["room"] = room
        return frame

    def say(self, text: str) -> Fields:
        """Return the frame that says *text*, and expect its answer."""
        return self._saying({"type": "say", "text": text})

    def whisper(self, to: str, text: str) -> Fields:
        """Return the frame that whispers *text* to *to*, and expect its answer."""
        return self._saying({"type": "whisper", "to": to, "text": text})

    def _saying(self, frame: Fields) -> Fields:
        ref = self._new_ref()
        frame["ref"] = ref
        self.unanswered[ref] = frame
        return frame

    # -- what comes in --------------------------------------------------------

    def receive(self, kind: str, frame: Fields) -> None:
        """Take note of *frame*, a checked one of type *kind*.

        Raises ``BadPeer`` where it comes at a time when it cannot.
        """
        if kind == "welcome" if self.joined else kind not in BEFORE_WELCOME:
            raise BadPeer(f"the server sent a {kind} frame at the wrong time")
        note = _NOTES.get(kind)
        if note is not None:
            note(self, frame)
        if kind in ANSWERS and "ref" in frame:
            # A ref that somebody else made up is not in there.
            self.unanswered.pop(frame["ref"], None)

    def _welcome(self, frame: Fields) -> None:
        self.joined = True
        self.nick = frame["nick"]
        self.token = frame["session"]
        self.server = frame["server"]
        self.strikes = frame["strikes"]
        self.limits = frame["limits"]

    def _room(self, frame: Fields) -> None:
        self.room = frame["room"]
        self.log = frame["log"]
        self.last_id = frame["last_id"]
        self.count = frame["count"]

    def _message(self, frame: Fields) -> None:
        if frame["room"] == self.room:
            self.last_id = frame["id"]

    def _joined(self, frame: Fields) -> None:
        self.count += 1

    def _left(self, frame: Fields) -> None:
        self.count -= 1

    def _count(self, frame: Fields) -> None:
        self.count = frame["count"]

    def _renamed(self, frame: Fields) -> None:
        if frame["old"] == self.nick:
            self.nick = frame["new"]

    def _warning(self, frame: Fields) -> None:
        self.strikes = frame["strikes"]


_NOTES: dict[str, Callable[[Session, Fields], None]] = {
    "welcome": Session._welcome,
    "room": Session._room,
    "message": Session._message,
    "joined": Session._joined,
    "left": Session._left,
    "count": Session._count,
    "renamed": Session._renamed,
    "warning": Session._warning,
}
