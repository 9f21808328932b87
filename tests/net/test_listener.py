"""Listeners: what they accept, how much at once, and what they do when they cannot."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatroom.errors import StartError
from chatroom.net import listener
from chatroom.net.address import Address
from chatroom.net.listener import (
    ACCEPTS_PER_TICK,
    REPORT_INTERVAL,
    RETRY_DELAY,
    SEND_BUFFER,
    Listener,
    open_listeners,
)
from chatroom.net.loop import Loop
from tests.support.clock import FakeClock
from tests.support.inprocess import OrderedSelector


class Accepting:
    """Turns errors and connections, as a list, into calls of ``accept``."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.errors: list[int] = []
        self.calls = 0

    def accept(self) -> tuple[socket.socket, object]:
        """Raise the next error, or accept."""
        self.calls += 1
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return self.sock.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self.sock, name)


class Door:
    """A listener on a free port, and what came in."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.clock = FakeClock()
        self.loop = Loop(self.clock)
        self.loop._selector.close()
        self.selector = OrderedSelector()
        self.loop._selector = self.selector
        (sock,) = open_listeners([host], 0)
        self.sock = Accepting(sock)
        self.came: list[tuple[socket.socket, Address]] = []
        self.reports: list[str] = []
        self.errors: list[Exception] = []
        self.taking: Callable[[socket.socket, Address], None] = self._take
        self.listener = Listener(
            self.loop,
            self.sock,  # type: ignore[arg-type]
            lambda sock, address: self.taking(sock, address),
            self.reports.append,
            self.errors.append,
        )
        self.port = self.listener.address[1]
        self.callers: list[socket.socket] = []

    def _take(self, sock: socket.socket, address: Address) -> None:
        self.came.append((sock, address))

    def call(self, host: str = "127.0.0.1") -> socket.socket:
        """Connect to it."""
        caller = socket.create_connection((host, self.port))
        self.callers.append(caller)
        return caller

    def tick(self) -> int:
        """Turn without waiting for long; return how many events there were."""
        self.loop.tick(0)
        return self.selector.seen

    def advance(self, seconds: float) -> None:
        """Let time pass, and turn: first its timers, then what they watch."""
        self.clock.advance(seconds)
        self.tick()
        self.tick()

    def close(self) -> None:
        """Close everything."""
        self.listener.close()
        assert self.loop.watched == 0
        assert self.loop.timers == 0
        for sock in [*self.callers, *(sock for sock, _ in self.came)]:
            sock.close()
        self.loop.close()


@pytest.fixture
def door() -> Iterator[Door]:
    """A listener of this machine."""
    door = Door()
    yield door
    door.close()


def test_a_family_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No IPv6 on this machine, or none that this process may have."""

    def none_such(*about: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(socket, "socket", none_such)
    with pytest.raises(StartError, match=r"cannot listen on \[::1\]:0: Address family"):
        open_listeners(["::1"], 0)


def test_who_comes_is_handed_over_with_its_address(door: Door) -> None:
    callers = [door.call() for _ in range(3)]
    door.tick()
    assert [address for _, address in door.came] == [
        caller.getsockname() for caller in callers
    ]


def test_accepted_sockets_are_set_up(door: Door) -> None:
    door.call()
    door.tick()
    sock = door.came[0][0]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    # The system doubles what it is asked for, for its own use.
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER
    assert not sock.get_inheritable()


def test_accepts_are_bounded_in_a_tick(door: Door) -> None:
    for _ in range(ACCEPTS_PER_TICK + 5):
        door.call()
    door.tick()
    assert len(door.came) == ACCEPTS_PER_TICK
    door.tick()
    assert len(door.came) == ACCEPTS_PER_TICK + 5


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]
)
def test_without_descriptors_it_pauses_and_goes_on(door: Door, number: int) -> None:
    door.sock.errors = [number]
    door.call()
    door.tick()
    assert door.loop.watched == 0
    assert door.sock.calls == 1
    assert sum(door.tick() for _ in range(50)) == 0
    door.advance(RETRY_DELAY - 0.125)
    assert door.sock.calls == 1
    assert len(door.reports) == 1
    assert os.strerror(number) in door.reports[0]
    assert "\n" not in door.reports[0]
    door.advance(0.125)
    assert len(door.came) == 1
    assert door.loop.watched == 1


def test_it_pauses_again_where_nothing_has_got_better(door: Door) -> None:
    door.sock.errors = [errno.EMFILE] * 3
    door.call()
    for _ in range(3):
        assert door.came == []
        door.advance(RETRY_DELAY)
        door.tick()
    door.advance(RETRY_DELAY)
    assert len(door.came) == 1
    assert door.sock.errors == []


def test_it_says_so_once_a_minute(door: Door) -> None:
    for reports in (1, 2):
        door.sock.errors = [errno.EMFILE] * 3
        door.call()
        for _ in range(3):
            door.advance(RETRY_DELAY)
            door.tick()
        assert door.sock.errors == []
        assert len(door.reports) == reports
        door.advance(REPORT_INTERVAL)


def test_those_before_the_shortage_are_let_in(door: Door) -> None:
    door.call()
    door.call()
    real = door.sock.accept

    def accept() -> tuple[socket.socket, object]:
        if door.came and not door.reports:
            door.sock.errors = [errno.EMFILE]
        return real()

    door.sock.accept = accept  # type: ignore[method-assign]
    door.tick()
    assert len(door.came) == 1
    assert len(door.reports) == 1
    door.advance(RETRY_DELAY)
    assert len(door.came) == 2


@pytest.mark.parametrize(
    "number",
    [errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN]
    + [errno.EHOSTUNREACH, errno.EINTR],
)
def test_an_error_of_the_one_who_comes_is_its_own_loss(door: Door, number: int) -> None:
    door.sock.errors = [number] * 5
    door.call()
    door.tick()
    assert len(door.came) == 1
    assert door.reports == []
    assert door.errors == []
    assert door.loop.watched == 1


def test_an_error_that_stays_does_not_hold_the_tick(door: Door) -> None:
    door.sock.errors = [errno.ECONNABORTED] * 10_000
    door.call()
    door.tick()
    assert door.sock.calls <= ACCEPTS_PER_TICK


def test_who_takes_over_and_raises_costs_nobody_else(door: Door) -> None:
    def fail(sock: socket.socket, address: Address) -> None:
        sock.close()
        raise ZeroDivisionError

    door.taking = fail
    door.call()
    door.tick()
    assert [type(error) for error in door.errors] == [ZeroDivisionError]
    door.taking = door._take
    door.call()
    door.tick()
    assert len(door.came) == 1


def test_close_while_it_pauses(door: Door) -> None:
    # That nothing is left is seen to when the door is closed.
    door.sock.errors = [errno.EMFILE]
    door.call()
    door.tick()
    assert door.loop.timers == 1


def test_after_close_nobody_is_let_in(door: Door) -> None:
    (sock,) = open_listeners(["127.0.0.1"], 0)
    listener = Listener(door.loop, sock, door._take, print, print)
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.address)


# -- addresses -------------------------------------------------------------------


def has_ipv6() -> bool:
    """Tell whether this machine speaks IPv6 with itself."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")


@needs_ipv6
def test_ipv6() -> None:
    door = Door("::1")
    caller = door.call("::1")
    door.tick()
    assert door.came[0][1] == caller.getsockname()[:2]
    door.close()


@needs_ipv6
def test_two_colons_are_both_families() -> None:
    door = Door("::")
    door.call("::1")
    door.call("127.0.0.1")
    door.tick()
    assert [address[0] for _, address in door.came] == ["::1", "::ffff:127.0.0.1"]
    door.close()


@needs_ipv6
def test_both_wildcards_are_a_socket_each() -> None:
    socks = open_listeners(["::", "0.0.0.0"], 0)
    ports = {sock.getsockname()[1] for sock in socks}
    families = [sock.family for sock in socks]
    for sock in socks:
        sock.close()
    assert families == [socket.AF_INET6, socket.AF_INET]
    assert len(ports) == 1


def test_a_free_port_is_free_at_all_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first that the system gives is taken at the second address."""
    calls: list[int] = []

    def listen(family: socket.AddressFamily, sockaddr: Any, dual: bool) -> Any:
        calls.append(sockaddr[1])
        if len(calls) == 2:
            raise listener._InUse("taken")
        return real(family, sockaddr, dual)

    real = listener._listen
    monkeypatch.setattr(listener, "_listen", listen)
    socks = open_listeners(["127.0.0.1", "127.0.0.2"], 0)
    ports = {sock.getsockname()[1] for sock in socks}
    for sock in socks:
        sock.close()
    assert len(calls) == 4
    assert ports == {calls[3]}


def test_one_address_named_twice_in_the_system_is_one() -> None:
    socks = open_listeners(["127.0.0.1", "127.0.0.2"], 0)
    names = [sock.getsockname() for sock in socks]
    for sock in socks:
        sock.close()
    assert [name[0] for name in names] == ["127.0.0.1", "127.0.0.2"]
    assert names[0][1] == names[1][1] != 0


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_port_in_use_is_one_line_and_leaves_nothing_open(door: Door) -> None:
    before = open_descriptors()
    with pytest.raises(StartError) as caught:
        open_listeners(["127.0.0.2", "127.0.0.1"], door.port)
    line = str(caught.value)
    assert "\n" not in line
    assert f"port {door.port} is in use (127.0.0.1:{door.port})" in line
    assert "--port" in line
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "no such host", "x" * 300, "256.1.1.1", "host.invalid", "é" * 99],
)
def test_a_host_that_is_not_ours_is_one_line(host: str) -> None:
    with pytest.raises(StartError) as caught:
        open_listeners([host], 0)
    line = str(caught.value)
    assert "\n" not in line
    assert host in line
    assert "--host" in line


def test_a_port_that_needs_privileges_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bind(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(StartError, match=r"^port 80 needs privileges; .*--port$"):
        open_listeners(["127.0.0.1"], 80)
