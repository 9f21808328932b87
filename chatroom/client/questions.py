"""What the server was asked and has not answered: whose question each answer is.

    ask* -> (answered | refused)* -> lost -> ask* ...

Answers come in the order of the questions, and look the same whoever asked: the user,
who sees them as they come, or the client itself, which wants to know something.
Must not know: sockets, what anybody wants to know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from chatroom.client.frames import Fields
from chatroom.client.transcript import Event

ANSWERS = {"members": "who", "rooms": "rooms", "history": "history"}
"""What each kind of answer is the answer to."""
QUESTIONS = frozenset(ANSWERS.values())

Take = Callable[[Fields | None], list[Event] | None]
"""Takes an answer, and returns what is to be shown of it; ``None``: the frame as it
came.  Where the question was refused it gets ``None``, and its user the error."""


class Questions:
    """All that is open, in the order asked."""

    def __init__(self) -> None:
        self._open: deque[tuple[str, Take | None]] = deque()

    def ask(self, kind: str, take: Take | None = None) -> None:
        """A question of *kind* goes out; without *take* it is the user's."""
        self._open.append((kind, take))

    def answered(self, kind: str, frame: Fields) -> list[Event] | None:
        """*frame*, of *kind*, has come: return what is to be shown, as ``Take`` does.

        One that nobody asked for is shown.
        """
        if all(asked != ANSWERS[kind] for asked, _ in self._open):
            return None
        passed_over: list[Event] = []
        while True:
            asked, take = self._open.popleft()
            answer = frame if asked == ANSWERS[kind] else None
            events = take(answer) if take is not None else None
            if answer is not None:
                return events if events is None else passed_over + events
            passed_over += events or []

    def refused(self) -> list[Event]:
        """An error has come that answers the first that is open, if any: return what
        is to be shown behind it."""
        if not self._open:
            return []
        _, take = self._open.popleft()
        return (take(None) if take is not None else None) or []

    def lost(self) -> None:
        """Nothing of it will be answered."""
        self._open.clear()
