"""The history for whoever only reads it, while a server writes or while none does.

Every read is short, one batch, so that a server's writing never waits and its file
never grows for our sake.  Must not know: what is shown of it, and how.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from chatroom.core.messages import Message
from chatroom.errors import StartError
from chatroom.store import file

T = TypeVar("T")

READ_BATCH = 500
"""Messages that are read at once."""
READ_TIMEOUT = 5.0
"""Seconds that a read waits for a lock."""

# A file that is damaged may have any type in any column.
_COLUMNS = """CAST(id AS INTEGER), room, CAST(sender AS TEXT), CAST(text AS TEXT),
    CAST(at AS INTEGER), CAST(ref AS TEXT)"""
_AFTER = f"""SELECT {_COLUMNS} FROM messages
    WHERE room = ? AND id > ? ORDER BY id LIMIT ?"""
_NEWEST = f"""SELECT {_COLUMNS} FROM messages
    WHERE room = ? ORDER BY id DESC LIMIT ?"""


class HistoryReader:
    """The history in the file *path*.  Raises ``StartError`` where there is none."""

    def __init__(self, path: str) -> None:
        self.path = file.resolve(path)
        if not file.refuse_foreign(self.path):
            raise StartError(f"there is no history in {file.shown(self.path)}")
        self._db: sqlite3.Connection | None = None
        self._seen: tuple[int, ...] | None = None
        """The state of a file at rest, when it was opened; else ``None``."""

    def rooms(self) -> dict[str, int]:
        """Return the rooms in the order of their names, each with its last id."""
        return dict(self.rows("SELECT name, last_id FROM rooms ORDER BY name"))

    def after(self, room: str, number: int) -> Iterator[Message]:
        """Go through the messages of *room* after the id *number*."""
        while batch := self.rows(_AFTER, (room, number, READ_BATCH)):
            for row in batch:
                yield Message(*row)
            number = batch[-1][0]

    def newest(self, room: str, most: int) -> list[Message]:
        """Return the newest messages of *room*, *most* of them at most, in order."""
        return [Message(*row) for row in reversed(self.rows(_NEWEST, (room, most)))]

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Return what *sql* finds, all of it, as of one moment."""
        return self.look(lambda db: db.execute(sql, values).fetchall())

    def look(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *ask* returns of the open file; it may be called again.

        A file at rest is read without locks.  So a server that has come meanwhile may
        have written under our eyes: then it is read again, with locks.
        """
        while True:
            try:
                found = ask(self._connect())
                if not self._moved():
                    return found
            except OSError as error:
                raise file.cannot_read(self.path, error) from None
            except sqlite3.Error as error:
                if not self._moved():
                    raise file.cannot_open(self.path, error) from None

    def close(self) -> None:
        """Let go of the file; the next look opens what is there then."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connect(self) -> sqlite3.Connection:
        if self._db is None:
            at_rest = file.is_at_rest(self.path)
            self._seen = self._state() if at_rest else None
            self._db = file.connect_to_read(self.path, at_rest, READ_TIMEOUT)
        return self._db

    def _moved(self) -> bool:
        """Tell whether what was read at rest was none; then it is opened anew."""
        if self._seen is None:
            return False
        if file.is_at_rest(self.path) and self._state() == self._seen:
            return False
        self.close()
        return True

    def _state(self) -> tuple[int, ...]:
        now = os.stat(self.path)
        return now.st_ino, now.st_size, now.st_mtime_ns
