"""What a test has left behind: open descriptors, and loops of this process.

    watch = Watch() ... watch.left() -> what is there now and was not before

Every ``Loop`` is known from when it is made until it is closed.  One that a server has
run on is looked at as it is closed, and nothing may be on it; with a client's, the
process ends.  Costs a tenth of a millisecond a test.
"""

from __future__ import annotations

import gc
import os

from chatroom.net.loop import Loop
from chatroom.server.app import Server

FOLDER = "/proc/self/fd"

_allowed: set[int] = set()
_open: dict[Loop, None] = {}
_left_on: list[str] = []
"""What was still on loops when they were closed."""


def allow(descriptor: int) -> None:
    """Let *descriptor* outlive the test: it is a fixture's that several share."""
    _allowed.add(descriptor)


def descriptors() -> dict[int, str]:
    """Return the descriptors of this process, and what each of them is."""
    found = {}
    try:
        names = os.listdir(FOLDER)
    except OSError:
        return {}  # No such thing on this system.
    for name in names:
        try:
            found[int(name)] = os.readlink(f"{FOLDER}/{name}")
        except OSError:
            pass  # The one that the list was read from.
    return found


def still_on(loop: Loop) -> str:
    """Tell what *loop* still serves, beside its signals."""
    watched = loop.watched - (loop._signals is not None)
    counts = {
        "registrations": watched,
        "timers": loop.timers,
        "disposals": len(loop._doomed),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


class Watch:
    """Remembers what is there; ``left`` tells what has come since, and stayed."""

    def __init__(self) -> None:
        _left_on.clear()
        self._descriptors = descriptors()
        self._loops = set(_open)

    def left(self) -> list[str]:
        """Return what is left, in words; an empty list is as it should be."""
        found = self._look()
        if found:
            # What is only waiting to be collected is closed by that, and complains.
            gc.collect()
            found = self._look()
        return found + _left_on

    def _look(self) -> list[str]:
        new = {
            number: kind
            for number, kind in descriptors().items()
            if self._descriptors.get(number) != kind
        }
        _allowed.intersection_update(new.keys() | self._descriptors.keys())
        found = [
            f"descriptor {number} ({kind})"
            for number, kind in new.items()
            if number not in _allowed
        ]
        return found + [
            f"an open loop with {still_on(loop) or 'nothing on it'}"
            for loop in _open
            if loop not in self._loops
        ]


def _follow_loops() -> None:
    make, close = Loop.__init__, Loop.close

    def made(loop: Loop, *args: object, **given: object) -> None:
        make(loop, *args, **given)  # type: ignore[arg-type]
        _open[loop] = None

    def closed(loop: Loop) -> None:
        if _open.pop(loop, 0) is None and loop._selector.get_map() is not None:
            hooks = [getattr(hook, "__self__", None) for hook in loop.on_tick_end]
            served = any(isinstance(owner, Server) for owner in hooks)
            if served and (left := still_on(loop)):
                _left_on.append(f"a server's loop was closed with {left}")
        close(loop)

    Loop.__init__ = made  # type: ignore[method-assign,assignment]
    Loop.close = closed  # type: ignore[method-assign,assignment]


_follow_loops()
