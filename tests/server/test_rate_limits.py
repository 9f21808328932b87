"""Rates are back-pressure: who is faster is read no faster, and loses nothing."""

from __future__ import annotations

import pytest

from tests.server.conftest import Start
from tests.support.inprocess import Client, World, kinds, masks
from tests.support.peer import encode, ids, texts

RATES = {"rate": 8.0, "burst": 16, "rate_bytes": 0.0, "idle_timeout": 0.0}
"""Powers of two, so that no time is rounded."""


def watched(client: Client) -> int:
    """Return what the server watches the connection of *client* for."""
    loop = client.world.loop
    return masks(loop).get(client.connection.transport._sock.fileno(), 0)


def flood(client: Client, count: int, start: int = 0) -> None:
    """Send so many messages at once."""
    client.send_raw(b"".join(encode("say", text=f"m{start + n}") for n in range(count)))


def said(client: Client) -> int:
    """Return how many messages have come since the last call."""
    frames = [frame for frame in client.frames() if frame.type != "ping"]
    assert kinds(frames) == ["message"] * len(frames)
    return len(frames)


def test_frames_come_at_their_rate_and_none_is_lost(start: Start) -> None:
    world = start(**RATES)
    ann, bob = world.join("ann"), world.join("bob")
    flood(ann, 50)
    world.settle()
    # The hello was one of the burst.
    assert said(bob) == 15
    assert watched(ann) == 0
    for _ in range(16):
        world.advance(0.125)
        assert said(bob) == 1
    world.advance(1)
    assert said(bob) == 8
    world.advance(60)
    assert said(bob) == 50 - 15 - 16 - 8
    frames = ann.frames()
    assert texts(frames) == [f"m{n}" for n in range(50)]
    assert ids(frames) == list(range(1, 51))
    assert watched(ann)


def test_tokens_come_back_up_to_the_burst(start: Start) -> None:
    world = start(**RATES)
    ann = world.join("ann")
    flood(ann, 15)
    world.settle()
    assert said(ann) == 15
    world.advance(0.5)
    flood(ann, 100)
    world.settle()
    assert said(ann) == 4
    world.advance(12)
    assert said(ann) == 96
    world.advance(3600)
    flood(ann, 100)
    world.settle()
    assert said(ann) == 16


def test_bytes_come_at_their_rate(start: Start) -> None:
    world = start(rate=1024.0, burst=1024, rate_bytes=1024.0, burst_bytes=4096)
    ann = world.join("ann")
    frame = encode("say", text="x" * (1024 - 28))
    assert len(frame) == 1024
    world.advance(60)
    ann.send_raw(frame * 10)
    world.settle()
    # A frame may take the last token into debt; here the fourth ends even.
    assert said(ann) == 4
    assert watched(ann) == 0
    got = []
    for _ in range(7):
        world.advance(1)
        got.append(said(ann))
    assert sum(got) == 6
    assert got[-1] == 0


def test_what_is_behind_a_held_frame_stays_in_the_kernel(start: Start) -> None:
    world = start(**RATES)
    ann = world.join("ann")
    flood(ann, 100)
    world.settle()
    held = len(ann.connection.protocol)
    flood(ann, 100, 100)
    for _ in range(20):
        world.tick()
    assert len(ann.connection.protocol) == held
    assert world.selector.seen == 0
    world.advance(60)
    assert texts(ann.frames()) == [f"m{n}" for n in range(200)]


def test_control_frames_and_bad_ones_count_too(start: Start) -> None:
    world = start(**RATES)
    ann = world.join("ann")
    bad = [encode("ping"), encode("nonsense"), encode("say"), encode("say", text="\0")]
    ann.send_raw(b"".join(bad) * 10)
    world.settle()
    assert len(ann.frames()) == 15
    world.advance(1)
    assert len(ann.frames()) == 8


def test_the_rate_holds_before_the_hello_too(start: Start) -> None:
    world = start(rate=1.0, burst=2)
    client = world.connect()
    client.send_raw(encode("hello", version=1, nick="not a nick") * 4)
    world.settle()
    assert len(client.frames()) == 2
    world.advance(1)
    assert len(client.frames()) == 1


def test_one_that_floods_slows_nobody_else(start: Start) -> None:
    world = start(**RATES)
    ann, bob = world.join("ann"), world.join("bob")
    flood(ann, 500)
    world.settle()
    assert said(bob) == 15
    bob.send("say", text="and me?")
    world.settle()
    assert texts(bob.frames()) == ["and me?"]


def test_a_rate_of_zero_is_no_limit(start: Start) -> None:
    world = start(rate=0.0, burst=1, rate_bytes=1.0, burst_bytes=1)
    ann = world.join("ann")
    flood(ann, 1000)
    world.settle()
    assert said(ann) == 1000


def test_one_that_is_held_is_not_idle(start: Start) -> None:
    world = start(
        rate=1.0, burst=1, rate_bytes=0.0, ping_interval=16.0, idle_timeout=32.0
    )
    ann = world.join("ann")
    flood(ann, 100)
    world.advance(98)
    found = kinds(ann.frames())
    assert found == ["message"] * len(found)
    assert len(found) > 90
    # Its input is judged now; from here on it is as silent as it seems.
    world.advance(2 + 32)
    assert kinds(ann.frames())[-2:] == ["ping", "kick"]


def test_one_that_is_deep_in_debt_is_not_idle(start: Start) -> None:
    world = start(
        rate=1024.0, burst=1024, rate_bytes=16.0, burst_bytes=256,
        ping_interval=16.0, idle_timeout=32.0,
    )  # fmt: skip
    ann = world.join("ann")
    world.advance(10)
    ann.send_raw(encode("say", text="x" * 1300) + encode("say", text="done"))
    world.advance(60)
    assert kinds(ann.frames())[0] == "message"
    assert not ann.ended
    world.advance(10)
    assert texts(ann.frames()) == ["done"]


def test_time_that_stands_still_makes_no_spin(start: Start) -> None:
    world = start(**RATES)
    ann = world.join("ann")
    flood(ann, 100)
    world.settle()
    before = said(ann)
    for _ in range(50):
        world.tick()
        assert world.selector.seen == 0
    assert before == 15
    assert said(ann) == 0


# -- after the end of input ------------------------------------------------------


def test_what_came_before_the_end_is_judged_at_its_rate(start: Start) -> None:
    world = start(**RATES)
    ann, bob = world.join("ann"), world.join("bob")
    flood(ann, 31)
    ann.half_close()
    world.settle()
    assert said(bob) == 15
    world.advance(1.875)
    assert said(bob) == 15
    assert ann.connection in world.server.connections
    world.advance(0.125)
    assert kinds(bob.frames()) == ["message", "left"]
    assert ann.ended


def test_after_the_end_input_is_judged_for_so_long_only(start: Start) -> None:
    world = start(rate=1.0, burst=1, rate_bytes=0.0)
    ann, bob = world.join("ann"), world.join("bob")
    flood(ann, 100)
    ann.half_close()
    world.advance(4.5)
    assert said(bob) == 4
    world.advance(1)
    frames = bob.frames()
    assert frames[-1].type == "left"
    assert frames[-1]["reason"] == "lost"
    assert ann.ended


def test_without_more_input_the_end_is_the_end(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    ann.send("say", text="bye")
    ann.send_raw(encode("say", text="half a frame")[:10])
    ann.half_close()
    world.settle()
    assert kinds(bob.frames()) == ["message", "left"]
    assert ann.ended


@pytest.mark.parametrize("end", ["leave", "half-close"])
def test_nothing_waits_for_one_that_is_gone(start: Start, end: str) -> None:
    world = start(**RATES)
    ann = world.join("ann")
    flood(ann, 14)
    ann.send("leave")
    flood(ann, 100)
    if end == "half-close":
        ann.half_close()
    world.settle()
    assert kinds(ann.frames())[-2:] == ["message", "kick"]
    assert ann.ended
    assert len(ann.connection.protocol) == 0
