"""What every store promises, as tests.

A store's test file derives ``StoreConformance`` and gives ``make``.  Nothing here
knows where a store keeps what it is given.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from math import inf

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatroom.core.log import RoomLog, page_bounds
from chatroom.core.messages import Message
from chatroom.core.orders import Kind, Order
from chatroom.core.sessions import Session
from chatroom.errors import StoreError
from chatroom.store import Store

WALL = 1_700_000_000_000
"""Milliseconds since the epoch."""


def said(*rooms: str) -> list[Message]:
    """Say something in each of these rooms, in this order."""
    return [
        Message(0, room, "ann", f"text {number}", WALL + number, None)
        for number, room in enumerate(rooms)
    ]


def ids(messages: Sequence[Message]) -> list[int]:
    """List the ids of these messages."""
    return [message.id for message in messages]


def session(name: str = "ann") -> Session:
    """Return a session without a connection."""
    return Session(name.encode().ljust(32, b"."), name.title(), name, secure=False)


def order(
    kind: Kind = Kind.NICK,
    target: str = "ann",
    *,
    text: str = "why not",
    ends: float = inf,
    until: int = 0,
) -> Order:
    """Return an order."""
    return Order(kind, target, target.title(), "Op", text, ends, until)


def keyed(*orders: Order) -> dict[tuple[Kind, str], Order | None]:
    """Return *orders* as they are given to a store."""
    return {(one.kind, one.target): one for one in orders}


def frame(message: Message) -> bytes:
    """Return what a room's tail holds of *message*."""
    return f"{message.room} {message.id} {message.text}".encode()


def frames(
    store: Store, room: str, log: RoomLog[bytes], low: int, high: int
) -> list[bytes]:
    """Read a page as the server does: from memory, or else from the store."""
    if low >= log.oldest_id:
        return log.entries(low, high)
    return list(map(frame, store.read(room, low, high)))


def oldest(store: Store, room: str, log: RoomLog[bytes]) -> int:
    """Return the oldest id of *room* that can be read."""
    kept = store.oldest_id(room)
    return log.oldest_id if kept is None else kept


class StoreConformance:
    """The tests; *make* opens a new and empty store."""

    def make(self, keep: int = 0, keep_bytes: int = 0) -> Store:
        """Open a new and empty store with these bounds for a room's tail."""
        raise NotImplementedError

    def failing(self, store: Store) -> AbstractContextManager[object]:
        """Let *store* fail for the time of a block, where it can."""
        return nullcontext()

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = self.make()
        yield store
        store.close()

    def test_a_store_has_an_identity(self, store: Store) -> None:
        assert isinstance(store.identity, str)
        assert store.identity

    def test_a_new_store_is_empty(self, store: Store) -> None:
        assert store.rooms() == []
        assert store.load_sessions(100.0, WALL) == []
        assert store.load_orders(100.0, WALL) == []
        assert store.read("lobby", 1, 100) == []
        assert store.trim() is False

    # -- numbers ----------------------------------------------------------------

    def test_the_log_of_a_room_that_is_new_is_empty(self, store: Store) -> None:
        log = store.open_log("lobby")
        assert (len(log), log.last_id, log.oldest_id) == (0, 0, 1)
        assert oldest(store, "lobby", log) == 1

    def test_what_all_logs_hold_is_counted(self, store: Store) -> None:
        logs = [store.open_log(room) for room in ("lobby", "tea")]
        for log in logs:
            log.append(bytes(1000))
        assert store.held.size == sum(log.size for log in logs) > 2000

    def test_other_bounds_are_for_logs_that_are_opened_then(self, store: Store) -> None:
        store.keep(said("lobby", "lobby", "lobby"), {}, {}, 0.0, 0)
        store.bound(2, 0, 0)
        log = store.open_log("lobby")
        for _ in range(3):
            log.append(b"x")
        assert len(log) == 2
        assert store.trim() is False

    def test_ids_begin_at_one_and_follow_on_each_other(self, store: Store) -> None:
        first, second = said("lobby", "lobby"), said("lobby")
        store.keep(first, {}, {}, 0.0, 0)
        store.keep(second, {}, {}, 0.0, 0)
        assert ids(first + second) == [1, 2, 3]

    def test_each_room_has_numbers_of_its_own(self, store: Store) -> None:
        messages = said("a", "b", "a", "a", "b", "c")
        store.keep(messages, {}, {}, 0.0, 0)
        assert ids(messages) == [1, 1, 2, 3, 2, 1]

    def test_nothing_to_keep_changes_nothing(self, store: Store) -> None:
        store.keep([], {}, {}, 0.0, 0)
        messages = said("lobby")
        store.keep(messages, {}, {}, 0.0, 0)
        assert ids(messages) == [1]

    def test_only_the_id_of_a_message_is_changed(self, store: Store) -> None:
        messages = [Message(0, "tea", "zoë", "a\nb \u2028", 5, "ref")]
        store.keep(messages, {}, {}, 0.0, 0)
        assert messages == [Message(1, "tea", "zoë", "a\nb \u2028", 5, "ref")]

    def test_a_room_that_begins_again_goes_on_with_its_numbers(
        self, store: Store
    ) -> None:
        store.keep(said("lobby", "lobby", "tea"), {}, {}, 0.0, 0)
        assert store.open_log("lobby").last_id == 2
        assert store.open_log("tea").last_id == 1
        messages = said("lobby")
        store.keep(messages, {}, {}, 0.0, 0)
        assert ids(messages) == [3]

    def test_two_stores_do_not_share_their_numbers(self) -> None:
        one, other = self.make(), self.make()
        one.keep(said("lobby", "lobby"), {}, {}, 0.0, 0)
        messages = said("lobby")
        other.keep(messages, {}, {}, 0.0, 0)
        assert ids(messages) == [1]
        one.close()
        other.close()

    def test_a_failure_uses_up_no_number(self, store: Store) -> None:
        """What failed has no number, and the next one gets the next number."""
        given = said("lobby")
        store.keep(given, {}, {}, 0.0, 0)
        with self.failing(store):
            for _ in range(3):
                given += (asked := said("lobby", "tea", "lobby"))
                with suppress(StoreError):
                    store.keep(asked, {}, {}, 0.0, 0)
                assert all(ids(asked)) or not any(ids(asked)), "all or nothing"
        given += (asked := said("tea", "lobby"))
        store.keep(asked, {}, {}, 0.0, 0)
        assert all(ids(asked))
        for room in ("lobby", "tea"):
            found = [m.id for m in given if m.room == room and m.id]
            assert found == list(range(1, len(found) + 1))
            assert store.open_log(room).last_id == len(found)

    # -- sessions ---------------------------------------------------------------

    def test_sessions_are_kept_and_forgotten_in_any_order(self, store: Store) -> None:
        ann, bob = session("ann"), session("bob")
        store.keep([], {ann.digest: ann, bob.digest: bob}, {}, 0.0, WALL)
        store.keep(said("lobby"), {ann.digest: None}, {}, 0.0, WALL)
        store.keep([], {ann.digest: None, b"never there": None}, {}, 0.0, WALL)
        messages = said("lobby")
        store.keep(messages, {bob.digest: bob, ann.digest: ann}, {}, 0.0, WALL)
        assert ids(messages) == [2]

    def test_what_changed_is_the_callers(self, store: Store) -> None:
        ann = session()
        changed = {ann.digest: ann, b"gone": None}
        store.keep([], changed, {}, 0.0, WALL)
        assert changed == {ann.digest: ann, b"gone": None}

    # -- orders -----------------------------------------------------------------

    def test_orders_are_kept_and_forgotten_in_any_order(self, store: Store) -> None:
        ban, lock = order(), order(Kind.LOCK, "")
        ann = session()
        store.keep([], {}, keyed(ban, lock), 0.0, WALL)
        store.keep(said("lobby"), {ann.digest: ann}, {(ban.kind, "ann"): None}, 0.0, 0)
        store.keep([], {}, {(ban.kind, "ann"): None, (lock.kind, "x"): None}, 0.0, 0)
        messages = said("lobby")
        store.keep(messages, {}, keyed(lock, ban), 0.0, WALL)
        assert ids(messages) == [2]

    def test_orders_that_changed_are_the_callers(self, store: Store) -> None:
        """Also where it fails: then they are to be given to it again."""
        changed = {**keyed(ban := order()), (Kind.MUTE, "bob"): None}
        store.keep([], {}, changed, 0.0, WALL)
        with self.failing(store), suppress(StoreError):
            store.keep([], {}, changed, 0.0, WALL)
        assert changed == {(Kind.NICK, "ann"): ban, (Kind.MUTE, "bob"): None}
        assert ban == order()

    # -- the tail and pages -----------------------------------------------------

    def test_the_tail_of_a_room_is_bounded_in_number(self) -> None:
        store = self.make(keep=3)
        log = store.open_log("lobby")
        for _ in range(7):
            log.append(b"x")
        assert (log.oldest_id, log.last_id, len(log)) == (5, 7, 3)
        store.close()

    def test_the_tail_of_a_room_is_bounded_in_bytes(self) -> None:
        store = self.make(keep_bytes=1000)
        log = store.open_log("lobby")
        for _ in range(50):
            log.append(b"x" * 100)
        assert 1 < len(log) < 10
        assert log.size <= 1000
        store.close()

    def test_every_page_is_whole_wherever_its_messages_are(self) -> None:
        """Of memory, of the store, and across the border; of each room its own."""
        store = self.make(keep=4)
        log = store.open_log("lobby")
        messages = said(*["lobby", "tea"] * 10)
        for message in messages:
            store.keep([message], {}, {}, 0.0, 0)
            if message.room == "lobby":
                log.append(frame(message))
        wanted = {m.id: frame(m) for m in messages if m.room == "lobby"}
        first, end = oldest(store, "lobby", log), log.last_id + 1
        assert end == 11
        assert first <= log.oldest_id == 7
        for low in range(first, end + 1):
            for high in range(low, end + 1):
                page = frames(store, "lobby", log, low, high)
                assert page == [wanted[number] for number in range(low, high)]
        store.close()

    def test_a_page_ends_where_its_reader_stands(self) -> None:
        """A tick is kept as a whole; who asks in the middle of it is told of half."""
        store = self.make(keep=2)
        log = store.open_log("lobby")
        messages = said(*["lobby"] * 6)
        store.keep(messages, {}, {}, 0.0, 0)
        for shown, message in enumerate(messages, 1):
            log.append(frame(message))
            first = oldest(store, "lobby", log)
            low, high, _ = page_bounds(first, log.last_id + 1, None, None, 50)
            page = frames(store, "lobby", log, low, high)
            assert page == [frame(m) for m in messages[first - 1 : shown]]
        store.close()

    @settings(suppress_health_check=[HealthCheck.differing_executors], max_examples=50)
    @given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=8))
    def test_numbers_against_a_plain_count(self, batches: list[list[str]]) -> None:
        store, counts = self.make(), dict[str, int]()
        for batch in batches:
            messages = said(*batch)
            store.keep(messages, {}, {}, 0.0, 0)
            for message in messages:
                counts[message.room] = counts.get(message.room, 0) + 1
                assert message.id == counts[message.room]
        for room in "abc":
            assert store.open_log(room).last_id == counts.get(room, 0)
        store.close()
