"""The way to the server, against a server whose bytes the tests write."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chatroom.client.connection import (
    CONNECT_TIMEOUT,
    SILENCE,
    Connection,
    Target,
    resolve,
)
from chatroom.client.frames import Fields
from chatroom.client.options import Options
from chatroom.client.security import make_security
from chatroom.errors import BadPeer, ChatroomError, ConnectError
from chatroom.net.loop import Loop
from chatroom.net.tls import server_context
from chatroom.wire.sniff import Spoken, farewell
from tests.client.fakes import FakeClock, FakeServer, tick_until
from tests.support.peer import encode, pack
from tests.support.tls import CERT, KEY, OTHER_CERT


class FakeUser:
    """What a connection told."""

    def __init__(self) -> None:
        self.connections = 0
        self.frames: list[Fields] = []
        self.losses: list[ChatroomError] = []
        self.crashes: list[Exception] = []
        self.on_frame: Callable[[Fields], None] = lambda frame: None

    def connected(self) -> None:
        self.connections += 1

    def frame_received(self, frame: Fields) -> None:
        self.frames.append(frame)
        self.on_frame(frame)

    def lost(self, error: ChatroomError) -> None:
        self.losses.append(error)

    def crash(self, error: Exception) -> None:
        self.crashes.append(error)


@pytest.fixture
def user() -> FakeUser:
    return FakeUser()


@pytest.fixture
def connection(loop: Loop, user: FakeUser) -> Iterator[Connection]:
    """A connection that is not open yet."""
    one = Connection(loop, user, "the-server")
    yield one
    one.close()


@pytest.fixture
def opened(
    connection: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> Connection:
    """A connection to `server`."""
    connection.open(targets(server))
    tick_until(loop, lambda: user.connections)
    server.accept()
    return connection


def targets(*servers: FakeServer) -> list[Target]:
    return [(socket.AF_INET, server.address) for server in servers]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


# -- resolving ------------------------------------------------------------------


def test_resolve_gives_what_connect_needs() -> None:
    assert resolve("127.0.0.1", 99) == [(socket.AF_INET, ("127.0.0.1", 99))]
    assert resolve("::1", 99)[0][0] == socket.AF_INET6


@pytest.mark.parametrize("host", ["nobody.invalid", "a..b", "x" * 300, "a\x00b"])
def test_a_name_that_nobody_has(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def quick(host: str, *args: object, **kinds: object) -> object:
        if host == "nobody.invalid":  # Without asking anybody.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kinds)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", quick)
    with pytest.raises(ConnectError, match="cannot find '"):
        resolve(host, 99)


# -- connecting -----------------------------------------------------------------


def test_frames_go_both_ways(
    opened: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> None:
    opened.send({"type": "say", "text": "ä"})
    server.send({"type": "ping"}, {"type": "pong", "data": "x"})
    tick_until(loop, lambda: len(user.frames) == 2)
    assert user.frames == [{"type": "ping"}, {"type": "pong", "data": "x"}]
    assert server.frames() == [{"type": "say", "text": "ä"}]
    assert opened.unsent == 0


def test_frames_may_come_byte_by_byte(
    opened: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> None:
    for byte in encode("pong", data="é") * 2:
        server.send_raw(bytes([byte]))
        loop.tick(0.01)
    tick_until(loop, lambda: len(user.frames) == 2)


def test_the_next_address_is_tried(
    connection: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> None:
    refused: Target = (socket.AF_INET, ("127.0.0.1", free_port()))
    connection.open([refused, refused, *targets(server)])
    tick_until(loop, lambda: user.connections)
    assert not user.losses


def test_an_address_of_an_unknown_family_is_passed_over(
    connection: Connection,
    server: FakeServer,
    loop: Loop,
    user: FakeUser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = socket.socket

    def no_ipv6(family: int = -1, *args: int, **kinds: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return real(family, *args, **kinds)

    monkeypatch.setattr(socket, "socket", no_ipv6)
    connection.open([(socket.AF_INET6, ("::1", 9)), *targets(server)])
    tick_until(loop, lambda: user.connections)


def test_an_address_that_fails_at_once(
    connection: Connection, loop: Loop, user: FakeUser
) -> None:
    connection.open([(socket.AF_INET, ("255.255.255.255", 9))])
    tick_until(loop, lambda: user.losses)
    assert str(user.losses[0]).startswith("cannot connect to the-server: ")


def test_where_nobody_listens(
    connection: Connection, loop: Loop, user: FakeUser
) -> None:
    refused: Target = (socket.AF_INET, ("127.0.0.1", free_port()))
    connection.open([refused, refused])
    tick_until(loop, lambda: user.losses)
    assert [str(loss) for loss in user.losses] == [
        "cannot connect to the-server: Connection refused"
    ]
    assert isinstance(user.losses[0], ConnectError)
    assert loop.timers == 0


@pytest.fixture
def deaf() -> Iterator[FakeServer]:
    """A server whose queue of connections is full: the kernel does not answer."""
    with FakeServer() as one, socket.socket() as first, socket.socket() as second:
        one.listener.listen(0)
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(one.address)
        yield one


def test_an_address_that_does_not_answer(
    connection: Connection,
    deaf: FakeServer,
    server: FakeServer,
    loop: Loop,
    user: FakeUser,
    clock: FakeClock,
) -> None:
    refused: Target = (socket.AF_INET, ("127.0.0.1", free_port()))
    connection.open([*targets(deaf), refused])
    for _ in range(5):
        loop.tick(0.01)
    assert not user.losses
    clock.time += CONNECT_TIMEOUT
    tick_until(loop, lambda: user.losses)
    assert str(user.losses[0]) == (
        "cannot connect to the-server: no answer for 10 s; Connection refused"
    )


def test_close_gives_an_attempt_up(
    connection: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> None:
    connection.open(targets(server))
    connection.close()
    for _ in range(3):
        loop.tick(0.01)
    assert not user.connections
    assert not user.losses
    assert loop.timers == 0


# -- the end --------------------------------------------------------------------


def test_the_server_closes(
    opened: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> None:
    server.send({"type": "ping"})
    server.hang_up()
    tick_until(loop, lambda: user.losses)
    assert len(user.frames) == 1
    assert str(user.losses[0]) == (
        "the connection to the-server is lost: the server has closed it"
    )
    opened.send({"type": "pong"})
    for _ in range(3):
        loop.tick(0.01)
    assert len(user.losses) == 1
    assert loop.timers == 0


def test_what_we_close_is_not_told(
    opened: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> None:
    server.send({"type": "ping"}, {"type": "pong"})
    user.on_frame = lambda frame: opened.close()
    tick_until(loop, lambda: user.frames)
    for _ in range(3):
        loop.tick(0.01)
    assert len(user.frames) == 1, "no frame after the close"
    assert not user.losses


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\0\0\0\0", "empty"),
        (b"\0\1\0\1", "65537"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "announced"),
        (pack(b"[]"), "not a JSON object"),
        (pack(b"{"), "not JSON"),
        (pack(b'{"type":"\xff"}'), "not UTF-8"),
        (pack(b'{"type":NaN}'), "NaN"),
        (pack(b'{"type":' + b"[" * 40 + b"]" * 40 + b"}"), "nests"),
        (pack(b'{"type":"\\ud800"}'), "surrogate"),
        (pack(b'{"type":' + b"9" * 5000 + b"}"), ""),
    ],
)
def test_a_server_that_speaks_something_else(
    opened: Connection,
    server: FakeServer,
    loop: Loop,
    user: FakeUser,
    data: bytes,
    word: str,
) -> None:
    server.send_raw(encode("ping") + data + encode("ping"))
    tick_until(loop, lambda: user.losses)
    (loss,) = user.losses
    assert isinstance(loss, BadPeer)
    assert str(loss).startswith("the-server does not speak the protocol: ")
    assert word in str(loss)
    assert "\n" not in str(loss)
    assert len(user.frames) == 1
    assert not user.crashes


def test_a_frame_that_the_user_refuses(
    opened: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> None:
    def refuse(frame: Fields) -> None:
        raise BadPeer("not so")

    user.on_frame = refuse
    server.send({"type": "ping"}, {"type": "ping"})
    tick_until(loop, lambda: user.losses)
    assert str(user.losses[0]) == "the-server breaks the protocol: not so"
    assert len(user.frames) == 1


def test_a_mistake_of_ours_is_none_of_the_server(
    opened: Connection, server: FakeServer, loop: Loop, user: FakeUser
) -> None:
    def stumble(frame: Fields) -> None:
        raise KeyError("ours")

    user.on_frame = stumble
    server.send({"type": "ping"})
    tick_until(loop, lambda: user.crashes)
    assert isinstance(user.crashes[0], KeyError)


# -- silence --------------------------------------------------------------------


def pass_time(clock: FakeClock, loop: Loop) -> None:
    clock.time += SILENCE
    loop.tick(0.02)
    loop.tick(0.02)


def test_a_server_that_never_answers(
    opened: Connection, loop: Loop, user: FakeUser, clock: FakeClock
) -> None:
    pass_time(clock, loop)
    assert str(user.losses[0]).endswith("is lost: no answer for 30 s")


def test_a_silent_server_is_pinged_and_then_given_up(
    opened: Connection,
    server: FakeServer,
    loop: Loop,
    user: FakeUser,
    clock: FakeClock,
) -> None:
    server.send({"type": "pong"})
    tick_until(loop, lambda: user.frames)
    for _ in range(3):
        pass_time(clock, loop)
        pass_time(clock, loop)
        assert server.frames() == [{"type": "ping"}]
        server.send({"type": "pong"})
        loop.tick(0.1)
        assert not user.losses
    pass_time(clock, loop)
    pass_time(clock, loop)
    pass_time(clock, loop)
    assert server.frames() == [{"type": "ping"}]
    assert str(user.losses[0]).endswith("is lost: no answer for 30 s")


def test_while_we_do_not_read_silence_is_ours(
    opened: Connection,
    server: FakeServer,
    loop: Loop,
    user: FakeUser,
    clock: FakeClock,
) -> None:
    opened.pause_reading()
    server.send({"type": "pong"})
    for _ in range(5):
        pass_time(clock, loop)
    assert not user.losses
    assert not user.frames
    opened.resume_reading()
    tick_until(loop, lambda: user.frames)


# -- over TLS -------------------------------------------------------------------

PIN = sha256(ssl.PEM_cert_to_DER_cert(Path(CERT).read_text())).digest()
WRONG_PIN = sha256(ssl.PEM_cert_to_DER_cert(Path(OTHER_CERT).read_text())).digest()


class Far:
    """The server's end of TLS, over one blocking connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = server_context(CERT, KEY)
        self._object = context.wrap_bio(self._in, self._out, server_side=True)
        self.frames = b""
        self.alert: ssl.SSLError | None = None

    def step(self) -> bool:
        """Answer what has come; tell whether frames did."""
        try:
            self._in.write(self._sock.recv(65536))
        except BlockingIOError:
            return False
        try:
            self._object.do_handshake()
            self.frames += self._object.read(65536)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.alert = error
        self.flush()
        return bool(self.frames)

    def send(self, data: bytes) -> None:
        """Send this."""
        self._object.write(data)
        self.flush()

    def flush(self) -> None:
        """Send the records that are made."""
        self._sock.sendall(self._out.read())


@contextmanager
def secure(
    loop: Loop, user: FakeUser, server: FakeServer, **options: Any
) -> Iterator[Connection]:
    """A connection to `server` that speaks TLS, as far as the kernel has it."""
    security = make_security(Options("localhost", tls=True, **options))
    connection = Connection(loop, user, "the-server", security)
    connection.open(targets(server))
    loop.tick(1)
    server.accept()
    yield connection
    connection.close()


def shake(loop: Loop, user: FakeUser, server: FakeServer) -> Far:
    """Do the handshake, to its end or its failure."""
    assert server.peer is not None
    far = Far(server.peer)

    def done() -> bool:
        far.step()
        return bool(user.connections or user.losses)

    tick_until(loop, done)
    return far


@pytest.mark.parametrize("trust", [{"tls_ca": CERT}, {"tls_fingerprint": PIN}])
def test_frames_go_both_ways_over_tls(
    loop: Loop, user: FakeUser, server: FakeServer, trust: dict[str, Any]
) -> None:
    with secure(loop, user, server, **trust) as connection:
        connection.send({"type": "say", "text": "too early"})
        assert not user.connections
        far = shake(loop, user, server)
        assert (user.connections, user.losses) == (1, [])
        connection.send({"type": "ping"})
        far.send(encode("pong"))
        tick_until(loop, lambda: user.frames)
        tick_until(loop, far.step)
        assert far.frames == encode("ping")
        server.hang_up()
        tick_until(loop, lambda: user.losses)
    assert str(user.losses[0]).startswith("the connection to the-server is lost: ")


@pytest.mark.parametrize(
    ("trust", "why"),
    [
        ({}, r"not to be trusted: self.signed.*; see --tls-ca and --tls-fingerprint"),
        ({"tls_ca": OTHER_CERT}, "not to be trusted: .*; see --tls-ca and .*"),
        ({"tls_fingerprint": WRONG_PIN}, f"another one, .* fingerprint {PIN.hex()}"),
    ],
)
def test_a_server_that_is_not_the_one_that_is_meant(
    loop: Loop, user: FakeUser, server: FakeServer, trust: dict[str, Any], why: str
) -> None:
    with secure(loop, user, server, **trust):
        far = shake(loop, user, server)
        (error,) = user.losses
        assert not user.connections
        assert re.match(f"cannot connect to the-server: .*{why}$", str(error))
        assert isinstance(error, ConnectError)
        assert not far.frames


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (encode("error", code="malformed", text="?"), "not seem to speak TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not seem to speak TLS"),
        (farewell(Spoken.TLS), "not seem to speak TLS"),
        (b"", "not seem to speak TLS"),
        (bytes((21, 3, 3, 0, 2, 2, 70)), "TLS: .*protocol version"),
    ],
)
def test_a_server_without_tls(
    loop: Loop, user: FakeUser, server: FakeServer, answer: bytes, why: str
) -> None:
    with secure(loop, user, server):
        assert server.peer is not None
        server.peer.recv(65536)
        server.send_raw(answer)
        server.peer.shutdown(socket.SHUT_WR)
        tick_until(loop, lambda: user.losses)
        assert not user.connections
        assert re.search(f"cannot connect to the-server: .*{why}", str(user.losses[0]))


def test_the_time_to_connect_is_for_the_handshake_too(
    loop: Loop, user: FakeUser, server: FakeServer, clock: FakeClock
) -> None:
    began = clock.time
    with secure(loop, user, server):
        clock.time = began + CONNECT_TIMEOUT - 0.1
        loop.tick(0)
        loop.tick(0)
        assert not user.losses
        clock.time = began + CONNECT_TIMEOUT
        tick_until(loop, lambda: user.losses)
        assert "no answer for 10 s" in str(user.losses[0])
    assert not loop.timers


def test_a_handshake_that_the_user_ends_is_not_told(
    loop: Loop, user: FakeUser, server: FakeServer
) -> None:
    with secure(loop, user, server) as connection:
        connection.pause_reading()
        connection.close()
        loop.tick(0)
        loop.tick(0)
    assert not user.losses
    assert not loop.timers


@pytest.mark.parametrize(
    ("host", "name"),
    [("Example.org.", "Example.org"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")],
)
def test_who_the_server_has_to_be(host: str, name: str) -> None:
    security = make_security(Options(host, tls=True, tls_ca=CERT))
    assert security is not None
    assert (security.name, security.pin) == (name, None)
    assert security.context.check_hostname


def test_what_cannot_be_used_is_one_line() -> None:
    assert make_security(Options()) is None
    with pytest.raises(ConnectError, match=r"cannot use .*: No such file"):
        make_security(Options(tls=True, tls_ca="/nowhere"))
    with pytest.raises(ConnectError, match="no name for TLS"):
        make_security(Options(".a", tls=True))
