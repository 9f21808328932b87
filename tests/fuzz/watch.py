"""A watchdog: a process that measures a round trip while others do their worst.

    python -m tests.fuzz.watch HOST:PORT ROOM [PASSWORD]

Two members of a room that nobody else knows: what one says both have to hear, once, in
order, and nothing else.  A third stays in the lobby, and sees to it that its messages
follow on each other.  All are operators, whom no ban of an address hits; the third puts
right what others have locked or banned for long, so that the rest gets far.  When stdin
ends it prints what it found as a JSON object.
"""

from __future__ import annotations

import json
import select
import sys
import time
from dataclasses import asdict, dataclass, field

from tests.fuzz.sessions import log_in
from tests.support.crowd import Member
from tests.support.peer import Frame, Peer, check_shape, encode

EVERY = 0.12
"""Seconds between two texts: below the rate that every server allows."""
TIDY_EVERY = 1.0
"""Seconds between two looks at what operators have done."""
SOON = 5000
"""Milliseconds: what ends within that is left to end."""
AT_ONCE = 5
"""Bans that are lifted in one go: below the rate that every server allows."""
LOST = 15.0
"""Seconds after which an answer is not waited for any more."""


@dataclass
class Seen:
    """What a watchdog has seen."""

    rounds: int = 0
    worst: float = 0.0
    """Seconds of the longest round trip."""
    worst_at: float = 0.0
    """When that was, in seconds from the start."""
    over_quarter: int = 0
    """Round trips of more than 250 ms."""
    findings: list[str] = field(default_factory=list)


class Watchdog:
    """Watches one server."""

    def __init__(
        self, address: tuple[str, int], room: str, password: str | None
    ) -> None:
        self.seen = Seen()
        self._room = room
        given = {} if password is None else {"password": password}
        self._members: list[Member] = []
        for number, where in enumerate((room, room, "lobby")):
            peer = Peer(address)
            # A nick that the server gives might be guessed, and whispered to.
            _, info = peer.hello(f"{room}-{number}", room=where, **given)
            log_in(peer)
            peer.sock.setblocking(False)
            member = Member(peer)
            self._members.append(member)
            if where != "lobby":
                self._last_id = int(info["last_id"])
        self._lobby_id = int(info["last_id"])
        self._began = self._said_at = time.monotonic()
        self._tidied_at = 0.0
        self._said = ""
        self._heard: set[int] = set()
        self._number = 0

    def run(self) -> None:
        """Watch until stdin ends, or the server does."""
        self._say()
        while not self.seen.findings or len(self.seen.findings) < 20:
            socks = [member.sock for member in self._members]
            ready, _, _ = select.select([*socks, sys.stdin], [], [], 0.02)
            if sys.stdin in ready:
                return
            for number, member in enumerate(self._members):
                if member.sock in ready:
                    self._receive(number, member)
            if any(member.over for member in self._members):
                which = [m.over for m in self._members].index(True)
                why = self._members[which].broken or "closed"
                self._find(f"connection {which} of the watchdog is over: {why}")
                return
            now = time.monotonic()
            if now >= self._tidied_at + TIDY_EVERY:
                self._tidied_at = now
                self._oversee(encode("op", do="unlock"), encode("op", do="bans"))
            if len(self._heard) == 2 and now >= self._said_at + EVERY:
                self._say()
            elif len(self._heard) < 2 and now > self._said_at + LOST:
                self._find(f"{self._said!r} did not come back")
                return

    def _say(self) -> None:
        self._number += 1
        self._heard.clear()
        self._said = f"round {self._number}"
        self._said_at = time.monotonic()
        self._members[0].sock.send(encode("say", text=self._said))

    def _oversee(self, *frames: bytes) -> None:
        self._members[2].sock.send(b"".join(frames))

    def _tidy(self, bans: list[dict[str, object]]) -> None:
        """Lift those of *bans* that would last, a few at a time."""
        late = time.time() * 1000 + SOON
        for ban in [b for b in bans if not 0 < int(str(b["until"])) < late][:AT_ONCE]:
            what = "nick" if "nick" in ban else "address"
            self._oversee(encode("op", do="unban", **{what: ban[what]}))

    def _receive(self, number: int, member: Member) -> None:
        try:
            member.receive()
            for payload in member.payloads:
                frame = Frame(payload)
                check_shape(frame)
                self._see(number, member, frame)
        except (AssertionError, ValueError, KeyError) as error:
            self._find(f"what came is not right: {error}")
        member.payloads.clear()

    def _see(self, number: int, member: Member, frame: Frame) -> None:
        if frame.type == "ping":
            member.sock.send(encode("pong"))
        elif number == 2:
            if frame.type == "message":
                if frame["id"] != self._lobby_id + 1:
                    self._find(f"in the lobby {self._lobby_id} is before {frame}")
                self._lobby_id = frame["id"]
            elif frame.type == "op" and "bans" in frame:
                self._tidy(frame["bans"])
        elif frame.type == "message" and frame["text"] == self._said:
            self._come_back(number, frame)
        elif frame.type != "joined" or self._number > 1:
            self._find(f"nobody may have caused {frame}")

    def _come_back(self, number: int, frame: Frame) -> None:
        if number in self._heard:
            self._find(f"twice: {frame}")
        self._heard.add(number)
        if frame["id"] != self._last_id + self._number:
            self._find(f"its number should be {self._last_id + self._number}: {frame}")
        if len(self._heard) < 2:
            return
        now = time.monotonic()
        took = now - self._said_at
        self.seen.rounds += 1
        self.seen.over_quarter += took > 0.25
        if took > self.seen.worst:
            self.seen.worst, self.seen.worst_at = took, now - self._began

    def _find(self, what: str) -> None:
        self.seen.findings.append(
            f"after {time.monotonic() - self._began:.1f} s: {what}"
        )


def main() -> int:
    """Watch the server that the command line names."""
    where, room, *password = sys.argv[1:]
    host, _, port = where.rpartition(":")
    watchdog = Watchdog((host, int(port)), room, password[0] if password else None)
    print("watching", flush=True)
    watchdog.run()
    print(json.dumps(asdict(watchdog.seen)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
