"""The numbered log against a plain list that forgets nothing."""

import gc
import weakref
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core.log import (
    ENTRY_OVERHEAD,
    MAX_PAGE,
    Held,
    RoomLog,
    level_down,
)

Numbered = tuple[int, bytes]


def kept(
    entries: Sequence[bytes], keep: int, keep_bytes: int, last_id: int = 0
) -> list[Numbered]:
    """Number all *entries* and say which are held: the longest tail in the bounds."""
    numbered = list(enumerate(entries, last_id + 1))
    for start in range(len(numbered)):
        tail = numbered[start:]
        size = sum(len(entry) + ENTRY_OVERHEAD for _, entry in tail)
        in_number = not keep or len(tail) <= keep
        in_bytes = not keep_bytes or size <= keep_bytes
        if (in_number and in_bytes) or len(tail) == 1:
            return tail
    return []


def expected_page(
    held: list[Numbered], after: int | None, before: int | None, limit: int
) -> tuple[list[Numbered], bool]:
    """Read a page of *held* as protocol.md, section 3 has it."""
    if after is not None:
        wanted = [pair for pair in held if pair[0] > after]
        return wanted[:limit], len(wanted) > limit
    wanted = [pair for pair in held if before is None or pair[0] < before]
    return wanted[-limit:], len(wanted) > limit


def read(
    log: RoomLog[bytes], after: int | None, before: int | None, limit: int
) -> tuple[list[Numbered], bool]:
    """Read a page of *log* with the numbers beside the entries."""
    first, entries, more = log.page(after=after, before=before, limit=limit)
    return list(enumerate(entries, first)), more


def filled(
    entries: Sequence[bytes], keep: int = 0, keep_bytes: int = 0, last_id: int = 0
) -> RoomLog[bytes]:
    """Make a log and append all *entries*."""
    log: RoomLog[bytes] = RoomLog(keep, keep_bytes, last_id=last_id)
    for entry in entries:
        log.append(entry)
    return log


bounds = st.integers(0, 12)
byte_bounds = st.sampled_from([0, 1, ENTRY_OVERHEAD, 100, 400])
some = st.lists(st.binary(max_size=60), max_size=40)
ids = st.none() | st.integers(0, 60) | st.just(2**53 - 1)


@given(some, bounds, byte_bounds, st.integers(0, 9))
def test_numbers_are_consecutive_and_bounds_hold_after_each_append(
    entries: list[bytes], keep: int, keep_bytes: int, last_id: int
) -> None:
    log: RoomLog[bytes] = RoomLog(keep, keep_bytes, last_id=last_id)
    assert (len(log), log.last_id, log.oldest_id) == (0, last_id, last_id + 1)
    for count, entry in enumerate(entries, 1):
        log.append(entry)
        held = kept(entries[:count], keep, keep_bytes, last_id)
        assert len(log) == len(held)
        assert log.last_id == last_id + count
        assert log.oldest_id == held[0][0]
        assert log.size == sum(len(e) + ENTRY_OVERHEAD for _, e in held)
        assert read(log, None, None, 50) == (held, False)


@given(some, bounds, byte_bounds, st.integers(0, 9), ids, ids, st.integers(1, 50))
def test_pages(
    entries: list[bytes],
    keep: int,
    keep_bytes: int,
    last_id: int,
    after: int | None,
    before: int | None,
    limit: int,
) -> None:
    if after is not None:
        before = None
    log = filled(entries, keep, keep_bytes, last_id)
    held = kept(entries, keep, keep_bytes, last_id)
    assert read(log, after, before, limit) == expected_page(held, after, before, limit)


@pytest.mark.parametrize("keep", [0, 1, 3, 5])
@pytest.mark.parametrize("count", range(8))
def test_every_page_of_small_logs(keep: int, count: int) -> None:
    entries = [bytes([number]) for number in range(count)]
    log = filled(entries, keep)
    held = kept(entries, keep, 0)
    for limit in range(1, 9):
        assert read(log, None, None, limit) == expected_page(held, None, None, limit)
        for number in range(11):
            for after, before in ((number, None), (None, number)):
                expected = expected_page(held, after, before, limit)
                assert read(log, after, before, limit) == expected


@pytest.mark.parametrize("limit", [1, 7, 200])
@pytest.mark.parametrize("keep", [0, 90])
def test_page_by_page_gives_everything_once(limit: int, keep: int) -> None:
    entries = [b"%d" % number for number in range(1, 151)]
    log = filled(entries, keep)
    held = kept(entries, keep, 0)

    forward: list[Numbered] = []
    after, more = 0, True
    while more:
        page, more = read(log, after, None, limit)
        forward += page
        after = page[-1][0]
    assert forward == held

    backward: list[Numbered] = []
    before, more = log.last_id + 1, True
    while more:
        page, more = read(log, None, before, limit)
        backward = page + backward
        before = page[0][0]
    assert backward == held


def test_the_newest_is_held_whatever_its_size() -> None:
    log = filled([b"x", b"y" * 1000], keep_bytes=100)
    assert read(log, None, None, 50) == ([(2, b"y" * 1000)], False)


def test_an_empty_page_after_the_last_id() -> None:
    log = filled([b"a", b"b"])
    assert log.page(after=2) == (3, [], False)
    assert log.page(after=99) == (3, [], False)


def test_fifty_entries_unless_asked_otherwise() -> None:
    log = filled([b"x"] * 60)
    assert len(log.page()[1]) == 50
    assert MAX_PAGE == 200


@given(
    st.lists(st.binary(max_size=40), max_size=30),
    st.integers(0, 12),
    st.integers(0, 1500),
    st.integers(1, 9),
)
def test_other_bounds_hold_once_it_is_trimmed(
    entries: list[bytes], keep: int, keep_bytes: int, most: int
) -> None:
    """A little at a time, or all at once with the next entry."""
    log: RoomLog[bytes] = RoomLog(20)
    for entry in entries:
        log.append(entry)
    before = len(log)
    log.bound(keep, keep_bytes)
    assert len(log) == before
    while True:
        held, more = len(log), log.trim(most)
        assert held - len(log) <= most
        if not more:
            break
        assert held - len(log) == most
    held_ = read(log, None, None, MAX_PAGE)[0]
    assert held_ == kept(entries[-20:], keep, keep_bytes, max(0, len(entries) - 20))
    log.append(b"new")
    assert (log.last_id, log.page(limit=1)[1]) == (len(entries) + 1, [b"new"])


class Entry:
    """An entry that can be seen to go."""

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("count", [15, 200])
def test_what_is_dropped_is_let_go(count: int) -> None:
    """A bound that holds twice as much in memory is no bound."""
    log: RoomLog[Entry] = RoomLog(keep=10)
    entries: list[weakref.ref[Entry]] = []
    for _ in range(count):
        entry = Entry()
        entries.append(weakref.ref(entry))
        log.append(entry)
        del entry
    gc.collect()
    assert [ref() is not None for ref in entries] == [False] * (count - 10) + [
        True
    ] * 10


# -- several logs ----------------------------------------------------------------


@given(st.lists(some, max_size=6), bounds, st.integers(0, 6000))
def test_the_largest_give_until_all_have_no_more(
    contents: list[list[bytes]], keep: int, most: int
) -> None:
    """Who has no more than its share loses nothing, and nobody falls far below it."""
    held = Held()
    logs = [RoomLog[bytes](keep, held=held) for _ in contents]
    for log, entries in zip(logs, contents, strict=True):
        for entry in entries:
            log.append(entry)
    assert held.size == sum(log.size for log in logs)
    before = [(log.size, log.last_id, log.page(limit=200)[1]) for log in logs]
    level_down(logs, most)
    assert held.size == sum(log.size for log in logs) <= max(most, 0)
    share = most // max(1, len(logs))
    for log, (size, last_id, entries) in zip(logs, before, strict=True):
        assert log.last_id == last_id
        assert log.oldest_id == last_id - len(log) + 1
        assert log.page(limit=200)[1] == entries[len(entries) - len(log) :]
        if len(log) < len(entries):
            # It had more than its share, and has it still, but for one entry.
            assert size > share
            dropped = entries[len(entries) - len(log) - 1]
            assert log.size + len(dropped) + ENTRY_OVERHEAD > share
    if sum(size for size, _, _ in before) <= most:
        assert [log.size for log in logs] == [size for size, _, _ in before]
