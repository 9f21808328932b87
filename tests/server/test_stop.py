"""Who is let in, and how it all ends."""

from __future__ import annotations

import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatroom.config import TAKEOVER_GRACE, Settings
from chatroom.errors import StartError
from chatroom.net.listener import open_listeners
from chatroom.server import app
from tests.server.conftest import Start
from tests.support.inprocess import World, kinds, next_timer
from tests.support.peer import encode, texts

# -- stopping --------------------------------------------------------------------


def stopped(world: World) -> bool:
    """Tell whether the loop has been told to end."""
    return world.loop._stopping


def test_stop_tells_everybody_and_ends_when_they_are_gone(world: World) -> None:
    ann, bob, silent = world.join("ann"), world.join("bob", "tea"), world.connect()
    ann.send("say", text="last words")
    world.server.stop()
    world.settle()
    for client in (ann, bob):
        frames = client.frames()
        assert frames[-1].type == "kick"
        assert frames[-1]["reason"] == "shutdown"
        assert client.ended
    assert silent.ended
    assert not stopped(world)
    ann.close()
    world.settle()
    assert not stopped(world)
    bob.close()
    world.settle()
    assert stopped(world)


def test_stop_waits_for_those_who_take_nothing_for_so_long(world: World) -> None:
    ann = world.join("ann", sndbuf=4096)
    ann.reading = False
    for number in range(50):
        ann.send("say", text=f"m{number}" + "x" * 1000)
        world.settle()
    assert ann.connection.transport.unsent
    world.server.stop()
    world.advance(4.875)
    assert not stopped(world)
    world.advance(0.125)
    assert stopped(world)


def test_stop_waits_no_longer_for_those_who_take_a_little(world: World) -> None:
    ann = world.join("ann", sndbuf=4096)
    ann.reading = False
    for number in range(50):
        ann.send("say", text=f"m{number}" + "x" * 1000)
        world.settle()
    world.server.stop()
    for _ in range(4):
        world.advance(1)
        ann.read(4000)
        assert not stopped(world)
    world.advance(1)
    assert stopped(world)
    assert ann.connection.transport.unsent


def test_what_is_unsent_is_flushed(world: World) -> None:
    ann = world.join("ann", sndbuf=4096)
    ann.reading = False
    for number in range(50):
        ann.send("say", text=f"m{number}" + "x" * 1000)
        world.settle()
    world.server.stop()
    world.settle()
    ann.reading = True
    world.settle()
    frames = ann.frames()
    assert len(texts(frames)) == 50
    assert frames[-1]["reason"] == "shutdown"
    assert ann.ended


def test_stop_without_anybody_ends_at_once(world: World) -> None:
    world.server.stop()
    assert stopped(world)
    world.advance(10)


def test_stop_called_again_ends_at_once(world: World) -> None:
    ann = world.join("ann")
    world.server.stop()
    world.settle()
    assert not stopped(world)
    world.server.stop()
    assert stopped(world)
    assert ann.connection in world.server.connections


def test_after_stop_nobody_is_let_in_or_heard(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    (listening,) = open_listeners(["127.0.0.1"], 0)
    ((host, port),) = world.server.listen([listening])
    world.server.stop()
    ann.sock.send(encode("say", text="too late"))
    world.settle()
    assert texts(bob.frames()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port))
    ours, theirs = socket.socketpair()
    world.server.accepted(ours, ("192.0.2.1", 1))
    assert theirs.recv(1) == b""
    theirs.close()


def lend(world: World) -> socket.socket:
    """Let it listen to a socket that is ours; return that."""
    (ours,) = open_listeners(["127.0.0.1"], 0)
    world.server.listen([ours.dup()], lent=True)
    return ours


def test_after_stop_who_comes_waits_in_a_socket_that_is_lent(world: World) -> None:
    with lend(world) as ours:
        world.server.stop()
        with socket.create_connection(ours.getsockname()) as late:
            world.settle()
            assert not world.server.connections
            sock, address = ours.accept()
            sock.close()
            assert address == late.getsockname()


def test_who_has_just_come_gets_a_session_for_the_next_server(world: World) -> None:
    with lend(world):
        ann, bob = world.join("ann"), world.connect()
        world.server.stop()
        world.settle()
        assert ann.frames()[-1]["reason"] == "shutdown"
        ann.close()
        world.settle()
        assert not stopped(world)
        bob.send("hello", version=1, nick="bob")
        world.settle()
        welcome, room, kick = bob.frames()
        assert (welcome.type, room.type, kick["reason"]) == (
            "welcome",
            "room",
            "shutdown",
        )
        assert bob.ended
        bob.close()
        world.settle()
        assert stopped(world)


def test_who_says_nothing_does_not_hold_up_the_next_server(world: World) -> None:
    with lend(world):
        silent = world.connect()
        world.server.stop()
        world.advance(TAKEOVER_GRACE - 0.125)
        assert not stopped(world)
        world.advance(0.125)
        assert silent.ended
        assert stopped(world)


def test_nobody_hears_the_others_leave(world: World) -> None:
    clients = [world.join(f"n{number}") for number in range(5)]
    world.server.stop()
    world.settle()
    for client in clients:
        assert kinds(client.frames())[-1] == "kick"
        assert client.ended


def test_a_listener_hands_over_to_the_server(world: World) -> None:
    (listening,) = open_listeners(["127.0.0.1"], 0)
    (address,) = world.server.listen([listening])
    with socket.create_connection(address) as caller:
        while not world.server.connections:
            world.loop.tick(1)
        (connection,) = world.server.connections
        assert connection.transport.address == caller.getsockname()
        assert connection.address == "127.0.0.1"
    world.server._listeners[0].close()
    world.server._listeners.clear()
    while world.server.connections:
        world.loop.tick(1)


def test_signals_reach_the_server(world: World) -> None:
    ann = world.join("ann")
    world.server.install_signals()
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGCONT)
    world.settle()
    assert world.server.excused_until == world.clock.now + 30
    assert world.log[-1].split()[2] == "reload"
    signal.raise_signal(signal.SIGTERM)
    world.settle()
    assert ann.frames()[-1]["reason"] == "shutdown"
    signal.raise_signal(signal.SIGINT)
    world.settle()
    assert stopped(world)


# -- the unfinished --------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let no more than four be unfinished, or closing."""
    monkeypatch.setattr(app, "MAX_UNFINISHED", 4)
    monkeypatch.setattr(app, "MAX_CLOSING", 4)
    return 4


def test_of_too_many_unfinished_the_oldest_of_the_greediest_goes(
    start: Start, few: int
) -> None:
    """Too many are more than there are seats free, and those few."""
    world = start(max_clients=4)
    world.join("ann")
    modest = world.connect("192.0.2.1")
    greedy = [world.connect("192.0.2.2") for _ in range(few + 2)]
    world.settle()
    assert not any(client.ended for client in greedy)
    newest = world.connect("192.0.2.3")
    world.settle()
    (error,) = greedy[0].frames()
    assert error["code"] == "full"
    assert greedy[0].ended
    for client in (modest, newest, *greedy[1:]):
        assert client.frames() == []
        assert not client.ended
    for client in (modest, newest, greedy[1]):
        client.send("hello", version=1)
        world.settle()
        assert kinds(client.frames())[:2] == ["welcome", "room"]


def test_an_ipv6_network_is_one_address_there(start: Start, few: int) -> None:
    world = start(max_clients=1)
    modest = world.connect("192.0.2.1")
    greedy = [world.connect(f"2001:db8::{number}") for number in range(few)]
    world.connect("192.0.2.3")
    world.settle()
    assert not modest.ended
    assert greedy[0].ended


def test_a_crowd_may_be_unfinished_as_long_as_there_are_seats(
    start: Start, few: int
) -> None:
    """As after a restart, when each of them needs some round trips for TLS."""
    world = start(max_clients=40)
    crowd = [world.connect(f"192.0.2.{number}") for number in range(40 + few)]
    world.settle()
    assert not any(client.ended for client in crowd)


def test_an_address_has_no_more_unfinished_than_it_may_have_members(
    start: Start, few: int
) -> None:
    world = start(max_clients_per_ip=few + 1)
    crowd = [world.connect() for _ in range(few + 2)]
    world.settle()
    assert [client.ended for client in crowd] == [True] + [False] * (few + 1)


def test_where_addresses_do_not_count_it_may_have_them_all(
    start: Start, few: int
) -> None:
    world = start(max_clients=40, max_clients_per_ip=0)
    crowd = [world.connect() for _ in range(41 + few)]
    world.settle()
    assert [client.ended for client in crowd] == [True] + [False] * (40 + few)


def test_members_are_not_unfinished(world: World, few: int) -> None:
    members = [world.join(f"n{number}") for number in range(2 * few)]
    unfinished = [world.connect() for _ in range(few)]
    world.settle()
    assert not any(client.ended for client in members + unfinished)


def test_those_who_are_closing_do_not_count(world: World, few: int) -> None:
    silent = world.connect()
    refused = [world.connect() for _ in range(few - 1)]
    for client in refused:
        client.send("ping")
    world.settle()
    assert all(client.ended for client in refused)
    # They have had their error, and stay.
    others = [world.connect() for _ in range(few - 1)]
    world.settle()
    assert not silent.ended
    assert silent.frames() == []
    assert not any(client.ended for client in others)


def test_of_too_many_closing_ones_the_oldest_goes(world: World, few: int) -> None:
    clients = []
    for _ in range(few + 2):
        clients.append(world.connect())
        clients[-1].send("ping")
        world.settle()
    assert all(kinds(client.frames()) == ["error"] for client in clients)
    assert [client.connection for client in clients[2:]] == list(
        world.server.connections
    )


# -- the limits of members -------------------------------------------------------


def test_the_number_of_members_is_bounded(start: Start) -> None:
    world = start(max_clients=2)
    ann = world.join("ann")
    world.join("bob")
    third = world.connect()
    third.send("hello", version=1)
    world.settle()
    (error,) = third.frames()
    assert error["code"] == "full"
    assert third.ended
    ann.send("leave")
    world.settle()
    # It need not be gone: who is closing does not count.
    world.join("cy")


def test_members_from_one_address_are_bounded(start: Start) -> None:
    world = start(max_clients_per_ip=2)
    world.join("ann", host="192.0.2.1")
    world.join("bob", host="::ffff:192.0.2.1")
    third = world.connect("192.0.2.1")
    third.send("hello", version=1)
    world.settle()
    assert third.frames()[0]["code"] == "full"
    world.join("cy", host="192.0.2.2")


# -- the start -------------------------------------------------------------------


@pytest.fixture
def process() -> Iterator[None]:
    """Put back afterwards what a start changes of its process."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def descriptors() -> list[str]:
    """Return what this process has open."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_a_start_that_fails_leaves_nothing_open(process: None, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(port=port, log_file=str(tmp_path / "log"))
        before = descriptors()
        with pytest.raises(StartError, match="is in use"):
            app.serve(lambda: settings)
        assert descriptors() == before


def test_the_start_is_one_line(world: World) -> None:
    world.server.log_start([("127.0.0.1", 2428), ("::1", 2428)])
    world.settle()
    line = world.log[-1]
    assert "listening=127.0.0.1:2428,[::1]:2428" in line.replace('"', "")
    assert "rate=0" in line
    assert "strike 2 of 2" in line
    assert " MiB" in line


def test_the_end_is_one_line_with_totals(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    ann.send_raw(encode("say", text="hi") + encode("say", text="NO") * 2)
    world.settle()
    bob.send("leave")
    world.advance(2)
    world.server.log_stop()
    world.settle()
    about = dict(field.split("=", 1) for field in world.log[-1].split()[3:])
    assert about["clients"] == "2"
    assert about["messages"] == "1"
    assert about["deliveries"]
    assert about["warnings"] == "1"
    assert about["kicks"] == "1"
    assert float(about["seconds"]) == 2


def test_nobody_waits_for_the_log(world: World) -> None:
    log = world.server.log
    waiting = [True, True, True, False]
    log.flush = lambda: waiting.pop(0) if waiting else False  # type: ignore[method-assign]
    world.tick()
    due = next_timer(world.loop)
    assert due == world.clock.now + app.LOG_RETRY
    world.advance(1)
    assert waiting == []
    assert next_timer(world.loop) is None
