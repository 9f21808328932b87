"""Recorders: clients that keep to the protocol, and write down all that they do.

A recorder has its own framing and shares no code with the chat or with other tests.
It does what the protocol asks of a client that wants to lose nothing: it keeps what is
unanswered, takes its session back, asks the history page by page after the last id
that it saw, drops what it knows, and sends again exactly what was sent after
``last_ref``.  Where its session is gone, it looks for its refs in the history and sends
again what is not there.

Every event goes into the recorder's file, a JSON object a line, *before* it acts on
it: ``checker.py`` reads nothing else of it.  ``Company`` serves many of them by one
loop, none of them blocking.
"""

import errno
import json
import random
import selectors
import socket
import struct
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

MAX_FRAME = 65536
PATIENCE = 3.0
"""Seconds without an answer that is due, after which a connection is given up."""
RETRY = (0.01, 0.05)
"""Seconds until the next try to connect."""
WINDOW = 32
"""Frames that may be unanswered; a person has not typed more in a second."""
ENDS = frozenset(("shouting", "leave", "operator", "banned", "replaced"))
"""Kicks after which a client does not come back by itself."""

Frame = dict[str, Any]

RESENDS_ALL = "sends all again that is unanswered, whatever last_ref says"
SHOWS_TWICE = "shows again what it knows"
SKIPS_HISTORY = "does not ask for what it missed"
FAULTS = (RESENDS_ALL, SHOWS_TWICE, SKIPS_HISTORY)
"""What a recorder can be told to do wrong, so that the checker is checked."""


class State(Enum):
    """How far a recorder is."""

    OFF = "off"
    CONNECTING = "connecting"
    GREETING = "greeting"
    CATCHING_UP = "catching up"
    LIVE = "live"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Line:
    """Something to be said."""

    kind: str
    """``say`` or ``whisper``."""
    text: str
    to: str | None = None
    ref: str = ""


class Recorder:
    """One client, its transcript and its record.

    *script* gives what it says, in order; *pace* the mean seconds between two, 0: as
    soon as *window* allows.  *wait* seconds pass before it comes for the first time;
    after *patience* without an answer it gives a connection up, and *retry* is the
    range of the seconds until it tries again.
    """

    def __init__(
        self,
        nick: str,
        room: str,
        address: tuple[str, int],
        record: Path,
        *,
        seed: int = 0,
        script: Iterable[Line] = (),
        pace: float = 0.0,
        window: int = WINDOW,
        wait: float = 0.0,
        patience: float = PATIENCE,
        retry: tuple[float, float] = RETRY,
        faults: Collection[str] = (),
    ) -> None:
        self.nick = nick
        self.room = room
        self.address = address
        self.state = State.OFF
        self.connects = 0
        """How often it was let in."""
        self.said = 0
        """How much it has said, each text counted once."""
        self.path = record
        self.talks = True
        """Set it to ``False``, and it says nothing new."""
        self._record = record.open("ab", buffering=0)
        self._chance = random.Random(seed)
        self._script = iter(script)
        self._next: Line | None = next(self._script, None)
        self._pace = pace
        self._window = window
        self._patience = patience
        self._retry = retry
        self._faults = faults
        self._session: str | None = None
        self._orphaned = False
        self._ending = False
        self._log: str | None = None
        self._seen = 0
        self._pending: list[Line] = []
        self._judged: list[Line] = []
        self._held: list[Frame] = []
        self._asked = 0
        self._sock: socket.socket | None = None
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._act_at = time.monotonic() + wait
        self._heard = 0.0

    # -- what a test asks of it -----------------------------------------------

    @property
    def silent(self) -> bool:
        """Whether it has nothing more to say."""
        return self._next is None

    @property
    def settled(self) -> bool:
        """Whether it is here, has said all, and knows what has become of it."""
        if self.state is State.OVER:
            return True
        said = self._next is None or not self.talks
        return self.state is State.LIVE and said and not self._pending

    @property
    def ended(self) -> bool:
        """Whether it has come back a last time and seen all there is."""
        return self.settled and (self._ending or self.state is State.OVER)

    def end(self) -> None:
        """Come back a last time."""
        if self.state is not State.OVER:
            self._ending = True
            self._hang_up("a last time")

    def close(self) -> None:
        """Leave, and close the record."""
        if self.ended and self.state is State.LIVE:
            self._write("end")
        if self._sock is not None:
            self._hang_up("the end")
        self._record.close()

    # -- the record -----------------------------------------------------------

    def _write(self, event: str, **about: object) -> None:
        line = {"event": event, **about}
        self._record.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    # -- the connection, for the loop -----------------------------------------

    @property
    def sock(self) -> socket.socket | None:
        """Its socket, where it has one."""
        return self._sock

    @property
    def connected(self) -> bool:
        """Whether it has a socket."""
        return self._sock is not None

    def wants(self) -> int:
        """What its socket is to be watched for."""
        if self.state is State.CONNECTING:
            return selectors.EVENT_WRITE
        writes = selectors.EVENT_WRITE if self._outgoing else 0
        return selectors.EVENT_READ | writes

    def ready(self, events: int) -> None:
        """Do what the socket allows."""
        if self.state is State.CONNECTING:
            self._connected()
        else:
            if events & selectors.EVENT_READ:
                self._receive()
            if events & selectors.EVENT_WRITE:
                self._flush()

    def act(self, now: float) -> None:
        """Do what is due."""
        if self.state is State.OFF:
            if now >= self._act_at:
                self._connect(now)
        elif self.state is State.LIVE:
            self._talk(now)
        waits = self.state is not State.LIVE or self._pending
        if self._sock is not None and waits and now > self._heard + self._patience:
            self._hang_up("no answer")

    def _connect(self, now: float) -> None:
        self._write("connect")
        self._incoming.clear()
        self._outgoing.clear()
        self._held.clear()
        self._judged = []
        self._heard = now
        self.state = State.CONNECTING
        sock = self._sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            self._hang_up("refused")

    def _connected(self) -> None:
        assert self._sock is not None
        if self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._hang_up("refused")
            return
        self.state = State.GREETING
        self._write("hello", session=self._session)
        hello: Frame = {"version": 1, "nick": self.nick, "room": self.room}
        if self._session is not None:
            hello["session"] = self._session
        self._send("hello", **hello)

    def _hang_up(self, why: str) -> None:
        self._write("disconnect", why=why)
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self.state is not State.OVER:
            self.state = State.OFF
            self._act_at = time.monotonic() + self._chance.uniform(*self._retry)

    def _send(self, type: str, **fields: object) -> None:
        payload = json.dumps({"type": type, **fields}, ensure_ascii=False).encode()
        self._outgoing += struct.pack("!I", len(payload)) + payload
        self._flush()

    def _flush(self) -> None:
        if self._sock is None or not self._outgoing:
            return
        try:
            del self._outgoing[: self._sock.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            # What came before may still be read; reading tells how it ended.
            self._outgoing.clear()

    def _receive(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            self._hang_up(error.strerror or "broken")
            return
        if not data:
            self._hang_up("closed")
            return
        self._heard = time.monotonic()
        self._incoming += data
        while self.connected and len(self._incoming) >= 4:
            (length,) = struct.unpack_from("!I", self._incoming)
            if not 1 <= length <= MAX_FRAME:
                self._garbled(f"a header of {length}")
                return
            if len(self._incoming) < 4 + length:
                return
            payload = bytes(self._incoming[4 : 4 + length])
            del self._incoming[: 4 + length]
            try:
                frame = json.loads(payload.decode("utf-8"))
                kind = frame["type"]
            except (ValueError, KeyError, TypeError):
                self._garbled(f"no frame: {payload[:60]!r}")
                return
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(self, frame)

    def _garbled(self, what: str) -> None:
        # No client could go on here: what comes next may be anything.
        self._write("garbled", what=what)
        self.state = State.OVER
        self._hang_up("garbled")

    # -- what it says ---------------------------------------------------------

    def _talk(self, now: float) -> None:
        while (
            self.talks
            and self._next is not None
            and now >= self._act_at
            and len(self._pending) < self._window
        ):
            line = self._next
            ref = f"{self._chance.getrandbits(64):016x}"
            line = Line(line.kind, line.text, line.to, ref)
            self._next = next(self._script, None)
            self._pending.append(line)
            self.said += 1
            self._say(line)
            if self._pace and self._chance.random() < 0.8:
                # One of five comes with the next one, in the same segment.
                self._act_at = now + self._chance.expovariate(1 / self._pace)

    def _say(self, line: Line, *, again: bool = False) -> None:
        about = {"text": line.text, "ref": line.ref}
        if line.to is not None:
            about["to"] = line.to
        self._write("send", kind=line.kind, again=again, **about)
        self._heard = time.monotonic()
        self._send(line.kind, **about)

    # -- what it gets ---------------------------------------------------------

    def _on_welcome(self, frame: Frame) -> None:
        self._write("got", frame=frame)
        self.connects += 1
        self.nick = frame["nick"]
        self._orphaned = self._session not in (None, frame["session"])
        self._session = frame["session"]
        if self._orphaned:
            return
        refs = [line.ref for line in self._pending]
        last = frame.get("last_ref")
        if RESENDS_ALL not in self._faults and last in refs:
            self._judged = self._pending[: refs.index(last) + 1]
        for line in self._pending[len(self._judged) :]:
            self._say(line, again=True)

    def _on_room(self, frame: Frame) -> None:
        self._write("got", frame=frame)
        last: int = frame["last_id"]
        if self._log is None:
            self._seen = last
        elif frame["log"] != self._log:
            # It is told so: the file that it saw is not this one.
            self._write("gap", log=frame["log"])
            self._seen = frame["oldest_id"] - 1
        elif frame["oldest_id"] > self._seen + 1:
            self._write("gap", oldest_id=frame["oldest_id"])
        self._log = frame["log"]
        self.state = State.CATCHING_UP
        shown_again = SHOWS_TWICE in self._faults and self._seen
        if shown_again or (last > self._seen and SKIPS_HISTORY not in self._faults):
            self._ask()
        else:
            self._caught_up()

    def _ask(self) -> None:
        self._asked = self._seen
        if SHOWS_TWICE in self._faults:
            self._asked = max(0, self._seen - 1)
        self._write("asked", after=self._asked)
        limit = self._chance.choice((1, 7, 50, 200, 200))
        self._send("history", after=self._asked, limit=limit)

    def _on_history(self, frame: Frame) -> None:
        self._write("got", frame=frame)
        for message in frame["messages"]:
            self._take(message)
        # A page that brings nothing and promises more would be asked for ever.
        if frame["more"] and self._seen > self._asked:
            self._ask()
        else:
            self._caught_up()

    def _caught_up(self) -> None:
        for message in self._held:
            self._take(message)
        self._held.clear()
        for line in self._judged:
            if line in self._pending:
                self._write("judged", ref=line.ref)
                self._pending.remove(line)
        self._judged = []
        if self._orphaned:
            self._orphaned = False
            for line in self._pending:
                self._say(line, again=True)
        self.state = State.LIVE

    def _on_message(self, frame: Frame) -> None:
        self._write("got", frame=frame)
        if self.state is State.CATCHING_UP:
            self._held.append(frame)
        else:
            self._take(frame)

    def _take(self, message: Frame) -> None:
        if message["id"] <= self._seen and SHOWS_TWICE not in self._faults:
            return
        self._write("show", frame=message)
        self._seen = message["id"]
        if message["from"] == self.nick:
            self._answered(message.get("ref"))

    def _on_whisper(self, frame: Frame) -> None:
        self._write("got", frame=frame)
        if frame["from"] == self.nick:
            self._answered(frame.get("ref"))

    def _on_answer(self, frame: Frame) -> None:
        self._write("got", frame=frame)
        if self.state is State.GREETING:
            # Somebody holds the nick: a connection of its own that is not over yet.
            self._hang_up("not let in")
            return
        self._answered(frame.get("ref"))

    def _answered(self, ref: str | None) -> None:
        for place, line in enumerate(self._pending):
            if line.ref == ref:
                # Frames are judged in order: what is passed over is never answered.
                passed = place if self.state is State.LIVE else 0
                for skipped in self._pending[:passed]:
                    self._write("skipped", ref=skipped.ref)
                del self._pending[place - passed : place + 1]
                return

    def _on_kick(self, frame: Frame) -> None:
        self._write("got", frame=frame)
        if frame["reason"] in ENDS:
            self.state = State.OVER
        self._hang_up("kicked")

    def _on_ping(self, frame: Frame) -> None:
        self._send("pong")

    _handlers: dict[str, Callable[["Recorder", Frame], None]] = {  # noqa: RUF012
        "welcome": _on_welcome,
        "room": _on_room,
        "history": _on_history,
        "message": _on_message,
        "whisper": _on_whisper,
        "warning": _on_answer,
        "error": _on_answer,
        "kick": _on_kick,
        "ping": _on_ping,
    }


class Beside(Protocol):
    """What is served by the same loop, a proxy for example."""

    def fileno(self) -> int: ...

    def next_due(self) -> float: ...

    def turn(self, timeout: float = 0.0) -> None: ...


class Company:
    """Recorders that are served side by side."""

    def __init__(
        self, recorders: Sequence[Recorder], beside: Sequence[Beside] = ()
    ) -> None:
        self.recorders = recorders
        self._beside = beside

    @property
    def reconnects(self) -> int:
        """How often one of them was let in after its first time."""
        return sum(max(0, one.connects - 1) for one in self.recorders)

    @property
    def settled(self) -> bool:
        """Whether all have said all, and know what has become of it."""
        return all(one.settled for one in self.recorders)

    @property
    def ended(self) -> bool:
        """Whether all have come back a last time and seen all there is."""
        return all(one.ended for one in self.recorders)

    def serve(self, until: Callable[[], bool], timeout: float) -> bool:
        """Serve all until something holds; tell whether it did in time."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            for beside in self._beside:
                selector.register(beside.fileno(), selectors.EVENT_READ, beside)
            watched: dict[Recorder, tuple[socket.socket, int]] = {}
            while not until():
                now = time.monotonic()
                if now > deadline:
                    return False
                for one in self.recorders:
                    one.act(now)
                    self._watch(selector, watched, one)
                for key, events in selector.select(0.004):
                    if isinstance(key.data, Recorder):
                        # It may have hung up meanwhile, and its socket be another.
                        if key.data.sock is key.fileobj:
                            key.data.ready(events)
                            self._watch(selector, watched, key.data)
                    else:
                        key.data.turn()
                now = time.monotonic()
                for beside in self._beside:
                    if now >= beside.next_due():
                        beside.turn()
        return True

    def hush(self) -> None:
        """Let nobody say anything new."""
        for one in self.recorders:
            one.talks = False

    def finish(self, timeout: float = 30.0) -> bool:
        """Let all come to rest, then come back a last time; tell whether all did."""
        self.serve(lambda: self.settled, timeout)
        self.end()
        return self.serve(lambda: self.ended, timeout)

    def end(self) -> None:
        """Let all come back a last time who have not done so."""
        for one in self.recorders:
            if not one.ended:
                one.end()

    def close(self) -> None:
        """Let all leave, and close their records."""
        for one in self.recorders:
            one.close()

    def _watch(
        self,
        selector: selectors.BaseSelector,
        watched: dict[Recorder, tuple[socket.socket, int]],
        one: Recorder,
    ) -> None:
        before, sock = watched.get(one), one.sock
        if before is not None and before[0] is not sock:
            # A closed socket is still known to the selector by its object.
            selector.unregister(before[0])
            del watched[one]
            before = None
        if sock is None:
            return
        wants = one.wants()
        if before is None:
            selector.register(sock, wants, one)
        elif before[1] != wants:
            selector.modify(sock, wants, one)
        watched[one] = (sock, wants)
