"""A connection that is moved from a selector: plain or through TLS, wild if asked to.

    send(bytes)* turn(mask)* -> received ... half_close | close | reset

Nothing blocks and nothing raises: an end is ``over``, and ``why`` tells which.
Must not know: frames.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress

MOST = 1 << 18
"""Bytes read or written at once."""
GONE = ConnectionError("closed")
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Lane:
    """One connection, as a client has it.

    *tls* is the context to speak TLS with, *source* the address to come from, *damage*
    what is done to the bytes just before the kernel gets them.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        source: str | None = None,
        rcvbuf: int | None = None,
        damage: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.received = bytearray()
        """What has come, opened; whoever takes of it cuts it off."""
        self.reads = True
        self.over = False
        self.deaf = False
        """Whether the other end takes nothing more; what it has said may still come."""
        self.why: Exception | None = None
        """What ended it, where it was no clean end."""
        self._plain = bytearray()
        self._outgoing = bytearray()
        self._damage = damage
        self._ends = False
        self._half = False
        self._object: ssl.SSLObject | None = None
        self._shaken = tls is None
        if tls is not None:
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._object = tls.wrap_bio(
                self._in, self._out, server_hostname="localhost"
            )
        self.sock = socket.socket()
        self.sock.setblocking(False)
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if rcvbuf is not None:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            if source is not None:
                self.sock.bind((source, 0))
            with suppress(BlockingIOError):
                self.sock.connect(address)
        except OSError as error:
            self._fail(error)
        self._step()

    def fileno(self) -> int:
        """Return its descriptor."""
        return self.sock.fileno()

    @property
    def wants(self) -> int:
        """What it waits for; 0 for nothing."""
        if self.over:
            return 0
        wanted = READ if self.reads or not self._shaken else 0
        return wanted | (WRITE if self._outgoing or self._ends else 0)

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken."""
        return len(self._plain) + len(self._outgoing)

    @property
    def shaken(self) -> bool:
        """Whether the handshake is done, if there has to be one."""
        return self._shaken

    def send(self, data: bytes) -> None:
        """Send *data* as soon as that goes."""
        if not self.over and not self.deaf:
            self._plain += data
            self._step()
            self._transmit()

    def half_close(self) -> None:
        """Send nothing more after what was given."""
        self._ends = not self.deaf
        self._step()
        self._transmit()

    def close(self) -> None:
        """End it at once."""
        self._fail(GONE)

    def reset(self) -> None:
        """End it at once, and with RST."""
        with suppress(OSError):
            self.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self._fail(GONE)

    def turn(self, mask: int) -> None:
        """Move what *mask* allows."""
        if mask & READ and not self.over:
            self._receive()
        self._step()
        if mask & WRITE or self._outgoing:
            self._transmit()

    def _receive(self) -> None:
        try:
            data = self.sock.recv(MOST)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        if not data:
            self.over = True
            self.sock.close()
        elif self._object is None:
            self.received += data
        else:
            self._in.write(data)

    def _step(self) -> None:
        """Seal what is to be sent, and open what has come."""
        if self._object is None:
            self._outgoing += self._plain
            self._plain.clear()
            return
        try:
            self._open(self._object)
        except ssl.SSLError as error:
            if not self.over:
                self._fail(error)
            return
        sealed = self._out.read()
        if sealed:
            self._outgoing += self._damage(sealed) if self._damage else sealed

    def _open(self, tls: ssl.SSLObject) -> None:
        try:
            if not self._shaken:
                tls.do_handshake()
                self._shaken = True
            if self._plain and not self._half:
                tls.write(bytes(self._plain))
                self._plain.clear()
            while data := tls.read(65536):
                self.received += data
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        if self._ends and not self._half and self._shaken:
            self._half = True
            with suppress(ssl.SSLWantReadError):
                tls.unwrap()

    def _transmit(self) -> None:
        if self.over:
            return
        if self._outgoing:
            try:
                sent = self.sock.send(self._outgoing[:MOST])
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self.deaf, self._ends = True, False
                self._outgoing.clear()
                self._plain.clear()
                if not self.reads:
                    self._fail(error)
                return
            del self._outgoing[:sent]
        if self._ends and not self._outgoing and not self._plain:
            self._ends = False
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def _fail(self, error: Exception) -> None:
        if not self.over:
            self.over, self.why = True, error
        self.sock.close()


class Lanes:
    """Lanes that are turned together, each watched for what it wants just then.

    ``watch`` has to be called for a lane that was closed before another is made: the
    other gets its descriptor.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: dict[Lane, int] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, lane: Lane) -> None:
        """Watch *lane* for what it wants now; not at all if it is over."""
        wanted, known = lane.wants, self._watched.get(lane, 0)
        if wanted == known:
            return
        if not wanted:
            # One that is closed is found by what it was.
            self._selector.unregister(lane.sock)
            del self._watched[lane]
            return
        if known:
            self._selector.modify(lane.sock, wanted, lane)
        else:
            self._selector.register(lane.sock, wanted, lane)
        self._watched[lane] = wanted

    def turn(self, patience: float) -> list[Lane]:
        """Wait *patience* seconds at most, and turn; return who was turned."""
        turned: list[Lane] = []
        for key, mask in self._selector.select(patience):
            lane: Lane = key.data
            lane.turn(mask)
            self.watch(lane)
            turned.append(lane)
        return turned

    def close(self) -> None:
        """Close all that are watched, and the selector."""
        for lane in list(self._watched):
            lane.close()
        self._selector.close()
