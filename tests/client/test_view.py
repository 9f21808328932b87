"""What the user gets to see and to hear, with a face that remembers."""

import pytest

from chatroom.client.frames import Fields
from chatroom.client.render import Renderer
from chatroom.client.session import Session
from chatroom.client.status import Status
from chatroom.client.transcript import Heard
from chatroom.client.view import View
from chatroom.net.loop import Loop
from tests.client.fakes import MESSAGE, ROOM, WELCOME, FakeClock, FakeFace

WARNING: Fields = {
    "type": "warning",
    "reason": "shouting",
    "strikes": 1,
    "limit": 2,
    "text": "not so loud",
}


class Seen:
    """A view of a session that is in, and what came of it."""

    def __init__(
        self, loop: Loop, clock: FakeClock, bell: str, interactive: bool
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.session = Session()
        self.face = FakeFace(interactive)
        self.view = View(loop, self.session, Renderer(lambda: 0.0, clock), bell)
        self.view.face = self.face
        self.hear(WELCOME, ROOM)

    def hear(self, *frames: Fields) -> None:
        for frame in frames:
            self.view.show(self.session.receive(frame["type"], frame))

    def joined(self, *nicks: str) -> None:
        for nick in nicks:
            self.hear({"type": "joined", "room": "lobby", "nick": nick})

    def wait(self, seconds: float) -> None:
        self.clock.time += seconds
        self.loop.tick(0)


@pytest.fixture
def seen(loop: Loop, clock: FakeClock) -> Seen:
    """What a person sees."""
    return Seen(loop, clock, "mention", interactive=True)


@pytest.mark.parametrize(("bell", "rings"), [("off", 0), ("mention", 2), ("all", 3)])
def test_the_bell(loop: Loop, clock: FakeClock, bell: str, rings: int) -> None:
    seen = Seen(loop, clock, bell, interactive=True)
    own = MESSAGE | {"from": "anna", "id": 3}
    seen.hear(MESSAGE, MESSAGE | {"id": 2, "text": "anna!"}, own, WARNING)
    assert seen.face.bells == rings


def test_events_and_words_come_in_their_order(seen: Seen) -> None:
    seen.view.show([Heard("message", MESSAGE), "a word"])
    seen.view.notice("another")
    assert [line.split(" ", 1)[1] for line in seen.face.lines[-3:]] == [
        "<bob> hello",
        "-- a word",
        "-- another",
    ]


def test_a_crowd_is_told_when_it_is_over(seen: Seen) -> None:
    seen.joined("eve", "bob", "carl")
    assert seen.face.shown.endswith("eve has joined")
    seen.wait(2.0)
    assert seen.face.shown.endswith("2 have joined: bob, carl")
    seen.joined("dan")
    seen.wait(2.0)
    assert seen.face.shown.endswith("dan has joined")


def test_at_the_end_nothing_is_held_back(seen: Seen) -> None:
    seen.joined("eve", "bob")
    seen.view.flush()
    assert seen.face.shown.endswith("bob has joined")
    assert not seen.loop.timers


def test_the_face_is_told_how_things_stand_when_that_changes(seen: Seen) -> None:
    seen.view.stand("", 0.25)
    expected = Status("lobby", "", "anna", 2, rtt=0.25)
    assert seen.face.status_now == expected
    seen.face.status_now = Status()
    seen.view.stand("", 0.25)
    assert seen.face.status_now == Status()
    seen.view.stand("connecting", None)
    assert seen.face.status_now == Status("lobby", "", "anna", 2, state="connecting")


def test_nobody_looks_at_the_status_of_a_script(loop: Loop, clock: FakeClock) -> None:
    seen = Seen(loop, clock, "off", interactive=False)
    seen.view.stand("connecting", None)
    assert seen.face.status_now == Status()


def test_a_mark_stands_where_the_user_stopped_reading(seen: Seen) -> None:
    seen.view.reading(False)
    seen.hear(MESSAGE)
    assert "-- unread since " in seen.face.shown
