"""Tells a service manager how the server stands: it is ready, it is alive, it stops.

    started(status) -> reloading(reload)* -> stopping -> close

The words are those of systemd (sd_notify(3)): a datagram to the socket that
``NOTIFY_SOCKET`` names.  Without that nothing is sent.  Nothing here blocks or raises:
what the manager does not take is offered again, in its order.  Where it wants to hear
that we are alive (``WATCHDOG_USEC``), a timer of the loop says so: a loop that hangs
says nothing, and the manager starts another server.
Must not know: what is being reloaded or stopped.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatroom.net.loop import Loop, Timer

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
STATUS_INTERVAL = 30.0
"""Seconds between two looks at whether the status has changed."""
SHORTEST = 0.01
"""Seconds between two signs of life, at least, however short the manager's patience."""
RETRY = 0.5
"""Seconds until what was not taken is offered again."""
MAX_WAITING = 16
"""Datagrams that wait for that; then the oldest is dropped."""


class Notifier:
    """What one manager is told; *report* gets a line where it cannot be told."""

    def __init__(
        self,
        loop: Loop,
        report: Callable[[str], None],
        environ: MutableMapping[str, str],
        pid: int,
    ) -> None:
        self._loop = loop
        self._report = report
        # Taken out of it: they are for nobody else.
        path, usec, meant_for = [environ.pop(name, "") for name in VARIABLES]
        self._to = "\0" + path[1:] if path.startswith("@") else path
        """Where they go; an address that begins with NUL has no file."""
        self._patience = 0.0
        """Seconds that the manager waits for a sign of life; 0: for ever."""
        if usec.isascii() and usec.isdecimal() and meant_for in ("", str(pid)):
            self._patience = int(usec[:18]) / 1e6
        self._sock: socket.socket | None = None
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._retry: Timer | None = None
        self._failed = False
        """Whether the last one could not be sent."""
        self._beat_timer: Timer | None = None
        self._status: Callable[[], str] = str
        self._told = ""
        self._stops = False

    def started(self, status: Callable[[], str]) -> None:
        """The server takes connections; *status* says in a few words how it is."""
        if not self._to:
            return
        self._status = status
        self._tell("READY=1", *self._news())
        self._beat()

    def reloading(self, reload: Callable[[], None]) -> None:
        """Call *reload*, which reads the settings anew, and tell of it."""
        if not self._stops:
            now = time.monotonic_ns() // 1000
            self._tell("RELOADING=1", f"MONOTONIC_USEC={now}")
        try:
            reload()
        finally:
            if not self._stops:
                self._tell("READY=1")

    def stopping(self) -> None:
        """The server has been told to stop."""
        self._stops = True
        self._tell("STOPPING=1")

    def close(self) -> None:
        """Tell nothing more."""
        for timer in (self._retry, self._beat_timer):
            if timer is not None:
                timer.cancel()
        self._retry = self._beat_timer = None
        self._to = ""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _beat(self) -> None:
        """Say that we are alive, and how."""
        interval = STATUS_INTERVAL
        sign: tuple[str, ...] = ()
        if self._patience:
            # Twice in its time, as it is asked for, so that one may be late.
            interval = max(SHORTEST, min(interval, self._patience / 2))
            sign = ("WATCHDOG=1",)
        self._beat_timer = self._loop.call_later(interval, self._beat)
        # Behind what waits it would be a sign of life of some other time.
        if not self._waiting and (lines := (*sign, *self._news())):
            self._tell(*lines)

    def _news(self) -> tuple[str, ...]:
        """Return the status, where it is another than it was."""
        before, self._told = self._told, self._status()
        return (f"STATUS={self._told}",) if self._told != before else ()

    def _tell(self, *lines: str) -> None:
        if self._to:
            self._waiting.append("\n".join(lines).encode())
            self._send()

    def _send(self) -> None:
        """Send what waits, as far as it is taken."""
        try:
            if self._sock is None:
                # Kept open: a server out of descriptors is alive, and says so.
                self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sock.setblocking(False)
            while self._waiting:
                self._sock.sendto(self._waiting[0], self._to)
                self._waiting.popleft()
            self._failed = False
        except OSError as error:
            if not self._failed:
                self._failed = True
                why = error.strerror or error
                self._report(f"the service manager cannot be told: {why}")
            if self._retry is None:
                self._retry = self._loop.call_later(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._send()
