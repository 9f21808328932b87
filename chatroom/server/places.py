"""Who holds a place for a while, by address: of too many, whose turn it is to go.

Places are for those of whom nothing is known yet, so nobody has a better right to one
than another; but where one is needed it is taken from the address that holds the most,
and there from the oldest.  So a crowd that never speaks keeps out nobody but itself.
Must not know: what the places are for, how many there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Holder(Protocol):
    """Who can hold a place."""

    @property
    def address(self) -> str:
        """Where it is from: what counts as one address."""


H = TypeVar("H", bound=Holder)


class Places(Generic[H]):
    """Those who hold one."""

    __slots__ = ("_at", "_taken")

    def __init__(self) -> None:
        self._at: dict[str, dict[H, None]] = {}
        """Who they are, by their address, the oldest first."""
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def __iter__(self) -> Iterator[H]:
        for here in self._at.values():
            yield from here

    def add(self, holder: H) -> int:
        """Give *holder*, who has none, a place; return how many its address has now."""
        here = self._at.setdefault(holder.address, {})
        here[holder] = None
        self._taken += 1
        return len(here)

    def discard(self, holder: H) -> None:
        """Take back the place of *holder*, if it has one."""
        here = self._at.get(holder.address, {})
        if holder not in here:
            return
        del here[holder]
        self._taken -= 1
        if not here:
            del self._at[holder.address]

    def oldest_at(self, address: str) -> H:
        """Return who has held a place at *address* for the longest time."""
        return next(iter(self._at[address]))

    def oldest_of_greediest(self) -> H:
        """Return the oldest at the address that holds the most."""
        return self.oldest_at(max(self._at, key=lambda address: len(self._at[address])))
