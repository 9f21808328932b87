"""Orders: what stands against whom, for how long, and of which addresses it holds."""

import ipaddress
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chatroom.core import orders as module
from chatroom.core.orders import (
    BANS,
    Kind,
    Order,
    Orders,
    duration,
    is_within,
    network_of,
    until,
)
from chatroom.net.address import bucket

WALL = 1_700_000_000_000


def order(kind: Kind, target: str, ends: float = inf) -> Order:
    return Order(kind, target, target, "ann", "because", ends)


# -- addresses --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.1.2.3", "10.1.2.3"),
        (" 10.1.2.3\n", "10.1.2.3"),
        ("10.1.2.3/32", "10.1.2.3"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::FFFF:0a01:0203", "10.1.2.3"),
        ("::ffff:10.1.2.3/128", "10.1.2.3"),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::/64", "2001:db8::/64"),
        ("2001:db8::1/128", "2001:db8::/64"),
        ("2001:db8::1/65", "2001:db8::/64"),
        ("2001:db8::1/48", "2001:db8::/48"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("::/0", "::/0"),
    ],
)
def test_what_a_ban_of_an_address_is_about(text: str, network: str) -> None:
    assert network_of(text) == network
    assert network_of(network) == network


@pytest.mark.parametrize(
    "text", ["", "x", "10.1.2", "10.1.2.3/33", "::1/129", "1/8", "10.1.2.3/8/8", "/8"]
)
def test_what_is_no_address(text: str) -> None:
    assert network_of(text) is None


v4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
near = st.sampled_from(
    [ipaddress.ip_address(a) for a in ("10.0.0.1", "10.0.1.1", "2001:db8::1", "::1")]
    + [ipaddress.ip_address("2001:db8::ffff:0:1"), ipaddress.ip_address("2001:db9::")]
)
addresses = v4 | v6 | near


def bits(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Write out whose an address is: a 4 or a 6, and the bits that tell."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    if isinstance(address, ipaddress.IPv4Address):
        return f"4{int(address):032b}"
    return f"6{int(address):0128b}"[:65]


@given(addresses, addresses, st.integers(0, 128), st.booleans())
def test_who_is_within_a_network(
    banned: ipaddress.IPv4Address | ipaddress.IPv6Address,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
    length: int,
    mapped: bool,
) -> None:
    length = min(length, banned.max_prefixlen)
    text = f"{banned}/{length}"
    if mapped and isinstance(banned, ipaddress.IPv4Address):
        text = f"::ffff:{banned}/{96 + length}"
    network = network_of(text)
    assert network is not None
    orders = Orders()
    orders.give(order(Kind.ADDRESS, network))
    if getattr(banned, "ipv4_mapped", None) is not None and length < 96:
        return  # More than what is mapped: IPv6 networks, and nobody's IPv4.
    if getattr(banned, "ipv4_mapped", None) is not None:
        length -= 96
    tells = bits(banned)[: 1 + length]
    for address in (banned, other):
        near = bucket((str(address), 5))
        expected = bits(address).startswith(tells)
        assert is_within(near, network) == expected
        assert (orders.find_address(near, 0.0) is not None) == expected
    assert orders.find_address(bucket((str(banned), 5)), 0.0)


def test_who_comes_from_no_address_is_in_no_network() -> None:
    orders = Orders()
    orders.give(order(Kind.ADDRESS, "0.0.0.0/0"))
    assert orders.find_address("local", 0.0) is None
    assert not is_within("local", "0.0.0.0/0")


# -- time -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5.0, "1 second"),
        (0.0, "1 second"),
        (1.0, "1 second"),
        (1.1, "2 seconds"),
        (60.0, "1 minute"),
        (89.5, "90 seconds"),
        (91.0, "2 minutes"),
        (120.0, "2 minutes"),
        (599.2, "10 minutes"),
        (3600.0, "1 hour"),
        (5400.0, "90 minutes"),
        (5401.0, "2 hours"),
        (86400.0, "1 day"),
        (90000.0, "25 hours"),
        (172801.0, "3 days"),
        (7 * 86400.0, "7 days"),
    ],
)
def test_how_long_is_told(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_for_good_is_told() -> None:
    assert order(Kind.NICK, "x").lasts(5.0) == "for good"
    assert order(Kind.NICK, "x", 65.0).lasts(5.0) == "for 1 minute"


def test_until() -> None:
    assert until(WALL, 0) == 0
    assert until(WALL, 10) == WALL + 10_000
    assert until(WALL, 2**53 - 1) == 2**53 - 1


# -- giving and lifting -----------------------------------------------------------

kinds = st.sampled_from(Kind)
TARGETS = {
    Kind.NICK: ["ann", "bob", "10.0.0.1"],
    Kind.ADDRESS: ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/64", "::/0"],
    Kind.MUTE: ["ann", "bob"],
    Kind.LOCK: [""],
    Kind.TOPIC: ["lobby", "tea"],
}


class OrdersMachine(RuleBasedStateMachine):
    """Orders, and what was kept of them, against two dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.orders = Orders()
        self.model: dict[tuple[Kind, str], Order] = {}
        self.kept: dict[tuple[Kind, str], Order] = {}
        self.now = 100.0

    def holding(self) -> dict[tuple[Kind, str], Order]:
        """Say which are in force."""
        return {key: o for key, o in self.model.items() if self.now < o.ends}

    @rule(kind=kinds, number=st.integers(0, 4), lasts=st.sampled_from([inf, 1.0, 9.0]))
    def give(self, kind: Kind, number: int, lasts: float) -> None:
        target = TARGETS[kind][number % len(TARGETS[kind])]
        given_ = order(kind, target, self.now + lasts)
        self.orders.give(given_)
        self.model[kind, target] = given_

    @rule(kind=kinds, number=st.integers(0, 4))
    def lift(self, kind: Kind, number: int) -> None:
        target = TARGETS[kind][number % len(TARGETS[kind])]
        found = self.orders.find(kind, target, self.now)
        assert found is self.holding().get((kind, target))
        lifted = self.orders.lift(kind, target)
        assert lifted is found
        self.model.pop((kind, target), None)

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def keep(self) -> None:
        for key, changed in self.orders.changed.items():
            if changed is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = changed
        self.orders.changed.clear()
        assert {k: o for k, o in self.kept.items() if self.now < o.ends} == (
            self.holding()
        )

    @rule()
    def start_again(self) -> None:
        self.keep()
        self.orders = Orders()
        self.orders.restore(self.kept.values(), self.now)
        self.keep()
        assert self.kept == self.holding()

    @invariant()
    def all_is_found(self) -> None:
        holding = self.holding()
        for kind, targets in TARGETS.items():
            for target in targets:
                found = self.orders.find(kind, target, self.now)
                assert found is holding.get((kind, target))
        bans = [o for (kind, _), o in holding.items() if kind in BANS]
        bans.sort(key=lambda o: (o.target, o.kind))
        assert self.orders.bans(self.now) == bans
        for address in ("10.0.0.1", "10.9.9.9", "192.0.2.1", "2001:db8::/64"):
            against = [
                o
                for (kind, target), o in holding.items()
                if kind is Kind.ADDRESS
                and ipaddress.ip_network(target).overlaps(ipaddress.ip_network(address))
            ]
            found = self.orders.find_address(address, self.now)
            assert (found in against) if against else (found is None)


TestOrders = OrdersMachine.TestCase


def test_there_are_not_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ORDERS", 2)
    orders = Orders()
    orders.give(order(Kind.NICK, "a", 5.0))
    assert not orders.is_full(0.0)
    orders.give(order(Kind.NICK, "b"))
    assert orders.is_full(4.9)
    assert not orders.is_full(5.0)
    assert len(orders) == 1
