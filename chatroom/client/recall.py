"""The lines that were typed before.

    (older | newer | search)* -> add | rewind

One stands at a place: at a line typed before, or behind all of them at the line being
typed.  What one has made of the line at a place is kept while one steps about, and
forgotten with ``add`` and ``rewind``; the lines typed before stay what they were.
``dump`` and ``load`` are the lines as the text of a file.  Pure.  Must not know: where
the file is, what a line is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from chatroom.client.glyphs import only_safe

MAX_LINE = 8192
"""Characters of a line that are kept.  More than can be said, so that whoever types
too much is told so rather than cut short."""
MAX_LINES = 1000
"""Lines that are kept: those of some weeks, and no more than a few MiB."""

_ESCAPED = re.compile(r"\\([n\\])")


class Recall:
    """The newest lines, *limit* at most."""

    def __init__(self, lines: Iterable[str] = (), limit: int = MAX_LINES) -> None:
        self.lines: list[str] = []
        """From the oldest to the newest."""
        self.place = 0
        """Which of the lines one stands at; their number: at the one being typed."""
        self._limit = limit
        self._edited: dict[int, str] = {}
        for line in lines:
            self.add(line)

    def add(self, line: str) -> None:
        """*line* has been typed.  A blank one, and the same once more, is not kept."""
        if line.strip() and self.lines[-1:] != [line]:
            self.lines.append(line)
            del self.lines[: -self._limit]
        self.rewind()

    def rewind(self) -> None:
        """Stand at a new line."""
        self.place = len(self.lines)
        self._edited.clear()

    def older(self, text: str) -> str | None:
        """Leave *text* where it is; return the line before it, if there is one."""
        return self._go(self.place - 1, text)

    def newer(self, text: str) -> str | None:
        """Leave *text* where it is; return the line behind it, if there is one."""
        return self._go(self.place + 1, text)

    def search(self, part: str, text: str, further: bool = False) -> str | None:
        """Leave *text* where it is; return the newest line with *part* up to here.

        Capitals make no difference.  *further* is for another line than *text*.
        """
        part = part.casefold()
        for place in range(min(self.place, len(self.lines) - 1), -1, -1):
            line = self.lines[place]
            if part in line.casefold() and not (further and line == text):
                self._edited[self.place] = text
                self.place = place
                return line
        return None

    def _go(self, place: int, text: str) -> str | None:
        if not 0 <= place <= len(self.lines):
            return None
        self._edited[self.place] = text
        self.place = place
        if place in self._edited:
            return self._edited[place]
        return self.lines[place]


def dump(lines: Iterable[str]) -> str:
    """Return *lines* as the text of a file: a row each."""
    return "".join(
        line.replace("\\", "\\\\").replace("\n", "\\n") + "\n" for line in lines
    )


def load(text: str) -> list[str]:
    """Return the newest lines that *text* holds, whoever wrote it."""
    found: list[str] = []
    for row in text.split("\n")[-MAX_LINES - 1 :]:
        line = only_safe(_ESCAPED.sub(_unescaped, row))
        if line.strip() and len(line) <= MAX_LINE:
            found.append(line)
    return found[-MAX_LINES:]


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else "\\"
