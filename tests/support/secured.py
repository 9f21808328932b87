"""The client's end of TLS over a blocking socket, each record of it within reach.

It looks like a socket, so that a `Peer` speaks through it. What it would send can be
taken instead (`seal`), and be sent as a test likes it.
"""

import socket
import ssl
import time


class SecuredSocket:
    """A socket that speaks TLS; the handshake is done by `shake`, or by hand."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        self.raw = raw
        self.notified = False
        """Whether the other end has said that nothing more will come."""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost"
        )
        self._timeout: float | None = raw.gettimeout()

    # The handshake

    def step(self) -> bytes | None:
        """Give what comes next from us; `None` when the handshake is done."""
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            return self.outgoing.read()
        return None

    def take(self) -> None:
        """Wait for bytes of the other end; `EOFError` when there are no more."""
        data = self.raw.recv(65536)
        if not data:
            raise EOFError
        self.incoming.write(data)

    def shake(self) -> None:
        """Do the handshake to its end."""
        while (flight := self.step()) is not None:
            self.raw.sendall(flight)
            self.take()
        self.raw.sendall(self.outgoing.read())

    # As a socket

    def seal(self, data: bytes) -> bytes:
        """Give the records that hold these bytes; up to 16 KiB are one."""
        self.object.write(data)
        return self.outgoing.read()

    def sendall(self, data: bytes) -> None:
        """Send these bytes."""
        self.raw.sendall(self.seal(data))

    def recv(self, size: int) -> bytes:
        """Give some of what comes; nothing at the end, said or not."""
        end = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            try:
                data = self.object.read(size)
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLWantReadError:
                if end is not None:
                    self.raw.settimeout(max(0.001, end - time.monotonic()))
                try:
                    self.take()
                except EOFError:
                    return b""
                finally:
                    self.raw.settimeout(self._timeout)
                continue
            self.notified = self.notified or not data
            return data

    def shutdown(self, how: int) -> None:
        """Say that nothing more will be sent, by a word and not by FIN."""
        try:
            self.object.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.raw.sendall(self.outgoing.read())

    def settimeout(self, value: float | None) -> None:
        """Wait no longer than this."""
        self._timeout = value
        self.raw.settimeout(value)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option of the socket."""
        self.raw.setsockopt(level, option, value)

    def fileno(self) -> int:
        """Give its descriptor."""
        return self.raw.fileno()

    def close(self) -> None:
        """Close it without a word."""
        self.raw.close()
