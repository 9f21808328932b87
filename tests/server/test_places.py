"""Places: who holds them, and of too many, whose turn it is to go."""

from __future__ import annotations

import time

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chatroom.server.places import Places


class Someone:
    """Who holds a place, or not."""

    def __init__(self, address: str) -> None:
        self.address = address


class PlacesMachine(RuleBasedStateMachine):
    """Compares them with a list, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Places[Someone] = Places()
        self.holders: list[Someone] = []
        self.gone: list[Someone] = []

    def here(self, address: str) -> list[Someone]:
        """Return the holders at *address*."""
        return [one for one in self.holders if one.address == address]

    @rule(address=st.sampled_from("abc"))
    def come(self, address: str) -> None:
        """One more comes."""
        one = Someone(address)
        self.holders.append(one)
        assert self.places.add(one) == len(self.here(address))

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        """One goes."""
        one = data.draw(st.sampled_from(self.holders))
        self.holders.remove(one)
        self.gone.append(one)
        self.places.discard(one)

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def go_again(self, data: st.DataObject) -> None:
        """One that has no place is told to go."""
        self.places.discard(data.draw(st.sampled_from(self.gone)))

    @invariant()
    def they_agree(self) -> None:
        """All are there, and each address tells its oldest."""
        assert len(self.places) == len(self.holders)
        assert sorted(map(id, self.places)) == sorted(map(id, self.holders))
        for address in {one.address for one in self.holders}:
            assert self.places.oldest_at(address) is self.here(address)[0]

    @precondition(lambda self: self.holders)
    @invariant()
    def the_greediest_is_found(self) -> None:
        """No address holds more than that of the one who has to go."""
        found = self.places.oldest_of_greediest()
        most = max(len(self.here(one.address)) for one in self.holders)
        assert len(self.here(found.address)) == most
        assert self.here(found.address)[0] is found


TestPlaces = PlacesMachine.TestCase


def test_a_crowd_of_addresses_makes_it_no_slower() -> None:
    """Who comes from ten thousand networks is not to be searched for each time."""

    def cost(addresses: int) -> float:
        places: Places[Someone] = Places()
        for number in range(addresses):
            places.add(Someone(f"2001:db8:{number:x}::/64"))
        took = []
        for number in range(200):
            began = time.perf_counter()
            places.add(Someone(f"2001:db8:f:{number:x}::/64"))
            places.discard(places.oldest_of_greediest())
            took.append(time.perf_counter() - began)
        return min(took)

    assert cost(10_000) < 20 * cost(10)
