"""Transports through TLS: the cases of every transport, and TLS's own."""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress
from unittest import mock

import pytest

from chatroom.net.buffers import OutputPool
from chatroom.net.loop import Loop
from chatroom.net.tls import (
    TlsSocket,
    TlsTransport,
    client_context,
    doubt,
    server_context,
)
from chatroom.net.transport import Receiver, State, Transport
from tests.net.conformance import Far, TransportCases
from tests.net.test_transport import SocketFar, shrink
from tests.support.tls import CERT, EXPIRED_CERT, KEY, OTHER_CERT, OTHER_KEY


class TlsFar(SocketFar):
    """The other end: a client of the standard library, on a socket."""

    def __init__(self, sock: socket.socket, version: ssl.TLSVersion) -> None:
        super().__init__(sock)
        context = ssl.create_default_context(cafile=CERT)
        context.maximum_version = version
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._in, self._out, server_hostname="localhost"
        )
        self._unsent = b""
        self._ended = False

    def shake(self) -> bool:
        """Go on with the handshake; tell whether it is done."""
        self._pull()
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._push()
        return True

    def _push(self) -> bool:
        self._unsent += self._out.read()
        while self._unsent:
            sent = super().send(self._unsent)
            if not sent:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def _pull(self, most: int = 65536) -> None:
        data = super().receive(most)
        if data:
            self._in.write(data)
        elif data == b"":
            self._ended = True

    def send(self, data: bytes) -> int:
        if not self._push():
            return 0
        sent = self._object.write(data[:16384]) if data else 0
        self._push()
        return sent

    def receive(self, most: int = 65536) -> bytes | None:
        self._push()
        try:
            return self._object.read(most)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            return b""
        if self._ended:
            raise AssertionError("it ended without a word")
        self._pull(most)
        try:
            return self._object.read(most)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""

    def half_close(self) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            self._object.unwrap()
        assert self._push()

    def close(self) -> None:
        self.sock.close()


class TlsCases(TransportCases):
    """The cases over a pair of sockets and TLS of one version."""

    version: ssl.TLSVersion

    def make_pair(
        self, loop: Loop, pool: OutputPool, receiver: Receiver, *, small: bool
    ) -> tuple[Transport, Far]:
        near, far = socket.socketpair()
        if small:
            shrink(near, far)
        other = TlsFar(far, self.version)
        sock = TlsSocket(near, server_context(CERT, KEY))
        done: list[bool] = []
        transport = TlsTransport(
            loop, sock, ("peer", 0), receiver, pool, lambda: done.append(True)
        )
        for _ in range(100):
            shaken = other.shake()
            loop.tick(0)
            if shaken and done:
                break
        assert done == [True]
        assert transport.state == State.OPEN
        while other.receive() is not None:
            pass
        return transport, other


class TestTls13(TlsCases):
    """TLS 1.3."""

    version = ssl.TLSVersion.TLSv1_3


class TestTls12(TlsCases):
    """TLS 1.2."""

    version = ssl.TLSVersion.TLSv1_2


# -- contexts -----------------------------------------------------------------------


def test_renegotiation_old_versions_and_compression_are_off() -> None:
    for context in (server_context(CERT, KEY), client_context(CERT, pinned=False)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION


def test_a_certificate_that_clients_will_not_trust() -> None:
    assert doubt(server_context(CERT, KEY), CERT) is None
    assert doubt(server_context(OTHER_CERT, OTHER_KEY), OTHER_CERT) is None
    found = doubt(server_context(EXPIRED_CERT, KEY), EXPIRED_CERT)
    assert found and "expired" in found


@pytest.mark.parametrize("error", [errno.ENOBUFS, errno.EAGAIN, errno.EINTR])
def test_what_is_sealed_is_not_sealed_again(error: int) -> None:
    """A send that fails for now keeps its record, and no second one is made."""
    near, far = socket.socketpair()
    near.setblocking(False)
    other = TlsFar(far, ssl.TLSVersion.TLSv1_3)
    far.setblocking(False)
    sock = TlsSocket(near, server_context(CERT, KEY))
    while not (other.shake() and sock.established):
        with suppress(BlockingIOError):
            sock.handshake()
    raw = mock.Mock(wraps=near)
    raw.send.side_effect = OSError(error, "not now")
    sock._raw = raw
    assert sock.send(b"once") == 0
    assert sock.sendmsg([b"once", b" and more"]) == 0
    sock._raw = near
    assert sock.sendmsg([b"once", b" and more"]) == 13
    got = b""
    while (data := other.receive()) is not None:
        got += data
    assert got == b"once and more"
    sock.close()
    sock.close()
    other.close()
