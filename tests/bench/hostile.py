"""What ``chat-load`` cannot measure: TLS, WebSocket, members who read nothing, hostile
clients.

Must not know: which figures are wanted.
"""

from __future__ import annotations

import re
import ssl
import time
from dataclasses import dataclass

from tests.fuzz.load import Chat, percentile, server
from tests.support.tls import trusting

STALL = 5.0
"""Seconds after which the server lets go of who takes nothing."""
QUIET = ("--log-level", "warning", "--rate", "0")


@dataclass(frozen=True)
class Stalled:
    """What the others felt, and what became of those who read nothing."""

    p99: float
    gone: int
    longest: float
    """Seconds that one of them stood still before it had to go, by the log."""


def beside_stalled(members: int, stalled: int, seconds: float) -> Stalled:
    """Let *members* chat beside *stalled* others, 50 large texts a second."""
    options = ("--rate", "0", "--stall-timeout", f"{STALL:g}")
    with server(*options) as one:
        chat = Chat(one.address, members, rate=50.0, size=3000, stalled=stalled)
        try:
            chat.run(seconds)
            ends = re.findall(r"none taken for (\d+) s", one.log())
        finally:
            chat.close()
    return Stalled(
        percentile(chat.late, 0.99), len(ends), max(map(float, ends), default=0.0)
    )


def fan_out(
    context: ssl.SSLContext | None, seconds: float, *, on_web: bool = False
) -> float:
    """Return deliveries for a CPU second of the server: 100 members, all talking."""
    with server(*QUIET, tls=context is not None) as one:
        chat = Chat(one.address, 100, rate=1.0, tls=context, on_web=on_web)
        try:
            cpu = one.cpu()
            chat.flat_out(seconds, 256)
            cpu = one.cpu() - cpu
        finally:
            chat.close()
    return len(chat.late) / cpu


def member_memory(
    context: ssl.SSLContext | None, members: int, *, on_web: bool = False
) -> tuple[float, float]:
    """Return the bytes that a member costs: at first, and when it has heard much."""
    wide = ("--max-clients-per-ip", "0")
    with server(*QUIET, *wide, tls=context is not None) as one:
        # What is loaded and made once is no member's.
        Chat(one.address, 1, rate=1.0, tls=context, on_web=on_web).close()
        time.sleep(0.2)
        before = one.rss()
        chat = Chat(one.address, members, rate=100.0, tls=context, on_web=on_web)
        try:
            come = one.rss() - before
            chat.run(2.0)
            heard = one.rss() - before
        finally:
            chat.close()
    return come / members, heard / members


def secured() -> ssl.SSLContext:
    """Return what a member needs who speaks TLS."""
    return trusting()
