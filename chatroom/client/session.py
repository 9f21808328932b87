"""The chat as this side sees it: who one is, where, what was said and what was heard.

    hello -> receive(welcome) -> receive(room) -> say / whisper / receive ...
    disconnected -> hello -> receive(welcome) -> receive(room)
        -> (next_frame | receive)* until ``settled`` -> ...

Every frame of the server goes through ``receive``, which returns what is to be shown
of it, in order: each message of a room once, however often the connection was lost.
Every saying carries a random ``ref``; an echo, an error or a warning brings it back.
What that leads to after a lost connection is in ``outbox.py`` (what is owed) and
``transcript.py`` (what was missed); whose question an answer belongs to, in
``questions.py``.
Must not know: sockets, terminals, how anything is shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from chatroom.client.frames import Fields
from chatroom.client.outbox import Outbox
from chatroom.client.questions import OP, QUESTIONS, Questions, Take
from chatroom.client.transcript import Event, Heard, Transcript, amount
from chatroom.core.moderation import Moderator
from chatroom.core.text import is_guest_key, nick_key
from chatroom.errors import BadPeer

VERSION = 1
"""The version of the protocol that this client speaks."""
BEFORE_WELCOME = frozenset(("welcome", "error", "kick", "ping", "pong"))
MAX_LISTED = 5
"""Texts listed one by one that will not be sent again."""
LISTED_TEXT = 60
"""Characters that are shown of each of them."""


def random_ref() -> str:
    """Return a ref that nobody else has: 64 random bits."""
    return os.urandom(8).hex()


class Session:
    """What the client knows."""

    def __init__(self, new_ref: Callable[[], str] = random_ref) -> None:
        self.outbox = Outbox(new_ref)
        self.transcript = Transcript()
        self.questions = Questions()
        self.joined = False
        """Whether the server has said welcome."""
        self.settled = False
        """Whether one is in a room, and nothing from before is in doubt."""
        self.returning = False
        """Whether the connection was lost, and all is not as it was yet."""
        self.nick = ""
        self.token = ""
        """The secret that takes this session up again over another connection."""
        self.server = ""
        self.strikes = 0
        self.strike_limit = 0
        """Which strike kicks; 0: the server has not said."""
        self.limits: dict[str, int] = {}
        self.count = 0
        """Members of the room, oneself included."""
        self.topic = ""
        self._entering = True
        self._nicks: set[str] = set()
        """What one was called while that mattered."""

    @property
    def room(self) -> str:
        """The room one is in, or was in last."""
        return self.transcript.room

    @property
    def last_id(self) -> int:
        """The newest message of the room that has been seen."""
        return self.transcript.last_id

    @property
    def wanted_nick(self) -> str | None:
        """The name to come back with; ``None``: one that the server gives, and that
        nobody can ask for."""
        return None if is_guest_key(nick_key(self.nick)) else self.nick

    # -- what goes out --------------------------------------------------------

    def hello(self, nick: str | None, room: str, password: str | None = None) -> Fields:
        """Return the frame that joins the chat, or comes back to it."""
        frame: Fields = {"type": "hello", "version": VERSION}
        if nick is not None:
            frame["nick"] = nick
        frame["room"] = self.room or room
        if self.token:
            frame["session"] = self.token
        if password is not None:
            frame["password"] = password
        return frame

    def say(self, text: str, ref: str | None = None) -> Fields:
        """Return the frame that says *text*, and expect its answer."""
        return self._saying({"type": "say", "text": text}, ref)

    def whisper(self, to: str, text: str, ref: str | None = None) -> Fields:
        """Return the frame that whispers *text* to *to*, and expect its answer."""
        return self._saying({"type": "whisper", "to": to, "text": text}, ref)

    def _saying(self, frame: Fields, ref: str | None) -> Fields:
        shout = self.is_shout(frame["text"])
        return self.outbox.say(frame, self.room, shout, ref)

    def is_shout(self, text: str) -> bool:
        """Tell whether the server would take *text* for a shout."""
        letters = self.limits.get("shout_letters", 1)
        return Moderator(min_letters=letters).is_shout(text)

    def ask(self, frame: Fields, take: Take | None = None) -> Fields:
        """Return *frame*, which says nothing, and keep in mind what it changes.

        *take* gets the answer to a question that is not the user's own.
        """
        kind = frame["type"]
        if kind in ("join", "nick"):
            self.outbox.ask(frame)
        elif kind in QUESTIONS:
            self.questions.ask(frame, take)
        return frame

    def next_frame(self) -> Fields | None:
        """Return what has to be sent before anything new, or ``None``."""
        if not self.joined or self._entering:
            return None
        question = self.transcript.next_question()
        if question is not None:
            return self.ask(question, self._missed)
        return self.outbox.next_owed()

    def disconnected(self) -> None:
        """The connection is lost."""
        self.joined = self.settled = False
        self.returning = bool(self.token)
        self.outbox.lost()
        self.transcript.lost()
        self.questions.lost()

    # -- what comes in --------------------------------------------------------

    def receive(self, kind: str | None, frame: Fields) -> list[Event]:
        """Take note of *frame*, a checked one of type *kind*; return what to show.

        Raises ``BadPeer`` where it comes at a time when it cannot.
        """
        if kind is None:
            return [Heard(None, frame)]
        if kind == "welcome" if self.joined else kind not in BEFORE_WELCOME:
            raise BadPeer(f"the server sent a {kind} frame at the wrong time")
        events = _RECEIVE.get(kind, Session._other)(self, frame)
        return [Heard(kind, frame)] if events is None else events

    def _other(self, frame: Fields) -> None:
        """Nothing follows from it here."""

    def _welcome(self, frame: Fields) -> list[Event]:
        events: list[Event] = [Heard("welcome", frame, self.returning)]
        if self.returning:
            events += self._came_back(frame)
        self.joined = self._entering = True
        self.nick = frame["nick"]
        self.token = frame["session"]
        self.server = frame["server"]
        self.strikes = frame["strikes"]
        self.limits = frame["limits"]
        self.strike_limit = self.limits.get("strikes", 0)
        self._nicks |= {self.nick} | self.outbox.asked_nicks()
        return events

    def _came_back(self, frame: Fields) -> list[Event]:
        told: list[Event] = []
        if frame["session"] == self.token:
            self.outbox.came_back(frame.get("last_ref", ""))
        else:
            told.append("the server no longer knows your session: this is a new one")
        if frame["nick"] != self.nick:
            told.append(f"you are now {frame['nick']}")
        if frame["strikes"] != self.strikes:
            limit = frame["limits"].get("strikes")
            among = "" if limit is None else f" of {limit}"
            told.append(f"your strikes are now {frame['strikes']}{among}")
        return told

    def _room(self, frame: Fields) -> list[Event]:
        self.count = frame["count"]
        self.topic = frame.get("topic", "")
        same = frame["room"] == self.room
        again = self.returning and same
        events: list[Event] = [Heard("room", frame, again)]
        if not self._entering:
            self.outbox.entered(frame["room"])
            if not same:
                self.transcript.enter(frame)
            return events
        self._entering = False
        if again:
            events += self.transcript.resume(frame)
        else:
            self.transcript.enter(frame)
        return events + self._settle()

    def _message(self, frame: Fields) -> list[Event]:
        events = self.transcript.live(frame)
        self._answered(frame)
        return events

    def _members(self, frame: Fields) -> list[Event] | None:
        return self.questions.answered("who", frame)

    def _rooms(self, frame: Fields) -> list[Event] | None:
        return self.questions.answered("rooms", frame)

    def _history(self, frame: Fields) -> list[Event] | None:
        return self.questions.answered("history", frame)

    def _op(self, frame: Fields) -> list[Event] | None:
        return self.questions.answered(OP + frame["do"], frame)

    def _missed(self, page: Fields | None) -> list[Event] | None:
        """Take a page of what was missed."""
        if page is None:
            self.transcript.refused()
            return None
        events = self.transcript.page(page)
        for event in events:
            if isinstance(event, Heard) and event.frame["from"] in self._nicks:
                self.outbox.found(event.frame.get("ref", ""))
        return events + self._settle()

    def _settle(self) -> list[Event]:
        """Decide what is owed, once all is read that was missed."""
        if self.settled or self.transcript.catching_up:
            return []
        torn = self.transcript.torn
        settled = self.outbox.settle(self.token, self.room, torn)
        self.settled, self.returning = True, False
        return [
            *_listed(settled.judged, "no answer came to"),
            *_listed(settled.doubtful, "not sent again, as it may have arrived"),
        ]

    def _whisper(self, frame: Fields) -> None:
        self._answered(frame)

    def _answered(self, frame: Fields) -> None:
        # A ref comes back in what others get too, and anybody may use it then.
        if "ref" in frame and frame["from"] in self._nicks:
            self.outbox.answered(frame["ref"])

    def _warning(self, frame: Fields) -> None:
        self.strikes = frame["strikes"]
        self.strike_limit = frame["limit"]
        self.outbox.answered(frame.get("ref", ""))

    def _error(self, frame: Fields) -> list[Event] | None:
        if "ref" in frame:
            self.outbox.answered(frame["ref"])
            return None
        if self.questions.is_unasked(frame["code"]):
            return [Heard("unasked", frame)]
        if self.settled and self.outbox.refused(frame["code"]):
            return None
        return [Heard("error", frame), *self.questions.refused()]

    def _joined(self, frame: Fields) -> None:
        self.count += 1

    def _left(self, frame: Fields) -> None:
        self.count -= 1

    def _count(self, frame: Fields) -> None:
        self.count = frame["count"]

    def _topic(self, frame: Fields) -> None:
        self.topic = frame["topic"]

    def _renamed(self, frame: Fields) -> None:
        if frame["old"] == self.nick:
            self.nick = frame["new"]
            self._nicks.add(self.nick)
            self.outbox.renamed(self.nick)


def _listed(frames: list[Fields], what: str) -> list[Event]:
    """Return *frames*, sayings, as words that begin with *what*."""
    told: list[Event] = []
    for frame in frames[:MAX_LISTED]:
        whom = f" to {frame['to']}" if "to" in frame else ""
        text = frame["text"]
        if len(text) > LISTED_TEXT:
            text = text[:LISTED_TEXT] + " ..."
        told.append(f"{what}: {frame['type']}{whom}: {text}")
    more = len(frames) - MAX_LISTED
    if more > 0:
        told.append(f"{what}: {amount(more, 'more message')}")
    return told


_RECEIVE: dict[str, Callable[[Session, Fields], list[Event] | None]] = {
    "welcome": Session._welcome,
    "room": Session._room,
    "message": Session._message,
    "members": Session._members,
    "rooms": Session._rooms,
    "history": Session._history,
    "op": Session._op,
    "whisper": Session._whisper,
    "warning": Session._warning,
    "error": Session._error,
    "joined": Session._joined,
    "left": Session._left,
    "count": Session._count,
    "topic": Session._topic,
    "renamed": Session._renamed,
}
