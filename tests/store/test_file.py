"""Opening the history: what is made, what is refused, and what is left untouched.

Untouched is meant to the byte, and nothing may lie beside the file that was not there.
"""

from __future__ import annotations

import fcntl
import os
import random
import re
import resource
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chatroom.core.messages import Message
from chatroom.core.orders import Kind
from chatroom.errors import StartError, StoreError
from chatroom.store import file
from chatroom.store.file import APPLICATION_ID, SCHEMA_VERSION
from chatroom.store.sqlite import SqliteStore
from tests.store.conformance import WALL, ids, order, said, session
from tests.store.files import (
    by_hand,
    examination,
    leave_open,
    make_version_1,
    refusal,
    snapshot,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = 4096
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is to be."""
    return tmp_path / "history.db"


def make(path: Path, messages: int = 300) -> None:
    """Make a history with so many messages and some sessions."""
    with closing(SqliteStore(str(path), "one")) as store:
        for text in ("short", "long " * 500):
            news = said(*["lobby", "tea"] * (messages // 4))
            for message in news:
                message.text = text
            store.keep(news, {}, {}, 0.0, WALL)
        sessions = [session(f"nick-{number}") for number in range(20)]
        for one in sessions:
            one.strikes.times = (1.0, 2.0)
            one.operator, one.mute = b"o" * 32, one.key
        orders = [
            order(Kind.NICK, "nick-9"),
            order(Kind.ADDRESS, "2001:db8::/48", ends=3603.0, until=WALL + 3_600_000),
            order(Kind.TOPIC, "tea", text="Nothing but tea"),
        ]
        store.keep(
            [],
            {one.digest: one for one in sessions},
            {(one.kind, one.target): one for one in orders},
            3.0,
            WALL,
        )


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that everybody can enter."""
    with tempfile.TemporaryDirectory(prefix="chatroom-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be somebody without rights for a while; root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def made(version: int) -> closing[sqlite3.Connection]:
    """Return a database with the tables of this version, in memory."""
    db = sqlite3.connect(":memory:")
    file.build(db, 0, version)
    return closing(db)


def tables(db: sqlite3.Connection) -> dict[str, list[str]]:
    """Return the words that each table was made with."""
    found = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    return {name: re.findall(r"\w+|\S", sql) for name, sql in found}


# -- asking beforehand -----------------------------------------------------------


def test_one_that_is_not_there_could_be_made(path: Path) -> None:
    assert examination(path) == ""
    path.touch()
    assert examination(path) == ""


def test_a_sound_one_is_sound_at_rest_and_in_use(path: Path) -> None:
    make(path)
    assert examination(path) == ""
    with closing(SqliteStore(str(path), "two")):
        assert examination(path) == ""


def test_after_a_crash_nothing_is_made_beside_it(path: Path) -> None:
    make(path)
    leave_open(path)
    assert examination(path) == ""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no database, but a text that is long enough for a header" * 3, "no history"),
        (b"SQLite format 3\0" + bytes(200), "another program"),
    ],
)
def test_what_is_none_is_told_beforehand(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    assert why.replace("no history", "is not a history") in examination(path)


def test_damage_and_a_newer_one_are_told_beforehand(path: Path) -> None:
    make(path)
    by_hand(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert "newer chatroom" in examination(path)
    by_hand(path, f"PRAGMA user_version = {SCHEMA_VERSION}", "DELETE FROM meta")
    assert "damaged" in examination(path)


def test_where_it_could_not_be_is_told_beforehand(common: Path) -> None:
    assert "there is no folder" in examination(common / "none" / "history.db")
    assert "is a directory" in examination(common)
    os.chmod(common, 0o555)
    with as_nobody():
        assert "Permission denied" in examination(common / "history.db")


# -- making one ------------------------------------------------------------------


def test_a_new_one_is_ours_whole_and_for_nobody_else(path: Path) -> None:
    store = SqliteStore(str(path), "one")
    header = path.read_bytes()[:100]
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(header[60:64], "big") == SCHEMA_VERSION
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    beside = {entry.name.removeprefix("history.db") for entry in path.parent.iterdir()}
    assert beside == {"", "-wal", "-shm", ".lock"}
    store.close()
    assert list(path.parent.iterdir()) == [path]


def test_the_page_about_it_has_the_schema_and_its_version() -> None:
    page = (ROOT / "docs" / "history-file.md").read_text(encoding="utf-8")
    (schema,) = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    with closing(sqlite3.connect(":memory:")) as told, made(SCHEMA_VERSION) as meant:
        told.executescript(schema)
        assert tables(told) == tables(meant)
    assert f"describes version {SCHEMA_VERSION}." in page
    assert f"`0x{APPLICATION_ID:x}`" in page


def test_an_empty_file_becomes_one_with_its_own_rights(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    SqliteStore(str(path), "one").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert file.refuse_foreign(str(path)) is True


def test_what_was_begun_and_not_finished_is_begun_again(path: Path) -> None:
    for suffix in ("", "-wal", "-journal"):
        path.with_name(f"history.db.new{suffix}").write_bytes(b"half of it")
    SqliteStore(str(path), "one").close()
    assert list(path.parent.iterdir()) == [path]


def test_where_it_cannot_be_made_nothing_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert "No space left" in refusal(path)


def test_where_the_disk_is_full_nothing_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = file.connect

    def connect(path: str, timeout: float = 0.0) -> sqlite3.Connection:
        db = real(path, timeout)
        db.execute("PRAGMA max_page_count = 3")
        return db

    monkeypatch.setattr(file, "connect", connect)
    assert "see the disk" in refusal(path)


@pytest.mark.parametrize("size", [0, 20_000])
def test_a_full_disk_leaves_nothing_beside_one_that_is_there(
    path: Path, size: int
) -> None:
    """Opening it takes some room: the memory that is shared is a file, too."""
    make(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        assert "see the disk" in refusal(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    SqliteStore(str(path), "one").close()


@pytest.mark.parametrize(
    "name", ["a b?c=d#e%20f&g.db", ":memory:", "file:x.db?mode=memory", "zoë's.db", "-"]
)
def test_odd_names_are_names_of_files(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore(name, "one")
    monkeypatch.chdir("/")
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    store.close()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    with closing(SqliteStore(str(tmp_path / name), "two")) as again:
        assert again.identity == "one"


def test_a_name_that_is_no_text_is_a_name(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.db")
    SqliteStore(path, "one").close()
    with closing(SqliteStore(path, "two")) as again:
        assert again.identity == "one"
    line = refusal_of_damaged(Path(path))
    assert "\\udce9.db" in line


def refusal_of_damaged(path: Path) -> str:
    """Overwrite *path*, and return why it is refused."""
    path.write_bytes(b"x" * 200)
    with pytest.raises(StartError) as caught:
        SqliteStore(str(path), "one")
    assert str(caught.value).isprintable()
    return str(caught.value)


# -- what there is is something else ----------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"x", b"a text\n" * 100, b"SQLite format 3\0", b"\0" * 5000],
    ids=["short", "text", "cut", "zeros"],
)
def test_what_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "is not a history" in refusal(path)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_the_database_of_another_program_is_left_alone(path: Path, mode: str) -> None:
    by_hand(path, f"PRAGMA journal_mode = {mode}", "CREATE TABLE messages (room, id)")
    assert "of another program" in refusal(path)


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    make(path)
    by_hand(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    line = refusal(path)
    assert f"newer chatroom (schema {SCHEMA_VERSION + 1}" in line
    assert "update chatroom" in line


def test_a_newer_schema_is_seen_where_it_was_written_last(path: Path) -> None:
    """After a crash the version may be in the file beside it only."""
    make(path)
    leave_open(path)
    keeper = sqlite3.connect(path, isolation_level=None)
    keeper.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert path.read_bytes()[60:64] == SCHEMA_VERSION.to_bytes(4, "big")
    assert "newer chatroom" in refusal(path)
    keeper.close()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "is a directory" in refusal(tmp_path / "folder")


def test_there_has_to_be_a_folder(tmp_path: Path) -> None:
    line = refusal(tmp_path / "none" / "history.db")
    assert f"there is no folder {tmp_path}/none" in line
    assert "make it" in line
    assert not (tmp_path / "none").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    line = refusal(tmp_path / "file" / "history.db")
    assert "Not a directory; see its rights and its folder's, or name another" in line


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    assert "too long" in refusal(tmp_path / ("x" * 300))


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(link)
    refusal(link)


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    assert "is not a file" in refusal(path)


def test_a_device_is_no_file() -> None:
    with pytest.raises(StartError, match="/dev/null is not a file"):
        SqliteStore("/dev/null", "one")
    assert not os.path.exists("/dev/null.lock")


def test_the_newest_messages_of_a_file_that_is_gone_are_left_alone(path: Path) -> None:
    """SQLite would throw them away, or play them into the new file."""
    make(path)
    leave_open(path)
    path.rename(path.with_name("moved.db"))
    line = refusal(path)
    assert "history.db-wal" in line
    assert "put the file back" in line
    path.with_name("moved.db").rename(path)
    with closing(SqliteStore(str(path), "two")) as store:
        assert store.open_log("tea").last_id == 9999


# -- damage ----------------------------------------------------------------------


def test_a_damaged_page_is_left_alone(path: Path) -> None:
    make(path)
    content = path.read_bytes()
    assert len(content) > 20 * PAGE
    path.write_bytes(content[:8192] + b"\xa5" * 8192 + content[16384:])
    line = refusal(path)
    assert "is damaged" in line
    assert "restore a copy" in line


@pytest.mark.parametrize("size", [100, 512, PAGE, PAGE + 1, 10 * PAGE, 10 * PAGE + 7])
def test_a_file_that_was_cut_is_left_alone(path: Path, size: int) -> None:
    make(path)
    path.write_bytes(path.read_bytes()[:size])
    assert "is damaged" in refusal(path)


def test_a_damaged_file_after_a_crash_is_left_alone(path: Path) -> None:
    make(path)
    leave_open(path)
    content = path.read_bytes()
    path.write_bytes(content[: 9 * PAGE] + b"\xa5" * PAGE + content[10 * PAGE :])
    assert "is damaged" in refusal(path)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE messages",
        "DROP TABLE sessions",
        "ALTER TABLE messages RENAME COLUMN sender TO nick",
        "DELETE FROM meta",
        "PRAGMA user_version = 0",
        "UPDATE rooms SET last_id = 'many'",
        "UPDATE sessions SET strikes = '1 x'",
        "UPDATE sessions SET ended_at = 'never'",
        "UPDATE sessions SET digest = 10 WHERE nick = 'Nick-1'",
        "UPDATE sessions SET nick = x'61'",
        "UPDATE sessions SET key = x'61'",
        "UPDATE sessions SET strikes = x'31'",
        "UPDATE sessions SET last_ref = x'61'",
        "UPDATE sessions SET ended_at = 9e999",
        "UPDATE sessions SET operator = 'me'",
        "UPDATE sessions SET mute = x'61'",
        "UPDATE rooms SET last_id = 9e999",
        "UPDATE rooms SET name = x'61' WHERE name = 'tea'",
        "DROP TABLE orders",
        "ALTER TABLE sessions DROP COLUMN operator",
        "UPDATE orders SET kind = 'wish' WHERE kind = 'nick'",
        "UPDATE orders SET kind = x'6e69636b' WHERE kind = 'nick'",
        "UPDATE orders SET target = x'61' WHERE kind = 'nick'",
        "UPDATE orders SET target = '2001:db8::1/48' WHERE kind = 'address'",
        "UPDATE orders SET target = 'home' WHERE kind = 'address'",
        "UPDATE orders SET shown = x'61'",
        "UPDATE orders SET by = x'61'",
        "UPDATE orders SET text = x'61'",
        "UPDATE orders SET until = 'never'",
        "UPDATE orders SET until = -1",
        "UPDATE orders SET until = 9e999",
        "UPDATE orders SET until = 9007199254740992",
    ],
)
def test_what_is_not_as_it_should_be_is_left_alone(path: Path, statement: str) -> None:
    make(path)
    by_hand(path, statement)
    assert "is damaged" in refusal(path)


def test_what_must_be_there_and_is_not_is_left_alone(path: Path) -> None:
    """Damage may make any value none, whatever its column demands."""
    make(path)
    by_hand(
        path,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'TEXT NOT NULL', 'TEXT')",
    )
    by_hand(path, "UPDATE sessions SET strikes = NULL")
    assert "a session has a value of a wrong kind in strikes" in refusal(path)


def test_what_sqlite_quotes_of_the_damage_is_told_in_one_line(path: Path) -> None:
    make(path)
    by_hand(
        path,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = sql || char(14, 10, 27) WHERE name = 'meta'",
    )
    assert 'unrecognized token: "\\x0e' in refusal(path)


@pytest.mark.parametrize("large", [False, True], ids=["checked", "too large to check"])
@pytest.mark.parametrize("seed", range(12))
def test_random_damage_is_refused_or_lived_with(
    tmp_path: Path, seed: int, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the errors that are meant for it, and an untouched file."""
    if large:
        monkeypatch.setattr(file, "CHECKED_SIZE", 0)
    chance = random.Random(seed)
    make(whole := tmp_path / "whole.db", 60)
    content = whole.read_bytes()
    (folder := tmp_path / "folder").mkdir()
    for number in range(4):
        path = folder / f"{number}.db"
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 3, 30))):
            start = chance.randrange(100 if chance.random() < 0.8 else 0, len(content))
            size = chance.choice((1, 4, 200))
            damaged[start : start + size] = chance.randbytes(size)
        path.write_bytes(damaged[: len(content)])
        before = snapshot(folder)
        try:
            store = SqliteStore(str(path), "one")
        except StartError as error:
            assert str(error).isprintable()
            assert snapshot(folder) == before
            path.unlink()
            continue
        live_with(store)
        assert list(folder.iterdir()) == [path]
        path.unlink()


def live_with(store: SqliteStore) -> None:
    """Do all that a server does; only what is meant for it may be raised."""
    store.load_sessions(0.0, WALL)
    store.load_orders(0.0, WALL)
    store._history_keep = 5
    calls: list[Callable[[], Any]] = [
        store.trim,
        lambda: store.keep(
            said("lobby", "tea", "new"), {b"d" * 32: None}, {}, 0.0, WALL
        ),
        *(lambda room=room: store.read(room, 1, 10**6) for room in store.rooms()),
    ]
    for call in calls:
        try:
            call()
        except StoreError as error:
            assert str(error).startswith(store._path)
    store.close()


def test_what_only_begins_with_a_rollback_is_put_right(path: Path) -> None:
    """A copy that was never written ahead, and a crash in the middle of a change."""
    make(path)
    by_hand(path, "PRAGMA journal_mode = DELETE")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN")
    writer.execute("UPDATE messages SET text = 'spoilt'")
    for suffix in ("", "-journal"):
        crashed = path.with_name(f"crashed.db{suffix}")
        crashed.write_bytes(path.with_name(f"history.db{suffix}").read_bytes())
    writer.close()
    with closing(SqliteStore(str(crashed.with_name("crashed.db")), "two")) as store:
        found = store.read("lobby", 1, 1000)
    assert len(found) == 150
    assert "spoilt" not in {message.text for message in found}


# -- rights ----------------------------------------------------------------------


@pytest.mark.parametrize("made", [make, make_version_1])
def test_a_file_that_may_not_be_written_is_told_and_left_alone(
    common: Path, made: Callable[[Path], None]
) -> None:
    path = common / "history.db"
    made(path)
    path.chmod(0o444)
    with as_nobody():
        line = refusal(path)
    assert "cannot be written: Permission denied; see its rights" in line


def test_a_file_that_may_not_be_read_is_told_and_left_alone(common: Path) -> None:
    path = common / "history.db"
    make(path)
    path.chmod(0o200)
    why = r"cannot read .*/history\.db: Permission denied; see its rights"
    with as_nobody(), pytest.raises(StartError, match=why):
        SqliteStore(str(path), "one")
    assert list(common.iterdir()) == [path]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_may_not_be_written_is_told(common: Path, there: bool) -> None:
    path = common / "history.db"
    if there:
        make(path)
        path.chmod(0o666)
    common.chmod(0o555)
    with as_nobody():
        line = refusal(path)
    assert "history.db.lock" in line
    assert "Permission denied" in line
    assert "see the folder's rights" in line


def test_a_folder_that_may_not_be_written_any_more_is_told(common: Path) -> None:
    """A crash has left the lock; so it is SQLite that finds out."""
    path = common / "history.db"
    make(path)
    for one in (path, path.with_name("history.db.lock")):
        one.touch()
        one.chmod(0o666)
    common.chmod(0o555)
    with as_nobody():
        line = refusal(path)
    assert "see its rights and its folder's" in line


# -- the lock --------------------------------------------------------------------


def test_one_server_at_a_time(path: Path) -> None:
    store = SqliteStore(str(path), "one")
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    assert "is in use by another server; stop it" in refusal(path)
    store.keep(more := said("lobby"), {}, {}, 0.0, WALL)
    assert ids(more) == [2]
    store.close()
    SqliteStore(str(path), "one").close()


def test_one_server_at_a_time_by_whatever_name(path: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "folder" / "link.db"
    link.symlink_to(path)
    store = SqliteStore(str(link), "one")
    assert "in use" in refusal(path)
    assert "in use" in refusal(tmp_path / "folder" / ".." / "history.db")
    store.close()
    assert list((tmp_path / "folder").iterdir()) == [link]


def test_a_lock_that_a_crash_has_left_holds_nobody(path: Path) -> None:
    path.with_name("history.db.lock").touch()
    SqliteStore(str(path), "one").close()
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_that_was_just_removed_is_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our opening it and our locking it, its holder has let go of it."""
    real, rounds = fcntl.flock, list[int]()

    def flock(lock: int, how: int) -> None:
        if not rounds:
            path.with_name("history.db.lock").unlink()
        elif len(rounds) == 1:
            path.with_name("history.db.lock").unlink()
            path.with_name("history.db.lock").touch()
        rounds.append(how)
        real(lock, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = file.take_lock(str(path))
    assert len(rounds) == 3
    with pytest.raises(StartError, match="in use"):
        file.take_lock(str(path))
    file.drop_lock(str(path), lock)
    assert list(path.parent.iterdir()) == []


def test_a_disk_that_cannot_lock_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(lock: int, how: int) -> None:
        raise OSError(37, "No locks available")

    make(path)
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StartError, match="cannot be locked: No locks available"):
        SqliteStore(str(path), "one")


# -- what another program does ----------------------------------------------------


def test_a_foreign_lock_is_no_reason_not_to_start(path: Path) -> None:
    """It may be a backup; what comes before it ends is refused."""
    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store = SqliteStore(str(path), "one")
        assert store.read("lobby", 1, 2)
        with pytest.raises(StoreError):
            store.keep(said("lobby"), {}, {}, 0.0, WALL)
        other.execute("ROLLBACK")
        store.keep(said("lobby"), {}, {}, 0.0, WALL)
        store.close()


def test_a_file_that_another_program_has_for_itself_is_told(path: Path) -> None:
    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT")
        with pytest.raises(StartError, match="in use by another program"):
            SqliteStore(str(path), "one")


def test_a_copy_that_is_not_written_ahead_becomes_so(path: Path) -> None:
    make(path)
    by_hand(path, f"VACUUM INTO '{path.with_name('copy.db')}'")
    copy = path.with_name("copy.db")
    assert copy.read_bytes()[18] == 1
    with closing(SqliteStore(str(copy), "two")) as store:
        assert store.identity == "one"
        (first, *_) = store.read("lobby", 1, 2)
        assert first == Message(1, "lobby", "ann", "short", WALL, None)
    assert copy.read_bytes()[18] == 2
