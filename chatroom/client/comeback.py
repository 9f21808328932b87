"""The way back to a lost server: when it is tried again, and when no more.

    lost -> try_again -> lost -> try_again ... -> arrived | gave_up

Meanwhile the user is told: each new reason with how long the wait is, in a line, and
the seconds that are left of it, as a state that changes.
Must not know: how one connects, what a session is.
"""

from __future__ import annotations

import math
import os
from typing import Protocol

from chatroom.client.backoff import Backoff
from chatroom.net.loop import Loop, Timer

LAST_TRY = 1.0
"""Seconds before it gives up that it tries once more, rather than not at all."""


class Traveller(Protocol):
    """Who wants to come back."""

    def try_again(self) -> None:
        """It is time for another try."""

    def gave_up(self, reason: str) -> None:
        """It has taken too long; *reason* is what has failed last."""

    def notice(self, text: str) -> None:
        """Tell the user something."""

    def show_state(self, text: str) -> None:
        """Show how it stands, in a few words, until they change."""


def random_part() -> float:
    """Return a random number from 0 to below 1."""
    return int.from_bytes(os.urandom(4)) / 2**32


class Comeback:
    """One traveller's tries."""

    def __init__(self, loop: Loop, traveller: Traveller, backoff: Backoff) -> None:
        self._loop = loop
        self._traveller = traveller
        self._backoff = backoff
        self._deadline: Timer | None = None
        self._next: Timer | None = None
        self._second: Timer | None = None
        self._reason = ""

    def lost(self, reason: str, give_up: float) -> None:
        """There is no connection, for *reason*; try again in a while.

        The first time in a row it is *give_up* seconds until it gives up; 0: never.
        """
        if self._deadline is None and give_up:
            self._deadline = self._loop.call_later(give_up, self._end)
        self._stop_waiting()
        news = reason != self._reason or self._backoff.growing
        self._reason = reason
        wait = self._wait()
        if wait is None:
            return
        if news:
            self._traveller.notice(f"{reason}; next try in {_seconds(wait)} s")
        self._next = self._loop.call_later(wait, self.now)
        self._show_wait()

    def now(self) -> None:
        """Do not wait any longer."""
        self._stop_waiting()
        self._traveller.show_state("connecting")
        self._traveller.try_again()

    def arrived(self) -> None:
        """The server has let us in."""
        self.stop()
        self._backoff.reset()
        self._reason = ""

    def stop(self) -> None:
        """Try no more."""
        self._stop_waiting()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _wait(self) -> float | None:
        """Return the seconds until the next try, ``None`` where there is none."""
        wait = self._backoff.wait()
        if self._deadline is None:
            return wait
        left = self._deadline.when - self._loop.now
        if wait < left:
            return wait
        return left - LAST_TRY if left > 2 * LAST_TRY else None

    def _end(self) -> None:
        self._stop_waiting()
        self._traveller.gave_up(self._reason)

    def _show_wait(self) -> None:
        if self._next is not None:
            left = self._next.when - self._loop.now
            state = f"connection lost; next try in {_seconds(left)} s"
            self._traveller.show_state(state)
            # A little less than a whole second is left at each whole one.
            ahead = left - math.ceil(left) + 1 if left > 0 else 1
            self._second = self._loop.call_later(ahead, self._show_wait)

    def _stop_waiting(self) -> None:
        for timer in (self._next, self._second):
            if timer is not None:
                timer.cancel()
        self._next = self._second = None


def _seconds(wait: float) -> int:
    return max(1, math.ceil(wait))
