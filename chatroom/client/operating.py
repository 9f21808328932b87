"""What one has asked for as an operator, and what becomes of it.

    (asked -> answer)* -> lost -> welcome -> (asked -> answer)* ...

Nothing of it is done twice: what has no answer when the connection is lost is told,
and not sent again.  Pure.  Must not know: how anything is sent or shown.
"""

from __future__ import annotations

from collections import deque

from chatroom.client.frames import Fields
from chatroom.client.transcript import Event

_TOLD = ("do", "nick", "address")
"""Fields by which one knows again what one has asked for."""


class Operating:
    """One operator, or somebody who would like to be one."""

    def __init__(self) -> None:
        self._open: deque[Fields] = deque()
        """What has no answer yet, in the order asked."""
        self._session = ""
        """The session that an operator's key was shown in; empty: none."""

    def asked(self, frame: Fields) -> None:
        """*frame*, an ``op``, goes out."""
        self._open.append({name: frame.get(name) for name in _TOLD})

    def answer(self, frame: Fields | None, session: str) -> list[Event] | None:
        """Take the answer to what was asked first, in *session*; it is shown as it
        came."""
        self._open.popleft()
        if frame is not None and frame["do"] == "login":
            self._session = session
        return None

    def welcome(self, session: str) -> list[Event]:
        """One is in, in *session*: return what is to be shown."""
        if self._session in ("", session):
            return []
        self._session = ""
        return ["you are no operator any more; /op makes you one again"]

    def lost(self) -> list[Event]:
        """Nothing will be answered any more: return what is to be shown."""
        told = [_doubt(frame) for frame in self._open if frame["do"] != "bans"]
        self._open.clear()
        return told


def _doubt(frame: Fields) -> Event:
    """Return in words that nobody knows what became of *frame*."""
    if frame["do"] == "login":
        return "no answer came to your operator's key; try /op again"
    what = " ".join(word for word in frame.values() if isinstance(word, str))
    return f"no answer came, and it may be done or not: {what}"
