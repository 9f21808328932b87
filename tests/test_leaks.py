"""The check that every test goes through: that it sees what is left behind."""

import socket
from collections.abc import Iterator

import pytest

from chatroom.net.loop import READ, Loop
from tests.support import leaks
from tests.support.inprocess import World
from tests.support.leaks import Watch


class Nobody:
    """A handler that is never called."""

    def ready(self, mask: int) -> None:
        """Do nothing."""

    def failed(self, error: Exception) -> None:
        """Do nothing."""


@pytest.fixture(scope="module")
def lasting() -> Iterator[socket.socket]:
    """Give a socket that outlives a test."""
    with socket.socket() as sock:
        yield sock


def test_what_a_module_holds_is_no_leak(lasting: socket.socket) -> None:
    assert not Watch().left()


def test_the_same_a_test_later(lasting: socket.socket) -> None:
    watch = Watch()
    lasting.close()
    assert not watch.left()


def test_a_socket_is_seen_until_it_is_closed() -> None:
    watch = Watch()
    with socket.socket() as sock:
        (left,) = watch.left()
        assert left.startswith(f"descriptor {sock.fileno()} (socket:")
    assert not watch.left()


def test_another_one_in_its_place_is_seen() -> None:
    with socket.socket() as before:
        number, watch = before.fileno(), Watch()
    with socket.socket() as after:
        assert after.fileno() == number
        assert watch.left()
    assert not watch.left()


def test_one_that_is_allowed_is_none() -> None:
    watch = Watch()
    with socket.socket() as sock:
        leaks.allow(sock.fileno())
        assert not watch.left()
    with socket.socket():
        assert not Watch().left()


def test_a_loop_is_seen_until_it_is_closed() -> None:
    watch, loop = Watch(), Loop()
    loop.call_later(9.0, print)
    assert any("an open loop with 1 timers" in left for left in watch.left())
    loop.close()
    loop.close()
    assert not watch.left()


def test_a_server_that_leaves_something_on_its_loop_is_seen() -> None:
    watch, world = Watch(), World()
    world.loop.call_later(1000.0, print)
    with socket.socket() as sock:
        world.loop.watch(sock, READ, Nobody())
        with pytest.raises(AssertionError):
            world.finish()
    assert watch.left() == ["a server's loop was closed with 1 registrations, 1 timers"]
    Watch()  # Or this test would fail by what it is about.


def test_a_world_that_is_finished_leaves_nothing() -> None:
    watch, world = Watch(), World()
    world.join("ann").send("say", text="hi")
    world.finish()
    assert not watch.left()
