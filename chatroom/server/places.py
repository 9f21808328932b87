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

    __slots__ = ("_at", "_most", "_ranks", "_taken")

    def __init__(self) -> None:
        self._at: dict[str, dict[H, None]] = {}
        """Who they are, by their address, the oldest first."""
        self._ranks: dict[int, dict[str, None]] = {}
        """The addresses that hold so many: a crowd comes from thousands of them."""
        self._most = 0
        """How many the greediest holds."""
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
        self._rank(holder.address, len(here) - 1, len(here))
        self._most = max(self._most, len(here))
        return len(here)

    def discard(self, holder: H) -> None:
        """Take back the place of *holder*, if it has one."""
        here = self._at.get(holder.address, {})
        if holder not in here:
            return
        del here[holder]
        self._taken -= 1
        self._rank(holder.address, len(here) + 1, len(here))
        if self._most not in self._ranks:
            # One goes at a time: whoever held the most holds one less.
            self._most -= 1
        if not here:
            del self._at[holder.address]

    def _rank(self, address: str, before: int, now: int) -> None:
        """*address* holds so many *now*."""
        if before:
            del self._ranks[before][address]
            if not self._ranks[before]:
                del self._ranks[before]
        if now:
            self._ranks.setdefault(now, {})[address] = None

    def oldest_at(self, address: str) -> H:
        """Return who has held a place at *address* for the longest time."""
        return next(iter(self._at[address]))

    def oldest_of_greediest(self) -> H:
        """Return the oldest at the address that holds the most.

        Of several such it is the one that has held as many for the longest time.
        """
        return self.oldest_at(next(iter(self._ranks[self._most])))
