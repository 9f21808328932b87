"""The history file: what is in it, whose it is, how it is opened.

SQLite, written ahead.  Whatever is looked at before it is known to be a sound history
of ours is looked at without a write, so that a wrong name on the command line costs
nobody a byte.  (docs/history-file.md has the schema.)
Must not know: the server's use of it, and the command's.

Order of calls for a server: ``resolve``, ``take_lock``, ``prepare``, then ``connect``
as often as needed, the first time with ``migrate``, ``drop_lock``.  Whoever only reads
needs ``refuse_foreign`` and ``connect_to_read``, and no lock; he reads files of every
version there has been.  Whoever asks what a server would say, ``examine``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path
from types import UnionType

from chatroom.core.moderation import State
from chatroom.core.orders import MAX_UNTIL, Kind, Order, network_of
from chatroom.core.sessions import Session
from chatroom.errors import StartError

APPLICATION_ID = 0x43484154
"""``CHAT``, in the header of the file: it is ours."""
BUSY_TIMEOUT = 0.2
"""Seconds that the loop waits for a foreign lock (it may be a backup)."""
CHECKED_SIZE = 32 * 1024 * 1024
"""Bytes of a file that is read through at the start; a larger one would take too long
and is checked by ``chat-history FILE verify``."""
UNREADABLE = (ValueError, TypeError, OverflowError)
"""What comes of values that are none of ours, read by one of the ``read_...``."""
CACHE_KIB = 1024
"""What SQLite may hold in memory: that is for the room, the file is on the disk."""

SCHEMA = (
    # 1: the log, and sessions.
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE rooms (
            name TEXT PRIMARY KEY,
            last_id INTEGER NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE messages (
            room TEXT NOT NULL,
            id INTEGER NOT NULL,
            sender TEXT NOT NULL,
            text TEXT NOT NULL,
            at INTEGER NOT NULL,
            ref TEXT,
            PRIMARY KEY (room, id)
        ) WITHOUT ROWID""",
        """CREATE TABLE sessions (
            digest BLOB PRIMARY KEY,
            nick TEXT NOT NULL,
            key TEXT NOT NULL,
            secure INTEGER NOT NULL,
            strikes TEXT NOT NULL,
            last_ref TEXT,
            ended_at INTEGER
        ) WITHOUT ROWID""",
    ),
    # 2: operators, and what they have put in force.
    (
        "ALTER TABLE sessions ADD COLUMN operator BLOB",
        "ALTER TABLE sessions ADD COLUMN mute TEXT",
        """CREATE TABLE orders (
            kind TEXT NOT NULL,
            target TEXT NOT NULL,
            shown TEXT NOT NULL,
            by TEXT NOT NULL,
            text TEXT NOT NULL,
            until INTEGER NOT NULL,
            PRIMARY KEY (kind, target)
        ) WITHOUT ROWID""",
    ),
)
"""What each version has added to the one before it, as statements that do not need
each other; what is in here is in somebody's files, and is never changed."""
SCHEMA_VERSION = len(SCHEMA)

# Numbers that were given are not given again, whatever became of the messages.
_ROOMS = """SELECT name, last_id,
    (SELECT min(id) FROM messages WHERE room = name),
    (SELECT max(id) FROM messages WHERE room = name) FROM rooms"""
_SESSIONS = """SELECT digest, nick, key, secure, strikes, last_ref, ended_at, {}
    FROM sessions ORDER BY ended_at IS NULL, ended_at"""
_ORDERS = """SELECT kind, target, shown, by, text, until
    FROM orders ORDER BY kind, target"""
_NOTHING = "SELECT room, id, sender, text, at, ref FROM messages LIMIT 0"

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_FORBIDDEN = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_OF_THE_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

_HEADER = 100
_WRITTEN_AHEAD = 18
"""Where the header tells whether the file is written ahead (2) or not (1)."""
_VERSION = slice(60, 64)
_APPLICATION = slice(68, 72)


# -- the name and the lock --------------------------------------------------------


def resolve(path: str) -> str:
    """Return the absolute name of the file *path*, which may not be there yet.

    One file has one name, so that two servers cannot have two locks for it.  Raises
    ``StartError`` where there can be no history.
    """
    real = os.path.realpath(path)
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        folder = os.path.dirname(real)
        if not os.path.isdir(folder):
            raise StartError(
                f"{shown(path)}: there is no folder {shown(folder)}; make it, "
                "or name another file"
            ) from None
        return real
    except OSError as error:
        raise cannot_read(path, error) from None
    if stat.S_ISDIR(mode):
        raise StartError(f"{shown(path)} is a directory; name a file in it")
    if not stat.S_ISREG(mode):
        raise StartError(f"{shown(path)} is not a file on a disk; name another file")
    return real


def take_lock(path: str) -> int:
    """Return a descriptor that holds *path* for this server; raise ``StartError``.

    The lock is on a file beside it: SQLite has locks of its own on the file itself,
    which are for each moment, and which readers may have.
    """
    name = f"{path}.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            lock = os.open(name, flags, 0o600)
        except OSError as error:
            raise _no_lock(path, error.strerror) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who lets go of it removes it, perhaps just now: then it holds nothing.
            if os.path.samestat(os.fstat(lock), os.stat(name)):
                return lock
        except BlockingIOError:
            os.close(lock)
            raise StartError(
                f"{shown(path)} is in use by another server; stop it, or name another"
            ) from None
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(lock)
            raise StartError(
                f"{shown(path)} cannot be locked: {error.strerror}; "
                "put it on a disk of this machine"
            ) from None
        os.close(lock)


def _no_lock(path: str, why: str | None) -> StartError:
    name = f"{os.path.basename(path)}.lock"
    return StartError(
        f"{shown(path)} cannot be used: no {shown(name)} can be written beside it "
        f"({why}); see the folder's rights"
    )


def drop_lock(path: str, lock: int) -> None:
    """Let another server have *path*; *lock* is what ``take_lock`` returned."""
    with suppress(OSError):
        os.unlink(f"{path}.lock")
    os.close(lock)


# -- whose it is ------------------------------------------------------------------


def refuse_foreign(path: str) -> bool:
    """Raise ``StartError`` where *path* is something that is not a history of ours.

    By its header alone, so that nothing of somebody else's file is touched.  Tells
    whether there is anything: a file that is empty can become one.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise cannot_read(path, error) from None
    if not header:
        return False
    if len(header) < _HEADER or header[:16] != b"SQLite format 3\0":
        raise StartError(f"{shown(path)} is not a history (no database); name another")
    if int.from_bytes(header[_APPLICATION], "big") != APPLICATION_ID:
        raise StartError(
            f"{shown(path)} is a database of another program; name another"
        )
    _refuse_newer(path, int.from_bytes(header[_VERSION], "big"))
    return True


def _refuse_newer(path: str, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise StartError(
            f"{shown(path)} was written by a newer chatroom (schema {version}, this "
            f"one knows {SCHEMA_VERSION}); update chatroom, or name another file"
        )


# -- opening ----------------------------------------------------------------------


def prepare(path: str, identity: str) -> None:
    """See that *path* is a sound history, and make it where there is none.

    Raises ``StartError``; then it is as it was.  The lock has to be held.
    """
    try:
        if refuse_foreign(path):
            # Whether it can be written, it alone can tell: os.access knows neither
            # of root nor of all that a file system may say.
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            _check(path)
        else:
            _refuse_orphan(path)
            _create(path, identity)
    except OSError as error:
        raise _cannot_write(path, error) from None
    except (sqlite3.Error, *UNREADABLE) as error:
        raise cannot_open(path, error) from None


def examine(path: str) -> None:
    """Raise the ``StartError`` of a start with *path*, where it can be told beforehand.

    Nothing is changed, and no lock is taken: a server may be at work there.  A file
    that only a writer can put right is looked at no closer than by its header.
    """
    real = resolve(path)
    if not os.path.exists(f"{real}.lock"):
        rights, effective = os.W_OK | os.X_OK, os.access in os.supports_effective_ids
        if not os.access(os.path.dirname(real), rights, effective_ids=effective):
            raise _no_lock(real, os.strerror(errno.EACCES))
    try:
        if refuse_foreign(real):
            os.close(os.open(real, os.O_RDWR | os.O_CLOEXEC))
            if is_at_rest(real) or os.path.exists(f"{real}-shm"):
                _check(real)
        else:
            _refuse_orphan(real)
    except OSError as error:
        raise _cannot_write(path, error) from None
    except (sqlite3.Error, *UNREADABLE) as error:
        raise cannot_open(path, error) from None


def _refuse_orphan(path: str) -> None:
    """Refuse to begin anew where the last messages of a file that is gone lie."""
    with suppress(FileNotFoundError):
        if os.stat(f"{path}-wal").st_size:
            raise StartError(
                f"{shown(path)} is not there, but its newest messages are, in "
                f"{shown(os.path.basename(path))}-wal; put the file back, or move "
                "that one away"
            )


def _create(path: str, identity: str) -> None:
    """Make it under another name first: it is there whole, or not at all."""
    new = f"{path}.new"
    _remove(new)
    try:
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with suppress(FileNotFoundError):
            # Somebody has made an empty one, and may have said who may read it.
            os.chmod(new, stat.S_IMODE(os.stat(path).st_mode))
        db = connect(new)
        try:
            db.execute("BEGIN IMMEDIATE")
            build(db, 0, SCHEMA_VERSION)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute("INSERT INTO meta VALUES ('identity', ?)", (identity,))
            db.execute("COMMIT")
        finally:
            db.close()
        os.replace(new, path)
    except BaseException:
        _remove(new)
        raise
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(path: str) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.unlink(path + suffix)


def remove_begun(path: str) -> None:
    """Remove what SQLite has begun beside *path*, where nothing is written there."""
    with suppress(FileNotFoundError):
        if os.stat(f"{path}-wal").st_size:
            return
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(path + suffix)


def _check(path: str) -> None:
    """Look at all that a start needs before anything is written."""
    shared = f"{path}-shm"
    had_shared = os.path.exists(shared)
    try:
        with closing(_connect_to_check(path)) as db:
            if os.stat(path).st_size <= CHECKED_SIZE:
                (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
                if answer != "ok":
                    raise sqlite3.DatabaseError(answer.splitlines()[-1])
            version = read_version(db)
            _refuse_newer(path, version)
            if version < 1:
                raise ValueError(f"its schema says {version}")
            read_identity(db)
            read_rooms(db)
            read_sessions(db, 0.0, 0, version)
            read_orders(db, 0.0, 0, version)
            db.execute(_NOTHING)
            for statement in _added(version, SCHEMA_VERSION):
                # Would it do?  SQLite knows without doing it.
                db.execute(f"EXPLAIN {statement}")
    except BaseException:
        if not had_shared:
            with suppress(FileNotFoundError):
                os.unlink(shared)
        raise


def _connect_to_check(path: str) -> sqlite3.Connection:
    with suppress(FileNotFoundError):
        if os.stat(f"{path}-journal").st_size:
            # A copy that was never written ahead, and a crash: SQLite puts it right,
            # which takes a connection that may write.
            return _connect(path, "mode=rw", BUSY_TIMEOUT)
    return connect_to_read(path, is_at_rest(path))


def migrate(db: sqlite3.Connection) -> None:
    """Make a file of an older version one of this version, wholly or not at all.

    What it holds stays as it is.  The file has to be sound, and the lock to be held.
    """
    version = read_version(db)
    if version < SCHEMA_VERSION:
        db.execute("BEGIN IMMEDIATE")
        build(db, version, SCHEMA_VERSION)
        db.execute("COMMIT")


def build(db: sqlite3.Connection, old: int, new: int) -> None:
    """Make tables of the version *new* out of those of *old*; 0: there are none."""
    for statement in _added(old, new):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {new}")


def _added(old: int, new: int) -> list[str]:
    return [statement for version in SCHEMA[old:new] for statement in version]


def connect(path: str, timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """Return a connection that writes; the file has to be there."""
    db = _connect(path, "mode=rw", timeout)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        db.close()
        raise
    return db


def connect_to_read(
    path: str, at_rest: bool, timeout: float = BUSY_TIMEOUT
) -> sqlite3.Connection:
    """Return a connection that changes nothing, neither in the file nor beside it.

    A file that ``is_at_rest`` is read without locks, as for those SQLite would make
    a ``-wal`` beside it.
    """
    return _connect(path, "immutable=1" if at_rest else "mode=ro", timeout)


def is_at_rest(path: str) -> bool:
    """Tell whether all of *path* is in the one file, and nobody writes to it.

    Nobody has a file open that is written ahead and has no ``-wal`` beside it.
    """
    with open(path, "rb") as file:
        header = file.read(_HEADER)
    ahead = header[_WRITTEN_AHEAD : _WRITTEN_AHEAD + 1] == b"\2"
    return ahead and not os.path.exists(f"{path}-wal")


def _connect(path: str, how: str, timeout: float) -> sqlite3.Connection:
    uri = f"{Path(path).absolute().as_uri()}?{how}"
    db = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
    # A damaged letter is no reason to withhold the page that it stands on.
    db.text_factory = _text
    return db


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def is_no_damage(error: Exception) -> bool:
    """Tell whether *error* says nothing about what is in the file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (*_BUSY, *_FORBIDDEN, *_OF_THE_DISK)


def cannot_read(path: str, error: OSError) -> StartError:
    """Return what to tell of *error*, which came of looking at *path*."""
    return StartError(
        f"cannot read {shown(path)}: {error.strerror}; "
        "see its rights and its folder's, or name another"
    )


def _cannot_write(path: str, error: OSError) -> StartError:
    return StartError(
        f"{shown(path)} cannot be written: {error.strerror}; "
        "see its rights and its folder's"
    )


def cannot_open(path: str, error: Exception) -> StartError:
    """Return what to tell of *error*, which came of opening *path*."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name, why = shown(path), shown(str(error))
    if code in _BUSY:
        text = f"{name} is in use by another program; close it, or name another file"
    elif code in _FORBIDDEN:
        text = f"{name} cannot be opened; see its rights and its folder's"
    elif code in _OF_THE_DISK:
        text = f"{name} cannot be used: {why}; see the disk"
    else:
        text = (
            f"{name} is damaged ({why}); move it away, or restore a copy "
            "(chat-history FILE verify says more)"
        )
    return StartError(text)


def shown(text: str) -> str:
    """Return *text*, a name or a complaint, in one line, whatever is in it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


# -- what is read at the start ----------------------------------------------------


def read_version(db: sqlite3.Connection) -> int:
    """Return the version of the schema, as the file has it."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def read_identity(db: sqlite3.Connection) -> str:
    """Return the identity of the numbering."""
    row = db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
    if row is None or not isinstance(row[0], str):
        raise ValueError("it has no identity")
    return row[0]


def read_rooms(db: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """Return (name, oldest id, last id) of each room; they meet where it is empty."""
    rooms = []
    for name, last_id, oldest, newest in db.execute(_ROOMS):
        _demand("a room", str, name=name)
        last = max(int(last_id), int(newest or 0))
        rooms.append((name, int(oldest) if oldest is not None else last + 1, last))
    return rooms


def read_sessions(
    db: sqlite3.Connection, now: float, wall: int, version: int = SCHEMA_VERSION
) -> list[Session]:
    """Return the sessions as they were left, the one that ended first first.

    Those that were connected ended when the server did: now.  *now* is seconds of
    the clock that their times are to be in, *wall* milliseconds since the epoch.
    """
    sessions = []
    columns = "operator, mute" if version >= 2 else "NULL, NULL"
    for row in db.execute(_SESSIONS.format(columns)):
        digest, nick, key, secure, strikes, last_ref, ended_at, operator, mute = row
        _demand("a session", bytes, digest=digest)
        _demand("a session", bytes | None, operator=operator)
        _demand("a session", str, nick=nick, key=key, strikes=strikes)
        _demand("a session", str | None, last_ref=last_ref, mute=mute)
        session = Session(digest, nick, key, secure=bool(secure))
        times = (now - (wall - int(at)) / 1000 for at in strikes.split())
        session.strikes.times = tuple(min(now, time) for time in times)
        if session.strikes.times:
            session.strikes.state = State.WARNED
        session.last_ref = last_ref
        session.operator, session.mute = operator, mute
        age = (wall - int(ended_at)) / 1000 if ended_at is not None else 0.0
        session.ended_at = now - max(0.0, age)
        sessions.append(session)
    return sessions


def read_orders(
    db: sqlite3.Connection, now: float, wall: int, version: int = SCHEMA_VERSION
) -> list[Order]:
    """Return the orders as they were given, those that have ended since too.

    *now* is seconds of the clock that their ends are to be in, *wall* milliseconds
    since the epoch.
    """
    if version < 2:
        return []
    orders = []
    for kind, target, name, by, text, until in db.execute(_ORDERS):
        _demand("an order", str, kind=kind, target=target, shown=name, by=by, text=text)
        _demand("an order", int, until=until)
        if not 0 <= until <= MAX_UNTIL:
            raise ValueError("an order has an end that is no time")
        order = Order(Kind(kind), target, name, by, text, until=until)
        if order.kind is Kind.ADDRESS and network_of(target) != target:
            raise ValueError("an order has an address that is none")
        if until:
            order.ends = now + (until - wall) / 1000
        orders.append(order)
    return orders


def _demand(whose: str, wanted: type | UnionType, /, **values: object) -> None:
    """Raise ``ValueError`` where one is of another kind, as damage may make it."""
    for name, value in values.items():
        if not isinstance(value, wanted):
            raise ValueError(f"{whose} has a value of a wrong kind in {name}")
