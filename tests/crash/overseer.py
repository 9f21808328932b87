"""An operator of the company, who gives one order after the other and looks at all.

The next order is given when the one before it was answered; one that was not is given
again by whoever has come back.  What is given, answered and seen is written down, an
object a line, *before* it is acted upon: ``{"event": "order"}`` with its kind, target
and text (``null``: it is lifted), ``done``, ``seen`` with all orders of some kinds.
``checker.py`` reads nothing else of it.  Like a proxy it is served beside recorders.
"""

import hashlib
import json
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

Frame = dict[str, Any]
KEY = "the key of who oversees"
ROOM = "office"
"""Where nobody else is: nothing is said there."""
RETRY = 0.02
"""Seconds until the next try to connect."""
PATIENCE = 5.0
"""Seconds without an answer until a connection is given up."""


class Command:
    """What is asked for, and the order that it puts in force or out of it."""

    def __init__(self, do: str, kind: str, target: str, text: str | None) -> None:
        self.do = do
        self.order = [kind, target, text]
        self.fields: Frame = {"do": do}
        if kind == "topic":
            self.fields["topic"] = text or ""
        elif kind != "lock":
            name = "address" if kind == "address" else "nick"
            self.fields |= {name: target, "reason": text or "", "seconds": 3600}


SCRIPT = (
    Command("ban", "nick", "bad", "first"),
    Command("lock", "lock", "", ""),
    Command("unban", "nick", "bad", None),
    Command("mute", "mute", "bad", "second"),
    Command("ban", "address", "192.0.2.0/24", "third"),
    Command("unlock", "lock", "", None),
    Command("topic", "topic", ROOM, "fourth"),
)
"""One of each, as far as they are kept."""


def orders(seed: int) -> Iterator[Command]:
    """Give orders without end, and lift some; none that hits one of the company."""
    chance = Random(seed)
    for number in count(1):
        text = f"order {number}" if chance.random() < 0.6 else None
        target = f"bad-{chance.randrange(5)}"
        match chance.randrange(4):
            case 0:
                yield Command("ban" if text else "unban", "nick", target, text)
            case 1:
                network = f"192.0.2.{chance.randrange(5)}"
                yield Command("ban" if text else "unban", "address", network, text)
            case 2:
                yield Command("mute" if text else "unmute", "mute", target, text)
            case 3:
                yield Command("topic", "topic", ROOM, text)


def operator_file(folder: Path) -> Path:
    """Return the file of the server's operators: the overseer."""
    path = folder / "operators"
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    path.write_text(f"overseer {digest}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


class Overseer:
    """The operator; *script* gives what he orders, *pace* the seconds between two."""

    def __init__(
        self,
        address: tuple[str, int],
        folder: Path,
        script: Iterable[Command],
        pace: float = 0.0,
        patience: float = PATIENCE,
    ) -> None:
        self.address = address
        self.path = folder / "overseer.orders"
        self.done = 0
        """How many orders were answered."""
        self._record = self.path.open("ab", buffering=0)
        self._script = iter(script)
        self._given: Command | None = None
        self._next = next(self._script, None)
        self._pace = pace
        self._patience = patience
        self._session: str | None = None
        self._known = False
        """Whether its session is an operator's, and it was told so."""
        self._live = False
        self._act_at = 0.0
        self._heard = 0.0
        self._selector = selectors.DefaultSelector()
        self._sock: socket.socket | None = None
        self._incoming = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hang_up()
        self._selector.close()
        self._record.close()

    @property
    def silent(self) -> bool:
        """Whether all is ordered, and answered."""
        return self._next is None and self._given is None

    # -- for the loop -----------------------------------------------------------

    def fileno(self) -> int:
        """What a loop watches."""
        return self._selector.fileno()

    def next_due(self) -> float:
        """When it is to be turned, whatever comes."""
        return self._act_at

    def turn(self, timeout: float = 0.0) -> None:
        """Take in what has come, and do what is due."""
        if self._selector.get_map() and self._selector.select(timeout):
            self._receive()
        now = time.monotonic()
        waits = not self._live or self._given is not None
        if self._sock is not None and waits and now > self._heard + self._patience:
            self._hang_up()
        if now < self._act_at:
            return
        if self._sock is None:
            self._connect(now)
        elif self._live and self._given is None and self._next is not None:
            self._given, self._next = self._next, next(self._script, None)
            self._order(self._given)

    def _connect(self, now: float) -> None:
        self._act_at, self._heard = now + RETRY, now
        try:
            self._sock = socket.create_connection(self.address, 1.0)
        except OSError:
            return
        self._sock.setblocking(False)
        self._selector.register(self._sock, selectors.EVENT_READ)
        known = {} if self._session is None else {"session": self._session}
        self._send("hello", version=1, nick="chief", room=ROOM, **known)

    def _hang_up(self) -> None:
        if self._sock is not None:
            self._selector.unregister(self._sock)
            self._sock.close()
        self._sock, self._live = None, False
        self._incoming.clear()

    def _send(self, type: str, **fields: object) -> None:
        payload = json.dumps({"type": type, **fields}).encode()
        assert self._sock is not None
        try:
            self._sock.sendall(struct.pack("!I", len(payload)) + payload)
        except OSError:
            pass  # Reading tells how it ended.

    def _receive(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        self._heard = time.monotonic()
        self._incoming += data
        while len(self._incoming) >= 4:
            (length,) = struct.unpack_from("!I", self._incoming)
            if len(self._incoming) < 4 + length:
                return
            payload = bytes(self._incoming[4 : 4 + length])
            del self._incoming[: 4 + length]
            try:
                self._see(json.loads(payload))
            except ValueError:
                self._hang_up()

    # -- orders -----------------------------------------------------------------

    def _write(self, event: str, **about: object) -> None:
        self._record.write(json.dumps({"event": event, **about}).encode() + b"\n")

    def _order(self, command: Command) -> None:
        self._write("order", order=command.order)
        self._send("op", **command.fields)

    def _see(self, frame: Frame) -> None:
        match frame:
            case {"type": "welcome", "session": session}:
                if self._session not in (None, session):
                    self._write("orphaned")
                    self._known = False
                self._session = session
                if self._known:
                    self._send("op", do="bans")
                else:
                    self._send("op", do="login", key=KEY)
            case {"type": "room", "room": room}:
                topic = frame.get("topic")
                found = [] if topic is None else [["topic", room, topic]]
                self._write("seen", kinds=["topic"], orders=found)
            case {"type": "op", "do": "login"}:
                self._known = True
                self._send("op", do="bans")
            case {"type": "op", "do": "bans", "bans": bans}:
                self._see_bans(bans)
            case {"type": "op"}:
                self._write("done")
                self.done += 1
                self._given = None
                self._act_at = time.monotonic() + self._pace
            case {"type": "error" | "kick"}:
                self._write("refused", frame=frame)
            case {"type": "ping"}:
                self._send("pong")

    def _see_bans(self, bans: list[Frame]) -> None:
        found = []
        for ban in bans:
            kind = "nick" if "nick" in ban else "address"
            found.append([kind, ban[kind], ban["reason"]])
        self._write("seen", kinds=["nick", "address"], orders=found)
        self._live = True
        if self._given is not None:
            self._order(self._given)
