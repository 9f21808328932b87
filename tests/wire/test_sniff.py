"""What is spoken, by the first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.wire.framing import MAX_FRAME
from chatroom.wire.sniff import MAX_WORD, Dialect, farewell, sniff

VISITORS = [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Dialect.HTTP),
    (b"POST /login HTTP/1.1\r\n", Dialect.HTTP),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Dialect.HTTP),
    (b"CONNECT x:443 HTTP/1.1\r\n", Dialect.HTTP),
    (b"SSH-2.0-OpenSSH_9.6\r\n", Dialect.SSH),
    (b"NICK anna\r\n", Dialect.IRC),
    (b"user anna 0 * :Anna\r\n", Dialect.IRC),
    (b"CAP LS 302\r\n", Dialect.IRC),
    (b"PASS secret\r\n", Dialect.IRC),
    (b"EHLO mail.example\r\n", Dialect.MAIL),
    (b"\x16\x03\x01\x02\x00\x01", Dialect.TLS),
    (b"\0\0\0\x0f{", Dialect.NATIVE),
    (b"\xff\xff\xff\xff", Dialect.UNKNOWN),
    (b"\r\n", Dialect.UNKNOWN),
    (b"GETAWAY", Dialect.UNKNOWN),
    (b"hello there", Dialect.UNKNOWN),
]


@pytest.mark.parametrize(("data", "dialect"), VISITORS)
def test_it_is_told_wherever_it_is_cut(data: bytes, dialect: Dialect) -> None:
    told = [sniff(data[:size]) for size in range(1, len(data) + 1)]
    assert told[-1] is dialect
    first = told.index(dialect)
    assert first < MAX_WORD
    assert told == [None] * first + [dialect] * (len(told) - first)


@given(st.binary(min_size=MAX_WORD))
def test_a_few_bytes_are_enough(data: bytes) -> None:
    assert sniff(data) is not None


@given(st.integers(1, MAX_FRAME), st.binary())
def test_every_frame_is_told_by_its_first_byte(size: int, rest: bytes) -> None:
    assert sniff(size.to_bytes(4, "big")[:1] + rest) is Dialect.NATIVE


def test_who_has_a_language_is_answered_in_it() -> None:
    assert farewell(Dialect.HTTP).startswith(b"HTTP/1.1 400 ")
    head, _, body = farewell(Dialect.HTTP).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert farewell(Dialect.IRC).startswith(b"ERROR :")
    assert farewell(Dialect.MAIL).startswith(b"554 ")
    assert not farewell(Dialect.SSH).startswith(b"SSH-")
    for dialect in (Dialect.SSH, Dialect.IRC, Dialect.MAIL):
        assert farewell(dialect).endswith(b"\r\n")
        assert farewell(dialect).count(b"\n") == 1
    # A record of an alert: fatal, handshake_failure.
    assert farewell(Dialect.TLS) == bytes.fromhex("15 0303 0002 0228")
    assert farewell(Dialect.NATIVE) == farewell(Dialect.UNKNOWN) == b""
