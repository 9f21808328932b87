"""Feeding a parser its bytes in every way that a network may.

Whole, byte by byte, at random cuts, and with bytes of the next item behind: what comes
out must not depend on how it came in.
"""

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Protocol, TypeVar

SEED = 20_240
ROUNDS = 12


class Stream(Protocol):
    """What takes bytes in pieces."""

    def receive_data(self, data: bytes, /) -> None: ...

    def __len__(self) -> int: ...


S = TypeVar("S", bound=Stream)
Item = TypeVar("Item")


def pieces(data: bytes) -> Iterator[list[bytes]]:
    """Cut *data* in several ways: not at all, everywhere, and at random places."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    chance = random.Random(SEED)
    for round_ in range(ROUNDS):
        most = (3, 9, len(data))[round_ % 3]
        count = min(chance.randint(1, max(1, most)), max(0, len(data) - 1))
        places = [0, *sorted(chance.sample(range(1, len(data)), count)), len(data)]
        yield [data[a:b] for a, b in pairwise(places)]


def parse(
    make: Callable[[], S],
    take: Callable[[S], Item | None],
    data: bytes,
    *,
    trailing: bytes = b"\0\0\0",
) -> list[Item]:
    """Feed *data* in every way; return the items, the same each time.

    *trailing* is the beginning of something more: it yields nothing and is held.
    """
    outcomes = []
    for way in pieces(data):
        for rest in (b"", trailing):
            stream = make()
            items: list[Item] = []
            for piece in way[:-1]:
                stream.receive_data(piece)
                items += _drain(stream, take)
            stream.receive_data(way[-1] + rest)
            items += _drain(stream, take)
            assert len(stream) == len(rest), f"held {len(stream)} of {rest!r}"
            outcomes.append(items)
    first = outcomes[0]
    assert all(items == first for items in outcomes), "it depends on the cuts"
    return first


def _drain(stream: S, take: Callable[[S], Item | None]) -> list[Item]:
    items = []
    while (item := take(stream)) is not None:
        items.append(item)
        assert len(items) <= 1_000_000, "it never says that it needs more"
    return items
