"""Names of the other end.  Must not know: what is done with them."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

Address = tuple[str, int]
"""Host as a numeric string, and port."""


def to_address(sockaddr: object) -> Address:
    """Return what ``accept`` or ``getsockname`` gave, without flow and scope."""
    if isinstance(sockaddr, tuple) and len(sockaddr) >= 2:
        return str(sockaddr[0]), int(sockaddr[1])
    return "local", 0


def show(address: Address) -> str:
    """Return *address* as ``HOST:PORT``, an IPv6 host in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: Address) -> bool:
    """Tell whether whoever is at *address* is on this machine."""
    found = ip_address(address[0].partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def bucket(address: Address) -> str:
    """Return what counts as one address: an IPv4, or the /64 of an IPv6.

    A host is handed a whole /64, and an IPv4 may come mapped into IPv6.
    """
    host = address[0]
    if ":" not in host:
        return host
    found = ip_address(host.partition("%")[0])
    assert isinstance(found, IPv6Address)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"
