"""Many connections served side by side by one loop, none of them blocking.

For tests in which hundreds read and write at once, or one writes while it reads.
What comes is kept per connection; frames are parsed, but not held against the table
as `Peer` does, because there are many of them.
"""

import json
import selectors
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.peer import Peer
from tests.support.waiting import PATIENCE


class Member:
    """One connection of a crowd: what it still sends, and what it got."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.sock: socket.socket = peer.sock
        self.outgoing = bytearray()
        self.payloads: list[bytes] = []
        self.closed = False
        """The server has closed it cleanly."""
        self.broken: OSError | None = None
        """The connection has ended otherwise."""
        self.reads = True
        self._incoming = bytearray()

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        return self.closed or self.broken is not None

    def frames(self, *types: str) -> list[dict[str, Any]]:
        """The frames it got, or those of these types."""
        every = [json.loads(payload) for payload in self.payloads]
        return [frame for frame in every if not types or frame["type"] in types]

    def count(self, type: str) -> int:
        """How many frames of this type it got."""
        mark = b'{"type":"' + type.encode() + b'"'
        return sum(payload.startswith(mark) for payload in self.payloads)

    def receive(self) -> None:
        """Take in what is there."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            self.broken = error
            return
        if not data:
            assert not self._incoming, "closed in the middle of a frame"
            self.closed = True
            return
        self._incoming += data
        start, end = 0, len(self._incoming)
        while end - start >= 4:
            (length,) = struct.unpack_from("!I", self._incoming, start)
            if end - start < 4 + length:
                break
            payload = self._incoming[start + 4 : start + 4 + length]
            self.payloads.append(bytes(payload))
            start += 4 + length
        del self._incoming[:start]

    def transmit(self) -> None:
        """Send as much as goes."""
        try:
            sent = self.sock.send(self.outgoing[: 1 << 18])
        except BlockingIOError:
            return
        except OSError:
            # What came before this may still be read; reading tells how it ended.
            self.outgoing.clear()
            return
        del self.outgoing[:sent]


class Crowd:
    """Connections that are served together."""

    def __init__(self, peers: Sequence[Peer]) -> None:
        self.members = [Member(peer) for peer in peers]
        for member in self.members:
            member.sock.setblocking(False)

    def serve(
        self, until: Callable[[], bool], what: str, timeout: float = 4 * PATIENCE
    ) -> None:
        """Read and write for all until something holds; fail if it does not in time."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            while not until():
                assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
                self._watch(selector)
                for key, events in selector.select(0.05):
                    member: Member = key.data
                    if events & selectors.EVENT_READ:
                        member.receive()
                    if events & selectors.EVENT_WRITE and not member.over:
                        member.transmit()

    def _watch(self, selector: selectors.BaseSelector) -> None:
        watched = selector.get_map()
        for member in self.members:
            events = 0
            if not member.over and member.sock.fileno() >= 0:
                if member.reads:
                    events |= selectors.EVENT_READ
                if member.outgoing:
                    events |= selectors.EVENT_WRITE
            key = watched.get(member.sock) if member.sock.fileno() >= 0 else None
            if key is None:
                if events:
                    selector.register(member.sock, events, member)
            elif not events:
                selector.unregister(member.sock)
            elif key.events != events:
                selector.modify(member.sock, events, member)
