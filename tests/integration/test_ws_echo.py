"""The list of cases over a socket, against the echo server that anyone can start."""

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.waiting import PATIENCE, wait_for
from tests.support.web import (
    BINARY,
    CLOSE,
    TEXT,
    Came,
    closing,
    frame,
    parse_answer,
    read_to_end,
    request,
    split,
    upgrade,
)
from tests.wire.ws_cases import CASES, Case, each, raw

SMALL = 400
"""Frames, or bytes, that are sent one by one."""
CHOP = 997
"""Bytes of a write of what is larger."""


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Give the address of an echo server."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.ws_echo", "0"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert select.select([process.stdout], [], [], 2 * PATIENCE)[0]
            line = process.stdout.readline().decode()
            assert line.startswith("listening on "), line
            host, _, port = line.removeprefix("listening on ").strip().rpartition(":")
            yield host, int(port)
            assert process.poll() is None
        finally:
            process.terminate()


class Far:
    """A client that sends and takes bytes at the same time."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.came = bytearray()
        self.over = False

    def send(self, data: bytes) -> None:
        """Send *data*; take what comes meanwhile. A server may have enough of it."""
        left = memoryview(data)
        while left and not self.over:
            readable, writable, _ = select.select(
                [self.sock], [self.sock], [], PATIENCE
            )
            assert readable or writable, "it takes no more"
            if writable:
                left = left[self.sock.send(left[:65536]) :]
            if readable:
                self.take()

    def take(self) -> None:
        """Take what has come."""
        data = self.sock.recv(65536)
        self.came += data
        self.over = not data

    def until_closed(self) -> None:
        """Take all up to the end, which the server has to make."""
        while not self.over:
            assert select.select([self.sock], [], [], PATIENCE)[0], "it stays open"
            self.take()

    def until(self, size: int) -> None:
        """Take so many bytes."""
        while len(self.came) < size:
            assert not self.over, bytes(self.came)
            assert select.select([self.sock], [], [], PATIENCE)[0], bytes(self.came)
            self.take()


@contextmanager
def connected(address: tuple[str, int], first: bytes = b"") -> Iterator[Far]:
    """Give a client whose handshake is done; *first* comes in the same segment."""
    with socket.create_connection(address, PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far = Far(sock)
        far.send(upgrade() + first)
        while b"\r\n\r\n" not in far.came:
            far.until(len(far.came) + 1)
        end = far.came.index(b"\r\n\r\n") + 4
        assert parse_answer(bytes(far.came[:end])).status == 101
        del far.came[:end]
        yield far


def check(case: Case, far: Far) -> None:
    """See what comes, up to the end; close where the case does not."""
    if case.code is None:
        far.send(closing(1000))
    far.until_closed()
    frames, end = split(far.came, (TEXT, BINARY))
    assert end == len(far.came), bytes(far.came[end:])
    assert frames[:-1] == case.answers
    assert frames[-1].opcode == CLOSE
    assert code_of(frames[-1]) == (1000 if case.code is None else case.code)


def code_of(close: Came) -> int:
    """Give the code of a close; 0 for none."""
    assert len(close.payload) != 1
    close.payload[2:].decode()
    return int.from_bytes(close.payload[:2], "big")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, address: tuple[str, int]) -> None:
    """With the handshake; frame by frame; and in small pieces, each a write of its own.

    The end of the connection is for the server to make.
    """
    whole = b"".join(case.sent)
    with connected(address, whole) as far:
        check(case, far)
    if len(case.sent) <= SMALL:
        with connected(address) as far:
            for one in case.sent:
                far.send(one)
            check(case, far)
    with connected(address) as far:
        for piece in each(whole, 1 if len(whole) <= SMALL else CHOP):
            far.send(piece)
        check(case, far)


def test_the_largest_message(address: tuple[str, int]) -> None:
    limit = 16 << 20
    with connected(address) as far:
        far.send(frame(BINARY, b"\xaa" * limit))
        far.until(limit + 10)
        frames, _ = split(far.came, (TEXT, BINARY))
        assert frames == [Came(BINARY, b"\xaa" * limit)]
        far.came.clear()
        far.send(raw(0x80 | TEXT, 127, (limit + 1).to_bytes(8, "big"))[:10])
        far.until_closed()
        assert code_of(split(far.came)[0][0]) == 1009


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (426, request("/")),
        (426, upgrade("/", sec_websocket_version="8")),
        (426, upgrade("/", sec_websocket_version=None)),
        (400, upgrade("/", sec_websocket_key=None)),
        (400, upgrade("/", sec_websocket_key="short")),
        (400, upgrade("/", "GET", "1.0")),
        (400, upgrade("/", "HEAD")),
        (405, upgrade("/", "POST")),
    ],
)
def test_who_is_no_websocket_is_told_so(
    expected: int, data: bytes, address: tuple[str, int]
) -> None:
    with socket.create_connection(address, PATIENCE) as sock:
        sock.sendall(data)
        answer = parse_answer(read_to_end(sock))
    assert answer.status == expected
    assert answer.headers["connection"] == "close"
    if expected == 426:
        assert answer.headers["sec-websocket-version"] == "13"
        assert answer.headers["upgrade"] == "websocket"


def test_who_goes_on_behind_the_close_holds_nobody_up(
    address: tuple[str, int],
) -> None:
    """It is read for a moment, and then it is cut off."""
    with connected(address, closing()) as first:
        first.until_closed()
        with socket.create_connection(address, PATIENCE) as second:
            second.sendall(upgrade())

            def answered() -> bool:
                is_cut(first.sock)
                return bool(select.select([second], [], [], 0)[0])

            wait_for(answered, "an answer for another")
        wait_for(lambda: is_cut(first.sock), "an end to what nobody reads")


def is_cut(sock: socket.socket) -> bool:
    """Send a byte; tell whether the far side takes no more."""
    try:
        sock.send(b"x")
    except OSError:
        return True
    return False


def test_it_says_how_it_is_called() -> None:
    for wrong in ([], ["x"], ["1", "2"]):
        command = [sys.executable, "-m", "tests.support.ws_echo", *wrong]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
        assert done.returncode == 2
        assert b"usage" in done.stderr
