"""Frames to lines for a person.

Whatever a peer wrote goes through ``clean`` on its way: no character of theirs reaches
a terminal as a control.  A text of several lines is indented under itself, so that
nobody can write a line that looks like another's.
Must not know: descriptors; what is shown here is bytes' business elsewhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from chatroom.client.frames import Fields
from chatroom.client.glyphs import clean, clean_lines, text_width
from chatroom.client.lines import PLAIN, Line, Style, line
from chatroom.client.nicks import colour_of, names
from chatroom.client.operator_commands import marked
from chatroom.client.presence import Presence, Told
from chatroom.client.reading import Reading
from chatroom.client.session import Session
from chatroom.client.times import Days, clock_time, date_time
from chatroom.client.transcript import amount

MAX_INDENT = 20
"""Columns by which a text is indented under itself at most: half of a small screen."""


class Rings(Enum):
    """How much it calls for the user, as far as the user lets it."""

    NOT = auto()
    MESSAGE = auto()
    """Somebody else has said something, now."""
    MENTION = auto()
    """And it is for the user above all."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person gets to see at once, of a frame or of what stands before it."""

    lines: list[Line]
    speech: bool = False
    """Whether it is what members say; everything else is news about the chat."""
    rings: Rings = Rings.NOT
    at: Any = None
    """The time that stands before it; ``None``: there is none."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What tells a line from others, beside its looks."""

    missed: str
    """Before a message that was said while there was no connection."""
    mention: str
    """Before a message that names the user."""
    bar: str
    """Above and below what nobody may miss."""


BRIEF = Signs("~", "*", "*" * 32)
WORDS = Signs("missed:", "mention:", "")
"""For who has it read out to him."""

_OWN = ("1", "1")
_WHISPER = ("1", "1;35")
_FAINT = ("", "2")
_STRONG = ("1", "1")
_ALARM = ("1;7", "1;7;31")
"""The parameters of SGR, without and with colours."""

RETURNABLE = frozenset(("shutdown", "idle"))
"""Reasons of a kick that end the connection and not the session."""


class Renderer:
    """Frames to lines, for a terminal or a file.

    What it returns is to be shown in that order, and at once.  Some of what it is given
    comes out later: in front of something else, or of ``flush``, for which the caller
    waits as long as ``patience`` says.

    *now* gives the seconds since the epoch, for what has no time of its own; *clock*
    seconds that do not go back.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        signs: Signs = BRIEF,
    ) -> None:
        self._now = now
        self._clock = clock
        self._signs = signs
        self._days = Days(self._moment())
        self._presence = Presence()
        self._reading = Reading()

    def render(
        self,
        kind: str | None,
        frame: Fields,
        session: Session,
        back: bool = False,
    ) -> list[Shown]:
        """Return what is to be shown now that *frame* of *kind* has come.

        *back*: it belongs to coming back after a lost connection.
        """
        if kind in ("joined", "left"):
            return self._told(self._presence.take(frame, self._clock()))
        show = (_SHOW_BACK if back else _SHOW).get(kind or "")
        return self._in_order(show(self, frame, session)) if show is not None else []

    def notice(self, text: str) -> list[Shown]:
        """Return a message of the client itself."""
        return self._in_order([self._news(text)])

    def reading(self, here: bool) -> None:
        """The user looks away, or is back."""
        self._reading.look(here, self._moment())

    @property
    def patience(self) -> float | None:
        """Seconds until ``flush`` has to be called; ``None``: it has not."""
        due = self._presence.due
        return None if due is None else max(0.0, due - self._clock())

    def flush(self) -> list[Shown]:
        """Return what was not shown yet."""
        return self._told(self._presence.flush(self._clock()))

    # -- what stands between --------------------------------------------------

    def _in_order(self, shown: list[Shown]) -> list[Shown]:
        """Return *shown* behind what came before it and is not shown yet."""
        return [*self.flush(), *self._dated(shown)] if shown else []

    def _told(self, changes: list[Told]) -> list[Shown]:
        return self._dated(
            self._news(change.text, PLAIN if change.loud else _FAINT)
            for change in changes
        )

    def _dated(self, shown: Iterable[Shown]) -> list[Shown]:
        """Return *shown* with the days on which it was."""
        dated = []
        for one in shown:
            day = self._days.turn(one.at)
            if day:
                dated.append(Shown([line(f"-- {day} --", _STRONG)]))
            dated.append(one)
        return dated

    def _unread(self) -> list[Shown]:
        """Return the mark before the first message that the user has not seen."""
        since = self._reading.unread()
        if since is None:
            return []
        return [Shown([line(f"-- unread since {clock_time(since)} --", _STRONG)])]

    # -- building blocks ------------------------------------------------------

    def _moment(self) -> int:
        return int(self._now() * 1000)

    def _block(
        self,
        at: Any,
        head: str,
        text: str,
        style: Style,
        body: Style | None = None,
        indent: int | None = None,
    ) -> list[Line]:
        """Return *text* behind its time and *head*, indented under itself.

        *head* is clean already; *body* is the style of the text, if not *style*;
        *indent* its column, if not the one where it begins.
        """
        stamp = clock_time(at)
        first, *others = clean_lines(text)
        if indent is None:
            indent = min(len(stamp) + 1 + text_width(head) + 1, MAX_INDENT)
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
        at = self._moment()
        return Shown(self._block(at, "--", text, style), at=at)

    def _alarm(self, word: str, text: str) -> list[Shown]:
        at = self._moment()
        margin = len(clock_time(at)) + 1
        lines = self._block(at, f"*** {word}:", text, _ALARM, indent=margin)
        if self._signs.bar:
            bar = Line(((" " * margin, PLAIN), (self._signs.bar, _ALARM)), margin)
            lines = [bar, *lines, bar]
        return [Shown(lines, rings=Rings.MENTION, at=at)]

    # -- what members say -----------------------------------------------------

    def _said(self, frame: Fields, session: Session, missed: bool = False) -> Shown:
        nick, at, text = frame["from"], frame["at"], frame["text"]
        signs = [self._signs.missed] if missed else []
        if nick == session.nick:
            head = " ".join([*signs, f">{clean(nick)}<"])
            return Shown(self._block(at, head, text, _OWN, PLAIN), speech=True, at=at)
        colour = colour_of(nick)
        style, rings = ("", colour), Rings.MESSAGE
        if names(text, session.nick):
            signs.append(self._signs.mention)
            style, rings = ("7", f"7;{colour}"), Rings.MENTION
        head = " ".join([*signs, f"<{clean(nick)}>"])
        lines = self._block(at, head, text, style, PLAIN)
        return Shown(lines, True, Rings.NOT if missed else rings, at)

    def _message(self, frame: Fields, session: Session) -> list[Shown]:
        shown = self._said(frame, session)
        own = frame["from"] == session.nick
        return [shown] if own else [*self._unread(), shown]

    def _missed(self, frame: Fields, session: Session) -> list[Shown]:
        shown = self._said(frame, session, missed=True)
        own = frame["from"] == session.nick
        return [shown] if own else [*self._unread(), shown]

    def _whisper(self, frame: Fields, session: Session) -> list[Shown]:
        sender, to, at = clean(frame["from"]), clean(frame["to"]), frame["at"]
        own = frame["from"] == session.nick
        head = f">whisper to {to}<" if own else f"<whisper from {sender}>"
        lines = self._block(at, head, frame["text"], _WHISPER)
        if own:
            return [Shown(lines, speech=True, at=at)]
        return [*self._unread(), Shown(lines, True, Rings.MENTION, at)]

    def _history(self, frame: Fields, session: Session) -> list[Shown]:
        messages, room = frame["messages"], clean(frame["room"])
        if not messages:
            return [self._news(f"nothing has been said in {room}")]
        earlier = ", and there are more" if frame["more"] else ""
        count = amount(len(messages), "message")
        shown = [self._news(f"history of {room}: {count}{earlier}")]
        for message in messages:
            shown += self._found(message, session)
        return [*shown, self._news("end of history")]

    def _found(self, frame: Fields, session: Session) -> list[Shown]:
        """Return a message of any time, which was looked for."""
        return [replace(self._said(frame, session), rings=Rings.NOT)]

    # -- news -----------------------------------------------------------------

    def _welcome(self, frame: Fields, session: Session) -> list[Shown]:
        server, nick = clean(frame["server"]), clean(frame["nick"])
        return [self._news(f"welcome to {server}, {nick}")]

    def _welcome_back(self, frame: Fields, session: Session) -> list[Shown]:
        return [self._news(f"connected to {clean(frame['server'])} again")]

    def _room(self, frame: Fields, session: Session) -> list[Shown]:
        earlier = frame["last_id"] - frame["oldest_id"] + 1
        before = f"; said before: {earlier} (/history)" if earlier > 0 else ""
        return [self._news(self._place(frame) + before)]

    def _room_again(self, frame: Fields, session: Session) -> list[Shown]:
        return [self._news(self._place(frame))]

    def _place(self, frame: Fields) -> str:
        others = frame["count"] - 1
        company = "1 other" if others == 1 else f"{others or 'no'} others"
        text = f"you are in {clean(frame['room'])} with {company}"
        if frame.get("topic"):
            text += f"; topic: {clean(frame['topic'])}"
        return text

    def _renamed(self, frame: Fields, session: Session) -> list[Shown]:
        old, new = clean(frame["old"]), clean(frame["new"])
        if frame["new"] == session.nick:
            return [self._news(f"you are now {new}")]
        return [self._news(f"{old} is now {new}", _FAINT)]

    def _members(self, frame: Fields, session: Session) -> list[Shown]:
        members = frame["members"]
        text = f"in {clean(frame['room'])}: {' '.join(map(clean, members)) or 'nobody'}"
        if frame["more"] and members:
            text += f" ... more: /who {clean(members[-1])}"
        return [self._news(text)]

    def _rooms(self, frame: Fields, session: Session) -> list[Shown]:
        rooms = frame["rooms"]
        sizes = (f"{clean(entry['room'])} ({entry['count']})" for entry in rooms)
        text = f"rooms: {' '.join(sizes) or 'none'}"
        if frame["more"] and rooms:
            text += f" ... more: /rooms {clean(rooms[-1]['room'])}"
        return [self._news(text)]

    def _topic(self, frame: Fields, session: Session) -> list[Shown]:
        by, topic = clean(frame["by"]), clean(frame["topic"])
        if not topic:
            return [self._news(f"{by} has taken the topic away")]
        return [self._news(f"{by} has set the topic: {topic}")]

    def _warning(self, frame: Fields, session: Session) -> list[Shown]:
        return self._alarm("WARNING", frame["text"])

    def _kick(self, frame: Fields, session: Session) -> list[Shown]:
        reason = frame["reason"]
        if reason in RETURNABLE:
            return []  # A lost connection, and told as one.
        if reason == "leave":
            return [self._news("you have left")]
        return self._alarm(f"KICKED ({clean(reason)})", frame["text"])

    def _op(self, frame: Fields, session: Session) -> list[Shown]:
        if "bans" not in frame:
            return [self._news(frame["text"])]
        bans = frame["bans"]
        text = "\n".join(["bans:", *map(self._ban, bans)]) if bans else "bans: none"
        if frame["more"] and bans:
            text += f"\n... more: /bans {_banned(bans[-1])}"
        return [self._news(text)]

    def _ban(self, ban: Fields) -> str:
        end = date_time(ban["until"], self._moment())
        lasts = f"until {end}" if ban["until"] else "for good"
        reason = f": {clean(ban['reason'])}" if ban["reason"] else ""
        return f"{_banned(ban)} {lasts}, by {clean(ban['by'])}{reason}"

    def _unasked(self, frame: Fields, session: Session) -> list[Shown]:
        """Return an error that nothing has led to but an operator."""
        if frame["code"] == "muted":
            return self._alarm("MUTED", frame["text"])
        return [self._news(frame["text"], _STRONG)]

    def _error(self, frame: Fields, session: Session) -> list[Shown]:
        if not session.joined:
            return []  # Why there is no chat: told at the end.
        return [self._news(f"not done: {frame['text']}", _STRONG)]


def _banned(ban: Fields) -> str:
    """Return whom *ban* is about, as one types it."""
    return clean(ban["address"] if "address" in ban else marked(ban["nick"]))


_SHOW: dict[str, Callable[[Renderer, Fields, Session], list[Shown]]] = {
    "message": Renderer._message,
    "whisper": Renderer._whisper,
    "history": Renderer._history,
    "found": Renderer._found,
    "welcome": Renderer._welcome,
    "room": Renderer._room,
    "renamed": Renderer._renamed,
    "members": Renderer._members,
    "rooms": Renderer._rooms,
    "topic": Renderer._topic,
    "warning": Renderer._warning,
    "kick": Renderer._kick,
    "op": Renderer._op,
    "error": Renderer._error,
    "unasked": Renderer._unasked,
}

_SHOW_BACK: dict[str, Callable[[Renderer, Fields, Session], list[Shown]]] = {
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
    ) -> list[Shown]:
        """Return *frame*, of whatever kind, as it came."""
        # DEL is the one control character that JSON leaves as it is.
        shown = json.dumps(frame, separators=(",", ":")).replace("\x7f", "\\u007f")
        return [Shown([line(shown)], speech=True)]
