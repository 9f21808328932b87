"""Fifty connections that do their worst, in six ways, until stdin ends.

    python -m tests.fuzz.hostile HOST:PORT SEED [KIND]...

The server is to speak TLS too.  Without a KIND all do their part.  At its end it tells,
as a JSON object, how often each kind has connected and how many bytes it has sent.  It
is as nice as it can be to other processes here, as they measure.
"""

from __future__ import annotations

import json
import os
import select
import ssl
import sys
from collections.abc import Iterator
from random import Random

from tests.fuzz.lane import Lane, Lanes
from tests.fuzz.mutate import LONG, MAX_FRAME, NASTY, pack
from tests.support.peer import encode
from tests.support.tls import trusting

SOURCE = "127.0.2.1"
BULK = 1 << 17
"""Bytes that one who floods has under way."""
ENOUGH = 20
"""Times that one writes before it is the next one's turn."""
KINDS = ("flood", "junk", "drip", "glutton", "vanish", "storm")
COUNTS = (9, 9, 8, 8, 8, 8)


class Hostile:
    """One hostile client: a generator that is asked to go on whenever its turn is."""

    def __init__(
        self,
        kind: str,
        number: int,
        address: tuple[str, int],
        lanes: Lanes,
        seed: int,
        tls: ssl.SSLContext,
    ) -> None:
        self.kind = kind
        self.chance = Random(f"{seed}/{kind}/{number}")
        self.connects = 0
        self.sent = 0
        self._address = address
        self._lanes = lanes
        self._tls = tls
        self._number = number
        self._play: Iterator[Lane | None] = iter(())
        self._lane: Lane | None = None

    def go_on(self) -> None:
        """Do the next of it; begin anew where it is over."""
        lane = self._lane
        if lane is not None:
            lane.received.clear()
            if not lane.over:
                next(self._play, None)
                self._lanes.watch(lane)
                return
            self._lanes.watch(lane)
        self._connect()

    def _connect(self) -> None:
        self.connects += 1
        shakes = self.kind == "storm" and self._number % 2 == 0
        lane = self._lane = Lane(
            self._address,
            tls=self._tls if shakes else None,
            source=SOURCE,
            rcvbuf=4096 if self.kind == "glutton" else None,
        )
        play = "shake" if shakes else self.kind
        self._play = getattr(self, f"_{play}")(lane)
        self._lanes.watch(lane)

    def _send(self, lane: Lane, data: bytes) -> None:
        self.sent += len(data)
        lane.send(data)

    def _hello(self, lane: Lane, room: str = "lobby") -> None:
        self._send(lane, encode("hello", version=1, room=room))

    def _flood(self, lane: Lane) -> Iterator[None]:
        """Valid frames at full speed."""
        self._hello(lane)
        frames = [encode("say", text=f"spam {n}", ref=f"f{n}") for n in range(20)]
        frames += [encode("ping", data="x"), encode("who")]
        while not lane.deaf:
            # Who is on the way out is read at full speed: there has to be an end to it.
            for _ in range(ENOUGH):
                if lane.unsent < BULK:
                    self._send(lane, b"".join(self.chance.choices(frames, k=50)))
            yield

    def _junk(self, lane: Lane) -> Iterator[None]:
        """Frames that are none, small ones and the most costly."""
        self._hello(lane)
        while not lane.deaf:
            for _ in range(ENOUGH):
                if lane.unsent >= BULK:
                    break
                if self.chance.random() < 0.5:
                    filler = self.chance.choice(LONG)()
                    large = f'{{"type":"ping","x":{filler}}}'.encode()[:MAX_FRAME]
                    self._send(lane, pack(large))
                else:
                    value = self.chance.choice(NASTY)
                    small = pack(f'{{"type":"say","text":{value}}}'.encode())
                    self._send(lane, small)
            yield

    def _drip(self, lane: Lane) -> Iterator[None]:
        """Byte by byte; half of them never come to the end of their hello."""
        if self._number % 2:
            self._hello(lane)
        data = encode("say", text="x" * 4000) * 9
        if not self._number % 2:
            data = encode("hello", version=1, nick="x" * 3000)
        for at in range(len(data)):
            self._send(lane, data[at : at + 1])
            yield
        while True:
            yield

    def _glutton(self, lane: Lane) -> Iterator[None]:
        """Ask for all there is, and take nothing of it."""
        self._hello(lane)
        lane.reads = False
        asked = encode("history", limit=200) + encode("who") + encode("rooms")
        while True:
            if lane.unsent < BULK:
                self._send(lane, asked * 50)
            yield

    def _vanish(self, lane: Lane) -> Iterator[None]:
        """Come, and be gone."""
        how = self.chance.randrange(4)
        if how == 1:
            self._send(lane, b"\0\0")
        elif how > 1:
            self._hello(lane)
        yield
        if self.chance.random() < 0.5:
            lane.reset()
        else:
            lane.close()
        yield

    def _shake(self, lane: Lane) -> Iterator[None]:
        """Begin a handshake, and be gone when the server has done its part."""
        while not lane.shaken:
            yield
        lane.reset()
        yield

    def _storm(self, lane: Lane) -> Iterator[None]:
        """Come in, change the nick, the room, and everything again."""
        self._hello(lane)
        for turn in range(40):
            nick = f"s{self.chance.randrange(10**9)}"
            self._send(lane, encode("nick", nick=nick))
            self._send(lane, encode("join", room=self.chance.choice(("tea", "lobby"))))
            if turn % 8 == 7:
                yield
        self._send(lane, encode("leave"))
        while True:
            yield


def main() -> int:
    """Do the worst to the server that the command line names."""
    host, _, port = sys.argv[1].rpartition(":")
    seed, kinds = int(sys.argv[2]), sys.argv[3:] or KINDS
    os.nice(10)
    lanes, tls = Lanes(), trusting()
    crowd = [
        Hostile(kind, number, (host, int(port)), lanes, seed, tls)
        for kind, count in zip(KINDS, COUNTS, strict=True)
        for number in range(count)
        if kind in kinds
    ]
    print("hostile", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        lanes.turn(0.0)
        for one in crowd:
            one.go_on()
    lanes.close()
    told = {
        kind: {
            "connects": sum(one.connects for one in crowd if one.kind == kind),
            "bytes": sum(one.sent for one in crowd if one.kind == kind),
        }
        for kind in KINDS
    }
    print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
