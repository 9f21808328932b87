"""Waiting for something with a deadline, and names that no other test uses."""

import itertools
import time
from collections.abc import Callable

PATIENCE = 5.0
"""Seconds within which whatever a test waits for has to happen."""

_numbers = itertools.count(1)


def wait_for(
    condition: Callable[[], object], what: str, timeout: float = PATIENCE
) -> None:
    """Return as soon as `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.005)


def fresh(stem: str) -> str:
    """A nick, room or ref that begins with `stem` and was never given before."""
    return f"{stem}{next(_numbers)}"
