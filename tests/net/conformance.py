"""What every transport has to hold to, whatever its bytes go through.

``TransportCases`` is a class of cases; a subclass says in ``make_pair`` how a transport
and its other end are made.  The other end is a ``Far``: it never blocks.  Nothing here
knows of sockets but by way of these two.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from chatroom.net.buffers import OutputPool
from chatroom.net.loop import READ, WRITE, Handler, Loop
from chatroom.net.transport import (
    CONGESTED,
    LINGER,
    MAX_LINGER,
    Receiver,
    State,
    Transport,
)
from tests.support.clock import FakeClock
from tests.support.inprocess import OrderedSelector, masks

MIB = 1024 * 1024
LETTERS = {
    "data_received": "d",
    "eof_received": "e",
    "output_queued": "",
    "drained": "",
    "connection_lost": "l",
    "failed": "",
}
"""The order of calls is a regular expression over these."""


class Far(Protocol):
    """The other end of a transport's connection."""

    def send(self, data: bytes) -> int:
        """Send as much of *data* as is taken now; return how much."""

    def receive(self, most: int = 65536) -> bytes | None:
        """Return what has come, ``None`` if nothing, ``b""`` at a clean end."""

    def half_close(self) -> None:
        """Send nothing more."""

    def close(self) -> None:
        """Go."""

    def reset(self) -> None:
        """Go so that the other side gets an error; something must be unread here."""


class WatchedLoop(Loop):
    """A loop that fails where a mask of 0 is asked for."""

    def watch(self, sock: object, mask: int, handler: Handler) -> None:
        """Watch *sock*."""
        assert mask, "watched for nothing"
        super().watch(sock, mask, handler)  # type: ignore[arg-type]

    def change(self, sock: object, mask: int, handler: Handler) -> None:
        """Watch *sock* for something else."""
        assert mask, "watched for nothing"
        super().change(sock, mask, handler)  # type: ignore[arg-type]


class Recorder:
    """A receiver that notes its calls and may do something in one of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.befores: list[int] = []
        """What was unsent before each write that was queued."""
        self.reason: str | None = None
        self.error: Exception | None = None
        self.doing: dict[str, Callable[[], None]] = {}
        self.inside = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.inside += 1
        try:
            self.doing.get(name, lambda: None)()
        finally:
            self.inside -= 1

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._called("data_received")

    def eof_received(self) -> None:
        self._called("eof_received")

    def output_queued(self, before: int) -> None:
        self.befores.append(before)
        self._called("output_queued")

    def drained(self) -> None:
        self._called("drained")

    def connection_lost(self, reason: str) -> None:
        assert not self.inside, "connection_lost from inside another call"
        assert self.reason is None, "connection_lost twice"
        self.reason = reason
        self._called("connection_lost")

    def failed(self, error: Exception) -> None:
        self.error = error
        self._called("failed")

    def count(self, name: str) -> int:
        """Return how often *name* was called."""
        return self.calls.count(name)


class Bench:
    """A transport, its receiver, its other end, and the loop that turns them."""

    def __init__(self, cases: TransportCases, *, small: bool = False) -> None:
        self.clock = FakeClock()
        self.loop = WatchedLoop(self.clock)
        self.loop._selector.close()
        self.selector = OrderedSelector()
        self.loop._selector = self.selector
        self.pool = OutputPool()
        self.near = Recorder()
        self.transport, self.far = cases.make_pair(
            self.loop, self.pool, self.near, small=small
        )

    def tick(self, count: int = 1) -> int:
        """Turn *count* times without waiting; return how many events there were."""
        seen = 0
        for _ in range(count):
            self.loop.tick(0)
            seen += self.selector.seen
        return seen

    def until(self, condition: Callable[[], object], ticks: int = 20_000) -> None:
        """Turn until *condition* holds.

        A turn waits a moment at most, as bytes between sockets may take one.
        """
        for _ in range(ticks):
            if condition():
                return
            self.loop.tick(0.001)
        raise AssertionError("it has not come about")

    def lost(self) -> bool:
        """Tell whether the receiver knows that the connection is over."""
        return self.near.reason is not None

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, and turn."""
        self.clock.advance(seconds)
        self.tick(3)

    def stuff(self, data: bytes) -> None:
        """Write *data* again and again until some of it is unsent."""
        while not self.transport.unsent:
            self.transport.write(data)

    def take(self, want: int, most: int = 65536) -> bytearray:
        """Read at the other end until *want* bytes have come."""
        got = bytearray()

        def enough() -> bool:
            data = self.far.receive(min(most, want - len(got)))
            assert data != b"", f"the end came after {len(got)} of {want} bytes"
            got.extend(data or b"")
            return len(got) >= want

        self.until(enough)
        return got

    def take_all(self, *, sending: bytes = b"") -> bytearray:
        """Read at the other end up to a clean end, *sending* all the while."""
        got = bytearray()

        def ended() -> bool:
            if sending:
                self.far.send(sending)
            data = self.far.receive()
            got.extend(data or b"")
            return data == b""

        self.until(ended)
        return got

    def watched(self) -> int:
        """Return what the transport is watched for, 0 if it is not."""
        return sum(masks(self.loop).values())

    def finish(self) -> None:
        """End it, and see that the calls were in order and nothing is left."""
        self.far.close()
        self.transport.abort("the test is over")
        self.until(self.lost)
        self.tick()
        order = "".join(LETTERS[name] for name in self.near.calls)
        assert re.fullmatch("d*e?l", order), self.near.calls
        assert self.pool.total == 0
        assert not self.pool._holders
        assert self.loop.watched == 0
        assert self.loop.timers == 0
        assert not self.loop._doomed
        self.loop.close()


class TransportCases:
    """The cases; see the module."""

    def make_pair(
        self, loop: Loop, pool: OutputPool, receiver: Receiver, *, small: bool
    ) -> tuple[Transport, Far]:
        """Return a transport and its other end, with *small* buffers between."""
        raise NotImplementedError

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """A connection with the system's buffers."""
        bench = Bench(self)
        yield bench
        bench.finish()

    @pytest.fixture
    def narrow(self) -> Iterator[Bench]:
        """A connection with buffers as small as the system allows."""
        bench = Bench(self, small=True)
        yield bench
        bench.finish()

    # -- the order of calls -----------------------------------------------------

    def test_data_comes_in_order_then_the_end(self, bench: Bench) -> None:
        sent = random.Random(1).randbytes(300_000)
        left = memoryview(sent)

        def all_sent() -> bool:
            nonlocal left
            left = left[bench.far.send(bytes(left)) :]
            return not left

        bench.until(all_sent)
        bench.far.half_close()
        bench.until(lambda: bench.near.count("eof_received"))
        assert bench.near.data == sent
        assert bench.near.calls[-1] == "eof_received"
        assert not bench.lost()
        bench.transport.close()
        bench.until(bench.lost)
        assert bench.near.reason == "closed"

    def test_abort_is_told_later_and_once(self, bench: Bench) -> None:
        bench.transport.abort("enough")
        bench.transport.abort("really")
        bench.transport.close()
        assert bench.near.calls == []
        bench.until(bench.lost)
        bench.tick(3)
        assert bench.near.calls == ["connection_lost"]
        assert bench.near.reason == "enough"

    def test_an_event_behind_its_end_is_nothing(self, bench: Bench) -> None:
        """Another of the same tick has ended it; the selector's list still has it."""
        bench.far.send(b"late")
        bench.transport.abort("enough")
        bench.transport.ready(READ | WRITE)
        bench.until(bench.lost)
        assert bench.near.calls == ["connection_lost"]
        assert bench.near.data == b""

    def test_close_is_told_later_and_once(self, bench: Bench) -> None:
        bench.transport.close()
        bench.transport.close()
        assert bench.near.calls == []
        assert bench.take_all() == b""
        bench.far.close()
        bench.until(bench.lost)
        bench.tick(3)
        assert bench.near.calls == ["connection_lost"]
        assert bench.near.reason == "closed"

    @pytest.mark.parametrize("end", ["close", "abort"])
    def test_an_end_within_a_call_is_told_after_it(
        self, bench: Bench, end: str
    ) -> None:
        ends = {
            "close": bench.transport.close,
            "abort": lambda: bench.transport.abort("enough"),
        }
        bench.near.doing["data_received"] = ends[end]
        bench.far.send(b"one")
        bench.until(lambda: bench.near.calls)
        if end == "close":
            bench.far.send(b"two")
            bench.tick(3)
            bench.far.close()
        bench.until(bench.lost)
        assert bench.near.calls == ["data_received", "connection_lost"]
        assert bench.near.data == b"one"

    @pytest.mark.parametrize("end", ["close", "abort"])
    def test_an_end_within_the_end_of_input(self, bench: Bench, end: str) -> None:
        ends = {
            "close": bench.transport.close,
            "abort": lambda: bench.transport.abort("enough"),
        }
        bench.near.doing["eof_received"] = ends[end]
        bench.far.half_close()
        bench.until(bench.lost)
        assert bench.near.calls == ["eof_received", "connection_lost"]

    def test_abort_within_output_queued(self, narrow: Bench) -> None:
        narrow.near.doing["output_queued"] = lambda: narrow.transport.abort("limit")
        narrow.transport.write(bytes(MIB))
        assert narrow.transport.unsent == 0
        assert not narrow.lost()
        narrow.until(narrow.lost)
        assert narrow.near.calls == ["output_queued", "connection_lost"]
        assert narrow.near.reason == "limit"

    def test_abort_lets_go_of_everything_at_once(self, narrow: Bench) -> None:
        narrow.stuff(bytes(MIB))
        narrow.transport.abort("enough")
        assert narrow.transport.unsent == 0
        assert narrow.pool.total == 0
        assert narrow.watched() == 0

    def test_the_descriptor_is_freed_at_the_end_of_a_tick_only(
        self, bench: Bench
    ) -> None:
        open_in_tick: list[bool] = []
        sock = bench.transport._sock

        def look() -> None:
            if bench.transport.state == State.CLOSED:
                open_in_tick.append(sock.fileno() != -1)

        bench.loop.on_tick_end.append(look)
        bench.near.doing["data_received"] = lambda: bench.transport.abort("enough")
        bench.far.send(b"x")
        bench.until(bench.lost)
        assert open_in_tick[0]
        bench.tick()
        assert sock.fileno() == -1

    def test_a_receiver_that_raises_costs_its_connection(self, bench: Bench) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        bench.near.doing["data_received"] = fail
        bench.far.send(b"x")
        bench.until(bench.lost)
        assert bench.near.calls == ["data_received", "failed", "connection_lost"]
        assert isinstance(bench.near.error, ZeroDivisionError)
        assert bench.near.reason == "internal error"

    # -- output -----------------------------------------------------------------

    def test_ten_mebibytes_through_tiny_buffers(self, narrow: Bench) -> None:
        chance = random.Random(2)
        whole = chance.randbytes(10 * MIB)
        sizes = [1, 4, 60, 4096, 65536, 300_000]
        at, view = 0, memoryview(whole)
        while at < len(whole):
            size = chance.choice(sizes)
            narrow.transport.write(bytes(view[at : at + size]))
            at += size
        assert narrow.transport.unsent > 9 * MIB
        # Nothing more is written: the tail has to come by itself.
        assert narrow.take(len(whole)) == whole
        assert narrow.far.receive() is None
        assert narrow.transport.unsent == 0

    def test_reads_of_odd_sizes_get_the_same_bytes(self, narrow: Bench) -> None:
        whole = random.Random(3).randbytes(200_000)
        for at in range(0, len(whole), 7919):
            narrow.transport.write(whole[at : at + 7919])
        assert narrow.take(len(whole), most=1013) == whole

    def test_write_is_asked_for_only_while_something_is_queued(
        self, narrow: Bench
    ) -> None:
        assert narrow.watched() == READ
        narrow.transport.write(b"small")
        assert narrow.watched() == READ
        narrow.take(5)
        narrow.stuff(b"x" * 1000)
        assert narrow.transport.unsent < CONGESTED
        assert narrow.watched() == READ | WRITE

        def sent() -> bool:
            narrow.far.receive()
            return not narrow.transport.unsent

        narrow.until(sent)
        assert narrow.watched() == READ

    def test_an_empty_write_is_nothing(self, narrow: Bench) -> None:
        narrow.transport.write(b"")
        assert narrow.transport.unsent == 0
        narrow.stuff(bytes(3000))
        size = narrow.transport.unsent
        narrow.transport.write(b"")
        narrow.transport.write(b"end")
        assert narrow.transport.unsent == size + 3
        tail = bytearray()

        def sent() -> bool:
            tail.extend(narrow.far.receive() or b"")
            return tail.endswith(b"end")

        narrow.until(sent)

    def test_a_shared_chunk_is_held_once(self, narrow: Bench) -> None:
        narrow.stuff(bytes(3000))
        before = narrow.pool.total
        chunk = bytes(5000)
        narrow.transport.write(chunk)
        narrow.transport.write(chunk)
        assert narrow.pool.total == before + len(chunk)
        assert narrow.transport.unsent > 2 * len(chunk)

    def test_each_queued_write_is_told(self, narrow: Bench) -> None:
        narrow.stuff(bytes(3000))
        assert narrow.near.befores == [0]
        size = narrow.transport.unsent
        narrow.transport.write(b"xy")
        narrow.transport.write(b"z")
        assert narrow.near.befores == [0, size, size + 2]

    def test_nothing_is_sent_after_an_end(self, bench: Bench) -> None:
        bench.transport.write(b"before")
        bench.transport.close()
        bench.transport.write(b"after")
        assert bench.take_all() == b"before"
        bench.transport.abort("enough")
        bench.transport.write(b"later")
        assert bench.transport.unsent == 0

    def test_a_write_while_flushing_is_dropped(self, narrow: Bench) -> None:
        narrow.stuff(b"x" * 3000)
        narrow.transport.close()
        size = narrow.transport.unsent
        narrow.transport.write(b"after")
        assert narrow.transport.unsent == size
        assert b"after" not in narrow.take_all()

    # -- congestion -------------------------------------------------------------

    def test_a_peer_that_takes_nothing_is_not_read(self, narrow: Bench) -> None:
        narrow.transport.write(bytes(4 * CONGESTED))
        assert narrow.transport.congested
        assert narrow.watched() == WRITE
        narrow.far.send(b"more, please")
        narrow.tick(5)
        assert narrow.near.data == b""

        def read_again() -> bool:
            narrow.far.receive()
            return bool(narrow.near.data)

        narrow.until(read_again)
        assert narrow.near.count("drained") == 1
        assert narrow.near.calls.index("drained") < narrow.near.calls.index(
            "data_received"
        )
        assert not narrow.transport.congested

    def test_congestion_by_many_writes_counts_too(self, narrow: Bench) -> None:
        # One write that is queued, then others behind it.
        narrow.stuff(bytes(3000))
        while not narrow.transport.congested:
            narrow.transport.write(bytes(3000))
        assert not narrow.watched() & READ
        narrow.far.send(b"more, please")
        narrow.tick(5)
        assert narrow.near.data == b""

    def test_a_little_unsent_does_not_stop_reading(self, narrow: Bench) -> None:
        narrow.stuff(bytes(1000))
        narrow.far.send(b"hello")
        narrow.until(lambda: narrow.near.data == b"hello")
        assert narrow.transport.unsent
        assert not narrow.near.count("drained")

    # -- input ------------------------------------------------------------------

    def test_paused_means_unregistered(self, bench: Bench) -> None:
        bench.transport.pause_reading()
        assert bench.watched() == 0
        bench.far.send(b"wait")
        assert bench.tick(50) == 0
        assert bench.near.data == b""
        bench.transport.resume_reading()
        assert bench.watched() == READ
        bench.until(lambda: bench.near.data == b"wait")

    def test_pausing_twice_and_resuming_unpaused_is_allowed(self, bench: Bench) -> None:
        bench.transport.resume_reading()
        bench.transport.pause_reading()
        bench.transport.pause_reading()
        bench.transport.resume_reading()
        bench.far.send(b"x")
        bench.until(lambda: bench.near.data == b"x")

    def test_pause_within_a_call(self, bench: Bench) -> None:
        bench.near.doing["data_received"] = bench.transport.pause_reading
        bench.far.send(b"one")
        bench.until(lambda: bench.near.data)
        bench.far.send(b"two")
        bench.tick(10)
        assert bench.near.data == b"one"
        bench.near.doing.clear()
        bench.transport.resume_reading()
        bench.until(lambda: bench.near.data == b"onetwo")

    def test_paused_with_output_is_watched_for_that_alone(self, narrow: Bench) -> None:
        narrow.transport.pause_reading()
        narrow.stuff(bytes(1000))
        assert narrow.watched() == WRITE

        def sent() -> bool:
            narrow.far.receive()
            return not narrow.transport.unsent

        narrow.until(sent)
        assert narrow.watched() == 0

    def test_one_that_is_paused_can_be_asked_for_the_end(self, bench: Bench) -> None:
        bench.transport.pause_reading()
        assert not bench.transport.at_eof()
        bench.far.send(b"unread")
        bench.tick(5)
        assert not bench.transport.at_eof()
        bench.far.half_close()
        bench.tick(5)
        assert not bench.transport.at_eof()
        bench.near.doing["data_received"] = bench.transport.pause_reading
        bench.transport.resume_reading()
        bench.until(lambda: bench.near.data)
        bench.until(bench.transport.at_eof)
        bench.transport.resume_reading()
        assert bench.tick(50) == 0
        bench.transport.write(b"answer")
        bench.transport.close()
        assert bench.take_all() == b"answer"

    def test_asked_for_the_end_one_that_is_reset_is_over(self, bench: Bench) -> None:
        bench.transport.pause_reading()
        self.reset(bench)

        def asked() -> bool:
            bench.transport.at_eof()
            return bench.lost()

        bench.until(asked)

    def test_half_close_by_the_peer_leaves_our_side_open(self, bench: Bench) -> None:
        bench.far.send(b"last words")
        bench.far.half_close()
        bench.until(lambda: bench.transport.eof)
        assert bench.near.calls == ["data_received", "eof_received"]
        assert bench.watched() == 0
        assert bench.tick(50) == 0
        bench.transport.write(b"answer")
        bench.transport.close()
        assert bench.take_all() == b"answer"
        bench.until(bench.lost)
        assert bench.near.reason == "closed"

    def test_a_mebibyte_after_the_peers_end(self, narrow: Bench) -> None:
        narrow.far.half_close()
        narrow.until(lambda: narrow.transport.eof)
        whole = random.Random(4).randbytes(MIB)
        narrow.transport.write(whole)
        assert narrow.watched() == WRITE
        narrow.transport.close()
        assert narrow.take_all() == whole
        narrow.until(narrow.lost)

    def test_the_peers_end_while_flushing(self, narrow: Bench) -> None:
        whole = random.Random(5).randbytes(MIB)
        narrow.transport.write(whole)
        narrow.transport.close()
        narrow.far.half_close()
        assert narrow.take_all() == whole
        narrow.until(narrow.lost)
        assert "eof_received" not in narrow.near.calls

    # -- close ------------------------------------------------------------------

    def test_last_words_reach_a_peer_that_keeps_sending(self, bench: Bench) -> None:
        # Input that is unread at a plain close turns it into a reset.
        flood = bytes(65536)
        for _ in range(16):
            bench.far.send(flood)
        bench.transport.pause_reading()
        bench.transport.write(b"kick")
        bench.transport.close()
        assert bench.take_all(sending=flood) == b"kick"
        sent = 0

        def sent_on() -> bool:
            nonlocal sent
            sent += bench.far.send(flood)
            assert bench.far.receive() == b""
            return sent > 4 * MIB

        bench.until(sent_on)
        assert not bench.lost()
        bench.far.close()
        bench.until(bench.lost)
        assert bench.near.data == b""
        assert bench.near.calls == ["connection_lost"]

    def test_much_unsent_reaches_a_peer_that_keeps_sending(self, narrow: Bench) -> None:
        whole = random.Random(6).randbytes(MIB)
        narrow.transport.write(whole)
        narrow.transport.close()
        assert narrow.watched() == READ | WRITE
        assert narrow.take_all(sending=bytes(4096)) == whole
        assert narrow.watched() == READ

    def test_a_peer_that_stays_is_waited_for_so_long(self, bench: Bench) -> None:
        bench.transport.write(b"bye")
        bench.transport.close()
        assert bench.take_all() == b"bye"
        bench.advance(LINGER - 0.125)
        assert not bench.lost()
        bench.far.send(b"still here")
        bench.tick(3)
        bench.advance(0.125)
        bench.tick()
        assert bench.near.reason == "closed"

    def test_a_peer_that_takes_nothing_is_waited_for_so_long(
        self, narrow: Bench
    ) -> None:
        narrow.stuff(bytes(MIB))
        narrow.transport.close()
        narrow.advance(LINGER - 0.125)
        assert not narrow.lost()
        narrow.advance(0.125)
        assert narrow.lost()

    def test_a_peer_that_takes_gets_more_time(self, narrow: Bench) -> None:
        narrow.stuff(bytes(MIB))
        narrow.transport.close()
        for _ in range(4):
            narrow.advance(LINGER - 1)
            assert not narrow.lost()
            size = narrow.transport.unsent

            def took(size: int = size) -> bool:
                narrow.far.receive()
                return narrow.transport.unsent < size

            narrow.until(took)
            narrow.until(lambda: narrow.tick(10) == 0)
        narrow.advance(LINGER - 0.125)
        assert not narrow.lost()
        narrow.advance(0.125)
        assert narrow.lost()

    def test_no_close_lasts_longer_than_so_long(self, narrow: Bench) -> None:
        narrow.stuff(bytes(8 * MIB))
        narrow.transport.close()
        for _ in range(int(MAX_LINGER) - 1):
            narrow.advance(1)
            assert not narrow.lost()
            size = narrow.transport.unsent

            def took(size: int = size) -> bool:
                narrow.far.receive(20_000)
                return narrow.transport.unsent < size

            narrow.until(took)
        narrow.advance(0.875)
        assert not narrow.lost()
        narrow.advance(0.125)
        assert narrow.lost()

    def test_the_flush_and_the_wait_have_their_time_each(self, narrow: Bench) -> None:
        narrow.transport.write(bytes(MIB))
        narrow.transport.close()
        narrow.advance(LINGER - 1)
        narrow.take_all()
        narrow.advance(LINGER - 1)
        assert not narrow.lost()
        narrow.advance(1)
        assert narrow.lost()

    # -- the peer goes ----------------------------------------------------------

    def reset(self, bench: Bench) -> None:
        """Let the other end go with something unread, which is a reset."""
        if not bench.transport.unsent and bench.transport.state == State.OPEN:
            bench.transport.write(b"unread")
        bench.far.reset()

    def test_reset_while_open(self, bench: Bench) -> None:
        self.reset(bench)
        bench.until(bench.lost)
        assert bench.near.reason in ("reset by peer", "closed by peer")

    def test_reset_with_output_queued(self, narrow: Bench) -> None:
        narrow.stuff(bytes(MIB))
        self.reset(narrow)
        narrow.until(narrow.lost)
        assert narrow.transport.unsent == 0

    def test_reset_while_paused_makes_no_spin(self, bench: Bench) -> None:
        bench.transport.pause_reading()
        self.reset(bench)
        assert bench.tick(50) == 0
        assert not bench.lost()
        bench.transport.resume_reading()
        bench.until(bench.lost)

    def test_reset_while_paused_is_noticed_by_a_write(self, bench: Bench) -> None:
        bench.transport.pause_reading()
        self.reset(bench)

        def noticed() -> bool:
            bench.transport.write(b"x")
            return bench.lost()

        bench.until(noticed)

    def test_reset_while_congested(self, narrow: Bench) -> None:
        narrow.transport.write(bytes(4 * CONGESTED))
        self.reset(narrow)
        narrow.until(narrow.lost)

    def test_reset_while_flushing(self, narrow: Bench) -> None:
        narrow.stuff(bytes(MIB))
        narrow.transport.close()
        self.reset(narrow)
        narrow.until(narrow.lost)

    def test_reset_while_draining(self, bench: Bench) -> None:
        bench.transport.write(b"unread")
        bench.transport.close()
        assert bench.transport.state == State.DRAINING
        self.reset(bench)
        bench.until(bench.lost)

    def test_reset_after_the_peers_end(self, bench: Bench) -> None:
        bench.far.half_close()
        bench.until(lambda: bench.transport.eof)
        self.reset(bench)
        assert bench.tick(50) == 0

        def noticed() -> bool:
            bench.transport.write(b"x")
            return bench.lost()

        bench.until(noticed)

    # -- idle -------------------------------------------------------------------

    def test_nothing_to_do_wakes_nobody(self, bench: Bench) -> None:
        assert bench.tick(50) == 0

    def test_a_stuck_queue_wakes_nobody(self, narrow: Bench) -> None:
        narrow.stuff(bytes(MIB))
        # What is between the two may still be on its way.
        narrow.until(lambda: narrow.tick(10) == 0)
        assert narrow.tick(50) == 0

    def test_waiting_for_the_peers_end_wakes_nobody(self, bench: Bench) -> None:
        bench.transport.close()
        bench.take_all()
        assert bench.tick(50) == 0
