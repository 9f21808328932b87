"""Who guesses secrets is slowed, by address: a password, an operator's key.

    until -> (right: nothing | wrong: failed) -> until ...

Pure: the time comes in.  Each wrong attempt makes its address wait twice as long as
the one before, and its answer comes at the end of that; attempts of the address that
come meanwhile are looked at together then.  So nobody is locked out by another behind
the same address: who knows the secret waits four seconds at most.
Must not know: what the secret is, sockets.
"""

from __future__ import annotations

FIRST = 0.25
"""Seconds of the first wait."""
LONGEST = 4.0
FORGET = 60.0
"""Seconds after its last wrong attempt that an address is as good as new."""
MAX_ADDRESSES = 4096
"""Addresses that are remembered; above that the one that was wrong longest ago goes."""


class Guard:
    """The addresses that were wrong lately."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float, float]] = {}
        """How often, until when it waits, when it failed; the latest last."""

    def __len__(self) -> int:
        return len(self._failures)

    def until(self, address: str, now: float) -> float:
        """Return until when attempts of *address* have to wait (seconds)."""
        self._forget(now)
        return self._failures.get(address, (0, 0.0, 0.0))[1]

    def failed(self, address: str, now: float) -> float:
        """Note a wrong attempt; return when it is to be answered (seconds)."""
        self._forget(now)
        count = self._failures.pop(address, (0, 0.0, 0.0))[0]
        # 2.0 ** 1024 is an error, not infinity.
        until = now + min(FIRST * 2.0 ** min(count, 16), LONGEST)
        self._failures[address] = count + 1, until, now
        return until

    def _forget(self, now: float) -> None:
        while self._failures:
            oldest = next(iter(self._failures))
            fresh = now - self._failures[oldest][2] < FORGET
            if fresh and len(self._failures) <= MAX_ADDRESSES:
                return
            del self._failures[oldest]
