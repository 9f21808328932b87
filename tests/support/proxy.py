"""A proxy that cuts connections at random bytes, as bad networks do.

It relays between clients and one server.  Each connection lives for a random time;
then the next bytes that pass, in whatever direction, get through only up to a random
one of them, and the connection is over: closed, reset, or closed for the client alone
while the server goes on believing in it for a while.

It has a selector of its own, and ``fileno`` is that of the selector: a loop that has
other things to do watches it and calls ``turn`` when it is ready or due.
"""

import random
import selectors
import socket
import struct
import time
from types import TracebackType
from typing import Self

QUIET = 0.05
"""Seconds that a cut waits for bytes to cut through."""
BELIEF = 1.5
"""Seconds, at most, that a server is left to believe in a connection cut for it."""
MOST = 1 << 18
"""Bytes held for one direction; above that nothing more is read for it."""
ENDS = ("close", "reset", "silence")


class Half:
    """One of the two sockets of a connection, and what is on its way to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.outgoing = bytearray()
        self.ended = False
        """It has sent its last byte."""
        self.told = False
        """It has been told that the other has sent its last byte."""


class Link:
    """One connection through the proxy."""

    def __init__(self, client: Half, server: Half, cut_at: float) -> None:
        self.client = client
        self.server = server
        self.cut_at = cut_at
        self.over = False


class CuttingProxy:
    """Listens on a port of its own and relays to *target*.

    *every* is the range of seconds that a connection lives, *seed* decides all that is
    random here (what is on its way at that moment is the network's own).
    """

    def __init__(
        self,
        target: tuple[str, int],
        seed: int,
        every: tuple[float, float] = (0.1, 2.0),
    ) -> None:
        self.target = target
        self.cutting = True
        """Set it to ``False`` and nothing is cut any more."""
        self.cuts = 0
        self.cuts_inside = 0
        """Cuts for which bytes were held back that had come already."""
        self._every = every
        self._chance = random.Random(seed)
        self._selector = selectors.DefaultSelector()
        self._links: list[Link] = []
        self._zombies: list[tuple[float, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect to."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def fileno(self) -> int:
        """Readable whenever a ``turn`` would move something."""
        return self._selector.fileno()

    def next_due(self) -> float:
        """When something is to be done by the clock (``time.monotonic``)."""
        times = [when for when, _ in self._zombies]
        if self.cutting:
            times += [link.cut_at + QUIET for link in self._links]
        return min(times, default=float("inf"))

    def close(self) -> None:
        """Close everything."""
        for link in list(self._links):
            self._drop(link.client.sock)
            self._drop(link.server.sock)
        self._links.clear()
        for _, sock in self._zombies:
            sock.close()
        self._zombies.clear()
        self._drop(self._listener)
        self._selector.close()

    def turn(self, timeout: float = 0.0) -> None:
        """Relay what is there, and cut what is due."""
        for key, events in self._selector.select(timeout):
            if key.data is None:
                self._accept()
                continue
            link, half, other = key.data
            if events & selectors.EVENT_READ and not link.over:
                self._relay(link, half, other)
            if events & selectors.EVENT_WRITE and not link.over:
                self._flush(link, half)
        now = time.monotonic()
        for link in self._links:
            if link.over:
                continue
            if self.cutting and now >= link.cut_at + QUIET:
                self._cut(link, inside=False)
            else:
                self._watch(link)
        for when, sock in self._zombies:
            if now >= when:
                sock.close()
        self._zombies = [one for one in self._zombies if now < one[0]]
        self._links = [link for link in self._links if not link.over]

    # -- one connection -------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        server = socket.socket()
        try:
            # On the loopback this is over at once, one way or the other.
            server.connect(self.target)
        except OSError:
            server.close()
            sock.close()
            return
        for one in (sock, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lives = self._chance.uniform(*self._every)
        link = Link(Half(sock), Half(server), time.monotonic() + lives)
        self._links.append(link)
        self._watch(link)

    def _relay(self, link: Link, half: Half, other: Half) -> None:
        try:
            data = half.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self._end(link, "reset")
            return
        if not data:
            half.ended = True
            self._flush(link, other)
            return
        if self.cutting and time.monotonic() >= link.cut_at:
            other.outgoing += data[: self._chance.randrange(len(data))]
            self._flush(link, other)
            if not link.over:
                self._cut(link, inside=True)
            return
        other.outgoing += data
        self._flush(link, other)

    def _flush(self, link: Link, half: Half) -> None:
        if half.outgoing:
            try:
                del half.outgoing[: half.sock.send(half.outgoing)]
            except BlockingIOError:
                return
            except OSError:
                self._end(link, "reset")
                return
        other = link.server if half is link.client else link.client
        if other.ended and not half.outgoing and not half.told:
            half.told = True
            if link.client.ended and link.server.ended:
                self._end(link, "close")
                return
            try:
                half.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self._end(link, "reset")

    def _cut(self, link: Link, *, inside: bool) -> None:
        self.cuts += 1
        self.cuts_inside += inside
        self._end(link, self._chance.choice(ENDS))

    def _end(self, link: Link, how: str) -> None:
        link.over = True
        for half in (link.client, link.server):
            if how == "reset":
                linger = struct.pack("ii", 1, 0)
                half.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if how == "silence" and half is link.server:
                self._unwatch(half.sock)
                until = time.monotonic() + self._chance.uniform(0, BELIEF)
                self._zombies.append((until, half.sock))
            else:
                self._drop(half.sock)

    # -- the selector ---------------------------------------------------------

    def _watch(self, link: Link) -> None:
        pair = (link.client, link.server)
        for half, other in (pair, pair[::-1]):
            events = selectors.EVENT_WRITE if half.outgoing else 0
            if not half.ended and len(other.outgoing) < MOST:
                events |= selectors.EVENT_READ
            watched = self._selector.get_map().get(half.sock)
            if watched is None:
                if events:
                    self._selector.register(half.sock, events, (link, half, other))
            elif not events:
                self._selector.unregister(half.sock)
            elif watched.events != events:
                self._selector.modify(half.sock, events, watched.data)

    def _unwatch(self, sock: socket.socket) -> None:
        if self._selector.get_map().get(sock) is not None:
            self._selector.unregister(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._unwatch(sock)
        sock.close()
