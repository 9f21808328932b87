"""Plays cases, many at once, and judges all that is answered.

Must not know: what a case does, and why.
"""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.lane import Lane, Lanes
from tests.fuzz.mutate import Case, damager
from tests.fuzz.sessions import TOKEN
from tests.support import web
from tests.support.peer import MAX_FRAME, Frame, check_shape

WIDTH = 256
"""Cases under way at once."""
LONGEST = 2.5
"""Seconds of a case that waits for nothing in particular."""
HALF_CLOSED = 20.0
"""Seconds within which a connection is over that was half-closed.

Five for what is judged still, and as many for each lingering.
"""
PAID = 8192
"""Bytes of a case that every server judges in time."""
FAREWELLS = (b"HTTP/1.1 ", b"This is a chat room", b"ERROR :", b"554 ", b"\x15\x03")
"""How the answers begin to who speaks something else."""


@dataclass
class Tally:
    """What came of it."""

    cases: int = 0
    frames: int = 0
    welcomed: int = 0
    findings: list[str] = field(default_factory=list)


class Play:
    """One case under way."""

    def __init__(self, case: Case, lane: Lane, stay: float) -> None:
        self.case = case
        self.lane = lane
        self.began = time.monotonic()
        self.stay_until = self.began + stay
        self.next_piece = 0
        self.ended_at = 0.0
        """When its end was begun; 0.0: not yet."""
        self.on_web = False
        """Whether what comes is WebSocket by now."""
        self.turned_away = False
        """Whether it was answered as who speaks something else, a page it may be."""

    @property
    def trusted(self) -> bool:
        """Whether what comes is what the server sent, and whole."""
        return self.case.reads and not self.case.damage


class Player:
    """Plays cases against servers at *addresses*."""

    def __init__(
        self, seed: int, addresses: list[tuple[str, int]], tls: ssl.SSLContext
    ) -> None:
        self.tally = Tally()
        self._seed = seed
        self._addresses = addresses
        self._tls = tls
        self._lanes = Lanes()
        self._plays: dict[Lane, Play] = {}
        self._tokens = [TOKEN] * len(addresses)
        """The last session that was told by each server."""

    def run(
        self,
        cases: Iterator[Case],
        until: float,
        each_second: Callable[[], None] | None = None,
    ) -> None:
        """Play *cases* until the time *until* (monotonic), or to their end."""
        next_look, more = time.monotonic() + 1.0, True
        while more or self._plays:
            while more and len(self._plays) < WIDTH:
                case = next(cases, None)
                more = case is not None and time.monotonic() < until
                if case is not None and more:
                    self._start(case)
            self._turn()
            if each_second is not None and time.monotonic() >= next_look:
                next_look = time.monotonic() + 1.0
                each_second()

    def close(self) -> None:
        """Close all that is open."""
        self._lanes.close()

    def _start(self, case: Case) -> None:
        lane = Lane(
            self._addresses[case.target],
            tls=self._tls if case.tls else None,
            source=case.source,
            rcvbuf=None if case.reads else 4096,
            damage=damager(self._seed, case),
        )
        stay = Random(f"{self._seed}/{case.number}/stay").uniform(0.0, 0.2)
        play = Play(case, lane, stay)
        self._plays[lane] = play
        self.tally.cases += 1
        self._lanes.watch(lane)
        self._go_on(play)

    def _turn(self) -> None:
        for lane in self._lanes.turn(0.01):
            play = self._plays.get(lane)
            if play is not None:
                self._judge(play)
        for play in list(self._plays.values()):
            self._go_on(play)

    def _go_on(self, play: Play) -> None:
        """Send its next piece, or bring it to its end."""
        lane, case = play.lane, play.case
        now = time.monotonic()
        if not lane.over and not play.ended_at:
            lane.reads = case.reads or not lane.shaken
            if play.next_piece < len(case.pieces):
                if not lane.unsent:
                    piece = case.pieces[play.next_piece]
                    play.next_piece += 1
                    lane.send(piece.replace(TOKEN, self._tokens[case.target]))
                elif now > play.began + LONGEST:
                    self._end(play, "close")
            elif case.end != "stay" or now >= play.stay_until:
                self._end(play, case.end)
        elif not lane.over:
            waited = now - play.ended_at
            if waited > LONGEST and not self._waits_for_end(play):
                lane.close()
            elif waited > HALF_CLOSED:
                self._find(play, f"not over {waited:.1f} s after its end")
                lane.close()
        if lane.over:
            self._over(play)
        else:
            self._lanes.watch(lane)

    def _waits_for_end(self, play: Play) -> bool:
        case = play.case
        # More than that is judged at the rate that the server allows, for long.
        little = sum(map(len, case.pieces)) <= PAID
        return case.end == "half" and little and play.trusted and not play.lane.unsent

    def _end(self, play: Play, how: str) -> None:
        play.ended_at = time.monotonic()
        if how == "half":
            play.lane.half_close()
        elif how == "reset":
            play.lane.reset()
        else:
            play.lane.close()

    def _over(self, play: Play) -> None:
        self._lanes.watch(play.lane)
        self._judge(play)
        del self._plays[play.lane]
        if not play.trusted or play.lane.why is not None:
            return
        if play.lane.received:
            rest = bytes(play.lane.received[:80])
            self._find(play, f"cut off in the middle: {rest!r}")

    def _judge(self, play: Play) -> None:
        """Hold what has come against the protocol."""
        received = play.lane.received
        if play.case.damage or not received:
            received.clear()
            return
        if not play.on_web and received.startswith(b"HTTP/1.1 101 "[: len(received)]):
            _, found, rest = received.partition(b"\r\n\r\n")
            if not found:
                return
            play.on_web = True
            received[:] = rest
        if play.on_web:
            self._judge_web(play)
            return
        if play.turned_away or received[0] != 0:
            if not (play.turned_away or _is_farewell(received)):
                self._find(play, f"no frame: {bytes(received[:80])!r}")
            play.turned_away = True
            received.clear()
            return
        start = 0
        while len(received) - start >= 4:
            (length,) = struct.unpack_from("!I", received, start)
            if not 0 < length <= MAX_FRAME:
                self._find(play, f"a length of {length}")
                received.clear()
                return
            if len(received) - start < 4 + length:
                break
            self._judge_frame(play, bytes(received[start + 4 : start + 4 + length]))
            start += 4 + length
        del received[:start]

    def _judge_web(self, play: Play) -> None:
        received = play.lane.received
        try:
            found, end = web.split(received)
        except AssertionError as error:
            self._find(play, f"no frame of a server: {error}")
            received.clear()
            return
        del received[:end]
        for came in found:
            if came.opcode == web.TEXT:
                self._judge_frame(play, came.payload)

    def _judge_frame(self, play: Play, payload: bytes) -> None:
        self.tally.frames += 1
        try:
            frame = Frame(payload)
            check_shape(frame)
        except (AssertionError, ValueError, KeyError, TypeError) as error:
            self._find(play, f"a bad frame: {error}: {payload[:200]!r}")
            return
        if frame.type == "welcome":
            self.tally.welcomed += 1
            token = str(frame["session"]).encode()
            if len(token) == len(TOKEN):
                self._tokens[play.case.target] = token
        elif frame.type == "error" and frame["code"] == "internal":
            self._find(play, f"an internal error: {frame}")

    def _find(self, play: Play, what: str) -> None:
        self.tally.findings.append(f"{play.case}: {what}")


def _is_farewell(received: bytearray) -> bool:
    """Tell whether an answer to who speaks something else begins so."""
    return any(f.startswith(received[: len(f)]) for f in FAREWELLS)
