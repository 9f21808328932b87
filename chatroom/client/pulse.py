"""How long the way to the server and back takes, measured now and then.

    start -> (beat .. heard)* -> stop -> start ...

Must not know: how a ping goes out, who wants to know.  What is measured here holds
nobody's silence against him: that is the connection's business.
"""

from __future__ import annotations

from collections.abc import Callable

from chatroom.client.frames import Fields
from chatroom.net.loop import Loop, Timer

INTERVAL = 20.0
"""Seconds between two measurements."""


class Pulse:
    """Pings that go out by *send*; *changed* is told when ``rtt`` is another."""

    def __init__(
        self, loop: Loop, send: Callable[[Fields], None], changed: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._send = send
        self._changed = changed
        self._number = 0
        self._sent_at: float | None = None
        """When the ping went out that is not answered."""
        self._timer: Timer | None = None
        self.rtt: float | None = None
        """Seconds that it took last; ``None``: not measured on this connection."""

    def start(self) -> None:
        """Measure now, and from now on."""
        self.stop()
        self._beat()

    def stop(self) -> None:
        """Measure no more; what is known is known of another connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sent_at = self.rtt = None

    def heard(self, pong: Fields) -> bool:
        """Take note of *pong*; return whether it answers one of these pings."""
        if not self._number or pong.get("data") != self._data:
            return False
        if self._sent_at is not None:
            self._tell(self._loop.now - self._sent_at)
            self._sent_at = None
        return True

    @property
    def _data(self) -> str:
        return f"pulse {self._number}"

    def _beat(self) -> None:
        self._timer = self._loop.call_later(INTERVAL, self._beat)
        if self._sent_at is not None:
            # So long at least; a second ping would not be faster.
            self._tell(self._loop.now - self._sent_at)
            return
        self._number += 1
        self._sent_at = self._loop.clock()
        self._send({"type": "ping", "data": self._data})

    def _tell(self, rtt: float) -> None:
        self.rtt = max(0.0, rtt)
        self._changed()
