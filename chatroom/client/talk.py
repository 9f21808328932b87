"""What a user does in the chat: says, whispers, asks, searches, ignores.

    (say | whisper | ask ... | heard | next_question)* with lost between

The commands' other side.  It also asks on its own: who is in the room, which rooms
there are, the next page of a search.  Must not know: when it is time for a line, how
bytes move, how anything is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chatroom.client.commands import addressed, spoken
from chatroom.client.completion import Completion, complete
from chatroom.client.frames import Fields
from chatroom.client.ignored import Ignored
from chatroom.client.members import Members, Rooms
from chatroom.client.operating import Operating
from chatroom.client.questions import Take
from chatroom.client.search import Search
from chatroom.client.session import Session
from chatroom.client.transcript import Event
from chatroom.config import MAX_SECRET
from chatroom.core.text import nick_key, text_error


class Talk:
    """One user's part of it.

    *send* sends a frame, *notice* tells the user something, *leave* leaves the chat,
    *ask_key* asks the user for an operator's key; *exposed* says why none may be sent,
    if so.
    """

    def __init__(
        self,
        session: Session,
        ignored: Iterable[str],
        send: Callable[[Fields], None],
        notice: Callable[[str], None],
        leave: Callable[[], None],
        ask_key: Callable[[], None],
        exposed: str = "",
    ) -> None:
        self._session = session
        self._send = send
        self.notice = notice
        self.leave = leave
        self._ask_key = ask_key
        self._exposed = exposed
        self.ignored = Ignored(ignored)
        self._members = Members()
        self._rooms = Rooms()
        self._search = Search(self.ignored.hides)
        self._operating = Operating()
        self._whisperer = ""
        """Who has whispered to one last."""

    # -- what a command may do ------------------------------------------------

    def say(self, text: str, ref: str | None = None) -> None:
        """Say *text*, unless the rules for texts forbid it."""
        if self._may_say(text, ref):
            self._send(self._session.say(text, ref))

    def whisper(self, to: str, text: str, ref: str | None = None) -> None:
        """Whisper *text*, by the same rules."""
        if self._may_say(text, ref):
            self._send(self._session.whisper(to, text, ref))

    def _may_say(self, text: str, ref: str | None) -> bool:
        wrong = text_error(text)
        if wrong is not None:
            self.notice(f"not said: {wrong[1]}")
            return False
        if ref is not None and self._session.outbox.expects(ref):
            # Two of one name could not be told apart when they are owed.
            self.notice(f"not said: no answer has come yet to what had the ref {ref!a}")
            return False
        return True

    def ask(self, frame: Fields) -> None:
        """Send *frame*; the answer is the user's, and is shown."""
        take: Take | None = None
        if frame["type"] == "rooms":
            take = self._listed
        elif frame["type"] == "op":
            if frame["do"] == "login" and self._exposed:
                self.notice(self._exposed)
                return
            self._operating.asked(frame)
            take = self._operated
        self._send(self._session.ask(frame, take))

    def _listed(self, page: Fields | None) -> None:
        self._rooms.listed(page)

    def _operated(self, frame: Fields | None) -> list[Event] | None:
        return self._operating.answer(frame, self._session.token)

    def login(self, key: str) -> None:
        """Show an operator's *key*; without one, ask for it."""
        if self._exposed:
            self.notice(self._exposed)
        elif not self._session.settled:
            self.notice("there is no connection; /op again when it is back")
        elif not key:
            self._ask_key()
        elif len(key.encode()) > MAX_SECRET:
            self.notice(f"an operator's key has at most {MAX_SECRET} bytes")
        else:
            self.ask({"type": "op", "do": "login", "key": key})

    def show_topic(self) -> None:
        """Tell the topic."""
        topic = self._session.topic or "none (an operator sets it: /topic TEXT)"
        self.notice(f"topic of {self._session.room}: {topic}")

    def search(self, text: str) -> None:
        """Look for *text* in this room."""
        self._search.begin(text, self._session.room)

    def ignore(self, nick: str) -> None:
        """Ignore *nick*, or no longer; without one tell who is ignored."""
        if not nick:
            nicks = " ".join(self.ignored.nicks) or "nobody"
            self.notice(f"you ignore: {nicks}")
        elif nick_key(nick) == nick_key(self._session.nick):
            self.notice("that is you")
        elif self.ignored.toggle(nick):
            self.notice(f"you ignore {nick}; /ignore {nick} once more ends it")
        else:
            self.notice(f"you no longer ignore {nick}")

    # -- while a line is typed ------------------------------------------------

    def addressed(self, line: str) -> str:
        """Return *line* with the name of whoever it answers."""
        return addressed(line, self._whisperer)

    def completions(self, before: str) -> Completion:
        """Return what the end of *before* may become."""
        nicks = self._members.nicks(self._session.nick)
        return complete(before, nicks, self._rooms.names)

    def objection(self, line: str, waiting: Iterable[str], hints: bool) -> str | None:
        """Return why *line* is better not said, after those that are *waiting*.

        With *hints* a shout is better not said; what cannot be said never is.
        """
        text = spoken(line)
        if text is None:
            return None
        wrong = text_error(text)
        if wrong is not None:
            return f"it cannot be said: {wrong[1]}"
        if not hints or not self._session.is_shout(text):
            return None
        before = self._session.strikes + self._session.outbox.shouts
        before += sum(self._session.is_shout(spoken(one) or "") for one in waiting)
        return f"all capitals: {self._strike(before + 1)}; Enter again to send"

    def _strike(self, number: int) -> str:
        limit = self._session.strike_limit
        if not limit:
            return "that would be a strike"
        what = "a warning" if number < limit else "a kick"
        return f"that would be strike {min(number, limit)} of {limit}, {what}"

    # -- what comes in --------------------------------------------------------

    def heard(self, kind: str | None, frame: Fields) -> list[Event]:
        """Take note of *frame*, which the session has received; return what is to be
        shown behind it."""
        session = self._session
        self._members.heard(kind, frame, session.count)
        if kind == "renamed":
            self._renamed(frame)
        elif kind == "whisper":
            self._whispered(frame)
        elif kind == "room":
            self._rooms.entered()
            if self._search.room not in ("", session.room):
                return self._search.end("you are in another room now")
        if kind in ("welcome", "renamed"):
            self.ignored.spare(session.nick)
        return self._operating.welcome(session.token) if kind == "welcome" else []

    def _renamed(self, frame: Fields) -> None:
        self.ignored.renamed(frame)
        if frame["old"] == self._whisperer:
            self._whisperer = frame["new"]

    def _whispered(self, frame: Fields) -> None:
        sender = frame["from"]
        if sender != self._session.nick and not self.ignored.hides(sender):
            self._whisperer = sender

    def rest(self, events: Iterable[Event]) -> list[Event]:
        """Return what is left of *events* to be shown."""
        return [left for event in events for left in self.ignored.rest(event)]

    def next_question(self) -> Fields | None:
        """Return what one wants to know beside, when there is time, or ``None``."""
        for asker in (self._members, self._rooms, self._search):
            frame = asker.next_question()
            if frame is not None:
                return self._session.ask(frame, asker.answer)
        return None

    def lost(self) -> list[Event]:
        """There is no connection any more; return what is to be shown."""
        for asker in (self._members, self._rooms, self._search):
            asker.lost()
        return [*self._operating.lost(), *self._search.end("the connection was lost")]
