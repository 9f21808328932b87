"""How things stand, in one row: where one is, as who, with how many, how it goes.

Pure.  Must not know: terminals, what any of it came from.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """What the status line tells."""

    room: str = ""
    topic: str = ""
    nick: str = ""
    members: int = 0
    """Oneself included."""
    strikes: int = 0
    limit: int = 0
    """Which strike kicks; 0: the server has not said."""
    state: str = ""
    """How it stands with the connection; empty while there is one."""
    rtt: float | None = None
    """Seconds of the last round trip; ``None``: not measured yet."""
