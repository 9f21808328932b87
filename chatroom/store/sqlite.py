"""A store in a file: SQLite, written ahead, synced before anything is shown.

One connection, one transaction a tick.  What ``keep`` returned from is on the disk:
it survives a crash of the process and of the machine.  The tail of a room's log is
held in memory too; pages older than that come from the file.
Must not know: connections, frames on their way, who is in a room.

Order of calls: ``SqliteStore(...)`` (raises ``StartError`` and leaves the file alone),
``rooms``, ``load_sessions`` and ``load_orders`` once, then ``keep``, ``read`` and
``trim`` in any order, ``close``.  (How the file is opened: ``file.py``.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from chatroom.core.log import Held, RoomLog
from chatroom.core.messages import Message
from chatroom.errors import StoreError
from chatroom.store import file

if TYPE_CHECKING:
    from chatroom.core.orders import Kind, Order
    from chatroom.core.sessions import Session

TRIM_BATCH = 500
"""Messages dropped at once, so that no tick is long."""
INSERT_BATCHES = (64, 8, 1)
"""Messages written by one statement: each statement has a cost of its own."""
_FAILURES = (sqlite3.Error, ValueError, OverflowError)
"""What SQLite or its binding raises for what cannot be kept."""
_NO_FAULT = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL))
"""After these the connection is good: nothing of what it wrote is in the file."""

_INSERT = {
    size: "INSERT INTO messages VALUES "
    + ", ".join(
        f"(?1, ?2 + {n}" + ", ?{}, ?{}, ?{}, ?{})".format(*range(4 * n + 3, 4 * n + 7))
        for n in range(size)
    )
    for size in INSERT_BATCHES
}
_SET_LAST_ID = "INSERT OR REPLACE INTO rooms VALUES (?, ?)"
_SET_SESSION = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DROP_SESSION = "DELETE FROM sessions WHERE digest = ?"
_SET_ORDER = "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?)"
_DROP_ORDER = "DELETE FROM orders WHERE kind = ? AND target = ?"
_GET_ORDER = "SELECT * FROM orders WHERE kind = ? AND target = ?"
_DROP_BEFORE = "DELETE FROM messages WHERE room = ? AND id < ?"
_DROP_AFTER = "DELETE FROM messages WHERE room = ? AND id > ?"
_READ = """SELECT id, room, sender, text, at, ref FROM messages
    WHERE room = ? AND id >= ? AND id < ? ORDER BY id"""


class SqliteStore:
    """Numbers and messages in the file *path*.

    *identity* names the numbering of a file that is made anew.  *keep* and *keep_bytes*
    bound the tail of a room's log in memory, *history_keep* the messages of a room in
    the file (0: no limit).
    """

    def __init__(
        self,
        path: str,
        identity: str,
        keep: int = 0,
        keep_bytes: int = 0,
        history_keep: int = 0,
    ) -> None:
        self._path = file.resolve(path)
        self.held = Held()
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._history_keep = history_keep
        self._patient = True
        """Whether a foreign lock is waited for: once, until it is gone."""
        self._db: sqlite3.Connection | None = None
        self._suspect = False
        """Whether it has failed since it was opened: then it is opened again."""
        self._last_ids: dict[str, int] = {}
        self._oldest_ids: dict[str, int] = {}
        self._replaced: dict[tuple[Kind, str], tuple[object, ...] | None] = {}
        """The orders that were to be changed since the last commit, as they were."""
        self._lock: int | None = file.take_lock(self._path)
        at_rest = False
        try:
            file.prepare(self._path, identity)
            at_rest = file.is_at_rest(self._path)
            self._open()
        except sqlite3.Error as error:
            self._abandon(at_rest)
            raise file.cannot_open(self._path, error) from None
        except BaseException:
            self._abandon(at_rest)
            raise

    def _abandon(self, at_rest: bool) -> None:
        """Let go of a file that could not be opened, and that was *at_rest* or not."""
        if self._db is not None:
            self._db.close()
            self._db = None
        if at_rest:
            file.remove_begun(self._path)
        self.close()

    def _open(self) -> None:
        self._db = file.connect(self._path)
        file.migrate(self._db)
        self.identity = file.read_identity(self._db)
        for room, oldest_id, last_id in file.read_rooms(self._db):
            self._last_ids[room] = last_id
            self._oldest_ids[room] = oldest_id

    # -- at the start -----------------------------------------------------------

    def rooms(self) -> list[str]:
        """Return the rooms that have kept messages."""
        return [
            room
            for room, last in self._last_ids.items()
            if self._oldest_ids[room] <= last
        ]

    def load_sessions(self, now: float, wall: int) -> list[Session]:
        """Return the sessions that were kept, the one that ended first first.

        Those that were connected ended when the server did: now.  *now* is seconds of
        the clock that their times are to be in, *wall* milliseconds since the epoch.
        """
        assert self._db is not None
        return file.read_sessions(self._db, now, wall)

    def load_orders(self, now: float, wall: int) -> list[Order]:
        """Return the orders that were kept, those that have ended since too.

        *now* is seconds of the clock that their ends are to be in, *wall* milliseconds
        since the epoch.
        """
        assert self._db is not None
        return file.read_orders(self._db, now, wall)

    def open_log(self, room: str) -> RoomLog[bytes]:
        """Return the tail of the log of *room*; what is in the file is not read."""
        last_id = self._last_ids.get(room, 0)
        return RoomLog(self._keep, self._keep_bytes, last_id=last_id, held=self.held)

    # -- while running ----------------------------------------------------------

    def keep(
        self,
        messages: Sequence[Message],
        sessions: Mapping[bytes, Session | None],
        orders: Mapping[tuple[Kind, str], Order | None],
        now: float,
        wall: int,
    ) -> None:
        """Write *messages*, *sessions* and *orders*, and give each message its id.

        A session or an order that is ``None`` is forgotten.  All is on the disk when
        this returns; nothing of it is when it raises ``StoreError``, and no id is used
        up.
        """
        last_ids: dict[str, int] = {}
        rows: list[tuple[object, ...]] = []
        for message in messages:
            room = message.room
            last = last_ids.get(room)
            if last is None:
                last = self._last_ids.get(room, 0)
            last_ids[room] = last = last + 1
            text, ref = message.text, message.ref
            rows.append((room, last, message.sender, text, message.at, ref))
        gone = [(digest,) for digest, session in sessions.items() if session is None]
        left = [_row(s, now, wall) for s in sessions.values() if s is not None]
        try:
            self._write(rows, last_ids, left, gone, orders)
        except _FAILURES as error:
            failure = self._failed(error)
            # At once: a crash would make kept what is now told to be refused.
            with suppress(*_FAILURES):
                self._writable()
            raise failure from error
        given = self._last_ids
        for message in messages:
            room = message.room
            message.id = given[room] = given.get(room, 0) + 1
        for room in last_ids:
            self._oldest_ids.setdefault(room, 1)

    def oldest_id(self, room: str) -> int:
        """Return the id of the oldest message kept of *room*; 1 where there is none."""
        return self._oldest_ids.get(room, 1)

    def read(self, room: str, low: int, high: int) -> list[Message]:
        """Return the messages of *room* from id *low* to before *high*.

        Raises ``StoreError`` where the file cannot be read now.
        """
        try:
            rows = self._readable().execute(_READ, (room, low, high)).fetchall()
        except _FAILURES as error:
            raise self._failed(error) from error
        return [Message(*row) for row in rows]

    def bound(self, keep: int, keep_bytes: int, history_keep: int) -> None:
        """Give logs that are opened from now on these bounds, and keep so much."""
        self._keep, self._keep_bytes = keep, keep_bytes
        self._history_keep = history_keep

    def trim(self) -> bool:
        """Drop some of what is over ``history_keep``; tell whether more is over it.

        Raises ``StoreError``; then it is tried again at the next call.
        """
        if not self._history_keep:
            return False
        for room, last_id in self._last_ids.items():
            oldest = self._oldest_ids[room]
            wanted = last_id - self._history_keep + 1
            if oldest < wanted:
                self._drop(room, min(wanted, oldest + TRIM_BATCH))
                return True
        return False

    def close(self) -> None:
        """Put everything into the one file, and let go of it; once is enough."""
        if self._suspect:
            # What a failure has left in the file is not to be found there later.
            with suppress(*_FAILURES):
                self._writable()
        if self._db is not None:
            # By itself SQLite does it only where nobody else has the file open.
            with suppress(*_FAILURES):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.close()
            self._db = None
        if self._lock is not None:
            file.drop_lock(self._path, self._lock)
            self._lock = None

    # -- the file ---------------------------------------------------------------

    def _write(
        self,
        rows: Sequence[tuple[object, ...]],
        last_ids: dict[str, int],
        sessions: list[tuple[object, ...]],
        gone: list[tuple[bytes]],
        orders: Mapping[tuple[Kind, str], Order | None],
    ) -> None:
        db = self._writable()
        db.execute("BEGIN IMMEDIATE")
        if rows:
            _insert(db, sorted(rows))
            db.executemany(_SET_LAST_ID, last_ids.items())
        if sessions:
            db.executemany(_SET_SESSION, sessions)
        if gone:
            db.executemany(_DROP_SESSION, gone)
        for key, order in orders.items():
            self._replaced[key] = db.execute(_GET_ORDER, key).fetchone()
            _set_order(db, key, None if order is None else _order_row(order))
        db.execute("COMMIT")
        self._replaced.clear()
        self._set_patience(True)

    def _drop(self, room: str, before: int) -> None:
        """Waits for no lock: in the same tick it may be waited for to keep."""
        patient = self._patient
        self._set_patience(False)
        try:
            self._writable().execute(_DROP_BEFORE, (room, before))
        except _FAILURES as error:
            raise self._failed(error) from error
        finally:
            self._set_patience(patient)
        self._oldest_ids[room] = before

    def _writable(self) -> sqlite3.Connection:
        """Return the connection; after a failure another one, of which all is known.

        The one that failed stays open until then: it may still read, and what it
        did not commit stays unseen.
        """
        assert self._db is not None
        if self._suspect:
            # Waits for no lock: whoever asks for it may have to wait himself.
            db = file.connect(self._path, 0.0)
            try:
                self._drop_refused(db)
            except BaseException:
                db.close()
                raise
            self._db.close()
            self._db, self._suspect = db, False
            patient, self._patient = self._patient, False
            self._set_patience(patient)
        return self._db

    def _readable(self) -> sqlite3.Connection:
        """Return the best connection that there is."""
        try:
            return self._writable()
        except _FAILURES as error:
            self._failed(error)
        assert self._db is not None
        return self._db

    def _drop_refused(self, db: sqlite3.Connection) -> None:
        """Undo what a commit that failed has left behind: nobody was shown it.

        A sync that fails leaves the pages where they were written, and whoever opens
        the file after a crash takes them for kept.  They are beyond the end of what
        is written ahead, so that whatever is written next takes their place.
        """
        last_ids = self._last_ids
        db.execute("BEGIN IMMEDIATE")
        for room, _, last in file.read_rooms(db):
            last_id = last_ids.get(room, 0)
            if last <= last_id:
                continue
            db.execute(_DROP_AFTER, (room, last_id))
            if last_id:
                db.execute(_SET_LAST_ID, (room, last_id))
            else:
                db.execute("DELETE FROM rooms WHERE name = ?", (room,))
        for key, row in self._replaced.items():
            _set_order(db, key, row)
        # A page is written even where nothing is to be changed.
        db.execute(f"PRAGMA user_version = {file.SCHEMA_VERSION}")
        db.execute("COMMIT")
        self._replaced.clear()

    def _failed(self, error: Exception) -> StoreError:
        """Get back to where the next call can succeed; return what to raise now."""
        assert self._db is not None
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        self._suspect = self._suspect or code not in _NO_FAULT
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if code == sqlite3.SQLITE_BUSY:
                # Somebody else writes: that is waited for once, not at every tick.
                self._set_patience(False)
        return StoreError(f"{file.shown(self._path)}: {error}")

    def _set_patience(self, patient: bool) -> None:
        assert self._db is not None
        if patient != self._patient:
            timeout = int(file.BUSY_TIMEOUT * 1000) if patient else 0
            self._db.execute(f"PRAGMA busy_timeout = {timeout}")
            self._patient = patient


def _insert(db: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    """Write *rows*, sorted; many of one room, with numbers in a row, at once."""
    start = 0
    while start < len(rows):
        for size in INSERT_BATCHES:
            some = rows[start : start + size]
            if len(some) == size and some[0][0] == some[-1][0]:
                break
        values = [*some[0][:2]]
        for row in some:
            values += row[2:]
        db.execute(_INSERT[len(some)], values)
        start += len(some)


def _row(session: Session, now: float, wall: int) -> tuple[object, ...]:
    strikes = " ".join(
        str(wall - round((now - time) * 1000)) for time in session.strikes.times
    )
    ended_at = None
    if session.peer is None:
        ended_at = wall - round((now - session.ended_at) * 1000)
    return (
        session.digest,
        session.nick,
        session.key,
        int(session.secure),
        strikes,
        session.last_ref,
        ended_at,
        session.operator,
        session.mute,
    )


def _set_order(
    db: sqlite3.Connection, key: tuple[Kind, str], row: tuple[object, ...] | None
) -> None:
    """Write the order with this *key*; ``None``: forget it."""
    if row is None:
        db.execute(_DROP_ORDER, key)
    else:
        db.execute(_SET_ORDER, row)


def _order_row(order: Order) -> tuple[object, ...]:
    return order.kind, order.target, order.shown, order.by, order.text, order.until
