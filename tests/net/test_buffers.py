"""Output queues against a plain list, and the pool against a plain sum."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from chatroom.net.buffers import BUFFERS_PER_SEND, OutputPool, OutputQueue

CHUNKS = [bytes([65 + n]) * size for n, size in enumerate((1, 2, 3, 7, 50, 1000))]
"""What is written: the same objects again and again, as in a room."""


class QueueMachine(RuleBasedStateMachine):
    """Three queues in one pool; a list of what each still has to send."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = OutputPool()
        self.queues = [OutputQueue(self.pool) for _ in range(3)]
        # For each: the chunks held, and how much of the first is sent.
        self.held: list[list[bytes]] = [[], [], []]
        self.sent = [0, 0, 0]

    def unsent(self, which: int) -> bytes:
        """Return what the queue *which* has to send yet."""
        return b"".join(self.held[which])[self.sent[which] :]

    @rule(which=st.integers(0, 2), chunk=st.sampled_from(CHUNKS))
    def append(self, which: int, chunk: bytes) -> None:
        """Write a chunk."""
        self.queues[which].append(chunk)
        self.held[which].append(chunk)

    @rule(which=st.integers(0, 2), chunk=st.sampled_from(CHUNKS), part=st.floats(0, 1))
    def append_rest(self, which: int, chunk: bytes, part: float) -> None:
        """Write a chunk of which the kernel took a part at once."""
        if self.held[which]:
            return
        sent = int(part * (len(chunk) - 1))
        self.queues[which].append(chunk, sent)
        self.held[which].append(chunk)
        self.sent[which] = sent

    @rule(which=st.integers(0, 2), part=st.floats(0, 1))
    def consume(self, which: int, part: float) -> None:
        """Send some of what one call takes."""
        if not self.held[which]:
            return
        offered = sum(map(len, self.queues[which].buffers()))
        count = round(part * offered)
        self.queues[which].consume(count)
        self.sent[which] += count
        while self.held[which] and self.sent[which] >= len(self.held[which][0]):
            self.sent[which] -= len(self.held[which].pop(0))

    @precondition(lambda self: any(self.held))
    @rule(which=st.integers(0, 2))
    def clear(self, which: int) -> None:
        """Drop a queue."""
        self.queues[which].clear()
        self.held[which].clear()
        self.sent[which] = 0

    @invariant()
    def sizes_are_right(self) -> None:
        """A queue's size is what it has to send."""
        for which, queue in enumerate(self.queues):
            assert queue.size == len(self.unsent(which))

    @invariant()
    def buffers_are_the_next_bytes(self) -> None:
        """What is offered is the beginning of what is unsent."""
        for which, queue in enumerate(self.queues):
            if not self.held[which]:
                continue
            buffers = queue.buffers()
            assert len(buffers) == min(len(self.held[which]), BUFFERS_PER_SEND)
            offered = b"".join(buffers)
            assert offered
            assert self.unsent(which).startswith(offered)

    @invariant()
    def the_pool_counts_each_chunk_once(self) -> None:
        """However many queues hold it, and however often."""
        chunks = {id(chunk): len(chunk) for held in self.held for chunk in held}
        assert self.pool.total == sum(chunks.values())


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
TestQueues = QueueMachine.TestCase


def test_a_chunk_of_a_thousand_queues_counts_once() -> None:
    pool = OutputPool()
    queues = [OutputQueue(pool) for _ in range(1000)]
    chunk = bytes(100)
    for queue in queues:
        queue.append(chunk)
    assert pool.total == 100
    for queue in queues[1:]:
        queue.consume(100)
    queues[0].consume(99)
    assert pool.total == 100
    queues[0].consume(1)
    assert pool.total == 0


def test_equal_chunks_that_are_two_objects_count_twice() -> None:
    pool = OutputPool()
    queue = OutputQueue(pool)
    queue.append(bytes(bytearray(b"same")))
    queue.append(bytes(bytearray(b"same")))
    assert pool.total == 8


def test_one_call_is_offered_a_bounded_number_of_chunks() -> None:
    queue = OutputQueue(OutputPool())
    for number in range(1000):
        queue.append(b"%04d" % number)
    assert len(queue.buffers()) == BUFFERS_PER_SEND
    queue.consume(4 * BUFFERS_PER_SEND + 1)
    assert bytes(queue.buffers()[0]) == b"064"


class Counting(bytes):
    """A chunk that counts how often it is looked at."""

    looks = 0

    def __len__(self) -> int:
        Counting.looks += 1
        return super().__len__()


def test_the_cost_of_sending_many_small_chunks_is_linear() -> None:
    """Not by the clock: each is looked at a few times, however many there are."""
    pool = OutputPool()
    queue = OutputQueue(pool)
    for number in range(100_000):
        queue.append(Counting(b"%060d" % number))
    assert queue.size == 6_000_000
    while queue.size:
        # The kernel takes less than it is offered, and ends within a chunk.
        queue.consume(min(queue.size, 60 * BUFFERS_PER_SEND - 61))
    assert pool.total == 0
    assert Counting.looks < 6 * 100_000


def test_no_copy_is_made_of_what_is_offered() -> None:
    queue = OutputQueue(OutputPool())
    first, second = bytes(1000), bytes(2000)
    queue.append(first)
    queue.append(second)
    queue.consume(1)
    head, tail = queue.buffers()
    assert isinstance(head, memoryview)
    assert head.obj is first
    assert tail is second
