"""The way to the server: connects, cuts frames, notices when nobody is there.

    open -> connected() -> frame_received(frame)* -> lost(error)

is what its user sees; ``lost`` comes exactly once for each ``open`` that the user did
not end with ``close``, from the loop, with an error that says in one line what
happened.  ``connected`` is left out where no address answers, or where TLS is asked
for and the one that answers does not speak it as the server that is meant: plain text
is never what remains.
Must not know: what a frame means; but a frame of a wrong shape, or a ``BadPeer`` that
the user raises over one, ends the connection.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from chatroom.client.frames import Fields
from chatroom.client.security import Security, why_no_handshake
from chatroom.errors import BadPeer, ChatroomError, ConnectError
from chatroom.net.address import Address, to_address
from chatroom.net.buffers import OutputPool
from chatroom.net.loop import WRITE, Loop, Timer
from chatroom.net.transport import Transport
from chatroom.wire.codec import Malformed, decode_object, encode_object
from chatroom.wire.framing import BadFrame, FrameBuffer

CONNECT_TIMEOUT = 10.0
"""Seconds for one address to answer, the handshake of TLS included; the kernel would
try for two minutes."""
SILENCE = 30.0
"""Seconds without a byte after which the server is pinged, and after as many more
given up: a server that is gone says nothing, and TCP alone never notices."""

Target = tuple[socket.AddressFamily, tuple[object, ...]]
"""What ``socket`` and ``connect`` need for one address."""


def resolve(host: str, port: int) -> list[Target]:
    """Return the addresses of *host*; this waits for the name server.

    Raises ``ConnectError`` where there are none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ConnectError(f"cannot find {host!a}: {error.strerror}") from None
    except (OSError, UnicodeError, ValueError) as error:
        raise ConnectError(f"cannot find {host!a}: {error}") from None
    # A dict: one address may be named twice.
    return list(dict.fromkeys((info[0], info[4]) for info in found))


class User(Protocol):
    """Who a connection works for; the order of calls is in the module's docstring."""

    def connected(self) -> None:
        """There is a connection; nothing has been sent."""

    def frame_received(self, frame: Fields) -> None:
        """A frame has come.  It may raise ``BadPeer``."""

    def lost(self, error: ChatroomError) -> None:
        """There is no connection, or no longer; *error* says why."""

    def crash(self, error: Exception) -> None:
        """A mistake of ours."""


class Connection:
    """One connection at a time to one server, which may have several addresses."""

    def __init__(
        self, loop: Loop, user: User, name: str, security: Security | None = None
    ) -> None:
        self._loop = loop
        self._user = user
        self._security = security
        self._pool = OutputPool()
        self._stream: _Stream | None = None
        self._attempt: _Attempt | None = None
        self.name = name
        """The server as a person calls it."""

    def open(self, targets: Sequence[Target]) -> None:
        """Connect to the first of *targets* that answers."""
        self._try(list(targets), [])

    def _try(self, targets: list[Target], reasons: list[str]) -> None:
        if not targets:
            # Several addresses mostly fail for the same reason.
            reason = "; ".join(dict.fromkeys(reasons))
            error = ConnectError(f"cannot connect to {self.name}: {reason}")
            self._loop.call_soon(lambda: self._user.lost(error))
            return
        target, rest = targets[0], targets[1:]
        deadline = self._loop.now + CONNECT_TIMEOUT

        def failed(reason: str) -> None:
            self._attempt = None
            self._try(rest, [*reasons, reason])

        def succeeded(sock: socket.socket) -> None:
            self._attempt = None
            address = to_address(target[1])
            self._stream = _Stream(
                self._loop, sock, address, self._user, self._pool, self.name
            )
            self._stream.start(self._security, deadline)

        attempt = _Attempt(self._loop, succeeded, failed, self._user.crash)
        self._attempt = attempt
        attempt.start(target, deadline)

    def close(self) -> None:
        """End the connection now; the user hears no more of it."""
        if self._attempt is not None:
            self._attempt.give_up()
            self._attempt = None
        if self._stream is not None:
            self._stream.forget()
            self._stream = None

    def send(self, frame: Fields) -> None:
        """Send *frame*; nothing happens where there is no connection."""
        if self._stream is not None:
            self._stream.transport.write(encode_object(frame))

    @property
    def unsent(self) -> int:
        """Bytes that the server has not taken yet."""
        return self._stream.transport.unsent if self._stream is not None else 0

    def pause_reading(self) -> None:
        """Leave what comes in the kernel until ``resume_reading``."""
        if self._stream is not None:
            self._stream.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again what comes."""
        if self._stream is not None:
            self._stream.transport.resume_reading()


class _Attempt:
    """One socket on its way to one address: a handler of the loop."""

    def __init__(
        self,
        loop: Loop,
        succeeded: Callable[[socket.socket], None],
        failed: Callable[[str], None],
        crash: Callable[[Exception], None],
    ) -> None:
        self._loop = loop
        self._succeeded = succeeded
        self._failed = failed
        self.failed = crash
        self._sock: socket.socket | None = None
        self._timer: Timer | None = None

    def start(self, target: Target, deadline: float) -> None:
        """Begin to connect to *target*, which has to answer by *deadline*."""
        family, sockaddr = target
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            # A family that this machine does not have.
            self._failed(error.strerror or str(error))
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(sockaddr)
        if code not in (0, errno.EINPROGRESS, errno.EINTR):
            sock.close()
            self._failed(os.strerror(code))
            return
        self._sock = sock
        self._timer = self._loop.call_at(deadline, self._timed_out)
        self._loop.watch(sock, WRITE, self)

    def ready(self, mask: int) -> None:
        """The kernel knows how it went: called by the loop."""
        sock = self._sock
        if sock is None:
            return
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.give_up()
            self._failed(os.strerror(code))
            return
        self._release()
        self._succeeded(sock)

    def give_up(self) -> None:
        """Stop, without a word."""
        sock = self._sock
        if sock is not None:
            self._release()
            self._loop.doom(sock.close)

    def _timed_out(self) -> None:
        self.give_up()
        self._failed(f"no answer for {CONNECT_TIMEOUT:.0f} s")

    def _release(self) -> None:
        if self._sock is not None:
            self._loop.unwatch(self._sock)
            self._sock = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Stream:
    """A connected socket's bytes as frames: the receiver of a transport."""

    transport: Transport
    """There from ``start`` on."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        address: Address,
        user: User,
        pool: OutputPool,
        name: str,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._address = address
        self._pool = pool
        self._user: User | None = user
        self._name = name
        self._established = False
        """Whether frames can go both ways; with TLS only after the handshake."""
        self._buffer = FrameBuffer()
        self._wrong: ChatroomError | None = None
        self._answered = False
        """Whether anything has ever come; a ping before that would be refused."""
        self._heard = False
        self._pinged = False

    def start(self, security: Security | None, deadline: float) -> None:
        """Begin; with *security* TLS has to be spoken by *deadline*."""
        if security is None:
            self.transport = Transport(
                self._loop, self._sock, self._address, self, self._pool
            )
            self._establish()
            return
        # Imported here: plain text needs no ``ssl``.
        from chatroom.net.tls import TlsSocket, TlsTransport

        sock = TlsSocket(
            self._sock, security.context, name=security.name, pin=security.pin
        )
        self.transport = transport = TlsTransport(
            self._loop, sock, self._address, self, self._pool, self._shaken
        )
        self._timer = self._loop.call_at(deadline, self._no_handshake)
        transport.start()

    def _shaken(self) -> None:
        self._timer.cancel()
        self._establish()

    def _establish(self) -> None:
        self._established = True
        self._timer = self._loop.call_later(SILENCE, self._check_silence)
        if self._user is not None:
            self._user.connected()

    def _no_handshake(self) -> None:
        self.transport.abort(f"no answer for {CONNECT_TIMEOUT:.0f} s")

    def forget(self) -> None:
        """End now and tell nobody."""
        self._user = None
        self._timer.cancel()
        self.transport.abort("closed")

    # -- what a transport calls -----------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Hand on each frame that is whole."""
        self._answered = self._heard = True
        self._pinged = False
        self._buffer.receive_data(data)
        try:
            # The user may close at any frame, and then wants no other.
            while self._user is not None:
                payload = self._buffer.next_frame()
                if payload is None:
                    return
                self._user.frame_received(decode_object(payload))
        except (BadFrame, Malformed) as error:
            self._break(BadPeer(f"{self._name} does not speak the protocol: {error}"))
        except BadPeer as error:
            self._break(BadPeer(f"{self._name} breaks the protocol: {error}"))

    def eof_received(self) -> None:
        """The server sends nothing more; a client alone has nothing to wait for."""
        self.transport.abort("the server has closed it")

    def drained(self) -> None:
        """Nothing waits for this: what is sent is bounded by what is answered."""

    def output_queued(self, before: int) -> None:
        """Nothing either, for the same reason."""

    def connection_lost(self, reason: str) -> None:
        """Tell the user, unless it has closed."""
        self._timer.cancel()
        if self._user is not None:
            if self._established:
                text = f"the connection to {self._name} is lost: {reason}"
            else:
                why = why_no_handshake(reason)
                text = f"cannot connect to {self._name}: {why}"
            self._user.lost(self._wrong or ConnectError(text))

    def failed(self, error: Exception) -> None:
        """A mistake of ours came up while a frame was handled."""
        if self._user is not None:
            self._user.crash(error)

    # -- ends -----------------------------------------------------------------

    def _break(self, error: BadPeer) -> None:
        self._wrong = error
        self.transport.abort("broken")

    def _check_silence(self) -> None:
        # While we do not read, the silence is ours.
        if not self._heard and not self.transport.paused:
            if self._pinged or not self._answered:
                self.transport.abort(f"no answer for {SILENCE:.0f} s")
                return
            self._pinged = True
            self.transport.write(encode_object({"type": "ping"}))
        self._heard = False
        self._timer = self._loop.call_later(SILENCE, self._check_silence)
