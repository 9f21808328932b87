"""Verifying: each thing that can be amiss is found and named, and nothing else is."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.core.orders import Kind
from chatroom.errors import StartError
from chatroom.store import reader
from chatroom.store.sqlite import SqliteStore
from chatroom.store.verify import MAX_FINDINGS, verify
from tests.store.conformance import WALL, keyed, order, said, session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history with two rooms, two sessions and three orders."""
    path = tmp_path / "history.db"
    with closing(SqliteStore(str(path), "one")) as store:
        store.keep(said(*["lobby"] * 9, "tea", "tea"), {}, {}, 0.0, WALL)
        ann, bob = session("ann"), session("bob")
        ann.strikes.times = (1.0, 2.0)
        ann.operator, ann.mute = b"o" * 32, "ann"
        orders = keyed(order(), order(Kind.TOPIC, "tea"), order(Kind.LOCK, ""))
        store.keep([], {ann.digest: ann, bob.digest: bob}, orders, 3.0, WALL)
    return path


def by_hand(path: Path, *statements: str) -> None:
    """Change the file without the store's knowledge."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            db.execute(statement)


def test_a_sound_file(path: Path) -> None:
    report = verify(str(path))
    assert report.findings == []
    assert (report.messages, report.rooms) == (11, 2)
    assert (report.sessions, report.orders) == (2, 3)
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_is_sound(tmp_path: Path) -> None:
    SqliteStore(str(tmp_path / "new.db"), "one").close()
    assert verify(str(tmp_path / "new.db")).findings == []


def test_a_trimmed_file_is_sound(path: Path) -> None:
    with closing(SqliteStore(str(path), "one", history_keep=1)) as store:
        while store.trim():
            pass
    report = verify(str(path))
    assert report.findings == []
    assert report.messages == 2


def test_a_file_in_use_is_sound(path: Path) -> None:
    with closing(SqliteStore(str(path), "one")) as store:
        store.keep(said("lobby", "new"), {}, {}, 0.0, WALL)
        report = verify(str(path))
        assert report.findings == []
        assert report.messages == 13


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM messages WHERE id = 4", "lobby: 4 is not there"),
        ("DELETE FROM messages WHERE id IN (4, 5, 6)", "lobby: 4 to 6 are not there"),
        ("DELETE FROM messages WHERE id > 7", "lobby: 8 to 9 are not there"),
        ("DELETE FROM messages WHERE id = 9", "lobby: 9 is not there"),
        (
            "DELETE FROM messages WHERE room = 'tea'",
            "tea: it has a last id of 2 and no messages",
        ),
        (
            "UPDATE rooms SET last_id = 7 WHERE name = 'lobby'",
            "lobby: 9 is beyond the last id, 7",
        ),
        ("UPDATE rooms SET last_id = 1 WHERE name = 'tea'", "tea: 2 is beyond"),
        ("UPDATE rooms SET last_id = 3 WHERE name = 'tea'", "tea: 3 is not there"),
        ("UPDATE rooms SET last_id = 'x' WHERE name = 'tea'", "tea: its last id is no"),
        ("DELETE FROM rooms WHERE name = 'tea'", "tea: it has messages and is not"),
        ("UPDATE messages SET id = 0 WHERE id = 1 AND room = 'tea'", "numbers begin"),
        ("UPDATE messages SET at = 'noon' WHERE id = 5", "lobby 5: a name, a number"),
        (
            "UPDATE messages SET text = CAST(x'61ff' AS TEXT) WHERE id = 5",
            "lobby 5: the text is not UTF-8 (byte 1)",
        ),
        (
            "UPDATE messages SET sender = CAST(x'eda080' AS TEXT) WHERE id = 5",
            "lobby 5: the sender is not UTF-8 (byte 0)",
        ),
        (
            "UPDATE messages SET ref = CAST(x'c1' AS TEXT) WHERE id = 5",
            "lobby 5: the ref is not UTF-8",
        ),
        (
            "UPDATE messages SET text = CAST(x'610062' AS TEXT) WHERE id = 5",
            "lobby 5: the text is not as it was sent (it has a NUL)",
        ),
        ("UPDATE sessions SET nick = CAST(x'ff' AS TEXT)", "the nick is not UTF-8"),
        ("UPDATE sessions SET digest = x'00' WHERE nick = 'Ann'", "has 1 bytes"),
        ("UPDATE sessions SET strikes = 'often'", "sessions: "),
        ("UPDATE sessions SET ended_at = 9e999", "sessions: "),
        (
            "UPDATE sessions SET nick = x'61'",
            "sessions: a session has a value of a wrong kind in nick",
        ),
        ("UPDATE sessions SET operator = x'00'", "its operator has 1 bytes"),
        ("UPDATE sessions SET operator = 'me'", "sessions: "),
        ("UPDATE sessions SET mute = CAST(x'ff' AS TEXT)", "the mute is not UTF-8"),
        (
            "UPDATE orders SET text = CAST(x'61ff' AS TEXT) WHERE kind = 'topic'",
            "order topic tea: the text is not UTF-8 (byte 1)",
        ),
        (
            "UPDATE orders SET shown = CAST(x'6100' AS TEXT) WHERE kind = 'topic'",
            "order topic tea: the shown is not as it was sent",
        ),
        (
            "UPDATE orders SET kind = 'wish' WHERE kind = 'lock'",
            "orders: 'wish' is not",
        ),
        ("UPDATE orders SET kind = 'address' WHERE kind = 'nick'", "orders: an order"),
        ("UPDATE orders SET until = -1", "orders: an order has an end that is no time"),
        ("DROP TABLE orders", "schema: there is no table orders"),
        ("PRAGMA user_version = 1", "schema: the table sessions is not as it"),
        ("DELETE FROM meta", "schema: it has no identity"),
        ("DROP TABLE sessions", "schema: there is no table sessions"),
        ("DROP TABLE rooms", "schema: there is no table rooms"),
        ("ALTER TABLE messages ADD COLUMN mood TEXT", "schema: the table messages"),
        ("PRAGMA user_version = 0", "schema: it says 0, and should say 2"),
        (
            "UPDATE sqlite_master SET sql = replace(sql, 'text TEXT NOT NULL', "
            "'text TEXT') WHERE name = 'messages'",
            "schema: the table messages is not as it should be",
        ),
    ],
)
def test_what_is_amiss_is_named(path: Path, statement: str, finding: str) -> None:
    by_hand(path, statement)
    report = verify(str(path))
    assert [line for line in report.findings if finding in line], report.findings
    assert len(report.findings) <= 3


def test_damage_is_found(path: Path) -> None:
    with closing(SqliteStore(str(path), "one")) as store:
        store.keep(said(*["lobby"] * 5000), {}, {}, 0.0, WALL)
    content = path.read_bytes()
    path.write_bytes(content[: 4096 * 9] + b"\xa5" * 4096 + content[4096 * 10 :])
    assert any(line.startswith("damaged: ") for line in verify(str(path)).findings)


def test_a_file_that_was_cut_is_found(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])
    (line,) = verify(str(path)).findings
    assert line.startswith("damaged: ")


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_raises_nothing(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 5, 20))):
        start = chance.randrange(100, len(content))
        content[start : start + 40] = chance.randbytes(40)
    path.write_bytes(content)
    report = verify(str(path))
    assert all(type(line) is str for line in report.findings)


def test_what_keeps_it_from_looking_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "READ_TIMEOUT", 0.0)
    by_hand(path, "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StartError, match="in use by another program"):
            verify(str(path))


def test_of_many_findings_the_first_are_told(path: Path) -> None:
    with closing(SqliteStore(str(path), "one")) as store:
        store.keep(said(*["lobby"] * 400), {}, {}, 0.0, WALL)
    by_hand(path, "DELETE FROM messages WHERE id % 2")
    report = verify(str(path))
    assert len(report.findings) == MAX_FINDINGS
    assert report.untold > 90


def test_a_newer_schema_is_not_judged(path: Path) -> None:
    by_hand(path, "PRAGMA user_version = 99")
    with pytest.raises(StartError, match="newer chatroom"):
        verify(str(path))
