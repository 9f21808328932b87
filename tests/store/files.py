"""History files as others leave them: changed by hand, by a crash, by an older one."""

from __future__ import annotations

import sqlite3
import stat
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.errors import StartError
from chatroom.store import file
from chatroom.store.sqlite import SqliteStore

VERSION_1 = """
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
PRAGMA application_id = 1128808788;
PRAGMA user_version = 1;
INSERT INTO meta VALUES ('identity', 'one');
INSERT INTO rooms VALUES ('lobby', 3), ('tea', 1), ('gone', 7);
INSERT INTO messages VALUES
    ('lobby', 1, 'ann', 'hello', 1700000000000, NULL),
    ('lobby', 2, 'Zoë', char(10) || 'line ' || x'09', 1700000000001, 'r-1'),
    ('lobby', 3, 'ann', 'bye', 1700000000002, NULL),
    ('tea', 1, 'bob', '你好', 1700000000003, 'r-2');
INSERT INTO messages
    WITH RECURSIVE n (id) AS (SELECT 8 UNION ALL SELECT id + 1 FROM n WHERE id < 200)
    SELECT 'gone', id, 'cat', printf('%.300c', 'x'), 1700000000004, NULL FROM n;
UPDATE rooms SET last_id = 200 WHERE name = 'gone';
INSERT INTO sessions VALUES
    (CAST(printf('%032d', 1) AS BLOB), 'Ann', 'ann', 1,
        '1699999999000 1699999999500', 'r-9', 1700000000000),
    (CAST(printf('%032d', 2) AS BLOB), 'Bob', 'bob', 0, '', NULL, NULL);
"""
"""A history as the first version made it, word for word.  Is never changed."""


def make_version_1(path: Path) -> None:
    """Make a history as a server of version 1 has left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(f"BEGIN; {VERSION_1} COMMIT")


def by_hand(path: Path, *statements: str) -> None:
    """Change the file as somebody else might."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def in_file(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Return what the file holds, as somebody else sees it."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def leave_open(path: Path) -> None:
    """Leave *path* as a crash does: the newest in the file beside it."""
    with tempfile.TemporaryDirectory(prefix="chatroom-") as folder:
        copy = Path(folder) / "copy.db"
        copy.write_bytes(path.read_bytes())
        db = sqlite3.connect(copy, isolation_level=None)
        db.execute("INSERT INTO messages VALUES ('tea', 9999, 'ann', 'last', 1, NULL)")
        db.execute("UPDATE rooms SET last_id = 9999 WHERE name = 'tea'")
        for suffix in ("", "-wal"):
            data = copy.with_name(copy.name + suffix).read_bytes()
            path.with_name(path.name + suffix).write_bytes(data)
        db.close()


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return all that is in *folder*: names, rights, times, and every byte.

    Of a ``-shm``, which is memory shared by those who read, only that it is there.
    """
    found: dict[str, tuple[object, ...]] = {}
    for entry in sorted(folder.iterdir()):
        about = entry.lstat()
        if entry.name.endswith("-shm"):
            found[entry.name] = ()
            continue
        data = entry.read_bytes() if stat.S_ISREG(about.st_mode) else b""
        found[entry.name] = (about.st_mode, about.st_mtime_ns, about.st_ino, data)
    return found


def refusal(path: Path | str) -> str:
    """Return why *path* is refused; it is untouched, and is told in one line.

    Whoever asks beforehand is told the same, or nothing, where only a try can tell.
    """
    folder = Path(path).parent
    before = snapshot(folder) if folder.is_dir() else None
    examined = examination(path)
    with pytest.raises(StartError) as caught:
        SqliteStore(str(path), "one")
    if before is not None:
        assert snapshot(folder) == before
    line = str(caught.value)
    assert line.isprintable()
    assert examined in ("", line)
    assert Path(path).name[:20] in line
    return line


def examination(path: Path | str) -> str:
    """Return what is said about *path* beforehand; nothing is touched by that."""
    folder = Path(path).parent
    before = snapshot(folder) if folder.is_dir() else None
    try:
        file.examine(str(path))
    except StartError as error:
        return str(error)
    finally:
        if before is not None:
            assert snapshot(folder) == before
    return ""
