"""What a service manager is told, by a clock that the test moves."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chatroom.net.loop import Loop
from chatroom.server.notify import MAX_WAITING, RETRY, STATUS_INTERVAL, Notifier
from tests.support.clock import FakeClock

PID = 4711


class Unit:
    """A manager's end, and the notifier that tells it."""

    def __init__(self, name: str, **environ: str) -> None:
        self.clock = FakeClock()
        self.loop = Loop(self.clock)
        self.name = name
        self.address = "\0" + name[1:] if name.startswith("@") else name
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listen()
        self.reports: list[str] = []
        self.members = 0
        self.environ = {"NOTIFY_SOCKET": name, "HOME": "/", **environ}
        self.notifier = Notifier(self.loop, self.reports.append, self.environ, PID)

    def listen(self) -> None:
        """Be there, at once or again."""
        self.sock.close()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.address)
        self.sock.setblocking(False)

    def start(self) -> None:
        """Let the server be ready."""
        self.notifier.started(lambda: f"members: {self.members}")

    def heard(self) -> list[str]:
        """Return what has come."""
        found = []
        try:
            while True:
                found.append(self.sock.recv(4096).decode())
        except BlockingIOError:
            return found

    def advance(self, seconds: float) -> None:
        """Let time pass, an eighth of a second at a time."""
        for _ in range(round(seconds * 8)):
            self.clock.advance(0.125)
            self.loop.tick(0)

    def close(self) -> None:
        """End both, and see that nothing is left."""
        self.notifier.close()
        assert self.loop.timers == 0
        self.loop.close()
        self.sock.close()


Begin = Callable[..., Unit]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Make a unit with this in its environment."""
    made: list[Unit] = []

    def make(name: str = "", **environ: str) -> Unit:
        made.append(Unit(name or str(tmp_path / "notify"), **environ))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def unit(begin: Begin) -> Unit:
    """One that wants no signs of life."""
    return begin()


def test_it_is_told_that_we_are_ready_and_stop(unit: Unit) -> None:
    unit.start()
    assert unit.heard() == ["READY=1\nSTATUS=members: 0"]
    unit.notifier.stopping()
    assert unit.heard() == ["STOPPING=1"]


def test_an_abstract_address(begin: Begin) -> None:
    unit = begin(f"@chatroom-test-{os.getpid()}")
    unit.start()
    assert unit.heard() == ["READY=1\nSTATUS=members: 0"]


def test_it_is_in_the_environment_of_nobody_else(begin: Begin) -> None:
    unit = begin(WATCHDOG_USEC="1000000", WATCHDOG_PID=str(PID))
    assert unit.environ == {"HOME": "/"}


def test_who_has_no_manager_tells_nobody() -> None:
    loop = Loop(FakeClock())
    notifier = Notifier(loop, lambda _: None, {"WATCHDOG_USEC": "1000"}, PID)
    notifier.started(str)
    called: list[int] = []
    notifier.reloading(lambda: called.append(1))
    notifier.stopping()
    assert called
    assert loop.timers == 0
    notifier.close()
    loop.close()


# -- reloading -------------------------------------------------------------------


def test_a_reload_is_told_with_its_time(unit: Unit) -> None:
    unit.start()
    unit.heard()
    seen: list[str] = []
    unit.notifier.reloading(lambda: seen.extend(unit.heard()))
    (before,) = seen
    first, _, usec = before.partition("\nMONOTONIC_USEC=")
    assert first == "RELOADING=1"
    assert int(usec) > 0
    assert unit.heard() == ["READY=1"]


def test_a_reload_that_fails_is_over_too(unit: Unit) -> None:
    unit.start()

    def fail() -> None:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError):
        unit.notifier.reloading(fail)
    assert unit.heard()[-1] == "READY=1"


def test_who_stops_meanwhile_is_not_ready(unit: Unit) -> None:
    unit.start()
    unit.notifier.reloading(unit.notifier.stopping)
    assert unit.heard()[-1] == "STOPPING=1"
    unit.notifier.reloading(lambda: None)
    assert unit.heard() == []


# -- signs of life ---------------------------------------------------------------


def test_a_sign_of_life_twice_in_its_time(begin: Begin) -> None:
    unit = begin(WATCHDOG_USEC="1000000", WATCHDOG_PID=str(PID))
    unit.start()
    assert unit.heard() == ["READY=1\nSTATUS=members: 0", "WATCHDOG=1"]
    unit.advance(0.375)
    assert unit.heard() == []
    unit.advance(0.125)
    assert unit.heard() == ["WATCHDOG=1"]
    unit.members = 3
    unit.advance(1)
    assert unit.heard() == ["WATCHDOG=1\nSTATUS=members: 3", "WATCHDOG=1"]


def test_a_loop_that_hangs_gives_none(begin: Begin) -> None:
    unit = begin(WATCHDOG_USEC="1000000")
    unit.start()
    unit.heard()
    unit.clock.advance(10)
    assert unit.heard() == []
    unit.loop.tick(0)
    assert unit.heard() == ["WATCHDOG=1"]


def test_it_does_not_end_with_the_stop(begin: Begin) -> None:
    """That may take seconds, and who hangs in it is to be seen as well."""
    unit = begin(WATCHDOG_USEC="1000000")
    unit.start()
    unit.notifier.stopping()
    unit.heard()
    unit.advance(0.5)
    assert unit.heard() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(PID + 1)},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-5"},
    ],
)
def test_none_where_none_is_asked_for(begin: Begin, environ: dict[str, str]) -> None:
    unit = begin(**environ)
    unit.start()
    unit.heard()
    unit.advance(2 * STATUS_INTERVAL)
    assert unit.heard() == []


@pytest.mark.parametrize("usec", ["1", "9" * 5000])
def test_times_that_nobody_means(begin: Begin, usec: str) -> None:
    """They keep it from nothing else."""
    unit = begin(WATCHDOG_USEC=usec)
    unit.start()
    unit.advance(1)
    assert 1 <= len(unit.heard()) <= 10


def test_the_status_is_told_where_it_has_changed(unit: Unit) -> None:
    unit.start()
    unit.heard()
    unit.members = 7
    unit.advance(STATUS_INTERVAL - 0.125)
    assert unit.heard() == []
    unit.advance(0.125)
    assert unit.heard() == ["STATUS=members: 7"]
    unit.advance(2 * STATUS_INTERVAL)
    assert unit.heard() == []


# -- a manager that does not take it ---------------------------------------------


def fill(address: str) -> None:
    """Send so much that *address* takes no more, whoever sends."""
    sent = 1
    while sent:
        # What one socket has under way is bounded, too; it may be less.
        sent = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    sent += filler.sendto(b"full", address)


def test_what_is_not_taken_is_told_later_and_in_order(unit: Unit) -> None:
    fill(unit.address)
    unit.start()
    unit.notifier.reloading(lambda: None)
    unit.notifier.stopping()
    assert set(unit.heard()) == {"full"}
    assert len(unit.reports) == 1
    unit.advance(RETRY)
    first, reloading, *rest = unit.heard()
    assert first == "READY=1\nSTATUS=members: 0"
    assert reloading.startswith("RELOADING=1")
    assert rest == ["READY=1", "STOPPING=1"]


def test_a_manager_that_is_away_is_told_when_it_is_back(unit: Unit) -> None:
    os.unlink(unit.address)
    unit.start()
    unit.advance(3)
    assert unit.reports == [
        "the service manager cannot be told: No such file or directory"
    ]
    unit.listen()
    unit.advance(RETRY)
    assert unit.heard() == ["READY=1\nSTATUS=members: 0"]
    os.unlink(unit.address)
    unit.notifier.stopping()
    assert len(unit.reports) == 2


def test_signs_of_life_do_not_pile_up(begin: Begin) -> None:
    unit = begin(WATCHDOG_USEC="1000000")
    os.unlink(unit.address)
    unit.start()
    unit.advance(60)
    unit.listen()
    unit.advance(1)
    assert unit.heard()[:2] == ["READY=1\nSTATUS=members: 0", "WATCHDOG=1"]
    assert unit.loop.timers == 1


def test_what_waits_is_bounded(unit: Unit) -> None:
    os.unlink(unit.address)
    unit.start()
    for _ in range(1000):
        unit.notifier.reloading(lambda: None)
    unit.listen()
    unit.advance(RETRY)
    assert len(unit.heard()) <= MAX_WAITING


@pytest.mark.parametrize("name", ["x" * 200, "/", "vsock:2:1234", "@" + "x" * 200])
def test_an_address_that_is_none(name: str) -> None:
    loop = Loop(FakeClock())
    reports: list[str] = []
    notifier = Notifier(loop, reports.append, {"NOTIFY_SOCKET": name}, PID)
    notifier.started(str)
    assert len(reports) == 1
    assert "\n" not in reports[0]
    notifier.close()
    assert loop.timers == 0
    loop.close()
