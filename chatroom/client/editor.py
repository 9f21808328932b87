"""The line being typed: bytes of a terminal in, lines and wishes out.

    feed(bytes) -> [event, ...];   text is what stands there now

How the bytes are cut makes no difference: half a character or half an escape sequence
waits for its rest.  No control character enters the line.  ``view`` is the
line as it fits into one row.  Must not know: descriptors, what a line is for.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from chatroom.client.glyphs import is_mark, is_safe, tail, text_width

MAX_LINE = 8192
"""Characters of a line that are kept.  More than can be said, so that whoever pastes
too much is told so rather than cut short."""


class Wish(Enum):
    """What a key asks for that is not text."""

    INTERRUPT = auto()
    """Ctrl-C on an empty line."""
    END = auto()
    """Ctrl-D on an empty line."""
    SUSPEND = auto()
    """Ctrl-Z."""


@dataclass(slots=True)
class Entered:
    """A line, ended by Enter."""

    text: str


Event = Entered | Wish


class _State(Enum):
    """Where in an escape sequence the next character stands."""

    TEXT = auto()
    ESCAPE = auto()
    """Behind ESC: a sequence, or a key with Alt."""
    SEQUENCE = auto()
    """Behind ESC [: parameters, until a final character."""
    LAST = auto()
    """One more character belongs to it: ESC O and ESC [ [."""


class LineEditor:
    """One line, with the cursor always at its end."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._state = _State.TEXT
        self._chars: list[str] = []

    @property
    def text(self) -> str:
        """What stands in the line."""
        return "".join(self._chars)

    def clear(self) -> None:
        """Forget what stands in the line."""
        self._chars.clear()

    def feed(self, data: bytes) -> list[Event]:
        """Take *data* from the terminal; return what it asks for, in order."""
        events: list[Event] = []
        for char in self._decoder.decode(data):
            if self._state is _State.TEXT or char < " ":
                event = self._key(char)
                if event is not None:
                    events.append(event)
            else:
                self._state = self._in_sequence(char)
        return events

    def _key(self, char: str) -> Event | None:
        # A control key within a sequence ends it: Ctrl-C always works.
        self._state = _State.TEXT
        act = _KEYS.get(char)
        if act is not None:
            return act(self)
        if is_safe(char) and len(self._chars) < MAX_LINE:
            self._chars.append(char)
        return None

    def _in_sequence(self, char: str) -> _State:
        if self._state is _State.ESCAPE:
            return _BEHIND_ESCAPE.get(char, _State.TEXT)
        if self._state is _State.SEQUENCE:
            if char == "[":
                return _State.LAST
            return _State.SEQUENCE if " " <= char <= "?" else _State.TEXT
        return _State.TEXT

    # -- keys -----------------------------------------------------------------

    def _enter(self) -> Event:
        text = self.text
        self._chars.clear()
        return Entered(text)

    def _interrupt(self) -> Event | None:
        if not self._chars:
            return Wish.INTERRUPT
        self._chars.clear()
        return None

    def _end(self) -> Event | None:
        return None if self._chars else Wish.END

    def _suspend(self) -> Event:
        return Wish.SUSPEND

    def _escape(self) -> None:
        self._state = _State.ESCAPE

    def _erase(self) -> None:
        # Together with what sits on it: one key takes back what looks like one.
        while self._chars and is_mark(self._chars.pop()):
            pass

    def _erase_word(self) -> None:
        while self._chars and self._chars[-1].isspace():
            self._chars.pop()
        while self._chars and not self._chars[-1].isspace():
            self._chars.pop()


_BEHIND_ESCAPE = {"[": _State.SEQUENCE, "O": _State.LAST}
_KEYS: dict[str, Callable[[LineEditor], Event | None]] = {
    "\r": LineEditor._enter,
    "\n": LineEditor._enter,
    "\x03": LineEditor._interrupt,
    "\x04": LineEditor._end,
    "\x08": LineEditor._erase,
    "\x7f": LineEditor._erase,
    "\x15": LineEditor.clear,
    "\x17": LineEditor._erase_word,
    "\x1a": LineEditor._suspend,
    "\x1b": LineEditor._escape,
}


def view(prompt: str, text: str, columns: int) -> str:
    """Return the row that shows *prompt* and *text*, cursor at its end.

    It is narrower than *columns*, as a full row wraps.  Where not all fits, the end
    of the line stays in sight, behind a ``<``; the prompt gives way before the line.
    """
    space = max(columns - 1, 0)
    if text_width(prompt) + text_width(text) <= space:
        return prompt + text
    prompt = tail(prompt, space // 2)
    space -= text_width(prompt)
    if text_width(text) <= space:
        return prompt + text
    return f"{prompt}<{tail(text, space - 1)}" if space else prompt
