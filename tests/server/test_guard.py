"""Who guesses is slowed, and nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from chatroom.server.guard import FIRST, FORGET, LONGEST, MAX_ADDRESSES, Guard


def test_each_wrong_attempt_waits_twice_as_long() -> None:
    guard, now = Guard(), 100.0
    waits = []
    for _ in range(8):
        due = guard.failed("a", now)
        assert guard.until("a", now) == due
        waits.append(due - now)
        now = due
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0]
    assert (waits[0], waits[-1]) == (FIRST, LONGEST)


def test_who_was_not_wrong_does_not_wait() -> None:
    guard = Guard()
    guard.failed("a", 5.0)
    assert guard.until("b", 5.0) <= 5.0
    assert Guard().until("a", 0.0) <= 0.0


def test_it_is_forgotten_after_a_minute() -> None:
    guard = Guard()
    for _ in range(5):
        guard.failed("a", 10.0)
    assert guard.failed("a", 10.0 + FORGET - 0.25) == 10.0 + FORGET - 0.25 + LONGEST
    assert guard.failed("a", 10.0 + 2 * FORGET) == 10.0 + 2 * FORGET + FIRST
    assert guard.until("b", 10.0 + 4 * FORGET) == 0.0
    assert len(guard) == 0


def test_wrong_at_once_is_wrong_as_often() -> None:
    """Those that waited together are judged together: each counts."""
    guard = Guard()
    dues = [guard.failed("a", 1.0) for _ in range(2000)]
    assert dues == sorted(dues)
    assert dues[-1] == 1.0 + LONGEST


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 30)), max_size=60))
def test_a_wait_is_never_longer_than_four_seconds(
    attempts: list[tuple[int, float]],
) -> None:
    guard, now = Guard(), 0.0
    for address, pause in attempts:
        now += pause
        assert guard.until(str(address), now) <= now + LONGEST
        assert now + FIRST <= guard.failed(str(address), now) <= now + LONGEST


def test_what_is_remembered_is_bounded() -> None:
    guard = Guard()
    for number in range(3 * MAX_ADDRESSES):
        guard.failed(str(number), 1.0)
    assert len(guard) <= MAX_ADDRESSES + 1
    assert guard.until("0", 1.0) == 0.0
    assert guard.until(str(3 * MAX_ADDRESSES - 1), 1.0) > 1.0
