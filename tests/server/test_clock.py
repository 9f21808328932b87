"""The wall clock may be set to whatever it likes: it is shown, and nothing else."""

from types import SimpleNamespace

import pytest

from chatroom.server import connection
from tests.support.inprocess import World, kinds

STEPS = (3600.0, -7200.0, 4_102_444_800.0, -4_102_444_800.0, 0.0)
"""An hour on, two back, the year 2100 and back again (seconds)."""


def test_steps_of_the_wall_clock_change_nothing_but_times(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    wall, shown = 1_700_000_000.0, []
    for number, step in enumerate(STEPS, 1):
        wall += step
        clock = SimpleNamespace(time=lambda now=wall: now)
        monkeypatch.setattr(connection, "time", clock)
        ann.send("say", text="what time is it?")
        world.advance(1)
        for client in (ann, bob):
            (frame,) = client.frames()
            assert (frame.type, frame["id"]) == ("message", number)
        shown.append(frame["at"])
    assert shown[2] > shown[0] > shown[1]
    bob.send("history", limit=len(STEPS))
    world.settle()
    (page,) = bob.frames()
    assert [message["at"] for message in page["messages"]] == shown
    assert kinds(ann.frames()) == []
