"""Reading a history that somebody may be writing: right, short, and without a trace."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chatroom.errors import StartError
from chatroom.store.reader import READ_BATCH, HistoryReader
from chatroom.store.sqlite import SqliteStore
from tests.store.conformance import WALL, ids, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history.db"


def make(path: Path, *rooms: str) -> None:
    """Make a history with a message for each of these rooms."""
    with closing(SqliteStore(str(path), "one")) as store:
        store.keep(said(*rooms), {}, {}, 0.0, WALL)


def test_what_is_kept_is_read(path: Path) -> None:
    make(path, "tea", "lobby", "tea")
    with closing(HistoryReader(str(path))) as reader:
        assert reader.rooms() == {"lobby": 1, "tea": 2}
        assert list(reader.rooms()) == ["lobby", "tea"]
        assert [m.text for m in reader.after("tea", 0)] == ["text 0", "text 2"]
        assert [m.text for m in reader.after("tea", 1)] == ["text 2"]
        assert [m.text for m in reader.newest("tea", 1)] == ["text 2"]
        assert list(reader.after("none", 0)) == reader.newest("none", 9) == []


def test_many_are_read_in_batches_and_none_is_missed(path: Path) -> None:
    make(path, *["lobby"] * (2 * READ_BATCH + 1))
    with closing(HistoryReader(str(path))) as reader:
        assert ids(list(reader.after("lobby", 0))) == list(range(1, 2 * READ_BATCH + 2))
        assert ids(reader.newest("lobby", 3)) == list(
            range(2 * READ_BATCH - 1, 2 * READ_BATCH + 2)
        )


def test_a_file_at_rest_is_read_without_a_trace(path: Path) -> None:
    """Nothing is made beside it, and nothing in it is touched."""
    make(path, "lobby")
    before = path.stat(), path.read_bytes()
    reader = HistoryReader(str(path))
    assert ids(list(reader.after("lobby", 0))) == [1]
    assert list(path.parent.iterdir()) == [path]
    reader.close()
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before[1]
    assert path.stat().st_mtime_ns == before[0].st_mtime_ns


def test_a_server_that_starts_meanwhile_is_noticed(path: Path) -> None:
    make(path, "lobby")
    with closing(HistoryReader(str(path))) as reader:
        assert reader.rooms() == {"lobby": 1}
        with closing(SqliteStore(str(path), "two")) as store:
            store.keep(said("lobby", "tea"), {}, {}, 0.0, WALL)
            assert reader.rooms() == {"lobby": 2, "tea": 1}
            store.keep(said("lobby"), {}, {}, 0.0, WALL)
            assert ids(list(reader.after("lobby", 1))) == [2, 3]
        assert reader.rooms() == {"lobby": 3, "tea": 1}


def test_a_server_that_came_and_went_is_noticed(path: Path) -> None:
    make(path, "lobby")
    with closing(HistoryReader(str(path))) as reader:
        assert reader.rooms() == {"lobby": 1}
        make(path, *["lobby"] * 200)
        assert reader.rooms() == {"lobby": 201}
        assert len(list(reader.after("lobby", 0))) == 201


def test_what_was_read_while_a_server_came_is_read_again(path: Path) -> None:
    """It writes into the file between the question and the end of the answer."""
    make(path, "lobby")
    answers: list[int] = []

    def ask(db: sqlite3.Connection) -> int:
        (number,) = db.execute("SELECT count(*) FROM messages").fetchone()
        if not answers:
            make(path, "lobby")
        answers.append(number)
        return answers[-1]

    with closing(HistoryReader(str(path))) as reader:
        assert reader.look(ask) == 2
    assert answers == [1, 2]


def test_while_it_is_read_the_server_keeps_and_does_not_wait(path: Path) -> None:
    make(path, *["lobby"] * 2000)
    with (
        closing(SqliteStore(str(path), "two")) as store,
        closing(HistoryReader(str(path))) as reader,
    ):
        assert store._db is not None
        store._db.execute("PRAGMA busy_timeout = 0")
        going = reader.after("lobby", 0)
        assert next(going).id == 1
        for number in range(2001, 2011):
            store.keep(more := said("lobby"), {}, {}, 0.0, WALL)
            assert ids(more) == [number]
        assert [m.id for m in going] == list(range(2, 2011))
        # Between two batches no lock is left: all can be put into the one file.
        busy, *_ = store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0


def test_after_a_crash_the_newest_are_read_and_nothing_is_changed(path: Path) -> None:
    make(path, "lobby")
    store = SqliteStore(str(path), "two")
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    files = {
        name: path.with_name(name).read_bytes()
        for name in ("history.db", "history.db-wal")
    }
    (crashed := path.parent / "crashed").mkdir()
    for name, data in files.items():
        (crashed / name).write_bytes(data)
    store.close()
    with closing(HistoryReader(str(crashed / "history.db"))) as reader:
        assert ids(list(reader.after("lobby", 0))) == [1, 2]
    assert {name: (crashed / name).read_bytes() for name in files} == files


def test_what_is_not_there_is_not_made(path: Path) -> None:
    with pytest.raises(StartError, match=r"there is no history in .*history\.db"):
        HistoryReader(str(path))
    path.touch()
    with pytest.raises(StartError, match="there is no history"):
        HistoryReader(str(path))
    assert list(path.parent.iterdir()) == [path]


def test_what_goes_away_while_it_is_read_is_told(path: Path) -> None:
    make(path, "lobby")
    with closing(HistoryReader(str(path))) as reader:
        path.unlink()
        with pytest.raises(StartError, match="cannot read"):
            reader.rooms()


def test_damage_is_told_with_what_to_do(path: Path) -> None:
    make(path, *["lobby"] * 2000)
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
    with (
        closing(HistoryReader(str(path))) as reader,
        pytest.raises(StartError, match=r"damaged .* verify"),
    ):
        list(reader.after("lobby", 0))
