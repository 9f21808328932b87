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

QUESTIONS = frozenset(("who", "rooms", "history", "op"))
"""Types of the frames that are questions."""

OP = "op "
"""Before what an operator wants done."""

Take = Callable[[Fields | None], list[Event] | None]
"""Takes an answer, and returns what is to be shown of it; ``None``: the frame as it
came.  Where the question was refused it gets ``None``, and its user the error."""


class Questions:
    """All that is open, in the order asked."""

    def __init__(self) -> None:
        self._open: deque[tuple[str, Take | None]] = deque()

    def ask(self, frame: Fields, take: Take | None = None) -> None:
        """*frame*, a question, goes out; without *take* it is the user's."""
        self._open.append((_kind(frame), take))

    def answered(self, kind: str, frame: Fields) -> list[Event] | None:
        """*frame*, the answer to a question of *kind*, has come: return what is to be
        shown, as ``Take`` does.

        One that nobody asked for is shown.
        """
        if all(asked != kind for asked, _ in self._open):
            return None
        passed_over: list[Event] = []
        while True:
            asked, take = self._open.popleft()
            answer = frame if asked == kind else None
            events = take(answer) if take is not None else None
            if answer is not None:
                return events if events is None else passed_over + events
            passed_over += events or []

    def is_unasked(self, code: str) -> bool:
        """Tell whether an error of *code* answers nothing: that it holds from now on
        is told to whom an operator has muted, or whose key is none any more.

        A saying's answer has a ref.  ``not-allowed`` is what ``op`` may get, and it
        would be the first that is open by then.
        """
        if code == "not-allowed":
            return not self._open or not self._open[0][0].startswith(OP)
        return code == "muted"

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


def _kind(frame: Fields) -> str:
    """Return what its answer is known by; those of operators say what was done."""
    kind: str = frame["type"]
    return OP + frame["do"] if kind == "op" else kind
