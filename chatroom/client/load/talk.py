"""Who says what, and when: as fast as it comes back, or so many a second.

    FlatOut(run, talkers, in_flight) or Steady(run, talkers, rate); then start(), and
    over becomes true by itself at the end of the time or of the messages

Must not know: what is measured meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatroom.client.load.run import Run
    from chatroom.client.load.swarm import Client

FILLERS = 16
"""Different texts, but for the number that each begins with."""


class Texts:
    """Makes texts of one size, each talker's all different, in no capitals."""

    def __init__(self, size: int, seed: int) -> None:
        chance = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz "
        self._size = size
        self._fillers = [
            "".join(chance.choices(letters, k=size)).encode() for _ in range(FILLERS)
        ]

    def make(self, client: Client, count: int) -> list[bytes]:
        """Return *count* texts for *client* to say next."""
        size, fillers, said = self._size, self._fillers, client.said
        return [
            (b"%x " % number + fillers[number % FILLERS])[:size]
            for number in range(said, said + count)
        ]


class Talk:
    """Somebody's talking: begins with ``start``, is at its end when ``over``."""

    def __init__(self, run: Run, talkers: Sequence[Client]) -> None:
        self.run = run
        self.talkers = talkers
        self.over = False
        self.said = 0
        self._left = run.options.messages
        for client in talkers:
            client.echoed = self.echoed

    def start(self) -> None:
        """Begin, and set the time of the end where there is one."""
        if self._left is None:
            loop = self.run.loop
            loop.call_at(loop.clock() + self.run.options.duration, self.stop)

    def stop(self) -> None:
        """Say nothing more."""
        self.over = True

    def echoed(self, client: Client, count: int) -> None:
        """*count* messages of *client* have come back to it."""

    def granted(self, count: int) -> int:
        """Return how many of *count* messages may still be said, and count them."""
        if self._left is not None:
            count = min(count, self._left)
            self._left -= count
            if not self._left:
                self.over = True
        self.said += count
        return count


class FlatOut(Talk):
    """So many messages under way, never more: each echo makes room for another."""

    def __init__(self, run: Run, talkers: Sequence[Client], in_flight: int) -> None:
        super().__init__(run, talkers)
        self._stride = max(1, min(64, 4 * in_flight) // len(run.rooms))
        self._windows = [in_flight // len(talkers)] * len(talkers)
        for i in range(in_flight % len(talkers)):
            self._windows[i] += 1
        self._next = in_flight if in_flight < len(talkers) else -1
        """Whose turn it is where there are more talkers than messages, else -1."""

    def start(self) -> None:
        """Fill all windows."""
        super().start()
        for client, window in zip(self.talkers, self._windows, strict=True):
            self._say(client, window)

    def echoed(self, client: Client, count: int) -> None:
        """Say as many again: the same talker, or the next where they take turns."""
        if self._next < 0:
            self._say(client, count)
            return
        for _ in range(count):
            client = self.talkers[self._next % len(self.talkers)]
            self._next += 1
            self._say(client, 1)

    def _say(self, client: Client, count: int) -> None:
        if self.over or not count:
            return
        count = self.granted(count)
        when, stride, run = [-1.0] * count, self._stride, self.run
        for i in range(-self.said % stride, count, stride):
            when[i] = run.loop.clock()
        client.say(run.texts.make(client, count), when)


class Steady(Talk):
    """So many messages a second, whatever comes back: an open loop.

    Their latency counts from when they were to be said, so that a server that stands
    still for a while cannot hide it by having us wait.
    """

    def __init__(self, run: Run, talkers: Sequence[Client], rate: float) -> None:
        super().__init__(run, talkers)
        self._rate = rate
        self._began = 0.0

    def start(self) -> None:
        """Begin the schedule."""
        super().start()
        self._began = self.run.loop.clock()
        self._say_due()

    def _say_due(self) -> None:
        run, clock = self.run, self.run.loop.clock
        while not self.over:
            due = self._began + self.said / self._rate
            now = clock()
            if due > now:
                run.loop.call_at(due, self._say_due)
                return
            client = self.talkers[self.said % len(self.talkers)]
            when = due if self.said % run.stride == 0 else -1.0
            self.granted(1)
            run.late.append(now - due)
            client.say(run.texts.make(client, 1), [when])
