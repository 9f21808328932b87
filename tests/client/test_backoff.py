"""The waits between tries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.backoff import Backoff

NEARLY_ONE = 1 - 2**-32
chances = st.floats(0, NEARLY_ONE)


def waits(number: int, chance: float = 0.5) -> list[float]:
    backoff = Backoff(lambda: chance)
    return [backoff.wait() for _ in range(number)]


def test_they_double_up_to_thirty_seconds() -> None:
    assert waits(9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_crowd_is_spread_over_the_whole_first_second() -> None:
    assert waits(1, 0) == [0]
    assert waits(1, NEARLY_ONE) == pytest.approx([1])


def test_the_longest_is_shaken_too() -> None:
    assert waits(8, 0)[-1] == 22.5
    assert waits(8, NEARLY_ONE)[-1] == pytest.approx(37.5)


def test_it_begins_anew() -> None:
    backoff = Backoff(lambda: 0.5)
    for _ in range(5):
        backoff.wait()
    backoff.reset()
    assert [backoff.wait(), backoff.wait()] == [0.5, 1]


def test_it_tells_whether_it_still_grows() -> None:
    backoff = Backoff(lambda: 0.5)
    growing = []
    for _ in range(8):
        growing.append(backoff.growing)
        backoff.wait()
    assert growing == [True] * 7 + [False]


@given(st.lists(st.none() | chances, max_size=40))
def test_every_wait_is_within_a_quarter_of_what_it_should_be(
    steps: list[float | None],
) -> None:
    chance = 0.0
    backoff = Backoff(lambda: chance)
    tries = 0
    for step in steps:
        if step is None:
            backoff.reset()
            tries = 0
            continue
        chance = step
        middle = min(0.5 * 2**tries, 30)
        part = 1 if tries == 0 else 0.25
        assert abs(backoff.wait() - middle) <= part * middle
        tries += 1
