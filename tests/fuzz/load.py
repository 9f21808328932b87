"""Members who chat at a steady rate, and how late each hears what was said.

For the loads that ``chat-load`` does not know: through TLS, over WebSocket, beside
hostile clients, beside members who read nothing.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chatroom.client.load.process import pin, two_cores
from tests.fuzz.lane import Lane, Lanes
from tests.support import web
from tests.support.peer import encode
from tests.support.server import ROOT, Server
from tests.support.tls import CERT, KEY

MIB = 1024 * 1024
TEXT = b'"text":"no '
DIGITS = 8
PATIENCE = 20.0
"""Seconds within which everybody is in, or has heard everything."""


class Chat:
    """So many members in a room; *stalled* others come in and read nothing.

    All of them speak WebSocket if it is *on_web*.  What is heard is looked for in the
    bytes that come, in which frames of any dialect look alike.
    """

    def __init__(
        self,
        address: tuple[str, int],
        members: int,
        *,
        rate: float,
        size: int = 64,
        tls: ssl.SSLContext | None = None,
        stalled: int = 0,
        on_web: bool = False,
    ) -> None:
        self.late: list[float] = []
        """Seconds from the saying to the hearing, of each that hears."""
        self.said = 0
        self._rate = rate
        self._size = size
        self._encode = web.encode if on_web else encode
        self._lanes = Lanes()
        self.members = [Lane(address, tls=tls) for _ in range(members)]
        self._others = [Lane(address, tls=tls, rcvbuf=4096) for _ in range(stalled)]
        self._sent_at: list[float] = []
        self._order: list[int] = []
        """The numbers of the texts as they came first; for everybody else the same."""
        self._under_way: set[int] = set()
        """Those that nobody has heard yet."""
        self._heard = dict.fromkeys(self.members, 0)
        for lane in self.members + self._others:
            lane.send(web.upgrade() if on_web else b"")
            lane.send(self._encode("hello", version=1))
            self._lanes.watch(lane)
        self._wait(
            lambda: all(b'"type":"room"' in lane.received for lane in self._all()),
            "not everybody was let in",
        )
        for lane in self._others:
            lane.reads = False
            self._lanes.watch(lane)

    def run(self, seconds: float, look: Callable[[], None] = lambda: None) -> None:
        """Chat so long; *look* is called now and then."""
        began = time.perf_counter()
        while (now := time.perf_counter()) < began + seconds:
            due = began + self.said / self._rate
            if now >= due:
                self._say(now)
                continue
            self._turn(min(due - now, 0.02))
            look()
        self._wait(
            lambda: all(heard == self.said for heard in self._heard.values()),
            f"of {self.said} some were not heard",
        )

    def flat_out(self, seconds: float, in_flight: int) -> None:
        """Have so many texts under way for so long."""
        began = time.perf_counter()
        while (now := time.perf_counter()) < began + seconds:
            slowest = min(self._heard.values())
            for _ in range(in_flight - (self.said - slowest)):
                self._say(now)
            self._turn(0.02)
        self._wait(
            lambda: all(heard == self.said for heard in self._heard.values()),
            f"of {self.said} some were not heard",
        )

    def close(self) -> None:
        """Let everybody go."""
        self._lanes.close()
        for lane in self._all():
            lane.close()

    def _all(self) -> list[Lane]:
        return self.members + self._others

    def _say(self, now: float) -> None:
        text = f"no {self.said:0{DIGITS}} ".ljust(self._size, "x")
        lane = self.members[self.said % len(self.members)]
        self._sent_at.append(now)
        self._under_way.add(self.said)
        self.said += 1
        lane.send(self._encode("say", text=text))
        self._lanes.watch(lane)

    def _turn(self, patience: float) -> None:
        for lane in self._lanes.turn(patience):
            if lane in self._heard:
                self._hear(lane, time.perf_counter())

    def _hear(self, lane: Lane, now: float) -> None:
        data, heard, order = lane.received, self._heard[lane], self._order
        end = 0
        while (at := data.find(TEXT, end)) >= 0 and at + len(TEXT) + DIGITS <= len(
            data
        ):
            end = at + len(TEXT) + DIGITS
            number = int(data[end - DIGITS : end])
            if heard == len(order) and number in self._under_way:
                self._under_way.remove(number)
                order.append(number)
            if order[heard : heard + 1] != [number]:
                raise AssertionError(f"{number} came as the {heard}th")
            self.late.append(now - self._sent_at[number])
            heard += 1
        del data[:end]
        self._heard[lane] = heard
        if lane.over:
            raise AssertionError(f"a member was cut off: {lane.why or 'closed'}")

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.perf_counter() + PATIENCE
        while not done():
            if time.perf_counter() > deadline:
                raise AssertionError(what)
            self._turn(0.01)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so large a *share* of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def server(*options: str, tls: bool = False) -> Iterator[Server]:
    """Start a server on a core of its own, where there are two."""
    if tls:
        options += ("--tls-cert", CERT, "--tls-key", KEY)
    with tempfile.TemporaryDirectory(prefix="chatroom-") as folder:
        one = Server(*options, log=Path(folder) / "log")
        with one:
            cores = two_cores()
            if cores is not None:
                pin(one.pid, cores[0])
                before = os.sched_getaffinity(0)
                pin(0, cores[1])
            try:
                yield one
            finally:
                if cores is not None:
                    os.sched_setaffinity(0, before)


@dataclass
class Beside:
    """What twenty members felt of fifty hostile connections."""

    worst: float = 0.0
    p99: float = 0.0
    heard: int = 0
    memory: int = 0
    """Resident bytes of the server, at most."""
    bound: int = 0
    """Bytes that it said it needs at most."""
    share: float = 0.0
    """Of a core, that the server took."""
    hostile: dict[str, dict[str, int]] = field(default_factory=dict)


def beside_hostiles(
    seconds: float, seed: int, *kinds: str, members: int = 20
) -> Beside:
    """Let *members* chat at 50 texts a second beside hostile clients of these *kinds*.

    All kinds, where none is named.
    """
    with server(tls=True) as one:
        found = Beside()
        found.bound = printed_bound(one)
        chat = Chat(one.address, members, rate=50.0)
        command = [sys.executable, "-m", "tests.fuzz.hostile"]
        where = f"{one.address[0]}:{one.address[1]}"
        with subprocess.Popen(
            [*command, where, str(seed), *kinds],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as hostile:
            assert hostile.stdout is not None and hostile.stdin is not None
            try:
                assert hostile.stdout.readline() == "hostile\n"
                began, cpu = time.monotonic(), one.cpu()

                def look() -> None:
                    found.memory = max(found.memory, one.rss())

                chat.run(seconds, look)
                found.share = (one.cpu() - cpu) / (time.monotonic() - began)
                hostile.stdin.close()
                found.hostile = json.loads(hostile.stdout.readline())
            finally:
                if not hostile.stdin.closed:
                    hostile.stdin.close()
                chat.close()
        found.worst, found.p99 = max(chat.late), percentile(chat.late, 0.99)
        found.heard = len(chat.late)
    return found


def printed_bound(one: Server) -> int:
    """Return what the server said at its start that it needs at most (bytes)."""
    shown = one.log().partition("at most ")[2].partition(" MiB")[0]
    return int(shown or 0) * MIB
