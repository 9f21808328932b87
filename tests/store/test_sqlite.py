"""The store in a file: what every store promises, what lasts, and what may fail."""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatroom.core.messages import Message
from chatroom.core.moderation import Action, Moderator, State
from chatroom.core.orders import Kind, Order, Orders
from chatroom.core.sessions import Peer, Session, Sessions
from chatroom.errors import StoreError
from chatroom.store import Store, file
from chatroom.store.file import BUSY_TIMEOUT
from chatroom.store.reader import HistoryReader
from chatroom.store.sqlite import TRIM_BATCH, SqliteStore
from tests.store.conformance import (
    WALL,
    StoreConformance,
    ids,
    keyed,
    order,
    said,
    session,
)
from tests.store.faulty import Faulty, When
from tests.store.files import by_hand, in_file
from tests.support.clock import FakeClock

FOLDER = tempfile.TemporaryDirectory(prefix="chatroom-")
NUMBERS = count(1)

Open = Callable[..., SqliteStore]


def new_path() -> str:
    """Return where no history is yet."""
    return f"{FOLDER.name}/{next(NUMBERS)}.db"


class TestSqliteStore(StoreConformance):
    """It passes what every store has to pass."""

    def make(self, keep: int = 0, keep_bytes: int = 0) -> SqliteStore:
        return SqliteStore(new_path(), "log-1", keep, keep_bytes)

    def failing(self, store: Store) -> AbstractContextManager[object]:
        assert isinstance(store, SqliteStore)
        return Faulty(store, "COMMIT", sqlite3.SQLITE_BUSY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Open the history; who has it open lets go of it first."""
    stores: list[SqliteStore] = []

    def open_it(identity: str = "one", **options: int) -> SqliteStore:
        while stores:
            stores.pop().close()
        stores.append(SqliteStore(str(path), identity, **options))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


# -- what lasts ------------------------------------------------------------------

TEXTS = [
    "plain",
    "a\nb\n\tc",
    " \t\n spaces kept \n",
    "'; DROP TABLE messages; --",
    'back\\slash "quotes" %s ?1 %_',
    "zoë e\u0308 \u00eb \u1e9b\u0323",
    "שלום مرحبا नमस्ते 你好",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0010ffff \ue000 \ufffd \ufeff",
    "x" * 4000,
    "\U0001f600" * 4000,
]


def test_texts_are_exactly_what_they_were(opened: Open) -> None:
    store = opened()
    messages = [
        Message(0, "lobby", "Zoë", text, WALL + number, f"ref {text[:50]}")
        for number, text in enumerate(TEXTS)
    ]
    messages.append(Message(0, "lobby", "Zoë", "no ref", WALL - 1, None))
    store.keep(messages, {}, {}, 0.0, WALL)
    assert opened().read("lobby", 1, 1 + len(messages)) == messages


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
            st.integers(0, 2**53),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_text_comes_back_from_the_file(said: list[Any]) -> None:
    path = new_path()
    messages = [Message(0, "r", "n", text, at, ref) for text, ref, at in said]
    with closing(SqliteStore(path, "one")) as store:
        store.keep(messages, {}, {}, 0.0, WALL)
    with closing(SqliteStore(path, "one")) as store:
        assert store.read("r", 1, 1 + len(messages)) == messages


def test_identity_rooms_and_numbers_outlast_it(opened: Open) -> None:
    store = opened("one")
    assert store.identity == "one"
    store.keep(said("lobby", "tea", "lobby"), {}, {}, 0.0, WALL)
    again = opened("two")
    assert again.identity == "one"
    assert sorted(again.rooms()) == ["lobby", "tea"]
    assert again.oldest_id("lobby") == 1
    assert again.open_log("lobby").last_id == 2
    assert again.open_log("lobby").oldest_id == 3, "nothing is read into memory"
    more = said("lobby", "tea", "new")
    again.keep(more, {}, {}, 0.0, WALL)
    assert ids(more) == [3, 2, 1]


def test_what_was_kept_is_there_for_others_at_once(opened: Open, path: Path) -> None:
    """Nothing waits in the process: whoever kills it now takes nothing away."""
    store = opened()
    store.keep(said("lobby"), {b"d" * 32: session()}, {}, 0.0, WALL)
    assert in_file(path, "SELECT id, text FROM messages") == [(1, "text 0")]
    assert in_file(path, "SELECT nick FROM sessions") == [("Ann",)]


def test_after_its_end_all_is_in_the_one_file(opened: Open, path: Path) -> None:
    store = opened()
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    assert len(list(path.parent.iterdir())) > 1
    store.close()
    assert list(path.parent.iterdir()) == [path]
    moved = path.rename(path.with_name("elsewhere.db"))
    with closing(SqliteStore(str(moved), "two")) as again:
        assert again.identity == "one"
        assert len(again.read("lobby", 1, 2)) == 1
    opened()


def test_after_its_end_all_is_in_the_one_file_though_it_is_read(
    opened: Open, path: Path
) -> None:
    """Whoever has it open keeps SQLite from putting everything there by itself."""
    store = opened()
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    with closing(HistoryReader(str(path))) as reader:
        assert reader.rooms() == {"lobby": 1}
        store.close()
        copy = path.with_name("copy.db")
        copy.write_bytes(path.read_bytes())
        assert in_file(copy, "SELECT id FROM messages") == [(1,)]
        assert reader.rooms() == {"lobby": 1}


def test_its_end_is_not_held_up_by_who_reads_on(opened: Open, path: Path) -> None:
    store = opened()
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM messages").fetchone() == (1,)
        store.keep(said("lobby"), {}, {}, 0.0, WALL)
        started = time.monotonic()
        store.close()
        assert time.monotonic() - started < BUSY_TIMEOUT + 1.0
    again = opened()
    assert ids(again.read("lobby", 1, 9)) == [1, 2]


def test_each_commit_is_synced_before_it_is_told(opened: Open) -> None:
    store = opened()
    assert store._db is not None
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("gone", "oldest", "rooms"),
    [
        ("id = 5", 1, ["lobby"]),
        ("id > 2", 1, ["lobby"]),
        ("id < 4", 4, ["lobby"]),
        ("1", 6, []),
    ],
)
def test_numbers_are_not_given_again(
    opened: Open, path: Path, gone: str, oldest: int, rooms: list[str]
) -> None:
    """Whatever somebody has deleted, the newest included."""
    opened().keep(said(*["lobby"] * 5), {}, {}, 0.0, WALL)
    opened().close()
    by_hand(path, f"DELETE FROM messages WHERE {gone}")
    store = opened()
    assert (store.oldest_id("lobby"), store.rooms()) == (oldest, rooms)
    assert store.open_log("lobby").last_id == 5
    more = said("lobby")
    store.keep(more, {}, {}, 0.0, WALL)
    assert ids(more) == [6]
    assert store.oldest_id("lobby") == oldest


def test_a_last_id_that_is_too_low_gives_no_number_twice(
    opened: Open, path: Path
) -> None:
    opened().keep(said(*["lobby"] * 5), {}, {}, 0.0, WALL)
    opened().close()
    by_hand(path, "UPDATE rooms SET last_id = 2")
    more = said("lobby")
    opened().keep(more, {}, {}, 0.0, WALL)
    assert ids(more) == [6]


def test_a_damaged_letter_costs_no_page(opened: Open, path: Path) -> None:
    opened().keep(said(*["lobby"] * 3), {}, {}, 0.0, WALL)
    by_hand(path, "UPDATE messages SET text = CAST(x'61ff62' AS TEXT) WHERE id = 2")
    page = opened().read("lobby", 1, 4)
    assert [message.text for message in page] == ["text 0", "a\ufffdb", "text 2"]


# -- sessions --------------------------------------------------------------------


def test_a_session_comes_back_in_the_times_of_another_clock(opened: Open) -> None:
    """The clocks of two starts have nothing in common but what passes."""
    before, after = FakeClock(100.0), FakeClock(5000.0)
    ann = Session(b"a" * 32, "Ann", "ann", secure=True)
    ann.strikes.times, ann.strikes.state = (90.0, 95.5), State.WARNED
    ann.last_ref, ann.ended_at = "r-9", 97.25
    ann.operator, ann.mute = b"o" * 32, "anna"
    bob = Session(b"b" * 32, "Bob", "bob", secure=False)
    bob.ended_at = 99.0
    changed: dict[bytes, Session | None] = {bob.digest: bob, ann.digest: ann}
    opened().keep([], changed, {}, before(), WALL)
    first, second = opened().load_sessions(after(), WALL + 60_000)
    assert (first.digest, first.nick, first.key) == (b"a" * 32, "Ann", "ann")
    assert (first.secure, first.last_ref) == (True, "r-9")
    assert (first.operator, first.mute) == (b"o" * 32, "anna")
    assert (second.operator, second.mute) == (None, None)
    assert first.strikes.state is State.WARNED
    assert first.strikes.times == pytest.approx((4930.0, 4935.5))
    assert first.ended_at == pytest.approx(4937.25)
    assert first.peer is None
    assert first.room is None
    assert (second.nick, second.secure, second.last_ref) == ("Bob", False, None)
    assert (second.strikes.state, second.strikes.times) == (State.CLEAN, ())
    assert second.ended_at == pytest.approx(4939.0)


def test_who_was_connected_ended_when_the_server_did(opened: Open) -> None:
    """However long it was down: an outage costs nobody the session."""
    here, gone = session("here"), session("gone")
    here.peer, gone.ended_at = Peer(), 50.0
    opened().keep([], {here.digest: here, gone.digest: gone}, {}, 100.0, WALL)
    found = opened().load_sessions(7.0, WALL + 24 * 3600 * 1000)
    assert [one.key for one in found] == ["gone", "here"]
    assert found[1].ended_at == 7.0
    sessions = Sessions()
    for one in found:
        sessions.restore(one)
    sessions.expire(7.0)
    assert len(sessions) == 1


def test_a_wall_clock_that_goes_back_makes_no_time_of_the_future(opened: Open) -> None:
    ann = session()
    ann.strikes.times, ann.strikes.state, ann.ended_at = (90.0,), State.WARNED, 95.0
    opened().keep([], {ann.digest: ann}, {}, 100.0, WALL)
    (back,) = opened().load_sessions(5000.0, WALL - 3_600_000)
    assert back.strikes.times == (5000.0,)
    assert back.ended_at == 5000.0


def test_strikes_go_on_counting_and_lapse_in_time(opened: Open) -> None:
    moderator = Moderator(limit=2, lapse=60.0)
    ann, bob = session("ann"), session("bob")
    for one, now in ((ann, 100.0), (bob, 150.0)):
        assert moderator.judge(one.strikes, "NO", now) is Action.WARN
    opened().keep([], {ann.digest: ann, bob.digest: bob}, {}, 150.0, WALL)
    back = {s.key: s for s in opened().load_sessions(0.0, WALL + 30_000)}
    assert moderator.judge(back["ann"].strikes, "NO", 0.0) is Action.WARN
    assert moderator.judge(back["bob"].strikes, "NO", 0.0) is Action.KICK


def test_a_session_is_kept_as_it_was_last_and_forgotten(opened: Open) -> None:
    ann, bob = session("ann"), session("bob")
    store = opened()
    store.keep([], {ann.digest: ann, bob.digest: bob}, {}, 0.0, WALL)
    ann.nick, ann.key, ann.last_ref = "Anna", "anna", "r-2"
    store.keep(said("lobby"), {ann.digest: ann, bob.digest: None}, {}, 0.0, WALL)
    (back,) = opened().load_sessions(0.0, WALL)
    assert (back.nick, back.key, back.last_ref) == ("Anna", "anna", "r-2")


def test_tokens_are_not_in_the_file(opened: Open, path: Path) -> None:
    """A session is known by its digest; a hash alone is what there is to keep."""
    opened()
    columns = [row[1] for row in in_file(path, "PRAGMA table_info(sessions)")]
    assert (
        columns
        == "digest nick key secure strikes last_ref ended_at operator mute".split()
    )


# -- orders ----------------------------------------------------------------------


def kept(store: SqliteStore) -> list[Order]:
    """Return the orders that the file holds."""
    return store.load_orders(0.0, WALL)


def test_orders_come_back_in_the_times_of_another_clock(opened: Open) -> None:
    """Those that have ended meanwhile as well: they are to be forgotten."""
    orders = [
        order(Kind.ADDRESS, "192.0.2.7", ends=160.0, until=WALL + 60_000),
        order(Kind.LOCK, "", ends=102.5, until=WALL + 2500),
        order(Kind.NICK, "zoë", text="a\nb \u2028 '; --"),
    ]
    opened().keep([], {}, keyed(*orders), 100.0, WALL)
    found = opened().load_orders(5000.0, WALL + 10_000)
    assert [(type(one.kind), one.kind) for one in found] == [
        (Kind, one.kind) for one in orders
    ]
    assert [one.ends for one in found] == pytest.approx([5050.0, 4992.5, inf])
    for one, other in zip(found, orders, strict=True):
        assert replace(one, ends=other.ends) == other


def test_a_wall_clock_that_goes_back_makes_an_order_last(opened: Open) -> None:
    """It ends at the time that was told, whatever the clock has said since."""
    ban = order(Kind.NICK, "ann", ends=160.0, until=WALL + 60_000)
    opened().keep([], {}, keyed(ban), 100.0, WALL)
    (back,) = opened().load_orders(5000.0, WALL - 60_000)
    assert back.ends == pytest.approx(5120.0)


def test_an_order_is_kept_as_it_was_last_and_forgotten(opened: Open) -> None:
    store = opened()
    ban, mute = order(Kind.NICK, "ann"), order(Kind.MUTE, "ann")
    store.keep([], {}, keyed(ban, mute), 0.0, WALL)
    assert kept(opened()) == [mute, ban]
    again = order(Kind.NICK, "ann", text="and again", until=WALL + 5, ends=0.005)
    opened().keep([], {}, {**keyed(again), (Kind.MUTE, "ann"): None}, 0.0, WALL)
    assert kept(opened()) == [again]


@pytest.mark.parametrize(
    ("code", "when"),
    [
        (sqlite3.SQLITE_BUSY, "before"),
        (sqlite3.SQLITE_IOERR, "before"),
        (sqlite3.SQLITE_IOERR, "after"),
    ],
)
def test_a_commit_that_fails_keeps_nothing_of_orders(
    opened: Open, path: Path, code: int, when: When
) -> None:
    """What is new is not there, and all the others are as they were."""
    store = opened()
    ann, bob, cat, dan = (order(target=name) for name in ("ann", "bob", "cat", "dan"))
    store.keep([], {}, keyed(ann, bob, dan), 0.0, WALL)
    again = order(Kind.NICK, "ann", text="again")
    changed = {**keyed(again, cat), (Kind.NICK, "bob"): None}
    for _ in range(2):
        faulty = Faulty(store, "COMMIT", code, when)
        with faulty, pytest.raises(StoreError):
            store.keep(said("lobby"), {}, changed, 0.0, WALL)
        assert faulty.failed == 1
        names = in_file(path, "SELECT target, text FROM orders")
        assert names == [(one.target, one.text) for one in (ann, bob, dan)]
    assert kept(opened()) == [ann, bob, dan]
    messages = said("lobby")
    opened().keep(messages, {}, changed, 0.0, WALL)
    assert ids(messages) == [1]
    assert kept(opened()) == [again, cat, dan]


def test_an_order_that_no_file_takes_spoils_nothing(opened: Open) -> None:
    store = opened()
    with pytest.raises(StoreError):
        wrong = order(Kind.TOPIC, "lobby", text="half \ud800")
        store.keep(said("lobby"), {}, keyed(order(), wrong), 0.0, WALL)
    assert kept(store) == []
    assert store.read("lobby", 1, 9) == []


ORDERS = st.builds(
    Order,
    st.sampled_from([Kind.NICK, Kind.MUTE, Kind.TOPIC]),
    st.sampled_from(["a", "b", "ab", "a\0", "zoë", ""]),
    *[st.text(st.characters(exclude_categories=["Cs"]), max_size=40)] * 3,
    until=st.just(0),
) | st.builds(
    lambda network, seconds: order(
        Kind.ADDRESS, str(network), ends=seconds, until=WALL + seconds * 1000
    ),
    st.sampled_from(["192.0.2.1", "192.0.2.0/24", "2001:db8::/48", "::/64"]),
    st.integers(1, 2**40),
)
CHANGES: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("give"), ORDERS),
    st.tuples(st.just("lift"), ORDERS),
    st.tuples(st.sampled_from(["keep", "refuse", "lose", "open"]), st.none()),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CHANGES, max_size=20))
def test_whatever_happens_the_file_has_the_orders_that_were_kept(
    changes: list[Any],
) -> None:
    """Given, lifted, kept, refused, written and refused, opened again, in any order."""
    path, orders = new_path(), Orders()
    now, meant = dict[tuple[Kind, str], Order](), dict[tuple[Kind, str], Order]()
    store = SqliteStore(path, "one")
    for step, one in changes:
        if step == "give":
            orders.give(one)
            now[one.kind, one.target] = one
        elif step == "lift":
            orders.lift(one.kind, one.target)
            now.pop((one.kind, one.target), None)
        elif step == "keep":
            store.keep([], {}, orders.changed, 0.0, WALL)
            orders.changed.clear()
            meant = dict(now)
        elif step == "open":
            store.close()
            store = SqliteStore(path, "two")
        else:
            store.read("a", 1, 2)  # It is open now.
            Faulty(store, "COMMIT", 10, "after" if step == "lose" else "before")
            with pytest.raises(StoreError):
                store.keep([], {}, orders.changed, 0.0, WALL)
        store.read("a", 1, 2)
        wanted = sorted(meant.values(), key=lambda one: (one.kind, one.target))
        assert kept(store) == wanted
    store.close()


# -- trimming --------------------------------------------------------------------


def test_trimming_drops_a_little_at_a_time(opened: Open) -> None:
    store = opened(history_keep=2)
    store.keep(said(*["lobby"] * (TRIM_BATCH + 12), "tea"), {}, {}, 0.0, WALL)
    assert store.oldest_id("lobby") == 1
    assert store.trim() is True
    assert store.oldest_id("lobby") == TRIM_BATCH + 1
    assert store.read("lobby", 1, TRIM_BATCH + 1) == []
    assert store.trim() is True
    assert store.trim() is False
    assert store.oldest_id("lobby") == TRIM_BATCH + 11
    assert ids(store.read("lobby", 1, 10_000)) == [TRIM_BATCH + 11, TRIM_BATCH + 12]
    assert ids(store.read("tea", 1, 10_000)) == [1]


def test_less_can_be_kept_from_now_on(opened: Open) -> None:
    store = opened()
    store.keep(said(*["lobby"] * 7), {}, {}, 0.0, WALL)
    assert store.trim() is False
    store.bound(0, 0, 3)
    assert store.trim() is True
    assert store.trim() is False
    assert store.oldest_id("lobby") == 5


def test_what_was_trimmed_stays_so_and_its_numbers_are_used_up(opened: Open) -> None:
    store = opened(history_keep=1)
    store.keep(said(*["lobby"] * 7), {}, {}, 0.0, WALL)
    while store.trim():
        pass
    again = opened()
    assert again.oldest_id("lobby") == 7
    assert again.trim() is False, "no bound was asked for now"
    more = said("lobby")
    again.keep(more, {}, {}, 0.0, WALL)
    assert ids(more) == [8]
    assert again.oldest_id("lobby") == 7


def test_a_trim_that_fails_is_tried_again(opened: Open) -> None:
    store = opened(history_keep=1)
    store.keep(said(*["lobby"] * 7), {}, {}, 0.0, WALL)
    with Faulty(store, "DELETE", sqlite3.SQLITE_IOERR), pytest.raises(StoreError):
        store.trim()
    assert store.oldest_id("lobby") == 1
    assert ids(store.read("lobby", 1, 10)) == list(range(1, 8))
    assert store.trim() is True
    assert store.oldest_id("lobby") == 7


# -- while running: a lock --------------------------------------------------------


def patience(store: SqliteStore) -> int:
    """Return how long SQLite waits for a lock now, in milliseconds."""
    assert store._db is not None
    (timeout,) = store._db.execute("PRAGMA busy_timeout").fetchone()
    assert isinstance(timeout, int)
    return timeout


def test_a_foreign_lock_is_waited_for_once(opened: Open, path: Path) -> None:
    store = opened()
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    assert patience(store) == int(BUSY_TIMEOUT * 1000) <= 250
    refused = said("lobby", "tea")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(3):
            with pytest.raises(StoreError, match=r"history\.db.*locked"):
                store.keep(refused, {}, {}, 0.0, WALL)
            assert patience(store) == 0
            assert ids(store.read("lobby", 1, 9)) == [1], "reading needs no lock"
    assert ids(refused) == [0, 0]
    store.keep(refused, {}, {}, 0.0, WALL)
    assert ids(refused) == [2, 1]
    assert patience(store) == int(BUSY_TIMEOUT * 1000)


def test_a_lock_on_a_file_being_opened_again_is_not_waited_for(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file failed, and now somebody else has it: whoever keeps waits, once."""
    store = opened()
    timeouts: list[float] = []

    def connect(path: str, timeout: float) -> sqlite3.Connection:
        timeouts.append(timeout)
        return real_connect(path, timeout)

    real_connect = file.connect
    monkeypatch.setattr(file, "connect", connect)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        Faulty(store, "BEGIN", sqlite3.SQLITE_IOERR)
        for why in ("I/O", "locked", "locked"):
            with pytest.raises(StoreError, match=why):
                store.keep(said("lobby"), {}, {}, 0.0, WALL)
            # To read it is good enough as it is; nobody was shown what is in it.
            assert store.read("lobby", 1, 9) == []
    messages = said("lobby")
    store.keep(messages, {}, {}, 0.0, WALL)
    assert ids(messages) == [1]
    assert set(timeouts) == {0.0}
    assert patience(store) > 0


def test_trimming_waits_for_no_lock(opened: Open, path: Path) -> None:
    """What waits in the same tick is what is to be kept, and it still may."""
    store = opened(history_keep=1)
    store.keep(said("lobby", "lobby"), {}, {}, 0.0, WALL)
    seen: list[int] = []
    real_writable = store._writable

    def writable() -> sqlite3.Connection:
        seen.append(patience(store))
        return real_writable()

    vars(store)["_writable"] = writable
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            store.trim()
        assert patience(store) > 0
    assert store.trim() is True
    assert seen == [0, 0]
    assert patience(store) > 0


# -- while running: the disk ------------------------------------------------------


def test_a_full_disk_refuses_and_recovers(opened: Open) -> None:
    """The connection stays: history is read on, though nothing can be opened."""
    store = opened()
    db = store._db
    assert db is not None
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    db.execute("PRAGMA max_page_count = 12")
    big = said(*["lobby"] * 40)
    for message in big:
        message.text = "x" * 4000
    for _ in range(2):
        with pytest.raises(StoreError, match="full"):
            store.keep(big, {}, {}, 0.0, WALL)
        assert ids(store.read("lobby", 1, 99)) == [1]
    assert ids(big) == [0] * 40
    assert store._db is db
    db.execute("PRAGMA max_page_count = 100000")
    store.keep(big, {}, {}, 0.0, WALL)
    assert ids(big) == list(range(2, 42))


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR | 4 << 8, sqlite3.SQLITE_CORRUPT]
)
def test_a_failing_disk_has_the_file_opened_again(opened: Open, code: int) -> None:
    store = opened()
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    refused = said("lobby")
    faulty = Faulty(store, "BEGIN", code)
    with pytest.raises(StoreError, match="I/O"):
        store.keep(refused, {}, {}, 0.0, WALL)
    assert (faulty.failed, faulty.closed) == (1, True)
    assert ids(store.read("lobby", 1, 9)) == [1]
    assert isinstance(store._db, sqlite3.Connection)
    store.keep(refused, {}, {}, 0.0, WALL)
    assert ids(refused) == [2]


def test_where_it_cannot_be_opened_again_it_is_still_read(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes nothing more: what it has is there for everybody."""
    store = opened()
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    faulty = Faulty(store, "COMMIT", sqlite3.SQLITE_IOERR)

    def connect(*_: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patched:
        patched.setattr(file, "connect", connect)
        for why in ("I/O", "unable to open", "unable to open"):
            with pytest.raises(StoreError, match=why):
                store.keep(said("lobby"), {}, {}, 0.0, WALL)
            assert ids(store.read("lobby", 1, 9)) == [1]
    assert (faulty.failed, faulty.closed) == (1, False)
    messages = said("lobby")
    store.keep(messages, {}, {}, 0.0, WALL)
    assert ids(messages) == [2]
    assert faulty.closed


def test_what_was_refused_is_not_there_though_it_was_written(
    opened: Open, path: Path
) -> None:
    """A sync that fails may leave all on the disk; nobody was shown it."""
    store = opened()
    store.keep(said("lobby", "lobby"), {}, {}, 0.0, WALL)
    Faulty(store, "COMMIT", sqlite3.SQLITE_IOERR, "after")
    with pytest.raises(StoreError):
        store.keep(said("lobby", "tea", "tea"), {}, {}, 0.0, WALL)
    assert store.read("tea", 1, 9) == [], "a room that nobody has heard of yet"
    assert ids(store.read("lobby", 1, 9)) == [1, 2]
    assert in_file(path, "SELECT name, last_id FROM rooms") == [("lobby", 2)]
    messages = said("tea", "lobby")
    store.keep(messages, {}, {}, 0.0, WALL)
    assert ids(messages) == [1, 3]


def test_what_was_refused_last_is_not_there_after_the_end(opened: Open) -> None:
    """Nothing was kept and nothing read between the failure and the stop."""
    store = opened()
    Faulty(store, "COMMIT", sqlite3.SQLITE_IOERR, "after")
    with pytest.raises(StoreError):
        store.keep(said("lobby"), {}, {}, 0.0, WALL)
    again = opened()
    assert again.rooms() == []
    assert again.open_log("lobby").last_id == 0


def test_a_message_that_no_file_takes_spoils_nothing(opened: Open) -> None:
    """A mistake of ours must not leave a transaction open for ever."""
    store = opened()
    for wrong in (
        Message(0, "lobby", "ann", "half \ud800", WALL, None),
        Message(0, "lobby", "ann", "at the end of time", 2**80, None),
    ):
        with pytest.raises(StoreError):
            store.keep([*said("lobby"), wrong], {}, {}, 0.0, WALL)
        assert wrong.id == 0
    messages = said("lobby")
    store.keep(messages, {}, {}, 0.0, WALL)
    assert ids(messages) == [1]


def test_a_file_that_is_gone_is_not_begun_anew(opened: Open, path: Path) -> None:
    store = opened()
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    Faulty(store, "BEGIN", sqlite3.SQLITE_IOERR)
    moved = path.rename(path.with_name("moved.db"))
    for _ in range(2):
        with pytest.raises(StoreError):
            store.keep(said("lobby"), {}, {}, 0.0, WALL)
    assert not path.exists()
    moved.rename(path)
    messages = said("lobby")
    store.keep(messages, {}, {}, 0.0, WALL)
    assert ids(messages) == [2]


def test_a_read_that_fails_is_told_and_the_next_one_is_good(opened: Open) -> None:
    store = opened()
    store.keep(said("lobby"), {}, {}, 0.0, WALL)
    Faulty(store, "SELECT", sqlite3.SQLITE_IOERR)
    with pytest.raises(StoreError, match=r"history\.db"):
        store.read("lobby", 1, 2)
    assert ids(store.read("lobby", 1, 2)) == [1]


# -- against a model --------------------------------------------------------------

STEPS: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("keep"), st.lists(st.sampled_from("abc"), max_size=5)),
    st.tuples(st.just("refuse"), st.lists(st.sampled_from("abc"), max_size=5)),
    st.tuples(st.just("lose"), st.lists(st.sampled_from("abc"), max_size=5)),
    st.tuples(st.just("trim"), st.just([])),
    st.tuples(st.just("reopen"), st.just([])),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=12))
def test_whatever_happens_the_file_is_what_was_told(steps: list[Any]) -> None:
    """Kept, refused, written and refused, trimmed, opened again, in any order."""
    path, kept = new_path(), dict[str, list[str]]()
    texts, trimmed = count(), False
    store = SqliteStore(path, "one", history_keep=3)
    for step, rooms in steps:
        messages = said(*rooms)
        for message in messages:
            message.text = f"text {next(texts)}"
        if step == "keep":
            store.keep(messages, {}, {}, 0.0, WALL)
            for message in messages:
                kept.setdefault(message.room, []).append(message.text)
                assert message.id == len(kept[message.room])
        elif step in ("refuse", "lose"):
            store.read("a", 1, 2)  # It is open now.
            Faulty(store, "COMMIT", 10, "after" if step == "lose" else "before")
            with pytest.raises(StoreError):
                store.keep(messages, {}, {}, 0.0, WALL)
            assert not any(ids(messages))
        elif step == "trim":
            while store.trim():
                pass
            trimmed = True
        else:
            store.close()
            store = SqliteStore(path, "two", history_keep=3)
        assert store.identity == "one"
        for room, said_there in kept.items():
            oldest, end = store.oldest_id(room), len(said_there) + 1
            page = store.read(room, 1, end + 9)
            assert ids(page) == list(range(oldest, end))
            assert [m.text for m in page] == said_there[oldest - 1 :]
            assert oldest == 1 or trimmed
            assert store.open_log(room).last_id == len(said_there)
        assert set(store.rooms()) == set(kept)
    store.close()
