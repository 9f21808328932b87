"""One connection: how its bytes move.  What they mean is its receiver's.

    data_received(bytes)* eof_received()? connection_lost(reason)

is what a receiver sees, ``connection_lost`` exactly once, from the loop and never from
inside a call of its own.  After ``close`` or ``abort`` it sees no data any more.
``output_queued`` comes when a write could not be sent at once, ``drained`` when output
that stood in the way of reading has gone out.

There are two ends.  ``close`` flushes, half-closes, and reads and drops until the peer
closes too: a plain close with input unread makes the kernel reset the connection, and
the last frame is lost on its way.  ``abort`` is at once.  This module is the one place
that decides what an ``OSError`` of a socket means.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from chatroom.net.address import Address
from chatroom.net.buffers import OutputPool, OutputQueue
from chatroom.net.loop import READ, WRITE, Loop, Timer

READ_SIZE = 65536
"""Bytes read at once: one turn of a fast sender, however much has come."""
CONGESTED = 65536
"""Unsent bytes above which a peer is not read: who asks for much pays for it."""
LINGER = 5.0
"""Seconds that a peer has to take its last frames, and again to close its side."""
MAX_LINGER = 60.0
"""Seconds that a close may last in all, however steadily the peer takes."""

_RETRY = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ENOBUFS))
_PEER_GONE = {
    errno.ECONNRESET: "reset by peer",
    errno.EPIPE: "closed by peer",
    errno.ENOTCONN: "closed by peer",
    errno.ECONNABORTED: "aborted",
    errno.ESHUTDOWN: "closed by peer",
    errno.ETIMEDOUT: "timed out",
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.EHOSTDOWN: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.ENETRESET: "reset by network",
}


def peer_gone(error: OSError) -> str | None:
    """Return why *error* of a socket means that the peer is gone.

    ``None`` means try again later.  Raises *error* itself where it means neither:
    then the mistake is ours.
    """
    if error.errno in _RETRY:
        return None
    reason = _PEER_GONE.get(error.errno or 0)
    if reason is None:
        raise error
    return reason


class Stream(Protocol):
    """What a transport needs of its socket, or of what stands in for one."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def setblocking(self, flag: bool, /) -> None:
        """Let it block, or not."""

    def send(self, data: bytes, /) -> int:
        """Send some of *data*; return how much."""

    def sendmsg(self, buffers: Sequence[bytes | memoryview], /) -> int:
        """Send some of *buffers*, in order; return how much."""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Return some of what has come, ``b""`` at the end."""

    def shutdown(self, how: int, /) -> None:
        """End our side."""

    def close(self) -> None:
        """Close it."""


class Receiver(Protocol):
    """Who a transport works for; the order of calls is in the module's docstring."""

    def data_received(self, data: bytes) -> None:
        """*data* has come, in order."""

    def eof_received(self) -> None:
        """The peer sends nothing more; it may still read."""

    def output_queued(self, before: int) -> None:
        """The kernel did not take all of a write; so many were unsent *before* it."""

    def drained(self) -> None:
        """What was unsent has gone out far enough that reading goes on."""

    def connection_lost(self, reason: str) -> None:
        """The connection is over; nothing comes after this."""

    def failed(self, error: Exception) -> None:
        """Handling what came has raised *error*; it has to be reported."""


class State(IntEnum):
    """How far a connection is on its way to its end."""

    OPENING = 0
    """Not ready yet: nothing is written, nothing is received."""
    OPEN = 1
    FLUSHING = 2
    """Asked to close; the last bytes are still on their way."""
    DRAINING = 3
    """Half-closed; what still comes is read and dropped."""
    CLOSED = 4


_OPEN = State.OPEN  # An attribute of an enum is looked up in Python code.


class Transport:
    """A connected, non-blocking stream socket and its output queue."""

    __slots__ = (
        "_close_by",
        "_loop",
        "_pool",
        "_queue",
        "_sock",
        "_timer",
        "_watching",
        "address",
        "eof",
        "paused",
        "progress_at",
        "receiver",
        "state",
    )

    def __init__(
        self,
        loop: Loop,
        sock: Stream,
        address: Address,
        receiver: Receiver,
        pool: OutputPool,
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._pool = pool
        # There only while it holds something: an empty deque is 760 bytes.
        self._queue: OutputQueue | None = None
        self._timer: Timer | None = None
        self._close_by = 0.0
        self.address = address
        self.receiver = receiver
        self.state = State.OPEN
        self.eof = False
        self.paused = False
        self.progress_at = 0.0
        """When unsent bytes appeared, or the peer last took some (seconds)."""
        self._watching = READ
        loop.watch(sock, READ, self)

    @property
    def unsent(self) -> int:
        """Bytes written and not taken by the kernel yet."""
        return self._queue.size if self._queue is not None else 0

    @property
    def congested(self) -> bool:
        """Whether so much is unsent that the peer is not read."""
        return self._queue is not None and self._queue.size > CONGESTED

    # -- output ---------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send *data* now as far as the kernel takes it, and hold the rest."""
        # The few lines that every delivery goes through: the rest is set apart.
        if self.state is not _OPEN:
            return
        sent = 0
        if self._queue is None:
            try:
                sent = self._sock.send(data)
            except OSError as error:
                if self._over(error):
                    return
            if sent == len(data):
                return
        self._hold(data, sent)

    def _hold(self, data: bytes, sent: int) -> None:
        """Queue *data*, of which the first *sent* bytes are sent."""
        queue = self._queue
        if queue is None:
            queue = self._queue = OutputQueue(self._pool)
            self.progress_at = self._loop.now
        before = queue.size
        queue.append(data, sent)
        self._update()
        self.receiver.output_queued(before)

    def _flush(self) -> None:
        queue = self._queue
        if queue is None:
            return
        was_congested = queue.size > CONGESTED
        try:
            sent = self._sock.sendmsg(queue.buffers())
        except OSError as error:
            self._over(error)
            return
        queue.consume(sent)
        self.progress_at = self._loop.now
        if not queue.size:
            self._queue = None
            if self.state == State.FLUSHING:
                self._half_close()
        self._update()
        if was_congested and not self.congested and self.state == State.OPEN:
            self.receiver.drained()

    # -- input ----------------------------------------------------------------

    def pause_reading(self) -> None:
        """Leave what comes in the kernel until ``resume_reading``."""
        self.paused = True
        self._update()

    def resume_reading(self) -> None:
        """Read again what comes."""
        self.paused = False
        self._update()

    def at_eof(self) -> bool:
        """Tell whether the peer has ended its side, and all that came is read.

        For one that is paused: it does not hear of the end by itself.
        """
        if not self.eof:
            try:
                self.eof = not self._sock.recv(1, socket.MSG_PEEK)
            except OSError as error:
                self._over(error)
        return self.eof

    def ready(self, mask: int) -> None:
        """Move bytes: called by the loop."""
        if self.state == State.CLOSED:
            return
        if mask & WRITE:
            self._flush()
        if mask & READ and self._watching & READ:
            self._read()

    def failed(self, error: Exception) -> None:
        """``ready`` has raised: the receiver reports it, the connection ends."""
        self.receiver.failed(error)
        self.abort("internal error")

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_SIZE)
        except OSError as error:
            self._over(error)
            return
        if data:
            if self.state == State.OPEN:
                self.receiver.data_received(data)
            return
        self.eof = True
        if self.state == State.OPEN:
            self._update()
            self.receiver.eof_received()
        elif self.state == State.DRAINING:
            self.abort("closed")
        else:
            self._update()

    # -- the two ends ---------------------------------------------------------

    def detach(self) -> socket.socket:
        """Give the socket away, to another transport; this one is over.

        Nothing may have been written.  The receiver hears nothing of it.
        """
        assert self.state == State.OPEN and self._queue is None
        assert isinstance(self._sock, socket.socket)
        self.state = State.CLOSED
        if self._watching:
            self._loop.unwatch(self._sock)
            self._watching = 0
        return self._sock

    def close(self) -> None:
        """End the connection when what was written has been taken."""
        if self.state != State.OPEN:
            return
        self.state = State.FLUSHING
        self._close_by = self._loop.now + MAX_LINGER
        self.progress_at = self._loop.now
        if not self.unsent:
            self._half_close()
        self._update()
        if self.state != State.CLOSED:
            self._linger()

    def abort(self, reason: str) -> None:
        """End the connection now; what is unsent is lost."""
        if self.state == State.CLOSED:
            return
        self.state = State.CLOSED
        if self._watching:
            self._loop.unwatch(self._sock)
            self._watching = 0
        if self._queue is not None:
            self._queue.clear()
            self._queue = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop.doom(self._sock.close)
        self._loop.call_soon(lambda: self.receiver.connection_lost(reason))

    def _half_close(self) -> None:
        self.state = State.DRAINING
        self.progress_at = self._loop.now
        if self.eof:
            self.abort("closed")
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._over(error)

    def _over(self, error: OSError) -> bool:
        """End the connection if *error* means so; tell whether it did."""
        try:
            reason = peer_gone(error)
        except OSError:
            self.failed(error)
            return True
        if reason is not None:
            self.abort(reason)
        return reason is not None

    def _linger(self) -> None:
        """Set the deadline of an end that waits for the peer."""
        due = min(self.progress_at + LINGER, self._close_by)
        if due <= self._loop.now:
            self.abort("closed")
        else:
            self._timer = self._loop.call_at(due, self._linger)

    def _has_output(self) -> bool:
        """Tell whether something waits for the kernel to take it."""
        return self._queue is not None

    def _update(self) -> None:
        """Watch for what this state needs; for nothing at all: not at all."""
        if self.state == State.CLOSED:
            return
        wanted = WRITE if self._has_output() else 0
        if not self.eof and (
            self.state != State.OPEN or not (self.paused or self.congested)
        ):
            wanted |= READ
        if wanted == self._watching:
            return
        if not wanted:
            self._loop.unwatch(self._sock)
        elif self._watching:
            self._loop.change(self._sock, wanted, self)
        else:
            self._loop.watch(self._sock, wanted, self)
        self._watching = wanted
