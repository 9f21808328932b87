"""A server in this process: its loop is turned by hand, and its clock is ours.

Clients are the other ends of socket pairs, handed to ``Server.accepted``.  Nothing
waits: ``tick`` is one turn, ``settle`` turns until there is nothing left to do, and
``advance`` lets time pass from one timer to the next, as it would by itself.  Events
of one tick come in the order in which the clients connected.  Tokens, wall time and
the log's identity are the same in every run, so that two runs can be compared byte for
byte.  ``finish`` closes everybody and fails if anything at all is left over.
"""

from __future__ import annotations

import itertools
import selectors
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from unittest import mock

from chatroom.config import Settings
from chatroom.net.loop import Loop
from chatroom.net.transport import LINGER
from chatroom.server.app import Server
from chatroom.server.connection import Connection
from chatroom.server.eventlog import EventLog, Sink
from tests.support.clock import FakeClock
from tests.support.peer import Frame, check_shape, encode

WALL = 1_700_000_000.0
"""The wall time of every message, in seconds since the epoch."""
ENDS = LINGER + 6.0
"""Seconds after which everything about a closed connection is over."""


class OrderedSelector(selectors.DefaultSelector):
    """Gives the events of one wait in the order of their descriptors."""

    seen = 0
    """Events that the last wait gave."""

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as the real one does."""
        events = sorted(super().select(timeout), key=lambda event: event[0].fd)
        self.seen = len(events)
        return events


def next_timer(loop: Loop) -> float | None:
    """Return when the next timer of *loop* is due, if there is one."""
    waiting = [when for when, _, timer in loop._timers if timer.callback is not None]
    return min(waiting, default=None)


def masks(loop: Loop) -> dict[int, int]:
    """Return what *loop* watches each descriptor for."""
    return {key.fd: key.events for key in loop._selector.get_map().values()}


class MemorySink(Sink):
    """Keeps the log's lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, data: bytes, lines: int, notice: Callable[[int], bytes]) -> None:
        """Keep *data*, which has so many *lines*."""
        new = data.decode("ascii").splitlines()
        assert len(new) == lines
        self.lines += new

    def flush(self) -> bool:
        """Nothing waits."""
        return False

    def close(self) -> None:
        """Nothing is open."""


class Client:
    """One client of a ``World``: what it sends, and all that it has got."""

    def __init__(self, world: World, sock: socket.socket, other: Connection) -> None:
        self.world = world
        self.sock = sock
        self.connection = other
        """The server's side of it."""
        self.received = bytearray()
        self.ended = False
        """Whether a clean end has come."""
        self.reading = True
        """Set it to ``False`` for one that takes nothing."""
        self.may_be_reset = False
        """Whether an end that is not clean is one too."""
        self._taken = 0

    def send(self, kind: str, **fields: object) -> None:
        """Send one frame; nothing is turned."""
        self.send_raw(encode(kind, **fields))

    def send_raw(self, data: bytes) -> None:
        """Send *data*, all of which fits into the kernel's buffer."""
        self.sock.sendall(data)

    def half_close(self) -> None:
        """Send nothing more."""
        self.sock.shutdown(socket.SHUT_WR)

    def read(self, most: int = 1 << 30) -> int:
        """Take *most* bytes at most of what has come; return how many."""
        got = 0
        while got < most and not self.ended:
            try:
                data = self.sock.recv(min(65536, most - got))
            except BlockingIOError:
                break
            except ConnectionResetError:
                if not self.may_be_reset:
                    raise
                data = b""
            self.ended = not data
            self.received += data
            got += len(data)
        return got

    def frames(self) -> list[Frame]:
        """Return the whole frames that have come since this was called last."""
        found = []
        while len(self.received) >= self._taken + 4:
            start = self._taken + 4
            length = int.from_bytes(self.received[self._taken : start], "big")
            if len(self.received) < start + length:
                break
            frame = Frame(bytes(self.received[start : start + length]))
            check_shape(frame)
            found.append(frame)
            self._taken = start + length
        return found

    def close(self) -> None:
        """Close this end."""
        self.sock.close()


class World:
    """A server, its clock, its log, and its clients."""

    def __init__(self, **settings: Any) -> None:
        self._patches = ExitStack()
        wall = SimpleNamespace(time=lambda: WALL)
        self._patches.enter_context(mock.patch("chatroom.server.connection.time", wall))
        self.clock = FakeClock()
        self.loop = Loop(self.clock)
        self.loop._selector.close()
        self.selector = OrderedSelector()
        self.loop._selector = self.selector
        log = EventLog("debug", clock=lambda: WALL)
        sink = MemorySink()
        log.add_sink(sink)
        self.log = sink.lines
        settings.setdefault("rate", 0.0)
        self.settings = Settings(**settings)
        """What a reload finds; a test may put others here."""
        self.server = Server(self.settings, self.loop, log, lambda: self.settings)
        self.server.store.identity = "store"
        tokens = itertools.count(1)
        self.server.chat._make_token = lambda: f"token-{next(tokens)}"
        self.clients: list[Client] = []
        self.failures = 0
        """How many mistakes of the server's own the log is to hold."""

    # -- clients ----------------------------------------------------------------

    def connect(self, host: str = "192.0.2.1", *, sndbuf: int | None = None) -> Client:
        """Let a client of address *host* connect; it has not said hello."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        if sndbuf is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        before = set(self.server.connections)
        self.server.accepted(ours, (host, 40000 + len(self.clients)))
        (made,) = set(self.server.connections) - before
        client = Client(self, theirs, made)
        self.clients.append(client)
        return client

    def join(
        self,
        nick: str,
        room: str = "lobby",
        *,
        host: str = "192.0.2.1",
        sndbuf: int | None = None,
        **fields: object,
    ) -> Client:
        """Let a client connect and say a good hello; what it was told is taken."""
        client = self.connect(host, sndbuf=sndbuf)
        client.send("hello", version=1, nick=nick, room=room, **fields)
        self.settle()
        assert [f.type for f in client.frames()][:2] == ["welcome", "room"]
        for other in self.clients:
            other.frames()
        return client

    # -- time -------------------------------------------------------------------

    def tick(self) -> None:
        """Turn the loop once, without waiting."""
        self.loop.tick(0)
        show = self.server.show
        left = len(show._news), len(show._cut), len(show._closing)
        if any(left):
            # Shown again and again it would never come to an end.
            show._news.clear()
            show._cut.clear()
            show._closing.clear()
            raise AssertionError(f"{left} left over from a tick")

    def pump(self) -> int:
        """Let every client that reads take what has come."""
        return sum(client.read() for client in self.clients if client.reading)

    def settle(self, most: int = 2000) -> None:
        """Turn until nothing happens any more; it must come to an end."""
        for _ in range(most):
            self.tick()
            took = self.pump()
            due = next_timer(self.loop)
            late = due is not None and due <= self.clock.now
            busy = self.selector.seen or self.loop._soon or self.loop._doomed
            if not (took or busy or late or self.server.chat.effects):
                return
        raise AssertionError(f"the loop is still busy after {most} ticks")

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, stopping at each timer on the way."""
        until = self.clock.now + seconds
        self.settle()
        while (due := next_timer(self.loop)) is not None and due <= until:
            self.clock.move_to(due)
            self.settle()
        self.clock.move_to(until)
        self.settle()

    # -- the end ----------------------------------------------------------------

    def finish(self) -> None:
        """Close everybody, and see that nothing is left over."""
        try:
            for client in self.clients:
                client.close()
                client.ended = True
            # Undecided input is held for as long as its rate takes to judge it.
            for connection in self.server.connections:
                connection.protocol.discard()
            self.advance(ENDS)
            self._check_leaks()
        finally:
            for connection in list(self.server.connections):
                connection.transport.abort("the test is over")
            self.tick()
            self.server.close()
            self.loop.close()
            self._patches.close()
        failed = [line for line in self.log if " failure " in line]
        assert len(failed) == self.failures, failed

    def _check_leaks(self) -> None:
        server, chat = self.server, self.server.chat
        assert not server.connections
        assert not server._unfinished
        assert not server._closing
        assert self.loop.timers == 0
        assert self.loop.watched == (self.loop._signals is not None)
        assert not self.loop._soon
        assert not self.loop._doomed
        assert server.pool.total == 0
        assert not server.pool._holders
        assert not chat.nicks
        assert not chat._members_at
        assert not chat.effects
        assert all(s.peer is None for s in chat.sessions._all.values())
        assert not any(room.members for room in chat.rooms.values())


def kinds(frames: Sequence[Frame]) -> list[str]:
    """Return the types of *frames*."""
    return [frame.type for frame in frames]
