"""Frames to lines for a person.

Whatever a peer wrote goes through ``clean`` on its way: no character of theirs reaches
a terminal as a control.  A text of several lines is indented under itself, so that
nobody can write a line that looks like another's.
Must not know: descriptors; what is shown here is bytes' business elsewhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chatroom.client.frames import Fields
from chatroom.client.glyphs import clean, clean_lines, text_width
from chatroom.client.lines import PLAIN, Line, Style, line
from chatroom.client.session import Session

LAST_MOMENT = 253402300800000
"""Milliseconds since the epoch, the year 10000: what is later is no time."""
NO_TIME = "--:--"
MISSED = "~ "
"""What stands before a message that was said while there was no connection."""


def clock_time(at: Any) -> str:
    """Return the local time of *at*, milliseconds since the epoch, whatever it is."""
    if type(at) is not int or not 0 <= at < LAST_MOMENT:
        return NO_TIME
    try:
        return time.strftime("%H:%M", time.localtime(at / 1000))
    except (OverflowError, ValueError, OSError):
        return NO_TIME


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person gets to see of a frame."""

    lines: list[Line]
    speech: bool = False
    """Whether it is what members say; everything else is news about the chat."""
    rings: str = ""
    """What calls for the user: ``message``, ``mention``, ``alarm`` or nothing."""


_OWN = ("1", "1;32")
_OTHER = ("", "36")
_WHISPER = ("1", "35")
_FAINT = ("", "2")
_REFUSED = ("1", "33")
_ALARM = ("1;7", "1;7;31")
"""The parameters of SGR, without and with colours."""

_LEFT = {
    "leave": "has left",
    "moved": "has gone to another room",
    "lost": "has lost the connection",
    "shouting": "was kicked for shouting",
    "operator": "was kicked by an operator",
    "banned": "was banned",
    "replaced": "is here from elsewhere",
    "shutdown": "has left: the server stops",
    "idle": "was silent for too long",
}
RETURNABLE = frozenset(("shutdown", "idle"))
"""Reasons of a kick that end the connection and not the session."""


class Renderer:
    """Frames to lines, for a terminal or a file.

    *now* gives the seconds since the epoch, for what has no time of its own.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def render(
        self,
        kind: str | None,
        frame: Fields,
        session: Session,
        back: bool = False,
    ) -> Shown | None:
        """Return what *frame* of *kind* looks like, or ``None`` for nothing.

        *back*: it belongs to coming back after a lost connection.
        """
        show = (_SHOW_BACK if back else _SHOW).get(kind or "")
        return show(self, frame, session) if show is not None else None

    def notice(self, text: str) -> list[Line]:
        """Return the lines of a message of the client itself."""
        return self._block(self._moment(), "--", text, PLAIN)

    def _moment(self) -> int:
        return int(self._now() * 1000)

    # -- building blocks ------------------------------------------------------

    def _block(
        self,
        at: Any,
        head: str,
        text: str,
        style: Style,
        body: Style | None = None,
    ) -> list[Line]:
        """Return *text* behind its time and *head*, indented under itself.

        *head* is clean already; *body* is the style of the text, if not *style*.
        """
        stamp = clock_time(at)
        first, *others = clean_lines(text)
        indent = len(stamp) + 1 + text_width(head) + 1
        spans = [(f"{stamp} ", PLAIN)]
        if body is None:
            body = style
            spans.append((f"{head} {first}", style))
        else:
            spans += [(head, style), (" ", PLAIN), (first, body)]
        below = (
            Line(((" " * indent, PLAIN), (other, body)), indent) for other in others
        )
        return [Line(tuple(spans), indent), *below]

    def _news(self, text: str, style: Style = PLAIN) -> Shown:
        return Shown(self._block(self._moment(), "--", text, style))

    def _alarm(self, word: str, text: str) -> Shown:
        return Shown(self._block(self._moment(), f"*** {word}:", text, _ALARM))

    # -- one for each frame ---------------------------------------------------

    def _message_lines(
        self, frame: Fields, session: Session, mark: str = ""
    ) -> list[Line]:
        nick, at, text = frame["from"], frame["at"], frame["text"]
        if nick == session.nick:
            return self._block(at, f"{mark}>{clean(nick)}<", text, _OWN, PLAIN)
        return self._block(at, f"{mark}<{clean(nick)}>", text, _OTHER, PLAIN)

    def _message(self, frame: Fields, session: Session) -> Shown:
        return Shown(self._message_lines(frame, session), speech=True)

    def _found(self, frame: Fields, session: Session) -> Shown:
        return Shown(self._message_lines(frame, session), speech=True)

    def _missed(self, frame: Fields, session: Session) -> Shown:
        return Shown(self._message_lines(frame, session, MISSED), speech=True)

    def _whisper(self, frame: Fields, session: Session) -> Shown:
        sender, to = clean(frame["from"]), clean(frame["to"])
        if frame["from"] == session.nick:
            head = f">whisper to {to}<"
        else:
            head = f"<whisper from {sender}>"
        return Shown(self._block(frame["at"], head, frame["text"], _WHISPER), True)

    def _history(self, frame: Fields, session: Session) -> Shown:
        messages = frame["messages"]
        room = clean(frame["room"])
        if not messages:
            return self._news(f"nothing has been said in {room}")
        earlier = ", and there are more" if frame["more"] else ""
        lines = self.notice(f"history of {room}: {len(messages)} messages{earlier}")
        for message in messages:
            lines += self._message_lines(message, session)
        return Shown(lines + self.notice("end of history"), speech=True)

    def _welcome(self, frame: Fields, session: Session) -> Shown:
        server, nick = clean(frame["server"]), clean(frame["nick"])
        return self._news(f"welcome to {server}, {nick}")

    def _welcome_back(self, frame: Fields, session: Session) -> Shown:
        return self._news(f"connected to {clean(frame['server'])} again")

    def _room(self, frame: Fields, session: Session) -> Shown:
        earlier = frame["last_id"] - frame["oldest_id"] + 1
        before = f"; said before: {earlier} (/history)" if earlier > 0 else ""
        return self._news(self._place(frame) + before)

    def _room_again(self, frame: Fields, session: Session) -> Shown:
        return self._news(self._place(frame))

    def _place(self, frame: Fields) -> str:
        others = frame["count"] - 1
        company = "1 other" if others == 1 else f"{others or 'no'} others"
        text = f"you are in {clean(frame['room'])} with {company}"
        if frame.get("topic"):
            text += f"; topic: {clean(frame['topic'])}"
        return text

    def _joined(self, frame: Fields, session: Session) -> Shown:
        return self._news(f"{clean(frame['nick'])} has joined", _FAINT)

    def _left(self, frame: Fields, session: Session) -> Shown:
        reason = frame["reason"]
        what = _LEFT.get(reason) or f"has left ({clean(reason)})"
        return self._news(f"{clean(frame['nick'])} {what}", _FAINT)

    def _renamed(self, frame: Fields, session: Session) -> Shown:
        old, new = clean(frame["old"]), clean(frame["new"])
        if frame["new"] == session.nick:
            return self._news(f"you are now {new}")
        return self._news(f"{old} is now {new}", _FAINT)

    def _members(self, frame: Fields, session: Session) -> Shown:
        members = frame["members"]
        text = f"in {clean(frame['room'])}: {' '.join(map(clean, members)) or 'nobody'}"
        if frame["more"] and members:
            text += f" ... more: /who {clean(members[-1])}"
        return self._news(text)

    def _rooms(self, frame: Fields, session: Session) -> Shown:
        rooms = frame["rooms"]
        sizes = (f"{clean(entry['room'])} ({entry['count']})" for entry in rooms)
        text = f"rooms: {' '.join(sizes) or 'none'}"
        if frame["more"] and rooms:
            text += f" ... more: /rooms {clean(rooms[-1]['room'])}"
        return self._news(text)

    def _topic(self, frame: Fields, session: Session) -> Shown:
        by, topic = clean(frame["by"]), clean(frame["topic"])
        if not topic:
            return self._news(f"{by} has taken the topic away")
        return self._news(f"{by} has set the topic: {topic}")

    def _warning(self, frame: Fields, session: Session) -> Shown:
        return self._alarm("WARNING", frame["text"])

    def _kick(self, frame: Fields, session: Session) -> Shown | None:
        reason = frame["reason"]
        if reason in RETURNABLE:
            return None  # A lost connection, and told as one.
        if reason == "leave":
            return self._news("you have left")
        return self._alarm(f"KICKED ({clean(reason)})", frame["text"])

    def _error(self, frame: Fields, session: Session) -> Shown | None:
        if not session.joined:
            return None  # Why there is no chat: told at the end.
        return self._news(f"not done: {frame['text']}", _REFUSED)


_SHOW: dict[str, Callable[[Renderer, Fields, Session], Shown | None]] = {
    "message": Renderer._message,
    "whisper": Renderer._whisper,
    "history": Renderer._history,
    "found": Renderer._found,
    "welcome": Renderer._welcome,
    "room": Renderer._room,
    "joined": Renderer._joined,
    "left": Renderer._left,
    "renamed": Renderer._renamed,
    "members": Renderer._members,
    "rooms": Renderer._rooms,
    "topic": Renderer._topic,
    "warning": Renderer._warning,
    "kick": Renderer._kick,
    "error": Renderer._error,
}

_SHOW_BACK: dict[str, Callable[[Renderer, Fields, Session], Shown]] = {
    "welcome": Renderer._welcome_back,
    "room": Renderer._room_again,
    "message": Renderer._missed,
}


class JsonRenderer(Renderer):
    """Each frame as one line of JSON that is ASCII only; notices as text."""

    def render(
        self,
        kind: str | None,
        frame: Fields,
        session: Session,
        back: bool = False,
    ) -> Shown:
        """Return *frame*, of whatever kind, as it came."""
        # DEL is the one control character that JSON leaves as it is.
        shown = json.dumps(frame, separators=(",", ":")).replace("\x7f", "\\u007f")
        return Shown([line(shown)], speech=True)
