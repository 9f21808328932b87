"""What has been seen of a room, and what was missed of it.

    enter -> live* | resume -> (next_question -> page)* -> live* ...

A room is a log with numbers, so whoever comes back asks for what stands after the last
number that he has seen, page by page.  What is said meanwhile is left to the pages:
each is answered at its place in what the room hears, so the last one holds all of it.
Must not know: sockets, how anything is shown, who one is.
"""

from __future__ import annotations

from dataclasses import dataclass

from chatroom.client.frames import Fields
from chatroom.errors import BadPeer

PAGE = 200
"""Messages asked for at once, the most that a server gives."""
MAX_OF_ANOTHER = 1000
"""Messages shown of a log that one has never seen: it may be a very long one."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame to be shown."""

    kind: str | None
    """Its type; ``None`` for one that this client does not know."""
    frame: Fields
    back: bool = False
    """Whether it belongs to coming back: who and where one is once more, and what was
    said while there was no connection."""


Event = Heard | str
"""Something to be shown: a frame, or a word of the client itself."""


def amount(number: int, thing: str) -> str:
    """Return *number* of *thing* in words."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


class Transcript:
    """The room that one is in, as far as it was seen."""

    def __init__(self) -> None:
        self.room = ""
        self.log = ""
        """The identity of the numbering that ``last_id`` belongs to."""
        self.last_id = 0
        """The newest message of the room that has been seen, or is known to be gone."""
        self.catching_up = False
        """Whether there is something yet to be asked for."""
        self.asked = False
        """Whether a page is on its way."""
        self.stuck = False
        """Whether the server has refused a page, and is not to be asked now."""
        self.torn = False
        """Whether something that was missed is gone, and nobody knows what it was."""
        self._target = 0
        """The newest message that there is known to be."""
        self._marked = False
        """Whether the user was told that what follows was missed."""

    def enter(self, frame: Fields) -> None:
        """One has come into a room for the first time, as *frame* tells."""
        self.lost()
        self.room = frame["room"]
        self.log = frame["log"]
        self.last_id = frame["last_id"]
        self.catching_up = self.torn = False

    def lost(self) -> None:
        """There is no connection any more; nothing of it will be answered."""
        self.asked = self.stuck = self._marked = False

    def resume(self, frame: Fields) -> list[Event]:
        """One has come back into the room, as *frame* tells."""
        told: list[Event] = []
        if not self.catching_up:
            self.torn = False
        self._target = last = frame["last_id"]
        if frame["log"] != self.log:
            told.append(
                "the server has another history than before: "
                "what was said while you were away may be gone"
            )
            self.log = frame["log"]
            known = max(frame["oldest_id"] - 1, last - MAX_OF_ANOTHER)
            self.last_id = min(known, last)
        elif last < self.last_id:
            gone = amount(self.last_id - last, "message")
            told.append(f"the server has lost {gone} that you have seen")
            self.last_id = last
        self.catching_up = last > self.last_id
        return told

    def next_question(self) -> Fields | None:
        """Return the next frame that asks for what was missed, or ``None``."""
        if not self.catching_up or self.asked or self.stuck:
            return None
        self.asked = True
        return {"type": "history", "after": self.last_id, "limit": PAGE}

    def refused(self) -> None:
        """The server has refused what it was asked for."""
        self.asked = False
        self.stuck = True

    def live(self, frame: Fields) -> list[Event]:
        """Something is said now: return what is to be shown of it."""
        if frame["room"] != self.room:
            return [Heard("message", frame)]
        if self.catching_up:
            self._target = max(self._target, frame["id"])
            return []
        if frame["id"] <= self.last_id:
            return []
        self.last_id = frame["id"]
        return [Heard("message", frame)]

    def page(self, frame: Fields) -> list[Event]:
        """A page that was asked for has come: return what is to be shown.

        Raises ``BadPeer`` where there would be no end to it.
        """
        self.asked = False
        before = self.last_id
        events: list[Event] = []
        for message in frame["messages"]:
            if message["id"] > self.last_id:
                events += self._skip_to(message["id"] - 1)
                events.append(Heard("message", message, back=True))
                self.last_id = message["id"]
        if frame["more"]:
            if self.last_id == before:
                raise BadPeer("the server sent a page of history with nothing new")
            return self._opened(events)
        events += self._skip_to(self._target)
        return self._opened(events) + self._finish()

    def _opened(self, events: list[Event]) -> list[Event]:
        if self._marked or not events:
            return events
        self._marked = True
        return ["what you missed:", *events]

    def _finish(self) -> list[Event]:
        """The pages are through."""
        self.catching_up = False
        if not self._marked:
            return []
        self._marked = False
        return ["that is what you missed; from here on it is live"]

    def _skip_to(self, last: int) -> list[Event]:
        """Nobody has what stands between the last message seen and *last* plus one."""
        gone = last - self.last_id
        if gone <= 0:
            return []
        self.last_id = last
        self.torn = True
        return [f"{amount(gone, 'message')} that you missed: gone from the server"]
