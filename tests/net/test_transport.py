"""Transports over plain sockets, and what an error of a socket means."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from chatroom.net.buffers import OutputPool
from chatroom.net.loop import Loop
from chatroom.net.transport import Receiver, Transport, peer_gone
from tests.net.conformance import Bench, Far, TransportCases


class SocketFar:
    """The other end, a socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock

    def send(self, data: bytes) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def receive(self, most: int = 65536) -> bytes | None:
        try:
            return self.sock.recv(most)
        except BlockingIOError:
            return None

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self.sock.close()


def shrink(*socks: socket.socket) -> None:
    """Give *socks* the smallest buffers that the system allows."""
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


class TestSocketPair(TransportCases):
    """Over a pair of local sockets."""

    def make_pair(
        self, loop: Loop, pool: OutputPool, receiver: Receiver, *, small: bool
    ) -> tuple[Transport, Far]:
        near, far = socket.socketpair()
        if small:
            shrink(near, far)
        return Transport(loop, near, ("local", 0), receiver, pool), SocketFar(far)


class TestTcp(TransportCases):
    """Over TCP, on the loopback interface."""

    def make_pair(
        self, loop: Loop, pool: OutputPool, receiver: Receiver, *, small: bool
    ) -> tuple[Transport, Far]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if small:
                shrink(listener)
            far = socket.socket()
            if small:
                shrink(far)
            far.connect(listener.getsockname())
            near, address = listener.accept()
        return Transport(loop, near, address, receiver, pool), SocketFar(far)

    def test_a_reset_is_told_by_its_name(self, bench: Bench) -> None:
        bench.far.reset()
        bench.until(bench.lost)
        assert bench.near.reason == "reset by peer"
        assert bench.near.calls == ["connection_lost"]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR, errno.ENOBUFS])
def test_some_errors_mean_try_again(number: int) -> None:
    assert peer_gone(OSError(number, "x")) is None


@pytest.mark.parametrize(
    "number",
    [errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN, errno.ETIMEDOUT]
    + [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNABORTED],
)
def test_some_errors_mean_that_the_peer_is_gone(number: int) -> None:
    reason = peer_gone(OSError(number, "x"))
    assert reason
    assert reason.isprintable()


@pytest.mark.parametrize("number", [errno.EBADF, errno.EFAULT, errno.ENOTSOCK])
def test_other_errors_are_our_own_mistakes(number: int) -> None:
    error = OSError(number, "x")
    with pytest.raises(OSError) as caught:
        peer_gone(error)
    assert caught.value is error
