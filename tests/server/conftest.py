"""Servers in this process, each of them held to leaving nothing behind."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.inprocess import World

Start = Callable[..., World]


@pytest.fixture
def start() -> Iterator[Start]:
    """Make a ``World`` with these settings; it is finished and checked afterwards."""
    made: list[World] = []

    def start_one(**settings: object) -> World:
        made.append(World(**settings))
        return made[-1]

    yield start_one
    for world in made:
        world.finish()


@pytest.fixture
def world(start: Start) -> World:
    """A server without a rate limit."""
    return start()
