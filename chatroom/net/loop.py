"""The loop: waits for sockets, timers and signals, and calls who asked for them.

Must not know: what the bytes mean.  One thread; every callback runs from ``tick``.

A tick is: wait -> ``ready`` of each handler whose socket has something -> due timers
-> ``on_tick_end`` hooks, in the order given -> reap what was doomed.  Nothing is freed
in the middle of a tick, so a number of a descriptor cannot come to mean another
connection while its events are still being handled.  A callback that raises is
reported to its handler and costs nobody else anything.
"""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from heapq import heapify, heappop, heappush
from typing import Protocol

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
LONGEST_WAIT = 3600.0
"""Seconds of a wait, at most, however far the next timer is."""


class Watchable(Protocol):
    """What has a descriptor."""

    def fileno(self) -> int:
        """Return it."""


class Handler(Protocol):
    """What can be watched: see ``Loop.watch``."""

    def ready(self, mask: int) -> None:
        """Do what *mask* (READ, WRITE or both) allows, without blocking."""

    def failed(self, error: Exception) -> None:
        """``ready`` has raised *error*: report it, and end what it served."""


class Timer:
    """A call that is due at ``when``; ``cancel`` is allowed at any time."""

    __slots__ = ("_loop", "callback", "when")

    def __init__(self, loop: Loop, when: float, callback: Callable[[], None]) -> None:
        self._loop = loop
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Let it not be called.  Its place in the heap is given back in time."""
        if self.callback is not None:
            self.callback = None
            self._loop.cancelled += 1


class Loop:
    """One selector, one heap of timers, one thread.

    *clock* gives seconds that never go back; a test hands in its own.  *on_error* gets
    what a timer or a hook raised, which belongs to no handler.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.clock = clock
        self.now = clock()
        """The time at which this tick's events came."""
        self.on_tick_end: list[Callable[[], None]] = []
        self.on_error = on_error
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_count = 0
        self.cancelled = 0
        """Timers in the heap that are not to be called any more."""
        self._soon: list[Callable[[], None]] = []
        self._doomed: list[Callable[[], None]] = []
        self._signals: _Signals | None = None
        self._stopping = False

    # -- sockets --------------------------------------------------------------

    def watch(self, sock: Watchable | int, mask: int, handler: Handler) -> None:
        """Call ``handler.ready`` whenever *sock* has what *mask* names."""
        self._selector.register(sock, mask, handler)

    def change(self, sock: Watchable | int, mask: int, handler: Handler) -> None:
        """Watch for *mask* from now on.  Never 0: then ``unwatch`` it.

        A mask of 0 still wakes the loop for a hang-up, again and again.
        """
        self._selector.modify(sock, mask, handler)

    def unwatch(self, sock: Watchable | int) -> None:
        """Watch *sock* no longer; call it before *sock* is closed."""
        self._selector.unregister(sock)

    @property
    def watched(self) -> int:
        """How many sockets are watched (signals' own included)."""
        return len(self._selector.get_map())

    # -- time -----------------------------------------------------------------

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call *callback* at *when* (seconds of the clock), or soon after."""
        timer = Timer(self, when, callback)
        # The number keeps those due at the same time in order.
        self._timer_count += 1
        heappush(self._timers, (when, self._timer_count, timer))
        return timer

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call *callback* in *delay* seconds."""
        return self.call_at(self.now + delay, callback)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call *callback* in the next tick, which then does not wait."""
        self._soon.append(callback)

    @property
    def timers(self) -> int:
        """How many timers are still to be called."""
        return len(self._timers) - self.cancelled

    def doom(self, dispose: Callable[[], None]) -> None:
        """Call *dispose* when this tick is over."""
        self._doomed.append(dispose)

    # -- running --------------------------------------------------------------

    def run(self) -> None:
        """Tick until ``stop`` is called."""
        self._stopping = False
        while not self._stopping:
            self.tick()

    def stop(self) -> None:
        """Let ``run`` return at the end of this tick."""
        self._stopping = True

    def tick(self, longest: float | None = None) -> None:
        """Wait for something to do, *longest* seconds at most, and do it."""
        events = self._selector.select(self._patience(longest))
        self.now = self.clock()
        soon, self._soon = self._soon, []
        for key, mask in events:
            handler: Handler = key.data
            try:
                handler.ready(mask)
            except Exception as error:
                handler.failed(error)
        if self._signals is not None:
            self._signals.deliver()
        for callback in soon:
            self._call(callback)
        self._run_timers()
        for callback in self.on_tick_end:
            self._call(callback)
        if self._doomed:
            doomed, self._doomed = self._doomed, []
            for callback in doomed:
                self._call(callback)

    def close(self) -> None:
        """Give back the selector and the signals; the loop is over."""
        if self._signals is not None:
            self._signals.close()
        self._selector.close()

    def _patience(self, longest: float | None) -> float | None:
        if self._soon:
            return 0.0
        while self._timers and self._timers[0][2].callback is None:
            heappop(self._timers)
            self.cancelled -= 1
        if not self._timers:
            return longest
        # epoll counts milliseconds in 32 bits.
        due = min(max(0.0, self._timers[0][0] - self.clock()), LONGEST_WAIT)
        return due if longest is None else min(due, longest)

    def _run_timers(self) -> None:
        # Only what is due now: a timer that sets itself anew cannot hold the tick.
        last = self._timer_count
        while self._timers and self._timers[0][0] <= self.now:
            if self._timers[0][1] > last:
                break
            _, _, timer = heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                self._call(callback)
            else:
                self.cancelled -= 1
        # Timers that were cancelled are in the heap until their time comes: where
        # they are the most of it, it is made anew.
        if self.cancelled > 1024 and self.cancelled * 2 > len(self._timers):
            self._timers = [t for t in self._timers if t[2].callback is not None]
            self.cancelled = 0
            heapify(self._timers)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:
            if self.on_error is None:
                raise
            self.on_error(error)

    # -- signals --------------------------------------------------------------

    def on_signal(self, number: int, callback: Callable[[], None]) -> None:
        """Call *callback* from a tick whenever the process gets signal *number*.

        Those that come between two ticks are one, as they may be for the kernel.
        """
        if self._signals is None:
            self._signals = _Signals(self)
        self._signals.add(number, callback)


class _Signals:
    """Signals, delivered from the tick.

    A Python handler runs between any two instructions, so it only notes the number.
    The interpreter writes to a socket pair, which wakes the wait; but a wait that was
    interrupted at its end returns nothing, so ``deliver`` does not go by the pair.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._came: list[int] = []
        self._previous: dict[int, object] = {}
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(
            self._sender.fileno(), warn_on_full_buffer=False
        )
        loop.watch(self._receiver, READ, self)

    def add(self, number: int, callback: Callable[[], None]) -> None:
        self._callbacks[number] = callback
        previous = signal.signal(number, lambda came, _: self._came.append(came))
        self._previous.setdefault(number, previous)

    def ready(self, mask: int) -> None:
        with suppress(BlockingIOError):
            self._receiver.recv(4096)

    def deliver(self) -> None:
        # Each once, and only those that are here: whoever sends them without end does
        # not hold the tick.
        came, self._came = self._came, []
        for number in dict.fromkeys(came):
            self._loop._call(self._callbacks[number])

    def failed(self, error: Exception) -> None:
        raise error

    def close(self) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup)
        self._loop.unwatch(self._receiver)
        self._receiver.close()
        self._sender.close()
