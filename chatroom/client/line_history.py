"""Keeps what was typed from one run to the next, in a file of the user's own.

    history = LineHistory(path);   read() -> [line, ...];   append(line)

Where the file cannot be used there is no history, and nobody is bothered with it.
What is secret never gets here.  Must not know: terminals, what a line means.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from chatroom.client.recall import dump, load

MAX_BYTES = 1024 * 1024
"""Of the file; above it only the newest lines are kept."""


class LineHistory:
    """The lines in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[str]:
        """Return the newest lines, the oldest first."""
        try:
            with open(self._open(os.O_RDONLY), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - MAX_BYTES))
                text = file.read(MAX_BYTES).decode(errors="replace")
        except (OSError, ValueError):
            return []
        if size <= MAX_BYTES:
            return load(text)
        lines = load(text.partition("\n")[2])
        self._shorten(lines)
        return lines

    def append(self, line: str) -> None:
        """Keep *line*, too."""
        with suppress(OSError, ValueError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(os.O_APPEND | os.O_CREAT, [line])

    def _shorten(self, lines: list[str]) -> None:
        """Keep the newer half of *lines* only, so that this is not done every time."""
        with suppress(OSError, ValueError):
            self._write(os.O_TRUNC, lines[len(lines) // 2 :])

    def _write(self, flags: int, lines: list[str]) -> None:
        with open(self._open(os.O_WRONLY | flags), "wb", buffering=0) as file:
            os.fchmod(file.fileno(), 0o600)
            # All at once: other clients append to the same file.
            file.write(dump(lines).encode(errors="replace"))

    def _open(self, flags: int) -> int:
        """Return a descriptor of the file, where it is one: a pipe might wait."""
        descriptor = os.open(self._path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError("not a file")
        return descriptor
