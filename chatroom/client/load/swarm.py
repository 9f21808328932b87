"""Many clients in one loop: they join, they say things, they check what they get.

    enter(room)* -> joined ... say ... leave or close

An ``Entrant`` is a connection on its way in; when it has got its first message it is
a ``Client``, whose bytes are compared with the stream of its room (``check.py``).
``Client.ready`` runs for every piece of data that anybody gets, so it does little: one
``recv_into`` a buffer that all share, and one comparison of memory.
Must not know: why anything is said, and what is made of the figures.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from array import array
from collections import deque
from collections.abc import Callable
from typing import NoReturn

from chatroom.client.load.check import (
    NEWS,
    Reader,
    Speaker,
    Stream,
    Violation,
    first_payload,
    parse_message,
    type_of,
)
from chatroom.errors import ConnectError
from chatroom.net.loop import READ, WRITE, Loop
from chatroom.wire.codec import Malformed, decode_object, encode_object
from chatroom.wire.framing import HEADER, HEADER_SIZE

UNFINISHED = 200
"""Connections on their way in at once; a server bears some 256 of them."""
BUFFER_SIZE = 256 * 1024
"""Bytes received at once: more than a server sends in one piece."""
SLOW_BYTES = 512
"""What a slow reader takes ten times a second."""
SLOW_RECEIVE_BUFFER = 4096
"""Its ``SO_RCVBUF``: what it does not read is to stay with the server."""
PRECISE = 0.02
"""Seconds; shorter waits are made to the microsecond."""

_buffer = bytearray(BUFFER_SIZE)
_view = memoryview(_buffer)

Target = tuple[socket.AddressFamily, tuple[object, ...]]


class PreciseLoop(Loop):
    """A loop whose timers come on time: epoll waits whole milliseconds only."""

    def _patience(self, longest: float | None) -> float | None:
        wait = super()._patience(longest)
        if wait is None or not 0.0 < wait < PRECISE:
            return wait
        if not hasattr(self._selector, "fileno"):
            return wait
        # A selector is ready itself when something that it watches is.
        select.select([self._selector], [], [], wait)
        return 0.0


class Client(Reader):
    """One connection that is in its room."""

    __slots__ = (
        "_receive",
        "at_end",
        "echoed",
        "leaving",
        "nick",
        "outgoing",
        "paused",
        "said",
        "slow",
        "sock",
        "speaker",
        "stream",
        "swarm",
        "watched",
    )

    def __init__(
        self, swarm: Swarm, number: int, sock: socket.socket, stream: Stream
    ) -> None:
        super().__init__(f"client {number}")
        self.swarm = swarm
        self.stream = stream
        self.sock = sock
        self._receive = sock.recv_into
        self.nick = b""
        self.speaker: Speaker | None = None
        self.said = 0
        self.echoed: Callable[[Client, int], None] | None = None
        """Called with how many of its own messages have come back to it."""
        self.watched = False
        """Whether the times of what it gets are recorded."""
        self.slow = False
        self.paused = False
        """Whether the loop leaves it alone: then it is read by ``read_slowly``."""
        self.leaving = False
        self.at_end: Callable[[], None] | None = None
        self.outgoing = bytearray()

    # -- what the loop calls ----------------------------------------------------

    def ready(self, mask: int) -> None:
        """Send what waits; hold what has come against the room's stream."""
        if mask & WRITE:
            self._flush()
        if mask & READ:
            self.receive(BUFFER_SIZE)

    def receive(self, most: int) -> None:
        """Take at most *most* bytes."""
        try:
            size = self._receive(_buffer, most)
        except OSError as error:
            self._broken(error)
            return
        if not size:
            self.swarm.ended(self, "it was disconnected")
            return
        stream = self.stream
        if not self.pending and stream.reference.startswith(
            _view[:size], self.offset - stream.base
        ):
            self.offset += size
        else:
            for payload in stream.receive(self, _view[:size]):
                self.swarm.take_private(self, payload)
        if self.watched:
            self._record(stream)
        if self.echoed is not None:
            self._count_echoes()

    def failed(self, error: Exception) -> NoReturn:
        """What is wrong with one ends the whole test."""
        raise error

    def _record(self, stream: Stream) -> None:
        now, latency = self.swarm.loop.clock(), self.swarm.latency
        for when in stream.arrivals(self):
            latency.append(now - when)

    def _count_echoes(self) -> None:
        speaker, count = self.speaker, 0
        if speaker is None or self.echoed is None:
            return
        echoes, offset = speaker.echoes, self.offset
        while echoes and echoes[0] <= offset:
            echoes.popleft()
            count += 1
        if count:
            self.echoed(self, count)

    # -- output -----------------------------------------------------------------

    def say(self, texts: list[bytes], when: list[float]) -> None:
        """Say *texts*; *when* is the time that stands for each, or -1."""
        if self.speaker is None:
            self.speaker = self.stream.speaker(self.nick)
        self.said += len(texts)
        self.speaker.texts.extend(zip(texts, when, strict=True))
        self.send(b"".join(map(say_frame, texts)))

    def send(self, data: bytes) -> None:
        """Send *data* now, as far as the kernel takes it."""
        if self.outgoing:
            self.outgoing += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # Receiving will tell what has become of it.
        if sent < len(data):
            self.outgoing += data[sent:]
            self._watch(READ | WRITE)

    def _flush(self) -> None:
        try:
            sent = self.sock.send(self.outgoing)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self.outgoing)
        del self.outgoing[:sent]
        if not self.outgoing:
            self._watch(READ)

    def _watch(self, mask: int) -> None:
        if not self.paused:
            self.swarm.loop.change(self.sock, mask, self)

    def _broken(self, error: OSError) -> None:
        if error.errno not in (errno.EAGAIN, errno.EINTR):
            self.swarm.ended(self, f"its connection broke: {error.strerror}")


class Entrant:
    """A connection until it has got the first message in its room."""

    __slots__ = (
        "_client",
        "_data",
        "_heard",
        "_last_id",
        "_stage",
        "_swarm",
        "done",
    )

    def __init__(
        self, swarm: Swarm, client: Client, done: Callable[[Client], None]
    ) -> None:
        self._swarm = swarm
        self._client = client
        self._data = b""
        self._heard = b""
        self._last_id = -1
        self._stage = self._connect
        self.done = done
        """Called when it is in its room."""
        client.stream.enter(client)

    def ready(self, mask: int) -> None:
        """Do the next step: called by the loop."""
        self._stage()

    def failed(self, error: Exception) -> NoReturn:
        """As with a client."""
        raise error

    def _connect(self) -> None:
        client, loop = self._client, self._swarm.loop
        code = client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise ConnectError(f"{client.name} cannot connect: {os.strerror(code)}")
        self._stage = self._listen
        hello = {"type": "hello", "version": 1, "room": client.stream.room}
        client.sock.send(encode_object(hello))
        loop.change(client.sock, READ, self)

    def _listen(self) -> None:
        client = self._client
        try:
            data = client.sock.recv(BUFFER_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectError(f"{client.name} is lost: {error.strerror}") from None
        if not data:
            self._swarm.ended(client, "it was disconnected while it joined")
            return
        self._data += data
        self._swarm.received += 1
        self.go_on()

    def go_on(self) -> None:
        """Take what has come, as far as that goes now."""
        client = self._client
        while client in self._swarm.clients:
            payload = first_payload(self._data, client)
            if payload is None:
                return
            kind = type_of(payload)
            if kind == b"message" and self._last_id >= 0:
                self._begin(parse_message(payload, client).id)
                return
            frame = self._data[: HEADER_SIZE + len(payload)]
            self._data = self._data[len(frame) :]
            if kind in NEWS:
                self._heard += frame
            elif self._last_id < 0:
                self._enter(kind, payload)
            else:
                self._swarm.take_private(client, payload)

    def _enter(self, kind: bytes, payload: bytes) -> None:
        client = self._client
        value = _decoded(payload, client)
        if kind == b"welcome":
            client.nick = str(value.get("nick")).encode()
            client.name += f" ({client.nick.decode()})"
        elif kind == b"room" and type(value.get("last_id")) is int:
            self._last_id = int(str(value["last_id"]))
            self._heard = b""
            self.done(client)
        else:
            self._swarm.take_private(client, payload)

    def _begin(self, first: int) -> None:
        """Message *first* is the first that it gets: compare from there on."""
        client, swarm = self._client, self._swarm
        if first != self._last_id + 1:
            raise Violation(
                f"{client.name} in {client.stream.room}: its first message is {first}, "
                f"but its room said that {self._last_id} was the last before it came"
            )
        if not client.stream.attach(client, first, self._heard):
            # It is ahead of those it would be compared with.
            swarm.waiting[client] = self
            return
        swarm.waiting.pop(client, None)
        swarm.loop.change(client.sock, READ, client)
        for payload in client.stream.receive(client, self._data):
            swarm.take_private(client, payload)
        if client.watched:
            client._record(client.stream)


class Swarm:
    """All clients, and the streams of their rooms."""

    def __init__(self, loop: Loop, target: Target) -> None:
        self.loop = loop
        self.clients: dict[Client, None] = {}
        self.streams: dict[str, Stream] = {}
        self.waiting: dict[Client, Entrant] = {}
        self.latency = array("d")
        """Seconds from when a message was to be said to when somebody got it."""
        self.pings = 0
        """Pings of the server that were answered."""
        self.cut_off = 0
        """Slow readers that the server has let go."""
        self.unfinished = 0
        self.received = 0
        self._target = target
        self._queue: deque[tuple[str, Callable[[Client], None], bool]] = deque()
        self._number = 0
        self._dropped: list[socket.socket] = []
        loop.on_tick_end.append(self._end_tick)

    # -- coming and going -------------------------------------------------------

    def enter(
        self, room: str, done: Callable[[Client], None], slow: bool = False
    ) -> None:
        """Bring one client into *room*; *done* is called when it is there."""
        self._queue.append((room, done, slow))
        self._connect_more()

    def _connect_more(self) -> None:
        while self._queue and self.unfinished < UNFINISHED:
            self._connect(*self._queue.popleft())

    def _connect(self, room: str, done: Callable[[Client], None], slow: bool) -> None:
        family, address = self._target
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_RECEIVE_BUFFER)
        code = sock.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            raise ConnectError(f"cannot connect: {os.strerror(code)}")
        stream = self.streams.get(room)
        if stream is None:
            stream = self.streams[room] = Stream(room)
        self._number += 1
        client = Client(self, self._number, sock, stream)
        client.slow = slow
        self.clients[client] = None
        self.unfinished += 1

        def entered(client: Client) -> None:
            self.unfinished -= 1
            done(client)
            self._connect_more()

        self.loop.watch(sock, WRITE, Entrant(self, client, entered))

    def leave(self, client: Client, at_end: Callable[[], None]) -> None:
        """Let *client* ask to leave; *at_end* is called when it is out."""
        client.leaving = True
        client.at_end = at_end
        client.send(encode_object({"type": "leave"}))

    def drop(self, client: Client) -> None:
        """Close the connection of *client* without a word."""
        if client not in self.clients:
            return
        client.stream.detach(client)
        self.waiting.pop(client, None)
        self.clients.pop(client, None)
        if not client.paused:
            self.loop.unwatch(client.sock)
        self._dropped.append(client.sock)
        self.loop.doom(self._close_dropped)

    def _close_dropped(self) -> None:
        for sock in self._dropped:
            sock.close()
        self._dropped.clear()

    def ended(self, client: Client, reason: str) -> None:
        """The server has ended the connection of *client*."""
        if not client.leaving:
            if not client.slow:
                raise Violation(f"{client.name} in {client.stream.room}: {reason}")
            self.cut_off += 1
        self.drop(client)
        if client.at_end is not None:
            client.at_end()

    def close(self) -> None:
        """Close all connections."""
        for client in self.clients:
            client.sock.close()
        self.clients.clear()
        self._close_dropped()

    # -- what comes -------------------------------------------------------------

    def take_private(self, client: Client, payload: bytes) -> None:
        """*client* got a frame of its own."""
        value = _decoded(payload, client)
        kind = value.get("type")
        if kind == "ping":
            self.pings += 1
            answer: dict[str, object] = {"type": "pong"}
            if "data" in value:
                answer["data"] = value["data"]
            client.send(encode_object(answer))
        elif kind == "kick" and (client.leaving or client.slow):
            client.stream.detach(client)
            client.echoed = None
        elif kind in ("error", "kick", "warning"):
            code = value.get("code", value.get("reason"))
            raise Violation(f"{client.name} got {kind} {code}: {value.get('text')}")
        else:
            raise Violation(f"{client.name} got a {kind!a} that it did not ask for")

    def _end_tick(self) -> None:
        if self.waiting:
            for entrant in list(self.waiting.values()):
                entrant.go_on()

    # -- slow readers -----------------------------------------------------------

    def read_slowly(self) -> None:
        """Let each slow reader take a little from now on, ten times a second."""
        for client in self.clients:
            if client.slow and not client.paused:
                client.paused = True
                self.loop.unwatch(client.sock)
        self._sip()

    def read_fast(self) -> None:
        """Let the slow readers take all that is left for them."""
        for client in self.clients:
            if client.paused:
                client.paused = False
                mask = READ | WRITE if client.outgoing else READ
                self.loop.watch(client.sock, mask, client)

    def _sip(self) -> None:
        sipping = [client for client in self.clients if client.paused]
        for client in sipping:
            client.receive(SLOW_BYTES)
        if sipping:
            self.loop.call_later(0.1, self._sip)

    # -- how far it is ----------------------------------------------------------

    def messages(self) -> int:
        """Return how many messages have come to anybody."""
        return sum(stream.messages for stream in self.streams.values())

    def delivered(self) -> int:
        """Return how many messages have come to somebody, each for each who got it."""
        return sum(stream.delivered() for stream in self.streams.values())

    def lacks(self) -> str | None:
        """Return what is still to come, or ``None``."""
        for stream in self.streams.values():
            missing = stream.lacks()
            if missing is not None:
                return missing
        return None

    def progress(self) -> int:
        """Return a number that changes whenever anybody gets anything."""
        return self.received + sum(client.offset for client in self.clients)


def say_frame(text: bytes) -> bytes:
    """Return the frame that says *text*, in which JSON has nothing to escape."""
    return HEADER.pack(len(text) + 24) + b'{"type":"say","text":"' + text + b'"}'


def _decoded(payload: bytes, client: Client) -> dict[str, object]:
    try:
        return decode_object(payload)
    except Malformed as wrong:
        raise Violation(f"{client.name} got a bad frame: {wrong}") from None
