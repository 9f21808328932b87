"""Looks for words in what was said in a room, from the newest message back.

    begin -> (next_question -> answer)* -> the end of it | begin ... | end

One page is under way at a time.  It ends with enough matches, at the beginning of what
is kept, or after so many messages; and says how far it has looked.
Pure.  Must not know: how a question goes out, how a match is shown.
"""

from __future__ import annotations

from collections.abc import Callable

from chatroom.client.frames import Fields
from chatroom.client.transcript import PAGE, Event, Heard, amount
from chatroom.core.text import fold
from chatroom.errors import BadPeer

MAX_MATCHES = 20
MAX_SEARCHED = 5000
"""Messages looked at: twenty-five pages, which take a server some seconds."""


class Search:
    """One search at a time; *hides* tells whose messages are not looked at."""

    def __init__(self, hides: Callable[[str], bool]) -> None:
        self._hides = hides
        self._text = ""
        """What is looked for; empty while nothing is."""
        self._words: list[str] = []
        self._room = ""
        self._before: int | None = None
        """The oldest message that was looked at."""
        self._searched = 0
        self._found: list[Fields] = []
        """The newest first."""
        self._asked = False
        self._stale = False
        """Whether the page under way belongs to a search that is over."""

    @property
    def room(self) -> str:
        """The room that is searched; empty: none."""
        return self._room if self._text else ""

    def begin(self, text: str, room: str) -> None:
        """Look for messages of *room* that hold all words of *text*, in any case."""
        self._text, self._room = text, room
        self._words = [fold(word) for word in text.split()]
        self._before = None
        self._searched = 0
        self._found = []
        self._stale = self._asked

    def end(self, why: str) -> list[Event]:
        """Look no further, because of *why*; return what is to be shown."""
        if not self._text:
            return []
        word = f"{self._title()}: ended, as {why}"
        self._stop()
        return [word]

    def lost(self) -> None:
        """There is no connection any more, and no answer to come."""
        self._asked = self._stale = False

    def next_question(self) -> Fields | None:
        """Return what asks for the next page, or ``None``."""
        if not self._text or self._asked:
            return None
        self._asked = True
        question: Fields = {"type": "history", "limit": PAGE}
        if self._before is not None:
            question["before"] = self._before
        return question

    def answer(self, page: Fields | None) -> list[Event]:
        """Take the answer; return what is to be shown now.

        Raises ``BadPeer`` where there would be no end to it.
        """
        self._asked = False
        if self._stale or not self._text:
            self._stale = False
            return []
        if page is None:
            return self.end("the server has refused to go on")
        before = self._before
        for message in reversed(page["messages"]):
            self._before = message["id"]
            self._searched += 1
            self._look_at(message)
            if self._is_enough:
                return self._results(all_of_it=False)
        if not page["more"]:
            return self._results(all_of_it=True)
        if self._before is None or (before is not None and self._before >= before):
            raise BadPeer("the server sent a page of history with nothing older")
        return []

    def _look_at(self, message: Fields) -> None:
        if not self._hides(message["from"]):
            text = fold(message["text"])
            if all(word in text for word in self._words):
                self._found.append(message)

    @property
    def _is_enough(self) -> bool:
        return len(self._found) >= MAX_MATCHES or self._searched >= MAX_SEARCHED

    def _results(self, all_of_it: bool) -> list[Event]:
        number = len(self._found)
        title, searched = self._title(), amount(self._searched, "message")
        far = f"all {searched} kept" if all_of_it else f"the last {searched}"
        how_far = f"searched {far} of {self._room}"
        found = reversed(self._found)
        self._stop()
        if not number:
            return [f"{title}: nothing found; {how_far}"]
        matches: list[Event] = [Heard("found", message) for message in found]
        return [f"{title}: {number} found", *matches, f"end of search; {how_far}"]

    def _title(self) -> str:
        return f"search for {self._text}"

    def _stop(self) -> None:
        self._text = ""
        self._found = []
