"""A clock that stands still until a test moves it.

It begins at 1000: a time of 0 often stands for "not set", and no real clock is there.
"""


class FakeClock:
    """Call it for the time, in seconds; ``advance`` moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        assert seconds >= 0
        self.now += seconds

    def move_to(self, when: float) -> None:
        """Let it be *when*; a clock never goes back."""
        self.now = max(self.now, when)
