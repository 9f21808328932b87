"""How fast a connection is read: a token bucket in one number.

Pure.  A ``Bucket`` holds the settings and is shared; what it remembers of a connection
is one time, its *mark*: when the bucket will be full again.  Must not know: what is
counted.
"""

from __future__ import annotations


class Bucket:
    """*rate* tokens a second, *burst* of them at most; a rate of 0 is no limit."""

    __slots__ = ("_burst", "_interval", "_slack", "limited")

    def __init__(self, rate: float, burst: float) -> None:
        self.limited = rate > 0 and burst > 0
        self._burst = burst
        self._interval = 1.0 / rate if self.limited else 0.0
        self._slack = burst * self._interval

    def ready_at(self, mark: float) -> float:
        """Return when there is a whole token again (seconds)."""
        return mark - self._slack + self._interval

    def carry(self, mark: float, now: float, old: Bucket) -> float:
        """Return what *mark*, which the bucket *old* has made, is in this one.

        As many tokens are missing as were, but no debt is carried over: that was made
        by other rules.
        """
        if not old.limited or mark <= now:
            return now
        missing = min((mark - now) / old._interval, self._burst)
        return now + missing * self._interval

    def charge(self, mark: float, tokens: float, now: float) -> float:
        """Return the new mark after *tokens* were taken; it may go into debt."""
        return max(mark, now) + tokens * self._interval
