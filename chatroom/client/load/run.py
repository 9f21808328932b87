"""One run: everybody joins, gets in step, talks, and has to have got everything.

    Run(options, loop, swarm, usage, show).play(scenario) -> Result

A scenario is a function that calls the methods here in its own order: ``join``, then
``synchronise`` (one first message in each room, from which on streams are compared),
``watch``, then ``measure``, or ``begin`` ... ``complete``, ``end``.
Must not know: how bytes move, and how a report looks.
"""

from __future__ import annotations

import gc
import random
import secrets
import time
from array import array
from collections.abc import Callable, Sequence

from chatroom.client.load.check import Violation
from chatroom.client.load.options import Options
from chatroom.client.load.process import Usage
from chatroom.client.load.report import Result
from chatroom.client.load.swarm import Client, Swarm
from chatroom.client.load.talk import Talk, Texts
from chatroom.net.loop import Loop

SAMPLES_PER_SECOND = 25_000
"""Deliveries whose latency is taken, about; more would slow down what is measured."""
WATCHED_FLAT_OUT = 8
"""Members that latency is taken of when it is not what the run is about."""
LOOK_AGAIN = 0.002
"""Seconds between two looks at whether all has come, as each looks at everybody."""
PROGRESS_INTERVAL = 0.2
"""Seconds between two lines of progress."""

_Marks = tuple[float, float | None, float, int, int]
"""Time, the server's CPU and ours in seconds, messages and deliveries, at the start."""


class Run:
    """One run of one scenario."""

    def __init__(
        self,
        options: Options,
        loop: Loop,
        swarm: Swarm,
        usage: Usage | None,
        show: Callable[[str], None] | None,
    ) -> None:
        self.options = options
        self.loop = loop
        self.swarm = swarm
        self.texts = Texts(options.size, options.seed)
        self.stride = 1
        """Every how manieth message has its latency taken."""
        self.late = array("d")
        self.rooms: dict[str, list[Client]] = {}
        self.joined = 0
        self.chance = random.Random(options.seed)
        self.result = Result(
            options.scenario,
            options.clients,
            options.talkers,
            options.rooms,
            options.size,
        )
        self._usage = usage
        self._show = show
        # Two load tests on one server must not hear each other.
        self._prefix = f"load-{secrets.token_hex(3)}"
        self._phase = ""
        self._began = loop.clock()
        self._marks: _Marks = (0.0, None, 0.0, 0, 0)

    def play(self, scenario: Callable[[Run], None]) -> Result:
        """Do all of *scenario*; ``Violation`` is raised at the first that is wrong."""
        if self._usage is not None:
            self.result.memory_empty = self._usage.memory()
        if self._show is not None:
            self._report_progress()
        try:
            scenario(self)
        finally:
            gc.unfreeze()
        result, swarm = self.result, self.swarm
        result.latency = sorted(swarm.latency)
        result.late = sorted(self.late)
        result.pings = swarm.pings
        result.cut_off = swarm.cut_off
        if self._usage is not None:
            result.memory_end = self._usage.memory()
        return result

    # -- parts of a scenario ----------------------------------------------------

    def join(self, count: int, slow: int = 0) -> None:
        """Bring *count* clients in, spread over the rooms; the last *slow* are slow."""
        self._phase = "joining"
        began = self.loop.clock()
        for number in range(count):
            self.enter(self.room_name(number), slow=number >= count - slow)
        self.wait(lambda: self.joined >= count, "somebody got no room")
        self.result.join_seconds = self.loop.clock() - began

    def enter(self, room: str, slow: bool = False) -> None:
        """Bring one client into *room*."""
        self.swarm.enter(room, self._entered, slow)

    def room_name(self, number: int) -> str:
        """Return the room of the client of that number."""
        if self.options.address is None and self.options.rooms == 1:
            return "lobby"
        return f"{self._prefix}-{number % self.options.rooms}"

    def _entered(self, client: Client) -> None:
        self.joined += 1
        self.rooms.setdefault(client.stream.room, []).append(client)

    def synchronise(self) -> None:
        """Have a first message in each room, which brings everybody in step."""
        self._phase = "checking"
        for members in self.rooms.values():
            self.say_one(members[0])
        self.complete()
        gc.collect()
        gc.freeze()
        self.weigh()
        self.pause(self.options.settle)

    def weigh(self) -> None:
        """All are in: see what memory the server takes now."""
        if self._usage is not None:
            self.result.memory_joined = self._usage.memory()

    def say_one(self, client: Client) -> None:
        """Say something that is not measured."""
        client.say(self.texts.make(client, 1), [-1.0])

    def talkers(self, count: int) -> list[Client]:
        """Return *count* who are to talk, evenly from all rooms and all who are there.

        The last of a room is among them: who is sent to last sets the pace.
        """
        rooms = list(self.rooms.values())
        chosen: list[list[Client]] = []
        for number, members in enumerate(rooms):
            share = count // len(rooms) + (number < count % len(rooms))
            fast = [client for client in members if not client.slow]
            chosen.append(spread(fast, share))
        longest = max(map(len, chosen))
        return [some[i] for i in range(longest) for some in chosen if i < len(some)]

    def watch(self, rate: float | None) -> None:
        """Have latency taken, of all or, where that is too many, of some.

        *rate* is of all rooms together; ``None``: as fast as it goes.
        """
        clients = [client for client in self.swarm.clients if not client.slow]
        if rate is None:
            watched = WATCHED_FLAT_OUT
        else:
            in_room = rate / len(self.rooms)
            watched = max(WATCHED_FLAT_OUT, int(SAMPLES_PER_SECOND / in_room))
            watched = min(watched, len(clients))
            self.stride = max(1, int(in_room * watched / SAMPLES_PER_SECOND))
        for client in spread(clients, watched):
            client.watched = True

    def measure(self, talk: Talk) -> None:
        """Run *talk* until all has come to all, and take the figures."""
        self.begin()
        talk.start()
        self._phase = "talking"
        self.wait(lambda: talk.over, "no message came back")
        self.complete()
        self.end()

    def begin(self) -> None:
        """What is used from now on counts."""
        usage, swarm = self._usage, self.swarm
        self._marks = (
            self.loop.clock(),
            usage.cpu() if usage is not None else None,
            time.process_time(),
            swarm.messages(),
            swarm.delivered(),
        )

    def end(self) -> None:
        """Take the figures since ``begin``."""
        began, cpu, own, messages, delivered = self._marks
        result, swarm = self.result, self.swarm
        result.seconds = self.loop.clock() - began
        now = self._usage.cpu() if self._usage is not None else None
        result.server_cpu = now - cpu if now is not None and cpu is not None else None
        result.own_cpu = time.process_time() - own
        result.messages = swarm.messages() - messages
        result.deliveries = swarm.delivered() - delivered

    def complete(self) -> None:
        """Wait until everybody has got everything."""
        looked = 0.0

        def all_has_come() -> bool:
            nonlocal looked
            if self.loop.now - looked < LOOK_AGAIN:
                return False
            looked = self.loop.now
            return self.swarm.lacks() is None

        self.wait(all_has_come, None, LOOK_AGAIN)

    def wait(
        self, done: Callable[[], bool], what: str | None, longest: float = 0.05
    ) -> None:
        """Serve the loop until *done*, which is asked after each tick.

        A tick waits *longest* seconds at most.  Where nothing at all comes for too
        long, ``Violation`` says *what*, or what is missing.
        """
        loop, swarm, patience = self.loop, self.swarm, self.options.patience
        progress, since = -1, loop.clock()
        looked = since
        while not done():
            loop.tick(longest)
            if loop.now - looked < 0.2:
                continue
            looked = loop.now
            if swarm.progress() != progress:
                progress, since = swarm.progress(), loop.now
            elif loop.now - since > patience:
                raise Violation(
                    f"nothing came for {patience:g} s, but "
                    f"{swarm.lacks() or what or 'it is not at its end'}"
                )

    def pause(self, duration: float) -> None:
        """Only serve the loop, for *duration* seconds."""
        until = self.loop.clock() + duration
        while self.loop.clock() < until:
            self.loop.tick(min(0.05, max(0.0, until - self.loop.clock())))

    def _report_progress(self) -> None:
        if self._show is not None:
            seconds = self.loop.clock() - self._began
            self._show(
                f"{self.options.scenario}: {self._phase}, {len(self.swarm.clients)} "
                f"clients, {self.swarm.messages()} messages, {seconds:.0f} s"
            )
            self.loop.call_later(PROGRESS_INTERVAL, self._report_progress)


def spread(clients: Sequence[Client], count: int) -> list[Client]:
    """Return *count* of *clients*, evenly spaced, the last among them."""
    count = min(count, len(clients))
    return [clients[(i + 1) * len(clients) // count - 1] for i in range(count)]
