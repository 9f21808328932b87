"""A store in a file: SQLite, written ahead, synced before anything is shown.

One connection, one transaction a tick.  What ``keep`` returned from is on the disk:
it survives a crash of the process and of the machine.  The tail of a room's log is
held in memory too; pages older than that come from the file.
Must not know: connections, frames on their way, who is in a room.

Order of calls: ``SqliteStore(...)`` (raises ``StartError`` and leaves the file alone),
``rooms`` and ``load_sessions`` once, then ``keep``, ``page`` and ``trim`` in any order,
``close``.  (The schema has a page in docs/history-file.md.)
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chatroom.core.log import RoomLog
from chatroom.core.messages import Message
from chatroom.core.moderation import State
from chatroom.core.sessions import Session
from chatroom.errors import StartError, StoreError

if TYPE_CHECKING:
    pass

APPLICATION_ID = 0x43484154
"""``CHAT``, in the header of the file: it is ours."""
SCHEMA_VERSION = 1
BUSY_TIMEOUT = 0.2
"""Seconds that the loop waits for a foreign lock (it may be a backup)."""
TRIM_BATCH = 500
"""Messages dropped at once, so that no tick is long."""
CHECKED_SIZE = 32 * 1024 * 1024
"""Bytes of a file that is read through at the start; a larger one would take too long
and is checked by ``chat-history FILE verify``."""

_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rooms (
    name TEXT PRIMARY KEY,
    last_id INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE messages (
    room TEXT NOT NULL,
    id INTEGER NOT NULL,
    sender TEXT NOT NULL,
    text TEXT NOT NULL,
    at INTEGER NOT NULL,
    ref TEXT,
    PRIMARY KEY (room, id)
) WITHOUT ROWID;
CREATE TABLE sessions (
    digest BLOB PRIMARY KEY,
    nick TEXT NOT NULL,
    key TEXT NOT NULL,
    secure INTEGER NOT NULL,
    strikes TEXT NOT NULL,
    last_ref TEXT,
    ended_at INTEGER
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_INSERT_MESSAGE = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)"
_SET_LAST_ID = "INSERT OR REPLACE INTO rooms VALUES (?, ?)"
_SET_SESSION = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)"
_DROP_SESSION = "DELETE FROM sessions WHERE digest = ?"
_READ = """SELECT id, room, sender, text, at, ref FROM messages
    WHERE room = ? AND id >= ? AND id < ? ORDER BY id"""
_ROOMS = """SELECT name, last_id,
    (SELECT min(id) FROM messages WHERE room = name) FROM rooms"""


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
        self._path = path
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._history_keep = history_keep
        self._patient = True
        self._lock = _lock(path)
        try:
            _refuse_foreign(path)
            self._db: sqlite3.Connection | None = _open(path, identity)
            self._last_ids: dict[str, int] = {}
            self._oldest_ids: dict[str, int] = {}
            for room, last_id, oldest_id in self._db.execute(_ROOMS):
                self._last_ids[room] = last_id
                self._oldest_ids[room] = oldest_id or last_id + 1
            (self.identity,) = self._db.execute(
                "SELECT value FROM meta WHERE key = 'identity'"
            ).fetchone()
        except sqlite3.Error as error:
            os.close(self._lock)
            raise StartError(_cannot_open(path, error)) from None
        except BaseException:
            os.close(self._lock)
            raise

    # -- at the start -----------------------------------------------------------

    def rooms(self) -> list[str]:
        """Return the rooms that have kept messages."""
        return list(self._last_ids)

    def load_sessions(self, now: float, wall: int) -> list[Session]:
        """Return the sessions as they were left, oldest end first.

        Those that were connected ended when the server did: now.  *now* is seconds of
        the clock that their times are to be in, *wall* milliseconds since the epoch.
        """
        assert self._db is not None
        rows = self._db.execute(
            "SELECT digest, nick, key, secure, strikes, last_ref, ended_at "
            "FROM sessions ORDER BY ended_at IS NULL, ended_at"
        )
        sessions = []
        for digest, nick, key, secure, strikes, last_ref, ended_at in rows:
            session = Session(digest, nick, key, secure=bool(secure))
            times = (now - (wall - int(at)) / 1000 for at in strikes.split())
            session.strikes.times = tuple(min(now, time) for time in times)
            if session.strikes.times:
                session.strikes.state = State.WARNED
            session.last_ref = last_ref
            age = (wall - ended_at) / 1000 if ended_at is not None else 0.0
            session.ended_at = now - max(0.0, age)
            sessions.append(session)
        return sessions

    def open_log(self, room: str) -> RoomLog[bytes]:
        """Return the tail of the log of *room*; what is in the file is not read."""
        last_id = self._last_ids.get(room, 0)
        return RoomLog(self._keep, self._keep_bytes, last_id=last_id)

    # -- while running ----------------------------------------------------------

    def keep(
        self,
        messages: Sequence[Message],
        sessions: Mapping[bytes, Session | None],
        now: float,
        wall: int,
    ) -> None:
        """Write *messages* and *sessions*, and give each message its id.

        A session that is ``None`` is forgotten.  All is on the disk when this returns;
        nothing of it is when it raises ``StoreError``, and no id is used up.
        """
        last_ids: dict[str, int] = {}
        ids: list[int] = []
        for message in messages:
            room = message.room
            last = last_ids.get(room)
            if last is None:
                last = self._last_ids.get(room, 0)
            last_ids[room] = last + 1
            ids.append(last + 1)
        rows = [
            (m.room, number, m.sender, m.text, m.at, m.ref)
            for m, number in zip(messages, ids, strict=True)
        ]
        gone = [(digest,) for digest, session in sessions.items() if session is None]
        left = [_row(s, now, wall) for s in sessions.values() if s is not None]
        try:
            self._write(rows, last_ids, left, gone)
        except sqlite3.Error as error:
            self._recover(error)
            raise StoreError(f"{self._path}: {error}") from error
        for message, number in zip(messages, ids, strict=True):
            message.id = number
        for room in last_ids:
            self._oldest_ids.setdefault(room, 1)
        self._last_ids.update(last_ids)

    def oldest_id(self, room: str) -> int:
        """Return the id of the oldest message kept of *room*; 1 where there is none."""
        return self._oldest_ids.get(room, 1)

    def read(self, room: str, low: int, high: int) -> list[Message]:
        """Return the messages of *room* from id *low* to before *high*.

        Raises ``StoreError`` where the file cannot be read now.
        """
        try:
            rows = self._connect().execute(_READ, (room, low, high)).fetchall()
        except sqlite3.Error as error:
            self._recover(error)
            raise StoreError(f"{self._path}: {error}") from error
        return [Message(*row) for row in rows]

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
        """Put everything into the one file, and let go of it."""
        if self._db is not None:
            self._db.close()
            self._db = None
        os.close(self._lock)

    # -- the file ---------------------------------------------------------------

    def _write(
        self,
        rows: Sequence[tuple[object, ...]],
        last_ids: dict[str, int],
        sessions: list[tuple[object, ...]],
        gone: list[tuple[bytes]],
    ) -> None:
        db = self._connect()
        db.execute("BEGIN IMMEDIATE")
        if rows:
            db.executemany(_INSERT_MESSAGE, rows)
            db.executemany(_SET_LAST_ID, last_ids.items())
        if sessions:
            db.executemany(_SET_SESSION, sessions)
        if gone:
            db.executemany(_DROP_SESSION, gone)
        db.execute("COMMIT")
        if not self._patient:
            self._set_patience(True)

    def _drop(self, room: str, before: int) -> None:
        try:
            db = self._connect()
            db.execute("DELETE FROM messages WHERE room = ? AND id < ?", (room, before))
        except sqlite3.Error as error:
            self._recover(error)
            raise StoreError(f"{self._path}: {error}") from error
        self._oldest_ids[room] = before

    def _connect(self) -> sqlite3.Connection:
        """Return the connection; open it again where a failure has closed it."""
        if self._db is None:
            db = _connect(self._path)
            # A commit that failed may have left its pages behind: what nobody was
            # shown is not in the log.
            for room, last_id in self._last_ids.items():
                db.execute(
                    "DELETE FROM messages WHERE room = ? AND id > ?", (room, last_id)
                )
            self._db = db
            if not self._patient:
                self._set_patience(False)
        return self._db

    def _recover(self, error: sqlite3.Error) -> None:
        """Get back to a state in which the next call can succeed."""
        db, self._db = self._db, None
        if db is None:
            return
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if code == sqlite3.SQLITE_BUSY:
                # Somebody else writes: it is waited for once, not at every tick.
                self._db = db
                self._set_patience(False)
            else:
                db.close()
        except sqlite3.Error:
            self._db = None

    def _set_patience(self, patient: bool) -> None:
        self._patient = patient
        if self._db is not None:
            timeout = int(BUSY_TIMEOUT * 1000) if patient else 0
            self._db.execute(f"PRAGMA busy_timeout = {timeout}")


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
    )


# -- opening ----------------------------------------------------------------------


def _lock(path: str) -> int:
    """Return a descriptor that holds the file for this server; raise ``StartError``.

    The lock is on a file beside it: SQLite has locks of its own on the file itself,
    which are for each moment, and which readers may have.
    """
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise StartError(f"{path} is a directory; name a file with --history")
    if not os.path.isdir(folder):
        raise StartError(f"there is no folder {folder}; make it, or see --history")
    readable = os.access(path, os.R_OK | os.W_OK) or not os.path.exists(path)
    if not readable or not os.access(folder, os.W_OK | os.X_OK):
        raise StartError(f"{path} cannot be written; see its rights and its folder's")
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"cannot write {path}.lock: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StartError(
            f"{path} is in use by another server; stop it, or see --history"
        ) from None
    return lock


def _refuse_foreign(path: str) -> None:
    """Raise ``StartError`` where *path* is something that is not a history of ours.

    By its header alone, so that nothing of somebody else's file is touched.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}") from None
    if not header:
        return
    if len(header) < 100 or header[:16] != b"SQLite format 3\0":
        raise StartError(f"{path} is not a history (no database); see --history")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StartError(f"{path} is a database of another program; see --history")
    version = int.from_bytes(header[60:64], "big")
    if version > SCHEMA_VERSION:
        raise StartError(
            f"{path} was written by a newer chatroom (schema {version}, this one "
            f"knows {SCHEMA_VERSION}); update chatroom, or see --history"
        )


def _open(path: str, identity: str) -> sqlite3.Connection:
    """Return a connection to a sound file, made where there is none."""
    size = Path(path).stat().st_size if os.path.exists(path) else 0
    if not size:
        _create(path, identity)
    elif size <= CHECKED_SIZE:
        # Looked at before anything is written: a damaged file is left as it is.
        db = sqlite3.connect(Path(path).absolute().as_uri() + "?mode=ro", uri=True)
        try:
            (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            db.close()
        if answer != "ok":
            raise sqlite3.DatabaseError(answer)
    return _connect(path)


def _create(path: str, identity: str) -> None:
    # Not written ahead yet: the header, which says whose file it is, has to be in
    # the file itself from the first moment on.
    made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.close(made)
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}")
        db.execute("INSERT INTO meta VALUES ('identity', ?)", (identity,))
        db.execute("COMMIT")
    finally:
        db.close()


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # What is in the file stays there: memory is for the room.
        db.execute("PRAGMA cache_size = -4096")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _cannot_open(path: str, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path} is in use by another program; close it, or see --history"
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return f"{path} cannot be written; see its rights and its folder's"
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"{path} cannot be used: {error}; see the disk"
    return (
        f"{path} is damaged ({error}); move it away, or restore a copy "
        "(chat-history FILE verify says more)"
    )
