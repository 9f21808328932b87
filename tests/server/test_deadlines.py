"""Deadlines: hello, frames, pings, idle; absolute, and by a clock of our own."""

from __future__ import annotations

import signal

import pytest

from tests.server.conftest import Start
from tests.support.inprocess import Client, World, kinds
from tests.support.peer import encode

HELLO = encode("hello", version=1, nick="ann")


def trickle(client: Client, data: bytes, every: float, seconds: float) -> None:
    """Send a byte of *data* now and then for so many *seconds*."""
    for number in range(int(seconds / every)):
        client.send_raw(data[number : number + 1])
        client.world.advance(every)


# -- hello -----------------------------------------------------------------------


def test_who_says_nothing_is_told_and_ended(world: World) -> None:
    client = world.connect()
    world.advance(9.875)
    assert client.frames() == []
    world.advance(0.125)
    (error,) = client.frames()
    assert error["code"] == "timeout"
    assert client.ended


def test_the_hellos_time_is_absolute(world: World) -> None:
    client = world.connect()
    trickle(client, HELLO, 0.5, 9.5)
    assert client.frames() == []
    client.send_raw(b"{")
    world.advance(0.5)
    (error,) = client.frames()
    assert error["code"] == "timeout"


def test_a_hello_at_the_last_moment_is_in_time(world: World) -> None:
    client = world.connect()
    client.send_raw(HELLO[:-1])
    world.advance(9.875)
    client.send_raw(HELLO[-1:])
    world.advance(1)
    assert kinds(client.frames()) == ["welcome", "room"]


def test_a_refused_hello_has_its_time_again(world: World) -> None:
    client = world.connect()
    world.advance(8)
    client.send("hello", version=1, nick="not a nick")
    world.advance(9.875)
    assert kinds(client.frames()) == ["error"]
    world.advance(0.125)
    (error,) = client.frames()
    assert error["code"] == "timeout"
    assert client.ended


def test_no_hello_timeout_is_no_deadline(start: Start) -> None:
    world = start(hello_timeout=0.0, frame_timeout=0.0)
    client = world.connect()
    client.send_raw(HELLO[:5])
    world.advance(1e6)
    assert client.frames() == []
    client.send_raw(HELLO[5:])
    world.settle()
    assert kinds(client.frames()) == ["welcome", "room"]


# -- frames ----------------------------------------------------------------------


def test_a_frame_that_never_ends_is_told_and_ended(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    ann.send_raw(encode("say", text="x" * 100)[:50])
    world.advance(29.875)
    assert "error" not in kinds(ann.frames())
    world.advance(0.125)
    assert ann.frames()[-1]["code"] == "timeout"
    assert ann.ended
    assert bob.frames()[-1].type == "left"


def test_the_frames_time_is_absolute(world: World) -> None:
    ann = world.join("ann")
    trickle(ann, encode("say", text="x" * 100), 2.0, 28)
    assert kinds(ann.frames()) == []
    ann.send_raw(b"x")
    world.advance(2)
    (error,) = ann.frames()
    assert error["code"] == "timeout"


def test_each_frame_has_its_time(world: World) -> None:
    ann = world.join("ann")
    frame = encode("say", text="hi")
    ann.send_raw(frame[:10])
    for _ in range(5):
        world.advance(25)
        ann.send_raw(frame[10:] + frame[:10])
        world.settle()
        assert kinds(ann.frames()) == ["message"]


def test_a_frames_time_ends_with_it(world: World) -> None:
    ann = world.join("ann")
    frame = encode("say", text="hi")
    ann.send_raw(frame[:10])
    world.advance(20)
    ann.send_raw(frame[10:])
    world.advance(29)
    assert "error" not in kinds(ann.frames())


def test_a_held_frame_waits_for_us(start: Start) -> None:
    world = start(rate=1.0, burst=1, rate_bytes=0.0, frame_timeout=4.0)
    ann = world.join("ann")
    ann.send_raw(encode("say", text="hi") * 20 + encode("say", text="hi")[:10])
    world.advance(20)
    assert kinds(ann.frames()) == ["message"] * 20
    world.advance(5)
    assert ann.frames()[-1]["code"] == "timeout"


# -- pings and idle --------------------------------------------------------------


def test_who_is_silent_is_pinged_and_then_ended(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    for second in range(1, 90):
        world.advance(1)
        bob.send("pong")
        expected = ["ping"] if second in (30, 60) else []
        assert kinds(ann.frames()) == expected, second
    world.advance(1)
    (kick,) = ann.frames()
    assert kick["reason"] == "idle"
    assert ann.ended
    (left,) = bob.frames()
    assert left["reason"] == "idle"


def test_who_answers_stays(world: World) -> None:
    ann = world.join("ann")
    for _ in range(20):
        world.advance(30)
        assert kinds(ann.frames()) == ["ping"]
        ann.send("pong")
    world.settle()
    assert ann.frames() == []


def test_who_speaks_is_not_pinged(world: World) -> None:
    ann = world.join("ann")
    for _ in range(20):
        world.advance(29)
        ann.send("say", text="hi")
        world.settle()
        assert kinds(ann.frames()) == ["message"]


@pytest.mark.parametrize("hello_timeout", [0.0, 10.0, 60.0])
def test_pings_come_whatever_the_hellos_time_was(
    start: Start, hello_timeout: float
) -> None:
    world = start(hello_timeout=hello_timeout, ping_interval=2.0, idle_timeout=5.0)
    ann = world.join("ann")
    world.advance(2)
    assert kinds(ann.frames()) == ["ping"]
    world.advance(2)
    assert kinds(ann.frames()) == ["ping"]
    world.advance(1)
    assert kinds(ann.frames()) == ["kick"]


def test_pings_without_an_idle_timeout(start: Start) -> None:
    world = start(idle_timeout=0.0)
    ann = world.join("ann")
    world.advance(300)
    assert kinds(ann.frames()) == ["ping"] * 10


def test_an_idle_timeout_without_pings(start: Start) -> None:
    world = start(ping_interval=0.0)
    ann = world.join("ann")
    world.advance(89.875)
    assert ann.frames() == []
    world.advance(0.125)
    assert kinds(ann.frames()) == ["kick"]


def test_neither(start: Start) -> None:
    world = start(ping_interval=0.0, idle_timeout=0.0)
    ann = world.join("ann")
    world.advance(1e6)
    assert ann.frames() == []
    assert not ann.ended


def test_after_we_stood_still_nobody_is_idle_at_once(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    world.server.install_signals()
    world.clock.advance(300)
    signal.raise_signal(signal.SIGCONT)
    world.settle()
    assert kinds(ann.frames()) == ["ping"]
    assert kinds(bob.frames()) == ["ping"]
    bob.send("pong")
    world.advance(29.875)
    assert "kick" not in kinds(ann.frames())
    world.advance(0.125)
    assert ann.frames()[-1]["reason"] == "idle"
    assert "kick" not in kinds(bob.frames())
