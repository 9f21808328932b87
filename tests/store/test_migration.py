"""A history of an older version: a start makes it one of ours, and nobody else does.

Everything that is in it stays, at whatever moment that is cut short; and where a start
is refused, the file is as it was, to the byte.
"""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest

from chatroom.core.messages import Message
from chatroom.core.moderation import State
from chatroom.errors import StartError
from chatroom.store import file
from chatroom.store.file import SCHEMA_VERSION
from chatroom.store.reader import HistoryReader
from chatroom.store.sqlite import SqliteStore
from chatroom.store.verify import verify
from tests.store.conformance import WALL, ids, keyed, order, said
from tests.store.files import (
    by_hand,
    in_file,
    leave_open,
    make_version_1,
    refusal,
    snapshot,
)

PAGE = 4096
FRAME = PAGE + 24
"""What a page takes in the file of the newest."""
DATA = (
    "SELECT * FROM meta",
    "SELECT * FROM rooms ORDER BY name",
    "SELECT * FROM messages ORDER BY room, id",
    """SELECT digest, nick, key, secure, strikes, last_ref, ended_at
        FROM sessions ORDER BY digest""",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of version 1, alone in its folder."""
    path = tmp_path / "history.db"
    make_version_1(path)
    assert list(tmp_path.iterdir()) == [path]
    return path


def data(path: Path) -> list[list[tuple[object, ...]]]:
    """Return all that there was in version 1."""
    return [in_file(path, sql) for sql in DATA]


def version(path: Path) -> object:
    """Return the version that the file says."""
    ((found,),) = in_file(path, "PRAGMA user_version")
    return found


# -- a start ---------------------------------------------------------------------


def test_a_start_makes_it_one_of_ours_and_changes_nothing_in_it(path: Path) -> None:
    before = data(path)
    SqliteStore(str(path), "two").close()
    assert version(path) == SCHEMA_VERSION
    assert data(path) == before
    assert list(path.parent.iterdir()) == [path]
    report = verify(str(path))
    assert report.findings == []
    assert (report.messages, report.sessions, report.orders) == (197, 2, 0)


def test_all_of_it_is_there_for_the_server(path: Path) -> None:
    with closing(SqliteStore(str(path), "two")) as store:
        assert store.identity == "one"
        assert store.rooms() == ["gone", "lobby", "tea"]
        assert store.oldest_id("gone") == 8
        assert store.read("lobby", 2, 3) == [
            Message(2, "lobby", "Zoë", "\nline \t", WALL + 1, "r-1")
        ]
        ann, bob = store.load_sessions(100.0, WALL + 1000)
        assert (ann.nick, ann.secure, ann.last_ref) == ("Ann", True, "r-9")
        assert ann.strikes.state is State.WARNED
        assert ann.strikes.times == pytest.approx((98.0, 98.5))
        assert (ann.ended_at, bob.ended_at) == pytest.approx((99.0, 100.0))
        assert [ann.operator, ann.mute, bob.operator, bob.mute] == [None] * 4
        assert store.load_orders(100.0, WALL) == []


def test_it_takes_what_is_new(path: Path) -> None:
    with closing(SqliteStore(str(path), "two")) as store:
        (ann, _) = store.load_sessions(0.0, WALL)
        ann.operator, ann.mute = b"o" * 32, "ann"
        messages = said("lobby")
        store.keep(messages, {ann.digest: ann}, keyed(order()), 0.0, WALL)
        assert ids(messages) == [4]
    with closing(SqliteStore(str(path), "two")) as store:
        assert store.load_orders(0.0, WALL) == [order()]
        again = {one.key: one for one in store.load_sessions(0.0, WALL)}
        assert (again["ann"].operator, again["ann"].mute) == (b"o" * 32, "ann")


def test_it_is_made_one_of_ours_once(path: Path) -> None:
    SqliteStore(str(path), "two").close()
    before = path.read_bytes()
    SqliteStore(str(path), "two").close()
    assert path.read_bytes() == before


def test_one_that_a_crash_has_left_keeps_its_newest(path: Path) -> None:
    leave_open(path)
    (copy := path.parent / "copy").mkdir()
    for name in ("history.db", "history.db-wal"):
        shutil.copy(path.with_name(name), copy)
    before = data(copy / "history.db")
    with closing(SqliteStore(str(path), "two")) as store:
        assert store.open_log("tea").last_id == 9999
    assert data(path) == before
    assert version(path) == SCHEMA_VERSION


def test_a_copy_that_is_not_written_ahead(path: Path) -> None:
    before = data(path)
    copy = path.with_name("copy.db")
    by_hand(path, f"VACUUM INTO '{copy}'")
    assert copy.read_bytes()[18] == 1
    SqliteStore(str(copy), "two").close()
    assert data(copy) == before
    assert verify(str(copy)).findings == []


# -- who only reads ---------------------------------------------------------------


@pytest.mark.parametrize("crashed", [False, True])
def test_who_reads_it_changes_nothing(path: Path, crashed: bool) -> None:
    if crashed:
        leave_open(path)
    before = snapshot(path.parent)
    with closing(HistoryReader(str(path))) as reader:
        assert list(reader.rooms()) == ["gone", "lobby", "tea"]
        assert ids(list(reader.after("lobby", 0))) == [1, 2, 3]
        assert len(list(reader.after("gone", 0))) == 193
    report = verify(str(path))
    assert report.sessions == 2
    assert report.findings == (["tea: 2 to 9998 are not there"] if crashed else [])
    after = snapshot(path.parent)
    assert {name: about for name, about in after.items() if about} == {
        name: about for name, about in before.items() if about
    }
    assert data(path)


def test_who_reads_it_while_a_start_makes_it_ours_reads_on(path: Path) -> None:
    with closing(HistoryReader(str(path))) as reader:
        assert reader.rooms()["lobby"] == 3
        with closing(SqliteStore(str(path), "two")) as store:
            assert reader.rooms()["lobby"] == 3
            store.keep(said("lobby"), {}, keyed(order()), 0.0, WALL)
            assert ids(list(reader.after("lobby", 2))) == [3, 4]
            assert verify(str(path)).findings == []


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE sessions SET strikes = 'often'", "sessions: "),
        ("UPDATE sessions SET nick = CAST(x'ff' AS TEXT)", "the nick is not UTF-8"),
        ("DELETE FROM messages WHERE id = 2", "lobby: 2 is not there"),
        ("ALTER TABLE sessions ADD COLUMN mood TEXT", "the table sessions is not as"),
        ("PRAGMA user_version = 2", "schema: there is no table orders"),
    ],
)
def test_what_is_amiss_in_it_is_named(path: Path, statement: str, finding: str) -> None:
    by_hand(path, statement)
    report = verify(str(path))
    assert [line for line in report.findings if finding in line], report.findings


# -- what is refused ---------------------------------------------------------------


@pytest.mark.parametrize("crashed", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE sessions",
        "DELETE FROM meta",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 2",
        "UPDATE rooms SET last_id = 'many'",
        "UPDATE sessions SET strikes = '1 x'",
        # What is to be added is there, and it is not ours.
        "CREATE TABLE orders (kind, target)",
        "CREATE VIEW orders AS SELECT * FROM meta",
        "ALTER TABLE sessions ADD COLUMN operator TEXT",
        "ALTER TABLE sessions ADD COLUMN mute BLOB",
    ],
)
def test_what_is_not_as_it_should_be_is_left_alone(
    path: Path, statement: str, crashed: bool
) -> None:
    by_hand(path, statement)
    if crashed:
        leave_open(path)
    assert "is damaged" in refusal(path)


def test_a_damaged_page_is_left_alone(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: 9 * PAGE] + b"\xa5" * PAGE + content[10 * PAGE :])
    assert "is damaged" in refusal(path)


def test_another_server_that_has_it_keeps_it(path: Path) -> None:
    lock = file.take_lock(str(path))
    assert "is in use by another server" in refusal(path)
    file.drop_lock(str(path), lock)
    assert version(path) == 1


def test_another_program_that_writes_is_told(path: Path) -> None:
    """It may be a copy that is being made; then nothing can be changed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT count(*) FROM rooms").fetchone() == (3,)
        assert "is in use by another program" in refusal(path)
        other.execute("ROLLBACK")
    assert version(path) == 1
    SqliteStore(str(path), "two").close()
    assert version(path) == SCHEMA_VERSION


# -- what cuts it short -------------------------------------------------------------


def test_a_full_disk_leaves_it_as_it_was(path: Path) -> None:
    before = data(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    refused = 0
    for size in count(0, 1000):
        untouched = snapshot(path.parent)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            SqliteStore(str(path), "two").close()
        except StartError as error:
            assert "see the disk" in str(error)
            assert snapshot(path.parent) == untouched
            refused += 1
        else:
            break
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused > PAGE // 1000
    assert data(path) == before
    SqliteStore(str(path), "two").close()
    assert version(path) == SCHEMA_VERSION
    assert data(path) == before


@contextmanager
def denied(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Deny SQLite one of the things that it is about to do, till all is committed."""
    steps = count()

    def judge(action: int, what: str | None, *_: object) -> int:
        nonlocal steps
        if next(steps) == number:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT":
            steps = count(number + 1)
        return sqlite3.SQLITE_OK

    def connect(path: str) -> sqlite3.Connection:
        db = real(path)
        db.set_authorizer(judge)
        return db

    real = file.connect
    with monkeypatch.context() as patched:
        patched.setattr(file, "connect", connect)
        yield


def test_whatever_fails_it_is_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each single thing that is to be done fails once."""
    before, content = data(path), path.read_bytes()
    for number in count():
        with denied(number, monkeypatch):
            try:
                store = SqliteStore(str(path), "two")
            except StartError:
                assert list(path.parent.iterdir()) == [path]
                assert path.read_bytes() == content
                continue
        store.close()
        break
    assert number > 10
    assert version(path) == SCHEMA_VERSION
    assert data(path) == before


def test_a_crash_at_any_moment_leaves_the_one_or_the_other(
    path: Path, tmp_path: Path
) -> None:
    """Of what is written ahead, any part may have got to the disk."""
    before, content = data(path), path.read_bytes()
    with closing(SqliteStore(str(path), "two")):
        assert path.read_bytes() == content, "all that is new is beside it"
        ahead = path.with_name("history.db-wal").read_bytes()
    assert len(ahead) > 2 * FRAME
    (folder := tmp_path / "crashed").mkdir()
    crashed, found = folder / "history.db", []
    for size in [*range(0, len(ahead), FRAME // 10), len(ahead)]:
        crashed.write_bytes(content)
        crashed.with_name("history.db-wal").write_bytes(ahead[:size])
        report = verify(str(crashed))
        assert report.findings == []
        with closing(HistoryReader(str(crashed))) as reader:
            found.append(reader.look(file.read_version))
        with closing(SqliteStore(str(crashed), "two")) as store:
            assert store.identity == "one"
        assert version(crashed) == SCHEMA_VERSION
        assert data(crashed) == before
        assert verify(str(crashed)).findings == []
        assert list(folder.iterdir()) == [crashed]
    assert found == sorted(found)
    assert set(found) == {1, SCHEMA_VERSION}
