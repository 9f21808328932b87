"""How long a round trip takes."""

import pytest

from chatroom.client.frames import Fields
from chatroom.client.pulse import INTERVAL, Pulse
from chatroom.net.loop import Loop
from tests.client.fakes import FakeClock


class Patient:
    """A pulse, and what it has sent and told."""

    def __init__(self, loop: Loop, clock: FakeClock) -> None:
        self.loop, self.clock = loop, clock
        self.sent: list[Fields] = []
        self.changes: list[float | None] = []
        self.pulse = Pulse(loop, self.sent.append, self._changed)

    def _changed(self) -> None:
        self.changes.append(self.pulse.rtt)

    def wait(self, seconds: float) -> None:
        self.clock.time += seconds
        self.loop.tick(0)

    def pong(self, number: int = -1) -> bool:
        return self.pulse.heard(self.sent[number] | {"type": "pong"})


@pytest.fixture
def patient(loop: Loop, clock: FakeClock) -> Patient:
    return Patient(loop, clock)


def test_it_is_measured_at_once_and_then_now_and_then(patient: Patient) -> None:
    patient.pulse.start()
    assert [frame["type"] for frame in patient.sent] == ["ping"]
    patient.wait(0.25)
    assert patient.pong()
    assert patient.changes == [0.25]
    patient.wait(INTERVAL - 0.5)
    assert len(patient.sent) == 1
    patient.wait(0.25)
    assert len(patient.sent) == 2
    assert patient.sent[0] != patient.sent[1]
    patient.wait(0.5)
    assert patient.pong()
    assert patient.changes == [0.25, 0.5]
    patient.pulse.stop()
    assert patient.loop.timers == 0


@pytest.mark.parametrize("data", [None, "", "pulse", "pulse 2"])
def test_other_pongs_are_others(patient: Patient, data: str | None) -> None:
    pong = {"type": "pong"} if data is None else {"type": "pong", "data": data}
    assert not patient.pulse.heard(pong)
    patient.pulse.start()
    assert not patient.pulse.heard(pong)
    assert patient.pulse.rtt is None
    patient.pulse.stop()


def test_a_second_answer_tells_nothing(patient: Patient) -> None:
    patient.pulse.start()
    patient.wait(1)
    assert patient.pong()
    patient.wait(1)
    assert patient.pong()
    assert patient.changes == [1]
    patient.pulse.stop()


def test_what_is_not_answered_takes_as_long_as_one_waits(patient: Patient) -> None:
    patient.pulse.start()
    patient.wait(INTERVAL)
    patient.wait(INTERVAL)
    assert len(patient.sent) == 1
    assert patient.changes == [INTERVAL, 2 * INTERVAL]
    patient.wait(1)
    assert patient.pong()
    assert patient.pulse.rtt == 2 * INTERVAL + 1
    patient.pulse.stop()


def test_another_connection_is_another_way(patient: Patient) -> None:
    patient.pulse.start()
    patient.wait(1)
    patient.pong()
    patient.pulse.stop()
    assert patient.pulse.rtt is None
    patient.pulse.start()
    assert not patient.pong(0), "it was lost with the other"
    assert len(patient.sent) == 2
    patient.pulse.stop()
