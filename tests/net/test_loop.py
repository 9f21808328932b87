"""The loop: what it calls, in which order, and what an error costs."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from chatroom.net.loop import READ, Loop, Timer
from tests.support.clock import FakeClock
from tests.support.inprocess import OrderedSelector


class Turned:
    """A loop with a fake clock, and what its callbacks noted."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.loop = Loop(self.clock)
        self.loop._selector.close()
        self.selector = OrderedSelector()
        self.loop._selector = self.selector
        self.notes: list[str] = []
        self.errors: list[Exception] = []

    def note(self, word: str) -> Callable[[], None]:
        """Return a callback that notes *word*."""
        return lambda: self.notes.append(word)

    def at(self, delay: float, word: str) -> Timer:
        """Have *word* noted in *delay* seconds."""
        return self.loop.call_later(delay, self.note(word))

    def tick(self, count: int = 1) -> None:
        """Turn without waiting."""
        for _ in range(count):
            self.loop.tick(0)

    def advance(self, seconds: float) -> None:
        """Let time pass, and turn once."""
        self.clock.advance(seconds)
        self.tick()


class Watcher:
    """A handler that takes what comes and may do more."""

    def __init__(self, turned: Turned, name: str) -> None:
        self.turned = turned
        self.name = name
        self.sock, self.far = socket.socketpair()
        self.sock.setblocking(False)
        self.doing: Callable[[], None] = lambda: None
        self.error: Exception | None = None
        turned.loop.watch(self.sock, READ, self)

    def ready(self, mask: int) -> None:
        self.sock.recv(100)
        self.turned.notes.append(self.name)
        self.doing()

    def failed(self, error: Exception) -> None:
        self.error = error

    def close(self) -> None:
        """Close both ends."""
        self.sock.close()
        self.far.close()


def fail() -> None:
    """Raise."""
    raise ZeroDivisionError


@pytest.fixture
def turned() -> Iterator[Turned]:
    """A loop to turn by hand."""
    turned = Turned()
    yield turned
    turned.loop.close()


@pytest.fixture
def watchers(turned: Turned) -> Iterator[list[Watcher]]:
    """Three watched sockets, all of which have something to read."""
    made = [Watcher(turned, name) for name in "abc"]
    for watcher in made:
        watcher.far.send(b"x")
    yield made
    for watcher in made:
        watcher.close()


# -- timers ----------------------------------------------------------------------


def test_timers_come_in_the_order_of_their_times(turned: Turned) -> None:
    for delay in (3, 1, 2):
        turned.at(delay, str(delay))
    turned.advance(5)
    assert turned.notes == ["1", "2", "3"]


def test_timers_of_one_time_come_in_the_order_given(turned: Turned) -> None:
    for word in "cabd":
        turned.at(1, word)
    turned.advance(1)
    assert turned.notes == list("cabd")


def test_a_timer_comes_at_its_time_and_once(turned: Turned) -> None:
    turned.at(1, "x")
    turned.advance(0.875)
    assert turned.notes == []
    turned.advance(0.125)
    turned.advance(5)
    assert turned.notes == ["x"]
    assert turned.loop.timers == 0


def test_a_cancelled_timer_does_not_come(turned: Turned) -> None:
    first, second = turned.at(1, "first"), turned.at(1, "second")
    first.cancel()
    first.cancel()
    assert turned.loop.timers == 1
    turned.advance(1)
    second.cancel()
    assert turned.notes == ["second"]


def test_a_timer_cancelled_by_another_of_its_tick(turned: Turned) -> None:
    turned.loop.call_later(1, lambda: victim.cancel())
    victim = turned.at(2, "victim")
    turned.advance(3)
    assert turned.notes == []


def test_a_timer_that_sets_itself_anew_comes_once_a_tick(turned: Turned) -> None:
    def again() -> None:
        turned.notes.append("x")
        turned.loop.call_later(0, again)

    turned.loop.call_later(0, again)
    turned.tick()
    assert turned.notes == ["x"]
    turned.tick(2)
    assert turned.notes == ["x"] * 3


def test_a_timer_of_the_past_is_due_at_once(turned: Turned) -> None:
    turned.loop.call_at(turned.clock.now - 100, turned.note("x"))
    turned.tick()
    assert turned.notes == ["x"]


def test_cancelled_timers_are_given_back(turned: Turned) -> None:
    far = [turned.at(3600, "x") for _ in range(10)]
    for _ in range(30):
        for _ in range(1000):
            turned.at(3600, "y").cancel()
        turned.tick()
        assert len(turned.loop._timers) < 5000
    assert turned.loop.timers == len(far)
    turned.advance(3600)
    assert turned.notes == ["x"] * len(far)


def test_timers_that_stay_are_in_order_after_others_were_given_back(
    turned: Turned,
) -> None:
    for number in range(3000):
        timer = turned.at((number * 7919) % 3000 + 1, f"{(number * 7919) % 3000}")
        if number % 10:
            timer.cancel()
    turned.tick()
    assert len(turned.loop._timers) == 300
    turned.advance(4000)
    assert turned.notes == sorted(turned.notes, key=int)
    assert len(turned.notes) == 300


def test_the_wait_is_as_long_as_the_next_timer_is_away(
    turned: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []

    def select(timeout: float | None = None) -> list[object]:
        waits.append(timeout)
        return []

    monkeypatch.setattr(turned.selector, "select", select)
    turned.loop.tick()
    turned.at(8, "x").cancel()
    turned.at(16, "x")
    turned.loop.tick()
    turned.clock.advance(4)
    turned.loop.tick()
    turned.loop.tick(2)
    turned.clock.advance(100)
    turned.loop.tick()
    turned.loop.call_soon(turned.note("soon"))
    turned.loop.tick()
    turned.loop.tick()
    assert waits == [None, 16, 12, 2, 0, 0, None]


# -- soon and doomed -------------------------------------------------------------


def test_call_soon_comes_in_the_next_tick(turned: Turned) -> None:
    turned.loop.call_soon(turned.note("x"))
    assert turned.notes == []
    turned.tick()
    assert turned.notes == ["x"]
    turned.tick()
    assert turned.notes == ["x"]


def test_call_soon_from_a_call_comes_a_tick_later(turned: Turned) -> None:
    def again() -> None:
        turned.notes.append("x")
        turned.loop.call_soon(again)

    turned.loop.call_soon(again)
    for count in range(1, 5):
        turned.tick()
        assert turned.notes == ["x"] * count


def test_call_soon_from_a_handler_comes_a_tick_later(
    turned: Turned, watchers: list[Watcher]
) -> None:
    watchers[0].doing = lambda: turned.loop.call_soon(turned.note("soon"))
    turned.tick()
    assert turned.notes == ["a", "b", "c"]
    turned.tick()
    assert turned.notes == ["a", "b", "c", "soon"]


def test_what_is_doomed_goes_when_the_tick_is_over(
    turned: Turned, watchers: list[Watcher]
) -> None:
    turned.loop.on_tick_end += [turned.note("end 1"), turned.note("end 2")]
    watchers[0].doing = lambda: turned.loop.doom(turned.note("doomed"))
    turned.at(0, "timer")
    turned.tick()
    assert turned.notes == ["a", "b", "c", "timer", "end 1", "end 2", "doomed"]


# -- errors ----------------------------------------------------------------------


def test_a_handler_that_raises_costs_only_itself(
    turned: Turned, watchers: list[Watcher]
) -> None:
    watchers[0].doing = fail
    turned.at(0, "timer")
    turned.tick()
    assert turned.notes == ["a", "b", "c", "timer"]
    assert isinstance(watchers[0].error, ZeroDivisionError)
    assert watchers[1].error is None


@pytest.mark.parametrize("place", ["timer", "soon", "hook", "doomed"])
def test_a_call_that_raises_costs_only_itself(turned: Turned, place: str) -> None:
    loop = turned.loop
    loop.on_error = turned.errors.append
    places: dict[str, Callable[[Callable[[], None]], object]] = {
        "timer": lambda call: loop.call_later(0, call),
        "soon": loop.call_soon,
        "hook": loop.on_tick_end.append,
        "doomed": loop.doom,
    }
    places[place](fail)
    for word, add in places.items():
        add(turned.note(word))
    turned.tick()
    assert sorted(turned.notes) == sorted(places)
    assert [type(error) for error in turned.errors] == [ZeroDivisionError]


def test_an_error_that_nobody_takes_is_raised(turned: Turned) -> None:
    turned.loop.call_soon(fail)
    with pytest.raises(ZeroDivisionError):
        turned.tick()


# -- watching --------------------------------------------------------------------


def test_one_that_is_unwatched_is_not_called_any_more(
    turned: Turned, watchers: list[Watcher]
) -> None:
    turned.loop.unwatch(watchers[1].sock)
    turned.tick(3)
    assert turned.notes == ["a", "c"]
    assert turned.loop.watched == 2


def test_run_ends_with_the_tick_in_which_it_is_stopped(turned: Turned) -> None:
    turned.loop.call_soon(turned.loop.stop)
    turned.at(0, "timer")
    turned.loop.on_tick_end.append(turned.note("end"))
    turned.loop.run()
    assert turned.notes == ["timer", "end"]


# -- signals ---------------------------------------------------------------------


def raise_signal(number: int) -> None:
    """Send this process a signal; its Python part has run when this returns."""
    os.kill(os.getpid(), number)


def test_a_signal_is_told_from_a_tick(turned: Turned) -> None:
    turned.loop.on_signal(signal.SIGUSR1, turned.note("usr1"))
    raise_signal(signal.SIGUSR1)
    assert turned.notes == []
    turned.tick()
    assert turned.notes == ["usr1"]
    turned.tick()
    assert turned.notes == ["usr1"]


def test_each_signal_has_its_call(turned: Turned) -> None:
    turned.loop.on_signal(signal.SIGUSR1, turned.note("1"))
    turned.loop.on_signal(signal.SIGUSR2, turned.note("2"))
    raise_signal(signal.SIGUSR2)
    raise_signal(signal.SIGUSR1)
    turned.tick()
    assert sorted(turned.notes) == ["1", "2"]


def test_a_signal_ends_the_wait(turned: Turned) -> None:
    turned.loop.on_signal(signal.SIGALRM, turned.note("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    turned.loop.tick(30)
    turned.tick()
    assert turned.notes == ["alarm"]


def test_a_signal_comes_before_the_timers_that_slept_with_us(
    turned: Turned, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A wait that is interrupted when its time is over returns nothing at all: who was
    # stopped and goes on would hear of the time that has passed, and not why.
    turned.loop.on_signal(signal.SIGUSR1, turned.note("signal"))
    turned.at(10, "timer")

    def interrupted(timeout: float | None = None) -> list[object]:
        turned.clock.advance(300)
        raise_signal(signal.SIGUSR1)
        return []

    monkeypatch.setattr(turned.selector, "select", interrupted)
    turned.tick()
    assert turned.notes == ["signal", "timer"]


def test_a_signals_call_that_raises_costs_only_itself(turned: Turned) -> None:
    turned.loop.on_error = turned.errors.append
    turned.loop.on_signal(signal.SIGUSR1, fail)
    turned.loop.on_signal(signal.SIGUSR2, turned.note("2"))
    raise_signal(signal.SIGUSR1)
    raise_signal(signal.SIGUSR2)
    turned.tick()
    assert turned.notes == ["2"]
    assert len(turned.errors) == 1


def test_many_signals_between_two_ticks_do_no_harm(turned: Turned) -> None:
    turned.loop.on_signal(signal.SIGUSR1, turned.note("x"))
    for _ in range(2000):
        raise_signal(signal.SIGUSR1)
    turned.tick(3)
    assert turned.notes == ["x"]


def test_signals_without_end_do_not_hold_the_tick(turned: Turned) -> None:
    """One that comes while the one before is seen to is seen to in the next tick."""

    def seen_to() -> None:
        turned.notes.append("seen to")
        if len(turned.notes) < 100:
            raise_signal(signal.SIGUSR1)

    turned.loop.on_signal(signal.SIGUSR1, seen_to)
    raise_signal(signal.SIGUSR1)
    for ticks in range(1, 4):
        turned.loop.tick(1)
        assert turned.notes == ["seen to"] * ticks


def test_close_gives_the_signals_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    loop = Loop()
    loop.on_signal(signal.SIGUSR1, lambda: None)
    loop.on_signal(signal.SIGUSR1, lambda: None)
    assert signal.getsignal(signal.SIGUSR1) != before
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == before
    assert signal.set_wakeup_fd(-1) == -1
