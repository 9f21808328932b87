"""TLS under the interface of a plain transport.

    TlsTransport(...) -> start -> established() -> as ``transport.py`` has it

``TlsSocket`` looks like a non-blocking socket and is a filter between two memory BIOs,
so whoever uses the transport cannot tell the two apart.  Bytes count as sent when the
records that hold them are: the queue keeps the plain chunks that members share, and
each connection at most one record of its own.
Until the handshake is done nothing is written, and ``close`` is at once: there is
nobody to talk to yet.  How long it may take is for the receiver to say.
Must not know: what the bytes mean, where certificates come from.

TLS 1.2 and newer, without renegotiation and compression.  Python's CVE-2023-40217 does
not reach this: no socket of the ``ssl`` module is made.
"""

from __future__ import annotations

import errno
import hmac
import os
import socket
import ssl
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import NoReturn

from chatroom.errors import ConnectError, StartError
from chatroom.net.address import Address
from chatroom.net.buffers import OutputPool
from chatroom.net.loop import Loop
from chatroom.net.transport import CONGESTED, Receiver, State, Transport, peer_gone

RECORD = 16384
"""Plain bytes of one record, the most that TLS allows."""
READ_SIZE = 65536
"""Plain bytes taken at once of what has been opened."""
PIECE = RECORD + 512
"""Bytes read of the socket at once: a record.  A memory BIO never gives back what it
has once held, so this is what each member costs for as long as it stays."""


class TlsFailure(OSError):
    """TLS has failed for good; its text says why in a few words."""


def _later() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, "no record is whole yet")


# -- contexts -----------------------------------------------------------------------


def server_context(cert: str, key: str) -> ssl.SSLContext:
    """Return what a server needs to be the one that the file *cert* names.

    Raises ``StartError`` where the pair of files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    for path in (cert, key):
        _check_file(path)

    def ask() -> str:
        raise StartError(f"{key!a} is encrypted; give a key without a passphrase")

    try:
        context.load_cert_chain(cert, key, ask)
    except OSError as error:
        raise StartError(
            f"{cert!a} and {key!a} are no pair of certificate and key in PEM "
            f"({_reason(error)}); see --tls-cert and --tls-key"
        ) from None
    return context


def _check_file(path: str) -> None:
    """Raise ``StartError`` where *path* is no file that can be read at once."""

    def at_once(name: str, flags: int) -> int:
        # A pipe that nobody writes into would hold up whoever opens it.
        return os.open(name, flags | os.O_NONBLOCK)

    try:
        with open(path, "rb", opener=at_once) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return
    except OSError as error:
        raise StartError(f"cannot read {path!a}: {error.strerror}") from None
    raise StartError(f"cannot read {path!a}: it is not a file")


def doubt(context: ssl.SSLContext, cert: str) -> str | None:
    """Return why clients will not trust the file *cert*, which *context* shows.

    ``None`` where nothing is wrong: it is not expired, and is for servers.  Who has
    signed it does not count here, nor for what name: only clients know that.
    """
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    into, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        asking.load_verify_locations(cert)
        client = asking.wrap_bio(back, into)
        server = context.wrap_bio(into, back, server_side=True)
        for end in (client, server, client):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except OSError as error:
        return _reason(error)
    return None


def client_context(ca: str | None, *, pinned: bool) -> ssl.SSLContext:
    """Return what a client needs to know a server again.

    By the authorities of the system, or of the file *ca* alone; not at all where it is
    *pinned*: then the certificate itself is compared (``Pin``).  Raises
    ``ConnectError`` where *ca* cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if pinned:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise ConnectError(f"cannot use {ca!a}: {_reason(error)}") from None
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def fingerprint(certificate: bytes) -> bytes:
    """Return the SHA-256 of *certificate*, in DER."""
    return sha256(certificate).digest()


def _reason(error: OSError) -> str:
    """Return in a few words why OpenSSL, or the system, has failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not understood").replace("_", " ").lower()
    return error.strerror or str(error)


# -- the filter ---------------------------------------------------------------------


class TlsSocket:
    """A non-blocking socket, seen through TLS: it raises what a socket raises.

    *name* is who the other end has to be, for a client; ``None`` makes it a server's.
    *pin*, the SHA-256 of the one certificate that is meant, is compared where it is
    given.  *head* is what was read of the socket before.
    """

    __slots__ = (
        "_closing",
        "_encrypted",
        "_incoming",
        "_object",
        "_outgoing",
        "_pin",
        "_raw",
        "_sealed",
        "ended",
        "established",
    )

    def __init__(
        self,
        raw: socket.socket,
        context: ssl.SSLContext,
        *,
        name: str | None = None,
        pin: bytes | None = None,
        head: bytes = b"",
    ) -> None:
        self._raw = raw
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=name is None,
            server_hostname=name,
        )
        self._pin = pin
        self._sealed = b""
        """Records that the kernel has not taken yet."""
        self._encrypted = 0
        """Plain bytes that are in them, and are not counted as sent yet."""
        self._closing = False
        self.established = False
        """Whether the handshake is done."""
        self.ended = False
        """Whether the other end has said that nothing more will come."""
        if head:
            self._incoming.write(head)

    @property
    def sealed(self) -> int:
        """Bytes of records that the kernel has not taken yet."""
        return len(self._sealed)

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._raw.fileno()

    def setblocking(self, on: bool) -> None:
        """Make the socket non-blocking."""
        self._raw.setblocking(on)

    def close(self) -> None:
        """Close the socket, without a word; it is not used any more."""
        self._raw.close()
        # Whoever still refers to this would keep a hundred times what it is itself.
        with suppress(AttributeError):
            del self._object, self._incoming, self._outgoing
        self._sealed = b""

    # -- output ---------------------------------------------------------------

    def send(self, data: bytes) -> int:
        """Send of *data* what is taken now; return how much, 0 too.

        By the rule of ``sendmsg``.
        """
        if self._sealed or len(data) > RECORD or not data:
            return self.sendmsg([data])
        self._write(data)
        if self.flush():
            return len(data)
        self._encrypted = len(data)
        return 0

    def sendmsg(self, buffers: Sequence[bytes | memoryview]) -> int:
        """Send of *buffers* what is taken now; return how much, 0 too.

        What was given and not sent has to be given again, in front of all else: it is
        in a record already, and no other is made of it.
        """
        if not self.flush():
            return 0
        sent, self._encrypted = self._encrypted, 0
        for data in _records(buffers, sent):
            self._write(data)
            if not self.flush():
                self._encrypted = len(data)
                break
            sent += len(data)
        return sent

    def _write(self, data: bytes | memoryview) -> None:
        try:
            # It takes all: a memory BIO is never full.
            self._object.write(data)
        except ssl.SSLError as error:
            raise TlsFailure(f"TLS: {_reason(error)}") from None

    def flush(self) -> bool:
        """Send records as far as they are taken; tell whether all are."""
        if self._outgoing.pending:
            made = self._outgoing.read()
            self._sealed = self._sealed + made if self._sealed else made
        while self._sealed:
            try:
                sent = self._raw.send(self._sealed)
            except OSError as error:
                if peer_gone(error) is None:
                    # Not an error: what is sealed already must not be given again.
                    return False
                raise
            self._sealed = self._sealed[sent:]
        if self._closing:
            self._closing = False
            self._raw.shutdown(socket.SHUT_WR)
        return True

    def shutdown(self, how: int) -> None:
        """Say that nothing more will come from here; what comes is read on."""
        if self.established:
            # SSLWantRead: the other side has not said so yet.  Else: it is over.
            with suppress(ssl.SSLError):
                self._object.unwrap()
        self._closing = True
        self.flush()

    # -- input ----------------------------------------------------------------

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return what has come, opened; at most *size* bytes of records are taken.

        ``b""`` at the end.  Raises ``BlockingIOError`` where no record is whole.  With
        ``MSG_PEEK`` it tells nothing but whether this is the end.
        """
        if self.ended:
            return b""
        if flags & socket.MSG_PEEK:
            return self._raw.recv(1, flags)
        self._fill(size)
        plain = self._open()
        self.flush()
        if not plain and not self.ended:
            raise _later()
        return plain

    def handshake(self) -> None:
        """Go on with the handshake; raise ``BlockingIOError`` while it is not done."""
        self._begin_or_fill()
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
            raise _later() from None
        except ssl.SSLError as error:
            self._fail("TLS handshake", error)
        self._check_pin()
        self.established = True
        self.flush()

    def _begin_or_fill(self) -> None:
        """Take what has come; a client has the first word."""
        with suppress(BlockingIOError):
            self._fill(READ_SIZE)

    def _fill(self, size: int) -> None:
        if self._incoming.pending:
            return
        data = self._raw.recv(min(size, PIECE))
        if data:
            self._incoming.write(data)
        else:
            # Cut off without a word: the length of a frame tells what is missing.
            self.ended = True

    def _open(self) -> bytes:
        """Return the plain bytes of all records that are whole."""
        parts = []
        try:
            while part := self._object.read(READ_SIZE):
                parts.append(part)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self._fail("TLS", error)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fail(self, what: str, error: ssl.SSLError) -> NoReturn:
        """Tell the other end what is wrong, if it can be told now, and raise it."""
        with suppress(OSError):
            self.flush()
        raise TlsFailure(f"{what}: {_reason(error)}") from None

    def _check_pin(self) -> None:
        if self._pin is None:
            return
        found = fingerprint(self._object.getpeercert(True) or b"")
        if not hmac.compare_digest(found, self._pin):
            raise TlsFailure(
                f"its certificate is another one, with the fingerprint {found.hex()}"
            )


def _records(
    buffers: Sequence[bytes | memoryview], skip: int
) -> list[bytes | memoryview]:
    """Return what to make records of: *buffers* without their first *skip* bytes."""
    whole: bytes | memoryview
    whole = buffers[0] if len(buffers) == 1 else b"".join(buffers)
    view = memoryview(whole)[skip:]
    return [view[at : at + RECORD] for at in range(0, len(view), RECORD)]


# -- the transport ------------------------------------------------------------------


class TlsTransport(Transport):
    """A transport whose bytes go through TLS.

    *established* is called once the handshake is done, before any data is received.
    """

    __slots__ = ("_established", "_tls")

    def __init__(
        self,
        loop: Loop,
        sock: TlsSocket,
        address: Address,
        receiver: Receiver,
        pool: OutputPool,
        established: Callable[[], None],
    ) -> None:
        self._tls = sock
        self._established = established
        super().__init__(loop, sock, address, receiver, pool)
        self.state = State.OPENING

    def start(self) -> None:
        """Begin the handshake, with what there is of it."""
        self._read()

    @property
    def congested(self) -> bool:
        """Whether so much is unsent that the peer is not read."""
        # Some records are answers to the peer's own: key updates, for one.
        return super().congested or self._tls.sealed > CONGESTED

    def resume_reading(self) -> None:
        """Read again what comes."""
        super().resume_reading()
        if self._tls.ended and not self.eof:
            # It came with the last data; the socket may have nothing more to tell.
            self._loop.call_soon(self._see_end)

    def close(self) -> None:
        """End the connection when what was written has been taken."""
        if self.state == State.OPENING:
            self.abort("closed before the TLS handshake was done")
        else:
            super().close()

    def _read(self) -> None:
        if self.state == State.OPENING and not self._open():
            self._update()
            return
        super()._read()
        self._see_end()
        self._update()

    def _open(self) -> bool:
        """Go on with the handshake; tell whether there is to be read."""
        try:
            self._tls.handshake()
        except OSError as error:
            if not self._over(error) and self._tls.ended:
                self.abort("closed by peer")
            return False
        self.state = State.OPEN
        self._established()
        return self.state != State.CLOSED

    def _see_end(self) -> None:
        """Tell of an end that came behind data, when it is its turn."""
        if not self._tls.ended or self.eof or self.state == State.CLOSED:
            return
        if self.state != State.OPEN or not (self.paused or self.congested):
            super()._read()

    def _flush(self) -> None:
        if self._queue is not None:
            super()._flush()
        else:
            try:
                self._tls.flush()
            except OSError as error:
                self._over(error)
            self._update()
        self._see_end()

    def _half_close(self) -> None:
        if self.eof:
            # The socket is closed next; TLS has a last word of its own.
            with suppress(OSError):
                self._tls.shutdown(socket.SHUT_WR)
        super()._half_close()

    def _has_output(self) -> bool:
        return self._queue is not None or self._tls.sealed > 0

    def _over(self, error: OSError) -> bool:
        if isinstance(error, TlsFailure):
            self.abort(str(error))
            return True
        return super()._over(error)
