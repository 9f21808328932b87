"""Times as a person reads them: of the place where he is.

Pure but for the time zone, which is the system's.  Must not know: what happened then.
"""

from __future__ import annotations

import time
from typing import Any

LAST_MOMENT = 253402300800000
"""Milliseconds since the epoch, the year 10000: what is later is no time."""
NO_TIME = "--:--"


def local_time(at: Any) -> time.struct_time | None:
    """Return the local time of *at*, milliseconds since the epoch, whatever it is;
    ``None`` where it is no time."""
    if type(at) is not int or not 0 <= at < LAST_MOMENT:
        return None
    try:
        return time.localtime(at / 1000)
    except (OverflowError, ValueError, OSError):
        return None


def clock_time(at: Any) -> str:
    """Return the hour and minute of *at*."""
    local = local_time(at)
    return NO_TIME if local is None else f"{local.tm_hour:02}:{local.tm_min:02}"


def date_time(at: Any, now: int) -> str:
    """Return *at* as it is told at *now*: with its day where that is another one."""
    local = local_time(at)
    if local is None or _day_of(local) == _day_of(local_time(now)):
        return clock_time(at)
    return f"{clock_time(at)} on {_in_words(local)}"


class Days:
    """The days of what is shown, line by line, beginning with the day of *at*."""

    def __init__(self, at: int) -> None:
        self._day = _day_of(local_time(at))

    def turn(self, at: Any) -> str:
        """Return the day of *at* in words, if the line before was of another one."""
        local = local_time(at)
        if local is None or _day_of(local) == self._day:
            return ""
        self._day = _day_of(local)
        return _in_words(local)


def _in_words(local: time.struct_time) -> str:
    return time.strftime(f"%A, {local.tm_mday} %B {local.tm_year}", local)


def _day_of(local: time.struct_time | None) -> tuple[int, ...]:
    return () if local is None else local[:3]
