"""Figures: what they count, and the buckets of those that count how long."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.server.metrics import (
    STORE_BOUNDS,
    TICK_BOUNDS,
    Histogram,
    Totals,
    exposition,
)
from tests.server.conftest import Start
from tests.support.inprocess import World
from tests.support.peer import encode


def value(world: World, name: str) -> float:
    """Return the figure of that *name*, labels and all."""
    (found,) = (
        line.rpartition(" ")[2]
        for line in exposition(world.server).decode().splitlines()
        if line.rpartition(" ")[0] == f"chatroom_{name}"
    )
    return float(found)


@given(st.lists(st.floats(0, 3)))
def test_a_bucket_holds_what_is_not_above_its_bound(times: list[float]) -> None:
    histogram = Histogram(TICK_BOUNDS)
    for seconds in times:
        histogram.add(seconds)
    counts = list(accumulate(histogram.counts))
    for bound, count in zip(TICK_BOUNDS, counts, strict=False):
        assert count == sum(seconds <= bound for seconds in times)
    assert counts[-1] == len(times)
    assert histogram.total == pytest.approx(sum(times))


@pytest.mark.parametrize("bounds", [TICK_BOUNDS, STORE_BOUNDS])
def test_bounds_go_up_and_are_written_plainly(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
    assert all("e" not in str(bound) for bound in bounds)


def test_a_farewell_is_no_penalty() -> None:
    totals = Totals()
    totals.kicks.update(shouting=2, banned=1, operator=1, leave=5, idle=3, shutdown=9)
    assert totals.penalties == 4


def test_what_waits_is_told(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob", sndbuf=4096)
    bob.reading = False
    ann.send_raw(encode("say", text="x" * 4000) * 10 + encode("say", text="half")[:9])
    world.settle()
    assert value(world, 'clients{dialect="native",tls="no"}') == 2
    assert value(world, "input_bytes") == 9
    assert value(world, "output_connections") == 1
    # A chunk that is sent in part is held whole.
    assert value(world, "output_bytes") > bob.connection.transport.unsent > 20_000
    assert value(world, "messages_total") == 10
    assert value(world, "kept_bytes") > 40_000
    assert value(world, "connects_total") == 2
    assert value(world, "connections") == 2


def test_ticks_are_timed_and_the_store_where_it_is_one(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("kept") / "history.db"
    for history, kept in (("", False), (str(path), True)):
        world = start(history=history)
        world.join("ann").send("say", text="hi")
        world.settle()
        assert value(world, "tick_seconds_count") > 2
        assert (value(world, "store_seconds_count") > 0) is kept
        assert value(world, "store_refused_total") == 0


def test_what_is_written_is_counted(world: World) -> None:
    """To the byte: of what came, and of what was given to connections."""
    before = value(world, "received_bytes_total"), value(world, "sent_bytes_total")
    ann = world.connect()
    hello, say = encode("hello", version=1, nick="ann"), encode("say", text="hi")
    ann.send_raw(hello + say * 2 + encode("who"))
    world.settle()
    ann.send_raw(say)
    world.settle()
    came = len(hello) + 3 * len(say) + len(encode("who"))
    assert value(world, "received_bytes_total") - before[0] == came
    assert value(world, "sent_bytes_total") - before[1] == len(ann.received)
