"""How long to wait before the next try to connect.

    wait -> wait -> ... -> reset

Waits double up to a limit, and each is shaken: a crowd that lost its server at one
moment must not come back at one.  Must not know: clocks, where chance comes from.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST = 0.5
LONGEST = 30.0
JITTER = 0.25
"""Each wait is longer or shorter by up to this part of it, the longest one too."""


class Backoff:
    """The waits of one client; *chance* gives a random number from 0 to below 1."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._base = 0.0

    def wait(self) -> float:
        """Return how many seconds to wait now."""
        if not self._base:
            # All lose the connection in the same moment: spread over the whole of it.
            self._base = FIRST
            return 2 * FIRST * self._chance()
        self._base = min(2 * self._base, LONGEST)
        return self._base * (1 - JITTER + 2 * JITTER * self._chance())

    def reset(self) -> None:
        """Begin with the shortest wait again."""
        self._base = 0.0

    @property
    def growing(self) -> bool:
        """Whether the next wait will be a longer one."""
        return self._base < LONGEST
