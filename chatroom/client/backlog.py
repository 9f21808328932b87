"""Lines that were typed and are not said yet.  Must not know: what a line means."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

MAX_PENDING = 64 * 1024
"""Characters of lines not said yet above which no more is taken from the input."""


class Backlog:
    """The lines, in the order typed."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self.size = 0
        """Characters of all of them."""

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    @property
    def is_full(self) -> bool:
        """Whether no more is to be taken."""
        return self.size > MAX_PENDING

    def add(self, line: str) -> None:
        """Keep *line* until it is its turn."""
        self._lines.append(line)
        self.size += len(line)

    def take(self) -> str:
        """Return the next line."""
        line = self._lines.popleft()
        self.size -= len(line)
        return line
