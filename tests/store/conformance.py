"""What every store promises, as tests.

A store's test file derives ``StoreConformance`` and gives ``make``.  Nothing here
knows where a store keeps what it is given.
"""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatroom.core.messages import Message
from chatroom.store import Store


def said(*rooms: str) -> list[Message]:
    """Say something in each of these rooms, in this order."""
    return [
        Message(0, room, "ann", f"text {number}", 1_700_000_000_000 + number, None)
        for number, room in enumerate(rooms)
    ]


def ids(messages: Sequence[Message]) -> list[int]:
    """List the ids of these messages."""
    return [message.id for message in messages]


class StoreConformance:
    """The tests; *make* opens a new and empty store."""

    def make(self, keep: int = 0, keep_bytes: int = 0) -> Store:
        """Open a new and empty store with these bounds for a room's tail."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = self.make()
        yield store
        store.close()

    def test_a_store_has_an_identity(self, store: Store) -> None:
        assert isinstance(store.identity, str)
        assert store.identity

    def test_the_log_of_a_room_that_is_new_is_empty(self, store: Store) -> None:
        log = store.open_log("lobby")
        assert (len(log), log.last_id, log.oldest_id) == (0, 0, 1)

    def test_ids_begin_at_one_and_follow_on_each_other(self, store: Store) -> None:
        first, second = said("lobby", "lobby"), said("lobby")
        store.keep(first, {}, 0.0, 0)
        store.keep(second, {}, 0.0, 0)
        assert ids(first + second) == [1, 2, 3]

    def test_each_room_has_numbers_of_its_own(self, store: Store) -> None:
        messages = said("a", "b", "a", "a", "b", "c")
        store.keep(messages, {}, 0.0, 0)
        assert ids(messages) == [1, 1, 2, 3, 2, 1]

    def test_nothing_to_keep_changes_nothing(self, store: Store) -> None:
        store.keep([], {}, 0.0, 0)
        messages = said("lobby")
        store.keep(messages, {}, 0.0, 0)
        assert ids(messages) == [1]

    def test_only_the_id_of_a_message_is_changed(self, store: Store) -> None:
        messages = [Message(0, "tea", "zoë", "a\nb \u2028", 5, "ref")]
        store.keep(messages, {}, 0.0, 0)
        assert messages == [Message(1, "tea", "zoë", "a\nb \u2028", 5, "ref")]

    def test_a_room_that_begins_again_goes_on_with_its_numbers(
        self, store: Store
    ) -> None:
        store.keep(said("lobby", "lobby", "tea"), {}, 0.0, 0)
        assert store.open_log("lobby").last_id == 2
        assert store.open_log("tea").last_id == 1
        messages = said("lobby")
        store.keep(messages, {}, 0.0, 0)
        assert ids(messages) == [3]

    def test_two_stores_do_not_share_their_numbers(self) -> None:
        one, other = self.make(), self.make()
        one.keep(said("lobby", "lobby"), {}, 0.0, 0)
        messages = said("lobby")
        other.keep(messages, {}, 0.0, 0)
        assert ids(messages) == [1]
        one.close()
        other.close()

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

    @settings(suppress_health_check=[HealthCheck.differing_executors], max_examples=50)
    @given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=8))
    def test_numbers_against_a_plain_count(self, batches: list[list[str]]) -> None:
        store, counts = self.make(), dict[str, int]()
        for batch in batches:
            messages = said(*batch)
            store.keep(messages, {}, 0.0, 0)
            for message in messages:
                counts[message.room] = counts.get(message.room, 0) + 1
                assert message.id == counts[message.room]
        for room in "abc":
            assert store.open_log(room).last_id == counts.get(room, 0)
        store.close()
