"""Sockets that were open before us: which are taken, and which are refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from chatroom.errors import StartError
from chatroom.net import activation
from chatroom.net.activation import take_sockets
from chatroom.net.listener import SEND_BUFFER

PLACE = 250
"""Where they are put in these tests: 3 is of whoever runs them."""
PID = 4711

Given = Callable[..., dict[str, str]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
    """Put copies of these sockets side by side; give what the environment says."""
    monkeypatch.setattr(activation, "FIRST", PLACE)
    places: list[int] = []

    def put(*sockets: socket.socket, pid: int = PID) -> dict[str, str]:
        for sock in sockets:
            places.append(os.dup2(sock.fileno(), PLACE + len(places)))
        count = str(len(sockets))
        return {"LISTEN_PID": str(pid), "LISTEN_FDS": count, "LISTEN_FDNAMES": "a:b"}

    yield put
    for place in places:
        try:
            os.close(place)
        except OSError:
            pass  # It was taken, and closed by who took it.


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """A listening socket that has nothing set but that."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_without_a_word_there_are_none() -> None:
    assert take_sockets({"HOME": "/"}, PID) == []


def test_they_are_taken_as_they_come(given: Given, door: socket.socket) -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        environ = given(door, other) | {"HOME": "/"}
        taken = take_sockets(environ, PID)
        addresses = [door.getsockname(), other.getsockname()]
    with ExitStack() as stack:
        for sock in taken:
            stack.enter_context(sock)
        assert [sock.getsockname() for sock in taken] == addresses
        assert [sock.fileno() for sock in taken] == [PLACE, PLACE + 1]
        assert environ == {"HOME": "/"}, "nothing is said any more"


def test_they_are_set_up_like_our_own(given: Given, door: socket.socket) -> None:
    (taken,) = take_sockets(given(door), PID)
    with taken, socket.create_connection(door.getsockname()):
        assert not taken.get_inheritable()
        assert not taken.getblocking()
        sock, _ = taken.accept()
        with sock, pytest.raises(BlockingIOError):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            buffer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            assert buffer == 2 * SEND_BUFFER
            taken.accept()


def test_who_has_come_before_is_there(given: Given, door: socket.socket) -> None:
    """And who comes after we have closed ours waits for the next."""
    with socket.create_connection(door.getsockname()) as early:
        (taken,) = take_sockets(given(door), PID)
        with taken:
            sock, address = taken.accept()
            sock.close()
            assert address == early.getsockname()
    with socket.create_connection(door.getsockname()) as late:
        sock, address = door.accept()
        sock.close()
        assert address == late.getsockname()


def test_those_of_another_process_are_left_alone(
    given: Given, door: socket.socket
) -> None:
    environ = given(door, pid=PID + 1)
    assert take_sockets(environ, PID) == []
    assert environ == {}
    os.fstat(PLACE)


@pytest.mark.parametrize("environ", [{"LISTEN_FDS": "1"}, {"LISTEN_PID": "4711x"}])
def test_half_a_word_is_none(environ: dict[str, str]) -> None:
    assert take_sockets(environ, PID) == []
    assert environ == {}


def test_none_is_a_number_too() -> None:
    assert take_sockets({"LISTEN_PID": str(PID), "LISTEN_FDS": "0"}, PID) == []


@pytest.mark.parametrize("count", ["", "x", "-1", "1.0", "1 ", "９", "1" * 5000])
def test_a_count_that_is_none(count: str) -> None:
    with pytest.raises(StartError, match="LISTEN_FDS"):
        take_sockets({"LISTEN_PID": str(PID), "LISTEN_FDS": count}, PID)


def unbound() -> socket.socket:
    """A socket that does not listen."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


def of_this_machine() -> socket.socket:
    """One that listens, and knows nobody's address."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind("\0chatroom-test")
    sock.listen()
    return sock


def connected() -> socket.socket:
    """One end of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return socket.create_connection(door.getsockname())


@pytest.mark.parametrize(
    "make",
    [
        unbound,
        of_this_machine,
        lambda: socket.socket(type=socket.SOCK_DGRAM),
        connected,
    ],
    ids=["not listening", "AF_UNIX", "datagrams", "connected"],
)
def test_other_sockets_are_refused(
    given: Given, door: socket.socket, make: Callable[[], socket.socket]
) -> None:
    with make() as wrong:
        environ = given(door, wrong)
    with pytest.raises(StartError) as caught:
        take_sockets(environ, PID)
    text = str(caught.value)
    assert f"descriptor {PLACE + 1} (LISTEN_FDS)" in text
    assert "\n" not in text
    for place in (PLACE, PLACE + 1):
        with pytest.raises(OSError):
            os.fstat(place)


def test_what_is_no_socket_is_refused_and_left_alone(given: Given) -> None:
    """It may well be of ours."""
    with open(os.devnull, "rb") as file:
        os.dup2(file.fileno(), PLACE)
    try:
        environ = {"LISTEN_PID": str(PID), "LISTEN_FDS": "1"}
        with pytest.raises(StartError, match=f"descriptor {PLACE} .*not a listening"):
            take_sockets(environ, PID)
        os.fstat(PLACE)
    finally:
        os.close(PLACE)


def test_what_is_not_there_is_refused(given: Given, door: socket.socket) -> None:
    environ = given(door) | {"LISTEN_FDS": "2"}
    with pytest.raises(StartError, match=f"descriptor {PLACE + 1} "):
        take_sockets(environ, PID)
    with pytest.raises(OSError):
        os.fstat(PLACE)
