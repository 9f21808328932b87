"""Loops for the tests of the client, each held to leaving nothing behind."""

from collections.abc import Iterator

import pytest

from chatroom.net.loop import Loop
from tests.client.fakes import FakeClock, FakeServer


@pytest.fixture
def clock() -> FakeClock:
    """The time of `loop`."""
    return FakeClock()


@pytest.fixture
def loop(clock: FakeClock) -> Iterator[Loop]:
    """A loop that is idle again when the test is over."""
    one = Loop(clock)
    yield one
    one.tick(0)
    # The end of the pair that signals come through is the loop's own.
    left_over = one.watched - (one._signals is not None)
    one.close()
    assert left_over == 0


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server whose every byte the test writes itself."""
    with FakeServer() as one:
        yield one
