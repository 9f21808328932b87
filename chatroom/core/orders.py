"""Orders: what operators have put in force, and until when (protocol.md, section 8).

A ban of a nick or of an address, a mute, the lock, a room's topic: one kind of record
for all, so that they are looked up, listed, kept and forgotten in one way.  Must not
know: who may give orders, who is here, what a ban leads to, how one is kept.

Order of calls: ``restore`` for what was kept, then the others in any order.  Times:
*now* is seconds of a clock that never goes back, and decides; ``Order.until`` is
milliseconds since the epoch, and is only shown and kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import ceil, inf

MAX_ORDERS = 10_000
"""Orders in force at the same time; above that there are no new ones."""
MAX_UNTIL = 2**53 - 1
"""The last millisecond that a frame can name (protocol.md, section 1)."""
ADDRESS_BITS = 64
"""Bits of an IPv6 address that tell whose it is: a host is handed the rest."""

_UNITS = (
    (86400, "day", 2 * 86400),
    (3600, "hour", 5400),
    (60, "minute", 90),
    (1, "second", 0),
)
"""Seconds, a word, and above how many seconds it is taken where it is not exact."""

Network = IPv4Network | IPv6Network


class Kind(StrEnum):
    """What an order is about, and of what kind its target is."""

    NICK = "nick"
    """A ban of the nick with the key *target*."""
    ADDRESS = "address"
    """A ban of the network *target*."""
    MUTE = "mute"
    """The nick with the key *target* says nothing."""
    LOCK = "lock"
    """Nobody new is let in; the target is empty."""
    TOPIC = "topic"
    """The topic of the room *target* is *text*."""


BANS = (Kind.NICK, Kind.ADDRESS)


@dataclass(slots=True)
class Order:
    """One order, as it was given."""

    kind: Kind
    target: str
    """Of what it holds, in the form that is compared."""
    shown: str
    """The same as a person reads it."""
    by: str
    """The nick of the operator."""
    text: str
    """The reason, or the topic; may be empty."""
    ends: float = inf
    """When it ends, in seconds of the clock of the rules."""
    until: int = 0
    """The same in milliseconds since the epoch; 0: never."""

    def lasts(self, now: float) -> str:
        """Return for how long it holds from *now* on (seconds), in words."""
        if self.ends == inf:
            return "for good"
        return f"for {duration(self.ends - now)}"


class Orders:
    """All orders in force."""

    def __init__(self) -> None:
        self.changed: dict[tuple[Kind, str], Order | None] = {}
        """What has changed since the store was last given this, and emptied it."""
        self._all: dict[tuple[Kind, str], Order] = {}
        # How many bans of addresses there are of each (IP version, prefix length).
        self._prefixes: Counter[tuple[int, int]] = Counter()

    def __len__(self) -> int:
        return len(self._all)

    def restore(self, orders: Iterable[Order], now: float) -> None:
        """Take up what was kept, without what has ended before *now* (seconds)."""
        for order in orders:
            if order.ends > now:
                self._add(order)
            else:
                self.changed[order.kind, order.target] = None

    def is_full(self, now: float) -> bool:
        """Tell whether no new order can be given at *now* (seconds)."""
        if len(self._all) >= MAX_ORDERS:
            self._expire(now)
        return len(self._all) >= MAX_ORDERS

    def give(self, order: Order) -> None:
        """Put *order* in force, in the place of the one with that target."""
        self._remove(order.kind, order.target)
        self._add(order)
        self.changed[order.kind, order.target] = order

    def lift(self, kind: Kind, target: str) -> Order | None:
        """Put an order out of force; return it, ``None`` where there was none."""
        order = self._remove(kind, target)
        if order is not None:
            self.changed[kind, target] = None
        return order

    def find(self, kind: Kind, target: str, now: float) -> Order | None:
        """Return the order that holds at *now* (seconds) for just this *target*."""
        order = self._all.get((kind, target))
        if order is None:
            return None
        if order.ends > now:
            return order
        self.lift(kind, target)
        return None

    def find_address(self, address: str, now: float) -> Order | None:
        """Return the ban that holds at *now* for who comes from *address*.

        *address* is as ``Peer.address`` is: what is no address is not banned.
        """
        if not self._prefixes:
            return None
        network = _network(address)
        if network is None:
            return None
        for version, length in tuple(self._prefixes):
            if version == network.version and length <= network.prefixlen:
                around = _show(network.supernet(new_prefix=length))
                if order := self.find(Kind.ADDRESS, around, now):
                    return order
        return None

    def bans(self, now: float) -> list[Order]:
        """Return the bans that hold at *now* (seconds), in the order of targets."""
        self._expire(now)
        found = [order for order in self._all.values() if order.kind in BANS]
        return sorted(found, key=lambda order: (order.target, order.kind))

    def _expire(self, now: float) -> None:
        for kind, target in [k for k, o in self._all.items() if o.ends <= now]:
            self.lift(kind, target)

    def _add(self, order: Order) -> None:
        self._all[order.kind, order.target] = order
        if order.kind is Kind.ADDRESS:
            self._prefixes[_prefix(order.target)] += 1

    def _remove(self, kind: Kind, target: str) -> Order | None:
        order = self._all.pop((kind, target), None)
        if order is not None and kind is Kind.ADDRESS:
            prefix = _prefix(target)
            self._prefixes[prefix] -= 1
            if not self._prefixes[prefix]:
                del self._prefixes[prefix]
        return order


def until(wall: int, seconds: int) -> int:
    """Return when *seconds* from *wall* (ms since the epoch) are over; 0: never."""
    return min(wall + seconds * 1000, MAX_UNTIL) if seconds else 0


def duration(seconds: float) -> str:
    """Return *seconds* in words, rounded up to what a person counts in."""
    # A sum of two times of a clock is not exact.
    whole = max(1, ceil(round(seconds, 3)))
    size, name = next(
        (size, name)
        for size, name, above in _UNITS
        if whole > above or whole % size == 0
    )
    count = ceil(whole / size)
    return f"{count} {name}{'s' if count != 1 else ''}"


def network_of(text: str) -> str | None:
    """Return the network that a ban of *text* is about, ``None`` where it is none.

    *text* is an address or a network.  IPv4 that is mapped into IPv6 is IPv4, and
    IPv6 is never less than a /64.
    """
    network = _network(text.strip())
    return None if network is None else _show(network)


def is_within(address: str, target: str) -> bool:
    """Tell whether *address* (as ``Peer.address`` is) is in the network *target*."""
    inner, outer = _network(address), _network(target)
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


def _network(text: str) -> Network | None:
    address, slash, length = text.partition("/")
    if ":" in address:
        # Of whatever interface it is.
        address, *_ = address.partition("%")
    try:
        found = ip_network(address + slash + length, strict=False)
    except ValueError:
        return None
    if isinstance(found, IPv4Network):
        return found
    mapped = found.network_address.ipv4_mapped
    if mapped is not None and found.prefixlen >= 96:
        return IPv4Network((mapped, found.prefixlen - 96))
    if found.prefixlen > ADDRESS_BITS:
        return found.supernet(new_prefix=ADDRESS_BITS)
    return found


def _show(network: Network) -> str:
    alone = network.version == 4 and network.prefixlen == network.max_prefixlen
    return str(network.network_address if alone else network)


def _prefix(target: str) -> tuple[int, int]:
    network = ip_network(target)
    return network.version, network.prefixlen
