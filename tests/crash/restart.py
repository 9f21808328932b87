"""A restart that was planned, while a crowd chats: the client that users run, often.

    through_restart(folder, clients=1000, ...) -> Figures

Each member is a ``Client`` of ``chatroom/client/`` with all that it has, its session
and its way back, and all of them share one loop; only what they would show is kept
instead.  Newcomers arrive all the while.  The server is stopped as a service manager
stops it, and another one started on the same port and the same history.  In the end
what each of them has seen is held against that file.
"""

from __future__ import annotations

import random
import signal
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chatroom.client.client import Client
from chatroom.client.frames import Fields
from chatroom.client.lines import Line
from chatroom.client.options import Options
from chatroom.client.render import JsonRenderer, Shown
from chatroom.client.security import Security, make_security
from chatroom.client.session import Session
from chatroom.client.status import Status
from chatroom.errors import ChatroomError
from chatroom.net.loop import Loop
from tests.support.manager import Manager
from tests.support.server import Server
from tests.support.tls import CERT, KEY

PATIENCE = 60.0
"""Seconds for whatever is waited for; far more than anything may take."""
ENTERING = 50
"""Members that come in at the same time at the start, where nothing is measured."""
NEWCOMERS = 20.0
"""Of them in a second, on the average."""
NEVER = 1 << 62
"""What comes behind all messages."""
SLICE = 0.1
"""Seconds of a row of the histogram."""


class Memory(JsonRenderer):
    """Keeps the messages that a client would show."""

    def __init__(self) -> None:
        super().__init__()
        self.joined_at: int | None = None
        """The last message of the room when its member came in."""
        self.ids: list[int] = []
        self.texts: set[str] = set()
        self.notices: list[str] = []

    def render(
        self,
        kind: str | None,
        frame: Fields,
        session: Session,
        back: bool = False,
    ) -> list[Shown]:
        """Keep *frame* where it is a message; nothing is shown."""
        if kind == "message":
            self.ids.append(frame["id"])
            self.texts.add(frame["text"])
        elif kind == "room" and self.joined_at is None:
            self.joined_at = frame["last_id"]
        return []

    def notice(self, text: str) -> list[Shown]:
        """Keep *text*."""
        self.notices.append(text)
        return []


class NoFace:
    """A face that shows nothing, and takes its lines from a test."""

    interactive = False

    def open(self) -> None: ...
    def listen(self, on: bool) -> None: ...
    def show(self, lines: list[Line], speech: bool) -> None: ...
    def status(self, status: Status) -> None: ...
    def bell(self) -> None: ...
    def prompt(self, text: str, secret: bool = False) -> None: ...
    def close(self) -> None: ...
    def flush(self) -> None: ...


class Regular(Client):
    """One member of the crowd."""

    def __init__(
        self,
        loop: Loop,
        address: tuple[str, int],
        nick: str,
        room: str,
        security: Security | None = None,
    ) -> None:
        host, port = address
        self.loop = loop
        self.memory = Memory()
        self.said: list[str] = []
        self.said_away = 0
        self.tries: list[float] = []
        """When it tried to come back."""
        self.lost_at = 0.0
        """When it lost its connection; 0: never, or it is back."""
        self.back_at = 0.0
        super().__init__(
            loop,
            Options(host, port, nick=nick, room=room, give_up=PATIENCE),
            [(socket.AF_INET, address)],
            self.memory,
            security=security,
        )
        self.face = NoFace()
        self.over = False
        """Whether it has ended: nobody of them ever wants to."""

    def try_again(self) -> None:
        """Note when it is."""
        self.tries.append(self.loop.clock())
        super().try_again()

    def lost(self, error: ChatroomError) -> None:
        """Note when it was."""
        if self.session.settled:
            self.lost_at = self.loop.clock()
        super().lost(error)

    def frame_received(self, frame: Fields) -> None:
        """Note when all is as it was."""
        super().frame_received(frame)
        if self.lost_at and self.session.settled:
            self.lost_at, self.back_at = 0.0, self.loop.clock()

    def _finish(self, code: int, error: Exception | None = None) -> None:
        self.over = True
        super()._finish(code, error)

    def speak(self) -> None:
        """Say something that was never said before."""
        text = f"{self.session.nick} says {len(self.said)}"
        self.said.append(text)
        self.said_away += bool(self.lost_at)
        self.entered(text)

    def witness(self) -> Witness:
        """Return what it has said and seen."""
        joined_at, seen = self.memory.joined_at, self.memory.ids
        if joined_at is None:
            joined_at = NEVER
        return Witness(self.session.nick, self.session.room, self.said, joined_at, seen)

    @property
    def is_in(self) -> bool:
        """Whether it takes part, and nothing from before is in doubt."""
        return self.session.settled

    @property
    def heard_itself(self) -> bool:
        """Whether all that it said has come back to it."""
        return self.over or (self.is_in and self.memory.texts.issuperset(self.said))


@dataclass(frozen=True)
class Witness:
    """What a member can tell in the end."""

    nick: str
    room: str
    said: Sequence[str]
    joined_at: int
    """The last message of the room before it came."""
    seen: Sequence[int]


@dataclass
class Figures:
    """What a restart has come to."""

    clients: int = 0
    newcomers: int = 0
    """Who came while it went on, beside them."""
    turned_away: int = 0
    """Of all of them: who had to give up, or was not let in at once."""
    said: int = 0
    said_away: int = 0
    """Of that: while who said it had no connection."""
    lost: list[str] = field(default_factory=list)
    """Each text that is not kept, or not seen by somebody who was there."""
    doubled: list[str] = field(default_factory=list)
    """Each that is kept twice, or was seen twice by somebody."""
    down: float = 0.0
    """Seconds from the signal until the next server took connections."""
    back: float = 0.0
    """Seconds from the signal until the last one was back."""
    attempts: list[float] = field(default_factory=list)
    """When somebody tried to come back: seconds from the signal."""

    def attempts_in(self, seconds: float) -> Counter[int]:
        """Return how many there were in each slice of so many *seconds*."""
        return Counter(int(when / seconds) for when in self.attempts)

    def histogram(self) -> Iterator[tuple[str, str]]:
        """Tell how often they tried, in each slice of time of those in question."""
        counts = self.attempts_in(SLICE)
        for number in range(min(counts), max(counts) + 1):
            bar = "#" * round(12 * counts[number] / max(counts.values()))
            yield f"{number * SLICE:.1f} s", f"{bar} {counts[number]}".strip()


class Crowd:
    """All of them, and the loop that they share."""

    def __init__(
        self,
        address: tuple[str, int],
        rooms: int,
        pace: float,
        security: Security | None = None,
    ) -> None:
        self.loop = Loop(time.monotonic)
        self.loop.on_error = self._failed
        self.members: list[Regular] = []
        self.talking = False
        self._address = address
        self._rooms = rooms
        self._security = security
        self._pace = pace
        """Seconds between two texts of one of them, on the average."""
        self._chance = random.Random(2428)
        self._arriving = False

    def serve(self, until: Callable[[], bool], what: str) -> None:
        """Serve all until something holds; it has to in time."""
        deadline = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
            self.loop.tick(0.01)

    def serve_for(self, seconds: float) -> None:
        """Serve all for so long."""
        end = time.monotonic() + seconds
        self.serve(lambda: time.monotonic() >= end, "time has passed")

    def enter(self) -> Regular:
        """Let one more come in, who talks while that is asked for."""
        number = len(self.members)
        room = f"room-{number % self._rooms}"
        one = Regular(self.loop, self._address, f"m{number}", room, self._security)
        self.members.append(one)
        one.start()
        self._later(one)
        return one

    def fill(self, clients: int) -> None:
        """Let so many come in."""
        while len(self.members) < clients:
            batch = [
                self.enter() for _ in range(min(ENTERING, clients - len(self.members)))
            ]
            self.serve(lambda batch=batch: all(one.is_in for one in batch), "all in")  # type: ignore[misc]

    def let_newcomers_arrive(self, on: bool) -> None:
        """Let more of them come from now on, or no more."""
        self._arriving = on
        if on:
            self._next_newcomer()

    def _next_newcomer(self) -> None:
        if self._arriving:
            self.enter()
            wait = self._chance.expovariate(NEWCOMERS)
            self.loop.call_later(wait, self._next_newcomer)

    def _later(self, one: Regular) -> None:
        wait = self._chance.expovariate(1 / self._pace)
        self.loop.call_later(wait, partial(self._speak, one))

    def _speak(self, one: Regular) -> None:
        if self.talking and not one.over and one.memory.joined_at is not None:
            one.speak()
        self._later(one)

    def close(self) -> None:
        """Let all go."""
        for one in self.members:
            one._finish(0)
        self.loop.tick(0)
        self.loop.close()

    @staticmethod
    def _failed(error: Exception) -> None:
        raise error


def through_restart(
    folder: Path,
    *,
    clients: int,
    rooms: int,
    pace: float,
    before: float = 2.0,
    after: float = 2.0,
    lend: bool = True,
    tls: bool = False,
    pause: float = 0.0,
    begin: Callable[[Server], None] = lambda _: None,
) -> Figures:
    """Let *clients* chat in *rooms*, each every *pace* seconds, through a restart.

    *before* and *after* it they chat for so many seconds, and between the two servers
    there is a *pause*; with *tls* all of it is secret.  Without *lend* the port is the
    server's own, and nobody comes for the first time while there is none.  *begin* is
    called with each server when it was started.
    """
    history = folder / "history.db"
    options = ["--history", str(history), "--log-level", "warning"]
    options += ["--max-clients-per-ip", "0"]
    security = None
    if tls:
        options += ["--tls-cert", CERT, "--tls-key", KEY]
        security = make_security(Options(tls=True, tls_ca=CERT))
    with Manager(folder, lend=lend) as manager:
        crowd = Crowd(manager.address, rooms, pace, security)
        try:
            server = manager.start(*options)
            begin(server)
            crowd.fill(clients)
            regulars = crowd.members[:clients]
            crowd.talking = True
            crowd.serve_for(before)
            crowd.let_newcomers_arrive(lend)
            began = crowd.loop.clock()
            server.send_signal(signal.SIGTERM)
            crowd.serve(lambda: not server.alive, "it has stopped")
            assert server.wait() == 0
            crowd.serve_for(pause)
            server = manager.launch(*options)
            begin(server)
            crowd.serve(lambda: server.has_spoken, "the next one is there")
            server.await_listening()
            down = crowd.loop.clock() - began
            crowd.serve(lambda: all(one.back_at for one in regulars), "all are back")
            crowd.serve_for(after)
            crowd.let_newcomers_arrive(False)
            crowd.talking = False
            members = crowd.members
            crowd.serve(
                lambda: all(one.is_in or one.over for one in members), "all are in"
            )
            crowd.serve(lambda: all(one.heard_itself for one in members), "all is said")
            # What is said last has to get to those who are in the same room.
            crowd.serve_for(0.5)
            turned_away = sum(one.over for one in members)
        finally:
            crowd.close()
    witnesses = [one.witness() for one in members]
    with closing(sqlite3.connect(history)) as db:
        rows = db.execute("SELECT room, id, text FROM messages").fetchall()
    lost, doubled = compare(witnesses, rows)
    return Figures(
        clients=clients,
        newcomers=len(members) - clients,
        turned_away=turned_away,
        said=sum(len(one.said) for one in members),
        said_away=sum(one.said_away for one in members),
        lost=lost,
        doubled=doubled,
        down=down,
        back=max(one.back_at for one in regulars) - began,
        attempts=sorted(when - began for one in members for when in one.tries),
    )


def compare(
    witnesses: Sequence[Witness], rows: Sequence[tuple[str, int, str]]
) -> tuple[list[str], list[str]]:
    """Return what was lost and what was doubled, by what is kept: room, id and text.

    Each text is kept once, and each who was in its room has seen it once.
    """
    kept = Counter(text for _, _, text in rows)
    doubled = [text for text, times in kept.items() if times > 1]
    ids: dict[str, list[int]] = {}
    for room, number, _ in rows:
        ids.setdefault(room, []).append(number)
    lost: list[str] = []
    for one in witnesses:
        lost += [text for text in one.said if text not in kept]
        seen = Counter(one.seen)
        doubled += [
            f"{one.nick} saw {number} in {one.room} {times} times"
            for number, times in seen.items()
            if times > 1
        ]
        lost += [
            f"{one.nick} never saw {number} in {one.room}"
            for number in ids.get(one.room, [])
            if number > one.joined_at and number not in seen
        ]
    return lost, doubled
