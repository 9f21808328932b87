"""What was sent and is not answered: after a lost connection, some of it is owed.

    settle -> (say | ask | answered)* -> lost -> came_back? found* settle
        -> (next_owed | answered)* -> say ...

Frames are judged in the order sent, and each session tells the last one that it has
judged.  Of what was sent in another session, one that is gone, only the log of the
room can tell what had arrived; what leaves no trace there is not sent again, for it
may have been judged: a shout would be judged twice, a whisper come twice.
What was asked beside sayings and matters for them (which room, which name) is kept in
its place between them.  Must not know: sockets, how anything is shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from chatroom.client.frames import Fields
from chatroom.client.transcript import amount
from chatroom.core.moderation import LEAVE_COMMAND
from chatroom.core.text import to_nfc

NICK_ERRORS = frozenset(("nick-taken", "nick-invalid", "banned"))
ROOM_ERRORS = frozenset(("full", "room-invalid"))

Key = str | int
"""A ref where something is said, else a number."""


def is_leave(frame: Fields) -> bool:
    """Tell whether *frame*, a saying, says that one leaves."""
    return bool(frame["type"] == "say" and frame["text"].strip() == LEAVE_COMMAND)


@dataclass(slots=True)
class Sent:
    """A frame without an answer."""

    frame: Fields
    room: str
    """The room that hears it, as far as it is a text for a room."""
    shout: bool = False
    judged: bool = False
    """Whether the server is known to have judged it, though no answer came."""

    @property
    def says(self) -> bool:
        """Whether it says something; else it asks for something."""
        return "ref" in self.frame

    @property
    def is_nick(self) -> bool:
        """Whether it asks for a name."""
        return bool(self.frame["type"] == "nick")

    @property
    def traceable(self) -> bool:
        """Whether the log of its room shows that it had arrived."""
        return self.frame["type"] == "say" and not self.shout


@dataclass(slots=True)
class Settled:
    """What will not be sent again though no answer came, in the order sent."""

    judged: list[Fields]
    """These the server has judged."""
    doubtful: list[Fields]
    """These it may have judged."""


class Outbox:
    """Everything unanswered; *new_ref* gives names that nobody else has."""

    def __init__(self, new_ref: Callable[[], str]) -> None:
        self._new_ref = new_ref
        self._numbers = count()
        self._session = ""
        """The token of the session that judges all of it."""
        self._sent: dict[Key, Sent] = {}
        """All of it, in the order sent."""
        self._asks: dict[Key, Sent] = {}
        """Those of them that say nothing."""
        self._owed: deque[Key] = deque()

    # -- what goes out --------------------------------------------------------

    def say(
        self, frame: Fields, room: str, shout: bool, ref: str | None = None
    ) -> Fields:
        """Give *frame* a ref, one that is not expected, and expect its answer."""
        if ref is None:
            ref = self._new_ref()
        frame["ref"] = ref
        room = self._asked_room() or room
        self._sent[ref] = Sent(frame, room, shout)
        return frame

    def ask(self, frame: Fields) -> None:
        """Expect what comes of *frame*, a ``join`` or a ``nick``."""
        key = next(self._numbers)
        self._sent[key] = self._asks[key] = Sent(frame, "")

    def _asked_room(self) -> str | None:
        """Return the room that one will be in when all is answered, if another."""
        rooms = [s.frame["room"] for s in self._asks.values() if not s.is_nick]
        return rooms[-1] if rooms else None

    def _drop(self, key: Key) -> Sent:
        self._asks.pop(key, None)
        return self._sent.pop(key)

    # -- what comes in --------------------------------------------------------

    def answered(self, ref: str) -> None:
        """The answer to *ref* has come."""
        if ref not in self._sent:
            return
        while self._asks and not self._sent[first := next(iter(self._sent))].says:
            self._drop(first)  # Answered before it.
        self._drop(ref)

    def entered(self, room: str) -> None:
        """A ``join`` was answered by *room*."""
        self._done("join", lambda frame: frame["room"] == room)

    def renamed(self, nick: str) -> None:
        """A ``nick`` was answered: it is *nick* now."""
        self._done("nick", lambda frame: to_nfc(frame["nick"]) == nick)

    def refused(self, code: str) -> bool:
        """Something without a ref was answered by an error of *code*; return whether
        it was one of these."""
        if code in NICK_ERRORS:
            return self._done("nick", lambda frame: True)
        return code in ROOM_ERRORS and self._done("join", lambda frame: True)

    def _done(self, kind: str, matches: Callable[[Fields], bool]) -> bool:
        """Drop the first *kind* that matches, and those before it that do not; return
        whether there is one."""
        keys = [key for key, sent in self._asks.items() if sent.frame["type"] == kind]
        for number, key in enumerate(keys):
            if matches(self._sent[key].frame):
                for done in keys[: number + 1]:
                    self._drop(done)
                return True
        return False

    # -- after a lost connection ----------------------------------------------

    def lost(self) -> None:
        """Nothing is on its way any more."""
        self._owed.clear()

    def came_back(self, last_ref: str) -> None:
        """The session goes on, and has judged all up to *last_ref*."""
        if last_ref in self._sent:
            self._judge_to(last_ref)

    def found(self, ref: str) -> None:
        """The log holds what was said as *ref*."""
        if ref in self._sent:
            self._judge_to(ref)
            self._drop(ref)

    def _judge_to(self, last: Key) -> None:
        for key, sent in self._sent.items():
            sent.judged = True
            if key == last:
                return

    def settle(self, session: str, room: str, torn: bool) -> Settled:
        """The log of *room* was read to its end: decide what is owed to *session*.

        *torn*: what was missed of the log is not all there any more.
        """
        settled = Settled([], [])
        same = session == self._session
        readable = None if torn else room
        self._session = session
        for key, sent in list(self._sent.items()):
            if self._is_owed(sent, same, readable):
                self._owed.append(key)
                continue
            self._drop(key)
            if sent.says:
                doubt = settled.judged if sent.judged else settled.doubtful
                doubt.append(sent.frame)
        return settled

    def _is_owed(self, sent: Sent, same: bool, readable: str | None) -> bool:
        if sent.frame["type"] == "join":
            # Even one that was judged: the hello has asked for the room before it.
            return True
        if same:
            return not sent.judged
        if sent.is_nick:
            # A new session does not have the name that the old one was given.
            return True
        return not sent.judged and sent.traceable and sent.room == readable

    def next_owed(self) -> Fields | None:
        """Return what is to be sent again next, or ``None``."""
        while self._owed:
            sent = self._sent.get(self._owed.popleft())
            if sent is not None:
                return sent.frame
        return None

    # -- what one asks of it --------------------------------------------------

    @property
    def owes(self) -> bool:
        """Whether something is to be sent again."""
        return bool(self._owed)

    def expects(self, ref: str) -> bool:
        """Tell whether what was said as *ref* has no answer yet."""
        return ref in self._sent

    @property
    def unanswered(self) -> int:
        """How much of what was said is unanswered."""
        return len(self._sent) - len(self._asks)

    def open_ends(self, waiting: int) -> str:
        """Return in words what is not known to be said, with so many lines *waiting*
        that were typed and not sent."""
        if self.leaves:
            return ""
        ends = []
        if self.unanswered:
            ends.append(f"not confirmed: {self.unanswered} of your messages")
        if waiting:
            ends.append(f"not sent: {amount(waiting, 'line')}")
        return "; ".join(ends)

    @property
    def shouts(self) -> int:
        """How many shouts are unanswered."""
        return sum(sent.shout for sent in self._sent.values())

    @property
    def leaves(self) -> bool:
        """Whether nothing is unanswered but that one wants to leave, and what was said
        after that, which has no effect."""
        first = next((sent.frame for sent in self._sent.values() if sent.says), None)
        return first is not None and is_leave(first)

    def asked_nicks(self) -> set[str]:
        """Return the names that one may have by now without knowing."""
        return {to_nfc(s.frame["nick"]) for s in self._asks.values() if s.is_nick}
