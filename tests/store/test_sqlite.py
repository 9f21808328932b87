"""The store in a file: what every store promises, and what lasts."""

import sqlite3
import tempfile
from itertools import count
from pathlib import Path

import pytest

from chatroom.core.moderation import State
from chatroom.core.sessions import Peer, Session
from chatroom.errors import StartError, StoreError
from chatroom.store.sqlite import SCHEMA_VERSION, TRIM_BATCH, SqliteStore
from tests.store.conformance import StoreConformance, ids, said

FOLDER = tempfile.TemporaryDirectory(prefix="chatroom-")
NUMBERS = count(1)
WALL = 1_700_000_000_000


class TestSqliteStore(StoreConformance):
    """It passes what every store has to pass."""

    def make(self, keep: int = 0, keep_bytes: int = 0) -> SqliteStore:
        path = f"{FOLDER.name}/{next(NUMBERS)}.db"
        return SqliteStore(path, "log-1", keep, keep_bytes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history.db"


def test_messages_identity_and_numbers_outlast_it(path: Path) -> None:
    store = SqliteStore(str(path), "one")
    messages = said("lobby", "tea", "lobby")
    messages[0].text, messages[0].ref = "a\n\t\u2028 zoë \U0001f600", "r-1"
    store.keep(messages, {}, 0.0, WALL)
    store.close()
    again = SqliteStore(str(path), "two")
    assert again.identity == "one"
    assert sorted(again.rooms()) == ["lobby", "tea"]
    assert again.read("lobby", 1, 3) == [messages[0], messages[2]]
    more = said("lobby")
    again.keep(more, {}, 0.0, WALL)
    assert ids(more) == [3]
    again.close()


def test_a_session_comes_back_in_the_times_of_another_clock(path: Path) -> None:
    session = Session(b"d" * 32, "Ann", "ann", secure=True)
    session.peer = Peer()
    session.strikes.times, session.strikes.state = (90.0,), State.WARNED
    session.last_ref = "r-9"
    gone = Session(b"g" * 32, "Bob", "bob", secure=False)
    store = SqliteStore(str(path), "one")
    store.keep([], {session.digest: session, gone.digest: gone}, 100.0, WALL)
    store.keep([], {gone.digest: None}, 100.0, WALL)
    store.close()
    again = SqliteStore(str(path), "one")
    (back,) = again.load_sessions(5000.0, WALL + 60_000)
    assert (back.digest, back.nick, back.key) == (b"d" * 32, "Ann", "ann")
    assert (back.secure, back.last_ref) == (True, "r-9")
    assert back.strikes.state is State.WARNED
    assert back.strikes.times == pytest.approx((4930.0,))
    again.close()


def test_numbers_are_not_used_again_where_all_is_trimmed(path: Path) -> None:
    store = SqliteStore(str(path), "one", history_keep=2)
    store.keep(said(*["lobby"] * (TRIM_BATCH + 12)), {}, 0.0, WALL)
    assert store.oldest_id("lobby") == 1
    assert store.trim()
    assert store.oldest_id("lobby") == TRIM_BATCH + 1
    while store.trim():
        pass
    assert store.oldest_id("lobby") == TRIM_BATCH + 11
    assert len(store.read("lobby", 1, TRIM_BATCH * 2)) == 2
    store.close()
    again = SqliteStore(str(path), "one")
    assert again.oldest_id("lobby") == TRIM_BATCH + 11
    more = said("lobby")
    again.keep(more, {}, 0.0, WALL)
    assert ids(more) == [TRIM_BATCH + 13]
    again.close()


def test_a_foreign_lock_refuses_and_uses_up_no_number(path: Path) -> None:
    store = SqliteStore(str(path), "one")
    store.keep(said("lobby"), {}, 0.0, WALL)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = said("lobby")
    for _ in range(3):
        with pytest.raises(StoreError):
            store.keep(refused, {}, 0.0, WALL)
    assert ids(refused) == [0]
    other.execute("ROLLBACK")
    other.close()
    store.keep(refused, {}, 0.0, WALL)
    assert ids(refused) == [2]
    store.close()


def test_a_full_disk_refuses_and_recovers(path: Path) -> None:
    store = SqliteStore(str(path), "one")
    assert store._db is not None
    store._db.execute("PRAGMA max_page_count = 12")
    big = said(*["lobby"] * 40)
    for message in big:
        message.text = "x" * 4000
    with pytest.raises(StoreError):
        store.keep(big, {}, 0.0, WALL)
    assert ids(big) == [0] * 40
    store.keep(big, {}, 0.0, WALL)
    assert ids(big) == list(range(1, 41))
    store.close()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no database at all, but long enough to be one" * 9, "not a history"),
        (b"SQLite format 3\0" + bytes(200), "another program"),
    ],
)
def test_what_is_not_ours_is_left_alone(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(StartError, match=why):
        SqliteStore(str(path), "one")
    assert path.read_bytes() == content


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    SqliteStore(str(path), "one").close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    content = path.read_bytes()
    with pytest.raises(StartError, match="newer"):
        SqliteStore(str(path), "one")
    assert path.read_bytes() == content


def test_a_damaged_file_is_left_alone(path: Path) -> None:
    store = SqliteStore(str(path), "one")
    store.keep(said(*["lobby"] * 2000), {}, 0.0, WALL)
    store.close()
    content = path.read_bytes()
    content = content[:8192] + b"\xa5" * 8192 + content[16384:]
    path.write_bytes(content)
    with pytest.raises(StartError, match="damaged"):
        SqliteStore(str(path), "one")
    assert path.read_bytes() == content


def test_one_server_at_a_time(path: Path) -> None:
    store = SqliteStore(str(path), "one")
    with pytest.raises(StartError, match="in use"):
        SqliteStore(str(path), "one")
    store.close()
    SqliteStore(str(path), "one").close()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="directory"):
        SqliteStore(str(tmp_path), "one")
    with pytest.raises(StartError, match="no folder"):
        SqliteStore(str(tmp_path / "none" / "history.db"), "one")
