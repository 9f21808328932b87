"""A connection to SQLite whose statements fail on demand.

It stands in the place of the store's own.  What it lets through, it lets through to
the real one; so a commit can fail and be on the disk all the same, as a sync that
fails leaves it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Literal

from chatroom.store.sqlite import SqliteStore

When = Literal["before", "after"]


class Faulty:
    """Fails each statement that begins with *word*, with SQLite's error *code*."""

    def __init__(
        self, store: SqliteStore, word: str, code: int, when: When = "before"
    ) -> None:
        assert store._db is not None
        self._store = store
        self._db = store._db
        self._word = word
        self._code = code
        self._when = when
        self.failed = 0
        """How often it has failed."""
        self.closed = False
        vars(store)["_db"] = self

    def _run(self, sql: str, call: Any) -> Any:
        fails = sql.lstrip().startswith(self._word)
        if fails and self._when == "before":
            self._fail()
        result = call()
        if fails:
            self._fail()
        return result

    def _fail(self) -> None:
        self.failed += 1
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = self._code
        raise error

    def execute(self, sql: str, *values: Any) -> Any:
        """Execute *sql*, or fail."""
        return self._run(sql, lambda: self._db.execute(sql, *values))

    def executemany(self, sql: str, values: Iterable[Any]) -> Any:
        """Execute *sql* for each of *values*, or fail."""
        return self._run(sql, lambda: self._db.executemany(sql, values))

    def close(self) -> None:
        """Close the real one."""
        self.closed = True
        self._db.close()

    @property
    def in_transaction(self) -> bool:
        """Whether the real one is in a transaction."""
        return self._db.in_transaction

    def __enter__(self) -> Faulty:
        return self

    def __exit__(self, *_: object) -> None:
        """Put the real one back, where the store has not opened another."""
        if vars(self._store)["_db"] is self:
            vars(self._store)["_db"] = self._db
