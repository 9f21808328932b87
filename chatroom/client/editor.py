"""The text being typed, and what its keys do to it.

    press(key) -> [event, ...];   text and cursor are what stands there now

The cursor stands between two clusters (``glyphs.py``), so nobody gets into the middle
of what looks like one character.  Rows of a text of several lines are parted by
newlines alone.  What does not fit is refused and told, and so is no part of the text
ever lost unseen.  Each key costs time in proportion to the text at most.

What is secret is typed into an editor of its own, so that it gets into no recall.
Must not know: bytes, how wide the screen is, what a line is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from chatroom.client.glyphs import cluster_width, graphemes, only_safe, text_width
from chatroom.client.keys import Key
from chatroom.client.recall import MAX_LINE, Recall
from chatroom.core.text import MAX_TEXT

ASK_LINES = 10
"""Lines of a paste above which it is asked for."""
MAX_PART = 200
"""Characters that can be searched for."""


class Wish(Enum):
    """What a key asks for that is not text."""

    INTERRUPT = auto()
    """Ctrl-C on an empty line."""
    END = auto()
    """Ctrl-D on an empty line."""
    SUSPEND = auto()
    """Ctrl-Z."""
    COMPLETE = auto()
    """Tab."""
    COMPLETE_BACK = auto()
    """Shift-Tab."""
    REDRAW = auto()
    """Ctrl-L."""
    AWAY = auto()
    """The terminal's window has lost the focus."""
    BACK = auto()
    """It has it again."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A text, ended by Enter."""

    text: str


@dataclass(frozen=True, slots=True)
class TooMuch:
    """What was typed or pasted does not fit, and is not in the text."""

    reason: str


@dataclass(frozen=True, slots=True)
class AskPaste:
    """A paste of so many lines waits: Enter inserts it, Escape and Ctrl-C drop it."""

    lines: int


Event = Entered | TooMuch | AskPaste | Wish


@dataclass(slots=True)
class _Search:
    """A search through the recall, and what stood there before."""

    text: str
    cursor: int
    place: int
    part: str = ""
    """What is searched for."""
    found: bool = True


class Editor:
    """One text, from the first key to Enter; then the next one."""

    def __init__(self, recall: Recall) -> None:
        self.text = ""
        self.cursor = 0
        """Where in the text the next character goes."""
        self._recall = recall
        self._killed = ""
        """What Ctrl-Y brings back."""
        self._killing = False
        """Whether the last key was a kill, so that the next one adds to it."""
        self._column: int | None = None
        """Where Up and Down stay, as long as nothing else is pressed."""
        self._search: _Search | None = None
        self._paste: Key | None = None
        """The paste that is asked for."""

    @property
    def label(self) -> str:
        """What stands in the place of the prompt; ``""``: the prompt itself."""
        if self._paste is not None:
            return f"insert {self._paste.lines} lines? "
        if self._search is None:
            return ""
        word = "search" if self._search.found else "nothing with"
        return f"{word} '{self._search.part}': "

    def press(self, key: Key) -> list[Event]:
        """Do what *key* does; return what it asks for."""
        event = self._press(key)
        return [] if event is None else [event]

    def set_text(self, text: str, cursor: int | None = None) -> None:
        """Have *text* stand there, as far as it fits, and the cursor at its end."""
        self.text = only_safe(text)[:MAX_LINE]
        end = len(self.text)
        self.cursor = end if cursor is None else min(cursor, end)
        self._align()

    def replace(self, start: int, end: int, text: str) -> None:
        """Put *text*, if it fits, in the place of what stands from *start* to *end*."""
        text = only_safe(text)
        if len(self.text) - (end - start) + len(text) <= MAX_LINE:
            self.set_text(self.text[:start] + text + self.text[end:], start + len(text))

    def clear(self) -> None:
        """Forget what stands there, and what is asked or searched for."""
        self._search = self._paste = None
        self._recall.rewind()
        self.set_text("")

    # -- which key does what ------------------------------------------------------

    def _press(self, key: Key) -> Event | None:
        if key.name in _ANY_TIME:
            return _ANY_TIME[key.name]
        if self._paste is not None:
            paste, self._paste = self._paste, None
            if key.name == "enter":
                return self._put(paste.text)
            if key.name in _GIVE_UP:
                return None
        if self._search is not None:
            if key.name == "text":
                return self._search_for(self._search, key.text)
            if key.name in _SEARCH_ACTS:
                _SEARCH_ACTS[key.name](self, self._search)
                return None
            # What was found is taken, and the key does what it always does.
            found, self._search = self._search.found, None
            if key.name == "enter" and not found:
                return None  # What stands there is not what was looked for.
        return self._edit(key)

    def _edit(self, key: Key) -> Event | None:
        name = key.name
        self._killing = self._killing and name in _KILLS
        if name not in ("up", "down"):
            self._column = None
        if name == "text":
            return self._type(key.text)
        if name == "paste":
            return self._ask_or_put(key)
        if name in _MOVES:
            self.cursor = _MOVES[name](self)
        elif name in _ERASERS:
            self._erase(_ERASERS[name](self))
        elif name in _KILLS:
            self._kill(_KILLS[name](self))
        elif name in _ACTS:
            return _ACTS[name](self)
        return _WISHES.get(name)

    # -- places in the text --------------------------------------------------------

    def _start(self) -> int:
        return 0

    def _end(self) -> int:
        return len(self.text)

    def _before(self) -> int:
        before = graphemes(self.text[: self.cursor])
        return self.cursor - len(before[-1]) if before else 0

    def _behind(self) -> int:
        behind = graphemes(self.text[self.cursor :])
        return self.cursor + len(behind[0]) if behind else self.cursor

    def _word_before(self) -> int:
        before = graphemes(self.text[: self.cursor])
        return self.cursor - _length_to_end(reversed(before), _is_of_word)

    def _word_behind(self) -> int:
        behind = graphemes(self.text[self.cursor :])
        return self.cursor + _length_to_end(behind, _is_of_word)

    def _blank_before(self) -> int:
        before = graphemes(self.text[: self.cursor])
        return self.cursor - _length_to_end(reversed(before), _is_seen)

    def _row_start(self) -> int:
        return self.text.rfind("\n", 0, self.cursor) + 1

    def _row_end(self) -> int:
        end = self.text.find("\n", self.cursor)
        return len(self.text) if end < 0 else end

    def _home(self) -> int:
        start = self._row_start()
        return start if start < self.cursor else 0

    def _far_end(self) -> int:
        end = self._row_end()
        return end if end > self.cursor else len(self.text)

    def _rest_before(self) -> int:
        return min(self._row_start(), self._before())

    def _rest_behind(self) -> int:
        return max(self._row_end(), self._behind())

    # -- changing it -----------------------------------------------------------------

    def _align(self) -> None:
        """Have the cursor behind the cluster that it has got into."""
        # No cluster goes on with ASCII.
        if self.cursor < len(self.text) and not self.text[self.cursor].isascii():
            place = 0
            for cluster in graphemes(self.text):
                if place >= self.cursor:
                    break
                place += len(cluster)
            self.cursor = place

    def _type(self, text: str) -> Event | None:
        room = MAX_LINE - len(self.text)
        self._put(text[:room])
        return TooMuch(_FULL) if len(text) > room else None

    def _put(self, text: str) -> Event | None:
        """Put *text* before the cursor, all of it or nothing."""
        if len(self.text) + len(text) > MAX_LINE:
            return TooMuch(f"it does not fit: {_FULL}")
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)
        self._align()
        return None

    def _ask_or_put(self, paste: Key) -> Event | None:
        if paste.lines <= ASK_LINES or len(self.text) + len(paste.text) > MAX_LINE:
            return self._put(paste.text)
        self._paste = paste
        return AskPaste(paste.lines)

    def _erase(self, place: int) -> None:
        """Take out what stands between the cursor and *place*."""
        start, end = sorted((place, self.cursor))
        self.text = self.text[:start] + self.text[end:]
        self.cursor = start
        self._align()

    def _kill(self, place: int) -> None:
        """The same, for Ctrl-Y."""
        if place == self.cursor:
            return
        killed = self._killed if self._killing else ""
        self._killing = True
        if place < self.cursor:
            self._killed = self.text[place : self.cursor] + killed
        else:
            self._killed = killed + self.text[self.cursor : place]
        self._erase(place)

    def _yank(self) -> Event | None:
        return self._put(self._killed)

    def _break_row(self) -> Event | None:
        return self._type("\n")

    # -- keys of the whole line --------------------------------------------------

    def _enter(self) -> Event:
        text = self.text
        self._recall.add(text)
        self.clear()
        return Entered(text)

    def _interrupt(self) -> Event | None:
        if not self.text:
            return Wish.INTERRUPT
        self.clear()
        return None

    def _delete_or_end(self) -> Event | None:
        if not self.text:
            return Wish.END
        self._erase(self._behind())
        return None

    # -- rows, and lines typed before ------------------------------------------------

    def _up(self) -> None:
        start = self._row_start()
        if start:
            self._to_row(self.text.rfind("\n", 0, start - 1) + 1)
        else:
            self._older()

    def _down(self) -> None:
        end = self._row_end()
        if end < len(self.text):
            self._to_row(end + 1)
        else:
            self._newer()

    def _to_row(self, start: int) -> None:
        """Have the cursor in the row that begins there, below where it was."""
        if self._column is None:
            self._column = text_width(self.text[self._row_start() : self.cursor])
        self.cursor = start
        column = 0
        for cluster in graphemes(self.text[start : self._row_end()]):
            column += cluster_width(cluster)
            if column > self._column:
                break
            self.cursor += len(cluster)

    def _older(self) -> None:
        self._show(self._recall.older(self.text))

    def _newer(self) -> None:
        self._show(self._recall.newer(self.text))

    def _show(self, line: str | None) -> None:
        if line is not None:
            self.set_text(line)
            self._column = None

    # -- search ------------------------------------------------------------------

    def _begin_search(self) -> None:
        self._search = _Search(self.text, self.cursor, self._recall.place)

    def _search_for(self, search: _Search, more: str) -> Event | None:
        if len(search.part) + len(more) > MAX_PART:
            return TooMuch(f"at most {MAX_PART} characters can be searched for")
        search.part += more
        self._find(search)
        return None

    def _search_for_less(self, search: _Search) -> None:
        search.part = "".join(graphemes(search.part)[:-1])
        self._restore(search)
        search.found = True
        if search.part:
            self._find(search)

    def _search_further(self, search: _Search) -> None:
        if search.part:
            self._find(search, further=True)

    def _give_search_up(self, search: _Search) -> None:
        self._restore(search)
        self._search = None

    def _restore(self, search: _Search) -> None:
        self._recall.place = search.place
        self.set_text(search.text, search.cursor)

    def _find(self, search: _Search, further: bool = False) -> None:
        line = self._recall.search(search.part, self.text, further)
        search.found = line is not None
        self._show(line)


def _length_to_end(clusters: Iterable[str], belongs: Callable[[str], bool]) -> int:
    """Return the length of what does not belong to a word, and of the word behind."""
    length = 0
    inside = False
    for cluster in clusters:
        if belongs(cluster):
            inside = True
        elif inside:
            break
        length += len(cluster)
    return length


def _is_of_word(cluster: str) -> bool:
    return cluster[0].isalnum() or cluster[0] == "_"


def _is_seen(cluster: str) -> bool:
    return not cluster.isspace()


_FULL = f"a line has at most {MAX_LINE} characters, and {MAX_TEXT} can be said"
_GIVE_UP = frozenset(("escape", "ctrl-c", "ctrl-g"))
_ANY_TIME: dict[str, Event | None] = {
    "ctrl-l": Wish.REDRAW,
    "ctrl-z": Wish.SUSPEND,
    "focus-in": Wish.BACK,
    "focus-out": Wish.AWAY,
    "unknown": None,
}
"""Keys that neither answer a question nor end a search."""
_WISHES: dict[str, Event] = {"tab": Wish.COMPLETE, "shift-tab": Wish.COMPLETE_BACK}
_MOVES: dict[str, Callable[[Editor], int]] = {
    "left": Editor._before,
    "ctrl-b": Editor._before,
    "right": Editor._behind,
    "ctrl-f": Editor._behind,
    "ctrl-left": Editor._word_before,
    "alt-left": Editor._word_before,
    "alt-b": Editor._word_before,
    "ctrl-right": Editor._word_behind,
    "alt-right": Editor._word_behind,
    "alt-f": Editor._word_behind,
    "home": Editor._home,
    "ctrl-a": Editor._home,
    "ctrl-home": Editor._start,
    "end": Editor._far_end,
    "ctrl-e": Editor._far_end,
    "ctrl-end": Editor._end,
}
"""Where the cursor goes."""
_ERASERS: dict[str, Callable[[Editor], int]] = {
    "backspace": Editor._before,
    "shift-backspace": Editor._before,
    "delete": Editor._behind,
}
"""How far something is taken out."""
_KILLS: dict[str, Callable[[Editor], int]] = {
    "ctrl-w": Editor._blank_before,
    "alt-backspace": Editor._word_before,
    "ctrl-backspace": Editor._word_before,
    "alt-d": Editor._word_behind,
    "ctrl-delete": Editor._word_behind,
    "alt-delete": Editor._word_behind,
    "ctrl-u": Editor._rest_before,
    "ctrl-k": Editor._rest_behind,
}
"""The same, where Ctrl-Y brings it back."""
_ACTS: dict[str, Callable[[Editor], Event | None]] = {
    "enter": Editor._enter,
    "alt-enter": Editor._break_row,
    "shift-enter": Editor._break_row,
    "ctrl-enter": Editor._break_row,
    "ctrl-j": Editor._break_row,
    "ctrl-c": Editor._interrupt,
    "ctrl-d": Editor._delete_or_end,
    "ctrl-y": Editor._yank,
    "up": Editor._up,
    "down": Editor._down,
    "ctrl-p": Editor._older,
    "ctrl-n": Editor._newer,
    "ctrl-r": Editor._begin_search,
}
_SEARCH_ACTS: dict[str, Callable[[Editor, _Search], None]] = {
    "ctrl-r": Editor._search_further,
    "backspace": Editor._search_for_less,
    "ctrl-c": Editor._give_search_up,
    "ctrl-g": Editor._give_search_up,
}
