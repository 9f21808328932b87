"""The way back to a lost server, by a clock that the test moves."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.backoff import Backoff
from chatroom.client.comeback import Comeback, random_part
from chatroom.net.loop import Loop
from tests.client.fakes import FakeClock


class Traveller:
    """Who wants to come back, remembering what happened and when."""

    def __init__(self, loop: Loop, chance: Callable[[], float] = lambda: 0.5) -> None:
        self.loop = loop
        self.begin = loop.now
        self.comeback = Comeback(loop, self, Backoff(chance))
        self.reason = "refused"
        self.give_up = 0.0
        self.tries: list[float] = []
        self.notices: list[str] = []
        self.states: list[tuple[float, str]] = []
        self.ends: list[tuple[float, str]] = []

    @property
    def elapsed(self) -> float:
        return round(self.loop.now - self.begin, 6)

    def lose(self) -> None:
        self.comeback.lost(self.reason, self.give_up)

    def try_again(self) -> None:
        """A try that fails at once."""
        self.tries.append(self.elapsed)
        self.lose()

    def gave_up(self, reason: str) -> None:
        self.ends.append((self.elapsed, reason))

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def show_state(self, text: str) -> None:
        self.states.append((self.elapsed, text))


def pass_time(loop: Loop, clock: FakeClock, seconds: float) -> None:
    """Let time pass as a loop sees it: from timer to timer."""
    end = clock.time + seconds
    while loop._timers and loop._timers[0][0] <= end:
        clock.time = max(clock.time, loop._timers[0][0])
        loop.tick(0)
    clock.time = end
    loop.tick(0)


@pytest.fixture(name="traveller")
def make_traveller(loop: Loop) -> Traveller:
    return Traveller(loop)


def test_it_tries_after_growing_waits(
    traveller: Traveller, loop: Loop, clock: FakeClock
) -> None:
    traveller.lose()
    assert traveller.tries == []
    pass_time(loop, clock, 95)
    assert traveller.tries == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]
    traveller.comeback.stop()


def test_the_seconds_left_are_shown(
    traveller: Traveller, loop: Loop, clock: FakeClock
) -> None:
    traveller.lose()
    pass_time(loop, clock, 3)
    lost = "connection lost; next try in {} s"
    assert traveller.states == [
        (0, lost.format(1)),
        (0.5, "connecting"),
        (0.5, lost.format(1)),
        (1.5, "connecting"),
        (1.5, lost.format(2)),
        (2.5, lost.format(1)),
    ]
    traveller.comeback.stop()


def test_a_line_is_shown_for_news_only(
    traveller: Traveller, loop: Loop, clock: FakeClock
) -> None:
    traveller.reason = "it is lost"
    traveller.lose()
    traveller.reason = "refused"
    pass_time(loop, clock, 400)
    assert traveller.notices == ["it is lost; next try in 1 s"] + [
        f"refused; next try in {wait} s" for wait in (1, 2, 4, 8, 16, 30)
    ]
    traveller.reason = "no route"
    pass_time(loop, clock, 100)
    assert traveller.notices[7:] == ["no route; next try in 30 s"]
    traveller.comeback.stop()


def test_who_has_arrived_begins_anew(
    traveller: Traveller, loop: Loop, clock: FakeClock
) -> None:
    traveller.give_up = 20
    traveller.lose()
    pass_time(loop, clock, 10)
    traveller.comeback.arrived()
    assert loop.timers == 0
    before = len(traveller.tries)
    pass_time(loop, clock, 100)
    assert len(traveller.tries) == before
    assert traveller.ends == []
    traveller.begin = loop.now
    traveller.lose()
    assert traveller.notices[-1] == "refused; next try in 1 s"
    pass_time(loop, clock, 19.9)
    assert traveller.tries[before] == 0.5
    assert traveller.ends == []
    pass_time(loop, clock, 0.1)
    assert traveller.ends == [(20, "refused")]


def test_who_waits_no_longer_tries_now(
    traveller: Traveller, loop: Loop, clock: FakeClock
) -> None:
    traveller.lose()
    traveller.comeback.now()
    assert traveller.tries == [0]
    traveller.comeback.stop()
    assert loop.timers == 0


def test_without_end_where_the_time_is_zero(
    traveller: Traveller, loop: Loop, clock: FakeClock
) -> None:
    traveller.lose()
    pass_time(loop, clock, 86400)
    assert traveller.ends == []
    assert len(traveller.tries) > 86400 / 31
    traveller.comeback.stop()


def test_a_last_try_before_it_gives_up(
    traveller: Traveller, loop: Loop, clock: FakeClock
) -> None:
    traveller.give_up = 60
    traveller.lose()
    pass_time(loop, clock, 120)
    assert traveller.tries[-2:] == [31.5, 59]
    assert traveller.ends == [(60, "refused")]
    assert loop.timers == 0


def test_a_try_that_hangs_is_given_up_in_time(
    traveller: Traveller, loop: Loop, clock: FakeClock
) -> None:
    traveller.give_up = 5
    traveller.lose()
    traveller.try_again = lambda: None  # type: ignore[method-assign]
    pass_time(loop, clock, 10)
    assert traveller.ends == [(5, "refused")]


@given(
    st.floats(0.05, 300),
    st.lists(st.floats(0, 1 - 2**-32), min_size=1),
)
def test_it_always_ends_in_time(give_up: float, chances: list[float]) -> None:
    clock = FakeClock()
    loop = Loop(clock)
    traveller = Traveller(loop, lambda: chances[len(traveller.tries) % len(chances)])
    traveller.give_up = give_up
    traveller.lose()
    pass_time(loop, clock, 400)
    loop.close()
    ((end, reason),) = traveller.ends
    assert abs(end - give_up) < 1e-5
    assert reason == "refused"
    assert all(when <= give_up for when in traveller.tries)
    if give_up >= 3:
        # Never long without a try at the end.
        assert traveller.tries[-1] >= give_up - 2.1


def test_chance_is_a_part_of_one() -> None:
    parts = [random_part() for _ in range(100)]
    assert all(0 <= part < 1 for part in parts)
    assert len(set(parts)) > 90
