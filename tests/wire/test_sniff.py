"""What is spoken, by the first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.wire.framing import MAX_FRAME
from chatroom.wire.sniff import MAX_WORD, Spoken, farewell, sniff

VISITORS = [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Spoken.HTTP),
    (b"POST /login HTTP/1.1\r\n", Spoken.HTTP),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Spoken.HTTP),
    (b"CONNECT x:443 HTTP/1.1\r\n", Spoken.HTTP),
    (b"SSH-2.0-OpenSSH_9.6\r\n", Spoken.SSH),
    (b"NICK anna\r\n", Spoken.IRC),
    (b"user anna 0 * :Anna\r\n", Spoken.IRC),
    (b"CAP LS 302\r\n", Spoken.IRC),
    (b"PASS secret\r\n", Spoken.IRC),
    (b"EHLO mail.example\r\n", Spoken.MAIL),
    (b"\x16\x03\x01\x02\x00\x01", Spoken.TLS),
    (b"\0\0\0\x0f{", Spoken.NATIVE),
    (b"\xff\xff\xff\xff", Spoken.UNKNOWN),
    (b"\r\n", Spoken.UNKNOWN),
    (b"GETAWAY", Spoken.UNKNOWN),
    (b"hello there", Spoken.UNKNOWN),
]


@pytest.mark.parametrize(("data", "dialect"), VISITORS)
def test_it_is_told_wherever_it_is_cut(data: bytes, dialect: Spoken) -> None:
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
    assert sniff(size.to_bytes(4, "big")[:1] + rest) is Spoken.NATIVE


def test_who_has_a_language_is_answered_in_it() -> None:
    assert farewell(Spoken.HTTP).startswith(b"HTTP/1.1 400 ")
    head, _, body = farewell(Spoken.HTTP).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert farewell(Spoken.IRC).startswith(b"ERROR :")
    assert farewell(Spoken.MAIL).startswith(b"554 ")
    assert not farewell(Spoken.SSH).startswith(b"SSH-")
    for dialect in (Spoken.SSH, Spoken.IRC, Spoken.MAIL):
        assert farewell(dialect).endswith(b"\r\n")
        assert farewell(dialect).count(b"\n") == 1
    # A record of an alert: fatal, handshake_failure.
    assert farewell(Spoken.TLS) == bytes.fromhex("15 0303 0002 0228")
    assert farewell(Spoken.NATIVE) == farewell(Spoken.UNKNOWN) == b""
