"""What is written and not sent yet.

A message to a thousand members is one ``bytes`` object in a thousand queues.
``OutputQueue`` is one connection's queue of references; ``OutputPool`` counts what
all of them hold, a shared chunk once.  Must not know: sockets.
"""

from __future__ import annotations

from collections import deque

BUFFERS_PER_SEND = 64
"""Chunks handed to one ``sendmsg`` at most; the system's own limit is 1024."""
CHUNK_COST = 128
"""What a chunk costs beside its bytes: its header, and its places here and in a queue
(measured)."""


class OutputPool:
    """Bytes that all queues together hold, each chunk counted once."""

    __slots__ = ("_holders", "total")

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}
        self.total = 0
        """Bytes held."""

    @property
    def cost(self) -> int:
        """What they come to in memory: much more, where chunks are small."""
        return self.total + CHUNK_COST * len(self._holders)

    def add(self, chunk: bytes) -> None:
        """One more queue holds *chunk*."""
        # A chunk is alive while a queue holds it, so its id is its own that long.
        holders = self._holders.get(id(chunk), 0)
        if not holders:
            self.total += len(chunk)
        self._holders[id(chunk)] = holders + 1

    def remove(self, chunk: bytes) -> None:
        """One queue less holds *chunk*."""
        holders = self._holders[id(chunk)] - 1
        if holders:
            self._holders[id(chunk)] = holders
        else:
            del self._holders[id(chunk)]
            self.total -= len(chunk)


class OutputQueue:
    """Chunks in the order written; the first may be sent in part."""

    __slots__ = ("_chunks", "_offset", "_pool", "size")

    def __init__(self, pool: OutputPool) -> None:
        self._pool = pool
        self._chunks: deque[bytes] = deque()
        self._offset = 0
        self.size = 0
        """Bytes not sent yet: a counter, never a sum."""

    def append(self, chunk: bytes, sent: int = 0) -> None:
        """Hold *chunk*, of which the first *sent* bytes are sent already.

        A chunk that is sent in part is the first of its queue.
        """
        if sent:
            self._offset = sent
        self._chunks.append(chunk)
        self._pool.add(chunk)
        self.size += len(chunk) - sent

    def buffers(self) -> list[bytes | memoryview]:
        """Return what to send next, as many chunks as one call takes; no copy."""
        chunks = self._chunks
        head: list[bytes | memoryview] = [memoryview(chunks[0])[self._offset :]]
        more = min(len(chunks), BUFFERS_PER_SEND)
        return head + [chunks[i] for i in range(1, more)]

    def consume(self, count: int) -> None:
        """Drop the first *count* bytes: they are sent."""
        self.size -= count
        count += self._offset
        while self._chunks and count >= len(self._chunks[0]):
            chunk = self._chunks.popleft()
            count -= len(chunk)
            self._pool.remove(chunk)
        self._offset = count

    def clear(self) -> None:
        """Drop everything."""
        for chunk in self._chunks:
            self._pool.remove(chunk)
        self._chunks.clear()
        self._offset = self.size = 0
