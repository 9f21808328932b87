"""Addresses: how they are shown, and which count as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.net.address import bucket, show, to_address


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_bucket(host: str, expected: str) -> None:
    assert bucket((host, 1)) == expected


@given(st.ip_addresses(v=4), st.integers(0, 65535), st.integers(0, 65535))
def test_a_mapped_address_is_the_same_as_itself(
    address: object, port: int, other: int
) -> None:
    assert bucket((f"::ffff:{address}", port)) == bucket((str(address), other))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_host_has_its_64(network: int, one: int, other: int) -> None:
    def in_words(number: int) -> str:
        digits = f"{number:032x}"
        return ":".join(digits[at : at + 4] for at in range(0, 32, 4))

    first = bucket((in_words(network << 64 | one), 1))
    if network:
        assert first == bucket((in_words(network << 64 | other), 2))
        assert first != bucket((in_words((network ^ 1) << 64 | one), 1))
        assert first.endswith("/64")


@pytest.mark.parametrize(
    ("sockaddr", "shown"),
    [
        (("127.0.0.1", 2428), "127.0.0.1:2428"),
        (("::1", 2428, 0, 0), "[::1]:2428"),
        ("", "local:0"),
        (None, "local:0"),
    ],
)
def test_show(sockaddr: object, shown: str) -> None:
    assert show(to_address(sockaddr)) == shown
