"""Limits of what a client may leave unsent, and what congestion does to it."""

from __future__ import annotations

from typing import Any

import pytest

from chatroom.net.transport import CONGESTED, State
from tests.server.conftest import Start
from tests.support.inprocess import Client, World, kinds, masks
from tests.support.peer import encode, texts

KIB = 1024
MIB = 1024 * KIB
QUIET: dict[str, Any] = {"ping_interval": 0.0, "idle_timeout": 0.0}
"""Nothing is sent but by a test."""


def slow(world: World, nick: str = "slow") -> Client:
    """Let a client join that reads nothing more, with a small buffer between."""
    client = world.join(nick, sndbuf=4096)
    client.reading = False
    return client


def unsent(client: Client) -> int:
    """Return the bytes that the server holds for *client*."""
    return client.connection.transport.unsent


def fill(client: Client, size: int) -> None:
    """Have the server write until *size* bytes are unsent, or a little more."""
    while unsent(client) < size:
        assert client.connection.transport.state == State.OPEN
        client.connection.transport.write(bytes(min(1000, size - unsent(client))))


def drain(client: Client, size: int) -> None:
    """Read until no more than *size* bytes are unsent."""
    while unsent(client) > size:
        took = client.read(1000)
        client.world.tick()
        assert took or client.world.selector.seen


def over(client: Client) -> bool:
    """Tell whether the server has ended the connection."""
    client.world.settle()
    return client.connection not in client.world.server.connections


def cause(world: World) -> str:
    """Return the last reason that the log has for an end."""
    return [line for line in world.log if " disconnect " in line][-1]


# -- the limits ------------------------------------------------------------------


def test_above_the_hard_limit_it_is_over_at_once(start: Start) -> None:
    world = start(**QUIET)
    client = slow(world)
    fill(client, 4 * MIB)
    assert not over(client)
    client.connection.transport.write(b"x" * 2000)
    assert over(client)
    assert "bytes unsent, 4194304 are allowed" in cause(world)


def test_above_the_soft_limit_it_is_over_after_a_while(start: Start) -> None:
    world = start(**QUIET)
    client = slow(world)
    fill(client, MIB)
    world.advance(20)
    assert not over(client)
    client.connection.transport.write(b"x" * 2000)
    world.advance(9.875)
    assert not over(client)
    world.advance(0.125)
    assert over(client)
    assert "over 1048576 for 10 s" in cause(world)


def test_below_the_soft_limit_in_time_it_stays(start: Start) -> None:
    world = start(**QUIET)
    client = slow(world)
    fill(client, 2 * MIB)
    world.advance(9)
    drain(client, MIB)
    world.advance(15)
    assert not over(client)


def test_the_soft_limits_time_begins_anew(start: Start) -> None:
    world = start(**QUIET)
    client = slow(world)
    fill(client, 2 * MIB)
    world.advance(2)
    drain(client, MIB // 2)
    world.advance(7)
    fill(client, 2 * MIB)
    world.advance(2)
    # It has been over the limit for 2 s, and for 2 s before.
    assert not over(client)
    world.advance(8)
    assert over(client)


def test_one_that_takes_nothing_is_over_after_a_while(start: Start) -> None:
    world = start(**QUIET)
    client = slow(world)
    fill(client, 100)
    world.advance(29.875)
    assert not over(client)
    world.advance(0.125)
    assert over(client)
    assert "none taken for 30 s" in cause(world)


def test_one_that_takes_a_little_stays(start: Start) -> None:
    world = start(**QUIET)
    client = slow(world)
    fill(client, 100 * KIB)
    for _ in range(10):
        world.advance(29)
        drain(client, unsent(client) - 1)
        assert not over(client)


def test_before_the_welcome_little_is_held(start: Start) -> None:
    world = start(**QUIET)
    client = world.connect(sndbuf=4096)
    client.reading = False
    fill(client, 8 * KIB)
    assert not over(client)
    client.connection.transport.write(b"x" * 2000)
    assert over(client)
    assert "8192 are allowed" in cause(world)


@pytest.mark.parametrize("limit", [0, 4 * KIB])
def test_before_the_welcome_a_lower_limit_counts(start: Start, limit: int) -> None:
    world = start(max_output=limit, **QUIET)
    client = world.connect(sndbuf=4096)
    client.reading = False
    fill(client, limit or 8 * KIB)
    assert not over(client)
    client.connection.transport.write(b"x" * 2000)
    assert over(client)


def test_zero_is_no_limit(start: Start) -> None:
    world = start(
        max_output=0,
        max_output_soft=0,
        max_output_total=0,
        stall_timeout=0.0,
        **QUIET,
    )
    client = slow(world)
    fill(client, 6 * MIB)
    world.advance(1000)
    assert not over(client)


# -- all together ----------------------------------------------------------------


def test_over_the_sum_of_all_the_largest_goes_first(start: Start) -> None:
    world = start(max_output_total=340 * KIB, **QUIET)
    small, large, middle = (slow(world, nick) for nick in ("s", "l", "m"))
    fill(small, 60 * KIB)
    fill(large, 120 * KIB)
    fill(middle, 100 * KIB)
    assert not over(large)
    fill(small, 90 * KIB)
    assert over(large)
    assert "the most of all" in cause(world)
    assert not over(small)
    assert not over(middle)


def test_as_many_go_as_have_to(start: Start) -> None:
    world = start(max_output_total=110 * KIB, **QUIET)
    clients = [slow(world, nick) for nick in "abcd"]
    for client, size in zip(clients, (90, 80, 70, 20), strict=True):
        fill(client, size * KIB)
    assert [over(client) for client in clients] == [True, True, False, False]


def test_many_small_chunks_count_for_what_they_cost(start: Start) -> None:
    """Whispers of a word each: what stands around them in memory is more than they."""
    world = start(max_output_total=100 * KIB, **QUIET)
    client = slow(world)
    fill(client, 1)
    while not over(client):
        client.connection.transport.write(bytes(bytearray(50)))
        assert unsent(client) < 60 * KIB
    assert unsent(client) == 0
    assert "the most of all" in cause(world)


def test_what_is_shared_counts_once(start: Start) -> None:
    world = start(max_output_total=100 * KIB, max_output_soft=0, **QUIET)
    clients = [slow(world, f"c{n}") for n in range(20)]
    for client in clients:
        fill(client, 1)
    chunk = bytes(80 * KIB)
    for client in clients:
        client.connection.transport.write(chunk)
    assert not any(over(client) for client in clients)
    assert sum(map(unsent, clients)) > 1600 * KIB


# -- congestion ------------------------------------------------------------------


def watched(client: Client) -> int:
    """Return what the server watches the connection of *client* for."""
    loop = client.world.loop
    return masks(loop).get(client.connection.transport._sock.fileno(), 0)


def test_a_congested_client_is_not_read_and_goes_on_when_drained(
    start: Start,
) -> None:
    world = start(**QUIET)
    bob, client = world.join("bob"), slow(world)
    fill(client, CONGESTED + 1000)
    client.send_raw(b"".join(encode("say", text=f"m{n}") for n in range(20)))
    world.settle()
    assert watched(client) & 1 == 0
    assert texts(bob.frames()) == []
    drain(client, CONGESTED)
    world.settle()
    assert texts(bob.frames()) == [f"m{n}" for n in range(20)]
    assert watched(client) & 1


def test_undecided_input_goes_on_when_drained(start: Start) -> None:
    world = start(**QUIET)
    bob, client = world.join("bob"), slow(world)
    for number in range(60):
        bob.send("say", text=f"{number}" + "x" * 3000)
        world.settle()
    drain(client, 0)
    bob.frames()
    # Each answer is large: before all are decided, too much is unsent.
    client.send_raw(encode("history", limit=60) * 6 + encode("say", text="done"))
    world.settle()
    assert unsent(client) > CONGESTED
    assert len(client.connection.protocol) > 0
    assert texts(bob.frames()) == []
    client.reading = True
    world.settle()
    assert texts(bob.frames()) == ["done"]
    assert len(client.connection.protocol) == 0


def test_one_that_is_not_read_is_not_idle(start: Start) -> None:
    world = start()
    client = slow(world)
    fill(client, 200 * KIB)
    for _ in range(12):
        # It answers whatever it is asked, and takes what it can.
        client.send("pong")
        world.advance(20)
        assert not over(client), world.log[-1]
        drain(client, unsent(client) - 1000)
        assert unsent(client) > CONGESTED


def test_a_slow_client_costs_the_others_nothing(start: Start) -> None:
    world = start(**QUIET)
    ann, bob, client = world.join("ann"), world.join("bob"), slow(world)
    for number in range(100):
        ann.send("say", text=f"m{number}" + "x" * 1000)
        world.settle()
    assert len(texts(bob.frames())) == 100
    assert unsent(client) > 90_000
    drain(client, 0)
    world.settle()
    client.read()
    assert len(texts(client.frames())) == 100


def test_listings_are_answered_one_a_tick(world: World) -> None:
    client = world.join("ann")
    client.send_raw(
        encode("who") + encode("ping") + encode("rooms") + encode("history")
        + encode("ping") + encode("who") + encode("ping")
    )  # fmt: skip
    got = []
    for _ in range(8):
        world.tick()
        client.read()
        if found := kinds(client.frames()):
            got.append(found)
    assert got == [
        ["members"], ["pong", "rooms"], ["history"], ["pong", "members"], ["pong"]
    ]  # fmt: skip


def test_output_limits_see_each_listing(start: Start) -> None:
    world = start(**QUIET)
    client = slow(world)
    text = "x" * 3900
    for _ in range(20):
        client.send("say", text=text)
        world.settle()
    drain(client, 0)
    client.send_raw(encode("history", limit=20) * 200)
    most = 0
    for _ in range(300):
        world.tick()
        most = max(most, unsent(client))
    # Two pages at most are made in vain; not two hundred.
    assert CONGESTED < most < 4 * CONGESTED
    assert client.connection in world.server.connections
