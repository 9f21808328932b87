"""Listening sockets: new connections, a bounded number each tick.

Must not know: what a connection is for.  ``open_listeners`` first, then one
``Listener`` for each socket; ``close`` ends it, and what it accepted stays.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from chatroom.errors import StartError
from chatroom.net.address import Address, show, to_address
from chatroom.net.loop import READ, Loop, Timer

BACKLOG = 1024
"""Connections that the kernel holds for us; a class that arrives at once."""
ACCEPTS_PER_TICK = 32
"""So that a storm of arrivals does not hold up those who are here: each that says hello
and goes costs half a millisecond."""
RETRY_DELAY = 0.5
"""Seconds without listening when descriptors have run out."""
REPORT_INTERVAL = 60.0
"""Seconds between two lines about it, at least."""
FREE_PORT_TRIES = 100
"""Ports that are looked at for one that is free at all addresses."""
SEND_BUFFER = 128 * 1024
"""``SO_SNDBUF``, bytes: unset, the kernel hides 4 MiB of a stalled peer's backlog."""

_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class _InUse(StartError):
    """Somebody else listens there."""


class Listener:
    """One listening socket.

    *accepted* takes over each new socket with its address; *report* gets a line when
    accepting has to pause, *failed* what *accepted* raised.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        accepted: Callable[[socket.socket, Address], None],
        report: Callable[[str], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._accepted = accepted
        self._report = report
        self.failed = failed
        self._retry: Timer | None = None
        self._report_next = float("-inf")
        self.address = to_address(sock.getsockname())
        loop.watch(sock, READ, self)

    def ready(self, mask: int) -> None:
        """Accept who is waiting: called by the loop."""
        for _ in range(ACCEPTS_PER_TICK):
            try:
                sock, sockaddr = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                # ECONNABORTED, EPERM of a firewall, and what else accept(2) passes
                # on of a connection that is already broken: its own loss.
                continue
            self._accepted(sock, to_address(sockaddr))

    def close(self) -> None:
        """Listen no more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        else:
            self._loop.unwatch(self._sock)
        self._sock.close()

    def _pause(self, error: OSError) -> None:
        # The connection stays in the backlog, so the socket stays readable: watched
        # on, it would wake the loop without end.
        self._loop.unwatch(self._sock)
        self._retry = self._loop.call_later(RETRY_DELAY, self._resume)
        if self._loop.now >= self._report_next:
            self._report_next = self._loop.now + REPORT_INTERVAL
            self._report(f"cannot accept: {error.strerror}; tried anew twice a second")

    def _resume(self) -> None:
        self._retry = None
        self._loop.watch(self._sock, READ, self)


def open_listeners(hosts: list[str], port: int) -> list[socket.socket]:
    """Open a listening socket for each address that *hosts* stand for.

    With *port* 0 the first takes a free one and the others take the same.  Raises
    ``StartError``; then none is left open.
    """
    tries = FREE_PORT_TRIES if port == 0 else 1
    while True:
        tries -= 1
        try:
            return _open(hosts, port)
        except _InUse:
            # What is free at the first address may not be free at the next.
            if not tries:
                raise


def _open(hosts: list[str], port: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    try:
        for host in hosts:
            for family, sockaddr in _resolve(host, port):
                if port == 0 and opened:
                    taken = opened[0].getsockname()[1]
                    sockaddr = (sockaddr[0], taken, *sockaddr[2:])
                dual = host == "::" and "0.0.0.0" not in hosts
                opened.append(_listen(family, sockaddr, dual))
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    return opened


def _resolve(
    host: str, port: int
) -> list[tuple[socket.AddressFamily, tuple[str, int, *tuple[int, ...]]]]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise StartError(
            f"cannot listen on {host}: {getattr(error, 'strerror', None) or error}; "
            "give an address of this machine with --host"
        ) from None
    # A dict: one address may be named twice.
    return list(dict.fromkeys((info[0], info[4]) for info in found))  # type: ignore[misc]


def _listen(
    family: socket.AddressFamily,
    sockaddr: tuple[str, int, *tuple[int, ...]],
    dual: bool,
) -> socket.socket:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        # A family that this machine does not have, or that we may not use.
        raise StartError(_cannot_listen(error, to_address(sockaddr))) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        set_up(sock)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        sock.bind(sockaddr)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        kind = _InUse if error.errno == errno.EADDRINUSE else StartError
        raise kind(_cannot_listen(error, to_address(sockaddr))) from None
    return sock


def set_up(sock: socket.socket) -> None:
    """Set the options of *sock*, which is to listen or does so already.

    The sockets that it accepts inherit them, which saves two calls for each.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)


def _cannot_listen(error: OSError, address: Address) -> str:
    where, port = show(address), address[1]
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use ({where}); choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges; choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address[0]} is not an address of this machine; see --host"
    return f"cannot listen on {where}: {error.strerror}"
